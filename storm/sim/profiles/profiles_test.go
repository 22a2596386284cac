package profiles_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"origin-storm/storm/sim/profiles"
)

func TestBuiltIn(t *testing.T) {
	for _, name := range profiles.Names() {
		p, err := profiles.Load(name)
		if err != nil {
			t.Errorf("Load(%s) = %v", name, err)
		} else if p.Name != name {
			t.Errorf("the profile in %s.yaml is called %q", name, p.Name)
		}
	}
	if !slices.Contains(profiles.Names(), profiles.DefaultName) {
		t.Fatalf("Names() = %q, want %s among them", profiles.Names(), profiles.DefaultName)
	}
	// What scenarios can name without more.
	for _, name := range []string{"embedded", "embedded+cache", "s3", "cassandra", "cassandra+cache"} {
		if _, ok := profiles.Default().Backends[name]; !ok {
			t.Errorf("Default() says nothing of %s", name)
		}
	}
}

func builtIn(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile(profiles.DefaultName + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRoundTrip(t *testing.T) {
	p := profiles.Default()
	data, err := profiles.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := profiles.Parse("written", data)
	if err != nil || !reflect.DeepEqual(again, p) {
		t.Errorf("written as\n%s\nand read back: %+v, %v, want the same", data, again, err)
	}
	p.Cores = 0
	if data, err := profiles.Marshal(p); err == nil {
		t.Errorf("Marshal of a profile without cores = %s, want an error", data)
	}
}

// A digest is of what a profile says, and not of how its file is laid out.
func TestDigest(t *testing.T) {
	whole := builtIn(t)
	digest := func(text string) string {
		t.Helper()
		p, err := profiles.Parse("file.yaml", []byte(text))
		if err != nil || !strings.HasPrefix(p.Digest, "sha256:") {
			t.Fatalf("Parse = digest %q, %v, want one of SHA-256", p.Digest, err)
		}
		return p.Digest
	}
	want := digest(whole)
	if got := digest("# a comment\n\n" + whole); got != want {
		t.Errorf("with a comment the digest is %s, want %s", got, want)
	}
	if got := digest(strings.Replace(whole, "per-request: ", "per-request: 1us #", 1)); got == want {
		t.Errorf("of another cost the digest is %s, too", got)
	}
}

func TestErrorsSayWhere(t *testing.T) {
	whole := builtIn(t)
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown field", "cores: 2", "core: 2", "core"},
		{"unknown field of a backend", "    valid:", "    validity:", "validity"},
		{"wrong unit", "per-request:", "per-request: 1 parsec #", "parsec"},
		{"gap", "        read:\n", "        # read:\n", "backends."},
		{"no source", "source: ", "# source: ", "source"},
		{"nonsense", "cores: 2", "cores: -1", "cores"},
		{"not a mapping", whole, "- 1", "1"},
		{"nothing", whole, "", "name"},
		{"a list that is too long", "backends:\n", "backends:\n  other:\n    fitted: [{run: a, figure: b, unit: ms, measured: 1, simulated: 1, ci: [1, 2, 3]}]\n", "ci"},
		{"an escape in a text", "about: ", `about: "\e[31m" #`, "about"},
		{"an escape in a name", "  embedded:\n", `  "embedded\e":` + "\n", "backends"},
		{"a far day", "made: ", "made: 9999-12-31 #", "made"},
		{"a day before there were profiles", "made: ", "made: 1970-01-01 #", "made"},
		{"a second document", whole, whole + "---\n" + whole, "document"},
		{"brackets without end", whole, "backends: " + strings.Repeat("[", 2000), "deep"},
		{"dashes without end", whole, "backends:\n " + strings.Repeat("- ", 2000), "deep"},
		{"too many bytes", whole, whole + strings.Repeat("#", 1<<20), "bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(whole, c.old, c.new, 1)
			if text == whole {
				t.Fatalf("the profile has no %q", c.old)
			}
			_, err := profiles.Parse("file.yaml", []byte(text))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "file.yaml") {
				t.Errorf("Parse = %v, want an error that names file.yaml and %s", err, c.want)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mine.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(builtIn(t), "name: two-cores", "name: mine", 1)), 0o666); err != nil {
		t.Fatal(err)
	}
	if p, err := profiles.Load(file); err != nil || p.Name != "mine" {
		t.Errorf("Load(%s) = %q, %v, want the file's", file, p.Name, err)
	}
	if _, err := profiles.Load("none"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), profiles.DefaultName) {
		t.Errorf("Load(none) = %v, want one that names those there are", err)
	}
	if _, err := profiles.Load(dir); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("Load(%s) = %v, want one that says it is a directory", dir, err)
	}
}

// What is named may have no end, and what is in it need not be text.
func TestLoadOfADevice(t *testing.T) {
	if p, err := profiles.Load("/dev/zero"); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("Load(/dev/zero) = %v, %v, want an error that says it is no file", p, err)
	}
}

func TestByteOrderMark(t *testing.T) {
	if _, err := profiles.Parse("file.yaml", []byte("\ufeff"+builtIn(t))); err != nil {
		t.Errorf("Parse of a file that begins with a byte order mark = %v, want the profile", err)
	}
}

// FuzzParse: whatever is in a file, it is read or refused, and what is read can be written and is read back the same.
func FuzzParse(f *testing.F) {
	f.Add(builtIn(f))
	f.Add("")
	f.Add("name: x\nbackends: {embedded: {}}")
	f.Add("made: 2026-13-99\n")
	f.Add("backends: {a: {fitted: [{ci: [1, 2, 3]}]}}")
	f.Add("a: [[[[\n---\n- - -")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := profiles.Parse("file", []byte(text))
		if err != nil {
			return
		}
		data, err := profiles.Marshal(p)
		if err != nil {
			t.Fatalf("Marshal of what was read: %v", err)
		}
		if _, err := profiles.Parse("written", data); err != nil {
			t.Errorf("Parse of what was written: %v\n%s", err, data)
		}
	})
}

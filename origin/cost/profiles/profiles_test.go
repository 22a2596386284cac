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
	"time"

	"github.com/goccy/go-yaml"

	"origin-storm/origin/cost"
	"origin-storm/origin/cost/profiles"
)

func TestPublishedProfiles(t *testing.T) {
	if got, want := profiles.Names(), []string{"netflix-kv-2024", "s3-2024"}; !slices.Equal(got, want) {
		t.Errorf("Names() = %q, want %q", got, want)
	}
	for _, name := range profiles.Names() {
		p, err := profiles.Load(name)
		if err != nil {
			t.Errorf("Load(%s) = %v", name, err)
			continue
		}
		if p.Name != name {
			t.Errorf("the profile in %s.yaml is called %q", name, p.Name)
		}
		if !strings.Contains(p.Source, "https://") || !strings.Contains(p.Source, "2025-") {
			t.Errorf("%s: source %q names no address or no date", name, p.Source)
		}
	}
}

func TestPublishedFigures(t *testing.T) {
	const ms = time.Millisecond
	for name, want := range map[string]cost.Dist{
		"s3-2024":         {P50: 113 * ms, P99: 267 * ms},
		"netflix-kv-2024": {P50: 25 * ms, P99: 129 * ms},
	} {
		p, err := profiles.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if !p.Whole || len(p.Write) != 1 || !reflect.DeepEqual(p.Write[0].Dist, want) || p.Read != nil {
			t.Errorf("%s: whole %v, write %+v, read %+v, want the write of whole segments by %+v and no reads", name, p.Whole, p.Write, p.Read, want)
		}
	}
	if p, _ := profiles.Load("s3-2024"); p.Throttle == nil || p.Throttle.PerSecond != 100 {
		t.Errorf("s3-2024: throttle %+v, want 100 publishes a second", p.Throttle)
	}
}

const full = `
name: full
about: every field
source: made up
write:
  - {up-to: 64KiB, constant: 2ms}
  - {up-to: 1MiB, p50: 5ms, p99: 20ms}
  - {quantiles: {0.99: 80ms, 0.5: 10ms}, per-mib: 3ms}
read:
  - {constant: 1ms}
servers: 8
bandwidth: 10Gbit/s
throttle: {publishes-per-second: 100, burst: 50}
`

func TestRoundTrip(t *testing.T) {
	p, err := profiles.Parse("full", []byte(full))
	if err != nil {
		t.Fatalf("Parse = %v, want nil", err)
	}
	want := cost.Profile{
		Name: "full", About: "every field", Source: "made up",
		Write: []cost.Cost{
			{UpTo: 64 << 10, Dist: cost.Dist{Constant: 2 * time.Millisecond}},
			{UpTo: 1 << 20, Dist: cost.Dist{P50: 5 * time.Millisecond, P99: 20 * time.Millisecond}},
			{Dist: cost.Dist{Quantiles: cost.Quantiles{{P: 0.5, Value: 10 * time.Millisecond}, {P: 0.99, Value: 80 * time.Millisecond}}}, PerMiB: 3 * time.Millisecond},
		},
		Read:    []cost.Cost{{Dist: cost.Dist{Constant: time.Millisecond}}},
		Servers: 8, Bandwidth: 1e10,
		Throttle: &cost.Throttle{PerSecond: 100, Burst: 50},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("Parse = %+v, want %+v", p, want)
	}
	data, err := yaml.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := profiles.Parse("written", data)
	if err != nil || !reflect.DeepEqual(again, p) {
		t.Errorf("written as\n%s\nand read back: %+v, %v, want the same", data, again, err)
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown field", "servers: 8", "server: 8", "server"},
		{"unknown field of a cost", "constant: 1ms", "constantly: 1ms", "constantly"},
		{"wrong unit", "constant: 1ms", "constant: 1 parsec", "parsec"},
		{"wrong size", "up-to: 64KiB", "up-to: 64Kib", "64Kib"},
		{"wrong bandwidth", "10Gbit/s", "10", "bandwidth"},
		{"two forms", "{constant: 1ms}", "{constant: 1ms, p50: 1ms, p99: 2ms}", "read[0]"},
		{"no source", "source: made up", "", "source"},
		{"impossible quantile", "0.99: 80ms", "99: 80ms", "write[2]"},
		{"not a mapping", full, "- 1", "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := profiles.Parse("file.yaml", []byte(strings.Replace(full, c.old, c.new, 1)))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "file.yaml") {
				t.Errorf("Parse = %v, want an error that names file.yaml and %s", err, c.want)
			}
		})
	}
}

func TestLoadFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(file, []byte(full), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := profiles.Load(file); err != nil || p.Name != "full" {
		t.Errorf("Load(%s) = %q, %v, want the profile in the file", file, p.Name, err)
	}
	if _, err := profiles.Load("s3-2025"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "s3-2024") {
		t.Errorf("Load(s3-2025) = %v, want an error that lists the published ones", err)
	}
}

// Whatever is in a file, Parse returns an error or a profile that can be charged.
func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("write: [{quantiles: {.nan: 1s}}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := profiles.Parse("fuzz", data)
		if err != nil {
			return
		}
		m := p.Meter(1)
		for _, w := range []cost.Work{{Write: true}, {Write: true, Size: 1 << 20}, {Size: 1}} {
			if done, _ := m.Arrive(time.Second, w); done < time.Second {
				t.Errorf("Arrive(1s, %+v) = %v, in the past", w, done)
			}
		}
	})
}

// What would be too much for the parser, or for a terminal, is refused before either sees it.
func TestUnsafeFiles(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"an escape":             {strings.Replace(full, "made up", `"\e[31m"`, 1), "source: "},
		"dashes without an end": {full + "x: " + strings.Repeat("- ", 100), "deep"},
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := profiles.Parse("file.yaml", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Parse = %+v, %v, want an error with %q", p, err, c.want)
			}
		})
	}
	if p, err := profiles.Load("/dev/null"); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("Load(/dev/null) = %+v, %v, want an error that says it is no file", p, err)
	}
}

package document_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"origin-storm/origin/document"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("0123456789"), 0o666); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, link} {
		if b, err := document.Read(name, 10); err != nil || string(b) != "0123456789" {
			t.Errorf("Read(%s, 10) = %q, %v, want what is in it", name, b, err)
		}
	}
	if b, err := document.Read(file, 9); err == nil || !strings.Contains(err.Error(), "too many bytes") || !strings.Contains(err.Error(), file) {
		t.Errorf("Read(%s, 9) = %q, %v, want that it has too many bytes", file, b, err)
	}
	if _, err := document.Read(filepath.Join(dir, "none"), 9); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read of what is not there: %v, want %v", err, fs.ErrNotExist)
	}
}

// A pipe would keep its reader waiting for ever, and a device has no end.
func TestReadOfWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(pipe, os.O_RDWR, 0) // whoever opens the other end does not wait
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.WriteString("0123456789"); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{pipe: "pipe", dir: "directory", "/dev/zero": "regular"} {
		if b, err := document.Read(file, 5); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("Read(%s, 5) = %q, %v, want one that says it is a %s", file, b, err, want)
		}
	}
}

func TestCheckDepth(t *testing.T) {
	for _, c := range []struct {
		name, text string
		deep       bool
	}{
		{"brackets", strings.Repeat("[", document.Deepest), false},
		{"too many brackets", "a:\n" + strings.Repeat("[", document.Deepest+1), true},
		{"too many braces", "a:\n" + strings.Repeat("{", document.Deepest+1), true},
		{"brackets that are closed", strings.Repeat("[],", 10*document.Deepest), false},
		{"dashes on one line", "a:\n" + strings.Repeat("- ", document.Deepest+1), true},
		{"dashes on many", strings.Repeat("- a\n", 10*document.Deepest), false},
		{"nothing", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := document.CheckDepth([]byte(c.text))
			if (err != nil) != c.deep || c.deep && !strings.Contains(err.Error(), "line 2") {
				t.Errorf("CheckDepth(%.80q) = %v, want one that names line 2: %v", c.text, err, c.deep)
			}
		})
	}
}

func TestCheckTexts(t *testing.T) {
	type part struct {
		Text string `yaml:"text,omitempty"`
	}
	type file struct {
		Name  string          `yaml:"name"`
		Parts map[string]part `yaml:"parts"`
		Many  []*part         `yaml:"many"`
		Kept  string          `yaml:"-"`
	}
	for _, c := range []struct {
		name string
		file file
		want string // in the error; empty: none
	}{
		{"text", file{Name: "größer: 10 × 日本\n\tok"}, ""},
		{"an escape", file{Name: "a\x1b[2J"}, "name: "},
		{"a bell", file{Parts: map[string]part{"p": {"\a"}}}, "parts.p.text: "},
		{"a carriage return", file{Many: []*part{nil, {"a\rb"}}}, "many[1].text: "},
		{"in a name", file{Parts: map[string]part{"p\x1b": {}}}, "parts: "},
		{"of C1", file{Name: "\u009b2J"}, "name: "},
		{"what turns the direction", file{Name: "\u202egnp.exe"}, "name: "},
		{"no UTF-8", file{Name: "\xff"}, "name: "},
		{"not of the file", file{Kept: "\x1b"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := document.CheckTexts(&c.file)
			if (err != nil) != (c.want != "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("CheckTexts(%+v) = %v, want an error that begins with %q", c.file, err, c.want)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b\a\r\u009b\u202e") {
				t.Errorf("CheckTexts(%+v) = %q, which has the character in it", c.file, err)
			}
		})
	}
}

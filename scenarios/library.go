package scenarios

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"origin-storm/origin/document"
)

//go:embed *.yaml
var library embed.FS

//go:embed schema.json
var schema []byte

// Schema returns the JSON schema of scenario files.
func Schema() []byte { return bytes.Clone(schema) }

// Library returns the scenarios of the library, by name.
func Library() []Scenario {
	files, err := fs.Glob(library, "*.yaml")
	if err != nil {
		panic(err) // the pattern is wrong
	}
	var all []Scenario
	for _, f := range files {
		s, _, err := Load(strings.TrimSuffix(f, ".yaml"))
		if err != nil {
			panic(err) // a test loads them all
		}
		all = append(all, s)
	}
	return all
}

// Load returns the scenario of that name in the library, or else the one in the file of that name, with what Parse does to
// it, and its source. The log of a replay is read once, to say what it is and whether it can be replayed.
func Load(nameOrFile string, set ...string) (Scenario, []byte, error) {
	file := nameOrFile + ".yaml"
	src, err := library.ReadFile(file)
	if err != nil {
		file = nameOrFile
		src, err = document.Read(file, maxFile)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Scenario{}, nil, fmt.Errorf("scenarios: %q is neither a file nor in the library%s: %w", nameOrFile, suggest(nameOrFile, names()), fs.ErrNotExist)
	case err != nil:
		return Scenario{}, nil, fmt.Errorf("scenarios: %w", err)
	}
	s, err := Parse(file, src, set...)
	if err == nil && s.Readers.Replay != nil {
		err = s.Readers.Replay.find(file, filepath.Dir(file), s)
	}
	return s, src, err
}

func names() []string {
	files, _ := fs.Glob(library, "*.yaml") // the pattern is right: Library would have panicked
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, ".yaml")
	}
	return files
}

// Marshal returns s as YAML with everything filled in; Parse reads it back.
func (s Scenario) Marshal() ([]byte, error) { return yaml.Marshal(s) }

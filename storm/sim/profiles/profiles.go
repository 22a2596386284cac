// Package profiles reads and writes the files that say what an origin costs in the simulator, and holds those that are part of the
// program. It neither fits them (package calibrate does) nor simulates anything.
package profiles

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/goccy/go-yaml"

	"origin-storm/storm/sim"
)

//go:embed *.yaml
var builtin embed.FS

// DefaultName is the name of the profile that is used where none is named.
const DefaultName = "two-cores"

// Default returns the profile that is used where none is named: fitted on runs over loopback on a machine with two cores, as its file
// says in detail.
func Default() sim.Profile {
	p, err := Load(DefaultName)
	if err != nil {
		panic(err) // it is part of the program, and a test reads it
	}
	return p
}

// Names returns the names of the profiles that are part of the program, sorted.
func Names() []string {
	files, err := fs.Glob(builtin, "*.yaml")
	if err != nil {
		panic(err) // the pattern is wrong
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, ".yaml")
	}
	return files
}

// most bounds what is read of a file that somebody names.
const most = 16 << 20

// Load returns the profile of that name that is part of the program, or else the one in the file of that name. What it misses, an unknown field
// or an impossible number is an error that says where.
func Load(nameOrFile string) (sim.Profile, error) {
	data, err := builtin.ReadFile(nameOrFile + ".yaml")
	if err != nil {
		data, err = read(nameOrFile)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return sim.Profile{}, fmt.Errorf("profiles: %q is neither a file nor one of this program's profiles (%s): %w",
			nameOrFile, strings.Join(Names(), ", "), fs.ErrNotExist)
	} else if err != nil {
		return sim.Profile{}, fmt.Errorf("profiles: %w", err)
	}
	return Parse(nameOrFile, data)
}

func read(file string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory: name a profile's file", file)
	case info.Size() > most:
		return nil, fmt.Errorf("%s has %d bytes, a profile at most %d: name a profile's file", file, info.Size(), most)
	}
	return os.ReadFile(file)
}

// Parse reads a profile from data; source names it in errors.
func Parse(source string, data []byte) (sim.Profile, error) {
	var p sim.Profile
	if err := yaml.UnmarshalWithOptions(data, &p, yaml.Strict()); err != nil {
		return sim.Profile{}, fmt.Errorf("profiles: %s: %w", source, err)
	}
	if err := p.Validate(); err != nil {
		return sim.Profile{}, fmt.Errorf("profiles: %s: %w", source, err)
	}
	return p, nil
}

// Marshal writes what Parse reads. p must be valid.
func Marshal(p sim.Profile) ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	data, err := yaml.MarshalWithOptions(p, yaml.IndentSequence(false), yaml.UseLiteralStyleIfMultiline(true))
	if err != nil {
		return nil, fmt.Errorf("profiles: %s: %w", p.Name, err)
	}
	return data, nil
}

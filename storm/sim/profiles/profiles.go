// Package profiles reads and writes the files that say what an origin costs in the simulator, and holds those that are part of the
// program. It neither fits them (package calibrate does) nor simulates anything.
package profiles

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/goccy/go-yaml"

	"origin-storm/origin/document"
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

// most is how many bytes a profile may have.
const most = 1 << 20

// Load returns the profile of that name that is part of the program, or else the one in the file of that name. What it misses, an unknown field
// or an impossible number is an error that says where.
func Load(nameOrFile string) (sim.Profile, error) {
	data, err := builtin.ReadFile(nameOrFile + ".yaml")
	if err != nil {
		data, err = document.Read(nameOrFile, most)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return sim.Profile{}, fmt.Errorf("profiles: %q is neither a file nor one of this program's profiles (%s): %w",
			nameOrFile, strings.Join(Names(), ", "), fs.ErrNotExist)
	} else if err != nil {
		return sim.Profile{}, fmt.Errorf("profiles: %w", err)
	}
	return Parse(nameOrFile, data)
}

// Parse reads a profile from data; source names it in errors.
func Parse(source string, data []byte) (sim.Profile, error) {
	p, err := decode(data)
	if err == nil {
		p.Digest, err = digest(p) // which checks it
	}
	if err != nil {
		return sim.Profile{}, fmt.Errorf("profiles: %s: %w", source, err)
	}
	return p, nil
}

// digest is that of p as Marshal writes it, so that comments and the order of fields make no difference.
func digest(p sim.Profile) (string, error) {
	data, err := Marshal(p)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// decode reads the one document in data, and refuses what would be too much for the parser.
func decode(data []byte) (p sim.Profile, err error) {
	if len(data) > most {
		return p, fmt.Errorf("more than %d bytes are no profile: name a profile's file", most)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // the byte order mark that some editors put first
	if err := document.CheckDepth(data); err != nil {
		return p, err
	}
	defer func() {
		if r := recover(); r != nil { // goccy's answer to a list that is longer than the array it is for, and to some syntax
			err = fmt.Errorf("what is in it makes the YAML parser fail (%v): look for a list with too many values, such as a ci with more than two", r)
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := d.Decode(&p); err != nil && err != io.EOF { // of nothing at all, everything is missing
		return p, err
	}
	if err := d.Decode(new(any)); err != io.EOF {
		return p, errors.New("a second document begins in it: a file holds one profile; give each its own")
	}
	return p, document.CheckTexts(p)
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

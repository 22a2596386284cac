// Package profiles reads cost profiles: the published ones, which are part of the program, and files of the same form.
package profiles

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/goccy/go-yaml"

	"origin-storm/origin/cost"
	"origin-storm/origin/document"
)

//go:embed *.yaml
var published embed.FS

// Names returns the names of the published profiles, sorted.
func Names() []string {
	files, err := fs.Glob(published, "*.yaml")
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

// Load returns the published profile of that name, or else the one in the file of that name. An unknown field, a wrong unit or an
// impossible number is an error that says where.
func Load(nameOrFile string) (cost.Profile, error) {
	data, err := published.ReadFile(nameOrFile + ".yaml")
	if err != nil {
		data, err = document.Read(nameOrFile, most)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return cost.Profile{}, fmt.Errorf("profiles: %q is neither a file nor a published profile (%s): %w",
			nameOrFile, strings.Join(Names(), ", "), fs.ErrNotExist)
	} else if err != nil {
		return cost.Profile{}, fmt.Errorf("profiles: %w", err)
	}
	return Parse(nameOrFile, data)
}

// Parse reads a profile from data; source names it in errors.
func Parse(source string, data []byte) (cost.Profile, error) {
	p, err := decode(data)
	if err == nil {
		err = p.Validate()
	}
	if err != nil {
		return cost.Profile{}, fmt.Errorf("profiles: %s: %w", source, err)
	}
	return p, nil
}

// decode reads the profile in data, and refuses what would be too much for the parser.
func decode(data []byte) (p cost.Profile, err error) {
	if err := document.CheckDepth(data); err != nil {
		return p, err
	}
	defer func() { // the YAML library panics on some malformed documents, such as a list that is longer than the array it is for
		if v := recover(); v != nil {
			err = fmt.Errorf("what is in it makes the YAML parser fail: %v", v)
		}
	}()
	if err := yaml.UnmarshalWithOptions(data, &p, yaml.Strict()); err != nil {
		return p, err
	}
	return p, document.CheckTexts(p)
}

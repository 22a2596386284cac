// Package profiles reads cost profiles: the published ones, which are part of the program, and files of the same form.
package profiles

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/goccy/go-yaml"

	"origin-storm/origin/cost"
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

// Load returns the published profile of that name, or else the one in the file of that name. An unknown field, a wrong unit or an
// impossible number is an error that says where.
func Load(nameOrFile string) (cost.Profile, error) {
	data, err := published.ReadFile(nameOrFile + ".yaml")
	if err != nil {
		data, err = os.ReadFile(nameOrFile)
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
	var p cost.Profile
	if err := yaml.UnmarshalWithOptions(data, &p, yaml.Strict()); err != nil {
		return cost.Profile{}, fmt.Errorf("profiles: %s: %w", source, err)
	}
	if err := p.Validate(); err != nil {
		return cost.Profile{}, fmt.Errorf("profiles: %s: %w", source, err)
	}
	return p, nil
}

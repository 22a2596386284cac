// Package document reads the files that people hand to the program, such as scenarios, profiles and configurations: whole, bounded, and
// without waiting for anybody. It knows the shape of YAML, and not what any file means.
package document

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// Open opens a regular file for reading; the caller closes it. Anything else that a path may name is refused: a pipe would keep its
// reader waiting, a device may have no end, and neither can be read a second time. Errors name file, and wrap what the system said.
func Open(file string) (*os.File, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return nil, fmt.Errorf("%s is a directory, not a file", file)
	case mode&fs.ModeNamedPipe != 0:
		return nil, fmt.Errorf("%s is a pipe, not a file: write what comes out of it to a file, and name that", file)
	case !mode.IsRegular():
		return nil, fmt.Errorf("%s is no regular file: name one", file)
	}
	return os.Open(file)
}

// Read returns what is in a regular file, of which there may be most bytes. Errors are those of Open, and name file.
func Read(file string, most int) ([]byte, error) {
	f, err := Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(b) > most {
		err = fmt.Errorf("%s has too many bytes: %d are the most that can be meant", file, most)
	}
	return b, err
}

// Deepest is how deep lists and mappings may stand within one another on a line. The memory of the YAML parser grows with the square of
// the depth: 200 kB of brackets took 20 GB.
const Deepest = 64

// TooDeep returns the token of some YAML at which brackets, or dashes on one line, are nested deeper than Deepest, or nil: what it
// finds must not be given to a parser. Depth by indentation is bounded by the size of a file.
func TooDeep(tokens token.Tokens) *token.Token {
	brackets, dashes, line := 0, 0, 0
	for _, tk := range tokens {
		switch tk.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType:
			if tk.Position.Line != line {
				dashes, line = 0, tk.Position.Line
			}
			dashes++
		}
		if brackets > Deepest || dashes > Deepest {
			return tk
		}
	}
	return nil
}

// CheckDepth returns an error that names the line at which some YAML is too deep for a parser, or nil.
func CheckDepth(text []byte) error {
	if tk := TooDeep(lexer.Tokenize(string(text))); tk != nil {
		return fmt.Errorf("line %d: lists and mappings stand within one another, more than %d deep", tk.Position.Line, Deepest)
	}
	return nil
}

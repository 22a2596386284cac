package gate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// MarshalText writes base or head.
func (s Side) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Side) UnmarshalText(text []byte) error {
	for _, side := range []Side{Base, Head} {
		if side.String() == string(text) {
			*s = side
			return nil
		}
	}
	return fmt.Errorf("gate: there is no side %q: base or head", text)
}

// MarshalText writes lower or higher.
func (b Better) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (b *Better) UnmarshalText(text []byte) error {
	for _, better := range []Better{Lower, Higher} {
		if better.String() == string(text) {
			*b = better
			return nil
		}
	}
	return fmt.Errorf("gate: nothing gets better by being %q: lower or higher", text)
}

// line is one block in a file of blocks.
type line struct {
	Quad int `json:"quad"` // from 0
	Nth  int `json:"block"`
	Block
}

// WriteQuads writes quads, of which the first is the job's number from, as newline-delimited JSON: one line for each block, in the order
// in which they were measured, with quad and block counted from 0, side, and samples by name.
func WriteQuads(w io.Writer, from int, quads ...Quad) error {
	e := json.NewEncoder(w)
	for i, q := range quads {
		for nth, b := range q {
			if err := e.Encode(line{from + i, nth, b}); err != nil {
				return fmt.Errorf("gate: quad %d: %w", from+i, err)
			}
		}
	}
	return nil
}

// longest bounds a line of a file of blocks.
const longest = 64 << 20

// ReadQuads reads what WriteQuads wrote, the first quad being number 0. An error wraps ErrData if that is no file of blocks, or
// one that was cut off or put together wrongly: quads that are missing may be those that mattered.
func ReadQuads(r io.Reader) ([]Quad, error) {
	var quads []Quad
	bad := func(n int, format string, a ...any) error {
		return fmt.Errorf("gate: blocks, line %d: %w: %w", n, ErrData, fmt.Errorf(format, a...))
	}
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 64<<10), longest)
	n := 0
	for in.Scan() {
		var l line
		d := json.NewDecoder(bytes.NewReader(in.Bytes()))
		d.DisallowUnknownFields()
		if err := d.Decode(&l); err != nil {
			return nil, bad(n+1, "%w", err)
		}
		if d.More() {
			return nil, bad(n+1, "more than one value on it")
		}
		if l.Quad != n/4 || l.Nth != n%4 {
			return nil, bad(n+1, "block %d of quad %d where block %d of quad %d belongs", l.Nth, l.Quad, n%4, n/4)
		}
		if l.Nth == 0 {
			quads = append(quads, Quad{})
		}
		quads[l.Quad][l.Nth] = l.Block
		n++
	}
	switch err := in.Err(); {
	case err != nil:
		return nil, bad(n+1, "%w", err)
	case n%4 != 0:
		return nil, bad(n, "the file ends in the middle of a quad")
	case n == 0:
		return nil, bad(1, "%w", errors.New("there are none"))
	}
	return slices.Clip(quads), nil
}

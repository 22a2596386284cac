package bmff

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What callers branch on; the errors of this package wrap one of them.
var (
	// ErrForeign: the bytes do not begin like ISO BMFF. They may be a sound segment of another format.
	ErrForeign = errors.New("bmff: not ISO BMFF")
	// ErrMalformed: they do, and what follows makes no sense.
	ErrMalformed = errors.New("bmff: malformed")
	// ErrTooLong: there is more to look at than an inspection may cost.
	ErrTooLong = errors.New("bmff: too long to inspect")
)

// fourCC is the type of a box, a brand, a handler or a sample entry.
type fourCC [4]byte

func (k fourCC) String() string { return string(k[:]) }

func kind(s string) fourCC { return fourCC([]byte(s)) }

// boxes goes over the boxes of one level, one after the other; it never descends by itself, so that nothing nests deeper than
// the code that reads it.
type boxes struct {
	rest []byte

	kind fourCC
	body []byte // after the header
	// cut: the box ends beyond the bytes at hand; body is what there is of it. Where not even its header is there, err is set, too.
	cut bool
	err error
}

// next goes to the next box and reports whether there is one; after the last one err says whether all was well.
func (s *boxes) next() bool {
	if s.err != nil || len(s.rest) == 0 || s.cut {
		return false
	}
	if len(s.rest) < 8 {
		s.cut = true
		s.err = fmt.Errorf("%w: %d bytes after the last box", ErrMalformed, len(s.rest))
		return false
	}
	size, header := uint64(binary.BigEndian.Uint32(s.rest)), 8
	s.kind = fourCC(s.rest[4:8])
	switch size {
	case 0: // to the end
		size = uint64(len(s.rest))
	case 1:
		if len(s.rest) < 16 {
			s.cut = true
			s.err = fmt.Errorf("%w: box %q ends within its header", ErrMalformed, s.kind)
			return false
		}
		size, header = binary.BigEndian.Uint64(s.rest[8:]), 16
	}
	if size < uint64(header) {
		s.err = fmt.Errorf("%w: box %q of %d bytes", ErrMalformed, s.kind, size)
		return false
	}
	if size > uint64(len(s.rest)) {
		s.cut = true
		size = uint64(len(s.rest))
	}
	s.body, s.rest = s.rest[header:size], s.rest[size:]
	return true
}

// within goes over the boxes inside another one, where none may end beyond it.
func within(b []byte, each func(kind fourCC, body []byte) error) error {
	s := boxes{rest: b}
	for s.next() {
		if s.cut {
			return fmt.Errorf("%w: box %q ends beyond the one that it is in", ErrMalformed, s.kind)
		}
		if err := each(s.kind, s.body); err != nil {
			return err
		}
	}
	return s.err
}

// fields reads a box's fields one after the other; past the end it returns zeros, and short says so.
type fields struct {
	rest  []byte
	short bool
}

func (f *fields) take(n int) []byte {
	if n > len(f.rest) {
		f.rest, f.short = nil, true
		return nil
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) skip(n int) { f.take(n) }

func (f *fields) u8() uint8 {
	if b := f.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (f *fields) u16() uint16 {
	if b := f.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (f *fields) u32() uint32 {
	if b := f.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (f *fields) u64() uint64 {
	if b := f.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (f *fields) fourCC() (k fourCC) {
	copy(k[:], f.take(4))
	return k
}

// full reads what a full box begins with.
func (f *fields) full() (version uint8, flags uint32) {
	v := f.u32()
	return uint8(v >> 24), v & 0xffffff
}

// sized reads a number of 64 bits in version 1 of a box, else of 32.
func (f *fields) sized(version uint8) uint64 {
	if version == 1 {
		return f.u64()
	}
	return uint64(f.u32())
}

// done returns an error if box k ended before its last field.
func (f *fields) done(k string) error {
	if f.short {
		return fmt.Errorf("%w: box %q is too short for its fields", ErrMalformed, k)
	}
	return nil
}

package body

import (
	"bytes"
	"io"
	"sync"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// buffer is what bodies are read into: large, since a system call for every few KiB costs more than to compare them, and small
// enough to stay in a processor's own cache.
type buffer [256 << 10]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// Discard reads r to its end, as Verify does but for the comparing, and returns how many bytes came.
func Discard(r io.Reader) (n int64, err error) {
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	for {
		m, err := r.Read(b[:])
		n += int64(m)
		if err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

// Verify is Check without what a fault did to the body.
func Verify(r io.Reader, want segment.ID, length int64) (n int64, got segment.ID, damage storm.Damage, err error) {
	n, got, _, damage, err = Check(r, want, length)
	return n, got, damage, err
}

// Check reads r to its end and compares it with the body that it says it is. want is what was asked for, with a Pipeline if
// the answer names one; length is the answer's Content-Length, or -1. n is how many bytes came, got whose they are and effect what
// a fault of the scenario did to them before they were published, as far as the body says: that is no damage. Damage is
//
//   - Torn: cut short, too long, or bytes of more than one body
//   - Wrong: whole, but of another event, rendition or number, or nothing that this package made
//   - Stale: whole and of the right name, but of another pipeline than want's
//
// err is what r failed with; then damage speaks of the bytes before that, and their being cut short is no damage.
func Check(r io.Reader, want segment.ID, length int64) (n int64, got segment.ID, effect storm.Effect, damage storm.Damage, err error) {
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	var (
		buf  = b[:]
		have int // bytes at the front of buf that were not compared yet
		v    verifier
	)
	for {
		m, e := r.Read(buf[have:])
		n += int64(m)
		have += m
		end := e != nil
		if end || have >= MinSize {
			have = v.compare(buf[:have], end)
		}
		if e == io.EOF {
			break
		} else if e != nil {
			if v.short {
				v.damage = storm.None
			}
			return n, v.id, v.effect, v.damage, e
		}
	}
	switch {
	case v.damage != storm.None:
	case length >= 0 && n != length:
		v.damage = storm.Torn
	case v.id.Asked() != want.Asked():
		v.damage = storm.Wrong
	case want.Pipeline != "" && v.id.Pipeline != "" && want.Pipeline != v.id.Pipeline:
		v.damage = storm.Stale
	}
	return n, v.id, v.effect, v.damage, nil
}

// verifier compares a body piece by piece.
type verifier struct {
	mark
	begun  bool // the head was looked at
	k      uint64
	at     int // offset of the first byte that was not compared
	damage storm.Damage
	short  bool // the damage is that bytes are missing at the end
}

// compare takes b, which begins with what the last call left, and moves what it leaves to b's front. The first call has a
// whole head, or end, which says that nothing follows.
func (v *verifier) compare(b []byte, end bool) (left int) {
	rest := b
	if !v.begun {
		v.begun = true
		rest = v.head(b)
	}
	if v.damage != storm.None {
		return 0
	}
	whole := len(rest)
	if !end {
		whole -= whole % line
	}
	if v.at+whole > v.size || !same(rest[:whole], v.k, v.at/line) {
		v.damage = storm.Torn
		return 0
	}
	v.at += whole
	if end && v.at < v.size {
		v.damage, v.short = storm.Torn, true
	}
	return copy(b, rest[whole:])
}

// head looks at the front of a body and returns what follows its head.
func (v *verifier) head(b []byte) []byte {
	m, ok := readMark(b)
	switch {
	case ok:
		v.mark, v.k = m, m.key()
		head := m.appendHead(make([]byte, 0, initHead))
		v.at = min(len(head), len(b))
		if !bytes.Equal(b[:v.at], head[:v.at]) {
			v.damage = storm.Torn
		} else if len(b) < len(head) {
			v.damage, v.short = storm.Torn, true
		}
	case len(b) < typeSize+markSize && (bytes.HasPrefix(fragmentType, b[:min(len(b), typeSize)]) || bytes.HasPrefix(initType, b[:min(len(b), typeSize)])):
		v.damage, v.short = storm.Torn, true
	case fromSome(b), bytes.Contains(b[:min(len(b), MinSize)], []byte(markUser)): // no further: b may hold more, as the reads fell
		v.damage = storm.Torn
	default:
		v.damage = storm.Wrong
	}
	return b[v.at:]
}

var (
	fragmentType = mark{size: MinSize}.appendHead(nil)[:typeSize]
	initType     = mark{size: MinSize, id: segment.ID{Number: segment.Init}}.appendHead(nil)[:typeSize]
)

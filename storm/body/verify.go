package body

import (
	"bytes"
	"fmt"
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

// Found is what a body turned out to be.
type Found struct {
	Bytes  int64        // how many came
	ID     segment.ID   // whose they are, as far as the body says
	Effect storm.Effect // what a fault of the scenario did to them before they were published, as far as the body says: no damage
	Damage storm.Damage // never Stale, which only an answer's header can show
	Flaw   string       // what is wrong with them, said to people; empty where Damage is None
}

// Verify reads r to its end and compares it with the body that it says it is. want is what was asked for, with a Pipeline if
// the answer names one; length is the answer's Content-Length, or -1. The Damage found is
//
//   - Torn: cut short, too long, or with bytes that are no part of the body
//   - Wrong: whole, but of another event, rendition or number, or nothing that this package made
//   - Cross: whole and of the right name, but of another pipeline than want's; or whole up to a line of another pipeline's copy
//     of the same segment
//
// err is what r failed with; then Damage speaks of the bytes before that, and their being cut short is no damage.
func Verify(r io.Reader, want segment.ID, length int64) (found Found, err error) {
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	var (
		buf  = b[:]
		have int // bytes at the front of buf that were not compared yet
		v    verifier
		n    int64
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
				v.damage, v.flaw = storm.None, ""
			}
			return Found{n, v.id, v.effect, v.damage, v.flaw}, e
		}
	}
	switch {
	case v.damage != storm.None && v.short:
		v.spoilt(storm.Torn, "%d bytes came, of %s", n, v.whole())
	case v.damage != storm.None:
	case length >= 0 && n != length:
		v.spoilt(storm.Torn, "%d bytes came, the header said %d", n, length)
	case v.id.Asked() != want.Asked():
		v.spoilt(storm.Wrong, "whole, but it is %v", v.id)
	case want.Pipeline != "" && v.id.Pipeline != "" && want.Pipeline != v.id.Pipeline:
		v.spoilt(storm.Cross, "pipeline %s's bytes as pipeline %s's", v.id.Pipeline, want.Pipeline)
	}
	return Found{n, v.id, v.effect, v.damage, v.flaw}, nil
}

// verifier compares a body piece by piece.
type verifier struct {
	mark
	begun  bool // the head was looked at
	k      uint64
	at     int // offset of the first byte that was not compared
	damage storm.Damage
	flaw   string
	short  bool // the damage is that bytes are missing at the end
}

func (v *verifier) spoilt(by storm.Damage, format string, a ...any) {
	v.damage, v.flaw = by, fmt.Sprintf(format, a...)
}

// whole says how much a body that is cut short ought to be.
func (v *verifier) whole() string {
	if v.size == 0 {
		return "a segment's beginning"
	}
	return fmt.Sprint(v.size)
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
	if within := min(whole, v.size-v.at); !same(rest[:within], v.k, v.at/line) {
		v.foreign(rest[:within])
		return 0
	} else if within < whole {
		v.spoilt(storm.Torn, "more than its %d bytes", v.size)
		return 0
	}
	v.at += whole
	if end && v.at < v.size {
		v.damage, v.short = storm.Torn, true
	}
	return copy(b, rest[whole:])
}

// foreign says whose the first line of b is that is not the body's own. b begins at a line.
func (v *verifier) foreign(b []byte) {
	for same(b[:min(line, len(b))], v.k, v.at/line) {
		b, v.at = b[line:], v.at+line
	}
	key, ok := keyOf(b[:min(line, len(b))], v.at/line)
	switch differs := key ^ v.k; {
	case ok && differs&segmentBits == 0 && differs&pipelineBits != 0:
		v.spoilt(storm.Cross, "pipeline %s's bytes, and from byte %d on another pipeline's", v.id.Pipeline, v.at)
	case ok && differs&segmentBits != 0:
		v.spoilt(storm.Torn, "bytes of another segment from byte %d on", v.at)
	default:
		v.spoilt(storm.Torn, "not its own bytes from byte %d on", v.at)
	}
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
			v.spoilt(storm.Torn, "its head is not what its mark says")
		} else if len(b) < len(head) {
			v.damage, v.short = storm.Torn, true
		}
	case len(b) < typeSize+markSize && (bytes.HasPrefix(fragmentType, b[:min(len(b), typeSize)]) || bytes.HasPrefix(initType, b[:min(len(b), typeSize)])):
		v.damage, v.short = storm.Torn, true
	case fromSome(b), bytes.Contains(b[:min(len(b), MinSize)], []byte(markUser)): // no further: b may hold more, as the reads fell
		v.spoilt(storm.Torn, "a part of a segment, without its beginning")
	default:
		v.spoilt(storm.Wrong, "nothing that a packager of this run made")
	}
	return b[v.at:]
}

var (
	fragmentType = mark{size: MinSize}.appendHead(nil)[:typeSize]
	initType     = mark{size: MinSize, id: segment.ID{Number: segment.Init}}.appendHead(nil)[:typeSize]
)

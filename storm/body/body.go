// Package body makes the bytes of a segment, and tells from bytes alone whether they are whole, whose they are, and whether
// they are what was asked for. A body is a valid CMAF fragment whose media is noise: every 64-byte line of it depends on
// event, pipeline, rendition, number, size and offset, and a small box near its start names them, so that a reader needs to
// be told nothing. The package encodes no video and knows no other origin's media.
package body

import (
	"encoding/binary"
	"io"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

const (
	// MinSize is the length in bytes of the shortest body; a smaller one that is asked for has this length.
	MinSize = 1024
	// MaxSize bounds a body: the length of a box has 32 bits.
	MaxSize = 1 << 31

	line = 64
)

// Size is the length in bytes of the body that New makes when size bytes are asked for: size itself from MinSize to MaxSize.
func Size(size int) int { return min(max(size, MinSize), MaxSize) }

// New returns the body of id, Size(size) bytes long: a fragment, or of segment.Init the initialisation segment. t gives its
// decode time, duration and timescale. Equal arguments give equal bytes; without a pipeline, bytes that all pipelines share.
func New(id segment.ID, t segment.Template, size int) []byte {
	return Append(nil, id, t, size)
}

// Append appends what New returns to b.
func Append(b []byte, id segment.ID, t segment.Template, size int) []byte {
	m := newMark(id, t, size)
	at := len(b)
	b = append(b, make([]byte, m.size)...)
	head := m.appendHead(b[at:at])
	fill(b[at+len(head):], m.key(), len(head)/line)
	return b
}

// Reader is a body as a stream, made while it is read. It is not safe for concurrent use.
type Reader struct {
	head []byte
	key  uint64
	size int
	at   int // offset of the next byte
}

// NewReader returns the bytes of New without holding them.
func NewReader(id segment.ID, t segment.Template, size int) *Reader {
	return Twisted(id, t, size, storm.Twist{})
}

// Twisted returns the bytes that NewReader would, changed as a fault of the scenario says. They are as valid, and tell of the fault.
func Twisted(id segment.ID, t segment.Template, size int, twist storm.Twist) *Reader {
	m := newMark(id, t, size)
	m.twist(twist)
	return &Reader{head: m.appendHead(nil), key: m.key(), size: m.size}
}

// Len is how many bytes are left to read.
func (r *Reader) Len() int { return r.size - r.at }

// Read fills p as far as the body reaches, and returns io.EOF after its last byte. There is no other error.
func (r *Reader) Read(p []byte) (n int, err error) {
	if r.at == r.size {
		return 0, io.EOF
	}
	p = p[:min(len(p), r.size-r.at)]
	if r.at < len(r.head) {
		n = copy(p, r.head[r.at:])
	}
	if odd := (r.at + n) % line; odd != 0 { // somebody reads odd lengths
		var l [line]byte
		fill(l[:], r.key, (r.at+n)/line)
		n += copy(p[n:], l[odd:])
	}
	fill(p[n:], r.key, (r.at+n)/line)
	r.at += len(p)
	return len(p), nil
}

var _ io.Reader = (*Reader)(nil)

// One mix gives a line its eight words: they are the mix xor a constant each. So a line costs a few nanoseconds, no two
// words of a body are alike to a compressing store, and any eight words can be recognised as a line of some body: the xor of
// neighbours is a constant.
const (
	gamma = 0x9e3779b97f4a7c15 // splitmix64's step

	// Words of π's fraction, so that nobody need wonder.
	k0 = 0x243f6a8885a308d3
	k1 = 0x13198a2e03707344
	k2 = 0xa4093822299f31d0
	k3 = 0x082efa98ec4e6c89
	k4 = 0x452821e638d01377
	k5 = 0xbe5466cf34e90c6c
	k6 = 0xc0ac29b7c97c50dd
	k7 = 0x3f84d5b5b5470917
)

// mix is the output function of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unmix returns the z of which mix makes w.
func unmix(w uint64) uint64 {
	w = (w ^ w>>31 ^ w>>62) * 0x319642b2d24d8ec3
	w = (w ^ w>>27 ^ w>>54) * 0x96de1b173f119089
	return w ^ w>>30 ^ w>>60
}

// keyOf returns the key of the body whose line number n is at the front of l; ok is false if it is a line of none, or too little of
// it is there to tell.
func keyOf(l []byte, n int) (key uint64, ok bool) {
	if len(l) < 16 {
		return 0, false
	}
	key = unmix(binary.LittleEndian.Uint64(l)^k0) - uint64(n)*gamma
	return key, same(l, key, n)
}

// fill writes lines into b from line number n on; the last may be cut.
func fill(b []byte, key uint64, n int) {
	for ; len(b) >= line; b, n = b[line:], n+1 {
		l := (*[line]byte)(b)
		w := mix(key + uint64(n)*gamma)
		binary.LittleEndian.PutUint64(l[0:8], w^k0)
		binary.LittleEndian.PutUint64(l[8:16], w^k1)
		binary.LittleEndian.PutUint64(l[16:24], w^k2)
		binary.LittleEndian.PutUint64(l[24:32], w^k3)
		binary.LittleEndian.PutUint64(l[32:40], w^k4)
		binary.LittleEndian.PutUint64(l[40:48], w^k5)
		binary.LittleEndian.PutUint64(l[48:56], w^k6)
		binary.LittleEndian.PutUint64(l[56:64], w^k7)
	}
	if len(b) > 0 {
		var l [line]byte
		fill(l[:], key, n)
		copy(b, l[:])
	}
}

// same reports whether b holds the lines from line number n on; the last may be cut.
func same(b []byte, key uint64, n int) bool {
	for ; len(b) >= line; b, n = b[line:], n+1 {
		l := (*[line]byte)(b)
		w := mix(key + uint64(n)*gamma)
		if (binary.LittleEndian.Uint64(l[0:8])^k0^w)|(binary.LittleEndian.Uint64(l[8:16])^k1^w)|
			(binary.LittleEndian.Uint64(l[16:24])^k2^w)|(binary.LittleEndian.Uint64(l[24:32])^k3^w)|
			(binary.LittleEndian.Uint64(l[32:40])^k4^w)|(binary.LittleEndian.Uint64(l[40:48])^k5^w)|
			(binary.LittleEndian.Uint64(l[48:56])^k6^w)|(binary.LittleEndian.Uint64(l[56:64])^k7^w) != 0 {
			return false
		}
	}
	if len(b) == 0 {
		return true
	}
	var l [line]byte
	fill(l[:], key, n)
	return string(b) == string(l[:len(b)])
}

// fromSome reports whether the front of b is within the lines of any body at all, at whatever offset.
func fromSome(b []byte) bool {
	for i := 0; i < line && i+16 <= len(b); i++ {
		if binary.LittleEndian.Uint64(b[i:])^binary.LittleEndian.Uint64(b[i+8:]) == k0^k1 {
			return true
		}
	}
	return false
}

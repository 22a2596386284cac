package storage

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/zeebo/xxh3"

	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

// Meta is what a packager says about its copy of a segment.
type Meta struct {
	Flaws policy.Flaws
}

// A Commit makes one pipeline's copy of a segment readable: it is written after all chunks are, and says where they are.
type Commit struct {
	ID     segment.ID // with its pipeline
	Meta   Meta
	Size   int64             // of the body, in bytes
	Digest [sha256.Size]byte // SHA-256 of the body, whatever the chunk size
	// Published is when the copy was handed to the store; Until is how long it is kept.
	Published, Until time.Time

	chunks []chunk // in order; empty if the body is inline
	inline []byte
	sum    sum // of inline
}

// chunk is one part of a body.
type chunk struct {
	digest [sha256.Size]byte // SHA-256 of the body from its beginning to the end of this chunk; of the last chunk the body's own
	size   int64
	sum    sum
}

// A sum is what every read is checked against: XXH3 in 128 bits. SHA-256, which keys a chunk so that no packager can forge
// another one's, takes longer than reading them from a cache does (BenchmarkVerify); a sum tells damage as
// surely, and who could forge one could write the Commit that holds it.
type sum [16]byte

func sumOf(b []byte) sum { return xxh3.Hash128(b).Bytes() }

// Sound reports whether the packager found nothing wrong with this copy.
func (c *Commit) Sound() bool { return c.Meta.Flaws.Sound() }

// ETag returns the strong entity tag of the body, quoted: the first 128 bits of its SHA-256. Equal bytes have equal tags,
// from whichever pipeline and in whatever chunks.
func (c *Commit) ETag() string { return `"` + hex.EncodeToString(c.Digest[:16]) + `"` }

// Chunks is how many chunks the body is kept in; 0 if it is inline.
func (c *Commit) Chunks() int { return len(c.chunks) }

// The encoding of a Commit, all numbers big-endian or unsigned varints:
//
//	"OSC" version
//	event, pipeline, rendition: one byte of length, then the name; number + 1 as varint
//	flaws, one byte; published and until in nanoseconds since 1970, 8 bytes each
//	digest; size as varint; number of chunks as varint; per chunk its digest, its sum, and its size as varint
//	without chunks: the sum of the body
//	CRC-32C of all the above, 4 bytes
//	without chunks: the body itself
//
// The identity is repeated from the key so that a store that mixes up keys is found out.
const (
	magic   = "OSC"
	version = 1

	// maxChunks bounds what a decoder allocates: 65,536 chunks of 64 KiB are 4 GiB.
	maxChunks = 1 << 16
	// minChunk is how many bytes a chunk takes in the encoding, at least.
	minChunk = sha256.Size + len(sum{}) + 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode returns the bytes of c. A body that is inline is copied.
func (c *Commit) encode() []byte {
	b := make([]byte, 0, 256+len(c.chunks)*(minChunk+3)+len(c.inline))
	b = append(append(b, magic...), version)
	for _, name := range [...]string{c.ID.Event, c.ID.Pipeline, c.ID.Rendition} {
		b = append(append(b, byte(len(name))), name...)
	}
	b = binary.AppendUvarint(b, uint64(c.ID.Number+1))
	b = append(b, byte(c.Meta.Flaws))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Published.UnixNano()))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Until.UnixNano()))
	b = append(b, c.Digest[:]...)
	b = binary.AppendUvarint(b, uint64(c.Size))
	b = binary.AppendUvarint(b, uint64(len(c.chunks)))
	for _, ch := range c.chunks {
		b = append(append(b, ch.digest[:]...), ch.sum[:]...)
		b = binary.AppendUvarint(b, uint64(ch.size))
	}
	if len(c.chunks) == 0 {
		b = append(b, c.sum[:]...)
	}
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return append(b, c.inline...)
}

// decode is the inverse of encode. It accepts nothing that encode does not write, so that equal Commits have equal bytes,
// and wraps ErrCorrupt. The Commit keeps a part of b where its body is inline; that this matches its sum, Body checks.
func decode(b []byte) (*Commit, error) {
	d := decoder{rest: b}
	if string(d.take(len(magic))) != magic {
		return nil, fmt.Errorf("%w: %d bytes that do not begin with %q", ErrCorrupt, len(b), magic)
	}
	if v := d.byte(); v != version {
		return nil, fmt.Errorf("%w: of version %d; this program reads version %d", ErrCorrupt, v, version)
	}
	c := &Commit{}
	for _, name := range [...]*string{&c.ID.Event, &c.ID.Pipeline, &c.ID.Rendition} {
		if *name = string(d.take(int(d.byte()))); d.err == nil {
			d.err = segment.CheckName(*name)
		}
	}
	c.ID.Number = d.uvarint(math.MaxInt64) - 1
	c.Meta.Flaws = policy.Flaws(d.byte())
	c.Published = time.Unix(0, int64(d.uint64()))
	c.Until = time.Unix(0, int64(d.uint64()))
	copy(c.Digest[:], d.take(sha256.Size))
	c.Size = d.uvarint(math.MaxInt64)
	if n := d.uvarint(maxChunks); n > 0 && n <= int64(len(d.rest)/minChunk) {
		c.chunks = make([]chunk, n)
	} else if n > 0 {
		d.fail("announces %d chunks in %d bytes", n, len(d.rest))
	}
	var total int64
	for i := range c.chunks {
		copy(c.chunks[i].digest[:], d.take(sha256.Size))
		copy(c.chunks[i].sum[:], d.take(len(sum{})))
		size := d.uvarint(math.MaxInt64 - total)
		if size == 0 {
			d.fail("chunk %d is empty", i)
		}
		c.chunks[i].size = size
		total += size
	}
	if len(c.chunks) == 0 {
		copy(c.sum[:], d.take(len(sum{})))
	}
	crc := crc32.Checksum(b[:len(b)-len(d.rest)], castagnoli)
	if got := d.uint32(); d.err == nil && got != crc {
		d.fail("checksum %08x, want %08x", got, crc)
	}
	if len(c.chunks) == 0 {
		c.inline = d.rest
		total = int64(len(d.rest))
	} else if len(d.rest) > 0 {
		d.fail("%d bytes after the end", len(d.rest))
	}
	switch {
	case d.err != nil:
	case total != c.Size:
		d.fail("holds %d bytes of a body of %d", total, c.Size)
	case !c.Meta.Flaws.Valid():
		d.fail("flaws %#x", byte(c.Meta.Flaws))
	}
	if d.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, d.err)
	}
	return c, nil
}

// decoder reads from rest; after the first error it returns zeros.
type decoder struct {
	rest []byte
	err  error
}

var errShort = errors.New("ends in the middle")

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

func (d *decoder) take(n int) []byte {
	if d.err == nil && n > len(d.rest) {
		d.err = errShort
	}
	if d.err != nil {
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// uvarint reads a varint in its shortest form and of at most limit.
func (d *decoder) uvarint(limit int64) int64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.rest)
	switch {
	case n == 0:
		d.err = errShort
	case n < 0 || v > uint64(limit) || n > 1 && d.rest[n-1] == 0:
		d.fail("a number that is out of range or not in its shortest form")
	}
	if d.err != nil {
		return 0
	}
	d.rest = d.rest[n:]
	return int64(v)
}

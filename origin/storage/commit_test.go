package storage

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"math"
	"os"
	"reflect"
	"testing"
	"time"

	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func sampleCommits() map[string]*Commit {
	digest := func(s string) [sha256.Size]byte { return sha256.Sum256([]byte(s)) }
	sum := func(s string) sum { return sumOf([]byte(s)) }
	id := segment.ID{Event: "ev", Pipeline: "a", Rendition: "v1", Number: 42}
	initID := id
	initID.Number = segment.Init
	at := time.Unix(1_900_000_000, 123_456_789)
	return map[string]*Commit{
		"inline":  {ID: id, Size: 4, Digest: digest("body"), Published: at, Until: at.Add(time.Hour), inline: []byte("body"), sum: sum("body")},
		"init":    {ID: initID, Size: 4, Digest: digest("init"), Published: at, Until: at.Add(time.Hour), inline: []byte("init"), sum: sum("init")},
		"empty":   {ID: id, Digest: digest(""), Published: at, Until: at, inline: []byte{}, sum: sum("")},
		"flawed":  {ID: id, Size: 4, Digest: digest("body"), Meta: Meta{Flaws: policy.Short | policy.Slate}, Published: at, Until: at.Add(1), inline: []byte("body"), sum: sum("body")},
		"chunked": {ID: id, Size: 300, Digest: digest("300"), Published: at, Until: at.Add(time.Hour), chunks: []chunk{{digest("x"), 200, sum("x")}, {digest("y"), 100, sum("y")}}},
		"huge": {ID: segment.ID{Event: string(bytes.Repeat([]byte("e"), 64)), Pipeline: "p-1", Rendition: "r.2_3", Number: 1 << 49}, Size: math.MaxInt64,
			Digest: digest("?"), Published: time.Unix(0, math.MinInt64), Until: time.Unix(0, math.MaxInt64), chunks: []chunk{{digest("x"), math.MaxInt64 - 1, sum("x")}, {digest("y"), 1, sum("y")}}},
	}
}

func TestCommitRoundTrip(t *testing.T) {
	for name, c := range sampleCommits() {
		t.Run(name, func(t *testing.T) {
			b := c.encode()
			got, err := decode(b)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c) {
				t.Errorf("decode(encode(c)) = %+v, want %+v", got, c)
			}
			for cut := range b {
				// A body that is inline is checked by its sum, but its length by the decoder.
				if _, err := decode(b[:cut]); !errors.Is(err, ErrCorrupt) {
					t.Errorf("decode of the first %d of %d bytes: %v, want ErrCorrupt", cut, len(b), err)
				}
			}
			for i := range len(b) - len(c.inline) {
				for bit := range 8 {
					damaged := bytes.Clone(b)
					damaged[i] ^= 1 << bit
					if _, err := decode(damaged); !errors.Is(err, ErrCorrupt) {
						t.Fatalf("decode with bit %d of byte %d flipped: %v, want ErrCorrupt", bit, i, err)
					}
				}
			}
			if _, err := decode(append(bytes.Clone(b), 0)); !errors.Is(err, ErrCorrupt) {
				t.Errorf("decode with a byte more: %v, want ErrCorrupt", err)
			}
		})
	}
}

// TestCommitFormat: what earlier versions wrote can be read by this one.
func TestCommitFormat(t *testing.T) {
	const golden = "testdata/commit-v1"
	want := sampleCommits()["chunked"]
	if *update {
		if err := os.WriteFile(golden, want.encode(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("decode(%s) = %+v, want %+v", golden, got, want)
	}
}

// FuzzCommit: whatever a store returns, decode neither panics nor takes much memory, and what it accepts has one encoding.
func FuzzCommit(f *testing.F) {
	for _, c := range sampleCommits() {
		f.Add(c.encode())
	}
	f.Add([]byte{})
	f.Add([]byte("OSC\x01"))
	f.Add([]byte("OSC\x02\x01e\x01p\x01r"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decode(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("decode: %v, want ErrCorrupt", err)
			}
			return
		}
		if again := c.encode(); !bytes.Equal(again, b) {
			t.Errorf("encode(decode(%x)) = %x", b, again)
		}
		_ = commitKey(c.ID)
		_ = c.ETag()
	})
}

// BenchmarkVerify compares what a read is checked with to what keys a chunk.
func BenchmarkVerify(b *testing.B) {
	val := make([]byte, DefaultChunkSize)
	b.Run("sum", func(b *testing.B) {
		b.SetBytes(int64(len(val)))
		for b.Loop() {
			sumOf(val)
		}
	})
	b.Run("SHA-256", func(b *testing.B) {
		b.SetBytes(int64(len(val)))
		for b.Loop() {
			sha256.Sum256(val)
		}
	})
}

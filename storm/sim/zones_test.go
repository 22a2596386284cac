package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	"origin-storm/origin/cost"
)

// TestZoneLosesTheOldest: a zone has what was written last as far as it fits, whatever that is, and each value since it was written last.
func TestZoneLosesTheOldest(t *testing.T) {
	const limit, size, chunks = 1000, 70, 3
	m := &run{c: Config{Topology: Topology{ZoneMemory: cost.Bytes(limit)}}}
	z := newZone(m, 0, nil)
	m.zones = []*zone{z}
	var copies [8]*copied
	for i := range copies {
		s := &slot{zoned: make([]zoned, 1)}
		copies[i] = &copied{slot: s, size: chunks * size, chunk: size, chunks: chunks, commit: size, zoned: make([]int64, chunks), published: time.Duration(i)}
	}
	// One that is small enough has no chunks, and its Commit holds its bytes.
	small := *copies[0]
	small.slot, small.chunks, small.zoned = &slot{zoned: make([]zoned, 1)}, 0, nil
	small.size = 50
	copies[0] = &small
	type value struct{ copy, chunk int }
	var written []value // the oldest first; since the last flush
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 10_000 {
		if rng.IntN(200) == 0 {
			z.flush()
			written = nil
		}
		v := value{copy: rng.IntN(len(copies))}
		v.chunk = rng.IntN(copies[v.copy].chunks+1) - 1
		z.take(copies[v.copy], v.chunk, time.Hour)
		written = append(written, v)
		there := map[value]bool{}
		for _, v := range written[max(0, len(written)-limit/size):] {
			there[v] = true
		}
		for i, c := range copies {
			for chunk := commit; chunk < c.chunks; chunk++ {
				if got, want := z.has(c.slot, c, chunk) == c, there[value{i, chunk}]; got != want {
					t.Fatalf("after %d writes, has(copy %d, chunk %d) = %v, want %v", n+1, i, chunk, got, want)
				}
			}
		}
	}
}

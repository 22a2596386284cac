package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"origin-storm/storm/sim/engine"
)

// BenchmarkHold is the hold model (Jones, CACM 29, 1986): each event schedules the next, a random time later, and so many are always
// pending.
func BenchmarkHold(b *testing.B) {
	for _, pending := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprintf("pending=%d", pending), func(b *testing.B) {
			var e engine.Engine
			random := rand.New(rand.NewPCG(1, 2))
			var delays [1 << 12]time.Duration
			for i := range delays {
				delays[i] = time.Duration(random.ExpFloat64() * 1e9)
			}
			var next func()
			n := 0
			next = func() {
				n++
				e.After(delays[n&(len(delays)-1)], next)
			}
			for range pending {
				next()
			}
			b.ReportAllocs()
			for b.Loop() {
				e.Step()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mevents/s")
		})
	}
}

package origin_test

import (
	"slices"
	"testing"
	"time"

	"origin-storm/origin"
)

// A Timer puts each duration within the first bound that it does not exceed, and all later ones.
func TestTimer(t *testing.T) {
	bounds := origin.LatencyBounds()
	if !slices.IsSorted(bounds) || bounds[0] != time.Millisecond || bounds[len(bounds)-1] != 5*time.Second {
		t.Fatalf("LatencyBounds() = %v, want 1 ms to 5 s", bounds)
	}
	for i, bound := range bounds {
		for _, d := range []time.Duration{bound - 1, bound, bound + 1} {
			var timer origin.Timer
			timer.Add(d)
			l := timer.Latency()
			for j, n := range l.Within {
				want := int64(0)
				if d <= bounds[j] {
					want = 1
				}
				if n != want {
					t.Errorf("after Add(%v): %d within %v, want %d (bound %d)", d, n, bounds[j], want, i)
				}
			}
			if l.Count != 1 || l.Sum != d.Seconds() || len(l.Within) != len(bounds) {
				t.Errorf("after Add(%v): %+v, want one of %v s", d, l, d.Seconds())
			}
		}
	}
}

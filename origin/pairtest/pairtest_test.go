package pairtest_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"origin-storm/origin/pairtest"
)

// TestRatioCovers: of 95 % intervals about one in twenty misses the true ratio, though the machine's moods, which both of a pair
// meet, are far larger than what is looked for.
func TestRatioCovers(t *testing.T) {
	const (
		trials = 50
		truth  = 1.1
	)
	random := rand.New(rand.NewPCG(5, 6))
	missed, wide := 0, 0
	for range trials {
		x, y := make([]time.Duration, 100), make([]time.Duration, 100)
		for i := range x {
			mood := 1 + random.ExpFloat64()
			side := func(cost float64) time.Duration {
				return time.Duration(cost * mood * (0.9 + 0.2*random.Float64()) * float64(time.Millisecond))
			}
			x[i], y[i] = side(truth), side(1)
		}
		ratio, low, high := pairtest.Ratio(x, y)
		if low > ratio || ratio > high {
			t.Fatalf("Ratio = %v, outside its interval [%v, %v]", ratio, low, high)
		}
		if low > truth || truth > high {
			missed++
		}
		if high-low > 0.2 {
			wide++
		}
	}
	if missed > trials/6 {
		t.Errorf("%d of %d intervals miss the true ratio, want about %d", missed, trials, trials/20)
	}
	if wide > trials/10 {
		t.Errorf("%d of %d intervals are wider than 0.2", wide, trials)
	}
}

// TestCompare: both sides run as often as each other, in either order, each call with a number of its own.
func TestCompare(t *testing.T) {
	var calls []string
	seen := map[int]bool{}
	side := func(name string, takes time.Duration) pairtest.Side {
		return pairtest.Side{Name: name, Do: func(i int) time.Duration {
			if seen[i] {
				t.Errorf("%s was given %d again", name, i)
			}
			seen[i] = true
			calls = append(calls, name)
			return takes
		}}
	}
	// One iteration: a side here takes no time, so that a second would be millions of them.
	if err := flag.Set("test.benchtime", "1x"); err != nil {
		t.Fatal(err)
	}
	got := testing.Benchmark(func(b *testing.B) {
		calls = nil
		clear(seen)
		pairtest.Compare(b, 20, side("slow", 3*time.Millisecond), side("fast", 2*time.Millisecond))
	})
	for unit, want := range map[string]float64{"pairs": 20, "slow-p50-ms": 3, "fast-p50-ms": 2, "ratio": 1.5, "ratio-low": 1.5, "ratio-high": 1.5} {
		if got.Extra[unit] != want {
			t.Errorf("%s = %v, want %v (all: %v)", unit, got.Extra[unit], want, got.Extra)
		}
	}
	if want := 2 * (4 + 20); len(calls) != want {
		t.Fatalf("%d calls, want %d", len(calls), want)
	}
	first := map[string]int{}
	for i := 0; i < len(calls); i += 2 {
		if calls[i] == calls[i+1] {
			t.Errorf("pair %d is of %s alone", i/2, calls[i])
		}
		first[calls[i]]++
	}
	if first["slow"] == 0 || first["fast"] == 0 {
		t.Errorf("who comes first: %v, want either now and then", first)
	}
}

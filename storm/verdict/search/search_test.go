package search_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"origin-storm/storm/verdict/search"
)

// measured runs a search to its end against a target, and fails if that takes more than so many measurements.
func measured(t *testing.T, c search.Config, limit int, target func(load float64) search.Outcome) (search.Result, map[float64]int) {
	t.Helper()
	s, err := search.New(c)
	if err != nil {
		t.Fatal(err)
	}
	times := map[float64]int{}
	for n := 0; ; n++ {
		load, ok := s.Next()
		if !ok {
			return s.Result(), times
		}
		if n == limit {
			t.Fatalf("%+v: not at an end after %d measurements: %v", c, n, times)
		}
		if load < c.From || load > c.To || c.Grain > 0 && load != math.Trunc(load/c.Grain)*c.Grain {
			t.Fatalf("%+v: Next = %v, which cannot be measured", c, load)
		}
		times[load]++
		s.Add(load, target(load))
	}
}

// below is a target that carries loads up to capacity.
func below(capacity float64, else_ search.Outcome) func(float64) search.Outcome {
	return func(load float64) search.Outcome {
		if load <= capacity {
			return search.Holds
		}
		return else_
	}
}

func TestSearch(t *testing.T) {
	for _, tt := range []struct {
		name            string
		c               search.Config
		target          func(float64) search.Outcome
		highest, lowest [2]float64 // from, to
		limit           search.Outcome
	}{
		{"in the middle", search.Config{From: 10, To: 1000, Grain: 1}, below(137, search.Breaks), [2]float64{125, 137}, [2]float64{138, 151}, search.Breaks},
		{"finer", search.Config{From: 10, To: 1000, Grain: 1, Within: 0.01}, below(137, search.Breaks), [2]float64{136, 137}, [2]float64{138, 139}, search.Breaks},
		{"grain above precision", search.Config{From: 1, To: 8, Grain: 1}, below(3, search.Breaks), [2]float64{3, 3}, [2]float64{4, 4}, search.Breaks},
		{"all hold", search.Config{From: 10, To: 100}, below(1e9, search.Breaks), [2]float64{100, 100}, [2]float64{0, 0}, ""},
		{"none holds", search.Config{From: 10, To: 100}, below(9, search.Breaks), [2]float64{0, 0}, [2]float64{10, 10}, search.Breaks},
		{"one load", search.Config{From: 10, To: 10}, below(10, search.Breaks), [2]float64{10, 10}, [2]float64{0, 0}, ""},
		{"the driver is the limit", search.Config{From: 10, To: 1000}, below(50, search.Untold), [2]float64{45, 50}, [2]float64{50, 55}, search.Untold},
		{"not whole", search.Config{From: 0.5, To: 16, Grain: 0.5}, below(7.2, search.Breaks), [2]float64{7, 7}, [2]float64{7.5, 7.5}, search.Breaks},
	} {
		r, times := measured(t, tt.c, 40, tt.target)
		if r.Highest < tt.highest[0] || r.Highest > tt.highest[1] || r.Lowest < tt.lowest[0] || r.Lowest > tt.lowest[1] || r.Limit != tt.limit || len(r.Unsteady) > 0 {
			t.Errorf("%s: %+v, want highest in %v, lowest in %v, limit %q", tt.name, r, tt.highest, tt.lowest, tt.limit)
		}
		for what, load := range map[string]float64{"highest": r.Highest, "lowest": r.Lowest} {
			if load > 0 && times[load] < 2 {
				t.Errorf("%s: the %s load %v was measured %d times, want it confirmed", tt.name, what, load, times[load])
			}
		}
	}
}

// On a target whose measurements go wrong one time in twenty, a search ends and is near the truth 19 times in 20.
func TestNoise(t *testing.T) {
	const trials, capacity = 500, 200
	off := 0
	for seed := range uint64(trials) {
		rng := rand.New(rand.NewPCG(seed, 1))
		r, _ := measured(t, search.Config{From: 10, To: 2000, Grain: 1}, 60, func(load float64) search.Outcome {
			if (load <= capacity) == (rng.IntN(20) > 0) {
				return search.Holds
			}
			return search.Breaks
		})
		if r.Highest < capacity/2 || r.Highest > capacity*1.3 {
			off++
		}
	}
	if off > trials/20 {
		t.Errorf("of %d searches on a noisy target %d were far off", trials, off)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []search.Config{
		{}, {From: 10, To: 5}, {From: -1, To: 5}, {From: math.NaN(), To: 5}, {From: 1, To: math.Inf(1)},
		{From: 1, To: 2, Grain: -1}, {From: 1.1, To: 1.9, Grain: 1}, {From: 1, To: 2, Within: 2}, {From: 1, To: 2, Within: 0.0001},
	} {
		if _, err := search.New(c); err == nil {
			t.Errorf("New(%+v) = nil, want it refused", c)
		}
	}
}

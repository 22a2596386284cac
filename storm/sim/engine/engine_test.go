package engine_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"origin-storm/storm/sim/engine"
)

// TestOrder: what is scheduled, at the beginning and by callbacks, is called in order of time, then of scheduling; what is cancelled
// is not called; nothing else is lost, and nothing is called twice.
func TestOrder(t *testing.T) {
	for seed := range uint64(50) {
		var (
			e      engine.Engine
			random = rand.New(rand.NewPCG(seed, 1))
			called []int
		)
		type planned struct {
			at     time.Duration
			event  engine.Event
			ended  bool // called, or cancelled
			wanted bool
		}
		var all []planned
		var schedule func()
		schedule = func() {
			i := len(all)
			at := e.Now() + time.Duration(random.IntN(40)) // many at one instant
			all = append(all, planned{at: at, wanted: true})
			all[i].event = e.At(at, func() {
				if e.Now() != at {
					t.Fatalf("seed %d: Now() = %v in a callback for %v", seed, e.Now(), at)
				}
				if all[i].ended {
					t.Fatalf("seed %d: event %d was called again, or though it was cancelled", seed, i)
				}
				all[i].ended = true
				called = append(called, i)
				for range random.IntN(4) {
					if len(all) < 2000 {
						schedule()
					}
				}
				for range random.IntN(3) {
					c := random.IntN(len(all))
					if got, want := e.Cancel(all[c].event), !all[c].ended; got != want {
						t.Fatalf("seed %d: Cancel(event %d) = %v, want %v", seed, c, got, want)
					} else if got {
						all[c].ended, all[c].wanted = true, false
					}
				}
			})
		}
		for range 300 {
			schedule()
		}
		for {
			next, ok := e.Next()
			if pending := e.Pending(); ok != (pending > 0) {
				t.Fatalf("seed %d: Next() = %v, %v with %d pending", seed, next, ok, pending)
			}
			if !e.Step() {
				break
			}
			if e.Now() != next {
				t.Fatalf("seed %d: Next() = %v, then Step went to %v", seed, next, e.Now())
			}
		}
		var want []int
		for i, p := range all {
			if p.wanted {
				want = append(want, i)
			}
		}
		slices.SortStableFunc(want, func(a, b int) int { return cmp.Compare(all[a].at, all[b].at) })
		if !slices.Equal(called, want) {
			t.Fatalf("seed %d: %d events were called, not the %d scheduled in their order", seed, len(called), len(want))
		}
		if got := e.Events(); got != int64(len(want)) {
			t.Fatalf("seed %d: Events() = %d, want %d", seed, got, len(want))
		}
	}
}

// TestMostAreCancelled: what is left, where most of what was scheduled is cancelled, keeps its order.
func TestMostAreCancelled(t *testing.T) {
	for seed := range uint64(50) {
		var (
			e      engine.Engine
			random = rand.New(rand.NewPCG(seed, 7))
			events []engine.Event
			called int
		)
		for range 500 {
			events = append(events, e.At(time.Duration(random.IntN(1000)), func() { called++ }))
		}
		left := 10 + random.IntN(100)
		for _, i := range random.Perm(len(events))[left:] {
			e.Cancel(events[i])
		}
		if got := e.Pending(); got != left {
			t.Fatalf("seed %d: Pending() = %d, want %d", seed, got, left)
		}
		for last := e.Now(); e.Step(); last = e.Now() {
			if e.Now() < last {
				t.Fatalf("seed %d: from %v back to %v", seed, last, e.Now())
			}
		}
		if called != left {
			t.Fatalf("seed %d: %d were called, want %d", seed, called, left)
		}
	}
}

// TestCancelledAreLetGo: an engine that is asked for many timeouts, which are cancelled long before their time, does not grow.
func TestCancelledAreLetGo(t *testing.T) {
	var e engine.Engine
	var next func()
	n := 0
	next = func() {
		timeout := e.After(time.Hour, func() { t.Error("a cancelled event was called") })
		e.After(time.Millisecond, func() {
			if !e.Cancel(timeout) {
				t.Error("Cancel = false before the event's time")
			}
			if n++; n < 100_000 {
				next()
			}
		})
	}
	next()
	got := testing.AllocsPerRun(1, func() {
		for range 10_000 {
			e.Step()
		}
	})
	// Two closures and their shared state for each round are the test's own.
	if got > 21_000 {
		t.Errorf("%v allocations in 10000 steps", got)
	}
	for e.Step() {
	}
	if want := 100_000 * time.Millisecond; e.Now() != want || e.Pending() != 0 {
		t.Errorf("ended at %v with %d pending, want %v and none", e.Now(), e.Pending(), want)
	}
}

// TestPast: what would turn time back is a mistake that shows.
func TestPast(t *testing.T) {
	for name, do := range map[string]func(*engine.Engine){
		"At before now":                 func(e *engine.Engine) { e.At(time.Second-1, func() {}) },
		"After less than nothing":       func(e *engine.Engine) { e.After(-1, func() {}) },
		"Advance backwards":             func(e *engine.Engine) { e.Advance(time.Second - 1) },
		"Advance past what is due":      func(e *engine.Engine) { e.After(1, func() {}); e.Advance(time.Second + 2) },
		"Station.Add of negative work":  func(e *engine.Engine) { engine.NewStation(e, 1).Add(-1, func() {}) },
		"Share.Add of negative work":    func(e *engine.Engine) { engine.NewShare(e, 1, 1).Add(-1, func() {}) },
		"SetServers of fewer than none": func(e *engine.Engine) { engine.NewStation(e, -1) },
		"SetCapacity of less than none": func(e *engine.Engine) { engine.NewShare(e, -1, 1) },
		"a share with nothing for each": func(e *engine.Engine) { engine.NewShare(e, 1, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			var e engine.Engine
			e.Advance(time.Second)
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			do(&e)
		})
	}
}

// TestNoAllocation: the paths that every event takes do not allocate once they have grown.
func TestNoAllocation(t *testing.T) {
	var e engine.Engine
	station, share := engine.NewStation(&e, 2), engine.NewShare(&e, 3e9, 1e9)
	var again, atStation, atShare func()
	again = func() { e.After(7, again) }
	atStation = func() { station.Add(5, atStation) }
	atShare = func() { share.Add(9, atShare) }
	for range 10 {
		again()
		atStation()
		atShare()
	}
	run := func() {
		for range 1000 {
			e.Step()
		}
	}
	run()
	if got := testing.AllocsPerRun(10, run); got != 0 {
		t.Errorf("%v allocations in 1000 steps, want none", got)
	}
}

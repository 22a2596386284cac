package engine_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"origin-storm/storm/sim/engine"
)

// change is what happens to a share at an instant, beside ends.
type change struct {
	at       time.Duration
	kind     int // one of the following
	work     float64
	job      int // that is removed, or told from now on
	brought  bool
	capacity float64
}

const (
	add = iota
	remove
	tell
	capacity
)

// naive is processor sharing as its definition says, job by job and end by end: what each of the added jobs is told, 0 for those that
// are not.
func naive(changes []change, c, each float64) (ends []time.Duration, served float64) {
	type job struct{ left float64 }
	var jobs []*job // nil: no longer there
	now := 0.0      // nanoseconds
	until := func(t float64) {
		for {
			n, least := 0, math.Inf(1)
			for _, j := range jobs {
				if j != nil {
					n++
					least = min(least, j.left)
				}
			}
			if n == 0 {
				break
			}
			rate := min(each, c/float64(n)) / 1e9
			takes := math.Inf(1)
			if rate > 0 {
				takes = least / rate
			}
			step := min(takes, t-now)
			ended := takes <= t-now+1e-3
			for i, j := range jobs {
				if j == nil {
					continue
				}
				j.left -= rate * step
				served += rate * step
				if ended && j.left <= rate*2e-3 {
					jobs[i] = nil
					ends[i] = time.Duration(math.Ceil(now + step - 1e-2))
				}
			}
			now += step
			if !ended {
				break
			}
		}
		if !math.IsInf(t, 1) {
			now = t
		}
	}
	for _, ch := range changes {
		until(float64(ch.at))
		switch ch.kind {
		case add:
			jobs = append(jobs, &job{ch.work})
			ends = append(ends, 0)
		case remove:
			jobs[ch.job] = nil
		case capacity:
			c = ch.capacity
		}
	}
	until(math.Inf(1))
	return ends, served
}

// TestShareAgainstDefinition holds the share, which never looks at more than the next job to end, against processor sharing as it is
// defined, on random arrivals, removals and changes of capacity.
func TestShareAgainstDefinition(t *testing.T) {
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 2))
		var (
			c       = []float64{1, 4, 2.5, math.Inf(1)}[random.IntN(4)]
			each    = []float64{1, 1, math.Inf(1), 0.3}[random.IntN(4)]
			at      time.Duration
			jobs    int
			added   []int // of jobs
			brought []int
			plan    []change
			spread  = []float64{1e3, 1e6, 1e9}[random.IntN(3)] // nanoseconds of mean work
		)
		if math.IsInf(c, 1) && math.IsInf(each, 1) {
			each = 1
		}
		for range 200 {
			if random.IntN(3) > 0 {
				at += time.Duration(random.ExpFloat64() * spread * []float64{0.3, 1}[random.IntN(2)])
			}
			switch k := random.IntN(20); {
			case k == 0:
				plan = append(plan, change{at: at, kind: capacity, capacity: []float64{0, 1, 2, 6}[random.IntN(4)]})
			case k < 4 && len(added) > 0:
				plan = append(plan, change{at: at, kind: remove, job: added[random.IntN(len(added))]})
			case k < 6 && len(brought) > 0:
				plan = append(plan, change{at: at, kind: tell, job: brought[random.IntN(len(brought))]})
			default:
				w := random.ExpFloat64() * spread / 1e9
				if random.IntN(4) == 0 {
					w = math.Round(3*random.Float64()) * spread / 1e9 // equal ones, and some of nothing
				}
				plan = append(plan, change{at: at, kind: add, work: w, brought: random.IntN(2) == 0})
				if plan[len(plan)-1].brought {
					brought = append(brought, jobs)
				} else {
					added = append(added, jobs)
				}
				jobs++
			}
		}
		plan = append(plan, change{at: at, kind: capacity, capacity: 2}) // or some would never end

		var e engine.Engine
		share := engine.NewShare(&e, c, each)
		ends, told, asked := make([]time.Duration, jobs), make([]bool, jobs), make([]bool, jobs)
		names, works := make([]engine.Job, jobs), make([]engine.Work, jobs)
		began, removed := 0, []int(nil)
		for _, ch := range plan {
			e.At(ch.at, func() {
				switch ch.kind {
				case add:
					i := began
					began++
					if ch.brought {
						share.Bring(ch.work, &works[i])
						return
					}
					names[i] = share.Add(ch.work, func() {
						if told[i] || slices.Contains(removed, i) {
							t.Fatalf("seed %d: job %d ended twice, or after it was removed", seed, i)
						}
						ends[i], told[i] = e.Now(), true
					})
				case tell:
					w := &works[ch.job]
					if at, ended := w.End(); ended {
						if at > e.Now() {
							t.Fatalf("seed %d: job %d ended at %v, said at %v", seed, ch.job, at, e.Now())
						}
						return
					}
					if asked[ch.job] {
						return
					}
					asked[ch.job] = true
					w.Tell(func() {
						if at, ended := w.End(); !ended || at != e.Now() || told[ch.job] {
							t.Fatalf("seed %d: End() of job %d = %v, %v at %v, when its end was told", seed, ch.job, at, ended, e.Now())
						}
						told[ch.job] = true
					})
				case remove:
					if share.Remove(names[ch.job]) {
						removed = append(removed, ch.job)
					} else if !told[ch.job] && !slices.Contains(removed, ch.job) {
						t.Fatalf("seed %d: Remove(job %d) = false at %v, though it did not end", seed, ch.job, e.Now())
					}
				case capacity:
					share.SetCapacity(ch.capacity)
				}
			})
		}
		for e.Step() {
		}
		e.Advance(e.Now() + time.Hour) // what nobody is told of ends without an event
		want, served := naive(plan, c, each)
		share.Jobs() // which looks for the ends of those that nobody was told of
		for _, i := range brought {
			at, ended := works[i].End()
			if asked[i] != told[i] {
				t.Fatalf("seed %d: that job %d ended was told: %v, want %v", seed, i, told[i], asked[i])
			}
			ends[i], told[i] = at, ended
		}
		for i := range want {
			if slices.Contains(removed, i) {
				continue
			}
			if d := ends[i] - want[i]; !told[i] || d < -1 || d > 1 {
				t.Fatalf("seed %d: job %d ended at %d ns, by the definition at %d", seed, i, ends[i], want[i])
			}
		}
		if got := share.Served(); math.Abs(got-served) > 1e-9*served+1e-8 {
			t.Fatalf("seed %d: Served() = %v, by the definition %v", seed, got, served)
		}
		if share.Jobs() != 0 {
			t.Fatalf("seed %d: %d jobs are left", seed, share.Jobs())
		}
	}
}

// TestShareStorm: the floor of a storm is bytes by bandwidth. All of equal size end together there; of unequal ones the last does, and
// what came first of what is smaller never ends after what is larger.
func TestShareStorm(t *testing.T) {
	const (
		readers   = 60
		size      = 2e6
		bandwidth = 1.25e9 // 10 Gbit/s in bytes
	)
	floor := time.Duration(readers * size / bandwidth * 1e9)
	for _, c := range []struct {
		name  string
		sizes func(i int) float64
	}{
		{"equal", func(int) float64 { return size }},
		{"unequal", func(i int) float64 { return 2 * size * (float64(i) + 0.5) / readers }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e engine.Engine
			link := engine.NewShare(&e, bandwidth, math.Inf(1))
			var ends []time.Duration
			for i := range readers {
				link.Add(c.sizes(i), func() { ends = append(ends, e.Now()) })
			}
			for e.Step() {
			}
			if len(ends) != readers || !slices.IsSorted(ends) {
				t.Fatalf("%d of %d ended, in order: %v", len(ends), readers, slices.IsSorted(ends))
			}
			if last := ends[readers-1]; last != floor {
				t.Errorf("the last of %d x %v bytes at %v bytes/s ended at %v, want %v", readers, size, bandwidth, last, floor)
			}
			if c.name == "equal" && ends[0] != floor {
				t.Errorf("the first of equal readers ended at %v, want with the last at %v", ends[0], floor)
			}
			if got, want := link.Served(), readers*size; math.Abs(got-want) > 1e-6*want {
				t.Errorf("Served() = %v, want %v", got, want)
			}
			if link.MostJobs() != readers {
				t.Errorf("MostJobs() = %d, want %d", link.MostJobs(), readers)
			}
			if e.Events() != readers {
				t.Errorf("Events() = %d, want %d", e.Events(), readers)
			}
		})
	}
}

// TestStationStorm: where readers are served one after the other, the last ends at the same floor, and the median at half of it.
func TestStationStorm(t *testing.T) {
	const (
		readers = 100
		each    = 2 * time.Millisecond
	)
	var e engine.Engine
	link := engine.NewStation(&e, 1)
	var ends []time.Duration
	for range readers {
		link.Add(each, func() { ends = append(ends, e.Now()) })
	}
	for e.Step() {
	}
	for p, want := range map[int]time.Duration{50: readers * each / 2, 99: readers * each * 99 / 100, 100: readers * each} {
		if got := ends[readers*p/100-1]; got != want {
			t.Errorf("quantile 0.%d = %v, want %v", p, got, want)
		}
	}
	if link.MostWaiting() != readers-1 || link.Busy() != readers*each {
		t.Errorf("MostWaiting() = %d, Busy() = %v; want %d and %v", link.MostWaiting(), link.Busy(), readers-1, readers*each)
	}
}

// TestShareAtOnce: without any bound work ends in the instant in which it comes, but not inside Add; so does work of nothing.
func TestShareAtOnce(t *testing.T) {
	for name, work := range map[string]float64{"no bound": 1e12, "no work": 0} {
		t.Run(name, func(t *testing.T) {
			var e engine.Engine
			most := math.Inf(1)
			if work == 0 {
				most = 1
			}
			s := engine.NewShare(&e, most, most)
			ended := 0
			var again func()
			again = func() {
				if ended++; ended < 5 {
					s.Add(work, again)
				}
			}
			e.At(time.Second, func() {
				s.Add(work, again)
				if ended != 0 {
					t.Error("done was called inside Add")
				}
			})
			for e.Step() {
			}
			if ended != 5 || e.Now() != time.Second || s.Served() != 5*work {
				t.Errorf("%d ended by %v, %v served; want 5 at 1s, %v", ended, e.Now(), s.Served(), 5*work)
			}
		})
	}
}

// TestShareRemoveAtItsEnd: work that is taken back in the very instant of its end, by what comes first in it, is not told to have ended.
func TestShareRemoveAtItsEnd(t *testing.T) {
	var e engine.Engine
	s := engine.NewShare(&e, 2, 1)
	var other engine.Job
	s.Add(1, func() {
		if !s.Remove(other) {
			t.Error("Remove = false for work whose end was not told")
		}
		if s.Remove(other) {
			t.Error("Remove = true again")
		}
	})
	other = s.Add(1, func() { t.Error("removed work ended") })
	for e.Step() {
	}
	if e.Now() != time.Second || e.Events() != 1 {
		t.Errorf("ended at %v after %d events, want 1s and 1", e.Now(), e.Events())
	}
}

// TestShareKeepsPrecision: a share that is never idle for a virtual days still tells ends to the nanosecond.
func TestShareKeepsPrecision(t *testing.T) {
	var e engine.Engine
	const (
		days     = 3 * 24 * time.Hour
		capacity = 1.2345678901234e10
	)
	s := engine.NewShare(&e, capacity, math.Inf(1))
	s.Add(capacity*days.Seconds()/2, func() {
		// The other half went, a second at a time, to those below: one ends every second, all the time.
		if want := days; e.Now() < want-time.Second || e.Now() > want+time.Second {
			t.Errorf("ended at %v, want %v", e.Now(), want)
		}
	})
	var began time.Duration
	var again func()
	again = func() {
		if took := e.Now() - began; e.Now() > 0 && e.Now() < days-time.Second && took != time.Second {
			t.Fatalf("at %v: half of the capacity for 1 s was %v", e.Now(), took)
		}
		if began = e.Now(); e.Now() < days {
			s.Add(capacity/2, again)
		}
	}
	again()
	for e.Step() {
	}
}

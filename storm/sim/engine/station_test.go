package engine_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"origin-storm/storm/sim/engine"
)

// TestStationConserves: with random arrivals, removals and servers lost and returned, all work that is not taken back ends exactly once and
// in turn, never more is served than there are servers but for what was being served before, no server is idle while work waits, and
// busy time is what was served.
func TestStationConserves(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 3))
		var (
			e       engine.Engine
			servers = 1 + random.IntN(4)
			s       = engine.NewStation(&e, servers)
			jobs    []engine.Job
			state   []byte // a job's: 0, e(nded), r(emoved)
			work    time.Duration
			cut     bool // servers were lost while busy: more may be served than there are
		)
		check := func() {
			if s.Serving() > servers && !cut {
				t.Fatalf("seed %d: %d servers serve %d", seed, servers, s.Serving())
			}
			if s.Serving() < servers && s.Waiting() > 0 {
				t.Fatalf("seed %d: %d wait while %d of %d servers are busy", seed, s.Waiting(), s.Serving(), servers)
			}
			cut = cut && s.Serving() > servers
		}
		var at time.Duration
		for range 300 {
			at += time.Duration(random.IntN(30))
			e.At(at, func() {
				switch k := random.IntN(20); {
				case k == 0:
					servers = random.IntN(6)
					cut = s.Serving() > servers
					s.SetServers(servers)
				case k < 4 && len(jobs) > 0:
					i := random.IntN(len(jobs))
					if got, want := s.Remove(jobs[i]), state[i] == 0; got != want {
						t.Fatalf("seed %d: Remove(job %d) = %v, want %v", seed, i, got, want)
					} else if got {
						state[i] = 'r'
					}
				default:
					i := len(jobs)
					state = append(state, 0)
					service := time.Duration(random.IntN(60))
					jobs = append(jobs, s.Add(service, func() {
						if state[i] != 0 {
							t.Fatalf("seed %d: job %d ended, which was %c", seed, i, state[i])
						}
						state[i] = 'e'
						work += service
						check()
					}))
				}
				check()
			})
		}
		removals := false
		e.At(at, func() { servers, cut = 3, true; s.SetServers(3) })
		for e.Step() {
		}
		for i := range state {
			if state[i] == 0 {
				t.Fatalf("seed %d: job %d never ended", seed, i)
			}
			removals = removals || state[i] == 'r'
		}
		if got := s.Busy(); got < work || !removals && got != work {
			t.Fatalf("seed %d: Busy() = %v after %v of work", seed, got, work)
		}
		if s.Waiting() != 0 || s.Serving() != 0 {
			t.Fatalf("seed %d: in the end %d wait and %d are served", seed, s.Waiting(), s.Serving())
		}
	}
}

// TestStationLosesServers: of fewer servers the busy ones finish first, none begins before; returned ones begin at once.
func TestStationLosesServers(t *testing.T) {
	var e engine.Engine
	s := engine.NewStation(&e, 2)
	var ends []time.Duration
	for range 5 {
		s.Add(10, func() { ends = append(ends, e.Now()) })
	}
	e.At(5, func() { s.SetServers(0) })
	e.At(50, func() { s.SetServers(1) })
	e.At(55, func() { s.SetServers(engine.NoBound) })
	for e.Step() {
	}
	want := []time.Duration{10, 10, 60, 65, 65}
	for i := range want {
		if len(ends) != len(want) || ends[i] != want[i] {
			t.Fatalf("ends at %d, want %d", ends, want)
		}
	}
	if s.Busy() != 50 || s.MostWaiting() != 3 {
		t.Errorf("Busy() = %v, MostWaiting() = %d; want 50ns and 3", s.Busy(), s.MostWaiting())
	}
}

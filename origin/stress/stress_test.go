package stress_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/kv"
	"origin-storm/origin/stress"
)

const (
	fast = 5 * time.Millisecond
	slow = 30 * time.Millisecond
	over = time.Second
)

// store feeds a meter with reads at a steady rate.
type store struct {
	*stress.Meter
	now time.Time
}

func newStore(c config.Stress) *store {
	return &store{stress.New(c), time.Unix(1_800_000_000, 123)}
}

// read makes rate reads a second for d, of which a share takes took, and the others fast.
func (s *store) read(d time.Duration, rate int, share float64, took time.Duration) stress.State {
	due := 0.0
	for end := s.now.Add(d); s.now.Before(end); s.now = s.now.Add(time.Second / time.Duration(rate)) {
		t := fast
		if due += share; due >= 1 {
			due--
			t = took
		}
		s.Record(s.now, t, 0, stress.Answered)
	}
	return s.State(s.now)
}

func TestThreshold(t *testing.T) {
	for _, tt := range []struct {
		name               string
		c                  config.Stress
		share              float64
		took               time.Duration
		stressed, critical bool
	}{
		{"idle", config.Stress{}, 0, 0, false, false},
		{"at 39 %", config.Stress{}, 0.39, slow, false, false},
		{"at 41 %", config.Stress{}, 0.41, slow, true, false},
		{"all over the maximum", config.Stress{}, 1, over, true, false},
		{"all over the maximum, live edge to be shed", config.Stress{ShedLiveEdge: 0.8}, 1, over, true, true},
		{"70 % over the maximum, live edge to be shed above 80 %", config.Stress{ShedLiveEdge: 0.8}, 0.7, over, true, false},
		{"all over the target, live edge to be shed", config.Stress{ShedLiveEdge: 0.8}, 1, slow, true, false},
		{"never shed", config.Stress{Shed: -1, ShedLiveEdge: 0.8}, 1, over, false, false},
		{"another target", config.Stress{Target: 50 * time.Millisecond}, 1, slow, false, false},
		{"another share", config.Stress{Shed: 0.9}, 0.8, slow, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStore(tt.c)
			got := s.read(10*time.Second, 100, tt.share, tt.took)
			if got.Stressed != tt.stressed || got.Critical != tt.critical {
				t.Errorf("with a share of %v at %v: %+v, want stressed %v, critical %v", tt.share, tt.took, got, tt.stressed, tt.critical)
			}
			if got.Slow < tt.share-0.03 && tt.took > tt.c.Target || got.Reads < 360 || got.Reads > 401 {
				t.Errorf("State() = %+v, want the reads of 4 s, %v of them slow", got, tt.share)
			}
		})
	}
}

// TestSizes: a large value may take longer.
func TestSizes(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    config.Stress
		size int
		took time.Duration
		slow bool
	}{
		{"small", config.Stress{}, 1000, 11 * time.Millisecond, true},
		{"512 KiB within 20 ms", config.Stress{}, 512 << 10, 20 * time.Millisecond, false},
		{"512 KiB in more", config.Stress{}, 512 << 10, 21 * time.Millisecond, true},
		{"10 MiB within 210 ms", config.Stress{}, 10 << 20, 210 * time.Millisecond, false},
		{"10 MiB, 1 s for each allowed", config.Stress{PerMiB: time.Second}, 10 << 20, 10 * time.Second, false},
	} {
		m := stress.New(tt.c)
		m.Record(time.Unix(1, 0), tt.took, tt.size, stress.Answered)
		if got := m.State(time.Unix(1, 0)); got.Slow == 1 != tt.slow || got.Reads != 1 {
			t.Errorf("%s: Record(%v, %d): %+v, want slow: %v", tt.name, tt.took, tt.size, got, tt.slow)
		}
	}
}

func TestEnds(t *testing.T) {
	for _, tt := range []struct {
		name       string
		took       time.Duration
		end        stress.End
		reads      int64
		slow, over float64
	}{
		{"answered", fast, stress.Answered, 1, 0, 0},
		{"left at once", fast, stress.Left, 0, 0, 0},
		{"left when it was slow already", slow, stress.Left, 1, 1, 0},
		{"failed at once", 0, stress.Failed, 1, 1, 1},
	} {
		m := stress.New(config.Stress{})
		m.Record(time.Unix(1, 0), tt.took, 0, tt.end)
		if got := m.State(time.Unix(1, 0)); got.Reads != tt.reads || got.Slow != tt.slow || got.Over != tt.over {
			t.Errorf("%s: State() = %+v, want %d reads, slow %v, over %v", tt.name, got, tt.reads, tt.slow, tt.over)
		}
	}
}

func TestEndOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want stress.End
	}{
		{nil, stress.Answered},
		{fmt.Errorf("get: %w", kv.ErrNotFound), stress.Answered},
		{fmt.Errorf("get: %w", context.Canceled), stress.Left},
		{fmt.Errorf("get: %w", context.DeadlineExceeded), stress.Failed},
		{fmt.Errorf("get: %w", kv.ErrThrottled), stress.Failed},
		{errors.New("connection refused"), stress.Failed},
	} {
		if got := stress.EndOf(tt.err); got != tt.want {
			t.Errorf("EndOf(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}

// TestFewReads: a handful of slow reads says nothing.
func TestFewReads(t *testing.T) {
	s := newStore(config.Stress{})
	if got := s.read(4*time.Second, 20, 1, over); got.Stressed {
		t.Errorf("80 reads in a window: %+v, want no stress", got)
	}
	if got := s.read(4*time.Second, 30, 1, over); !got.Stressed {
		t.Errorf("120 reads in a window: %+v, want stress", got)
	}
}

// TestHysteresis: around its threshold a store does not have its readers sent away and called back every moment: what is let
// through changes by small steps. One that has recovered has all of them back within 7 s.
func TestHysteresis(t *testing.T) {
	s := newStore(config.Stress{})
	rng := rand.New(rand.NewPCG(1, 2))
	last := s.read(8*time.Second, 100, 0.5, slow)
	for range 400 {
		got := s.read(time.Second/4, 100, 0.3+0.2*rng.Float64(), slow)
		if got.Admit < 0.7*last.Admit && got.Entered == last.Entered || got.Admit > 1.15*last.Admit+0.011 {
			t.Errorf("from one moment to the next %v of what can wait is let through, and then %v", last.Admit, got.Admit)
		}
		last = got
	}
	if last.Entered > 10 {
		t.Errorf("stress began %d times in 100 s", last.Entered)
	}
	s.read(10*time.Second, 100, 1, slow)
	if got := s.read(7*time.Second, 100, 0.1, slow); got.Stressed || got.Admit != 1 {
		t.Errorf("7 s after it has recovered: %+v, want no stress", got)
	}
	entered := s.State(s.now).Entered
	if got := s.read(time.Minute, 100, 0.38, slow); got.Stressed || got.Entered != entered {
		t.Errorf("below the threshold: %+v, want no stress", got)
	}
}

// TestFindsCapacity: a store that bears half of what is asked for gets about that.
func TestFindsCapacity(t *testing.T) {
	for _, bears := range []float64{0.9, 0.5, 0.2, 0} {
		s := newStore(config.Stress{})
		admit, sum := 1.0, 0.0
		for i := range 400 {
			took := fast
			if admit > bears {
				took = slow
			}
			admit = s.read(time.Second/4, 100, 1, took).Admit
			if i >= 200 {
				sum += admit / 200
			}
			if admit <= 0 {
				t.Fatalf("nothing at all is let through")
			}
		}
		if sum < bears-0.2 || sum > bears+0.1 {
			t.Errorf("of a store that bears %v of it, %v is asked on average", bears, sum)
		}
	}
}

// TestShedReadsTellNothing: were what is shed the only reads, stress ends nonetheless, by and by.
func TestShedReadsTellNothing(t *testing.T) {
	s := newStore(config.Stress{})
	s.read(8*time.Second, 100, 1, slow)
	began := s.now
	for s.State(s.now).Stressed && s.now.Sub(began) < time.Minute {
		s.now = s.now.Add(10 * time.Millisecond)
	}
	if took := s.now.Sub(began); took < 5*time.Second || took > 11*time.Second {
		t.Errorf("stress ended %v after the last read, want 5 to 11 s", took)
	}
	if got := s.State(s.now.Add(time.Hour)); got.Reads != 0 || got.Stressed {
		t.Errorf("State() = %+v, want an empty window", got)
	}
}

// TestClockGoesBack: what comes from an earlier instant counts as now.
func TestClockGoesBack(t *testing.T) {
	s := newStore(config.Stress{})
	s.read(time.Second, 100, 1, slow)
	s.now = s.now.Add(-3 * time.Second)
	if got := s.read(2*time.Second, 100, 1, slow); !got.Stressed || got.Reads < 290 {
		t.Errorf("State() after a step back = %+v, want 300 reads and stress", got)
	}
}

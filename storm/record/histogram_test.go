package record

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

func TestInterval95(t *testing.T) {
	for _, tt := range []struct {
		q      float64
		n      int64
		lo, hi int64
		ok     bool
	}{
		// The medians' are in every table of nonparametric intervals.
		{0.5, 5, 0, 0, false},
		{0.5, 6, 1, 6, true},
		{0.5, 10, 2, 9, true},
		{0.5, 20, 6, 15, true},
		{0.5, 100, 40, 61, true},
		{0.99, 300, 0, 0, false}, // the largest of 300 lies above the p99 with a probability of 95.1 % only
		{0.99, 367, 0, 0, false},
		{0.99, 368, 360, 368, true}, // 0.99³⁶⁸ is the first power below 2.5 %
		{0.99, 0, 0, 0, false},
		{1, 100, 0, 0, false},
	} {
		lo, hi, ok := Interval95(tt.q, tt.n)
		if ok != tt.ok || ok && (lo != tt.lo || hi != tt.hi) {
			t.Errorf("Interval95(%v, %d) = %d, %d, %v, want %d, %d, %v", tt.q, tt.n, lo, hi, ok, tt.lo, tt.hi, tt.ok)
		}
	}
}

// TestIntervalsCover draws many samples of a skewed distribution and counts how often the interval holds the true quantile.
func TestIntervalsCover(t *testing.T) {
	const trials = 2000
	for _, tt := range []struct {
		q float64
		n int
	}{{0.5, 25}, {0.5, 400}, {0.9, 100}, {0.99, 1000}} {
		rng := rand.New(rand.NewPCG(1, uint64(tt.n)))
		truth, held := -math.Log(1-tt.q), 0
		lo, hi, ok := Interval95(tt.q, int64(tt.n))
		if !ok {
			t.Fatalf("Interval95(%v, %d) gives none", tt.q, tt.n)
		}
		vs := make([]float64, tt.n)
		for range trials {
			for i := range vs {
				vs[i] = rng.ExpFloat64()
			}
			slices.Sort(vs)
			if vs[lo-1] <= truth && truth <= vs[hi-1] {
				held++
			}
		}
		if share := float64(held) / trials; share < 0.94 {
			t.Errorf("the interval of quantile %v of %d values holds it in %.1f %% of %d trials, want 95", tt.q, tt.n, share*100, trials)
		}
	}
}

func TestNeeded(t *testing.T) {
	for q, want := range map[float64]int64{0.5: 20, 0.9: 50, 0.99: 300, 0.999: 3000, 0.01: 300, 0.1: 50} {
		if got := Needed(q); got != want {
			t.Errorf("Needed(%v) = %d, want %d", q, got, want)
		}
	}
}

func filled(n int) *histogram {
	h := &histogram{}
	for i := range n {
		h.add(time.Duration(i+1)*time.Millisecond, int64(i%40))
	}
	return h
}

func TestLatencyIsNullWithoutEnoughValues(t *testing.T) {
	for _, tt := range []struct {
		n                    int
		p50, p90, p99, p999  bool
		p50ci, p99ci, anyMax bool
		note                 string
	}{
		{0, false, false, false, false, false, false, false, "no values"},
		{19, false, false, false, false, false, false, true, "p50 needs 20 values, there are 19"},
		{20, true, false, false, false, true, false, true, "p90 needs 50 values, there are 20"},
		{50, true, true, false, false, true, false, true, "p99 needs 300 values, there are 50"},
		{300, true, true, true, false, true, false, true, "p99.9 needs 3000 values, there are 300"},
		{400, true, true, true, false, true, true, true, "p99.9 needs 3000 values, there are 400"},
		{3000, true, true, true, true, true, true, true, ""},
	} {
		l := filled(tt.n).latency()
		if (l.P50 != nil) != tt.p50 || (l.P90 != nil) != tt.p90 || (l.P99 != nil) != tt.p99 || (l.P999 != nil) != tt.p999 ||
			(l.P50CI != nil) != tt.p50ci || (l.P99CI != nil) != tt.p99ci || (l.Max != nil) != tt.anyMax || l.Note != tt.note {
			t.Errorf("latency of %d values = %+v, want p50 %v, p90 %v, p99 %v, p99.9 %v, intervals %v %v, note %q", tt.n, l, tt.p50, tt.p90, tt.p99, tt.p999, tt.p50ci, tt.p99ci, tt.note)
		}
	}
}

func TestLatencyFigures(t *testing.T) {
	l := filled(4000).latency() // 1 to 4000 ms
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > want*0.001 {
			t.Errorf("%s = %v, want %v within 0.1 %%", what, got, want)
		}
	}
	near("p50", *l.P50, 2000)
	near("p90", *l.P90, 3600)
	near("p99", *l.P99, 3960)
	near("p99.9", *l.P999, 3996)
	if *l.Max != 4000 {
		t.Errorf("max = %v, want 4000 exactly", *l.Max)
	}
	if ci := *l.P50CI; !(ci[0] < *l.P50 && *l.P50 < ci[1] && ci[1]-ci[0] < 140) {
		t.Errorf("interval of p50 = %v around %v", ci, *l.P50)
	}
	last := l.Points[len(l.Points)-1]
	if l.Points[0][0] != 0 || last[0] < 1-1.0/4000 || last[1] < 3995 || !slices.IsSortedFunc(l.Points, func(a, b [2]float64) int {
		if a[0] < b[0] && a[1] <= b[1] {
			return -1
		}
		return 1
	}) {
		t.Errorf("points: from %v to %v, want from quantile 0 to the last value, rising", l.Points[0], last)
	}
}

func TestHistogramTakesEveryValue(t *testing.T) {
	h := &histogram{}
	for _, d := range []time.Duration{-time.Second, 0, 1, time.Minute, time.Hour, math.MaxInt64} {
		h.add(d, 0)
	}
	l := h.latency()
	if l.Count != 6 || l.Over != 2 || *l.Max != ms(math.MaxInt64) {
		t.Errorf("latency = %+v, want 6 values, 2 of them beyond the range, and their true maximum", l)
	}
}

// A bar is what an HdrHistogram of the same range and precision takes for one value.
func TestBarsAreThoseOfHdrHistogram(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	dense := hdrhistogram.New(lowest, highest, digits)
	for i := range 2000 {
		v := rng.Int64N(1 << (1 + i%36))
		if v > highest {
			continue
		}
		dense.Reset()
		if err := dense.RecordValue(v); err != nil {
			t.Fatal(err)
		}
		low, high := bar(v)
		for _, b := range dense.Distribution() {
			if b.Count > 0 && (b.From != low || b.To != high) {
				t.Fatalf("bar(%d) = %d, %d; HdrHistogram has it in %d to %d", v, low, high, b.From, b.To)
			}
		}
	}
}

// However many different values there are, a histogram counts as the dense one does.
func TestFewAndManyAreOne(t *testing.T) {
	for _, n := range []int{1, mostFew - 1, 3 * mostFew} {
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		want := hdrhistogram.New(lowest, highest, digits)
		var one, merged histogram
		parts := make([]histogram, 5)
		for i := range n {
			v := rng.Int64N(highest)
			if err := want.RecordValue(v); err != nil {
				t.Fatal(err)
			}
			one.add(time.Duration(v), int64(i%40))
			parts[i%len(parts)].add(time.Duration(v), int64(i%40))
		}
		for _, p := range parts {
			merged.merge(p)
		}
		if !one.dense().Equals(want) || !merged.dense().Equals(want) {
			t.Errorf("of %d values, HdrHistogram, a histogram and one merged of %d parts differ", n, len(parts))
		}
		if one.count() != int64(n) || !slices.Equal(one.bars(), merged.bars()) {
			t.Errorf("of %d values a histogram has %d, and other bars than one merged of parts", n, one.count())
		}
	}
}

// TestIntervalsCoverWhatGoesTogether draws values that go together by ticks, as those of a run do, and counts how often the interval of
// a percentile holds the true one. Order statistics alone, which take each value for a witness of its own, would hold it in less
// than half of the trials.
func TestIntervalsCoverWhatGoesTogether(t *testing.T) {
	const trials, perTick = 300, 24
	for _, tt := range []struct {
		ticks       int
		tick, value float64 // standard deviations of the logarithm
	}{{12, 0.5, 0.3}, {40, 0.5, 0.3}, {40, 0, 0.5}} {
		rng := rand.New(rand.NewPCG(5, uint64(tt.ticks)))
		held, naive, total := 0, 0, 0
		for range trials {
			var h histogram
			for tick := range tt.ticks {
				common := tt.tick * rng.NormFloat64()
				for range perTick {
					h.add(time.Duration(20e6*math.Exp(common+tt.value*rng.NormFloat64())), int64(tick))
				}
			}
			l := h.latency()
			r, n := newRanks(h.bars()), l.Count
			for _, f := range []struct {
				q, z float64 // and its standard normal quantile
				ci   *[2]float64
			}{{0.5, 0, l.P50CI}, {0.9, 1.2815516, l.P90CI}} {
				truth := 20 * math.Exp(f.z*math.Hypot(tt.tick, tt.value))
				total++
				if f.ci == nil || f.ci[0] <= truth && truth <= f.ci[1] {
					held++
				}
				if lo, hi, _ := Interval95(f.q, n); r.value(lo) <= truth && truth <= r.value(hi) {
					naive++
				}
			}
		}
		if share := float64(held) / float64(total); share < 0.93 {
			t.Errorf("%d ticks of deviation %v: the interval holds the true percentile in %.1f %% of trials, want 95", tt.ticks, tt.tick, share*100)
		}
		if share := float64(naive) / float64(total); tt.tick > 0 && share > 0.6 {
			t.Errorf("%d ticks: order statistics alone hold it in %.1f %%: the test shows less than it should", tt.ticks, share*100)
		}
	}
}

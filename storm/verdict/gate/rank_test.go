package gate

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSignedRankDistribution: the tail against printed tables (three digits), and against counting all assignments of signs.
func TestSignedRankDistribution(t *testing.T) {
	for _, c := range []struct {
		n, t int
		want float64
	}{
		{3, 6, 0.125}, {5, 15, 0.031}, {6, 21, 0.016}, {8, 30, 0.055}, {8, 36, 0.004}, {10, 44, 0.053}, {10, 50, 0.010}, {12, 61, 0.046},
		{15, 90, 0.047},
	} {
		if got := newSignedRank(c.n).atLeast(c.t); math.Abs(got-c.want) > 0.0005001 {
			t.Errorf("newSignedRank(%d).atLeast(%d) = %.4f, want %.3f", c.n, c.t, got, c.want)
		}
	}
	for n := 1; n <= 10; n++ {
		counts := make([]float64, n*(n+1)/2+1)
		for signs := range 1 << n {
			sum := 0
			for k := range n {
				if signs>>k&1 == 1 {
					sum += k + 1
				}
			}
			for t := range sum + 1 {
				counts[t]++
			}
		}
		null := newSignedRank(n)
		for s, count := range counts {
			if got, want := null.atLeast(s), count/float64(int(1)<<n); math.Abs(got-want) > 1e-12 {
				t.Errorf("newSignedRank(%d).atLeast(%d) = %v, want %v", n, s, got, want)
			}
		}
	}
}

// TestDarwin: Fisher's example of a paired test, Darwin's fifteen pairs of maize in eighths of an inch (The Design of Experiments,
// 1935). R's wilcox.test(x, conf.int = TRUE) gives V = 96, p = 0.04126 on both sides together, and the estimate 25.
func TestDarwin(t *testing.T) {
	x := []float64{49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48}
	w, null := walsh(x), newSignedRank(len(x))
	if got := w.above(0); got != 96 {
		t.Errorf("the statistic is %d, want 96", got)
	}
	if got := w.below(0); got != 24 {
		t.Errorf("the statistic of the other side is %d, want 24: they add up to 120", got)
	}
	if got := w.median(); got != 25 {
		t.Errorf("the estimate is %v, want 25", got)
	}
	if got := null.atLeast(96); math.Abs(got-0.04126/2) > 0.000005 {
		t.Errorf("p = %.5f, want 0.02063", got)
	}
	low, high, ok := w.interval(null)
	// The interval holds exactly the shifts that a test of either side at 2.5 % does not reject.
	for _, v := range []struct {
		shift float64
		in    bool
	}{{low, true}, {high, true}, {low - 1e-9, false}, {high + 1e-9, false}, {25, true}} {
		rejected := null.atLeast(w.above(v.shift)) <= 0.025 || null.atLeast(w.below(v.shift)) <= 0.025
		if !ok || rejected == v.in {
			t.Errorf("interval [%v, %v] (%v): a shift of %v is rejected: %v", low, high, ok, v.shift, rejected)
		}
	}
}

// TestNoIntervalOfFew: five differences give no 95 % interval, six do: all of them.
func TestNoIntervalOfFew(t *testing.T) {
	x := []float64{1, 2, 3, 4, 5}
	if low, high, ok := walsh(x).interval(newSignedRank(5)); ok {
		t.Errorf("interval of %v = [%v, %v], want none", x, low, high)
	}
	if low, high, ok := walsh(append(x, 6)).interval(newSignedRank(6)); !ok || low != 1 || high != 6 {
		t.Errorf("interval of 1 to 6 = [%v, %v], %v, want [1, 6]", low, high, ok)
	}
}

// TestTiesAreNoEvidence: differences of exactly the value tested count for neither side.
func TestTiesAreNoEvidence(t *testing.T) {
	same := walsh([]float64{0, 0, 0, 0, 0, 0, 0, 0})
	if p := newSignedRank(8).atLeast(same.above(0)); p != 1 {
		t.Errorf("eight differences of 0: p = %v, want 1", p)
	}
	if p := newSignedRank(8).atLeast(same.below(0.1)); p != 1.0/256 {
		t.Errorf("eight differences of 0: p that they are 0.1 = %v, want 1/256", p)
	}
}

// TestHolm: the usual example, of whose four hypotheses the first and the last are rejected at 5 %, and edges.
func TestHolm(t *testing.T) {
	for _, c := range []struct {
		name     string
		ps, want []float64
	}{
		{"textbook", []float64{0.01, 0.04, 0.03, 0.005}, []float64{0.03, 0.06, 0.06, 0.02}},
		{"one", []float64{0.2}, []float64{0.2}},
		{"none", nil, []float64{}},
		{"never above 1", []float64{0.9, 0.8}, []float64{1, 1}},
		{"equal", []float64{0.01, 0.01}, []float64{0.02, 0.02}},
	} {
		got := Holm(c.ps)
		ok := len(got) == len(c.want)
		for i := range got {
			ok = ok && math.Abs(got[i]-c.want[i]) < 1e-12
		}
		if !ok {
			t.Errorf("%s: Holm(%v) = %v, want %v", c.name, c.ps, got, c.want)
		}
	}
}

// TestSpending: what the looks spend is what may be spent, never less than nothing at a look, whatever the looks.
func TestSpending(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		looks := make([]int, 1+rng.IntN(8))
		n := 0
		for i := range looks {
			n += 1 + rng.IntN(20)
			looks[i] = n
		}
		sum := 0.0
		for i := range looks {
			s := share(0.01, looks, i)
			if s <= 0 {
				t.Fatalf("share(0.01, %v, %d) = %v, want above 0", looks, i, s)
			}
			if sum += s; math.Abs(sum-spent(0.01, looks, i)) > 1e-15 {
				t.Fatalf("looks %v: shares to %d add up to %v, spent = %v", looks, i, sum, spent(0.01, looks, i))
			}
		}
		if math.Abs(sum-0.01) > 1e-15 {
			t.Fatalf("looks %v spend %v of 0.01", looks, sum)
		}
	}
}

// TestWalshScale: estimate and interval move with the differences, and mirror with them.
func TestWalshScale(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 200 {
		x := make([]float64, 6+rng.IntN(20))
		for i := range x {
			x[i] = rng.NormFloat64()
		}
		null := newSignedRank(len(x))
		mirrored := make([]float64, len(x))
		for i, v := range x {
			mirrored[i] = 3 - v
		}
		slices.Reverse(mirrored)
		w, m := walsh(x), walsh(mirrored)
		low, high, _ := w.interval(null)
		mLow, mHigh, _ := m.interval(null)
		for _, pair := range [][2]float64{{w.median(), m.median()}, {low, mHigh}, {high, mLow}} {
			if math.Abs(3-pair[0]-pair[1]) > 1e-12 {
				t.Fatalf("differences %v: 3 - %v is not %v", x, pair[0], pair[1])
			}
		}
	}
}

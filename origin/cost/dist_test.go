package cost_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"origin-storm/origin/cost"
)

const ms = time.Millisecond

func TestQuantile(t *testing.T) {
	measured := cost.Dist{Quantiles: cost.Quantiles{{0.1, 4 * ms}, {0.5, 10 * ms}, {0.9, 40 * ms}, {0.99, 200 * ms}}}
	published := cost.Dist{P50: 113 * ms, P99: 267 * ms}
	for _, c := range []struct {
		name string
		dist cost.Dist
		u    float64
		want time.Duration
	}{
		{"nothing", cost.Dist{}, 0.99, 0},
		{"constant", cost.Dist{Constant: 2 * ms}, 0.01, 2 * ms},
		{"constant, tail", cost.Dist{Constant: 2 * ms}, 1 - 1e-12, 2 * ms},
		{"lognormal, median", published, 0.5, 113 * ms},
		{"lognormal, p99", published, 0.99, 267 * ms},
		// exp(ln 113 + (ln 267 - ln 113) · z(0.9)/z(0.99)), with z from a table of the normal distribution
		{"lognormal, p90", published, 0.9, 181467 * time.Microsecond},
		{"measured, at a point", measured, 0.9, 40 * ms},
		{"measured, below the first", measured, 0.001, 4 * ms},
		{"measured, beyond the last", measured, 0.99999, 200 * ms},
		// half way between 10 and 40 ms in z, which is u = Φ(z(0.9)/2), is their geometric mean
		{"measured, between", measured, 0.739168, 20 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.dist.Validate(); err != nil {
				t.Fatalf("Validate() = %v, want nil", err)
			}
			got := c.dist.Quantile(c.u)
			if diff := math.Abs(float64(got - c.want)); diff > 1e-4*float64(c.want) {
				t.Errorf("Quantile(%v) = %v, want %v", c.u, got, c.want)
			}
		})
	}
}

// Measured quantiles of a lognormal distribution give that distribution back, between the points, too.
func TestQuantilesOfALognormal(t *testing.T) {
	whole := cost.Dist{P50: 25 * ms, P99: 129 * ms}
	var sampled cost.Dist
	for _, p := range []float64{0.01, 0.25, 0.5, 0.9, 0.999} {
		sampled.Quantiles = append(sampled.Quantiles, cost.Quantile{P: p, Value: whole.Quantile(p)})
	}
	for u := 0.01; u < 0.999; u += 0.007 {
		got, want := sampled.Quantile(u), whole.Quantile(u)
		if math.Abs(float64(got-want)) > 1e-6*float64(want) {
			t.Errorf("Quantile(%.3f) = %v from five points, want %v", u, got, want)
		}
	}
}

func TestQuantileNeverFalls(t *testing.T) {
	for _, d := range []cost.Dist{
		{P50: ms, P99: ms},
		{P50: 25 * ms, P99: 129 * ms},
		{Quantiles: cost.Quantiles{{0.5, 10 * ms}}},
		{Quantiles: cost.Quantiles{{0.5, 10 * ms}, {0.6, 10 * ms}, {0.99, time.Second}}},
	} {
		last := time.Duration(0)
		for _, u := range []float64{-1, 0, 1e-300, 1e-17, 1e-9, 0.1, 0.499, 0.5, 0.501, 0.6, 0.75, 0.98, 0.99, 0.991, 1 - 1e-9, 1 - 1e-16, 1, 2} {
			got := d.Quantile(u)
			if got < last || got > 24*time.Hour {
				t.Errorf("%+v: Quantile(%v) = %v after %v, want it to rise and to stay finite", d, u, got, last)
			}
			last = got
		}
	}
}

func TestDistValidate(t *testing.T) {
	for _, d := range []cost.Dist{
		{Constant: -1}, {Constant: 2 * time.Hour},
		{P50: ms}, {P99: ms}, {P50: 2 * ms, P99: ms}, {P50: -ms, P99: ms}, {P50: ms, P99: 2 * time.Hour},
		{Constant: ms, P50: ms, P99: ms}, {Constant: ms, Quantiles: cost.Quantiles{{0.5, ms}}},
		{Quantiles: cost.Quantiles{{0, ms}}}, {Quantiles: cost.Quantiles{{1, ms}}}, {Quantiles: cost.Quantiles{{math.NaN(), ms}}},
		{Quantiles: cost.Quantiles{{0.5, 0}}}, {Quantiles: cost.Quantiles{{0.5, 2 * time.Hour}}},
		{Quantiles: cost.Quantiles{{0.5, 2 * ms}, {0.9, ms}}}, {Quantiles: cost.Quantiles{{0.9, ms}, {0.5, 2 * ms}}},
	} {
		if err := d.Validate(); err == nil {
			t.Errorf("%+v: Validate() = nil, want an error", d)
		}
	}
}

// The draws are part of what a seed means: a change here changes every run that was ever recorded with a seed.
func TestDrawIsStable(t *testing.T) {
	for _, c := range []struct {
		seed    uint64
		op, key string
		attempt int
		want    string
	}{
		{0, "", "", 0, "0.550369098968"},
		{7, "write", "event/video/17", 0, "0.332302394571"},
		{7, "write", "event/video/17", 1, "0.793997708435"},
		{8, "write", "event/video/17", 0, "0.617514133182"},
		{7, "read", "event/video/17", 0, "0.323016602259"},
	} {
		if got := fmt.Sprintf("%.12f", cost.Draw(c.seed, c.op, c.key, c.attempt)); got != c.want {
			t.Errorf("Draw(%d, %q, %q, %d) = %s, want %s", c.seed, c.op, c.key, c.attempt, got, c.want)
		}
	}
}

// draws returns a long list of draws of neighbouring arguments: those are what a run asks for.
func draws(n int, of func(i int) float64) []float64 {
	us := make([]float64, n)
	for i := range us {
		us[i] = of(i)
	}
	return us
}

func TestDrawsAreEven(t *testing.T) {
	for name, of := range map[string]func(i int) float64{
		"by key":     func(i int) float64 { return cost.Draw(1, "write", fmt.Sprintf("event/video-3/%d", i), 0) },
		"by seed":    func(i int) float64 { return cost.Draw(uint64(i), "write", "event/video-3/17", 0) },
		"by attempt": func(i int) float64 { return cost.Draw(1, "write", "event/video-3/17", i) },
		"by digest":  func(i int) float64 { return cost.Draw(1, "read", fmt.Sprintf("%064x", i), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			us := draws(200_000, of)
			for _, u := range us {
				if !(u > 0 && u < 1) {
					t.Fatalf("a draw is %v, want it inside (0, 1)", u)
				}
			}
			const cells = 1000
			counts := make([]float64, cells)
			for _, u := range us {
				counts[int(u*cells)]++
			}
			if z := chiSquare(counts, float64(len(us))/cells); math.Abs(z) > 4 {
				t.Errorf("chi-square over %d cells is %.1f standard deviations off", cells, z)
			}
			// Kolmogorov and Smirnov: the largest distance from the diagonal; 1.95/√n is passed once in 1,000 times.
			slices.Sort(us)
			worst := 0.0
			for i, u := range us {
				worst = max(worst, math.Abs(u-float64(i)/float64(len(us))))
			}
			if bound := 1.95 / math.Sqrt(float64(len(us))); worst > bound {
				t.Errorf("largest distance from the even distribution = %.5f, want at most %.5f", worst, bound)
			}
		})
	}
}

// chiSquare returns how many standard deviations the statistic is from its mean.
func chiSquare(counts []float64, want float64) float64 {
	sum := 0.0
	for _, c := range counts {
		sum += (c - want) * (c - want) / want
	}
	freedom := float64(len(counts) - 1)
	return (sum - freedom) / math.Sqrt(2*freedom)
}

func TestDrawsAreIndependent(t *testing.T) {
	const n = 200_000
	key := func(i int) string { return fmt.Sprintf("event/video-3/%d", i) }
	first := draws(n, func(i int) float64 { return cost.Draw(1, "write", key(i), 0) })
	for name, of := range map[string]func(i int) float64{
		"next attempt":  func(i int) float64 { return cost.Draw(1, "write", key(i), 1) },
		"third attempt": func(i int) float64 { return cost.Draw(1, "write", key(i), 2) },
		"other kind":    func(i int) float64 { return cost.Draw(1, "read", key(i), 0) },
		"next seed":     func(i int) float64 { return cost.Draw(2, "write", key(i), 0) },
		"next key":      func(i int) float64 { return cost.Draw(1, "write", key(i+1), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			second := draws(n, of)
			const side = 32
			counts := make([]float64, side*side)
			product := 0.0
			for i := range first {
				counts[int(first[i]*side)*side+int(second[i]*side)]++
				product += (first[i] - 0.5) * (second[i] - 0.5) * 12
			}
			if z := chiSquare(counts, n/(side*side)); math.Abs(z) > 4 {
				t.Errorf("chi-square over pairs is %.1f standard deviations off", z)
			}
			if r := product / n; math.Abs(r) > 4/math.Sqrt(n) {
				t.Errorf("correlation = %.4f, want about 0", r)
			}
		})
	}
}

// A median and a 99th percentile drawn through Draw come out again.
func TestDrawnQuantiles(t *testing.T) {
	for _, d := range []cost.Dist{{P50: 113 * ms, P99: 267 * ms}, {P50: 25 * ms, P99: 129 * ms}} {
		const n = 100_000
		got := make([]time.Duration, n)
		for i := range got {
			got[i] = d.Quantile(cost.Draw(3, "write", fmt.Sprint(i), 0))
		}
		slices.Sort(got)
		for p, want := range map[float64]time.Duration{0.5: d.P50, 0.99: d.P99} {
			if g := got[int(p*n)]; math.Abs(float64(g-want)) > 0.015*float64(want) {
				t.Errorf("p%v of %d draws = %v, want %v", 100*p, n, g, want)
			}
		}
	}
}

func BenchmarkDraw(b *testing.B) {
	d := cost.Dist{P50: 25 * ms, P99: 129 * ms}
	for b.Loop() {
		d.Quantile(cost.Draw(1, "write", "event/video-3/1700000000", 0))
	}
}

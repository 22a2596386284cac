// Package pairtest measures two ways of doing one piece of work against each other: in pairs, in an order that is drawn anew for each,
// so that whatever else the machine does meets both alike. What it finds is the ratio of the medians with its interval. It is for
// benchmarks; a figure that is to stand alone it cannot give.
package pairtest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Side is one way of doing the work.
type Side struct {
	// Name is what its median is reported under; without spaces, as the benchmark format wants it.
	Name string
	// Do does the work once and returns how long that took, without what had to be prepared for it. No two calls, of whichever
	// side, get the same i; it counts from 0. It ends the benchmark where the work fails.
	Do func(i int) time.Duration
}

// Compare runs pairs of one and other, a fifth as many before they count, and reports as metrics of b how many pairs it took, the
// median of either in milliseconds, and the ratio of one's to other's with the ends of its 95 % interval. Further iterations of b add
// as many pairs again.
func Compare(b *testing.B, pairs int, one, other Side) {
	b.Helper()
	order := rand.New(rand.NewPCG(1, 2))
	n := 0
	run := func(s Side) time.Duration {
		n++
		return s.Do(n - 1)
	}
	pair := func() (x, y time.Duration) {
		if order.IntN(2) == 0 {
			x = run(one)
			return x, run(other)
		}
		y = run(other)
		return run(one), y
	}
	for range pairs / 5 {
		pair()
	}
	var xs, ys []time.Duration
	for b.Loop() {
		for range pairs {
			x, y := pair()
			xs, ys = append(xs, x), append(ys, y)
		}
	}
	ratio, low, high := Ratio(xs, ys)
	b.ReportMetric(0, "ns/op") // of hundreds of pairs: a figure that says nothing
	b.ReportMetric(float64(len(xs)), "pairs")
	b.ReportMetric(ms(median(xs)), one.Name+"-p50-ms")
	b.ReportMetric(ms(median(ys)), other.Name+"-p50-ms")
	b.ReportMetric(ratio, "ratio")
	b.ReportMetric(low, "ratio-low")
	b.ReportMetric(high, "ratio-high")
}

// resamples is how often Ratio draws; the ends of its interval then vary by less than what they bound.
const resamples = 2000

// Ratio is the ratio of the medians of x and y, equally many, the i-th of both measured as a pair, with its 95 % interval: the
// percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993) over pairs.
func Ratio(x, y []time.Duration) (ratio, low, high float64) {
	random := rand.New(rand.NewPCG(3, 4))
	drawn := make([]float64, resamples)
	a, b := make([]time.Duration, len(x)), make([]time.Duration, len(y))
	for r := range drawn {
		for i := range a {
			j := random.IntN(len(x))
			a[i], b[i] = x[j], y[j]
		}
		drawn[r] = over(a, b)
	}
	slices.Sort(drawn)
	return over(x, y), drawn[resamples*25/1000], drawn[resamples*975/1000-1]
}

func over(x, y []time.Duration) float64 { return float64(median(x)) / float64(median(y)) }

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return (d[(len(d)-1)/2] + d[len(d)/2]) / 2
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

package record

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of a histogram: to a microsecond, three digits. Beyond a minute a value is counted at the end, and counted as
// having been there.
const (
	lowest  = int64(time.Microsecond)
	highest = int64(time.Minute)
	digits  = 3
)

// The latencies that are kept of each class, as latency.hlog names them.
const (
	response = iota
	service
	lag
	firstByte
	afterAnswer
	latencies
)

var latencyNames = [latencies]string{"response", "service", "lag", "first-byte", "after-answer"}

// histogram is an HdrHistogram of nanoseconds that takes every value. Its zero value is empty.
type histogram struct {
	h    *hdrhistogram.Histogram // nil until the first value
	max  time.Duration           // exact, also beyond the range
	over int64                   // values beyond the range
}

func (h *histogram) add(d time.Duration) {
	if h.h == nil {
		h.h = hdrhistogram.New(lowest, highest, digits)
	}
	h.max = max(h.max, d)
	v := max(0, int64(d))
	if v > highest {
		h.over++
		v = highest
	}
	_ = h.h.RecordValue(v) // it fails outside the range only
}

// merge adds what o counted.
func (h *histogram) merge(o histogram) error {
	if o.h == nil {
		return nil
	}
	if h.h == nil {
		h.h = hdrhistogram.New(lowest, highest, digits)
	}
	if n := h.h.Merge(o.h); n > 0 {
		return fmt.Errorf("record: a histogram to be merged has %d values outside the range of 0 to %v", n, time.Duration(highest))
	}
	h.max, h.over = max(h.max, o.max), h.over+o.over
	return nil
}

func (h *histogram) count() int64 {
	if h.h == nil {
		return 0
	}
	return h.h.TotalCount()
}

// latency makes figures of h.
func (h *histogram) latency() Latency {
	l := Latency{Count: h.count(), Over: h.over}
	if l.Count == 0 {
		l.Note = "no values"
		return l
	}
	r := newRanks(h.h)
	n := l.Count
	at := func(q float64) *float64 {
		if n < Needed(q) {
			if l.Note == "" {
				l.Note = fmt.Sprintf("p%s needs %d values, there are %d", percent(q), Needed(q), n)
			}
			return nil
		}
		return new(r.value(rank(q, n)))
	}
	between := func(q float64) *[2]float64 {
		lo, hi, ok := Interval95(q, n)
		if !ok || n < Needed(q) {
			return nil
		}
		return &[2]float64{r.value(lo), r.value(hi)}
	}
	l.P50, l.P90, l.P99, l.P999 = at(0.5), at(0.9), at(0.99), at(0.999)
	l.P50CI, l.P99CI = between(0.5), between(0.99)
	l.Max = new(ms(h.max))
	// A point for each quarter of a halving of 1−q, to the last value.
	for k := 0; ; k++ {
		q := 1 - math.Exp2(-float64(k)/4)
		l.Points = append(l.Points, [2]float64{q, r.value(rank(q, n))})
		if (1-q)*float64(n) <= 1 {
			return l
		}
	}
}

// percent writes a quantile as people say it: 0.999 is 99.9.
func percent(q float64) string { return fmt.Sprint(math.Round(q*1e6) / 1e4) }

// Needed is how many values a quantile needs before it is shown and is not null: p50 needs 20, p90 needs 50, p99 needs 300,
// p99.9 needs 3,000. From 0.9 on there have to be about three to five values beyond it; low quantiles mirror high ones.
func Needed(q float64) int64 {
	switch q = max(q, 1-q); {
	case q < 0.9:
		return 20
	case q < 0.99:
		return 50
	}
	return int64(math.Round(3 / (1 - q)))
}

// rank is the place, from 1 to n, of quantile q among n values in order.
func rank(q float64, n int64) int64 { return min(max(int64(math.Ceil(q*float64(n)-1e-9)), 1), n) }

// Interval95 returns the ranks, from 1 to n, of the two values among n in order between which the quantile q of what they
// were drawn from lies with a probability of at least 95 %, whatever its distribution; ok is false if n values give none.
// The values must be independent: those of one run are only nearly so.
func Interval95(q float64, n int64) (lo, hi int64, ok bool) {
	// The count of values below the quantile is binomial: lo is the largest rank with P(count < lo) ≤ 2.5 %, hi the smallest
	// with P(count < hi) ≥ 97.5 %.
	if n < 1 || q <= 0 || q >= 1 {
		return 0, 0, false
	}
	sigma := math.Sqrt(float64(n) * q * (1 - q))
	k := max(int64(float64(n)*q-10*sigma-10), 0) // below it there is no probability worth adding
	lgamma := func(x int64) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
	p := math.Exp(lgamma(n) - lgamma(k) - lgamma(n-k) + float64(k)*math.Log(q) + float64(n-k)*math.Log1p(-q))
	sum := 0.0 // P(count < k)
	for ; k <= n; k++ {
		if sum <= 0.025 {
			lo = k
		}
		if sum >= 0.975 {
			return lo, k, lo >= 1
		}
		sum += p
		p *= float64(n-k) / float64(k+1) * q / (1 - q)
	}
	return 0, 0, false
}

// ranks finds values by their rank.
type ranks struct {
	upTo   []int64   // how many values there are up to the end of each bar that has any
	values []float64 // ms, the highest equivalent value of each, as every HdrHistogram reader shows it
}

func newRanks(h *hdrhistogram.Histogram) ranks {
	var r ranks
	sum := int64(0)
	for _, b := range h.Distribution() {
		if b.Count > 0 {
			sum += b.Count
			r.upTo, r.values = append(r.upTo, sum), append(r.values, ms(time.Duration(b.To)))
		}
	}
	return r
}

func (r ranks) value(rank int64) float64 {
	i, _ := slices.BinarySearch(r.upTo, rank)
	return r.values[min(i, len(r.values)-1)]
}

func ms(d time.Duration) float64      { return float64(d) / float64(time.Millisecond) }
func seconds(d time.Duration) float64 { return d.Seconds() }

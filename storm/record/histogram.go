package record

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sort"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"gonum.org/v1/gonum/stat/distuv"
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
	shown // those before it are

	// The same requests as response and firstByte, each less what the driver lost of its time: what shows the driver's part in those.
	onTime = iota - 1
	firstOnTime
	latencies
)

var latencyNames = [shown]string{"response", "service", "lag", "first-byte", "after-answer"}

// histogram counts nanoseconds in the bars of an HdrHistogram and takes every value. While it has few different ones it is a table
// of those: a part of a recording (see Journal) has dozens of histograms, and a dense one takes 200 KB. Its zero value is empty.
type histogram struct {
	few  map[int64]int64         // how many values each bar has, by the bar's lowest value; nil once there were many
	many *hdrhistogram.Histogram // nil until then
	max  time.Duration           // exact, also beyond the range
	over int64                   // values beyond the range
	when batches                 // the same values, by when their requests began
}

// mostFew is from how many bars on a dense histogram takes less than a table.
const mostFew = 4096

// bar returns the lowest and the highest value that an HdrHistogram with this range and precision does not tell from v, which is not
// negative.
func bar(v int64) (low, high int64) {
	const (
		unit = 9  // a bar is 2⁹ ns wide at least: the largest power of 2 up to lowest
		half = 11 // and 2¹¹ bars, enough for three digits, lie below the first of double width
	)
	width := max(unit, bits.Len64(uint64(v))-half)
	low = v >> width << width
	return low, low + 1<<width - 1
}

// add counts d, of a request that began in that tick.
func (h *histogram) add(d time.Duration, tick int64) {
	h.when.add(tick, d)
	h.addAnytime(d)
}

// addAnytime counts d where no intervals are needed.
func (h *histogram) addAnytime(d time.Duration) {
	h.max = max(h.max, d)
	v := max(0, int64(d))
	if v > highest {
		h.over++
		v = highest
	}
	h.put(v, 1)
}

// put adds n values of v, which is inside the range.
func (h *histogram) put(v, n int64) {
	if h.many == nil {
		if h.few == nil {
			h.few = map[int64]int64{}
		}
		low, _ := bar(v)
		h.few[low] += n
		if len(h.few) < mostFew {
			return
		}
		h.many = h.dense()
		h.few = nil
		return
	}
	_ = h.many.RecordValues(v, n) // it fails outside the range only
}

// dense returns h as an HdrHistogram of its own.
func (h *histogram) dense() *hdrhistogram.Histogram {
	if h.many != nil {
		return h.many.Clone()
	}
	d := hdrhistogram.New(lowest, highest, digits)
	for low, n := range h.few {
		_ = d.RecordValues(low, n) // as in put
	}
	return d
}

// bars returns the bars that have values, in order.
func (h *histogram) bars() (all []counted) {
	if h.many != nil {
		for _, b := range h.many.Distribution() {
			if b.Count > 0 {
				all = append(all, counted{b.From, b.Count})
			}
		}
		return all
	}
	for low, n := range h.few {
		all = append(all, counted{low, n})
	}
	slices.SortFunc(all, func(a, b counted) int { return cmp.Compare(a.low, b.low) })
	return all
}

// counted is a bar with how many values it has.
type counted struct{ low, n int64 }

// merge adds what o counted.
func (h *histogram) merge(o histogram) {
	for _, b := range o.bars() {
		h.put(b.low, b.n)
	}
	h.max, h.over = max(h.max, o.max), h.over+o.over
	h.when.merge(o.when)
}

func (h *histogram) count() (n int64) {
	if h.many != nil {
		return h.many.TotalCount()
	}
	for _, c := range h.few {
		n += c
	}
	return n
}

// latency makes figures of h.
func (h *histogram) latency() Latency { return h.latencyWith(0) }

// latencyWith makes figures of h and of as many values as could not be taken, because the driver did not send the request. Each
// of those could have been longer than any other, and is taken to be: a quantile among them is null. A driver that cannot send
// while its target stands still would otherwise show nothing but the good times.
func (h *histogram) latencyWith(untaken int64) Latency {
	l := Latency{Count: h.count(), Over: h.over}
	if l.Count == 0 {
		l.Note = "no values"
		return l
	}
	r := newRanks(h.bars())
	n := l.Count + untaken
	note := func(format string, args ...any) {
		if l.Note == "" {
			l.Note = fmt.Sprintf(format, args...)
		}
	}
	at := func(q float64) *float64 {
		switch {
		case l.Count < Needed(q):
			note("p%s needs %d values, there are %d", percent(q), Needed(q), l.Count)
			return nil
		case rank(q, n) > l.Count:
			note("%d requests could not be sent, and p%s may be one of them", untaken, percent(q))
			return nil
		}
		return new(min(r.value(rank(q, n)), ms(h.max)))
	}
	between := func(q float64, v *float64) *[2]float64 {
		if v == nil {
			return nil
		}
		lo, hi, ok := h.when.interval(q, n, time.Duration(*v*float64(time.Millisecond)))
		if !ok || hi > l.Count {
			return nil
		}
		return &[2]float64{min(r.value(lo), ms(h.max)), min(r.value(hi), ms(h.max))}
	}
	l.P50, l.P90, l.P95, l.P99, l.P999 = at(0.5), at(0.9), at(0.95), at(0.99), at(0.999)
	l.P50CI, l.P90CI, l.P95CI, l.P99CI, l.P999CI = between(0.5, l.P50), between(0.9, l.P90), between(0.95, l.P95), between(0.99, l.P99), between(0.999, l.P999)
	if untaken == 0 {
		l.Max = new(ms(h.max))
	} else {
		note("%d requests could not be sent, and the longest may be one of them", untaken)
	}
	// A point for each quarter of a halving of 1−q, to the last value.
	for k := 0; ; k++ {
		q := 1 - math.Exp2(-float64(k)/4)
		if rank(q, n) > l.Count {
			return l
		}
		l.Points = append(l.Points, [2]float64{q, min(r.value(rank(q, n)), ms(h.max))})
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
// The values must be independent. The count of values below the quantile is binomial: lo is the largest rank with
// P(count < lo) ≤ 2.5 %, hi the smallest with P(count < hi) ≥ 97.5 % (David and Nagaraja, Order Statistics, 2003, 7.1). For the
// median it is the interval of golang.org/x/perf/benchmath.AssumeNothing, which has no other quantile.
func Interval95(q float64, n int64) (lo, hi int64, ok bool) {
	if n < 1 || q <= 0 || q >= 1 {
		return 0, 0, false
	}
	below := distuv.Binomial{N: float64(n), P: q}
	upTo := func(p float64) int64 { // the smallest count up to which there is a probability of p
		return int64(sort.Search(int(n), func(k int) bool { return below.CDF(float64(k)) >= p }))
	}
	lo, hi = upTo(math.Nextafter(0.025, 1)), upTo(0.975)+1
	return lo, hi, lo >= 1 && hi <= n
}

// ranks finds values by their rank.
type ranks struct {
	upTo   []int64   // how many values there are up to the end of each bar that has any
	values []float64 // ms, the highest equivalent value of each, as every HdrHistogram reader shows it
}

func newRanks(bars []counted) ranks {
	var r ranks
	sum := int64(0)
	for _, b := range bars {
		_, high := bar(b.low)
		sum += b.n
		r.upTo, r.values = append(r.upTo, sum), append(r.values, ms(time.Duration(high)))
	}
	return r
}

func (r ranks) value(rank int64) float64 {
	i, _ := slices.BinarySearch(r.upTo, rank)
	return r.values[min(i, len(r.values)-1)]
}

func ms(d time.Duration) float64      { return float64(d) / float64(time.Millisecond) }
func seconds(d time.Duration) float64 { return d.Seconds() }

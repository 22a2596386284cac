package record

import (
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
)

// batches counts values by the stretch of time in which their requests began: what falls on one tick of the segment clock goes the
// same way, so that a thousand requests of ten ticks tell less than a thousand that have nothing to do with one another. A batch is a
// tick at first; when there are too many of them, neighbours become one, so that memory is bounded. The zero value is empty.
type batches struct {
	Shift uint                `json:"shift,omitempty"` // a batch is 2^Shift ticks
	Of    map[int64]*spectrum `json:"of,omitempty"`

	last *spectrum // Of[key], which most values that come one after the other go into; nil: none
	key  int64
}

// mostBatches is enough to tell how much batches differ: with so many, that is known within 15 %.
const mostBatches = 128

func (b *batches) add(tick int64, d time.Duration) {
	key := tick >> b.Shift
	if b.last == nil || b.key != key {
		if b.Of == nil {
			b.Of = map[int64]*spectrum{}
		}
		if b.Of[key] == nil {
			b.Of[key] = &spectrum{}
			b.bound()
			key = tick >> b.Shift
		}
		b.last, b.key = b.Of[key], key
	}
	b.last.add(d)
}

// bound makes batches longer until there are few enough.
func (b *batches) bound() {
	for len(b.Of) > mostBatches {
		b.lengthen(b.Shift + 1)
	}
}

func (b *batches) lengthen(shift uint) {
	of := map[int64]*spectrum{}
	for k, s := range b.Of {
		k >>= shift - b.Shift
		if of[k] == nil {
			of[k] = &spectrum{}
		}
		of[k].merge(*s)
	}
	b.Shift, b.Of, b.last = shift, of, nil
}

// merge adds what o counted. Parts that are merged in any order are what the whole would be.
func (b *batches) merge(o batches) {
	if b.Of == nil {
		b.Of = map[int64]*spectrum{}
	}
	if b.Shift < o.Shift {
		b.lengthen(o.Shift)
	}
	b.last = nil
	for k, s := range o.Of {
		if s == nil { // a file can say so
			continue
		}
		k >>= b.Shift - o.Shift
		if b.Of[k] == nil {
			b.Of[k] = &spectrum{}
		}
		b.Of[k].merge(*s)
	}
	b.bound()
}

// effect is how many times as many values it takes, at the quantile that is v, to tell as much as independent ones would; ok is false
// where there is no way to know, because all of them are in one batch.
//
// It is the design effect of cluster sampling (Kish, Survey Sampling, 1965) for the share of values up to v, with batches as clusters:
// Σ(k−p·n)²·T/(T−1) over T batches of n values, k of them up to v, for p·(1−p)·Σn; not less than 1. The square of Student's
// 97.5 % quantile with T−1 degrees of freedom over the normal one allows for what few batches leave open. An interval for the
// quantile out of one for that share is Woodruff's (Confidence intervals for medians and other position measures, JASA 1952).
func (b *batches) effect(v time.Duration) (factor float64, ok bool) {
	t := float64(len(b.Of))
	if t < 2 {
		return 0, false
	}
	cut := bandOf(v)
	factor = 1
	for _, cut := range [...]int32{cut - 1, cut} { // both ends of v's own band, as it may hold much of all there is
		var n, k []float64
		var sum, below float64
		for _, s := range b.Of {
			all, upTo := 0.0, 0.0
			for _, band := range *s {
				all += float64(band.n)
				if band.nth <= cut {
					upTo += float64(band.n)
				}
			}
			n, k = append(n, all), append(k, upTo)
			sum, below = sum+all, below+upTo
		}
		p := below / sum
		if p <= 0 || p >= 1 {
			continue
		}
		squares := make([]float64, len(n))
		for i := range n {
			squares[i] = (k[i] - p*n[i]) * (k[i] - p*n[i])
		}
		slices.Sort(squares) // so that the sum does not depend on the map's order
		var between float64
		for _, s := range squares {
			between += s
		}
		factor = max(factor, between*t/(t-1)/(p*(1-p)*sum))
	}
	student := distuv.StudentsT{Sigma: 1, Nu: t - 1}.Quantile(0.975) / distuv.UnitNormal.Quantile(0.975)
	return factor * student * student, true
}

// interval returns the ranks among n values, in order, of a 95 % interval of quantile q, which is v: order statistics of as many
// independent values as these are worth.
func (b *batches) interval(q float64, n int64, v time.Duration) (lo, hi int64, ok bool) {
	factor, ok := b.effect(v)
	if !ok {
		return 0, 0, false
	}
	worth := int64(float64(n) / factor)
	if lo, hi, ok = Interval95(q, worth); !ok {
		return 0, 0, false
	}
	scale := float64(n) / float64(worth)
	return max(1, int64(math.Floor(float64(lo)*scale))), min(n, int64(math.Ceil(float64(hi)*scale))), true
}

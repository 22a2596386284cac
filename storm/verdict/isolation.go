package verdict

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"

	"origin-storm/storm/record"
)

// How intervals of a ratio are drawn: so many resamples, and no interval from fewer ticks than can give one at 95 % without
// assumptions about their distribution (six, as for a median).
const (
	resamples = 2000
	fewTicks  = 6
)

// Isolation returns how much slower publishes are in a storm than in quiet: the ratio of their p50s and of their p99s, each with
// a 95 % interval. Both are response times in ms, one slice for each tick of the segment clock. What falls on one tick goes
// the same way, so the interval is a bootstrap over whole ticks: publishes of one tick are not drawn apart. The same seed
// gives the same interval. A ratio is null, with a note, where a side has too few publishes for the percentile.
func Isolation(quiet, storm [][]float64, seed uint64) *record.WriteIsolation {
	q, s := pool(quiet), pool(storm)
	return &record.WriteIsolation{P50: ratio(q, s, 0.5, seed), P99: ratio(q, s, 0.99, seed)}
}

// pooled is a phase's publishes in order of duration; each remembers its tick.
type pooled struct {
	values []float64
	tick   []int
	ticks  int
}

// pool puts the ticks of a phase together; ticks without publishes are left out.
func pool(ticks [][]float64) pooled {
	var p pooled
	type one struct {
		ms   float64
		tick int
	}
	var all []one
	for _, t := range ticks {
		if len(t) == 0 {
			continue
		}
		for _, ms := range t {
			all = append(all, one{ms, p.ticks})
		}
		p.ticks++
	}
	slices.SortFunc(all, func(a, b one) int { return cmp.Compare(a.ms, b.ms) })
	for _, o := range all {
		p.values, p.tick = append(p.values, o.ms), append(p.tick, o.tick)
	}
	return p
}

// resampled is a quantile of as many ticks as there are, drawn with replacement. Weighting the values, which are in order
// once, spares sorting each resample.
func (p pooled) resampled(q float64, rng *rand.Rand, weights []float64) float64 {
	drawn := make([]float64, p.ticks)
	for range p.ticks {
		drawn[rng.IntN(p.ticks)]++
	}
	for i, t := range p.tick {
		weights[i] = drawn[t]
	}
	return stat.Quantile(q, stat.Empirical, p.values, weights)
}

// ratio compares one percentile of storm to that of quiet.
func ratio(quiet, storm pooled, q float64, seed uint64) record.Ratio {
	for _, side := range []struct {
		name string
		pooled
	}{{"quiet", quiet}, {"storm", storm}} {
		if n, need := int64(len(side.values)), record.Needed(q); n < need {
			return record.Ratio{Note: fmt.Sprintf("p%v needs %d writes on each side, %s has %d", q*100, need, side.name, n)}
		}
	}
	base := stat.Quantile(q, stat.Empirical, quiet.values, nil)
	if base <= 0 {
		return record.Ratio{Note: fmt.Sprintf("p%v in quiet is 0: nothing to compare to", q*100)}
	}
	r := record.Ratio{Ratio: new(stat.Quantile(q, stat.Empirical, storm.values, nil) / base)}
	if n := min(quiet.ticks, storm.ticks); n < fewTicks {
		r.Note = fmt.Sprintf("no interval: it needs %d ticks on each side, there are %d", fewTicks, n)
		return r
	}
	rng := rand.New(rand.NewPCG(seed, 0x150_1a7104))
	qw, sw := make([]float64, len(quiet.values)), make([]float64, len(storm.values))
	var ratios []float64
	for range resamples {
		if b := quiet.resampled(q, rng, qw); b > 0 {
			ratios = append(ratios, storm.resampled(q, rng, sw)/b)
		}
	}
	slices.Sort(ratios)
	if len(ratios) < resamples {
		r.Note = "no interval: a resample of quiet was 0"
		return r
	}
	r.CI = &[2]float64{stat.Quantile(0.025, stat.Empirical, ratios, nil), stat.Quantile(0.975, stat.Empirical, ratios, nil)}
	return r
}

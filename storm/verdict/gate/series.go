package gate

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"origin-storm/storm/record"
)

// series is what was measured of one metric, quad by quad.
type series struct {
	Metric
	quads []measured
}

// measured is a quad of one metric: base's blocks and head's, in order of time, and their figures.
type measured struct {
	base, head           [2][]float64
	baseAlone, headAlone [2]float64
}

// add takes a quad that was checked.
func (s *series) add(q Quad) {
	var m measured
	var n [2]int
	for _, b := range q {
		values := b.Samples[s.Samples()]
		side, alone := &m.base, &m.baseAlone
		if b.Side == Head {
			side, alone = &m.head, &m.headAlone
		}
		side[n[b.Side]] = values
		if len(values) >= s.needed() {
			alone[n[b.Side]] = s.figure(values)
		}
		n[b.Side]++
	}
	s.quads = append(s.quads, m)
}

// needed is how many samples a figure needs; a mean can be taken of one.
func (s *series) needed() int {
	if s.Quantile == 0 {
		return 1
	}
	return int(record.Needed(s.Quantile))
}

// samples is how many there are on the side that has fewer.
func (s *series) samples() int {
	base, head := 0, 0
	for _, q := range s.quads {
		base += len(q.base[0]) + len(q.base[1])
		head += len(q.head[0]) + len(q.head[1])
	}
	return min(base, head)
}

// figure is the metric's figure of some samples.
func (s *series) figure(blocks ...[]float64) float64 {
	values := slices.Concat(blocks...)
	if s.Quantile == 0 {
		return stat.Mean(values, nil)
	}
	slices.Sort(values)
	return stat.Quantile(s.Quantile, stat.Empirical, values, nil)
}

// unit is one difference between the sides: their figures, and those of base's earlier and later blocks.
type unit struct{ base, head, early, late float64 }

// units returns the differences so far. Where every block has the samples that the figure needs, a quad is a unit, and a side's
// figure is the mean of its two blocks', so that an even drift cancels. Where blocks are shorter, a unit is as many quads in a row as
// give each side the samples, put together; quads that do not make up a unit yet are left out.
func (s *series) units() []unit {
	short := slices.ContainsFunc(s.quads, func(m measured) bool {
		return slices.ContainsFunc([][]float64{m.base[0], m.base[1], m.head[0], m.head[1]}, func(v []float64) bool { return len(v) < s.needed() })
	})
	var out []unit
	if !short {
		for _, q := range s.quads {
			out = append(out, unit{s.middle(q.baseAlone), s.middle(q.headAlone), q.baseAlone[0], q.baseAlone[1]})
		}
		return out
	}
	var early, late, head []float64
	for _, q := range s.quads {
		early, late = append(early, q.base[0]...), append(late, q.base[1]...)
		head = append(head, slices.Concat(q.head[:]...)...)
		if min(len(early)+len(late), len(head)) >= s.needed() {
			out = append(out, unit{s.figure(early, late), s.figure(head), s.figure(early), s.figure(late)})
			early, late, head = nil, nil, nil
		}
	}
	return out
}

// middle is the mean of two blocks' figures on the scale on which the metric is compared.
func (s *series) middle(f [2]float64) float64 {
	if s.Absolute {
		return (f[0] + f[1]) / 2
	}
	return math.Sqrt(f[0]) * math.Sqrt(f[1])
}

// effect is by how much other is worse than one, on the scale on which effects add up.
func (s *series) effect(one, other float64) float64 {
	if !s.Absolute {
		one, other = math.Log(one), math.Log(other)
	}
	if s.Better == Higher {
		one, other = other, one
	}
	return other - one
}

// threshold is Metric.Effect on that scale, change and worse lead back from it: to head over base (or head less base), and to the
// terms of Metric.Effect.
func (s *series) threshold() float64 {
	if s.Absolute {
		return s.Effect
	}
	return math.Log1p(s.Effect)
}

func (s *series) change(effect float64) float64 {
	if s.Better == Higher {
		effect = -effect
	}
	if s.Absolute {
		return effect
	}
	return math.Exp(effect)
}

func (s *series) worse(effect float64) float64 {
	if s.Absolute {
		return effect
	}
	return math.Expm1(effect)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

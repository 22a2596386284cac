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
	quads []pair
}

// measured is a block of one metric: its samples, and its figure if they suffice for one.
type measured struct {
	samples []float64
	figure  float64
}

// pair are base's blocks of a quad and head's, each in order of time.
type pair [2][2]measured

// measured prepares a block's samples, which were checked.
func (s *series) measured(b Block) measured {
	m := measured{samples: b.Samples[s.Samples()]}
	if len(m.samples) >= s.needed() {
		m.figure = s.figure(m.samples)
	}
	return m
}

// add takes the blocks of a quad, in order of time, and their sides.
func (s *series) add(order [4]Side, blocks [4]measured) {
	var p pair
	var n [2]int
	for i, side := range order {
		p[side][n[side]] = blocks[i]
		n[side]++
	}
	s.quads = append(s.quads, p)
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
	var n [2]int
	for _, p := range s.quads {
		for side, blocks := range p {
			n[side] += len(blocks[0].samples) + len(blocks[1].samples)
		}
	}
	return min(n[Base], n[Head])
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
	short := slices.ContainsFunc(s.quads, func(p pair) bool {
		return min(len(p[Base][0].samples), len(p[Base][1].samples), len(p[Head][0].samples), len(p[Head][1].samples)) < s.needed()
	})
	var out []unit
	if !short {
		for _, p := range s.quads {
			early, late := p[Base][0].figure, p[Base][1].figure
			out = append(out, unit{s.middle(early, late), s.middle(p[Head][0].figure, p[Head][1].figure), early, late})
		}
		return out
	}
	var early, late, head []float64
	for _, p := range s.quads {
		early, late = append(early, p[Base][0].samples...), append(late, p[Base][1].samples...)
		head = append(append(head, p[Head][0].samples...), p[Head][1].samples...)
		if min(len(early)+len(late), len(head)) >= s.needed() {
			out = append(out, unit{s.figure(early, late), s.figure(head), s.figure(early), s.figure(late)})
			early, late, head = nil, nil, nil
		}
	}
	return out
}

// middle is the mean of two blocks' figures on the scale on which the metric is compared.
func (s *series) middle(one, other float64) float64 {
	if s.Absolute {
		return (one + other) / 2
	}
	return math.Sqrt(one) * math.Sqrt(other)
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

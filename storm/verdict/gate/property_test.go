package gate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"origin-storm/storm/verdict/gate"
)

// machines are made-up ones, from calm to wild, on which properties have to hold alike.
func machines() map[string]job {
	return map[string]job{
		"calm":          {drift: 0.01, block: 0.03, within: 0.2, head: 1, publishes: 30},
		"drifting":      {drift: 0.15, block: 0.05, within: 0.3, head: 1, publishes: 30},
		"bursts":        {drift: 0.02, block: 0.05, within: 0.3, tail: 0.15, head: 1, publishes: 30},
		"wild":          {drift: 0.2, block: 0.3, within: 0.8, tail: 0.2, head: 1, publishes: 30},
		"20 % slower":   {drift: 0.02, block: 0.05, within: 0.3, tail: 0.05, head: 1.2, publishes: 30},
		"20 % quicker":  {drift: 0.02, block: 0.05, within: 0.3, tail: 0.05, head: 1 / 1.2, publishes: 30},
		"5 % slower":    {drift: 0.02, block: 0.03, within: 0.2, head: 1.05, publishes: 30},
		"twice as slow": {drift: 0.2, block: 0.3, within: 0.8, tail: 0.2, head: 2, publishes: 30},
	}
}

// mapped is quads with each sample changed.
func mapped(quads []gate.Quad, f func(quad, block int, side gate.Side, v float64) float64) []gate.Quad {
	out := make([]gate.Quad, len(quads))
	for i, q := range quads {
		for k, b := range q {
			samples := map[string][]float64{}
			for name, values := range b.Samples {
				values = slices.Clone(values)
				for j := range values {
					values[j] = f(i, k, b.Side, values[j])
				}
				samples[name] = values
			}
			out[i][k] = gate.Block{Side: b.Side, Samples: samples}
		}
	}
	return out
}

// decided runs a gate over all quads, or until it is final, and returns what it said after each.
func decided(t *testing.T, c gate.Config, quads []gate.Quad) []gate.Decision {
	t.Helper()
	g, err := gate.New(c)
	if err != nil {
		t.Fatalf("New(%+v): %v", c, err)
	}
	var out []gate.Decision
	for i, q := range quads {
		if err := g.Add(q); err != nil {
			t.Fatalf("Add(quad %d): %v", i+1, err)
		}
		d, err := g.Decide()
		if err != nil {
			t.Fatalf("Decide after %d quads: %v", i+1, err)
		}
		if out = append(out, d); d.Final {
			break
		}
	}
	return out
}

// near compares what was found, but for rounding.
func near(a, b gate.Decision, scale float64) error {
	for i := range a.Metrics {
		x, y := a.Metrics[i], b.Metrics[i]
		for _, v := range []struct {
			name   string
			x, y   *float64
			factor float64
		}{{"base", x.Base, y.Base, scale}, {"head", x.Head, y.Head, scale}, {"change", x.Change, y.Change, 1}, {"worse", x.Worse, y.Worse, 1},
			{"noise floor", x.Floor, y.Floor, 1}, {"p", x.P, y.P, 1}, {"p_effect", x.PEffect, y.PEffect, 1}} {
			if (v.x == nil) != (v.y == nil) || v.x != nil && math.Abs(*v.x*v.factor-*v.y) > 1e-9*max(1, math.Abs(*v.y)) {
				return fmt.Errorf("%s: %v, %v", v.name, *v.x, *v.y)
			}
		}
	}
	if a.Verdict != b.Verdict || a.Final != b.Final {
		return fmt.Errorf("%s (final %v), %s (final %v)", a.Verdict, a.Final, b.Verdict, b.Final)
	}
	return nil
}

// TestScaleInvariance: milliseconds or microseconds, a quick machine or a slow one: the same is said.
func TestScaleInvariance(t *testing.T) {
	for name, m := range machines() {
		for seed := range uint64(20) {
			c := gate.Config{Metrics: []gate.Metric{writeP50}, Seed: seed}
			quads := m.quads(30, seed)
			one := decided(t, c, quads)
			other := decided(t, c, mapped(quads, func(_, _ int, _ gate.Side, v float64) float64 { return v * 1000 }))
			for i := range one {
				if err := near(one[i], other[i], 1000); err != nil {
					t.Fatalf("%s, seed %d, %d quads: in ms and in µs: %v", name, seed, i+1, err)
				}
			}
		}
	}
}

// TestEvenDriftCancels: a machine that gets slower by the same factor from block to block changes nothing of what is found.
func TestEvenDriftCancels(t *testing.T) {
	c := gate.Config{Metrics: []gate.Metric{writeP50}, Seed: 3}
	quads := machines()["bursts"].quads(30, 3)
	one := decided(t, c, quads)
	other := decided(t, c, mapped(quads, func(quad, block int, _ gate.Side, v float64) float64 {
		return v * math.Pow(1.05, float64(4*quad+block))
	}))
	for i := range min(len(one), len(other)) {
		x, y := one[i].Metrics[0], other[i].Metrics[0]
		if math.Abs(*x.Change-*y.Change) > 1e-9 || math.Abs(*x.P-*y.P) > 1e-9 {
			t.Fatalf("%d quads: change %v, p %v; with a drift of 5 %% a block %v, %v", i+1, *x.Change, *x.P, *y.Change, *y.P)
		}
	}
}

// TestSidesAreSymmetric: exchanging base and head turns the change over, and what is worse becomes better.
func TestSidesAreSymmetric(t *testing.T) {
	for name, m := range machines() {
		for seed := range uint64(20) {
			quads := m.quads(12, seed)
			// The first gate's order is that of one seed, the second's that of another: only its own quads fit a gate.
			exchanged := slices.Clone(quads)
			for i := range exchanged {
				for k := range exchanged[i] {
					exchanged[i][k].Side = 1 - exchanged[i][k].Side
				}
			}
			other := opposite(t, seed, 12)
			a := decided(t, gate.Config{Metrics: []gate.Metric{writeP50}, Seed: seed, Looks: []int{13}}, quads)[11].Metrics[0]
			b := decided(t, gate.Config{Metrics: []gate.Metric{writeP50}, Seed: other, Looks: []int{13}}, exchanged)[11].Metrics[0]
			if math.Abs(*a.Change**b.Change-1) > 1e-9 || math.Abs(a.CI[0]*b.CI[1]-1) > 1e-9 || *a.Base != *b.Head {
				t.Fatalf("%s, seed %d: change %v %v, exchanged %v %v", name, seed, *a.Change, *a.CI, *b.Change, *b.CI)
			}
		}
	}
}

// opposite finds a seed whose first n orders are all the opposite of seed's.
func opposite(t *testing.T, seed uint64, n int) uint64 {
	t.Helper()
search:
	for other := range uint64(1 << (n + 6)) {
		for i := range n {
			if gate.Order(other, i) == gate.Order(seed, i) {
				continue search
			}
		}
		return other
	}
	t.Fatalf("no seed has the opposite orders of %d", seed)
	return 0
}

// TestHigherIsBetter: a rate that falls is as bad as a time that rises.
func TestHigherIsBetter(t *testing.T) {
	rate := gate.Metric{Name: "write p50", Unit: "1/s", Quantile: 0.5, Better: gate.Higher}
	for name, m := range machines() {
		for seed := range uint64(10) {
			m.publishes = 31 // the median of an odd number is the reciprocal's median
			quads := m.quads(30, seed)
			times := decided(t, gate.Config{Metrics: []gate.Metric{writeP50}, Seed: seed}, quads)
			rates := decided(t, gate.Config{Metrics: []gate.Metric{rate}, Seed: seed},
				mapped(quads, func(_, _ int, _ gate.Side, v float64) float64 { return 1000 / v }))
			for i := range times {
				x, y := times[i].Metrics[0], rates[i].Metrics[0]
				if x.Verdict != y.Verdict || math.Abs(*x.Worse-*y.Worse) > 1e-9 || math.Abs(*x.Change**y.Change-1) > 1e-9 || math.Abs(*x.P-*y.P) > 1e-9 {
					t.Fatalf("%s, seed %d, %d quads: times %+v, rates %+v", name, seed, i+1, x, y)
				}
			}
		}
	}
}

// TestIdenticalSides: where head's blocks are base's very samples, nothing is red, whatever the machine, and nothing is open: there
// is no difference to doubt.
func TestIdenticalSides(t *testing.T) {
	for name, m := range machines() {
		for seed := range uint64(50) {
			quads := m.quads(30, seed)
			for i, q := range quads {
				first, last := q[0].Samples, q[3].Samples
				quads[i][1].Samples, quads[i][2].Samples = last, first
			}
			if d := run(t, gate.Config{Metrics: []gate.Metric{writeP50}, Seed: seed}, quads); d.Verdict != gate.Pass {
				t.Fatalf("%s, seed %d: %s", name, seed, d.Sentence)
			}
		}
	}
}

// TestWorseIsNeverBetter: making head slower never turns red to green or open, nor open to green, and never lowers what is found.
func TestWorseIsNeverBetter(t *testing.T) {
	severity := map[gate.Verdict]int{gate.Pass: 0, gate.Inconclusive: 1, gate.Regress: 2}
	for name, m := range machines() {
		for seed := range uint64(20) {
			quads := m.quads(24, seed)
			was := gate.Decision{Verdict: gate.Pass, Metrics: []gate.Finding{{P: new(1.0), Worse: new(-1.0), PEffect: new(0.0)}}}
			for _, factor := range []float64{0.7, 0.9, 1, 1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 2, 5} {
				slower := mapped(quads, func(_, _ int, side gate.Side, v float64) float64 {
					if side == gate.Head {
						v *= factor
					}
					return v
				})
				d := run(t, gate.Config{Metrics: []gate.Metric{writeP50}, Seed: seed, Looks: []int{24}}, slower)
				x, y := was.Metrics[0], d.Metrics[0]
				if severity[d.Verdict] < severity[was.Verdict] || *y.P > *x.P || *y.Worse < *x.Worse || *y.PEffect < *x.PEffect {
					t.Fatalf("%s, seed %d: head times %v: %s (p %v), less was %s (p %v)", name, seed, factor, d.Sentence, *y.P, was.Sentence, *x.P)
				}
				was = d
			}
		}
	}
}

// TestErrorsAreBounded: on every machine, with three metrics and four looks, at most alpha of the jobs without a difference are red, and
// of the jobs in which one metric is worse by what matters at most beta are green.
func TestErrorsAreBounded(t *testing.T) {
	const jobs, alpha, beta = 250, 0.05, 0.1
	metrics := []gate.Metric{writeP50, {Name: "b", Quantile: 0.5}, {Name: "c", Quantile: 0.5}}
	for _, name := range []string{"calm", "drifting", "bursts", "wild"} {
		for _, c := range []struct {
			head  float64
			wrong gate.Verdict
			rate  float64
		}{{1, gate.Regress, alpha}, {1 + gate.DefaultEffect, gate.Pass, beta}} {
			m := machines()[name]
			m.head, m.publishes = c.head, 20
			said := map[gate.Verdict]int{}
			for seed := range uint64(jobs) {
				said[run(t, gate.Config{Metrics: metrics, Seed: seed, Looks: []int{8, 12, 16, 20}, Alpha: alpha, Beta: beta}, m.quads(20, seed, "b", "c")).Verdict]++
			}
			// Three standard deviations above the rate.
			if most := c.rate*jobs + 3*math.Sqrt(c.rate*(1-c.rate)*jobs); float64(said[c.wrong]) > most {
				t.Errorf("%s, head times %v: %v of %d jobs; at most %.0f may be %s", name, c.head, said, jobs, most, c.wrong)
			}
			t.Logf("%s, head times %v: %v", name, c.head, said)
		}
	}
}

// TestDecisionsEnd: a gate decides at its looks only, says the same when asked again, and takes nothing after the end.
func TestDecisionsEnd(t *testing.T) {
	m := machines()["20 % slower"]
	quads := m.quads(40, 7)
	g, err := gate.New(gate.Config{Metrics: []gate.Metric{writeP50}, Seed: 7, Looks: []int{12, 20, 30}})
	if err != nil {
		t.Fatal(err)
	}
	alpha, beta := 0.0, 0.0
	for i, q := range quads {
		if got, want := g.Order(), gate.Order(7, i); got != want {
			t.Fatalf("Order() of quad %d = %v, want %v", i, got, want)
		}
		if err := g.Add(q); err != nil {
			t.Fatal(err)
		}
		d, err := g.Decide()
		if err != nil {
			t.Fatal(err)
		}
		again, err := g.Decide()
		if err != nil || !reflect.DeepEqual(d, again) {
			t.Fatalf("Decide() again = %+v, %v, want %+v", again, err, d)
		}
		if alpha, beta = alpha+d.AlphaNow, beta+d.BetaNow; math.Abs(alpha-d.AlphaSpent) > 1e-12 || math.Abs(beta-d.BetaSpent) > 1e-12 {
			t.Fatalf("after %d quads the looks have spent %v and %v, and say %v and %v", i+1, alpha, beta, d.AlphaSpent, d.BetaSpent)
		}
		look := slices.Index([]int{12, 20, 30}, i+1) + 1
		if d.Look != look || look == 0 && (d.Final || d.Verdict != gate.Inconclusive || d.AlphaNow != 0) {
			t.Fatalf("after %d quads: look %d, %s, final %v, alpha %v", i+1, d.Look, d.Verdict, d.Final, d.AlphaNow)
		}
		if d.Final {
			if d.Verdict != gate.Regress || *d.More != 0 {
				t.Errorf("the end is %s, %d more; want regress, 0", d.Sentence, *d.More)
			}
			if err := g.Add(quads[i+1]); !errors.Is(err, gate.ErrDecided) {
				t.Errorf("Add after the end = %v, want ErrDecided", err)
			}
			if after, err := g.Decide(); err != nil || !reflect.DeepEqual(d, after) {
				t.Errorf("Decide after a refused quad = %+v, %v, want %+v", after, err, d)
			}
			return
		}
	}
	t.Fatal("it never decided")
}

// TestSameBytes: the same input gives the same bytes.
func TestSameBytes(t *testing.T) {
	quads := machines()["bursts"].quads(30, 11)
	var was []byte
	for range 3 {
		b, err := json.Marshal(run(t, gate.Config{Metrics: []gate.Metric{writeP50}, Seed: 11}, quads))
		if err != nil {
			t.Fatal(err)
		}
		if was != nil && string(b) != string(was) {
			t.Fatalf("%s, then %s", was, b)
		}
		was = b
	}
}

// TestTails: a percentile that blocks are too short for is taken of several quads together, in as many units as that gives; it
// is null until there is one, and holds nothing up unless it must be cleared.
func TestTails(t *testing.T) {
	p99 := gate.Metric{Name: "write p99", Of: "write p50", Unit: "ms", Quantile: 0.99, Optional: true}
	m := job{drift: 0.02, block: 0.03, within: 0.2, head: 1, publishes: 50} // 100 on each side of a quad: p99 needs 300, three quads
	for _, c := range []struct {
		name     string
		optional bool
		looks    []int
		quads    int
		units    int
		want     gate.Verdict
	}{
		{"too few for any", true, []int{2, 12}, 2, 0, gate.Inconclusive},
		{"few, not needed", true, []int{12}, 12, 4, gate.Pass},
		{"few, needed", false, []int{12}, 12, 4, gate.Inconclusive},
		{"enough, needed", false, []int{48}, 48, 16, gate.Pass},
	} {
		t.Run(c.name, func(t *testing.T) {
			tail := p99
			tail.Optional = c.optional
			ds := decided(t, gate.Config{Metrics: []gate.Metric{writeP50, tail}, Seed: 5, Looks: c.looks}, m.quads(c.quads, 5))
			d := ds[len(ds)-1]
			f := d.Metrics[1]
			if d.Quads != c.quads || d.Verdict != c.want || f.Units != c.units || (f.Change == nil) != (c.units == 0) || f.Samples != 100*c.quads {
				t.Errorf("after %d quads: %s; p99 has %d units of %d samples, change %v; want %s with %d units after %d quads",
					d.Quads, d.Sentence, f.Units, f.Samples, f.Change, c.want, c.units, c.quads)
			}
			if d.Metrics[0].Units != c.quads {
				t.Errorf("p50 has %d units, want one of each of %d quads", d.Metrics[0].Units, c.quads)
			}
		})
	}
	slow := m
	slow.head = 2
	d := run(t, gate.Config{Metrics: []gate.Metric{{Name: "other", Quantile: 0.5}, p99}, Seed: 5, Looks: []int{48}}, slow.quads(48, 5, "other"))
	if d.Verdict != gate.Regress || d.Metrics[0].Verdict != gate.Pass || d.Metrics[1].Verdict != gate.Regress {
		t.Errorf("a tail twice as slow, its metric optional: %s; want regress by the tail alone", d.Sentence)
	}
}

// TestFailures: a share of failures is compared by difference: none on either side is a pass, a few on head's alone are red.
func TestFailures(t *testing.T) {
	failures := gate.Metric{Name: "failures", Unit: "%", Absolute: true, Effect: 0.5}
	quads := func(head func(quad int) float64) []gate.Quad {
		q := machines()["calm"].quads(30, 9)
		for i := range q {
			for k, b := range q[i] {
				v := 0.0
				if b.Side == gate.Head {
					v = head(i)
				}
				q[i][k].Samples["failures"] = []float64{v}
			}
		}
		return q
	}
	for _, c := range []struct {
		name string
		head func(quad int) float64
		want gate.Verdict
	}{
		{"none", func(int) float64 { return 0 }, gate.Pass},
		{"1 % in each block", func(int) float64 { return 1 }, gate.Regress},
		{"0.1 % in each block", func(int) float64 { return 0.1 }, gate.Pass},
		{"5 % in every third quad", func(q int) float64 {
			if q%3 == 0 {
				return 5
			}
			return 0
		}, gate.Inconclusive},
	} {
		if d := run(t, gate.Config{Metrics: []gate.Metric{writeP50, failures}, Seed: 9}, quads(c.head)); d.Verdict != c.want {
			t.Errorf("head fails %s: %s; want %s", c.name, d.Sentence, c.want)
		}
	}
}

// TestNoiseFloor: a difference is not believed that is no larger than that of base from itself, however often it comes.
func TestNoiseFloor(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	quads := make([]gate.Quad, 20)
	for i := range quads {
		// Base's blocks of one quad lie far apart, the later ones above as often as below, and always on either side of head's, which is
		// 12 % above their middle without any spread.
		jump := (0.6 + 0.6*rng.Float64()) * float64(1-2*rng.IntN(2))
		for k, side := range gate.Order(4, i) {
			at := math.Log(1.12)
			if side == gate.Base {
				at = jump * (float64(k)/1.5 - 1)
				if k == 1 || k == 2 {
					at = jump * (float64(k)*2 - 3)
				}
			}
			quads[i][k] = gate.Block{Side: side, Samples: map[string][]float64{"write p50": slices.Repeat([]float64{math.Exp(at)}, 20)}}
		}
	}
	d := run(t, gate.Config{Metrics: []gate.Metric{writeP50}, Seed: 4, Looks: []int{20}}, quads)
	f := d.Metrics[0]
	if *f.Holm > 0.001 || *f.Worse < 0.1 || *f.Floor < *f.Worse || d.Verdict != gate.Inconclusive {
		t.Errorf("%s (p %v, worse %v, floor %v); want a sure 12 %% that is below the floor to be inconclusive", d.Sentence, *f.Holm, *f.Worse, *f.Floor)
	}
}

// TestMore: the number of quads that are said to be missing is, in the middle, that after which half of such jobs are decided.
func TestMore(t *testing.T) {
	for _, c := range []struct {
		name string
		head float64
	}{{"no change", 1}, {"30 % slower", 1.3}} {
		m := job{drift: 0.02, block: 0.25, within: 0.3, head: c.head, publishes: 20}
		verdict := func(quads int, seed uint64) gate.Decision {
			ds := decided(t, gate.Config{Metrics: []gate.Metric{writeP50}, Seed: seed, Looks: []int{quads}}, m.quads(quads, seed))
			return ds[len(ds)-1]
		}
		var said []int
		for seed := range uint64(100) {
			// A look that may not decide yet, before one that may spend nearly everything.
			d := decided(t, gate.Config{Metrics: []gate.Metric{writeP50}, Seed: seed, Looks: []int{400}}, m.quads(12, seed))[11]
			if d.More != nil {
				said = append(said, 12+*d.More)
			} else {
				said = append(said, 400)
			}
		}
		slices.Sort(said)
		half := 0
		for quads := 8; half == 0 && quads < 100; quads++ {
			n := 0
			for seed := range uint64(60) {
				if verdict(quads, 1000+seed).Verdict != gate.Inconclusive {
					n++
				}
			}
			if n >= 30 {
				half = quads
			}
		}
		if got := said[len(said)/2]; got < half*2/3 || got > half*3/2 {
			t.Errorf("%s: after 12 quads %d in all are said to decide (median of 100 jobs); half of such jobs are decided by %d", c.name, got, half)
		}
	}
}

// TestConfig: what makes no sense is refused before anything is measured.
func TestConfig(t *testing.T) {
	good := []gate.Metric{writeP50}
	for _, c := range []struct {
		name string
		gate.Config
	}{
		{"no metrics", gate.Config{}},
		{"optional metrics alone", gate.Config{Metrics: []gate.Metric{{Name: "a", Optional: true}}}},
		{"a metric twice", gate.Config{Metrics: []gate.Metric{writeP50, writeP50}}},
		{"no name", gate.Config{Metrics: []gate.Metric{{Quantile: 0.5}}}},
		{"quantile 1", gate.Config{Metrics: []gate.Metric{{Name: "a", Quantile: 1}}}},
		{"quantile NaN", gate.Config{Metrics: []gate.Metric{{Name: "a", Quantile: math.NaN()}}}},
		{"effect below 0", gate.Config{Metrics: []gate.Metric{{Name: "a", Effect: -0.1}}}},
		{"effect NaN", gate.Config{Metrics: []gate.Metric{{Name: "a", Effect: math.NaN()}}}},
		{"absolute without effect", gate.Config{Metrics: []gate.Metric{{Name: "a", Absolute: true}}}},
		{"alpha 0.5", gate.Config{Metrics: good, Alpha: 0.5}},
		{"alpha NaN", gate.Config{Metrics: good, Alpha: math.NaN()}},
		{"beta below 0", gate.Config{Metrics: good, Beta: -0.01}},
		{"looks fall", gate.Config{Metrics: good, Looks: []int{8, 8}}},
		{"a look at nothing", gate.Config{Metrics: good, Looks: []int{0, 8}}},
		{"too many looks", gate.Config{Metrics: good, Looks: []int{1000000}}},
	} {
		if g, err := gate.New(c.Config); err == nil {
			t.Errorf("%s: New(%+v) = %v, want an error", c.name, c.Config, g.Config())
		}
	}
	g, err := gate.New(gate.Config{Metrics: good})
	if err != nil {
		t.Fatal(err)
	}
	want := gate.Config{Metrics: []gate.Metric{writeP50}, Alpha: gate.DefaultAlpha, Beta: gate.DefaultBeta, Looks: gate.DefaultLooks()}
	want.Metrics[0].Effect = gate.DefaultEffect
	if got := g.Config(); !reflect.DeepEqual(got, want) {
		t.Errorf("Config() = %+v, want the defaults %+v", got, want)
	}
}

// TestResample: what is drawn from recorded quads has their noise and no difference but the one it is given; recordings that say
// nothing are refused.
func TestResample(t *testing.T) {
	jobs := [][]gate.Quad{machines()["calm"].quads(40, 1), machines()["calm"].quads(40, 2)}
	c := gate.Config{Metrics: []gate.Metric{writeP50}, Seed: 1}
	for _, tc := range []struct {
		factor            float64
		red, green, least int
	}{{1, 0, 1, 490}, {2, 1, 0, 490}} {
		o, err := gate.Resample(jobs, c, 500, gate.Scaling{Of: "write p50", Factor: tc.factor})
		if err != nil {
			t.Fatal(err)
		}
		if got := tc.red*o.Regress + tc.green*o.Pass; got < tc.least || o.Pass+o.Regress+o.Inconclusive != o.Trials || o.Trials != 500 {
			t.Errorf("Resample, head times %v: %+v", tc.factor, o)
		}
		again, err := gate.Resample(jobs, c, 500, gate.Scaling{Of: "write p50", Factor: tc.factor})
		if err != nil || again != o {
			t.Errorf("Resample again = %+v, %v, want %+v", again, err, o)
		}
	}
	// A difference between the recorded sides is not taken for one of head: they exchange places as often as not.
	lame := [][]gate.Quad{job{drift: 0.02, block: 0.03, within: 0.2, head: 1.5, publishes: 30}.quads(40, 3)}
	if o, err := gate.Resample(lame, c, 500, gate.Scaling{}); err != nil || o.Regress > 10 {
		t.Errorf("Resample of sides that differ = %+v, %v, want hardly any red", o, err)
	}
	for name, f := range map[string]func() (gate.Odds, error){
		"no jobs":       func() (gate.Odds, error) { return gate.Resample(nil, c, 10, gate.Scaling{}) },
		"an empty job":  func() (gate.Odds, error) { return gate.Resample([][]gate.Quad{nil}, c, 10, gate.Scaling{}) },
		"other samples": func() (gate.Odds, error) { return gate.Resample(jobs, c, 10, gate.Scaling{Of: "reads", Factor: 2}) },
		"other metrics": func() (gate.Odds, error) {
			return gate.Resample(jobs, gate.Config{Metrics: []gate.Metric{{Name: "reads"}}}, 10, gate.Scaling{})
		},
	} {
		if o, err := f(); !errors.Is(err, gate.ErrData) {
			t.Errorf("Resample(%s) = %+v, %v, want ErrData", name, o, err)
		}
	}
}

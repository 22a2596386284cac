package gate_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"origin-storm/storm/verdict/gate"
)

// job is a made-up machine: how long its publishes take drifts over the job, jumps in bursts, and differs from block to block more
// than it does within one. head is how much slower the second side is.
type job struct {
	drift, block, within, tail float64 // standard deviations of logarithms, but for tail: the probability that a block falls into a burst
	head                       float64
	publishes                  int // a block
}

// quads makes n quads in the order of seed; head is slower in the first series, "write p50", and not in others, which are beside it.
func (j job) quads(n int, seed uint64, others ...string) []gate.Quad {
	out := make([]gate.Quad, n)
	for s, name := range append([]string{"write p50"}, others...) {
		rng := rand.New(rand.NewPCG(seed, uint64(s)))
		level := 0.0
		for i := range out {
			for k, side := range gate.Order(seed, i) {
				level += j.drift * rng.NormFloat64()
				at := math.Log(3) + level + j.block*rng.NormFloat64()
				if rng.Float64() < j.tail {
					at += rng.ExpFloat64() // the machine is busy with something else
				}
				if s == 0 && side == gate.Head {
					at += math.Log(j.head)
				}
				ms := make([]float64, j.publishes)
				for l := range ms {
					ms[l] = math.Exp(at + j.within*rng.NormFloat64())
				}
				if s == 0 {
					out[i][k] = gate.Block{Side: side, Samples: map[string][]float64{}}
				}
				out[i][k].Samples[name] = ms
			}
		}
	}
	return out
}

var writeP50 = gate.Metric{Name: "write p50", Unit: "ms", Quantile: 0.5}

// run looks at quads as a job does: until the decision is final.
func run(t testing.TB, c gate.Config, quads []gate.Quad) gate.Decision {
	t.Helper()
	g, err := gate.New(c)
	if err != nil {
		t.Fatalf("New(%+v): %v", c, err)
	}
	for i, q := range quads {
		if err := g.Add(q); err != nil {
			t.Fatalf("Add(quad %d): %v", i+1, err)
		}
		d, err := g.Decide()
		if err != nil {
			t.Fatalf("Decide after %d quads: %v", i+1, err)
		}
		if d.Final {
			return d
		}
	}
	t.Fatalf("not final after %d quads", len(quads))
	return gate.Decision{}
}

// TestVerdicts: with known truth, over hundreds of jobs.
func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name string
		job
		red, open int // how many of the jobs may, or must, be regress and inconclusive
		mustBeRed bool
	}{
		{"no change, calm machine", job{drift: 0.02, block: 0.05, within: 0.3, head: 1, publishes: 48}, 3, 10, false},
		{"20 % slower, calm machine", job{drift: 0.02, block: 0.05, within: 0.3, head: 1.2, publishes: 48}, 290, 10, true},
		{"no change, wild machine", job{drift: 0.2, block: 0.2, within: 0.5, tail: 0.1, head: 1, publishes: 48}, 3, 300, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			const jobs = 300
			n := map[gate.Verdict]int{}
			quads := 0
			for seed := range uint64(jobs) {
				d := run(t, gate.Config{Metrics: []gate.Metric{writeP50}, Seed: seed}, c.quads(24, seed))
				n[d.Verdict]++
				quads += d.Quads
			}
			t.Logf("%v, %.1f quads on average", n, float64(quads)/jobs)
			if red := n[gate.Regress]; c.mustBeRed && red < c.red || !c.mustBeRed && red > c.red {
				t.Errorf("%d of %d jobs are red, want at most (or for a regression at least) %d", red, jobs, c.red)
			}
			if open := n[gate.Inconclusive]; open > c.open {
				t.Errorf("%d of %d jobs are inconclusive, want at most %d", open, jobs, c.open)
			}
		})
	}
}

// TestNothingIsNoVerdict: what cannot be measured is an error, and stays one.
func TestNothingIsNoVerdict(t *testing.T) {
	good := func() gate.Quad { return job{within: 0.1, head: 1, publishes: 30}.quads(1, 1)[0] }
	for _, c := range []struct {
		name  string
		spoil func(q *gate.Quad)
	}{
		{"no samples", func(q *gate.Quad) { q[2].Samples = nil }},
		{"another metric's samples", func(q *gate.Quad) {
			q[2].Samples = map[string][]float64{"write p99": q[2].Samples["write p50"]}
		}},
		{"empty samples", func(q *gate.Quad) { q[3].Samples["write p50"] = []float64{} }},
		{"NaN", func(q *gate.Quad) { q[0].Samples["write p50"][3] = math.NaN() }},
		{"infinite", func(q *gate.Quad) { q[0].Samples["write p50"][3] = math.Inf(1) }},
		{"zero", func(q *gate.Quad) { q[0].Samples["write p50"][3] = 0 }},
		{"negative", func(q *gate.Quad) { q[0].Samples["write p50"][3] = -1 }},
		{"another order", func(q *gate.Quad) { q[0], q[1] = q[1], q[0] }},
		{"base alone", func(q *gate.Quad) {
			for i := range q {
				q[i].Side = gate.Base
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := gate.New(gate.Config{Metrics: []gate.Metric{writeP50}, Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := g.Decide(); !errors.Is(err, gate.ErrData) {
				t.Errorf("Decide without quads: %v, want ErrData", err)
			}
			q := good()
			c.spoil(&q)
			if err := g.Add(q); !errors.Is(err, gate.ErrData) {
				t.Errorf("Add(%s) = %v, want ErrData", c.name, err)
			}
			if err := g.Add(good()); !errors.Is(err, gate.ErrData) {
				t.Errorf("Add(a good quad) after it = %v, want ErrData still", err)
			}
			if d, err := g.Decide(); !errors.Is(err, gate.ErrData) {
				t.Errorf("Decide after it = %v, %v, want ErrData", d.Verdict, err)
			}
		})
	}
}

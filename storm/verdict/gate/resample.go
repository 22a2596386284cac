package gate

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Odds is how often gates said what, and after how many quads on average.
type Odds struct {
	Trials       int     `json:"trials"`
	Pass         int     `json:"pass"`
	Regress      int     `json:"regress"`
	Inconclusive int     `json:"inconclusive"`
	Quads        float64 `json:"quads"`
}

// Scaling makes head worse than it was measured: every sample of the name Of is multiplied by Factor. The zero value changes
// nothing.
type Scaling struct {
	Of     string  `json:"of"`
	Factor float64 `json:"factor"`
}

// stretch is how many recorded quads in a row are drawn together.
const stretch = 4

// Resample says what gates of c would have said, in so many trials, if nothing but the scaling set head apart. jobs are recorded
// quads in which both sides are the same (A/A), a slice for each job. A trial takes quads of one job, drawn with replacement
// in stretches of four in a row, the last quad being followed by the first (the circular block bootstrap of Politis and Romano,
// 1992). Blocks keep their place in their quad; which of them are head's is up to the trial's own coins. c.Seed seeds all draws.
//
// What goes on within a quad and over a few is so kept: bursts, drift, correlation. What goes on over a whole job is not, and
// neither is a difference between the two processes of a job that ought to be the same, for either stands for head as often.
// Recorded jobs of one machine say nothing of another, and a few jobs little of the next.
func Resample(jobs [][]Quad, c Config, trials int, scaling Scaling) (Odds, error) {
	g, err := New(c)
	if err != nil {
		return Odds{}, err
	}
	c = g.Config()
	if trials < 1 {
		return Odds{}, fmt.Errorf("gate: resampling: %d trials; at least 1", trials)
	}
	var pools []pool
	for i, quads := range jobs {
		p, err := g.pool(quads, scaling)
		if err != nil {
			return Odds{}, fmt.Errorf("gate: resampling: job %d: %w: %w", i+1, ErrData, err)
		}
		pools = append(pools, p)
	}
	if len(pools) == 0 {
		return Odds{}, fmt.Errorf("gate: resampling: %w: no jobs", ErrData)
	}
	o := Odds{Trials: trials}
	seed, quads := c.Seed, 0
	for trial := range trials {
		rng := rand.New(rand.NewPCG(seed, uint64(trial)))
		c.Seed = rng.Uint64()
		d, err := pools[rng.IntN(len(pools))].trial(c, rng)
		if err != nil {
			return Odds{}, fmt.Errorf("gate: resampling: trial %d: %w", trial+1, err)
		}
		quads += d.Quads
		switch d.Verdict {
		case Pass:
			o.Pass++
		case Regress:
			o.Regress++
		case Inconclusive:
			o.Inconclusive++
		}
	}
	o.Quads = float64(quads) / float64(trials)
	return o, nil
}

// pool is a recorded job: of each quad and metric the blocks as they were, and as they are if they are head's.
type pool [][]struct{ plain, scaled [4]measured }

// pool checks and prepares the quads of a job, once for all trials.
func (g *Gate) pool(quads []Quad, scaling Scaling) (pool, error) {
	if len(quads) < stretch {
		return nil, fmt.Errorf("%d quads; at least %d", len(quads), stretch)
	}
	found := scaling.Of == ""
	p := make(pool, len(quads))
	for i, q := range quads {
		p[i] = make([]struct{ plain, scaled [4]measured }, len(g.series))
		for j := range g.series {
			s := &g.series[j]
			for k, b := range q {
				if err := s.check(b); err != nil {
					return nil, fmt.Errorf("quad %d, block %d: %w", i+1, k+1, err)
				}
				m := s.measured(b)
				p[i][j].plain[k], p[i][j].scaled[k] = m, m
				if s.Samples() == scaling.Of {
					found = true
					b.Samples = map[string][]float64{s.Samples(): slices.Clone(m.samples)}
					for l := range m.samples {
						b.Samples[s.Samples()][l] *= scaling.Factor
					}
					p[i][j].scaled[k] = s.measured(b)
				}
			}
		}
	}
	if !found {
		return nil, fmt.Errorf("no metric is of samples %q, which are to be scaled", scaling.Of)
	}
	return p, nil
}

// trial runs one gate to its end.
func (p pool) trial(c Config, rng *rand.Rand) (Decision, error) {
	g, err := New(c)
	if err != nil {
		return Decision{}, err
	}
	for at := 0; ; at++ {
		if g.quads%stretch == 0 {
			at = rng.IntN(len(p))
		}
		order := g.Order()
		for j, b := range p[at%len(p)] {
			blocks := b.plain
			for k, side := range order {
				if side == Head {
					blocks[k] = b.scaled[k]
				}
			}
			g.series[j].add(order, blocks)
		}
		g.quads++
		if !slices.Contains(c.Looks, g.quads) {
			continue
		}
		if d, err := g.Decide(); err != nil || d.Final {
			return d, err
		}
	}
}

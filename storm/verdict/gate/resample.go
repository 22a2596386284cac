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
	var pools [][]injected
	for i, quads := range jobs {
		p, err := newPool(quads, scaling)
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
		d, err := resampled(c, pools[rng.IntN(len(pools))], rng)
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

// injected is a recorded quad: the samples of its blocks as they were, and made worse.
type injected [4]struct{ plain, worse map[string][]float64 }

func newPool(quads []Quad, scaling Scaling) ([]injected, error) {
	if len(quads) < stretch {
		return nil, fmt.Errorf("%d quads; at least %d", len(quads), stretch)
	}
	p := make([]injected, len(quads))
	for i, q := range quads {
		for k, b := range q {
			plain, worse := map[string][]float64{}, map[string][]float64{}
			for name, values := range b.Samples {
				values = slices.Sorted(slices.Values(values)) // every trial sorts them: sorted once, that is cheap
				plain[name], worse[name] = values, values
			}
			if scaling.Of != "" {
				values := plain[scaling.Of]
				if len(values) == 0 {
					return nil, fmt.Errorf("quad %d, block %d has no samples of %s to make worse", i+1, k+1, scaling.Of)
				}
				values = slices.Clone(values)
				for i := range values {
					values[i] *= scaling.Factor
				}
				worse[scaling.Of] = values
			}
			p[i][k].plain, p[i][k].worse = plain, worse
		}
	}
	return p, nil
}

// resampled runs one gate to its end.
func resampled(c Config, from []injected, rng *rand.Rand) (Decision, error) {
	g, err := New(c)
	if err != nil {
		return Decision{}, err
	}
	for at := 0; ; at++ {
		if g.quads%stretch == 0 {
			at = rng.IntN(len(from))
		}
		var q Quad
		for k, side := range g.Order() {
			b := from[at%len(from)][k]
			q[k] = Block{side, b.plain}
			if side == Head {
				q[k].Samples = b.worse
			}
		}
		if err := g.Add(q); err != nil {
			return Decision{}, err
		}
		if !slices.Contains(c.Looks, g.quads) {
			continue
		}
		if d, err := g.Decide(); err != nil || d.Final {
			return d, err
		}
	}
}

// Package gate decides from measurements whether a change made an origin worse: the statistics behind the command gate. It is
// given what was measured of two sides, base and head, in turns on one machine, and says pass, regress or inconclusive. It
// measures nothing, has no clock, reads no file, and with the same configuration and the same measurements always says the same.
//
// The unit is the quad: four blocks one after the other, base head head base or head base base head, as a coin keyed by the seed
// says. What drifts evenly over a quad cancels, and because the coin alone decides which two of the blocks are head's, quads
// of two equal sides differ by as much in either direction, whatever the noise is like: heavy tails, bursts and correlation
// within a quad do not spoil the test. It is Wilcoxon's signed-rank test over the quads, exact, with the Hodges-Lehmann estimate and
// its interval (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3rd edition 2014, chapter 3).
package gate

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// What a Config leaves zero. DefaultLooks are numbers of quads.
const (
	DefaultAlpha  = 0.01
	DefaultBeta   = 0.05
	DefaultEffect = 0.10
)

// DefaultLooks returns after how many quads a gate looks where its configuration names no looks.
func DefaultLooks() []int { return []int{12, 16, 20, 24} }

// ErrData is wrapped by what refuses measurements from which nothing may be concluded: none at all, missing, NaN or infinite
// ones, blocks in the wrong order. It is never a verdict: whoever meets it must not pass the change.
var ErrData = errors.New("nothing can be decided from these measurements")

// ErrDecided is returned for a quad after the decision is final: looking on until the answer pleases is what the looks prevent.
var ErrDecided = errors.New("the gate has decided")

// Side is one of the two that are compared.
type Side int

// The sides: what there was, and what is proposed.
const (
	Base Side = iota
	Head
)

// String returns base or head.
func (s Side) String() string {
	if s == Head {
		return "head"
	}
	return "base"
}

// Order returns the sides of the blocks of a quad, counted from 0: a coin keyed by seed and quad chooses between base head head base
// and head base base head. Blocks must be measured in this order, one after the other with nothing between them; that the
// coin and nobody else decides it is what makes the test exact.
func Order(seed uint64, quad int) [4]Side {
	if rand.New(rand.NewPCG(seed, uint64(quad))).IntN(2) == 0 {
		return [4]Side{Base, Head, Head, Base}
	}
	return [4]Side{Head, Base, Base, Head}
}

// Better is the direction in which a metric improves.
type Better int

// The directions.
const (
	Lower Better = iota
	Higher
)

// String returns lower or higher, as the benchmark format's unit lines want it.
func (b Better) String() string {
	if b == Higher {
		return "higher"
	}
	return "lower"
}

// Metric is one figure on which the sides are compared.
type Metric struct {
	// Name is what people call it, such as "write p50".
	Name string `json:"name"`
	// Of names the samples in a Block; empty: Name. Several metrics may be of the same samples.
	Of string `json:"of,omitempty"`
	// Unit is what the samples are in, such as "ms"; for people.
	Unit   string `json:"unit"`
	Better Better `json:"better"`
	// Quantile is which quantile of a block's samples is the block's figure; 0: their mean.
	Quantile float64 `json:"quantile"`
	// Effect is the smallest change for the worse that matters. 0.10 means that head is worse by a factor of 1.10: of a metric of
	// which lower is better, head over base; of one of which higher is better, base over head. 0: DefaultEffect, and of an
	// Absolute metric, which has no default, an error.
	Effect float64 `json:"effect"`
	// Absolute compares by difference, in the unit of the samples, for figures that may be 0, such as a share of failures.
	Absolute bool `json:"absolute,omitempty"`
	// Optional says that the metric may fail the change but need not be cleared for it to pass: for tails, whose samples may
	// not suffice.
	Optional bool `json:"optional,omitempty"`
}

// Samples is the name of what m is of among a Block's Samples.
func (m Metric) Samples() string { return cmp.Or(m.Of, m.Name) }

// Block is what was measured of one side in one stretch.
type Block struct {
	Side Side `json:"side"`
	// Samples holds by the names that metrics are of what the block measured: response times, or one value for each tick, or one for the block. A
	// request that failed belongs among the response times with the time until that was known and never less than a failure
	// is worth, as package record counts it, so that failing fast is no gain.
	Samples map[string][]float64 `json:"samples"`
}

// Quad is four blocks in the order in which they were measured.
type Quad [4]Block

// Config says what a gate decides on. It is declared before anything is measured.
type Config struct {
	// Metrics are what the sides are compared on: at least one that is not Optional, each name once.
	Metrics []Metric `json:"metrics"`
	// Alpha bounds the probability that a change that makes no difference is called a regression, over all metrics and all
	// looks; 0: DefaultAlpha.
	Alpha float64 `json:"alpha"`
	// Beta bounds the probability that a metric that is worse by its Effect or more is cleared, over all looks; 0: DefaultBeta.
	Beta float64 `json:"beta"`
	// Looks are the numbers of quads, rising, at which the gate may decide; the last ends it. Empty: DefaultLooks.
	Looks []int `json:"looks"`
	// Seed is that of Order.
	Seed uint64 `json:"seed"`
}

// resolved is c with its defaults, or what is wrong with it.
func (c Config) resolved() (Config, error) {
	c.Alpha, c.Beta = cmp.Or(c.Alpha, DefaultAlpha), cmp.Or(c.Beta, DefaultBeta)
	c.Metrics, c.Looks = slices.Clone(c.Metrics), slices.Clone(c.Looks)
	if len(c.Looks) == 0 {
		c.Looks = DefaultLooks()
	}
	for _, a := range []struct {
		name  string
		value float64
	}{{"alpha", c.Alpha}, {"beta", c.Beta}} {
		if !(a.value > 0 && a.value < 0.5) {
			return c, fmt.Errorf("gate: %s is %v; it is a probability between 0 and 0.5", a.name, a.value)
		}
	}
	for i, n := range c.Looks {
		if n < 1 || i > 0 && n <= c.Looks[i-1] {
			return c, fmt.Errorf("gate: looks %v: numbers of quads from 1 up, each above the one before", c.Looks)
		}
	}
	if last := c.Looks[len(c.Looks)-1]; last > mostQuads {
		return c, fmt.Errorf("gate: looks %v: at most %d quads", c.Looks, mostQuads)
	}
	names, required := map[string]bool{}, false
	for i := range c.Metrics {
		m := &c.Metrics[i]
		if !m.Absolute {
			m.Effect = cmp.Or(m.Effect, DefaultEffect)
		}
		switch {
		case m.Name == "" || names[m.Name]:
			return c, fmt.Errorf("gate: metric %d: the name %q is empty or there twice", i+1, m.Name)
		case !(m.Quantile >= 0 && m.Quantile < 1):
			return c, fmt.Errorf("gate: metric %s: quantile %v; it is from 0 (the mean) to below 1", m.Name, m.Quantile)
		case !(m.Effect > 0) || math.IsInf(m.Effect, 0):
			return c, fmt.Errorf("gate: metric %s: effect %v; it is the smallest change for the worse that matters, above 0", m.Name, m.Effect)
		case m.Better != Lower && m.Better != Higher:
			return c, fmt.Errorf("gate: metric %s: better %d is neither lower nor higher", m.Name, m.Better)
		}
		names[m.Name] = true
		required = required || !m.Optional
	}
	if !required {
		return c, errors.New("gate: no metric has to be cleared for the change to pass; at least one must not be optional")
	}
	return c, nil
}

// mostQuads bounds the looks: the exact distribution is made anew at each.
const mostQuads = 500

// Gate collects quads and decides. It is not safe for concurrent use.
type Gate struct {
	c       Config
	series  []series // one of each metric
	quads   int
	err     error     // the first that Add returned
	decided *Decision // once it is final
}

// New returns a gate that has seen nothing yet.
func New(c Config) (*Gate, error) {
	c, err := c.resolved()
	if err != nil {
		return nil, err
	}
	g := &Gate{c: c}
	for _, m := range c.Metrics {
		g.series = append(g.series, series{Metric: m})
	}
	return g, nil
}

// Config returns the configuration with its defaults filled in.
func (g *Gate) Config() Config {
	c := g.c
	c.Metrics, c.Looks = slices.Clone(c.Metrics), slices.Clone(c.Looks)
	return c
}

// Order returns the order in which the blocks of the next quad are to be measured.
func (g *Gate) Order() [4]Side { return Order(g.c.Seed, g.quads) }

// Add takes the next quad, of which it keeps the samples; nobody may change them afterwards. It returns an error that wraps ErrData
// if the blocks are not in the gate's Order or a metric's samples are missing or no numbers, or not above 0 where sides
// are compared by ratio. After an error the gate stays broken: a quad that could not be measured may not be left out, for what
// broke it may be the change. After a final decision Add returns ErrDecided and nothing changes.
func (g *Gate) Add(q Quad) error {
	switch {
	case g.err != nil:
		return g.err
	case g.decided != nil:
		return fmt.Errorf("gate: quad %d: %w: %s", g.quads+1, ErrDecided, g.decided.Verdict)
	}
	if err := g.check(q); err != nil {
		g.err = fmt.Errorf("gate: quad %d: %w: %w", g.quads+1, ErrData, err)
		return g.err
	}
	for i := range g.series {
		s := &g.series[i]
		s.add(g.Order(), [4]measured{s.measured(q[0]), s.measured(q[1]), s.measured(q[2]), s.measured(q[3])})
	}
	g.quads++
	return nil
}

func (g *Gate) check(q Quad) error {
	want := g.Order()
	for i, b := range q {
		if b.Side != want[i] {
			return fmt.Errorf("block %d is of %v; the seed's order is %v", i+1, b.Side, want)
		}
		for _, m := range g.c.Metrics {
			if err := m.check(b); err != nil {
				return fmt.Errorf("block %d: %w", i+1, err)
			}
		}
	}
	return nil
}

// check returns why b is no measurement of m.
func (m Metric) check(b Block) error {
	samples := b.Samples[m.Samples()]
	if len(samples) == 0 {
		return fmt.Errorf("%v has no samples of %s", b.Side, m.Name)
	}
	for _, v := range samples {
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0):
			return fmt.Errorf("%s of %v has a sample %v", m.Name, b.Side, v)
		case !m.Absolute && v <= 0:
			return fmt.Errorf("%s of %v has a sample %v, and a ratio needs samples above 0", m.Name, b.Side, v)
		}
	}
	return nil
}

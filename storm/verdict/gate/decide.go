package gate

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat/distuv"
)

// Verdict is what a gate says.
type Verdict string

// The verdicts.
const (
	Pass         Verdict = "pass"
	Regress      Verdict = "regress"
	Inconclusive Verdict = "inconclusive"
)

// Decision is what a gate found after the quads so far.
type Decision struct {
	// Verdict is Regress if a metric is worse beyond doubt, Pass if each metric that is not Optional was cleared and no other is
	// worse, and else Inconclusive.
	Verdict Verdict `json:"verdict"`
	// Final says that measuring may stop: the verdict is not Inconclusive, or this was the last look.
	Final bool `json:"final"`
	// Sentence says the verdict and its reason to people.
	Sentence string `json:"sentence"`
	// Quads is how many were measured; Look is which of the Looks that is, from 1, or 0 between looks, where nothing is decided.
	Quads int   `json:"quads"`
	Look  int   `json:"look"`
	Looks []int `json:"looks"`
	// Alpha and Beta are what may be spent in all, AlphaNow and BetaNow what this look spends of them, AlphaSpent and BetaSpent
	// what is spent after it. Spending says by which function.
	Alpha      float64 `json:"alpha"`
	AlphaNow   float64 `json:"alpha_now"`
	AlphaSpent float64 `json:"alpha_spent"`
	Beta       float64 `json:"beta"`
	BetaNow    float64 `json:"beta_now"`
	BetaSpent  float64 `json:"beta_spent"`
	Spending   string  `json:"spending"`
	// More estimates, from the differences and their spread so far, how many more quads would decide; 0 once decided, null where
	// no number would: the difference is too near what matters, or too few quads are known.
	More *int `json:"more_quads"`
	// Metrics are the findings, in the order of the configuration.
	Metrics []Finding `json:"metrics"`
}

// Finding is what was found on one metric.
type Finding struct {
	Metric Metric `json:"metric"`
	// Verdict of this metric alone, by the rules of Gate.Decide.
	Verdict Verdict `json:"verdict"`
	// Reason says why, for people.
	Reason string `json:"reason"`
	// Units is how many independent differences there are: one for each quad, or for as many quads together as it takes to have
	// the samples that the quantile needs. With none of them the figures below are null.
	Units int `json:"units"`
	// Samples is how many samples the side with fewer has.
	Samples int `json:"samples"`
	// Base and Head are the medians over the units of the figure, in the metric's unit; for people, not what is tested.
	Base *float64 `json:"base"`
	Head *float64 `json:"head"`
	// Change is head over base, of an Absolute metric head less base: the Hodges-Lehmann estimate over the units, with its 95 %
	// interval, null below six units. The interval is for this look alone; the decision uses P and PEffect.
	Change *float64    `json:"change"`
	CI     *[2]float64 `json:"change_ci"`
	// Worse is Change in the terms of Metric.Effect: 0.2 if head is worse by a factor of 1.2, negative if it is better.
	Worse *float64 `json:"worse"`
	// Floor is the noise of this job in the terms of Metric.Effect: half the width of the 95 % interval of base against base, the
	// earlier of base's blocks of each quad against the later. No smaller change is called a regression. Null below six units.
	Floor *float64 `json:"noise_floor"`
	// P is the probability to see head as much worse, or more so, if it is not; Holm is P adjusted for the number of metrics.
	P    *float64 `json:"p"`
	Holm *float64 `json:"p_holm"`
	// PEffect is the probability to see head as little worse, or less so, if it is worse by Metric.Effect.
	PEffect *float64 `json:"p_effect"`
	// Differences are the units, in order of time.
	Differences []Difference `json:"differences"`
}

// Difference is one unit: the sides' figures in the metric's unit, and those of base's earlier and later blocks, whose difference
// is noise.
type Difference struct {
	Base  float64 `json:"base"`
	Head  float64 `json:"head"`
	Early float64 `json:"base_early"`
	Late  float64 `json:"base_late"`
}

// Decide returns what the quads so far say.
//
// A metric has regressed if P, adjusted by Holm's method over the metrics, is at most the look's share of Alpha, and head is worse
// by Effect or more, and by more than the noise floor. A metric is cleared if PEffect is at most the look's share of Beta, so
// that noise makes a job inconclusive and never lets it pass. Without quads, and after an error of Add, Decide returns an error.
func (g *Gate) Decide() (Decision, error) {
	switch {
	case g.err != nil:
		return Decision{}, g.err
	case g.quads == 0:
		return Decision{}, fmt.Errorf("gate: %w: no quad was measured", ErrData)
	case g.decided != nil:
		return g.decided.clone(), nil
	}
	d := Decision{Verdict: Inconclusive, Quads: g.quads, Looks: slices.Clone(g.c.Looks), Alpha: g.c.Alpha, Beta: g.c.Beta, Spending: spending}
	for i, n := range g.c.Looks {
		if n <= g.quads {
			d.AlphaSpent, d.BetaSpent = spent(g.c.Alpha, g.c.Looks, i), spent(g.c.Beta, g.c.Looks, i)
		}
		if n == g.quads {
			d.Look = i + 1
			d.AlphaNow, d.BetaNow = share(g.c.Alpha, g.c.Looks, i), share(g.c.Beta, g.c.Looks, i)
		}
	}
	last := len(g.c.Looks) - 1
	plan := planned{alpha: share(g.c.Alpha, g.c.Looks, last), beta: share(g.c.Beta, g.c.Looks, last)}

	estimates := make([]estimate, len(g.series))
	var ps []float64
	for i := range g.series {
		estimates[i] = g.series[i].estimate()
		if estimates[i].known {
			ps = append(ps, estimates[i].p)
			plan.metrics++
		}
	}
	adjusted := Holm(ps)
	for _, e := range estimates {
		p := 1.0
		if e.known {
			p, adjusted = adjusted[0], adjusted[1:]
		}
		d.Metrics = append(d.Metrics, e.finding(p, d))
	}
	d.conclude(g.c.Looks[last])
	d.More = plan.more(d, estimates)
	if d.Final {
		g.decided = &d
		return d.clone(), nil
	}
	return d, nil
}

func (d Decision) clone() Decision {
	d.Looks, d.Metrics = slices.Clone(d.Looks), slices.Clone(d.Metrics)
	return d
}

// conclude makes one verdict of those of the metrics.
func (d *Decision) conclude(last int) {
	var regressed, open []string
	cleared := 0
	for _, f := range d.Metrics {
		switch {
		case f.Verdict == Regress:
			regressed = append(regressed, f.Metric.Name+" "+f.Reason)
		case f.Verdict == Pass:
			cleared++
		case !f.Metric.Optional:
			open = append(open, f.Metric.Name+": "+f.Reason)
		}
	}
	switch {
	case len(regressed) > 0:
		d.Verdict, d.Sentence = Regress, "Regress: "+strings.Join(regressed, "; ")+"."
	case len(open) > 0:
		d.Verdict, d.Sentence = Inconclusive, "Inconclusive: "+strings.Join(open, "; ")+"."
	default:
		d.Verdict, d.Sentence = Pass, fmt.Sprintf("Pass: %d of %d metrics cleared of a change for the worse that matters.", cleared, len(d.Metrics))
	}
	d.Final = d.Verdict != Inconclusive || d.Quads >= last
}

// estimate is what one metric's units say, as effects: above 0 where head is worse, logarithms unless the metric is absolute.
type estimate struct {
	*series
	known      bool
	samples    int
	units      []unit
	effects    []float64
	center     float64
	low, high  float64 // the 95 % interval
	bounded    bool    // there is one
	floor      float64
	floored    bool
	p, pEffect float64
}

// estimate computes the estimate of a series.
func (s *series) estimate() estimate {
	e := estimate{series: s, samples: s.samples(), units: s.units()}
	if len(e.units) == 0 {
		return e
	}
	e.known = true
	noise := make([]float64, len(e.units))
	for i, u := range e.units {
		e.effects = append(e.effects, s.effect(u.base, u.head))
		// A side's figure is of two blocks, this difference is between two blocks: its spread is larger by √2.
		noise[i] = s.effect(u.early, u.late) / math.Sqrt2
	}
	w := walsh(e.effects)
	null := newSignedRank(len(e.effects))
	e.center = w.median()
	e.low, e.high, e.bounded = w.interval(null)
	e.p = null.atLeast(w.above(0))
	e.pEffect = null.atLeast(w.below(s.threshold()))
	if low, high, ok := walsh(noise).interval(null); ok {
		e.floor, e.floored = (high-low)/2, true
	}
	return e
}

// finding holds an estimate against the rules; holm is its adjusted p.
func (e estimate) finding(holm float64, d Decision) Finding {
	f := Finding{Metric: e.Metric, Verdict: Inconclusive, Units: len(e.units), Samples: e.samples, Differences: []Difference{}}
	if !e.known {
		f.Reason = fmt.Sprintf("it needs %d samples on each side, there are %d", e.needed(), e.samples)
		return f
	}
	var base, head []float64
	for _, u := range e.units {
		base, head = append(base, u.base), append(head, u.head)
		f.Differences = append(f.Differences, Difference{u.base, u.head, u.early, u.late})
	}
	f.Base, f.Head = new(median(base)), new(median(head))
	f.Worse, f.Change = new(e.worse(e.center)), new(e.change(e.center))
	if e.bounded {
		ci := [2]float64{e.change(e.low), e.change(e.high)}
		slices.Sort(ci[:])
		f.CI = &ci
	}
	if e.floored {
		f.Floor = new(e.worse(e.floor))
	}
	f.P, f.Holm, f.PEffect = new(e.p), new(holm), new(e.pEffect)
	switch {
	case d.Look == 0:
		f.Reason = fmt.Sprintf("%d quads are not one of the looks", d.Quads)
	case holm <= d.AlphaNow && e.center >= e.threshold() && e.floored && e.center > e.floor:
		f.Verdict, f.Reason = Regress, "is worse by "+e.said(e.center)+e.between()
	case e.pEffect <= d.BetaNow:
		f.Verdict, f.Reason = Pass, "a change for the worse by "+e.said(e.threshold())+" is excluded"
	case holm <= d.AlphaNow && e.center < e.threshold():
		f.Reason = "worse beyond doubt, but by " + e.said(e.center) + e.between() + ", which is near the " + e.said(e.threshold()) + " that matter"
	case holm <= d.AlphaNow:
		f.Reason = "worse by " + e.said(e.center) + ", but base differs from itself by " + e.said(e.floor)
	case !e.bounded:
		f.Reason = fmt.Sprintf("too few to tell: %d units, of %d that an interval takes", len(e.units), IntervalUnits)
	default:
		f.Reason = "neither equal nor worse beyond doubt: " + e.moved() + e.between()
	}
	return f
}

// said writes an effect as people say it.
func (e estimate) said(effect float64) string {
	if e.Absolute {
		return strings.TrimSpace(fmt.Sprintf("%.3g %s", effect, e.Unit))
	}
	return fmt.Sprintf("%.1f %%", 100*e.worse(effect))
}

// moved says which way the estimate went.
func (e estimate) moved() string {
	switch {
	case e.center < 0 && e.Absolute:
		return "better by " + e.said(-e.center)
	case e.center < 0: // as a part of base, as the table has it: an effect turned over would be a part of head
		return fmt.Sprintf("better by %.1f %%", -100*e.worse(e.center))
	}
	return "worse by " + e.said(e.center)
}

// between writes the interval, if there is one.
func (e estimate) between() string {
	if !e.bounded {
		return ""
	}
	return " (95 % interval " + e.said(e.low) + " to " + e.said(e.high) + ")"
}

// IntervalUnits is from how many units on a metric has a 95 % interval: that of the signed-rank test of n units is not wider than all of
// its line from 2·2^-n < 0.05 on.
const IntervalUnits = 6

// planned is what the last look spends, for the estimate of how many more quads it takes.
type planned struct {
	alpha, beta float64
	metrics     int
}

// horizon is beyond which number of quads no promise is made.
const horizon = 10000

// more estimates how many more quads would decide: of the metrics that look like regressions the first, or else all of the others.
// The spread is taken from the interval, which an outlier does not widen.
func (p planned) more(d Decision, estimates []estimate) *int {
	if d.Verdict != Inconclusive {
		return new(0)
	}
	worse, equal := 0, 0
	for i, e := range estimates {
		if d.Metrics[i].Verdict != Inconclusive {
			continue
		}
		switch {
		case !e.bounded && e.Optional:
			continue
		case !e.bounded:
			return nil
		}
		n := float64(len(e.units))
		quads := float64(d.Quads) / n
		spread := (e.high - e.low) / 2 * math.Sqrt(n) / distuv.UnitNormal.Quantile(0.975)
		need := func(p, distance float64) int {
			// The standard error has to fall until distance is as many of them as p asks for, and a signed-rank test of n units has
			// no p below 2^-n.
			z := distuv.UnitNormal.Quantile(1-p) * spread / distance
			units := max(z*z, -math.Log2(p))
			return int(math.Ceil(min(units*quads, 2*horizon)))
		}
		switch distance := e.threshold() - e.center; {
		case distance <= 0:
			n := need(p.alpha/float64(p.metrics), e.center)
			if worse == 0 || n < worse {
				worse = n
			}
		case !e.Optional:
			equal = max(equal, need(p.beta, distance))
		}
	}
	n := equal
	if worse > 0 {
		n = worse
	}
	if n == 0 || n > horizon {
		return nil
	}
	return new(max(1, n-d.Quads))
}

package capacity

import (
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// method says how the figures came about, by what was found with windows of n segments at the target and while nobody read.
func (f *finder) method(n int, target, quiet simulated) Method {
	s := f.Scenario
	return Method{
		Segments: n,
		Sentence: fmt.Sprintf("Simulated are %d segments (%v) of the storm instead of %v: the same segments with the same draws in every simulation, so that what differs between two is what was changed. Each segment's time repeats the one before, as packagers and fillers are locked to one clock, and nothing is kept from one to the next but what is in the caches, which are written through.",
			n, s.Length(time.Duration(n)*s.Event.Segment.Duration()), s.Windows.Storm),
		Check: check(target, quiet),
	}
}

// spareTime is below which use in its quietest moment a part has done its work by then: with work left over it would be used whole. What it
// is used to nevertheless are polls and readers who ask at any time.
const spareTime = 0.75

// check says whether anything builds up from segment to segment.
func check(target, quiet simulated) WindowCheck {
	c := WindowCheck{Excess: []float64{}}
	for i := range min(len(target.writes), len(quiet.writes)) {
		c.Excess = append(c.Excess, target.writes[i]-quiet.writes[i])
	}
	for _, t := range target.ticks {
		c.Busy = max(c.Busy, slices.Min(t.Used))
	}
	if len(c.Excess) < fewest {
		c.Text = "Whether such windows are long enough was not found out: too few segments were written."
		return c
	}
	c.Drift = drift(c.Excess)
	excess := "no longer than the same writes while nobody reads, in each of the segments"
	if most := slices.Max(c.Excess); most >= 0.005 {
		excess = fmt.Sprintf("%s to %s ms longer by segment than the same writes while nobody reads", short(slices.Min(c.Excess)), short(most))
	}
	c.Text = fmt.Sprintf("writes take %s on average; from the first half of the segments to the second that grows by %v, and no part of the origin is used to more than %.1f %% in the quietest hundredth of a segment's time",
		excess, c.Drift, 100*c.Busy)
	if c.Settled = c.Busy < spareTime && !c.Drift.grows(stat.Mean(target.writes, nil)); c.Settled {
		c.Text = "These windows are long enough: " + c.Text + ", so that no work is left over for the next."
	} else {
		c.Text = "These windows may be too short: " + c.Text + "; something may build up, and figures depend on how long a storm lasts."
	}
	return c
}

// drift compares the mean of the second half of values with that of the first, by Student's t with their common variance.
func drift(values []float64) Drift {
	half := len(values) / 2
	first, second := values[:half], values[len(values)-half:]
	d := Drift{MS: stat.Mean(second, nil) - stat.Mean(first, nil)}
	common := (stat.Variance(first, nil) + stat.Variance(second, nil)) / 2
	t := distuv.StudentsT{Sigma: 1, Nu: float64(2*half - 2)}.Quantile(0.975)
	w := t * math.Sqrt(common*2/float64(half))
	d.CI = [2]float64{d.MS - w, d.MS + w}
	return d
}

// grows reports whether d is growth of a figure of that size: more than chance would make, and more than a hundredth.
func (d Drift) grows(of float64) bool { return d.CI[0] > 0 && d.MS > of/100 }

func (d Drift) String() string {
	return fmt.Sprintf("%s ms (95 %%: %s to %s ms)", short(d.MS), short(d.CI[0]), short(d.CI[1]))
}

//go:build !race

package agreetest

import (
	"fmt"
	"slices"
	"sort"
	"testing"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/storm"
)

// It takes many requests, and races are looked for by the other tests.

// free are configurations in which operations wait for each other, so that what happens at one instant in any order changes what comes after: the
// polls for all awaited segments begin at the same instants, as do the reads of both pipelines' Commits and those of a segment's chunks.
var free = []struct {
	name string
	is   func(*configuration)
}{
	{"a store with servers", func(c *configuration) { c.costs.Store.Servers = 3 }},
	{"a store with servers, in chunks", func(c *configuration) { c.chunked(); c.costs.Store.Servers = 12 }},
	{"a store with bandwidth", func(c *configuration) { c.costs.Store.Bandwidth = 12_000_000 }},
	{"hedges that run out", func(c *configuration) {
		c.chunked()
		slow := cost.Dist{Quantiles: cost.Quantiles{{P: 0.5, Value: 5 * ms}, {P: 0.7, Value: 20 * ms}, {P: 0.75, Value: 400 * ms}, {P: 0.99, Value: 900 * ms}}}
		c.costs.Store.Read, c.costs.Store.Write = []cost.Cost{{Dist: slow}}, []cost.Cost{{Dist: slow}}
	}},
}

// often is how often the origin carries each plan out, and plans how many there are.
const (
	often = 6
	plans = 12
)

// TestAgreementOfQuantiles: where order is free, the origin itself does not answer twice alike, and what it does from run to run is the measure:
//
//   - How the requests of each class are distributed over what they take: the simulator is not further from the origin's runs together than twice
//     what the one of these runs that is furthest is from the others, and two requests. The distance is the greatest difference between the
//     shares of requests that take no longer than some time (Kolmogorov and Smirnov), and so between the ranks of a quantile. Its time would be no
//     measure: where few requests take 8 to 12 ms, it leaps from the one to the other with the order of two.
//   - Request by request: those that are answered as in none of the origin's runs are not more than they are in the one of these runs, held
//     against the others, that has the most, and one in a hundred.
func TestAgreementOfQuantiles(t *testing.T) {
	for _, tt := range free {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var runs [often]answers
			var simulated answers
			for plan := range uint64(plans) {
				c := base(plan + 1)
				tt.is(&c)
				c.shuffled = true
				for i := range runs {
					runs[i].add(plan, onOrigin(t, c))
				}
				simulated.add(plan, onSimulator(t, c))
			}
			alone, most := simulated.alone(runs[:]), 0
			for i := range runs {
				most = max(most, runs[i].alone(others(&runs, i)))
			}
			t.Logf("%s: of %d requests %d are answered as in no run of the origin, and of one of its own runs %d at most as in no other", tt.name, len(simulated.each), alone, most)
			if alone > most+len(simulated.each)/100 {
				t.Errorf("%d of %d requests are answered as in no run of the origin, want %d at most", alone, len(simulated.each), most+len(simulated.each)/100)
			}
			for class := range storm.Classes {
				n := len(simulated.took[class])
				if n == 0 {
					continue
				}
				d, spread := distance(simulated.took[class], merged(runs[:], class)), 0.0
				for i := range runs {
					spread = max(spread, distance(runs[i].took[class], merged(others(&runs, i), class)))
				}
				if spread > 0.04 {
					t.Errorf("%v: runs of the origin are %.3f apart: nothing can be said by them", class, spread)
				}
				t.Logf("%s, %-9v %4d requests: %.4f from the origin, whose own runs are up to %.4f apart", tt.name, class, n, d, spread)
				if within := 2*spread + 2/float64(n); d > within {
					t.Errorf("%v: %.4f from the origin, want %.4f at most", class, d, within)
				}
			}
		})
	}
}

// answers is what became of the requests of all plans in one run.
type answers struct {
	each map[string]string // what is to be had of a request
	took [storm.Classes][]time.Duration
}

func (a *answers) add(plan uint64, all []storm.Sample) {
	if a.each == nil {
		a.each = map[string]string{}
	}
	for w, same := range byWho(all) {
		for i, s := range same {
			a.each[fmt.Sprint(plan, w, i)] = fmt.Sprint(s.Status, s.Via, s.Err != nil, s.At, s.First, s.Done)
			a.took[s.Class] = append(a.took[s.Class], s.Service())
		}
	}
}

// alone is how many requests of a were answered as in none of the runs.
func (a *answers) alone(runs []answers) (n int) {
	for request, is := range a.each {
		if !slices.ContainsFunc(runs, func(r answers) bool { return r.each[request] == is }) {
			n++
		}
	}
	return n
}

// others are all runs but the i-th.
func others(runs *[often]answers, i int) []answers {
	return slices.Delete(slices.Clone(runs[:]), i, i+1)
}

// merged is what requests of a class took in all runs.
func merged(runs []answers, class storm.Class) (all []time.Duration) {
	for _, r := range runs {
		all = append(all, r.took[class]...)
	}
	return all
}

// distance is the greatest difference between the shares of a and of b that are not above some value.
func distance(a, b []time.Duration) (most float64) {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	share := func(all []time.Duration, x time.Duration) float64 {
		return float64(sort.Search(len(all), func(i int) bool { return all[i] > x })) / float64(len(all))
	}
	for _, all := range [][]time.Duration{a, b} {
		for _, x := range all {
			most = max(most, share(a, x)-share(b, x), share(b, x)-share(a, x))
		}
	}
	return most
}

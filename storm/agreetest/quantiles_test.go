//go:build !race

package agreetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/storm"
)

// It takes many requests, and races are looked for by the other tests. What the origin itself answers moves from run to run, of a store with
// bandwidth and of hedges that run out by more than the bounds one time in four, so that make test leaves it out.

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

// TestAgreementOfQuantiles: where order is free, the requests of each class that are answered take as long, by quantile, as they do on the
// origin: within a tenth, and two milliseconds for what takes next to nothing.
func TestAgreementOfQuantiles(t *testing.T) {
	for _, tt := range free {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var took [2][storm.Classes][]time.Duration
			count := [2]map[string]int{{}, {}}
			requests := 0
			for seed := uint64(1); seed <= 12; seed++ {
				c := base(seed)
				tt.is(&c)
				for i, all := range [][]storm.Sample{onOrigin(t, c), onSimulator(t, c)} {
					for _, s := range all {
						count[i][fmt.Sprintf("%v %d", s.Class, s.Status)]++
						took[i][s.Class] = append(took[i][s.Class], s.Service())
					}
					requests = len(all)*(1-i) + requests
				}
			}
			t.Logf("%d requests", requests)
			for what := range count[0] {
				if a, b := count[0][what], count[1][what]; max(a-b, b-a) > 2+a/50 {
					t.Errorf("%s: %d on the origin, %d simulated", what, a, b)
				}
			}
			for class := range storm.Classes {
				real, simulated := took[0][class], took[1][class]
				slices.Sort(real)
				slices.Sort(simulated)
				for _, q := range []float64{0.1, 0.25, 0.5, 0.75, 0.9} {
					if len(real) < 20 || len(simulated) < 20 {
						break
					}
					a, b := real[int(q*float64(len(real)))], simulated[int(q*float64(len(simulated)))]
					if max(a-b, b-a) > a/10+2*ms {
						t.Errorf("%v p%.0f: %v on the origin, %v simulated, of %d", class, 100*q, a, b, len(real))
					}
				}
			}
		})
	}
}

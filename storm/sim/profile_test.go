package sim_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/storm/sim"
)

const ms = time.Millisecond

// profile is one with everything in it.
func profile() sim.Profile {
	store := func(name string) cost.Profile {
		return cost.Profile{
			Name: name, About: "one operation", Source: "made up",
			Write: []cost.Cost{{Dist: cost.Dist{P50: 2 * ms, P99: 9 * ms}, PerMiB: ms}},
			Read:  []cost.Cost{{Dist: cost.Dist{Quantiles: cost.Quantiles{{P: 0.5, Value: ms}, {P: 0.99, Value: 4 * ms}}}}},
		}
	}
	demand := sim.Demand{PerRequest: 300 * time.Microsecond, PerMiB: 2 * ms, Latency: cost.Dist{P50: ms, P99: 2 * ms}}
	stated := sim.Error{Run: "20 edges", Figure: "storm publish response p99", Measured: 10, CI: &[2]float64{9, 12}, Simulated: 11, Unit: "ms"}
	return sim.Profile{
		Name: "all", About: "everything a profile can say", Source: "made up", Machine: "none", Program: "v0", Cores: 2,
		Made: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC),
		Backends: map[string]sim.Calibrated{"embedded+cache": {
			Costs: sim.Costs{
				Store: store("store"), Cache: store("zone"), Publish: demand, Serve: demand, Driver: demand, StoreWork: demand, CacheWork: demand,
			},
			Valid:  []sim.Range{{Quantity: sim.QuantityEdges, From: 10, To: 40}, {Quantity: sim.QuantityReads, From: 50, To: 900}},
			Fitted: []sim.Error{stated}, HeldOut: []sim.Error{stated},
		}},
	}
}

func TestProfileValidate(t *testing.T) {
	if err := profile().Validate(); err != nil {
		t.Fatalf("Validate() = %v, want nil", err)
	}
	const at = "backends.embedded+cache"
	for _, c := range []struct {
		name  string
		spoil func(p *sim.Profile, c *sim.Calibrated)
		want  string
	}{
		{"no name", func(p *sim.Profile, _ *sim.Calibrated) { p.Name = "" }, "name"},
		{"no about", func(p *sim.Profile, _ *sim.Calibrated) { p.About = " " }, "about"},
		{"no source", func(p *sim.Profile, _ *sim.Calibrated) { p.Source = "" }, "source"},
		{"no machine", func(p *sim.Profile, _ *sim.Calibrated) { p.Machine = "" }, "machine"},
		{"no program", func(p *sim.Profile, _ *sim.Calibrated) { p.Program = "" }, "program"},
		{"no day", func(p *sim.Profile, _ *sim.Calibrated) { p.Made = time.Time{} }, "made"},
		{"no cores", func(p *sim.Profile, _ *sim.Calibrated) { p.Cores = 0 }, "cores"},
		{"negative cores", func(p *sim.Profile, _ *sim.Calibrated) { p.Cores = -2 }, "cores"},
		{"no backends", func(p *sim.Profile, _ *sim.Calibrated) { clear(p.Backends) }, "backends"},
		{"nameless backend", func(p *sim.Profile, c *sim.Calibrated) { p.Backends[" "] = *c }, "backends. "},
		{"no cost of writing", func(_ *sim.Profile, c *sim.Calibrated) { c.Costs.Store.Write = nil }, at + ".costs.store.write"},
		{"no cost of reading", func(_ *sim.Profile, c *sim.Calibrated) { c.Costs.Store.Read = nil }, at + ".costs.store.read"},
		{"writing costs nothing", func(_ *sim.Profile, c *sim.Calibrated) { c.Costs.Store.Write[0] = cost.Cost{} }, at + ".costs.store.write[0]"},
		{"bad distribution", func(_ *sim.Profile, c *sim.Calibrated) { c.Costs.Store.Write[0].P99 = ms }, at + ".costs.store"},
		{"a cache without costs", func(_ *sim.Profile, c *sim.Calibrated) { c.Costs.Cache = cost.Profile{} }, at + ".costs.cache.read"},
		{"whole segments in a cache", func(_ *sim.Profile, c *sim.Calibrated) { c.Costs.Cache.Whole, c.Costs.Cache.Read = true, nil }, at + ".costs.cache.whole-segment"},
		{"negative work", func(_ *sim.Profile, c *sim.Calibrated) { c.Costs.Serve.PerRequest = -1 }, at + ".costs.serve.per-request"},
		{"work of hours", func(_ *sim.Profile, c *sim.Calibrated) { c.Costs.StoreWork.PerMiB = time.Hour }, at + ".costs.store-work.per-mib"},
		{"more beside than there is", func(_ *sim.Profile, c *sim.Calibrated) { c.Costs.Publish.Beside = 1.5 }, at + ".costs.publish.beside"},
		{"falling quantiles", func(_ *sim.Profile, c *sim.Calibrated) {
			c.Costs.Driver.Latency = cost.Dist{Quantiles: cost.Quantiles{{P: 0.5, Value: 2 * ms}, {P: 0.9, Value: ms}}}
		}, at + ".costs.driver.latency"},
		{"no range", func(_ *sim.Profile, c *sim.Calibrated) { c.Valid = nil }, at + ".valid"},
		{"unknown quantity", func(_ *sim.Profile, c *sim.Calibrated) { c.Valid[0].Quantity = "edges" }, at + ".valid[0].quantity"},
		{"a quantity twice", func(_ *sim.Profile, c *sim.Calibrated) { c.Valid[1].Quantity = c.Valid[0].Quantity }, at + ".valid[1].quantity"},
		{"range backwards", func(_ *sim.Profile, c *sim.Calibrated) { c.Valid[0].To = 1 }, at + ".valid[0]"},
		{"range of no number", func(_ *sim.Profile, c *sim.Calibrated) { c.Valid[1].To = math.NaN() }, at + ".valid[1]"},
		{"an error of nothing", func(_ *sim.Profile, c *sim.Calibrated) { c.HeldOut[0].Figure = "" }, at + ".held-out[0]"},
		{"measured nothing", func(_ *sim.Profile, c *sim.Calibrated) { c.Fitted[0].Measured = 0 }, at + ".fitted[0].measured"},
		{"simulated no number", func(_ *sim.Profile, c *sim.Calibrated) { c.Fitted[0].Simulated = math.Inf(1) }, at + ".fitted[0].simulated"},
		{"interval backwards", func(_ *sim.Profile, c *sim.Calibrated) { c.Fitted[0].CI = &[2]float64{2, 1} }, at + ".fitted[0].ci"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := profile()
			b := p.Backends["embedded+cache"]
			c.spoil(&p, &b)
			if len(p.Backends) > 0 {
				p.Backends["embedded+cache"] = b
			}
			if err := p.Validate(); err == nil || !strings.Contains(err.Error(), " "+c.want+":") {
				t.Errorf("Validate() = %v, want an error that names %s", err, c.want)
			}
		})
	}
}

// Of whole segments no reads are known, and none are asked for.
func TestWholeSegmentsNeedNoReads(t *testing.T) {
	p := profile()
	b := p.Backends["embedded+cache"]
	b.Costs.Cache, b.Costs.Store.Whole, b.Costs.Store.Read = cost.Profile{}, true, nil
	p.Backends = map[string]sim.Calibrated{"s3": b}
	if err := p.Validate(); err != nil {
		t.Errorf("Validate() = %v, want nil", err)
	}
}

func TestRangeHolds(t *testing.T) {
	r := sim.Range{Quantity: sim.QuantityEdges, From: 10, To: 40}
	for v, want := range map[float64]bool{9: false, 9.995: true, 10: true, 25: true, 40.03: true, 41: false} {
		if got := r.Holds(v); got != want {
			t.Errorf("%+v.Holds(%v) = %v, want %v", r, v, got, want)
		}
	}
}

package sim_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/plan"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
)

// epoch is when the events' clocks began; first is a number well after it.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const first = 1000

func parse(t testing.TB, src string, set ...string) scenarios.Scenario {
	t.Helper()
	s, err := scenarios.Parse("test.yaml", []byte("name: test\n"+src), set...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// planned is the plan of a scenario, and the Config of an origin for it.
func planned(t testing.TB, s scenarios.Scenario, seed uint64) (storm.Plan, sim.Config) {
	t.Helper()
	c := plan.Config{Scenario: s, Seed: seed, Events: s.Events(epoch), First: first}
	p, err := plan.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p, sim.Config{Start: c.Start(), Events: c.Events, SameBytes: s.Event.Identical, Seed: seed}
}

// log keeps samples.
type log struct{ samples []storm.Sample }

func (l *log) Record(s storm.Sample) { l.samples = append(l.samples, s) }

// of returns the samples of a class that ended with a status.
func (l *log) of(c storm.Class) (all []storm.Sample) {
	for _, s := range l.samples {
		if s.Class == c && s.Via == storm.Wire {
			all = append(all, s)
		}
	}
	return all
}

// outcomes counts how samples ended, by class.
func (l *log) outcomes() string {
	n := map[string]int{}
	for _, s := range l.samples {
		n[fmt.Sprint(s.Class, " ", record.Outcome(s))]++
	}
	var all []string
	for k, v := range n {
		all = append(all, fmt.Sprint(k, ": ", v))
	}
	slices.SortFunc(all, cmp.Compare)
	return fmt.Sprint(all)
}

func execute(t testing.TB, p storm.Plan, c sim.Config) (*log, sim.Figures) {
	t.Helper()
	x, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	l := &log{}
	if err := x.Execute(t.Context(), p, l); err != nil {
		t.Fatal(err)
	}
	return l, x.Figures()
}

// small is a scenario of everything.
const small = `
event: {renditions: {count: 3, total: 12Mbit/s}}
readers: {edges: 5, behaviour: {aligned: 50ms, early: 0.3, dvr: 0.4, missing: 0.4}}
windows: {quiet: 4s, storm: 10s}
`

func costs() sim.Costs {
	return sim.Costs{Store: cost.Profile{Name: "test", About: "test", Source: "test",
		Write: []cost.Cost{{Dist: cost.Dist{P50: 20 * ms, P99: 100 * ms}}}, Read: []cost.Cost{{Dist: cost.Dist{P50: 5 * ms, P99: 20 * ms}}}}}
}

// origins are origins of all kinds, by what they are.
var origins = map[string]func(c *sim.Config){
	"one store":              func(c *sim.Config) {},
	"nothing costs anything": func(c *sim.Config) { c.Costs = sim.Costs{} },
	"two zones": func(c *sim.Config) {
		c.Topology.Zones = 2
		c.Costs.Cache = cost.Profile{Read: []cost.Cost{{Dist: cost.Dist{P50: ms, P99: 3 * ms}}}, Write: []cost.Cost{{Dist: cost.Dist{P50: ms, P99: 3 * ms}}}}
	},
	"a slow zone that misses": func(c *sim.Config) {
		c.Topology.Zones, c.Topology.MissRatio, c.Topology.ZoneMemory = 1, 0.3, 8<<20
		c.Costs.Cache = cost.Profile{Read: []cost.Cost{{Dist: cost.Dist{Constant: 30 * ms}}}, Write: []cost.Cost{{Dist: cost.Dist{Constant: 30 * ms}}}}
	},
	"three replicas on five nodes": func(c *sim.Config) { c.Topology.Store, c.Topology.Replicas = 5, 3 },
	"whole segments, one object":   func(c *sim.Config) { c.Costs.Store.Whole, c.Costs.Store.Read, c.Topology.ChunkSize = true, nil, -1 },
	"one machine": func(c *sim.Config) {
		c.Topology.Shared, c.Topology.Zones = 2, 1
		c.Costs.StoreWork.PerMiB = 5 * ms
		c.Costs.CacheWork.PerMiB = ms
		c.Costs.Driver.PerMiB = ms
		c.Costs.Serve = sim.Demand{PerRequest: ms / 10, PerMiB: ms, Latency: cost.Dist{P50: ms, P99: 2 * ms}}
		c.Costs.Publish = sim.Demand{PerRequest: ms / 10, PerMiB: ms}
	},
	"links, hot copies and one read for all": func(c *sim.Config) {
		t := &c.Topology
		t.ServeLink, t.PublishLink, t.StoreLink, t.Collapse, t.Hot = 1e9, 1e9, 1e9, true, 64<<20
	},
	"many nodes whose clocks differ": func(c *sim.Config) {
		t := &c.Topology
		t.Publish, t.Serve, t.Zones, t.CacheNodes, t.ServeCores, t.CacheLink = 2, 3, 2, 2, 1, 1e9
		c.ClockOffset.Serve = []time.Duration{0, 20 * ms, -20 * ms}
		c.Costs.Serve.PerMiB = ms
	},
}

// counting is a plan's clients with what they send and are told counted.
type counting struct {
	storm.Client
	sent map[string]int
}

func (c counting) Due(now time.Duration, r storm.Request, out *storm.Out) {
	before := len(out.Sends)
	c.Client.Due(now, r, out)
	c.count(out.Sends[before:])
}

func (c counting) Done(s storm.Sample, out *storm.Out) {
	c.sent[fmt.Sprintf("%+v", s.Request)]--
	before := len(out.Sends)
	c.Client.Done(s, out)
	c.count(out.Sends[before:])
}

func (c counting) count(sends []storm.Request) {
	for _, r := range sends {
		c.sent[fmt.Sprintf("%+v", r)]++
	}
}

// TestEveryRequestIsAnsweredOnce counts what clients send and what they are told.
func TestEveryRequestIsAnsweredOnce(t *testing.T) {
	for name, build := range origins {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				conserve(t, seed, build)
			}
		})
	}
}

func conserve(t *testing.T, seed uint64, build func(*sim.Config)) {
	t.Helper()
	p, c := planned(t, parse(t, small), seed)
	c.Costs = costs()
	build(&c)
	sent := map[string]int{}
	inner := p.Client
	p.Client = func(from string) storm.Client { return counting{inner(from), sent} }
	l, _ := execute(t, p, c)
	for r, n := range sent {
		if n != 0 {
			t.Errorf("seed %d: %s was sent, and answered %d times too seldom", seed, r, n)
		}
	}
	if len(l.samples) == 0 || len(l.of(storm.Publish)) == 0 || len(l.of(storm.LiveEdge)) == 0 {
		t.Errorf("seed %d: %s: want publishes and reads", seed, l.outcomes())
	}
	for _, s := range l.samples {
		if !s.OK() {
			t.Errorf("seed %d: %+v failed", seed, s)
		}
	}
}

// TestSameSeedSameSamples: what is simulated depends on the plan and the configuration alone.
func TestSameSeedSameSamples(t *testing.T) {
	for name, build := range origins {
		t.Run(name, func(t *testing.T) {
			run := func(seed uint64) string {
				p, c := planned(t, parse(t, small), 1)
				c.Costs, c.Seed = costs(), seed
				build(&c)
				l, f := execute(t, p, c)
				return fmt.Sprintf("%+v %+v", l.samples, f)
			}
			if run(1) != run(1) {
				t.Error("two runs of one seed differ")
			}
			if run(1) == run(2) && name != "nothing costs anything" {
				t.Error("the seed changes nothing")
			}
		})
	}
}

// recorder is a Recorder that is one function.
type recorder func(storm.Sample)

func (r recorder) Record(s storm.Sample) { r(s) }

var errEnough = errors.New("enough")

func contextWithCause(t *testing.T) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	return ctx, cancel
}

package sim_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
)

// TestEveryRequestIsAnsweredOnceInFaults carries the library's scenarios out that have faults, and counts what clients send and are told.
func TestEveryRequestIsAnsweredOnceInFaults(t *testing.T) {
	for _, s := range scenarios.Library() {
		if len(s.Faults) == 0 || s.Readers.Edges > 100 || s.Name == "faults-clients" { // half a million requests, as players do not stand still
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			p, c := planned(t, s, 1)
			c.Costs = costs()
			c.Costs.Serve.Latency.Constant = ms / 5
			c.Topology = sim.Topology{Serve: s.Origin.Serve, Zones: 2, Store: 3, Replicas: 3}
			sent := map[string]int{}
			inner := p.Client
			p.Client = func(from string) storm.Client { return counting{inner(from), sent} }
			execute(t, p, c)
			for r, n := range sent {
				if n != 0 {
					t.Errorf("%s was sent, and answered %d times too seldom", r, n)
				}
			}
		})
	}
}

// steady is a scenario in which every reader asks for every segment as it is due, and some for what is older.
const steady = `
event: {renditions: {count: 2, total: 4Mbit/s}, encode: {min: 300ms, max: 600ms}, publish-delay: 1s}
readers: {edges: 6, behaviour: {aligned: 20ms, early: 0.3, dvr: 0.5, missing: 0}}
windows: {quiet: 2s, storm: 16s}
backends: [cassandra+cache, embedded]
origin: {serve: 3}
`

// struck is what becomes of steady under faults.
func struck(t *testing.T, faults string, change func(*sim.Config)) (*log, record.Segments) {
	t.Helper()
	p, c := planned(t, parse(t, steady+"faults: ["+faults+"]"), 1)
	c.Costs = costs()
	c.Costs.Serve.Latency.Constant = ms / 5
	c.Topology = sim.Topology{Zones: 2, Store: 3, Replicas: 3}
	if change != nil {
		change(&c)
	}
	x, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	l := &log{}
	rec := record.New(record.Config{Windows: p.Windows, Due: func(id segment.ID) time.Duration {
		return c.Events[0].Template.Due(id.Number).Sub(c.Start)
	}})
	if err := x.Execute(t.Context(), p, both{l, rec}); err != nil {
		t.Fatal(err)
	}
	return l, rec.Backend().Segments
}

type both struct{ a, b storm.Recorder }

func (b both) Record(s storm.Sample) { b.a.Record(s); b.b.Record(s) }

// TestFaults: each fault does what the catalogue says, and nothing beside it.
func TestFaults(t *testing.T) {
	alone := func(c *sim.Config) { c.Topology = sim.Topology{} }
	for _, tt := range []struct {
		faults string
		change func(*sim.Config)
		some   []string // outcomes that there are
		only   bool     // and no other than those that there always are
		missed int
	}{
		{faults: "", only: true},
		{faults: "{at: storm 1 + 1s, kill: pipeline a, for: 4s}", some: []string{"publish faulted"}, only: true},
		{faults: "{at: storm 1 + 1s, kill: publish, for: 2s}", some: []string{"publish refused"}},
		{faults: "{at: storm 1 + 4.01s, kill: serve, for: 1s}", some: []string{"live-edge refused"}},
		{faults: "{at: storm 1 + 1s, stop: publish, for: 4s}", some: []string{"publish timeout"}},
		{faults: "{at: storm 1 + 1s, stop: serve, for: 1s}", only: true},
		{faults: "{at: storm 1 + 1s, kill: store, for: 2s}", change: alone, some: []string{"publish 503"}},
		{faults: "{at: storm 1 + 1s, stop: store, for: 4s}", change: alone, some: []string{"publish timeout"}},
		{faults: "{at: storm 1 + 1s, kill: cassandra 2, for: 4s}", only: true},
		{faults: "{at: storm 1 + 1s, kill: cassandra 2, for: 4s}, {at: storm 1 + 1s, kill: cassandra 3, for: 4s}", some: []string{"publish 503"}},
		{faults: "{at: storm 1 + 1s, stop: cassandra 2, for: 4s}, {at: storm 1 + 1s, stop: cassandra 3, for: 4s}", some: []string{"publish timeout"}},
		{faults: "{at: storm 1 + 1s, kill: cache 1, for: 4s}, {at: storm 1 + 1s, kill: cache 2, for: 4s}", only: true},
		{faults: "{at: storm 1 + 1s, stop: cache 1, for: 4s}, {at: storm 1 + 2s, stop: cache 2, for: 4s}", only: true},
		{faults: "{at: storm 1 + 1s, flush: cache 1}, {at: storm 1 + 1s, forget: cache 2, for: 4s}", only: true},
		{faults: "{at: storm 1 + 1s, limit: cache 1, by: 1000, for: 4s}", only: true},
		{faults: "{at: storm 1 + 1s, slow: cache 1, for: 4s}", only: true},
		{faults: "{at: storm 1 + 1s, slow: store, for: 4s}", only: true},
		{faults: "{at: storm 1 + 1s, throttle: store, by: 1, for: 4s}", some: []string{"publish 503"}},
		{faults: "{at: storm 1 + 1s, hide: store, for: 4s}", change: alone},
		{faults: "{at: storm 1 + 1s, deny: store, for: 4s}", some: []string{"publish 503"}},
		{faults: "{at: storm 1 + 1s, fill: store, for: 4s}", some: []string{"publish 507"}},
		{faults: "{at: storm 1 + 1s, fail: store, share: 0.05, for: 8s}", only: true},
		{faults: "{at: storm 1 + 1s, reset: pipeline a}", some: []string{"publish reset"}},
		{faults: "{at: storm 1 + 1s, cut: pipeline a, for: 4s}", some: []string{"publish faulted"}, only: true},
		{faults: "{at: storm 1 + 1s, overstate: pipeline a, for: 4s}", some: []string{"publish faulted"}, only: true},
		{faults: "{at: storm 1 + 1s, understate: pipeline a, for: 4s}", only: true},
		{faults: "{at: storm 1 + 1s, trickle: pipeline a, for: 4s}", some: []string{"publish faulted"}, only: true},
		{faults: "{at: storm 1 + 1s, hang-up: pipeline a, for: 4s}", some: []string{"publish faulted"}, only: true},
		{faults: "{at: storm 1 + 1s, chain: pipeline a, for: 4s}, {at: storm 1 + 1s, reconnect: pipeline b, for: 4s}", only: true},
		{faults: "{at: storm 1 + 1s, reconnect: readers, for: 4s}", only: true},
		{faults: "{at: storm 1 + 1s, shorten: pipeline a, for: 4s}", only: true},
		{faults: "{at: storm 1 + 1s, slate: pipeline a, for: 4s}", only: true},
		{faults: "{at: storm 1 + 1s, contradict: pipeline a, for: 4s}", some: []string{"publish 200"}, only: true},
		{faults: "{at: storm 1 + 1s, delete: pipeline a, for: 4s}", some: []string{"publish 200"}, only: true},
		{faults: "{at: storm 1 + 1s, drop: pipeline a, for: 2s}, {at: storm 1 + 1s, drop: pipeline b, for: 2s}",
			some: []string{"publish faulted", "live-edge 410", "probe 410"}, missed: 2},
		{faults: "{at: storm 1 + 1s, skew: serve, by: 3.1s, for: 4s}", some: []string{"live-edge 404"}},
		{faults: "{at: storm 1 + 1s, scale: serve, by: 1, for: 4s}", change: func(c *sim.Config) { c.Topology.Serve = 3 }, only: true},
	} {
		t.Run(tt.faults, func(t *testing.T) {
			l, segments := struck(t, tt.faults, tt.change)
			got := l.outcomes()
			for _, want := range tt.some {
				if !strings.Contains(got, want+":") {
					t.Errorf("%s: want some %s", got, want)
				}
			}
			if tt.only {
				for _, s := range l.samples {
					outcome := fmt.Sprint(s.Class, " ", record.Outcome(s))
					if !s.OK() && !s.Retried && !slices.Contains(tt.some, outcome) {
						t.Errorf("%s: there is %s of %v at %v", got, outcome, s.ID, s.At)
					}
				}
			}
			if segments.Missed != int64(tt.missed) && tt.only || segments.Missed < int64(tt.missed) {
				t.Errorf("%d segments were missed, want %d", segments.Missed, tt.missed)
			}
			if segments.Lost+segments.Torn+segments.Wrong+segments.Stale+segments.Cross+segments.OutOfOrder > 0 {
				t.Errorf("%+v: want nothing lost, torn, wrong, stale, crossed or out of order", segments)
			}
		})
	}
}

// TestSameSeedSameSamplesInFaults: nor does the order of maps show when nodes die.
func TestSameSeedSameSamplesInFaults(t *testing.T) {
	run := func() string {
		l, s := struck(t, "{at: storm 1 + 1s, kill: serve 2, for: 1s}, {at: storm 1 + 2s, kill: cassandra 2, for: 3s}, {at: storm 1 + 6s, fail: store, share: 0.2, for: 3s}",
			func(c *sim.Config) {
				c.Topology = sim.Topology{Serve: 3, Store: 3, Replicas: 3, StoreCores: 1}
				c.Costs.StoreWork.PerRequest = ms / 10
			})
		return fmt.Sprintf("%+v %+v", l.samples, s)
	}
	first := run()
	for range 5 {
		if run() != first {
			t.Fatal("two runs of one seed differ")
		}
	}
}

// TestLostReplica: an undamaged cluster gives back the latencies of its profile, and one that has lost a node waits for both of the others.
func TestLostReplica(t *testing.T) {
	quantiles := func(faults string) (p50, p99 float64) {
		p, c := planned(t, parse(t, `
event: {renditions: {count: 40, total: 4Mbit/s}}
readers: {edges: 1}
windows: {quiet: 60s, storm: 2s}
backends: [cassandra]
faults: [`+faults+`]`), 3)
		c.Costs = costs()
		c.Topology = sim.Topology{Store: 3, Replicas: 3}
		l, _ := execute(t, p, c)
		return quantile(l.of(storm.Publish), 0.5), quantile(l.of(storm.Publish), 0.99)
	}
	if p50, p99 := quantiles(""); p50 < 19 || p50 > 21 || p99 < 85 || p99 > 115 {
		t.Errorf("with all replicas p50 = %.1f ms and p99 = %.1f ms, want the profile's 20 and 100", p50, p99)
	}
	// Two of two take longer than t with 1-F(t)². From G = 3F²-2F³ = 0.5 and F² = 0.5: F = 0.7071, G(F) = 0.7929, which the lognormal
	// through 20 and 100 ms has at 35.2 ms.
	if p50, _ := quantiles("{at: quiet 1, kill: cassandra 3}"); p50 < 33.5 || p50 > 37 {
		t.Errorf("with one replica lost p50 = %.1f ms, want 35.2", p50)
	}
}

// quantile is a quantile of the services of samples, in milliseconds.
func quantile(samples []storm.Sample, q float64) float64 {
	var all []time.Duration
	for _, s := range samples {
		all = append(all, s.Service())
	}
	slices.Sort(all)
	return float64(all[int(q*float64(len(all)))]) / float64(ms)
}

func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		fault    storm.Fault
		topology sim.Topology
		want     string
	}{
		{storm.Fault{Do: "kill", To: "cassandra 1"}, sim.Topology{}, "kill or stop the store"},
		{storm.Fault{Do: "kill", To: "cassandra 4"}, sim.Topology{Store: 3, Replicas: 3}, "this origin has 3 store nodes"},
		{storm.Fault{Do: "flush", To: "cache 1"}, sim.Topology{}, "no cache"},
		{storm.Fault{Do: "slow", To: "cache 3"}, sim.Topology{Zones: 2}, "this origin has 2 cache zones"},
		{storm.Fault{Do: "kill", To: "serve 2"}, sim.Topology{}, "this origin has 1 serving nodes"},
		{storm.Fault{Do: "scale", To: "serve", Count: 5}, sim.Topology{Serve: 2}, "leave at most so many"},
		{storm.Fault{Do: "kill", To: "pipeline z"}, sim.Topology{}, "no event has a pipeline z"},
		{storm.Fault{Do: "melt", To: "store"}, sim.Topology{}, "no such fault"},
		{storm.Fault{Do: "flush", To: "store"}, sim.Topology{}, "befalls [cache]"},
		{storm.Fault{Do: "kill", To: "router"}, sim.Topology{}, "router"},
	} {
		p, c := planned(t, parse(t, small), 1)
		p.Faults, c.Topology = []storm.Fault{tt.fault}, tt.topology
		x, err := sim.New(c)
		if err != nil {
			t.Fatal(err)
		}
		l := &log{}
		if err := x.Execute(t.Context(), p, l); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.fault.String()) || len(l.samples) > 0 {
			t.Errorf("Execute with %v = %v and %d samples, want an error that names it and says %q, and none", tt.fault, err, len(l.samples), tt.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*sim.Config)
		want   string
	}{
		"no events":         {func(c *sim.Config) { c.Events = nil }, "events"},
		"negative nodes":    {func(c *sim.Config) { c.Topology.Serve = -1 }, "topology.serve"},
		"too many replicas": {func(c *sim.Config) { c.Topology.Replicas = 3 }, "topology.replicas"},
		"a ratio above 1":   {func(c *sim.Config) { c.Topology.MissRatio, c.Topology.Zones = 2, 1 }, "topology.miss-ratio"},
		"misses of nothing": {func(c *sim.Config) { c.Topology.MissRatio = 0.5 }, "topology.miss-ratio"},
		"a negative link":   {func(c *sim.Config) { c.Topology.ServeLink = -1 }, "topology.serve-link"},
		"negative work":     {func(c *sim.Config) { c.Costs.Serve.PerMiB = -1 }, "costs.serve"},
		"a bad latency":     {func(c *sim.Config) { c.Costs.Serve.Latency.P50 = ms }, "costs.serve.latency"},
	} {
		_, c := planned(t, parse(t, small), 1)
		tt.change(&c)
		if _, err := sim.New(c); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: New = %v, want an error that names %s", name, err, tt.want)
		}
	}
}

// TestEndOfContext: an Execute whose context has ended returns its cause.
func TestEndOfContext(t *testing.T) {
	p, c := planned(t, parse(t, small, "windows.quiet=1000s"), 1)
	x, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := contextWithCause(t)
	l := &log{}
	err = x.Execute(ctx, p, recorder(func(s storm.Sample) {
		if l.Record(s); len(l.samples) == 20 {
			cancel(errEnough)
		}
	}))
	if !errors.Is(err, errEnough) || len(l.samples) > 2000 {
		t.Errorf("Execute = %v after %d samples, want %v soon after 20", err, len(l.samples), errEnough)
	}
}

// TestShedding: while a store answers too slowly, readers who can wait are sent away, and those of the live edge never.
func TestShedding(t *testing.T) {
	p, c := planned(t, parse(t, `
event: {renditions: {count: 4, total: 2Mbit/s}, publish-delay: 1s}
readers: {edges: 20, behaviour: {aligned: 20ms, early: 0, dvr: 0.5, missing: 0}}
windows: {quiet: 30s, storm: 40s}
faults: [{at: storm 1 + 4s, slow: store, by: 50ms, for: 16s}]
`), 1)
	c.Topology.Shed = true
	l, _ := execute(t, p, c)
	shed := map[storm.Class]int{}
	for _, s := range l.samples {
		if s.Status == 503 {
			shed[s.Class]++
			if s.Fresh != 5*time.Second {
				t.Errorf("%v was sent away for %v, want 5s", s.ID, s.Fresh)
			}
			if s.At < 36*time.Second {
				t.Errorf("%v was sent away at %v, before the store was slow", s.ID, s.At)
			}
		}
	}
	if shed[storm.DVR] < 50 || len(shed) > 1 {
		t.Errorf("%v were sent away, want many DVR reads and no others", shed)
	}
}

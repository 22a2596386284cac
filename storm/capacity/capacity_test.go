package capacity_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/scenarios"
	"origin-storm/storm/capacity"
	"origin-storm/storm/sim"
	"origin-storm/storm/simulate"
)

// The factors and results of square-root staffing as Netflix's open capacity model has them.
func TestStaff(t *testing.T) {
	for _, c := range []struct {
		perSecond, seconds, queued float64
		want                       int
	}{
		{1000, 0.010, 0.01, 18},     // a = 10: 10 + 2.375·3.162 = 17.51
		{1000, 0.010, 0.05, 16},     // 10 + 1.761·3.162 = 15.57
		{1000, 0.010, 0.20, 14},     // 10 + 1.16·3.162 = 13.67
		{100_000, 0.001, 0.01, 124}, // 100 + 2.375·10 = 123.75
		{2500, 0.002, 0.01, 11},     // 5 + 2.375·2.236 = 10.31
		{0, 1, 0.01, 0},
	} {
		busy := capacity.Busy(c.perSecond, c.seconds)
		if got := capacity.Staff(busy, c.queued); got != c.want {
			t.Errorf("Staff(%v, %v) = %d, want %d", busy, c.queued, got, c.want)
		}
	}
}

// profile has round costs, so that node counts can be worked out by hand.
func profile() *sim.Profile {
	flat := func(d time.Duration) cost.Profile {
		return cost.Profile{Name: "flat", About: "flat", Source: "made up",
			Write: []cost.Cost{{Dist: cost.Dist{P50: d, P99: 2 * d}}}, Read: []cost.Cost{{Dist: cost.Dist{P50: d / 2, P99: d}}}}
	}
	work := sim.Demand{PerRequest: 200 * time.Microsecond, PerMiB: time.Millisecond}
	of := sim.Calibrated{Costs: sim.Costs{Store: flat(10 * time.Millisecond), Cache: flat(time.Millisecond), Publish: work, Serve: work, StoreWork: work, CacheWork: work}}
	return &sim.Profile{Name: "round", About: "round", Source: "made up", Machine: "none", Program: "a test", Made: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), Cores: 2,
		Backends: map[string]sim.Calibrated{"cassandra": of, "cassandra+cache": of, "embedded": of, "embedded+cache": of, "s3": of}}
}

const small = `
name: small
event: {renditions: {count: 40, total: 80Mbit/s}, dvr: 30m}
audience: {viewers: 100k, fillers: 10, edges: 1000}
deployment:
  publish: {cores: 4, link: 2Gbit/s}
  serve: {cores: 4, link: 500Mbit/s}
  store: {cores: 8, link: 5Gbit/s}
  cache: {cores: 4, link: 500Mbit/s, memory: 4GiB}
readers: {behaviour: {early: 0.2}}
backends: [cassandra, cassandra+cache]
thresholds:
  - storm publish response p99 < 500ms
  - storm live-edge response p99 < 20s
`

func find(t *testing.T) *capacity.Report {
	t.Helper()
	s, err := scenarios.Parse("small.yaml", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	r, err := capacity.Find(t.Context(), capacity.Config{Scenario: s, Profile: profile(), Seed: 1, Command: "origin-storm capacity small"})
	if err != nil {
		t.Fatalf("Find of small = %v", err)
	}
	return r
}

func tier(b capacity.Backend, name string) capacity.Tier {
	for _, t := range b.Tiers {
		if t.Name == name {
			return t
		}
	}
	return capacity.Tier{}
}

// Node counts worked out by hand, and what was simulated held against them; and the same again has the same bytes, on one processor.
func TestFind(t *testing.T) {
	r := find(t)
	t.Run("again", func(t *testing.T) {
		asJSON := func(r *capacity.Report) []byte {
			b, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		if !bytes.Equal(asJSON(r), asJSON(find(t))) {
			t.Error("two reports of one scenario differ, the second on one processor")
		}
	})
	// 10 fillers ask for 80 Mbit/s each.
	if math.Abs(r.AskedGbit-0.8) > 1e-6 || r.TargetGbit != r.AskedGbit {
		t.Errorf("asked for %v, sized for %v Gbit/s, want 0.8", r.AskedGbit, r.TargetGbit)
	}
	b := r.Backends[1]
	if !b.Chosen || b.Name != "cassandra+cache" {
		t.Fatalf("the chosen backend is not the last: %+v", b.Name)
	}
	// 0.8 Gbit/s × 1.5 over 0.5 Gbit/s are 2.4 nodes, on two of three zones: 3 × ceil(2.4/2) = 6.
	if s := tier(b, "serve"); s.Nodes != 6 || s.Bound != "network" || math.Abs(s.Used-1.6/6) > 1e-9 || math.Abs(s.Headroom-6/1.5/1.6) > 1e-6 {
		t.Errorf("serve: %+v, want 6 nodes by network with %.2f times the room", s, 6/1.5/1.6)
	}
	// Two copies of 10 MB/s are kept for 30 minutes on three replicas, 108 GB; there are two nodes in each of three zones anyway.
	s := tier(b, "store")
	if s.Nodes != 6 || math.Abs(s.Needs[3].Amount-2*10e6*1800*3/(1<<30)) > 0.01 {
		t.Errorf("store: %+v, want 6 nodes and %.1f GiB on disk", s, 2*10e6*1800*3/float64(1<<30))
	}
	if b.Asked.Write.P99 == nil || b.Target.Write.P99 == nil || b.Target.Missed != 0 || !b.Target.Holds {
		t.Errorf("at the target: %+v, want it to hold with a write p99", b.Target)
	}
	for i := 0; i+1 < len(b.Checks); i += 2 {
		with, fewer := b.Checks[i], b.Checks[i+1]
		if with.Tier != fewer.Tier || fewer.Nodes >= with.Nodes || fewer.Used < with.Used*0.99 {
			t.Errorf("with %d %s nodes %.4f are used, with %d %.4f, want more with fewer", with.Nodes, with.Tier, with.Used, fewer.Nodes, fewer.Used)
		}
	}
	if len(b.Checks) != 6 { // zones decide how many store nodes there are
		t.Errorf("%d checks, want two each of serve, cache and publish", len(b.Checks))
	}
	if c := r.Method.Check; !c.Settled || len(c.Excess) != r.Method.Segments {
		t.Errorf("the windows of %d segments: %+v, want them settled", r.Method.Segments, c)
	}
	if b.Target.Write.Count < 600 || b.Target.Quiet.Count != b.Target.Write.Count {
		t.Errorf("%d writes in the storm and %d in quiet, want 600 or more, the same", b.Target.Write.Count, b.Target.Quiet.Count)
	}
	for _, l := range b.Losses {
		if l.HeadroomDuring > l.HeadroomBefore*1.0001 || l.Sentence == "" || l.How == "" {
			t.Errorf("losing %s: headroom from %v to %v, want no more", l.What, l.HeadroomBefore, l.HeadroomDuring)
		}
	}
	if got := len(b.Losses); got != 4 {
		t.Errorf("%d losses, want a zone, a region, the cache and a pipeline", got)
	}
	if got, want := b.Losses[0].HeadroomDuring/b.Losses[0].HeadroomBefore, 2.0/3; math.Abs(got-want) > 1e-6 {
		t.Errorf("without a zone of three %v of the headroom is left, want %v", got, want)
	}
	if r.Prices != nil {
		t.Errorf("prices %+v without any given", r.Prices)
	}
	for _, in := range r.Inputs {
		if in.Source == "" || in.Value == "" {
			t.Errorf("an input without value or source: %+v", in)
		}
	}
	if r.Backends[0].SameStore == nil && tier(r.Backends[0], "store").Nodes != s.Nodes {
		t.Error("without a cache, want the figures on the same store, too")
	}
	for _, a := range r.Answers {
		if a.Question == "" || !strings.HasSuffix(a.Answer, ".") {
			t.Errorf("answer %+v, want a sentence", a)
		}
	}
	if !strings.HasPrefix(r.Verdict, "small: ") {
		t.Errorf("verdict %q, want it to begin with the scenario", r.Verdict)
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"name: x\nreaders: {edges: 0}\nwindows: {storm: 0s}", "give an audience, or readers.edges"},
		{"name: x\nreaders: {viewers: 5}", "give an audience in their place"},
	} {
		s, err := scenarios.Parse("x.yaml", []byte(c.src))
		if err != nil {
			t.Fatal(err)
		}
		_, err = capacity.Find(t.Context(), capacity.Config{Scenario: s, Profile: profile()})
		if !errors.Is(err, capacity.ErrScenario) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Find(%q) = %v, want it to wrap %v and to say %q", c.src, err, capacity.ErrScenario, c.want)
		}
	}
	p := profile()
	delete(p.Backends, "cassandra+cache")
	delete(p.Backends, "embedded+cache")
	s, err := scenarios.Parse("small.yaml", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := capacity.Find(t.Context(), capacity.Config{Scenario: s, Profile: p}); err == nil || !strings.Contains(err.Error(), "cassandra+cache") {
		t.Errorf("Find with a profile that has a gap = %v, want it to be named", err)
	}
	if _, err := simulate.Costs(p, s.Backends[1]); err == nil {
		t.Error("Costs of what a profile does not know = nil, want an error")
	}
}

package simulate_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/record"
	"origin-storm/storm/record/schematest"
	"origin-storm/storm/sim"
	"origin-storm/storm/sim/profiles"
	"origin-storm/storm/simulate"
	"origin-storm/storm/verdict"
)

// load returns a scenario of the library.
func load(t testing.TB, name string, set ...string) scenarios.Scenario {
	t.Helper()
	s, _, err := scenarios.Load(name, set...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func run(t testing.TB, c simulate.Config) *simulate.Outcome {
	t.Helper()
	out, err := simulate.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func encoded(t testing.TB, r record.Results) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The same scenario and seed give the same bytes, and another seed others.
func TestSameSeedSameBytes(t *testing.T) {
	s := load(t, "smoke", "backends=[embedded, embedded+cache, s3]")
	results := func(seed uint64) string {
		return encoded(t, run(t, simulate.Config{Scenario: s, Seed: seed}).Results)
	}
	first := results(1)
	for range 3 {
		if again := results(1); again != first {
			t.Fatalf("the second Run differs from the first:\n%s\n%s", again, first)
		}
	}
	if results(2) == first {
		t.Error("seed 2 gives what seed 1 gives")
	}
}

// What is written follows the published schema, and says that nothing was measured.
func TestResultsFollowTheSchema(t *testing.T) {
	schema, err := os.ReadFile(filepath.Join("..", "..", "docs", "results.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, simulate.Config{Scenario: load(t, "smoke", "drivers=3"), Seed: 1}).Results
	text := encoded(t, r)
	if err := schematest.Validator(t, schema)(text); err != nil {
		t.Error(err)
	}
	b := r.Backends[0]
	if r.Verdict != "passed" || r.Mode != "sim" || b.Provenance != "simulated" || b.Simulation == nil || b.Simulation.Profile != profiles.DefaultName || b.Simulation.Digest != profiles.Default().Digest {
		t.Errorf("%s", text)
	}
	// What virtual time has not is absent, and not 0.
	for _, name := range []string{"processes", "cpu_seconds"} {
		if strings.Contains(text, `"`+name+`"`) {
			t.Errorf("there is %s in %s", name, text)
		}
	}
	if r.Driver.LagP99 != nil || r.Driver.Ceiling != nil || b.Stolen != nil {
		t.Errorf("the driver's account is %+v, want nothing", r.Driver)
	}
	for _, p := range b.Phases {
		for _, o := range p.Operations {
			if o.Lag.Count != 0 || o.Lag.P50 != nil || o.Lag.Max != nil {
				t.Errorf("%s %s: lag %+v, want none", p.Name, o.Class, o.Lag)
			}
		}
	}
	if b.Segments.Verified != 0 || b.Segments.Read == 0 {
		t.Errorf("%d of %d bodies are said to be verified, want none", b.Segments.Verified, b.Segments.Read)
	}
	if notes := strings.Join(r.Driver.Notes, " "); !strings.Contains(notes, "drivers: 3") {
		t.Errorf("the driver's notes %q do not say what became of drivers: 3", notes)
	}
}

// Each scenario of the library is simulated, or says what in it cannot be. Their windows are cut short where no fault is in them.
func TestLibrary(t *testing.T) {
	refused := []string{"edge-caches", "endurance", "isolation"}
	for _, s := range scenarios.Library() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			if len(s.Faults) == 0 && !slices.Contains(refused, s.Name) && s.Readers.Replay == nil {
				d := s.Event.Segment.Duration()
				s.Windows.Quiet, s.Windows.Storm, s.Windows.Repeat, s.Windows.Until = min(s.Windows.Quiet, 2*d), min(s.Windows.Storm, 2*d), 1, 0
				s.Backends = s.Backends[:1]
				s.Thresholds = slices.DeleteFunc(slices.Clone(s.Thresholds), func(t scenarios.Threshold) bool {
					return t.Backend != "" && t.Backend != s.Backends[0].Name
				})
			}
			s.Readers.Edges = min(s.Readers.Edges, 20)
			s.Deployment = nil // on one machine: how many it takes, capacity says
			out, err := simulate.Run(t.Context(), simulate.Config{Scenario: s, Seed: 1})
			if slices.Contains(refused, s.Name) {
				if e, ok := err.(*verdict.Error); !ok || e.Code != verdict.Usage {
					t.Errorf("Run = %v, want a refusal", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if b := out.Results.Backends[0]; b.Segments.Acknowledged == 0 {
				t.Errorf("nothing was published: %s", out.Results.Sentence)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		set  []string
		want []string
	}{
		"edge":             {[]string{"backends=[{name: e, store: embedded, edge: nginx}]"}, []string{"backend e", "nginx", "readers.viewers", "readers.cache=nginx"}},
		"cores":            {[]string{"drivers=2", "backends=[embedded, {name: pinned, store: embedded, cores: {serve: 1}}]"}, []string{"backend pinned", "leave cores out", "--backend embedded"}},
		"driver":           {[]string{`thresholds=["driver lag-p99 < 5ms"]`}, []string{`"driver lag-p99 < 5ms"`, "virtual time"}},
		"lag":              {[]string{`thresholds=["storm publish lag p99 < 5ms"]`}, []string{"storm publish lag p99", "virtual time"}},
		"verified":         {[]string{`thresholds=["segments verified > 0"]`}, []string{"segments verified", "no bytes"}},
		"fault of no part": {[]string{"faults=[{at: storm + 1s, kill: cassandra 1, for: 1s}]", "backends=[{name: one, store: cassandra, nodes: 1}]"}, []string{"kill cassandra 1", "without replicas"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := simulate.Run(t.Context(), simulate.Config{Scenario: load(t, "smoke", c.set...), Seed: 1})
			if e, ok := err.(*verdict.Error); !ok || e.Code != verdict.Usage {
				t.Fatalf("Run = %v, want a refusal", err)
			}
			for _, want := range append(c.want, "smoke") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Run = %v, want %q in it", err, want)
				}
			}
		})
	}
}

// profile is one that knows the embedded store alone, whose costs are plain numbers.
func profile(valid ...sim.Range) *sim.Profile {
	each := func(d time.Duration) []cost.Cost { return []cost.Cost{{Dist: cost.Dist{Constant: d}}} }
	return &sim.Profile{
		Name: "plain", About: "plain", Source: "a test", Machine: "a machine", Program: "v1", Made: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), Cores: 4,
		Backends: map[string]sim.Calibrated{"embedded": {
			Costs: sim.Costs{Store: cost.Profile{Name: "plain", About: "plain", Source: "a test", Write: each(30 * time.Millisecond), Read: each(10 * time.Millisecond)}},
			Valid: valid,
			HeldOut: []sim.Error{
				{Run: "a", Figure: "storm publish response p50", Measured: 10, Simulated: 11, Unit: "ms"},
				{Run: "b", Figure: "storm publish response p50", Measured: 10, Simulated: 7, Unit: "ms"},
				{Run: "c", Figure: "storm publish response p50", Measured: 10, Simulated: 12, Unit: "ms"},
			},
		}},
	}
}

// Costs are those of the profile's backend of that name or kind; a store's published ones take their place where the scenario says so.
func TestCosts(t *testing.T) {
	s := load(t, "smoke", "backends=[embedded, {name: mine, store: embedded}, s3]", "windows.quiet=40s")
	r := run(t, simulate.Config{Scenario: s, Seed: 1, Profile: profile()}).Results
	p50 := func(name string) float64 {
		for _, b := range r.Backends {
			if b.Name == name {
				return *b.Phases[0].Operations[0].Response.P50
			}
		}
		t.Fatalf("there is no backend %s", name)
		return 0
	}
	if got := p50("embedded"); math.Abs(got-30) > 1 {
		t.Errorf("the write p50 of a store that takes 30 ms is %v ms", got)
	}
	if p50("mine") != p50("embedded") {
		t.Errorf("the write p50 of an embedded store with another name is %v ms, want that of embedded, %v ms", p50("mine"), p50("embedded"))
	}
	if got := p50("s3"); got < 100 || got > 130 {
		t.Errorf("the write p50 of s3 is %v ms, want the published profile's 113 ms", got)
	}
	if got := r.Backends[2].Simulation.Assumed; len(got) != 2 || !strings.Contains(got[0], "no backend s3") || !strings.Contains(got[1], "s3-2024") {
		t.Errorf("of s3 is assumed %q, want that its costs are published, and the host's those of embedded", got)
	}
	if got := r.Backends[0].Simulation; len(got.Assumed) != 0 || got.Machine != "a machine" || got.Made != "2026-11-23" {
		t.Errorf("of embedded is said %+v", got)
	}
	_, err := simulate.Run(t.Context(), simulate.Config{Scenario: load(t, "smoke", "backends=[cassandra+cache]"), Profile: profile()})
	if err == nil || !strings.Contains(err.Error(), "profile plain") || !strings.Contains(err.Error(), "cassandra+cache") || !strings.Contains(err.Error(), "it knows embedded") {
		t.Errorf("Run of what the profile does not know = %v", err)
	}
}

// The stated error is that of each figure over the runs, and what lies beyond the profile's range is said.
func TestBasis(t *testing.T) {
	in := sim.Range{Quantity: sim.QuantityRenditions, From: 1, To: 3}
	beyond := sim.Range{Quantity: sim.QuantityEdges, From: 5, To: 40}
	got := run(t, simulate.Config{Scenario: load(t, "smoke", "readers.edges=100"), Seed: 1, Profile: profile(in, beyond)}).Results.Backends[0].Simulation
	if want := []string{"readers.edges 100 is outside of 5 to 40"}; !slices.Equal(got.Extrapolated, want) {
		t.Errorf("Extrapolated = %q, want %q", got.Extrapolated, want)
	}
	if len(got.Stated) != 1 || !got.Stated[0].HeldOut || got.Stated[0].Runs != 3 || math.Abs(got.Stated[0].Median-0.2) > 1e-9 || math.Abs(got.Stated[0].Largest-0.3) > 1e-9 {
		t.Errorf("Stated = %+v, want 20 %% of three runs that were held out, 30 %% at most", got.Stated)
	}
	text := strings.Join(got.Sentences(), "\n")
	for _, want := range []string{"plain", "a machine, 2026-11-23", "3 measured runs that it was not fitted on", "storm publish response p50 20 % (at most 30 %)", "extrapolated: readers.edges 100 is outside of 5 to 40"} {
		if !strings.Contains(text, want) {
			t.Errorf("Sentences = %s, want %q in them", text, want)
		}
	}
}

// A deployment says on what it runs; what the origin does is the scenario's.
func TestDeployment(t *testing.T) {
	s := load(t, "smoke", "origin.serve=2")
	out := run(t, simulate.Config{Scenario: s, Seed: 1, Deployment: func(b scenarios.Backend) sim.Topology {
		return sim.Topology{Publish: 3, ServeCores: 8, PublishCores: 8, StoreCores: 8}
	}})
	if layout := out.Results.Backends[0].Servers[0]; !strings.Contains(layout, "3 publishing nodes, 2 serving nodes") || !strings.Contains(layout, "machines of its own") {
		t.Errorf("the layout is %q", layout)
	}
}

// A run that is interrupted says what was found until then.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := load(t, "smoke", "backends=[embedded, embedded+cache]", "windows.storm=1h")
	out, err := simulate.Run(ctx, simulate.Config{Scenario: s, Seed: 1, Progress: func(p simulate.Progress) {
		if p.At >= time.Minute {
			cancel()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if r := out.Results; r.Verdict != "interrupted" || len(r.Backends) != 1 || r.Backends[0].Segments.Acknowledged == 0 || r.Backends[0].Phases[1].Seconds > 70 {
		t.Errorf("after a minute of an hour: %s, %d backends, %+v", r.Verdict, len(r.Backends), r.Backends[0].Segments)
	}
}

// A threshold that stops a live run stops a simulated one.
func TestAbort(t *testing.T) {
	s := load(t, "smoke", "windows.quiet=10m", `thresholds=["publish response max < 20ms or abort after 10s"]`)
	r := run(t, simulate.Config{Scenario: s, Seed: 1, Profile: profile()})
	if got := r.Results; got.Verdict != "failed" || !got.Thresholds[0].Aborted || got.Backends[0].Phases[0].Seconds > 20 {
		t.Errorf("%s after %v s: %+v", got.Verdict, got.Backends[0].Phases[0].Seconds, got.Thresholds)
	}
	if again := run(t, simulate.Config{Scenario: s, Seed: 1, Profile: profile()}); encoded(t, again.Results) != encoded(t, r.Results) {
		t.Error("the second Run differs from the first")
	}
	if e := r.Events[len(r.Events)-1]; e.Kind != "abort" || e.At != 10 {
		t.Errorf("the last event is %+v, want the abort after 10 s", e)
	}
}

// Faults are noted when they begin and end, as in a live run.
func TestFaultsAreNoted(t *testing.T) {
	s := load(t, "smoke", "faults=[{at: storm + 1s, kill: pipeline b, for: 1s}]")
	var kinds []string
	for _, e := range run(t, simulate.Config{Scenario: s, Seed: 1}).Events {
		kinds = append(kinds, e.Kind)
	}
	if want := []string{"window", "window", "fault", "fault-end"}; !slices.Equal(kinds, want) {
		t.Errorf("events %q, want %q", kinds, want)
	}
}

// Windows of the caller's take the place of the scenario's.
func TestWindows(t *testing.T) {
	w := []storm.Window{{Name: "storm", From: 2 * time.Second, To: 6 * time.Second}}
	r := run(t, simulate.Config{Scenario: load(t, "smoke"), Seed: 1, Windows: w}).Results
	if p := r.Backends[0].Phases; len(p) != 1 || p[0].Name != "storm" || p[0].Seconds < 3 || p[0].Seconds > 4 {
		t.Errorf("%d phases, the first %s of %v s, want a storm of 4 s alone", len(p), p[0].Name, p[0].Seconds)
	}
}

// Memory that is not there is missed before anything is begun.
func TestFits(t *testing.T) {
	for _, c := range []struct {
		set       []string
		outcomes  int
		available cost.Bytes
		want      string // empty: it fits
	}{
		{nil, 1, 1 << 30, ""},
		{[]string{"readers.edges=10000"}, 1, 1 << 30, ""},
		{[]string{"readers.edges=1000000"}, 1, 64 << 30, ""},
		{[]string{"readers.edges=1000000"}, 1, 1 << 30, "1000000 edges, with 3600000 requests at a time"},
		{[]string{"windows.storm=24h", "windows.repeat=100"}, 1, 1 << 30, "lasts too long to be remembered"},
		{[]string{"windows.storm=24h"}, 64, 1 << 30, "64 copies"},
	} {
		err := simulate.Fits(load(t, "smoke", c.set...), c.outcomes, c.available)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("Fits(smoke with %v, %d, %v) = %v, want %q", c.set, c.outcomes, c.available, err, c.want)
		}
	}
}

// TestStoreReadMean: the mean time of a read of the store is that of all reads that were asked, those that found nothing included, as the
// origin's nodes count it; also where replications are put together.
func TestStoreReadMean(t *testing.T) {
	c := simulate.Config{Scenario: load(t, "comparison", "backends=[cassandra]", "windows.storm=6s", "windows.repeat=1"), Seed: 1}
	out := run(t, c)
	f := out.Figures["cassandra"]
	if f.StoreAsked <= f.StoreReads {
		t.Fatalf("%d reads asked, %d found something: want some that did not", f.StoreAsked, f.StoreReads)
	}
	pooled, err := simulate.Pool(c, []*simulate.Outcome{out, out})
	if err != nil {
		t.Fatal(err)
	}
	want := f.StoreReadTime.Seconds() * 1000 / float64(f.StoreAsked)
	for name, r := range map[string]record.Results{"a run": out.Results, "two in one": pooled} {
		if got := r.Backends[0].Cache.StoreReadMean; got == nil || math.Abs(*got-want) > 1e-9*want {
			t.Errorf("the mean read of the store in %s takes %v ms, want %v", name, got, want)
		}
	}
}

// TestAtOnce: backends that are simulated side by side come out as they do in turn, also where a threshold ends one of them.
func TestAtOnce(t *testing.T) {
	for _, thresholds := range []string{"thresholds=[]", `thresholds=["publish response max < 1ms or abort after 5s"]`} {
		var want string
		for _, n := range []int{1, 2, 9} {
			s := load(t, "smoke", "backends=[embedded, embedded+cache, s3]", thresholds)
			got := encoded(t, run(t, simulate.Config{Scenario: s, Seed: 1, AtOnce: n}).Results)
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%s: the results of %d backends at a time differ from those in turn", thresholds, n)
			}
		}
	}
}

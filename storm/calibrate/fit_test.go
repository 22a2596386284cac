package calibrate

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/origin/cost/profiles"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
)

const ms = time.Millisecond

// truth is what the origin of these tests costs.
func truth() sim.Costs {
	return sim.Costs{
		Store: cost.Profile{
			Write: []cost.Cost{{Dist: cost.Dist{P50: 10 * ms, P99: 40 * ms}, PerMiB: 6 * ms}},
			Read:  []cost.Cost{{Dist: cost.Dist{P50: 4 * ms, P99: 20 * ms}, PerMiB: 3 * ms}},
		},
		Publish:   sim.Demand{PerRequest: 400 * time.Microsecond, PerMiB: 6 * ms, Latency: cost.Dist{P50: ms, P99: 3 * ms}},
		Serve:     sim.Demand{PerRequest: 200 * time.Microsecond, PerMiB: 2 * ms, Latency: cost.Dist{P50: ms, P99: 4 * ms}},
		Driver:    sim.Demand{PerRequest: 100 * time.Microsecond, PerMiB: 1 * ms},
		StoreWork: sim.Demand{PerRequest: 50 * time.Microsecond, PerMiB: 3 * ms},
	}
}

// found is what readers and packagers find of an origin whose requests are never in each other's way: sums of draws.
func found(c sim.Costs, s scenarios.Scenario, seed uint64) record.Backend {
	rng := rand.New(rand.NewPCG(seed, 0))
	draw := func(d cost.Dist) time.Duration { return d.Quantile(rng.Float64()*0.999998 + 1e-6) }
	size := int64(s.Event.Renditions[0].Rate) / 4
	first := func(costs []cost.Cost) time.Duration {
		if len(costs) == 0 {
			return 0
		}
		return draw(costs[0].Dist) + time.Duration(float64(costs[0].PerMiB)*float64(size)/(1<<20))
	}
	var samples [storm.Classes][]time.Duration
	n := s.Readers.Edges * 100
	for range n {
		write := first(c.Store.Write) + draw(c.StoreWork.Latency)
		samples[storm.StoreWrite] = append(samples[storm.StoreWrite], write)
		samples[storm.Publish] = append(samples[storm.Publish], write+c.Publish.PerRequest+draw(c.Publish.Latency))
		samples[storm.Missing] = append(samples[storm.Missing], c.Serve.PerRequest+draw(c.Serve.Latency))
		read := first(c.Store.Read) + draw(c.StoreWork.Latency) + c.Serve.PerRequest + draw(c.Serve.Latency)
		samples[storm.LiveEdge] = append(samples[storm.LiveEdge], read)
	}
	b := record.Backend{Name: "embedded", Phases: []record.Phase{{Name: scenarios.StormPhase, Seconds: 40, Reads: float64(n) / 40}}}
	for class, of := range samples {
		if len(of) > 0 {
			l := latency(of)
			b.Phases[0].Operations = append(b.Phases[0].Operations, record.Operation{
				Class: storm.Class(class).String(), Count: int64(len(of)), Bytes: int64(len(of)) * size, Response: l, Service: l,
			})
		}
	}
	return b
}

// latency makes figures of samples, as package record does.
func latency(of []time.Duration) record.Latency {
	slices.Sort(of)
	at := func(q float64) float64 {
		return float64(of[max(int(math.Ceil(q*float64(len(of)))), 1)-1]) / float64(ms)
	}
	l := record.Latency{Count: int64(len(of)), P50: new(at(0.5)), P90: new(at(0.9)), P99: new(at(0.99)), P50CI: &[2]float64{at(0.48), at(0.52)}}
	for k := 0; ; k++ {
		q := 1 - math.Exp2(-float64(k)/4)
		l.Points = append(l.Points, [2]float64{q, at(q)})
		if (1-q)*float64(len(of)) <= 1 {
			return l
		}
	}
}

// run is a run folder of that origin.
func run(t *testing.T, name string, edges int, rate cost.Rate) *record.Run {
	t.Helper()
	s := scenarios.Default()
	s.Name, s.About, s.Readers.Edges = name, name+", made up.", edges
	s.Event.Renditions = scenarios.Renditions{{Name: "r1", Rate: rate}}
	s.Backends = []scenarios.Backend{scenarios.NewBackend("embedded")}
	text, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	c := truth()
	b := found(c, s, uint64(edges))
	b.CPUSeconds = map[string]float64{}
	r := &record.Run{
		Dir: filepath.Join("runs", name), Scenario: text,
		Environment: map[string]string{"cpu": "a processor", "cores": "2", "os": "linux", "kernel": "6", "version": "v1", "go": "go1"},
		Results:     record.Results{Mode: "live", Verdict: "passed", Scenario: name, About: s.About, Seed: 1, Started: time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC), Backends: []record.Backend{b}},
	}
	m := measured{r, s, b}
	for kind, d := range map[string]sim.Demand{driverWork: c.Driver, publishWork: c.Publish, serveWork: c.Serve, storeWork: c.StoreWork} {
		b.CPUSeconds[kind] = 1
		l, _ := m.work(kind)
		b.CPUSeconds[kind] = l.requests*d.PerRequest.Seconds() + l.mib*d.PerMiB.Seconds()
	}
	return r
}

// fake simulates the origin of these tests, whose model is exact.
func fake(_ context.Context, m measured, p *sim.Profile, replications int) (record.Backend, error) {
	return found(p.Backends[m.backend.Name].Costs, m.scenario, 77), nil
}

// Costs that are known come out of runs that they made, from which nothing of them can be read off directly.
func TestFitFindsTheCosts(t *testing.T) {
	p, warnings, err := Fit(t.Context(), Config{
		Name: "test", Runs: []*record.Run{run(t, "a", 60, 4e6), run(t, "b", 80, 1e6), run(t, "c", 70, 8e6)}, HeldOut: []*record.Run{run(t, "d", 100, 2e6)},
		simulate: fake,
	})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("Fit = %v, warnings %q, want neither", err, warnings)
	}
	got, want := p.Backends["embedded"], truth()
	near := func(what string, got, want time.Duration, within float64) {
		t.Helper()
		if math.Abs(float64(got-want)) > within*float64(want) {
			t.Errorf("%s = %v, want %v to %.0f %%", what, got, want, 100*within)
		}
	}
	for what, d := range map[string][2]sim.Demand{
		"publish": {got.Costs.Publish, want.Publish}, "serve": {got.Costs.Serve, want.Serve}, "driver": {got.Costs.Driver, want.Driver}, "store": {got.Costs.StoreWork, want.StoreWork},
	} {
		near(what+" per request", d[0].PerRequest, d[1].PerRequest, 0.01)
		near(what+" per MiB", d[0].PerMiB, d[1].PerMiB, 0.01)
	}
	for what, d := range map[string][2]cost.Dist{
		"write":           {got.Costs.Store.Write[0].Dist, want.Store.Write[0].Dist},
		"read":            {got.Costs.Store.Read[0].Dist, want.Store.Read[0].Dist},
		"serve latency":   {got.Costs.Serve.Latency, want.Serve.Latency},
		"publish latency": {got.Costs.Publish.Latency, want.Publish.Latency},
	} {
		within := 0.1
		if what == "publish latency" {
			within = 0.3 // it is a tenth of what it is told from, in which a short write counts more than a long one
		}
		near(what+" p50", d[0].Quantile(0.5), d[1].Quantile(0.5), within)
		near(what+" p90", d[0].Quantile(0.9), d[1].Quantile(0.9), 2*within)
	}
	near("write per MiB", got.Costs.Store.Write[0].PerMiB, want.Store.Write[0].PerMiB, 0.15)
	near("read per MiB", got.Costs.Store.Read[0].PerMiB, want.Store.Read[0].PerMiB, 0.15)
	for _, e := range got.HeldOut {
		if !Within(e) {
			t.Errorf("held out: %s is %.3f, simulated %.3f: off by %.0f %%, want at most %.0f %%", e.Figure, e.Measured, e.Simulated, 100*e.Relative(), 100*Aim(e.Figure))
		}
	}
	if len(got.Fitted) != 3*len(got.HeldOut) || len(got.HeldOut) == 0 {
		t.Errorf("%d figures of the runs fitted on, %d of the one held out, want three times as many", len(got.Fitted), len(got.HeldOut))
	}
	if want := (sim.Range{Quantity: sim.QuantityEdges, From: 60, To: 80}); !slices.Contains(got.Valid, want) {
		t.Errorf("valid = %+v, want %+v among it", got.Valid, want)
	}
	if p.Made.Format(time.DateOnly) != "2026-11-23" || p.Cores != 2 || !strings.Contains(p.Source, "Held out: d.") {
		t.Errorf("made %v, %d cores, source %q", p.Made, p.Cores, p.Source)
	}
}

func TestFitRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(r *record.Run)
		want  string
	}{
		{"simulated", func(r *record.Run) { r.Results.Mode = "sim" }, `run b: its mode is "sim"`},
		{"invalid", func(r *record.Run) {
			r.Results.Verdict, r.Results.Reasons = "invalid", []string{"the clock was stepped"}
		}, "the clock was stepped"},
		{"interrupted", func(r *record.Run) { r.Results.Verdict = "interrupted" }, "run b: it is interrupted"},
		{"no scenario", func(r *record.Run) { r.Scenario = nil }, "run b: there is no scenario.yaml"},
		{"no environment", func(r *record.Run) { r.Environment = nil }, "run b: there is no environment.json"},
		{"another machine", func(r *record.Run) { r.Environment["cpu"] = "another" }, "run b: it ran on another machine (another"},
		{"spoilt scenario", func(r *record.Run) { r.Scenario = []byte("readers: {edges: -1}") }, "run b: "},
		{"somebody's origin", func(r *record.Run) { r.Results.Backends[0].Name = "target" }, "backend target is none of its scenario's"},
		{"few publishes", func(r *record.Run) { r.Results.Backends[0].Phases[0].Operations[0].Count = 12 }, "run b: backend embedded: 12 publishes"},
		{"few reads", func(r *record.Run) { r.Results.Backends[0].Phases[0].Operations[2].Count = 3 }, "run b: backend embedded: 3 reads"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := run(t, "a", 60, 4e6), run(t, "b", 70, 4e6)
			c.spoil(b)
			_, _, err := Fit(t.Context(), Config{Runs: []*record.Run{a}, HeldOut: []*record.Run{b}, simulate: fake})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Fit = %v, want an error with %q", err, c.want)
			}
		})
	}
	if _, _, err := Fit(t.Context(), Config{}); err == nil || !strings.Contains(err.Error(), "no runs") {
		t.Errorf("Fit of nothing = %v, want one that says so", err)
	}
}

func TestFitWarns(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(r *record.Run)
		want  string
	}{
		{"another program", func(r *record.Run) { r.Environment["revision"] = "abc" }, "run b was made by another version"},
		{"no processor times", func(r *record.Run) { r.Results.Backends[0].CPUSeconds = nil }, "run b, backend embedded: what its processes took"},
		{"a busy machine", func(r *record.Run) { r.Results.Backends[0].Stolen = &record.Stolen{Others: 0.3} }, "other work took 30 %"},
		{"too alike", func(r *record.Run) {}, "too few to tell requests, bytes and polls apart"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := run(t, "a", 60, 4e6), run(t, "b", 70, 2e6)
			c.spoil(b)
			_, warnings, err := Fit(t.Context(), Config{Runs: []*record.Run{a, b}, Rounds: 1, simulate: fake})
			if err != nil || !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, c.want) }) {
				t.Errorf("Fit = %v, warnings %q, want one with %q", err, warnings, c.want)
			}
		})
	}
}

// A store behind a profile keeps what is known of it; only the way there is fitted.
func TestFitKeepsAKnownStore(t *testing.T) {
	known, err := profiles.Load("s3-2024")
	if err != nil {
		t.Fatal(err)
	}
	is := truth()
	is.Store, is.StoreWork.Latency = known, cost.Dist{P50: 5 * ms, P99: 20 * ms}
	var runs []*record.Run
	for i, edges := range []int{60, 70, 80} {
		r := run(t, string(rune('a'+i)), edges, 4e6)
		r.Scenario = []byte(strings.ReplaceAll(strings.ReplaceAll(string(r.Scenario), "store: embedded", "store: s3"), "profile: none", "profile: s3-2024"))
		s, err := scenarios.Parse("scenario", r.Scenario)
		if err != nil {
			t.Fatal(err)
		}
		cpu := r.Results.Backends[0].CPUSeconds
		r.Results.Backends[0] = found(is, s, uint64(i))
		r.Results.Backends[0].CPUSeconds = cpu
		runs = append(runs, r)
	}
	p, _, err := Fit(t.Context(), Config{Runs: runs, simulate: fake})
	if err != nil {
		t.Fatal(err)
	}
	got := p.Backends["embedded"].Costs
	if !reflect.DeepEqual(got.Store, known) {
		t.Errorf("the store costs %+v, want the profile that it stands behind", got.Store)
	}
	if got, want := got.StoreWork.Latency.Quantile(0.5), 5*ms; got < want*3/4 || got > want*5/4 {
		t.Errorf("the way there takes %v, want about %v", got, want)
	}
}

// What runs with a cache are too few to tell is taken from those without.
func TestFitOfACache(t *testing.T) {
	runs := []*record.Run{run(t, "a", 60, 4e6), run(t, "b", 80, 1e6), run(t, "c", 70, 8e6)}
	r := run(t, "d", 60, 4e6)
	r.Scenario = []byte(strings.ReplaceAll(string(r.Scenario), "name: embedded", "name: embedded+cache\n  cache: true\n  zones: 1"))
	r.Results.Backends[0].Name = "embedded+cache"
	p, warnings, err := Fit(t.Context(), Config{Runs: append(runs, r), Rounds: 2, simulate: fake})
	if err != nil {
		t.Fatal(err)
	}
	plain, cached := p.Backends["embedded"].Costs, p.Backends["embedded+cache"].Costs
	if !reflect.DeepEqual(cached.Store.Read, plain.Store.Read) || cached.Serve.PerMiB != plain.Serve.PerMiB {
		t.Errorf("with a cache reads of the store cost %+v and serving %v per MiB, want what they are without: %+v, %v", cached.Store.Read, cached.Serve.PerMiB, plain.Store.Read, plain.Serve.PerMiB)
	}
	if len(cached.Cache.Read) == 0 || len(cached.Cache.Write) == 0 {
		t.Errorf("a zone costs %+v, want reads and writes", cached.Cache)
	}
	if !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, "taken to be what it is with embedded") }) {
		t.Errorf("warnings %q, want one that says what was taken over", warnings)
	}
}

// Behind a cache the store hardly shows.
func TestFitWantsTheStoreItself(t *testing.T) {
	r := run(t, "a", 60, 4e6)
	r.Scenario = []byte(strings.ReplaceAll(string(r.Scenario), "name: embedded", "name: embedded+cache\n  cache: true\n  zones: 1"))
	r.Results.Backends[0].Name = "embedded+cache"
	_, _, err := Fit(t.Context(), Config{Runs: []*record.Run{r}, simulate: fake})
	if err == nil || !strings.Contains(err.Error(), "fit it together with runs of embedded") {
		t.Errorf("Fit of a cache alone = %v, want one that asks for runs of embedded", err)
	}
}

func TestNonNegative(t *testing.T) {
	for _, c := range []struct {
		name string
		rows [][]float64
		y    []float64
		want []float64
	}{
		{"exact", [][]float64{{1, 0}, {0, 1}, {1, 1}}, []float64{2, 3, 5}, []float64{2, 3}},
		{"a negative one", [][]float64{{1, 1}, {1, 2}, {1, 3}}, []float64{3, 2, 1}, []float64{2, 0}},
		{"alike", [][]float64{{1, 2}, {2, 4}}, []float64{1, 2}, []float64{1, 0}},
		{"all negative", [][]float64{{1}, {2}}, []float64{-1, -1}, []float64{0}},
		{"nothing asked", [][]float64{{0, 0}}, []float64{1}, []float64{0, 0}},
		{"means", [][]float64{{1}, {1}, {1}}, []float64{1, 2, 6}, []float64{3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := nonNegative(c.rows, c.y)
			for i := range got {
				if math.Abs(got[i]-c.want[i]) > 1e-9 {
					t.Fatalf("nonNegative(%v, %v) = %v, want %v", c.rows, c.y, got, c.want)
				}
			}
		})
	}
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		figure    string
		simulated float64
		want      bool
	}{
		{"storm publish response p50", 109, true}, {"storm publish response p50", 91, true}, {"storm publish response p50", 111, false},
		{"storm publish response p99", 124, true}, {"storm publish response p99", 76, true}, {"storm publish response p99", 74, false},
		{"cache hit-ratio", 112, false},
	} {
		e := sim.Error{Figure: c.figure, Measured: 100, Simulated: c.simulated}
		if got := Within(e); got != c.want {
			t.Errorf("Within(%s, 100 measured, %v simulated) = %v, want %v", c.figure, c.simulated, got, c.want)
		}
	}
}

// Work that is longer than what a request takes is done beside it, for so much of it.
func TestBeside(t *testing.T) {
	r := run(t, "a", 60, 4e6)
	s, err := scenarios.Parse("scenario", r.Scenario)
	if err != nil {
		t.Fatal(err)
	}
	g := &group{fitted: []measured{{r, s, r.Results.Backends[0]}}}
	missing, _ := operation(&r.Results.Backends[0], scenarios.StormPhase, storm.Missing) // takes about 1.2 ms
	half := time.Duration(*missing.Service.P50 * 2 * float64(ms))
	for per, want := range map[time.Duration]float64{half: 0.5, 2 * half: 0.75, ms: 0, 0: 0} {
		if got := g.beside(sim.Demand{PerRequest: per}, storm.Missing, storm.Missing); math.Abs(got-want) > 0.01 {
			t.Errorf("of %v of work, where a request takes %.2f ms, %.3f is beside it, want %.2f", per, *missing.Service.P50, got, want)
		}
	}
	// A publish takes what is left when its write is taken off: about 1.4 ms; a MiB of work is in it, too.
	if got, want := g.beside(sim.Demand{PerMiB: 10 * ms}, storm.Publish, storm.StoreWrite), 0.85; math.Abs(got-want) > 0.03 {
		t.Errorf("of 10 ms of work for each MiB %.3f is beside a publish of 0.95 MiB, want about %.2f", got, want)
	}
}

// What a store takes for reads, for writes and unasked is told apart where loads differ enough, and so is what it takes only while it is polled.
func TestStoreDemand(t *testing.T) {
	made := func(unasked float64, polled bool) (loads []load) {
		for i, l := range []load{
			{requests: 5000, mib: 300, written: 600, writtenMiB: 60, polled: 40},
			{requests: 9000, mib: 900, written: 600, writtenMiB: 200, polled: 40},
			{requests: 3000, mib: 100, written: 900, writtenMiB: 70, polled: 30},
			{requests: 700, mib: 80, written: 600, writtenMiB: 60},
			{requests: 800, mib: 250, written: 600, writtenMiB: 200},
			{requests: 1100, mib: 90, written: 900, writtenMiB: 70},
		} {
			l.lasted = []float64{40, 40, 30}[i%3]
			took := l.lasted
			if polled {
				took = l.polled
			}
			l.seconds = (l.requests-l.written)*200e-6 + (l.mib-l.writtenMiB)*3e-3 + l.written*900e-6 + l.writtenMiB*8e-3 + unasked*took
			loads = append(loads, l)
		}
		return loads
	}
	for _, polled := range []bool{false, true} {
		loads := made(0.2, polled)
		read, write, left := storeDemand(loads, loads[:3])
		wantRead := sim.Demand{PerRequest: 200 * time.Microsecond, PerMiB: 3 * ms, Idle: 0.2}
		wantWrite := sim.Demand{PerRequest: 900 * time.Microsecond, PerMiB: 8 * ms}
		if !reflect.DeepEqual(read, wantRead) || !reflect.DeepEqual(write, wantWrite) || left > 1e-9 {
			t.Errorf("polled alone %v: storeDemand = %+v, %+v, %v left; want %+v, %+v, 0", polled, read, write, left, wantRead, wantWrite)
		}
		if behind, _, _ := storeDemand(loads, loads[3:]); polled != (behind.Idle == 0) {
			t.Errorf("polled alone %v: behind a cache %v cores are taken unasked", polled, behind.Idle)
		}
	}
}

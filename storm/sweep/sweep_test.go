package sweep_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"context"

	"origin-storm/scenarios"
	"origin-storm/storm/record"
	"origin-storm/storm/simulate"
	"origin-storm/storm/sweep"
)

// small is a scenario that is simulated in no time.
const small = `
name: small
event: {renditions: {count: 3, total: 3Mbit/s}}
readers: {edges: 4, behaviour: {aligned: 50ms, early: 0.2, dvr: 0.1}}
windows: {quiet: 4s, storm: 4s}
backends: [embedded, embedded+cache]
thresholds:
  - storm publish response max < 10s
  - segments late == 0
  - "storm segments missed < 1%"
`

// at returns the scenario with overrides.
func at(set []string) (scenarios.Scenario, error) {
	return scenarios.Parse("small.yaml", []byte(small), set...)
}

// axes reads what --sweep names.
func axes(t testing.TB, texts ...string) (all []sweep.Axis) {
	t.Helper()
	for _, text := range texts {
		a, err := sweep.ParseAxis(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

func run(t testing.TB, c sweep.Config) *sweep.Result {
	t.Helper()
	r, err := sweep.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func encoded(t testing.TB, r *sweep.Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := errors.Join(r.Encode(&b), r.WriteCSV(&b)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A sweep's bytes depend on its configuration alone: neither on the number of cores or workers, nor on which replication is ready first.
func TestSameBytesOnAnyCores(t *testing.T) {
	c := sweep.Config{Axes: axes(t, "readers.edges=2..8:3", "event.pipelines=1,2"), At: at, Seed: 7, Replications: 3}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	want := encoded(t, run(t, c))
	for _, cores := range []int{1, 2, 5} {
		runtime.GOMAXPROCS(cores)
		c.Workers = 0
		if got := encoded(t, run(t, c)); got != want {
			t.Errorf("on %d cores:\n%s\nwant\n%s", cores, got, want)
		}
	}
	for _, workers := range []int{1, 4} {
		c.Workers = workers
		for seed := range uint64(3) {
			if got := encoded(t, run(t, sweep.Shuffled(c, seed))); got != want {
				t.Errorf("with %d workers and jobs shuffled by %d the bytes differ", workers, seed)
			}
		}
	}
	c.Seed = 8
	if encoded(t, run(t, c)) == want {
		t.Error("seed 8 gives what seed 7 gives")
	}
}

// The replications of one number share their seed at all points: what a field does not touch is the same everywhere.
func TestCommonRandomNumbers(t *testing.T) {
	r := run(t, sweep.Config{Axes: axes(t, "readers.edges=2..50:3"), At: at, Seed: 1, Replications: 2})
	for _, name := range []string{"embedded", "embedded+cache"} {
		var before []sweep.Figure
		for _, p := range r.Points {
			var quiet []sweep.Figure
			for _, f := range backend(t, p, name).Figures {
				if strings.HasPrefix(f.Name, "quiet publish") {
					quiet = append(quiet, f)
				}
			}
			if before != nil && !reflect.DeepEqual(quiet, before) || len(quiet) == 0 {
				t.Errorf("%s at %v: publishing without readers is %+v, want as before, %+v", name, p.Set, quiet, before)
			}
			before = quiet
		}
	}
}

func backend(t testing.TB, p sweep.Point, name string) sweep.Backend {
	t.Helper()
	i := slices.IndexFunc(p.Backends, func(b sweep.Backend) bool { return b.Name == name })
	if i < 0 {
		t.Fatalf("%v has no backend %s", p.Set, name)
	}
	return p.Backends[i]
}

// One that was interrupted and is gone on with finds what one finds that never was, byte for byte.
func TestResumedAsIfNeverInterrupted(t *testing.T) {
	c := sweep.Config{Axes: axes(t, "readers.edges=2..20:4"), At: at, Seed: 3, Replications: 2}
	want := encoded(t, run(t, c))
	for stop := range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		c.Done = nil
		one := c
		kept := 0
		if stop == 0 {
			cancel()
		}
		one.Keep = func(p sweep.Point) error {
			b, err := json.Marshal(p) // as it comes back from a file
			if err != nil {
				return err
			}
			var back sweep.Point
			if err := json.Unmarshal(b, &back); err != nil {
				return err
			}
			c.Done = append(c.Done, back)
			if kept++; kept == stop {
				cancel()
			}
			return nil
		}
		r, err := sweep.Run(ctx, one)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Points) != kept || r.Complete != (kept == 4) || kept < stop {
			t.Errorf("stopped after %d points: %d, complete: %v, of which %d were kept", stop, len(r.Points), r.Complete, kept)
		}
		if !r.Complete && !strings.HasPrefix(r.Sentence, "Interrupted") {
			t.Errorf("stopped after %d points it says %q", stop, r.Sentence)
		}
		done := len(c.Done)
		again := 0
		two := c
		two.Keep = func(sweep.Point) error { again++; return nil }
		if got := encoded(t, run(t, two)); got != want {
			t.Errorf("gone on with after %d points:\n%s\nwant\n%s", done, got, want)
		}
		if done+again != 4 {
			t.Errorf("gone on with after %d points it simulated %d of 4", done, again)
		}
	}
}

// A percentile is that of all replications' values together, and a count their sum.
func TestReplicationsArePooled(t *testing.T) {
	const n = 8
	r := run(t, sweep.Config{Axes: axes(t, "readers.edges=4"), At: at, Seed: 5, Replications: n})
	s, err := at(nil)
	if err != nil {
		t.Fatal(err)
	}
	var count, late float64
	var most, gbit float64
	for _, seed := range r.Seeds {
		out, err := simulate.Run(t.Context(), simulate.Config{Scenario: s, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		b := out.Results.Backends[0]
		late += float64(b.Segments.Late)
		for _, p := range b.Phases {
			if p.Name != "storm" {
				continue
			}
			gbit += p.ReadGbit / n
			for _, o := range p.Operations {
				if o.Class == "publish" {
					count, most = count+float64(o.Count), max(most, *o.Response.Max)
				}
			}
		}
	}
	b := backend(t, r.Points[0], "embedded")
	for _, want := range []struct {
		figure string
		value  float64
	}{{"storm publish response max", most}, {"segments late", late}, {"storm publish count", count}, {"storm reads throughput", gbit}} {
		f, ok := b.Figure(want.figure)
		if !ok || f.Value == nil || math.Abs(*f.Value-want.value) > 1e-9*want.value {
			t.Errorf("Figure(%s) = %+v, want %v", want.figure, f, want.value)
		}
	}
	p50, _ := b.Figure("storm publish response p50")
	if p50.Count != int64(count) || p50.Value == nil || p50.CI == nil || !(p50.CI[0] <= *p50.Value && *p50.Value <= p50.CI[1]) {
		t.Errorf("the p50 is %+v, want one of %v values with an interval around it", p50, count)
	}
	if gbits, _ := b.Figure("storm reads throughput"); gbits.CI == nil {
		t.Errorf("the throughput is %+v, want an interval", gbits)
	}
	if r.Seeds[0] != 5 {
		t.Errorf("Seeds = %v, want the first to be the sweep's own", r.Seeds)
	}
}

// The interval of a p99 holds the true one about as often as it says, whatever differs between replications.
func TestDefaultReplicationsGiveP99(t *testing.T) {
	s, err := at([]string{"windows.storm=20s", "windows.quiet=20s", "event.renditions={count: 12, total: 10Mbit/s}"})
	if err != nil {
		t.Fatal(err)
	}
	n := sweep.DefaultReplications(s)
	writes := int64(10 * 2 * 12)
	if _, _, ok := record.Interval95(0.99, writes*int64(n)); !ok || n < 5 || n > 12 {
		t.Errorf("DefaultReplications = %d with %d writes each, want what an interval of p99 needs", n, writes)
	}
	if s, err = at(nil); err != nil {
		t.Fatal(err)
	}
	if few := sweep.DefaultReplications(s); few <= n || few > 64 {
		t.Errorf("DefaultReplications of a scenario with fewer writes = %d, want more than %d and at most 64", few, n)
	}
}

func TestRefused(t *testing.T) {
	many := sweep.Axis{Path: "readers.edges"}
	for i := range 1200 {
		many.Values = append(many.Values, string(rune('a'+i%26)))
	}
	for _, c := range []struct {
		name string
		c    sweep.Config
		want []string
	}{
		{"too many points", sweep.Config{Axes: axes(t, "readers.edges=1..100000:50000")}, []string{"17965 points", "replications each", "this machine", "at most 1000", "--sweep readers.edges=1..100000:1000"}},
		{"too many of two fields", sweep.Config{Axes: axes(t, "readers.edges=1..400:100", "event.segment=1s..4s:40")}, []string{"2760 points", "readers.edges=1..400:31 --sweep event.segment=1..4s:31"}},
		{"three fields", sweep.Config{Axes: axes(t, "readers.edges=1,2", "event.pipelines=1,2", "drivers=1,2")}, []string{"one or two fields, not 3"}},
		{"one field twice", sweep.Config{Axes: axes(t, "readers.edges=1,2", "readers.edges=3,4")}, []string{"readers.edges is swept twice"}},
		{"unknown field", sweep.Config{Axes: axes(t, "readers.edge=1..4")}, []string{"at readers.edge=1", "readers.edge", "edges"}},
		{"an impossible value", sweep.Config{Axes: axes(t, "readers.behaviour.early=0..2:3")}, []string{"at readers.behaviour.early=2", "0 to 1"}},
		{"no whole number", sweep.Config{Axes: axes(t, "readers.edges=1.5,3")}, []string{"at readers.edges=1.5", "readers.edges"}},
		{"what cannot be simulated", sweep.Config{Axes: axes(t, `thresholds=["driver dropped == 0"]`)}, []string{"driver dropped", "virtual time"}},
		{"too many replications", sweep.Config{Axes: axes(t, "readers.edges=1,2"), Replications: 1001}, []string{"--replications 1001: want 1 to 1000"}},
		{"negative replications", sweep.Config{Axes: axes(t, "readers.edges=1,2"), Replications: -1}, []string{"want 1 to 1000"}},
		{"a name", sweep.Config{Axes: axes(t, "name=a,b")}, []string{"--sweep name=a,b: whatever name is, the same is simulated", "readers.edges", "event.segment"}},
		{"a text beside a quantity", sweep.Config{Axes: axes(t, "about=a,b", "readers.edges=1,2")}, []string{"--sweep about=a,b"}},
		{"a quantity beside a text", sweep.Config{Axes: axes(t, "readers.edges=1,2", "event.renditions[0].name=a,b")}, []string{"--sweep event.renditions[0].name=a,b"}},
		{"what live runs alone need", sweep.Config{Axes: axes(t, "drivers=1..3")}, []string{"--sweep drivers=1,2,3"}},
		{"the same in other words", sweep.Config{Axes: axes(t, "windows.storm=4s,4000ms")}, []string{"whatever windows.storm is"}},
		{"memory", sweep.Config{Axes: axes(t, "readers.edges=10,1000000"), Memory: 1 << 30}, []string{"readers.edges=1000000", "1000000 edges", "1024 MiB are available", "edges fit"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.c.At = at
			r, err := sweep.Run(t.Context(), c.c)
			if err == nil {
				t.Fatalf("Run = %d points, want an error", len(r.Points))
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Run = %v, want %q in it", err, want)
				}
			}
		})
	}
}

// What was simulated before has to be whole.
func TestDoneRefused(t *testing.T) {
	c := sweep.Config{Axes: axes(t, "readers.edges=2,4"), At: at, Seed: 1, Replications: 1}
	whole := run(t, c).Points[0]
	for _, d := range []struct {
		name  string
		spoil func(p *sweep.Point)
		want  string
	}{
		{"no backends", func(p *sweep.Point) { p.Backends = nil }, "no figures of the backend embedded;"},
		{"a backend less", func(p *sweep.Point) { p.Backends = p.Backends[:1] }, "no figures of the backend embedded+cache;"},
		{"a backend more", func(p *sweep.Point) { p.Backends = append(p.Backends, p.Backends[0]) }, "it has 3 backends, and there are 2"},
		{"no figures", func(p *sweep.Point) { p.Backends[1].Figures = nil }, "no figures of the backend embedded+cache;"},
		{"another point", func(p *sweep.Point) { p.Set = []string{"readers.edges=3"} }, "readers.edges=3 was simulated before and is no point"},
	} {
		t.Run(d.name, func(t *testing.T) {
			p := whole
			p.Backends = slices.Clone(whole.Backends)
			d.spoil(&p)
			c := c
			c.Done = []sweep.Point{p}
			if r, err := sweep.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), d.want) {
				t.Errorf("Run = %+v, %v, want an error with %q", r, err, d.want)
			}
		})
	}
}

// An error of whoever keeps the points ends the sweep, and is told.
func TestKeepFails(t *testing.T) {
	full := errors.New("the disk is full")
	c := sweep.Config{Axes: axes(t, "readers.edges=2..40:6"), At: at, Replications: 1, Keep: func(sweep.Point) error { return full }}
	if _, err := sweep.Run(t.Context(), c); !errors.Is(err, full) {
		t.Errorf("Run = %v, want %v", err, full)
	}
}

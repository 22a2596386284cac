package verdict_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
)

// ranRun is a run of one backend whose publishes took about p50 ms, with 40 ticks of a storm.
func ranRun(p50 float64, seed uint64) *record.Run {
	rng := rand.New(rand.NewPCG(seed, 1))
	latency := func(scale float64) record.Latency {
		v := p50 * scale * math.Exp(0.02*rng.NormFloat64())
		return record.Latency{Count: 4000, P50: &v, P99: new(5 * v), P50CI: &[2]float64{v / 1.04, v * 1.04}, P99CI: &[2]float64{5 * v / 1.2, 5 * v * 1.25}}
	}
	r := &record.Run{Dir: "run", Scenario: []byte("name: a\nabout: text\nevent:\n  segment: 2s\n  renditions:\n  - name: r1\n    rate: 1Mbit/s\nreaders:\n  edges: 4\nthresholds:\n- publish errors == 0\n")}
	r.Environment = map[string]string{"host": "h", "cpu": "c", "cores": "2", "seed": "1", "command": "x", "gocql timeout": "2s"}
	r.Results = record.Results{
		Schema: record.Schema, Scenario: "a", Seed: seed, Mode: "live", Started: time.Date(2026, 1, 2, 3, 4, int(seed), 0, time.UTC), Verdict: "passed",
		SegmentMS: 2000, DelayMS: 1000,
		Backends: []record.Backend{{
			Name: "embedded", Provenance: "measured", Servers: []string{"embedded store"},
			Phases: []record.Phase{
				{Name: "warm-up", Operations: []record.Operation{{Class: "publish", Count: 10, Response: latency(1)}}},
				{Name: "storm", Operations: []record.Operation{
					{Class: "publish", Count: 4000, Response: latency(1)},
					{Class: "early", Count: 12, Response: record.Latency{Count: 12, Note: "p50 needs 20 values, there are 12"}},
				}},
			},
			Isolation: &record.WriteIsolation{P50: record.Ratio{Ratio: new(1.1), CI: &[2]float64{1, 1.2}}, P99: record.Ratio{Note: "too few"}},
		}},
	}
	for i := range 40 {
		v := p50 * math.Exp(0.1*rng.NormFloat64())
		r.Intervals = append(r.Intervals, record.Interval{Backend: "embedded", Phase: "storm", At: float64(2 * i), Seconds: 2, ReadGbit: 1 / v, WriteP50: &v})
	}
	return r
}

// line finds one.
func line(t *testing.T, c verdict.Comparison, phase, class, figure string) verdict.Line {
	t.Helper()
	for _, l := range c.Lines {
		if l.Phase == phase && l.Class == class && l.Figure == figure {
			return l
		}
	}
	t.Fatalf("no line of %s %s %s among %d", phase, class, figure, len(c.Lines))
	return verdict.Line{}
}

// TestCompare: runs that are alike do not differ, one that is slower does, in each figure that has a test, and null stays null.
func TestCompare(t *testing.T) {
	for _, c := range []struct {
		name    string
		factor  float64
		differs bool
	}{{"the same", 1, false}, {"half as slow again", 1.5, true}, {"a third quicker", 1 / 1.5, true}} {
		t.Run(c.name, func(t *testing.T) {
			got, err := verdict.Compare(ranRun(3, 1), ranRun(3*c.factor, 2), false)
			if err != nil || !got.Comparable || len(got.Obstacles) > 0 {
				t.Fatalf("Compare = %v, %v", got.Obstacles, err)
			}
			for _, f := range []struct{ class, figure string }{{"publish", "response p50"}, {"publish", "response p99"}, {"", "write p50 by tick"}, {"", "read throughput by tick"}} {
				l := line(t, got, "storm", f.class, f.figure)
				want := c.factor
				if f.figure == "read throughput by tick" {
					want = 1 / want
				}
				if l.Differs != c.differs || l.P == nil || *l.Holm < *l.P || *l.Ratio < want*0.9 || *l.Ratio > want*1.1 || l.CI == nil || l.CI[0] > want*1.02 || l.CI[1] < want*0.98 {
					t.Errorf("%s %s: ratio %v %v, p %v, Holm %v, differs %v; want about %v, differs %v", f.class, f.figure, *l.Ratio, *l.CI, *l.P, *l.Holm, l.Differs, want, c.differs)
				}
			}
			if l := line(t, got, "storm", "early", "response p50"); l.Old != nil || l.Ratio != nil || l.P != nil || l.Differs || !strings.Contains(l.Note, "needs 20") {
				t.Errorf("too few requests: %+v, want null and why", l)
			}
			if l := line(t, got, "", "", "write isolation p99"); l.Ratio != nil || l.Note != "too few" {
				t.Errorf("an isolation that is null: %+v, want null and why", l)
			}
			if l := line(t, got, "", "", "segments lost"); l.Old == nil || l.P != nil || l.Differs {
				t.Errorf("a count: %+v, want no test of it", l)
			}
			for _, l := range got.Lines {
				if l.Phase == "warm-up" {
					t.Errorf("%+v: a warm-up is no figure", l)
				}
			}
			if len(got.Cautions) == 0 || !strings.Contains(got.Cautions[0], "different times") {
				t.Errorf("cautions %q, want that the runs were made at different times", got.Cautions)
			}
		})
	}
}

// TestCompareIsSymmetric: exchanging the runs turns ratios and intervals over and leaves p.
func TestCompareIsSymmetric(t *testing.T) {
	for seed := range uint64(20) {
		old, new := ranRun(3, 1+seed), ranRun(3.3, 100+seed)
		a, err := verdict.Compare(old, new, false)
		if err != nil {
			t.Fatal(err)
		}
		b, err := verdict.Compare(new, old, false)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range a.Lines {
			y := b.Lines[i]
			if x.Ratio != nil && math.Abs(*x.Ratio**y.Ratio-1) > 1e-9 || x.CI != nil && math.Abs(x.CI[0]*y.CI[1]-1) > 1e-9 || x.P != nil && math.Abs(*x.P-*y.P) > 1e-9 {
				t.Fatalf("seed %d: %+v, exchanged %+v", seed, x, y)
			}
		}
	}
}

// TestCompareCoverage: where the runs' intervals are what they say, the ratio's holds the truth 95 times of 100, and p is below 5 %
// five times of 100 where there is nothing to find.
func TestCompareCoverage(t *testing.T) {
	const runs = 2000
	rng := rand.New(rand.NewPCG(8, 8))
	held, found := 0, 0
	for range runs {
		r := [2]*record.Run{ranRun(3, 1), ranRun(3, 2)}
		for i := range r {
			r[i].Intervals = nil
			// An estimate of 10 ms (20 of the new run), with an error of 3 % (8 %) and the interval that belongs to it.
			truth, sigma := 10*float64(i+1), []float64{0.03, 0.08}[i]
			v := truth * math.Exp(sigma*rng.NormFloat64())
			l := &r[i].Results.Backends[0].Phases[1].Operations[0].Response
			l.P50, l.P50CI = &v, &[2]float64{v * math.Exp(-1.96*sigma), v * math.Exp(1.96*sigma)}
		}
		c, err := verdict.Compare(r[0], r[1], false)
		if err != nil {
			t.Fatal(err)
		}
		l := line(t, c, "storm", "publish", "response p50")
		if l.CI[0] <= 2 && 2 <= l.CI[1] {
			held++
		}
		half := *l.New / 2
		op := &r[1].Results.Backends[0].Phases[1].Operations[0].Response
		op.P50, op.P50CI = &half, &[2]float64{l.NewCI[0] / 2, l.NewCI[1] / 2}
		if c, err = verdict.Compare(r[0], r[1], false); err != nil {
			t.Fatal(err)
		}
		if *line(t, c, "storm", "publish", "response p50").P < 0.05 {
			found++
		}
	}
	if held < runs*935/1000 || held > runs*965/1000 || found < runs*35/1000 || found > runs*65/1000 {
		t.Errorf("of %d intervals %d hold the truth, want 95 %%; of as many equal pairs %d have p < 5 %%, want 5 %%", runs, held, found)
	}
}

// TestProfileOfOneName: simulated runs with profiles of one name, which are not the same, are not comparable.
func TestProfileOfOneName(t *testing.T) {
	with := func(digest string) *record.Run {
		r := ranRun(3, 1)
		r.Results.Mode, r.Results.Backends[0].Profile, r.Results.Backends[0].Simulation = "sim", "p", &record.Simulation{Profile: "p", Digest: digest}
		return r
	}
	for _, c := range []struct{ old, new, want string }{
		{"sha256:a", "sha256:b", "the profile p on embedded is not the same in both, but in name: sha256:a and sha256:b"},
		{"sha256:a", "sha256:a", ""},
		{"", "sha256:a", ""}, // a run of a time when nobody noted it
	} {
		got, err := verdict.Compare(with(c.old), with(c.new), false)
		if err != nil || strings.Join(got.Obstacles, "; ") != c.want {
			t.Errorf("Compare of digests %q and %q: obstacles %q, %v; want %q", c.old, c.new, got.Obstacles, err, c.want)
		}
	}
}

// TestIncomparable: each thing that forbids a comparison is named, gives no figures, and gives them when forced.
func TestIncomparable(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(r *record.Run)
		want  string
	}{
		{"invalid", func(r *record.Run) {
			r.Results.Verdict, r.Results.Reasons = "invalid", []string{"the clock stepped", "b"}
		}, "the new run is invalid: the clock stepped (and 1 more)"},
		{"interrupted", func(r *record.Run) { r.Results.Verdict = "interrupted" }, "the new run is interrupted"},
		{"not judged", func(r *record.Run) { r.Results.Verdict = "" }, "the new run is without a verdict"},
		{"simulated", func(r *record.Run) { r.Results.Mode = "sim" }, "other modes: live and sim"},
		{"another scenario", func(r *record.Run) { r.Results.Scenario = "b" }, "other scenarios: a and b"},
		{"another load", func(r *record.Run) {
			r.Scenario = []byte(strings.Replace(string(r.Scenario), "edges: 4", "edges: 8", 1))
		}, "the scenarios differ: readers.edges is 4 and 8"},
		{"another rendition", func(r *record.Run) { r.Scenario = []byte(strings.Replace(string(r.Scenario), "1Mbit/s", "2Mbit/s", 1)) }, "the scenarios differ: event.renditions"},
		{"a field more", func(r *record.Run) { r.Scenario = append(r.Scenario, "drivers: 2\n"...) }, "the scenarios differ: drivers is nothing and 2"},
		{"no scenario", func(r *record.Run) { r.Scenario = nil }, "the new run has no scenario.yaml"},
		{"a broken scenario", func(r *record.Run) { r.Scenario = []byte("{") }, "scenario.yaml of the new run cannot be read"},
		{"another segment", func(r *record.Run) { r.Results.SegmentMS = 1000 }, "other segment durations: 2000 and 1000"},
		{"another machine", func(r *record.Run) { r.Environment["cpu"] = "d" }, "other machines: cpu: c and d"},
		{"an unknown machine", func(r *record.Run) { delete(r.Environment, "host") }, "other machines: host: h and nothing"},
		{"other backends", func(r *record.Run) { r.Results.Backends = append(r.Results.Backends, record.Backend{Name: "s3"}) }, "other backends: embedded and embedded, s3"},
		{"other servers", func(r *record.Run) { r.Results.Backends[0].Servers = []string{"Cassandra 5"} }, "other servers on embedded: embedded store and Cassandra 5"},
		{"modelled", func(r *record.Run) { r.Results.Backends[0].Provenance = "modelled" }, "figures of another kind on embedded: measured and modelled"},
		{"another profile", func(r *record.Run) { r.Results.Backends[0].Profile = "s3" }, "other profiles on embedded: nothing and s3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ranRun(3, 2)
			c.spoil(r)
			got, err := verdict.Compare(ranRun(3, 1), r, false)
			if err != nil || got.Comparable || len(got.Lines) > 0 || len(got.Obstacles) != 1 || !strings.HasPrefix(got.Obstacles[0], c.want) {
				t.Errorf("Compare = %d lines, obstacles %q, %v; want none, and %q", len(got.Lines), got.Obstacles, err, c.want)
			}
			forced, err := verdict.Compare(ranRun(3, 1), r, true)
			if err != nil || forced.Comparable || len(forced.Lines) == 0 || len(forced.Obstacles) != 1 {
				t.Errorf("Compare, forced = %d lines, obstacles %q, %v; want lines, and still the obstacle", len(forced.Lines), forced.Obstacles, err)
			}
		})
	}
	harmless := ranRun(3, 2)
	harmless.Results.Seed = 99
	harmless.Scenario = []byte(strings.NewReplacer("about: text", "about: other", "publish errors == 0", "publish errors == 1").Replace(string(harmless.Scenario)))
	harmless.Environment["command"], harmless.Environment["gocql timeout"] = "y", "3s"
	got, err := verdict.Compare(ranRun(3, 1), harmless, false)
	if err != nil || !got.Comparable || !strings.Contains(strings.Join(got.Cautions, " "), "gocql timeout is 2s and 3s") {
		t.Errorf("Compare of other seeds, texts and drivers' settings = %q, cautions %q, %v; want comparable, and the setting named", got.Obstacles, got.Cautions, err)
	}
}

// TestCompareNothing: runs without a figure in common are an error, not an empty table.
func TestCompareNothing(t *testing.T) {
	other := ranRun(3, 2)
	other.Results.Backends[0].Name = "s3"
	if c, err := verdict.Compare(ranRun(3, 1), other, true); !errors.Is(err, verdict.ErrNothing) {
		t.Errorf("Compare of other backends, forced = %d lines, %v, want ErrNothing", len(c.Lines), err)
	}
}

// TestCompareBytes: a comparison is JSON, whatever was not a number, and the same each time.
func TestCompareBytes(t *testing.T) {
	a, b := ranRun(3, 1), ranRun(3.1, 2)
	a.Intervals[3].WriteP50, b.Intervals[4].ReadGbit = new(math.NaN()), math.Inf(1)
	b.Results.Backends[0].Phases[1].Operations[0].Response.P50CI = &[2]float64{0, 4}
	var was string
	for range 2 {
		c, err := verdict.Compare(a, b, false)
		if err != nil {
			t.Fatal(err)
		}
		out, err := json.Marshal(c)
		if err != nil || was != "" && was != string(out) {
			t.Fatalf("json.Marshal(Compare) = %s, %v, before %s", out, err, was)
		}
		was = string(out)
	}
}

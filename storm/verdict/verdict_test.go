package verdict_test

import (
	"reflect"
	"strings"
	"testing"

	"origin-storm/scenarios"
	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
)

// sound is a run in which all is well: two backends, each with quiet and storm.
func sound() record.Results {
	r := record.Results{SegmentMS: 2000, Driver: record.Driver{LagP99: new(0.4)}}
	for _, b := range []struct {
		name, provenance string
		ms               float64
	}{{"s3", "modelled", 100}, {"embedded", "measured", 10}} {
		backend := record.Backend{Name: b.name, Provenance: b.provenance, Notes: []string{},
			Isolation: &record.WriteIsolation{P50: record.Ratio{Ratio: new(1.1)}, P99: record.Ratio{Ratio: new(1.2)}},
			Segments:  record.Segments{Published: 800, Acknowledged: 800, Read: 9000, Verified: 9000, LongestGap: 0, SlackP50: new(600.0)},
			Cache:     record.Cache{StoreReads: 500, Polls: 40, Awaited: 10, StorePolls: 30, MostStorePolls: 7, Collapse: new(18.0)},
		}
		for i, name := range []string{"warm-up", "quiet", "storm"} {
			f := []float64{9, 1, 1.5}[i]
			backend.Phases = append(backend.Phases, record.Phase{Name: name, Seconds: 20, ReadGbit: 4, Holds: latency(2 * f), Operations: []record.Operation{
				{Class: "publish", Count: 400, Bytes: 400e6, Response: latency(b.ms * f), Service: latency(b.ms * f), Lag: latency(0.1)},
				{Class: "store-write", Count: 400, Response: latency(b.ms * f)},
				{Class: "live-edge", Count: 4000, Errors: 40, Bytes: 4e9, Response: latency(b.ms * f), FirstByte: latency(b.ms), Lag: latency(0.1)},
				{Class: "dvr", Count: 100, Response: latency(b.ms * f * 2), Lag: latency(0.1)},
			}})
			for k := range backend.Phases[i].Operations {
				op := &backend.Phases[i].Operations[k]
				op.Response.Count = min(op.Response.Count, op.Count)
			}
		}
		r.Backends = append(r.Backends, backend)
	}
	return r
}

// latency is a distribution around a median.
func latency(ms float64) record.Latency {
	return record.Latency{Count: 400, P50: new(ms), P90: new(ms * 2), P99: new(ms * 3), Max: new(ms * 5), P50CI: &[2]float64{ms * 0.9, ms * 1.1},
		P99CI: &[2]float64{ms * 2.5, ms * 4}, Points: [][2]float64{{0.5, ms}, {0.99, ms * 3}}, Note: "p99.9 needs 3000 values, there are 400"}
}

func operation(r *record.Results, backend, phase, class string) *record.Operation {
	for i := range r.Backends {
		for j := range r.Backends[i].Phases {
			for k := range r.Backends[i].Phases[j].Operations {
				if p := &r.Backends[i].Phases[j]; r.Backends[i].Name == backend && p.Name == phase && p.Operations[k].Class == class {
					return &p.Operations[k]
				}
			}
		}
	}
	panic("the fixture has no " + backend + " " + phase + " " + class)
}

func thresholds(t *testing.T, texts ...string) []scenarios.Threshold {
	t.Helper()
	var out []scenarios.Threshold
	for _, text := range texts {
		th, err := scenarios.ParseThreshold(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, th)
	}
	return out
}

func TestJudge(t *testing.T) {
	const p99, late = "storm publish response p99 < 500ms", "segments late == 0"
	for _, test := range []struct {
		name       string
		thresholds []string
		change     func(*record.Results, *verdict.Conditions)
		verdict    string
		code       verdict.Code
		sentence   string // a part of it
		reasons    []string
	}{
		{name: "all holds", thresholds: []string{p99, late}, verdict: "passed", code: verdict.Passed,
			sentence: "Passed: write p99 in the storm from 45 ms on embedded (measured) to 450 ms on s3 (modelled); nothing was lost, torn or wrong, and all 4 thresholds hold, 1 of them within the figures' uncertainty."},
		{name: "no thresholds", verdict: "passed", code: verdict.Passed, sentence: "nothing was lost, torn or wrong."},
		{name: "a threshold fails", thresholds: []string{"storm publish response p99 < 400ms"}, verdict: "failed", code: verdict.Failed,
			sentence: "Failed: storm publish response p99 < 400ms does not hold on s3 (modelled): 450 ms.", reasons: []string{"storm publish response p99 < 400ms does not hold on s3 (modelled): 450 ms"}},
		{name: "a threshold's figure is null", thresholds: []string{"storm publish response p99.9 < 1s"}, verdict: "invalid", code: verdict.Invalid,
			sentence: "Invalid", reasons: []string{"p99.9 needs 3000 values", "p99.9 needs 3000 values"}},
		{name: "a null figure that no threshold needs", thresholds: []string{p99}, verdict: "passed", code: verdict.Passed,
			change: func(r *record.Results, _ *verdict.Conditions) {
				operation(r, "s3", "quiet", "publish").Response = record.Latency{}
			}},
		{name: "null weighs more than broken", thresholds: []string{"storm publish response p99.9 < 1s", "publish response p50 < 1ms"}, verdict: "invalid", code: verdict.Invalid},
		{name: "lost", thresholds: []string{p99}, verdict: "failed", code: verdict.Damaged, sentence: "Failed: segments damaged on s3 (modelled): 2 lost, 1 stale.",
			change: func(r *record.Results, _ *verdict.Conditions) {
				r.Backends[0].Segments.Lost, r.Backends[0].Segments.Stale = 2, 1
			}},
		{name: "damage weighs more than doubt", verdict: "failed", code: verdict.Damaged, reasons: []string{"1 torn", "3 requests could not be sent"},
			change: func(r *record.Results, _ *verdict.Conditions) {
				r.Backends[1].Segments.Torn = 1
				operation(r, "s3", "storm", "live-edge").Dropped = 3
			}},
		{name: "dropped arrivals", thresholds: []string{p99}, verdict: "invalid", code: verdict.Invalid, sentence: "1 requests could not be sent",
			change: func(r *record.Results, _ *verdict.Conditions) { r.Driver.Dropped = 1 }},
		{name: "a server died", verdict: "invalid", code: verdict.Invalid, sentence: "a server died that no fault asked to on s3 (modelled): store, exit status 2, after 12.5 s",
			change: func(_ *record.Results, c *verdict.Conditions) {
				c.Events = []record.Event{{Kind: "fault", Text: "kill publish"}, {Kind: "death", Backend: "s3", Text: "store, exit status 2", At: 12.5}}
			}},
		{name: "a fault that was not carried out", verdict: "invalid", code: verdict.Invalid, reasons: []string{"a fault could not be carried out on s3"},
			change: func(r *record.Results, c *verdict.Conditions) {
				c.Events = []record.Event{{Kind: "fault", Text: "kill cache 1"}, {Kind: "fault-failed", Backend: "s3", Text: "kill cache 1: this backend has none"}}
			}},
		{name: "a fault is no death", verdict: "passed", code: verdict.Passed,
			change: func(_ *record.Results, c *verdict.Conditions) {
				c.Events = []record.Event{{Kind: "fault", Text: "kill publish"}, {Kind: "fault-end"}, {Kind: "warning"}}
			}},
		{name: "the clock stepped", verdict: "invalid", code: verdict.Invalid, sentence: "the clock was stepped during the run: 1.5s back",
			change: func(_ *record.Results, c *verdict.Conditions) { c.ClockStepped = "1.5s back" }},
		{name: "interrupted", thresholds: []string{"publish response p50 < 1ms"}, verdict: "interrupted", code: verdict.Interrupted,
			sentence: "Interrupted: the figures cover what was measured until then (and 3 more).", reasons: []string{"stopped before its end", "1 lost", "p50 < 1ms", "p50 < 1ms"},
			change: func(r *record.Results, c *verdict.Conditions) { c.Interrupted, r.Backends[0].Segments.Lost = true, 1 }},
		{name: "a backend that was never reached", thresholds: []string{"cassandra: segments lost == 0"}, verdict: "invalid", code: verdict.Invalid,
			reasons: []string{"segments lost == 0 could not be told on cassandra: it was not measured"}},
		{name: "nothing measured", verdict: "passed", code: verdict.Passed, change: func(r *record.Results, _ *verdict.Conditions) { r.Backends = nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, c := sound(), verdict.Conditions{Thresholds: thresholds(t, test.thresholds...)}
			if test.change != nil {
				test.change(&r, &c)
			}
			verdict.Judge(&r, c)
			if r.Verdict != test.verdict {
				t.Errorf("Judge: verdict = %q, want %q; reasons %q", r.Verdict, test.verdict, r.Reasons)
			}
			if got := verdict.ExitCode(r); got != test.code {
				t.Errorf("ExitCode = %d, want %d", got, test.code)
			}
			if !strings.Contains(r.Sentence, test.sentence) {
				t.Errorf("Judge: sentence = %q, want it to contain %q", r.Sentence, test.sentence)
			}
			if test.reasons != nil {
				if len(r.Reasons) != len(test.reasons) {
					t.Fatalf("Judge: reasons = %q, want %d", r.Reasons, len(test.reasons))
				}
				for i, want := range test.reasons {
					if !strings.Contains(r.Reasons[i], want) {
						t.Errorf("Judge: reason %d = %q, want it to contain %q", i, r.Reasons[i], want)
					}
				}
			}
			again := r
			verdict.Judge(&again, c)
			if !reflect.DeepEqual(again, r) {
				t.Errorf("Judge, called twice, changes its mind: %+v, then %+v", r, again)
			}
		})
	}
}

func TestThresholds(t *testing.T) {
	copies := []record.Copy{
		{Backend: "s3", Event: "e", Rendition: "r1", Number: -1, Pipeline: "a", Phase: "storm", Sent: new(0.0), Outcome: "ok"}, // an initialisation segment
		{Backend: "s3", Event: "e", Rendition: "r1", Number: 1, Pipeline: "a", Phase: "quiet", Due: 2, Sent: new(1.0), Acked: new(1.1), Readable: new(1.5), Slack: new(0.5), Outcome: "ok"},
		{Backend: "s3", Event: "e", Rendition: "r1", Number: 2, Pipeline: "a", Phase: "storm", Due: 4, Sent: new(3.0), Acked: new(4.1), Readable: new(4.5), Slack: new(-0.5), Outcome: "late"},
		{Backend: "s3", Event: "e", Rendition: "r1", Number: 2, Pipeline: "b", Phase: "storm", Due: 4, Sent: new(3.0), Acked: new(4.1), Readable: new(4.5), Slack: new(-0.5), Outcome: "lost"},
		// Acknowledged before it was due, and first asked for afterwards: in time, as its outcome says.
		{Backend: "embedded", Event: "e", Rendition: "r1", Number: 3, Pipeline: "a", Phase: "storm", Due: 6, Sent: new(5.0), Acked: new(5.1), Readable: new(6.5), Outcome: "ok"},
		{Backend: "s3", Event: "e", Rendition: "r1", Number: 3, Phase: "storm", Due: 6, Outcome: "missed"},
		{Backend: "s3", Event: "e", Rendition: "r1", Number: 4, Phase: "storm", Due: 8, Outcome: "missed"},
		{Backend: "s3", Event: "e", Rendition: "r1", Number: 6, Phase: "storm", Due: 12, Outcome: "missed"},
		{Backend: "embedded", Event: "e", Rendition: "r1", Number: 2, Pipeline: "a", Phase: "storm", Due: 4, Sent: new(3.0), Outcome: "torn"},
	}
	for _, test := range []struct {
		text   string
		actual float64
		null   bool
		note   string
	}{
		{text: "s3: storm publish response p50 < 1s", actual: 150},
		{text: "s3: storm publish response p99 < 1s", actual: 450},
		{text: "s3: storm publish service max < 1s", actual: 750},
		{text: "s3: storm live-edge first-byte p50 < 1s", actual: 100},
		{text: "s3: storm publish lag p99 < 1s", actual: 0.3},
		{text: "s3: storm publish response p99.9 < 1s", null: true, note: "storm publish: p99.9 needs 3000 values"},
		{text: "s3: publish response p99 < 1s", actual: 450, note: "the worst of 2: storm publish"},
		{text: "s3: publish response p99 > 1ms", actual: 300, note: "the worst of 2: quiet publish"},
		{text: "s3: warm-up publish response p50 < 1s", actual: 900},
		{text: "s3: reads response p99 < 1s", actual: 900, note: "the worst of 4: storm dvr"},
		{text: "s3: storm early response p99 < 1s", null: true, note: "nothing was measured"},
		{text: "s3: publish count > 0", actual: 800},
		{text: "s3: storm publish errors == 0", actual: 0},
		{text: "s3: storm live-edge errors < 2%", actual: 1},
		{text: "s3: live-edge errors < 10", actual: 80},
		{text: "s3: storm early errors == 0", actual: 0},
		{text: "s3: storm early errors < 1%", null: true, note: "a share of nothing"},
		{text: "s3: storm publish rate > 10/s", actual: 20},
		{text: "s3: storm publish throughput > 1Mbit/s", actual: 0.16},
		{text: "s3: reads throughput > 1Gbit/s", actual: 4},
		{text: "s3: segments lost == 0", actual: 0},
		{text: "s3: storm segments lost == 0", actual: 1},
		{text: "s3: quiet segments lost == 0", actual: 0},
		{text: "s3: storm segments late == 0", actual: 1},
		{text: "embedded: storm segments late == 0", actual: 0},
		{text: "s3: storm segments missed == 0", actual: 3},
		{text: "s3: storm segments missed < 80%", actual: 75},
		{text: "s3: storm segments longest-gap < 5s", actual: 4000},
		{text: "s3: storm segments slack-p50 > 1ms", null: true, note: "too few segments were read"},
		{text: "s3: storm segments verified > 0", null: true, note: "leave \"storm\" out"},
		{text: "s3: segments verified >= 100%", actual: 100},
		{text: "s3: segments slack-p50 > 500ms", actual: 600},
		{text: "s3: cache hit-ratio > 90%", null: true, note: "no cache"},
		{text: "s3: cache collapse-factor > 10", actual: 18},
		{text: "s3: cache store-bytes < 2", null: true},
		{text: "s3: cache store-reads < 1000", actual: 500},
		{text: "s3: cache polls < 1000", actual: 40},
		{text: "s3: cache awaited == 10", actual: 10},
		{text: "s3: cache store-polls <= 80", actual: 30},
		{text: "s3: cache most-store-polls <= 8", actual: 7},
		{text: "s3: quiet holds p99 < 20ms", actual: 6},
		{text: "s3: storm holds max < 20ms", actual: 15},
		{text: "s3: holds p50 < 20ms", actual: 3, note: "the worst of 2: storm holds"},
		{text: "s3: holds count > 700", actual: 800},
		{text: "s3: quiet holds p99.9 < 20ms", null: true, note: "p99.9 needs 3000 values"},
		{text: "s3: cache zone-wait-p99 < 20ms", null: true},
		{text: "s3: write-isolation p50 < 2", actual: 1.1},
		{text: "s3: write-isolation p99 < 2", actual: 1.2},
		{text: "driver lag-p99 < 5ms", actual: 0.4},
		{text: "driver dropped == 0", actual: 0},
	} {
		t.Run(test.text, func(t *testing.T) {
			r := sound()
			want := thresholds(t, test.text)
			verdict.Judge(&r, verdict.Conditions{Thresholds: want, Copies: copies})
			if len(r.Thresholds) != 1 {
				t.Fatalf("Judge gives %d lines, want 1: %+v", len(r.Thresholds), r.Thresholds)
			}
			got := r.Thresholds[0]
			switch {
			case test.null && (got.Actual != nil || got.OK):
				t.Errorf("actual = %v, want null", got.Actual)
			case !test.null && got.Actual == nil:
				t.Errorf("actual is null (%s), want %v", got.Note, test.actual)
			case !test.null && (*got.Actual < test.actual-1e-6 || *got.Actual > test.actual+1e-6):
				t.Errorf("actual = %v, want %v", *got.Actual, test.actual)
			case !test.null && got.OK != want[0].Holds(test.actual):
				t.Errorf("ok = %v, want %v for %v", got.OK, !got.OK, test.actual)
			}
			if !strings.Contains(got.Note, test.note) {
				t.Errorf("note = %q, want it to contain %q", got.Note, test.note)
			}
		})
	}
}

func TestThresholdsCoverEachBackend(t *testing.T) {
	r := sound()
	verdict.Judge(&r, verdict.Conditions{Thresholds: thresholds(t, "storm publish response p50 < 100ms", "driver dropped == 0")})
	var got []string
	for _, th := range r.Thresholds {
		got = append(got, th.Backend+map[bool]string{true: " holds", false: " fails"}[th.OK])
	}
	if want := []string{"s3 fails", "embedded holds", " holds"}; !reflect.DeepEqual(got, want) {
		t.Errorf("Judge: thresholds %q, want %q", got, want)
	}
}

// Every figure that a scenario may name must be found, or thresholds could pass validation and yet never be told.
func TestEveryFigureIsFound(t *testing.T) {
	limits := []string{"1", "1ms", "1%", "1/s", "1Mbit/s"}
	for _, line := range scenarios.Subjects() {
		subject, figures, _ := strings.Cut(line, ": ")
		for _, f := range strings.Fields(figures) {
			var th scenarios.Threshold
			err := error(nil)
		search:
			for _, latency := range []string{"", "response "} {
				for _, limit := range limits {
					if th, err = scenarios.ParseThreshold(subject + " " + latency + f + " < " + limit); err == nil {
						break search
					}
				}
			}
			if err != nil {
				t.Errorf("%s %s: %v", subject, f, err)
				continue
			}
			r := sound()
			verdict.Judge(&r, verdict.Conditions{Thresholds: []scenarios.Threshold{th}})
			if note := r.Thresholds[0].Note; note == "no such figure" {
				t.Errorf("threshold %q: %s", th, note)
			}
		}
	}
}

func TestExitCodes(t *testing.T) {
	seen := map[verdict.Code]bool{}
	for _, c := range verdict.Codes {
		if seen[c] {
			t.Errorf("Codes lists %d twice", c)
		}
		seen[c] = true
		if strings.HasPrefix(c.String(), "unknown") {
			t.Errorf("Code(%d) has no meaning", c)
		}
	}
	want := []verdict.Code{1, 2, 104, 105, 93, 94, 99, 96, 95, 0}
	if got := verdict.Codes[:]; !reflect.DeepEqual(got, want) {
		t.Errorf("Codes = %v, want the documented order %v", got, want)
	}
	if got := verdict.ExitCode(record.Results{}); got != verdict.Internal {
		t.Errorf("ExitCode of a run that was not judged = %d, want %d", got, verdict.Internal)
	}
}

package verdict_test

import (
	"strings"
	"testing"
	"time"

	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
)

// TestUncertainThresholds: where the limit lies in a figure's interval the figure decides, the line says so, and strictness makes a
// pass of it no pass. The write p99 on s3 is 450 ms, from 375 to 600.
func TestUncertainThresholds(t *testing.T) {
	for _, test := range []struct {
		text          string
		ok, uncertain bool
		code, strict  verdict.Code
	}{
		{"s3: storm publish response p99 < 601ms", true, false, verdict.Passed, verdict.Passed},
		{"s3: storm publish response p99 < 500ms", true, true, verdict.Passed, verdict.Inconclusive},
		{"s3: storm publish response p99 < 400ms", false, true, verdict.Failed, verdict.Failed},
		{"s3: storm publish response p99 < 300ms", false, false, verdict.Failed, verdict.Failed},
		{"s3: storm publish response p90 < 1s", true, true, verdict.Passed, verdict.Inconclusive}, // no interval
		{"s3: storm publish response max < 1s", true, false, verdict.Passed, verdict.Passed},
		{"s3: storm live-edge errors <= 1%", true, false, verdict.Passed, verdict.Passed},
		{"s3: write-isolation p50 < 1.15", true, true, verdict.Passed, verdict.Inconclusive},
		{"s3: publish response p99 < 500ms", true, true, verdict.Passed, verdict.Inconclusive}, // the worst of quiet and storm
	} {
		for _, strict := range []bool{false, true} {
			r := sound()
			r.Backends[0].Isolation.P50.CI = &[2]float64{1, 1.3}
			verdict.Judge(&r, verdict.Conditions{Thresholds: thresholds(t, test.text), Strict: strict})
			got, code, want := r.Thresholds[0], verdict.ExitCode(r), test.code
			if strict {
				want = test.strict
			}
			if got.OK != test.ok || got.Uncertain != test.uncertain || strings.Contains(got.Note, "uncertain") != test.uncertain || code != want {
				t.Errorf("%s, strict %v: %+v with exit code %d (%s), want ok %v, uncertain %v, %d", test.text, strict, got, code, r.Sentence, test.ok, test.uncertain, want)
			}
		}
	}
}

// TestBrokenThresholdsStopARun: only what is broken for certain, after its time, and on its backend.
func TestBrokenThresholdsStopARun(t *testing.T) {
	for _, test := range []struct {
		text string
		at   time.Duration
		want bool
	}{
		{"storm publish response p99 < 300ms or abort", 0, true},
		{"storm publish response p99 < 300ms", 0, false},                      // it does not ask for it
		{"storm publish response p99 < 400ms or abort", 0, false},             // within its interval
		{"storm publish response p99.9 < 1ms or abort", 0, false},             // too few
		{"storm publish response p99 < 300ms or abort after 10s", 9e9, false}, // too early
		{"storm publish response p99 < 300ms or abort after 10s", 10e9, true}, //
		{"embedded: storm publish response p99 < 1ms or abort", 0, false},     // another's
		{"storm live-edge errors < 0.9% or abort", 0, false},                  // 40 of 4,000 may be chance
		{"storm live-edge errors < 0.5% or abort", 0, true},                   //
		{"segments lost == 0 or abort", 0, true},                              //
		{"segments torn == 0 or abort", 0, false},                             //
		{"storm publish response max < 1s or abort", 0, false},                //
		{"storm publish response max < 500ms or abort", 0, true},              // a maximum does not get smaller
	} {
		b := sound().Backends[0]
		b.Segments.Lost = 1
		got := verdict.Broken(thresholds(t, test.text), b, nil, test.at, 2)
		if (got != nil) != test.want {
			t.Errorf("Broken(%s) after %v = %v, want one: %v", test.text, test.at, got, test.want)
		}
	}
}

// TestAbortedRunFails: what a threshold stopped has failed, though other figures were not reached, and whatever was answered after.
func TestAbortedRunFails(t *testing.T) {
	ts := thresholds(t, "storm publish response p99 < 460ms or abort", "storm publish response p99.9 < 1s", "embedded: segments lost == 0")
	r := sound()
	r.Backends = r.Backends[:1]
	verdict.Judge(&r, verdict.Conditions{Thresholds: ts, Aborted: &verdict.Abort{Backend: "s3", Threshold: ts[0], At: 12 * time.Second, Actual: 700}})
	if code := verdict.ExitCode(r); code != verdict.Failed || !strings.Contains(r.Sentence, "stopped the run after 12 s: 700 ms") || r.Thresholds[0].OK || !r.Thresholds[0].Aborted {
		t.Errorf("exit code %d, %q, %+v, want a failure that says what stopped the run", code, r.Sentence, r.Thresholds[0])
	}
	var none record.Results
	verdict.Judge(&none, verdict.Conditions{Thresholds: ts[1:]})
	if code := verdict.ExitCode(none); code != verdict.Invalid {
		t.Errorf("without an abort: exit code %d, want %d: its figures are missing", code, verdict.Invalid)
	}
}

package scenarios_test

import (
	"strings"
	"testing"
	"time"

	"origin-storm/scenarios"
)

func TestParseThreshold(t *testing.T) {
	for _, c := range []struct {
		text string
		want scenarios.Threshold
	}{
		{"storm publish response p99 < 500ms", scenarios.Threshold{Phase: "storm", Subject: "publish", Latency: "response", Figure: "p99", Op: "<", Value: 500, Unit: "ms"}},
		{"publish service p99.9 <= 1.5s", scenarios.Threshold{Subject: "publish", Latency: "service", Figure: "p99.9", Op: "<=", Value: 1500, Unit: "ms"}},
		{"quiet store-write service p50 < 250µs", scenarios.Threshold{Phase: "quiet", Subject: "store-write", Latency: "service", Figure: "p50", Op: "<", Value: 0.25, Unit: "ms"}},
		{"storm segments lost == 0", scenarios.Threshold{Phase: "storm", Subject: "segments", Figure: "lost", Op: "=="}},
		{"storm live-edge errors < 1%", scenarios.Threshold{Phase: "storm", Subject: "live-edge", Figure: "errors", Op: "<", Value: 1, Unit: "%"}},
		{"cassandra+cache: cache hit-ratio > 90%", scenarios.Threshold{Backend: "cassandra+cache", Subject: "cache", Figure: "hit-ratio", Op: ">", Value: 90, Unit: "%"}},
		{"cache zone-wait-p99 < 20ms", scenarios.Threshold{Subject: "cache", Figure: "zone-wait-p99", Op: "<", Value: 20, Unit: "ms"}},
		{"write-isolation p99 < 1.5", scenarios.Threshold{Subject: "write-isolation", Figure: "p99", Op: "<", Value: 1.5}},
		{"storm reads throughput >= 1Gbit/s", scenarios.Threshold{Phase: "storm", Subject: "reads", Figure: "throughput", Op: ">=", Value: 1, Unit: "Gbit/s"}},
		{"storm reads rate != 500/s", scenarios.Threshold{Phase: "storm", Subject: "reads", Figure: "rate", Op: "!=", Value: 500, Unit: "/s"}},
		{"segments longest-gap < 4s", scenarios.Threshold{Subject: "segments", Figure: "longest-gap", Op: "<", Value: 4000, Unit: "ms"}},
		{"segments slack-p1 > -20ms", scenarios.Threshold{Subject: "segments", Figure: "slack-p1", Op: ">", Value: -20, Unit: "ms"}},
		{"driver lag-p99 < 5ms", scenarios.Threshold{Subject: "driver", Figure: "lag-p99", Op: "<", Value: 5, Unit: "ms"}},
		{"storm publish response p99 < 2s or abort after 10s", scenarios.Threshold{Phase: "storm", Subject: "publish", Latency: "response", Figure: "p99", Op: "<",
			Value: 2000, Unit: "ms", Abort: true, After: 10 * time.Second}},
		{"segments lost == 0 or abort", scenarios.Threshold{Subject: "segments", Figure: "lost", Op: "==", Abort: true}},
		{"  publish   count > 300 ", scenarios.Threshold{Subject: "publish", Figure: "count", Op: ">", Value: 300}},
	} {
		got, err := scenarios.ParseThreshold(c.text)
		if err != nil || got != c.want {
			t.Errorf("ParseThreshold(%q) = %+v, %v, want %+v", c.text, got, err, c.want)
		}
	}
	for _, text := range []string{
		"", ":", ": segments lost == 0", "storm", "segments", "segments lost", "segments lost ==", "segments lost == x", "segments lost == -1",
		"segments lost == 1e400", "segments lost == NaN", "segments lost = 0", "segments lost==0", "segments response p99 < 1s",
		"publish response errors < 1%", "publish response p99 < 1%", "publish errors < 5ms", "publish rate > 500", "cache hit-ratio > 0.9",
		"storm write-isolation p99 < 2", "late segments lost == 0",
		"publish count > 300 or abort", "cache hit-ratio > 50% or abort", "segments lost == 0 or", "segments lost == 0 or abort after", "segments lost == 0 or abort after x",
		"segments lost == 0 or abort after 0s", "segments lost == 0 abort", "segments verified == 0 or abort", "segments lost == 3 or abort", "reads throughput > 1GB/s", "segments longest-gap < 2",
	} {
		if got, err := scenarios.ParseThreshold(text); err == nil {
			t.Errorf("ParseThreshold(%q) = %+v, want an error", text, got)
		} else if !strings.Contains(err.Error(), text) {
			t.Errorf("ParseThreshold(%q) = %v, want an error that quotes it", text, err)
		}
	}
}

func TestThresholdHolds(t *testing.T) {
	for op, want := range map[string][3]bool{ // for a value below, at and above the limit
		"<": {true, false, false}, "<=": {true, true, false}, "==": {false, true, false},
		"!=": {true, false, true}, ">=": {false, true, true}, ">": {false, false, true},
	} {
		limit := scenarios.Threshold{Op: op, Value: 2}
		for i, actual := range []float64{1, 2, 3} {
			if got := limit.Holds(actual); got != want[i] {
				t.Errorf("%v %s 2: Holds = %v, want %v", actual, op, got, want[i])
			}
		}
	}
}

// The list for people names each subject, and what it lists can be written.
func TestSubjectsCanBeWritten(t *testing.T) {
	values := []string{"1", "1%", "1ms", "1/s", "1Mbit/s"}
	for _, line := range scenarios.Subjects() {
		subject, figures, _ := strings.Cut(line, ": ")
		for _, f := range strings.Fields(figures) {
			ok := false
			for _, v := range values {
				for _, latency := range []string{"", "response "} {
					text := subject + " " + latency + f + " < " + v
					if x, err := scenarios.ParseThreshold(text); err == nil {
						ok = true
						if x.String() != text {
							t.Errorf("%q prints as %q", text, x)
						}
					}
				}
			}
			if !ok {
				t.Errorf("no value can be written for %s %s", subject, f)
			}
		}
	}
}

func FuzzParseThreshold(f *testing.F) {
	f.Add("cassandra+cache: storm publish response p99.9 < 500ms")
	f.Add("storm reads throughput >= 1.5Gbit/s")
	f.Add("segments longest-gap < 2562047h47m16.854775807s")
	f.Add("cache hit-ratio > 0.1%")
	f.Add("reads errors < 1% or abort after 1.5s")
	f.Fuzz(func(t *testing.T, text string) {
		x, err := scenarios.ParseThreshold(text)
		if err != nil {
			return
		}
		again, err := scenarios.ParseThreshold(x.String())
		if err != nil || again.String() != x.String() {
			t.Errorf("ParseThreshold(%q) prints as %q, which reads as %q, %v", text, x, again, err)
		}
	})
}

package scenarios_test

import (
	"slices"
	"testing"

	"origin-storm/scenarios"
	"origin-storm/storm/record"
)

func TestWarnings(t *testing.T) {
	const base = `
name: x
event: {renditions: {count: 3, total: 1Mbit/s}}
readers: {edges: 4, behaviour: {early: 0.5}}
windows: {quiet: 4s, storm: 20s}
`
	for threshold, want := range map[string][]string{
		// 10 segments of 3 renditions in the storm, 2 in quiet; 2 pipelines.
		"storm publish response p50 < 1s":  nil,
		"storm publish response p99 < 1s":  {`threshold "storm publish response p99 < 1s" cannot be told: it needs 300 publish requests, and the storm windows hold about 60; raise windows.repeat, windows.until or windows.storm`},
		"publish response p50 < 1s":        {`threshold "publish response p50 < 1s" cannot be told: it needs 20 publish requests, and the quiet windows hold about 12; raise windows.repeat, windows.until or windows.quiet`},
		"write-isolation p50 < 2":          {`threshold "write-isolation p50 < 2" cannot be told: it needs 20 publish requests, and the quiet windows hold about 12; raise windows.repeat, windows.until or windows.quiet`},
		"early response p90 < 1s":          nil, // 60
		"reads first-byte p50 < 1s":        nil, // no DVR reads are no reason
		"live-edge response max < 1s":      nil,
		"storm live-edge service p99 < 1s": {`threshold "storm live-edge service p99 < 1s" cannot be told: it needs 300 live-edge requests, and the storm windows hold about 60; raise windows.repeat, windows.until or windows.storm`},
		"segments lost == 0":               nil,
	} {
		s, err := scenarios.Parse("x.yaml", []byte(base), "thresholds=["+threshold+"]")
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Warnings(); !slices.Equal(got, want) {
			t.Errorf("with %q Warnings() = %q, want %q", threshold, got, want)
		}
	}
	for _, s := range scenarios.Library() {
		if got := s.Warnings(); len(got) > 0 {
			t.Errorf("%s of the library: %q", s.Name, got)
		}
	}
}

// What package record shows is what is warned about.
func TestWarningsKnowWhatIsNeeded(t *testing.T) {
	for q, figure := range map[float64]string{0.5: "p50", 0.9: "p90", 0.99: "p99", 0.999: "p99.9"} {
		n := record.Needed(q)
		warned := func(segments int) bool {
			s := scenarios.Default()
			s.Name = "x"
			s.Event.Renditions, s.Event.Pipelines = scenarios.Ladder(1, 1e6), 1
			s.Windows.Quiet, s.Windows.Storm = s.Event.Segment.Duration()*2, 0
			s.Windows.Repeat = segments / 2
			th, err := scenarios.ParseThreshold("publish response " + figure + " < 1s")
			if err != nil {
				t.Fatal(err)
			}
			s.Thresholds = []scenarios.Threshold{th}
			return len(s.Warnings()) > 0
		}
		if warned(int(n)) || !warned(int(n)-2) {
			t.Errorf("%s needs %d values: warned at that many %v, at two fewer %v; want false, true", figure, n, warned(int(n)), warned(int(n)-2))
		}
	}
}

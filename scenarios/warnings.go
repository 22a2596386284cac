package scenarios

import (
	"fmt"
	"time"

	"origin-storm/storm"
)

// Warnings returns what s can be run with, but to no end: thresholds on percentiles for which its windows hold too few requests,
// so that the verdict could only be that they cannot be told; and what of a log is not replayed.
func (s Scenario) Warnings() []string {
	all := s.Readers.Replay.warnings()
	for _, t := range s.Thresholds {
		need, classes := needed[t.Figure], []string{t.Subject}
		switch {
		case t.Subject == Isolation:
			classes = []string{storm.Publish.String()}
		case t.Latency == "":
			continue
		case t.Subject == AllReads:
			classes = []string{storm.LiveEdge.String(), storm.Early.String(), storm.DVR.String()}
		}
		for _, phase := range []string{QuietPhase, StormPhase} {
			window := map[string]time.Duration{QuietPhase: s.Windows.Quiet, StormPhase: s.Windows.Storm}[phase]
			if window == 0 || t.Phase != "" && t.Phase != phase {
				continue
			}
			for _, class := range classes {
				if n := s.requests(class, phase, window); n > 0 && n < need {
					all = append(all, fmt.Sprintf("threshold %q cannot be told: it needs %d %s requests, and the %s windows hold about %d; raise windows.repeat, windows.until or windows.%s",
						t, need, class, phase, n, phase))
				}
			}
		}
	}
	return all
}

// needed is how many values a percentile needs to be shown, as package record has it.
var needed = map[string]int{"p50": 20, "p90": 50, "p99": 300, "p99.9": 3000}

// requests is about how many requests of a class a phase holds; 0 where there are none, or it cannot be told beforehand.
func (s Scenario) requests(class, phase string, window time.Duration) int {
	segments := s.Rounds() * s.segments(window) * s.Event.Count * len(s.Event.Renditions)
	b := s.Readers.Behaviour
	reads := map[string]Share{storm.LiveEdge.String(): 1 - b.Early, storm.Early.String(): b.Early, storm.DVR.String(): b.DVR, storm.Missing.String(): b.Missing}
	share, isRead := reads[class]
	switch {
	case class == storm.Publish.String(), class == storm.StoreWrite.String():
		return segments * s.Event.Pipelines
	case class == storm.Probe.String():
		return segments
	case isRead && phase == StormPhase && s.Readers.Viewers == 0 && s.Readers.Replay == nil: // with viewers their edge answers most
		return int(float64(segments) * float64(s.Readers.Edges) * float64(share))
	}
	return 0
}

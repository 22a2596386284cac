package verdict_test

import (
	"strings"
	"testing"

	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
)

// TestOtherWorkMakesFiguresNull: what others had of the processors takes away the figures that it may have made, and no others.
func TestOtherWorkMakesFiguresNull(t *testing.T) {
	for _, tt := range []struct {
		name     string
		stolen   *record.Stolen
		ms       float64 // the median; p99 is 3 times it
		p50, p99 bool    // whether they stand
	}{
		{"nothing known", nil, 100, true, true},
		{"work of the run's own", &record.Stolen{Others: 0.05, Stretch: 3}, 100, true, true},
		{"a processor was free", &record.Stolen{Others: 0.4, Free: 1, Stretch: 3}, 100, true, true},
		{"a twentieth is allowed", &record.Stolen{Others: 0.3, Stretch: 1 / 0.951}, 100, true, true},
		{"a little more is not, above 5 ms", &record.Stolen{Others: 0.3, Stretch: 1 / 0.94}, 50, true, false},
		{"what is short stands on the busiest machine", &record.Stolen{Others: 0.9, Stretch: 8}, 1, true, true},
		{"its tail may not", &record.Stolen{Others: 0.9, Stretch: 8}, 2, true, false},
		{"the hypervisor counts", &record.Stolen{Hypervisor: 0.2, Stretch: 1.25}, 100, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := sound()
			op := operation(&r, "s3", "storm", "publish")
			op.Response, op.Service = latency(tt.ms), latency(tt.ms)
			operation(&r, "s3", "quiet", "publish").Response = latency(tt.ms)
			r.Backends[0].Stolen = tt.stolen
			verdict.Judge(&r, verdict.Conditions{})
			for what, l := range map[string]record.Latency{"response": op.Response, "service": op.Service} {
				if l.P50 != nil != tt.p50 || l.P99 != nil != tt.p99 || l.P50CI != nil != tt.p50 || l.P99CI != nil != tt.p99 {
					t.Errorf("%s: p50 %v, p99 %v, want them to stand: %v, %v", what, l.P50, l.P99, tt.p50, tt.p99)
				}
				if lost := !tt.p50 || !tt.p99; strings.Contains(l.Note, "other work") != lost {
					t.Errorf("%s: note %q, want it to name other work: %v", what, l.Note, lost)
				}
			}
			if r.Backends[0].Isolation.P99.Ratio != nil != tt.p99 {
				t.Errorf("isolation = %+v, want a ratio of what stands alone", r.Backends[0].Isolation)
			}
			if operation(&r, "embedded", "storm", "publish").Response.P99 == nil {
				t.Error("another backend's figure is null, too")
			}
		})
	}
}

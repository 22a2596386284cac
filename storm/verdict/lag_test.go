package verdict_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
)

func TestLagMakesFiguresNull(t *testing.T) {
	for _, test := range []struct {
		name     string
		ms, lag  float64 // the median, and the driver's part in each figure; p99 is 3 times the median
		p50, p99 bool    // whether they stand
	}{
		{"an idle driver", 10, 0.3, true, true},
		{"5 ms are allowed whatever the figure", 6, 5, true, true},
		{"a little more is not", 6, 5.1, false, false},
		{"5 % of a large figure are allowed", 200, 10, true, true},
		{"of the smaller one they are less", 100, 9, false, true},
		{"a driver that cannot keep up", 600, 500, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := sound()
			op := operation(&r, "s3", "storm", "publish")
			op.Response = latency(test.ms)
			op.Response.OnTime = &record.Latency{P50: new(test.ms - test.lag), P90: new(2*test.ms - test.lag), P99: new(3*test.ms - test.lag),
				Max: new(5*test.ms - test.lag), Points: [][2]float64{{0.5, test.ms - test.lag}, {0.99, 3*test.ms - test.lag}}}
			verdict.Judge(&r, verdict.Conditions{})
			for _, f := range []struct {
				name string
				p    *float64
				ci   *[2]float64
				want bool
			}{{"p50", op.Response.P50, op.Response.P50CI, test.p50}, {"p99", op.Response.P99, op.Response.P99CI, test.p99}} {
				if (f.p != nil) != f.want || (f.ci != nil) != f.want {
					t.Errorf("lag of %v ms: %s = %v with interval %v, want it to stand: %v", test.lag, f.name, f.p, f.ci, f.want)
				}
			}
			if r.Backends[0].Isolation.P50.Ratio != nil != test.p50 || r.Backends[0].Isolation.P99.Ratio != nil != test.p99 {
				t.Errorf("isolation = %+v, want a ratio of what stands alone", r.Backends[0].Isolation)
			}
			wantNote := !test.p50 || !test.p99
			if got := strings.Contains(op.Response.Note, "the driver's lag makes"); got != wantNote {
				t.Errorf("note = %q, want it to name the lag: %v", op.Response.Note, wantNote)
			}
			if got := len(r.Backends[0].Notes) > 0; got != wantNote {
				t.Errorf("backend's notes = %q, want one: %v", r.Backends[0].Notes, wantNote)
			}
			if wantPoints := map[bool]int{true: 1}[test.p50] + map[bool]int{true: 1}[test.p99]; len(op.Response.Points) != wantPoints {
				t.Errorf("points = %v, want %d", op.Response.Points, wantPoints)
			}
			if op.Service.P50 == nil {
				t.Error("service p50 is null: it counts from the send, and the lag lies before that")
			}
			if other := operation(&r, "embedded", "storm", "publish"); other.Response.P50 == nil {
				t.Error("the lag of one backend's run made a figure of the other's null")
			}
		})
	}
}

// TestReportedOrNull adds simulated lags to latencies that are known: each figure that is reported is within 5 ms or 5 % of the
// latencies' own, and each that would be is reported, whatever the lags are like and however few the requests.
func TestReportedOrNull(t *testing.T) {
	lags := map[string]func(rng *rand.Rand, at time.Duration) float64{ // ms
		"none":                          func(*rand.Rand, time.Duration) float64 { return 0 },
		"a little everywhere":           func(rng *rand.Rand, _ time.Duration) float64 { return rng.ExpFloat64() },
		"a hundredth waits for long":    func(rng *rand.Rand, _ time.Duration) float64 { return 300 * float64(rng.IntN(100)/99) },
		"one in 500, where p99 is idle": func(rng *rand.Rand, _ time.Duration) float64 { return 900 * float64(rng.IntN(500)/499) },
		"held up for half a second": func(_ *rand.Rand, at time.Duration) float64 {
			return max(0, float64(10500*time.Millisecond-at)/1e6) * float64(at/(10*time.Second))
		},
		"too slow all the time": func(rng *rand.Rand, _ time.Duration) float64 { return 40 + 20*rng.Float64() },
	}
	services := map[string]func(rng *rand.Rand) float64{
		"fast":       func(rng *rand.Rand) float64 { return 1 + rng.Float64() },
		"long tail":  func(rng *rand.Rand) float64 { return 10 * math.Exp(1.5*rng.NormFloat64()) },
		"slow":       func(rng *rand.Rand) float64 { return 400 + 200*rng.Float64() },
		"two speeds": func(rng *rand.Rand) float64 { return 5 + 500*float64(rng.IntN(20)/19) },
	}
	nulls, figures := 0, 0
	for lagName, lag := range lags {
		for serviceName, service := range services {
			for _, n := range []int{40, 400, 5000} {
				rng := rand.New(rand.NewPCG(uint64(n), 11))
				rec := record.New(record.Config{Backend: "known", Windows: []storm.Window{{Name: "storm", To: 20 * time.Second}}})
				var truth []float64
				for i := range n {
					at := 20 * time.Second * time.Duration(i) / time.Duration(n)
					took, late := service(rng), lag(rng, at)
					truth = append(truth, took)
					sent := at + time.Duration(late*1e6)
					done := sent + time.Duration(took*1e6)
					rec.Record(storm.Sample{Request: storm.Request{At: at, Began: at, From: "edge", Class: storm.DVR, ID: segment.ID{Event: "e", Rendition: "r"}},
						Sent: sent, First: done, Done: done, Status: 200})
				}
				slices.Sort(truth)
				r := record.Results{SegmentMS: 2000, Backends: []record.Backend{rec.Backend()}}
				with := r.Backends[0].Phases[0].Operations[0].Response // before it is judged
				verdict.Judge(&r, verdict.Conditions{})
				got := r.Backends[0].Phases[0].Operations[0].Response
				for _, f := range []struct {
					q         float64
					got, with *float64
				}{{0.5, got.P50, with.P50}, {0.9, got.P90, with.P90}, {0.95, got.P95, with.P95}, {0.99, got.P99, with.P99}, {0.999, got.P999, with.P999}, {1, got.Max, with.Max}} {
					if f.with == nil {
						continue // too few
					}
					figures++
					exact := truth[max(0, int(math.Ceil(f.q*float64(n)-1e-9))-1)]
					allowed, bar := max(5, *f.with/20), *f.with*0.002 // two bars of the histogram
					what := fmt.Sprintf("%s, lag %s, %d requests: quantile %v is %.2f ms, %.2f with the lag", serviceName, lagName, n, f.q, exact, *f.with)
					switch {
					case f.got == nil && *f.with-exact <= allowed-bar:
						t.Errorf("%s: null, though the lag's part is less than %.2f", what, allowed)
					case f.got != nil && math.Abs(*f.got-exact) > allowed+bar:
						t.Errorf("%s: reported, though the lag's part is more than %.2f", what, allowed)
					case f.got == nil:
						nulls++
					}
				}
			}
		}
	}
	if nulls == 0 || nulls == figures {
		t.Errorf("%d of %d figures are null: the test shows less than it should", nulls, figures)
	}
}

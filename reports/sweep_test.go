package reports

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"origin-storm/storm/record"
	"origin-storm/storm/sweep"
)

// swept is a made-up sweep of two backends: the one without a cache fills up as the load grows. Of a second axis each value makes
// everything slower.
func swept(loads []float64, rates ...string) sweep.Result {
	r := sweep.Result{
		Schema: 1, Scenario: "comparison", About: "A made-up sweep.", Seed: 7, Seeds: []uint64{7, 8, 9}, Backends: []string{"cassandra", "cassandra+cache"},
		Complete: true, Sentence: "Simulated comparison: cassandra: not all thresholds hold at some points.", Command: "origin-storm simulate comparison --sweep readers.edges=20..400:6",
		SegmentMS: 2000, Notes: []string{},
	}
	axis := sweep.Axis{Path: "readers.edges", Log: true, Numbers: loads}
	for _, n := range loads {
		axis.Values = append(axis.Values, strconv.Itoa(int(n)))
	}
	r.Axes = []sweep.Axis{axis}
	if len(rates) > 0 {
		other := sweep.Axis{Path: "event.renditions.total", Unit: "Mbit/s"}
		for _, rate := range rates {
			other.Values = append(other.Values, rate+"Mbit/s")
		}
		r.Axes = []sweep.Axis{other, axis}
	} else {
		rates = []string{""}
	}
	simulation := record.Simulation{Profile: "two-cores", Machine: "2 cores of an Intel Xeon", Made: "2026-11-23",
		Stated: []record.StatedError{{Figure: "storm publish response p99", HeldOut: true, Runs: 6, Median: 0.08, Largest: 0.21}}}
	r.Simulation = map[string]record.Simulation{"cassandra": simulation, "cassandra+cache": simulation}
	for k, rate := range rates {
		for i, load := range loads {
			p := sweep.Point{At: []int{i}, Set: []string{"readers.edges=" + axis.Values[i]}}
			if rate != "" {
				p.At, p.Set = []int{k, i}, append([]string{"event.renditions.total=" + rate + "Mbit/s"}, p.Set...)
			}
			for j, name := range r.Backends {
				busy := min(1, load/400*float64(k+1)*(1-0.5*float64(j)))
				ms := 20 / (1.02 - min(busy, 0.99))
				b := sweep.Backend{Name: name, Verdict: "passed", Thresholds: []record.Threshold{{Text: "storm publish response p99 < 500ms", Limit: 500, Unit: "ms"}}}
				figure := func(name, unit string, v, spread float64) {
					f := sweep.Figure{Name: name, Unit: unit, Value: ptr(math.Round(v*1000) / 1000), Count: 3}
					if spread > 0 {
						f.CI = &[2]float64{math.Round(v/spread*1000) / 1000, math.Round(v*spread*1000) / 1000}
					}
					b.Figures = append(b.Figures, f)
				}
				figure("storm publish response p50", "ms", ms/4, 1.1)
				if busy >= 1 {
					b.Verdict, b.Sentence = "failed", "Failed: storm publish response p99 < 500ms does not hold."
					b.Figures = append(b.Figures, sweep.Figure{Name: "storm publish response p99", Unit: "ms", Count: 90, Note: "90 values are too few"})
				} else {
					figure("storm publish response p99", "ms", ms, 1.15)
				}
				figure("storm live-edge response p99", "ms", 4*ms, 1.2)
				figure("storm reads throughput", "Gbit/s", load/40, 1.01)
				figure("segments missed", "", math.Floor(max(0, busy-0.9)*120), 0)
				figure("segments late", "", math.Floor(max(0, busy-0.7)*200), 0)
				figure("storm serve links busy", "", busy*0.8, 1.01)
				figure("storm store processors busy", "", busy, 1.01)
				if load > 200 {
					b.Extrapolated = []string{fmt.Sprintf("readers.edges %v is beyond 10 to 200", load)}
				}
				p.Backends = append(p.Backends, b)
			}
			r.Points = append(r.Points, p)
		}
	}
	return r
}

// TestSweepGolden draws sweeps of one axis and of two and compares every file with the one that was looked at when it was last updated.
func TestSweepGolden(t *testing.T) {
	for folder, r := range map[string]sweep.Result{
		"sweep": swept([]float64{20, 36, 66, 121, 220, 400}), "sweep-of-two": swept([]float64{20, 66, 220, 400}, "10", "20", "40"),
	} {
		files, err := sweepFiles(r, sweepFigures(r))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, folder, files)
	}
}

// TestAnySweep draws sweeps of every kind: texts neither overlap nor leave the canvas, and every page and plot says that it is simulated.
func TestAnySweep(t *testing.T) {
	one := swept([]float64{20})
	named := swept([]float64{20, 40, 80})
	named.Axes[0].Numbers, named.Axes[0].Log, named.Axes[0].Path = nil, false, "backends.cassandra.profile"
	named.Axes[0].Values = []string{"a-profile-with-a-rather-long-name", "another-with-a-long-name-too", "<script>alert(1)</script>"}
	many := swept([]float64{20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40}, "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11")
	broken := swept([]float64{20, 400})
	broken.Complete = false
	for i := range broken.Points {
		for j := range broken.Points[i].Backends {
			broken.Points[i].Backends[j].Figures = nil
		}
	}
	zero := swept([]float64{0, 10})
	for name, r := range map[string]sweep.Result{
		"nothing": {}, "one point": one, "values that are no numbers": named, "many": many, "without figures": broken, "from zero": zero,
	} {
		t.Run(name, func(t *testing.T) {
			for _, fig := range sweepFigures(r) {
				if len(r.Points) > 0 {
					legible(t, fig)
				}
				if !strings.Contains(fig.caption, "Every figure is simulated") {
					t.Errorf("the caption of %s does not say that its figures are simulated: %s", fig.name, fig.caption)
				}
			}
			files, err := sweepFiles(r, sweepFigures(r))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if f.name != Page && f.name != "report.md" {
					continue
				}
				txt := strings.ReplaceAll(string(f.data), "http://www.w3.org/", "")
				for _, bad := range []string{"<script", "NaN", "+Inf", "http://", "%!"} {
					if strings.Contains(txt, bad) {
						t.Errorf("%s holds %q", f.name, bad)
					}
				}
				if len(r.Points) > 0 && !strings.Contains(txt, "Simulated, not measured: profile two-cores of 2026-11-23") {
					t.Errorf("%s does not say what its figures rest on", f.name)
				}
			}
		})
	}
}

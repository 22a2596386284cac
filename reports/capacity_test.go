package reports

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"origin-storm/storm/capacity"
)

// capacityExample is a made-up report: two backends, one without a cache that is overloaded beyond some loads.
func capacityExample(t *testing.T) capacity.Report {
	t.Helper()
	f, err := os.Open("testdata/capacity.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	var r capacity.Report
	if err := d.Decode(&r); err != nil {
		t.Fatalf("testdata/capacity.json is no capacity.Report: %v", err)
	}
	return r
}

// TestCapacityGolden draws the example and compares every file with the one that was looked at when it was last updated.
func TestCapacityGolden(t *testing.T) {
	r := capacityExample(t)
	files, err := capacityFiles(r, capacityFigures(r))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "capacity", append(files, file{"table.txt", []byte(CapacityTable(r))}))
}

// TestAnyCapacity draws reports of every kind: texts neither overlap nor leave the canvas, pages stand alone, and whatever is shown is
// said to be simulated, with which profile, from when and where, how far off, and what is extrapolated, before anything else.
func TestAnyCapacity(t *testing.T) {
	var nothing capacity.Report
	one := capacityExample(t)
	one.Backends = one.Backends[:1]
	one.Backends[0].Losses, one.Backends[0].Breaks, one.Backends[0].Tick, one.Backends[0].Frontier = nil, nil, nil, nil
	broken := capacityExample(t)
	for i := range broken.Backends {
		b := &broken.Backends[i]
		b.Name = strings.Repeat("long-name-", 3) + string(rune('a'+i))
		b.Target.Holds = false
		for j := range b.Frontier {
			b.Frontier[j].Write, b.Frontier[j].Missed, b.Frontier[j].Holds = capacity.Latency{Note: "too few writes"}, 3, false
		}
		for j := range b.Target.Used {
			b.Target.Used[j].Part, b.Target.Used[j].Peak = 1.4, 1
		}
		for j := range b.Breaks {
			b.Breaks[j].Why = strings.Repeat("the reason is long ", 12)
		}
		for j := range b.Losses {
			b.Losses[j].During.Write = capacity.Latency{Count: 9, Note: "overloaded: it grows as long as the storm lasts"}
			b.Losses[j].What = "<script>alert(1)</script> of everything"
		}
	}
	still := capacityExample(t)
	for i := range still.Backends {
		still.Backends[i].Asked.Viewers = 0
		for j := range still.Backends[i].Frontier {
			still.Backends[i].Frontier[j].Viewers = 0
		}
	}
	for name, r := range map[string]capacity.Report{"usual": capacityExample(t), "nothing": nothing, "no audience": still, "one backend and little of it": one, "broken": broken} {
		t.Run(name, func(t *testing.T) {
			for _, fig := range capacityFigures(r) {
				if len(r.Backends) > 0 {
					legible(t, fig)
				}
				if !strings.Contains(fig.caption, "Every figure is simulated") {
					t.Errorf("the caption of %s does not say that its figures are simulated: %s", fig.name, fig.caption)
				}
			}
			files, err := capacityFiles(r, capacityFigures(r))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				txt := string(f.data)
				if f.name != Page && f.name != "report.md" {
					continue
				}
				for _, bad := range []string{"<script", "NaN", "+Inf", "http://", "%!"} {
					if strings.Contains(strings.ReplaceAll(txt, "http://www.w3.org/", ""), bad) {
						t.Errorf("%s holds %q", f.name, bad)
					}
				}
				top, _, _ := strings.Cut(strings.Split(txt, "plots/")[0], "<figure")
				for _, want := range []string{"Simulated, not measured", r.Profile.Name, r.Profile.Made, r.Profile.Machine, r.Profile.Error} {
					if !strings.Contains(strings.ReplaceAll(top, "\\", ""), want) {
						t.Errorf("%s does not say %q before its first plot", f.name, want)
					}
				}
				if len(r.Profile.Extrapolated) > 0 && !strings.Contains(top, "Extrapolated") {
					t.Errorf("%s does not say what is extrapolated before its first plot", f.name)
				}
			}
			if txt := CapacityTable(r); !strings.Contains(txt, "Simulated, not measured") {
				t.Errorf("CapacityTable does not say that its figures are simulated:\n%s", txt)
			}
		})
	}
}

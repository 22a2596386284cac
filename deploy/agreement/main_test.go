package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"origin-storm/scenarios"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
	"origin-storm/storm/sim/profiles"
)

// Every configuration can be read where make starts the program, and can be simulated.
func TestConfigurations(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	for _, s := range sets {
		files, err := filepath.Glob(filepath.Join("deploy", "agreement", s.name, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("set %s: %d files, %v", s.name, len(files), err)
		}
		fits, heldOut := 0, 0
		for _, file := range files {
			if _, _, err := scenarios.Load(file); err != nil {
				t.Error(err)
			}
			switch name := filepath.Base(file); {
			case strings.HasPrefix(name, "fit-"):
				fits++
			case !strings.HasPrefix(name, "saturation-"):
				heldOut++
			}
		}
		if fits < 3 || heldOut < 2 {
			t.Errorf("set %s: %d configurations to fit on and %d others, want at least 3 and 2", s.name, fits, heldOut)
		}
	}
}

func TestEnding(t *testing.T) {
	s := scenarios.Default()
	s.Readers.Edges, s.Readers.Ramp = 100, &scenarios.Ramp{}
	intervals := func(medians ...float64) (all []record.Interval) {
		all = append(all, record.Interval{At: 0, Seconds: 2, Phase: "", ReadP50: new(9999.0)})
		for i, m := range medians {
			all = append(all, record.Interval{At: float64(2 + 2*i), Seconds: 2, Phase: scenarios.StormPhase, ReadP50: new(m)})
		}
		return all
	}
	for _, c := range []struct {
		name    string
		medians []float64
		edges   float64
		ok      bool
	}{
		{"half way", []float64{10, 10, 10, 490, 900}, 60, true}, // between the middles of the third and the fourth of five
		{"a spike before", []float64{10, 900, 10, 490, 900}, 60, true},
		{"never", []float64{10, 10, 10, 10, 10}, 0, false},
		{"always", []float64{400, 500, 600}, 0, false},
		{"nothing", nil, 0, false},
	} {
		edges, ok := ending(s, intervals(c.medians...))
		if math.Abs(edges-c.edges) > 0.01 || ok != c.ok {
			t.Errorf("%s: ending(%v) = %v, %v, want %v, %v", c.name, c.medians, edges, ok, c.edges, c.ok)
		}
	}
}

func TestMarkdown(t *testing.T) {
	p := profiles.Default()
	p.Backends = map[string]sim.Calibrated{"embedded": {
		Fitted:  []sim.Error{{Run: "20 edges", Figure: "storm publish response p50", Measured: 10, Simulated: 10.5, Unit: "ms"}},
		HeldOut: []sim.Error{{Run: "5 edges", Figure: "storm publish response p50", Measured: 10, CI: &[2]float64{9, 12}, Simulated: 13, Unit: "ms"}, {Run: "5 edges", Figure: "storm publish response p99", Measured: 40, Simulated: 44, Unit: "ms"}},
	}}
	text := table{profile: p, saturation: []sim.Error{{Run: "six servers", Figure: "edges at saturation", Measured: 300, Simulated: 310, Unit: "edges"}}}.markdown(sets[0])
	for _, want := range []string{
		"| 5 edges | storm publish response p50 | 10 [9–12] ms | 13 ms | +30 % | no: more than 10 % |\n|  | storm publish response p99 |",
		"Held out: 0 of 1 p50 and other figures within 10 %, 1 of 1 p99 within 25 %. Fitted on: 1 of 1", "Saturation: 1 of 1 figures within 10 %.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the table does not have %q:\n%s", want, text)
		}
	}
	file := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(file, []byte("before\n<!-- make agreement: real begins -->\nold\n<!-- make agreement: real ends -->\nafter\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := insert(file, "real", "new\n"); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(file); string(b) != "before\n<!-- make agreement: real begins -->\nnew\n<!-- make agreement: real ends -->\nafter\n" {
		t.Errorf("the file is now %q", b)
	}
	if err := insert(file, "modelled", "new\n"); err == nil {
		t.Error("insert into a file without a place for it = nil, want an error")
	}
}

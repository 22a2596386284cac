package stage

import (
	"math"
	"runtime"
	"testing"
	"time"

	"origin-storm/storm/record"
)

func TestReadMachine(t *testing.T) {
	got, ok := readMachine("cpu  1923968 15934 668298 2175174 16838 100 72963 2565 0 0\ncpu0 1 2\n")
	want := machine{all: 48758.40, busy: 26812.63, stolen: 25.65}
	near := func(a, b float64) bool { return math.Abs(a-b) < 0.001 }
	if !ok || !near(got.all, want.all) || !near(got.busy, want.busy) || !near(got.stolen, want.stolen) {
		t.Errorf("readMachine = %+v, %v, want %+v", got, ok, want)
	}
	for _, damaged := range []string{"", "cpu", "intr 1 2 3 4 5 6 7 8", "cpu 1 2 3 x 5 6 7 8"} {
		if got, ok := readMachine(damaged); ok {
			t.Errorf("readMachine(%q) = %+v, want none", damaged, got)
		}
	}
}

// TestStolen: of 100 processor seconds 70 were busy, 40 with the run's own of which 10 are measured, and 5 the hypervisor's. The measured
// waited for 7 s, three sevenths of which were the others' doing.
func TestStolen(t *testing.T) {
	before, after := machine{all: 1000, busy: 500, stolen: 10}, machine{all: 1100, busy: 570, stolen: 15}
	s := stolen(before, after, map[string]float64{"driver": 30, "serve": 10}, 7*time.Second)
	if s == nil || math.Abs(s.Others-0.3) > 1e-9 || math.Abs(s.Hypervisor-0.05) > 1e-9 || math.Abs(s.Free-0.25*float64(runtime.NumCPU())) > 1e-9 {
		t.Fatalf("stolen = %+v, want 30 %%, 5 %% and a quarter of the processors free", s)
	}
	if want := 1 + 0.7*3/7 + 5.0/70; math.Abs(s.Stretch-want) > 1e-9 {
		t.Errorf("stretch = %v, want %v", s.Stretch, want)
	}
	if s := stolen(before, after, map[string]float64{"driver": 40}, 0); s.Stretch != 0 {
		t.Errorf("stretch = %v where it is not known what was measured, want 0", s.Stretch)
	}
	if s := stolen(machine{}, after, nil, 0); s != nil {
		t.Errorf("stolen of a run whose own processes are not known = %+v, want nothing", s)
	}
}

func TestHeadroom(t *testing.T) {
	phase := func(seconds float64, reads int64, gbit float64) record.Phase {
		return record.Phase{Seconds: seconds, ReadGbit: gbit, Operations: []record.Operation{
			{Class: "live-edge", Count: reads}, {Class: "publish", Count: 10, Bytes: 125e6}, {Class: "store-write", Count: 10, Bytes: 125e6}}}
	}
	for _, tt := range []struct {
		name           string
		phases         []record.Phase
		requests, gbit float64
		notes          int
	}{
		{"idle", []record.Phase{phase(10, 0, 0)}, 0.001, 0.01, 0},
		{"half", []record.Phase{phase(10, 0, 0), phase(10, 4990, 4.9)}, 0.5, 0.5, 0},
		{"near the ceiling", []record.Phase{phase(10, 0, 0), phase(10, 8990, 4.9)}, 0.9, 0.5, 1},
	} {
		d := record.Driver{Ceiling: &record.Ceiling{Requests: 1000, Gbit: 10}}
		headroom(&d, []record.Backend{{Phases: tt.phases}})
		if c := d.Ceiling; math.Abs(c.RequestsUsed-tt.requests) > 1e-9 || math.Abs(c.GbitUsed-tt.gbit) > 1e-9 || len(d.Notes) != tt.notes {
			t.Errorf("%s: %+v used, notes %q, want %v, %v, %d notes", tt.name, c, d.Notes, tt.requests, tt.gbit, tt.notes)
		}
	}
}

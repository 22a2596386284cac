package storm_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

type nobody struct{}

func (nobody) Due(time.Duration, storm.Request, *storm.Out) {}
func (nobody) Done(storm.Sample, *storm.Out)                {}

func request(at time.Duration, n int64) storm.Request {
	return storm.Request{At: at, ID: segment.ID{Number: n}}
}

// TestAgendaOrder pushes as it pops, by chance, and compares with a sorted list: planned before put off at one instant, then
// in the order of Push.
func TestAgendaOrder(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var planned []storm.Request
		at := time.Duration(0)
		for n := range int64(400) { // several batches
			at += time.Duration(rng.IntN(3))
			planned = append(planned, request(at, n))
		}
		a := storm.NewAgenda(storm.Plan{Requests: slices.Values(planned)})
		var got, later []storm.Request
		for n := int64(1000); ; {
			want, ok := a.Peek()
			if !ok {
				break
			}
			r := a.Pop()
			if r.At != want {
				t.Fatalf("seed %d: Pop is of %v, Peek said %v", seed, r.At, want)
			}
			got = append(got, r)
			for range rng.IntN(3) {
				if n < 1060 {
					w := request(r.At+time.Duration(rng.IntN(4)), n)
					later = append(later, w)
					a.Push(w)
					n++
				}
			}
		}
		a.Stop()
		want := slices.Concat(planned, later)
		slices.SortStableFunc(want, func(x, y storm.Request) int { return int(x.At - y.At) })
		// What is pushed for an instant after the planned of that instant were popped is still behind them.
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: popped\n%v\nwant\n%v", seed, instants(got), instants(want))
		}
	}
}

func instants(rs []storm.Request) (s []string) {
	for _, r := range rs {
		s = append(s, fmt.Sprint(int64(r.At), ":", r.ID.Number))
	}
	return s
}

func TestAgendaKeepsClients(t *testing.T) {
	made := map[string]int{}
	a := storm.NewAgenda(storm.Plan{Requests: slices.Values([]storm.Request(nil)), Client: func(from string) storm.Client {
		made[from]++
		return nobody{}
	}})
	defer a.Stop()
	for range 3 {
		a.Client("a")
		a.Client("b")
	}
	if made["a"] != 1 || made["b"] != 1 {
		t.Errorf("clients made: %v, want one each", made)
	}
	if _, ok := a.Peek(); ok {
		t.Error("Peek of nothing says that there is something")
	}
}

// TestAgendaStopEndsThePlan: a generator that is not drained is told to stop.
func TestAgendaStopEndsThePlan(t *testing.T) {
	ended := false
	a := storm.NewAgenda(storm.Plan{Requests: func(yield func(storm.Request) bool) {
		defer func() { ended = true }()
		for n := int64(0); yield(request(time.Duration(n), n)); n++ {
		}
	}})
	a.Pop()
	a.Stop()
	if !ended {
		t.Error("the plan's generator still waits after Stop")
	}
}

func TestOK(t *testing.T) {
	err := fmt.Errorf("x")
	for _, tt := range []struct {
		name string
		s    storm.Sample
		want bool
	}{
		{"published", storm.Sample{Request: storm.Request{Put: true}, Status: 201}, true},
		{"published before", storm.Sample{Request: storm.Request{Put: true}, Status: 200}, true},
		{"refused", storm.Sample{Request: storm.Request{Put: true}, Status: 404}, false},
		{"read", storm.Sample{Request: storm.Request{Class: storm.DVR}, Status: 200}, true},
		{"torn", storm.Sample{Request: storm.Request{Class: storm.DVR}, Status: 200, Damage: storm.Torn}, false},
		{"broken off", storm.Sample{Request: storm.Request{Class: storm.DVR}, Status: 200, Err: err}, false},
		{"told that it is not there", storm.Sample{Request: storm.Request{Class: storm.Missing}, Status: 404}, true},
		{"told that it is gone", storm.Sample{Request: storm.Request{Class: storm.Missing}, Status: 410}, true},
		{"given what was not there when it was planned", storm.Sample{Request: storm.Request{Class: storm.Missing}, Status: 200}, true},
		{"not found", storm.Sample{Request: storm.Request{Class: storm.LiveEdge}, Status: 404}, false},
		{"no answer", storm.Sample{Request: storm.Request{Class: storm.LiveEdge}}, false},
	} {
		if got := tt.s.OK(); got != tt.want {
			t.Errorf("OK of one %s = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestOutResets(t *testing.T) {
	var o storm.Out
	o.Send(request(1, 1))
	o.Wait(request(2, 2))
	o.Record(storm.Sample{Err: fmt.Errorf("x")})
	kept := o.Samples
	o.Reset()
	if len(o.Sends)+len(o.Waits)+len(o.Samples) != 0 || cap(o.Sends) == 0 {
		t.Errorf("after Reset: %+v, want nothing in the same memory", o)
	}
	if kept[0].Err != nil {
		t.Error("Reset leaves samples, and what they refer to, in memory")
	}
}

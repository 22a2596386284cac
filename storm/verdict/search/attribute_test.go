package search_test

import (
	"strings"
	"testing"

	"origin-storm/storm/verdict/search"
)

func TestAttribute(t *testing.T) {
	busy := map[string]float64{"driver": 6, "serve": 10, "store": 3} // of 10 s on 2 processors
	idle := map[string]float64{"driver": 1, "serve": 2, "store": 3}
	for _, tt := range []struct {
		name      string
		e         search.Evidence
		what, why string
	}{
		{"driver", search.Evidence{Outcome: search.Untold, Cores: 2, Seconds: 10, CPU: idle}, search.Driver, "could not send in time; 0.60 of 2 processors"},
		{"driver on a full machine", search.Evidence{Outcome: search.Untold, Cores: 2, Seconds: 10, CPU: busy}, search.Driver, "processors were full: 1.90 of 2"},
		{"processors", search.Evidence{Outcome: search.Breaks, Cores: 2, Seconds: 10, CPU: busy, Store: new(0.9)}, search.CPU, "(serve 1.00, driver 0.60, store 0.30)"},
		{"one of them", search.Evidence{Outcome: search.Breaks, Cores: 4, Seconds: 10, CPU: busy, Pinned: map[string]bool{"serve": true, "store": true}}, search.Process, "serve had one processor and took 1.00"},
		{"store", search.Evidence{Outcome: search.Breaks, Cores: 2, Seconds: 10, CPU: idle, Store: new(0.8), Transfer: new(0.9), Broken: "p99"}, search.Store, `80 % of the time of "p99"`},
		{"network", search.Evidence{Outcome: search.Breaks, Cores: 2, Seconds: 10, CPU: idle, Store: new(0.1), Transfer: new(0.7), Broken: "p99"}, search.Network, "70 %"},
		{"nothing else", search.Evidence{Outcome: search.Breaks, Cores: 2, Seconds: 10, CPU: idle, Broken: "p99"}, search.Origin, "neither processors"},
		{"nothing known", search.Evidence{Outcome: search.Breaks, Broken: "p99"}, search.Origin, `"p99" does not hold`},
	} {
		if what, why := search.Attribute(tt.e); what != tt.what || !strings.Contains(why, tt.why) {
			t.Errorf("%s: Attribute = %s, %q; want %s and %q", tt.name, what, why, tt.what, tt.why)
		}
	}
}

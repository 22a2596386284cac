package scenarios

import (
	"fmt"
	"strings"
)

// Embedded returns s with the embedded store in Cassandra's place, so that nothing needs to be installed: the backends
// cassandra and cassandra+cache become embedded and embedded+cache, in thresholds, too. A fault on a Cassandra node is an
// error: there is none to lose.
func (s Scenario) Embedded() (Scenario, error) {
	renamed := map[string]string{}
	backends := make([]Backend, len(s.Backends))
	for i, b := range s.Backends {
		if b.Store == Cassandra {
			name := b.Name
			if name == Cassandra || name == Cassandra+WithCache { // a stand-in never goes by its original's name
				name = Embedded + strings.TrimPrefix(name, Cassandra)
			}
			renamed[b.Name] = name
			b.Name, b.Store, b.Nodes = name, Embedded, 0
			b = b.fill()
		}
		backends[i] = b
	}
	s.Backends = backends
	for i, f := range s.Faults {
		if to := f.To; to.What == OfCassandra {
			return s, &Error{Field: fmt.Sprintf("faults[%d]", i), Msg: fmt.Sprintf("%v is part of a real cluster, and the stores are embedded", to),
				Hint: "run it with --servers docker or --servers native"}
		}
	}
	thresholds := make([]Threshold, len(s.Thresholds))
	for i, t := range s.Thresholds {
		if name, ok := renamed[t.Backend]; ok {
			t.Backend = name
		}
		thresholds[i] = t
	}
	s.Thresholds = thresholds
	return s, s.Validate()
}

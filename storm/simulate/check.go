package simulate

import (
	"fmt"
	"strings"

	"origin-storm/scenarios"
)

// Check returns why s cannot be simulated as it is, whatever the profile, or nil: what is meant for a real machine and has no like in
// the model, by name, with what comes nearest.
func Check(s scenarios.Scenario) error {
	var wrong []string
	add := func(format string, a ...any) { wrong = append(wrong, fmt.Sprintf(format, a...)) }
	for i, b := range s.Backends {
		if b.Edge != "" {
			add("backend %s: edge: %s is a program of its own, and not simulated; readers that are caches like it are: leave edge out, and set readers.viewers with readers.cache=%s", b.Name, b.Edge, b.Edge)
		}
		if b.Cores != nil {
			add("backend %s: backends[%d].cores pins processes to a machine's processors; a simulated machine's cores are shared by all that runs there: leave cores out", b.Name, i)
		}
	}
	for _, t := range s.Thresholds {
		if why := unknown(t); why != "" {
			add("threshold %q: %s: leave it out", t, why)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return refusef("%s cannot be simulated: %s", s.Name, strings.Join(wrong, "; "))
}

// unknown says why nothing in a simulation answers t; empty: it does.
func unknown(t scenarios.Threshold) string {
	switch {
	case t.Subject == scenarios.Drivers:
		return "virtual time has no driver that could lag or drop requests"
	case t.Latency == scenarios.Lag:
		return "virtual time has no driver that could lag"
	case t.Subject == scenarios.EdgeUse:
		return "an edge of its own is not simulated, so nothing is counted there"
	case t.Phase == scenarios.WarmUpPhase:
		return "a simulation has no warm-up"
	case t.Subject == scenarios.Segments && t.Figure == "verified":
		return "simulated answers have no bytes that could be compared"
	}
	return ""
}

package simulate

import (
	"fmt"
	"strings"

	"origin-storm/scenarios"
)

// Check returns why s cannot be simulated as it is, whatever the profile, or nil: what is meant for a real machine and has no like in
// the model, by name, with what comes nearest.
func Check(s scenarios.Scenario) error {
	var wrong, able []string
	add := func(format string, a ...any) { wrong = append(wrong, fmt.Sprintf(format, a...)) }
	for _, b := range s.Backends {
		if b.Edge != "" {
			add("backend %s: edge: %s is a program of its own, and not part of the model: leave edge out, and have readers who are caches like it, with readers.viewers and readers.cache=%s", b.Name, b.Edge, b.Edge)
		}
		if b.Cores != nil {
			add("backend %s: cores: the parts of the model share all cores of a machine, and none is pinned: leave cores out", b.Name)
		}
		if b.Edge == "" && b.Cores == nil {
			able = append(able, b.Name)
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
	if len(able) > 0 && len(able) < len(s.Backends) {
		add("what can be simulated: --backend %s", strings.Join(able, ","))
	}
	return refusef("%s cannot be simulated as it is:\n  %s", s.Name, strings.Join(wrong, "\n  "))
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

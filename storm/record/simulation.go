package record

import (
	"fmt"
	"math"
	"strings"
)

// Sentences say to people what s's figures rest on and how far they can be believed: the profile, its stated error, what was assumed,
// and what is extrapolated.
func (s Simulation) Sentences() []string {
	var all []string
	if s.Profile != "" {
		where := s.Machine
		if s.Made != "" {
			where += ", " + s.Made
		}
		all = append(all, fmt.Sprintf("simulated with the profile %s (%s): %s", s.Profile, where, s.errorText()))
	}
	all = append(all, s.Assumed...)
	for _, e := range s.Extrapolated {
		all = append(all, "extrapolated: "+e)
	}
	return all
}

// errorText says how far off simulated figures were: of runs that the profile was not fitted on, if there were any.
func (s Simulation) errorText() string {
	held := false
	for _, e := range s.Stated {
		held = held || e.HeldOut
	}
	var parts []string
	runs := 0
	for _, e := range s.Stated {
		if e.HeldOut == held {
			parts = append(parts, fmt.Sprintf("%s %s %% (at most %s %%)", e.Figure, percentage(e.Median), percentage(e.Largest)))
			runs = max(runs, e.Runs)
		}
	}
	measured := fmt.Sprintf("%d measured runs", runs)
	if runs == 1 {
		measured = "one measured run"
	}
	switch {
	case len(parts) == 0:
		return "how far off it is was never found out"
	case held:
		return fmt.Sprintf("off by, on %s that it was not fitted on, %s", measured, strings.Join(parts, ", "))
	}
	return fmt.Sprintf("off by, on %s that it was fitted on, which says little about others, %s", measured, strings.Join(parts, ", "))
}

// percentage writes a part as whole percents, of less than ten with a digit more.
func percentage(part float64) string {
	v := 100 * part
	if v < 9.95 {
		return fmt.Sprint(math.Round(v*10) / 10)
	}
	return fmt.Sprintf("%.0f", v)
}

package reports

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"origin-storm/storm"
	"origin-storm/storm/record"
)

// figures returns every figure of a run. All are made even where there is little to show, so that a folder always holds the
// same names; that of a simulated run holds two more.
func figures(run Run) []figure {
	figs := []figure{
		writeLatency(run.Results),
		writePercentiles(run.Results),
		overTime(run),
		slackTimeline(run),
		cacheFigure(run.Results),
	}
	// What only a simulation can show comes where its cause is asked for: after what writes took.
	return slices.Insert(figs, 2, simulatedFigures(run.Results)...)
}

// value returns what p points to, and whether it can be drawn.
func value(p *float64) (float64, bool) {
	if p == nil || math.IsNaN(*p) || math.IsInf(*p, 0) {
		return 0, false
	}
	return *p, true
}

// positive is value for logarithmic axes: what is shorter than a microsecond is drawn as one.
func positive(p *float64) (float64, bool) {
	v, ok := value(p)
	return max(v, 0.001), ok
}

// phases returns a backend's phases that a reader is shown: all but the warm-up, whose figures mislead.
func phases(b record.Backend) []record.Phase {
	return slices.DeleteFunc(slices.Clone(b.Phases), func(p record.Phase) bool { return p.Name == "" || p.Name == "warm-up" })
}

// phase returns the phase of that name.
func phase(b record.Backend, name string) (record.Phase, bool) {
	i := slices.IndexFunc(b.Phases, func(p record.Phase) bool { return p.Name == name })
	if i < 0 {
		return record.Phase{}, false
	}
	return b.Phases[i], true
}

// loaded returns the phase that headlines speak of: the storm, or where there is none the last one.
func loaded(b record.Backend) (record.Phase, bool) {
	if p, ok := phase(b, "storm"); ok {
		return p, true
	}
	if all := phases(b); len(all) > 0 {
		return all[len(all)-1], true
	}
	return record.Phase{}, false
}

// inPhase says a phase's name as a place in time.
func inPhase(name string) string {
	switch name {
	case "storm":
		return "in the storm"
	case "quiet":
		return "in quiet"
	}
	return "in phase " + name
}

// operation returns the phase's operation of a class, or an empty one.
func operation(p record.Phase, class storm.Class) record.Operation {
	for _, op := range p.Operations {
		if op.Class == class.String() {
			return op
		}
	}
	return record.Operation{Class: class.String()}
}

// kind is a backend's name with what its figures are: no name is shown without.
func kind(b record.Backend) string {
	if b.Provenance == "modelled" && b.Profile != "" {
		return fmt.Sprintf("%s (modelled: %s)", b.Name, profileName(b.Profile))
	}
	return fmt.Sprintf("%s (%s)", b.Name, b.Provenance)
}

// profileName is the name alone of a profile that is given with its source.
func profileName(profile string) string {
	name := strings.FieldsFunc(profile, func(r rune) bool { return strings.ContainsRune(":,;( ", r) })
	if len(name) == 0 {
		return profile
	}
	return name[0]
}

// standing is a backend with a figure that headlines rank it by.
type standing struct {
	backend record.Backend
	value   float64
	ci      *[2]float64
}

// rank returns the backends for which of is known, the smallest figure first.
func rank(r record.Results, of func(record.Backend) (*float64, *[2]float64)) []standing {
	var all []standing
	for _, b := range r.Backends {
		p, ci := of(b)
		if v, ok := value(p); ok {
			all = append(all, standing{b, v, ci})
		}
	}
	slices.SortStableFunc(all, func(a, b standing) int { return cmp.Compare(a.value, b.value) })
	return all
}

// apart reports whether two figures differ by more than their intervals: only then is one said to be lower.
func apart(a, b standing) bool {
	return a.ci != nil && b.ci != nil && a.ci[1] < b.ci[0]
}

// segmentName is the segment window in words.
func segmentName(r record.Results) string {
	if !(r.SegmentMS > 0) {
		return "segment"
	}
	return duration(r.SegmentMS) + " segment"
}

// provenances says what the backends' figures are, in one sentence that every figure carries.
func provenances(r record.Results) string {
	var parts []string
	for _, p := range []struct{ name, means string }{
		{"measured", "measured (timed as it ran)"}, {"modelled", "modelled (a profile sets the store's latency)"}, {"simulated", "simulated (nothing ran)"},
	} {
		var names []string
		for _, b := range r.Backends {
			if b.Provenance == p.name {
				names = append(names, b.Name)
			}
		}
		if len(names) > 0 {
			parts = append(parts, strings.Join(names, ", ")+" "+p.means)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "Provenance: " + strings.Join(parts, "; ") + "."
}

// short cuts a text to at most n runes and shows that it did.
func short(txt string, n int) string {
	if r := []rune(txt); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return txt
}

// unique leaves out what was said before.
func unique(texts []string) []string {
	var out []string
	for _, t := range texts {
		if t != "" && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// capital makes the first letter a large one.
func capital(txt string) string {
	r := []rune(txt)
	if len(r) == 0 {
		return txt
	}
	return string(unicode.ToUpper(r[0])) + string(r[1:])
}

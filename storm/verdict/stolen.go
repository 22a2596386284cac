package verdict

import (
	"fmt"
	"slices"
	"strings"

	"origin-storm/storm/record"
)

// discount makes null what other work on the machine may have made. Where others took much of the processors and left none free, what is
// measured worked as many times as long as record.Stolen.Stretch says. How much of a request's time is work and how much is waiting for
// something else is not known, so all of it may be: a figure that could be more than 5 ms and more than 5 % too long by that is null. What
// is short enough stands, whatever the machine was doing.
func discount(r *record.Results) {
	for i := range r.Backends {
		b := &r.Backends[i]
		s := b.Stolen
		if s == nil || s.Part() <= record.Crowded || s.Free >= 1 || s.Stretch <= 1 {
			continue
		}
		part := 1 - 1/s.Stretch // of a figure that is all work
		var lost []string
		for j := range b.Phases {
			p := &b.Phases[j]
			for k := range p.Operations {
				op := &p.Operations[k]
				for _, l := range []struct {
					name string
					*record.Latency
				}{{"response", &op.Response}, {"service", &op.Service}, {"first byte", &op.FirstByte}, {"after answer", &op.AfterAnswer}} {
					gone := discountLatency(l.Latency, part)
					if len(gone) == 0 {
						continue
					}
					note := fmt.Sprintf("other work left no processor free, and may have made up to %.0f %% of %s", 100*part, strings.Join(gone, ", "))
					if l.Note != "" {
						note += "; " + l.Note
					}
					l.Note = note
					lost = append(lost, fmt.Sprintf("%s %s %s %s", p.Name, op.Class, l.name, strings.Join(gone, ", ")))
				}
			}
		}
		if len(lost) > 0 {
			b.Notes = append(b.Notes, fmt.Sprintf("Other processes and the hypervisor took %.0f %% of the processors and left less than one free, so that work took up to %.2f times as long. Null for that: %s.",
				100*s.Part(), s.Stretch, strings.Join(lost, "; ")))
		}
		forgetIsolation(b)
	}
}

// discountLatency makes the figures null of which part could be too much, and returns their names.
func discountLatency(l *record.Latency, part float64) (lost []string) {
	for _, f := range figures(l) {
		if *f.p == nil || !drowned(**f.p, **f.p*(1-part)) {
			continue
		}
		*f.p = nil
		if f.ci != nil {
			*f.ci = nil
		}
		lost = append(lost, f.name)
	}
	l.Points = slices.DeleteFunc(l.Points, func(pt [2]float64) bool { return drowned(pt[1], pt[1]*(1-part)) })
	return lost
}

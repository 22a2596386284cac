// Package verdict says what a run's figures are worth: whether they can be trusted, whether the thresholds hold, how storm
// compares to quiet, and which exit code that makes. It works on what package record counted, measures nothing itself and
// has no clock.
package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"origin-storm/scenarios"
	"origin-storm/storm/record"
)

// The verdicts, as results.json names them.
const (
	passed      = "passed"
	undecided   = "inconclusive"
	failed      = "failed"
	invalid     = "invalid"
	interrupted = "interrupted"
)

// Conditions is what must be known beside the figures to judge a run.
type Conditions struct {
	Thresholds []scenarios.Threshold
	// Events are those of all backends; a death among them is one that no fault asked for.
	Events []record.Event
	// Copies are the lines of segments.ndjson, for thresholds on the segments of one phase. Without them those thresholds
	// cannot be told.
	Copies []record.Copy
	// ClockStepped says by how much the clock jumped during the run; empty: it did not.
	ClockStepped string
	// Interrupted says that the run was stopped before its end.
	Interrupted bool
	// Aborted is why the run was stopped by one of its thresholds, nil if it was not.
	Aborted *Abort
	// Strict takes no uncertain threshold for an answer: a run that would pass is inconclusive.
	Strict bool
}

// Abort says that a threshold can no longer hold, and for which backend.
type Abort struct {
	Backend   string
	Threshold scenarios.Threshold
	At        time.Duration // of the backend's measured run
	Actual    float64       // in the threshold's unit
}

func (a Abort) String() string {
	return fmt.Sprintf("%v stopped the run after %s s: %s", a.Threshold, short(a.At.Seconds()), figure(a.Actual, a.Threshold.Unit))
}

// Broken returns the first of ts that stops a run and can no longer hold with what b says, after so much of its measured run; nil
// if there is none. An estimate has to be on the wrong side of the limit with its whole interval, a share of requests with
// the lower bound of its own (of Clopper and Pearson, at 97.5 %): what may be chance stops no run. seconds is how long a
// segment lasts.
func Broken(ts []scenarios.Threshold, b record.Backend, copies []record.Copy, at time.Duration, seconds float64) *Abort {
	r := record.Results{SegmentMS: seconds * 1000, Backends: []record.Backend{b}}
	for _, t := range ts {
		if !t.Abort || at < t.After || t.Backend != "" && t.Backend != b.Name {
			continue
		}
		a := of(r, b, copies, t)
		if !a.known || t.Holds(a.value) || a.estimated && (a.ci == nil || t.Holds(a.ci[0])) {
			continue
		}
		if t.Unit == "%" && !a.certainly(t.Value) {
			continue
		}
		return &Abort{b.Name, t, at, a.value}
	}
	return nil
}

// Judge completes r: figures that the driver's own lag may have made become null, with a note; the thresholds are held against
// what is left; Verdict, Sentence and Reasons are set. r must be complete otherwise. Judging twice changes nothing.
func Judge(r *record.Results, c Conditions) {
	forget(r)
	discount(r)
	r.Thresholds = []record.Threshold{}
	for _, t := range c.Thresholds {
		r.Thresholds = append(r.Thresholds, evaluate(*r, c.Copies, t)...)
	}

	if a := c.Aborted; a != nil {
		for i := range r.Thresholds {
			t := &r.Thresholds[i]
			switch {
			case t.Text == a.Threshold.String() && t.Backend == a.Backend: // what was answered afterwards does not mend it
				t.OK, t.Aborted, t.Uncertain, t.Note = false, true, false, a.String()
				t.Actual = cmp.Or(t.Actual, &a.Actual)
			case t.Actual == nil:
				t.Note = "the run was stopped before it could be told; " + t.Note
			}
		}
	}

	damage := damages(*r)
	r.Doubts = doubts(*r, c)
	doubts := r.Doubts
	var broken, open []string
	for _, t := range r.Thresholds {
		if !t.OK && t.Actual != nil {
			text := fmt.Sprintf("%s does not hold%s: %s", t.Text, on(*r, t.Backend), figure(*t.Actual, t.Unit))
			if t.Aborted {
				broken = append([]string{t.Note + on(*r, t.Backend)}, broken...)
				continue
			}
			broken = append(broken, text)
		} else if t.Uncertain {
			open = append(open, fmt.Sprintf("%s is uncertain%s: %s", t.Text, on(*r, t.Backend), figure(*t.Actual, t.Unit)))
		}
	}
	r.Reasons = slices.Concat(damage, doubts, broken)
	if c.Strict {
		r.Reasons = append(r.Reasons, open...)
	}
	if r.Reasons == nil {
		r.Reasons = []string{}
	}
	switch {
	case c.Interrupted:
		r.Verdict = interrupted
		r.Reasons = append([]string{"the run was stopped before its end"}, r.Reasons...)
		r.Sentence = "Interrupted: the figures cover what was measured until then" + more(len(r.Reasons)-1) + "."
	case len(damage) > 0:
		r.Verdict, r.Sentence = failed, "Failed: "+damage[0]+more(len(r.Reasons)-1)+"."
	case len(doubts) > 0:
		r.Verdict, r.Sentence = invalid, "Invalid, its figures cannot be relied on: "+doubts[0]+more(len(r.Reasons)-1)+"."
	case len(broken) > 0:
		r.Verdict, r.Sentence = failed, "Failed: "+broken[0]+more(len(r.Reasons)-1)+"."
	case c.Strict && len(open) > 0:
		r.Verdict, r.Sentence = undecided, "Inconclusive: "+open[0]+more(len(r.Reasons)-1)+"."
	default:
		r.Verdict, r.Sentence = passed, "Passed: "+finding(*r)
	}
}

// ExitCode returns the exit code of a run that was judged: the first that applies of Codes.
func ExitCode(r record.Results) Code {
	switch {
	case r.Verdict == interrupted:
		return Interrupted
	case len(damages(r)) > 0:
		return Damaged
	case r.Verdict == invalid:
		return Invalid
	case r.Verdict == failed:
		return Failed
	case r.Verdict == undecided:
		return Inconclusive
	case r.Verdict == passed:
		return Passed
	}
	return Internal
}

// damages says which backends lost or spoilt what they had acknowledged: what record.Segments.Damages counts.
func damages(r record.Results) []string {
	var out []string
	for _, b := range r.Backends {
		var parts []string
		for _, d := range b.Segments.Damages() {
			parts = append(parts, fmt.Sprintf("%d %s", d.Count, d.Kind))
		}
		if len(parts) > 0 {
			out = append(out, fmt.Sprintf("segments damaged%s: %s", on(r, b.Name), strings.Join(parts, ", ")))
		}
	}
	return out
}

// doubts says why the run's figures cannot be relied on.
func doubts(r record.Results, c Conditions) []string {
	out := append([]string{}, impossible(r)...)
	for _, e := range c.Events {
		if e.Kind == "fault-failed" {
			out = append(out, fmt.Sprintf("a fault could not be carried out%s: %s", on(r, e.Backend), e.Text))
		}
		if e.Kind == "death" {
			out = append(out, fmt.Sprintf("a server died that no fault asked to%s: %s, after %s s", on(r, e.Backend), e.Text, short(e.At)))
		}
	}
	for _, b := range r.Backends {
		if s := b.Segments; s.Acknowledged == 0 && s.Published+s.Missed > 0 {
			out = append(out, fmt.Sprintf("not one publish was acknowledged%s: there was nothing to measure", on(r, b.Name)))
		}
	}
	if c.ClockStepped != "" {
		out = append(out, "the clock was stepped during the run: "+c.ClockStepped)
	}
	if n := dropped(r); n > 0 {
		out = append(out, fmt.Sprintf("%d requests could not be sent: the driver was the bottleneck", n))
	}
	for _, t := range r.Thresholds {
		if t.Actual == nil && c.Aborted == nil { // a run that was stopped early has not got everywhere
			out = append(out, fmt.Sprintf("%s could not be told%s: %s", t.Text, on(r, t.Backend), t.Note))
		}
	}
	return out
}

// dropped counts the requests that the driver could not send.
func dropped(r record.Results) (n int64) {
	for _, b := range r.Backends {
		for _, p := range b.Phases {
			for _, op := range p.Operations {
				n += op.Dropped
			}
		}
	}
	return max(n, r.Driver.Dropped)
}

// on names a backend as a place, with what its figures are; nothing for none.
func on(r record.Results, backend string) string {
	if backend == "" {
		return ""
	}
	for _, b := range r.Backends {
		if b.Name == backend && b.Provenance != "" {
			return fmt.Sprintf(" on %s (%s)", backend, b.Provenance)
		}
	}
	return " on " + backend
}

// more counts the reasons that a sentence leaves out.
func more(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more)", n)
}

// finding is what a run that passed found: the write latency of the best and the worst backend.
func finding(r record.Results) string {
	type writer struct {
		where string
		p99   float64
	}
	var all []writer
	var name string
	for _, b := range r.Backends {
		for _, p := range b.Phases {
			for _, op := range p.Operations {
				if p.Name == "storm" && op.Class == "publish" && op.Response.P99 != nil {
					all = append(all, writer{on(r, b.Name), *op.Response.P99})
					name = "write p99 in the storm"
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b writer) int { return cmp.Compare(a.p99, b.p99) })
	said := "nothing was lost, torn or wrong"
	switch n := len(r.Thresholds); n {
	case 0:
	case 1:
		said += ", and the threshold holds"
	default:
		said += fmt.Sprintf(", and all %d thresholds hold", n)
	}
	uncertain := 0
	for _, t := range r.Thresholds {
		if t.Uncertain {
			uncertain++
		}
	}
	if uncertain > 0 {
		said += fmt.Sprintf(", %d of them within the figures' uncertainty", uncertain)
	}
	switch len(all) {
	case 0:
		return said + "."
	case 1:
		return fmt.Sprintf("%s %s%s; %s.", name, figure(all[0].p99, "ms"), all[0].where, said)
	}
	best, worst := all[0], all[len(all)-1]
	return fmt.Sprintf("%s from %s%s to %s%s; %s.", name, figure(best.p99, "ms"), best.where, figure(worst.p99, "ms"), worst.where, said)
}

// figure writes a value with its unit.
func figure(v float64, unit string) string {
	switch unit {
	case "":
		return short(v)
	case "%", "/s":
		return short(v) + unit
	}
	return short(v) + " " + unit
}

// short writes a value with the digits that count.
func short(v float64) string {
	if v == float64(int64(v)) {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', 3+max(0, whole(v)-3), 64)
}

// whole is how many digits stand before the point.
func whole(v float64) int { return len(strconv.FormatInt(int64(max(v, -v)), 10)) }

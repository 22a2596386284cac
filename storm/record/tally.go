package record

import (
	"cmp"
	"slices"

	"origin-storm/origin/segment"
)

// The outcomes of a copy, as segments.ndjson names them: of several the gravest, in this order. Offenders are of the same kinds,
// the last four and OutcomeOK excepted.
const (
	OutcomeCross      = "cross-pipeline" // one pipeline's bytes were served as another's, or those of both in one body
	OutcomeTorn       = "torn"           // served cut short, too long, or with bytes that are no part of it
	OutcomeWrong      = "wrong"          // served whole, but of another segment
	OutcomeStale      = "stale"          // served under an ETag that its packager was never told, or that was not asked for
	OutcomeLost       = "lost"           // acknowledged, inside the DVR window, not readable a second later
	OutcomeMissed     = "missed"         // of a segment: nobody had published it by its deadline
	OutcomeOutOfOrder = "out-of-order"   // of a segment: a reader was taken back to an older answer
	OutcomeLate       = "late"           // first readable after it was due
	OutcomeFaulted    = "faulted"        // not sent, as a fault of the scenario says
	OutcomeFailed     = "failed"         // not acknowledged
	OutcomeOK         = "ok"
)

// Damages are the outcomes that no run may have: what was acknowledged is gone, or what was served is not what it says it is.
// Out-of-order, late and missed are not among them: their bytes are right, and what an operator does on purpose (a mask, a
// copy withdrawn) or a fault of the scenario looks the same from outside; a scenario that forbids them says so in a threshold.
var damages = [...]string{OutcomeLost, OutcomeTorn, OutcomeWrong, OutcomeStale, OutcomeCross}

// Damage is one kind of damage with how many copies suffered it.
type Damage struct {
	Kind  string
	Count int64
}

// Damages returns the kinds of damage that s counts any of: reasons to fail a run, whatever its thresholds.
func (s Segments) Damages() (all []Damage) {
	for _, kind := range damages {
		if n := *s.of(kind); n > 0 {
			all = append(all, Damage{kind, n})
		}
	}
	return all
}

// of is where copies of an outcome are counted; nil where they are not.
func (s *Segments) of(outcome string) *int64 {
	switch outcome {
	case OutcomeCross:
		return &s.Cross
	case OutcomeTorn:
		return &s.Torn
	case OutcomeWrong:
		return &s.Wrong
	case OutcomeStale:
		return &s.Stale
	case OutcomeLost:
		return &s.Lost
	case OutcomeMissed:
		return &s.Missed
	case OutcomeOutOfOrder:
		return &s.OutOfOrder
	}
	return nil
}

// Tally counts lines of segments.ndjson of one backend, all of them or those of one phase; seconds is how long a segment lasts.
// Each copy counts under its gravest outcome alone. n is how many segments there are, whatever their pipelines. Read and Verified,
// which lines do not tell, are 0.
func Tally(lines []Copy, seconds float64) (s Segments, n int64) {
	type id struct {
		event, rendition string
		number           int64
	}
	slack := map[id]*float64{} // of each segment, null where it cannot be told
	var missed []id
	for _, c := range lines {
		of := id{c.Event, c.Rendition, c.Number}
		if c.Sent != nil {
			s.Published++
		}
		if c.Acked != nil {
			s.Acknowledged++
		}
		if sum := s.of(c.Outcome); sum != nil {
			*sum++
		}
		if c.Outcome == OutcomeMissed {
			missed = append(missed, of)
		}
		if c.Number != segment.Init {
			slack[of] = c.Slack
		}
	}
	var all []float64
	for _, v := range slack {
		if v == nil {
			continue
		}
		all = append(all, 1000**v)
		if *v < 0 {
			s.Late++
		}
	}
	slices.Sort(all)
	quantile := func(q float64) *float64 {
		if int64(len(all)) < Needed(q) {
			return nil
		}
		return new(all[rank(q, int64(len(all)))-1])
	}
	s.SlackP50, s.SlackP1 = quantile(0.5), quantile(0.01)
	slices.SortFunc(missed, func(a, b id) int {
		return cmp.Or(cmp.Compare(a.event, b.event), cmp.Compare(a.rendition, b.rendition), cmp.Compare(a.number, b.number))
	})
	gap := 0
	for i, m := range missed {
		if gap++; i > 0 && missed[i-1] != (id{m.event, m.rendition, m.number - 1}) {
			gap = 1
		}
		s.LongestGap = max(s.LongestGap, float64(gap)*seconds)
	}
	return s, int64(len(slack))
}

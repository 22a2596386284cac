package record

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// fates is what is known of every copy, and under a name without pipeline of every segment. Names are kept once each and
// referred to by number, so that a copy takes tens of bytes.
type fates struct {
	names  []segment.ID // without Number
	number map[segment.ID]int32
	of     map[place]fate
	words  []string // outcomes of failures
}

type place struct {
	name   int32
	number int64
}

// fate is what is known of one copy (sent, acknowledged, read back) or segment (awaited, readable).
type fate struct {
	sent         time.Duration // of a segment: when the read was begun that first found it
	acknowledged time.Duration
	readable     time.Duration
	probe        [2]time.Duration // of a segment: when the run's own reader sent the try that was answered, and the answer's first byte
	is           mark
	phase        int16 // of the publish
	served       int32 // of a segment: which name's copy was read first
	probed       int32 // of a segment: which name's copy the run's own reader was answered with
	failure      int32 // index into words
}

// mark is a set of things that happened.
type mark uint16

const (
	sent mark = 1 << iota
	acknowledged
	failed
	faulted
	lost
	torn
	wrong
	stale
	awaited // the run's own reader asked for the segment: somebody expects it
	readable
	asked // readers asked for the segment
	probed
)

// published is what a packager has to do with.
const published = sent | acknowledged | failed | faulted

func newFates() fates {
	return fates{number: map[segment.ID]int32{}, of: map[place]fate{}, words: []string{""}}
}

func (f *fates) name(id segment.ID) int32 {
	id.Number = 0
	n, ok := f.number[id]
	if !ok {
		n = int32(len(f.names))
		f.names = append(f.names, id)
		f.number[id] = n
	}
	return n
}

func (f *fates) place(id segment.ID) place { return place{f.name(id), id.Number} }

func (f *fates) word(s string) int32 {
	if i := slices.Index(f.words, s); i >= 0 {
		return int32(i)
	}
	f.words = append(f.words, s)
	return int32(len(f.words) - 1)
}

// record notes what s tells about a copy or segment. phase is the one in which its first try was meant to start.
func (f *fates) record(s *storm.Sample, phase int) {
	switch {
	case s.Put:
		f.published(s, phase)
	case s.Via != storm.Wire || s.Class == storm.Missing:
	case s.Class == storm.Probe && s.ID.Pipeline != "":
		f.readBack(s)
		f.readOf(s)
	default:
		p := f.place(s.ID.Asked())
		c := f.of[p]
		if s.Class == storm.Probe {
			c.is |= awaited
			if s.OK() && s.First > 0 && (c.is&probed == 0 || s.First < c.probe[1]) {
				c.is |= probed
				c.probe, c.probed = [2]time.Duration{s.Sent, s.First}, f.name(s.ID.Asked().Candidate(s.Pipeline))
			}
		} else {
			c.is |= asked
		}
		f.of[p] = c
		f.readOf(s)
	}
}

func (f *fates) published(s *storm.Sample, phase int) {
	p := f.place(s.ID)
	c := f.of[p]
	if c.is&published == 0 {
		c.phase = int16(phase)
	}
	if s.Via == storm.Wire && (c.is&sent == 0 || s.Sent < c.sent) {
		c.is |= sent
		c.sent = s.Sent
	}
	switch {
	case s.OK():
		if c.is&acknowledged == 0 {
			c.acknowledged = s.Done
		}
		c.is = c.is&^failed | acknowledged
	case errors.Is(s.Err, storm.ErrFault):
		c.is |= faulted
	case !s.Retried && c.is&acknowledged == 0:
		c.is |= failed
		c.failure = f.word(Outcome(*s))
	}
	f.of[p] = c
}

// readBack notes whether an acknowledged copy was there when it was asked for by its ETag. A try that was followed by another,
// that the driver could not send or that was called off says nothing.
func (f *fates) readBack(s *storm.Sample) {
	if s.Retried || s.OK() || s.Damage != storm.None || errors.Is(s.Err, context.Canceled) {
		return
	}
	p := f.place(s.ID)
	c := f.of[p]
	c.is |= lost
	c.failure = f.word("read back: " + Outcome(*s))
	f.of[p] = c
}

// readOf notes what an answer says about the segment it holds.
func (f *fates) readOf(s *storm.Sample) {
	of := s.ID.Asked().Candidate(s.Pipeline)
	if s.Damage != storm.None {
		p := f.place(of) // the segment itself, where the answer names no pipeline
		c := f.of[p]
		c.is |= [...]mark{storm.Torn: torn, storm.Wrong: wrong, storm.Stale: stale}[s.Damage]
		f.of[p] = c
		return
	}
	if !s.OK() {
		return
	}
	at := s.First
	if at == 0 {
		at = s.Done
	}
	p := f.place(s.ID.Asked())
	c := f.of[p]
	if c.is&readable == 0 || at < c.readable {
		c.is |= readable
		c.readable, c.sent, c.served = at, s.Began, f.name(of)
		f.of[p] = c
	}
}

// merge adds what o knows.
func (f *fates) merge(o *fates) {
	for q, d := range o.of {
		id := o.names[q.name]
		id.Number = q.number
		p := f.place(id)
		c := f.of[p]
		if c.is&published == 0 && d.is&published != 0 {
			c.phase = d.phase
		}
		if d.is&sent != 0 && (c.is&sent == 0 || d.sent < c.sent) {
			c.sent = d.sent
		}
		if d.is&acknowledged != 0 && (c.is&acknowledged == 0 || d.acknowledged < c.acknowledged) {
			c.acknowledged = d.acknowledged
		}
		if d.is&readable != 0 && (c.is&readable == 0 || d.readable < c.readable) {
			c.readable, c.sent, c.served = d.readable, d.sent, f.name(o.names[d.served])
		}
		if d.is&probed != 0 && (c.is&probed == 0 || d.probe[1] < c.probe[1]) {
			c.probe, c.probed = d.probe, f.name(o.names[d.probed])
		}
		// As in published: of what was acknowledged, only what its reader met counts.
		if d.failure != 0 && (c.is&acknowledged == 0 || d.is&lost != 0) {
			c.failure = f.word(o.words[d.failure])
		}
		if c.is |= d.is; c.is&acknowledged != 0 {
			c.is &^= failed
		}
		f.of[p] = c
	}
}

// settle makes the lines of segments.ndjson and counts them. r.mu is held.
func (r *Recording) settle() ([]Copy, Segments) {
	f := &r.fates
	type copyOf struct {
		id segment.ID
		fate
	}
	groups := map[segment.ID][]copyOf{}
	for p, c := range f.of {
		id := f.names[p.name]
		id.Number = p.number
		groups[id.Asked()] = append(groups[id.Asked()], copyOf{id, c})
	}
	ids := make([]segment.ID, 0, len(groups))
	for id := range groups {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b segment.ID) int {
		return cmp.Or(cmp.Compare(a.Event, b.Event), cmp.Compare(a.Rendition, b.Rendition), cmp.Compare(a.Number, b.Number))
	})
	var (
		copies []Copy
		sum    = Segments{Read: r.read, Verified: r.right}
		slack  []float64
		gap    int64
		missed segment.ID // the last one
	)
	for _, id := range ids {
		group := groups[id]
		slices.SortFunc(group, func(a, b copyOf) int { return cmp.Compare(a.id.Pipeline, b.id.Pipeline) })
		var whole fate
		if group[0].id.Pipeline == "" {
			whole = group[0].fate
			if whole.is&(torn|wrong|stale) == 0 {
				group = group[1:]
			}
		}
		timed := id.Number != segment.Init
		due := forever
		if timed {
			due = r.c.Due(id)
		}
		expected, inTime, before := whole.is&awaited != 0, false, false // acknowledged by the deadline, and before it was due
		for _, c := range group {
			expected = expected || c.id.Pipeline != "" && c.is&(sent|failed|faulted) != 0
			inTime = inTime || c.is&acknowledged != 0 && (due > forever-segment.Budget || c.acknowledged <= due+segment.Budget)
			before = before || c.is&acknowledged != 0 && c.acknowledged <= due
		}
		// A read that began after the segment was due tells when it was asked for, and not when it could first be read.
		known := timed && whole.is&readable != 0 && due != forever && !(before && whole.sent > due)
		late := known && whole.readable > due
		if late {
			sum.Late++
		}
		if known {
			slack = append(slack, ms(due-whole.readable))
		}
		line := func(id segment.ID, c fate) Copy {
			out := Copy{
				Backend: r.c.Backend, Segment: id.String(), Event: id.Event, Pipeline: id.Pipeline, Rendition: id.Rendition, Number: id.Number,
				Error: f.words[c.failure],
			}
			if due != forever {
				out.Due = seconds(due)
			}
			if c.phase >= 0 && int(c.phase) < len(r.phases) {
				out.Phase = r.phases[c.phase].name
			}
			if c.is&sent != 0 {
				out.Sent = new(seconds(c.sent))
			}
			if c.is&acknowledged != 0 {
				out.Acked = new(seconds(c.acknowledged))
			}
			if whole.is&readable != 0 {
				out.Readable, out.Served = new(seconds(whole.readable)), f.names[whole.served].Pipeline
			}
			if whole.is&probed != 0 && f.names[whole.probed].Pipeline == id.Pipeline && c.is&acknowledged != 0 && whole.probe[0] < c.acknowledged {
				out.Held = new(seconds(whole.probe[1] - c.acknowledged))
			}
			return out
		}
		for _, c := range group {
			if c.is&sent != 0 {
				sum.Published++
			}
			if c.is&acknowledged != 0 {
				sum.Acknowledged++
			}
			for _, damage := range []struct {
				is  mark
				sum *int64
			}{{lost, &sum.Lost}, {torn, &sum.Torn}, {wrong, &sum.Wrong}, {stale, &sum.Stale}} {
				if c.is&damage.is != 0 {
					*damage.sum++
				}
			}
			out := line(c.id, c.fate)
			out.Outcome = c.outcome(late)
			if out.Outcome == "failed" && out.Error == "" {
				out.Error = "not answered"
			}
			copies = append(copies, out)
		}
		if timed && expected && !inTime && due < forever-segment.Budget && due+segment.Budget <= r.end {
			sum.Missed++
			out := line(id, fate{is: awaited, phase: int16(r.during(due))})
			out.Outcome = "missed"
			copies = append(copies, out)
			if gap++; missed != (segment.ID{Event: id.Event, Rendition: id.Rendition, Number: id.Number - 1}) {
				gap = 1
			}
			missed = id
			sum.LongestGap = max(sum.LongestGap, seconds(time.Duration(gap)*r.c.Interval))
		}
	}
	slices.Sort(slack)
	n := int64(len(slack))
	if n >= Needed(0.5) {
		sum.SlackP50 = new(slack[rank(0.5, n)-1])
	}
	if n >= Needed(0.01) {
		sum.SlackP1 = new(slack[rank(0.01, n)-1])
	}
	slices.SortStableFunc(copies, func(a, b Copy) int { return cmp.Compare(a.Number, b.Number) })
	return copies, sum
}

// outcome is the gravest thing that happened to a copy.
func (c fate) outcome(late bool) string {
	switch {
	case c.is&torn != 0:
		return "torn"
	case c.is&wrong != 0:
		return "wrong"
	case c.is&stale != 0:
		return "stale"
	case c.is&lost != 0:
		return "lost"
	case c.is&acknowledged == 0 && c.is&faulted != 0:
		return "faulted"
	case c.is&acknowledged == 0:
		return "failed"
	case late:
		return "late"
	}
	return "ok"
}

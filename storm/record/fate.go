package record

import (
	"bytes"
	"cmp"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// fates is what is known of every copy, and under a name without pipeline of every segment. Names are kept once each and
// referred to by number, so that a copy takes about a hundred bytes.
type fates struct {
	names  []segment.ID // without Number
	number map[segment.ID]int32
	parts  [][]part        // by name: what the copies of one without pipeline are called
	of     map[place]*fate // those that were learned of since the last were packed
	fresh  []fate          // where the next ones are put
	packed [][]byte        // see pack
	most   int             // how many are kept in of
	words  []string        // outcomes of failures, and names of readers
	known  map[string]int32

	order     *order // goes on when a part of a recording ends
	offenders offenders
}

type place struct {
	name   int32
	number int64
}

// part is a copy's name, beside what is asked for.
type part struct {
	pipeline string
	name     int32
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
	by           int32 // of a segment: index into words of who read it first

	acks [2]uint32   // ETags with which a copy was acknowledged
	seen [2]sighting // ETags under which it was served
}

// sighting is an ETag under which a copy was served, and to whom first.
type sighting struct {
	Tag uint32        `json:"tag"` // 0 for none
	By  int32         `json:"by"`  // index into words
	At  time.Duration `json:"at_ns"`
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
	crossed
	disordered
	restless // acknowledged with more ETags than are kept: nothing can be said about those it is served under

	spoilt = torn | wrong | stale | crossed
)

// published is what a packager has to do with.
const published = sent | acknowledged | failed | faulted

// fewOffenders is how many offenders of each kind are named.
const fewOffenders = 5

// offenders are the first few of each kind, in order of time.
type offenders map[string][]Offender

// accuse names an offender, unless enough were found before it; a segment is named once for each kind.
func (f offenders) accuse(o Offender) {
	all := f[o.Kind]
	i, there := slices.BinarySearchFunc(all, o, func(a, b Offender) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Segment, b.Segment)) })
	again := there || slices.ContainsFunc(all[:i], func(a Offender) bool { return a.Segment == o.Segment })
	if again || i >= fewOffenders {
		return
	}
	all = slices.Insert(all, i, o)
	all = append(all[:i+1], slices.DeleteFunc(all[i+1:], func(a Offender) bool { return a.Segment == o.Segment })...)
	f[o.Kind] = all[:min(len(all), fewOffenders)]
}

// found accuses the copy of id for what s shows.
func (f *fates) found(s *storm.Sample, kind string, id segment.ID, is mark, what string) {
	f.at(f.place(id)).is |= is
	f.offenders.accuse(Offender{Kind: kind, Segment: id.String(), Pipeline: id.Pipeline, Reader: s.From, At: seconds(s.Done), What: what})
}

func newFates() fates {
	return fates{most: mostFates, number: map[segment.ID]int32{}, of: map[place]*fate{}, words: []string{""}, known: map[string]int32{"": 0},
		order: newOrder(), offenders: offenders{}}
}

func (f *fates) name(id segment.ID) int32 {
	id.Number = 0
	n, ok := f.number[id]
	if !ok {
		n = int32(len(f.names))
		f.names, f.parts = append(f.names, id), append(f.parts, nil)
		f.number[id] = n
	}
	return n
}

// part is the name of pipeline's copies of what is called asked.
func (f *fates) part(asked int32, pipeline string) int32 {
	if pipeline == "" {
		return asked
	}
	for _, p := range f.parts[asked] {
		if p.pipeline == pipeline {
			return p.name
		}
	}
	n := f.name(f.names[asked].Candidate(pipeline))
	f.parts[asked] = append(f.parts[asked], part{pipeline, n})
	return n
}

// at is what is known of p, to be added to.
func (f *fates) at(p place) *fate {
	c, ok := f.of[p]
	if !ok {
		if len(f.fresh) == 0 {
			f.fresh = make([]fate, 64)
		}
		c = &f.fresh[0]
		f.fresh = f.fresh[1:]
		f.of[p] = c
	}
	return c
}

func (f *fates) place(id segment.ID) place { return place{f.name(id), id.Number} }

func (f *fates) word(s string) int32 {
	i, ok := f.known[s]
	if !ok {
		i = int32(len(f.words))
		f.words = append(f.words, s)
		f.known[s] = i
	}
	return i
}

// record notes what s tells about a copy or segment. phase is the one in which its first try was meant to start; gone is when the
// segment leaves the DVR window.
func (f *fates) record(s *storm.Sample, phase int, gone time.Duration) {
	switch {
	case s.Put:
		f.published(s, phase)
	case s.Via != storm.Wire || s.Class == storm.Missing:
	case s.Class == storm.Probe && s.ID.Pipeline != "":
		f.readBack(s)
		f.readOf(s, f.place(s.ID.Asked()), tagOf(s.ETag))
	default:
		p, tag := f.place(s.ID.Asked()), tagOf(cmp.Or(s.ETag, s.Pipeline))
		c := f.at(p)
		if s.Class == storm.Probe {
			c.is |= awaited
			if s.OK() && s.First > 0 && (c.is&probed == 0 || s.First < c.probe[1]) {
				c.is |= probed
				c.probe, c.probed = [2]time.Duration{s.Sent, s.First}, f.part(p.name, s.Pipeline)
			}
		} else {
			c.is |= asked
		}
		f.readOf(s, p, tag)
		if s.Match != "" {
			return
		}
		if what := f.order.answered(s, tag, s.Done < gone); what != "" {
			f.found(s, OutcomeOutOfOrder, s.ID.Asked(), disordered, what)
		}
	}
}

func (f *fates) published(s *storm.Sample, phase int) {
	c := f.at(f.place(s.ID))
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
		if s.ETag != "" {
			c.acknowledge(tagOf(s.ETag))
		}
	case errors.Is(s.Err, storm.ErrFault):
		c.is |= faulted
	case !s.Retried && c.is&(acknowledged|lost) == 0: // what was lost had been acknowledged, perhaps in an earlier part
		c.is |= failed
		c.failure = f.word(Outcome(*s))
	}
}

// readBack notes whether an acknowledged copy was there when it was asked for by its ETag. A try that was followed by another,
// that the driver could not send or that was called off says nothing.
func (f *fates) readBack(s *storm.Sample) {
	if s.Retried || s.OK() || s.Damage != storm.None || errors.Is(s.Err, context.Canceled) {
		return
	}
	what := "read back: " + Outcome(*s)
	f.at(f.place(s.ID)).failure = f.word(what)
	f.found(s, OutcomeLost, s.ID, lost, what)
}

// acknowledge notes an ETag of which a packager was told that it is its copy's.
func (c *fate) acknowledge(tag uint32) {
	switch {
	case tag == c.acks[0] || tag == c.acks[1]:
	case c.acks[0] == 0:
		c.acks[0] = tag
	case c.acks[1] == 0:
		c.acks[1] = tag
	default:
		c.is |= restless
	}
}

// news reports whether see would note anything of a sighting.
func (c *fate) news(tag uint32, at time.Duration) bool {
	for _, old := range c.seen {
		if old.Tag == 0 || old.Tag == tag {
			return old.Tag == 0 || at < old.At
		}
	}
	return false
}

// see notes an ETag under which a copy was served.
func (c *fate) see(s sighting) {
	for i := range c.seen {
		switch old := &c.seen[i]; {
		case old.Tag == 0, old.Tag == s.Tag && s.At < old.At:
			*old = s
			return
		case old.Tag == s.Tag:
			return
		}
	}
}

// readOf notes what an answer says about the segment it holds, which is p without a pipeline. tag is its ETag's.
func (f *fates) readOf(s *storm.Sample, p place, tag uint32) {
	if s.Damage != storm.None { // of the segment itself, where the answer names no pipeline
		is := [...]mark{storm.Torn: torn, storm.Wrong: wrong, storm.Stale: stale, storm.Cross: crossed}[s.Damage]
		f.found(s, s.Damage.String(), s.ID.Asked().Candidate(s.Pipeline), is, s.Flaw)
		return
	}
	if !s.OK() {
		return
	}
	of := f.part(p.name, s.Pipeline)
	if s.Pipeline != "" && s.ETag != "" {
		if c := f.at(place{of, p.number}); c.news(tag, s.Done) {
			c.see(sighting{tag, f.word(s.From), s.Done})
		}
	}
	at := s.First
	if at == 0 {
		at = s.Done
	}
	if c := f.at(p); c.is&readable == 0 || at < c.readable {
		c.is |= readable
		c.readable, c.sent, c.served, c.by = at, s.Began, of, f.word(s.From)
	}
}

// merge adds what o knows.
func (f *fates) merge(o *fates) {
	for q, c := range o.all() {
		d := *c
		id := o.names[q.name]
		id.Number = q.number
		d.served, d.probed = f.name(o.names[d.served]), f.name(o.names[d.probed])
		d.by, d.failure = f.word(o.words[d.by]), f.word(o.words[d.failure])
		for i := range d.seen {
			d.seen[i].By = f.word(o.words[d.seen[i].By])
		}
		into := f.at(f.place(id))
		*into = into.and(d)
	}
	for _, all := range o.offenders {
		for _, a := range all {
			f.offenders.accuse(a)
		}
	}
}

// and returns what is known of a copy or segment of which c was known, and of what came after it d.
func (c fate) and(d fate) fate {
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
		c.readable, c.sent, c.served, c.by = d.readable, d.sent, d.served, d.by
	}
	if d.is&probed != 0 && (c.is&probed == 0 || d.probe[1] < c.probe[1]) {
		c.probe, c.probed = d.probe, d.probed
	}
	// As in published: of what was acknowledged, only what its reader met counts.
	if d.failure != 0 && (c.is&(acknowledged|lost) == 0 || d.is&lost != 0) {
		c.failure = d.failure
	}
	for _, tag := range d.acks {
		if tag != 0 {
			c.acknowledge(tag)
		}
	}
	for _, seen := range d.seen {
		if seen.Tag != 0 {
			c.see(seen)
		}
	}
	if c.is |= d.is; c.is&acknowledged != 0 {
		c.is &^= failed
	}
	return c
}

// mostFates is how many fates are kept as they are: a quarter of an hour of 20 renditions. The others are packed.
const mostFates = 1 << 14

// pack makes room once there are many fates. Packed they take a quarter of the memory, so that a run can last for many hours; what is
// learned of one after that is added to it in the end, as of a recording that came in parts.
func (f *fates) pack() {
	if len(f.of) < f.most {
		return
	}
	lines := make([]fateLine, 0, len(f.of))
	for p, c := range f.of {
		lines = append(lines, c.line(p))
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(lines); err != nil {
		panic("record: fates cannot be packed: " + err.Error()) // a mistake in their type, whatever they are
	}
	f.packed = append(f.packed, bytes.Clone(b.Bytes()))
	clear(f.of)
	f.fresh = nil
}

// all returns every fate, the packed ones too. They are not to be changed.
func (f *fates) all() map[place]*fate {
	if len(f.packed) == 0 {
		return f.of
	}
	all := map[place]*fate{}
	add := func(p place, c fate) {
		if known := all[p]; known != nil {
			*known = known.and(c)
		} else {
			all[p] = &c
		}
	}
	for _, b := range f.packed {
		var lines []fateLine
		if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&lines); err != nil {
			panic("record: fates cannot be unpacked: " + err.Error()) // as in pack
		}
		for _, l := range lines {
			add(l.fate())
		}
	}
	for p, c := range f.of {
		add(p, *c)
	}
	return all
}

// settle makes the lines of segments.ndjson, by number, name and pipeline, and names the first offenders. r.mu is held.
func (r *Recording) settle() ([]Copy, []Offender) {
	f := &r.fates
	groups := map[segment.ID][]settled{}
	for p, c := range f.all() {
		id := f.names[p.name]
		id.Number = p.number
		groups[id.Asked()] = append(groups[id.Asked()], settled{id, *c})
	}
	ids := slices.SortedFunc(maps.Keys(groups), func(a, b segment.ID) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Event, b.Event), cmp.Compare(a.Rendition, b.Rendition))
	})
	accused := offenders{} // those known before, and those that are found now
	for kind, all := range f.offenders {
		accused[kind] = slices.Clone(all)
	}
	var copies []Copy
	for _, id := range ids {
		group := groups[id]
		slices.SortFunc(group, func(a, b settled) int { return cmp.Compare(a.id.Pipeline, b.id.Pipeline) })
		copies = append(copies, r.settleSegment(id, group, accused)...)
	}
	var named []Offender
	for _, kind := range append(damages[:], OutcomeMissed, OutcomeOutOfOrder, OutcomeLate) {
		named = append(named, accused[kind]...)
	}
	return copies, named
}

// settled is what became of one copy of a segment, or of the segment itself.
type settled struct {
	id segment.ID
	fate
}

// settleSegment makes the lines of one segment. r.mu is held.
func (r *Recording) settleSegment(id segment.ID, group []settled, accused offenders) (copies []Copy) {
	f := &r.fates
	var whole fate
	if group[0].id.Pipeline == "" {
		whole = group[0].fate
		if whole.is&(spoilt|disordered) == 0 {
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
	// Who never hears the answer acknowledges nothing, and what could be read in time was published.
	inTime = inTime || timed && whole.is&readable != 0 && whole.readable <= due+segment.Budget
	var slack *float64
	// A read that began after the segment was due tells when it was asked for, and not when it could first be read.
	if timed && whole.is&readable != 0 && due != forever && !(before && whole.sent > due) {
		slack = new(seconds(due - whole.readable))
	}
	late := slack != nil && *slack < 0
	if late {
		accused.accuse(Offender{Kind: OutcomeLate, Segment: id.String(), Pipeline: f.names[whole.served].Pipeline, Reader: f.words[whole.by],
			At: seconds(whole.readable), What: fmt.Sprintf("readable %.3f s after it was due", -*slack)})
	}
	line := func(id segment.ID, c fate, outcome string) Copy {
		out := Copy{
			Backend: r.c.Backend, Segment: id.String(), Event: id.Event, Pipeline: id.Pipeline, Rendition: id.Rendition, Number: id.Number,
			Slack: slack, Outcome: outcome, Error: f.words[c.failure],
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
		if odd, is, what := c.misnamed(group); is != 0 {
			c.is |= is
			accused.accuse(Offender{Kind: map[mark]string{stale: OutcomeStale, crossed: OutcomeCross}[is], Segment: c.id.String(), Pipeline: c.id.Pipeline,
				Reader: f.words[odd.By], At: seconds(odd.At), What: what})
		}
		out := line(c.id, c.fate, c.outcome(late))
		if c.id.Pipeline == "" {
			out.Phase = r.phaseOf(due)
		}
		if out.Outcome == OutcomeFailed && out.Error == "" {
			out.Error = "not answered"
		}
		copies = append(copies, out)
	}
	if timed && expected && !inTime && due < forever-segment.Budget && due+segment.Budget <= r.end {
		out := line(id, fate{}, OutcomeMissed)
		out.Phase = r.phaseOf(due)
		copies = append(copies, out)
		accused.accuse(Offender{Kind: OutcomeMissed, Segment: id.String(), At: seconds(due + segment.Budget), What: "nobody had published it by its deadline"})
	}
	return copies
}

// phaseOf is the name of the phase that at belongs to, empty between windows.
func (r *Recording) phaseOf(at time.Duration) string {
	if p := r.during(at); p >= 0 {
		return r.phases[p].name
	}
	return ""
}

// misnamed returns an ETag under which c was served though its packager was never told it: another copy's of group, which makes
// it crossed, or one that nobody was told, which makes it stale. Where a packager was told none, or too many, nothing can be
// said.
func (c settled) misnamed(group []settled) (odd sighting, is mark, what string) {
	if c.acks[0] == 0 || c.is&restless != 0 || c.id.Pipeline == "" {
		return sighting{}, 0, ""
	}
	for _, s := range c.seen {
		if s.Tag == 0 || s.Tag == c.acks[0] || s.Tag == c.acks[1] {
			continue
		}
		for _, other := range group {
			if other.acks[0] == s.Tag || other.acks[1] == s.Tag {
				return s, crossed, fmt.Sprintf("served under the ETag of pipeline %s's copy", other.id.Pipeline)
			}
		}
		return s, stale, "served under an ETag that its packager was never told"
	}
	return sighting{}, 0, ""
}

// outcome is the gravest thing that happened to a copy.
func (c fate) outcome(late bool) string {
	switch {
	case c.is&crossed != 0:
		return OutcomeCross
	case c.is&torn != 0:
		return OutcomeTorn
	case c.is&wrong != 0:
		return OutcomeWrong
	case c.is&stale != 0:
		return OutcomeStale
	case c.is&lost != 0:
		return OutcomeLost
	case c.is&disordered != 0:
		return OutcomeOutOfOrder
	case c.is&acknowledged == 0 && c.is&faulted != 0:
		return OutcomeFaulted
	case c.is&acknowledged == 0:
		return OutcomeFailed
	case late:
		return OutcomeLate
	}
	return OutcomeOK
}

package sim

import (
	"time"

	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/storm/sim/engine"
)

// wait is the requests that one node holds for one segment: one poll looks for it, its bytes are fetched once, and all are given the same.
type wait struct {
	n       *node
	seg     *seg
	event   *event // the segment's, and its number: what is asked most often
	number  int64
	members []*exchange
	given   *bodyOf // what those who come now are given
	found   []*copied
	loading bool
	ended   bool

	poll     engine.Event
	quiet    quiet
	quietly  bool // its polls are not events now
	deadline engine.Event
	last     failure   // of the last poll of the store
	looked   bool      // the polls of the store behind a cache have begun
	peeked   time.Time // when the last poll of the cache began
	keys     []string  // what polls of the cache ask for, once there was one
	drawn    string    // what their draws are keyed by
	began    time.Time // when the last poll of the store began; zero: there was none
}

// heard is what the polls of the store have told a node of a segment that was not found so far.
type heard struct {
	polls int64
	last  time.Time
	asked bool
}

// fetchAgain is how long to wait before bytes are fetched again that could not be, and headStart how long the cache has to answer before
// the store behind it is asked, too: as the origin has them.
const (
	fetchAgain = 100 * time.Millisecond
	headStart  = 20 * time.Millisecond
)

// hold has x wait for its segment.
func (n *node) hold(x *exchange) {
	s := x.seg
	if s == nil {
		s = n.m.seg(x.track, x.s.ID.Number)
		x.seg = s
	}
	at := &s.at[n.nth]
	if at.wait == nil {
		at.wait = n.newWait(s)
		at.wait.members = append(at.wait.members, x)
		at.wait.begin()
		return
	}
	if b := at.wait.given; b != nil {
		n.heldGiven(x, b)
		return
	}
	at.wait.members = append(at.wait.members, x)
}

func (n *node) newWait(s *seg) *wait {
	n.m.stats.Awaited++
	return &wait{n: n, seg: s, event: s.track.event, number: s.number}
}

// at is a wall clock's instant of the node as one of the plan.
func (n *node) at(t time.Time) time.Duration { return t.Sub(n.m.c.Start) - n.offset }

func (w *wait) begin() {
	m := w.n.m
	t := w.event.Template
	w.began = w.seg.at[w.n.nth].heard.last
	w.deadline = m.engine.At(max(m.engine.Now(), w.n.at(t.Deadline(w.number))), w.over)
	if len(m.zones) > 0 {
		w.beginCached()
		return
	}
	w.next(policy.Alone)
}

// next waits for the next poll of the store.
func (w *wait) next(source policy.Source) {
	if w.ended {
		return
	}
	at, ok := policy.NextPoll(w.event.Template, w.number, source, w.began)
	if !ok {
		return
	}
	m := w.n.m
	begins := max(m.engine.Now(), w.n.at(at))
	if w.rest(begins, source) {
		return
	}
	w.poll = m.engine.At(begins, func() { w.ask(source) })
}

// ask polls the store.
func (w *wait) ask(source policy.Source) {
	if w.ended || w.n.park(func() { w.ask(source) }) {
		return
	}
	n := w.n
	m := n.m
	w.began = n.clock()
	h := &w.seg.at[n.nth].heard
	h.polls++
	h.last = w.began
	m.stats.StorePolls++
	m.stats.MostStorePolls = max(m.stats.MostStorePolls, h.polls)
	began := w.began
	pipelines, coming := w.candidates()
	if !coming {
		w.finish(absent)
		return
	}
	until := n.at(w.event.Template.Deadline(w.number))
	n.serving.db.commits(w.seg, pipelines, source == policy.Behind, until, func(found []*copied, err failure) {
		w.last = err
		offered := w.offer(found)
		if err == none && !offered && !began.Before(w.event.Template.Due(w.number)) {
			h.asked = true
		}
		if offered { // being read, it needs no second look
			n.m.engine.After(fetchAgain, func() { w.next(source) })
			return
		}
		w.next(source)
	})
}

// candidates are the pipelines to ask for, and whether the segment is still to come.
func (w *wait) candidates() (pipelines []int, coming bool) {
	e := w.event
	return e.order(), !e.Ended || w.number <= e.Last
}

// offer takes what a poll found, and says whether that can be served. While one find is being read, another changes nothing.
func (w *wait) offer(found []*copied) bool {
	copies := ranked(found, w.event.Patient(w.n.clock(), w.number))
	if len(copies) == 0 {
		return false
	}
	if w.ended || w.loading {
		w.found = copies
		return true
	}
	w.fetch(copies)
	return true
}

// fetch reads the bytes.
func (w *wait) fetch(copies []*copied) {
	n := w.n
	w.loading, w.found = true, nil
	until := n.m.engine.Now() + segment.Budget
	n.load(copies, until, w)
}

// loaded is how that ended.
func (w *wait) loaded(err failure) {
	n := w.n
	if err == none {
		w.leave()
		w.seg.at[n.nth].heard = heard{}
		return
	}
	n.m.engine.After(fetchAgain, func() {
		w.loading = false
		if w.ended {
			return
		}
		if n.m.engine.Now() >= n.at(w.event.Template.Deadline(w.number)) {
			w.finish(w.verdict())
			return
		}
		if w.found != nil {
			w.fetch(w.found)
		}
	})
}

// first answers all who wait.
func (w *wait) first(b *bodyOf) {
	w.given = b
	members := w.members
	w.members = nil
	for _, x := range members {
		w.n.heldGiven(x, b)
	}
}

// heldGiven answers x, which was held, with b; or if it asks for another copy, goes on to read that.
func (n *node) heldGiven(x *exchange, b *bodyOf) {
	if x.over {
		return
	}
	n.choose(x.seg, b.copy)
	if !x.wants(b.copy) {
		x.chosen = -1
		n.read(x)
		return
	}
	n.found(x, b)
}

// whole is when all bytes are there: whoever comes now looks anew.
func (w *wait) whole(b *bodyOf) {
	w.close()
	w.n.keep(w.seg, b)
}

func (w *wait) close() {
	if at := &w.seg.at[w.n.nth]; at.wait == w {
		at.wait = nil
	}
}

// over is the deadline.
func (w *wait) over() {
	if w.ended || w.loading {
		return // fetching may outlast the deadline by a little: the segment was published before it
	}
	if w.n.park(w.over) {
		return
	}
	if w.quietly {
		w.rouse()
	}
	w.finish(w.verdict())
}

// verdict is what the deadline means. Without a word from the store, "never published" would be a guess.
func (w *wait) verdict() failure {
	switch {
	case w.seg.at[w.n.nth].heard.asked:
		return absent
	case w.last != none:
		return w.last
	}
	return timedOut
}

// finish answers all who wait that there is nothing.
func (w *wait) finish(err failure) {
	w.leave()
	n := w.n
	now := n.clock()
	members := w.members
	w.members = nil
	for _, x := range members {
		switch {
		case x.over:
		case err == absent:
			x.refuseAs(x.track.event.Decide(now, w.number, policy.Absent, policy.Load{}), now)
		default:
			x.unavailable(err)
		}
	}
}

// leave ends the polls.
func (w *wait) leave() {
	if w.ended {
		return
	}
	w.ended = true
	if w.quietly {
		w.rouse()
	}
	w.close()
	w.n.m.engine.Cancel(w.poll)
	w.n.m.engine.Cancel(w.deadline)
	w.n.serving.polling.leave(w)
}

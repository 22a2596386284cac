package client

import (
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// Edge is a cache node between many readers and the origin: it answers from what it kept for as long as that is fresh, "not
// found" included, and sends one request for all that ask for the same at a time. What failed or came damaged is neither kept
// nor shared: then the next one that waits is sent in its place. NewEdge makes one.
type Edge struct {
	again   Follow
	quantum time.Duration
	limit   int
	kept    map[segment.ID]answer
	order   []segment.ID // of kept, oldest first
	oldest  int          // where order begins
	waiting map[segment.ID][]storm.Request
}

// answer is what an Edge keeps of a Sample.
type answer struct {
	until          time.Duration // the first instant at which it is no longer fresh
	status         int
	bytes          int64
	etag, pipeline string
}

// Caching configures an Edge.
type Caching struct {
	// Again is how the readers behind it behave.
	Again Follow
	// Quantum is how often those that wait for an answer to come look for it; zero: they get it with its last byte. nginx's
	// proxy_cache_lock looks every 500 ms.
	Quantum time.Duration
	// Keep bounds how many answers are kept, the oldest being forgotten first; zero means 4,096.
	Keep int
}

// NewEdge returns an Edge that keeps nothing yet.
func NewEdge(c Caching) *Edge {
	if c.Keep <= 0 {
		c.Keep = 4096
	}
	return &Edge{again: c.Again, quantum: c.Quantum, limit: c.Keep, kept: map[segment.ID]answer{}, waiting: map[segment.ID][]storm.Request{}}
}

// Due answers r from what is kept, lets it wait for an answer on its way, or sends it.
func (e *Edge) Due(now time.Duration, r storm.Request, out *storm.Out) {
	if r.Put || r.Match != "" { // of one copy only: no other answer will do
		out.Send(r)
		return
	}
	name := r.ID.Asked()
	if k, ok := e.kept[name]; ok && now < k.until {
		e.answer(storm.Hit, now, r, k, out)
		return
	}
	if w, flying := e.waiting[name]; flying {
		e.waiting[name] = append(w, r)
		return
	}
	e.waiting[name] = nil
	out.Send(r)
}

// Done gives the answer to all that wait for it, and keeps it while it is fresh.
func (e *Edge) Done(s storm.Sample, out *storm.Out) {
	finish(e.again, s, out)
	if s.Put || s.Match != "" {
		return
	}
	name := s.ID.Asked()
	w := e.waiting[name]
	if s.Err != nil || s.Damage != storm.None {
		if len(w) > 0 {
			e.waiting[name] = w[1:]
			r := w[0]
			r.At = s.Done // it was held up by its edge, not by the driver
			out.Send(r)
		} else {
			delete(e.waiting, name)
		}
		return
	}
	delete(e.waiting, name)
	k := answer{until: s.Done + s.Fresh, status: s.Status, bytes: s.Bytes, etag: s.ETag, pipeline: s.Pipeline}
	if s.Fresh > 0 {
		e.keep(name, k)
	}
	for _, r := range w {
		if e.quantum > 0 {
			r.At += (s.Done - r.At + e.quantum - 1) / e.quantum * e.quantum
			out.Wait(r) // a hit at its next look, if it is still fresh then
			continue
		}
		e.answer(storm.Collapsed, s.Done, r, k, out)
	}
}

func (e *Edge) keep(name segment.ID, k answer) {
	if _, ok := e.kept[name]; !ok {
		e.order = append(e.order, name)
	}
	e.kept[name] = k
	if len(e.kept) > e.limit {
		delete(e.kept, e.order[e.oldest])
		e.order[e.oldest] = segment.ID{}
		e.oldest++
	}
	if e.oldest > e.limit { // give the front of order back
		e.order = append(e.order[:0], e.order[e.oldest:]...)
		e.oldest = 0
	}
}

func (e *Edge) answer(via storm.Via, now time.Duration, r storm.Request, k answer, out *storm.Out) {
	finish(e.again, storm.Sample{
		Request: r, Via: via, Sent: r.At, First: now, Done: now,
		Status: k.status, Bytes: k.bytes, Fresh: max(0, k.until-now), ETag: k.etag, Pipeline: k.pipeline,
	}, out)
}

var _ storm.Client = (*Edge)(nil)

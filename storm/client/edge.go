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
	c       Caching
	kept    map[segment.ID]answer
	order   []segment.ID // of kept, oldest first
	oldest  int          // where order begins
	flights map[segment.ID]*flight
	looks   map[storm.Request]look       // those who wait and look for themselves, by their next look
	aside   map[storm.Request]aside      // sent past the flight of their name
	pass    map[segment.ID]time.Duration // until when requests for it are not collapsed
	purges  int                          // how many of Caching.Purges are behind
}

// answer is what an Edge keeps of a Sample.
type answer struct {
	until          time.Duration // the first instant at which it is no longer fresh
	status         int
	bytes          int64
	etag, pipeline string
	fetching       bool // it is no longer fresh, and somebody fetches it anew
}

// flight is a request to the origin that others wait for.
type flight struct{ waiting []storm.Request }

// look is who waits since when. Equal requests share one.
type look struct {
	since time.Duration
	n     int
}

// aside is what becomes of a request that nobody waits for. Equal requests share one.
type aside struct {
	n         int
	keep      bool // its answer may be kept
	refreshes bool // nobody asked for it: an edge fetches anew what it has given once more
}

// Caching configures an Edge. Its zero value is a cache without a flaw.
type Caching struct {
	// Again is how the readers behind it behave.
	Again Follow
	// Quantum is how often those that wait for an answer to come look for it; zero: they get it with its last byte. nginx's
	// proxy_cache_lock looks every 500 ms.
	Quantum time.Duration
	// LockTimeout is how long those who look wait before they go to the origin themselves, whose answer is then not kept; zero:
	// as long as it takes.
	LockTimeout time.Duration
	// Scatter sends all who wait to the origin at once when the answer may not be kept; else they get it all the same. Those who
	// look for themselves go one by one in either case.
	Scatter bool
	// Pass is for how long after an answer that may not be kept nobody waits for another's; zero: not at all. Varnish's "hit for
	// miss".
	Pass time.Duration
	// Grace is for how long after its life an answer is still given, to all while one request fetches it anew; zero: not at all.
	Grace time.Duration
	// WholeSeconds rounds lifetimes down to them, as Cache-Control has them.
	WholeSeconds bool
	// Apart sends every request for what is not kept.
	Apart bool
	// Purges are the instants at which all that is kept is forgotten, in order.
	Purges []time.Duration
	// Keep bounds how many answers are kept, the oldest being forgotten first; zero means 4,096.
	Keep int
}

// NewEdge returns an Edge that keeps nothing yet.
func NewEdge(c Caching) *Edge {
	if c.Keep <= 0 {
		c.Keep = 4096
	}
	return &Edge{c: c, kept: map[segment.ID]answer{}, flights: map[segment.ID]*flight{}, looks: map[storm.Request]look{}, aside: map[storm.Request]aside{}, pass: map[segment.ID]time.Duration{}}
}

// Due answers r from what is kept, lets it wait for an answer on its way, or sends it.
func (e *Edge) Due(now time.Duration, r storm.Request, out *storm.Out) {
	e.purge(now)
	if r.Put || r.Match != "" { // of one copy only: no other answer will do
		out.Send(r)
		return
	}
	since, looking := e.looked(r)
	name := r.ID.Asked()
	if k, ok := e.kept[name]; ok && now < k.until+e.c.Grace {
		if now >= k.until && !k.fetching {
			k.fetching = true
			e.kept[name] = k
			refresh := r
			refresh.At, refresh.Began, refresh.Try = now, now, 0
			e.send(refresh, aside{keep: true, refreshes: true}, out)
		}
		e.answer(storm.Hit, now, r, k, out)
		return
	}
	f, flying := e.flights[name]
	switch {
	case e.c.Apart, now < e.pass[name]:
		e.send(r, aside{keep: true}, out)
	case !flying:
		e.flights[name] = &flight{}
		out.Send(r)
	case e.c.Quantum <= 0:
		f.waiting = append(f.waiting, r)
	default:
		if !looking {
			since = now
		}
		if e.c.LockTimeout > 0 && now-since >= e.c.LockTimeout {
			e.send(r, aside{}, out)
			return
		}
		r.At = now + e.c.Quantum // it is held up by its edge, not by the driver
		l := e.looks[r]
		e.looks[r] = look{since, l.n + 1}
		out.Wait(r)
	}
}

// looked takes r's turn of looking, and returns since when it waits, if it does.
func (e *Edge) looked(r storm.Request) (since time.Duration, ok bool) {
	l, ok := e.looks[r]
	if l.n--; l.n > 0 {
		e.looks[r] = l
	} else {
		delete(e.looks, r)
	}
	return l.since, ok
}

// send sends r past the flight of its name.
func (e *Edge) send(r storm.Request, a aside, out *storm.Out) {
	a.n = e.aside[r].n + 1
	e.aside[r] = a
	out.Send(r)
}

// Done gives the answer to all that wait for it, and keeps it while it is fresh.
func (e *Edge) Done(s storm.Sample, out *storm.Out) {
	e.purge(s.Done)
	if e.c.WholeSeconds {
		s.Fresh = s.Fresh.Truncate(time.Second)
	}
	name := s.ID.Asked()
	sound := s.Err == nil && s.Damage == storm.None
	k := answer{until: s.Done + s.Fresh, status: s.Status, bytes: s.Bytes, etag: s.ETag, pipeline: s.Pipeline}
	if a, ok := e.aside[s.Request]; ok {
		e.landed(a, k, sound && s.Fresh > 0, s, out)
		return
	}
	finish(e.c.Again, s, out)
	f, flying := e.flights[name]
	if s.Put || s.Match != "" || !flying {
		return
	}
	if !sound {
		if len(f.waiting) > 0 {
			r := f.waiting[0]
			f.waiting = f.waiting[1:]
			r.At = s.Done // it was held up by its edge, not by the driver
			out.Send(r)
			return
		}
		delete(e.flights, name)
		return
	}
	delete(e.flights, name)
	if s.Fresh > 0 {
		e.keep(name, k)
	} else if e.c.Pass > 0 {
		if len(e.pass) >= e.c.Keep {
			clear(e.pass)
		}
		e.pass[name] = s.Done + e.c.Pass
	}
	e.release(f.waiting, k, s, out)
}

// landed is Done of a request that nobody waited for.
func (e *Edge) landed(a aside, k answer, fresh bool, s storm.Sample, out *storm.Out) {
	if a.n--; a.n > 0 {
		e.aside[s.Request] = a
	} else {
		delete(e.aside, s.Request)
	}
	name := s.ID.Asked()
	if a.keep && fresh {
		e.keep(name, k)
		delete(e.pass, name)
	}
	if !a.refreshes {
		finish(e.c.Again, s, out)
		return
	}
	if old, ok := e.kept[name]; ok && !fresh {
		old.fetching = false
		e.kept[name] = old
	}
	out.Record(s)
}

// release is what becomes of those who waited for s without looking for themselves.
func (e *Edge) release(waiting []storm.Request, k answer, s storm.Sample, out *storm.Out) {
	if s.Fresh > 0 || !e.c.Scatter {
		for _, r := range waiting {
			e.answer(storm.Collapsed, s.Done, r, k, out)
		}
		return
	}
	for _, r := range waiting {
		r.At = s.Done
		e.send(r, aside{keep: true}, out)
	}
}

// purge forgets what is kept if an instant of Caching.Purges has come.
func (e *Edge) purge(now time.Duration) {
	for e.purges < len(e.c.Purges) && now >= e.c.Purges[e.purges] {
		e.purges++
		clear(e.kept)
		clear(e.pass)
		e.order, e.oldest = nil, 0
	}
}

func (e *Edge) keep(name segment.ID, k answer) {
	if _, ok := e.kept[name]; !ok {
		e.order = append(e.order, name)
	}
	e.kept[name] = k
	if len(e.kept) > e.c.Keep {
		delete(e.kept, e.order[e.oldest])
		e.order[e.oldest] = segment.ID{}
		e.oldest++
	}
	if e.oldest > e.c.Keep { // give the front of order back
		e.order = append(e.order[:0], e.order[e.oldest:]...)
		e.oldest = 0
	}
}

func (e *Edge) answer(via storm.Via, now time.Duration, r storm.Request, k answer, out *storm.Out) {
	finish(e.c.Again, storm.Sample{
		Request: r, Via: via, Sent: r.At, First: now, Done: now,
		Status: k.status, Bytes: k.bytes, Fresh: max(0, k.until-now), ETag: k.etag, Pipeline: k.pipeline,
	}, out)
}

var _ storm.Client = (*Edge)(nil)

package sim

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// publishing is what a publishing node knows.
type publishing struct {
	n     *node
	feeds map[feedOf]*feedOfNode // what was published last
	db    *client
}

func (p *publishing) init(n *node) {
	p.n = n
	p.feeds = map[feedOf]*feedOfNode{}
	p.db = newClient(n)
}

// publication is one publish at its node.
type publication struct {
	x      *exchange
	copy   *copied
	slot   *slot
	whole  bool // all that is to come of the body has come
	breaks bool // its connection is reset in the midst of it
	keep   time.Duration
	until  time.Duration // its write budget
	began  time.Duration
	write  *write
}

// sendPut begins a publish.
func (r *run) sendPut(x *exchange) {
	q := &x.s.Request
	now := r.engine.Now()
	if q.Twist.Do == storm.NotSent || r.silent[q.ID.Pipeline] > 0 {
		x.s.Sent = now
		x.drop(fmt.Errorf("sim: PUT %v: %w", q.ID, storm.ErrFault))
		return
	}
	x.put = &publication{x: x}
	if !r.publish[share(q.ID.Pipeline, len(r.publish))].arrives(x) {
		return
	}
	size := bytesOf(q)
	x.parts++ // until all that it waits for is known
	switch q.Twist.Do {
	case storm.Deletes:
		size = 0
	case storm.Reconnected:
		x.parts++
		r.after(x.drawn(&r.latency.publish), x.put.arrived)
	case storm.Chained:
		r.chain(x)
	case storm.Trickled:
		r.trickle(x, size)
		return
	}
	if r.breaks(x) {
		size /= 2
		x.parts++
		x.put.breaks = true
		r.engine.Cancel(x.late) // its end is certain, and noticed later than its sender gives up
		r.engine.After(noticed, x.put.arrived)
	}
	// The body comes over the node's link, made by the packager's processor and taken in by the node's, all at once.
	c := &r.c.Costs.Publish
	x.parts++
	x.node.work(c, c.Work(size)-c.PerRequest, 0, x.put.arrived)
	if in := x.node.in; in != nil && size > 0 {
		x.parts++
		in.Add(float64(size), x.put.arrived)
	}
	if r.driver != nil {
		x.parts++
		r.driver.Add((r.c.Costs.Driver.Work(size) - r.c.Costs.Driver.PerRequest).Seconds(), x.put.arrived)
	}
	r.drives()
	x.put.arrived()
}

// arrived is when one of the parts of x's body's way is done.
func (p *publication) arrived() {
	if p.x.parts--; p.x.parts > 0 || p.x.over {
		return
	}
	if p.breaks {
		p.x.loose = true
		p.x.fail(errReset)
		return
	}
	p.whole = true
	p.x.begins()
}

// chain has x's answer come after those of the publishes before it on its rendition's connection.
func (r *run) chain(x *exchange) {
	x.loose = true // the next one will refer to it
	k := feedOf{r.find(x.s.ID), share(x.s.ID.Pipeline, 1<<16)}
	if before := r.chains[k]; before != nil && !before.over {
		before.then, x.held = x, true
	}
	r.chains[k] = x
}

// trickle sends x's body so slowly that its node has had enough before it ends, unless it is small.
func (r *run) trickle(x *exchange, size int64) {
	q := &x.s.Request
	r.engine.Cancel(x.late)
	x.late = r.engine.At(max(r.engine.Now(), q.Began+trickling), x.expire)
	takes := time.Duration(float64(size) / float64(max(1, q.Twist.By)) * float64(time.Second))
	most := trickling
	if t := r.find(q.ID); t != nil {
		most = max(leastBody, 6*t.event.Template.Duration())
	}
	r.engine.After(min(takes, most), func() {
		if x.over {
			return
		}
		if x.put.whole = true; takes > most {
			x.s.Err = fmt.Errorf("sim: PUT %v, %v: %w", q.ID, q.Twist.Do, storm.ErrFault)
			x.put.refuse(408, 0)
			return
		}
		x.begins()
	})
}

// trickling is how long a packager sends a body that never ends, and leastBody how long an origin lets any body come at least.
const (
	trickling = 2 * time.Minute
	leastBody = 30 * time.Second
)

// received is when the whole of what was sent is there.
func (p *publication) received() {
	x := p.x
	n := x.node
	if n.park(p.received) {
		return
	}
	q := &x.s.Request
	r := x.run
	e := r.events[q.ID.Event]
	switch {
	case e == nil || e.pipeline(q.ID.Pipeline) < 0 || e.tracks[q.ID.Rendition] == nil:
		p.refuse(404, 0)
		return
	case q.Twist.Do == storm.Deletes:
		x.s.Status = 200
		x.answer()
		return
	}
	now := n.clock()
	keep := e.Keep(now, q.ID.Number)
	switch {
	case q.ID.Number != segment.Init && q.ID.Number < e.Template.StartNumber, e.TooEarly(now, q.ID.Number):
		p.refuse(400, 0)
		return
	case keep == 0:
		p.refuse(410, 0)
		return
	case bytesOf(q) > e.most:
		p.refuse(413, 0)
		return
	case q.Twist.Do == storm.Cut, q.Twist.Do == storm.Overstated:
		x.s.Status = 400
		x.s.Err = fmt.Errorf("sim: PUT %v, %v: %w", q.ID, q.Twist.Do, storm.ErrFault)
		x.answer()
		return
	}
	t := e.tracks[q.ID.Rendition]
	s := r.seg(t, q.ID.Number)
	x.track, x.seg = t, s
	pipeline := e.pipeline(q.ID.Pipeline)
	p.slot, p.keep, p.until = &s.copies[pipeline], keep, r.engine.Now()+segment.Budget
	p.copy = r.copyOf(p.slot, q)
	if f := n.publishing.feed(p.slot); q.ID.Number != segment.Init && !f.header && !f.looks(r.engine.Now()) {
		until := min(p.until, r.engine.Now()+headerWait)
		n.publishing.db.commits(r.seg(t, segment.Init), []int{pipeline}, false, until, func(found []*copied, _ failure) {
			f.header = f.header || found[0] != nil
			p.inspected()
		})
		return
	}
	p.inspected()
}

// inspected is when it is known what a segment's initialisation segment says, or that it is not to be had.
func (p *publication) inspected() {
	x := p.x
	q := &x.s.Request
	p.copy.flaws = x.node.publishing.inspect(p.slot, q)
	if q.Twist.Do == storm.HungUp { // it is stored, and nobody hears of it
		x.s.Err = fmt.Errorf("sim: PUT %v, %v: %w", q.ID, q.Twist.Do, storm.ErrFault)
		x.s.Bytes = bytesOf(q)
		x.loose = true
		x.end()
	}
	p.slot.lock(p.store)
}

// refuse answers a publish that is not stored. retry is after how many seconds another try is asked for.
func (p *publication) refuse(status int, retry time.Duration) {
	p.x.s.Status, p.x.s.Fresh = status, retry
	p.x.answer()
}

// lock has do called when no other request for the same name is being stored.
func (s *slot) lock(do func()) {
	if s.busy {
		s.waiting = append(s.waiting, do)
		return
	}
	s.busy = true
	do()
}

// unlock lets the next one in.
func (s *slot) unlock() {
	if len(s.waiting) == 0 {
		s.busy = false
		return
	}
	next := s.waiting[0]
	s.waiting = s.waiting[1:]
	next()
}

// store writes the copy, unless another one stands.
func (p *publication) store() {
	n := p.x.node
	first := p.slot.known(n)
	if first == nil && n.publishing.mayStand(p) {
		within := segment.Budget / 4
		if !p.copy.sound() {
			within = segment.Budget * 3 / 4
		}
		n.publishing.db.commits(p.slot.seg, []int{p.slot.pipeline}, false, n.m.engine.Now()+within, func(found []*copied, err failure) {
			switch {
			case err != none && !p.copy.sound():
				p.end(err)
				return
			case found[0] != nil:
				first = found[0]
				p.slot.remember(n, first)
			}
			p.decide(first)
		})
		return
	}
	p.decide(first)
}

// known is the copy that n knows to stand under s's name; nil if it knows none.
func (s *slot) known(n *node) *copied {
	if s.stands == nil || s.since < n.began {
		return nil
	}
	return s.stands
}

// remember has n know which copy stands. A name's publishes always come to one node.
func (s *slot) remember(n *node, c *copied) { s.stands, s.since = c, n.m.engine.Now() }

// mayStand is as the origin's: a copy may have been given to another node, or to this one before it was started.
func (p *publishing) mayStand(u *publication) bool {
	n := u.slot.seg.number
	began := p.n.m.c.Start.Add(p.n.began - startedBefore)
	if p.n.began > 0 {
		began = p.n.m.c.Start.Add(p.n.began)
	}
	return !u.copy.sound() || n == segment.Init || u.slot.seg.track.event.Template.Begins(n).Before(began)
}

// startedBefore is how long before the plan's first instant the nodes were started that nothing has restarted.
const startedBefore = 10 * time.Second

// decide writes the copy, or answers that first stands.
func (p *publication) decide(first *copied) {
	n := p.x.node
	replaces := first != nil && policy.Replaces(p.copy.flaws, first.flaws)
	if first != nil && !replaces {
		p.x.s.ETag, p.x.s.Status = first.etag, 200
		p.slot.unlock()
		p.x.answer()
		return
	}
	e := &n.m.engine
	p.began = e.Now()
	p.copy.published, p.copy.until = p.began, p.began+p.keep
	p.write = n.publishing.db.put(p.copy, p.keep, p.until, func(err failure) {
		p.x.s.Store = (e.Now() - p.began).Truncate(time.Microsecond)
		if err != none {
			p.end(err)
			return
		}
		p.slot.remember(n, p.copy)
		n.m.stats.Published += p.copy.size
		p.x.s.ETag, p.x.s.Status = p.copy.etag, 201
		if replaces {
			p.x.s.Status = 200
		}
		p.slot.unlock()
		n.publishing.ended(p)
		p.x.answer()
	})
}

// end answers a publish that could not be stored.
func (p *publication) end(err failure) {
	p.slot.unlock()
	status, retry := err.status()
	p.refuse(status, retry)
}

// copyOf is the body that q publishes.
func (r *run) copyOf(s *slot, q *storm.Request) *copied {
	t, size := q.Twist, bytesOf(q)
	effect, by := storm.Plain, int64(0)
	if t.Do.InBody() {
		effect, by = t.Do, int64(t.By)
	}
	if t.Do == storm.Understated {
		size = max(0, size-t.By)
	}
	c := r.newCopy(s, size, effect, by)
	c.torn = t.Do == storm.Understated
	return c
}

// newCopy is a body of that size for s, which an effect of the scenario has changed by so much.
func (r *run) newCopy(s *slot, size int64, effect storm.Effect, by int64) *copied {
	c := &copied{slot: s, size: size, effect: effect, by: by}
	id := s.seg.id(s.pipeline)
	if r.c.SameBytes {
		id.Pipeline = ""
	}
	h := uint64(14695981039346656037)
	for _, part := range [...]string{id.Event, id.Pipeline, id.Rendition} {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	h = mix(h ^ uint64(id.Number))
	h = mix(h ^ uint64(c.size)<<8 ^ uint64(c.effect))
	if c.effect != storm.Plain {
		h = mix(h ^ uint64(by))
	}
	c.digest = h
	b := make([]byte, 0, 34)
	b = append(b, '"')
	for _, half := range [...]uint64{h, mix(h)} {
		const hex = "0123456789abcdef"
		for shift := 60; shift >= 0; shift -= 4 {
			b = append(b, hex[half>>shift&15])
		}
	}
	c.etag = string(append(b, '"'))
	c.divide(r.chunk)
	c.zoned = make([]int64, len(r.zones)*c.chunks)
	return c
}

// divide says in what chunks c is kept, of at most so many bytes each, and how long its Commit is: as package storage encodes it.
func (c *copied) divide(chunk int64) {
	id := c.slot.seg.id(c.slot.pipeline)
	c.commit = 4 + 3 + int64(len(id.Event)+len(id.Pipeline)+len(id.Rendition)) + varint(id.Number+1) + 1 + 16 + 32 + varint(c.size) + 4
	if chunk < 0 || c.size <= chunk {
		c.commit += varint(0) + 16 + c.size
		return
	}
	c.chunk, c.chunks = chunk, int((c.size+chunk-1)/chunk)
	c.commit += varint(int64(c.chunks))
	for i := range c.chunks {
		c.commit += 32 + 16 + varint(c.chunkSize(i))
	}
}

// varint is how many bytes the number takes.
func varint(n int64) (bytes int64) {
	for bytes = 1; n >= 0x80; n >>= 7 {
		bytes++
	}
	return bytes
}

// id is the segment's name, as that pipeline publishes it; as readers ask for it with -1.
func (s *seg) id(pipeline int) segment.ID {
	id := segment.ID{Event: s.track.event.name, Rendition: s.track.name, Number: s.number}
	if pipeline >= 0 {
		id.Pipeline = s.track.event.pipelines[pipeline]
	}
	return id
}

// key is the slot's key in the store, as package storage makes it and draws are keyed by it.
func (s *slot) key() string {
	if s.name != "" {
		return s.name
	}
	b := make([]byte, 0, 64)
	b = append(append(append(b, s.seg.track.event.name...), '/'), s.seg.track.name...)
	b = append(b, '/')
	if s.seg.number == segment.Init {
		b = append(b, "init"...)
	} else {
		b = strconv.AppendInt(b, s.seg.number, 10)
	}
	s.name = string(append(append(b, ' '), s.seg.track.event.pipelines[s.pipeline]...))
	return s.name
}

// feedOf names what one pipeline publishes of one rendition.
type feedOf struct {
	track    *track
	pipeline int
}

// feedOfNode is what a publishing node has seen of it.
type feedOfNode struct {
	ends   [16]segmentEnd // of the last ones, the oldest at oldest
	oldest int
	newest int64
	last   int64 // the number that was said to be the last; -1: none

	header bool          // the node has the initialisation segment
	looked time.Duration // when it was last looked for; below 0: it was not
}

// segmentEnd is where a segment ended, in ticks.
type segmentEnd struct {
	known         bool
	number, ticks int64
}

// feed is what p has seen of what is published under s's rendition and pipeline.
func (p *publishing) feed(s *slot) *feedOfNode {
	k := feedOf{s.seg.track, s.pipeline}
	f := p.feeds[k]
	if f == nil {
		f = &feedOfNode{newest: -1, last: -1}
		f.forget()
		p.feeds[k] = f
	}
	return f
}

// forget is the loss of a node's memory. What ends events stands in the store.
func (f *feedOfNode) forget() { f.ends, f.header, f.looked = [16]segmentEnd{}, false, -1 }

// looks reports whether the initialisation segment was looked for a short while ago; else it is now.
func (f *feedOfNode) looks(now time.Duration) bool {
	if f.looked >= 0 && now-f.looked < headerAgain {
		return true
	}
	f.looked = now
	return false
}

// When a node looks for an initialisation segment again that it has not, and for how long, as the origin has them.
const (
	headerAgain = 10 * time.Second
	headerWait  = 250 * time.Millisecond
)

// inspect returns what the origin finds wrong with a body, which is what a fault of the scenario has done to it.
func (p *publishing) inspect(s *slot, q *storm.Request) (flaws policy.Flaws) {
	f := p.feed(s)
	if q.ID.Number == segment.Init {
		f.header = true
		return 0
	}
	// A body has one sample, which lasts as long as it does, in whole ticks of its event's timescale.
	t := s.seg.track.event.Template
	length, scale := t.Rate()
	by := int64(math.Round(float64(q.Twist.By) * float64(scale) / float64(time.Second)))
	begin, lasts := (q.ID.Number-t.StartNumber)*length, length
	switch q.Twist.Do {
	case storm.Slate:
		flaws |= policy.Slate
	case storm.Shifted:
		begin = max(0, begin+by)
	case storm.Shorter:
		lasts = max(0, lasts-by)
	case storm.Understated:
		flaws |= policy.Short
	}
	if end, ok := f.end(q.ID.Number - 1); ok && max(begin-end, end-begin) > max(1, lasts/2) {
		flaws |= policy.Discontinuity
	}
	f.ended(q.ID.Number, begin+lasts)
	if n, off, ok := t.At(begin, scale); !ok || n != q.ID.Number || off.Abs() > t.Duration()/offsetBound {
		flaws |= policy.Discontinuity
	}
	bound := float64(lasts) / 2 * 1.01
	if rest := math.Mod(float64(length), float64(lasts)); rest > 0.01*float64(lasts) && rest < 0.99*float64(lasts) {
		bound = float64(lasts) * 1.01
	}
	if float64(lasts) < float64(length)-max(1, min(bound, float64(length)/lengthBound)) {
		flaws |= policy.Short
	}
	f.newest = max(f.newest, q.ID.Number)
	switch {
	case q.Twist.Do == storm.Last:
		f.last = q.ID.Number
	case f.last >= 0 && q.ID.Number > f.last:
		f.last = -1
	}
	return flaws
}

// How far from where it belongs a segment may be, and by how much shorter than it should be, as a part of its length: as the origin has them.
const (
	offsetBound = 4
	lengthBound = 8
)

// end is where the segment of a number ended, in ticks, if it is one of the last.
func (f *feedOfNode) end(number int64) (ticks int64, ok bool) {
	for _, e := range f.ends {
		if e.known && e.number == number {
			return e.ticks, true
		}
	}
	return 0, false
}

// ended remembers where a segment ended.
func (f *feedOfNode) ended(number, ticks int64) {
	i := slices.IndexFunc(f.ends[:], func(e segmentEnd) bool { return e.known && e.number == number })
	if i < 0 {
		i, f.oldest = f.oldest, (f.oldest+1)%len(f.ends)
	}
	f.ends[i] = segmentEnd{true, number, ticks}
}

// ended tells all nodes when all pipelines of an event have ended with u, as soon as their next look at what is said of it.
func (p *publishing) ended(u *publication) {
	e := u.slot.seg.track.event
	last := int64(-1)
	for i := range e.pipelines {
		over := false
		for _, t := range e.tracks {
			f := p.n.m.feed(t, i)
			if f == nil {
				continue
			}
			if f.last < 0 {
				return
			}
			over = true
			last = max(last, f.newest)
		}
		if !over {
			return
		}
	}
	if !e.Ended || e.Last != last {
		p.n.m.engine.After(controlEvery, func() {
			e.Ended, e.Last = true, last
			p.n.m.wakeAll()
			p.n.m.replan()
		})
	}
}

// controlEvery is how often nodes look for what is said of events.
const controlEvery = 250 * time.Millisecond

// feed is what the publishing nodes know of a pipeline's rendition; a pipeline stays with one node.
func (m *run) feed(t *track, pipeline int) *feedOfNode {
	return m.publish[share(t.event.pipelines[pipeline], len(m.publish))].publishing.feeds[feedOf{t, pipeline}]
}

package sim

import (
	"slices"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/origin/policy"
	"origin-storm/storm/sim/engine"
)

// zone is one cache zone: a copy of everything that was written through or read, as long as it is kept. It has no list of its values: each
// knows after how many bytes it came, and what came before the bytes that fit is gone.
type zone struct {
	m      *run
	nth    int
	nodes  []*node
	meter  *cost.Meter
	faults faults
	frail  bool      // one of its nodes is going to be killed
	flying []*zoneOp // what its nodes are doing then: that ends at once
	limit  int64     // how many bytes fit; 0: all
	bytes  int64     // that were written
	gone   int64     // the value that came as this byte is gone, as are those before it
}

// zoned is what a zone has of a slot's Commits.
type zoned struct {
	copy  *copied
	until time.Duration
	came  int64 // as which byte
}

func newZone(m *run, nth int, nodes []*node) *zone {
	c := &m.c
	return &zone{
		m: m, nth: nth, nodes: nodes, meter: c.Costs.Cache.Meter(c.Seed + uint64(nth) + 1), limit: int64(c.Topology.ZoneMemory),
		faults: faults{seed: c.Seed},
	}
}

// keeps reports whether z still has what came as that byte; 0 never came.
func (z *zone) keeps(came int64) bool { return came > z.gone }

// has returns what z has of a slot's Commit, or of a chunk of a copy; nil if it has nothing.
func (z *zone) has(s *slot, c *copied, chunk int) *copied {
	if chunk == commit {
		if at := &s.zoned[z.nth]; z.keeps(at.came) && z.m.engine.Now() < at.until {
			return at.copy
		}
		return nil
	}
	if z.keeps(c.came(z)[chunk]) {
		return c
	}
	return nil
}

// take puts a value into z. What is written again is new again.
func (z *zone) take(c *copied, chunk int, keep time.Duration) {
	bytes, came := c.commit, z.bytes+1
	if chunk == commit {
		at := &c.slot.zoned[z.nth]
		if z.keeps(at.came) && at.copy.published > c.published {
			return // a newer one was faster
		}
		*at = zoned{c, z.m.engine.Now() + keep, came}
	} else {
		c.came(z)[chunk] = came
		bytes = c.chunkSize(chunk)
	}
	if z.bytes += bytes; z.limit > 0 {
		z.gone = max(z.gone, z.bytes-z.limit)
	}
}

// flush empties z.
func (z *zone) flush() { z.gone = z.bytes }

// node is which of z's nodes has a key.
func (z *zone) node(s *slot, chunk int) *node {
	if len(z.nodes) == 1 {
		return z.nodes[0]
	}
	return z.nodes[s.hash(chunk)%uint64(len(z.nodes))]
}

// zoneOp is one operation of a zone.
type zoneOp struct {
	z     *zone
	n     *node
	asker *node
	life  int // the asker's
	began time.Duration
	w     cost.Work
	keys  []string                        // of an exchange for several values
	do    func() (found bool, size int64) // what the operation does, when it is done: of a read when it has come
	done  func(err failure)
	write bool
	ended bool
	found bool // of a read: there was something
	paid  bool // nothing that it was charged is under way any more
	loose bool // others may still hold it: it is not used again
	size  int64
	late  engine.Event

	expire, begin, pay, complete func()
}

// zoneOp makes an operation of z.
func (m *run) zoneOp(z *zone, asker, n *node, w cost.Work) *zoneOp {
	var o *zoneOp
	if i := len(m.zoneOps); i > 0 {
		o = m.zoneOps[i-1]
		m.zoneOps = m.zoneOps[:i-1]
	} else {
		o = &zoneOp{}
		o.expire, o.begin, o.pay, o.complete = o.expires, o.begins, o.toll, o.paidFor
	}
	o.z, o.asker, o.n, o.w = z, asker, n, w
	return o
}

// recycle lets o be used for another operation, if it has ended and nothing will call it any more.
func (o *zoneOp) recycle() {
	if !o.ended || !o.paid || o.loose {
		return
	}
	m := o.z.m
	*o = zoneOp{expire: o.expire, begin: o.begin, pay: o.pay, complete: o.complete}
	m.zoneOps = append(m.zoneOps, o)
}

// run has o done within a time. done is told none, absent, or why the zone did not do it.
func (o *zoneOp) run(within time.Duration) {
	m := o.z.m
	o.began, o.life = m.engine.Now(), o.asker.life
	o.late = m.engine.After(within, o.expire)
	if o.n.state == dead {
		o.end(failed)
		return
	}
	if o.z.frail {
		o.loose = true
		o.z.flying = append(o.z.flying, o)
	}
	if o.n.park(o.begin) {
		o.loose = true
		return
	}
	o.begins()
}

// expires is when whoever asked waits no longer.
func (o *zoneOp) expires() { o.end(timedOut) }

// dies ends what a node of z is doing.
func (z *zone) dies(n *node) {
	for _, o := range slices.Clone(z.flying) {
		if o.n == n {
			o.end(failed)
		}
	}
}

func (o *zoneOp) end(err failure) {
	if o.ended {
		return
	}
	o.ended = true
	o.z.m.engine.Cancel(o.late)
	if o.z.frail {
		o.z.flying = slices.DeleteFunc(o.z.flying, func(x *zoneOp) bool { return x == o })
	}
	if o.asker.state == halted {
		o.loose = true
		o.asker.park(func() { o.done(err) })
		return
	}
	o.done(err)
}

func (o *zoneOp) begins() {
	if o.ended {
		return
	}
	z := o.z
	if z.faults.some() {
		var wait time.Duration
		err := none
		if o.keys == nil {
			wait, _, err = z.faults.arrive(z.m.engine.Now(), o.w)
		}
		for _, key := range o.keys { // at once
			late, _, bad := z.faults.arrive(z.m.engine.Now(), cost.Work{Key: key})
			if wait = max(wait, late); bad != none && bad != absent {
				err = bad
			}
		}
		if err != none {
			o.end(err)
			return
		}
		if wait > 0 {
			o.loose = true
			z.m.engine.After(wait, o.pay)
			return
		}
	}
	o.toll()
}

func (o *zoneOp) toll() {
	if o.ended {
		return
	}
	m := o.z.m
	if !o.write {
		o.found, o.size = o.do()
		o.w.Size = int(o.size)
	}
	done, _ := o.z.meter.Arrive(m.engine.Now(), o.w)
	if d := &m.latency.cache; !d.IsZero() { // the way to the zone and back, which holds none of its servers
		done += d.Quantile(cost.Draw(m.c.Seed, "way", o.w.Key, o.w.Attempt))
	}
	m.charge(o.asker, o.n, o.write, m.c.Costs.CacheWork.Work(int64(o.w.Size)), int64(o.w.Size), done, o.complete)
}

// paidFor is when the zone has done what o was charged.
func (o *zoneOp) paidFor() {
	o.paid = true
	o.completes()
	o.recycle()
}

func (o *zoneOp) completes() {
	if o.ended {
		return
	}
	if o.n.park(o.complete) {
		o.loose = true
		return
	}
	switch {
	case o.n.state == dead || o.began < o.n.began || o.life != o.asker.life:
		o.end(failed)
	case o.write:
		o.do()
		o.end(none)
	case o.found:
		o.end(none)
	default:
		o.end(absent)
	}
}

// charge has done called at an instant, or later by as much as work has to wait for n's processors, which others use as well, and not before
// bytes have passed n's link and that of who asked. The instant has in it what the work takes by itself.
func (m *run) charge(asker, n *node, write bool, work time.Duration, bytes int64, at time.Duration, done func()) {
	t := m.toll(at, done)
	t.charge(asker, n, write, work, bytes)
	t.run()
}

// toll is what an operation is charged by one node, or by several at all of which it has to be done. Each part of that comes to its node at
// once. An event is needed only when all of them could have ended if they had nothing beside them, and after that at the ends of those that
// took longer. It is used again once all parts have ended, as nothing takes them back.
type toll struct {
	m     *run
	began time.Duration
	at    time.Duration // not before this
	soon  time.Duration // when it could be done
	late  time.Duration // when it is, as far as is known
	done  func()
	parts [6]part // the first n of them
	n     int

	look, end func()
}

// part is a piece of an operation's work, at one of the model's resources.
type part struct {
	engine.Work
	takes time.Duration // of processors, by itself; 0 of links
	ended bool
}

// toll makes one for what is not done before an instant.
func (m *run) toll(at time.Duration, done func()) *toll {
	var t *toll
	if i := len(m.tolls); i > 0 {
		t = m.tolls[i-1]
		m.tolls = m.tolls[:i-1]
	} else {
		t = &toll{m: m}
		t.look, t.end = t.looks, t.ends
	}
	now := m.engine.Now()
	t.began, t.at, t.soon, t.late, t.done, t.n = now, at, max(at, now), at, done, 0
	return t
}

// room reports whether another node can charge its part.
func (t *toll) room() bool { return t.n+3 <= len(t.parts) }

// charge has n do its part. The bytes of what is written come over the link of who asks, and those of what is read go there.
func (t *toll) charge(asker, n *node, write bool, work time.Duration, bytes int64) {
	link, far := n.out, asker.in
	if write {
		link, far = n.in, asker.out
	}
	if n.cores != nil && work > 0 {
		t.bring(n.cores, work.Seconds(), work)
	}
	if link != nil && bytes > 0 {
		t.bring(link, float64(bytes), 0)
	}
	if far != nil && bytes > 0 {
		t.bring(far, float64(bytes), 0)
	}
}

func (t *toll) bring(s *engine.Share, work float64, takes time.Duration) {
	p := &t.parts[t.n]
	t.n++
	p.takes, p.ended = takes, false
	s.Bring(work, &p.Work)
	t.soon = max(t.soon, t.began+s.Least(work))
}

// run waits for the end of all that was charged.
func (t *toll) run() { t.m.engine.At(t.soon, t.look) }

// looks is when t could be done. Of the parts that are not, the one that is likely to be the last is waited for.
func (t *toll) looks() {
	var last *part
	var longest time.Duration
	for i := range t.parts[:t.n] {
		p := &t.parts[i]
		if p.ended {
			continue
		}
		end, ok := p.End()
		if !ok {
			if left := p.Left(); last == nil || left > longest {
				last, longest = p, left
			}
			continue
		}
		p.ended = true
		t.late = max(t.late, end)
		if p.takes > 0 {
			t.late = max(t.late, t.at+end-t.began-p.takes)
		}
	}
	switch {
	case last != nil:
		last.Tell(t.look)
	case t.late > t.m.engine.Now():
		t.m.engine.At(t.late, t.end)
	default:
		t.ends()
	}
}

func (t *toll) ends() {
	done := t.done
	t.done = nil
	t.m.tolls = append(t.m.tolls, t)
	done()
}

// How a node uses its cache zones, as the origin has it: package kv, NewCache and zone.
const (
	zoneWait    = 10 * time.Millisecond
	readWait    = 100 * time.Millisecond
	readsAtOnce = 16
	zoneTimeout = time.Second
	breakAfter  = 5
	probeEvery  = time.Second
	maxPending  = 256
	zoneLate    = time.Second
)

// caches is a node's cache in front of one table of the store: that of the Commits, or that of the chunks.
type cache struct {
	c       *client
	chunks  bool
	zones   []breaker // nearest first
	reading int
	line    []func() // reads that wait for their turn
	flights map[flightOf]*flight
}

// flightOf names a value.
type flightOf struct {
	slot  *slot
	copy  *copied // of a chunk
	chunk int
}

// flight is a read of the durable store, and those who wait for it.
type flight struct {
	waiting []func(*copied, failure)
	ended   bool
	found   *copied
	err     failure
}

// breaker is a zone as a node sees it: after several failures in a row it is left alone but for one operation each second.
type breaker struct {
	z       *zone
	fails   int
	open    bool
	probe   time.Duration
	pending int
}

func (b *breaker) up(now time.Duration) bool {
	if !b.open {
		return true
	}
	if now < b.probe {
		return false
	}
	b.probe = now + probeEvery
	return true
}

func (b *breaker) told(now time.Duration, err failure) {
	if err == none || err == absent || err == tooLarge {
		b.fails, b.open = 0, false
		return
	}
	if b.fails++; b.fails >= breakAfter && !b.open {
		b.open, b.probe = true, now+probeEvery
	}
}

func newCache(c *client, chunks bool) *cache {
	h := &cache{c: c, chunks: chunks, flights: map[flightOf]*flight{}}
	all := c.m.zones
	for i := range all {
		h.zones = append(h.zones, breaker{z: all[(c.n.nth+i)%len(all)]})
	}
	return h
}

// get reads a value from the nearest zone that is up, or else from the durable store; uncached from the latter at once. missed, unless it
// is nil, is called when no zone has it.
func (h *cache) get(s *slot, v *copied, chunk int, uncached bool, until time.Duration, missed func(), done func(*copied, failure)) {
	if uncached {
		h.fly(s, v, chunk, until, done)
		return
	}
	m := h.c.m
	var l *lookup
	if i := len(m.lookups); i > 0 {
		l = m.lookups[i-1]
		m.lookups = m.lookups[:i-1]
	} else {
		l = &lookup{}
		l.begin, l.read, l.told = l.begins, l.reads, l.answered
	}
	l.h, l.slot, l.copy, l.chunk, l.until, l.missed, l.done = h, s, v, chunk, until, missed, done
	h.enter(l.begin)
}

// lookup is a read of a cache, zone by zone. It keeps its steps, and is used again when it has ended.
type lookup struct {
	h      *cache
	slot   *slot
	copy   *copied
	chunk  int
	until  time.Duration // of the read of the store behind
	missed func()
	done   func(*copied, failure)

	zone   int           // that is asked
	within time.Duration // when no further zone is asked
	found  *copied

	begin func()
	read  func() (bool, int64)
	told  func(failure)
}

// recycle lets l, which has ended, be used again, and returns what it was.
func (l *lookup) recycle() lookup {
	was := *l
	*l = lookup{begin: l.begin, read: l.read, told: l.told}
	m := was.h.c.m
	m.lookups = append(m.lookups, l)
	return was
}

// begins is when it is l's turn.
func (l *lookup) begins() {
	l.within = l.h.c.m.engine.Now() + readWait
	l.next()
}

// behind reads the durable store, as no zone has the value.
func (l *lookup) behind() {
	l.h.leave()
	was := l.recycle()
	h := was.h
	h.c.count(false)
	if was.missed != nil {
		was.missed()
	}
	h.fly(was.slot, was.copy, was.chunk, was.until, was.done)
}

// reads is when the zone looks.
func (l *lookup) reads() (bool, int64) {
	if l.found = l.h.zones[l.zone].z.has(l.slot, l.copy, l.chunk); l.found == nil {
		return false, 0
	}
	return true, l.found.bytes(l.chunk)
}

// answered is when the zone has.
func (l *lookup) answered(err failure) {
	h := l.h
	h.zones[l.zone].told(h.c.m.engine.Now(), err)
	switch err {
	case none:
		h.leave()
		h.c.count(true)
		was := l.recycle()
		was.done(was.found, none)
	case absent:
		l.behind()
	default:
		l.zone++
		l.next()
	}
}

// enter has do called when there is room for another read of the zones. leave follows it.
func (h *cache) enter(do func()) {
	if h.reading >= readsAtOnce {
		h.line = append(h.line, do)
		return
	}
	h.reading++
	do()
}

func (h *cache) leave() {
	if len(h.line) > 0 {
		do := h.line[0]
		h.line = h.line[1:]
		do()
		return
	}
	h.reading--
}

// next asks the next zone that is up.
func (l *lookup) next() {
	h := l.h
	m := h.c.m
	now := m.engine.Now()
	for ; l.zone < len(h.zones) && !h.zones[l.zone].up(now); l.zone++ {
	}
	if l.zone == len(h.zones) || now >= l.within ||
		m.missesOnPurpose(l.slot, l.copy, l.chunk) { // then no zone is asked, as in the origin
		l.behind()
		return
	}
	z := h.zones[l.zone].z
	o := m.zoneOp(z, h.c.n, z.node(l.slot, l.chunk), cost.Work{Key: key(l.slot, l.copy, l.chunk)})
	o.do, o.done = l.read, l.told
	o.run(l.within - now)
}

// missesOnPurpose reports whether a read of the cache is one of those that are made misses.
func (m *run) missesOnPurpose(s *slot, c *copied, chunk int) bool {
	share := m.c.Topology.MissRatio
	return share > 0 && cost.Draw(m.c.Seed, "miss", key(s, c, chunk), 0) < share
}

// bytes is how long the value is that holds c's Commit, or one of its chunks.
func (c *copied) bytes(chunk int) int64 {
	if chunk == commit {
		return c.commit
	}
	return c.chunkSize(chunk)
}

// count counts a read of the cache.
func (c *client) count(hit bool) {
	if !c.serving {
		return
	}
	c.m.stats.CacheReads++
	if hit {
		c.m.stats.CacheHits++
	}
}

// fly reads a value from the durable store, once for all who ask meanwhile, and fills the zones with it.
func (h *cache) fly(s *slot, v *copied, chunk int, until time.Duration, done func(*copied, failure)) {
	k := flightOf{s, v, chunk}
	if f := h.flights[k]; f != nil {
		if f.ended {
			done(f.found, f.err)
			return
		}
		f.waiting = append(f.waiting, done)
		return
	}
	f := &flight{waiting: []func(*copied, failure){done}}
	h.flights[k] = f
	o := h.c.m.op(h.c, s, v, chunk, until)
	o.done = func(found *copied, err failure) {
		f.ended, f.found, f.err = true, found, err
		left := 1
		filled := func() {
			if left--; left == 0 && h.flights[k] == f {
				delete(h.flights, k)
			}
		}
		if err == none {
			if keep := h.keep(found, 0); keep > 0 {
				for i := range h.zones {
					left++
					h.write(&h.zones[i], found, chunk, keep, filled)
				}
			}
		}
		waiting := f.waiting
		f.waiting = nil
		filled()
		for _, done := range waiting {
			done(found, err)
		}
	}
	o.run()
}

// keep is how long a zone may keep a value that is put to be kept for asked, or with asked 0 was read: storage.CommitKeep and ChunkKeep.
func (h *cache) keep(c *copied, asked time.Duration) time.Duration {
	if h.chunks {
		if asked == 0 {
			return policy.DefaultDVR
		}
		return asked
	}
	now := h.c.m.engine.Now()
	left := c.until - now
	if asked > 0 {
		left = min(left, asked)
	}
	return policy.Settled(now-c.published+zoneLate, c.flaws, left)
}

// write begins to write a value to a zone that is up; done is called when that has ended, however.
func (h *cache) write(b *breaker, c *copied, chunk int, keep time.Duration, done func()) {
	m := h.c.m
	if !b.up(m.engine.Now()) || b.pending >= maxPending {
		done()
		return
	}
	b.pending++
	o := m.zoneOp(b.z, h.c.n, b.z.node(c.slot, chunk), cost.Work{Write: true, Key: key(c.slot, c, chunk), Size: int(c.bytes(chunk))})
	o.write = true
	o.do = func() (bool, int64) {
		b.z.take(c, chunk, keep)
		m.seen(b.z, c.slot)
		return true, 0
	}
	o.done = func(err failure) {
		b.pending--
		b.told(m.engine.Now(), err)
		done()
	}
	o.run(zoneTimeout)
}

// put writes a value to the durable store and through to the zones, which it waits for no longer than zoneWait beyond the store. Chunks,
// whose values never change, are written to both at once.
func (h *cache) put(v *copied, chunk int, began, until, keep time.Duration, done func(failure)) {
	m := h.c.m
	left, stored, waiting := 0, false, time.Duration(0)
	var late engine.Event
	over := false
	finish := func() {
		if over {
			return
		}
		over = true
		m.engine.Cancel(late)
		m.waited(m.engine.Now() - waiting)
		done(none)
	}
	through := func() {
		k := h.keep(v, keep)
		if k <= 0 {
			return
		}
		for i := range h.zones {
			left++
			h.write(&h.zones[i], v, chunk, k, func() {
				if left--; left == 0 && stored {
					finish()
				}
			})
		}
	}
	if h.chunks {
		left = 1
		through()
		left--
	}
	h.c.putDurable(v, chunk, began, until, func(err failure) {
		if err != none {
			done(err)
			return
		}
		waiting = m.engine.Now()
		if !h.chunks {
			left = 1
			through()
			left--
		}
		stored = true
		if left == 0 {
			finish()
			return
		}
		late = m.engine.After(zoneWait, finish)
	})
}

// cachePolls are the polls of the cache for all segments that a node awaits: one exchange with it each time that policy says, for all of
// them.
type cachePolls struct {
	n       *node
	awaited []*wait
	event   engine.Event
	busy    bool    // a poll is under way
	left    int     // exchanges of it that have not ended
	due     []*wait // whom it asks for
	memo    nextPoll
	quietly bool    // those in vain are not events
	load    float64 // what they take of the zones' processors meanwhile, in cores

	tick, ended func()
}

// nextPoll is what policy.NextPoll has said last: segments of one number are polled for together.
type nextPoll struct {
	event  *event
	number int64
	last   time.Time
	at     time.Time
	ok     bool
}

// next is when the cache is asked for w next.
func (p *cachePolls) next(w *wait) (time.Time, bool) {
	m := &p.memo
	if m.event != w.event || m.number != w.number || m.last != w.peeked {
		*m = nextPoll{event: w.event, number: w.number, last: w.peeked}
		m.at, m.ok = policy.NextPoll(w.event.Template, m.number, policy.Cache, m.last)
	}
	return m.at, m.ok
}

// lookAtOnce is how many segments one exchange with the cache looks for, as the origin has it.
const lookAtOnce = 16

// beginCached looks at once, and has w polled for.
func (w *wait) beginCached() {
	m := w.n.m
	p := &w.n.serving.polling
	first, _ := policy.NextPoll(w.event.Template, w.number, policy.Cache, time.Time{})
	m.engine.At(max(m.engine.Now(), w.n.at(first)), func() {
		if w.ended {
			return
		}
		p.exchange([]*wait{w}, func() {
			if w.found == nil && !w.loading {
				w.look()
			}
		})
	})
	m.engine.After(headStart, w.look)
	w.peeked = w.n.clock()
	p.awaited = append(p.awaited, w)
	p.plan()
}

// look begins the polls of the store behind the cache.
func (w *wait) look() {
	if !w.looked && !w.ended {
		w.looked = true
		w.next(policy.Behind)
	}
}

// plan waits for the next poll of the cache that is an event.
func (p *cachePolls) plan() {
	m := p.n.m
	if p.busy {
		return
	}
	m.engine.Cancel(p.event)
	p.event = engine.Event{}
	if p.rest() {
		return
	}
	var next time.Time
	for _, w := range p.awaited {
		if at, ok := p.next(w); ok && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if !next.IsZero() {
		p.event = m.engine.At(max(m.engine.Now(), p.n.at(next)), p.tick)
	}
}

// ticks is a poll of the cache for all whose time has come.
func (p *cachePolls) ticks() {
	p.event = engine.Event{}
	if p.n.park(p.tick) {
		return
	}
	p.rouse()
	now := p.n.clock()
	batch := p.due[:0]
	for _, w := range p.awaited {
		if at, ok := p.next(w); ok && !at.After(now) {
			w.peeked = now
			batch = append(batch, w)
		}
	}
	p.due = batch
	if len(batch) == 0 {
		p.plan()
		return
	}
	p.busy = true
	p.left = 1
	for len(batch) > 0 {
		part := batch[:min(len(batch), lookAtOnce)]
		batch = batch[len(part):]
		p.left++
		p.exchange(part, p.ended)
	}
	p.ended()
}

// ends is when one of the exchanges of a poll has ended.
func (p *cachePolls) ends() {
	if p.left--; p.left == 0 {
		p.busy = false
		p.ticks()
	}
}

// exchange asks the cache for the segments of batch, lookAtOnce at most.
func (p *cachePolls) exchange(batch []*wait, done func()) {
	m := p.n.m
	keys := 0
	for _, w := range batch {
		pipelines, coming := w.candidates()
		if !coming {
			w.finish(absent)
		}
		keys += len(pipelines)
	}
	m.stats.Polls += int64(len(batch))
	m.stats.PollKeys += int64(keys)
	var k *peek
	if i := len(m.peeks); i > 0 {
		k = m.peeks[i-1]
		m.peeks = m.peeks[:i-1]
	} else {
		k = &peek{}
		k.look, k.told = k.looks, k.answered
	}
	k.p, k.zone, k.until, k.done = p, 0, m.engine.Now()+readWait, done
	k.n = copy(k.batch[:], batch)
	k.ask()
}

// peek is an exchange with the cache for segments that are awaited. It keeps its steps, and is used again when it has ended.
type peek struct {
	p     *cachePolls
	batch [lookAtOnce]*wait // the first n of them
	n     int
	zone  int // that is asked
	until time.Duration
	keys  []string
	found []*copied        // what was there for the first of batch, by pipeline, and so on
	there [lookAtOnce]bool // whether there was anything
	done  func()

	look func() (bool, int64)
	told func(failure)
}

// ask asks the next zone that is up.
func (k *peek) ask() {
	p := k.p
	m := p.n.m
	h := p.n.serving.db.commitCache
	now := m.engine.Now()
	for ; k.zone < len(h.zones) && !h.zones[k.zone].up(now); k.zone++ {
	}
	if k.zone == len(h.zones) || now >= k.until {
		k.ends()
		return
	}
	// The draw is keyed by the first of the keys, and by the millisecond, so that each poll draws anew.
	w := cost.Work{Attempt: int(now / time.Millisecond)}
	k.keys = k.keys[:0]
	for _, wait := range k.batch[:k.n] {
		wait.name()
		k.keys = append(k.keys, wait.keys...)
		if wait.drawn != "" && (w.Key == "" || wait.drawn < w.Key) {
			w.Key = wait.drawn
		}
	}
	if len(k.keys) == 0 {
		k.ends()
		return
	}
	z := h.zones[k.zone].z
	o := m.zoneOp(z, p.n, z.nodes[0], w)
	o.keys, o.do, o.done = k.keys, k.look, k.told
	o.run(k.until - now)
}

// name finds out what polls of the cache ask for: the Commits of w but those that are misses on purpose.
func (w *wait) name() {
	if w.keys != nil {
		return
	}
	for i := range w.seg.copies {
		if s := &w.seg.copies[i]; !w.n.m.missesOnPurpose(s, nil, commit) {
			w.keys = append(w.keys, key(s, nil, commit))
		}
	}
	if len(w.keys) > 0 {
		w.drawn = "peek " + slices.Min(w.keys)
	}
}

// looks is when the zone looks.
func (k *peek) looks() (bool, int64) {
	m, z := k.p.n.m, k.p.n.serving.db.commitCache.zones[k.zone].z
	k.found = k.found[:0]
	var size int64
	for i, w := range k.batch[:k.n] {
		k.there[i] = false
		for j := range w.seg.copies {
			s := &w.seg.copies[j]
			c := z.has(s, nil, commit)
			if c != nil && (m.missesOnPurpose(s, nil, commit) || z.faults.some() && z.faults.forgets(key(s, nil, commit))) {
				c = nil
			}
			if k.found = append(k.found, c); c != nil {
				k.there[i] = true
				size += c.commit
			}
		}
	}
	return true, size
}

// answered is when the zone has.
func (k *peek) answered(err failure) {
	p := k.p
	h := p.n.serving.db.commitCache
	h.zones[k.zone].told(p.n.m.engine.Now(), err)
	if err != none {
		k.zone++
		k.ask()
		return
	}
	rest := k.found
	for i, w := range k.batch[:k.n] {
		found := rest[:len(w.seg.copies)]
		rest = rest[len(found):]
		if !k.there[i] {
			continue
		}
		for _, c := range found {
			if c != nil {
				h.c.count(true)
			}
		}
		if !w.ended && w.offer(found) {
			w.peeked = p.n.clock().Add(fetchAgain) // being read, it needs no second look
		}
	}
	k.ends()
}

// ends lets k be used again, and says that it has ended.
func (k *peek) ends() {
	done, m := k.done, k.p.n.m
	clear(k.batch[:k.n])
	k.done = nil
	m.peeks = append(m.peeks, k)
	done()
}

func (p *cachePolls) init(n *node) {
	*p = cachePolls{n: n}
	p.tick, p.ended = p.ticks, p.ends
}

// leave ends the polls for w.
func (p *cachePolls) leave(w *wait) {
	for i, x := range p.awaited {
		if x == w {
			p.skipped(w, p.n.clock())
			p.awaited = append(p.awaited[:i], p.awaited[i+1:]...)
			p.takes()
			return
		}
	}
}

// seen is when a Commit can be seen in a zone.
func (m *run) seen(_ *zone, s *slot) {
	for i := range s.seg.at {
		if p := &m.serve[i].serving.polling; s.seg.at[i].wait != nil && p.quietly {
			p.plan()
		}
	}
}

package sim

import (
	"slices"
	"time"

	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/origin/stress"
	"origin-storm/storm"
)

// serving is what a serving node knows, beside what it knows of segments.
type serving struct {
	n        *node
	db       *client
	hots     []*hot // in memory, the oldest first
	hotBytes int64
	load     func(id segment.ID, now time.Time) policy.Load
	observe  func(took time.Duration, size int64, end stress.End) // of each read of the store
	polling  cachePolls
	broken   map[*copied]struct{} // copies whose rest could not be read when their beginning was being sent already
}

func (s *serving) init(n *node) {
	s.n = n
	s.db = newClient(n)
	s.broken = map[*copied]struct{}{}
	s.load = func(segment.ID, time.Time) policy.Load { return policy.Load{} }
	s.observe = func(time.Duration, int64, stress.End) {}
	if m := n.m; m.c.Topology.Shed {
		meter := stress.New(m.c.Stress)
		s.load = func(id segment.ID, now time.Time) policy.Load { return meter.State(now).Load().For(id, now) }
		s.observe = func(took time.Duration, size int64, end stress.End) { meter.Record(n.clock(), took, int(size), end) }
	}
	s.polling.init(n)
}

// unknownFor is how long "there is no such event" may be kept.
const unknownFor = 2 * time.Second

// sendGet begins a read.
func (r *run) sendGet(x *exchange) {
	if !r.serve[share(x.s.From, r.asked)].arrives(x) {
		return
	}
	if r.reconnecting > 0 && x.s.Class != storm.Probe {
		r.after(x.drawn(&r.latency.serve), x.begin) // the way there and back once more
		return
	}
	r.drives()
	x.begins()
}

// decide answers x, as the origin decides.
func (n *node) decide(x *exchange) {
	m := n.m
	id := &x.s.ID
	if x.track = m.find(*id); x.track == nil {
		x.refuse(404, unknownFor)
		return
	}
	now := n.clock()
	e := x.track.event
	x.seg = m.known(x.track, id.Number)
	x.chosen = -1
	known := policy.Unknown
	if s := x.seg; s != nil {
		at := &s.at[n.nth]
		b := n.hotCopy(at)
		if b == nil && at.wait != nil {
			b = at.wait.given // its bytes are just coming for those who were held
		}
		if b != nil && x.wants(b.copy) {
			if d := e.Decide(now, id.Number, policy.Published, policy.Load{}); d.Verdict == policy.Serve {
				n.found(x, b)
				return
			}
		}
		if at.chosen > 0 && m.engine.Now() < at.until {
			x.chosen = int(at.chosen) - 1
			known = policy.Published
		}
	}
	d := e.Decide(now, id.Number, known, n.serving.load(*id, now))
	switch d.Verdict {
	case policy.Hold:
		n.hold(x)
	case policy.Look, policy.Serve:
		n.read(x)
	default:
		x.refuseAs(d, now)
	}
}

// refuseAs says a decision that needs no store.
func (x *exchange) refuseAs(d policy.Answer, now time.Time) {
	status := 410
	switch d.Verdict {
	case policy.NotYet:
		status = 404
	case policy.Shed:
		status = 503
	}
	x.refuse(status, d.Until.Sub(now))
}

// wants reports whether c is what x asks for.
func (x *exchange) wants(c *copied) bool { return x.s.Match == "" || x.s.Match == c.etag }

// found answers x with b.
func (n *node) found(x *exchange, b *bodyOf) {
	r, c := x.run, b.copy
	now := n.clock()
	if !x.wants(c) {
		x.refuse(412, 0)
		return
	}
	var left time.Duration
	if d := x.track.event.Decide(now, c.slot.seg.number, policy.Published, policy.Load{}); d.Verdict == policy.Serve {
		left = d.Until.Sub(now)
	}
	if !c.sound() {
		left = min(left, policy.SettleFor)
	}
	x.s.Status, x.s.ETag = 200, c.etag
	x.s.Pipeline = x.track.event.pipelines[c.slot.pipeline]
	x.s.Fresh = time.Duration(policy.MaxAge(left)) * time.Second
	x.s.Effect = c.effect
	if c.torn {
		x.s.Damage, x.s.Flaw = storm.Torn, "what is kept is only a part of what was sent"
	}
	x.s.Answered = r.answered()
	x.body = b
	x.answer()
}

// answered is the instant as an origin's answer gives it: in whole microseconds of the wall clock.
func (r *run) answered() time.Duration {
	now := r.engine.Now()
	return now - time.Duration(r.c.Start.Add(now).Nanosecond()%1000)
}

// choose remembers what a segment is answered with.
func (n *node) choose(s *seg, c *copied) {
	if c.sound() {
		at := &s.at[n.nth]
		at.chosen, at.until = int8(c.slot.pipeline+1), c.until
	}
}

// hot is a segment in a serving node's memory.
type hot struct {
	at    *seenAt
	body  *bodyOf
	until time.Duration
}

// hotCopy is the copy that is kept in n's memory, unless it has to be read again.
func (n *node) hotCopy(at *seenAt) *bodyOf {
	if at.hot == nil || n.m.engine.Now() >= at.hot.until {
		return nil
	}
	return at.hot.body
}

// keep puts what was read as a whole into n's memory, if it is new.
func (n *node) keep(s *seg, b *bodyOf) {
	limit := int64(n.m.c.Topology.Hot)
	if limit <= 0 || b.copy.size > limit || s.track.event.Low(n.clock(), s.number) {
		return
	}
	now := n.m.engine.Now()
	at := &s.at[n.nth]
	if at.hot != nil {
		n.cool(at.hot)
	}
	h := &hot{at: at, body: b, until: now + policy.Settled(now-b.copy.published, b.copy.flaws, b.copy.until-now)}
	at.hot = h
	v := &n.serving
	v.hots = append(v.hots, h)
	v.hotBytes += b.copy.size
	for v.hotBytes > limit || v.hots[0].body == nil {
		n.cool(v.hots[0])
		v.hots[0] = nil
		v.hots = v.hots[1:]
	}
}

// cool takes h out of n's memory.
func (n *node) cool(h *hot) {
	if h.body == nil {
		return
	}
	if h.at.hot == h {
		h.at.hot = nil
	}
	n.serving.hotBytes -= h.body.copy.size
	h.body = nil
}

// ranked returns the copies in found that may be served, the best first; while patient that may be none.
func ranked(found []*copied, patient bool) []*copied {
	copies := make([]policy.Copy, len(found))
	for i, c := range found {
		if c != nil {
			copies[i] = policy.Copy{Present: true, Flaws: c.flaws}
		}
	}
	var best []*copied
	for i := policy.Choose(copies, patient); i >= 0; i = policy.Choose(copies, false) {
		best = append(best, found[i])
		copies[i].Present = false
	}
	return best
}

// bodyOf is one copy with its bytes, as far as they have come to a serving node.
type bodyOf struct {
	n       *node
	copy    *copied
	whole   bool
	failed  error
	there   int64       // how many of its bytes came, if it failed
	waiting []*exchange // whose answers need the rest
}

// await has x told when the rest of b is there.
func (b *bodyOf) await(x *exchange) {
	if b.failed != nil {
		x.breaks(b)
		return
	}
	b.waiting = append(b.waiting, x)
}

// arrive tells those who wait that all is there, or why it will not be.
func (b *bodyOf) arrive(err error) {
	b.whole, b.failed = err == nil, err
	waiting := b.waiting
	b.waiting = nil
	for _, x := range waiting {
		if err != nil {
			x.breaks(b)
			continue
		}
		x.partDone()
	}
}

// breaks ends x as an answer whose rest is not to be had.
func (x *exchange) breaks(b *bodyOf) {
	if !x.over {
		x.s.Bytes = b.there
	}
	x.loose = true
	x.fail(b.failed)
}

// loader is who has a copy read.
type loader interface {
	first(*bodyOf)  // is called once, when the first bytes of a copy are there,
	whole(*bodyOf)  // this when all of it is,
	loaded(failure) // and this at the end: it is not none if no first bytes came of any.
}

// load reads the first of copies that can be read.
func (n *node) load(copies []*copied, until time.Duration, to loader) {
	n.loadNext(copies, until, to, absent)
}

// loadNext reads the first of copies, which come after one that failed with err.
func (n *node) loadNext(copies []*copied, until time.Duration, to loader, err failure) {
	if len(copies) == 0 {
		to.loaded(err)
		return
	}
	v := copies[0]
	l := n.m.loading(v.chunks)
	l.n, l.body, l.others, l.until, l.to = n, &bodyOf{n: n, copy: v}, copies[1:], until, to
	_, l.broken = n.serving.broken[v]
	if v.chunks == 0 {
		l.arrived(1, none)
		l.recycle()
		return
	}
	if l.atOnce = parallel; len(n.m.zones) > 0 {
		l.atOnce, l.missed = fromCache, l.miss
	}
	l.more()
}

// loading is the read of one copy. It keeps its steps, and is used again when all has been read.
type loading struct {
	n      *node
	body   *bodyOf
	others []*copied // that are read if this one cannot be
	until  time.Duration
	to     loader
	broken bool // it broke off before its readers' eyes, so it is not shown to others before it is whole
	shown  bool

	got          []bool // chunks
	begun, ended int    // how many of them
	there        int    // how many there are in one piece from the first on
	atOnce       int
	over         bool // it cannot be had
	missed       func()

	miss func()
	told []func(*copied, failure) // how the read of each chunk ended
}

// loading makes one of so many chunks.
func (m *run) loading(chunks int) *loading {
	var l *loading
	if i := len(m.loads); i > 0 {
		l = m.loads[i-1]
		m.loads = m.loads[:i-1]
	} else {
		l = &loading{}
		l.miss = l.misses
	}
	for i := len(l.told); i < chunks; i++ {
		l.told = append(l.told, func(_ *copied, err failure) { l.chunk(i, err) })
		l.got = append(l.got, false)
	}
	return l
}

// recycle lets l, all of which has been read, be used for another copy.
func (l *loading) recycle() {
	clear(l.got)
	m := l.n.m
	*l = loading{got: l.got, miss: l.miss, told: l.told}
	m.loads = append(m.loads, l)
}

// fromCache is how many chunks of one segment are read at a time as long as a cache has them, as package storage has it.
const fromCache = 1

// misses is when the cache does not have a chunk.
func (l *loading) misses() {
	l.atOnce = parallel
	l.more()
}

// more reads on.
func (l *loading) more() {
	v := l.body.copy
	for !l.over && l.begun < v.chunks && l.begun-l.ended < l.atOnce {
		i := l.begun
		l.begun++
		l.n.serving.db.chunk(v, i, l.until, l.missed, l.told[i])
	}
}

// chunk is how the read of chunk i ended.
func (l *loading) chunk(i int, err failure) {
	l.ended++
	if l.over {
		return
	}
	if err != none {
		l.over = true
		if err == absent {
			err = torn
		}
		l.arrived(l.there, err)
		return
	}
	chunks := l.body.copy.chunks
	for l.got[i] = true; l.there < chunks && l.got[l.there]; {
		l.there++
		l.arrived(l.there, none)
	}
	if l.there == chunks {
		l.recycle()
		return
	}
	l.more()
}

// arrived is when the first so many chunks are there, each time that one more is; or when the rest can not be had.
func (l *loading) arrived(there int, err failure) {
	n, b := l.n, l.body
	switch {
	case err != none && !l.shown:
		n.loadNext(l.others, l.until, l.to, err)
	case err != none:
		n.serving.broken[b.copy] = struct{}{}
		b.there = min(b.copy.size, int64(there)*b.copy.chunk)
		b.arrive(errReset)
		l.to.loaded(none)
	default:
		complete := there == max(1, b.copy.chunks)
		if complete {
			delete(n.serving.broken, b.copy)
			l.to.whole(b)
			b.whole = true
		}
		if !l.shown && (complete || !l.broken) {
			l.shown = true
			l.to.first(b)
		}
		if complete {
			n.m.stats.Bodies++
			b.arrive(nil)
			l.to.loaded(none)
		}
	}
}

// read is a read of a published segment, for all who ask for it meanwhile or for one request. It keeps its step, and is used again when it has
// ended.
type read struct {
	n       *node
	seg     *seg
	match   string
	members []*exchange
	given   *bodyOf
	until   time.Duration
	again   bool // it reads the copy that was served before
	one     [1]*copied

	chosen func(*copied, failure)
}

// recycle lets rd, of which everybody was told the end, be used again.
func (rd *read) recycle() {
	m := rd.n.m
	clear(rd.members)
	*rd = read{members: rd.members[:0], chosen: rd.chosen}
	m.reads = append(m.reads, rd)
}

// read gets x's segment from the store.
func (n *node) read(x *exchange) {
	s := x.seg
	if s == nil {
		s = n.m.seg(x.track, x.s.ID.Number)
		x.seg = s
	}
	at := &s.at[n.nth]
	alone := !n.m.c.Topology.Collapse || x.s.Match != ""
	if !alone && at.read != nil {
		if at.read.given != nil {
			n.readGiven(x, at.read.given)
			return
		}
		at.read.members = append(at.read.members, x)
		return
	}
	var rd *read
	if i := len(n.m.reads); i > 0 {
		rd = n.m.reads[i-1]
		n.m.reads = n.m.reads[:i-1]
	} else {
		rd = &read{}
		rd.chosen = rd.foundChosen
	}
	rd.n, rd.seg, rd.match, rd.members, rd.until = n, s, x.s.Match, append(rd.members, x), n.m.engine.Now()+segment.Budget
	if !alone {
		at.read = rd
	}
	if x.chosen >= 0 && x.s.Match == "" {
		c := n.serving.db
		c.polls(1)
		c.commit(&s.copies[x.chosen], false, rd.until, rd.chosen)
		return
	}
	rd.all()
}

// foundChosen is what was found of the copy that was served before.
func (rd *read) foundChosen(found *copied, err failure) {
	switch {
	case err == none && found != nil && found.sound():
		rd.again, rd.one[0] = true, found
		rd.n.load(rd.one[:], rd.until, rd)
	case err != none && err != absent:
		rd.over(err)
	default:
		rd.all()
	}
}

// loaded is how the read of the bytes ended. A store that fails at the moment is no reason to change to another copy; one that has lost this
// copy is.
func (rd *read) loaded(err failure) {
	if rd.again && err == torn {
		rd.all()
		return
	}
	rd.over(err)
}

// all looks for the copies of all pipelines.
func (rd *read) all() {
	rd.again = false
	rd.n.serving.db.commits(rd.seg, rd.seg.track.event.order(), false, rd.until, func(found []*copied, err failure) {
		copies := ranked(found, false)
		there := false
		if rd.match != "" {
			for i, c := range copies {
				if there = c.etag == rd.match; there {
					copies = slices.Insert(slices.Delete(copies, i, i+1), 0, c)
					break
				}
			}
		}
		if len(copies) == 0 || rd.match != "" && !there && err != none {
			if err == none {
				rd.none()
				return
			}
			rd.over(err)
			return
		}
		rd.n.load(copies, rd.until, rd)
	})
}

// first is when the first bytes are there.
func (rd *read) first(b *bodyOf) {
	rd.given = b
	for _, x := range rd.members { // nobody joins them meanwhile, as b is given at once from now on
		rd.n.readGiven(x, b)
	}
	clear(rd.members)
	rd.members = rd.members[:0]
}

func (n *node) readGiven(x *exchange, b *bodyOf) {
	if x.over {
		return
	}
	if x.s.Match == "" {
		n.choose(x.seg, b.copy)
	}
	n.found(x, b)
}

// whole is when all is there: whoever comes now reads anew.
func (rd *read) whole(b *bodyOf) {
	rd.close()
	if rd.match == "" {
		rd.n.keep(rd.seg, b)
	}
}

func (rd *read) close() {
	if at := &rd.seg.at[rd.n.nth]; at.read == rd {
		at.read = nil
	}
}

// none is when nobody has published the segment.
func (rd *read) none() {
	rd.close()
	n := rd.n
	now := n.clock()
	for _, x := range rd.members {
		if x.over {
			continue
		}
		d := x.track.event.Decide(now, rd.seg.number, policy.Absent, policy.Load{})
		if d.Verdict == policy.Hold { // it was seen, and then lost, before its deadline
			n.hold(x)
			continue
		}
		x.refuseAs(d, now)
	}
	rd.recycle()
}

// over is how the read ended; those who were not given anything are told.
func (rd *read) over(err failure) {
	rd.close()
	for _, x := range rd.members {
		if !x.over {
			x.unavailable(err)
		}
	}
	rd.recycle()
}

// unavailable tells x what became of the store.
func (x *exchange) unavailable(err failure) {
	status, _ := err.status()
	x.refuse(status, 0)
}

// order is all of e's pipelines, in their order.
func (e *event) order() []int { return e.all[:len(e.pipelines)] }

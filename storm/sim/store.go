package sim

import (
	"math"
	"slices"
	"strconv"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/origin/segment"
	"origin-storm/origin/stress"
	"origin-storm/storm/sim/engine"
)

// store is the durable store: who works for it, what it costs, and what befalls it.
type store struct {
	m      *run
	nodes  []*node
	meter  *cost.Meter
	whole  bool
	faults faults
	nobody *node   // who asks on behalf of a node of the store
	polls  *steady // what polls take of the processors that are no events
	frail  bool    // it is going to be killed
	flying []*try  // what it is doing then: that ends at once
}

func newStore(m *run, nodes []*node) *store {
	return &store{m: m, nodes: nodes, meter: m.c.Costs.Store.Meter(m.c.Seed), whole: m.c.Costs.Store.Whole, faults: faults{seed: m.c.Seed}, nobody: &node{m: m, role: storeRole}}
}

// failure is how an operation of a store failed; none stands for success.
type failure uint8

const (
	none   failure = iota
	absent         // there is no such value
	failed         // it failed, and might not if tried again
	throttled
	denied
	full
	tooLarge
	timedOut
	torn // the Commit is there, a chunk that it names is not
)

// permanent reports whether the same operation, tried again, is bound to fail again.
func (f failure) permanent() bool { return f == absent || f == tooLarge || f == denied }

// status is what a client is told of f, and when to try again.
func (f failure) status() (status int, retry time.Duration) {
	switch f {
	case full:
		return 507, 0
	case tooLarge:
		return 413, 0
	case timedOut:
		return 504, time.Second
	}
	return 503, time.Second
}

// client is a node's way to the store, with its retries, its hedges and its caches.
type client struct {
	n       *node
	m       *run
	seed    uint64
	saved   float64 // how many hedges may be started now
	serving bool    // its reads count

	commitCache, chunkCache *cache // nil: there is none
}

func newClient(n *node) *client {
	c := &client{n: n, m: n.m, saved: mostHedges, serving: n.role == serveRole}
	c.seed = mix(n.m.c.Seed ^ uint64(n.nth)<<8 ^ uint64(len(n.role)))
	if len(c.m.zones) > 0 {
		c.commitCache, c.chunkCache = newCache(c, false), newCache(c, true)
	}
	return c
}

// How operations are tried again, as the origin has it: package kv, Retry and Hedge, and origin/cli, open.go.
const (
	tries      = 3
	firstPause = 20 * time.Millisecond
	mostPause  = 500 * time.Millisecond
	hedgeAfter = 200 * time.Millisecond
	hedgeShare = 0.1
	mostHedges = 10
)

// commit stands in op.chunk for the Commit itself.
const commit = -1

// op is one operation of the durable store, with its retries and its hedge.
type op struct {
	c     *client
	write bool
	slot  *slot
	copy  *copied // that is written, or whose chunk is read
	chunk int
	began time.Duration // of the larger piece of work
	until time.Duration
	done  func(found *copied, err failure)

	life    int // of the node that asks
	ended   bool
	running int
	failed  failure
	hedge   engine.Event
	end     engine.Event
	name    string // its key, once it was asked for
	first   try
	loose   bool // others may still hold it: it is not used again

	late, again func()
}

// try is one try of an op.
type try struct {
	o       *op
	attempt int
	n       int // how many tries there were before it, of the same hedge
	arrived time.Duration
	found   *copied
	hide    time.Duration
	over    bool
	left    int // tolls that end until enough replicas have answered
	charged int // tolls that have not ended

	begin, pay, answer, complete func()
}

// op makes an operation on slot s.
func (m *run) op(c *client, s *slot, v *copied, chunk int, until time.Duration) *op {
	var o *op
	if i := len(m.ops); i > 0 {
		o = m.ops[i-1]
		m.ops = m.ops[:i-1]
	} else {
		o = &op{}
		o.late, o.again = o.expire, o.second
		o.first.init(o)
	}
	o.c, o.slot, o.copy, o.chunk, o.until = c, s, v, chunk, until
	return o
}

// init gives t its steps, which it keeps.
func (t *try) init(o *op) {
	t.o = o
	t.begin, t.pay, t.answer, t.complete = t.begins, t.toll, t.answers, t.completes
}

// recycle lets o be used for another operation, if it has ended and nothing will call it any more: its only try is over.
func (o *op) recycle() {
	if !o.ended || o.loose || o.first.charged > 0 {
		return
	}
	m := o.c.m
	t := &o.first
	*t = try{o: o, begin: t.begin, pay: t.pay, answer: t.answer, complete: t.complete}
	*o = op{first: *t, late: o.late, again: o.again}
	m.ops = append(m.ops, o)
}

// run begins o.
func (o *op) run() {
	m := o.c.m
	o.running, o.life = 1, o.c.n.life
	o.end = m.engine.At(max(m.engine.Now(), o.until), o.late)
	if o.chunk != commit && !m.store.whole {
		o.c.saved = min(mostHedges, o.c.saved+hedgeShare)
		o.hedge = m.engine.After(hedgeAfter, o.again)
	}
	o.try(0, 0)
}

// second is a second try beside one that takes long.
func (o *op) second() {
	if o.ended || o.c.saved < 1 {
		return
	}
	o.c.saved--
	o.running++
	o.try(1, 0)
}

// expire is when the caller of o waits no longer.
func (o *op) expire() { o.finish(nil, timedOut) }

// finish tells who asked, as soon as its node runs.
func (o *op) finish(found *copied, err failure) {
	if o.ended {
		return
	}
	o.ended = true
	o.c.m.engine.Cancel(o.hedge)
	o.c.m.engine.Cancel(o.end)
	if o.c.n.state == halted {
		o.loose = true
		o.c.n.park(func() { o.done(found, err) })
		return
	}
	o.done(found, err)
}

// lost reports whether the node that asked has died since: nothing of what it asked for is done that is not done yet, as its connections are
// closed.
func (o *op) lost() bool { return o.life != o.c.n.life }

// size is how many bytes o writes, or would find.
func (o *op) size(found *copied) int64 {
	if found == nil {
		return 0
	}
	return found.bytes(o.chunk)
}

// key is the key of a Commit, or of a chunk of c, in the store, as draws are keyed by it. A chunk's is not the digest that it really is.
func key(s *slot, c *copied, chunk int) string {
	if chunk == commit {
		return s.key()
	}
	if c.keys == nil {
		c.keys = make([]string, c.chunks)
	}
	if c.keys[chunk] == "" {
		if s.seg.track.event.same { // equal bytes have equal keys
			s = &s.seg.copies[0]
		}
		b := append(make([]byte, 0, 64), s.key()...)
		c.keys[chunk] = string(strconv.AppendInt(append(b, '/'), int64(chunk), 10))
	}
	return c.keys[chunk]
}

func (o *op) key() string {
	if o.name == "" {
		o.name = key(o.slot, o.copy, o.chunk)
	}
	return o.name
}

// try begins the n-th try of the first or the second of a hedge.
func (o *op) try(attempt, n int) {
	t := &o.first
	if attempt+n > 0 {
		o.loose = true
		t = &try{}
		t.init(o)
	}
	t.attempt, t.n, t.arrived = attempt, n, o.c.m.engine.Now()
	st := o.c.m.store
	if !st.up() {
		t.ends(failed)
		return
	}
	if st.park(t.begin) {
		o.loose = true
		return
	}
	t.begins()
}

func (t *try) begins() {
	o := t.o
	if o.ended {
		return
	}
	st := o.c.m.store
	if st.frail {
		o.loose = true
		st.flying = append(st.flying, t)
	}
	if o.hidden() {
		t.ends(absent)
		return
	}
	wait, hide, err := time.Duration(0), time.Duration(0), none
	if st.faults.some() {
		w := cost.Work{Write: o.write, Key: o.key(), Attempt: t.attempt + 2*t.n}
		if o.write {
			w.Size = int(o.size(o.copy))
		}
		wait, hide, err = st.faults.arrive(o.c.m.engine.Now(), w)
	}
	if err != none {
		t.ends(err)
		return
	}
	t.hide = hide
	if wait > 0 {
		o.loose = true
		o.c.m.engine.After(wait, t.pay)
		return
	}
	t.toll()
}

// hidden reports whether o reads what a fault keeps from being seen yet.
func (o *op) hidden() bool {
	now := o.c.m.engine.Now()
	switch {
	case o.write:
		return false
	case o.chunk == commit:
		return now < o.slot.hidden
	}
	return o.copy.hidden != nil && now < o.copy.hidden[o.chunk]
}

// toll charges what the try costs.
func (t *try) toll() {
	o := t.o
	if o.ended || t.over {
		return
	}
	m := o.c.m
	st := m.store
	now := m.engine.Now()
	if o.write {
		t.found = o.copy
	} else if t.found = o.copy; o.chunk == commit {
		t.found = o.slot.durable
	}
	size := o.size(t.found)
	if st.whole && !(o.write && o.chunk == commit) {
		t.works(now, size)
		return
	}
	arrived := now
	if st.whole {
		arrived = o.began
	}
	w := cost.Work{Write: o.write, Size: int(size), Key: o.key(), Attempt: t.attempt + 2*t.n, Event: o.slot.seg.track.event.name}
	if r := m.c.Topology.Replicas; r > 1 {
		place, waits := st.place(o, w)
		switch {
		case waits != nil:
			o.loose = true
			waits.park(t.begin)
			return
		case place == 0:
			t.ends(failed)
			return
		}
		w.Place = place
	}
	done, refused := st.meter.Arrive(arrived, w)
	if refused {
		t.ends(throttled)
		return
	}
	t.works(max(now, done), size)
}

// works has the store's nodes do their part of t, which is not over before done.
func (t *try) works(done time.Duration, size int64) {
	m := t.o.c.m
	st := m.store
	o := t.o
	d := m.c.Costs.StoreWork
	if o.write {
		d = m.c.Costs.Writing()
	}
	work := d.Work(size)
	if d := &m.latency.store; !d.IsZero() { // the way to the store and back, which holds none of its servers
		done += d.Quantile(cost.Draw(o.c.seed, "way", o.key(), t.attempt+2*t.n))
	}
	n, quorum := 1, 1
	if r := m.c.Topology.Replicas; r > 1 {
		n, quorum = r, r/2+1
		if !o.write {
			n = quorum
		}
	}
	first := 0
	if len(st.nodes) > 1 {
		first = int(o.slot.hash(o.chunk) % uint64(len(st.nodes)))
	}
	t.left = quorum
	if before := m.c.Costs.ReadableBefore; before > 0 && o.write && o.chunk == commit && t.hide == 0 {
		slot, v, life := o.slot, t.found, o.life
		n := o.c.n
		m.engine.At(max(m.engine.Now(), done-before), func() {
			if life == n.life && st.up() {
				st.applied(slot, v)
			}
		})
	}
	var toll *toll
	for i, asked := 0, 0; asked < n && i < max(n, m.c.Topology.Replicas); i++ {
		node := st.nodes[(first+i)%len(st.nodes)]
		if node.state != up && len(st.nodes) > 1 {
			continue
		}
		asker := o.c.n
		if asked++; asked > 1 {
			asker = st.nobody // the first replica hands on what it was given
		}
		bytes := size
		if !o.write && asked > 1 {
			bytes = 0 // of all but one replica a read takes the digest alone
		}
		if toll != nil && !o.write && toll.room() { // a read is done when all of those have answered that are asked
			t.left--
		} else {
			if toll != nil {
				toll.run()
			}
			t.charged++
			toll = m.toll(done, t.answer)
		}
		toll.charge(asker, node, o.write, work, bytes)
	}
	if toll != nil {
		toll.run()
	}
}

// answers is when one of the replicas does, or all that are asked.
func (t *try) answers() {
	t.charged--
	if t.left--; t.left == 0 {
		t.completes()
	}
	t.o.recycle()
}

// completes is when the store answers.
func (t *try) completes() {
	o := t.o
	st := o.c.m.store
	if t.over {
		return
	}
	if st.park(t.complete) {
		o.loose = true
		return
	}
	if !st.up() || t.arrived < st.began() {
		t.ends(failed)
		return
	}
	if o.lost() {
		o.finish(nil, failed)
		return
	}
	if o.write && !o.ended {
		st.took(t)
	}
	if t.found == nil && !o.write {
		t.ends(absent)
		return
	}
	t.ends(none)
}

// took makes what t has written readable.
func (st *store) took(t *try) {
	o := t.o
	until := st.m.engine.Now() + t.hide
	if o.chunk == commit {
		if t.hide > 0 && o.slot.durable == nil {
			o.slot.hidden = until
		}
		st.applied(o.slot, t.found)
		return
	}
	if t.hide > 0 {
		if o.copy.hidden == nil {
			o.copy.hidden = make([]time.Duration, o.copy.chunks)
		}
		o.copy.hidden[o.chunk] = until
	}
}

// applied makes v readable in its slot.
func (st *store) applied(s *slot, v *copied) {
	s.durable = v
	for i := range s.seg.at {
		if w := s.seg.at[i].wait; w != nil {
			w.wake()
		}
	}
}

// dies ends what the one node of st is doing.
func (st *store) dies() {
	flying := st.flying
	st.flying = nil
	for _, t := range flying {
		t.ends(failed)
	}
}

// ends is how t ended.
func (t *try) ends(err failure) {
	o := t.o
	m := o.c.m
	if t.over = true; m.store.frail {
		m.store.flying = slices.DeleteFunc(m.store.flying, func(x *try) bool { return x == t })
	}
	now := m.engine.Now()
	if !o.write && o.c.serving {
		f := &m.stats
		f.StoreAsked++
		f.StoreReadTime += now - t.arrived
		end := stress.Failed
		switch {
		case o.ended:
			end = stress.Left // another try was faster, or nobody waits any more
		case err == none:
			f.StoreReads++
			f.StoreReadBytes += o.size(t.found)
			end = stress.Answered
		case err == absent:
			end = stress.Answered
		}
		o.c.n.serving.observe(now-t.arrived, o.size(t.found), end)
	}
	if o.ended {
		return
	}
	if err == none || err.permanent() {
		o.finish(t.found, err)
		return
	}
	if !m.store.whole && t.n+1 < tries {
		longest := min(mostPause, firstPause<<t.n)
		what := "pause get"
		if o.write {
			what = "pause put"
		}
		pause := time.Duration(cost.Draw(o.c.seed, what, o.key(), t.attempt+2*t.n) * float64(longest))
		if o.until-now > pause {
			o.loose = true
			m.engine.After(pause, func() {
				if !o.ended {
					o.try(t.attempt, t.n+1)
				}
			})
			return
		}
	}
	if o.failed == none {
		o.failed = err
	}
	if o.running--; o.running == 0 {
		o.finish(nil, o.failed)
	}
}

// place is where in the distribution of the store's latencies an operation of replicas falls: that of the last one of the quorum that it
// waits for, among those that are up. The distribution is that of a quorum of all; what a single replica takes follows from it: if one
// answers in time with probability F, a quorum of n does with the probability G(F) that enough of n do. So with u the draw of a replica, which
// stands for F, G(u) is its place. It is 0 where too few are there. Where those that are halted would be needed, it waits for one of them.
func (st *store) place(o *op, w cost.Work) (place float64, waits *node) {
	n := st.m.c.Topology.Replicas
	quorum := n/2 + 1
	first := 0
	if len(st.nodes) > n {
		first = int(o.slot.hash(o.chunk) % uint64(len(st.nodes)))
	}
	op := "read"
	if w.Write {
		op = "write"
	}
	var draws []float64
	var stopped []*node
	for i := range n {
		node := st.nodes[(first+i)%len(st.nodes)]
		switch node.state {
		case dead:
			continue
		case halted:
			stopped = append(stopped, node)
			continue
		}
		draws = append(draws, cost.Draw(st.m.c.Seed+uint64(i), op, w.Key, w.Attempt))
	}
	if missing := quorum - len(draws); missing > 0 {
		if missing <= len(stopped) {
			return 0, stopped[0]
		}
		return 0, nil
	}
	slices.Sort(draws)
	return orderStatistic(draws[quorum-1], n, quorum), nil
}

// orderStatistic is the probability that at least k of n do what each does with probability p.
func orderStatistic(p float64, n, k int) (sum float64) {
	for j := k; j <= n; j++ {
		choose := 1.0
		for i := range j {
			choose *= float64(n-i) / float64(j-i)
		}
		sum += choose * math.Pow(p, float64(j)) * math.Pow(1-p, float64(n-j))
	}
	return min(max(sum, 1e-15), 1-1e-15)
}

// hash spreads keys over nodes.
func (s *slot) hash(chunk int) uint64 {
	h := uint64(s.seg.track.nth)<<32 ^ uint64(s.seg.number)
	if chunk != commit {
		h = mix(h) ^ uint64(s.pipeline)<<8 ^ uint64(chunk+1)
	}
	return mix(h)
}

// up reports whether any node of st can be asked.
func (st *store) up() bool {
	return slices.ContainsFunc(st.nodes, func(n *node) bool { return n.state != dead })
}

// began is when the one node of a store was started last; of several, one is always there.
func (st *store) began() time.Duration {
	if len(st.nodes) > 1 {
		return 0
	}
	return st.nodes[0].began
}

// park has do called when st goes on, if it is halted.
func (st *store) park(do func()) bool {
	return len(st.nodes) == 1 && st.nodes[0].park(do)
}

// candidates reads the Commits of s from the store, those of pipelines at once.
func (c *client) commits(s *seg, pipelines []int, uncached bool, until time.Duration, done func(found []*copied, err failure)) {
	c.polls(len(pipelines))
	found := make([]*copied, len(pipelines))
	left, worst := len(pipelines), none
	for i, p := range pipelines {
		c.commit(&s.copies[p], uncached, until, func(v *copied, err failure) {
			found[i] = v
			if err != none && err != absent {
				worst = err
			}
			if left--; left == 0 {
				done(found, worst)
			}
		})
	}
	if len(pipelines) == 0 {
		done(found, none)
	}
}

// polls counts a read of that many pipelines' Commits.
func (c *client) polls(pipelines int) {
	if c.serving {
		c.m.stats.Polls++
		c.m.stats.PollKeys += int64(pipelines)
	}
}

// commit reads one Commit.
func (c *client) commit(s *slot, uncached bool, until time.Duration, done func(*copied, failure)) {
	if c.commitCache != nil {
		c.commitCache.get(s, nil, commit, uncached, until, nil, done)
		return
	}
	o := c.m.op(c, s, nil, commit, until)
	o.done = done
	o.run()
}

// chunk reads one chunk of a copy.
func (c *client) chunk(v *copied, i int, until time.Duration, missed func(), done func(*copied, failure)) {
	if c.chunkCache != nil {
		c.chunkCache.get(v.slot, v, i, false, until, missed, done)
		return
	}
	o := c.m.op(c, v.slot, v, i, until)
	o.done = done
	o.run()
}

// write is one copy on its way into the store.
type write struct {
	c     *client
	copy  *copied
	keep  time.Duration
	until time.Duration
	began time.Duration
	done  func(failure)
	next  int // chunk
	left  int // chunks that are not written yet
	err   failure
	over  bool
	life  int // of the node that writes
}

// parallel is how many chunks of one segment are in flight at a time, as package storage has it.
const parallel = 8

// put writes copy to the store: its chunks, then the Commit.
func (c *client) put(v *copied, keep, until time.Duration, done func(failure)) *write {
	w := &write{c: c, copy: v, keep: keep, until: until, began: c.m.engine.Now(), done: done, left: v.chunks, life: c.n.life}
	if v.chunks == 0 {
		w.commit()
		return w
	}
	for range min(parallel, v.chunks) {
		w.chunk()
	}
	return w
}

// chunk writes the next chunk.
func (w *write) chunk() {
	i := w.next
	w.next++
	w.c.put1(w.copy, i, w.began, w.until, w.keep+segment.Budget, func(err failure) {
		switch {
		case w.over:
			return
		case w.life != w.c.n.life: // whoever publishes the same name next must not wait for it
			w.over = true
			w.done(failed)
			return
		case err != none:
			w.over = true
			w.done(err)
			return
		}
		if w.left--; w.left == 0 {
			w.commit()
		} else if w.next < w.copy.chunks {
			w.chunk()
		}
	})
}

func (w *write) commit() {
	w.c.put1(w.copy, commit, w.began, w.until, w.keep, w.done)
}

// put1 writes a chunk or the Commit of a copy to the store and the cache.
func (c *client) put1(v *copied, chunk int, began, until, keep time.Duration, done func(failure)) {
	h := c.commitCache
	if chunk != commit {
		h = c.chunkCache
	}
	if h != nil {
		h.put(v, chunk, began, until, keep, done)
		return
	}
	c.putDurable(v, chunk, began, until, done)
}

// putDurable writes a chunk or the Commit of a copy to the store.
func (c *client) putDurable(v *copied, chunk int, began, until time.Duration, done func(failure)) {
	o := c.m.op(c, v.slot, v, chunk, until)
	o.write, o.began = true, began
	o.done = func(_ *copied, err failure) { done(err) }
	o.run()
}

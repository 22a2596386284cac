package sim

import (
	"math"
	"slices"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/origin/policy"
	"origin-storm/storm/sim/engine"
)

// A node polls its store fifty times a second for each segment that somebody waits for, and almost every time in vain. As long as such polls
// cannot come out otherwise, since the segment cannot be read yet and nothing else befalls the store, they are no events: they are counted
// when that changes, and what they take of the store's processors in the meantime is taken as steadily as they come.

// quiet is a stretch of polls in vain.
type quiet struct {
	from   time.Duration // when the first of them begins
	takes  time.Duration // how long each takes
	each   time.Duration // how long what they ask for takes, added up
	source policy.Source
}

// pollEvery is how far apart polls of a store alone begin at least: what policy.NextPoll has them be.
const pollEvery = 20 * time.Millisecond

// calm reports whether polls of the store are alike as long as they find nothing: none waits for another operation, and nothing befalls the
// store; nor is it going to be killed, which ends the one that is under way then.
func (st *store) calm() bool {
	p := st.meter.Profile()
	if p.Servers > 0 || p.Bandwidth > 0 || st.faults.some() || st.frail || st.m.c.Topology.Shed {
		return false
	}
	for _, n := range st.nodes {
		if n.state != up {
			return false
		}
	}
	return true
}

// rest has w's polls go on in quiet, the first of them beginning at an instant. It reports whether they can.
func (w *wait) rest(first time.Duration, source policy.Source) bool {
	st := w.n.m.store
	if source != policy.Alone || !st.calm() {
		return false
	}
	q := quiet{from: first, source: source}
	for i := range w.seg.copies {
		s := &w.seg.copies[i]
		if s.durable != nil {
			return false // it cannot be served yet, but soon
		}
		takes := st.inVain(s, w.n.serving.db)
		q.takes = max(q.takes, takes)
		q.each += takes
	}
	w.quiet, w.quietly = q, true
	w.restless(1)
	return true
}

// inVain is how long a read of a Commit takes that is not there.
func (st *store) inVain(s *slot, c *client) time.Duration {
	w := cost.Work{Key: key(s, nil, commit)}
	if r := st.m.c.Topology.Replicas; r > 1 {
		w.Place, _ = st.place(&op{slot: s, chunk: commit}, w)
	}
	now := st.m.engine.Now()
	done, _ := st.meter.Arrive(now, w)
	takes := done - now
	if st.whole {
		takes = 0
	}
	if d := &st.m.latency.store; !d.IsZero() {
		takes += d.Quantile(cost.Draw(c.seed, "way", w.Key, 0))
	}
	return takes
}

// A first poll begins at any time; the next one when its multiple of pollEvery has come and the one before has ended. So as long as a poll
// reaches into the next stretch between two multiples, the next one begins when it ends, a little earlier in its own stretch, until one
// ends in time; from then on they begin at the multiples. Where a poll takes longer than polls are apart, that is never.

// loose is how many polls after the first begin when the one before has ended, and next when the first begins that does so at a multiple.
func (q *quiet) loose(offset time.Duration, start time.Time) (n int64, next time.Duration) {
	if q.takes >= pollEvery {
		return math.MaxInt64, 0
	}
	first := start.Add(q.from + offset)
	within, less := first.Sub(first.Truncate(pollEvery)), pollEvery-q.takes
	if within > 0 {
		n = int64((within+less-1)/less) - 1
	}
	return n, q.from + time.Duration(n)*q.takes - (within - time.Duration(n)*less) + pollEvery
}

// begins is when the first of the quiet polls begins that does not before an instant, how many do before that, and when the last of these did.
func (q *quiet) begins(t, offset time.Duration, start time.Time) (at time.Duration, before int64, last time.Duration) {
	loose, next := q.loose(offset, start)
	each := func(i int64) time.Duration {
		if i <= loose {
			return q.from + time.Duration(i)*q.takes
		}
		return next + time.Duration(i-loose-1)*pollEvery
	}
	switch {
	case t <= q.from:
		return q.from, 0, 0
	case loose == math.MaxInt64, t <= each(loose):
		before = int64((t - q.from + q.takes - 1) / q.takes)
	case t <= next:
		before = loose + 1
	default:
		before = loose + 1 + int64((t-next+pollEvery-1)/pollEvery)
	}
	return each(before), before, each(before - 1)
}

// wake has w's polls be events again, from the next on that begins.
func (w *wait) wake() {
	if !w.quietly {
		return
	}
	q := w.quiet
	m := w.n.m
	at := w.rouse()
	if at < w.n.at(w.event.Template.Deadline(w.number)) {
		w.poll = m.engine.At(max(at, m.engine.Now()), func() { w.ask(q.source) })
	}
}

// rouse ends the quiet, counts the polls in it, and returns when the next one would have begun.
func (w *wait) rouse() time.Duration {
	w.quietly = false
	w.restless(-1)
	n := w.n
	m := n.m
	now := m.engine.Now()
	deadline := n.at(w.event.Template.Deadline(w.number))
	at, polls, last := w.quiet.begins(min(now, deadline), n.offset, m.c.Start)
	if polls == 0 {
		return at
	}
	keys := int64(len(w.seg.copies))
	h := &w.seg.at[n.nth].heard
	h.polls += polls
	h.last = m.c.Start.Add(last + n.offset)
	w.began = h.last
	due := n.at(w.event.Template.Due(w.number))
	if last >= due && last+w.quiet.takes <= now || polls > 1 && last-max(w.quiet.takes, pollEvery) >= due {
		h.asked = true
	}
	f := &m.stats
	f.StorePolls += polls
	f.MostStorePolls = max(f.MostStorePolls, h.polls)
	f.Polls += polls
	f.PollKeys += polls * keys
	f.StoreAsked += polls * keys
	f.StoreReadTime += time.Duration(polls) * w.quiet.each
	return at
}

// restless adds what w's quiet polls take of the store's processors, or takes it away again.
func (w *wait) restless(sign float64) {
	m := w.n.m
	st := m.store
	if st.polls == nil {
		return
	}
	quorum := 1
	if r := m.c.Topology.Replicas; r > 1 {
		quorum = r/2 + 1
	}
	work := m.c.Costs.StoreWork.PerRequest.Seconds() * float64(quorum*len(w.seg.copies))
	st.polls.add(sign * work / max(pollEvery, w.quiet.takes).Seconds())
}

// rest has the polls of the cache go on in quiet if all of them are bound to be in vain, and reports whether they are.
func (p *cachePolls) rest() bool {
	if !p.n.m.calm || !p.vain() {
		p.rouse()
		return false
	}
	p.quietly = true
	p.takes()
	return true
}

// vain reports whether polls come out alike and find nothing.
func (p *cachePolls) vain() bool {
	h := p.n.serving.db.commitCache
	for i := range h.zones {
		b := &h.zones[i]
		if b.open || b.fails > 0 || b.z.frail || b.z.faults.some() {
			return false
		}
		for _, n := range b.z.nodes {
			if n.state != up {
				return false
			}
		}
	}
	for _, w := range p.awaited {
		if _, coming := w.candidates(); !coming {
			return false
		}
		for i := range w.seg.copies {
			if h.zones[0].z.has(&w.seg.copies[i], nil, commit) != nil {
				return false
			}
		}
	}
	return true
}

// rouse ends the quiet, and counts the polls in it.
func (p *cachePolls) rouse() {
	if !p.quietly {
		return
	}
	now := p.n.clock()
	for _, w := range p.awaited {
		p.skipped(w, now)
	}
	p.quietly = false
	p.takes()
}

// skipped counts the polls for w that were no events, before now.
func (p *cachePolls) skipped(w *wait, now time.Time) {
	t := w.event.Template
	if deadline := t.Deadline(w.number); now.After(deadline) {
		now = deadline
	}
	first, ok := policy.NextPoll(t, w.number, policy.Cache, w.peeked)
	if !p.quietly || !ok || !first.Before(now) {
		return
	}
	polls := int64(1)
	if second, ok := policy.NextPoll(t, w.number, policy.Cache, first); ok && second.Before(now) {
		polls += 1 + int64((now.Sub(second)-1)/cachePollEvery)
	}
	p.n.m.stats.Polls += polls
	p.n.m.stats.PollKeys += polls * int64(len(w.seg.copies))
	w.peeked = now.Add(-1)
}

// cachePollEvery is how far apart polls of a cache begin: what policy.NextPoll has them be.
const cachePollEvery = 5 * time.Millisecond

// takes has the zones' processors do what quiet polls ask of them.
func (p *cachePolls) takes() {
	m := p.n.m
	if m.zonePolls == nil {
		return
	}
	load := 0.0
	if p.quietly {
		exchanges := (len(p.awaited) + lookAtOnce - 1) / lookAtOnce
		load = float64(exchanges) * m.c.Costs.CacheWork.PerRequest.Seconds() / cachePollEvery.Seconds()
	}
	if load != p.load {
		m.zonePolls.add(load - p.load)
		p.load = load
	}
}

// calmZones reports whether polls of cache zones are alike as long as they find nothing, and the next one never has to wait for the one before
// it, or hardly ever.
func (c *Config) calmZones() bool {
	p := &c.Costs.Cache
	longest := func(d cost.Dist) time.Duration { return d.Quantile(0.999) }
	takes := longest(c.Costs.CacheWork.Latency)
	if len(p.Read) > 0 {
		takes += longest(p.Read[0].Dist)
	}
	return p.Servers == 0 && p.Bandwidth == 0 && takes <= cachePollEvery
}

// steadily returns what does steady work on a resource; nil if there is none.
func (m *run) steadily(s *engine.Share) *steady {
	for _, g := range m.gauges {
		if s == nil || !slices.Contains(g.shares, s) {
			continue
		}
		if g.beside == nil {
			g.beside = &steady{engine: &m.engine, shares: g.shares, cores: g.capacity}
		}
		return g.beside
	}
	return nil
}

// wakeAll wakes all that wait quietly, as something has changed.
func (m *run) wakeAll() {
	for s := range m.present() {
		for i := range s.at {
			if w := s.at[i].wait; w != nil {
				w.wake()
			}
		}
	}
}

// replan lets the polls of caches be events, or not, as things are now.
func (m *run) replan() {
	if len(m.zones) == 0 {
		return
	}
	for _, n := range m.serve {
		n.serving.polling.plan()
	}
}

// steady is work that processors do without a job for each piece of it.
type steady struct {
	engine *engine.Engine
	shares []*engine.Share
	cores  float64 // of each
	rate   float64 // cores at work, of all
	since  time.Duration
	work   float64 // up to since
}

// idles has n take its processors for what nobody asks of it, or with -1 no more.
func (n *node) idles(sign float64) {
	d := map[string]*Demand{publishRole: &n.m.c.Costs.Publish, serveRole: &n.m.c.Costs.Serve, storeRole: &n.m.c.Costs.StoreWork, cacheRole: &n.m.c.Costs.CacheWork}[n.role]
	if d.Idle == 0 {
		return
	}
	if s := n.m.steadily(n.cores); s != nil {
		s.add(sign * d.Idle)
	}
}

// least is the part of its capacity that a share keeps for jobs.
const least = 0.02

// add changes the rate at which work comes.
func (s *steady) add(rate float64) {
	s.done()
	if s.rate += rate; s.rate < 1e-9 {
		s.rate = 0
	}
	each := s.rate / float64(len(s.shares))
	for _, share := range s.shares {
		share.SetCapacity(max(s.cores-each, least*s.cores))
	}
}

// done is how much work was done until now.
func (s *steady) done() float64 {
	now := s.engine.Now()
	s.work += min(s.rate, (1-least)*s.cores*float64(len(s.shares))) * (now - s.since).Seconds()
	s.since = now
	return s.work
}

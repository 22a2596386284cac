package sim

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/sim/engine"
)

// event is a live event.
type event struct {
	policy.Rendition
	name      string
	pipelines []string
	all       []int // 0 and on, one for each pipeline
	tracks    map[string]*track
	most      int64 // the largest body that is taken
	same      bool  // the pipelines publish the same bytes
}

// track is one rendition of an event.
type track struct {
	event *event
	name  string
	nth   int // among all of the origin's
	// Those that were published or asked for, and have not left the DVR window: those in use, and those that are filed.
	segs   map[int64]*seg
	filed  files
	tidied time.Duration // when it was last looked which are which
}

// seg is what the origin knows of one segment.
type seg struct {
	track  *track
	number int64
	copies []slot   // by pipeline
	at     []seenAt // by serving node

	touched time.Duration // when it was last asked for
}

// seenAt is what one serving node knows of a segment.
type seenAt struct {
	chosen int8          // the pipeline whose sound copy it has served, counted from 1; 0: none
	until  time.Duration // for how long that counts
	wait   *wait         // those who are held for it
	read   *read         // a read of it that others may share
	heard  heard
	hot    *hot
}

// slot is where one pipeline's copy of a segment is kept: in the durable store, and in the cache zones.
type slot struct {
	seg      *seg
	pipeline int
	name     string // its key, once somebody has asked for it
	durable  *copied
	hidden   time.Duration // until when the store does not show it
	zoned    []zoned

	stands  *copied       // the copy that its publishing node knows to stand
	since   time.Duration // when it learned that
	busy    bool          // a request for the name is being stored
	waiting []func()      // those that came meanwhile
}

// copied is one body, as its packager published it.
type copied struct {
	slot      *slot
	size      int64
	digest    uint64
	etag      string
	flaws     policy.Flaws
	effect    storm.Effect
	by        int64 // how much of it
	torn      bool  // what is kept is not what its name says
	published time.Duration
	until     time.Duration
	chunks    int
	chunk     int64           // the size of all chunks but the last
	zoned     []int64         // of each chunk, zone by zone: as which byte of the zone it came; 0: it never did
	hidden    []time.Duration // of each chunk: until when the store does not show it; nil: it shows all
	commit    int64           // of the Commit's encoding
	keys      []string        // of the chunks, once somebody has asked for them
}

func (c *copied) sound() bool { return c.flaws.Sound() }

// chunkSize is the size of chunk i.
func (c *copied) chunkSize(i int) int64 {
	if i == c.chunks-1 {
		return c.size - int64(i)*c.chunk
	}
	return c.chunk
}

// came is as which byte of z each chunk of c came.
func (c *copied) came(z *zone) []int64 { return c.zoned[z.nth*c.chunks:][:c.chunks] }

// validate returns what is wrong with c.
func (c Config) validate() error {
	var errs []error
	bad := func(field, format string, a ...any) {
		errs = append(errs, fmt.Errorf("%s: "+format, append([]any{field}, a...)...))
	}
	if len(c.Events) == 0 {
		bad("events", "there are none, so that nothing can be published")
	}
	for _, e := range c.Events {
		if err := e.Template.Validate(); err != nil {
			bad("event "+e.Name, "%w", err)
		}
		if len(e.Pipelines) == 0 || len(e.Pipelines) > 100 {
			bad("event "+e.Name, "%d pipelines: must be 1 to 100", len(e.Pipelines))
		}
	}
	t := c.Topology
	for field, n := range map[string]int{
		"publish": t.Publish, "serve": t.Serve, "store": t.Store, "replicas": t.Replicas, "zones": t.Zones, "cache-nodes": t.CacheNodes,
		"publish-cores": t.PublishCores, "serve-cores": t.ServeCores, "store-cores": t.StoreCores, "cache-cores": t.CacheCores, "shared-cores": t.Shared,
	} {
		if n < 0 || n > 100_000 {
			bad("topology."+field, "%d: must be 0 to 100000", n)
		}
	}
	for field, r := range map[string]float64{
		"publish-link": float64(t.PublishLink), "serve-link": float64(t.ServeLink), "store-link": float64(t.StoreLink), "cache-link": float64(t.CacheLink),
	} {
		if !(r >= 0) || math.IsInf(r, 1) {
			bad("topology."+field, "%v bit/s: must not be negative", r)
		}
	}
	if t.Replicas > max(1, t.Store) {
		bad("topology.replicas", "%d replicas on %d store nodes; give at least as many nodes", t.Replicas, max(1, t.Store))
	}
	for _, n := range t.Down {
		if n < 0 || n >= t.Store || t.Replicas < 2 {
			bad("topology.down", "node %d of %d, with %d replicas: name nodes of a store with replicas", n, t.Store, t.Replicas)
		}
	}
	if !(t.MissRatio >= 0 && t.MissRatio <= 1) {
		bad("topology.miss-ratio", "%v: must be 0 to 1", t.MissRatio)
	}
	if t.MissRatio > 0 && t.Zones == 0 {
		bad("topology.miss-ratio", "there is no cache whose reads could miss; give zones")
	}
	for field, d := range map[string]Demand{
		"publish": c.Costs.Publish, "serve": c.Costs.Serve, "driver": c.Costs.Driver, "store-work": c.Costs.StoreWork, "store-write-work": c.Costs.StoreWriteWork, "cache-work": c.Costs.CacheWork,
	} {
		if d.PerRequest < 0 || d.PerMiB < 0 {
			bad("costs."+field, "%v and %v per MiB: must not be negative", d.PerRequest, d.PerMiB)
		}
		if !(d.Beside >= 0 && d.Beside <= 1) {
			bad("costs."+field+".beside", "%v: must be 0 to 1", d.Beside)
		}
		if !(d.Idle >= 0) {
			bad("costs."+field+".idle", "%v: must not be negative", d.Idle)
		}
		if err := d.Latency.Validate(); err != nil {
			bad("costs."+field+".latency", "%w", err)
		}
	}
	if c.Costs.ReadableBefore < 0 {
		bad("costs.readable-before", "%v: must not be negative", c.Costs.ReadableBefore)
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) }) // maps have no order
	return errors.Join(errs...)
}

// build makes the origin that m's Config says.
func (m *run) build() {
	c := m.c
	m.events = make(map[string]*event, len(c.Events))
	for _, e := range c.Events {
		m.addEvent(e)
	}
	t := c.Topology
	m.silent, m.broken = map[string]int{}, map[string]map[*track]bool{}
	m.chains = map[feedOf]*exchange{}
	m.asked = max(1, t.Serve)
	m.chunk = cmp.Or(int64(t.ChunkSize), defaultChunkSize)
	var shared *engine.Share
	if t.Shared > 0 {
		shared = m.cores("shared", t.Shared)
		m.driver = shared
	}
	nodes := func(role string, n, cores int, link float64) []*node {
		all := make([]*node, max(1, n))
		for i := range all {
			all[i] = &node{m: m, role: role, nth: i, cores: shared}
			if shared == nil && cores > 0 {
				all[i].cores = m.cores(role, cores)
			}
			if link > 0 {
				all[i].in, all[i].out = m.links(role, link)
			}
		}
		return all
	}
	for i := range t.Zones {
		m.zones = append(m.zones, newZone(m, i, nodes(cacheRole, max(1, t.CacheNodes), t.CacheCores, float64(t.CacheLink))))
	}
	m.publish = nodes(publishRole, t.Publish, t.PublishCores, float64(t.PublishLink))
	for i, n := range m.publish {
		n.offset = nth(c.ClockOffset.Publish, i)
		n.publishing.init(n)
	}
	m.serve = nodes(serveRole, t.Serve, t.ServeCores, float64(t.ServeLink))
	for i, n := range m.serve {
		n.offset = nth(c.ClockOffset.Serve, i)
		n.serving.init(n)
	}
	m.store = newStore(m, nodes(storeRole, t.Store, t.StoreCores, float64(t.StoreLink)))
	for _, i := range t.Down {
		m.store.nodes[i].state = dead
	}
	m.store.polls = m.steadily(m.store.nodes[0].cores)
	if len(m.zones) > 0 {
		m.zonePolls, m.calm = m.steadily(m.zones[0].nodes[0].cores), c.calmZones()
	}
	for _, all := range [][]*node{m.publish, m.serve, m.store.nodes} {
		for _, n := range all {
			if n.state != dead {
				n.idles(1)
			}
		}
	}
	for _, z := range m.zones {
		for _, n := range z.nodes {
			n.idles(1)
		}
	}
}

// defaultChunkSize is package storage's.
const defaultChunkSize = 512 << 10

func (m *run) addEvent(c config.Event) {
	e := &event{
		Rendition: policy.Rendition{Template: c.Template, DVR: c.DVR}, name: c.Name, pipelines: c.Pipelines,
		tracks: make(map[string]*track, len(c.Renditions)), most: cmp.Or(c.MaxSegment, maxSegment), same: m.c.SameBytes,
	}
	for _, r := range c.Renditions {
		t := &track{event: e, name: r.Name, nth: len(m.tracks), segs: map[int64]*seg{}, filed: files{}}
		e.tracks[r.Name] = t
		m.tracks = append(m.tracks, t)
	}
	for i := range c.Pipelines {
		e.all = append(e.all, i)
	}
	m.events[c.Name] = e
}

// maxSegment is the largest body that an event takes that says nothing about it.
const maxSegment = 32 << 20

// find returns the rendition that id is of; nil if there is none.
func (m *run) find(id segment.ID) *track {
	e := m.events[id.Event]
	if e == nil {
		return nil
	}
	return e.tracks[id.Rendition]
}

// pipeline returns which of the event's pipelines has that name; -1 if none has.
func (e *event) pipeline(name string) int { return slices.Index(e.pipelines, name) }

// known returns segment n as far as anything is known of it, else nil.
func (m *run) known(t *track, n int64) *seg {
	now := m.engine.Now()
	if now-t.tidied >= m.unused(t)/4 {
		m.tidy(t)
	}
	s := t.segs[n]
	if s == nil {
		if s = m.unfile(t, n); s == nil {
			return nil
		}
		t.segs[n] = s
	}
	s.touched = now
	return s
}

// seg returns segment n, which is made if nothing was known of it.
func (m *run) seg(t *track, n int64) *seg {
	s := m.known(t, n)
	if s == nil {
		s = m.newSeg(t, n)
		s.touched = m.engine.Now()
		t.segs[n] = s
	}
	return s
}

func (m *run) newSeg(t *track, n int64) *seg {
	s := &seg{track: t, number: n, copies: make([]slot, len(t.event.pipelines)), at: make([]seenAt, len(m.serve))}
	for i := range s.copies {
		s.copies[i] = slot{seg: s, pipeline: i, zoned: make([]zoned, len(m.zones))}
	}
	return s
}

// present is all segments that are not filed, always in the same order.
func (m *run) present() iter.Seq[*seg] {
	return func(yield func(*seg) bool) {
		for _, t := range m.tracks {
			for _, n := range slices.Sorted(maps.Keys(t.segs)) {
				if !yield(t.segs[n]) {
					return
				}
			}
		}
	}
}

// instant is the wall clock's time now, as a node sees it whose clock is that much ahead.
func (m *run) instant(offset time.Duration) time.Time {
	return m.c.Start.Add(m.engine.Now() + offset)
}

// node is a machine.
type node struct {
	m      *run
	role   string
	nth    int
	offset time.Duration
	cores  *engine.Share // nil: without bound
	in     *engine.Share // its link, in each direction; nil: without bound
	out    *engine.Share

	state  state
	began  time.Duration // when it was started
	life   int           // how often it has died
	parked []func()      // what goes on when it is let go on
	flying *exchange     // requests that are on their way here, or being answered

	publishing publishing
	serving    serving
}

// What nodes do.
const (
	publishRole = "publish"
	serveRole   = "serve"
	storeRole   = "store"
	cacheRole   = "cache"
)

type state uint8

const (
	up state = iota
	halted
	dead
)

// clock is what n takes for the time.
func (n *node) clock() time.Time { return n.m.instant(n.offset) }

// park reports whether n is halted, and if so has do called when it goes on.
func (n *node) park(do func()) bool {
	if n.state != halted {
		return false
	}
	n.parked = append(n.parked, do)
	return true
}

// arrives puts x, which has found n's address, among its requests; if nobody listens there, x has failed.
func (n *node) arrives(x *exchange) bool {
	x.node = n
	if n.state == dead {
		x.fail(errRefused)
		return false
	}
	x.after = n.flying
	if n.flying != nil {
		n.flying.before = x
	}
	n.flying = x
	x.listed = true
	x.patience()
	return true
}

// leaves takes x, which has ended, from n's requests.
func (n *node) leaves(x *exchange) {
	if !x.listed {
		return
	}
	if x.after != nil {
		x.after.before = x.before
	}
	if x.before != nil {
		x.before.after = x.after
	} else {
		n.flying = x.after
	}
	x.before, x.after, x.listed = nil, nil, false
}

// work has done called after n's processors have done the work, a part of d, that a request waits for, and then the latency has passed. Without
// a bound on them each request has a core to itself.
func (n *node) work(d *Demand, work, latency time.Duration, done func()) {
	beside := time.Duration(d.Beside * float64(work))
	work -= beside
	if n.cores != nil && beside > 0 {
		n.cores.Add(beside.Seconds(), func() {})
	}
	if n.cores == nil {
		n.m.after(work+latency, done)
		return
	}
	if work <= 0 {
		n.m.after(latency, done)
		return
	}
	if latency <= 0 {
		n.cores.Add(work.Seconds(), done)
		return
	}
	n.cores.Add(work.Seconds(), func() { n.m.after(latency, done) })
}

// nth is the i-th of all, or 0 if there are not so many.
func nth(all []time.Duration, i int) time.Duration {
	if i < len(all) {
		return all[i]
	}
	return 0
}

package plan

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/origin/segment"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/body"
)

// generator makes the requests of a plan, tick by tick. A tick is the end of a segment of the first event; the other events'
// ends follow within the same segment's time.
type generator struct {
	Config
	start time.Time
	end   time.Duration // of the last window
	// delay is how many ticks after its end a segment is due, rounded down: readers are planned that much later than packagers,
	// so that what is kept at a time does not depend on the publish delay.
	delay  int64
	edges  []reader // those of this share
	breaks []interruption
	failed atomic.Pointer[error] // why requests ended before the plan did
	packs  [][]string            // names of packagers by event and pipeline; empty if in another share
	probes []string              // likewise by event
	faults []storm.Fault         // that change what is published
	crowds []storm.Fault         // that change who reads
}

// reader is an edge.
type reader struct {
	name string
	rank int           // among all edges, from 0
	way  time.Duration // from there to the origin's door
	warm bool          // it reads in a warm-up
}

// item is a request in the making: ten million of them fit into memory.
type item struct {
	at        time.Duration
	number    int64
	from      int32 // index of the edge, or of the pipeline
	event     uint16
	rendition uint16
	class     storm.Class
	put       bool
	fault     uint16 // which of the generator's it is changed by, from 1
	slipped   int32  // by how much number is not that of the segment that is published
}

// unknown as an item's rendition is one that no event has.
const unknown = ^uint16(0)

func newGenerator(c Config) *generator {
	g := &generator{Config: c, start: c.Start(), end: c.Windows[len(c.Windows)-1].To, faults: strikes(faults(c.Scenario, c.Windows)), crowds: crowds(faults(c.Scenario, c.Windows))}
	g.delay = int64(c.Scenario.Event.PublishDelay / c.Scenario.Event.Segment.Duration())
	for _, e := range c.Events {
		var names []string
		for _, p := range e.Pipelines {
			names = append(names, g.keep(packager+"/"+e.Name+"/"+p))
		}
		g.packs = append(g.packs, names)
		g.probes = append(g.probes, g.keep(prober+"/"+e.Name))
	}
	if c.Scenario.Readers.Restart != nil {
		g.breaks = interruptions(faults(c.Scenario, c.Windows))
	}
	sites := c.Scenario.Readers.Sites
	site, upTo := -1, scenarios.Share(0)
	for i := range c.Scenario.Readers.Edges {
		r := reader{name: edge + "/" + strconv.Itoa(i+1), rank: i, warm: i%warmEdges == 0}
		if len(sites) > 0 {
			for site < len(sites)-1 && float64(i)+0.5 > float64(upTo)*float64(c.Scenario.Readers.Edges) {
				site++
				upTo += sites[site].Share
			}
			r.name = edge + "/" + sites[site].Name + "/" + strconv.Itoa(i+1)
			r.way = sites[site].RTT / 2
		}
		if c.mine(r.name) {
			g.edges = append(g.edges, r)
		}
	}
	return g
}

// keep returns the name of a client if it is in this share, else "".
func (g *generator) keep(name string) string {
	if g.mine(name) {
		return name
	}
	return ""
}

// requests yields all requests in order of At.
func (g *generator) requests() iter.Seq[storm.Request] {
	return func(yield func(storm.Request) bool) {
		log := newPlayback(g)
		defer log.close()
		items := g.inits(nil)
		ahead, next := g.earliest(), g.First
		for n, more := g.First, true; more; n++ {
			for ; next <= n+ahead && g.published(next); next++ {
				items = g.publish(items, next)
			}
			more = n-g.delay < g.First || g.published(n-g.delay)
			if g.published(n - g.delay) {
				items = g.read(items, n-g.delay, log)
			}
			if log != nil && log.err != nil {
				g.failed.Store(&log.err)
				return
			}
			slices.SortFunc(items, item.compare)
			ready := len(items)
			if more {
				// What later ticks read begins when the segment before is due; what they publish is not complete until after that.
				bound := g.due(0, n-g.delay)
				ready, _ = slices.BinarySearchFunc(items, bound, func(i item, at time.Duration) int { return cmp.Compare(i.at, at) })
			}
			for _, i := range items[:ready] {
				if !yield(g.request(i)) {
					return
				}
			}
			items = append(items[:0], items[ready:]...)
		}
	}
}

// err is why requests ended early, if they did.
func (g *generator) err() error {
	if e := g.failed.Load(); e != nil {
		return fmt.Errorf("plan: readers.replay: %w", *e)
	}
	return nil
}

// compare orders items by time. What happens at one instant has an order, too, so that a plan can be repeated exactly.
func (a item) compare(b item) int {
	if a.at != b.at {
		return cmp.Compare(a.at, b.at)
	}
	return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.event, b.event), cmp.Compare(a.from, b.from),
		cmp.Compare(a.rendition, b.rendition), cmp.Compare(a.number, b.number), cmp.Compare(a.fault, b.fault))
}

// ends is when segment n of an event is complete, due when it should be readable.
func (g *generator) ends(event int, n int64) time.Duration {
	return g.Events[event].Template.Begins(n + 1).Sub(g.start)
}

func (g *generator) due(event int, n int64) time.Duration {
	return g.Events[event].Template.Due(n).Sub(g.start)
}

// published reports whether segment n is part of the run.
func (g *generator) published(n int64) bool { return n >= g.First && g.ends(0, n) < g.end }

// draw is an even draw from (0, 1) for what a client does about a segment of a rendition; again tells several draws apart.
// Segments count from the run's first, so that a run can be repeated at another time.
func (g *generator) draw(what, from string, i item, again int) float64 {
	nth := int64(-1)
	if i.number != segment.Init {
		nth = i.number - g.First
	}
	number := (int(nth)*len(g.Events)+int(i.event))*len(g.Scenario.Event.Renditions) + int(i.rendition)
	return cost.Draw(g.Seed, what, from, number*max(1, g.Scenario.Readers.Viewers)*maxExtra+again)
}

// maxExtra is how many requests for other segments come on top of one for the newest, at most.
const maxExtra = 11

// inits adds the initialisation segments, over the first half of the time before the first window.
func (g *generator) inits(items []item) []item {
	for e := range g.Events {
		for p, name := range g.packs[e] {
			if name == "" {
				continue
			}
			for r := range g.Scenario.Event.Renditions {
				i := item{number: segment.Init, from: int32(p), event: uint16(e), rendition: uint16(r), class: storm.Publish, put: true}
				i.at = part(g.draw("init", name, i, 0), 0, g.Scenario.Event.Segment.Duration()/2)
				items = append(items, i)
			}
		}
	}
	return items
}

// publish adds the packagers' requests for segment n.
func (g *generator) publish(items []item, n int64) []item {
	shape := g.Scenario.Event
	for e := range g.Events {
		for p, name := range g.packs[e] {
			if name == "" {
				continue
			}
			for r := range shape.Renditions {
				i := item{number: n, from: int32(p), event: uint16(e), rendition: uint16(r), class: storm.Publish, put: true}
				i.at = g.ends(e, n) + part(g.draw("encode", name, i, 0), shape.Encode.Min, shape.Encode.Max) + time.Duration(p)*shape.Lag
				items = g.strike(items, i)
			}
		}
	}
	return items
}

// read adds the requests of the probe and of the edges that have to do with segment n; the edges' are the log's if there is one.
func (g *generator) read(items []item, n int64, log *playback) []item {
	for e := range g.Events {
		if g.probes[e] != "" {
			for r := range g.Scenario.Event.Renditions {
				items = append(items, item{at: g.due(e, n-1), number: n, event: uint16(e), rendition: uint16(r), class: storm.Probe})
			}
		}
		w, ok := stormy(g.Windows, g.due(e, n))
		switch {
		case !ok:
		case log != nil:
			from, to := g.slot(e, n, w)
			items = log.read(items, w, from, to)
		default:
			items = g.herd(items, e, n, w)
			items = g.restart(items, e, n, w)
			items = g.unlocked(items, e, n, w)
		}
	}
	return items
}

// stormy returns the window in which at falls, and whether edges read in it.
func stormy(windows []storm.Window, at time.Duration) (storm.Window, bool) {
	for _, w := range windows {
		if at >= w.From && at < w.To {
			return w, w.Name == scenarios.StormPhase || w.Name == scenarios.WarmUpPhase
		}
	}
	return storm.Window{}, false
}

// oldest is the number of the oldest segment that can be read while n is the newest: one that this run has published, and that is
// not about to leave the DVR window.
func (c Config) oldest(n int64) int64 {
	return max(c.First, n+2-int64(c.Scenario.Event.DVR/c.Scenario.Event.Segment.Duration()))
}

// slot is the segment's time of n in w: the whole one, counted from the window's begin, in which n is due.
func (g *generator) slot(event int, n int64, w storm.Window) (from, to time.Duration) {
	duration := g.Scenario.Event.Segment.Duration()
	from = w.From + (g.due(event, n)-w.From)/duration*duration
	return from, min(from+duration, w.To)
}

// herd adds the requests of all edges for segment n of an event, and what else they ask for in the segment's time, which is a
// whole one inside w.
func (g *generator) herd(items []item, e int, n int64, w storm.Window) []item {
	behaviour := g.Scenario.Readers.Behaviour
	due, before := g.due(e, n), max(g.due(e, n-1), w.From)
	from, to := g.slot(e, n, w)
	oldest := g.oldest(n)
	asking := g.asking(due, w)
	viewers := max(1, g.Scenario.Readers.Viewers)
	skew, times := g.skewed(due), g.times(due)
	for k, edge := range g.edges {
		if w.Name == scenarios.WarmUpPhase && !edge.warm {
			continue
		}
		for r := range g.Scenario.Event.Renditions {
			i := item{number: n, from: int32(k), event: uint16(e), rendition: uint16(r)}
			for nth := range viewers * times {
				viewer, crowd := nth%viewers, nth/viewers
				if !asks(asking, edge.rank*viewers+viewer) || g.locked(due, edge.rank*viewers+viewer) {
					continue
				}
				draw := func(what string, again int) float64 {
					if crowd > 0 { // of readers that came on top
						what += " " + strconv.Itoa(crowd)
					}
					return g.draw(what, edge.name, i, viewer*maxExtra+again)
				}
				live := i
				if draw("early", 0) < float64(behaviour.Early) {
					live.class, live.at = storm.Early, part(draw("early at", 0), before, due)
				} else {
					live.class, live.at = storm.LiveEdge, due+edge.way+part(draw("aligned", 0), 0, behaviour.Aligned)
				}
				live.at = max(live.at+skew, before)
				if live.at < w.To { // in a quiet window nobody reads
					items = append(items, live)
				}

				for again := range several(draw("dvr", 0), behaviour.DVR) {
					if n <= oldest {
						break
					}
					old := i
					old.class, old.at = storm.DVR, part(draw("dvr at", again), from, to)
					old.number = oldest + int64(draw("dvr number", again)*float64(n-oldest))
					items = append(items, old)
				}
				for again := range several(draw("missing", 0), behaviour.Missing) {
					none := i
					none.class, none.at = storm.Missing, part(draw("missing at", again), from, to)
					if u := draw("missing what", again); u < 0.5 {
						none.number = n + tooEarly + int64(u*2*tooEarlyBy)
					} else {
						none.rendition = unknown
					}
					items = append(items, none)
				}
			}
		}
	}
	return items
}

// Askers of what does not exist yet are a few segments ahead of the live edge, as players are whose clock is wrong or who try the
// next number after a 404: at least so many, and at most so many more. A segment nearer might be due before the request comes.
const (
	tooEarly   = 3
	tooEarlyBy = 8
)

// part is the instant at the part u of the way from a to b.
func part(u float64, a, b time.Duration) time.Duration { return a + time.Duration(u*float64(b-a)) }

// several is how many requests come on top of one: share on average.
func several(u float64, share scenarios.Share) int {
	n := int(share)
	if u < float64(share)-float64(n) {
		n++
	}
	return n
}

// request returns what i stands for.
func (g *generator) request(i item) storm.Request {
	event := g.Events[i.event]
	r := storm.Request{At: i.at, Began: i.at, Class: i.class, Put: i.put, ID: segment.ID{Event: event.Name, Number: i.number}}
	if i.rendition == unknown {
		r.ID.Rendition = "no-such-rendition"
	} else {
		r.ID.Rendition = event.Renditions[i.rendition].Name
	}
	switch {
	case i.put:
		r.From = g.packs[i.event][i.from]
		r.ID.Pipeline = event.Pipelines[i.from]
		r.Size = g.size(i)
		g.twist(&r, i)
	case i.class == storm.Probe:
		r.From = g.probes[i.event]
	default:
		r.From = g.edges[i.from].name
	}
	return r
}

// size is the length of a body that is published.
func (g *generator) size(i item) int {
	if i.number == segment.Init {
		return body.Size(0)
	}
	shape := g.Scenario.Event
	encoder := g.packs[i.event][i.from]
	if shape.Identical {
		encoder = g.Events[i.event].Name
	}
	mean := float64(shape.Renditions[i.rendition].Rate) / 8 * shape.Segment.Duration().Seconds()
	return body.Size(int(mean * (1 + float64(shape.SizeVariation)*(2*g.draw("size", encoder, i, 0)-1))))
}

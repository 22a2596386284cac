package plan

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/scenarios"
	"origin-storm/scenarios/accesslog"
	"origin-storm/storm"
)

// playback plays a log into the windows of a plan, one after the other.
type playback struct {
	g      *generator
	scene  scenarios.Replay
	here   map[int]int32 // index in g.edges of each edge of this share, by its rank
	window storm.Window
	base   time.Duration // instant of the plan at which the log begins
	file   io.Closer
	log    *accesslog.Reader
	head   accesslog.Request
	more   bool
	length time.Duration // of the log so far
	err    error
}

// newPlayback returns nil if nothing is to be replayed.
func newPlayback(g *generator) *playback {
	if g.Scenario.Readers.Replay == nil {
		return nil
	}
	p := &playback{g: g, scene: *g.Scenario.Readers.Replay, here: map[int]int32{}}
	p.scene.Speed, p.scene.Rate = cmp.Or(p.scene.Speed, 1), cmp.Or(p.scene.Rate, 1)
	for k, e := range g.edges {
		p.here[e.rank] = int32(k)
	}
	return p
}

// close lets go of the log.
func (p *playback) close() {
	if p != nil && p.file != nil {
		p.file.Close()
		p.file = nil
	}
}

// read adds the log's requests of a slot of time of w. Slots of a window follow one another.
func (p *playback) read(items []item, w storm.Window, from, to time.Duration) []item {
	if w != p.window {
		p.window = w
		p.begin(w.From)
	}
	for p.more && p.err == nil {
		at := p.instant(p.head.At)
		if at >= to {
			break
		}
		if at >= from {
			items = p.request(items, at, p.head)
		}
		if p.advance(); !p.more && p.err == nil {
			// It begins again on the next beat, so that new segments come when they did.
			p.begin(p.base + time.Duration(float64(max(0, p.length-p.scene.Skip))/p.scene.Speed) + 1)
		}
	}
	return items
}

// instant is when what the log has at is played.
func (p *playback) instant(at time.Duration) time.Duration {
	return p.base + time.Duration(float64(at-p.scene.Skip)/p.scene.Speed)
}

// begin opens the log and lays its begin, but for what is skipped, as soon after from as lets its new segments come when the plan's are
// due.
func (p *playback) begin(from time.Duration) {
	p.close()
	p.more = false
	c, err := p.scene.Log(p.g.Scenario.Event, func(line int64) float64 { return cost.Draw(p.g.Seed, "replay within", "", int(line)) })
	if err != nil {
		p.err = err
		return
	}
	file, err := p.scene.Open()
	if err != nil {
		p.err = err
		return
	}
	p.file = file
	if p.log, err = accesslog.NewReader(file, c); err != nil {
		p.err = err
		return
	}
	for p.advance(); p.more && p.head.At < p.scene.Skip; p.advance() {
	}
	if !p.more {
		p.err = cmp.Or(p.err, fmt.Errorf("%s has nothing left to replay: has it changed?", p.scene.File))
		return
	}
	segment := c.Segment
	phase := (p.log.Phase() - p.scene.Skip) % segment
	p.base = from
	due := p.g.due(0, p.g.First) + time.Duration(float64(phase)/p.scene.Speed)*-1
	if off := (due - from) % segment; off > 0 {
		p.base += off
	} else if off < 0 {
		p.base += off + segment
	}
}

// advance takes the log's next request.
func (p *playback) advance() {
	var err error
	p.head, err = p.log.Next()
	p.more = err == nil
	if err != nil && err != io.EOF {
		p.err = err
	}
	if p.more {
		p.length = max(p.length, p.head.At)
	}
}

// request adds what q is at an instant: of a thinned log nothing or something, of a multiplied one itself and others like it.
func (p *playback) request(items []item, at time.Duration, q accesslog.Request) []item {
	draw := func(what string, again int) float64 {
		return cost.Draw(p.g.Seed, what, "", int(q.Line)*maxCopies+again)
	}
	edges := uint64(max(1, p.g.Scenario.Readers.Edges))
	newest := p.g.Events[0].Template.Next(p.g.start.Add(at)) - 1
	for again := range several(draw("replay", 0), scenarios.Share(p.scene.Rate)) {
		// Each further one is from another reader, always the same for a client.
		k, ok := p.here[int((q.Client+uint64(again)*0x9e3779b97f4a7c15)%edges)]
		if !ok || p.window.Name == scenarios.WarmUpPhase && !p.g.edges[k].warm {
			continue
		}
		i := item{number: max(newest-q.Behind, p.g.oldest(newest)), from: k, rendition: uint16(q.Rendition), at: at + p.g.edges[k].way}
		if again > 0 {
			i.at += part(draw("replay aligned", again), 0, p.g.Scenario.Readers.Behaviour.Aligned)
		}
		switch {
		case i.number > newest+1:
			i.class = storm.Missing
		case i.number == newest+1:
			i.class = storm.Early
		case i.number == newest:
			i.class = storm.LiveEdge
		default:
			i.class = storm.DVR
		}
		if i.at < p.window.To {
			items = append(items, i)
		}
	}
	return items
}

// maxCopies is more than a line is ever played.
const maxCopies = 1001

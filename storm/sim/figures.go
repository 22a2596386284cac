package sim

import (
	"math"
	"time"

	"origin-storm/scenarios"
	"origin-storm/storm/sim/engine"
)

// gauge watches one part of the model: the same resource of all nodes of a kind.
type gauge struct {
	name     string
	shares   []*engine.Share
	capacity float64 // of each, in its units of work a second
	each     int     // how many jobs are served at a time, beyond which they wait
	beside   *steady // what they do besides; nil: nothing

	begun  float64 // how much was served when the present window began
	phases map[string]used
	last   float64 // how much was served at the last tick
	ticks  [TickBins]float64
}

// used is how much was served in how much time.
type used struct {
	work float64
	time time.Duration
}

func (g *gauge) served() (sum float64) {
	for _, s := range g.shares {
		sum += s.Served()
	}
	if g.beside != nil {
		sum += g.beside.done()
	}
	return sum
}

// share makes a resource, and watches it under name.
func (m *run) share(name string, capacity, each float64, atOnce int) *engine.Share {
	s := engine.NewShare(&m.engine, capacity, each)
	for _, g := range m.gauges {
		if g.name == name {
			g.shares = append(g.shares, s)
			return s
		}
	}
	m.gauges = append(m.gauges, &gauge{name: name, shares: []*engine.Share{s}, capacity: capacity, each: atOnce, phases: map[string]used{}})
	return s
}

// cores makes the processors of a machine.
func (m *run) cores(role string, n int) *engine.Share {
	return m.share(role+" processors", float64(n), 1, n)
}

// links makes the two directions of a machine's link. That in which what is published or read goes bears the name.
func (m *run) links(role string, bits float64) (in, out *engine.Share) {
	name := role + " links"
	inName, outName := name+" in", name
	if role == publishRole {
		inName, outName = name, name+" out"
	}
	return m.share(inName, bits/8, math.Inf(1), 1), m.share(outName, bits/8, math.Inf(1), 1)
}

// watch has the gauges read at the ends of windows and, in storms, at so many places of a segment's time.
func (r *run) watch() {
	if len(r.gauges) == 0 {
		return
	}
	t := r.c.Events[0].Template
	duration := t.Duration()
	due := t.Due(t.Next(r.c.Start)).Sub(r.c.Start) % duration // at which instants of the plan segments are due
	for _, w := range r.plan.Windows {
		r.end = max(r.end, w.To)
		r.engine.At(w.From, func() {
			for _, g := range r.gauges {
				g.begun = g.served()
				g.last = g.begun
			}
		})
		r.engine.At(w.To, func() {
			for _, g := range r.gauges {
				u := g.phases[w.Name]
				g.phases[w.Name] = used{u.work + g.served() - g.begun, u.time + w.To - w.From}
			}
		})
		if w.Name != scenarios.StormPhase {
			continue
		}
		r.storms += w.To - w.From
		nth := int64(w.From-due+duration)*TickBins/int64(duration) - TickBins // the bin that the window begins in
		at := func(nth int64) time.Duration { return due + time.Duration(nth*int64(duration)/TickBins) }
		var tick func()
		tick = func() {
			bin := (nth%TickBins + TickBins) % TickBins
			for _, g := range r.gauges {
				now := g.served()
				g.ticks[bin] += now - g.last
				g.last = now
			}
			if nth++; r.engine.Now() < w.To {
				r.engine.At(min(max(at(nth+1), r.engine.Now()), w.To), tick)
			}
		}
		r.engine.At(min(max(at(nth+1), w.From), w.To), tick)
	}
}

// settle returns the figures at the end of a run.
func (r *run) settle() Figures {
	f := r.stats
	f.Events = r.engine.Events()
	for _, g := range r.gauges {
		all := g.capacity * float64(len(g.shares))
		t := Tier{Name: g.name, Nodes: len(g.shares), Phases: map[string]float64{}, Tick: make([]float64, TickBins)}
		for name, u := range g.phases {
			t.Phases[name] = u.work / (all * u.time.Seconds())
		}
		for i, work := range g.ticks {
			if r.storms > 0 {
				t.Tick[i] = work / (all * r.storms.Seconds() / TickBins)
			}
		}
		for _, s := range g.shares {
			t.Queue = max(t.Queue, s.MostJobs()-g.each)
		}
		f.Tiers = append(f.Tiers, t)
	}
	return f
}

// mostWaits is how many waits for zones are kept. Of more, evenly spaced ones are.
const mostWaits = 1 << 17

// waited notes how long a write waited for the cache zones.
func (r *run) waited(d time.Duration) {
	if r.waits++; r.waits%r.waitEvery != 0 {
		return
	}
	all := append(r.stats.ZoneWaits, d)
	if len(all) == mostWaits {
		for i := range mostWaits / 2 {
			all[i] = all[2*i+1]
		}
		all = all[:mostWaits/2]
		r.waitEvery *= 2
	}
	r.stats.ZoneWaits = all
}

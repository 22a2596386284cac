package plan

import (
	"math"
	"slices"
	"time"

	"origin-storm/scenarios"
	"origin-storm/storm"
)

// asking is the part of the readers that asks at an instant of a window, as the scenario's ramp has it. A warm-up has no ramp.
func (g *generator) asking(at time.Duration, w storm.Window) float64 {
	ramp := g.Scenario.Readers.Ramp
	if ramp == nil || w.Name != scenarios.StormPhase {
		return 1
	}
	from, to := w.From, w.To
	if ramp.Over == scenarios.OverRun {
		from, to = g.span(scenarios.StormPhase)
	}
	return ramp.Share(at-from, to-from)
}

// span is from when to when the windows of a phase last.
func (g *generator) span(phase string) (from, to time.Duration) {
	from = math.MaxInt64
	for _, w := range g.Windows {
		if w.Name == phase {
			from, to = min(from, w.From), max(to, w.To)
		}
	}
	return from, to
}

// asks reports whether the nth reader is among that part of all: who asks at a small share also asks at every larger one.
func asks(share float64, n int) bool { return share >= 1 || spread(n, golden) < share }

// interruption is a stretch of time in which faults last.
type interruption struct{ from, to time.Duration }

// interruptions returns those of faults, which are in order of time. A fault without an end interrupts nothing that goes on later,
// what befalls readers does not send them away, and faults that overlap are one interruption.
func interruptions(faults []storm.Fault) (all []interruption) {
	for _, f := range faults {
		if f.For <= 0 || f.To == scenarios.OfReaders {
			continue
		}
		if last := len(all) - 1; last >= 0 && f.At <= all[last].to {
			all[last].to = max(all[last].to, f.At+f.For)
			continue
		}
		all = append(all, interruption{f.At, f.At + f.For})
	}
	return all
}

// A player that begins fills its buffer with so many of the newest segments.
const bufferSegments = 3

// restart adds what readers ask for who come back after an interruption: in the segment's time of n, which is a whole one inside w.
// At first Restart.Factor times the usual requests come, and ever fewer until Restart.Over has passed, when they are the usual ones.
func (g *generator) restart(items []item, e int, n int64, w storm.Window) []item {
	if w.Name != scenarios.StormPhase {
		return items
	}
	duration := g.Scenario.Event.Segment.Duration()
	due := g.due(e, n)
	until := min(due+duration, w.To)
	asking := g.asking(due, w)
	viewers := max(1, g.Scenario.Readers.Viewers)
	for _, b := range g.breaks {
		back := g.Scenario.Readers.Restart
		if end := b.to + back.Over; b.to < w.From || b.to >= w.To || end <= due || b.to >= until {
			continue
		}
		// On top of the usual rate, one request a segment of each reader for each rendition, come (factor-1)·(1-x/over) times as many
		// at x after the interruption. Their number up to an instant is that one's integral.
		number := func(at time.Duration) float64 {
			x := min(1, max(0, float64(at-b.to)/float64(back.Over)))
			return (back.Factor - 1) * float64(back.Over) / float64(duration) * (x - x*x/2)
		}
		already := number(due)
		for k, edge := range g.edges {
			for r := range g.Scenario.Event.Renditions {
				for viewer := range viewers {
					if !asks(asking, edge.rank*viewers+viewer) {
						continue
					}
					i := item{number: n, from: int32(k), event: uint16(e), rendition: uint16(r)}
					// Each reader's requests are a draw apart, so that those of all are spread.
					shift := g.draw("restart", edge.name, item{number: g.First, event: i.event, rendition: i.rendition}, viewer*maxExtra)
					for nth := math.Ceil(already - shift); nth+shift < number(until); nth++ {
						more := i
						// The inverse of number, kept within the slot that number has put it into.
						part := (nth + shift) * float64(duration) / ((back.Factor - 1) * float64(back.Over))
						x := 1 - math.Sqrt(max(0, 1-2*part))
						more.at = edge.way + min(until-1, max(due, b.to+time.Duration(x*float64(back.Over))))
						if more.at >= w.To {
							continue
						}
						more.class, more.number = storm.LiveEdge, n
						if behind := int64(nth) % bufferSegments; n-behind >= g.oldest(n) && behind > 0 {
							more.class, more.number = storm.DVR, n-behind
						}
						items = append(items, more)
					}
				}
			}
		}
	}
	return items
}

// crowds are those of faults that change who reads, and when.
func crowds(all []storm.Fault) []storm.Fault {
	return slices.DeleteFunc(slices.Clone(all), func(f storm.Fault) bool {
		return f.To != scenarios.OfReaders || f.Do != "skew" && f.Do != "withhold" && f.Do != "redirect"
	})
}

// skewed is by how much the readers' clocks are slow for what is due at an instant.
func (g *generator) skewed(at time.Duration) (by time.Duration) {
	for _, f := range g.crowds {
		if f.Do == "skew" && f.During(at) {
			by += f.By
		}
	}
	return by
}

// times is how many times as many readers as usual ask for what is due at an instant.
func (g *generator) times(at time.Duration) int {
	times := 1
	for _, f := range g.crowds {
		if f.Do == "redirect" && f.During(at) {
			times *= max(1, int(f.Count))
		}
	}
	return times
}

// locked reports whether the nth reader has no key for what is due at an instant.
func (g *generator) locked(at time.Duration, nth int) bool {
	return slices.ContainsFunc(g.crowds, func(f storm.Fault) bool { return f.Do == "withhold" && f.During(at) && keyless(f, nth) })
}

// keyless reports whether the nth reader is one from whom f withholds its key. Which part of the readers asks at all is another draw.
func keyless(f storm.Fault, nth int) bool {
	return f.Share <= 0 || spread(nth, bronze) < f.Share
}

// unlocked adds what readers ask for who get their key in the segment's time of n: at once what fills their buffers.
func (g *generator) unlocked(items []item, e int, n int64, w storm.Window) []item {
	due, duration := g.due(e, n), g.Scenario.Event.Segment.Duration()
	asking, viewers := g.asking(due, w), max(1, g.Scenario.Readers.Viewers)
	for f, fault := range g.crowds {
		end := fault.At + fault.For
		if fault.Do != "withhold" || end < due || end >= due+duration {
			continue
		}
		for k, edge := range g.edges {
			for r := range g.Scenario.Event.Renditions {
				i := item{number: n, from: int32(k), event: uint16(e), rendition: uint16(r)}
				for viewer := range viewers {
					nth := edge.rank*viewers + viewer
					if !asks(asking, nth) || !keyless(fault, nth) {
						continue
					}
					for behind := range int64(bufferSegments) {
						late := i
						late.number = n - behind
						late.class = storm.LiveEdge
						if behind > 0 {
							late.class = storm.DVR
						}
						late.at = end + edge.way + part(g.draw("unlocked", edge.name, i, viewer*maxExtra+f), 0, g.Scenario.Readers.Behaviour.Aligned)
						if late.number >= g.oldest(n) && late.at < w.To {
							items = append(items, late)
						}
					}
				}
			}
		}
	}
	return items
}

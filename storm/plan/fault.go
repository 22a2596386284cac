package plan

import (
	"math"
	"slices"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/scenarios"
	"origin-storm/storm"
)

// A fault of a packager, or of its way of sending, befalls the segments that end while it lasts: it changes their requests, adds to
// them, or both. What it takes is part of the plan, so that it is the same however the plan is carried out.

// struck are the kinds of faults whose publishes the plan changes.
func struck(f storm.Fault) bool {
	to, err := scenarios.ParseTarget(f.To)
	k, ok := scenarios.Fault{Do: f.Do}.Kind()
	return err == nil && ok && to.What == scenarios.OfPipeline && (k.Place == scenarios.AtPackager || k.Place == scenarios.AtNetwork && f.Do != "reset")
}

// earliest is by how many segments the publishes of a plan may be early for its faults.
func (g *generator) earliest() int64 {
	var by time.Duration
	for _, f := range g.faults {
		if f.Do == "delay" || f.Do == "skew" {
			by = max(by, -f.By)
		}
	}
	d := g.Scenario.Event.Segment.Duration()
	return int64((by + d - 1) / d)
}

// strike adds i, the publish of a segment, as the first fault that befalls it changes it.
func (g *generator) strike(items []item, i item) []item {
	for k, f := range g.faults {
		if !g.befalls(f, k, i) {
			continue
		}
		hit := i
		hit.fault = uint16(k + 1)
		switch f.Do {
		case "delay", "skew":
			i.at += f.By
			return append(items, i)
		case "repeat":
			items = append(items, i)
			i.at += f.By
			return append(items, i)
		case "contradict":
			hit.at += f.By
			return append(items, i, hit)
		case "delete":
			hit.number -= int64(f.Count)
			if hit.number < g.First {
				return append(items, i)
			}
			return append(items, i, hit)
		case "reinit":
			if items = append(items, i); g.since(f, i) == 0 {
				hit.number = segment.Init
				items = append(items, hit)
			}
			return items
		case "slip":
			hit.number, hit.slipped = i.number+int64(f.Count), int32(f.Count)
		case "restart":
			hit.number = g.First + int64(f.Count) - 1 + g.since(f, i)
			hit.slipped = int32(hit.number - i.number)
		}
		if hit.number < g.Events[i.event].Template.StartNumber {
			return items // there is no such name to publish under
		}
		return append(items, hit)
	}
	return append(items, i)
}

// befalls reports whether f, the k-th of the faults, befalls i.
func (g *generator) befalls(f storm.Fault, k int, i item) bool {
	event := g.Events[i.event]
	if f.To != scenarios.OfPipeline+" "+scenarios.Pipeline(int(i.from)) || !f.During(g.ends(int(i.event), i.number)) {
		return false
	}
	if f.Rendition != "" && f.Rendition != g.Scenario.Event.Renditions[i.rendition].Name {
		return false
	}
	return f.Share <= 0 || g.draw("fault "+f.Do, event.Pipelines[i.from], i, k) < f.Share
}

// since is how many segments of i's event f has befallen before i.
func (g *generator) since(f storm.Fault, i item) int64 {
	return int64((g.ends(int(i.event), i.number) - f.At) / g.Scenario.Event.Segment.Duration())
}

// twist makes r, of which i is the making, what i's fault says.
func (g *generator) twist(r *storm.Request, i item) {
	if i.fault == 0 {
		return
	}
	f := g.faults[i.fault-1]
	switch f.Do {
	case "drop":
		r.Twist.Do = storm.NotSent
	case "shorten":
		r.Twist = storm.Twist{Do: storm.Shorter, By: int64(f.By)}
	case "shift":
		r.Twist = storm.Twist{Do: storm.Shifted, By: int64(f.By)}
	case "slip", "restart":
		r.Twist = storm.Twist{Do: storm.Shifted, By: -int64(i.slipped) * int64(g.Scenario.Event.Segment.Duration())}
	case "slate":
		r.Twist.Do = storm.Slate
	case "inflate":
		r.Size = int(min(float64(r.Size)*f.Count, math.MaxInt32))
	case "contradict", "reinit":
		r.Twist = storm.Twist{Do: storm.Other, By: 1}
	case "cross":
		others := g.Events[i.event].Pipelines
		r.ID.Pipeline = others[(int(i.from)+1)%len(others)]
		r.Twist = storm.Twist{Do: storm.Other, By: 2 + int64(i.from)}
	case "end":
		if r.Twist.Do = storm.NotSent; g.since(f, i) == 0 {
			r.Twist.Do = storm.Last
		}
	case "delete":
		r.Twist.Do = storm.Deletes
	case "cut":
		r.Twist.Do = storm.Cut
	case "overstate":
		r.Twist = storm.Twist{Do: storm.Overstated, By: int64(r.Size)}
	case "understate":
		r.Twist = storm.Twist{Do: storm.Understated, By: int64(r.Size) / 2}
	case "trickle":
		r.Twist = storm.Twist{Do: storm.Trickled, By: int64(f.Count)}
	case "hang-up":
		r.Twist.Do = storm.HungUp
	case "chain":
		r.Twist.Do = storm.Chained
	case "reconnect":
		r.Twist.Do = storm.Reconnected
	}
}

// strikes are the faults of all that the plan's publishes are changed by.
func strikes(all []storm.Fault) []storm.Fault {
	return slices.DeleteFunc(slices.Clone(all), func(f storm.Fault) bool { return !struck(f) })
}

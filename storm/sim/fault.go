package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/scenarios"
	"origin-storm/storm"
)

// Refusals returns what of p's faults the model cannot carry out on an origin like c, each by name and with the nearest thing that works; nil
// if it can carry out all.
func Refusals(p storm.Plan, c Config) error {
	var errs []error
	for _, f := range p.Faults {
		if err := c.refuses(f); err != nil {
			errs = append(errs, fmt.Errorf("sim: fault at %v: %v: %w", f.At, f, err))
		}
	}
	return errors.Join(errs...)
}

// refuses returns why f cannot befall an origin like c, or nil.
func (c Config) refuses(f storm.Fault) error {
	to, err := scenarios.ParseTarget(f.To)
	if err != nil {
		return err
	}
	k, known := scenarios.Fault{Do: f.Do}.Kind()
	if !known {
		return fmt.Errorf("the model knows no such fault; there are %v", scenarios.FaultNames())
	}
	if !slices.Contains(k.To, to.What) {
		return fmt.Errorf("that befalls %v", k.To)
	}
	t := c.Topology
	has := func(n int, what, instead string) error {
		if max(1, to.Nth) <= n {
			return nil
		}
		return fmt.Errorf("this origin has %d %s; %s", n, what, instead)
	}
	switch to.What {
	case scenarios.OfServe:
		if err := has(max(1, t.Serve), "serving nodes", "name one of them, or give it more (origin.serve)"); err != nil {
			return err
		}
		if f.Do == "scale" && int(f.Count) > max(1, t.Serve) {
			return fmt.Errorf("this origin has %d serving nodes; leave at most so many", max(1, t.Serve))
		}
	case scenarios.OfCache:
		if t.Zones == 0 {
			return errors.New("this origin has no cache; use a backend with one, or slow the store")
		}
		return has(t.Zones, "cache zones", "name one of them")
	case scenarios.OfCassandra:
		if t.Replicas < 2 {
			return errors.New("this origin's store is one, without replicas: kill or stop the store, or give it nodes and replicas")
		}
		return has(t.Store, "store nodes", "name one of them")
	case scenarios.OfPipeline:
		for _, e := range c.Events {
			if slices.Contains(e.Pipelines, to.Name) {
				return nil
			}
		}
		return fmt.Errorf("no event has a pipeline %s", to.Name)
	}
	return nil
}

// scheduleFault has f carried out at its instant, and undone when it is over.
func (r *run) scheduleFault(f storm.Fault) {
	to, err := scenarios.ParseTarget(f.To)
	if err != nil {
		return // it was refused
	}
	switch {
	case f.Do != "kill":
	case to.What == scenarios.OfStore:
		r.store.frail = true
	case to.What == scenarios.OfCache:
		r.zones[max(1, to.Nth)-1].frail = true
	}
	do := func(undo bool) func() {
		return func() { r.fault(f, to, undo) }
	}
	r.engine.At(f.At, do(false))
	if f.For > 0 {
		r.engine.At(f.At+f.For, do(true))
	}
}

// fault carries f out, or undoes it. What a packager or the readers do is part of the plan, and so no business of the model's.
func (r *run) fault(f storm.Fault, to scenarios.Target, undo bool) {
	r.wakeAll()
	defer r.replan()
	by := 1
	if undo {
		by = -1
	}
	switch k, _ := (scenarios.Fault{Do: f.Do}).Kind(); {
	case to.What == scenarios.OfPipeline:
		switch f.Do {
		case "kill", "stop":
			r.silent[to.Name] += by
		case "reset":
			r.reset(to.Name, f.For > 0, undo)
		}
	case to.What == scenarios.OfReaders:
		if f.Do == "reconnect" {
			r.reconnecting += by
		}
	case k.Place == scenarios.AtStore:
		for _, s := range r.stores(to) {
			if undo {
				s.end(f)
			} else {
				s.begin(f, r.engine.Now())
			}
		}
		if f.Do == "flush" && !undo {
			r.zones[max(1, to.Nth)-1].flush()
		}
	case f.Do == "scale":
		r.asked = len(r.serve)
		if !undo {
			r.asked = max(1, int(f.Count))
		}
	default:
		for _, n := range r.targets(to) {
			switch {
			case f.Do == "skew":
				n.offset -= time.Duration(by) * f.By // what it does comes later, since to it everything is earlier
			case f.Do == "kill" && !undo:
				n.dies()
			case f.Do == "kill":
				n.starts()
			case f.Do == "stop" && !undo:
				n.halts()
			default:
				n.goesOn()
			}
		}
	}
}

// targets are the nodes that a fault befalls: of those that are not counted, all.
func (r *run) targets(to scenarios.Target) []*node {
	one := func(all []*node) []*node { return all[max(1, to.Nth)-1:][:1] }
	switch to.What {
	case scenarios.OfPublish:
		return r.publish
	case scenarios.OfServe:
		return one(r.serve)
	case scenarios.OfStore:
		return r.store.nodes
	case scenarios.OfCassandra:
		return one(r.store.nodes)
	}
	return r.zones[max(1, to.Nth)-1].nodes
}

// stores are whose operations a fault befalls.
func (r *run) stores(to scenarios.Target) []*faults {
	if to.What == scenarios.OfCache {
		return []*faults{&r.zones[max(1, to.Nth)-1].faults}
	}
	return []*faults{&r.store.faults}
}

// dies ends n without warning, and what it knew with it.
func (n *node) dies() {
	if n.state == dead {
		return
	}
	n.state = dead
	n.life++
	n.idles(-1)
	n.unpark() // finds that it is over
	for n.flying != nil {
		x := n.flying
		x.loose = true
		x.fail(errReset)
	}
	for _, z := range n.m.zones {
		if slices.Contains(z.nodes, n) {
			z.flush()
			z.dies(n)
		}
	}
	if len(n.m.store.nodes) == 1 && n.m.store.nodes[0] == n {
		n.m.store.dies()
	}
	switch n.role {
	case serveRole:
		n.forgetsAll()
	case publishRole:
		for _, f := range n.publishing.feeds {
			f.forget()
		}
	}
}

// forgetsAll is the loss of a serving node's memory.
func (n *node) forgetsAll() {
	for s := range n.m.present() {
		at := &s.at[n.nth]
		if at.wait != nil {
			at.wait.leave()
		}
		*at = seenAt{}
	}
	for _, t := range n.m.tracks {
		t.filed.forget(n)
	}
	n.serving.init(n)
}

// starts lets n answer again.
func (n *node) starts() {
	if n.state == dead {
		n.state = up
		n.began = n.m.engine.Now()
		n.idles(1)
	}
}

// halts has n stand still, with its connections open.
func (n *node) halts() {
	if n.state == up {
		n.state = halted
	}
}

// goesOn ends that: all that has come meanwhile happens at once.
func (n *node) goesOn() {
	if n.state != halted {
		return
	}
	n.state = up
	n.unpark()
}

// unpark does what was put off while n was halted.
func (n *node) unpark() {
	n.m.resumed = n.m.engine.Now()
	parked := n.parked
	n.parked = nil
	for _, do := range parked {
		do()
	}
}

// reset breaks the connections of a pipeline that are in the middle of a body; of the others, each when its next body comes, unless lasting
// resets are over before that.
func (r *run) reset(pipeline string, lasts, undo bool) {
	if undo {
		delete(r.broken, pipeline)
		return
	}
	left := map[*track]bool{}
	for _, t := range r.tracks {
		left[t] = true
	}
	for _, n := range r.publish {
		for x := n.flying; x != nil; {
			next := x.after
			if x.s.ID.Pipeline == pipeline && x.put != nil && !x.put.whole {
				delete(left, r.find(x.s.ID))
				x.loose = true
				x.fail(errReset)
			}
			x = next
		}
	}
	if lasts {
		left = nil // all of them, until it is undone
	}
	r.broken[pipeline] = left
}

// breaks reports whether the body of x comes over a connection that is to be reset in its midst.
func (r *run) breaks(x *exchange) bool {
	left, broken := r.broken[x.s.ID.Pipeline]
	if !broken || left == nil {
		return broken
	}
	t := r.find(x.s.ID)
	defer delete(left, t)
	return left[t]
}

// noticed is how long after a part of a body has come its connection is reset, as with the live executor.
const noticed = 10 * time.Millisecond

// faults are the faults that a store has now, in the order in which they began. They do what those of package kv do.
type faults struct {
	seed   uint64
	active []activeFault
}

type activeFault struct {
	storm.Fault
	id     string
	tokens float64 // of throttle
	filled time.Duration
}

func (s *faults) begin(f storm.Fault, now time.Duration) {
	if f.Do != "flush" {
		s.active = append(s.active, activeFault{Fault: f, id: fmt.Sprintf("%s-%d", f.Do, f.At.Nanoseconds()), tokens: f.Count, filled: now})
	}
}

func (s *faults) end(f storm.Fault) {
	s.active = slices.DeleteFunc(s.active, func(a activeFault) bool { return a.Fault == f })
}

// some reports whether there are any.
func (s *faults) some() bool { return len(s.active) > 0 }

// befalls reports whether f befalls w.
func (s *faults) befalls(f *activeFault, w cost.Work) bool {
	attempt := w.Attempt
	if f.Do == "forget" || f.Do == "hide" { // of keys, not of operations
		attempt = 0
	}
	return f.Share <= 0 || cost.Draw(s.seed, "fault "+f.id, w.Key, attempt) < f.Share
}

// forgets reports whether the value of a key cannot be found.
func (s *faults) forgets(key string) bool {
	return slices.ContainsFunc(s.active, func(f activeFault) bool { return f.Do == "forget" && s.befalls(&f, cost.Work{Key: key}) })
}

// arrive says what becomes of w: how much longer it takes, for how long its value is hidden then, or why it fails.
func (s *faults) arrive(now time.Duration, w cost.Work) (wait, hide time.Duration, err failure) {
	for i := range s.active {
		f := &s.active[i]
		if !s.befalls(f, w) {
			continue
		}
		switch f.Do {
		case "slow":
			wait += f.By
		case "hide":
			if w.Write {
				hide = max(hide, f.By)
			}
		case "throttle":
			f.tokens = min(f.Count, f.tokens+f.Count*(now-f.filled).Seconds())
			f.filled = now
			if f.tokens < 1 {
				return 0, 0, throttled
			}
			f.tokens--
		case "deny":
			return 0, 0, denied
		case "fill":
			if w.Write {
				return 0, 0, full
			}
		case "fail":
			return 0, 0, failed
		case "forget":
			if !w.Write {
				return 0, 0, absent
			}
		case "limit":
			if w.Write && w.Size > int(f.Count) {
				return 0, 0, tooLarge
			}
		}
	}
	return wait, hide, none
}

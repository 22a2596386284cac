package capacity

import (
	"fmt"

	"origin-storm/scenarios"
)

// losing is something that is lost at the peak.
type losing struct {
	what, how string
	before    job
	during    job
}

// losses are what is lost of the chosen backend's deployment.
func (f *finder) losses(asked, target job) (all []losing) {
	if f.deployment.Zones > 1 {
		j, how := f.zone(target)
		all = append(all, losing{what: "a zone", before: target, during: j, how: how})
	}
	if n := f.regions(); n > 1 {
		j := asked
		j.fillers = asked.fillers * n / (n - 1)
		j.quiet = 0
		how := fmt.Sprintf("The fillers of one of %d regions ask the others for all that the audience asks for", n)
		if f.Scenario.Event.Pipelines > 1 {
			j.faults = f.without()
			how += ", and the pipeline that was encoded there publishes nothing"
		}
		all = append(all, losing{what: "a region", before: asked, during: j, how: how + "."})
	}
	if target.backend.Cache {
		j := target
		j.backend.Cache, j.backend.Zones, j.backend.HitRatio = false, 0, nil
		all = append(all, losing{what: "the cache", before: target, during: j, how: "Every cache zone is gone: each read goes to the store, on the nodes that it has with a cache."})
	}
	if f.Scenario.Event.Pipelines > 1 {
		j := target
		j.faults = f.without()
		all = append(all, losing{what: "a pipeline", before: target, during: j, how: "Pipeline b publishes nothing; every segment is there once."})
	}
	for i := range all {
		all[i].during.what = "without " + all[i].what
	}
	return all
}

// zone is target without the nodes of one zone, and what that is in words. Publishing, serving and cache nodes are fewer. Those of the store are
// dead: its values stay on as many replicas as before, one of which is on each of them, and a write takes as many acknowledgements.
func (f *finder) zone(target job) (job, string) {
	d := f.deployment
	j := target
	j.nodes = counts{}
	for name, n := range target.nodes {
		zones := d.Zones
		if name == cache {
			zones = target.backend.Zones
		}
		j.nodes[name] = max(1, n*(zones-1)/max(1, zones))
	}
	if target.backend.Zones > 1 {
		j.backend.Zones--
	}
	how := fmt.Sprintf("One of %d zones is gone with all nodes in it", d.Zones)
	const after = "Simulated is the time after that, not the instant."
	nodes := target.nodes[store]
	switch {
	case nodes == 0:
		return j, how + ". " + after
	case d.Replicas < 2:
		j.replicas = 1
		return j, how + ". There was one copy of each value, so what was on them is lost; others have taken over what is new. " + after
	}
	down := max(1, nodes/d.Zones)
	j.nodes[store] = max(1, nodes-down)
	// Values are on nodes that follow one another, so that of nodes so many places apart each has a replica of its own: as in a zone.
	for i := range down {
		j.down = append(j.down, i*d.Zones)
	}
	quorum := d.Replicas/2 + 1
	left := d.Replicas - (d.Replicas+d.Zones-1)/d.Zones
	switch {
	case left < quorum:
		how += fmt.Sprintf(", and of some values %d of %d replicas are left, where a write takes %d: those cannot be written", left, d.Replicas, quorum)
	case left == quorum:
		how += fmt.Sprintf(", and each write has to be acknowledged by all %d replicas that may be left of %d", left, d.Replicas)
	default:
		how += fmt.Sprintf(", and each write has to be acknowledged by %d of the %d replicas that may be left of %d", quorum, left, d.Replicas)
	}
	return j, how + ". " + after
}

// without is the fault that pipeline b publishes nothing.
func (f *finder) without() []scenarios.Fault {
	return []scenarios.Fault{{Do: "drop", At: scenarios.Instant{Phase: scenarios.StormPhase, Nth: 1}, To: scenarios.Target{What: scenarios.OfPipeline, Name: scenarios.Pipeline(1)}}}
}

// loss holds what was simulated during a loss against what was before.
func (f *finder) loss(l losing, b *Backend, during Point) Loss {
	before := b.Target
	if l.before.fillers != b.Target.Fillers {
		before = b.Asked
	}
	out := Loss{What: l.what, How: l.how, Before: before, During: during}
	out.HeadroomBefore, _, _ = f.room(l.before.backend, load{f.reads(l.before), 1}, l.before.nodes)
	var name string
	var r resource
	out.HeadroomDuring, name, r = f.room(l.during.backend, load{f.reads(l.during), 1}, l.during.nodes)
	out.Tightest = called(name, r.name)
	out.Sentence = fmt.Sprintf("Losing %s takes the storm's write p99 from %s to %s, and %s; the least headroom goes from %s to %s, that of the %s.",
		l.what, state(before.Write), state(during.Write), misses(during), fold(out.HeadroomBefore), fold(out.HeadroomDuring), out.Tightest)
	if before.Holds && !during.Holds {
		out.Sentence += " What does not hold then: " + during.Why + "."
	}
	return out
}

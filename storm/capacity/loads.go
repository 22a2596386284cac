package capacity

import (
	"fmt"
	"maps"
	"math"
	"strings"

	"origin-storm/scenarios"
)

// sibling reports whether b has the store of the chosen backend.
func (f *finder) sibling(b scenarios.Backend) bool {
	return b.Store != scenarios.S3 && b.Store == f.Scenario.Backends[f.chosen].Store
}

// fewer are the jobs that the target's node counts are held against: one fewer of each kind of node, of the cache one fewer in each zone. A
// count that memory or disks decide is not, as neither is simulated. What publishing nodes have to do does not depend on who reads, so that of
// them less is looked at.
func (f *finder) fewer(asked, target job) (all []job) {
	for _, t := range f.tiers(target.backend, load{f.reads(target), target.rate}) {
		name, step := t.name, 1
		if _, bound := t.nodes(); t.countless || bound == memory || bound == disk || bound == spread && name == store {
			continue
		}
		if name == cache {
			step = target.backend.Zones
		}
		j := target
		if name == publish {
			j = asked
			j.quiet = 0
		}
		n := j.nodes[name] - step
		if n < 1 || name == store && n < f.deployment.Replicas {
			continue
		}
		j.fewer, j.nodes, j.what = name, changed(j.nodes, name, n), fmt.Sprintf("with %d %s nodes", n, name)
		all = append(all, j)
	}
	return all
}

// changed is n with another count of one kind.
func changed(n counts, name string, count int) counts {
	out := maps.Clone(n)
	out[name] = count
	return out
}

// checked is what j's nodes of one kind did.
func checked(name string, j job, p Point) Check {
	c := Check{Tier: name, Nodes: j.nodes[name], Write: p.Write, Read: p.Read}
	for _, u := range p.Used {
		if kind, _, _ := strings.Cut(u.Tier, " "); kind == name {
			c.Used = max(c.Used, u.Part)
		}
	}
	return c
}

// frontier are the loads of the frontier on what j runs on.
func (f *finder) frontier(j job) (all []job) {
	base := f.Scenario.Readers.Edges
	for _, bits := range moreBits {
		for _, more := range moreViewers {
			if more > 4 && bits > 1 || more > 2 && bits < 1 {
				continue // which takes long, and shows nothing that the others do not
			}
			k := j
			k.what = fmt.Sprintf("%s, %v times the viewers at %v times the bit rate", j.backend.Name, more, bits)
			k.fillers, k.rate = max(1, int(math.Round(float64(base)*more))), bits
			if f.reads(k) <= farthest*f.reads(j) {
				all = append(all, k)
			}
		}
	}
	return all
}

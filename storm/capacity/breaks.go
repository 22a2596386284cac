package capacity

import (
	"fmt"
	"math"
	"slices"
)

// giving is something that gives way as the load grows over the target, with all that gave way before it doubled.
type giving struct {
	tier    string
	use     resource
	limit   float64 // times the target's load at which the tier passes its limit
	from    float64 // where the one before it gave way
	target  job
	doubled string // what is doubled before the next one
	// looked says that simulation tells whether a threshold fails before the limit is reached: at the limit and, if one does there, between.
	looked bool
}

// at is the target with so many times the load.
func (g giving) at(factor float64) job {
	j := g.target
	j.fillers = max(1, int(math.Round(float64(j.fillers)*factor)))
	j.storm = (j.storm + 1) / 2 // half of the writes are enough for a p99
	j.what = fmt.Sprintf("at %s times the target", short(factor))
	return j
}

// between is the load between where the one before gave way and the limit.
func (g giving) between() float64 { return math.Sqrt(g.from * g.limit) }

// looked returns those of all that are looked at.
func looked(all []giving) []giving {
	return slices.DeleteFunc(slices.Clone(all), func(g giving) bool { return !g.looked })
}

// giving follows what gives way first, second and third by its limit. Each is found by counting: use grows evenly with the load.
func (f *finder) giving(target job) (all []giving) {
	g := giving{target: target, from: 1}
	for order := 1; order <= breaks; order++ {
		var name string
		g.limit, name, g.use = f.room(target.backend, load{f.reads(target), 1}, g.target.nodes)
		if math.IsInf(g.limit, 1) {
			return all
		}
		g.tier, g.doubled = name, ""
		g.looked = g.limit > g.from*1.05 && g.limit <= twice
		next := g
		if order < breaks && name != backbone {
			n := 2 * g.target.nodes[name]
			g.doubled = fmt.Sprintf("%s nodes, to %d", name, n)
			next.target.nodes = changed(g.target.nodes, name, n)
			next.from = max(g.from, g.limit)
		}
		all = append(all, g)
		if name == backbone {
			return all
		}
		g = next
	}
	return all
}

// broke is what g turned out to be, by the simulations at its limit and, where a threshold failed there, between; nil where there is none.
func (f *finder) broke(order int, g giving, between, limit *simulated) Break {
	b := Break{Order: order, Tier: called(g.tier, g.use.name), Holds: g.limit, Breaks: g.limit, Doubled: g.doubled}
	b.Why = fmt.Sprintf("%s used to %.0f %% on average, which is their limit", are(b.Tier), 100*g.use.limit)
	switch {
	case between != nil && between.broken:
		b.Holds, b.Breaks, b.Why = min(g.from, g.limit), g.between(), between.Why
	case limit != nil && limit.broken:
		b.Holds, b.Breaks, b.Why = g.between(), g.limit, limit.Why
	}
	last := g.at(b.Breaks)
	b.ReadGbit, b.Viewers = f.reads(last)/1e9, f.viewers(last.fillers)
	return b
}

package capacity

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"origin-storm/scenarios"
)

// demand is what the audience asks of each tier; asked is the read rate at the origin of one region.
func (f *finder) demand(asked float64) []Demand {
	s := f.Scenario
	seconds := s.Event.Segment.Duration().Seconds()
	renditions := float64(len(s.Event.Renditions) * s.Event.Count)
	var out []Demand
	if a := s.Audience; a != nil {
		viewers := float64(a.Viewers)
		watching := a.Watching(s.Event.Renditions)
		total := float64(s.Event.Renditions.Total())
		// What the nodes of one tier ask the next one for, each with so many viewers behind it.
		asks := func(each float64) (renditions, bits, part float64) {
			for i, p := range watching {
				any := scenarios.Any(p, each*(1-float64(a.DVR)))
				renditions += any
				bits += any * float64(s.Event.Renditions[i].Rate)
			}
			return renditions, bits, bits / total
		}
		edges, fillers := float64(a.Edges), float64(a.Fillers*a.Regions)
		er, eb, ew := asks(viewers / edges)
		fr, fb, fw := asks(viewers / fillers)
		out = append(out,
			Demand{Tier: "viewers", Nodes: int64(a.Viewers), Watched: 1, Reason: fmt.Sprintf("%v viewers, who watch %v on average", a.Viewers, a.BitRate)},
			Demand{Tier: "edges", Nodes: int64(a.Edges), Requests: viewers / seconds, Gbit: viewers * float64(a.BitRate) / 1e9, Watched: ew,
				Reason: fmt.Sprintf("each viewer asks for a segment every %v; %s viewers and %s Gbit/s for each edge", s.Event.Segment, short(viewers/edges), short(viewers*float64(a.BitRate)/edges/1e9))},
			Demand{Tier: "fillers", Nodes: int64(fillers), Requests: edges * er / seconds, Gbit: edges * eb / 1e9, Watched: fw,
				Reason: fmt.Sprintf("each edge asks once for each of the %s renditions that one of its viewers watches", short(er))},
			Demand{Tier: "origin", Nodes: int64(a.Regions), Requests: fillers * fr * (1 + float64(s.Readers.Behaviour.DVR)) / seconds, Gbit: fillers * fb * (1 + float64(s.Readers.Behaviour.DVR)) / 1e9, Watched: 1,
				Reason: fmt.Sprintf("each filler asks once for each of the %s renditions that one of its viewers watches, and for %s older segments with each", short(fr), short(float64(s.Readers.Behaviour.DVR)))})
		if simulated := float64(s.Readers.Edges) * total; math.Abs(simulated/(float64(a.Fillers)*fb)-1) > 0.02 {
			out[3].Reason += fmt.Sprintf("; the scenario's readers.edges: %d stands in their place", s.Readers.Edges)
		}
		return out
	}
	return []Demand{{Tier: "origin", Nodes: 1, Requests: float64(s.Readers.Edges) * renditions / seconds, Gbit: asked / 1e9, Watched: 1,
		Reason: fmt.Sprintf("readers.edges: %d ask for each segment of %d renditions; the scenario has no audience", s.Readers.Edges, len(s.Event.Renditions))}}
}

// words fills in what is said about the figures.
func (f *finder) words(r *Report) {
	b := r.Backends[f.chosen]
	r.Profile = f.profile()
	r.Inputs = f.inputs()
	r.Assumptions = f.assumptions()
	r.Prices = f.prices(b)
	nodes, where := f.nodes(b), ""
	if r.Regions > 1 {
		where = fmt.Sprintf(" in each of %d regions", r.Regions)
	}
	who := "readers ask"
	if f.Scenario.Audience != nil {
		who = "the audience asks"
	}
	room, tightest := f.headroom(b)
	more := r.TargetGbit / r.AskedGbit

	asked := fmt.Sprintf("that is what %s for", who)
	if more > 1.01 {
		asked = fmt.Sprintf("%s %s Gbit/s of one origin, for which there is %s as much", who, short(r.AskedGbit), fold(more*room))
	}
	r.Answers = []Answer{
		{"How many nodes?", fmt.Sprintf("%s%s, on %s.", strings.ToUpper(nodes[:1])+nodes[1:], where, b.Name)},
		{fmt.Sprintf("Which headroom at %s Gbit/s?", short(r.TargetGbit)), fmt.Sprintf("%s: the %s reach their limit first; %s.", fold(room), tightest, asked)},
		{"What is the write p99 during the storm, with and without a cache?", f.latencyAnswer(r) + "."},
		{"What breaks first?", f.breakAnswer(b)},
	}
	if len(b.Losses) > 0 {
		var parts []string
		for _, l := range b.Losses {
			parts = append(parts, fmt.Sprintf("without %s %s, with %s headroom", l.What, state(l.During.Write), fold(l.HeadroomDuring)))
		}
		r.Answers = append(r.Answers, Answer{"What if something is lost at the peak?", "The write p99 is " + strings.Join(parts, "; ") + "."})
	}

	carry := "carry"
	if !b.Target.Holds {
		carry = "do not carry"
	}
	target := short(r.TargetGbit) + " Gbit/s"
	if more > 1.01 {
		target += fmt.Sprintf(", %s times the %s Gbit/s that the audience asks of one origin,", short(more), short(r.AskedGbit))
	}
	write := "the storm's write p99 is " + state(b.Target.Write)
	if told(b.Target.Write) && told(b.Target.Quiet) && *b.Target.Write.P99 <= 1.01**b.Target.Quiet.P99 {
		write += ", as long as while nobody reads"
	}
	if without, _ := f.uncached(r); without != nil && overloaded(without.Write) {
		write += fmt.Sprintf(", and without the cache the same store is %s", state(without.Write))
	} else if without != nil {
		write += fmt.Sprintf(", and without the cache on the same store %s", state(without.Write))
	}
	first := "nothing that grows with the readers has a bound"
	if len(b.Breaks) > 0 {
		first = fmt.Sprintf("the %s break first, at %s Gbit/s", b.Breaks[0].Tier, short(b.Breaks[0].ReadGbit))
	}
	if room > most {
		first = fmt.Sprintf("nothing breaks below %d times that load", int(most))
	}
	r.Verdict = fmt.Sprintf("%s: %s%s %s %s with %s headroom; %s; %s.", f.Scenario.Name, nodes, where, carry, target, fold(room), write, first)
	if !b.Target.Holds {
		r.Verdict += " What does not hold: " + b.Target.Why + "."
	}
	r.Caveat = f.caveat(r)
}

// latencyAnswer is the write p99 with all that it is to be compared with.
func (f *finder) latencyAnswer(r *Report) string {
	b := r.Backends[f.chosen]
	without, cached := f.uncached(r)
	text := fmt.Sprintf("%s with a cache", state(b.Target.Write))
	if !b.Cache {
		text = fmt.Sprintf("%s; the backend has no cache", state(b.Target.Write))
	}
	if told(b.Target.Quiet) {
		text += fmt.Sprintf(" (the same writes while nobody reads: %s)", duration(*b.Target.Quiet.P99))
	}
	if without != nil {
		text += fmt.Sprintf("; without it on the same store %s, and %s of %s Gbit/s are delivered", state(without.Write), short(without.GotGbit), short(without.ReadGbit))
		if cached != nil && cached.SameStore != nil {
			text += fmt.Sprintf("; without it on a store of %d nodes, sized for all reads, %s", tierOf(*cached, store).Nodes, state(cached.Target.Write))
		}
	}
	for _, x := range r.Backends {
		if x.Name != b.Name && (cached == nil || x.Name != cached.Name) {
			text += fmt.Sprintf("; with %s %s", x.Name, state(x.Target.Write))
		}
	}
	return text
}

// breakAnswer is what gives way, one after the other.
func (f *finder) breakAnswer(b Backend) string {
	if len(b.Breaks) == 0 {
		return "Nothing that grows with the readers has a bound."
	}
	x := b.Breaks[0]
	text := fmt.Sprintf("The %s, at %s Gbit/s", x.Tier, short(x.ReadGbit))
	if x.Viewers > 0 {
		text += fmt.Sprintf(" (what %s viewers ask for when collapsing works and the CDN grows with them)", people(x.Viewers))
	}
	text += ": " + x.Why + "."
	for _, y := range b.Breaks[1:] {
		text += fmt.Sprintf(" With that doubled, the %s, at %s Gbit/s.", y.Tier, short(y.ReadGbit))
	}
	return text
}

// uncached is what the target does to the chosen backend's store without a cache, and the backend that has none; nil without one.
func (f *finder) uncached(r *Report) (*Point, *Backend) {
	if !r.Backends[f.chosen].Cache {
		return nil, nil
	}
	for i, b := range f.Scenario.Backends {
		if i != f.chosen && !b.Cache && f.sibling(b) {
			p := &r.Backends[i].Target
			if r.Backends[i].SameStore != nil {
				p = r.Backends[i].SameStore
			}
			return p, &r.Backends[i]
		}
	}
	for _, l := range r.Backends[f.chosen].Losses {
		if l.What == "the cache" {
			return &l.During, nil
		}
	}
	return nil, nil
}

// nodes lists b's nodes.
func (f *finder) nodes(b Backend) string {
	var parts []string
	for _, t := range b.Tiers {
		if t.Nodes > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", t.Nodes, f.kind(t.Name)))
		}
	}
	if len(parts) == 1 {
		return parts[0] + " nodes"
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1] + " nodes"
}

// kind is what nodes of a tier are called.
func (f *finder) kind(tier string) string {
	switch b := f.Scenario.Backends[f.chosen]; {
	case tier == store && b.Store == scenarios.Cassandra:
		return "Cassandra"
	case tier == cache:
		return "memcached"
	}
	return tier
}

// headroom is how many times the target the readers of b could ask for, and what is full then.
func (f *finder) headroom(b Backend) (float64, string) {
	n := counts{}
	for _, t := range b.Tiers {
		n[t.Name] = t.Nodes
	}
	times, name, r := f.room(f.Scenario.Backends[f.chosen], load{b.Target.ReadGbit * 1e9, 1}, n)
	return times, called(name, r.name)
}

func tierOf(b Backend, name string) Tier {
	if i := slices.IndexFunc(b.Tiers, func(t Tier) bool { return t.Name == name }); i >= 0 {
		return b.Tiers[i]
	}
	return Tier{}
}

// told reports whether l has a p99.
func told(l Latency) bool { return l.P99 != nil }

// overloaded reports whether l has no p99 since it grows as long as the storm lasts.
func overloaded(l Latency) bool { return !told(l) && strings.HasPrefix(l.Note, "overloaded") }

// state is a write p99 in words, or why there is none.
func state(l Latency) string {
	switch {
	case overloaded(l):
		return l.Note
	case !told(l):
		return "not told (" + cmp.Or(l.Note, "nothing was written") + ")"
	case l.P99CI == nil:
		return duration(*l.P99)
	case l.P99CI[1] < 1000:
		return fmt.Sprintf("%s (%s to %s)", duration(*l.P99), short(l.P99CI[0]), short(l.P99CI[1]))
	}
	return fmt.Sprintf("%s (%s to %s)", duration(*l.P99), duration(l.P99CI[0]), duration(l.P99CI[1]))
}

// duration writes milliseconds.
func duration(ms float64) string {
	if ms >= 1000 {
		return fmt.Sprintf("%.2f s", ms/1000)
	}
	return short(ms) + " ms"
}

// most is the headroom above which no figure is given.
const most = 100.0

// fold writes a headroom.
func fold(x float64) string {
	switch {
	case math.IsInf(x, 1):
		return "unbounded"
	case x > most:
		return fmt.Sprintf("more than %d times", int(most))
	}
	return fmt.Sprintf("%.2f times", x)
}

// misses says how many segments were missed and late.
func misses(p Point) string {
	switch {
	case p.Missed == 0 && p.Late == 0:
		return "nothing is missed or late"
	case p.Missed == 0:
		return fmt.Sprintf("%d of %d copies are late", p.Late, p.Segments)
	}
	return fmt.Sprintf("%d segments are missed and %d late of %d copies", p.Missed, p.Late, p.Segments)
}

// people writes a number of people.
func people(n int64) string {
	if n >= 1e6 {
		return fmt.Sprintf("%.0f million", float64(n)/1e6)
	}
	return fmt.Sprint(n)
}

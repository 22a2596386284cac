package capacity

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"origin-storm/scenarios"
	"origin-storm/storm/sim"
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

// latencies says where the latencies of b's store and cache come from.
func (f *finder) latencies(b scenarios.Backend) string {
	text := "store: the profile " + f.Profile.Name
	if b.Profile != scenarios.NoProfile {
		text = "writes of the store: the published profile " + b.Profile + "; its reads take what its processors and links take, by the profile " + f.Profile.Name
	}
	if b.Cache {
		text += "; cache: the profile " + f.Profile.Name
	}
	return text
}

// method says how the figures came about; once and twice are the target with windows of the usual length and of twice that.
func (f *finder) method(once, twice Point) Method {
	s := f.Scenario
	m := Method{Segments: segments, Replications: replications, Check: WindowCheck{Once: once.Write, Twice: twice.Write}}
	m.Sentence = fmt.Sprintf("Simulated are %d segments (%v) of the storm instead of %v, with %d seeds for what the verdict names and one for the rest: each segment's time repeats the one before, since packagers and fillers are locked to one clock, nothing is kept from one to the next but what is in the caches, and those are written through.",
		segments, s.Length(segments*s.Event.Segment.Duration()), s.Windows.Storm, replications)
	a, b := once.Write, twice.Write
	switch {
	case a.P99 == nil || b.P99 == nil:
		m.Check.Text = "Too few writes fall into the windows to compare p99 with that of longer ones: " + cmp.Or(a.Note, b.Note)
	case a.P99CI != nil && *b.P99 >= a.P99CI[0] && *b.P99 <= a.P99CI[1]:
		m.Check.Settled = true
		m.Check.Text = fmt.Sprintf("Twice as long windows give a write p99 of %s ms, inside the interval of %s to %s ms.", short(*b.P99), short(a.P99CI[0]), short(a.P99CI[1]))
	case b.P99CI != nil && a.P99CI != nil && b.P99CI[0] <= a.P99CI[1] && a.P99CI[0] <= b.P99CI[1]:
		m.Check.Settled = true
		m.Check.Text = fmt.Sprintf("Twice as long windows give a write p99 of %s ms instead of %s ms; their intervals overlap.", short(*b.P99), short(*a.P99))
	default:
		m.Check.Text = fmt.Sprintf("Twice as long windows give a write p99 of %s ms instead of %s ms: the origin has not settled, and figures depend on how long a storm lasts.", short(*b.P99), short(*a.P99))
	}
	return m
}

// words fills in what is said about the figures.
func (f *finder) words(r *Report) {
	b := r.Backends[f.chosen]
	r.Profile = f.profile()
	r.Inputs = f.inputs()
	r.Assumptions = f.assumptions()
	r.Prices = f.prices(b)
	nodes := f.nodes(b)
	headroom, tightest := f.headroom(b)
	without, cached := f.uncached(r)
	breaks := "Nothing that grows with the readers has a bound."
	if len(b.Breaks) > 0 {
		x := b.Breaks[0]
		breaks = fmt.Sprintf("The %s, at %s Gbit/s", x.Tier, short(x.ReadGbit))
		if x.Viewers > 0 {
			breaks += fmt.Sprintf(" (what %s viewers ask for when collapsing works and the CDN grows with them)", people(x.Viewers))
		}
		breaks += ": " + x.Why + "."
		for _, y := range b.Breaks[1:] {
			breaks += fmt.Sprintf(" With that doubled, the %s, at %s Gbit/s.", y.Tier, short(y.ReadGbit))
		}
	}
	latency := fmt.Sprintf("%s with a cache", quantile(b.Target.Write))
	if !b.Cache {
		latency = fmt.Sprintf("%s; the backend has no cache", quantile(b.Target.Write))
	}
	if without != nil {
		latency += fmt.Sprintf("; %s without it on the same store, which then delivers %s of %s Gbit/s", quantile(without.Write), short(without.GotGbit), short(without.ReadGbit))
		if cached != nil && cached.SameStore != nil {
			latency += fmt.Sprintf("; %s without it on a store of %d nodes, sized for all reads", quantile(cached.Target.Write), tierOf(*cached, store).Nodes)
		}
	}
	for _, x := range r.Backends {
		if x.Name != b.Name && (cached == nil || x.Name != cached.Name) {
			latency += fmt.Sprintf("; %s with %s", quantile(x.Target.Write), x.Name)
		}
	}
	where := ""
	if r.Regions > 1 {
		where = fmt.Sprintf(" in each of %d regions", r.Regions)
	}
	r.Answers = []Answer{
		{"How many nodes?", fmt.Sprintf("%s%s, on %s.", strings.ToUpper(nodes[:1])+nodes[1:], where, b.Name)},
		{fmt.Sprintf("Which headroom at %s Gbit/s?", short(r.TargetGbit)), fmt.Sprintf("%s: the %s reach their limit there first; what the audience asks for is %s Gbit/s.", fold(headroom), tightest, short(r.AskedGbit))},
		{"What is the write p99 during the storm, with and without a cache?", latency + "."},
		{"What breaks first?", breaks},
	}
	first := "nothing with a bound breaks"
	if len(b.Breaks) > 0 {
		first = fmt.Sprintf("the %s break first, at %s Gbit/s", b.Breaks[0].Tier, short(b.Breaks[0].ReadGbit))
	}
	carry := "carry"
	if !b.Target.Holds {
		carry = "do not carry"
	}
	r.Verdict = fmt.Sprintf("%s%s %s %s Gbit/s with %s headroom; the storm's write p99 is %s", nodes, where, carry, short(r.TargetGbit), fold(headroom), quantile(b.Target.Write))
	if without != nil {
		r.Verdict += fmt.Sprintf(" with the cache and %s without it on the same store", quantile(without.Write))
	}
	r.Verdict += "; " + first + "."
	r.Verdict = f.Scenario.Name + ": " + r.Verdict
	if !b.Target.Holds {
		r.Verdict += " What does not hold: " + b.Target.Why + "."
	}
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

// profile says where the costs come from.
func (f *finder) profile() Profile {
	p := f.Profile
	out := Profile{Name: p.Name, Source: strings.Join(strings.Fields(p.Source), " "), Machine: p.Machine, Program: p.Program, Cores: p.Cores,
		HeldOut: []sim.Error{}, Extrapolated: append([]string{}, f.beyond...)}
	if !p.Made.IsZero() {
		out.Made = p.Made.Format("2006-01-02")
	}
	d := f.deployment
	if most := max(d.Publish.Cores, d.Serve.Cores, d.Store.Cores, d.Cache.Cores); most > p.Cores {
		out.Extrapolated = append(out.Extrapolated, fmt.Sprintf("processors: nodes of up to %d cores are taken to do %d times the work of one; the profile is of a machine with %d, which everything shared", most, most, p.Cores))
	}
	worst := map[string]float64{}
	for _, b := range f.Scenario.Backends {
		name := b.Store
		if b.Cache {
			name += scenarios.WithCache
		}
		for _, e := range p.Backends[name].HeldOut {
			out.HeldOut = append(out.HeldOut, e)
			q := e.Figure[strings.LastIndexByte(e.Figure, ' ')+1:]
			worst[q] = max(worst[q], math.Abs(e.Relative()))
		}
	}
	if len(out.HeldOut) == 0 {
		out.Error = "How far the simulator is off with this profile was not found out for these backends: take the latencies for their order of magnitude."
		return out
	}
	var parts []string
	for _, q := range slices.Sorted(maps.Keys(worst)) {
		parts = append(parts, fmt.Sprintf("%s by %.0f %% at most", q, 100*worst[q]))
	}
	out.Error = fmt.Sprintf("On %d measured figures of runs that it was not fitted on, the simulation was off: %s.", len(out.HeldOut), strings.Join(parts, ", "))
	return out
}

// inputs lists all values that the answers rest on.
func (f *finder) inputs() []Input {
	s := f.Scenario
	sources := map[[2]string]string{}
	for _, x := range scenarios.Sources() {
		sources[[2]string{x.Path, x.Value}] = x.Source
	}
	defaults := map[string]string{}
	leaves("audience", reflect.ValueOf(scenarios.DefaultAudience()), func(path, value string) { defaults[path] = value })
	leaves("deployment", reflect.ValueOf(scenarios.DefaultDeployment()), func(path, value string) { defaults[path] = value })
	var out []Input
	add := func(path, value string) {
		in := Input{Path: path, Value: value, Default: defaults[path] == value, Source: sources[[2]string{path, value}]}
		if in.Source == "" {
			in.Source = "the scenario " + s.Name
			if in.Default && value == "0" && strings.HasSuffix(path, ".nodes") {
				in.Value, in.Source = "as many as it takes", "found"
			}
		}
		out = append(out, in)
	}
	if s.Audience != nil {
		leaves("audience", reflect.ValueOf(*s.Audience), add)
	}
	own := func(path string, value any) {
		out = append(out, Input{Path: path, Value: fmt.Sprint(value), Source: "the scenario " + s.Name})
	}
	own("event.segment", s.Event.Segment)
	own("event.pipelines", s.Event.Pipelines)
	own("event.renditions", fmt.Sprintf("%d, %v in total", len(s.Event.Renditions), s.Event.Renditions.Total()))
	own("event.size-variation", float64(s.Event.SizeVariation))
	own("event.dvr", s.Event.DVR)
	own("readers.edges", s.Readers.Edges)
	own("readers.behaviour.early", float64(s.Readers.Behaviour.Early))
	own("readers.behaviour.dvr", float64(s.Readers.Behaviour.DVR))
	leaves("deployment", reflect.ValueOf(f.deployment), func(path, value string) {
		if slices.Contains([]string{"deployment.publish.disk", "deployment.serve.disk", "deployment.cache.disk"}, path) {
			return // of no consequence
		}
		add(path, value)
	})
	const model = "Netflix's open capacity model (github.com/Netflix-Skunkworks/service-capacity-modeling at dc69307)"
	rule := func(path, value string) {
		out = append(out, Input{Path: path, Value: value, Default: true, Source: model})
	}
	rule("spare processors", fmt.Sprintf("Q = %v of ceil(a + Q·√a)", spare(float64(f.deployment.Queued))))
	rule("part of processors and links that may be used", fmt.Sprintf("%.0f %%, of Cassandra %.0f %%", 100*usual, 100*background))
	rule("part of a cache's memory that may be used", fmt.Sprintf("%.0f %%", 100*cacheFull))
	rule("time between two flushes of Cassandra", fmt.Sprintf("%d s", flushEvery))
	for _, b := range s.Backends {
		c := f.costs[b.Name]
		for _, x := range []struct {
			of string
			d  sim.Demand
		}{{publish, c.Publish}, {serve, c.Serve}, {store, c.StoreWork}, {cache, c.CacheWork}} {
			if x.d.PerRequest+x.d.PerMiB > 0 && (x.of != cache || b.Cache) && (x.of != store || b.Store != scenarios.S3) {
				out = append(out, Input{Path: b.Name + ": processor time of " + x.of, Value: fmt.Sprintf("%v a request and %v for each MiB", x.d.PerRequest, x.d.PerMiB), Default: true,
					Source: "the profile " + f.Profile.Name + ", per core"})
			}
		}
		if b.Profile != scenarios.NoProfile {
			out = append(out, Input{Path: b.Name + ": write latency of the store", Value: b.Profile, Source: "the published profile of this name"})
		}
	}
	return out
}

// leaves calls do with the values below v, as --set takes them.
func leaves(path string, v reflect.Value, do func(path, value string)) {
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return
	case v.Kind() == reflect.Pointer:
		leaves(path, v.Elem(), do)
		return
	case v.Kind() != reflect.Struct:
		do(path, fmt.Sprint(v.Interface()))
		return
	}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		leaves(path+"."+name, v.Field(i), do)
	}
}

// assumptions are what was taken for granted.
func (f *finder) assumptions() []string {
	s := f.Scenario
	out := []string{
		"All nodes of a kind are equal, and work is spread over them as the live driver spreads its clients: a reader stays with one serving node, a pipeline with one publishing node.",
		"Processors scale: a node with twice the cores does twice the work, at the profile's time per core.",
		"Links are shared fairly, without loss: what many senders at one instant do to switches (incast) is not simulated, and cannot be measured on one machine either.",
		"Everything but the origin of one region is taken to work: viewers' networks, edges and fillers have room.",
		"Writes of the event before the windows do not matter: nothing is slowed by what lies on disk, and compaction has its own processors.",
	}
	if s.Audience != nil {
		out = append(out,
			"The CDN collapses: each of its nodes asks once for a segment, however many of its viewers watch. The rate that the origin is sized for is for when it does not, or for several events at once; it comes as so many more fillers.",
			"A larger audience comes with a CDN that grows with it: twice the viewers are twice the edges and twice the fillers.",
			"A viewer watches one rendition at a time; those of audio count as any other.",
		)
		if s.Audience.DVR > 0 {
			out = append(out, fmt.Sprintf("Viewers behind the live edge (%.0f %%) are spread evenly over the DVR window; fillers have what is not older than they keep it.", 100*float64(s.Audience.DVR)))
		}
	}
	if len(s.Faults) > 0 {
		out = append(out, "The scenario's faults are left out: losses are looked at one by one.")
	}
	for _, b := range s.Backends {
		if b.Store == scenarios.S3 {
			out = append(out, "S3 is a service without nodes to count: what its reads cost, and where it ends, was not published.")
			break
		}
	}
	return out
}

// prices is what b's nodes cost in all regions.
func (f *finder) prices(b Backend) []Price {
	p := f.deployment.Prices
	if p == nil {
		return nil
	}
	var out []Price
	for _, t := range b.Tiers {
		each, ok := map[string]float64{publish: p.Publish, serve: p.Serve, store: p.Store, cache: p.Cache}[t.Name]
		if ok && t.Nodes > 0 {
			n := t.Nodes * f.regions()
			out = append(out, Price{Tier: t.Name, Nodes: n, PerNode: each, Total: each * float64(n), Currency: p.Currency, Per: p.Per})
		}
	}
	return out
}

// quantile is a write p99 in words.
func quantile(l Latency) string {
	if l.P99 == nil {
		if strings.HasPrefix(l.Note, "overloaded") {
			return "without end (" + l.Note + ")"
		}
		return "not told (" + cmp.Or(l.Note, "nothing was written") + ")"
	}
	if l.P99CI == nil {
		return duration(*l.P99)
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

// fold writes a headroom.
func fold(x float64) string {
	if math.IsInf(x, 1) {
		return "unbounded"
	}
	if x >= 100 {
		return fmt.Sprintf("%.0f times", x)
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

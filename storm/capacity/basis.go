package capacity

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"origin-storm/scenarios"
	"origin-storm/storm/sim"
)

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
	seen := map[sim.Error]bool{} // backends may share costs
	var off []float64
	for _, b := range f.Scenario.Backends {
		for _, e := range f.calibrated[b.Name].HeldOut {
			if !seen[e] {
				seen[e] = true
				out.HeldOut = append(out.HeldOut, e)
				off = append(off, math.Abs(e.Relative()))
			}
		}
	}
	if len(off) == 0 {
		out.Error = "How far the simulator is off with this profile was never found out for these backends."
		return out
	}
	worst := out.HeldOut[slices.Index(off, slices.Max(off))]
	slices.Sort(off)
	out.Median, out.Worst = new((off[(len(off)-1)/2]+off[len(off)/2])/2), new(off[len(off)-1])
	out.Error = fmt.Sprintf("Of %d figures measured in runs that it was not fitted on, the simulation was off by %.0f %% in the median and by %.0f %% at worst (%s of %s).",
		len(off), 100**out.Median, 100**out.Worst, worst.Figure, worst.Run)
	return out
}

// close is how far off a simulated figure may be, 0 to 1, to be read as it stands.
const close = 0.25

// caveat says how the report is to be read.
func (f *finder) caveat(r *Report) string {
	var by []string
	for _, t := range r.Backends[f.chosen].Tiers {
		if t.Bound == processors && !t.Given {
			by = append(by, t.Name)
		}
	}
	counted := "All node counts follow from the inputs by arithmetic: links, memory, disks and zones decide them."
	if len(by) > 0 {
		counted = fmt.Sprintf("Node counts that links, memory, disks and zones decide follow from the inputs by arithmetic; those of %s nodes rest on the profile's processor times.", strings.Join(by, " and "))
	}
	p := r.Profile
	switch {
	case p.Worst == nil:
		return "Read it for nodes, not for milliseconds: how far the simulator is off with the profile " + p.Name + " was never found out for these backends. " + counted
	case *p.Worst <= close && len(p.Extrapolated) == 0:
		return fmt.Sprintf("The simulator was off by %.0f %% at worst in runs that the profile %s was not fitted on. ", 100**p.Worst, p.Name) + counted
	}
	return fmt.Sprintf("Read it for nodes, not for milliseconds: in runs that the profile %s (of one machine with %d cores) was not fitted on, the simulator was off by %.0f %% in the median figure and by %.0f %% in the worst. ",
		p.Name, p.Cores, 100**p.Median, 100**p.Worst) + counted
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
		c := f.calibrated[b.Name].Costs
		for _, x := range []struct {
			of string
			d  sim.Demand
		}{{publish, c.Publish}, {serve, c.Serve}, {store, c.StoreWork}, {store + " for a write", c.StoreWriteWork}, {cache, c.CacheWork}} {
			if x.d.PerRequest+x.d.PerMiB > 0 && (x.of != cache || b.Cache) && (!strings.HasPrefix(x.of, store) || b.Store != scenarios.S3) {
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
		"What tiers are used to includes the probe's reads, which no read rate has: every segment once and every copy once more.",
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

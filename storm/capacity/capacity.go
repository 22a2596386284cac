package capacity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"sync"

	"origin-storm/origin/cost"
	"origin-storm/scenarios"
	"origin-storm/storm/sim"
	"origin-storm/storm/sim/profiles"
	"origin-storm/storm/simulate"
)

// Config says what to find out.
type Config struct {
	// Scenario is the event. It needs readers; an audience and a deployment that it does not have are taken from what readers it has and
	// from the defaults.
	Scenario scenarios.Scenario
	// Profile is what the parts of the origin cost; nil means the one that is part of the program.
	Profile *sim.Profile
	// Seed is that of the first replication.
	Seed uint64
	// Command is what repeats the report, as a person would type it.
	Command string
	// Progress is told how many simulations have ended, of how many that are known to come, and which was the last; nil for nobody.
	Progress func(done, known int, what string)
}

// The sizes of what is simulated. They are fixed, and do not follow the machine's speed, so that the same scenario gives the same report.
const (
	segments     = 4 // storm segments in a window: with two pipelines and 50 renditions 400 writes, of which p99 needs 300
	quietly      = 8 // quiet segments, where they are looked at
	replications = 2 // of the figures that the verdict names
	breaks       = 3 // how many things are followed that give way
	farthest     = 4 // times the target: beyond that what gives way is counted and not simulated
	gently       = 3 // storm segments where the load is beyond the target: 300 writes
)

// The frontier: multiples of the audience and of the bit rates.
var (
	moreViewers = []float64{0.5, 1, 2, 4, 8}
	moreBits    = []float64{0.5, 1, 2}
)

// ErrScenario is why there is nothing to find for a scenario.
var ErrScenario = errors.New("nothing to plan for")

// finder is one call of Find.
type finder struct {
	Config
	deployment scenarios.Deployment
	costs      map[string]sim.Costs
	chosen     int      // among the scenario's backends
	beyond     []string // what of the target lies outside of what the profile was fitted on

	mu          sync.Mutex // guards the following
	done, known int
}

// Find answers what c.Scenario takes. Its errors are those of a scenario that cannot be simulated, wrap ErrScenario where there is
// nothing to plan for, or are the context's. The same Config gives the same Report.
func Find(ctx context.Context, c Config) (*Report, error) {
	f, err := newFinder(c)
	if err != nil {
		return nil, err
	}
	return f.find(ctx)
}

func newFinder(c Config) (*finder, error) {
	s := c.Scenario
	if s.Readers.Edges < 1 || s.Windows.Storm <= 0 {
		return nil, fmt.Errorf("capacity: %s: %w: nobody reads; give an audience, or readers.edges with windows.storm", s.Name, ErrScenario)
	}
	if s.Readers.Viewers > 0 || s.Readers.Replay != nil {
		return nil, fmt.Errorf("capacity: %s: %w: readers.viewers and readers.replay answer some of the requests before the origin does; give an audience in their place", s.Name, ErrScenario)
	}
	if c.Profile == nil {
		c.Profile = new(profiles.Default())
	}
	f := &finder{Config: c, deployment: scenarios.DefaultDeployment(), costs: map[string]sim.Costs{}, chosen: len(s.Backends) - 1}
	if s.Deployment != nil {
		f.deployment = *s.Deployment
	}
	for _, b := range s.Backends {
		of, err := simulate.Costs(c.Profile, b)
		if err != nil {
			return nil, fmt.Errorf("capacity: %w", err)
		}
		f.costs[b.Name] = of.Costs
	}
	f.Scenario.Windows.WarmUp = 0
	return f, simulateable(f.Scenario)
}

// simulateable returns why s cannot be simulated, or nil.
func simulateable(s scenarios.Scenario) error {
	if err := simulate.Check(s); err != nil {
		return fmt.Errorf("capacity: %w", err)
	}
	return nil
}

// tell adds to what is known to come, or counts one simulation as done where more is -1.
func (f *finder) tell(more int, what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if more < 0 {
		f.done++
	} else {
		f.known += more
	}
	if f.Progress != nil && what != "" {
		f.Progress(f.done, f.known, what)
	}
}

// watched is the bit rate that a viewer watches on average.
func (f *finder) watched() cost.Rate {
	if a := f.Scenario.Audience; a != nil {
		return a.BitRate
	}
	return f.Scenario.Event.Renditions.Total() / cost.Rate(len(f.Scenario.Event.Renditions))
}

// viewers is how many viewers so many fillers have behind them, the CDN growing with them; 0 without an audience.
func (f *finder) viewers(fillers int) int64 {
	a := f.Scenario.Audience
	if a == nil {
		return 0
	}
	return int64(math.Round(float64(a.Viewers) * float64(fillers) / float64(f.Scenario.Readers.Edges)))
}

// regions is how many regions have an origin.
func (f *finder) regions() int {
	if a := f.Scenario.Audience; a != nil {
		return a.Regions
	}
	return 1
}

// find does the work: all that does not depend on one another is simulated at once.
func (f *finder) find(ctx context.Context) (*Report, error) {
	base := f.Scenario.Readers.Edges
	asked, target := f.asked(), f.target()
	most := int(math.Ceil(float64(base) * target / asked))
	r := &Report{
		Schema: 1, Scenario: f.Scenario.Name, About: f.Scenario.About, Seed: f.Seed, Demand: f.demand(asked),
		TargetGbit: target / 1e9, AskedGbit: asked / 1e9, Regions: f.regions(), Command: f.Command,
	}
	var jobs []job
	add := func(j job) int {
		jobs = append(jobs, j)
		return len(jobs) - 1
	}
	type missing struct { // a point of the frontier that is still to be simulated
		backend, place int
		job            job
	}
	var rest []missing
	type answers struct {
		tiers               []tier
		nodes               counts
		asked, target, same int // among the jobs; same is -1 where it would be target
		points              []int
	}
	all := make([]answers, len(f.Scenario.Backends))
	for i, b := range f.Scenario.Backends {
		all[i].tiers = f.tiers(b, load{target, 1})
		all[i].nodes = count(all[i].tiers)
	}
	for i, b := range f.Scenario.Backends {
		a := &all[i]
		j := job{backend: b, fillers: base, rate: 1, nodes: a.nodes, replicas: f.deployment.Replicas, quiet: quietly, storm: segments, replications: replications}
		j.what = b.Name + ", as the audience asks"
		a.asked = add(j)
		j.what, j.fillers, j.quiet = b.Name+", at the target", most, 0
		sibling := f.sibling(b)
		shared := j
		if sibling {
			shared.nodes = changed(j.nodes, store, all[f.chosen].nodes[store])
			shared.what += ", on the store of " + f.Scenario.Backends[f.chosen].Name
		}
		differs := shared.nodes[store] != j.nodes[store]
		a.target, a.same = add(j), -1
		if differs {
			a.same = add(shared)
		}
		if sibling {
			for _, k := range f.frontier(shared) {
				if k.fillers == most && k.rate == 1 { // which is looked at already
					a.points = append(a.points, len(jobs)-1)
					continue
				}
				a.points = append(a.points, -1)
				rest = append(rest, missing{i, len(a.points) - 1, k})
			}
		}
	}
	for _, m := range rest {
		all[m.backend].points[m.place] = add(m.job)
	}
	chosen := jobs[all[f.chosen].target]
	twice := chosen
	twice.what, twice.storm, twice.replications = "with windows twice as long", 2*segments, 1
	doubled := add(twice)
	var fewer []int
	kinds := f.fewer(jobs[all[f.chosen].asked], chosen)
	for _, j := range kinds {
		fewer = append(fewer, add(j))
	}
	losses := f.losses(jobs[all[f.chosen].asked], chosen)
	var during []int
	for _, l := range losses {
		during = append(during, add(l.during))
	}

	giving := f.giving(chosen)
	var under []int // both loads that each of them is looked at under
	for _, g := range giving {
		for _, factor := range g.factors {
			under = append(under, add(g.at(factor)))
		}
	}

	found, err := f.run(ctx, jobs...)
	if err != nil {
		return nil, err
	}
	for i, b := range f.Scenario.Backends {
		a := all[i]
		out := Backend{
			Name: b.Name, Chosen: i == f.chosen, Cache: b.Cache, Latencies: f.latencies(b), Tiers: []Tier{}, Checks: []Check{}, Frontier: []Point{},
			Breaks: []Break{}, Losses: []Loss{}, Tick: append([]Tick{}, found[a.target].ticks...), Asked: found[a.asked].Point, Target: found[a.target].Point,
		}
		out.Target.Quiet = out.Asked.Quiet // it does not depend on who reads
		for _, t := range a.tiers {
			out.Tiers = append(out.Tiers, t.report(a.nodes[t.name]))
		}
		if a.same >= 0 {
			out.SameStore = &found[a.same].Point
			out.SameStore.Quiet = out.Asked.Quiet
		}
		for _, k := range a.points {
			out.Frontier = append(out.Frontier, found[k].Point)
		}
		r.Backends = append(r.Backends, out)
	}
	b := &r.Backends[f.chosen]
	for i, j := range kinds {
		before, with := chosen, b.Target
		if j.fillers == b.Asked.Fillers {
			before, with = jobs[all[f.chosen].asked], b.Asked
		}
		b.Checks = append(b.Checks, checked(j.fewer, before, with), checked(j.fewer, j, found[fewer[i]].Point))
	}
	for i, l := range losses {
		b.Losses = append(b.Losses, f.loss(l, b, found[during[i]].Point))
	}
	f.beyond = found[all[f.chosen].target].extrapolated
	r.Method = f.method(b.Target, found[doubled].Point)
	for i, g := range giving {
		var at []simulated
		for range g.factors {
			at = append(at, found[under[0]])
			under = under[1:]
		}
		b.Breaks = append(b.Breaks, f.broke(i+1, g, at))
	}
	f.words(r)
	return r, nil
}

// sibling reports whether b has the store of the chosen backend.
func (f *finder) sibling(b scenarios.Backend) bool {
	return b.Store != scenarios.S3 && b.Store == f.Scenario.Backends[f.chosen].Store
}

// fewer are the jobs that the target's node counts are held against: one fewer of each kind of node, of the cache one fewer in each zone. What
// publishing nodes have to do does not depend on who reads, so that of them less is looked at.
func (f *finder) fewer(asked, target job) (all []job) {
	for _, name := range []string{serve, cache, store, publish} {
		step := 1
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
		j.fewer, j.nodes, j.replications, j.what = name, changed(j.nodes, name, n), 1, fmt.Sprintf("with %d %s nodes", n, name)
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
			if more > 4 && bits != 1 {
				continue // which takes longest, and shows nothing that the others do not
			}
			k := j
			k.what = fmt.Sprintf("%s, %v times the viewers at %v times the bit rate", j.backend.Name, more, bits)
			k.fillers, k.rate, k.replications = max(1, int(math.Round(float64(base)*more))), bits, 1
			all = append(all, k)
		}
	}
	return all
}

// losing is something that is lost at the peak.
type losing struct {
	what, how string
	before    job
	during    job
	zones     bool // a zone of each tier is gone
}

// losses are what is lost of the chosen backend's deployment.
func (f *finder) losses(asked, target job) (all []losing) {
	d := f.deployment
	if d.Zones > 1 {
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
		j.replicas = max(1, min(d.Replicas-1, j.nodes[store]))
		all = append(all, losing{what: "a zone", before: target, during: j, zones: true,
			how: fmt.Sprintf("One of %d zones is gone with all nodes in it, and each write has to be acknowledged by both replicas that are left. Simulated is the time after that, not the instant.", d.Zones)})
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
		all[i].during.replications = 1
	}
	return all
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
		l.what, quantile(before.Write), quantile(during.Write), misses(during), fold(out.HeadroomBefore), fold(out.HeadroomDuring), out.Tightest)
	return out
}

// giving is something that gives way as the load grows over the target, with all that gave way before it doubled.
type giving struct {
	tier    string
	use     resource
	limit   float64 // times the target's load at which the tier passes its limit
	from    float64 // where the one before it gave way
	target  job
	doubled string // what is doubled before the next one
	// Whether a threshold fails before the limit is reached, simulation at these loads tells; the last of them is the limit.
	factors []float64
}

// at is the target with so many times the load.
func (g giving) at(factor float64) job {
	j := g.target
	j.fillers = max(1, int(math.Round(float64(j.fillers)*factor)))
	j.storm, j.replications, j.quiet = gently, 1, 0
	j.what = fmt.Sprintf("at %s times the target", short(factor))
	return j
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
		g.tier, g.factors, g.doubled = name, nil, ""
		if g.limit > g.from*1.05 && g.limit <= farthest {
			g.factors = []float64{math.Sqrt(g.from * g.limit), g.limit}
		}
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

// broke is what g turned out to be, by the simulations at its loads.
func (f *finder) broke(order int, g giving, at []simulated) Break {
	b := Break{Order: order, Tier: called(g.tier, g.use.name), Holds: g.limit, Breaks: g.limit, Doubled: g.doubled}
	b.Why = fmt.Sprintf("%s are used to %.0f %% on average, which is their limit", b.Tier, 100*g.use.limit)
	low := min(g.from, g.limit)
	for i, s := range at {
		if s.broken {
			b.Holds, b.Breaks, b.Why = low, g.factors[i], s.Why
			break
		}
		low = g.factors[i]
	}
	last := g.at(b.Breaks)
	b.ReadGbit, b.Viewers = f.reads(last)/1e9, f.viewers(last.fillers)
	return b
}

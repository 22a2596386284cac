package capacity

import (
	"context"
	"errors"
	"fmt"
	"math"
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

// The sizes of what is simulated. They do not follow the machine's speed, so that the same scenario gives the same report. All windows are of
// the same segments with the same draws (common random numbers), so that what differs between two of them is what was changed.
const (
	writes   = 600     // in a storm window, if that takes no more than mostRead: of one pipeline alone there are still the 300 that a p99 needs
	fewest   = 4       // segments in a window
	mostRead = 250_000 // requests that readers make in a window at the target
	breaks   = 3       // how many things are followed that give way
	twice    = 2       // times the target: beyond that what gives way is counted and not simulated
	farthest = 4       // times the target: no load of the frontier is beyond that
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
	calibrated map[string]sim.Calibrated // by backend
	chosen     int                       // among the scenario's backends
	beyond     []string                  // what of the target lies outside of what the profile was fitted on

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
	f := &finder{Config: c, deployment: scenarios.DefaultDeployment(), calibrated: map[string]sim.Calibrated{}, chosen: len(s.Backends) - 1}
	if s.Deployment != nil {
		f.deployment = *s.Deployment
	}
	for _, b := range s.Backends {
		of, err := simulate.Costs(c.Profile, b)
		if err != nil {
			return nil, fmt.Errorf("capacity: %w", err)
		}
		f.calibrated[b.Name] = of
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

// study is what is simulated of one backend, as places among the jobs.
type study struct {
	tiers               []tier
	nodes               counts
	quiet, asked        int
	target, same        int   // same is -1 where it would be target
	points              []int // of the frontier
	beside, loss, whole []int // with fewer nodes, without what is lost, and where something gives way
}

// find does the work: all that does not depend on one another is simulated at once.
func (f *finder) find(ctx context.Context) (*Report, error) {
	base := f.Scenario.Readers.Edges
	asked, target := f.asked(), f.target()
	most := int(math.Ceil(float64(base) * target / asked))
	n := f.segments(most)
	r := &Report{
		Schema: Schema, Scenario: f.Scenario.Name, About: f.Scenario.About, Seed: f.Seed, Demand: f.demand(asked),
		TargetGbit: target / 1e9, AskedGbit: asked / 1e9, Regions: f.regions(), Command: f.Command,
	}
	var jobs []job
	add := func(j job) int {
		jobs = append(jobs, j)
		return len(jobs) - 1
	}
	all := make([]study, len(f.Scenario.Backends))
	for i, b := range f.Scenario.Backends {
		all[i].tiers = f.tiers(b, load{target, 1})
		all[i].nodes = count(all[i].tiers)
	}
	for i, b := range f.Scenario.Backends {
		a := &all[i]
		j := job{backend: b, fillers: base, rate: 1, nodes: a.nodes, replicas: f.deployment.Replicas}
		j.what, j.quiet = b.Name+", nobody reading", n
		a.quiet = add(j)
		j.what, j.storm = b.Name+", as the audience asks", n // and then quiet, for thresholds on both
		a.asked = add(j)
		j.what, j.fillers, j.quiet = b.Name+", at the target", most, 0
		a.target, a.same = add(j), -1
		if !f.sibling(b) {
			continue
		}
		shared := j
		shared.nodes = changed(j.nodes, store, all[f.chosen].nodes[store])
		if shared.nodes[store] != j.nodes[store] {
			shared.what += ", on the store of " + f.Scenario.Backends[f.chosen].Name
			a.same = add(shared)
		}
		for _, k := range f.frontier(shared) {
			at := -1
			switch { // which may be looked at already
			case k.fillers == most && k.rate == 1 && a.same >= 0:
				at = a.same
			case k.fillers == most && k.rate == 1:
				at = a.target
			case k.fillers == base && k.rate == 1 && a.same < 0:
				at = a.asked
			default:
				at = add(k)
			}
			a.points = append(a.points, at)
		}
	}
	c := &all[f.chosen]
	chosen := jobs[c.target]
	fewer := f.fewer(jobs[c.asked], chosen)
	losses := f.losses(jobs[c.asked], chosen)
	giving := f.giving(chosen)
	for _, j := range fewer {
		c.beside = append(c.beside, add(j))
	}
	for _, l := range losses {
		c.loss = append(c.loss, add(l.during))
	}
	for _, g := range giving {
		if g.looked {
			c.whole = append(c.whole, add(g.at(g.limit)))
		}
	}
	found, err := f.run(ctx, jobs...)
	if err != nil {
		return nil, err
	}

	// What failed a threshold at its limit may have failed before: that is looked at now.
	var nearer []job
	for i, g := range looked(giving) {
		if found[c.whole[i]].broken {
			nearer = append(nearer, g.at(g.between()))
		}
	}
	between, err := f.run(ctx, nearer...)
	if err != nil {
		return nil, err
	}

	for i, b := range f.Scenario.Backends {
		a := all[i]
		out := Backend{
			Name: b.Name, Chosen: i == f.chosen, Cache: b.Cache, Latencies: f.latencies(b), Tiers: []Tier{}, Checks: []Check{}, Frontier: []Point{},
			Breaks: []Break{}, Losses: []Loss{}, Tick: append([]Tick{}, found[a.target].ticks...), Asked: found[a.asked].Point, Target: found[a.target].Point,
		}
		out.Asked.Quiet = found[a.quiet].Quiet // of the same segments as the storm
		out.Target.Quiet = out.Asked.Quiet     // it does not depend on who reads
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
	for i, j := range fewer {
		before, with := chosen, b.Target
		if j.fillers == b.Asked.Fillers {
			before, with = jobs[c.asked], b.Asked
		}
		b.Checks = append(b.Checks, checked(j.fewer, before, with), checked(j.fewer, j, found[c.beside[i]].Point))
	}
	for i, l := range losses {
		b.Losses = append(b.Losses, f.loss(l, b, found[c.loss[i]].Point))
	}
	whole := c.whole
	for i, g := range giving {
		var limit, nearer *simulated
		if g.looked {
			limit, whole = &found[whole[0]], whole[1:]
			if limit.broken {
				nearer, between = &between[0], between[1:]
			}
		}
		b.Breaks = append(b.Breaks, f.broke(i+1, g, nearer, limit))
	}
	f.beyond = found[c.target].extrapolated
	r.Method = f.method(n, found[c.target], found[c.quiet])
	f.words(r)
	return r, nil
}

// segments is how many segments a window has in which so many fillers ask at the target.
func (f *finder) segments(fillers int) int {
	e := f.Scenario.Event
	each := len(e.Renditions) * e.Count
	n := (writes + each*e.Pipelines - 1) / (each * e.Pipelines)
	return max(fewest, min(n, mostRead/max(1, fillers*each)))
}

package simulate

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	costprofiles "origin-storm/origin/cost/profiles"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/entry"
	"origin-storm/storm/plan"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
)

// model is what a backend is simulated as, and why.
type model struct {
	backend    scenarios.Backend
	profile    *sim.Profile
	calibrated sim.Calibrated
	store      string // the published profile that the store's costs are of; empty: the calibrated ones
	costs      sim.Costs
	topology   sim.Topology
	assumed    []string // what the calibrated costs do not cover
	notes      []string // for the report

	plan      storm.Plan
	executor  *sim.Executor
	recording record.Config
}

// model finds out what b costs and on what it runs.
func (c Config) model(b scenarios.Backend) (model, error) {
	m := model{backend: b, profile: c.Profile}
	name, err := calibratedAs(c.Profile, b)
	if err != nil {
		return m, err
	}
	if name != b.Name && name != kind(b) {
		m.assumed = append(m.assumed, fmt.Sprintf("The profile %s knows no backend %s: its host's overheads are those of %s.", c.Profile.Name, kind(b), name))
	}
	m.calibrated = c.Profile.Backends[name]
	m.costs = m.calibrated.Costs
	if b.Profile != scenarios.NoProfile {
		published, err := costprofiles.Load(b.Profile)
		if err != nil {
			return m, refusef("%s: backend %s: %w", c.Scenario.Name, b.Name, err)
		}
		m.store, m.costs.Store = published.Name, published
		m.assumed = append(m.assumed, fmt.Sprintf("The store's costs are those of the published profile %s; what the host adds is of %s.", published.Name, c.Profile.Name))
		m.notes = append(m.notes, "Profile "+published.Name+": "+strings.Join(strings.Fields(published.Source), " "))
	}
	m.topology = c.topology(b)
	return m, c.prepare(&m)
}

// Costs returns what the parts of b cost by p, as Run takes them.
func Costs(p *sim.Profile, b scenarios.Backend) (sim.Calibrated, error) {
	name, err := calibratedAs(p, b)
	return p.Backends[name], err
}

// prepare expands the plan and builds the model.
func (c Config) prepare(m *model) (err error) {
	pc := plan.Config{Scenario: c.Scenario, Seed: c.Seed, Events: c.Scenario.Events(started()), First: first, Windows: c.Windows}
	if m.plan, err = plan.New(pc); err != nil {
		return err
	}
	sc := sim.Config{
		Start: pc.Start(), Events: pc.Events, SameBytes: c.Scenario.Event.Identical, Topology: m.topology, Costs: m.costs, Seed: c.Seed,
	}
	if err := sim.Refusals(m.plan, sc); err != nil {
		return refusef("%s cannot be simulated: backend %s: %w", c.Scenario.Name, m.backend.Name, err)
	}
	if m.executor, err = sim.New(sc); err != nil {
		return refusef("%s cannot be simulated: backend %s: %w", c.Scenario.Name, m.backend.Name, err)
	}
	m.recording = entry.Recording(c.Scenario, m.backend.Name, pc.Events, c.Windows, pc.Start())
	m.recording.Unverified, m.recording.Virtual = true, true
	return nil
}

// kind is the name of the kind of backend that b is, whatever it is called.
func kind(b scenarios.Backend) string {
	if b.Cache {
		return b.Store + scenarios.WithCache
	}
	return b.Store
}

// calibratedAs returns the name of that backend of p whose costs b has: its own, or else that of its kind. Where the scenario names the
// store's costs, the host's overheads of the embedded store will do.
func calibratedAs(p *sim.Profile, b scenarios.Backend) (string, error) {
	names := []string{b.Name, kind(b)}
	if b.Profile != scenarios.NoProfile {
		names = append(names, scenarios.NewBackend(scenarios.Embedded).Name)
		if b.Cache { // which has to have costs as well
			names = []string{b.Name, kind(b), scenarios.Embedded + scenarios.WithCache}
		}
	}
	for _, name := range names {
		if _, ok := p.Backends[name]; ok {
			return name, nil
		}
	}
	have := slices.Sorted(maps.Keys(p.Backends))
	return "", refusef("profile %s: it says nothing of what %s costs, and scenario's backend %s is one: it knows %s; take one of these with --backend or --set backends=[%s], or calibrate a profile on a run with %s",
		p.Name, kind(b), b.Name, strings.Join(have, ", "), have[0], kind(b))
}

// topology is what b runs on.
func (c Config) topology(b scenarios.Backend) (t sim.Topology) {
	if c.Deployment != nil {
		t = c.Deployment(b)
	} else {
		t.Shared = c.Profile.Cores
	}
	o := c.Scenario.On(b)
	t.Serve = cmp.Or(t.Serve, o.Serve)
	t.Store = cmp.Or(t.Store, b.Nodes)
	t.Replicas = cmp.Or(t.Replicas, min(t.Store, replicas))
	if b.Cache {
		t.Zones = cmp.Or(t.Zones, b.Zones)
		t.ZoneMemory = cmp.Or(t.ZoneMemory, scenarios.ZoneMemory)
	} else {
		t.Zones = 0
	}
	t.MissRatio = 0
	if b.HitRatio != nil {
		t.MissRatio = 1 - float64(*b.HitRatio)
	}
	t.ChunkSize, t.Hot, t.Collapse, t.Shed = b.ChunkSize(), o.Hot, o.Collapse, o.Shed
	return t
}

// replicas is on how many nodes of a cluster each value is, if there are as many.
const replicas = 3

// facts are what is known of a backend before it is simulated.
func (m model) facts() record.Backend {
	f := record.Backend{
		Provenance: "simulated", Profile: m.profile.Name, Published: entry.Published(m.backend), Servers: []string{m.layout()}, Notes: m.notes,
		Simulation: &record.Simulation{
			Profile: m.profile.Name, Source: strings.Join(strings.Fields(m.profile.Source), " "), Machine: m.profile.Machine, Program: m.profile.Program, Digest: m.profile.Digest,
			Stated: append(stated(m.calibrated.HeldOut, true), stated(m.calibrated.Fitted, false)...), Assumed: append([]string{}, m.assumed...),
		},
	}
	if m.store != "" && m.store != m.profile.Name {
		f.Profile = m.store + " on " + m.profile.Name
	}
	if !m.profile.Made.IsZero() {
		f.Simulation.Made = m.profile.Made.Format(time.DateOnly)
	}
	return f
}

// layout says in words what the model is of.
func (m model) layout() string {
	t := m.topology
	parts := []string{plural(max(1, t.Publish), "publishing node"), plural(max(1, t.Serve), "serving node")}
	if t.Store > 1 {
		parts = append(parts, fmt.Sprintf("%s on %d nodes, %d replicas", m.backend.Store, t.Store, max(1, t.Replicas)))
	} else {
		parts = append(parts, m.backend.Store+" store")
	}
	if t.Zones > 0 {
		zones := plural(t.Zones, "cache zone")
		if t.CacheNodes > 1 {
			zones += fmt.Sprintf(" of %d nodes each", t.CacheNodes)
		}
		parts = append(parts, zones)
	}
	text := "model of " + strings.Join(parts, ", ")
	if t.Shared > 0 {
		return text + ", and driver, on one machine with " + plural(t.Shared, "core")
	}
	return text + ", each on machines of its own"
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// stated sums up errors figure by figure, in the order in which figures first occur.
func stated(all []sim.Error, heldOut bool) []record.StatedError {
	out := []record.StatedError{}
	by := map[string][]float64{}
	var names []string
	for _, e := range all {
		if by[e.Figure] == nil {
			names = append(names, e.Figure)
		}
		by[e.Figure] = append(by[e.Figure], math.Abs(e.Relative()))
	}
	for _, name := range names {
		of := by[name]
		slices.Sort(of)
		middle := (of[(len(of)-1)/2] + of[len(of)/2]) / 2
		out = append(out, record.StatedError{Figure: name, HeldOut: heldOut, Runs: len(of), Median: middle, Largest: of[len(of)-1]})
	}
	return out
}

// counts are what the model's nodes counted, as an origin's nodes tell it.
func counts(f sim.Figures, t sim.Topology) entry.Counts {
	n := entry.Counts{
		Cached: t.Zones > 0, CacheReads: f.CacheReads, Hits: f.CacheHits, Bodies: f.Bodies, StoreReads: f.StoreReads, StoreBytes: f.StoreReadBytes,
		Published: f.Published, Timed: f.StoreAsked, TimedSeconds: f.StoreReadTime.Seconds(), Polls: f.Polls, PollKeys: f.PollKeys,
		Awaited: f.Awaited, StorePolls: f.StorePolls, MostStorePolls: f.MostStorePolls,
	}
	if len(f.ZoneWaits) >= int(record.Needed(0.99)) {
		waits := slices.Sorted(slices.Values(f.ZoneWaits))
		n.ZoneWaitP99 = new(float64(waits[(99*len(waits)+99)/100-1]) / float64(time.Millisecond))
	}
	return n
}

// tiers are the model's parts as results.json has them.
func tiers(f sim.Figures) []record.Tier {
	out := []record.Tier{}
	for _, t := range f.Tiers {
		out = append(out, record.Tier{Name: t.Name, Nodes: t.Nodes, Phases: t.Phases, Tick: t.Tick, Queue: t.Queue})
	}
	return out
}

// extrapolated names the quantities of the load that b was found under that lie outside of what the profile was fitted on.
func (m model) extrapolated(s scenarios.Scenario, b record.Backend) []string {
	out := []string{}
	values := Quantities(s, b)
	for _, r := range m.calibrated.Valid {
		for _, v := range values[r.Quantity] {
			if !r.Holds(v) {
				out = append(out, fmt.Sprintf("%s %s is outside of %s", r.Quantity, number(v), span(r)))
			}
		}
	}
	return out
}

// span is the range that a profile was fitted on, in words.
func span(r sim.Range) string {
	if r.From == r.To {
		return number(r.From) + ", the only one it was fitted on"
	}
	return number(r.From) + " to " + number(r.To)
}

// number writes a quantity with three digits that count, or whole.
func number(v float64) string {
	if v != math.Trunc(v) && v != 0 {
		scale := math.Pow10(2 - int(math.Floor(math.Log10(math.Abs(v)))))
		v = math.Round(v*scale) / scale
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// Quantities returns the load of s as profiles name it (sim.Quantities), of those that depend on what was answered as b has them, live or
// simulated. Some have two values, the smallest and the largest.
func Quantities(s scenarios.Scenario, b record.Backend) map[string][]float64 {
	edges := float64(s.Readers.Edges)
	smallest, largest := math.Inf(1), 0.0
	for _, r := range s.Event.Renditions {
		size := float64(r.Rate) / 8 * s.Event.Segment.Duration().Seconds()
		smallest, largest = min(smallest, size), max(largest, size)
	}
	all := map[string][]float64{
		sim.QuantityEdges:      {edges},
		sim.QuantityRenditions: {float64(len(s.Event.Renditions))},
		sim.QuantitySegment:    {smallest, largest},
	}
	i := slices.IndexFunc(b.Phases, func(p record.Phase) bool { return p.Name == scenarios.StormPhase })
	if i < 0 {
		return all
	}
	p := b.Phases[i]
	all[sim.QuantityReads], all[sim.QuantityReadGbit] = []float64{p.Reads}, []float64{p.ReadGbit}
	for _, o := range p.Operations {
		if o.Class == "publish" && p.Seconds > 0 {
			all[sim.QuantityWrites] = []float64{float64(o.Count) / p.Seconds}
		}
	}
	return all
}

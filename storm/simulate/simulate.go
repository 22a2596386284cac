// Package simulate carries one scenario through in virtual time: its backends in turn, each on a model of an origin with the costs of a
// profile, under the very plan of a live run. What it finds has the form of what a live run finds, and says of itself that it is
// simulated. It keeps everything in memory, writes no files and has no clock, so that it can be called many times at once.
package simulate

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/entry"
	"origin-storm/storm/plan"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
	"origin-storm/storm/sim/profiles"
	"origin-storm/storm/verdict"
)

// Config says what to simulate.
type Config struct {
	Scenario scenarios.Scenario
	Seed     uint64
	// Profile is what the parts of the origin cost; nil means the one that is part of the program.
	Profile *sim.Profile
	// Deployment says on which nodes, with how many cores and which links, a backend runs; what it leaves 0 is as the scenario has it.
	// The scenario alone decides what the origin and its caches do (hot, collapse, shed, hit ratio, chunks). Nil puts everything on
	// the one machine that the profile was measured on, as in a live run.
	Deployment func(scenarios.Backend) sim.Topology
	// Windows are what is simulated; nil means the scenario's.
	Windows []storm.Window
	// Strict takes no uncertain threshold for an answer.
	Strict bool
	// Progress is told once for each segment's time that is about to be simulated, from a goroutine of its own; nil for nobody.
	Progress func(Progress)
}

// Progress is how far a simulation is: At of Total of a backend, in virtual time, and how much is Left of all of them.
type Progress struct {
	Backend, Phase  string
	At, Total, Left time.Duration
}

// Outcome is what was found: everything that a run folder holds.
type Outcome struct {
	Results    record.Results
	Recordings []*record.Recording // one of each of Results.Backends
	Events     []record.Event
	Figures    map[string]sim.Figures // by backend
}

// started is the instant at which every simulation begins. It is fixed, so that the same scenario gives the same bytes whenever it is
// simulated.
func started() time.Time { return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC) }

// first is the number of the first segment that is published: that of a live run without a warm-up, as the template begins a segment
// before the origin is up, and the next one is on the air then.
const first = 3

// Run simulates c.Scenario. What the model does not know is refused, by name, before anything is begun. An interrupted run (ctx ended)
// is no error: what was found until then is returned, and its verdict says so. The same Config gives the same Outcome.
//
// There is no warm-up, as nothing gets faster by being used: readers ask for nothing that was published before the plan began, and what
// is published is written through to the caches, so that they are warm from the first segment on, as a live run's are. Connections are
// open.
func Run(ctx context.Context, c Config) (*Outcome, error) {
	c = c.filled()
	models, err := c.models()
	if err != nil {
		return nil, err
	}
	r := &run{Config: c, out: &Outcome{Results: entry.Head(c.Scenario, c.Seed, "sim", started()), Figures: map[string]sim.Figures{}}}
	r.out.Results.Environment = map[string]string{}
	if n := c.Scenario.Drivers; n > 1 {
		r.out.Results.Driver.Notes = append(r.out.Results.Driver.Notes, fmt.Sprintf("Virtual time needs no driver processes: drivers: %d makes no difference.", n))
	}
	var copies []record.Copy
	for i := range models {
		if ctx.Err() != nil || r.aborted != nil {
			break
		}
		r.left = time.Duration(len(models)-i-1) * r.total()
		if err := r.simulate(ctx, models[i]); err != nil {
			return nil, fmt.Errorf("simulate: %s: backend %s: %w", c.Scenario.Name, models[i].backend.Name, err)
		}
		copies = append(copies, r.out.Recordings[i].Copies()...)
	}
	verdict.Judge(&r.out.Results, verdict.Conditions{
		Thresholds: c.Scenario.Thresholds, Copies: copies, Events: r.out.Events, Interrupted: ctx.Err() != nil, Aborted: r.aborted, Strict: c.Strict,
	})
	return r.out, nil
}

// Basis says what the figures of each backend of c will rest on, before anything is simulated: it refuses what Run refuses. How busy
// parts are, and what is extrapolated, is not in it.
func Basis(c Config) (map[string]record.Simulation, error) {
	models, err := c.filled().models()
	if err != nil {
		return nil, err
	}
	all := map[string]record.Simulation{}
	for _, m := range models {
		s := *m.facts().Simulation
		s.Tiers, s.Extrapolated = []record.Tier{}, []string{}
		all[m.backend.Name] = s
	}
	return all, nil
}

// models are those of c's backends.
func (c Config) models() ([]model, error) {
	if err := Check(c.Scenario); err != nil {
		return nil, err
	}
	if s := c.Scenario; s.Deployment != nil && c.Deployment == nil {
		return nil, refusef("%s cannot be simulated on one machine: it has a deployment, on which it is to be simulated", s.Name)
	}
	all := make([]model, len(c.Scenario.Backends))
	for i, b := range c.Scenario.Backends {
		var err error
		if all[i], err = c.model(b); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// filled is c with its defaults.
func (c Config) filled() Config {
	if c.Profile == nil {
		c.Profile = new(profiles.Default())
	}
	if c.Windows == nil {
		c.Windows = plan.Windows(c.Scenario)
	}
	return c
}

// run is one call of Run.
type run struct {
	Config
	out     *Outcome
	left    time.Duration // of the backends to come
	aborted *verdict.Abort
}

// total is how long the measured part of each backend lasts.
func (r *run) total() time.Duration { return r.Windows[len(r.Windows)-1].To }

// simulate carries the plan out on m.
func (r *run) simulate(ctx context.Context, m model) error {
	rec, err := r.execute(ctx, m, forever)
	if err != nil {
		return err
	}
	r.note(m.backend.Name, m.plan)
	if a := r.aborted; a != nil {
		// The model had gone on when that was seen. As a live run does, it ends with the requests until then, and what becomes of them.
		if m, err = r.model(m.backend); err == nil {
			rec, err = r.execute(ctx, m, a.At)
		}
		if err != nil {
			return err
		}
		r.out.Events = append(r.out.Events, record.Event{At: a.At.Seconds(), Backend: a.Backend, Kind: "abort", Text: a.String()})
	}
	f := m.executor.Figures()
	b := entry.Backend(rec, m.facts(), r.Scenario, r.Seed)
	b.Cache = counts(f, m.topology).Cache(&b)
	b.Simulation.Tiers, b.Simulation.Events = tiers(f), f.Events
	b.Simulation.Extrapolated = m.extrapolated(r.Scenario, b)
	r.out.Results.Backends = append(r.out.Results.Backends, b)
	r.out.Recordings = append(r.out.Recordings, rec)
	r.out.Figures[m.backend.Name] = f
	return nil
}

// note keeps windows and faults as a live run notes them, in order of time.
func (r *run) note(backend string, p storm.Plan) {
	var all []record.Event
	add := func(at time.Duration, kind, text string) {
		all = append(all, record.Event{At: at.Seconds(), Backend: backend, Kind: kind, Text: text})
	}
	for _, w := range p.Windows {
		add(w.From, "window", w.Name)
	}
	for _, f := range p.Faults {
		add(f.At, "fault", f.String())
		if f.For > 0 {
			add(f.At+f.For, "fault-end", "end of "+f.String())
		}
	}
	slices.SortStableFunc(all[len(p.Windows):], func(a, b record.Event) int {
		switch {
		case a.At < b.At:
			return -1
		case a.At > b.At:
			return 1
		}
		return 0
	})
	r.out.Events = append(r.out.Events, all...)
}

const forever = time.Duration(1<<63 - 1)

// execute carries the plan out as far as its requests begin before until. It ends early where a threshold stops the run, which it keeps.
func (r *run) execute(ctx context.Context, m model, until time.Duration) (*record.Recording, error) {
	rec := record.New(m.recording)
	running, stop := context.WithCancel(ctx)
	defer stop()
	p, to := m.plan, storm.Recorder(rec)
	p.Requests = r.watched(p.Requests, m.backend.Name, until)
	if r.aborted == nil && slices.ContainsFunc(r.Scenario.Thresholds, func(t scenarios.Threshold) bool { return t.Abort }) {
		to = &guard{run: r, rec: rec, backend: m.backend.Name, stop: stop}
	}
	if err := m.executor.Execute(running, p, to); err != nil && running.Err() == nil {
		return nil, err
	}
	return rec, nil
}

// watched yields the requests of seq that begin before until, and tells once in a segment's time how far they are.
func (r *run) watched(seq iter.Seq[storm.Request], backend string, until time.Duration) iter.Seq[storm.Request] {
	segment := r.Scenario.Event.Segment.Duration()
	return func(yield func(storm.Request) bool) {
		next := segment
		for q := range seq {
			for ; q.At >= next; next += segment {
				r.tell(backend, next)
			}
			if q.At >= until || !yield(q) {
				return
			}
		}
	}
}

// tell reports how far a backend is.
func (r *run) tell(backend string, at time.Duration) {
	if r.Progress == nil {
		return
	}
	p := Progress{Backend: backend, At: at, Total: r.total(), Left: max(0, r.total()-at) + r.left}
	for _, w := range r.Windows {
		if at >= w.From && at < w.To {
			p.Phase = w.Name
		}
	}
	r.Progress(p)
}

// guard asks once in a segment's time whether a threshold stops the run. Samples come in the order in which they ended, so that the answer
// depends on nothing but the samples.
type guard struct {
	*run
	rec     *record.Recording
	backend string
	stop    func()
	next    time.Duration
}

// Record implements storm.Recorder. After a threshold has stopped the run there is nothing to keep.
func (g *guard) Record(s storm.Sample) {
	segment := g.Scenario.Event.Segment.Duration()
	for ; s.Done >= g.next && g.aborted == nil; g.next += segment {
		b := g.rec.Backend()
		b.Name = g.backend
		if g.aborted = verdict.Broken(g.Scenario.Thresholds, b, g.rec.Copies(), g.next, segment.Seconds()); g.aborted != nil {
			g.stop()
		}
	}
	if g.aborted == nil {
		g.rec.Record(s)
	}
}

// refusef is why a scenario cannot be simulated.
func refusef(format string, a ...any) error {
	return &verdict.Error{Err: fmt.Errorf(format, a...), Code: verdict.Usage}
}

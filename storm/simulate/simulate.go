// Package simulate carries one scenario through in virtual time: each of its backends on a model of an origin with the costs of a
// profile, under the very plan of a live run. What it finds has the form of what a live run finds, and says of itself that it is
// simulated. It keeps everything in memory, writes no files and has no clock, so that it can be called many times at once.
package simulate

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
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
	// AtOnce is how many backends are simulated at a time, which takes as much memory; 0 means 1. It makes no difference to what is found.
	AtOnce int
	// Progress is told once for each segment's time that is about to be simulated, one call at a time, from goroutines of its own; nil for
	// nobody.
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
	r := &run{Config: c, arms: make([]*arm, len(models))}
	for i := range models {
		r.arms[i] = &arm{run: r, model: models[i]}
	}
	r.simulate(ctx)
	out := &Outcome{Results: entry.Head(c.Scenario, c.Seed, "sim", started()), Figures: map[string]sim.Figures{}}
	out.Results.Environment = map[string]string{}
	if n := c.Scenario.Drivers; n > 1 {
		out.Results.Driver.Notes = append(out.Results.Driver.Notes, fmt.Sprintf("Virtual time needs no driver processes: drivers: %d makes no difference.", n))
	}
	var copies []record.Copy
	var aborted *verdict.Abort
	for _, a := range r.arms {
		if aborted != nil {
			break
		}
		if a.err != nil {
			return nil, fmt.Errorf("simulate: %s: backend %s: %w", c.Scenario.Name, a.backend.Name, a.err)
		}
		if a.recording == nil {
			break
		}
		out.Events = append(out.Events, a.events...)
		out.Results.Backends = append(out.Results.Backends, a.entry)
		out.Recordings = append(out.Recordings, a.recording)
		out.Figures[a.backend.Name] = a.executor.Figures()
		copies = append(copies, a.recording.Copies()...)
		aborted = a.aborted
	}
	verdict.Judge(&out.Results, verdict.Conditions{
		Thresholds: c.Scenario.Thresholds, Copies: copies, Events: out.Events, Interrupted: ctx.Err() != nil, Aborted: aborted, Strict: c.Strict,
	})
	return out, nil
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
	arms []*arm

	telling sync.Mutex
}

// arm is the simulation of one backend. Whether others go on beside it makes no difference to it.
type arm struct {
	*run
	model
	at time.Duration // how far it is; guarded by run.telling

	// What came of it; nothing if it never began.
	events    []record.Event
	recording *record.Recording
	entry     record.Backend
	aborted   *verdict.Abort
	err       error
}

// total is how long the measured part of each backend lasts.
func (r *run) total() time.Duration { return r.Windows[len(r.Windows)-1].To }

// simulate carries the arms out, in their order and as many at a time as there may be. Those that come after one that failed, or that a
// threshold ended, do not begin, or end: Run leaves them out.
func (r *run) simulate(ctx context.Context) {
	var all sync.WaitGroup
	var stops []context.CancelFunc
	defer func() {
		all.Wait()
		for _, stop := range stops {
			stop()
		}
	}()
	turn := make(chan struct{}, max(1, r.AtOnce))
	for _, a := range r.arms {
		turn <- struct{}{}
		if ctx.Err() != nil {
			return
		}
		own := ctx
		following, stop := context.WithCancel(ctx)
		stops = append(stops, stop)
		all.Go(func() {
			defer func() { <-turn }()
			if a.err = a.simulate(own); a.err != nil || a.aborted != nil {
				stop()
			}
		})
		ctx = following
	}
}

// simulate carries the plan out on the arm's model.
func (a *arm) simulate(ctx context.Context) error {
	rec, err := a.execute(ctx, forever)
	if err != nil {
		return err
	}
	a.note()
	if ab := a.aborted; ab != nil {
		// The model had gone on when that was seen. As a live run does, it ends with the requests until then, and what becomes of them.
		if a.model, err = a.Config.model(a.backend); err == nil {
			rec, err = a.execute(ctx, ab.At)
		}
		if err != nil {
			return err
		}
		a.events = append(a.events, record.Event{At: ab.At.Seconds(), Backend: ab.Backend, Kind: "abort", Text: ab.String()})
	}
	f := a.executor.Figures()
	b := entry.Backend(rec, a.facts(), a.Scenario, a.Seed)
	b.Cache = counts(f, a.topology).Cache(&b)
	b.Simulation.Tiers, b.Simulation.Events = tiers(f), f.Events
	b.Simulation.Extrapolated = a.extrapolated(a.Scenario, b)
	a.entry, a.recording = b, rec
	return nil
}

// note keeps windows and faults as a live run notes them, in order of time.
func (a *arm) note() {
	var all []record.Event
	add := func(at time.Duration, kind, text string) {
		all = append(all, record.Event{At: at.Seconds(), Backend: a.backend.Name, Kind: kind, Text: text})
	}
	for _, w := range a.plan.Windows {
		add(w.From, "window", w.Name)
	}
	for _, f := range a.plan.Faults {
		add(f.At, "fault", f.String())
		if f.For > 0 {
			add(f.At+f.For, "fault-end", "end of "+f.String())
		}
	}
	slices.SortStableFunc(all[len(a.plan.Windows):], func(x, y record.Event) int { return cmp.Compare(x.At, y.At) })
	a.events = all
}

const forever = time.Duration(1<<63 - 1)

// execute carries the plan out as far as its requests begin before until. It ends early where a threshold stops the run, which it keeps.
func (a *arm) execute(ctx context.Context, until time.Duration) (*record.Recording, error) {
	rec := record.New(a.model.recording)
	running, stop := context.WithCancel(ctx)
	defer stop()
	p, to := a.plan, storm.Recorder(rec)
	p.Requests = a.watched(p.Requests, until)
	if a.aborted == nil && slices.ContainsFunc(a.Scenario.Thresholds, func(t scenarios.Threshold) bool { return t.Abort }) {
		to = &guard{arm: a, rec: rec, stop: stop}
	}
	if err := a.executor.Execute(running, p, to); err != nil && running.Err() == nil {
		return nil, err
	}
	return rec, nil
}

// watched yields the requests of seq that begin before until, and tells once in a segment's time how far they are.
func (a *arm) watched(seq iter.Seq[storm.Request], until time.Duration) iter.Seq[storm.Request] {
	segment := a.Scenario.Event.Segment.Duration()
	return func(yield func(storm.Request) bool) {
		next := segment
		for q := range seq {
			for ; q.At >= next; next += segment {
				a.tell(next)
			}
			if q.At >= until || !yield(q) {
				return
			}
		}
	}
}

// tell reports how far the arm is.
func (a *arm) tell(at time.Duration) {
	if a.Progress == nil {
		return
	}
	a.telling.Lock()
	defer a.telling.Unlock()
	a.at = at
	p := Progress{Backend: a.backend.Name, At: at, Total: a.total()}
	for _, of := range a.arms {
		p.Left += max(0, p.Total-of.at)
	}
	for _, w := range a.Windows {
		if at >= w.From && at < w.To {
			p.Phase = w.Name
		}
	}
	a.Progress(p)
}

// guard asks once in a segment's time whether a threshold stops the run. Samples come in the order in which they ended, so that the answer
// depends on nothing but the samples.
type guard struct {
	*arm
	rec  *record.Recording
	stop func()
	next time.Duration
}

// Record implements storm.Recorder. After a threshold has stopped the run there is nothing to keep.
func (g *guard) Record(s storm.Sample) {
	segment := g.Scenario.Event.Segment.Duration()
	for ; s.Done >= g.next && g.aborted == nil; g.next += segment {
		b := g.rec.Backend()
		b.Name = g.backend.Name
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

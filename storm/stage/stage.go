// Package stage sets a run up and carries it through: it makes arms of a scenario's backends (or of an origin that is already
// running), and for each in turn brings it up, warms it, executes the plan, carries the faults out, and takes it down again.
// It measures nothing itself (package record does) and reaches no verdict (package verdict does).
package stage

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"origin-storm/origin"
	"origin-storm/origin/config"
	"origin-storm/origin/cost"
	"origin-storm/origin/segment"
	"origin-storm/origin/servers"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/live"
	"origin-storm/storm/plan"
	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
)

// Config says what to run and with what.
type Config struct {
	Scenario scenarios.Scenario
	Seed     uint64
	Servers  Servers // where Cassandra and memcached come from; Embedded puts stand-ins in their place
	Images   Images
	At       Addresses // servers that are already running
	// Target is an origin that is already running, in place of the scenario's backends.
	Target      *Foreign
	AllowRemote bool
	// Command starts this program: its executable, and arguments before a command's name.
	Command []string
	// CommandLine is how the run was asked for, for the report.
	CommandLine string
	// Out is where the run folder goes.
	Out      string
	Progress func(Progress) // nil for nobody
	Log      *slog.Logger   // nil discards
	// Finish draws the report into the run folder and commits it, once all the rest is in it. Until it has returned, the
	// folder goes with everything else should this process be killed. Nil leaves the folder to the caller.
	Finish func(record.Results) error
}

// Servers says where Cassandra and memcached come from; see package servers for what the modes mean.
type Servers = servers.Mode

// The ways to have servers.
const (
	Embedded = servers.Embedded
	Native   = servers.Native
	Docker   = servers.Docker
	Auto     = servers.Auto
)

// Images are names of container images.
type Images = servers.Images

// Foreign is an origin that is already running, and how it names things. Empty names are the scenario's.
type Foreign struct {
	Publish, Serve live.Target
	Event          string
	Pipelines      []string
	Renditions     []string
	Start          time.Time // when segment 0 of its template began
}

// Progress is how far a run is: a step, said in Text, or figures of the interval that has just passed.
type Progress struct {
	Text                 string
	Backend, Phase       string
	Elapsed, Total, Left time.Duration // Left counts the backends to come, too
	Interval             *record.Interval
}

// run is one call of Run.
type run struct {
	cfg      Config
	scenario scenarios.Scenario
	windows  []storm.Window
	total    time.Duration // of the measured part of each backend
	folder   *record.Folder
	reaper   *servers.Reaper
	dir      string
	nice     int    // of what is measured
	stepped  string // by how much the clock was, if it was

	mu      sync.Mutex // guards events and current
	events  []record.Event
	current *measurement // nil before the first
}

// Check returns why this machine cannot carry s in a live run, or nil. It is asked before anything is begun.
func Check(s scenarios.Scenario) error {
	memory, ok := servers.AvailableMemory()
	if !ok {
		memory = math.MaxInt64 // nothing is known, and nothing refused
	}
	if err := s.Live(cost.Bytes(memory)); err != nil {
		return &verdict.Error{Err: fmt.Errorf("this machine cannot carry %s: %w", s.Name, err), Code: verdict.Usage}
	}
	if err := checkCores(s); err != nil {
		return &verdict.Error{Err: err, Code: verdict.Usage}
	}
	for _, b := range s.Backends {
		if b.Edge == "" {
			continue
		}
		if err := servers.EdgeReady(context.Background(), b.Edge); err != nil {
			return &verdict.Error{Err: fmt.Errorf("%s: backend %s: %w", s.Name, b.Name, err), Code: verdict.Usage}
		}
	}
	// A process of the run that has no files left drops requests, which says no more than that the machine was too small.
	const others = 64 // files beside the connections of readers
	var files syscall.Rlimit
	need := s.Needs().Connections/int64(max(1, min(s.Origin.Serve, s.Drivers-1))) + others
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil && uint64(need) > uint64(files.Cur) {
		return &verdict.Error{Code: verdict.Usage, Err: fmt.Errorf(
			"this machine cannot carry %s: readers.edges: %d edges need %d open files in one process, %d are allowed: raise the limit (ulimit -n), or lower readers.edges",
			s.Name, s.Readers.Edges, need, files.Cur)}
	}
	return nil
}

// Run carries a scenario through and returns what was found; the folder gets everything but the drawn report. An interrupted
// run (ctx ended) is no error: what was measured until then is returned, and its verdict says so. After any error nothing is
// left running.
func Run(ctx context.Context, cfg Config, folder *record.Folder) (res record.Results, err error) {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	if cfg.Progress == nil {
		cfg.Progress = func(Progress) {}
	}
	r := &run{cfg: cfg, scenario: cfg.Scenario, folder: folder}
	r.nice = precede()
	r.windows = plan.Windows(r.scenario)
	r.total = r.windows[len(r.windows)-1].To
	began := time.Now()
	res = record.Results{
		Schema: 1, Scenario: r.scenario.Name, About: r.scenario.About, Seed: cfg.Seed, Mode: "live", Started: began.UTC(),
		SegmentMS: milliseconds(r.scenario.Event.Segment.Duration()), DelayMS: milliseconds(r.scenario.Event.PublishDelay),
		Driver: record.Driver{Processes: r.scenario.Drivers, Notes: []string{}}, Backends: []record.Backend{}, Reasons: []string{}, Thresholds: []record.Threshold{},
	}
	if r.dir, err = os.MkdirTemp("", "origin-storm-"); err != nil {
		return res, fmt.Errorf("stage: no place for the run's files; is TMPDIR right? %w", err)
	}
	defer os.RemoveAll(r.dir)
	if r.reaper, err = servers.StartReaper(exec.Command(cfg.Command[0], append(slices.Clone(cfg.Command[1:]), servers.ReaperCommand)...)); err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, r.reaper.Close()) }()
	if err := r.reaper.Dir(r.dir); err != nil {
		return res, err
	}
	if cfg.Finish != nil {
		if err := r.reaper.Dir(folder.Dir()); err != nil {
			return res, err
		}
	}
	arms, down, err := r.arms(ctx)
	defer func() { err = errors.Join(err, down()) }()
	if err != nil && ctx.Err() == nil {
		return res, err
	}

	var copies []record.Copy
	var recordings []*record.Recording
	for i, arm := range arms {
		m := &measurement{run: r, arm: arm, later: time.Duration(len(arms)-i-1) * r.total, account: &res.Driver}
		r.mu.Lock()
		r.current = m
		r.mu.Unlock()
		b, err := m.measure(ctx)
		if err != nil && ctx.Err() == nil {
			return res, err
		}
		if b != nil {
			res.Backends = append(res.Backends, *b)
			copies = append(copies, m.recording.Copies()...)
			recordings = append(recordings, m.recording)
		}
		if ctx.Err() != nil {
			break
		}
	}
	about := map[string]string{
		"command": cfg.CommandLine, "seed": fmt.Sprint(cfg.Seed), "servers": string(cfg.Servers), "gomaxprocs": fmt.Sprint(runtime.GOMAXPROCS(0)), "nice of what is measured, over the driver": fmt.Sprint(steps),
	}
	if t := cfg.Target; t != nil {
		about["target"] = strings.Join(t.Serve.URLs, ", ")
	}
	res.Environment = record.Environment(about)
	r.mu.Lock()
	events := slices.Clone(r.events)
	r.mu.Unlock()
	verdict.Judge(&res, verdict.Conditions{
		Thresholds: r.scenario.Thresholds, Copies: copies, Events: events, ClockStepped: r.stepped, Interrupted: ctx.Err() != nil,
	})
	if err := r.write(&res, recordings, events); err != nil || cfg.Finish == nil {
		return res, err
	}
	return res, cfg.Finish(res)
}

// arms makes the arms and brings up the servers that they share; down takes those down.
func (r *run) arms(ctx context.Context) (arms []Arm, down func() error, err error) {
	down = func() error { return nil }
	if t := r.cfg.Target; t != nil {
		return []Arm{running("target", t.Publish, t.Serve)}, down, nil
	}
	b := &backends{
		scenario: r.scenario, seed: r.cfg.Seed, at: r.cfg.At, remote: r.cfg.AllowRemote,
		token: strings.ToLower(rand.Text()[:12]),
		spawn: &spawner{command: r.cfg.Command, dir: r.dir, reaper: r.reaper, nice: r.nice},
	}
	want := servers.Config{Mode: r.cfg.Servers, Images: r.cfg.Images, Dir: r.dir, Reaper: r.reaper, Nice: r.nice, Log: r.cfg.Log,
		Progress: func(text string) { r.cfg.Progress(Progress{Text: text}) },
		OnDeath: func(s *servers.Server, err error) {
			backend, at := r.moment()
			r.note(backend, "death", at, fmt.Sprintf("%s died: %v", s.Name, err))
		},
	}
	for _, be := range r.scenario.Backends {
		if be.Store == scenarios.Cassandra && len(r.cfg.At.Cassandra) == 0 {
			want.Cassandra = max(want.Cassandra, be.Nodes)
		}
		if be.Store == scenarios.Cassandra && be.Cache && len(r.cfg.At.Memcached) == 0 {
			want.Memcached = max(want.Memcached, be.Zones)
		}
		arms = append(arms, b.arm(be))
	}
	if want.Cassandra+want.Memcached > 0 {
		if b.cluster, err = servers.Up(ctx, want); err != nil {
			return nil, down, err
		}
		down = b.cluster.Close
		r.cfg.Progress(Progress{Text: fmt.Sprintf("servers (%s): %s", b.cluster.Mode, strings.Join(b.cluster.Versions(), ", "))})
		if b.cluster.Mode == servers.Embedded && want.Cassandra > 0 {
			// Auto found nothing: stand-ins, and the report says so.
			r.cfg.Progress(Progress{Text: "no real servers, so embedded stand-ins are measured: " + b.cluster.Why})
			if r.scenario, err = r.scenario.Embedded(); err != nil {
				return nil, down, &verdict.Error{Err: err, Code: verdict.Usage}
			}
			b.scenario, arms = r.scenario, nil
			for _, be := range r.scenario.Backends {
				arms = append(arms, b.arm(be))
			}
		}
	}
	return arms, down, nil
}

// moment says which backend is being measured, and how long its measured part has gone on.
func (r *run) moment() (backend string, at time.Duration) {
	r.mu.Lock()
	m := r.current
	r.mu.Unlock()
	if m == nil {
		return "", 0
	}
	return m.arm.Name, m.elapsed()
}

// note keeps an event for events.ndjson.
func (r *run) note(backend, kind string, at time.Duration, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, record.Event{At: at.Seconds(), Backend: backend, Kind: kind, Text: text})
	if kind != "window" {
		r.cfg.Log.Info(text, "backend", backend, "kind", kind, "at", at)
	}
}

// write puts what was found into the folder.
func (r *run) write(res *record.Results, recordings []*record.Recording, events []record.Event) error {
	text, err := r.scenario.Marshal()
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	return errors.Join(
		r.folder.Scenario(text),
		r.folder.Events(events),
		r.folder.Recordings(res.Started, recordings...),
		r.folder.Environment(res.Environment),
		r.folder.Results(res),
	)
}

// measurement is one arm's turn.
type measurement struct {
	*run
	arm       Arm
	later     time.Duration // what comes after this arm
	account   *record.Driver
	recording *record.Recording
	cores     *coreUsage // nil where nothing is pinned

	mu    sync.Mutex // guards start
	start time.Time  // of the measured part; zero before it
}

// liveEvents returns the events that the origin is configured with. Their template begins a segment before now, so that the
// first segment of a run can be any that is still to come.
func (m *measurement) liveEvents(now time.Time) []config.Event {
	d := m.scenario.Event.Segment.Duration()
	events := m.scenario.Events(now.Truncate(d).Add(-d).UTC())
	if t := m.cfg.Target; t != nil {
		for i := range events {
			e := &events[i]
			e.Template.Start, e.Template.StartNumber = t.Start, 0
			e.Name = cmp.Or(t.Event, e.Name)
			if len(t.Pipelines) > 0 {
				e.Pipelines = t.Pipelines
			}
			if len(t.Renditions) > 0 {
				e.Renditions = config.Renditions(t.Renditions...)
			}
		}
	}
	return events
}

// measure brings the arm up, measures it and takes it down.
func (m *measurement) measure(ctx context.Context) (*record.Backend, error) {
	begin := ": bringing up the origin"
	if m.cfg.Target != nil {
		begin = ": knocking at the origin"
	}
	m.cfg.Progress(Progress{Text: m.arm.Name + begin})
	events := m.liveEvents(time.Now())
	target, err := m.arm.Up(ctx, events, func(kind, text string) { m.note(m.arm.Name, kind, m.elapsed(), text) })
	if err != nil {
		return nil, err
	}
	down := sync.OnceFunc(func() {
		if err := target.Close(); err != nil { // no reason to throw away what was measured
			m.note(m.arm.Name, "warning", m.elapsed(), "taking the backend down: "+err.Error())
		}
	})
	defer down()
	warmed, err := m.warm(ctx, target, events)
	if err != nil {
		return nil, err
	}
	before, err := counts(ctx, target)
	if err != nil {
		return nil, err
	}
	cpu := cpuTime()
	x, err := m.execute(ctx, target, events)
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	m.account.CPUSeconds += (cpuTime() - cpu).Seconds()
	after, err := counts(context.WithoutCancel(ctx), target)
	if err != nil {
		m.note(m.arm.Name, "warning", m.elapsed(), "the origin's counts could not be read at the end: "+err.Error())
	}
	down()
	b := m.result(target, x)
	b.Notes = append(b.Notes, warmed...)
	if after != nil {
		b.Cache = cacheFigures(before, after, b)
		edgeFigures(b.Edge, before, after, b, m.recording.Asked())
	}
	return b, nil
}

// elapsed is the time since the measured part began, 0 before.
func (m *measurement) elapsed() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.start.IsZero() {
		return 0
	}
	return time.Since(m.start)
}

// job is the load of windows on target, from the next segment on.
func (m *measurement) job(target *Target, events []config.Event, windows []storm.Window) job {
	n, start := first(events[0].Template, time.Now())
	return job{
		Seed: m.cfg.Seed, Backend: m.arm.Name, Events: events, First: n, Windows: windows, Start: start,
		Publish: target.Publish, Serve: target.Serve, Probes: target.Probes,
	}
}

// first returns the number of the first event's segment that begins soonest after now and some time to get ready, and when.
func first(t segment.Template, now time.Time) (int64, time.Time) {
	const ready = 300 * time.Millisecond // for the executor to expand the plan's first segments
	t.PublishDelay = 0
	n := t.Next(now.Add(ready)) + 1 // the one before is on the air now
	return n, t.Begins(n)
}

// The warm-up goes by steps of a few segments until the write latency is stable.
const (
	warmStep  = 3
	warmSteps = 4
)

// warm drives the target until its write p50 is stable (a cold JVM misleads), or for the time the scenario says, and returns
// notes for the report.
func (m *measurement) warm(ctx context.Context, target *Target, events []config.Event) (notes []string, err error) {
	d := m.scenario.Event.Segment.Duration()
	steps, segments := warmSteps, warmStep
	if w := m.scenario.Windows.WarmUp; w != scenarios.Auto {
		steps, segments = 1, int((time.Duration(w)+d-1)/d)
	}
	if segments == 0 {
		return nil, nil
	}
	var medians []float64
	for step := range steps {
		m.cfg.Progress(Progress{Text: fmt.Sprintf("%s: warming up (%v)", m.arm.Name, time.Duration((step+1)*segments)*d)})
		j := m.job(target, events, plan.WarmUp(m.scenario, time.Duration(segments)*d))
		rec := record.New(recordingConfig(m.scenario, j))
		if _, err := j.execute(ctx, m.scenario, nil, rec); err != nil {
			return nil, err
		}
		if b := rec.Backend(); step == 0 {
			if err := alive(b); err != nil {
				return nil, fmt.Errorf("stage: %s: %w", m.arm.Name, err)
			}
		}
		for _, i := range rec.Intervals() {
			if i.WriteP50 != nil {
				medians = append(medians, *i.WriteP50)
			}
		}
		if m.scenario.Windows.WarmUp != scenarios.Auto || stable(medians) {
			return nil, nil
		}
	}
	return []string{fmt.Sprintf("The write p50 was still moving after a warm-up of %v.", time.Duration(steps*segments)*d)}, nil
}

// stable reports whether the last medians are level: the last two within a quarter, or 2 ms, of the one before.
func stable(medians []float64) bool {
	n := len(medians)
	if n < 3 {
		return false
	}
	for _, v := range medians[n-2:] {
		if diff := v - medians[n-3]; max(diff, -diff) > max(2, medians[n-3]/4) {
			return false
		}
	}
	return true
}

// alive returns an error if not a single publish succeeded: there is no point in measuring what does not answer at all.
func alive(b record.Backend) error {
	for _, p := range b.Phases {
		for _, o := range p.Operations {
			if o.Class == storm.Publish.String() && o.Count > 0 && o.Errors == o.Count {
				if o.Statuses[strconv.Itoa(http.StatusInsufficientStorage)] > 0 {
					return fmt.Errorf("none of the first %d publishes succeeded (%v): the store is full; an embedded one keeps its files in %s, which TMPDIR names", o.Count, o.Statuses, os.TempDir())
				}
				return fmt.Errorf("none of the first %d publishes succeeded (%v): is the address right, does the origin know the event, its pipelines and renditions?", o.Count, o.Statuses)
			}
		}
	}
	return nil
}

// execute carries the measured part out.
func (m *measurement) execute(ctx context.Context, target *Target, events []config.Event) (live.Stats, error) {
	j := m.job(target, events, m.windows)
	m.mu.Lock()
	m.start = j.Start
	m.mu.Unlock()
	m.recording = record.New(recordingConfig(m.scenario, j))
	for _, w := range m.windows {
		m.note(m.arm.Name, "window", w.From, w.Name)
	}
	fault := func(f storm.Fault, undo bool) {
		kind, text := "fault", f.Do+" "+f.To
		if undo {
			kind, text = "fault-end", "end of "+text
		}
		m.note(m.arm.Name, kind, m.elapsed(), text)
		if undo && f.Do == "kill" && ctx.Err() != nil {
			return // what is about to be taken down need not come back first
		}
		if err := target.Fault(context.WithoutCancel(ctx), f, undo); err != nil {
			m.note(m.arm.Name, "fault-failed", m.elapsed(), err.Error())
		}
	}
	stop := m.watch(j.Start)
	defer stop()
	if m.scenario.Pinned() {
		m.cores = watchCores(j.Start, m.windows)
		defer m.cores.stop()
	}
	if m.scenario.Drivers > 1 {
		return m.drive(ctx, j, target, fault)
	}
	return j.execute(ctx, m.scenario, fault, m.recording)
}

// watch reports progress once each segment until stop is called.
func (m *measurement) watch(start time.Time) (stop func()) {
	d := m.scenario.Event.Segment.Duration()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			at := time.Since(start)
			if at < 0 {
				continue
			}
			p := Progress{Backend: m.arm.Name, Elapsed: at, Total: m.total, Left: max(0, m.total-at) + m.later}
			for _, w := range m.windows {
				if at >= w.From && at < w.To {
					p.Phase = w.Name
				}
			}
			// The interval before the last: requests of the last one are still under way.
			if all := m.recording.Intervals(); len(all) >= 2 {
				p.Interval = &all[len(all)-2]
			}
			m.cfg.Progress(p)
		}
	})
	return func() { cancel(); wg.Wait() }
}

// result puts together what was found.
func (m *measurement) result(target *Target, x live.Stats) *record.Backend {
	b := m.recording.Backend()
	f := target.Facts
	b.Name, b.Provenance, b.Profile, b.Servers, b.Published, b.Edge = m.arm.Name, f.Provenance, f.Profile, f.Servers, f.Published, f.Edge
	b.Notes = append(b.Notes, f.Notes...)
	if w := m.scenario.Windows; w.Quiet > 0 && w.Storm > 0 {
		b.Isolation = verdict.Isolation(m.recording.Ticks(scenarios.QuietPhase), m.recording.Ticks(scenarios.StormPhase), m.cfg.Seed)
	}
	if m.cores != nil {
		var err error
		if b.Cores, err = m.cores.figures(m.backend()); err != nil {
			m.note(m.arm.Name, "warning", m.elapsed(), "how busy the processors were could not be read to the end: "+err.Error())
		}
	}
	lag := m.recording.Lag()
	if lag.P99 != nil && (m.account.LagP99 == nil || *m.account.LagP99 < *lag.P99) {
		m.account.LagP99 = lag.P99
	}
	m.account.Dropped += m.recording.Dropped()
	if step := max(x.ClockStep, -x.ClockStep); step > clockStep {
		m.stepped = x.ClockStep.String()
		m.note(m.arm.Name, "warning", m.elapsed(), "the machine's clock was stepped by "+m.stepped)
	}
	return &b
}

// backend is the scenario's backend that the arm is made of.
func (m *measurement) backend() scenarios.Backend {
	i := slices.IndexFunc(m.scenario.Backends, func(b scenarios.Backend) bool { return b.Name == m.arm.Name })
	if i < 0 {
		return scenarios.Backend{} // a target that was running before
	}
	return m.scenario.Backends[i]
}

// clockStep is how far the wall clock may drift from the monotonic one in a run before it counts as stepped: NTP slews by at
// most 500 ppm, 0.1 s in three minutes.
const clockStep = 250 * time.Millisecond

// counts adds up the counts of the target's nodes; nil where they cannot be asked.
func counts(ctx context.Context, t *Target) ([]origin.Stats, error) {
	if t.Stats == nil {
		return nil, nil
	}
	return t.Stats(ctx)
}

// cacheFigures tells from the nodes' counts before and after how reads fell on cache and store. Only serving nodes read.
func cacheFigures(before, after []origin.Stats, b *record.Backend) (c record.Cache) {
	var bodies, storeBytes, published int64
	cached := false
	for _, a := range after {
		var o origin.Stats
		if i := slices.IndexFunc(before, func(s origin.Stats) bool { return s.Node == a.Node }); i >= 0 && !restarted(before[i], a) {
			o = before[i]
		}
		if a.Publish != nil {
			published += a.Publish.Bytes
			if o.Publish != nil {
				published -= o.Publish.Bytes
			}
			if a.Cache != nil && a.Cache.ZoneWaits >= record.Needed(0.99) {
				c.ZoneWaitP99 = new(a.Cache.ZoneWaitP99)
			}
		}
		if a.Serve == nil || a.Store == nil {
			continue
		}
		o.Store, o.Cache = cmp.Or(o.Store, &origin.StoreStats{}), cmp.Or(o.Cache, &origin.CacheStats{})
		s, t := a.Storage, o.Storage
		c.Polls += s.Polls - t.Polls + s.Peeks - t.Peeks
		c.PollKeys += s.PollKeys - t.PollKeys + s.PeekKeys - t.PeekKeys
		c.Awaited, c.StorePolls = c.Awaited+a.Serve.Awaited, c.StorePolls+a.Serve.StorePolls
		if o.Serve != nil {
			c.Awaited, c.StorePolls = c.Awaited-o.Serve.Awaited, c.StorePolls-o.Serve.StorePolls
		}
		c.MostStorePolls = max(c.MostStorePolls, a.Serve.MaxStorePolls)
		bodies += s.Bodies - t.Bodies
		c.StoreReads += a.Store.Reads - o.Store.Reads
		storeBytes += a.Store.ReadBytes - o.Store.ReadBytes
		if a.Cache != nil {
			cached = true
			c.Hits += int64(a.Cache.Hits - o.Cache.Hits)
			c.Reads += int64(a.Cache.Hits - o.Cache.Hits + a.Cache.Misses - o.Cache.Misses)
		}
	}
	if !cached {
		c.Reads = c.StoreReads
	} else if c.Reads > 0 {
		c.HitRatio = new(float64(c.Hits) / float64(c.Reads))
	}
	if published > 0 {
		c.StoreBytes = new(float64(storeBytes) / float64(published))
	}
	var answered int64
	for _, p := range b.Phases {
		for _, o := range p.Operations {
			if slices.Contains(readClasses, o.Class) {
				answered += o.Count - o.Errors
			}
		}
	}
	if bodies > 0 {
		c.Collapse = new(float64(answered) / float64(bodies))
	}
	return c
}

// edgeFigures fills e, if there is one, in from the serving nodes' counts before and after, and from what readers were
// answered. asked is how many segments they asked for.
func edgeFigures(e *record.Edge, before, after []origin.Stats, b *record.Backend, asked int64) {
	if e == nil {
		return
	}
	add := func(status int, n int64, found, missing, shed *int64) {
		switch status {
		case http.StatusOK, http.StatusPartialContent, http.StatusNotModified:
			*found += n
		case http.StatusNotFound, http.StatusGone:
			*missing += n
		case http.StatusServiceUnavailable:
			*shed += n
		}
	}
	for _, a := range after {
		if a.Serve == nil {
			continue
		}
		var o origin.Requests
		if i := slices.IndexFunc(before, func(s origin.Stats) bool { return s.Node == a.Node }); i >= 0 && !restarted(before[i], a) {
			o = before[i].Serve.Requests
		}
		for class, statuses := range a.Serve.Requests {
			for status, n := range statuses {
				add(status, n-o[class][status], &e.Fetches, &e.NotFoundFetched, &e.ShedFetched)
			}
		}
	}
	for _, p := range b.Phases {
		for _, o := range p.Operations {
			reads := slices.Contains(readClasses, o.Class)
			if reads {
				e.Cached += o.Cached
			}
			if reads || o.Class == storm.Missing.String() {
				for status, n := range o.Statuses {
					if code, err := strconv.Atoi(status); err == nil {
						add(code, int64(n), &e.Reads, &e.NotFound, &e.Shed)
					}
				}
			}
		}
	}
	e.Segments = asked
	if e.Reads > 0 {
		e.HitRatio = new(float64(e.Cached) / float64(e.Reads))
	}
	if asked > 0 {
		e.FetchesPerSegment = new(float64(e.Fetches) / float64(asked))
	}
}

// readClasses are the classes of requests that count into the read figures.
var readClasses = []string{storm.LiveEdge.String(), storm.Early.String(), storm.DVR.String()}

// restarted reports whether a node counts anew since before.
func restarted(before, after origin.Stats) bool {
	if before.Store == nil || after.Store == nil {
		return true
	}
	return after.Store.Reads < before.Store.Reads || after.Store.Writes < before.Store.Writes || after.Store.Absent < before.Store.Absent
}

// cpuTime is what this process has used of the processors so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

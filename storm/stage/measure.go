package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/segment"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/live"
	"origin-storm/storm/plan"
	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
)

// measurement is one arm's turn.
type measurement struct {
	*run
	arm       Arm
	number    int            // of the arm, from 1
	head      record.Results // what was known before anything was measured
	later     time.Duration  // what comes after this arm
	account   *record.Driver
	recording *record.Recording
	cores     *coreUsage // nil where nothing is pinned

	mu    sync.Mutex // guards start
	start time.Time  // of the measured part; zero before it

	writing sync.Mutex     // guards journal
	journal io.WriteCloser // nil where no folder is written, or it cannot be
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
	m.cfg.Progress(Progress{Text: m.arm.Name + ": " + m.cfg.approach()})
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
	cpu, spent, watched := cpuTime(), m.account.CPUSeconds, Watch(target.Groups)
	x, err := m.execute(ctx, target, events)
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	m.account.CPUSeconds += (cpuTime() - cpu).Seconds()
	taken, stolen := watched(time.Duration((m.account.CPUSeconds - spent) * float64(time.Second)))
	after, err := counts(context.WithoutCancel(ctx), target)
	if err != nil {
		m.note(m.arm.Name, "warning", m.elapsed(), "the origin's counts could not be read at the end: "+err.Error())
	}
	down()
	b := m.result(target, x)
	b.Notes = append(b.Notes, warmed...)
	b.CPUSeconds = taken
	if stolen != nil && (m.cfg.Servers == Embedded || m.cfg.Servers == Native) { // what containers take is not known
		b.Stolen = stolen
		if part := stolen.Part(); part > record.Crowded {
			m.account.Notes = append(m.account.Notes, fmt.Sprintf("%s: other processes and the hypervisor took %.0f %% of the machine's processors.", b.Name, 100*part))
		}
	}
	if after != nil {
		b.Cache = cacheCounts(before, after).Cache(b)
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
		Publish: target.Publish, Serve: target.Serve, Probes: target.Probes, dial: target.Dial, virtual: target.Virtual,
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
		rec := record.New(j.recording(m.scenario))
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
	c := j.recording(m.scenario)
	m.recording = record.New(c)
	m.openJournal(j, target)
	defer m.closeJournal()
	for _, w := range m.windows {
		m.note(m.arm.Name, "window", w.From, w.Name)
	}
	fault := func(f storm.Fault, undo bool) {
		kind, text := "fault", f.String()
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
	if m.scenario.Pinned() {
		m.cores = watchCores(j.Start, m.windows)
		defer m.cores.stop()
	}
	segment := m.scenario.Event.Segment.Duration()
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	look := func() {
		m.progress(j.Start)
		if m.broken() {
			abort(errBroken)
		}
	}
	if m.scenario.Drivers > 1 {
		end := every(segment, look)
		x, err := m.drive(ctx, j, target, fault)
		end()
		return x, err
	}
	parts := record.NewJournal(c)
	var failed error // a part that does not fit into the whole
	end := every(segment, func() {
		failed = errors.Join(failed, m.keep(parts.Cut()))
		look()
	})
	x, err := j.execute(ctx, m.scenario, fault, parts)
	end()
	if errors.Is(err, errBroken) { // that is no failure: what there is is reported
		err = nil
	}
	return x, errors.Join(err, failed, m.keep(parts.Cut()))
}

// errBroken is why a run ends that a threshold stopped.
var errBroken = errors.New("stage: a threshold stopped the run")

// broken reports whether a threshold stops the run now.
func (m *measurement) broken() bool {
	if m.aborted != nil || !slices.ContainsFunc(m.scenario.Thresholds, func(t scenarios.Threshold) bool { return t.Abort }) {
		return m.aborted != nil
	}
	b := m.recording.Backend()
	b.Name = m.arm.Name
	if m.aborted = verdict.Broken(m.scenario.Thresholds, b, m.recording.Copies(), m.elapsed(), m.scenario.Event.Segment.Duration().Seconds()); m.aborted == nil {
		return false
	}
	m.note(m.arm.Name, "abort", m.elapsed(), m.aborted.String())
	return true
}

// progress reports how far the measured part, which began at start, is.
func (m *measurement) progress(start time.Time) {
	at := time.Since(start)
	if at < 0 {
		return
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

// result puts together what was found.
func (m *measurement) result(target *Target, x live.Stats) *record.Backend {
	b := figures(m.account, m.recording, target.Facts, m.scenario, m.cfg.Seed)
	if m.cores != nil {
		var err error
		if b.Cores, err = m.cores.figures(m.backend()); err != nil {
			m.note(m.arm.Name, "warning", m.elapsed(), "how busy the processors were could not be read to the end: "+err.Error())
		}
	}
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

// cpuTime is what this process has used of the processors so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

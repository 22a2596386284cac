package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/segment"
	"origin-storm/origin/servers"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/entry"
	"origin-storm/storm/live"
	"origin-storm/storm/plan"
	"origin-storm/storm/record"
)

// job is a stretch of load on a target: what its plan is made of, when it starts, and which share of its clients are one
// driver process's. It goes to that as JSON.
type job struct {
	Scenario       []byte // YAML; for a driver process
	Seed           uint64
	Backend        string
	Events         []config.Event
	First          int64
	Windows        []storm.Window
	Start          time.Time
	Publish, Serve live.Target
	Probes         []string
	Share, Shares  int
	Null           string // the URL of a null target: find out what this process can do at most, and no more

	// What follows stays in this process.
	keep    func(storm.Request) bool // which requests of the plan are carried out; nil: all
	dial    dialer                   // of Target
	virtual bool                     // of Target
}

// dialer makes connections, as live.Config's does.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// account is what a driver process says of itself before each part of what it recorded; the last one is its account of all.
type account struct {
	Stats live.Stats
	CPU   time.Duration
	Error string
	Last  bool
}

// drive has the plan executed by several driver processes and merges what they recorded. Faults of the target's processes are
// carried out here; those of pipelines by the drivers that play them.
func (m *measurement) drive(ctx context.Context, j job, target *Target, fault func(f storm.Fault, undo bool)) (sum live.Stats, err error) {
	if j.Scenario, err = m.scenario.Marshal(); err != nil {
		return sum, fmt.Errorf("stage: %w", err)
	}
	j.Shares = m.scenario.Drivers
	p, err := j.plan(m.scenario)
	if err != nil {
		return sum, err
	}
	ctx, stop := context.WithCancel(ctx)
	var faults sync.WaitGroup
	for _, f := range p.Faults {
		faults.Go(func() { live.OnTime(ctx, j.Start, f, fault) })
	}
	defer faults.Wait()
	defer stop()

	accounts, errs := make([]account, j.Shares), make([]error, j.Shares)
	var drivers sync.WaitGroup
	for i := range j.Shares {
		share := j
		share.Share = i
		drivers.Go(func() {
			on := target.Readers
			if share.Share == 0 {
				on = target.Packagers // which package plan puts there
			}
			if accounts[i], errs[i] = m.driver(ctx, share, on); errs[i] != nil {
				stop() // a part of the load is no load to go on with
			}
		})
	}
	drivers.Wait()
	for _, a := range accounts {
		sum.Sent += a.Stats.Sent
		sum.Dropped += a.Stats.Dropped
		sum.MostAtOne += a.Stats.MostAtOne
		if max(a.Stats.ClockStep, -a.Stats.ClockStep) > max(sum.ClockStep, -sum.ClockStep) {
			sum.ClockStep = a.Stats.ClockStep
		}
		m.account.CPUSeconds += a.CPU.Seconds()
	}
	return sum, errors.Join(errs...)
}

// driver runs one driver process, on these processors, to its end, which is that of the plan or soon after ctx's, and keeps what
// it records.
func (m *measurement) driver(ctx context.Context, j job, on []int) (a account, err error) {
	in, err := json.Marshal(j)
	if err != nil {
		return a, fmt.Errorf("stage: driver %d: %w", j.Share+1, err)
	}
	cmd := exec.Command(m.cfg.Command[0], append(m.cfg.Command[1:len(m.cfg.Command):len(m.cfg.Command)], "drive")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdin = bytes.NewReader(in)
	if len(on) > 0 {
		// On one processor Go would run one goroutine at a time, and the pacer, which the kernel wakes, would wait for up to 10 ms
		// until another one is preempted.
		cmd.Env = append(os.Environ(), fmt.Sprint("GOMAXPROCS=", len(on)+1))
	}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = servers.StartOn(cmd, on...)
	}
	if err != nil {
		return a, fmt.Errorf("stage: driver %d: %w", j.Share+1, err)
	}
	if err := m.reaper.Process(cmd.Process.Pid); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return a, err
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	c := j.recording(m.scenario)
	dec := json.NewDecoder(out)
	for err == nil && !a.Last {
		a = account{}
		if err = dec.Decode(&a); err != nil {
			err = fmt.Errorf("its account cannot be read: %w", err)
			break
		}
		var part *record.Recording
		if part, err = record.Decode(dec, c); err == nil {
			err = m.keep(part)
		}
	}
	if err != nil {
		cmd.Process.Kill() // else it would wait for somebody to read what it writes
	}
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return a, fmt.Errorf("stage: driver %d: %w: %s", j.Share+1, err, complaint.String())
	}
	if a.Error != "" && ctx.Err() == nil {
		return a, fmt.Errorf("stage: driver %d: %s", j.Share+1, a.Error)
	}
	return a, nil
}

// Drive is the driver process's side: it reads its job from in, carries it out, and writes to out what it has recorded, in a part
// for each segment of time, with its account. When ctx ends it stops and writes what it has.
func Drive(ctx context.Context, in io.Reader, out io.Writer) error {
	var j job
	if err := json.NewDecoder(in).Decode(&j); err != nil {
		return fmt.Errorf("stage: job: %w", err)
	}
	if j.Null != "" {
		return ownCeiling(ctx, j.Null, out)
	}
	s, err := scenarios.Parse("job", j.Scenario)
	if err != nil {
		return err
	}
	journal := record.NewJournal(j.recording(s))
	say := func(a account) error {
		if err := json.NewEncoder(out).Encode(a); err != nil {
			return fmt.Errorf("stage: account: %w", err)
		}
		return journal.Cut().Encode(out)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	end := every(s.Event.Segment.Duration(), func() {
		if err := say(account{}); err != nil {
			stop(err) // nobody would get the rest either
		}
	})
	a := account{Last: true}
	a.Stats, err = j.execute(ctx, s, nil, journal)
	end()
	if err != nil {
		a.Error = err.Error()
	}
	a.CPU = cpuTime()
	return say(a)
}

// every calls do every d, until end is called, which waits for a call under way.
func every(d time.Duration, do func()) (end func()) {
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				do()
			case <-over:
				return
			}
		}
	})
	return func() { close(over); wg.Wait() }
}

// execute carries the job, a part of s, out in this process. fault is told of faults; it may be nil.
func (j job) execute(ctx context.Context, s scenarios.Scenario, fault func(f storm.Fault, undo bool), rec storm.Recorder) (live.Stats, error) {
	p, err := j.plan(s)
	if err != nil {
		return live.Stats{}, err
	}
	if j.keep != nil {
		p.Requests = filtered(p.Requests, j.keep)
	}
	templates := entry.Templates(j.Events)
	x, err := live.New(live.Config{
		Dial: j.dial, Virtual: j.virtual,
		Start: j.Start, Publish: j.Publish, Serve: j.Serve, Probes: j.Probes, SameBytes: s.Event.Identical, Fault: fault,
		Template: func(id segment.ID) segment.Template { return templates[id.Event] },
	})
	if err != nil {
		return live.Stats{}, err
	}
	err = x.Execute(ctx, p, rec)
	return x.Stats(), err
}

// filtered yields the requests of seq that are to be kept.
func filtered(seq iter.Seq[storm.Request], keep func(storm.Request) bool) iter.Seq[storm.Request] {
	return func(yield func(storm.Request) bool) {
		for q := range seq {
			if keep(q) && !yield(q) {
				return
			}
		}
	}
}

// recording is the configuration of a recording of j, a part of s: the same in every driver process.
func (j job) recording(s scenarios.Scenario) record.Config {
	return entry.Recording(s, j.Backend, j.Events, j.Windows, j.Start)
}

// plan expands the job's share of s.
func (j job) plan(s scenarios.Scenario) (storm.Plan, error) {
	return plan.New(plan.Config{Scenario: s, Seed: j.Seed, Events: j.Events, First: j.First, Windows: j.Windows, Share: j.Share, Shares: j.Shares})
}

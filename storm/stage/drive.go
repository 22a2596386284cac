package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
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
)

// job is one driver process's part of a run: the whole plan, and which share of its clients are this process's.
type job struct {
	Scenario       []byte // YAML
	Seed           uint64
	Backend        string
	Events         []config.Event
	First          int64
	Windows        []storm.Window
	Start          time.Time
	Publish, Serve live.Target
	Share, Shares  int
}

// account is what a driver process says in the end, before what it recorded.
type account struct {
	Stats live.Stats
	CPU   time.Duration
	Error string
}

// drive has the plan executed by several driver processes and merges what they recorded. Faults of the target's processes are
// carried out here; those of pipelines by the drivers that play them.
func (m *measurement) drive(ctx context.Context, pc plan.Config, lc live.Config) (sum live.Stats, err error) {
	text, err := m.scenario.Marshal()
	if err != nil {
		return sum, fmt.Errorf("stage: %w", err)
	}
	p, err := plan.New(pc)
	if err != nil {
		return sum, err
	}
	over, stop := context.WithCancel(ctx)
	var faults sync.WaitGroup
	for _, f := range p.Faults {
		faults.Go(func() { timed(over, lc.Start, f, lc.Fault) })
	}
	defer faults.Wait()
	defer stop()

	of := m.scenario.Drivers
	accounts, errs := make([]account, of), make([]error, of)
	var mu sync.Mutex // guards recording's merges
	var drivers sync.WaitGroup
	for i := range of {
		j := job{
			Scenario: text, Seed: m.cfg.Seed, Backend: m.arm.Name, Events: pc.Events, First: pc.First, Windows: pc.Windows,
			Start: lc.Start, Publish: lc.Publish, Serve: lc.Serve, Share: i, Shares: of,
		}
		drivers.Go(func() {
			part, a, err := m.driver1(ctx, j)
			accounts[i], errs[i] = a, err
			if part != nil {
				mu.Lock()
				defer mu.Unlock()
				errs[i] = errors.Join(err, m.recording.Merge(part))
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

// timed carries one fault out when its time has come, and undoes it when that is over, or at once when ctx ends.
func timed(ctx context.Context, start time.Time, f storm.Fault, do func(storm.Fault, bool)) {
	wait := func(d time.Duration) bool {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	if !wait(time.Until(start.Add(f.At))) {
		return
	}
	do(f, false)
	if f.For > 0 {
		wait(time.Until(start.Add(f.At + f.For)))
		do(f, true)
	}
}

// driver1 runs one driver process to its end.
func (m *measurement) driver1(ctx context.Context, j job) (*record.Recording, account, error) {
	var a account
	in, err := json.Marshal(j)
	if err != nil {
		return nil, a, fmt.Errorf("stage: driver %d: %w", j.Share+1, err)
	}
	cmd := exec.Command(m.cfg.Command[0], append(m.cfg.Command[1:len(m.cfg.Command):len(m.cfg.Command)], "drive")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdin = bytes.NewReader(in)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, a, fmt.Errorf("stage: driver %d: %w", j.Share+1, err)
	}
	if err := m.reaper.Process(cmd.Process.Pid); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, a, err
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	b, err := io.ReadAll(out)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return nil, a, fmt.Errorf("stage: driver %d: %w: %s", j.Share+1, err, complaint.String())
	}
	line, rest, _ := bytes.Cut(b, []byte("\n"))
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, a, fmt.Errorf("stage: driver %d said nothing that can be read: %w", j.Share+1, err)
	}
	part, err := record.Decode(bytes.NewReader(rest), m.recordingConfig(j.Events, j.Start))
	if err == nil && a.Error != "" && ctx.Err() == nil {
		err = fmt.Errorf("stage: driver %d: %s", j.Share+1, a.Error)
	}
	return part, a, err
}

// Drive is the driver process's side: it reads its job from in, carries it out, and writes its account and what it recorded
// to out. When ctx ends it stops and writes what it has.
func Drive(ctx context.Context, in io.Reader, out io.Writer) error {
	var j job
	if err := json.NewDecoder(in).Decode(&j); err != nil {
		return fmt.Errorf("stage: job: %w", err)
	}
	s, err := scenarios.Parse("job", j.Scenario)
	if err != nil {
		return err
	}
	m := &measurement{
		run: &run{scenario: s, windows: j.Windows, cfg: Config{Seed: j.Seed}},
		arm: Arm{Name: j.Backend},
	}
	p, err := plan.New(plan.Config{Scenario: s, Seed: j.Seed, Events: j.Events, First: j.First, Windows: j.Windows, Share: j.Share, Shares: j.Shares})
	if err != nil {
		return err
	}
	x, err := live.New(m.live(&Target{Publish: j.Publish, Serve: j.Serve}, j.Events, j.Start))
	if err != nil {
		return err
	}
	rec := record.New(m.recordingConfig(j.Events, j.Start))
	a := account{}
	if err := x.Execute(ctx, p, rec); err != nil {
		a.Error = err.Error()
	}
	a.Stats, a.CPU = x.Stats(), cpuTime()
	if err := json.NewEncoder(out).Encode(a); err != nil {
		return fmt.Errorf("stage: account: %w", err)
	}
	return rec.Encode(out)
}

// recordingConfig is the Config of the measured part's recordings, the same in every driver process.
func (m *measurement) recordingConfig(events []config.Event, start time.Time) record.Config {
	templates := map[string]segment.Template{}
	for _, e := range events {
		templates[e.Name] = e.Template
	}
	return record.Config{
		Backend: m.arm.Name, Windows: m.windows, Interval: m.scenario.Event.Segment.Duration(),
		Due: func(id segment.ID) time.Duration { return templates[id.Event].Due(id.Number).Sub(start) },
	}
}

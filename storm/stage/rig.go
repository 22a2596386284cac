package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"origin-storm/origin/servers"
	"origin-storm/scenarios"
	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
)

// rig is what runs and gates stand on: a place for files, the reaper of what is started, the servers that arms share, and the
// events that are noted on the way.
type rig struct {
	cfg    Config
	folder *record.Folder
	reaper *servers.Reaper
	dir    string
	nice   int // of what is measured

	mu      sync.Mutex // guards events and current
	events  []record.Event
	current *measurement // nil before the first
}

// newRig returns a rig on which nothing can be started yet.
func newRig(cfg Config, folder *record.Folder) *rig {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	cfg.Progress = oneByOne(cfg.Progress)
	return &rig{cfg: cfg, folder: folder}
}

// setUp makes a rig for what is written into folder. It is to be closed.
func setUp(cfg Config, folder *record.Folder) (g *rig, err error) {
	g = newRig(cfg, folder)
	g.nice = precede()
	if g.dir, err = os.MkdirTemp("", "origin-storm-"); err != nil {
		return nil, fmt.Errorf("stage: no place for the run's files; is TMPDIR right? %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	if g.reaper, err = servers.StartReaper(exec.Command(cfg.Command[0], append(slices.Clone(cfg.Command[1:]), servers.ReaperCommand)...)); err != nil {
		return nil, err
	}
	if err := g.reaper.Dir(g.dir); err != nil {
		return nil, err
	}
	if cfg.Finish != nil {
		if err := g.reaper.Dir(folder.Dir()); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// oneByOne returns a function that calls tell, if it is not nil, from one goroutine at a time.
func oneByOne(tell func(Progress)) func(Progress) {
	var mu sync.Mutex // held while tell runs
	return func(p Progress) {
		if tell == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		tell(p)
	}
}

// close ends the reaper, and with it all that it was told of, and removes the rig's files.
func (g *rig) close() (err error) {
	if g.reaper != nil {
		err = g.reaper.Close()
	}
	return errors.Join(err, os.RemoveAll(g.dir))
}

// run returns a run of cfg's scenario on g, which knows nothing of its windows yet. What has to do with the display and the
// log is g's.
func (g *rig) run(cfg Config) *run {
	cfg.Log, cfg.Progress = g.cfg.Log, g.cfg.Progress
	return &run{rig: g, cfg: cfg, folder: g.folder, scenario: cfg.Scenario}
}

// servers brings up what the backends of runs need beside the origin's processes; they share it. down takes it down. Where auto
// finds no servers, the runs' scenarios become those with embedded stand-ins.
func (g *rig) servers(ctx context.Context, runs ...*run) (down func() error, err error) {
	down = func() error { return nil }
	want := servers.Config{Mode: g.cfg.Servers, Images: g.cfg.Images, Dir: g.dir, Reaper: g.reaper, Nice: g.nice, Log: g.cfg.Log,
		Progress: func(text string) { g.cfg.Progress(Progress{Text: text}) },
		OnDeath: func(s *servers.Server, err error) {
			backend, at := g.moment()
			g.note(backend, "death", at, fmt.Sprintf("%s died: %v", s.Name, err))
		},
	}
	for _, r := range runs {
		for _, be := range r.scenario.Backends {
			if r.cfg.Target != nil || be.Store != scenarios.Cassandra {
				continue
			}
			if len(r.cfg.At.Cassandra) == 0 {
				want.Cassandra = max(want.Cassandra, be.Nodes)
			}
			if be.Cache && len(r.cfg.At.Memcached) == 0 {
				want.Memcached = max(want.Memcached, be.Zones)
			}
		}
	}
	if want.Cassandra+want.Memcached == 0 {
		return down, nil
	}
	cluster, err := servers.Up(ctx, want)
	if err != nil {
		return down, err
	}
	down = cluster.Close
	g.cfg.Progress(Progress{Text: fmt.Sprintf("servers (%s): %s", cluster.Mode, strings.Join(cluster.Versions(), ", "))})
	standIns := cluster.Mode == servers.Embedded && want.Cassandra > 0
	if standIns { // auto found nothing, and the report says so
		g.cfg.Progress(Progress{Text: "no real servers, so embedded stand-ins are measured: " + cluster.Why})
	}
	for _, r := range runs {
		r.cluster = cluster
		if standIns {
			if r.scenario, err = r.scenario.Embedded(); err != nil {
				return down, &verdict.Error{Err: err, Code: verdict.Usage}
			}
		}
	}
	return down, nil
}

// measuring says what is being measured from now on.
func (g *rig) measuring(m *measurement) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.current = m
}

// moment says which backend is being measured, and how long its measured part has gone on.
func (g *rig) moment() (backend string, at time.Duration) {
	g.mu.Lock()
	m := g.current
	g.mu.Unlock()
	if m == nil {
		return "", 0
	}
	return m.arm.Name, m.elapsed()
}

// note keeps an event for events.ndjson.
func (g *rig) note(backend, kind string, at time.Duration, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := record.Event{At: at.Seconds(), Backend: backend, Kind: kind, Text: text}
	g.events = append(g.events, e)
	if err := g.folder.Event(e); err != nil {
		g.cfg.Log.Warn("an event would not outlive a crash", "error", err)
	}
	if kind != "window" {
		g.cfg.Log.Info(text, "backend", backend, "kind", kind, "at", at)
	}
}

// noted returns the events so far.
func (g *rig) noted() []record.Event {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.events)
}

// environment tells what this runs on, and how it was asked for.
func (g *rig) environment(more map[string]string) map[string]string {
	about := map[string]string{
		"command": g.cfg.CommandLine, "seed": fmt.Sprint(g.cfg.Seed), "servers": string(g.cfg.Servers), "gomaxprocs": fmt.Sprint(runtime.GOMAXPROCS(0)),
		"nice of what is measured, over the driver": fmt.Sprint(steps),
	}
	maps.Copy(about, more)
	return record.Environment(about)
}

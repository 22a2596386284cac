// Package stage sets a run up and carries it through: it makes arms of a scenario's backends (or of an origin that is already
// running), and for each in turn brings it up, warms it, executes the plan, carries the faults out, and takes it down again.
// It measures nothing itself (package record does) and reaches no verdict (package verdict does).
package stage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"syscall"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/origin/servers"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/entry"
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
	NoCeiling   bool // do not look for the driver's own ceiling first, which takes a second
	// Command starts this program: its executable, and arguments before a command's name.
	Command []string
	// Program starts the program whose origin processes are measured, as Command does; nil: Command's.
	Program []string
	// Strict takes nothing uncertain for an answer: neither a threshold whose limit lies in the figure's interval, nor a gate that
	// could not tell.
	Strict bool
	// CommandLine is how the run was asked for, for the report.
	CommandLine string
	Progress    func(Progress) // nil for nobody
	Log         *slog.Logger   // nil discards
	// Finish draws the report into the run folder and commits it, once all the rest is in it. Should this process be killed
	// before it has returned, the folder is left, as Folder.Crashed names it, with what was recorded for Recover to read, or goes with
	// everything else if that is nothing. Nil leaves the folder to the caller.
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

// Progress is how far a run is: a step, said in Text, what is going on Now, or figures of the interval that has just passed.
type Progress struct {
	Text, Now            string
	Backend, Phase       string
	Elapsed, Total, Left time.Duration // Left counts the backends to come, too
	Interval             *record.Interval
}

// run is one call of Run, or one side of a gate.
type run struct {
	*rig
	cfg      Config
	folder   *record.Folder
	scenario scenarios.Scenario
	windows  []storm.Window
	total    time.Duration // of the measured part of each backend
	cluster  *servers.Cluster
	stepped  string         // by how much the clock was, if it was
	aborted  *verdict.Abort // the threshold that stopped the run, if one did
}

// Memory is how much memory the machine has to spare; 0 where that cannot be told.
func Memory() cost.Bytes {
	bytes, _ := servers.AvailableMemory()
	return cost.Bytes(bytes)
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
	g, err := setUp(cfg, folder)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	r := g.run(cfg)
	down, err := g.servers(ctx, r)
	defer func() { err = errors.Join(err, down()) }()
	if err != nil && ctx.Err() == nil {
		return res, err
	}
	return r.carry(ctx)
}

// carry measures the backends in turn, on servers that are up, judges what was found, and writes it into the folder.
func (r *run) carry(ctx context.Context) (res record.Results, err error) {
	r.windows, r.aborted = plan.Windows(r.scenario), nil
	r.total = r.windows[len(r.windows)-1].To
	res = entry.Head(r.scenario, r.cfg.Seed, "live", time.Now().UTC())
	res.Driver.Processes = r.scenario.Drivers
	if err := r.writeScenario(); err != nil { // before anything is measured, for Recover
		return res, err
	}
	if !r.cfg.NoCeiling {
		r.cfg.Progress(Progress{Text: "finding out what the driver can do at most"})
		if res.Driver.Ceiling, err = r.ceiling(ctx); err != nil { // it says less about the run then, and spoils none of it
			res.Driver.Ceiling = nil
			res.Driver.Notes = append(res.Driver.Notes, "What the driver can do at most could not be measured: "+err.Error())
		}
	}
	head, before := res, len(r.noted())
	var copies []record.Copy
	var recordings []*record.Recording
	arms := r.arms()
	for i, arm := range arms {
		if ctx.Err() != nil {
			break
		}
		m := &measurement{run: r, arm: arm, number: i + 1, head: head, later: time.Duration(len(arms)-i-1) * r.total, account: &res.Driver}
		r.measuring(m)
		b, err := m.measure(ctx)
		if err != nil && ctx.Err() == nil {
			return res, err
		}
		if b != nil {
			res.Backends = append(res.Backends, *b)
			copies = append(copies, m.recording.Copies()...)
			recordings = append(recordings, m.recording)
		}
		if ctx.Err() != nil || r.aborted != nil {
			break
		}
	}
	about := map[string]string{}
	if t := r.cfg.Target; t != nil {
		about["target"] = strings.Join(t.Serve.URLs, ", ")
	}
	res.Environment = r.environment(about)
	events := r.noted()[before:]
	headroom(&res.Driver, res.Backends)
	verdict.Judge(&res, verdict.Conditions{
		Thresholds: r.scenario.Thresholds, Copies: copies, Events: events, ClockStepped: r.stepped, Interrupted: ctx.Err() != nil,
		Aborted: r.aborted, Strict: r.cfg.Strict,
	})
	if err := r.write(&res, recordings, events); err != nil || r.cfg.Finish == nil {
		return res, err
	}
	return res, r.cfg.Finish(res)
}

// writeScenario puts the scenario into the folder, as it is run.
func (r *run) writeScenario() error {
	text, err := r.scenario.Marshal()
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	return r.folder.Scenario(text)
}

// arms makes the arms of r's scenario; the servers that they share are up.
func (r *run) arms() (arms []Arm) {
	if t := r.cfg.Target; t != nil {
		return []Arm{running("target", t.Publish, t.Serve)}
	}
	b := &backends{
		scenario: r.scenario, seed: r.cfg.Seed, at: r.cfg.At, remote: r.cfg.AllowRemote, cluster: r.cluster,
		token: strings.ToLower(rand.Text()[:12]),
		spawn: &spawner{command: r.cfg.program(), dir: r.dir, reaper: r.reaper, nice: r.nice},
	}
	for _, be := range r.scenario.Backends {
		arms = append(arms, b.arm(be))
	}
	return arms
}

// write puts what was found into the folder.
func (r *run) write(res *record.Results, recordings []*record.Recording, events []record.Event) error {
	return errors.Join(
		r.folder.Events(events),
		r.folder.Recordings(res.Started, recordings...),
		r.folder.Environment(res.Environment),
		r.folder.Results(res),
	)
}

// approach says what is done first with an arm.
func (c Config) approach() string {
	if c.Target != nil {
		return "knocking at the origin"
	}
	return "bringing up the origin"
}

// program is what starts the origin's processes.
func (c Config) program() []string {
	if c.Program != nil {
		return c.Program
	}
	return c.Command
}

package capacity

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
	"origin-storm/storm/simulate"
)

// job is one load on one deployment, to be simulated.
type job struct {
	what         string // for progress
	fewer        string // the kind of nodes of which there is one fewer than it takes; empty: none
	backend      scenarios.Backend
	fillers      int
	rate         float64 // times the scenario's bit rates
	nodes        counts
	replicas     int
	faults       []scenarios.Fault
	quiet, storm int // segments
	replications int
}

// reads is the read rate that j asks for, in bits a second.
func (f *finder) reads(j job) float64 {
	return float64(j.fillers) * float64(f.Scenario.Event.Renditions.Total()) * j.rate * float64(f.Scenario.Event.Count) * (1 + float64(f.Scenario.Readers.Behaviour.DVR))
}

// size is how long j takes beside others: how many requests readers make.
func (j job) size() int { return j.fillers * j.storm }

// scenario is the scenario of j.
func (f *finder) scenario(j job) scenarios.Scenario {
	s := f.Scenario
	s.Deployment = nil
	if a := s.Audience; a != nil {
		scaled := *a
		scaled.BitRate *= cost.Rate(j.rate)
		s.Audience = &scaled
	}
	s.Backends = []scenarios.Backend{j.backend}
	s.Readers.Edges = j.fillers
	s.Faults = j.faults
	s.Event.Renditions = slices.Clone(s.Event.Renditions)
	for i := range s.Event.Renditions {
		s.Event.Renditions[i].Rate = cost.Rate(math.Round(float64(s.Event.Renditions[i].Rate) * j.rate))
	}
	s.Thresholds = nil
	for _, t := range f.Scenario.Thresholds {
		t.Abort = false
		if t.Backend == "" || t.Backend == j.backend.Name {
			s.Thresholds = append(s.Thresholds, t)
		}
	}
	return s
}

// topology is what j runs on.
func (f *finder) topology(j job) sim.Topology {
	d := f.deployment
	t := sim.Topology{
		Publish: max(1, j.nodes[publish]), PublishCores: d.Publish.Cores, PublishLink: d.Publish.Link,
		Serve: max(1, j.nodes[serve]), ServeCores: d.Serve.Cores, ServeLink: d.Serve.Link,
	}
	if j.backend.Store != scenarios.S3 {
		t.Store, t.StoreCores, t.StoreLink, t.Replicas = max(1, j.nodes[store]), d.Store.Cores, d.Store.Link, j.replicas
	}
	if j.backend.Cache {
		t.CacheNodes, t.CacheCores, t.CacheLink = max(1, j.nodes[cache]/j.backend.Zones), d.Cache.Cores, d.Cache.Link
		t.ZoneMemory = cost.Bytes(t.CacheNodes) * d.Cache.Memory
	}
	return t
}

// windows are j's: quiet ones first.
func (f *finder) windows(j job) []storm.Window {
	s := f.Scenario
	s.Windows.Repeat, s.Windows.Until = 1, 0
	length := s.Event.Segment.Duration()
	at := length
	var all []storm.Window
	for _, w := range []struct {
		name     string
		segments int
	}{{scenarios.QuietPhase, j.quiet}, {scenarios.StormPhase, j.storm}} {
		if w.segments > 0 {
			to := at + time.Duration(w.segments)*length
			all = append(all, storm.Window{Name: w.name, From: at, To: to})
			at = to
		}
	}
	return all
}

// simulated is what was found of a job.
type simulated struct {
	Point
	broken       bool // a threshold does not hold
	ticks        []Tick
	extrapolated []string
}

// run simulates jobs, several at a time, and returns what was found of each, in their order.
func (f *finder) run(ctx context.Context, jobs ...job) ([]simulated, error) {
	type task struct{ job, replication int }
	var tasks []task
	for i, j := range jobs {
		for r := range max(1, j.replications) {
			tasks = append(tasks, task{i, r})
		}
	}
	slices.SortStableFunc(tasks, func(a, b task) int { return jobs[b.job].size() - jobs[a.job].size() }) // the longest first, lest one ends alone
	f.tell(len(tasks), "")
	outcomes := make([]*simulate.Outcome, len(tasks))
	errs := make([]error, len(tasks))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var workers sync.WaitGroup
	var mu sync.Mutex
	next := 0
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, next <= len(tasks)
	}
	for range min(len(tasks), runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i, ok := take(); ok && ctx.Err() == nil; i, ok = take() {
				j := jobs[tasks[i].job]
				outcomes[i], errs[i] = simulate.Run(ctx, simulate.Config{
					Scenario: f.scenario(j), Seed: f.Seed + uint64(tasks[i].replication), Profile: f.Profile, Windows: f.windows(j),
					Deployment: func(scenarios.Backend) sim.Topology { return f.topology(j) },
				})
				if errs[i] != nil {
					cancel()
				}
				f.tell(-1, j.what)
			}
		})
	}
	workers.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("capacity: %w", err)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all := make([]simulated, len(jobs))
	of := make([][]*simulate.Outcome, len(jobs))
	for i, t := range tasks {
		of[t.job] = append(of[t.job], outcomes[i])
	}
	for i, j := range jobs {
		var err error
		if all[i], err = f.point(j, of[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// point sums the replications of j up: their samples together, never an average of quantiles.
func (f *finder) point(j job, of []*simulate.Outcome) (simulated, error) {
	out := simulated{Point: Point{
		Viewers: f.viewers(j.fillers), BitRate: float64(f.watched()) * j.rate / 1e6, Fillers: j.fillers, ReadGbit: f.reads(j) / 1e9,
	}}
	first := of[0].Results.Backends[0]
	out.extrapolated = first.Simulation.Extrapolated
	failed := map[string]record.Threshold{}
	for _, o := range of {
		b := o.Results.Backends[0]
		out.Missed += b.Segments.Missed
		out.Late += b.Segments.Late
		out.Segments += b.Segments.Published
		for _, p := range b.Phases {
			for _, op := range p.Operations {
				if op.Class != storm.Probe.String() {
					out.Failed += op.Errors
				}
			}
			if p.Name == scenarios.StormPhase {
				out.GotGbit += p.ReadGbit / float64(len(of))
			}
		}
		for _, t := range o.Results.Thresholds {
			if !t.OK && t.Actual != nil {
				failed[t.Text] = t
			}
		}
	}
	recording := of[0].Recordings[0]
	for _, o := range of[1:] {
		if err := recording.Merge(o.Recordings[0]); err != nil {
			return out, fmt.Errorf("capacity: replications of %s: %w", j.what, err)
		}
	}
	for _, p := range recording.Backend().Phases {
		for _, op := range p.Operations {
			switch {
			case op.Class == storm.Publish.String() && p.Name == scenarios.QuietPhase:
				out.Quiet = latency(op)
			case op.Class == storm.Publish.String():
				out.Write = latency(op)
			case op.Class == storm.LiveEdge.String() && p.Name == scenarios.StormPhase:
				out.Read = latency(op)
			}
		}
	}
	out.Used = used(f.tiers(j.backend, load{f.reads(j), j.rate}), j.nodes)
	counted := slices.Clone(out.Used)
	for _, t := range first.Simulation.Tiers {
		i := slices.IndexFunc(out.Used, func(u Used) bool { return u.Tier == t.Name })
		if i < 0 {
			continue
		}
		part, peak := 0.0, 0.0
		for _, o := range of {
			for _, u := range o.Results.Backends[0].Simulation.Tiers {
				if u.Name == t.Name {
					part += u.Phases[scenarios.StormPhase] / float64(len(of))
					for _, x := range u.Tick {
						peak = max(peak, x)
					}
				}
			}
		}
		out.Used[i].Part, out.Used[i].Peak = part, peak
		if t.Tick != nil {
			out.ticks = append(out.ticks, Tick{Tier: t.Name, Used: t.Tick})
		}
	}
	out.judge(counted, failed)
	return out, nil
}

// judge says whether the point holds, and if not why. A tier's limit is held against what was counted, as those of the node counts are.
func (p *simulated) judge(counted []Used, failed map[string]record.Threshold) {
	var why []string
	for _, u := range counted {
		if u.Part > u.Limit {
			why = append(why, fmt.Sprintf("%s are used to %.0f %%, above %.0f %%", u.Tier, 100*u.Part, 100*u.Limit))
		}
	}
	texts := []string{}
	for text := range failed {
		texts = append(texts, text)
	}
	slices.Sort(texts)
	for _, text := range texts {
		t := failed[text]
		why = append(why, fmt.Sprintf("%s does not hold: %s %s", text, short(*t.Actual), t.Unit))
	}
	p.broken = len(failed) > 0
	p.Holds, p.Why = len(why) == 0, strings.TrimSpace(strings.Join(why, "; "))
}

// overloaded is the part of requests without an answer above which a figure says more of how long the window was than of the origin.
const overloaded = 0.01

// interval is the 95 % interval of a p99 by order statistics, out of points of the distribution. It takes the values for independent, as the
// store's latencies are drawn; recorded intervals allow for what falls on one tick going the same way, which takes many ticks. nil if there
// are too few values.
func interval(points [][2]float64, n int64) *[2]float64 {
	low, high, ok := record.Interval95(0.99, n)
	if !ok {
		return nil
	}
	var out [2]float64
	for _, p := range points {
		if p[0] <= float64(low)/float64(n) {
			out[0] = p[1]
		}
		if out[1] = p[1]; p[0] >= float64(high)/float64(n) {
			break
		}
	}
	return &out
}

// latency is an operation's response time as a report has it.
func latency(op record.Operation) Latency {
	l := Latency{Count: op.Count, P50: op.Response.P50, P99: op.Response.P99, P99CI: op.Response.P99CI}
	if l.P99 == nil {
		l.Note = op.Response.Note
	}
	if l.P99 != nil && l.P99CI == nil {
		l.P99CI = interval(op.Response.Points, op.Response.Count)
	}
	if float64(op.Errors) > overloaded*float64(op.Count) {
		l.P99, l.P99CI = nil, nil
		l.Note = fmt.Sprintf("overloaded: %d of %d had no answer in time", op.Errors, op.Count)
	}
	return l
}

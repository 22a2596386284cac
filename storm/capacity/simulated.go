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

	"gonum.org/v1/gonum/stat"

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
	down         []int // store nodes beside those in nodes, which do not answer
	replicas     int
	faults       []scenarios.Fault
	quiet, storm int // segments
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
		t.Store, t.StoreCores, t.StoreLink, t.Replicas = max(1, j.nodes[store]+len(j.down)), d.Store.Cores, d.Store.Link, j.replicas
		t.Down = j.down
	}
	if j.backend.Cache {
		t.CacheNodes, t.CacheCores, t.CacheLink = max(1, j.nodes[cache]/j.backend.Zones), d.Cache.Cores, d.Cache.Link
		t.ZoneMemory = cost.Bytes(t.CacheNodes) * d.Cache.Memory
	}
	return t
}

// windows are j's: the storm first, so that it is of the same segments whatever else there is.
func (f *finder) windows(j job) []storm.Window {
	s := f.Scenario
	s.Windows.Repeat, s.Windows.Until = 1, 0
	length := s.Event.Segment.Duration()
	at := length
	var all []storm.Window
	for _, w := range []struct {
		name     string
		segments int
	}{{scenarios.StormPhase, j.storm}, {scenarios.QuietPhase, j.quiet}} {
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
	writes       []float64 // by segment, the mean publish response in ms
	extrapolated []string
}

// run simulates jobs, several at a time, and returns what was found of each, in their order.
func (f *finder) run(ctx context.Context, jobs ...job) ([]simulated, error) {
	order := make([]int, len(jobs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return jobs[b].size() - jobs[a].size() }) // the longest first, lest one ends alone
	f.tell(len(jobs), "")
	all := make([]simulated, len(jobs))
	errs := make([]error, len(jobs))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var workers sync.WaitGroup
	var mu sync.Mutex
	next := 0
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, next <= len(jobs)
	}
	for range min(len(jobs), runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for k, ok := take(); ok && ctx.Err() == nil; k, ok = take() {
				i := order[k]
				j := jobs[i]
				out, err := simulate.Run(ctx, simulate.Config{
					Scenario: f.scenario(j), Seed: f.Seed, Profile: f.Profile, Windows: f.windows(j),
					Deployment: func(scenarios.Backend) sim.Topology { return f.topology(j) },
				})
				if errs[i] = err; err != nil {
					cancel()
				} else {
					all[i] = f.point(j, out)
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
	return all, ctx.Err()
}

// point sums up what was simulated of j.
func (f *finder) point(j job, o *simulate.Outcome) simulated {
	b := o.Results.Backends[0]
	out := simulated{extrapolated: b.Simulation.Extrapolated, Point: Point{
		Viewers: f.viewers(j.fillers), BitRate: float64(f.watched()) * j.rate / 1e6, Fillers: j.fillers, ReadGbit: f.reads(j) / 1e9,
		Missed: b.Segments.Missed, Late: b.Segments.Late, Segments: b.Segments.Published,
	}}
	for _, p := range b.Phases {
		storms := p.Name == scenarios.StormPhase
		if storms {
			out.GotGbit = p.ReadGbit
		}
		for _, op := range p.Operations {
			if op.Class != storm.Probe.String() {
				out.Failed += op.Errors
			}
			switch {
			case op.Class == storm.Publish.String() && storms:
				out.Write = latency(op)
			case op.Class == storm.Publish.String():
				out.Quiet = latency(op)
			case op.Class == storm.LiveEdge.String() && storms:
				out.Read = latency(op)
			}
		}
	}
	phase := scenarios.StormPhase
	if j.storm == 0 {
		phase = scenarios.QuietPhase
	}
	for _, of := range o.Recordings[0].Ticks(phase) {
		out.writes = append(out.writes, stat.Mean(of, nil))
	}
	failed := map[string]record.Threshold{}
	for _, t := range o.Results.Thresholds {
		if !t.OK && t.Actual != nil {
			failed[t.Text] = t
		}
	}
	out.Used = used(f.tiers(j.backend, load{f.reads(j), j.rate}), j.nodes)
	counted := slices.Clone(out.Used)
	for _, t := range b.Simulation.Tiers {
		i := slices.IndexFunc(out.Used, func(u Used) bool { return u.Tier == t.Name })
		if i < 0 {
			continue
		}
		up := 1.0 // the simulator's parts are of dead nodes, too
		if kind, _, _ := strings.Cut(t.Name, " "); kind == store && len(j.down) > 0 {
			up = float64(j.nodes[store]+len(j.down)) / float64(j.nodes[store])
		}
		out.Used[i].Part = up * t.Phases[scenarios.StormPhase]
		for _, x := range t.Tick {
			out.Used[i].Peak = max(out.Used[i].Peak, up*x)
		}
		if t.Tick != nil {
			out.ticks = append(out.ticks, Tick{Tier: t.Name, Used: t.Tick})
		}
	}
	out.judge(counted, failed)
	return out
}

// judge says whether the point holds, and if not why. A tier's limit is held against what was counted, as those of the node counts are.
func (p *simulated) judge(counted []Used, failed map[string]record.Threshold) {
	var why []string
	for _, u := range counted {
		if u.Part > u.Limit {
			why = append(why, fmt.Sprintf("%s used to %.0f %%, above %.0f %%", are(u.Tier), 100*u.Part, 100*u.Limit))
		}
	}
	texts := []string{}
	for text := range failed {
		texts = append(texts, text)
	}
	slices.Sort(texts)
	for _, text := range texts {
		t := failed[text]
		why = append(why, fmt.Sprintf("%s does not hold: %s", text, strings.TrimSpace(short(*t.Actual)+" "+t.Unit)))
	}
	p.broken = len(failed) > 0
	p.Holds, p.Why = len(why) == 0, strings.TrimSpace(strings.Join(why, "; "))
}

// are is a tier with its verb.
func are(tier string) string {
	if strings.HasSuffix(tier, memory) || strings.HasSuffix(tier, disk) {
		return tier + " is"
	}
	return tier + " are"
}

// unanswered is the part of requests without an answer above which a figure says more of how long the window was than of the origin.
const unanswered = 0.01

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
	if float64(op.Errors) > unanswered*float64(op.Count) {
		l.P99, l.P99CI = nil, nil
		l.Note = fmt.Sprintf("overloaded: %d of %d get no answer in time", op.Errors, op.Count)
	}
	return l
}

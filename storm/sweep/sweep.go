package sweep

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"origin-storm/origin/cost"
	"origin-storm/scenarios"
	"origin-storm/storm/plan"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
	"origin-storm/storm/simulate"
	"origin-storm/storm/verdict"
)

// Config says what to sweep.
type Config struct {
	// Axes are one or two fields with their values.
	Axes []Axis
	// At returns the scenario with overrides as --set takes them.
	At   func(set []string) (scenarios.Scenario, error)
	Seed uint64
	// Replications is how often each point is simulated; 0 means DefaultReplications.
	Replications int
	// Profile is as simulate.Config has it, and Deployment returns what that has for the scenario of a point; nil is nil for all.
	Profile    *sim.Profile
	Deployment func(scenarios.Scenario) (func(scenarios.Backend) sim.Topology, error)
	Strict     bool
	// Workers is how many replications go on at a time; 0 means as many as the program may use cores.
	Workers int
	// Memory is how much they may take together; 0: nobody knows, and nothing is refused.
	Memory cost.Bytes
	// Command repeats the sweep.
	Command string
	// Done are points that need not be simulated again: what an earlier Run of the same Config found.
	Done []Point
	// Keep is called with each point as it is finished, from one goroutine at a time; an error of it ends the sweep. Nil keeps nothing.
	Keep func(Point) error
	// Progress is told of each replication that is finished, from one goroutine at a time; nil for nobody.
	Progress func(Progress)

	order func(jobs []job) // of the replications; nil: by points. Nothing of what is found depends on it
}

// Progress is how far a sweep is. Points and Replications count what is finished, without what was given as done.
type Progress struct {
	Point                Point // the last that was begun or finished: At and Set alone
	Points, OfPoints     int
	Replications, Of     int
	Virtual, VirtualLeft time.Duration // of time that was simulated, and is still to be
}

// The bounds of a sweep.
const (
	MostPoints       = 1000
	MostReplications = 1000
)

// job is one replication of one point.
type job struct{ point, replication int }

// Run simulates all points. What cannot be simulated at any of them is refused before the first begins. A sweep that is interrupted (ctx
// ended) returns the points that were finished until then, and no error. What it returns depends on c alone, and neither on the number of
// workers nor on who is ready first.
func Run(ctx context.Context, c Config) (*Result, error) {
	s, err := newSweep(c)
	if err != nil {
		return nil, err
	}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	return s.result(), nil
}

// Planned is what Run will find of c, without points: for who keeps them as they are finished. It refuses what Run refuses.
func Planned(c Config) (*Result, error) {
	c.Done = nil
	s, err := newSweep(c)
	if err != nil {
		return nil, err
	}
	return s.result(), nil
}

// sweep is one call of Run.
type sweep struct {
	Config
	seeds  []uint64
	points []*point

	// simulation is what the figures rest on, by backend.
	simulation map[string]record.Simulation

	mu       sync.Mutex // guards what follows, and what becomes of the points
	progress Progress
	failed   error
}

// point is a point on its way.
type point struct {
	Point
	config   simulate.Config
	lasts    time.Duration // of virtual time, one replication
	outcomes []*simulate.Outcome
	left     int // replications
	done     bool
}

// newSweep checks c and everything that it is about to simulate.
func newSweep(c Config) (*sweep, error) {
	s := &sweep{Config: c, simulation: map[string]record.Simulation{}}
	if len(c.Axes) < 1 || len(c.Axes) > 2 {
		return nil, usagef("a sweep is over one or two fields, not %d", len(c.Axes))
	}
	if len(c.Axes) == 2 && c.Axes[0].Path == c.Axes[1].Path {
		return nil, usagef("%s is swept twice: give all of its values in one --sweep", c.Axes[0].Path)
	}
	n := 1
	for _, a := range c.Axes {
		n *= len(a.Values)
	}
	if n > MostPoints {
		return nil, c.explodes(n)
	}
	for i := range n {
		p := &point{}
		for k := len(c.Axes) - 1; k >= 0; k-- {
			values := c.Axes[k].Values
			p.At = slices.Insert(p.At, 0, i%len(values))
			p.Set = slices.Insert(p.Set, 0, c.Axes[k].Path+"="+values[i%len(values)])
			i /= len(values)
		}
		if err := s.prepare(p); err != nil {
			return nil, fmt.Errorf("sweep: at %s: %w", strings.Join(p.Set, " "), err)
		}
		s.points = append(s.points, p)
	}
	if err := s.varies(); err != nil {
		return nil, err
	}
	if s.Replications == 0 {
		for _, p := range s.points {
			s.Replications = max(s.Replications, DefaultReplications(p.config.Scenario))
		}
	}
	if s.Replications < 1 || s.Replications > MostReplications {
		return nil, usagef("--replications %d: want 1 to %d", s.Replications, MostReplications)
	}
	s.seeds = Seeds(c.Seed, s.Replications)
	s.Workers = c.workers()
	if err := s.fits(); err != nil {
		return nil, err
	}
	for _, d := range c.Done {
		i := slices.IndexFunc(s.points, func(p *point) bool { return slices.Equal(p.At, d.At) && slices.Equal(p.Set, d.Set) })
		if i < 0 {
			return nil, usagef("sweep: %s was simulated before and is no point of this sweep", strings.Join(d.Set, " "))
		}
		if err := s.points[i].whole(d); err != nil {
			return nil, usagef("sweep: %s was simulated before: %w", strings.Join(d.Set, " "), err)
		}
		s.points[i].Point, s.points[i].done = d, true
	}
	for _, p := range s.points {
		s.progress.OfPoints++
		if p.done {
			s.progress.OfPoints--
			continue
		}
		p.left, p.outcomes = s.Replications, make([]*simulate.Outcome, s.Replications)
		s.progress.Of += s.Replications
		s.progress.VirtualLeft += p.lasts * time.Duration(s.Replications)
	}
	return s, nil
}

// prepare finds out what is simulated at p.
func (s *sweep) prepare(p *point) error {
	sc, err := s.At(p.Set)
	if err != nil {
		return err
	}
	if s.Memory > 0 { // before there is a model of it, which takes long where it is far too much
		if err := simulate.Fits(sc, 1, s.Memory); err != nil {
			return err
		}
	}
	p.config = simulate.Config{Scenario: sc, Seed: s.Seed, Profile: s.Profile, Strict: s.Strict}
	if s.Deployment != nil {
		if p.config.Deployment, err = s.Deployment(sc); err != nil {
			return err
		}
	}
	basis, err := simulate.Basis(p.config)
	if err != nil {
		return err
	}
	maps.Copy(s.simulation, basis)
	windows := plan.Windows(sc)
	p.lasts = windows[len(windows)-1].To * time.Duration(len(sc.Backends))
	return nil
}

// whole returns what d lacks of what is simulated at p, or nil.
func (p *point) whole(d Point) error {
	for i, b := range p.config.Scenario.Backends {
		if i >= len(d.Backends) || d.Backends[i].Name != b.Name || len(d.Backends[i].Figures) == 0 {
			return fmt.Errorf("there are no figures of the backend %s; take its line out of %s to have it simulated again", b.Name, PointsFile)
		}
	}
	if n := len(p.config.Scenario.Backends); len(d.Backends) > n {
		return fmt.Errorf("it has %d backends, and there are %d", len(d.Backends), n)
	}
	return nil
}

// varies returns why an axis makes no difference to what is simulated, or nil.
func (s *sweep) varies() error {
	step := len(s.points) // from one value of an axis to the next, with the others' as they are
	for _, a := range s.Axes {
		step /= len(a.Values)
		if len(a.Values) == 1 {
			continue
		}
		first, last := s.points[0].config.Scenario, s.points[step*(len(a.Values)-1)].config.Scenario
		if reflect.DeepEqual(acts(first), acts(last)) {
			return usagef("--sweep %s=%s: whatever %s is, the same is simulated: take a quantity, such as readers.edges, event.renditions.total, event.segment or origin.serve",
				a.Path, strings.Join(a.Values, ","), a.Path)
		}
	}
	return nil
}

// acts is s without what has no effect on a simulation of it: how things are called, and what live runs alone need. A rendition's name keys
// the draws, so that another one is another replication and no other scenario.
func acts(s scenarios.Scenario) scenarios.Scenario {
	s.Name, s.About, s.Drivers, s.Windows.WarmUp = "", "", 0, 0
	s.Event.Renditions = slices.Clone(s.Event.Renditions)
	for i := range s.Event.Renditions {
		s.Event.Renditions[i].Name = ""
	}
	s.Readers.Sites = slices.Clone(s.Readers.Sites)
	for i := range s.Readers.Sites {
		s.Readers.Sites[i].Name = ""
	}
	return s
}

// workers is how many replications go on at a time.
func (c Config) workers() int { return cmp.Or(c.Workers, runtime.GOMAXPROCS(0)) }

// perRequest is what one request of a plan takes to simulate, with its share of the origin's own work, on a core of today: for estimates
// that are right within a few times.
const perRequest = 5 * time.Microsecond

// Estimate is about how long one replication of s takes on one core.
func Estimate(s scenarios.Scenario) time.Duration {
	segment := s.Event.Segment.Duration()
	names := float64(s.Event.Count * len(s.Event.Renditions))
	b := s.Readers.Behaviour
	reads := float64(s.Readers.Edges) * float64(max(1, s.Readers.Viewers)) * names * (1 + float64(b.DVR) + float64(b.Missing))
	var requests float64
	for _, w := range plan.Windows(s) {
		segments := float64((w.To - w.From) / segment)
		requests += segments * names * float64(2*s.Event.Pipelines) // and what the run's own reader asks
		if w.Name == scenarios.StormPhase {
			requests += segments * reads
		}
	}
	return time.Duration(requests * float64(perRequest) * float64(len(s.Backends)))
}

// Seeds returns those of n replications: the first is seed, so that it can be looked at alone.
func Seeds(seed uint64, n int) []uint64 {
	all := []uint64{seed}
	for i := 1; i < n; i++ {
		all = append(all, rand.NewPCG(seed, uint64(i)).Uint64())
	}
	return all
}

// DefaultReplications is how many replications of s the p99 of writes needs, in the shortest of its phases: as many as give it an interval at
// 95 % if requests of one replication had nothing to do with one another, and at least five, as an interval over fewer is too
// wide to say anything; never more than 64.
func DefaultReplications(s scenarios.Scenario) int {
	const fewest, most = 5, 64
	lasts := map[string]time.Duration{}
	for _, w := range plan.Windows(s) {
		lasts[w.Name] += w.To - w.From
	}
	n := fewest
	for _, d := range lasts {
		writes := int64(d/s.Event.Segment.Duration()) * int64(s.Event.Count*s.Event.Pipelines*len(s.Event.Renditions))
		for ; n < most; n++ {
			if _, _, ok := record.Interval95(0.99, worth(writes*int64(n), n)); ok && writes*int64(n) >= record.Needed(0.99) {
				break
			}
		}
	}
	return n
}

// worth is how many independent values tell as much as so many of n replications do at best: what few replications leave open is allowed
// for as record's intervals do.
func worth(values int64, n int) int64 {
	wider := student(n) / distuv.UnitNormal.Quantile(0.975)
	return int64(float64(values) / (wider * wider))
}

// student is the 97.5 % quantile for the mean of n values.
func student(n int) float64 { return distuv.StudentsT{Sigma: 1, Nu: float64(n - 1)}.Quantile(0.975) }

// run carries the replications out.
func (s *sweep) run(ctx context.Context) error {
	var jobs []job
	for i, p := range s.points {
		for r := range s.Replications {
			if !p.done {
				jobs = append(jobs, job{i, r})
			}
		}
	}
	if s.order != nil {
		s.order(jobs)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	next := make(chan job)
	var workers sync.WaitGroup
	for range min(s.Workers, len(jobs)) {
		workers.Go(func() {
			for j := range next {
				if err := s.simulate(ctx, j); err != nil {
					stop() // the others are of no use without it
				}
			}
		})
	}
	for _, j := range jobs {
		select {
		case next <- j:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	workers.Wait()
	return s.failed
}

// simulate carries one replication out, and finishes its point if it is the last.
func (s *sweep) simulate(ctx context.Context, j job) error {
	p := s.points[j.point]
	c := p.config
	c.Seed = s.seeds[j.replication]
	out, err := simulate.Run(ctx, c)
	if err == nil && ctx.Err() != nil {
		return nil // it is not whole, perhaps
	}
	s.mu.Lock()
	if err != nil {
		s.fail(p, err)
		s.mu.Unlock()
		return err
	}
	p.outcomes[j.replication] = out
	p.left--
	last := p.left == 0
	s.progress.Replications++
	s.progress.Virtual, s.progress.VirtualLeft = s.progress.Virtual+p.lasts, s.progress.VirtualLeft-p.lasts
	s.mu.Unlock()
	var found Point
	if last {
		found, err = s.finish(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.fail(p, err)
		return err
	}
	if last {
		p.Point, p.done = found, true
		s.progress.Points++
		if s.Keep != nil {
			if err := s.Keep(found); err != nil {
				s.fail(p, err)
				return err
			}
		}
	}
	if s.Progress != nil {
		s.progress.Point = Point{At: p.At, Set: p.Set}
		s.Progress(s.progress)
	}
	return nil
}

// fail keeps the first error; the caller holds mu.
func (s *sweep) fail(p *point, err error) {
	if s.failed == nil {
		s.failed = fmt.Errorf("sweep: at %s: %w", strings.Join(p.Set, " "), err)
	}
}

// finish makes figures of p's replications, which are all there, and lets go of them.
func (s *sweep) finish(p *point) (Point, error) {
	found := Point{At: p.At, Set: p.Set, Backends: []Backend{}}
	for _, b := range p.config.Scenario.Backends {
		only, err := p.config.Scenario.Only(b.Name)
		if err != nil {
			return found, err
		}
		c := p.config
		c.Scenario = only
		res, err := simulate.Pool(c, p.outcomes)
		if err != nil {
			return found, err
		}
		e := res.Backends[0]
		found.Backends = append(found.Backends, Backend{
			Name: b.Name, Verdict: res.Verdict, Sentence: res.Sentence, Thresholds: res.Thresholds, Figures: figures(e, p.outcomes), Extrapolated: e.Simulation.Extrapolated,
		})
	}
	p.outcomes = nil
	return found, nil
}

// fits returns why the sweep takes more memory than there is, or nil; where fewer workers fit, there are fewer.
func (s *sweep) fits() error {
	if s.Memory == 0 {
		return nil
	}
	for _, p := range s.points {
		if err := simulate.Fits(p.config.Scenario, s.Replications, s.Memory); err != nil {
			return fmt.Errorf("sweep: at %s: %w", strings.Join(p.Set, " "), err)
		}
		s.Workers = min(s.Workers, max(1, int((s.Memory-simulate.Kept(p.config.Scenario, s.Replications))/max(1, simulate.Memory(p.config.Scenario)))))
	}
	return nil
}

// result is what was found.
func (s *sweep) result() *Result {
	first := s.points[0].config.Scenario
	r := &Result{
		Schema: Schema, Scenario: first.Name, About: first.About, Seed: s.Seed, Seeds: s.seeds, Axes: s.Axes, Backends: []string{}, Simulation: s.simulation,
		Points: []Point{}, Notes: []string{}, Command: s.Command, SegmentMS: first.Event.Segment.Duration().Seconds() * 1000,
	}
	for _, p := range s.points {
		for _, b := range p.config.Scenario.Backends {
			if !slices.Contains(r.Backends, b.Name) {
				r.Backends = append(r.Backends, b.Name)
			}
		}
		if p.done {
			r.Points = append(r.Points, p.Point)
		}
	}
	r.Complete = len(r.Points) == len(s.points)
	r.Sentence = r.say(len(s.points))
	return r
}

// say says to people what was found.
func (r *Result) say(points int) string {
	if len(r.Points) == 0 {
		return "Interrupted before the first point was finished."
	}
	var axes []string
	for _, a := range r.Axes {
		axes = append(axes, fmt.Sprintf("%s from %s to %s", a.Path, a.Values[0], a.Values[len(a.Values)-1]))
	}
	text := fmt.Sprintf("Simulated %s at %d points, %s, %d times each", r.Scenario, len(r.Points), strings.Join(axes, " and "), len(r.Seeds))
	if !r.Complete {
		text = fmt.Sprintf("Interrupted after %d of %d points of %s, %s", len(r.Points), points, r.Scenario, strings.Join(axes, " and "))
	}
	for _, name := range r.Backends {
		text += "; " + r.verdicts(name)
	}
	return text + "."
}

// verdicts says at which points a backend's thresholds hold.
func (r *Result) verdicts(backend string) string {
	var broken []string
	all, judged := 0, false
	for _, p := range r.Points {
		for _, b := range p.Backends {
			if b.Name != backend {
				continue
			}
			all++
			judged = judged || len(b.Thresholds) > 0
			if b.Verdict != "passed" {
				broken = append(broken, strings.Join(p.Set, " "))
			}
		}
	}
	switch {
	case len(broken) == 0 && judged:
		return fmt.Sprintf("%s: all thresholds hold at all points", backend)
	case len(broken) == 0:
		return fmt.Sprintf("%s: nothing was lost, torn or wrong", backend)
	case len(broken) == all:
		return fmt.Sprintf("%s: not all thresholds hold at any point", backend)
	}
	return fmt.Sprintf("%s: not all thresholds hold at %d of %d points, first at %s", backend, len(broken), all, broken[0])
}

func usagef(format string, a ...any) error {
	return &verdict.Error{Err: fmt.Errorf(format, a...), Code: verdict.Usage}
}

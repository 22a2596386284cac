package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"origin-storm/origin/config"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/live"
	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
	"origin-storm/storm/verdict/gate"
)

// GateConfig says what a gate compares, and by which rules.
type GateConfig struct {
	// Config is what both sides have in common. Its Scenario, Program, Target and Finish are not used.
	Config
	Base, Head Side
	// Rules are those of the decision. Their Seed is Config's; without Metrics they are writes' and, with readers, reads' p50 and
	// p99, and failures.
	Rules gate.Config
	// Effect is that of each of the metrics which Rules leaves out, but of failures; 0: package gate's.
	Effect float64
	// Block is how many segments a block lasts; 0: about a second.
	Block int
	// Slow makes head's publishes slower by this part of base's write p50: a regression on purpose, to see whether it is found.
	Slow float64
	// Record measures so many quads and decides nothing; 0: decides.
	Record int
	// Draw draws the report into the folder and commits it, as Config.Finish does for a run; nil leaves the folder to the caller.
	Draw func(gate.Results, []gate.Quad) error
}

// Side is one of the two things that a gate compares: a backend of a scenario, made of a program's processes, or a target that
// is running.
type Side struct {
	// Name says what it is, for people.
	Name string
	// Scenario has one backend. Both sides' have the same load.
	Scenario scenarios.Scenario
	Program  []string // Config's
	Target   *Foreign // Config's
}

// Gate brings both sides up at once, warms them, and measures them in turns, only one being under load at a time, in the blocks
// and the order of package gate, until the rules decide. The folder gets what was measured and found. What goes wrong with a
// side, its death for instance, is in the results, which then are neither pass nor regress; an error is what kept the gate from
// measuring at all. An interrupted gate (ctx ended) is no error.
func Gate(ctx context.Context, cfg GateConfig, folder *record.Folder) (res gate.Results, err error) {
	cfg.Config.Finish = nil
	if cfg.Draw != nil {
		cfg.Config.Finish = func(record.Results) error { return nil } // so that the folder is the reaper's, too
	}
	c, err := newContest(cfg)
	if err != nil {
		return res, err
	}
	g, err := setUp(cfg.Config, folder)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	for i, of := range [2]Side{cfg.Base, cfg.Head} {
		c.sides[i].run = g.run(of.on(cfg.Config))
	}
	down, err := g.servers(ctx, c.sides[gate.Base].run, c.sides[gate.Head].run)
	defer func() { err = errors.Join(err, down()) }()
	if err != nil && ctx.Err() == nil {
		return res, err
	}
	if err == nil {
		for i := range c.sides {
			arms := c.sides[i].run.arms()
			if len(arms) != 1 {
				return res, fmt.Errorf("stage: gate: %v has %d backends to measure, one is needed", gate.Side(i), len(arms))
			}
			c.sides[i].arm = arms[0]
		}
		if err = c.hold(ctx, g); err != nil && ctx.Err() == nil {
			return res, err
		}
	}
	res = c.conclude(ctx, g)
	if err := c.write(g, &res); err != nil || cfg.Draw == nil {
		return res, err
	}
	return res, cfg.Draw(res, c.quads)
}

// on returns what c is for this side alone.
func (s Side) on(c Config) Config {
	c.Scenario, c.Program, c.Target = s.Scenario, s.Program, s.Target
	return c
}

// contest is one call of Gate: the loop over blocks of its two sides.
type contest struct {
	cfg      GateConfig
	schedule schedule
	phase    string // of the scenario, that blocks are
	gate     *gate.Gate
	sides    [2]contestant

	began    time.Time
	quads    []gate.Quad
	decision *gate.Decision
	account  record.Driver
	lag      *float64
	injected *gate.Injection
	judged   verdict.Code // what a stretch is worth: Passed, Damaged or Invalid
	reasons  []string     // why it is not Passed
}

// contestant is one side of a contest.
type contestant struct {
	run    *run
	arm    Arm
	m      *measurement
	target Target
	events []config.Event
	close  func()
	sum    gate.SideResults
}

// newContest checks cfg.
func newContest(cfg GateConfig) (*contest, error) {
	s := cfg.Base.Scenario
	c := &contest{cfg: cfg, phase: scenarios.StormPhase, began: time.Now()}
	if s.Windows.Storm == 0 {
		c.phase = scenarios.QuietPhase
	}
	usage := func(err error) error { return &verdict.Error{Err: err, Code: verdict.Usage} }
	for i, of := range [2]Side{cfg.Base, cfg.Head} {
		switch {
		case len(of.Scenario.Faults) > 0:
			return nil, usage(fmt.Errorf("a gate compares two sides under the same load, and %s has faults, which would befall one of them at a time: leave them out with --set faults=[]", of.Scenario.Name))
		case of.Scenario.Drivers > 1 || of.Scenario.Pinned():
			return nil, usage(fmt.Errorf("a gate drives both sides from one process and pins nothing, so that both have the same: %s has drivers or cores; take another scenario, or --set drivers=1", of.Scenario.Name))
		}
		c.sides[i].sum = gate.SideResults{Name: of.Name, Servers: []string{}, Notes: []string{}}
	}
	var err error
	if c.schedule, err = newSchedule(s, cfg.Block); err != nil {
		return nil, usage(err)
	}
	rules := cfg.Rules
	rules.Seed = cfg.Seed
	if len(rules.Metrics) == 0 {
		rules.Metrics = metricsOf(s, cfg.Effect)
	}
	if c.gate, err = gate.New(rules); err != nil {
		return nil, usage(err)
	}
	return c, nil
}

// errDied is why a contest was stopped before its time.
var errDied = errors.New("a server died that nothing asked to")

// hold brings the sides up, measures until the rules decide or a side turns out not to be fit for it, and takes the sides down.
func (c *contest) hold(ctx context.Context, g *rig) error {
	// A side that has died will not come back: what is left of a stretch need not be waited for.
	alive, died := context.WithCancelCause(ctx)
	defer died(nil)
	for i := range c.sides {
		side := &c.sides[i]
		side.arm.Name = gate.Side(i).String()
		side.m = &measurement{run: side.run, arm: side.arm, account: &c.account}
		g.cfg.Progress(Progress{Text: fmt.Sprintf("%s: %s (%s)", side.arm.Name, side.run.cfg.approach(), side.sum.Name)})
		if i == 0 {
			side.events = side.m.liveEvents(time.Now())
		} else {
			side.events = c.sides[0].events // on one clock, so that blocks follow one another to the tick
		}
		target, err := side.arm.Up(ctx, side.events, func(kind, text string) {
			g.note(side.arm.Name, kind, time.Since(c.began), text)
			if kind == "death" {
				died(fmt.Errorf("%s: %w", side.arm.Name, errDied))
			}
		})
		if err != nil {
			return fmt.Errorf("%s: %w", side.arm.Name, err)
		}
		side.target = *target
		side.sum.Provenance, side.sum.Servers = target.Facts.Provenance, append(side.sum.Servers, target.Facts.Servers...)
		side.sum.Notes = append(side.sum.Notes, target.Facts.Notes...)
		defer func() {
			if err := target.Close(); err != nil { // no reason to throw away what was measured
				g.note(side.arm.Name, "warning", time.Since(c.began), "taking the side down: "+err.Error())
			}
		}()
	}
	err := c.measure(alive, g)
	if ctx.Err() == nil && errors.Is(context.Cause(alive), errDied) {
		c.judge(g, nil, "") // the reasons are among the events
		return nil
	}
	return err
}

// measure warms the sides and measures quads until the rules decide.
func (c *contest) measure(ctx context.Context, g *rig) error {
	if err := c.warm(ctx); err != nil {
		return err
	}
	if c.cfg.Slow > 0 {
		if err := c.slow(ctx, g); err != nil {
			return err
		}
	}
	for _, until := range c.looks() {
		order := make([]gate.Side, 0, 4*until)
		for n := len(c.quads); n < until; n++ {
			sides := gate.Order(c.gate.Config().Seed, n)
			order = append(order, sides[:]...)
		}
		measured, err := c.stretch(ctx, g, order)
		if err != nil {
			return err
		}
		c.quads = append(c.quads, measured...)
		if c.judged != verdict.Passed {
			return nil
		}
		if c.cfg.Record > 0 {
			continue
		}
		for _, q := range measured {
			if err := c.gate.Add(q); err != nil {
				c.doubt(err.Error())
				return nil
			}
		}
		d, err := c.gate.Decide()
		if err != nil {
			c.doubt(err.Error())
			return nil
		}
		c.decision = &d
		g.cfg.Progress(Progress{Text: fmt.Sprintf("after %d quads: %s", d.Quads, d.Sentence)})
		if d.Final {
			return nil
		}
	}
	return nil
}

// warm warms both sides, at the same time: nothing of it is measured.
func (c *contest) warm(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var errs [2]error
	var wg sync.WaitGroup
	for i := range c.sides {
		side := &c.sides[i]
		wg.Go(func() {
			notes, err := side.m.warm(ctx, &side.target, side.events)
			side.sum.Notes = append(side.sum.Notes, notes...)
			if errs[i] = err; err != nil {
				stop()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

// looks are the numbers of quads between which there are stretches.
func (c *contest) looks() []int {
	if c.cfg.Record > 0 {
		const most = 8 // quads at a time, so that an interrupted recording is not lost
		var all []int
		for n := most; n < c.cfg.Record; n += most {
			all = append(all, n)
		}
		return append(all, c.cfg.Record)
	}
	return c.gate.Config().Looks
}

// slow measures base's write p50 and makes head's publishes slower by a part of it.
func (c *contest) slow(ctx context.Context, g *rig) error {
	g.cfg.Progress(Progress{Text: "measuring what head is to be slowed down by"})
	order := gate.Order(c.gate.Config().Seed, 0)
	measured, err := c.stretch(ctx, g, order[:])
	if err != nil || c.judged != verdict.Passed {
		return err
	}
	var all []float64
	for _, q := range measured {
		for _, b := range q {
			if b.Side == gate.Base {
				all = append(all, b.Samples[writes]...)
			}
		}
	}
	if int64(len(all)) < record.Needed(0.5) {
		c.doubt(fmt.Sprintf("base's write p50 needs %d publishes, there were %d", record.Needed(0.5), len(all)))
		return nil
	}
	slices.Sort(all)
	p50 := all[(len(all)-1)/2]
	held := time.Duration(p50 * c.cfg.Slow * float64(time.Millisecond))
	c.injected = &gate.Injection{Share: c.cfg.Slow, Of: p50, HeldMS: milliseconds(held)}
	head := &c.sides[gate.Head]
	head.target = slowed(head.target, held)
	g.cfg.Progress(Progress{Text: fmt.Sprintf("head's answers to packagers are held back by %v from now on: %.0f %% of base's write p50 of %.2f ms", held.Round(time.Microsecond), 100*c.cfg.Slow, p50)})
	return nil
}

// stretch measures blocks in the order given, without a break, and judges what came of them.
func (c *contest) stretch(ctx context.Context, g *rig, order []gate.Side) ([]gate.Quad, error) {
	var samplers [2]*sampler
	var recordings [2]*record.Recording
	var stats [2]live.Stats
	var errs [2]error
	number, start := first(c.sides[0].events[0].Template, time.Now())
	cpu := cpuTime()
	// One side's failure ends the other's load, too: half a stretch is none.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	end := every(c.schedule.length(), func() { c.progress(g, order, time.Since(start)) })
	var wg sync.WaitGroup
	for i := range c.sides {
		side, of := &c.sides[i], gate.Side(i)
		planned, measured := c.schedule.windows(order, of, c.phase)
		j := side.m.job(&side.target, side.events, planned)
		j.First, j.Start, j.keep = number, start, c.schedule.keeps(order, of, number)
		counted := j
		counted.Windows = measured
		recordings[i] = record.New(counted.recording(side.m.scenario))
		samplers[i] = newSampler(c.schedule, order, of, recordings[i])
		wg.Go(func() {
			if stats[i], errs[i] = j.execute(ctx, side.m.scenario, nil, samplers[i]); errs[i] != nil {
				stop()
			}
		})
	}
	wg.Wait()
	end()
	c.account.CPUSeconds += (cpuTime() - cpu).Seconds()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	for i := range c.sides {
		c.sides[i].m.recording = recordings[i]
		c.sides[i].add(samplers[i])
	}
	c.judge(g, &stats, fmt.Sprintf("in the %d blocks of %v from %s on", len(order), c.schedule.length(), start.UTC().Format(time.TimeOnly)))
	return quads(order, samplers), nil
}

// add counts a stretch.
func (s *contestant) add(r *sampler) {
	s.sum.Publishes += r.of[0]
	s.sum.Reads += r.of[1]
	s.sum.Failed += r.failedAll
}

// progress says which block is under way.
func (c *contest) progress(g *rig, order []gate.Side, at time.Duration) {
	block, _ := c.schedule.at(at)
	if block < 0 || block >= len(order) {
		return
	}
	left := time.Duration(len(order)-block) * c.schedule.length()
	g.cfg.Progress(Progress{Now: fmt.Sprintf("quad %d, block %d of 4: %v   %v to the next look, after %d quads", len(c.quads)+block/4+1, block%4+1, order[block],
		left.Round(time.Second), len(c.quads)+len(order)/4)})
}

// judge holds what the sides' last stretch showed against the rules for runs: damage, deaths, dropped requests, a clock that
// stepped, a figure that is more of the driver than of the origin. Without stats the events alone are judged.
func (c *contest) judge(g *rig, stats *[2]live.Stats, when string) {
	r := record.Results{Backends: []record.Backend{}}
	stepped := ""
	if stats != nil {
		for i := range c.sides {
			side := &c.sides[i]
			b := side.m.result(&side.target, stats[i])
			r.Backends = append(r.Backends, *b)
			seg := b.Segments
			side.sum.Acknowledged += seg.Acknowledged
			side.sum.Verified += seg.Verified
			side.sum.Lost += seg.Lost
			side.sum.Torn += seg.Torn
			side.sum.Wrong += seg.Wrong
			side.sum.Stale += seg.Stale
			stepped = cmp.Or(stepped, side.m.stepped)
		}
		r.Driver = c.account
		if p := c.account.LagP99; p != nil {
			c.lag = new(max(*p, deref(c.lag)))
		}
		c.account.LagP99 = nil // the next stretch's is its own
	}
	verdict.Judge(&r, verdict.Conditions{Events: g.noted(), ClockStepped: stepped})
	c.judged, c.reasons = verdict.ExitCode(r), r.Reasons
	if c.judged == verdict.Damaged || c.judged == verdict.Invalid {
		return
	}
	c.judged = verdict.Passed
	for i, b := range r.Backends {
		for _, class := range []storm.Class{storm.Publish, storm.LiveEdge} {
			if class == storm.LiveEdge && c.phase != scenarios.StormPhase {
				continue
			}
			c.trust(gate.Side(i), b, class, when)
		}
	}
}

// unfit is which part of base's requests may fail for it to be something to compare with.
const unfit = 0.01

// trust says what speaks against comparing the sides by one class's figures.
func (c *contest) trust(side gate.Side, b record.Backend, class storm.Class, when string) {
	for _, p := range b.Phases {
		for _, op := range p.Operations {
			if p.Name != c.phase || op.Class != class.String() {
				continue
			}
			if op.Response.P50 == nil {
				c.doubt(fmt.Sprintf("%s's %s p50 %s could not be told: %s", side, class, when, cmp.Or(op.Response.Note, "there are too few")))
			}
			if side == gate.Base && float64(op.Errors) > unfit*float64(op.Count) {
				c.doubt(fmt.Sprintf("%d of base's %d %s requests failed %s (%v): that is nothing to compare with", op.Errors, op.Count, class, when, op.Statuses))
			}
			return
		}
	}
	c.doubt(fmt.Sprintf("%s had not one %s request %s", side, class, when))
}

// doubt makes the gate invalid.
func (c *contest) doubt(reason string) {
	c.judged = verdict.Invalid
	c.reasons = append(c.reasons, reason)
}

func deref(p *float64) float64 {
	if p == nil {
		return 0
	}
	return *p
}

// conclude puts together what was found.
func (c *contest) conclude(ctx context.Context, g *rig) gate.Results {
	s := c.cfg.Base.Scenario
	res := gate.Results{
		Schema: gate.Schema, Scenario: s.Name, About: s.About, Seed: c.cfg.Seed, Started: c.began.UTC(), Seconds: math.Round(time.Since(c.began).Seconds()*10) / 10,
		Base: c.sides[gate.Base].sum, Head: c.sides[gate.Head].sum,
		SegmentMS: milliseconds(c.schedule.tick), BlockTicks: c.schedule.block, LeadTicks: c.schedule.lead,
		Strict: c.cfg.Strict, Injected: c.injected, Quads: len(c.quads), Rules: c.gate.Config(), Decision: c.decision, Lag99MS: c.lag,
		Environment: g.environment(map[string]string{"base": c.sides[gate.Base].sum.Name, "head": c.sides[gate.Head].sum.Name}),
		Reasons:     slices.Concat([]string{}, c.reasons),
	}
	more := ""
	if n := len(c.reasons) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	d := c.decision
	switch {
	case ctx.Err() != nil:
		next := c.looks()[len(c.looks())-1]
		for _, n := range slices.Backward(c.looks()) {
			if n > len(c.quads) {
				next = n
			}
		}
		res.Outcome = gate.Interrupted
		res.Sentence = fmt.Sprintf("Interrupted: nothing was decided. %d quads are kept; what was measured since then would have counted at the look after %d.", len(c.quads), next)
	case c.judged == verdict.Damaged:
		res.Outcome, res.Sentence = gate.Damaged, "Damaged: "+c.reasons[0]+more+"."
	case c.judged == verdict.Invalid:
		res.Outcome, res.Sentence = gate.Invalid, "Invalid, nothing may be concluded: "+c.reasons[0]+more+"."
	case c.cfg.Record > 0:
		res.Outcome, res.Sentence = gate.Recorded, fmt.Sprintf("Recorded %d quads.", len(c.quads))
	case d == nil || !d.Final:
		res.Outcome, res.Sentence = gate.Invalid, "Invalid, nothing may be concluded: the gate ended before its last look."
	default:
		res.Outcome, res.Sentence = gate.Outcome(d.Verdict), d.Sentence
		if d.Verdict == gate.Inconclusive {
			res.Sentence += " " + c.more(d.More)
		}
	}
	return res
}

// fewest is how many units the metric that has fewest of them has, of those that have to be cleared.
func (c *contest) fewest() int {
	n := len(c.quads)
	for _, f := range c.decision.Metrics {
		if !f.Metric.Optional {
			n = min(n, f.Units)
		}
	}
	return n
}

// more says what it would take to decide.
func (c *contest) more(quads *int) string {
	if n := c.fewest(); n < gate.IntervalUnits {
		return fmt.Sprintf("%d quads were looked at, which is too few to tell anything: a metric takes at least %d; leave --looks out and it looks after %s.",
			len(c.quads), gate.IntervalUnits, strings.Join(strings.Fields(strings.Trim(fmt.Sprint(gate.DefaultLooks()), "[]")), ", "))
	}
	if quads == nil {
		return "No number of blocks can be named that would decide: the difference is too near what matters, or the machine too noisy."
	}
	n := *quads
	return fmt.Sprintf("About %d more blocks (%v) would decide: %s quads in all.", 4*n, (time.Duration(4*n) * c.schedule.length()).Round(time.Second), strconv.Itoa(len(c.quads)+n))
}

// write puts what was measured and found into the folder.
func (c *contest) write(g *rig, res *gate.Results) error {
	var errs []error
	for i, of := range [2]Side{c.cfg.Base, c.cfg.Head} {
		text, err := of.Scenario.Marshal()
		if err != nil {
			return fmt.Errorf("stage: %w", err)
		}
		errs = append(errs, g.folder.Write(gate.Side(i).String()+".yaml", func(w io.Writer) error {
			_, err := w.Write(text)
			return err
		}))
	}
	return errors.Join(append(errs,
		g.folder.Write(gate.BlocksFile, func(w io.Writer) error { return gate.WriteQuads(w, 0, c.quads...) }),
		g.folder.Events(g.noted()),
		g.folder.Environment(res.Environment),
		g.folder.JSON(gate.ResultsFile, res),
	)...)
}

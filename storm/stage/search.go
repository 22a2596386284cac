package stage

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
	"origin-storm/storm/verdict/search"
)

// SearchConfig says which load to vary, and where what is found goes.
type SearchConfig struct {
	search.Config
	// Path is the field of the scenario that is varied, and Unit what follows its numbers.
	Path, Unit string
	// At returns the scenario at a load, or an error with exit code verdict.Usage that says why this machine cannot carry it.
	At func(load float64) (scenarios.Scenario, error)
	// Draw draws the report of one measurement into its folder.
	Draw func(folder *record.Folder) error
	// Finish draws the search's report into its folder and commits that. Should this process be killed before it has returned, what
	// was measured is left as Folder.Crashed names it.
	Finish func(search.Results) error
}

// Search looks for the highest load at which all thresholds of cfg's scenario, which has one backend, hold: it carries the scenario
// through at one load after the other, on the same servers. Each measurement has a run folder of its own in folder. A search that is
// interrupted returns what it knows.
func Search(ctx context.Context, cfg Config, c SearchConfig, folder *record.Folder) (res search.Results, err error) {
	s, err := search.New(c.Config)
	if err != nil {
		return res, &verdict.Error{Err: err, Code: verdict.Usage}
	}
	cfg.Finish = nil // that of a run
	g, err := setUp(cfg, folder)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	if err := g.reaper.Dir(folder.Dir()); err != nil {
		return res, err
	}
	base := g.run(cfg)
	down, err := g.servers(ctx, base)
	defer func() { err = errors.Join(err, down()) }()
	if err != nil && ctx.Err() == nil {
		return res, err
	}
	res = search.Results{
		Schema: search.Schema, Scenario: base.scenario.Name, Backend: base.scenario.Backends[0].Name, Seed: cfg.Seed, Started: time.Now().UTC(),
		Path: c.Path, Unit: c.Unit, Points: []search.Point{},
	}
	evidence := map[float64]search.Evidence{} // of loads that do not hold
	for ctx.Err() == nil {
		load, ok := s.Next()
		if !ok {
			res.Complete = true
			break
		}
		at := search.Format(c.Path, load, c.Unit)
		g.cfg.Progress(Progress{Text: fmt.Sprintf("%d: %s", len(res.Points)+1, at)})
		p, e, err := base.point(ctx, c, load, len(res.Points)+1)
		if err != nil {
			return res, err
		}
		if ctx.Err() != nil {
			break // what was measured of it says nothing
		}
		g.cfg.Progress(Progress{Text: fmt.Sprintf("%s %s: %s", at, p.Outcome, p.Sentence)})
		s.Add(load, p.Outcome)
		res.Points = append(res.Points, p)
		if p.Outcome != search.Holds {
			evidence[load] = e
		}
		if len(res.Points) == 1 {
			if err := g.reaper.Keep(folder.Dir(), folder.Crashed()); err != nil {
				return res, err
			}
		}
	}
	res.Result = s.Result()
	if res.Lowest > 0 {
		res.Saturated, res.Evidence = search.Attribute(evidence[res.Lowest])
	}
	res.Sentence = res.Say()
	res.Environment = g.environment(nil)
	err = errors.Join(base.writeScenario(), folder.Events(g.noted()), folder.Write(search.File, res.Encode))
	if err != nil || c.Finish == nil {
		return res, err
	}
	return res, c.Finish(res)
}

// point measures r's scenario at a load, for the n-th measurement of a search, and returns what tells what was full if it does not hold.
func (r *run) point(ctx context.Context, c SearchConfig, load float64, n int) (p search.Point, e search.Evidence, err error) {
	p = search.Point{Load: load, Outcome: search.Untold, Thresholds: []record.Threshold{}}
	cfg := r.cfg
	cfg.NoCeiling = cfg.NoCeiling || n > 1 // the driver's ceiling is the same for all
	if cfg.Scenario, err = c.At(load); err != nil {
		var refused *verdict.Error
		if errors.As(err, &refused) && refused.Code == verdict.Usage {
			p.Sentence = refused.Error()
			return p, search.Evidence{Outcome: search.Untold}, nil
		}
		return p, e, err
	}
	one := r.rig.run(cfg)
	one.cluster = r.cluster
	p.Folder = filepath.Join("measurements", fmt.Sprintf("%02d", n))
	if one.folder, err = record.Create(filepath.Join(r.folder.Dir(), p.Folder)); err != nil {
		return p, e, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, one.folder.Abort())
		}
	}()
	res, err := one.carry(ctx)
	if err != nil {
		return p, e, err
	}
	if err := c.Draw(one.folder); err != nil {
		return p, e, err
	}
	if _, err := one.folder.Commit(); err != nil || len(res.Backends) == 0 {
		return p, e, err
	}
	b := res.Backends[0]
	p.Sentence, p.Thresholds, p.CPUSeconds, p.Provenance = res.Sentence, res.Thresholds, b.CPUSeconds, b.Provenance
	phase := slices.IndexFunc(b.Phases, func(p record.Phase) bool { return p.Name == scenarios.StormPhase })
	if phase < 0 {
		phase = slices.IndexFunc(b.Phases, func(p record.Phase) bool { return p.Name == scenarios.QuietPhase })
	}
	if phase >= 0 {
		p.Reads, p.ReadGbit = b.Phases[phase].Reads, b.Phases[phase].ReadGbit
		if write, ok := operationOf(b.Phases[phase], storm.Publish.String()); ok {
			p.WriteP50, p.WriteP99 = write.Response.P50, write.Response.P99
		}
	}
	switch verdict.ExitCode(res) {
	case verdict.Passed:
		p.Outcome = search.Holds
	case verdict.Invalid:
	case verdict.Damaged:
		p.Outcome, p.Damaged = search.Breaks, true
	default:
		p.Outcome = search.Breaks
	}
	return p, one.evidence(p, res), nil
}

// evidence is what tells what was full in a measurement that does not hold.
func (r *run) evidence(p search.Point, res record.Results) search.Evidence {
	b := res.Backends[0]
	e := search.Evidence{Outcome: p.Outcome, Cores: runtime.NumCPU(), Seconds: r.total.Seconds(), CPU: b.CPUSeconds, Pinned: map[string]bool{}}
	for what := range r.scenario.Backends[0].Cores.Each() {
		e.Pinned[what] = true
	}
	broken := slices.IndexFunc(res.Thresholds, func(t record.Threshold) bool { return !t.OK })
	if broken < 0 {
		return e
	}
	e.Broken = res.Thresholds[broken].Text
	t := r.scenario.Thresholds[broken] // there is one backend, so one line for each
	for _, phase := range b.Phases {
		op, ok := operationOf(phase, t.Subject)
		if !ok || t.Phase != "" && t.Phase != phase.Name || phase.Name == scenarios.WarmUpPhase {
			continue
		}
		if t.Subject == storm.Publish.String() {
			if store, ok := operationOf(phase, storm.StoreWrite.String()); ok {
				e.Store = part(store.Response.P50, op.Response.P50)
			}
			continue
		}
		e.Store = part(b.Cache.StoreReadMean, op.Response.P50)
		e.Transfer = part(op.AfterAnswer.P50, op.Response.P50)
	}
	return e
}

// part is which part of whole a figure is; nil where one of them is not known.
func part(figure, whole *float64) *float64 {
	if figure == nil || whole == nil || *whole <= 0 {
		return nil
	}
	return new(*figure / *whole)
}

// operationOf finds a class of requests in a phase.
func operationOf(p record.Phase, class string) (record.Operation, bool) {
	i := slices.IndexFunc(p.Operations, func(o record.Operation) bool { return o.Class == class })
	if i < 0 {
		return record.Operation{}, false
	}
	return p.Operations[i], true
}

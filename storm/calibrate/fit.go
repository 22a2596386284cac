package calibrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/gonum/stat"

	"origin-storm/origin/cost"
	"origin-storm/origin/cost/profiles"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
)

// Config says what to fit, and on what.
type Config struct {
	Name  string // of the profile
	About string // what it describes; empty: what can be told from the runs
	// Runs are those to fit on; HeldOut others, of which only the error is stated.
	Runs, HeldOut []*record.Run
	// Rounds is how often the runs are simulated and the costs corrected by the difference; 0 means 8.
	Rounds int
	// Progress is told what is being done; nil for nobody.
	Progress func(text string)

	simulate simulator // nil: package simulate
}

// simulator simulates what was measured with what a backend costs, replications times, and returns the figures of all together.
type simulator func(ctx context.Context, m measured, p *sim.Profile, replications int) (record.Backend, error)

// replications are how often a run is simulated to state the error: the simulated figure is then several times as certain as the
// measured one.
const replications = 5

// Fit makes a profile of measured runs: what their backends cost, between which loads that holds, and how far off the simulation is on
// the runs it was fitted on and on those held out. warnings say what makes the profile worth less than it could be. Runs that cannot be
// used are an error that names each of them. ctx ends the fit.
func Fit(ctx context.Context, c Config) (p sim.Profile, warnings []string, err error) {
	if c.simulate == nil {
		c.simulate = simulated
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if len(c.Runs) == 0 {
		return p, nil, errors.New("calibrate: no runs: name at least one run folder to fit on")
	}
	all, warnings, err := take(slices.Concat(c.Runs, c.HeldOut))
	if err != nil {
		return p, warnings, err
	}
	byName := map[string]*group{}
	for _, m := range all {
		g := byName[m.backend.Name]
		if g == nil {
			g = &group{name: m.backend.Name}
			byName[m.backend.Name] = g
		}
		if slices.Contains(c.Runs, m.run) {
			g.fitted = append(g.fitted, m)
		} else {
			g.heldOut = append(g.heldOut, m)
		}
	}
	for name, g := range byName {
		for _, other := range []string{strings.TrimSuffix(name, scenarios.WithCache), strings.TrimSuffix(name, scenarios.WithCache) + scenarios.WithCache} {
			if o := byName[other]; o != nil {
				g.sameStore = append(g.sameStore, o.fitted...)
			}
		}
	}
	p = describe(c)
	// The store alone comes before the store behind a cache, whose costs are taken from it.
	for _, name := range slices.SortedFunc(maps.Keys(byName), func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(a, scenarios.WithCache), strings.Count(b, scenarios.WithCache)), strings.Compare(a, b))
	}) {
		g := byName[name]
		if len(g.fitted) == 0 {
			warnings = append(warnings, fmt.Sprintf("backend %s is in none of the runs to fit on: nothing is known of its costs, and its runs are left out", name))
			continue
		}
		said, err := g.fit(ctx, c, &p)
		warnings = append(warnings, said...)
		if err != nil {
			return p, warnings, err
		}
	}
	return p, warnings, p.Validate()
}

// describe says of the profile what is known before anything was fitted.
func describe(c Config) sim.Profile {
	first := c.Runs[0]
	p := sim.Profile{
		Name: cmp.Or(c.Name, "calibrated"), About: c.About, Machine: machine(first.Environment), Program: program(first.Environment),
		Backends: map[string]sim.Calibrated{},
	}
	if p.About == "" {
		p.About = "What this program's origin costs where driver, origin and stores share one machine, as in a live run there."
	}
	fmt.Sscan(first.Environment["cores"], &p.Cores)
	names := func(runs []*record.Run) string {
		var all []string
		for _, r := range runs {
			all = append(all, r.Results.Scenario)
			if day := r.Results.Started.UTC().Truncate(24 * time.Hour); day.After(p.Made) {
				p.Made = day
			}
		}
		return strings.Join(all, ", ")
	}
	p.Source = "Fitted by origin-storm calibrate on live runs of the scenarios " + names(c.Runs) + "."
	if len(c.HeldOut) > 0 {
		p.Source += " Held out: " + names(c.HeldOut) + "."
	}
	return p
}

// group is the runs of one backend.
type group struct {
	name            string
	fitted, heldOut []measured
	// sameStore are the runs to fit on with that store, before a cache and without: they ask it for much and for little, which tells its work
	// on requests from what it does unasked.
	sameStore []measured
}

// fit adds the group's backend to p.
func (g *group) fit(ctx context.Context, c Config, p *sim.Profile) (warnings []string, err error) {
	costs, warnings, err := g.start(p)
	if err != nil {
		return warnings, err
	}
	parts := g.parts()
	g.begin(&costs, parts)
	if g.cached() {
		costs.ReadableBefore = p.Backends[strings.TrimSuffix(g.name, scenarios.WithCache)].Costs.ReadableBefore
	}
	best, least := costs, math.Inf(1)
	for round := range cmp.Or(c.Rounds, 8) + 1 {
		if g.cached() && !g.modelled() { // zones are written while the store's write is waited for, and hardly show: as long as they are read
			costs.Cache.Write = clone(costs).Cache.Read
		}
		p.Backends[g.name] = sim.Calibrated{Costs: costs, Valid: valid(g.fitted)}
		found := make([]record.Backend, len(g.fitted))
		for i, m := range g.fitted {
			if found[i], err = c.simulate(ctx, m, p, 1); err != nil {
				return warnings, fmt.Errorf("calibrate: simulating run %s: %w", filepath.Base(m.run.Dir), err)
			}
		}
		off := g.off(found)
		c.Progress(fmt.Sprintf("%s: round %d: p50, p90 and p99 are off by %.1f %% on average", g.name, round, 100*off))
		if off < least {
			best, least = clone(costs), off
		}
		costs = clone(costs)
		for _, part := range parts {
			g.correct(part, &costs, found)
		}
		if !g.cached() { // behind a cache it is the cache that knows first
			costs.ReadableBefore = max(0, costs.ReadableBefore+g.sooner(found)).Round(time.Microsecond)
		}
	}
	done := sim.Calibrated{Costs: best, Valid: valid(g.fitted)}
	p.Backends[g.name] = done
	state := func(runs []measured) (all []sim.Error, err error) {
		for _, m := range runs {
			found, err := c.simulate(ctx, m, p, replications)
			if err != nil {
				return nil, fmt.Errorf("calibrate: simulating run %s: %w", filepath.Base(m.run.Dir), err)
			}
			errs := Compare(m.name(), m.backend, found)
			c.Progress(fmt.Sprintf("%s: %s: %d of %d figures are as near as they should be", g.name, m.run.Results.Scenario, count(errs), len(errs)))
			all = append(all, errs...)
		}
		return all, nil
	}
	if done.Fitted, err = state(g.fitted); err != nil {
		return warnings, err
	}
	if done.HeldOut, err = state(g.heldOut); err != nil {
		return warnings, err
	}
	p.Backends[g.name] = done
	return warnings, nil
}

// count is how many of errs are as near as they should be.
func count(errs []sim.Error) (n int) {
	for _, e := range errs {
		if Within(e) {
			n++
		}
	}
	return n
}

// start returns the costs with which the trials begin: work, and what is known beforehand.
func (g *group) start(p *sim.Profile) (c sim.Costs, warnings []string, err error) {
	b := g.fitted[0].scenario.Backends[0]
	for _, m := range g.fitted {
		if o := m.scenario.Backends[0]; o.Profile != b.Profile || o.Store != b.Store || o.Cache != b.Cache {
			return c, nil, fmt.Errorf("calibrate: backend %s is not the same thing in runs %s and %s: fit them apart, or give them different names",
				g.name, filepath.Base(g.fitted[0].run.Dir), filepath.Base(m.run.Dir))
		}
	}
	plainName := strings.TrimSuffix(g.name, scenarios.WithCache)
	plain, ok := p.Backends[plainName]
	ok = ok && g.cached()
	// What driver and nodes take hardly depends on the store behind them.
	likeName, like := plainName, plain.Costs
	if others := slices.Sorted(maps.Keys(p.Backends)); !g.cached() && len(others) > 0 {
		likeName, like = others[0], p.Backends[others[0]].Costs
		like.StoreWork, like.StoreWriteWork = sim.Demand{}, sim.Demand{}
	}
	for _, w := range []struct {
		kind string
		d    *sim.Demand
		like sim.Demand
	}{
		{driverWork, &c.Driver, like.Driver}, {publishWork, &c.Publish, like.Publish}, {serveWork, &c.Serve, like.Serve},
		{storeWork, &c.StoreWork, like.StoreWork}, {cacheWork, &c.CacheWork, sim.Demand{}},
	} {
		var loads, own []load
		from := g.fitted
		if w.kind == storeWork {
			from = g.sameStore
		}
		for _, m := range from {
			if l, ok := m.work(w.kind); ok {
				loads = append(loads, l)
				if m.backend.Name == g.name {
					own = append(own, l)
				}
			}
		}
		const apart = 3 // runs tell requests, bytes and polls apart
		if w.like.PerRequest+w.like.PerMiB > 0 && len(loads) < apart {
			w.like.Latency = cost.Dist{}
			*w.d = w.like
			if w.kind == storeWork {
				c.StoreWriteWork = like.StoreWriteWork
			}
			warnings = append(warnings, fmt.Sprintf("backend %s: %d runs tell what %s takes of the processors, fewer than %d: it is taken to be what it is with %s", g.name, len(loads), w.kind, apart, likeName))
			continue
		}
		var left float64
		if w.kind == storeWork {
			*w.d, c.StoreWriteWork, left = storeDemand(loads, own)
			w.d.Idle += g.aside(w.d, &c.StoreWriteWork, own)
		} else {
			*w.d, left = demand(loads)
		}
		w.d.Idle = digits(w.d.Idle/g.nodes(w.kind), 3)
		const much = 0.01 // a tenth of the processor time, squared
		switch {
		case len(loads) > 0 && len(loads) < apart:
			warnings = append(warnings, fmt.Sprintf("backend %s: %d runs tell what %s takes of the processors, fewer than %d, too few to tell requests, bytes and polls apart: fit on runs with other edges and sizes, too", g.name, len(loads), w.kind, apart))
		case left > much:
			warnings = append(warnings, fmt.Sprintf("backend %s: what %s took of the processors is off by %.0f %% in the fit", g.name, w.kind, 100*math.Sqrt(left)))
		}
	}
	switch {
	case g.modelled():
		if c.Store, err = profiles.Load(b.Profile); err != nil {
			return c, warnings, fmt.Errorf("calibrate: backend %s: %w", g.name, err)
		}
		c.StoreWork.Latency = plain.Costs.StoreWork.Latency
	case ok:
		c.Store = plain.Costs.Store
	case g.cached():
		return c, warnings, fmt.Errorf("calibrate: backend %s: behind a cache too few reads come to the store to tell what they take: fit it together with runs of %s", g.name, plainName)
	default:
		c.Store = cost.Profile{Name: g.name + " store", About: "One operation of the store, as the origin's node sees it.", Source: "as the profile's"}
	}
	if g.cached() {
		c.Cache = cost.Profile{Name: g.name + " zone", About: "One operation of one cache zone, as the origin's node sees it.", Source: "as the profile's"}
	}
	c.Publish.Beside = g.beside(c.Publish, storm.Publish, storm.StoreWrite)
	c.Serve.Beside = g.beside(c.Serve, storm.Missing, storm.Missing)
	return clone(c), warnings, nil
}

// beside is which part of the work of d's requests they do not wait for: as much as is more than they take at all. What a class takes is its
// median, less that of another class if that is not the same.
func (g *group) beside(d sim.Demand, class, less storm.Class) float64 {
	var took, work float64
	for i := range g.fitted {
		b := &g.fitted[i].backend
		o, _ := operation(b, scenarios.StormPhase, class)
		v, ok := quantile(o.Service, 0.5)
		if !ok || o.Count == 0 {
			continue
		}
		bytes := int64(0)
		if class != less {
			other, _ := operation(b, scenarios.StormPhase, less)
			w, ok := quantile(other.Service, 0.5)
			if !ok {
				continue
			}
			v, bytes = v-w, o.Bytes/o.Count
		}
		took, work = took+v, work+d.Work(bytes).Seconds()*1000
	}
	if work == 0 || took >= work {
		return 0
	}
	return digits(1-max(0, took)/work, 3)
}

// aside takes from what operations of the store take of its processors what cannot be done while they are waited for, since they do not take that
// long: compactions, compilers and collectors, which run when they like. It returns how many cores that takes of all nodes together.
func (g *group) aside(read, write *sim.Demand, own []load) (cores float64) {
	if write.PerRequest+write.PerMiB == 0 {
		return 0
	}
	const most = 0.1 // of an operation's median is work, at most: of what was tried it is what explains runs of Cassandra best
	part := func(d sim.Demand, class storm.Class, times float64) float64 {
		least := 1.0
		for _, m := range g.sameStore {
			o, _ := operation(&m.backend, scenarios.StormPhase, class)
			v, ok := quantile(o.Service, 0.5)
			if m.scenario.Backends[0].Cache || !ok || o.Count == 0 {
				continue
			}
			cores := 1.0
			fmt.Sscan(m.run.Environment["cores"], &cores)
			if takes := d.Work(o.Bytes/o.Count).Seconds() * 1000 * times / cores; takes > 0 {
				least = min(least, most*v/takes)
			}
		}
		return least
	}
	b := g.fitted[0].scenario
	replicas := float64(max(1, min(3, b.Backends[0].Nodes)))
	ofReads := part(*read, storm.DVR, (math.Floor(replicas/2)+1)*float64(b.Event.Pipelines))
	ofWrites := part(*write, storm.StoreWrite, replicas)
	cores = idle(own, func(l load) float64 {
		return (1-ofReads)*(read.PerRequest.Seconds()*(l.requests-l.written)+read.PerMiB.Seconds()*(l.mib-l.writtenMiB)) +
			(1-ofWrites)*(write.PerRequest.Seconds()*l.written+write.PerMiB.Seconds()*l.writtenMiB)
	})
	for d, by := range map[*sim.Demand]float64{read: ofReads, write: ofWrites} {
		d.PerRequest, d.PerMiB = work(d.PerRequest.Seconds()*by), work(d.PerMiB.Seconds()*by)
	}
	return cores
}

// nodes is how many processes there are of a kind.
func (g *group) nodes(kind string) float64 {
	b := g.fitted[0].scenario.Backends[0]
	switch {
	case kind == storeWork:
		return float64(max(1, b.Nodes))
	case kind == cacheWork:
		return float64(max(1, b.Zones))
	}
	return 1
}

func (g *group) cached() bool { return g.fitted[0].scenario.Backends[0].Cache }

// modelled reports whether the group's store stands behind a profile, which is known.
func (g *group) modelled() bool {
	return g.fitted[0].scenario.Backends[0].Profile != scenarios.NoProfile
}

// part is a distribution that is found by trial.
type part struct {
	dist func(c *sim.Costs) *cost.Dist
	// perMiB is what size adds to it; nil: nothing.
	perMiB func(c *sim.Costs) *time.Duration
	// shown are the classes that show it, in storms; less those that show what else is in it: quantile for quantile it is taken off, as the
	// two go up and down together and a small part of a long time is told from what it adds only.
	shown, less []storm.Class
}

// parts returns what is to be found by trial of the group's backend.
func (g *group) parts() []part {
	reads := []storm.Class{storm.LiveEdge, storm.DVR}
	writes := []storm.Class{storm.StoreWrite}
	// operations is what one operation of a store or a cache takes.
	operations := func(of func(c *sim.Costs) *[]cost.Cost, shown []storm.Class) part {
		first := func(c *sim.Costs) *cost.Cost {
			costs := of(c)
			if len(*costs) == 0 {
				*costs = []cost.Cost{{}}
			}
			return &(*costs)[0]
		}
		return part{
			dist:   func(c *sim.Costs) *cost.Dist { return &first(c).Dist },
			perMiB: func(c *sim.Costs) *time.Duration { return &first(c).PerMiB }, shown: shown,
		}
	}
	all := []part{
		{dist: func(c *sim.Costs) *cost.Dist { return &c.Serve.Latency }, shown: []storm.Class{storm.Missing}},
		{dist: func(c *sim.Costs) *cost.Dist { return &c.Publish.Latency }, shown: []storm.Class{storm.Publish}, less: writes},
	}
	way := func(c *sim.Costs) *cost.Dist { return &c.StoreWork.Latency }
	switch {
	case g.cached():
		all = append(all, operations(func(c *sim.Costs) *[]cost.Cost { return &c.Cache.Read }, reads))
		if g.modelled() { // the store's write is known, and a zone's is what is left
			all = append(all, operations(func(c *sim.Costs) *[]cost.Cost { return &c.Cache.Write }, writes))
		} else { // a store that is spared the reads writes in another time than one that is not
			all = append(all, operations(func(c *sim.Costs) *[]cost.Cost { return &c.Store.Write }, writes))
		}
	case g.modelled():
		all = append(all, part{dist: way, shown: append(reads, storm.StoreWrite)})
	default:
		all = append(all, operations(func(c *sim.Costs) *[]cost.Cost { return &c.Store.Read }, reads),
			operations(func(c *sim.Costs) *[]cost.Cost { return &c.Store.Write }, writes))
	}
	return all
}

// shares are the quantiles that a part's distribution has: some of record.Latency.Points, where nothing lies between two values that are
// compared. They are written with as many digits as tell them apart from their neighbours.
func shares() (all []float64) {
	for _, k := range []int{1, 4, 8, 12, 16, 20, 24, 28, 32, 40} {
		all = append(all, digits(1-math.Exp2(-float64(k)/4), 5))
	}
	return all
}

// digits returns v with so many digits that count.
func digits(v float64, n int) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, float64(n-1)-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

// beyond is how many values must lie beyond a quantile that counts.
const beyond = 3

// quantile returns l's value at a share, in ms; ok is false where too few values lie beyond it.
func quantile(l record.Latency, share float64) (v float64, ok bool) {
	if (1-share)*float64(l.Count) < beyond {
		return 0, false
	}
	i := slices.IndexFunc(l.Points, func(p [2]float64) bool { return math.Abs(p[0]-share) < 1e-5 })
	if i < 0 {
		return 0, false
	}
	return l.Points[i][1], true
}

// least is the shortest that a distribution may say, and shortest from which time on, in ms, an error counts as a part of it.
const (
	least    = time.Microsecond
	shortest = 0.1
)

// shows returns what b shows of p at a share of the requests of a class, in ms, and how many there are.
func (p part) shows(b *record.Backend, class storm.Class, share float64) (v float64, n int64, ok bool) {
	o, _ := operation(b, scenarios.StormPhase, class)
	if v, ok = quantile(o.Service, share); !ok {
		return 0, 0, false
	}
	for _, less := range p.less {
		o, _ := operation(b, scenarios.StormPhase, less)
		w, ok := quantile(o.Service, share)
		if !ok {
			return 0, 0, false
		}
		v -= w
	}
	return v, o.Count, true
}

// begin fills in the distributions of parts for the first trial: half of what the measured runs show.
func (g *group) begin(c *sim.Costs, parts []part) {
	for _, p := range parts {
		var q cost.Quantiles
		for _, share := range shares() {
			sum, n := 0.0, 0.0
			for i := range g.fitted {
				for _, class := range p.shown {
					if v, _, ok := p.shows(&g.fitted[i].backend, class, share); ok {
						sum, n = sum+v, n+1
					}
				}
			}
			if n > 0 {
				q = append(q, cost.Quantile{P: share, Value: time.Duration(sum / n / 2 * float64(time.Millisecond))})
			}
		}
		if len(q) > 0 { // else nothing shows it
			*p.dist(c) = cost.Dist{Quantiles: rising(q)}
		}
	}
}

// rising makes q's values rise, and long enough.
func rising(q cost.Quantiles) cost.Quantiles {
	last := least
	for i := range q {
		q[i].Value = max(q[i].Value, last).Round(time.Microsecond)
		last = q[i].Value
	}
	return q
}

// damped is which part of a difference is corrected at a time: all of it would overshoot where two parts share it.
const damped = 0.8

// correct moves the quantiles of p's distribution by what the simulated runs show less of it than the measured ones, on average.
func (g *group) correct(p part, c *sim.Costs, found []record.Backend) {
	d := p.dist(c)
	if p.perMiB != nil && len(d.Quantiles) > 0 {
		more, mean := g.slope(p, found)
		per := p.perMiB(c)
		was := *per
		*per = max(0, *per+time.Duration(damped*more*float64(time.Millisecond))).Round(time.Microsecond)
		for i := range d.Quantiles { // what size takes now, the rest takes no more
			d.Quantiles[i].Value -= time.Duration(float64(*per-was) * mean)
		}
	}
	for i, q := range d.Quantiles {
		sum, weight := 0.0, 0.0
		for r := range g.fitted {
			for _, class := range p.shown {
				want, n, ok := p.shows(&g.fitted[r].backend, class, q.P)
				have, _, also := p.shows(&found[r], class, q.P)
				if ok && also {
					// Where requests wait for each other, what each takes adds up: short times tell more of it than long ones.
					w := float64(n)
					if p.less == nil {
						w /= max(want*want, shortest*shortest)
					}
					sum, weight = sum+w*(want-have), weight+w
				}
			}
		}
		if weight > 0 {
			d.Quantiles[i].Value += time.Duration(damped * sum / weight * float64(time.Millisecond))
		}
	}
	d.Quantiles = rising(d.Quantiles)
}

// sooner is by how much longer who waits for a copy waits in the simulated runs than in the measured ones, on average.
func (g *group) sooner(found []record.Backend) time.Duration {
	sum, n := 0.0, 0.0
	for i := range g.fitted {
		want, _ := held(g.fitted[i].backend)
		have, _ := held(found[i])
		if want != nil && have != nil {
			sum, n = sum+*have-*want, n+1
		}
	}
	if n == 0 {
		return 0
	}
	return time.Duration(damped * sum / n * float64(time.Millisecond))
}

// slope returns by how many ms for each MiB the measured medians of what shows p rise more than the simulated ones, from run to run, and of
// how many MiB the requests are on average. Runs of nearly one size tell nothing.
func (g *group) slope(p part, found []record.Backend) (more, mean float64) {
	var xs, ys []float64
	for r := range g.fitted {
		for _, class := range p.shown {
			o, _ := operation(&g.fitted[r].backend, scenarios.StormPhase, class)
			want, _, ok := p.shows(&g.fitted[r].backend, class, 0.5)
			have, _, also := p.shows(&found[r], class, 0.5)
			if ok && also && o.Count > 0 {
				xs, ys = append(xs, float64(o.Bytes)/float64(o.Count)/(1<<20)), append(ys, want-have)
			}
		}
	}
	if len(xs) == 0 {
		return 0, 0
	}
	mean, of := stat.Mean(xs, nil), stat.Mean(ys, nil)
	if slices.Max(xs) < 2*slices.Min(xs) {
		return 0, mean
	}
	var xy, xx float64
	for i, x := range xs {
		xy, xx = xy+(x-mean)*(ys[i]-of), xx+(x-mean)*(x-mean)
	}
	return xy / xx, mean
}

// off is by how much the simulated p50, p90 and p99 of all that is compared are off on average, as logarithms.
func (g *group) off(found []record.Backend) float64 {
	sum, n := 0.0, 0.0
	for i, m := range g.fitted {
		for _, c := range compared {
			want, _ := operation(&m.backend, c.phase, c.class)
			have, _ := operation(&found[i], c.phase, c.class)
			for _, p := range [][2]*float64{{want.Response.P50, have.Response.P50}, {want.Response.P90, have.Response.P90}, {want.Response.P99, have.Response.P99}} {
				if p[0] != nil && p[1] != nil && *p[0] > 0 && *p[1] > 0 {
					sum, n = sum+math.Abs(math.Log(*p[1] / *p[0])), n+1
				}
			}
		}
	}
	for i, m := range g.fitted {
		want, _ := held(m.backend)
		have, _ := held(found[i])
		if want != nil && have != nil && *want > 0 && *have > 0 {
			sum, n = sum+math.Abs(math.Log(*have / *want)), n+1
		}
	}
	if n == 0 {
		return math.Inf(1)
	}
	return sum / n
}

// clone returns c with distributions of its own.
func clone(c sim.Costs) sim.Costs {
	for _, costs := range []*[]cost.Cost{&c.Store.Write, &c.Store.Read, &c.Cache.Write, &c.Cache.Read} {
		*costs = slices.Clone(*costs)
		for i := range *costs {
			(*costs)[i].Quantiles = slices.Clone((*costs)[i].Quantiles)
		}
	}
	for _, d := range []*sim.Demand{&c.Publish, &c.Serve, &c.Driver, &c.StoreWork, &c.CacheWork} {
		d.Latency.Quantiles = slices.Clone(d.Latency.Quantiles)
	}
	return c
}

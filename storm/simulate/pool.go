package simulate

import (
	"fmt"
	"slices"

	"origin-storm/storm/entry"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
	"origin-storm/storm/verdict"
)

// Pool puts replications together: what Run found of c, or of a scenario with more backends than c's, each with a seed of its own. Percentiles are those of all replications' requests in
// one histogram, with intervals over replications (record.Recording.Pool); rates are means, counts are sums, and the thresholds are held
// against these. Each has to be whole; the same ones in the same order give the same results.
func Pool(c Config, replications []*Outcome) (record.Results, error) {
	c = c.filled()
	res := entry.Head(c.Scenario, c.Seed, "sim", started())
	res.Environment = map[string]string{}
	var copies []record.Copy
	var events []record.Event
	for _, b := range c.Scenario.Backends {
		m, err := c.model(b)
		if err != nil {
			return res, err
		}
		pool := record.New(m.recording)
		var f sim.Figures
		var segments record.Segments
		var offenders []record.Offender
		first := len(copies)
		for n, o := range replications {
			k := slices.IndexFunc(o.Results.Backends, func(of record.Backend) bool { return of.Name == b.Name })
			if k < 0 {
				return res, fmt.Errorf("simulate: %s: replication %d has no backend %s", c.Scenario.Name, n+1, b.Name)
			}
			rec, one := o.Recordings[k], o.Results.Backends[k]
			if err := pool.Pool(rec, n); err != nil {
				return res, fmt.Errorf("simulate: %s: replication %d: %w", c.Scenario.Name, n+1, err)
			}
			for _, of := range rec.Copies() {
				of.Event = fmt.Sprintf("%s/%d", of.Event, n+1) // segments of different replications have nothing to do with one another
				copies = append(copies, of)
			}
			add(&f, o.Figures[b.Name])
			s := one.Segments
			segments.Read, segments.Verified, segments.Flawed = segments.Read+s.Read, segments.Verified+s.Verified, segments.Flawed+s.Flawed
			offenders = append(offenders, one.Offenders...)
		}
		e := entry.Backend(pool, m.facts(), c.Scenario, c.Seed)
		e.Segments, _ = record.Tally(copies[first:], c.Scenario.Event.Segment.Duration().Seconds())
		e.Segments.Read, e.Segments.Verified, e.Segments.Flawed = segments.Read, segments.Verified, segments.Flawed
		e.Offenders = append(e.Offenders, offenders...)
		e.Cache = counts(f, m.topology).Cache(&e)
		e.Simulation.Tiers, e.Simulation.Events = tiers(f), f.Events
		for k := range e.Simulation.Tiers {
			mean(&e.Simulation.Tiers[k], len(replications))
		}
		e.Simulation.Extrapolated = m.extrapolated(c.Scenario, e)
		res.Backends = append(res.Backends, e)
	}
	for _, o := range replications {
		events = append(events, o.Events...)
	}
	verdict.Judge(&res, verdict.Conditions{Thresholds: c.Scenario.Thresholds, Copies: copies, Events: events, Strict: c.Strict})
	return res, nil
}

// add adds o to f, of the same model; what is a part of something is a sum then, too.
func add(f *sim.Figures, o sim.Figures) {
	f.CacheReads, f.CacheHits, f.StoreReads, f.StoreReadBytes = f.CacheReads+o.CacheReads, f.CacheHits+o.CacheHits, f.StoreReads+o.StoreReads, f.StoreReadBytes+o.StoreReadBytes
	f.StoreAsked, f.StoreReadTime = f.StoreAsked+o.StoreAsked, f.StoreReadTime+o.StoreReadTime
	f.Polls, f.PollKeys, f.Awaited, f.StorePolls = f.Polls+o.Polls, f.PollKeys+o.PollKeys, f.Awaited+o.Awaited, f.StorePolls+o.StorePolls
	f.MostStorePolls = max(f.MostStorePolls, o.MostStorePolls)
	f.Bodies, f.Published, f.Events = f.Bodies+o.Bodies, f.Published+o.Published, f.Events+o.Events
	f.ZoneWaits = append(f.ZoneWaits, o.ZoneWaits...)
	if f.Tiers == nil {
		for _, t := range o.Tiers {
			f.Tiers = append(f.Tiers, sim.Tier{Name: t.Name, Nodes: t.Nodes, Phases: map[string]float64{}, Tick: make([]float64, len(t.Tick))})
		}
	}
	for i, t := range o.Tiers {
		sum := &f.Tiers[i]
		sum.Queue = max(sum.Queue, t.Queue)
		for phase, busy := range t.Phases {
			sum.Phases[phase] += busy
		}
		for k, busy := range t.Tick {
			sum.Tick[k] += busy
		}
	}
}

// mean makes a sum over n replications their mean.
func mean(t *record.Tier, n int) {
	for phase := range t.Phases {
		t.Phases[phase] /= float64(n)
	}
	for i := range t.Tick {
		t.Tick[i] /= float64(n)
	}
}

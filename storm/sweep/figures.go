package sweep

import (
	"fmt"
	"math"
	"slices"

	"origin-storm/storm/entry"
	"origin-storm/storm/record"
	"origin-storm/storm/simulate"
)

// figures are those of b, which is all replications of one backend together; each are these alone.
func figures(b record.Backend, each []*simulate.Outcome) []Figure {
	g := gatherer{name: b.Name, each: each}
	for _, p := range b.Phases {
		for _, o := range p.Operations {
			at := p.Name + " " + o.Class
			g.latency(at+" response", o.Response, 0.5, 0.9, 0.99, 0.999)
			if slices.Contains(entry.ReadClasses, o.Class) {
				g.latency(at+" first-byte", o.FirstByte, 0.5, 0.99)
			}
			g.count(at+" count", o.Count)
			g.count(at+" errors", o.Errors)
		}
		if p.Reads > 0 {
			g.mean(p.Name+" reads throughput", "Gbit/s", func(b record.Backend) *float64 {
				return ofPhase(b, p.Name, func(p record.Phase) float64 { return p.ReadGbit })
			})
			g.mean(p.Name+" reads rate", "/s", func(b record.Backend) *float64 {
				return ofPhase(b, p.Name, func(p record.Phase) float64 { return p.Reads })
			})
		}
		g.latency(p.Name+" holds", p.Holds, 0.5, 0.99)
	}
	if b.Isolation != nil {
		g.ratio("write-isolation p50", b.Isolation.P50)
		g.ratio("write-isolation p99", b.Isolation.P99)
	}
	s := b.Segments
	for _, c := range []struct {
		name string
		n    int64
	}{{"published", s.Published}, {"late", s.Late}, {"missed", s.Missed}, {"lost", s.Lost}, {"torn", s.Torn}, {"wrong", s.Wrong}, {"stale", s.Stale},
		{"cross-pipeline", s.Cross}, {"out-of-order", s.OutOfOrder}} {
		g.count("segments "+c.name, c.n)
	}
	g.mean("cache hit-ratio", "", func(b record.Backend) *float64 { return b.Cache.HitRatio })
	g.mean("cache collapse-factor", "", func(b record.Backend) *float64 { return b.Cache.Collapse })
	g.mean("cache store-bytes", "", func(b record.Backend) *float64 { return b.Cache.StoreBytes })
	g.mean("cache store-reads", "", func(b record.Backend) *float64 { return new(float64(b.Cache.StoreReads)) })
	for i, t := range b.Simulation.Tiers {
		for _, p := range b.Phases {
			if _, ok := t.Phases[p.Name]; ok {
				g.mean(fmt.Sprintf("%s %s busy", p.Name, t.Name), "", func(b record.Backend) *float64 { return new(b.Simulation.Tiers[i].Phases[p.Name]) })
			}
		}
		g.all = append(g.all, Figure{Name: t.Name + " most waiting", Value: new(float64(t.Queue)), Count: int64(len(each))})
	}
	return g.all
}

// gatherer gathers the figures of one backend.
type gatherer struct {
	name string
	each []*simulate.Outcome
	all  []Figure
}

// latency adds percentiles.
func (g *gatherer) latency(name string, l record.Latency, quantiles ...float64) {
	if l.Count == 0 {
		return
	}
	for _, q := range quantiles {
		f := Figure{Name: name, Unit: "ms", Count: l.Count}
		switch q {
		case 0.5:
			f.Name, f.Value, f.CI = name+" p50", l.P50, l.P50CI
		case 0.9:
			f.Name, f.Value, f.CI = name+" p90", l.P90, l.P90CI
		case 0.99:
			f.Name, f.Value, f.CI = name+" p99", l.P99, l.P99CI
		case 0.999:
			f.Name, f.Value, f.CI = name+" p99.9", l.P999, l.P999CI
		}
		if f.Value == nil {
			f.Note = fmt.Sprintf("%d values are too few", l.Count)
		}
		g.all = append(g.all, f)
	}
	g.all = append(g.all, Figure{Name: name + " max", Unit: "ms", Value: l.Max, Count: l.Count})
}

// count adds a sum over the replications.
func (g *gatherer) count(name string, n int64) {
	g.all = append(g.all, Figure{Name: name, Value: new(float64(n)), Count: int64(len(g.each))})
}

// ratio adds one that has its interval.
func (g *gatherer) ratio(name string, r record.Ratio) {
	g.all = append(g.all, Figure{Name: name, Value: r.Ratio, CI: r.CI, Count: int64(len(g.each)), Note: r.Note})
}

// mean adds the mean of what the replications have, unless one has nothing, with Student's interval.
func (g *gatherer) mean(name, unit string, of func(record.Backend) *float64) {
	var values []float64
	for _, o := range g.each {
		for _, b := range o.Results.Backends {
			if b.Name != g.name {
				continue
			}
			if v := of(b); v != nil {
				values = append(values, *v)
			}
		}
	}
	if len(values) < len(g.each) {
		return
	}
	n := float64(len(values))
	var sum, squares float64
	for _, v := range values {
		sum += v
	}
	f := Figure{Name: name, Unit: unit, Value: new(sum / n), Count: int64(len(values))}
	for _, v := range values {
		squares += (v - *f.Value) * (v - *f.Value)
	}
	if len(values) > 1 {
		half := student(len(values)) * math.Sqrt(squares/(n-1)/n)
		f.CI = &[2]float64{*f.Value - half, *f.Value + half}
	}
	g.all = append(g.all, f)
}

// ofPhase is a figure of the phase of that name.
func ofPhase(b record.Backend, name string, figure func(record.Phase) float64) *float64 {
	for _, p := range b.Phases {
		if p.Name == name {
			return new(figure(p))
		}
	}
	return nil
}

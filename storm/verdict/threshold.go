package verdict

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat/distuv"

	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/record"
)

// answer is what a threshold's figure was found to be: known, or why not.
type answer struct {
	value float64
	known bool
	note  string

	estimated bool        // value is an estimate: of a percentile, or of a ratio of two
	ci        *[2]float64 // its interval, nil where there is none

	part, whole int64 // of a share
}

func known(v float64) answer { return answer{value: v, known: true} }

func untold(format string, a ...any) answer { return answer{note: fmt.Sprintf(format, a...)} }

// share is part of whole, in percent where the unit says so.
func share(part, whole int64, unit string) answer {
	switch {
	case unit != "%":
		return known(float64(part))
	case whole == 0:
		return untold("a share of nothing")
	}
	a := known(100 * float64(part) / float64(whole))
	a.part, a.whole = part, whole
	return a
}

// certainly reports whether the share that a is an instance of is above limit, in percent, with 97.5 %.
func (a answer) certainly(limit float64) bool {
	return distuv.Binomial{N: float64(a.whole), P: min(1, limit/100)}.CDF(float64(a.part)-1) >= 0.975
}

// evaluate holds one threshold against each backend that it speaks of; one on the driver, against the driver.
func evaluate(r record.Results, copies []record.Copy, t scenarios.Threshold) []record.Threshold {
	line := func(backend string, a answer) record.Threshold {
		out := record.Threshold{Text: t.String(), Backend: backend, Limit: t.Value, Unit: t.Unit, Note: a.note}
		if a.known {
			out.Actual, out.OK, out.CI = &a.value, t.Holds(a.value), a.ci
			out.Uncertain = a.estimated && (a.ci == nil || t.Holds(a.ci[0]) != out.OK || t.Holds(a.ci[1]) != out.OK)
		}
		if out.Uncertain {
			why := "uncertain: no interval is known"
			if a.ci != nil {
				why = fmt.Sprintf("uncertain: its interval, %s to %s, holds the limit", figure(a.ci[0], t.Unit), figure(a.ci[1], t.Unit))
			}
			out.Note = strings.TrimSuffix(why+"; "+out.Note, "; ")
		}
		return out
	}
	if t.Subject == scenarios.Drivers {
		return []record.Threshold{line("", driver(r, t))}
	}
	var out []record.Threshold
	for _, b := range r.Backends {
		if t.Backend == "" || t.Backend == b.Name {
			out = append(out, line(b.Name, of(r, b, copies, t)))
		}
	}
	if len(out) == 0 {
		out = append(out, line(t.Backend, untold("it was not measured")))
	}
	return out
}

// of finds the figure of one backend.
func of(r record.Results, b record.Backend, copies []record.Copy, t scenarios.Threshold) answer {
	switch t.Subject {
	case scenarios.Segments:
		return segments(r, b, copies, t)
	case scenarios.Holds:
		return holds(b, t)
	case scenarios.CacheUse:
		return cache(b, t)
	case scenarios.EdgeUse:
		return edge(b, t)
	case scenarios.Isolation:
		return isolation(b, t)
	}
	return requests(b, t)
}

// driver finds a figure of the driver's own account.
func driver(r record.Results, t scenarios.Threshold) answer {
	switch t.Figure {
	case "lag-p99":
		return nullable(r.Driver.LagP99, "too few requests")
	case "dropped":
		return known(float64(r.Driver.Dropped))
	}
	return untold("no such figure")
}

// nullable is a figure of the results that may be null.
func nullable(p *float64, why string) answer {
	if p == nil || math.IsNaN(*p) || math.IsInf(*p, 0) {
		return untold("%s", why)
	}
	return known(*p)
}

// isolation finds a ratio of storm to quiet.
func isolation(b record.Backend, t scenarios.Threshold) answer {
	if b.Isolation == nil {
		return untold("there was no quiet, or no storm")
	}
	ratio := b.Isolation.P50
	if t.Figure == "p99" {
		ratio = b.Isolation.P99
	}
	a := nullable(ratio.Ratio, cmp.Or(ratio.Note, "too few writes"))
	a.estimated, a.ci = true, ratio.CI
	return a
}

// cache finds how reads fell on cache and store.
func cache(b record.Backend, t scenarios.Threshold) answer {
	const none = "no cache, or nothing was read through it; thresholds on the cache can name a backend"
	c := b.Cache
	switch t.Figure {
	case "hit-ratio":
		a := nullable(c.HitRatio, none)
		a.value *= 100
		return a
	case "collapse-factor":
		return nullable(c.Collapse, "nothing was read from the store")
	case "store-bytes":
		return nullable(c.StoreBytes, "nothing was published")
	case "zone-wait-p99":
		return nullable(c.ZoneWaitP99, none)
	case "store-reads":
		return known(float64(c.StoreReads))
	case "polls":
		return known(float64(c.Polls))
	case "awaited":
		return known(float64(c.Awaited))
	case "store-polls":
		return known(float64(c.StorePolls))
	case "most-store-polls":
		return known(float64(c.MostStorePolls))
	}
	return untold("no such figure")
}

// edge finds how readers' requests fell on the edge and the origin.
func edge(b record.Backend, t scenarios.Threshold) answer {
	e := b.Edge
	if e == nil {
		return untold("the origin's counts are not known")
	}
	switch t.Figure {
	case "fetches-per-segment":
		return nullable(e.FetchesPerSegment, "no segment was asked for")
	case "hit-ratio":
		a := nullable(e.HitRatio, "nothing was read")
		a.value *= 100
		return a
	case "reads":
		return share(e.Reads, e.Reads, t.Unit)
	case "not-found":
		return share(e.NotFound, e.NotFound, t.Unit)
	case "not-found-fetched":
		return share(e.NotFoundFetched, e.NotFound, t.Unit)
	case "shed":
		return share(e.Shed, e.Shed, t.Unit)
	case "shed-fetched":
		return share(e.ShedFetched, e.Shed, t.Unit)
	}
	return untold("no such figure")
}

// part is one class of requests in one phase.
type part struct {
	phase record.Phase
	op    record.Operation
}

func (p part) String() string { return p.phase.Name + " " + p.op.Class }

// requests finds a figure of a class of requests, or of all reads. Counts and rates are added up over classes and phases.
// Percentiles cannot be: where the threshold covers several, it holds if it holds for each, so the worst one is taken.
func requests(b record.Backend, t scenarios.Threshold) answer {
	var parts []part
	var seconds, gbit float64
	for _, p := range b.Phases {
		if t.Phase == "" && p.Name == scenarios.WarmUpPhase || t.Phase != "" && t.Phase != p.Name {
			continue
		}
		seconds += p.Seconds
		gbit += p.ReadGbit * p.Seconds
		for _, op := range p.Operations {
			if op.Class == t.Subject || t.Subject == scenarios.AllReads && reads(op.Class) {
				parts = append(parts, part{p, op})
			}
		}
	}
	var sum record.Operation
	for _, p := range parts {
		sum.Count += p.op.Count
		sum.Errors += p.op.Errors
		sum.Dropped += p.op.Dropped
		sum.Bytes += p.op.Bytes
	}
	switch t.Figure {
	case "count":
		return share(sum.Count, sum.Count, t.Unit)
	case "errors":
		return share(sum.Errors, sum.Count, t.Unit)
	case "dropped":
		return share(sum.Dropped, sum.Count+sum.Dropped, t.Unit)
	}
	if t.Latency == "" && !(seconds > 0) {
		return untold("no time was measured")
	}
	switch t.Figure {
	case "rate":
		return known(float64(sum.Count) / seconds)
	case "throughput":
		if t.Subject == scenarios.AllReads {
			return known(gbit / seconds) // as the phase counts it: where reads ended
		}
		return known(float64(sum.Bytes) * 8 / 1e9 / seconds)
	}
	return percentile(parts, t)
}

// reads reports whether a class counts into the read figures.
func reads(class string) bool {
	for c := range storm.Classes {
		if c.String() == class {
			return c.Reads()
		}
	}
	return false
}

// holds finds how long after their publication held reads were answered: of several phases the worst.
func holds(b record.Backend, t scenarios.Threshold) answer {
	var parts []part
	var count int64
	for _, p := range b.Phases {
		if t.Phase == "" && p.Name == scenarios.WarmUpPhase || t.Phase != "" && t.Phase != p.Name {
			continue
		}
		parts = append(parts, part{p, record.Operation{Class: scenarios.Holds, Count: p.Holds.Count, Response: p.Holds}})
		count += p.Holds.Count
	}
	if t.Figure == "count" {
		return share(count, count, t.Unit)
	}
	t.Latency = scenarios.Response
	return percentile(parts, t)
}

// percentile finds the worst of the parts' percentiles. Its interval is from the worst of their lower bounds to the worst of their
// upper ones, and there is none unless each has one.
func percentile(parts []part, t scenarios.Threshold) answer {
	worse := func(a, b float64) float64 { return max(a, b) }
	if strings.HasPrefix(t.Op, ">") {
		worse = func(a, b float64) float64 { return min(a, b) }
	}
	worst := untold("nothing was measured")
	for _, p := range parts {
		if p.op.Count == 0 {
			continue
		}
		l := map[string]record.Latency{scenarios.Response: p.op.Response, scenarios.Service: p.op.Service, scenarios.Lag: p.op.Lag,
			scenarios.FirstByte: p.op.FirstByte, scenarios.AfterAnswer: p.op.AfterAnswer}[t.Latency]
		all := figures(&l)
		i := slices.IndexFunc(all, func(f field) bool { return f.name == t.Figure })
		if i < 0 {
			return untold("no such figure")
		}
		a := nullable(*all[i].p, fmt.Sprintf("%s: %s", p, cmp.Or(l.Note, "the sample is too small")))
		if !a.known {
			return a
		}
		if all[i].ci != nil {
			a.estimated, a.ci = true, *all[i].ci
		}
		if len(parts) > 1 {
			a.note = fmt.Sprintf("the worst of %d: %s", len(parts), p)
		}
		if !worst.known {
			worst = a
			continue
		}
		if a.ci != nil && worst.ci != nil {
			a.ci = &[2]float64{worse(a.ci[0], worst.ci[0]), worse(a.ci[1], worst.ci[1])}
		} else {
			a.ci = nil
		}
		if worse(a.value, worst.value) == worst.value {
			a.value, a.note = worst.value, worst.note
		}
		worst = a
	}
	return worst
}

// segments finds what became of the segments, of the whole run or of one phase.
func segments(r record.Results, b record.Backend, copies []record.Copy, t scenarios.Threshold) answer {
	s := b.Segments
	var all int64 // segments, whatever their pipelines
	if t.Phase != "" || t.Unit == "%" {
		if copies == nil {
			return untold("what became of each segment was not kept")
		}
		of := slices.DeleteFunc(slices.Clone(copies), func(c record.Copy) bool { return c.Backend != b.Name || t.Phase != "" && c.Phase != t.Phase })
		var tally record.Segments
		tally, all = record.Tally(of, r.SegmentMS/1000)
		if t.Phase != "" {
			s = tally
			if t.Figure == "read" || t.Figure == "verified" || t.Figure == "flawed" {
				return untold("bodies read are counted for the whole run; leave %q out", t.Phase)
			}
		}
	}
	switch t.Figure {
	case "published":
		return share(s.Published, s.Published, t.Unit)
	case "acknowledged":
		return share(s.Acknowledged, s.Published, t.Unit)
	case "read":
		return share(s.Read, s.Read, t.Unit)
	case "verified":
		return share(s.Verified, s.Read, t.Unit)
	case "flawed":
		return share(s.Flawed, s.Read, t.Unit)
	case "lost":
		return share(s.Lost, s.Acknowledged, t.Unit)
	case "torn":
		return share(s.Torn, s.Published, t.Unit)
	case "wrong":
		return share(s.Wrong, s.Published, t.Unit)
	case "stale":
		return share(s.Stale, s.Published, t.Unit)
	case "cross-pipeline":
		return share(s.Cross, s.Published, t.Unit)
	case "out-of-order":
		return share(s.OutOfOrder, all, t.Unit)
	case "late":
		return share(s.Late, all, t.Unit)
	case "missed":
		return share(s.Missed, all, t.Unit)
	case "longest-gap":
		return known(s.LongestGap * 1000)
	case "slack-p50":
		return nullable(s.SlackP50, "too few segments were read")
	case "slack-p1":
		return nullable(s.SlackP1, "too few segments were read")
	}
	return untold("no such figure")
}

package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"origin-storm/storm/record"
)

// page is what a report says, in the order in which it is said: the verdict, the comparison, the thresholds, then what one needs
// to believe or to doubt them. HTML and Markdown are two ways to write it down.
type page struct {
	Scenario, About string
	Verdict         string // passed, failed, …
	Sentence        string
	Reasons         []string
	When            string

	Table   grid
	Legend  string
	Limits  grid // thresholds, actual against limit
	Fates   grid // what became of the segments
	Guilty  grid // the first segments that something was wrong with; without rows where there were none
	Classes grid // every class of request
	Happens grid // faults, deaths
	Cache   grid
	Cores   grid // how busy processors were; without rows where nothing is pinned
	Holds   grid // how soon after a publication who waited was answered; without rows where nobody did
	Edges   grid // what edges between readers and origin did; without rows where no backend has one

	Notes  []string // warnings that travel with the figures
	Cannot []string // what this run cannot say
	// Of a simulated run, what its figures rest on, what of it is extrapolated, how far off the simulator was, and how busy its parts.
	Basis        string
	Extrapolated []string
	Errors       grid
	Tiers        grid
	Environment  grid
	Repeat       string
}

// grid is a table of texts. A row of one cell is a heading across all columns.
type grid struct {
	Heads []string
	Rows  [][]string
	Notes []string
}

// newPage collects what a run has to say.
func newPage(run Run) page {
	r := run.Results
	p := page{
		Scenario: r.Scenario, About: r.About, Verdict: cmp.Or(r.Verdict, "not judged"), Reasons: r.Reasons,
		Sentence: cmp.Or(r.Sentence, "No verdict was reached."),
		Legend:   legends(r),
		Repeat:   repeat(r),
	}
	if len(p.Reasons) == 1 && strings.Contains(p.Sentence, p.Reasons[0]) {
		p.Reasons = nil // the sentence says it
	}
	var when []string
	if !r.Started.IsZero() {
		when = append(when, r.Started.UTC().Format(time.RFC3339))
	}
	p.When = strings.Join(append(when, mode(r)+" run", fmt.Sprintf("seed %d", r.Seed), segmentName(r)+"s"), ", ")

	t := comparison(r)
	p.Table = grid{Heads: slices.Clone(t.heads), Notes: t.notes}
	p.Table.Heads[colRead], p.Table.Heads[colHit], p.Table.Heads[colMissed] = "read "+t.heads[colRead], "hit ratio", "missed"
	for _, g := range t.groups {
		p.Table.Rows = append(append(p.Table.Rows, []string{g.name}), g.rows...)
	}
	p.Limits = limits(r)
	p.Fates, p.Classes, p.Cache, p.Holds, p.Edges, p.Cores = segmentFates(r), classes(r), caches(r), holds(r), edges(r), cores(r)
	p.Guilty = offenders(r)
	p.Basis, p.Extrapolated = simulatedBasis(r)
	p.Errors, p.Tiers = statedErrors(r), tiers(r)
	p.Happens = happenings(run)
	p.Notes = notes(run)
	p.Cannot = cannot(r)

	p.Environment.Heads = []string{"", ""}
	var names []string
	for name := range r.Environment {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p.Environment.Rows = append(p.Environment.Rows, []string{name, r.Environment[name]})
	}
	d := r.Driver
	if r.Mode != "sim" { // virtual time needs no driver
		p.Environment.Rows = append(p.Environment.Rows, []string{"driver",
			fmt.Sprintf("%d processes, %s s of CPU time, lag p99 %s, %s requests dropped", d.Processes, number(d.CPUSeconds), orUnknown(d.LagP99, " ms"), count(d.Dropped))})
	}
	if c := d.Ceiling; c != nil {
		p.Environment.Rows = append(p.Environment.Rows, []string{"driver's own ceiling", fmt.Sprintf("%s requests/s, %s Gbit/s against a target that does nothing; the busiest phase took %s %% and %s %% of that",
			number(c.Requests), number(c.Gbit), number(100*c.RequestsUsed), number(100*c.GbitUsed))})
	}
	for _, b := range r.Backends {
		if s := b.Stolen; s != nil {
			p.Environment.Rows = append(p.Environment.Rows, []string{"taken by others, " + b.Name,
				fmt.Sprintf("%s %% of the processors by other processes and the kernel, %s %% by the hypervisor; %s of them were free", number(100*s.Others), number(100*s.Hypervisor), number(s.Free))})
		}
	}
	return p
}

// mode is how the run came about, in a word.
func mode(r record.Results) string {
	if r.Mode == "sim" {
		return "simulated"
	}
	return cmp.Or(r.Mode, "unknown")
}

// orUnknown writes a figure that may be null.
func orUnknown(p *float64, unit string) string {
	if v, ok := value(p); ok {
		return number(v) + unit
	}
	return unknown
}

// named is a backend's name with what its figures are, wherever only the name is known.
func named(r record.Results, name string) string {
	for _, b := range r.Backends {
		if b.Name == name {
			return kind(b)
		}
	}
	return name
}

// limits lists the thresholds.
func limits(r record.Results) grid {
	g := grid{Heads: []string{"", "threshold", "backend", "actual", "limit", ""}}
	for _, t := range r.Thresholds {
		state := "✗ broken"
		switch {
		case t.Aborted:
			state = "✗ stopped the run"
		case t.Actual == nil:
			state = "? unknown"
		case t.OK && t.Uncertain:
			state = "~ holds, uncertain"
		case t.Uncertain:
			state = "~ broken, uncertain"
		case t.OK:
			state = "✓ holds"
		}
		unit := t.Unit
		if unit != "" {
			unit = " " + unit
		}
		g.Rows = append(g.Rows, []string{state, t.Text, named(r, t.Backend), orUnknown(t.Actual, unit), number(t.Limit) + unit, t.Note})
	}
	return g
}

// segmentFates lists what became of the segments.
func segmentFates(r record.Results) grid {
	g := grid{Heads: []string{"backend", "published", "acknowledged", "bodies read", "verified", "late", "missed", "lost", "torn", "wrong", "stale", "cross-pipeline",
		"out of order", "slack p50", "slack p1", "longest gap"}}
	for _, b := range r.Backends {
		s := b.Segments
		g.Rows = append(g.Rows, []string{kind(b), count(s.Published), count(s.Acknowledged), count(s.Read), count(s.Verified), count(s.Late), count(s.Missed),
			count(s.Lost), count(s.Torn), count(s.Wrong), count(s.Stale), count(s.Cross), count(s.OutOfOrder), orUnknown(s.SlackP50, " ms"), orUnknown(s.SlackP1, " ms"), number(s.LongestGap) + " s"})
	}
	return g
}

// offenders lists the first segments that something was wrong with.
func offenders(r record.Results) grid {
	g := grid{Heads: []string{"backend", "what", "segment", "pipeline", "reader", "at", ""}}
	for _, b := range r.Backends {
		for _, o := range b.Offenders {
			g.Rows = append(g.Rows, []string{kind(b), o.Kind, o.Segment, orDash(o.Pipeline), orDash(o.Reader), number(o.At) + " s", o.What})
		}
	}
	if len(g.Rows) > 0 {
		g.Notes = append(g.Notes, "the first few of each kind; segments.ndjson has the outcome of every segment")
	}
	return g
}

// orDash writes a name that may be empty.
func orDash(s string) string { return cmp.Or(s, unknown) }

// caches lists how the reads fell on cache and store.
func caches(r record.Results) grid {
	g := grid{Heads: []string{"backend", "values read", "of the cache", "hit ratio", "store reads", "reads per store read", "store bytes per published byte",
		"polls", "segments awaited", "store polls for them", "for one at most", "wait for slowest zone p99"}}
	for _, b := range r.Backends {
		c := b.Cache
		hits, hit := unknown, unknown
		if v, ok := value(c.HitRatio); ok {
			hits, hit = count(c.Hits), percent(v)
		}
		g.Rows = append(g.Rows, []string{kind(b), count(c.Reads), hits, hit, count(c.StoreReads), orUnknown(c.Collapse, ""), orUnknown(c.StoreBytes, ""),
			count(c.Polls), count(c.Awaited), count(c.StorePolls), count(c.MostStorePolls), orUnknown(c.ZoneWaitP99, " ms")})
	}
	return g
}

// holds lists how long after a publication who waited for it was answered.
func holds(r record.Results) grid {
	g := grid{Heads: []string{"backend", "phase", "segments", "p50 ms", "p90 ms", "p99 ms", "95 % interval", "p99.9 ms", "max ms"}}
	for _, b := range r.Backends {
		for _, p := range b.Phases {
			l := p.Holds
			if l.Count == 0 {
				continue
			}
			interval := unknown
			if l.P99CI != nil {
				interval = number(l.P99CI[0]) + " to " + number(l.P99CI[1])
			}
			g.Rows = append(g.Rows, []string{kind(b), p.Name, count(l.Count), orUnknown(l.P50, ""), orUnknown(l.P90, ""), orUnknown(l.P99, ""), interval,
				orUnknown(l.P999, ""), orUnknown(l.Max, "")})
		}
	}
	return g
}

// classes lists every class of request in every phase.
func classes(r record.Results) grid {
	g := grid{Heads: []string{"phase", "class", "count", "errors", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms", "first byte p50 ms", "first byte p99 ms",
		"driver lag p99 ms"}}
	for _, b := range r.Backends {
		g.Rows = append(g.Rows, []string{kind(b)})
		for _, p := range b.Phases {
			for _, op := range p.Operations {
				if op.Count == 0 && op.Dropped == 0 && op.Faulted == 0 {
					continue
				}
				l := op.Response
				g.Rows = append(g.Rows, []string{p.Name, op.Class, count(op.Count), count(op.Errors), orUnknown(l.P50, ""), orUnknown(l.P90, ""), orUnknown(l.P99, ""),
					orUnknown(l.P999, ""), orUnknown(l.Max, ""), orUnknown(op.FirstByte.P50, ""), orUnknown(op.FirstByte.P99, ""), orUnknown(op.Lag.P99, "")})
			}
		}
	}
	g.Notes = append(g.Notes, "probe: the run's own reader, which waits for each segment to learn when it is readable; it counts into no other read figure")
	return g
}

// happenings lists what happened to the target, with its instant.
func happenings(run Run) grid {
	g := grid{Heads: []string{"backend", "at", "what", ""}}
	for _, e := range run.Events {
		what := map[string]string{"fault": "fault", "fault-end": "fault ends", "death": "died unasked"}[e.Kind]
		if what == "" {
			continue
		}
		g.Rows = append(g.Rows, []string{named(run.Results, e.Backend), number(e.At) + " s", what, e.Text})
	}
	return g
}

// notes are the warnings of a run. Many of one kind would hide the others, so that each backend has a bounded number.
func notes(run Run) []string {
	const bound = 12
	var out []string
	for _, b := range run.Results.Backends {
		var own []string
		for _, n := range b.Notes {
			own = append(own, b.Name+": "+n)
		}
		for _, p := range phases(b) {
			for _, op := range p.Operations {
				if op.Errors > 0 || op.Dropped > 0 {
					own = append(own, fmt.Sprintf("%s: %s %s: %s", b.Name, p.Name, op.Class, failures(op)))
				}
			}
		}
		for _, e := range run.Events {
			if e.Kind == "warning" && e.Backend == b.Name {
				own = append(own, fmt.Sprintf("%s at %s s: %s", b.Name, number(e.At), e.Text))
			}
		}
		own = unique(own)
		if len(own) > bound {
			own = append(own[:bound], fmt.Sprintf("%s: and %d more; events.ndjson and results.json have them all", b.Name, len(own)-bound))
		}
		out = append(out, own...)
	}
	for _, e := range run.Events {
		if e.Kind == "warning" && e.Backend == "" {
			out = append(out, e.Text)
		}
	}
	for _, n := range run.Results.Driver.Notes {
		out = append(out, "driver: "+n)
	}
	return unique(out)
}

// failures says what went wrong with requests of one class.
func failures(op record.Operation) string {
	var parts []string
	if op.Errors > 0 {
		parts = append(parts, fmt.Sprintf("%s of %s failed", count(op.Errors), count(op.Count)))
	}
	if op.Dropped > 0 {
		parts = append(parts, fmt.Sprintf("%s could not be sent", count(op.Dropped)))
	}
	var kinds []string
	for kind := range op.Statuses {
		if kind != "200" && kind != "201" && kind != "206" && kind != "304" {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	for i, kind := range kinds {
		kinds[i] = fmt.Sprintf("%s × %d", kind, op.Statuses[kind])
	}
	if len(kinds) > 0 {
		parts = append(parts, "("+strings.Join(kinds, ", ")+")")
	}
	return strings.Join(parts, " ")
}

// cannot lists what a run of this kind is no evidence for.
func cannot(r record.Results) []string {
	var out []string
	if r.Mode == "sim" {
		out = append(out, "Nothing was measured: the run was simulated, and its figures are as good as the profile they rest on.")
	} else if r.Environment["target"] == "" {
		out = append(out, "Everything ran on one machine over loopback: no network card, no switch, no packets lost and no incast (many senders meeting in one port) had "+
			"a part in it, and driver, origin and stores shared its processors.")
	}
	var modelled, stands []string
	for _, b := range r.Backends {
		if b.Provenance == "modelled" {
			modelled = append(modelled, b.Name)
		}
		if strings.HasPrefix(b.Name, "embedded") {
			stands = append(stands, b.Name)
		}
	}
	if len(modelled) > 0 {
		out = append(out, strings.Join(modelled, ", ")+": the write latency is a profile's and was put in, not found out. Reads are not modelled: their figures are this machine's.")
	}
	if len(stands) > 0 {
		out = append(out, strings.Join(stands, ", ")+": an embedded store in a process of its own. It says nothing about a cluster, its replication or its failures.")
	}
	for _, b := range r.Backends {
		if b.Published != nil {
			out = append(out, "Published figures are other people's, from other machines and loads, read off a chart: they give a scale, and meeting them proves nothing about their system.")
			break
		}
	}
	if r.Mode == "sim" {
		return append(out, "One run is one seed. Intervals hold what varied inside the run, and nothing of how far off the profile is; other seeds, or a sweep with replications, show what chance makes of it.")
	}
	return append(out, "One run is one sample of this machine on this day. Intervals hold what varied inside the run; to tell two runs apart, compare several of each.")
}

// repeat is the command that does the run again.
func repeat(r record.Results) string {
	if c := r.Environment["command"]; c != "" {
		return c
	}
	verb := "run"
	if r.Mode == "sim" {
		verb = "simulate"
	}
	return fmt.Sprintf("origin-storm %s scenario.yaml --seed %d", verb, r.Seed)
}

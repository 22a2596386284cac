// Command reproduce holds what was published of a live origin against what this one finds: it simulates the scenarios fight-night, storm-100g
// and published, and writes the table of docs/reproduction.md. It measures nothing; what is neither simulated nor counted here is said to be so.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/origin/stress"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/capacity"
	"origin-storm/storm/record"
	"origin-storm/storm/sim/profiles"
	"origin-storm/storm/simulate"
)

// file is what is written.
const file = "docs/reproduction.md"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "reproduce:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, progress io.Writer) error {
	var found [2]*capacity.Report
	var event scenarios.Scenario
	for i, name := range []string{"fight-night", "storm-100g"} {
		s, _, err := scenarios.Load(name)
		if err != nil {
			return err
		}
		if i == 0 {
			event = s
		}
		found[i], err = capacity.Find(ctx, capacity.Config{Scenario: s, Seed: 1, Command: "origin-storm capacity " + name, Progress: func(done, known int, what string) {
			fmt.Fprintf(progress, "%s: %d of %d simulations\n", name, done, known)
		}})
		if err != nil {
			return err
		}
	}
	fmt.Fprintln(progress, "published")
	writes, err := published(ctx)
	if err != nil {
		return err
	}
	text := page(event, found[0], found[1], writes)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	_, err = io.WriteString(out, text)
	return err
}

// published simulates the scenario of that name and returns the store writes by backend.
func published(ctx context.Context) (map[string]record.Latency, error) {
	s, _, err := scenarios.Load("published")
	if err != nil {
		return nil, err
	}
	o, err := simulate.Run(ctx, simulate.Config{Scenario: s, Seed: 1})
	if err != nil {
		return nil, err
	}
	out := map[string]record.Latency{}
	for _, b := range o.Results.Backends {
		for _, p := range b.Phases {
			for _, op := range p.Operations {
				if op.Class == storm.StoreWrite.String() && p.Name == scenarios.QuietPhase {
					out[b.Name] = op.Service
				}
			}
		}
	}
	return out, nil
}

// row is one published figure with ours beside it.
type row struct{ what, published, status, ours, kind string }

// The sources, as they are numbered below the table.
const (
	lo = "[1]"
	b1 = "[2]"
	b2 = "[3]"
	sl = "[4]"
	vb = "[5]"
)

// What a published figure is.
const (
	stated  = "design, stated"
	account = "read off a chart by accounts of it"
	claim   = "a statement of what it can do, not a measurement at the event"
	asserts = "stated, without how it was measured"
	test    = "a test of theirs"
)

// What ours is.
const (
	built     = "by construction"
	counted   = "counted"
	simulated = "simulated"
	modelled  = "simulated, of a store modelled after that very figure"
	nothing   = "no answer"
)

func rows(event scenarios.Scenario, fight, storm100 *capacity.Report, writes map[string]record.Latency) []row {
	s3, kv := writes["s3"], writes["kv"]
	chosen := fight.Backends[len(fight.Backends)-1]
	alone := byName(storm100, "cassandra")
	cached := byName(storm100, "cassandra+cache")
	origin := fight.Demand[len(fight.Demand)-1]
	return []row{
		{"duration of a segment", "2 s " + b1, stated, "2 s, `event.segment` of both scenarios", built},
		{"time in which a write is retried", "2 s " + lo, stated, fmt.Sprint(segment.Budget), built},
		{"a write that is to be looked into", "above 500 ms " + lo, stated, "the threshold `storm publish response p99 < 500ms`; " + held(chosen.Target), simulated},
		{"write p50 and p99 of S3", "113 and 267 ms " + lo, account, pair(s3), modelled},
		{"write p50 and p99 of the key-value store", "25 and 129 ms " + lo, account, pair(kv), modelled},
		{"publishes of one event above which S3 throttled", "100 a second " + b2, asserts + "; AWS documents 3,500", "100 a second in the profile `s3-2024`; fight-night publishes 50", built},
		{"peak of concurrent streams", "65 million " + lo, asserts, people(fight) + ", an input", built},
		{"caches that ask at a time", "“dozens” " + lo, asserts, fmt.Sprintf("%d at the origin of each of %d regions, an input", chosen.Asked.Fillers, fight.Regions), built},
		{"what they ask the origin for at that peak", "never published", "", fmt.Sprintf("%.0f requests a second and %.0f Gbit/s in all regions, with collapsing", origin.Requests, origin.Gbit), counted},
		{"reads in the worst case", "O(100 Gbit/s) " + lo, "back of the envelope", fmt.Sprintf("%.0f Gbit/s: 250 caches, 50 renditions of 8 Mbit/s", storm100.AskedGbit), counted},
		{"Cassandra alone at 100 Gbit/s", "reached, with unacceptable writes " + lo, asserts, without(alone) + "; sized for it (" + nodes(alone) + "): " + point(alone.Target), simulated},
		{"with a cache at 100 Gbit/s", "", "", point(cached.Target) + " on " + nodes(cached), simulated},
		{"with a cache at 200 Gbit/s “and beyond”", "writes not affected " + lo, claim, fmt.Sprintf("%s; in quiet %s; on %s", point(chosen.Target), p99(chosen.Target.Quiet), nodes(chosen)), simulated},
		{"the same store without the cache at 200 Gbit/s", "", "", without(byName(fight, "cassandra")), simulated},
		{"reads at which their origin broke in a test in 2024", "2,000 a second of 4 MiB, above 50 Gbit/s " + sl, test, "not reproduced: neither its nodes nor its store at the time were published", nothing},
		processors(chosen.Target, "below 10 % "+sl, test),
		{"a read of the store is slow; too slow", "10 ms; 500 ms " + sl, stated, fmt.Sprintf("%v; %v", stress.DefaultTarget, stress.DefaultMaximum), built},
		{"slow reads above which others are shed", "40 % " + sl, stated, fmt.Sprintf("%.0f %%", 100*stress.DefaultShed), built},
		{"how long a refusal is kept", "5 s " + lo, stated, fmt.Sprint(policy.ShedFor), built},
		{"from one region's write to its read", "below 1 s " + lo, stated, "not simulated: there is one region", nothing},
		{"hits of metadata in a storm of 404", "above 90 % " + lo, asserts, "100 %: no store is asked for what the clock says cannot be", built},
		{"hits of media in the cache", "“almost all” " + lo, "stated; the 90 % that accounts print is not of media", "not in this table: the report of a run has it", nothing},
		{"keys and bytes of a partition", "O(10k) and O(GiB) " + lo, stated, partition(event), counted},
		{"load when streams restart", "10 times " + b1, asserts, "the scenario restart-10x, measured where it is run", nothing},
		{"servers of the CDN", "more than 18,000 " + b1, asserts, "18,000, an input", built},
		{"sessions of one server of 100 Gbit/s", "about 20,000 " + vb, "by accounts of it", fmt.Sprintf("%.0f viewers for each edge, if all are alike", float64(fight.Demand[0].Nodes)/float64(fight.Demand[1].Nodes)), counted},
		{"starts that could be generated; monitoring events", "100,000 and 38 million a second " + b1, asserts, "not of an origin", nothing},
		{"change of bytes with variable bit rate", "−15 % " + vb, "by accounts of it", "not simulated: bit rates are inputs", nothing},
		{"renditions, segment sizes, nodes, machines, chunk size, hit ratio of media", "never published", "", "inputs: “capacity fight-night” lists each with its source", built},
	}
}

func page(event scenarios.Scenario, fight, storm100 *capacity.Report, writes map[string]record.Latency) string {
	p := profiles.Default()
	var b strings.Builder
	out := func(format string, a ...any) { fmt.Fprintf(&b, format, a...) }
	out("# The published event, reproduced\n\n<!-- made by `make reproduce`; do not edit -->\n\n")
	out("What was published of the origin behind a fight that 65 million watched, and what this one finds for it. All of ours is computed: *by\nconstruction* it is a constant or an input, *counted* it follows from inputs by arithmetic, *simulated* it is the simulator's with the profile\n`%s`. Nothing here was measured at that size. %s\n\n", p.Name, fight.Caveat)
	out("> %s\n\n> %s\n\n", fight.Verdict, storm100.Verdict)
	out("| what | published | which is | ours | which is |\n|---|---|---|---|---|\n")
	for _, r := range rows(event, fight, storm100, writes) {
		out("| %s | %s | %s | %s | %s |\n", r.what, cmp.Or(r.published, "—"), cmp.Or(r.status, "—"), r.ours, r.kind)
	}
	out("\nThe profiles of both stores were made from the published latencies, so that they come out again shows no more than that the simulator adds\nlittle. What the storm does to them is the simulator's own.\n")
	out("\nSources: [1] “Netflix Live Origin” (Netflix TechBlog, 2025-12-15); [2] “Behind the Streams: Three Years Of Live at Netflix. Part 1”\n(2025-07-15); [3] “Behind the Streams: Building a Reliable Cloud Live Streaming Pipeline. Part 2” (2025-09-15); [4] “Enhancing Netflix Reliability\nwith Service-Level Prioritized Load Shedding” (2024); [5] “Smarter Live Streaming at Scale” (2026-04-02), by accounts of it.\n")
	out("\nTo repeat: `make reproduce`; each report with all of its inputs and their sources: `%s`, `%s`.\n", fight.Command, storm100.Command)
	return b.String()
}

func byName(r *capacity.Report, name string) capacity.Backend {
	for _, b := range r.Backends {
		if b.Name == name {
			return b
		}
	}
	return capacity.Backend{}
}

// pair is both quantiles of a latency.
func pair(l record.Latency) string {
	if l.P50 == nil || l.P99 == nil {
		return "not told: " + l.Note
	}
	return fmt.Sprintf("%.0f and %.0f ms of %d writes", *l.P50, *l.P99, l.Count)
}

// p99 is a write p99 in words.
func p99(l capacity.Latency) string {
	switch {
	case l.P99 == nil:
		return "no write p99 (" + l.Note + ")"
	case l.P99CI == nil:
		return fmt.Sprintf("write p99 %.0f ms", *l.P99)
	}
	return fmt.Sprintf("write p99 %.0f ms (%.0f to %.0f)", *l.P99, l.P99CI[0], l.P99CI[1])
}

// point is what a load does.
func point(p capacity.Point) string {
	return fmt.Sprintf("%s, %d of %d copies late", p99(p.Write), p.Late, p.Segments)
}

// without is what becomes of the reads on the store that suffices with a cache.
func without(b capacity.Backend) string {
	p := b.Target
	if b.SameStore != nil {
		p = *b.SameStore
	}
	return fmt.Sprintf("on the nodes that suffice with a cache %.0f of %.0f Gbit/s are delivered: %s", p.GotGbit, p.ReadGbit, point(p))
}

// partition is how much there is of one rendition of one pipeline.
func partition(s scenarios.Scenario) string {
	low, high := s.Event.Renditions[len(s.Event.Renditions)-1].Rate, s.Event.Renditions[0].Rate
	size := func(rate float64) float64 { return rate / 8 * s.Windows.Storm.Seconds() / 1e9 }
	return fmt.Sprintf("%d segments of a rendition in %v, %.1f to %.0f GB", int(s.Windows.Storm/s.Event.Segment.Duration()), s.Windows.Storm, size(float64(low)), size(float64(high)))
}

// held says whether the target holds.
func held(p capacity.Point) string {
	if p.Holds {
		return "it holds at 200 Gbit/s"
	}
	return "at 200 Gbit/s: " + p.Why
}

// nodes lists the nodes of b.
func nodes(b capacity.Backend) string {
	var all []string
	for _, t := range b.Tiers {
		if t.Nodes > 0 {
			all = append(all, fmt.Sprintf("%d %s", t.Nodes, t.Name))
		}
	}
	return strings.Join(all, ", ") + " nodes"
}

// processors is the line of how busy the serving nodes' processors are at the target. A profile may know of no work of theirs: where the runs
// that it was fitted on were all alike, their polls explain it all.
func processors(p capacity.Point, published, which string) row {
	const what = "processors at that overload"
	for _, u := range p.Used {
		if u.Tier == "serve processors" && u.Part > 0.001 {
			return row{what, published, which, fmt.Sprintf("%.0f %% of the serving processors at 200 Gbit/s", 100*u.Part), simulated}
		}
	}
	return row{what, published, which, "not told: the profile knows of no work of serving nodes apart from their polls", nothing}
}

func people(r *capacity.Report) string {
	return fmt.Sprintf("%.0f million", float64(r.Demand[0].Nodes)/1e6)
}

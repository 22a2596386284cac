package reports

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"origin-storm/storm/record"
)

// backend is what the fixture says of one backend: enough to draw a run of it.
type backend struct {
	name, provenance, profile string
	servers                   []string
	quiet50, storm50, tail    float64 // write medians, and how many times the median p99 is
	hit                       float64 // 0: no cache
	gbit                      float64
	published                 *record.Reference
	late, missed              []int64 // numbers of segments of rendition r1
}

// fixture is a made-up run of the comparison: two pipelines, six renditions, three pairs of quiet and storm windows, and a
// pipeline killed in the second storm. Every draw has the same seed, so that it is the same run each time.
func fixture() Run {
	return makeRun([]backend{
		{name: "s3", provenance: "modelled", profile: "s3-2024 (chart in the Live Origin article, 2025)", servers: []string{"in-process S3"},
			quiet50: 113, storm50: 116, tail: 2.4, gbit: 4.1,
			published: &record.Reference{P50: 113, P99: 267, Label: "s3: chart in the Live Origin article, 2025"}, late: []int64{25, 26}, missed: []int64{27}},
		{name: "cassandra", provenance: "measured", servers: []string{"Cassandra 5.0.5 x3"},
			quiet50: 21, storm50: 64, tail: 6.5, gbit: 3.6,
			published: &record.Reference{P50: 25, P99: 129, Label: "key-value store: chart in the Live Origin article, 2025"}, late: []int64{12, 13, 14, 24}},
		{name: "cassandra+cache", provenance: "measured", servers: []string{"Cassandra 5.0.5 x3", "memcached 1.6.38 x3"},
			quiet50: 22, storm50: 24, tail: 4.8, hit: 0.974, gbit: 9.12,
			published: &record.Reference{P50: 25, P99: 129, Label: "key-value store: chart in the Live Origin article, 2025"}},
	})
}

func ptr[T any](v T) *T { return &v }

// makeRun draws samples for each backend and counts them as a recorder would.
func makeRun(backends []backend) Run {
	const renditions = 6
	run := Run{Results: record.Results{
		Schema: 1, Scenario: "comparison", About: "Two pipelines and 40 edges on a 2-second clock, against each backend in turn.",
		Seed: 7, Mode: "live", Started: time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC), SegmentMS: 2000, DelayMS: 1000,
		Verdict: "failed", Sentence: "Failed: storm publish response p99 < 400ms does not hold on cassandra (measured): 436 ms.",
		Reasons: []string{"storm publish response p99 < 400ms does not hold on cassandra (measured): 436 ms"},
		Driver:  record.Driver{Processes: 1, CPUSeconds: 48.2, LagP99: ptr(0.31), Notes: []string{}},
		Environment: map[string]string{"cpu": "2 × shared virtual processor", "go": "go1.26", "kernel": "Linux 6.12",
			"command": "origin-storm run comparison --servers native --seed 7"},
	}}
	windows := []struct {
		phase string
		ticks int
	}{{"warm-up", 4}, {"quiet", 5}, {"storm", 5}, {"quiet", 5}, {"storm", 5}, {"quiet", 5}, {"storm", 5}}

	for i, b := range backends {
		rng := rand.New(rand.NewPCG(7, uint64(i)))
		sigma := math.Log(b.tail) / 2.326
		writes := map[string][]float64{}
		seconds := map[string]float64{}
		number, at := int64(0), 0.0
		var reads int64
		for _, win := range windows {
			for range win.ticks {
				number++
				median := b.quiet50
				if win.phase == "storm" {
					median = b.storm50
				}
				if win.phase == "warm-up" {
					median *= 4 - float64(number)*0.7
				}
				var tick []float64
				due := at + 3
				for r := range renditions {
					first := math.Inf(1)
					for p, pipeline := range []string{"a", "b"} {
						killed := pipeline == "b" && number >= 21 && number <= 23
						sent := at + 2.2 + rng.Float64()*0.2 + float64(p)*0.05
						ms := median * math.Exp(sigma*rng.NormFloat64())
						c := record.Copy{Backend: b.name, Event: "event", Pipeline: pipeline, Rendition: fmt.Sprint("r", r+1), Number: number, Phase: win.phase, Due: due,
							Segment: fmt.Sprintf("/event/%s/r%d/%d.m4s", pipeline, r+1, number), Outcome: "ok"}
						switch {
						case r == 0 && slices.Contains(b.missed, number):
							c.Outcome, c.Pipeline, c.Segment = "missed", "", fmt.Sprintf("/event/r%d/%d.m4s", r+1, number)
							if p == 0 {
								run.Copies = append(run.Copies, c)
							}
							continue
						case killed:
							c.Outcome, c.Error = "faulted", "not sent, as a fault of the scenario says"
							run.Copies = append(run.Copies, c)
							continue
						case r == 0 && slices.Contains(b.late, number):
							sent = due + 0.2 + 0.35*float64(number%4)
							c.Outcome = "late"
						}
						tick = append(tick, ms)
						c.Sent, c.Acked = ptr(sent), ptr(sent+ms/1000)
						if first > *c.Acked {
							first = *c.Acked
							c.Served = pipeline
						}
						c.Readable = ptr(first + 0.004)
						run.Copies = append(run.Copies, c)
					}
				}
				writes[win.phase] = append(writes[win.phase], tick...)
				seconds[win.phase] += 2
				slices.Sort(tick)
				iv := record.Interval{Backend: b.name, At: at, Seconds: 2, Phase: win.phase, Writes: int64(len(tick)),
					WriteP50: ptr(tick[len(tick)/2]), WriteMax: ptr(tick[len(tick)-1])}
				if win.phase == "storm" {
					iv.ReadGbit = b.gbit * (0.93 + 0.14*rng.Float64())
					iv.Reads = int64(iv.ReadGbit * 120)
					reads += iv.Reads
				}
				run.Intervals = append(run.Intervals, iv)
				at += 2
			}
		}
		// A real run has more renditions and longer windows: the headline figures rest on larger samples than the plots over time.
		for phase, median := range map[string]float64{"quiet": b.quiet50, "storm": b.storm50} {
			size := rand.New(rand.NewPCG(9, uint64(i)+uint64(len(phase))))
			for range 1300 {
				writes[phase] = append(writes[phase], median*math.Exp(sigma*size.NormFloat64()))
			}
		}
		run.Events = append(run.Events,
			record.Event{At: 40, Backend: b.name, Kind: "fault", Text: "kill pipeline b for 6s"},
			record.Event{At: 46, Backend: b.name, Kind: "fault-end", Text: "pipeline b is back"})

		bk := record.Backend{Name: b.name, Provenance: b.provenance, Profile: b.profile, Servers: b.servers, Published: b.published, Notes: []string{}}
		for _, name := range []string{"warm-up", "quiet", "storm"} {
			l := latency(writes[name])
			p := record.Phase{Name: name, Seconds: seconds[name], Operations: []record.Operation{
				{Class: "publish", Count: l.Count, Bytes: l.Count * 900_000, Response: l, Service: l, Lag: latency([]float64{0.1, 0.2, 0.3}),
					Statuses: map[string]int{"201": int(l.Count)}},
				{Class: "store-write", Count: l.Count, Response: latency(scaled(writes[name], 0.93))},
			}}
			if name == "storm" {
				p.ReadGbit, p.Reads = b.gbit, b.gbit*120
				p.Operations[0].Errors, p.Operations[0].Statuses["503"] = 3, 3
				live := latency(scaled(writes[name], 1.7))
				p.Operations = append(p.Operations, record.Operation{Class: "live-edge", Count: live.Count, Bytes: 9e9, Response: live, FirstByte: latency(scaled(writes[name], 1.1)),
					Statuses: map[string]int{"200": int(live.Count)}})
			}
			bk.Phases = append(bk.Phases, p)
		}
		q, s := bk.Phases[1].Operations[0].Response, bk.Phases[2].Operations[0].Response
		bk.Isolation = &record.WriteIsolation{
			P50: record.Ratio{Ratio: ptr(*s.P50 / *q.P50), CI: ptr([2]float64{*s.P50 / *q.P50 * 0.95, *s.P50 / *q.P50 * 1.05})},
			P99: record.Ratio{Ratio: ptr(*s.P99 / *q.P99), CI: ptr([2]float64{*s.P99 / *q.P99 * 0.8, *s.P99 / *q.P99 * 1.2})},
		}
		bk.Segments = record.Segments{Published: 396, Acknowledged: 393, Read: reads, Verified: reads, Late: int64(len(b.late)), Missed: int64(len(b.missed)),
			LongestGap: 2 * float64(len(b.missed)), SlackP50: ptr(640.0), SlackP1: ptr(-220.0)}
		bk.Phases[1].Holds, bk.Phases[2].Holds = latency(holdTimes(400, 2.1)), latency(holdTimes(400, 3.3))
		bk.Cache = record.Cache{StoreReads: reads, Polls: 2310, PollKeys: 4620, Awaited: 198, StorePolls: 590, MostStorePolls: 7, Collapse: ptr(1.02), StoreBytes: ptr(19.6)}
		if b.hit > 0 {
			bk.Cache.Reads, bk.Cache.Hits = reads, int64(float64(reads)*b.hit)
			bk.Cache.HitRatio, bk.Cache.Collapse, bk.Cache.StoreBytes = ptr(b.hit), ptr(1/(1-b.hit)), ptr(0.52)
			bk.Cache.ZoneWaitP99 = ptr(3.1)
		}
		run.Results.Backends = append(run.Results.Backends, bk)
		p99 := bk.Phases[2].Operations[0].Response.P99
		run.Results.Thresholds = append(run.Results.Thresholds,
			record.Threshold{Text: "storm publish response p99 < 400ms", Backend: b.name, OK: *p99 < 400, Actual: p99, Limit: 400, Unit: "ms"},
			record.Threshold{Text: "storm segments lost == 0", Backend: b.name, OK: true, Actual: ptr(0.0), Limit: 0})
	}
	run.Events = append(run.Events, record.Event{At: 31, Backend: backends[0].name, Kind: "warning", Text: "a write took longer than 500 ms: PUT /event/a/r1/14.m4s, 612 ms"})
	return run
}

func scaled(values []float64, by float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = v * by
	}
	return out
}

// latency counts samples as the run folder holds them: percentiles that the sample allows, intervals from order statistics,
// and the points of the curve.
func latency(samples []float64) record.Latency {
	s := slices.Sorted(slices.Values(samples))
	n := len(s)
	l := record.Latency{Count: int64(n)}
	if n == 0 {
		return l
	}
	rank := func(q float64) float64 { return s[min(n-1, max(0, int(math.Ceil(q*float64(n)))-1))] }
	ci := func(q float64) *[2]float64 {
		half := 1.96 * math.Sqrt(float64(n)*q*(1-q)) / float64(n)
		return &[2]float64{rank(q - half), rank(q + half)}
	}
	l.Max = ptr(s[n-1])
	if n >= 20 {
		l.P50, l.P50CI, l.P90 = ptr(rank(0.5)), ci(0.5), ptr(rank(0.9))
	}
	if n >= 300 {
		l.P99, l.P99CI = ptr(rank(0.99)), ci(0.99)
	} else {
		l.Note = fmt.Sprintf("p99 needs 300 samples, there were %d", n)
	}
	for miss := 1.0; miss > 1/float64(n); miss *= 0.8 {
		l.Points = append(l.Points, [2]float64{1 - miss, rank(1 - miss)})
	}
	l.Points = append(l.Points, [2]float64{1 - 1/float64(n), s[n-1]})
	return l
}

// holdTimes are n times that grow evenly from least to three times that, in ms.
func holdTimes(n int, least float64) (all []float64) {
	for i := range n {
		all = append(all, least*(1+2*float64(i)/float64(n)))
	}
	return all
}

// simulated is the made-up run as a simulator would have it, with made-up tiers.
func simulated() Run {
	run := fixture()
	r := &run.Results
	r.Mode, r.Driver, r.Environment = "sim", record.Driver{Notes: []string{}}, map[string]string{"command": "origin-storm simulate comparison --seed 7"}
	r.Sentence = "Failed: storm publish response p99 < 400ms does not hold on cassandra (simulated): 436 ms."
	r.Reasons = []string{"storm publish response p99 < 400ms does not hold on cassandra (simulated): 436 ms"}
	wave := func(top, at, width float64) (tick []float64) {
		for i := range 100 {
			x := (float64(i) - at) / width
			tick = append(tick, math.Round(1000*top*math.Exp(-x*x))/1000)
		}
		return tick
	}
	for i := range r.Backends {
		b := &r.Backends[i]
		b.Provenance, b.Profile, b.Servers = "simulated", "two-cores", []string{"model of 1 publishing node, 1 serving node"}
		stored := 0.9 - 0.35*float64(i)
		b.Simulation = &record.Simulation{
			Profile: "two-cores", Source: "fitted on 12 runs", Machine: "2 cores of an Intel Xeon", Program: "v1", Made: "2026-11-23", Events: 233473,
			Stated: []record.StatedError{
				{Figure: "storm publish response p50", HeldOut: true, Runs: 6, Median: 0.03, Largest: 0.09}, {Figure: "storm publish response p99", HeldOut: true, Runs: 6, Median: 0.08, Largest: 0.21},
				{Figure: "storm publish response p99", Runs: 12, Median: 0.04, Largest: 0.1},
			},
			Extrapolated: []string{"readers.edges 40 is beyond 10 to 20", fmt.Sprintf("reads/s %d is beyond 66 to 120", 240+10*i)},
			Tiers: []record.Tier{
				{Name: "serve links", Nodes: 1, Phases: map[string]float64{"quiet": 0.01, "storm": 0.31}, Tick: wave(0.97, 6, 14), Queue: 41},
				{Name: "serve processors", Nodes: 1, Phases: map[string]float64{"quiet": 0.02, "storm": 0.24}, Tick: wave(0.6, 7, 16), Queue: 12},
				{Name: "store processors", Nodes: 3, Phases: map[string]float64{"quiet": 0.1, "storm": stored / 2}, Tick: wave(stored, 20+8*float64(i), 25), Queue: 7},
				{Name: "publish processors", Nodes: 1, Phases: map[string]float64{"quiet": 0.05, "storm": 0.05}, Tick: wave(0.2, 80, 9), Queue: 2},
			},
		}
	}
	return run
}

// Package plan expands a scenario into the requests that carry it out: who asks for what, and when it is meant to start. The
// same configuration gives the same requests, in any process and on any machine. It makes them as they are asked for, a
// segment's time ahead, and neither sends them nor waits. What faults keep from being sent is planned all the same: that is for
// the executor, and counts.
package plan

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/cost"
	"origin-storm/origin/segment"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/client"
)

// Config says what to plan.
type Config struct {
	Scenario scenarios.Scenario
	Seed     uint64
	// Events are the scenario's, as the origin is configured with them. They give names and clocks.
	Events []config.Event
	// First is the number of the first segment that is published, of each event. Instants of the plan count from Start, at
	// which the first event's segment First begins; that segment is complete and sent one segment later.
	First int64
	// Windows are what is measured; nil means Windows(Scenario). WarmUp gives those of a warm-up.
	Windows []storm.Window
	// Share of Shares is the part of the clients that is planned, counted from 0; zero Shares means all of them. The plans of
	// all shares together are the plan of the whole. Of several, the first has the packagers, and they have it alone.
	Share, Shares int
}

// Start is the instant from which the plan's times count.
func (c Config) Start() time.Time { return c.Events[0].Template.Begins(c.First) }

// Windows returns the quiet and storm windows of s, one after the other. The first begins after one segment, in which
// initialisation segments are published and nothing is measured.
func Windows(s scenarios.Scenario) []storm.Window {
	var all []storm.Window
	at := s.Event.Segment.Duration()
	add := func(name string, asked time.Duration) {
		if asked > 0 {
			to := at + s.Length(asked)
			all = append(all, storm.Window{Name: name, From: at, To: to})
			at = to
		}
	}
	for range s.Rounds() {
		add(scenarios.QuietPhase, s.Windows.Quiet)
		add(scenarios.StormPhase, s.Windows.Storm)
	}
	return all
}

// WarmUp returns the one window of a warm-up that lasts d or a little longer: all is published, and every fourth edge reads.
func WarmUp(s scenarios.Scenario, d time.Duration) []storm.Window {
	from := s.Event.Segment.Duration()
	return []storm.Window{{Name: scenarios.WarmUpPhase, From: from, To: from + s.Length(d)}}
}

// warmEdges is which edges read in a warm-up: each that is divisible by it.
const warmEdges = 4

// New returns the plan of c.
func New(c Config) (storm.Plan, error) {
	if c.Windows == nil {
		c.Windows = Windows(c.Scenario)
	}
	c.Shares = cmp.Or(c.Shares, 1)
	if err := c.validate(); err != nil {
		return storm.Plan{}, fmt.Errorf("plan: %w", err)
	}
	g := newGenerator(c)
	return storm.Plan{
		Requests: g.requests(),
		Err:      g.err,
		Faults:   faults(c.Scenario, c.Windows),
		Windows:  c.Windows,
		Client:   clients(c),
	}, nil
}

func (c Config) validate() error {
	if err := c.Scenario.Validate(); err != nil {
		return err
	}
	if len(c.Events) != c.Scenario.Event.Count {
		return fmt.Errorf("%d events given for a scenario of %d; take Scenario.Events", len(c.Events), c.Scenario.Event.Count)
	}
	for _, e := range c.Events {
		if err := e.Template.Validate(); err != nil {
			return fmt.Errorf("event %s: %w", e.Name, err)
		}
		if len(e.Pipelines) != c.Scenario.Event.Pipelines || len(e.Renditions) != len(c.Scenario.Event.Renditions) {
			return fmt.Errorf("event %s has %d pipelines and %d renditions, the scenario %d and %d; take Scenario.Events", e.Name,
				len(e.Pipelines), len(e.Renditions), c.Scenario.Event.Pipelines, len(c.Scenario.Event.Renditions))
		}
		if c.First < e.Template.StartNumber {
			return fmt.Errorf("event %s: first segment %d is before its start number %d", e.Name, c.First, e.Template.StartNumber)
		}
	}
	if c.Share < 0 || c.Share >= c.Shares {
		return fmt.Errorf("share %d of %d: shares count from 0", c.Share, c.Shares)
	}
	if len(c.Windows) == 0 {
		return errors.New("no windows: nothing would be measured")
	}
	var before time.Duration
	for _, w := range c.Windows {
		if w.From < before || w.To <= w.From {
			return fmt.Errorf("window %s from %v to %v: windows follow one another, from 0 on", w.Name, w.From, w.To)
		}
		before = w.To
	}
	return nil
}

// faults places the scenario's faults in windows; those whose window is not among them are left out.
func faults(s scenarios.Scenario, windows []storm.Window) []storm.Fault {
	var all []storm.Fault
	for _, f := range s.Faults {
		nth := 0
		for _, w := range windows {
			if w.Name != f.At.Phase {
				continue
			}
			if nth++; nth == f.At.Nth {
				all = append(all, f.In(w.From))
			}
		}
	}
	slices.SortStableFunc(all, func(a, b storm.Fault) int { return cmp.Compare(a.At, b.At) })
	return all
}

// The first part of a client's name says what it is.
const (
	packager = "packager"
	prober   = "probe"
	edge     = "edge"
)

// probeEvery is how often the probe asks again for what is not there yet.
const probeEvery = 100 * time.Millisecond

// clients makes the client that a name stands for.
func clients(c Config) func(from string) storm.Client {
	templates := map[string]segment.Template{}
	for _, e := range c.Events {
		templates[e.Name] = e.Template
	}
	start := c.Start()
	deadline := func(id segment.ID) time.Duration {
		t, ok := templates[id.Event]
		if !ok || id.Number == segment.Init {
			return 0
		}
		return t.Deadline(id.Number).Sub(start)
	}
	clock := client.Clock{
		Due:     func(id segment.ID) time.Duration { return templates[id.Event].Due(id.Number).Sub(start) },
		Opens:   func(id segment.ID) time.Duration { return templates[id.Event].Opens(id.Number).Sub(start) },
		Oldest:  func(event string, at time.Duration) int64 { return c.oldest(templates[event].Next(start.Add(at))) },
		Reading: func(at time.Duration) bool { _, ok := stormy(c.Windows, at); return ok },
		Segment: c.Scenario.Event.Segment.Duration(),
	}
	r := c.Scenario.Readers
	return func(from string) storm.Client {
		kind, _, _ := strings.Cut(from, "/")
		switch kind {
		case packager:
			return &client.Packager{}
		case prober:
			return client.Direct{Again: client.Until(deadline, probeEvery)}
		}
		reader, _ := client.Reader(r.Behaviour.Clients.Of(spread(rank(from), silver)), clock) // the scenario is valid, so that there is one
		if r.Viewers == 0 {
			return reader
		}
		cache, _ := client.CacheOf(cmp.Or(r.Cache, scenarios.Caches()[0].Name))
		cache.Quantum = cmp.Or(r.Quantum, cache.Quantum)
		if r.Restart != nil {
			for _, i := range interruptions(faults(c.Scenario, c.Windows)) {
				cache.Purges = append(cache.Purges, i.to)
			}
		}
		for _, f := range faults(c.Scenario, c.Windows) {
			if f.Do == "purge" {
				cache.Purges = append(cache.Purges, f.At)
			}
		}
		slices.Sort(cache.Purges)
		if d, ok := reader.(client.Direct); ok {
			cache.Again = d.Again
		}
		return client.NewEdge(cache)
	}
}

// rank is an edge's number, from 0, out of its name, which ends in the number from 1.
func rank(from string) int {
	n, _ := strconv.Atoi(from[strings.LastIndexByte(from, '/')+1:])
	return n - 1
}

// Who asks, who behaves how and who has no key are chosen by multiples of different numbers, so that none depends on another.
const (
	golden = 0.6180339887498949
	silver = 0.4142135623730950
	bronze = 0.3027756377319946
)

// spread is a place between 0 and 1 for the nth of many, such that any number of successive ones are spread evenly: the fractional
// parts of an irrational number's multiples.
func spread(n int, by float64) float64 {
	_, u := math.Modf(float64(n+1) * by)
	return u
}

// mine reports whether a client is in c's share. Packagers and readers are never in one: what reads take of a process or its
// processor is not taken from the packagers.
func (c Config) mine(from string) bool {
	switch {
	case c.Shares == 1:
		return true
	case strings.HasPrefix(from, packager+"/"):
		return c.Share == 0
	}
	return 1+int(cost.Draw(0, "share", from, 0)*float64(c.Shares-1)) == c.Share
}

// Package entry makes entries of results.json out of what was recorded with a backend and what its origin's nodes counted: the same
// of a live run and of a simulated one. It records nothing and judges nothing.
package entry

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/segment"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
)

// Head returns the results of a run of s that has no backends yet.
func Head(s scenarios.Scenario, seed uint64, mode string, started time.Time) record.Results {
	return record.Results{
		Schema: record.Schema, Scenario: s.Name, About: s.About, Seed: seed, Mode: mode, Started: started,
		SegmentMS: milliseconds(s.Event.Segment.Duration()), DelayMS: milliseconds(s.Event.PublishDelay),
		Driver: record.Driver{Notes: []string{}}, Backends: []record.Backend{}, Reasons: []string{}, Doubts: []string{}, Thresholds: []record.Threshold{},
	}
}

// Recording is the configuration of a recording of backend under windows of s, whose plan's times count from start: the same in
// every process that has a share of it.
func Recording(s scenarios.Scenario, backend string, events []config.Event, windows []storm.Window, start time.Time) record.Config {
	templates := Templates(events)
	return record.Config{
		Backend: backend, Windows: windows, Interval: s.Event.Segment.Duration(), Keep: s.Event.DVR,
		Due: func(id segment.ID) time.Duration { return templates[id.Event].Due(id.Number).Sub(start) },
	}
}

// Templates returns each event's, by its name.
func Templates(events []config.Event) map[string]segment.Template {
	all := map[string]segment.Template{}
	for _, e := range events {
		all[e.Name] = e.Template
	}
	return all
}

// Backend makes figures of what was recorded with a backend of s; facts are what is known of the backend whatever was recorded.
func Backend(rec *record.Recording, facts record.Backend, s scenarios.Scenario, seed uint64) record.Backend {
	b := rec.Backend()
	b.Provenance, b.Profile, b.Servers, b.Published = facts.Provenance, facts.Profile, facts.Servers, facts.Published
	b.Edge, b.Simulation = facts.Edge, facts.Simulation
	b.Notes = append(b.Notes, facts.Notes...)
	b.Notes = append(b.Notes, replayed(s, b)...)
	if w := s.Windows; w.Quiet > 0 && w.Storm > 0 {
		b.Isolation = verdict.Isolation(rec.Ticks(scenarios.QuietPhase), rec.Ticks(scenarios.StormPhase), seed)
	}
	return b
}

// replayed says how much of a log the readers of b played, and what of it they left out.
func replayed(s scenarios.Scenario, b record.Backend) []string {
	r := s.Readers.Replay
	if r == nil || r.Found.Lines == 0 {
		return nil
	}
	var played int64
	for _, p := range b.Phases {
		if p.Name == scenarios.WarmUpPhase {
			continue
		}
		for _, op := range p.Operations {
			switch op.Class {
			case storm.LiveEdge.String(), storm.Early.String(), storm.DVR.String(), storm.Missing.String():
				played += op.Count + op.Hits + op.Dropped + op.Faulted
			}
		}
	}
	found := r.Found
	note := fmt.Sprintf("Replay of %s: %d of its %d lines can be played", filepath.Base(r.File), found.Requests-found.Late, found.Lines)
	var out []string
	for _, left := range []struct {
		n   int64
		why string
	}{{found.Others, "ask for something else"}, {found.Unreadable, "make no sense"}, {found.Late, "are too far out of order"}} {
		if left.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", left.n, left.why))
		}
	}
	if len(out) > 0 {
		note += " (" + strings.Join(out, ", ") + ")"
	}
	note += fmt.Sprintf("; %d requests were made of them in the windows", played)
	if rate := cmp.Or(r.Rate, 1); rate != 1 {
		note += fmt.Sprintf(", each line played %v times on average", rate)
	}
	lasts := time.Duration(float64(found.Length-r.Skip) / cmp.Or(r.Speed, 1))
	if w := s.Length(s.Windows.Storm); w > 0 && w < lasts {
		note += fmt.Sprintf("; a storm window plays the first %v of the %v that the log lasts", w, lasts.Round(time.Second))
	}
	return []string{note + "."}
}

// Published returns published write figures of the kind of store that b has, for comparison: read off a chart in "Netflix Live
// Origin" (netflixtechblog.com, 2025-12-15) by secondary accounts; the article's text says only that the new p99 is about the old
// p50.
func Published(b scenarios.Backend) *record.Reference {
	if b.Store == scenarios.S3 {
		return &record.Reference{P50: 113, P99: 267, Label: "S3, published by Netflix"}
	}
	return &record.Reference{P50: 25, P99: 129, Label: "key-value store, published by Netflix"}
}

// Counts is what an origin's nodes counted in a run, all of them together. Only serving nodes read.
type Counts struct {
	Cached              bool  // there are caches
	CacheReads, Hits    int64 // values read through them
	Bodies              int64 // of segments that were read, from cache or store
	StoreReads          int64 // values read from the durable store
	StoreBytes          int64 // of those
	Published           int64 // bytes
	Timed               int64 // reads of the store that took TimedSeconds together
	TimedSeconds        float64
	Polls, PollKeys     int64
	Awaited, StorePolls int64
	MostStorePolls      int64
	ZoneWaitP99         *float64 // ms
}

// Cache tells how reads fell on cache and store; b has what readers were answered.
func (n Counts) Cache(b *record.Backend) record.Cache {
	c := record.Cache{
		Reads: n.CacheReads, Hits: n.Hits, StoreReads: n.StoreReads, Polls: n.Polls, PollKeys: n.PollKeys,
		Awaited: n.Awaited, StorePolls: n.StorePolls, MostStorePolls: n.MostStorePolls, ZoneWaitP99: n.ZoneWaitP99,
	}
	if !n.Cached {
		c.Reads = n.StoreReads
	} else if c.Reads > 0 {
		c.HitRatio = new(float64(c.Hits) / float64(c.Reads))
	}
	if n.Timed > 0 {
		c.StoreReadMean = new(1000 * n.TimedSeconds / float64(n.Timed))
	}
	if n.Published > 0 {
		c.StoreBytes = new(float64(n.StoreBytes) / float64(n.Published))
	}
	var answered int64
	for _, p := range b.Phases {
		for _, o := range p.Operations {
			if slices.Contains(ReadClasses, o.Class) {
				answered += o.Count - o.Errors
			}
		}
	}
	if n.Bodies > 0 {
		c.Collapse = new(float64(answered) / float64(n.Bodies))
	}
	return c
}

// ReadClasses are the classes of requests that count into the read figures.
var ReadClasses = []string{storm.LiveEdge.String(), storm.Early.String(), storm.DVR.String()}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

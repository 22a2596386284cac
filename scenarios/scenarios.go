// Package scenarios says what a run rehearses: the event, its readers, the windows, the backends, what goes wrong and what
// must hold. It reads scenarios from YAML, refuses what cannot be, fills in what was left out, and keeps a library of them.
// It makes no requests (package storm/plan expands a scenario into those) and judges no figures (package storm/verdict).
package scenarios

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/cost"
	"origin-storm/origin/segment"
)

// Scenario is one rehearsal. Load, Parse and Default fill in what the author leaves out, so that the zero values below are
// those of a scenario made in Go.
type Scenario struct {
	// Name is what reports and run folders call the scenario.
	Name string `yaml:"name"`
	// About says in a sentence or two what the scenario shows.
	About string `yaml:"about"`
	// Event is what is published, and on which clock.
	Event Event `yaml:"event"`
	// Readers are the CDN's nodes that ask for it.
	Readers Readers `yaml:"readers"`
	// Windows are the stretches of time that are measured.
	Windows Windows `yaml:"windows"`
	// Origin says how the origin is set up, unless a backend says otherwise.
	Origin Origin `yaml:"origin"`
	// Backends are measured one after the other, each under the very same requests.
	Backends []Backend `yaml:"backends"`
	// Faults are what goes wrong, and when.
	Faults []Fault `yaml:"faults,omitempty"`
	// Thresholds are what must hold for the run to pass.
	Thresholds []Threshold `yaml:"thresholds,omitempty"`
	// Drivers is over how many processes the requests are spread. Of two or more, the first has the packagers and the others share
	// the readers.
	Drivers int `yaml:"drivers"`
	// Audience is who watches at event scale, and through which CDN; left out: readers say what reaches the origin. No one machine can
	// run it live: it is for simulate and capacity.
	Audience *Audience `yaml:"audience,omitempty"`
	// Deployment is what the origin runs on at event scale; left out: one machine.
	Deployment *Deployment `yaml:"deployment,omitempty"`
}

// Event is the shape of the live events: Count of them run at once, their clocks shifted by equal parts of a segment.
type Event struct {
	// Count is how many events run at once.
	Count int `yaml:"count"`
	// Segment is how long a segment lasts: a duration, or exact ticks/timescale such as 120120/60000 for 59.94 fps.
	Segment Cadence `yaml:"segment"`
	// Pipelines is how many packagers publish each event: a, or a and b, on one clock.
	Pipelines int `yaml:"pipelines"`
	// Identical makes the pipelines publish the same bytes; else each encodes for itself.
	Identical bool `yaml:"identical"`
	// Renditions are the event's qualities: a list of names and bit rates, or how many there are and their bit rate in total.
	Renditions Renditions `yaml:"renditions"`
	// SizeVariation is how far, at most, a segment's size is from its bit rate's, up or down.
	SizeVariation Share `yaml:"size-variation"`
	// Encode is how long after its last frame a segment is sent: encoding, packaging, encryption.
	Encode Span `yaml:"encode"`
	// Lag is how far pipeline b runs behind pipeline a.
	Lag time.Duration `yaml:"lag"`
	// PublishDelay is how long after its last frame a segment is due.
	PublishDelay time.Duration `yaml:"publish-delay"`
	// DVR is how far behind the live edge segments can be read.
	DVR time.Duration `yaml:"dvr"`
}

// Span is a stretch of time out of which each draw falls evenly.
type Span struct {
	// Min is the shortest.
	Min time.Duration `yaml:"min"`
	// Max is the longest.
	Max time.Duration `yaml:"max"`
}

// Rendition is one quality of an event.
type Rendition struct {
	// Name is what paths call it.
	Name string `yaml:"name"`
	// Rate is its mean bit rate.
	Rate cost.Rate `yaml:"rate"`
}

// Renditions are an event's qualities, in the order in which they are published.
type Renditions []Rendition

// ladderSpan is how many times the bit rate of the lowest rendition the highest has, where the author gives a total only:
// about what lies between a 1080p rendition and an audio track.
const ladderSpan = 32

// Ladder returns count renditions, r1 the highest, whose bit rates fall geometrically and add up to total.
func Ladder(count int, total cost.Rate) Renditions {
	ladder := make(Renditions, count)
	weight := func(i int) float64 { return math.Pow(ladderSpan, -float64(i)/float64(max(1, count-1))) }
	var sum float64
	for i := range ladder {
		sum += weight(i)
	}
	left := total
	for i := range ladder {
		ladder[i] = Rendition{Name: fmt.Sprint("r", i+1), Rate: cost.Rate(math.Floor(float64(total) * weight(i) / sum))}
		left -= ladder[i].Rate
	}
	if count > 0 {
		ladder[0].Rate += left // what rounding down left over
	}
	return ladder
}

// Total is the bit rate of all renditions together.
func (r Renditions) Total() (total cost.Rate) {
	for _, x := range r {
		total += x.Rate
	}
	return total
}

// Readers are the CDN's nodes. In a storm window each of them asks for each segment of each rendition.
type Readers struct {
	// Edges is how many nodes there are.
	Edges int `yaml:"edges"`
	// Viewers makes each edge a cache that asks the origin once for all who wait: so many viewers ask it for each segment of
	// each rendition. 0: edges ask the origin for themselves, one request each.
	Viewers int `yaml:"viewers"`
	// Quantum is at which interval an edge with viewers looks whether the answer to another's request has come; 0: as its cache
	// does.
	Quantum time.Duration `yaml:"quantum"`
	// Cache is the HTTP cache that an edge with viewers behaves like: ideal, nginx, varnish, ats or no-collapse; left out: ideal.
	Cache string `yaml:"cache,omitempty"`
	// Sites are where the edges stand. Requests of an edge reach the origin's door half its site's round-trip time after they
	// were made; the way back is not added, so latencies are what the origin's door sees.
	Sites []Site `yaml:"sites,omitempty"`
	// Behaviour is when edges ask, and what for.
	Behaviour Behaviour `yaml:"behaviour"`
	// Ramp is which part of the readers asks, as a storm or the run goes on; left out: all of them, always.
	Ramp *Ramp `yaml:"ramp,omitempty"`
	// Restart is how the readers come back after an interruption; left out: as if nothing had been.
	Restart *Restart `yaml:"restart,omitempty"`
	// Replay has readers ask as a CDN's access log says; left out: as their behaviour does.
	Replay *Replay `yaml:"replay,omitempty"`
}

// Site is a place where edges stand.
type Site struct {
	// Name is what reports call it.
	Name string `yaml:"name"`
	// RTT is the round-trip time to the origin.
	RTT time.Duration `yaml:"rtt"`
	// Share is which part of the edges stand there; the shares add up to 1.
	Share Share `yaml:"share"`
}

// Behaviour is when edges ask, and what for.
type Behaviour struct {
	// Aligned is within how long after a segment is due those who ask for it at that instant have all asked.
	Aligned time.Duration `yaml:"aligned"`
	// Early is which part asks up to one segment before it is due, and is held by the origin.
	Early Share `yaml:"early"`
	// DVR is how many requests for older segments come on top of each one for the newest.
	DVR Share `yaml:"dvr"`
	// Missing is how many requests for what does not exist come on top of each one for the newest.
	Missing Share `yaml:"missing"`
	// Clients is what readers do about the answers they get: the name of a behaviour, or names with the share of the readers who
	// behave so. Left out: once.
	Clients Mix `yaml:"clients,omitempty"`
}

// Windows are the stretches of time that are measured: after a warm-up, quiet and storm windows take turns. Each is rounded
// up to whole segments.
type Windows struct {
	// WarmUp is how long the origin is driven before anything counts; auto: until its write latency is stable.
	WarmUp WarmUp `yaml:"warm-up"`
	// Quiet is how long each quiet window lasts: publishing only; 0 for none.
	Quiet time.Duration `yaml:"quiet"`
	// Storm is how long each storm window lasts: publishing and all readers; 0 for none.
	Storm time.Duration `yaml:"storm"`
	// Repeat is how often quiet and storm take turns.
	Repeat int `yaml:"repeat"`
	// Until raises Repeat until each phase has so many writes; 0: Repeat stands.
	Until int `yaml:"until"`
}

// WarmUp is how long a warm-up lasts, or Auto.
type WarmUp time.Duration

// Auto is the warm-up that lasts until the write latency is stable.
const Auto WarmUp = -1

// Origin says how the origin is set up.
type Origin struct {
	// Serve is how many serving processes there are.
	Serve int `yaml:"serve"`
	// Hot is how many bytes of the newest segments each serving process keeps in memory.
	Hot cost.Bytes `yaml:"hot"`
	// Collapse makes concurrent reads of one segment one read of the store.
	Collapse bool `yaml:"collapse"`
	// Shed lets the serving processes send readers who can wait away while the store is under stress.
	Shed bool `yaml:"shed"`
}

// The stores that a backend can have.
const (
	S3        = "s3"
	Embedded  = "embedded"
	Cassandra = "cassandra"
)

// The edges that a backend can have.
const (
	Nginx   = "nginx"
	Varnish = "varnish"
)

// WithCache is what a backend's name ends in to say that caches stand before its store.
const WithCache = "+cache"

// NoProfile as a backend's profile says that its store answers as fast as it can.
const NoProfile = "none"

// Backend is one thing to measure. In YAML it is a store's name (s3, embedded, cassandra), that name with +cache, or a
// mapping.
type Backend struct {
	// Name is what reports call it. One that is a store's, or that with +cache, says Store and Cache as well.
	Name string `yaml:"name"`
	// Store keeps the segments: s3, embedded or cassandra.
	Store string `yaml:"store"`
	// Nodes is how many nodes Cassandra has: 1 or 3.
	Nodes int `yaml:"nodes,omitempty"`
	// Cache puts cache zones before the store.
	Cache bool `yaml:"cache,omitempty"`
	// Zones is how many cache zones there are.
	Zones int `yaml:"zones,omitempty"`
	// HitRatio is which part of the reads the cache may answer: the rest are made misses on purpose. Left out: all.
	HitRatio *Share `yaml:"hit-ratio,omitempty"`
	// Profile gives the store published or measured costs: a published profile's name, a file, or none.
	Profile string `yaml:"profile,omitempty"`
	// Edge is the HTTP cache between the readers and the origin, a program of its own: nginx or varnish; left out: none. Where one
	// backend of a scenario has an edge, the run's own reader asks a serving process of its own, with each of them.
	Edge string `yaml:"edge,omitempty"`
	// Cores pins the backend's processes to processors.
	Cores *Cores `yaml:"cores,omitempty"`
	// Origin takes the place of the scenario's origin settings; serve may be left out.
	Origin *Origin `yaml:"origin,omitempty"`
}

// Cores says on which of the machine's processors, counted from 0, the processes of a backend and of its load run; what is left
// out runs wherever the system puts it. Linux only, and neither for containers nor for what was running before.
type Cores struct {
	// Packagers is where the driver process of the packagers runs; it takes drivers: 2 or more.
	Packagers *int `yaml:"packagers,omitempty"`
	// Publish is where the publishing process runs.
	Publish *int `yaml:"publish,omitempty"`
	// Store is where the store process, or Cassandra's nodes, run.
	Store *int `yaml:"store,omitempty"`
	// Cache is where the cache zones run.
	Cache *int `yaml:"cache,omitempty"`
	// Serve is where the serving processes run, and the edge.
	Serve *int `yaml:"serve,omitempty"`
	// Readers is where the driver processes of the readers run; it takes drivers: 2 or more.
	Readers *int `yaml:"readers,omitempty"`
}

// Each returns the cores that are given, by the names of their fields.
func (c *Cores) Each() map[string]int {
	all := map[string]int{}
	if c == nil {
		return all
	}
	for name, n := range map[string]*int{"packagers": c.Packagers, "publish": c.Publish, "store": c.Store, "cache": c.Cache, "serve": c.Serve, "readers": c.Readers} {
		if n != nil {
			all[name] = *n
		}
	}
	return all
}

// Pinned reports whether a backend of s pins processes.
func (s Scenario) Pinned() bool {
	return slices.ContainsFunc(s.Backends, func(b Backend) bool { return b.Cores != nil })
}

// Edged reports whether a backend of s has an edge.
func (s Scenario) Edged() bool {
	return slices.ContainsFunc(s.Backends, func(b Backend) bool { return b.Edge != "" })
}

// On returns how the origin is set up for b.
func (s Scenario) On(b Backend) Origin {
	if b.Origin != nil {
		return *b.Origin
	}
	return s.Origin
}

// Only returns s with the backends of these names alone, in their order, and without the thresholds of all others.
func (s Scenario) Only(names ...string) (Scenario, error) {
	var have, missing []string
	for _, b := range s.Backends {
		have = append(have, b.Name)
	}
	for _, name := range names {
		if !slices.Contains(have, name) {
			missing = append(missing, fmt.Sprintf("%s has no backend %q%s", s.Name, name, suggest(name, have)))
		}
	}
	if missing != nil {
		return s, errors.New(strings.Join(missing, "; "))
	}
	s.Backends = slices.DeleteFunc(slices.Clone(s.Backends), func(b Backend) bool { return !slices.Contains(names, b.Name) })
	s.Thresholds = slices.DeleteFunc(slices.Clone(s.Thresholds), func(t Threshold) bool { return t.Backend != "" && !slices.Contains(names, t.Backend) })
	return s, nil
}

// Events returns the live events of s as an origin's configuration names them, the first of which begins its segment 1 at
// start.
func (s Scenario) Events(start time.Time) []config.Event {
	events := make([]config.Event, s.Event.Count)
	for i := range events {
		e := config.Event{
			Name: "event",
			Template: segment.Template{
				Start: start.Add(s.Event.Segment.Duration() * time.Duration(i) / time.Duration(len(events))), StartNumber: 1,
				Ticks: s.Event.Segment.Ticks, Timescale: s.Event.Segment.Timescale, PublishDelay: s.Event.PublishDelay,
			},
			DVR: s.Event.DVR,
		}
		if len(events) > 1 {
			e.Name = fmt.Sprint("event-", i+1)
		}
		for p := range s.Event.Pipelines {
			e.Pipelines = append(e.Pipelines, Pipeline(p))
		}
		for _, r := range s.Event.Renditions {
			e.Renditions = append(e.Renditions, config.Rendition{Name: r.Name})
		}
		events[i] = e
	}
	return events
}

// Pipeline is the name of the i-th pipeline: a, b.
func Pipeline(i int) string { return string(rune('a' + i)) }

// Default is the scenario that a file changes: what it leaves out is as here.
func Default() Scenario {
	return Scenario{
		Event: Event{
			Count: 1, Segment: Cadence{2, 1}, Pipelines: 2, Renditions: Ladder(12, 10_000_000),
			SizeVariation: 0.2, Encode: Span{200 * time.Millisecond, 400 * time.Millisecond}, Lag: 50 * time.Millisecond,
			PublishDelay: time.Second, DVR: 2 * time.Hour,
		},
		Readers:  Readers{Edges: 40, Behaviour: Behaviour{Aligned: 100 * time.Millisecond}},
		Windows:  Windows{WarmUp: Auto, Quiet: 10 * time.Second, Storm: 10 * time.Second, Repeat: 1},
		Origin:   Origin{Serve: 1},
		Backends: []Backend{NewBackend(Embedded)},
		Drivers:  1,
	}
}

// NewBackend returns the backend that name alone says: a store's name, or that with +cache. Of any other name the store is
// left open.
func NewBackend(name string) Backend {
	b := Backend{Name: name}
	store, cached := strings.CutSuffix(name, WithCache)
	switch store {
	case S3, Embedded, Cassandra:
		b.Store, b.Cache = store, cached
	}
	return b.fill()
}

// ZoneMemory bounds what one cache zone of a backend keeps.
const ZoneMemory cost.Bytes = 512 << 20

// ChunkSize is above which size b's segments are kept in chunks, as an origin's configuration has it: 0 for what the origin does
// anyway, -1 for never. S3 keeps objects whole.
func (b Backend) ChunkSize() int {
	if b.Store == S3 {
		return -1
	}
	return 0
}

// fill sets what b leaves open and its store decides.
func (b Backend) fill() Backend {
	switch b.Store {
	case S3:
		b.Profile = cmp.Or(b.Profile, "s3-2024")
	case Cassandra:
		b.Nodes = cmp.Or(b.Nodes, 3)
	}
	if b.Store != "" {
		b.Profile = cmp.Or(b.Profile, NoProfile)
	}
	if b.Cache {
		b.Zones = cmp.Or(b.Zones, 3)
	}
	return b
}

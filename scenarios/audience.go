package scenarios

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"origin-storm/origin/cost"
)

// Audience is who watches the event, and through which CDN: viewers ask edges, edges ask fillers, and fillers ask the origin of their
// region, each node once for each segment of each rendition that at least one of its viewers watches. What reaches the origin of one
// region becomes readers.edges and readers.behaviour.dvr, where those are not given. It is for simulate and capacity: no one machine
// can run it live.
type Audience struct {
	// Viewers is how many watch at a time, in all regions together, such as 65M. It has no default.
	Viewers Count `yaml:"viewers"`
	// BitRate is what a viewer watches on average; 0bit/s: the mean of the renditions. Over the renditions viewers are spread as evenly
	// as that allows.
	BitRate cost.Rate `yaml:"bit-rate"`
	// Regions is how many regions have an origin; viewers are spread evenly over them.
	Regions int `yaml:"regions"`
	// Edges is how many of the CDN's nodes viewers ask, in all regions together.
	Edges int `yaml:"edges"`
	// Fillers is how many of the CDN's nodes ask the origin of one region.
	Fillers int `yaml:"fillers"`
	// DVR is which part of the viewers watches older segments, anywhere in the DVR window.
	DVR Share `yaml:"dvr"`
	// Retention is how long fillers keep what they fetched; 0s: as long as the DVR window. What is older they ask the origin for again.
	Retention time.Duration `yaml:"retention"`
}

// Deployment is what the origin of one region runs on. Of nodes that are left at 0, capacity finds how many it takes.
type Deployment struct {
	// Reads is the read rate that the origin of one region is sized for, where that is more than what the audience asks for when
	// everything works: several events at once, collapsing that fails, a DVR flood. 0bit/s: what the audience asks for.
	Reads cost.Rate `yaml:"reads"`
	// Queued is which part of the requests may find all processors busy: 1%, 5% or 20%.
	Queued Share `yaml:"queued"`
	// Zones is over how many availability zones a region's nodes are spread. Node counts leave room for losing one of several.
	Zones int `yaml:"zones"`
	// Replicas is on how many of its nodes the store keeps each value.
	Replicas int `yaml:"replicas"`
	// Keep is how long the cache keeps what was published.
	Keep time.Duration `yaml:"keep"`
	// Publish is what takes segments in.
	Publish Machines `yaml:"publish"`
	// Serve is what fillers ask.
	Serve Machines `yaml:"serve"`
	// Store is Cassandra; of a store that is a service, such as S3, there are no nodes to count.
	Store Machines `yaml:"store"`
	// Cache is memcached, all of its zones together.
	Cache Machines `yaml:"cache"`
	// Backbone is the bandwidth from one region to its fillers; 0bit/s: no bound is known.
	Backbone cost.Rate `yaml:"backbone"`
	// Prices are what nodes cost; left out: nothing is said about cost. There are no defaults.
	Prices *Prices `yaml:"prices,omitempty"`
}

// Machines are the nodes of one kind in one region.
type Machines struct {
	// Nodes is how many there are; 0: as many as it takes.
	Nodes int `yaml:"nodes"`
	// Cores is how many processors one node has.
	Cores int `yaml:"cores"`
	// Link is the bandwidth of one node, in each direction.
	Link cost.Rate `yaml:"link"`
	// Memory is what one node has; stores and caches are sized by it.
	Memory cost.Bytes `yaml:"memory"`
	// Disk is what one node may keep on its disks; the store is sized by it.
	Disk cost.Bytes `yaml:"disk"`
}

// Prices are what one node costs for a time.
type Prices struct {
	// Currency is what they are in, such as EUR.
	Currency string `yaml:"currency"`
	// Per is the time they are for, such as hour.
	Per string `yaml:"per"`
	// Publish is the price of one such node.
	Publish float64 `yaml:"publish"`
	// Serve is the price of one such node.
	Serve float64 `yaml:"serve"`
	// Store is the price of one such node.
	Store float64 `yaml:"store"`
	// Cache is the price of one such node.
	Cache float64 `yaml:"cache"`
}

// Count is a number of people or things: 65M, 18k or 1200.
type Count int64

// UnmarshalText reads a whole number, with k, M or G for thousands, millions or thousands of millions.
func (c *Count) UnmarshalText(text []byte) error {
	digits, unit := string(text), 1.0
	for suffix, size := range map[string]float64{"k": 1e3, "M": 1e6, "G": 1e9} {
		if d, ok := strings.CutSuffix(digits, suffix); ok {
			digits, unit = strings.TrimSpace(d), size
			break
		}
	}
	f, err := strconv.ParseFloat(digits, 64)
	if n := f * unit; err != nil || n != math.Trunc(n) || math.Abs(n) > 1e15 {
		return fmt.Errorf("%q is not a number such as 65M, 18k or 1200", text)
	}
	*c = Count(f * unit)
	return nil
}

// MarshalText prints c as UnmarshalText reads it.
func (c Count) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

func (c Count) String() string {
	switch {
	case c != 0 && c%1e9 == 0:
		return fmt.Sprint(int64(c/1e9), "G")
	case c != 0 && c%1e6 == 0:
		return fmt.Sprint(int64(c/1e6), "M")
	case c != 0 && c%1e3 == 0:
		return fmt.Sprint(int64(c/1e3), "k")
	}
	return fmt.Sprint(int64(c))
}

// DefaultAudience is what an audience is that says no more than its viewers.
func DefaultAudience() Audience {
	return Audience{Regions: 2, Edges: 18_000, Fillers: 50}
}

// DefaultDeployment is what a deployment is that says nothing.
func DefaultDeployment() Deployment {
	return Deployment{
		Queued: 0.01, Zones: 3, Replicas: 3, Keep: 3 * time.Minute,
		Publish: Machines{Cores: 32, Link: 50e9, Memory: 122 << 30},
		Serve:   Machines{Cores: 32, Link: 50e9, Memory: 122 << 30},
		Store:   Machines{Cores: 24, Link: 25e9, Memory: 183 << 30, Disk: 1280 << 30},
		Cache:   Machines{Cores: 16, Link: 25e9, Memory: 122 << 30},
	}
}

// Sourced is a value of a scenario that somebody has published, or a default, and where it comes from.
type Sourced struct {
	Path, Value, Source string
}

// Sources are where the values of audiences and deployments come from: every default, and published values of events.
func Sources() []Sourced {
	const (
		origin = `"Netflix Live Origin" (Netflix TechBlog, 2025-12-15)`
		part1  = `"Behind the Streams: Three Years Of Live at Netflix. Part 1" (Netflix TechBlog, 2025-07-15)`
		part2  = `"Behind the Streams: Building a Reliable Cloud Live Streaming Pipeline. Part 2" (Netflix TechBlog, 2025-09-15)`
		model  = `Netflix's open capacity model (github.com/Netflix-Skunkworks/service-capacity-modeling at dc69307)`
		shape  = "; which machines Netflix uses was never published"
		none   = "an assumption: never published"
	)
	return []Sourced{
		{"audience.viewers", "65M", "peak concurrent streams of the fight on 2024-11-15: " + origin},
		{"audience.bit-rate", "5Mbit/s", `nominal bit rate of 1080p in "Smarter Live Streaming at Scale" (Netflix TechBlog, 2026-04-02), by accounts of it`},
		{"audience.bit-rate", "0bit/s", "the mean of the event's renditions"},
		{"audience.regions", "2", "two cloud regions take a feed in: " + part2 + "; how many serve was never published"},
		{"audience.edges", "18000", "more than 18,000 servers in Open Connect: " + part1 + "; all of them take part, which is an assumption"},
		{"audience.fillers", "50", `"potentially dozens" of top-tier caches ask the origin at a time: ` + origin},
		{"audience.fillers", "100", `"potentially dozens" of top-tier caches ask the origin at a time (` + origin + "); taken as 100, more than that"},
		{"audience.dvr", "0", none},
		{"audience.dvr", "0.02", none},
		{"audience.retention", "0s", `one assigned cache of a site keeps the whole event: patent US 12,621,504 B2 ("Techniques for caching media content when streaming live events"), by an account of it`},
		{"deployment.reads", "0bit/s", "what the audience asks for"},
		{"deployment.reads", "200Gbit/s", `"easily hit 200Gbps and beyond without affecting the write path": ` + origin + "; a statement of what the origin can do, not a measurement at the fight"},
		{"deployment.reads", "100Gbit/s", `"O(100 Gbps)" as the worst case by a back-of-the-envelope calculation: ` + origin},
		{"deployment.queued", "0.01", "tier 0, Q = 2.375: " + model},
		{"deployment.zones", "3", "one full copy of the cache in each of three zones, replication factor 3: " + model},
		{"deployment.replicas", "3", "replication factor of stores that are read after they are written: " + model},
		{"deployment.keep", "3m0s", `180 s, the cache's time to live of the one namespace that was published: "Introducing Netflix's Key-Value Data Abstraction Layer" (Netflix TechBlog, 2024-09-18); whether that is live video is not said`},
		{"deployment.publish.cores", "32", "m6in.8xlarge: " + model + shape},
		{"deployment.publish.link", "50Gbit/s", "m6in.8xlarge: " + model + shape},
		{"deployment.publish.memory", "122GiB", "m6in.8xlarge: " + model + shape},
		{"deployment.serve.cores", "32", "m6in.8xlarge: " + model + shape},
		{"deployment.serve.link", "50Gbit/s", "m6in.8xlarge: " + model + shape},
		{"deployment.serve.memory", "122GiB", "m6in.8xlarge: " + model + shape},
		{"deployment.store.cores", "24", "i3en.6xlarge: " + model + shape},
		{"deployment.store.link", "25Gbit/s", "i3en.6xlarge: " + model + shape},
		{"deployment.store.memory", "183GiB", "i3en.6xlarge: " + model + shape},
		{"deployment.store.disk", "1280GiB", "the most data that one node of Cassandra keeps: " + model},
		{"deployment.cache.cores", "16", "r6in.4xlarge: " + model + shape},
		{"deployment.cache.link", "25Gbit/s", "r6in.4xlarge: " + model + shape},
		{"deployment.cache.memory", "122GiB", "r6in.4xlarge: " + model + shape},
		{"deployment.backbone", "0bit/s", "no bound: the bandwidth to Open Connect was never published"},
	}
}

// Watching returns which part of the viewers watches each of the renditions: the most even distribution whose mean bit rate is a's, in
// which each rendition's part is exp(θ·rate) of the whole. A mean that the renditions cannot have is the nearest that they can.
func (a Audience) Watching(r Renditions) []float64 {
	parts := make([]float64, len(r))
	if len(r) == 0 {
		return parts
	}
	least, most := r.span()
	mean := func(theta float64) float64 {
		from := most // what the exponents count from, so that none is above 0
		if theta < 0 {
			from = least
		}
		var sum, rate float64
		for i, x := range r {
			parts[i] = math.Exp(theta * float64((x.Rate-from)/most))
			sum += parts[i]
			rate += parts[i] * float64(x.Rate)
		}
		for i := range parts {
			parts[i] /= sum
		}
		return rate / sum
	}
	low, high := -1e4, 1e4 // the mean rises with θ
	for range 100 {
		if theta := (low + high) / 2; mean(theta) < float64(a.BitRate) {
			low = theta
		} else {
			high = theta
		}
	}
	mean((low + high) / 2)
	return parts
}

// span returns the lowest and the highest bit rate of r, which is not empty.
func (r Renditions) span() (least, most cost.Rate) {
	least, most = r[0].Rate, r[0].Rate
	for _, x := range r {
		least, most = min(least, x.Rate), max(most, x.Rate)
	}
	return least, most
}

// Any is how likely at least one of n viewers watches what a part p of all viewers does: 1-(1-p)^n.
func Any(p, n float64) float64 {
	if p >= 1 {
		return min(1, n)
	}
	return -math.Expm1(n * math.Log1p(-p))
}

// Asks is what one filler asks the origin for in a segment's time.
type Asks struct {
	// Renditions is for how many renditions it asks for the newest segment, on average; Rate their bit rate.
	Renditions float64
	Rate       cost.Rate
	// Older is for how many older segments it asks.
	Older float64
}

// Asks returns what one filler of s's audience asks the origin for; s must have an audience.
func (s Scenario) Asks() (asks Asks) {
	a := s.Audience
	window := max(s.Event.DVR, time.Second)
	gone := 0.0 // the part of the DVR window that fillers no longer keep
	if a.Retention > 0 {
		gone = max(0, 1-a.Retention.Seconds()/window.Seconds())
	}
	each := float64(a.Viewers) / float64(a.Regions*a.Fillers)
	live, older := each*(1-float64(a.DVR)), each*float64(a.DVR)*gone
	segments := max(1, window.Seconds()*gone/s.Event.Segment.Duration().Seconds())
	for i, p := range a.Watching(s.Event.Renditions) {
		any := Any(p, live)
		asks.Renditions += any
		asks.Rate += cost.Rate(any) * s.Event.Renditions[i].Rate
		asks.Older += segments * Any(p/segments, older)
	}
	return asks
}

// reached sets the readers to what of the audience reaches the origin of one region, but for the fields that were given.
func (s *Scenario) reached(given func(field string) bool) {
	a := s.Audience
	total := s.Event.Renditions.Total()
	if a == nil || a.Viewers <= 0 || a.Regions <= 0 || a.Fillers <= 0 || a.DVR < 0 || a.DVR > 1 || total <= 0 || s.Event.Segment.Ticks <= 0 || s.Event.Segment.Timescale <= 0 {
		return // Validate says what is wrong
	}
	if a.BitRate == 0 {
		a.BitRate = cost.Rate(math.Round(float64(total) / float64(len(s.Event.Renditions))))
	}
	asks := s.Asks()
	if !given("readers.edges") {
		s.Readers.Edges = int(math.Ceil(float64(a.Fillers) * float64(asks.Rate/total) * (1 - 1e-9)))
	}
	if !given("readers.behaviour.dvr") && asks.Renditions > 0 {
		s.Readers.Behaviour.DVR = Share(math.Round(asks.Older/asks.Renditions*1e6) / 1e6)
	}
}

// The bounds of an audience and a deployment.
const (
	maxViewers = 10_000_000_000 // more than there are people
	maxNodes   = 1_000_000
	minLink    = 1_000_000
)

// scale checks what only a simulation can carry.
func (c *checker) scale(s Scenario) {
	if a := s.Audience; a != nil {
		c.audience(*a, s)
	}
	if d := s.Deployment; d != nil {
		c.deployment(*d)
	}
}

func (c *checker) audience(a Audience, s Scenario) {
	if !c.hinted(a.Viewers >= 1 && a.Viewers <= maxViewers, "audience.viewers", "give 1 to 10G, or leave the audience out", "%v viewers", a.Viewers) {
		return
	}
	ok := c.that(a.Regions >= 1 && a.Regions <= 100, "audience.regions", "%d: there must be 1 to 100", a.Regions)
	ok = c.that(a.Edges >= 1 && a.Edges <= maxEdges, "audience.edges", "%d: there must be 1 to %d", a.Edges, maxEdges) && ok
	ok = c.that(a.Fillers >= 1 && a.Fillers <= maxEdges/100, "audience.fillers", "%d: there must be 1 to %d", a.Fillers, maxEdges/100) && ok
	if ok {
		fillers := a.Fillers * a.Regions
		if c.hinted(Count(fillers) <= a.Viewers, "audience.fillers", fmt.Sprintf("at most %d in each region would have a viewer each", int(a.Viewers)/a.Regions),
			"%d fillers in each of %d regions for %v viewers", a.Fillers, a.Regions, a.Viewers) {
			c.hinted(fillers <= a.Edges, "audience.edges", fmt.Sprintf("give %d at least, or %d fillers at most", fillers, a.Edges/a.Regions),
				"%d edges behind %d fillers in each of %d regions", a.Edges, a.Fillers, a.Regions)
		}
	}
	if r := s.Event.Renditions; len(r) > 0 {
		low, high := r.span()
		c.hinted(a.BitRate >= low && a.BitRate <= high, "audience.bit-rate", fmt.Sprintf("give %v to %v, or change event.renditions", low, high),
			"%v: no mixture of the event's renditions has that mean", a.BitRate)
	}
	c.that(a.DVR >= 0 && a.DVR <= 1, "audience.dvr", "%v: a part of the viewers is 0 to 1", float64(a.DVR))
	c.that(a.Retention >= 0, "audience.retention", "%v: cannot be negative", a.Retention)
	c.hinted(s.Readers.Behaviour.DVR <= 10, "audience.retention", "give more, or 0s for as long as the DVR window, or a lower audience.dvr",
		"%v of a DVR window of %v: more older segments would reach the origin than newest ones by far", a.Retention, s.Event.DVR)
	c.hinted(s.Readers.Viewers == 0, "readers.viewers", "leave it out", "the audience's viewers are behind the fillers already")
	c.hinted(s.Readers.Replay == nil, "readers.replay", "leave one of them out", "a log and an audience both say what readers ask for")
}

func (c *checker) deployment(d Deployment) {
	const at = "deployment"
	c.that(d.Reads >= 0, at+".reads", "%v: cannot be negative", d.Reads)
	c.hinted(d.Queued == 0.01 || d.Queued == 0.05 || d.Queued == 0.2, at+".queued", "give 1%, 5% or 20%", "%v: how many spare processors that takes was not published", float64(d.Queued))
	c.that(d.Zones >= 1 && d.Zones <= 16, at+".zones", "%d: there must be 1 to 16", d.Zones)
	c.that(d.Replicas >= 1 && d.Replicas <= 16, at+".replicas", "%d: there must be 1 to 16", d.Replicas)
	c.that(d.Keep > 0 && d.Keep <= maxWindow, at+".keep", "%v: must be above 0s, and %v at most", d.Keep, maxWindow)
	c.that(d.Backbone == 0 || d.Backbone >= minLink, at+".backbone", "%v: must be %v at least, or 0bit/s for no bound", d.Backbone, cost.Rate(minLink))
	c.machines(at+".publish", d.Publish)
	c.machines(at+".serve", d.Serve)
	c.machines(at+".store", d.Store)
	c.machines(at+".cache", d.Cache)
	c.hinted(d.Store.Nodes == 0 || d.Store.Nodes >= d.Replicas, at+".store.nodes", fmt.Sprintf("give %d at least, or fewer replicas", d.Replicas),
		"%d nodes for %d replicas of each value", d.Store.Nodes, d.Replicas)
	for field, m := range map[string]Machines{at + ".store": d.Store, at + ".cache": d.Cache} {
		c.that(m.Memory >= 1<<30, field+".memory", "%v: must be 1GiB at least", m.Memory)
	}
	c.that(d.Store.Disk >= 1<<30, at+".store.disk", "%v: must be 1GiB at least", d.Store.Disk)
	if p := d.Prices; p != nil {
		c.that(p.Currency != "", at+".prices.currency", "is missing: say what the prices are in, such as EUR")
		c.that(p.Per != "", at+".prices.per", "is missing: say for which time they are, such as hour")
		for field, price := range map[string]float64{"publish": p.Publish, "serve": p.Serve, "store": p.Store, "cache": p.Cache} {
			c.that(price >= 0, at+".prices."+field, "%v: cannot be negative", price)
		}
	}
}

func (c *checker) machines(at string, m Machines) {
	c.that(m.Nodes >= 0 && m.Nodes <= maxNodes, at+".nodes", "%d: must be 1 to %d, or 0 for as many as it takes", m.Nodes, maxNodes)
	c.hinted(m.Cores >= 1 && m.Cores <= maxCores, at+".cores", fmt.Sprintf("give 1 to %d", maxCores), "a node with %d processors", m.Cores)
	c.hinted(m.Link >= minLink, at+".link", fmt.Sprintf("give %v at least", cost.Rate(minLink)), "a node with a link of %v", m.Link)
	c.that(m.Memory >= 0, at+".memory", "%v: cannot be negative", m.Memory)
	c.that(m.Disk >= 0, at+".disk", "%v: cannot be negative", m.Disk)
}

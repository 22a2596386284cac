package sim

import (
	"time"

	"origin-storm/origin/config"
)

// Config says what an Executor simulates.
type Config struct {
	// Start is the instant from which the plan's times count, and Events are the live events as the origin is configured with them.
	Start  time.Time
	Events []config.Event
	// SameBytes says that the pipelines publish the same bytes.
	SameBytes bool
	Topology  Topology
	Costs     Costs
	// Stress says when serving nodes that shed send readers away who can wait; its zero value is right for a store that is no S3.
	Stress config.Stress
	// ClockOffset is how far the clocks of nodes are ahead of the plan's.
	ClockOffset ClockOffset
	// Seed keys every draw. The store's are those of Costs.Store.Meter(Seed).
	Seed uint64
}

// ClockOffset is how far the clocks of publishing and of serving nodes are ahead, in their order; those that are not listed are right.
type ClockOffset struct{ Publish, Serve []time.Duration }

// Figures is what an origin's nodes would say of themselves, and how busy each part of the model was.
type Figures struct {
	// CacheReads counts values read through the cache, CacheHits those it had, StoreReads values read from the durable store and
	// StoreReadBytes their bytes; StoreAsked counts the reads that found nothing or failed, too, and StoreReadTime is what all those took
	// together. Only those of serving nodes count.
	CacheReads, CacheHits, StoreReads, StoreReadBytes, StoreAsked int64
	StoreReadTime                                                 time.Duration
	// Polls counts polls of cache or store for awaited segments, and PollKeys the commits they asked for; Awaited the segments that somebody
	// waited for, on each serving node; StorePolls the polls of the store for them, MostStorePolls those of one of them at most.
	Polls, PollKeys, Awaited, StorePolls, MostStorePolls int64
	// Bodies is how many segment bodies were read from cache or store, Published how many bytes were published.
	Bodies, Published int64
	// ZoneWaits are how long writes waited for the slowest zone beyond the durable store.
	ZoneWaits []time.Duration
	// Events counts what the engine did.
	Events int64
	Tiers  []Tier
}

// Tier is how busy one part of the model was: all of its nodes together.
type Tier struct {
	// Name is what it is, such as "serve processors", "serve links", "store processors".
	Name  string
	Nodes int
	// Phases is, by phase, the part of its capacity that was used on average, 0 to 1; Tick the same by place in a segment's time, over all
	// storm windows, beginning when segments are due.
	Phases map[string]float64
	Tick   []float64
	// Queue is the most that waited at one node at a time.
	Queue int
}

// TickBins is how many places a segment's time has in Tier.Tick.
const TickBins = 100

package origin

import (
	"sync"

	"origin-storm/origin/access"
	"origin-storm/origin/control"
	"origin-storm/origin/kv"
	"origin-storm/origin/storage"
	"origin-storm/origin/stress"
)

// Stats is what /stats on the operator's listener answers: counts since the node began. Other programs read these names.
type Stats struct {
	Node    string        `json:"node,omitempty"`
	Region  string        `json:"region,omitempty"`
	Publish *PublishStats `json:"publish,omitempty"`
	Serve   *ServeStats   `json:"serve,omitempty"`
	// Storage is what the handlers asked of the stores: with a cache, most of it is answered there.
	Storage storage.Stats `json:"storage"`
	// Store is what reached the durable store itself, retries and hedges included.
	Store *StoreStats `json:"store,omitempty"`
	// Control counts what keeps event control state current; its reads and writes are not among those of Store.
	Control *control.Stats `json:"control,omitempty"`
	// Stress says how the store bears its reads; absent where nothing depends on it.
	Stress *stress.State `json:"stress,omitempty"`
	// Cache is what the cache before the store counted; absent without a cache.
	Cache *CacheStats `json:"cache,omitempty"`
	// Access is what was not let in to publish; absent of a node that does not.
	Access *access.Stats `json:"access,omitempty"`
	// Listeners counts connections by listener: publish, serve, operator.
	Listeners map[string]ListenerStats `json:"listeners,omitempty" label:"listener"`
}

// StoreStats counts operations on the durable store.
type StoreStats struct {
	Reads     int64 `json:"reads"`      // values found and read
	ReadBytes int64 `json:"read_bytes"` // theirs
	Absent    int64 `json:"absent"`     // reads that found nothing, most of them polls for what is not published yet
	Writes    int64 `json:"writes"`     // values written
	Failed    int64 `json:"failed"`     // operations that failed or were given up
	// How long operations took that ended either way: of reads, those that found nothing too.
	ReadSeconds  Latency `json:"read_seconds"`
	WriteSeconds Latency `json:"write_seconds"`
}

// CacheStats is what the caches before the two tables counted.
type CacheStats struct {
	kv.CacheStats
	// ZoneWaitP99 is how long writes waited for cache zones after the durable store had the value, in ms, of ZoneWaits writes.
	ZoneWaitP99 float64 `json:"zone_wait_p99_ms"`
	ZoneWaits   int64   `json:"zone_waits"`
}

// Requests counts answers by class (of Publish the method) and then by status.
type Requests map[string]map[int]int64

// PublishStats counts what a Publish did.
type PublishStats struct {
	Requests   Requests `json:"requests"`
	Active     int64    `json:"active" metric:"gauge"` // requests being received or stored now
	Stored     int64    `json:"stored"`                // segments stored under a new name
	Replaced   int64    `json:"replaced"`              // flawed copies that a sound one replaced
	Same       int64    `json:"same"`                  // repeated with the same bytes
	Kept       int64    `json:"kept"`                  // repeated with other bytes: the first copy was kept
	Failed     int64    `json:"failed"`                // writes that the store did not acknowledge
	SlowWrites int64    `json:"slow_writes"`           // writes that took more than 500 ms
	Bytes      int64    `json:"bytes"`                 // stored
	// WriteSeconds is how long the store took, from the last byte of the body.
	WriteSeconds Latency `json:"write_seconds"`
	// Memory is what bodies take that are being received or stored.
	Memory MemoryStats `json:"memory"`
	// Feeds is what was seen of each pipeline that published to this node, by event/pipeline.
	Feeds map[string]FeedStats `json:"feeds,omitempty" label:"feed"`
}

// FeedStats is what a publishing node has seen of one pipeline of an event. Bodies count, also those that were sent again.
type FeedStats struct {
	Inspected int64 `json:"inspected"` // media segments that were looked into
	Unlocked  int64 `json:"unlocked"`  // of these, without a header that told their timescale: not compared with the clock
	Foreign   int64 `json:"foreign"`   // media segments that are not ISO BMFF, and were taken as they are
	Malformed int64 `json:"malformed"` // segments whose boxes make no sense: media are taken as they are, initialisation segments as missing

	// Flaws that were found in media segments, whether or not their packager said so.
	Short           int64 `json:"short"`
	Discontinuities int64 `json:"discontinuities"`
	Slates          int64 `json:"slates"`
	Missing         int64 `json:"missing"`

	// OffsetMS is how much later than its number's instant each rendition's last segment began, in milliseconds; audio begins
	// early by its priming.
	OffsetMS map[string]float64 `json:"offset_ms,omitempty" label:"rendition" metric:"gauge"`
	// Ended: the pipeline has said that Last is the number of its last segment.
	Ended bool  `json:"ended,omitempty"`
	Last  int64 `json:"last,omitempty" metric:"gauge"`
	// Received are the manifests that it published, by their path below the pipeline.
	Received map[string]Received `json:"received,omitempty" label:"manifest"`
}

// ServeStats counts what a Serve did.
type ServeStats struct {
	Requests     Requests `json:"requests"`
	Holding      int64    `json:"holding" metric:"gauge"`     // requests held now
	MaxHolding   int64    `json:"max_holding" metric:"gauge"` // at most, at a time
	Held         int64    `json:"held"`                       // requests that were held
	HoldsRefused int64    `json:"holds_refused"`              // requests that found as many held as the node, or their event, is allowed
	HoldsExpired int64    `json:"holds_expired"`              // requests that were held for as long as one may be
	// Awaited counts segments that somebody waited for, again if all who did had left. StorePolls is how often the store was
	// polled for them, MaxStorePolls how often at most for one of them: eight behind a cache.
	Awaited       int64 `json:"awaited"`
	StorePolls    int64 `json:"store_polls"`
	MaxStorePolls int64 `json:"max_store_polls" metric:"gauge"`
	HotHits       int64 `json:"hot_hits"`                 // answered from the hot copy
	Collapsed     int64 `json:"collapsed"`                // answered from another request's read
	Reads         int64 `json:"reads"`                    // segments read from the store for one request or a collapsed group
	Failed        int64 `json:"failed"`                   // requests that the store could not answer
	Bytes         int64 `json:"bytes"`                    // of segments, sent
	HotBytes      int64 `json:"hot_bytes" metric:"gauge"` // in the hot copy now
	// FirstByte is how long requests waited for an answer's first byte, by class; those of the live edge are held.
	FirstByte map[string]Latency `json:"first_byte_seconds" label:"class"`
	// Memory is what bodies take that are being read, kept hot or sent. IdleBuffers is what is kept beside it for the next ones, an
	// eighth of Memory.Limit at most.
	Memory      MemoryStats `json:"memory"`
	IdleBuffers int64       `json:"idle_buffer_bytes" metric:"gauge"`
	CutReaders  int64       `json:"cut_readers"` // readers that were cut off because they read too slowly
	BrokenOff   int64       `json:"broken_off"`  // answers that were cut off because the store did not have the rest of what they had begun with
}

// counter counts answers. Its zero value is ready.
type counter struct {
	mu sync.Mutex // guards n
	n  Requests
}

func (c *counter) add(class string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(Requests)
	}
	if c.n[class] == nil {
		c.n[class] = make(map[int]int64)
	}
	c.n[class][status]++
}

func (c *counter) snapshot() Requests {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(Requests, len(c.n))
	for class, statuses := range c.n {
		out[class] = make(map[int]int64, len(statuses))
		for status, n := range statuses {
			out[class][status] = n
		}
	}
	return out
}

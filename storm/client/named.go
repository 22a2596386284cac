package client

import (
	"maps"
	"slices"
	"time"

	"origin-storm/storm"
)

// The pace of a reader that is called slow, and what players give an answer to begin.
const (
	slowPace       = 100_000
	hlsPatience    = 10 * time.Second // maxTimeToFirstByteMs
	dashPatience   = 20 * time.Second // fragmentRequestTimeout; of the whole answer, which on a fast network begins as it ends
	insistentEvery = 10 * time.Millisecond
	insistentTries = 50
	patientTries   = 3
)

// readers has what the behaviours that package scenarios lists do.
var readers = map[string]func(Clock) storm.Client{
	"once":      func(Clock) storm.Client { return Direct{} },
	"patient":   func(Clock) storm.Client { return Direct{Again: Patient(patientTries)} },
	"insistent": func(Clock) storm.Client { return Direct{Again: Insistent(insistentTries, insistentEvery)} },
	"hls.js":    func(Clock) storm.Client { return Direct{Again: hlsjs, Patience: hlsPatience} },
	"dash.js":   func(Clock) storm.Client { return Direct{Again: dashjs, Patience: dashPatience} },
	"slow":      func(Clock) storm.Client { return Direct{Pace: slowPace} },
	"ffmpeg":    func(c Clock) storm.Client { return newWalker(c, demuxer) },
	"held":      func(c Clock) storm.Client { return newWalker(c, poller) },
	"scanner":   func(c Clock) storm.Client { return newWalker(c, scanner) },
}

// Reader returns a reader that behaves as name says, and whether there is such a behaviour.
func Reader(name string, c Clock) (r storm.Client, ok bool) {
	of, ok := readers[name]
	if !ok {
		return nil, false
	}
	return of(c), true
}

// caches has what the caches that package scenarios lists do.
var caches = map[string]Caching{
	"ideal": {},
	// proxy_cache_lock_timeout and proxy_cache_lock_age are 5 s unless they are set; the quantum cannot be.
	"nginx": {Quantum: 500 * time.Millisecond, LockTimeout: 5 * time.Second, WholeSeconds: true},
	// default_grace and uncacheable_ttl.
	"varnish":     {Scatter: true, Pass: 120 * time.Second, Grace: 10 * time.Second},
	"ats":         {Scatter: true, WholeSeconds: true},
	"no-collapse": {Apart: true},
}

// CacheOf returns what an edge does that is the cache that name says, and whether there is such a cache.
func CacheOf(name string) (c Caching, ok bool) {
	c, ok = caches[name]
	return c, ok
}

// Names returns the names that Reader and CacheOf know, sorted.
func Names() (ofReaders, ofCaches []string) {
	return slices.Sorted(maps.Keys(readers)), slices.Sorted(maps.Keys(caches))
}

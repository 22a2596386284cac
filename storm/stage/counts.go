package stage

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"

	"origin-storm/origin"
	"origin-storm/storm"
	"origin-storm/storm/record"
)

// counts adds up the counts of the target's nodes; nil where they cannot be asked.
func counts(ctx context.Context, t *Target) ([]origin.Stats, error) {
	if t.Stats == nil {
		return nil, nil
	}
	return t.Stats(ctx)
}

// cacheFigures tells from the nodes' counts before and after how reads fell on cache and store. Only serving nodes read.
func cacheFigures(before, after []origin.Stats, b *record.Backend) (c record.Cache) {
	var bodies, storeBytes, published, reads int64
	var readSeconds float64
	cached := false
	for _, a := range after {
		var o origin.Stats
		if i := slices.IndexFunc(before, func(s origin.Stats) bool { return s.Node == a.Node }); i >= 0 && !restarted(before[i], a) {
			o = before[i]
		}
		if a.Publish != nil {
			published += a.Publish.Bytes
			if o.Publish != nil {
				published -= o.Publish.Bytes
			}
			if a.Cache != nil && a.Cache.ZoneWaits >= record.Needed(0.99) {
				c.ZoneWaitP99 = new(a.Cache.ZoneWaitP99)
			}
		}
		if a.Serve == nil || a.Store == nil {
			continue
		}
		o.Store, o.Cache = cmp.Or(o.Store, &origin.StoreStats{}), cmp.Or(o.Cache, &origin.CacheStats{})
		s, t := a.Storage, o.Storage
		c.Polls += s.Polls - t.Polls + s.Peeks - t.Peeks
		c.PollKeys += s.PollKeys - t.PollKeys + s.PeekKeys - t.PeekKeys
		c.Awaited, c.StorePolls = c.Awaited+a.Serve.Awaited, c.StorePolls+a.Serve.StorePolls
		if o.Serve != nil {
			c.Awaited, c.StorePolls = c.Awaited-o.Serve.Awaited, c.StorePolls-o.Serve.StorePolls
		}
		c.MostStorePolls = max(c.MostStorePolls, a.Serve.MaxStorePolls)
		bodies += s.Bodies - t.Bodies
		c.StoreReads += a.Store.Reads - o.Store.Reads
		reads += a.Store.ReadSeconds.Count - o.Store.ReadSeconds.Count
		readSeconds += a.Store.ReadSeconds.Sum - o.Store.ReadSeconds.Sum
		storeBytes += a.Store.ReadBytes - o.Store.ReadBytes
		if a.Cache != nil {
			cached = true
			c.Hits += int64(a.Cache.Hits - o.Cache.Hits)
			c.Reads += int64(a.Cache.Hits - o.Cache.Hits + a.Cache.Misses - o.Cache.Misses)
		}
	}
	if !cached {
		c.Reads = c.StoreReads
	} else if c.Reads > 0 {
		c.HitRatio = new(float64(c.Hits) / float64(c.Reads))
	}
	if reads > 0 {
		c.StoreReadMean = new(1000 * readSeconds / float64(reads))
	}
	if published > 0 {
		c.StoreBytes = new(float64(storeBytes) / float64(published))
	}
	var answered int64
	for _, p := range b.Phases {
		for _, o := range p.Operations {
			if slices.Contains(readClasses, o.Class) {
				answered += o.Count - o.Errors
			}
		}
	}
	if bodies > 0 {
		c.Collapse = new(float64(answered) / float64(bodies))
	}
	return c
}

// edgeFigures fills e, if there is one, in from the serving nodes' counts before and after, and from what readers were
// answered. asked is how many segments they asked for.
func edgeFigures(e *record.Edge, before, after []origin.Stats, b *record.Backend, asked int64) {
	if e == nil {
		return
	}
	add := func(status int, n int64, found, missing, shed *int64) {
		switch status {
		case http.StatusOK, http.StatusPartialContent, http.StatusNotModified:
			*found += n
		case http.StatusNotFound, http.StatusGone:
			*missing += n
		case http.StatusServiceUnavailable:
			*shed += n
		}
	}
	for _, a := range after {
		if a.Serve == nil {
			continue
		}
		var o origin.Requests
		if i := slices.IndexFunc(before, func(s origin.Stats) bool { return s.Node == a.Node }); i >= 0 && !restarted(before[i], a) {
			o = before[i].Serve.Requests
		}
		for class, statuses := range a.Serve.Requests {
			for status, n := range statuses {
				add(status, n-o[class][status], &e.Fetches, &e.NotFoundFetched, &e.ShedFetched)
			}
		}
	}
	for _, p := range b.Phases {
		for _, o := range p.Operations {
			reads := slices.Contains(readClasses, o.Class)
			if reads {
				e.Cached += o.Cached
			}
			if reads || o.Class == storm.Missing.String() {
				for status, n := range o.Statuses {
					if code, err := strconv.Atoi(status); err == nil {
						add(code, int64(n), &e.Reads, &e.NotFound, &e.Shed)
					}
				}
			}
		}
	}
	e.Segments = asked
	if e.Reads > 0 {
		e.HitRatio = new(float64(e.Cached) / float64(e.Reads))
	}
	if asked > 0 {
		e.FetchesPerSegment = new(float64(e.Fetches) / float64(asked))
	}
}

// readClasses are the classes of requests that count into the read figures.
var readClasses = []string{storm.LiveEdge.String(), storm.Early.String(), storm.DVR.String()}

// restarted reports whether a node counts anew since before.
func restarted(before, after origin.Stats) bool {
	if before.Store == nil || after.Store == nil {
		return true
	}
	return after.Store.Reads < before.Store.Reads || after.Store.Writes < before.Store.Writes || after.Store.Absent < before.Store.Absent
}

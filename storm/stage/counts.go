package stage

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"

	"origin-storm/origin"
	"origin-storm/storm"
	"origin-storm/storm/entry"
	"origin-storm/storm/record"
)

// counts adds up the counts of the target's nodes; nil where they cannot be asked.
func counts(ctx context.Context, t *Target) ([]origin.Stats, error) {
	if t.Stats == nil {
		return nil, nil
	}
	return t.Stats(ctx)
}

// cacheCounts adds up what the nodes counted between before and after.
func cacheCounts(before, after []origin.Stats) (n entry.Counts) {
	for _, a := range after {
		var o origin.Stats
		if i := slices.IndexFunc(before, func(s origin.Stats) bool { return s.Node == a.Node }); i >= 0 && !restarted(before[i], a) {
			o = before[i]
		}
		if a.Publish != nil {
			n.Published += a.Publish.Bytes
			if o.Publish != nil {
				n.Published -= o.Publish.Bytes
			}
			if a.Cache != nil && a.Cache.ZoneWaits >= record.Needed(0.99) {
				n.ZoneWaitP99 = new(a.Cache.ZoneWaitP99)
			}
		}
		if a.Serve == nil || a.Store == nil {
			continue
		}
		o.Store, o.Cache = cmp.Or(o.Store, &origin.StoreStats{}), cmp.Or(o.Cache, &origin.CacheStats{})
		s, t := a.Storage, o.Storage
		n.Polls += s.Polls - t.Polls + s.Peeks - t.Peeks
		n.PollKeys += s.PollKeys - t.PollKeys + s.PeekKeys - t.PeekKeys
		n.Awaited, n.StorePolls = n.Awaited+a.Serve.Awaited, n.StorePolls+a.Serve.StorePolls
		if o.Serve != nil {
			n.Awaited, n.StorePolls = n.Awaited-o.Serve.Awaited, n.StorePolls-o.Serve.StorePolls
		}
		n.MostStorePolls = max(n.MostStorePolls, a.Serve.MaxStorePolls)
		n.Bodies += s.Bodies - t.Bodies
		n.StoreReads += a.Store.Reads - o.Store.Reads
		n.Timed += a.Store.ReadSeconds.Count - o.Store.ReadSeconds.Count
		n.TimedSeconds += a.Store.ReadSeconds.Sum - o.Store.ReadSeconds.Sum
		n.StoreBytes += a.Store.ReadBytes - o.Store.ReadBytes
		if a.Cache != nil {
			n.Cached = true
			n.Hits += int64(a.Cache.Hits - o.Cache.Hits)
			n.CacheReads += int64(a.Cache.Hits - o.Cache.Hits + a.Cache.Misses - o.Cache.Misses)
		}
	}
	return n
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
			reads := slices.Contains(entry.ReadClasses, o.Class)
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

// restarted reports whether a node counts anew since before.
func restarted(before, after origin.Stats) bool {
	if before.Store == nil || after.Store == nil {
		return true
	}
	return after.Store.Reads < before.Store.Reads || after.Store.Writes < before.Store.Writes || after.Store.Absent < before.Store.Absent
}

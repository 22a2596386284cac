package policy

import (
	"time"

	"origin-storm/origin/segment"
)

// Source is where a serving node looks for a segment that is awaited.
type Source int

const (
	// Alone is a store without a cache before it.
	Alone Source = iota
	// Cache is the cache before a store. Publications are written through to it, so it nearly always knows first.
	Cache
	// Behind is the store behind that cache, asked now and then in case the cache lost what it was given.
	Behind
)

const (
	cacheEvery = 5 * time.Millisecond
	aloneEvery = 20 * time.Millisecond
)

// behindAt are the instants, from a segment's due time, at which the store behind a cache is asked, after a first look as
// waiting begins, which finds what was published so early that the cache keeps it no more. The first two find
// what the cache lost before it is late, the next ones what came late, ever more rarely; the last is a final look that has
// time to be answered before the deadline, so that a 410 never rests on the cache alone.
var behindAt = [...]time.Duration{
	-200 * time.Millisecond, 0,
	100 * time.Millisecond, 300 * time.Millisecond, 700 * time.Millisecond, 1200 * time.Millisecond,
	segment.Budget - 100*time.Millisecond,
}

// NextPoll returns the first instant after last at which source is asked for segment n, which is awaited; false if there is
// none before its deadline. It may be in the past: then the poll is to be made at once, and last is the instant at which it
// was. A zero last means that there was no poll yet. The instants do not depend on who began to wait when: of a store behind a
// cache eight in all, which the template tells; from one duration before the segment is due every 5 ms of the cache and 20 ms
// of a store alone, at whole multiples of these since the zero time, so that one exchange can ask for all segments that are
// awaited, whatever their templates.
func NextPoll(t segment.Template, n int64, source Source, last time.Time) (time.Time, bool) {
	due := t.Due(n)
	if source == Behind {
		if last.IsZero() {
			return t.Due(n - 1), true
		}
		for _, at := range behindAt {
			if at := due.Add(at); at.After(last) {
				return at, true
			}
		}
		return time.Time{}, false
	}
	every := cacheEvery
	if source == Alone {
		every = aloneEvery
	}
	at := t.Due(n - 1) // one duration before it is due
	if !at.After(last) {
		at = last.Truncate(every).Add(every)
	}
	return at, at.Before(t.Deadline(n))
}

package client

import (
	"context"
	"errors"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// Follow says whether and when an answer makes its asker ask again. It is a pure function; nil never asks again.
type Follow func(storm.Sample) (at time.Duration, ok bool)

// Patient asks again when a 404 or a 503 that has a lifetime runs out, at most n times: a player that believes its origin.
func Patient(n int) Follow {
	return func(s storm.Sample) (time.Duration, bool) {
		return s.Done + s.Fresh, s.Try < n && s.Fresh > 0 && (s.Status == 404 || s.Status == 503)
	}
}

// Insistent asks again after every failure, at most n times, and waits no longer than every however the origin asks for it:
// what makes an outage a retry storm.
func Insistent(n int, every time.Duration) Follow {
	return func(s storm.Sample) (time.Duration, bool) {
		return s.Done + every, s.Try < n && failed(s)
	}
}

// hlsjs is what hls.js does about a fragment (1.7.4, fragLoadPolicy, shouldRetry, retryForHttpStatus): a 4xx is final, and so is an
// answer that never began because nobody was there (status 0 while the browser is online). After a 5xx it waits 1 s, twice as
// long each time, 8 s at most; what timed out it asks for at once.
func hlsjs(s storm.Sample) (time.Duration, bool) {
	switch {
	case errors.Is(s.Err, context.DeadlineExceeded):
		return s.Done, s.Try < 4 && s.Via != storm.Dropped
	case s.Err == nil && s.Status >= 500:
		return s.Done + min(time.Second<<min(s.Try, 3), 8*time.Second), s.Try < 6
	}
	return 0, false
}

// dashjs is what dash.js does about a media segment (5.2.1, retryAttempts 3, retryIntervals 1000): whatever is no 2xx is asked for
// again a second later.
func dashjs(s storm.Sample) (time.Duration, bool) {
	return s.Done + time.Second, s.Try < 3 && failed(s)
}

// failed reports whether s is a failure as a player sees it. What does not exist is not meant to come.
func failed(s storm.Sample) bool {
	return (s.Err != nil || s.Status >= 400) && s.Via != storm.Dropped && s.Class != storm.Missing
}

// Until asks again for whatever did not come whole, each time when the answer's lifetime ends but not before every has
// passed, as long as until has not: how the run's own reader waits for a segment. until gives the instant after which
// nobody expects the segment any more.
func Until(until func(segment.ID) time.Duration, every time.Duration) Follow {
	return func(s storm.Sample) (time.Duration, bool) {
		at := s.Done + max(s.Fresh, every)
		return at, !s.OK() && s.Damage == storm.None && at < until(s.ID)
	}
}

// spread draws from the second half of wait, so that what failed together does not come back together. The draw is keyed by
// the request and its try: a run can be repeated.
func spread(s storm.Sample, wait time.Duration) time.Duration {
	h := uint64(0xcbf29ce484222325) // FNV-1a
	for _, part := range [...]string{s.From, s.ID.Event, s.ID.Pipeline, s.ID.Rendition} {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * 0x100000001b3
		}
		h = (h ^ 0xff) * 0x100000001b3
	}
	h ^= uint64(s.ID.Number)<<8 ^ uint64(s.Try)
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9 // splitmix64's finish, since FNV's high bits hardly know the last bytes
	h = (h ^ h>>27) * 0x94d049bb133111eb
	h ^= h >> 31
	return wait/2 + time.Duration(float64(wait/2)*(float64(h>>11)/(1<<53)))
}

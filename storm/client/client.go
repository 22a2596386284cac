// Package client is how packagers, readers and edge caches behave, as state machines without clock, network or goroutine: the
// same ones run over HTTP and in the simulator. It decides what is asked, when, and what a failure leads to; it measures
// nothing and knows no schedule but what answers tell it.
package client

import (
	"errors"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// Direct is a reader that sends each request as it is due, and asks again when Again says so.
type Direct struct {
	Again Follow
	// Patience and Pace become those of its requests.
	Patience time.Duration
	Pace     int64
}

// Due sends r.
func (c Direct) Due(_ time.Duration, r storm.Request, out *storm.Out) {
	r.Patience, r.Pace = c.Patience, c.Pace
	out.Send(r)
}

// Done records s and asks again as Again says.
func (c Direct) Done(s storm.Sample, out *storm.Out) { finish(c.Again, s, out) }

// finish records s, and lets its asker ask again if again says so. What was answered well is done with: asking again is then
// a new request, of which the wait before is no part.
func finish(again Follow, s storm.Sample, out *storm.Out) {
	if again != nil {
		if at, ok := again(s); ok {
			r := s.Request
			r.At, r.Try = at, r.Try+1
			if s.OK() {
				r.Began = at
			} else {
				s.Retried = true
			}
			out.Wait(r)
		}
	}
	out.Record(s)
}

// Packager publishes what it is given, and asks for each acknowledged copy again a moment later: that is how a copy that was
// acknowledged and lost is known.
type Packager struct {
	// Backoff is how long it waits before the first retry of a failed publish; each further one waits twice as long, up to
	// eight times. Zero means 50 ms.
	Backoff time.Duration
	// ReadBack is how long after an acknowledgement the copy is asked for; zero means 1 s, a negative duration never.
	ReadBack time.Duration
}

// How long a copy is asked for, once a second, when the answer says nothing about it: no connection, or an origin in trouble.
const (
	readBackEvery = time.Second
	readBackTries = 10
)

// Due sends r.
func (p *Packager) Due(_ time.Duration, r storm.Request, out *storm.Out) { out.Send(r) }

// Done retries a publish that failed, within segment.Budget of the instant at which its first try was due, and asks for a copy
// that was acknowledged.
func (p *Packager) Done(s storm.Sample, out *storm.Out) {
	switch {
	case !s.Put:
		finish(retryReadBack, s, out)
	case s.OK():
		out.Record(s)
		if p.ReadBack >= 0 && !s.Twist.Do.Spoils() {
			at := s.Done + orElse(p.ReadBack, time.Second)
			out.Wait(storm.Request{At: at, Began: at, From: s.From, Class: storm.Probe, ID: s.ID, Match: s.ETag})
		}
	default:
		finish(p.retry, s, out)
	}
}

// retry follows a failed publish. What a client of the origin can mend by itself (4xx but 408 and 429) is not tried again.
func (p *Packager) retry(s storm.Sample) (time.Duration, bool) {
	switch {
	case s.Via == storm.Dropped, errors.Is(s.Err, storm.ErrFault):
		return 0, false
	case s.Err != nil, s.Status >= 500, s.Status == 408, s.Status == 429:
		wait := orElse(p.Backoff, 50*time.Millisecond) << min(s.Try, 3)
		at := s.Done + max(s.Fresh, spread(s, wait))
		return at, at < s.Began+segment.Budget
	}
	return 0, false
}

// retryReadBack asks again for a copy about which the answer says nothing, one that was cut short by the network among them. A
// 404, 410 or 412 says that it is not there.
func retryReadBack(s storm.Sample) (time.Duration, bool) {
	switch s.Status {
	case 200, 206, 404, 410, 412:
		if s.Err == nil {
			return 0, false
		}
	}
	return s.Done + max(readBackEvery, s.Fresh), s.Try+1 < readBackTries && s.Via != storm.Dropped
}

func orElse(d, zero time.Duration) time.Duration {
	if d == 0 {
		return zero
	}
	return d
}

var (
	_ storm.Client = Direct{}
	_ storm.Client = (*Packager)(nil)
)

// Package policy holds the origin's decisions as functions of time and template: what to answer to a segment's number, for
// how long that answer may be reused, which copy of a segment to serve, and when to look for one that is awaited. It never
// asks for the time, does no I/O and keeps no state, so the server and the simulator decide alike by construction. It is
// not HTTP: statuses and headers are the handlers'.
package policy

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"time"

	"origin-storm/origin/segment"
)

// A Rendition is what its clock says about a rendition: which of its segments may exist at an instant.
type Rendition struct {
	Template segment.Template
	// DVR is how long after it was due a segment is served; 0 means DefaultDVR.
	DVR time.Duration
	// Ended says that Last is the number of the last segment: what comes after it is Gone at once, whatever the clock says.
	Ended bool
	Last  int64
}

// DefaultDVR is the DVR window where none is configured.
const DefaultDVR = 2 * time.Hour

// How long answers may be reused that no clock bounds.
const (
	// ShedFor is how long an edge keeps the answer Shed to a read that can wait: Netflix's origin says 5 s (netflixtechblog.com, "Netflix Live
	// Origin", 2025-12-15).
	ShedFor = 5 * time.Second
	// SettleFor is how young a Commit may be and still change: two nodes may have been given different bytes, and a flawed
	// copy may be replaced. What rests on such a Commit is kept for at most this long, so that all nodes agree after it.
	SettleFor = 5 * time.Second
	// goneFor is kept for numbers that will never be served: long enough for one question a minute, short enough that an
	// operator who lengthens the window need not purge the edges.
	goneFor = time.Minute
	// notYetFor is the longest that an early 404 is kept: an operator who corrects an event's clock, or brings it forward, need not
	// purge the edges, and one question an hour costs nothing.
	notYetFor = time.Hour
	// liveEdge is how many segments behind the next one still count as the live edge: players start two or three segments
	// back and rebuffer by a few more.
	liveEdge = 5
)

// Known is what a node knows of a segment, without asking anyone.
type Known int

const (
	Unknown   Known = iota // nobody has looked, or the answer was not kept
	Published              // it was seen
	Absent                 // the store was asked just now and has no copy
)

// Load is what the node knows of the store's state.
type Load struct {
	// Stressed: the store is slow for want of capacity, and what can wait should, but for the share Admit of it, 0 to 1; For
	// says what is in that share.
	Stressed bool
	Admit    float64
	// Critical: it is so slow that the live edge is shed, too, as far as answering would need the store; the last thing to do.
	Critical bool
}

// For returns l as it is for segment id at now: without stress if id is in the share that is admitted nonetheless. That is drawn
// for each segment and ShedFor, not for each request, so that all edges are told the same for as long as they keep it.
func (l Load) For(id segment.ID, now time.Time) Load {
	if !l.Stressed || l.Admit <= 0 {
		return l
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %s %d %d", id.Event, id.Rendition, id.Number, now.UnixNano()/int64(ShedFor))
	x := h.Sum64() * 0x9e3779b97f4a7c15 // FNV's high bits hardly depend on the last bytes
	x = (x ^ x>>32) * 0x9e3779b97f4a7c15
	l.Stressed = float64(x>>11)/(1<<53) >= l.Admit
	return l
}

// Verdict is what to do with a request.
type Verdict int

const (
	// Look: it may exist. Ask the store, then decide again with Published or Absent.
	Look Verdict = iota
	// Hold the request until the segment is published, or until Answer.Until, when it is Gone.
	Hold
	// Serve what is known to be published.
	Serve
	// NotYet: the clock says that it cannot exist. No store is asked.
	NotYet
	// Gone: it was never published, or its time has passed.
	Gone
	// Shed: the store is under stress, and this read is of too low priority for it.
	Shed
)

var verdicts = [...]string{Look: "look", Hold: "hold", Serve: "serve", NotYet: "not yet", Gone: "gone", Shed: "shed"}

// String returns the verdict in lower case.
func (v Verdict) String() string { return verdicts[v] }

// Answer is a verdict with its end: of Hold the instant at which waiting ends; of the others how long the answer may be
// reused by whoever is given it. Of Look it is zero.
type Answer struct {
	Verdict Verdict
	Until   time.Time
}

// Decide returns what to answer to number n at now.
//
// NotYet ends at the instant at which the number opens (segment.Template.Opens), at least one segment before it is due, or after an hour: an edge that forgets its
// 404 then and asks again is held, and gets the segment the moment it is published, while one that kept the 404 any longer would hide
// a segment that was published early (which is the normal case: due is when it should be readable at the latest).
//
// An initialisation segment has no instant: it may exist at any time, and where it does not the answer lasts one segment.
func (r Rendition) Decide(now time.Time, n int64, known Known, load Load) Answer {
	t := r.Template
	if n == segment.Init {
		switch known {
		case Published:
			return Answer{Serve, now.Add(r.window())}
		case Absent:
			return Answer{NotYet, now.Add(t.Duration())}
		}
		return Answer{Verdict: Look}
	}
	if n < t.StartNumber || r.Ended && n > r.Last {
		return Answer{Gone, now.Add(goneFor)}
	}
	if opens := t.Opens(n); now.Before(opens) {
		if most := now.Add(notYetFor); opens.After(most) {
			opens = most
		}
		return Answer{NotYet, opens}
	}
	end := r.End(n)
	if !now.Before(end) {
		return Answer{Gone, now.Add(goneFor)}
	}
	if load.Stressed && r.Low(now, n) {
		return Answer{Shed, now.Add(ShedFor)}
	}
	// The live edge is wanted again within the segment, so that an edge must not keep this answer as long as others.
	shed := Answer{Shed, now.Add(min(ShedFor, t.Duration()/2))}
	if known == Published {
		if load.Critical {
			return shed
		}
		return Answer{Serve, end}
	}
	if deadline := t.Deadline(n); now.Before(deadline) {
		return Answer{Hold, deadline} // whether there is a copy already, the first poll tells; polls are few, and not shed
	}
	if known == Absent {
		return Answer{Gone, now.Add(t.Duration())} // a late publication makes it 200 again
	}
	if load.Critical {
		return shed
	}
	return Answer{Verdict: Look}
}

// End is when segment n leaves the DVR window.
func (r Rendition) End(n int64) time.Time { return r.Template.Due(n).Add(r.window()) }

func (r Rendition) window() time.Duration { return cmp.Or(r.DVR, DefaultDVR) }

// Low reports whether number n is of low priority at now: so far behind the live edge that whoever asks for it can wait.
func (r Rendition) Low(now time.Time, n int64) bool {
	return n != segment.Init && n < r.Template.Next(now)-liveEdge
}

// Keep returns for how long a store has to keep segment n that is written at now: to the end of the DVR window and a little
// more, so that no answer in flight finds a part of it gone; 0 if its time has passed. An initialisation segment is kept for
// a week, which outlasts any event.
func (r Rendition) Keep(now time.Time, n int64) time.Duration {
	if n == segment.Init {
		return initKeep
	}
	left := r.End(n).Sub(now)
	if left <= 0 {
		return 0
	}
	return left + slack
}

const (
	slack    = 10 * time.Second
	initKeep = 7 * 24 * time.Hour
)

// TooEarly reports whether a publication of number n at now is so far ahead of the clock that the packager's clock or
// numbering must be wrong: more than a DVR window.
func (r Rendition) TooEarly(now time.Time, n int64) bool {
	return n != segment.Init && r.Template.Due(n).Sub(now) > r.window()
}

// MaxAge is a lifetime as Cache-Control carries it: whole seconds, rounded down so that no edge keeps an answer too long.
func MaxAge(d time.Duration) int64 { return max(0, int64(d/time.Second)) }

// TTLMillis is a lifetime in milliseconds, rounded up: an edge that asks again as it ends must not come a fraction of a
// millisecond too early, only to be sent away again with a lifetime of 0.
func TTLMillis(d time.Duration) int64 {
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		ms++
	}
	return max(0, ms)
}

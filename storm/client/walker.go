package client

import (
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// Clock is what readers who choose their own segments know of the events. Instants count from the run's start.
type Clock struct {
	// Due is when a segment is due, and Opens from when on an origin holds a request for it.
	Due, Opens func(segment.ID) time.Duration
	// Oldest is the number of the oldest segment of an event that can be read at an instant.
	Oldest func(event string, at time.Duration) int64
	// Reading reports whether readers ask at an instant: whether it lies in a storm.
	Reading func(at time.Duration) bool
	// Segment is how long a segment lasts.
	Segment time.Duration
}

// class is what a request for id stands for that is made at an instant.
func (c Clock) class(id segment.ID, at time.Duration) storm.Class {
	switch due := c.Due(id); {
	case at < c.Opens(id):
		return storm.Missing
	case at < due:
		return storm.Early
	case at < due+c.Segment:
		return storm.LiveEdge
	}
	return storm.DVR
}

// Walker is a reader that goes from segment to segment of a rendition by itself, each when the one before was answered, one
// request at a time. The plan's requests for the newest segment start it where it stands still; while it walks it needs none.
type Walker struct {
	clock Clock
	gait  gait
	walks map[segment.ID]storm.Request // the request that each rendition's walk is at; number 0 stands for the rendition
}

// gait is how a walker walks.
type gait struct {
	// from is the number at which a walk starts that the plan starts at r.
	from func(c Clock, r storm.Request) int64
	// next is what is asked for after s, and when; ok is false if the walk ends.
	next func(c Clock, s *storm.Sample) (number int64, at time.Duration, ok bool)
}

func newWalker(c Clock, g gait) *Walker { return &Walker{c, g, map[segment.ID]storm.Request{}} }

// Due starts a walk with r, and leaves r out if one is under way. Of what is planned beside the newest segment, older ones and
// what does not exist, it asks just that.
func (w *Walker) Due(_ time.Duration, r storm.Request, out *storm.Out) {
	track := r.ID.Asked()
	track.Number = 0
	at, walking := w.walks[track]
	starts := r.Class == storm.LiveEdge || r.Class == storm.Early
	switch {
	case walking && starts && at != r:
		return
	case !walking && starts:
		if n := w.gait.from(w.clock, r); n != r.ID.Number {
			r.ID.Number = n
			r.Class = w.clock.class(r.ID, r.At)
		}
		w.walks[track] = r
	}
	out.Send(r)
}

// Done takes the next step, unless the storm is over.
func (w *Walker) Done(s storm.Sample, out *storm.Out) {
	track := s.ID.Asked()
	track.Number = 0
	if at, walking := w.walks[track]; !walking || at != s.Request {
		out.Record(s)
		return
	}
	n, at, ok := w.gait.next(w.clock, &s)
	if !ok || s.Via == storm.Dropped || !w.clock.Reading(at) {
		delete(w.walks, track)
		out.Record(s)
		return
	}
	r := s.Request
	r.At, r.ID.Number = at, n
	r.Class = w.clock.class(r.ID, at)
	if n == s.ID.Number && !s.OK() {
		s.Retried = true
		r.Class, r.Try = s.Class, s.Try+1
	} else {
		r.Began, r.Try = at, 0
	}
	w.walks[track] = r
	out.Record(s)
	if at > s.Done {
		out.Wait(r)
	} else {
		out.Send(r)
	}
}

// patiently is how long walkers that are not ffmpeg wait after an answer that says nothing about its lifetime.
const patiently = time.Second

// planned starts a walk where the plan does.
func planned(_ Clock, r storm.Request) int64 { return r.ID.Number }

var (
	// demuxer goes on to the next number whatever it is answered, at once (dashdec.c, read_data: cur_seq_no++, restart).
	demuxer = gait{planned, func(_ Clock, s *storm.Sample) (int64, time.Duration, bool) { return s.ID.Number + 1, s.Done, true }}

	// poller asks for the next segment when it has one. What it is told to wait with it asks for again then.
	poller = gait{planned, func(_ Clock, s *storm.Sample) (int64, time.Duration, bool) {
		switch {
		case s.Err == nil && (s.Status == 200 || s.Status == 410):
			return s.ID.Number + 1, s.Done, true
		case s.Fresh > 0 && (s.Status == 404 || s.Status == 503):
			return s.ID.Number, s.Done + s.Fresh, true
		}
		return 0, 0, false // it begins anew with the next segment that is due
	}}

	// scanner reads all there is from the oldest segment on, and begins again when it has reached the newest.
	scanner = gait{
		func(c Clock, r storm.Request) int64 { return c.Oldest(r.ID.Event, r.At) },
		func(c Clock, s *storm.Sample) (int64, time.Duration, bool) {
			if s.Err != nil || s.Status == 429 || s.Status >= 500 {
				return s.ID.Number, s.Done + max(s.Fresh, patiently), true
			}
			next := s.ID
			if next.Number++; c.Due(next) > s.Done {
				next.Number = c.Oldest(next.Event, s.Done)
			}
			return next.Number, s.Done, true
		},
	}
)

var _ storm.Client = (*Walker)(nil)

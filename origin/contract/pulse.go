package contract

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"origin-storm/origin/segment"
)

// pulse is how long a request takes, through the whole of the run, that waits for nothing: what a busy machine, a busy origin and
// the way between them cost each answer. What has to come at once may take that much longer than the slack; without it a
// machine that lends its cores to somebody else for a second would be told that the origin holds what it must not.
type pulse struct {
	turn   chan struct{} // holds a value while a case is the next to begin; guards the following
	waited time.Duration

	mu    sync.Mutex // guards the following
	beats []beat     // by when they began; the last one may be under way
}

type beat struct{ began, ended time.Time } // ended is zero while it is under way

const (
	beatEvery = 50 * time.Millisecond
	// ways is how many times as far as a beat an answer has to go: to the node, from there to a cache, and to the store behind it.
	ways = 3
	// lagMost bounds what is allowed for: an origin that takes longer is slow, whoever's fault that is.
	lagMost = 2 * time.Second
	// calmEvery is the time between the beginnings of two cases: a hundred at one instant would be a load test.
	calmEvery = 20 * time.Millisecond
	// calmMost bounds how long the run waits, in all, for a busy machine.
	calmMost = time.Minute
	// starved is a lag at which the origin can not be blamed for a store that does not answer within its budget.
	starved = segment.Budget / 4
)

// feel takes the pulse until ctx ends.
func (s *session) feel(ctx context.Context) {
	p := &probe{session: s, ctx: ctx}
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		s.pulse.begin(time.Now())
		_, _ = p.try(ctx, http.MethodHead, s.Serve[0]+"/", nil) // an error takes its time, too
		s.pulse.end(time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (u *pulse) begin(at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.beats = append(u.beats, beat{began: at})
}

func (u *pulse) end(at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.beats[len(u.beats)-1].ended = at
}

// lag returns the longest that a beat took which was under way at some time from from to to.
func (u *pulse) lag(from, to time.Time) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	var most time.Duration
	for _, b := range slices.Backward(u.beats) {
		if b.ended.IsZero() {
			b.ended = time.Now()
		}
		if b.ended.Before(from) {
			break
		}
		if !b.began.After(to) {
			most = max(most, b.ended.Sub(b.began))
		}
	}
	return most
}

// slackSince is how much later than from an answer may come that waits for nothing, if it came at to.
func (s *session) slackSince(from, to time.Time) time.Duration {
	return s.Slack + min(ways*s.pulse.lag(from, to), lagMost)
}

// calm returns when a case may begin: one after the other, and each while a beat takes less than a quarter of the slack, so that a
// machine that has less time for the suite gets its cases more slowly.
func (s *session) calm(ctx context.Context) {
	u := &s.pulse
	u.turn <- struct{}{}
	defer func() { <-u.turn }()
	began := time.Now()
	for {
		if sleep(ctx, calmEvery) != nil {
			return // the case says so
		}
		now := time.Now()
		if u.lag(now.Add(-calmEvery), now) <= s.Slack/4 || u.waited+now.Sub(began) >= calmMost {
			u.waited += now.Sub(began) - calmEvery
			return
		}
	}
}

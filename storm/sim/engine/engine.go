package engine

import (
	"fmt"
	"time"
)

// Engine calls what was scheduled, in order of time, and of scheduling where times are equal. Its zero value is ready, at instant 0.
type Engine struct {
	now    time.Duration
	queue  queue
	events int64
}

// Event names something that was scheduled, for Cancel. The zero value names nothing.
type Event struct{ ticket ticket }

// Now is the instant that has been reached: that of the callback that runs.
func (e *Engine) Now() time.Duration { return e.now }

// At has do called at instant t, after whatever was scheduled for t before. It panics if t has passed: that is a mistake in the model.
// Scheduling allocates nothing; a caller whose do is one function value that it keeps, instead of a new closure for each call, does not
// allocate either.
func (e *Engine) At(t time.Duration, do func()) Event {
	if t < e.now {
		panic(fmt.Sprintf("engine: At(%v) at %v: that has passed", t, e.now))
	}
	return Event{e.queue.push(uint64(t), do)}
}

// After has do called when d has gone by, which must not be negative.
func (e *Engine) After(d time.Duration, do func()) Event { return e.At(e.now+d, do) }

// Cancel takes back what was scheduled, and reports whether it was still to come. What its callback held is let go at once.
func (e *Engine) Cancel(v Event) bool { return e.queue.remove(v.ticket) }

// Next returns the instant of the next callback, and whether there is one.
func (e *Engine) Next() (time.Duration, bool) {
	t, ok := e.queue.first()
	return time.Duration(t), ok
}

// Step goes on to the next callback and calls it, and reports whether there was one.
func (e *Engine) Step() bool {
	t, ok := e.queue.first()
	if !ok {
		return false
	}
	_, do := e.queue.pop()
	e.now = time.Duration(t)
	e.events++
	do()
	return true
}

// Advance goes on to instant t without calling anything, for a caller that has something of its own to do then. It panics if t has
// passed, or something is due before it.
func (e *Engine) Advance(t time.Duration) {
	if next, ok := e.Next(); t < e.now || ok && next < t {
		panic(fmt.Sprintf("engine: Advance(%v) at %v, with a callback due at %v", t, e.now, next))
	}
	e.now = t
}

// Pending is how many callbacks are to come.
func (e *Engine) Pending() int { return e.queue.len() }

// Events is how many callbacks were called, each end of work at a Share being one.
func (e *Engine) Events() int64 { return e.events }

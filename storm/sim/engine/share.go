package engine

import (
	"fmt"
	"math"
	"time"
)

// Share is a capacity that all work at it shares equally, up to what one job can take: processor sharing. The cores of a machine are
// one, with a core's second as the unit of work, as many units a second as there are cores, and one for each job at most; so is a link, with
// bytes, and without such a bound.
//
// Ends are exact in real numbers: that of one job in the midst of a nanosecond speeds up the others from there on. They are told at the
// first instant that is not before them, nanoseconds being what instants are made of; ends within one are told in their order.
//
// An arrival or an end takes a time that grows with the logarithm of how many jobs there are. For that, the share keeps the work that
// each job present since the beginning would have got, as a clock that all jobs have in common: a job ends when that clock shows what it showed when it came,
// and its work more (virtual time, as in fair queueing: Demers, Keshav and Shenker, SIGCOMM 1989).
type Share struct {
	engine   *Engine
	capacity float64 // units a nanosecond
	each     float64 // at most, for one job

	jobs   pile[func()] // by what the clock shows at their end, of which the bits are in its order as it is never below 0
	clock  float64      // at since
	since  time.Duration
	served float64
	most   int

	ended   fifo[ending] // those to be told in this instant
	telling bool
	event   Event // the next end that can be foreseen, or an instant before it
	due     time.Duration
	tell    func()
	added   int // since the clock was set to 0
}

type ending struct {
	ticket ticket
	done   func() // nil: it was removed
}

// tolerance, in nanoseconds, is how much earlier than its end a job may be told to have ended: enough for what floating point loses, so
// that what ends at a whole nanosecond is told then and not at the next.
const tolerance = 1e-3

// NewShare returns a share of e that does capacity units of work a second, and at most each of one job. math.Inf(1) stands for no bound;
// where both have none, work ends in the instant in which it comes.
func NewShare(e *Engine, capacity, each float64) *Share {
	if !(each > 0) {
		panic(fmt.Sprintf("engine: NewShare with %v for each job", each))
	}
	s := &Share{engine: e, each: each / float64(time.Second)}
	s.tell = s.tellEnds
	s.SetCapacity(capacity)
	return s
}

// Add brings units of work, not negative, and has done called at its end, never from inside Add.
func (s *Share) Add(work float64, done func()) Job {
	if !(work >= 0) || math.IsInf(work, 1) {
		panic(fmt.Sprintf("engine: Share.Add(%v): no amount of work", work))
	}
	s.advance()
	if s.added++; s.added > 1024+s.jobs.len() {
		s.rewind()
	}
	t := s.jobs.push(math.Float64bits(s.clock+work), done)
	s.most = max(s.most, s.jobs.len())
	s.foresee()
	return Job{uint64(t)}
}

// Remove takes a job back, with what it still lacks, and reports whether it was there: after true its done will not be called, after false
// it was.
func (s *Share) Remove(job Job) bool {
	s.advance()
	t := ticket(job.ticket)
	ok := s.jobs.remove(t)
	for i := 0; i < s.ended.n && !ok; i++ {
		if e := &s.ended.ring[(s.ended.head+i)&(len(s.ended.ring)-1)]; e.ticket == t && e.done != nil {
			e.done, ok = nil, true
		}
	}
	s.foresee()
	return ok
}

// SetCapacity changes how many units of work are done in a second. At 0 all jobs stand still, and go on where they were when there is
// capacity again. A model in which work is lost with a part of the capacity removes that work.
func (s *Share) SetCapacity(capacity float64) {
	if !(capacity >= 0) {
		panic(fmt.Sprintf("engine: SetCapacity(%v)", capacity))
	}
	s.advance()
	s.capacity = capacity / float64(time.Second)
	s.foresee()
}

// Jobs is how many jobs there are.
func (s *Share) Jobs() int {
	s.advance()
	s.foresee()
	return s.jobs.len()
}

// MostJobs is the greatest number of jobs that there ever were at once.
func (s *Share) MostJobs() int { return s.most }

// Served is how many units of work have been done until now. What was done between two instants is the difference of what it says at
// either.
func (s *Share) Served() float64 {
	s.advance()
	s.foresee()
	return s.served
}

// rate is what one of n jobs gets, in units a nanosecond.
func (s *Share) rate(n int) float64 { return min(s.each, s.capacity/float64(n)) }

// firstEnd is what the clock will show when the next job ends, if there is one.
func (s *Share) firstEnd() (float64, bool) {
	key, ok := s.jobs.first()
	return math.Float64frombits(key), ok
}

// advance does the work that can be done up to now. Jobs that end go into ended.
func (s *Share) advance() {
	left := float64(s.engine.now - s.since) // nanoseconds
	s.since = s.engine.now
	for {
		end, ok := s.firstEnd()
		if !ok {
			s.clock, s.added = 0, 0
			return
		}
		n := s.jobs.len()
		rate := s.rate(n)
		takes := (end - s.clock) / rate // NaN, which is no end, for no work at no rate
		if !(takes <= left+tolerance) {
			if left > 0 {
				// Rounded at each step, which an explicit conversion says: without, some processors would not, and find other instants.
				s.clock += float64(rate * left)
				s.served += float64(rate * left * float64(n))
			}
			return
		}
		s.served += float64((end - s.clock) * float64(n))
		s.clock = end
		left = max(0, left-takes)
		t, done := s.jobs.pop()
		s.ended.push(ending{t, done})
	}
}

// foresee sees to it that tellEnds is called when the next job ends. A call that is due before stays as it is, and looks ahead again: of
// many arrivals, each of which puts the end off, only one is an event then.
func (s *Share) foresee() {
	if s.telling {
		return
	}
	due := s.engine.now
	if s.ended.len() == 0 {
		end, ok := s.firstEnd()
		takes := (end - s.clock) / s.rate(s.jobs.len())
		if !ok || !(takes < 1<<62) {
			s.engine.Cancel(s.event)
			s.event = Event{}
			return
		}
		due += max(0, time.Duration(math.Ceil(takes-tolerance)))
	}
	if s.event != (Event{}) {
		if s.due <= due {
			return
		}
		s.engine.Cancel(s.event)
	}
	s.event, s.due = s.engine.At(due, s.tell), due
}

// tellEnds calls the done of all that has ended, and is the only one who does.
func (s *Share) tellEnds() {
	s.event = Event{}
	s.engine.events-- // what counts is whom it calls
	s.telling = true
	s.advance()
	for s.ended.len() > 0 {
		if e := s.ended.pop(); e.done != nil {
			s.engine.events++
			e.done()
		}
	}
	s.telling = false
	s.foresee()
}

// rewind sets the clock to 0, which every so many arrivals costs little: what it shows, and so what floating point loses, stays small
// however long there is always some work.
func (s *Share) rewind() {
	s.jobs.fill()
	for i := range s.jobs.items {
		key := &s.jobs.items[i].key
		*key = math.Float64bits(math.Float64frombits(*key) - s.clock)
	}
	s.clock, s.added = 0, 0
}

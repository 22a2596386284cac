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
	largest  float64 // the capacity that it ever had

	jobs    pile[job] // by what the clock shows at their end, of which the bits are in its order as it is never below 0
	clock   float64   // at since
	since   time.Duration
	stirred bool // jobs or capacity have changed since then
	served  float64
	most    int

	told    int          // how many of the jobs are told their end
	ended   fifo[ending] // those to be told in this instant
	telling bool
	event   Event // the next end that can be foreseen, or an instant before it; none if nobody is told
	due     time.Duration
	tell    func()
	added   int // since the clock was set to 0
}

// job is what a share knows of one: whom to tell of its end, and where to note it.
type job struct {
	done func() // nil: nobody
	work *Work  // nil: nowhere
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
	t := s.add(work, job{done: done})
	s.told++
	s.foresee()
	return Job{uint64(t)}
}

func (s *Share) add(work float64, j job) ticket {
	s.advance()
	if s.added++; s.added > 1024+s.jobs.len() {
		s.rewind()
	}
	s.stirred = true
	t := s.jobs.push(math.Float64bits(s.clock+work), j)
	s.most = max(s.most, s.jobs.len())
	return t
}

// Work is a job at a Share whose end nobody need be told: whoever has brought it looks later when it was. That spares an event for each part
// of something that is over when the last part is. Its zero value is no job.
type Work struct {
	share  *Share
	ticket ticket
	clock  float64 // what the share's clock shows at its end
	ended  bool
	end    time.Duration
}

// Bring brings units of work, not negative, as Add does, and has w note its end. w must stay where it is until then, and not be a job that
// has not ended.
func (s *Share) Bring(work float64, w *Work) {
	if !(work >= 0) || math.IsInf(work, 1) {
		panic(fmt.Sprintf("engine: Share.Bring(%v): no amount of work", work))
	}
	*w = Work{share: s}
	w.ticket = s.add(work, job{work: w})
	w.clock = s.clock + work
	s.foresee()
}

// Least is how long so much work takes at least: with all of the largest capacity that there ever was, as far as one job can have it.
func (s *Share) Least(work float64) time.Duration {
	return whole(work / min(s.each, s.largest))
}

// whole is in how many whole nanoseconds something has ended that takes so many; forever if that is never.
func whole(takes float64) time.Duration {
	if !(takes < forever) {
		return forever
	}
	return max(0, time.Duration(math.Ceil(takes-tolerance)))
}

const forever = 1 << 62

// End returns when w ended, if it has.
func (w *Work) End() (at time.Duration, ok bool) {
	if !w.ended {
		w.share.advance()
		w.share.foresee()
	}
	return w.end, w.ended
}

// Left is how long w, which has not ended, would take from now on if there were always as much beside it as there is: which of several is
// likely to be the last can be told by it.
func (w *Work) Left() time.Duration {
	s := w.share
	s.advance()
	s.foresee()
	return whole((w.clock - s.clock) / s.rate(s.jobs.len()))
}

// Tell has done called when w ends, which it has not yet.
func (w *Work) Tell(done func()) {
	s := w.share
	j := &s.jobs.slots[w.ticket.slot()].what
	if w.ended || j.done != nil {
		panic("engine: Work.Tell of what has ended, or is told already")
	}
	j.done = done
	s.told++
	s.foresee()
}

// Remove takes a job back, with what it still lacks, and reports whether it was there: after true its done will not be called, after false
// it was.
func (s *Share) Remove(job Job) bool {
	s.advance()
	t := ticket(job.ticket)
	ok := s.jobs.remove(t)
	if ok {
		s.told--
		s.stirred = true
	}
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
	s.stirred = true
	s.capacity = capacity / float64(time.Second)
	s.largest = max(s.largest, s.capacity)
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

// advance does the work that can be done up to now. Jobs that end are noted, and go into ended if somebody is told.
func (s *Share) advance() {
	if s.since == s.engine.now && !s.stirred {
		return
	}
	left := float64(s.engine.now - s.since) // nanoseconds
	s.since, s.stirred = s.engine.now, false
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
		t, j := s.jobs.pop()
		if w := j.work; w != nil {
			w.ended, w.end = true, s.engine.now-time.Duration(left+tolerance)
		}
		if j.done == nil {
			s.engine.events++
			continue
		}
		s.told--
		s.ended.push(ending{t, j.done})
	}
}

// foresee sees to it that tellEnds is called when the next job ends, if anybody is told of any. A call that is due before stays as it is, and looks ahead again: of
// many arrivals, each of which puts the end off, only one is an event then.
func (s *Share) foresee() {
	if s.telling {
		return
	}
	due := s.engine.now
	if s.ended.len() == 0 {
		if s.told == 0 {
			if s.event != (Event{}) {
				s.engine.Cancel(s.event)
				s.event = Event{}
			}
			return
		}
		end, ok := s.firstEnd()
		takes := whole((end - s.clock) / s.rate(s.jobs.len()))
		if !ok || takes == forever {
			s.engine.Cancel(s.event)
			s.event = Event{}
			return
		}
		due += takes
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
		item := &s.jobs.items[i]
		clock := math.Float64frombits(item.key) - s.clock
		item.key = math.Float64bits(clock)
		if w := s.jobs.slots[item.ticket.slot()].what.work; w != nil && w.ticket == item.ticket {
			w.clock = clock
		}
	}
	s.clock, s.added = 0, 0
}

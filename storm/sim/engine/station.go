package engine

import (
	"fmt"
	"math"
	"time"
)

// NoBound is the number of servers of a Station at which nothing ever waits.
const NoBound = math.MaxInt

// Station is a number of equal servers and one queue: who comes first is served first, by whichever server is free, one at a time.
type Station struct {
	engine  *Engine
	servers int
	jobs    []*stationJob
	free    []uint32     // jobs that can be used again
	queue   fifo[uint32] // jobs that wait, and jobs that were removed while they did
	waiting int          // without the removed
	serving int
	most    int
	busy    time.Duration // up to since
	since   time.Duration
}

type stationJob struct {
	service time.Duration
	done    func()
	end     func() // ends this job: one closure for all that ever use it
	event   Event  // when its service ends; the zero value while it waits
	use     uint32 // how often it was used, which tells a Job from those that had its place before
	state   state
}

type state uint8

const (
	absent  state = iota
	waits         // in the queue
	removed       // in the queue still, but its owner took it back
	served
)

// Job names work at a Station or at a Share, for its Remove. The zero value names none.
type Job struct{ ticket uint64 }

// NewStation returns a station of e. With 0 servers nothing is served, with NoBound nothing waits.
func NewStation(e *Engine, servers int) *Station {
	s := &Station{engine: e}
	s.SetServers(servers)
	return s
}

// Add brings work that takes a server for the time given, not negative, and has done called at its end.
func (s *Station) Add(service time.Duration, done func()) Job {
	if service < 0 {
		panic(fmt.Sprintf("engine: Station.Add(%v): work takes no negative time", service))
	}
	var i uint32
	if n := len(s.free); n > 0 {
		i = s.free[n-1]
		s.free = s.free[:n-1]
	} else {
		i = uint32(len(s.jobs))
		j := &stationJob{}
		j.end = func() { s.end(i) }
		s.jobs = append(s.jobs, j)
	}
	j := s.jobs[i]
	j.service, j.done = service, done
	j.use++
	if s.serving < s.servers { // so nothing waits
		s.serve(j)
	} else {
		j.state = waits
		s.queue.push(i)
		s.waiting++
		s.most = max(s.most, s.waiting)
	}
	return Job{uint64(j.use)<<32 | uint64(i)}
}

// Remove takes work back, whether it waits or is being served, and reports whether it was there: after true its done will not be
// called, after false it was. The server that it had is free at once.
func (s *Station) Remove(job Job) bool {
	i := uint32(job.ticket)
	if job.ticket == 0 || int(i) >= len(s.jobs) {
		return false
	}
	j := s.jobs[i]
	if j.use != uint32(job.ticket>>32) {
		return false
	}
	switch j.state {
	case waits:
		j.state, j.done = removed, nil
		s.waiting--
		return true
	case served:
		s.engine.Cancel(j.event)
		s.leave(i)
		s.next()
		return true
	}
	return false
}

// SetServers changes how many servers there are. Of fewer, those that are busy finish what they do: nothing begins until less is being
// served than there are servers. A model in which work is lost with its server removes that work.
func (s *Station) SetServers(n int) {
	if n < 0 {
		panic(fmt.Sprintf("engine: SetServers(%d)", n))
	}
	s.servers = n
	s.next()
}

// Waiting is how much work waits.
func (s *Station) Waiting() int { return s.waiting }

// Serving is how much work is being served.
func (s *Station) Serving() int { return s.serving }

// MostWaiting is the greatest number that ever waited at once.
func (s *Station) MostWaiting() int { return s.most }

// Busy is for how long servers have been at work until now, all of them together. What was done between two instants is the difference
// of what it says at either.
func (s *Station) Busy() time.Duration {
	now := s.engine.now
	s.busy += time.Duration(s.serving) * (now - s.since)
	s.since = now
	return s.busy
}

func (s *Station) serve(j *stationJob) {
	s.Busy()
	s.serving++
	j.state = served
	j.event = s.engine.After(j.service, j.end)
}

// leave ends job i's time at its server.
func (s *Station) leave(i uint32) {
	s.Busy()
	s.serving--
	s.drop(i)
}

// drop lets job i's place be used again.
func (s *Station) drop(i uint32) {
	j := s.jobs[i]
	j.state, j.done, j.event = absent, nil, Event{}
	s.free = append(s.free, i)
}

// next begins what waits, as far as servers are free.
func (s *Station) next() {
	for s.queue.len() > 0 {
		i := s.queue.front()
		j := s.jobs[i]
		if j.state == removed {
			s.queue.pop()
			s.drop(i)
			continue
		}
		if s.serving >= s.servers {
			return
		}
		s.queue.pop()
		s.waiting--
		s.serve(j)
	}
}

// end is the end of job i's service. The server takes up what waits before the caller hears of the end, who may bring work again.
func (s *Station) end(i uint32) {
	done := s.jobs[i].done
	s.leave(i)
	s.next()
	done()
}

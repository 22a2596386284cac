package cost

import (
	"math"
	"time"
)

// Station is a number of equal servers behind one queue, first come, first served. Arrivals are told in order of time; one that
// is told a little late is served as if it had arrived in its turn. The zero value has a server for everyone: nobody waits. It is
// not safe for concurrent use.
type Station struct {
	free []time.Duration // when each server is free again: a heap, the earliest first
}

// NewStation returns a station of that many idle servers; 0 or fewer means one for everyone.
func NewStation(servers int) *Station {
	return &Station{make([]time.Duration, max(servers, 0))}
}

// Arrive takes in work that arrives at now and occupies a server for service; it returns when the work is done.
func (s *Station) Arrive(now, service time.Duration) (done time.Duration) {
	if len(s.free) == 0 {
		return now + service
	}
	done = max(now, s.free[0]) + service
	// The server that was free first is now busy until done: sift it down to its place.
	i := 0
	for {
		child := 2*i + 1
		if child >= len(s.free) {
			break
		}
		if child+1 < len(s.free) && s.free[child+1] < s.free[child] {
			child++
		}
		if s.free[child] >= done {
			break
		}
		s.free[i] = s.free[child]
		i = child
	}
	s.free[i] = done
	return done
}

// Link is bandwidth that transfers share, first come, first served. Real links share by the packet, nearer to a fair share for each
// transfer. First come, first served is chosen because the end of a transfer is then known when it begins, which is what a toll
// in real time and an event in virtual time both need; a fair share would move ends that were already given out. The link is
// busy at the same times and carries the same bytes either way, and for transfers of equal size the last one ends at the same
// instant; what differs is that those before it end earlier. The zero value has no bound. It is not safe for concurrent use.
type Link struct {
	rate Rate
	free time.Duration
}

// NewLink returns an idle link; a rate of 0 or less means no bound.
func NewLink(r Rate) *Link { return &Link{rate: r} }

// Arrive takes in a transfer of size bytes that arrives at now and returns when its last byte has passed.
func (l *Link) Arrive(now time.Duration, size int64) (done time.Duration) {
	if l.rate <= 0 {
		return now
	}
	l.free = max(now, l.free) + time.Duration(math.Round(float64(size)*8/float64(l.rate)*float64(time.Second)))
	return l.free
}

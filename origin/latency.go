package origin

import (
	"sync"
	"sync/atomic"
	"time"
)

// Latency is how long something took, each time it was done: a histogram with the bounds of LatencyBounds.
type Latency struct {
	Count int64   `json:"count"`
	Sum   float64 `json:"sum"` // of all, in seconds
	// Within is how many took at most as long as each bound.
	Within []int64 `json:"within"`
}

// LatencyBounds returns the bounds of every Latency, from 1 ms to 5 s in steps of 1, 2, 5: a write's figures lie around 10 ms and
// its budget is 2 s, a hold lasts up to two segments.
func LatencyBounds() []time.Duration {
	out := make([]time.Duration, 0, latencyBounds)
	for unit := time.Millisecond; unit <= time.Second; unit *= 10 {
		out = append(out, unit, 2*unit, 5*unit)
	}
	return out
}

const latencyBounds = 12

// A Timer counts how long something takes, as a Latency. The zero value is ready; it is safe for concurrent use.
type Timer struct {
	buckets [latencyBounds + 1]atomic.Int64 // the last one is for what took longer than all bounds
	sum     atomic.Int64                    // nanoseconds
}

// Add counts one that took d.
func (t *Timer) Add(d time.Duration) {
	i, bound := 0, time.Millisecond
	for ; i < latencyBounds && d > bound; i++ {
		if i%3 == 1 {
			bound = bound / 2 * 5
		} else {
			bound *= 2
		}
	}
	t.buckets[i].Add(1)
	t.sum.Add(int64(d))
}

// Latency returns the counts so far.
func (t *Timer) Latency() Latency {
	l := Latency{Within: make([]int64, latencyBounds), Sum: time.Duration(t.sum.Load()).Seconds()}
	for i := range t.buckets {
		l.Count += t.buckets[i].Load()
		if i < latencyBounds {
			l.Within[i] = l.Count
		}
	}
	return l
}

// timers are Timers by class, of which there are few. The zero value is ready.
type timers struct {
	byClass sync.Map // of string to *Timer
}

func (t *timers) add(class string, d time.Duration) {
	timer, ok := t.byClass.Load(class)
	if !ok {
		timer, _ = t.byClass.LoadOrStore(class, new(Timer))
	}
	timer.(*Timer).Add(d)
}

func (t *timers) latencies() map[string]Latency {
	out := map[string]Latency{}
	for class, timer := range t.byClass.Range {
		out[class.(string)] = timer.(*Timer).Latency()
	}
	return out
}

package storm

import (
	"container/heap"
	"sync"
	"time"
)

// Agenda merges a plan's requests with what clients put off, and keeps the clients: the one queue of every executor. It is
// not safe for concurrent use. The plan's requests are made in a goroutine of its own, a little ahead.
type Agenda struct {
	made    chan []Request // batches, in order
	spent   chan []Request // to be filled again
	stopped chan struct{}
	maker   sync.WaitGroup
	batch   []Request // which comes next; none at the plan's end
	popped  int       // of batch
	later   waits
	seq     uint64
	clients map[string]Client
	make    func(string) Client
}

// How far ahead requests are made: enough that taking one does not mean waiting for another goroutine, and so few that they stay in
// a processor's cache.
const (
	batchOf = 128
	ahead   = 2
)

// NewAgenda begins with the first request of p. Stop must be called in the end.
func NewAgenda(p Plan) *Agenda {
	a := &Agenda{
		made: make(chan []Request, ahead), spent: make(chan []Request, ahead+2), stopped: make(chan struct{}),
		clients: map[string]Client{}, make: p.Client,
	}
	a.maker.Go(func() { a.produce(p) })
	a.batch = <-a.made
	return a
}

// produce makes p's requests until they end, or Stop is called.
func (a *Agenda) produce(p Plan) {
	defer close(a.made)
	batch := make([]Request, 0, batchOf)
	send := func() bool {
		select {
		case a.made <- batch:
		case <-a.stopped:
			return false
		}
		select {
		case batch = <-a.spent:
			batch = batch[:0]
		default:
			batch = make([]Request, 0, batchOf)
		}
		return true
	}
	for r := range p.Requests {
		if batch = append(batch, r); len(batch) == batchOf && !send() {
			return
		}
	}
	if len(batch) > 0 {
		send()
	}
}

// Stop ends the plan's generator, and returns when it has ended.
func (a *Agenda) Stop() {
	close(a.stopped)
	a.maker.Wait()
}

// Push puts r off to r.At.
func (a *Agenda) Push(r Request) {
	a.seq++
	heap.Push(&a.later, wait{r, a.seq})
}

// Client returns the client that from names, made on first use.
func (a *Agenda) Client(from string) Client {
	c, ok := a.clients[from]
	if !ok {
		c = a.make(from)
		a.clients[from] = c
	}
	return c
}

// Peek returns the instant of the next request, and whether there is one.
func (a *Agenda) Peek() (at time.Duration, ok bool) {
	switch {
	case a.laterFirst():
		return a.later[0].At, true
	case len(a.batch) > 0:
		return a.batch[a.popped].At, true
	}
	return 0, false
}

// Pop takes the next request; Peek must have said that there is one. Of requests at one instant the planned come first, then
// those put off, in the order of their Push.
func (a *Agenda) Pop() (r Request) {
	if a.laterFirst() {
		return heap.Pop(&a.later).(wait).Request
	}
	r = a.batch[a.popped]
	if a.popped++; a.popped == len(a.batch) {
		a.spent <- a.batch
		a.batch, a.popped = <-a.made, 0
	}
	return r
}

func (a *Agenda) laterFirst() bool {
	return len(a.later) > 0 && (len(a.batch) == 0 || a.later[0].At < a.batch[a.popped].At)
}

type wait struct {
	Request
	seq uint64 // equal instants keep the order of Push, so that a run can be repeated exactly
}

type waits []wait

func (w waits) Len() int { return len(w) }
func (w waits) Less(i, j int) bool {
	return w[i].At < w[j].At || w[i].At == w[j].At && w[i].seq < w[j].seq
}
func (w waits) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *waits) Push(x any)   { *w = append(*w, x.(wait)) }
func (w *waits) Pop() any {
	o := *w
	x := o[len(o)-1]
	*w = o[:len(o)-1]
	return x
}

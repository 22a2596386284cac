package storm

import (
	"container/heap"
	"iter"
	"time"
)

// Agenda merges a plan's requests with what clients put off, and keeps the clients: the one queue of every executor. It is
// not safe for concurrent use.
type Agenda struct {
	next    func() (Request, bool)
	stop    func()
	head    Request
	more    bool
	later   waits
	seq     uint64
	clients map[string]Client
	make    func(string) Client
}

// NewAgenda begins with the first request of p. Stop must be called in the end.
func NewAgenda(p Plan) *Agenda {
	a := &Agenda{clients: map[string]Client{}, make: p.Client}
	a.next, a.stop = iter.Pull(p.Requests)
	a.head, a.more = a.next()
	return a
}

// Stop ends the plan's generator.
func (a *Agenda) Stop() { a.stop() }

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
	case a.more:
		return a.head.At, true
	}
	return 0, false
}

// Pop takes the next request; Peek must have said that there is one. Of requests at one instant the planned come first, then
// those put off, in the order of their Push.
func (a *Agenda) Pop() (r Request) {
	if a.laterFirst() {
		return heap.Pop(&a.later).(wait).Request
	}
	r = a.head
	a.head, a.more = a.next()
	return r
}

func (a *Agenda) laterFirst() bool {
	return len(a.later) > 0 && (!a.more || a.later[0].At < a.head.At)
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

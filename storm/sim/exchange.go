package sim

import (
	"context"
	"fmt"
	"math"
	"syscall"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/body"
	"origin-storm/storm/sim/engine"
)

// exchange is one request on its way, and its answer. Its steps are functions that it keeps, so that a request needs no closures of its
// own; one that has ended regularly is used again for another request.
type exchange struct {
	run *run
	s   storm.Sample

	track *track // nil: there is no such rendition
	seg   *seg   // nil: nobody ever published it, nor waits for it
	node  *node
	late  engine.Event // when its sender gives up
	over  bool         // its sender was told how it ended, or gave up
	loose bool         // it was over while parts of it were still under way: it is not used again

	// Of an answer.
	wire   int64         // bytes of the answer's body that cross the network
	beside time.Duration // how long the answer takes at least from its first byte on
	parts  int           // what the last byte waits for
	body   *bodyOf       // what it is answered with
	next   *exchange     // in the list of those who wait for the same
	chosen int           // the pipeline whose copy this node has served before; -1: none
	after  *exchange     // in the list of its node's requests
	before *exchange
	listed bool
	then   *exchange // whose answer comes after this one's
	held   bool      // its answer comes after another one's
	ready  bool      // that is all it waits for

	begin, first, part, ends, expire func()
	put                              *publication
}

// exchange makes one for q, whose time has come.
func (r *run) exchange(q *storm.Request) *exchange {
	var x *exchange
	if n := len(r.idle); n > 0 {
		x = r.idle[n-1]
		r.idle = r.idle[:n-1]
	} else {
		x = &exchange{run: r}
		x.begin, x.first, x.part, x.ends, x.expire = x.begins, x.firstByte, x.partDone, x.last, x.expires
	}
	x.s = storm.Sample{Request: *q, Sent: r.engine.Now()}
	r.flying++
	return x
}

// recycle lets x be used for another request.
func (r *run) recycle(x *exchange) {
	if x.loose {
		return
	}
	*x = exchange{run: x.run, begin: x.begin, first: x.first, part: x.part, ends: x.ends, expire: x.expire}
	r.idle = append(r.idle, x)
}

// send puts q on the wire.
func (r *run) send(q storm.Request) {
	x := r.exchange(&q)
	if q.Put {
		r.sendPut(x)
		return
	}
	r.sendGet(x)
}

// drop ends x as a request that was never sent.
func (x *exchange) drop(err error) {
	x.s.Via, x.s.Err = storm.Dropped, err
	x.end()
}

// fail ends x as one that got no whole answer.
func (x *exchange) fail(err error) {
	if x.over {
		return
	}
	verb := "GET"
	if x.s.Put {
		verb = "PUT"
		if x.s.Twist.Do.Unanswered() { // however it ends, the fault is why
			err = storm.ErrFault
		}
	}
	x.s.Err = fmt.Errorf("sim: %s %v: %w", verb, x.s.ID, err)
	x.end()
}

// end has the client told of x, as it is now.
func (x *exchange) end() {
	if x.over {
		return
	}
	r := x.run
	x.over = true
	x.s.Done = r.engine.Now()
	r.engine.Cancel(x.late)
	if x.node != nil {
		x.node.leaves(x)
	}
	r.flying--
	r.told = append(r.told, x)
	if then := x.then; then != nil {
		if then.held = false; then.ready {
			then.last()
		}
	}
}

// expires is when the sender of x waits no longer.
func (x *exchange) expires() {
	x.loose = true
	x.fail(errGivenUp)
}

// readTimeout is how long a read may take, as with the live executor; a paced one has the time besides that largest bytes take.
const (
	readTimeout = 30 * time.Second
	largest     = 32 << 20
)

// What requests fail with that get no answer. They wrap what the live executor's fail with.
var (
	errGivenUp   = fmt.Errorf("not answered in time: %w", context.DeadlineExceeded)
	errRefused   = fmt.Errorf("nobody listens there: %w", syscall.ECONNREFUSED)
	errReset     = fmt.Errorf("the connection was reset: %w", syscall.ECONNRESET)
	errImpatient = fmt.Errorf("the asker waits no longer for the answer to begin: %w", context.DeadlineExceeded)
)

// patience arms what ends x if it is not answered.
func (x *exchange) patience() {
	e := &x.run.engine
	switch q := &x.s.Request; {
	case q.Put:
		x.late = e.At(max(e.Now(), q.Began+segment.Budget), x.expire)
	case q.Pace > 0:
		x.late = e.After(readTimeout+time.Duration(largest/q.Pace+1)*time.Second, x.expire)
	default:
		x.late = e.After(readTimeout, x.expire)
	}
}

// refuse answers x without a segment. keep is for how long the answer may be used again.
func (x *exchange) refuse(status int, keep time.Duration) {
	x.s.Status, x.s.Fresh = status, 0
	if keep > 0 {
		x.s.Fresh = time.Duration(policy.TTLMillis(keep)) * time.Millisecond
	}
	x.wire, x.beside, x.body = 0, 0, nil
	x.answer()
}

// answer has x's answer made, whose status and headers are known: it takes what a request takes of the node, and then its body follows.
func (x *exchange) answer() {
	r := x.run
	d, latency := &r.c.Costs.Serve, &r.latency.serve
	if x.s.Put {
		d, latency = &r.c.Costs.Publish, &r.latency.publish
	}
	x.node.work(d, d.PerRequest, x.drawn(latency), x.first)
}

// firstByte is when the answer's first byte comes. The rest takes the node's processor and link, the asker's processor and pace, and the
// arrival of the body from the store, all at once.
func (x *exchange) firstByte() {
	if x.over {
		return
	}
	r := x.run
	if x.node.park(x.first) {
		return
	}
	x.s.First = r.engine.Now()
	x.parts = 1
	if b := x.body; b != nil {
		x.stream(b)
	}
	x.partDone()
}

// drives has the processors of whoever asks do what a request takes of them beside its bytes: before it is sent, and after it was answered. Others
// wait for it, the request itself does not.
func (r *run) drives() {
	if d := r.c.Costs.Driver.PerRequest; r.driver != nil && d > 0 {
		r.driver.Add(d.Seconds(), func() {})
	}
}

// stream sends the bytes of b.
func (x *exchange) stream(b *bodyOf) {
	r, n := x.run, x.node
	c := &r.c.Costs
	size := b.copy.size
	x.wire = size
	x.parts++
	n.work(&c.Serve, c.Serve.Work(size)-c.Serve.PerRequest, 0, x.part)
	if n.out != nil {
		x.parts++
		n.out.Add(float64(size), x.part)
	}
	if r.driver != nil {
		x.parts++
		r.driver.Add((c.Driver.Work(size) - c.Driver.PerRequest).Seconds(), x.part)
	}
	if x.s.Pace > 0 {
		x.parts++
		r.engine.After(time.Duration(float64(size)/float64(x.s.Pace)*float64(time.Second)), x.part)
	}
	if b.failed != nil || !b.whole {
		x.parts++
		b.await(x)
	}
}

// partDone is when one of the parts of the answer is done.
func (x *exchange) partDone() {
	if x.parts--; x.parts > 0 || x.over {
		return
	}
	x.last()
}

// last is when the answer's last byte comes.
func (x *exchange) last() {
	if x.over || x.node.park(x.ends) {
		return
	}
	if x.held {
		x.ready = true
		return
	}
	switch {
	case x.body != nil:
		x.s.Bytes = x.wire
	case x.s.Put && x.s.Twist.Do != storm.Deletes:
		x.s.Bytes = bytesOf(&x.s.Request)
	}
	x.end()
}

// begins is when x's request has come to its node.
func (x *exchange) begins() {
	if x.over || x.node.park(x.begin) {
		return
	}
	if x.s.Put {
		x.put.received()
		return
	}
	x.node.decide(x)
}

// bytesOf is how many bytes q publishes.
func bytesOf(q *storm.Request) int64 { return int64(body.Size(q.Size)) }

// drawn is a latency of x's.
func (x *exchange) drawn(of *cost.Curve) time.Duration {
	if of.IsZero() {
		return 0
	}
	return of.Quantile(x.draw())
}

// draw is an even draw from (0, 1) for x's try of its request.
func (x *exchange) draw() float64 {
	h := x.run.c.Seed ^ 0xcbf29ce484222325
	for _, part := range [...]string{x.s.From, x.s.ID.Rendition} {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * 0x100000001b3
		}
	}
	h = mix(h ^ uint64(x.s.ID.Number)<<16 ^ uint64(x.s.Class)<<8 ^ uint64(x.s.Try))
	return (float64(mix(h^uint64(x.s.At))>>12) + 0.5) / (1 << 52)
}

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// share is which of n nodes a client stays with, as with the live executor.
func share(name string, n int) int {
	h := uint32(2166136261) // FNV-1a
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return int(h % uint32(n))
}

var noBound = math.Inf(1)

// Package storm is the vocabulary of a run: requests with an intended start, the clients that stand between a plan and the
// wire, and the samples that come of them. Executors (live over HTTP, sim in virtual time) carry out one and the same Plan.
// Nothing here has a clock or does I/O.
package storm

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"time"

	"origin-storm/origin/segment"
)

// Class says what a request stands for; reports keep a histogram for each.
type Class uint8

// The classes. StoreWrite is no request of its own: it is the time of the storage write inside a Publish, as the origin
// reports it.
const (
	Publish    Class = iota // a packager's PUT
	StoreWrite              // the origin's write of the segment to its store
	LiveEdge                // a read of a segment at the instant it is due
	Early                   // a read of the next segment, before it is due: held by the origin
	DVR                     // a read of an older segment, inside the DVR window
	Missing                 // a read of what does not exist (yet)
	Probe                   // the run's own reader, left out of the read figures
	Classes                 // how many there are
)

var classNames = [Classes]string{"publish", "store-write", "live-edge", "early", "dvr", "missing", "probe"}

func (c Class) String() string {
	if c < Classes {
		return classNames[c]
	}
	return "unknown"
}

// Reads reports whether requests of this class count into the read figures.
func (c Class) Reads() bool { return c == LiveEdge || c == Early || c == DVR }

// Request is one thing a client wants. Instants count from the run's start.
type Request struct {
	At    time.Duration // intended start of this try, at the origin's door
	Began time.Duration // intended start of the first try: response time counts from here
	From  string        // whose it is; names a Client
	Class Class
	Put   bool       // publish ID's bytes; otherwise read them
	ID    segment.ID // of a Put with its pipeline
	Size  int        // of a Put: length of the body in bytes
	Match string     // of a read: the ETag that the answer must carry (If-Match); empty for any
	Try   int        // 0 for the first
	Twist Twist      // of a Put: what a fault does to it

	// Patience is how long the asker waits for the answer to begin; 0: as long as the executor does.
	Patience time.Duration
	// Pace is how many bytes of the answer's body the asker takes in a second, over a connection with a small buffer; 0: all there are.
	Pace int64
}

// Via says how a request was answered.
type Via uint8

// How a request was answered.
const (
	Wire      Via = iota // by the target
	Hit                  // from what the client kept
	Collapsed            // with the answer to another request in flight
	Dropped              // not at all: it could not be sent. Sample.Err says why
)

// Damage says what is wrong with the bytes of an answer with status 200 or 206.
type Damage uint8

// What can be wrong with a body. None also stands for what was not verified, because there was no body.
const (
	None  Damage = iota
	Torn         // cut short, too long, or with bytes that are no part of what it says it is
	Wrong        // whole, but of another segment than the one that was asked for
	Stale        // whole and of the right pipeline, but not the copy whose ETag was asked for
	Cross        // one pipeline's bytes under another's name or ETag, or bytes of both in one body
)

var damageNames = [...]string{"", "torn", "wrong", "stale", "cross-pipeline"}

func (d Damage) String() string { return damageNames[d] }

// ErrFault is wrapped by the error of a sample that was not sent because a fault of the scenario says so: neither the target
// nor the driver failed.
var ErrFault = errors.New("storm: not sent, as a fault of the scenario says")

// Sample is what became of one Request. Every try that is sent or answered makes exactly one; of the tries of one request all
// but the last have Retried set, and count as retries only: the last one alone says how the request ended, and its response
// time, counted from Began, holds all the others.
type Sample struct {
	Request
	Via    Via
	Sent   time.Duration // when the request was handed to the network: before a connection is looked for, so that dialling is service
	First  time.Duration // when the answer's first byte came; 0 without an answer
	Done   time.Duration // when the answer's last byte had come, or the failure was known
	Status int           // HTTP status; 0 without an answer
	Bytes  int64         // of the body that came (read), or was sent (publish)
	Err    error         // no whole answer came
	Damage Damage
	Effect Effect // of a read: what a fault of the scenario had done to the body that came, as the body says
	Flaw   string // what is wrong with the bytes, said to people; empty where Damage is None
	// Retried says that another try of the same request follows.
	Retried bool

	Fresh    time.Duration // for how long, from Done, the answer may be used again; of a publish: is to be waited with
	ETag     string        // of the copy that was served, or that stands after a publish
	Pipeline string        // which candidate was served
	Store    time.Duration // of a publish: the time the origin's storage write took; 0 where the origin does not say
	Answered time.Duration // of a read: when the origin began to give the answer, at whatever request of a cache; 0 where it does not say
	Cached   bool          // of a read: a cache between here and the origin answered with what it kept
}

// Response is how long the caller waited, counted from the intended start of its first try: what users feel.
func (s *Sample) Response() time.Duration { return s.Done - s.Began }

// Service is how long the target took, counted from the send.
func (s *Sample) Service() time.Duration { return s.Done - s.Sent }

// AfterAnswer is how long the caller waited after the origin had begun to answer, or after its own request was sent if that was
// later: what the network and the caches on the way took. It means something only where Answered is not 0.
func (s *Sample) AfterAnswer() time.Duration { return s.Done - max(s.Sent, min(s.Answered, s.Done)) }

// Lag is what the driver itself lost between the intended start and the send.
func (s *Sample) Lag() time.Duration { return s.Sent - s.At }

// OK reports whether the answer is what a request of its class hopes for: published, read whole, or told that it is not there.
func (s *Sample) OK() bool {
	switch {
	case s.Err != nil || s.Damage != None:
		return false
	case s.Put:
		return s.Status == 200 || s.Status == 201
	case s.Class == Missing:
		return s.Status == 404 || s.Status == 410 || s.Status == 200 // it may have come to be while it was asked for
	}
	return s.Status == 200
}

// Recorder keeps samples. Record is safe for concurrent use and does not block.
type Recorder interface{ Record(Sample) }

// Client stands between the plan and the wire: a packager, a reader, an edge cache. It has no clock, does no I/O and starts
// no goroutine; an executor calls it, one call at a time, in order of time, and carries out what it puts in out.
type Client interface {
	// Due says that r, planned or put off by Wait, is due now. now is never before r.At.
	Due(now time.Duration, r Request, out *Out)
	// Done says what became of one of the client's sends.
	Done(s Sample, out *Out)
}

// Out is what a Client wants done. The executor empties it after each call.
type Out struct {
	Sends, Waits []Request
	Samples      []Sample
}

// Send puts r on the wire now.
func (o *Out) Send(r Request) { o.Sends = append(o.Sends, r) }

// Wait calls Due again at r.At.
func (o *Out) Wait(r Request) { o.Waits = append(o.Waits, r) }

// Record hands a sample to the recorder. Each request that was sent or answered is recorded once.
func (o *Out) Record(s Sample) { o.Samples = append(o.Samples, s) }

// Reset empties out and keeps its memory.
func (o *Out) Reset() {
	clear(o.Samples)
	o.Sends, o.Waits, o.Samples = o.Sends[:0], o.Waits[:0], o.Samples[:0]
}

// Fault is something that a scenario does to the target at an instant, and undoes after For where For is positive.
type Fault struct {
	At  time.Duration
	Do  string // kill, stop, drop, reset, …: what package scenarios lists
	To  string // what it is done to, such as "cassandra 2", "cache 1", "pipeline b", "publish"
	For time.Duration
	// By, or Count, is how much of it, as its kind says; Share which part of what it could befall it does, 0 being all; Rendition,
	// unless it is empty, the only one it befalls.
	By        time.Duration
	Count     float64
	Share     float64
	Rendition string
}

// String says what f does to whom, and how much of it, without when.
func (f Fault) String() string {
	s := f.Do + " " + f.To
	switch {
	case f.By != 0:
		s += " by " + f.By.String()
	case f.Count != 0:
		s += " by " + strconv.FormatFloat(f.Count, 'f', -1, 64)
	}
	if f.Rendition != "" {
		s += ", of " + f.Rendition
	}
	if f.Share != 0 && f.Share != 1 {
		s += ", " + strconv.FormatFloat(100*f.Share, 'f', -1, 64) + "% of it"
	}
	return s
}

// During reports whether f, once begun, is not over yet at an instant of the plan.
func (f Fault) During(at time.Duration) bool {
	return at >= f.At && (f.For <= 0 || at < f.At+f.For)
}

// Window is a stretch of a run whose samples are counted together under Name; a request belongs to the window in which its
// first try was meant to start. Windows do not overlap; windows of one name make up a phase.
type Window struct {
	Name     string // warm-up, quiet, storm, …
	From, To time.Duration
}

// Plan is a scenario expanded.
type Plan struct {
	Requests iter.Seq[Request] // in order of At
	Err      func() error      // why Requests ended before the plan did, asked once they have; nil if nothing can come between
	Faults   []Fault           // in order of At
	Windows  []Window          // in order of From
	Client   func(from string) Client
}

// Executor carries a plan out. It calls no Client before a request's time, and returns when everything sent was answered,
// or the cause of ctx's end. Every Sample that a Client records reaches rec exactly once.
type Executor interface {
	Execute(ctx context.Context, p Plan, rec Recorder) error
}

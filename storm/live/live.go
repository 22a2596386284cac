// Package live carries a plan out over HTTP and in real time, as an open loop: every request is sent when its time comes,
// whatever became of those before it, and what cannot be sent is recorded as dropped. It knows HTTP only: which origin,
// process or store answers is nothing to it.
package live

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"net"
	"sync"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// Config configures an Executor. Its zero value, with the URLs of Publish and Serve, is right for an origin of this project.
type Config struct {
	// Start is the plan's instant 0, agreed by all processes of a run; zero means the call of Execute.
	Start time.Time
	// Publish is where packagers send, Serve where everybody reads.
	Publish, Serve Target
	// Probes are the base URLs that requests of class Probe go to, in place of Serve's: asked through a cache, they would warm it
	// for everybody else. Empty means those of Serve.
	Probes []string
	// Pipelines gives pipelines a URL of their own in place of Publish.URLs.
	Pipelines map[string]string

	// Template gives the decode time and duration of a body; nil means segments of 2 s from number 0.
	Template func(segment.ID) segment.Template
	// SameBytes makes all pipelines publish the same bytes.
	SameBytes bool
	// Chunked sends bodies in chunked transfer encoding, without a Content-Length.
	Chunked bool
	// Unverified reads bodies without comparing them.
	Unverified bool

	// MaxInFlight bounds the requests on their way; one more is dropped. Zero means 20,000.
	MaxInFlight int
	// ReadTimeout bounds a read; zero means 30 s, since a read may be held for a segment and its budget. A publish may take
	// until segment.Budget after its first try was due.
	ReadTimeout time.Duration
	// Grace is how long requests on their way are waited for once the context ends; zero means 2 s.
	Grace time.Duration
	// UserAgent defaults to "origin-storm".
	UserAgent string

	// Fault is called for every fault of the plan when its time has come, and again with undo after its For, or at the plan's
	// end if that is earlier. Calls for different faults may overlap. The executor itself carries out those of a pipeline that are
	// no part of the plan's requests ("kill" and "stop": its publishes are not sent; "reset": its connections are, each in the middle
	// of a body), and those of readers, and reports them here for the record.
	Fault func(f storm.Fault, undo bool)

	// Dial makes connections; nil means TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Virtual waits on Go timers alone. It must be set in a testing/synctest bubble, whose time stands still while the kernel is
	// waited for; elsewhere it costs a millisecond of lag.
	Virtual bool
}

// Stats is an Executor's account of itself.
type Stats struct {
	Sent      int64 // requests handed to the network
	Dropped   int64 // requests that could not be
	MostAtOne int   // the most requests on their way at one instant
	// ClockStep is how far the wall clock was moved during the run, as told by the monotonic one.
	ClockStep time.Duration
}

// Executor carries plans out over HTTP. Each pipeline and each reader has connections of its own, as separate machines would;
// they speak HTTP/1.1, follow no redirect, use no proxy and ask for no compression.
type Executor struct {
	c     Config
	sites *sites

	mu    sync.Mutex // guards stats
	stats Stats
}

// New checks c. It opens no connection.
func New(c Config) (*Executor, error) {
	if c.MaxInFlight <= 0 {
		c.MaxInFlight = 20_000
	}
	if c.ReadTimeout <= 0 {
		c.ReadTimeout = 30 * time.Second
	}
	if c.Grace <= 0 {
		c.Grace = 2 * time.Second
	}
	if c.UserAgent == "" {
		c.UserAgent = "origin-storm"
	}
	if c.Template == nil {
		c.Template = func(segment.ID) segment.Template { return segment.Template{} }
	}
	if c.Fault == nil {
		c.Fault = func(storm.Fault, bool) {}
	}
	sites, err := newSites(c)
	if err != nil {
		return nil, err
	}
	return &Executor{c: c, sites: sites}, nil
}

// Stats tells of all that Execute has done so far.
func (x *Executor) Stats() Stats {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.stats
}

// errTooMany is a dropped sample's error: Config.MaxInFlight.
var errTooMany = errors.New("live: too many requests on their way")

// Execute carries p out. When ctx ends it sends nothing more, gives what is on its way Config.Grace to be answered, and
// returns ctx's cause; it returns p.Err's if the requests ended early. Faults whose time had come are undone before it returns.
// It must not be called twice at a time.
func (x *Executor) Execute(ctx context.Context, p storm.Plan, rec storm.Recorder) error {
	wire, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	begin := time.Now()
	start := begin
	if !x.c.Start.IsZero() {
		start = begin.Add(time.Until(x.c.Start)) // with begin's monotonic reading, so that a step of the clock moves nothing
	}
	requests, stop := ahead(p.Requests)
	defer stop()
	p.Requests = requests
	r := &run{x: x, wire: wire, start: start, rec: rec, agenda: storm.NewAgenda(p), paced: make(chan error, 1)}
	defer r.agenda.Stop()
	var err error
	if r.alarm, err = newAlarm(x.c.Virtual); err != nil {
		return fmt.Errorf("live: nothing to keep time with: %w", err)
	}
	defer r.alarm.close()

	running, over := context.WithCancel(context.WithoutCancel(ctx))
	defer over()
	var faults sync.WaitGroup
	for _, f := range p.Faults {
		// Two timelines, so that what takes the caller long does not hold the executor's own part up.
		faults.Go(func() { OnTime(running, start, f, x.sites.fault) })
		faults.Go(func() { OnTime(running, start, f, x.c.Fault) })
	}
	unhook := context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.alarm.set(r.start)
	})
	go r.pace(ctx)
	err = <-r.paced
	unhook()
	r.mu.Lock()
	r.stopping = true
	r.mu.Unlock()
	answered := make(chan struct{})
	go func() {
		r.flights.Wait()
		close(answered)
	}()
	grace := time.NewTimer(x.c.Grace)
	defer grace.Stop()
	select {
	case <-answered:
	case <-grace.C:
		hangUp()
		<-answered
	}
	over()
	faults.Wait()
	x.sites.close()
	if err == nil && p.Err != nil {
		err = p.Err()
	}

	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stats.ClockStep += now.Round(0).Sub(begin.Round(0)) - now.Sub(begin)
	return err
}

// run is one call of Execute.
type run struct {
	x       *Executor
	wire    context.Context // of all requests; ends when their grace does
	start   time.Time
	rec     storm.Recorder
	paced   chan error // gets what the pacer ended with
	flights sync.WaitGroup

	mu       sync.Mutex // guards what follows, and so every call of a Client
	alarm    alarm      // wakes the pacer; that waits for it without mu
	agenda   *storm.Agenda
	out      storm.Out
	spare    storm.Out
	starts   []storm.Request // to fly
	flying   int
	asleep   time.Duration // until when the pacer sleeps
	stopping bool
}

func (r *run) now() time.Duration { return time.Since(r.start) }

// early is how long before an instant the pacer has itself woken at most, to spend what is left spinning: a thread takes tens of
// microseconds to come back from the kernel, and at times two hundred. Of a short wait it spins a tenth at most, so that at
// whatever rate it takes a tenth of a processor.
const early = 200 * time.Microsecond

// pace calls clients as requests are due, until nothing is left or ctx ends.
//
// It hands the pacing on to a new goroutine when there is something to send, and sends it itself: what waits for the next instant
// has time to be scheduled, and what is due now has none. To have another goroutine send it costs a wake-up of another thread, a
// tenth of a millisecond on an idle machine.
func (r *run) pace(ctx context.Context) {
	for {
		if ctx.Err() != nil {
			r.paced <- context.Cause(ctx)
			return
		}
		r.mu.Lock()
		at, ok := r.agenda.Peek()
		now := r.now()
		if ok && at <= now {
			q := r.agenda.Pop()
			r.agenda.Client(q.From).Due(now, q, &r.out)
			r.carry()
			last, some := r.takeOff()
			r.mu.Unlock()
			if some {
				go r.pace(ctx)
				r.fly(last)
				return
			}
			continue
		}
		if !ok && r.flying == 0 {
			r.mu.Unlock()
			r.paced <- nil
			return
		}
		if woken := at == r.asleep; ok && woken && at-now <= early && !r.x.c.Virtual {
			r.mu.Unlock()
			for r.now() < at {
			}
			continue
		}
		switch {
		case !ok:
			r.asleep = math.MaxInt64
			r.alarm.set(time.Time{})
		case r.x.c.Virtual:
			r.asleep = at
			r.alarm.set(r.start.Add(at))
		default:
			r.asleep = at
			r.alarm.set(r.start.Add(at - min(early, (at-now)/10)))
		}
		r.mu.Unlock()
		r.alarm.wait()
	}
}

// carry does what clients have put in out, and what follows from that, but for the sends, which takeOff begins. mu is held.
func (r *run) carry() {
	for len(r.out.Waits)+len(r.out.Samples)+len(r.out.Sends) > 0 {
		out := r.out
		r.out, r.spare = r.spare, storm.Out{}
		for _, q := range out.Waits {
			r.agenda.Push(q)
			if q.At < r.asleep {
				r.rouse()
			}
		}
		for _, s := range out.Samples {
			r.rec.Record(s)
		}
		for _, q := range out.Sends {
			r.send(q)
		}
		out.Reset()
		r.spare = out
	}
}

// rouse wakes the pacer: something is due earlier than it knew, or nothing is left. mu is held.
func (r *run) rouse() { r.alarm.set(r.start) }

// send has a request started, or says at once why it cannot be sent. mu is held.
func (r *run) send(q storm.Request) {
	var err error
	switch {
	case r.stopping:
		return
	case q.Put && (q.Twist.Do == storm.NotSent || r.x.sites.silent(q.ID.Pipeline)):
		err = fmt.Errorf("live: PUT %v: %w", q.ID, storm.ErrFault)
	case r.flying >= r.x.c.MaxInFlight:
		err = fmt.Errorf("%w: %d; raise the bound, or split the plan over more driver processes", errTooMany, r.flying)
	default:
		r.flying++
		r.flights.Add(1)
		r.starts = append(r.starts, q)
		r.x.count(r.flying, 1, 0)
		return
	}
	if !errors.Is(err, storm.ErrFault) {
		r.x.count(0, 0, 1)
	}
	now := r.now()
	r.agenda.Client(q.From).Done(storm.Sample{Request: q, Via: storm.Dropped, Sent: now, Done: now, Err: err}, &r.out)
}

// takeOff starts what send collected but for the last, which it leaves to its caller to fly. mu is held.
func (r *run) takeOff() (last storm.Request, some bool) {
	n := len(r.starts)
	if n == 0 {
		return last, false
	}
	for _, q := range r.starts[:n-1] {
		go r.fly(q)
	}
	last = r.starts[n-1]
	r.starts = r.starts[:0]
	return last, true
}

func (x *Executor) count(flying int, sent, dropped int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stats.Sent += sent
	x.stats.Dropped += dropped
	x.stats.MostAtOne = max(x.stats.MostAtOne, flying)
}

// fly carries a request out and tells its client, and goes on with what that sends at once.
func (r *run) fly(q storm.Request) {
	for more := true; more; {
		s := r.exchange(q)
		if s.Via == storm.Dropped {
			r.x.count(0, -1, 1)
		}
		r.mu.Lock()
		r.flying--
		r.agenda.Client(q.From).Done(s, &r.out)
		r.carry()
		q, more = r.takeOff()
		if r.flying == 0 {
			r.rouse()
		}
		r.mu.Unlock()
		r.flights.Done()
	}
}

// OnTime has f done at its instant of a plan that begins at start, and undone when it is over or when ctx ends, whichever is
// first; if ctx ends before f's instant nothing is done. It returns after that.
func OnTime(ctx context.Context, start time.Time, f storm.Fault, do func(f storm.Fault, undo bool)) {
	timer := time.NewTimer(time.Until(start.Add(f.At)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return
	}
	do(f, false)
	if f.For <= 0 {
		return
	}
	timer.Reset(time.Until(start.Add(f.At + f.For)))
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	do(f, true)
}

// ahead draws requests from seq in a goroutine of its own, so that a plan that sorts a whole tick does not hold the pacer up.
// stop ends it.
func ahead(seq iter.Seq[storm.Request]) (requests iter.Seq[storm.Request], stop func()) {
	const batch = 256
	batches := make(chan []storm.Request, 16)
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(batches)
		b := make([]storm.Request, 0, batch)
		send := func() bool {
			select {
			case batches <- b:
				b = make([]storm.Request, 0, batch)
				return true
			case <-over:
				return false
			}
		}
		for q := range seq {
			if b = append(b, q); len(b) == batch && !send() {
				return
			}
		}
		send()
	})
	return func(yield func(storm.Request) bool) {
			for b := range batches {
				for _, q := range b {
					if !yield(q) {
						return
					}
				}
			}
		}, func() {
			close(over)
			wg.Wait()
		}
}

var _ storm.Executor = (*Executor)(nil)

package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/storm"
	"origin-storm/storm/sim/engine"
)

// Executor carries plans out in virtual time, on a model of an origin. Each Execute begins with an origin that nothing was published to.
// It must not be called twice at a time; different Executors have nothing in common.
type Executor struct {
	c         Config
	figures   Figures
	fileAfter time.Duration // see run.unused
}

var _ storm.Executor = (*Executor)(nil)

// New checks c: what cannot be built, or costs what cannot be, is refused with the field that says so.
func New(c Config) (*Executor, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	return &Executor{c: c}, nil
}

// Figures tells of the last Execute.
func (x *Executor) Figures() Figures { return x.figures }

// Execute carries p out: it returns when everything that was sent has been answered and nothing is left to do, with p.Err's error if the
// requests ended early. Faults that the model cannot carry out are refused before anything is. When ctx ends it returns its cause, within
// about a thousand events; the samples that were not recorded by then are not recorded at all. Record is called in a goroutine of its own,
// one call at a time, and not any more when Execute has returned.
//
// The same plan and Config give the same samples in the same order.
func (x *Executor) Execute(ctx context.Context, p storm.Plan, rec storm.Recorder) error {
	x.figures = Figures{}
	if err := Refusals(p, x.c); err != nil {
		return err
	}
	r := newRun(x.c, p)
	r.fileAfter = x.fileAfter
	defer r.agenda.Stop()
	r.tape = newTape(rec)
	err := r.execute(ctx)
	r.tape.end()
	x.figures = r.settle()
	if err == nil && p.Err != nil {
		err = p.Err()
	}
	return err
}

// run is one Execute: the plan with its clients, and the origin with its nodes, its store, its cache zones and what is published.
type run struct {
	c      Config
	plan   storm.Plan
	tape   *tape
	engine engine.Engine

	agenda  *storm.Agenda
	out     storm.Out
	spare   storm.Out
	told    []*exchange // that have ended and whose clients are to hear of it, in order; those before hear have
	hear    int
	idle    []*exchange // to be used again
	ops     []*op       // as are these
	tolls   []*toll
	zoneOps []*zoneOp
	lookups []*lookup
	peeks   []*peek
	reads   []*read
	loads   []*loading
	flying  int // requests on their way

	events       map[string]*event
	tracks       []*track
	chunk        int64                      // above which size a segment is kept in chunks; negative: never
	silent       map[string]int             // how many faults keep each pipeline's publishes back
	broken       map[string]map[*track]bool // pipelines whose connections are reset, and of which renditions once; nil: of all, again and again
	chains       map[feedOf]*exchange       // the last publish on each connection over which they are sent without waiting for answers
	asked        int                        // how many of the serving nodes readers ask
	reconnecting int                        // how many faults make readers connect anew for each request
	resumed      time.Duration              // when a node last went on that had been halted, or died
	fileAfter    time.Duration              // see unused
	text         []byte                     // of the last segment that was filed
	latency      latencies

	publish, serve []*node
	store          *store
	zones          []*zone
	zonePolls      *steady       // what polls take of the zones' processors that are no events
	calm           bool          // such polls are alike
	driver         *engine.Share // the processors of whoever asks, where they are the origin's, too

	stats            Figures
	gauges           []*gauge
	end              time.Duration // of the last window
	storms           time.Duration // how long storms last together
	waits, waitEvery int64         // how many writes waited for cache zones, and every how-many-th of these waits is kept
}

// latencies are those of c.Costs.
type latencies struct{ publish, serve, store, cache cost.Curve }

func newRun(c Config, p storm.Plan) *run {
	r := &run{c: c, plan: p, agenda: storm.NewAgenda(p), latency: latencies{
		publish: c.Costs.Publish.Latency.Curve(), serve: c.Costs.Serve.Latency.Curve(),
		store: c.Costs.StoreWork.Latency.Curve(), cache: c.Costs.CacheWork.Latency.Curve(),
	}}
	r.waitEvery = 1
	r.build()
	r.watch()
	for _, f := range p.Faults {
		r.scheduleFault(f)
	}
	return r
}

// look is how many steps are made between two looks at the context.
const look = 1024

func (r *run) execute(ctx context.Context) error {
	e := &r.engine
	for n := 0; ; n++ {
		if n%look == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		at, planned := r.agenda.Peek()
		next, some := e.Next()
		switch {
		case planned && (!some || at < next):
			if at > e.Now() {
				e.Advance(at)
			}
			q := r.agenda.Pop()
			r.agenda.Client(q.From).Due(e.Now(), q, &r.out)
		case some:
			if !planned && r.flying == 0 && next > r.end {
				return nil // what is left are the ends of faults and the origin's own affairs, which nobody waits for
			}
			e.Step()
		default:
			if r.flying > 0 {
				return fmt.Errorf("sim: %d requests are on their way at %v and nothing is left to happen: %w", r.flying, e.Now(), errStuck)
			}
			return nil
		}
		if err := r.carry(); err != nil {
			return err
		}
	}
}

// errStuck is a mistake in the model.
var errStuck = errors.New("the model has lost them")

// mostAtOnce is how many requests can follow from one event in no time: more than any event releases.
const mostAtOnce = 1 << 22

// carry does what clients have put in out, and what follows from that at once: clients are told in the order in which their requests
// ended.
func (r *run) carry() error {
	for n := 0; ; n++ {
		for len(r.out.Waits)+len(r.out.Samples)+len(r.out.Sends) > 0 {
			out := r.out
			r.out, r.spare = r.spare, storm.Out{}
			for _, q := range out.Waits {
				r.agenda.Push(q)
			}
			r.tape.record(out.Samples)
			for _, q := range out.Sends {
				r.send(q)
			}
			out.Reset()
			r.spare = out
		}
		if r.hear == len(r.told) {
			r.told, r.hear = r.told[:0], 0
			return nil
		}
		if n == mostAtOnce {
			return fmt.Errorf("sim: %s asks and is answered without end at %v, since that costs nothing; give costs.serve a latency", r.told[r.hear].s.From, r.engine.Now())
		}
		x := r.told[r.hear]
		r.told[r.hear] = nil
		r.hear++
		r.agenda.Client(x.s.From).Done(x.s, &r.out)
		r.recycle(x)
	}
}

// after has do called when d has gone by, or at once if d is 0.
func (m *run) after(d time.Duration, do func()) engine.Event {
	if d <= 0 {
		do()
		return engine.Event{}
	}
	return m.engine.After(d, do)
}

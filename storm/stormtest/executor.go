package stormtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// Executors is what every storm.Executor promises, whatever it asks and however time goes by there: its name's subtests are the promises. make
// returns an executor of plans whose times count from start, with an origin that has the events and nothing else; it is called in
// a bubble, once for each case.
func Executors(t *testing.T, make func(t *testing.T, start time.Time, events []config.Event) storm.Executor) {
	for _, c := range []struct {
		name string
		run  func(*trial)
	}{
		{"an empty plan", emptyPlan},
		{"no client is called early", notEarly},
		{"requests at one instant keep their order", inOrder},
		{"every sample is recorded once", recordedOnce},
		{"everything sent is answered", answered},
		{"what an answer leads to is done", chained},
		{"a plan that ends early", endsEarly},
		{"a context that ended before", endedBefore},
		{"a context that ends", ends},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now().Add(time.Second)
				e := config.Event{
					Name: "ev", Pipelines: []string{"a"}, Renditions: config.Renditions("v"),
					Template: segment.Template{Start: start.Add(-time.Minute)},
				}
				c.run(&trial{T: t, x: make(t, start, []config.Event{e}), clients: map[string]*watched{}, next: e.Template.Next(start)})
			})
		})
	}
}

// trial is one case: an executor, and what was seen of it.
type trial struct {
	*testing.T
	x    storm.Executor
	next int64 // the number of the segment that is next at the start

	clients map[string]*watched
	mu      sync.Mutex // guards recorded
	got     []storm.Sample
	over    atomic.Bool // Execute has returned
}

// Record implements storm.Recorder.
func (t *trial) Record(s storm.Sample) {
	if t.over.Load() {
		t.Errorf("Record(%v) after Execute has returned", s.ID)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.got = append(t.got, s)
}

// watched is a client that sees to it that it is called as storm.Client says.
type watched struct {
	t    *trial
	busy atomic.Bool
	last time.Duration

	planned []storm.Request // as they were due
	sent    int
	told    []storm.Sample
	asked   []storm.Sample // to be recorded

	// due and done say what it does; nil: it sends, and it records.
	due  func(now time.Duration, r storm.Request, out *storm.Out)
	done func(s storm.Sample, out *storm.Out)
}

func (w *watched) enter() (leave func()) {
	if !w.busy.CompareAndSwap(false, true) {
		w.t.Error("a client was called while it was being called")
	}
	if w.t.over.Load() {
		w.t.Error("a client was called after Execute had returned")
	}
	return func() { w.busy.Store(false) }
}

func (w *watched) note(out *storm.Out) {
	w.sent += len(out.Sends)
	w.asked = append(w.asked, out.Samples...)
}

// Due implements storm.Client.
func (w *watched) Due(now time.Duration, r storm.Request, out *storm.Out) {
	defer w.enter()()
	if now < r.At {
		w.t.Errorf("Due(%v) for a request of %v", now, r.At)
	}
	if now < w.last {
		w.t.Errorf("Due(%v) after Due(%v)", now, w.last)
	}
	if len(out.Sends)+len(out.Waits)+len(out.Samples) > 0 {
		w.t.Errorf("Due(%v) was given an Out that is not empty", now)
	}
	w.last = now
	w.planned = append(w.planned, r)
	if w.due == nil {
		out.Send(r)
	} else {
		w.due(now, r, out)
	}
	w.note(out)
}

// Done implements storm.Client.
func (w *watched) Done(s storm.Sample, out *storm.Out) {
	defer w.enter()()
	if s.Done < s.Sent || s.Sent < s.At {
		w.t.Errorf("Done of a request of %v: sent %v, done %v", s.At, s.Sent, s.Done)
	}
	w.told = append(w.told, s)
	if w.done == nil {
		out.Record(s)
	} else {
		w.done(s, out)
	}
	w.note(out)
}

// client returns the client of a name.
func (t *trial) client(from string) *watched {
	w := t.clients[from]
	if w == nil {
		w = &watched{t: t}
		t.clients[from] = w
	}
	return w
}

// read is a read of a segment that is so many after the one that is next at the start.
func (t *trial) read(at time.Duration, from string, after int64) storm.Request {
	return storm.Request{
		At: at, Began: at, From: from, Class: storm.Missing,
		ID: segment.ID{Event: "ev", Rendition: "v", Number: t.next + after},
	}
}

// execute carries requests out.
func (t *trial) execute(ctx context.Context, requests ...storm.Request) error {
	return t.plan(ctx, storm.Plan{Requests: slices.Values(requests)})
}

func (t *trial) plan(ctx context.Context, p storm.Plan) error {
	p.Client = func(from string) storm.Client { return t.client(from) }
	err := t.x.Execute(ctx, p, t)
	t.over.Store(true)
	var asked []storm.Sample
	for _, w := range t.clients {
		asked = append(asked, w.asked...)
	}
	count := map[string]int{}
	for _, s := range asked {
		count[fmt.Sprintf("%+v", s.Request)]++
	}
	for _, s := range t.got {
		count[fmt.Sprintf("%+v", s.Request)]--
	}
	for r, n := range count {
		if n != 0 {
			t.Errorf("a sample was recorded %d times less than it should: %s", n, r)
		}
	}
	<-time.After(time.Minute) // whoever is called now is called too late
	return err
}

// all fails t unless err is nil and all that was sent was answered.
func (t *trial) all(err error) {
	t.Helper()
	if err != nil {
		t.Errorf("Execute = %v, want nil", err)
	}
	for from, w := range t.clients {
		if len(w.told) != w.sent {
			t.Errorf("%s sent %d requests and was told of %d", from, w.sent, len(w.told))
		}
	}
}

func emptyPlan(t *trial) { t.all(t.execute(t.Context())) }

func notEarly(t *trial) {
	var requests []storm.Request
	for i := range 200 {
		at := time.Duration(i*i) * 317 * time.Microsecond
		requests = append(requests, t.read(at, fmt.Sprint("reader ", i%7), 5))
	}
	w := t.client("reader 3") // puts each off twice
	waited := map[int64]int{}
	w.due = func(now time.Duration, r storm.Request, out *storm.Out) {
		if waited[int64(r.Began)]++; waited[int64(r.Began)] < 3 {
			r.At = now + time.Duration(len(w.planned)%5)*7*time.Millisecond
			out.Wait(r)
			return
		}
		out.Send(r)
	}
	t.all(t.execute(t.Context(), requests...))
	if n := len(w.planned); n != 3*29 {
		t.Errorf("a client that puts 29 requests off twice was called %d times, want %d", n, 3*29)
	}
}

func inOrder(t *trial) {
	var requests []storm.Request
	for i := range 20 {
		r := t.read(time.Duration(i/5)*100*time.Millisecond, "reader", 5)
		r.Try = i
		requests = append(requests, r)
	}
	w := t.client("reader")
	w.due = func(_ time.Duration, r storm.Request, out *storm.Out) {
		if r.Try%5 == 0 && r.Try < 100 && r.Try < 15 { // until the next instant, where it comes after those that are planned
			r.Try, r.At = r.Try+100, r.At+100*time.Millisecond
			out.Wait(r)
			return
		}
		out.Send(r)
	}
	t.all(t.execute(t.Context(), requests...))
	var got []int
	for _, r := range w.planned {
		got = append(got, r.Try)
	}
	want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100, 10, 11, 12, 13, 14, 105, 15, 16, 17, 18, 19, 110}
	if !slices.Equal(got, want) {
		t.Errorf("requests were due in the order %v, want %v", got, want)
	}
}

func recordedOnce(t *trial) {
	var requests []storm.Request
	for i := range 100 {
		requests = append(requests, t.read(time.Duration(i/4)*time.Millisecond, fmt.Sprint("reader ", i%3), int64(i%7)+3))
	}
	w := t.client("reader 0") // answers half of them itself
	w.due = func(now time.Duration, r storm.Request, out *storm.Out) {
		if len(w.planned)%2 == 0 {
			out.Record(storm.Sample{Request: r, Via: storm.Hit, Sent: r.At, Done: now})
			return
		}
		out.Send(r)
	}
	t.all(t.execute(t.Context(), requests...))
	if len(t.got) != 100 {
		t.Errorf("%d samples of 100 requests were recorded", len(t.got))
	}
}

func answered(t *trial) {
	r := t.read(0, "reader", 0) // held until its deadline, as nobody publishes it
	t.all(t.execute(t.Context(), r))
	if w := t.client("reader"); len(w.told) != 1 || w.told[0].Status != 410 || w.told[0].Done < time.Second {
		t.Errorf("a read of what is never published: %+v, want 410 after its deadline", w.told)
	}
}

func chained(t *trial) {
	w := t.client("reader")
	w.done = func(s storm.Sample, out *storm.Out) {
		r := s.Request
		r.Try++
		switch r.At = s.Done; {
		case r.Try == 30:
		case r.Try%3 == 0:
			r.At += 50 * time.Millisecond
			out.Wait(r)
		default:
			out.Send(r)
		}
		out.Record(s)
	}
	t.all(t.execute(t.Context(), t.read(0, "reader", 5)))
	if len(t.got) != 30 {
		t.Errorf("%d samples of 30 requests, each of which follows the one before", len(t.got))
	}
}

// errTrial is why something ended.
var errTrial = errors.New("stormtest: the trial says so")

func endsEarly(t *trial) {
	err := t.plan(t.Context(), storm.Plan{
		Requests: slices.Values([]storm.Request{t.read(0, "reader", 5), t.read(0, "reader", 0)}),
		Err:      func() error { return errTrial },
	})
	if !errors.Is(err, errTrial) {
		t.Errorf("Execute of a plan that could not be read to its end = %v, want why", err)
	}
	t.all(nil)
}

func endedBefore(t *trial) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errTrial)
	if err := t.execute(ctx, t.read(0, "reader", 5)); !errors.Is(err, errTrial) {
		t.Errorf("Execute under a context that has ended = %v, want its cause", err)
	}
	if n := len(t.client("reader").told); n > 0 {
		t.Errorf("%d requests were sent under a context that had ended", n)
	}
}

func ends(t *trial) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	w := t.client("reader")
	w.done = func(s storm.Sample, out *storm.Out) { // would go on for ever
		if len(w.told) == 20 {
			cancel(errTrial)
		}
		out.Record(s)
		r := s.Request
		r.At = s.Done + 100*time.Millisecond
		r.Try++
		out.Wait(r)
	}
	held := t.read(0, "held", 0)
	if err := t.execute(ctx, t.read(0, "reader", 40), held); !errors.Is(err, errTrial) {
		t.Errorf("Execute under a context that ends = %v, want its cause", err)
	}
	if len(w.told) < 20 {
		t.Errorf("a client was told of %d requests, want 20 before the context ended", len(w.told))
	}
}

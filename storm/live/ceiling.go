package live

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/body"
)

// nullSize is how long the bodies of Null are.
const nullSize = 2 << 20

// Null is the target that a driver's own ceiling is measured against: it does as little as a server can. What Ceiling names as large it
// answers with one body of 2 MiB, all else with a 404.
func Null() http.Handler {
	large := body.New(null(true), segment.Template{}, nullSize)
	path := "/" + strings.TrimPrefix(null(true).Asked().String(), "/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(large)))
		_, _ = w.Write(large) // the driver has had enough
	})
}

// null is what Ceiling asks for.
func null(large bool) segment.ID {
	id := segment.ID{Event: "null", Rendition: "small", Number: 1}
	if large {
		id.Rendition = "large"
	}
	return id
}

// Ceiling asks a Null at url without a pause, for a time each, for nothing and for large bodies, and returns how many requests and how
// many bytes of verified bodies a second came of it: what this process can do at most, on this machine as it is.
func Ceiling(ctx context.Context, url string, lasts time.Duration) (requests, bytes float64, err error) {
	target := Target{URLs: []string{url}, Path: "/{event}/{rendition}/{name}"}
	for _, large := range []bool{false, true} {
		x, err := New(Config{Publish: target, Serve: target})
		if err != nil {
			return 0, 0, err
		}
		t := &tally{until: lasts}
		err = x.Execute(ctx, storm.Plan{
			Client: func(string) storm.Client { return t },
			Requests: func(yield func(storm.Request) bool) {
				for i := range 32 {
					r := storm.Request{From: fmt.Sprint("edge ", i), Class: storm.LiveEdge, ID: null(large)}
					if !large {
						r.Class = storm.Missing
					}
					if !yield(r) {
						return
					}
				}
			},
		}, t)
		if err != nil {
			return 0, 0, err
		}
		t.mu.Lock()
		switch {
		case t.failed != nil:
			return 0, 0, fmt.Errorf("live: ceiling: %w", t.failed)
		case t.n == 0 || t.last <= 0:
			return 0, 0, fmt.Errorf("live: ceiling: %s answered nothing within %v", url, lasts)
		case large:
			bytes = float64(t.bytes) / t.last.Seconds()
		default:
			requests = float64(t.n) / t.last.Seconds()
		}
		t.mu.Unlock()
	}
	return requests, bytes, nil
}

// tally is a client that asks again as soon as it has an answer, and counts those.
type tally struct {
	until time.Duration

	mu       sync.Mutex // guards what follows
	n, bytes int64
	last     time.Duration
	failed   error
}

// Due sends r.
func (t *tally) Due(_ time.Duration, r storm.Request, out *storm.Out) { out.Send(r) }

// Done asks again until the time is over.
func (t *tally) Done(s storm.Sample, out *storm.Out) {
	out.Record(s)
	if s.Done < t.until && s.OK() {
		r := s.Request
		r.At, r.Began = s.Done, s.Done
		out.Send(r)
	}
}

// Record counts s.
func (t *tally) Record(s storm.Sample) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !s.OK() {
		if t.failed = s.Err; t.failed == nil {
			t.failed = fmt.Errorf("%v: status %d %s", s.ID, s.Status, s.Damage)
		}
		return
	}
	t.n, t.bytes, t.last = t.n+1, t.bytes+s.Bytes, max(t.last, s.Done)
}

var (
	_ storm.Client   = (*tally)(nil)
	_ storm.Recorder = (*tally)(nil)
)

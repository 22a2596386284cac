// Package stormtest is what executors are tried against: the suite that each of them passes, and targets whose every answer follows from
// arithmetic, so that what was recorded can be held against what is true. It drives nothing and knows no origin.
package stormtest

import (
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Stall is a target that answers at once, however many ask, but for one stretch in which it answers nobody: what arrives in it is
// answered at its end. It is what tells drivers that wait for answers from those that do not.
type Stall struct {
	// From and For are when it stands still and for how long, counted from Begin.
	From, For time.Duration
	// Begin is instant 0; zero means that of the first request.
	Begin time.Time
	// Body is what a GET of a path is answered with, status 200. Nil, or an empty body, is a 404 without one. A PUT is read to
	// its end and is a 201.
	Body func(path string) []byte

	mu sync.Mutex // guards Begin once requests come
}

// ServeHTTP answers r.
func (s *Stall) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	s.mu.Lock()
	if s.Begin.IsZero() {
		s.Begin = now
	}
	wait := s.Wait(now.Sub(s.Begin))
	s.mu.Unlock()
	if r.Method == http.MethodPut {
		_, _ = io.Copy(io.Discard, r.Body) // what breaks off has nobody left to answer
	}
	if wait > 0 {
		time.Sleep(wait)
	}
	switch {
	case r.Method == http.MethodPut:
		w.WriteHeader(http.StatusCreated)
	case s.Body == nil:
		w.WriteHeader(http.StatusNotFound)
	default:
		body := s.Body(r.URL.Path)
		if len(body) == 0 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}
}

// Wait is how long a request waits that arrives at an instant.
func (s *Stall) Wait(at time.Duration) time.Duration {
	if at < s.From || at >= s.From+s.For {
		return 0
	}
	return s.From + s.For - at
}

// Quantile is the quantile q of how long n requests wait that come at 0, step, 2·step and so on: the closed form that a recorded
// response time is held against. The k-th longest wait is that of the k-th request after From, and all but those of the stall
// wait for nothing.
func (s *Stall) Quantile(q float64, n int, step time.Duration) time.Duration {
	first := (s.From + step - 1) / step // request of the stall
	after := min((s.From+s.For+step-1)/step, time.Duration(n))
	k := time.Duration(n - max(1, int(math.Ceil(q*float64(n)-1e-9)))) // how many requests wait longer
	if first+k >= after {
		return 0
	}
	return s.From + s.For - (first+k)*step
}

var _ http.Handler = (*Stall)(nil)

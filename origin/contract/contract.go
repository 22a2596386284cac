// Package contract is docs/contract.md as requests with the answers that they must get: a conformance suite for live origins,
// one case for each row of the document. It speaks HTTP to addresses and knows an event's clock, and nothing else: no handler
// of this project is imported, so that any origin can be its target. It is no load test (package storm is) and reads no
// configuration: who calls it says what the origin was told.
package contract

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"

	"origin-storm/origin/segment"
)

// Target is the origin to try, and what it was told about its event. The suite publishes segments into that event: it is no
// event that anybody watches.
type Target struct {
	// Publish and Serve are base URLs without a slash at the end, of one node or more each. The first of each is used wherever
	// a row is not about several nodes; all of them have one store behind them.
	Publish, Serve []string
	// Operator are base URLs of operator's listeners, which rows about them need.
	Operator []string

	Event      string
	Pipelines  []string // in order of preference; two are needed
	Renditions []string // with Template's clock; the more there are, the sooner the suite ends
	Template   segment.Template
	// DVR is how far behind the live edge segments are served; 0 means 2 h.
	DVR time.Duration
	// MaxSegment is the largest body that a publish node takes, in bytes; 0 means 32 MiB.
	MaxSegment int64
	// Holds is how many requests a serve node holds at most; 0: not known, and nothing is tried.
	Holds int

	// Stressed is the base URL of a serve node that takes its store to be under stress; empty: there is none.
	Stressed string

	// Authorize adds the packager's credentials to a request; nil: publishing needs none.
	Authorize func(*http.Request)
	// AuthorizeOperator adds the operator's; nil: the listener needs none.
	AuthorizeOperator func(*http.Request)
	// Client makes the requests; nil means one that follows no redirects and keeps connections.
	Client *http.Client
	// Dial opens a connection for what no HTTP client would send; nil means net.Dialer's. TLS is added where a URL says https,
	// as Client's transport is set up for it.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Slack is how far from its exact instant an answer may come, and how far this machine's clock may be from the origin's;
	// 0 means 500 ms.
	Slack time.Duration
}

// Case is one row of docs/contract.md.
type Case struct {
	// Row is the row's number there.
	Row string
	// Says is what the row asks for, in a few words.
	Says string

	// needs returns why the case can not be tried on a target, or nothing.
	needs func(*Target) string
	// alone says that the case disturbs others: it runs after them, by itself.
	alone bool
	run   func(*probe)
}

// Finding is one way in which an answer was not what the row asks for.
type Finding struct {
	// What was looked at, such as "GET /ev/v1/7.m4s: Cache-Control".
	What string `json:"what"`
	Got  string `json:"got"`
	Want string `json:"want"`
}

// String returns f on one line.
func (f Finding) String() string { return fmt.Sprintf("%s: got %s, want %s", f.What, f.Got, f.Want) }

// Result is what became of a case.
type Result struct {
	Row  string `json:"row"`
	Says string `json:"says"`
	// Skipped is why the case was not tried; empty if it was.
	Skipped string `json:"skipped,omitempty"`
	// Findings are empty if the origin does as the row says.
	Findings []Finding `json:"findings,omitempty"`
	// Seconds is how long the case took, most of it waiting for the segment's instant.
	Seconds float64 `json:"seconds"`
}

// Passed reports whether the case was tried and nothing was found.
func (r Result) Passed() bool { return r.Skipped == "" && len(r.Findings) == 0 }

// Cases returns the suite, in the document's order.
func Cases() []Case {
	return slices.Concat(nameCases(), publishCases(), ingestCases(), serveCases(), candidateCases(), httpCases(), controlCases(), timeCases(), accessCases(), nodeCases())
}

// Run tries cases on t and returns what became of each, in the same order. They run side by side, each on numbers of its own, so that
// all together take little longer than the longest; it is the clock of the event that makes them last. An error means that t
// makes no sense; what is wrong with the origin is in the results. When ctx ends, what is still running ends with a finding.
func Run(ctx context.Context, t Target, cases []Case) ([]Result, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	s, err := newSession(&t)
	if err != nil {
		return nil, err
	}
	feeling, stop := context.WithCancel(ctx)
	var pulse sync.WaitGroup
	pulse.Go(func() { s.feel(feeling) })
	defer pulse.Wait()
	defer stop()
	results := make([]Result, len(cases))
	one := func(i int) {
		results[i] = s.try(ctx, cases[i])
	}
	var wg sync.WaitGroup
	for i := range cases {
		if !cases[i].alone {
			wg.Go(func() { one(i) })
		}
	}
	wg.Wait()
	for i := range cases {
		if cases[i].alone {
			wg.Go(func() { one(i) }) // a case ends its goroutine where it can not go on
			wg.Wait()
		}
	}
	return results, nil
}

// check fills defaults in and returns what is wrong with t.
func (t *Target) check() error {
	switch {
	case len(t.Publish) == 0 || len(t.Serve) == 0:
		return errors.New("contract: target: a publish and a serve URL are needed")
	case t.Event == "" || len(t.Renditions) == 0:
		return errors.New("contract: target: the event and a rendition of it are needed")
	case len(t.Pipelines) < 2:
		return fmt.Errorf("contract: target: event %q has pipelines %q; two are needed to see which copy is served", t.Event, t.Pipelines)
	}
	if err := t.Template.Validate(); err != nil {
		return fmt.Errorf("contract: target: event %q: %w", t.Event, err)
	}
	for _, name := range slices.Concat([]string{t.Event}, t.Pipelines, t.Renditions) {
		if err := segment.CheckName(name); err != nil {
			return fmt.Errorf("contract: target: %w", err)
		}
	}
	if t.Slack < 0 || t.MaxSegment < 0 || t.Holds < 0 {
		return fmt.Errorf("contract: target: slack %v, the largest segment %d and holds %d must not be negative", t.Slack, t.MaxSegment, t.Holds)
	}
	t.DVR = cmp.Or(t.DVR, 2*time.Hour)
	t.MaxSegment = cmp.Or(t.MaxSegment, 32<<20)
	t.Slack = cmp.Or(t.Slack, 500*time.Millisecond)
	if t.DVR < shortest {
		return fmt.Errorf("contract: target: a DVR window of %v is too short for the suite, which needs %v", t.DVR, shortest)
	}
	if t.Client == nil {
		t.Client = &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if t.Dial == nil {
		t.Dial = (&net.Dialer{}).DialContext
	}
	return nil
}

// attempts is how often a case is tried that this machine is too busy for.
const attempts = 4

// try runs one case; again, where this machine was too busy for it and nothing was found before.
func (s *session) try(ctx context.Context, c Case) Result {
	r := Result{Row: c.Row, Says: c.Says}
	if c.needs != nil {
		if r.Skipped = c.needs(s.Target); r.Skipped != "" {
			return r
		}
	}
	began := time.Now()
	for n := 1; ; n++ {
		s.calm(ctx)
		p := s.once(ctx, c)
		if p.void != "" && len(p.findings) == 0 {
			if n < attempts {
				continue
			}
			p.find("the case's own steps", fmt.Sprintf("%s, in the last of %d tries", p.void, n), "a machine and an origin that are fast enough")
		}
		if r.Findings = p.findings; len(r.Findings) == 0 {
			r.Skipped = p.skipped
		}
		r.Seconds = time.Since(began).Seconds()
		return r
	}
}

// once runs a case once.
func (s *session) once(ctx context.Context, c Case) *probe {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &probe{session: s, ctx: ctx}
	var wg sync.WaitGroup
	wg.Go(func() { c.run(p) })
	wg.Wait()
	cancel()
	p.flights.Wait()
	return p
}

// giveUp ends the case that calls it: nothing that follows would make sense. What was found stays.
func (p *probe) giveUp() { runtime.Goexit() }

// skip ends the case because the origin lacks what it is about.
func (p *probe) skip(why string) {
	p.skipped = why
	p.giveUp()
}

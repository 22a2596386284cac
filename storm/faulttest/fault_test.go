package faulttest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/scenarios"
	"origin-storm/storm/record"
)

// TestLibrary: what the library's scenarios of faults say should happen does, with the real origin.
func TestLibrary(t *testing.T) {
	for _, s := range scenarios.Library() {
		if !strings.HasPrefix(s.Name, "faults-") || s.Name == "faults-nodes" { // which is for the simulator alone
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			r := &rehearsal{scenario: s, seed: 7}
			if s.Name == "faults-clients" {
				// Who asks again as soon as he is answered would do so for ever at one instant if answers took no time.
				r.scenario.Readers.Edges, r.around = 10, slowly(50*time.Millisecond)
			}
			synctest.Test(t, func(t *testing.T) {
				res, rec := r.rehearse(t)
				if res.Verdict == "passed" {
					return
				}
				t.Errorf("%s: %s %v", s.Name, res.Verdict, res.Reasons)
				explain(t, res, rec)
			})
		})
	}
}

// small is a scenario of one pipeline and a few readers behind caches that share what they fetch.
const small = `name: small
event: {pipelines: 1, renditions: {count: 1, total: 500kbit/s}, encode: {min: 100ms, max: 200ms}, publish-delay: 1s}
readers: {edges: 2, viewers: 10, cache: %s, behaviour: {aligned: 50ms, missing: %s}}
windows: {warm-up: 0s, quiet: 0s, storm: 20s}
backends: [embedded]
faults: [%s]
thresholds: [storm live-edge errors == 0, segments flawed == 0, segments lost == 0]
`

// parse returns small with a cache, a share of requests for what is missing, and faults.
func parse(t *testing.T, cache, missing, faults string) scenarios.Scenario {
	t.Helper()
	s, err := scenarios.Parse("small.yaml", fmt.Appendf(nil, small, cache, missing, faults))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reads adds up what came of a class of requests.
func reads(res record.Results, class string) (op record.Operation) {
	for _, p := range res.Backends[0].Phases {
		for _, o := range p.Operations {
			if o.Class == class {
				op.Count, op.Hits, op.Errors = op.Count+o.Count, op.Hits+o.Hits, op.Errors+o.Errors
			}
		}
	}
	return op
}

// TestWrongOutcomeIsRed: a fault that nobody makes up for is seen.
func TestWrongOutcomeIsRed(t *testing.T) {
	for _, tt := range []struct{ fault, want string }{
		{"", ""},
		{"{at: storm 1 + 4s, shorten: pipeline a, for: 2s}", "flawed"},
		{"{at: storm 1 + 4s, slate: pipeline a, for: 2s}", "flawed"},
		{"{at: storm 1 + 4s, drop: pipeline a, for: 2s}", "live-edge errors"},
		{"{at: storm 1 + 4s, cut: pipeline a, for: 2s}", "live-edge errors"},
		{"{at: storm 1 + 4s, delay: pipeline a, by: 6s, for: 2s}", "live-edge errors"},
		{"{at: storm 1 + 4s, understate: pipeline a, for: 2s}", "torn"},
		{"{at: storm 1 + 4s, deny: store, for: 4s}", "live-edge errors"},
		{"a store that forgets half", "lost"},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			fault := tt.fault
			if tt.want == "lost" { // no scenario's fault makes a store forget
				fault = ""
			}
			s := parse(t, "ideal", "0", fault)
			synctest.Test(t, func(t *testing.T) {
				r := &rehearsal{scenario: s, seed: 7}
				if tt.want == "lost" {
					r.begun = func() { _ = r.stores[scenarios.OfStore].Begin("x", kv.Fault{Do: kv.FaultForget, Share: 0.5}) }
				}
				res, rec := r.rehearse(t)
				if got := strings.Join(res.Reasons, "; "); (res.Verdict == "passed") != (tt.want == "") || !strings.Contains(got, tt.want) {
					t.Errorf("%s: %s, %s, want it to fail for %q", tt.fault, res.Verdict, got, tt.want)
					explain(t, res, rec)
				}
			})
		})
	}
}

// TestUncacheable: for as long as answers say that they must not be kept, every reader's request reaches the origin.
func TestUncacheable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var start time.Time
		r := &rehearsal{scenario: parse(t, "no-collapse", "0", ""), seed: 7}
		r.scenario.Readers.Cache = "varnish"
		fetched := [2]int{} // while all is well, and while not
		var mu sync.Mutex
		r.around = func(h http.Handler) http.Handler {
			start = time.Now()
			return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				bad := time.Since(start) > 6*time.Second && time.Since(start) < 16*time.Second
				if bad {
					w = &flipped{ResponseWriter: w, control: "private"}
				}
				mu.Lock()
				fetched[map[bool]int{true: 1}[bad]]++
				mu.Unlock()
				h.ServeHTTP(w, q)
			})
		}
		res, rec := r.rehearse(t)
		if res.Verdict != "passed" {
			t.Errorf("uncacheable answers: %s %v, want everybody answered", res.Verdict, res.Reasons)
			explain(t, res, rec)
		}
		if live := reads(res, "live-edge"); fetched[1] < 5*fetched[0] || live.Hits == 0 {
			t.Errorf("%d requests reached the origin in ten seconds of answers that must not be kept, %d in the others; %d were answered by caches", fetched[1], fetched[0], live.Hits)
		}
	})
}

// TestNegativeCaching: readers who ask too early are told until when the segment is not there, and so get it when it is; with a
// 404 that lives for ten seconds they do not.
func TestNegativeCaching(t *testing.T) {
	for _, long := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := &rehearsal{scenario: parse(t, "ideal", "3", ""), seed: 7}
			if long {
				r.around = func(h http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
						h.ServeHTTP(&flipped{ResponseWriter: w, control: "max-age=20"}, q)
					})
				}
			}
			res, rec := r.rehearse(t)
			// Two edges and nine segments, of which a 404 that outlives their publication hides most.
			if live := reads(res, "live-edge"); (live.Count >= 16) == long || live.Errors > 0 {
				t.Errorf("404s live for too long: %v: the edges fetch %d segments, %d errors", long, live.Count, live.Errors)
				explain(t, res, rec)
			}
		})
	}
}

// flipped answers with another Cache-Control: on a 200 where it is private, else on what is not one.
type flipped struct {
	http.ResponseWriter
	control string
	wrote   bool
}

func (f *flipped) Write(b []byte) (int, error) {
	if !f.wrote {
		f.WriteHeader(http.StatusOK)
	}
	return f.ResponseWriter.Write(b)
}

func (f *flipped) WriteHeader(status int) {
	f.wrote = true
	if (status == http.StatusOK) == (f.control == "private") {
		f.Header().Set("Cache-Control", f.control)
		f.Header().Del("Origin-TTL-Ms")
	}
	f.ResponseWriter.WriteHeader(status)
}

// slowly makes each answer take a while.
func slowly(d time.Duration) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(d)
			h.ServeHTTP(w, r)
		})
	}
}

// explain logs what happened in a rehearsal that did not end as it should.
func explain(t *testing.T, res record.Results, rec *record.Recording) {
	t.Helper()
	t.Logf("segments: %+v", res.Backends[0].Segments)
	for _, p := range res.Backends[0].Phases {
		for _, o := range p.Operations {
			t.Logf("%s %s: %d, %d errors, %d faulted, %d retries, %v", p.Name, o.Class, o.Count, o.Errors, o.Faulted, o.Retries, o.Statuses)
		}
	}
	for _, c := range rec.Copies() {
		if c.Outcome != "ok" && c.Outcome != "faulted" {
			t.Logf("%+v", c)
		}
	}
}

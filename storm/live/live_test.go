package live_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/body"
	"origin-storm/storm/client"
	"origin-storm/storm/live"
	"origin-storm/storm/stormtest"
)

// samples is a Recorder that keeps everything.
type samples struct {
	mu  sync.Mutex
	all []storm.Sample
}

func (l *samples) Record(s storm.Sample) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, s)
}

// virtual starts a target inside the current bubble and returns the configuration that reaches it.
func virtual(t *testing.T, h http.HandlerFunc) live.Config {
	t.Helper()
	l := stormtest.NewPipes()
	srv := &http.Server{Handler: h}
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(l) })
	t.Cleanup(func() {
		srv.Close()
		wg.Wait()
	})
	return live.Config{Publish: at("http://publish"), Serve: at("http://serve"), Dial: l.Dial, Virtual: true}
}

func at(urls ...string) live.Target { return live.Target{URLs: urls} }

// execute runs requests, all from Direct clients unless clients says otherwise.
func execute(t *testing.T, ctx context.Context, c live.Config, p storm.Plan) ([]storm.Sample, live.Stats, error) {
	t.Helper()
	x, err := live.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if p.Client == nil {
		p.Client = direct
	}
	var rec samples
	err = x.Execute(ctx, p, &rec)
	return rec.all, x.Stats(), err
}

func direct(string) storm.Client { return client.Direct{} }

func video(n int64) segment.ID { return segment.ID{Event: "final", Rendition: "v", Number: n} }

func read(at time.Duration, n int64) storm.Request {
	return storm.Request{At: at, Began: at, From: "edge", Class: storm.LiveEdge, ID: video(n)}
}

func put(at time.Duration, pipeline string, n int64, size int) storm.Request {
	return storm.Request{At: at, Began: at, From: "packager " + pipeline, Put: true, ID: video(n).Candidate(pipeline), Size: size}
}

func every(step time.Duration, n int, r func(i int, at time.Duration) storm.Request) iter.Seq[storm.Request] {
	return func(yield func(storm.Request) bool) {
		for i := range n {
			if !yield(r(i, time.Duration(i)*step)) {
				return
			}
		}
	}
}

// TestStallIsSeenWhole is the test that load tools fail: 500 requests a second against a target that stands still for 1.4 s.
// Every request that was meant to start meanwhile waits for what is left of the stall, and the p99 follows from arithmetic.
func TestStallIsSeenWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const from, to = 1200 * time.Millisecond, 2600 * time.Millisecond
		start := time.Now()
		c := virtual(t, func(w http.ResponseWriter, r *http.Request) {
			if now := time.Since(start); now >= from && now < to {
				time.Sleep(to - now)
			}
			w.WriteHeader(http.StatusNotFound)
		})
		const n = 2000
		all, stats, err := execute(t, t.Context(), c, storm.Plan{Requests: every(2*time.Millisecond, n, func(i int, at time.Duration) storm.Request {
			r := read(at, int64(i))
			r.Class = storm.Missing
			return r
		})})
		if err != nil || len(all) != n || stats.Sent != n || stats.Dropped != 0 {
			t.Fatalf("Execute = %v with %d samples, %+v, want %d", err, len(all), stats, n)
		}
		var got, want []time.Duration
		for _, s := range all {
			exact := time.Duration(0)
			if s.At >= from && s.At < to {
				exact = to - s.At
			}
			if s.Response() != exact || s.Lag() != 0 || s.Service() != exact || s.First != s.Done {
				t.Fatalf("%v: response %v, lag %v, service %v, want %v, 0, %v", s.At, s.Response(), s.Lag(), s.Service(), exact, exact)
			}
			got, want = append(got, s.Response()), append(want, exact)
		}
		slices.Sort(got)
		slices.Sort(want)
		if g, w := got[n*99/100-1], want[n*99/100-1]; g != w || w < 1300*time.Millisecond {
			t.Errorf("p99 = %v, want %v", g, w)
		}
		if n := stats.MostAtOne; n != 700 && n != 701 { // whether one begins before others end at the same instant is open
			t.Errorf("most at one instant = %d, want 700", n)
		}
	})
}

func TestNothingIsDroppedSilently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := virtual(t, func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Second) })
		c.MaxInFlight = 10
		all, stats, err := execute(t, t.Context(), c, storm.Plan{Requests: every(time.Millisecond, 100, func(i int, at time.Duration) storm.Request { return read(at, int64(i)) })})
		dropped := 0
		for _, s := range all {
			if s.Via == storm.Dropped {
				dropped++
				if s.Err == nil || s.Done != s.At {
					t.Errorf("a dropped sample of %v: %v at %v, want an error at once", s.At, s.Err, s.Done)
				}
			}
		}
		if err != nil || len(all) != 100 || dropped != 90 || stats.Dropped != 90 || stats.Sent != 10 {
			t.Errorf("Execute = %v: %d samples, %d dropped, %+v, want 100, 90 dropped, 10 sent", err, len(all), dropped, stats)
		}
	})
}

func TestOutOfDescriptorsIsTheDriversFailure(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want storm.Via
	}{"refused": {syscall.ECONNREFUSED, storm.Wire}, "no descriptors": {syscall.EMFILE, storm.Dropped}, "no ports": {syscall.EADDRNOTAVAIL, storm.Dropped}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := live.Config{Publish: at("http://p"), Serve: at("http://s"), Virtual: true, Dial: func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", tt.err)}
				}}
				all, _, err := execute(t, t.Context(), c, storm.Plan{Requests: every(0, 1, func(int, time.Duration) storm.Request { return read(0, 1) })})
				if err != nil || len(all) != 1 || all[0].Via != tt.want || !errors.Is(all[0].Err, tt.err) {
					t.Errorf("Execute = %v, %+v, want via %v, %v", err, all, tt.want, tt.err)
				}
			})
		})
	}
}

func TestEndOfContext(t *testing.T) {
	threshold := errors.New("a threshold was crossed")
	tests := []struct {
		name   string
		takes  time.Duration
		ends   time.Duration
		failed bool
	}{
		{"answered within the grace", time.Second, 2 * time.Second, false},
		{"cut off after it", time.Minute, 3500 * time.Millisecond, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := virtual(t, func(w http.ResponseWriter, r *http.Request) {
					select {
					case <-time.After(tt.takes):
						w.Write(body.New(video(0), segment.Template{}, 0))
					case <-r.Context().Done():
					}
				})
				start := time.Now()
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(1500*time.Millisecond, func() { cancel(threshold) })
				all, _, err := execute(t, ctx, c, storm.Plan{Requests: every(time.Second, 1000, func(i int, at time.Duration) storm.Request { return read(at, 0) })})
				if !errors.Is(err, threshold) {
					t.Errorf("Execute = %v, want %v", err, threshold)
				}
				if took := time.Since(start); took != tt.ends {
					t.Errorf("Execute took %v, want %v", took, tt.ends)
				}
				if len(all) < 1 || len(all) > 2 || (all[0].Err != nil) != tt.failed || tt.failed && !errors.Is(all[0].Err, context.Canceled) {
					t.Errorf("samples: %+v, want the first to have failed: %v", all, tt.failed)
				}
			})
		})
	}
}

// store is the smallest origin: it keeps what is put and serves it.
type store struct {
	mu   sync.Mutex
	all  map[string][]byte
	from map[string]string // name to pipeline
}

func (o *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.Method == http.MethodPut {
		b, err := io.ReadAll(r.Body)
		id, _ := segment.ParsePublish(r.URL.Path)
		if err == nil {
			o.all[id.Asked().String()], o.from[id.Asked().String()] = b, id.Pipeline
			w.Header().Set("ETag", `"`+id.Pipeline+`"`)
			w.Header().Set("Server-Timing", "store;dur=1.5")
			w.WriteHeader(http.StatusCreated)
		}
		return
	}
	b, ok := o.all[r.URL.Path]
	if !ok {
		w.Header().Set("Origin-TTL-Ms", "250")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Origin-Pipeline", o.from[r.URL.Path])
	w.Header().Set("ETag", `"`+o.from[r.URL.Path]+`"`)
	w.Write(b)
}

func newStore() *store { return &store{all: map[string][]byte{}, from: map[string]string{}} }

func TestPublishRetriesAndReadsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newStore()
		var tries atomic.Int32
		c := virtual(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && tries.Add(1) <= 2 {
				io.Copy(io.Discard, r.Body)
				time.Sleep(10 * time.Millisecond)
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			o.ServeHTTP(w, r)
		})
		all, _, err := execute(t, t.Context(), c, storm.Plan{
			Requests: every(0, 1, func(int, time.Duration) storm.Request { return put(0, "a", 3, 5000) }),
			Client:   func(string) storm.Client { return &client.Packager{} },
		})
		if err != nil || len(all) != 4 {
			t.Fatalf("Execute = %v with %+v, want 3 tries and a read back", err, all)
		}
		for i, s := range all[:3] {
			if s.Try != i || s.Retried != (i < 2) || s.Began != 0 {
				t.Errorf("try %d = try %d, retried %v, began %v", i, s.Try, s.Retried, s.Began)
			}
		}
		if s := all[2]; s.Response() != s.Done || s.Response() < 100*time.Millisecond || s.Status != 201 || s.Store != 1500*time.Microsecond || s.Bytes != 5000 {
			t.Errorf("the last try: response %v, %d, store %v, %d bytes; want all tries in it, 201, 1.5 ms, 5000", s.Response(), s.Status, s.Store, s.Bytes)
		}
		back := all[3]
		if back.At != all[2].Done+time.Second || back.Match != `"a"` || back.ID.Pipeline != "a" || !back.OK() || back.Damage != storm.None || back.Bytes != 5000 {
			t.Errorf("read back = %+v, want the copy of a a second later", back)
		}
	})
}

func TestPublishEndsWithItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := virtual(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		})
		all, _, err := execute(t, t.Context(), c, storm.Plan{
			Requests: every(0, 1, func(int, time.Duration) storm.Request {
				r := put(300*time.Millisecond, "a", 3, 5000)
				r.Began = 0
				return r
			}),
			Client: func(string) storm.Client { return &client.Packager{} },
		})
		if err != nil || len(all) != 1 || all[0].Done != segment.Budget || !errors.Is(all[0].Err, context.DeadlineExceeded) || all[0].Retried {
			t.Errorf("Execute = %v, %+v, want one timeout at %v", err, all, segment.Budget)
		}
	})
}

func TestDamageIsSeen(t *testing.T) {
	a, b := video(7).Candidate("a"), video(7).Candidate("b")
	whole, other := body.New(a, segment.Template{}, 50_000), body.New(b, segment.Template{}, 50_000)
	tests := []struct {
		name     string
		body     []byte
		pipeline string // as the answer's header says
		etag     string
		match    string
		want     storm.Damage
		from     string
	}{
		{"whole", whole, "a", `"1"`, "", storm.None, "a"},
		{"whole, nothing said about it", whole, "", "", "", storm.None, "a"},
		{"mixed", slices.Concat(whole[:25_600], other[25_600:]), "a", "", "", storm.Cross, "a"},
		{"cut", whole[:25_600], "a", "", "", storm.Torn, "a"},
		{"another number", body.New(video(6).Candidate("a"), segment.Template{}, 50_000), "a", "", "", storm.Wrong, "a"},
		{"not the pipeline that the answer names", other, "a", `"1"`, "", storm.Cross, "a"},
		{"not the ETag that was asked for", whole, "a", `"2"`, `"1"`, storm.Stale, "a"},
		{"the ETag that was asked for", whole, "a", `"1"`, `"1"`, storm.None, "a"},
		{"not the copy of that ETag, by a foreign origin", other, "", `"1"`, `"1"`, storm.Cross, "b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := virtual(t, func(w http.ResponseWriter, r *http.Request) {
					if got := r.Header.Get("If-Match"); got != tt.match || r.URL.Path != "/final/v/7.m4s" {
						t.Errorf("GET %s with If-Match %q, want /final/v/7.m4s and %q", r.URL.Path, got, tt.match)
					}
					w.Header().Set("Origin-Pipeline", tt.pipeline)
					w.Header().Set("ETag", tt.etag)
					w.Write(tt.body)
				})
				all, _, err := execute(t, t.Context(), c, storm.Plan{Requests: every(0, 1, func(int, time.Duration) storm.Request {
					return storm.Request{From: "edge", Class: storm.Probe, ID: a, Match: tt.match}
				})})
				if err != nil || len(all) != 1 || all[0].Damage != tt.want || all[0].Pipeline != tt.from || all[0].Bytes != int64(len(tt.body)) || all[0].Err != nil {
					t.Errorf("Execute = %v, %+v, want %q from %q", err, all, tt.want, tt.from)
				}
			})
		})
	}
}

// TestCutConnection: an answer that ends before its Content-Length is an error of the network, and no torn segment.
func TestCutConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := virtual(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "50000")
			w.Write(body.New(video(7), segment.Template{}, 50_000)[:20_000])
			panic(http.ErrAbortHandler)
		})
		all, _, err := execute(t, t.Context(), c, storm.Plan{Requests: every(0, 1, func(int, time.Duration) storm.Request { return read(0, 7) })})
		if err != nil || len(all) != 1 || all[0].Damage != storm.None || !errors.Is(all[0].Err, io.ErrUnexpectedEOF) || all[0].Bytes == 0 {
			t.Errorf("Execute = %v, %+v, want an unexpected end", err, all)
		}
	})
}

func TestFaultsOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := virtual(t, newStore().ServeHTTP)
		var mu sync.Mutex
		var calls []string
		c.Fault = func(f storm.Fault, undo bool) {
			mu.Lock()
			calls = append(calls, fmt.Sprintf("%v %s %s undo=%v", time.Since(start), f.Do, f.To, undo))
			mu.Unlock()
			time.Sleep(5 * time.Second) // slow to carry out: others are not held up
		}
		all, _, err := execute(t, t.Context(), c, storm.Plan{
			Requests: every(100*time.Millisecond, 40, func(i int, at time.Duration) storm.Request {
				return put(at, [2]string{"a", "b"}[i%2], int64(i), 2000)
			}),
			Faults: []storm.Fault{
				{At: time.Second, Do: "kill", To: "cassandra 2"},
				{At: 1050 * time.Millisecond, Do: "kill", To: "pipeline b", For: time.Second},
				{At: 1100 * time.Millisecond, Do: "stop", To: "cache 1", For: time.Hour},
				{At: time.Hour, Do: "kill", To: "serve"},
			},
		})
		if err != nil || len(all) != 40 {
			t.Fatalf("Execute = %v with %d samples, want 40", err, len(all))
		}
		for _, s := range all {
			silenced := s.ID.Pipeline == "b" && s.At > 1050*time.Millisecond && s.At < 2050*time.Millisecond
			if errors.Is(s.Err, storm.ErrFault) != silenced || !silenced && !s.OK() || silenced && s.Via != storm.Dropped {
				t.Errorf("PUT of %s at %v = %v, %v, want silenced: %v", s.ID.Pipeline, s.At, s.Status, s.Err, silenced)
			}
		}
		want := []string{
			"1s kill cassandra 2 undo=false", "1.05s kill pipeline b undo=false", "1.1s stop cache 1 undo=false",
			"6.05s kill pipeline b undo=true", "6.1s stop cache 1 undo=true",
		}
		slices.Sort(calls)
		slices.Sort(want)
		if !slices.Equal(calls, want) {
			t.Errorf("faults:\n%s\nwant\n%s", strings.Join(calls, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestResetInMidBody needs real sockets: the target must see the body begin and the connection break.
func TestResetInMidBody(t *testing.T) {
	o := newStore()
	var cut, whole atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				cut.Add(1)
				if len(b) >= 300_000 || !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("a reset body has %d bytes and ends with %v, want a part of 300,000 and a reset", len(b), err)
				}
				return
			}
			whole.Add(1)
			r.Body = io.NopCloser(strings.NewReader(string(b)))
		}
		o.ServeHTTP(w, r)
	}))
	defer srv.Close()
	all, _, err := execute(t, t.Context(), live.Config{Publish: at(srv.URL), Serve: at(srv.URL)}, storm.Plan{
		Requests: every(20*time.Millisecond, 40, func(i int, at time.Duration) storm.Request {
			r := put(at, [2]string{"a", "b"}[i%2], int64(i), 300_000)
			r.Began += time.Minute // so that its budget outlasts whatever else this machine is busy with
			return r
		}),
		Faults: []storm.Fault{{At: 190 * time.Millisecond, Do: "reset", To: "pipeline b"}},
		Client: func(string) storm.Client { return &client.Packager{ReadBack: -1} },
	})
	if err != nil {
		t.Fatal(err)
	}
	retried := 0
	for _, s := range all {
		if s.Retried {
			retried++
			if s.ID.Pipeline != "b" || !errors.Is(s.Err, syscall.ECONNRESET) {
				t.Errorf("a try of %v failed with %v, want resets of b alone", s.ID, s.Err)
			}
		} else if !s.OK() {
			t.Errorf("%v ended with %v, want its retry to mend it", s.ID, s.Err)
		}
	}
	if retried == 0 || int(cut.Load()) == 0 || int(whole.Load()) != 40 {
		t.Errorf("%d tries were reset, %d bodies came in part, %d whole; want some, some, 40", retried, cut.Load(), whole.Load())
	}
}

// TestResetLasts: for as long as the fault does, every connection of the pipeline breaks, new ones too; then none.
func TestResetLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, _, err := execute(t, t.Context(), virtual(t, newStore().ServeHTTP), storm.Plan{
			Requests: every(100*time.Millisecond, 30, func(i int, at time.Duration) storm.Request {
				return put(at, [2]string{"a", "b"}[i%2], int64(i), 300_000)
			}),
			Faults: []storm.Fault{{At: 1050 * time.Millisecond, Do: "reset", To: "pipeline b", For: time.Second}},
		})
		if err != nil || len(all) != 30 {
			t.Fatalf("Execute = %v with %d samples, want 30", err, len(all))
		}
		for _, s := range all {
			broken := s.ID.Pipeline == "b" && s.At > 1050*time.Millisecond && s.At < 2050*time.Millisecond
			if errors.Is(s.Err, syscall.ECONNRESET) != broken || !broken && !s.OK() {
				t.Errorf("PUT of %s at %v = %d, %v, want reset: %v", s.ID.Pipeline, s.At, s.Status, s.Err, broken)
			}
		}
	})
}

// TestEarlierWaitWakesThePacer: the plan's next request is an hour away, and one is held meanwhile; what a client put off is
// due before.
func TestEarlierWaitWakesThePacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := virtual(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/final/v/99.m4s" {
				time.Sleep(time.Minute)
			}
			w.Header().Set("Origin-TTL-Ms", "250")
			w.WriteHeader(http.StatusNotFound)
		})
		c.ReadTimeout = time.Hour
		held := read(0, 99)
		held.Try = 3 // its client asks no more
		all, _, err := execute(t, t.Context(), c, storm.Plan{
			Requests: slices.Values([]storm.Request{held, read(0, 0), read(time.Hour, 1)}),
			Client:   func(string) storm.Client { return client.Direct{Again: client.Patient(3)} },
		})
		var ats []time.Duration
		for _, s := range all {
			ats = append(ats, s.Sent)
		}
		slices.Sort(ats)
		want := []time.Duration{0, 0, 250e6, 500e6, 750e6, time.Hour, time.Hour + 250e6, time.Hour + 500e6, time.Hour + 750e6}
		if err != nil || !slices.Equal(ats, want) {
			t.Errorf("Execute = %v, sent at %v, want %v", err, ats, want)
		}
	})
}

// TestLagIsTheDrivers: what the driver loses before it sends is lag and response, and no service of the target's.
func TestLagIsTheDrivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := virtual(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			time.Sleep(time.Millisecond)
		})
		c.Template = func(segment.ID) segment.Template { // the first thing of the caller's that is asked on the way
			time.Sleep(7 * time.Millisecond)
			return segment.Template{}
		}
		all, _, err := execute(t, t.Context(), c, storm.Plan{
			Requests: every(4*time.Millisecond, 10, func(i int, at time.Duration) storm.Request { return put(at, "a", int64(i), 2000) }),
		})
		if err != nil || len(all) != 10 {
			t.Fatalf("Execute = %v with %d samples, want 10", err, len(all))
		}
		for _, s := range all {
			if s.Lag() != 7*time.Millisecond || s.Service() != time.Millisecond || s.Response() != 8*time.Millisecond {
				t.Errorf("request %d: lag %v, service %v, response %v, want 7, 1 and 8 ms", s.ID.Number, s.Lag(), s.Service(), s.Response())
			}
		}
	})
}

func TestStartIsAgreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().Add(5 * time.Second)
		var asked time.Time
		c := virtual(t, func(http.ResponseWriter, *http.Request) { asked = time.Now() })
		c.Start = start
		all, _, err := execute(t, t.Context(), c, storm.Plan{Requests: every(0, 1, func(int, time.Duration) storm.Request { return read(time.Second, 0) })})
		if want := start.Add(time.Second); err != nil || !asked.Equal(want) || all[0].Sent != time.Second {
			t.Errorf("Execute = %v, asked at %v, %v by its own clock, want %v, 1s", err, asked, all[0].Sent, want)
		}
	})
}

func TestWhatGoesOverTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		c := virtual(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprint(r.Method, " ", r.Host, r.URL.Path, " length=", r.ContentLength, " ", r.Header.Get("Authorization"), " ", r.UserAgent(), " ", r.Header.Get("Accept-Encoding")))
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		})
		c.Publish = live.Target{URLs: []string{"http://in/base/"}, Path: "/{pipeline}/{event}-{rendition}/{number}.cmfv", Bearer: "s3cret"}
		c.Serve = live.Target{URLs: []string{"http://out"}, Path: "/live/{rendition}/{name}", User: "u", Password: "p"}
		c.Pipelines = map[string]string{"b": "http://other"}
		c.UserAgent = "test"
		c.Chunked = true
		start := put(30e6, "a", segment.Init, 2000)
		requests := []storm.Request{put(0, "a", 1, 2000), put(10e6, "b", 1, 2000), read(20e6, 1), start, read(40e6, segment.Init)}
		if _, _, err := execute(t, t.Context(), c, storm.Plan{Requests: slices.Values(requests)}); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"PUT in/base/a/final-v/1.cmfv length=-1 Bearer s3cret test ",
			"PUT other/b/final-v/1.cmfv length=-1 Bearer s3cret test ",
			"GET out/live/v/1.m4s length=0 Basic dTpw test ",
			"PUT in/base/a/final-v/init.mp4 length=-1 Bearer s3cret test ",
			"GET out/live/v/init.mp4 length=0 Basic dTpw test ",
		}
		if !slices.Equal(got, want) {
			t.Errorf("the target got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestReadersHaveTheirOwnConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var opened atomic.Int32
		c := virtual(t, newStore().ServeHTTP)
		dial := c.Dial
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			opened.Add(1)
			return dial(ctx, network, address)
		}
		_, _, err := execute(t, t.Context(), c, storm.Plan{
			Requests: every(5*time.Millisecond, 80, func(i int, at time.Duration) storm.Request {
				r := read(at, 1)
				if r.From = [4]string{"edge 1", "edge 2", "edge 3", "packager"}[i%4]; i%8 == 7 {
					r = put(at, "a", int64(i), 2000)
				}
				return r
			}),
		})
		if n := opened.Load(); err != nil || n != 5 {
			t.Errorf("Execute = %v with %d connections, want one of each reader and pipeline, kept", err, n)
		}
	})
}

// TestProbesGoPast: an edge would be warmed by the run's own reader, and by packagers that read back.
func TestProbesGoPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards hosts
		hosts := map[string]int{}
		kept := newStore()
		c := virtual(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			hosts[r.Method+" "+r.Host]++
			mu.Unlock()
			kept.ServeHTTP(w, r)
		})
		c.Serve, c.Probes = at("http://edge"), []string{"http://origin/"}
		_, _, err := execute(t, t.Context(), c, storm.Plan{
			Client: func(from string) storm.Client {
				if strings.HasPrefix(from, "packager") {
					return &client.Packager{}
				}
				return client.Direct{}
			},
			Requests: every(100*time.Millisecond, 3, func(i int, at time.Duration) storm.Request {
				r := read(at, 1)
				switch i {
				case 0:
					r = put(at, "a", 1, 2000)
				case 1:
					r.Class, r.From = storm.Probe, "probe"
				}
				return r
			}),
		})
		mu.Lock()
		defer mu.Unlock()
		if err != nil || hosts["GET edge"] != 1 || hosts["GET origin"] != 2 {
			t.Errorf("Execute = %v; requests by host %v, want one read of the edge; probe and read-back of the origin", err, hosts)
		}
	})
}

func TestTLSWithClientCertificate(t *testing.T) {
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	self := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, self, self, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(newStore())
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that does not trust it is the point
	srv.StartTLS()
	defer srv.Close()
	target := live.Target{URLs: []string{srv.URL}, CA: write("ca.pem", "CERTIFICATE", srv.Certificate().Raw),
		Cert: write("cert.pem", "CERTIFICATE", der), Key: write("key.pem", "PRIVATE KEY", pkcs)}
	all, _, err := execute(t, t.Context(), live.Config{Publish: target, Serve: target}, storm.Plan{
		Requests: every(0, 1, func(int, time.Duration) storm.Request { return put(0, "a", 1, 2000) })})
	if err != nil || len(all) != 1 || !all[0].OK() {
		t.Errorf("Execute = %v, %+v, want a publish", err, all)
	}
	target.CA = ""
	all, _, err = execute(t, t.Context(), live.Config{Publish: target, Serve: target}, storm.Plan{
		Requests: every(0, 1, func(int, time.Duration) storm.Request { return put(0, "a", 1, 2000) })})
	if err != nil || len(all) != 1 || all[0].Err == nil || all[0].Via != storm.Wire {
		t.Errorf("Execute without the authority = %v, %+v, want an error of the connection", err, all)
	}
}

func TestNewRefuses(t *testing.T) {
	good := at("http://127.0.0.1:1")
	missing := filepath.Join(t.TempDir(), "none.pem")
	tests := []struct {
		name string
		c    live.Config
		want string
	}{
		{"no publish URL", live.Config{Serve: good}, "publish: no URL"},
		{"no serve URL", live.Config{Publish: good}, "serve: no URL"},
		{"not HTTP", live.Config{Publish: at("ftp://x"), Serve: good}, "http://host:port"},
		{"credentials in the URL", live.Config{Publish: at("http://u:p@x"), Serve: good}, "settings of their own"},
		{"relative path", live.Config{Publish: live.Target{URLs: good.URLs, Path: "{name}"}, Serve: good}, "begin with /"},
		{"misspelt placeholder", live.Config{Publish: live.Target{URLs: good.URLs, Path: "/{num}"}, Serve: good}, "{number}"},
		{"unclosed placeholder", live.Config{Publish: live.Target{URLs: good.URLs, Path: "/{number"}, Serve: good}, "no such placeholder"},
		{"readers know no pipeline", live.Config{Publish: good, Serve: live.Target{URLs: good.URLs, Path: "/{pipeline}/{name}"}}, "no such placeholder as {pipeline}"},
		{"all alike", live.Config{Publish: live.Target{URLs: good.URLs, Path: "/{event}"}, Serve: good}, "names every segment alike"},
		{"no authorities", live.Config{Publish: live.Target{URLs: good.URLs, CA: missing}, Serve: good}, "authorities"},
		{"no key", live.Config{Publish: good, Serve: live.Target{URLs: good.URLs, Cert: missing}}, "client certificate"},
		{"bad pipeline", live.Config{Publish: good, Serve: good, Pipelines: map[string]string{"b": "x"}}, "pipeline b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := live.New(tt.c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// A target that cannot be reached is told from one whose certificate nobody vouches for, and from one that speaks no TLS.
func TestKnock(t *testing.T) {
	plain, secure := httptest.NewServer(http.NotFoundHandler()), httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	defer plain.Close()
	defer secure.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, url, ca, want string
	}{
		{"plain", plain.URL, "", ""},
		{"secure", secure.URL, ca, ""},
		{"nobody there", gone.URL, "", "refused; is it running"},
		{"an authority that nobody knows", secure.URL, "", "certificate"},
		{"no TLS there", strings.Replace(plain.URL, "http:", "https:", 1), "", "is HTTPS spoken there"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := live.Target{URLs: []string{tt.url}, CA: tt.ca}
			if err := target.Knock(t.Context()); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Knock(%s) = %v, want %q", tt.url, err, tt.want)
			}
		})
	}
}

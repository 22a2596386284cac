package stormtest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/body"
	"origin-storm/storm/client"
	"origin-storm/storm/live"
	"origin-storm/storm/record"
	"origin-storm/storm/stormtest"
	"origin-storm/storm/verdict"
)

const (
	step = 2 * time.Millisecond // 500 requests a second
	size = 2000
)

// resolution is how far above the truth a figure may be: a histogram shows the end of the bar that a value is counted in, and a
// bar is half a microsecond or a thousandth wide, whichever is more. No figure may be below.
func resolution(truth time.Duration) time.Duration { return max(512, truth/1000) }

// setting is one way of running the driver.
type setting struct {
	name    string
	drivers int // processes, each with its share of the clients and a recording of its own
	clients func(from string) storm.Client
	put     bool
	tls     bool
	config  func(*live.Config)
}

func direct(string) storm.Client    { return client.Direct{} }
func edges(string) storm.Client     { return client.NewEdge(client.Caching{}) }
func packagers(string) storm.Client { return &client.Packager{ReadBack: -1} }

// TestStallIsRecordedExactly: whatever the driver's settings, the figures of a run against a target that stood still once are those
// of arithmetic. In virtual time nothing else takes any.
func TestStallIsRecordedExactly(t *testing.T) {
	none := func(*live.Config) {}
	unverified := func(c *live.Config) { c.Unverified = true }
	chunked := func(c *live.Config) { c.Chunked = true }
	enough := func(c *live.Config) { c.MaxInFlight = 37 } // 35 are on their way when the stall ends, and one or two begin
	for _, s := range []setting{
		{"one driver", 1, direct, false, false, none},
		{"two drivers", 2, direct, false, false, none},
		{"seven drivers", 7, direct, false, false, none},
		{"unverified", 1, direct, false, false, unverified},
		{"no more in flight than needed", 1, direct, false, false, enough},
		{"edges", 1, edges, false, false, none},
		{"edges of three drivers", 3, edges, false, false, unverified},
		{"TLS", 1, direct, false, true, none},
		{"TLS, unverified, two drivers", 2, direct, false, true, unverified},
		{"publishing", 1, packagers, true, false, none},
		{"publishing chunked", 2, packagers, true, false, chunked},
		{"publishing over TLS, chunked", 1, packagers, true, true, chunked},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { exact(t, s, 500) })
		})
	}
	t.Run("20 seconds", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { exact(t, setting{"", 2, direct, false, false, none}, 10_000) })
	})
}

// exact drives n requests, of which 7 % meet the stall, and compares every quantile that is recorded.
func exact(t *testing.T, s setting, n int) {
	stall, res, _ := drive(t, s, n)
	op := res.Backends[0].Phases[0].Operations[0]
	if op.Count != int64(n) || op.Dropped != 0 || op.Errors != 0 || res.Verdict != "passed" {
		t.Fatalf("%d requests, %d dropped, %d failed, the run %s: %v; want all %d and a run that passed", op.Count, op.Dropped, op.Errors, res.Verdict, res.Reasons, n)
	}
	if want := stall.For - 20*step*time.Duration(n)/2000; stall.Quantile(0.99, n, step) != want {
		t.Fatalf("the closed form of p99 is %v, want %v: the test itself is wrong", stall.Quantile(0.99, n, step), want)
	}
	near := func(what string, got *float64, want time.Duration) {
		t.Helper()
		if got == nil {
			t.Errorf("%s is null, want %v: %s", what, want, op.Response.Note)
		} else if g := time.Duration(*got * 1e6); g < want || g > want+resolution(want) {
			t.Errorf("%s = %v, want %v to %v", what, g, want, want+resolution(want))
		}
	}
	near("p50", op.Response.P50, stall.Quantile(0.5, n, step))
	near("p90", op.Response.P90, stall.Quantile(0.9, n, step))
	near("p95", op.Response.P95, stall.Quantile(0.95, n, step))
	near("p99", op.Response.P99, stall.Quantile(0.99, n, step))
	near("service p99", op.Service.P99, stall.Quantile(0.99, n, step))
	near("the longest", op.Response.Max, stall.For)
	near("the longest lag", op.Lag.Max, 0)
	for _, p := range op.Response.Points {
		near(fmt.Sprintf("p%v", 100*p[0]), &p[1], stall.Quantile(p[0], n, step))
	}
}

// TestWhatCannotBeSentIsNoFigure: a driver that may not have as many requests on their way as the stall holds up cannot tell how long
// they would have waited. It must not show the good times alone.
func TestWhatCannotBeSentIsNoFigure(t *testing.T) {
	for _, drivers := range []int{1, 2} {
		t.Run(fmt.Sprint(drivers, " drivers"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 1000
				most := 10 / drivers
				_, res, all := drive(t, setting{"", drivers, direct, false, false, func(c *live.Config) { c.MaxInFlight = most }}, n)
				dropped := 0
				for _, s := range all {
					if s.Via != storm.Dropped {
						continue
					}
					dropped++
					if s.Err == nil || !strings.Contains(s.Err.Error(), "more driver processes") {
						t.Fatalf("a dropped sample says %v, want what to do", s.Err)
					}
				}
				// Whether a request at the very instant at which the stall ends finds room is open.
				if want := 70 - 10; len(all) != n || dropped < want || dropped > want+drivers {
					t.Errorf("%d samples, %d of them dropped, want one for each of %d requests, %d dropped", len(all), dropped, n, want)
				}
				op := res.Backends[0].Phases[0].Operations[0]
				if op.Count+op.Dropped != n || int(op.Dropped) != dropped {
					t.Errorf("%d requests answered, %d dropped are recorded, want %d, %d", op.Count, op.Dropped, n-dropped, dropped)
				}
				r := op.Response
				if r.P95 != nil || r.P99 != nil || r.Max != nil || r.P99CI != nil || !strings.Contains(r.Note, "could not be sent") {
					t.Errorf("p95 %v, p99 %v, max %v, note %q; want none, and why", r.P95, r.P99, r.Max, r.Note)
				}
				if r.P50 == nil || r.P90 == nil {
					t.Errorf("p50 %v, p90 %v; want both: they hold whatever the dropped ones would have taken", r.P50, r.P90)
				}
				if res.Verdict != "invalid" || verdict.ExitCode(res) != verdict.Invalid {
					t.Errorf("the run is %s, exit code %d: %v; want invalid, %d", res.Verdict, verdict.ExitCode(res), res.Reasons, verdict.Invalid)
				}
			})
		})
	}
}

// TestCollapsedReadersWaitAsLong: readers behind an edge that sends one request for all of them wait as long as that one has left.
func TestCollapsedReadersWaitAsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		same := setting{"", 1, edges, false, false, func(*live.Config) {}}
		stall, samples := execute(t, same, 1000, func(int) int64 { return 1 })
		for _, s := range samples {
			if got, want := s.Response(), stall.Wait(s.Began); got != want {
				t.Fatalf("the reader of %v waited %v, want %v", s.Began, got, want)
			}
		}
	})
}

// drive runs the setting and returns what is judged of it, and every sample.
func drive(t *testing.T, s setting, n int) (*stormtest.Stall, record.Results, []storm.Sample) {
	t.Helper()
	stall, samples := execute(t, s, n, func(i int) int64 { return int64(i) })
	all := record.New(recording(n))
	for i := range s.drivers {
		one := record.New(recording(n))
		for _, x := range samples {
			if driver(x.From, s.drivers) == i {
				one.Record(x)
			}
		}
		var wire bytes.Buffer // as from another process
		if err := one.Encode(&wire); err != nil {
			t.Fatal(err)
		}
		part, err := record.Decode(json.NewDecoder(&wire), recording(n))
		if err != nil {
			t.Fatal(err)
		}
		if err := all.Merge(part); err != nil {
			t.Fatal(err)
		}
	}
	lag := all.Lag()
	res := record.Results{Backends: []record.Backend{all.Backend()}, Driver: record.Driver{LagP99: lag.P99, Dropped: all.Dropped()}}
	verdict.Judge(&res, verdict.Conditions{Thresholds: thresholds(t, s)})
	return stall, res, samples
}

// thresholds are what a scenario would hold against the figures: the verdict needs a p99.
func thresholds(t *testing.T, s setting) []scenarios.Threshold {
	t.Helper()
	class := map[bool]string{false: "live-edge", true: "publish"}[s.put]
	th, err := scenarios.ParseThreshold("storm " + class + " response p99 < 2s")
	if err != nil {
		t.Fatal(err)
	}
	return []scenarios.Threshold{th}
}

func recording(n int) record.Config {
	return record.Config{Backend: "stall", Windows: []storm.Window{{Name: "storm", To: time.Duration(n) * step}}}
}

func name(i int) string { return fmt.Sprint("edge ", i%14) }

// driver is which of the driver processes plays a client.
func driver(from string, drivers int) int {
	var i int
	fmt.Sscanf(from, "edge %d", &i)
	return i % drivers
}

// execute runs the setting's drivers against a stalling target in the current bubble; of gives the request's number its segment's.
func execute(t *testing.T, s setting, n int, of func(i int) int64) (*stormtest.Stall, []storm.Sample) {
	t.Helper()
	whole := time.Duration(n) * step
	stall := &stormtest.Stall{From: whole / 2, For: whole * 7 / 100, Begin: time.Now(), Body: func(path string) []byte {
		id, err := segment.ParseServe(path)
		if err != nil {
			t.Errorf("the target is asked for %s: %v", path, err)
		}
		return body.New(id.Candidate("a"), segment.Template{}, size)
	}}
	pipes := stormtest.NewPipes()
	c := live.Config{Start: stall.Begin, Publish: live.Target{URLs: []string{"http://publish"}}, Serve: live.Target{URLs: []string{"http://serve"}}, Dial: pipes.Dial, Virtual: true}
	var l net.Listener = pipes
	if s.tls {
		cert, ca := certificate(t)
		l = tls.NewListener(pipes, &tls.Config{Certificates: []tls.Certificate{cert}})
		for _, side := range []*live.Target{&c.Publish, &c.Serve} {
			side.CA, side.URLs = ca, []string{strings.Replace(side.URLs[0], "http:", "https:", 1)}
		}
	}
	s.config(&c)
	srv := &http.Server{Handler: stall}
	var serving, driving sync.WaitGroup
	serving.Go(func() { srv.Serve(l) })
	defer serving.Wait()
	defer srv.Close()
	var mu sync.Mutex // guards all
	var all []storm.Sample
	for i := range s.drivers {
		x, err := live.New(c)
		if err != nil {
			t.Fatal(err)
		}
		driving.Go(func() {
			err := x.Execute(t.Context(), storm.Plan{Client: s.clients, Requests: func(yield func(storm.Request) bool) {
				for k := range n {
					at := time.Duration(k) * step
					r := storm.Request{At: at, Began: at, From: name(k), Class: storm.LiveEdge, ID: segment.ID{Event: "e", Rendition: "v", Number: of(k)}}
					if s.put {
						r.Class, r.Put, r.Size, r.ID = storm.Publish, true, size, r.ID.Candidate("a")
					}
					if driver(r.From, s.drivers) == i && !yield(r) {
						return
					}
				}
			}}, recorder(func(x storm.Sample) {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, x)
			}))
			if err != nil {
				t.Errorf("driver %d: %v", i, err)
			}
		})
	}
	driving.Wait()
	return stall, all
}

type recorder func(storm.Sample)

func (r recorder) Record(s storm.Sample) { r(s) }

// certificate makes a certificate for the target's two names, valid at the bubble's time, and the file of its authority.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	self := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"publish", "serve"}}
	der, err := x509.CreateCertificate(rand.Reader, self, self, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, ca
}

// TestQuantile holds the closed form against counting.
func TestQuantile(t *testing.T) {
	for _, s := range []*stormtest.Stall{
		{From: 8 * time.Second, For: 1400 * time.Millisecond},
		{From: 0, For: time.Second},
		{From: 3001 * time.Microsecond, For: 777 * time.Microsecond},
		{From: 1999 * time.Millisecond, For: 5 * time.Second}, // beyond the last request
		{From: time.Hour, For: time.Second},
	} {
		for _, n := range []int{1, 7, 1000, 10_000} {
			var waits []time.Duration
			for i := range n {
				waits = append(waits, s.Wait(time.Duration(i)*step))
			}
			slices.Sort(waits)
			for _, q := range []float64{0.5, 0.9, 0.95, 0.99, 0.999, 1} {
				want := waits[max(0, (int(q*1000)*n+999)/1000-1)]
				if got := s.Quantile(q, n, step); got != want {
					t.Errorf("%v from %v: Quantile(%v, %d) = %v, want %v", s.For, s.From, q, n, got, want)
				}
			}
		}
	}
	issue := &stormtest.Stall{From: 8 * time.Second, For: 1400 * time.Millisecond}
	if p95, p99 := issue.Quantile(0.95, 10_000, step), issue.Quantile(0.99, 10_000, step); p95 != 400*time.Millisecond || p99 != 1200*time.Millisecond {
		t.Errorf("1.4 s of 20 s at 500 requests a second: p95 %v, p99 %v, want 0.4 s, 1.2 s", p95, p99)
	}
}

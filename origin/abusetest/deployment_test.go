package abusetest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"origin-storm/origin"
	"origin-storm/origin/config"
	"origin-storm/origin/processtest"
	"origin-storm/origin/segment"
)

// binary is the program under attack, built once.
var binary string

func TestMain(m *testing.M) {
	if list := os.Getenv(holderEnv); list != "" {
		os.Exit(hold(list))
	}
	dir, err := os.MkdirTemp("", "abusetest")
	if err == nil {
		binary, err = processtest.Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "abusetest:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

const (
	event = "ev"
	// The renditions: one that is attacked, one on which a packager goes on publishing meanwhile.
	attacked, steady = "v", "s"
	// long is how long a segment lasts here: 10,000 connections have to be opened while one number is the next.
	long = 40 * time.Second
	// past is how many segments of the event are over when a test begins.
	past = 100
)

// deployment is a publish and a serve process over a store process.
type deployment struct {
	publish, serve node
	clock          segment.Template
}

// node is one process.
type node struct {
	config.Ready
	store string // address of its store
	base  int64  // goroutines before any attack
}

// deploy starts the processes; change adjusts the configurations of publish and serve.
func deploy(t *testing.T, change func(publish, serve *config.Node)) *deployment {
	t.Helper()
	// There is a past, so that some of what is asked for can wait.
	clock := segment.Template{Start: time.Now().UTC().Add(-past * long), StartNumber: 1, Ticks: int64(long / time.Second), Timescale: 1}
	events := []config.Event{{Name: event, Pipelines: []string{"a"}, Renditions: []config.Rendition{{Name: attacked}, {Name: steady}}, Template: clock, DVR: 24 * time.Hour}}
	store := processtest.Node(t, binary, config.Node{Role: config.Store, Host: config.Host{Listen: "127.0.0.1:0", Stores: []config.HostedStore{
		{Name: "segments", Store: config.StoreAt{Kind: "mem"}},
	}}})
	backend := config.Backend{Store: config.StoreAt{Kind: "remote", Addresses: []string{store.Host}, Namespace: "segments"}}
	writers := []string{"p"}
	publish := config.Node{Role: config.Publish, Name: "p", Publish: "127.0.0.1:0", Operator: "127.0.0.1:0", Events: events, Backend: backend, Writers: writers}
	serve := config.Node{Role: config.Serve, Name: "s", Serve: "127.0.0.1:0", Operator: "127.0.0.1:0", Events: events, Backend: backend, Writers: writers, Serving: config.Serving{Collapse: true}}
	if change != nil {
		change(&publish, &serve)
	}
	start := func(n config.Node) node { return node{Ready: processtest.Node(t, binary, n), store: store.Host} }
	d := &deployment{publish: start(publish), serve: start(serve), clock: clock}
	d.serve.base, d.publish.base = d.serve.goroutines(t), d.publish.goroutines(t)
	return d
}

// stats returns the node's counts.
func (n node) stats(t *testing.T) (s origin.Stats) {
	t.Helper()
	if err := json.Unmarshal(n.operator(t, "/stats"), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// goroutines returns how many the node has.
func (n node) goroutines(t *testing.T) int64 {
	t.Helper()
	for line := range strings.Lines(string(n.operator(t, "/metrics"))) {
		if v, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			g, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
	}
	t.Fatal("/metrics does not say go_goroutines")
	return 0
}

// operator returns what the node's operator's listener answers. Connections are not kept: they would be counted.
func (n node) operator(t *testing.T, path string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.Operator+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("the node's operator's listener: %v", err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s = %d, %v: %.200s", path, res.StatusCode, err, b)
	}
	return b
}

// peak returns the most memory that the process has had in use so far, in bytes.
func (n node) peak(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.PID))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmHWM in /proc/PID/status")
	return 0
}

// within fails the test if the process had more memory than bound at any time.
func (n node) within(t *testing.T, bound int64) {
	t.Helper()
	peak := n.peak(t)
	t.Logf("peak memory %d MiB of at most %d MiB", peak>>20, bound>>20)
	if peak > bound {
		t.Errorf("the node took %d MiB, at most %d MiB", peak>>20, bound>>20)
	}
}

// recovers waits until nothing of an attack is left in the node: its goroutines are as many as before, but for a few that serve
// this test and two for each connection to the store, which are kept for a minute.
func (n node) recovers(t *testing.T, within time.Duration) {
	t.Helper()
	const ours = 12
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var left int64
	for every(ctx, 100*time.Millisecond) {
		if left = n.goroutines(t) - 2*connectionsTo(t, n.store); left <= n.base+ours {
			return
		}
	}
	t.Errorf("%v after the attack the node has %d goroutines, before it were %d", within, left, n.base)
}

// connectionsTo returns how many connections to addr, a port of 127.0.0.1, this machine has open.
func connectionsTo(t *testing.T, addr string) (n int64) {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		const established = "01"
		if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", number)) && f[3] == established {
			n++
		}
	}
	return n
}

// every waits for d; false if ctx was done before.
func every(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// put publishes body and returns the status.
func (d *deployment) put(ctx context.Context, id segment.ID, body []byte, header http.Header) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+d.publish.Publish+id.Candidate("a").String(), bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	res.Body.Close()
	return res.StatusCode, nil
}

// mustPut is put that must store.
func (d *deployment) mustPut(t *testing.T, id segment.ID, body []byte) {
	t.Helper()
	if status, err := d.put(t.Context(), id, body, nil); status != http.StatusCreated {
		t.Fatalf("PUT %v = %d, %v, want 201", id, status, err)
	}
}

// packager publishes a segment of 64 KiB five times a second until the returned function is called, which reports what was not
// published within its budget.
func (d *deployment) packager(t *testing.T, header http.Header) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var count int
	var worst time.Duration
	go func() {
		defer close(ended)
		body := bytes.Repeat([]byte{7}, 64<<10)
		for n := int64(1000); every(ctx, 200*time.Millisecond); n++ {
			began := time.Now()
			status, err := d.put(ctx, segment.ID{Event: event, Rendition: steady, Number: n}, body, header)
			if ctx.Err() != nil {
				return
			}
			took := time.Since(began)
			worst = max(worst, took)
			count++
			if status != http.StatusCreated || took > segment.Budget {
				t.Errorf("during the attack PUT of a segment = %d, %v after %v, want 201 within %v", status, err, took, segment.Budget)
			}
		}
	}()
	return func() {
		cancel()
		<-ended
		t.Logf("%d segments were published during the attack, the slowest in %v", count, worst.Round(time.Millisecond))
		if count == 0 {
			t.Error("nothing was published during the attack")
		}
	}
}

// raw sends request as it is over a connection of its own, and returns the answer's status and how many bytes of body came.
func raw(t *testing.T, addr, request string) (status int, header http.Header, size int64, err error) {
	t.Helper()
	conn, err := (&dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return 0, nil, 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	// An early answer may come before all is sent; what matters is what can be read then.
	_, sendErr := io.WriteString(conn, request)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, nil, 0, errors.Join(sendErr, err)
	}
	defer res.Body.Close()
	size, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Header, size, err
}

package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"origin-storm/origin"
	"origin-storm/origin/config"
	"origin-storm/origin/segment"
)

// start runs a node and returns where it listens. stop tells it to end and returns when it has, with what run returned.
func start(t *testing.T, n config.Node) (ready config.Ready, stop func() error) {
	t.Helper()
	return startLogging(t, n, slog.New(slog.DiscardHandler))
}

func startLogging(t *testing.T, n config.Node, log *slog.Logger) (ready config.Ready, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, n, w, log)
		w.CloseWithError(err)
		ended <- err
	}()
	if err := json.NewDecoder(r).Decode(&ready); err != nil {
		t.Fatalf("run of a %s node: %v", n.Role, err)
	}
	t.Cleanup(cancel)
	return ready, func() error { cancel(); return <-ended }
}

// events are an event whose segments are numbered from the epoch, and now is the number of one that is due.
func events() (all []config.Event, now int64) {
	t := segment.Template{Start: time.Unix(0, 0).UTC(), Ticks: 2, Timescale: 1}
	return []config.Event{{Name: "ev", Pipelines: []string{"a", "b"}, Renditions: config.Renditions("v"), Template: t}}, t.Next(time.Now()) - 1
}

func request(t *testing.T, method, url string, body io.Reader) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return res.StatusCode, string(b)
}

// Publish and serve are processes of their own that share a store process and cache zones, and know of nothing else.
func TestNodesShareAStore(t *testing.T) {
	store, stopStore := start(t, config.Node{Role: config.Store, Host: config.Host{Listen: "127.0.0.1:0", Stores: []config.HostedStore{
		{Name: "segments", Store: config.StoreAt{Kind: "pebble", Dir: t.TempDir()}},
		{Name: "zone", Store: config.StoreAt{Kind: "mem", Limit: 1 << 20}},
	}}})
	evs, number := events()
	backend := config.Backend{
		Store:     config.StoreAt{Kind: "remote", Addresses: []string{store.Host}, Namespace: "segments"},
		Zones:     []config.StoreAt{{Kind: "remote", Addresses: []string{store.Host}, Namespace: "zone"}},
		ChunkSize: 1000,
	}
	publish, stopPublish := start(t, config.Node{Role: config.Publish, Name: "p", Publish: "127.0.0.1:0", Operator: "127.0.0.1:0", Events: evs, Backend: backend})
	serve, stopServe := start(t, config.Node{Role: config.Serve, Name: "s", Serve: "127.0.0.1:0", Operator: "127.0.0.1:0", Events: evs, Backend: backend})

	body := strings.Repeat("segment ", 500)
	if code, said := request(t, "PUT", fmt.Sprintf("http://%s/ev/a/v/%d.m4s", publish.Publish, number), strings.NewReader(body)); code != 201 {
		t.Fatalf("PUT: %d %s, want 201", code, said)
	}
	if code, got := request(t, "GET", fmt.Sprintf("http://%s/ev/v/%d.m4s", serve.Serve, number), nil); code != 200 || got != body {
		t.Errorf("GET: %d with %d bytes, want 200 with the %d that were published", code, len(got), len(body))
	}
	var stats origin.Stats
	_, text := request(t, "GET", "http://"+publish.Operator+"/stats", nil)
	if err := json.Unmarshal([]byte(text), &stats); err != nil {
		t.Fatalf("/stats: %v in %s", err, text)
	}
	if stats.Node != "p" || stats.Publish == nil || stats.Publish.Stored != 1 || stats.Store == nil || stats.Store.Writes != 5 || stats.Cache == nil {
		t.Errorf("/stats of the publishing node: %s, want one segment stored in 5 writes, and a cache", text)
	}
	for _, stop := range []func() error{stopServe, stopPublish, stopStore} {
		if err := stop(); err != nil {
			t.Errorf("run returned %v after it was told to end, want nil", err)
		}
	}
	for _, addr := range []string{publish.Publish, publish.Operator, serve.Serve, store.Host} {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			t.Errorf("%s still answers after the end", addr)
		}
	}
}

// A node that is told to end finishes what is in flight, and says 503 to what is new.
func TestDrain(t *testing.T) {
	evs, number := events()
	ready, stop := start(t, config.Node{
		Role: config.All, Publish: "127.0.0.1:0", Serve: "127.0.0.1:0", Operator: "127.0.0.1:0", Events: evs, Backend: config.Backend{Store: config.StoreAt{Kind: "mem"}},
	})
	conn, err := net.Dial("tcp", ready.Publish)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /ev/a/v/%d.m4s HTTP/1.1\r\nHost: origin\r\nContent-Length: 10\r\n\r\nfirst", number)
	until(t, "the first PUT is being received", func() bool {
		var s origin.Stats
		_, text := request(t, "GET", "http://"+ready.Operator+"/stats", nil)
		return json.Unmarshal([]byte(text), &s) == nil && s.Publish.Active == 1
	})
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	until(t, "a new PUT is answered 503", func() bool {
		code, _ := request(t, "PUT", fmt.Sprintf("http://%s/ev/b/v/%d.m4s", ready.Publish, number), strings.NewReader("another"))
		return code == http.StatusServiceUnavailable
	})
	fmt.Fprint(conn, "other")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("the PUT in flight: %v", err)
	}
	res.Body.Close()
	if res.StatusCode != 201 {
		t.Errorf("the PUT in flight: %d, want 201", res.StatusCode)
	}
	if err := <-ended; err != nil {
		t.Errorf("run: %v, want nil", err)
	}
}

// until waits until done, which is asked every few milliseconds.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("10 s later it is not so that %s", what)
		}
	}
}

// What is wrong with a node is said before it says that it is ready.
func TestNotReady(t *testing.T) {
	evs, _ := events()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	ok := config.Node{
		Role: config.All, Publish: "127.0.0.1:0", Serve: "127.0.0.1:0", Operator: "127.0.0.1:0", Events: evs, Backend: config.Backend{Store: config.StoreAt{Kind: "mem"}},
	}
	for name, c := range map[string]struct {
		change func(*config.Node)
		want   string
	}{
		"address taken":  {func(n *config.Node) { n.Serve = taken.Addr().String() }, "choose another address or port 0"},
		"no certificate": {func(n *config.Node) { n.TLSCert, n.TLSKey = "nowhere.pem", "nowhere.key" }, "tls-cert nowhere.pem"},
		"no profile": {func(n *config.Node) {
			n.Role, n.Host = config.Store, config.Host{Listen: "127.0.0.1:0", Stores: []config.HostedStore{{Name: "s", Store: config.StoreAt{Kind: "mem"}, Profile: "s3-1999"}}}
		}, "s3-1999"},
		"no store": {func(n *config.Node) {
			n.Role, n.Host = config.Store, config.Host{Listen: "127.0.0.1:0", Stores: []config.HostedStore{{Name: "s", Store: config.StoreAt{Kind: "pebble", Dir: "/dev/null/p"}}}}
		}, "hosted store s"},
	} {
		n := ok
		c.change(&n)
		var out bytes.Buffer
		err := run(t.Context(), n, &out, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), c.want) || out.Len() > 0 {
			t.Errorf("%s: run printed %q and returned %v, want nothing and an error with %q", name, out.String(), err, c.want)
		}
	}
}

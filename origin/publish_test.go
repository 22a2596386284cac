package origin_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin"
	"origin-storm/origin/config"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/origintest"
)

func TestPublishAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev := origintest.Event(time.Now())
		ev.MaxSegment = 1000
		ev.DVR = time.Minute
		ev.Template.StartNumber = 1
		store := &counting{Store: &mem.Store{}}
		o := origintest.Start(t, origintest.Config{Events: []config.Event{ev}, Commits: store, Node: "p1", Region: "west"})
		one, two := []byte("one"), []byte("two")
		sum := sha256.Sum256(one)
		digest := base64.StdEncoding.EncodeToString(sum[:])
		for _, tt := range []struct {
			name         string
			method, path string
			body         []byte
			header       []string
			status       int
			etag, kept   string
			writes       int64
		}{
			{"new", "PUT", "/ev/a/v1/1.m4s", one, nil, 201, etagOf(one), "", 1},
			{"the same bytes again", "PUT", "/ev/a/v1/1.m4s", one, nil, 200, etagOf(one), "", 0},
			{"other bytes", "PUT", "/ev/a/v1/1.m4s", two, nil, 200, etagOf(one), "?1", 0},
			{"other bytes, if new", "PUT", "/ev/a/v1/1.m4s", two, []string{"If-None-Match", "*"}, 409, "", "", 0},
			{"the same bytes, if new", "PUT", "/ev/a/v1/1.m4s", one, []string{"If-None-Match", "*"}, 200, etagOf(one), "", 0},
			{"the other pipeline", "POST", "/ev/b/v1/1.m4s", two, nil, 201, etagOf(two), "", 1},
			{"new, if new", "PUT", "/ev/b/v1/2.m4s", two, []string{"If-None-Match", "*"}, 201, etagOf(two), "", 1},
			{"slate", "PUT", "/ev/a/v2/1.m4s", one, []string{"Origin-Slate", "?1", "Origin-Defects", "short,  missing"}, 201, etagOf(one), "", 1},
			{"another flawed one", "PUT", "/ev/a/v2/1.m4s", two, []string{"Origin-Defects", "short"}, 200, etagOf(one), "?1", 0},
			{"a sound one replaces it", "PUT", "/ev/a/v2/1.m4s", two, nil, 200, etagOf(two), "", 1},
			{"a flawed one does not", "PUT", "/ev/a/v2/1.m4s", one, []string{"Origin-Slate", "?1"}, 200, etagOf(two), "?1", 0},
			{"init", "PUT", "/ev/a/v1/init.mp4", one, nil, 201, etagOf(one), "", 1},
			{"with its digest", "PUT", "/ev/a/v1/5.m4s", one, []string{"Content-Digest", "sha-512=:eA==:, sha-256=:" + digest + ":"}, 201, etagOf(one), "", 1},
			{"with another's digest", "PUT", "/ev/a/v1/6.m4s", two, []string{"Content-Digest", "sha-256=:" + digest + ":"}, 400, "", "", 0},
			{"with what is no digest", "PUT", "/ev/a/v1/6.m4s", two, []string{"Content-Digest", "((("}, 400, "", "", 0},
			{"with half a digest", "PUT", "/ev/a/v1/6.m4s", two, []string{"Repr-Digest", "sha-256=" + digest}, 400, "", "", 0},
			{"empty", "PUT", "/ev/a/v1/7.m4s", nil, nil, 200, "", "", 0},
			{"delete", "DELETE", "/ev/a/v1/1.m4s", nil, nil, 200, "", "", 0},
			{"unknown defect", "PUT", "/ev/a/v1/7.m4s", one, []string{"Origin-Defects", "shrot"}, 400, "", "", 0},
			{"slate that is no boolean", "PUT", "/ev/a/v1/7.m4s", one, []string{"Origin-Slate", "true"}, 400, "", "", 0},
			{"encoded", "PUT", "/ev/a/v1/7.m4s", one, []string{"Content-Encoding", "gzip"}, 415, "", "", 0},
			{"encoded in the end", "PUT", "/ev/a/v1/7.m4s", one, []string{"Content-Encoding", "identity, gzip"}, 415, "", "", 0},
			{"a part", "PUT", "/ev/a/v1/7.m4s", one, []string{"Content-Range", "bytes 0-2/10"}, 400, "", "", 0},
			{"too large", "PUT", "/ev/a/v1/7.m4s", make([]byte, 1001), nil, 413, "", "", 0},
			{"just not too large", "PUT", "/ev/a/v1/8.m4s", make([]byte, 1000), nil, 201, etagOf(make([]byte, 1000)), "", 1},
			{"unknown event", "PUT", "/other/a/v1/1.m4s", one, nil, 404, "", "", 0},
			{"unknown pipeline", "PUT", "/ev/c/v1/1.m4s", one, nil, 404, "", "", 0},
			{"unknown rendition", "PUT", "/ev/a/v3/1.m4s", one, nil, 404, "", "", 0},
			{"delete of an unknown event", "DELETE", "/other/a/v1/1.m4s", nil, nil, 404, "", "", 0},
			{"no pipeline", "PUT", "/ev/v1/1.m4s", one, nil, 400, "", "", 0},
			{"dots", "PUT", "/ev/../a/v1/1.m4s", one, nil, 403, "", "", 0},
			{"escapes", "PUT", "/ev/a/v1%2F1.m4s", one, nil, 400, "", "", 0},
			{"over-long", "PUT", "/" + strings.Repeat("x", 5000), one, nil, 400, "", "", 0},
			{"huge number", "PUT", "/ev/a/v1/123456789012345678901234567890.m4s", one, nil, 400, "", "", 0},
			{"before the first number", "PUT", "/ev/a/v1/0.m4s", one, nil, 400, "", "", 0},
			{"ahead of any clock", "PUT", "/ev/a/v1/10000.m4s", one, nil, 400, "", "", 0},
			{"a read", "GET", "/ev/a/v1/1.m4s", nil, nil, 405, "", "", 0},
		} {
			before := store.puts.Load()
			a := do(t, o, tt.method, o.PublishURL+tt.path, bytes.NewReader(tt.body), tt.header...)
			wantStatus(t, tt.name, a, tt.status)
			wantHeader(t, tt.name, a, "ETag", tt.etag)
			wantHeader(t, tt.name, a, "Origin-Kept", tt.kept)
			wantHeader(t, tt.name, a, "Origin-Node", "p1")
			wantHeader(t, tt.name, a, "Origin-Region", "west")
			if n := store.puts.Load() - before; n != tt.writes {
				t.Errorf("%s: %d commits written, want %d", tt.name, n, tt.writes)
			}
			if (a.Header.Get("Server-Timing") != "") != (tt.writes > 0) {
				t.Errorf("%s: Server-Timing: %q", tt.name, a.Header.Get("Server-Timing"))
			}
			if tt.status >= 400 && len(a.body) < 20 {
				t.Errorf("%s: %q says too little", tt.name, a.body)
			}
		}
		time.Sleep(3 * time.Minute)
		wantStatus(t, "PUT of what left the window", put(t, o, "/ev/a/v1/1.m4s", one), 410)
	})
}

func TestServerTimingIsTheStoresTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := origintest.Start(t, origintest.Config{
			Chunks: slow(&mem.Store{}, 0, 40*time.Millisecond), Commits: slow(&mem.Store{}, 0, 2500*time.Microsecond), ChunkSize: 10,
		})
		a := put(t, o, "/ev/a/v1/0.m4s", bytesOf("x", 100)) // 10 chunks, 8 at a time
		wantHeader(t, "PUT", a, "Server-Timing", "store;dur=82.500")
		if a.took != 82500*time.Microsecond {
			t.Errorf("PUT took %v", a.took)
		}
	})
}

// TestRepublishAfterRestart: a node that knows nothing of a name simply writes it, and readers get the newer copy whole.
func TestRepublishAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cfg := origintest.Config{Events: []config.Event{origintest.Event(start)}, Commits: &mem.Store{}, Chunks: &mem.Store{}, ChunkSize: 10}
		before := origintest.Start(t, cfg)
		put(t, before, "/ev/a/v1/0.m4s", bytesOf("first", 100))
		after := origintest.Start(t, cfg)
		// Only who asks for it pays for a look before the write.
		wantStatus(t, "PUT if new", put(t, after, "/ev/a/v1/0.m4s", bytesOf("second", 100), "If-None-Match", "*"), 409)
		third := origintest.Start(t, cfg)
		wantStatus(t, "PUT after a restart", put(t, third, "/ev/a/v1/0.m4s", bytesOf("second", 100)), 201)
		at(start, 5*time.Second)
		if a := get(t, third, "/ev/v1/0.m4s"); !bytes.Equal(a.body, bytesOf("second", 100)) {
			t.Errorf("GET = %d, %d bytes, not the copy on which the store settled", a.StatusCode, len(a.body))
		}
	})
}

// TestConcurrentPutsOfOneName: one of them is stored, the others are told so.
func TestConcurrentPutsOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := origintest.Start(t, origintest.Config{Commits: slow(&mem.Store{}, 0, 100*time.Millisecond)})
		var mu sync.Mutex
		got := map[string]int{}
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				a := put(t, o, "/ev/a/v1/0.m4s", fmt.Appendf(nil, "body %d", i%5))
				mu.Lock()
				defer mu.Unlock()
				got[fmt.Sprint(a.StatusCode, a.Header.Get("Origin-Kept"))]++
			})
		}
		wg.Wait()
		if got["201"] != 1 || got["200"] != 1 || got["200?1"] != 8 {
			t.Errorf("answers = %v, want one 201, one 200 for the same bytes and eight 200 with Origin-Kept", got)
		}
		if st := o.Publish.Stats(); st.Stored != 1 || st.Same != 1 || st.Kept != 8 {
			t.Errorf("Stats = %+v", st)
		}
	})
}

// TestWriteThatFailedIsForgotten: after an error nothing is known to stand, so that a retry, also with other bytes, is stored.
func TestWriteThatFailedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var fail error
		store := kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			if op.Write && fail != nil {
				return fail
			}
			return do(ctx)
		})
		o := origintest.Start(t, origintest.Config{Commits: store})
		for _, tt := range []struct {
			err    error
			status int
		}{
			{errors.New("connection reset"), 503},
			{fmt.Errorf("slow down: %w", kv.ErrThrottled), 503},
			{fmt.Errorf("disk: %w", kv.ErrFull), 507},
			{fmt.Errorf("item: %w", kv.ErrTooLarge), 413},
			{fmt.Errorf("login: %w", kv.ErrDenied), 503},
		} {
			fail = tt.err
			a := put(t, o, "/ev/a/v1/0.m4s", []byte("first"))
			wantStatus(t, "PUT with "+tt.err.Error(), a, tt.status)
			if strings.Contains(string(a.body), "login") {
				t.Errorf("the packager is told of the store's affairs: %q", a.body)
			}
		}
		fail = nil
		wantStatus(t, "PUT again", put(t, o, "/ev/a/v1/0.m4s", []byte("second")), 201)
		at(start, 5*time.Second)
		if a := get(t, o, "/ev/v1/0.m4s"); string(a.body) != "second" {
			t.Errorf("GET = %q, want the copy that was acknowledged", a.body)
		}
		if st := o.Publish.Stats(); st.Failed != 5 || st.Stored != 1 {
			t.Errorf("Stats = %+v", st)
		}
	})
}

// TestFlawedCopyIsNotStoredUnseen: where the store does not say whether another node was given a sound copy, a flawed one is refused, or
// it would take the sound one's place for good. What is sound is stored all the same.
func TestFlawedCopyIsNotStoredUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cfg := origintest.Config{Events: []config.Event{origintest.Event(start)}, Commits: &mem.Store{}, Chunks: &mem.Store{}, ChunkSize: 10}
		before := origintest.Start(t, cfg)
		wantStatus(t, "PUT of a sound copy", put(t, before, "/ev/a/v1/0.m4s", []byte("sound")), 201)
		cfg.Commits = slow(cfg.Commits, 5*time.Second, 0)
		other := origintest.Start(t, cfg)
		a := put(t, other, "/ev/a/v1/0.m4s", []byte("flawed"), "Origin-Defects", "short")
		wantStatus(t, "PUT of a flawed copy at another node, which can not look", a, 504)
		if a.took > 2*time.Second {
			t.Errorf("it is refused after %v, want within the write budget of 2 s", a.took)
		}
		wantStatus(t, "PUT of a sound copy at that node", put(t, other, "/ev/a/v2/init.mp4", []byte("sound")), 201)
		at(start, 10*time.Second)
		if a := get(t, before, "/ev/v1/0.m4s"); string(a.body) != "sound" {
			t.Errorf("GET = %d %q, want the sound copy", a.StatusCode, a.body)
		}
	})
}

func TestSlowWritesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := origintest.Start(t, origintest.Config{Commits: slow(&mem.Store{}, 0, 501*time.Millisecond)})
		wantStatus(t, "PUT", put(t, o, "/ev/a/v1/0.m4s", []byte("x")), 201)
		if got := o.Publish.Stats().SlowWrites; got != 1 {
			t.Errorf("SlowWrites = %d, want 1", got)
		}
	})
}

// TestDrain: what is being received or stored is finished, what comes new is refused.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o := origintest.Start(t, origintest.Config{Commits: slow(&mem.Store{}, 0, 300*time.Millisecond)})
		r, w := io.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			a := do(t, o, http.MethodPut, o.PublishURL+"/ev/a/v1/0.m4s", r)
			wantStatus(t, "PUT in flight", a, 201)
			if now := time.Since(start); now != 1300*time.Millisecond {
				t.Errorf("PUT in flight answered at %v, want 1.3s", now)
			}
		})
		fmt.Fprint(w, "first half, ")
		time.Sleep(500 * time.Millisecond)
		o.Publish.Drain()
		a := put(t, o, "/ev/a/v2/0.m4s", []byte("x"))
		wantStatus(t, "PUT while draining", a, 503)
		wantHeader(t, "PUT while draining", a, "Retry-After", "1")
		if !a.Close {
			t.Error("PUT while draining: the connection stays open")
		}
		wg.Go(func() {
			if err := o.PublishServer.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
		at(start, time.Second)
		fmt.Fprint(w, "second half")
		w.Close()
		wg.Wait()
		at(start, 5*time.Second)
		if a := get(t, o, "/ev/v1/0.m4s"); string(a.body) != "first half, second half" {
			t.Errorf("GET = %q", a.body)
		}
	})
}

func TestStalledBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &counting{Store: &mem.Store{}}
		start := time.Now()
		o := origintest.Start(t, origintest.Config{Commits: store})
		for _, tt := range []struct {
			name  string
			pause time.Duration
			took  time.Duration
		}{
			{"no more bytes", time.Hour, 6 * time.Second},
			{"a byte a second", time.Second, 30 * time.Second},
		} {
			began := time.Now()
			r, w := io.Pipe()
			go func() {
				for {
					if _, err := w.Write([]byte("x")); err != nil {
						return
					}
					select {
					case <-time.After(tt.pause):
					case <-t.Context().Done():
						return
					}
				}
			}()
			a := do(t, o, http.MethodPut, o.PublishURL+"/ev/a/v1/0.m4s", r)
			wantStatus(t, tt.name, a, 408)
			if took := time.Since(began); took != tt.took {
				t.Errorf("%s: cut after %v, want %v", tt.name, took, tt.took)
			}
			r.Close()
		}
		if n := store.puts.Load(); n != 0 {
			t.Errorf("%d commits written", n)
		}
		// A pause of a segment's length is how ffmpeg's DASH muxer publishes.
		r, w := io.Pipe()
		go func() {
			time.Sleep(4 * time.Second)
			fmt.Fprint(w, "body")
			w.Close()
		}()
		n := time.Since(start) / (2 * time.Second)
		wantStatus(t, "a pause", do(t, o, http.MethodPut, o.PublishURL+fmt.Sprintf("/ev/a/v1/%d.m4s", n), r), 201)
	})
}

// raw sends text over a new connection and returns it.
func raw(t *testing.T, url, text string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// TestSenderThatCloses: ffmpeg closes the connection right after the last chunk and reads no answer; its segment is published,
// though the server cancels the request's context while it is being stored. One that closes or resets earlier has published
// nothing.
func TestSenderThatCloses(t *testing.T) {
	requests, writing := make(chan context.Context, 1), make(chan struct{}, 1)
	store := kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
		if op.Write {
			writing <- struct{}{}
			<-(<-requests).Done()
		}
		return do(ctx)
	})
	o := origintest.Start(t, origintest.Config{Events: []config.Event{origintest.Event(time.Now().Add(-time.Minute))}, Commits: store, Loopback: true})
	const head = "PUT /ev/a/v1/%d.m4s HTTP/1.1\r\nHost: o\r\nExpect: 100-continue\r\n%s\r\n\r\n"
	for i, tt := range []struct {
		name, length, body string
		reset              bool
		published          bool
	}{
		{"after the last chunk", "Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n", false, true},
		{"after the last byte", "Content-Length: 4", "body", false, true},
		{"after the last byte, by a reset", "Content-Length: 4", "body", true, true},
		{"in the middle of a chunk", "Transfer-Encoding: chunked", "4\r\nbo", false, false},
		{"before the last chunk", "Transfer-Encoding: chunked", "4\r\nbody\r\n", false, false},
		{"before the announced length", "Content-Length: 5", "body", false, false},
		{"before the announced length, by a reset", "Content-Length: 5", "body", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ended := make(chan struct{})
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := origin.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.published {
					requests <- r.Context()
				}
				o.Publish.ServeHTTP(w, r)
				close(ended)
			}), config.Limit{}, nil)
			var serving sync.WaitGroup
			serving.Go(func() { server.Serve(l) })
			defer serving.Wait()
			defer server.Close()

			c := raw(t, l.Addr().String(), fmt.Sprintf(head, 10+i, tt.length))
			if _, err := bufio.NewReader(c).ReadString('\n'); err != nil { // 100 Continue: the body is being read
				t.Fatal(err)
			}
			io.WriteString(c, tt.body)
			if tt.reset {
				if tt.published {
					<-writing // or the reset could destroy what the server has not read yet
				}
				c.SetLinger(0)
			}
			c.Close()
			if tt.published && !tt.reset {
				<-writing
			}
			<-ended
			want := 410
			if tt.published {
				want = 200
			}
			wantStatus(t, "GET", get(t, o, fmt.Sprintf("/ev/v1/%d.m4s", 10+i)), want)
		})
	}
	if st := o.Publish.Stats(); st.Stored != 3 || st.Requests["PUT"][201] != 3 || st.Requests["PUT"][400] != 4 {
		t.Errorf("Stats = %+v, want 3 stored and 4 that broke off", st)
	}
}

// TestPipelinedPuts: a sender that does not wait for answers (ffmpeg on a persistent connection) gets them in order.
func TestPipelinedPuts(t *testing.T) {
	o := origintest.Start(t, origintest.Config{Events: []config.Event{origintest.Event(time.Now().Add(-time.Minute))}, Loopback: true})
	var text strings.Builder
	for n := range 5 {
		fmt.Fprintf(&text, "PUT /ev/a/v1/%d.m4s HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbod%d\r\n0\r\n\r\n", 10+n, n)
	}
	in := bufio.NewReader(raw(t, o.PublishURL, text.String()))
	for n := range 5 {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if want := etagOf(fmt.Appendf(nil, "bod%d", n)); resp.StatusCode != 201 || resp.Header.Get("ETag") != want {
			t.Errorf("answer %d = %d %s, want 201 %s", n, resp.StatusCode, resp.Header.Get("ETag"), want)
		}
	}
}

// TestMalformedRequests: what net/http refuses before a handler sees it.
func TestMalformedRequests(t *testing.T) {
	o := origintest.Start(t, origintest.Config{Loopback: true})
	for name, text := range map[string]string{
		"two lengths":          "PUT /ev/a/v1/0.m4s HTTP/1.1\r\nHost: o\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
		"length and not":       "PUT /ev/a/v1/0.m4s HTTP/1.1\r\nHost: o\r\nContent-Length: x\r\n\r\nbody",
		"negative length":      "PUT /ev/a/v1/0.m4s HTTP/1.1\r\nHost: o\r\nContent-Length: -1\r\n\r\nbody",
		"no host":              "PUT /ev/a/v1/0.m4s HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
		"headers without end":  "PUT /ev/a/v1/0.m4s HTTP/1.1\r\nHost: o\r\nX: " + strings.Repeat("x", 64<<10),
		"broken escape":        "PUT /ev/a/v1/%zz.m4s HTTP/1.1\r\nHost: o\r\nContent-Length: 4\r\n\r\nbody",
		"unknown encoding":     "PUT /ev/a/v1/0.m4s HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: gzip\r\n\r\nbody",
		"a chunk that is none": "PUT /ev/a/v1/0.m4s HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nbody",
		"a length that lies":   "PUT /ev/a/v1/0.m4s HTTP/1.1\r\nHost: o\r\nContent-Length: 9223372036854775807\r\n\r\nbody",
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := http.ReadResponse(bufio.NewReader(raw(t, o.PublishURL, text)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode < 400 || resp.StatusCode >= 502 {
				t.Errorf("answer = %s", resp.Status)
			}
		})
	}
	if st := o.Publish.Stats(); st.Stored != 0 {
		t.Errorf("Stats = %+v, want nothing stored", st)
	}
}

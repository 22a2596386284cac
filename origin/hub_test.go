package origin_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/origintest"
)

// TestSlowStoreDoesNotDelayTheCache: a poll of the store that takes its time does not keep the cache's from being asked.
func TestSlowStoreDoesNotDelayTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ev := origintest.Event(start)
		durable, zone := &mem.Store{}, &mem.Store{}
		writer := origintest.Start(t, origintest.Config{Events: []config.Event{ev}, Commits: durable, Chunks: durable, Zones: []kv.Store{zone}})
		reader := origintest.Start(t, origintest.Config{
			Events: []config.Event{ev}, Commits: slow(durable, time.Second, 0), Chunks: slow(durable, time.Second, 0), Zones: []kv.Store{zone},
		})
		go func() {
			at(start, 2101*time.Millisecond)
			put(t, writer, "/ev/a/v1/0.m4s", []byte("body"))
		}()
		wantStatus(t, "held GET", get(t, reader, "/ev/v1/0.m4s"), 200)
		if now := time.Since(start); now > 2106*time.Millisecond {
			t.Errorf("held GET answered at %v, want within 5ms of 2.101s", now)
		}
	})
}

// TestCacheLost: without the cache's help a segment is found by the polls of the store behind it.
func TestCacheLost(t *testing.T) {
	for name, zone := range map[string]kv.Store{
		"empty": &forgetful{},
		"down": kv.Inject(&mem.Store{}, func(context.Context, kv.Op, func(context.Context) error) error {
			return errors.New("connection refused")
		}),
		"hung": slow(&mem.Store{}, time.Hour, time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				o := origintest.Start(t, origintest.Config{Events: []config.Event{origintest.Event(start)}, Zones: []kv.Store{zone}})
				at(start, 1700*time.Millisecond)
				wantStatus(t, "PUT", put(t, o, "/ev/a/v1/0.m4s", []byte("body")), 201)
				wantStatus(t, "held GET", get(t, o, "/ev/v1/0.m4s"), 200)
				if now := time.Since(start); now > 2*time.Second {
					t.Errorf("held GET answered at %v, want before it is due at 2s", now)
				}
			})
		})
	}
}

// forgetful is a cache that keeps nothing.
type forgetful struct{}

func (*forgetful) Put(context.Context, kv.Key, []byte, time.Duration) error { return nil }
func (*forgetful) Get(context.Context, kv.Key) ([]byte, error)              { return nil, kv.ErrNotFound }

// TestPublishedButUnreadable: a segment whose chunks are not there is never answered in part; it is tried again while it is
// awaited, and the other pipeline's copy is served if that can be read.
func TestPublishedButUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var lost atomic.Bool
		lost.Store(true)
		reads := &atomic.Int64{}
		chunks := kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			if !op.Write {
				reads.Add(1)
				time.Sleep(time.Millisecond)
				if lost.Load() {
					return kv.ErrNotFound
				}
			}
			return do(ctx)
		})
		o := origintest.Start(t, origintest.Config{Chunks: chunks, ChunkSize: 100})
		body := bytesOf("x", 1000)
		put(t, o, "/ev/a/v1/0.m4s", body)
		go func() {
			at(start, time.Second)
			lost.Store(false)
		}()
		a := get(t, o, "/ev/v1/0.m4s")
		if now := time.Since(start); !bytes.Equal(a.body, body) || now > 1200*time.Millisecond {
			t.Errorf("GET = %d, %d bytes at %v, want the body soon after 1s", a.StatusCode, len(a.body), now)
		}
		if n := reads.Load(); n > 10*8+10 {
			t.Errorf("%d chunks read in one second, want at most ten tries of eight", n)
		}
		// Past its deadline: an error, never a part; and the small copy of the other pipeline if there is one.
		put(t, o, "/ev/a/v2/0.m4s", body)
		lost.Store(true)
		at(start, 5*time.Second)
		gone := get(t, o, "/ev/v2/0.m4s")
		wantStatus(t, "GET without chunks", gone, 503)
		wantHeader(t, "GET without chunks", gone, "Cache-Control", "no-store")
		put(t, o, "/ev/b/v2/0.m4s", []byte("inline"))
		wantHeader(t, "GET with another copy", get(t, o, "/ev/v2/0.m4s"), "Origin-Pipeline", "b")
		wantStatus(t, "GET of the chosen copy without chunks", get(t, o, "/ev/v1/0.m4s"), 503)
	})
}

// conn returns a connection to the serving side.
func conn(t *testing.T, o *origintest.Origin) net.Conn {
	t.Helper()
	c, err := o.Client.Transport.(*http.Transport).DialContext(t.Context(), "tcp", "serve:80")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestSlowReaders: who reads slowly gets everything; who stops reading is cut off, and lets go of the segment.
func TestSlowReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o := origintest.Start(t, origintest.Config{ChunkSize: -1})
		put(t, o, "/ev/a/v1/0.m4s", bytesOf("x", 2<<20))
		at(start, 5*time.Second)

		c := conn(t, o)
		io.WriteString(c, "GET /ev/v1/0.m4s HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n")
		var got int
		for b := make([]byte, 100<<10); ; {
			n, err := io.ReadFull(c, b)
			got += n
			if err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		if got < 2<<20 {
			t.Errorf("a slow reader got %d bytes, want all of 2 MiB and a header", got)
		}

		c = conn(t, o)
		began := time.Now()
		io.WriteString(c, "GET /ev/v1/0.m4s HTTP/1.1\r\nHost: o\r\n\r\n")
		c.Read(make([]byte, 1000))
		for o.Serve.Stats().Requests["live-edge"][200]+o.Serve.Stats().Requests["dvr"][200] < 2 {
			time.Sleep(time.Second)
		}
		if cut := time.Since(began); cut < 9*time.Second || cut > 12*time.Second {
			t.Errorf("who stopped reading was cut off after %v, want 10s", cut)
		}

		c = conn(t, o)
		began = time.Now()
		if _, err := c.Read(make([]byte, 1)); err == nil || time.Since(began) != 10*time.Second {
			t.Errorf("who sent nothing was cut off after %v by %v, want 10s", time.Since(began), err)
		}
	})
}

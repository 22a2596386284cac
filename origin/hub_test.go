package origin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
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

// TestFoundOnce: a segment that a poll has found is not polled for again while it is read, even if the next poll was due when that one ended.
func TestFoundOnce(t *testing.T) {
	for _, cached := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			var found, after atomic.Int64
			watched := kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
				if op.Write {
					return do(ctx)
				}
				if found.Load() > 0 {
					after.Add(1)
				}
				time.Sleep(30 * time.Millisecond) // longer than either source's polls are apart
				err := do(ctx)
				if err == nil {
					found.Add(1)
				}
				return err
			})
			ev := origintest.Event(start)
			ev.Pipelines = ev.Pipelines[:1]
			cfg := origintest.Config{Events: []config.Event{ev}, Commits: watched}
			if cached {
				cfg.Commits, cfg.Zones = nil, []kv.Store{watched}
			}
			o := origintest.Start(t, cfg)
			for n := range 20 { // each is a chance for the poll to be the faster one
				opens := time.Duration(n) * 2 * time.Second
				at(start, opens)
				go func() {
					at(start, opens+1501*time.Millisecond)
					put(t, o, fmt.Sprintf("/ev/a/v1/%d.m4s", n), []byte("body"))
				}()
				wantStatus(t, "held GET", get(t, o, fmt.Sprintf("/ev/v1/%d.m4s", n)), 200)
				if found.Load() != 1 || after.Load() != 0 {
					t.Errorf("cached %v: segment %d was found %d times, %d reads began after it was, want once and none", cached, n, found.Load(), after.Load())
				}
				found.Store(0)
				after.Store(0)
			}
		})
	}
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

// multi is a cache zone that counts what it is asked for.
type multi struct {
	mem.Store
	trips, keys, gets atomic.Int64
}

func (m *multi) GetMulti(ctx context.Context, keys []kv.Key) ([][]byte, error) {
	m.trips.Add(1)
	m.keys.Add(int64(len(keys)))
	vals := make([][]byte, len(keys))
	for i, key := range keys {
		vals[i], _ = m.Store.Get(ctx, key)
	}
	return vals, nil
}

func (m *multi) Get(ctx context.Context, key kv.Key) ([]byte, error) {
	m.gets.Add(1)
	return m.Store.Get(ctx, key)
}

// renditions returns n names.
func renditions(n int) []config.Rendition {
	all := make([]config.Rendition, n)
	for i := range all {
		all[i].Name = fmt.Sprint("v", i)
	}
	return all
}

// TestOnePollForTheNode: however many segments are awaited, by however many, the cache is asked for all of them in few exchanges
// each 5 ms, the store eight times for each; everyone is answered within 5 ms of the publication, and then nobody asks any more.
func TestOnePollForTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const segments, holders = 48, 3
		start := time.Now()
		ev := origintest.Event(start.Add(1234567 * time.Nanosecond)) // on no multiple of anything
		ev.Renditions = renditions(segments)
		zone := &multi{}
		durable := &counting{Store: &mem.Store{}}
		o := origintest.Start(t, origintest.Config{Events: []config.Event{ev}, Commits: durable, Zones: []kv.Store{zone}})
		at(start, 10*time.Millisecond)
		var held sync.WaitGroup
		for i := range segments {
			for range holders {
				held.Go(func() {
					a := get(t, o, fmt.Sprintf("/ev/v%d/0.m4s", i))
					wantStatus(t, "held GET", a, 200)
					if late := time.Since(start) - 3500*time.Millisecond; late < 0 || late > 5*time.Millisecond {
						t.Errorf("held GET answered %v after the publication, want at most 5ms", late)
					}
				})
			}
		}
		at(start, 3500*time.Millisecond)
		trips, keys := zone.trips.Load(), zone.keys.Load()
		// Each segment was looked for once of its own when it was first asked for.
		if ticks := int64(3490 / 5); trips > segments+ticks*segments/16+3 || keys > 2*segments*(ticks+2) || keys < 2*segments*(ticks-1) {
			t.Errorf("%d exchanges for %d keys in %d ticks, want one for 16 segments a tick, and two keys for each segment", trips, keys, ticks)
		}
		for i := range segments {
			put(t, o, fmt.Sprintf("/ev/a/v%d/0.m4s", i), []byte("body"))
		}
		held.Wait()
		st := o.Serve.Stats()
		if st.Awaited != segments || st.MaxStorePolls > 8 || st.StorePolls > 8*segments || st.StorePolls < 7*segments {
			t.Errorf("%d segments awaited with %d polls of the store, %d at most for one; want %d, seven for each", st.Awaited, st.StorePolls, st.MaxStorePolls, segments)
		}
		if got := durable.gets.Load(); got != 2*st.StorePolls {
			t.Errorf("the store was read %d times, want 2 candidates in each of %d polls", got, st.StorePolls)
		}
		trips = zone.trips.Load()
		time.Sleep(time.Second)
		if n := zone.trips.Load() - trips; n > 0 {
			t.Errorf("%d exchanges with the cache while nothing is awaited", n)
		}
	})
}

// TestComingAndGoing: a client that asks for the next segment and leaves, over and over, causes no more polls of the store than
// one that stays; and the store's word is still heard at the deadline.
func TestComingAndGoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		zone := &multi{}
		o := origintest.Start(t, origintest.Config{Events: []config.Event{origintest.Event(start)}, Zones: []kv.Store{zone}})
		for time.Since(start) < 3950*time.Millisecond {
			ctx, leave := context.WithTimeout(t.Context(), 30*time.Millisecond)
			if _, err := try(ctx, o, http.MethodGet, o.ServeURL+"/ev/v1/0.m4s", nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("GET = %v, want to be held", err)
			}
			leave()
			synctest.Wait()
		}
		st := o.Serve.Stats()
		if st.Awaited < 100 || st.MaxStorePolls > 8 || st.StorePolls > 8 {
			t.Errorf("%d polls of the store (%d at most) for a segment that was asked for %d times, want at most 8", st.StorePolls, st.MaxStorePolls, st.Awaited)
		}
		before := zone.trips.Load()
		time.Sleep(10 * time.Millisecond)
		if n := zone.trips.Load() - before; n > 0 {
			t.Errorf("the cache was polled %d times while nobody waited", n)
		}
		wantStatus(t, "GET held over the deadline", get(t, o, "/ev/v1/0.m4s"), 410)
		// What was found once is no longer "not there": a flawed copy, which the node does not remember, is served again and again.
		put(t, o, "/ev/a/v1/1.m4s", []byte("slate"), "Origin-Slate", "?1")
		for range 3 {
			at(start, time.Since(start)+600*time.Millisecond)
			wantStatus(t, "GET of a flawed copy", get(t, o, "/ev/v1/1.m4s"), 200)
		}
	})
}

// TestFoundIsNotAbsent: what the store said of a segment before it was found is forgotten then. A flawed copy, which the node does not
// remember, is asked for again when the cache has lost it and no poll of the store is due any more before the deadline.
func TestFoundIsNotAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var lost atomic.Bool
		zone := kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			if lost.Load() {
				return kv.ErrNotFound
			}
			return do(ctx)
		})
		o := origintest.Start(t, origintest.Config{Events: []config.Event{origintest.Event(start)}, Zones: []kv.Store{zone}})
		var held sync.WaitGroup
		held.Go(func() { wantStatus(t, "held GET", get(t, o, "/ev/v1/0.m4s"), 200) })
		at(start, 3920*time.Millisecond) // the store was asked for the last time at 3.9 s, and had nothing
		put(t, o, "/ev/a/v1/0.m4s", []byte("slate"), "Origin-Slate", "?1")
		held.Wait()
		if st := o.Serve.Stats(); st.StorePolls != 8 {
			t.Fatalf("%d polls of the store, want 8", st.StorePolls)
		}
		lost.Store(true)
		at(start, 3950*time.Millisecond)
		wantStatus(t, "GET again", get(t, o, "/ev/v1/0.m4s"), 200)
	})
}

// TestLateComersSpareTheStore: who asks for a segment after it was published finds it in the cache; the store is not asked.
func TestLateComersSpareTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		durable := &counting{Store: &mem.Store{}}
		o := origintest.Start(t, origintest.Config{
			Events: []config.Event{origintest.Event(start)}, Commits: durable, Zones: []kv.Store{slow(&mem.Store{}, 3*time.Millisecond, 0)},
		})
		at(start, 1900*time.Millisecond)
		put(t, o, "/ev/a/v1/0.m4s", []byte("body"))
		at(start, 2100*time.Millisecond)
		reads := durable.gets.Load()
		wantStatus(t, "GET", get(t, o, "/ev/v1/0.m4s"), 200)
		if n := durable.gets.Load() - reads; n != 0 {
			t.Errorf("the store was read %d times for what the cache has", n)
		}
	})
}

// TestHoldTime: a node that is told to lets go of a request before an edge's patience ends: 404, and at once again.
func TestHoldTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o := origintest.Start(t, origintest.Config{Events: []config.Event{origintest.Event(start)}, Serving: config.Serving{HoldTime: 1500 * time.Millisecond}})
		var other sync.WaitGroup
		other.Go(func() {
			at(start, time.Second)
			wantStatus(t, "GET of who came later", get(t, o, "/ev/v1/0.m4s"), 200)
		})
		a := get(t, o, "/ev/v1/0.m4s")
		wantStatus(t, "GET held for too long", a, 404)
		wantHeader(t, "GET held for too long", a, "Cache-Control", "no-store")
		wantHeader(t, "GET held for too long", a, "Origin-TTL-Ms", "0")
		if a.took != 1500*time.Millisecond {
			t.Errorf("held for %v, want 1.5s", a.took)
		}
		at(start, 2200*time.Millisecond)
		put(t, o, "/ev/a/v1/0.m4s", []byte("body"))
		other.Wait()
		if st := o.Serve.Stats(); st.HoldsExpired != 1 || st.Holding != 0 {
			t.Errorf("%d holds expired, %d are left; want 1 and none", st.HoldsExpired, st.Holding)
		}
	})
}

// TestHoldsAreShared: an event may take more than its share of the table, never the others'.
func TestHoldsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var events []config.Event
		for _, name := range []string{"one", "two", "three"} {
			ev := origintest.Event(start)
			ev.Name = name
			events = append(events, ev)
		}
		// 12 requests: 2 for each event, 6 for whoever comes first.
		o := origintest.Start(t, origintest.Config{Events: events, Serving: config.Serving{Holds: 12}})
		var holders sync.WaitGroup
		ctx, leave := context.WithCancel(t.Context())
		ask := func(event string, n int) (refused int64) {
			before := o.Serve.Stats().HoldsRefused
			for range n {
				holders.Go(func() { try(ctx, o, http.MethodGet, o.ServeURL+"/"+event+"/v1/0.m4s", nil) })
			}
			synctest.Wait()
			return o.Serve.Stats().HoldsRefused - before
		}
		if n := ask("one", 10); n != 2 {
			t.Errorf("of ten requests for one event %d were refused, want 2: its share is 2, and 6 are free", n)
		}
		if n := ask("two", 3); n != 1 {
			t.Errorf("of three requests for the second event %d were refused, want 1: its share is 2", n)
		}
		if n := ask("three", 2); n != 0 {
			t.Errorf("of two requests for the third event %d were refused, want none", n)
		}
		full := get(t, o, "/two/v1/0.m4s")
		wantStatus(t, "GET with a full table", full, 503)
		wantHeader(t, "GET with a full table", full, "Cache-Control", "no-store")
		leave()
		holders.Wait()
		synctest.Wait()
		if st := o.Serve.Stats(); st.Holding != 0 || st.MaxHolding != 12 {
			t.Errorf("%d requests are held, at most %d were; want 0 and 12", st.Holding, st.MaxHolding)
		}
		ctx, leave = context.WithCancel(t.Context())
		if n := ask("two", 8); n != 0 {
			t.Errorf("of eight requests %d were refused after the others had left", n)
		}
		leave()
		holders.Wait()
	})
}

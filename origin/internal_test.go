package origin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/manifest"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
)

func TestFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights[string, int]
		calls := 0
		slow := func(ctx context.Context, fl *flight[string, int]) error {
			calls++
			n := calls
			select {
			case <-time.After(time.Second):
				fl.give(n)
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		type result struct {
			val    int
			shared bool
			err    error
		}
		start := func(ctx context.Context) <-chan result {
			c := make(chan result, 1)
			go func() {
				fl, shared, err := f.do(ctx, "key", slow)
				if err != nil {
					c <- result{0, shared, err}
					return
				}
				fl.leave()
				c <- result{fl.val, shared, nil}
			}()
			synctest.Wait()
			return c
		}
		// The first to come leaves; the others get its call's result.
		first, leave := context.WithCancel(t.Context())
		a, b := start(first), start(t.Context())
		leave()
		if r := <-a; !errors.Is(r.err, context.Canceled) || r.shared {
			t.Errorf("do of who left = %+v", r)
		}
		if r := <-b; r != (result{1, true, nil}) {
			t.Errorf("do of who stayed = %+v, want 1, shared", r)
		}
		// All leave: the call ends at once, and who comes then begins anew.
		both, leave := context.WithCancel(t.Context())
		a, b = start(both), start(both)
		began := time.Now()
		leave()
		<-a
		<-b
		c := start(t.Context())
		f.wait()
		if r := <-c; r != (result{3, false, nil}) || time.Since(began) != time.Second {
			t.Errorf("do after all had left = %+v after %v, want 3 after 1s", r, time.Since(began))
		}
		if len(f.current) != 0 {
			t.Errorf("%d flights are left", len(f.current))
		}
	})
}

// TestNoticesAndTheClock: what a node has announced stays when its clock is put back.
func TestNoticesAndTheClock(t *testing.T) {
	start := time.Unix(1000, 0)
	events, err := newEvents([]config.Event{{Name: "ev", Template: segment.Template{Start: start}}})
	if err != nil {
		t.Fatal(err)
	}
	ev := events["ev"]
	for _, tt := range []struct {
		at   time.Duration
		want int64
	}{{5 * time.Second, 2}, {20 * time.Second, 10}, {10 * time.Second, 10}, {30 * time.Second, 15}, {-time.Hour, 15}} {
		if got := ev.under(noState).next(start.Add(tt.at)); got != tt.want {
			t.Errorf("next(%v) = %d, want %d", tt.at, got, tt.want)
		}
	}
}

// TestFlightsCountHolders: a result has a holder for each who was given it and for none who was not, whatever comes first at the
// end of a flight: its result, or the last waiter's leaving.
func TestFlightsCountHolders(t *testing.T) {
	for range 200 {
		var holders atomic.Int64
		ctx, leave := context.WithCancel(t.Context())
		f := flights[string, int]{
			retain: func(int) {
				holders.Add(1)
				leave() // now, when the result is there and nobody has seen it
				runtime.Gosched()
			},
			release: func(int) { holders.Add(-1) },
		}
		fl, _, err := f.do(ctx, "key", func(_ context.Context, fl *flight[string, int]) error {
			fl.give(1)
			return nil
		})
		f.wait()
		if err == nil {
			if got := holders.Load(); got != 1 {
				t.Fatalf("%d holders after do, want 1", got)
			}
			fl.leave()
		}
		if got := holders.Load(); got != 0 {
			t.Fatalf("%d holders when all had left, want 0", got)
		}
	}
}

// TestLoaderDoesNotHoldAndWait: who has read a Commit gives its room back before it waits for the body's memory, or two who do so could
// wait for each other.
func TestLoaderDoesNotHoldAndWait(t *testing.T) {
	segments := storage.New(storage.Config{Commits: &mem.Store{}, Chunks: &mem.Store{}, ChunkSize: 64 << 10})
	l := newLoader(segments, 4*bufferUnit)
	for _, size := range []int{60 << 10, 4 * bufferUnit} { // the second takes all there is
		id := segment.ID{Event: "ev", Pipeline: "a", Rendition: "v", Number: int64(size)}
		c, err := segments.Put(t.Context(), id, make([]byte, size), storage.Meta{}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		in, err := l.room(t.Context(), 2, false)
		if err != nil {
			t.Fatal(err)
		}
		err = l.read(t.Context(), reading{commits: []*storage.Commit{c}, room: in, whole: func(*segmentCopy, []byte) {
			if used := l.budget.snapshot().Used; used != int64(size) {
				t.Errorf("%d bytes in use for a body of %d", used, size)
			}
		}})
		if err != nil {
			t.Fatalf("read of %d bytes: %v", size, err)
		}
		in.release()
		if used := l.budget.snapshot().Used; used != 0 {
			t.Errorf("%d bytes in use for nothing", used)
		}
	}
}

func TestTTLMapIsSwept(t *testing.T) {
	var m ttlMap[int]
	now := time.Now()
	for i := range 20 * firstSweep {
		now = now.Add(time.Second)
		m.put(segment.ID{Number: int64(i)}, i, now, now.Add(10*time.Second))
		if v, ok := m.get(segment.ID{Number: int64(i)}, now); !ok || v != i {
			t.Fatalf("get(%d) = %d, %v", i, v, ok)
		}
		if len(m.entries) > firstSweep {
			t.Fatalf("%d entries, though 10 are alive", len(m.entries))
		}
	}
	last := segment.ID{Number: 20*firstSweep - 1}
	if _, ok := m.get(last, now.Add(10*time.Second)); ok {
		t.Error("get returns what has expired")
	}
}

func TestHot(t *testing.T) {
	now := time.Now()
	seg := func(n int64, size int, age time.Duration, flaws policy.Flaws) (segment.ID, *segmentCopy) {
		id := segment.ID{Event: "ev", Rendition: "v", Number: n}
		return id, &segmentCopy{Commit: &storage.Commit{ID: id, Size: int64(size), Meta: storage.Meta{Flaws: flaws}, Published: now.Add(-age), Until: now.Add(time.Minute)}, there: make([]byte, size)}
	}
	h := hot{limit: 100}
	has := func(when time.Duration, want ...int64) {
		t.Helper()
		in := map[int64]bool{}
		for _, n := range want {
			in[n] = true
		}
		for n := range int64(10) {
			if got := h.get(t.Context(), segment.ID{Event: "ev", Rendition: "v", Number: n}, now.Add(when)) != nil; got != in[n] {
				t.Errorf("after %v: get(%d) finds something: %v, want %v", when, n, got, in[n])
			}
		}
	}
	put := func(id segment.ID, s *segmentCopy) { h.put(id, s, now) }
	put(seg(1, 40, 0, 0))
	put(seg(2, 40, time.Minute, 0))
	put(seg(3, 20, time.Minute, policy.Short))
	has(0, 1, 2, 3)
	has(5*time.Second, 2) // neither young nor flawed copies are kept for longer
	has(time.Minute)
	put(seg(4, 101, 0, 0)) // fits never
	has(0, 1, 2, 3)
	put(seg(2, 50, 0, 0)) // replaced: 1 has to go
	has(0, 2, 3)
	put(seg(5, 30, 0, 0))
	has(0, 2, 3, 5)
	put(seg(6, 100, 0, 0))
	has(0, 6)
	if h.size() != 100 || len(h.order) != 1 {
		t.Errorf("%d bytes, %d places", h.size(), len(h.order))
	}
	none := hot{}
	id, s := seg(1, 0, 0, 0)
	none.put(id, s, now)
	if none.get(t.Context(), id, now) != nil {
		t.Error("a hot copy of no bytes keeps something")
	}
}

// FuzzPublishHeaders: what packagers may send in headers is understood or refused, and flaws come out as they went in.
func FuzzPublishHeaders(f *testing.F) {
	f.Add("short, missing", "?1", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:")
	f.Add("discontinuity", "?0", "sha-512=:eA==:, sha-256=::")
	f.Add("", "", "SHA-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:")
	f.Add("", "", "not-sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:")
	f.Add(" short,short", "", "sha-256=:")
	f.Add(",", "1", "=")
	f.Fuzz(func(t *testing.T, defects, slate, digest string) {
		h := http.Header{}
		h.Set(HeaderDefects, defects)
		h.Set(HeaderSlate, slate)
		if flaws, err := parseFlaws(h); err == nil {
			if !flaws.Valid() {
				t.Errorf("parseFlaws(%q, %q) = %d", defects, slate, flaws)
			}
			out := http.Header{}
			formatFlaws(out, flaws)
			if again, err := parseFlaws(out); err != nil || again != flaws {
				t.Errorf("parseFlaws(%v) = %q, %v, want %q", out, again, err, flaws)
			}
		}
		h.Set("Content-Digest", digest)
		name, value, _ := strings.Cut(digest, "=")
		if err := checkDigest(h, []byte("body")); err == nil && strings.EqualFold(name, "sha-256") && strings.HasPrefix(value, ":47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:") {
			t.Errorf("checkDigest accepts the digest of another body: %q", digest)
		}
	})
}

// A manifest has one path, and what parsePage makes of it is all of it.
func FuzzParsePage(f *testing.F) {
	for _, path := range []string{"/ev/live.mpd", "/ev/master.m3u8", "/ev/v1/index.m3u8", "/ev//index.m3u8", "//live.mpd", "/ev/v1/1.m4s", "ev/live.mpd", "/ev/live.mpd/", "/a%2Fb/live.mpd"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		p, ok := parsePage(u)
		if !ok {
			return
		}
		again := "/" + p.event + "/" + p.name
		if p.name == manifest.MediaName {
			again = "/" + p.event + "/" + p.rendition + "/" + p.name
		}
		if u.Path != again || u.RawPath != "" || strings.Contains(p.event+p.rendition, "/") {
			t.Errorf("parsePage(%q) = %+v, which is %q", path, p, again)
		}
	})
}

// What a server remembers of addresses is bounded by the connections that are open.
func TestConnectionsAreForgotten(t *testing.T) {
	s := NewServer(nil, config.Limit{PerAddress: 1}, nil)
	for i := range 1000 {
		conn := addressed{addr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 1))}
		s.track(conn, http.StateNew)
		s.track(conn, http.StateActive)
		s.track(conn, http.StateClosed)
	}
	if len(s.open) != 0 || len(s.byAddr) != 0 || s.refused != 0 {
		t.Errorf("after 1000 connections %d are open, %d addresses are remembered and %d were refused, want none", len(s.open), len(s.byAddr), s.refused)
	}
}

// addressed is a connection from an address.
type addressed struct {
	net.Conn
	addr net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.addr }

package origin_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/origintest"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

// at sleeps until d after start, in a bubble.
func at(start time.Time, d time.Duration) { time.Sleep(time.Until(start.Add(d))) }

// TestContract walks through the table of answers in virtual time. Segment n of the event begins at n·2 s and is due at
// (n+1)·2 s; its deadline is 2 s later.
func TestContract(t *testing.T) {
	for _, cached := range []bool{false, true} {
		t.Run(fmt.Sprintf("cached=%v", cached), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				ev := origintest.Event(start)
				ev.DVR = time.Minute
				cfg := origintest.Config{Events: []config.Event{ev}, Node: "n1", Region: "east"}
				if cached {
					cfg.Zones = []kv.Store{&mem.Store{}}
				}
				o := origintest.Start(t, cfg)

				at(start, 500*time.Millisecond)
				wantStatus(t, "GET of an unknown event", get(t, o, "/other/v1/0.m4s"), 404)
				wantStatus(t, "GET of an unknown rendition", get(t, o, "/ev/v9/0.m4s"), 404)
				early := get(t, o, "/ev/v1/1.m4s")
				wantStatus(t, "GET after the next one", early, 404)
				wantHeader(t, "GET after the next one", early, "Origin-TTL-Ms", "1500")
				wantHeader(t, "GET after the next one", early, "Cache-Control", "public, max-age=1")
				far := get(t, o, "/ev/v1/1000000.m4s")
				wantStatus(t, "GET far ahead", far, 404)
				wantHeader(t, "GET far ahead", far, "Origin-TTL-Ms", "3600000")
				wantHeader(t, "GET far ahead", far, "Cache-Control", "public, max-age=3600")

				// Held, and answered the moment it is published.
				body := bytesOf("0", 3000)
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						a := get(t, o, "/ev/v1/0.m4s")
						wantStatus(t, "held GET", a, 200)
						if !bytes.Equal(a.body, body) {
							t.Error("held GET: other bytes than were published")
						}
						if released := time.Since(start); released < 1800*time.Millisecond || released > 1820*time.Millisecond {
							t.Errorf("held GET answered at %v, want within a poll of 1.8s", released)
						}
						wantHeader(t, "held GET", a, "Origin-Pipeline", "b")
						wantHeader(t, "held GET", a, "Origin-Region", "east")
						wantHeader(t, "held GET", a, "Origin-Node", "n1")
						wantHeader(t, "held GET", a, "ETag", etagOf(body))
						wantHeader(t, "held GET", a, "Content-Type", "video/iso.segment")
						wantHeader(t, "held GET", a, "Content-Length", "3000")
						if got := a.Header.Get("Cache-Control"); got != "public, max-age=60, immutable" {
							t.Errorf("held GET: Cache-Control: %q", got) // due at 2 s, served until 62 s
						}
					})
				}
				at(start, 1800*time.Millisecond)
				wantStatus(t, "PUT", put(t, o, "/ev/b/v1/0.m4s", body), 201)
				wg.Wait()

				// Overdue: segment 1 was due at 4 s and is waited for until 6 s, then gone, then late.
				at(start, 4500*time.Millisecond)
				overdue := get(t, o, "/ev/v1/1.m4s")
				wantStatus(t, "overdue GET", overdue, 410)
				if now := time.Since(start); now != 6*time.Second {
					t.Errorf("overdue GET answered at %v, want 6s", now)
				}
				wantHeader(t, "overdue GET", overdue, "Cache-Control", "public, max-age=2")
				wantHeader(t, "overdue GET", overdue, "Origin-TTL-Ms", "2000")
				at(start, 7*time.Second)
				past := get(t, o, "/ev/v1/1.m4s")
				wantStatus(t, "GET past the deadline", past, 410)
				if past.took != 0 {
					t.Errorf("GET past the deadline took %v, want none", past.took)
				}
				wantStatus(t, "late PUT", put(t, o, "/ev/a/v1/1.m4s", body), 201)
				wantStatus(t, "GET after a late PUT", get(t, o, "/ev/v1/1.m4s"), 200)

				// Out of the window: segment 0 was due at 2 s.
				at(start, 62*time.Second-1)
				last := get(t, o, "/ev/v1/0.m4s")
				wantStatus(t, "GET at the end of the window", last, 200)
				wantHeader(t, "GET at the end of the window", last, "Cache-Control", "public, max-age=0, immutable")
				at(start, 62*time.Second)
				wantStatus(t, "GET older than the window", get(t, o, "/ev/v1/0.m4s"), 410)
			})
		})
	}
}

// TestNoStoreForWhatCannotExist: what the clock or the configuration decides is answered without the store.
func TestNoStoreForWhatCannotExist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ev := origintest.Event(start.Add(time.Minute))
		ev.Template.StartNumber = 10
		ev.DVR = time.Minute
		broken := &counting{Store: kv.Inject(&mem.Store{}, func(context.Context, kv.Op, func(context.Context) error) error {
			return errors.New("the store was asked")
		})}
		o := origintest.Start(t, origintest.Config{Events: []config.Event{ev}, Commits: broken, Chunks: broken})
		for _, path := range []string{"/ev/v1/10.m4s", "/ev/v1/11.m4s", "/ev/v1/562949953421312.m4s", "/ev/v1/9.m4s", "/x/v1/10.m4s", "/ev/x/10.m4s",
			"/ev/v1/562949953421313.m4s", "/ev/v1/99999999999999999999.m4s", "/", "/ev/v1/", "/ev/v1/010.m4s", "/ev/../ev/v1/10.m4s",
			"/ev%2Fv1/10.m4s", "/ev/v%31/10.m4s", "/" + strings.Repeat("x", 600)} {
			a := get(t, o, path)
			want := 404
			if path == "/ev/v1/9.m4s" {
				want = 410 // before the event's first
			}
			wantStatus(t, "GET "+path, a, want)
			if len(a.body) < 20 {
				t.Errorf("GET %s: %q says too little", path, a.body)
			}
			if a.Header.Get("Cache-Control") == "" || a.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("GET %s: no lifetime, or not open to all: %v", path, a.Header)
			}
		}
		// The first number is next from the beginning of time; it is held only once its turn has come.
		wantHeader(t, "GET before the event", get(t, o, "/ev/v1/10.m4s"), "Origin-TTL-Ms", "60000")
		at(start, 123*time.Second)
		wantStatus(t, "GET out of the window", get(t, o, "/ev/v1/10.m4s"), 410)
		if n := broken.gets.Load(); n != 0 {
			t.Errorf("the store was asked %d times, want 0", n)
		}
	})
}

// TestHeldAfterTheNext: with a publish delay a segment is held from the instant at which its predecessor can have been published, and still
// no store is asked for it before it is next.
func TestHeldAfterTheNext(t *testing.T) {
	for name, cached := range map[string]bool{"a store alone": false, "behind a cache": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				ev := origintest.Event(start)
				ev.Template.PublishDelay = time.Second
				commits, zone := &counting{Store: &mem.Store{}}, &counting{Store: &mem.Store{}}
				cfg := origintest.Config{Events: []config.Event{ev}, Commits: commits}
				if cached {
					cfg.Zones = []kv.Store{zone}
				}
				o := origintest.Start(t, cfg)
				at(start, 4*time.Second-1)
				wantHeader(t, "GET before segment 2 begins", get(t, o, "/ev/v1/2.m4s"), "Origin-TTL-Ms", "1")
				at(start, 4*time.Second)
				wantStatus(t, "PUT of segment 1 with its last frame", put(t, o, "/ev/a/v1/1.m4s", []byte("one")), 201)
				wantStatus(t, "GET of segment 1", get(t, o, "/ev/v1/1.m4s"), 200)
				asked := commits.gets.Load() + zone.gets.Load()
				held := make(chan answer, 1)
				go func() { held <- get(t, o, "/ev/v1/2.m4s") }()
				at(start, 5*time.Second-1)
				if n := commits.gets.Load() + zone.gets.Load() - asked; n != 0 {
					t.Errorf("the stores were asked %d times for a segment that is not next, want 0", n)
				}
				at(start, 6*time.Second)
				wantStatus(t, "PUT of segment 2", put(t, o, "/ev/a/v1/2.m4s", []byte("two")), 201)
				if a := <-held; a.StatusCode != 200 || string(a.body) != "two" || time.Since(start) > 6*time.Second+30*time.Millisecond {
					t.Errorf("who is held for segment 2 is answered %d %q at %v, want it at 6 s", a.StatusCode, a.body, time.Since(start))
				}
			})
		})
	}
}

// TestEdgeOfNotYet: an edge that keeps its 404 exactly as long as it may, and asks again, is held.
func TestEdgeOfNotYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o := origintest.Start(t, origintest.Config{})
		at(start, 1234567*time.Microsecond)
		a := get(t, o, "/ev/v1/3.m4s")
		ttl, err := strconv.Atoi(a.Header.Get("Origin-TTL-Ms"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(ttl) * time.Millisecond)
		go func() {
			at(start, 7900*time.Millisecond)
			put(t, o, "/ev/a/v1/3.m4s", []byte("x"))
		}()
		wantStatus(t, "GET after the 404's lifetime", get(t, o, "/ev/v1/3.m4s"), 200)
	})
}

func TestPollsAreBounded(t *testing.T) {
	const waiters = 50
	for _, tt := range []struct {
		name        string
		cached      bool
		zone, store int64 // at most, keys read while a segment is awaited that never comes
	}{
		{"no cache", false, 0, 2 * 200},
		{"cache", true, 2 * 800, 2 * 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, zone := &counting{Store: &mem.Store{}}, &counting{Store: &mem.Store{}}
				cfg := origintest.Config{Commits: store}
				if tt.cached {
					cfg.Zones = []kv.Store{zone}
				}
				start := time.Now()
				o := origintest.Start(t, cfg)
				var wg sync.WaitGroup
				for i := range waiters {
					wg.Go(func() {
						time.Sleep(time.Duration(i) * 10 * time.Millisecond)
						wantStatus(t, "GET of what never comes", get(t, o, "/ev/v1/0.m4s"), 410)
					})
				}
				wg.Wait()
				if now := time.Since(start); now != 4*time.Second {
					t.Errorf("answered at %v, want 4s", now)
				}
				if got := store.gets.Load(); got > tt.store || got < 2*8 {
					t.Errorf("%d keys read from the store, want 16 to %d", got, tt.store)
				}
				if got := zone.gets.Load(); got > tt.zone || got < tt.zone*9/10 {
					t.Errorf("%d keys read from the cache, want %d", got, tt.zone)
				}
				if st := o.Serve.Stats(); st.MaxHolding != waiters || st.Holding != 0 {
					t.Errorf("Holding, MaxHolding = %d, %d, want 0, %d", st.Holding, st.MaxHolding, waiters)
				}
			})
		})
	}
}

// TestPollEndsWithItsLastWaiter: nobody waits, nobody polls.
func TestPollEndsWithItsLastWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &counting{Store: &mem.Store{}}
		o := origintest.Start(t, origintest.Config{Commits: store})
		ctx, cancel := context.WithTimeout(t.Context(), 110*time.Millisecond)
		defer cancel()
		for range 2 {
			go try(ctx, o, http.MethodGet, o.ServeURL+"/ev/v1/0.m4s", nil)
		}
		time.Sleep(200 * time.Millisecond)
		polled := store.gets.Load()
		if polled == 0 || polled > 2*6 {
			t.Errorf("%d keys read in 110 ms, want 2 to 12", polled)
		}
		time.Sleep(10 * time.Second)
		if got := store.gets.Load(); got != polled {
			t.Errorf("%d more keys read after the last waiter left", got-polled)
		}
		if got := o.Serve.Stats().Requests["live-edge"][499]; got != 2 {
			t.Errorf("requests whose sender left: %d, want 2", got)
		}
	})
}

func TestHoldTableFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o := origintest.Start(t, origintest.Config{Serving: config.Serving{Holds: 2}})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { wantStatus(t, "held GET", get(t, o, "/ev/v1/0.m4s"), 200) })
		}
		synctest.Wait()
		a := get(t, o, "/ev/v2/0.m4s")
		wantStatus(t, "GET into a full table", a, 503)
		wantHeader(t, "GET into a full table", a, "Cache-Control", "no-store")
		if a.took != 0 {
			t.Errorf("GET into a full table took %v", a.took)
		}
		put(t, o, "/ev/a/v1/0.m4s", []byte("x"))
		wg.Wait()
		at(start, 1900*time.Millisecond)
		go put(t, o, "/ev/a/v2/0.m4s", []byte("x"))
		wantStatus(t, "GET when there is room again", get(t, o, "/ev/v2/0.m4s"), 200)
	})
}

// TestReleasedHoldIsReadOnce: however many wait, the bytes are fetched once, whatever Serving says.
func TestReleasedHoldIsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chunks := &counting{Store: slow(&mem.Store{}, 7*time.Millisecond, 0)}
		o := origintest.Start(t, origintest.Config{Chunks: chunks, ChunkSize: 1000})
		body := bytesOf("x", 3500)
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				if a := get(t, o, "/ev/v1/0.m4s"); !bytes.Equal(a.body, body) {
					t.Errorf("held GET = %d, %d bytes", a.StatusCode, len(a.body))
				}
			})
		}
		time.Sleep(time.Second)
		put(t, o, "/ev/a/v1/0.m4s", body)
		wg.Wait()
		if got := chunks.gets.Load(); got != 4 {
			t.Errorf("%d chunks read, want 4", got)
		}
		get(t, o, "/ev/v1/0.m4s")
		if got := chunks.gets.Load(); got != 8 {
			t.Errorf("%d chunks read after another GET, want 8: nothing is kept unless configured", got)
		}
	})
}

func TestCandidates(t *testing.T) {
	type pub struct {
		pipeline string
		header   []string
	}
	short, gap, slate := []string{"Origin-Defects", "short"}, []string{"Origin-Defects", "discontinuity,missing"}, []string{"Origin-Slate", "?1"}
	for _, tt := range []struct {
		name    string
		pubs    []pub
		want    string // pipeline
		defects string
		slate   string
	}{
		{"only the second", []pub{{"b", nil}}, "b", "", ""},
		{"both sound", []pub{{"b", nil}, {"a", nil}}, "a", "", ""},
		{"the first is short", []pub{{"a", short}, {"b", nil}}, "b", "", ""},
		{"both flawed", []pub{{"a", gap}, {"b", short}}, "b", "short", ""},
		{"slate or short", []pub{{"a", slate}, {"b", short}}, "b", "short", ""},
		{"slate or nothing", []pub{{"a", slate}}, "a", "", "?1"},
		{"equally flawed", []pub{{"b", short}, {"a", short}}, "a", "short", ""},
		{"a sound copy replaces the slate", []pub{{"a", slate}, {"a", nil}}, "a", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				o := origintest.Start(t, origintest.Config{})
				for i, p := range tt.pubs {
					body := bytesOf(fmt.Sprint(p.pipeline, i), 500)
					if a := put(t, o, "/ev/"+p.pipeline+"/v1/0.m4s", body, p.header...); a.StatusCode/100 != 2 || a.Header.Get("ETag") != etagOf(body) {
						t.Errorf("PUT %d = %d, ETag %s", i, a.StatusCode, a.Header.Get("ETag"))
					}
				}
				for _, when := range []time.Duration{2 * time.Second, 5 * time.Second} { // in the hub, and from the store
					at(start, when)
					a := get(t, o, "/ev/v1/0.m4s")
					wantStatus(t, "GET", a, 200)
					wantHeader(t, "GET", a, "Origin-Pipeline", tt.want)
					wantHeader(t, "GET", a, "Origin-Defects", tt.defects)
					wantHeader(t, "GET", a, "Origin-Slate", tt.slate)
					sound := tt.defects == "" && tt.slate == ""
					if got := a.Header.Get("Cache-Control"); sound != strings.Contains(got, "immutable") || !sound && got != "public, max-age=5" {
						t.Errorf("GET at %v: Cache-Control: %q", when, got)
					}
				}
			})
		})
	}
}

// TestFlawedCopyWaitsForASoundOne: until it is due, a flawed copy is held back while another pipeline may still deliver.
func TestFlawedCopyWaitsForASoundOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o := origintest.Start(t, origintest.Config{})
		put(t, o, "/ev/a/v1/0.m4s", []byte("flawed"), "Origin-Defects", "short")
		put(t, o, "/ev/a/v2/0.m4s", []byte("flawed"), "Origin-Defects", "short")
		var wg sync.WaitGroup
		wg.Go(func() {
			if a := get(t, o, "/ev/v1/0.m4s"); string(a.body) != "sound" || time.Since(start) > 1520*time.Millisecond {
				t.Errorf("GET v1 = %q at %v, want the sound copy at 1.5s", a.body, time.Since(start))
			}
		})
		wg.Go(func() {
			if a := get(t, o, "/ev/v2/0.m4s"); string(a.body) != "flawed" || time.Since(start) != 2*time.Second {
				t.Errorf("GET v2 = %q at %v, want the flawed copy at 2s", a.body, time.Since(start))
			}
		})
		at(start, 1500*time.Millisecond)
		put(t, o, "/ev/b/v1/0.m4s", []byte("sound"))
		wg.Wait()
	})
}

// TestChoiceStays: a node that has served the second pipeline's copy stays with it when the first one's comes; a node that
// has not serves the first. Both answer a condition on either tag from that copy.
func TestChoiceStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		commits, chunks := &mem.Store{}, &mem.Store{}
		cfg := origintest.Config{Events: []config.Event{origintest.Event(start)}, Commits: commits, Chunks: chunks, ChunkSize: 100}
		one, two := origintest.Start(t, cfg), origintest.Start(t, cfg)
		a, b := bytesOf("a", 1000), bytesOf("b", 1000)
		put(t, one, "/ev/b/v1/0.m4s", b)
		wantHeader(t, "GET before a", get(t, one, "/ev/v1/0.m4s"), "Origin-Pipeline", "b")
		put(t, one, "/ev/a/v1/0.m4s", a)
		for _, when := range []time.Duration{3 * time.Second, 10 * time.Second} {
			at(start, when)
			wantHeader(t, "GET of one after a", get(t, one, "/ev/v1/0.m4s"), "Origin-Pipeline", "b")
			wantHeader(t, "GET of two", get(t, two, "/ev/v1/0.m4s"), "Origin-Pipeline", "a")
			for name, o := range map[string]*origintest.Origin{"one": one, "two": two} {
				for pipeline, body := range map[string][]byte{"a": a, "b": b} {
					tag := etagOf(body)
					got := get(t, o, "/ev/v1/0.m4s", "If-Match", tag)
					wantStatus(t, name+" If-Match "+pipeline, got, 200)
					wantHeader(t, name+" If-Match "+pipeline, got, "Origin-Pipeline", pipeline)
					got = get(t, o, "/ev/v1/0.m4s", "If-Range", tag, "Range", "bytes=100-349")
					wantStatus(t, name+" If-Range "+pipeline, got, 206)
					if !bytes.Equal(got.body, body[100:350]) {
						t.Errorf("%s If-Range %s: the bytes of another copy", name, pipeline)
					}
				}
				gone := get(t, o, "/ev/v1/0.m4s", "If-Match", `"0123"`)
				wantStatus(t, name+" If-Match of no copy", gone, 412)
				wantHeader(t, name+" If-Match of no copy", gone, "Cache-Control", "no-store")
				whole := get(t, o, "/ev/v1/0.m4s", "If-Range", `"0123"`, "Range", "bytes=1-2")
				wantStatus(t, name+" If-Range of no copy", whole, 200)
			}
		}
	})
}

// TestChoiceOutlivesHiccups: neither a reader that leaves nor a store that fails for a moment makes a node change to another copy;
// one that has lost the copy does.
func TestChoiceOutlivesHiccups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var fate error
		var of string // the pipeline whose commit meets it
		commits := kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			if op.Write {
				return do(ctx)
			}
			time.Sleep(10 * time.Millisecond)
			if fate != nil && op.Key.Name == of {
				return fate
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			return do(ctx)
		})
		o := origintest.Start(t, origintest.Config{Commits: commits})
		put(t, o, "/ev/b/v1/0.m4s", []byte("b"))
		wantHeader(t, "GET before a", get(t, o, "/ev/v1/0.m4s"), "Origin-Pipeline", "b")
		put(t, o, "/ev/a/v1/0.m4s", []byte("a"))
		at(start, 5*time.Second)

		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		if _, err := try(ctx, o, http.MethodGet, o.ServeURL+"/ev/v1/0.m4s", nil); err == nil {
			t.Error("GET that was to be cut short was answered")
		}
		time.Sleep(time.Second)
		wantHeader(t, "GET after a reader left", get(t, o, "/ev/v1/0.m4s"), "Origin-Pipeline", "b")
		of, fate = "b", errors.New("connection reset")
		wantStatus(t, "GET while the store fails", get(t, o, "/ev/v1/0.m4s"), 503)
		fate = nil
		wantHeader(t, "GET after the store failed", get(t, o, "/ev/v1/0.m4s"), "Origin-Pipeline", "b")
		fate = kv.ErrNotFound
		wantHeader(t, "GET of what was lost", get(t, o, "/ev/v1/0.m4s"), "Origin-Pipeline", "a")
		fate = nil
		wantHeader(t, "GET after it was lost", get(t, o, "/ev/v1/0.m4s"), "Origin-Pipeline", "a")
	})
}

// TestLostBeforeItsDeadline: a segment that was served early and that the store lost then is awaited like any other.
func TestLostBeforeItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var lost atomic.Bool
		o := origintest.Start(t, origintest.Config{Commits: kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			if lost.Load() && !op.Write {
				return kv.ErrNotFound
			}
			return do(ctx)
		})})
		put(t, o, "/ev/a/v1/0.m4s", []byte("a"))
		wantStatus(t, "GET of what is early", get(t, o, "/ev/v1/0.m4s"), 200)
		lost.Store(true)
		go func() {
			at(start, time.Second)
			lost.Store(false)
		}()
		a := get(t, o, "/ev/v1/0.m4s")
		wantStatus(t, "GET of what was lost", a, 200)
		if a.took < time.Second || a.took > 1020*time.Millisecond {
			t.Errorf("GET of what was lost took %v, want 1s", a.took)
		}
	})
}

// TestAskedJustBeforeTheDeadline: who asks so late that the store can not answer before the deadline is told what the store says, all the
// same: what is published is served, and what is not is gone. A store that does not answer then has had its time.
func TestAskedJustBeforeTheDeadline(t *testing.T) {
	const late = 4*time.Second - 5*time.Millisecond // segment 0 was due at 2 s
	for _, tt := range []struct {
		name      string
		asked     time.Duration // since the start
		takes     time.Duration // the store, for a read
		fails     error         // what it says instead of the bytes, and of a read that is cut off; nil: the bytes, and the context's error
		published bool
		status    int
		most      time.Duration // until the answer
	}{
		{"published", late, 50 * time.Millisecond, nil, true, 200, 55 * time.Millisecond},
		{"never published", late, 50 * time.Millisecond, nil, false, 410, 55 * time.Millisecond},
		{"a store that hangs", late, time.Hour, nil, true, 504, segment.Budget + 5*time.Millisecond},
		{"a store that hangs, and has had its time", 1500 * time.Millisecond, time.Hour, nil, true, 504, 2500 * time.Millisecond},
		{"a store that fails", late, time.Millisecond, errors.New("connection refused"), true, 503, 5 * time.Millisecond},
		{"a store that fails later", late, 50 * time.Millisecond, errors.New("connection refused"), true, 503, 55 * time.Millisecond},
	} {
		for _, cached := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, cached=%v", tt.name, cached), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					cfg := origintest.Config{Commits: kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
						if op.Write {
							return do(ctx)
						}
						wait := time.NewTimer(tt.takes)
						defer wait.Stop()
						select {
						case <-wait.C:
							return cmp.Or(tt.fails, do(ctx))
						case <-ctx.Done():
							return cmp.Or(tt.fails, ctx.Err())
						}
					})}
					if cached { // and it has lost what was published
						cfg.Zones = []kv.Store{kv.Inject(&mem.Store{}, func(context.Context, kv.Op, func(context.Context) error) error { return kv.ErrNotFound })}
					}
					o := origintest.Start(t, cfg)
					if tt.published {
						put(t, o, "/ev/a/v1/0.m4s", []byte("a"))
					}
					at(start, tt.asked)
					a := get(t, o, "/ev/v1/0.m4s")
					wantStatus(t, "GET", a, tt.status)
					if a.took > tt.most {
						t.Errorf("GET took %v, want %v at most", a.took, tt.most)
					}
				})
			})
		}
	}
}

func TestRangesAndConditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o := origintest.Start(t, origintest.Config{ChunkSize: 1000})
		body := bytesOf("x", 10_000)
		put(t, o, "/ev/a/v1/0.m4s", body)
		put(t, o, "/ev/a/v1/init.mp4", []byte("init"))
		at(start, 5*time.Second)
		const path = "/ev/v1/0.m4s"
		for _, tt := range []struct {
			name   string
			header []string
			status int
			body   []byte
		}{
			{"whole", nil, 200, body},
			{"a range", []string{"Range", "bytes=990-1010"}, 206, body[990:1011]},
			{"a suffix", []string{"Range", "bytes=-5"}, 206, body[9995:]},
			{"an open range", []string{"Range", "bytes=9000-"}, 206, body[9000:]},
			{"beyond the end", []string{"Range", "bytes=10000-"}, 416, nil},
			{"the last 0 bytes", []string{"Range", "bytes=-0"}, 416, nil},
			{"nonsense is refused", []string{"Range", "bytes=x"}, 416, nil},
			{"another unit", []string{"Range", "lines=1-2"}, 416, nil},
			{"If-None-Match", []string{"If-None-Match", etagOf(body)}, 304, nil},
			{"If-None-Match of another", []string{"If-None-Match", `"x"`}, 200, body},
			{"If-None-Match any", []string{"If-None-Match", "*"}, 304, nil},
			{"If-Match", []string{"If-Match", etagOf(body)}, 200, body},
			{"If-Match any", []string{"If-Match", "*"}, 200, body},
			{"If-Match of another", []string{"If-Match", `"x"`}, 412, nil},
			{"weak If-Match", []string{"If-Match", "W/" + etagOf(body)}, 412, nil},
			{"If-Unmodified-Since long ago", []string{"If-Unmodified-Since", "Mon, 02 Jan 1995 15:04:05 GMT"}, 412, nil},
		} {
			a := get(t, o, path, tt.header...)
			wantStatus(t, tt.name, a, tt.status)
			if tt.body != nil && !bytes.Equal(a.body, tt.body) {
				t.Errorf("%s: %d bytes, not the right ones", tt.name, len(a.body))
			}
			if tt.status >= 400 {
				wantHeader(t, tt.name, a, "Cache-Control", "no-store")
			}
			head := do(t, o, http.MethodHead, o.ServeURL+path, nil, tt.header...)
			if head.StatusCode != a.StatusCode || a.StatusCode < 400 && head.Header.Get("Content-Length") != a.Header.Get("Content-Length") || head.Header.Get("ETag") != a.Header.Get("ETag") || len(head.body) > 0 {
				t.Errorf("%s: HEAD = %d %v, GET = %d %v", tt.name, head.StatusCode, head.Header, a.StatusCode, a.Header)
			}
		}

		multi := get(t, o, path, "Range", "bytes=0-9,5000-5009")
		wantStatus(t, "two ranges", multi, 206)
		_, params, err := mime.ParseMediaType(multi.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		parts := multipart.NewReader(bytes.NewReader(multi.body), params["boundary"])
		for _, want := range [][]byte{body[:10], body[5000:5010]} {
			part, err := parts.NextPart()
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := io.ReadAll(part); !bytes.Equal(got, want) {
				t.Errorf("a part of %d bytes, not the right ones", len(got))
			}
		}

		init := get(t, o, "/ev/v1/init.mp4")
		wantStatus(t, "init", init, 200)
		wantHeader(t, "init", init, "Content-Type", "video/mp4")
		wantStatus(t, "init that is not there", get(t, o, "/ev/v2/init.mp4"), 404)
		options := do(t, o, http.MethodOptions, o.ServeURL+path, nil)
		wantStatus(t, "OPTIONS", options, 204)
		wantHeader(t, "OPTIONS", options, "Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
		wantStatus(t, "PUT to the serving side", do(t, o, http.MethodPut, o.ServeURL+path, nil), 405)
	})
}

func TestCollapseAndHot(t *testing.T) {
	for _, tt := range []struct {
		name                   string
		serving                config.Serving
		reads, collapsed, hits int64
	}{
		{"neither", config.Serving{}, 20, 0, 0},
		{"collapse", config.Serving{Collapse: true}, 2, 18, 0},
		{"hot", config.Serving{Hot: 1 << 20}, 10, 0, 10},
		{"both", config.Serving{Collapse: true, Hot: 1 << 20}, 1, 9, 10},
		{"too large to be hot", config.Serving{Hot: 100}, 20, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				store := slow(&mem.Store{}, 5*time.Millisecond, 0)
				o := origintest.Start(t, origintest.Config{Commits: store, Chunks: store, ChunkSize: 100, Serving: tt.serving})
				put(t, o, "/ev/a/v1/0.m4s", bytesOf("x", 1000))
				at(start, 6*time.Second) // past its deadline, still at the live edge
				for range 2 {
					var wg sync.WaitGroup
					for range 10 {
						wg.Go(func() { wantStatus(t, "GET", get(t, o, "/ev/v1/0.m4s"), 200) })
					}
					wg.Wait()
				}
				got := o.Serve.Stats()
				if got.Reads != tt.reads || got.Collapsed != tt.collapsed || got.HotHits != tt.hits {
					t.Errorf("reads, collapsed, hot hits = %d, %d, %d, want %d, %d, %d", got.Reads, got.Collapsed, got.HotHits, tt.reads, tt.collapsed, tt.hits)
				}
				if got.Bytes != 20*1000 {
					t.Errorf("%d bytes served, want 20000", got.Bytes)
				}
			})
		})
	}
}

// TestTwoNodesAgree: two publishing nodes are given different bytes for one name; the store settles on one, and a node that
// keeps a hot copy of the other has let go of it 5 s later.
func TestTwoNodesAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cfg := origintest.Config{Events: []config.Event{origintest.Event(start)}, Commits: &mem.Store{}, Chunks: &mem.Store{}, Serving: config.Serving{Hot: 1 << 20}}
		one, two := origintest.Start(t, cfg), origintest.Start(t, cfg)
		at(start, 3*time.Second)
		put(t, one, "/ev/a/v1/0.m4s", []byte("first"))
		if a := get(t, one, "/ev/v1/0.m4s"); string(a.body) != "first" {
			t.Errorf("GET = %q", a.body)
		}
		put(t, two, "/ev/a/v1/0.m4s", []byte("second"))
		time.Sleep(policy.SettleFor)
		for _, o := range []*origintest.Origin{one, two} {
			if a := get(t, o, "/ev/v1/0.m4s"); string(a.body) != "second" {
				t.Errorf("GET 5 s later = %q, want the copy on which the store settled", a.body)
			}
		}
	})
}

// TestCollapseKeepsCopiesApart: who asks for one copy by its tag is not given another one that is being read.
func TestCollapseKeepsCopiesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		store := slow(&mem.Store{}, 5*time.Millisecond, 0)
		o := origintest.Start(t, origintest.Config{Commits: store, Chunks: store, ChunkSize: 100, Serving: config.Serving{Collapse: true, Hot: 1 << 20}})
		bodies := map[string][]byte{"a": bytesOf("a", 1000), "b": bytesOf("b", 1000)}
		for pipeline, body := range bodies {
			put(t, o, "/ev/"+pipeline+"/v1/0.m4s", body)
		}
		at(start, 6*time.Second)
		for range 2 { // from the store, and with a's copy hot
			var wg sync.WaitGroup
			wg.Go(func() { wantHeader(t, "GET", get(t, o, "/ev/v1/0.m4s"), "Origin-Pipeline", "a") })
			for pipeline, body := range bodies {
				wg.Go(func() {
					a := get(t, o, "/ev/v1/0.m4s", "If-Match", etagOf(body))
					wantStatus(t, "GET of one copy", a, 200)
					wantHeader(t, "GET of one copy", a, "Origin-Pipeline", pipeline)
				})
			}
			wg.Wait()
		}
	})
}

// TestFlawedChoiceIsNotKept: a node goes on looking for a sound copy, and pays one poll for it.
func TestFlawedChoiceIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		store := &counting{Store: &mem.Store{}}
		o := origintest.Start(t, origintest.Config{Commits: store})
		put(t, o, "/ev/b/v1/0.m4s", []byte("flawed"), "Origin-Defects", "short")
		at(start, 5*time.Second)
		for _, tt := range []struct {
			name, want string
			keys       int64
		}{{"first", "flawed", 2}, {"again", "flawed", 2}, {"with a sound copy", "sound", 2}, {"with a choice", "sound", 1}} {
			if tt.name == "with a sound copy" {
				put(t, o, "/ev/a/v1/0.m4s", []byte("sound"))
			}
			before := store.gets.Load()
			if a := get(t, o, "/ev/v1/0.m4s"); string(a.body) != tt.want {
				t.Errorf("%s: GET = %q, want %q", tt.name, a.body, tt.want)
			}
			if n := store.gets.Load() - before; n != tt.keys {
				t.Errorf("%s: %d keys read, want %d", tt.name, n, tt.keys)
			}
		}
	})
}

func TestStressShedsDVR(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		stressed := false
		o := origintest.Start(t, origintest.Config{Load: func() policy.Load { return policy.Load{Stressed: stressed} }})
		put(t, o, "/ev/a/v1/0.m4s", []byte("x"))
		put(t, o, "/ev/a/v1/9.m4s", []byte("x"))
		at(start, 21*time.Second)
		stressed = true
		shed := get(t, o, "/ev/v1/0.m4s")
		wantStatus(t, "DVR under stress", shed, 503)
		wantHeader(t, "DVR under stress", shed, "Cache-Control", "public, max-age=5")
		wantHeader(t, "DVR under stress", shed, "Retry-After", "5")
		wantStatus(t, "live edge under stress", get(t, o, "/ev/v1/9.m4s"), 200)
		stressed = false
		wantStatus(t, "DVR without stress", get(t, o, "/ev/v1/0.m4s"), 200)
	})
}

// TestStoreDown: without the store, "never published" is not claimed, and nothing is kept.
func TestStoreDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		down := kv.Inject(&mem.Store{}, func(context.Context, kv.Op, func(context.Context) error) error {
			return errors.New("connection refused")
		})
		hung := slow(&mem.Store{}, time.Hour, time.Hour)
		for name, tt := range map[string]struct {
			store  kv.Store
			status int
		}{"down": {down, 503}, "hung": {hung, 504}} {
			o := origintest.Start(t, origintest.Config{Events: []config.Event{origintest.Event(start)}, Commits: tt.store})
			for _, n := range []int64{time.Since(start).Nanoseconds() / 2e9, 0} { // the next one, and one past its deadline if any
				a := get(t, o, fmt.Sprintf("/ev/v1/%d.m4s", n))
				wantStatus(t, name, a, tt.status)
				wantHeader(t, name, a, "Cache-Control", "no-store")
				if a.took > 4*time.Second {
					t.Errorf("%s: GET took %v", name, a.took)
				}
			}
			p := put(t, o, fmt.Sprintf("/ev/a/v1/%d.m4s", time.Since(start).Nanoseconds()/2e9), []byte("x"))
			wantStatus(t, "PUT "+name, p, tt.status)
			if p.took > 2*time.Second {
				t.Errorf("%s: PUT took %v", name, p.took)
			}
		}
	})
}

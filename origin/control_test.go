package origin_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin"
	"origin-storm/origin/config"
	"origin-storm/origin/control"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/origintest"
	"origin-storm/origin/policy"
)

// deployment is nodes of one deployment: w, which writes, and r, which reads.
func deployment(t *testing.T, start time.Time, serving config.Serving) (w, r *origintest.Origin) {
	t.Helper()
	cfg := origintest.Config{
		Events: []config.Event{origintest.Event(start)}, Commits: &mem.Store{}, Chunks: &mem.Store{}, Control: &mem.Store{},
		Node: "w", Writers: []string{"w"}, Serving: serving,
	}
	w = origintest.Start(t, cfg)
	cfg.Node = "r"
	return w, origintest.Start(t, cfg)
}

// change changes what node o says about the event.
func change(t *testing.T, o *origintest.Origin, f func(*control.Document)) {
	t.Helper()
	if err := o.Control.Change(t.Context(), "ev", func(d *control.Document) error { f(d); return nil }); err != nil {
		t.Fatalf("Change: %v", err)
	}
}

func masking(pipelines ...string) func(*control.Document) {
	return func(d *control.Document) {
		d.Masks = nil
		for _, p := range pipelines {
			d.Masks = append(d.Masks, policy.Mask{Pipeline: p, From: 0, To: 9})
		}
	}
}

// TestMask: a masked copy is not served any more by any node within a second, from whatever memory; the choice that took its
// place stays when the mask is taken back.
func TestMask(t *testing.T) {
	for name, serving := range map[string]config.Serving{"plain": {}, "hot": {Hot: 1 << 20, Collapse: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				w, r := deployment(t, start, serving)
				a, b := bytesOf("a", 500), bytesOf("b", 500)
				put(t, w, "/ev/a/v1/0.m4s", a)
				put(t, w, "/ev/b/v1/0.m4s", b)
				at(start, 6100*time.Millisecond)
				for _, o := range []*origintest.Origin{w, r} {
					wantHeader(t, "GET", get(t, o, "/ev/v1/0.m4s"), "Origin-Pipeline", "a")
				}
				change(t, w, masking("a"))
				masked := get(t, w, "/ev/v1/0.m4s")
				wantHeader(t, "GET of the node that was told", masked, "Origin-Pipeline", "b")
				time.Sleep(time.Second)
				for _, o := range []*origintest.Origin{w, r} {
					wantHeader(t, "GET a second later", get(t, o, "/ev/v1/0.m4s"), "Origin-Pipeline", "b")
					wantStatus(t, "GET of the masked copy", get(t, o, "/ev/v1/0.m4s", "If-Match", etagOf(a)), 412)
					whole := get(t, o, "/ev/v1/0.m4s", "If-Range", etagOf(a), "Range", "bytes=0-9")
					wantStatus(t, "range of the masked copy", whole, 200)
					if !bytes.Equal(whole.body, b) {
						t.Error("range of the masked copy: not all of the other one")
					}
				}
				change(t, w, masking())
				time.Sleep(time.Second)
				for _, o := range []*origintest.Origin{w, r} {
					wantHeader(t, "GET without the mask", get(t, o, "/ev/v1/0.m4s"), "Origin-Pipeline", "b")
				}
				change(t, w, masking("a", "b"))
				gone := get(t, w, "/ev/v1/0.m4s")
				wantStatus(t, "GET of what is masked altogether", gone, 410)
				wantHeader(t, "GET of what is masked altogether", gone, "Cache-Control", "public, max-age=2")
				change(t, w, func(d *control.Document) {
					d.Masks, d.Withdrawn = nil, []control.Withdrawn{{Rendition: "v1", Number: 0}}
				})
				wantStatus(t, "GET of what is withdrawn", get(t, w, "/ev/v1/0.m4s"), 410)
				wantStatus(t, "GET of another rendition", get(t, w, "/ev/v2/1.m4s"), 410)
			})
		})
	}
}

// TestMaskWhileHeld: a held request is not answered with a copy that is masked when it comes, nor does it wait for one that is
// masked before it serves a flawed copy; when the mask is taken back, it is answered with the next poll.
func TestMaskWhileHeld(t *testing.T) {
	for _, cached := range []bool{false, true} {
		t.Run(fmt.Sprintf("cached=%v", cached), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				cfg := origintest.Config{Events: []config.Event{origintest.Event(start)}, Control: &mem.Store{}, Node: "w"}
				if cached {
					cfg.Zones = []kv.Store{&mem.Store{}}
				}
				o := origintest.Start(t, cfg)
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						a := get(t, o, "/ev/v1/0.m4s")
						wantStatus(t, "held GET", a, 200)
						if now := time.Since(start); now < 1500*time.Millisecond || now > 1525*time.Millisecond {
							t.Errorf("held GET answered at %v, want when the mask was taken back", now)
						}
					})
				}
				wg.Go(func() {
					a := get(t, o, "/ev/v2/0.m4s")
					wantHeader(t, "held GET", a, "Origin-Pipeline", "b")
					if now := time.Since(start); now > 1225*time.Millisecond {
						t.Errorf("held GET answered at %v, want at 1.2s: nothing better is to come", now)
					}
				})
				at(start, 500*time.Millisecond)
				change(t, o, masking("a"))
				at(start, time.Second)
				put(t, o, "/ev/a/v1/0.m4s", []byte("a"))
				put(t, o, "/ev/a/v2/0.m4s", []byte("a"))
				at(start, 1200*time.Millisecond)
				put(t, o, "/ev/b/v2/0.m4s", []byte("b"), "Origin-Defects", "short")
				at(start, 1500*time.Millisecond)
				change(t, o, masking())
				wg.Wait()
			})
		})
	}
}

// TestAllMaskedWhileHeld: as if it had never been published.
func TestAllMaskedWhileHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w, _ := deployment(t, start, config.Serving{})
		put(t, w, "/ev/a/v1/0.m4s", []byte("a"))
		put(t, w, "/ev/b/v1/0.m4s", []byte("b"))
		change(t, w, masking("a", "b"))
		wantStatus(t, "GET", get(t, w, "/ev/v1/0.m4s"), 410)
		if now := time.Since(start); now != 4*time.Second {
			t.Errorf("GET answered at %v, want the deadline, 4s", now)
		}
	})
}

// TestMaskedWhileRead: a copy that is masked while it is on its way from the store is not served.
func TestMaskedWhileRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cfg := origintest.Config{
			Events: []config.Event{origintest.Event(start)}, Control: &mem.Store{}, Node: "w", ChunkSize: 100,
			Chunks: slow(&mem.Store{}, 100*time.Millisecond, 0), Serving: config.Serving{Hot: 1 << 20, Collapse: true},
		}
		o := origintest.Start(t, cfg)
		put(t, o, "/ev/a/v1/0.m4s", bytesOf("a", 150))
		put(t, o, "/ev/b/v1/0.m4s", bytesOf("b", 150))
		at(start, 5*time.Second)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { wantHeader(t, "GET", get(t, o, "/ev/v1/0.m4s"), "Origin-Pipeline", "b") })
		}
		time.Sleep(50 * time.Millisecond)
		change(t, o, masking("a"))
		wg.Wait()
	})
}

// TestEnd: what comes after the last segment is gone at once, also for those who are held for it.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w, r := deployment(t, start, config.Serving{Hot: 1 << 20})
		for _, n := range []int{0, 1, 2} {
			put(t, w, fmt.Sprintf("/ev/a/v1/%d.m4s", n), []byte("x"))
		}
		at(start, 5*time.Second)
		wantStatus(t, "GET before the end is known", get(t, w, "/ev/v1/2.m4s"), 200)
		var wg sync.WaitGroup
		for _, o := range []*origintest.Origin{w, r} {
			wg.Go(func() {
				at(start, 6500*time.Millisecond)
				gone := get(t, o, "/ev/v1/3.m4s")
				wantStatus(t, "held GET of what never comes", gone, 410)
				wantHeader(t, "held GET of what never comes", gone, "Cache-Control", "public, max-age=60")
				if now := time.Since(start); now < 7*time.Second || now > 7300*time.Millisecond {
					t.Errorf("held GET answered at %v, want soon after 7s", now)
				}
			})
		}
		at(start, 7*time.Second)
		change(t, w, func(d *control.Document) { d.Last = new(int64(1)) })
		wg.Wait()
		for _, o := range []*origintest.Origin{w, r} {
			for _, n := range []int{2, 3, 4, 1000} {
				gone := get(t, o, fmt.Sprintf("/ev/v1/%d.m4s", n))
				wantStatus(t, "GET after the end", gone, 410)
				wantHeader(t, "GET after the end", gone, "Cache-Control", "public, max-age=60")
			}
			wantStatus(t, "GET of the last one", get(t, o, "/ev/v1/1.m4s"), 200)
		}
		change(t, w, func(d *control.Document) { d.Last = nil })
		wantStatus(t, "GET after the end was taken back", get(t, w, "/ev/v1/2.m4s"), 200)
	})
}

// TestNotices: what comes with a PUT is on every answer of the event, of every node, from its number on and for good.
func TestNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		store := &mem.Store{}
		cfg := origintest.Config{
			Events: []config.Event{origintest.Event(start)}, Commits: &mem.Store{}, Chunks: &mem.Store{}, Control: store, Node: "p1", Writers: []string{"p1", "p2"},
		}
		p1 := origintest.Start(t, cfg)
		cfg.Node = "p2"
		p2 := origintest.Start(t, cfg)
		cfg.Node = "serve"
		serve := origintest.Start(t, cfg)
		const first, both = `ad-1;from=0;text="a break of 90 s"`, `ad-1;from=0;text="a break of 90 s", ad-2;from=3`

		at(start, 1500*time.Millisecond)
		wantHeader(t, "GET before any notice", get(t, serve, "/ev/v1/5.m4s"), "Origin-Notices", "")
		a := put(t, p1, "/ev/a/v1/0.m4s", []byte("a"), "Origin-Notices", `ad-1;text="a break of 90 s"`, "Origin-Notices", "ad-2;from=3")
		wantStatus(t, "PUT", a, 201)
		wantHeader(t, "PUT", a, "Origin-Notices", both)
		wantHeader(t, "PUT of the other pipeline", put(t, p2, "/ev/b/v1/0.m4s", []byte("b"), "Origin-Notices", `ad-1;text="a break of 90 s"`), "Origin-Notices", first)
		wantStatus(t, "another bytes", put(t, p1, "/ev/a/v1/0.m4s", []byte("other"), "Origin-Notices", `ad-1;text="a break of 90 s"`), 200)
		wantHeader(t, "PUT without notices", put(t, p1, "/ev/a/v1/1.m4s", []byte("a")), "Origin-Notices", both)
		at(start, 2500*time.Millisecond)
		for _, path := range []string{"/ev/v1/0.m4s", "/ev/v1/1.m4s", "/ev/v1/7.m4s", "/ev/v9/0.m4s", "/ev/v2/init.mp4", "/ev/v1/index.m3u8", "/ev/live.mpd", "/ev/v1/00.m4s"} {
			got := get(t, serve, path)
			wantHeader(t, "GET "+path, got, "Origin-Notices", first)
			wantHeader(t, "GET "+path, got, "Origin-Cache-Version", "0")
		}
		wantHeader(t, "GET of another event", get(t, serve, "/other/v1/0.m4s"), "Origin-Notices", "")
		wantHeader(t, "416", get(t, serve, "/ev/v1/0.m4s", "Range", "bytes=100-"), "Origin-Notices", first)
		at(start, 6*time.Second-1) // segment 3 is next from 6 s
		wantHeader(t, "GET before segment 3 is next", get(t, serve, "/ev/v1/0.m4s"), "Origin-Notices", first)
		at(start, 6*time.Second)
		wantHeader(t, "GET when segment 3 is next", get(t, serve, "/ev/v1/0.m4s"), "Origin-Notices", both)
		change(t, p2, func(d *control.Document) { d.CacheVersion += 2 })

		cfg.Node = "restarted"
		again := origintest.Start(t, cfg)
		got := get(t, again, "/ev/v1/0.m4s")
		wantHeader(t, "GET of a node that has just started", got, "Origin-Notices", both)
		wantHeader(t, "GET of a node that has just started", got, "Origin-Cache-Version", "2")
		if exposed := got.Header.Get("Access-Control-Expose-Headers"); !strings.Contains(exposed, "Origin-Notices") || !strings.Contains(exposed, "Origin-Cache-Version") {
			t.Errorf("Access-Control-Expose-Headers: %q", exposed)
		}
		if got := p2.Control.Documents("ev"); len(got) != 2 || len(got[0].Notices) != 2 || len(got[1].Notices) > 1 {
			t.Errorf("Documents = %+v", got)
		}

		for _, bad := range []string{`"ad"`, "ad;from=x", "ad;until=7", "ad,", strings.Repeat("n", 40), `ad;text="` + strings.Repeat("x", 300) + `"`} {
			wantStatus(t, "PUT with "+bad, put(t, p1, "/ev/a/v1/2.m4s", []byte("a"), "Origin-Notices", bad), 400)
		}
		wantStatus(t, "PUT of an init without from", put(t, p1, "/ev/a/v1/init.mp4", []byte("a"), "Origin-Notices", "ad"), 400)
		room := put(t, p1, "/ev/a/v1/init.mp4", []byte("a"), "Origin-Notices", `x;from=1;text="`+strings.Repeat("x", 250)+`", y;from=1`)
		if got := room.Header.Get("Origin-Notices"); room.StatusCode != 201 || !strings.Contains(got, "x;from=1;") || !strings.Contains(got, "y;from=1") {
			t.Errorf("PUT of two notices = %d, %s, want both to stand", room.StatusCode, got)
		}
		wantStatus(t, "PUT after those that were refused", put(t, p1, "/ev/a/v1/2.m4s", []byte("a")), 201)
		// One notice too many: the segment counts.
		for i := range 8 {
			path := fmt.Sprintf("/ev/b/v1/%d.m4s", i+10)
			a := put(t, p1, path, []byte("b"), "Origin-Notices", fmt.Sprintf(`n%d;text="%s"`, i, strings.Repeat("x", 250)))
			wantStatus(t, "PUT "+path, a, 201)
			if stands := strings.Contains(a.Header.Get("Origin-Notices"), fmt.Sprintf("n%d;", i)); stands != (i < 6) {
				t.Errorf("PUT %s: the notice stands: %v", path, stands)
			}
		}
	})
}

// TestNoticeWhileControlFails: the segment is stored, the packager is told to try again, and then has both.
func TestNoticeWhileControlFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		flaky := kv.Inject(&mem.Store{}, func(ctx context.Context, _ kv.Op, do func(context.Context) error) error {
			if down.Load() {
				return errors.New("connection refused")
			}
			return do(ctx)
		})
		o := origintest.Start(t, origintest.Config{Control: flaky, Node: "p"})
		change(t, o, func(d *control.Document) { d.Masks = []policy.Mask{{Pipeline: "b", From: 0, To: 99}} })
		put(t, o, "/ev/b/v2/0.m4s", []byte("b"))
		down.Store(true)
		time.Sleep(time.Second)
		wantStatus(t, "PUT", put(t, o, "/ev/a/v1/0.m4s", []byte("a"), "Origin-Notices", "ad"), 503)
		wantStatus(t, "GET", get(t, o, "/ev/v1/0.m4s"), 200)
		wantStatus(t, "PUT without a notice", put(t, o, "/ev/a/v2/0.m4s", []byte("a")), 201)
		wantHeader(t, "GET with a mask that was read before", get(t, o, "/ev/v2/0.m4s"), "Origin-Pipeline", "a")
		down.Store(false)
		a := put(t, o, "/ev/a/v1/0.m4s", []byte("a"), "Origin-Notices", "ad")
		wantStatus(t, "PUT again", a, 200)
		wantHeader(t, "PUT again", a, "Origin-Notices", "ad;from=0")
	})
}

// TestNothingBeforeControlIsRead: a node that does not know yet what is masked serves nothing.
func TestNothingBeforeControlIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w, _ := deployment(t, start, config.Serving{})
		put(t, w, "/ev/a/v1/0.m4s", []byte("a"))
		var down atomic.Bool
		down.Store(true)
		store := kv.Inject(&mem.Store{}, func(ctx context.Context, _ kv.Op, do func(context.Context) error) error {
			if down.Load() {
				return errors.New("connection refused")
			}
			return do(ctx)
		})
		o := origintest.Start(t, origintest.Config{Control: store, Node: "new"})
		h, err := origin.NewOperator(origin.OperatorConfig{Control: o.Control})
		if err != nil {
			t.Fatal(err)
		}
		ready := func() int {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
			return w.Code
		}
		early := get(t, o, "/ev/v1/0.m4s")
		wantStatus(t, "GET", early, 503)
		wantHeader(t, "GET", early, "Cache-Control", "no-store")
		wantHeader(t, "GET", early, "Retry-After", "1")
		if got := ready(); got != 503 {
			t.Errorf("GET /readyz = %d, want 503", got)
		}
		down.Store(false)
		time.Sleep(time.Second)
		put(t, o, "/ev/a/v1/0.m4s", []byte("a"))
		wantStatus(t, "GET once it was read", get(t, o, "/ev/v1/0.m4s"), 200)
		if got := ready(); got != 200 {
			t.Errorf("GET /readyz = %d, want 200", got)
		}
	})
}

// TestTime: what players set their clocks by.
func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := origintest.Start(t, origintest.Config{})
		time.Sleep(1234567 * time.Microsecond)
		a := get(t, o, "/time")
		wantStatus(t, "GET /time", a, 200)
		got, err := time.Parse(time.RFC3339Nano, string(a.body))
		if want := time.Now().Truncate(time.Millisecond); err != nil || !got.Equal(want) || !strings.HasSuffix(string(a.body), ".234Z") {
			t.Errorf("GET /time = %s, %v, want %v with milliseconds", a.body, err, want.UTC())
		}
		wantHeader(t, "GET /time", a, "Date", time.Now().UTC().Format(http.TimeFormat))
		wantHeader(t, "GET /time", a, "Cache-Control", "no-store")
		wantHeader(t, "GET /time", a, "Access-Control-Allow-Origin", "*")
		head := do(t, o, http.MethodHead, o.ServeURL+"/time", nil)
		wantStatus(t, "HEAD /time", head, 200)
		wantHeader(t, "HEAD /time", head, "Date", time.Now().UTC().Format(http.TimeFormat))
		if len(head.body) != 0 || head.Header.Get("Content-Length") != "24" {
			t.Errorf("HEAD /time: %d bytes, Content-Length %s, want 0 and 24", len(head.body), head.Header.Get("Content-Length"))
		}
		wantStatus(t, "PUT /time", do(t, o, http.MethodPut, o.ServeURL+"/time", nil), 405)
	})
}

// TestReprDigest: it is that of the whole, also on a part.
func TestReprDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := origintest.Start(t, origintest.Config{ChunkSize: 100})
		body := bytesOf("x", 350)
		put(t, o, "/ev/a/v1/0.m4s", body)
		sum := sha256.Sum256(body)
		want := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
		for _, header := range [][]string{nil, {"Range", "bytes=10-19"}, {"If-None-Match", etagOf(body)}} {
			wantHeader(t, fmt.Sprint("GET ", header), get(t, o, "/ev/v1/0.m4s", header...), "Repr-Digest", want)
		}
		wantHeader(t, "HEAD", do(t, o, http.MethodHead, o.ServeURL+"/ev/v1/0.m4s", nil), "Repr-Digest", want)
		wantHeader(t, "GET out of range", get(t, o, "/ev/v1/0.m4s", "Range", "bytes=350-"), "Repr-Digest", "")
	})
}

// TestOperatorControl: what operators may say, and what they are told.
func TestOperatorControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w, r := deployment(t, start, config.Serving{})
		handler := func(name string, o *origintest.Origin) http.Handler {
			h, err := origin.NewOperator(origin.OperatorConfig{Node: name, Events: []config.Event{origintest.Event(start)}, Control: o.Control})
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		nodes := map[string]http.Handler{"w": handler("w", w), "r": handler("r", r)}
		ask := func(node, method, path, body string) (int, string) {
			req := httptest.NewRequest(method, path, strings.NewReader(body))
			if body != "" {
				req.Header.Set("Content-Type", "application/json; charset=utf-8")
			}
			rec := httptest.NewRecorder()
			nodes[node].ServeHTTP(rec, req)
			return rec.Code, rec.Body.String()
		}
		const mask, out = `{"pipeline": "a", "rendition": "v1", "from": 10, "to": 20}`, `{"rendition": "v2", "number": 7}`
		for _, tt := range []struct {
			name, node, method, path, body string
			want                           int
			says                           string
		}{
			{"nothing yet", "w", "GET", "control", "", 200, `"masks": []`},
			{"unknown event", "w", "GET", "", "", 404, "no event"},
			{"a mask", "w", "POST", "masks", mask, 200, `"to": 20`},
			{"again", "w", "POST", "masks", mask, 200, `"version": 1`},
			{"not a writer", "r", "POST", "masks", mask, 409, "one of: w"},
			{"said elsewhere", "r", "DELETE", "masks", mask, 409, "one of: w"},
			{"no body", "w", "POST", "masks", "", 415, "application/json"},
			{"not JSON", "w", "POST", "masks", "pipeline=a", 400, "not the JSON"},
			{"two objects", "w", "POST", "masks", mask + mask, 400, "after the object"},
			{"an unknown field", "w", "POST", "masks", `{"pipline": "a", "from": 1, "to": 2}`, 400, "pipline"},
			{"no pipeline", "w", "POST", "masks", `{"from": 1, "to": 2}`, 400, "pipeline is missing"},
			{"no from", "w", "POST", "masks", `{"pipeline": "a", "to": 2}`, 400, "from is missing"},
			{"no to", "w", "POST", "masks", `{"pipeline": "a", "from": 2}`, 400, "to is missing"},
			{"the wrong way round", "w", "POST", "masks", `{"pipeline": "a", "from": 2, "to": 1}`, 400, "from 2 to 1"},
			{"a pipeline that is none", "w", "POST", "masks", `{"pipeline": "c", "from": 1, "to": 2}`, 400, "it has [a b]"},
			{"a rendition that is none", "w", "POST", "masks", `{"pipeline": "a", "rendition": "v3", "from": 1, "to": 2}`, 400, "v3"},
			{"too much", "w", "POST", "masks", `{"pipeline": "` + strings.Repeat("a", 5000) + `"}`, 413, "4096 bytes"},
			{"not that mask", "w", "DELETE", "masks", `{"pipeline": "a", "from": 10, "to": 20}`, 404, "no such mask"},
			{"that mask", "w", "DELETE", "masks", mask, 200, `"masks": []`},
			{"withdraw", "w", "POST", "withdrawn", out, 200, `"number": 7`},
			{"withdraw init", "w", "POST", "withdrawn", `{"rendition": "v1", "number": -1, "pipeline": "a"}`, 200, `"number": -1`},
			{"no number", "w", "POST", "withdrawn", `{"rendition": "v1"}`, 400, "number is missing"},
			{"no rendition", "w", "POST", "withdrawn", `{"number": 1}`, 400, "rendition is missing"},
			{"a number that is none", "w", "POST", "withdrawn", `{"rendition": "v1", "number": -2}`, 400, "number -2"},
			{"restore", "w", "DELETE", "withdrawn", out, 200, `"number": -1`},
			{"restore again", "w", "DELETE", "withdrawn", out, 404, "no such withdrawn segment"},
			{"a notice", "w", "POST", "notices", `{"id": "ad", "text": "say \"x\""}`, 200, `"from": 0`},
			{"a notice for later", "w", "POST", "notices", `{"id": "ad", "from": 12}`, 200, `"from": 12`},
			{"a notice that is none", "w", "POST", "notices", `{"id": "7"}`, 400, "id"},
			{"no notice", "w", "POST", "notices", `{}`, 400, "id is missing"},
			{"notices stay", "w", "DELETE", "notices", `{"id": "ad"}`, 405, ""},
			{"no end yet", "w", "DELETE", "end", "", 404, "no such end"},
			{"the end", "w", "POST", "end", `{"last": 0}`, 200, `"last": 0`},
			{"no last", "w", "POST", "end", `{}`, 400, "last is missing"},
			{"an end before the beginning", "w", "POST", "end", `{"last": -1}`, 400, "last"},
			{"no end", "w", "DELETE", "end", "", 200, `"last": null`},
			{"cache version", "w", "POST", "cache-version", `{}`, 200, `"cache_version": 1`},
			{"cache version again", "w", "POST", "cache-version", `{}`, 200, `"cache_version": 2`},
			{"cache version as one likes", "w", "POST", "cache-version", `{"version": 9}`, 400, "version"},
			{"another method", "w", "PUT", "masks", mask, 405, ""},
		} {
			path := "/events/ev/" + tt.path
			if tt.path == "" {
				path = "/events/other/control"
			}
			code, text := ask(tt.node, tt.method, path, tt.body)
			if code != tt.want || !strings.Contains(text, tt.says) {
				t.Errorf("%s: %s %s %s = %d %s, want %d and %q", tt.name, tt.method, path, tt.body, code, text, tt.want, tt.says)
			}
		}
		time.Sleep(time.Second)
		var view origin.EventControl
		_, text := ask("r", "GET", "/events/ev/control", "")
		if err := json.Unmarshal([]byte(text), &view); err != nil {
			t.Fatal(err)
		}
		if view.Node != "r" || !view.Ready || !slices.Equal(view.Writers, []string{"w"}) ||
			len(view.Masks) != 1 || len(view.Notices) != 2 || view.Last != nil || view.CacheVersion != 2 || len(view.Documents) != 1 || view.Documents[0].Writer != "w" {
			t.Errorf("the reader's view a second later: %s", text)
		}
	})
}

// FuzzOperator: whatever an operator sends is done or refused, and leaves a state that can be shown and read again.
func FuzzOperator(f *testing.F) {
	store := &mem.Store{}
	open := func(t testing.TB) *control.Keeper {
		k, err := control.New(control.Config{Store: store, Events: []string{"ev"}, Writers: []string{"w"}, Node: "w", Every: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		return k
	}
	k := open(f)
	f.Cleanup(k.Close)
	h, err := origin.NewOperator(origin.OperatorConfig{Node: "w", Events: []config.Event{origintest.Event(time.Unix(0, 0))}, Control: k})
	if err != nil {
		f.Fatal(err)
	}
	paths := []string{"masks", "withdrawn", "notices", "end", "cache-version"}
	for i, body := range []string{`{"pipeline": "a", "from": 1, "to": 2}`, `{"rendition": "v1", "number": -1}`, `{"id": "ad", "text": "x"}`, `{"last": 9}`, `{}`} {
		f.Add(uint8(i), true, body)
		f.Add(uint8(i), false, body)
	}
	f.Fuzz(func(t *testing.T, path uint8, post bool, body string) {
		method := http.MethodDelete
		if post {
			method = http.MethodPost
		}
		r := httptest.NewRequest(method, "/events/ev/"+paths[int(path)%len(paths)], strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch w.Code {
		case 200, 400, 404, 405, 413:
		default:
			t.Errorf("%s %s %q = %d %s", method, r.URL.Path, body, w.Code, w.Body)
		}
		if w.Code != 200 {
			return
		}
		var view origin.EventControl
		if err := json.Unmarshal(w.Body.Bytes(), &view); err != nil {
			t.Errorf("%s %s %q: %v", method, r.URL.Path, body, err)
		}
		again := open(t) // reads what was stored
		defer again.Close()
		if docs := again.Documents("ev"); len(view.Documents) != len(docs) || len(docs) == 1 && docs[0].Version != view.Documents[0].Version {
			t.Errorf("%s %s %q: a node that starts reads %+v, want %+v", method, r.URL.Path, body, docs, view.Documents)
		}
	})
}

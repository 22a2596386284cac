package origin_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/control"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/origintest"
	"origin-storm/origin/policy"
)

// initOf is an initialisation segment that ffmpeg wrote: avc (1280x720 at 12,800 ticks), aac, …
func initOf(t testing.TB, codec string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("bmff", "testdata", codec+"-init.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// withAudio is an event "ev" of a video rendition, v, and an audio rendition, a.
func withAudio(start time.Time) config.Event {
	ev := origintest.Event(start)
	ev.Renditions, ev.DVR = config.Renditions("v", "a"), 40*time.Second
	return ev
}

// wantHas fails t unless a's body has all of parts.
func wantHas(t testing.TB, what string, a answer, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(string(a.body), p) {
			t.Errorf("%s has no %q:\n%s", what, p, a.body)
		}
	}
}

// TestManifests walks through what an event's manifests are, in virtual time. Segment n is due at (n+1)·2 s.
func TestManifests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		commits := &counting{Store: &mem.Store{}}
		o := origintest.Start(t, origintest.Config{Events: []config.Event{withAudio(start)}, Commits: commits, Node: "n1"})

		for _, path := range []string{"/other/live.mpd", "/other/master.m3u8", "/other/v/index.m3u8", "/ev/v9/index.m3u8", "/ev/index.m3u8", "/ev/v/live.mpd", "/live.mpd", "/ev%2Flive.mpd"} {
			a := get(t, o, path)
			wantStatus(t, "GET "+path, a, 404)
			wantHeader(t, "GET "+path, a, "Cache-Control", "public, max-age=2")
			wantHeader(t, "GET "+path, a, "Access-Control-Allow-Origin", "*")
		}
		if n := commits.gets.Load(); n != 0 {
			t.Errorf("the store was asked %d times for what is not configured", n)
		}
		// Nothing is published; then the video alone, which is listed for itself, and for all once it was alone for 10 s.
		for _, path := range []string{"/ev/live.mpd", "/ev/master.m3u8", "/ev/v/index.m3u8"} {
			a := get(t, o, path)
			wantStatus(t, "GET "+path+" before anything is published", a, 404)
			wantHeader(t, "GET "+path+" before anything is published", a, "Origin-TTL-Ms", "2000")
		}
		wantStatus(t, "PUT", put(t, o, "/ev/a/v/init.mp4", initOf(t, "avc")), 201)
		at(start, 3*time.Second)
		wantStatus(t, "GET of the master playlist without audio", get(t, o, "/ev/master.m3u8"), 404)
		wantStatus(t, "GET of the MPD without audio", get(t, o, "/ev/live.mpd"), 404)
		wantStatus(t, "GET of the video's playlist", get(t, o, "/ev/v/index.m3u8"), 200)
		wantStatus(t, "GET of the audio's playlist", get(t, o, "/ev/a/index.m3u8"), 404)
		at(start, 13*time.Second)
		wantStatus(t, "GET of the master playlist without audio after 10 s", get(t, o, "/ev/master.m3u8"), 200)
		wantStatus(t, "PUT", put(t, o, "/ev/b/a/init.mp4", initOf(t, "aac")), 201)

		at(start, 15*time.Second)
		wantStatus(t, "PUT", put(t, o, "/ev/b/v/6.m4s", bytesOf("6", 250_000)), 201)
		at(start, 20*time.Second+500*time.Millisecond)
		get(t, o, "/ev/v/6.m4s")
		at(start, 25*time.Second+500*time.Millisecond)
		master := get(t, o, "/ev/master.m3u8")
		wantStatus(t, "GET of the master playlist", master, 200)
		wantHeader(t, "GET of the master playlist", master, "Content-Type", "application/vnd.apple.mpegurl")
		// 250,000 bytes in 2 s, and what the audio's packager says.
		wantHas(t, "the master playlist", master, `BANDWIDTH=1032000,CODECS="avc1.`, `,mp4a.40.2"`, `AUDIO="audio-1"`, "\nv/index.m3u8\n", `URI="a/index.m3u8"`)
		mpd := get(t, o, "/ev/live.mpd")
		wantStatus(t, "GET of the MPD", mpd, 200)
		wantHeader(t, "GET of the MPD", mpd, "Content-Type", "application/dash+xml")
		wantHas(t, "the MPD", mpd, `type="dynamic"`, `<Representation id="v" bandwidth="1000000"`, `<Representation id="a"`)
		if err := xml.Unmarshal(mpd.body, new(struct{})); err != nil {
			t.Errorf("the MPD: %v", err)
		}
		media := get(t, o, "/ev/v/index.m3u8")
		wantStatus(t, "GET of a playlist", media, 200)
		wantHas(t, "the playlist", media, "#EXT-X-MEDIA-SEQUENCE:0\n", "\n0.m4s\n", "\n11.m4s\n")
		if strings.Contains(string(media.body), "12.m4s") {
			t.Errorf("at 25.5 s the playlist lists segment 12, which is due at 26 s:\n%s", media.body)
		}

		before := commits.gets.Load()
		for _, path := range []string{"/ev/live.mpd", "/ev/master.m3u8", "/ev/v/index.m3u8", "/ev/a/index.m3u8"} {
			a := get(t, o, path)
			wantHeader(t, "GET "+path, a, "Cache-Control", "public, max-age=1")
			wantHeader(t, "GET "+path, a, "Origin-TTL-Ms", "1000")
			wantHeader(t, "GET "+path, a, "Access-Control-Allow-Origin", "*")
			wantHeader(t, "GET "+path, a, "Origin-Node", "n1")
			wantHeader(t, "GET "+path, a, "Etag", etagOf(a.body))
			same := get(t, o, path, "If-None-Match", etagOf(a.body))
			wantStatus(t, "GET "+path+" if it has changed", same, 304)
			wantHeader(t, "GET "+path+" if it has changed", same, "Cache-Control", "public, max-age=1")
			head := do(t, o, http.MethodHead, o.ServeURL+path, nil)
			wantStatus(t, "HEAD "+path, head, 200)
			for _, field := range []string{"Etag", "Content-Type", "Content-Length", "Cache-Control"} {
				wantHeader(t, "HEAD "+path, head, field, a.Header.Get(field))
			}
			for range 20 {
				get(t, o, path)
			}
		}
		if n := commits.gets.Load() - before; n != 0 {
			t.Errorf("the store was asked %d times for manifests whose renditions are known", n)
		}
	})
}

// An initialisation segment that cannot be understood is logged when it is found, and not each time that the store is asked.
func TestManifestsWithUnclearInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var log bytes.Buffer
		o := origintest.Start(t, origintest.Config{Events: []config.Event{withAudio(start)}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		wantStatus(t, "PUT", put(t, o, "/ev/a/v/init.mp4", []byte("no media")), 201)
		for s := range 10 {
			at(start, time.Duration(3*s+3)*time.Second)
			wantStatus(t, "GET of the MPD", get(t, o, "/ev/live.mpd"), 404)
		}
		if n := strings.Count(log.String(), "can not be understood"); n != 1 {
			t.Errorf("it was logged %d times, want once:\n%s", n, log.String())
		}
	})
}

// A segment that a reader waited for in vain is listed as a gap, until it is found to have been published late.
func TestPlaylistGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ev := withAudio(start)
		ev.DVR = 10 * time.Minute
		o := origintest.Start(t, origintest.Config{Events: []config.Event{ev}})
		put(t, o, "/ev/a/v/init.mp4", initOf(t, "avc"))
		playlist := func() answer { return get(t, o, "/ev/v/index.m3u8") }

		at(start, 3*time.Second)
		wantStatus(t, "GET of what is not published by its deadline", get(t, o, "/ev/v/1.m4s"), 410)
		wantHas(t, "the playlist", playlist(), "#EXT-X-GAP\n1.m4s\n")
		wantStatus(t, "PUT of a late segment", put(t, o, "/ev/b/v/1.m4s", bytesOf("1", 2000)), 201)
		wantStatus(t, "GET of a late segment", get(t, o, "/ev/v/1.m4s"), 200)
		if a := playlist(); strings.Contains(string(a.body), "GAP") {
			t.Errorf("a segment that was served is listed as a gap:\n%s", a.body)
		}
		at(start, 20*time.Second)
		wantStatus(t, "GET of what was never published", get(t, o, "/ev/v/3.m4s"), 410)
		wantHas(t, "the playlist", playlist(), "#EXT-X-GAP\n3.m4s\n")
		at(start, 82*time.Second)
		if a := playlist(); strings.Contains(string(a.body), "GAP") {
			t.Errorf("a gap is listed that nobody has found in the last minute:\n%s", a.body)
		}
	})
}

// Every node says the same, also one that has just begun.
func TestManifestsAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		commits, chunks := &mem.Store{}, &mem.Store{}
		cfg := origintest.Config{Events: []config.Event{withAudio(start)}, Commits: commits, Chunks: chunks}
		first := origintest.Start(t, cfg)
		put(t, first, "/ev/a/v/init.mp4", initOf(t, "avc"))
		put(t, first, "/ev/b/v/init.mp4", initOf(t, "avc"))
		put(t, first, "/ev/a/a/init.mp4", initOf(t, "aac"))
		for n, path := range []string{"/ev/a/v/0.m4s", "/ev/b/v/1.m4s", "/ev/a/v/2.m4s"} {
			at(start, time.Duration(n+1)*2*time.Second)
			put(t, first, path, bytesOf(path, 60_000))
			get(t, first, strings.Replace(path, path[3:5], "", 1))
		}
		at(start, 6500*time.Millisecond)
		second := origintest.Start(t, cfg)
		for _, path := range []string{"/ev/live.mpd", "/ev/master.m3u8", "/ev/v/index.m3u8", "/ev/a/index.m3u8"} {
			a, b := get(t, first, path), get(t, second, path)
			wantStatus(t, "GET "+path, a, 200)
			if string(a.body) != string(b.body) {
				t.Errorf("two nodes' %s:\n%s\n%s", path, a.body, b.body)
			}
		}
	})
}

// While the store cannot be asked, manifests stay as they are; a node that knows nothing yet says that it cannot answer.
func TestManifestsWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var broken atomic.Bool
		commits := kv.Inject(&mem.Store{}, func(ctx context.Context, _ kv.Op, do func(context.Context) error) error {
			if broken.Load() {
				return errors.New("the store is broken")
			}
			return do(ctx)
		})
		cfg := origintest.Config{Events: []config.Event{withAudio(start)}, Commits: commits}
		o := origintest.Start(t, cfg)
		put(t, o, "/ev/a/v/init.mp4", initOf(t, "avc"))
		put(t, o, "/ev/a/a/init.mp4", initOf(t, "aac"))
		at(start, 10*time.Second)
		wantStatus(t, "GET of the MPD", get(t, o, "/ev/live.mpd"), 200)
		broken.Store(true)
		at(start, 75*time.Second) // past what was learned
		wantStatus(t, "GET of the MPD while the store is broken", get(t, o, "/ev/live.mpd"), 200)
		wantStatus(t, "GET of a playlist while the store is broken", get(t, o, "/ev/a/index.m3u8"), 200)
		fresh := get(t, origintest.Start(t, cfg), "/ev/live.mpd")
		wantStatus(t, "GET of the MPD from a node that knows nothing", fresh, 503)
		wantHeader(t, "GET of the MPD from a node that knows nothing", fresh, "Cache-Control", "no-store")
		broken.Store(false)
		at(start, 85*time.Second)
		wantStatus(t, "GET of the MPD afterwards", get(t, o, "/ev/live.mpd"), 200)
	})
}

// That an initialisation segment is missing is said only while the store can be asked for it: it may have been published since.
func TestManifestMissingWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var broken atomic.Bool
		commits := kv.Inject(&mem.Store{}, func(ctx context.Context, _ kv.Op, do func(context.Context) error) error {
			if broken.Load() {
				return errors.New("the store is broken")
			}
			return do(ctx)
		})
		o := origintest.Start(t, origintest.Config{Events: []config.Event{withAudio(start)}, Commits: commits})
		put(t, o, "/ev/a/v/init.mp4", initOf(t, "avc"))
		at(start, time.Second)
		wantStatus(t, "GET of a playlist without its initialisation segment", get(t, o, "/ev/a/index.m3u8"), 404)
		broken.Store(true)
		at(start, 5*time.Second) // past what was learned
		wantStatus(t, "the same while the store is broken", get(t, o, "/ev/a/index.m3u8"), 503)
		wantStatus(t, "GET of another rendition's while the store is broken", get(t, o, "/ev/v/index.m3u8"), 200)
		broken.Store(false)
		at(start, 11*time.Second)
		wantStatus(t, "GET of a playlist afterwards", get(t, o, "/ev/a/index.m3u8"), 404)
	})
}

// What operators say of an event is in its manifests at once: masked segments are gaps, and the end is an end.
func TestManifestsUnderControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o := origintest.Start(t, origintest.Config{Events: []config.Event{withAudio(start)}, Control: &mem.Store{}, Node: "n1"})
		change := func(what func(*control.Document)) {
			t.Helper()
			if err := o.Control.Change(t.Context(), "ev", func(d *control.Document) error { what(d); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		put(t, o, "/ev/a/v/init.mp4", initOf(t, "avc"))
		put(t, o, "/ev/a/a/init.mp4", initOf(t, "aac"))
		at(start, 11*time.Second)
		media := get(t, o, "/ev/v/index.m3u8")
		if strings.Contains(string(media.body), "GAP") {
			t.Errorf("nothing is masked, but there is a gap:\n%s", media.body)
		}
		change(func(d *control.Document) {
			d.Masks = []policy.Mask{{Pipeline: "a", From: 1, To: 3}, {Pipeline: "b", Rendition: "v", From: 2, To: 9}}
		})
		wantHas(t, "the video's playlist", get(t, o, "/ev/v/index.m3u8"), "\n1.m4s\n#EXTINF:2.000000,\n#EXT-X-GAP\n2.m4s\n#EXTINF:2.000000,\n#EXT-X-GAP\n3.m4s\n#EXTINF:2.000000,\n4.m4s\n")
		if a := get(t, o, "/ev/a/index.m3u8"); strings.Contains(string(a.body), "GAP") {
			t.Errorf("the audio of pipeline b is not masked, but there is a gap:\n%s", a.body)
		}

		before := get(t, o, "/ev/live.mpd")
		change(func(d *control.Document) { d.Last = new(int64(6)) })
		after := get(t, o, "/ev/live.mpd")
		wantHas(t, "the MPD of an event whose end is known", after, `type="dynamic"`, `mediaPresentationDuration="PT14S"`)
		if before.Header.Get("Etag") == after.Header.Get("Etag") {
			t.Errorf("the MPD has the same entity tag before and after the end is known")
		}
		if a := get(t, o, "/ev/a/index.m3u8"); strings.Contains(string(a.body), "ENDLIST") {
			t.Errorf("the playlist ends before the last segment is due:\n%s", a.body)
		}
		at(start, 30*time.Second) // segment 6 was due at 14 s
		wantHas(t, "the MPD of an event that is over", get(t, o, "/ev/live.mpd"), `type="static"`, `mediaPresentationDuration="PT14S"`)
		wantHas(t, "the playlist of an event that is over", get(t, o, "/ev/a/index.m3u8"), "\n6.m4s\n#EXT-X-ENDLIST\n")
		at(start, 60*time.Second) // the window is 40 s
		for _, path := range []string{"/ev/live.mpd", "/ev/master.m3u8", "/ev/v/index.m3u8"} {
			a := get(t, o, path)
			wantStatus(t, "GET "+path+" when nothing of the event is left", a, 410)
			wantHeader(t, "GET "+path+" when nothing of the event is left", a, "Origin-TTL-Ms", "60000")
		}
	})
}

// A node that could not read yet what operators have said does not know what is masked, or whether the event has ended.
func TestManifestsBeforeControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		broken := kv.Inject(&mem.Store{}, func(context.Context, kv.Op, func(context.Context) error) error {
			return errors.New("the store is broken")
		})
		o := origintest.Start(t, origintest.Config{Events: []config.Event{withAudio(start)}, Control: broken, Node: "n1"})
		put(t, o, "/ev/a/v/init.mp4", initOf(t, "avc"))
		put(t, o, "/ev/a/a/init.mp4", initOf(t, "aac"))
		at(start, 4*time.Second)
		for _, path := range []string{"/ev/live.mpd", "/ev/master.m3u8", "/ev/v/index.m3u8"} {
			wantStatus(t, "GET "+path, get(t, o, path), 503)
		}
	})
}

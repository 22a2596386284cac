package origin_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/origintest"
)

func box(kind string, content ...[]byte) []byte {
	b := bytes.Join(content, nil)
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(8+len(b))), kind...), b...)
}

func words(v ...uint32) (b []byte) {
	for _, w := range v {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return b
}

// header is an initialisation segment of one track.
func header(handler string, timescale uint32) []byte {
	return box("moov", box("trak", box("tkhd", words(0, 0, 0, 1)), box("mdia", box("mdhd", words(0, 0, 0, timescale, 0, 0)), box("hdlr", words(0, 0), []byte(handler)))))
}

// fragment is a media segment that begins at a time in ticks, with samples of one duration, and brands such as "slat".
func fragment(at int64, samples, duration uint32, brands string) []byte {
	return bytes.Join([][]byte{
		box("styp", []byte("msdh\x00\x00\x00\x00"+brands)),
		box("moof", box("mfhd", words(0, 1)), box("traf", box("tfhd", words(8, 1, duration)), box("tfdt", words(0x1000000, uint32(at>>32), uint32(at))), box("trun", words(0, samples)))),
		box("mdat", make([]byte, 100)),
	}, nil)
}

// unixEvent is the event ev whose numbers count from the Unix epoch, as redundant packagers do.
func unixEvent() config.Event {
	ev := origintest.Event(time.Unix(0, 0))
	ev.Renditions = config.Renditions("v1", "a1", "t1")
	return ev
}

// TestIngestNames: what packagers send, by the names that they use.
func TestIngestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev := origintest.Event(time.Now())
		ev.Renditions = []config.Rendition{{Name: "v1"}, {Name: "t1", Timescale: 1000, TimeNames: true}}
		strict := ev
		strict.Name, strict.HeaderFirst = "strict", true
		cfg := origintest.Config{Events: []config.Event{ev, strict}, Publishing: config.Publishing{Prefix: "/ingest"}, Commits: &mem.Store{}, Chunks: &mem.Store{}}
		o := origintest.Start(t, cfg)
		for _, tt := range []struct {
			name         string
			method, path string
			body         string
			header       []string
			status       int
		}{
			{"a segment", "PUT", "/ingest/ev/a/v1/1.m4s", "one", nil, 201},
			{"the same one by another type", "POST", "/ingest/ev/a/v1/1.cmfv", "one", nil, 200},
			{"and another", "PUT", "/ingest/ev/a/v1/1.mp4", "one", nil, 200},
			{"ffmpeg's header", "PUT", "/ingest/ev/a/v1/init_0.mp4", "header", nil, 201},
			{"the same header by another name", "PUT", "/ingest/ev/a/v1/v1.init", "header", nil, 200},
			{"a time", "PUT", "/ingest/ev/a/t1/6000.m4s", "six seconds", nil, 201},
			{"a time a little early", "PUT", "/ingest/ev/a/t1/5979.m4s", "six seconds", nil, 200},
			{"a time ahead of any clock", "PUT", "/ingest/ev/a/t1/36000000000.m4s", "x", nil, 400},
			{"a number beyond all numbers", "PUT", "/ingest/ev/a/v1/562949953421313.m4s", "x", nil, 400},
			{"an MPD", "PUT", "/ingest/ev/a/live.mpd", "<MPD type='dynamic'/>", nil, 201},
			{"an MPD again", "POST", "/ingest/ev/a/live.mpd", "<MPD type='dynamic'/>", []string{"Content-Type", "application/dash+xml"}, 200},
			{"a playlist", "PUT", "/ingest/ev/a/v1/index.m3u8", "#EXTM3U\n", []string{"Content-Type", "application/vnd.apple.mpegurl"}, 201},
			{"an empty manifest", "PUT", "/ingest/ev/a/other.mpd", "", nil, 200},
			{"a manifest of 2 MiB", "PUT", "/ingest/ev/a/live.mpd", strings.Repeat("x", 2<<20), nil, 413},
			{"an empty body", "POST", "/ingest/ev/a/v1/2.m4s", "", nil, 200},
			{"delete", "DELETE", "/ingest/ev/a/v1/1.m4s", "", nil, 200},
			{"delete of a playlist", "DELETE", "/ingest/ev/a/v1/index.m3u8", "", nil, 200},
			{"outside of the prefix", "PUT", "/ev/a/v1/3.m4s", "x", nil, 403},
			{"beside the prefix", "PUT", "/ingested/ev/a/v1/3.m4s", "x", nil, 403},
			{"out of the prefix", "PUT", "/ingest/../ev/a/v1/3.m4s", "x", nil, 403},
			{"the prefix alone", "PUT", "/ingest", "x", nil, 400},
			{"an unknown event's manifest", "PUT", "/ingest/other/a/live.mpd", "<MPD/>", nil, 404},
			{"an unknown pipeline's manifest", "PUT", "/ingest/ev/c/live.mpd", "<MPD/>", nil, 404},
			{"an unknown rendition's playlist", "PUT", "/ingest/ev/a/v9/index.m3u8", "#EXTM3U\n", nil, 404},
			{"a transport stream", "PUT", "/ingest/ev/a/v1/3.ts", "G", nil, 415},
			{"a transport stream in disguise", "PUT", "/ingest/ev/a/v1/3.m4s", "G", []string{"Content-Type", "video/mp2t"}, 415},
			{"a form", "POST", "/ingest/ev/a/v1/3.m4s", "x", []string{"Content-Type", "multipart/form-data; boundary=x"}, 415},
			{"a nonsense of a type", "POST", "/ingest/ev/a/v1/3.m4s", "x", []string{"Content-Type", ";;"}, 415},
			{"a type that fits", "POST", "/ingest/ev/a/v1/3.m4s", "x", []string{"Content-Type", "video/iso.segment"}, 201},
			{"Shaka's type", "POST", "/ingest/ev/a/v1/4.m4s", "x", []string{"Content-Type", "application/octet-stream"}, 201},
			{"a whole track", "POST", "/ingest/ev/a/Streams(v1.cmfv)", "x", nil, 400},
			{"media ahead of its header", "PUT", "/ingest/strict/a/v1/5.m4s", "x", nil, 412},
			{"the header", "PUT", "/ingest/strict/a/v1/init.mp4", "h", nil, 201},
			{"media after it", "PUT", "/ingest/strict/a/v1/5.m4s", "x", nil, 201},
			{"media of the other pipeline", "PUT", "/ingest/strict/b/v1/5.m4s", "x", nil, 412},
			{"a read", "GET", "/ingest/ev/a/v1/1.m4s", "", nil, 405},
			{"a look", "HEAD", "/ingest/ev/a/v1/1.m4s", "", nil, 405},
			{"options", "OPTIONS", "/ingest/ev/a/v1/1.m4s", "", nil, 405},
		} {
			a := do(t, o, tt.method, o.PublishURL+tt.path, strings.NewReader(tt.body), tt.header...)
			wantStatus(t, tt.name, a, tt.status)
			if tt.status == 405 {
				wantHeader(t, tt.name, a, "Allow", "PUT, POST, DELETE")
			}
		}
		// Another node finds the header in the store.
		other := origintest.Start(t, cfg)
		wantStatus(t, "media at another node", put(t, other, "/ingest/strict/a/v1/6.m4s", []byte("x")), 201)

		time.Sleep(10 * time.Second)
		for path, want := range map[string]string{"/ev/v1/1.m4s": "one", "/ev/v1/init.mp4": "header", "/ev/t1/3.m4s": "six seconds"} {
			if a := get(t, o, path); a.StatusCode != 200 || string(a.body) != want {
				t.Errorf("GET %s = %d %q, want 200 %q", path, a.StatusCode, a.body, want)
			}
		}
		got := o.Publish.Stats().Feeds["ev/a"].Received
		if len(got) != 2 || got["live.mpd"].Count != 2 || got["live.mpd"].AgeSeconds != 10 || got["v1/index.m3u8"].Bytes != 8 {
			t.Errorf("Stats().Feeds[ev/a].Received = %+v, want live.mpd twice and v1/index.m3u8", got)
		}
	})
}

// TestReceivedIsBounded: a packager that invents names fills no memory.
func TestReceivedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := origintest.Start(t, origintest.Config{})
		for i := range 200 {
			wantStatus(t, "PUT of a manifest", put(t, o, fmt.Sprintf("/ev/a/%d.mpd", i), []byte("<MPD/>")), 201)
		}
		if n := len(o.Publish.Stats().Feeds["ev/a"].Received); n != 64 {
			t.Errorf("%d manifests are listed, want 64", n)
		}
	})
}

// TestEpochLock: what a segment's boxes say is compared with the clock and with the segment before it.
func TestEpochLock(t *testing.T) {
	const (
		video = 12800 // ticks per second
		audio = 48000
		// n begins 20 s after the instant at which bubbles do: all is published early, which is allowed.
		n = 946684800/2 + 10
	)
	v := func(n int64) int64 { return 2 * n * video }
	a := func(n int64) int64 { return 2 * n * audio }
	first := fragment(v(n), 50, video/25, "")
	for _, tt := range []struct {
		name      string
		rendition string
		number    int64
		before    []byte // segment number-1
		body      []byte
		want      string // Origin-Defects
		slate     string
		offset    float64 // ms
	}{
		{"on time", "v1", n, nil, first, "", "", 0},
		{"on time after its predecessor", "v1", n + 1, first, fragment(v(n+1), 50, video/25, ""), "", "", 0},
		{"a segment late", "v1", n, nil, fragment(v(n+1), 50, video/25, ""), "discontinuity", "", 2000},
		{"a thousand segments early", "v1", n, nil, fragment(v(n-1000), 50, video/25, ""), "discontinuity", "", -2e6},
		{"a time of its own", "v1", n, nil, fragment(0, 50, video/25, ""), "discontinuity", "", float64(-2000 * n)},
		{"600 ms late", "v1", n, nil, fragment(v(n)+video*6/10, 50, video/25, ""), "discontinuity", "", 600},
		{"a frame late", "v1", n, nil, fragment(v(n)+video/25, 50, video/25, ""), "", "", 40},
		{"a frame after its predecessor's end", "v1", n + 1, first, fragment(v(n+1)+video/25, 50, video/25, ""), "discontinuity", "", 40},
		{"one tick after it", "v1", n + 1, first, fragment(v(n+1)+1, 50, video/25, ""), "", "", 0.078},
		{"a frame missing", "v1", n, nil, fragment(v(n), 49, video/25, ""), "short", "", 0},
		{"a frame too many", "v1", n, nil, fragment(v(n), 51, video/25, ""), "discontinuity", "", 0},
		{"half of it", "v1", n, nil, fragment(v(n), 25, video/25, ""), "short", "", 0},
		{"59.94 in 2 s", "v1", n, nil, fragment(v(n), 120, 213, ""), "", "", 0}, // 1001/60000 s are 213.5 ticks
		{"no sample", "v1", n, nil, fragment(v(n), 0, 0, ""), "missing", "", 0},
		{"93 frames of AAC", "a1", n, nil, fragment(a(n)+256, 93, 1024, ""), "", "", 5.333},
		{"94 frames of AAC, primed", "a1", n, nil, fragment(a(n)-1024, 94, 1024, ""), "", "", -21.333},
		{"92 frames of AAC", "a1", n, nil, fragment(a(n), 92, 1024, ""), "short", "", 0},
		{"AAC after its predecessor", "a1", n + 1, fragment(a(n)-1024, 94, 1024, ""), fragment(a(n)+93*1024, 94, 1024, ""), "", "", -16},
		{"AAC without a frame", "a1", n + 1, fragment(a(n)-1024, 94, 1024, ""), fragment(a(n)+94*1024, 93, 1024, ""), "discontinuity", "", 5.333},
		{"slate", "v1", n, nil, fragment(v(n), 50, video/25, "slat"), "", "?1", 0},
		{"slate, short, somewhere else", "v1", n, nil, fragment(v(n+5), 40, video/25, "cmfsslat"), "short, discontinuity", "?1", 10000},
		{"cut off", "v1", n, nil, first[:len(first)-10], "short", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := origintest.Start(t, origintest.Config{Events: []config.Event{unixEvent()}})
				wantStatus(t, "PUT of the header", put(t, o, "/ev/a/v1/init.mp4", header("vide", video)), 201)
				wantStatus(t, "PUT of the header", put(t, o, "/ev/a/a1/init.mp4", header("soun", audio)), 201)
				wantStatus(t, "PUT of the header", put(t, o, "/ev/a/t1/init.mp4", header("subt", video)), 201)
				if tt.before != nil {
					wantStatus(t, "PUT of the predecessor", put(t, o, fmt.Sprintf("/ev/a/%s/%d.m4s", tt.rendition, tt.number-1), tt.before), 201)
				}
				path := fmt.Sprintf("/%s/%d.m4s", tt.rendition, tt.number)
				a := put(t, o, "/ev/a"+path, tt.body)
				wantStatus(t, "PUT", a, 201)
				wantHeader(t, "PUT", a, "Origin-Defects", tt.want)
				wantHeader(t, "PUT", a, "Origin-Slate", tt.slate)

				s := o.Publish.Stats().Feeds["ev/a"]
				if got := s.OffsetMS[tt.rendition]; got != tt.offset {
					t.Errorf("OffsetMS[%s] = %v, want %v", tt.rendition, got, tt.offset)
				}
				counted := map[string]int64{"short": s.Short, "discontinuity": s.Discontinuities, "missing": s.Missing}
				for flaw, n := range counted {
					if want := strings.Contains(tt.want, flaw); (n == 1) != want || n > 1 {
						t.Errorf("%d segments counted as %s, want that: %v", n, flaw, want)
					}
				}
				if s.Unlocked != 0 || s.Foreign != 0 || s.Malformed != 0 || s.Slates != int64(len(tt.slate)/2) {
					t.Errorf("Stats().Feeds[ev/a] = %+v", s)
				}
			})
		})
	}
}

// TestFoundFlawsDecide: a copy that was found to be flawed is marked, and gives way to a sound one.
func TestFoundFlawsDecide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o := origintest.Start(t, origintest.Config{})
		for _, pipeline := range []string{"a", "b"} {
			wantStatus(t, "PUT of the header", put(t, o, "/ev/"+pipeline+"/v1/init.mp4", header("vide", 1000)), 201)
		}
		for n := range int64(2) {
			put(t, o, fmt.Sprintf("/ev/a/v1/%d.m4s", n), fragment(2000*n, 49, 40, ""))
		}
		put(t, o, "/ev/b/v1/0.m4s", fragment(0, 50, 40, ""))
		at(start, 10*time.Second)
		a := get(t, o, "/ev/v1/0.m4s")
		wantHeader(t, "GET of what b has whole", a, "Origin-Pipeline", "b")
		wantHeader(t, "GET of what b has whole", a, "Origin-Defects", "")
		a = get(t, o, "/ev/v1/1.m4s")
		wantHeader(t, "GET of what a alone has", a, "Origin-Pipeline", "a")
		wantHeader(t, "GET of what a alone has", a, "Origin-Defects", "short, discontinuity") // its predecessor ended too early
	})
}

// TestInspectionWithoutHeader: a node that was not given the header reads it from the store; without one continuity remains.
func TestInspectionWithoutHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64 // reads of a header
		commits := kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			if !op.Write && strings.HasSuffix(op.Key.Part, "/init") {
				asked.Add(1)
			}
			return do(ctx)
		})
		cfg := origintest.Config{Commits: commits, Chunks: &mem.Store{}, Events: []config.Event{origintest.Event(time.Now())}}
		first := origintest.Start(t, cfg)
		put(t, first, "/ev/a/v1/init.mp4", header("vide", 1000))
		second := origintest.Start(t, cfg)
		wantHeader(t, "PUT at a node that was not given the header", put(t, second, "/ev/a/v1/1.m4s", fragment(2000, 49, 40, "")), "Origin-Defects", "short")
		wantHeader(t, "PUT without a header", put(t, second, "/ev/a/v2/1.m4s", fragment(7777, 50, 40, "")), "Origin-Defects", "")
		before := asked.Load()
		wantHeader(t, "PUT without a header", put(t, second, "/ev/a/v2/2.m4s", fragment(9999, 50, 40, "")), "Origin-Defects", "discontinuity")
		if n := asked.Load() - before; n != 0 {
			t.Errorf("%d reads of a header that the store did not have a moment ago", n)
		}
		time.Sleep(10 * time.Second)
		put(t, first, "/ev/a/v2/init.mp4", header("vide", 1000))
		wantHeader(t, "PUT after the header came to another node", put(t, second, "/ev/a/v2/7.m4s", fragment(9999, 50, 40, "")), "Origin-Defects", "discontinuity")
		s := second.Publish.Stats().Feeds["ev/a"]
		if s.Inspected != 4 || s.Unlocked != 2 {
			t.Errorf("Stats().Feeds[ev/a] = %+v, want 4 inspected, 2 of them unlocked", s)
		}
	})
}

// TestUninspected: what is no ISO BMFF, or nobody wants looked into, is taken as it is.
func TestUninspected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plain, unseen := origintest.Event(time.Now()), origintest.Event(time.Now())
		unseen.Name, unseen.Inspect = "unseen", new(bool)
		o := origintest.Start(t, origintest.Config{Events: []config.Event{plain, unseen}})
		put(t, o, "/unseen/a/v1/init.mp4", header("vide", 1000))
		for path, body := range map[string][]byte{
			"/ev/a/v1/1.m4s":     []byte("G@ a transport stream"),
			"/ev/a/v1/2.m4s":     box("styp", make([]byte, 16)),
			"/ev/a/v1/3.m4s":     append(box("moof"), 0, 0, 0, 7, 'm', 'o', 'o', 'f'),
			"/unseen/a/v1/1.m4s": fragment(0, 1, 1, "slat"),
		} {
			a := put(t, o, path, body)
			wantStatus(t, path, a, 201)
			wantHeader(t, path, a, "Origin-Defects", "")
			wantHeader(t, path, a, "Origin-Slate", "")
		}
		feeds := o.Publish.Stats().Feeds
		if s := feeds["ev/a"]; s.Foreign != 1 || s.Malformed != 2 || s.Inspected != 0 {
			t.Errorf("Stats().Feeds[ev/a] = %+v, want 1 foreign, 2 malformed", s)
		}
		if s, ok := feeds["unseen/a"]; ok {
			t.Errorf("Stats().Feeds[unseen/a] = %+v, want none", s)
		}
	})
}

// TestMalformedHeader: an initialisation segment that can not be decoded is marked, does not displace a sound one, and does not keep one
// out, at a node that knows of it and at one that does not.
func TestMalformedHeader(t *testing.T) {
	sound := header("vide", 1000)
	const path = "/ev/a/v1/init.mp4"
	for name, broken := range map[string][]byte{
		"cut off":      sound[:len(sound)-9],
		"without moov": box("ftyp", []byte("iso6\x00\x00\x00\x00")),
		"no track":     box("moov"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := origintest.Config{Events: []config.Event{unixEvent()}, Commits: &mem.Store{}, Chunks: &mem.Store{}}
				first, second := origintest.Start(t, cfg), origintest.Start(t, cfg)
				a := put(t, first, path, broken)
				wantStatus(t, "PUT of the broken one", a, 201)
				wantHeader(t, "PUT of the broken one", a, "Origin-Defects", "missing")
				wantHeader(t, "GET of the broken one", get(t, second, "/ev/v1/init.mp4"), "Origin-Defects", "missing")
				if s := first.Publish.Stats().Feeds["ev/a"]; s.Malformed != 1 {
					t.Errorf("Stats().Feeds[ev/a] = %+v, want 1 malformed", s)
				}
				a = put(t, second, path, sound)
				wantStatus(t, "PUT of the sound one to the other node", a, 200)
				wantHeader(t, "PUT of the sound one to the other node", a, "Origin-Kept", "")
				time.Sleep(6 * time.Second)
				synctest.Wait()
				for _, o := range []*origintest.Origin{first, second} {
					wantHeader(t, "PUT of the broken one again", put(t, second, path, broken), "Origin-Kept", "?1")
					a = get(t, o, "/ev/v1/init.mp4")
					wantHeader(t, "GET of the sound one", a, "Origin-Defects", "")
					if !bytes.Equal(a.body, sound) {
						t.Errorf("GET of the sound one = %x, want %x", a.body, sound)
					}
				}
				// What is known of the sound one is not forgotten for the broken one: times are in its timescale.
				n := time.Now().Unix() / 2
				put(t, second, fmt.Sprintf("/ev/a/v1/%d.m4s", n), fragment(2000*n, 50, 40, ""))
				if s := second.Publish.Stats().Feeds["ev/a"]; s.Inspected != 1 || s.Unlocked != 0 {
					t.Errorf("Stats().Feeds[ev/a] = %+v, want 1 segment that is compared with the clock", s)
				}
			})
		})
	}
}

// TestEndOfPipeline: brands and manifests say that a pipeline has ended, and what comes after them that it has not.
func TestEndOfPipeline(t *testing.T) {
	seg := func(n int64, brands string) []byte { return fragment(2000*n, 50, 40, brands) }
	type step struct {
		path string
		body []byte
		want string // Origin-Ended of the answer
	}
	for name, steps := range map[string][]step{
		"brand": {
			{"/ev/a/v1/5.m4s", seg(5, ""), ``}, {"/ev/a/v2/5.m4s", seg(5, ""), ``},
			{"/ev/a/v1/6.m4s", seg(6, "lmsg"), ``}, {"/ev/a/v2/6.m4s", seg(6, "lmsg"), `"a"`},
			{"/ev/b/v1/6.m4s", seg(6, "lmsg"), `"a", "b"`},
			{"/ev/a/v1/7.m4s", seg(7, ""), `"b"`},
		},
		"playlist": {
			{"/ev/a/v1/5.m4s", seg(5, ""), ``},
			{"/ev/a/v1/index.m3u8", []byte("#EXTM3U\n#EXTINF:2,\n5.m4s\n"), ``},
			{"/ev/a/v1/index.m3u8", []byte("#EXTM3U\n#EXTINF:2,\n5.m4s\r\n#EXTINF:2,\nhttp://host/x/6.m4s?x=/9.m4s\n#EXT-X-ENDLIST\r\n"), `"a"`},
			{"/ev/a/v1/6.m4s", seg(6, ""), `"a"`}, // it overtook the segment
			{"/ev/a/v1/7.m4s", seg(7, ""), ``},
			{"/ev/a/v1/index.m3u8", []byte("#EXTM3U\n#EXT-X-ENDLIST"), `"a"`},
			{"/ev/a/v1/index.m3u8", []byte("#EXTM3U\n"), ``},
		},
		"MPD": {
			{"/ev/a/v1/5.m4s", seg(5, ""), ``},
			{"/ev/a/live.mpd", []byte(`<?xml version="1.0"?><!-- x --><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic"></MPD>`), ``},
			{"/ev/a/live.mpd", []byte(`<?xml version="1.0"?><MPD type="static"></MPD>`), `"a"`},
			{"/ev/a/live.mpd", []byte(`<MPD type="dynamic">`), ``},
			{"/ev/a/live.mpd", []byte(`<MPD profiles="x">`), `"a"`},
			{"/ev/a/live.mpd", []byte(`<html type="static">`), ``},
			{"/ev/a/live.mpd", []byte(`MPD`), ``},
		},
		"MPD of a pipeline that published nothing": {{"/ev/a/live.mpd", []byte(`<MPD type="static"/>`), ``}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := origintest.Start(t, origintest.Config{})
				for i, s := range steps {
					wantHeader(t, fmt.Sprintf("step %d, PUT %s", i+1, s.path), put(t, o, s.path, s.body), "Origin-Ended", s.want)
				}
			})
		})
	}
}

// TestEventEndsWithItsPipelines: an event ends when all its pipelines have, whichever nodes they told, and goes on if one does.
func TestEventEndsWithItsPipelines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cfg := origintest.Config{Control: &mem.Store{}, Commits: &mem.Store{}, Chunks: &mem.Store{}, Writers: []string{"p1", "p2"}, Node: "p1", Events: []config.Event{origintest.Event(start)}}
		one := origintest.Start(t, cfg)
		cfg.Node = "p2"
		two := origintest.Start(t, cfg)
		seg := func(n int64, brands string) []byte { return fragment(2000*n, 50, 40, brands) }
		publish := func(o *origintest.Origin, pipeline string, n int64, brands, want string) {
			t.Helper()
			a := put(t, o, fmt.Sprintf("/ev/%s/v1/%d.m4s", pipeline, n), seg(n, brands))
			wantStatus(t, "PUT", a, 201)
			wantHeader(t, fmt.Sprintf("PUT of segment %d by %s", n, pipeline), a, "Origin-Ended", want)
		}
		publish(one, "a", 3, "", "")
		publish(two, "b", 3, "", "")
		publish(one, "a", 4, "lmsg", `"a"`)
		time.Sleep(time.Second)
		publish(two, "b", 4, "", `"a"`)
		at(start, 15*time.Second)
		// What has not ended for all has not ended: number 6 is next, and would be held until its deadline.
		if a := get(t, one, "/ev/v1/6.m4s"); a.StatusCode != 410 || a.took < time.Second {
			t.Errorf("GET of what comes next = %d after %v, want 410 after a hold", a.StatusCode, a.took)
		}
		// A playlist may overtake the last segment that it lists.
		wantHeader(t, "PUT of a playlist", put(t, two, "/ev/b/v1/index.m3u8", []byte("#EXTM3U\n5.m4s\n#EXT-X-ENDLIST\n")), "Origin-Ended", `"a", "b"`)
		publish(two, "b", 5, "", `"a", "b"`)
		time.Sleep(time.Second)
		wantStatus(t, "GET of the last segment", get(t, one, "/ev/v1/5.m4s"), 200)
		for _, o := range []*origintest.Origin{one, two} {
			n := int64(time.Since(start)/(2*time.Second)) - 1
			if a := get(t, o, fmt.Sprintf("/ev/v1/%d.m4s", n+1)); a.StatusCode != 410 || a.took > time.Millisecond {
				t.Errorf("GET after the end = %d after %v, want 410 at once", a.StatusCode, a.took)
			}
		}
		// One of them goes on, at the other node.
		next := int64(time.Since(start) / (2 * time.Second))
		publish(one, "b", next, "", `"a"`)
		time.Sleep(time.Second)
		wantStatus(t, "GET after the event went on", get(t, two, fmt.Sprintf("/ev/v1/%d.m4s", next)), 200)
	})
}

// TestRefusedBodyIsReadOn: a sender that is still writing gets to see why it was refused, and may send its next segment on the
// same connection.
func TestRefusedBodyIsReadOn(t *testing.T) {
	ev := origintest.Event(time.Now().Add(-time.Minute))
	ev.MaxSegment = 1 << 20
	o := origintest.Start(t, origintest.Config{Events: []config.Event{ev}, Loopback: true})
	for _, tt := range []struct {
		name, path string
		size       int
		chunked    bool
		status     int
		stays      bool // the connection
	}{
		{"announced too large", "/ev/a/v1/1.m4s", 16 << 20, false, 413, false},
		{"found too large", "/ev/a/v1/1.m4s", 16 << 20, true, 413, false},
		{"to an unknown event", "/none/a/v1/1.m4s", 4 << 20, false, 404, true},
		{"to an unknown event in chunks", "/none/a/v1/1.m4s", 4 << 20, true, 404, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(o.PublishURL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			length := fmt.Sprintf("Content-Length: %d", tt.size)
			if tt.chunked {
				length = "Transfer-Encoding: chunked"
			}
			if _, err := fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: o\r\n%s\r\n\r\n", tt.path, length); err != nil {
				t.Fatal(err)
			}
			block := make([]byte, 64<<10)
			for range tt.size / len(block) {
				if tt.chunked {
					fmt.Fprintf(conn, "%x\r\n", len(block))
				}
				if _, err := conn.Write(block); err != nil {
					t.Fatalf("writing the body: %v", err)
				}
				if tt.chunked {
					fmt.Fprint(conn, "\r\n")
				}
			}
			if tt.chunked {
				fmt.Fprint(conn, "0\r\n\r\n")
			}
			in := bufio.NewReader(conn)
			read := func() *http.Response {
				t.Helper()
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatalf("reading the answer: %v", err)
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil {
					t.Fatalf("reading the answer: %v", err)
				}
				return resp
			}
			if resp := read(); resp.StatusCode != tt.status || resp.Close == tt.stays {
				t.Errorf("the answer is %d, Connection: close: %v, want %d, %v", resp.StatusCode, resp.Close, tt.status, !tt.stays)
			}
			if tt.stays {
				fmt.Fprint(conn, "PUT /ev/a/v1/1.m4s HTTP/1.1\r\nHost: o\r\nContent-Length: 3\r\n\r\none")
				if resp := read(); resp.StatusCode/100 != 2 {
					t.Errorf("the next request on the connection is answered %d", resp.StatusCode)
				}
			}
		})
	}
}

// TestExpectContinue: a sender that waits to be told is told to continue, or why not without having sent anything.
func TestExpectContinue(t *testing.T) {
	o := origintest.Start(t, origintest.Config{Events: []config.Event{origintest.Event(time.Now().Add(-time.Minute))}, Loopback: true})
	conn, err := net.Dial("tcp", strings.TrimPrefix(o.PublishURL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	expect := func(what string, status int) {
		t.Helper()
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != status {
			t.Fatalf("%s: the answer is %v, %v, want %d", what, resp, err, status)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprint(conn, "PUT /ev/a/v1/1.m4s HTTP/1.1\r\nHost: o\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	expect("a segment", 100)
	fmt.Fprint(conn, "one")
	expect("a segment", 201)
	began := time.Now()
	fmt.Fprint(conn, "PUT /ev/c/v1/1.m4s HTTP/1.1\r\nHost: o\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	expect("an unknown pipeline's segment", 404)
	if took := time.Since(began); took > 900*time.Millisecond {
		t.Errorf("the refusal took %v: a body was waited for that nobody sends", took)
	}
}

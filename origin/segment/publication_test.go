package segment_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/segment"
)

// TestParsePublication: names as packagers write them.
func TestParsePublication(t *testing.T) {
	at := func(o segment.Object, rendition string, value int64, name string) segment.Publication {
		return segment.Publication{Object: o, Event: "ev", Pipeline: "a", Rendition: rendition, Value: value, Name: name}
	}
	for _, tt := range []struct {
		path string
		want segment.Publication
	}{
		{"/ev/a/v1/882000000.m4s", at(segment.Media, "v1", 882000000, "882000000.m4s")},
		{"/ev/a/v1/0.mp4", at(segment.Media, "v1", 0, "0.mp4")},
		{"/ev/a/v1/7.m4v", at(segment.Media, "v1", 7, "7.m4v")},
		{"/ev/a/a1/7.m4a", at(segment.Media, "a1", 7, "7.m4a")},
		{"/ev/a/v1/7.cmfv", at(segment.Media, "v1", 7, "7.cmfv")},
		{"/ev/a/a1/7.cmfa", at(segment.Media, "a1", 7, "7.cmfa")},
		{"/ev/a/t1/7.cmft", at(segment.Media, "t1", 7, "7.cmft")},
		{"/ev/a/m1/7.cmfm", at(segment.Media, "m1", 7, "7.cmfm")},
		{"/ev/a/v1/17640000000000000.m4s", at(segment.Media, "v1", 17640000000000000, "17640000000000000.m4s")}, // $Time$ at 10 MHz
		{"/ev/a/v1/init.mp4", at(segment.Header, "v1", 0, "init.mp4")},
		{"/ev/a/v1/init_0.mp4", at(segment.Header, "v1", 0, "init_0.mp4")}, // ffmpeg's HLS muxer with var_stream_map
		{"/ev/a/v1/init-stream2.m4s", at(segment.Header, "v1", 0, "init-stream2.m4s")},
		{"/ev/a/v1/init.cmfv", at(segment.Header, "v1", 0, "init.cmfv")},
		{"/ev/a/v1/v1.init", at(segment.Header, "v1", 0, "v1.init")},
		{"/ev/a/v1/v1.header", at(segment.Header, "v1", 0, "v1.header")},
		{"/ev/a/live.mpd", at(segment.MPD, "", 0, "live.mpd")},
		{"/ev/a/master.m3u8", at(segment.Playlist, "", 0, "master.m3u8")},
		{"/ev/a/v1/index.m3u8", at(segment.Playlist, "v1", 0, "index.m3u8")},
		{"/ev/a/v1/manifest.mpd", at(segment.MPD, "v1", 0, "manifest.mpd")},
	} {
		got, err := segment.ParsePublication(tt.path)
		if err != nil || got != tt.want {
			t.Errorf("ParsePublication(%s) = %+v, %v, want %+v", tt.path, got, err, tt.want)
		}
		if want := tt.want.Value; tt.want.Object == segment.Media && got.ID().Number != want || tt.want.Object == segment.Header && got.ID().Number != segment.Init {
			t.Errorf("ParsePublication(%s).ID() = %v", tt.path, got.ID())
		}
	}
}

func TestParsePublicationRefuses(t *testing.T) {
	if id, err := segment.ParsePublish("/ev/a/live.mpd"); !errors.Is(err, segment.ErrName) {
		t.Errorf("ParsePublish of a manifest = %v, %v, want ErrName", id, err)
	}
	if id, err := segment.ParsePublish("/ev/a/v1/562949953421313.m4s"); !errors.Is(err, segment.ErrName) {
		t.Errorf("ParsePublish of a time = %v, %v, want ErrName", id, err)
	}
	for path, want := range map[string]error{
		"":                                   segment.ErrName,
		"ev/a/v1/1.m4s":                      segment.ErrName,
		"/ev/v1":                             segment.ErrName,
		"/ev/live.mpd":                       segment.ErrName, // whose?
		"/ev/a/1.m4s":                        segment.ErrName,
		"/ev/a/init.mp4":                     segment.ErrName,
		"/ev/a/b/v1/1.m4s":                   segment.ErrName,
		"/ev/a/v1/1":                         segment.ErrName,
		"/ev/a/v1/.m4s":                      segment.ErrName,
		"/ev/a/v1/.mpd":                      segment.ErrName,
		"/ev/a/v1/01.m4s":                    segment.ErrName,
		"/ev/a/v1/+1.m4s":                    segment.ErrName,
		"/ev/a/v1/-1.m4s":                    segment.ErrName,
		"/ev/a/v1/1e3.m4s":                   segment.ErrName,
		"/ev/a/v1/1.M4S":                     segment.ErrName,
		"/ev/a/v1/1.m4s.m4s":                 segment.ErrName,
		"/ev/a/v1/initial.mp4":               segment.ErrName,
		"/ev/a/v1/9223372036854775807.m4s":   segment.ErrName,
		"/ev/a/v1/92233720368547758070.m4s":  segment.ErrName,
		"/ev/a/v 1/1.m4s":                    segment.ErrName,
		"/ev/a/v%31/1.m4s":                   segment.ErrName,
		"/ev/a/v1/li\nve.mpd":                segment.ErrName,
		"/ev/a/Streams(v1.cmfv)":             segment.ErrName,
		"/ev/a/" + strings.Repeat("x", 5000): segment.ErrName,
		"/":                                  segment.ErrOutside,
		"/ev/a/v1/":                          segment.ErrOutside,
		"//a/v1/1.m4s":                       segment.ErrOutside,
		"/ev/../v1/1.m4s":                    segment.ErrOutside,
		"/ev/a/./1.m4s":                      segment.ErrOutside,
		"/ev/a/v1/../../b/v1/1.m4s":          segment.ErrOutside,
		"/ev/a/v1/1.m4s/":                    segment.ErrOutside,
		"/ev/a/v1/1.ts":                      segment.ErrType,
		"/ev/a/v1/1.vtt":                     segment.ErrType,
		"/ev/a/v1/live.html":                 segment.ErrType,
	} {
		if got, err := segment.ParsePublication(path); !errors.Is(err, want) {
			t.Errorf("ParsePublication(%.60q) = %+v, %v, want an error that wraps %q", path, got, err, want)
		} else if len(err.Error()) > 800 {
			t.Errorf("ParsePublication(%.60q): an error of %d bytes", path, len(err.Error()))
		}
	}
	if _, err := segment.ParsePublication("/ev/a/Streams(v1.cmfv)"); err == nil || !strings.Contains(err.Error(), "SegmentTemplate") {
		t.Errorf("ParsePublish of a track's name = %v, which does not say what to do", err)
	}
}

func FuzzParsePublication(f *testing.F) {
	for _, s := range []string{"/e/p/r/1.m4s", "/e/p/r/init.mp4", "/e/p/r/init_0.cmfv", "/e/p/live.mpd", "/e/p/r/i.m3u8", "/e/p/r/01.m4s", "/../p/r/1.m4s", "/e/p/r/x.header", "/e/p/Streams(r.cmfv)", "/e/p/r/1.ts"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		p, err := segment.ParsePublication(path)
		if err != nil {
			if !errors.Is(err, segment.ErrName) && !errors.Is(err, segment.ErrOutside) && !errors.Is(err, segment.ErrType) {
				t.Errorf("ParsePublication(%q): %v wraps none of the errors that it promises", path, err)
			}
			return
		}
		want := "/" + p.Event + "/" + p.Pipeline + "/"
		if p.Rendition != "" {
			want += p.Rendition + "/"
		}
		if want+p.Name != path {
			t.Errorf("ParsePublication(%q) = %+v, which is not its parts", path, p)
		}
		segmentOf := p.Object == segment.Media || p.Object == segment.Header
		for _, name := range []string{p.Event, p.Pipeline, p.Rendition, p.Name} {
			if err := segment.CheckName(name); err != nil && (name != p.Rendition || segmentOf || name != "") {
				t.Errorf("ParsePublication(%q) = %+v: %v", path, p, err)
			}
		}
		if p.Value < 0 || p.Object != segment.Media && p.Value != 0 || p.Object == segment.Header != (p.ID().Number == segment.Init) {
			t.Errorf("ParsePublication(%q) = %+v", path, p)
		}
	})
}

func TestAt(t *testing.T) {
	unix := segment.Template{Start: time.Unix(0, 0)}
	ntsc := segment.Template{Start: epoch, StartNumber: 100, Ticks: 120120, Timescale: 60000}
	for _, tt := range []struct {
		name             string
		tmpl             segment.Template
		ticks, timescale int64
		n                int64
		off              time.Duration
		ok               bool
	}{
		{"begin", unix, 1764000000 * 12800, 12800, 882000000, 0, true},
		{"audio's priming", unix, 1764000000*48000 - 1024, 48000, 882000000, -1024 * time.Second / 48000, true},
		{"a little late", unix, 1764000000*48000 + 480, 48000, 882000000, 10 * time.Millisecond, true},
		{"just nearer to this one", unix, 1764000000*1000 + 1000, 1000, 882000000, time.Second, true},
		{"just nearer to the next", unix, 1764000000*1000 + 1001, 1000, 882000001, -999 * time.Millisecond, true},
		{"100 ns", unix, 17640000000000000, 10_000_000, 882000000, 0, true},
		{"59.94", ntsc, 900_000 * 120120, 60000, 900_100, 0, true},
		{"59.94, a frame late", ntsc, 900_000*120120 + 1001, 60000, 900_100, 16683333 * time.Nanosecond, true},
		{"59.94 in another timescale", ntsc, 900_000 * 180180, 90000, 900_100, 0, true},
		{"the first", ntsc, 0, 60000, 100, 0, true},
		{"no timescale", unix, 5, 0, 0, 0, false},
		{"an odd timescale", unix, 5, 1 << 32, 0, 0, false},
		{"a negative time", unix, -1, 1000, 0, 0, false},
		{"beyond all numbers", unix, math.MaxInt64, 1, 0, 0, false},
	} {
		n, off, ok := tt.tmpl.At(tt.ticks, tt.timescale)
		if n != tt.n || off != tt.off || ok != tt.ok {
			t.Errorf("%s: At(%d, %d) = %d, %v, %v, want %d, %v, %v", tt.name, tt.ticks, tt.timescale, n, off, ok, tt.n, tt.off, tt.ok)
		}
	}
}

// At and Begins are inverse to each other.
func FuzzAt(f *testing.F) {
	f.Add(int64(0), int64(0), int64(0), int64(1764000000*48000), int64(48000))
	f.Add(int64(5), int64(120120), int64(60000), int64(12345678901), int64(60000))
	f.Add(int64(1), int64(36_000_000_000), int64(10_000_000), int64(math.MaxInt64), int64(10_000_000))
	f.Fuzz(func(t *testing.T, number, length, scale, ticks, timescale int64) {
		tmpl := segment.Template{Start: time.Unix(0, 0), StartNumber: number, Ticks: length, Timescale: scale}
		if tmpl.Validate() != nil {
			return
		}
		n, off, ok := tmpl.At(ticks, timescale)
		if !ok {
			return
		}
		if half := tmpl.Duration()/2 + 1; off > half || off < -half {
			t.Errorf("%+v: At(%d, %d) = %d, %v: more than half a segment off", tmpl, ticks, timescale, n, off)
		}
		if ticks/timescale > 1e9 {
			return // beyond what the comparison below can hold
		}
		want := time.Unix(ticks/timescale, ticks%timescale*int64(time.Second)/timescale)
		if got := tmpl.Begins(n).Add(off); got.Sub(want).Abs() > 3 {
			t.Errorf("%+v: At(%d, %d) = %d, %v, which is %v, not %v", tmpl, ticks, timescale, n, off, got, want)
		}
	})
}

package manifest_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/manifest"
	"origin-storm/origin/segment"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	video = []config.Rendition{
		{Name: "v720", Kind: config.Video, Bandwidth: 3_000_000, Codecs: "avc1.64001f", Width: 1280, Height: 720, FrameRate: "25"},
		{Name: "v360", Kind: config.Video, Bandwidth: 800_000, Codecs: "avc1.64001e", Width: 640, Height: 360, FrameRate: "25"},
	}
	audio  = config.Rendition{Name: "a128", Kind: config.Audio, Bandwidth: 130_000, Codecs: "mp4a.40.2", SampleRate: 48000, Channels: 2, Language: "en"}
	german = config.Rendition{Name: "a128-de", Kind: config.Audio, Bandwidth: 131_000, Codecs: "mp4a.40.2", SampleRate: 48000, Channels: 2, Language: "de"}
	low    = config.Rendition{Name: "a64", Kind: config.Audio, Bandwidth: 64_000, Codecs: "mp4a.40.5", SampleRate: 48000, Channels: 2, Language: "en"}
	text   = config.Rendition{Name: "t-en", Kind: config.Text, Bandwidth: 2_000, Codecs: "wvtt", Language: "en"}

	epoch = segment.Template{Start: time.Unix(0, 0), PublishDelay: time.Second}
	// 120 frames at 60000/1001 per second, numbered from 1 when the event began.
	ntsc = segment.Template{Start: time.Date(2026, 6, 1, 19, 30, 0, 0, time.UTC), StartNumber: 1, Ticks: 120120, Timescale: 60000}
	now  = time.Date(2026, 6, 1, 20, 0, 0, 500e6, time.UTC)
)

// cases are events as the golden files show them, and as the readers of the tests read them.
var cases = map[string]manifest.Event{
	"epoch": {
		Template: epoch, Window: 20 * time.Second, Renditions: append(video[:2:2], audio), Began: now.Add(-time.Hour), Changed: now.Add(-time.Hour),
		Gap: func(r string, n int64) bool { return r == "v360" && n == epoch.Next(now)-3 },
	},
	"ntsc": {Template: ntsc, Window: 20 * time.Second, Renditions: append(video[:2:2], audio, german, low, text), Changed: now.Add(-time.Hour)},
	"ended": {
		Template: ntsc, Window: 20 * time.Second, Renditions: append(video[:1:1], audio), Changed: now.Add(-time.Hour),
		Ended: true, Last: ntsc.Next(now) - 3,
	},
	"ending": {
		Template: ntsc, Window: 20 * time.Second, Renditions: video[:1], Changed: now.Add(-time.Hour), Ended: true, Last: ntsc.Next(now) + 1,
	},
	"audio": {Template: epoch, Window: 20 * time.Second, Renditions: []config.Rendition{audio, low}, Changed: now.Add(-time.Hour)},
	// Nothing but what the origin makes up is known.
	"bare": {Template: epoch, Window: 20 * time.Second, Renditions: []config.Rendition{{Name: "v", Kind: config.Video, Bandwidth: 1e6}}, Changed: now},
}

func TestGolden(t *testing.T) {
	for name, e := range cases {
		t.Run(name, func(t *testing.T) {
			mpd, err := e.MPD(now)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".mpd", mpd)
			golden(t, name+".master.m3u8", e.Master())
			golden(t, name+".media.m3u8", e.Media(e.Renditions[min(1, len(e.Renditions)-1)].Name, now))
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what was generated; -update writes it anew. Generated:\n%s", file, got)
	}
}

func TestSpan(t *testing.T) {
	start := time.Date(2026, 6, 1, 19, 30, 0, 0, time.UTC)
	e := manifest.Event{Template: segment.Template{Start: start, StartNumber: 5, PublishDelay: time.Second}, Window: 40 * time.Second}
	for _, c := range []struct {
		name        string
		at          time.Duration
		end         int64 // 0: none
		first, last int64
		over        bool
	}{
		{"before the start", -time.Hour, 0, 5, 4, false},
		{"a moment before the first is due", 3*time.Second - 1, 0, 5, 4, false},
		{"the first is due", 3 * time.Second, 0, 5, 5, false},
		{"listed 30 s of 40 s", 33*time.Second - 1, 0, 5, 19, false},
		{"the first leaves the list", 33 * time.Second, 0, 6, 20, false},
		{"the end is known, and not here yet", 33 * time.Second, 21, 6, 20, false},
		{"the last is due", 35 * time.Second, 21, 7, 21, true},
		{"after the end", 45 * time.Second, 21, 12, 21, true},
		{"the last leaves the list", 65 * time.Second, 21, 22, 21, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := e
			e.Ended, e.Last = c.end != 0, c.end
			at := start.Add(c.at)
			if first, last := e.Span(at); first != c.first || last != c.last {
				t.Errorf("Span(start%+v) = %d, %d, want %d, %d", c.at, first, last, c.first, c.last)
			}
			if over := e.Over(at); over != c.over {
				t.Errorf("Over(start%+v) = %v, want %v", c.at, over, c.over)
			}
			if got := e.Media("v", at); (got == nil) != (c.last < c.first) {
				t.Errorf("Media(start%+v) = %q, want a playlist only if there is something to list", c.at, got)
			}
		})
	}
}

// What was due before the event's first initialisation segment was published is not listed, whatever the template counts from.
func TestBegan(t *testing.T) {
	began := time.Date(2026, 6, 1, 19, 59, 0, 0, time.UTC)
	e := manifest.Event{Template: epoch, Window: 2 * time.Hour, Began: began}
	// Segment n's media ends at (n+1)·2 s: the first is the one that ended as the event began, though it was due a second later only.
	want := began.Unix()/2 - 1
	if first, _ := e.Span(now); first != want {
		t.Errorf("Span: first = %d, due at %v, want %d", first, epoch.Due(first), want)
	}
	if first, last := e.Span(began.Add(-time.Minute)); last >= first {
		t.Errorf("Span before the event began = %d, %d, want nothing", first, last)
	}
}

// A manifest that cannot be right is not written.
func TestMPDRefused(t *testing.T) {
	e := cases["ended"]
	if b, err := e.MPD(now.Add(time.Hour)); err == nil {
		t.Errorf("MPD of an event of which nothing is left = %s, want an error", b)
	}
	e = cases["epoch"]
	e.Template = segment.Template{Start: now, Ticks: 20_000_000, Timescale: 10_000_000}
	e.Ended, e.Last = true, 1<<49
	if b, err := e.MPD(now); err == nil {
		t.Errorf("MPD whose media times overflow = %s, want an error", b)
	}
}

package ladder_test

import (
	"strings"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/manifest"
	"origin-storm/origin/segment"
	"origin-storm/scenarios"
	"origin-storm/scenarios/ladder"
)

const master = `#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aud",NAME="English, stereo",URI="audio/en/index.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=6000000,AVERAGE-BANDWIDTH=4500000,CODECS="avc1.640028,mp4a.40.2",AUDIO="aud"
v1080/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2500000,AUDIO="aud"
v720/index.m3u8?token=x
#EXT-X-STREAM-INF:BANDWIDTH=2600000,AUDIO="aud2"
v720/index.m3u8?token=x
`

const media = "#EXTM3U\n#EXTINF:2.002,\n1.m4s\n#EXTINF:2.002,\n2.m4s\n#EXTINF:1.5,\n3.m4s\n"

const timeline = `<MPD timeShiftBufferDepth="PT1H0M2.5S"><Period/><Period>
<SegmentTemplate timescale="90000"><SegmentTimeline><S d="90000"/><S d="180180" r="3"/></SegmentTimeline></SegmentTemplate>
<AdaptationSet mimeType="video/mp4"><Representation id="p0/video 1" bandwidth="3000000"/><Representation id="p0-video-1" bandwidth="1500000"/></AdaptationSet>
<AdaptationSet contentType="audio"><SegmentTemplate timescale="48000" duration="95232"/><Representation id="a"/></AdaptationSet>
</Period></MPD>`

// scenario writes the ladder as a scenario and reads that.
func scenario(t *testing.T, l ladder.Ladder) scenarios.Scenario {
	t.Helper()
	src := l.Scenario("event", "manifest")
	s, err := scenarios.Parse("imported.yaml", src)
	if err != nil {
		t.Fatalf("the scenario that was written is not valid: %v\n%s", err, src)
	}
	return s
}

func shape(s scenarios.Scenario) string {
	var b strings.Builder
	for _, r := range s.Event.Renditions {
		b.WriteString(r.Name + " " + r.Rate.String() + ", ")
	}
	return b.String() + s.Event.Segment.String() + ", " + s.Event.DVR.String()
}

func TestRead(t *testing.T) {
	hls := func(master, media string) func() (ladder.Ladder, error) {
		return func() (ladder.Ladder, error) {
			var m []byte
			if media != "" {
				m = []byte(media)
			}
			return ladder.ReadHLS([]byte(master), m)
		}
	}
	mpd := func(s string) func() (ladder.Ladder, error) {
		return func() (ladder.Ladder, error) { return ladder.ReadMPD([]byte(s)) }
	}
	for _, c := range []struct {
		name     string
		read     func() (ladder.Ladder, error)
		want     string
		warnings string // a part of them
	}{
		{"HLS", hls(master, media), "en 128kbit/s, v1080 4.5Mbit/s, v720 2.5Mbit/s, 2.002s, 5.504s", "count their audio, too"},
		{"HLS alone", hls(master, ""), "en 128kbit/s, v1080 4.5Mbit/s, v720 2.5Mbit/s, 2s, 2h0m0s", "give one of its media playlists with --media"},
		{"DASH with a timeline", mpd(timeline), "p0-video-1 3Mbit/s, p0-video-1-2 1.5Mbit/s, a 128kbit/s, 2.002s, 1h0m2.5s", "a (audio) has segments of 1.984 s"},
	} {
		l, err := c.read()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := shape(scenario(t, l))
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if !strings.Contains(strings.Join(l.Warnings, "\n"), c.warnings) {
			t.Errorf("%s: warnings %q, want %q among them", c.name, l.Warnings, c.warnings)
		}
	}
	for _, c := range []struct {
		name string
		read func() (ladder.Ladder, error)
		want string
	}{
		{"no XML", mpd("hello"), "not an MPD"},
		{"broken off", mpd("<MPD>\n<Period>\n"), "line 3: not an MPD"},
		{"a page", mpd("<html></html>"), "line 1: not an MPD"},
		{"no period", mpd("<MPD/>"), "it has no Period"},
		{"nothing to see", mpd("<MPD><Period/></MPD>"), "no Representation"},
		{"no playlist", hls("<MPD/>", ""), "line 1: it does not begin with #EXTM3U"},
		{"a media playlist", hls(media, ""), "line 2: #EXTINF: this is a media playlist; give it with --media"},
		{"no variants", hls("#EXTM3U\n", ""), "no #EXT-X-STREAM-INF"},
		{"a variant without a rate", hls("#EXTM3U\n\n#EXT-X-STREAM-INF:CODECS=\"x\"\nv\n", ""), `line 3: #EXT-X-STREAM-INF: BANDWIDTH="" is no bit rate`},
		{"a variant without URI", hls("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=5000\n", ""), "line 2: #EXT-X-STREAM-INF without a URI"},
		{"no segments", hls(master, "#EXTM3U\n"), "--media: it lists no segment"},
		{"a duration of words", hls(master, "#EXTM3U\n#EXTINF:two,\n"), "--media: line 2: #EXTINF:two is no duration"},
	} {
		if _, err := c.read(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}

// What the origin itself publishes is read back as it was.
func TestOwnManifests(t *testing.T) {
	e := manifest.Event{
		Template: segment.Template{Start: time.Unix(0, 0), Ticks: 120120, Timescale: 60000}, Window: 10 * time.Minute, Began: time.Unix(1_700_000_000, 0),
		Renditions: []config.Rendition{{Name: "v360", Kind: config.Video, Bandwidth: 800_000, Codecs: "avc1.64001e", Width: 640, Height: 360}, {Name: "v180", Kind: config.Video, Bandwidth: 300_000, Codecs: "avc1.64000d", Width: 320, Height: 180}},
	}
	now := time.Unix(1_700_003_600, 0)
	b, err := e.MPD(now)
	if err != nil {
		t.Fatal(err)
	}
	dash, err := ladder.ReadMPD(b)
	if err != nil {
		t.Fatal(err)
	}
	hls, err := ladder.ReadHLS(e.Master(), e.Media("v360", now))
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]ladder.Ladder{"MPD": dash, "playlists": hls} {
		s := scenario(t, l)
		if len(s.Event.Renditions) != 2 || s.Event.Renditions[0].Name != "v360" || s.Event.Renditions[0].Rate != 800_000 || s.Event.Segment.Duration() != 2002*time.Millisecond {
			t.Errorf("the origin's own %s: %s", name, shape(s))
		}
	}
}

// Whatever is read without an error is written as a valid scenario.
func fuzz(t *testing.T, l ladder.Ladder, err error) {
	if err != nil || len(l.Renditions) > 50 {
		return
	}
	for _, r := range l.Renditions {
		if r.Rate > 10_000_000 { // a segment might be larger than the origin takes
			return
		}
	}
	if l.DVR < 10*time.Second && l.DVR > 0 || l.Ticks > 0 && l.Ticks/l.Timescale > 10 || l.Ticks > 0 && l.Timescale/l.Ticks >= 1 { // or a clock that no origin has
		return
	}
	src := l.Scenario("event", "a manifest")
	if _, err := scenarios.Parse("imported.yaml", src); err != nil {
		t.Errorf("%v\n%s", err, src)
	}
}

func FuzzReadMPD(f *testing.F) {
	f.Add([]byte(timeline))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ladder.ReadMPD(b)
		fuzz(t, l, err)
	})
}

func FuzzReadHLS(f *testing.F) {
	f.Add([]byte(master), []byte(media))
	f.Fuzz(func(t *testing.T, b, m []byte) {
		l, err := ladder.ReadHLS(b, m)
		fuzz(t, l, err)
	})
}

package origin

import (
	"strings"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/segment"
)

// FuzzReceived: whatever a packager calls a manifest is looked at and survived.
func FuzzReceived(f *testing.F) {
	for _, s := range []string{
		`<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period/></MPD>`, `<MPD>`, `<!DOCTYPE x [<!ENTITY a "b">]><MPD type="&a;">`,
		"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n882000000.m4s\n#EXT-X-ENDLIST\n", "#EXTM3U\nhttp://host/v1/7.m4s?x=/8.m4s\r\n#EXT-X-ENDLIST", "\n\n/\n",
	} {
		f.Add([]byte(s))
	}
	cfg := config.Event{Name: "ev", Pipelines: []string{"a"}, Renditions: config.Renditions("v1"), Template: segment.Template{Start: time.Unix(0, 0)}}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := NewPublish(PublishConfig{Events: []config.Event{cfg}})
		if err != nil {
			t.Fatal(err)
		}
		ev := p.events["ev"]
		ev.feeds["a"].mark("v1", 5, false)
		f := ev.feeds["a"]
		for _, tt := range []struct {
			object segment.Object
			name   string
			want   string // of one that says that nothing more will come
		}{{segment.MPD, "x.mpd", "MPD"}, {segment.Playlist, "x.m3u8", "#EXT-X-ENDLIST"}} {
			p.receiveManifest(ev, segment.Publication{Object: tt.object, Event: "ev", Pipeline: "a", Rendition: "v1", Name: tt.name}, b)
			r := f.received["v1/"+tt.name]
			if r.Ended && !strings.Contains(string(b), tt.want) || r.Bytes != int64(len(b)) {
				t.Errorf("%q is received as %+v", b, r)
			}
			if _, over := f.over(); over && !f.received["v1/x.mpd"].Ended && !f.received["v1/x.m3u8"].Ended {
				t.Errorf("%q ends the pipeline", b)
			}
		}
		if last := f.tracks["v1"].last; last != -1 && (last < 5 || last > 1<<49) {
			t.Errorf("%q ends the rendition with segment %d", b, last)
		}
	})
}

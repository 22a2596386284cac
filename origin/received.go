package origin

import (
	"bytes"
	"context"
	"encoding/xml"
	"net/http"
	"strings"
	"time"

	"origin-storm/origin/segment"
)

const (
	// maxManifest bounds a manifest's body. An MPD with a timeline of two hours in ten representations takes 300 KiB.
	maxManifest = 1 << 20
	// maxReceived is how many manifests of one pipeline are listed; further names are taken and not listed.
	maxReceived = 64
)

// Received is a manifest that a packager has published. Its content is looked at and not kept: viewers get manifests that follow
// from the event's template, because those of two pipelines differ, and one of them may fall silent.
type Received struct {
	Bytes      int64   `json:"bytes" metric:"gauge"`
	Count      int64   `json:"count"`                      // how often it came
	AgeSeconds float64 `json:"age_seconds" metric:"gauge"` // since it came last
	// Ended: it says that nothing more will come (type="static" of an MPD, EXT-X-ENDLIST of a playlist).
	Ended bool `json:"ended,omitempty"`
}

// receipt is a Received with the instant that its age counts from.
type receipt struct {
	Received
	at time.Time
}

// answerManifest is answer for a manifest.
func (p *Publish) answerManifest(w http.ResponseWriter, r *http.Request, ev *event, pub segment.Publication) (published, error) {
	body, in, err := p.receive(w, r, ev, maxManifest)
	if err != nil {
		return published{}, err
	}
	defer in.release()
	if len(body) == 0 {
		return published{}, nil
	}
	a := p.receiveManifest(ev, pub, body)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), segment.Budget)
	defer cancel()
	p.end(ctx, w.Header(), ev, pub.Pipeline)
	return a, nil
}

// receiveManifest takes a manifest: 201 the first time, then 200.
func (p *Publish) receiveManifest(ev *event, pub segment.Publication, body []byte) published {
	name := strings.TrimPrefix(pub.Rendition+"/"+pub.Name, "/")
	f := ev.feeds[pub.Pipeline]
	f.mu.Lock()
	defer f.mu.Unlock()
	r, known := f.received[name]
	r.Bytes, r.at, r.Count = int64(len(body)), time.Now(), r.Count+1
	switch pub.Object {
	case segment.MPD:
		r.Ended = static(body)
		f.overByMPD = r.Ended
	case segment.Playlist:
		r.Ended = hasLine(body, "#EXT-X-ENDLIST")
		if t := f.tracks[pub.Rendition]; t != nil {
			t.last = -1
			if r.Ended {
				// The playlist may arrive ahead of the last segment that it lists.
				t.last = t.newest
				if n, ok := lastListed(body, ev, pub.Rendition); ok {
					t.last = max(t.last, n)
				}
			}
		}
	}
	if known || len(f.received) < maxReceived {
		f.received[name] = r
	}
	if known {
		return published{}
	}
	return published{status: http.StatusCreated}
}

// static reports whether the MPD b is of type static, which is also what one without a type is (ISO/IEC 23009-1, 5.3.1.2).
func static(b []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		token, err := d.RawToken()
		if err != nil {
			return false
		}
		root, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if root.Name.Local != "MPD" {
			return false
		}
		for _, a := range root.Attr {
			if a.Name.Local == "type" {
				return a.Value == "static"
			}
		}
		return true
	}
}

func hasLine(b []byte, want string) bool {
	for line := range bytes.Lines(b) {
		if string(bytes.TrimSpace(line)) == want {
			return true
		}
	}
	return false
}

// lastListed returns the number of the last segment that the playlist b of a rendition lists, if its name is one.
func lastListed(b []byte, ev *event, rendition string) (n int64, ok bool) {
	var last []byte
	for line := range bytes.Lines(b) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			last = line
		}
	}
	url, _, _ := strings.Cut(string(last), "?")
	pub, err := segment.ParsePublication("/e/p/r/" + url[strings.LastIndexByte(url, '/')+1:])
	if err != nil || pub.Object != segment.Media {
		return 0, false
	}
	n, err = ev.number(rendition, pub.Value)
	return n, err == nil
}

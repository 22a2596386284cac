package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// accessCases are the rows about who is let in, how far, and about the operator's listener.
func accessCases() []Case {
	credentials := func(t *Target) string {
		if t.Authorize == nil {
			return "publishing needs no credentials here (--user)"
		}
		return ""
	}
	operator := func(t *Target) string {
		if len(t.Operator) == 0 {
			return "an operator's listener is needed (--operator)"
		}
		return ""
	}
	return []Case{
		{Row: "A1", Says: "publishing without credentials: 401 with a challenge, and nothing is stored", needs: credentials, run: func(p *probe) {
			id := p.pastName()
			for _, method := range []string{http.MethodPut, http.MethodPost, http.MethodDelete} {
				a := p.request(method, p.Publish[0]+p.first(id).String(), bytes.NewReader(p.bodyOf(id)), "Authorization", "")
				p.challenged(a)
			}
			p.absent(id)
		}},
		{Row: "A2", Says: "publishing with wrong credentials: 401 with a challenge, and nothing is stored", needs: credentials, run: func(p *probe) {
			id := p.pastName()
			for _, wrong := range []string{"Basic bm9ib2R5Om5vdGhpbmc=", "Bearer nothing-that-anybody-has-been-given", "Basic ?", "Unknown x"} {
				p.challenged(p.put(p.first(id).String(), p.bodyOf(id), "Authorization", wrong))
			}
			p.absent(id)
		}},
		{Row: "A3", Says: "who is not let in is told before the body is sent", needs: credentials, run: func(p *probe) {
			id := p.first(p.pastName())
			w := p.connect(p.Publish[0], "PUT "+id.String()+" without credentials (Expect: 100-continue)")
			defer w.Close()
			w.write("PUT " + id.String() + " HTTP/1.1\r\nHost: origin\r\nContent-Length: 3000\r\nExpect: 100-continue\r\n\r\n")
			w.status(http.StatusUnauthorized)
		}},
		{Row: "A4", Says: "a header of 64 KiB: 431, or the connection ends; the next request is answered", run: func(p *probe) {
			id := p.pastName()
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			for _, base := range []string{p.Serve[0], p.Publish[0]} {
				a, err := p.try(p.ctx, http.MethodGet, base+id.String(), nil, "X-Filler", strings.Repeat("x", 64<<10))
				if err == nil {
					p.status(a, http.StatusRequestHeaderFieldsTooLarge)
				}
			}
			p.status(p.get(id.String()), http.StatusOK)
		}},
		{Row: "O1", Says: "the operator's listener says that the node lives, and whether to send it requests", needs: operator, run: func(p *probe) {
			for _, path := range []string{"/healthz", "/readyz"} {
				p.status(p.request(http.MethodGet, p.Operator[0]+path, nil), http.StatusOK)
			}
		}},
		{Row: "O2", Says: "its counts are JSON under /stats, and metrics under /metrics", needs: operator, run: func(p *probe) {
			a := p.request(http.MethodGet, p.Operator[0]+"/stats", nil)
			if p.status(a, http.StatusOK) {
				p.want(json.Valid(a.body), a.what, describe(a.body), "JSON")
			}
			a = p.request(http.MethodGet, p.Operator[0]+"/metrics", nil)
			if p.status(a, http.StatusOK) {
				p.want(bytes.Contains(a.body, []byte("# TYPE ")), a.what, describe(a.body), "metrics in Prometheus' text format")
			}
		}},
		{Row: "O3", Says: "none of it is on the other listeners", run: func(p *probe) {
			for _, path := range []string{"/stats", "/metrics", "/healthz", "/readyz", "/events/" + p.Event + "/control", "/debug/pprof/"} {
				p.status(p.get(path), http.StatusNotFound)
				a := p.request(http.MethodGet, p.Publish[0]+path, nil)
				p.want(a.StatusCode >= 400, a.what, a.StatusCode, "an error")
			}
		}},
	}
}

// challenged notes a finding unless a is a 401 that says how to do better.
func (p *probe) challenged(a answer) {
	if p.status(a, http.StatusUnauthorized) {
		p.want(a.Header.Get("WWW-Authenticate") != "", a.what+": WWW-Authenticate", `""`, "a challenge")
	}
}

// timeCases are the rows about the time, and the manifests that follow from it.
func timeCases() []Case {
	return []Case{
		{Row: "T1", Says: "/time is the origin's clock, as xs:dateTime, and may not be kept", run: func(p *probe) {
			a := p.get("/time")
			if !p.status(a, http.StatusOK) {
				return
			}
			got, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(a.body)))
			if err != nil {
				p.find(a.what+": body", strconv.Quote(string(a.body)), "an xs:dateTime in UTC")
				return
			}
			p.want(!got.Before(a.began.Add(-p.Slack)) && !got.After(a.ended.Add(p.Slack)), a.what, got.String(), "within "+p.Slack.String()+" of "+a.began.UTC().String())
			p.want(strings.Contains(a.Header.Get("Cache-Control"), "no-store"), a.what+": Cache-Control", strconv.Quote(a.Header.Get("Cache-Control")), "no-store")
		}},
		{Row: "T2", Says: "HEAD of /time has it in Date", run: func(p *probe) {
			a := p.request(http.MethodHead, p.Serve[0]+"/time", nil)
			p.status(a, http.StatusOK)
			date, err := http.ParseTime(a.Header.Get("Date"))
			p.want(err == nil && date.Sub(a.began).Abs() <= 2*time.Second+p.Slack, a.what+": Date", strconv.Quote(a.Header.Get("Date")), "the time")
		}},
		{Row: "M1", Says: "live.mpd has the event's clock: every segment is available when it is due", run: func(p *probe) {
			a := p.manifest("/live.mpd")
			p.header(a, "Content-Type", "application/dash+xml")
			doc, err := ReadMPD(bytes.NewReader(a.body))
			if err != nil {
				p.find(a.what, err.Error(), "a dynamic MPD with a SegmentTemplate")
				return
			}
			n := p.Template.Next(time.Now())
			off := doc.Template.Due(n).Sub(p.Template.Due(n))
			p.want(off.Abs() < time.Millisecond, a.what+": when segment "+strconv.FormatInt(n, 10)+" is available", fmt.Sprintf("%v after it is due", off), "when it is due")
			for _, name := range doc.Renditions {
				p.want(strings.Contains(" "+strings.Join(p.Renditions, " ")+" ", " "+name+" "), a.what+": Representation", strconv.Quote(name), "one of the event's renditions")
			}
		}},
		{Row: "M2", Says: "index.m3u8 lists numbers in a row up to the newest that is due", run: func(p *probe) {
			p.manifest("/live.mpd")
			var a answer
			for range 10 { // the first segment of an event that has just begun is not due yet
				if a = p.get("/" + p.Event + "/" + p.Renditions[0] + "/index.m3u8"); a.StatusCode == http.StatusOK {
					break
				}
				p.pause(p.Template.Duration())
			}
			if !p.status(a, http.StatusOK) {
				return
			}
			p.header(a, "Content-Type", "application/vnd.apple.mpegurl")
			var numbers []int64
			first := int64(-1)
			for line := range strings.Lines(string(a.body)) {
				line = strings.TrimSpace(line)
				if v, ok := strings.CutPrefix(line, "#EXT-X-MEDIA-SEQUENCE:"); ok {
					first, _ = strconv.ParseInt(v, 10, 64)
				}
				if v, ok := strings.CutSuffix(line, ".m4s"); ok && !strings.HasPrefix(line, "#") {
					n, err := strconv.ParseInt(v, 10, 64)
					p.want(err == nil, a.what+": a segment", line, "a number with .m4s")
					numbers = append(numbers, n)
				}
			}
			if len(numbers) == 0 {
				p.find(a.what+": segments", "none", "some")
				return
			}
			for i, n := range numbers {
				if n != first+int64(i) {
					p.find(a.what+fmt.Sprintf(": segment %d of the list", i), strconv.FormatInt(n, 10), strconv.FormatInt(first+int64(i), 10))
					return
				}
			}
			newest := numbers[len(numbers)-1]
			least, most := p.Template.Next(a.began.Add(-p.Slack))-1, p.Template.Next(a.ended.Add(p.Slack))-1
			p.want(newest >= least && newest <= most, a.what+": the newest segment", newest, fmt.Sprintf("%d, which is due", most))
		}},
		{Row: "M3", Says: "master.m3u8 lists the renditions' playlists", run: func(p *probe) {
			p.manifest("/live.mpd")
			a := p.manifest("/master.m3u8")
			p.header(a, "Content-Type", "application/vnd.apple.mpegurl")
			p.want(strings.Contains(string(a.body), p.Renditions[0]+"/index.m3u8"), a.what, describe(a.body), "a list with "+p.Renditions[0]+"/index.m3u8")
		}},
		{Row: "M4", Says: "every node makes the same manifest", needs: func(t *Target) string {
			if len(t.Serve) < 2 {
				return "a second serve node is needed (--serve)"
			}
			return ""
		}, run: func(p *probe) {
			p.manifest("/live.mpd")
			p.pause(settle + p.Slack) // what has just been published has been seen by then
			var first answer
			for i, node := range p.Serve {
				a := p.request(http.MethodGet, node+"/"+p.Event+"/live.mpd", nil)
				if i == 0 {
					first = a
				}
				p.bytes(a, first.body)
				p.header(a, "ETag", etagOf(first))
			}
		}},
		{Row: "M5", Says: "a manifest may be kept for half a segment at most, and is 304 while it has not changed", run: func(p *probe) {
			a := p.manifest("/live.mpd")
			half := p.Template.Duration() / 2
			p.want(maxAge(a) >= 0 && time.Duration(maxAge(a))*time.Second <= half && time.Duration(ttlMillis(a))*time.Millisecond <= half,
				a.what+": Cache-Control, "+headerTTL, strconv.Quote(a.Header.Get("Cache-Control"))+", "+strconv.Quote(a.Header.Get(headerTTL)), "at most "+half.String())
			p.status(p.get("/"+p.Event+"/live.mpd", "If-None-Match", etagOf(a)), http.StatusNotModified)
		}},
		{Row: "M6", Says: "a manifest of an unknown event or rendition: 404", run: func(p *probe) {
			for _, path := range []string{"/no-such-event/live.mpd", "/no-such-event/master.m3u8", "/" + p.Event + "/no-such-rendition/index.m3u8"} {
				p.status(p.get(path), http.StatusNotFound)
			}
		}},
	}
}

// manifest returns the event's manifest of that name, which is made once there are initialisation segments. An origin that makes none
// of what this suite publishes, which is no media, is not tried.
func (p *probe) manifest(name string) answer {
	p.initialise()
	path := "/" + p.Event + name
	end := time.Now().Add(12 * time.Second) // an origin may wait for the other renditions
	a := p.get(path)
	for a.StatusCode == http.StatusNotFound && time.Now().Before(end) {
		p.pause(200 * time.Millisecond)
		a = p.get(path)
	}
	if a.StatusCode == http.StatusNotFound {
		p.skip(a.what + " is 404: nothing is known of the renditions, for initialisation segments that are no media tell nothing")
	}
	if !p.status(a, http.StatusOK) {
		p.giveUp()
	}
	return a
}

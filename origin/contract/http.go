package contract

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"origin-storm/origin/segment"
)

// httpCases are the rows about what every answer of a serve node looks like.
func httpCases() []Case {
	return []Case{
		{Row: "H1", Says: "HEAD answers with GET's header and no body", run: func(p *probe) {
			id := p.pastName()
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			p.read(id.String()) // what a first read finds out, a second knows
			get, head := p.read(id.String()), p.request(http.MethodHead, p.Serve[0]+id.String(), nil)
			p.sameHeader(head, get)
		}},
		{Row: "H2", Says: "HEAD of what is not there, too", run: func(p *probe) {
			early := p.liveAhead(1000)
			for _, path := range []string{"/no-such-event/v/1.m4s", p.pastName().String(), early.String()} {
				p.sameHeader(p.request(http.MethodHead, p.Serve[0]+path, nil), p.get(path))
			}
		}},
		{Row: "H3", Says: "HEAD of the next one is held like GET", run: func(p *probe) {
			id := p.liveName()
			p.until(p.turns(id.Number).Add(p.Slack))
			a := p.request(http.MethodHead, p.Serve[0]+id.String(), nil)
			p.status(a, http.StatusGone)
			p.around(a.what+": answered", a.ended, p.Template.Deadline(id.Number))
		}},
		{Row: "H4", Says: "a range of bytes: 206 with those bytes", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			p.publish(p.first(id), body)
			for _, r := range []struct {
				ask      string
				from, to int
			}{
				{"0-0", 0, 0}, {"0-999", 0, 999}, {"1000-", 1000, len(body) - 1}, {"-1", len(body) - 1, len(body) - 1},
				{"2000-99999999", 2000, len(body) - 1}, {"-99999999", 0, len(body) - 1},
			} {
				a := p.get(id.String(), "Range", "bytes="+r.ask)
				if p.status(a, http.StatusPartialContent) {
					p.bytes(a, body[r.from:r.to+1])
					p.header(a, "Content-Range", fmt.Sprintf("bytes %d-%d/%d", r.from, r.to, len(body)))
				}
			}
		}},
		{Row: "H5", Says: "a range beyond the end: 416 with the size, which may not be kept", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			p.publish(p.first(id), body)
			for _, ask := range []string{strconv.Itoa(len(body)) + "-", "9223372036854775807-"} {
				a := p.get(id.String(), "Range", "bytes="+ask)
				if p.status(a, http.StatusRequestedRangeNotSatisfiable) {
					p.header(a, "Content-Range", fmt.Sprintf("bytes */%d", len(body)))
					p.want(strings.Contains(a.Header.Get("Cache-Control"), "no-store"), a.what+": Cache-Control", strconv.Quote(a.Header.Get("Cache-Control")), "no-store")
				}
			}
		}},
		{Row: "H6", Says: "a range that makes no sense: 416, or the whole segment", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			p.publish(p.first(id), body)
			for _, ask := range []string{"bytes=20-10", "bytes=x-y", "bytes=", "bytes=-", "bytes=--1", "lines=1-2", "bytes=99999999999999999999-"} {
				a := p.get(id.String(), "Range", ask)
				if p.status(a, http.StatusOK, http.StatusRequestedRangeNotSatisfiable) && a.StatusCode == http.StatusOK {
					p.bytes(a, body)
				}
			}
		}},
		{Row: "H7", Says: "several ranges: each part is what it says, or the whole segment", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			p.publish(p.first(id), body)
			a := p.get(id.String(), "Range", "bytes=0-9, 1000-1009, -10")
			if !p.status(a, http.StatusOK, http.StatusPartialContent) {
				return
			}
			if a.StatusCode == http.StatusOK {
				p.bytes(a, body)
				return
			}
			p.parts(a, body)
		}},
		{Row: "H8", Says: "ranges that overlap a hundred times over cost no more than the segment", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			p.publish(p.first(id), body)
			a := p.get(id.String(), "Range", "bytes="+strings.Repeat("0-,", 99)+"0-")
			p.status(a, http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable, http.StatusBadRequest)
			p.want(len(a.body) <= 2*len(body), a.what+": body", fmt.Sprintf("%d bytes", len(a.body)), fmt.Sprintf("at most twice the segment's %d", len(body)))
		}},
		{Row: "H9", Says: "If-None-Match with the copy's ETag: 304, with ETag and lifetime", run: func(p *probe) {
			id := p.pastName()
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			tag := etagOf(p.read(id.String()))
			for _, ask := range []string{tag, "*", `"other", ` + tag, "W/" + tag} {
				a := p.get(id.String(), "If-None-Match", ask)
				if p.status(a, http.StatusNotModified) {
					p.header(a, "ETag", tag)
					p.want(maxAge(a) >= 0, a.what+": Cache-Control", strconv.Quote(a.Header.Get("Cache-Control")), "the lifetime of the segment")
				}
			}
			p.status(p.get(id.String(), "If-None-Match", `"other"`), http.StatusOK)
		}},
		{Row: "H10", Says: "Last-Modified, and If-Modified-Since with it: 304", run: func(p *probe) {
			id := p.pastName()
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			modified := p.read(id.String()).Header.Get("Last-Modified")
			p.status(p.get(id.String(), "If-Modified-Since", modified), http.StatusNotModified)
			p.status(p.get(id.String(), "If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"), http.StatusOK)
		}},
		{Row: "H11", Says: "every answer is open to scripts of any site, errors too", run: func(p *probe) {
			id := p.pastName()
			gone := p.get(p.pastName().String(), "Origin", "https://player.example")
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			early := p.liveAhead(1000)
			for _, a := range []answer{
				gone,
				p.get(id.String(), "Origin", "https://player.example"),
				p.get(id.String(), "Origin", "https://player.example", "Range", "bytes=99999999-"),
				p.get(early.String(), "Origin", "https://player.example"),
				p.get("/no-such-event/v/1.m4s", "Origin", "https://player.example"),
			} {
				p.header(a, "Access-Control-Allow-Origin", "*")
			}
		}},
		{Row: "H12", Says: "and scripts may read the header fields that the contract has", run: func(p *probe) {
			id := p.pastName()
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			a := p.read(id.String())
			for _, name := range []string{"Date", "ETag", "Content-Length", "Content-Range", "Age", "Cache-Status", headerTTL, headerPipeline, headerDefects, headerSlate, headerNotices, headerCacheVersion, "Origin-Answered-Ms", "Repr-Digest"} {
				p.want(strings.Contains(a.Header.Get("Access-Control-Expose-Headers"), name), a.what+": Access-Control-Expose-Headers",
					strconv.Quote(a.Header.Get("Access-Control-Expose-Headers")), "a list with "+name)
			}
		}},
		{Row: "H13", Says: "OPTIONS: 204 that allows GET, HEAD and Range", run: func(p *probe) {
			a := p.request(http.MethodOptions, p.Serve[0]+p.pastName().String(), nil, "Origin", "https://player.example", "Access-Control-Request-Method", "GET")
			p.status(a, http.StatusNoContent)
			p.want(strings.Contains(a.Header.Get("Access-Control-Allow-Methods"), "GET"), a.what+": Access-Control-Allow-Methods",
				strconv.Quote(a.Header.Get("Access-Control-Allow-Methods")), "a list with GET")
			p.want(strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Range"), a.what+": Access-Control-Allow-Headers",
				strconv.Quote(a.Header.Get("Access-Control-Allow-Headers")), "a list with Range")
		}},
		{Row: "H14", Says: "any other method: 405 with Allow", run: func(p *probe) {
			for _, method := range []string{http.MethodPut, http.MethodPost, http.MethodDelete} {
				a := p.request(method, p.Serve[0]+p.pastName().String(), nil)
				if p.status(a, http.StatusMethodNotAllowed) {
					p.want(strings.Contains(a.Header.Get("Allow"), "GET"), a.what+": Allow", strconv.Quote(a.Header.Get("Allow")), "a list with GET")
				}
			}
		}},
		{Row: "H15", Says: "Cache-Status (RFC 9211) says whether the node had the segment", run: func(p *probe) {
			id := p.pastName()
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			for range 2 {
				a := p.read(id.String())
				got := a.Header.Get("Cache-Status")
				_, params, _ := strings.Cut(got, ";")
				hit, fwd := strings.Contains(params, "hit"), strings.Contains(params, "fwd=")
				p.want(hit != fwd, a.what+": Cache-Status", strconv.Quote(got), "a cache's name with hit or fwd")
			}
		}},
		{Row: "H16", Says: "one strong ETag per copy, the same on GET, HEAD, 206, at every node and at all times", run: func(p *probe) {
			id := p.pastName()
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			tag := etagOf(p.read(id.String()))
			p.want(strings.HasPrefix(tag, `"`), "GET "+id.String()+": ETag", strconv.Quote(tag), "a strong entity tag")
			for _, node := range p.Serve {
				p.header(p.request(http.MethodGet, node+id.String(), nil), "ETag", tag)
				p.header(p.request(http.MethodHead, node+id.String(), nil), "ETag", tag)
				p.header(p.request(http.MethodGet, node+id.String(), nil, "Range", "bytes=0-9"), "ETag", tag)
			}
			p.pause(settle + p.Slack)
			p.header(p.read(id.String()), "ETag", tag)
		}},
		{Row: "H17", Says: "segments are video/iso.segment, initialisation segments video/mp4", run: func(p *probe) {
			id := p.pastName()
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			p.header(p.read(id.String()), "Content-Type", "video/iso.segment")
			id = segment.ID{Event: p.Event, Rendition: p.Renditions[0], Number: segment.Init}
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			p.header(p.read(id.String()), "Content-Type", "video/mp4")
		}},
		{Row: "H18", Says: "a whole segment comes with its length, and says that ranges are taken", run: func(p *probe) {
			id := p.pastName()
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			a := p.read(id.String())
			p.header(a, "Content-Length", strconv.Itoa(len(a.body)))
			p.header(a, "Accept-Ranges", "bytes")
		}},
		{Row: "H19", Says: "a sound segment may be kept to the end of the DVR window by all, and is immutable", run: func(p *probe) {
			id := p.pastName()
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			a := p.read(id.String())
			left := p.Template.Due(id.Number).Add(p.DVR).Sub(a.began)
			got := time.Duration(maxAge(a)) * time.Second
			control := a.Header.Get("Cache-Control")
			p.want(got <= left+p.Slack && got > left-p.Slack-2*time.Second && strings.Contains(control, "public") && strings.Contains(control, "immutable"),
				a.what+": Cache-Control", strconv.Quote(control), fmt.Sprintf("public, max-age=%d, immutable", int64(left/time.Second)))
		}},
		{Row: "H20", Says: "every answer has an explicit lifetime: caches invent one where it is missing", run: func(p *probe) {
			id := p.pastName()
			gone := p.get(p.pastName().String())
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			early := p.liveAhead(1000)
			for _, a := range []answer{
				gone, p.get(id.String()), p.get(early.String()), p.get("/no-such-event/v/1.m4s"), p.get("/"),
				p.get(id.String(), "Range", "bytes=99999999-"), p.get(id.String(), "If-Match", `"x"`),
				p.request(http.MethodPut, p.Serve[0]+id.String(), nil),
			} {
				control := a.Header.Get("Cache-Control")
				p.want(maxAge(a) >= 0 || strings.Contains(control, "no-store"), a.what+": Cache-Control", strconv.Quote(control), "max-age or no-store")
			}
		}},
		{Row: "H21", Says: "no answer keeps caches from storing it by Set-Cookie, Vary: * or private", run: func(p *probe) {
			id := p.pastName()
			gone := p.get(p.pastName().String())
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			for _, a := range []answer{gone, p.get(id.String())} {
				p.header(a, "Set-Cookie", "")
				p.want(a.Header.Get("Vary") != "*", a.what+": Vary", a.Header.Get("Vary"), "no *")
				p.want(!strings.Contains(a.Header.Get("Cache-Control"), "private"), a.what+": Cache-Control", a.Header.Get("Cache-Control"), "public")
			}
		}},
		{Row: "H22", Says: "answers name the node they come from", run: func(p *probe) {
			id := p.pastName()
			gone := p.get(p.pastName().String())
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			for _, a := range []answer{gone, p.get(id.String()), p.get("/no-such-event/v/1.m4s")} {
				p.want(a.Header.Get(headerNode) != "", a.what+": "+headerNode, `""`, "the node's name")
			}
		}},
		{Row: "H23", Says: "Repr-Digest (RFC 9530) is that of the whole segment, with a range too", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			p.publish(p.first(id), body)
			for _, a := range []answer{p.read(id.String()), p.get(id.String(), "Range", "bytes=10-19")} {
				p.want(strings.Contains(a.Header.Get("Repr-Digest"), digestOf(body)), a.what+": Repr-Digest", strconv.Quote(a.Header.Get("Repr-Digest")), digestOf(body))
			}
		}},
	}
}

// sameHeader notes a finding unless head is the answer to HEAD where get is that to GET.
func (p *probe) sameHeader(head, get answer) {
	if head.StatusCode != get.StatusCode {
		p.find(head.what, strconv.Itoa(head.StatusCode), strconv.Itoa(get.StatusCode)+", as GET")
		return
	}
	p.want(len(head.body) == 0, head.what+": body", describe(head.body), "none")
	one, two := get.Header.Clone(), head.Header.Clone()
	for _, h := range []http.Header{one, two} {
		for _, moves := range []string{"Date", "Age", headerTTL, "Cache-Control", "Cache-Status", "Server-Timing", "Origin-Answered-Ms", headerNotices, headerCacheVersion} {
			if h.Get(moves) != "" {
				h.Set(moves, "is there") // it changes from one moment to the next
			}
			if moves == headerNotices { // the first notice may come between the two
				h.Del(moves)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(one)) {
		p.want(two.Get(name) == one.Get(name), head.what+": "+name, strconv.Quote(head.Header.Get(name)), strconv.Quote(get.Header.Get(name))+", as GET")
	}
}

// parts notes a finding unless each part of a multipart answer is what its Content-Range says of body.
func (p *probe) parts(a answer, body []byte) {
	kind, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/byteranges" {
		p.find(a.what+": Content-Type", strconv.Quote(a.Header.Get("Content-Type")), "multipart/byteranges")
		return
	}
	in := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	n := 0
	for {
		part, err := in.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			p.find(a.what+": body", err.Error(), "parts")
			return
		}
		var from, to, size int
		says := part.Header.Get("Content-Range")
		got, _ := io.ReadAll(part)
		if _, err := fmt.Sscanf(says, "bytes %d-%d/%d", &from, &to, &size); err != nil || size != len(body) || from < 0 || from > to || to >= size {
			p.find(a.what+": a part's Content-Range", strconv.Quote(says), fmt.Sprintf("a range of %d bytes", len(body)))
			return
		}
		p.want(bytes.Equal(got, body[from:to+1]), a.what+": the part "+says, describe(got), describe(body[from:to+1]))
		n++
	}
	p.want(n == 3, a.what+": parts", n, "3")
}

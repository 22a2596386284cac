package contract

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"

	"origin-storm/origin/segment"
)

// candidateCases are the rows about which pipeline's copy is served.
func candidateCases() []Case {
	return []Case{
		{Row: "C1", Says: "of two sound copies the preferred pipeline's is served, whichever came first", run: func(p *probe) {
			id := p.pastName()
			p.publish(p.second(id), p.bodyOf(p.second(id)))
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			for _, node := range p.Serve {
				a := p.request(http.MethodGet, node+id.String(), nil)
				p.bytes(a, p.bodyOf(p.first(id)))
			}
		}},
		{Row: "C2", Says: "nobody waits for the preferred pipeline: the copy that is there is served at once", run: func(p *probe) {
			id := p.liveName()
			p.until(p.turns(id.Number).Add(p.Slack))
			p.publish(p.second(id), p.bodyOf(p.second(id)))
			a := p.get(id.String())
			p.status(a, http.StatusOK)
			p.prompt(a)
			p.bytes(a, p.bodyOf(p.second(id)))
		}},
		{Row: "C3", Says: "a node keeps its choice when the preferred pipeline comes late", run: func(p *probe) {
			id := p.pastName()
			p.publish(p.second(id), p.bodyOf(p.second(id)))
			p.bytes(p.read(id.String()), p.bodyOf(p.second(id)))
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			p.bytes(p.read(id.String()), p.bodyOf(p.second(id)))
			p.pause(settle + p.Slack) // nor when it reads anew
			p.bytes(p.read(id.String()), p.bodyOf(p.second(id)))
		}},
		{Row: "C4", Says: "a sound copy is served before a flawed one of a preferred pipeline", run: func(p *probe) {
			for _, flaw := range [][]string{{headerDefects, "short"}, {headerDefects, "discontinuity"}, {headerDefects, "missing"}, {headerSlate, "?1"}} {
				id := p.pastName()
				p.publish(p.first(id), p.bodyOf(p.first(id)), flaw...)
				p.publish(p.second(id), p.bodyOf(p.second(id)))
				a := p.read(id.String())
				p.bytes(a, p.bodyOf(p.second(id)))
				p.header(a, headerDefects, "")
				p.header(a, headerSlate, "")
			}
		}},
		{Row: "C5", Says: "of flawed copies the least bad one is served", run: func(p *probe) {
			for _, pair := range [][2][]string{
				{{headerDefects, "missing"}, {headerDefects, "short"}},
				{{headerSlate, "?1"}, {headerDefects, "discontinuity"}},
				{{headerDefects, "discontinuity"}, {headerDefects, "short"}},
				{{headerDefects, "missing"}, {headerSlate, "?1"}},
				{{headerDefects, "short, discontinuity"}, {headerDefects, "discontinuity"}},
			} {
				id := p.pastName()
				p.publish(p.first(id), p.bodyOf(p.first(id)), pair[0]...)
				p.publish(p.second(id), p.bodyOf(p.second(id)), pair[1]...)
				a := p.read(id.String())
				p.want(bytes.Equal(a.body, p.bodyOf(p.second(id))), a.what+": served of "+pair[0][1]+" and "+pair[1][1], describe(a.body), "the copy with "+pair[1][1])
			}
		}},
		{Row: "C6", Says: "a flawed copy is marked with its flaws", run: func(p *probe) {
			id := p.pastName()
			p.publish(p.first(id), p.bodyOf(p.first(id)), headerDefects, "discontinuity, short")
			a := p.read(id.String())
			got := a.Header.Get(headerDefects)
			p.want(strings.Contains(got, "short") && strings.Contains(got, "discontinuity"), a.what+": "+headerDefects, strconv.Quote(got), "short and discontinuity")
			p.header(a, headerSlate, "")
			id = p.pastName()
			p.publish(p.first(id), p.bodyOf(p.first(id)), headerSlate, "?1")
			a = p.read(id.String())
			p.header(a, headerSlate, "?1")
			p.header(a, headerDefects, "")
		}},
		{Row: "C7", Says: "a flawed copy may be kept for at most 5 s, and is not immutable", run: func(p *probe) {
			id := p.pastName()
			p.publish(p.first(id), p.bodyOf(p.first(id)), headerDefects, "short")
			a := p.read(id.String())
			p.want(maxAge(a) >= 0 && maxAge(a) <= int64(settle/time.Second) && !strings.Contains(a.Header.Get("Cache-Control"), "immutable"),
				a.what+": Cache-Control", strconv.Quote(a.Header.Get("Cache-Control")), "a max-age of at most 5, and no immutable")
		}},
		{Row: "C8", Says: "a sound copy of another pipeline replaces a flawed choice within 5 s", run: func(p *probe) {
			id := p.pastName()
			p.publish(p.first(id), p.bodyOf(p.first(id)), headerDefects, "short")
			for _, node := range p.Serve {
				p.request(http.MethodGet, node+id.String(), nil)
			}
			a := p.publish(p.second(id), p.bodyOf(p.second(id)))
			p.soon(a.what, id, p.bodyOf(p.second(id)))
		}},
		{Row: "C9", Says: "who is held before a segment is due does not get a flawed copy while a sound one may come", run: func(p *probe) {
			id := p.liveName()
			p.until(p.turns(id.Number).Add(p.Slack))
			held := p.start(p.Serve[0] + id.String())
			p.pause(p.Template.Duration() / 8) // it is held by now
			p.publish(p.first(id), p.bodyOf(p.first(id)), headerDefects, "short")
			p.pause(p.Template.Duration() / 4)
			put := p.publish(p.second(id), p.bodyOf(p.second(id)))
			p.by(p.Template.Due(id.Number).Add(-p.Slack/2), "the sound copy", put.ended)
			if a := held.wait(); p.status(a, http.StatusOK) {
				p.bytes(a, p.bodyOf(p.second(id)))
			}
		}},
		{Row: "C10", Says: "but gets it when the segment is due and no other has come", run: func(p *probe) {
			id := p.liveName()
			p.until(p.turns(id.Number).Add(p.Slack))
			held := p.start(p.Serve[0] + id.String())
			p.pause(p.Template.Duration() / 8)
			put := p.publish(p.first(id), p.bodyOf(p.first(id)), headerDefects, "short")
			p.by(p.Template.Due(id.Number), "the flawed copy", put.ended)
			a := held.wait()
			if p.status(a, http.StatusOK) {
				p.bytes(a, p.bodyOf(p.first(id)))
				p.around(a.what+": answered", a.ended, p.Template.Due(id.Number))
			}
		}},
		{Row: "C11", Says: "If-Match with a live copy's ETag is served from that copy, by every node", run: func(p *probe) {
			id := p.pastName()
			tags := p.both(id)
			for _, node := range p.Serve {
				for i, pipeline := range p.Pipelines[:2] {
					if a := p.request(http.MethodGet, node+id.String(), nil, "If-Match", tags[i]); p.status(a, http.StatusOK) {
						p.bytes(a, p.bodyOf(id.Candidate(pipeline)))
						p.header(a, "ETag", tags[i])
					}
				}
			}
		}},
		{Row: "C12", Says: "If-Range with a live copy's ETag is served from that copy, by every node", run: func(p *probe) {
			id := p.pastName()
			tags := p.both(id)
			for _, node := range p.Serve {
				for i, pipeline := range p.Pipelines[:2] {
					body := p.bodyOf(id.Candidate(pipeline))
					if a := p.request(http.MethodGet, node+id.String(), nil, "Range", "bytes=1000-1999", "If-Range", tags[i]); p.status(a, http.StatusPartialContent) {
						p.bytes(a, body[1000:2000])
						p.header(a, "ETag", tags[i])
					}
				}
			}
		}},
		{Row: "C13", Says: "If-Match with no copy's ETag: 412", run: func(p *probe) {
			id := p.pastName()
			p.both(id)
			p.status(p.get(id.String(), "If-Match", `"0123456789abcdef0123456789abcdef"`), http.StatusPreconditionFailed)
		}},
		{Row: "C14", Says: "If-Range with no copy's ETag: the whole of the chosen copy", run: func(p *probe) {
			id := p.pastName()
			p.both(id)
			chosen := p.read(id.String())
			a := p.get(id.String(), "Range", "bytes=1000-1999", "If-Range", `"0123456789abcdef0123456789abcdef"`)
			if p.status(a, http.StatusOK) {
				p.bytes(a, chosen.body)
			}
		}},
		{Row: "C15", Says: "a ranged read never mixes copies: what the ETag of the answer names is what its bytes are of", run: func(p *probe) {
			id := p.pastName()
			tags := p.both(id)
			bodies := map[string][]byte{tags[0]: p.bodyOf(p.first(id)), tags[1]: p.bodyOf(p.second(id))}
			for _, node := range p.Serve {
				for _, r := range [][2]int{{0, 999}, {1000, 1999}, {2000, 2999}} {
					a := p.request(http.MethodGet, node+id.String(), nil, "Range", "bytes="+strconv.Itoa(r[0])+"-"+strconv.Itoa(r[1]))
					if !p.status(a, http.StatusPartialContent) {
						continue
					}
					body := bodies[etagOf(a)]
					p.want(body != nil, a.what+": ETag", strconv.Quote(etagOf(a)), "that of a copy")
					if body != nil {
						p.bytes(a, body[r[0]:r[1]+1])
					}
				}
			}
		}},
		{Row: "C16", Says: "the ETag of a copy is that of its bytes: equal bytes of two pipelines have one", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(id, "both")
			one, two := p.publish(p.first(id), body), p.publish(p.second(id), body)
			p.header(two, "ETag", etagOf(one))
		}},
		{Row: "C17", Says: "answers name the pipeline that the copy is of", run: func(p *probe) {
			for i := range 2 {
				id := p.pastName()
				p.publish(id.Candidate(p.Pipelines[i]), p.bodyOf(id.Candidate(p.Pipelines[i])))
				p.header(p.read(id.String()), headerPipeline, p.Pipelines[i])
			}
		}},
	}
}

// both publishes id by two pipelines and returns their copies' tags.
func (p *probe) both(id segment.ID) [2]string {
	var tags [2]string
	for i, pipeline := range p.Pipelines[:2] {
		tags[i] = etagOf(p.publish(id.Candidate(pipeline), p.bodyOf(id.Candidate(pipeline))))
		if tags[i] == "" {
			tags[i] = etagOf(p.read(id.String()))
		}
	}
	return tags
}

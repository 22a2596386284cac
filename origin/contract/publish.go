package contract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"origin-storm/origin/segment"
)

// publishCases are the rows about the packagers' side.
func publishCases() []Case {
	return []Case{
		{Row: "P1", Says: "PUT of a new segment: 201", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			p.status(p.put(p.first(id).String(), body), http.StatusCreated)
		}},
		{Row: "P2", Says: "what was acknowledged can be read at once, byte by byte, at every serve node", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			p.publish(p.first(id), body)
			for _, node := range p.Serve {
				a := p.request(http.MethodGet, node+id.String(), nil)
				if p.status(a, http.StatusOK) {
					p.bytes(a, body)
				}
			}
		}},
		{Row: "P3", Says: "201 and 200 carry the ETag of the copy that stands", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			created := p.publish(p.first(id), body)
			again := p.publish(p.first(id), body)
			tag := etagOf(created)
			p.want(strings.HasPrefix(tag, `"`) && len(tag) > 2, created.what+": ETag", strconv.Quote(tag), "a strong entity tag")
			p.header(again, "ETag", tag)
			if a := p.get(id.String()); a.StatusCode == http.StatusOK {
				p.header(a, "ETag", tag)
			}
		}},
		{Row: "P4", Says: "POST is PUT", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			a := p.request(http.MethodPost, p.Publish[0]+p.first(id).String(), bytes.NewReader(body))
			if p.status(a, http.StatusCreated, http.StatusOK) {
				p.bytes(p.read(id.String()), body)
			}
		}},
		{Row: "P5", Says: "the same bytes again: 200", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			p.publish(p.first(id), body)
			again := p.put(p.first(id).String(), body)
			p.status(again, http.StatusOK)
			p.header(again, headerKept, "")
		}},
		{Row: "P6", Says: "other bytes: 200, and a header says that the first copy was kept", run: func(p *probe) {
			id := p.pastName()
			first := p.publish(p.first(id), p.bodyOf(p.first(id)))
			other := p.put(p.first(id).String(), p.bodyOf(p.first(id), "other"))
			if p.status(other, http.StatusOK) {
				p.header(other, headerKept, "?1")
				p.header(other, "ETag", etagOf(first))
			}
		}},
		{Row: "P7", Says: "the first copy stands: other bytes never change what is read", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			p.publish(p.first(id), body)
			p.put(p.first(id).String(), p.bodyOf(p.first(id), "other"))
			for _, node := range p.Serve {
				p.bytes(p.request(http.MethodGet, node+id.String(), nil), body)
			}
		}},
		{Row: "P8", Says: "other bytes under If-None-Match: *: 409", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			p.publish(p.first(id), body)
			p.status(p.put(p.first(id).String(), p.bodyOf(p.first(id), "other"), "If-None-Match", "*"), http.StatusConflict)
			p.status(p.put(p.first(id).String(), body, "If-None-Match", "*"), http.StatusOK, http.StatusCreated)
		}},
		{Row: "P9", Says: "a sound copy replaces a flawed one of its pipeline: 200, and within 5 s it is read", run: func(p *probe) {
			for _, flaw := range [][]string{{headerDefects, "short"}, {headerSlate, "?1"}} {
				id := p.pastName()
				flawed, sound := p.bodyOf(p.first(id), "flawed"), p.bodyOf(p.first(id))
				p.publish(p.first(id), flawed, flaw...)
				p.read(id.String())
				a := p.publish(p.first(id), sound)
				p.status(a, http.StatusOK)
				p.header(a, headerKept, "")
				p.soon(a.what+" over a copy with "+flaw[0], id, sound)
			}
		}},
		{Row: "P10", Says: "a flawed copy never replaces another of its pipeline", run: func(p *probe) {
			for _, flaw := range []string{"", "discontinuity"} {
				id := p.pastName()
				body := p.bodyOf(p.first(id))
				var header []string
				if flaw != "" {
					header = []string{headerDefects, flaw}
				}
				first := p.publish(p.first(id), body, header...)
				a := p.publish(p.first(id), p.bodyOf(p.first(id), "flawed"), headerDefects, "short")
				p.header(a, "ETag", etagOf(first))
				p.bytes(p.read(id.String()), body)
			}
		}},
		{Row: "P11", Says: "an unknown event: 404", run: func(p *probe) {
			id := p.first(p.pastName())
			id.Event = "no-such-event"
			p.status(p.put(id.String(), p.bodyOf(id)), http.StatusNotFound)
		}},
		{Row: "P12", Says: "an unknown pipeline: 404", run: func(p *probe) {
			id := p.pastName()
			p.status(p.put(id.Candidate("no-such-pipeline").String(), p.bodyOf(id)), http.StatusNotFound)
		}},
		{Row: "P13", Says: "an unknown rendition: 404", run: func(p *probe) {
			id := p.first(p.pastName())
			id.Rendition = "no-such-rendition"
			p.status(p.put(id.String(), p.bodyOf(id)), http.StatusNotFound)
		}},
		{Row: "P14", Says: "DELETE inside the DVR window: 200, and nothing changes", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			p.publish(p.first(id), body)
			p.status(p.request(http.MethodDelete, p.Publish[0]+p.first(id).String(), nil), http.StatusOK)
			if a := p.get(id.String()); p.status(a, http.StatusOK) {
				p.bytes(a, body)
			}
		}},
		{Row: "P15", Says: "a body that is announced too large: 413, before it is sent", run: func(p *probe) {
			id := p.first(p.pastName())
			w := p.connect(p.Publish[0], "PUT "+id.String()+" (Content-Length: the limit and 1)")
			defer w.Close()
			w.head(http.MethodPut, p.Publish[0], id.String(), "Content-Length: "+strconv.FormatInt(p.MaxSegment+1, 10))
			w.status(http.StatusRequestEntityTooLarge)
		}},
		{Row: "P16", Says: "a body that turns out too large: 413, and nothing is stored", run: func(p *probe) {
			id := p.pastName()
			answered, cancel := context.WithTimeout(p.ctx, 30*time.Second)
			defer cancel()
			body := &zeros{left: p.MaxSegment + 1, wait: answered}
			p.status(p.request(http.MethodPut, p.Publish[0]+p.first(id).String(), body), http.StatusRequestEntityTooLarge)
			p.absent(id)
		}},
		{Row: "P17", Says: "a body that breaks off stores nothing, announced or chunked", run: func(p *probe) {
			for _, length := range []string{"Content-Length: 3000", "Transfer-Encoding: chunked"} {
				id := p.pastName()
				w := p.connect(p.Publish[0], "PUT "+p.first(id).String()+" ("+length+")")
				w.head(http.MethodPut, p.Publish[0], p.first(id).String(), length)
				if strings.HasPrefix(length, "T") {
					w.write("3e8\r\n" + strings.Repeat("x", 1000) + "\r\n")
				} else {
					w.write(strings.Repeat("x", 1000))
				}
				w.Close()
				p.pause(200 * time.Millisecond) // an origin that stores it has done so by then
				p.absent(id)
				whole := p.put(p.first(id).String(), p.bodyOf(p.first(id)))
				p.status(whole, http.StatusCreated, http.StatusOK)
				p.header(whole, headerKept, "")
			}
		}},
		{Row: "P18", Says: "a body that came as a whole is stored even if its sender has left", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			w := p.connect(p.Publish[0], "PUT "+p.first(id).String())
			w.head(http.MethodPut, p.Publish[0], p.first(id).String(), fmt.Sprint("Content-Length: ", len(body)))
			w.write(string(body))
			w.Close()
			p.pause(p.Slack)
			p.soon("PUT "+p.first(id).String()+" whose sender closed the connection after the last byte", id, body)
		}},
		{Row: "P19", Says: "Content-Digest is checked: a match 201, another body 400 and nothing stored", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			p.status(p.put(p.first(id).String(), p.bodyOf(p.first(id), "damaged"), "Content-Digest", digestOf(body)), http.StatusBadRequest)
			p.absent(id)
			p.status(p.put(p.first(id).String(), body, "Content-Digest", digestOf(body)), http.StatusCreated, http.StatusOK)
		}},
		{Row: "P20", Says: "Content-Digest of an unknown algorithm is ignored, one that can not be read is 400", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			p.status(p.put(p.first(id).String(), body, "Content-Digest", "sha-256=nothing"), http.StatusBadRequest)
			p.status(p.put(p.first(id).String(), body, "Content-Digest", "unixsum=:AAAA:"), http.StatusCreated, http.StatusOK)
		}},
		{Row: "P21", Says: "a chunked body that trickles in over a segment's length is taken", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			slow := &trickle{p: p, rest: body, piece: len(body)/10 + 1, every: p.Template.Duration() / 10}
			a := p.request(http.MethodPut, p.Publish[0]+p.first(id).String(), slow)
			if p.status(a, http.StatusCreated, http.StatusOK) {
				p.bytes(p.read(id.String()), body)
			}
		}},
		{Row: "P22", Says: "an empty body tests the URL: 200, and nothing is stored", run: func(p *probe) {
			id := p.pastName()
			p.status(p.put(p.first(id).String(), nil), http.StatusOK)
			p.absent(id)
			p.status(p.put("/no-such-event/"+p.Pipelines[0]+"/v/1.m4s", nil), http.StatusNotFound)
		}},
		{Row: "P23", Says: "an encoded body: 415; a part of a body: 400", run: func(p *probe) {
			id := p.pastName()
			p.status(p.put(p.first(id).String(), p.bodyOf(id), "Content-Encoding", "gzip"), http.StatusUnsupportedMediaType)
			p.status(p.put(p.first(id).String(), p.bodyOf(id), "Content-Range", "bytes 0-2999/6000"), http.StatusBadRequest)
			p.absent(id)
		}},
		{Row: "P24", Says: "a defect that is not known: 400, and nothing is stored", run: func(p *probe) {
			id := p.pastName()
			p.status(p.put(p.first(id).String(), p.bodyOf(id), headerDefects, "short, crooked"), http.StatusBadRequest)
			p.status(p.put(p.first(id).String(), p.bodyOf(id), headerSlate, "yes"), http.StatusBadRequest)
			p.absent(id)
		}},
		{Row: "P25", Says: "any other method: 405 with Allow", run: func(p *probe) {
			id := p.first(p.pastName())
			for _, method := range []string{http.MethodGet, http.MethodPatch} {
				a := p.request(method, p.Publish[0]+id.String(), nil)
				if p.status(a, http.StatusMethodNotAllowed) {
					p.want(strings.Contains(a.Header.Get("Allow"), "PUT"), a.what+": Allow", strconv.Quote(a.Header.Get("Allow")), "a list with PUT")
				}
			}
		}},
		{Row: "P26", Says: "a number more than a DVR window ahead of the clock: 400", run: func(p *probe) {
			id := p.first(p.pastName())
			id.Number = p.Template.Next(time.Now().Add(p.DVR)) + 10
			p.status(p.put(id.String(), p.bodyOf(id)), http.StatusBadRequest)
		}},
		{Row: "P27", Says: "a number that has left the DVR window: 410", needs: needOldNumber, run: func(p *probe) {
			id := p.first(p.pastName())
			id.Number = oldNumber(p.Target)
			p.status(p.put(id.String(), p.bodyOf(id)), http.StatusGone)
		}},
		{Row: "P28", Says: "different bytes at once: one copy stands, all answers name it, all reads give it whole", run: func(p *probe) {
			id := p.pastName()
			const n = 8
			answers := make([]answer, n)
			errs := make([]error, n)
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					answers[i], errs[i] = p.try(p.ctx, http.MethodPut, p.Publish[0]+p.first(id).String(), bytes.NewReader(p.bodyOf(p.first(id), strconv.Itoa(i))))
				})
			}
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				p.find("PUT of 8 bodies at once", err.Error(), "an answer each")
				p.giveUp()
			}
			stands := p.read(id.String())
			created := 0
			for _, a := range answers {
				p.status(a, http.StatusOK, http.StatusCreated)
				p.header(a, "ETag", etagOf(stands))
				if a.StatusCode == http.StatusCreated {
					created++
				}
			}
			p.want(created <= 1, "PUT of 8 bodies at once: answers 201", created, "1")
			whole := false
			for i := range n {
				whole = whole || bytes.Equal(stands.body, p.bodyOf(p.first(id), strconv.Itoa(i)))
			}
			p.want(whole, stands.what+": body", describe(stands.body), "one of the bodies that were sent")
		}},
		{Row: "P29", Says: "a refusal may not be stored by caches", run: func(p *probe) {
			id := p.first(p.pastName())
			id.Event = "no-such-event"
			a := p.put(id.String(), p.bodyOf(id))
			p.want(strings.Contains(a.Header.Get("Cache-Control"), "no-store"), a.what+": Cache-Control", strconv.Quote(a.Header.Get("Cache-Control")), "no-store")
		}},
		{Row: "P30", Says: "a refusal comes before the body of a sender that waits for 100-continue", run: func(p *probe) {
			id := p.first(p.pastName())
			id.Pipeline = "no-such-pipeline"
			w := p.connect(p.Publish[0], "PUT "+id.String()+" (Expect: 100-continue)")
			defer w.Close()
			w.head(http.MethodPut, p.Publish[0], id.String(), "Content-Length: 3000", "Expect: 100-continue")
			w.status(http.StatusNotFound)
		}},
		{Row: "P31", Says: "init.mp4 is published and read like a segment", run: func(p *probe) {
			id := segment.ID{Event: p.Event, Rendition: p.Renditions[0], Number: segment.Init}
			for _, pipeline := range p.Pipelines {
				p.publish(id.Candidate(pipeline), p.bodyOf(id.Candidate(pipeline)))
			}
			if a := p.get(id.String()); p.status(a, http.StatusOK) {
				whole := slices.ContainsFunc(p.Pipelines, func(pipeline string) bool { return bytes.Equal(a.body, p.bodyOf(id.Candidate(pipeline))) })
				p.want(whole, a.what+": body", describe(a.body), "what a pipeline has published")
			}
		}},
	}
}

// needOldNumber says why no number has left the DVR window yet.
func needOldNumber(t *Target) string {
	if oldNumber(t) < t.Template.StartNumber {
		return "the event is younger than its DVR window"
	}
	return ""
}

// oldNumber is a number that has left the DVR window.
func oldNumber(t *Target) int64 { return t.Template.Next(time.Now().Add(-t.DVR)) - 10 }

// absent notes a finding unless nothing is to be read of id.
func (p *probe) absent(id segment.ID) {
	a := p.get(id.String())
	p.want(a.StatusCode >= 400, a.what, a.StatusCode, "nothing: it was not published")
}

// settle is how long a copy that can still change may be kept by a node.
const settle = 5 * time.Second

// soon notes a finding unless every serve node answers with body within the time in which nodes come to agree.
func (p *probe) soon(what string, id segment.ID, body []byte) {
	for _, node := range p.Serve {
		end := time.Now().Add(settle + p.Slack)
		a := p.request(http.MethodGet, node+id.String(), nil)
		for !(a.StatusCode == http.StatusOK && bytes.Equal(a.body, body)) && time.Now().Before(end) {
			p.pause(100 * time.Millisecond)
			a = p.request(http.MethodGet, node+id.String(), nil)
		}
		if !p.status(a, http.StatusOK) {
			continue
		}
		p.want(bytes.Equal(a.body, body), what+": what is read within 5 s", describe(a.body), describe(body))
	}
}

// pause waits for d of the event's clock.
func (p *probe) pause(d time.Duration) { p.until(time.Now().Add(d)) }

// status notes a finding unless the origin answers at once with that status, though the rest of the request is not sent.
func (w *wire) status(want int) {
	within := time.Second + w.p.Slack
	res := w.answer(within)
	switch {
	case res == nil:
		w.p.find(w.what, fmt.Sprintf("no answer within %v", within), strconv.Itoa(want))
	case res.StatusCode != want:
		w.p.find(w.what, strconv.Itoa(res.StatusCode), strconv.Itoa(want))
	}
}

// trickle is a body that comes in pieces, one at a time.
type trickle struct {
	p     *probe
	rest  []byte
	piece int
	every time.Duration
}

func (t *trickle) Read(b []byte) (int, error) {
	if len(t.rest) == 0 {
		return 0, io.EOF
	}
	timer := time.NewTimer(t.every)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.p.ctx.Done():
		return 0, t.p.ctx.Err()
	}
	n := copy(b, t.rest[:min(t.piece, len(t.rest))])
	t.rest = t.rest[n:]
	return n, nil
}

// zeros is a body of so many bytes that does not end after them, as of a sender that waits for the answer, until wait is done.
type zeros struct {
	left int64
	wait context.Context
}

func (z *zeros) Read(b []byte) (int, error) {
	if z.left <= 0 {
		<-z.wait.Done()
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), z.left))
	clear(b[:n])
	z.left -= int64(n)
	return n, nil
}

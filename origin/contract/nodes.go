package contract

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"origin-storm/origin/segment"
)

// nodeCases are the rows about several publish nodes over one store.
func nodeCases() []Case {
	two := func(t *Target) string {
		if len(t.Publish) < 2 {
			return "a second publish node is needed (--publish)"
		}
		return ""
	}
	return []Case{
		{Row: "D1", Says: "the same bytes given to two nodes: both acknowledge one copy", needs: two, run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			one := p.publishAt(0, p.first(id), body)
			other := p.publishAt(1, p.first(id), body)
			p.header(other, "ETag", etagOf(one))
			p.bytes(p.read(id.String()), body)
		}},
		{Row: "D2", Says: "different bytes given to two nodes, one after the other: within 5 s one whole copy everywhere, for good", needs: two, run: func(p *probe) {
			// Whatever a node reads by now, it may have to forget again, be it that it reads at once or just before all have to agree.
			var wg sync.WaitGroup
			for _, quiet := range []time.Duration{0, settle - p.Slack/2} {
				for _, order := range [][2]int{{0, 1}, {1, 0}} {
					wg.Go(func() {
						id := p.liveName() // at the live edge, where no node looks before it writes
						p.until(p.turns(id.Number).Add(p.Slack))
						bodies := [][]byte{p.bodyOf(p.first(id), "one"), p.bodyOf(p.first(id), "two")}
						for i, node := range order {
							p.publishAt(node, p.first(id), bodies[i])
							p.pause(p.Template.Duration() / 20)
							if quiet == 0 {
								p.everywhere(id)
							}
						}
						p.agree(id, bodies, quiet)
					})
				}
			}
			wg.Wait()
		}},
		{Row: "D3", Says: "different bytes given to two nodes at once: within 5 s one whole copy everywhere, for good", needs: two, run: func(p *probe) {
			id := p.liveName()
			p.until(p.turns(id.Number).Add(p.Slack))
			bodies := [][]byte{p.bodyOf(p.first(id), "one"), p.bodyOf(p.first(id), "two")}
			var wg sync.WaitGroup
			for i, body := range bodies {
				wg.Go(func() { p.publishAt(i, p.first(id), body) })
			}
			wg.Wait()
			p.agree(id, bodies, settle-p.Slack/2)
		}},
		{Row: "D4", Says: "a sound copy given to one node replaces a flawed one given to the other, within 5 s", needs: two, run: func(p *probe) {
			id := p.pastName()
			p.publishAt(0, p.first(id), p.bodyOf(p.first(id), "flawed"), headerDefects, "short")
			p.everywhere(id)
			sound := p.bodyOf(p.first(id))
			a := p.publishAt(1, p.first(id), sound)
			p.soon(a.what, id, sound)
		}},
		{Row: "D5", Says: "a flawed copy given to one node never replaces one given to the other", needs: two, run: func(p *probe) {
			var wg sync.WaitGroup
			for _, id := range []segment.ID{p.pastName(), p.liveName()} {
				wg.Go(func() {
					p.until(p.turns(id.Number).Add(p.Slack))
					sound := p.bodyOf(p.first(id))
					p.publishAt(0, p.first(id), sound)
					p.publishAt(1, p.first(id), p.bodyOf(p.first(id), "flawed"), headerDefects, "short")
					p.agree(id, [][]byte{sound}, 0)
				})
			}
			wg.Wait()
		}},
	}
}

// publishAt is publish at one of the publish nodes.
func (p *probe) publishAt(node int, id segment.ID, body []byte, header ...string) answer {
	a := p.request(http.MethodPut, p.Publish[node]+id.String(), bytes.NewReader(body), header...)
	if !p.status(a, http.StatusOK, http.StatusCreated) {
		p.giveUp()
	}
	return a
}

// everywhere reads id at every serve node and returns what was read.
func (p *probe) everywhere(id segment.ID) []answer {
	var all []answer
	for _, node := range p.Serve {
		all = append(all, p.request(http.MethodGet, node+id.String(), nil))
	}
	return all
}

// agree reads id at every serve node until 5 s have passed, at first not at all for a while; nodes may answer with any of bodies by
// then. In the two seconds after it all have to answer with the same.
func (p *probe) agree(id segment.ID, bodies [][]byte, quiet time.Duration) {
	whole := func(a answer) bool {
		for _, b := range bodies {
			if bytes.Equal(a.body, b) {
				return true
			}
		}
		return false
	}
	settled := time.Now().Add(settle + p.Slack)
	end := settled.Add(2 * time.Second)
	p.pause(quiet)
	var one *answer
	for time.Now().Before(end) {
		began := time.Now()
		for _, a := range p.everywhere(id) {
			if !p.status(a, http.StatusOK) {
				return
			}
			if !whole(a) {
				p.find(a.what+": body", describe(a.body), fmt.Sprintf("one of the %d that were published, whole", len(bodies)))
				return
			}
			switch {
			case began.Before(settled):
			case one == nil:
				one = &a
			case etagOf(a) != etagOf(*one) || !bytes.Equal(a.body, one.body):
				p.find(fmt.Sprintf("%s, %v after the last publication", a.what, began.Sub(settled.Add(-settle-p.Slack)).Round(100*time.Millisecond)),
					strconv.Quote(etagOf(a)), strconv.Quote(etagOf(*one))+", as "+strings.TrimPrefix(one.what, "GET ")+" is answered")
				return
			}
		}
		p.pause(250 * time.Millisecond)
	}
}

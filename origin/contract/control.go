package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"origin-storm/origin/segment"
)

// reach is within what time a word of an operator or a packager about an event is known to every serve node.
const reach = time.Second

// controlCases are the rows about what operators and packagers say of an event while it is live.
func controlCases() []Case {
	operator := func(t *Target) string {
		if len(t.Operator) == 0 {
			return "an operator's listener is needed (--operator)"
		}
		return ""
	}
	return []Case{
		{Row: "E1", Says: "a masked copy is not served any more, by any node, within a second; another pipeline's is", needs: operator, run: func(p *probe) {
			id := p.pastName()
			p.both(id)
			p.everywhere(id)
			p.mask(http.MethodPost, id, p.Pipelines[0])
			p.within(reach, id, func(a answer) bool {
				return a.StatusCode == http.StatusOK && bytes.Equal(a.body, p.bodyOf(p.second(id)))
			}, "200 with the other pipeline's copy")
			p.mask(http.MethodDelete, id, p.Pipelines[0])
		}},
		{Row: "E2", Says: "where every copy is masked the segment stands as never published; a mask that is taken back brings it back", needs: operator, run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			p.publish(p.first(id), body)
			p.everywhere(id)
			p.mask(http.MethodPost, id, p.Pipelines[0])
			p.within(reach, id, func(a answer) bool { return a.StatusCode == http.StatusGone }, "410")
			p.mask(http.MethodDelete, id, p.Pipelines[0])
			p.within(reach, id, func(a answer) bool { return a.StatusCode == http.StatusOK && bytes.Equal(a.body, body) }, "200 with the copy")
		}},
		{Row: "E3", Says: "who is held does not get a masked copy", needs: operator, run: func(p *probe) {
			id := p.liveName()
			p.mask(http.MethodPost, id, p.Pipelines[0])
			p.until(p.turns(id.Number).Add(reach / 2))
			held := p.start(p.Serve[0] + id.String())
			p.pause(p.Template.Duration() / 8) // it is held by now
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			p.pause(p.Template.Duration() / 8)
			put := p.publish(p.second(id), p.bodyOf(p.second(id)))
			p.by(p.Template.Deadline(id.Number).Add(-p.Slack/2), "the other copy", put.ended)
			if a := held.wait(); p.status(a, http.StatusOK) {
				p.bytes(a, p.bodyOf(p.second(id)))
			}
			p.mask(http.MethodDelete, id, p.Pipelines[0])
		}},
		{Row: "E4", Says: "a masked copy is not served to If-Match with its ETag either: 412", needs: operator, run: func(p *probe) {
			id := p.pastName()
			tags := p.both(id)
			p.mask(http.MethodPost, id, p.Pipelines[0])
			p.pause(reach + p.Slack)
			p.status(p.get(id.String(), "If-Match", tags[0]), http.StatusPreconditionFailed)
			p.mask(http.MethodDelete, id, p.Pipelines[0])
		}},
		{Row: "E5", Says: "a mask touches no number and no rendition but its own", needs: operator, run: func(p *probe) {
			id, other := p.pastName(), p.pastName()
			for _, id := range []segment.ID{id, other} {
				p.publish(p.first(id), p.bodyOf(p.first(id)))
			}
			p.mask(http.MethodPost, id, p.Pipelines[0])
			p.within(reach, id, func(a answer) bool { return a.StatusCode == http.StatusGone }, "410")
			for _, a := range p.everywhere(other) {
				p.status(a, http.StatusOK)
			}
			p.mask(http.MethodDelete, id, p.Pipelines[0])
		}},
		{Row: "E6", Says: "a withdrawn segment is 410 at every node within a second, and back when it is restored", needs: operator, run: func(p *probe) {
			id := p.pastName()
			p.both(id)
			p.everywhere(id)
			p.operate(http.MethodPost, "withdrawn", map[string]any{"rendition": id.Rendition, "number": id.Number})
			p.within(reach, id, func(a answer) bool { return a.StatusCode == http.StatusGone }, "410")
			p.operate(http.MethodDelete, "withdrawn", map[string]any{"rendition": id.Rendition, "number": id.Number})
			p.within(reach, id, func(a answer) bool { return a.StatusCode == http.StatusOK }, "200")
		}},
		{Row: "E7", Says: "a notice that comes with a PUT is on every answer about the event within a second, errors too", run: func(p *probe) {
			id := p.pastName()
			name := p.noticeName("put")
			p.publish(p.first(id), p.bodyOf(p.first(id)), headerNotices, name+`;text="a break of 90 s"`)
			want := fmt.Sprintf(`%s;from=%d;text="a break of 90 s"`, name, id.Number)
			p.within(reach, id, func(a answer) bool { return strings.Contains(noticesOf(a), want) }, "200 with "+headerNotices+": "+want)
			gone := p.get(p.pastName().String())
			p.want(strings.Contains(noticesOf(gone), want), gone.what+": "+headerNotices, strconv.Quote(noticesOf(gone)), "a list with "+want)
		}},
		{Row: "E8", Says: "notices are cumulative: a list holds all of the earlier ones, in the order of their numbers", run: func(p *probe) {
			id := p.pastName()
			one, two := p.noticeName("one"), p.noticeName("two")
			p.publish(p.first(id), p.bodyOf(p.first(id)), headerNotices, fmt.Sprintf("%s;from=%d, %s;from=%d", two, id.Number+1, one, id.Number))
			want := []string{fmt.Sprintf("%s;from=%d", one, id.Number), fmt.Sprintf("%s;from=%d", two, id.Number+1)}
			ordered := func(a answer) bool {
				i, j := strings.Index(noticesOf(a), want[0]), strings.Index(noticesOf(a), want[1])
				return i >= 0 && i < j
			}
			p.within(reach, id, ordered, "200 with "+headerNotices+": …"+strings.Join(want, " … "))
			p.pause(settle)
			a := p.read(id.String())
			p.want(ordered(a), a.what+": "+headerNotices+" 5 s later", strconv.Quote(noticesOf(a)), "what it was, or more")
		}},
		{Row: "E9", Says: "a notice for a later number is not told before that number is the next one", run: func(p *probe) {
			id := p.pastName()
			later := p.liveName()
			name := p.noticeName("later")
			p.publish(p.first(id), p.bodyOf(p.first(id)), headerNotices, fmt.Sprintf("%s;from=%d", name, later.Number))
			p.until(p.turns(later.Number).Add(-2 * p.Slack))
			a := p.read(id.String())
			p.by(p.turns(later.Number).Add(-p.Slack/2), "the read before it", a.ended)
			p.want(!strings.Contains(noticesOf(a), name), a.what+": "+headerNotices+" before its number", strconv.Quote(noticesOf(a)), "a list without "+name)
			p.until(p.turns(later.Number).Add(reach))
			a = p.read(id.String())
			p.want(strings.Contains(noticesOf(a), name), a.what+": "+headerNotices+" once its number is next", strconv.Quote(noticesOf(a)), "a list with "+name)
		}},
		{Row: "E10", Says: "a notice that can not be read: 400, and nothing is stored", run: func(p *probe) {
			for _, bad := range []string{"7;from=1", "ad;from=soon", `ad;until=3`, `ad;text="`, "ad;from=1 ad"} {
				id := p.pastName()
				p.status(p.put(p.first(id).String(), p.bodyOf(p.first(id)), headerNotices, bad), http.StatusBadRequest)
				p.absent(id)
			}
		}},
		{Row: "E11", Says: "the cache version is on every answer about the event, and a raise is known to every node within a second", needs: operator, run: func(p *probe) {
			id := p.pastName()
			gone := p.get(p.pastName().String())
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			before := version(gone)
			p.want(before >= 0, gone.what+": "+headerCacheVersion, strconv.Quote(gone.Header.Get(headerCacheVersion)), "a number")
			p.operate(http.MethodPost, "cache-version", map[string]any{})
			p.within(reach, id, func(a answer) bool { return version(a) > before }, fmt.Sprintf("200 with %s above %d", headerCacheVersion, before))
		}},
		{Row: "E12", Says: "what is said of an event that there is not: 404; what can not be read: 400 or 415; nothing changes", needs: operator, run: func(p *probe) {
			url := p.Operator[0] + "/events/"
			for _, c := range []struct {
				path, kind, body string
				want             []int
			}{
				{"no-such-event/masks", "application/json", `{"pipeline": "a", "from": 1, "to": 2}`, []int{http.StatusNotFound}},
				{p.Event + "/masks", "application/json", `{"pipeline": `, []int{http.StatusBadRequest}},
				{p.Event + "/masks", "application/json", `{"pipeline": "no-such-pipeline", "from": 1, "to": 2}`, []int{http.StatusBadRequest}},
				{p.Event + "/masks", "application/json", `{"from": 2, "to": 1}`, []int{http.StatusBadRequest}},
				{p.Event + "/masks", "text/plain", `{"pipeline": "a", "from": 1, "to": 2}`, []int{http.StatusUnsupportedMediaType}},
			} {
				p.status(p.request(http.MethodPost, url+c.path, strings.NewReader(c.body), "Content-Type", c.kind), c.want...)
			}
		}},
		{Row: "E13", Says: "after the event's last segment: 410 at once, also for who was held; what came before it is served", needs: operator, alone: true, run: eventEnds},
	}
}

// eventEnds ends the event and lets it go on again.
func eventEnds(p *probe) {
	last, held := p.livePair()
	p.publish(p.first(last), p.bodyOf(p.first(last)))
	p.until(p.turns(held.Number).Add(p.Slack))
	var waiting []*flight
	for _, node := range p.Serve {
		waiting = append(waiting, p.start(node+held.String()))
	}
	p.pause(p.Slack)
	p.operate(http.MethodPost, "end", map[string]any{"last": last.Number})
	ended := time.Now()
	for _, f := range waiting {
		a := f.wait()
		p.status(a, http.StatusGone)
		late := a.ended.Sub(ended)
		p.want(late <= reach+p.slackSince(ended, a.ended), a.what+": answered after the end", late.Round(time.Millisecond), "within a second")
	}
	p.until(ended.Add(reach + p.Slack))
	for _, node := range p.Serve {
		for _, ahead := range []int64{0, 1000} {
			after := held
			after.Number += ahead
			a := p.request(http.MethodGet, node+after.String(), nil)
			p.status(a, http.StatusGone)
			p.prompt(a)
		}
		p.status(p.request(http.MethodGet, node+last.String(), nil), http.StatusOK)
	}
	p.operate(http.MethodDelete, "end", nil)
	again := p.liveAhead(1000)
	p.pause(reach)
	p.status(p.get(again.String()), http.StatusNotFound)
}

// operate tells the operator's listener something about the event; unless it agrees the case ends.
func (p *probe) operate(method, what string, body any) answer {
	b, err := json.Marshal(body)
	if err != nil {
		p.find(what, err.Error(), "JSON")
		p.giveUp()
	}
	a := p.request(method, p.Operator[0]+"/events/"+p.Event+"/"+what, bytes.NewReader(b), "Content-Type", "application/json")
	if !p.status(a, http.StatusOK) {
		p.giveUp()
	}
	return a
}

// mask sets a mask over a pipeline's copy of id, or takes it back.
func (p *probe) mask(method string, id segment.ID, pipeline string) {
	p.operate(method, "masks", map[string]any{"pipeline": pipeline, "rendition": id.Rendition, "from": id.Number, "to": id.Number})
}

// within notes a finding unless every serve node answers for id as ok wants within d, and goes on to.
func (p *probe) within(d time.Duration, id segment.ID, ok func(answer) bool, want string) {
	began := time.Now()
	for _, node := range p.Serve {
		a := p.request(http.MethodGet, node+id.String(), nil)
		for !ok(a) && time.Since(began) < d+p.slackSince(began, time.Now()) {
			p.pause(20 * time.Millisecond)
			a = p.request(http.MethodGet, node+id.String(), nil)
		}
		if ok(a) {
			a = p.request(http.MethodGet, node+id.String(), nil) // what was chosen does not come back
		}
		if !ok(a) {
			p.find(fmt.Sprintf("%s, %v later", a.what, d), fmt.Sprintf("%d of pipeline %q, %s", a.StatusCode, a.Header.Get(headerPipeline), describe(a.body)), want)
			return
		}
	}
}

// noticeName is an identifier that no other run has used.
func (p *probe) noticeName(what string) string { return what + "-" + p.nonce[max(0, len(p.nonce)-6):] }

func noticesOf(a answer) string { return strings.Join(a.Header.Values(headerNotices), ", ") }

// version is the cache version of an answer; -1 without one.
func version(a answer) int64 {
	n, err := strconv.ParseInt(a.Header.Get(headerCacheVersion), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

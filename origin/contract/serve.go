package contract

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"origin-storm/origin/segment"
)

// serveCases are the rows of the table that says what a number is answered with.
func serveCases() []Case {
	return []Case{
		{Row: "S1", Says: "an unknown event: 404", run: func(p *probe) {
			a := p.get("/no-such-event/" + p.Renditions[0] + "/1.m4s")
			p.status(a, http.StatusNotFound)
			p.prompt(a)
		}},
		{Row: "S2", Says: "an unknown rendition: 404", run: func(p *probe) {
			id := p.liveName()
			id.Rendition = "no-such-rendition"
			a := p.get(id.String())
			p.status(a, http.StatusNotFound)
			p.prompt(a)
		}},
		{Row: "S3", Says: "not yet to be held: 404 at once, though it may be published already", run: func(p *probe) {
			id := p.liveName()
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			for _, id := range []segment.ID{id, p.liveAhead(10_000)} {
				a := p.get(id.String())
				p.by(p.opens(id.Number), "the request", p.arrived(a))
				p.status(a, http.StatusNotFound)
				p.prompt(a)
			}
		}},
		{Row: "S4", Says: "that 404 lasts until the number is held, or for an hour, to the millisecond in Origin-TTL-Ms", run: func(p *probe) {
			hours := int64(3 * time.Hour / p.Template.Duration())
			p.until(time.Now().Truncate(time.Second).Add(1350 * time.Millisecond)) // what is rounded to seconds must show
			for _, ahead := range []int64{2, 3, 50, hours} {
				id := p.liveAhead(ahead)
				a := p.get(id.String())
				p.by(p.opens(id.Number), "the request", p.arrived(a))
				if !p.status(a, http.StatusNotFound) {
					continue
				}
				most, least := min(p.opens(id.Number).Sub(a.began), time.Hour), min(p.opens(id.Number).Sub(a.ended), time.Hour)
				got := time.Duration(ttlMillis(a)) * time.Millisecond
				p.want(ttlMillis(a) >= 0 && got <= most+p.Slack+time.Millisecond && got >= least-p.Slack, a.what+": "+headerTTL,
					strconv.Quote(a.Header.Get(headerTTL)), fmt.Sprintf("%d, when the number begins to be held, or an hour has passed", most.Milliseconds()))
			}
		}},
		{Row: "S5", Says: "and in whole seconds, rounded down, in Cache-Control", run: func(p *probe) {
			// A lifetime of any length ends in the middle of a second somewhere: ask at several instants.
			for i := range 4 {
				p.until(time.Now().Truncate(time.Second).Add(time.Second + time.Duration(150+200*i)*time.Millisecond))
				id := p.liveAhead(int64(30 * time.Minute / p.Template.Duration()))
				a := p.get(id.String())
				if p.status(a, http.StatusNotFound) {
					opens := p.opens(id.Number)
					least, most := opens.Sub(a.ended)-p.Slack, opens.Sub(a.began)+p.Slack
					p.want(maxAge(a) >= int64(least/time.Second) && maxAge(a) <= int64(most/time.Second), a.what+": Cache-Control",
						strconv.Quote(a.Header.Get("Cache-Control")), fmt.Sprintf("max-age=%d, of %v", int64(opens.Sub(a.began)/time.Second), opens.Sub(a.began)))
				}
			}
		}},
		{Row: "S6", Says: "who asks again when that lifetime has ended is held, not sent away again", run: func(p *probe) {
			id := p.liveName()
			a := p.get(id.String())
			p.by(p.opens(id.Number), "the request", p.arrived(a))
			if !p.status(a, http.StatusNotFound) {
				p.giveUp()
			}
			p.until(a.ended.Add(time.Duration(max(ttlMillis(a), 0)) * time.Millisecond))
			held := p.start(p.Serve[0] + id.String())
			p.until(p.opens(id.Number).Add(3 * p.Slack))
			put := p.publish(p.first(id), p.bodyOf(p.first(id)))
			p.by(p.Template.Deadline(id.Number).Add(-p.Slack/2), "the publication", put.ended)
			p.status(held.wait(), http.StatusOK)
		}},
		{Row: "S7", Says: "the next one: held, and answered the moment it is published", run: func(p *probe) {
			id := p.liveName()
			p.until(p.turns(id.Number).Add(p.Slack))
			held := p.start(p.Serve[0] + id.String())
			p.pause(p.Template.Duration() / 4)
			body := p.bodyOf(p.second(id))
			put := p.publish(p.second(id), body)
			p.by(p.Template.Deadline(id.Number).Add(-p.Slack/2), "the publication", put.ended)
			a := held.wait()
			if p.status(a, http.StatusOK) {
				p.bytes(a, body)
				p.want(!a.ended.Before(put.began), a.what+": answered", "before it was published", "after")
				p.promptAfter(put, a)
			}
		}},
		{Row: "S8", Says: "all who are held get the same copy", run: func(p *probe) {
			id := p.liveName()
			p.until(p.turns(id.Number).Add(p.Slack))
			var held []*flight
			for range 10 {
				for _, node := range p.Serve {
					held = append(held, p.start(node+id.String()))
				}
			}
			p.pause(p.Template.Duration() / 4)
			body := p.bodyOf(p.first(id))
			put := p.publish(p.first(id), body)
			p.by(p.Template.Deadline(id.Number).Add(-p.Slack/2), "the publication", put.ended)
			for _, f := range held {
				if a := f.wait(); p.status(a, http.StatusOK) {
					p.bytes(a, body)
				}
			}
		}},
		{Row: "S9", Says: "the next one, nobody publishes it: held until its deadline, then 410", run: func(p *probe) {
			id := p.liveName()
			p.until(p.turns(id.Number).Add(p.Slack))
			a := p.get(id.String())
			p.status(a, http.StatusGone)
			p.around(a.what+": answered", a.ended, p.Template.Deadline(id.Number))
		}},
		{Row: "S10", Says: "overdue: held, and answered the moment it is published", run: func(p *probe) {
			id := p.liveName()
			p.until(p.Template.Due(id.Number).Add(p.Slack / 2))
			held := p.start(p.Serve[0] + id.String())
			p.until(p.Template.Due(id.Number).Add(segment.Budget / 2))
			body := p.bodyOf(p.first(id))
			put := p.publish(p.first(id), body)
			p.by(p.Template.Deadline(id.Number).Add(-p.Slack/2), "the publication", put.ended)
			a := held.wait()
			if p.status(a, http.StatusOK) {
				p.bytes(a, body)
				p.promptAfter(put, a)
			}
		}},
		{Row: "S11", Says: "overdue, nobody publishes it: held until its deadline, then 410", run: func(p *probe) {
			id := p.liveName()
			p.until(p.Template.Due(id.Number).Add(p.Slack))
			a := p.get(id.String())
			p.status(a, http.StatusGone)
			p.around(a.what+": answered", a.ended, p.Template.Deadline(id.Number))
		}},
		{Row: "S12", Says: "past its deadline and never published: 410 at once", run: func(p *probe) {
			a := p.get(p.pastName().String())
			p.status(a, http.StatusGone)
			p.prompt(a)
		}},
		{Row: "S13", Says: "that 410 lasts one segment", run: func(p *probe) {
			a := p.get(p.pastName().String())
			if a.StatusCode == http.StatusOK {
				p.status(a, http.StatusGone)
				return
			}
			d := p.Template.Duration()
			p.want(maxAge(a) == int64(d/time.Second), a.what+": Cache-Control", strconv.Quote(a.Header.Get("Cache-Control")), fmt.Sprintf("max-age=%d", d/time.Second))
			p.header(a, headerTTL, strconv.FormatInt(int64((d+time.Millisecond-1)/time.Millisecond), 10))
		}},
		{Row: "S14", Says: "a late publication makes it 200 again", run: func(p *probe) {
			id := p.pastName()
			for _, node := range p.Serve {
				p.request(http.MethodGet, node+id.String(), nil)
			}
			body := p.bodyOf(p.first(id))
			p.publish(p.first(id), body)
			for _, node := range p.Serve {
				if a := p.request(http.MethodGet, node+id.String(), nil); p.status(a, http.StatusOK) {
					p.bytes(a, body)
				}
			}
		}},
		{Row: "S15", Says: "published while it is the next one: 200 at once", run: func(p *probe) {
			id := p.liveName()
			body := p.bodyOf(p.first(id))
			p.until(p.turns(id.Number).Add(p.Slack))
			p.publish(p.first(id), body)
			a := p.get(id.String())
			if p.status(a, http.StatusOK) {
				p.bytes(a, body)
			}
			p.prompt(a)
		}},
		{Row: "S16", Says: "published before it was the next one: 200 at once when it is", run: func(p *probe) {
			id := p.liveName()
			body := p.bodyOf(p.first(id))
			p.publish(p.first(id), body)
			p.until(p.turns(id.Number).Add(p.Slack))
			a := p.get(id.String())
			if p.status(a, http.StatusOK) {
				p.bytes(a, body)
			}
			p.prompt(a)
		}},
		{Row: "S17", Says: "older than the DVR window: 410", needs: needOldNumber, run: func(p *probe) {
			id := segment.ID{Event: p.Event, Rendition: p.Renditions[0], Number: oldNumber(p.Target)}
			a := p.get(id.String())
			p.status(a, http.StatusGone)
			p.prompt(a)
		}},
		{Row: "S18", Says: "a published segment is served to the end of the DVR window, and 410 after it", needs: needOldNumber, run: func(p *probe) {
			id := p.pastName()
			// The oldest that stays in the window for a little longer than the clocks may differ.
			id.Number = p.Template.Next(time.Now().Add(2*p.Slack-p.DVR)) + 1
			body := p.bodyOf(p.first(id))
			p.publish(p.first(id), body)
			p.status(p.get(id.String()), http.StatusOK)
			end := p.Template.Due(id.Number).Add(p.DVR)
			p.until(end.Add(-p.Slack))
			if a := p.get(id.String()); a.ended.Before(end) {
				p.status(a, http.StatusOK)
			}
			p.until(end.Add(p.Slack))
			p.status(p.get(id.String()), http.StatusGone)
		}},
		{Row: "S19", Says: "an initialisation segment that nobody has published: 404 for one segment", needs: needFreshInit, run: func(p *probe) {
			a := p.get("/" + p.Event + "/" + p.Renditions[len(p.Renditions)-1] + "/init.mp4")
			p.status(a, http.StatusNotFound)
			p.want(maxAge(a) >= 0 && maxAge(a) <= int64(p.Template.Duration()/time.Second), a.what+": Cache-Control",
				strconv.Quote(a.Header.Get("Cache-Control")), "a max-age of at most one segment")
		}},
		{Row: "S20", Says: "a full hold table: 503 with no-store, and those who are held stay", alone: true, needs: func(t *Target) string {
			if t.Holds == 0 {
				return "how many requests a node holds is not known (--holds)"
			}
			return ""
		}, run: fullHolds},
		{Row: "S21", Says: "a held request that its sender gives up takes nobody else's answer", run: func(p *probe) {
			id := p.liveName()
			p.until(p.turns(id.Number).Add(p.Slack))
			ctx, leave := context.WithCancel(p.ctx)
			defer leave()
			p.flights.Go(func() {
				_, _ = p.try(ctx, http.MethodGet, p.Serve[0]+id.String(), nil) // its error is what is wanted
			})
			stays := p.start(p.Serve[0] + id.String())
			p.pause(p.Template.Duration() / 4)
			leave()
			body := p.bodyOf(p.first(id))
			put := p.publish(p.first(id), body)
			p.by(p.Template.Deadline(id.Number).Add(-p.Slack/2), "the publication", put.ended)
			if a := stays.wait(); p.status(a, http.StatusOK) {
				p.bytes(a, body)
			}
		}},
		{Row: "S22", Says: "while the store is under stress, what is far behind the live edge: 503 for 5 s, the live edge 200", needs: func(t *Target) string {
			if t.Stressed == "" {
				return "a serve node whose store is under stress is needed (--stressed)"
			}
			return ""
		}, run: shedding},
		{Row: "S23", Says: "who was given a segment as early as it can be published, and asks for its successor, is held", run: func(p *probe) {
			lower, upper := p.livePair()
			p.until(p.opens(upper.Number).Add(p.Slack))
			p.publish(p.first(lower), p.bodyOf(p.first(lower)))
			p.read(lower.String())
			held := p.start(p.Serve[0] + upper.String())
			p.pause(p.Slack)
			p.waits(held)
			put := p.publish(p.first(upper), p.bodyOf(p.first(upper)))
			p.by(p.Template.Deadline(upper.Number).Add(-p.Slack/2), "the publication", put.ended)
			p.status(held.wait(), http.StatusOK)
		}},
	}
}

// shedding reads from the node that sheds.
func shedding(p *probe) {
	old, live := p.pastName(), p.liveName()
	p.publish(p.first(old), p.bodyOf(p.first(old)))
	p.until(p.turns(live.Number).Add(p.Slack))
	p.publish(p.first(live), p.bodyOf(p.first(live)))
	a := p.request(http.MethodGet, p.Stressed+old.String(), nil)
	// A node may admit a share of what can wait, drawn anew every few seconds: it sheds this one in one of them.
	for round := 0; round < 4 && a.StatusCode == http.StatusOK; round++ {
		if round > 0 {
			p.pause(settle)
		}
		for i := range int64(200) { // a node that measures its store finds out by reading, such as of what nobody has published
			if a.StatusCode != http.StatusOK {
				break
			}
			absent := old
			absent.Number -= i % enough
			p.request(http.MethodGet, p.Stressed+absent.String(), nil)
			a = p.request(http.MethodGet, p.Stressed+old.String(), nil)
		}
	}
	if p.status(a, http.StatusServiceUnavailable) {
		p.want(maxAge(a) == int64(settle/time.Second), a.what+": Cache-Control", strconv.Quote(a.Header.Get("Cache-Control")), "max-age=5")
		p.header(a, headerTTL, "5000")
	}
	if a := p.request(http.MethodGet, p.Stressed+live.String(), nil); p.status(a, http.StatusOK) {
		p.bytes(a, p.bodyOf(p.first(live)))
	}
}

// needFreshInit says why an initialisation segment that is missing can not be asked for.
func needFreshInit(t *Target) string {
	if len(t.Renditions) < 2 {
		return "two renditions are needed, one of them without an initialisation segment"
	}
	return ""
}

// fullHolds asks the first serve node for one more than it holds. Which of them it refuses is its own affair: requests need not come
// in the order in which they were sent.
func fullHolds(p *probe) {
	id := p.liveName()
	p.until(p.turns(id.Number).Add(p.Slack))
	held := make([]*flight, p.Holds+1)
	refused := make(chan struct{}, len(held))
	for i := range held {
		held[i] = p.start(p.Serve[0] + id.String())
		p.flights.Go(func() {
			<-held[i].done
			refused <- struct{}{}
		})
	}
	body := p.bodyOf(p.first(id))
	publish := time.NewTimer(time.Until(p.Template.Due(id.Number)))
	defer publish.Stop()
	select {
	case <-refused:
	case <-publish.C:
	}
	p.pause(p.Template.Duration() / 4) // the others stay
	put := p.publish(p.first(id), body)
	p.by(p.Template.Deadline(id.Number).Add(-p.Slack/2), "the publication", put.ended)
	var full *answer
	for _, f := range held {
		a := f.wait()
		switch {
		case a.StatusCode != http.StatusOK && full == nil:
			full = &a
		case a.StatusCode != http.StatusOK || !bytes.Equal(a.body, body):
			p.find(a.what+" of those that were held", fmt.Sprintf("%d, %s", a.StatusCode, describe(a.body)), "200, "+describe(body))
			return
		}
	}
	if full == nil {
		p.find(fmt.Sprintf("GET %v, %d times at once", id, len(held)), "all of them held", "one that is refused")
		return
	}
	if p.status(*full, http.StatusServiceUnavailable) {
		p.prompt(*full)
		p.want(strings.Contains(full.Header.Get("Cache-Control"), "no-store"), full.what+": Cache-Control", strconv.Quote(full.Header.Get("Cache-Control")), "no-store")
	}
}

package contract

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"origin-storm/origin/segment"
)

// nameCases are the rows about paths.
func nameCases() []Case {
	return []Case{
		{Row: "N1", Says: "a segment has one spelling: any other is 404 at serve", run: func(p *probe) {
			id := p.pastName()
			p.publish(p.first(id), p.bodyOf(p.first(id)))
			p.read(id.String())
			for _, path := range spellings(id) {
				p.status(p.get(path), http.StatusNotFound)
			}
		}},
		{Row: "N2", Says: "a segment has one spelling: any other is refused at publish, and nothing is stored", run: func(p *probe) {
			id := p.pastName()
			for _, path := range spellings(p.first(id)) {
				p.status(p.put(path, p.bodyOf(id)), http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound)
			}
			p.absent(id)
		}},
		{Row: "N3", Says: "a number that no clock reaches is 404, as is what is no number", run: func(p *probe) {
			for _, n := range []string{"562949953421313", "9223372036854775807", "9223372036854775808", "99999999999999999999999", "-1", "1e3", "0x10", ""} {
				p.status(p.get("/"+p.Event+"/"+p.Renditions[0]+"/"+n+".m4s"), http.StatusNotFound)
			}
		}},
		{Row: "N4", Says: "a long path is 404 or 414, and is answered at once", run: func(p *probe) {
			a := p.get("/" + p.Event + "/" + strings.Repeat("x", 4000) + "/1.m4s")
			p.status(a, http.StatusNotFound, http.StatusRequestURITooLong)
			p.prompt(a)
		}},
		{Row: "N5", Says: "a query changes nothing: players and edges add their own", run: func(p *probe) {
			id := p.pastName()
			body := p.bodyOf(p.first(id))
			p.publish(p.first(id), body)
			if a := p.get(id.String() + "?CMCD=br%3D3200&token=1"); p.status(a, http.StatusOK) {
				p.bytes(a, body)
			}
		}},
		{Row: "N6", Says: "a number before the event's first is 410", needs: func(t *Target) string {
			if t.Template.StartNumber == 0 {
				return "the event's first number is 0"
			}
			return ""
		}, run: func(p *probe) {
			id := segment.ID{Event: p.Event, Rendition: p.Renditions[0], Number: p.Template.StartNumber - 1}
			a := p.get(id.String())
			p.status(a, http.StatusGone)
			p.prompt(a)
		}},
		{Row: "N7", Says: "numbers map to time by the template, to the instant: from when a number's media begins it is held, before it is 404", run: func(p *probe) {
			// Of two neighbours the lower one is held and the upper one is 404, until its own media begins: then it is held, too.
			lower, upper := p.livePair()
			p.until(p.opens(lower.Number).Add(p.Slack))
			held := p.start(p.Serve[0] + lower.String())
			early := p.get(upper.String())
			p.by(p.opens(upper.Number), "the request for the upper one", p.arrived(early))
			p.status(early, http.StatusNotFound)
			p.pause(p.Slack)
			p.waits(held)
			p.publish(p.first(lower), p.bodyOf(p.first(lower)))
			p.status(held.wait(), http.StatusOK)
			p.until(p.opens(upper.Number).Add(p.Slack))
			held = p.start(p.Serve[0] + upper.String())
			p.pause(p.Slack)
			p.waits(held)
		}},
	}
}

// waits notes a finding if f was answered already.
func (p *probe) waits(f *flight) {
	select {
	case <-f.done:
		a := f.wait()
		p.find(a.what+" while it is next", fmt.Sprint(a.StatusCode, " at once"), "a hold")
	default:
	}
}

// spellings are paths that a careless parser takes for id.
func spellings(id segment.ID) []string {
	path := id.String()
	number := strconv.FormatInt(id.Number, 10)
	last := "/" + number + ".m4s"
	front := strings.TrimSuffix(path, last)
	escaped := "/%" + strconv.FormatInt(int64(id.Event[0]), 16) + path[2:]
	return []string{
		front + "/0" + number + ".m4s",
		front + "/+" + number + ".m4s",
		front + "/" + number + ".M4S",
		front + "/" + number + ".m4s/",
		front + "/" + number,
		front + "/" + number + ".m4s.m4s",
		front + "//" + number + ".m4s",
		"/" + path,
		front + "/." + last,
		front + "/x/.." + last,
		"/.." + path,
		front + "%2F" + number + ".m4s",
		front + "/%2e" + last,
		escaped,
		front + "/" + number + "%00.m4s",
		front + "/" + number + "%2em4s",
		strings.ToUpper(front) + last,
	}
}

package origin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"origin-storm/origin/control"
	"origin-storm/origin/segment"
)

// under returns ev as st has it: with its end, if it has one.
func (ev *event) under(st *control.State) *event {
	if st.Ended == ev.Ended && st.Last == ev.Last {
		return ev
	}
	now := *ev
	now.Rendition = st.Rendition(ev.Rendition)
	return &now
}

// announce puts into h what an event, if there is one of that name, says with each answer about it.
func (s *Serve) announce(h http.Header, name string) {
	ev := s.events[name]
	if ev == nil {
		return
	}
	st := s.state(name)
	setNonEmpty(h, HeaderNotices, st.Announced(ev.next(time.Now())))
	h.Set(HeaderCacheVersion, strconv.FormatInt(st.CacheVersion, 10))
}

// next is the number that is next at now, or was at any time before: a clock that is put back takes no notice back.
func (ev *event) next(now time.Time) int64 {
	n := ev.Template.Next(now)
	for {
		highest := ev.announced.Load()
		if n <= highest {
			return highest
		}
		if ev.announced.CompareAndSwap(highest, n) {
			return n
		}
	}
}

// notices are those that a packager sends with segment id, or a refusal.
func (p *Publish) notices(h http.Header, id segment.ID) ([]control.Notice, error) {
	lines := h.Values(HeaderNotices)
	if len(lines) == 0 {
		return nil, nil
	}
	if p.cfg.Control == nil {
		return nil, refuse(http.StatusBadRequest, "%s: this node keeps no notices", HeaderNotices)
	}
	notices, err := control.ParseNotices(lines, id.Number)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%s: %v", HeaderNotices, err)
	}
	return notices, nil
}

// announce adds notices to those of event, all or none, and puts all that stand then into h. It comes after the segment is
// stored: a packager that is told to try again sends both, and the segment is there already.
func (p *Publish) announce(ctx context.Context, h http.Header, event string, notices []control.Notice) error {
	if p.cfg.Control == nil {
		return nil
	}
	if slices.ContainsFunc(notices, func(n control.Notice) bool { return !p.cfg.Control.State(event).Stands(n) }) {
		err := p.cfg.Control.Change(ctx, event, func(d *control.Document) error {
			for _, n := range notices {
				d.Notify(n)
			}
			return nil
		})
		switch {
		case errors.Is(err, control.ErrInvalid): // there is no room; the segment counts
			p.log.Error("notices are not announced", "event", event, "notices", control.FormatNotices(notices), "err", err)
		case err != nil:
			return unavailable(err)
		}
	}
	setNonEmpty(h, HeaderNotices, control.FormatNotices(p.cfg.Control.State(event).Notices))
	return nil
}

// reprDigest is the value of the field Repr-Digest (RFC 9530) of a segment: that of the whole of it, also on an answer with
// a range, which a client checks once it has all parts.
func reprDigest(sum [sha256.Size]byte) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// noState is what is known of an event that nobody controls.
var noState = &control.State{}

// state is what operators and packagers have said about an event so far.
func (s *Serve) state(event string) *control.State {
	if s.cfg.Control == nil {
		return noState
	}
	return s.cfg.Control.State(event)
}

// awaited returns what a poll for id asks: whose copies count at the moment, and whether it is still to come.
func (s *Serve) awaited(ev *event, id segment.ID) func() ([]string, bool) {
	return func() ([]string, bool) {
		st := s.state(ev.name)
		return st.Pipelines(id, ev.pipelines), !st.Ended || id.Number <= st.Last
	}
}

// ready refuses requests until it is known what must not be served.
func (s *Serve) ready() error {
	if s.cfg.Control == nil {
		return nil
	}
	err := s.cfg.Control.Ready()
	if err == nil {
		return nil
	}
	f := refuse(http.StatusServiceUnavailable, "this node is starting; use another one")
	f.retry = time.Second
	return f
}

// timePath is where a player asks for the time.
const timePath = "/time"

// sendTime answers now in the form of DASH's UTC timing (ISO/IEC 23009-1, 5.8.4.11): as xs:dateTime in the body for the
// schemes http-iso and http-xsdate, in the field Date for http-head. Its milliseconds are those of the Date's second.
func sendTime(w http.ResponseWriter, r *http.Request, now time.Time) {
	body := now.UTC().Format("2006-01-02T15:04:05.000Z")
	h := w.Header()
	h.Set("Date", now.UTC().Format(http.TimeFormat))
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(body))
	}
}

package origin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"origin-storm/origin/control"
	"origin-storm/origin/segment"
)

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

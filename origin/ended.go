package origin

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"origin-storm/origin/control"
)

// mark notes that segment number of a rendition was published, and whether it said that it is the last one.
func (f *feed) mark(rendition string, number int64, last bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tracks[rendition]
	t.newest = max(t.newest, number)
	switch {
	case last:
		t.last = number
	case t.last >= 0 && number > t.last:
		t.last = -1 // it went on
	}
}

// over returns the highest number that the pipeline has published, -1 if none, and reports whether that was its last: its MPD is
// static, or each rendition that it has published has said so by a brand or a playlist.
func (f *feed) over() (last int64, over bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last, over = -1, true
	for _, t := range f.tracks {
		if t.newest < 0 {
			continue // never published, or not to this node
		}
		over = over && (t.last >= 0 || f.overByMPD)
		last = max(last, t.newest)
	}
	return last, over && last >= 0
}

// end tells the other nodes when a pipeline has ended or has gone on after its end, and sets the header that says which have ended.
// It comes after what the request brought has been stored, so that nothing is said to be over before its last segment is there. An
// end that could not be stored is said again with the pipeline's next request, or by an operator.
func (p *Publish) end(ctx context.Context, h http.Header, ev *event, pipeline string) {
	ended := make(map[string]int64)
	if p.cfg.Control == nil {
		for name, f := range ev.feeds {
			if last, over := f.over(); over {
				ended[name] = last
			}
		}
	} else {
		if err := p.sayEnd(ctx, ev, pipeline); err != nil {
			p.log.Error("that a pipeline has ended, or has not, is not known to other nodes", "event", ev.name, "pipeline", pipeline, "err", err)
		}
		ended = p.cfg.Control.State(ev.name).Finished
	}
	var names []string
	for _, name := range ev.pipelines {
		if _, ok := ended[name]; ok {
			names = append(names, strconv.Quote(name))
		}
	}
	setNonEmpty(h, HeaderEnded, strings.Join(names, ", "))
}

// sayEnd brings what is known to all nodes about a pipeline's end up to what this node has seen. It writes only where they differ.
func (p *Publish) sayEnd(ctx context.Context, ev *event, pipeline string) error {
	said, finished := p.cfg.Control.State(ev.name).Finished[pipeline]
	last, over := ev.feeds[pipeline].over()
	switch {
	case over && (!finished || last > said):
	case !over && finished && last > said:
		last = control.GoesOn
	default:
		return nil
	}
	p.log.Info("a pipeline's end", "event", ev.name, "pipeline", pipeline, "ended", over, "last", last)
	return p.cfg.Control.Change(ctx, ev.name, func(d *control.Document) error {
		if d.Finished == nil {
			d.Finished = make(map[string]control.Finish)
		}
		d.Finished[pipeline] = control.Finish{Last: last, At: time.Now().UTC().Round(0)}
		return nil
	})
}

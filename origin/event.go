package origin

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/control"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

// event is one configured event as the handlers look it up.
type event struct {
	policy.Rendition // one template for all renditions of the event
	name             string
	pipelines        []string // in order of preference
	renditions       map[string]bool
	times            map[string]int64 // of renditions whose names are times: their timescale
	maxSegment       int64
	inspect          bool             // bodies are looked into
	headerFirst      bool             // media are refused until their header is there
	feeds            map[string]*feed // of a publishing node, by pipeline
	announced        *atomic.Int64    // the highest number whose notices were announced
}

func newEvents(cfg []config.Event) (map[string]*event, error) {
	events := make(map[string]*event, len(cfg))
	for _, c := range cfg {
		if err := c.Template.Validate(); err != nil {
			return nil, fmt.Errorf("origin: event %q: %w", c.Name, err)
		}
		if events[c.Name] != nil {
			return nil, fmt.Errorf("origin: event %q is configured twice", c.Name)
		}
		ev := &event{
			Rendition:   policy.Rendition{Template: c.Template, DVR: c.DVR},
			name:        c.Name,
			announced:   new(atomic.Int64),
			pipelines:   slices.Clone(c.Pipelines),
			renditions:  make(map[string]bool, len(c.Renditions)),
			times:       make(map[string]int64),
			maxSegment:  cmp.Or(c.MaxSegment, defaultMaxSegment),
			inspect:     c.Inspect == nil || *c.Inspect,
			headerFirst: c.HeaderFirst,
		}
		for _, r := range c.Renditions {
			ev.renditions[r.Name] = true
			if r.TimeNames {
				ev.times[r.Name] = r.Timescale
			}
		}
		events[c.Name] = ev
	}
	return events, nil
}

// largest is the most bytes that a segment of one of events may have.
func largest(events map[string]*event) (most int64) {
	for _, ev := range events {
		most = max(most, ev.maxSegment)
	}
	return most
}

// number returns the number of the segment whose name is value: value itself, or where names are times that of the segment
// which begins nearest to it, as audio begins early by its priming.
func (ev *event) number(rendition string, value int64) (int64, error) {
	timescale, byTime := ev.times[rendition]
	if !byTime {
		return value, segment.CheckNumber(value)
	}
	n, _, ok := ev.Template.At(value, timescale)
	if !ok {
		return 0, fmt.Errorf("%w: %d at %d ticks a second is beyond all times", segment.ErrName, value, timescale)
	}
	return n, nil
}

func (ev *event) hasPipeline(name string) bool { return slices.Contains(ev.pipelines, name) }

// under returns ev as st has it: with its end, if it has one.
func (ev *event) under(st *control.State) *event {
	if st.Ended == ev.Ended && st.Last == ev.Last {
		return ev
	}
	now := *ev
	now.Rendition = st.Rendition(ev.Rendition)
	return &now
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

// known refuses names that the event does not have, which would be typing errors; empty ones are the caller's business.
func (ev *event) known(pipeline, rendition string) error {
	if pipeline != "" && !ev.hasPipeline(pipeline) {
		return refuse(http.StatusBadRequest, "pipeline: event %q has no %.64q; it has %v", ev.name, pipeline, ev.pipelines)
	}
	if rendition != "" && !ev.renditions[rendition] {
		return refuse(http.StatusBadRequest, "rendition: event %q has no %.64q", ev.name, rendition)
	}
	return nil
}

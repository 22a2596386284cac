// Package control holds what operators and packagers say about an event while it is live: which copies of its segments are
// masked or withdrawn, what has to be announced, where the event ends, and the version that caches go by. Each writer keeps
// what it was told in one Document per event; a Keeper polls the documents of all writers and merges them into a State. It
// decides nothing: what a mask or an end means for an answer is package policy's, headers and endpoints are the handlers'.
package control

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

// What callers branch on; the errors of this package wrap them or those of package kv.
var (
	// ErrUnknownEvent: the Keeper was not told of such an event.
	ErrUnknownEvent = errors.New("control: unknown event")
	// ErrNotWriter: this node's document is not among those that the nodes read, so a change made here would reach nobody.
	ErrNotWriter = errors.New("control: not a writer")
	// ErrInvalid: a change would leave a document that is not valid, or larger than it may be. Nothing was changed.
	ErrInvalid = errors.New("control: invalid")
	// ErrCorrupt: the store returned bytes that no writer has written.
	ErrCorrupt = errors.New("control: corrupt document")
)

// What a document may hold. It is read whole every quarter of a second by every node, and each request goes through its masks.
const (
	maxMasks     = 256
	maxWithdrawn = 256
	maxFinished  = 64
	maxDocument  = 128 << 10 // bytes

	// maxNumber is far beyond any segment's number and within a structured field's integers (15 digits).
	maxNumber = 1 << 49
	// maxCacheVersion keeps the sum over writers within them, too.
	maxCacheVersion = 1 << 40

	schema = 1
)

// A Document is what one writer has been told about one event. Its own fields are counted up and dated by the Keeper; the
// others are its content. A Document that was handed out is not changed any more.
type Document struct {
	Schema int    `json:"schema"`
	Event  string `json:"event"`
	Writer string `json:"writer"`
	// Version is one more with each change. Of two documents of one writer the higher one counts.
	Version int64 `json:"version"`
	// Written is when it was stored, in UTC.
	Written time.Time `json:"written"`

	// Masks take a pipeline's copies out of the choice for a range of numbers.
	Masks []policy.Mask `json:"masks,omitempty"`
	// Withdrawn are single segments that are not served any more.
	Withdrawn []Withdrawn `json:"withdrawn,omitempty"`
	// Notices are never taken back.
	Notices []Notice `json:"notices,omitempty"`
	// Last is the number of the event's last segment; nil: it goes on, unless its pipelines have finished.
	Last *int64 `json:"last,omitempty"`
	// Finished is what pipelines have said to this writer of their own end, by pipeline.
	Finished map[string]Finish `json:"finished,omitempty"`
	// CacheVersion counts how often caches were told to drop what they have of the event. It never goes down.
	CacheVersion int64 `json:"cache_version,omitempty"`
}

// Withdrawn names a segment that is not served any more: the copy of one pipeline, or of all.
type Withdrawn struct {
	Rendition string `json:"rendition"`
	Number    int64  `json:"number"`             // segment.Init (-1) is the initialisation segment
	Pipeline  string `json:"pipeline,omitempty"` // empty: every one
}

// Mask is w as a range of one number.
func (w Withdrawn) Mask() policy.Mask {
	return policy.Mask{Pipeline: w.Pipeline, Rendition: w.Rendition, From: w.Number, To: w.Number}
}

// Finish is what a pipeline said of its end. Of what several writers were told by one pipeline the latest counts.
type Finish struct {
	Last int64     `json:"last"` // the number of its last segment; GoesOn: it has none, after all
	At   time.Time `json:"at"`   // when it was said, in UTC
}

// GoesOn stands in Finish.Last for a pipeline that went on after its end.
const GoesOn int64 = -1

// Notify adds n to d, unless it stands there already. A notice that comes again for an earlier number stands from that number on.
func (d *Document) Notify(n Notice) { d.Notices = withNotice(d.Notices, n) }

// validate returns what is wrong with d's content, or nil.
func (d *Document) validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	names := func(what, pipeline, rendition string) {
		for _, name := range [...]string{pipeline, rendition} {
			if name == "" {
				continue
			}
			if err := segment.CheckName(name); err != nil {
				bad("%s: %w", what, err)
			}
		}
	}
	if len(d.Masks) > maxMasks {
		bad("%d masks, at most %d: take back those of segments that have left the DVR window", len(d.Masks), maxMasks)
	}
	for i, m := range d.Masks {
		what := fmt.Sprintf("masks[%d]", i)
		names(what, m.Pipeline, m.Rendition)
		if m.Pipeline == "" {
			bad("%s: names no pipeline", what)
		}
		if m.From < 0 || m.To < m.From || m.To > maxNumber {
			bad("%s: from %d to %d: numbers go from 0 to %d, the first before the last", what, m.From, m.To, int64(maxNumber))
		}
	}
	if len(d.Withdrawn) > maxWithdrawn {
		bad("%d segments withdrawn, at most %d: take back those that have left the DVR window", len(d.Withdrawn), maxWithdrawn)
	}
	for i, w := range d.Withdrawn {
		what := fmt.Sprintf("withdrawn[%d]", i)
		names(what, w.Pipeline, w.Rendition)
		if w.Rendition == "" {
			bad("%s: names no rendition", what)
		}
		if w.Number < segment.Init || w.Number > maxNumber {
			bad("%s: number %d: use 0 to %d, or %d for the initialisation segment", what, w.Number, int64(maxNumber), segment.Init)
		}
	}
	if len(d.Finished) > maxFinished {
		bad("%d pipelines have finished, at most %d", len(d.Finished), maxFinished)
	}
	for name, f := range d.Finished {
		names("finished", name, "")
		if name == "" || f.Last < GoesOn || f.Last > maxNumber || f.At.IsZero() {
			bad("finished: %q: number %d at %v: use 0 to %d, or %d for one that goes on", name, f.Last, f.At, int64(maxNumber), GoesOn)
		}
	}
	for i, n := range d.Notices {
		if err := n.validate(); err != nil {
			bad("notices[%d]: %w", i, err)
		}
	}
	if err := fits(d.Notices); err != nil {
		errs = append(errs, err)
	}
	if d.Last != nil && (*d.Last < 0 || *d.Last > maxNumber) {
		bad("last: %d: use 0 to %d", *d.Last, int64(maxNumber))
	}
	if d.CacheVersion < 0 || d.CacheVersion > maxCacheVersion {
		bad("cache_version: %d: use 0 to %d", d.CacheVersion, int64(maxCacheVersion))
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrInvalid, errors.Join(errs...))
	}
	return nil
}

// encode returns the bytes of d as they are stored.
func (d *Document) encode() ([]byte, error) {
	b, err := json.Marshal(d)
	if err == nil && len(b) > maxDocument {
		err = fmt.Errorf("%w: a document of %d bytes, at most %d", ErrInvalid, len(b), maxDocument)
	}
	return b, err
}

// decode is the inverse of encode, for the document that writer keeps of event. It accepts nothing that encode does not
// write, neither an unknown field nor one that is there twice, so that equal documents have equal bytes.
func decode(b []byte, event, writer string) (*Document, error) {
	corrupt := func(format string, a ...any) (*Document, error) {
		return nil, fmt.Errorf("%w: of %s about %s: %w; to go on without what it said, take that node from the writers of all nodes", ErrCorrupt, writer, event, fmt.Errorf(format, a...))
	}
	if len(b) > maxDocument {
		return corrupt("%d bytes, at most %d", len(b), maxDocument)
	}
	d := &Document{}
	if err := json.Unmarshal(b, d); err != nil {
		return corrupt("%w", err)
	}
	if d.Schema != schema {
		return corrupt("schema %d; this program reads %d", d.Schema, schema)
	}
	if d.Event != event || d.Writer != writer {
		return corrupt("it is that of %.64q about %.64q", d.Writer, d.Event)
	}
	if d.Version < 1 {
		return corrupt("version %d", d.Version)
	}
	if err := d.validate(); err != nil {
		return corrupt("%w", err)
	}
	if again, err := d.encode(); err != nil || !bytes.Equal(again, b) {
		return corrupt("it is not in the form in which documents are written")
	}
	return d, nil
}

// clone returns a copy of d that may be changed.
func (d *Document) clone() *Document {
	c := *d
	c.Masks, c.Withdrawn, c.Notices = slices.Clone(d.Masks), slices.Clone(d.Withdrawn), slices.Clone(d.Notices)
	c.Finished = maps.Clone(d.Finished)
	if d.Last != nil {
		c.Last = new(*d.Last)
	}
	return &c
}

// A State is what all writers together say about an event. It is never changed; ask the Keeper for each request.
type State struct {
	// Masks are the masks and the withdrawn segments of all writers.
	Masks []policy.Mask
	// Ended says that Last is the number of the last segment. Where writers name different ones the smallest counts: one
	// that was announced and is then served after all confuses nobody, the other way round players wait for what never comes.
	// Where no writer names one, the event has ended when all its pipelines have finished, with the last segment of any.
	Ended bool
	Last  int64
	// Finished are the pipelines that have said that their last segment has come, with its number.
	Finished map[string]int64
	// Notices are those of all writers, by number, then name, then text.
	Notices []Notice
	// CacheVersion is the sum of the writers' counters, so that it changes whichever of them is told to raise its own.
	CacheVersion int64

	headers []string // headers[i] is the value of the header field with the first i+1 notices
}

// merge returns the State of docs about an event of pipelines, in which nothing that before announced is missing.
func merge(docs []*Document, pipelines []string, before *State) *State {
	s := &State{}
	said := make(map[string]Finish)
	notices := before.Notices
	for _, d := range docs {
		s.Masks = append(s.Masks, d.Masks...)
		for _, w := range d.Withdrawn {
			s.Masks = append(s.Masks, w.Mask())
		}
		for _, n := range d.Notices {
			notices = withNotice(notices, n)
		}
		if d.Last != nil && (!s.Ended || *d.Last < s.Last) {
			s.Ended, s.Last = true, *d.Last
		}
		for name, f := range d.Finished {
			if f.At.After(said[name].At) {
				said[name] = f
			}
		}
		s.CacheVersion += d.CacheVersion
	}
	s.finish(pipelines, said)
	s.CacheVersion = max(s.CacheVersion, before.CacheVersion)
	s.Notices = notices
	for i := range notices {
		s.headers = append(s.headers, FormatNotices(notices[:i+1]))
	}
	return s
}

// finish fills in which pipelines have finished, and the end of the event that follows.
func (s *State) finish(pipelines []string, said map[string]Finish) {
	s.Finished = make(map[string]int64)
	last, all := GoesOn, len(pipelines) > 0
	for _, name := range pipelines {
		f, ok := said[name]
		if !ok || f.Last == GoesOn {
			all = false
			continue
		}
		s.Finished[name] = f.Last
		last = max(last, f.Last)
	}
	if all && !s.Ended {
		s.Ended, s.Last = true, last
	}
}

// Pipelines returns those of pipelines whose copy of id may be served, in their order.
func (s *State) Pipelines(id segment.ID, pipelines []string) []string {
	return policy.Unmasked(s.Masks, id, pipelines)
}

// Masked reports whether the copy id, which has a pipeline, is masked or withdrawn.
func (s *State) Masked(id segment.ID) bool { return policy.Masked(s.Masks, id) }

// Rendition returns r with the event's end.
func (s *State) Rendition(r policy.Rendition) policy.Rendition {
	r.Ended, r.Last = s.Ended, s.Last
	return r
}

// Announced returns the notices of segments up to number n as a header field's value (FormatNotices); "" if there are none.
func (s *State) Announced(n int64) string {
	i, _ := slices.BinarySearchFunc(s.Notices, n+1, func(v Notice, n int64) int { return cmp.Compare(v.From, n) })
	if i == 0 {
		return ""
	}
	return s.headers[i-1]
}

// Stands reports whether n is announced already, from its number on or an earlier one.
func (s *State) Stands(n Notice) bool { return stands(s.Notices, n) }

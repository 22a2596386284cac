package origin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"time"

	"origin-storm/origin/control"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

// EventControl is what the operator's listener answers under /events/{event}/: what all writers say about an event, as this
// node knows it, and the document of each. Other programs read these names.
type EventControl struct {
	Event string `json:"event"`
	Node  string `json:"node"`
	// Writers are the nodes whose documents count; changes are accepted by their listeners only.
	Writers []string `json:"writers"`
	// Ready says that this node has read all documents since it began; until then what follows may not be all.
	Ready bool `json:"ready"`
	// Masks are those of all writers, withdrawn segments among them as ranges of one number.
	Masks   []policy.Mask    `json:"masks"`
	Notices []control.Notice `json:"notices"`
	// Last is the number of the last segment; null: the event goes on.
	Last *int64 `json:"last"`
	// Finished are the pipelines that have said that their last segment has come, with its number.
	Finished     map[string]int64    `json:"finished"`
	CacheVersion int64               `json:"cache_version"`
	Documents    []*control.Document `json:"documents"`
}

// eventsHandler is the part of the operator's listener that shows and changes what is said about events.
type eventsHandler struct {
	OperatorConfig
	events map[string]*event
}

// An edit reads what r asks for and returns the change of this node's document that does it, or a refusal.
type edit func(ev *event, r *http.Request) (func(*control.Document) error, error)

func (s *eventsHandler) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /events/{event}/control", s.handle(nil))
	mux.HandleFunc("POST /events/{event}/masks", s.handle(addMask))
	mux.HandleFunc("DELETE /events/{event}/masks", s.handle(s.dropMask))
	mux.HandleFunc("POST /events/{event}/withdrawn", s.handle(withdraw))
	mux.HandleFunc("DELETE /events/{event}/withdrawn", s.handle(s.restore))
	mux.HandleFunc("POST /events/{event}/notices", s.handle(notify))
	mux.HandleFunc("POST /events/{event}/end", s.handle(end))
	mux.HandleFunc("DELETE /events/{event}/end", s.handle(s.resume))
	mux.HandleFunc("POST /events/{event}/cache-version", s.handle(raise))
}

// handle carries out e, if it is not nil, and answers with what stands then.
func (s *eventsHandler) handle(e edit) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		view, err := s.carryOut(w, r, e)
		if err != nil {
			f := asRefusal(err)
			if f.err != nil {
				s.log().Error("an event's control state was not changed", "path", r.URL.Path, "status", f.status, "err", f.err)
			}
			f.write(w)
			return
		}
		writeJSON(w, view)
	}
}

func (s *eventsHandler) carryOut(w http.ResponseWriter, r *http.Request, e edit) (EventControl, error) {
	ev := s.events[r.PathValue("event")]
	if ev == nil {
		return EventControl{}, refuse(http.StatusNotFound, "there is no event %.64q here", r.PathValue("event"))
	}
	if e != nil {
		r.Body = http.MaxBytesReader(w, r.Body, maxEdit)
		change, err := e(ev, r)
		if err != nil {
			return EventControl{}, err
		}
		// An operator who hangs up does not leave it open whether the change was made.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), segment.Budget)
		defer cancel()
		switch err := s.Control.Change(ctx, ev.name, change); {
		case errors.Is(err, control.ErrNotWriter):
			return EventControl{}, refuse(http.StatusConflict, "%v", err)
		case errors.Is(err, control.ErrInvalid):
			return EventControl{}, refuse(http.StatusBadRequest, "%v", err)
		case err != nil:
			if f, ok := errors.AsType[*refusal](err); ok {
				return EventControl{}, f
			}
			return EventControl{}, unavailable(err)
		}
		s.log().Info("an event's control state was changed", "event", ev.name, "method", r.Method, "path", r.URL.Path, "by", r.RemoteAddr)
	}
	return s.view(ev), nil
}

func (s *eventsHandler) view(ev *event) EventControl {
	st := s.Control.State(ev.name)
	v := EventControl{
		Event: ev.name, Node: s.Node, Writers: s.Control.Writers(), Ready: s.Control.Ready() == nil, CacheVersion: st.CacheVersion,
		// Never null: who reads this goes through them.
		Masks: append([]policy.Mask{}, st.Masks...), Notices: append([]control.Notice{}, st.Notices...),
		Documents: append([]*control.Document{}, s.Control.Documents(ev.name)...),
	}
	if v.Finished = st.Finished; v.Finished == nil {
		v.Finished = map[string]int64{}
	}
	if st.Ended {
		v.Last = &st.Last
	}
	return v
}

// maxEdit bounds what an operator sends: one mask or notice.
const maxEdit = 4 << 10

// readJSON decodes the body of r into v, or returns a refusal. The media type is asked for because a browser lets no page of
// another site send it unasked.
func readJSON(r *http.Request, v any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "Content-Type: %.40q: send application/json", r.Header.Get("Content-Type"))
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("there is something after the object")
		}
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return refuse(http.StatusRequestEntityTooLarge, "a body of more than %d bytes", tooLarge.Limit)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "the body is not the JSON object that is expected here: %v", err)
	}
	return nil
}

// missing refuses a body without the field of that name.
func missing(name, form string) error {
	return refuse(http.StatusBadRequest, "%s is missing; send %s", name, form)
}

func readMask(ev *event, r *http.Request) (policy.Mask, error) {
	const form = `{"pipeline": "a", "from": 100, "to": 120}, and "rendition" if it is for one only`
	var b struct {
		Pipeline  string `json:"pipeline"`
		Rendition string `json:"rendition"`
		From      *int64 `json:"from"`
		To        *int64 `json:"to"`
	}
	if err := readJSON(r, &b); err != nil {
		return policy.Mask{}, err
	}
	switch {
	case b.Pipeline == "":
		return policy.Mask{}, missing("pipeline", form)
	case b.From == nil:
		return policy.Mask{}, missing("from", form)
	case b.To == nil:
		return policy.Mask{}, missing("to", form)
	}
	return policy.Mask{Pipeline: b.Pipeline, Rendition: b.Rendition, From: *b.From, To: *b.To}, ev.known(b.Pipeline, b.Rendition)
}

func addMask(ev *event, r *http.Request) (func(*control.Document) error, error) {
	m, err := readMask(ev, r)
	return func(d *control.Document) error {
		d.Masks = add(d.Masks, m)
		return nil
	}, err
}

func (s *eventsHandler) dropMask(ev *event, r *http.Request) (func(*control.Document) error, error) {
	m, err := readMask(ev, r)
	has := func(d *control.Document) bool { return slices.Contains(d.Masks, m) }
	return func(d *control.Document) error {
		if !has(d) {
			return s.absent(ev, "mask", has)
		}
		d.Masks = drop(d.Masks, m)
		return nil
	}, err
}

func readWithdrawn(ev *event, r *http.Request) (control.Withdrawn, error) {
	const form = `{"rendition": "v1", "number": 100}, and "pipeline" if it is for one copy only`
	var b struct {
		Rendition string `json:"rendition"`
		Number    *int64 `json:"number"`
		Pipeline  string `json:"pipeline"`
	}
	if err := readJSON(r, &b); err != nil {
		return control.Withdrawn{}, err
	}
	switch {
	case b.Rendition == "":
		return control.Withdrawn{}, missing("rendition", form)
	case b.Number == nil:
		return control.Withdrawn{}, missing("number", form)
	}
	return control.Withdrawn{Rendition: b.Rendition, Number: *b.Number, Pipeline: b.Pipeline}, ev.known(b.Pipeline, b.Rendition)
}

func withdraw(ev *event, r *http.Request) (func(*control.Document) error, error) {
	out, err := readWithdrawn(ev, r)
	return func(d *control.Document) error {
		d.Withdrawn = add(d.Withdrawn, out)
		return nil
	}, err
}

func (s *eventsHandler) restore(ev *event, r *http.Request) (func(*control.Document) error, error) {
	out, err := readWithdrawn(ev, r)
	has := func(d *control.Document) bool { return slices.Contains(d.Withdrawn, out) }
	return func(d *control.Document) error {
		if !has(d) {
			return s.absent(ev, "withdrawn segment", has)
		}
		d.Withdrawn = drop(d.Withdrawn, out)
		return nil
	}, err
}

func notify(ev *event, r *http.Request) (func(*control.Document) error, error) {
	var b struct {
		ID   string `json:"id"`
		From *int64 `json:"from"`
		Text string `json:"text"`
	}
	if err := readJSON(r, &b); err != nil {
		return nil, err
	}
	if b.ID == "" {
		return nil, missing("id", `{"id": "ad-7", "text": "a break of 90 s"}, and "from", a segment's number, if it is not the next one`)
	}
	n := control.Notice{ID: b.ID, Text: b.Text, From: ev.Template.Next(time.Now())}
	if b.From != nil {
		n.From = *b.From
	}
	return func(d *control.Document) error {
		d.Notify(n)
		return nil
	}, nil
}

func end(_ *event, r *http.Request) (func(*control.Document) error, error) {
	var b struct {
		Last *int64 `json:"last"`
	}
	if err := readJSON(r, &b); err != nil {
		return nil, err
	}
	if b.Last == nil {
		return nil, missing("last", `{"last": 5400}, the number of the last segment`)
	}
	return func(d *control.Document) error {
		d.Last = b.Last
		return nil
	}, nil
}

func (s *eventsHandler) resume(ev *event, _ *http.Request) (func(*control.Document) error, error) {
	has := func(d *control.Document) bool { return d.Last != nil }
	return func(d *control.Document) error {
		if !has(d) {
			return s.absent(ev, "end", has)
		}
		d.Last = nil
		return nil
	}, nil
}

func raise(_ *event, r *http.Request) (func(*control.Document) error, error) {
	var b struct{}
	if err := readJSON(r, &b); err != nil {
		return nil, err
	}
	return func(d *control.Document) error {
		d.CacheVersion++
		return nil
	}, nil
}

// absent refuses to take back what this node's document does not hold: only who said it can.
func (s *eventsHandler) absent(ev *event, what string, has func(*control.Document) bool) error {
	for _, d := range s.Control.Documents(ev.name) {
		if d.Writer != s.Node && has(d) {
			return refuse(http.StatusConflict, "that %s was said on %s, and is taken back there", what, d.Writer)
		}
	}
	return refuse(http.StatusNotFound, "event %q has no such %s", ev.name, what)
}

func add[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

func drop[T comparable](list []T, v T) []T {
	return slices.DeleteFunc(list, func(o T) bool { return o == v })
}

func writeJSON(w http.ResponseWriter, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		asRefusal(fmt.Errorf("origin: %w", err)).write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(b, '\n'))
}

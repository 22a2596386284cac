package contract_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"origin-storm/origin/origintest"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
)

// handling is what a mutant puts around a handler of the right origin.
type handling func(next http.Handler) http.Handler

// answered is an answer that a mutant may still change.
type answered struct {
	to     http.ResponseWriter
	status int
	header http.Header
	body   bytes.Buffer
	took   time.Duration // until it was there
	began  time.Time
}

func (a *answered) Header() http.Header         { return a.header }
func (a *answered) WriteHeader(status int)      { a.status = status }
func (a *answered) Write(b []byte) (int, error) { return a.body.Write(b) }

// refuse makes the answer an error.
func (a *answered) refuse(status int) {
	a.status = status
	a.body.Reset()
	a.body.WriteString("no\n")
	a.header.Set("Content-Length", "3")
}

func (a *answered) setBody(b []byte) {
	a.body.Reset()
	a.body.Write(b)
	a.header.Set("Content-Length", strconv.Itoa(len(b)))
}

// ask lets next answer r.
func ask(next http.Handler, w http.ResponseWriter, r *http.Request) *answered {
	a := &answered{to: w, status: http.StatusOK, header: http.Header{}, began: time.Now()}
	next.ServeHTTP(a, r)
	a.took = time.Since(a.began)
	return a
}

func (a *answered) send(r *http.Request) {
	h := a.to.Header()
	for name, values := range a.header {
		h[name] = values
	}
	a.to.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = a.to.Write(a.body.Bytes())
	}
}

// change lets the right origin answer, and spoils it.
func change(f func(r *http.Request, a *answered)) handling {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a := ask(next, w, r)
			f(r, a)
			a.send(r)
		})
	}
}

// before spoils the request that the right origin sees.
func before(f func(r *http.Request)) handling {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f(r)
			next.ServeHTTP(w, r)
		})
	}
}

// instead answers what f does not leave to the right origin.
func instead(f func(w http.ResponseWriter, r *http.Request, next http.Handler) (done bool)) handling {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !f(w, r, next) {
				next.ServeHTTP(w, r)
			}
		})
	}
}

// world is what a mutant knows: the event, the stores, and what was published.
type world struct {
	template segment.Template
	dvr      time.Duration
	segments *storage.Segments

	mu   sync.Mutex // guards the following
	sent map[string][]publication
	note map[string]int
	at   map[string]time.Time
}

// publication is a PUT that was taken.
type publication struct {
	id     segment.ID
	body   []byte
	header http.Header
	etag   string
	at     time.Time
}

func (p publication) flawed() bool {
	return p.header.Get("Origin-Defects") != "" || p.header.Get("Origin-Slate") == "?1"
}

// watch notes what is published.
func (w *world) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		id, err := segment.ParsePublish(r.URL.Path)
		if err != nil || r.Method != http.MethodPut || r.ContentLength <= 0 || r.ContentLength > 64<<10 || r.Header.Get("Expect") != "" {
			next.ServeHTTP(rw, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err != nil {
			r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), broken{}))
		}
		a := ask(next, rw, r)
		if a.status == http.StatusOK || a.status == http.StatusCreated {
			w.mu.Lock()
			w.sent[id.Asked().String()] = append(w.sent[id.Asked().String()], publication{id, body, r.Header.Clone(), a.header.Get("ETag"), time.Now()})
			w.mu.Unlock()
		}
		a.send(r)
	})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// of returns what was published of a path of the serve side.
func (w *world) of(path string) []publication {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent[path])
}

// count returns how often it was called for key.
func (w *world) count(key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note[key]++
	return w.note[key]
}

// mark and marked remember key.
func (w *world) mark(key string) { w.count(key) }

func (w *world) marked(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.note[key] > 0
}

// since returns how long ago it was first called for key.
func (w *world) since(key string) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at[key].IsZero() {
		w.at[key] = time.Now()
	}
	return time.Since(w.at[key])
}

// number returns the number that a path of the serve side names, -1 of init.mp4; false if it names nothing that may exist.
func (w *world) number(path string) (int64, bool) {
	id, err := segment.ParseServe(path)
	return id.Number, err == nil && id.Event == "ev" && strings.HasPrefix(id.Rendition, "v")
}

func (w *world) due(n int64) time.Time { return w.template.Due(n) }

// opens is when n begins to be held: the publish delay is less than a segment.
func (w *world) opens(n int64) time.Time { return w.template.Begins(n) }

// live reports whether n was awaited at an instant.
func (w *world) live(n int64, at time.Time) bool {
	return n >= 0 && !at.Before(w.opens(n)) && at.Before(w.template.Deadline(n))
}

// put stores a copy behind the publish node's back.
func (w *world) put(r *http.Request, body []byte) {
	id, err := segment.ParsePublish(r.URL.Path)
	if err == nil {
		_, err = w.segments.Put(r.Context(), id, body, storage.Meta{}, 10*time.Minute)
	}
	if err != nil {
		panic(err)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// mutant is an origin that breaks a rule.
type mutant struct {
	name string
	// rows are those that must fail, the broken one first; the others follow from it.
	rows string
	// only are the rows that are tried, where the mutant would spoil what others are about; empty: all.
	only string
	// The publish side, the serve side, the operator's listener and the configuration are spoilt; nil: as they should be.
	publish, serve, operator func(w *world) handling
	config                   func(*origintest.Config)
}

func always(h handling) func(*world) handling { return func(*world) handling { return h } }

// status changes one status into another where the request is one that when is about.
func status(from, to int, when func(r *http.Request) bool) handling {
	return change(func(r *http.Request, a *answered) {
		if a.status == from && when(r) {
			a.refuse(to)
		}
	})
}

func under(prefix string) func(*http.Request) bool {
	return func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, prefix) }
}

func part(name string) func(*http.Request) bool {
	return func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/"+name+"/") }
}

func any(*http.Request) bool { return true }

// without removes a header field of answers with a status.
func without(name string, statuses ...int) handling {
	return change(func(_ *http.Request, a *answered) {
		if len(statuses) == 0 || slices.Contains(statuses, a.status) {
			a.header.Del(name)
		}
	})
}

func with(name, value string, statuses ...int) handling {
	return change(func(_ *http.Request, a *answered) {
		if slices.Contains(statuses, a.status) {
			a.header.Set(name, value)
		}
	})
}

// dropping removes a header field of requests.
func dropping(name string) handling {
	return before(func(r *http.Request) { r.Header.Del(name) })
}

// lenient is a body whose end is an end, however it came.
type lenient struct{ io.ReadCloser }

func (l lenient) Read(b []byte) (int, error) {
	n, err := l.ReadCloser.Read(b)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

// impatient is a body that has to come within a second.
type impatient struct {
	io.ReadCloser
	end time.Time
}

func (i impatient) Read(b []byte) (int, error) {
	if time.Now().After(i.end) {
		return 0, io.ErrUnexpectedEOF
	}
	return i.ReadCloser.Read(b)
}

func clean(r *http.Request) {
	r.URL.Path, r.URL.RawPath = path.Clean(r.URL.Path), ""
}

var mutants = slices.Concat(nameMutants, publishMutants, ingestMutants, serveMutants, candidateMutants, httpMutants, controlMutants, timeMutants, accessMutants, nodeMutants)

var nameMutants = []mutant{
	{name: "paths are cleaned at serve", rows: "N1", serve: always(before(clean))},
	{name: "leading zeros are cut off at serve", rows: "N1", serve: always(before(func(r *http.Request) {
		dir, file := path.Split(r.URL.Path)
		r.URL.Path = dir + strings.TrimLeft(file, "0")
	}))},
	{name: "paths are cleaned at publish", rows: "N2 I3", publish: always(before(clean))},
	{name: "a number that is too large is a bad request", rows: "N3", serve: always(status(404, 400, func(r *http.Request) bool {
		return len(path.Base(r.URL.Path)) > 15
	}))},
	{name: "a long path is a bad request", rows: "N4", serve: always(status(404, 400, func(r *http.Request) bool { return len(r.URL.Path) > 1000 }))},
	{name: "a query is a part of the name", rows: "N5", serve: always(status(200, 404, func(r *http.Request) bool { return r.URL.RawQuery != "" }))},
	{name: "a number before the first is not found", rows: "N6", serve: func(w *world) handling {
		return status(410, 404, func(r *http.Request) bool {
			n, ok := w.number(r.URL.Path)
			return ok && n >= 0 && n < w.template.StartNumber
		})
	}},
	{name: "the second next is held, too", rows: "N7", serve: func(w *world) handling {
		return before(func(r *http.Request) {
			if n, ok := w.number(r.URL.Path); ok && n >= 0 && time.Until(w.opens(n)) < 2*time.Second {
				sleep(r.Context(), time.Until(w.opens(n)))
			}
		})
	}},
}

var publishMutants = []mutant{
	{name: "a new segment is 200", rows: "P1", publish: always(change(func(_ *http.Request, a *answered) {
		if a.status == 201 {
			a.status = 200
		}
	}))},
	{name: "the second node reads a second late", rows: "P2 P7 S14 C1 C11 C12 C15 D2 D5 E5", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			sent := w.of(r.URL.Path)
			if a.header.Get("Origin-Node") == "n2" && a.took == 0 && len(sent) > 0 && time.Since(sent[len(sent)-1].at) < time.Second {
				a.refuse(410)
			}
		})
	}},
	{name: "a copy that stands has no ETag", rows: "P3 D1", publish: always(change(func(_ *http.Request, a *answered) {
		if a.status == 200 && a.header.Get("Origin-Kept") == "" {
			a.header.Del("ETag")
		}
	}))},
	{name: "POST is not allowed", rows: "P4 A1", publish: always(instead(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodPost {
			http.Error(w, "no", http.StatusMethodNotAllowed)
		}
		return r.Method == http.MethodPost
	}))},
	{name: "the same bytes again are created again", rows: "P5", publish: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			if r.Method == http.MethodPut && a.status == 200 && a.header.Get("Origin-Kept") == "" && w.stands(r.URL.Path) {
				a.status = 201
			}
		})
	}},
	{name: "it is not said that the first copy was kept", rows: "P6", publish: always(without("Origin-Kept"))},
	{name: "other bytes are a conflict", rows: "P6 P10 P28 D5", publish: always(change(func(_ *http.Request, a *answered) {
		if a.header.Get("Origin-Kept") != "" {
			a.refuse(409)
		}
	}))},
	{name: "the last copy wins", rows: "P7 P28", publish: func(w *world) handling {
		return instead(func(rw http.ResponseWriter, r *http.Request, next http.Handler) bool {
			body := w.peek(r)
			a := ask(next, rw, r)
			if a.header.Get("Origin-Kept") != "" && r.Header.Get("Origin-Defects") == "" {
				w.put(r, body)
			}
			a.send(r)
			return true
		})
	}},
	{name: "If-None-Match is ignored", rows: "P8", publish: always(dropping("If-None-Match"))},
	{name: "nothing replaces a flawed copy", rows: "P9 D4", publish: func(w *world) handling { return w.keepsFlawed("") }},
	{name: "a flawed copy replaces another", rows: "P10 D5", publish: func(w *world) handling { return w.takesFlawed("") }},
	{name: "publishing to an unknown event is a bad request", rows: "P11", publish: always(status(404, 400, func(r *http.Request) bool {
		return under("/no-such-event/")(r) && r.ContentLength > 0
	}))},
	{name: "an unknown pipeline is forbidden", rows: "P12", publish: always(status(404, 403, func(r *http.Request) bool {
		return part("no-such-pipeline")(r) && r.Header.Get("Expect") == ""
	}))},
	{name: "any rendition is taken", rows: "P13", publish: always(status(404, 201, part("no-such-rendition")))},
	{name: "DELETE deletes", rows: "P14", publish: func(w *world) handling {
		return before(func(r *http.Request) {
			if id, err := segment.ParsePublish(r.URL.Path); err == nil && r.Method == http.MethodDelete {
				w.mark("deleted " + id.Asked().String())
			}
		})
	}, serve: func(w *world) handling {
		return status(200, 410, func(r *http.Request) bool { return w.marked("deleted " + r.URL.Path) })
	}},
	{name: "DELETE is not allowed", rows: "P14", publish: always(status(200, 405, func(r *http.Request) bool { return r.Method == http.MethodDelete }))},
	{name: "a body that is announced too large is read first", rows: "P15", publish: always(before(func(r *http.Request) {
		if r.ContentLength > 64<<10 {
			_, _ = io.Copy(io.Discard, r.Body)
		}
	}))},
	{name: "a body that is too large is cut off", rows: "P16", publish: always(before(func(r *http.Request) {
		if r.ContentLength < 0 {
			r.Body = io.NopCloser(io.LimitReader(r.Body, 64<<10))
		}
	}))},
	{name: "what came of a body is stored", rows: "P17", publish: always(before(func(r *http.Request) {
		if r.Header.Get("Expect") == "" {
			r.Body = lenient{r.Body}
		}
	}))},
	{name: "who has left is not served", rows: "P18", publish: always(instead(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method != http.MethodPut || r.ContentLength <= 0 || r.ContentLength > 64<<10 || r.Header.Get("Expect") != "" {
			return false
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return true
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		sleep(r.Context(), 20*time.Millisecond)
		return r.Context().Err() != nil
	}))},
	{name: "digests are not checked", rows: "P19", publish: always(before(func(r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Content-Digest"), "sha-256=:") {
			r.Header.Del("Content-Digest")
		}
	}))},
	{name: "a digest that is not understood is refused", rows: "P20", publish: always(status(201, 400, func(r *http.Request) bool {
		return strings.HasPrefix(r.Header.Get("Content-Digest"), "unixsum")
	}))},
	{name: "bodies have to come within a second", rows: "P21", publish: always(before(func(r *http.Request) {
		if r.Header.Get("Expect") == "" {
			r.Body = impatient{r.Body, time.Now().Add(time.Second)}
		}
	}))},
	{name: "an empty body is a bad request", rows: "P22", publish: always(status(200, 400, func(r *http.Request) bool {
		return r.Method == http.MethodPut && r.ContentLength == 0
	}))},
	{name: "an empty body is stored", rows: "P22", publish: func(w *world) handling {
		return before(func(r *http.Request) {
			if id, err := segment.ParsePublish(r.URL.Path); err == nil && id.Event == "ev" && r.Method == http.MethodPut && r.ContentLength == 0 {
				w.put(r, nil)
			}
		})
	}},
	{name: "content codings are stored as they are", rows: "P23", publish: always(dropping("Content-Encoding"))},
	{name: "parts of a body are stored", rows: "P23", publish: always(dropping("Content-Range"))},
	{name: "unknown defects are ignored", rows: "P24", publish: always(before(func(r *http.Request) {
		if strings.Contains(r.Header.Get("Origin-Defects"), "crooked") {
			r.Header.Set("Origin-Defects", "short")
		}
	}))},
	{name: "Allow is missing at publish", rows: "P25", publish: always(without("Allow"))},
	{name: "a far future is taken", rows: "P26", publish: func(w *world) handling {
		return status(400, 201, func(r *http.Request) bool {
			id, err := segment.ParsePublish(r.URL.Path)
			return err == nil && time.Until(w.due(id.Number)) > w.dvr
		})
	}},
	{name: "a far past is taken", rows: "P27", publish: always(status(410, 201, any))},
	{name: "several at once are all the first", rows: "P28", publish: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			if a.header.Get("Origin-Kept") != "" && w.count("kept "+r.URL.Path) > 2 {
				a.status = 201
			}
		})
	}},
	{name: "refusals of packagers have no lifetime", rows: "P29", publish: always(without("Cache-Control"))},
	{name: "a body is read before it is refused", rows: "P30", publish: always(before(func(r *http.Request) {
		if r.Header.Get("Expect") != "" && r.Header.Get("Authorization") != "" {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
	}))},
	{name: "there is no init.mp4", rows: "P31 H17 M1 M2 M3 M4 M5", publish: always(instead(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if strings.HasSuffix(r.URL.Path, "init.mp4") {
			http.Error(w, "no", 404)
			return true
		}
		return false
	}))},
}

var serveMutants = []mutant{
	{name: "an unknown event is gone", rows: "S1", serve: always(status(404, 410, func(r *http.Request) bool {
		return under("/no-such-event/")(r) && ending(".m4s")(r)
	}))},
	{name: "an unknown rendition is a bad request", rows: "S2", serve: always(status(404, 400, func(r *http.Request) bool {
		return part("no-such-rendition")(r) && ending(".m4s")(r)
	}))},
	{name: "what is published is served before its time", rows: "S3", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			if sent := w.of(r.URL.Path); a.status == 404 && len(sent) > 0 && r.URL.RawPath == "" {
				a.setBody(sent[0].body)
				a.status = 200
			}
		})
	}},
	{name: "the lifetime of an early 404 is rounded up to seconds", rows: "S4", serve: always(change(func(_ *http.Request, a *answered) {
		if ms, err := strconv.Atoi(a.header.Get("Origin-TTL-Ms")); err == nil && a.status == 404 {
			a.header.Set("Origin-TTL-Ms", strconv.Itoa((ms+999)/1000*1000))
		}
	}))},
	{name: "an early 404 may be kept for hours", rows: "S4", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			if n, ok := w.number(r.URL.Path); ok && a.status == 404 && time.Until(w.opens(n)) > time.Hour {
				a.header.Set("Origin-TTL-Ms", strconv.FormatInt(time.Until(w.opens(n)).Milliseconds(), 10))
			}
		})
	}},
	{name: "an early 404 has no lifetime in milliseconds", rows: "S4", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			// Who asks again when a second has passed is left alone: that is another row.
			if n, ok := w.number(r.URL.Path); ok && a.status == 404 && time.Until(w.opens(n)) > time.Minute {
				a.header.Del("Origin-TTL-Ms")
			}
		})
	}},
	{name: "whole seconds are rounded up", rows: "S5", serve: always(change(func(_ *http.Request, a *answered) {
		if ms, err := strconv.Atoi(a.header.Get("Origin-TTL-Ms")); err == nil && a.status == 404 {
			a.header.Set("Cache-Control", "public, max-age="+strconv.Itoa((ms+999)/1000))
		}
	}))},
	{name: "an early 404 may not be kept", rows: "S5", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			if n, ok := w.number(r.URL.Path); ok && n >= 0 && a.status == 404 {
				a.header.Set("Cache-Control", "no-store")
			}
		})
	}},
	{name: "a number becomes the next one a little late", rows: "S6", serve: func(w *world) handling {
		return instead(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			n, ok := w.number(r.URL.Path)
			if late := time.Since(w.opens(n)); ok && n >= 0 && late >= 0 && late < 30*time.Millisecond {
				rw.Header().Set("Origin-TTL-Ms", "30")
				rw.WriteHeader(404)
				return true
			}
			return false
		})
	}},
	{name: "who is held is answered a while after the publication", rows: "S7", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			if n, ok := w.number(r.URL.Path); ok && n >= 0 && a.took > 100*time.Millisecond && a.status == 200 && time.Now().Before(w.due(n).Add(-time.Second)) {
				sleep(r.Context(), 200*time.Millisecond)
			}
		})
	}},
	{name: "what is next by due times alone is held", rows: "S23 N7 S6", serve: func(w *world) handling {
		return instead(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			n, ok := w.number(r.URL.Path)
			turns := w.due(n - 1)
			if ok && n >= 0 && !time.Now().Before(w.opens(n)) && time.Now().Before(turns) {
				rw.Header().Set("Origin-TTL-Ms", strconv.FormatInt(time.Until(turns).Milliseconds(), 10))
				rw.WriteHeader(404)
				return true
			}
			return false
		})
	}},
	{name: "nobody is held", rows: "S7 N7 S6 S8 S9 S10 S11 S21 S23 C9 C10 H3 S20 E3 E13", serve: func(w *world) handling {
		return instead(func(rw http.ResponseWriter, r *http.Request, next http.Handler) bool {
			if n, ok := w.number(r.URL.Path); ok && w.live(n, time.Now()) && len(w.of(r.URL.Path)) == 0 {
				rw.Header().Set("Cache-Control", "no-store")
				rw.WriteHeader(404)
				return true
			}
			return false
		})
	}},
	{name: "of many who are held some get other bytes", rows: "S8 S20", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			if a.took > 100*time.Millisecond && a.status == 200 && w.count(r.URL.Path) > 4 {
				a.setBody([]byte("other bytes"))
			}
		})
	}},
	{name: "nobody is held longer than until the segment is due", rows: "S9", serve: func(w *world) handling {
		return instead(func(rw http.ResponseWriter, r *http.Request, next http.Handler) bool {
			n, ok := w.number(r.URL.Path)
			if !ok || n < 0 || r.Method != http.MethodGet || !time.Now().Before(w.due(n)) || time.Now().Before(w.opens(n)) {
				return false
			}
			ctx, cancel := context.WithDeadline(r.Context(), w.due(n).Add(20*time.Millisecond))
			defer cancel()
			a := ask(next, rw, r.WithContext(ctx))
			if ctx.Err() != nil {
				a.refuse(410)
			}
			a.send(r)
			return true
		})
	}},
	{name: "who is overdue is answered a while after the publication", rows: "S10", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			if n, ok := w.number(r.URL.Path); ok && n >= 0 && a.took > 100*time.Millisecond && a.status == 200 && a.began.After(w.due(n)) {
				sleep(r.Context(), 200*time.Millisecond)
			}
		})
	}},
	{name: "what is overdue ends in 404", rows: "S11", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			if n, ok := w.number(r.URL.Path); ok && n >= 0 && a.took > 100*time.Millisecond && a.status == 410 && a.began.After(w.due(n)) {
				a.refuse(404)
			}
		})
	}},
	{name: "what was never published is not found", rows: "S12", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			if n, ok := w.number(r.URL.Path); ok && n >= w.template.StartNumber && a.took == 0 && a.status == 410 && w.due(n).Before(time.Now()) && time.Since(w.due(n)) < w.dvr && len(w.of(r.URL.Path)) == 0 {
				a.refuse(404)
			}
		})
	}},
	{name: "410 may be kept for a minute", rows: "S13", serve: always(with("Cache-Control", "public, max-age=60", 410))},
	{name: "410 has no lifetime in milliseconds", rows: "S13", serve: always(without("Origin-TTL-Ms", 410))},
	{name: "410 is remembered", rows: "S14", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			if r.Method != http.MethodGet {
				return
			}
			if a.status == 410 && a.took == 0 && len(w.of(r.URL.Path)) == 0 {
				w.mark("gone " + r.URL.Path)
			} else if a.status == 200 && w.marked("gone "+r.URL.Path) {
				a.refuse(410)
			}
		})
	}},
	{name: "what is published early waits to be due", rows: "S15", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			n, ok := w.number(r.URL.Path)
			if sent := w.of(r.URL.Path); ok && a.took == 0 && a.status == 200 && a.header.Get("Origin-Pipeline") == "a" && len(sent) > 0 && w.live(n, sent[0].at) {
				sleep(r.Context(), time.Until(w.due(n)))
			}
		})
	}},
	{name: "what was published long ago waits to be due", rows: "S16", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			n, ok := w.number(r.URL.Path)
			if sent := w.of(r.URL.Path); ok && a.took == 0 && a.status == 200 && len(sent) > 0 && sent[0].at.Before(w.opens(n)) {
				sleep(r.Context(), time.Until(w.due(n)))
			}
		})
	}},
	{name: "what is older than the window is not found", rows: "S17", serve: func(w *world) handling {
		return status(410, 404, func(r *http.Request) bool {
			n, ok := w.number(r.URL.Path)
			return ok && n >= w.template.StartNumber && time.Since(w.due(n)) > w.dvr+5*time.Second
		})
	}},
	{name: "the window ends a second early", rows: "S18", serve: func(w *world) handling {
		return status(200, 410, func(r *http.Request) bool {
			n, ok := w.number(r.URL.Path)
			return ok && n >= 0 && time.Since(w.due(n)) > w.dvr-time.Second
		})
	}},
	{name: "the window has no end", rows: "S18", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			n, ok := w.number(r.URL.Path)
			if sent := w.of(r.URL.Path); ok && a.status == 410 && len(sent) > 0 && time.Since(w.due(n)) >= w.dvr {
				a.setBody(sent[0].body)
				a.status = 200
			}
		})
	}},
	{name: "a missing initialisation segment may be kept for an hour", rows: "S19", serve: always(change(func(r *http.Request, a *answered) {
		if strings.HasSuffix(r.URL.Path, "init.mp4") && a.status == 404 {
			a.header.Set("Cache-Control", "public, max-age=3600")
		}
	}))},
	{name: "a full hold table is too many requests", rows: "S20", serve: always(status(503, 429, func(r *http.Request) bool { return r.Host != "serve.n3" }))},
	{name: "a full hold table may be kept", rows: "S20", serve: always(with("Cache-Control", "public, max-age=5", 503))},
	{name: "what is shed may not be kept", rows: "S22", serve: always(change(func(r *http.Request, a *answered) {
		if a.status == 503 && r.Host == "serve.n3" {
			a.header.Set("Cache-Control", "no-store")
		}
	}))},
	{name: "nothing is shed", rows: "S22", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			if sent := w.of(r.URL.Path); a.status == 503 && r.Host == "serve.n3" && len(sent) > 0 {
				a.setBody(sent[0].body)
				a.status = 200
			}
		})
	}},
	{name: "the live edge is shed, too", rows: "S22", serve: always(status(200, 503, func(r *http.Request) bool { return r.Host == "serve.n3" }))},
	{name: "who leaves takes others along", rows: "S21", serve: func(w *world) handling {
		var mu sync.Mutex
		held := map[string][]context.CancelFunc{}
		return instead(func(rw http.ResponseWriter, r *http.Request, next http.Handler) bool {
			ctx, cancel := context.WithCancel(r.Context())
			mu.Lock()
			held[r.URL.Path] = append(held[r.URL.Path], cancel)
			mu.Unlock()
			defer cancel()
			next.ServeHTTP(rw, r.WithContext(ctx))
			if r.Context().Err() != nil {
				mu.Lock()
				defer mu.Unlock()
				for _, other := range held[r.URL.Path] {
					other()
				}
			}
			return true
		})
	}},
}

// stands reports whether a sound copy of a publish side's path was published before.
func (w *world) stands(path string) bool {
	id, err := segment.ParsePublish(path)
	return err == nil && slices.ContainsFunc(w.of(id.Asked().String()), func(p publication) bool { return p.id == id && !p.flawed() })
}

// peek reads r's body and puts it back.
func (w *world) peek(r *http.Request) []byte {
	if r.ContentLength <= 0 || r.ContentLength > 64<<10 || r.Header.Get("Expect") != "" {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), broken{}))
	}
	return body
}

// keepsFlawed is a publish node, or all of them, where no sound copy replaces a flawed one.
func (w *world) keepsFlawed(node string) handling {
	return instead(func(rw http.ResponseWriter, r *http.Request, next http.Handler) bool {
		id, err := segment.ParsePublish(r.URL.Path)
		if err != nil || r.Method != http.MethodPut || !strings.HasSuffix(r.Host, node) {
			return false
		}
		for _, p := range w.of(id.Asked().String()) {
			if p.id == id && p.flawed() && r.Header.Get("Origin-Defects") == "" {
				rw.Header().Set("ETag", p.etag)
				rw.Header().Set("Origin-Kept", "?1")
				return true
			}
		}
		return false
	})
}

// takesFlawed is a publish node, or all of them, where a flawed copy replaces any.
func (w *world) takesFlawed(node string) handling {
	return instead(func(rw http.ResponseWriter, r *http.Request, next http.Handler) bool {
		body := w.peek(r)
		a := ask(next, rw, r)
		if a.header.Get("Origin-Kept") != "" && r.Header.Get("Origin-Defects") != "" && strings.HasSuffix(r.Host, node) {
			w.put(r, body)
		}
		a.send(r)
		return true
	})
}

var candidateMutants = []mutant{
	{name: "the last pipeline is preferred", rows: "C1", config: func(cfg *origintest.Config) {
		cfg.Events = slices.Clone(cfg.Events)
		cfg.Events[0].Pipelines = []string{"b", "a"}
	}},
	{name: "the preferred pipeline is waited for", rows: "C2", serve: always(change(func(r *http.Request, a *answered) {
		if a.header.Get("Origin-Pipeline") == "b" && a.took == 0 {
			sleep(r.Context(), 300*time.Millisecond)
		}
	}))},
	{name: "the preferred pipeline is always returned to", rows: "C3", serve: func(w *world) handling {
		return before(func(r *http.Request) {
			sent := w.of(r.URL.Path)
			for _, p := range sent {
				if sent[0].id.Pipeline == "b" && p.id.Pipeline == "a" && !p.flawed() && r.Method == http.MethodGet && r.Header.Get("If-Match")+r.Header.Get("Range")+r.Header.Get("If-None-Match") == "" {
					r.Header.Set("If-Match", p.etag)
				}
			}
		})
	}},
	{name: "missing content is not a flaw", rows: "C4 C5", publish: always(before(func(r *http.Request) {
		if r.Header.Get("Origin-Defects") == "missing" {
			r.Header.Del("Origin-Defects")
		}
	}))},
	{name: "all flaws are alike", rows: "C5", publish: always(before(func(r *http.Request) {
		if r.Header.Get("Origin-Defects") == "missing" {
			r.Header.Set("Origin-Defects", "short")
		}
	}))},
	{name: "defects are not told", rows: "C6", serve: always(without("Origin-Defects"))},
	{name: "slates are not told", rows: "C6 I4", serve: always(without("Origin-Slate"))},
	{name: "flawed copies may be kept", rows: "C7", serve: always(change(func(_ *http.Request, a *answered) {
		if a.header.Get("Origin-Defects") != "" && a.status == 200 {
			a.header.Set("Cache-Control", "public, max-age=600, immutable")
		}
	}))},
	{name: "a node stays with a flawed choice", rows: "C8 P9 D4 I4", serve: func(w *world) handling {
		var mu sync.Mutex
		kept := map[string][]byte{}
		return change(func(r *http.Request, a *answered) {
			mu.Lock()
			defer mu.Unlock()
			key := r.URL.Path + a.header.Get("Origin-Node")
			if r.Method != http.MethodGet || a.status != 200 {
				return
			}
			if b := kept[key]; b != nil {
				a.setBody(b)
			} else if a.header.Get("Origin-Defects") != "" || a.header.Get("Origin-Slate") != "" {
				kept[key] = bytes.Clone(a.body.Bytes())
			}
		})
	}},
	{name: "who is held gets the first copy whatever it is", rows: "C9 C10 S20 E13", serve: func(w *world) handling {
		return instead(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			n, ok := w.number(r.URL.Path)
			for ok && r.Method == http.MethodGet && w.live(n, time.Now()) && r.Context().Err() == nil {
				if sent := w.of(r.URL.Path); len(sent) > 0 {
					if !sent[0].flawed() {
						return false
					}
					_, _ = rw.Write(sent[0].body)
					return true
				}
				sleep(r.Context(), 5*time.Millisecond)
			}
			return false
		})
	}},
	{name: "who is held never gets a flawed copy", rows: "C10", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			if n, ok := w.number(r.URL.Path); ok && a.took > 100*time.Millisecond && a.header.Get("Origin-Defects") != "" {
				sleep(r.Context(), time.Until(w.template.Deadline(n)))
				a.refuse(410)
			}
		})
	}},
	{name: "If-Match knows the chosen copy only", rows: "C11", serve: always(instead(func(rw http.ResponseWriter, r *http.Request, next http.Handler) bool {
		tag := r.Header.Get("If-Match")
		if tag == "" {
			return false
		}
		r.Header.Del("If-Match")
		a := ask(next, rw, r)
		if a.header.Get("ETag") != tag {
			a.refuse(412)
			a.header.Set("Cache-Control", "no-store")
		}
		a.send(r)
		return true
	}))},
	{name: "If-Range knows the chosen copy only", rows: "C12", serve: always(instead(func(rw http.ResponseWriter, r *http.Request, next http.Handler) bool {
		tag, bytes := r.Header.Get("If-Range"), r.Header.Get("Range")
		if tag == "" {
			return false
		}
		r.Header.Del("If-Range")
		r.Header.Del("Range")
		if a := ask(next, rw, r); a.header.Get("ETag") != tag {
			a.send(r)
			return true
		}
		r.Header.Set("Range", bytes)
		return false
	}))},
	{name: "If-Match of no copy is ignored", rows: "C13", serve: always(before(func(r *http.Request) {
		if strings.HasPrefix(r.Header.Get("If-Match"), `"0123`) {
			r.Header.Del("If-Match")
		}
	}))},
	{name: "If-Range of no copy is ignored", rows: "C14", serve: always(before(func(r *http.Request) {
		if strings.HasPrefix(r.Header.Get("If-Range"), `"0123`) {
			r.Header.Del("If-Range")
		}
	}))},
	{name: "ranges are read from any copy", rows: "C15", serve: func(w *world) handling {
		return instead(func(rw http.ResponseWriter, r *http.Request, next http.Handler) bool {
			sent := w.of(r.URL.Path)
			if r.Header.Get("If-Range") != "" || !strings.HasPrefix(r.Header.Get("Range"), "bytes=1000") || len(sent) < 2 {
				return false
			}
			r.Header.Set("If-Range", sent[1].etag)
			a := ask(next, rw, r)
			a.header.Set("ETag", sent[0].etag)
			a.send(r)
			return true
		})
	}},
	{name: "each pipeline has ETags of its own", rows: "C16", publish: always(change(func(r *http.Request, a *answered) {
		if tag := a.header.Get("ETag"); strings.HasPrefix(r.URL.Path, "/ev/b/") && tag != "" {
			a.header.Set("ETag", strings.TrimSuffix(tag, `"`)+`-b"`)
		}
	})), serve: always(instead(func(rw http.ResponseWriter, r *http.Request, next http.Handler) bool {
		for _, name := range []string{"If-Match", "If-Range", "If-None-Match"} {
			if tag := r.Header.Get(name); tag != "" {
				r.Header.Set(name, strings.ReplaceAll(tag, `-b"`, `"`))
			}
		}
		a := ask(next, rw, r)
		if tag := a.header.Get("ETag"); a.header.Get("Origin-Pipeline") == "b" && tag != "" {
			a.header.Set("ETag", strings.TrimSuffix(tag, `"`)+`-b"`)
		}
		a.send(r)
		return true
	}))},
	{name: "answers do not name their pipeline", rows: "C17", serve: always(without("Origin-Pipeline"))},
}

var httpMutants = []mutant{
	{name: "HEAD has no Last-Modified", rows: "H1", serve: always(change(func(r *http.Request, a *answered) {
		if r.Method == http.MethodHead {
			a.header.Del("Last-Modified")
		}
	}))},
	{name: "HEAD of nothing is not open to scripts", rows: "H2", serve: always(change(func(r *http.Request, a *answered) {
		if r.Method == http.MethodHead && a.status >= 400 {
			a.header.Del("Access-Control-Allow-Origin")
		}
	}))},
	{name: "HEAD is not held", rows: "H3", serve: func(w *world) handling {
		return instead(func(rw http.ResponseWriter, r *http.Request, next http.Handler) bool {
			n, ok := w.number(r.URL.Path)
			if ok && r.Method == http.MethodHead && w.live(n, time.Now()) {
				rw.WriteHeader(404)
				return true
			}
			return false
		})
	}},
	{name: "a suffix is taken from the front", rows: "H4", serve: always(before(func(r *http.Request) {
		if rest, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=-1"); ok && rest == "" {
			r.Header.Set("Range", "bytes=0-0")
		}
	}))},
	{name: "ranges are ignored", rows: "H4 H5 C12 C15", serve: always(dropping("Range"))},
	{name: "a range beyond the end may be kept", rows: "H5", serve: always(with("Cache-Control", "public, max-age=60", 416))},
	{name: "an inverted range is turned around", rows: "H6", serve: always(before(func(r *http.Request) {
		if r.Header.Get("Range") == "bytes=20-10" {
			r.Header.Set("Range", "bytes=10-20")
		}
	}))},
	{name: "a part of several is another one", rows: "H7", serve: always(change(func(_ *http.Request, a *answered) {
		if strings.HasPrefix(a.header.Get("Content-Type"), "multipart/") {
			a.setBody(bytes.Replace(a.body.Bytes(), []byte("bytes 1000-1009/"), []byte("bytes 1001-1010/"), 1))
		}
	}))},
	{name: "every one of a hundred ranges is sent", rows: "H8", serve: always(change(func(r *http.Request, a *answered) {
		if n := strings.Count(r.Header.Get("Range"), "0-,"); n > 10 {
			a.setBody(bytes.Repeat(a.body.Bytes(), n))
		}
	}))},
	{name: "If-None-Match is ignored at serve", rows: "H9 M5", serve: always(dropping("If-None-Match"))},
	{name: "304 has no ETag", rows: "H9", serve: always(without("ETag", 304))},
	{name: "If-Modified-Since is ignored", rows: "H10", serve: always(dropping("If-Modified-Since"))},
	{name: "errors are not open to scripts", rows: "H11", serve: always(without("Access-Control-Allow-Origin", 404, 410, 416))},
	{name: "scripts may read nothing", rows: "H12", serve: always(without("Access-Control-Expose-Headers"))},
	{name: "OPTIONS is not allowed", rows: "H13", serve: always(status(204, 405, any))},
	{name: "OPTIONS does not allow Range", rows: "H13", serve: always(without("Access-Control-Allow-Headers"))},
	{name: "Allow is missing at serve", rows: "H14", serve: always(without("Allow"))},
	{name: "serve takes a PUT", rows: "H14", serve: always(status(405, 200, any))},
	{name: "Cache-Status is missing", rows: "H15", serve: always(without("Cache-Status"))},
	{name: "Cache-Status says hit and forwarded", rows: "H15", serve: always(with("Cache-Status", "origin; hit; fwd=miss", 200))},
	{name: "ETags change after a while", rows: "H16", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			if a.status == 200 && r.Method == http.MethodGet && w.since(r.URL.Path) > 4*time.Second {
				a.header.Set("ETag", `"changed"`)
			}
		})
	}},
	{name: "ETags are weak", rows: "H16 P3 P28 C11 C12 C15 H9", serve: always(change(func(_ *http.Request, a *answered) {
		if tag := a.header.Get("ETag"); tag != "" {
			a.header.Set("ETag", "W/"+tag)
		}
	}))},
	{name: "segments are octets", rows: "H17", serve: always(change(func(r *http.Request, a *answered) {
		if a.status == 200 && (ending(".m4s")(r) || ending(".mp4")(r)) {
			a.header.Set("Content-Type", "application/octet-stream")
		}
	}))},
	{name: "it is not said that ranges are taken", rows: "H18", serve: always(without("Accept-Ranges"))},
	{name: "segments may be kept for an hour", rows: "H19", serve: always(change(func(_ *http.Request, a *answered) {
		if strings.Contains(a.header.Get("Cache-Control"), "immutable") {
			a.header.Set("Cache-Control", "public, max-age=3600, immutable")
		}
	}))},
	{name: "segments are not immutable", rows: "H19", serve: always(change(func(_ *http.Request, a *answered) {
		a.header.Set("Cache-Control", strings.TrimSuffix(a.header.Get("Cache-Control"), ", immutable"))
	}))},
	{name: "some refusals have no lifetime", rows: "H20", serve: always(without("Cache-Control", 405, 412))},
	{name: "answers set a cookie", rows: "H21", serve: always(with("Set-Cookie", "seen=1", 200))},
	{name: "Repr-Digest is missing", rows: "H23", serve: always(without("Repr-Digest"))},
	{name: "Repr-Digest is that of the range", rows: "H23", serve: always(change(func(_ *http.Request, a *answered) {
		if a.status == 206 {
			sum := sha256.Sum256(a.body.Bytes())
			a.header.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
		}
	}))},
	{name: "errors do not name their node", rows: "H22", serve: always(without("Origin-Node", 404, 410))},
}

var nodeMutants = []mutant{
	{name: "each publish node has ETags of its own", rows: "D1", publish: always(change(func(r *http.Request, a *answered) {
		if tag := a.header.Get("ETag"); r.Host == "publish.n2" && tag != "" {
			a.header.Set("ETag", strings.TrimSuffix(tag, `"`)+`-2"`)
		}
	}))},
	{name: "a node never forgets what it has read", rows: "D2 E1", serve: func(w *world) handling {
		var mu sync.Mutex
		kept := map[string]*answered{}
		return instead(func(rw http.ResponseWriter, r *http.Request, next http.Handler) bool {
			a := ask(next, rw, r)
			mu.Lock()
			defer mu.Unlock()
			key := r.Host + r.URL.Path
			if r.Host != "serve.n2" || r.Method != http.MethodGet || a.status != 200 || a.header.Get("Origin-Defects")+a.header.Get("Origin-Slate")+r.Header.Get("If-Match") != "" {
				a.send(r)
				return true
			}
			if kept[key] == nil {
				kept[key] = a
			}
			a.setBody(kept[key].body.Bytes())
			a.header.Set("ETag", kept[key].header.Get("ETag"))
			a.send(r)
			return true
		})
	}},
	{name: "what came at once is torn", rows: "D3", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			if s := w.of(r.URL.Path); len(s) == 2 && s[0].id == s[1].id && s[0].at.Equal(s[1].at) && s[0].etag != s[1].etag && !s[0].flawed() && !s[1].flawed() && a.status == 200 {
				a.setBody(append(bytes.Clone(s[0].body[:1000]), s[1].body[1000:]...))
			}
		})
	}},
	{name: "a sound copy given to the second node is not taken for a flawed one", rows: "D4", publish: func(w *world) handling { return w.keepsFlawed(".n2") }},
	{name: "a flawed copy given to the second node replaces any", rows: "D5", publish: func(w *world) handling { return w.takesFlawed(".n2") }},
}

// ignoring agrees to what an operator says, and does not do it.
func ignoring(method, what string) func(*world) handling {
	return always(instead(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		return r.Method == method && strings.HasSuffix(r.URL.Path, "/ev/"+what)
	}))
}

var controlMutants = []mutant{
	{name: "a node stays with its choice though it is masked", rows: "E1", serve: func(w *world) handling {
		var mu sync.Mutex
		chosen := map[string]*answered{}
		return change(func(r *http.Request, a *answered) {
			mu.Lock()
			defer mu.Unlock()
			key := r.Host + r.URL.Path
			if r.Method != http.MethodGet || a.status != 200 || len(w.of(r.URL.Path)) != 2 || r.Header.Get("If-Match") != "" || a.header.Get("Origin-Defects") != "" {
				return
			}
			if chosen[key] == nil {
				chosen[key] = a
			}
			a.setBody(chosen[key].body.Bytes())
		})
	}},
	{name: "masks are for good", rows: "E2", operator: ignoring(http.MethodDelete, "masks")},
	{name: "what is masked is not found", rows: "E2 E5 E6", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			n, ok := w.number(r.URL.Path)
			if ok && a.status == 410 && len(w.of(r.URL.Path)) > 0 && time.Since(w.due(n)) < w.dvr {
				a.refuse(404)
			}
		})
	}},
	{name: "who is held gets what comes first, masked or not", rows: "E3 E13 S20", serve: func(w *world) handling {
		return instead(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			n, ok := w.number(r.URL.Path)
			for ok && r.Method == http.MethodGet && w.live(n, time.Now()) && r.Context().Err() == nil {
				sent := w.of(r.URL.Path)
				switch {
				case len(sent) == 0:
					sleep(r.Context(), 5*time.Millisecond)
				case len(sent) == 1 && !sent[0].flawed() && time.Since(sent[0].at) < 10*time.Millisecond && time.Since(sent[0].at) > 0:
					_, _ = rw.Write(sent[0].body)
					return true
				case time.Since(sent[0].at) == 0:
					sleep(r.Context(), time.Millisecond)
				default:
					return false
				}
			}
			return false
		})
	}},
	{name: "If-Match knows masked copies", rows: "E4", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			for _, p := range w.of(r.URL.Path) {
				if a.status == 412 && p.etag == r.Header.Get("If-Match") {
					a.setBody(p.body)
					a.status = 200
				}
			}
		})
	}},
	{name: "a mask is for all renditions", rows: "E5", only: "E5", operator: always(before(func(r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for _, v := range []string{"v1", "v2", "v3", "v4"} {
			body = bytes.ReplaceAll(body, []byte(`"rendition":"`+v+`"`), []byte(`"rendition":""`))
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}))},
	{name: "nothing is withdrawn", rows: "E6", operator: ignoring(http.MethodPost, "withdrawn")},
	{name: "errors carry no notices", rows: "E7", serve: always(without("Origin-Notices", 404, 410))},
	{name: "only the newest notice is told", rows: "E8", only: "E8", serve: always(change(func(_ *http.Request, a *answered) {
		list := strings.Split(a.header.Get("Origin-Notices"), ", ")
		a.header.Set("Origin-Notices", list[len(list)-1])
	}))},
	{name: "notices are told at once", rows: "E9", publish: always(before(func(r *http.Request) {
		if n := r.Header.Get("Origin-Notices"); strings.HasPrefix(n, "later-") {
			name, _, _ := strings.Cut(n, ";")
			r.Header.Set("Origin-Notices", name+";from=0")
		}
	}))},
	{name: "notices that can not be read are ignored", rows: "E10", publish: always(before(func(r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Origin-Notices"), "ad;") {
			r.Header.Del("Origin-Notices")
		}
	}))},
	{name: "errors carry no cache version", rows: "E11", serve: always(without("Origin-Cache-Version", 404, 410))},
	{name: "the cache version stays", rows: "E11", operator: ignoring(http.MethodPost, "cache-version")},
	{name: "any event can be masked", rows: "E12", operator: always(status(404, 200, part("no-such-event")))},
	{name: "an event has no end", rows: "E13", operator: ignoring(http.MethodPost, "end")},
	{name: "an end is for good", rows: "E13", operator: ignoring(http.MethodDelete, "end")},
}

// rewrite changes bytes of the answers to a path that ends so.
func rewrite(path, from, to string) handling {
	return change(func(r *http.Request, a *answered) {
		if strings.HasSuffix(r.URL.Path, path) && a.status == 200 {
			a.setBody(bytes.Replace(a.body.Bytes(), []byte(from), []byte(to), 1))
		}
	})
}

func ending(path string) func(*http.Request) bool {
	return func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, path) }
}

var timeMutants = []mutant{
	{name: "the origin's clock is in another century", rows: "T1", serve: always(rewrite("/time", "20", "19"))},
	{name: "the time may be kept", rows: "T1", serve: always(change(func(r *http.Request, a *answered) {
		if r.URL.Path == "/time" {
			a.header.Set("Cache-Control", "public, max-age=60")
		}
	}))},
	{name: "the time can not be asked for with HEAD", rows: "T2", serve: always(status(200, 405, func(r *http.Request) bool {
		return r.Method == http.MethodHead && r.URL.Path == "/time"
	}))},
	{name: "the MPD counts from another number", rows: "M1", serve: always(rewrite(".mpd", `startNumber="7"`, `startNumber="8"`))},
	{name: "the MPD is text", rows: "M1", serve: always(change(func(r *http.Request, a *answered) {
		if ending(".mpd")(r) {
			a.header.Set("Content-Type", "text/plain")
		}
	}))},
	{name: "playlists count from another number", rows: "M2", serve: always(rewrite("/index.m3u8", "#EXT-X-MEDIA-SEQUENCE:", "#EXT-X-MEDIA-SEQUENCE:1"))},
	{name: "playlists list what is not due", rows: "M2", serve: func(w *world) handling {
		return change(func(r *http.Request, a *answered) {
			if ending("/index.m3u8")(r) && a.status == 200 {
				next := strconv.FormatInt(w.template.Next(time.Now()), 10)
				a.setBody(append(bytes.Clone(a.body.Bytes()), "#EXTINF:2.0,\n"+next+".m4s\n"...))
			}
		})
	}},
	{name: "the multivariant playlist names other paths", rows: "M3", serve: always(rewrite("/master.m3u8", "v1/index.m3u8", "v1.m3u8"))},
	{name: "each node signs its manifests", rows: "M4", serve: always(change(func(r *http.Request, a *answered) {
		if ending(".mpd")(r) && a.status == 200 {
			a.setBody(append(bytes.Clone(a.body.Bytes()), "<!-- "+r.Host+" -->"...))
		}
	}))},
	{name: "manifests may be kept for a minute", rows: "M5", serve: always(change(func(r *http.Request, a *answered) {
		if ending(".mpd")(r) && a.status == 200 {
			a.header.Set("Cache-Control", "public, max-age=60")
		}
	}))},
	{name: "a manifest has always changed", rows: "M5", serve: always(before(func(r *http.Request) {
		if ending(".mpd")(r) {
			r.Header.Del("If-None-Match")
		}
	}))},
	{name: "there is a manifest of any event", rows: "M6", serve: always(status(404, 200, ending("/no-such-event/live.mpd")))},
}

var accessMutants = []mutant{
	{name: "who says nothing is let in", rows: "A1 A3", publish: always(before(func(r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			r.Header.Set("Authorization", "Bearer "+secret)
		}
	}))},
	{name: "any password will do", rows: "A2", publish: always(before(func(r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			r.Header.Set("Authorization", "Bearer "+secret)
		}
	}))},
	{name: "there is no challenge", rows: "A1 A2", publish: always(without("WWW-Authenticate"))},
	{name: "wrong credentials are forbidden", rows: "A2", publish: always(status(401, 403, func(r *http.Request) bool { return r.Header.Get("Authorization") != "" }))},
	{name: "a body is read before its sender is known", rows: "A3", publish: always(before(func(r *http.Request) {
		if r.Header.Get("Expect") != "" && r.Header.Get("Authorization") == "" {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
	}))},
	{name: "headers have no limit", rows: "A4", config: func(cfg *origintest.Config) { cfg.Limits.Serve.HeaderBytes = 1 << 20 }},
	{name: "the node is never ready", rows: "O1", operator: always(status(200, 503, ending("/readyz")))},
	{name: "counts are a page", rows: "O2", operator: always(rewrite("/stats", "{", "<"))},
	{name: "there are no metrics", rows: "O2", operator: always(status(200, 404, ending("/metrics")))},
	{name: "counts are for everybody", rows: "O3", serve: always(status(404, 200, ending("/stats")))},
}

var ingestMutants = []mutant{
	{name: "a segment has one type", rows: "I1", publish: always(instead(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if ending(".cmfv")(r) {
			http.Error(w, "no", 404)
		}
		return ending(".cmfv")(r)
	}))},
	{name: "a type that is not taken is a bad request", rows: "I2", publish: always(status(415, 400, ending(".webm")))},
	{name: "a path that leaves its point is not found", rows: "I3", publish: always(status(403, 404, any))},
	{name: "brands are not looked at", rows: "I4", publish: always(before(func(r *http.Request) {
		if r.ContentLength > 0 && r.ContentLength < 1000 {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(bytes.ReplaceAll(body, []byte("slat"), []byte("msdh"))))
		}
	}))},
}

package origin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"origin-storm/origin/access"
	"origin-storm/origin/config"
	"origin-storm/origin/control"
	"origin-storm/origin/kv"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
)

// PublishConfig is what a Publish needs.
type PublishConfig struct {
	Events   []config.Event
	Segments *storage.Segments
	// Control takes the notices that come with segments; nil means that they are refused.
	Control    *control.Keeper
	Publishing config.Publishing
	// Node and Region go into answers.
	Node, Region string
	Log          *slog.Logger // nil discards
}

// Publish is the http.Handler of the packagers' side: PUT or POST of a segment or a manifest, DELETE as a courtesy, with the paths
// of segment.ParsePublication. It is safe for concurrent use; make it with NewPublish.
//
// These are its answers; where DASH-IF Live Media Ingest 1.2 asks for another one, the reason stands beside it.
//
//	201  stored under a new name, or a manifest's first time
//	200  the same bytes again; or other bytes, of which none were stored (HeaderKept: an encoder that is told 4xx repeats them);
//	     or a sound copy in place of a flawed one; a manifest again; an empty body, which tests the URL; a DELETE, which changes
//	     nothing: what leaves a packager's window is in ours yet
//	400  the path is not a segment's name, the number is ahead of any clock, a header field is wrong, the body broke off, its digest
//	     is another one, a part of a body (Content-Range), a whole track as one body (Streams)
//	403  the path is outside of a publishing point or of the prefix, or the credentials are not for it
//	404  no such event, pipeline or rendition
//	405  another method than PUT, POST and DELETE
//	408  the body stalled
//	409  other bytes under If-None-Match: *
//	410  the segment has left the DVR window
//	412  a media segment whose header is not there, where the event demands it first
//	413  too large
//	415  a type of media that is not taken, by extension or Content-Type; an encoded body
//	503, 504, 507  the store's or the node's trouble: try again, elsewhere
//
// What is wrong with a segment in itself is no reason to refuse it: it is looked into, stored, and marked with what was found.
type Publish struct {
	cfg      PublishConfig
	events   map[string]*event
	log      *slog.Logger
	began    time.Time // when the node was started
	draining atomic.Bool

	names    ttlMap[standing]
	busy     keyed
	memory   *memoryBudget
	requests counter
	writes   Timer
	stored, same, kept, replaced,
	failed, slow, bytes, active atomic.Int64
}

var _ http.Handler = (*Publish)(nil)

// standing is the copy of a name that this node knows to stand.
type standing struct {
	digest [sha256.Size]byte
	etag   string
	flaws  policy.Flaws
}

// SlowWrite is how long a segment's write may take before it counts as a failure to look into, though it succeeded
// (netflixtechblog.com, "Netflix Live Origin", 2025-12-15).
const SlowWrite = 500 * time.Millisecond

// NewPublish returns a Publish, or what is wrong with cfg.
func NewPublish(cfg PublishConfig) (*Publish, error) {
	events, err := newEvents(cfg.Events)
	if err != nil {
		return nil, err
	}
	for _, c := range cfg.Events {
		ev := events[c.Name]
		ev.feeds = make(map[string]*feed, len(c.Pipelines))
		for _, name := range c.Pipelines {
			ev.feeds[name] = newFeed(c.Renditions)
		}
	}
	memory := cmp.Or(cfg.Publishing.Memory, defaultMemory)
	if least := largest(events); memory < least {
		return nil, fmt.Errorf("origin: publishing.memory: %d bytes; the largest segment (max-segment) takes %d", memory, least)
	}
	return &Publish{cfg: cfg, began: time.Now(), events: events, log: logger(cfg.Log), memory: newMemoryBudget(memory, publishPatience)}, nil
}

// Drain makes Publish refuse what comes from now on; what is being received and stored is finished. To stop a node, call it
// and then the server's Shutdown.
func (p *Publish) Drain() { p.draining.Store(true) }

// ServeHTTP answers one packager's request. A request that was received as a whole is stored even if its sender has closed
// the connection since (ffmpeg does, after every segment), and is always answered within the write budget.
func (p *Publish) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.active.Add(1)
	defer p.active.Add(-1)
	h := w.Header()
	setNonEmpty(h, HeaderNode, p.cfg.Node)
	setNonEmpty(h, HeaderRegion, p.cfg.Region)
	status := http.StatusOK
	a, err := p.answer(w, r)
	if a.wrote {
		h.Set("Server-Timing", "store;dur="+strconv.FormatFloat(float64(a.took.Microseconds())/1000, 'f', 3, 64))
	}
	if err != nil {
		f := asRefusal(err)
		status = f.status
		if f.err != nil {
			p.log.Error("publishing failed", "path", r.URL.Path, "status", f.status, "err", f.err)
		}
		f.writeEarly(w, r)
	} else {
		if a.status != 0 {
			status = a.status
		}
		setNonEmpty(h, "ETag", a.etag)
		formatFlaws(h, a.flaws)
		if a.kept {
			h.Set(HeaderKept, "?1")
		}
		h.Set("Content-Length", "0")
		w.WriteHeader(status)
	}
	method := r.Method
	switch method {
	case http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		method = "other" // there are as many as somebody makes up
	}
	p.requests.add(method, status)
}

// published is the outcome of a request that was not refused; zero: 200, and nothing to say.
type published struct {
	status int          // 0: 200
	etag   string       // of the copy that stands
	flaws  policy.Flaws // of that copy
	kept   bool         // another copy stands than the one that came
	wrote  bool         // the store was written to, successfully or not,
	took   time.Duration
}

func (p *Publish) answer(w http.ResponseWriter, r *http.Request) (published, error) {
	if p.draining.Load() {
		f := refuse(http.StatusServiceUnavailable, "this node is shutting down; use another one")
		f.close, f.retry = true, time.Second
		return published{}, f
	}
	switch r.Method {
	case http.MethodPut, http.MethodPost, http.MethodDelete:
	default:
		w.Header().Set("Allow", "PUT, POST, DELETE")
		return published{}, refuse(http.StatusMethodNotAllowed, "%.20q: segments are published with PUT or POST", r.Method)
	}
	pub, ev, err := p.target(r)
	if err != nil {
		return published{}, err
	}
	if r.Method == http.MethodDelete {
		return published{}, nil // packagers delete what leaves their own window; ours is the DVR window
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return published{}, refuse(http.StatusUnsupportedMediaType, "Content-Encoding: %.40q: segments are stored and served as they are; send them unencoded", coding)
	}
	if err := checkType(r.Header.Get("Content-Type"), pub.Object); err != nil {
		return published{}, refuse(http.StatusUnsupportedMediaType, "%v", err)
	}
	if r.Header.Get("Content-Range") != "" {
		return published{}, refuse(http.StatusBadRequest, "Content-Range: a segment is published as a whole")
	}
	if pub.Object == segment.MPD || pub.Object == segment.Playlist {
		body, in, err := p.receive(w, r, ev, maxManifest)
		if err != nil {
			return published{}, err
		}
		defer in.release()
		if len(body) == 0 {
			return published{}, nil
		}
		a := p.receiveManifest(ev, pub, body)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), segment.Budget)
		defer cancel()
		p.end(ctx, w.Header(), ev, pub.Pipeline)
		return a, nil
	}
	id, keep, err := p.name(r.Context(), ev, pub)
	if err != nil {
		return published{}, err
	}
	flaws, err := parseFlaws(r.Header)
	if err != nil {
		return published{}, refuse(http.StatusBadRequest, "%v", err)
	}
	notices, err := p.notices(r.Header, id)
	if err != nil {
		return published{}, err
	}
	body, in, err := p.receive(w, r, ev, ev.maxSegment)
	if err != nil {
		return published{}, err
	}
	defer in.release()
	if len(body) == 0 {
		return published{}, nil // an ingest source tests the URL (DASH-IF Live Media Ingest)
	}
	if err := checkDigest(r.Header, body); err != nil {
		return published{}, refuse(http.StatusBadRequest, "%v", err)
	}
	// The sender may be gone by now, which takes nothing back.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), segment.Budget)
	defer cancel()
	flaws |= p.inspect(ctx, ev, id, body)
	a, err := p.store(ctx, id, body, storage.Meta{Flaws: flaws}, keep, r.Header.Get("If-None-Match") == "*")
	if err == nil {
		p.end(ctx, w.Header(), ev, id.Pipeline)
		err = p.announce(ctx, w.Header(), ev.name, notices)
	}
	return a, err
}

// target returns what r names, or a refusal.
func (p *Publish) target(r *http.Request) (pub segment.Publication, ev *event, err error) {
	path, below := strings.CutPrefix(r.URL.Path, p.cfg.Publishing.Prefix)
	switch {
	case !below || path != "" && path[0] != '/':
		return pub, nil, refuse(http.StatusForbidden, "%.100q is not below %s, where all is published here", r.URL.Path, p.cfg.Publishing.Prefix)
	case r.URL.RawPath != "": // one segment has one spelling
		return pub, nil, refuse(http.StatusBadRequest, "%.100q: the path of what is published has no escapes", r.URL.RawPath)
	}
	pub, err = segment.ParsePublication(path)
	switch {
	case errors.Is(err, segment.ErrOutside):
		return pub, nil, refuse(http.StatusForbidden, "%v", err)
	case errors.Is(err, segment.ErrType):
		return pub, nil, refuse(http.StatusUnsupportedMediaType, "%v", err)
	case err != nil:
		return pub, nil, refuse(http.StatusBadRequest, "%v", err)
	}
	if !access.Permit(r.Context(), pub.Event, pub.Pipeline) { // before anything is said about which events there are
		return pub, nil, forbidden()
	}
	ev = p.events[pub.Event]
	switch {
	case ev == nil:
		return pub, nil, refuse(http.StatusNotFound, "there is no event %q here", pub.Event)
	case !ev.hasPipeline(pub.Pipeline):
		return pub, nil, refuse(http.StatusNotFound, "event %q has no pipeline %q", pub.Event, pub.Pipeline)
	case pub.Rendition != "" && !ev.renditions[pub.Rendition]:
		return pub, nil, refuse(http.StatusNotFound, "event %q has no rendition %q", pub.Event, pub.Rendition)
	}
	return pub, ev, nil
}

// name returns the segment that pub is and how long it has to be kept, or a refusal.
func (p *Publish) name(ctx context.Context, ev *event, pub segment.Publication) (id segment.ID, keep time.Duration, err error) {
	id, now := pub.ID(), time.Now()
	if id.Number != segment.Init {
		if id.Number, err = ev.number(id.Rendition, pub.Value); err != nil {
			return id, 0, refuse(http.StatusBadRequest, "%v", err)
		}
		if id.Number < ev.Template.StartNumber {
			return id, 0, refuse(http.StatusBadRequest, "segment %d: event %q begins with %d", id.Number, id.Event, ev.Template.StartNumber)
		}
	}
	if ev.TooEarly(now, id.Number) {
		return id, 0, refuse(http.StatusBadRequest, "segment %d is due at %v, it is %v now: check the packager's clock and numbering",
			id.Number, ev.Template.Due(id.Number).UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if keep = ev.Keep(now, id.Number); keep == 0 {
		return id, 0, refuse(http.StatusGone, "segment %d has left the DVR window; it would never be served", id.Number)
	}
	if ev.headerFirst && id.Number != segment.Init && !p.hasHeader(ctx, ev, id) {
		return id, 0, refuse(http.StatusPreconditionFailed, "rendition %q of pipeline %q has no initialisation segment yet; publish it first", id.Rendition, id.Pipeline)
	}
	return id, keep, nil
}

// checkType returns why a body of a Content-Type is not taken as object, or nil. Most packagers send none or a general one, and
// boxes look alike whatever they carry, so the extension decides and only what contradicts it is refused.
func checkType(contentType string, object segment.Object) error {
	if contentType == "" {
		return nil
	}
	media, _, err := mime.ParseMediaType(contentType)
	ok := err == nil && media == "application/octet-stream"
	switch object {
	case segment.MPD:
		ok = ok || media == "application/dash+xml" || media == "application/xml" || media == "text/xml"
	case segment.Playlist:
		ok = ok || strings.Contains(media, "mpegurl") || media == "text/plain"
	default:
		kind, _, _ := strings.Cut(media, "/")
		ok = ok || media != "video/mp2t" && (kind == "video" || kind == "audio") || media == "application/mp4"
	}
	if !ok {
		return fmt.Errorf("Content-Type: %.60q does not go with the path's extension; leave it out, or send video/mp4, audio/mp4 or application/mp4 with a segment", contentType)
	}
	return nil
}

// forbidden is the refusal of who may publish, but not this. The body is not read.
func forbidden() *refusal {
	f := refuse(http.StatusForbidden, "these credentials are not for this event and pipeline")
	f.close = true
	return f
}

// store writes body as the copy of id, unless another one stands.
func (p *Publish) store(ctx context.Context, id segment.ID, body []byte, meta storage.Meta, keep time.Duration, onlyNew bool) (published, error) {
	// Two requests for one name are one after the other: which copy is the first must not depend on which write ends first.
	if err := p.busy.lock(ctx, id); err != nil {
		return published{}, unavailable(fmt.Errorf("%v: an earlier request for the same name is still being stored: %w", id, err))
	}
	defer p.busy.unlock(id)

	first, known := p.names.get(id, time.Now())
	if !known && (onlyNew || p.mayStand(id, meta)) {
		switch c, err := p.look(ctx, id); {
		case err != nil && onlyNew:
			return published{}, unavailable(err)
		case c != nil: // a look that failed is no reason not to write
			first, known = standingOf(c), true
			p.remember(id, c)
		}
	}
	replaces := known && policy.Replaces(meta.Flaws, first.flaws)
	if known && !replaces {
		switch {
		case sha256.Sum256(body) == first.digest:
			p.same.Add(1)
			return published{etag: first.etag, flaws: first.flaws}, nil
		case onlyNew:
			return published{}, refuse(http.StatusConflict, "%v was published before, with other bytes (ETag %s)", id, first.etag)
		}
		p.kept.Add(1)
		return published{etag: first.etag, flaws: first.flaws, kept: true}, nil
	}

	began := time.Now()
	c, err := p.cfg.Segments.Put(ctx, id, body, meta, keep)
	a := published{wrote: true, took: time.Since(began)}
	p.writes.Add(a.took)
	if a.took > SlowWrite {
		p.slow.Add(1)
	}
	if err != nil {
		p.failed.Add(1)
		return a, unavailable(err)
	}
	p.remember(id, c)
	p.bytes.Add(c.Size)
	a.etag, a.flaws = c.ETag(), meta.Flaws
	if replaces {
		p.replaced.Add(1)
		return a, nil
	}
	p.stored.Add(1)
	a.status = http.StatusCreated
	return a, nil
}

// mayStand reports whether another node, or this one before it was started, may well have been given a copy of id, so that a read
// before the write is worth its time. At the live edge it is not: packagers send a segment to one node, once.
func (p *Publish) mayStand(id segment.ID, meta storage.Meta) bool {
	return !meta.Flaws.Sound() || id.Number == segment.Init || p.events[id.Event].Template.Begins(id.Number).Before(p.began)
}

// look returns the copy of id that the store has; nil if it has none.
func (p *Publish) look(ctx context.Context, id segment.ID) (*storage.Commit, error) {
	ctx, cancel := context.WithTimeout(ctx, segment.Budget/4) // the write needs the rest
	defer cancel()
	found, err := p.cfg.Segments.Candidates(ctx, id.Asked(), []string{id.Pipeline})
	return found[0], err
}

func (p *Publish) remember(id segment.ID, c *storage.Commit) {
	p.names.put(id, standingOf(c), time.Now(), c.Until)
}

func standingOf(c *storage.Commit) standing {
	return standing{digest: c.Digest, etag: c.ETag(), flaws: c.Meta.Flaws}
}

// unavailable is the refusal that tells a client what became of the store.
func unavailable(err error) *refusal {
	f := &refusal{status: http.StatusServiceUnavailable, text: "the store can not be used at the moment; try again", retry: time.Second, err: err}
	switch {
	case errors.Is(err, errMemory):
		f.text, f.err = "as many bodies are in memory as this node allows; try another one, or again", nil
	case errors.Is(err, kv.ErrThrottled):
		f.text = "the store asks for fewer requests; try again"
	case errors.Is(err, kv.ErrFull):
		f.status, f.text, f.retry = http.StatusInsufficientStorage, "the store is full", 0
	case errors.Is(err, kv.ErrTooLarge):
		f.status, f.text, f.retry = http.StatusRequestEntityTooLarge, "the store can not hold a value of this size; configure smaller chunks", 0
	case errors.Is(err, context.DeadlineExceeded):
		f.status, f.text = http.StatusGatewayTimeout, fmt.Sprintf("the store did not answer within %v; try again", segment.Budget)
	}
	return f
}

// How long a body may take. A packager may open its request when a segment begins and send the body when it ends (ffmpeg's
// DASH muxer does), so a pause of a segment's length is normal, and so is a body that trickles in over one.
const (
	// publishPatience is how long a body may wait for memory before it is received: half of the write budget.
	publishPatience = time.Second

	minPause = 5 * time.Second  // without a byte, or three segments if that is longer
	minBody  = 30 * time.Second // in all, or six segments
)

// receive reads the whole body of r, of at most limit bytes, into memory of the node's budget, or fails with a refusal. It grows
// with what has arrived, not with what is announced.
func (p *Publish) receive(w http.ResponseWriter, r *http.Request, ev *event, limit int64) (_ []byte, _ *lease, err error) {
	if r.ContentLength > limit {
		f := refuse(http.StatusRequestEntityTooLarge, "a body of %d bytes: those of event %q have at most %d", r.ContentLength, ev.name, limit)
		f.close = true
		return nil, nil, f
	}
	size := int64(firstBuffer)
	if r.ContentLength >= 0 {
		size = min(size, r.ContentLength)
	}
	in, err := p.memory.lease(r.Context(), size, false)
	if err != nil {
		return nil, nil, noMemory(err)
	}
	defer func() {
		if err != nil {
			in.release()
		}
	}()
	from := deadlineReader{
		r:     http.MaxBytesReader(w, r.Body, limit),
		rc:    http.NewResponseController(w),
		pause: max(minPause, 3*ev.Template.Duration()),
		end:   time.Now().Add(max(minBody, 6*ev.Template.Duration())),
	}
	body := make([]byte, 0, size+1) // the last byte is for the read that finds the end
	for {
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == io.EOF {
			return body, in, nil
		}
		if err != nil {
			return nil, nil, brokenOff(err, len(body), ev)
		}
		if len(body) == cap(body) {
			larger := roomFor(int64(len(body)), r.ContentLength, limit)
			if !in.grow(larger - int64(len(body))) {
				return nil, nil, noMemory(errMemory)
			}
			body = append(make([]byte, 0, larger), body...)
		}
	}
}

// firstBuffer is what a body gets before any of it has come: little, so that those who never send one take little.
const firstBuffer = 16 << 10

// roomFor returns how large the buffer of a body becomes of which so many bytes have come: twice that, or, when a quarter of what was
// announced is there, the whole and a byte for the read that finds the end. So what is set aside is at most four times what came, and
// nobody who announces much and sends little keeps others from publishing. announced is negative if nothing was.
func roomFor(come, announced, most int64) int64 {
	larger := 2 * come
	if announced >= 0 && 4*come >= announced {
		larger = announced + 1
	}
	return min(larger, most+1)
}

// noMemory is unavailable for a request whose body has not been read.
func noMemory(err error) *refusal {
	f := unavailable(err)
	f.close = true
	return f
}

// brokenOff is the refusal of a body that did not arrive as a whole: nothing of it is stored. Usually nobody reads it.
func brokenOff(err error, got int, ev *event) *refusal {
	f := refuse(http.StatusBadRequest, "the body broke off after %d bytes; nothing was stored", got)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		f = refuse(http.StatusRequestEntityTooLarge, "bodies of event %q have at most %d bytes here", ev.name, tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		f = refuse(http.StatusRequestTimeout, "the body stalled after %d bytes; nothing was stored", got)
	}
	f.close = true
	return f
}

// How much of a refused body is read, and for how long. A connection that is closed with bytes unread is reset, and a sender that
// is still writing never sees why; after all were read it can send its next segment on the same connection.
const (
	discardBytes = 64 << 20
	discardTime  = time.Second
)

// writeEarly sends f, and then reads what still comes of r's body, within bounds.
func (f *refusal) writeEarly(w http.ResponseWriter, r *http.Request) {
	if r.Body == http.NoBody {
		f.write(w)
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.EnableFullDuplex() // or the server would look for the end of the body before it writes; HTTP/2 needs no leave
	f.write(w)
	if rc.Flush() != nil || rc.SetReadDeadline(time.Now().Add(discardTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, discardBytes) // whatever ends it, the server sees to the connection
}

// deadlineReader gives each read a pause to end in, and all reads together an end. The server sets the connection's deadline
// anew for the request after this one.
type deadlineReader struct {
	r     io.Reader
	rc    *http.ResponseController
	pause time.Duration
	end   time.Time
}

func (d *deadlineReader) Read(b []byte) (int, error) {
	deadline := time.Now().Add(d.pause)
	if deadline.After(d.end) {
		deadline = d.end
	}
	if err := d.rc.SetReadDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, fmt.Errorf("origin: body: %w", err)
	}
	return d.r.Read(b)
}

// checkDigest compares body with the SHA-256 that the request announces (RFC 9530), if it does; other algorithms are ignored, as
// the RFC wants.
func checkDigest(h http.Header, body []byte) error {
	for _, field := range [...]string{"Content-Digest", "Repr-Digest"} { // equal, as bodies come whole and unencoded
		for _, line := range h.Values(field) {
			for member := range strings.SplitSeq(line, ",") {
				name, value, _ := strings.Cut(strings.Trim(member, " \t"), "=")
				if name != "sha-256" {
					continue
				}
				want, err := base64.StdEncoding.DecodeString(strings.Trim(value, ":"))
				if err != nil || !strings.HasPrefix(value, ":") || !strings.HasSuffix(value, ":") {
					return fmt.Errorf("%s: %.80q is not Base64 in colons", field, value)
				}
				if got := sha256.Sum256(body); !bytes.Equal(got[:], want) {
					return fmt.Errorf("%s: the body that arrived has another digest; nothing was stored", field)
				}
			}
		}
	}
	return nil
}

// keyed is a lock for each segment's name that can be waited for with a context. Its zero value is ready.
type keyed struct {
	mu    sync.Mutex // guards the following
	locks map[segment.ID]*keyedLock
}

type keyedLock struct {
	held  chan struct{} // holds one value while locked
	users int           // that hold it or wait for it
}

func (k *keyed) lock(ctx context.Context, id segment.ID) error {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = make(map[segment.ID]*keyedLock)
	}
	l := k.locks[id]
	if l == nil {
		l = &keyedLock{held: make(chan struct{}, 1)}
		k.locks[id] = l
	}
	l.users++
	k.mu.Unlock()
	select {
	case l.held <- struct{}{}:
		return nil
	case <-ctx.Done():
		k.leave(id, l)
		return ctx.Err()
	}
}

func (k *keyed) unlock(id segment.ID) {
	k.mu.Lock()
	l := k.locks[id]
	k.mu.Unlock()
	<-l.held
	k.leave(id, l)
}

func (k *keyed) leave(id segment.ID, l *keyedLock) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(k.locks, id)
	}
}

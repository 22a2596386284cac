package origin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"origin-storm/origin/access"
	"origin-storm/origin/config"
	"origin-storm/origin/control"
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

// answer does what r asks for, or returns a refusal.
func (p *Publish) answer(w http.ResponseWriter, r *http.Request) (published, error) {
	if p.draining.Load() {
		return published{}, shuttingDown()
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
	if coding := strings.Join(r.Header.Values("Content-Encoding"), ", "); coding != "" && coding != "identity" {
		return published{}, refuse(http.StatusUnsupportedMediaType, "Content-Encoding: %.40q: segments are stored and served as they are; send them unencoded", coding)
	}
	if err := checkType(r.Header.Get("Content-Type"), pub.Object); err != nil {
		return published{}, refuse(http.StatusUnsupportedMediaType, "%v", err)
	}
	if r.Header.Get("Content-Range") != "" {
		return published{}, refuse(http.StatusBadRequest, "Content-Range: a segment is published as a whole")
	}
	if pub.Object == segment.MPD || pub.Object == segment.Playlist {
		return p.answerManifest(w, r, ev, pub)
	}
	return p.answerSegment(w, r, ev, pub)
}

// answerSegment is answer for a segment that may be published: it is received, looked into and stored, and what comes with it is
// announced.
func (p *Publish) answerSegment(w http.ResponseWriter, r *http.Request, ev *event, pub segment.Publication) (published, error) {
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
		return pub, nil, refuse(http.StatusForbidden, "%.100q is not below %s/, where all is published here", r.URL.Path, p.cfg.Publishing.Prefix)
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

// store writes body as the copy of id, unless another one stands.
func (p *Publish) store(ctx context.Context, id segment.ID, body []byte, meta storage.Meta, keep time.Duration, onlyNew bool) (published, error) {
	// Two requests for one name are one after the other: which copy is the first must not depend on which write ends first.
	if err := p.busy.lock(ctx, id); err != nil {
		return published{}, unavailable(fmt.Errorf("%v: an earlier request for the same name is still being stored: %w", id, err))
	}
	defer p.busy.unlock(id)

	first, known := p.names.get(id, time.Now())
	if !known && (onlyNew || p.mayStand(id, meta)) {
		switch c, err := p.look(ctx, id, meta); {
		case err != nil && (onlyNew || !meta.Flaws.Sound()):
			return published{}, unavailable(err) // a flawed copy must not take a sound one's place unseen
		case c != nil: // else a look that failed is no reason not to write
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

// look returns the copy of id that the store has; nil if it has none. Where a failed look forbids the write it may take most of the
// budget; else the write needs that.
func (p *Publish) look(ctx context.Context, id segment.ID, meta storage.Meta) (*storage.Commit, error) {
	within := segment.Budget / 4
	if !meta.Flaws.Sound() {
		within = segment.Budget * 3 / 4
	}
	ctx, cancel := context.WithTimeout(ctx, within)
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

// Stats returns the counts so far.
func (p *Publish) Stats() PublishStats {
	feeds := make(map[string]FeedStats)
	for name, ev := range p.events {
		for pipeline, f := range ev.feeds {
			s := f.snapshot()
			if s.Inspected+s.Foreign+s.Malformed > 0 || len(s.Received) > 0 {
				feeds[name+"/"+pipeline] = s
			}
		}
	}
	return PublishStats{
		Requests: p.requests.snapshot(), Active: p.active.Load(),
		Stored: p.stored.Load(), Replaced: p.replaced.Load(), Same: p.same.Load(), Kept: p.kept.Load(),
		Failed: p.failed.Load(), SlowWrites: p.slow.Load(), Bytes: p.bytes.Load(), WriteSeconds: p.writes.Latency(),
		Memory: p.memory.snapshot(), Feeds: feeds,
	}
}

package origin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/control"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
)

// ServeConfig is what a Serve needs.
type ServeConfig struct {
	Events   []config.Event
	Segments *storage.Segments
	Serving  config.Serving
	// Node and Region go into answers.
	Node, Region string
	// Control knows the masks, notices and ends of the events; nil means that there are none. Until it is ready, nothing is
	// served: a node that starts does not know yet what must not be.
	Control *control.Keeper
	// Load is what the node knows of its store; nil means that it is never stressed.
	Load func() policy.Load
	Log  *slog.Logger // nil discards
}

// Serve is the http.Handler of the CDN's side: GET and HEAD of segments, manifests and the time. What the clock says cannot exist,
// and what is not configured, is answered without touching a store. It is safe for concurrent use; make it with NewServe.
type Serve struct {
	cfg     ServeConfig
	events  map[string]*event
	log     *slog.Logger
	hub     *hub
	hot     hot
	loader  *loader
	reads   flights[readKey, *segmentCopy]
	alone   atomic.Int64      // reads that are shared with nobody
	choices ttlMap[string]    // the pipeline whose sound copy this node has served; it stays with it
	pages   map[string]*pages // the manifests, by event

	requests                                                           counter
	firstByte                                                          timers
	held, hotHits, collapsed, readCount, failed, bytes, cut, brokenOff atomic.Int64
}

var _ http.Handler = (*Serve)(nil)

// NewServe returns a Serve, or what is wrong with cfg.
func NewServe(cfg ServeConfig) (*Serve, error) {
	events, err := newEvents(cfg.Events)
	if err != nil {
		return nil, err
	}
	log := logger(cfg.Log)
	cfg.Node = cmp.Or(cfg.Node, "origin")
	if cfg.Load == nil {
		cfg.Load = func() policy.Load { return policy.Load{} }
	}
	manifests := make(map[string]*pages, len(cfg.Events))
	for _, e := range cfg.Events {
		manifests[e.Name] = newPages(e.Renditions)
	}
	memory := cmp.Or(cfg.Serving.Memory, cfg.Serving.Hot+defaultMemory)
	if least := cfg.Serving.Hot + 2*largest(events); memory < least {
		return nil, fmt.Errorf("origin: serving.memory: %d bytes; the hot copy and two of the largest segments (max-segment) take %d", memory, least)
	}
	cfg.Serving.SlowestReader = cmp.Or(cfg.Serving.SlowestReader, defaultSlowestReader)
	loader := newLoader(cfg.Segments, memory)
	s := &Serve{
		cfg: cfg, events: events, log: log, pages: manifests, loader: loader,
		reads: flights[readKey, *segmentCopy]{retain: (*segmentCopy).retain, release: (*segmentCopy).release},
		hot:   hot{limit: cfg.Serving.Hot},
	}
	s.hub = newHub(loader, hubConfig{Limit: cfg.Serving.Holds, Events: len(events), Time: cfg.Serving.HoldTime, Whole: s.keep, Log: log})
	return s, nil
}

// Close returns when nothing that Serve began is running any more. It is called after the server's Shutdown or Close.
func (s *Serve) Close() {
	s.hub.Close()
	s.reads.wait()
	for _, p := range s.pages {
		p.learning.wait()
	}
}

// Stats returns the counts so far.
func (s *Serve) Stats() ServeStats {
	hub := s.hub.Stats()
	return ServeStats{
		Requests: s.requests.snapshot(), Holding: hub.Holding, MaxHolding: hub.Most, Held: s.held.Load(),
		HoldsRefused: hub.Refused, HoldsExpired: hub.Expired,
		Awaited: hub.Awaited, StorePolls: hub.StorePolls, MaxStorePolls: hub.MostStorePolls,
		HotHits: s.hotHits.Load(), Collapsed: s.collapsed.Load(), Reads: s.readCount.Load(),
		Failed: s.failed.Load(), Bytes: s.bytes.Load(), HotBytes: s.hot.size(), FirstByte: s.firstByte.latencies(),
		Memory: s.loader.budget.snapshot(), IdleBuffers: s.loader.kept(), CutReaders: s.cut.Load(), BrokenOff: s.brokenOff.Load(),
	}
}

// What becomes of answers that no template gives a lifetime.
const (
	// unknownFor is how long "there is no such event" may be kept: a segment's usual length, so that an event that is
	// added is found at once by the standards of its viewers.
	unknownFor = 2 * time.Second
	// corsFor is how long a browser may keep that this origin is open to all.
	corsFor = 24 * time.Hour
)

// ServeHTTP answers one request.
func (s *Serve) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, settle := withLoans(r.Context())
	defer settle()
	r = r.WithContext(ctx)
	h := w.Header()
	h.Set(HeaderNode, s.cfg.Node)
	setNonEmpty(h, HeaderRegion, s.cfg.Region)
	h.Set("Access-Control-Allow-Origin", "*") // on errors too, or a player can not tell a 404 from a lost network
	h.Set("Access-Control-Expose-Headers", exposed)
	class, status, began := "other", http.StatusNoContent, time.Now()
	var broken error
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		var err error
		if r.URL.Path == timePath {
			class, status = "time", http.StatusOK
			sendTime(w, r, time.Now())
			break
		}
		if p, ok := parsePage(r.URL); ok {
			var m written
			class = "manifest"
			s.announce(h, p.event)
			m, err = s.manifest(r.Context(), p)
			s.firstByte.add(class, time.Since(began))
			if err == nil {
				status = s.sendManifest(w, r, p, m)
			}
		} else {
			var a served
			class, a, err = s.answer(h, r)
			s.firstByte.add(class, time.Since(began))
			if err == nil {
				status, broken = s.send(w, r, a)
			}
		}
		switch {
		case err == nil:
		case context.Cause(r.Context()) == ErrDraining:
			f := shuttingDown()
			status = f.status
			f.write(w)
		case r.Context().Err() != nil:
			// Its sender has left, as far as this server can tell; one that only closed its half must not take this for a 200.
			status = statusGone
			refuse(http.StatusServiceUnavailable, "the connection was closed while the request waited").write(w)
		default:
			f := asRefusal(err)
			status = f.status
			if f.err != nil {
				s.failed.Add(1)
				s.log.Error("serving failed", "path", r.URL.Path, "status", f.status, "err", f.err)
			}
			f.write(w)
		}
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Range, If-Match, If-None-Match, If-Range")
		h.Set("Access-Control-Max-Age", strconv.FormatInt(policy.MaxAge(corsFor), 10))
		w.WriteHeader(status)
	default:
		h.Set("Allow", "GET, HEAD, OPTIONS")
		f := refuse(http.StatusMethodNotAllowed, "%.20q: segments are read with GET or HEAD", r.Method)
		status = f.status
		f.write(w)
	}
	s.requests.add(class, status)
	if broken != nil {
		s.log.Error("an answer broke off", "path", r.URL.Path, "err", broken)
		panic(http.ErrAbortHandler) // the server closes the connection, and logs nothing
	}
}

// statusGone counts requests whose sender left before the answer, by the number that nginx's log made usual.
const statusGone = 499

const exposed = "Date, ETag, Content-Length, Content-Range, Age, Cache-Status, Retry-After, " +
	HeaderTTL + ", " + HeaderPipeline + ", " + HeaderRegion + ", " + HeaderNode + ", " + HeaderDefects + ", " + HeaderSlate + ", " +
	HeaderNotices + ", " + HeaderCacheVersion + ", " + HeaderAnswered + ", Repr-Digest"

// served is a segment to send.
type served struct {
	*segmentCopy
	left  time.Duration // how long the answer may be reused
	cache string        // the parameters of Cache-Status (RFC 9211)
}

// answer finds what r asks for, or a refusal, and says which class of request it was. It puts into h what is said of the event
// whatever the answer is.
func (s *Serve) answer(h http.Header, r *http.Request) (class string, a served, err error) {
	id, ev, err := s.target(r)
	if err != nil {
		s.announce(h, id.Event)
		return "unknown", served{}, err
	}
	if err := s.ready(); err != nil {
		return "unready", served{}, err
	}
	defer func() { s.announce(h, ev.name) }() // as it is when the answer is sent
	for range decisions {
		class, a, err = s.decide(r, id, ev.under(s.state(ev.name)))
		if err != nil || !s.state(ev.name).Masked(a.ID) {
			return class, a, err
		}
	}
	f := refuse(http.StatusServiceUnavailable, "copies of %v are being masked", id)
	f.retry = time.Second
	return class, served{}, f
}

// decisions is how often it is decided anew what to answer because the copy was masked while it was read or waited for: as
// often as nobody masks on purpose within one request.
const decisions = 4

// decide is answer for a segment of an event as it stands now.
func (s *Serve) decide(r *http.Request, id segment.ID, ev *event) (class string, a served, err error) {
	now := time.Now()
	class = classOf(ev, now, id.Number)
	tags := wantedTags(r.Header)
	masks := s.state(ev.name)
	seg, hits, cache := s.hot.get(r.Context(), id, now), &s.hotHits, "hit"
	if seg == nil { // perhaps its bytes are just coming for those who were held
		seg, hits, cache = s.hub.Arriving(r.Context(), id), &s.collapsed, "fwd=miss; collapsed"
	}
	if seg != nil && seg.wanted(tags) && !masks.Masked(seg.ID) {
		if d := ev.Decide(now, id.Number, policy.Published, policy.Load{}); d.Verdict == policy.Serve {
			hits.Add(1)
			return class, s.found(ev, seg, now, cache), nil
		}
	}
	known := policy.Unknown
	pipeline, chosen := s.choices.get(id, now)
	if chosen && masks.Masked(id.Candidate(pipeline)) {
		pipeline, chosen = "", false
	}
	if chosen {
		known = policy.Published
	}
	d := ev.Decide(now, id.Number, known, s.cfg.Load().For(id, now))
	switch d.Verdict {
	case policy.Hold:
		a, err = s.hold(r.Context(), ev, id)
		if err == nil && !a.wanted(tags) {
			a, err = s.read(r.Context(), ev, id, "", tags)
		}
	case policy.Look, policy.Serve:
		a, err = s.read(r.Context(), ev, id, pipeline, tags)
	default:
		return class, served{}, refusalOf(d, id, now)
	}
	if err == nil && !a.wanted(tags) && r.Header.Get("If-Match") != "" {
		return class, served{}, refuse(http.StatusPreconditionFailed, "no copy of %v has that entity tag", id)
	}
	return class, a, err
}

func (s *Serve) target(r *http.Request) (segment.ID, *event, error) {
	id, err := parsePath(r, segment.ParseServe)
	var f *refusal
	switch ev := s.events[id.Event]; {
	case err != nil:
		f = refuse(http.StatusNotFound, "%v", err)
	case ev == nil:
		f = refuse(http.StatusNotFound, "there is no event %q here", id.Event)
	case !ev.renditions[id.Rendition]:
		f = refuse(http.StatusNotFound, "event %q has no rendition %q", id.Event, id.Rendition)
	default:
		return id, ev, nil
	}
	f.keep = unknownFor
	return id, nil, f
}

// classOf names the request in the counts.
func classOf(ev *event, now time.Time, n int64) string {
	switch {
	case n == segment.Init:
		return "init"
	case ev.Low(now, n):
		return "dvr"
	case now.Before(ev.Template.Opens(n)):
		return "early"
	}
	return "live-edge"
}

// refusalOf says a decision that needs no store.
func refusalOf(d policy.Answer, id segment.ID, now time.Time) *refusal {
	var f *refusal
	switch d.Verdict {
	case policy.NotYet:
		f = refuse(http.StatusNotFound, "%v is not published yet", id)
	case policy.Shed:
		f = refuse(http.StatusServiceUnavailable, "the store is under stress and %v can wait", id)
		f.retry = d.Until.Sub(now)
	default:
		f = refuse(http.StatusGone, "%v was never published, has left the DVR window, or comes after the end of the event", id)
	}
	f.keep = d.Until.Sub(now)
	return f
}

// hold waits in the hub.
func (s *Serve) hold(ctx context.Context, ev *event, id segment.ID) (served, error) {
	s.held.Add(1)
	seg, err := s.hub.Wait(ctx, ev.Rendition, id, s.awaited(ev, id))
	now := time.Now()
	ev = ev.under(s.state(ev.name)) // it may have ended meanwhile
	switch {
	case err == nil:
		s.choose(ev, id, seg, now)
		return s.found(ev, seg, now, "fwd=miss; detail=held"), nil
	case errors.Is(err, errAbsent):
		s.pages[ev.name].missed(id, now)
		return served{}, refusalOf(ev.Decide(now, id.Number, policy.Absent, policy.Load{}), id, now)
	case errors.Is(err, errUnheard):
		return s.read(ctx, ev, id, "", nil) // as for who asks after the deadline
	case errors.Is(err, errHoldTime):
		// Not a 503: nothing is wrong with this node. What NotYet says is still true, and may be asked again at once.
		f := refuse(http.StatusNotFound, "%v is not published yet", id)
		f.again = true
		return served{}, f
	case errors.Is(err, errHoldsFull):
		f := refuse(http.StatusServiceUnavailable, "as many requests are held as this node allows")
		f.retry = time.Second
		return served{}, f
	case ctx.Err() != nil:
		return served{}, err
	}
	return served{}, unavailable(err)
}

// readKey names a read: of a segment for all who ask for it meanwhile, or with a number of its own for one request.
type readKey struct {
	segment.ID
	alone int64
}

// read gets a published segment from the store: the copy of the pipeline that was chosen before if there is one, or the one
// that tags ask for.
func (s *Serve) read(ctx context.Context, ev *event, id segment.ID, pipeline string, tags []string) (served, error) {
	key := readKey{ID: id}
	if !s.cfg.Serving.Collapse || len(tags) > 0 {
		key.alone = s.alone.Add(1)
	}
	fl, shared, err := s.reads.do(ctx, key, func(ctx context.Context, fl *flight[readKey, *segmentCopy]) error {
		s.readCount.Add(1)
		r := reading{first: fl.give, whole: func(seg *segmentCopy, _ []byte) {
			fl.close()
			if len(tags) == 0 {
				s.keep(id, seg)
			}
		}}
		found, err := s.load(ctx, ev, id, pipeline, tags, r)
		if err == nil && !found {
			fl.give(nil)
		}
		return err
	})
	cache := "fwd=miss"
	if shared {
		s.collapsed.Add(1)
		cache = "fwd=miss; collapsed"
	}
	var seg *segmentCopy
	if err == nil {
		lend(ctx, fl.leave)
		if seg = fl.val; seg != nil && s.state(ev.name).Masked(seg.ID) {
			fl.close() // whoever reads anew because of that must not be given the same again
		}
	}
	now := time.Now()
	switch {
	case err != nil && ctx.Err() != nil:
		return served{}, err
	case err != nil:
		return served{}, unavailable(err)
	case seg == nil:
		d := ev.Decide(now, id.Number, policy.Absent, policy.Load{})
		if d.Verdict == policy.Hold { // it was seen, and then lost, before its deadline
			return s.hold(ctx, ev, id)
		}
		if d.Verdict == policy.Gone {
			s.pages[ev.name].missed(id, now)
		}
		return served{}, refusalOf(d, id, now)
	}
	if len(tags) == 0 {
		s.choose(ev, id, seg, now)
	}
	return s.found(ev, seg, now, cache), nil
}

// load reads a segment from the store as r says, or reports that no pipeline has published it.
func (s *Serve) load(ctx context.Context, ev *event, id segment.ID, pipeline string, tags []string, r reading) (published bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, segment.Budget)
	defer cancel()
	r.low = ev.Low(time.Now(), id.Number)
	if pipeline != "" && len(tags) == 0 {
		if r.room, err = s.loader.room(ctx, 1, r.low); err != nil {
			return false, err
		}
		defer r.room.release()
		found, err := s.cfg.Segments.Candidates(ctx, id, []string{pipeline})
		if err == nil && found[0] != nil && found[0].Sound() {
			r.commits = found
			if err = s.loader.read(ctx, r); err == nil {
				return true, nil
			}
		}
		// A store that fails at the moment is no reason to change to another copy; one that has lost this copy is.
		if err != nil && !errors.Is(err, storage.ErrTorn) && !errors.Is(err, storage.ErrCorrupt) {
			return false, err
		}
	}
	pipelines := s.state(ev.name).Pipelines(id, ev.pipelines)
	if r.room, err = s.loader.room(ctx, len(pipelines), r.low); err != nil {
		return false, err
	}
	defer r.room.release()
	found, err := s.cfg.Segments.Candidates(ctx, id, pipelines)
	commits := ranked(found, false)
	there := false
	for i, c := range commits {
		if there = slices.Contains(tags, c.ETag()); there {
			commits = slices.Insert(slices.Delete(commits, i, i+1), 0, c)
			break
		}
	}
	if len(commits) == 0 || len(tags) > 0 && !there && err != nil { // the copy that is asked for may be the one that could not be read
		return false, err
	}
	r.commits = commits
	return true, s.loader.read(ctx, r)
}

// choose remembers what id is answered with.
func (s *Serve) choose(ev *event, id segment.ID, seg *segmentCopy, now time.Time) {
	if seg.Sound() {
		s.choices.put(id, seg.ID.Pipeline, now, seg.Until)
	}
	s.pages[ev.name].served(id, seg.Size, now)
}

// keep puts what was read of id as a whole into the hot copy, if it is new.
func (s *Serve) keep(id segment.ID, seg *segmentCopy) {
	now := time.Now()
	if !s.events[id.Event].under(s.state(id.Event)).Low(now, id.Number) {
		s.hot.put(id, seg, now)
	}
}

// found is seg as an answer. A sound copy may be kept by all for as long as it is served; a flawed one, which a sound one may
// replace, not longer than the nodes keep it.
func (s *Serve) found(ev *event, seg *segmentCopy, now time.Time, cache string) served {
	var left time.Duration // 0 if the window ended while it was read
	if d := ev.Decide(now, seg.ID.Number, policy.Published, policy.Load{}); d.Verdict == policy.Serve {
		left = d.Until.Sub(now)
	}
	if !seg.Sound() {
		left = min(left, policy.SettleFor)
	}
	return served{segmentCopy: seg, left: left, cache: cache}
}

// wantedTags returns the strong entity tags that If-Match or If-Range name: the copies from which r must be answered if they
// live.
func wantedTags(h http.Header) []string {
	var tags []string
	for _, field := range [...]string{"If-Match", "If-Range"} {
		for _, line := range h.Values(field) {
			for tag := range strings.SplitSeq(line, ",") {
				if tag = strings.Trim(tag, " \t"); strings.HasPrefix(tag, `"`) {
					tags = append(tags, tag)
				}
			}
		}
	}
	return tags
}

// wanted reports whether seg is what tags ask for; without tags anything is.
func (seg *segmentCopy) wanted(tags []string) bool {
	return len(tags) == 0 || slices.Contains(tags, seg.ETag())
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

// ranked returns the copies in found that may be served, the best first; while patient that may be none.
func ranked(found []*storage.Commit, patient bool) []*storage.Commit {
	copies := make([]policy.Copy, len(found))
	for i, c := range found {
		if c != nil {
			copies[i] = policy.Copy{Present: true, Flaws: c.Meta.Flaws}
		}
	}
	var best []*storage.Commit
	for i := policy.Choose(copies, patient); i >= 0; i = policy.Choose(copies, false) {
		best = append(best, found[i])
		copies[i].Present = false
	}
	return best
}

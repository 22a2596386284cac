package origin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/text/language"

	"origin-storm/origin/bmff"
	"origin-storm/origin/config"
	"origin-storm/origin/control"
	"origin-storm/origin/manifest"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
)

// page is what a manifest's path names.
type page struct {
	event, rendition string // rendition is of media playlists alone
	name             string // manifest.MPDName, MasterName or MediaName
}

// parsePage reads the path of u; false if it names no manifest. As of a segment, one spelling is read.
func parsePage(u *url.URL) (page, bool) {
	path, ok := strings.CutPrefix(u.Path, "/")
	if !ok || u.RawPath != "" {
		return page{}, false
	}
	parts := strings.Split(path, "/")
	switch last := parts[len(parts)-1]; {
	case len(parts) == 2 && (last == manifest.MPDName || last == manifest.MasterName):
		return page{event: parts[0], name: last}, true
	case len(parts) == 3 && last == manifest.MediaName:
		return page{event: parts[0], rendition: parts[1], name: last}, true
	}
	return page{}, false
}

// What no clock bounds.
const (
	// learnedFor is how long what was learned of an event's renditions is used before the store is asked again; less where an
	// initialisation segment is missing, flawed, or so young that nodes may differ.
	learnedFor = time.Minute
	// gapFor is how long a segment that was never published is listed as a gap: as nobody asks for a gap, it takes a player
	// that does once in a while to find that it was published late.
	gapFor = time.Minute
	// companyFor is how long after an event's first initialisation segment was published the multivariant playlist and the MPD
	// wait for those of the other renditions, for players read these once; then they list what there is.
	companyFor = 10 * time.Second
	// overFor is how long it may be kept that nothing of an event is left.
	overFor = time.Minute
)

// The bit rates that are told of a rendition of which neither the configuration nor a segment tells one, in bit/s: usual ones
// of stereo audio and of text, and for each pixel of a video's frame, so that 1280 by 720 have 2.8 Mbit/s.
const (
	audioRate = 128_000
	textRate  = 8_000
	pixelRate = 3
	videoRate = 3_000_000 // of video of unknown size
)

// pages are the manifests of one event, with what a node has learned for them. Make it with newPages.
type pages struct {
	config   []config.Rendition
	peaks    map[string]*atomic.Int64 // bytes of the largest segment that was served, by rendition
	learning flights[struct{}, *learned]
	gaps     ttlMap[struct{}]
	lacks    atomic.Int64 // how often gaps has changed

	mu      sync.Mutex // guards the following
	learned *learned
	written map[page]written
}

// learned is what is known of an event's renditions. It does not change.
type learned struct {
	renditions []config.Rendition // those that can be listed
	whole      bool               // no rendition is missing, or they were waited for long enough
	began      time.Time          // when the first of their initialisation segments was published
	changed    time.Time          // when the newest was
	until      time.Time          // when to ask again
	unclear    map[string]string  // ETags of the initialisation segments that can not be understood, by rendition: each is logged once
	doubt      error              // that the store could not be asked since; what is missing here may have been published
}

// written is a manifest as it was sent, with all that it depends on.
type written struct {
	basis basis
	etag  string
	body  []byte
}

type basis struct {
	learned     *learned
	lacks       int64
	first, last int64
	over        bool
	state       *control.State
}

func newPages(renditions []config.Rendition) *pages {
	p := &pages{config: renditions, peaks: make(map[string]*atomic.Int64, len(renditions)), written: make(map[page]written)}
	for _, r := range renditions {
		p.peaks[r.Name] = new(atomic.Int64)
	}
	return p
}

// served tells p what was served, which is how it knows of sizes, and of gaps that are none any more.
func (p *pages) served(id segment.ID, size int64, now time.Time) {
	if id.Number == segment.Init {
		return
	}
	p.measure(id.Rendition, size)
	if _, gap := p.gaps.get(id, now); gap {
		p.gaps.put(id, struct{}{}, now, now)
		p.lacks.Add(1)
	}
}

func (p *pages) measure(rendition string, size int64) {
	peak := p.peaks[rendition]
	for old := peak.Load(); size > old && !peak.CompareAndSwap(old, size); old = peak.Load() {
	}
}

// missed tells p that id was not published by its deadline.
func (p *pages) missed(id segment.ID, now time.Time) {
	if id.Number != segment.Init {
		p.gaps.put(id, struct{}{}, now, now.Add(gapFor))
		p.lacks.Add(1)
	}
}

// manifest answers for a manifest: it returns its bytes and entity tag, or a refusal.
func (s *Serve) manifest(ctx context.Context, p page) (written, error) {
	ev := s.events[p.event]
	var f *refusal
	switch {
	case ev == nil:
		f = refuse(http.StatusNotFound, "there is no event %.80q here", p.event)
	case p.rendition != "" && !ev.renditions[p.rendition]:
		f = refuse(http.StatusNotFound, "event %q has no rendition %.80q", p.event, p.rendition)
	}
	if f != nil {
		f.keep = unknownFor
		return written{}, f
	}
	if err := s.ready(); err != nil { // it is not known what is masked, or whether the event has ended
		return written{}, err
	}
	known, err := s.learn(ctx, ev)
	if err != nil {
		return written{}, err
	}
	now := time.Now()
	listed := false
	for _, r := range known.renditions {
		listed = listed || r.Name == p.rendition
	}
	if p.rendition != "" && !listed || p.rendition == "" && (len(known.renditions) == 0 || !known.whole) {
		if known.doubt != nil {
			return written{}, known.doubt
		}
		f := refuse(http.StatusNotFound, "event %q is not published yet: an initialisation segment is missing", p.event)
		f.keep = ev.Template.Duration()
		return written{}, f
	}
	return s.write(ev, p, known, now)
}

// write returns p as it is at now; it is generated once for all who ask for it until something changes.
func (s *Serve) write(ev *event, p page, known *learned, now time.Time) (written, error) {
	pages, st := s.pages[ev.name], s.state(ev.name)
	e := manifest.Event{
		Ended: st.Ended, Last: st.Last,
		Template: ev.Template, Window: cmp.Or(ev.DVR, policy.DefaultDVR), Renditions: known.renditions, Began: known.began, Changed: known.changed,
		Gap: func(rendition string, n int64) bool {
			id := segment.ID{Event: ev.name, Rendition: rendition, Number: n}
			_, gap := pages.gaps.get(id, now)
			return gap || len(st.Pipelines(id, ev.pipelines)) == 0 // all are masked
		},
	}
	b := basis{learned: known, lacks: pages.lacks.Load(), over: e.Over(now), state: st}
	b.first, b.last = e.Span(now)
	switch {
	case b.over && b.last < b.first:
		f := refuse(http.StatusGone, "event %q is over and has left the DVR window", ev.name)
		f.keep = overFor
		return written{}, f
	case p.name == manifest.MediaName && b.last < b.first:
		opens := ev.Template.Due(b.first)
		f := refuse(http.StatusNotFound, "event %q begins at %v", ev.name, opens.UTC().Format(time.RFC3339))
		f.keep = min(opens.Sub(now), ev.Template.Duration())
		return written{}, f
	case p.name == manifest.MasterName: // it lists no numbers
		b = basis{learned: known}
	}
	pages.mu.Lock()
	defer pages.mu.Unlock()
	if w, ok := pages.written[p]; ok && w.basis == b {
		return w, nil
	}
	w := written{basis: b}
	var err error
	switch p.name {
	case manifest.MPDName:
		w.body, err = e.MPD(now)
	case manifest.MasterName:
		w.body = e.Master()
	default:
		w.body = e.Media(p.rendition, now)
	}
	if err != nil {
		return written{}, err
	}
	sum := sha256.Sum256(w.body)
	w.etag = `"` + hex.EncodeToString(sum[:16]) + `"`
	pages.written[p] = w
	return w, nil
}

// learn returns what is known of an event's renditions. The store is asked once in a while, and not for each request.
func (s *Serve) learn(ctx context.Context, ev *event) (*learned, error) {
	p := s.pages[ev.name]
	p.mu.Lock()
	known := p.learned
	p.mu.Unlock()
	if known != nil && time.Now().Before(known.until) {
		return known, nil
	}
	fl, _, err := p.learning.do(ctx, struct{}{}, func(ctx context.Context, fl *flight[struct{}, *learned]) error {
		known, err := s.learnAnew(ctx, ev)
		if err == nil {
			fl.give(known)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	defer fl.leave()
	return fl.val, nil
}

// learnAnew reads the initialisation segments. Where one cannot be read, what was known before stands.
func (s *Serve) learnAnew(ctx context.Context, ev *event) (*learned, error) {
	p := s.pages[ev.name]
	inits, err := s.inits(ctx, ev, p.config)
	p.mu.Lock()
	before := p.learned
	p.mu.Unlock()
	now := time.Now()
	known := &learned{whole: true, until: now.Add(learnedFor), unclear: map[string]string{}}
	switch {
	case err == nil:
		for i, r := range p.config {
			if inits[i] == nil {
				known.whole = false
				continue
			}
			for _, c := range inits[i].commits {
				if known.began.IsZero() || c.Published.Before(known.began) {
					known.began = c.Published
				}
				if c.Published.After(known.changed) {
					known.changed = c.Published
				}
				if now.Sub(c.Published) < policy.SettleFor || !c.Sound() {
					known.until = now.Add(policy.SettleFor)
				}
			}
			about, err := bmff.ParseInit(inits[i].body)
			if err != nil {
				etag := inits[i].commits[0].ETag()
				if before == nil || before.unclear[r.Name] != etag {
					s.log.Warn("manifests know only what is configured of a rendition, for its initialisation segment can not be understood", "event", ev.name, "rendition", r.Name, "err", err)
				}
				known.unclear[r.Name] = etag
				about = new(bmff.Init)
			}
			if r, ok := s.describe(ctx, ev, r, about); ok {
				known.renditions = append(known.renditions, r)
			}
		}
		if !known.whole {
			known.until = now.Add(ev.Template.Duration())
			known.whole = now.Sub(known.began) >= companyFor
		}
	case before != nil && ctx.Err() == nil:
		s.log.Warn("manifests stay as they are, for an initialisation segment can not be read", "event", ev.name, "err", err)
		*known = *before
		known.doubt = err
		known.until = now.Add(policy.SettleFor)
	default:
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.learned = known
	return known, nil
}

// initial is a rendition's initialisation segment: every pipeline's copy of it, and the bytes of the one to serve.
type initial struct {
	commits []*storage.Commit
	body    []byte
}

// inits reads the initialisation segments of renditions; nil where there is none.
func (s *Serve) inits(ctx context.Context, ev *event, renditions []config.Rendition) ([]*initial, error) {
	ctx, cancel := context.WithTimeout(ctx, segment.Budget)
	defer cancel()
	found := make([]*initial, len(renditions))
	g, ctx := errgroup.WithContext(ctx)
	for i, r := range renditions {
		g.Go(func() error {
			id := segment.ID{Event: ev.name, Rendition: r.Name, Number: segment.Init}
			s.readCount.Add(1)
			copies, err := s.cfg.Segments.Candidates(ctx, id, s.state(ev.name).Pipelines(id, ev.pipelines))
			commits := ranked(copies, false)
			if err == nil && len(commits) == 0 {
				return nil
			}
			if err == nil {
				err = s.loader.read(ctx, reading{commits: commits, whole: func(_ *segmentCopy, body []byte) {
					found[i] = &initial{commits, bytes.Clone(body)}
				}})
				if err == nil {
					return nil
				}
			}
			return unavailable(err)
		})
	}
	return found, g.Wait()
}

// describe completes what the configuration says of r with what its initialisation segment says; false if even the kind of
// its media remains unknown.
func (s *Serve) describe(ctx context.Context, ev *event, r config.Rendition, about *bmff.Init) (config.Rendition, bool) {
	var codecs []string
	var rate int64 // of all tracks, unless one of them does not say its own
	silent := false
	for _, t := range about.Tracks {
		kind := map[string]config.Kind{"vide": config.Video, "soun": config.Audio, "subt": config.Text, "text": config.Text}[t.Handler]
		if kind == "" { // such as timed metadata
			continue
		}
		r.Kind = cmp.Or(r.Kind, kind)
		codecs = append(codecs, t.Codec)
		rate += t.Bitrate
		silent = silent || t.Bitrate == 0
		r.Width, r.Height = cmp.Or(r.Width, t.Width), cmp.Or(r.Height, t.Height)
		r.SampleRate, r.Channels = cmp.Or(r.SampleRate, t.SampleRate), cmp.Or(r.Channels, t.Channels)
		r.Timescale = cmp.Or(r.Timescale, int64(t.Timescale))
		if tag, err := language.Parse(t.Language); err == nil && tag != language.Und {
			r.Language = cmp.Or(r.Language, tag.String()) // en of eng
		}
	}
	r.Codecs = cmp.Or(r.Codecs, strings.Join(codecs, ","))
	// What a packager says every node says alike; sizes differ with what a node has served.
	if !silent {
		r.Bandwidth = cmp.Or(r.Bandwidth, rate)
	}
	if r.Bandwidth == 0 {
		r.Bandwidth = cmp.Or(s.peakRate(ctx, ev, r.Name), usualRate(r))
	}
	return r, r.Kind != ""
}

// peakRate is the bit rate of the largest segment of a rendition that is known, rounded up to two digits so that it seldom
// changes; 0 if none is.
func (s *Serve) peakRate(ctx context.Context, ev *event, rendition string) int64 {
	p, now := s.pages[ev.name], time.Now()
	if p.peaks[rendition].Load() == 0 { // a node that has just begun asks for the size of the newest that may be there
		id := segment.ID{Event: ev.name, Rendition: rendition, Number: ev.Template.Next(now) - 1}
		if id.Number < ev.Template.StartNumber {
			return 0
		}
		found, _ := s.cfg.Segments.Candidates(ctx, id, s.state(ev.name).Pipelines(id, ev.pipelines)) // without an answer there is the usual rate
		for _, c := range found {
			if c != nil {
				p.measure(rendition, c.Size)
			}
		}
	}
	ticks, scale := ev.Template.Rate()
	bits := float64(p.peaks[rendition].Load()*8) * float64(scale) / float64(ticks)
	digit := math.Pow10(max(0, int(math.Log10(max(bits, 1)))-1))
	return int64(math.Ceil(bits/digit) * digit)
}

// usualRate is told where nothing else is known.
func usualRate(r config.Rendition) int64 {
	switch {
	case r.Kind == config.Audio:
		return audioRate
	case r.Kind == config.Text:
		return textRate
	case r.Width > 0 && r.Height > 0:
		return int64(r.Width) * int64(r.Height) * pixelRate
	}
	return videoRate
}

// sendManifest writes a manifest and returns the status. Whoever keeps it keeps it for half a segment: longer, and players
// would wait for segments that are there.
func (s *Serve) sendManifest(w http.ResponseWriter, r *http.Request, p page, m written) int {
	h := w.Header()
	h.Set("ETag", m.etag)
	h.Set("Content-Type", "application/vnd.apple.mpegurl")
	if p.name == manifest.MPDName {
		h.Set("Content-Type", "application/dash+xml")
	}
	keep := s.events[p.event].Template.Duration() / 2
	h.Set("Cache-Control", "public, max-age="+strconv.FormatInt(policy.MaxAge(keep), 10))
	h.Set(HeaderTTL, strconv.FormatInt(keep.Milliseconds(), 10)) // not rounded up: half a segment is the most
	h.Set("Cache-Status", "origin; hit")
	out := s.progress(w)
	http.ServeContent(out, r, "", time.Time{}, bytes.NewReader(m.body))
	s.bytes.Add(out.sent)
	return out.status
}

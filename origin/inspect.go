package origin

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"origin-storm/origin/bmff"
	"origin-storm/origin/config"
	"origin-storm/origin/control"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

// How far from the clock a segment's samples may be before it is flawed. Pipelines are interchangeable only if segment n of each
// holds the same instants.
const (
	// offsetBound is the part of a segment that its first sample may be away from the number's instant: half a second of 2 s. An
	// audio encoder's priming is 21 to 110 ms and a video encoder's reordering at most 8 frames; beyond half a segment another
	// number would be meant. What is within it is shown in the statistics.
	offsetBound = 4
	// lengthBound is the part of a segment that its samples may last more or less than it, whatever their durations: 250 ms of 2 s.
	lengthBound = 8
	// headerAgain is when a header is looked for again that the store did not have.
	headerAgain = 10 * time.Second
	// headerWait is how long a segment waits for its header to be read; without it less is checked.
	headerWait = 250 * time.Millisecond
)

// feed is what a publishing node has seen of one pipeline of an event.
type feed struct {
	mu        sync.Mutex // guards the following
	stats     FeedStats
	tracks    map[string]*track  // by rendition, all that are configured
	received  map[string]receipt // manifests, by path below the pipeline
	overByMPD bool               // its MPD says that it is static
}

// track is what it has seen of one rendition.
type track struct {
	timescale int64 // as configured; 0: as the header says
	// header is the initialisation segment that was read last; nil if it is not known, or is not ISO BMFF.
	header *bmff.Init
	seen   bool      // there is one
	looked time.Time // when the store was asked for it last

	ends   [16]sampleEnd // of the last segments, in no order
	next   int           // the one to overwrite
	newest int64         // the highest number published; -1: none
	last   int64         // the number that was said to be the last; -1: it goes on
	offset time.Duration // of the last segment that was looked into
	offSet bool
}

// sampleEnd is when the samples of a segment end, in ticks.
type sampleEnd struct {
	known  bool
	number int64
	track  uint32
	ticks  uint64
}

func newFeed(renditions []config.Rendition) *feed {
	f := &feed{tracks: make(map[string]*track, len(renditions)), received: make(map[string]receipt)}
	for _, r := range renditions {
		f.tracks[r.Name] = &track{timescale: r.Timescale, newest: -1, last: -1}
	}
	return f
}

// inspect looks into the segment id and returns what is wrong with it, which is found and marked, and never refused. A header
// is remembered for the segments to come. What is no ISO BMFF is counted as such and taken as sound.
func (p *Publish) inspect(ctx context.Context, ev *event, id segment.ID, body []byte) policy.Flaws {
	f := ev.feeds[id.Pipeline]
	if id.Number == segment.Init {
		f.setHeader(id, body, ev.inspect)
		return 0
	}
	if !ev.inspect {
		f.mark(id.Rendition, id.Number, false)
		return 0
	}
	header := f.header(id.Rendition)
	seg, err := bmff.Inspect(body, header)
	if err == nil && header == nil {
		if header = p.findHeader(ctx, f, id, headerAgain); header != nil {
			seg, err = bmff.Inspect(body, header) // with the durations that only the header has
		}
	}
	if err != nil {
		f.count(func(s *FeedStats) {
			if errors.Is(err, bmff.ErrForeign) {
				s.Foreign++
				return
			}
			s.Malformed++
			p.log.Warn("a segment's boxes make no sense", "id", id.String(), "err", err)
		})
		f.mark(id.Rendition, id.Number, false)
		return 0
	}
	found, offset := f.check(ev.Template, id, seg, header)
	f.mark(id.Rendition, id.Number, seg.Last)
	if found != 0 {
		p.log.Warn("a segment has flaws", "id", id.String(), "flaws", found.String(), "offset", offset)
	}
	return found
}

// check compares seg with the clock and with its predecessor, and counts what it finds.
func (f *feed) check(tmpl segment.Template, id segment.ID, seg bmff.Segment, header *bmff.Init) (found policy.Flaws, offset time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tracks[id.Rendition]
	if seg.Slate {
		found |= policy.Slate
	}
	if seg.Truncated {
		found |= policy.Short
	}
	locked := false
	for _, s := range seg.Tracks {
		timescale, media := t.timescale, true
		if h := header.Track(s.Track); h != nil {
			timescale = int64(h.Timescale)
			media = h.Handler != "subt" && h.Handler != "text" // where nobody speaks there is no sample
		}
		if s.Broken {
			found |= policy.Discontinuity
		}
		if s.Timed {
			if end, ok := t.end(id.Number-1, s.Track); ok && media && !near(s.Decode, end, s) {
				found |= policy.Discontinuity
			}
			t.keep(sampleEnd{true, id.Number, s.Track, s.End()})
		}
		if !s.Timed || timescale == 0 {
			continue
		}
		locked = true
		n, off, ok := tmpl.At(int64(s.Decode), timescale)
		length := tmpl.Duration()
		if !ok || n != id.Number || off.Abs() > length/offsetBound {
			found |= policy.Discontinuity
			if d := float64(n-id.Number) * float64(length); ok && math.Abs(d) < math.MaxInt64/2 {
				off += time.Duration(d)
			}
		}
		if offset.Abs() < off.Abs() {
			offset = off
		}
		if media {
			found |= lasts(tmpl, s, timescale)
		}
	}
	f.stats.Inspected++
	if locked {
		t.offset, t.offSet = offset, true
	} else {
		f.stats.Unlocked++
	}
	for flaw, n := range map[policy.Flaws]*int64{
		policy.Short: &f.stats.Short, policy.Discontinuity: &f.stats.Discontinuities, policy.Slate: &f.stats.Slates, policy.Missing: &f.stats.Missing,
	} {
		if found&flaw != 0 {
			*n++
		}
	}
	return found, offset
}

// near reports whether the samples of s begin where the ones before them ended: half a sample is rounding, more is a sample that is
// missing or there twice.
func near(begin, end uint64, s bmff.Span) bool {
	apart := begin - end
	if end > begin {
		apart = end - begin
	}
	return apart <= max(1, sample(s)/2)
}

// sample is the usual duration of a sample of s.
func sample(s bmff.Span) uint64 {
	if s.Samples == 0 {
		return 0
	}
	return s.Duration / uint64(s.Samples)
}

// lasts compares the duration of s with that of a segment. Where samples fit into a segment without a rest (50 frames of 40 ms),
// half a sample more or less is rounding. Where they do not (93.75 AAC frames of 1024 samples at 48 kHz), segments differ by one.
func lasts(tmpl segment.Template, s bmff.Span, timescale int64) policy.Flaws {
	if s.Samples == 0 {
		return policy.Missing
	}
	length, scale := tmpl.Rate()
	want := float64(length) * float64(timescale) / float64(scale) // in ticks, as is all that follows
	one := float64(s.Duration) / float64(s.Samples)
	bound := one / 2
	if rest := math.Mod(want, one); rest > 0.01*one && rest < 0.99*one {
		bound = one
	}
	bound = max(1, min(bound*1.01, want/lengthBound))
	switch got := float64(s.Duration); {
	case got < want-bound:
		return policy.Short
	case got > want+bound:
		return policy.Discontinuity // it holds what belongs to the next one
	}
	return 0
}

func (t *track) end(number int64, track uint32) (uint64, bool) {
	for _, e := range t.ends {
		if e.known && e.number == number && e.track == track {
			return e.ticks, true
		}
	}
	return 0, false
}

func (t *track) keep(e sampleEnd) {
	for i := range t.ends {
		if t.ends[i].known && t.ends[i].number == e.number && t.ends[i].track == e.track {
			t.ends[i] = e
			return
		}
	}
	t.ends[t.next] = e
	t.next = (t.next + 1) % len(t.ends)
}

func (f *feed) count(do func(*FeedStats)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(&f.stats)
}

// setHeader remembers an initialisation segment.
func (f *feed) setHeader(id segment.ID, body []byte, look bool) {
	var header *bmff.Init
	if look {
		header, _ = bmff.ParseInit(body) // one that makes no sense leaves segments unlocked, which is counted
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tracks[id.Rendition]
	t.seen, t.header = true, header
}

// header returns what is known of a rendition's initialisation segment, or nil.
func (f *feed) header(rendition string) *bmff.Init {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tracks[rendition].header
}

// hasHeader reports whether the initialisation segment of id's rendition has been published, here or to another node.
func (p *Publish) hasHeader(ctx context.Context, ev *event, id segment.ID) bool {
	f := ev.feeds[id.Pipeline]
	f.mu.Lock()
	seen := f.tracks[id.Rendition].seen
	f.mu.Unlock()
	if !seen {
		p.findHeader(ctx, f, id, 0)
		f.mu.Lock()
		seen = f.tracks[id.Rendition].seen
		f.mu.Unlock()
	}
	return seen
}

// findHeader asks the store for the initialisation segment of id's rendition, which another node may have been given, or this one
// before it was restarted; not again within again of the last time. It returns nil if there is none or none that can be read.
func (p *Publish) findHeader(ctx context.Context, f *feed, id segment.ID, again time.Duration) *bmff.Init {
	now := time.Now()
	f.mu.Lock()
	t := f.tracks[id.Rendition]
	header, asked := t.header, t.seen || !t.looked.IsZero() && now.Sub(t.looked) < again
	if !asked {
		t.looked = now
	}
	f.mu.Unlock()
	if header != nil || asked {
		return header
	}
	ctx, cancel := context.WithTimeout(ctx, headerWait)
	defer cancel()
	id.Number = segment.Init
	found, err := p.cfg.Segments.Candidates(ctx, id.Asked(), []string{id.Pipeline})
	if err != nil || found[0] == nil {
		return nil
	}
	body, err := p.cfg.Segments.Body(ctx, found[0])
	if err != nil {
		return nil
	}
	f.setHeader(id, body, true)
	return f.header(id.Rendition)
}

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

// snapshot returns the counts so far.
func (f *feed) snapshot() FeedStats {
	last, over := f.over()
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	if over {
		s.Ended, s.Last = true, last
	}
	for name, t := range f.tracks {
		if t.offSet {
			if s.OffsetMS == nil {
				s.OffsetMS = make(map[string]float64)
			}
			s.OffsetMS[name] = float64(t.offset.Microseconds()) / 1000
		}
	}
	for name, r := range f.received {
		if s.Received == nil {
			s.Received = make(map[string]Received)
		}
		r.AgeSeconds = time.Since(r.at).Seconds()
		s.Received[name] = r.Received
	}
	return s
}

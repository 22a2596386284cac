package origin

import (
	"context"
	"sync"
	"time"

	"origin-storm/origin/bmff"
	"origin-storm/origin/config"
	"origin-storm/origin/segment"
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

func (f *feed) count(do func(*FeedStats)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(&f.stats)
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

// setHeader remembers an initialisation segment, and returns why there is none to be read from body where it was to be looked into.
func (f *feed) setHeader(id segment.ID, body []byte, look bool) (err error) {
	var header *bmff.Init
	if look {
		header, err = bmff.ParseInit(body)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tracks[id.Rendition]
	t.seen = true
	if header != nil { // else what is known already is of more use than nothing; without any, segments are unlocked, which is counted
		t.header = header
	}
	return err
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
	_ = f.setHeader(id, body, true) // whoever was given it has said so
	return f.header(id.Rendition)
}

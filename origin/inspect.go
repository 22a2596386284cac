package origin

import (
	"context"
	"errors"
	"math"
	"time"

	"origin-storm/origin/bmff"
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

// inspect looks into the segment id and returns what is wrong with it, which is found and marked, and never refused. A header
// is remembered for the segments to come; one whose boxes make no sense is Missing, for it stands as long as the event lasts, and what
// can not be decoded must not keep out what can. What is no ISO BMFF is counted as such and taken as sound.
func (p *Publish) inspect(ctx context.Context, ev *event, id segment.ID, body []byte) policy.Flaws {
	f := ev.feeds[id.Pipeline]
	if id.Number == segment.Init {
		err := f.setHeader(id, body, ev.inspect)
		if !errors.Is(err, bmff.ErrMalformed) {
			return 0
		}
		f.count(func(s *FeedStats) { s.Malformed++ })
		p.log.Warn("an initialisation segment's boxes make no sense", "id", id.String(), "err", err)
		return policy.Missing
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

// Package bmff looks at the boxes of CMAF and fragmented MP4 (ISO/IEC 14496-12) as far as a live origin wants to know them: of
// an initialisation segment which tracks it announces, of a media segment when it begins, how long it lasts and what its
// packager says about it. It reads headers only, in one pass with bounds on what that may cost, and never a media sample. It
// is no demuxer: it decodes nothing, and what it does not know it passes over.
//
// It is a parser of its own because bodies come from outside: Eyevinn's mp4ff v0.52.0, the well-kept library for the format,
// computes sizes again at every level of nesting, so that 1 MiB of boxes in boxes took it 110 s, and it allocates what this
// package can do without.
package bmff

import (
	"fmt"
	"math"
	"time"
)

// Bounds of an inspection. A 2 s segment has one moof of 1 to 4 KiB, in low latency ten to sixty of some hundred bytes.
const (
	maxBoxes  = 4096    // at the top level of a segment
	maxLooked = 1 << 20 // bytes of moof boxes
	maxTracks = 64
	maxInit   = 1 << 20 // bytes of a moov box
	// maxTime keeps sums of decode times and durations far from overflow; at 10 MHz it is 14,000 years.
	maxTime = math.MaxInt64 / 2
)

// Segment is what the boxes of a media segment say.
type Segment struct {
	// Slate: its brands say that it is a filler, which may be replaced ("slat"; DASH-IF Live Media Ingest).
	Slate bool
	// Last: its brands say that it is its track's last one ("lmsg"; ISO/IEC 23009-1).
	Last bool
	// Truncated: its last box ends beyond the bytes at hand.
	Truncated bool
	// Sequence is the sequence number of its first fragment (mfhd).
	Sequence uint32
	// Fragments is how many there are (moof); in low latency there are several.
	Fragments int
	// Tracks says when each track's samples begin and how long they last, in the order of their appearance.
	Tracks []Span
	// Media is how many bytes of media there are (mdat), as far as they are at hand.
	Media int64
	// Reference is the wall-clock time of the first producer reference time box (prft), or zero.
	Reference time.Time
}

// Span is the samples of one track in a segment. Times are in ticks of the track's timescale, which the initialisation segment
// tells.
type Span struct {
	Track uint32
	// Decode is the decode time of the first sample (tfdt); Timed is false if no box says it.
	Decode uint64
	Timed  bool
	// Duration is the sum of the samples' durations.
	Duration uint64
	Samples  int
	// Broken: a fragment does not begin where the one before it ended.
	Broken bool
}

// End is when the samples of s end.
func (s Span) End() uint64 { return s.Decode + s.Duration }

// Inspect returns what the boxes of the media segment b say. init is the initialisation segment that b is played with, for the
// durations that are given there alone; nil if it is not known, which makes those 0. Inspect keeps nothing of b. Its cost
// depends on the number of boxes and the length of the moof boxes, which are both bounded, not on the media.
//
// The errors wrap ErrForeign if b does not begin like ISO BMFF, ErrMalformed if its boxes contradict each other or there is no
// fragment, and ErrTooLong if a bound was reached.
func Inspect(b []byte, init *Init) (Segment, error) {
	var seg Segment
	if !begins(b) {
		return seg, ErrForeign
	}
	s, looked := boxes{rest: b}, 0
	for n := 0; s.next(); n++ {
		if n == maxBoxes {
			return seg, fmt.Errorf("%w: more than %d boxes", ErrTooLong, maxBoxes)
		}
		seg.Truncated = s.cut
		switch s.kind.String() {
		case "styp":
			seg.brands(s.body)
		case "prft":
			if seg.Reference.IsZero() && !s.cut {
				seg.Reference = reference(s.body)
			}
		case "moof":
			if looked += len(s.body); looked > maxLooked {
				return seg, fmt.Errorf("%w: more than %d bytes of moof", ErrTooLong, maxLooked)
			}
			if s.cut {
				break
			}
			if err := seg.fragment(s.body, init); err != nil {
				return seg, err
			}
		case "mdat":
			seg.Media += int64(len(s.body))
		}
	}
	switch {
	case s.err != nil && s.cut && seg.Fragments > 0:
		seg.Truncated = true
	case s.err != nil:
		return seg, s.err
	case seg.Fragments == 0:
		return seg, fmt.Errorf("%w: no moof box", ErrMalformed)
	}
	return seg, nil
}

// begins reports whether b begins with a box that a segment may begin with.
func begins(b []byte) bool {
	if len(b) < 8 {
		return false
	}
	switch string(b[4:8]) {
	case "styp", "ftyp", "moof", "moov", "sidx", "prft", "emsg", "free", "skip", "uuid", "mdat":
		return true
	}
	return false
}

// brands reads a styp box: major brand, version, compatible brands.
func (seg *Segment) brands(b []byte) {
	for i := 0; i+4 <= len(b); i += 4 {
		if i == 4 {
			continue // the version
		}
		switch string(b[i : i+4]) {
		case "slat":
			seg.Slate = true
		case "lmsg":
			seg.Last = true
		}
	}
}

// reference reads a prft box: track, then wall-clock time as of NTP, then media time.
func reference(b []byte) time.Time {
	f := fields{rest: b}
	f.full()
	f.skip(4)
	sec, frac := f.u32(), f.u32()
	if f.short || sec == 0 {
		return time.Time{}
	}
	const ntpToUnix = 2208988800 // seconds from 1900 to 1970
	return time.Unix(int64(sec)-ntpToUnix, int64(uint64(frac)*uint64(time.Second)>>32)).UTC()
}

// fragment reads a moof box.
func (seg *Segment) fragment(b []byte, init *Init) error {
	seg.Fragments++
	return within(b, func(k fourCC, body []byte) error {
		switch k.String() {
		case "mfhd":
			f := fields{rest: body}
			f.full()
			if n := f.u32(); seg.Fragments == 1 {
				seg.Sequence = n
			}
			return f.done("mfhd")
		case "traf":
			return seg.trackFragment(body, init)
		}
		return nil
	})
}

// trackFragment reads a traf box. Its first boxes may come in any order, so the sums are done last.
func (seg *Segment) trackFragment(b []byte, init *Init) error {
	var run Span
	var perSample uint64 // duration where a trun gives none
	var head bool
	err := within(b, func(k fourCC, body []byte) error {
		f := fields{rest: body}
		switch k.String() {
		case "tfhd":
			_, flags := f.full()
			run.Track, head = f.u32(), true
			perSample = uint64(init.defaultDuration(run.Track))
			if flags&0x1 != 0 { // base data offset
				f.skip(8)
			}
			if flags&0x2 != 0 { // sample description index
				f.skip(4)
			}
			if flags&0x8 != 0 {
				perSample = uint64(f.u32())
			}
			return f.done("tfhd")
		case "tfdt":
			version, _ := f.full()
			run.Decode, run.Timed = f.sized(version), true
			if run.Decode > maxTime {
				return fmt.Errorf("%w: a decode time of %d", ErrMalformed, run.Decode)
			}
			return f.done("tfdt")
		case "trun":
			if !head {
				return fmt.Errorf("%w: a trun box ahead of its tfhd", ErrMalformed)
			}
			return run.samples(f, perSample)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !head {
		return fmt.Errorf("%w: a traf box without tfhd", ErrMalformed)
	}
	for i := range seg.Tracks {
		s := &seg.Tracks[i]
		if s.Track != run.Track {
			continue
		}
		if run.Timed && s.Timed && run.Decode != s.End() {
			s.Broken = true
		}
		s.Duration += run.Duration
		s.Samples += run.Samples
		if s.Duration > maxTime {
			return fmt.Errorf("%w: track %d lasts %d ticks", ErrMalformed, s.Track, s.Duration)
		}
		return nil
	}
	if len(seg.Tracks) == maxTracks {
		return fmt.Errorf("%w: more than %d tracks", ErrTooLong, maxTracks)
	}
	seg.Tracks = append(seg.Tracks, run)
	return nil
}

// samples adds a trun box.
func (s *Span) samples(f fields, perSample uint64) error {
	_, flags := f.full()
	count := f.u32()
	if flags&0x1 != 0 { // data offset
		f.skip(4)
	}
	if flags&0x4 != 0 { // first sample's flags
		f.skip(4)
	}
	if err := f.done("trun"); err != nil {
		return err
	}
	var entry uint64 // bytes of each sample's fields: duration, size, flags, composition time offset
	for _, flag := range [...]uint32{0x100, 0x200, 0x400, 0x800} {
		if flags&flag != 0 {
			entry += 4
		}
	}
	if uint64(count)*entry > uint64(len(f.rest)) {
		return fmt.Errorf("%w: a trun box of %d samples has room for %d", ErrMalformed, count, uint64(len(f.rest))/entry)
	}
	if count > math.MaxInt32-uint32(s.Samples) {
		return fmt.Errorf("%w: more than %d samples", ErrMalformed, math.MaxInt32)
	}
	s.Samples += int(count)
	if flags&0x100 == 0 {
		s.Duration += uint64(count) * perSample
	} else {
		for range count {
			s.Duration += uint64(f.u32())
			f.skip(int(entry) - 4)
		}
	}
	if s.Duration > maxTime {
		return fmt.Errorf("%w: track %d lasts %d ticks", ErrMalformed, s.Track, s.Duration)
	}
	return nil
}

package record

import (
	"fmt"
	"hash/maphash"
	"strings"
	"time"

	"origin-storm/storm"
)

// order remembers what each reader was served last, to see one that is taken back. For one reader and one name that is
//
//   - a 404 or 410 after that reader was served the segment whole, inside the DVR window: its live edge went backwards;
//   - a copy (an ETag) that had given way to another, served again: an older version than the last one.
//
// Only requests that were sent after the earlier answer had come count: of two that were on their way at once either may be
// answered first. Requests for one copy by its ETag say nothing. The last answers alone are remembered, so many of all readers
// together: a step back behind them is not seen.
type order struct {
	seed maphash.Seed
	of   map[reading]int32 // where in ring
	ring []served          // in order of arrival
	next int               // the oldest, once ring is full
}

func newOrder() *order { return &order{seed: maphash.MakeSeed(), of: map[reading]int32{}} }

// remembered is how many answers an order remembers: a few MB.
const remembered = 1 << 16

// reading is one reader's view of one name, as a hash of both.
type reading uint64

func (o *order) reading(s *storm.Sample) reading {
	return reading(maphash.Comparable(o.seed, struct {
		from, event, rendition string
		number                 int64
	}{s.From, s.ID.Event, s.ID.Rendition, s.ID.Number}))
}

// served is what a reader was given under a name.
type served struct {
	reading
	tag  uint32        // of the copy
	left [2]uint32     // copies that had been given before it, the last first; 0 for none
	done time.Duration // when it was first given
}

// answered notes the answer s, whose copy tag stands for, and returns how it took its reader back; empty if it did not. kept says that the segment must still
// be there.
func (o *order) answered(s *storm.Sample, tag uint32, kept bool) string {
	r := o.reading(s)
	nth, known := o.of[r]
	var was *served
	if known {
		was = &o.ring[nth]
	}
	switch {
	case known && s.Sent < was.done:
		return ""
	case s.Err == nil && (s.Status == 404 || s.Status == 410):
		if known && kept {
			return fmt.Sprintf("answered %d; it had been served at %.3f s", s.Status, was.done.Seconds())
		}
	case !s.OK():
	case !known:
		o.remember(served{reading: r, tag: tag, done: s.Done})
	case tag != was.tag:
		back := tag == was.left[0] || tag == was.left[1]
		was.left = [2]uint32{was.tag, was.left[0]}
		was.tag, was.done = tag, s.Done
		if back {
			return fmt.Sprintf("copy %s came again, after another had taken its place", s.ETag)
		}
	}
	return ""
}

func (o *order) remember(s served) {
	if len(o.ring) < remembered {
		o.of[s.reading] = int32(len(o.ring))
		o.ring = append(o.ring, s)
		return
	}
	delete(o.of, o.ring[o.next].reading)
	o.of[s.reading] = int32(o.next)
	o.ring[o.next] = s
	o.next = (o.next + 1) % remembered
}

// tagOf names an ETag by a number that is the same in every process and never 0; one that a cache made weak is the same copy's.
func tagOf(etag string) uint32 {
	etag = strings.TrimPrefix(etag, "W/")
	h := uint32(2166136261) // FNV-1a
	for i := range len(etag) {
		h = (h ^ uint32(etag[i])) * 16777619
	}
	return h | 1
}

package record

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"time"
)

// spectrum counts durations by their logarithm, within 1 %, in as many numbers as there are different ones, in order: small enough to
// keep one for each interval of a long run, and to be added to another without loss. Its zero value is empty.
type spectrum []band

// band is how many durations fell into one step.
type band struct{ nth, n int32 }

const octave = 50 // steps per doubling: each is 1.4 % wide, and its middle is meant

func (s *spectrum) add(d time.Duration) { s.put(bandOf(d), 1) }

func (s *spectrum) put(nth, n int32) {
	i, ok := slices.BinarySearchFunc(*s, nth, func(b band, nth int32) int { return cmp.Compare(b.nth, nth) })
	if ok {
		(*s)[i].n += n
		return
	}
	*s = slices.Insert(*s, i, band{nth, n})
}

func bandOf(d time.Duration) int32 { return int32(math.Floor(octave * math.Log2(float64(max(d, 1))))) }

func (s *spectrum) merge(o spectrum) {
	for _, b := range o {
		s.put(b.nth, b.n)
	}
}

// quantile returns 0 for an empty spectrum.
func (s spectrum) quantile(q float64) time.Duration {
	n := int64(0)
	for _, b := range s {
		n += int64(b.n)
	}
	left := rank(q, n)
	for _, b := range s {
		if left -= int64(b.n); left <= 0 {
			return time.Duration(math.Exp2((float64(b.nth) + 0.5) / octave))
		}
	}
	return 0
}

// MarshalJSON writes an object: how many there are, by step.
func (s spectrum) MarshalJSON() ([]byte, error) {
	of := make(map[int32]int32, len(s))
	for _, b := range s {
		of[b.nth] = b.n
	}
	return json.Marshal(of)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *spectrum) UnmarshalJSON(text []byte) error {
	var of map[int32]int32
	if err := json.Unmarshal(text, &of); err != nil {
		return err
	}
	*s = nil
	for nth, n := range of {
		s.put(nth, n)
	}
	return nil
}

package record

import (
	"maps"
	"math"
	"slices"
	"time"
)

// spectrum counts durations by their logarithm, within 1 %, in as many numbers as there are different ones: small enough to
// keep one for each interval of a long run, and to be added to another without loss. Its zero value is empty.
type spectrum map[int32]int32 // of keys that maps are fast with

const octave = 50 // steps per doubling: each is 1.4 % wide, and its middle is meant

func (s *spectrum) add(d time.Duration) {
	if *s == nil {
		*s = spectrum{}
	}
	(*s)[bandOf(d)]++
}

func bandOf(d time.Duration) int32 { return int32(math.Floor(octave * math.Log2(float64(max(d, 1))))) }

func (s *spectrum) merge(o spectrum) {
	if *s == nil {
		*s = spectrum{}
	}
	for k, n := range o {
		(*s)[k] += n
	}
}

// quantile returns 0 for an empty spectrum.
func (s spectrum) quantile(q float64) time.Duration {
	n := int64(0)
	for _, c := range s {
		n += int64(c)
	}
	left := rank(q, n)
	for _, k := range slices.Sorted(maps.Keys(s)) {
		if left -= int64(s[k]); left <= 0 {
			return time.Duration(math.Exp2((float64(k) + 0.5) / octave))
		}
	}
	return 0
}

package policy

import (
	"strings"
	"time"
)

// Flaws is the set of what a packager found wrong with a copy of a segment. The greater its value, the worse the copy: the
// worst flaw decides, then the next.
type Flaws uint8

// The flaws, from the least to the worst. The first three are what Netflix's packagers report with a segment
// (netflixtechblog.com, "Netflix Live Origin", 2025-12-15); a slate is a filler that may be replaced (DASH-IF Live Media
// Ingest, brand "slat").
const (
	Short         Flaws = 1 << iota // frames or samples are missing
	Discontinuity                   // its time does not continue its predecessor's
	Slate                           // a filler stands in for the programme
	Missing                         // the content is missing altogether

	allFlaws = Short | Discontinuity | Slate | Missing
)

var flawNames = [...]string{"short", "discontinuity", "slate", "missing"} // by bit

// Sound reports whether nothing is wrong.
func (f Flaws) Sound() bool { return f == 0 }

// Valid reports whether f holds no unknown flaw.
func (f Flaws) Valid() bool { return f&^allFlaws == 0 }

// String returns the flaws' names with ", " between, the least first; of a sound copy "".
func (f Flaws) String() string {
	var names []string
	for i, name := range flawNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// ParseFlaw returns the flaw of that name, and whether there is one.
func ParseFlaw(name string) (Flaws, bool) {
	for i, known := range flawNames {
		if name == known {
			return 1 << i, true
		}
	}
	return 0, false
}

// Copy is what a poll found of one pipeline's copy of a segment.
type Copy struct {
	Present bool
	Flaws   Flaws
}

// Choose returns the index of the copy to serve: the first sound one of copies, which are in order of preference, whether or
// not a preferred one is still to come. Where all that are present have flaws it is the least bad of them, the preferred one
// among equals; but while patient, only once every copy is in: a sound one may be a moment away, and edges keep what they
// are given. It returns -1 if there is nothing to serve (yet).
func Choose(copies []Copy, patient bool) int {
	best, complete := -1, true
	for i, c := range copies {
		switch {
		case !c.Present:
			complete = false
		case c.Flaws.Sound():
			return i
		case best < 0 || c.Flaws < copies[best].Flaws:
			best = i
		}
	}
	if patient && !complete {
		return -1
	}
	return best
}

// Patient reports whether a flawed copy of number n is held back at now in the hope of a sound one: until n is due.
func (r Rendition) Patient(now time.Time, n int64) bool { return now.Before(r.Template.Due(n)) }

// Replaces reports whether a copy with flaws next takes the place of one of the same pipeline with flaws first. Otherwise
// the first copy stays: it may have been served, and one name must not have two contents.
func Replaces(next, first Flaws) bool { return next.Sound() && !first.Sound() }

// Settled returns for how long, at most, a copy may be kept outside the store that was published so long ago: a sound one until it
// has settled, and then as long as it is served; a flawed one for half of SettleFor, for a node's memory and a cache zone stand
// one behind the other, and a sound copy that replaces it has to be seen through both.
func Settled(age time.Duration, flaws Flaws, left time.Duration) time.Duration {
	switch {
	case !flaws.Sound():
		return min(left, SettleFor/2)
	case age > SettleFor:
		return left
	}
	return min(left, SettleFor-age)
}

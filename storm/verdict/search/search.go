// Package search finds the highest load that a target carries, from one measurement after the other: it says which load to measure
// next, and what is known in the end. It measures nothing and has no clock.
package search

import (
	"fmt"
	"math"
	"slices"
)

// Outcome is what a measurement at a load has shown.
type Outcome string

// The outcomes.
const (
	Holds  Outcome = "holds"  // every threshold holds
	Breaks Outcome = "breaks" // one does not
	// Untold says that the figures cannot be relied on, since the driver or its machine was the bottleneck: the target may carry
	// this load or not.
	Untold Outcome = "untold"
)

// Config says where to look.
type Config struct {
	// From and To are the lowest and the highest load that are of interest, above 0; both may be measured.
	From, To float64
	// Grain is what loads are whole multiples of, such as 1 for what is counted; 0: they are any numbers.
	Grain float64
	// Within is how close to each other, as a part of the lower, the highest load that holds and the lowest that does not are to be
	// in the end; 0 means 0.1.
	Within float64
}

// Search is a search that goes on. It is not safe for concurrent use.
type Search struct {
	c      Config
	points []*point // in order of load
}

// point is a load with what its measurements have shown.
type point struct {
	load              float64
	hold, not, untold int
}

// enough is how many measurements at a load have to agree, and most is how many there can be until so many do: on a machine with other
// work one measurement in a few shows something else. All that the search answers with has been seen as often; on the way one is
// taken at its word.
const (
	enough = 2
	most   = 3 // of two outcomes that count, which Breaks and Untold are together
)

// New checks c.
func New(c Config) (*Search, error) {
	if c.Within == 0 {
		c.Within = 0.1
	}
	bad := func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }
	switch {
	case bad(c.From) || bad(c.To) || c.From <= 0 || c.To < c.From:
		return nil, fmt.Errorf("search: from %v to %v: want two loads above 0, the lower one first", c.From, c.To)
	case bad(c.Grain) || c.Grain < 0:
		return nil, fmt.Errorf("search: loads that are multiples of %v", c.Grain)
	case bad(c.Within) || c.Within < 0.01 || c.Within > 1:
		return nil, fmt.Errorf("search: within %v: want a part between 0.01 and 1", c.Within)
	}
	s := &Search{c: c}
	if s.c.From, s.c.To = s.grain(c.From, math.Ceil), s.grain(c.To, math.Floor); s.c.To < s.c.From {
		return nil, fmt.Errorf("search: no multiple of %v lies between %v and %v", c.Grain, c.From, c.To)
	}
	return s, nil
}

// grain rounds a load to one that can be measured.
func (s *Search) grain(load float64, round func(float64) float64) float64 {
	if s.c.Grain == 0 {
		return load
	}
	return round(load/s.c.Grain) * s.c.Grain
}

// Add says what a measurement at a load that Next has given has shown.
func (s *Search) Add(load float64, o Outcome) {
	i, found := slices.BinarySearchFunc(s.points, load, func(p *point, load float64) int {
		switch {
		case p.load < load:
			return -1
		case p.load > load:
			return 1
		}
		return 0
	})
	if !found {
		s.points = slices.Insert(s.points, i, &point{load: load})
	}
	switch p := s.points[i]; o {
	case Holds:
		p.hold++
	case Breaks:
		p.not++
	default:
		p.untold++
	}
}

// state is what is to be taken for a point's outcome for now, and whether it was seen often enough to stand.
func (p *point) state() (o Outcome, sure bool) {
	switch not := p.not + p.untold; {
	case p.hold > not:
		return Holds, p.hold >= enough
	case p.not > 0 && p.not >= p.untold:
		return Breaks, not >= enough
	case not > 0:
		return Untold, not >= enough
	}
	return Untold, false
}

// bracket returns the highest point that holds with nothing below it that does not, and the lowest that does not; nil for none.
func (s *Search) bracket() (holds, breaks *point) {
	for _, p := range s.points {
		if o, _ := p.state(); o != Holds {
			return holds, p
		}
		holds = p
	}
	return holds, nil
}

// Next returns the load to measure next; ok is false when all is known.
func (s *Search) Next() (load float64, ok bool) {
	holds, breaks := s.bracket()
	switch {
	case breaks == nil && holds == nil:
		return s.c.From, true
	case breaks == nil && holds.load < s.c.To:
		return min(s.grain(2*holds.load, math.Floor), s.c.To), true
	case breaks != nil && holds == nil && breaks.load > s.c.From:
		return s.c.From, true // what was below it has turned out not to hold, or was never asked
	case breaks != nil && holds != nil:
		if between, ok := s.between(holds.load, breaks.load); ok {
			return between, true
		}
	}
	for _, p := range []*point{holds, breaks} {
		if p == nil {
			continue
		}
		if _, sure := p.state(); !sure && p.hold+p.not+p.untold < most {
			return p.load, true
		}
	}
	return 0, false
}

// between returns a load between two, if they are not close enough yet: their geometric mean, since what counts is the ratio.
func (s *Search) between(holds, breaks float64) (float64, bool) {
	if breaks <= holds*(1+s.c.Within) {
		return 0, false
	}
	load := s.grain(math.Sqrt(holds*breaks), math.Round)
	return load, load > holds && load < breaks
}

// Result is what a search has found.
type Result struct {
	// Highest is the highest load that holds; 0 where none does.
	Highest float64 `json:"highest"`
	// Lowest is the lowest load that does not hold, or of which nothing can be told; 0 where there is none up to Config.To.
	Lowest float64 `json:"lowest"`
	// Limit is the outcome at Lowest: Breaks, or Untold if the driver and not the target is what has no more to give, so that the
	// target may carry more than Highest. It is empty where Lowest is 0.
	Limit Outcome `json:"limit,omitempty"`
	// Unsteady are the loads at which measurements did not agree.
	Unsteady []float64 `json:"unsteady"`
}

// Result returns what is known. It may be asked at any time; before Next has said that all is known it is a first idea.
func (s *Search) Result() Result {
	r := Result{Unsteady: []float64{}}
	holds, breaks := s.bracket()
	if holds != nil {
		r.Highest = holds.load
	}
	if breaks != nil {
		r.Lowest = breaks.load
		r.Limit, _ = breaks.state()
	}
	for _, p := range s.points {
		if p.hold > 0 && p.not+p.untold > 0 {
			r.Unsteady = append(r.Unsteady, p.load)
		}
	}
	return r
}

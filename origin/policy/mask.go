package policy

import (
	"slices"

	"origin-storm/origin/segment"
)

// Mask takes copies of segments out of the choice, as if they had never been published: those of one pipeline, or of all, in
// a range of numbers. A copy that is masked is not waited for either.
type Mask struct {
	// Pipeline and Rendition are names; empty means every one.
	Pipeline  string `json:"pipeline,omitempty"`
	Rendition string `json:"rendition,omitempty"`
	// From and To are the first and the last number; segment.Init in both is the initialisation segment, which no other
	// range covers.
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Covers reports whether m takes the copy id out of the choice; id has a pipeline. The event is the caller's business.
func (m Mask) Covers(id segment.ID) bool {
	return m.From <= id.Number && id.Number <= m.To &&
		(m.Pipeline == "" || m.Pipeline == id.Pipeline) && (m.Rendition == "" || m.Rendition == id.Rendition)
}

// Masked reports whether one of masks covers the copy id.
func Masked(masks []Mask, id segment.ID) bool {
	return slices.ContainsFunc(masks, func(m Mask) bool { return m.Covers(id) })
}

// Unmasked returns those of pipelines, in their order, whose copy of id may be served. Where that is all of them it is
// pipelines itself; where it is none, the segment stands as if nobody had published it.
func Unmasked(masks []Mask, id segment.ID, pipelines []string) []string {
	hidden := func(pipeline string) bool { return Masked(masks, id.Candidate(pipeline)) }
	if len(masks) == 0 || !slices.ContainsFunc(pipelines, hidden) {
		return pipelines
	}
	return slices.DeleteFunc(slices.Clone(pipelines), hidden)
}

package record

import (
	"sync"

	"origin-storm/storm"
)

// A Journal is a Recorder that hands on what it records in parts, while the run goes on: to a file, so that a crash leaves what was
// recorded until then, or to another process. Merged in any order, the parts are what one Recording would have been. It is safe
// for concurrent use.
type Journal struct {
	c Config

	mu   sync.Mutex // guards part
	part *Recording
}

var _ storm.Recorder = (*Journal)(nil)

// NewJournal returns an empty Journal, whose parts are as c says.
func NewJournal(c Config) *Journal { return &Journal{c: c, part: New(c)} }

// Record adds s to the part that is being recorded.
func (j *Journal) Record(s storm.Sample) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.part.Record(s)
}

// Cut returns what was recorded since the Cut before, and begins the next part.
func (j *Journal) Cut() *Recording {
	next := New(j.c)
	j.mu.Lock()
	defer j.mu.Unlock()
	part := j.part
	next.fates.order = part.fates.order
	j.part = next
	return part
}

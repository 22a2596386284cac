package origin

import (
	"sync"
	"time"

	"origin-storm/origin/segment"
)

// memory remembers something about segments for a time; its zero value is ready. It is bounded by what is remembered within
// that time: whenever it has doubled, what has expired is swept out, which costs each entry a constant on average.
type memory[V any] struct {
	mu      sync.Mutex // guards the following
	entries map[segment.ID]remembered[V]
	sweepAt int
}

type remembered[V any] struct {
	val   V
	until time.Time
}

const firstSweep = 1024

// get returns what is remembered of id at now.
func (m *memory[V]) get(id segment.ID, now time.Time) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[id]
	if !ok || !now.Before(e.until) {
		var none V
		return none, false
	}
	return e.val, true
}

// put remembers val of id until then.
func (m *memory[V]) put(id segment.ID, val V, now, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries == nil {
		m.entries = make(map[segment.ID]remembered[V])
		m.sweepAt = firstSweep
	}
	m.entries[id] = remembered[V]{val, until}
	if len(m.entries) < m.sweepAt {
		return
	}
	for id, e := range m.entries {
		if !now.Before(e.until) {
			delete(m.entries, id)
		}
	}
	m.sweepAt = max(firstSweep, 2*len(m.entries))
}

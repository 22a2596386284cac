package origin

import (
	"sync"
	"time"

	"origin-storm/origin/segment"
)

// ttlMap remembers something about segments for a time; its zero value is ready. It is bounded by what is remembered within
// that time: whenever it has doubled, what has expired is swept out, which costs each entry a constant on average.
type ttlMap[V any] struct {
	mu      sync.Mutex // guards the following
	entries map[segment.ID]ttlEntry[V]
	sweepAt int
}

type ttlEntry[V any] struct {
	val   V
	until time.Time
}

const firstSweep = 1024

// get returns what is remembered of id at now.
func (m *ttlMap[V]) get(id segment.ID, now time.Time) (V, bool) {
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
func (m *ttlMap[V]) put(id segment.ID, val V, now, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries == nil {
		m.entries = make(map[segment.ID]ttlEntry[V])
		m.sweepAt = firstSweep
	}
	m.entries[id] = ttlEntry[V]{val, until}
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

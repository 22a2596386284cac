package origin

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// errMemory: the bytes that were asked of a budget did not become free in time.
var errMemory = errors.New("origin: as many bytes of bodies are in memory as this node allows")

// A memoryBudget bounds how many bytes are in use. Who finds them all taken waits in line, though not for long: a node without memory
// says so while the client can still ask another one. It is safe for concurrent use; make it with newMemoryBudget.
type memoryBudget struct {
	limit int64
	// low bounds what is in use when something of low priority is let in, so that what can wait never takes the last bytes from
	// what cannot.
	low      int64
	patience time.Duration

	mu    sync.Mutex // guards the following
	line  []*claim   // who waits, in order
	stats MemoryStats
}

// claim is one who waits.
type claim struct {
	bytes int64
	low   bool
	ready chan struct{} // closed when bytes are in use for it
}

// MemoryStats is how a budget was used since it was made.
type MemoryStats struct {
	Limit   int64 `json:"limit" metric:"gauge"`    // bytes, as configured
	Used    int64 `json:"used" metric:"gauge"`     // bytes now
	MaxUsed int64 `json:"max_used" metric:"gauge"` // bytes at most, at a time
	Waiting int64 `json:"waiting" metric:"gauge"`  // requests that wait for bytes now
	Waits   int64 `json:"waits"`                   // requests that had to
	Refused int64 `json:"refused"`                 // of these, and of those that wanted more than there is: how many got none
}

// newMemoryBudget returns a budget of limit bytes, the last quarter of which nothing of low priority gets, and for which nobody waits
// longer than patience.
func newMemoryBudget(limit int64, patience time.Duration) *memoryBudget {
	return &memoryBudget{limit: limit, low: limit - limit/4, patience: patience, stats: MemoryStats{Limit: limit}}
}

// lease is some bytes of a budget in the hands of one goroutine.
type lease struct {
	budget *memoryBudget
	bytes  int64
}

// lease takes bytes; the caller releases it in the end.
func (b *memoryBudget) lease(ctx context.Context, bytes int64, low bool) (*lease, error) {
	if err := b.take(ctx, bytes, low); err != nil {
		return nil, err
	}
	return &lease{b, bytes}, nil
}

// grow takes more, if it is free, and reports whether it did.
func (l *lease) grow(bytes int64) bool {
	ok := l.budget.grow(bytes)
	if ok {
		l.bytes += bytes
	}
	return ok
}

// release gives back what is left. It may be called again.
func (l *lease) release() {
	l.budget.give(l.bytes)
	l.bytes = 0
}

// take waits until bytes are free and uses them; give frees them again. After an error, errMemory or ctx's, nothing is used. Nobody who
// holds bytes waits for more: two who did could wait for each other.
func (b *memoryBudget) take(ctx context.Context, bytes int64, low bool) error {
	if bytes == 0 {
		return nil
	}
	b.mu.Lock()
	c := &claim{bytes: bytes, low: low, ready: make(chan struct{})}
	if bytes > b.ceiling(low) {
		b.stats.Refused++
		b.mu.Unlock()
		return errMemory
	}
	b.line = append(b.line, c)
	b.advance()
	if c.granted() {
		b.mu.Unlock()
		return nil
	}
	b.stats.Waits++
	b.mu.Unlock()

	timer := time.NewTimer(b.patience)
	defer timer.Stop()
	select {
	case <-c.ready:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.granted() { // at the last moment; a caller that has left gives it back
		if ctx.Err() == nil {
			return nil
		}
		b.stats.Used -= bytes
		b.advance()
		return ctx.Err()
	}
	b.line = slices.DeleteFunc(b.line, func(o *claim) bool { return o == c })
	b.advance() // who stood behind may need less
	if err := ctx.Err(); err != nil {
		return err
	}
	b.stats.Refused++
	return errMemory
}

// grow uses more bytes for one who holds some, if they are free. It goes before those who wait, since what it holds is lost if it
// can not go on.
func (b *memoryBudget) grow(bytes int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stats.Used+bytes > b.limit {
		b.stats.Refused++
		return false
	}
	b.use(bytes)
	return true
}

// force uses bytes that are in memory already, however many are.
func (b *memoryBudget) force(bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.use(bytes)
}

// give frees bytes.
func (b *memoryBudget) give(bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.Used -= bytes
	b.advance()
}

// advance lets in who can be, in order. What is of low priority may be overtaken by what is not, and by nothing else. The
// caller holds mu.
func (b *memoryBudget) advance() {
	var left []*claim
	var high, low bool // one of that priority has to wait
	for _, c := range b.line {
		if high || c.low && low || b.stats.Used+c.bytes > b.ceiling(c.low) {
			high = high || !c.low
			low = low || c.low
			left = append(left, c)
			continue
		}
		b.use(c.bytes)
		close(c.ready)
	}
	b.line = left
}

// use counts bytes in. The caller holds mu.
func (b *memoryBudget) use(bytes int64) {
	b.stats.Used += bytes
	b.stats.MaxUsed = max(b.stats.MaxUsed, b.stats.Used)
}

func (b *memoryBudget) ceiling(low bool) int64 {
	if low {
		return b.low
	}
	return b.limit
}

func (c *claim) granted() bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

// snapshot returns the counts so far.
func (b *memoryBudget) snapshot() MemoryStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Waiting = int64(len(b.line))
	return s
}

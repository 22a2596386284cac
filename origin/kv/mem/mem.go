// Package mem is a kv.Store in the memory of this process. Without a limit it keeps what it is given for as long as asked;
// with one it is a cache that lets the least recently used values go first. It is not durable and not shared between
// processes: package remote puts it behind a connection.
package mem

import (
	"container/heap"
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"origin-storm/origin/kv"
)

// Store is a kv.Store in memory; its zero value is ready. It keeps the very slices it is given and hands them out again,
// which the contract of kv.Store allows as nobody changes them. It starts no goroutine: each Put first frees some of what
// has expired, more than it adds, so that values nobody asks for again are freed, too, and no Put pays for many others.
type Store struct {
	// Limit bounds the bytes held, keys and values together; 0 means no bound. It must not change after the first use.
	Limit int64

	mu     sync.Mutex // guards the following
	values map[kv.Key]*value
	bytes  int64
	ends   ends      // by expiry, the earliest first
	recent list.List // of *value, the most recently used in front; only kept with a Limit
}

var _ kv.MultiGetter = (*Store)(nil)

// value is one entry. It sits in the map, in the heap of expiries and, with a Limit, in the list of recent use.
type value struct {
	key  kv.Key
	val  []byte
	end  time.Time
	heap int           // its index in ends
	used *list.Element // nil without a Limit
}

func (v *value) size() int64 { return int64(len(v.key.Part) + len(v.key.Name) + len(v.val)) }

// Put keeps val under key. With a Limit it fails with kv.ErrTooLarge for what can never fit.
func (s *Store) Put(ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("mem: put %v: %w", key, err)
	}
	if keep <= 0 {
		return fmt.Errorf("mem: put %v: keep of %v: must be positive", key, keep)
	}
	now := time.Now()
	v := &value{key: key, val: val, end: now.Add(keep)}
	if s.Limit > 0 && v.size() > s.Limit {
		return fmt.Errorf("mem: put %v: %d bytes into a store of %d: %w", key, v.size(), s.Limit, kv.ErrTooLarge)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	for n := 0; n < freePerPut && len(s.ends) > 0 && !now.Before(s.ends[0].end); n++ {
		s.remove(s.ends[0])
	}
	if old, ok := s.values[key]; ok {
		s.remove(old)
	}
	if s.values == nil {
		s.values = make(map[kv.Key]*value)
	}
	for s.Limit > 0 && s.bytes+v.size() > s.Limit {
		s.remove(s.recent.Back().Value.(*value))
	}
	s.values[key] = v
	s.bytes += v.size()
	heap.Push(&s.ends, v)
	if s.Limit > 0 {
		v.used = s.recent.PushFront(v)
	}
	return nil
}

// Get returns the value of key, the same slice that was put.
func (s *Store) Get(ctx context.Context, key kv.Key) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("mem: get %v: %w", key, err)
	}
	now := time.Now()

	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[key]
	if !ok || !now.Before(v.end) {
		return nil, fmt.Errorf("mem: get %v: %w", key, kv.ErrNotFound)
	}
	if v.used != nil {
		s.recent.MoveToFront(v.used)
	}
	return v.val, nil
}

// GetMulti implements kv.MultiGetter.
func (s *Store) GetMulti(ctx context.Context, keys []kv.Key) ([][]byte, error) {
	vals := make([][]byte, len(keys))
	for i, key := range keys {
		val, err := s.Get(ctx, key)
		switch {
		case errors.Is(err, kv.ErrNotFound):
			continue
		case err != nil:
			return vals, err
		case val == nil:
			val = []byte{}
		}
		vals[i] = val
	}
	return vals, nil
}

// Flush forgets everything, as memcached's flush_all does.
func (s *Store) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.values)
	s.bytes, s.ends = 0, nil
	s.recent.Init()
}

// freePerPut is how many expired values a Put frees at most.
const freePerPut = 16

// Stats returns how many values are held, expired ones that are not freed yet included, and how many bytes they and their keys take.
func (s *Store) Stats() (values int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.values), s.bytes
}

// remove takes v out of everything. The caller holds mu.
func (s *Store) remove(v *value) {
	delete(s.values, v.key)
	s.bytes -= v.size()
	heap.Remove(&s.ends, v.heap)
	if v.used != nil {
		s.recent.Remove(v.used)
	}
}

// ends is a heap of values by expiry; each value knows its index, so that a replaced one leaves at once.
type ends []*value

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].end.Before(e[j].end) }
func (e ends) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].heap, e[j].heap = i, j
}

func (e *ends) Push(x any) {
	v := x.(*value)
	v.heap = len(*e)
	*e = append(*e, v)
}

func (e *ends) Pop() any {
	last := len(*e) - 1
	v := (*e)[last]
	(*e)[last] = nil // or the array behind the heap would keep the value alive
	*e = (*e)[:last]
	return v
}

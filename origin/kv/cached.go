package kv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// CacheConfig says how a Cache uses its zones.
type CacheConfig struct {
	// Zones are caches that hold a full copy each, nearest first. They may forget, fail or stall.
	Zones []Store
	// Keep says how long a value may stay in the zones: one that is put to be kept for asked, or, with asked 0, one that was read
	// from the durable store (and may then be served for that much longer than the durable store kept it). 0 or less: not at
	// all. nil keeps what is put as long as asked, and what was read for a minute.
	Keep func(key Key, val []byte, asked time.Duration) time.Duration
	// ZoneWait is how long a Put waits for zones; 0 means 10 ms: half of the 20 ms that a stopped zone may cost
	// a write, the rest being for this machine to wake the writer.
	ZoneWait time.Duration
	// ReadWait is how long a read waits for zones before it goes to the durable store; 0 means 100 ms. It is longer than ZoneWait
	// because the store pays for what the zones are not given time for: in a storm, when hundreds of reads wait for one zone at
	// once, a short wait turns the cache off just when it is needed.
	ReadWait time.Duration
	// Ahead says that a key is only ever given one value (it is content-addressed), so that zones are written beside the durable
	// store instead of after it. Should the durable write then fail, what the zones hold is still right.
	Ahead bool
	// Waited is told how long a Put waited for the zones after the durable store had the value. It must not block; nil for nobody.
	Waited func(time.Duration)
	Logger *slog.Logger // nil discards
}

// Cache is a durable store with cache zones in front. It is a Store whose promises are the durable store's: a zone's failure is never
// an error, only a miss or a write that the zone did not take.
//
// Put writes through to every zone; unless Ahead, a zone is given a value only once the durable store has it, so that nobody
// reads what could be lost. A Put waits for zones at most ZoneWait beyond the durable write; what is not done by then goes on
// in the background.
//
// Get asks the nearest zone that is up, for at most ReadWait, and then the durable store. Reads of one key that go to the
// durable store at one time become one, whose value fills the zones in the background.
//
// Zones and the durable store can disagree where a key is given a second value. Within this process they are kept in step: the
// zone writes of a key go one after another, the newest last; a fill that may have read an older value is not cached; and a
// zone that missed a write is not asked for that key until it has taken a later one (the latest 65,536 of these are remembered).
// A zone that missed a write of another process may serve the older value until that value's Keep is over, so Keep must be short for
// what may still change; package storage allows 5 seconds.
type Cache struct {
	durable Store
	zones   []*zone
	reading chan struct{} // one value for each read of the zones that is under way
	c       CacheConfig

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu      sync.Mutex // guards the following, and all of keyed and flight
	closed  bool
	owned   sync.WaitGroup // goroutines; Add only under mu and before closed
	keys    map[Key]*keyed
	flights map[Key]*flight
	missed  map[missed]mark // what a zone may hold an older value of
	marks   uint64          // how many marks were made

	hits, misses, collapsed, fills, zoneErrors, zoneSkips atomic.Uint64
}

var _ Store = (*Cache)(nil)

// keyed is a key with writes under way.
type keyed struct {
	users  int           // operations that refer to it
	turn   chan struct{} // holds a token while nobody puts: Puts of one key go one after another
	gen    uint64        // counts beginnings and ends of Puts
	puts   int           // under way
	writes []zoneWrites  // by zone
}

// zoneWrites are the writes of one key to one zone.
type zoneWrites struct {
	running bool
	put     bool       // the running one comes from a Put, not from a fill
	next    *zoneWrite // to be done after the running one
}

type zoneWrite struct {
	val  []byte
	keep time.Duration // in the zone
	life time.Duration // as asked: how long a zone that misses this write is not trusted; 0 for a fill
	mark uint64        // how many marks had been made when it was queued: it takes away none that is newer
	done func()
}

type missed struct {
	key  Key
	zone int
}

type mark struct {
	number uint64
	until  time.Time
}

const maxMissed = 1 << 16

// flight is one read of the durable store and those who wait for it.
type flight struct {
	waiters int
	cancel  context.CancelFunc
	done    chan struct{} // closed once val and err are set
	val     []byte
	err     error
}

// CacheStats counts what a Cache did since it was made.
type CacheStats struct {
	Hits       uint64 `json:"hits"`        // Gets and Peeks that a zone answered
	Misses     uint64 `json:"misses"`      // Gets that went on to the durable store, those under WithoutCache not counted
	Collapsed  uint64 `json:"collapsed"`   // misses that shared another one's read
	Fills      uint64 `json:"fills"`       // values read from the durable store and written to zones
	ZoneErrors uint64 `json:"zone_errors"` // operations that a zone failed or did not answer in time
	ZoneSkips  uint64 `json:"zone_skips"`  // operations that passed a zone over: its breaker open, or a newer value on its way
}

// Add returns the sum of s and t.
func (s CacheStats) Add(t CacheStats) CacheStats {
	return CacheStats{
		s.Hits + t.Hits, s.Misses + t.Misses, s.Collapsed + t.Collapsed,
		s.Fills + t.Fills, s.ZoneErrors + t.ZoneErrors, s.ZoneSkips + t.ZoneSkips,
	}
}

// readsAtOnce is how many reads of the zones are under way at a time; the others' ReadWait has not begun. A hundred large values asked
// for at once all arrive late: in a storm each then takes the whole time that all take, which zones were given up for. Sixteen of
// 512 KiB keep a link of 50 Gbit/s busy over a round trip of 1 ms.
const readsAtOnce = 16

// NewCache returns a Cache in front of durable. Close it before the stores.
func NewCache(durable Store, c CacheConfig) *Cache {
	c.ZoneWait = cmp.Or(c.ZoneWait, 10*time.Millisecond)
	c.ReadWait = cmp.Or(c.ReadWait, 100*time.Millisecond)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Keep == nil {
		c.Keep = func(_ Key, _ []byte, asked time.Duration) time.Duration { return cmp.Or(asked, time.Minute) }
	}
	s := &Cache{
		durable: durable, c: c, reading: make(chan struct{}, readsAtOnce),
		keys: make(map[Key]*keyed), flights: make(map[Key]*flight), missed: make(map[missed]mark),
	}
	for i, z := range c.Zones {
		s.zones = append(s.zones, &zone{store: z, index: i, log: c.Logger})
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Close ends reads under way, waits for writes to zones, each of which has its timeout, and makes later operations fail. It leaves the
// stores open.
func (s *Cache) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.owned.Wait()
	return nil
}

// Stats returns the counts so far.
func (s *Cache) Stats() CacheStats {
	return CacheStats{
		Hits: s.hits.Load(), Misses: s.misses.Load(), Collapsed: s.collapsed.Load(), Fills: s.fills.Load(),
		ZoneErrors: s.zoneErrors.Load(), ZoneSkips: s.zoneSkips.Load(),
	}
}

var errClosed = errors.New("the cache is closed")

// use returns what is under way for key; done with it, the caller calls leave. The caller holds mu.
func (s *Cache) use(key Key) *keyed {
	k := s.keys[key]
	if k == nil {
		k = &keyed{turn: make(chan struct{}, 1), writes: make([]zoneWrites, len(s.zones))}
		k.turn <- struct{}{}
		s.keys[key] = k
	}
	k.users++
	return k
}

// leave is the end of use. The caller holds mu.
func (s *Cache) leave(key Key, k *keyed) {
	if k.users--; k.users == 0 {
		delete(s.keys, key)
	}
}

// Put stores val durably and writes it through to the zones.
func (s *Cache) Put(ctx context.Context, key Key, val []byte, keep time.Duration) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return fmt.Errorf("kv: put %v: %w", key, errClosed)
	}
	k := s.use(key)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.leave(key, k)
		s.mu.Unlock()
	}()

	if s.c.Ahead {
		written := s.writeZones(key, k, val, keep)
		err := s.putDurable(ctx, key, k, val, keep)
		if err == nil {
			s.await(ctx, written)
		}
		return err
	}
	select {
	case <-k.turn:
	case <-ctx.Done():
		return fmt.Errorf("kv: put %v: %w", key, ctx.Err())
	}
	// The turn is given back before the zones are waited for: the next Put's zone writes queue behind these anyway.
	written, err := func() (<-chan struct{}, error) {
		defer func() { k.turn <- struct{}{} }()
		if err := s.putDurable(ctx, key, k, val, keep); err != nil {
			return nil, err
		}
		return s.writeZones(key, k, val, keep), nil
	}()
	if err == nil {
		s.await(ctx, written)
	}
	return err
}

// putDurable writes to the durable store and keeps reads that may have seen what was there before from being shared or cached.
//
//  1. A read of the durable store begins and reads the old value.
//  2. A Put begins and ends.
//  3. A Get begins. It must not join the read of 1; and the read of 1, when it ends, must not fill the zones.
//
// So the end of a Put lets the flight go, and its beginning and end both count the generation up, by which a fill knows that a Put
// came between. A Put that is under way all the while that a flight is shows in puts.
func (s *Cache) putDurable(ctx context.Context, key Key, k *keyed, val []byte, keep time.Duration) error {
	s.mu.Lock()
	k.gen++
	k.puts++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		k.gen++
		k.puts--
		delete(s.flights, key)
		s.mu.Unlock()
	}()
	return s.durable.Put(ctx, key, val, keep)
}

// await waits for zones that are being written to, within what a Put may wait for them.
func (s *Cache) await(ctx context.Context, written <-chan struct{}) {
	if s.c.Waited != nil {
		began := time.Now()
		defer func() { s.c.Waited(time.Since(began)) }()
	}
	select {
	case <-written:
		return
	default:
	}
	timer := time.NewTimer(s.c.ZoneWait)
	defer timer.Stop()
	select {
	case <-written:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// writeZones begins to write the value of a Put to every zone that is up; the channel is closed when all of them have ended.
func (s *Cache) writeZones(key Key, k *keyed, val []byte, asked time.Duration) <-chan struct{} {
	written := make(chan struct{})
	keep := s.c.Keep(key, val, asked)
	left := 1
	done := func() { // called with mu held, by write too
		if left--; left == 0 {
			close(written)
		}
	}
	s.mu.Lock()
	for _, z := range s.zones {
		w := &zoneWrite{val: val, keep: keep, life: asked, done: done}
		if keep <= 0 || s.closed {
			s.miss(key, z, w)
			continue
		}
		left++
		s.write(key, k, z, w)
	}
	done()
	s.mu.Unlock()
	return written
}

// write begins a write of a key to a zone, or puts it behind the one that is running, where it takes the place of an older one. The
// caller holds mu.
//
//  1. A write of A to the zone begins and is slow.
//  2. B is put. Written at once it could overtake A, and A would stay. So it waits for A to end.
//  3. C is put. B need not be written any more.
func (s *Cache) write(key Key, k *keyed, z *zone, w *zoneWrite) {
	w.mark = s.marks
	q := &k.writes[z.index]
	if q.running {
		if q.next != nil {
			q.next.done()
		}
		q.next = w
		q.put = q.put || w.life > 0
		return
	}
	if !z.book() {
		s.zoneSkips.Add(1)
		s.miss(key, z, w)
		w.done()
		return
	}
	q.running, q.put = true, w.life > 0
	k.users++
	s.owned.Go(func() {
		defer z.release()
		for {
			// Not s.ctx: what was begun is ended, within the zone's timeout.
			err := z.put(context.Background(), key, w.val, w.keep)
			s.mu.Lock()
			if err != nil {
				s.zoneErrors.Add(1)
				s.miss(key, z, w)
			} else if m := (missed{key, z.index}); s.missed[m].number <= w.mark {
				delete(s.missed, m)
			}
			w.done()
			if q.next == nil {
				q.running = false
				s.leave(key, k)
				s.mu.Unlock()
				return
			}
			w, q.next = q.next, nil
			s.mu.Unlock()
		}
	})
}

// miss remembers that z may hold an older value of key than the one that w could not write. The caller holds mu.
func (s *Cache) miss(key Key, z *zone, w *zoneWrite) {
	if s.c.Ahead || w.life <= 0 {
		return // there is no older value, or w was none that the zone had to have
	}
	now := time.Now()
	if len(s.missed) >= maxMissed {
		for m, k := range s.missed {
			if !now.Before(k.until) {
				delete(s.missed, m)
			}
		}
		for m := range s.missed {
			if len(s.missed) < maxMissed {
				break
			}
			delete(s.missed, m)
		}
	}
	s.marks++
	s.missed[missed{key, z.index}] = mark{s.marks, now.Add(w.life)}
}

// stale reports whether z may hold an older value of key than this process has put. The caller holds mu.
func (s *Cache) stale(key Key, z *zone) bool {
	if s.c.Ahead {
		return false
	}
	if u := s.keys[key]; u != nil && u.writes[z.index].running && u.writes[z.index].put {
		return true
	}
	m := missed{key, z.index}
	k, ok := s.missed[m]
	if ok && !time.Now().Before(k.until) {
		delete(s.missed, m)
		ok = false
	}
	return ok
}

// Peek reads keys from the nearest zone that is up, within ReadWait, and never from the durable store. The values are in the order of
// keys, nil where that zone does not hold one. After an error, which says that no zone answered for some of the keys, the other
// entries are good. Only its hits are counted.
func (s *Cache) Peek(ctx context.Context, keys []Key) ([][]byte, error) {
	vals, err := make([][]byte, len(keys)), ctx.Err()
	if err == nil {
		err = s.peekZones(ctx, keys, vals)
	}
	if err != nil {
		return vals, fmt.Errorf("kv: peek at %d keys: %w", len(keys), err)
	}
	return vals, nil
}

// peekZones asks zone after zone for what those before it did not answer for, a miss being an answer, and fills in vals.
func (s *Cache) peekZones(ctx context.Context, keys []Key, vals [][]byte) error {
	within, cancel := context.WithTimeout(ctx, s.c.ReadWait)
	defer cancel()
	left := make([]int, len(keys)) // indices of the keys that no zone has answered for
	for i := range left {
		left[i] = i
	}
	failed := errNoZone
	for _, z := range s.zones {
		if len(left) == 0 || within.Err() != nil {
			break
		}
		var ask, next []int
		s.mu.Lock()
		for _, i := range left {
			if s.stale(keys[i], z) {
				next = append(next, i)
			} else {
				ask = append(ask, i)
			}
		}
		s.mu.Unlock()
		if len(ask) == 0 || !z.up() {
			s.zoneSkips.Add(uint64(len(left)))
			continue
		}
		s.zoneSkips.Add(uint64(len(next)))
		asked := make([]Key, len(ask))
		for k, i := range ask {
			asked[k] = keys[i]
		}
		found, err := z.getMulti(within, ctx, asked)
		if err != nil && ctx.Err() == nil {
			s.zoneErrors.Add(1)
			failed = err
		}
		for k, i := range ask {
			switch {
			case k < len(found) && found[k] != nil:
				s.hits.Add(1)
				vals[i] = found[k]
			case err != nil:
				next = append(next, i)
			}
		}
		if left = next; ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if len(left) > 0 {
		return failed
	}
	return nil
}

var errNoZone = errors.New("no cache zone is up")

// getZones asks zones for key until one answers, a miss being an answer, or their time is over.
func (s *Cache) getZones(ctx context.Context, key Key) ([]byte, error) {
	failed := errNoZone
	if len(s.zones) == 0 {
		return nil, failed
	}
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	within, cancel := context.WithTimeout(ctx, s.c.ReadWait)
	defer cancel()
	for _, z := range s.zones {
		s.mu.Lock()
		stale := s.stale(key, z)
		s.mu.Unlock()
		if stale || !z.up() {
			s.zoneSkips.Add(1)
			continue
		}
		val, err := z.get(within, ctx, key)
		switch {
		case err == nil:
			s.hits.Add(1)
			return val, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, ErrNotFound):
			return nil, err
		}
		s.zoneErrors.Add(1)
		failed = err
		if within.Err() != nil {
			break
		}
	}
	return nil, failed
}

// Get reads key from the nearest zone that is up, or else from the durable store; under WithoutCache from the latter at once.
func (s *Cache) Get(ctx context.Context, key Key) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("kv: get %v: %w", key, err)
	}
	if !Uncached(ctx) {
		if val, err := s.getZones(ctx, key); err == nil {
			return val, nil
		} else if ctx.Err() != nil {
			return nil, fmt.Errorf("kv: get %v: %w", key, ctx.Err())
		}
		s.misses.Add(1)
		tellMiss(ctx)
	}

	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, fmt.Errorf("kv: get %v: %w", key, errClosed)
	}
	f := s.flights[key]
	if f != nil {
		s.collapsed.Add(1)
	} else {
		f = s.fly(ctx, key)
	}
	f.waiters++
	s.mu.Unlock()

	select {
	case <-f.done:
	case <-ctx.Done():
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiters--
	select {
	case <-f.done:
		return f.val, f.err
	default:
	}
	// 1. The last waiter leaves and the read is cancelled.
	// 2. Another Get comes before the read has noticed. It must not share the cancelled one's fate.
	// So under one lock the last waiter cancels and takes the flight away.
	if f.waiters == 0 {
		f.cancel()
		if s.flights[key] == f {
			delete(s.flights, key)
		}
	}
	return nil, fmt.Errorf("kv: get %v: %w", key, ctx.Err())
}

// fly begins a read of the durable store. It runs under a context of its own, which has the values of the first waiter's, so that it
// outlives that waiter but not the last one. The caller holds mu.
func (s *Cache) fly(ctx context.Context, key Key) *flight {
	// The value is every waiter's, and goes to the zones when they have it: it can not be in the first one's buffer.
	ctx, cancel := context.WithCancel(WithBuffer(context.WithoutCancel(ctx), nil))
	f := &flight{cancel: cancel, done: make(chan struct{})}
	s.flights[key] = f
	k := s.use(key)
	gen, busy := k.gen, k.puts > 0
	stop := context.AfterFunc(s.ctx, cancel)
	s.owned.Go(func() {
		defer stop()
		defer cancel()
		var val []byte
		keep := time.Duration(0)
		err := guard(func() (err error) {
			val, err = s.durable.Get(ctx, key)
			if err == nil && len(s.zones) > 0 {
				keep = s.c.Keep(key, val, 0)
			}
			return err
		})
		if err != nil && s.ctx.Err() != nil {
			err = fmt.Errorf("kv: get %v: %w", key, errClosed)
		}

		s.mu.Lock()
		defer s.mu.Unlock()
		f.val, f.err = val, err
		if err != nil {
			f.val = nil
		}
		close(f.done)
		// Immutable values are right whenever they were read.
		if fresh := !busy && k.gen == gen; keep > 0 && (fresh || s.c.Ahead) && !s.closed {
			s.fill(key, k, f, keep)
		} else if s.flights[key] == f {
			delete(s.flights, key)
		}
		s.leave(key, k)
	})
	return f
}

// fill writes what a flight read to the zones. The flight stays to be joined until they have it:
//
//  1. A Get finds nothing in the zones.
//  2. A flight of the same key ends; its value is on its way to the zones.
//  3. The Get looks for a flight. Were it gone, it would read the durable store once more.
//
// The caller holds mu.
func (s *Cache) fill(key Key, k *keyed, f *flight, keep time.Duration) {
	s.fills.Add(1)
	left := 1
	done := func() { // called with mu held, by write too
		if left--; left == 0 && s.flights[key] == f {
			delete(s.flights, key)
		}
	}
	for _, z := range s.zones {
		if k.writes[z.index].running {
			continue // a value that is as new as this one is on its way
		}
		left++
		s.write(key, k, z, &zoneWrite{val: f.val, keep: keep, done: done})
	}
	done()
}

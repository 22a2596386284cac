package origin

import (
	"context"
	"sync"
)

// flights makes concurrent calls for one key one call, whose result may be given before the call has ended. Its zero value is ready.
type flights[K comparable, V any] struct {
	// retain and release count the holders of a result, if they are set: whoever is given one is a holder until he leaves.
	retain, release func(V)

	mu      sync.Mutex // guards current and what its flights have in common
	current map[K]*flight[K, V]
	running sync.WaitGroup
}

// A flight is one call, as its function has it in hand.
type flight[K comparable, V any] struct {
	of     *flights[K, V]
	key    K
	cancel context.CancelFunc
	done   chan struct{} // closed when val or err is there, which do not change then

	// Guarded by of.mu.
	members int  // who wait for val, and who were given it and have not left
	given   bool // val is there, and every member is a holder of it
	ended   bool // the function has returned
	val     V
	err     error
}

// do returns the flight of key with the result that fn gives it, and whether it was begun by someone else. fn gives a result once, or returns
// an error; it may go on after it has given one, and until the flight is closed or fn returns, whoever comes is given the same. do does not
// outlive ctx. After a nil error the caller leaves the flight when it is done with the result. fn is cancelled when the last member has left, be
// it in do or after, so that no work is done that nobody waits for. Whoever comes then begins anew.
func (f *flights[K, V]) do(ctx context.Context, key K, fn func(context.Context, *flight[K, V]) error) (_ *flight[K, V], shared bool, err error) {
	f.mu.Lock()
	fl, shared := f.current[key]
	if !shared {
		work, cancel := context.WithCancel(context.WithoutCancel(ctx))
		fl = &flight[K, V]{of: f, key: key, cancel: cancel, done: make(chan struct{})}
		if f.current == nil {
			f.current = make(map[K]*flight[K, V])
		}
		f.current[key] = fl
		f.running.Go(func() {
			defer cancel()
			fl.end(fn(work, fl))
		})
	}
	fl.enter()
	f.mu.Unlock()

	select {
	case <-fl.done:
		if fl.err == nil {
			return fl, shared, nil
		}
		err = fl.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	fl.leave()
	return nil, shared, err
}

// join is do for a flight that has given its result already; nil if there is none.
func (f *flights[K, V]) join(key K) *flight[K, V] {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.current[key]
	if fl == nil || !fl.given {
		return nil
	}
	fl.enter()
	return fl
}

// wait returns when no call runs any more; nobody may begin one meanwhile.
func (f *flights[K, V]) wait() { f.running.Wait() }

// enter adds a member. The caller holds of.mu.
func (fl *flight[K, V]) enter() {
	fl.members++
	if fl.given && fl.of.retain != nil {
		fl.of.retain(fl.val)
	}
}

// give hands val, which the function holds, to the members of fl.
func (fl *flight[K, V]) give(val V) {
	fl.of.mu.Lock()
	defer fl.of.mu.Unlock()
	fl.val, fl.given = val, true
	if fl.of.retain != nil {
		for range fl.members {
			fl.of.retain(val)
		}
	}
	close(fl.done)
}

// close keeps others from becoming members.
func (fl *flight[K, V]) close() {
	fl.of.mu.Lock()
	defer fl.of.mu.Unlock()
	fl.closeLocked()
}

func (fl *flight[K, V]) closeLocked() {
	if fl.of.current[fl.key] == fl {
		delete(fl.of.current, fl.key)
	}
}

// end is when the function has returned.
func (fl *flight[K, V]) end(err error) {
	fl.of.mu.Lock()
	defer fl.of.mu.Unlock()
	fl.ended = true
	fl.closeLocked()
	if !fl.given {
		fl.err = err
		close(fl.done)
	}
}

// leave takes a member away, and what it held.
func (fl *flight[K, V]) leave() {
	fl.of.mu.Lock()
	defer fl.of.mu.Unlock()
	fl.members--
	if fl.given && fl.of.release != nil {
		fl.of.release(fl.val)
	}
	if fl.members == 0 && !fl.ended {
		fl.closeLocked()
		fl.cancel()
	}
}

package origin

import (
	"context"
	"sync"
)

// flights makes concurrent calls for one key one call. Its zero value is ready.
type flights[K comparable, V any] struct {
	// retain and release count the holders of a result, if they are set. fn's result has one, the flight, which is none any more when
	// do returns; whoever is given a result without an error is another, and drops it.
	retain, release func(V)

	mu      sync.Mutex // guards current, and the waiters of each flight
	current map[K]*flight[V]
	running sync.WaitGroup
}

type flight[V any] struct {
	waiters int
	ended   bool // every waiter has become a holder of val, if err is nil
	cancel  context.CancelFunc
	done    chan struct{} // closed when val and err are there
	val     V
	err     error
}

// do returns what fn returns for key, and whether the call was begun by someone else. It does not outlive ctx; fn is
// cancelled when its last waiter leaves, so that no work is done that nobody waits for. Whoever comes after that, or after
// fn has returned, begins anew.
func (f *flights[K, V]) do(ctx context.Context, key K, fn func(context.Context) (V, error)) (val V, shared bool, err error) {
	f.mu.Lock()
	fl, shared := f.current[key]
	if !shared {
		work, cancel := context.WithCancel(context.WithoutCancel(ctx))
		fl = &flight[V]{cancel: cancel, done: make(chan struct{})}
		if f.current == nil {
			f.current = make(map[K]*flight[V])
		}
		f.current[key] = fl
		f.running.Go(func() {
			defer cancel()
			fl.val, fl.err = fn(work)
			f.end(key, fl)
			close(fl.done)
		})
	}
	fl.waiters++
	f.mu.Unlock()

	select {
	case <-fl.done:
		return fl.val, shared, fl.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	fl.waiters--
	if fl.ended && fl.err == nil && f.release != nil {
		f.release(fl.val)
	}
	last := fl.waiters == 0
	if last && f.current[key] == fl {
		delete(f.current, key)
	}
	f.mu.Unlock()
	if last {
		fl.cancel()
	}
	return val, shared, ctx.Err()
}

// end hands the result to those who wait at this moment. Who leaves later, before it has seen the result, was given it all the same.
func (f *flights[K, V]) end(key K, fl *flight[V]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl.ended = true
	if fl.err == nil && f.retain != nil {
		for range fl.waiters {
			f.retain(fl.val)
		}
		f.release(fl.val)
	}
	if f.current[key] == fl {
		delete(f.current, key)
	}
}

// wait returns when no call runs any more; nobody may begin one meanwhile.
func (f *flights[K, V]) wait() { f.running.Wait() }

package origin

import (
	"context"
	"sync"

	"origin-storm/origin/segment"
)

// keyed is a lock for each segment's name that can be waited for with a context. Its zero value is ready.
type keyed struct {
	mu    sync.Mutex // guards the following
	locks map[segment.ID]*keyedLock
}

type keyedLock struct {
	held  chan struct{} // holds one value while locked
	users int           // that hold it or wait for it
}

func (k *keyed) lock(ctx context.Context, id segment.ID) error {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = make(map[segment.ID]*keyedLock)
	}
	l := k.locks[id]
	if l == nil {
		l = &keyedLock{held: make(chan struct{}, 1)}
		k.locks[id] = l
	}
	l.users++
	k.mu.Unlock()
	select {
	case l.held <- struct{}{}:
		return nil
	case <-ctx.Done():
		k.leave(id, l)
		return ctx.Err()
	}
}

func (k *keyed) unlock(id segment.ID) {
	k.mu.Lock()
	l := k.locks[id]
	k.mu.Unlock()
	<-l.held
	k.leave(id, l)
}

func (k *keyed) leave(id segment.ID, l *keyedLock) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(k.locks, id)
	}
}

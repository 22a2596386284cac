package kv

import (
	"context"
	"time"
)

// Inject returns s with i around each of its operations, the first of them outermost.
func Inject(s Store, i ...Intercept) Store {
	for k := len(i) - 1; k >= 0; k-- {
		s = injected{s, i[k]}
	}
	return s
}

type injected struct {
	store  Store
	around Intercept
}

var _ Store = injected{}

func (s injected) Put(ctx context.Context, key Key, val []byte, keep time.Duration) error {
	op := Op{Write: true, Key: key, Val: &val, Keep: keep, Attempt: Attempt(ctx), Began: Began(ctx)}
	return s.around(ctx, op, func(ctx context.Context) error { return s.store.Put(ctx, key, val, keep) })
}

func (s injected) Get(ctx context.Context, key Key) ([]byte, error) {
	var val []byte
	op := Op{Key: key, Val: &val, Attempt: Attempt(ctx), Began: Began(ctx)}
	err := s.around(ctx, op, func(ctx context.Context) error {
		v, err := s.store.Get(ctx, key)
		if err == nil {
			val = v
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return val, nil
}

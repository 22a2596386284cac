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

// Around returns an Intercept that has outer around inner; either may be nil.
func Around(outer, inner Intercept) Intercept {
	if outer == nil || inner == nil {
		if outer == nil {
			return inner
		}
		return outer
	}
	return func(ctx context.Context, op Op, do func(context.Context) error) error {
		return outer(ctx, op, func(ctx context.Context) error { return inner(ctx, op, do) })
	}
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

package kv

import (
	"context"
	"errors"
	"sync"
)

// A MultiGetter is a Store that reads many keys in one exchange with its server. A node that awaits a hundred segments asks
// its cache for all of them two hundred times a second; one exchange for each key would cost it a quarter of a core for every
// dozen. Whether a store is one is asked with a type assertion, as GetMulti does: no store has to be.
type MultiGetter interface {
	Store
	// GetMulti returns the newest values of keys, in their order: nil where Get would return ErrNotFound, and never nil for a
	// value, not even an empty one. After an error an entry that is nil says nothing; the others are good.
	GetMulti(ctx context.Context, keys []Key) ([][]byte, error)
}

// GetMulti reads keys from s as MultiGetter says: in one exchange where s can, else all at once, one by one.
func GetMulti(ctx context.Context, s Store, keys []Key) ([][]byte, error) {
	if m, ok := s.(MultiGetter); ok {
		return m.GetMulti(ctx, keys)
	}
	vals := make([][]byte, len(keys))
	errs := make([]error, len(keys))
	one := func(i int) {
		errs[i] = guard(func() (err error) {
			vals[i], err = s.Get(ctx, keys[i])
			return err
		})
		switch {
		case errs[i] != nil:
			vals[i] = nil
			if errors.Is(errs[i], ErrNotFound) {
				errs[i] = nil
			}
		case vals[i] == nil:
			vals[i] = []byte{}
		}
	}
	var wg sync.WaitGroup
	for i := 1; i < len(keys); i++ {
		wg.Go(func() { one(i) })
	}
	if len(keys) > 0 {
		one(0)
	}
	wg.Wait()
	return vals, errors.Join(errs...)
}

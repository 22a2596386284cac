package kv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"origin-storm/origin/cost"
)

// RetryConfig says how often and after what pauses Retry tries again.
type RetryConfig struct {
	Attempts int // how many tries in all; 0 means 3
	// First is the longest pause before the second try; it doubles with each further one up to Max. Each pause is drawn evenly
	// from zero to its longest (full jitter), so that callers that failed together do not come back together. 0 means
	// 20 ms and 500 ms.
	First, Max time.Duration
	// Seed keys the draws. Processes that read the same keys should have different seeds.
	Seed uint64
}

// Retry returns s with operations tried again that failed for a reason that may pass: neither Permanent, nor the end of the caller's
// context. It gives up early where the context's deadline would come before the next try, and then returns the store's last
// error. Each try is marked with WithAttempt, the n-th with 2n more than the caller's own; the numbers between are Hedge's.
//
// A write that failed may still take effect later, after its retry: where values of one key differ, the store must order
// writes by when they were first sent, or callers must bear it.
func Retry(s Store, c RetryConfig) Store {
	c.Attempts = cmp.Or(c.Attempts, 3)
	c.First = cmp.Or(c.First, 20*time.Millisecond)
	c.Max = cmp.Or(c.Max, 500*time.Millisecond)
	return &retry{s, c}
}

type retry struct {
	store Store
	c     RetryConfig
}

var _ Store = (*retry)(nil)

func (r *retry) Put(ctx context.Context, key Key, val []byte, keep time.Duration) error {
	return r.run(ctx, "put", key, func(ctx context.Context) error { return r.store.Put(ctx, key, val, keep) })
}

func (r *retry) Get(ctx context.Context, key Key) (val []byte, err error) {
	err = r.run(ctx, "get", key, func(ctx context.Context) error {
		val, err = r.store.Get(ctx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return val, nil
}

func (r *retry) run(ctx context.Context, op string, key Key, try func(context.Context) error) error {
	base := Attempt(ctx)
	for n := 0; ; n++ {
		err := try(WithAttempt(ctx, base+2*n))
		if err == nil || Permanent(err) {
			return err
		}
		if end := ctx.Err(); end != nil {
			if !errors.Is(err, end) {
				err = errors.Join(end, err)
			}
			return err
		}
		if n+1 >= r.c.Attempts {
			if r.c.Attempts > 1 {
				err = fmt.Errorf("%w (after %d tries)", err, n+1)
			}
			return err
		}
		longest := r.c.Max
		if n < 30 {
			longest = min(longest, r.c.First<<n)
		}
		pause := time.Duration(cost.Draw(r.c.Seed, "pause "+op, key.String(), base+2*n) * float64(longest))
		if end, ok := ctx.Deadline(); ok && time.Until(end) <= pause {
			return fmt.Errorf("%w (no time left for another try, after %d)", err, n+1)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(ctx.Err(), err)
		}
	}
}

package kv

import (
	"context"
	"time"
)

// Observe returns s with f told of each operation that ended: how long it took and with what error. f is called by the operation's own
// goroutine before the operation returns, so it must be quick and safe for concurrent use.
func Observe(s Store, f func(op Op, took time.Duration, err error)) Store {
	return Inject(s, func(ctx context.Context, op Op, do func(context.Context) error) error {
		start := time.Now()
		err := do(ctx)
		f(op, time.Since(start), err)
		return err
	})
}

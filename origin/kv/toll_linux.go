package kv

import (
	"context"
	"syscall"
	"time"
)

// sleeper returns how tolls wait. A median of 25 ms that is to be reproduced within 2 % leaves half a millisecond, and a timer
// alone takes more than that (0.6 ms late at the median, measured): so a timer passes all but the last stretch and the
// kernel's sleep the rest. In a bubble of testing/synctest, where the kernel's clock is another one, timers are exact.
func sleeper() func(context.Context, time.Time) error {
	var now syscall.Timeval
	if err := syscall.Gettimeofday(&now); err != nil {
		return doze
	}
	if d := time.Since(time.Unix(now.Unix())); d < -time.Second || d > time.Second {
		return doze // virtual time
	}
	const stretch = 1500 * time.Microsecond
	// A sleep in the kernel takes a thread, so only a few operations have one; when there are more, the runtime is so often awake
	// that its timers are punctual.
	threads := make(chan struct{}, 16)
	return func(ctx context.Context, until time.Time) error {
		if err := doze(ctx, until.Add(-stretch)); err != nil {
			return err
		}
		select {
		case threads <- struct{}{}:
			defer func() { <-threads }()
		default:
			return doze(ctx, until)
		}
		for d := time.Until(until); d > 0; d = time.Until(until) {
			rest := syscall.NsecToTimespec(int64(d))
			if err := syscall.Nanosleep(&rest, nil); err != nil && err != syscall.EINTR {
				return doze(ctx, until)
			}
		}
		return nil
	}
}

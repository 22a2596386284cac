package kv

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// HedgeConfig says when Hedge tries a second time.
type HedgeConfig struct {
	// After is how long the first try may take before a second one is started beside it; 0 or less means never.
	After time.Duration
	// Most is the largest share of operations that get a second try; 0 means 0.1. A store that is slow as a whole is so spared
	// the double load. Up to ten hedges may be saved up.
	Most float64
}

// Hedge returns s with a second try started beside one that takes long. The first answer wins (success, or an error that is
// Permanent, such as ErrNotFound); the other try's context is cancelled and nobody waits for it: it ends when the store
// notices, which the contract has it do promptly. The second try's attempt number is one more than the first's, so that costs
// and faults are drawn anew.
//
// A cancelled write may still take effect, even after a later write of the same key: hedge writes only of values that are
// written once, or to a store that orders writes itself. A panic of the store reaches the caller.
func Hedge(s Store, c HedgeConfig) Store {
	if c.After <= 0 {
		return s
	}
	return &hedge{store: s, after: c.After, share: cmp.Or(c.Most, 0.1), saved: maxSaved}
}

type hedge struct {
	store Store
	after time.Duration
	share float64

	mu    sync.Mutex // guards saved
	saved float64    // how many hedges may be started now
}

// maxSaved bounds what a quiet time earns.
const maxSaved = 10

var _ Store = (*hedge)(nil)

func (h *hedge) Put(ctx context.Context, key Key, val []byte, keep time.Duration) error {
	_, err := h.run(ctx, func(ctx context.Context) ([]byte, error) { return nil, h.store.Put(ctx, key, val, keep) })
	return err
}

func (h *hedge) Get(ctx context.Context, key Key) ([]byte, error) {
	ctx = WithBuffer(ctx, nil) // two tries would write to it, and one goes on when the other has won
	return h.run(ctx, func(ctx context.Context) ([]byte, error) { return h.store.Get(ctx, key) })
}

// try is how a try ended.
type try struct {
	val      []byte
	err      error
	panicked *panicked
}

// panicked is a panic that crosses from the goroutine where it happened to the one that waits for it.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) String() string {
	return fmt.Sprintf("%v\n\nin the goroutine of a store's operation:\n%s", p.value, p.stack)
}

func (h *hedge) run(ctx context.Context, do func(context.Context) ([]byte, error)) ([]byte, error) {
	h.earn()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()             // the loser, or both when the caller leaves
	tries := make(chan try, 2) // so that a loser never waits to be heard
	start := func(n int) {
		go func() {
			var t try
			defer func() {
				if v := recover(); v != nil {
					t.panicked = &panicked{v, debug.Stack()}
				}
				tries <- t
			}()
			t.val, t.err = do(WithAttempt(ctx, Attempt(ctx)+n))
		}()
	}
	start(0)
	running := 1
	slow := time.NewTimer(h.after)
	defer slow.Stop()

	var failed error
	for {
		select {
		case t := <-tries:
			running--
			switch {
			case t.panicked != nil:
				panic(t.panicked)
			case t.err == nil:
				return t.val, nil
			case Permanent(t.err):
				return nil, t.err
			}
			failed = cmp.Or(failed, t.err)
			if running == 0 {
				return nil, failed
			}
		case <-slow.C:
			if h.spend() {
				start(1)
				running++
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (h *hedge) earn() {
	h.mu.Lock()
	h.saved = min(maxSaved, h.saved+h.share)
	h.mu.Unlock()
}

func (h *hedge) spend() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.saved < 1 {
		return false
	}
	h.saved--
	return true
}

package kv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// zone is one cache zone behind a breaker: after several failures in a row it is left alone but for one operation each second,
// and the first that succeeds closes the breaker.
type zone struct {
	store Store
	index int
	log   *slog.Logger

	mu      sync.Mutex // guards the following
	fails   int        // in a row
	open    bool
	probe   time.Time // when the next operation may try an open zone
	pending int       // writes under way
}

const (
	breakAfter  = 5           // failures in a row that open a breaker
	probeEvery  = time.Second // while it is open
	zoneTimeout = time.Second // how long a write to a zone goes on when nobody waits for it any more
	// maxPending bounds the values that a stalled zone keeps in memory until its breaker opens.
	maxPending = 256
)

// up reports whether an operation may use z now. Of an open zone it says so once a second.
func (z *zone) up() bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	if !z.open {
		return true
	}
	now := time.Now()
	if now.Before(z.probe) {
		return false
	}
	z.probe = now.Add(probeEvery)
	return true
}

// book is up for a write that goes on in the background; release follows it.
func (z *zone) book() bool {
	if !z.up() {
		return false
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.pending >= maxPending {
		return false
	}
	z.pending++
	return true
}

func (z *zone) release() {
	z.mu.Lock()
	z.pending--
	z.mu.Unlock()
}

// ended tells the breaker how an operation ended. That a value is not there, or too large, is the answer of a sound zone.
func (z *zone) ended(err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrTooLarge) {
		if z.open {
			z.log.Info("cache zone is back", "zone", z.index)
		}
		z.fails, z.open = 0, false
		return
	}
	if z.fails++; z.fails >= breakAfter && !z.open {
		z.open = true
		z.probe = time.Now().Add(probeEvery)
		z.log.Warn("cache zone is left alone", "zone", z.index, "failures", z.fails, "err", err)
	}
}

// guard calls do and turns a panic of a store into an error, so that whoever waits is answered.
func guard(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("kv: panic of a store: %v\n%s", v, debug.Stack())
		}
	}()
	return do()
}

// put writes to the zone within its timeout.
func (z *zone) put(ctx context.Context, key Key, val []byte, keep time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, zoneTimeout)
	defer cancel()
	err := guard(func() error { return z.store.Put(ctx, key, val, keep) })
	z.ended(err)
	return err
}

// get reads from the zone within ctx, which ends when the zone has had its time. The caller's own end says nothing about the zone.
func (z *zone) get(ctx, caller context.Context, key Key) (val []byte, err error) {
	err = guard(func() error {
		val, err = z.store.Get(ctx, key)
		return err
	})
	if caller.Err() == nil {
		z.ended(err)
	}
	return val, err
}

// getMulti is get of many keys at a time.
func (z *zone) getMulti(ctx, caller context.Context, keys []Key) (vals [][]byte, err error) {
	err = guard(func() error {
		vals, err = GetMulti(ctx, z.store, keys)
		return err
	})
	if caller.Err() == nil {
		z.ended(err)
	}
	return vals, err
}

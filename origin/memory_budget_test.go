package origin

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryBudget(t *testing.T) {
	const patience = time.Second
	type step struct {
		at    time.Duration
		bytes int64 // negative: given
		low   bool
		leave time.Duration // when its context ends; 0: never
		wait  time.Duration // until its outcome,
		err   error
	}
	for name, steps := range map[string][]step{
		"what fits is let in at once": {{bytes: 60}, {bytes: 40}},
		"what does not fit waits":     {{bytes: 60}, {bytes: 50, wait: time.Second / 2}, {at: time.Second / 2, bytes: -60}},
		"not for longer than its patience": {
			{bytes: 60}, {bytes: 50, wait: patience, err: errMemory}, {at: 2 * time.Second, bytes: -60}},
		"in order": {
			{bytes: 100}, {at: 1, bytes: 90, wait: time.Second/2 - 1}, {at: 2, bytes: 20, wait: 3*time.Second/4 - 2},
			{at: time.Second / 2, bytes: -100}, {at: 3 * time.Second / 4, bytes: -90}},
		"who gives up lets in who stood behind": {
			{bytes: 60}, {at: 1, bytes: 90, wait: patience, err: errMemory}, {at: 2, bytes: 20, wait: patience - 1}},
		"who leaves does too": {
			{bytes: 60}, {at: 1, bytes: 90, leave: time.Second / 2, wait: time.Second/2 - 1, err: context.Canceled}, {at: 2, bytes: 20, wait: time.Second/2 - 2}},
		"more than there is": {{bytes: 101, err: errMemory}, {bytes: 76, low: true, err: errMemory}, {bytes: 100}},
		"the last quarter is for what is urgent": {
			{bytes: 70, low: true}, {at: 1, bytes: 10, low: true, wait: time.Second/2 - 1}, {at: 2, bytes: 30}, {at: time.Second / 2, bytes: -35}},
		"what can wait is overtaken": {
			{bytes: 70}, {at: 1, bytes: 20, low: true, wait: patience, err: errMemory}, {at: 2, bytes: 10}, {at: 3, bytes: 5, low: true, wait: patience, err: errMemory}},
		"what can wait does so in order, too": {
			{bytes: 70, low: true}, {at: 1, bytes: 20, low: true, wait: patience, err: errMemory}, {at: 2, bytes: 5, low: true, wait: patience - 1}},
		"what can wait does not overtake": {
			{bytes: 70}, {at: 1, bytes: 40, wait: patience, err: errMemory}, {at: 2, bytes: 1, low: true, wait: patience - 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newMemoryBudget(100, patience)
				var used int64
				var all sync.WaitGroup
				for i, s := range steps {
					all.Go(func() {
						time.Sleep(s.at)
						if s.bytes < 0 {
							b.give(-s.bytes)
							return
						}
						ctx, leave := context.WithCancel(t.Context())
						defer leave()
						if s.leave > 0 {
							time.AfterFunc(s.leave-s.at, leave)
						}
						began := time.Now()
						err := b.take(ctx, s.bytes, s.low)
						if took := time.Since(began); !errors.Is(err, s.err) || took != s.wait {
							t.Errorf("step %d: take(%d, %v) = %v after %v, want %v after %v", i, s.bytes, s.low, err, took, s.err, s.wait)
						}
					})
					synctest.Wait()
					if used += s.bytes; s.err != nil {
						used -= s.bytes
					}
				}
				all.Wait()
				if got := b.snapshot(); got.Used != used || got.Waiting != 0 || got.MaxUsed > got.Limit {
					t.Errorf("in the end %+v, want %d used and nobody waiting", got, used)
				}
			})
		})
	}
}

// TestMemoryBudgetIsKept: whoever comes and goes, and however they leave, there is never more in use than the limit, and nothing in the end.
func TestMemoryBudgetIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemoryBudget(1000, 50*time.Millisecond)
		var all sync.WaitGroup
		for i := range 200 {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			all.Go(func() {
				for range 50 {
					within, cancel := context.WithTimeout(t.Context(), time.Duration(random.Int64N(int64(100*time.Millisecond))))
					l, err := b.lease(within, random.Int64N(400), random.IntN(2) == 0)
					cancel()
					if err != nil {
						continue
					}
					time.Sleep(time.Duration(random.Int64N(int64(10 * time.Millisecond))))
					l.grow(random.Int64N(100))
					if s := b.snapshot(); s.Used > s.Limit {
						t.Errorf("%d bytes in use of %d", s.Used, s.Limit)
					}
					l.release()
					l.release()
				}
			})
		}
		all.Wait()
		if s := b.snapshot(); s.Used != 0 || s.Waiting != 0 || s.MaxUsed > s.Limit || s.Waits == 0 || s.Refused == 0 {
			t.Errorf("in the end %+v, want nothing in use, and some who had to wait and were refused", s)
		}
	})
}

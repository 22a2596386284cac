package kv_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/kv/mem"
)

// fake is a store made of functions, over a mem store for what is not given.
type fake struct {
	mem.Store
	put func(ctx context.Context, key kv.Key, val []byte, keep time.Duration) error
	get func(ctx context.Context, key kv.Key) ([]byte, error)
}

func (f *fake) Put(ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
	if f.put != nil {
		return f.put(ctx, key, val, keep)
	}
	return f.Store.Put(ctx, key, val, keep)
}

func (f *fake) Get(ctx context.Context, key kv.Key) ([]byte, error) {
	if f.get != nil {
		return f.get(ctx, key)
	}
	return f.Store.Get(ctx, key)
}

// sleep passes d or ends with ctx, as a store's work does.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// slow returns an Intercept that waits d before each operation.
func slow(d time.Duration) kv.Intercept {
	return func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
		if err := sleep(ctx, d); err != nil {
			return err
		}
		return do(ctx)
	}
}

var (
	a   = kv.Key{Part: "p", Name: "a"}
	b   = kv.Key{Part: "p", Name: "b"}
	one = []byte("one")
	two = []byte("two, the second")
)

func mustPut(t *testing.T, s kv.Store, key kv.Key, val []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, val, time.Hour); err != nil {
		t.Fatalf("Put(%v) = %v, want nil", key, err)
	}
}

func wantGet(t *testing.T, s kv.Store, key kv.Key, want []byte) {
	t.Helper()
	if got, err := s.Get(t.Context(), key); err != nil || string(got) != string(want) {
		t.Errorf("Get(%v) = %q, %v, want %q", key, got, err, want)
	}
}

// Every decorator leaves the contract whole, alone and stacked.
func TestDecoratorsConform(t *testing.T) {
	closing := func(t *testing.T, c *kv.Cache) kv.Store {
		t.Cleanup(func() { c.Close() })
		return c
	}
	// What was read from a durable store stays in a zone for no longer than the suite allows it to outlive that store's copy.
	keep := func(_ kv.Key, _ []byte, asked time.Duration) time.Duration { return cmp.Or(asked, 50*time.Millisecond) }
	for name, open := range map[string]func(t *testing.T) kv.Store{
		"inject":  func(*testing.T) kv.Store { return kv.Inject(new(mem.Store), slow(time.Microsecond), slow(0)) },
		"observe": func(*testing.T) kv.Store { return kv.Observe(new(mem.Store), func(kv.Op, time.Duration, error) {}) },
		"retry":   func(*testing.T) kv.Store { return kv.Retry(new(mem.Store), kv.RetryConfig{}) },
		"retry, one in three fails": func(*testing.T) kv.Store {
			var n atomic.Int64
			return kv.Retry(kv.Inject(new(mem.Store), func(ctx context.Context, _ kv.Op, do func(context.Context) error) error {
				if n.Add(1)%3 == 0 {
					return errors.New("a passing failure")
				}
				return do(ctx)
			}), kv.RetryConfig{Attempts: 10})
		},
		"hedge": func(*testing.T) kv.Store {
			return kv.Hedge(kv.Inject(new(mem.Store), slow(2*time.Millisecond)), kv.HedgeConfig{After: time.Millisecond, Most: 1})
		},
		"cache without zones": func(t *testing.T) kv.Store { return closing(t, kv.NewCache(new(mem.Store), kv.CacheConfig{})) },
		"cache": func(t *testing.T) kv.Store {
			return closing(t, kv.NewCache(new(mem.Store), kv.CacheConfig{Keep: keep, Zones: []kv.Store{new(mem.Store), new(mem.Store)}}))
		},
		"cache, slow everywhere": func(t *testing.T) kv.Store {
			return closing(t, kv.NewCache(kv.Inject(new(mem.Store), slow(3*time.Millisecond)), kv.CacheConfig{Keep: keep, Zones: []kv.Store{
				kv.Inject(new(mem.Store), slow(14*time.Millisecond)), kv.Inject(new(mem.Store), slow(20*time.Millisecond)),
			}}))
		},
		"cache that forgets": func(t *testing.T) kv.Store {
			return closing(t, kv.NewCache(new(mem.Store), kv.CacheConfig{Keep: keep, Zones: []kv.Store{&mem.Store{Limit: 300}, &mem.Store{Limit: 3000}}}))
		},
		"cache whose zones fail at times": func(t *testing.T) kv.Store {
			var n atomic.Int64
			failing := func(ctx context.Context, _ kv.Op, do func(context.Context) error) error {
				if n.Add(1)%3 == 0 {
					return errors.New("a zone's failure")
				}
				return do(ctx)
			}
			return closing(t, kv.NewCache(new(mem.Store), kv.CacheConfig{Keep: keep, Zones: []kv.Store{
				kv.Inject(new(mem.Store), failing), kv.Inject(new(mem.Store), failing),
			}}))
		},
		"cache whose zones are lost": func(t *testing.T) kv.Store {
			lost := func(context.Context, kv.Op, func(context.Context) error) error {
				return errors.New("connection refused")
			}
			return closing(t, kv.NewCache(new(mem.Store), kv.CacheConfig{Keep: keep, Zones: []kv.Store{kv.Inject(new(mem.Store), lost)}}))
		},
		"toll": func(*testing.T) kv.Store {
			return kv.Inject(new(mem.Store), kv.NewToll(profile(2*time.Millisecond).Meter(1), nil).Intercept(true))
		},
		"a stack of all": func(t *testing.T) kv.Store {
			durable := kv.Observe(kv.Inject(new(mem.Store), slow(2*time.Millisecond)), func(kv.Op, time.Duration, error) {})
			durable = kv.Retry(kv.Hedge(durable, kv.HedgeConfig{After: time.Millisecond}), kv.RetryConfig{})
			return closing(t, kv.NewCache(durable, kv.CacheConfig{Keep: keep, Zones: []kv.Store{new(mem.Store)}}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			kvtest.Test(t, open, kvtest.Options{Bubble: true, KeepResolution: 100 * time.Millisecond})
		})
	}
}

// The contract for values that never change, which is what a cache written ahead is for, holds as well.
func TestCacheAheadStillReadsItsWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kv.NewCache(kv.Inject(new(mem.Store), slow(time.Millisecond)), kv.CacheConfig{Ahead: true, Zones: []kv.Store{
			kv.Inject(new(mem.Store), slow(20*time.Millisecond)), new(mem.Store),
		}})
		defer c.Close()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				key, val := kv.Key{Part: "p", Name: fmt.Sprint(i)}, fmt.Appendf(nil, "value %d", i)
				c.Get(t.Context(), key) // a read that finds nothing must not be joined after the write
				mustPut(t, c, key, val)
				wantGet(t, c, key, val)
			})
		}
		wg.Wait()
	})
}

func TestInject(t *testing.T) {
	began := time.Now()
	var seen []string
	note := func(name string) kv.Intercept {
		return func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			seen = append(seen, fmt.Sprintf("%s before: write %v, %d bytes, attempt %d", name, op.Write, op.Size(), op.Attempt))
			if !op.Began.Equal(began) || op.Key != a {
				t.Errorf("%s: began %v, key %v, want %v, %v", name, op.Began, op.Key, began, a)
			}
			err := do(ctx)
			seen = append(seen, fmt.Sprintf("%s after: %d bytes, %v", name, op.Size(), err))
			return err
		}
	}
	s := kv.Inject(new(mem.Store), note("outer"), note("inner"))
	ctx := kv.WithBegan(kv.WithAttempt(t.Context(), 3), began)
	if err := s.Put(ctx, a, one, time.Hour); err != nil {
		t.Fatal(err)
	}
	if val, err := s.Get(ctx, a); err != nil || string(val) != "one" {
		t.Fatalf("Get = %q, %v", val, err)
	}
	want := []string{
		"outer before: write true, 3 bytes, attempt 3", "inner before: write true, 3 bytes, attempt 3", "inner after: 3 bytes, <nil>", "outer after: 3 bytes, <nil>",
		"outer before: write false, 0 bytes, attempt 3", "inner before: write false, 0 bytes, attempt 3", "inner after: 3 bytes, <nil>", "outer after: 3 bytes, <nil>",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("the intercepts saw\n%q, want\n%q", seen, want)
	}
}

func TestInjectFaults(t *testing.T) {
	lost := errors.New("acknowledgement lost")
	for _, c := range []struct {
		name   string
		around kv.Intercept
		putErr error
		getErr error
		want   string
	}{
		{"instead", func(context.Context, kv.Op, func(context.Context) error) error { return lost }, lost, lost, ""},
		{"after", func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			if err := do(ctx); err != nil || !op.Write {
				return err
			}
			return lost
		}, lost, nil, "one"},
		{"other bytes written", func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			if op.Write {
				*op.Val = []byte("flipped")
			}
			return do(ctx)
		}, nil, nil, "flipped"},
		{"other bytes read", func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			err := do(ctx)
			if !op.Write {
				*op.Val = []byte("flipped")
			}
			return err
		}, nil, nil, "flipped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := kv.Inject(new(mem.Store), c.around)
			if err := s.Put(t.Context(), a, one, time.Hour); !errors.Is(err, c.putErr) {
				t.Errorf("Put = %v, want %v", err, c.putErr)
			}
			got, err := s.Get(t.Context(), a)
			if !errors.Is(err, c.getErr) || string(got) != c.want {
				t.Errorf("Get = %q, %v, want %q, %v", got, err, c.want, c.getErr)
			}
			if string(one) != "one" {
				t.Error("the caller's bytes were changed")
			}
		})
	}
}

func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		s := kv.Observe(kv.Inject(new(mem.Store), slow(3*time.Second)), func(op kv.Op, took time.Duration, err error) {
			seen = append(seen, fmt.Sprintf("write %v, %d bytes, %v, missing %v", op.Write, op.Size(), took, errors.Is(err, kv.ErrNotFound)))
		})
		s.Get(t.Context(), a)
		s.Put(t.Context(), a, one, time.Hour)
		s.Get(t.Context(), a)
		want := []string{"write false, 0 bytes, 3s, missing true", "write true, 3 bytes, 3s, missing false", "write false, 3 bytes, 3s, missing false"}
		if !slices.Equal(seen, want) {
			t.Errorf("observed %q, want %q", seen, want)
		}
	})
}

func TestRetry(t *testing.T) {
	passing := errors.New("passing")
	for _, c := range []struct {
		name     string
		config   kv.RetryConfig
		fails    []error
		deadline time.Duration
		want     error
		tries    []int // the attempt numbers seen
	}{
		{"first succeeds", kv.RetryConfig{}, nil, 0, nil, []int{0}},
		{"third succeeds", kv.RetryConfig{}, []error{passing, passing}, 0, nil, []int{0, 2, 4}},
		{"all fail", kv.RetryConfig{}, []error{passing, passing, passing}, 0, passing, []int{0, 2, 4}},
		{"one try only", kv.RetryConfig{Attempts: 1}, []error{passing}, 0, passing, []int{0}},
		{"throttled", kv.RetryConfig{}, []error{kv.ErrThrottled}, 0, nil, []int{0, 2}},
		{"not found", kv.RetryConfig{}, []error{fmt.Errorf("x: %w", kv.ErrNotFound)}, 0, kv.ErrNotFound, []int{0}},
		{"too large", kv.RetryConfig{}, []error{kv.ErrTooLarge}, 0, kv.ErrTooLarge, []int{0}},
		{"denied", kv.RetryConfig{}, []error{kv.ErrDenied}, 0, kv.ErrDenied, []int{0}},
		{"a timeout of the store's own", kv.RetryConfig{}, []error{context.DeadlineExceeded}, 0, nil, []int{0, 2}},
		{"no time left", kv.RetryConfig{First: time.Hour, Max: time.Hour}, []error{passing, passing}, time.Millisecond, passing, []int{0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tries []int
				try := func(ctx context.Context) error {
					n := len(tries)
					tries = append(tries, kv.Attempt(ctx))
					if n < len(c.fails) {
						return c.fails[n]
					}
					return nil
				}
				s := kv.Retry(&fake{
					put: func(ctx context.Context, _ kv.Key, _ []byte, _ time.Duration) error { return try(ctx) },
					get: func(ctx context.Context, _ kv.Key) ([]byte, error) { return one, try(ctx) },
				}, c.config)
				ctx := t.Context()
				if c.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.deadline)
					defer cancel()
				}
				if err := s.Put(ctx, a, one, time.Hour); !errors.Is(err, c.want) {
					t.Errorf("Put = %v, want %v", err, c.want)
				}
				if !slices.Equal(tries, c.tries) {
					t.Errorf("Put tried %v, want %v", tries, c.tries)
				}
				tries = nil
				if val, err := s.Get(ctx, a); !errors.Is(err, c.want) || (err == nil) != (val != nil) {
					t.Errorf("Get = %q, %v, want error %v", val, err, c.want)
				}
				if !slices.Equal(tries, c.tries) {
					t.Errorf("Get tried %v, want %v", tries, c.tries)
				}
			})
		})
	}
}

// Pauses are at most First, 2·First, … up to Max, differ between keys, and end with the context.
func TestRetryPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		s := kv.Retry(&fake{get: func(context.Context, kv.Key) ([]byte, error) {
			at = append(at, time.Now())
			return nil, errors.New("down")
		}}, kv.RetryConfig{Attempts: 6, First: 10 * time.Millisecond, Max: 40 * time.Millisecond})
		sums := make(map[time.Duration]bool)
		for i := range 200 {
			at = nil
			s.Get(t.Context(), kv.Key{Part: "p", Name: fmt.Sprint(i)})
			for n, longest := range []time.Duration{10, 20, 40, 40, 40} {
				if pause := at[n+1].Sub(at[n]); pause < 0 || pause > longest*time.Millisecond {
					t.Fatalf("pause %d = %v, want 0 to %v ms", n+1, pause, longest)
				}
			}
			sums[at[5].Sub(at[0])] = true
		}
		if len(sums) < 190 {
			t.Errorf("200 keys had only %d different sums of pauses", len(sums))
		}

		down := errors.New("down")
		s = kv.Retry(&fake{get: func(context.Context, kv.Key) ([]byte, error) { return nil, down }},
			kv.RetryConfig{First: 1000 * time.Hour, Max: 1000 * time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		if _, err := s.Get(ctx, a); !errors.Is(err, context.Canceled) || !errors.Is(err, down) || time.Since(start) != time.Second {
			t.Errorf("Get cancelled in a pause = %v after %v, want context.Canceled and the store's error after 1s", err, time.Since(start))
		}
	})
}

func TestHedge(t *testing.T) {
	failed := errors.New("failed")
	type answer struct {
		after time.Duration
		err   error
	}
	for _, c := range []struct {
		name    string
		answers []answer
		took    time.Duration
		err     error
		val     string
		tries   int
	}{
		{"the first is quick", []answer{{9, nil}}, 9, nil, "0", 1},
		{"the second overtakes", []answer{{100, nil}, {5, nil}}, 15, nil, "1", 2},
		{"the first still wins", []answer{{12, nil}, {100, nil}}, 12, nil, "0", 2},
		{"quick failure", []answer{{3, failed}}, 3, failed, "", 1},
		{"the first fails late", []answer{{12, failed}, {5, nil}}, 15, nil, "1", 2},
		{"the second fails", []answer{{50, nil}, {5, failed}}, 50, nil, "0", 2},
		{"both fail", []answer{{12, failed}, {50, errors.New("other")}}, 60, failed, "", 2},
		{"not there is an answer", []answer{{9, kv.ErrNotFound}}, 9, kv.ErrNotFound, "", 1},
		{"not there, says the second", []answer{{100, nil}, {5, kv.ErrNotFound}}, 15, kv.ErrNotFound, "", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tries, ended atomic.Int64
				do := func(ctx context.Context) error {
					tries.Add(1)
					defer ended.Add(1)
					x := c.answers[kv.Attempt(ctx)]
					if err := sleep(ctx, x.after*time.Millisecond); err != nil {
						return err
					}
					return x.err
				}
				s := kv.Hedge(&fake{
					put: func(ctx context.Context, _ kv.Key, _ []byte, _ time.Duration) error { return do(ctx) },
					get: func(ctx context.Context, _ kv.Key) ([]byte, error) {
						return fmt.Append(nil, kv.Attempt(ctx)), do(ctx)
					},
				}, kv.HedgeConfig{After: 10 * time.Millisecond})

				start := time.Now()
				val, err := s.Get(t.Context(), a)
				if took := time.Since(start); took != c.took*time.Millisecond || !errors.Is(err, c.err) || string(val) != c.val {
					t.Errorf("Get = %q, %v after %v, want %q, %v after %d ms", val, err, took, c.val, c.err, c.took)
				}
				synctest.Wait()
				if tries.Load() != int64(c.tries) || ended.Load() != tries.Load() {
					t.Errorf("Get made %d tries of which %d ended with it, want %d", tries.Load(), ended.Load(), c.tries)
				}
				start = time.Now()
				if err := s.Put(t.Context(), a, one, time.Hour); time.Since(start) != c.took*time.Millisecond || !errors.Is(err, c.err) {
					t.Errorf("Put = %v after %v, want %v after %d ms", err, time.Since(start), c.err, c.took)
				}
			})
		})
	}
}

// A store that is slow as a whole is asked at most a tenth more.
func TestHedgeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int64
		s := kv.Hedge(&fake{get: func(ctx context.Context, _ kv.Key) ([]byte, error) {
			tries.Add(1)
			return one, sleep(ctx, time.Second)
		}}, kv.HedgeConfig{After: time.Millisecond, Most: 0.1})
		const n = 1000
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() { s.Get(t.Context(), a) })
		}
		wg.Wait()
		if got := tries.Load(); got < n+10 || got > n+n/10+10 {
			t.Errorf("%d slow operations made %d tries, want at most %d", n, got, n+n/10+10)
		}
	})
}

func TestHedgeEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kv.Hedge(&fake{get: func(ctx context.Context, _ kv.Key) ([]byte, error) { return nil, sleep(ctx, time.Hour) }},
			kv.HedgeConfig{After: time.Millisecond})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := s.Get(ctx, a); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Get = %v after %v, want the deadline's error after 1s", err, time.Since(start))
		}
	})
}

func TestHedgePassesPanicsOn(t *testing.T) {
	s := kv.Hedge(&fake{get: func(context.Context, kv.Key) ([]byte, error) { panic("a bug") }}, kv.HedgeConfig{After: time.Second})
	defer func() {
		if v := recover(); v == nil || !contains(fmt.Sprint(v), "a bug") {
			t.Errorf("recovered %v, want the store's panic", v)
		}
	}()
	s.Get(t.Context(), a)
}

// All tries of one operation have different numbers, whichever way the two are stacked.
func TestRetryAndHedgeNumberTheirTries(t *testing.T) {
	for name, stack := range map[string]func(kv.Store) kv.Store{
		"retry over hedge": func(s kv.Store) kv.Store {
			return kv.Retry(kv.Hedge(s, kv.HedgeConfig{After: time.Millisecond, Most: 1}), kv.RetryConfig{})
		},
		"hedge over retry": func(s kv.Store) kv.Store {
			return kv.Hedge(kv.Retry(s, kv.RetryConfig{}), kv.HedgeConfig{After: time.Millisecond, Most: 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var tries []int
				s := stack(&fake{get: func(ctx context.Context, _ kv.Key) ([]byte, error) {
					mu.Lock()
					tries = append(tries, kv.Attempt(ctx))
					mu.Unlock()
					if err := sleep(ctx, 5*time.Millisecond); err != nil {
						return nil, err
					}
					return nil, errors.New("down")
				}})
				s.Get(t.Context(), a)
				synctest.Wait()
				slices.Sort(tries)
				if want := []int{0, 1, 2, 3, 4, 5}; !slices.Equal(tries, want) {
					t.Errorf("tries are numbered %v, want %v", tries, want)
				}
			})
		})
	}
}

// profile costs d for each operation.
func profile(d time.Duration) cost.Profile {
	c := []cost.Cost{{Dist: cost.Dist{Constant: d}}}
	return cost.Profile{Name: "test", About: "a test", Source: "made up", Write: c, Read: c}
}

func TestTollReplacesTheHostsTime(t *testing.T) {
	for _, c := range []struct{ own, profile, want time.Duration }{{3, 10, 10}, {10, 3, 10}, {0, 10, 10}} {
		t.Run(fmt.Sprintf("own %d ms, profile %d ms", c.own, c.profile), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				toll := kv.NewToll(profile(c.profile*time.Millisecond).Meter(1), nil)
				s := kv.Inject(new(mem.Store), toll.Intercept(false), slow(c.own*time.Millisecond))
				mustPut(t, s, a, two) // tells the toll how long the host works on a write
				for name, do := range map[string]func() error{
					"Get of nothing": func() error {
						if _, err := s.Get(t.Context(), kv.Key{Part: "none"}); !errors.Is(err, kv.ErrNotFound) {
							return fmt.Errorf("%w, want kv.ErrNotFound", err)
						}
						return nil
					},
					"Put": func() error { return s.Put(t.Context(), a, one, time.Hour) },
				} {
					start := time.Now()
					if err := do(); err != nil || time.Since(start) != c.want*time.Millisecond {
						t.Errorf("%s took %v, %v, want %d ms", name, time.Since(start), err, c.want)
					}
				}
				start := time.Now()
				if wantGet(t, s, a, one); time.Since(start) != c.want*time.Millisecond {
					t.Errorf("Get took %v, want %d ms", time.Since(start), c.want)
				}
			})
		})
	}
}

// Two tables of one store wait in one queue.
func TestTollIsSharedByTables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := profile(10 * time.Millisecond)
		p.Servers = 1
		toll := kv.NewToll(p.Meter(1), nil)
		chunks, commits := kv.Inject(new(mem.Store), toll.Intercept(false)), kv.Inject(new(mem.Store), toll.Intercept(true))
		start := time.Now()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { chunks.Get(t.Context(), a) })
			wg.Go(func() { mustPut(t, commits, a, one) })
		}
		wg.Wait()
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("ten operations of 10 ms on one server took %v, want 100ms", took)
		}
	})
}

// A profile of whole segment writes is charged once, on the commit, from when the segment's write began.
func TestTollOfWholeSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := profile(100 * time.Millisecond)
		p.Whole, p.Read = true, nil
		toll := kv.NewToll(p.Meter(1), nil)
		own := slow(time.Millisecond)
		chunks, commits := kv.Inject(new(mem.Store), toll.Intercept(false), own), kv.Inject(new(mem.Store), toll.Intercept(true), own)
		mustPut(t, commits, b, two) // tells the toll how long the host works on a write
		time.Sleep(time.Second)

		start := time.Now()
		ctx := kv.WithBegan(t.Context(), start)
		for i := range 20 {
			if err := chunks.Put(ctx, kv.Key{Part: "p", Name: fmt.Sprint(i)}, one, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 20*time.Millisecond {
			t.Errorf("20 chunks took %v, want the host's own 20ms", took)
		}
		if err := commits.Put(ctx, a, one, time.Hour); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("the whole write took %v, want the profile's 100ms", took)
		}
		start = time.Now()
		if wantGet(t, commits, a, one); time.Since(start) != time.Millisecond {
			t.Errorf("a read of the commit took %v, want the host's own 1ms", time.Since(start))
		}
		start = time.Now()
		if mustPut(t, commits, a, one); time.Since(start) != 100*time.Millisecond {
			t.Errorf("a commit by itself took %v, want 100ms", time.Since(start))
		}
	})
}

// A modelled store has a write when the profile says so, not as soon as the host could have it.
func TestTollKeepsAWriteUnreadableUntilItIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(mem.Store)
		s := kv.Inject(store, kv.NewToll(profile(100*time.Millisecond).Meter(1), nil).Intercept(true))
		var wg sync.WaitGroup
		wg.Go(func() { mustPut(t, s, a, one) })
		time.Sleep(99 * time.Millisecond)
		if _, err := store.Get(t.Context(), a); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("1 ms before the write is done: Get = %v, want kv.ErrNotFound", err)
		}
		wg.Wait()
		wantGet(t, store, a, one)
	})
}

func TestTollThrottles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := profile(time.Millisecond)
		p.Throttle = &cost.Throttle{PerSecond: 1, Burst: 1}
		store := new(mem.Store)
		s := kv.Inject(store, kv.NewToll(p.Meter(1), func(k kv.Key) string { return k.Part }).Intercept(true))
		mustPut(t, s, a, one)
		start := time.Now()
		if err := s.Put(t.Context(), a, two, time.Hour); !errors.Is(err, kv.ErrThrottled) || time.Since(start) != 0 {
			t.Errorf("the second Put of a second = %v after %v, want kv.ErrThrottled at once", err, time.Since(start))
		}
		wantGet(t, store, a, one)
		mustPut(t, s, kv.Key{Part: "another event"}, one)
	})
}

// In real time a toll is punctual to a fraction of a millisecond, or published medians would come out too high.
func TestTollIsPunctual(t *testing.T) {
	const n, want = 60, 7300 * time.Microsecond
	s := kv.Inject(new(mem.Store), kv.NewToll(profile(want).Meter(1), nil).Intercept(true))
	// The best quarter of the best of some rounds, because a loaded machine delays many. A timer alone is 0.7 ms late here, as the
	// runtime sleeps in whole milliseconds.
	const bound = 400 * time.Microsecond
	var late time.Duration
	for range 10 {
		took := make([]time.Duration, n)
		for i := range took {
			start := time.Now()
			mustPut(t, s, a, one)
			took[i] = time.Since(start)
		}
		slices.Sort(took)
		if took[0] < want {
			t.Fatalf("the quickest of %d operations took %v, less than the profile's %v", n, took[0], want)
		}
		if late = took[n/4] - want; late < bound {
			return
		}
	}
	t.Errorf("three quarters of the operations are at least %v late, want less than %v", late, bound)
}

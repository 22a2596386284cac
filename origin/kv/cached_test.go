package kv_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
)

func contains(s, sub string) bool { return strings.Contains(s, sub) }

// counted counts the operations of a store.
func counted(s kv.Store) (kv.Store, *atomic.Int64, *atomic.Int64) {
	var puts, gets atomic.Int64
	return kv.Observe(s, func(op kv.Op, _ time.Duration, _ error) {
		if op.Write {
			puts.Add(1)
		} else {
			gets.Add(1)
		}
	}), &puts, &gets
}

// stalled never answers while on is set, as a stopped process does not.
func stalled(on *atomic.Bool) kv.Intercept {
	return func(ctx context.Context, _ kv.Op, do func(context.Context) error) error {
		if on.Load() {
			<-ctx.Done()
			return ctx.Err()
		}
		return do(ctx)
	}
}

// refusing fails at once while on is set, as a killed process does.
func refusing(on *atomic.Bool) kv.Intercept {
	return func(ctx context.Context, _ kv.Op, do func(context.Context) error) error {
		if on.Load() {
			return errors.New("connection refused")
		}
		return do(ctx)
	}
}

func TestCacheWritesThroughAndReadsTheNearest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		durable, _, durableGets := counted(new(mem.Store))
		near, nearPuts, nearGets := counted(new(mem.Store))
		far, farPuts, farGets := counted(new(mem.Store))
		c := kv.NewCache(durable, kv.CacheConfig{Zones: []kv.Store{near, far}})
		defer c.Close()
		mustPut(t, c, a, one)
		for range 3 {
			wantGet(t, c, a, one)
		}
		if nearPuts.Load() != 1 || farPuts.Load() != 1 {
			t.Errorf("zones were written %d and %d times, want once each", nearPuts.Load(), farPuts.Load())
		}
		if nearGets.Load() != 3 || farGets.Load() != 0 || durableGets.Load() != 0 {
			t.Errorf("near, far and durable were read %d, %d, %d times, want 3, 0, 0", nearGets.Load(), farGets.Load(), durableGets.Load())
		}
		if got := c.Stats(); got != (kv.CacheStats{Hits: 3}) {
			t.Errorf("Stats() = %+v, want 3 hits", got)
		}
	})
}

func TestCacheFillsEveryZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, near, far := new(mem.Store), new(mem.Store), new(mem.Store)
		mustPut(t, store, a, one)
		durable, _, gets := counted(store)
		c := kv.NewCache(durable, kv.CacheConfig{Zones: []kv.Store{near, far}})
		defer c.Close()
		wantGet(t, c, a, one)
		synctest.Wait()
		wantGet(t, near, a, one)
		wantGet(t, far, a, one)
		wantGet(t, c, a, one)
		if gets.Load() != 1 {
			t.Errorf("the durable store was read %d times, want once", gets.Load())
		}
		if got := c.Stats(); got != (kv.CacheStats{Hits: 1, Misses: 1, Fills: 1}) {
			t.Errorf("Stats() = %+v, want a hit, a miss and a fill", got)
		}
	})
}

func TestCachePeekLeavesTheDurableStoreAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(mem.Store)
		mustPut(t, store, a, one)
		durable, _, gets := counted(store)
		near, far := new(mem.Store), new(mem.Store)
		var lost, lostNear atomic.Bool
		c := kv.NewCache(durable, kv.CacheConfig{Zones: []kv.Store{
			kv.Inject(near, refusing(&lost), refusing(&lostNear)), kv.Inject(far, refusing(&lost)),
		}})
		defer c.Close()
		peek := func(want ...[]byte) {
			t.Helper()
			vals, err := c.Peek(t.Context(), []kv.Key{a, b})
			if err != nil {
				t.Errorf("Peek = %v, want no error", err)
			}
			for i, val := range vals {
				if string(val) != string(want[i]) || (val == nil) != (want[i] == nil) {
					t.Errorf("Peek: value %d is %q, want %q", i, val, want[i])
				}
			}
		}
		peek(nil, nil)
		mustPut(t, near, a, two)
		peek(two, nil)
		mustPut(t, near, b, nil)
		peek(two, []byte{})
		// This process has put a newer value, which the nearest zone did not take: the next one is asked for that key alone.
		lostNear.Store(true)
		mustPut(t, c, a, one)
		lostNear.Store(false)
		peek(one, []byte{})
		lost.Store(true)
		if vals, err := c.Peek(t.Context(), []kv.Key{a, b}); err == nil || errors.Is(err, kv.ErrNotFound) || vals[0] != nil {
			t.Errorf("Peek with all zones lost = %q, %v, want an error that is not kv.ErrNotFound", vals, err)
		}
		if gets.Load() != 0 {
			t.Errorf("Peek read the durable store %d times", gets.Load())
		}
	})
}

// Unless written ahead, nobody reads from a zone what the durable store may yet refuse.
func TestCacheOrderOfWrites(t *testing.T) {
	for _, ahead := range []bool{false, true} {
		t.Run(fmt.Sprintf("ahead %v", ahead), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				refused := errors.New("refused")
				durable := &fake{put: func(ctx context.Context, _ kv.Key, _ []byte, _ time.Duration) error {
					sleep(ctx, time.Second)
					return refused
				}}
				zone := new(mem.Store)
				c := kv.NewCache(durable, kv.CacheConfig{Zones: []kv.Store{zone}, Ahead: ahead})
				defer c.Close()
				var wg sync.WaitGroup
				wg.Go(func() {
					if err := c.Put(t.Context(), a, one, time.Hour); !errors.Is(err, refused) {
						t.Errorf("Put = %v, want the durable store's error", err)
					}
				})
				time.Sleep(500 * time.Millisecond)
				if _, err := zone.Get(t.Context(), a); (err == nil) != ahead {
					t.Errorf("during the durable write the zone says %v; want the value there: %v", err, ahead)
				}
				wg.Wait()
				synctest.Wait()
				if _, err := zone.Get(t.Context(), a); (err == nil) != ahead {
					t.Errorf("after the durable write failed the zone says %v; want the value there: %v", err, ahead)
				}
			})
		})
	}
}

// A stopped zone costs each operation at most ZoneWait, and after a few of them nothing but a probe each second.
func TestCacheWithAStalledZone(t *testing.T) {
	for _, ahead := range []bool{false, true} {
		t.Run(fmt.Sprintf("ahead %v", ahead), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stopped atomic.Bool
				near, far := kv.Inject(new(mem.Store), stalled(&stopped)), kv.Store(new(mem.Store))
				c := kv.NewCache(kv.Inject(new(mem.Store), slow(30*time.Millisecond)), kv.CacheConfig{Zones: []kv.Store{near, far}, Ahead: ahead})
				defer c.Close()
				put := func(i int) time.Duration {
					start := time.Now()
					mustPut(t, c, kv.Key{Part: "p", Name: fmt.Sprint(i)}, one)
					return time.Since(start)
				}
				if took := put(0); took != 30*time.Millisecond {
					t.Errorf("Put with sound zones took %v, want the durable store's 30ms", took)
				}
				stopped.Store(true)
				waited := 0
				for i := 1; i <= 200; i++ {
					switch took := put(i); {
					case took > 45*time.Millisecond:
						t.Fatalf("Put %d with a stalled zone took %v, want at most 45ms", i, took)
					case took > 30*time.Millisecond:
						waited++
					}
				}
				// 6 s of writes: until the first five timeouts of 1 s have passed every write waits; from then on one a second.
				if waited > 40 {
					t.Errorf("%d of 200 writes waited for the stalled zone, want most of them to pass it over", waited)
				}
				for i := 1; i <= 100; i++ {
					start := time.Now()
					wantGet(t, c, kv.Key{Part: "p", Name: fmt.Sprint(i)}, one)
					if took := time.Since(start); took > 45*time.Millisecond {
						t.Fatalf("Get %d with a stalled zone took %v", i, took)
					}
				}
				stopped.Store(false)
				time.Sleep(5 * time.Second)
				put(1000)
				before := c.Stats()
				put(1001)
				if after := c.Stats(); after.ZoneSkips != before.ZoneSkips {
					t.Error("the zone, awake again, is still passed over")
				}
			})
		})
	}
}

// A zone that is asked for more at once than it can bring in ReadWait is sound all the same: reads wait for their turn, and the
// durable store, which could bring it no sooner, is left alone.
func TestCacheReadsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		durable, _, durableGets := counted(new(mem.Store))
		link := make(chan struct{}, 1) // of a zone that sends one value at a time, in 2 ms
		zone := kv.Inject(new(mem.Store), func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			if op.Write {
				return do(ctx)
			}
			link <- struct{}{}
			defer func() { <-link }()
			time.Sleep(2 * time.Millisecond)
			if err := ctx.Err(); err != nil {
				return err
			}
			return do(ctx)
		})
		c := kv.NewCache(durable, kv.CacheConfig{Zones: []kv.Store{zone}})
		defer c.Close()
		mustPut(t, c, a, one)
		const reads = 200
		began := time.Now()
		var wg sync.WaitGroup
		for range reads {
			wg.Go(func() { wantGet(t, c, a, one) })
		}
		wg.Wait()
		if took := time.Since(began); took != reads*2*time.Millisecond {
			t.Errorf("%d reads took %v, want %v", reads, took, reads*2*time.Millisecond)
		}
		if got := c.Stats(); got.Hits != reads || got.ZoneErrors != 0 || durableGets.Load() != 0 {
			t.Errorf("Stats() = %+v and %d reads of the durable store, want %d hits and nothing else", got, durableGets.Load(), reads)
		}
	})
}

func TestCacheWithALostZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost atomic.Bool
		nearStore := new(mem.Store)
		near, _, nearOps := counted(kv.Inject(nearStore, refusing(&lost)))
		c := kv.NewCache(new(mem.Store), kv.CacheConfig{Zones: []kv.Store{near, new(mem.Store)}})
		defer c.Close()
		mustPut(t, c, a, one)
		lost.Store(true)
		for range 1000 {
			wantGet(t, c, a, one) // from the far zone
		}
		if got := c.Stats(); got.Hits != 1000 || got.Misses != 0 {
			t.Errorf("Stats() = %+v, want 1000 hits in the far zone", got)
		}
		if got := nearOps.Load(); got != 5 {
			t.Errorf("the lost zone was asked %d times at one instant, want 5 before it is left alone", got)
		}
		for range 10 {
			time.Sleep(time.Second)
			for range 10 {
				wantGet(t, c, a, one)
			}
		}
		if got := nearOps.Load(); got != 15 {
			t.Errorf("in ten more seconds the lost zone was asked %d times, want once a second", got-5)
		}
		lost.Store(false)
		time.Sleep(time.Second)
		wantGet(t, c, a, one)
		asked := nearOps.Load()
		wantGet(t, c, a, one)
		if nearOps.Load() != asked+1 {
			t.Error("the zone, back again, is not asked")
		}
	})
}

func TestCacheCollapsesReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(mem.Store)
		mustPut(t, store, a, one)
		durable, _, gets := counted(kv.Inject(store, slow(time.Second)))
		// The zone is slow to take the fill, so that those who come between must share it, too.
		zone := kv.Inject(new(mem.Store), func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			if op.Write {
				sleep(ctx, 500*time.Millisecond)
			}
			return do(ctx)
		})
		c := kv.NewCache(durable, kv.CacheConfig{Zones: []kv.Store{zone}})
		defer c.Close()
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 20 * time.Millisecond) // over 2 s: before, during and after the read and the fill
				wantGet(t, c, a, one)
			})
		}
		wg.Wait()
		if gets.Load() != 1 {
			t.Errorf("100 reads of one key made %d durable reads, want 1", gets.Load())
		}
		if got := c.Stats(); got.Collapsed != got.Misses-1 || got.Hits+got.Misses != 100 || got.Fills != 1 {
			t.Errorf("Stats() = %+v, want all misses but one collapsed, 100 reads in all, one fill", got)
		}
	})
}

// A read lives as long as somebody waits for it, whoever began it; when the last one leaves it is cancelled.
func TestCacheReadIsCancelledWithItsLastWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cancelled atomic.Int64
		store := new(mem.Store)
		mustPut(t, store, a, one)
		durable, _, _ := counted(kv.Inject(store, func(ctx context.Context, _ kv.Op, do func(context.Context) error) error {
			if err := sleep(ctx, 10*time.Second); err != nil {
				cancelled.Add(1)
				return err
			}
			return do(ctx)
		}))
		c := kv.NewCache(durable, kv.CacheConfig{Zones: []kv.Store{new(mem.Store)}})
		defer c.Close()

		leaves := func(after time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			start := time.Now()
			if _, err := c.Get(ctx, a); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != after {
				t.Errorf("Get = %v after %v, want the deadline's error after %v", err, time.Since(start), after)
			}
		}
		var wg sync.WaitGroup
		wg.Go(func() { leaves(2 * time.Second) }) // the one that began it leaves first
		wg.Go(func() { time.Sleep(time.Second); wantGet(t, c, a, one) })
		wg.Wait()
		synctest.Wait()
		if cancelled.Load() != 0 {
			t.Error("the read was cancelled though one still waited")
		}

		mustPut(t, store, b, two)
		for range 2 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				c.Get(ctx, b)
			})
		}
		wg.Wait()
		wantGet(t, c, b, two) // at once: it must not share the fate of the cancelled one
		synctest.Wait()
		if cancelled.Load() != 1 {
			t.Errorf("%d reads were cancelled, want the one whose last waiter left", cancelled.Load())
		}
	})
}

func TestCachePanicStrandsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		broken.Store(true)
		bug := func(ctx context.Context, _ kv.Op, do func(context.Context) error) error {
			sleep(ctx, time.Millisecond)
			if broken.Load() {
				panic("a bug")
			}
			return do(ctx)
		}
		store := new(mem.Store)
		mustPut(t, store, a, one)
		c := kv.NewCache(kv.Inject(store, bug), kv.CacheConfig{Zones: []kv.Store{kv.Inject(new(mem.Store), bug)}})
		defer c.Close()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := c.Get(t.Context(), a); err == nil || !contains(err.Error(), "a bug") {
					t.Errorf("Get = %v, want an error that tells of the panic", err)
				}
			})
		}
		wg.Wait()
		func() {
			defer func() {
				if recover() == nil {
					t.Error("Put hid the durable store's panic from its caller")
				}
			}()
			c.Put(t.Context(), a, one, time.Hour)
		}()
		broken.Store(false)
		mustPut(t, c, a, two) // the key is not left locked
		wantGet(t, c, a, two)
	})
}

// A read of the durable store that began before a Put and ends after it neither answers later reads nor fills the zones.
func TestCacheStaleFill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, zone := new(mem.Store), new(mem.Store)
		mustPut(t, store, a, one)
		durable := &fake{put: store.Put, get: func(ctx context.Context, key kv.Key) ([]byte, error) {
			val, err := store.Get(ctx, key) // reads now, answers late
			sleep(ctx, 10*time.Second)
			return val, err
		}}
		c := kv.NewCache(durable, kv.CacheConfig{Zones: []kv.Store{zone}})
		defer c.Close()
		var wg sync.WaitGroup
		wg.Go(func() { c.Get(t.Context(), a) })
		time.Sleep(time.Second)
		mustPut(t, c, a, two)
		wg.Wait()
		synctest.Wait()
		wantGet(t, zone, a, two) // not filled with "one"

		wg.Go(func() { c.Get(t.Context(), b) })
		time.Sleep(time.Second)
		mustPut(t, c, b, two)
		zone.Put(t.Context(), b, one, time.Nanosecond) // and the zone forgets
		time.Sleep(time.Second)
		wantGet(t, c, b, two) // must not join the read that found nothing
		wg.Wait()
	})
}

// Two Puts of one key, the first acknowledged late: the zone ends up with what the durable store ends up with.
func TestCachePutsOfOneKeyKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, zone := new(mem.Store), new(mem.Store)
		durable := &fake{get: store.Get, put: func(ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
			err := store.Put(ctx, key, val, keep)
			if string(val) == string(one) {
				sleep(ctx, time.Second)
			}
			return err
		}}
		c := kv.NewCache(durable, kv.CacheConfig{Zones: []kv.Store{zone}})
		defer c.Close()
		var wg sync.WaitGroup
		wg.Go(func() { mustPut(t, c, a, one) })
		time.Sleep(time.Millisecond)
		wg.Go(func() { mustPut(t, c, a, two) })
		time.Sleep(time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := c.Put(ctx, a, one, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Put behind others, its time over = %v, want the deadline's error", err)
		}
		wg.Wait()
		wantGet(t, store, a, two)
		wantGet(t, zone, a, two)
	})
}

// A slow fill and a Put of a newer value write to the same zone: the newer one stays, and meanwhile the zone is not asked.
func TestCacheSlowFillAndPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, memory := new(mem.Store), new(mem.Store)
		mustPut(t, store, a, one)
		writes := 0
		zone := kv.Inject(memory, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			if op.Write {
				if writes++; writes == 1 {
					sleep(ctx, 500*time.Millisecond) // the fill
				}
			}
			return do(ctx)
		})
		c := kv.NewCache(store, kv.CacheConfig{Zones: []kv.Store{zone}})
		defer c.Close()
		wantGet(t, c, a, one)
		time.Sleep(100 * time.Millisecond)
		start := time.Now()
		mustPut(t, c, a, two)
		if took := time.Since(start); took != 10*time.Millisecond {
			t.Errorf("Put behind a slow fill took %v, want ZoneWait", took)
		}
		for range 10 {
			wantGet(t, c, a, two)
			time.Sleep(100 * time.Millisecond)
		}
		wantGet(t, memory, a, two)
	})
}

// A zone that missed a write may hold the older value: it is not asked for that key until it has taken a later write.
func TestCacheZoneThatMissedAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost atomic.Bool
		memory := new(mem.Store)
		c := kv.NewCache(new(mem.Store), kv.CacheConfig{Zones: []kv.Store{kv.Inject(memory, refusing(&lost))}})
		defer c.Close()
		mustPut(t, c, a, one)
		lost.Store(true)
		mustPut(t, c, a, two)
		lost.Store(false)
		wantGet(t, memory, a, one)
		wantGet(t, c, a, two)
		synctest.Wait() // the fill gave the zone the newer value
		wantGet(t, memory, a, two)

		three := []byte("three")
		lost.Store(true)
		mustPut(t, c, a, one)
		lost.Store(false)
		mustPut(t, c, a, three)
		hits := c.Stats().Hits
		if wantGet(t, c, a, three); c.Stats().Hits != hits+1 {
			t.Error("the zone is not asked though it took the latest write")
		}
	})
}

func TestCacheKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone := new(mem.Store)
		var asked []time.Duration
		c := kv.NewCache(new(mem.Store), kv.CacheConfig{Zones: []kv.Store{zone}, Keep: func(_ kv.Key, val []byte, keep time.Duration) time.Duration {
			asked = append(asked, keep)
			if len(val) > 3 {
				return 0
			}
			return 5 * time.Second
		}})
		defer c.Close()
		there := func() bool {
			synctest.Wait()
			_, err := zone.Get(t.Context(), a)
			return err == nil
		}
		mustPut(t, c, a, one)
		if !there() {
			t.Error("the zone did not get what Keep allowed")
		}
		time.Sleep(5 * time.Second)
		if there() {
			t.Error("the zone kept it for longer than Keep said")
		}
		wantGet(t, c, a, one)
		if !there() {
			t.Error("the fill did not reach the zone")
		}
		mustPut(t, c, a, two) // not to be cached; the zone still has the older one
		wantGet(t, c, a, two)
		time.Sleep(5 * time.Second)
		wantGet(t, c, a, two)
		if there() {
			t.Error("the zone was given what Keep forbade")
		}
		if fmt.Sprint(asked) != "[1h0m0s 0s 1h0m0s 0s 0s]" {
			t.Errorf("Keep was asked with %v, want the Puts' hour and 0 for fills", asked)
		}
	})
}

func TestCacheClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := new(mem.Store)
		zone := kv.Inject(memory, slow(300*time.Millisecond))
		durable := kv.Inject(new(mem.Store), func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			if !op.Write {
				return sleep(ctx, time.Hour)
			}
			return do(ctx)
		})
		c := kv.NewCache(durable, kv.CacheConfig{Zones: []kv.Store{zone}})
		mustPut(t, c, a, one)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.Get(t.Context(), kv.Key{Part: "none"}); err == nil || !contains(err.Error(), "closed") {
				t.Errorf("Get during Close = %v, want an error that says so", err)
			}
		})
		time.Sleep(100 * time.Millisecond)
		start := time.Now()
		c.Close()
		if took := time.Since(start); took != 190*time.Millisecond {
			t.Errorf("Close took %v, want to wait the 190ms that the zone's write still needs", took)
		}
		wantGet(t, memory, a, one)
		wg.Wait()
		if err := c.Put(t.Context(), a, one, time.Hour); err == nil {
			t.Error("Put after Close = nil, want an error")
		}
	})
}

// Readers and writers of one key, with slow and failing zones: after each Put of this process no older value is read.
func TestCacheNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		unruly := func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			switch i := n.Add(1); {
			case i%5 == 0:
				return errors.New("refused")
			case i%7 == 0:
				if err := sleep(ctx, 400*time.Millisecond); err != nil {
					return err
				}
			case i%3 == 0:
				sleep(ctx, 3*time.Millisecond)
			}
			return do(ctx)
		}
		c := kv.NewCache(kv.Inject(new(mem.Store), slow(2*time.Millisecond)), kv.CacheConfig{Zones: []kv.Store{
			kv.Inject(new(mem.Store), unruly), kv.Inject(new(mem.Store), unruly),
		}})
		defer c.Close()
		var latest atomic.Int64 // acknowledged
		mustPut(t, c, a, []byte("0"))
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := int64(1); i <= 300; i++ {
				mustPut(t, c, a, fmt.Append(nil, i))
				latest.Store(i)
				sleep(t.Context(), time.Duration(i%11)*time.Millisecond)
			}
		})
		for r := range 4 {
			wg.Go(func() {
				for latest.Load() < 300 {
					before := latest.Load()
					val, err := c.Get(t.Context(), a)
					var got int64
					fmt.Sscan(string(val), &got)
					if err != nil || got < before {
						t.Errorf("Get = %q, %v after %d was acknowledged", val, err, before)
						return
					}
					sleep(t.Context(), time.Duration(1+r)*time.Millisecond)
				}
			})
		}
		wg.Wait()
	})
}

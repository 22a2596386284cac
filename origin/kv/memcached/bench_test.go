package memcached_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/memcached"
	"origin-storm/origin/pairtest"
)

// BenchmarkPollAgainstGets looks for 50 segments of two pipelines that are not there yet, as a node that awaits them does each 5 ms: in
// exchanges of 16 segments, against one for each key. What is compared is the processor time of this process, in ms for a poll.
func BenchmarkPollAgainstGets(b *testing.B) {
	const segments, pipelines, atOnce = 50, 2, 16
	db := open(b, memcached.Config{Addresses: addresses(real.Up(b).Memcached[:1]), Prefix: "bench", Timeout: slow, MaxIdle: 2 * segments})
	cache := kv.NewCache(db.Table("nothing"), kv.CacheConfig{Zones: []kv.Store{db.Table("commits")}, ReadWait: slow})
	defer cache.Close()
	keys := make([]kv.Key, 0, segments*pipelines)
	for i := range segments {
		for p := range pipelines {
			keys = append(keys, kv.Key{Part: fmt.Sprintf("event/rendition-%d/1234567", i), Name: string(rune('a' + p))})
		}
	}
	poll := func(exchange int) func(int) time.Duration {
		return func(int) time.Duration {
			// Several polls make one measurement: the kernel counts some processor time by its clock's ticks.
			const polls = 20
			began := processorTime(b)
			for range polls {
				var wg sync.WaitGroup
				for part := range slices.Chunk(keys, exchange) {
					wg.Go(func() {
						if _, err := cache.Peek(context.Background(), part); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
			}
			return (processorTime(b) - began) / polls
		}
	}
	pairtest.Compare(b, 200, pairtest.Side{Name: "multi", Do: poll(atOnce * pipelines)}, pairtest.Side{Name: "bare", Do: poll(1)})
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

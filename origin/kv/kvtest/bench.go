package kvtest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"origin-storm/origin/kv"
)

// Bench measures Put and Get of values from 4 KiB to 2 MiB, many at a time, as sub-benchmarks Put/4KiB and so on, so that stores
// can be compared side by side. A size that the store can never hold is skipped.
func Bench(b *testing.B, open func(b *testing.B) kv.Store) {
	sizes := []int{4 << 10, 64 << 10, 256 << 10, 512 << 10, 2 << 20}

	for _, size := range sizes {
		// Enough keys that neighbours in time differ, few enough that no size holds more than 128 MiB.
		keys := min(512, (128<<20)/size)
		key := func(i int64) kv.Key { return kv.Key{Part: "kvbench", Name: fmt.Sprintf("%d/%d", size, i%int64(keys))} }
		val := value(size, 1)

		b.Run(fmt.Sprintf("Put/%dKiB", size>>10), func(b *testing.B) {
			s := open(b)
			write(b, s, key(0), val)
			each(b, size, func(i int64) error { return s.Put(b.Context(), key(i), val, time.Minute) })
		})
		b.Run(fmt.Sprintf("Get/%dKiB", size>>10), func(b *testing.B) {
			s := open(b)
			for i := range int64(keys) {
				write(b, s, key(i), val)
			}
			each(b, size, func(i int64) error {
				_, err := s.Get(b.Context(), key(i))
				return err
			})
		})
	}
}

// write puts a value before the clock counts; it skips the benchmark where the store cannot hold such a value.
func write(b *testing.B, s kv.Store, key kv.Key, val []byte) {
	b.Helper()
	if err := s.Put(b.Context(), key, val, time.Hour); errors.Is(err, kv.ErrTooLarge) {
		b.Skip(err)
	} else if err != nil {
		b.Fatal(err)
	}
}

// each runs do for consecutive numbers, eight at a time on each processor: stores are waited for more than computed.
func each(b *testing.B, size int, do func(i int64) error) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.SetParallelism(8)
	b.ResetTimer()
	var next atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := do(next.Add(1)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

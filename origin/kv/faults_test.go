package kv_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
)

// TestFaults: each kind does what it says while it lasts, and nothing after.
func TestFaults(t *testing.T) {
	key := func(i int) kv.Key { return kv.Key{Part: "p", Name: fmt.Sprint(i)} }
	for _, tt := range []struct {
		fault         kv.Fault
		put, get      error // of every operation
		took          time.Duration
		puts, missing int // of a hundred puts, then gets, how many are done and how many not found; -1: some, not all
	}{
		{fault: kv.Fault{Do: kv.FaultSlow, By: time.Second}, took: time.Second, puts: 100},
		{fault: kv.Fault{Do: kv.FaultSlow, By: time.Second, Share: 1e-9}, puts: 100},
		{fault: kv.Fault{Do: kv.FaultThrottle, Count: 10}, put: kv.ErrThrottled, get: kv.ErrThrottled, puts: 10},
		{fault: kv.Fault{Do: kv.FaultHide, By: time.Second}, get: kv.ErrNotFound, puts: 100, missing: 100},
		{fault: kv.Fault{Do: kv.FaultDeny}, put: kv.ErrDenied, get: kv.ErrDenied},
		{fault: kv.Fault{Do: kv.FaultFill}, put: kv.ErrFull, get: kv.ErrNotFound, missing: 100},
		{fault: kv.Fault{Do: kv.FaultForget}, get: kv.ErrNotFound, puts: 100, missing: 100},
		{fault: kv.Fault{Do: kv.FaultForget, Share: 0.25}, get: kv.ErrNotFound, puts: 100, missing: -1},
		{fault: kv.Fault{Do: kv.FaultLimit, Count: 4}, put: kv.ErrTooLarge, get: kv.ErrNotFound, missing: 100},
		{fault: kv.Fault{Do: kv.FaultLimit, Count: 5}, puts: 100},
	} {
		t.Run(fmt.Sprintf("%+v", tt.fault), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faults := kv.NewFaults(7, nil)
				s := kv.Inject(&mem.Store{}, faults.Around)
				if err := faults.Begin("x", tt.fault); err != nil {
					t.Fatal(err)
				}
				begin, puts, missing := time.Now(), 0, 0
				for i := range 100 {
					if err := s.Put(t.Context(), key(i), []byte("value"), time.Hour); err == nil {
						puts++
					} else if !errors.Is(err, tt.put) {
						t.Fatalf("Put = %v, want %v", err, tt.put)
					}
				}
				if took := time.Since(begin) / 100; took != tt.took {
					t.Errorf("a Put takes %v, want %v", took, tt.took)
				}
				for i := range 100 {
					if _, err := s.Get(t.Context(), key(i)); errors.Is(err, kv.ErrNotFound) {
						missing++
					} else if err != nil && !errors.Is(err, tt.get) {
						t.Fatalf("Get = %v, want %v", err, tt.get)
					}
				}
				if some := tt.missing == -1 && missing > 10 && missing < 40; puts != tt.puts || missing != tt.missing && !some {
					t.Errorf("%d of 100 puts are done, %d not found, want %d, %d", puts, missing, tt.puts, tt.missing)
				}
				faults.End("x")
				time.Sleep(2 * time.Second) // what was hidden is so no longer
				if err := s.Put(t.Context(), key(0), []byte("value"), time.Hour); err != nil {
					t.Errorf("Put after the end = %v", err)
				}
				if _, err := s.Get(t.Context(), key(0)); err != nil {
					t.Errorf("Get after the end = %v", err)
				}
			})
		})
	}
}

func TestFaultsRefuse(t *testing.T) {
	faults := kv.NewFaults(7, nil)
	for _, do := range []string{"", "melt", kv.FaultFlush} {
		if err := faults.Begin("x", kv.Fault{Do: do}); err == nil {
			t.Errorf("Begin(%q) = nil, want an error", do)
		}
	}
	flushed := 0
	faults = kv.NewFaults(7, func() { flushed++ })
	if err := faults.Begin("x", kv.Fault{Do: kv.FaultFlush}); err != nil || flushed != 1 {
		t.Errorf("Begin(flush) = %v, flushed %d times, want once", err, flushed)
	}
}

package mem_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/kv/mem"
)

func TestStore(t *testing.T) {
	open := func(*testing.T) kv.Store { return new(mem.Store) }
	t.Run("bubble", func(t *testing.T) { kvtest.Test(t, open, kvtest.Options{Bubble: true}) })
	t.Run("real time", func(t *testing.T) { kvtest.Test(t, open, kvtest.Options{}) })
}

func TestLimitedStore(t *testing.T) {
	open := func(*testing.T) kv.Store { return &mem.Store{Limit: 2 << 20} }
	kvtest.Test(t, open, kvtest.Options{Bubble: true, Forgets: true})
}

func BenchmarkStore(b *testing.B) {
	kvtest.Bench(b, func(*testing.B) kv.Store { return new(mem.Store) })
}

func put(t *testing.T, s *mem.Store, name string, size int, keep time.Duration) {
	t.Helper()
	if err := s.Put(t.Context(), kv.Key{Part: "p", Name: name}, make([]byte, size), keep); err != nil {
		t.Fatalf("Put(%s, %d bytes) = %v, want nil", name, size, err)
	}
}

func there(t *testing.T, s *mem.Store, name string) bool {
	t.Helper()
	_, err := s.Get(t.Context(), kv.Key{Part: "p", Name: name})
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("Get(%s) = %v", name, err)
	}
	return err == nil
}

// A long run that never asks again for what it wrote holds no more than what lives at one time.
func TestExpiredValuesAreFreedUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s mem.Store
		for i := range 10_000 {
			put(t, &s, fmt.Sprint(i), 100, 10*time.Second)
			if values, bytes := s.Stats(); values > 100 || bytes > 100*(100+10) {
				t.Fatalf("after %d Puts: Stats() = %d, %d, want at most the 100 values of the last 10 s", i+1, values, bytes)
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute) // after which a few Puts free all that expired meanwhile
		for i := range 10 {
			put(t, &s, fmt.Sprint("later ", i), 100, 10*time.Second)
		}
		if values, _ := s.Stats(); values != 10 {
			t.Errorf("after ten more Puts: Stats() = %d values, want those ten", values)
		}
	})
}

func TestReplacedValuesAreFreed(t *testing.T) {
	var s mem.Store
	for i := range 1000 {
		put(t, &s, "a", i, time.Hour)
	}
	if values, bytes := s.Stats(); values != 1 || bytes != 999+2 {
		t.Errorf("Stats() = %d, %d, want 1, 1001", values, bytes)
	}
}

func TestLeastRecentlyUsedGoesFirst(t *testing.T) {
	s := &mem.Store{Limit: 3 * 102}
	for _, name := range []string{"a", "b", "c"} {
		put(t, s, name, 100, time.Hour)
	}
	there(t, s, "a") // now b is the least recently used
	put(t, s, "d", 100, time.Hour)
	for name, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if got := there(t, s, name); got != want {
			t.Errorf("%s is there: %v, want %v", name, got, want)
		}
	}
	put(t, s, "e", 3*102-2, time.Hour) // as large as the store: everything else goes
	if values, bytes := s.Stats(); values != 1 || bytes != 3*102 {
		t.Errorf("Stats() = %d, %d, want 1, %d", values, bytes, 3*102)
	}
}

func TestTooLargeForTheLimit(t *testing.T) {
	s := &mem.Store{Limit: 100}
	put(t, s, "a", 50, time.Hour)
	err := s.Put(t.Context(), kv.Key{Part: "p", Name: "b"}, make([]byte, 100), time.Hour)
	if !errors.Is(err, kv.ErrTooLarge) {
		t.Errorf("Put of 100 bytes under a limit of 100 for key and value = %v, want kv.ErrTooLarge", err)
	}
	if !there(t, s, "a") {
		t.Error("a refused Put took another value away")
	}
}

func TestKeepMustBePositive(t *testing.T) {
	var s mem.Store
	for _, keep := range []time.Duration{0, -time.Second} {
		if err := s.Put(t.Context(), kv.Key{Part: "p"}, nil, keep); err == nil {
			t.Errorf("Put(keep %v) = nil, want an error", keep)
		}
	}
}

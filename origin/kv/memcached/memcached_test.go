package memcached_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/kv/memcached"
	"origin-storm/origin/servers"
	"origin-storm/origin/servers/serverstest"
)

var real = serverstest.Servers{Config: servers.Config{Memcached: 2}}

func TestMain(m *testing.M) { real.Main(m) }

func open(t testing.TB, cfg memcached.Config) *memcached.DB {
	t.Helper()
	db, err := memcached.Open(cfg)
	if err != nil {
		t.Fatalf("Open(%+v) = %v", cfg, err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return db
}

func addresses(list []*servers.Server) (addrs []string) {
	for _, s := range list {
		addrs = append(addrs, s.Addr)
	}
	return addrs
}

// slow is a timeout for tests that are not about it: under the race detector on a busy machine even loopback is slow.
const slow = 10 * time.Second

func TestStore(t *testing.T) {
	for _, n := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d servers", n), func(t *testing.T) {
			addrs := addresses(real.Up(t).Memcached[:n])
			t.Parallel()
			kvtest.Test(t, func(t *testing.T) kv.Store {
				return open(t, memcached.Config{Addresses: addrs, Prefix: "test", Timeout: slow}).Table("chunks")
			}, kvtest.Options{Forgets: true, KeepResolution: 2 * time.Second, MaxValue: 7 << 20})
		})
	}
}

func BenchmarkStore(b *testing.B) {
	addrs := addresses(real.Up(b).Memcached[:1])
	kvtest.Bench(b, func(b *testing.B) kv.Store {
		return open(b, memcached.Config{Addresses: addrs, Prefix: "bench", Timeout: slow}).Table("chunks")
	})
}

func TestTablesAndPrefixesAreApart(t *testing.T) {
	addrs := addresses(real.Up(t).Memcached)
	a := open(t, memcached.Config{Addresses: addrs, Prefix: "a", Timeout: slow})
	b := open(t, memcached.Config{Addresses: addrs, Prefix: "b", Timeout: slow})
	key := kv.Key{Part: "p", Name: "n"}
	stores := []kv.Store{a.Table("x"), a.Table("y"), b.Table("x")}
	for i, s := range stores {
		if err := s.Put(t.Context(), key, []byte{byte(i)}, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range stores {
		if got, err := s.Get(t.Context(), key); err != nil || !bytes.Equal(got, []byte{byte(i)}) {
			t.Errorf("Get(%v) of store %d = %v, %v, want [%d]", key, i, got, err, i)
		}
	}
}

func TestItemLimit(t *testing.T) {
	zone := real.Up(t).Memcached[0] // it takes items of 8 MiB
	addrs := []string{zone.Addr}
	key := kv.Key{Part: "limit"}
	big, fits := make([]byte, 8<<20), make([]byte, 8<<20-1000)
	t.Run("learned", func(t *testing.T) {
		s := open(t, memcached.Config{Addresses: addrs, Prefix: "limit", Timeout: slow}).Table("t")
		for range 3 {
			if err := s.Put(t.Context(), key, big, time.Minute); !errors.Is(err, kv.ErrTooLarge) {
				t.Fatalf("Put of %d bytes = %v, want kv.ErrTooLarge", len(big), err)
			}
		}
		if err := s.Put(t.Context(), key, fits, time.Minute); err != nil {
			t.Fatalf("Put of %d bytes = %v, want nil", len(fits), err)
		}
		if err := zone.Stop(); err != nil {
			t.Fatal(err)
		}
		defer zone.Continue()
		if err := s.Put(t.Context(), key, big, time.Minute); !errors.Is(err, kv.ErrTooLarge) {
			t.Errorf("Put of %d bytes to a stopped server = %v, want kv.ErrTooLarge: the limit is known by now", len(big), err)
		}
	})
	t.Run("configured", func(t *testing.T) {
		s := open(t, memcached.Config{Addresses: addrs, Prefix: "limit", Timeout: slow, MaxItem: 1 << 20}).Table("t")
		if err := s.Put(t.Context(), key, make([]byte, 1<<20), time.Minute); !errors.Is(err, kv.ErrTooLarge) {
			t.Errorf("Put of 1 MiB = %v, want kv.ErrTooLarge: the limit counts key and header", err)
		}
		if err := s.Put(t.Context(), key, make([]byte, 1<<20-1000), time.Minute); err != nil {
			t.Errorf("Put of 1000 bytes less = %v, want nil", err)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  memcached.Config
		want string
	}{
		{"no address", memcached.Config{}, "no addresses"},
		{"bad address", memcached.Config{Addresses: []string{"127.0.0.1"}}, "127.0.0.1"},
		{"space in prefix", memcached.Config{Addresses: []string{"127.0.0.1:1"}, Prefix: "a b"}, "prefix"},
		{"line end in prefix", memcached.Config{Addresses: []string{"127.0.0.1:1"}, Prefix: "a\r\nflush_all"}, "prefix"},
		{"long prefix", memcached.Config{Addresses: []string{"127.0.0.1:1"}, Prefix: strings.Repeat("a", 101)}, "prefix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := memcached.Open(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open(%+v) = %v, want an error about %q", c.cfg, err, c.want)
			}
		})
	}
}

// A zone that is down or stopped costs each operation no more than its timeout or its context, leaves no goroutine behind, and works again
// when it is back.
func TestLostServer(t *testing.T) {
	zone := real.Up(t).Memcached[1]
	const timeout = time.Second // a busy machine takes some of it for a megabyte, and works() needs an answer
	db := open(t, memcached.Config{Addresses: []string{zone.Addr}, Prefix: "lost", Timeout: timeout})
	s := db.Table("t")
	key, val := kv.Key{Part: "p"}, make([]byte, 1<<20)

	atOnce := func(want time.Duration, ctx context.Context) {
		t.Helper()
		const callers = 20
		goroutines := runtime.NumGoroutine()
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				start := time.Now()
				if err := s.Put(ctx, key, val, time.Minute); err == nil {
					t.Error("Put while the server is away = nil")
				}
				if got, err := s.Get(ctx, key); err == nil || errors.Is(err, kv.ErrNotFound) {
					t.Errorf("Get while the server is away = %d bytes, %v, want an error that is no kv.ErrNotFound", len(got), err)
				}
				// Put and Get; the rest is for a busy machine. Without a timeout either would wait for minutes.
				if took := time.Since(start); took > 2*want+5*time.Second {
					t.Errorf("Put and Get while the server is away took %v, want about %v at most", took, 2*want)
				}
			})
		}
		wg.Wait()
		for deadline := time.After(5 * time.Second); runtime.NumGoroutine() > goroutines+2; {
			select {
			case <-deadline:
				t.Fatalf("%d goroutines after %d operations on a server that is away, %d before", runtime.NumGoroutine(), 2*callers, goroutines)
			default:
				runtime.Gosched()
			}
		}
	}
	works := func() {
		t.Helper()
		if err := s.Put(t.Context(), key, val, time.Minute); err != nil {
			t.Fatalf("Put to a server that is back = %v, want nil", err)
		}
		if got, err := s.Get(t.Context(), key); err != nil || len(got) != len(val) {
			t.Fatalf("Get from a server that is back = %d bytes, %v, want %d bytes", len(got), err, len(val))
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	works()
	must(zone.Stop())
	atOnce(timeout, t.Context())
	patient := open(t, memcached.Config{Addresses: []string{zone.Addr}, Prefix: "lost", Timeout: 20 * time.Second}).Table("t")
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := patient.Get(short, key); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get under a context of 20 ms from a stopped server = %v, want %v", err, context.DeadlineExceeded)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("Get under a context of 20 ms from a stopped server took %v, like one without", took)
	}
	must(zone.Continue())
	works()
	must(zone.Kill())
	atOnce(timeout, t.Context())
	must(zone.Restart(t.Context()))
	works()

	// Idle connections to a server that has restarted are dead; the first use must not fail for that.
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { s.Get(t.Context(), key) })
	}
	wg.Wait()
	must(zone.Restart(t.Context()))
	for range 16 {
		works()
	}
}

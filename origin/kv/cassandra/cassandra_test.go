package cassandra_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/cassandra"
	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/servers"
	"origin-storm/origin/servers/serverstest"
)

// The one place whose tests have a cluster of three nodes.
var real = serverstest.Servers{Config: servers.Config{Cassandra: 3}}

func TestMain(m *testing.M) { real.Main(m) }

func addresses(list []*servers.Server) (addrs []string) {
	for _, s := range list {
		addrs = append(addrs, s.Addr)
	}
	return addrs
}

func table(t testing.TB, db *cassandra.DB, name string) kv.Store {
	t.Helper()
	s, err := db.Table(t.Context(), name)
	if err != nil {
		t.Fatalf("Table(%s) = %v", name, err)
	}
	return s
}

// shared returns a keyspace for tests that each have tables of their own: changing the schema of three nodes takes seconds.
func shared(t testing.TB) *cassandra.DB {
	t.Helper()
	c := real.Up(t)
	sharedDB.once.Do(func() {
		sharedDB.db, sharedDB.err = cassandra.Open(context.Background(), cassandra.Config{
			Addresses: addresses(c.Cassandra), Keyspace: sharedKeyspace, Timeout: 10 * time.Second, Keep: 2 * time.Hour,
		})
	})
	if sharedDB.err != nil {
		t.Fatal(sharedDB.err)
	}
	return sharedDB.db
}

const sharedKeyspace = "test_shared"

var sharedDB struct {
	once sync.Once
	db   *cassandra.DB
	err  error
}

// session connects past the store, to look at what it made.
func session(t testing.TB) *gocql.Session {
	t.Helper()
	c := gocql.NewCluster(addresses(real.Up(t).Cassandra)...)
	c.ProtoVersion = 4
	s, err := c.CreateSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestStore(t *testing.T) {
	s := table(t, shared(t), "chunks")
	kvtest.Test(t, func(*testing.T) kv.Store { return s }, kvtest.Options{KeepResolution: 2 * time.Second, MaxValue: 4 << 20})
}

func BenchmarkStore(b *testing.B) {
	s := table(b, shared(b), "bench")
	kvtest.Bench(b, func(*testing.B) kv.Store { return s })
}

func TestTableOptions(t *testing.T) {
	table(t, shared(t), "chunks")
	var compaction, compression map[string]string
	var gcGrace int
	err := session(t).Query("SELECT compaction, compression, gc_grace_seconds FROM system_schema.tables WHERE keyspace_name = ? AND table_name = 'chunks'", sharedKeyspace).
		Scan(&compaction, &compression, &gcGrace)
	if err != nil {
		t.Fatal(err)
	}
	var replication map[string]string
	if err := session(t).Query("SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?", sharedKeyspace).Scan(&replication); err != nil {
		t.Fatal(err)
	}
	if got := replication["datacenter1"]; got != "3" {
		t.Errorf("replication is %v, want 3 in the local data centre, as many as there are nodes", replication)
	}
	if class := compaction["class"]; !strings.HasSuffix(class, "TimeWindowCompactionStrategy") {
		t.Errorf("compaction is %s, want TimeWindowCompactionStrategy", class)
	}
	if got := compaction["compaction_window_size"] + " " + compaction["compaction_window_unit"]; got != "4 MINUTES" {
		t.Errorf("the compaction window is %s, want 4 MINUTES: 30 windows in two hours", got)
	}
	if compression["enabled"] != "false" {
		t.Errorf("compression is %v, want none: video does not compress", compression)
	}
	if gcGrace <= 0 || gcGrace > 3600 {
		t.Errorf("gc_grace_seconds is %d, want more than 0 (hints die with it) and at most an hour", gcGrace)
	}
}

// A value's time to live is its own, and never shorter than asked.
func TestTimeToLive(t *testing.T) {
	s := table(t, shared(t), "chunks")
	direct := session(t)
	for _, c := range []struct {
		keep     time.Duration
		min, max int // seconds, as the server says right after the Put
	}{
		{2 * time.Hour, 7197, 7201},
		{1500 * time.Millisecond, 1, 3},
		{100 * 365 * 24 * time.Hour, 630_719_990, 630_720_000}, // the longest that Cassandra takes: 20 years
	} {
		key := kv.Key{Part: "ttl", Name: c.keep.String()}
		if err := s.Put(t.Context(), key, []byte("x"), c.keep); err != nil {
			t.Fatalf("Put(%v, %v) = %v", key, c.keep, err)
		}
		var ttl int
		if err := direct.Query("SELECT ttl(val) FROM "+sharedKeyspace+".chunks WHERE part = ? AND name = ?", key.Part, key.Name).Scan(&ttl); err != nil {
			t.Fatal(err)
		}
		if ttl < c.min || ttl > c.max {
			t.Errorf("after Put with keep %v the server says %d s, want %d to %d", c.keep, ttl, c.min, c.max)
		}
	}
}

// The life of a keyspace: publish and serve make it at the same time, each through another node; it is not dropped while it holds what
// was not made here, and then it is.
func TestKeyspace(t *testing.T) {
	addrs := addresses(real.Up(t).Cassandra)
	ks := "test_" + strings.ToLower(rand.Text()[:12])
	const sides = 4
	stores := make([]kv.Store, sides)
	var ready sync.WaitGroup
	for i := range sides {
		ready.Go(func() {
			cfg := cassandra.Config{Addresses: addrs[i%len(addrs):][:1], Keyspace: ks, Timeout: 10 * time.Second}
			db, err := cassandra.Open(t.Context(), cfg)
			if err != nil {
				t.Errorf("Open(%+v) = %v", cfg, err)
				return
			}
			t.Cleanup(func() { db.Close() })
			for _, name := range []string{"commits", "chunks"} {
				if stores[i], err = db.Table(t.Context(), name); err != nil {
					t.Errorf("Table(%s) from side %d = %v", name, i, err)
					return
				}
				if err := stores[i].Put(t.Context(), kv.Key{Part: "p", Name: fmt.Sprint(i)}, []byte{byte(i)}, time.Minute); err != nil {
					t.Errorf("Put from side %d right after Table(%s) = %v", i, name, err)
				}
			}
		})
	}
	ready.Wait()
	if t.Failed() {
		return
	}
	for i, s := range stores {
		for j := range stores {
			if got, err := s.Get(t.Context(), kv.Key{Part: "p", Name: fmt.Sprint(j)}); err != nil || string(got) != string(byte(j)) {
				t.Errorf("side %d reads %v, %v of what side %d wrote, want [%d]", i, got, err, j, j)
			}
		}
	}

	direct := session(t)
	drop := func() error {
		db, err := cassandra.Open(t.Context(), cassandra.Config{Addresses: addrs, Keyspace: ks})
		if err != nil {
			t.Fatal(err)
		}
		return db.Drop(t.Context())
	}
	if err := direct.Query("CREATE TABLE " + ks + ".theirs (k int PRIMARY KEY)").Exec(); err != nil {
		t.Fatal(err)
	}
	if err := drop(); err == nil || !strings.Contains(err.Error(), "theirs") {
		t.Errorf("Drop of a keyspace with a table that was not made here = %v, want an error that names it", err)
	}
	if err := direct.Query("DROP TABLE " + ks + ".theirs").Exec(); err != nil {
		t.Errorf("the table that was not made here is gone: %v", err)
	}
	if err := drop(); err != nil {
		t.Errorf("Drop() = %v", err)
	}
	var name string
	err := direct.Query("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?", ks).Scan(&name)
	if !errors.Is(err, gocql.ErrNotFound) {
		t.Errorf("after Drop the keyspace is there (%q, %v)", name, err)
	}
}

func TestTooLarge(t *testing.T) {
	s := table(t, shared(t), "chunks")
	key := kv.Key{Part: "large"}
	if err := s.Put(t.Context(), key, make([]byte, 15<<20), time.Minute); err != nil {
		t.Errorf("Put of 15 MiB = %v, want nil: it is the limit", err)
	}
	if err := s.Put(t.Context(), key, make([]byte, 15<<20+1), time.Minute); !errors.Is(err, kv.ErrTooLarge) {
		t.Errorf("Put of one byte more = %v, want kv.ErrTooLarge", err)
	}
}

func TestOpenFails(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, c := range []struct {
		name string
		cfg  cassandra.Config
		want []string
	}{
		{"no address", cassandra.Config{Keyspace: "k"}, []string{"no addresses"}},
		{"no keyspace", cassandra.Config{Addresses: []string{"127.0.0.1:1"}}, []string{`keyspace ""`}},
		{"bad keyspace", cassandra.Config{Addresses: []string{"127.0.0.1:1"}, Keyspace: "a; DROP KEYSPACE b"}, []string{"keyspace"}},
		{"system keyspace", cassandra.Config{Addresses: []string{"127.0.0.1:1"}, Keyspace: "system_auth"}, []string{"system_auth"}},
		{"bad consistency", cassandra.Config{Addresses: []string{"127.0.0.1:1"}, Keyspace: "k", Consistency: "MOST"}, []string{"MOST", "LOCAL_QUORUM"}},
		{"nobody there", cassandra.Config{Addresses: []string{"127.0.0.1:1", "127.0.0.1:2"}, Keyspace: "k"}, []string{"127.0.0.1:1", "127.0.0.1:2", "refused"}},
		{"nobody answers", cassandra.Config{Addresses: []string{silent.Addr().String()}, Keyspace: "k"}, []string{silent.Addr().String()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			_, err := cassandra.Open(t.Context(), c.cfg)
			if err == nil {
				t.Fatalf("Open(%+v) = nil, want an error", c.cfg)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Open(%+v) = %v, want an error about %q", c.cfg, err, want)
				}
			}
			if took := time.Since(start); took > 8*time.Second {
				t.Errorf("Open(%+v) took %v to fail", c.cfg, took)
			}
		})
	}
	t.Run("context ends", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := cassandra.Open(ctx, cassandra.Config{Addresses: []string{silent.Addr().String()}, Keyspace: "k"})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open under a context of 200 ms = %v, want %v", err, context.DeadlineExceeded)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("Open under a context of 200 ms took %v", took)
		}
	})
}

// One of three nodes is killed, later stopped, under writes: with retries no write fails, what was acknowledged is readable while the
// node is away, and the node takes part again when it is back.
func TestNodeLost(t *testing.T) {
	nodes := real.Up(t).Cassandra
	table(t, shared(t), "chunks") // it exists; from here on with the timeouts that a run has
	db, err := cassandra.Open(t.Context(), cassandra.Config{Addresses: addresses(nodes), Keyspace: sharedKeyspace})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	bare := table(t, db, "chunks")
	s := kv.Hedge(kv.Retry(bare, kv.RetryConfig{}), kv.HedgeConfig{After: 200 * time.Millisecond})
	val := func(key kv.Key) []byte { return []byte(strings.Repeat(key.String(), 5000)) }

	// acked writes until stop is closed and returns the keys whose Put returned nil.
	acked := func(name string, stop <-chan struct{}) func() []kv.Key {
		var mu sync.Mutex
		var keys []kv.Key
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					key := kv.Key{Part: fmt.Sprintf("%s/%d/%d", name, w, i), Name: "0"}
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // the race detector and three JVMs share two cores
					start := time.Now()
					err := s.Put(ctx, key, val(key), time.Hour)
					cancel()
					if err != nil {
						t.Errorf("Put(%v) = %v after %v", key, err, time.Since(start))
						return
					}
					mu.Lock()
					keys = append(keys, key)
					mu.Unlock()
				}
			})
		}
		return func() []kv.Key { writers.Wait(); return keys }
	}
	readable := func(keys []kv.Key, when string) {
		t.Helper()
		var lost atomic.Int32
		var readers sync.WaitGroup
		for r := range 8 {
			readers.Go(func() {
				for i := r; i < len(keys); i += 8 {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					got, err := s.Get(ctx, keys[i])
					cancel()
					if err != nil || string(got) != string(val(keys[i])) {
						if lost.Add(1) <= 3 {
							t.Errorf("Get(%v) %s = %d bytes, %v, want the acknowledged value", keys[i], when, len(got), err)
						}
					}
				}
			})
		}
		readers.Wait()
		t.Logf("%d acknowledged values, %d not readable %s", len(keys), lost.Load(), when)
	}
	after := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-t.Context().Done():
		}
	}

	stop := make(chan struct{})
	killed := acked("killed", stop)
	after(500 * time.Millisecond)
	if err := nodes[1].Kill(); err != nil {
		t.Fatal(err)
	}
	after(2 * time.Second)
	close(stop)
	keys := killed()
	readable(keys, "while a node is dead")
	if err := nodes[1].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	readable(keys, "when it is back")

	stop = make(chan struct{})
	stopped := acked("stopped", stop)
	after(300 * time.Millisecond)
	if err := nodes[2].Stop(); err != nil {
		t.Fatal(err)
	}
	after(2 * time.Second)
	close(stop)
	keys = stopped()
	readable(keys, "while a node is stopped")
	if err := nodes[2].Continue(); err != nil {
		t.Fatal(err)
	}
	readable(keys, "when it goes on")

	// Without a retry, an operation on a node that is away fails or takes long; its next try goes elsewhere.
	if err := nodes[0].Stop(); err != nil {
		t.Fatal(err)
	}
	defer nodes[0].Continue()
	for _, key := range keys[:min(20, len(keys))] {
		for attempt := range 3 {
			ctx, cancel := context.WithTimeout(kv.WithAttempt(t.Context(), attempt), time.Second)
			_, err := bare.Get(ctx, key)
			cancel()
			if err == nil {
				break
			}
			if attempt == 2 {
				t.Errorf("Get(%v) failed on all of three tries: %v", key, err)
			}
		}
	}
}

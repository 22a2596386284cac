package storagetest_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/kv/memcached"
	"origin-storm/origin/kv/pebble"
	"origin-storm/origin/kv/remote"
	"origin-storm/origin/kv/s3"
	"origin-storm/origin/kv/s3/fakes3"
	"origin-storm/origin/servers"
	"origin-storm/origin/servers/serverstest"
	"origin-storm/origin/storage"
	"origin-storm/origin/storage/storagetest"
)

var real = serverstest.Servers{Config: servers.Config{Memcached: 2}}

func TestMain(m *testing.M) { real.Main(m) }

// table opens one of the tables of a store that several nodes share.
type table func(name string) kv.Store

// plain is a deployment whose nodes ask the store for each operation once.
func plain(of table) storagetest.Nodes {
	return func(_ testing.TB, around kv.Intercept) storage.Config {
		return storage.Config{Commits: kv.Inject(of("commits"), around), Chunks: kv.Inject(of("chunks"), around)}
	}
}

// retried is one whose nodes try each operation again, and hedge it.
func retried(of table) storagetest.Nodes {
	return func(_ testing.TB, around kv.Intercept) storage.Config {
		decorate := func(s kv.Store) kv.Store {
			return kv.Hedge(kv.Retry(kv.Inject(s, around), kv.RetryConfig{First: time.Millisecond}), kv.HedgeConfig{After: time.Millisecond})
		}
		return storage.Config{Commits: decorate(of("commits")), Chunks: decorate(of("chunks"))}
	}
}

// cached is one with cache zones, which each node writes through to.
func cached(of table, zones ...table) storagetest.Nodes {
	return func(t testing.TB, around kv.Intercept) storage.Config {
		cache := func(name string, c kv.CacheConfig) *kv.Cache {
			for _, z := range zones {
				c.Zones = append(c.Zones, kv.Inject(z(name), around))
			}
			s := kv.NewCache(kv.Inject(of(name), around), c)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			return s
		}
		commits := cache("commits", kv.CacheConfig{Keep: storage.CommitKeep})
		chunks := cache("chunks", kv.CacheConfig{Keep: storage.ChunkKeep, Ahead: true})
		return storage.Config{Commits: commits, Chunks: chunks, Peek: commits.Peek}
	}
}

func inMemory(testing.TB) table {
	stores := map[string]kv.Store{"commits": &mem.Store{}, "chunks": &mem.Store{}}
	return func(name string) kv.Store { return stores[name] }
}

func inPebble(t testing.TB) table {
	db, err := pebble.Open(t.TempDir(), pebble.Config{})
	if err != nil {
		t.Fatal(err)
	}
	closed(t, db.Close)
	return db.Table
}

// inRemote is in the memory of a process that is reached over loopback, as in a run with embedded stores.
func inRemote(t testing.TB) table {
	of := inMemory(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: remote.Handler(func(_, table string) (kv.Store, bool) {
		s := of(table)
		return s, s != nil
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); err != http.ErrServerClosed {
			t.Error(err)
		}
	}()
	closed(t, func() error {
		err := server.Close()
		<-done
		return err
	})
	db, err := remote.Open(remote.Config{Address: l.Addr().String(), Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	closed(t, db.Close)
	return db.Table
}

func inS3(t testing.TB) table {
	h, err := fakes3.New(fakes3.Config{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	db, err := s3.Open(t.Context(), s3.Config{URL: server.URL, Bucket: "segments"})
	if err != nil {
		t.Fatal(err)
	}
	closed(t, db.Close)
	return db.Table
}

func inMemcached(t testing.TB) []table {
	var zones []table
	for _, server := range real.Up(t).Memcached {
		db, err := memcached.Open(memcached.Config{Addresses: []string{server.Addr}, Prefix: "torn"})
		if err != nil {
			t.Fatal(err)
		}
		closed(t, db.Close)
		zones = append(zones, db.Table)
	}
	return zones
}

func closed(t testing.TB, close func() error) {
	t.Cleanup(func() {
		if err := close(); err != nil {
			t.Error(err)
		}
	})
}

// TestTorn runs over every store that a test can have by itself; Cassandra's package runs it over Cassandra.
func TestTorn(t *testing.T) {
	for name, nodes := range map[string]func(testing.TB) storagetest.Nodes{
		"mem":              func(t testing.TB) storagetest.Nodes { return plain(inMemory(t)) },
		"mem, retried":     func(t testing.TB) storagetest.Nodes { return retried(inMemory(t)) },
		"mem, cached":      func(t testing.TB) storagetest.Nodes { return cached(inMemory(t), inMemory(t), inMemory(t)) },
		"pebble":           func(t testing.TB) storagetest.Nodes { return plain(inPebble(t)) },
		"pebble+memcached": func(t testing.TB) storagetest.Nodes { return cached(inPebble(t), inMemcached(t)...) },
		"remote":           func(t testing.TB) storagetest.Nodes { return plain(inRemote(t)) },
		"s3":               func(t testing.TB) storagetest.Nodes { return plain(inS3(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storagetest.Torn(t, nodes(t))
		})
	}
}

func BenchmarkChunkSizes(b *testing.B) {
	for name, nodes := range map[string]func(testing.TB) storagetest.Nodes{
		"mem":    func(t testing.TB) storagetest.Nodes { return plain(inMemory(t)) },
		"pebble": func(t testing.TB) storagetest.Nodes { return plain(inPebble(t)) },
		"remote": func(t testing.TB) storagetest.Nodes { return plain(inRemote(t)) },
		"s3":     func(t testing.TB) storagetest.Nodes { return plain(inS3(t)) },
	} {
		b.Run(name, func(b *testing.B) { storagetest.ChunkSizes(b, nodes(b), 2<<20) })
	}
}

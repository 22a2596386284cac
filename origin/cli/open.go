package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"origin-storm/origin"
	"origin-storm/origin/config"
	"origin-storm/origin/cost"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/cassandra"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/kv/memcached"
	"origin-storm/origin/kv/pebble"
	"origin-storm/origin/kv/remote"
	"origin-storm/origin/kv/s3"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
	"origin-storm/origin/stress"
)

// tables is a store that is open: the tables in it, and how to close it.
type tables struct {
	table func(name string) (kv.Store, error)
	close func() error
	flush func() // empties them; nil if that cannot be done
}

// The two tables of every backend.
const (
	commits = "commits"
	chunks  = "chunks"
)

// open connects to the store that at names. This switch is the one place that knows every driver.
func open(ctx context.Context, at config.StoreAt, remoteAllowed bool, log *slog.Logger) (tables, error) {
	plain := func(table func(string) kv.Store) func(string) (kv.Store, error) {
		return func(name string) (kv.Store, error) { return table(name), nil }
	}
	if name, ok := strings.CutPrefix(at.Secret, config.SecretEnv); ok {
		at.Secret = os.Getenv(name)
	}
	switch at.Kind {
	case "mem":
		var mu sync.Mutex
		stores := map[string]*mem.Store{}
		return tables{plain(func(name string) kv.Store {
			mu.Lock()
			defer mu.Unlock()
			if stores[name] == nil {
				stores[name] = &mem.Store{Limit: at.Limit}
			}
			return stores[name]
		}), func() error { return nil }, func() {
			mu.Lock()
			defer mu.Unlock()
			for _, s := range stores {
				s.Flush()
			}
		}}, nil
	case "pebble":
		db, err := pebble.Open(at.Dir, pebble.Config{})
		if err != nil {
			return tables{}, err
		}
		return tables{table: plain(db.Table), close: db.Close}, nil
	case "remote":
		db, err := remote.Open(remote.Config{Address: at.Addresses[0], Name: at.Namespace})
		if err != nil {
			return tables{}, err
		}
		return tables{table: plain(db.Table), close: db.Close}, nil
	case "s3":
		bucket, prefix, _ := strings.Cut(at.Namespace, "/")
		db, err := s3.Open(ctx, s3.Config{
			URL: at.Addresses[0], Bucket: bucket, Prefix: prefix, AccessKey: at.User, SecretKey: at.Secret, AllowRemote: remoteAllowed, Log: log,
		})
		if err != nil {
			return tables{}, err
		}
		return tables{table: plain(db.Table), close: db.Close}, nil
	case "cassandra":
		db, err := cassandra.Open(ctx, cassandra.Config{
			Addresses: at.Addresses, Keyspace: at.Namespace, Replicas: at.Replicas, User: at.User, Password: at.Secret, Log: log,
		})
		if err != nil {
			return tables{}, err
		}
		return tables{table: func(name string) (kv.Store, error) { return db.Table(ctx, name) }, close: db.Close}, nil
	case "memcached":
		db, err := memcached.Open(memcached.Config{Addresses: at.Addresses, Prefix: at.Namespace})
		if err != nil {
			return tables{}, err
		}
		return tables{table: plain(db.Table), close: db.Close}, nil
	}
	return tables{}, fmt.Errorf("unknown store kind %q", at.Kind)
}

// backend is a node's way to its segments.
type backend struct {
	segments *storage.Segments
	control  kv.Store // the same with retries, for event control state: never a cache, and not among the counts
	caches   []*kv.Cache
	waits    zoneWaits
	counts   storeCounts
	stress   *stress.Meter
	closers  []func() error
}

// openBackend opens the stores of cfg and decorates them. From the outside in: the cache, whose misses go to the store; hedges
// and retries around each operation of the store, so that every chunk has its own; the wire.
func openBackend(ctx context.Context, cfg config.Backend, bounds config.Stress, remoteAllowed bool, log *slog.Logger) (b *backend, err error) {
	if cfg.Store.Kind == "s3" {
		bounds.Target, bounds.Maximum = cmp.Or(bounds.Target, s3Target), cmp.Or(bounds.Maximum, s3Maximum)
	}
	b = &backend{stress: stress.New(bounds)}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	durable, err := open(ctx, cfg.Store, remoteAllowed, log)
	if err != nil {
		return b, fmt.Errorf("store: %w", err)
	}
	b.closers = append(b.closers, durable.close)
	var zones []tables
	for i, z := range cfg.Zones {
		zone, err := open(ctx, z, remoteAllowed, log)
		if err != nil {
			return b, fmt.Errorf("cache zone %d: %w", i+1, err)
		}
		b.closers = append(b.closers, zone.close)
		zones = append(zones, zone)
	}

	seed := cfg.Seed ^ uint64(os.Getpid()) // nodes that failed together must not come back together
	table := func(name string, keep func(kv.Key, []byte, time.Duration) time.Duration, immutable bool) (kv.Store, *kv.Cache, error) {
		s, err := durable.table(name)
		if err != nil {
			return nil, nil, fmt.Errorf("table %s: %w", name, err)
		}
		s = kv.Observe(s, func(op kv.Op, took time.Duration, err error) {
			b.counts.observe(op, took, err)
			if !op.Write {
				b.stress.Record(time.Now(), took, op.Size(), stress.EndOf(err))
			}
		})
		if !cfg.Whole {
			s = kv.Retry(s, kv.RetryConfig{Seed: seed})
			if immutable { // a Commit may be written twice, and a hedge that lost must not come last
				s = kv.Hedge(s, kv.HedgeConfig{After: cmp.Or(cfg.HedgeAfter, defaultHedge)})
			}
		}
		if len(zones) == 0 {
			return s, nil, nil
		}
		caches := make([]kv.Store, len(zones))
		for i, z := range zones {
			if caches[i], err = z.table(name); err != nil {
				return nil, nil, fmt.Errorf("cache zone %d: table %s: %w", i+1, name, err)
			}
			if cfg.MissRatio > 0 {
				caches[i] = kv.Inject(caches[i], misses(cfg.Seed, cfg.MissRatio))
			}
		}
		c := kv.NewCache(s, kv.CacheConfig{Zones: caches, Keep: keep, Ahead: immutable, Waited: b.waits.record, Logger: log})
		b.caches = append(b.caches, c)
		return c, c, nil
	}
	commitStore, commitCache, err := table(commits, storage.CommitKeep, false)
	if err != nil {
		return b, err
	}
	chunkStore, _, err := table(chunks, storage.ChunkKeep, true)
	if err != nil {
		return b, err
	}
	sc := storage.Config{Commits: commitStore, Chunks: chunkStore, ChunkSize: cfg.ChunkSize}
	if commitCache != nil {
		sc.Peek = commitCache.Peek
	}
	b.segments = storage.New(sc)
	bare, err := durable.table(commits)
	if err != nil {
		return b, err
	}
	b.control = kv.Retry(bare, kv.RetryConfig{Seed: seed})
	return b, nil
}

// defaultHedge is when an operation gets a second try beside it. It lies above the p99 of a chunk's write into a healthy store
// (129 ms in the comparison that chose the chunk size), so that hedges stay rare, and far below the 2 s budget.
const defaultHedge = 200 * time.Millisecond

// What a read of S3 should take, and may: "roughly 100-200 milliseconds" to the first byte are usual (AWS, Performance design
// patterns for Amazon S3), and the read budget is 2 s.
const (
	s3Target  = 200 * time.Millisecond
	s3Maximum = segment.Budget
)

// state returns how the store bears its reads.
func (b *backend) state() stress.State { return b.stress.State(time.Now()) }

// misses turns a share of a cache's reads into misses, keyed so that a run can be repeated.
func misses(seed uint64, share float64) kv.Intercept {
	return func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
		if !op.Write && cost.Draw(seed, "miss", op.Key.String(), op.Attempt) < share {
			return kv.ErrNotFound
		}
		return do(ctx)
	}
}

func (b *backend) close() error {
	var errs []error
	for _, c := range b.caches {
		errs = append(errs, c.Close())
	}
	for _, f := range b.closers {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// cacheStats sums what the caches before the two tables counted.
func (b *backend) cacheStats() origin.CacheStats {
	var sum origin.CacheStats
	for _, c := range b.caches {
		sum.CacheStats = sum.CacheStats.Add(c.Stats())
	}
	p99, n := b.waits.p99()
	sum.ZoneWaitP99, sum.ZoneWaits = float64(p99)/float64(time.Millisecond), n
	return sum
}

// storeCounts counts what reaches the durable store.
type storeCounts struct {
	reads, readBytes, absent, writes, failed atomic.Int64
	reading, writing                         origin.Timer
}

func (c *storeCounts) observe(op kv.Op, took time.Duration, err error) {
	if op.Write {
		c.writing.Add(took)
	} else {
		c.reading.Add(took)
	}
	switch {
	case errors.Is(err, kv.ErrNotFound):
		c.absent.Add(1)
	case err != nil:
		c.failed.Add(1)
	case op.Write:
		c.writes.Add(1)
	default:
		c.reads.Add(1)
		c.readBytes.Add(int64(op.Size()))
	}
}

func (c *storeCounts) stats() origin.StoreStats {
	return origin.StoreStats{
		Reads: c.reads.Load(), ReadBytes: c.readBytes.Load(), Absent: c.absent.Load(), Writes: c.writes.Load(), Failed: c.failed.Load(),
		ReadSeconds: c.reading.Latency(), WriteSeconds: c.writing.Latency(),
	}
}

// zoneWaits is how long writes waited for cache zones beyond the durable store. The zero value is ready.
type zoneWaits struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram // microseconds
}

func (z *zoneWaits) record(wait time.Duration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.h == nil {
		z.h = hdrhistogram.New(1, 10_000_000, 3)
	}
	z.h.RecordValue(min(max(wait.Microseconds(), 1), 10_000_000))
}

// p99 returns the 99th percentile and how many waits there were.
func (z *zoneWaits) p99() (time.Duration, int64) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.h == nil {
		return 0, 0
	}
	return time.Duration(z.h.ValueAtQuantile(99)) * time.Microsecond, z.h.TotalCount()
}

package cassandra_test

import (
	"testing"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/cassandra"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/storage"
	"origin-storm/origin/storage/storagetest"
)

// nodes keeps segments in two tables of db.
func nodes(t testing.TB, db *cassandra.DB) storagetest.Nodes {
	commits, chunks := table(t, db, "commits"), table(t, db, "chunks")
	return func(_ testing.TB, around kv.Intercept) storage.Config {
		return storage.Config{Commits: kv.Inject(commits, around), Chunks: kv.Inject(chunks, around)}
	}
}

// TestTorn: no reader sees a part of a segment, wherever its publisher stops.
func TestTorn(t *testing.T) {
	db := shared(t)
	t.Run("alone", func(t *testing.T) { storagetest.Torn(t, nodes(t, db)) })
	t.Run("behind a cache", func(t *testing.T) {
		inner, zone := nodes(t, db), &mem.Store{}
		storagetest.Torn(t, func(t testing.TB, around kv.Intercept) storage.Config {
			cfg, zones := inner(t, around), []kv.Store{kv.Inject(zone, around)}
			commits := kv.NewCache(cfg.Commits, kv.CacheConfig{Zones: zones, Keep: storage.CommitKeep})
			chunks := kv.NewCache(cfg.Chunks, kv.CacheConfig{Zones: zones, Keep: storage.ChunkKeep, Ahead: true})
			for _, c := range []*kv.Cache{commits, chunks} {
				t.Cleanup(func() {
					if err := c.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			return storage.Config{Commits: commits, Chunks: chunks, Peek: commits.Peek}
		})
	})
}

// BenchmarkChunkSizes is the measurement behind storage.DefaultChunkSize.
func BenchmarkChunkSizes(b *testing.B) { storagetest.ChunkSizes(b, nodes(b, shared(b)), 2<<20) }

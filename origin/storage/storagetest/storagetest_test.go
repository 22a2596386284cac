package storagetest_test

import (
	"testing"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/storage"
	"origin-storm/origin/storage/storagetest"
)

// plain is a deployment that keeps its segments in memory.
func plain() storagetest.Nodes {
	commits, chunks := &mem.Store{}, &mem.Store{}
	return func(_ testing.TB, around kv.Intercept) storage.Config {
		return storage.Config{Commits: kv.Inject(commits, around), Chunks: kv.Inject(chunks, around)}
	}
}

// cached is one with two cache zones.
func cached() storagetest.Nodes {
	commits, chunks := &mem.Store{}, &mem.Store{}
	zones := []kv.Store{&mem.Store{}, &mem.Store{}}
	return func(t testing.TB, around kv.Intercept) storage.Config {
		var mine []kv.Store
		for _, z := range zones {
			mine = append(mine, kv.Inject(z, around))
		}
		a := kv.NewCache(kv.Inject(commits, around), kv.CacheConfig{Zones: mine, Keep: storage.CommitKeep})
		b := kv.NewCache(kv.Inject(chunks, around), kv.CacheConfig{Zones: mine, Keep: storage.ChunkKeep, Ahead: true})
		t.Cleanup(func() {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
		return storage.Config{Commits: a, Chunks: b, Peek: a.Peek}
	}
}

// retried is one whose every operation is tried again and hedged.
func retried() storagetest.Nodes {
	commits, chunks := &mem.Store{}, &mem.Store{}
	return func(_ testing.TB, around kv.Intercept) storage.Config {
		decorate := func(s kv.Store) kv.Store {
			return kv.Hedge(kv.Retry(kv.Inject(s, around), kv.RetryConfig{First: time.Millisecond}), kv.HedgeConfig{After: time.Millisecond})
		}
		return storage.Config{Commits: decorate(commits), Chunks: decorate(chunks)}
	}
}

func TestTorn(t *testing.T) {
	for name, nodes := range map[string]func() storagetest.Nodes{"mem": plain, "cached": cached, "retried": retried} {
		t.Run(name, func(t *testing.T) { storagetest.Torn(t, nodes()) })
	}
}

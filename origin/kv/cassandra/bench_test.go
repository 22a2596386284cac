package cassandra_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/cassandra"
	"origin-storm/origin/pairtest"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
)

// BenchmarkSegmentAgainstBareDriver writes segments of 2 MiB through package storage, over stores that are configured and decorated
// as package origin/cli does for a publish process, against the same chunks, all four at once, and then one small row, by gocql alone.
// The bare side has a session of the same settings, statements that are prepared and idempotent, writes to the same tables, and knows
// its keys beforehand. Neither side ever writes the same bytes twice. The claim is a ratio of 1.15 at most.
func BenchmarkSegmentAgainstBareDriver(b *testing.B) {
	const (
		pairs    = 1000
		size     = 2 << 20
		keep     = time.Hour
		keyspace = "against"
	)
	hosts := addresses(real.Up(b).Cassandra)
	db, err := cassandra.Open(b.Context(), cassandra.Config{Addresses: hosts, Keyspace: keyspace})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	open := func(name string) kv.Store {
		return kv.Retry(kv.Observe(table(b, db, name), func(kv.Op, time.Duration, error) {}), kv.RetryConfig{})
	}
	segments := storage.New(storage.Config{
		Commits: open("commits"),
		Chunks:  kv.Hedge(open("chunks"), kv.HedgeConfig{After: 200 * time.Millisecond}),
	})

	c := gocql.NewCluster(hosts...)
	c.ProtoVersion, c.Keyspace, c.Consistency, c.NumConns, c.WriteCoalesceWaitTime = 4, keyspace, gocql.LocalQuorum, 4, 0
	c.DefaultIdempotence = true
	c.Timeout, c.WriteTimeout = 30*time.Second, 30*time.Second // nobody tries again here
	c.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy())
	session, err := c.CreateSession()
	if err != nil {
		b.Fatal(err)
	}
	defer session.Close()

	// What is written, and the keys of its chunks. Both sides prepare the same: the nodes are still busy with what was written last,
	// and who prepares for longer finds them less so.
	random := rand.NewChaCha8([32]byte{7})
	fresh := func() (val []byte, keys []string) {
		val = make([]byte, size)
		random.Read(val)
		for at := 0; at < size; at += storage.DefaultChunkSize {
			digest := sha256.Sum256(val[at : at+storage.DefaultChunkSize])
			keys = append(keys, hex.EncodeToString(digest[:]))
		}
		return val, keys
	}
	insert := func(table, part, name string, val []byte) {
		err := session.Query("INSERT INTO "+keyspace+"."+table+" (part, name, val) VALUES (?, ?, ?) USING TTL ?",
			part, name, val, int(keep.Seconds())).WithContext(b.Context()).Exec()
		if err != nil {
			b.Error(err)
		}
	}
	pairtest.Compare(b, pairs,
		pairtest.Side{Name: "storage", Do: func(i int) time.Duration {
			val, _ := fresh()
			id := segment.ID{Event: "e", Pipeline: "a", Rendition: "v", Number: int64(i)}
			start := time.Now()
			if _, err := segments.Put(b.Context(), id, val, storage.Meta{}, keep); err != nil {
				b.Fatal(err)
			}
			return time.Since(start)
		}},
		pairtest.Side{Name: "bare", Do: func(i int) time.Duration {
			val, keys := fresh()
			start := time.Now()
			var chunks sync.WaitGroup
			for k, key := range keys {
				chunks.Go(func() { insert("chunks", key, "", val[k*storage.DefaultChunkSize:(k+1)*storage.DefaultChunkSize]) })
			}
			chunks.Wait()
			insert("commits", "e/v/"+strconv.Itoa(i), "a", val[:400])
			return time.Since(start)
		}})
}

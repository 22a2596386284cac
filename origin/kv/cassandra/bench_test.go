package cassandra_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"origin-storm/origin/kv"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
)

// BenchmarkSegmentAgainstBareDriver writes segments of 2 MiB through package storage, with retries and hedges as the origin has them,
// and, turn and turn about, the same chunks and one small row by gocql alone. One iteration is 300 pairs; it reports the ratio of the
// medians with its 95 % interval (bootstrap over pairs). The claim is that it is at most 1.15.
func BenchmarkSegmentAgainstBareDriver(b *testing.B) {
	const (
		pairs = 300
		size  = 2 << 20
		keep  = time.Hour
	)
	db := shared(b)
	decorate := func(s kv.Store) kv.Store {
		return kv.Hedge(kv.Retry(s, kv.RetryConfig{}), kv.HedgeConfig{After: 200 * time.Millisecond})
	}
	segments := storage.New(storage.Config{Commits: decorate(table(b, db, "commits")), Chunks: decorate(table(b, db, "chunks"))})

	c := gocql.NewCluster(addresses(real.Up(b).Cassandra)...)
	c.ProtoVersion, c.Keyspace, c.Consistency, c.NumConns, c.Timeout = 4, sharedKeyspace, gocql.LocalQuorum, 4, 10*time.Second
	c.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy())
	bare, err := c.CreateSession()
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()

	random := rand.NewChaCha8([32]byte{7})
	body := func() []byte {
		val := make([]byte, size)
		random.Read(val)
		return val
	}
	id := func(i int) segment.ID { return segment.ID{Event: "e", Pipeline: "a", Rendition: "v", Number: int64(i)} }
	store := func(ctx context.Context, i int, val []byte) error {
		_, err := segments.Put(ctx, id(i), val, storage.Meta{}, keep)
		return err
	}
	direct := func(ctx context.Context, i int, val []byte) error {
		var chunks sync.WaitGroup
		errs := make(chan error, size/storage.DefaultChunkSize+1)
		put := func(table, part, name string, val []byte) {
			errs <- bare.Query("INSERT INTO "+table+" (part, name, val) VALUES (?, ?, ?) USING TTL ?", part, name, val, int(keep.Seconds())).
				WithContext(ctx).Exec()
		}
		for at := 0; at < size; at += storage.DefaultChunkSize {
			part := val[at : at+storage.DefaultChunkSize]
			chunks.Go(func() { put("chunks", "bare/"+strconv.Itoa(i)+"/"+strconv.Itoa(at), "", part) })
		}
		chunks.Wait()
		put("commits", "bare/"+strconv.Itoa(i), "a", val[:200])
		for range cap(errs) {
			if err := <-errs; err != nil {
				return err
			}
		}
		return nil
	}

	n := 0
	timed := func(write func(context.Context, int, []byte) error) time.Duration {
		val := body()
		n++
		start := time.Now()
		if err := write(b.Context(), n, val); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	for range 30 { // a cold virtual machine misleads
		timed(store)
		timed(direct)
	}
	for b.Loop() {
		ours, theirs := make([]time.Duration, pairs), make([]time.Duration, pairs)
		for i := range pairs {
			if i%2 == 0 {
				ours[i], theirs[i] = timed(store), timed(direct)
			} else {
				theirs[i], ours[i] = timed(direct), timed(store)
			}
		}
		low, high := interval(ours, theirs)
		b.ReportMetric(ratio(ours, theirs), "p50-ratio")
		b.ReportMetric(low, "ratio-low")
		b.ReportMetric(high, "ratio-high")
		b.ReportMetric(ms(median(ours)), "store-p50-ms")
		b.ReportMetric(ms(median(theirs)), "bare-p50-ms")
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}

func ratio(a, b []time.Duration) float64 { return float64(median(a)) / float64(median(b)) }

// interval is the bootstrap's 95 % interval of the ratio of medians, pairs drawn together.
func interval(a, b []time.Duration) (low, high float64) {
	random := rand.New(rand.NewPCG(7, 7))
	ratios := make([]float64, 2000)
	x, y := make([]time.Duration, len(a)), make([]time.Duration, len(b))
	for r := range ratios {
		for i := range x {
			j := random.IntN(len(a))
			x[i], y[i] = a[j], b[j]
		}
		ratios[r] = ratio(x, y)
	}
	slices.Sort(ratios)
	return ratios[len(ratios)*25/1000], ratios[len(ratios)*975/1000]
}

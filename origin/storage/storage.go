// Package storage keeps segments in two kv.Stores: the body in chunks, each under a digest that fixes its bytes, and then the
// Commit that makes the copy readable. A reader gets a whole segment or none, whatever happens to the writer. The package
// decides neither which copy is served nor when; it retries and hedges nothing itself: that is what the stores it is given
// are decorated with, so that each chunk is retried and hedged on its own.
package storage

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

// DefaultChunkSize is the chunk size where none is configured. Measured by BenchmarkChunkSizes of package kv/cassandra: a 2 MiB
// segment into three nodes of Cassandra 5.0.5 with three replicas at LOCAL_QUORUM, 300 writes of each size in turn, clients and
// nodes on one machine of two cores that had other work too: median 82 ms in chunks of 64 KiB, 59 of 128 KiB, 59 of 256 KiB,
// 58 of 512 KiB, 56 of 1 MiB, 54 ms whole; the 99th percentiles (0.6 to 1.0 s) are in no order. So small chunks cost, and from
// 128 KiB on the size makes no difference that could be told. 512 KiB, four chunks of such a segment, spreads it over the
// cluster, lets each part be retried and hedged by itself, and stays under the 1 MiB that memcached takes by default.
const DefaultChunkSize = 512 << 10

// parallel is how many chunks of one segment are in flight at a time: those of the largest usual segment (4 MiB) at once,
// while a 32 MiB one can not take all the connections of a pool.
const parallel = 8

// fromCache is how many chunks of one segment are read at a time as long as a cache has them. A chunk that has just been read and verified is in
// the processor's cache; read further ahead, the bytes of this request and of those beside it drive it out before it is written to its reader.
// Measured by BenchmarkCacheAgainstNginx, chunks of 512 KiB on a core with 2 MiB of second-level cache, as throughput against nginx's, with
// 95 % intervals: one at a time 0.86 (0.83 to 0.89), two 0.78 (0.75 to 0.80). It costs a cache's round trip for each further chunk, which is
// little beside the time that 512 KiB take.
const fromCache = 1

// What callers branch on; the errors of this package wrap them or those of package kv.
var (
	// ErrCorrupt: bytes came back that are not those that were written, from the cache and from the store behind it.
	ErrCorrupt = errors.New("storage: corrupt")
	// ErrTorn: a Commit is there, a chunk that it names is not.
	ErrTorn = errors.New("storage: torn segment")
)

// Config says where segments are kept.
type Config struct {
	Commits, Chunks kv.Store
	// Peek reads commits from the cache alone, as kv.Cache does: nil where the cache has none. It is nil if there is no cache.
	Peek func(ctx context.Context, keys []kv.Key) ([][]byte, error)
	// ChunkSize in bytes: a larger body is split. 0 means DefaultChunkSize, a negative number never to split.
	ChunkSize int
}

// Segments keeps segments. It is safe for concurrent use; make it with New.
type Segments struct {
	commits, chunks kv.Store
	peek            func(ctx context.Context, keys []kv.Key) ([][]byte, error)
	chunkSize       int

	stats struct {
		puts, polls, pollKeys, peeks, peekKeys, peekTrips, bodies, chunkReads, repaired atomic.Int64
	}
}

// Stats counts what Segments did since it was made.
type Stats struct {
	Puts       int64 `json:"puts"`        // bodies handed to Put
	Polls      int64 `json:"polls"`       // calls of Candidates
	PollKeys   int64 `json:"poll_keys"`   // commits they asked for
	Peeks      int64 `json:"peeks"`       // segments that Peek looked for: the cache alone
	PeekKeys   int64 `json:"peek_keys"`   // commits it asked for
	PeekTrips  int64 `json:"peek_trips"`  // calls of Peek, each of which looks for many segments at once
	Bodies     int64 `json:"bodies"`      // bodies handed out
	ChunkReads int64 `json:"chunk_reads"` // chunks they asked for; inline bodies need none
	Repaired   int64 `json:"repaired"`    // damaged values that were replaced by a second read past the cache
}

// New returns Segments over the stores of cfg.
func New(cfg Config) *Segments {
	return &Segments{commits: cfg.Commits, chunks: cfg.Chunks, peek: cfg.Peek, chunkSize: cmp.Or(cfg.ChunkSize, DefaultChunkSize)}
}

// Stats returns the counts so far.
func (s *Segments) Stats() Stats {
	return Stats{
		Puts: s.stats.puts.Load(), Polls: s.stats.polls.Load(), PollKeys: s.stats.pollKeys.Load(),
		Peeks: s.stats.peeks.Load(), PeekKeys: s.stats.peekKeys.Load(), PeekTrips: s.stats.peekTrips.Load(),
		Bodies: s.stats.bodies.Load(), ChunkReads: s.stats.chunkReads.Load(), Repaired: s.stats.repaired.Load(),
	}
}

// Cached reports whether there is a cache that Peek can ask.
func (s *Segments) Cached() bool { return s.peek != nil }

// commitKey keeps the candidates of one segment together: all of them are read as one poll.
func commitKey(id segment.ID) kv.Key {
	number := "init"
	if id.Number != segment.Init {
		number = strconv.FormatInt(id.Number, 10)
	}
	return kv.Key{Part: id.Event + "/" + id.Rendition + "/" + number, Name: id.Pipeline}
}

// key names a chunk by the digest of the body as far as the chunk's end, and by the chunk's size: equal keys are equal bytes. It spreads
// chunks over the cluster, and makes a second write of the same bytes the same write.
func (ch chunk) key() kv.Key {
	return kv.Key{Part: hex.EncodeToString(ch.digest[:]) + "/" + strconv.FormatInt(ch.size, 10)}
}

// Put keeps body as id.Pipeline's copy of id for at least keep, in place of any earlier one. After a nil error it is readable
// as a whole from every node; after an error either that or the state before, never a part. Neither side changes body
// afterwards. Put never skips a chunk that seems to exist: its life would be the old one's.
func (s *Segments) Put(ctx context.Context, id segment.ID, body []byte, meta Meta, keep time.Duration) (*Commit, error) {
	now := time.Now()
	ctx = kv.WithBegan(ctx, now)
	s.stats.puts.Add(1)
	published := time.Unix(0, now.UnixNano()) // as it is read back: without the monotonic clock
	c := &Commit{ID: id, Meta: meta, Size: int64(len(body)), Published: published, Until: published.Add(keep)}
	if s.chunkSize < 0 || len(body) <= s.chunkSize {
		c.inline, c.sum = body, sumOf(body)
		c.Digest = sha256.Sum256(body)
	} else if err := s.putChunks(ctx, c, body, keep+segment.Budget); err != nil {
		return nil, fmt.Errorf("storage: put %v: %w", id, err)
	}
	if err := s.commits.Put(ctx, commitKey(id), c.encode(), keep); err != nil {
		return nil, fmt.Errorf("storage: put %v: commit: %w", id, err)
	}
	return c, nil
}

// putChunks writes body in chunks and fills in c. The body is hashed once, in passing: whichever goroutine comes next hashes the next
// chunk, hands the hash on, and writes its chunk while the following one is hashed. Chunks are so begun one after the other; hashing
// each by itself and then the whole began them at once and yet was slower, since a processor that hashes is one that sends nothing
// (BenchmarkSegmentAgainstBareDriver of package kv/cassandra).
func (s *Segments) putChunks(ctx context.Context, c *Commit, body []byte, keep time.Duration) error {
	c.chunks = make([]chunk, (len(body)+s.chunkSize-1)/s.chunkSize)
	var mu sync.Mutex // guards hash and hashed
	hash, hashed := sha256.New(), 0
	err := each(ctx, len(c.chunks), func(ctx context.Context, _ int) error {
		mu.Lock()
		i := hashed
		hashed++
		part := body[i*s.chunkSize : min(len(body), (i+1)*s.chunkSize)]
		hash.Write(part)
		c.chunks[i].size = int64(len(part))
		hash.Sum(c.chunks[i].digest[:0])
		mu.Unlock()

		c.chunks[i].sum = sumOf(part)
		if err := s.chunks.Put(ctx, c.chunks[i].key(), part, keep); err != nil {
			return fmt.Errorf("chunk %d of %d: %w", i+1, len(c.chunks), err)
		}
		return nil
	})
	c.Digest = c.chunks[len(c.chunks)-1].digest
	return err
}

// each calls do for 0 to n-1, at most parallel at a time, and returns when all calls have. The first error ends the others'
// context and is returned; what was not begun by then is not.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var first error
	var once sync.Once
	var wg sync.WaitGroup
	for range min(n, parallel) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				err := context.Cause(ctx)
				if err == nil {
					err = do(ctx, i)
				}
				if err != nil {
					once.Do(func() { first = err })
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return first
}

// Candidates reads the commits of id from the store, those of all pipelines at once: one poll. The result has an entry for
// each pipeline, in their order, nil where there is no copy. Where commits could not be read the error says why; the entries
// of the others are still good.
func (s *Segments) Candidates(ctx context.Context, id segment.ID, pipelines []string) ([]*Commit, error) {
	s.stats.polls.Add(1)
	s.stats.pollKeys.Add(int64(len(pipelines)))
	found := make([]*Commit, len(pipelines))
	errs := make([]error, len(pipelines))
	one := func(i int) { found[i], errs[i] = s.commit(ctx, id.Candidate(pipelines[i])) }
	var wg sync.WaitGroup
	for i := 1; i < len(pipelines); i++ {
		wg.Go(func() { one(i) })
	}
	if len(pipelines) > 0 {
		one(0)
	}
	wg.Wait()
	for i, err := range errs {
		if errors.Is(err, kv.ErrNotFound) {
			errs[i] = nil
		}
	}
	return found, errors.Join(errs...)
}

// An Ask names a segment and the pipelines whose commits are asked for.
type Ask struct {
	ID        segment.ID
	Pipelines []string
}

// Peek is Candidates for many segments at once and from the cache alone: found[i][k] is the copy of asks[i] by its k-th
// pipeline. What the cache does not have, or has damaged, counts as not there; without a cache that is everything. After an
// error, too, the entries that are not nil are good.
func (s *Segments) Peek(ctx context.Context, asks []Ask) (found [][]*Commit, err error) {
	found = make([][]*Commit, len(asks))
	var keys []kv.Key
	for i, ask := range asks {
		found[i] = make([]*Commit, len(ask.Pipelines))
		for _, pipeline := range ask.Pipelines {
			keys = append(keys, commitKey(ask.ID.Candidate(pipeline)))
		}
	}
	if s.peek == nil || len(keys) == 0 {
		return found, nil
	}
	s.stats.peeks.Add(int64(len(asks)))
	s.stats.peekKeys.Add(int64(len(keys)))
	s.stats.peekTrips.Add(1)
	vals, err := s.peek(ctx, keys)
	n := 0
	for i, ask := range asks {
		for k, pipeline := range ask.Pipelines {
			if val := vals[n]; val != nil {
				if c, err := decodeOf(ask.ID.Candidate(pipeline), val); err == nil { // else the poll of the store behind repairs it
					found[i][k] = c
				}
			}
			n++
		}
	}
	if err != nil {
		return found, fmt.Errorf("storage: peek at %d segments: %w", len(asks), err)
	}
	return found, nil
}

// commit reads one commit; a damaged one is read again past the cache.
func (s *Segments) commit(ctx context.Context, id segment.ID) (*Commit, error) {
	c, err := s.readCommit(ctx, id)
	if errors.Is(err, ErrCorrupt) {
		if c, err = s.readCommit(kv.WithoutCache(ctx), id); err == nil {
			s.stats.repaired.Add(1)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("storage: commit of %v: %w", id, err)
	}
	return c, nil
}

func (s *Segments) readCommit(ctx context.Context, id segment.ID) (*Commit, error) {
	val, err := s.commits.Get(ctx, commitKey(id))
	if err != nil {
		return nil, err
	}
	return decodeOf(id, val)
}

func decodeOf(id segment.ID, val []byte) (*Commit, error) {
	c, err := decode(val)
	if err == nil && c.ID != id {
		return nil, fmt.Errorf("%w: the commit of %v", ErrCorrupt, c.ID)
	}
	return c, err
}

// Body returns the bytes of c, all of them and each verified, or an error that wraps ErrTorn, ErrCorrupt or the store's. A
// chunk whose bytes do not match is read once more past the cache. The caller does not change the result.
func (s *Segments) Body(ctx context.Context, c *Commit) (body []byte, err error) {
	err = s.BodyInto(ctx, c, nil, func(there []byte) { body = there })
	if err != nil {
		return nil, err
	}
	return body, nil
}

// BodyInto is Body with the bytes of chunks put into buf, if it has room for them, and handed out while later ones are still being
// read: arrived is called with the beginning of the body as far as it is there, each time with more than the time before and, before a nil
// error, with all of it. Every byte that it is given is verified, and is not written to again. Its calls come one after another, and BodyInto
// waits for them. Once BodyInto has returned, with an error too, nothing of it writes to buf any more. A body that is inline stays where
// its Commit is, and comes whole.
func (s *Segments) BodyInto(ctx context.Context, c *Commit, buf []byte, arrived func(beginning []byte)) error {
	var err error
	if len(c.chunks) > 0 {
		err = s.readChunks(ctx, c, buf, arrived)
	} else {
		var body []byte
		if body, err = s.inline(ctx, c); err == nil {
			arrived(body)
		}
	}
	if err != nil {
		return fmt.Errorf("storage: body of %v: %w", c.ID, err)
	}
	s.stats.bodies.Add(1)
	return nil
}

// inline returns the body that is kept in its Commit.
func (s *Segments) inline(ctx context.Context, c *Commit) ([]byte, error) {
	if sumOf(c.inline) == c.sum {
		return c.inline, nil
	}
	again, err := s.readCommit(kv.WithoutCache(ctx), c.ID)
	switch {
	case err != nil:
		return nil, err
	case again.Digest != c.Digest || len(again.chunks) > 0 || sumOf(again.inline) != again.sum:
		return nil, fmt.Errorf("%w: the body in the commit does not match its sum", ErrCorrupt)
	}
	s.stats.repaired.Add(1)
	return again.inline, nil
}

// readChunks reads the chunks of c into body, beginning with them in order, and tells arrived. While a cache has them, fromCache are in flight at a
// time. From its first miss on, and without a cache at all, parallel of them are: the store behind has a slow answer to each, and all are to be
// there as soon as possible.
func (s *Segments) readChunks(ctx context.Context, c *Commit, body []byte, arrived func([]byte)) error {
	if int64(len(body)) < c.Size {
		body = make([]byte, c.Size)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	atOnce := parallel
	missed := make(chan struct{}, 1)
	if s.Cached() {
		atOnce = fromCache
		ctx = kv.WithMiss(ctx, func() {
			select {
			case missed <- struct{}{}:
			default:
			}
		})
	}
	type result struct {
		chunk int
		err   error
	}
	results := make(chan result, len(c.chunks))
	there := make([]bool, len(c.chunks)) // chunks by number
	var begun, ended, first int          // how many; the first that is not there
	var next, end, told int64            // bytes: before the next chunk to begin; there in one piece; of these, handed out
	var failed error
	for {
		for failed == nil && begun < len(c.chunks) && begun-ended < atOnce {
			i, part := begun, body[next:next+c.chunks[begun].size]
			go func() { results <- result{i, s.chunk(ctx, c.chunks[i], part)} }()
			next += c.chunks[begun].size
			begun++
		}
		if end > told && failed == nil {
			arrived(body[:end:end])
			told = end
		}
		if ended == begun {
			return failed
		}
		select {
		case <-missed:
			atOnce = parallel
		case r := <-results:
			ended++
			if failed != nil {
				break
			}
			if r.err != nil {
				failed = fmt.Errorf("chunk %d of %d: %w", r.chunk+1, len(c.chunks), r.err)
				cancel() // the others
				break
			}
			for there[r.chunk] = true; first < len(there) && there[first]; first++ {
				end += c.chunks[first].size
			}
		}
	}
}

// chunk puts bytes that match ch into part, which has its size, or returns an error.
func (s *Segments) chunk(ctx context.Context, ch chunk, part []byte) error {
	s.stats.chunkReads.Add(1)
	ctx = kv.WithBuffer(ctx, part)
	val, err := s.chunks.Get(ctx, ch.key())
	if err == nil && !ch.matches(val) {
		if val, err = s.chunks.Get(kv.WithoutCache(ctx), ch.key()); err == nil && ch.matches(val) {
			s.stats.repaired.Add(1)
		}
	}
	switch {
	case errors.Is(err, kv.ErrNotFound):
		return fmt.Errorf("%w: %w", ErrTorn, err)
	case err != nil:
		return err
	case !ch.matches(val):
		return fmt.Errorf("%w: %d bytes do not match their sum", ErrCorrupt, len(val))
	}
	if len(val) > 0 && &val[0] != &part[0] { // the store had no use for the buffer
		copy(part, val)
	}
	return nil
}

func (ch chunk) matches(val []byte) bool {
	return int64(len(val)) == ch.size && sumOf(val) == ch.sum
}

// zoneLate is how long a write to a cache zone may be under way (package kv gives it a second), and how much longer than asked a zone
// keeps a value that counts in whole seconds: a Commit that another one has
// overtaken meanwhile must have left the zone by the time it counts as settled.
const zoneLate = time.Second

// CommitKeep says how long a cache keeps a commit: until it ends if it is sound and has settled, until a second before it settles if
// it is younger, and for half of policy.SettleFor if it is flawed. A value that is no Commit is not kept. It has the form of kv.CacheConfig's Keep.
func CommitKeep(_ kv.Key, val []byte, asked time.Duration) time.Duration {
	c, err := decode(val)
	if err != nil {
		return 0
	}
	now := time.Now()
	left := c.Until.Sub(now)
	if asked > 0 {
		left = min(left, asked)
	}
	return policy.Settled(now.Sub(c.Published)+zoneLate, c.Meta.Flaws, left)
}

// ChunkKeep says how long a cache keeps a chunk: as long as it was asked to be kept, and one that was read from the store
// for a usual DVR window. Chunks never change, so a cache that keeps one for longer than the store is not wrong.
func ChunkKeep(_ kv.Key, _ []byte, asked time.Duration) time.Duration {
	return cmp.Or(asked, policy.DefaultDVR)
}

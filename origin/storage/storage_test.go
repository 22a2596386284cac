package storage_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
)

var id = segment.ID{Event: "ev", Pipeline: "a", Rendition: "v1", Number: 7}

// bodyOf returns a body without equal chunks that depends on seed.
func bodyOf(seed uint64, size int) []byte {
	b := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	rng.Read(b)
	return b
}

// recorder keeps the operations that passed it.
type recorder struct {
	mu  sync.Mutex // guards ops
	ops []kv.Op
}

func (r *recorder) around(ctx context.Context, op kv.Op, do func(context.Context) error) error {
	r.mu.Lock()
	r.ops = append(r.ops, op)
	r.mu.Unlock()
	return do(ctx)
}

func read(t *testing.T, s *storage.Segments, id segment.ID) ([]byte, *storage.Commit) {
	t.Helper()
	found, err := s.Candidates(t.Context(), id.Asked(), []string{id.Pipeline})
	if err != nil {
		t.Fatalf("Candidates(%v): %v", id, err)
	}
	if found[0] == nil {
		return nil, nil
	}
	b, err := s.Body(t.Context(), found[0])
	if err != nil {
		t.Fatalf("Body(%v): %v", id, err)
	}
	return b, found[0]
}

func TestPutAndRead(t *testing.T) {
	const size = 1000
	for _, n := range []int{0, 1, size - 1, size, size + 1, 2*size - 1, 2 * size, 20*size + 3} {
		for _, chunkSize := range []int{size, -1} {
			t.Run(fmt.Sprintf("%d bytes in chunks of %d", n, chunkSize), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					rec := &recorder{}
					store := kv.Inject(&mem.Store{}, rec.around)
					s := storage.New(storage.Config{Commits: store, Chunks: store, ChunkSize: chunkSize})
					body := bodyOf(1, n)
					put, err := s.Put(t.Context(), id, body, storage.Meta{Flaws: policy.Short}, time.Hour)
					if err != nil {
						t.Fatal(err)
					}
					chunks := 0
					if chunkSize > 0 && n > size {
						chunks = (n + size - 1) / size
					}
					if len(rec.ops) != chunks+1 || put.Chunks() != chunks {
						t.Errorf("%d operations, %d chunks, want %d and %d", len(rec.ops), put.Chunks(), chunks+1, chunks)
					}
					keys := map[kv.Key]bool{} // of the chunks, which may be written in any order
					for at := 0; chunks > 0 && at < n; at += size {
						end := min(n, at+size)
						keys[kv.Key{Part: fmt.Sprintf("%x/%d", sha256.Sum256(body[:end]), end-at)}] = true
					}
					for i, op := range rec.ops {
						keep := time.Hour + segment.Budget
						if i == len(rec.ops)-1 {
							keys, keep = map[kv.Key]bool{{Part: "ev/v1/7", Name: "a"}: true}, time.Hour
						}
						if !keys[op.Key] || op.Keep != keep || !op.Began.Equal(time.Now()) {
							t.Errorf("operation %d: key %v, keep %v, began %v, want one of %v, %v, now", i, op.Key, op.Keep, op.Began, keys, keep)
						}
						delete(keys, op.Key)
					}
					got, c := read(t, s, id)
					if !bytes.Equal(got, body) {
						t.Errorf("read %d bytes, not those that were put", len(got))
					}
					if c.Digest != sha256.Sum256(body) || c.Size != int64(n) || c.Meta.Flaws != policy.Short || c.Sound() || c.ID != id ||
						!c.Published.Equal(time.Now()) || !c.Until.Equal(time.Now().Add(time.Hour)) || c.ETag() != put.ETag() {
						t.Errorf("Commit = %+v", c)
					}
				})
			})
		}
	}
}

// TestETag: the tag depends on the bytes alone.
func TestETag(t *testing.T) {
	store := &mem.Store{}
	body := bodyOf(1, 5000)
	var tags []string
	for _, chunkSize := range []int{-1, 100, 999, 0} {
		c, err := storage.New(storage.Config{Commits: store, Chunks: store, ChunkSize: chunkSize}).Put(t.Context(), id, body, storage.Meta{}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, c.ETag())
	}
	if tags = slices.Compact(tags); len(tags) != 1 || len(tags[0]) != 34 || tags[0][0] != '"' {
		t.Errorf("ETags of the same bytes: %v", tags)
	}
}

// TestChunksOfOneBody: nodes that cut the same body into chunks of different sizes do not disturb each other, though their chunks may
// end at the same byte.
func TestChunksOfOneBody(t *testing.T) {
	store := &mem.Store{}
	body := bodyOf(1, 1000)
	for pipeline, chunkSize := range map[string]int{"a": 100, "b": 200, "c": 300, "d": 500} {
		s := storage.New(storage.Config{Commits: store, Chunks: store, ChunkSize: chunkSize})
		if _, err := s.Put(t.Context(), id.Candidate(pipeline), body, storage.Meta{}, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for _, pipeline := range []string{"a", "b", "c", "d"} {
		if got, _ := read(t, storage.New(storage.Config{Commits: store, Chunks: store}), id.Candidate(pipeline)); !bytes.Equal(got, body) {
			t.Errorf("pipeline %s: read %d bytes, not those that were put", pipeline, len(got))
		}
	}
}

// TestChunksInFlight: no more than eight.
func TestChunksInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var now, most int
		slow := kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(10 * time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			return do(ctx)
		})
		s := storage.New(storage.Config{Commits: &mem.Store{}, Chunks: slow, ChunkSize: 100})
		began := time.Now()
		if _, err := s.Put(t.Context(), id, bodyOf(1, 2000), storage.Meta{}, time.Hour); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 30*time.Millisecond || most != 8 {
			t.Errorf("20 chunks of 10 ms took %v, %d at a time, want 30ms, 8 at a time", took, most)
		}
		began = time.Now()
		read(t, s, id)
		if took := time.Since(began); took != 30*time.Millisecond {
			t.Errorf("20 chunks of 10 ms read in %v, want 30ms", took)
		}
	})
}

// TestFirstErrorEndsTheOthers: a chunk that fails ends the writes in flight, and no Commit is written.
func TestFirstErrorEndsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		rec := &recorder{}
		chunks := kv.Inject(&mem.Store{}, rec.around, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			if len(*op.Val) < 100 { // the last
				return broken
			}
			<-ctx.Done()
			return ctx.Err()
		})
		commits := &mem.Store{}
		s := storage.New(storage.Config{Commits: commits, Chunks: chunks, ChunkSize: 100})
		_, err := s.Put(t.Context(), id, bodyOf(1, 450), storage.Meta{}, time.Hour)
		if !errors.Is(err, broken) || !strings.Contains(err.Error(), "/ev/a/v1/7.m4s") || !strings.Contains(err.Error(), "chunk 5 of 5") {
			t.Errorf("Put: %v, want what broke and where", err)
		}
		if n, _ := commits.Stats(); n != 0 {
			t.Errorf("%d commits", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Put(ctx, id, bodyOf(1, 800), storage.Meta{}, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Put past its deadline: %v", err)
		}
	})
}

// damage changes what a store returns, without changing what it holds.
type damage struct {
	kv.Store
	change func(kv.Key, []byte) ([]byte, error)
}

func (d *damage) Get(ctx context.Context, key kv.Key) ([]byte, error) {
	val, err := d.Store.Get(ctx, key)
	if err != nil || d.change == nil {
		return val, err
	}
	return d.change(key, bytes.Clone(val))
}

// TestDamage: whatever a store or a cache returns instead of what it was given, a reader gets the right bytes or an error; and
// the right bytes if only the cache is damaged.
func TestDamage(t *testing.T) {
	body := bodyOf(1, 950)
	other := bodyOf(2, 950)
	isCommit := func(k kv.Key) bool { return k.Name != "" }
	for _, tt := range []struct {
		name   string
		change func(k kv.Key, b []byte) ([]byte, error)
	}{
		{"a bit of a chunk", func(k kv.Key, b []byte) ([]byte, error) {
			if !isCommit(k) {
				b[len(b)/2] ^= 1
			}
			return b, nil
		}},
		{"a shorter chunk", func(k kv.Key, b []byte) ([]byte, error) {
			if !isCommit(k) {
				b = b[:len(b)-1]
			}
			return b, nil
		}},
		{"a longer chunk", func(k kv.Key, b []byte) ([]byte, error) {
			if !isCommit(k) {
				b = append(b, 0)
			}
			return b, nil
		}},
		{"an empty chunk", func(k kv.Key, b []byte) ([]byte, error) {
			if !isCommit(k) {
				b = nil
			}
			return b, nil
		}},
		{"no chunk", func(k kv.Key, b []byte) ([]byte, error) {
			if !isCommit(k) {
				return nil, kv.ErrNotFound
			}
			return b, nil
		}},
		{"a bit of the commit", func(k kv.Key, b []byte) ([]byte, error) {
			if isCommit(k) {
				b[len(b)/3] ^= 1
			}
			return b, nil
		}},
		{"the last byte of the commit", func(k kv.Key, b []byte) ([]byte, error) {
			if isCommit(k) {
				b[len(b)-1] ^= 1
			}
			return b, nil
		}},
		{"half a commit", func(k kv.Key, b []byte) ([]byte, error) {
			if isCommit(k) {
				b = b[:len(b)/2]
			}
			return b, nil
		}},
		{"nothing at all", func(kv.Key, []byte) ([]byte, error) { return nil, nil }},
	} {
		for _, chunkSize := range []int{100, -1} {
			t.Run(fmt.Sprintf("%s, chunks of %d", tt.name, chunkSize), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					zone, durable := &damage{Store: &mem.Store{}}, &damage{Store: &mem.Store{}}
					commits := kv.NewCache(durable, kv.CacheConfig{Zones: []kv.Store{zone}, Keep: storage.CommitKeep})
					chunks := kv.NewCache(durable, kv.CacheConfig{Zones: []kv.Store{zone}, Keep: storage.ChunkKeep, Ahead: true})
					defer commits.Close()
					defer chunks.Close()
					s := storage.New(storage.Config{Commits: commits, Chunks: chunks, Peek: commits.Peek, ChunkSize: chunkSize})
					if _, err := s.Put(t.Context(), id, body, storage.Meta{}, time.Hour); err != nil {
						t.Fatal(err)
					}
					if _, err := s.Put(t.Context(), id.Candidate("b"), other, storage.Meta{}, time.Hour); err != nil {
						t.Fatal(err)
					}
					zone.change = tt.change
					if got, _ := read(t, s, id); !bytes.Equal(got, body) {
						t.Errorf("with a damaged cache: read %d bytes, not those that were put", len(got))
					}
					if found, err := s.Peek(t.Context(), []storage.Ask{{ID: id.Asked(), Pipelines: []string{"a", "b"}}}); err != nil {
						t.Errorf("Peek: %v", err)
					} else if c := found[0][0]; c != nil && c.Digest != sha256.Sum256(body) {
						t.Errorf("Peek = %+v", c)
					}

					durable.change = tt.change
					found, err := s.Candidates(t.Context(), id.Asked(), []string{"a"})
					if err == nil && found[0] != nil {
						var got []byte
						if got, err = s.Body(t.Context(), found[0]); err == nil && !bytes.Equal(got, body) {
							t.Errorf("with a damaged store: read %d bytes, not those that were put", len(got))
						}
					}
					if err != nil && !errors.Is(err, storage.ErrCorrupt) && !errors.Is(err, storage.ErrTorn) {
						t.Errorf("with a damaged store: %v, want ErrCorrupt or ErrTorn", err)
					}
				})
			})
		}
	}
}

// TestMixedUpKeys: a store that returns another key's value is found out.
func TestMixedUpKeys(t *testing.T) {
	store := &mem.Store{}
	s := storage.New(storage.Config{Commits: store, Chunks: store})
	if _, err := s.Put(t.Context(), id, bodyOf(1, 10), storage.Meta{}, time.Hour); err != nil {
		t.Fatal(err)
	}
	val, err := store.Get(t.Context(), kv.Key{Part: "ev/v1/7", Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), kv.Key{Part: "ev/v1/8", Name: "a"}, val, time.Hour); err != nil {
		t.Fatal(err)
	}
	next := id
	next.Number = 8
	if _, err := s.Candidates(t.Context(), next.Asked(), []string{"a"}); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("Candidates = %v, want ErrCorrupt", err)
	}
}

// TestCandidates: one poll reads all, at once; one that fails takes nothing from the others.
func TestCandidates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		store := kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			if op.Write {
				return do(ctx)
			}
			time.Sleep(10 * time.Millisecond)
			if op.Key.Name == "c" {
				return broken
			}
			return do(ctx)
		})
		s := storage.New(storage.Config{Commits: store, Chunks: store})
		if _, err := s.Put(t.Context(), id.Candidate("d"), []byte("d"), storage.Meta{}, time.Hour); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		found, err := s.Candidates(t.Context(), id.Asked(), []string{"a", "b", "c", "d"})
		if !errors.Is(err, broken) {
			t.Errorf("Candidates: %v, want what broke", err)
		}
		if found[0] != nil || found[1] != nil || found[2] != nil || found[3] == nil || found[3].ID.Pipeline != "d" {
			t.Errorf("Candidates = %v, want d's", found)
		}
		if took := time.Since(began); took != 10*time.Millisecond {
			t.Errorf("Candidates took %v, want 10ms for all", took)
		}
		if st := s.Stats(); st.Polls != 1 || st.PollKeys != 4 || st.Peeks != 0 {
			t.Errorf("Stats = %+v, want one poll of four keys", st)
		}
		if found, err := s.Peek(t.Context(), []storage.Ask{{ID: id.Asked(), Pipelines: []string{"d"}}}); err != nil || found[0][0] != nil {
			t.Errorf("Peek without a cache = %v, %v", found, err)
		}
	})
}

// TestPeekIsCounted: segments, keys and exchanges with the cache are three counts.
func TestPeekIsCounted(t *testing.T) {
	nothing := func(_ context.Context, keys []kv.Key) ([][]byte, error) { return make([][]byte, len(keys)), nil }
	s := storage.New(storage.Config{Commits: &mem.Store{}, Chunks: &mem.Store{}, Peek: nothing})
	asks := []storage.Ask{{ID: id.Asked(), Pipelines: []string{"a", "b"}}, {ID: id.Asked(), Pipelines: []string{"a"}}}
	if _, err := s.Peek(t.Context(), asks); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Peeks != 2 || st.PeekKeys != 3 || st.PeekTrips != 1 {
		t.Errorf("Stats after Peek(%v) = %+v, want 2 segments, 3 keys, 1 exchange", asks, st)
	}
}

func TestCommitKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &mem.Store{}
		s := storage.New(storage.Config{Commits: store, Chunks: store})
		value := func(pipeline string, flaws policy.Flaws) []byte {
			if _, err := s.Put(t.Context(), id.Candidate(pipeline), []byte("x"), storage.Meta{Flaws: flaws}, time.Hour); err != nil {
				t.Fatal(err)
			}
			b, err := store.Get(t.Context(), kv.Key{Part: "ev/v1/7", Name: pipeline})
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		sound, flawed := value("a", 0), value("b", policy.Short)
		want := func(when string, val []byte, asked, want time.Duration) {
			t.Helper()
			if got := storage.CommitKeep(kv.Key{}, val, asked); got != want {
				t.Errorf("CommitKeep %s, asked for %v = %v, want %v", when, asked, got, want)
			}
		}
		want("when written", sound, time.Hour, 4*time.Second)
		want("when written, flawed", flawed, time.Hour, 2500*time.Millisecond)
		want("of what is no Commit", []byte("x"), time.Hour, 0)
		time.Sleep(6 * time.Second)
		want("once settled", sound, 0, time.Hour-6*time.Second)
		want("once settled, flawed", flawed, 0, 2500*time.Millisecond)
		time.Sleep(time.Hour - 8*time.Second)
		want("near its end", flawed, 0, 2*time.Second)
		if got := storage.ChunkKeep(kv.Key{}, nil, time.Minute); got != time.Minute {
			t.Errorf("ChunkKeep = %v, want as asked", got)
		}
		if got := storage.ChunkKeep(kv.Key{}, nil, 0); got != policy.DefaultDVR {
			t.Errorf("ChunkKeep of what was read = %v", got)
		}
	})
}

// TestWritersAndReaders: two nodes write different bytes under the same names, operations fail at random, before or after they took
// effect; readers see one or the other, whole.
func TestWritersAndReaders(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			commits, chunks := &mem.Store{}, &mem.Store{}
			node := func(n uint64, write bool) *storage.Segments {
				var mu sync.Mutex
				rng := rand.New(rand.NewPCG(seed, n))
				around := func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
					mu.Lock()
					d, fate := time.Duration(rng.IntN(1000))*time.Microsecond, rng.IntN(10)
					mu.Unlock()
					time.Sleep(d)
					switch {
					case write && fate == 0:
						return errors.New("lost on the way there")
					case write && fate == 1:
						return errors.Join(errors.New("lost on the way back"), do(ctx))
					}
					return do(ctx)
				}
				return storage.New(storage.Config{Commits: kv.Inject(commits, around), Chunks: kv.Inject(chunks, around), ChunkSize: 100})
			}
			var wg sync.WaitGroup
			const numbers = 20
			for n := range uint64(2) {
				wg.Go(func() {
					s := node(n, true)
					for i := range int64(numbers) {
						id := id
						id.Number = i
						for range 3 {
							if _, err := s.Put(t.Context(), id, bodyOf(n, 350), storage.Meta{}, time.Hour); err == nil {
								break
							}
						}
					}
				})
				wg.Go(func() {
					s := node(10+n, false)
					for range 10 {
						for i := range int64(numbers) {
							id := id
							id.Number = i
							if b, _ := read(t, s, id); b != nil && !bytes.Equal(b, bodyOf(0, 350)) && !bytes.Equal(b, bodyOf(1, 350)) {
								t.Errorf("seed %d: %v: %d bytes that nobody wrote as a whole", seed, id, len(b))
							}
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// chunkKey is the key of chunk i of a body in chunks of size.
func chunkKey(body []byte, size, i int) kv.Key {
	end := min(len(body), (i+1)*size)
	sum := sha256.Sum256(body[:end])
	return kv.Key{Part: fmt.Sprintf("%s/%d", hex.EncodeToString(sum[:]), end-i*size)}
}

// TestBodyArrives: in whatever order chunks come, and whichever of them fails, a body is handed out from its beginning on, right bytes only, each as
// soon as it and all before it are there; and when BodyInto has returned, nobody writes to its buffer.
func TestBodyArrives(t *testing.T) {
	const size, n = 100, 6
	body := bodyOf(1, n*size-30)
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		failing := rng.IntN(n + 1) // n: none
		times, index := rng.Perm(n), make(map[kv.Key]int)
		for i := range n {
			index[chunkKey(body, size, i)] = i
		}
		synctest.Test(t, func(t *testing.T) {
			store := &mem.Store{}
			chunks := kv.Inject(store, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
				if op.Write {
					return do(ctx)
				}
				i := index[op.Key]
				buf := kv.Buffer(ctx)
				for k := range buf {
					buf[k] = 0xff // a store may write anything until Get returns
				}
				select {
				case <-time.After(time.Duration(times[i]+1) * time.Millisecond):
				case <-ctx.Done():
					return ctx.Err()
				}
				if i == failing {
					return kv.ErrNotFound
				}
				return do(ctx)
			})
			s := storage.New(storage.Config{Commits: store, Chunks: chunks, ChunkSize: size})
			c, err := s.Put(t.Context(), id, body, storage.Meta{}, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			began, had := time.Now(), 0
			buf := make([]byte, 1000)
			err = s.BodyInto(t.Context(), c, buf, func(there []byte) {
				if len(there) <= had || !bytes.Equal(there, body[:len(there)]) || &there[0] != &buf[0] || cap(there) != len(there) {
					t.Errorf("seed %d: handed %d bytes after %d; want more of the body, in the buffer", seed, len(there), had)
				}
				latest := 0
				for i := range (len(there) + size - 1) / size {
					latest = max(latest, times[i]+1)
				}
				if took := time.Since(began); took != time.Duration(latest)*time.Millisecond {
					t.Errorf("seed %d: %d bytes handed out after %v, want %d ms", seed, len(there), took, latest)
				}
				had = len(there)
			})
			var want error
			if failing < n {
				want = storage.ErrTorn
			}
			if !errors.Is(err, want) || err == nil && had != len(body) || had > failing*size {
				t.Errorf("seed %d: BodyInto = %v after %d bytes, chunk %d failing; want %v", seed, err, had, failing, want)
			}
			if took, limit := time.Since(began), n*time.Millisecond; took > limit || failing < n && took != time.Duration(times[failing]+1)*time.Millisecond {
				t.Errorf("seed %d: BodyInto took %v, want %v at most, and no longer than the chunk that fails", seed, took, limit)
			}
			clear(buf)
			time.Sleep(time.Second)
			if !bytes.Equal(buf, make([]byte, len(buf))) {
				t.Errorf("seed %d: the buffer was written to after BodyInto had returned", seed)
			}
		})
	}
}

// TestCacheIsReadInOrder: while a cache answers, one chunk is read after the other; from its first miss on all are read at once, so that the store
// behind it takes no longer than it would alone.
func TestCacheIsReadInOrder(t *testing.T) {
	const size, n = 100, 6
	body := bodyOf(1, n*size)
	for _, tt := range []struct {
		name    string
		missing []int
		took    time.Duration
		most    int64 // reads under way at a time
	}{
		{"all there", nil, n * time.Millisecond, 1},
		{"none there", []int{0, 1, 2, 3, 4, 5}, (1 + 1 + 20) * time.Millisecond, n},
		{"the last lost", []int{5}, (n + 20) * time.Millisecond, 1},
		{"one lost", []int{2}, (3 + 20) * time.Millisecond, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lost := make(map[kv.Key]bool)
				for _, i := range tt.missing {
					lost[chunkKey(body, size, i)] = true
				}
				zone := kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
					if !op.Write {
						time.Sleep(time.Millisecond)
						if lost[op.Key] {
							return kv.ErrNotFound
						}
					}
					return do(ctx)
				})
				durable := kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
					if !op.Write {
						time.Sleep(20 * time.Millisecond)
					}
					return do(ctx)
				})
				cache := kv.NewCache(durable, kv.CacheConfig{Zones: []kv.Store{zone}, Keep: storage.ChunkKeep, Ahead: true})
				defer cache.Close()
				var now, most atomic.Int64
				counted := kv.Inject(cache, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
					most.Store(max(most.Load(), now.Add(1)))
					defer now.Add(-1)
					return do(ctx)
				})
				s := storage.New(storage.Config{Commits: &mem.Store{}, Chunks: counted, Peek: cache.Peek, ChunkSize: size})
				c, err := s.Put(t.Context(), id, body, storage.Meta{}, time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				most.Store(0)
				began := time.Now()
				got, err := s.Body(t.Context(), c)
				if took := time.Since(began); err != nil || !bytes.Equal(got, body) || took != tt.took || most.Load() != tt.most {
					t.Errorf("Body = %d bytes, %v, in %v with %d reads at a time; want %v and %d", len(got), err, took, most.Load(), tt.took, tt.most)
				}
			})
		})
	}
}

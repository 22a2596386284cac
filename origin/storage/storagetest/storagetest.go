// Package storagetest holds what package storage promises over any stores as tests that every pair of stores can run: that no
// reader ever sees a part of a segment, wherever its publisher stops, and what a chunk size costs.
package storagetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
)

// Nodes opens the stores of one deployment as a new process would: each call returns a node of its own (its own caches and
// connections, as far as that matters) over the same data, with around as the intercept of every single operation that
// reaches a store or a cache zone. What it starts is stopped by t.Cleanup.
type Nodes func(t testing.TB, around kv.Intercept) storage.Config

const (
	chunkSize = 1000
	bodySize  = 4*chunkSize + 1
	keep      = 10 * time.Minute
)

// A stop is a way in which a publisher stops at its k-th operation.
type stop struct {
	name string
	// around is called with the operations one at a time, until it ends the process by setting dead.
	around func(s *stopper, ctx context.Context, do func(context.Context) error) error
}

var errStopped = errors.New("storagetest: stopped here")

var stops = []stop{
	{"an error", func(*stopper, context.Context, func(context.Context) error) error { return errStopped }},
	{"an acknowledgement lost", func(_ *stopper, ctx context.Context, do func(context.Context) error) error {
		return errors.Join(errStopped, do(ctx))
	}},
	{"the context's end", func(s *stopper, ctx context.Context, do func(context.Context) error) error {
		s.cancel()
		return do(ctx)
	}},
	{"a kill before it", func(s *stopper, _ context.Context, _ func(context.Context) error) error {
		s.dead = true
		return errStopped
	}},
	{"a kill after it", func(s *stopper, ctx context.Context, do func(context.Context) error) error {
		s.dead = true
		return errors.Join(errStopped, do(ctx))
	}},
}

// stopper is the intercept of a publisher that stops at operation at, counted from 0; a negative one never stops.
type stopper struct {
	at     int
	how    stop
	cancel context.CancelFunc
	look   func() // called after each operation

	mu   sync.Mutex // guards the following, and serialises operations so that look sees every state there is
	ops  int
	dead bool // nothing that this process does reaches a store any more
}

func (s *stopper) around(ctx context.Context, op kv.Op, do func(context.Context) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return errStopped
	}
	k := s.ops
	s.ops++
	defer s.look()
	if k == s.at {
		return s.how.around(s, ctx, do)
	}
	return do(ctx)
}

// Torn stops a publisher, in every way, at every operation of a segment's write: of a new segment, and of a sound copy that
// replaces a flawed one. At each moment in between, a reader on another node finds the segment whole or not at all, and a
// second try afterwards succeeds.
func Torn(t *testing.T, nodes Nodes) {
	for _, chunkSize := range []int{chunkSize, -1} {
		for _, replace := range []bool{false, true} {
			name := fmt.Sprintf("chunks of %d, replace %v", chunkSize, replace)
			t.Run(name, func(t *testing.T) {
				tt := torn{T: t, nodes: nodes, chunkSize: chunkSize, replace: replace}
				ops := tt.stopAt(-1, stop{})
				want := 1 // the Commit
				if chunkSize > 0 {
					want += (bodySize + chunkSize - 1) / chunkSize
				}
				if ops < want {
					t.Fatalf("the write took %d operations, want at least %d: nodes does not put around in place", ops, want)
				}
				for _, how := range stops {
					t.Run(how.name, func(t *testing.T) {
						tt := torn{T: t, nodes: nodes, chunkSize: chunkSize, replace: replace}
						for at := range ops {
							tt.stopAt(at, how)
						}
					})
				}
			})
		}
	}
}

type torn struct {
	*testing.T
	nodes     Nodes
	chunkSize int
	replace   bool
}

func pass(ctx context.Context, _ kv.Op, do func(context.Context) error) error { return do(ctx) }

// open returns a node's Segments.
func (t *torn) open(around kv.Intercept) *storage.Segments {
	cfg := t.nodes(t, around)
	cfg.ChunkSize = t.chunkSize
	return storage.New(cfg)
}

// stopAt runs one case and returns how many operations the write took.
func (t *torn) stopAt(at int, how stop) (ops int) {
	t.Helper()
	id := segment.ID{Event: "torn-" + rand.Text(), Pipeline: "a", Rendition: "v", Number: 7}
	before, after := body(1), body(2)
	watcher := t.open(pass)
	allowed := [][]byte{nil}
	if t.replace {
		if _, err := t.open(pass).Put(t.Context(), id, before, storage.Meta{Flaws: policy.Slate}, keep); err != nil {
			t.Fatalf("Put of the first copy: %v", err)
		}
		allowed = [][]byte{before}
	}
	look := func(ctx context.Context, reader *storage.Segments, allowed ...[]byte) {
		t.Helper()
		got, err := read(context.WithoutCancel(ctx), reader, id) // also while the test is being cleaned up
		if err != nil {
			t.Errorf("stopped at %d by %s: a reader gets %v", at, how.name, err)
		} else if !slices.ContainsFunc(allowed, func(b []byte) bool { return bytes.Equal(got, b) }) {
			t.Errorf("stopped at %d by %s: a reader gets %d bytes, which is neither copy", at, how.name, len(got))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &stopper{at: at, how: how, cancel: cancel, look: func() { look(t.Context(), watcher, append(allowed, after)...) }}
	_, err := t.open(s.around).Put(ctx, id, after, storage.Meta{}, keep)
	s.mu.Lock()
	ops = s.ops
	s.mu.Unlock()
	if err != nil {
		if at < 0 {
			t.Fatalf("Put: %v", err)
		}
		look(t.Context(), watcher, append(allowed, after)...)
		if _, err := t.open(pass).Put(t.Context(), id, after, storage.Meta{}, keep); err != nil {
			t.Errorf("stopped at %d by %s: Put again: %v", at, how.name, err)
		}
	}
	// A node that has seen nothing so far finds the new copy. Only a cache zone that missed the write may have the replaced one
	// for a little longer.
	newcomer := t.open(pass)
	look(kv.WithoutCache(t.Context()), newcomer, after)
	if t.replace {
		look(t.Context(), newcomer, before, after)
	} else {
		look(t.Context(), newcomer, after)
	}
	return ops
}

// read returns the whole body of id's copy, nil if there is none.
func read(ctx context.Context, s *storage.Segments, id segment.ID) ([]byte, error) {
	found, err := s.Candidates(ctx, id.Asked(), []string{id.Pipeline})
	if err != nil || found[0] == nil {
		return nil, err
	}
	return s.Body(ctx, found[0])
}

func body(seed byte) []byte {
	b := make([]byte, bodySize)
	for i := range b {
		b[i] = seed + byte(i/7)
	}
	return b
}

// ChunkSizes benchmarks a segment's write and read over the stores that nodes opens, at each chunk size worth trying, from
// 64 KiB to the whole segment in its Commit. The sizes take turns in every iteration, so that what else the machine does
// strikes all of them; for each it reports the median and the 99th percentile in milliseconds. Run it with a -benchtime of
// at least 300x, or its percentiles are guesses.
func ChunkSizes(b *testing.B, nodes Nodes, segmentSize int) {
	type candidate struct {
		name        string
		segments    *storage.Segments
		write, read []time.Duration
	}
	var candidates []*candidate
	for _, size := range []int{64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, -1} {
		cfg := nodes(b, pass)
		cfg.ChunkSize = size
		c := &candidate{name: fmt.Sprintf("%dKiB", size>>10), segments: storage.New(cfg)}
		if size < 0 {
			c.name = "whole"
		}
		candidates = append(candidates, c)
	}
	id := segment.ID{Event: "bench-" + rand.Text(), Pipeline: "a", Rendition: "v"}
	content := make([]byte, segmentSize)
	b.SetBytes(int64(len(candidates)) * int64(segmentSize))
	for b.Loop() {
		for _, c := range candidates {
			fresh := slices.Clone(content) // a store may keep what it is given, and no chunk may be an earlier one's twin
			for at := 0; at+16 <= len(fresh); at += 16 << 10 {
				rand.Read(fresh[at : at+16])
			}
			id.Number++
			began := time.Now()
			if _, err := c.segments.Put(b.Context(), id, fresh, storage.Meta{}, keep); err != nil {
				b.Fatal(err)
			}
			written := time.Now()
			if got, err := read(b.Context(), c.segments, id); err != nil || len(got) != segmentSize {
				b.Fatalf("read = %d bytes, %v", len(got), err)
			}
			c.write = append(c.write, written.Sub(began))
			c.read = append(c.read, time.Since(written))
		}
	}
	for _, c := range candidates {
		for what, took := range map[string][]time.Duration{"write": c.write, "read": c.read} {
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, what+"-p50-ms/"+c.name)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, what+"-p99-ms/"+c.name)
		}
	}
}

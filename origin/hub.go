package origin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
)

// What Hub.Wait returns other than a segment.
var (
	// ErrAbsent: the deadline passed, and the store said after the segment was due that there is no copy.
	ErrAbsent = errors.New("origin: not published by its deadline")
	// ErrHoldsFull: as many requests are held as the node allows.
	ErrHoldsFull = errors.New("origin: too many requests held")
)

// A Segment is one copy of a segment with its bytes, which nobody changes.
type Segment struct {
	*storage.Commit
	Body []byte
}

// A Hub knows who waits for what. However many wait for a segment, one poll looks for it, its bytes are fetched once, and
// all are given the same; when the last has left, the poll ends. It is safe for concurrent use; make it with NewHub.
type Hub struct {
	segments *storage.Segments
	limit    int64
	log      *slog.Logger
	waits    flights[segment.ID, *Segment]

	holding, most atomic.Int64
}

// NewHub returns a Hub over segments that lets at most limit requests wait at a time; 0 means 10,000. A nil log discards.
func NewHub(segments *storage.Segments, limit int, log *slog.Logger) *Hub {
	return &Hub{segments: segments, limit: int64(cmp.Or(limit, 10_000)), log: logger(log)}
}

// Wait returns the copy of segment id, published by one of pipelines, as soon as it can be read. Else it returns ErrAbsent
// once the deadline has passed; ErrHoldsFull at once; ctx's error when ctx is done; and another error if the deadline
// passed while the store could not be asked. The caller has made sure that id is next or overdue.
func (h *Hub) Wait(ctx context.Context, r policy.Rendition, id segment.ID, pipelines []string) (*Segment, error) {
	n := h.holding.Add(1)
	defer h.holding.Add(-1)
	if n > h.limit {
		return nil, ErrHoldsFull
	}
	for most := h.most.Load(); n > most && !h.most.CompareAndSwap(most, n); most = h.most.Load() {
	}
	seg, _, err := h.waits.do(ctx, id, func(ctx context.Context) (*Segment, error) {
		w := wait{hub: h, r: r, id: id, pipelines: pipelines, seen: make(chan []*storage.Commit)}
		return w.run(ctx)
	})
	return seg, err
}

// Holding returns how many requests are held now, and how many were at most.
func (h *Hub) Holding() (now, most int64) { return h.holding.Load(), h.most.Load() }

// Close returns when every poll has ended. It is called when nobody waits any more.
func (h *Hub) Close() { h.waits.wait() }

// wait looks for one awaited segment.
type wait struct {
	hub       *Hub
	r         policy.Rendition
	id        segment.ID
	pipelines []string
	seen      chan []*storage.Commit // what a poll found, if there is something to serve

	mu        sync.Mutex // guards the following
	asked     bool       // the store answered a poll that was begun after the segment was due
	lastError error      // of the last poll of the store; nil if it was answered
}

// fetchAgain is how long to wait before bytes are fetched again that could not be: longer than a poll's distance, so that a
// segment that can not be read is not asked for two hundred times a second.
const fetchAgain = 100 * time.Millisecond

func (w *wait) run(ctx context.Context) (*Segment, error) {
	polling, cancel := context.WithDeadline(ctx, w.r.Template.Deadline(w.id.Number))
	var pollers sync.WaitGroup
	defer pollers.Wait()
	defer cancel()
	if w.hub.segments.Cached() {
		pollers.Go(func() { w.poll(polling, policy.Cache) })
		pollers.Go(func() { w.poll(polling, policy.Behind) })
	} else {
		pollers.Go(func() { w.poll(polling, policy.Alone) })
	}
	for {
		select {
		case found := <-w.seen:
			// Fetching may outlast the deadline by a little: the segment was published before it.
			seg, err := read(ctx, w.hub.segments, w.choose(found))
			if err == nil {
				return seg, nil
			}
			w.hub.log.Warn("an awaited segment is published but can not be read", "segment", w.id, "err", err)
			sleep(polling, fetchAgain)
		case <-polling.Done():
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return nil, w.verdict()
		}
	}
}

// verdict is what the deadline means. Without a word from the store, "never published" would be a guess, and edges would
// keep it.
func (w *wait) verdict() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked {
		return ErrAbsent
	}
	return fmt.Errorf("origin: %v: the store was not heard before the deadline: %w", w.id, cmp.Or(w.lastError, context.DeadlineExceeded))
}

// choose puts the copies of found in the order in which they are to be tried.
func (w *wait) choose(found []*storage.Commit) []*storage.Commit {
	return ranked(found, w.r.Patient(time.Now(), w.id.Number))
}

// ranked returns the copies in found that may be served, the best first; while patient that may be none.
func ranked(found []*storage.Commit, patient bool) []*storage.Commit {
	copies := make([]policy.Copy, len(found))
	for i, c := range found {
		if c != nil {
			copies[i] = policy.Copy{Present: true, Flaws: c.Meta.Flaws}
		}
	}
	var best []*storage.Commit
	for i := policy.Choose(copies, patient); i >= 0; i = policy.Choose(copies, false) {
		best = append(best, found[i])
		copies[i].Present = false
	}
	return best
}

// read returns the first of commits whose body can be read.
func read(ctx context.Context, segments *storage.Segments, commits []*storage.Commit) (*Segment, error) {
	ctx, cancel := context.WithTimeout(ctx, segment.Budget)
	defer cancel()
	var errs []error
	for _, c := range commits {
		body, err := segments.Body(ctx, c)
		if err == nil {
			return &Segment{Commit: c, Body: body}, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// poll asks source on its schedule, and hands over what it finds until polling ends.
func (w *wait) poll(ctx context.Context, source policy.Source) {
	look := w.hub.segments.Candidates
	switch source {
	case policy.Cache:
		look = w.hub.segments.Peek
	case policy.Behind:
		ctx = kv.WithoutCache(ctx) // the cache has its own poll; this one is for what the cache lost
	}
	t, n := w.r.Template, w.id.Number
	var began time.Time
	for at, ok := policy.NextPoll(t, n, source, began); ok; at, ok = policy.NextPoll(t, n, source, began) {
		if !sleep(ctx, time.Until(at)) {
			return
		}
		began = time.Now()
		found, err := look(ctx, w.id, w.pipelines)
		if source != policy.Cache {
			w.note(began, err)
		}
		if len(w.choose(found)) == 0 {
			continue
		}
		select {
		case w.seen <- found:
		case <-ctx.Done():
			return
		}
	}
}

// note keeps what the polls of the store were answered.
func (w *wait) note(began time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lastError = err
	if err == nil && !began.Before(w.r.Template.Due(w.id.Number)) {
		w.asked = true
	}
}

// sleep waits for d; false if ctx was done before.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

package origin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
)

// wait looks for one awaited segment.
type wait struct {
	hub       *hub
	r         policy.Rendition
	id        segment.ID
	pipelines func() (names []string, coming bool)
	seen      chan []*storage.Commit // what a poll found, if there is something to serve; the first find waits here
	looked    chan struct{}          // closed when the cache was asked for the first time, and has nothing
	ended     chan struct{}          // closed when it is no longer to come
	began     time.Time              // when run began
	end       sync.Once              // closes ended
	peeked    time.Time              // when the last poll of the cache began; guarded by the hub's mu

	mu        sync.Mutex // guards the following
	heard     heard
	lastError error // of the last poll of the store; nil if it was answered, or if none has ended
}

// fetchAgain is how long to wait before bytes are fetched again that could not be: longer than a poll's distance, so that a
// segment that can not be read is not asked for two hundred times a second.
const fetchAgain = 100 * time.Millisecond

// headStart is how long the cache has, when somebody comes late, to answer before the store behind it is asked, too. Who comes
// for a segment that was published already nearly always finds it there, within a millisecond or two.
const headStart = 20 * time.Millisecond

// heard is what the polls of the store have told of a segment that was not found so far.
type heard struct {
	polls int64
	last  time.Time // when the last one began
	asked bool      // one that was begun after the segment was due found no copy to serve
}

// run gives fl the segment, or returns why there is none.
func (w *wait) run(ctx context.Context, fl *flight[segment.ID, *segmentCopy]) error {
	w.began = time.Now()
	polling, cancel := context.WithDeadline(ctx, w.r.Template.Deadline(w.id.Number))
	var pollers sync.WaitGroup
	found := false
	defer func() {
		cancel()
		pollers.Wait()
		if found { // should it be awaited again, what the store said before no longer holds
			now := time.Now()
			w.hub.heard.put(w.id, heard{}, now, now)
		}
	}()
	w.hub.mu.Lock()
	w.hub.sum.Awaited++
	w.hub.mu.Unlock()
	if w.hub.segments.Cached() {
		defer w.hub.join(w)()
		pollers.Go(func() { // of its own, as an exchange that is under way may take its time
			first, _ := policy.NextPoll(w.r.Template, w.id.Number, policy.Cache, time.Time{})
			if !sleep(polling, time.Until(first)) {
				return
			}
			found, _ := w.hub.segments.Peek(polling, []storage.Ask{{ID: w.id, Pipelines: w.candidates()}}) // errors: see look
			if !w.offer(found[0]) {
				close(w.looked)
			}
		})
		pollers.Go(func() { w.pollBehind(polling) })
	} else {
		pollers.Go(func() { w.poll(polling, policy.Alone) })
	}
	for {
		select {
		case copies := <-w.seen:
			found = true
			// Fetching may outlast the deadline by a little: the segment was published before it.
			err := w.hub.loader.read(ctx, reading{commits: w.choose(copies), first: fl.give, whole: func(seg *segmentCopy, _ []byte) {
				fl.close()
				if w.hub.c.Whole != nil {
					w.hub.c.Whole(w.id, seg)
				}
			}})
			if err == nil || errors.Is(err, errMemory) {
				return err
			}
			w.hub.log.Warn("an awaited segment is published but can not be read", "segment", w.id, "err", err)
			sleep(polling, fetchAgain)
		case <-w.ended:
			return errAbsent
		case <-polling.Done():
			if err := ctx.Err(); err != nil {
				return err
			}
			return w.verdict()
		}
	}
}

// candidates are the pipelines to ask for now.
func (w *wait) candidates() []string {
	names, coming := w.pipelines()
	if !coming {
		w.end.Do(func() { close(w.ended) })
	}
	return names
}

// choose puts the copies of found in the order in which they are to be tried.
func (w *wait) choose(found []*storage.Commit) []*storage.Commit {
	return ranked(found, w.r.Patient(time.Now(), w.id.Number))
}

// offer hands over what a poll found, and says whether that can be served. It never waits: while one find is being read,
// another changes nothing.
func (w *wait) offer(found []*storage.Commit) bool {
	if len(w.choose(found)) == 0 {
		return false
	}
	select {
	case w.seen <- found:
	default:
	}
	return true
}

// pollBehind polls the store behind the cache, for what the cache lost.
func (w *wait) pollBehind(ctx context.Context) {
	timer := time.NewTimer(headStart)
	defer timer.Stop()
	select {
	case <-w.looked:
	case <-timer.C:
	case <-ctx.Done():
	}
	w.poll(kv.WithoutCache(ctx), policy.Behind) // the cache has its own polls
}

// poll asks the store on the schedule of source, and hands over what it finds until polling ends.
func (w *wait) poll(ctx context.Context, source policy.Source) {
	t, n := w.r.Template, w.id.Number
	w.mu.Lock()
	began := w.heard.last
	w.mu.Unlock()
	for at, ok := policy.NextPoll(t, n, source, began); ok; at, ok = policy.NextPoll(t, n, source, began) {
		if !sleep(ctx, time.Until(at)) {
			return
		}
		began = time.Now()
		w.begin(began)
		found, err := w.hub.segments.Candidates(ctx, w.id, w.candidates())
		there := w.offer(found)
		if err != nil && ctx.Err() != nil {
			return // it was cut off, which says nothing of the store
		}
		w.note(began, there, err)
		if there && !sleep(ctx, fetchAgain) { // being read, it needs no second look: a poll of small segments reads all of them
			return
		}
	}
}

// begin notes that a poll of the store begins.
func (w *wait) begin(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard.polls++
	w.heard.last = now
	w.hub.heard.put(w.id, w.heard, now, w.r.Template.Deadline(w.id.Number))
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	w.hub.sum.StorePolls++
	w.hub.sum.MostStorePolls = max(w.hub.sum.MostStorePolls, w.heard.polls)
}

// note keeps what a poll of the store was answered.
func (w *wait) note(began time.Time, found bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lastError = err
	if err == nil && !found && !began.Before(w.r.Template.Due(w.id.Number)) {
		w.heard.asked = true
		w.hub.heard.put(w.id, w.heard, time.Now(), w.r.Template.Deadline(w.id.Number))
	}
}

// verdict is what the deadline means. Without a word from the store, "never published" would be a guess, and edges would
// keep it.
func (w *wait) verdict() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.heard.asked:
		return errAbsent
	case w.lastError == nil && w.r.Template.Deadline(w.id.Number).Sub(w.began) < segment.Budget:
		return errUnheard
	}
	return fmt.Errorf("origin: %v: the store was not heard before the deadline: %w", w.id, cmp.Or(w.lastError, context.DeadlineExceeded))
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

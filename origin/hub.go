package origin

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
)

// What hub.Wait returns other than a segment.
var (
	// errAbsent: the deadline passed, and the store said after the segment was due that there is no copy; or the event has ended.
	errAbsent = errors.New("origin: not published by its deadline")
	// errUnheard: the deadline passed before the store had as long to answer as it may take.
	errUnheard = errors.New("origin: the store had no time to answer before the deadline")
	// errHoldsFull: as many requests are held as the node allows, or as it allows this event.
	errHoldsFull = errors.New("origin: too many requests held")
	// errHoldTime: the request was held for as long as the node holds one; whether the segment will be published is still open.
	errHoldTime = errors.New("origin: held for as long as a request may be")
)

// hubConfig bounds what a hub holds. Its zero value is right for one event.
type hubConfig struct {
	// Limit is how many requests may wait at a time; 0 means 10,000. One half of them is shared out equally among Events, the
	// other is for whoever comes first: an event that fills the table, by its size or because its packagers are lost, never
	// takes the others' shares, and while there is room it is not bound to its own.
	Limit int
	// Events is how many events the node serves; 0 means 1.
	Events int
	// Time is how long a request may wait; 0 means until its segment's deadline.
	Time time.Duration
	// Whole is told of the copy of an awaited segment when all of its bytes are there, before anybody can see the last; nil for nobody.
	Whole func(id segment.ID, seg *segmentCopy)
	Log   *slog.Logger // nil discards
}

// A hub knows who waits for what. However many wait for a segment, one poll looks for it, its bytes are fetched once, and
// all are given the same; when the last has left, the poll ends. The polls of the cache for all awaited segments are one
// exchange each 5 ms. It is safe for concurrent use; make it with newHub.
type hub struct {
	segments *storage.Segments
	loader   *loader
	c        hubConfig
	log      *slog.Logger
	waits    flights[segment.ID, *segmentCopy]
	heard    ttlMap[heard] // until a segment's deadline, so that whoever comes and goes causes no more polls than one who stays
	polling  sync.WaitGroup
	joined   chan struct{} // tells the goroutine that polls the cache of a new entry in awaited

	mu      sync.Mutex // guards the following, and wait.peeked
	holding map[string]int64
	sum     hubStats
	awaited map[*wait]bool
	stop    context.CancelFunc // ends the polling of the cache; not nil while awaited has entries
}

// hubStats counts what a hub did since it was made.
type hubStats struct {
	Holding, Most int64 // requests held now, and at most at a time
	Refused       int64 // requests that found the table, or their event's share of it, full
	Expired       int64 // requests that were held for as long as one may be
	// Awaited counts segments, once each time that somebody waits for one that nobody waited for.
	Awaited int64
	// StorePolls is how many polls of the store were made for them, and MostStorePolls for one segment at most. Behind a cache that
	// is eight.
	StorePolls, MostStorePolls int64
}

func newHub(loader *loader, c hubConfig) *hub {
	c.Limit = cmp.Or(c.Limit, 10_000)
	c.Events = max(c.Events, 1)
	return &hub{
		segments: loader.segments, loader: loader, c: c, log: logger(c.Log),
		waits:  flights[segment.ID, *segmentCopy]{retain: (*segmentCopy).retain, release: (*segmentCopy).release},
		joined: make(chan struct{}, 1), holding: make(map[string]int64), awaited: make(map[*wait]bool),
	}
}

// Wait returns the copy of segment id as soon as its first bytes are there. Each poll asks pipelines, which does not wait, whose copies count
// at the moment, and whether the segment is still to come at all: masks and ends reach requests that are held already. Else Wait
// returns errAbsent once the deadline has passed, or with the next poll if it is not to come; errHoldTime when its time is over;
// errHoldsFull at once; ctx's error when ctx is done; and if the deadline passed before the store was heard, errUnheard or why it could not be
// asked.
// The caller has made sure that id is to be held: polls begin when it is next.
func (h *hub) Wait(ctx context.Context, r policy.Rendition, id segment.ID, pipelines func() (names []string, coming bool)) (*segmentCopy, error) {
	if !h.enter(id.Event) {
		return nil, errHoldsFull
	}
	defer h.leave(id.Event)
	within := ctx
	if h.c.Time > 0 {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeout(ctx, h.c.Time)
		defer cancel()
	}
	fl, _, err := h.waits.do(within, id, func(ctx context.Context, fl *flight[segment.ID, *segmentCopy]) error {
		w := &wait{hub: h, r: r, id: id, pipelines: pipelines, seen: make(chan []*storage.Commit, 1), looked: make(chan struct{}), ended: make(chan struct{})}
		w.heard, _ = h.heard.get(id, time.Now())
		return w.run(ctx, fl)
	})
	if err != nil && ctx.Err() == nil && within.Err() != nil {
		h.mu.Lock()
		h.sum.Expired++
		h.mu.Unlock()
		return nil, errHoldTime
	}
	if err != nil {
		return nil, err
	}
	lend(ctx, fl.leave)
	if names, _ := pipelines(); !slices.Contains(names, fl.val.ID.Pipeline) {
		fl.close() // whoever waits anew because of that must not be given the same again
	}
	return fl.val, nil
}

// Arriving returns the copy of id that those who were held for it are being sent, while its bytes are still coming; nil otherwise.
func (h *hub) Arriving(ctx context.Context, id segment.ID) *segmentCopy {
	fl := h.waits.join(id)
	if fl == nil {
		return nil
	}
	lend(ctx, fl.leave)
	return fl.val
}

// enter takes a place for a request of event; false if there is none for it.
func (h *hub) enter(event string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	share := int64(h.c.Limit / (2 * h.c.Events))
	if h.c.Events == 1 {
		share = int64(h.c.Limit)
	}
	if h.holding[event] >= share {
		// Free is what is left of the table when each event has its share.
		free := int64(h.c.Limit) - int64(h.c.Events)*share
		for _, n := range h.holding {
			free -= max(0, n-share)
		}
		if free <= 0 {
			h.sum.Refused++
			return false
		}
	}
	h.holding[event]++
	h.sum.Holding++
	h.sum.Most = max(h.sum.Most, h.sum.Holding)
	return true
}

func (h *hub) leave(event string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sum.Holding--
	if h.holding[event]--; h.holding[event] == 0 {
		delete(h.holding, event)
	}
}

// Stats returns the counts so far.
func (h *hub) Stats() hubStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sum
}

// Close returns when every poll has ended. It is called when nobody waits any more.
func (h *hub) Close() {
	h.waits.wait()
	h.polling.Wait()
}

// join has the cache polled for w until the function that it returns is called.
func (h *hub) join(w *wait) (leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.peeked = time.Now()
	h.awaited[w] = true
	if h.stop == nil {
		ctx, cancel := context.WithCancel(context.Background())
		h.stop = cancel
		h.polling.Go(func() { h.poll(ctx) })
	}
	select {
	case h.joined <- struct{}{}:
	default:
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if delete(h.awaited, w); len(h.awaited) == 0 {
			h.stop()
			h.stop = nil
		}
	}
}

// poll asks the cache for all awaited segments, on their schedule, until ctx ends.
func (h *hub) poll(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-h.joined:
		}
		batch, next := h.due(ctx, time.Now())
		if len(batch) > 0 {
			h.look(ctx, batch)
			batch, next = nil, time.Now()
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// due returns whose poll of the cache is due at now, or else when the next one is; the zero time if none is scheduled.
func (h *hub) due(ctx context.Context, now time.Time) (batch []*wait, next time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil {
		return nil, time.Time{}
	}
	for w := range h.awaited {
		switch at, ok := policy.NextPoll(w.r.Template, w.id.Number, policy.Cache, w.peeked); {
		case !ok:
		case !at.After(now):
			w.peeked = now
			batch = append(batch, w)
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	return batch, next
}

// lookAtOnce is how many segments one exchange with the cache looks for. An exchange is read to its end before anyone is
// answered, inline bodies included, so that it must not become too long when all are published at one moment; several at a
// time look for more.
const lookAtOnce = 16

// look asks the cache for the segments of batch, and hands over what it has of each.
func (h *hub) look(ctx context.Context, batch []*wait) {
	var exchanges sync.WaitGroup
	for part := range slices.Chunk(batch, lookAtOnce) {
		exchanges.Go(func() {
			asks := make([]storage.Ask, len(part))
			for i, w := range part {
				asks[i] = storage.Ask{ID: w.id, Pipelines: w.candidates()}
			}
			// An error is the cache's to count and to log; what it does not answer, the polls of the store behind it find.
			found, _ := h.segments.Peek(ctx, asks)
			for i, w := range part {
				if w.offer(found[i]) {
					h.mu.Lock()
					w.peeked = time.Now().Add(fetchAgain) // being read, it needs no second look
					h.mu.Unlock()
				}
			}
		})
	}
	exchanges.Wait()
}

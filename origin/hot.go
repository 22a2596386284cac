package origin

import (
	"context"
	"sync"
	"time"

	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

// hot keeps the newest segments in memory, up to a number of bytes; those that came first go first. With a limit of 0 it
// keeps nothing.
type hot struct {
	limit int64

	mu    sync.Mutex // guards the following
	items map[segment.ID]*hotItem
	order []*hotItem // as they came; an item that was replaced has a nil seg
	bytes int64
}

type hotItem struct {
	id    segment.ID
	seg   *segmentCopy
	until time.Time
}

// get returns the copy of id, unless it has to be read again, and lends it to the request of ctx.
func (h *hot) get(ctx context.Context, id segment.ID, now time.Time) *segmentCopy {
	if h.limit <= 0 {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	it := h.items[id]
	if it == nil || !now.Before(it.until) {
		return nil
	}
	it.seg.retain()
	lend(ctx, it.seg.release)
	return it.seg
}

// put keeps seg under id, for as long as its Commit may be kept outside the store.
func (h *hot) put(id segment.ID, seg *segmentCopy, now time.Time) {
	if seg.Size > h.limit {
		return
	}
	it := &hotItem{id: id, seg: seg, until: now.Add(policy.Settled(now.Sub(seg.Published), seg.Meta.Flaws, seg.Until.Sub(now)))}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.items == nil {
		h.items = make(map[segment.ID]*hotItem)
	}
	if old := h.items[id]; old != nil {
		h.drop(old)
	}
	h.items[id] = it
	seg.retain()
	h.order = append(h.order, it)
	h.bytes += seg.Size
	for h.bytes > h.limit || h.order[0].seg == nil {
		h.drop(h.order[0])
		h.order = h.order[1:]
	}
}

// drop frees an item's bytes; its place in order is freed when it comes to the front. The caller holds mu.
func (h *hot) drop(it *hotItem) {
	if it.seg == nil {
		return
	}
	if h.items[it.id] == it {
		delete(h.items, it.id)
	}
	h.bytes -= it.seg.Size
	it.seg.release()
	it.seg = nil
}

func (h *hot) size() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bytes
}

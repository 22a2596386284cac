package origin

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
)

// A segmentCopy is one copy of a segment with its bytes, as far as they are there. On a serving node its memory is counted, and used
// again for another one when nobody has any use for it: who reads the bytes from the store, the hot copy, and each request that is answered
// with it hold it, and count once all together.
type segmentCopy struct {
	*storage.Commit

	holders atomic.Int64
	free    func() // gives the memory back when the last holder has let go; nil: it is not counted

	mu    sync.Mutex    // guards the following
	there []byte        // the beginning of the body as far as it has arrived; what is in it does not change
	err   error         // why no more of it will
	more  chan struct{} // closed when one of them changes; nil if nobody waits for that
}

// retain adds a holder; whoever calls it is one already, or keeps one from letting go meanwhile. A nil segmentCopy, which stands for one
// that nobody has published, counts nothing.
func (seg *segmentCopy) retain() {
	if seg != nil {
		seg.holders.Add(1)
	}
}

// release takes a holder away.
func (seg *segmentCopy) release() {
	if seg == nil {
		return
	}
	switch left := seg.holders.Add(-1); {
	case left > 0:
	case left < 0:
		panic("origin: a segment that nobody holds was let go")
	case seg.free != nil:
		seg.free()
	}
}

// arrive tells those who wait what is there of the body, or why no more will be.
func (seg *segmentCopy) arrive(there []byte, err error) {
	seg.mu.Lock()
	defer seg.mu.Unlock()
	seg.there, seg.err = there, err
	if seg.more != nil {
		close(seg.more)
		seg.more = nil
	}
}

// arrived returns what is there of the body, a channel that is closed when that has changed, and why no more will be there.
func (seg *segmentCopy) arrived() (there []byte, changed <-chan struct{}, err error) {
	seg.mu.Lock()
	defer seg.mu.Unlock()
	if seg.more == nil {
		seg.more = make(chan struct{})
	}
	return seg.there, seg.more, seg.err
}

// A loader reads segments into bounded memory. It is safe for concurrent use; make it with newLoader.
type loader struct {
	segments *storage.Segments
	budget   *memoryBudget
	inline   atomic.Int64     // the largest body that came with its Commit so far
	broken   ttlMap[struct{}] // the copies whose rest could not be read when their beginning was being sent already

	mu   sync.Mutex // guards the following
	idle [][]byte   // whole buffers for the next bodies, the one used last at the end
	size int64      // theirs together
}

func newLoader(segments *storage.Segments, limit int64) *loader {
	return &loader{segments: segments, budget: newMemoryBudget(limit, readPatience)}
}

// readPatience is how long a request waits for memory: far less than a segment's length, so that its sender can turn to another
// node in time, and longer than reading a body and sending it to a fast reader takes.
const readPatience = 250 * time.Millisecond

// bufferUnit is what the sizes of buffers are rounded up to, so that bodies of one rendition, whose sizes vary, find each other's.
const bufferUnit = 256 << 10

// room waits for the memory that the Commits of so many pipelines may take: small bodies are in them, and so in memory before
// their size is known. The caller releases it in the end.
func (l *loader) room(ctx context.Context, pipelines int, low bool) (*lease, error) {
	return l.budget.lease(ctx, l.inline.Load()*int64(pipelines), low)
}

// reading is what a loader is to read.
type reading struct {
	commits []*storage.Commit // copies, of which the first that can be read is
	room    *lease            // the memory that the commits were read into, if there was some; it is left
	low     bool              // the priority
	// first is called once, with the copy that is being read, when its first bytes are there; nil if they are of no use without the last.
	first func(*segmentCopy)
	// whole is called with the copy and its body when the last bytes are there, before anybody else can see them; nil for nobody. What is
	// kept of a copy is retained, here and there.
	whole func(seg *segmentCopy, body []byte)
}

// read reads a body and returns when it is there. Until the first bytes of a copy are, it turns to the next one if there is anything wrong;
// after that it returns nil in any case, and what is wrong then, those who read the copy learn from it.
func (l *loader) read(ctx context.Context, r reading) error {
	if r.room != nil {
		defer r.room.release()
	}
	ctx, cancel := context.WithTimeout(ctx, segment.Budget)
	defer cancel()
	var errs []error
	for _, c := range r.commits {
		err := l.one(ctx, c, r)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
		if errors.Is(err, errMemory) {
			break // another copy is no smaller
		}
	}
	return errors.Join(errs...)
}

// one is read of one copy.
func (l *loader) one(ctx context.Context, c *storage.Commit, r reading) error {
	seg := &segmentCopy{Commit: c}
	seg.retain()
	defer seg.release() // not before nothing writes to its memory any more
	var buf []byte
	if c.Chunks() == 0 {
		// The body is in memory already, and cannot be asked to wait: what it takes is counted in any case.
		for most := l.inline.Load(); c.Size > most && !l.inline.CompareAndSwap(most, c.Size); most = l.inline.Load() {
		}
		if r.room != nil && r.room.bytes >= c.Size {
			r.room.bytes -= c.Size
		} else {
			l.budget.force(c.Size)
		}
		seg.free = func() { l.budget.give(c.Size) }
	} else {
		if r.room != nil {
			r.room.release() // who holds some must not wait for more
		}
		var err error
		if buf, err = l.buffer(ctx, c.Size, r.low); err != nil {
			return err
		}
		seg.free = func() { l.recycle(buf) }
	}
	// A copy that broke off before its readers' eyes is not shown to others before it is whole: while it can not be read, they get another one.
	_, broken := l.broken.get(c.ID, time.Now())
	shown := false
	var there []byte
	err := l.segments.BodyInto(ctx, c, buf, func(beginning []byte) {
		there = beginning
		whole := int64(len(beginning)) == c.Size
		if whole && r.whole != nil {
			r.whole(seg, beginning)
		}
		seg.arrive(beginning, nil)
		if r.first != nil && !shown && (whole || !broken) {
			shown = true
			r.first(seg)
		}
	})
	now := time.Now()
	switch {
	case err == nil && broken:
		l.broken.put(c.ID, struct{}{}, now, now) // no more
	case err != nil && shown:
		if !errors.Is(ctx.Err(), context.Canceled) { // else nobody reads it any more
			l.broken.put(c.ID, struct{}{}, now, c.Until)
		}
		seg.arrive(there, err)
		return nil
	}
	return err
}

// buffer waits for memory and returns a buffer of at least size bytes, which recycle takes back.
func (l *loader) buffer(ctx context.Context, size int64, low bool) ([]byte, error) {
	size = (size + bufferUnit - 1) / bufferUnit * bufferUnit
	if err := l.budget.take(ctx, size, low); err != nil {
		return nil, err
	}
	l.mu.Lock()
	for i := len(l.idle) - 1; i >= 0; i-- {
		if buf := l.idle[i]; int64(len(buf)) == size {
			l.idle = slices.Delete(l.idle, i, i+1)
			l.size -= size
			l.mu.Unlock()
			return buf, nil
		}
	}
	l.mu.Unlock()
	return make([]byte, size), nil
}

// recycle takes a buffer back that nobody uses any more. Idle ones are an eighth of the budget at most; those used longest ago go first.
func (l *loader) recycle(buf []byte) {
	l.budget.give(int64(len(buf)))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = append(l.idle, buf)
	l.size += int64(len(buf))
	for l.size > l.budget.limit/8 {
		l.size -= int64(len(l.idle[0]))
		l.idle = slices.Delete(l.idle, 0, 1)
	}
}

// kept is how many bytes the idle buffers have.
func (l *loader) kept() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// loans are what one request was given. It holds that until it is over, whatever it did with it, so that no path through the handler
// can forget anything.
type loans struct{ settle []func() }

type loansKey struct{}

// withLoans returns a context for a request's own goroutine, and what ends the loans taken under it.
func withLoans(ctx context.Context) (context.Context, func()) {
	l := &loans{}
	return context.WithValue(ctx, loansKey{}, l), func() {
		for _, settle := range l.settle {
			settle()
		}
	}
}

// lend has settle called when the request of ctx is over: the request holds, in place of the caller, what settle lets go. Without a request
// that is never let go.
func lend(ctx context.Context, settle func()) {
	if l, ok := ctx.Value(loansKey{}).(*loans); ok {
		l.settle = append(l.settle, settle)
	}
}

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

// A segmentCopy is one copy of a segment with its bytes, which nobody changes. On a serving node its memory is counted, and used
// again for another one when nobody has any use for it: the flight that read it, the hot copy, and each request that is answered with it
// hold it, and count once all together.
type segmentCopy struct {
	*storage.Commit
	Body []byte

	holders atomic.Int64
	free    func() // gives the memory back when the last holder has let go; nil: it is not counted
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

// A loader reads segments into bounded memory. It is safe for concurrent use; make it with newLoader.
type loader struct {
	segments *storage.Segments
	budget   *memoryBudget
	inline   atomic.Int64 // the largest body that came with its Commit so far

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

// read returns the first of commits whose body can be read. The caller is its one holder. The room that the Commits were read
// into, if there was one, is left.
func (l *loader) read(ctx context.Context, commits []*storage.Commit, in *lease, low bool) (*segmentCopy, error) {
	if in != nil {
		defer in.release()
	}
	ctx, cancel := context.WithTimeout(ctx, segment.Budget)
	defer cancel()
	var errs []error
	for _, c := range commits {
		seg, err := l.one(ctx, c, in, low)
		if err == nil {
			return seg, nil
		}
		errs = append(errs, err)
		if errors.Is(err, errMemory) {
			break // another copy is no smaller
		}
	}
	return nil, errors.Join(errs...)
}

func (l *loader) one(ctx context.Context, c *storage.Commit, in *lease, low bool) (*segmentCopy, error) {
	seg := &segmentCopy{Commit: c}
	seg.retain()
	if c.Chunks() == 0 {
		// The body is in memory already, and cannot be asked to wait: what it takes is counted in any case.
		for most := l.inline.Load(); c.Size > most && !l.inline.CompareAndSwap(most, c.Size); most = l.inline.Load() {
		}
		if in != nil && in.bytes >= c.Size {
			in.bytes -= c.Size
		} else {
			l.budget.force(c.Size)
		}
		seg.free = func() { l.budget.give(c.Size) }
		var err error
		if seg.Body, err = l.segments.Body(ctx, c); err != nil {
			seg.release()
			return nil, err
		}
		return seg, nil
	}
	if in != nil {
		in.release() // who holds some must not wait for more
	}
	buf, err := l.buffer(ctx, c.Size, low)
	if err != nil {
		return nil, err
	}
	seg.free = func() { l.recycle(buf) }
	if seg.Body, err = l.segments.BodyInto(ctx, c, buf); err != nil {
		seg.release()
		return nil, err
	}
	return seg, nil
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

// loans are the segments that one request was given. It holds them until it is over, whatever it did with them, so that no
// path through the handler can forget one.
type loans struct{ segments []*segmentCopy }

type loansKey struct{}

// withLoans returns a context for a request's own goroutine, and what ends the loans taken under it.
func withLoans(ctx context.Context) (context.Context, func()) {
	l := &loans{}
	return context.WithValue(ctx, loansKey{}, l), func() {
		for _, seg := range l.segments {
			seg.release()
		}
	}
}

// lend makes the request of ctx the holder in place of the caller, which is one. Without a request the segment is never let go.
func lend(ctx context.Context, seg *segmentCopy) {
	if l, ok := ctx.Value(loansKey{}).(*loans); ok {
		l.segments = append(l.segments, seg)
	}
}

package s3

import (
	"container/heap"
	"context"
	"log/slog"
	"sync"
	"time"
)

// sweeper removes the objects that this process has put, some time after they have expired, so that a long run stays flat. It
// forgets them with the process; a bucket that outlives many processes needs a lifecycle rule.
type sweeper struct {
	remove func(ctx context.Context, object string) (again time.Time, err error)
	log    *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{} // the first to expire has changed
	done   sync.WaitGroup

	mu     sync.Mutex // guards what follows
	queue  queue
	tasks  map[string]*task // all that are in the queue, held or being removed, by object
	closed bool
}

// task is one object.
type task struct {
	object  string
	due     time.Time
	index   int           // in the queue; -1 when it is not
	held    int           // Puts under way
	removal chan struct{} // closed when the removal under way has ended; nil when there is none
}

// How patient a sweeper is.
const (
	// grace is how long after its expiry an object is removed: clocks of several machines differ, and a reader that has just begun to
	// read should end.
	grace = 2 * time.Second
	// retryAfter is when a removal that failed is tried again.
	retryAfter = 10 * time.Second
	// removers bounds the removals at a time, so that they stay in the background.
	removers = 4
)

func newSweeper(remove func(context.Context, string) (time.Time, error), log *slog.Logger) *sweeper {
	s := &sweeper{remove: remove, log: log, wake: make(chan struct{}, 1), tasks: make(map[string]*task)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for range removers {
		s.done.Go(s.run)
	}
	return s
}

// close ends the removals and waits for those under way.
func (s *sweeper) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.done.Wait()
}

// hold keeps an object from being removed until release, and waits for a removal that is under way:
//
//  1. The sweeper finds that an object has expired and sends its removal.
//  2. A Put of the same object begins and ends.
//  3. The removal arrives, and what was put is gone.
func (s *sweeper) hold(ctx context.Context, object string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[object]
	if t == nil {
		t = &task{object: object, index: -1}
		s.tasks[object] = t
	}
	if t.index >= 0 {
		heap.Remove(&s.queue, t.index)
	}
	t.held++
	for t.removal != nil {
		removal := t.removal
		s.mu.Unlock()
		var err error
		select {
		case <-removal:
		case <-ctx.Done():
			err = ctx.Err()
		}
		s.mu.Lock()
		if err != nil {
			s.releaseLocked(t, time.Time{})
			return err
		}
	}
	return nil
}

// release ends a hold; expires is when the object that was put meanwhile does.
func (s *sweeper) release(object string, expires time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releaseLocked(s.tasks[object], expires.Add(grace))
}

func (s *sweeper) releaseLocked(t *task, due time.Time) {
	t.held--
	if due.After(t.due) {
		t.due = due // of several Puts at a time nobody knows which one stands; what expires too late is looked at again
	}
	if t.held > 0 || t.removal != nil {
		return
	}
	if t.due.IsZero() {
		delete(s.tasks, t.object)
		return
	}
	s.push(t)
}

func (s *sweeper) push(t *task) {
	heap.Push(&s.queue, t)
	if t.index == 0 {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// run removes what is due, one after another, until close.
func (s *sweeper) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t, wait := s.next()
		if t != nil {
			s.sweep(t)
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.wake:
		case <-s.ctx.Done():
			return
		}
	}
}

// next takes the next object that is due, or returns how long there is none.
func (s *sweeper) next() (*task, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 || s.closed {
		return nil, time.Hour
	}
	t := s.queue[0]
	if wait := time.Until(t.due); wait > 0 {
		return nil, wait
	}
	heap.Pop(&s.queue)
	t.removal = make(chan struct{})
	if len(s.queue) > 0 { // another remover may begin
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	return t, 0
}

func (s *sweeper) sweep(t *task) {
	again, err := s.remove(s.ctx, t.object)
	if err != nil && s.ctx.Err() == nil {
		s.log.Warn("s3: an expired object could not be removed and is tried again", "object", t.object, "after", retryAfter, "error", err)
		again = time.Now().Add(retryAfter)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	close(t.removal)
	t.removal = nil
	t.due = time.Time{}
	if !again.IsZero() {
		t.due = again.Add(grace)
	}
	if t.held > 0 { // a Put waits, and will tell
		return
	}
	if t.due.IsZero() || s.closed {
		delete(s.tasks, t.object)
		return
	}
	s.push(t)
}

// queue is a heap of tasks, the first that is due at its top.
type queue []*task

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	t := x.(*task)
	t.index = len(*q)
	*q = append(*q, t)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	t.index = -1
	return t
}

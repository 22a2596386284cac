package engine

// fifo is a queue in a ring that grows as it must.
type fifo[T any] struct {
	ring []T // a power of two
	head int
	n    int
}

func (f *fifo[T]) len() int { return f.n }

func (f *fifo[T]) push(x T) {
	if f.n == len(f.ring) {
		ring := make([]T, max(8, 2*f.n))
		k := copy(ring, f.ring[f.head:])
		copy(ring[k:], f.ring[:f.head])
		f.ring, f.head = ring, 0
	}
	f.ring[(f.head+f.n)&(len(f.ring)-1)] = x
	f.n++
}

// front is the oldest; there must be one.
func (f *fifo[T]) front() T { return f.ring[f.head] }

func (f *fifo[T]) pop() (x T) {
	x = f.ring[f.head]
	var zero T
	f.ring[f.head] = zero
	f.head = (f.head + 1) & (len(f.ring) - 1)
	f.n--
	return x
}

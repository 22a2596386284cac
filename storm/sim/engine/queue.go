package engine

import "math/bits"

// queue is a priority queue of callbacks by key, and by order of pushes where keys are equal; what is in it can be taken back. It is a
// heap of four children to a node, whose items are sixteen bytes without a pointer: the four that are compared with each other fill one
// cache line, and the garbage collector passes them over. The callbacks lie beside it, in slots that are used again.
type queue struct {
	items []item
	slots []slot
	free  []uint32 // slots that nothing is in
	seq   uint64
	stale int // items that were taken back, and are still in the heap
	// hole says that items[0] was popped: whatever is pushed next takes its place, which saves the way up of one and the way down of the
	// other, as most events are followed by one they cause.
	hole bool
}

type item struct {
	key    uint64
	ticket ticket
}

// ticket names one push: its number, which is never used again, and below it the slot that holds the callback. So tickets are in the
// order of pushes.
type ticket uint64

const slotBits = 24

func (t ticket) slot() uint32 { return uint32(t & (1<<slotBits - 1)) }

type slot struct {
	do     func()
	ticket ticket // 0 while nothing is in it
}

// before is 1 where a comes before b, and 0 otherwise: as a number, since which of two comes first cannot be foreseen, and a processor
// that guesses wrong at a branch loses more than the comparison takes.
func (a item) before(b item) uint64 {
	_, less := bits.Sub64(uint64(a.ticket), uint64(b.ticket), 0)
	_, less = bits.Sub64(a.key, b.key, less)
	return less
}

// len is how many callbacks there are.
func (q *queue) len() int {
	n := len(q.items) - q.stale
	if q.hole {
		n--
	}
	return n
}

func (q *queue) push(key uint64, do func()) ticket {
	var s uint32
	if n := len(q.free); n > 0 {
		s = q.free[n-1]
		q.free = q.free[:n-1]
	} else {
		if len(q.slots) == 1<<slotBits {
			panic("engine: more than 16 million callbacks are pending at once")
		}
		s = uint32(len(q.slots))
		q.slots = append(q.slots, slot{})
	}
	q.seq++
	t := ticket(q.seq<<slotBits) | ticket(s)
	q.slots[s] = slot{do, t}
	if q.hole {
		q.hole = false
		q.down(0, item{key, t})
	} else {
		q.items = append(q.items, item{})
		q.up(len(q.items)-1, item{key, t})
	}
	return t
}

// has reports whether what t names is still in the queue.
func (q *queue) has(t ticket) bool {
	s := t.slot()
	return t != 0 && int(s) < len(q.slots) && q.slots[s].ticket == t
}

// take ends t's time in its slot, and returns what was in it.
func (q *queue) take(t ticket) func() {
	s := t.slot()
	do := q.slots[s].do
	q.slots[s] = slot{}
	q.free = append(q.free, s)
	return do
}

// remove takes back what t names, and reports whether it was there. Its item stays in the heap until it comes to the top, or until most
// of the heap is such.
func (q *queue) remove(t ticket) bool {
	if !q.has(t) {
		return false
	}
	q.take(t)
	q.stale++
	if q.stale > 64 && q.stale > len(q.items)/2 {
		q.sweep()
	}
	return true
}

// sweep rids the heap of what was taken back.
func (q *queue) sweep() {
	q.fill()
	live := q.items[:0]
	for _, i := range q.items {
		if q.has(i.ticket) {
			live = append(live, i)
		}
	}
	q.items, q.stale = live, 0
	for i := (len(live)+2)/4 - 1; i >= 0; i-- {
		q.down(i, live[i])
	}
}

// first returns the key that is least, and whether there is one.
func (q *queue) first() (key uint64, ok bool) {
	q.fill()
	for len(q.items) > 0 {
		if top := q.items[0]; q.stale == 0 || q.has(top.ticket) {
			return top.key, true
		}
		q.stale--
		q.hole = true
		q.fill()
	}
	return 0, false
}

// pop takes the first callback out; first must have said that there is one.
func (q *queue) pop() (ticket, func()) {
	t := q.items[0].ticket
	q.hole = true
	return t, q.take(t)
}

// fill closes the hole with the heap's last item.
func (q *queue) fill() {
	if !q.hole {
		return
	}
	q.hole = false
	last := len(q.items) - 1
	i := q.items[last]
	q.items = q.items[:last]
	if last > 0 {
		q.down(0, i)
	}
}

// up puts x where it belongs between the top and i.
func (q *queue) up(i int, x item) {
	h := q.items
	for i > 0 {
		parent := (i - 1) / 4
		if x.before(h[parent]) == 0 {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = x
}

// down puts x where it belongs at i or below.
func (q *queue) down(i int, x item) {
	h := q.items
	for c := 4*i + 1; c < len(h); c = 4*i + 1 {
		least := c
		if c+4 <= len(h) {
			four := h[c : c+4 : c+4]
			a, b := four[1].before(four[0]), 2+four[3].before(four[2])
			if four[b&3].before(four[a&3]) != 0 { // the masks spare a check of bounds
				a = b
			}
			least += int(a)
		} else {
			for c++; c < len(h); c++ {
				if h[c].before(h[least]) != 0 {
					least = c
				}
			}
		}
		if h[least].before(x) == 0 {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = x
}

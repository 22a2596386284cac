package engine

// queue is a priority queue of callbacks by key, and by order of pushes where keys are equal; what is in it can be taken back. It is a
// heap of four children to a node, whose items are sixteen bytes without a pointer: the four that are compared with each other fill one
// cache line, and the garbage collector passes them over. The callbacks lie beside it, in slots that are used again.
type queue[K int64 | float64] struct {
	items []item[K]
	slots []slot
	free  []uint32 // slots that nothing is in
	seq   uint64
	stale int // items that were taken back, and are still in the heap
	// hole says that items[0] was popped: whatever is pushed next takes its place, which saves the way up of one and the way down of the
	// other, as most events are followed by one they cause.
	hole bool
}

type item[K int64 | float64] struct {
	key    K
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

func (a item[K]) before(b item[K]) bool {
	return a.key < b.key || a.key == b.key && a.ticket < b.ticket
}

// len is how many callbacks there are.
func (q *queue[K]) len() int {
	n := len(q.items) - q.stale
	if q.hole {
		n--
	}
	return n
}

func (q *queue[K]) push(key K, do func()) ticket {
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
		q.down(0, item[K]{key, t})
	} else {
		q.items = append(q.items, item[K]{})
		q.up(len(q.items)-1, item[K]{key, t})
	}
	return t
}

// has reports whether what t names is still in the queue.
func (q *queue[K]) has(t ticket) bool {
	s := t.slot()
	return t != 0 && int(s) < len(q.slots) && q.slots[s].ticket == t
}

// take ends t's time in its slot, and returns what was in it.
func (q *queue[K]) take(t ticket) func() {
	s := t.slot()
	do := q.slots[s].do
	q.slots[s] = slot{}
	q.free = append(q.free, s)
	return do
}

// remove takes back what t names, and reports whether it was there. Its item stays in the heap until it comes to the top, or until most
// of the heap is such.
func (q *queue[K]) remove(t ticket) bool {
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
func (q *queue[K]) sweep() {
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
func (q *queue[K]) first() (K, bool) {
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
func (q *queue[K]) pop() (ticket, func()) {
	t := q.items[0].ticket
	q.hole = true
	return t, q.take(t)
}

// fill closes the hole with the heap's last item.
func (q *queue[K]) fill() {
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
func (q *queue[K]) up(i int, x item[K]) {
	h := q.items
	for i > 0 {
		parent := (i - 1) / 4
		if !x.before(h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = x
}

// down puts x where it belongs at i or below.
func (q *queue[K]) down(i int, x item[K]) {
	h := q.items
	for {
		c := 4*i + 1
		if c >= len(h) {
			break
		}
		least := c
		for c++; c < min(4*i+5, len(h)); c++ {
			if h[c].before(h[least]) {
				least = c
			}
		}
		if !h[least].before(x) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = x
}

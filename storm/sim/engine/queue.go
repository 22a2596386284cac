package engine

import "math/bits"

// queue is a priority queue of callbacks by instant, and by order of pushes where instants are equal; what is in it can be taken back.
//
// Most of what is put far off is taken back long before its time, as timeouts are. In a heap it would be in the way of all else, so it lies
// unsorted by slices of time, and comes into the heap with the rest of its slice when that is near.
type queue struct {
	pile[func()]
	near  uint64              // the slice up to which all is in the heap
	far   [][]item            // the slices beyond it, each at its number modulo slices; nil until there is one
	some  [slices / 64]uint64 // which of far have items, bit by bit
	spare [][]item            // to be used for slices again
	ready bool                // the heap's top is what comes first: nothing was taken out since that was seen
}

// A slice is 2^sliceBits nanoseconds, 8 ms, and so many of them are told apart, half a minute together. What is farther off than that is in
// the heap.
const (
	sliceBits = 23
	slices    = 4096
	mostSpare = 128
)

func (q *queue) push(at uint64, do func()) ticket {
	slice := at >> sliceBits
	if slice <= q.near || slice-q.near >= slices {
		return q.pile.push(at, do)
	}
	t := q.ticket(do, beside)
	if q.far == nil {
		q.far = make([][]item, slices)
	}
	n := slice % slices
	all := q.far[n]
	switch {
	case all == nil:
		q.some[n/64] |= 1 << (n % 64)
		if i := len(q.spare); i > 0 {
			all, q.spare = q.spare[i-1], q.spare[:i-1]
		} else {
			all = make([]item, 0, 32)
		}
	case len(all) == cap(all): // rather than grow, do without what was taken back
		all = q.live(all)
	}
	q.far[n] = append(all, item{at, t})
	return t
}

// first returns the instant that is least, and whether there is one.
func (q *queue) first() (at uint64, ok bool) {
	if q.ready {
		return q.items[0].key, true
	}
	for {
		at, ok = q.pile.first()
		if ok && at>>sliceBits <= q.near {
			q.ready = true
			return at, true
		}
		next, some := q.nextSlice()
		if !some || ok && at>>sliceBits < next {
			if ok {
				q.near, q.ready = at>>sliceBits, true
			}
			return at, ok
		}
		q.near = next
		n := next % slices
		all := q.far[n]
		for _, i := range all {
			if q.has(i.ticket) {
				q.heap.push(i)
			}
		}
		if q.far[n] = nil; cap(all) <= mostSpare { // a large one would be large for whatever slice has it next
			q.spare = append(q.spare, all[:0])
		}
		q.some[n/64] &^= 1 << (n % 64)
	}
}

// pop takes the first out; first must have said that there is one.
func (q *queue) pop() (ticket, func()) {
	q.ready = false
	return q.pile.pop()
}

// remove takes back what t names, and reports whether it was there.
func (q *queue) remove(t ticket) bool {
	q.ready = q.ready && q.items[0].ticket != t
	return q.pile.remove(t)
}

// nextSlice is the first slice beyond near that has items.
func (q *queue) nextSlice() (next uint64, ok bool) {
	from := (q.near + 1) % slices
	for i := range uint64(len(q.some) + 1) {
		word := (from/64 + i) % uint64(len(q.some))
		some := q.some[word]
		if i == 0 {
			some &= ^uint64(0) << (from % 64)
		}
		if some != 0 {
			n := word*64 + uint64(bits.TrailingZeros64(some))
			return q.near + 1 + (n-from)%slices, true
		}
	}
	return 0, false
}

// pile is a priority queue by key, and by order of pushes where keys are equal; what is in it can be taken back. It is a heap, beside which
// lies what was pushed, in slots that are used again.
type pile[T any] struct {
	heap
	slots []slot[T]
	free  []uint32 // slots that nothing is in
	seq   uint64
	stale int // items that were taken back, and are still in the heap, of those that were pushed into it
}

// ticket names one push: its number, which is never used again, and below it the slot that holds what was pushed. So tickets are in the order
// of pushes.
type ticket uint64

const (
	slotBits = 24
	beside   = 1 << slotBits // marks what was not pushed into the heap when its ticket was given
)

func (t ticket) slot() uint32 { return uint32(t & (1<<slotBits - 1)) }

type slot[T any] struct {
	what   T
	ticket ticket // 0 while nothing is in it
}

// len is how many there are.
func (p *pile[T]) len() int { return len(p.slots) - len(p.free) }

// ticket takes a slot.
func (p *pile[T]) ticket(what T, mark ticket) ticket {
	var s uint32
	if n := len(p.free); n > 0 {
		s = p.free[n-1]
		p.free = p.free[:n-1]
	} else {
		if len(p.slots) == 1<<slotBits {
			panic("engine: more than 16 million callbacks are pending at once")
		}
		s = uint32(len(p.slots))
		p.slots = append(p.slots, slot[T]{})
	}
	p.seq++
	t := ticket(p.seq<<(slotBits+1)) | mark | ticket(s)
	p.slots[s] = slot[T]{what, t}
	return t
}

func (p *pile[T]) push(key uint64, what T) ticket {
	t := p.ticket(what, 0)
	p.heap.push(item{key, t})
	return t
}

// has reports whether what t names is still there.
func (p *pile[T]) has(t ticket) bool {
	s := t.slot()
	return t != 0 && int(s) < len(p.slots) && p.slots[s].ticket == t
}

// take ends t's time in its slot, and returns what was in it.
func (p *pile[T]) take(t ticket) T {
	s := t.slot()
	what := p.slots[s].what
	p.slots[s] = slot[T]{}
	p.free = append(p.free, s)
	return what
}

// remove takes back what t names, and reports whether it was there. Its item stays where it is until it comes to the top, or until most of
// the heap is such.
func (p *pile[T]) remove(t ticket) bool {
	if !p.has(t) {
		return false
	}
	p.take(t)
	if t&beside != 0 {
		return true
	}
	p.stale++
	if p.stale > 64 && p.stale > len(p.items)/2 {
		p.fill()
		p.items, p.stale = p.live(p.items), 0
		p.sort()
	}
	return true
}

// live is all without what was taken back, in the same place.
func (p *pile[T]) live(all []item) []item {
	live := all[:0]
	for _, i := range all {
		if p.has(i.ticket) {
			live = append(live, i)
		}
	}
	return live
}

// first returns the key that is least, and whether there is one.
func (p *pile[T]) first() (key uint64, ok bool) {
	p.fill()
	for len(p.items) > 0 {
		top := p.items[0]
		if p.stale == 0 && top.ticket&beside == 0 || p.has(top.ticket) {
			return top.key, true
		}
		if top.ticket&beside == 0 {
			p.stale--
		}
		p.hole = true
		p.fill()
	}
	return 0, false
}

// pop takes the first out; first must have said that there is one.
func (p *pile[T]) pop() (ticket, T) {
	t := p.items[0].ticket
	p.hole = true
	return t, p.take(t)
}

// heap is a heap of four children to a node, whose items are sixteen bytes without a pointer: the four that are compared with each other
// fill one cache line, and the garbage collector passes them over.
type heap struct {
	items []item
	// hole says that items[0] was popped: whatever is pushed next takes its place, which saves the way up of one and the way down of the
	// other, as most events are followed by one they cause.
	hole bool
}

type item struct {
	key    uint64
	ticket ticket
}

// before is 1 where a comes before b, and 0 otherwise: as a number, since which of two comes first cannot be foreseen, and a processor
// that guesses wrong at a branch loses more than the comparison takes.
func (a item) before(b item) uint64 {
	_, less := bits.Sub64(uint64(a.ticket), uint64(b.ticket), 0)
	_, less = bits.Sub64(a.key, b.key, less)
	return less
}

// push puts x in.
func (q *heap) push(x item) {
	if q.hole {
		q.hole = false
		q.down(0, x)
		return
	}
	q.items = append(q.items, item{})
	q.up(len(q.items)-1, x)
}

// sort makes a heap of items in any order.
func (q *heap) sort() {
	for i := (len(q.items)+2)/4 - 1; i >= 0; i-- {
		q.down(i, q.items[i])
	}
}

// fill closes the hole with the heap's last item.
func (q *heap) fill() {
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
func (q *heap) up(i int, x item) {
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
func (q *heap) down(i int, x item) {
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

package sim

import (
	"cmp"
	"encoding/binary"
	"iter"
	"slices"
	"time"

	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// A segment can be asked for as long as it is in the DVR window, and hardly any is: those of three hours, of fifty renditions and two
// pipelines, would take half a gigabyte. So one that nothing has been done with for a while is filed: what is known of it is written down
// in a few dozen bytes, from which it is made again as it was when somebody asks for it.

// files are the filed segments of a track, in pages of perPage numbers, and there one after the other in the order in which they came.
type files map[int64][]byte

const perPage = 64

// entry is a segment in a page.
type entry struct {
	nth      byte   // of the page's numbers
	text     []byte // as file writes it
	from, to int    // where the entry stands in its page, with its number and its length
}

// entries yields what stands in a page.
func entries(page []byte) iter.Seq[entry] {
	return func(yield func(entry) bool) {
		for at := 0; at < len(page); {
			length, n := binary.Uvarint(page[at+1:])
			begins := at + 1 + n
			e := entry{nth: page[at], text: page[begins:][:length], from: at, to: begins + int(length)}
			if !yield(e) {
				return
			}
			at = e.to
		}
	}
}

// put files segment n.
func (f files) put(n int64, text []byte) {
	page := append(f[n/perPage], byte(n%perPage))
	page = binary.AppendUvarint(page, uint64(len(text)))
	f[n/perPage] = append(page, text...)
}

// take takes segment n out of f; ok is false if it is not filed.
func (f files) take(n int64) (text []byte, ok bool) {
	page := f[n/perPage]
	for e := range entries(page) {
		if e.nth == byte(n%perPage) {
			text = slices.Clone(e.text)
			f[n/perPage] = slices.Delete(page, e.from, e.to)
			return text, true
		}
	}
	return nil, false
}

// forget has serving node n know nothing of what is filed.
func (f files) forget(n *node) {
	for _, page := range f {
		for e := range entries(page) {
			e.text[n.nth] = 0
		}
	}
}

// unused is for how long nothing must have been asked of a segment of t that is filed: longer than anything can be under way for it, as it
// would be lost on the segment that is made again. A read takes readTimeout at most, it can be held for up to two segments before that, and
// what it does to stores and caches takes a few seconds more.
func (m *run) unused(t *track) time.Duration {
	return cmp.Or(m.fileAfter, time.Minute+3*t.event.Template.Duration())
}

// tidy files the segments of t that nobody has asked for lately, and forgets those that no node would serve any more. While a node stands
// still, what it was doing may go on at any time.
func (m *run) tidy(t *track) {
	now := m.engine.Now()
	t.tidied = now
	still := m.halted()
	for n, s := range t.segs {
		switch {
		case s.inUse():
			s.touched = now
		case m.over(t, n):
			delete(t.segs, n)
		case !still && n != segment.Init && now-max(s.touched, m.resumed) >= m.unused(t):
			if text, ok := m.file(s); ok {
				t.filed.put(n, text)
				delete(t.segs, n)
			}
		}
	}
	for page := range t.filed {
		if m.over(t, (page+1)*perPage-1) {
			delete(t.filed, page)
		}
	}
}

// over reports whether no node would serve segment n any more.
func (m *run) over(t *track, n int64) bool {
	return n != segment.Init && !m.instant(0).Before(t.event.End(n).Add(forgetAfter))
}

// forgetAfter is how long after it has left the DVR window a segment is forgotten: what is under way for it has ended by then.
const forgetAfter = time.Minute

// halted reports whether any node stands still.
func (m *run) halted() bool {
	halted := func(n *node) bool { return n.state == halted }
	return slices.ContainsFunc(m.publish, halted) || slices.ContainsFunc(m.serve, halted) || slices.ContainsFunc(m.store.nodes, halted) ||
		slices.ContainsFunc(m.zones, func(z *zone) bool { return slices.ContainsFunc(z.nodes, halted) })
}

// inUse reports whether somebody waits for s, reads or publishes it.
func (s *seg) inUse() bool {
	return slices.ContainsFunc(s.at, func(a seenAt) bool { return a.wait != nil || a.read != nil }) ||
		slices.ContainsFunc(s.copies, func(s slot) bool { return s.busy })
}

// What the first byte of a filed copy says; flaws are in the bits from flawsAt on.
const (
	isThere = 1 << iota
	isKnown // to its publishing node
	isTorn
	isChanged // by an effect of the scenario
	flawsAt   = iota
)

// file writes s down for unfile; ok is false if there is more to it than that has a place for: several copies of one pipeline, one that is in
// a node's memory or broke off, what polls have found out. What has ended, such as a copy's stay in a zone, is left out.
func (m *run) file(s *seg) (text []byte, ok bool) {
	now := m.engine.Now()
	b := m.text[:0]
	for i := range s.at {
		a := &s.at[i]
		chosen := a.chosen
		switch {
		case a.hot != nil || a.heard != heard{}:
			return nil, false
		case now >= a.until:
			chosen = 0
		case chosen > 0:
			if c := s.copies[chosen-1].durable; c == nil || c.until != a.until {
				return nil, false
			}
		}
		b = append(b, byte(chosen))
	}
	for i := range s.copies {
		if b, ok = m.fileCopy(b, &s.copies[i]); !ok {
			return nil, false
		}
	}
	m.text = b
	return b, true
}

// fileCopy appends what is known of s's copy.
func (m *run) fileCopy(b []byte, s *slot) (text []byte, ok bool) {
	now, c := m.engine.Now(), s.durable
	if now < s.hidden || s.stands != nil && s.stands != c {
		return nil, false
	}
	for _, z := range m.zones {
		if at := s.zoned[z.nth]; z.keeps(at.came) && now < at.until && at.copy != c {
			return nil, false
		}
	}
	if c == nil {
		return append(b, 0), true
	}
	for _, n := range m.serve {
		if _, broken := n.serving.broken[c]; broken {
			return nil, false
		}
	}
	if slices.ContainsFunc(c.hidden, func(until time.Duration) bool { return now < until }) {
		return nil, false
	}
	is := isThere | int(c.flaws)<<flawsAt
	if s.stands != nil {
		is |= isKnown
	}
	if c.torn {
		is |= isTorn
	}
	if c.effect != storm.Plain {
		is |= isChanged
	}
	b = append(b, byte(is))
	if c.effect != storm.Plain {
		b = binary.AppendVarint(append(b, byte(c.effect)), c.by)
	}
	b = binary.AppendUvarint(b, uint64(c.size))
	b = binary.AppendVarint(b, int64(c.published-m.begins(s.seg)))
	b = binary.AppendVarint(b, int64(c.until-m.ends(c)))
	if s.stands != nil {
		b = binary.AppendVarint(b, int64(s.since-c.published))
	}
	for _, z := range m.zones {
		b = z.file(b, c)
	}
	return b, true
}

// begins and ends are when a copy was published, and until when it is kept, but for what its way to the store takes.
func (m *run) begins(s *seg) time.Duration {
	return s.track.event.Template.Begins(s.number + 1).Sub(m.c.Start)
}

func (m *run) ends(c *copied) time.Duration {
	return c.published + c.slot.seg.track.event.Keep(m.c.Start.Add(c.published), c.slot.seg.number)
}

// file appends what z has of c.
func (z *zone) file(b []byte, c *copied) []byte {
	came := func(as int64) uint64 {
		switch {
		case !z.keeps(as):
			return 0
		case z.limit == 0: // one is as another, until all go
			return uint64(z.gone + 1)
		}
		return uint64(as)
	}
	at, chunks := c.slot.zoned[z.nth], c.came(z)
	if z.m.engine.Now() >= at.until {
		at.came = 0
	}
	if !z.keeps(at.came) && !slices.ContainsFunc(chunks, z.keeps) {
		return append(b, 0)
	}
	b = binary.AppendUvarint(append(b, 1), came(at.came))
	if z.keeps(at.came) {
		b = binary.AppendVarint(b, int64(at.until-c.until))
	}
	for _, as := range chunks {
		b = binary.AppendUvarint(b, came(as))
	}
	return b
}

// unfile makes segment n of t what it was when it was filed; it returns nil if it is not.
func (m *run) unfile(t *track, n int64) *seg {
	text, ok := t.filed.take(n)
	if !ok {
		return nil
	}
	s, r := m.newSeg(t, n), reader(text)
	chosen := r[:len(s.at)]
	r = r[len(s.at):]
	for i := range s.copies {
		m.unfileCopy(&r, &s.copies[i])
	}
	for i, p := range chosen {
		if p > 0 {
			s.at[i].chosen, s.at[i].until = int8(p), s.copies[p-1].durable.until
		}
	}
	return s
}

// unfileCopy is what fileCopy wrote of s.
func (m *run) unfileCopy(r *reader, s *slot) {
	is := r.byte()
	if is == 0 {
		return
	}
	effect, by := storm.Plain, int64(0)
	if is&isChanged != 0 {
		effect, by = storm.Effect(r.byte()), r.int()
	}
	c := m.newCopy(s, int64(r.uint()), effect, by)
	c.flaws, c.torn = policy.Flaws(is>>flawsAt), is&isTorn != 0
	c.published = m.begins(s.seg) + time.Duration(r.int())
	c.until = m.ends(c) + time.Duration(r.int())
	s.durable = c
	if is&isKnown != 0 {
		s.stands, s.since = c, c.published+time.Duration(r.int())
	}
	for _, z := range m.zones {
		if r.byte() == 0 {
			continue
		}
		if came := int64(r.uint()); came > 0 {
			s.zoned[z.nth] = zoned{copy: c, came: came, until: c.until + time.Duration(r.int())}
		}
		for i := range c.came(z) {
			c.came(z)[i] = int64(r.uint())
		}
	}
}

// reader reads what this package has written.
type reader []byte

func (r *reader) byte() byte {
	b := (*r)[0]
	*r = (*r)[1:]
	return b
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(*r)
	*r = (*r)[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(*r)
	*r = (*r)[n:]
	return v
}

package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// TestUnfiled: a segment that was filed and made again is what it was, in all that the model can ever see of it; and what has no place in a
// file is not filed.
func TestUnfiled(t *testing.T) {
	start := time.Unix(0, 0)
	e := config.Event{
		Name: "e", Template: segment.Template{Start: start, Ticks: 2, Timescale: 1}, Pipelines: []string{"a", "b"}, Renditions: []config.Rendition{{Name: "v"}},
	}
	filed := 0
	for seed := range uint64(5000) {
		rng := rand.New(rand.NewPCG(seed, 0))
		c := Config{Start: start, Events: []config.Event{e}, Topology: Topology{Serve: 3, Zones: 2, ChunkSize: 100, ZoneMemory: 2000}}
		if rng.IntN(2) == 0 {
			c.Topology.ZoneMemory = 0
		}
		m := newRun(c, storm.Plan{Requests: func(func(storm.Request) bool) {}})
		t.Cleanup(m.agenda.Stop)
		seldom := func() bool { return rng.IntN(20) == 0 }
		m.engine.Advance(time.Hour)
		s := m.newSeg(m.tracks[0], 1000) // published at about 2,002 s, kept until 9,212 s
		for i := range s.copies {
			scramble(rng, m, &s.copies[i])
		}
		for i := range s.at {
			a := &s.at[i]
			if c := s.copies[i%2].durable; c != nil && rng.IntN(2) == 0 {
				a.chosen, a.until = int8(i%2+1), c.until
			}
			switch {
			case seldom():
				a.heard.polls = 3
			case seldom():
				a.hot = &hot{}
			case seldom():
				a.until = time.Hour + time.Duration(rng.IntN(3)-1)
			}
		}
		m.engine.Advance(time.Hour + time.Duration(rng.IntN(2))*time.Second)
		want := m.observed(s)
		text, ok := m.file(s)
		if !ok {
			continue
		}
		filed++
		m.tracks[0].filed.put(1000, text)
		if n := rng.IntN(4); n < 3 {
			m.tracks[0].filed.forget(m.serve[n])
			s.at[n] = seenAt{}
			want = m.observed(s)
		}
		back := m.unfile(m.tracks[0], 1000)
		if got := m.observed(back); got != want {
			t.Fatalf("seed %d:\n%s\nwas filed, and made again it is\n%s", seed, want, got)
		}
		if m.unfile(m.tracks[0], 1000) != nil {
			t.Fatalf("seed %d: it is still filed", seed)
		}
		if now := time.Hour; rng.IntN(2) == 0 { // what happens later happens to both
			m.engine.Advance(now + time.Hour)
			m.publish[0].began = now + 2*time.Second
			m.zones[0].flush()
			if got, want := m.observed(back), m.observed(s); got != want {
				t.Fatalf("seed %d: an hour later\n%s\nis, as it was filed in between,\n%s", seed, want, got)
			}
		}
	}
	if filed < 1000 {
		t.Errorf("%d segments were filed, want a good part of 5,000", filed)
	}
}

// scramble makes of s what can have become of it, and some of what cannot.
func scramble(rng *rand.Rand, m *run, s *slot) {
	seldom := func() bool { return rng.IntN(20) == 0 }
	if seldom() {
		return
	}
	around := func(at time.Duration) time.Duration { return at + time.Duration(rng.IntN(1e9)) - time.Second/2 }
	made := func() *copied {
		effect, by := storm.Plain, int64(0)
		if seldom() {
			effect, by = storm.Other, rng.Int64N(1000)-500
		}
		c := m.newCopy(s, int64(rng.IntN(600)), effect, by)
		c.torn = seldom()
		if rng.IntN(4) == 0 {
			c.flaws = policy.Flaws(rng.IntN(16))
		}
		c.published = around(2002 * time.Second)
		c.until = around(9212 * time.Second)
		for _, z := range m.zones {
			for i := range c.chunks {
				if rng.IntN(2) == 0 {
					z.take(c, i, 0)
				}
			}
			if rng.IntN(2) == 0 {
				z.take(c, commit, time.Duration(rng.IntN(3))*time.Second)
			}
			z.take(&copied{slot: &slot{zoned: make([]zoned, 2)}, commit: rng.Int64N(600)}, commit, 0)
			if seldom() {
				z.flush()
			}
		}
		return c
	}
	c := made()
	s.durable = c
	switch {
	case seldom():
		s.durable = made()
	case seldom():
		s.hidden = time.Hour + time.Duration(rng.IntN(3))*time.Second
	case seldom() && c.chunks > 0:
		c.hidden = make([]time.Duration, c.chunks)
		c.hidden[rng.IntN(c.chunks)] = time.Hour + time.Duration(rng.IntN(3))*time.Second
	case seldom():
		m.serve[1].serving.broken[c] = struct{}{}
	case seldom():
		s.durable = nil
	}
	if rng.IntN(4) > 0 {
		s.stands, s.since = c, around(2003*time.Second)
	}
	m.publish[0].began = time.Duration(rng.IntN(2)) * 2003 * time.Second
}

// observed is what the model can see of s now.
func (m *run) observed(s *seg) string {
	now := m.engine.Now()
	show := func(c *copied) string {
		if c == nil {
			return "-"
		}
		b := fmt.Sprint(c.size, c.etag, c.flaws, c.effect, c.torn, c.published, c.until, c.chunks, c.chunk, c.commit)
		for _, n := range m.serve {
			_, broken := n.serving.broken[c]
			b += fmt.Sprint(" ", broken)
		}
		for i := range c.chunks {
			b += fmt.Sprint(" ", c.hidden != nil && now < c.hidden[i])
			for _, z := range m.zones {
				b += fmt.Sprint(" ", z.has(c.slot, c, i) == c)
			}
		}
		return b
	}
	var b string
	for i := range s.copies {
		p := &s.copies[i]
		b += fmt.Sprintf("copy: %s hidden: %v key: %s stands: %s", show(p.durable), now < p.hidden, p.key(), show(p.known(m.publish[0])))
		for _, z := range m.zones {
			b += " zone: " + show(z.has(p, nil, commit))
			b += fmt.Sprint(" ", z.has(p, nil, commit) == p.durable)
		}
		b += "\n"
	}
	for _, a := range s.at {
		chosen := a.chosen
		if chosen == 0 || now >= a.until {
			chosen, a.until = 0, 0
		}
		b += fmt.Sprint("node: ", chosen, " ", a.until, " ", a.heard, " ", a.hot != nil, "\n")
	}
	return b
}

// TestFiles: what is filed is found, whatever else is put there and taken away.
func TestFiles(t *testing.T) {
	f, want := files{}, map[int64]string{}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		n := rng.Int64N(300)
		text, ok := f.take(n)
		if was, is := want[n]; ok != is || string(text) != was {
			t.Fatalf("take(%d) = %q, %v, want %q, %v", n, text, ok, was, is)
		}
		delete(want, n)
		if !ok {
			text = slices.Repeat([]byte{byte(n)}, rng.IntN(300))
			f.put(n, text)
			want[n] = string(text)
		}
	}
}

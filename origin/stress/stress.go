// Package stress tells from how long a store's reads take whether the store is short of capacity. What is done about it is
// decided in package policy. It does no I/O and never asks for the time: whoever reads says when it was and how it went.
//
// The signal is the one that Netflix's key-value layer gives to the origin of its live events (netflixtechblog.com, "Enhancing
// Netflix Reliability with Service-Level Prioritized Load Shedding", 2024): utilisation is the share of requests that took longer
// than a target of 10 ms, and than a maximum of 500 ms; above 40 % over the target, reads that can wait are shed, writes never.
// A processor's load would not tell: that of the origin was below 10 % while its store was at its limit. How long a window is,
// and how the stress ends, is not published and chosen here.
package stress

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/kv"
	"origin-storm/origin/policy"
)

// What a Meter takes where its configuration says nothing.
const (
	// DefaultTarget and DefaultMaximum are the two bounds for a read, and DefaultShed the share of reads over the target, as published.
	DefaultTarget  = 10 * time.Millisecond
	DefaultMaximum = 500 * time.Millisecond
	DefaultShed    = 0.4
	// DefaultPerMiB is what a read may take longer for each MiB that it brings: 400 Mbit/s for one read, below which a store in
	// the same zone is not idle.
	DefaultPerMiB = 20 * time.Millisecond
	// DefaultWindow is two segments of 2 s. The store is asked in bursts, one with each segment; over a window that does not hold
	// whole segments utilisation would go up and down with them.
	DefaultWindow = 4 * time.Second
	// DefaultSamples is how many reads a window needs to say anything, 25 a second: it is not a node with fewer that a store
	// suffers from. Of a hundred reads of a store that has 25 % over the target, more than 40 % are over it once in 3,100 times
	// (the tail of the binomial distribution).
	DefaultSamples = 100
)

// slots is how many parts a window has; it moves by one at a time.
const slots = 16

// How much of what can wait is let through while the store is under stress. It is found by trying, as a sender finds what a
// network can carry: with each step less while reads are slow, and else more. To shed all of it would leave a store idle that is
// asked for twice what it can do, and stress would come and go. A step is a slot, so that what it changed can be seen, and a fifth
// of the reads that a window needs; where so few are made that they can not tell, each slot is a step up.
const (
	onset      = 0.5  // when stress begins
	less       = 0.7  // of it after a step of slow reads
	more       = 1.15 // of it, and atLeast in addition, after a step of others: from next to nothing to all of it in 18 steps
	atLeast    = 0.01
	leastAdmit = 0.02 // let through whatever the store does
)

// calmAt is the share of the threshold for the live edge below which it is no longer shed. Between the two nothing changes.
const calmAt = 0.5

// End is how a read ended.
type End int

const (
	// Answered: with a value, or with the word that there is none.
	Answered End = iota
	// Left: whoever read did not wait for the answer, which would have taken longer than what is known.
	Left
	// Failed: the store did not answer in time, refused for want of capacity, or failed. That it took no time then is no comfort.
	Failed
)

// EndOf says how a read of a kv.Store ended that returned err.
func EndOf(err error) End {
	switch {
	case err == nil, errors.Is(err, kv.ErrNotFound):
		return Answered
	case errors.Is(err, context.Canceled):
		return Left
	}
	return Failed
}

// State is what a Meter says of its store at an instant.
type State struct {
	Reads int64 `json:"reads" metric:"gauge"` // in the window
	// Slow and Over are the shares of them that took longer than the target and than the maximum, 0 to 1.
	Slow float64 `json:"slow"`
	Over float64 `json:"over_maximum"`
	// Stressed: what can wait is shed, but for the share Admit of it, 0 to 1. Critical: the live edge is shed, too.
	Stressed bool    `json:"stressed"`
	Admit    float64 `json:"admit"`
	Critical bool    `json:"critical"`
	// Entered counts how often stress began.
	Entered int64 `json:"entered"`
}

// Load is s as package policy wants it.
func (s State) Load() policy.Load {
	return policy.Load{Stressed: s.Stressed, Admit: s.Admit, Critical: s.Critical}
}

// A Meter watches one store. It is safe for concurrent use; make it with New. Instants should not go back; if they do, by less
// than a window, what they bring counts as now.
type Meter struct {
	c config.Stress

	mu      sync.Mutex // guards the following
	parts   [slots]counts
	sum     counts
	part    int64  // which slot of all time is being filled
	step    counts // since Admit was last changed
	admit   float64
	entered int64
	edge    bool // the live edge is shed
}

type counts struct{ reads, slow, over int64 }

func (c *counts) add(d counts) {
	c.reads, c.slow, c.over = c.reads+d.reads, c.slow+d.slow, c.over+d.over
}

// exceeds reports whether n of reads are more than share of them.
func exceeds(n, reads int64, share float64) bool { return float64(n) > share*float64(reads) }

// New returns a Meter with the zero fields of c replaced by the defaults.
func New(c config.Stress) *Meter {
	c.Target = cmp.Or(c.Target, DefaultTarget)
	c.PerMiB = cmp.Or(c.PerMiB, DefaultPerMiB)
	c.Maximum = cmp.Or(c.Maximum, DefaultMaximum)
	c.Window = max(cmp.Or(c.Window, DefaultWindow), slots)
	c.Samples = cmp.Or(c.Samples, DefaultSamples)
	c.Shed = cmp.Or(c.Shed, DefaultShed)
	return &Meter{c: c, admit: 1}
}

// Record notes a read of size bytes that ended at now after took.
func (m *Meter) Record(now time.Time, took time.Duration, size int, end End) {
	allowed := time.Duration(float64(m.c.PerMiB) * float64(size) / (1 << 20))
	slow, over := took > m.c.Target+allowed, took > m.c.Maximum+allowed
	switch {
	case end == Failed:
		slow, over = true, true
	case end == Left && !slow:
		return // it says nothing
	}
	read := counts{reads: 1}
	if slow {
		read.slow = 1
	}
	if over {
		read.over = 1
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	m.parts[m.part%slots].add(read)
	m.sum.add(read)
	m.step.add(read)
	if m.admit == 1 && m.enough() && m.c.Shed > 0 && exceeds(m.sum.slow, m.sum.reads, m.c.Shed) {
		m.admit, m.step = onset, counts{}
		m.entered++
	}
}

// enough reports whether the window has the reads that it takes to say anything. The caller holds mu.
func (m *Meter) enough() bool { return m.sum.reads >= int64(m.c.Samples) }

// State returns the state at now.
func (m *Meter) State(now time.Time) State {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	s := State{Reads: m.sum.reads}
	if s.Reads > 0 {
		s.Slow, s.Over = float64(m.sum.slow)/float64(s.Reads), float64(m.sum.over)/float64(s.Reads)
	}
	s.Stressed, s.Admit, s.Entered = m.admit < 1, m.admit, m.entered
	switch most := m.c.ShedLiveEdge; {
	case most <= 0 || !s.Stressed: // the live edge is never shed while what can wait is not
		m.edge = false
	case m.enough() && exceeds(m.sum.over, s.Reads, most):
		m.edge = true
	case !m.enough() || !exceeds(m.sum.over, s.Reads, most*calmAt):
		m.edge = false
	}
	s.Critical = m.edge
	return s
}

// advance forgets what has left the window, and takes a step at the end of each slot. The caller holds mu.
func (m *Meter) advance(now time.Time) {
	part := now.UnixNano() / (int64(m.c.Window) / slots)
	for ; m.part < part; m.part++ {
		if m.admit == 1 && m.sum == (counts{}) {
			m.part = part // nothing changes until then
			break
		}
		if m.admit < 1 {
			m.adapt()
		}
		old := &m.parts[(m.part+1)%slots]
		m.sum.add(counts{-old.reads, -old.slow, -old.over})
		*old = counts{}
	}
}

// adapt takes a step if the time has come. The caller holds mu.
func (m *Meter) adapt() {
	switch told := m.step.reads >= int64(m.c.Samples+4)/5; {
	case told && exceeds(m.step.slow, m.step.reads, m.c.Shed):
		m.admit = max(leastAdmit, m.admit*less)
	case told || !m.enough():
		m.admit = min(1, m.admit*more+atLeast)
	default:
		return
	}
	m.step = counts{}
}

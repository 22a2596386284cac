package record

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// Merge adds what o counted to r, without loss: figures of the sum are those of one Recording that had seen all samples, if
// each client's are in one of the two. Both must be of one backend and one plan. o must not be in use.
func (r *Recording) Merge(o *Recording) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c.Backend != o.c.Backend || r.c.Interval != o.c.Interval || !slices.Equal(r.c.Windows, o.c.Windows) {
		return fmt.Errorf("record: a recording of %s with %d windows and intervals of %v cannot be merged into one of %s with %d and %v: give both the same plan",
			o.c.Backend, len(o.c.Windows), o.c.Interval, r.c.Backend, len(r.c.Windows), r.c.Interval)
	}
	for i, p := range o.phases {
		q := r.phases[i]
		q.ended, q.bytes = q.ended+p.ended, q.bytes+p.bytes
		for c := range p.operations {
			q.operations[c].merge(&p.operations[c])
		}
	}
	for t, ws := range o.ticks {
		r.ticks[t] = append(r.ticks[t], ws...)
	}
	for n, i := range o.times {
		j, ok := r.times[n]
		if !ok {
			j = &interval{}
			r.times[n] = j
		}
		j.reads, j.bytes, j.errors, j.readMax = j.reads+i.reads, j.bytes+i.bytes, j.errors+i.errors, max(j.readMax, i.readMax)
		j.waits.merge(i.waits)
	}
	r.fates.merge(&o.fates)
	r.fates.pack()
	r.end, r.read, r.right, r.flawed = max(r.end, o.end), r.read+o.read, r.right+o.right, r.flawed+o.flawed
	return nil
}

func (o *operation) merge(p *operation) {
	o.count, o.errors, o.retries, o.dropped = o.count+p.count, o.errors+p.errors, o.retries+p.retries, o.dropped+p.dropped
	o.faulted, o.hits, o.bytes, o.cached = o.faulted+p.faulted, o.hits+p.hits, o.bytes+p.bytes, o.cached+p.cached
	if o.words == nil {
		o.words = map[string]int{}
	}
	for s, n := range p.statuses() {
		o.words[s] += n
	}
	for i := range p.latencies {
		o.latencies[i].merge(p.latencies[i])
	}
}

// entry is one line of an encoded Recording; one of its fields is set.
type entry struct {
	Head      *head      `json:"recording,omitempty"`
	Phase     *phaseLine `json:"phase,omitempty"`
	Operation *opLine    `json:"operation,omitempty"`
	Tick      *tickLine  `json:"tick,omitempty"`
	Interval  *timeLine  `json:"interval,omitempty"`
	Name      *nameLine  `json:"name,omitempty"`
	Word      *string    `json:"word,omitempty"`
	Fate      *fateLine  `json:"fate,omitempty"`
	Offender  *Offender  `json:"offender,omitempty"`
	End       *int       `json:"end,omitempty"` // how many lines there were: a stream without it was cut
}

type head struct {
	Version  int            `json:"version"`
	Backend  string         `json:"backend"`
	Windows  []storm.Window `json:"windows"`
	Interval time.Duration  `json:"interval_ns"`
	End      time.Duration  `json:"end_ns"`
	Read     int64          `json:"read"`
	Right    int64          `json:"right"`
	Flawed   int64          `json:"flawed,omitempty"`
}

type phaseLine struct {
	Phase int   `json:"phase"`
	Ended int64 `json:"ended"`
	Bytes int64 `json:"bytes"`
}

type opLine struct {
	Phase     int            `json:"phase"`
	Class     int            `json:"class"`
	Counts    [8]int64       `json:"counts"` // count, errors, retries, dropped, faulted, hits, bytes, cached
	Statuses  map[string]int `json:"statuses,omitempty"`
	Latencies []histLine     `json:"latencies,omitempty"`
}

type histLine struct {
	Of   int           `json:"of"`
	Bars []int64       `json:"bars"` // of each bar in order: its lowest value less that of the one before, and how many values it has
	Max  time.Duration `json:"max_ns"`
	Over int64         `json:"over,omitempty"`
	When batches       `json:"when"`
}

type tickLine struct {
	Phase int       `json:"phase"`
	N     int64     `json:"n"`
	MS    []float32 `json:"ms"`
}

type timeLine struct {
	N       int64         `json:"n"`
	Reads   int64         `json:"reads"`
	Bytes   int64         `json:"bytes"`
	Errors  int64         `json:"errors"`
	ReadMax time.Duration `json:"read_max_ns"`
	Waits   spectrum      `json:"waits,omitempty"`
}

type nameLine struct {
	Event     string `json:"event"`
	Pipeline  string `json:"pipeline"`
	Rendition string `json:"rendition"`
}

type fateLine struct {
	Name    int32            `json:"name"`
	Number  int64            `json:"number"`
	Is      mark             `json:"is"`
	Phase   int16            `json:"phase"`
	Served  int32            `json:"served,omitempty"`
	Failure int32            `json:"failure,omitempty"`
	Probed  int32            `json:"probed,omitempty"`
	By      int32            `json:"by,omitempty"`
	Acks    [2]uint32        `json:"acks"`
	Seen    [2]sighting      `json:"seen"`
	At      [5]time.Duration `json:"at_ns"` // sent, acknowledged, readable, probe
}

// line is c, which is of p, as it is written.
func (c fate) line(p place) fateLine {
	return fateLine{p.name, p.number, c.is, c.phase, c.served, c.failure, c.probed, c.by, c.acks,
		c.seen, [5]time.Duration{c.sent, c.acknowledged, c.readable, c.probe[0], c.probe[1]}}
}

// fate is what was written.
func (l fateLine) fate() (place, fate) {
	return place{l.Name, l.Number}, fate{l.At[0], l.At[1], l.At[2], [2]time.Duration(l.At[3:]), l.Is, l.Phase, l.Served, l.Probed, l.Failure, l.By,
		l.Acks, l.Seen}
}

const encoding = 6

// Encode writes all that r counted to w, as lines of JSON, for a Recording in another process to Decode and Merge.
func (r *Recording) Encode(w io.Writer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	buf := bufio.NewWriter(w)
	enc := json.NewEncoder(buf)
	lines := 0
	var failed error
	put := func(e entry) {
		if failed == nil {
			failed = enc.Encode(e)
			lines++
		}
	}
	put(entry{Head: &head{encoding, r.c.Backend, r.c.Windows, r.c.Interval, r.end, r.read, r.right, r.flawed}})
	for i, p := range r.phases {
		put(entry{Phase: &phaseLine{i, p.ended, p.bytes}})
		for c := range p.operations {
			o := &p.operations[c]
			line := opLine{Phase: i, Class: c, Counts: [8]int64{o.count, o.errors, o.retries, o.dropped, o.faulted, o.hits, o.bytes, o.cached}, Statuses: o.statuses()}
			for k, h := range o.latencies {
				if h.count() == 0 {
					continue
				}
				out := histLine{Of: k, Max: h.max, Over: h.over, When: h.when}
				before := int64(0)
				for _, b := range h.bars() {
					out.Bars = append(out.Bars, b.low-before, b.n)
					before = b.low
				}
				line.Latencies = append(line.Latencies, out)
			}
			put(entry{Operation: &line})
		}
	}
	for t, ws := range r.ticks {
		put(entry{Tick: &tickLine{t.phase, t.n, ws}})
	}
	for n, i := range r.times {
		put(entry{Interval: &timeLine{n, i.reads, i.bytes, i.errors, i.readMax, i.waits}})
	}
	for _, id := range r.fates.names {
		put(entry{Name: &nameLine{id.Event, id.Pipeline, id.Rendition}})
	}
	for _, s := range r.fates.words[1:] {
		put(entry{Word: &s})
	}
	for p, c := range r.fates.all() {
		line := c.line(p)
		put(entry{Fate: &line})
	}
	for _, all := range r.fates.offenders {
		for _, o := range all {
			put(entry{Offender: &o})
		}
	}
	put(entry{End: &lines})
	if failed == nil {
		failed = buf.Flush()
	}
	if failed != nil {
		return fmt.Errorf("record: writing a recording of %s: %w", r.c.Backend, failed)
	}
	return nil
}

// Decode reads what Encode wrote, from where dec stands; more may follow there. c gives what a stream cannot: when segments are due;
// its backend and windows must be the stream's. The error is io.EOF where nothing is left, and wraps io.ErrUnexpectedEOF where
// a recording was cut off.
func Decode(dec *json.Decoder, c Config) (*Recording, error) {
	r := New(c)
	for n := 0; ; n++ {
		var e entry
		if err := dec.Decode(&e); err != nil {
			if errors.Is(err, io.EOF) {
				if n == 0 {
					return nil, io.EOF
				}
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("record: a recording of %s, line %d: %w", c.Backend, n+1, err)
		}
		if e.End != nil {
			if *e.End != n {
				return nil, fmt.Errorf("record: a recording of %s has %d lines and not %d: some were lost on the way", c.Backend, n, *e.End)
			}
			return r, nil
		}
		if n == 0 && e.Head == nil {
			return nil, fmt.Errorf("record: a recording of %s does not begin with its head", c.Backend)
		}
		if err := r.apply(e); err != nil {
			return nil, fmt.Errorf("record: a recording of %s, line %d: %w", c.Backend, n+1, err)
		}
	}
}

var errRange = errors.New("refers to something that was not named before")

// apply adds one line.
func (r *Recording) apply(e entry) error {
	inPhases := func(i int) bool { return i >= 0 && i < len(r.phases) }
	switch {
	case e.Head != nil:
		h := e.Head
		if h.Version != encoding {
			return fmt.Errorf("written in form %d, this program reads form %d: use one version everywhere", h.Version, encoding)
		}
		if h.Backend != r.c.Backend || h.Interval != r.c.Interval || !slices.Equal(h.Windows, r.c.Windows) {
			return fmt.Errorf("it is of %s, intervals of %v and %d windows: another plan", h.Backend, h.Interval, len(h.Windows))
		}
		r.end, r.read, r.right, r.flawed = h.End, h.Read, h.Right, h.Flawed
	case e.Phase != nil:
		if !inPhases(e.Phase.Phase) {
			return errRange
		}
		p := r.phases[e.Phase.Phase]
		p.ended, p.bytes = e.Phase.Ended, e.Phase.Bytes
	case e.Operation != nil:
		return r.applyOperation(e.Operation)
	case e.Tick != nil:
		if !inPhases(e.Tick.Phase) || e.Tick.N < 0 || e.Tick.N > maxIntervals {
			return errRange
		}
		for _, v := range e.Tick.MS {
			if !(v >= 0) || math.IsInf(float64(v), 0) {
				return fmt.Errorf("a response time of %v ms", v)
			}
		}
		r.ticks[tick{e.Tick.Phase, e.Tick.N}] = e.Tick.MS
	case e.Interval != nil:
		i := e.Interval
		if i.N < 0 || i.N > maxIntervals {
			return errRange
		}
		r.times[i.N] = &interval{i.Reads, i.Bytes, i.Errors, i.ReadMax, i.Waits}
	case e.Name != nil:
		r.fates.name(segment.ID{Event: e.Name.Event, Pipeline: e.Name.Pipeline, Rendition: e.Name.Rendition})
	case e.Word != nil:
		r.fates.word(*e.Word)
	case e.Fate != nil:
		f := e.Fate
		names, words := int32(len(r.fates.names)), int32(len(r.fates.words))
		for _, word := range [...]int32{f.Failure, f.By, f.Seen[0].By, f.Seen[1].By} {
			if word < 0 || word >= words {
				return errRange
			}
		}
		if f.Name < 0 || f.Name >= names || f.Served < 0 || f.Served >= names || f.Probed < 0 || f.Probed >= names || int(f.Phase) >= len(r.phases) {
			return errRange
		}
		p, c := f.fate()
		*r.fates.at(p) = c
	case e.Offender != nil:
		r.fates.offenders.accuse(*e.Offender)
	}
	return nil
}

// decode adds what l says.
func (h *histogram) decode(l histLine) error {
	if len(l.Bars)%2 != 0 {
		return errors.New("a bar without a count")
	}
	low, sum := int64(0), h.count()
	for b := range slices.Chunk(l.Bars, 2) {
		if b[0] < 0 || b[0] > highest-low {
			return fmt.Errorf("a bar at %d ns from the one before, which is at %d", b[0], low)
		}
		if b[1] <= 0 || b[1] > math.MaxInt64-sum {
			return fmt.Errorf("%d values in a bar", b[1])
		}
		low, sum = low+b[0], sum+b[1]
		h.put(low, b[1])
	}
	h.max, h.over = max(h.max, l.Max), h.over+l.Over
	if l.When.Shift > maxShift {
		return fmt.Errorf("batches of 2^%d ticks", l.When.Shift)
	}
	h.when.merge(l.When)
	return nil
}

// maxIntervals is three weeks of 2-second segments: a damaged stream cannot make a table of intervals without end.
const maxIntervals = 1 << 20

// maxShift is at which all of maxIntervals are in one batch.
const maxShift = 20

func (r *Recording) applyOperation(l *opLine) error {
	if l.Phase < 0 || l.Phase >= len(r.phases) || l.Class < 0 || l.Class >= int(storm.Classes) {
		return errRange
	}
	o := operation{
		count: l.Counts[0], errors: l.Counts[1], retries: l.Counts[2], dropped: l.Counts[3],
		faulted: l.Counts[4], hits: l.Counts[5], bytes: l.Counts[6], cached: l.Counts[7], words: l.Statuses,
	}
	for _, h := range l.Latencies {
		if h.Of < 0 || h.Of >= latencies {
			return errRange
		}
		if err := o.latencies[h.Of].decode(h); err != nil {
			return fmt.Errorf("its histogram %d: %w", h.Of, err)
		}
	}
	r.phases[l.Phase].operations[l.Class] = o
	return nil
}

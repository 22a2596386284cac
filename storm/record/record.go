package record

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// Config says what a Recording is of.
type Config struct {
	Backend string
	Windows []storm.Window // in order, as the plan has them
	// Interval is what figures over time are counted by: a segment's duration; zero means 2 s.
	Interval time.Duration
	// Due is when a segment is due, counted from the run's start. Nil means that nothing ever is.
	Due func(segment.ID) time.Duration
	// Keep is how long after it is due a segment can be read: the DVR window; zero means always.
	Keep time.Duration
	// Unverified says that bodies are not compared: reads are not counted as verified.
	Unverified bool
	// Virtual says that time is: no driver can lag, so that no lag is counted.
	Virtual bool
}

// Recording counts samples while a run goes on, and makes figures of them. What it keeps grows with the number of segments,
// by about a hundred bytes for each copy, and with the number of intervals, never with the number of reads. It is safe for
// concurrent use.
type Recording struct {
	c Config

	mu     sync.Mutex // guards what follows
	phases []*phase
	in     []int               // the number of each window's phase
	ticks  map[tick][]float32  // publish responses in ms, by the instant at which they were meant to start
	times  map[int64]*interval // by number
	latest *interval           // times[nth], which was looked for last
	nth    int64
	fates  fates
	end    time.Duration // the latest Done
	read   int64
	right  int64
	flawed int64
	pooled []pooled // by phase; nil unless it is of replications
}

// phase is all windows of one name.
type phase struct {
	name       string
	operations [storm.Classes]operation
	ended      int64 // reads that ended well in its windows
	bytes      int64 // of reads that ended in its windows
}

// operation counts one class in one phase.
type operation struct {
	count, errors, retries, dropped, faulted, hits, bytes, cached int64

	codes     map[int]int    // HTTP statuses
	words     map[string]int // other outcomes
	latencies [latencies]histogram
}

// tick is one interval's part in one phase.
type tick struct {
	phase int
	n     int64
}

// interval counts what fell into one interval.
type interval struct {
	reads, bytes, errors int64
	readMax              time.Duration
	waits                spectrum // responses of reads
}

var _ storm.Recorder = (*Recording)(nil)

// New returns an empty Recording.
func New(c Config) *Recording {
	if c.Interval <= 0 {
		c.Interval = 2 * time.Second
	}
	if c.Due == nil {
		c.Due = func(segment.ID) time.Duration { return forever }
	}
	r := &Recording{c: c, ticks: map[tick][]float32{}, times: map[int64]*interval{}, fates: newFates()}
	for _, w := range c.Windows {
		if r.phase(w.Name) < 0 {
			r.phases = append(r.phases, &phase{name: w.Name})
		}
		r.in = append(r.in, r.phase(w.Name))
	}
	return r
}

const forever = time.Duration(1<<63 - 1)

// phase returns the number of the phase of that name, or -1.
func (r *Recording) phase(name string) int {
	return slices.IndexFunc(r.phases, func(p *phase) bool { return p.name == name })
}

// during returns the number of the phase that at belongs to, or -1 between windows.
func (r *Recording) during(at time.Duration) int {
	i, exact := slices.BinarySearchFunc(r.c.Windows, at, func(w storm.Window, at time.Duration) int { return cmp.Compare(w.From, at) })
	if !exact {
		i--
	}
	if i < 0 || at >= r.c.Windows[i].To {
		return -1
	}
	return r.in[i]
}

func (r *Recording) interval(at time.Duration) *interval {
	n := int64(at / r.c.Interval)
	if r.latest != nil && r.nth == n {
		return r.latest
	}
	i, ok := r.times[n]
	if !ok {
		i = &interval{}
		r.times[n] = i
	}
	r.latest, r.nth = i, n
	return i
}

// Record counts s: its latencies in the window in which its first try was meant to start, its bytes where it ended.
func (r *Recording) Record(s storm.Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end = max(r.end, s.Done)
	gone := forever
	if due := r.c.Due(s.ID); r.c.Keep > 0 && s.ID.Number != segment.Init && due < forever-r.c.Keep {
		gone = due + r.c.Keep
	}
	p := r.during(s.Began)
	r.fates.record(&s, p, gone)
	r.fates.pack()
	if s.Via == storm.Wire && !s.Put && s.Status == 200 && s.Class != storm.Missing {
		r.read++
		if s.OK() && !r.c.Unverified {
			r.right++
		}
		if s.OK() && s.Class.Reads() && s.Effect.Flaws() {
			r.flawed++
		}
	}
	if s.Via == storm.Wire && s.Class.Reads() {
		r.recordRead(&s)
	}
	if s.Via <= storm.Dropped && !s.Retried && !s.OK() && s.Class != storm.Probe && !errors.Is(s.Err, storm.ErrFault) {
		r.interval(s.Began).errors++
	}
	if p < 0 {
		return
	}
	if s.Put && s.Via == storm.Wire && !s.Retried {
		t := tick{p, int64(s.Began / r.c.Interval)}
		r.ticks[t] = append(r.ticks[t], float32(ms(Answered(&s))))
	}
	tick := int64(s.Began / r.c.Interval)
	r.phases[p].operations[s.Class].record(&s, tick, r.c.Virtual)
	if s.Put && s.OK() && s.Store > 0 {
		r.phases[p].operations[storm.StoreWrite].recordStore(&s, tick)
	}
}

// recordRead counts a read where it ended.
func (r *Recording) recordRead(s *storm.Sample) {
	i := r.interval(s.Done)
	i.bytes += s.Bytes
	if p := r.during(s.Done); p >= 0 {
		r.phases[p].bytes += s.Bytes
		if s.OK() {
			r.phases[p].ended++
		}
	}
	if s.OK() {
		i.reads++
		i.readMax = max(i.readMax, s.Response())
		i.waits.add(s.Response())
	}
}

// Answered is the response time that is counted for s: of a failure at least the budget, so that refusing at once does not
// look better than answering.
func Answered(s *storm.Sample) time.Duration {
	if s.OK() {
		return s.Response()
	}
	return max(s.Response(), segment.Budget)
}

// ended notes the outcome of s. Statuses are kept as numbers, since writing one out takes memory with every sample.
func (o *operation) ended(s *storm.Sample) {
	if s.Via == storm.Wire && s.Err == nil && s.Damage == storm.None {
		if o.codes == nil {
			o.codes = map[int]int{}
		}
		o.codes[s.Status]++
		return
	}
	if o.words == nil {
		o.words = map[string]int{}
	}
	o.words[Outcome(*s)]++
}

// statuses are all outcomes.
func (o *operation) statuses() map[string]int {
	all := make(map[string]int, len(o.codes)+len(o.words))
	maps.Copy(all, o.words)
	for code, n := range o.codes {
		all[strconv.Itoa(code)] += n
	}
	return all
}

// record counts s. Of requests that cannot lag there is no lag to keep, nor what they would be without it.
func (o *operation) record(s *storm.Sample, tick int64, punctual bool) {
	switch {
	case errors.Is(s.Err, storm.ErrFault):
		o.faulted++
		return
	case s.Via == storm.Dropped:
		o.dropped++
		o.ended(s)
		return
	case s.Via != storm.Wire:
		o.hits++
		return
	}
	o.ended(s)
	if !punctual {
		o.latencies[lag].add(s.Lag(), tick)
	}
	if s.Retried {
		o.retries++
		return
	}
	o.count++
	o.bytes += s.Bytes
	if s.Cached && s.OK() {
		o.cached++
	}
	o.latencies[response].add(Answered(s), tick)
	if !punctual {
		sooner := *s
		sooner.Done -= s.Lag()
		o.latencies[onTime].addAnytime(Answered(&sooner))
	}
	if !s.OK() {
		o.errors++
		return
	}
	o.latencies[service].add(s.Service(), tick)
	if !s.Put && s.First > 0 {
		o.latencies[firstByte].add(s.First-s.Began, tick)
		if !punctual {
			o.latencies[firstOnTime].addAnytime(s.First - s.Lag() - s.Began)
		}
	}
	if s.Answered != 0 {
		o.latencies[afterAnswer].add(s.AfterAnswer(), tick)
	}
}

func (o *operation) recordStore(s *storm.Sample, tick int64) {
	o.count++
	o.bytes += s.Bytes
	o.ended(s)
	o.latencies[response].add(s.Store, tick)
	o.latencies[service].add(s.Store, tick)
}

// Outcome names how a sample ended in one word: its status, what was wrong with its body, or the kind of its failure.
func Outcome(s storm.Sample) string {
	switch err := s.Err; {
	case errors.Is(err, storm.ErrFault):
		return "faulted"
	case s.Via == storm.Dropped:
		return "dropped"
	case s.Damage != storm.None:
		return s.Damage.String()
	case err == nil:
		return strconv.Itoa(s.Status)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), timedOut(err):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "cut"
	}
	return "failed"
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// Ticks returns the response times of a phase's publishes in ms, one slice for each interval in which some were meant to
// start, in order of time: the blocks of a block bootstrap.
func (r *Recording) Ticks(phase string) [][]float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.phase(phase)
	var all []tick
	for t := range r.ticks {
		if t.phase == p {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b tick) int { return cmp.Compare(a.n, b.n) })
	blocks := make([][]float64, len(all))
	for i, t := range all {
		for _, v := range r.ticks[t] {
			blocks[i] = append(blocks[i], float64(v))
		}
	}
	return blocks
}

// Lag is what the driver lost between the instants at which requests were meant to start and those at which they were sent,
// over all classes and phases.
func (r *Recording) Lag() Latency {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all histogram
	for _, p := range r.phases {
		for i := range p.operations {
			all.merge(p.operations[i].latencies[lag])
		}
	}
	return all.latency()
}

// Asked is how many segments readers asked for, each counted once.
func (r *Recording) Asked() (n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.fates.all() {
		if c.is&asked != 0 {
			n++
		}
	}
	return n
}

// Dropped is how many requests could not be sent, faults of the scenario aside.
func (r *Recording) Dropped() (n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.phases {
		for _, o := range p.operations {
			n += o.dropped
		}
	}
	return n
}

// Backend returns what samples tell: phases with their operations, and segments. Isolation and Cache are left to those who
// know them.
func (r *Recording) Backend() Backend {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := Backend{Name: r.c.Backend, Servers: []string{}, Notes: []string{}, Phases: []Phase{}, Offenders: []Offender{}}
	copies, offenders := r.settle()
	b.Offenders = append(b.Offenders, offenders...)
	b.Segments, _ = Tally(copies, seconds(r.c.Interval))
	b.Segments.Read, b.Segments.Verified, b.Segments.Flawed = r.read, r.right, r.flawed
	holds := r.holds(copies)
	for i, p := range r.phases {
		out := Phase{Name: p.name, Operations: []Operation{}, Seconds: r.seconds(p)}
		if r.pooled != nil {
			out.Seconds, holds[i] = r.pooled[i].seconds, r.pooled[i].holds
		}
		out.Holds = holds[i].latency()
		if out.Seconds > 0 {
			out.ReadGbit = float64(p.bytes) * 8 / 1e9 / out.Seconds
			out.Reads = float64(p.ended) / out.Seconds
		}
		for c := range p.operations {
			if o := p.operations[c].figures(storm.Class(c)); o.Count+o.Retries+o.Dropped+o.Faulted+o.Hits > 0 {
				out.Operations = append(out.Operations, o)
			}
		}
		b.Phases = append(b.Phases, out)
	}
	return b
}

// seconds is for how long a phase was recorded.
func (r *Recording) seconds(p *phase) (sum float64) {
	for _, w := range r.c.Windows {
		if w.Name == p.name {
			sum += seconds(max(0, min(w.To, r.end)-w.From))
		}
	}
	return sum
}

// holds is how long who waited for a copy had it after its acknowledgement, by phase.
func (r *Recording) holds(copies []Copy) []histogram {
	all := make([]histogram, len(r.phases))
	for _, c := range copies {
		if p := r.phase(c.Phase); p >= 0 && c.Held != nil {
			all[p].add(time.Duration(*c.Held*float64(time.Second)), int64(c.Due*float64(time.Second))/int64(r.c.Interval))
		}
	}
	return all
}

func (o *operation) figures(c storm.Class) Operation {
	out := Operation{
		Class: c.String(), Count: o.count, Errors: o.errors, Retries: o.retries, Dropped: o.dropped, Faulted: o.faulted, Hits: o.hits,
		Cached: o.cached, Bytes: o.bytes, Statuses: o.statuses(),
		Response: o.latencies[response].latencyWith(o.dropped), Service: o.latencies[service].latency(),
		Lag: o.latencies[lag].latency(), FirstByte: o.latencies[firstByte].latencyWith(o.dropped),
		AfterAnswer: o.latencies[afterAnswer].latency(),
	}
	if o.latencies[lag].count() > 0 {
		out.Response.OnTime, out.FirstByte.OnTime = new(o.latencies[onTime].latencyWith(o.dropped)), new(o.latencies[firstOnTime].latencyWith(o.dropped))
	}
	return out
}

// Intervals returns the figures over time, without gaps from the first to the last interval; of replications there are none.
func (r *Recording) Intervals() []Interval {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pooled != nil {
		return nil
	}
	writes := map[int64][]float32{}
	last := int64(-1)
	for t, ws := range r.ticks {
		writes[t.n] = append(writes[t.n], ws...)
		last = max(last, t.n)
	}
	for n := range r.times {
		last = max(last, n)
	}
	all := make([]Interval, last+1)
	for n := range all {
		at := time.Duration(n) * r.c.Interval
		out := Interval{Backend: r.c.Backend, At: seconds(at), Seconds: seconds(r.c.Interval)}
		if p := r.during(at); p >= 0 {
			out.Phase = r.phases[p].name
		}
		if i := r.times[int64(n)]; i != nil {
			out.Reads, out.Errors = i.reads, i.errors
			out.ReadGbit = float64(i.bytes) * 8 / 1e9 / out.Seconds
			if i.reads > 0 {
				out.ReadP50, out.ReadMax = new(ms(i.waits.quantile(0.5))), new(ms(i.readMax))
			}
		}
		ws := writes[int64(n)]
		slices.Sort(ws)
		if out.Writes = int64(len(ws)); out.Writes > 0 {
			at := func(q float64) *float64 { return new(float64(ws[rank(q, out.Writes)-1])) }
			out.WriteP50, out.WriteMax = at(0.5), at(1)
			if out.Writes >= Needed(0.99) {
				out.WriteP99 = at(0.99)
			}
		}
		all[n] = out
	}
	return all
}

// Copies returns what became of every copy that was published, and of every segment that nobody published, by number, name
// and pipeline.
func (r *Recording) Copies() []Copy {
	r.mu.Lock()
	defer r.mu.Unlock()
	copies, _ := r.settle()
	return copies
}

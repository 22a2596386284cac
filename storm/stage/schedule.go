package stage

import (
	"fmt"
	"sync"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/record"
	"origin-storm/storm/verdict/gate"
)

// schedule divides a stretch of a gate's segment clock into blocks: in tick 0 initialisation segments are published, with tick 1
// the first block begins.
type schedule struct {
	tick  time.Duration
	lead  int // ticks at a block's begin that are not measured
	block int // ticks of a block, those included
}

// measuredFor is how long a block is measured where nobody says: the shorter the blocks, the more evenly both sides get what
// the machine is like.
const measuredFor = 800 * time.Millisecond

// newSchedule returns the schedule for s with blocks of so many ticks, or of about a second if that is 0.
func newSchedule(s scenarios.Scenario, block int) (schedule, error) {
	e := s.Event
	sch := schedule{tick: e.Segment.Duration()}
	ticks := func(d time.Duration) int { return int((d + sch.tick - 1) / sch.tick) }
	// What is sent last in a block, and what readers ask for later, falls into the next one's lead.
	last := e.Encode.Max + e.Lag*time.Duration(e.Pipelines-1) + sch.tick*time.Duration(e.Count-1)/time.Duration(e.Count)
	sch.lead = max(1, ticks(last), ticks(e.PublishDelay))
	sch.block = sch.lead + max(1, ticks(measuredFor))
	if block != 0 {
		sch.block = block
	}
	if sch.block <= sch.lead {
		return sch, fmt.Errorf("blocks of %d segments (%v): the first %d are not measured, since what was sent in the block before still comes in; take %d or more, or lower event.encode, event.lag or event.publish-delay",
			block, time.Duration(block)*sch.tick, sch.lead, sch.lead+1)
	}
	return sch, nil
}

// length is how long a block lasts.
func (s schedule) length() time.Duration { return time.Duration(s.block) * s.tick }

// from is when a block begins.
func (s schedule) from(block int) time.Duration { return s.tick + time.Duration(block)*s.length() }

// at returns the block that an instant belongs to, and whether it is in its measured part. Instants before the first block are in
// block -1.
func (s schedule) at(t time.Duration) (block int, measured bool) {
	if t < s.tick {
		return -1, false
	}
	n := int(t/s.tick) - 1
	return n / s.block, n%s.block >= s.lead
}

// windows returns the blocks of one side among those of a stretch: what is planned, and the part of it that is measured.
func (s schedule) windows(order []gate.Side, side gate.Side, phase string) (planned, measured []storm.Window) {
	for i, of := range order {
		if of == side {
			planned = append(planned, storm.Window{Name: phase, From: s.from(i), To: s.from(i + 1)})
			measured = append(measured, storm.Window{Name: phase, From: s.from(i) + time.Duration(s.lead)*s.tick, To: s.from(i + 1)})
		}
	}
	return planned, measured
}

// keeps returns which of the requests planned for one side's windows are carried out: those for segments that are published in its
// blocks. first is the number of the stretch's first segment.
func (s schedule) keeps(order []gate.Side, side gate.Side, first int64) func(storm.Request) bool {
	return func(q storm.Request) bool {
		if q.ID.Number == segment.Init || q.Class == storm.Missing {
			return true
		}
		block, _ := s.at(time.Duration(q.ID.Number-first+1) * s.tick)
		return block >= 0 && block < len(order) && order[block] == side
	}
}

// The samples that a block has.
const (
	writes   = "write"  // responses of publishes, in ms
	reads    = "read"   // responses of reads at the live edge, in ms
	failures = "failed" // 1 for each request of either that failed, 0 for the others
)

// sampler is a Recorder that keeps the samples of one side's blocks in a stretch, and hands all on.
type sampler struct {
	schedule
	order []gate.Side
	side  gate.Side
	next  storm.Recorder

	mu        sync.Mutex // guards the following
	blocks    []map[string][]float64
	of        [2]int64 // publishes and reads in measured ticks
	failedAll int64
}

func newSampler(s schedule, order []gate.Side, side gate.Side, next storm.Recorder) *sampler {
	return &sampler{schedule: s, order: order, side: side, next: next, blocks: make([]map[string][]float64, len(order))}
}

var _ storm.Recorder = (*sampler)(nil)

// Record keeps s in the block in which it was meant to start.
func (r *sampler) Record(s storm.Sample) {
	r.next.Record(s)
	var what string
	switch {
	case s.Retried || s.Via != storm.Wire || s.ID.Number == segment.Init:
		return
	case s.Put:
		what = writes
	case s.Class == storm.LiveEdge:
		what = reads
	default:
		return
	}
	block, measured := r.at(s.Began)
	if !measured || block >= len(r.order) || r.order[block] != r.side {
		return
	}
	failed := 0.0
	if !s.OK() {
		failed = 1
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.blocks[block] == nil {
		r.blocks[block] = map[string][]float64{}
	}
	b := r.blocks[block]
	b[what] = append(b[what], milliseconds(record.Answered(&s)))
	b[failures] = append(b[failures], failed)
	if what == writes {
		r.of[0]++
	} else {
		r.of[1]++
	}
	r.failedAll += int64(failed)
}

// quads puts the blocks of both sides' samplers together. It is called when nothing is recorded any more.
func quads(order []gate.Side, sides [2]*sampler) []gate.Quad {
	all := make([]gate.Quad, len(order)/4)
	for i, side := range order {
		all[i/4][i%4] = gate.Block{Side: side, Samples: sides[side].blocks[i]}
	}
	return all
}

// metricsOf are what sides are compared on under s: its writes, and with readers its reads. Tails may fail a change; for a change to
// pass they need not be cleared, since a job is short for them.
func metricsOf(s scenarios.Scenario, effect float64) []gate.Metric {
	all := []gate.Metric{
		{Name: "write p50", Of: writes, Unit: "ms", Quantile: 0.5, Effect: effect},
		{Name: "write p99", Of: writes, Unit: "ms", Quantile: 0.99, Effect: effect, Optional: true},
	}
	if s.Windows.Storm > 0 {
		all = append(all,
			gate.Metric{Name: "read p50", Of: reads, Unit: "ms", Quantile: 0.5, Effect: effect},
			gate.Metric{Name: "read p99", Of: reads, Unit: "ms", Quantile: 0.99, Effect: effect, Optional: true})
	}
	return append(all, gate.Metric{Name: "failures", Of: failures, Unit: "of the requests", Effect: 0.01, Absolute: true})
}

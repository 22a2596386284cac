package record

import (
	"fmt"
	"slices"
)

// Pool adds what o counted to r as the n-th, from 0, of several replications of one plan: the figures that r makes are then those of
// all replications' requests together, and their intervals are over replications, each of them one batch of what goes the same way.
// Phases are as long as all replications' together. What became of each segment is not added, as it has the same name in each; so r has
// neither copies nor intervals of time. r has to be new or pooled, and o must not be in use.
func (r *Recording) Pool(o *Recording, n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c.Backend != o.c.Backend || r.c.Interval != o.c.Interval || !slices.Equal(r.c.Windows, o.c.Windows) {
		return fmt.Errorf("record: a recording of %s with %d windows is no replication of one of %s with %d: give both the same plan",
			o.c.Backend, len(o.c.Windows), r.c.Backend, len(r.c.Windows))
	}
	if r.pooled == nil {
		r.pooled = make([]pooled, len(r.phases))
	}
	copies, _ := o.settle()
	holds := o.holds(copies)
	for i, p := range o.phases {
		q := r.phases[i]
		q.ended, q.bytes = q.ended+p.ended, q.bytes+p.bytes
		for c := range p.operations {
			q.operations[c].merge(p.operations[c].batched(n))
		}
		r.pooled[i].seconds += o.seconds(p)
		r.pooled[i].holds.merge(holds[i].batched(n))
	}
	for t, ws := range o.ticks { // ticks of different replications have nothing to do with one another
		r.ticks[tick{t.phase, t.n + int64(n)<<32}] = ws
	}
	r.end, r.read, r.right, r.flawed = max(r.end, o.end), r.read+o.read, r.right+o.right, r.flawed+o.flawed
	return nil
}

// pooled is what a phase of replications has beside the sums.
type pooled struct {
	seconds float64
	holds   histogram
}

// batched is o as what all began in one batch, n.
func (o *operation) batched(n int) *operation {
	b := *o
	for i := range b.latencies {
		b.latencies[i] = b.latencies[i].batched(n)
	}
	return &b
}

// batched is h as if all of its values were of requests of one batch, n.
func (h histogram) batched(n int) histogram {
	if len(h.when.Of) == 0 {
		return h
	}
	all := &spectrum{}
	for _, s := range h.when.Of {
		all.merge(*s)
	}
	h.when = batches{Of: map[int64]*spectrum{int64(n): all}}
	return h
}

package sim

import (
	"sync"

	"origin-storm/storm"
)

// tape brings samples to a recorder in a goroutine of its own, in their order, a batch at a time: to count a sample takes about as long as
// to simulate its request, and a machine has more than one processor.
type tape struct {
	batch []storm.Sample
	full  chan []storm.Sample
	spent chan []storm.Sample
	done  sync.WaitGroup
}

// How much is on its way to the recorder: so little that it stays in a processor's cache.
const (
	tapeBatch = 64
	tapeAhead = 2
)

// newTape begins to record. Its owner calls end.
func newTape(rec storm.Recorder) *tape {
	t := &tape{full: make(chan []storm.Sample, tapeAhead), spent: make(chan []storm.Sample, tapeAhead+2)}
	for range cap(t.spent) {
		t.spent <- make([]storm.Sample, 0, tapeBatch)
	}
	t.batch = <-t.spent
	t.done.Go(func() {
		for batch := range t.full {
			for i := range batch {
				rec.Record(batch[i])
			}
			clear(batch)
			t.spent <- batch[:0]
		}
	})
	return t
}

// record puts samples on the tape.
func (t *tape) record(samples []storm.Sample) {
	for i := range samples {
		if t.batch = append(t.batch, samples[i]); len(t.batch) == tapeBatch {
			t.full <- t.batch
			t.batch = <-t.spent
		}
	}
}

// end returns when all has been recorded.
func (t *tape) end() {
	t.full <- t.batch
	close(t.full)
	t.done.Wait()
}

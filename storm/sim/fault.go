package sim

import (
	"time"

	"origin-storm/origin/cost"
	"origin-storm/storm"
)

// Refusals returns what the model cannot carry out of p's faults on an origin like c, each by name and with the nearest thing that works; nil
// if it can carry out all.
func Refusals(p storm.Plan, c Config) error { return nil }

// faults are the faults that a store has now.
type faults struct {
	seed uint64
	name string
}

func (f *faults) some() bool { return false }

func (f *faults) arrive(now time.Duration, w cost.Work) (wait, hide time.Duration, err failure) {
	return 0, 0, none
}

func (r *run) scheduleFault(f storm.Fault) {}

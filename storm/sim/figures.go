package sim

import (
	"math"

	"origin-storm/storm/sim/engine"
)

// gauge watches one part of the model.
type gauge struct{}

// cores makes the processors of a machine.
func (m *run) cores(role string, n int) *engine.Share {
	return engine.NewShare(&m.engine, float64(n), 1)
}

// link makes one direction of a machine's link.
func (m *run) link(role string, bits float64) *engine.Share {
	return engine.NewShare(&m.engine, bits/8, math.Inf(1))
}

// settle returns the figures at the end of a run.
func (r *run) settle() Figures {
	f := r.stats
	f.Events = r.engine.Events()
	return f
}

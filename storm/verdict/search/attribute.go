package search

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Evidence is what is known of a measurement at a load that does not hold.
type Evidence struct {
	// Outcome is the measurement's: Breaks or Untold.
	Outcome Outcome
	// Cores is how many processors the machine has, Seconds how long was measured, and CPU how many seconds of them each kind of
	// process has taken, the driver among them; nil where that is not known.
	Cores   int
	Seconds float64
	CPU     map[string]float64
	// Pinned says which kinds of processes have one processor only.
	Pinned map[string]bool
	// Broken is the threshold that does not hold. Store and Transfer are which parts of the time that it is about went to the durable
	// store, and to the network and edges once the origin had begun to answer; nil where that is not known.
	Broken          string
	Store, Transfer *float64
}

// What can be full.
const (
	Driver  = "driver"
	CPU     = "CPU"
	Process = "process" // one kind of process has no more of its processor
	Store   = "store"
	Network = "network"
	Origin  = "origin" // none of the others: the origin itself waits
)

// When something counts as full: processors are, once queues grow without bound some way below all of their time; a part of a latency
// explains it where it is most of it.
const (
	fullCPU  = 0.9
	mostOfIt = 0.6
)

// Attribute says what was full when a load did not hold, and what tells so. It is a reading of the evidence, not a proof.
func Attribute(e Evidence) (what, why string) {
	var total float64
	for _, took := range e.CPU {
		total += took
	}
	known := e.CPU != nil && e.Cores > 0 && e.Seconds > 0
	shares := "" // who took the processors
	if known {
		names := slices.SortedFunc(maps.Keys(e.CPU), func(a, b string) int { return cmp.Or(cmp.Compare(e.CPU[b], e.CPU[a]), strings.Compare(a, b)) })
		for i, name := range names {
			names[i] = fmt.Sprintf("%s %.2f", name, e.CPU[name]/e.Seconds)
		}
		shares = fmt.Sprintf("%.2f of %d processors were busy with it (%s)", total/e.Seconds, e.Cores, strings.Join(names, ", "))
	}
	full := known && total/e.Seconds >= fullCPU*float64(e.Cores)
	switch {
	case e.Outcome == Untold && full:
		return Driver, "the driver could not send in time, on a machine whose processors were full: " + shares
	case e.Outcome == Untold:
		return Driver, "the driver could not send in time" + also(shares)
	case full:
		return CPU, shares
	}
	if known {
		for _, name := range slices.Sorted(maps.Keys(e.Pinned)) {
			if busy := e.CPU[name] / e.Seconds; e.Pinned[name] && busy >= fullCPU {
				return Process, fmt.Sprintf("%s had one processor and took %.2f of it", name, busy)
			}
		}
	}
	switch {
	case e.Store != nil && *e.Store >= mostOfIt:
		return Store, fmt.Sprintf("%.0f %% of the time of %q went to the store%s", 100**e.Store, e.Broken, also(shares))
	case e.Transfer != nil && *e.Transfer >= mostOfIt:
		return Network, fmt.Sprintf("%.0f %% of the time of %q passed after the origin had begun to answer%s", 100**e.Transfer, e.Broken, also(shares))
	}
	return Origin, fmt.Sprintf("%q does not hold, and neither processors nor store nor network explain it%s", e.Broken, also(shares))
}

func also(shares string) string {
	if shares == "" {
		return ""
	}
	return "; " + shares
}

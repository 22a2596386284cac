package scenarios

import (
	"slices"
)

// Place is which part of a run carries a fault out.
type Place string

// The places.
const (
	AtPackager Place = "packager" // the plan: what is published, under which name, and when
	AtNetwork  Place = "network"  // the executor: how it is sent
	AtProcess  Place = "process"  // the stage: a process or a server is killed or stopped
	AtStore    Place = "store"    // the process that hosts a store or a cache zone
	AtReaders  Place = "readers"  // the executor: how answers are taken
)

// Measure says what the by of a fault means.
type Measure struct {
	// About says of what it is so much; empty: the fault has no by.
	About string
	// Timed says that it is a duration; else it is a number.
	Timed bool
	// Min and Max bound it.
	Min, Max Amount
}

// FaultKind is a kind of fault: an entry of the catalogue that scenarios, their schema, the plan, the executor and the stage share.
type FaultKind struct {
	// Do is its name, the field of a scenario that says whom it befalls.
	Do string
	// About says what it does.
	About string
	// To is which kinds of targets it can befall.
	To    []string
	Place Place
	// By is what its amount means, Usual what it is if it is left out.
	By    Measure
	Usual Amount
	// Shares says that share may pick a part of what it befalls, and Renditions that rendition may.
	Shares, Renditions bool
}

// faultKinds is the catalogue. A new kind is an entry here and its implementation at its place.
var faultKinds = []FaultKind{
	{Do: "kill", Place: AtProcess, To: []string{OfPublish, OfServe, OfStore, OfCache, OfCassandra, OfPipeline},
		About: "ends a process without warning, and starts it again when it is over; a pipeline publishes nothing for as long"},
	{Do: "stop", Place: AtProcess, To: []string{OfPublish, OfServe, OfStore, OfCache, OfCassandra},
		About: "halts a process with its connections open, as a long collection of garbage does, and lets it go on when it is over"},
	{Do: "drop", Place: AtPackager, To: []string{OfPipeline},
		About: "leaves segments out, as an encoder without input does"},
	{Do: "reset", Place: AtNetwork, To: []string{OfPipeline},
		About: "resets all connections in the middle of a body; for as long as it lasts, each new one, too"},
}

// FaultKinds is the catalogue of faults.
func FaultKinds() []FaultKind { return slices.Clone(faultKinds) }

// FaultNames returns the names of all kinds.
func FaultNames() []string {
	names := make([]string, len(faultKinds))
	for i, k := range faultKinds {
		names[i] = k.Do
	}
	return names
}

// faultsOn returns the names of the kinds that can befall a kind of target.
func faultsOn(what string) (names []string) {
	for _, k := range faultKinds {
		if slices.Contains(k.To, what) {
			names = append(names, k.Do)
		}
	}
	return names
}

// check returns what is wrong with an amount of m, or nothing.
func (m Measure) check(a Amount) string {
	switch {
	case a == Amount{}:
	case m.About == "":
		return "it has no amount; leave by out"
	case m.Timed && a.Count != 0:
		return "want a duration such as " + m.Max.String()
	case !m.Timed && a.Time != 0:
		return "want a number of " + m.About
	case a.Time < m.Min.Time || a.Time > m.Max.Time || a.Count < m.Min.Count || a.Count > m.Max.Count:
		return "must be " + m.Min.String() + " to " + m.Max.String()
	}
	return ""
}

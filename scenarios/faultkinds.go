package scenarios

import (
	"fmt"
	"slices"
	"time"
)

// Place is which part of a run carries a fault out.
type Place string

// The places.
const (
	AtPackager Place = "packager" // the plan: what is published, under which name, and when
	AtNetwork  Place = "network"  // the executor: how it is sent
	AtProcess  Place = "process"  // the stage: a process or a server is killed or stopped
	AtStore    Place = "store"    // the process that hosts a store or a cache zone
	AtReaders  Place = "readers"  // the plan: who asks and when, and what the readers' caches do
	AtModel    Place = "model"    // the simulator alone: what processes of one machine have in common, or cannot have
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
	// Simulated is which of To the simulator alone can do it to.
	Simulated []string
	// Shares says that share may pick a part of what it befalls, and Renditions that rendition may.
	Shares, Renditions bool
}

// Example is a fault of the kind as a scenario's faults have it, with all that it can take.
func (k FaultKind) Example() string {
	target := Target{What: k.To[0]}
	switch target.What {
	case OfPipeline:
		target.Name = "b"
	case OfServe, OfCache, OfCassandra:
		target.Nth = 1
	}
	text := fmt.Sprintf("{at: storm 1 + 1s, %s: %v", k.Do, target)
	if k.By.About != "" {
		text += fmt.Sprintf(", by: %v", k.Usual)
	}
	if k.Shares {
		text += ", share: 0.5"
	}
	return text + ", for: 2s}"
}

func timed(t time.Duration) Amount { return Amount{Time: t} }
func counted(n float64) Amount     { return Amount{Count: n} }

var (
	byLater    = Measure{"later", true, timed(-time.Minute), timed(10 * time.Minute)}
	byOffset   = Measure{"off", true, timed(-time.Hour), timed(time.Hour)}
	byShorter  = Measure{"shorter", true, timed(time.Millisecond), timed(time.Hour)}
	byLonger   = Measure{"longer", true, timed(time.Millisecond), timed(time.Minute)}
	bySegments = Measure{"segments", false, counted(-1000), counted(1000)}
	byBehind   = Measure{"segments behind", false, counted(0), counted(1000)}
	byNumber   = Measure{"as the first, 1 being the run's", false, counted(1), counted(1e9)}
	byTimes    = Measure{"times as large", false, counted(1), counted(1000)}
	byBytes    = Measure{"bytes per second", false, counted(1), counted(1e9)}
	bySize     = Measure{"bytes at most", false, counted(1), counted(1e9)}
	byNodes    = Measure{"nodes left", false, counted(1), counted(10_000)}
	byRate     = Measure{"operations per second", false, counted(1), counted(1e6)}
)

// faultKinds is the catalogue. A new kind is an entry here and its implementation at its place.
var faultKinds = []FaultKind{
	{Do: "kill", Place: AtProcess, To: []string{OfPublish, OfServe, OfStore, OfCache, OfCassandra, OfPipeline},
		About: "ends a process without warning, and starts it again when it is over; a pipeline publishes nothing for as long"},
	{Do: "stop", Place: AtProcess, To: []string{OfPublish, OfServe, OfStore, OfCache, OfCassandra},
		About: "halts a process with its connections open, as a long collection of garbage does, and lets it go on when it is over"},

	{Do: "drop", Place: AtPackager, To: []string{OfPipeline}, Shares: true, Renditions: true,
		About: "leaves segments out, as an encoder without input does"},
	{Do: "delay", Place: AtPackager, To: []string{OfPipeline}, By: byLater, Usual: timed(3 * time.Second), Shares: true, Renditions: true,
		About: "publishes segments later than they would be; of one rendition: it drifts from the others"},
	{Do: "skew", Place: AtPackager, To: []string{OfPipeline, OfReaders, OfPublish, OfServe}, Simulated: []string{OfPublish, OfServe}, By: byLater, Usual: timed(500 * time.Millisecond),
		About: "sets a clock wrong: whatever a packager or the readers do comes later, or earlier by a negative by; an origin's node takes it to be earlier, or later"},
	{Do: "shorten", Place: AtPackager, To: []string{OfPipeline}, By: byShorter, Usual: timed(500 * time.Millisecond), Shares: true, Renditions: true,
		About: "makes segments shorter, as if samples at their end were lost"},
	{Do: "shift", Place: AtPackager, To: []string{OfPipeline}, By: byOffset, Usual: timed(2 * time.Second), Shares: true, Renditions: true,
		About: "makes the decode times of segments wrong"},
	{Do: "slip", Place: AtPackager, To: []string{OfPipeline}, By: bySegments, Usual: counted(1), Renditions: true,
		About: "publishes segments under the names of later ones, or earlier ones by a negative by, with their own decode times"},
	{Do: "restart", Place: AtPackager, To: []string{OfPipeline}, By: byNumber, Usual: counted(1),
		About: "numbers segments from an old number on again, as a packager without an offset does that was restarted"},
	{Do: "slate", Place: AtPackager, To: []string{OfPipeline}, Shares: true, Renditions: true,
		About: "publishes slate, marked as such, in place of content"},
	{Do: "inflate", Place: AtPackager, To: []string{OfPipeline}, By: byTimes, Usual: counted(10), Shares: true, Renditions: true,
		About: "makes segments larger than their bit rate says"},
	{Do: "repeat", Place: AtPackager, To: []string{OfPipeline}, By: byLater, Usual: timed(500 * time.Millisecond), Shares: true, Renditions: true,
		About: "publishes segments again, with the same bytes"},
	{Do: "contradict", Place: AtPackager, To: []string{OfPipeline}, By: byLater, Usual: timed(500 * time.Millisecond), Shares: true, Renditions: true,
		About: "publishes segments again, with other bytes"},
	{Do: "cross", Place: AtPackager, To: []string{OfPipeline}, Renditions: true,
		About: "publishes segments under the names of the other pipeline, as a packager does whose URL is the other's"},
	{Do: "reinit", Place: AtPackager, To: []string{OfPipeline}, Renditions: true,
		About: "publishes another initialisation segment in mid-event, once"},
	{Do: "end", Place: AtPackager, To: []string{OfPipeline},
		About: "marks one segment of each rendition as the last and publishes no more, as a packager does whose event is over"},
	{Do: "delete", Place: AtPackager, To: []string{OfPipeline}, By: byBehind, Usual: counted(3), Renditions: true,
		About: "deletes the segment that is so many behind each that it publishes, as packagers with a short window of their own do"},

	{Do: "reset", Place: AtNetwork, To: []string{OfPipeline},
		About: "resets all connections in the middle of a body; for as long as it lasts, each new one, too"},
	{Do: "cut", Place: AtNetwork, To: []string{OfPipeline}, Shares: true, Renditions: true,
		About: "ends the connection in the middle of a chunked body, in good order"},
	{Do: "overstate", Place: AtNetwork, To: []string{OfPipeline}, Shares: true, Renditions: true,
		About: "announces more bytes than it sends, and ends the connection"},
	{Do: "understate", Place: AtNetwork, To: []string{OfPipeline}, Shares: true, Renditions: true,
		About: "announces fewer bytes than it sends"},
	{Do: "trickle", Place: AtNetwork, To: []string{OfPipeline}, By: byBytes, Usual: counted(1), Shares: true, Renditions: true,
		About: "sends bodies so slowly that they never end"},
	{Do: "hang-up", Place: AtNetwork, To: []string{OfPipeline}, Shares: true, Renditions: true,
		About: "closes the connection after the last byte of a body, without waiting for the answer, as ffmpeg does"},
	{Do: "chain", Place: AtNetwork, To: []string{OfPipeline},
		About: "sends all publishes of a rendition over one connection without waiting for answers, so that each waits behind the one before"},
	{Do: "reconnect", Place: AtNetwork, To: []string{OfPipeline, OfReaders},
		About: "makes a new connection for every request"},

	{Do: "slow", Place: AtStore, To: []string{OfStore, OfCache}, By: byLonger, Usual: timed(300 * time.Millisecond), Shares: true,
		About: "makes operations take longer"},
	{Do: "throttle", Place: AtStore, To: []string{OfStore}, By: byRate, Usual: counted(20),
		About: "refuses what comes faster, with the store's own word for it (503 SlowDown)"},
	{Do: "hide", Place: AtStore, To: []string{OfStore}, By: byLonger, Usual: timed(300 * time.Millisecond), Shares: true,
		About: "shows what was written only after a while, as a stale replica does"},
	{Do: "deny", Place: AtStore, To: []string{OfStore},
		About: "refuses every operation (403), as a provider does that has blocked the account"},
	{Do: "fill", Place: AtStore, To: []string{OfStore},
		About: "has no room left: every write fails"},
	{Do: "fail", Place: AtStore, To: []string{OfStore}, Shares: true,
		About: "fails operations for no reason"},
	{Do: "flush", Place: AtStore, To: []string{OfCache},
		About: "empties a cache zone, once"},
	{Do: "forget", Place: AtStore, To: []string{OfCache}, Shares: true,
		About: "loses single values, so that segments are there in part"},
	{Do: "limit", Place: AtStore, To: []string{OfCache}, By: bySize, Usual: counted(64 << 10),
		About: "refuses values larger than its limit for an item"},

	{Do: "purge", Place: AtReaders, To: []string{OfReaders},
		About: "makes the readers' caches forget everything, once; it takes readers.viewers"},
	{Do: "withhold", Place: AtReaders, To: []string{OfReaders}, Shares: true,
		About: "keeps a key from readers' players, which ask for nothing until they have it, and then all at once for what fills their buffers"},
	{Do: "redirect", Place: AtReaders, To: []string{OfReaders}, By: byTimes, Usual: counted(2),
		About: "sends the readers of a region that was lost here, too: so many times as many ask"},

	{Do: "scale", Place: AtModel, To: []string{OfServe}, Simulated: []string{OfServe}, By: byNodes, Usual: counted(1),
		About: "leaves so many serving nodes, as an autoscaler does that has lost its metric; a balancer moves the readers between those there are"},
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

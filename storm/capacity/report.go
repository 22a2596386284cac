package capacity

import "origin-storm/storm/sim"

// Schema is the number of the form that a Report is written in.
const Schema = 2

// Report is what capacity finds for one event: what it takes, how much room that leaves, and what gives way first. Everything in it
// follows from the scenario, the profile and the seed, so the same three give the same bytes.
type Report struct {
	Schema   int    `json:"schema"` // Schema
	Scenario string `json:"scenario"`
	About    string `json:"about"`
	Seed     uint64 `json:"seed"`
	// Verdict is the answer in one sentence, Answers what everybody asks, each answered in one sentence.
	Verdict string   `json:"verdict"`
	Answers []Answer `json:"answers"`
	// Caveat says how far both can be trusted, for what they are to be read and for what not.
	Caveat string `json:"caveat"`
	// Demand is what the audience asks of each tier, from the viewers down to the origin of one region.
	Demand []Demand `json:"demand"`
	// TargetGbit is the read rate in Gbit/s that the origin of one region is sized for, AskedGbit what the audience makes of it when
	// everything works.
	TargetGbit float64 `json:"target_gbit_per_s"`
	AskedGbit  float64 `json:"asked_gbit_per_s"`
	// Regions is how many regions have an origin; all node counts are of one of them.
	Regions int `json:"regions"`
	// Backends are the answers for each of the scenario's backends, in its order. The verdict is about the one that is Chosen.
	Backends []Backend `json:"backends"`
	// Inputs are all values that the answers rest on, each with where it comes from.
	Inputs []Input `json:"inputs"`
	// Profile is what the processors' costs were taken from.
	Profile Profile `json:"profile"`
	// Method says how windows were chosen, and that they are long enough.
	Method Method `json:"method"`
	// Assumptions are what was taken for granted, in sentences.
	Assumptions []string `json:"assumptions"`
	// Prices is what the nodes cost together, where the scenario has prices; none are known otherwise.
	Prices []Price `json:"prices,omitempty"`
	// Command repeats this report.
	Command string `json:"command"`
}

// Answer is a question with its answer, a sentence.
type Answer struct {
	Question string `json:"question"`
	Answer   string `json:"answer"`
}

// Demand is what one tier is asked for, all its nodes together.
type Demand struct {
	Tier     string  `json:"tier"` // viewers | edges | fillers | origin
	Nodes    int64   `json:"nodes"`
	Requests float64 `json:"requests_per_s"` // that its nodes are asked
	Gbit     float64 `json:"gbit_per_s"`     // that they send
	// Watched is the part, 0 to 1, of the renditions that at least one viewer behind one node of the tier watches, so that the node asks
	// for them: 1-(1-p)^n, weighted by the renditions' bit rates.
	Watched float64 `json:"watched"`
	Reason  string  `json:"reason"`
}

// Input is one value that the answers rest on.
type Input struct {
	Path    string `json:"path"` // as --set takes it; of what the scenario cannot set, a name in words
	Value   string `json:"value"`
	Default bool   `json:"default"` // the scenario leaves it out
	Source  string `json:"source"`
}

// Profile is where the processors' costs come from, and how far the simulator was off with them.
type Profile struct {
	Name    string `json:"name"`
	Source  string `json:"source"`
	Machine string `json:"machine"`
	Program string `json:"program"`
	Made    string `json:"made"` // a day, such as 2026-11-23
	Cores   int    `json:"cores"`
	// HeldOut are the comparisons on runs that the profile was not fitted on, Median and Worst by which part of the measured figure the
	// simulated ones were off, null without any; Error says so in a sentence.
	HeldOut []sim.Error `json:"held_out"`
	Median  *float64    `json:"median"`
	Worst   *float64    `json:"worst"`
	Error   string      `json:"error"`
	// Extrapolated names what lies outside of what the profile was fitted on.
	Extrapolated []string `json:"extrapolated"`
}

// Method says how the simulated figures came about.
type Method struct {
	Sentence string `json:"sentence"`
	// Segments is how many segments' time a storm window has.
	Segments int `json:"segments"`
	// Check is whether such windows at the target say what longer ones would.
	Check WindowCheck `json:"check"`
}

// WindowCheck says whether windows at the target tell what longer ones would: they do if nothing is carried over from one segment to the next.
type WindowCheck struct {
	// Excess is by segment how many milliseconds longer writes take on average than the same writes while nobody reads, and Drift how much
	// more that is in the second half of the segments than in the first.
	Excess []float64 `json:"write_excess_ms"`
	Drift  Drift     `json:"drift"`
	// Busy is which part of its capacity, 0 to 1, the busiest part of the origin still uses in the hundredth of a segment's time in which it
	// is used least.
	Busy float64 `json:"busy"`
	// Settled is set where writes do not get slower and every part of the origin has such a moment in each segment's time.
	Settled bool   `json:"settled"`
	Text    string `json:"text"`
}

// Drift is a difference of means in milliseconds with its 95 % interval.
type Drift struct {
	MS float64    `json:"ms"`
	CI [2]float64 `json:"ci_ms"`
}

// Latency is two quantiles in milliseconds with the 95 % interval of the second; null where the sample is too small or what was
// simulated is overloaded and grows as long as it lasts. Note then says why.
type Latency struct {
	Count int64       `json:"count"`
	P50   *float64    `json:"p50_ms"`
	P99   *float64    `json:"p99_ms"`
	P99CI *[2]float64 `json:"p99_ci_ms"`
	Note  string      `json:"note,omitempty"`
}

// Backend is the answer for one backend.
type Backend struct {
	Name   string `json:"name"`
	Chosen bool   `json:"chosen"`
	Cache  bool   `json:"cache"`
	// Latencies says where the store's and the cache's latencies come from.
	Latencies string `json:"latencies"`
	// Tiers is what it takes in one region, in the order in which a read passes them.
	Tiers []Tier `json:"tiers"`
	// Asked is the simulation of what the audience asks for when everything works, Target the one of what the origin is sized for.
	Asked  Point `json:"asked"`
	Target Point `json:"target"`
	// SameStore is Target with the store's nodes of the chosen backend, so that the cache is all that differs; null where that is no
	// other simulation than Target.
	SameStore *Point `json:"same_store"`
	// Checks are the simulations that the node counts are held against: with that many nodes, and with one fewer.
	Checks []Check `json:"checks"`
	// Frontier is the write p99 and the misses over viewers and bit rates, row by row.
	Frontier []Point `json:"frontier"`
	// Breaks is what gives way as the load grows: the first thing, then the next one with that doubled, and so on.
	Breaks []Break `json:"breaks"`
	// Losses is what losing something at the target does.
	Losses []Loss `json:"losses"`
	// Tick is how busy the tiers are over a segment's time at the target, on average over all segments, beginning when one is due.
	Tick []Tick `json:"tick"`
}

// Tier is one kind of node and how many it takes.
type Tier struct {
	Name  string `json:"name"`  // publish | serve | cache | store | backbone
	Nodes int    `json:"nodes"` // in one region, all zones together; 0 of what has no nodes to count
	Given bool   `json:"given"` // the scenario says how many; else they were found
	Zones int    `json:"zones"` // over how many zones they are spread
	// Each says what one node has, such as "16 cores, 25Gbit/s".
	Each string `json:"each"`
	// Needs is how many nodes each resource takes; the largest, Bound, decides, or "zones": that there have to be some in each.
	Needs []Need `json:"needs"`
	Bound string `json:"bound"`
	// Used is which part of its tightest resource is used at the target, Limit which part may be, and Headroom the one by the other: how many
	// times as much of everything the tier has room for. 0 where no bound is known.
	Used     float64 `json:"used"`
	Limit    float64 `json:"limit"`
	Headroom float64 `json:"headroom"`
	Reason   string  `json:"reason"`
}

// Need is how many nodes one resource of a tier takes.
type Need struct {
	Resource string  `json:"resource"` // processors | network | memory | disk
	Amount   float64 `json:"amount"`   // of all nodes together, in Unit
	Unit     string  `json:"unit"`     // cores | Gbit/s | GiB
	Nodes    int     `json:"nodes"`
	How      string  `json:"how"` // the arithmetic, in a line
}

// Point is one simulated load.
type Point struct {
	Viewers  int64   `json:"viewers"`
	BitRate  float64 `json:"bit_rate_mbit_per_s"` // that a viewer watches on average
	Fillers  int     `json:"fillers"`             // that ask the origin of one region
	ReadGbit float64 `json:"read_gbit_per_s"`     // that was asked for
	GotGbit  float64 `json:"got_gbit_per_s"`      // that was delivered in the windows
	Quiet    Latency `json:"quiet_write"`         // the publish response, nobody reading
	Write    Latency `json:"write"`               // the publish response in the storm
	Read     Latency `json:"read"`                // of reads at the live edge
	// Missed is how many segments nobody could read before their deadline, Late how many were readable only after they were due, Failed
	// the requests that got no answer, of Segments in the windows.
	Missed   int64 `json:"missed"`
	Late     int64 `json:"late"`
	Failed   int64 `json:"failed"`
	Segments int64 `json:"segments"`
	// Used is by tier and resource which part of the capacity the storm used, on average over its windows.
	Used []Used `json:"used"`
	// Holds is set where all thresholds hold and no tier is above its limit; Why says what does not.
	Holds bool   `json:"holds"`
	Why   string `json:"why,omitempty"`
}

// Used is which part of a tier's capacity was used.
type Used struct {
	Tier  string  `json:"tier"` // such as "serve links"
	Part  float64 `json:"part"` // 0 to 1
	Peak  float64 `json:"peak"` // in the busiest hundredth of a segment's time
	Limit float64 `json:"limit"`
}

// Check is a tier with a number of nodes, simulated at the target.
type Check struct {
	Tier  string  `json:"tier"`
	Nodes int     `json:"nodes"`
	Used  float64 `json:"used"`
	Write Latency `json:"write"`
	Read  Latency `json:"read"`
}

// Break is one thing that gives way.
type Break struct {
	// Order is 1 for the first. Each is found with all that gave way before it doubled.
	Order int `json:"order"`
	// Tier is what gave way, such as "serve links"; for a threshold that failed while no tier was full, the fullest one.
	Tier string `json:"tier"`
	// Factor is how many times the target's load it gives way at; between Holds, the highest found to hold, and Breaks, the lowest found not to.
	Holds    float64 `json:"holds"`
	Breaks   float64 `json:"breaks"`
	ReadGbit float64 `json:"read_gbit_per_s"` // the load at Breaks
	Viewers  int64   `json:"viewers"`         // that load in viewers, the CDN growing with them
	Why      string  `json:"why"`
	Doubled  string  `json:"doubled"` // what was doubled before the next was looked for; empty after the last
}

// Loss is what losing something at the target does.
type Loss struct {
	What string `json:"what"` // a zone | a region | the cache | a pipeline
	How  string `json:"how"`  // what was simulated, in a sentence
	// Before and During are the simulations; the headrooms are how many times as much readers could ask for.
	Before         Point   `json:"before"`
	During         Point   `json:"during"`
	HeadroomBefore float64 `json:"headroom_before"`
	HeadroomDuring float64 `json:"headroom_during"`
	Tightest       string  `json:"tightest"` // what is full then, during the loss
	Sentence       string  `json:"sentence"`
}

// Tick is one tier over a segment's time.
type Tick struct {
	Tier string    `json:"tier"`
	Used []float64 `json:"used"` // parts of the capacity, by hundredths of a segment's time
}

// Price is what a tier costs, all regions together.
type Price struct {
	Tier     string  `json:"tier"`
	Nodes    int     `json:"nodes"`
	PerNode  float64 `json:"per_node"`
	Total    float64 `json:"total"`
	Currency string  `json:"currency"`
	Per      string  `json:"per"` // such as hour
}

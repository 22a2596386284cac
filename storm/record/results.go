package record

import "time"

// Schema is the form of results.json that this program writes and reads.
const Schema = 1

// Results is results.json: what a run found. Other programs read its names; they change only with Schema.
type Results struct {
	Schema   int    `json:"schema"`
	Scenario string `json:"scenario"`
	About    string `json:"about,omitempty"`
	Seed     uint64 `json:"seed"`
	Mode     string `json:"mode"` // live | sim
	// Started is when the run began; of a simulated run the instant at which its clock begins, the same for all.
	Started time.Time `json:"started"`
	// Verdict is passed, failed, invalid, inconclusive (only where uncertain thresholds are not taken for an answer) or interrupted; Reasons say why, the weightiest first. Sentence says it to people.
	Verdict  string   `json:"verdict"`
	Sentence string   `json:"sentence"`
	Reasons  []string `json:"reasons"`
	// Doubts are those of Reasons for which the figures cannot be relied on; a valid run has none.
	Doubts     []string    `json:"doubts"`
	Thresholds []Threshold `json:"thresholds"`
	// SegmentMS is the segment's duration, DelayMS the publish delay: the scales that latencies are held against.
	SegmentMS float64   `json:"segment_ms"`
	DelayMS   float64   `json:"publish_delay_ms"`
	Backends  []Backend `json:"backends"`
	Driver    Driver    `json:"driver"`
	// Environment is what environment.json holds in full: machine, versions, flags.
	Environment map[string]string `json:"environment"`
}

// Threshold is one line of a scenario's thresholds for one backend, and what became of it. A percentile, or a ratio of two, holds for
// certain where its whole interval is on the right side of the limit, and is broken for certain where all of it is on the
// other; between them the figure itself decides and the line is marked as uncertain.
type Threshold struct {
	Text    string   `json:"text"`
	Backend string   `json:"backend"`
	OK      bool     `json:"ok"`
	Actual  *float64 `json:"actual"` // in the threshold's own unit; null: could not be told, which fails the run as invalid
	Limit   float64  `json:"limit"`
	// CI is the 95 % interval of Actual; null where Actual is no estimate (a count, a maximum: that is what happened) or none is known.
	CI *[2]float64 `json:"ci"`
	// Uncertain says that the limit lies in the interval, or that a percentile has none.
	Uncertain bool `json:"uncertain,omitempty"`
	// Aborted says that the threshold stopped the run.
	Aborted bool   `json:"aborted,omitempty"`
	Unit    string `json:"unit,omitempty"`
	Note    string `json:"note,omitempty"`
}

// Backend is what was found with one backend.
type Backend struct {
	Name       string          `json:"name"`
	Provenance string          `json:"provenance"`        // measured | modelled | simulated
	Profile    string          `json:"profile,omitempty"` // of a modelled backend: the profile's name and source
	Servers    []string        `json:"servers"`
	Phases     []Phase         `json:"phases"`
	Isolation  *WriteIsolation `json:"write_isolation"` // null without quiet or without storm windows
	Segments   Segments        `json:"segments"`
	Offenders  []Offender      `json:"offenders"` // the first few of each kind; segments.ndjson names them all
	Cache      Cache           `json:"cache"`
	Edge       *Edge           `json:"edge"`            // null where no backend of the scenario has one
	Cores      []Core          `json:"cores,omitempty"` // where a backend of the scenario pins processes
	// CPUSeconds is what the processes of the measured part have taken of the machine's processors, by what they do: driver, publish,
	// serve, store, cache, edge; left out where that is not known, as of containers and of what was running before.
	CPUSeconds map[string]float64 `json:"cpu_seconds,omitempty"`
	Published  *Reference         `json:"published,omitempty"` // published figures of this kind of store, for comparison
	Stolen     *Stolen            `json:"stolen"`              // null where it is not known
	Simulation *Simulation        `json:"simulation"`          // null of a live run
	Notes      []string           `json:"notes"`               // warnings that travel with the figures
}

// Simulation says what the figures of a simulated backend rest on, how far off such figures were where they could be held against
// measured ones, and how busy the model's parts were.
type Simulation struct {
	// Profile is the name of the profile whose costs were taken; empty: none, and Assumed says what was taken in its place.
	Profile string `json:"profile"`
	// Source says where its figures come from, Machine on what they were measured, Program with which version of this program, and Made
	// on which day (2026-11-23); empty where the profile does not say.
	Source  string `json:"source"`
	Machine string `json:"machine"`
	Program string `json:"program"`
	Made    string `json:"made"`
	// Digest tells profiles of one name apart, as sha256:…; empty where it is not known.
	Digest string `json:"digest,omitempty"`
	// Stated is how far the simulator was off with this profile, figure by figure; empty where that was never found out.
	Stated []StatedError `json:"stated_error"`
	// Assumed says in sentences what the profile does not cover and was taken from somewhere else, or for nothing.
	Assumed []string `json:"assumed"`
	// Extrapolated names each quantity that lies outside of what the profile was fitted on, with both.
	Extrapolated []string `json:"extrapolated"`
	Tiers        []Tier   `json:"tiers"`
	// Events is how many events the model's engine took.
	Events int64 `json:"events"`
}

// StatedError is how far simulated figures were off measured ones, as parts of the measured: |simulated/measured − 1|.
type StatedError struct {
	Figure string `json:"figure"` // such as "storm publish response p99"
	// HeldOut says that the runs were none of those that the profile was fitted on; Runs is how many there were.
	HeldOut bool    `json:"held_out"`
	Runs    int     `json:"runs"`
	Median  float64 `json:"median"`
	Largest float64 `json:"largest"`
}

// Tier is how busy one part of a model was: all of its nodes together.
type Tier struct {
	Name  string `json:"name"` // such as "serve processors"
	Nodes int    `json:"nodes"`
	// Phases is, by phase, which part of its capacity was used on average, 0 to 1; Tick the same by place in a segment's time, from when
	// segments are due, over all storm windows.
	Phases map[string]float64 `json:"phases"`
	Tick   []float64          `json:"tick"`
	Queue  int                `json:"queue"` // the most that waited at one node at a time
}

// Reference holds somebody else's published figures.
type Reference struct {
	P50   float64 `json:"write_p50_ms"`
	P99   float64 `json:"write_p99_ms"`
	Label string  `json:"label"`
}

// Phase is all windows of one name together.
type Phase struct {
	Name       string      `json:"name"`
	Seconds    float64     `json:"seconds"`
	ReadGbit   float64     `json:"read_gbit_per_s"` // bytes of reads (not probes) that ended in the phase's windows, over Seconds
	Reads      float64     `json:"reads_per_s"`
	Operations []Operation `json:"operations"`
	// Holds is how long after a copy was acknowledged to its packager the run's own reader, who was waiting for it, had the answer's
	// first byte: one for each segment that was published in the phase. Answers that came before the acknowledgement count as 0.
	Holds Latency `json:"holds"`
}

// Operation is one class in one phase. Count, Errors, Bytes and the latencies are of requests that went to the target, each
// counted once however often it was tried. Of a request that failed, Response is the time until that was known, but at
// least 2 s, so that a failure is never quicker than an answer; Service and FirstByte leave it out. Lag is of every try.
type Operation struct {
	Class     string  `json:"class"`
	Count     int64   `json:"count"`
	Errors    int64   `json:"errors"`
	Retries   int64   `json:"retries"` // tries that were followed by another
	Dropped   int64   `json:"dropped"` // could not be sent: the driver's own failure
	Faulted   int64   `json:"faulted"` // not sent because a fault of the scenario says so
	Hits      int64   `json:"hits"`    // answered by a simulated edge from what it kept, or with an answer it was waiting for
	Cached    int64   `json:"cached"`  // of Count without Errors: answered by a real edge from what it kept, as Cache-Status says
	Bytes     int64   `json:"bytes"`
	Response  Latency `json:"response"`
	Service   Latency `json:"service"`
	Lag       Latency `json:"lag"`
	FirstByte Latency `json:"first_byte"` // of reads: from the intended start to the answer's first byte
	// AfterAnswer is, of reads whose answer says when the origin began to give it, the time from then, or from the send if that
	// was later, to the answer's end: what the edges and the transfer took.
	AfterAnswer Latency        `json:"after_answer"`
	Statuses    map[string]int `json:"statuses"` // HTTP status, or the kind of failure, to how often
}

// Latency is a distribution in milliseconds. A percentile whose sample is too small is null: p99 needs 300, p99.9 3,000;
// an interval is null where order statistics give none. Intervals are at 95 % and allow for it that what falls on one tick of the
// segment clock goes the same way; docs/accuracy.md has the formula. Requests that could not be sent count among
// those of a response time or a first byte as longer than any: a percentile that falls among them is null, as the maximum is,
// and the others are upper bounds.
type Latency struct {
	Count  int64        `json:"count"`
	P50    *float64     `json:"p50_ms"`
	P90    *float64     `json:"p90_ms"`
	P95    *float64     `json:"p95_ms"`
	P99    *float64     `json:"p99_ms"`
	P999   *float64     `json:"p999_ms"`
	Max    *float64     `json:"max_ms"`
	P50CI  *[2]float64  `json:"p50_ci_ms"`
	P90CI  *[2]float64  `json:"p90_ci_ms"`
	P95CI  *[2]float64  `json:"p95_ci_ms"`
	P99CI  *[2]float64  `json:"p99_ci_ms"`
	P999CI *[2]float64  `json:"p999_ci_ms"`
	Note   string       `json:"note,omitempty"`   // why a figure is null
	Over   int64        `json:"over,omitempty"`   // values beyond the histogram's range, counted at its end
	Points [][2]float64 `json:"points,omitempty"` // (quantile, ms) for plots on a 1/(1−p) axis
	// OnTime is what a response time or first byte would be if each request had been answered as fast after its send, and sent when
	// it was meant to: the difference is the driver's part. nil where there is none. It is for package verdict and not kept.
	OnTime *Latency `json:"-"`
}

// WriteIsolation is how much slower writes are in a storm than in quiet: the ratio of the publish response percentiles.
type WriteIsolation struct {
	P50 Ratio `json:"p50"`
	P99 Ratio `json:"p99"`
}

// Ratio is an estimate with its 95 % interval; null where the sample is too small.
type Ratio struct {
	Ratio *float64    `json:"ratio"`
	CI    *[2]float64 `json:"ci"`
	Note  string      `json:"note,omitempty"`
}

// Segments counts what became of segments: copies, one of each pipeline, but for Late, Missed and OutOfOrder. A copy with several
// kinds of damage counts as the gravest, in the order in which the outcomes of segments.ndjson are listed.
type Segments struct {
	Published    int64 `json:"published"`      // copies that packagers sent
	Acknowledged int64 `json:"acknowledged"`   // answered 200 or 201
	Read         int64 `json:"read"`           // bodies read, by all readers
	Verified     int64 `json:"verified"`       // of those, compared byte by byte and right
	Flawed       int64 `json:"flawed"`         // of those, that readers got though a fault of the scenario had flawed them: short, elsewhere in time, slate
	Lost         int64 `json:"lost"`           // acknowledged, inside the DVR window, not readable a second later
	Torn         int64 `json:"torn"`           // served cut short, too long, or with bytes that are no part of it
	Wrong        int64 `json:"wrong"`          // served whole, but of another segment
	Stale        int64 `json:"stale"`          // served under an ETag that its packager was never told, or that was not asked for
	Cross        int64 `json:"cross_pipeline"` // one pipeline's bytes were served as another's, or those of both in one body
	// OutOfOrder is how many segments took a reader back: to 404 or 410 after it had been served the segment whole, inside the
	// DVR window; or to a copy that another had taken the place of.
	OutOfOrder int64 `json:"out_of_order"`
	Late       int64 `json:"late"`   // segments first readable after they were due
	Missed     int64 `json:"missed"` // segments that nobody published before the deadline
	// LongestGap is the longest stretch of one rendition's media that was missed, in seconds.
	LongestGap float64 `json:"longest_gap_s"`
	// SlackP50 and SlackP1 are quantiles of due minus first readable, in ms: p1 is the hundredth that came closest to, or
	// went furthest past, its due instant.
	SlackP50 *float64 `json:"slack_p50_ms"`
	SlackP1  *float64 `json:"slack_p1_ms"`
}

// Offender is one of the first segments that something was wrong with.
type Offender struct {
	Kind     string  `json:"kind"`     // lost | torn | wrong | stale | cross-pipeline | out-of-order | late | missed
	Segment  string  `json:"segment"`  // its path, as the packager names it
	Pipeline string  `json:"pipeline"` // whose copy it was; empty where that is not known, or it is about all copies
	Reader   string  `json:"reader"`   // who found it; empty where nobody asked
	At       float64 `json:"at_s"`     // when, in seconds since the backend's run began
	What     string  `json:"what"`     // what was found
}

// Cache is how the reads fell on cache and store.
type Cache struct {
	Reads      int64    `json:"reads"` // values read through the cache (segments' commits and chunks)
	Hits       int64    `json:"hits"`
	HitRatio   *float64 `json:"hit_ratio"`   // null without a cache
	StoreReads int64    `json:"store_reads"` // values read from the durable store
	Polls      int64    `json:"polls"`       // polls of cache or store for awaited segments
	PollKeys   int64    `json:"poll_keys"`
	// Awaited is how many segments somebody waited for, on each serving process; StorePolls how often the store was polled for
	// them, and MostStorePolls how often at most for one of them on one process, since that began.
	Awaited        int64 `json:"awaited"`
	StorePolls     int64 `json:"store_polls"`
	MostStorePolls int64 `json:"most_store_polls"`
	// StoreReadMean is how long a serving process's read of the durable store took on average, in ms; null without any.
	StoreReadMean *float64 `json:"store_read_mean_ms"`
	// Collapse is reader requests answered 200 per segment read of the store.
	Collapse *float64 `json:"collapse_factor"`
	// StoreBytes is bytes read from the durable store per byte published.
	StoreBytes *float64 `json:"store_bytes_per_published_byte"`
	// ZoneWaitP99 is how long writes waited for the slowest cache zone beyond the durable store, in ms.
	ZoneWaitP99 *float64 `json:"zone_wait_p99_ms"`
}

// Edge is how the readers' requests fell on the edge between them and the origin, and on the origin. Requests of the run's own
// reader, which go past the edge to a serving process of their own, are no part of it.
type Edge struct {
	Program  string `json:"program"`  // such as nginx 1.22.1; empty: readers ask the origin itself
	Segments int64  `json:"segments"` // that readers asked for, each counted once
	Reads    int64  `json:"reads"`    // answers to readers with a segment
	Cached   int64  `json:"cached"`   // of those, given from what the edge kept
	// HitRatio is Cached of Reads; null without reads.
	HitRatio *float64 `json:"hit_ratio"`
	// Fetches is how many answers with a segment the origin gave, FetchesPerSegment that for each of Segments.
	Fetches           int64    `json:"fetches"`
	FetchesPerSegment *float64 `json:"fetches_per_segment"`
	// NotFound is how many answers 404 and 410 readers got, and NotFoundFetched how many the origin gave; Shed and ShedFetched
	// count 503.
	NotFound        int64 `json:"not_found"`
	NotFoundFetched int64 `json:"not_found_fetched"`
	Shed            int64 `json:"shed"`
	ShedFetched     int64 `json:"shed_fetched"`
}

// Core is how busy one of the machine's processors was, with whatever ran there: parts of the time, from 0 to 1. null where the
// phase has no windows.
type Core struct {
	Core  int      `json:"core"`
	Runs  []string `json:"runs"` // what was pinned there: packagers, publish, store, cache, serve, readers
	Quiet *float64 `json:"quiet_busy"`
	Storm *float64 `json:"storm_busy"`
}

// Driver is the driver's account of itself. Virtual time needs none: of a simulated run the first two are left out, and nothing lags or
// is dropped.
type Driver struct {
	Processes  int      `json:"processes,omitzero"`
	CPUSeconds float64  `json:"cpu_seconds,omitzero"`
	LagP99     *float64 `json:"lag_p99_ms"`
	Dropped    int64    `json:"dropped"`
	Ceiling    *Ceiling `json:"ceiling"` // null where it was not looked for
	Notes      []string `json:"notes"`
}

// Ceiling is what the run's driver processes can do at most on this machine: found before the run by asking a target that does nothing,
// in a process of its own, without a pause. What was used of it is of the run's busiest phase, as a part from 0 to 1; bursts
// within a phase, which lag tells of, use more.
type Ceiling struct {
	Requests     float64 `json:"requests_per_s"`
	RequestsUsed float64 `json:"requests_used"`
	Gbit         float64 `json:"gbit_per_s"` // of bodies of 2 MiB, every byte verified
	GbitUsed     float64 `json:"gbit_used"`
}

// Stolen is what a backend's measured part lost of the machine's processors, as parts from 0 to 1 of all of them.
type Stolen struct {
	Others     float64 `json:"others"`     // busy, but not with processes of the run; the kernel's own work counts among these
	Hypervisor float64 `json:"hypervisor"` // wanted, and given to other machines: steal time
	// Free is how many processors had nothing to do, on average.
	Free float64 `json:"free_processors"`
	// Stretch is how many times as long the work of the processes that were measured took for it that others had the processors: 1 and, for
	// each second that they worked, what they waited for a processor as far as others had it, and what the hypervisor took. 0 where that is
	// not known.
	Stretch float64 `json:"stretch"`
}

// Part is the part of the processors, 0 to 1, that went to others in one way or the other.
func (s *Stolen) Part() float64 { return s.Others + s.Hypervisor }

// Crowded is the part of the processors from which on others are said to have taken a lot.
const Crowded = 0.1

// Event is one line of events.ndjson: a fault, a failure or a warning, with its instant.
type Event struct {
	At      float64 `json:"at_s"` // since the backend's run began
	Backend string  `json:"backend"`
	Kind    string  `json:"kind"` // fault | fault-end | fault-failed | death | abort | warning | window
	Text    string  `json:"text"`
}

// Interval is one line of windows.ndjson: figures of one interval (a segment's duration) of one backend. Reads are counted
// where they ended, publishes where they were meant to start.
type Interval struct {
	Backend  string   `json:"backend"`
	At       float64  `json:"at_s"` // its begin, since the backend's run began
	Seconds  float64  `json:"seconds"`
	Phase    string   `json:"phase"` // empty between windows
	Reads    int64    `json:"reads"`
	ReadGbit float64  `json:"read_gbit_per_s"`
	Writes   int64    `json:"writes"`
	Errors   int64    `json:"errors"`
	WriteP50 *float64 `json:"write_p50_ms"`
	WriteP99 *float64 `json:"write_p99_ms"` // null below 300 writes
	WriteMax *float64 `json:"write_max_ms"`
	ReadP50  *float64 `json:"read_p50_ms"`
	ReadMax  *float64 `json:"read_max_ms"`
}

// Copy is one line of segments.ndjson: one pipeline's copy of one segment, or with an empty Pipeline a segment that nobody
// published. Instants are seconds since the backend's run began.
type Copy struct {
	Backend   string   `json:"backend"`
	Segment   string   `json:"segment"` // its path, as the packager names it
	Event     string   `json:"event"`
	Pipeline  string   `json:"pipeline"`
	Rendition string   `json:"rendition"`
	Number    int64    `json:"number"`
	Phase     string   `json:"phase"`
	Due       float64  `json:"due_s"`
	Sent      *float64 `json:"sent_s"`
	Acked     *float64 `json:"acknowledged_s"`
	Readable  *float64 `json:"first_readable_s"` // when the first answer that held the segment whole, from whichever pipeline, began
	Served    string   `json:"pipeline_served"`  // which pipeline's copy that was
	// Slack is how long before the segment was due it was first readable, in seconds; below 0 it was late. null where that cannot be
	// told: nobody read it, or all who did asked after it was due, though it had been acknowledged before.
	Slack *float64 `json:"slack_s"`
	// Held is how long after this copy was acknowledged the run's own reader, who was waiting for it at a serving process, had the
	// answer's first byte; below 0 if the packager heard of it later than the reader.
	Held    *float64 `json:"held_s"`
	Outcome string   `json:"outcome"` // the gravest of: cross-pipeline | torn | wrong | stale | lost | missed | out-of-order | late | faulted | failed | ok
	Error   string   `json:"error,omitempty"`
}

package gate

import "time"

// Schema is the form of gate.json that this program writes and reads.
const Schema = 1

// The names of the files in a gate's folder that hold what was measured and decided; the others are drawn from them.
const (
	ResultsFile = "gate.json"
	BlocksFile  = "blocks.ndjson"
)

// Outcome is how a gate ended: with one of the Verdicts, or without being able to say one.
type Outcome string

// The outcomes beside the verdicts, which are outcomes, too. None of them lets a change pass.
const (
	Damaged     Outcome = "damaged"     // a side lost or spoilt segments
	Invalid     Outcome = "invalid"     // what was measured cannot be relied on
	Interrupted Outcome = "interrupted" // stopped by its user before it could decide
	Recorded    Outcome = "recorded"    // blocks were recorded, and nothing was to be decided
)

// Results is gate.json: what a gate compared, measured and decided. Other programs read its names; they change only with Schema.
type Results struct {
	Schema   int       `json:"schema"`
	Scenario string    `json:"scenario"`
	About    string    `json:"about,omitempty"`
	Seed     uint64    `json:"seed"`
	Started  time.Time `json:"started"`
	// Seconds is how long the job took, from bringing the sides up to the verdict.
	Seconds float64 `json:"seconds"`
	// Outcome is pass, regress, inconclusive, damaged, invalid, interrupted or recorded; Reasons say why, the weightiest first.
	// Sentence says it to people.
	Outcome  Outcome  `json:"outcome"`
	Sentence string   `json:"sentence"`
	Reasons  []string `json:"reasons"`
	// Strict says that inconclusive fails, too.
	Strict bool `json:"strict"`
	// Base and Head are the sides, over all that was measured of them.
	Base SideResults `json:"base"`
	Head SideResults `json:"head"`
	// SegmentMS is a tick of the segment clock, BlockTicks how many of them a block has. The first LeadTicks of them are not
	// measured: what went before dies away in them.
	SegmentMS  float64 `json:"segment_ms"`
	BlockTicks int     `json:"block_ticks"`
	LeadTicks  int     `json:"lead_ticks"`
	// Injected is what head was made worse by on purpose, as the self-test does; null: nothing.
	Injected *Injection `json:"injected"`
	// Quads is how many were measured, of which blocks.ndjson has every sample; Rules are what was decided by, with defaults
	// filled in, and Decision what was found; null where it did not come to a first look.
	Quads    int       `json:"quads"`
	Rules    Config    `json:"rules"`
	Decision *Decision `json:"decision"`
	// Lag99MS is the longest of the driver's own lags, p99 over a stretch between two looks; null where nothing was measured.
	Lag99MS *float64 `json:"driver_lag_p99_ms"`
	// Environment is what it ran on.
	Environment map[string]string `json:"environment"`
}

// SideResults is one side.
type SideResults struct {
	// Name says what the side is: a program, a target, a backend and what was set for it.
	Name       string   `json:"name"`
	Provenance string   `json:"provenance"` // measured | modelled
	Servers    []string `json:"servers"`
	// Publishes and Reads are how many requests were answered or failed in measured ticks; Failed is how many of both failed.
	Publishes int64 `json:"publishes"`
	Reads     int64 `json:"reads"`
	Failed    int64 `json:"failed"`
	// Acknowledged is how many copies were; of these Lost, Torn, Wrong and Stale did not come back as they were sent.
	Acknowledged int64 `json:"acknowledged"`
	Verified     int64 `json:"verified"`
	Lost         int64 `json:"lost"`
	Torn         int64 `json:"torn"`
	Wrong        int64 `json:"wrong"`
	Stale        int64 `json:"stale"`
	// Notes are warnings that travel with the figures.
	Notes []string `json:"notes"`
}

// Injection is a regression that was made on purpose.
type Injection struct {
	// Share is by which part of Of, base's write p50 in ms as measured before the first quad, head's publishes were held back:
	// HeldMS.
	Share  float64 `json:"share"`
	Of     float64 `json:"base_write_p50_ms"`
	HeldMS float64 `json:"held_ms"`
}

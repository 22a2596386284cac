package scenarios

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/storm"
)

// Threshold is something that must hold for a run to pass. Its text is
//
//	[backend:] [phase] subject [latency] figure op value [or abort [after time]]
//
// such as "storm publish response p99 < 500ms", "segments lost == 0", "storm live-edge errors < 1%" or
// "cassandra+cache: cache hit-ratio > 90%". Subjects lists subjects with their figures. "or abort" stops the run as soon as the
// threshold cannot hold any more, not before that time of the measured run: "storm publish response p99 < 2s or abort after 10s".
type Threshold struct {
	Backend string // empty: each backend
	Phase   string // quiet, storm or warm-up; empty: the whole measured run
	Subject string // a class of requests, reads (all that count), segments, holds, cache, edge, write-isolation or driver
	Latency string // of a percentile of a class: response, service, lag, first-byte or after-answer; else empty
	Figure  string // p50, errors, lost, hit-ratio, …
	Op      string // < <= == != >= >
	Value   float64
	Unit    string // of Value: ms, %, /s, Gbit/s, or nothing for a number

	Abort bool          // the run stops early where the threshold is broken
	After time.Duration // but not before so much of each backend's measured run
}

// The subjects of thresholds that are no class of requests.
const (
	AllReads  = "reads"           // live-edge, early and dvr together
	Segments  = "segments"        // what became of the published segments
	Holds     = "holds"           // from the acknowledgement of a copy to the first byte for who waited for it
	CacheUse  = "cache"           // how reads fell on cache and store
	EdgeUse   = "edge"            // how readers' requests fell on the edge and the origin
	Isolation = "write-isolation" // publish response in the storm over that in quiet
	Drivers   = "driver"          // the driver's account of itself
)

// The latencies.
const (
	Response  = "response"   // from the intended start of the first try to the end
	Service   = "service"    // from the send to the end
	Lag       = "lag"        // from the intended start to the send
	FirstByte = "first-byte" // from the intended start of the first try to the answer's first byte
	// AfterAnswer is from the instant at which the origin began to answer, or the send if that was later, to the answer's end.
	AfterAnswer = "after-answer"
)

// The phases that windows make up.
const (
	WarmUpPhase = "warm-up"
	QuietPhase  = "quiet"
	StormPhase  = "storm"
)

// kind is what a figure is measured in.
type kind uint8

const (
	latency  kind = iota // a duration, after the name of a latency
	span                 // a duration
	count                // a number of requests or segments, or a percentage of them
	percent              // a percentage
	number               // a plain number
	rate                 // a number each second
	bitrate              // bits each second
	nofigure             // no such figure
)

var (
	latencies = []string{Response, Service, Lag, FirstByte, AfterAnswer}
	phases    = []string{QuietPhase, StormPhase, WarmUpPhase}
	ops       = []string{"<", "<=", "==", "!=", ">=", ">"}

	requestFigures = map[string]kind{
		"p50": latency, "p90": latency, "p99": latency, "p99.9": latency, "max": latency,
		"count": count, "errors": count, "dropped": count, "rate": rate, "throughput": bitrate,
	}
	segmentFigures = map[string]kind{
		"published": count, "acknowledged": count, "read": count, "verified": count, "flawed": count, "lost": count, "torn": count, "wrong": count,
		"stale": count, "cross-pipeline": count, "out-of-order": count, "late": count, "missed": count, "longest-gap": span, "slack-p50": span, "slack-p1": span,
	}
	cacheFigures = map[string]kind{
		"hit-ratio": percent, "collapse-factor": number, "store-bytes": number, "store-reads": number, "polls": number, "zone-wait-p99": span,
		"awaited": number, "store-polls": number, "most-store-polls": number,
	}
	holdFigures = map[string]kind{"count": number, "p50": span, "p90": span, "p99": span, "p99.9": span, "max": span}
	edgeFigures = map[string]kind{
		"fetches-per-segment": number, "hit-ratio": percent, "reads": count, "not-found": count, "not-found-fetched": count, "shed": count, "shed-fetched": count,
	}
	isolationFigures = map[string]kind{"p50": number, "p99": number}
	driverFigures    = map[string]kind{"lag-p99": span, "dropped": number}
)

// figuresOf returns the figures of a subject, nil of what is none, and whether they are kept by phase.
func figuresOf(subject string) (figures map[string]kind, phased bool) {
	switch subject {
	case AllReads:
		return requestFigures, true
	case Segments:
		return segmentFigures, true
	case Holds:
		return holdFigures, true
	case CacheUse:
		return cacheFigures, false
	case EdgeUse:
		return edgeFigures, false
	case Isolation:
		return isolationFigures, false
	case Drivers:
		return driverFigures, false
	}
	for c := range storm.Classes {
		if c.String() == subject {
			return requestFigures, true
		}
	}
	return nil, false
}

// Subjects returns what thresholds can be about, each with its figures, as lines of text for people.
func Subjects() []string {
	var lines []string
	for _, s := range subjects() {
		figures, _ := figuresOf(s)
		names := slices.Sorted(maps.Keys(figures))
		lines = append(lines, s+": "+strings.Join(names, " "))
	}
	return lines
}

func subjects() []string {
	var names []string
	for c := range storm.Classes {
		names = append(names, c.String())
	}
	return append(names, AllReads, Segments, Holds, CacheUse, EdgeUse, Isolation, Drivers)
}

// ParseThreshold reads a threshold. Whether its backend and phase exist is for Scenario.Validate to say.
func ParseThreshold(text string) (Threshold, error) {
	t, err := parseThreshold(text)
	if err != nil {
		return t, fmt.Errorf("threshold %q is not one such as %q: %w", text, "storm publish response p99 < 500ms", err)
	}
	return t, nil
}

// parseThreshold leaves it to its caller to say of which threshold its errors are.
func parseThreshold(text string) (t Threshold, err error) {
	rest := text
	if backend, after, ok := strings.Cut(text, ": "); ok {
		t.Backend, rest = strings.TrimSpace(backend), after
		if t.Backend == "" {
			return t, fmt.Errorf("no backend before the colon")
		}
	}
	words := strings.Fields(rest)
	next := func() (w string) {
		if len(words) > 0 {
			w, words = words[0], words[1:]
		}
		return w
	}
	w := next()
	if slices.Contains(phases, w) {
		t.Phase, w = w, next()
	}
	figures, phased := figuresOf(w)
	switch {
	case figures == nil && t.Phase == "":
		return t, fmt.Errorf("%q is neither a phase nor a subject%s", w, suggest(w, slices.Concat(phases, subjects())))
	case figures == nil:
		return t, fmt.Errorf("%q is not a subject%s", w, suggest(w, subjects()))
	case t.Phase != "" && !phased:
		return t, fmt.Errorf("%s is not kept by phase; leave %q out", w, t.Phase)
	}
	t.Subject, w = w, next()
	if slices.Contains(latencies, w) && figures["count"] == count {
		t.Latency, w = w, next()
	}
	t.Figure = w
	of, known := figures[w]
	names := slices.Sorted(maps.Keys(figures))
	switch {
	case !known && t.Latency == "" && figures["count"] == count:
		return t, fmt.Errorf("%q is neither a latency nor a figure of %s%s", w, t.Subject, suggest(w, slices.Concat(latencies, names)))
	case !known:
		return t, fmt.Errorf("%q is not a figure of %s%s", w, t.Subject, suggest(w, names))
	case of == latency && t.Latency == "":
		return t, fmt.Errorf("%s of which latency? Write one of %s before it", w, strings.Join(latencies, ", "))
	case of != latency && t.Latency != "":
		return t, fmt.Errorf("%s is not a latency's; leave %q out", w, t.Latency)
	}
	t.Op = next()
	if !slices.Contains(ops, t.Op) {
		return t, fmt.Errorf("%q is not a comparison; write one of %s, with spaces around it", t.Op, strings.Join(ops, " "))
	}
	value := next()
	switch {
	case len(words) >= 2 && words[0] == "or" && words[1] == "abort":
		if words = words[2:]; len(words) == 2 && words[0] == "after" {
			if t.After, err = parseDuration(words[1]); err != nil || t.After <= 0 {
				return t, fmt.Errorf("abort after %q: want a duration such as 10s", words[1])
			}
			words = nil
		}
		t.Abort = true
	}
	if len(words) > 0 {
		return t, fmt.Errorf("%q follows the value", strings.Join(words, " "))
	}
	if t.Value, t.Unit, err = limit(of, value); err != nil {
		return t, err
	}
	if t.Abort && !t.abortable() {
		return t, fmt.Errorf("whether it holds is known at the end only, so it cannot abort: percentiles, errors, dropped and what went wrong with segments can, below a limit")
	}
	return t, nil
}

// abortable reports whether t can be found broken while the run goes on: figures that are known by then, against an upper limit, as a
// lower one is not reached at first.
func (t Threshold) abortable() bool {
	upper := t.Op == "<" || t.Op == "<=" || t.Op == "==" && t.Value == 0
	if !upper {
		return false
	}
	switch t.Subject {
	case Segments:
		return t.Unit == "" && slices.Contains([]string{"lost", "torn", "wrong", "stale", "cross-pipeline", "out-of-order", "late", "missed", "longest-gap"}, t.Figure)
	case CacheUse, EdgeUse, Isolation, Drivers:
		return false
	}
	return t.Latency != "" || t.Subject == Holds && t.Unit == "ms" || t.Figure == "errors" || t.Figure == "dropped"
}

// limit reads the value that a figure of that kind is held against.
func limit(of kind, s string) (value float64, unit string, err error) {
	switch of {
	case latency, span:
		d, err := parseDuration(s)
		return float64(d) / float64(time.Millisecond), "ms", err
	case bitrate:
		var r cost.Rate
		err := r.UnmarshalText([]byte(s))
		return float64(r) / 1e9, "Gbit/s", err
	}
	digits := s
	switch {
	case of == rate:
		digits, unit = strings.TrimSuffix(s, "/s"), "/s"
		if digits == s {
			return 0, "", fmt.Errorf("%q is not a rate such as 500/s", s)
		}
	case strings.HasSuffix(s, "%") && (of == count || of == percent):
		digits, unit = strings.TrimSuffix(s, "%"), "%"
	case of == percent:
		return 0, "", fmt.Errorf("%q is not a percentage such as 90%%", s)
	}
	value, err = strconv.ParseFloat(digits, 64)
	if err != nil || value-value != 0 || value < 0 {
		return 0, "", fmt.Errorf("%q is not a number from 0", s)
	}
	return value, unit, nil
}

// UnmarshalText reads a threshold.
func (t *Threshold) UnmarshalText(text []byte) (err error) {
	*t, err = ParseThreshold(string(text))
	return err
}

// MarshalText prints t as ParseThreshold reads it.
func (t Threshold) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

func (t Threshold) String() string {
	var b strings.Builder
	if t.Backend != "" {
		b.WriteString(t.Backend + ": ")
	}
	for _, w := range []string{t.Phase, t.Subject, t.Latency, t.Figure, t.Op} {
		if w != "" {
			b.WriteString(w + " ")
		}
	}
	switch t.Unit {
	case "ms":
		b.WriteString(time.Duration(t.Value * float64(time.Millisecond)).String())
	case "Gbit/s":
		b.WriteString(cost.Rate(math.Round(t.Value * 1e9)).String())
	default:
		b.WriteString(strconv.FormatFloat(t.Value, 'f', -1, 64) + t.Unit)
	}
	if t.Abort {
		b.WriteString(" or abort")
	}
	if t.After > 0 {
		b.WriteString(" after " + t.After.String())
	}
	return b.String()
}

// Holds reports whether actual, in t's unit, meets t.
func (t Threshold) Holds(actual float64) bool {
	switch t.Op {
	case "<":
		return actual < t.Value
	case "<=":
		return actual <= t.Value
	case "==":
		return actual == t.Value
	case "!=":
		return actual != t.Value
	case ">=":
		return actual >= t.Value
	case ">":
		return actual > t.Value
	}
	return false
}

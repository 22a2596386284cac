// Package sweep simulates one scenario at many values of one or two of its fields, each several times, and tells how the figures follow
// them. The replications of one number have the same seed at every point, so that what differs between points is not chance. It writes
// no files (whoever calls it keeps what it tells) and draws nothing (package reports does).
package sweep

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"origin-storm/storm/record"
)

// Schema is the form of sweep.json that this program writes.
const Schema = 1

// The names of the files of a sweep's folder.
const (
	File       = "sweep.json"
	CSVFile    = "sweep.csv"
	PointsFile = "points.ndjson" // a line for each point, as it is finished
)

// Result is sweep.json: what a sweep has found. The same scenario, profile, axes, replications and seed give the same bytes.
type Result struct {
	Schema   int    `json:"schema"`
	Scenario string `json:"scenario"`
	About    string `json:"about,omitempty"`
	Seed     uint64 `json:"seed"`
	// Seeds are those of the replications, the same at every point; the first is Seed.
	Seeds []uint64 `json:"seeds"`
	// Axes are what was varied, one or two; points are all their combinations.
	Axes []Axis `json:"axes"`
	// Backends are the names of those simulated, in the scenario's order.
	Backends []string `json:"backends"`
	// Simulation says, by backend, what the figures rest on: a profile and how far off it was found. What is extrapolated is said of each
	// point, and how busy parts were is among its figures.
	Simulation map[string]record.Simulation `json:"simulation"`
	// Points are those that were finished, in the order of the axes' values, the last axis going fastest.
	Points []Point `json:"points"`
	// Complete says that all points were finished.
	Complete bool `json:"complete"`
	// Sentence says to people what was found.
	Sentence string   `json:"sentence"`
	Notes    []string `json:"notes"`
	// Command repeats the sweep.
	Command string `json:"command"`
	// SegmentMS is the segment's duration of the first point.
	SegmentMS float64 `json:"segment_ms"`
}

// Axis is a field of the scenario and the values that it was given.
type Axis struct {
	// Path is the field, as --set takes it, such as readers.edges.
	Path string `json:"path"`
	// Unit is what follows the numbers, such as Mbit/s; empty for plain numbers and for values that are none.
	Unit string `json:"unit"`
	// Values are what it was given, as --set takes them, with their units.
	Values []string `json:"values"`
	// Numbers are Values without their unit; left out where they are no numbers.
	Numbers []float64 `json:"numbers,omitempty"`
	// Log says that the numbers are spaced by equal factors.
	Log bool `json:"log"`
}

// Point is one combination of values.
type Point struct {
	// At is which value of each axis it has, from 0, and Set the same as --set takes it.
	At       []int     `json:"at"`
	Set      []string  `json:"set"`
	Backends []Backend `json:"backends"`
}

// Backend is what was found of one backend at one point, all replications together.
type Backend struct {
	Name string `json:"name"`
	// Verdict is passed, failed or invalid, of all replications together; Sentence says it to people.
	Verdict    string             `json:"verdict"`
	Sentence   string             `json:"sentence"`
	Thresholds []record.Threshold `json:"thresholds"`
	Figures    []Figure           `json:"figures"`
	// Extrapolated names the quantities that lie outside of what the profile was fitted on.
	Extrapolated []string `json:"extrapolated"`
}

// Figure is one figure with its 95 % interval over the replications.
//
// A percentile is that of all replications' values in one histogram, never a mean of percentiles. Its interval is Woodruff's, with
// replications as clusters: of R replications with n values each, k of them up to the percentile, the share p of values up to it is off
// by t·√(Σ(k−p·n)²·R/(R−1))/Σn with 97.5 % to either side (t is Student's quantile with R−1 degrees of freedom; never less than
// independent values would be off), and the values at the ends of that share are the ends of the interval. A rate, a ratio or a part
// is the mean of the replications', with t·s/√R to either side. Counts are sums and have none.
type Figure struct {
	// Name is as thresholds have it, such as "storm publish response p99", "storm reads throughput", "segments late", "cache hit-ratio",
	// and for the model's parts such as "storm serve processors busy".
	Name string `json:"name"`
	Unit string `json:"unit"` // ms, Gbit/s, /s, or nothing for a number; parts are 0 to 1
	// Value is null where it could not be told, and Note says why.
	Value *float64    `json:"value"`
	CI    *[2]float64 `json:"ci"`
	// Count is how many values a percentile is of, and how many replications any other figure is of.
	Count int64  `json:"count"`
	Note  string `json:"note,omitempty"`
}

// Figure returns the figure of that name, and whether there is one.
func (b Backend) Figure(name string) (Figure, bool) {
	for _, f := range b.Figures {
		if f.Name == name {
			return f, true
		}
	}
	return Figure{}, false
}

// Encode writes r as sweep.json has it.
func (r Result) Encode(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

// Differs says what keeps r from being the same sweep as o, scenario and profile aside; empty if nothing does.
func (r Result) Differs(o Result) string {
	switch {
	case r.Schema != o.Schema:
		return fmt.Sprintf("its %s has schema %d, this program writes %d", File, o.Schema, r.Schema)
	case r.Scenario != o.Scenario:
		return fmt.Sprintf("its scenario is %s, not %s", o.Scenario, r.Scenario)
	case r.Seed != o.Seed:
		return fmt.Sprintf("its seed is %d, not %d", o.Seed, r.Seed)
	case !slices.Equal(r.Seeds, o.Seeds):
		return fmt.Sprintf("it has %d replications, not %d", len(o.Seeds), len(r.Seeds))
	case len(r.Axes) != len(o.Axes):
		return fmt.Sprintf("it is over %d fields, not %d", len(o.Axes), len(r.Axes))
	case !slices.Equal(r.Backends, o.Backends):
		return fmt.Sprintf("its backends are %s, not %s", strings.Join(o.Backends, ", "), strings.Join(r.Backends, ", "))
	}
	for i, a := range r.Axes {
		if b := o.Axes[i]; a.Path != b.Path || !slices.Equal(a.Values, b.Values) {
			return fmt.Sprintf("it is over %s=%s, not %s=%s", b.Path, strings.Join(b.Values, ","), a.Path, strings.Join(a.Values, ","))
		}
	}
	return ""
}

// WriteCSV writes a line for each figure of each backend at each point.
func (r Result) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	head := []string{}
	for _, a := range r.Axes {
		head = append(head, a.Path)
	}
	lines := [][]string{append(head, "backend", "figure", "unit", "value", "ci_low", "ci_high", "count")}
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	for _, p := range r.Points {
		var at []string
		for i, a := range r.Axes {
			at = append(at, a.Values[p.At[i]])
		}
		for _, b := range p.Backends {
			for _, f := range b.Figures {
				line := append(slices.Clone(at), b.Name, f.Name, f.Unit, "", "", "", strconv.FormatInt(f.Count, 10))
				if f.Value != nil {
					line[len(at)+3] = number(*f.Value)
				}
				if f.CI != nil {
					line[len(at)+4], line[len(at)+5] = number(f.CI[0]), number(f.CI[1])
				}
				lines = append(lines, line)
			}
		}
	}
	return out.WriteAll(lines)
}

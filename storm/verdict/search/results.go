package search

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"origin-storm/storm/record"
)

// Results is search.json: what a search has found.
type Results struct {
	Schema   int       `json:"schema"`
	Scenario string    `json:"scenario"`
	Backend  string    `json:"backend"`
	Seed     uint64    `json:"seed"`
	Started  time.Time `json:"started"`
	// Path is the field of the scenario that was varied, and Unit what follows its numbers, such as Mbit/s; empty for a plain number.
	Path string `json:"path"`
	Unit string `json:"unit"`
	Result
	// Sentence says it to people.
	Sentence string `json:"sentence"`
	// Saturated is what was full at Lowest (driver, CPU, process, store, network or origin), and Evidence what tells so; both are
	// empty where Lowest is 0.
	Saturated string `json:"saturated,omitempty"`
	Evidence  string `json:"evidence,omitempty"`
	// Complete says that the search went on to its end.
	Complete    bool              `json:"complete"`
	Points      []Point           `json:"points"` // in the order in which they were measured
	Environment map[string]string `json:"environment"`
}

// Schema is the form of search.json that this program writes.
const Schema = 1

// Point is one measurement of a search.
type Point struct {
	Load       float64            `json:"load"`
	Outcome    Outcome            `json:"outcome"`
	Provenance string             `json:"provenance"` // of the figures: measured or modelled
	Damaged    bool               `json:"damaged"`    // what was acknowledged was lost or spoilt
	Sentence   string             `json:"sentence"`
	Thresholds []record.Threshold `json:"thresholds"`
	Reads      float64            `json:"reads_per_s"`     // in the storm, or in quiet without one
	ReadGbit   float64            `json:"read_gbit_per_s"` // likewise
	WriteP50   *float64           `json:"write_p50_ms"`
	WriteP99   *float64           `json:"write_p99_ms"`
	CPUSeconds map[string]float64 `json:"cpu_seconds,omitempty"`
	Folder     string             `json:"folder"` // the measurement's run folder, beside search.json; empty where nothing could be measured
}

// File is the name of the file with Results in a search's folder.
const File = "search.json"

// Encode writes r as search.json has it.
func (r Results) Encode(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

// Format writes a load as --set takes it: readers.edges=80.
func Format(path string, load float64, unit string) string {
	return path + "=" + strconv.FormatFloat(load, 'f', -1, 64) + unit
}

// Say says to people what was found.
func (r Results) Say() string {
	at := func(load float64) string { return Format(r.Path, load, r.Unit) }
	begin := "All thresholds hold"
	if !r.Complete {
		begin = "Interrupted; as far as is known, all thresholds hold"
	}
	switch {
	case r.Highest == 0 && r.Lowest == 0:
		return "Interrupted before anything was known."
	case r.Highest == 0:
		return fmt.Sprintf("Not even %s holds (%s).", at(r.Lowest), r.full())
	case r.Lowest == 0:
		return fmt.Sprintf("%s up to %s, the highest load that was asked for.", begin, at(r.Highest))
	case r.Limit == Untold:
		return fmt.Sprintf("%s at %s; beyond, at %s, the driver is the limit, and the target may carry more.", begin, at(r.Highest), at(r.Lowest))
	}
	return fmt.Sprintf("%s at %s and not at %s (%s).", begin, at(r.Highest), at(r.Lowest), r.full())
}

func (r Results) full() string {
	if r.Saturated == Origin {
		return "neither processors nor store nor network were full"
	}
	return "full: " + r.Saturated
}

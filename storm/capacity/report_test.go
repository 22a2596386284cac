package capacity_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"origin-storm/storm/capacity"
)

// The example is what package reports is tried with: it must be a Report with nothing unknown and nothing left out.
func TestExampleIsAReport(t *testing.T) {
	src, err := os.ReadFile("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(src))
	d.DisallowUnknownFields()
	var r capacity.Report
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	e := json.NewEncoder(&again)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Bytes(), src) {
		t.Errorf("testdata/report.json is not what a Report is written as")
	}
}

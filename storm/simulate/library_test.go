package simulate_test

import (
	"context"
	"strings"
	"testing"

	"origin-storm/scenarios"
	"origin-storm/storm/simulate"
)

// TestLibraryOfFaults: what the library's scenarios of faults say should happen does in the simulator as well, that for the simulator alone
// included.
func TestLibraryOfFaults(t *testing.T) {
	tried := 0
	for _, s := range scenarios.Library() {
		if !strings.HasPrefix(s.Name, "faults-") && s.Name != "region-lost" && s.Name != "pipeline-lost" {
			continue
		}
		tried++
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			out, err := simulate.Run(context.Background(), simulate.Config{Scenario: s, Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			if r := out.Results; r.Verdict != "passed" {
				t.Errorf("%s: %s %v", s.Name, r.Verdict, r.Reasons)
			}
		})
	}
	if tried < 11 {
		t.Errorf("%d scenarios, want the library's eleven", tried)
	}
}

package simulate_test

import (
	"encoding/json"
	"testing"

	"origin-storm/scenarios"
	"origin-storm/storm/simulate"
)

// load returns a scenario of the library.
func load(t testing.TB, name string, set ...string) scenarios.Scenario {
	t.Helper()
	s, _, err := scenarios.Load(name, set...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func run(t testing.TB, c simulate.Config) *simulate.Outcome {
	t.Helper()
	out, err := simulate.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The same scenario and seed give the same bytes, and another seed others.
func TestSameSeedSameBytes(t *testing.T) {
	s := load(t, "smoke")
	results := func(seed uint64) string {
		b, err := json.Marshal(run(t, simulate.Config{Scenario: s, Seed: seed}).Results)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := results(1)
	if again := results(1); again != first {
		t.Errorf("the second Run differs from the first:\n%s\n%s", again, first)
	}
	if results(2) == first {
		t.Error("seed 2 gives what seed 1 gives")
	}
}

func TestSmoke(t *testing.T) {
	out := run(t, simulate.Config{Scenario: load(t, "smoke"), Seed: 1})
	if r := out.Results; r.Verdict != "passed" || r.Mode != "sim" || len(r.Backends) != 1 || r.Backends[0].Provenance != "simulated" {
		b, _ := json.MarshalIndent(r, "", " ")
		t.Errorf("%s", b)
	}
}

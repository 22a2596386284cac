package gate_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"origin-storm/storm/record/schematest"
	"origin-storm/storm/verdict/gate"
)

func TestSchemaIsPublished(t *testing.T) {
	schematest.Published(t, schematest.Of(t, gate.Results{}, "gate.json of origin-storm"), filepath.Join("..", "..", "..", "docs", "gate.schema.json"), *update)
}

// What is written of a gate that decided, and of one that could not begin, follows the schema.
func TestResultsFollowTheSchema(t *testing.T) {
	valid := schematest.Validator(t, schematest.Of(t, gate.Results{}, "gate.json"))
	c := gate.Config{Metrics: []gate.Metric{writeP50}, Looks: []int{2}}
	d := run(t, c, job{within: 0.1, head: 1.1, publishes: 30}.quads(2, 0))
	side := gate.SideResults{Servers: []string{}, Notes: []string{}}
	decided := gate.Results{Schema: gate.Schema, Outcome: "inconclusive", Reasons: []string{}, Base: side, Head: side, Rules: c, Decision: &d, Environment: map[string]string{}}
	broken := gate.Results{Schema: gate.Schema, Outcome: gate.Invalid, Reasons: []string{"why"}, Base: side, Head: side, Rules: c, Environment: map[string]string{}}
	for name, res := range map[string]gate.Results{"decided": decided, "broken": broken} {
		written, err := json.Marshal(res)
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(string(written)); err != nil {
			t.Errorf("%s: %v\n%s", name, err, written)
		}
		if bad := strings.Replace(string(written), `"quads":`, `"quads":"many","x":`, 1); valid(bad) == nil {
			t.Errorf("%s: the schema takes a number that is a word", name)
		}
	}
}

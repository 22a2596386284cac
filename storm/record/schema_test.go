package record_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"origin-storm/storm/record"
	"origin-storm/storm/record/schematest"
)

// schema is that of results.json, of its Go types and their comments.
func schema(t *testing.T) []byte {
	return schematest.Of(t, record.Results{}, "results.json of origin-storm")
}

func TestSchemaIsPublished(t *testing.T) {
	schematest.Published(t, schema(t), filepath.Join("..", "..", "docs", "results.schema.json"), *update)
}

// TestResultsFollowTheSchema asks an independent validator about what is written, and about what must not be.
func TestResultsFollowTheSchema(t *testing.T) {
	valid := schematest.Validator(t, schema(t))
	res := results()
	written, err := json.Marshal(res)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		json string
		ok   bool
	}{
		"what is written":         {string(written), true},
		"nothing":                 {`{}`, false},
		"a figure that is a word": {strings.Replace(string(written), `"p50_ms":`, `"p50_ms":"fast","x":`, 1), false},
	} {
		if err := valid(tt.json); (err == nil) != tt.ok {
			t.Errorf("the schema's word on %s: %v, want valid: %v", name, err, tt.ok)
		}
	}
	if !strings.Contains(string(written), `"p99_ms":null`) {
		t.Error("what is written has no null figure: the test shows less than it should")
	}
}

package sweep_test

import (
	"bytes"
	"flag"
	"path/filepath"
	"strings"
	"testing"

	"origin-storm/storm/record/schematest"
	"origin-storm/storm/sweep"
)

var update = flag.Bool("update", false, "write the published schema anew")

func TestSchemaIsPublished(t *testing.T) {
	schematest.Published(t, schematest.Of(t, sweep.Result{}, "sweep.json of origin-storm"), filepath.Join("..", "..", "docs", "sweep.schema.json"), *update)
}

// What is written follows the schema, with numbers and with words on its axes.
func TestResultFollowsTheSchema(t *testing.T) {
	valid := schematest.Validator(t, schematest.Of(t, sweep.Result{}, "sweep.json"))
	var b bytes.Buffer
	if err := run(t, sweep.Config{Axes: axes(t, "readers.edges=2,4", "backends=[embedded],[s3]"), At: at, Replications: 2}).Encode(&b); err != nil {
		t.Fatal(err)
	}
	if err := valid(b.String()); err != nil {
		t.Error(err)
	}
	if bad := strings.Replace(b.String(), `"points": [`, `"points": "many", "x": [`, 1); valid(bad) == nil {
		t.Error("the schema takes points that are a word")
	}
}

package record_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	generator "github.com/invopop/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"origin-storm/storm/record"
)

var schemaFile = filepath.Join("..", "..", "docs", "results.schema.json")

// generate makes the schema of results.json from its Go types and their comments.
func generate(t *testing.T) []byte {
	t.Helper()
	r := generator.Reflector{AllowAdditionalProperties: true}
	if err := r.AddGoComments("origin-storm/storm/record", ".", generator.WithFullComment()); err != nil {
		t.Fatal(err)
	}
	for name, comment := range r.CommentMap { // comments are wrapped in the source
		r.CommentMap[name] = strings.Join(strings.Fields(comment), " ")
	}
	s := r.Reflect(&record.Results{})
	s.ID, s.Title = "", "results.json of origin-storm"
	nullable(reflect.TypeFor[record.Results](), s.Definitions, map[reflect.Type]bool{})
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

// nullable lets each property that is a pointer in Go be null, which the generator does not.
func nullable(t reflect.Type, all generator.Definitions, done map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	def := all[t.Name()]
	if t.Kind() != reflect.Struct || def == nil || done[t] {
		return
	}
	done[t] = true
	for i := range t.NumField() {
		f := t.Field(i)
		nullable(f.Type, all, done)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if p, ok := def.Properties.Get(name); ok && f.Type.Kind() == reflect.Pointer {
			about := p.Description
			p.Description = ""
			def.Properties.Set(name, &generator.Schema{Description: about, OneOf: []*generator.Schema{p, {Type: "null"}}})
		}
	}
}

func TestSchemaIsPublished(t *testing.T) {
	got := generate(t)
	if *update {
		if err := os.WriteFile(schemaFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not the schema of the types in results.go: run the tests of this package with -update", schemaFile)
	}
}

// TestResultsFollowTheSchema asks an independent validator about what is written, and about what must not be.
func TestResultsFollowTheSchema(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(generate(t)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("results.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("results.schema.json")
	if err != nil {
		t.Fatal(err)
	}
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
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(tt.json))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); (err == nil) != tt.ok {
			t.Errorf("the schema's word on %s: %v, want valid: %v", name, err, tt.ok)
		}
	}
	if !strings.Contains(string(written), `"p99_ms":null`) {
		t.Error("what is written has no null figure: the test shows less than it should")
	}
}

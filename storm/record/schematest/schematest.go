// Package schematest makes JSON schemas of Go types, for tests that hold the published ones against the types. It is for tests alone.
package schematest

import (
	"bytes"
	"encoding"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	generator "github.com/invopop/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Of returns the schema of what v is written as, under a title, with the comments of v's package, whose sources are in the working
// directory, as its texts.
func Of(t testing.TB, v any, title string) []byte {
	t.Helper()
	r := generator.Reflector{AllowAdditionalProperties: true, Mapper: texts}
	if err := r.AddGoComments(reflect.TypeOf(v).PkgPath(), ".", generator.WithFullComment()); err != nil {
		t.Fatal(err)
	}
	for name, comment := range r.CommentMap { // comments are wrapped in the source
		r.CommentMap[name] = strings.Join(strings.Fields(comment), " ")
	}
	s := r.Reflect(v)
	s.ID, s.Title = "", title
	nullable(reflect.TypeOf(v), s.Definitions, map[reflect.Type]bool{})
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

// texts is the schema of what is written as a text, which the generator takes for what it is in Go.
func texts(t reflect.Type) *generator.Schema {
	if t.PkgPath() != "time" && t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return &generator.Schema{Type: "string"}
	}
	return nil
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

// Published fails t unless the file holds schema; with update it writes it.
func Published(t testing.TB, schema []byte, file string, update bool) {
	t.Helper()
	if update {
		if err := os.WriteFile(file, schema, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(schema, want) {
		t.Errorf("%s is not the schema of the types: run the tests of this package with -update", file)
	}
}

// Validator returns what an independent validator says of a text by a schema.
func Validator(t testing.TB, schema []byte) func(text string) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(text string) error {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return err
		}
		return compiled.Validate(v)
	}
}

package scenarios_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"origin-storm/origin/cost"
	"origin-storm/origin/cost/profiles"
	"origin-storm/scenarios"
	"origin-storm/scenarios/accesslog"
)

var update = flag.Bool("update", false, "write golden files anew")

// The schema is generated from the types and their comments, so that it cannot say anything else than the code.
func TestSchemaIsThatOfTheTypes(t *testing.T) {
	got := generate(t)
	if *update {
		if err := os.WriteFile("schema.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := scenarios.Schema(); !bytes.Equal(got, want) {
		t.Errorf("schema.json is not what the types say; run go test ./scenarios -update")
	}
}

func generate(t *testing.T) []byte {
	t.Helper()
	text := func(pattern, about string) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "string", Pattern: pattern, Description: about}
	}
	const duration = `^(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+$`
	r := &jsonschema.Reflector{
		FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true, Anonymous: true, ExpandedStruct: true,
		Mapper: func(of reflect.Type) *jsonschema.Schema {
			switch of {
			case reflect.TypeFor[time.Duration]():
				return text(duration, "")
			case reflect.TypeFor[scenarios.WarmUp]():
				return text(`^auto$|`+duration, "")
			case reflect.TypeFor[scenarios.Cadence]():
				return text(`^[0-9]+/[0-9]+$|`+duration, "")
			case reflect.TypeFor[cost.Rate]():
				return text(`^[0-9.e+]+ ?[kMG]?bit/s$`, "")
			case reflect.TypeFor[cost.Bytes]():
				return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
					text(`^[0-9.]+ ?([KMG]iB|[kMG]?B)$`, ""), {Type: "integer", Minimum: "0"},
				}}
			case reflect.TypeFor[scenarios.Share]():
				return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
					{Type: "number", Minimum: "0"}, text(`^[0-9.]+ ?%$`, ""),
				}}
			case reflect.TypeFor[scenarios.Count]():
				return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "integer", Minimum: "0"}, text(`^[0-9.]+ ?[kMG]?$`, "")}}
			case reflect.TypeFor[scenarios.Mix]():
				shares := jsonschema.NewProperties()
				for _, n := range scenarios.Clients() {
					share := &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "number", Minimum: "0"}, text(`^[0-9.]+ ?%$`, "")}}
					share.Description = n.Name + " " + n.About + "."
					shares.Set(n.Name, share)
				}
				return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
					{Type: "string", Enum: names(scenarios.Clients())}, {Type: "object", Properties: shares, AdditionalProperties: jsonschema.FalseSchema},
				}}
			case reflect.TypeFor[scenarios.Instant]():
				return text(`^(quiet|storm)( [1-9][0-9]*)?( *\+ *[0-9.]+[a-zµ0-9.]+)?$`, "")
			case reflect.TypeFor[scenarios.Amount]():
				return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "number"}, text(`^-?`+duration[1:], "")}}
			case reflect.TypeFor[scenarios.Target]():
				return text(`^(pipeline [ab]|publish|store|readers|(serve|cache|cassandra)( [1-9][0-9]*)?)$`, "")
			case reflect.TypeFor[scenarios.Threshold]():
				return text(`^.+ (<|<=|==|!=|>=|>) [^ ]+( or abort( after [^ ]+)?)?$`, "[backend:] [phase] subject [latency] figure op value [or abort [after time]], such as: storm publish response p99 < 500ms. "+
					"Percentiles of requests need a latency: response, service, lag, first-byte or after-answer. Subjects and their figures: "+strings.Join(scenarios.Subjects(), "; "))
			}
			return nil
		},
	}
	if err := r.AddGoComments("origin-storm/scenarios", ".", jsonschema.WithFullComment()); err != nil {
		t.Fatal(err)
	}
	if err := r.AddGoComments("origin-storm/scenarios/accesslog", "accesslog", jsonschema.WithFullComment()); err != nil {
		t.Fatal(err)
	}
	r.CommentMap = paths(r.CommentMap)
	s := r.Reflect(&scenarios.Scenario{})
	s.Title = "origin-storm scenario"
	s.Required = []string{"name"}
	// What YAML may write in several ways.
	rendition := s.Definitions["Renditions"]
	ladder := jsonschema.NewProperties()
	ladder.Set("count", &jsonschema.Schema{Type: "integer", Minimum: "1", Maximum: "1000", Description: "Count is how many there are."})
	ladder.Set("total", &jsonschema.Schema{Type: "string", Pattern: `^[0-9.e+]+ ?[kMG]?bit/s$`, Description: "Total is the bit rate of all together."})
	s.Definitions["Renditions"] = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		rendition, {Type: "object", Properties: ladder, AdditionalProperties: jsonschema.FalseSchema},
	}}
	backend := s.Definitions["Backend"]
	backend.Required = []string{"name"}
	if store, ok := backend.Properties.Get("store"); ok {
		store.Enum = []any{scenarios.S3, scenarios.Embedded, scenarios.Cassandra}
	}
	if profile, ok := backend.Properties.Get("profile"); ok {
		profile.Examples = []any{scenarios.NoProfile}
		for _, name := range profiles.Names() {
			profile.Examples = append(profile.Examples, name)
		}
	}
	s.Definitions["Backend"] = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "string", Enum: []any{"s3", "embedded", "embedded+cache", "cassandra", "cassandra+cache"}}, backend,
	}}
	if cache, ok := s.Definitions["Readers"].Properties.Get("cache"); ok {
		cache.Enum = names(scenarios.Caches())
		for _, n := range scenarios.Caches() {
			cache.Description += " " + n.Name + ": " + n.About + "."
		}
	}
	if format, ok := s.Definitions["Replay"].Properties.Get("format"); ok {
		for _, f := range accesslog.Formats() {
			format.Enum = append(format.Enum, f)
		}
	}
	if over, ok := s.Definitions["Ramp"].Properties.Get("over"); ok {
		over.Enum = []any{scenarios.OverStorm, scenarios.OverRun}
	}
	s.Definitions["Fault"] = faults(s.Definitions["Fault"])
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

// names are those of a list of behaviours.
func names(list []scenarios.Named) (all []any) {
	for _, n := range list {
		all = append(all, n.Name)
	}
	return all
}

// faults adds the catalogue to the fields that all faults have.
func faults(common *jsonschema.Schema) *jsonschema.Schema {
	for _, k := range scenarios.FaultKinds() {
		about := k.Do + " " + k.About + "."
		if k.By.About != "" {
			about += fmt.Sprintf(" by: %s, usually %v.", k.By.About, k.Usual)
		}
		to := strings.NewReplacer(scenarios.OfPipeline, "pipeline [ab]", scenarios.OfServe, "serve( [1-9][0-9]*)?", scenarios.OfCache,
			"cache( [1-9][0-9]*)?", scenarios.OfCassandra, "cassandra( [1-9][0-9]*)?").Replace(strings.Join(k.To, "|"))
		common.Properties.Set(k.Do, &jsonschema.Schema{Type: "string", Pattern: "^(" + to + ")$", Description: about})
		common.OneOf = append(common.OneOf, &jsonschema.Schema{Required: []string{k.Do}})
	}
	common.Required = []string{"at"}
	return common
}

// paths makes keys of comments those that the reflector looks for, wherever the package's directory is, and one line of each.
func paths(comments map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range comments {
		out[strings.NewReplacer("origin-storm/scenarios/.", "origin-storm/scenarios", "accesslog/accesslog", "accesslog").Replace(k)] = strings.Join(strings.Fields(v), " ")
	}
	return out
}

func compiled(t *testing.T) *validator.Schema {
	t.Helper()
	doc, err := validator.UnmarshalJSON(bytes.NewReader(scenarios.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON is what an editor's validator sees of a YAML file.
func asJSON(t *testing.T, src []byte) any {
	t.Helper()
	js, err := yaml.YAMLToJSON(src)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := validator.UnmarshalJSON(bytes.NewReader(js))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestLibraryFitsTheSchema(t *testing.T) {
	s := compiled(t)
	files, _ := filepath.Glob("*.yaml")
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(asJSON(t, src)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		scenario, _, err := scenarios.Load(strings.TrimSuffix(file, ".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		resolved, err := scenario.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(asJSON(t, resolved)); err != nil {
			t.Errorf("%s, everything filled in: %v", file, err)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	s := compiled(t)
	for _, src := range []string{
		"name: x\nreaders: {edgs: 4}",
		"name: x\nwindows: {quiet: 10}",
		"name: x\nevent: {renditions: {count: 0}}",
		"name: x\nevent: {renditions: {total: 10Mbps}}",
		"name: x\nreaders: {behaviour: {clients: hls}}",
		"name: x\nreaders: {behaviour: {clients: {hls: 1}}}",
		"name: x\nreaders: {viewers: 3, cache: squid}",
		"name: x\nreaders: {ramp: {over: quiet}}",
		"name: x\nbackends: [redis]",
		"name: x\nbackends: [{store: s3}]",
		"name: x\nfaults: [{kill: publish}]",
		"name: x\nfaults: [{at: storm 1, kill: printer}]",
		"about: no name",
	} {
		if s.Validate(asJSON(t, []byte(src))) == nil {
			t.Errorf("the schema accepts %q", src)
		}
	}
}

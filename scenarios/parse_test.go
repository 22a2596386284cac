package scenarios_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/scenarios"
)

// What is refused, and what the author is told, as a picture: one file that people can read and judge.
func TestRefused(t *testing.T) {
	cases := []struct{ name, src string }{
		{"nothing", ""},
		{"only a comment", "# later"},
		{"no YAML", "name: a: b"},
		{"an unclosed bracket", "name: x\nbackends: [s3"},
		{"brackets without end", "name: " + strings.Repeat("[", 200000)},
		{"dashes without end", "name:\n  " + strings.Repeat("- ", 100000)},
		{"mappings without end", "name: x\nevent: " + strings.Repeat("{a: ", 60000)},
		{"more than a scenario can be", strings.Repeat("#", 300000)},
		{"a list", "- s3"},
		{"two scenarios", "name: x\n---\nname: y"},
		{"no name", "about: nameless"},
		{"a name for no folder", "name: ../x"},
		{"an unknown field", "name: x\nreaders:\n  edgs: 40"},
		{"several unknown fields", "name: x\nreader: {edges: 4}\nwindows: {warmup: auto, quite: 4s}"},
		{"a field that is like no other", "name: x\nreaders: {xyzzy: 4}"},
		{"a field given twice", "name: x\nreaders: {edges: 4, edges: 5}"},
		{"an anchor", "name: &n x\nabout: *n"},
		{"a tag", "name: !!str x"},
		{"text for a number", "name: x\nreaders: {edges: forty}"},
		{"a part of an edge", "name: x\nreaders: {edges: 40.7}"},
		{"a huge number", "name: x\nreaders: {edges: 99999999999999999999}"},
		{"a number for a mapping", "name: x\nreaders: 40"},
		{"a mapping for a list", "name: x\nbackends: {name: s3}"},
		{"a list for a number", "name: x\nreaders: {edges: [1, 2]}"},
		{"text for a switch", "name: x\norigin: {collapse: yes}"},
		{"a duration without unit", "name: x\nwindows: {quiet: 10}"},
		{"a duration of another unit", "name: x\nwindows: {quiet: 10sec}"},
		{"a negative duration", "name: x\nwindows: {quiet: -10s}"},
		{"a rate of another unit", "name: x\nevent: {renditions: {count: 12, total: 10Mbps}}"},
		{"a negative rate", "name: x\nevent: {renditions: {count: 12, total: -10Mbit/s}}"},
		{"a negative rate in a list", "name: x\nevent:\n  renditions:\n    - {name: hd, rate: 5Mbit/s}\n    - {name: sd, rate: -1Mbit/s}"},
		{"zero renditions", "name: x\nevent: {renditions: {count: 0, total: 10Mbit/s}}"},
		{"an empty list of renditions", "name: x\nevent: {renditions: []}"},
		{"renditions without bits", "name: x\nevent: {renditions: {count: 500, total: 1kbit/s}}"},
		{"a rendition twice", "name: x\nevent:\n  renditions:\n    - {name: hd, rate: 5Mbit/s}\n    - {name: hd, rate: 1Mbit/s}"},
		{"a segment over the origin's bound", "name: x\nevent: {renditions: [{name: hd, rate: 200Mbit/s}]}"},
		{"a segment of no length", "name: x\nevent: {segment: 0s}"},
		{"a cadence of nothing", "name: x\nevent: {segment: 120120/0}"},
		{"three pipelines", "name: x\nevent: {pipelines: 3}"},
		{"an encoder that ends before it begins", "name: x\nevent: {encode: {min: 400ms, max: 200ms}}"},
		{"sites for some edges only", "name: x\nreaders: {sites: [{name: ams, rtt: 8ms, share: 0.5}]}"},
		{"more than everybody", "name: x\nreaders: {behaviour: {early: 120%}}"},
		{"a share that is none", "name: x\nreaders: {behaviour: {early: often}}"},
		{"a storm without readers", "name: x\nreaders: {edges: 0}"},
		{"nothing to measure", "name: x\nwindows: {quiet: 0s, storm: 0s}"},
		{"too often", "name: x\nwindows: {until: 90000000}"},
		{"no serving process", "name: x\norigin: {serve: 0}"},
		{"no backend", "name: x\nbackends: []"},
		{"an unknown backend", "name: x\nbackends: [s3, casandra]"},
		{"a backend without store", "name: x\nbackends: [{name: fast}]"},
		{"an unknown store", "name: x\nbackends: [{name: fast, store: redis}]"},
		{"two backends of one name", "name: x\nbackends: [s3, {name: s3, profile: none}]"},
		{"hits without a cache", "name: x\nbackends: [{name: k, store: embedded, hit-ratio: 50%}]"},
		{"an unknown edge", "name: x\nbackends: [{name: k, store: embedded, edge: varnsh}]"},
		{"an edge before edges", "name: x\nreaders: {viewers: 5}\nbackends: [{name: k, store: embedded, edge: nginx}]"},
		{"a client that nobody is", "name: x\nreaders: {behaviour: {clients: hlsjs}}"},
		{"clients that are not all", "name: x\nreaders:\n  behaviour:\n    clients: {hls.js: 50%, dash: 40%}"},
		{"a client who walks behind a cache", "name: x\nreaders: {viewers: 5, behaviour: {clients: {ffmpeg: 1}}}"},
		{"a cache that nobody makes", "name: x\nreaders: {viewers: 5, cache: squid}"},
		{"a cache that nobody asks", "name: x\nreaders: {cache: nginx}"},
		{"a ramp of one step", "name: x\nreaders: {ramp: {steps: 1, from: 120%, over: quiet}}"},
		{"a ramp that goes back in time", "name: x\nreaders: {ramp: {from: 0.1, points: [{at: 4s, share: 1}, {at: 2s, share: 200%}]}}"},
		{"readers who come back without end", "name: x\nreaders: {restart: {factor: 0.5}}"},
		{"readers apart in one process", "name: x\nbackends: [{name: k, store: embedded, cores: {readers: 1, publish: 0}}]"},
		{"a processor that is none", "name: x\ndrivers: 2\nbackends: [{name: k, store: embedded, cores: {cache: 0, serve: -1, sore: 1}}]"},
		{"processors that are none", "name: x\ndrivers: 2\nbackends: [{name: k, store: embedded, cores: {cache: 0, serve: -1, store: 1024}}]"},
		{"an unknown profile", "name: x\nbackends: [{name: s3, profile: s3-2023}]"},
		{"a profile on a real store", "name: x\nbackends: [{name: cassandra, profile: s3-2024}]"},
		{"two nodes", "name: x\nbackends: [{name: cassandra, nodes: 2}]"},
		{"a fault without an instant", "name: x\nfaults: [{kill: publish}]"},
		{"a fault that does nothing", "name: x\nfaults: [{at: storm 1}]"},
		{"a fault that does two things", "name: x\nfaults: [{at: storm 1, kill: publish, stop: store}]"},
		{"a fault in no window", "name: x\nfaults: [{at: strom 1, kill: publish}]"},
		{"a fault in a window that does not come", "name: x\nfaults: [{at: storm 4 + 1s, kill: publish}]"},
		{"a fault after its window", "name: x\nfaults: [{at: storm 1 + 10s, kill: publish}]"},
		{"a fault on what is not there", "name: x\nfaults: [{at: storm 1, kill: printer}]"},
		{"a fault on a pipeline that is not there", "name: x\nfaults: [{at: storm 1, kill: pipeline c}]"},
		{"a fault on a zone that is not there", "name: x\nbackends: [embedded+cache]\nfaults: [{at: storm 1, kill: cache 4}]"},
		{"a fault on no cache", "name: x\nfaults: [{at: storm 1, kill: cache 1}]"},
		{"a fault on no cluster", "name: x\nfaults: [{at: storm 1, kill: cassandra 2}]"},
		{"a fault on a serving process too many", "name: x\nfaults: [{at: storm 1, kill: serve 2}]"},
		{"a fault with a duration for a number", "name: x\nfaults: [{at: storm 1, slip: pipeline b, by: 2s}]"},
		{"a fault with a number for a duration", "name: x\nfaults: [{at: storm 1, delay: pipeline b, by: 2}]"},
		{"a fault without an amount that has one", "name: x\nfaults: [{at: storm 1, drop: pipeline b, by: 2}]"},
		{"a fault of more than all", "name: x\nfaults: [{at: storm 1, drop: pipeline b, share: 2}]"},
		{"a fault of a rendition that is not there", "name: x\nfaults: [{at: storm 1, drop: pipeline b, rendition: r99}]"},
		{"a purge of nothing", "name: x\nfaults: [{at: storm 1, purge: readers}]"},
		{"a pipeline that is stopped", "name: x\nfaults: [{at: storm 1, stop: pipeline b}]"},
		{"a fault that ends before it begins", "name: x\nfaults: [{at: storm 1, reset: pipeline b, for: -4s}]"},
		{"a threshold that is none", "name: x\nthresholds: [fast enough]"},
		{"a threshold on an unknown subject", "name: x\nthresholds: [storm publsh response p99 < 500ms]"},
		{"a threshold without latency", "name: x\nthresholds: [storm publish p99 < 500ms]"},
		{"a threshold on an unknown percentile", "name: x\nthresholds: [storm publish response p98 < 500ms]"},
		{"a threshold without a comparison", "name: x\nthresholds: [storm publish response p99 500ms]"},
		{"a threshold without unit", "name: x\nthresholds: [storm publish response p99 < 500]"},
		{"a threshold with too much", "name: x\nthresholds: [storm segments lost == 0 of 5]"},
		{"a threshold on what has no phases", "name: x\nthresholds: [storm cache hit-ratio > 90%]"},
		{"a threshold on a phase that does not come", "name: x\nwindows: {quiet: 0s}\nthresholds: [quiet publish errors == 0]"},
		{"a threshold on a backend that is not there", "name: x\nbackends: [embedded+cache]\nthresholds: [\"embedded+cash: segments lost == 0\"]"},
		{"no driver", "name: x\ndrivers: 0"},
		{"an audience of nobody", "name: x\naudience: {viewers: 0}"},
		{"an audience that does not say how many", "name: x\naudience: {fillers: 10}"},
		{"an audience in words", "name: x\naudience: {viewers: everybody}"},
		{"more than there are people", "name: x\naudience: {viewers: 20G}"},
		{"more fillers than viewers", "name: x\naudience: {viewers: 50, fillers: 100}"},
		{"more fillers than edges", "name: x\naudience: {viewers: 65M, edges: 60, fillers: 50}"},
		{"a mean above all renditions", "name: x\naudience: {viewers: 65M, bit-rate: 50Mbit/s}"},
		{"older segments for more than all", "name: x\naudience: {viewers: 65M, dvr: 200%}"},
		{"fillers that keep next to nothing", "name: x\naudience: {viewers: 65M, dvr: 50%, retention: 1s}"},
		{"viewers behind viewers", "name: x\naudience: {viewers: 65M}\nreaders: {viewers: 3}"},
		{"nodes without processors", "name: x\ndeployment: {serve: {cores: 0}}"},
		{"nodes without a network", "name: x\ndeployment: {serve: {link: 0bit/s}, store: {memory: 0, disk: 0}}"},
		{"fewer nodes than replicas", "name: x\ndeployment: {store: {nodes: 2}}"},
		{"spare processors that nobody published", "name: x\ndeployment: {queued: 10%}"},
		{"prices of nothing in particular", "name: x\ndeployment: {prices: {serve: -1}}"},
	}
	var got strings.Builder
	for _, c := range cases {
		_, err := scenarios.Parse("my.yaml", []byte(c.src))
		fmt.Fprintf(&got, "== %s\n%v\n\n", c.name, err)
		if err == nil {
			t.Errorf("%s: Parse(%q) = nil, want an error", c.name, c.src)
			continue
		}
		e, ok := errors.AsType[*scenarios.Error](err)
		if !ok || e.File != "my.yaml" || e.Msg == "" {
			t.Errorf("%s: Parse(%q) = %#v, want an *Error that names the file", c.name, c.src, err)
		}
	}
	golden(t, "refused.txt", got.String())
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	lines, wanted := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range lines {
		if i >= len(wanted) || lines[i] != wanted[i] {
			t.Fatalf("%s, line %d: got %q, want %q; if that is meant, run with -update", file, i+1, lines[i], wanted[min(i, len(wanted)-1)])
		}
	}
	t.Fatalf("%s: got %d lines, want %d; if that is meant, run with -update", file, len(lines), len(wanted))
}

func TestEverythingThatIsWrongIsReported(t *testing.T) {
	_, err := scenarios.Parse("my.yaml", []byte("name: x\nreaders: {edges: -1, viewers: -1}\norigin: {hot: -1KiB, serve: 0}"))
	for _, want := range []string{"my.yaml:3:15: origin.hot"} { // what cannot be read comes first, alone
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse = %v, want an error with %q", err, want)
		}
	}
	_, err = scenarios.Parse("my.yaml", []byte("name: x\nreaders: {edges: -1, viewers: -1}\norigin: {serve: 0}"))
	for _, want := range []string{"my.yaml:2:11: readers.edges", "my.yaml:2:22: readers.viewers", "my.yaml:3:10: origin.serve"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse = %v, want an error with %q", err, want)
		}
	}
}

func parse(t *testing.T, src string, set ...string) scenarios.Scenario {
	t.Helper()
	s, err := scenarios.Parse("my.yaml", []byte(src), set...)
	if err != nil {
		t.Fatalf("Parse(%q, %q) = %v, want nil", src, set, err)
	}
	return s
}

func TestDefaults(t *testing.T) {
	s := parse(t, "name: x")
	want := scenarios.Default()
	want.Name = "x"
	if !reflect.DeepEqual(s, want) {
		t.Errorf("Parse(name: x) = %+v, want %+v", s, want)
	}
	// What a mapping does not mention stays as it is by default; what it mentions is what it says, zero included.
	s = parse(t, "name: x\nevent: {lag: 0s, encode: {max: 900ms}}\nwindows:\nreaders: {}")
	if s.Event.Lag != 0 || s.Event.Encode != (scenarios.Span{Min: 200 * time.Millisecond, Max: 900 * time.Millisecond}) || s.Event.DVR != 2*time.Hour {
		t.Errorf("event = %+v, want lag 0, encode 200ms to 900ms, dvr 2h", s.Event)
	}
}

func TestFull(t *testing.T) {
	s := parse(t, `
name: full
about: >
  every field
event:
  count: 3
  segment: 120120/60000
  pipelines: 1
  identical: true
  renditions:
    - {name: hd, rate: 5.5Mbit/s}
    - {name: "240", rate: 300kbit/s}
  size-variation: 30%
  encode: {min: 100ms, max: 300ms}
  lag: 250ms
  publish-delay: 1500ms
  dvr: 10m
readers:
  edges: 10
  viewers: 20
  quantum: 500ms
  sites:
    - {name: ams, rtt: 8ms, share: 70%}
    - {name: nyc, rtt: 80ms, share: 0.3}
  cache: nginx
  behaviour: {aligned: 50ms, early: 0.1, dvr: 2, missing: 0.01, clients: {hls.js: 60%, dash.js: 0.4}}
  ramp: {over: run, from: 10%, to: 50%, steps: 4}
  restart: {factor: 10, over: 6s}
windows: {warm-up: 5s, quiet: 4s, storm: 6s, repeat: 2, until: 10}
origin: {serve: 2, hot: 64MiB, collapse: true, shed: true}
backends:
  - embedded+cache
  - {name: swept, store: embedded, cache: true, zones: 2, hit-ratio: 25%, profile: netflix-kv-2024, origin: {hot: 1GiB}}
  - {name: cassandra, nodes: 1}
faults:
  - {at: storm 2 + 4s, kill: cache 2, for: 1s}
  - {at: quiet, drop: pipeline a, for: 2s}
thresholds:
  - "swept: storm live-edge response p99 < 150ms"
drivers: 2
`)
	quarter, half := scenarios.Share(0.25), scenarios.Share(0.5)
	want := scenarios.Scenario{
		Name: "full", About: "every field\n",
		Event: scenarios.Event{
			Count: 3, Segment: scenarios.Cadence{Ticks: 120120, Timescale: 60000}, Pipelines: 1, Identical: true,
			Renditions:    scenarios.Renditions{{Name: "hd", Rate: 5_500_000}, {Name: "240", Rate: 300_000}},
			SizeVariation: 0.3, Encode: scenarios.Span{Min: 100 * time.Millisecond, Max: 300 * time.Millisecond},
			Lag: 250 * time.Millisecond, PublishDelay: 1500 * time.Millisecond, DVR: 10 * time.Minute,
		},
		Readers: scenarios.Readers{
			Edges: 10, Viewers: 20, Quantum: 500 * time.Millisecond,
			Sites:     []scenarios.Site{{Name: "ams", RTT: 8 * time.Millisecond, Share: 0.7}, {Name: "nyc", RTT: 80 * time.Millisecond, Share: 0.3}},
			Cache:     "nginx",
			Behaviour: scenarios.Behaviour{Aligned: 50 * time.Millisecond, Early: 0.1, DVR: 2, Missing: 0.01, Clients: scenarios.Mix{{Name: "hls.js", Share: 0.6}, {Name: "dash.js", Share: 0.4}}},
			Ramp:      &scenarios.Ramp{Over: "run", From: 0.1, To: &half, Steps: 4},
			Restart:   &scenarios.Restart{Factor: 10, Over: 6 * time.Second},
		},
		Windows: scenarios.Windows{WarmUp: scenarios.WarmUp(5 * time.Second), Quiet: 4 * time.Second, Storm: 6 * time.Second, Repeat: 2, Until: 10},
		Origin:  scenarios.Origin{Serve: 2, Hot: 64 << 20, Collapse: true, Shed: true},
		Backends: []scenarios.Backend{
			{Name: "embedded+cache", Store: "embedded", Cache: true, Zones: 3, Profile: "none"},
			{Name: "swept", Store: "embedded", Cache: true, Zones: 2, HitRatio: &quarter, Profile: "netflix-kv-2024", Origin: &scenarios.Origin{Serve: 2, Hot: 1 << 30}},
			{Name: "cassandra", Store: "cassandra", Nodes: 1, Profile: "none"},
		},
		Faults: []scenarios.Fault{
			{At: scenarios.Instant{Phase: "storm", Nth: 2, After: 4 * time.Second}, Do: "kill", To: scenarios.Target{What: "cache", Nth: 2}, For: time.Second},
			{At: scenarios.Instant{Phase: "quiet", Nth: 1}, Do: "drop", To: scenarios.Target{What: "pipeline", Name: "a"}, For: 2 * time.Second},
		},
		Thresholds: []scenarios.Threshold{
			{Backend: "swept", Phase: "storm", Subject: "live-edge", Latency: "response", Figure: "p99", Op: "<", Value: 150, Unit: "ms"},
		},
		Drivers: 2,
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("Parse = %+v\nwant    %+v", s, want)
	}
	b, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "full.yaml", string(b))
	if again := parse(t, string(b)); !reflect.DeepEqual(again, s) {
		t.Errorf("written and read back: %+v\nwant %+v", again, s)
	}
}

func TestSet(t *testing.T) {
	const src = "name: x\nreaders: {edges: 4}\nbackends: [s3, embedded]"
	for _, c := range []struct {
		set string
		got func(s scenarios.Scenario) any
		to  any
	}{
		{"readers.edges=80", func(s scenarios.Scenario) any { return s.Readers.Edges }, 80},
		{"event.renditions.count=3", func(s scenarios.Scenario) any { return len(s.Event.Renditions) }, 3},
		{"event.renditions.total=1Mbit/s", func(s scenarios.Scenario) any { return s.Event.Renditions.Total() }, cost.Rate(1_000_000)},
		{"event.renditions[0].rate=4Mbit/s", func(s scenarios.Scenario) any { return s.Event.Renditions[0].Rate }, cost.Rate(4_000_000)},
		{"event.encode={min: 1s, max: 2s}", func(s scenarios.Scenario) any { return s.Event.Encode.Max }, 2 * time.Second},
		{"windows.warm-up=auto", func(s scenarios.Scenario) any { return s.Windows.WarmUp }, scenarios.Auto},
		{"backends=[embedded+cache]", func(s scenarios.Scenario) any { return s.Backends[0].Zones }, 3},
		{"backends[1].hit-ratio=0.5", nil, "backends[1].hit-ratio: hits of a cache that is not there; add cache: true"},
		{"backends.0.profile=none", func(s scenarios.Scenario) any { return s.Backends[0].Profile }, "none"},
		{"backends.1.origin.collapse=true", func(s scenarios.Scenario) any { return *s.Backends[1].Origin }, scenarios.Origin{Serve: 1, Collapse: true}},
		{"thresholds=[segments lost == 0]", func(s scenarios.Scenario) any { return s.Thresholds[0].Figure }, "lost"},
		{"readers.edgs=80", nil, `--set readers.edgs=80: readers.edgs: unknown field; did you mean "edges"?`},
		{"readers.edges=many", nil, `--set readers.edges=many: readers.edges: "many" is not a whole number`},
		{"readers.edges.x=1", nil, "--set readers.edges.x=1: readers.edges.x: readers.edges has no fields"},
		{"readers.edges=-1", nil, "--set readers.edges=-1: readers.edges: -1: must be 0 to 100000000"},
		{"backends[7].name=x", nil, "--set backends[7].name=x: backends[7]: there are 2 of these, counted from 0"},
		{"readers.edges", nil, "--set readers.edges: want path=value"},
		{"readers.edges=", nil, "--set readers.edges=: want path=value"},
		{"event.renditions.cuont=3", nil, `did you mean "count"?`},
	} {
		s, err := scenarios.Parse("my.yaml", []byte(src), c.set)
		if c.got == nil {
			if err == nil || !strings.Contains(err.Error(), c.to.(string)) {
				t.Errorf("Parse(--set %s) = %v, want an error with %q", c.set, err, c.to)
			}
			continue
		}
		if err != nil {
			t.Errorf("Parse(--set %s) = %v, want nil", c.set, err)
		} else if got := c.got(s); !reflect.DeepEqual(got, c.to) {
			t.Errorf("Parse(--set %s) gives %v, want %v", c.set, got, c.to)
		}
	}
	// Several overrides may only make sense together.
	s := parse(t, src, "event.encode.min=3s", "event.encode.max=4s")
	if s.Event.Encode != (scenarios.Span{Min: 3 * time.Second, Max: 4 * time.Second}) {
		t.Errorf("two overrides give %v, want 3s to 4s", s.Event.Encode)
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(file, []byte("name: own"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, src, err := scenarios.Load(file, "readers.edges=7"); err != nil || s.Name != "own" || s.Readers.Edges != 7 || string(src) != "name: own" {
		t.Errorf("Load(%s) = %q with %d edges, %q, %v, want own with 7, its source, nil", file, s.Name, s.Readers.Edges, src, err)
	}
	if _, _, err := scenarios.Load("comparisn"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), `did you mean "comparison"?`) {
		t.Errorf("Load(comparisn) = %v, want that there is none, and which was meant", err)
	}
	if _, _, err := scenarios.Load(t.TempDir()); err == nil {
		t.Error("Load of a directory = nil, want an error")
	}
	if _, err := scenarios.Parse("large.yaml", bytes.Repeat([]byte("#"), 2<<20)); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("Parse of 2 MiB = %v, want that it is too large", err)
	}
}

// Whatever is in a file, Parse returns an error that says where, or a scenario that is written and read back the same.
// A byte order mark in front, as some editors write it, is no part of the first field's name.
func TestByteOrderMark(t *testing.T) {
	if s := parse(t, "\ufeffname: x"); s.Name != "x" {
		t.Errorf("Parse(BOM, name: x).Name = %q, want x", s.Name)
	}
}

// Lines may end as they do on Windows, also those of a text.
func TestCarriageReturns(t *testing.T) {
	src := "name: x\nabout: |\n  one\n  two\nreaders:\n  edges: 7\n"
	want := parse(t, src)
	if got := parse(t, strings.ReplaceAll(src, "\n", "\r\n")); got.About != want.About || got.Readers.Edges != want.Readers.Edges {
		t.Errorf("Parse of lines with CRLF: about %q, %d edges, want %q and %d", got.About, got.Readers.Edges, want.About, want.Readers.Edges)
	}
}

// A text is shown on terminals, and must not be able to write on them what it likes.
func TestTextsWithoutEscapes(t *testing.T) {
	_, err := scenarios.Parse("s.yaml", []byte(`name: x
about: "red \e[31m"
`))
	if err == nil || !strings.Contains(err.Error(), "s.yaml:2") || !strings.Contains(err.Error(), "about") || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("Parse of a text with an escape = %q, want an error that names about and line 2, and has no escape", err)
	}
}

// A device gives bytes without end, and nothing begins to read it.
func TestLoadOfADevice(t *testing.T) {
	if _, err := os.Stat("/dev/zero"); err != nil {
		return // a system without it has no such file to name
	}
	if _, _, err := scenarios.Load("/dev/zero"); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("Load(/dev/zero) = %v, want an error with %q", err, "no regular file")
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("*.yaml")
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src, "readers.edges=8")
	}
	f.Add([]byte("name: x\nbackends: [{name: a, store: s3, origin: {}}]"), "backends[0].origin.hot=1KiB")
	f.Add([]byte("name: x\nfaults: [{at: storm 1, kill: publish}]"), "event.renditions.count=0")
	f.Add([]byte("name: &a x\nabout: *a"), "faults[0].at=quiet 1 + 1s")
	f.Fuzz(func(t *testing.T, src []byte, set string) {
		s, err := scenarios.Parse("fuzz.yaml", src, set)
		if err != nil {
			if e, ok := errors.AsType[*scenarios.Error](err); !ok || e.File == "" || e.Msg == "" {
				t.Fatalf("Parse(%q) = %v, want an *Error with file and message", src, err)
			}
			return
		}
		b, err := s.Marshal()
		if err != nil {
			t.Fatalf("Marshal of %q = %v", src, err)
		}
		again, err := scenarios.Parse("again.yaml", b)
		if err != nil {
			t.Fatalf("Parse(%q), written as\n%s\nand read back: %v", src, b, err)
		}
		c, err := again.Marshal()
		if err != nil || !bytes.Equal(b, c) {
			t.Fatalf("Parse(%q), written as\n%s\nread back and written as\n%s\n%v", src, b, c, err)
		}
	})
}

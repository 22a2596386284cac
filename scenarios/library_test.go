package scenarios_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/cost"
	"origin-storm/scenarios"
)

// simulated are the scenarios that are for the simulator alone.
var simulated = []string{"faults-nodes", "fight-night", "storm-100g"}

func TestLibrary(t *testing.T) {
	names := map[string]bool{}
	for _, s := range scenarios.Library() {
		names[s.Name] = true
		loaded, src, err := scenarios.Load(s.Name)
		if err != nil || loaded.Name != s.Name {
			t.Errorf("Load(%s) = %q, %v: a scenario is called as its file", s.Name, loaded.Name, err)
		}
		if s.About == "" || strings.Contains(s.About, "\n") {
			t.Errorf("%s: about %q, want one line", s.Name, s.About)
		}
		if !strings.HasPrefix(string(src), "# ") {
			t.Errorf("%s does not begin with a comment that says what it is for", s.Name)
		}
		if len(s.Thresholds) == 0 {
			t.Errorf("%s states nothing that must hold", s.Name)
		}
		if err := s.Live(1 << 30); err != nil && !slices.Contains(simulated, s.Name) {
			t.Errorf("%s does not run on a machine with 1 GiB to spare: %v", s.Name, err)
		}
		embedded, err := s.Embedded()
		if err != nil && s.Name != "cassandra-node-down" {
			t.Errorf("%s.Embedded() = %v, want nil: it runs with nothing installed", s.Name, err)
		}
		for _, b := range embedded.Backends {
			if err == nil && (b.Store == scenarios.Cassandra || strings.Contains(b.Name, scenarios.Cassandra)) {
				t.Errorf("%s.Embedded() has the backend %+v, want no Cassandra, in name or fact", s.Name, b)
			}
		}
	}
	for _, want := range []string{"smoke", "comparison", "published", "large-segments", "s3-throttle", "cassandra-node-down", "cache-zone-lost",
		"cache-hit-sweep", "origin-layers", "pipeline-lost", "process-restarts", "holds", "audience-ramp", "restart-10x", "replay", "fight-night", "storm-100g"} {
		if !names[want] {
			t.Errorf("the library has no %s", want)
		}
	}
}

func load(t *testing.T, name string) scenarios.Scenario {
	t.Helper()
	s, _, err := scenarios.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// measured is how long the windows of all backends last together.
func measured(s scenarios.Scenario) time.Duration {
	return time.Duration(s.Rounds()*len(s.Backends)) * (s.Length(s.Windows.Quiet) + s.Length(s.Windows.Storm))
}

// What comparison has to show, of which its file must not lose a part.
func TestComparison(t *testing.T) {
	s := load(t, "comparison")
	e := s.Event
	if len(e.Renditions) < 12 || e.Pipelines != 2 || s.Readers.Edges < 40 || e.Segment.Duration() != 2*time.Second {
		t.Errorf("%d renditions, %d pipelines, %d edges, segments of %v, want 12, 2, 40, 2s", len(e.Renditions), e.Pipelines, s.Readers.Edges, e.Segment)
	}
	const chunk = 512 << 10
	if largest := float64(e.Renditions[0].Rate) / 8 * 2 * (1 - float64(e.SizeVariation)); largest <= chunk {
		t.Errorf("the smallest of the largest rendition's segments has %.0f bytes, want more than a chunk of %d", largest, chunk)
	}
	if s.Origin != (scenarios.Origin{Serve: 1}) {
		t.Errorf("origin %+v, want neither a hot copy nor collapsing: they would hide the stores", s.Origin)
	}
	writes := s.Rounds() * int(s.Length(s.Windows.Quiet)/e.Segment.Duration()) * len(e.Renditions) * e.Pipelines
	if writes < 300 {
		t.Errorf("%d writes in each phase, want 300", writes)
	}
	// Five minutes for three backends, 20 s of which may be each one's warm-up and bringing it up.
	if d := measured(s) + 3*20*time.Second; d > 5*time.Minute {
		t.Errorf("the run takes %v, want at most 5m", d)
	}
	embedded, err := s.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, b := range embedded.Backends {
		names = append(names, b.Name)
	}
	if got, want := strings.Join(names, " "), "s3 embedded embedded+cache"; got != want {
		t.Errorf("Embedded() has the backends %s, want %s", got, want)
	}
}

// Both published profiles need so many writes for their p99 to be within 5 %, none of which may be throttled.
func TestPublished(t *testing.T) {
	s := load(t, "published")
	each := len(s.Event.Renditions) * s.Event.Pipelines
	if rate := float64(each) / s.Event.Segment.Duration().Seconds(); rate > 90 {
		t.Errorf("an event publishes %v segments a second, too near to the throttle of 100", rate)
	}
	if writes := (s.Rounds()*5 - 1) * each * s.Event.Count; writes < 20_000 {
		t.Errorf("%d writes, want 20000", writes)
	}
	if d := measured(s) + time.Duration(len(s.Backends))*15*time.Second; d > 4*time.Minute {
		t.Errorf("the run takes %v, want at most 4m", d)
	}
	profiles := map[string]bool{}
	for _, b := range s.Backends {
		profiles[b.Profile] = true
	}
	if !profiles["s3-2024"] || !profiles["netflix-kv-2024"] {
		t.Errorf("profiles %v, want both published ones", profiles)
	}
}

func TestEmbedded(t *testing.T) {
	const src = "name: x\nbackends: [s3, cassandra, cassandra+cache, {name: swept, store: cassandra, nodes: 1, cache: true, hit-ratio: 50%}]\n" +
		"thresholds: [\"cassandra+cache: segments lost == 0\", \"swept: segments lost == 0\", \"s3: segments lost == 0\"]"
	before := parse(t, src)
	got, err := before.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	half := scenarios.Share(0.5)
	want := []scenarios.Backend{
		{Name: "s3", Store: "s3", Profile: "s3-2024"},
		{Name: "embedded", Store: "embedded", Profile: "none"},
		{Name: "embedded+cache", Store: "embedded", Profile: "none", Cache: true, Zones: 3},
		{Name: "swept", Store: "embedded", Profile: "none", Cache: true, Zones: 3, HitRatio: &half},
	}
	for i, b := range got.Backends {
		if b.Name != want[i].Name || b.Store != want[i].Store || b.Profile != want[i].Profile || b.Cache != want[i].Cache || b.Zones != want[i].Zones || b.Nodes != 0 {
			t.Errorf("backend %d = %+v, want %+v", i, b, want[i])
		}
	}
	for i, want := range []string{"embedded+cache", "swept", "s3"} {
		if got.Thresholds[i].Backend != want {
			t.Errorf("threshold %d is about %s, want %s", i, got.Thresholds[i].Backend, want)
		}
	}
	if before.Backends[1].Name != "cassandra" || before.Thresholds[0].Backend != "cassandra+cache" {
		t.Errorf("Embedded changed what it was asked for: %+v", before)
	}
	for _, src := range []string{
		"name: x\nbackends: [embedded, cassandra]",
		"name: x\nbackends: [cassandra]\nfaults: [{at: storm 1, kill: cassandra 2}]",
	} {
		if _, err := parse(t, src).Embedded(); err == nil {
			t.Errorf("Embedded() of %q = nil, want an error", src)
		}
	}
}

func TestOnly(t *testing.T) {
	before := parse(t, "name: x\nbackends: [s3, embedded, embedded+cache]\nthresholds: [segments lost == 0, \"s3: segments torn == 0\", \"embedded: segments wrong == 0\"]")
	got, err := before.Only("embedded+cache", "s3")
	if err != nil || len(got.Backends) != 2 || got.Backends[0].Name != "s3" || got.Backends[1].Name != "embedded+cache" {
		t.Errorf("Only(embedded+cache, s3) has the backends %+v, %v, want those two in the scenario's order", got.Backends, err)
	}
	if len(got.Thresholds) != 2 || got.Thresholds[1].Backend != "s3" {
		t.Errorf("Only(embedded+cache, s3) has the thresholds %v, want those of all and of s3", got.Thresholds)
	}
	if len(before.Backends) != 3 || len(before.Thresholds) != 3 {
		t.Errorf("Only changed what it was asked for: %+v", before)
	}
	if _, err := before.Only("embeded"); err == nil || !strings.Contains(err.Error(), `did you mean "embedded"?`) {
		t.Errorf("Only(embeded) = %v, want what was meant", err)
	}
}

// A million edges are a scenario, but no live run.
func TestLive(t *testing.T) {
	s := parse(t, "name: x\nreaders: {edges: 1000000}")
	err := s.Live(1 << 50)
	if err == nil {
		t.Fatal("Live of a million edges = nil, want an error")
	}
	for _, want := range []string{"readers.edges", "1000000 edges", "at most 2333 edges fit", "use simulate"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Live of a million edges = %v, want an error with %q", err, want)
		}
	}
	s = parse(t, "name: x\nreaders: {edges: 2000}")
	if err := s.Live(1 << 40); err != nil {
		t.Errorf("Live of 2000 edges with 1 TiB = %v, want nil", err)
	}
	err = s.Live(1 << 30)
	if err == nil || !strings.Contains(err.Error(), "1024 MiB are available") || !strings.Contains(err.Error(), "edges fit") {
		t.Errorf("Live of 2000 edges with 1 GiB = %v, want what is needed and what there is", err)
	}
	if needs := s.Needs(); needs.Connections != 24_000 || needs.Memory < 24_000*(128<<10) {
		t.Errorf("Needs() = %+v, want 24000 connections and 128 KiB for each", needs)
	}
	// The bound that the error names is one that fits, and the next edge is not.
	for edges, fits := range map[string]bool{"2333": true, "2334": false} {
		if err := parse(t, "name: x", "readers.edges="+edges).Live(1 << 50); (err == nil) != fits {
			t.Errorf("Live of %s edges = %v, want it to fit: %v", edges, err, fits)
		}
	}
	two := "name: x\norigin: {serve: 2}\nreaders: {edges: 4000}\n"
	if err := parse(t, two).Live(1 << 50); err != nil {
		t.Errorf("Live of 4000 edges with two serving processes = %v, want nil", err)
	}
	if err := parse(t, two+"backends: [embedded, {name: one, store: embedded, origin: {serve: 1}}]").Live(1 << 50); err == nil {
		t.Error("Live of 4000 edges, one backend having one serving process = nil, want an error")
	}
	if err := parse(t, "name: x\nreaders: {edges: 1000, viewers: 100000000}").Live(cost.Bytes(1 << 40)); err == nil {
		t.Error("Live of 10¹¹ viewers = nil, want an error")
	}
	if err := parse(t, "name: x\nreaders: {edges: 1000000}\nwindows: {storm: 0s}").Live(0); err != nil {
		t.Errorf("Live without a storm = %v, want nil: nobody reads", err)
	}
}

func TestRounds(t *testing.T) {
	for _, c := range []struct {
		src  string
		want int
	}{
		{"name: x\nwindows: {repeat: 3}", 3},
		{"name: x\nwindows: {repeat: 3, until: 1}", 3},
		// 24 writes each 2 s: 300 take 13 segments, and one more that may be sent outside: three windows of five.
		{"name: x\nwindows: {until: 300}", 3},
		{"name: x\nwindows: {quiet: 2s, until: 300}", 14},
		{"name: x\nwindows: {quiet: 0s, storm: 28s, until: 300}", 1},
		{"name: x\nevent: {encode: {min: 4s, max: 5s}}\nwindows: {quiet: 0s, storm: 28s, until: 300}", 2},
	} {
		if got := parse(t, c.src).Rounds(); got != c.want {
			t.Errorf("Rounds() of %q = %d, want %d", c.src, got, c.want)
		}
	}
	for _, c := range []struct {
		segment string
		asked   time.Duration
		want    time.Duration
	}{
		{"2s", 10 * time.Second, 10 * time.Second},
		{"2s", 9 * time.Second, 10 * time.Second},
		{"2s", time.Nanosecond, 2 * time.Second},
		{"120120/60000", 10 * time.Second, 10010 * time.Millisecond},
		{"120120/60000", 10010 * time.Millisecond, 10010 * time.Millisecond},
		{"1001/30000", 1001 * time.Second, 1001 * time.Second},
	} {
		s := parse(t, "name: x", "event.segment="+c.segment, "readers.behaviour.aligned=10ms")
		if got := s.Length(c.asked); got != c.want {
			t.Errorf("segments of %s: Length(%v) = %v, want %v", c.segment, c.asked, got, c.want)
		}
	}
}

func TestEvents(t *testing.T) {
	s := parse(t, "name: x\nevent: {count: 4, segment: 120120/60000, renditions: {count: 2, total: 3Mbit/s}}")
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	events := s.Events(start)
	if len(events) != 4 {
		t.Fatalf("%d events, want 4", len(events))
	}
	for i, e := range events {
		if want := start.Add(time.Duration(i) * 2002 * time.Millisecond / 4); !e.Template.Start.Equal(want) {
			t.Errorf("event %d starts at %v, want %v: clocks are shifted by equal parts of a segment", i, e.Template.Start, want)
		}
		if err := e.Template.Validate(); err != nil || e.Template.PublishDelay != s.Event.PublishDelay || e.DVR != s.Event.DVR {
			t.Errorf("event %d: %+v, %v", i, e, err)
		}
		if strings.Join(e.Pipelines, " ") != "a b" || !slices.Equal(e.Renditions, config.Renditions("r1", "r2")) {
			t.Errorf("event %d: pipelines %v, renditions %v, want a b and r1 r2", i, e.Pipelines, e.Renditions)
		}
	}
	if events[0].Name == events[1].Name {
		t.Errorf("two events are called %s", events[0].Name)
	}
	if got := parse(t, "name: x").Events(start)[0].Name; got != "event" {
		t.Errorf("the only event is called %s, want event", got)
	}
}

func TestLadder(t *testing.T) {
	for _, count := range []int{1, 2, 3, 12, 160} {
		l := scenarios.Ladder(count, 10_000_000)
		if len(l) != count || l.Total() != 10_000_000 {
			t.Errorf("Ladder(%d, 10Mbit/s) has %d renditions of %v, want %d of 10Mbit/s", count, len(l), l.Total(), count)
		}
		for i := 1; i < count; i++ {
			if l[i].Rate > l[i-1].Rate {
				t.Errorf("Ladder(%d): %v after %v, want bit rates to fall", count, l[i], l[i-1])
			}
		}
		if span := l[0].Rate / l[count-1].Rate; count > 1 && (span < 31 || span > 34) {
			t.Errorf("Ladder(%d): the highest has %v times the bit rate of the lowest, want about 32", count, float64(span))
		}
	}
}

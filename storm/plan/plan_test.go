package plan_test

import (
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/cost"
	"origin-storm/origin/segment"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/client"
	"origin-storm/storm/plan"
)

var (
	update = flag.Bool("update", false, "write golden files anew")
	seed   = flag.Uint64("seed", 1, "of random scenarios")
)

// epoch is when the events' clocks began; first is a number well after it.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const first = 1000

func parse(t *testing.T, src string, set ...string) scenarios.Scenario {
	t.Helper()
	s, err := scenarios.Parse("test.yaml", []byte("name: test\n"+src), set...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func configure(s scenarios.Scenario) plan.Config {
	return plan.Config{Scenario: s, Seed: *seed, Events: s.Events(epoch), First: first}
}

func expand(t *testing.T, c plan.Config) (storm.Plan, []storm.Request) {
	t.Helper()
	p, err := plan.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p, slices.Collect(p.Requests)
}

// in returns the window in which at falls.
func in(windows []storm.Window, at time.Duration) (w storm.Window, ok bool) {
	for _, w := range windows {
		if at >= w.From && at < w.To {
			return w, true
		}
	}
	return w, false
}

func TestOneTick(t *testing.T) {
	s := parse(t, `
event: {renditions: {count: 2, total: 2Mbit/s}}
readers: {edges: 3, sites: [{name: near, rtt: 0s, share: 0.67}, {name: far, rtt: 40ms, share: 0.33}], behaviour: {aligned: 50ms, early: 0.3, dvr: 0.4, missing: 0.4}}
windows: {quiet: 2s, storm: 6s}
faults: [{at: storm 1 + 250ms, kill: pipeline b, for: 2s}]
`)
	c := configure(s)
	p, requests := expand(t, c)
	var got strings.Builder
	fmt.Fprintln(&got, "# The plan of a small scenario: its second segment's time in the storm, and what surrounds it.")
	for _, w := range p.Windows {
		fmt.Fprintf(&got, "window %-6s %v to %v\n", w.Name, w.From, w.To)
	}
	for _, f := range p.Faults {
		fmt.Fprintf(&got, "fault  %s %s at %v for %v\n", f.Do, f.To, f.At, f.For)
	}
	from, to := p.Windows[1].From+2*time.Second, p.Windows[1].From+4*time.Second
	for _, r := range requests {
		if r.At < from || r.At >= to {
			continue
		}
		verb := "GET"
		if r.Put {
			verb = fmt.Sprintf("PUT %6d B", r.Size)
		}
		fmt.Fprintf(&got, "%10.3fs  %-18s %-9s %-12s %v\n", r.At.Seconds(), r.From, r.Class, verb, r.ID)
	}
	file := filepath.Join("testdata", "tick.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s\nif that is meant, run with -update", &got, want)
	}
}

func TestWindows(t *testing.T) {
	for _, c := range []struct {
		src  string
		want string
	}{
		{"windows: {quiet: 10s, storm: 10s, repeat: 2}", "quiet 2s-12s, storm 12s-22s, quiet 22s-32s, storm 32s-42s"},
		{"windows: {quiet: 10s, storm: 10s, until: 300}", "quiet 2s-12s, storm 12s-22s, quiet 22s-32s, storm 32s-42s, quiet 42s-52s, storm 52s-1m2s"},
		{"windows: {quiet: 0s, storm: 5s, repeat: 2}", "storm 2s-8s, storm 8s-14s"},
		{"windows: {quiet: 1ms, storm: 0s}", "quiet 2s-4s"},
		{"event: {segment: 120120/60000}\nwindows: {quiet: 10s, storm: 10s}", "quiet 2.002s-12.012s, storm 12.012s-22.022s"},
	} {
		var got []string
		for _, w := range plan.Windows(parse(t, c.src)) {
			got = append(got, fmt.Sprintf("%s %v-%v", w.Name, w.From, w.To))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("Windows of %q = %s, want %s", c.src, strings.Join(got, ", "), c.want)
		}
	}
	w := plan.WarmUp(parse(t, ""), 5*time.Second)
	if len(w) != 1 || w[0] != (storm.Window{Name: "warm-up", From: 2 * time.Second, To: 8 * time.Second}) {
		t.Errorf("WarmUp(5s) = %v, want one window of three segments", w)
	}
}

// counted is how many requests of a plan are of each class in each window; those outside are under "".
func counted(windows []storm.Window, requests []storm.Request) map[string]map[storm.Class]int {
	counts := map[string]map[storm.Class]int{}
	for _, r := range requests {
		w, ok := in(windows, r.At)
		name := ""
		if ok {
			name = fmt.Sprintf("%s %v", w.Name, w.From)
		}
		if counts[name] == nil {
			counts[name] = map[storm.Class]int{}
		}
		counts[name][r.Class]++
	}
	return counts
}

// What each window has can be told beforehand, request by request where chance has no part in it.
func TestCounts(t *testing.T) {
	const edges, renditions, ticks = 40, 12, 5
	s := parse(t, fmt.Sprintf(`
event: {renditions: {count: %d, total: 10Mbit/s}}
readers: {edges: %d, behaviour: {aligned: 100ms, early: 0.2, dvr: 0.05, missing: 0.01}}
windows: {quiet: 10s, storm: 10s, repeat: 10}
`, renditions, edges))
	p, requests := expand(t, configure(s))
	counts := counted(p.Windows, requests)
	const live = edges * renditions * ticks // of one storm
	var early, dvr, missing int
	for _, w := range p.Windows {
		got := counts[fmt.Sprintf("%s %v", w.Name, w.From)]
		if got[storm.Publish] != ticks*renditions*2 {
			t.Errorf("%s at %v: %d publishes, want %d", w.Name, w.From, got[storm.Publish], ticks*renditions*2)
		}
		if w.Name == scenarios.QuietPhase {
			if got[storm.LiveEdge]+got[storm.Early]+got[storm.DVR]+got[storm.Missing] != 0 {
				t.Errorf("quiet at %v: %v, want publishing and the probe only", w.From, got)
			}
			continue
		}
		if got[storm.LiveEdge]+got[storm.Early] != live {
			t.Errorf("storm at %v: %d requests at the live edge and %d early ones, want %d together", w.From, got[storm.LiveEdge], got[storm.Early], live)
		}
		early, dvr, missing = early+got[storm.Early], dvr+got[storm.DVR], missing+got[storm.Missing]
	}
	const n = 10 * live
	for _, c := range []struct {
		class storm.Class
		got   int
		share float64
	}{{storm.Early, early, 0.2}, {storm.DVR, dvr, 0.05}, {storm.Missing, missing, 0.01}} {
		if want := c.share * n; math.Abs(float64(c.got)-want) > 5*math.Sqrt(want) {
			t.Errorf("%d requests of class %v, want about %.0f", c.got, c.class, want)
		}
	}
	outside := counts[""]
	if outside[storm.Publish] != 2*renditions { // initialisation segments
		t.Errorf("%d publishes outside all windows, want %d", outside[storm.Publish], 2*renditions)
	}
	probes := 0
	for _, c := range counts {
		probes += c[storm.Probe]
	}
	if want := 20 * ticks * renditions; probes != want {
		t.Errorf("%d probes, want one for each segment, %d", probes, want)
	}
}

// When requests begin, and what they ask for, whoever asks.
func TestRequests(t *testing.T) {
	s := parse(t, `
event: {count: 2, renditions: {count: 3, total: 3Mbit/s}, encode: {min: 100ms, max: 300ms}, lag: 250ms, publish-delay: 900ms, size-variation: 0.25, dvr: 8s}
readers: {edges: 20, sites: [{name: ams, rtt: 20ms, share: 0.25}, {name: nyc, rtt: 80ms, share: 0.75}], behaviour: {aligned: 100ms, early: 0.3, dvr: 1.5, missing: 0.5}}
windows: {quiet: 10s, storm: 20s, repeat: 2}
`)
	c := configure(s)
	p, requests := expand(t, c)
	start := c.Start()
	templates := map[string]segment.Template{}
	for _, e := range c.Events {
		templates[e.Name] = e.Template
	}
	edgesAt := map[string]map[string]bool{}
	inits, copies := map[segment.ID]bool{}, map[segment.ID]bool{}
	var far, unknown int
	sizes := map[string][]int{}
	for _, r := range requests {
		if r.Began != r.At || r.Try != 0 || r.Match != "" {
			t.Fatalf("%+v: want a first try that began when it is meant to start", r)
		}
		template := templates[r.ID.Event]
		ends, due := template.Begins(r.ID.Number+1).Sub(start), template.Due(r.ID.Number).Sub(start)
		bad := func(format string, a ...any) {
			t.Helper()
			t.Errorf("%s, %v of %v at %v: %s", r.From, r.Class, r.ID, r.At, fmt.Sprintf(format, a...))
		}
		w, _ := in(p.Windows, r.At)
		if r.Class.Reads() || r.Class == storm.Missing {
			if w.Name != scenarios.StormPhase {
				bad("outside the storm")
			}
			site := strings.Split(r.From, "/")[1]
			if edgesAt[site] == nil {
				edgesAt[site] = map[string]bool{}
			}
			edgesAt[site][r.From] = true
		}
		switch r.Class {
		case storm.Publish:
			if !r.Put || r.From != "packager/"+r.ID.Event+"/"+r.ID.Pipeline {
				bad("want a PUT by the pipeline's own packager")
			}
			if r.ID.Number == segment.Init {
				inits[r.ID] = true
				if r.At < 0 || r.At >= time.Second {
					bad("want it in the first half of a segment")
				}
				continue
			}
			if copies[r.ID] {
				bad("twice")
			}
			copies[r.ID] = true
			after := r.At - ends
			if r.ID.Pipeline == "b" {
				after -= 250 * time.Millisecond
			}
			if after < 100*time.Millisecond || after > 300*time.Millisecond {
				bad("%v after its end, want 100ms to 300ms", after)
			}
			sizes[r.ID.Rendition] = append(sizes[r.ID.Rendition], r.Size)
		case storm.LiveEdge:
			way := map[string]time.Duration{"ams": 10 * time.Millisecond, "nyc": 40 * time.Millisecond}[strings.Split(r.From, "/")[1]]
			if d := r.At - due - way; d < 0 || d > 100*time.Millisecond {
				bad("%v after it is due and the way there, want 0s to 100ms", d)
			}
		case storm.Early:
			if d := due - r.At; d <= 0 || d > 2*time.Second {
				bad("%v before it is due, want up to 2s", d)
			}
		case storm.DVR:
			if r.ID.Number < first || due > r.At {
				bad("not published yet")
			}
			if due < r.At-8*time.Second {
				bad("%v after it was due, no longer in the DVR window", r.At-due)
			}
		case storm.Missing:
			switch {
			case !slices.Contains(c.Events[0].Renditions, config.Rendition{Name: r.ID.Rendition}):
				unknown++
			case due >= r.At+4*time.Second && due < r.At+26*time.Second:
				far++
			default:
				bad("due in %v, want 4 s to 26 s: neither held nor out of all players' reach", due-r.At)
			}
		case storm.Probe:
			if d := due - r.At; d != 2*time.Second || r.From != "probe/"+r.ID.Event {
				bad("%v before it is due, want 2s", d)
			}
		}
		if r.Class != storm.Publish && (r.Put || r.ID.Pipeline != "" || r.Size != 0) {
			bad("want a read of whichever pipeline")
		}
	}
	if len(edgesAt["ams"]) != 5 || len(edgesAt["nyc"]) != 15 {
		t.Errorf("%d edges in ams and %d in nyc, want 5 and 15", len(edgesAt["ams"]), len(edgesAt["nyc"]))
	}
	if want := 2 * 2 * 3; len(inits) != want {
		t.Errorf("%d initialisation segments, want %d", len(inits), want)
	}
	if want := 2 * 2 * 3 * 30; len(copies) != want {
		t.Errorf("%d copies of segments, want %d", len(copies), want)
	}
	if far == 0 || unknown == 0 {
		t.Errorf("of what is missing %d is in the future and %d unknown, want both", far, unknown)
	}
	for _, r := range s.Event.Renditions {
		mean := float64(r.Rate) / 8 * 2
		var sum float64
		for _, size := range sizes[r.Name] {
			if float64(size) < 0.75*mean-1 || float64(size) > 1.25*mean {
				t.Errorf("%s: a segment of %d bytes, want within 25 %% of %.0f", r.Name, size, mean)
			}
			sum += float64(size)
		}
		if got := sum / float64(len(sizes[r.Name])); math.Abs(got-mean) > 0.06*mean {
			t.Errorf("%s: segments of %.0f bytes on average, want %.0f", r.Name, got, mean)
		}
	}
}

// random returns a scenario with anything in it.
func random(t *testing.T, rng *rand.Rand) scenarios.Scenario {
	t.Helper()
	s := parse(t, "")
	e := &s.Event
	e.Count, e.Pipelines, e.Identical = 1+rng.IntN(3), 1+rng.IntN(2), rng.IntN(2) == 0
	e.Segment = []scenarios.Cadence{{Ticks: 2, Timescale: 1}, {Ticks: 120120, Timescale: 60000}, {Ticks: 1, Timescale: 3}, {Ticks: 48, Timescale: 25}}[rng.IntN(4)]
	d := e.Segment.Duration()
	upTo := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d) + 1)) }
	e.Renditions = scenarios.Ladder(1+rng.IntN(5), cost.Rate(100_000+rng.IntN(10_000_000)))
	e.Encode.Min = upTo(d)
	e.Encode.Max = e.Encode.Min + upTo(2*d)
	e.Lag, e.PublishDelay, e.DVR = upTo(d), upTo(time.Duration(rng.IntN(5))*d), d+upTo(10*d)
	s.Readers.Edges, s.Readers.Viewers = rng.IntN(8), rng.IntN(3)
	if rng.IntN(2) == 0 {
		s.Readers.Sites = []scenarios.Site{{Name: "near", Share: 0.4}, {Name: "far", RTT: upTo(d), Share: 0.6}}
	}
	s.Readers.Behaviour = scenarios.Behaviour{Aligned: upTo(d / 2), Early: scenarios.Share(rng.Float64()), DVR: scenarios.Share(2 * rng.Float64()), Missing: scenarios.Share(rng.Float64())}
	s.Windows.Quiet, s.Windows.Storm, s.Windows.Repeat = upTo(5*d), upTo(5*d), 1+rng.IntN(3)
	if s.Readers.Edges == 0 {
		s.Windows.Storm = 0
	}
	if s.Windows.Quiet+s.Windows.Storm == 0 {
		s.Windows.Quiet = d
	}
	if err := s.Validate(); err != nil {
		t.Fatalf("the random scenario %+v is not valid: %v", s, err)
	}
	return s
}

// Whatever the scenario: requests come in order of time, each segment is published once by each pipeline and probed once, the
// plan repeats exactly, and the plans of all shares are the plan of the whole.
func TestAnyPlan(t *testing.T) {
	t.Logf("-seed=%d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 0))
	for range 150 {
		s := random(t, rng)
		c := configure(s)
		p, requests := expand(t, c)
		if !slices.IsSortedFunc(requests, func(a, b storm.Request) int { return int(a.At - b.At) }) {
			t.Fatalf("%+v: not in order of time", s)
		}
		if len(requests) > 0 && requests[0].At < 0 {
			t.Fatalf("%+v: begins with %v, before the start", s, requests[0].At)
		}
		// The number of segments is that of the windows' time.
		end := p.Windows[len(p.Windows)-1].To
		segments := int(math.Round(float64(end)/float64(s.Event.Segment.Duration()))) - 1
		counts := map[storm.Class]int{}
		inits := 0
		for _, r := range requests {
			counts[r.Class]++
			if r.ID.Number == segment.Init {
				inits++
			}
		}
		each := s.Event.Count * len(s.Event.Renditions)
		if got, want := counts[storm.Publish], (segments+1)*each*s.Event.Pipelines; got != want || inits != each*s.Event.Pipelines {
			t.Fatalf("%+v: %d publishes, %d of them inits, want %d and %d", s, got, inits, want, each*s.Event.Pipelines)
		}
		if got, want := counts[storm.Probe], segments*each; got != want {
			t.Fatalf("%+v: %d probes, want %d", s, got, want)
		}

		again, _ := plan.New(c)
		if !slices.Equal(slices.Collect(again.Requests), requests) || !slices.Equal(slices.Collect(p.Requests), requests) {
			t.Fatalf("%+v: the plan does not repeat", s)
		}
		c.Seed++
		if other, _ := plan.New(c); slices.Equal(slices.Collect(other.Requests), requests) {
			t.Fatalf("%+v: another seed gives the same plan", s)
		}
		c.Seed--

		c.Shares = 1 + rng.IntN(4)
		whole := map[string][]storm.Request{}
		for _, r := range requests {
			whole[r.From] = append(whole[r.From], r)
		}
		for c.Share = range c.Shares {
			part, _ := plan.New(c)
			mine := map[string][]storm.Request{}
			for r := range part.Requests {
				mine[r.From] = append(mine[r.From], r)
			}
			for from, requests := range mine {
				if packs := strings.HasPrefix(from, "packager/"); c.Shares > 1 && packs != (c.Share == 0) {
					t.Fatalf("%+v: %s is in share %d of %d; the first has the packagers, and nobody else", s, from, c.Share, c.Shares)
				}
				if !slices.Equal(requests, whole[from]) {
					t.Fatalf("%+v: share %d of %d has %d requests of %s, want the %d of the whole, each client in one share", s, c.Share, c.Shares, len(requests), from, len(whole[from]))
				}
				delete(whole, from)
			}
		}
		if len(whole) > 0 {
			t.Fatalf("%+v: no share has %v", s, slices.Collect(maps.Keys(whole)))
		}
	}
}

func TestIdenticalPipelines(t *testing.T) {
	for identical, want := range map[string]bool{"true": true, "false": false} {
		_, requests := expand(t, configure(parse(t, "windows: {quiet: 4s, storm: 0s}", "event.identical="+identical)))
		sizes := map[segment.ID]int{}
		same := true
		for _, r := range requests {
			if !r.Put || r.ID.Number == segment.Init {
				continue
			}
			if before, ok := sizes[r.ID.Asked()]; ok {
				same = same && before == r.Size
			}
			sizes[r.ID.Asked()] = r.Size
		}
		if same != want {
			t.Errorf("identical: %s: the pipelines' sizes are equal: %v", identical, same)
		}
	}
}

func TestWarmUp(t *testing.T) {
	s := parse(t, "readers: {edges: 8, viewers: 0}\nevent: {renditions: {count: 2, total: 1Mbit/s}}\nfaults: [{at: storm 1, kill: publish}]")
	c := configure(s)
	c.Windows = plan.WarmUp(s, 6*time.Second)
	p, requests := expand(t, c)
	edges := map[string]int{}
	for _, r := range requests {
		if r.Class == storm.LiveEdge {
			edges[r.From]++
		}
	}
	if want := map[string]int{"edge/1": 6, "edge/5": 6}; !maps.Equal(edges, want) {
		t.Errorf("in the warm-up %v read, want every fourth edge, each of 3 segments of 2 renditions", edges)
	}
	if len(p.Faults) != 0 {
		t.Errorf("faults %v in the warm-up, want none", p.Faults)
	}
}

func TestViewers(t *testing.T) {
	s := parse(t, "readers: {edges: 3, viewers: 7, quantum: 500ms}\nevent: {renditions: {count: 2, total: 1Mbit/s}}\nwindows: {quiet: 0s, storm: 4s}")
	p, requests := expand(t, configure(s))
	live := map[string]int{}
	for _, r := range requests {
		if r.Class == storm.LiveEdge {
			live[r.From]++
		}
	}
	if want := map[string]int{"edge/1": 28, "edge/2": 28, "edge/3": 28}; !maps.Equal(live, want) {
		t.Errorf("requests at the live edge: %v, want %v: one of each viewer for 2 segments of 2 renditions", live, want)
	}
	if _, ok := p.Client("edge/1").(*client.Edge); !ok {
		t.Errorf("Client(edge/1) = %T, want a *client.Edge", p.Client("edge/1"))
	}
}

func TestClients(t *testing.T) {
	c := configure(parse(t, ""))
	p, _ := expand(t, c)
	if _, ok := p.Client("packager/event/a").(*client.Packager); !ok {
		t.Errorf("Client(packager/event/a) = %T, want a *client.Packager", p.Client("packager/event/a"))
	}
	if d, ok := p.Client("edge/1").(client.Direct); !ok || d.Again != nil {
		t.Errorf("Client(edge/1) = %T, want a client.Direct that asks once", p.Client("edge/1"))
	}
	// The probe asks until the deadline of the segment has passed, and never for what has none.
	probe := p.Client("probe/event").(client.Direct)
	id := segment.ID{Event: "event", Rendition: "r1", Number: first}
	deadline := c.Events[0].Template.Deadline(first).Sub(c.Start())
	for _, x := range []struct {
		id    segment.ID
		done  time.Duration
		again bool
	}{
		{id, deadline - time.Second, true},
		{id, deadline, false},
		{segment.ID{Event: "event", Rendition: "r1", Number: segment.Init}, time.Second, false},
		{segment.ID{Event: "other", Rendition: "r1", Number: first}, time.Second, false},
	} {
		if _, again := probe.Again(storm.Sample{Request: storm.Request{ID: x.id, Class: storm.Probe}, Status: 404, Done: x.done}); again != x.again {
			t.Errorf("after a 404 for %v at %v the probe asks again: %v, want %v", x.id, x.done, again, x.again)
		}
	}
}

func TestFaults(t *testing.T) {
	s := parse(t, `
backends: [embedded+cache]
windows: {quiet: 4s, storm: 6s, repeat: 2}
faults:
  - {at: storm 2 + 1s, stop: cache 2, for: 2s}
  - {at: quiet 2, kill: serve}
  - {at: storm 1 + 4s, reset: pipeline b}
`)
	p, requests := expand(t, configure(s))
	want := []storm.Fault{
		{At: 10 * time.Second, Do: "reset", To: "pipeline b"},
		{At: 12 * time.Second, Do: "kill", To: "serve 1"},
		{At: 17 * time.Second, Do: "stop", To: "cache 2", For: 2 * time.Second},
	}
	if !slices.Equal(p.Faults, want) {
		t.Errorf("faults %v, want %v", p.Faults, want)
	}
	s.Faults = nil
	if _, without := expand(t, configure(s)); !slices.Equal(requests, without) {
		t.Error("faults change what is planned; want them left to the executor")
	}
}

// A plan makes what it is asked for: the first requests of a day's run of many readers are there at once.
func TestLazy(t *testing.T) {
	s := parse(t, "readers: {edges: 20000}\nwindows: {quiet: 24h, storm: 24h, repeat: 1000}")
	p, err := plan.New(configure(s))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for r := range p.Requests {
		if n++; n == 10_000 {
			if r.At > time.Hour {
				t.Errorf("request %d at %v, want it within the first hour", n, r.At)
			}
			break
		}
	}
}

func TestNewRefuses(t *testing.T) {
	good := configure(parse(t, ""))
	for _, c := range []struct {
		name  string
		spoil func(c *plan.Config)
		want  string
	}{
		{"an invalid scenario", func(c *plan.Config) { c.Scenario.Readers.Edges = -1 }, "readers.edges"},
		{"no events", func(c *plan.Config) { c.Events = nil }, "0 events given"},
		{"other events", func(c *plan.Config) { c.Scenario.Event.Renditions = scenarios.Ladder(3, 1e6) }, "renditions"},
		{"an event without a clock", func(c *plan.Config) { c.Events = []config.Event{good.Events[0]}; c.Events[0].Template.Ticks = -1 }, "template"},
		{"a number before the first", func(c *plan.Config) { c.First = 0 }, "before its start number"},
		{"a share too many", func(c *plan.Config) { c.Share = 1 }, "share 1 of 1"},
		{"no windows", func(c *plan.Config) { c.Windows = []storm.Window{} }, "no windows"},
		{"windows out of order", func(c *plan.Config) {
			c.Windows = []storm.Window{{Name: "storm", From: 4e9, To: 8e9}, {Name: "quiet", From: 2e9, To: 4e9}}
		}, "window quiet from 2s to 4s"},
		{"a window that ends before it begins", func(c *plan.Config) { c.Windows = []storm.Window{{Name: "storm", From: 4e9, To: 4e9}} }, "window storm"},
	} {
		bad := good
		c.spoil(&bad)
		if _, err := plan.New(bad); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: New = %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func BenchmarkRequests(b *testing.B) {
	s, _, err := scenarios.Load("comparison")
	if err != nil {
		b.Fatal(err)
	}
	p, err := plan.New(configure(s))
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		for range p.Requests {
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/request")
}

package sim_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/storm"
	"origin-storm/storm/sim"
)

// never is longer than any plan lasts.
const never = 1000 * time.Hour

// TestFiledAndMadeAgain: whether segments are filed makes no difference to anybody. Everything is read again and again here, and filed in
// between, as soon as what is usually under way has ended.
func TestFiledAndMadeAgain(t *testing.T) {
	zones := cost.Profile{Read: []cost.Cost{{Dist: cost.Dist{P50: ms, P99: 3 * ms}}}, Write: []cost.Cost{{Dist: cost.Dist{P50: ms, P99: 3 * ms}}}}
	three := func(c *sim.Config) {
		c.Costs.Cache = zones
		c.Topology = sim.Topology{Serve: 3, Zones: 2, Store: 3, Replicas: 3}
	}
	alone := func(c *sim.Config) {}
	type test struct {
		faults string
		build  func(*sim.Config)
	}
	tests := map[string]test{
		"zones that lose the oldest":                     {"", func(c *sim.Config) { three(c); c.Topology.ZoneMemory = 20 << 20 }},
		"copies in memory":                               {"", func(c *sim.Config) { three(c); c.Topology.Hot, c.Topology.Collapse = 4<<20, true }},
		"a serving node that forgets":                    {"{at: storm 1 + 40.01s, kill: serve 1, for: 1s}, {at: storm 1 + 50s, kill: serve 2, for: 1s}, {at: storm 1 + 60s, kill: serve 3, for: 1s}", three},
		"a publishing node that forgets":                 {"{at: storm 1 + 40s, kill: publish, for: 1s}", three},
		"nodes that stand still":                         {"{at: storm 1 + 31.01s, stop: serve 1, for: 5s}, {at: storm 1 + 41.01s, stop: serve 2, for: 5s}, {at: storm 1 + 51.01s, stop: serve 3, for: 5s}, {at: storm 1 + 31s, stop: cache 1, for: 20s}", three},
		"a store that stands still":                      {"{at: storm 1 + 30s, stop: store, for: 20s}", alone},
		"zones that are emptied":                         {"{at: storm 1 + 30s, flush: cache 1}, {at: storm 1 + 40s, kill: cache 2, for: 2s}, {at: storm 1 + 50s, flush: cache 1}", three},
		"a zone that forgets":                            {"{at: storm 1 + 30s, forget: cache 1, for: 20s}", three},
		"a store that fails":                             {"{at: storm 1 + 30s, fail: store, share: 0.3, for: 20s}", alone},
		"a store that hides":                             {"{at: storm 1 + 30s, hide: store, for: 20s}", alone},
		"slates, some of which are replaced":             {"{at: storm 1 + 20s, slate: pipeline a, for: 20s}, {at: storm 1 + 30s, slate: pipeline b, for: 20s}", three},
		"other bytes under one name":                     {"{at: storm 1 + 20s, contradict: pipeline a, for: 20s}", three},
		"bodies cut short":                               {"{at: storm 1 + 20s, understate: pipeline a, for: 20s}, {at: storm 1 + 30s, shorten: pipeline b, for: 20s}", three},
		"segments that nobody publishes":                 {"{at: storm 1 + 20s, drop: pipeline a, for: 10s}, {at: storm 1 + 20s, drop: pipeline b, for: 10s}", three},
		"a clock that goes wrong":                        {"{at: storm 1 + 30s, skew: serve, by: 5s, for: 20s}", three},
		"packagers that do not wait, or do not hear":     {"{at: storm 1 + 20s, chain: pipeline a, for: 20s}, {at: storm 1 + 20s, hang-up: pipeline b, for: 20s}", three},
		"a zone that no longer answers, and a lost node": {"{at: storm 1 + 30s, slow: cache 1, for: 20s}, {at: storm 1 + 35s, kill: cassandra 2, for: 5s}", three},
	}
	for name, build := range origins {
		tests[name] = test{"", build}
	}
	for name, tt := range tests {
		for _, dvr := range []string{"1h", "30s"} {
			t.Run(name+" "+dvr, func(t *testing.T) {
				t.Parallel()
				run := func(after time.Duration) string {
					p, c := planned(t, parse(t, `
event: {renditions: {count: 2, total: 12Mbit/s}, encode: {min: 300ms, max: 600ms}, publish-delay: 1s, dvr: `+dvr+`}
readers: {edges: 4, behaviour: {aligned: 20ms, early: 0.3, dvr: 0.8, missing: 0.1}}
windows: {quiet: 2s, storm: 80s}
backends: [cassandra+cache, embedded]
origin: {serve: 3}
faults: [`+tt.faults+`]`), 1)
					c.Costs = costs()
					c.Costs.Serve.Latency.Constant = ms / 5
					tt.build(&c)
					x, err := sim.New(c)
					if err != nil {
						t.Fatal(err)
					}
					x.FileAfter(after)
					var all strings.Builder
					if err := x.Execute(t.Context(), p, recorder(func(s storm.Sample) { fmt.Fprintf(&all, "%+v\n", s) })); err != nil {
						t.Fatal(err)
					}
					fmt.Fprintf(&all, "%+v", x.Figures())
					return all.String()
				}
				got, want := strings.Split(run(time.Second), "\n"), strings.Split(run(never), "\n")
				for i := range min(len(got), len(want)) {
					if got[i] != want[i] {
						t.Fatalf("sample %d, with segments filed:\n%s\nwithout:\n%s", i, got[i], want[i])
					}
				}
				if len(got) != len(want) {
					t.Errorf("%d samples with segments filed, %d without", len(got), len(want))
				}
			})
		}
	}
}

// mostOfACopy is how much memory a copy may take that nobody asks for any more, in bytes: what is filed of it, with room to spare.
const mostOfACopy = 100

// TestMemoryOfALongEvent: what is remembered of what was published takes so little that a run may last for hours.
func TestMemoryOfALongEvent(t *testing.T) {
	if n := heapOfACopy(t, 0); n > mostOfACopy {
		t.Errorf("the heap grows by %d bytes for each copy that is published, want %d at most", n, mostOfACopy)
	}
	if n := heapOfACopy(t, never); n < 5*mostOfACopy {
		t.Errorf("without filing the heap grows by %d bytes for each copy: this test would not see it", n)
	}
}

// heapOfACopy is by how much the heap grows with each copy that is published, from a third of an event to its end.
func heapOfACopy(t *testing.T, after time.Duration) int {
	t.Helper()
	p, c := planned(t, parse(t, `
event: {renditions: {count: 8, total: 40Mbit/s}, dvr: 3h}
readers: {edges: 4, behaviour: {aligned: 20ms, early: 0.3, dvr: 0.05, missing: 0.1}}
windows: {storm: 40m}
backends: [cassandra+cache]`), 1)
	c.Costs = costs()
	c.Topology = sim.Topology{Serve: 4, Zones: 2, Store: 3, Replicas: 3}
	length, clients := p.Windows[len(p.Windows)-1].To, p.Client
	w := &weigher{from: length / 3, to: length - 4*time.Second}
	p.Client = func(from string) storm.Client { return weighed{clients(from), w} }
	x, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	x.FileAfter(after)
	if err := x.Execute(t.Context(), p, recorder(func(storm.Sample) {})); err != nil {
		t.Fatal(err)
	}
	return int(w.end-w.begin) / w.copies
}

// weigher notes how large the heap is at two instants, and how many copies are published between them.
type weigher struct {
	from, to   time.Duration
	begin, end int64
	copies     int
}

// weighed is a client that has w weigh before it does anything.
type weighed struct {
	storm.Client
	w *weigher
}

func (c weighed) Due(now time.Duration, r storm.Request, out *storm.Out) {
	w := c.w
	if now >= w.from && w.begin == 0 {
		w.begin = heap()
	}
	if now >= w.to && w.end == 0 {
		w.end = heap()
	}
	if r.Put && w.begin > 0 && w.end == 0 {
		w.copies++
	}
	c.Client.Due(now, r, out)
}

// heap is how much is reachable.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

package sim_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/sim"
)

func tier(t *testing.T, f sim.Figures, name string) sim.Tier {
	t.Helper()
	i := slices.IndexFunc(f.Tiers, func(x sim.Tier) bool { return x.Name == name })
	if i < 0 {
		t.Fatalf("no tier is called %q: %+v", name, f.Tiers)
	}
	return f.Tiers[i]
}

// oneTick is a scenario in which so many edges ask for one rendition as each segment is due, all at once, and nothing else.
const oneTick = `
event: {renditions: {count: 1, total: 8Mbit/s}, size-variation: 0, encode: {min: 100ms, max: 100ms}, publish-delay: 1s}
readers: {edges: 60, behaviour: {aligned: 0s, early: 0, dvr: 0, missing: 0}}
windows: {quiet: 2s, storm: 8s}
`

// TestBandwidthFloor: when all edges ask at one instant, the last has its segment when all bytes have passed the link, and as they share it
// fairly, so have the others.
func TestBandwidthFloor(t *testing.T) {
	p, c := planned(t, parse(t, oneTick), 1)
	c.Topology.ServeLink, c.Topology.Collapse, c.Topology.Hot = 10e9, true, 64<<20
	l, f := execute(t, p, c)
	const size = 8_000_000 / 8 * 2
	floor := time.Duration(60 * size * 8 / 10e9 * float64(time.Second))
	for _, s := range l.of(storm.LiveEdge) {
		if got := s.Service(); (got-floor).Abs() > 20*time.Microsecond && s.At.Round(ms) != s.At {
			t.Errorf("%v of %v took %v, want %v: %d bytes for each of 60 edges over 10 Gbit/s", s.ID, s.At, got, floor, size)
		}
	}
	// 96 ms of each 2 s, and nothing between.
	links := tier(t, f, "serve links")
	if got := links.Phases["storm"]; got < 0.048 || got > 0.052 {
		t.Errorf("the serve links were used to %.4f in the storm, want 0.048 and what the run's own readers take", got)
	}
	for i, got := range links.Tick {
		want := 0.0
		if i < 4 {
			want = 1
		}
		if math.Abs(got-want) > 0.1 && i != 4 && i < 50 {
			t.Errorf("at %d %% of a segment's time the links were used to %.3f, want %.0f", i, got, want)
		}
	}
	if links.Queue < 55 || links.Queue > 60 {
		t.Errorf("at most %d waited for the link, want nearly 60", links.Queue)
	}
}

// TestHeldUntilTheNextPoll: whoever is held is answered by the first poll that begins when the segment can be read, of the store alone at
// multiples of 20 ms, of a cache at multiples of 5.
func TestHeldUntilTheNextPoll(t *testing.T) {
	for _, zones := range []int{0, 1} {
		p, c := planned(t, parse(t, `
event: {renditions: {count: 2, total: 200kbit/s}, encode: {min: 100ms, max: 900ms}, publish-delay: 1s}
readers: {edges: 1}
windows: {quiet: 20s, storm: 2s}`), 1)
		every := 20 * ms
		if c.Topology.Zones = zones; zones > 0 {
			every = 5 * ms
		}
		c.Costs.Store = cost.Profile{Write: []cost.Cost{{Dist: cost.Dist{Constant: 7 * ms}}}, Read: []cost.Cost{{Dist: cost.Dist{Constant: 3 * ms}}}}
		c.Costs.Cache = cost.Profile{Read: []cost.Cost{{Dist: cost.Dist{Constant: ms}}}}
		l, _ := execute(t, p, c)
		took := 3 * ms
		if zones > 0 {
			took = ms
		}
		acknowledged := map[segment.ID]time.Duration{}
		for _, s := range l.of(storm.Publish) {
			if at, ok := acknowledged[s.ID.Asked()]; !ok || s.Done < at {
				acknowledged[s.ID.Asked()] = s.Done
			}
		}
		n := 0
		for _, s := range l.of(storm.Probe) {
			acked, ok := acknowledged[s.ID]
			if !ok || s.Match != "" || s.ID.Number == segment.Init {
				continue
			}
			n++
			want := (acked + every - 1).Truncate(every) + took
			if s.First != want {
				t.Errorf("with %d zones, %v was readable at %v and read at %v, want %v", zones, s.ID, acked, s.First, want)
			}
		}
		if n < 20 {
			t.Errorf("with %d zones %d segments were held for, want 20", zones, n)
		}
	}
}

// TestReadableBeforeItIsAnswered: what a write has put into the store is found by polls before the write is answered, by as much as the costs say.
func TestReadableBeforeItIsAnswered(t *testing.T) {
	p, c := planned(t, parse(t, `
event: {renditions: {count: 2, total: 200kbit/s}, encode: {min: 100ms, max: 900ms}, publish-delay: 1s}
readers: {edges: 1}
windows: {quiet: 20s, storm: 2s}`), 1)
	c.Costs.Store = cost.Profile{Write: []cost.Cost{{Dist: cost.Dist{Constant: 7 * ms}}}, Read: []cost.Cost{{Dist: cost.Dist{Constant: 3 * ms}}}}
	c.Costs.ReadableBefore = 5 * ms
	l, _ := execute(t, p, c)
	acknowledged := map[segment.ID]time.Duration{}
	for _, s := range l.of(storm.Publish) {
		if at, ok := acknowledged[s.ID.Asked()]; !ok || s.Done < at {
			acknowledged[s.ID.Asked()] = s.Done
		}
	}
	early := 0
	for _, s := range l.of(storm.Probe) {
		acked, ok := acknowledged[s.ID]
		if !ok || s.Match != "" || s.ID.Number == segment.Init {
			continue
		}
		want := (acked - 5*ms + 20*ms - 1).Truncate(20*ms) + 3*ms
		if s.First != want {
			t.Errorf("%v was answered at %v and read at %v, want %v", s.ID, acked, s.First, want)
		}
		if s.First < acked+3*ms {
			early++
		}
	}
	if early == 0 {
		t.Error("no segment was found before its write was answered")
	}
}

// TestIdleTakesProcessors: what nodes take of their processors unasked is taken all the time.
func TestIdleTakesProcessors(t *testing.T) {
	p, c := planned(t, parse(t, oneTick), 1)
	c.Topology.Shared = 2
	_, before := execute(t, p, c)
	c.Costs.StoreWork.Idle, c.Costs.Serve.Idle = 0.3, 0.1
	_, f := execute(t, p, c)
	const of = "shared processors"
	if got := tier(t, f, of).Phases["storm"] - tier(t, before, of).Phases["storm"]; math.Abs(got-0.2) > 0.001 {
		t.Errorf("0.4 cores of 2 taken unasked use %.3f more of them, want 0.2", got)
	}
}

// TestProcessorsAreShared: on a machine that is asked for more than it can do, all of it is used, and answers take as much longer as others
// have their share of it.
func TestProcessorsAreShared(t *testing.T) {
	p, c := planned(t, parse(t, oneTick), 1)
	c.Topology.Shared, c.Topology.Collapse, c.Topology.Hot = 2, true, 64<<20
	c.Costs.Serve.PerRequest = 10 * ms
	l, f := execute(t, p, c)
	// 60 requests of 10 ms on two cores, begun together.
	reads := l.of(storm.LiveEdge)
	if got := quantile(reads, 0.5); math.Abs(got-300) > 8 {
		t.Errorf("60 requests of 10 ms on two cores took %.1f ms, want 300", got)
	}
	if got := tier(t, f, "shared processors").Phases["storm"]; math.Abs(got-0.15) > 0.01 {
		t.Errorf("the processors were used to %.3f, want 0.15 and what the run's own reader takes", got)
	}
}

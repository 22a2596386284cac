package plan_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/client"
	"origin-storm/storm/plan"
)

// asked is who asked at the live edge, or early, in each segment's time of the storm windows.
func asked(p storm.Plan, requests []storm.Request) (ticks []map[string]int) {
	for _, w := range p.Windows {
		if w.Name != scenarios.StormPhase {
			continue
		}
		for at := w.From; at < w.To; at += 2 * time.Second {
			tick := map[string]int{}
			for _, r := range requests {
				if (r.Class == storm.LiveEdge || r.Class == storm.Early) && r.At >= at && r.At < at+2*time.Second {
					tick[r.From]++
				}
			}
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

func TestRamp(t *testing.T) {
	const src = "event: {renditions: {count: 1, total: 1Mbit/s}}\nreaders: {edges: 100, sites: [{name: ams, rtt: 0s, share: 0.5}, {name: nyc, rtt: 0s, share: 0.5}], behaviour: {aligned: 50ms}, ramp: %s}\n" +
		"windows: {quiet: 2s, storm: 10s, repeat: 2}"
	for _, c := range []struct {
		ramp string
		want []int // edges that ask in each segment's time, the publish delay of 1 s being before the first
	}{
		{"{}", []int{10, 30, 50, 70, 90, 10, 30, 50, 70, 90}},
		{"{from: 50%}", []int{55, 65, 75, 85, 95, 55, 65, 75, 85, 95}},
		{"{from: 100%, to: 0}", []int{90, 70, 50, 30, 10, 90, 70, 50, 30, 10}},
		{"{over: run}", []int{5, 14, 23, 32, 41, 59, 68, 77, 86, 95}},
		{"{from: 20%, to: 80%, steps: 2}", []int{20, 20, 80, 80, 80, 20, 20, 80, 80, 80}},
		{"{points: [{at: 0s, share: 0.1}, {at: 4s, share: 0.1}, {at: 4s, share: 1}, {at: 8s, share: 0}]}", []int{10, 10, 75, 25, 0, 10, 10, 75, 25, 0}},
	} {
		p, requests := expand(t, configure(parse(t, fmt.Sprintf(src, c.ramp))))
		ticks := asked(p, requests)
		if len(ticks) != len(c.want) {
			t.Fatalf("%d segments' time in the storms, want %d", len(ticks), len(c.want))
		}
		for i, tick := range ticks {
			sites := map[string]int{}
			for from := range tick {
				sites[strings.Split(from, "/")[1]]++
				if i > 0 && len(tick) < len(ticks[i-1]) && ticks[i-1][from] == 0 {
					t.Errorf("ramp %s: %s comes in segment %d, while others leave", c.ramp, from, i)
				}
			}
			if d := len(tick) - c.want[i]; d < -2 || d > 2 {
				t.Errorf("ramp %s: %d edges ask for segment %d of the storms, want %d", c.ramp, len(tick), i, c.want[i])
			}
			if d := sites["ams"] - sites["nyc"]; d < -4 || d > 4 {
				t.Errorf("ramp %s: segment %d is asked for from %v, want as many from either site", c.ramp, i, sites)
			}
		}
	}
}

// With viewers the edges stay what they are, and it is their viewers who come.
func TestRampOfViewers(t *testing.T) {
	p, requests := expand(t, configure(parse(t, "event: {renditions: {count: 1, total: 1Mbit/s}}\nreaders: {edges: 4, viewers: 50, ramp: {from: 10%, steps: 2}}\nwindows: {quiet: 0s, storm: 8s}")))
	for i, tick := range asked(p, requests) {
		for _, from := range []string{"edge/1", "edge/2", "edge/3", "edge/4"} {
			if want := []int{5, 5, 50, 50}[i]; tick[from] < want-2 || tick[from] > want+2 {
				t.Errorf("%d viewers of %s ask for segment %d, want %d", tick[from], from, i, want)
			}
		}
	}
}

// After an interruption ten times as many requests come as usual, and ever fewer.
func TestRestart(t *testing.T) {
	const src = `
event: {renditions: {count: 2, total: 1Mbit/s}, publish-delay: 500ms, dvr: 20s}
readers: {edges: 20, sites: [{name: far, rtt: 40ms, share: 1}], behaviour: {aligned: 50ms}, restart: {factor: 10, over: 4s}}
windows: {quiet: 4s, storm: 20s}
faults:
  - {at: storm 1 + 1s, kill: publish, for: 4s}
  - {at: storm 1 + 4s, kill: serve, for: 2300ms}
  - {at: storm 1 + 1s, drop: pipeline a}
`
	c := configure(parse(t, src))
	p, requests := expand(t, c)
	quiet := c
	quiet.Scenario.Readers.Restart = nil
	_, usual := expand(t, quiet)
	rest := slices.Clone(requests)
	for _, r := range usual {
		i := slices.Index(rest, r)
		if i < 0 {
			t.Fatalf("%+v is planned without a restart, and not with one", r)
		}
		rest = slices.Delete(rest, i, i+1)
	}
	end := p.Windows[1].From + 6300*time.Millisecond
	// One request a segment of 40 readers and renditions is 20 a second: nine times that at first, and none after 4 s.
	if want := 9.0 * 20 * 4 / 2; math.Abs(float64(len(rest))-want) > 20 {
		t.Errorf("%d requests more than usual, want about %.0f", len(rest), want)
	}
	seconds := make([]int, 5)
	numbers := map[int64]int{}
	for _, r := range rest {
		after := r.At - end - 20*time.Millisecond
		if after < 0 || after > 4*time.Second {
			t.Errorf("%v of %v at %v, %v after the interruption, want it within 4s", r.Class, r.ID, r.At, after)
			continue
		}
		seconds[int(after/time.Second)]++
		due := c.Events[0].Template.Due(r.ID.Number).Sub(c.Start())
		behind := int64((r.At - 20*time.Millisecond - due) / (2 * time.Second)) // when it left the reader
		numbers[behind]++
		if class := map[bool]storm.Class{true: storm.LiveEdge, false: storm.DVR}[behind == 0 && r.Class == storm.LiveEdge]; r.At < due || behind > 3 || class != r.Class {
			t.Errorf("%v of %v, which was due %v before, want one of the three newest segments", r.Class, r.ID, r.At-due)
		}
	}
	for i, want := range []int{157, 112, 67, 22, 0} {
		if d := seconds[i] - want; d < -15 || d > 15 {
			t.Errorf("%v requests more than usual in each second after the interruption, want 157, 112, 67, 22, 0", seconds)
			break
		}
	}
	if numbers[0] == 0 || numbers[1] == 0 || numbers[2] == 0 {
		t.Errorf("segments behind the newest that are asked for: %v, want each of three", numbers)
	}
}

// What readers are is as the mix says, wherever they stand, and whatever part of them a ramp lets ask.
func TestMix(t *testing.T) {
	s := parse(t, "readers: {edges: 200, sites: [{name: ams, rtt: 0s, share: 0.2}, {name: nyc, rtt: 0s, share: 0.8}], ramp: {from: 25%, to: 25%}, behaviour: {clients: {ffmpeg: 20%, slow: 30%, once: 50%}}}\nevent: {renditions: {count: 1, total: 1Mbit/s}}\nwindows: {quiet: 0s, storm: 4s}")
	p, requests := expand(t, configure(s))
	kinds := func(names map[string]bool) map[string]int {
		n := map[string]int{}
		for name := range names {
			switch c := p.Client(name).(type) {
			case *client.Walker:
				n["ffmpeg"]++
			case client.Direct:
				n[map[bool]string{true: "slow", false: "once"}[c.Pace > 0]]++
			}
		}
		return n
	}
	ams, asking := map[string]bool{}, map[string]bool{}
	for i := range 40 {
		ams[fmt.Sprint("edge/ams/", i+1)] = true
	}
	for _, r := range requests {
		if r.Class == storm.LiveEdge {
			asking[r.From] = true
		}
	}
	for what, names := range map[string]map[string]bool{"of ams": ams, "who ask": asking} {
		n, all := kinds(names), len(names)
		for name, share := range map[string]float64{"ffmpeg": 0.2, "slow": 0.3, "once": 0.5} {
			if want := share * float64(all); math.Abs(float64(n[name])-want) > 4 {
				t.Errorf("of %d readers %s %v, want about %.0f %s", all, what, n, want, name)
			}
		}
	}
}

// An edge is the cache that the scenario names, is purged when an interruption ends, and its viewers do what they do.
func TestCaches(t *testing.T) {
	s := parse(t, `
event: {renditions: {count: 1, total: 1Mbit/s}}
readers: {edges: 1, viewers: 3, cache: nginx, behaviour: {clients: dash.js}, restart: {factor: 2, over: 2s}}
windows: {quiet: 0s, storm: 8s}
faults: [{at: storm 1 + 1s, kill: publish, for: 2s}]
`)
	p, err := plan.New(configure(s))
	if err != nil {
		t.Fatal(err)
	}
	e := p.Client("edge/1")
	ask := func(at time.Duration, n int64) (out storm.Out) {
		r := storm.Request{At: at, Began: at, From: "edge/1", Class: storm.LiveEdge}
		r.ID.Event, r.ID.Rendition, r.ID.Number = "event", "r1", n
		e.Due(at, r, &out)
		return out
	}
	first := ask(0, 1)
	if len(first.Sends) != 1 {
		t.Fatalf("the first request: %+v, want it sent", first)
	}
	if second := ask(10*time.Millisecond, 1); len(second.Waits) != 1 || second.Waits[0].At != 510*time.Millisecond {
		t.Errorf("the second request: %+v, want it to look again after 500 ms, as nginx does", second)
	}
	var out storm.Out
	e.Done(storm.Sample{Request: first.Sends[0], Status: 404, Done: 20 * time.Millisecond}, &out)
	if len(out.Waits) != 1 || out.Waits[0].At != 1020*time.Millisecond {
		t.Errorf("after a 404: %+v, want it asked for again after 1 s, as dash.js does", out)
	}
	out.Reset()
	again := ask(30*time.Millisecond, 2)
	e.Done(storm.Sample{Request: again.Sends[0], Status: 200, Fresh: time.Hour, Done: 40 * time.Millisecond}, &out)
	end := p.Windows[0].From + 3*time.Second
	if kept := ask(end-1, 2); len(kept.Samples) != 1 || len(kept.Sends) != 0 {
		t.Errorf("before the interruption ends: %+v, want a hit", kept)
	}
	if cold := ask(end, 2); len(cold.Sends) != 1 {
		t.Errorf("when the interruption ends: %+v, want it sent", cold)
	}
}

// TestFaultsOfReaders: how many requests for segments come in each segment's time, of 100 edges for one rendition, when a fault befalls
// them for 4 s, and whose they are.
func TestFaultsOfReaders(t *testing.T) {
	const src = "event: {renditions: {count: 1, total: 1Mbit/s}}\nreaders: {edges: 100, behaviour: {aligned: 50ms}}\n" +
		"windows: {quiet: 0s, storm: 14s}\nbackends: [embedded]\n"
	_, before := expand(t, configure(parse(t, src)))
	for _, tt := range []struct {
		fault string
		want  []int
		first time.Duration // of the requests of the second segment's time of the fault, after the tick
	}{
		{"skew: readers, by: 300ms", []int{100, 100, 100, 100, 100, 100, 100}, 300 * time.Millisecond},
		{"redirect: readers, by: 3", []int{100, 300, 300, 100, 100, 100, 100}, 0},
		// Those who have their key again, a second after a tick, ask for three segments each at once.
		{"withhold: readers", []int{100, 0, 300, 100, 100, 100, 100}, time.Second},
		{"withhold: readers, share: 0.4", []int{100, 60, 180, 100, 100, 100, 100}, 0},
	} {
		p, requests := expand(t, configure(parse(t, src+"faults: [{at: storm 1 + 2s, "+tt.fault+", for: 4s}]\n")))
		if !slices.IsSortedFunc(requests, func(a, b storm.Request) int { return int(a.At - b.At) }) {
			t.Errorf("%s: the plan is not in order of time", tt.fault)
		}
		from := p.Windows[0].From + time.Second // the publish delay
		got, first := make([]int, 7), time.Duration(-1)
		for _, r := range requests {
			if r.Put || !r.Class.Reads() {
				continue
			}
			n := int((r.At - from) / (2 * time.Second))
			if got[n]++; n == 2 && first < 0 {
				first = r.At - from - 4*time.Second
			}
		}
		for i := range got {
			if d := got[i] - tt.want[i]; d < -3 || d > 3 { // a share picks about so many
				t.Errorf("%s: %v requests by segment, want %v", tt.fault, got, tt.want)
				break
			}
		}
		if first < tt.first || first > tt.first+50*time.Millisecond {
			t.Errorf("%s: the first request comes %v after the tick, want %v", tt.fault, first, tt.first)
		}
		for _, r := range before {
			if during := r.At >= from+2*time.Second && r.At < from+7*time.Second; !during && !slices.Contains(requests, r) {
				t.Errorf("%s: the request of %s at %v is another while no fault lasts", tt.fault, r.From, r.At)
				break
			}
		}
	}
}

package capacity

import (
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/scenarios"
	"origin-storm/storm/sim"
	"origin-storm/storm/sim/profiles"
)

// finderOf is a finder for an event of 0.8 Gbit/s at each region's origin.
func finderOf(t *testing.T, set ...string) (*finder, job) {
	t.Helper()
	const src = "name: small\nevent: {renditions: {count: 40, total: 80Mbit/s}}\naudience: {viewers: 100k, fillers: 10, edges: 1000}\nbackends: [cassandra+cache]\n" +
		"deployment: {serve: {link: 500Mbit/s}, cache: {link: 500Mbit/s}, store: {link: 5Gbit/s}, publish: {link: 2Gbit/s}}"
	s, err := scenarios.Parse("small.yaml", []byte(src), set...)
	if err != nil {
		t.Fatal(err)
	}
	p := profiles.Default()
	b := p.Backends["cassandra+cache"]
	b.Costs.Serve = sim.Demand{PerRequest: 500 * time.Microsecond, PerMiB: 2 * time.Millisecond} // whatever the built-in one says, it is work
	p.Backends["cassandra+cache"] = b
	f, err := newFinder(Config{Scenario: s, Profile: &p})
	if err != nil {
		t.Fatal(err)
	}
	j := job{backend: s.Backends[0], fillers: s.Readers.Edges, rate: 1, replicas: 3}
	j.nodes = count(f.tiers(j.backend, load{f.reads(j), 1}))
	return f, j
}

// More of everything is never worse.
func TestMoreNodesAreNeverWorse(t *testing.T) {
	for _, kind := range []string{serve, cache, store, publish} {
		f, j := finderOf(t)
		last := 0.0
		for n := 3; n < 100; n += 3 {
			j.nodes = changed(j.nodes, kind, n)
			room, _, _ := f.room(j.backend, load{f.reads(j), 1}, j.nodes)
			if room < last {
				t.Errorf("with %d %s nodes there is %v times the room, with fewer %v", n, kind, room, last)
			}
			last = room
		}
	}
	f, j := finderOf(t)
	last := 0
	for reads := 1e9; reads < 1e12; reads *= 1.5 { // and more load never takes fewer nodes
		n, _ := f.tiers(j.backend, load{reads, 1})[1].nodes()
		if n < last {
			t.Errorf("%.3g bit/s take %d serving nodes, less %d", reads, n, last)
		}
		last = n
	}
}

// What has least room gives way first; with that doubled, the next one does.
func TestGiving(t *testing.T) {
	for _, c := range []struct {
		name string
		set  []string
		want []string
	}{
		{"serving links, until the cache's are less", []string{"deployment.serve.nodes=3", "deployment.cache.nodes=9"}, []string{"serve links", "serve links", "cache links"}},
		{"the cache's links", []string{"deployment.serve.nodes=60", "deployment.cache.nodes=3"}, []string{"cache links", "cache links", "cache links"}},
		{"the backbone is not doubled", []string{"deployment.serve.nodes=60", "deployment.cache.nodes=60", "deployment.backbone=1500Mbit/s"}, []string{"backbone links"}},
		{"processors", []string{"deployment.serve.nodes=3", "deployment.serve.cores=1", "deployment.serve.link=50Gbit/s", "deployment.cache.nodes=60"}, []string{"serve processors", "serve processors", "cache links"}},
	} {
		f, j := finderOf(t, c.set...)
		var got []string
		last := 0.0
		for _, g := range f.giving(j) {
			got = append(got, called(g.tier, g.use.name))
			if g.limit < last {
				t.Errorf("%s: %v gives way at %v times the load, after something at %v", c.name, got, g.limit, last)
			}
			last = g.limit
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %v give way, want %v", c.name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %v give way, want %v", c.name, got, c.want)
				break
			}
		}
	}
}

// A threshold that does not hold below the limit is what breaks.
func TestBroke(t *testing.T) {
	f, j := finderOf(t)
	g := f.giving(j)[0]
	found := func(broken bool) *simulated { return &simulated{broken: broken, Point: Point{Why: "a threshold"}} }
	for _, c := range []struct {
		name           string
		between, limit *simulated
		holds, breaks  float64
	}{
		{"nothing looked at", nil, nil, g.limit, g.limit},
		{"all holds at the limit", nil, found(false), g.limit, g.limit},
		{"only at the limit", found(false), found(true), g.between(), g.limit},
		{"before it", found(true), found(true), 1, g.between()},
	} {
		b := f.broke(1, g, c.between, c.limit)
		if fails := c.limit != nil && c.limit.broken; b.Holds != c.holds || b.Breaks != c.breaks || (b.Why == "a threshold") != fails {
			t.Errorf("%s: broke = %+v, want from %v to %v", c.name, b, c.holds, c.breaks)
		}
	}
}

// Prices are what the scenario says, and nothing otherwise.
func TestPrices(t *testing.T) {
	b := Backend{Tiers: []Tier{{Name: backbone}, {Name: serve, Nodes: 6}, {Name: cache, Nodes: 9}, {Name: store, Nodes: 6}, {Name: publish, Nodes: 3}}}
	f, _ := finderOf(t)
	if got := f.prices(b); got != nil {
		t.Errorf("prices %+v without any given", got)
	}
	f, _ = finderOf(t, "deployment.prices={currency: EUR, per: hour, serve: 1.5}")
	got := f.prices(b)
	if len(got) != 4 {
		t.Fatalf("prices of %d kinds, want one of each kind of node", len(got))
	}
	if want := (Price{Tier: serve, Nodes: 12, PerNode: 1.5, Total: 18, Currency: "EUR", Per: "hour"}); got[0] != want {
		t.Errorf("serve costs %+v, want %+v: of both regions", got[0], want)
	}
}

// Without a zone, as many store nodes are dead as are in one, and each value has a replica on no more of them than it has in a zone.
func TestZone(t *testing.T) {
	for _, c := range []struct {
		name            string
		zones, replicas int
		nodes           int
		down            []int
		left            int
		says            string
	}{
		{"three of three", 3, 3, 6, []int{0, 3}, 4, "all 2 replicas that may be left of 3"},
		{"five of five", 5, 5, 10, []int{0, 5}, 8, "by 3 of the 4 replicas"},
		{"two zones", 2, 3, 4, []int{0, 2}, 2, "cannot be written"},
		{"two replicas", 2, 2, 4, []int{0, 2}, 2, "cannot be written"},
		{"nodes that zones cannot share evenly", 3, 3, 7, []int{0, 3}, 5, "all 2 replicas"},
		{"one replica", 3, 1, 6, nil, 4, "is lost"},
	} {
		f, j := finderOf(t)
		f.deployment.Zones, f.deployment.Replicas = c.zones, c.replicas
		j.replicas, j.nodes = c.replicas, counts{store: c.nodes, serve: 6}
		got, how := f.zone(j)
		if !slices.Equal(got.down, c.down) || got.nodes[store] != c.left || !strings.Contains(how, c.says) {
			t.Errorf("%s: %v are down, %d left, %q, want %v, %d, %q", c.name, got.down, got.nodes[store], how, c.down, c.left, c.says)
		}
		for first := range c.nodes {
			gone := 0
			for i := range c.replicas {
				if slices.Contains(got.down, (first+i)%c.nodes) {
					gone++
				}
			}
			if most := (c.replicas + c.zones - 1) / c.zones; gone > most {
				t.Errorf("%s: %d replicas of what is on node %d are gone, want %d at most", c.name, gone, first, most)
			}
		}
	}
}

// A write that gets slower from segment to segment is no steady state, nor is a part that is never idle.
func TestCheck(t *testing.T) {
	quiet := simulated{writes: []float64{30, 31, 29, 30, 30, 31}}
	plus := func(more ...float64) (all []float64) {
		for i, x := range quiet.writes {
			all = append(all, x+more[i])
		}
		return all
	}
	busy := func(least float64) []Tick { return []Tick{{Tier: "serve links", Used: []float64{1, 0.95, least}}} }
	for _, c := range []struct {
		name    string
		target  simulated
		settled bool
	}{
		{"as in quiet", simulated{writes: quiet.writes, ticks: busy(0)}, true},
		{"slower alike", simulated{writes: plus(5, 6, 5, 5, 5, 6), ticks: busy(0)}, true},
		{"slower and slower", simulated{writes: plus(1, 2, 3, 10, 11, 12), ticks: busy(0)}, false},
		{"slower by nothing", simulated{writes: plus(0, 0, 0, 0.01, 0.01, 0.01), ticks: busy(0)}, true},
		{"never idle", simulated{writes: quiet.writes, ticks: busy(0.9)}, false},
		{"polls", simulated{writes: quiet.writes, ticks: busy(0.5)}, true},
		{"too few segments", simulated{writes: quiet.writes[:2], ticks: busy(0)}, false},
	} {
		if got := check(c.target, quiet); got.Settled != c.settled || got.Text == "" {
			t.Errorf("%s: %+v, want settled %v", c.name, got, c.settled)
		}
	}
}

// Windows have as many segments as it takes for 600 writes, but no more than readers can make a bounded number of requests in.
func TestSegments(t *testing.T) {
	for _, c := range []struct {
		renditions string
		fillers    int
		want       int
	}{{"40", 10, 8}, {"3", 4, 100}, {"50", 800, 6}, {"50", 1200, 4}, {"3", 40_000, 4}} {
		f, _ := finderOf(t, "event.renditions={count: "+c.renditions+", total: 80Mbit/s}")
		if got := f.segments(c.fillers); got != c.want {
			t.Errorf("with %s renditions and %d fillers a window has %d segments, want %d", c.renditions, c.fillers, got, c.want)
		}
	}
}

package capacity

import (
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
	g.factors = []float64{1.2, 1.5}
	for _, c := range []struct {
		first, second bool
		holds, breaks float64
	}{{false, false, g.limit, g.limit}, {false, true, 1.2, 1.5}, {true, true, 1, 1.2}, {true, false, 1, 1.2}} {
		at := []simulated{{broken: c.first, Point: Point{Why: "a threshold"}}, {broken: c.second, Point: Point{Why: "a threshold"}}}
		b := f.broke(1, g, at)
		if b.Holds != c.holds || b.Breaks != c.breaks || (b.Why == "a threshold") != (c.first || c.second) {
			t.Errorf("broke with thresholds broken %v, %v = %+v, want from %v to %v", c.first, c.second, b, c.holds, c.breaks)
		}
	}
}

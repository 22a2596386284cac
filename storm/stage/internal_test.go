package stage

import (
	"context"
	"slices"
	"testing"

	"origin-storm/origin"
	"origin-storm/origin/config"
	"origin-storm/origin/servers"
	"origin-storm/scenarios"
	"origin-storm/storm/record"
)

// Servers that are running already are used as they are, and stand-ins take the place of nothing that was given.
func TestGivenServers(t *testing.T) {
	at := Addresses{Cassandra: []string{"127.0.0.1:9042"}}
	s := scenarios.Default()
	s.Backends = []scenarios.Backend{scenarios.NewBackend("cassandra"), scenarios.NewBackend("cassandra+cache")}
	for _, zones := range [][]string{nil, {"127.0.0.1:11211", "127.0.0.1:11212"}} {
		at.Memcached = zones
		g := &rig{cfg: Config{Scenario: s, Servers: servers.Embedded, At: at, Command: []string{"origin-storm"}, Progress: func(Progress) {}}}
		r := g.run(g.cfg)
		down, err := g.servers(t.Context(), r)
		if err != nil {
			t.Fatalf("servers beside Cassandra at %v and memcached at %v: %v", at.Cassandra, zones, err)
		}
		defer down()
		arms := r.arms()
		var names []string
		for _, a := range arms {
			names = append(names, a.Name)
		}
		if want := []string{"cassandra", "cassandra+cache"}; !slices.Equal(names, want) {
			t.Errorf("arms with Cassandra at %v and memcached at %v: %v, want %v", at.Cassandra, zones, names, want)
		}
	}
}

func TestGivenZones(t *testing.T) {
	u := &uplift{
		backends: &backends{at: Addresses{Memcached: []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}}},
		be:       scenarios.Backend{Name: "embedded+cache", Store: scenarios.Embedded, Cache: true, Zones: 2},
		prefix:   "run",
	}
	var cfg config.Backend
	if err := u.cache(context.Background(), nil, &cfg); err != nil {
		t.Fatal(err)
	}
	if len(cfg.Zones) != 2 || cfg.Zones[1].Kind != "memcached" || cfg.Zones[1].Addresses[0] != "127.0.0.1:2" || cfg.Zones[1].Namespace != "run" {
		t.Errorf("cache zones %+v, want the first two addresses under the run's own prefix", cfg.Zones)
	}
	if got, want := u.facts.Servers, []string{"memcached x2 at 127.0.0.1:1, 127.0.0.1:2"}; !slices.Equal(got, want) {
		t.Errorf("servers of the report: %q, want %q", got, want)
	}
}

// Counts belong to nodes by name: a node that is gone in the end, or began anew, spoils no other's.
func TestCacheFigures(t *testing.T) {
	node := func(name string, published, reads int64) origin.Stats {
		s := origin.Stats{Node: name, Store: &origin.StoreStats{Reads: reads, ReadBytes: 10 * reads}}
		if published > 0 {
			s.Publish = &origin.PublishStats{Bytes: published}
			return s
		}
		s.Serve = &origin.ServeStats{}
		return s
	}
	before := []origin.Stats{node("publish-1", 1000, 0), node("serve-1", 0, 50), node("serve-2", 0, 70), node("serve-3", 0, 90)}
	after := []origin.Stats{node("publish-1", 3000, 0), node("serve-2", 0, 100), node("serve-3", 0, 5)}
	c := cacheCounts(before, after).Cache(&record.Backend{})
	if want := int64(30 + 5); c.StoreReads != want {
		t.Errorf("store reads %d, want %d: 30 of serve-2, and 5 of serve-3 since it was restarted", c.StoreReads, want)
	}
	if c.StoreBytes == nil || *c.StoreBytes != 350.0/2000 {
		t.Errorf("store bytes per published byte %v, want 0.175", c.StoreBytes)
	}
}

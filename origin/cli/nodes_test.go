package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/contract"
	"origin-storm/origin/segment"
)

// cluster is a store process with a durable store and two cache zones, and a node as all that stand over it are configured.
func cluster(t *testing.T, renditions ...string) config.Node {
	t.Helper()
	store, _ := start(t, config.Node{Role: config.Store, Host: config.Host{Listen: "127.0.0.1:0", Stores: []config.HostedStore{
		{Name: "segments", Store: config.StoreAt{Kind: "pebble", Dir: t.TempDir()}},
		{Name: "zone1", Store: config.StoreAt{Kind: "mem", Limit: 64 << 20}},
		{Name: "zone2", Store: config.StoreAt{Kind: "mem", Limit: 64 << 20}},
	}}})
	at := func(name string) config.StoreAt {
		return config.StoreAt{Kind: "remote", Addresses: []string{store.Host}, Namespace: name}
	}
	return config.Node{
		Publish: "127.0.0.1:0", Serve: "127.0.0.1:0", Operator: "127.0.0.1:0",
		Events: []config.Event{{
			Name: "ev", Pipelines: []string{"a", "b"}, Renditions: config.Renditions(renditions...),
			Template: segment.Template{Start: time.Unix(0, 0).UTC(), PublishDelay: time.Second},
		}},
		Backend: config.Backend{Store: at("segments"), Zones: []config.StoreAt{at("zone1"), at("zone2")}, ChunkSize: 1000},
		Serving: config.Serving{Hot: 1 << 20, Collapse: true},
	}
}

// startAs starts the node in a role.
func startAs(t *testing.T, n config.Node, role config.Role, name string) (config.Ready, func() error) {
	t.Helper()
	n.Role, n.Name = role, name
	if role == config.Serve {
		slices.Reverse(n.Backend.Zones) // the nearest zone of one is the farthest of the other
	}
	return start(t, n)
}

// Two publish nodes are given different bytes for one name, in either order and at once, many times over: serve nodes that
// read all the while give one copy or the other whole, and within 5 s the same.
func TestNodesAgree(t *testing.T) {
	t.Parallel()
	ladder := []string{"v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8"}
	n := cluster(t, ladder...)
	target := contract.Target{Event: "ev", Pipelines: n.Events[0].Pipelines, Renditions: ladder, Template: n.Events[0].Template}
	for i := range 2 {
		publish, _ := startAs(t, n, config.Publish, fmt.Sprint("p", i))
		serve, _ := startAs(t, n, config.Serve, fmt.Sprint("s", i))
		target.Publish = append(target.Publish, "http://"+publish.Publish)
		target.Serve = append(target.Serve, "http://"+serve.Serve)
	}
	cases := slices.DeleteFunc(contract.Cases(), func(c contract.Case) bool { return !slices.Contains([]string{"D2", "D3"}, c.Row) })
	results, err := contract.Run(t.Context(), target, slices.Repeat(cases, 6))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Skipped != "" {
			t.Errorf("%s was skipped: %s", r.Row, r.Skipped)
		}
		for _, f := range r.Findings {
			t.Errorf("%s (%s): %v", r.Row, r.Says, f)
		}
	}
}

// A node that comes back knows what it must: which copies stand, what can be read, and what is held when.
func TestNodesRestart(t *testing.T) {
	t.Parallel()
	n := cluster(t, "v")
	number := n.Events[0].Template.Next(time.Now()) - 2
	path := func(pipeline string, number int64) string { return fmt.Sprintf("/ev/%sv/%d.m4s", pipeline, number) }
	first, other := strings.Repeat("first ", 500), strings.Repeat("other ", 500)

	publish, stopPublish := startAs(t, n, config.Publish, "p")
	serve, stopServe := startAs(t, n, config.Serve, "s")
	if code, said := request(t, "PUT", "http://"+publish.Publish+path("b/", number), strings.NewReader(first)); code != 201 {
		t.Fatalf("PUT: %d %s, want 201", code, said)
	}
	for what, stop := range map[string]func() error{"publish": stopPublish, "serve": stopServe} {
		if err := stop(); err != nil {
			t.Fatalf("stopping the %s node: %v", what, err)
		}
	}

	publish, _ = startAs(t, n, config.Publish, "p")
	serve, _ = startAs(t, n, config.Serve, "s")
	for body, want := range map[string]int{first: 200, other: 200} { // 201 would say that it stands now
		if code, said := request(t, "PUT", "http://"+publish.Publish+path("b/", number), strings.NewReader(body)); code != want {
			t.Errorf("PUT of %.5s… after a restart: %d %s, want %d", body, code, said, want)
		}
	}
	if code, got := request(t, "GET", "http://"+serve.Serve+path("", number), nil); code != 200 || got != first {
		t.Errorf("GET after a restart: %d with %.5s… (%d bytes), want 200 with what was published first", code, got, len(got))
	}
	if code, _ := request(t, "GET", "http://"+serve.Serve+path("", number+1000), nil); code != 404 {
		t.Errorf("GET of what is to come, after a restart: %d, want 404", code)
	}
}

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/origin"
	"origin-storm/origin/config"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/remote"
)

// answered is a response that was read to its end.
type answered struct {
	code   int
	header http.Header
	body   string
}

// ask sends one request; header holds pairs of name and value.
func ask(t *testing.T, method, url, body string, header ...string) answered {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return answered{res.StatusCode, res.Header, string(b)}
}

// TestControlReachesEveryNode: what packagers and an operator say on two publishing nodes is in force on both serving nodes within
// a second, survives that every process is started anew, and is never kept in a cache.
func TestControlReachesEveryNode(t *testing.T) {
	dir := t.TempDir()
	storing := config.Node{Role: config.Store, Host: config.Host{Listen: "127.0.0.1:0", Stores: []config.HostedStore{
		{Name: "segments", Store: config.StoreAt{Kind: "pebble", Dir: dir}},
		{Name: "zone", Store: config.StoreAt{Kind: "mem", Limit: 1 << 20}},
	}}}
	evs, number := events()
	names := []string{"p1", "p2", "s1", "s2"}
	var store config.Ready
	var stopStore func() error
	nodes, stops := map[string]config.Ready{}, map[string]func() error{}
	startAll := func() {
		store, stopStore = start(t, storing)
		for _, name := range names {
			n := config.Node{
				Role: config.Publish, Name: name, Publish: "127.0.0.1:0", Serve: "127.0.0.1:0", Operator: "127.0.0.1:0", Events: evs, Writers: []string{"p1", "p2"},
				Backend: config.Backend{
					Store: config.StoreAt{Kind: "remote", Addresses: []string{store.Host}, Namespace: "segments"},
					Zones: []config.StoreAt{{Kind: "remote", Addresses: []string{store.Host}, Namespace: "zone"}},
				},
				Serving: config.Serving{Hot: 1 << 20, Collapse: true},
			}
			if strings.HasPrefix(name, "s") {
				n.Role = config.Serve
			}
			nodes[name], stops[name] = start(t, n)
		}
	}
	stopAll := func() {
		for _, name := range names {
			if err := stops[name](); err != nil {
				t.Errorf("%s: run returned %v, want nil", name, err)
			}
		}
		if err := stopStore(); err != nil {
			t.Errorf("store: run returned %v, want nil", err)
		}
	}
	control := func(node, what, body string) answered {
		return ask(t, "POST", fmt.Sprintf("http://%s/events/ev/%s", nodes[node].Operator, what), body, "Content-Type", "application/json")
	}
	segment := func(node string) answered {
		return ask(t, "GET", fmt.Sprintf("http://%s/ev/v/%d.m4s", nodes[node].Serve, number), "")
	}

	startAll()
	for i, pipeline := range []string{"a", "b"} {
		url := fmt.Sprintf("http://%s/ev/%s/v/%d.m4s", nodes[names[i]].Publish, pipeline, number)
		if a := ask(t, "PUT", url, pipeline, "Origin-Notices", fmt.Sprintf("by-%s;from=%d", pipeline, number)); a.code != 201 {
			t.Fatalf("PUT %s = %d %s, want 201", url, a.code, a.body)
		}
	}
	for _, name := range []string{"s1", "s2"} {
		if a := segment(name); a.code != 200 || a.body != "a" {
			t.Fatalf("GET of %s = %d %s, want a's copy", name, a.code, a.body)
		}
		if a := control(name, "masks", "{}"); a.code != 400 {
			t.Errorf("a mask that says nothing, on %s: %d %s, want 400", name, a.code, a.body)
		}
		if a := control(name, "cache-version", "{}"); a.code != 409 || !strings.Contains(a.body, "p1, p2") {
			t.Errorf("a change on %s, which is no writer: %d %s, want 409 and who is", name, a.code, a.body)
		}
	}

	// Several changes, so that one moment at which the machine has other things to do does not decide.
	var took []time.Duration
	for i := range 5 {
		began := time.Now()
		if a := control(names[i%2], "cache-version", "{}"); a.code != 200 {
			t.Fatalf("cache-version: %d %s, want 200", a.code, a.body)
		}
		for _, name := range []string{"s1", "s2"} {
			until(t, "the change has reached "+name, func() bool {
				return segment(name).header.Get(origin.HeaderCacheVersion) == fmt.Sprint(i+1)
			})
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("two serving nodes had a change after %v", took)
	if took[len(took)/2] > time.Second {
		t.Errorf("two serving nodes had a change after %v, want within a second", took)
	}

	if a := control("p1", "masks", fmt.Sprintf(`{"pipeline": "a", "from": %d, "to": %d}`, number, number)); a.code != 200 {
		t.Fatalf("masks: %d %s, want 200", a.code, a.body)
	}
	for _, name := range []string{"s1", "s2"} {
		until(t, "the mask has reached "+name, func() bool { return segment(name).body == "b" })
	}
	check := func(when string) {
		t.Helper()
		for _, name := range []string{"s1", "s2"} {
			a := segment(name)
			notices := fmt.Sprintf("by-a;from=%d, by-b;from=%d", number, number)
			if a.body != "b" || a.header.Get(origin.HeaderNotices) != notices || a.header.Get(origin.HeaderCacheVersion) != "5" {
				t.Errorf("%s: GET of %s = %d %q %v, want b's copy with both notices and version 5", when, name, a.code, a.body, a.header)
			}
		}
	}
	check("before")
	for name, want := range map[string]error{"segments": nil, "zone": kv.ErrNotFound} {
		db, err := remote.Open(remote.Config{Address: store.Host, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Table(commits).Get(t.Context(), kv.Key{Part: "control/ev", Name: "p1"}); !errors.Is(err, want) {
			t.Errorf("Get of the document in %s = %v, want %v", name, err, want)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	stopAll()
	startAll()
	check("after every process was started anew") // from the first answer on
	var view origin.EventControl
	if err := json.Unmarshal([]byte(ask(t, "GET", "http://"+nodes["s2"].Operator+"/events/ev/control", "").body), &view); err != nil {
		t.Fatal(err)
	}
	if len(view.Documents) != 2 || len(view.Masks) != 1 || view.CacheVersion != 5 {
		t.Errorf("control = %+v, want a document of each writer, one mask, version 5", view)
	}
	if a := ask(t, "GET", "http://"+nodes["s2"].Operator+"/readyz", ""); a.code != 200 {
		t.Errorf("/readyz = %d %s, want 200", a.code, a.body)
	}
	stopAll()
}

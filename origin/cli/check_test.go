package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/contract"
	"origin-storm/origin/segment"
)

// check runs `origin check` and returns what it printed.
func check(t *testing.T, args ...string) (string, error) {
	t.Helper()
	c := checkCommand()
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetArgs(args)
	c.SilenceErrors, c.SilenceUsage = true, true
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

// The contract is kept in real time by processes that share a store and a cache zone: two that publish and two that serve.
func TestCheck(t *testing.T) {
	t.Parallel()
	store, _ := start(t, config.Node{Role: config.Store, Host: config.Host{Listen: "127.0.0.1:0", Stores: []config.HostedStore{
		{Name: "segments", Store: config.StoreAt{Kind: "mem"}},
		{Name: "zone", Store: config.StoreAt{Kind: "mem", Limit: 64 << 20}},
	}}})
	node := config.Node{
		Publish: "127.0.0.1:0", Serve: "127.0.0.1:0", Operator: "127.0.0.1:0",
		Events: []config.Event{{
			Name: "ev", Pipelines: []string{"a", "b"}, Renditions: config.Renditions("v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8"),
			Template: segment.Template{Start: time.Unix(0, 0).UTC(), PublishDelay: time.Second}, MaxSegment: 64 << 10,
		}},
		Backend: config.Backend{
			Store: config.StoreAt{Kind: "remote", Addresses: []string{store.Host}, Namespace: "segments"},
			Zones: []config.StoreAt{{Kind: "remote", Addresses: []string{store.Host}, Namespace: "zone"}},
		},
		Writers: []string{"p1", "p2"},
		// On a machine that is busy with other tests the store is slow, and what can wait would be shed.
		Serving: config.Serving{Holds: 200, Hot: 1 << 20, Collapse: true, Stress: config.Stress{Shed: -1}},
	}
	for i := range node.Events[0].Renditions { // the suite's initialisation segments are no media, and tell nothing
		node.Events[0].Renditions[i].Kind, node.Events[0].Renditions[i].Bandwidth = config.Video, 1e6
	}
	as := func(role config.Role, name string) config.Ready {
		n := node
		n.Role, n.Name = role, name
		if name == "slow" { // every read takes longer than this
			n.Serving.Stress = config.Stress{Target: 1, PerMiB: 1, Shed: 0.01, Samples: 1}
		}
		ready, _ := start(t, n)
		return ready
	}
	publish, other, one, two := as(config.Publish, "p1"), as(config.Publish, "p2"), as(config.Serve, "s1"), as(config.Serve, "s2")
	slow := as(config.Serve, "slow")
	out, err := check(t, "--event", "ev", "--renditions", "v1,v2,v3,v4,v5,v6,v7,v8", "--max-segment", "65536", "--holds", "200", "--json", "--stressed", "http://"+slow.Serve,
		"--operator", "http://"+publish.Operator, "--publish", "http://"+publish.Publish, "--publish", "http://"+other.Publish, "--serve", "http://"+one.Serve+"/", "--serve", "http://"+two.Serve)
	if err != nil {
		t.Errorf("origin check: %v", err)
	}
	var results []contract.Result
	if err := json.Unmarshal([]byte(out), &results); err != nil {
		t.Fatalf("origin check --json: %v in %.200s", err, out)
	}
	for _, r := range results {
		for _, f := range r.Findings {
			t.Errorf("%s (%s): %v", r.Row, r.Says, f)
		}
		if r.Skipped != "" && !slices.Contains([]string{"N6", "A1", "A2", "A3"}, r.Row) { // numbers from the epoch have none before the first; there are no credentials
			t.Errorf("%s (%s) was skipped: %s", r.Row, r.Says, r.Skipped)
		}
	}
	if len(results) < 90 {
		t.Errorf("origin check has tried %d rows", len(results))
	}
}

// An origin that is down is not accused of breaking every row.
func TestCheckNobody(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	out, err := check(t, "--event", "ev", "--renditions", "v1", "--publish", gone.URL, "--serve", gone.URL)
	if want := "nobody answers at " + gone.URL; out != "" || err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("origin check of an origin that is down = %v, %q, want an error with %q and nothing printed", err, out, want)
	}
}

// What is not kept is said, and is an error.
func TestCheckBroken(t *testing.T) {
	t.Parallel()
	wrong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer wrong.Close()
	args := []string{"--event", "ev", "--renditions", "v", "--publish", wrong.URL, "--serve", wrong.URL, "--rows", "S1,N6"}
	out, err := check(t, args...)
	var bad broken
	if !errors.As(err, &bad) || len(bad.rows) != 1 || bad.rows[0] != "S1" {
		t.Errorf("origin check of a teapot: %v, want that S1 is broken", err)
	}
	for _, want := range []string{"FAIL S1", "got 418", "want 404", "skip N6", "2 rows: 0 kept, 1 broken, 1 skipped"} {
		if !strings.Contains(out, want) {
			t.Errorf("origin check of a teapot printed %q, want a part %q", out, want)
		}
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--serve", "http://192.0.2.1:80"}, "--allow-remote"},
		{[]string{"--serve", "192.0.2.1:80"}, "no base URL"},
		{[]string{"--serve", "http://me:secret@127.0.0.1:80"}, "a URL has credentials in it"},
		{[]string{"--slack", "-5s"}, "slack -5s"},
		{[]string{"--pipelines", ","}, "a name has 1 to 64 characters"},
		{[]string{"--rows", "S999"}, "S999"},
		{[]string{"--start", "yesterday"}, "--start"},
		{[]string{"--pipelines", "a"}, "two are needed"},
		{[]string{"--dvr", "10s"}, "too short"},
		{[]string{"--ca", "nowhere.pem"}, "nowhere.pem"},
	} {
		_, err := check(t, append(args[:len(args):len(args)], tt.args...)...)
		var u usage
		if !errors.As(err, &u) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("origin check %v: %v, want an error of usage with %q", tt.args, err, tt.want)
		}
	}
}

// The clock and the renditions can be read from the event's MPD.
func TestCheckMPD(t *testing.T) {
	const doc = `<MPD availabilityStartTime="2026-06-01T19:00:01Z"><Period><AdaptationSet>
		<SegmentTemplate timescale="60000" duration="120120" startNumber="7" media="$RepresentationID$/$Number$.m4s"/>
		<Representation id="v1"/><Representation id="v2"/></AdaptationSet></Period></MPD>`
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ev/live.mpd" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(doc))
	}))
	defer origin.Close()
	f := checkFlags{target: contract.Target{Serve: []string{origin.URL}, Event: "ev", Client: origin.Client()}}
	if err := f.readMPD(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := segment.Template{Start: time.Date(2026, 6, 1, 19, 0, 1, 0, time.UTC), StartNumber: 7, Ticks: 120120, Timescale: 60000}
	if got := f.target.Template; got != want || strings.Join(f.target.Renditions, " ") != "v1 v2" {
		t.Errorf("the template of the MPD = %+v with renditions %v, want %+v with v1 and v2", got, f.target.Renditions, want)
	}
	f.target.Event = "other"
	if err := f.readMPD(t.Context()); err == nil || !strings.Contains(err.Error(), "--start") {
		t.Errorf("without an MPD: %v, want an error that names the flags to give", err)
	}
}

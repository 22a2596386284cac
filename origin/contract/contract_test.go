package contract_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/contract"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/origintest"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
)

// deployment is an origin of one publish and two serve nodes, and how the suite reaches it.
func deployment(t *testing.T, cached bool, change func(*origintest.Config)) contract.Target {
	renditions := []string{"v1", "v2", "v3", "v4"}
	start := time.Now().Add(-20 * time.Minute).Truncate(time.Second)
	cfg := origintest.Config{
		Events: []config.Event{{
			Name: "ev", Pipelines: []string{"a", "b"}, Renditions: config.Renditions(renditions...), DVR: 10 * time.Minute, MaxSegment: 64 << 10,
			Template: segment.Template{Start: start, StartNumber: 7},
		}},
		Commits: &mem.Store{}, Chunks: &mem.Store{}, ChunkSize: 1000, Network: &origintest.Network{},
		Node: "n1", Region: "east", Serving: config.Serving{Holds: 100, Hot: 1 << 20, Collapse: true},
	}
	if cached {
		cfg.Zones = []kv.Store{&mem.Store{}}
	}
	if change != nil {
		change(&cfg)
	}
	one := origintest.Start(t, cfg)
	cfg.Node = "n2"
	two := origintest.Start(t, cfg)
	return contract.Target{
		Publish: []string{one.PublishURL}, Serve: []string{one.ServeURL, two.ServeURL},
		Event: "ev", Pipelines: []string{"a", "b"}, Renditions: renditions, Template: cfg.Events[0].Template,
		DVR: cfg.Events[0].DVR, MaxSegment: cfg.Events[0].MaxSegment, Holds: cfg.Serving.Holds,
		Client: one.Client, Dial: cfg.Network.DialContext, Slack: 50 * time.Millisecond,
	}
}

// run runs the suite in virtual time.
func run(t *testing.T, cached bool, change func(*origintest.Config)) (results []contract.Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		target := deployment(t, cached, change)
		var err error
		if results, err = contract.Run(t.Context(), target, contract.Cases()); err != nil {
			t.Fatal(err)
		}
		target.Client.Transport.(*http.Transport).CloseIdleConnections()
	})
	return results
}

// The project's own origin passes.
func TestOrigin(t *testing.T) {
	for name, cached := range map[string]bool{"a store alone": false, "behind a cache": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, r := range run(t, cached, nil) {
				if r.Skipped != "" {
					t.Errorf("%s (%s) was skipped: %s", r.Row, r.Says, r.Skipped)
				}
				for _, f := range r.Findings {
					t.Errorf("%s (%s): %v", r.Row, r.Says, f)
				}
			}
		})
	}
}

// A wrong origin is found out: for each row there is one that breaks it, and the suite reports that row and what follows from it,
// and nothing else.
func TestMutants(t *testing.T) {
	broken := map[string]bool{}
	for _, m := range mutants {
		want := strings.Fields(m.rows)
		broken[want[0]] = true
		t.Run(want[0]+" "+m.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			results := run(t, false, func(cfg *origintest.Config) {
				ev := cfg.Events[0]
				w := &world{
					template: ev.Template, dvr: ev.DVR, segments: storage.New(storage.Config{Commits: cfg.Commits, Chunks: cfg.Chunks}),
					sent: map[string][]publication{}, note: map[string]int{}, at: map[string]time.Time{},
				}
				cfg.AroundPublish = w.watch
				if m.publish != nil {
					spoilt := m.publish(w)
					cfg.AroundPublish = func(h http.Handler) http.Handler { return w.watch(spoilt(h)) }
				}
				if m.serve != nil {
					cfg.AroundServe = m.serve(w)
				}
				if m.config != nil {
					m.config(cfg)
				}
			})
			var found strings.Builder
			for _, r := range results {
				if len(r.Findings) > 0 {
					got = append(got, r.Row)
					fmt.Fprintf(&found, "\n%s: %v", r.Row, r.Findings)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("rows that fail: %v, want %v%s", got, want, found.String())
			}
		})
	}
	for _, c := range contract.Cases() {
		if !broken[c.Row] {
			t.Errorf("no mutant breaks %s (%s): nothing shows that its case can fail", c.Row, c.Says)
		}
	}
}

package contract_test

import (
	"context"
	"crypto/sha256"
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
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
)

const secret = "what the packagers were given"

// deployment is an origin of two publish and two serve nodes, and a third that sheds what can wait, and how the suite reaches it.
// change spoils all nodes, each one of them; nil: not at all.
func deployment(t *testing.T, cached bool, change, each func(*origintest.Config)) contract.Target {
	renditions := []string{"v1", "v2", "v3", "v4"}
	start := time.Now().Add(-20 * time.Minute).Truncate(time.Second)
	cfg := origintest.Config{
		Events: []config.Event{{
			Name: "ev", Pipelines: []string{"a", "b"}, Renditions: config.Renditions(renditions...), DVR: 10 * time.Minute, MaxSegment: 64 << 10,
			Template: segment.Template{Start: start, StartNumber: 7, PublishDelay: 500 * time.Millisecond},
		}},
		Commits: &mem.Store{}, Chunks: &mem.Store{}, ChunkSize: 1000, Control: &mem.Store{}, Writers: []string{"n1", "n2"}, Network: &origintest.Network{},
		Credentials: []config.Credential{{Bearer: config.Secret(fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(secret))))}},
		Region:      "east", Serving: config.Serving{Holds: 100, Hot: 1 << 20, Collapse: true},
	}
	for i := range cfg.Events[0].Renditions { // what the suite publishes tells nothing of them
		cfg.Events[0].Renditions[i].Kind, cfg.Events[0].Renditions[i].Bandwidth = config.Video, 1e6
	}
	if cached {
		cfg.Zones = []kv.Store{&mem.Store{}}
	}
	if change != nil {
		change(&cfg)
	}
	nodes := make([]*origintest.Origin, 3)
	for i := range nodes {
		cfg := cfg
		cfg.Node = fmt.Sprint("n", i+1)
		if i == 2 {
			cfg.Load = func() policy.Load { return policy.Load{Stressed: true} }
		}
		if each != nil {
			each(&cfg)
		}
		nodes[i] = origintest.Start(t, cfg)
	}
	one, two, slow := nodes[0], nodes[1], nodes[2]
	return contract.Target{
		Publish: []string{one.PublishURL, two.PublishURL}, Serve: []string{one.ServeURL, two.ServeURL}, Operator: []string{one.OperatorURL, two.OperatorURL},
		Event: "ev", Pipelines: []string{"a", "b"}, Renditions: renditions, Template: cfg.Events[0].Template,
		DVR: cfg.Events[0].DVR, MaxSegment: cfg.Events[0].MaxSegment, Holds: cfg.Serving.Holds, Stressed: slow.ServeURL,
		Authorize: func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) },
		Client:    one.Client, Dial: cfg.Network.DialContext, Slack: 50 * time.Millisecond,
	}
}

// run runs the suite in virtual time.
func run(t *testing.T, cached bool, cases []contract.Case, change func(*origintest.Config)) (results []contract.Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		target := deployment(t, cached, change, nil)
		var err error
		if results, err = contract.Run(t.Context(), target, cases); err != nil {
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
			for _, r := range run(t, cached, contract.Cases(), nil) {
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
			cases := contract.Cases()
			if m.only != "" {
				cases = slices.DeleteFunc(cases, func(c contract.Case) bool { return !slices.Contains(strings.Fields(m.only), c.Row) })
			}
			results := run(t, false, cases, func(cfg *origintest.Config) {
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
				if m.operator != nil {
					cfg.AroundOperator = m.operator(w)
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

// Nodes agree also where each has a nearest zone of its own, and the zones get to know of two publications in another order than the
// store does.
func TestZonesOutOfOrder(t *testing.T) {
	for name, late := range map[string]time.Duration{
		"by a little": 8 * time.Millisecond, "by more than a write waits for": 300 * time.Millisecond, "by all that a zone is given": 990 * time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				east, west := &mem.Store{}, &mem.Store{}
				far := func(zone kv.Store) kv.Store {
					return kv.Inject(zone, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
						if op.Write {
							sleep(ctx, late)
						}
						return do(ctx)
					})
				}
				target := deployment(t, false, nil, func(cfg *origintest.Config) {
					cfg.Zones = []kv.Store{east, far(west)}
					if cfg.Node == "n2" {
						cfg.Zones = []kv.Store{west, far(east)}
					}
				})
				cases := slices.DeleteFunc(contract.Cases(), func(c contract.Case) bool { return !strings.HasPrefix(c.Row, "D") })
				results, err := contract.Run(t.Context(), target, slices.Repeat(cases, 5))
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range results {
					for _, f := range r.Findings {
						t.Errorf("%s (%s): %v", r.Row, r.Says, f)
					}
				}
				target.Client.Transport.(*http.Transport).CloseIdleConnections()
			})
		})
	}
}

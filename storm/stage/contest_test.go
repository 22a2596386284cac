package stage

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/origintest"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/live"
	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
	"origin-storm/storm/verdict/gate"
)

// contested is a scenario whose blocks have enough writes for a p50 each.
func contested(t *testing.T) scenarios.Scenario {
	t.Helper()
	s, err := scenarios.Parse(t.Name(), []byte(`
name: contest
event:
  segment: 200ms
  renditions: {count: 3, total: 300kbit/s}
  encode: {min: 10ms, max: 150ms}
  lag: 20ms
  publish-delay: 200ms
  dvr: 1m
readers: {edges: 2, behaviour: {aligned: 50ms, dvr: 0.1, missing: 0.1}}
windows: {warm-up: 1s, quiet: 0s, storm: 10s}
backends: [embedded]
`))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fake is one side made of the real handlers on a network in memory, whose store takes a time that depends on what is written.
type fake struct {
	slower  float64                         // the store's writes, 1 for as fast as the other's
	up      error                           // it does not come up
	publish func(http.Handler) http.Handler // around its publishing side
	serve   func(http.Handler) http.Handler // around its serving side
	dies    time.Duration                   // so long after it came up; 0 never
}

func (f fake) arm(t *testing.T) Arm {
	return Arm{Up: func(ctx context.Context, events []config.Event, note func(kind, text string)) (*Target, error) {
		if f.up != nil {
			return nil, f.up
		}
		store := kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			took := 500 * time.Microsecond
			if op.Write {
				h := fnv.New32a()
				h.Write([]byte(op.Key.String()))
				ms := 2 + float64(h.Sum32()%1000)/1000 // 2 to 3 ms
				took = time.Duration(ms * max(1, f.slower) * float64(time.Millisecond))
			}
			time.Sleep(took)
			return do(ctx)
		})
		o := origintest.Start(t, origintest.Config{Events: events, Commits: store, AroundPublish: f.publish, AroundServe: f.serve})
		if f.dies > 0 {
			timer := time.AfterFunc(f.dies, func() { note("death", "the store process died: killed") })
			t.Cleanup(func() { timer.Stop() })
		}
		return &Target{
			Publish: live.Target{URLs: []string{o.PublishURL}}, Serve: live.Target{URLs: []string{o.ServeURL}},
			Dial: o.Client.Transport.(*http.Transport).DialContext, Virtual: true,
			Facts: record.Backend{Provenance: "measured", Servers: []string{"handlers in memory"}},
			Close: func() error { return nil },
		}, nil
	}}
}

// hold carries a contest of two fakes out in virtual time.
func hold(t *testing.T, ctx context.Context, base, head fake, change func(*GateConfig)) (gate.Results, []gate.Quad, error) {
	t.Helper()
	s := contested(t)
	cfg := GateConfig{
		Config: Config{Seed: 3, Command: []string{"origin-storm"}, Progress: func(p Progress) { t.Log(p.Text, p.Now) }},
		Base:   Side{Name: "old", Scenario: s}, Head: Side{Name: "new", Scenario: s},
	}
	if change != nil {
		change(&cfg)
	}
	c, err := newContest(cfg)
	if err != nil {
		t.Fatalf("newContest: %v", err)
	}
	folder, err := record.Create(filepath.Join(t.TempDir(), "gate"))
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Abort()
	g := newRig(cfg.Config, folder)
	for i, f := range [2]fake{base, head} {
		c.sides[i].run = g.run([2]Side{cfg.Base, cfg.Head}[i].on(cfg.Config))
		c.sides[i].arm = f.arm(t)
	}
	err = c.hold(ctx, g)
	res := c.conclude(ctx, g)
	if err := c.write(g, &res); err != nil {
		t.Fatal(err)
	}
	return res, c.quads, err
}

// some wraps a handler so that one of n requests gets another answer.
func some(n int64, other http.HandlerFunc) func(http.Handler) http.Handler {
	var seen atomic.Int64
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if seen.Add(1)%n == 0 {
				other(w, r)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
}

// What a gate says of two sides, and when.
func TestContest(t *testing.T) {
	unwell := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	spoilt := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "00.m4s") {
				r.URL.Path = strings.Replace(r.URL.Path, "r1", "r2", 1)
			}
			h.ServeHTTP(w, r)
		})
	}
	for name, tt := range map[string]struct {
		base, head fake
		change     func(*GateConfig)
		want       gate.Outcome
		says       string // in the sentence or the reasons
		quads      int    // 0: any number
	}{
		"nothing changed":              {want: "pass", says: "cleared", quads: gate.DefaultLooks()[0]},
		"head's store is slower":       {head: fake{slower: 1.3}, want: "regress", says: "write p50 is worse by", quads: gate.DefaultLooks()[0]},
		"base's store is slower":       {base: fake{slower: 1.3}, want: "pass", quads: gate.DefaultLooks()[0]},
		"head is slowed down":          {change: func(c *GateConfig) { c.Slow = 0.2 }, want: "regress", says: "write p50 is worse by 19.8 %", quads: gate.DefaultLooks()[0]},
		"head fails now and then":      {head: fake{serve: some(20, unwell)}, want: "regress", says: "failures"},
		"base fails now and then":      {base: fake{publish: some(8, unwell), serve: some(20, unwell)}, want: gate.Invalid, says: "nothing to compare with"},
		"head serves what it must not": {head: fake{serve: spoilt}, want: gate.Damaged, says: "on head"},
		"base serves what it must not": {base: fake{serve: spoilt}, want: gate.Damaged, says: "on base"},
		"head dies":                    {head: fake{dies: 20 * time.Second}, want: gate.Invalid, says: "the store process died"},
		"base dies in the warm-up":     {base: fake{dies: 500 * time.Millisecond}, want: gate.Invalid, says: "the store process died"},
		"between two looks":            {change: func(c *GateConfig) { c.Rules.Looks = []int{2} }, want: "inconclusive", says: "2 quads were looked at, which is too few to tell anything: a metric takes at least 6"},
		"recorded":                     {change: func(c *GateConfig) { c.Record = 11 }, want: gate.Recorded, quads: 11},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				res, quads, err := hold(t, t.Context(), tt.base, tt.head, tt.change)
				if err != nil {
					t.Fatalf("hold: %v", err)
				}
				said := res.Sentence + strings.Join(res.Reasons, "; ")
				if res.Outcome != tt.want || !strings.Contains(said, tt.says) {
					t.Errorf("outcome %s (%s), want %s with %q", res.Outcome, said, tt.want, tt.says)
				}
				if tt.quads > 0 && len(quads) != tt.quads {
					t.Errorf("%d quads were measured, want %d", len(quads), tt.quads)
				}
				if code := verdict.GateCode(res.Outcome, false); (code == verdict.Passed) != slices.Contains([]gate.Outcome{"pass", "inconclusive", gate.Recorded}, tt.want) {
					t.Errorf("exit code %d of %s", code, res.Outcome)
				}
				if res.Quads != len(quads) || res.Base.Name != "old" || res.Head.Name != "new" {
					t.Errorf("results of %d quads of %q and %q, want %d of old and new", res.Quads, res.Base.Name, res.Head.Name, len(quads))
				}
			})
		})
	}
}

// A side that does not come up, or answers nothing, is an error, and no verdict.
func TestContestWithoutASide(t *testing.T) {
	down := errors.New("the publish process ended before it answered")
	gone := func(http.Handler) http.Handler { return http.NotFoundHandler() }
	for name, tt := range map[string]struct {
		base, head fake
		want       string
	}{
		"base does not come up": {base: fake{up: down}, want: "base: " + down.Error()},
		"head does not come up": {head: fake{up: down}, want: "head: " + down.Error()},
		"head takes nothing":    {head: fake{publish: gone}, want: "head: none of the first"},
		"base takes nothing":    {base: fake{publish: gone}, want: "base: none of the first"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				res, _, err := hold(t, t.Context(), tt.base, tt.head, nil)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("hold: %v, want %q", err, tt.want)
				}
				if verdict.GateCode(res.Outcome, false) == verdict.Passed {
					t.Errorf("outcome %s would pass", res.Outcome)
				}
			})
		})
	}
}

// A side that stops answering in the middle is nobody's pass, whichever it is.
func TestContestWithASideThatFallsSilent(t *testing.T) {
	silent := func(h http.Handler) http.Handler {
		begun := time.Now()
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if time.Since(begun) > 25*time.Second {
				panic(http.ErrAbortHandler)
			}
			h.ServeHTTP(w, r)
		})
	}
	for name, sides := range map[string][2]fake{
		"base's publishing": {{publish: silent}, {}}, "head's publishing": {{}, {publish: silent}},
		"base's serving": {{serve: silent}, {}}, "head's serving": {{}, {serve: silent}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				res, _, err := hold(t, t.Context(), sides[0], sides[1], nil)
				if code := verdict.GateCode(res.Outcome, true); err == nil && (code == verdict.Passed || code == verdict.Inconclusive) {
					t.Errorf("outcome %s, exit code %d: %s", res.Outcome, code, res.Sentence)
				}
			})
		})
	}
}

// Ctrl-C ends a gate with what was measured, and says so.
func TestContestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 70*time.Second)
		defer cancel()
		res, quads, err := hold(t, ctx, fake{}, fake{}, func(c *GateConfig) { c.Rules.Looks = []int{4, 100} })
		if res.Outcome != gate.Interrupted || len(quads) != 4 {
			t.Errorf("outcome %s with %d quads, %v; want interrupted with the 4 before", res.Outcome, len(quads), err)
		}
		if want := "4 quads are kept; what was measured since then would have counted at the look after 100"; !strings.Contains(res.Sentence, want) {
			t.Errorf("it says %q, want %q in it", res.Sentence, want)
		}
	})
}

// Only one side is under load at a time, and each segment is published to one of them.
func TestScheduleTakesTurns(t *testing.T) {
	s := contested(t)
	sch, err := newSchedule(s, 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := (schedule{tick: 200 * time.Millisecond, lead: 1, block: 5}); sch != want {
		t.Fatalf("newSchedule = %+v, want %+v", sch, want)
	}
	order := []gate.Side{gate.Base, gate.Head, gate.Head, gate.Base}
	events := s.Events(time.Unix(0, 0))
	var all [2]map[string]bool
	for side := range all {
		all[side] = map[string]bool{}
		planned, measured := sch.windows(order, gate.Side(side), scenarios.StormPhase)
		for i := range planned {
			if lead := measured[i].From - planned[i].From; lead != sch.tick || measured[i].To != planned[i].To {
				t.Errorf("window %v is measured in %v", planned[i], measured[i])
			}
		}
		j := job{Seed: 1, Events: events, First: 100, Windows: planned}
		p, err := j.plan(s)
		if err != nil {
			t.Fatal(err)
		}
		for q := range filtered(p.Requests, sch.keeps(order, gate.Side(side), 100)) {
			block, _ := sch.at(q.At)
			if block >= 0 && block < len(order) && order[block] != gate.Side(side) && q.Class != storm.Probe {
				t.Errorf("%v: %v %v at %v, in a block of %v", gate.Side(side), q.Class, q.ID, q.At, order[block])
			}
			if q.Put && q.ID.Number >= 0 {
				all[side][q.ID.String()] = true
			}
		}
	}
	for id := range all[0] {
		if all[1][id] {
			t.Errorf("%s is published to both sides", id)
		}
	}
	if got, want := len(all[0])+len(all[1]), 4*5*3*2; got != want {
		t.Errorf("%d copies are published in all, want %d", got, want)
	}
}

// Blocks that would be nothing but lead are refused, and the lead grows with what is still coming in.
func TestScheduleLead(t *testing.T) {
	for _, tt := range []struct {
		encode, lag, delay time.Duration
		block              int
		want               string
	}{
		{100 * time.Millisecond, 50 * time.Millisecond, 0, 0, "lead 1, block 5"},
		{150 * time.Millisecond, 100 * time.Millisecond, 0, 0, "lead 2, block 6"},
		{100 * time.Millisecond, 0, 600 * time.Millisecond, 0, "lead 3, block 7"},
		{100 * time.Millisecond, 0, 0, 9, "lead 1, block 9"},
		{100 * time.Millisecond, 0, 0, 1, "take 2 or more"},
	} {
		s := contested(t)
		s.Event.Encode.Max, s.Event.Lag, s.Event.PublishDelay = tt.encode, tt.lag, tt.delay
		sch, err := newSchedule(s, tt.block)
		got := fmt.Sprintf("lead %d, block %d", sch.lead, sch.block)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("newSchedule(encode %v, lag %v, delay %v; %d) = %s, want %s", tt.encode, tt.lag, tt.delay, tt.block, got, tt.want)
		}
	}
}

// A figure that the driver has spoilt, and a class without a sample, let nothing be concluded.
func TestContestTrusts(t *testing.T) {
	p50 := 2.0
	fine := func(class storm.Class) record.Operation {
		return record.Operation{Class: class.String(), Count: 100, Response: record.Latency{P50: &p50}}
	}
	for name, tt := range map[string]struct {
		ops  []record.Operation
		want string
	}{
		"fine":             {[]record.Operation{fine(storm.Publish)}, ""},
		"no writes at all": {nil, "base had not one publish request"},
		"driver's lag":     {[]record.Operation{{Class: "publish", Count: 100, Response: record.Latency{Note: "driver lag p99 of 9 ms"}}}, "could not be told: driver lag"},
		"failures":         {[]record.Operation{{Class: "publish", Count: 100, Errors: 2, Response: record.Latency{P50: &p50}}}, "2 of base's 100 publish requests failed"},
	} {
		c := &contest{phase: scenarios.StormPhase}
		c.trust(gate.Base, record.Backend{Phases: []record.Phase{{Name: scenarios.StormPhase, Operations: tt.ops}}}, storm.Publish, "then")
		got := strings.Join(c.reasons, "; ")
		if (tt.want == "") != (c.judged == verdict.Passed) || !strings.Contains(got, tt.want) {
			t.Errorf("%s: trust says %d, %q; want %q", name, c.judged, got, tt.want)
		}
	}
}

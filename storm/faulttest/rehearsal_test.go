package faulttest

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/origintest"
	"origin-storm/origin/segment"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/live"
	"origin-storm/storm/plan"
	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
)

// rehearsal is a scenario on its way through virtual time. It must be made in a bubble.
type rehearsal struct {
	scenario scenarios.Scenario
	seed     uint64
	around   func(http.Handler) http.Handler // the serving side
	begun    func()                          // called when the origin is up

	origin *origintest.Origin
	cable  *cable
	gates  map[string]*gate
	stores map[string]*kv.Faults // by target
	events []record.Event
	mu     sync.Mutex // guards events
	start  time.Time
}

// rehearse carries r's scenario out, and returns what was found, judged.
func (r *rehearsal) rehearse(t *testing.T) (record.Results, *record.Recording) {
	t.Helper()
	s := r.scenario
	d := s.Event.Segment.Duration()
	now := time.Now()
	events := s.Events(now.Truncate(d).Add(-d).UTC())
	first := events[0].Template.Next(now) + 1
	c := plan.Config{Scenario: s, Seed: r.seed, Events: events, First: first}
	p, err := plan.New(c)
	if err != nil {
		t.Fatal(err)
	}
	r.start = c.Start()
	r.bringUp(t, events)
	if r.begun != nil {
		r.begun()
	}
	templates := map[string]segment.Template{}
	for _, e := range events {
		templates[e.Name] = e.Template
	}
	x, err := live.New(live.Config{
		Start: r.start, Publish: live.Target{URLs: []string{r.origin.PublishURL}}, Serve: live.Target{URLs: []string{r.origin.ServeURL}},
		Template: func(id segment.ID) segment.Template { return templates[id.Event] }, SameBytes: s.Event.Identical,
		Dial: r.cable.dial, Virtual: true, Fault: func(f storm.Fault, undo bool) { r.fault(t, f, undo) },
	})
	if err != nil {
		t.Fatal(err)
	}
	backend := s.Backends[0].Name
	rec := record.New(record.Config{
		Backend: backend, Windows: p.Windows, Interval: d,
		Due: func(id segment.ID) time.Duration { return templates[id.Event].Due(id.Number).Sub(r.start) },
	})
	if err := x.Execute(t.Context(), p, rec); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Second) // net/http lingers over connections that it has given up
	b := rec.Backend()
	b.Name = backend
	res := record.Results{Schema: 1, Scenario: s.Name, Seed: r.seed, Mode: "live", SegmentMS: float64(d / time.Millisecond), Backends: []record.Backend{b}}
	told := slices.DeleteFunc(slices.Clone(s.Thresholds), func(t scenarios.Threshold) bool {
		return t.Subject == scenarios.CacheUse || t.Subject == scenarios.EdgeUse || t.Subject == scenarios.Drivers // the origin's processes' counts
	})
	for i := range told {
		told[i].Backend = ""
	}
	verdict.Judge(&res, verdict.Conditions{Thresholds: told, Copies: rec.Copies(), Events: r.events})
	return res, rec
}

// bringUp starts the origin that the scenario's first backend asks for.
func (r *rehearsal) bringUp(t *testing.T, events []config.Event) {
	b, on := r.scenario.Backends[0], r.scenario.On(r.scenario.Backends[0])
	r.cable = &cable{down: map[string]int{}, conns: map[net.Conn]string{}}
	publishing, serving := &gate{}, &gate{}
	r.gates = map[string]*gate{scenarios.OfPublish: publishing, scenarios.OfServe: serving}
	r.stores = map[string]*kv.Faults{}
	hosted := func(name string, tables ...*mem.Store) []kv.Store {
		faults := kv.NewFaults(r.seed, func() {
			for _, s := range tables {
				s.Flush()
			}
		})
		r.stores[name] = faults
		var all []kv.Store
		for _, s := range tables {
			all = append(all, kv.Inject(s, faults.Around))
		}
		return all
	}
	durable := hosted(scenarios.OfStore, &mem.Store{}, &mem.Store{})
	for i := range durable {
		durable[i] = kv.Retry(durable[i], kv.RetryConfig{Seed: r.seed})
	}
	cfg := origintest.Config{
		Events: events, Commits: durable[0], Chunks: kv.Hedge(durable[1], kv.HedgeConfig{After: 200 * time.Millisecond}),
		Serving: config.Serving{Hot: int64(on.Hot), Collapse: on.Collapse}, ChunkSize: 16 << 10,
	}
	cfg.AroundPublish = publishing.around
	cfg.AroundServe = func(h http.Handler) http.Handler {
		if r.around != nil {
			h = r.around(h)
		}
		return serving.around(h)
	}
	if b.Cache {
		for i := range b.Zones {
			cfg.Zones = append(cfg.Zones, hosted(scenarios.Target{What: scenarios.OfCache, Nth: i + 1}.String(), &mem.Store{Limit: 64 << 20})[0])
		}
	}
	r.origin = origintest.Start(t, cfg)
	r.cable.inner = r.origin.Client.Transport.(*http.Transport).DialContext
}

// fault carries out what is not the executor's: what befalls stores and processes.
func (r *rehearsal) fault(t *testing.T, f storm.Fault, undo bool) {
	kind := "fault"
	if undo {
		kind = "fault-end"
	}
	r.mu.Lock()
	r.events = append(r.events, record.Event{At: time.Since(r.start).Seconds(), Kind: kind, Text: f.String()})
	r.mu.Unlock()
	k, _ := scenarios.Fault{Do: f.Do}.Kind()
	switch {
	case strings.HasPrefix(f.To, scenarios.OfPipeline) || f.To == scenarios.OfReaders:
	case k.Place == scenarios.AtStore:
		s := r.stores[f.To]
		if s == nil {
			t.Errorf("%v: the rehearsal has no such store", f)
		} else if undo {
			s.End(f.Do)
		} else if err := s.Begin(f.Do, kv.Fault{Do: f.Do, By: f.By, Count: f.Count, Share: f.Share}); err != nil {
			t.Error(err)
		}
	case strings.HasPrefix(f.To, scenarios.OfPublish), strings.HasPrefix(f.To, scenarios.OfServe):
		if process := strings.Fields(f.To)[0]; f.Do == "stop" {
			r.gates[process].shut(!undo)
		} else {
			r.cable.fault(process, undo)
		}
	case f.Do == "kill", f.Do == "stop": // of a store: nothing answers
		name := f.To
		if s := r.stores[name]; s != nil && undo {
			s.End(f.Do)
		} else if s != nil {
			what := kv.Fault{Do: kv.FaultFail}
			if f.Do == "stop" {
				what = kv.Fault{Do: kv.FaultSlow, By: f.For}
			}
			if err := s.Begin(f.Do, what); err != nil {
				t.Error(err)
			}
		}
	default:
		t.Errorf("%v: the rehearsal has no way to do that", f)
	}
}

// cable is the network between the driver and the origin, which can be pulled: the processes of the origin die and come back with
// what they remember, which those of package stage do not.
type cable struct {
	inner func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex // guards what follows
	down  map[string]int
	conns map[net.Conn]string
}

// dial connects, unless the address's process is down.
func (c *cable) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c.mu.Lock()
	down := c.down[side(address)] > 0
	c.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Net: network, Err: net.ErrClosed}
	}
	conn, err := c.inner(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[conn] = side(address)
	return conn, nil
}

func side(address string) string { return address[:strings.IndexAny(address, ".:")] }

func (c *cable) fault(name string, undo bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if undo {
		c.down[name]--
		return
	}
	c.down[name]++
	for conn, to := range c.conns {
		if to == name {
			conn.Close()
			delete(c.conns, conn)
		}
	}
}

// gate lets requests to a process that is stopped wait until it goes on.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // nil: it is; else closed when it is again
}

func (g *gate) shut(yes bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if yes {
		g.open = make(chan struct{})
	} else {
		close(g.open)
		g.open = nil
	}
}

func (g *gate) around(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		open := g.open
		g.mu.Unlock()
		if open != nil {
			<-open
		}
		h.ServeHTTP(w, r)
	})
}

package agreetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/cost"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/origintest"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
	"origin-storm/origin/stress"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/body"
	"origin-storm/storm/live"
	"origin-storm/storm/plan"
	"origin-storm/storm/sim"
)

// hedgeAfter is when the origin's command starts a second try of a chunk's operation where nothing else is configured.
const hedgeAfter = 200 * time.Millisecond

// expand returns the plan of a scenario and what both executors are told of it. It is called in a bubble, whose clock begins at the same
// instant in each: so one scenario is one plan.
func expand(t *testing.T, s scenarios.Scenario, seed uint64) (plan.Config, storm.Plan) {
	t.Helper()
	d := s.Event.Segment.Duration()
	now := time.Now()
	events := s.Events(now.Truncate(d).Add(-d).UTC())
	c := plan.Config{Scenario: s, Seed: seed, Events: events, First: events[0].Template.Next(now) + 1}
	p, err := plan.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return c, p
}

// samples is a Recorder that keeps everything.
type samples struct {
	mu  sync.Mutex // guards all
	all []storm.Sample
}

func (s *samples) Record(x storm.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, x)
}

// onOrigin carries c out on a real origin, and returns all samples.
func onOrigin(t *testing.T, c configuration) (all []storm.Sample) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		expanded, p := expand(t, c.scenario, c.seed)
		d := deploy(t, c, expanded)
		templates := map[string]segment.Template{}
		for _, e := range expanded.Events {
			templates[e.Name] = e.Template
		}
		x, err := live.New(live.Config{
			Start: expanded.Start(), Publish: live.Target{URLs: d.publish}, Serve: live.Target{URLs: d.serve},
			Template: func(id segment.ID) segment.Template { return templates[id.Event] }, SameBytes: c.scenario.Event.Identical,
			Dial: d.dial, Virtual: true, Fault: func(f storm.Fault, undo bool) { d.fault(t, f, undo) },
		})
		if err != nil {
			t.Fatal(err)
		}
		var rec samples
		if err := x.Execute(t.Context(), p, &rec); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second) // net/http lingers over connections that it has given up
		all = rec.all
	})
	return all
}

// deployment is a real origin: nodes that publish and nodes that serve, each with its own way to the stores and caches that they share.
type deployment struct {
	publish, serve []string // URLs
	network        origintest.Network
	hosts          map[string]*kv.Faults // of the store and the zones, by target
	starts         map[string]func()     // starts a node that was killed; by target

	mu        sync.Mutex          // guards what follows
	processes map[string]*process // of everything, by target
}

func (d *deployment) process(to string) *process {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.processes[to]
}

func (d *deployment) begin(to scenarios.Target) *process {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := newProcess()
	d.processes[to.String()] = p
	return p
}

// deploy brings up what c asks for.
func deploy(t *testing.T, c configuration, p plan.Config) *deployment {
	t.Helper()
	d := &deployment{hosts: map[string]*kv.Faults{}, processes: map[string]*process{}, starts: map[string]func(){}}
	keys := chunkKeys(t, c, p)
	// host returns the tables of a store that costs what the profile says, with the faults that befall it outside of the costs, as the
	// process that hosts a store has them. What is kept in memory is lost with it.
	host := func(to scenarios.Target, profile cost.Profile, seed uint64, limit int64) hosted {
		toll := kv.NewToll(profile.Meter(seed), func(k kv.Key) string {
			event, _, _ := strings.Cut(k.Part, "/")
			return event
		})
		tables := [2]*mem.Store{{Limit: limit}, {Limit: limit}}
		flush := func() {
			for _, s := range tables {
				s.Flush()
			}
		}
		faults := kv.NewFaults(c.seed, flush)
		proc := d.begin(to)
		if d.hosts[to.String()] = faults; to.What == scenarios.OfCache {
			proc.lost = flush
		}
		h := hosted{charge: kv.Around(proc.around, toll.Intercept(false)), faults: faults.Around}
		around := kv.Intercept(proc.around)
		if c.shuffled {
			around = kv.Around(shuffle, around)
		}
		for i, s := range tables {
			h.bare[i] = s
			h.tables[i] = kv.Inject(s, around, faults.Around, toll.Intercept(i == 0))
		}
		return h
	}
	durable := host(scenarios.Target{What: scenarios.OfStore}, c.costs.Store, c.seed, 0)
	var zones []kv.Store
	for i := range c.topology.Zones {
		zones = append(zones, zone{
			Store:  host(scenarios.Target{What: scenarios.OfCache, Nth: i + 1}, c.costs.Cache, zoneSeed(c.seed, i), int64(c.topology.ZoneMemory)),
			misses: c.topology.MissRatio, seed: c.seed, start: p.Start(),
		})
	}
	// What ends an event is said in a document, which all nodes read four times a second.
	var control kv.Store
	var writers []string
	if slices.ContainsFunc(c.scenario.Faults, func(f scenarios.Fault) bool { return f.Do == "end" }) {
		control = &mem.Store{}
		for i := range max(1, c.topology.Publish) {
			writers = append(writers, nodeName(scenarios.OfPublish, i+1))
		}
	}
	// start starts a node, anew if it was there before.
	start := func(to scenarios.Target) *origintest.Origin {
		nth := max(1, to.Nth)
		proc := d.begin(to)
		name := nodeName(to.What, nth)
		durable := [2]kv.Store{kv.Inject(durable.tables[0], proc.around), kv.Inject(durable.tables[1], proc.around)}
		var load func() policy.Load
		if c.topology.Shed && to.What == scenarios.OfServe {
			meter := stress.New(c.stress)
			load = func() policy.Load { return meter.State(time.Now()).Load() }
			for i := range durable {
				durable[i] = kv.Observe(durable[i], func(op kv.Op, took time.Duration, err error) {
					if !op.Write {
						meter.Record(time.Now(), took, op.Size(), stress.EndOf(err))
					}
				})
			}
		}
		cfg := origintest.Config{
			Events: p.Events, Network: &d.network, Node: name, ChunkSize: c.topology.ChunkSize,
			Serving: config.Serving{Hot: int64(c.topology.Hot), Collapse: c.topology.Collapse},
			Commits: durable[0], Chunks: durable[1], Load: load,
			AroundPublish: proc.handler, AroundServe: proc.handler,
			Control: control, Writers: writers,
		}
		for i := range zones { // the nearest first, nodes being spread over them
			cfg.Zones = append(cfg.Zones, renamedZone{renamed{throughProcess{zones[(i+nth-1)%len(zones)].(zone), proc}, keys}})
		}
		if !c.costs.Store.Whole { // else one operation stands for a segment's, retries included
			retry := kv.RetryConfig{Seed: retrySeed(c.seed, to.What, nth-1)}
			cfg.Commits, cfg.Chunks = kv.Retry(durable[0], retry), kv.Hedge(kv.Retry(durable[1], retry), kv.HedgeConfig{After: hedgeAfter})
		}
		cfg.Chunks = renamed{cfg.Chunks, keys}
		return origintest.Start(t, cfg)
	}
	for i := range max(1, c.topology.Publish) {
		to := scenarios.Target{What: scenarios.OfPublish}
		if c.topology.Publish > 1 { // then no fault can name one
			to.Nth = i + 1
		}
		d.publish = append(d.publish, start(to).PublishURL)
		d.starts[to.String()] = func() { start(to) }
	}
	for i := range max(1, c.topology.Serve) {
		to := scenarios.Target{What: scenarios.OfServe, Nth: i + 1}
		d.serve = append(d.serve, start(to).ServeURL)
		d.starts[to.String()] = func() { start(to) }
	}
	return d
}

// shuffle lets others go before it, some or none. Goroutines that begin at one instant have an order that is the scheduler's habit, such as the
// youngest first: what it does always looks as if it had to be.
func shuffle(ctx context.Context, _ kv.Op, do func(context.Context) error) error {
	for range rand.IntN(8) {
		runtime.Gosched()
	}
	return do(ctx)
}

// zoneSeed keys the draws of a cache zone.
func zoneSeed(seed uint64, zone int) uint64 { return seed + uint64(zone) + 1 }

// hosted is a store in a process: its tables, of Commits and of chunks, and without costs and faults; its costs for what is no operation of
// one table, and its faults.
type hosted struct {
	tables, bare   [2]kv.Store
	charge, faults kv.Intercept
}

// tableOf is which of the tables a key is of: the names of chunks have a slash.
func tableOf(key kv.Key) int {
	if strings.Contains(key.Name, "/") {
		return 1
	}
	return 0
}

func (h hosted) Put(ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
	return h.tables[tableOf(key)].Put(ctx, key, val, keep)
}

func (h hosted) Get(ctx context.Context, key kv.Key) ([]byte, error) {
	return h.tables[tableOf(key)].Get(ctx, key)
}

// zone is a cache zone. As memcached does, it is asked for many keys in one exchange, which costs what one operation does. A share of the reads
// are made misses on purpose, as the origin's command does it.
type zone struct {
	kv.Store // hosted
	misses   float64
	seed     uint64
	start    time.Time
}

var _ kv.MultiGetter = zone{}

func (z zone) missed(key kv.Key) bool {
	return z.misses > 0 && cost.Draw(z.seed, "miss", key.String(), 0) < z.misses
}

func (z zone) Get(ctx context.Context, key kv.Key) ([]byte, error) {
	if z.missed(key) {
		return nil, kv.ErrNotFound
	}
	return z.Store.Get(ctx, key)
}

func (z zone) GetMulti(ctx context.Context, keys []kv.Key) ([][]byte, error) {
	h := z.Store.(hosted)
	vals := make([][]byte, len(keys))
	first, all := "", []byte(nil)
	for _, key := range keys {
		if !z.missed(key) && (first == "" || key.String() < first) {
			first = key.String()
		}
	}
	if first == "" {
		return vals, nil
	}
	// Faults befall each key, all at once, and then the exchange is charged. The draw is keyed as the simulator has it.
	failed := make([]error, len(keys))
	arrived := time.Now()
	var wg sync.WaitGroup
	for i, key := range keys {
		if z.missed(key) {
			failed[i] = kv.ErrNotFound
			continue
		}
		wg.Go(func() {
			failed[i] = h.faults(ctx, kv.Op{Key: key}, func(context.Context) error { return nil })
		})
	}
	wg.Wait()
	op := kv.Op{Key: kv.Key{Part: "peek", Name: first}, Val: &all, Attempt: int(arrived.Sub(z.start) / time.Millisecond)}
	err := h.charge(ctx, op, func(ctx context.Context) error {
		for i, key := range keys {
			if failed[i] == nil {
				vals[i], failed[i] = h.bare[0].Get(ctx, key)
				all = append(all, vals[i]...)
			}
			if errors.Is(failed[i], kv.ErrNotFound) {
				failed[i] = nil
			}
		}
		return errors.Join(failed...)
	})
	return vals, err
}

// renamed is a store under the names that the simulator has for keys: a chunk's key is a digest of bytes, and the simulator has none.
type renamed struct {
	store kv.Store
	names map[kv.Key]kv.Key
}

func (s renamed) name(key kv.Key) kv.Key {
	if as, ok := s.names[key]; ok {
		return as
	}
	return key
}

func (s renamed) Put(ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
	return s.store.Put(ctx, s.name(key), val, keep)
}

func (s renamed) Get(ctx context.Context, key kv.Key) ([]byte, error) {
	return s.store.Get(ctx, s.name(key))
}

// renamedZone is one of several keys, all of Commits, whose names are the same here.
type renamedZone struct{ renamed }

func (s renamedZone) GetMulti(ctx context.Context, keys []kv.Key) ([][]byte, error) {
	return s.store.(kv.MultiGetter).GetMulti(ctx, keys)
}

// chunkKeys returns what the simulator calls the keys of the chunks that are published.
func chunkKeys(t *testing.T, c configuration, p plan.Config) map[kv.Key]kv.Key {
	t.Helper()
	keys := map[kv.Key]kv.Key{}
	size := c.topology.ChunkSize
	if size == 0 {
		size = storage.DefaultChunkSize
	}
	_, expanded := expand(t, c.scenario, c.seed)
	for q := range expanded.Requests {
		if !q.Put || size < 0 || q.Size <= size {
			continue
		}
		from := q.ID
		if c.scenario.Event.Identical {
			from.Pipeline = ""
		}
		r := body.Twisted(from, p.Events[0].Template, q.Size, q.Twist)
		hash := sha256.New()
		for i := 0; ; i++ {
			n, err := io.CopyN(hash, r, int64(size))
			if err != nil && err != io.EOF {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			key := kv.Key{Part: hex.EncodeToString(hash.Sum(nil)) + "/" + strconv.FormatInt(n, 10)}
			if c.scenario.Event.Identical {
				from.Pipeline = p.Events[0].Pipelines[0]
			}
			keys[key] = chunkName(from, i)
		}
	}
	return keys
}

// chunkName is the simulator's name for the key of the ith chunk of a copy; of equal bytes, those of the first pipeline stand for all.
func chunkName(id segment.ID, i int) kv.Key {
	return kv.Key{
		Part: fmt.Sprintf("%s/%s/%d", id.Event, id.Rendition, id.Number),
		Name: id.Pipeline + "/" + strconv.Itoa(i),
	}
}

// retrySeed keys the pauses between a node's tries, as the simulator has it: each node draws its own.
func retrySeed(seed uint64, role string, node int) uint64 {
	x := seed ^ uint64(node)<<8 ^ uint64(len(role))
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// fault carries out what is not the executor's.
func (d *deployment) fault(t *testing.T, f storm.Fault, undo bool) {
	to, err := scenarios.ParseTarget(f.To)
	if err != nil {
		t.Error(err)
		return
	}
	k, _ := scenarios.Fault{Do: f.Do}.Kind()
	proc, host := d.process(f.To), d.hosts[f.To]
	id := fmt.Sprintf("%s-%d", f.Do, f.At.Nanoseconds()) // as in a live run; draws depend on it
	switch {
	case to.What == scenarios.OfPipeline || to.What == scenarios.OfReaders:
	case k.Place == scenarios.AtStore && host != nil && undo:
		host.End(id)
	case k.Place == scenarios.AtStore && host != nil:
		if err := host.Begin(id, kv.Fault{Do: f.Do, By: f.By, Count: f.Count, Share: f.Share}); err != nil {
			t.Error(err)
		}
	case f.Do == "stop" && proc != nil:
		proc.halt(undo)
	case f.Do == "kill" && proc != nil && !undo:
		proc.die()
	case f.Do == "kill" && proc != nil && d.starts[f.To] != nil:
		d.starts[f.To]()
	case f.Do == "kill" && proc != nil:
		proc.live()
	default:
		t.Errorf("%v: there is no way to do that", f)
	}
}

// process is one that can be killed and halted. Whoever waits for a dead one is told at once, as a closed connection tells it.
type process struct {
	lost func() // what goes with it; nil: nothing

	mu     sync.Mutex // guards what follows
	life   context.Context
	end    context.CancelFunc
	halted chan struct{} // closed when it goes on; nil: it runs
	conns  map[net.Conn]bool
}

func newProcess() *process {
	p := &process{conns: map[net.Conn]bool{}}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

// errDown is what a process that is dead is heard of.
var errDown = errors.New("agreetest: the process is down")

// current is p's life.
func (p *process) current() context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.life
}

func (p *process) die() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
	for conn := range p.conns {
		conn.Close()
	}
	if p.lost != nil {
		p.lost()
	}
}

func (p *process) live() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.life, p.end = context.WithCancel(context.Background())
}

func (p *process) halt(undo bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if undo {
		close(p.halted)
		p.halted = nil
	} else {
		p.halted = make(chan struct{})
	}
}

// runs waits until p does; it fails if p is dead by then, or ctx at its end.
func (p *process) runs(ctx context.Context, life context.Context) error {
	p.mu.Lock()
	halted := p.halted
	p.mu.Unlock()
	if halted != nil {
		select {
		case <-halted:
		case <-life.Done():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if life.Err() != nil {
		return errDown
	}
	return nil
}

// around is an operation that p does, or has done.
func (p *process) around(ctx context.Context, _ kv.Op, do func(context.Context) error) error {
	life := p.current()
	if err := p.runs(ctx, life); err != nil {
		return err
	}
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(life, cancel)()
	err := do(within)
	if dead := p.runs(ctx, life); dead != nil {
		return dead
	}
	return err
}

// handler lets requests wait while p is halted.
func (p *process) handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.runs(r.Context(), p.current()) == nil {
			h.ServeHTTP(w, r)
		}
	})
}

// throughProcess is a zone as a process uses it.
type throughProcess struct {
	zone
	p *process
}

func (s throughProcess) Put(ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
	return s.p.around(ctx, kv.Op{}, func(ctx context.Context) error { return s.zone.Put(ctx, key, val, keep) })
}

func (s throughProcess) Get(ctx context.Context, key kv.Key) (val []byte, err error) {
	err = s.p.around(ctx, kv.Op{}, func(ctx context.Context) error {
		val, err = s.zone.Get(ctx, key)
		return err
	})
	return val, err
}

func (s throughProcess) GetMulti(ctx context.Context, keys []kv.Key) (vals [][]byte, err error) {
	err = s.p.around(ctx, kv.Op{}, func(ctx context.Context) error {
		vals, err = s.zone.GetMulti(ctx, keys)
		return err
	})
	if vals == nil {
		vals = make([][]byte, len(keys))
	}
	return vals, err
}

// nodeName is the name of the nth node of a kind.
func nodeName(kind string, nth int) string { return kind[:1] + strconv.Itoa(nth) }

// dial connects, unless the address's process is down.
func (d *deployment) dial(ctx context.Context, network, address string) (net.Conn, error) {
	kind, node, _ := strings.Cut(strings.TrimSuffix(address, ":80"), ".")
	p := d.process(kind)
	if p == nil {
		p = d.process(kind + " " + node[1:])
	}
	if p.current().Err() != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: net.ErrClosed}
	}
	conn, err := d.network.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
	if kind == scenarios.OfPublish {
		return hearing(conn), nil
	}
	return conn, nil
}

// heard is a connection from which is taken what comes, before it is read, as a kernel does it: else a sender who says more than it announced
// would wait for the origin, which would wait for somebody to hear what it has to say of that.
type heard struct {
	net.Conn
	mu    sync.Mutex // guards what follows
	came  bytes.Buffer
	err   error // after that
	comes *sync.Cond
}

func hearing(c net.Conn) net.Conn {
	h := &heard{Conn: c}
	h.comes = sync.NewCond(&h.mu)
	go func() { // ends with the connection
		part := make([]byte, 4<<10)
		for {
			n, err := c.Read(part)
			h.mu.Lock()
			h.came.Write(part[:n])
			h.err = err
			h.mu.Unlock()
			h.comes.Broadcast()
			if err != nil {
				return
			}
		}
	}()
	return h
}

func (h *heard) Read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.came.Len() == 0 && h.err == nil {
		h.comes.Wait()
	}
	if h.came.Len() == 0 {
		return 0, h.err
	}
	return h.came.Read(b)
}

func (h *heard) CloseWrite() error { return h.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// onSimulator carries c out in the simulator, and returns all samples.
func onSimulator(t *testing.T, c configuration) (all []storm.Sample) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { // for the clock by which the plan is made
		expanded, p := expand(t, c.scenario, c.seed)
		x, err := sim.New(sim.Config{
			Start: expanded.Start(), Events: expanded.Events, SameBytes: c.scenario.Event.Identical,
			Topology: c.topology, Costs: c.costs, Stress: c.stress, Seed: c.seed,
		})
		if err != nil {
			t.Fatal(err)
		}
		var rec samples
		if err := x.Execute(t.Context(), p, &rec); err != nil {
			t.Fatal(err)
		}
		all = rec.all
	})
	return all
}

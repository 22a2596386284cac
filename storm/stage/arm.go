package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"origin-storm/origin"
	"origin-storm/origin/config"
	"origin-storm/origin/cost"
	"origin-storm/origin/cost/profiles"
	"origin-storm/origin/kv/cassandra"
	"origin-storm/origin/kv/s3"
	"origin-storm/origin/servers"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/entry"
	"origin-storm/storm/live"
	"origin-storm/storm/record"
)

// Arm is one thing to measure: a backend of this project's origin, or somebody's origin that is already running.
type Arm struct {
	Name string
	// Up brings it up for the events given and returns when it answers. Deaths of its processes that no fault asked for, and
	// other things worth knowing, go to note, from any goroutine, until Close has returned.
	Up func(ctx context.Context, events []config.Event, note func(kind, text string)) (*Target, error)
}

// Target is an arm that is up.
type Target struct {
	Publish, Serve live.Target
	// Probes are where the run's own reader asks; empty: where all readers do.
	Probes []string
	// Dial makes the connections, and Virtual says that time is that of a testing/synctest bubble; their zero values are TCP and real
	// time. Driver processes do without both.
	Dial    dialer
	Virtual bool
	// Packagers and Readers are the processors on which the driver processes of each run; empty: wherever the system puts them.
	Packagers, Readers []int
	// Facts are what the report says of the arm, whatever is measured: provenance, servers, profile, published figures.
	Facts record.Backend
	// Fault carries out, or undoes, a fault on one of the arm's processes.
	Fault func(ctx context.Context, f storm.Fault, undo bool) error
	// Stats asks the origin's nodes for their counts, but for one that answers the run's own reader alone; nil where they cannot
	// be asked.
	Stats func(ctx context.Context) ([]origin.Stats, error)
	// Groups are the process groups of the arm's processes, by what they do: publish, serve, store, cache, edge; nil where they are not
	// known.
	Groups func() map[string][]int
	// Close stops and removes all that Up started.
	Close func() error
}

// backends makes arms of a scenario's backends. Real servers are shared between them: they take longer to start than a
// backend takes to measure.
type backends struct {
	scenario scenarios.Scenario
	seed     uint64
	spawn    *spawner
	cluster  *servers.Cluster
	at       Addresses
	remote   bool
	token    string // in names that no other run uses, on whatever machine
	count    int
}

// Addresses are servers that are already running, in place of those a run would bring up.
type Addresses struct {
	Cassandra []string
	Memcached []string // one of each zone
	S3        string   // URL; credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
	Bucket    string
}

func (b *backends) arm(be scenarios.Backend) Arm {
	return Arm{Name: be.Name, Up: func(ctx context.Context, events []config.Event, note func(kind, text string)) (*Target, error) {
		b.count++
		u := &uplift{backends: b, be: be, events: events, note: note, prefix: fmt.Sprintf("origin_storm_%s_%d", b.token, b.count)}
		t, err := u.up(ctx)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("stage: %s: %w", be.Name, err), u.close())
		}
		return t, nil
	}}
}

// uplift is one backend on its way up, and what is up of it.
type uplift struct {
	*backends
	be     scenarios.Backend
	events []config.Event
	note   func(kind, text string)
	prefix string // of names that only this run uses
	facts  record.Backend
	cores  scenarios.Cores

	publish, store *process
	serve          []*process
	probed         *process   // answers the run's own reader, where an edge's requests are to be counted
	zones          []*process // of embedded caches
	edge           *servers.Server
	closers        []func() error
}

func (u *uplift) up(ctx context.Context) (*Target, error) {
	dir, err := os.MkdirTemp(u.spawn.dir, "arm-")
	if err != nil {
		return nil, err
	}
	u.closers = append(u.closers, func() error { return os.RemoveAll(dir) }) // the next arm needs the space
	spawn := *u.spawn
	spawn.dir = dir
	spawn.died = func(name string, err error) { u.note("death", fmt.Sprintf("the %s process died: %v", name, err)) }
	u.facts = record.Backend{Name: u.be.Name, Provenance: "measured", Published: entry.Published(u.be)}
	if u.be.Cores != nil {
		u.cores = *u.be.Cores
	}
	cfg := config.Backend{Name: u.be.Name, Seed: u.seed}
	if err := u.durable(ctx, &spawn, &cfg); err != nil {
		return nil, err
	}
	if u.be.Cache {
		if err := u.cache(ctx, &spawn, &cfg); err != nil {
			return nil, err
		}
	}
	if err := u.origin(ctx, &spawn, cfg); err != nil {
		return nil, err
	}
	at, err := u.serving(ctx, &spawn)
	if err != nil {
		return nil, err
	}
	t := &Target{Facts: u.facts, Fault: u.fault, Stats: u.stats, Groups: u.groups, Close: u.close, Packagers: processors(u.cores.Packagers), Readers: processors(u.cores.Readers)}
	t.Publish.URLs = []string{"http://" + u.publish.ready.Publish}
	for _, addr := range at {
		t.Serve.URLs = append(t.Serve.URLs, "http://"+addr)
	}
	if u.probed != nil {
		t.Probes = []string{"http://" + u.probed.ready.Serve}
	}
	return t, nil
}

// serving returns the addresses at which readers ask: the serving processes', or that of the edge which it puts before them.
func (u *uplift) serving(ctx context.Context, spawn *spawner) (addresses []string, err error) {
	for _, s := range u.serve {
		addresses = append(addresses, s.ready.Serve)
	}
	if u.be.Edge == "" {
		return addresses, nil
	}
	c, err := servers.Up(ctx, servers.Config{
		Mode: servers.Native, Edge: u.be.Edge, Origins: addresses, Dir: spawn.dir, Reaper: spawn.reaper, Nice: spawn.nice,
		OnDeath: func(s *servers.Server, err error) { u.note("death", fmt.Sprintf("the edge %s died: %v", s.Name, err)) },
	})
	if err != nil {
		return nil, err
	}
	u.closers = append([]func() error{c.Close}, u.closers...) // before its directory goes
	u.edge = c.Edge
	if err := u.pin(c.Edge, u.cores.Serve); err != nil {
		return nil, err
	}
	u.facts.Edge = &record.Edge{Program: u.be.Edge + " " + c.Edge.Version}
	u.facts.Servers = append(u.facts.Servers, u.facts.Edge.Program+" as edge")
	return []string{c.Edge.Addr}, nil
}

// durable sets up the store that acknowledges writes.
func (u *uplift) durable(ctx context.Context, spawn *spawner, cfg *config.Backend) error {
	var profile cost.Profile
	var charged string // by which the store process finds it: a published one's name, or a file
	if u.be.Profile != scenarios.NoProfile {
		var err error
		if profile, err = profiles.Load(u.be.Profile); err != nil {
			return err
		}
		charged, cfg.Whole = u.be.Profile, profile.Whole
	}
	host := config.Node{Role: config.Store, Host: config.Host{Seed: u.seed, Faults: u.faultsAt(scenarios.OfStore)}}
	switch u.be.Store {
	case scenarios.Embedded:
		host.Host.Listen = "127.0.0.1:0"
		host.Host.Stores = []config.HostedStore{{
			Name: "segments", Store: config.StoreAt{Kind: "pebble", Dir: filepath.Join(spawn.dir, "pebble")}, Profile: charged,
		}}
		u.facts.Servers = append(u.facts.Servers, "embedded store: Pebble, durable, in a process of its own")
	case scenarios.S3:
		cfg.ChunkSize = u.be.ChunkSize()
		if u.at.S3 != "" {
			u.facts.Servers = append(u.facts.Servers, "S3 at "+u.at.S3)
			cfg.Store = config.StoreAt{Kind: "s3", Addresses: []string{u.at.S3}, Namespace: u.at.Bucket + "/" + u.prefix,
				User: os.Getenv("AWS_ACCESS_KEY_ID"), Secret: os.Getenv("AWS_SECRET_ACCESS_KEY")}
			cfg.Whole = false
			u.closers = append(u.closers, u.dropObjects(cfg.Store))
			return nil
		}
		host.Host.S3 = &config.HostedS3{Listen: "127.0.0.1:0", Bucket: "segments", Profile: charged}
		u.facts.Servers = append(u.facts.Servers, "in-process S3 server (gofakes3)")
		if profile.Name == "" {
			u.facts.Notes = append(u.facts.Notes, "An in-process S3 server in memory, without a profile, is no evidence about S3.")
		}
	case scenarios.Cassandra:
		addresses := u.at.Cassandra
		if len(addresses) == 0 {
			for _, s := range u.cluster.Cassandra {
				if err := u.pin(s, u.cores.Store); err != nil {
					return err
				}
				addresses = append(addresses, s.Addr)
			}
			u.facts.Servers = append(u.facts.Servers, u.cluster.Versions()[0])
		} else {
			u.facts.Servers = append(u.facts.Servers, "Cassandra at "+strings.Join(addresses, ", "))
		}
		cfg.Store = config.StoreAt{Kind: "cassandra", Addresses: addresses, Namespace: u.prefix}
		u.closers = append(u.closers, u.dropKeyspace(addresses))
		return nil
	}
	if profile.Name != "" {
		u.facts.Provenance = "modelled"
		u.facts.Profile = profile.Name
		u.facts.Notes = append(u.facts.Notes, "Profile "+profile.Name+": "+strings.Join(strings.Fields(profile.Source), " "))
		if len(profile.Read) == 0 {
			u.facts.Notes = append(u.facts.Notes, "The profile "+profile.Name+" has no published figure for reads: they take the host's own time.")
		}
	}
	p, err := spawn.at(u.cores.Store).start(ctx, "store", host)
	u.store = p
	if err != nil {
		return err
	}
	if host.Host.S3 != nil {
		cfg.Store = config.StoreAt{Kind: "s3", Addresses: []string{"http://" + p.ready.S3}, Namespace: "segments/" + u.prefix, User: "origin", Secret: "origin-storm"}
	} else {
		cfg.Store = config.StoreAt{Kind: "remote", Addresses: []string{p.ready.Host}, Namespace: "segments"}
	}
	return nil
}

// pin puts a server that arms share where this one wants it. Where no arm pins anything it is left alone.
func (u *uplift) pin(s *servers.Server, core *int) error {
	if !u.scenario.Pinned() {
		return nil
	}
	return s.Pin(processors(core)...)
}

// dropWait bounds how long what a run wrote into somebody's store may take to remove.
const dropWait = time.Minute

// dropObjects returns what removes the objects that this arm wrote, and nothing else.
func (u *uplift) dropObjects(at config.StoreAt) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), dropWait)
		defer cancel()
		bucket, prefix, _ := strings.Cut(at.Namespace, "/")
		db, err := s3.Open(ctx, s3.Config{
			URL: at.Addresses[0], Bucket: bucket, Prefix: prefix, AccessKey: at.User, SecretKey: at.Secret, AllowRemote: u.remote,
		})
		if err != nil {
			return err
		}
		return errors.Join(db.Drop(ctx), db.Close())
	}
}

// dropKeyspace returns what removes the keyspace that this arm created, and nothing else.
func (u *uplift) dropKeyspace(addresses []string) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), dropWait)
		defer cancel()
		db, err := cassandra.Open(ctx, cassandra.Config{Addresses: addresses, Keyspace: u.prefix})
		if err != nil {
			return err
		}
		return errors.Join(db.Drop(ctx), db.Close())
	}
}

// cache sets up the cache zones: memcached where there is one, else one store process each.
func (u *uplift) cache(ctx context.Context, spawn *spawner, cfg *config.Backend) error {
	if u.be.HitRatio != nil {
		cfg.MissRatio = 1 - float64(*u.be.HitRatio)
	}
	zones := u.at.Memcached[:min(len(u.at.Memcached), u.be.Zones)]
	if len(zones) > 0 {
		u.facts.Servers = append(u.facts.Servers, fmt.Sprintf("memcached x%d at %s", len(zones), strings.Join(zones, ", ")))
	} else if u.be.Store == scenarios.Cassandra && u.cluster != nil && len(u.cluster.Memcached) > 0 {
		for _, s := range u.cluster.Memcached[:min(len(u.cluster.Memcached), u.be.Zones)] {
			if err := u.pin(s, u.cores.Cache); err != nil {
				return err
			}
			zones = append(zones, s.Addr)
		}
		v := u.cluster.Versions()
		u.facts.Servers = append(u.facts.Servers, v[len(v)-1])
	}
	for _, addr := range zones {
		cfg.Zones = append(cfg.Zones, config.StoreAt{Kind: "memcached", Addresses: []string{addr}, Namespace: u.prefix})
	}
	if len(zones) > 0 {
		return nil
	}
	for i := range u.be.Zones {
		p, err := spawn.at(u.cores.Cache).start(ctx, fmt.Sprint("cache-", i+1), config.Node{Role: config.Store, Host: config.Host{
			Listen: "127.0.0.1:0", Stores: []config.HostedStore{{Name: "zone", Store: config.StoreAt{Kind: "mem", Limit: int64(scenarios.ZoneMemory)}}},
			Seed: u.seed, Faults: u.faultsAt(scenarios.OfCache),
		}})
		u.zones = append(u.zones, p)
		if err != nil {
			return err
		}
		cfg.Zones = append(cfg.Zones, config.StoreAt{Kind: "remote", Addresses: []string{p.ready.Host}, Namespace: "zone"})
	}
	u.facts.Servers = append(u.facts.Servers, fmt.Sprintf("embedded cache zones x%d, in memory, in processes of their own", u.be.Zones))
	return nil
}

// origin starts the publish and the serve processes.
func (u *uplift) origin(ctx context.Context, spawn *spawner, cfg config.Backend) error {
	on := u.scenario.On(u.be)
	publishing := cfg
	publishing.MissRatio = 0
	nodes := []config.Node{{Role: config.Publish, Name: "publish-1", Region: "local", Publish: "127.0.0.1:0", Backend: publishing}}
	for i := range max(1, on.Serve) {
		nodes = append(nodes, config.Node{
			Role: config.Serve, Name: fmt.Sprint("serve-", i+1), Region: "local", Serve: "127.0.0.1:0", Backend: cfg,
			Serving: config.Serving{Hot: int64(on.Hot), Collapse: on.Collapse, Stress: shedding(on.Shed)},
		})
	}
	if u.scenario.Edged() {
		probed := nodes[1]
		probed.Name = "serve-probe"
		nodes = append(nodes, probed)
		u.facts.Edge = &record.Edge{}
	}
	started := make([]*process, len(nodes))
	var g errgroup.Group
	for i, n := range nodes {
		n.Writers = []string{nodes[0].Name}
		n.Events, n.Operator, n.AllowRemote = u.events, "127.0.0.1:0", u.remote
		core := u.cores.Serve
		if n.Role == config.Publish {
			core = u.cores.Publish
		}
		g.Go(func() (err error) {
			started[i], err = spawn.at(core).start(ctx, n.Name, n)
			return err
		})
	}
	err := g.Wait()
	u.publish, u.serve = started[0], started[1:]
	if u.scenario.Edged() {
		u.serve, u.probed = started[1:len(started)-1], started[len(started)-1]
	}
	return err
}

// shedding is how a serving process is told whether to shed; what counts as stress is its own affair.
func shedding(on bool) config.Stress {
	if on {
		return config.Stress{}
	}
	return config.Stress{Shed: -1}
}

// close ends the arm in the order in which nobody misses anybody: origin first, then caches and store.
func (u *uplift) close() error {
	var wg sync.WaitGroup
	for _, group := range [][]*process{append([]*process{u.publish, u.probed}, u.serve...), append([]*process{u.store}, u.zones...)} {
		for _, p := range group {
			if p != nil {
				wg.Go(func() { p.close(8 * time.Second) })
			}
		}
		wg.Wait()
	}
	var errs []error
	for _, f := range u.closers {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// stats asks each node that runs; one that a fault has ended has no counts to give.
func (u *uplift) stats(ctx context.Context) ([]origin.Stats, error) {
	var all []origin.Stats
	for _, p := range append([]*process{u.publish}, u.serve...) {
		if !p.running() {
			continue
		}
		s, err := stats(ctx, "http://"+p.ready.Operator+"/stats")
		if err != nil {
			return nil, fmt.Errorf("stage: %s: %w", p.name, err)
		}
		all = append(all, s)
	}
	return all, nil
}

func stats(ctx context.Context, url string) (s origin.Stats, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return s, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return s, fmt.Errorf("%s: %s", url, res.Status)
	}
	return s, json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&s)
}

// running makes an arm of an origin that is already running somewhere: its processes and its store are its owner's.
func running(name string, publish, serve live.Target) Arm {
	return Arm{Name: name, Up: func(ctx context.Context, _ []config.Event, _ func(kind, text string)) (*Target, error) {
		for _, t := range []live.Target{publish, serve} {
			if err := t.Knock(ctx); err != nil {
				return nil, fmt.Errorf("stage: target %w", err)
			}
		}
		return &Target{
			Publish: publish, Serve: serve,
			Facts: record.Backend{Name: name, Provenance: "measured", Servers: []string{"an origin at " + strings.Join(serve.URLs, ", ")}},
			Fault: func(_ context.Context, f storm.Fault, _ bool) error {
				if strings.HasPrefix(f.To, scenarios.OfPipeline) || f.To == scenarios.OfReaders {
					return nil
				}
				return fmt.Errorf("%v: not a part of this run, which only pipelines and readers are with --target", f)
			},
			Close: func() error { return nil },
		}, nil
	}}
}

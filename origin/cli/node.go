package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"origin-storm/origin"
	"origin-storm/origin/access"
	"origin-storm/origin/config"
	"origin-storm/origin/control"
	"origin-storm/origin/cost/profiles"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/remote"
	"origin-storm/origin/kv/s3/fakes3"
	"origin-storm/origin/metrics"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

// What bounds the end of a node where its configuration does not.
const (
	drainTime = 5 * time.Second
	// lastWord is how long before the end of a drain those who still wait are told 503.
	lastWord = 500 * time.Millisecond
)

// How many connections a listener takes that names no limit: packagers are few, an operator's tools fewer.
const (
	publishConnections  = 4096
	operatorConnections = 256
)

// run is one origin process: it opens its stores, listens, prints one line of config.Ready on out, and serves until ctx ends.
// Then it finishes what is in flight and returns nil.
func run(ctx context.Context, n config.Node, out io.Writer, log *slog.Logger) error {
	node := &node{log: log, ready: config.Ready{PID: os.Getpid()}, drainDelay: n.DrainDelay, drainTime: cmp.Or(n.DrainTime, drainTime)}
	defer node.close()
	var err error
	if n.Role == config.Store {
		err = node.host(n)
	} else {
		err = node.origin(ctx, n)
	}
	if err != nil {
		return fmt.Errorf("origin %s: %w", n.Role, err)
	}
	if err := json.NewEncoder(out).Encode(node.ready); err != nil {
		return fmt.Errorf("origin %s: %w", n.Role, err)
	}
	return node.serve(ctx)
}

// node is a process's listeners and what is behind them.
type node struct {
	log       *slog.Logger
	ready     config.Ready
	listeners []listener
	publish   *origin.Publish // nil if the node does not publish
	closers   []func() error  // called in reverse order in the end

	certificates          *access.Certificates // nil: no TLS
	draining              atomic.Bool
	drainDelay, drainTime time.Duration
}

type listener struct {
	net.Listener
	name   string
	server *origin.Server // with a TLSConfig if it speaks TLS
	last   bool           // stays open until the others have drained
}

func (n *node) listen(name, addr string, h http.Handler, limit config.Limit) (string, error) {
	// An empty address is every interface to net.Listen, and nobody who leaves one out has said that other machines may come.
	l, err := net.Listen("tcp", cmp.Or(addr, "127.0.0.1:0"))
	if err != nil {
		return "", fmt.Errorf("%s listener: %w; choose another address or port 0", name, err)
	}
	server := origin.NewServer(h, limit, n.log)
	if n.certificates != nil {
		server.TLSConfig = n.certificates.Config()
	}
	n.listeners = append(n.listeners, listener{Listener: l, name: name, server: server})
	return l.Addr().String(), nil
}

// origin sets up publish, serve or both.
func (n *node) origin(ctx context.Context, cfg config.Node) error {
	b, err := openBackend(ctx, cfg.Backend, cfg.Serving.Stress, cfg.AllowRemote, n.log)
	if err != nil {
		return err
	}
	n.closers = append(n.closers, b.close)
	if cfg.TLSCert != "" {
		if n.certificates, err = access.Load(access.Files{Cert: cfg.TLSCert, Key: cfg.TLSKey, ClientCA: cfg.ClientCA}, n.log); err != nil {
			return err
		}
	}
	visible := func(h http.Handler) http.Handler {
		if cfg.Log.Access {
			return origin.AccessLog(h, n.log)
		}
		return h
	}
	keeper, err := newKeeper(ctx, cfg, b.control, n.log)
	if err != nil {
		return err
	}
	n.closers = append(n.closers, func() error { keeper.Close(); return nil })
	operator := origin.OperatorConfig{
		Node: cfg.Identity(), Region: cfg.Region, Segments: b.segments, Store: b.counts.stats, Ready: n.isReady, Listeners: n.listenerStats,
		Events: cfg.Events, Control: keeper, Log: n.log,
	}
	if len(b.caches) > 0 {
		operator.Cache = b.cacheStats
	}
	both := cfg.Role == config.All
	if cfg.Role == config.Publish || both {
		p, err := origin.NewPublish(origin.PublishConfig{Events: cfg.Events, Segments: b.segments, Control: keeper, Publishing: cfg.Publishing, Node: cfg.Name, Region: cfg.Region, Log: n.log})
		if err != nil {
			return err
		}
		operator.Publish = p
		n.publish = p
		guard, err := access.New(access.Config{Credentials: cfg.Access.Publish, Log: n.log})
		if err != nil {
			return err
		}
		operator.Access = guard
		limit := cfg.Limits.Publish
		limit.Connections = cmp.Or(limit.Connections, publishConnections)
		if n.ready.Publish, err = n.listen("publish", cfg.Publish, guard.Handler(visible(p)), limit); err != nil {
			return err
		}
	}
	if cfg.Role == config.Serve || both {
		s, err := origin.NewServe(origin.ServeConfig{
			Events: cfg.Events, Segments: b.segments, Control: keeper, Serving: cfg.Serving, Node: cfg.Name, Region: cfg.Region, Log: n.log,
			Load: func() policy.Load { return b.state().Load() },
		})
		if err != nil {
			return err
		}
		operator.Serve = s
		operator.Stress = b.state
		n.closers = append(n.closers, func() error { s.Close(); return nil })
		if n.ready.Serve, err = n.listen("serve", cfg.Serve, visible(s), cfg.Limits.Serve); err != nil {
			return err
		}
	}
	guard, err := access.New(access.Config{Credentials: cfg.Access.Operator, Log: n.log, Open: func(r *http.Request) bool {
		return r.URL.Path == "/healthz" || r.URL.Path == "/readyz" // of load balancers, which know no secrets
	}})
	if err != nil {
		return err
	}
	limit := cfg.Limits.Operator
	limit.Connections = cmp.Or(limit.Connections, operatorConnections)
	operator.Metrics = metrics.Handler(operator.Stats, n.log)
	h, err := origin.NewOperator(operator)
	if err != nil {
		return err
	}
	n.ready.Operator, err = n.listen("operator", cfg.Operator, guard.Handler(h), limit)
	if err == nil {
		n.listeners[len(n.listeners)-1].last = true
		n.checkFiles()
	}
	return err
}

// newKeeper returns the node's view of what is said about its events. It waits a moment for it, so that a node which says that
// it answers usually is ready; where the store is slow or away, /readyz tells when it is.
func newKeeper(ctx context.Context, cfg config.Node, store kv.Store, log *slog.Logger) (*control.Keeper, error) {
	var events []string
	pipelines := make(map[string][]string)
	for _, ev := range cfg.Events {
		events = append(events, ev.Name)
		pipelines[ev.Name] = ev.Pipelines
	}
	writers := cfg.Writers
	if len(writers) == 0 {
		writers = []string{cfg.Identity()}
	}
	k, err := control.New(control.Config{Store: store, Events: events, Pipelines: pipelines, Writers: writers, Node: cfg.Identity(), Log: log})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, segment.Budget)
	defer cancel()
	if err := k.Wait(ctx); err != nil {
		log.Warn("not ready yet", "err", err)
	}
	return k, nil
}

// checkFiles warns if there can be more connections than open files: what is too many is then not sent away but waits, and the
// stores are cut off with it.
func (n *node) checkFiles() {
	var connections int64
	for _, s := range n.listenerStats() {
		connections += s.Limit
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil && uint64(connections) > uint64(files.Cur) {
		n.log.Warn("the limits allow more connections than open files: raise ulimit -n, or lower limits.*.connections",
			"connections", connections, "files", files.Cur)
	}
}

// isReady returns why the node should get no requests. That its store answers follows from that its events' state was read, which is
// the operator's listener's to see; a store that fails later is no reason to take all nodes away at the same time.
func (n *node) isReady(context.Context) error {
	if n.draining.Load() {
		return origin.ErrDraining
	}
	return nil
}

// listenerStats returns the counts of each listener by its name.
func (n *node) listenerStats() map[string]origin.ListenerStats {
	out := make(map[string]origin.ListenerStats, len(n.listeners))
	for _, l := range n.listeners {
		out[l.name] = l.server.Stats()
	}
	return out
}

// host sets up a store process: embedded stores behind kv/remote, and the S3 server. A profile lives here, with the store, so
// that all who use the store stand in one queue.
func (n *node) host(cfg config.Node) error {
	type hosted struct{ commits, chunks kv.Store }
	stores := map[string]hosted{}
	var flushes []func()
	var faults *kv.Faults // nil: there can be none
	if cfg.Host.Faults != "" {
		faults = kv.NewFaults(cfg.Host.Seed, func() {
			for _, flush := range flushes {
				flush()
			}
		})
	}
	for _, h := range cfg.Host.Stores {
		t, err := open(context.Background(), h.Store, false, n.log)
		if err != nil {
			return fmt.Errorf("hosted store %s: %w", h.Name, err)
		}
		n.closers = append(n.closers, t.close)
		if t.flush != nil {
			flushes = append(flushes, t.flush)
		}
		var s hosted
		if s.commits, err = t.table(commits); err != nil {
			return err
		}
		if s.chunks, err = t.table(chunks); err != nil {
			return err
		}
		if h.Profile != "" {
			toll, err := newToll(h.Profile, cfg.Host.Seed)
			if err != nil {
				return fmt.Errorf("hosted store %s: %w", h.Name, err)
			}
			s.commits, s.chunks = kv.Inject(s.commits, toll.Intercept(true)), kv.Inject(s.chunks, toll.Intercept(false))
		}
		if faults != nil {
			s.commits, s.chunks = kv.Inject(s.commits, faults.Around), kv.Inject(s.chunks, faults.Around)
		}
		stores[h.Name] = s
	}
	var err error
	if len(stores) > 0 {
		n.ready.Host, err = n.listen("store", cfg.Host.Listen, remote.Handler(func(name, table string) (kv.Store, bool) {
			s, ok := stores[name]
			switch table {
			case commits:
				return s.commits, ok
			case chunks:
				return s.chunks, ok
			}
			return nil, false
		}), cfg.Limits.Serve)
		if err != nil {
			return err
		}
	}
	if s := cfg.Host.S3; s != nil {
		var around kv.Intercept
		if s.Profile != "" {
			toll, err := newToll(s.Profile, cfg.Host.Seed)
			if err != nil {
				return fmt.Errorf("hosted S3: %w", err)
			}
			around = toll.Intercept(true) // one object per segment: each write is a whole one
		}
		if faults != nil {
			around = kv.Around(faults.Around, around)
		}
		server, err := fakes3.New(fakes3.Config{Bucket: s.Bucket, Around: around})
		if err != nil {
			return err
		}
		if n.ready.S3, err = n.listen("s3", s.Listen, server, cfg.Limits.Serve); err != nil {
			return err
		}
	}
	if faults != nil {
		n.ready.Faults, err = n.listen("faults", cfg.Host.Faults, faultHandler(faults), cfg.Limits.Operator)
		return err
	}
	return nil
}

// newToll loads a profile and makes it chargeable. A Commit's key begins with its event, by which the throttle counts.
func newToll(profile string, seed uint64) (*kv.Toll, error) {
	p, err := profiles.Load(profile)
	if err != nil {
		return nil, err
	}
	return kv.NewToll(p.Meter(seed), func(k kv.Key) string {
		event, _, _ := strings.Cut(k.Part, "/")
		return event
	}), nil
}

// serve answers until ctx ends, then drains: /readyz says no, and after the drain's delay publish says 503 to what is new and
// connections end after their request; what still waits at the end is told 503, and the operator's listener goes last.
func (n *node) serve(ctx context.Context) error {
	var servers errgroup.Group
	failed, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	for _, l := range n.listeners {
		servers.Go(func() error {
			var err error
			if l.server.TLSConfig != nil {
				err = l.server.ServeTLS(l, "", "")
			} else {
				err = l.server.Serve(l)
			}
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			fail(err)
			return err
		})
	}
	<-failed.Done()
	n.draining.Store(true)
	n.log.Info("draining", "delay", n.drainDelay.String(), "at_most", n.drainTime.String())
	if ctx.Err() != nil { // and not a listener that failed
		delay := time.NewTimer(n.drainDelay)
		defer delay.Stop()
		<-delay.C
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.drainTime)
	defer cancel()
	giveUp := time.AfterFunc(n.drainTime-min(lastWord, n.drainTime/2), func() {
		for _, l := range n.listeners {
			l.server.GiveUp()
		}
	})
	defer giveUp.Stop()
	if n.publish != nil {
		// The listener stays open meanwhile: a packager that is told 503 knows to go elsewhere.
		n.publish.Drain()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n.publish.Stats().Active > 0 && end.Err() == nil {
			select {
			case <-tick.C:
			case <-end.Done():
			}
		}
	}
	for _, last := range []bool{false, true} {
		var shut errgroup.Group
		for _, l := range n.listeners {
			if l.last == last {
				shut.Go(func() error {
					if err := l.server.Shutdown(end); err != nil {
						n.log.Warn("requests were cut off at the end of the drain", "listener", l.name)
						return l.server.Close()
					}
					return nil
				})
			}
		}
		shut.Wait()
	}
	return servers.Wait()
}

func (n *node) close() {
	for _, l := range n.listeners {
		l.Close() // of a start that failed half-way; after serve it is closed already
	}
	for i := len(n.closers) - 1; i >= 0; i-- {
		if err := n.closers[i](); err != nil {
			n.log.Warn("closing", "err", err)
		}
	}
}

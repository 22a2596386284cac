// Package origintest starts a whole origin for tests: the real handlers behind real HTTP servers, on a network in memory, so
// that a test in a synctest bubble sees what a deployment would in virtual time, or on loopback where the test is about the
// network. It is no fake: only the wires are short.
package origintest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"origin-storm/origin"
	"origin-storm/origin/access"
	"origin-storm/origin/config"
	"origin-storm/origin/control"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/metrics"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
)

// Config says what to start. Its zero value is one event, as Event returns it, kept in memory without a cache.
type Config struct {
	Events []config.Event
	// Commits and Chunks are where segments are kept; nil means a new mem.Store. Origins that share them are nodes of one
	// deployment.
	Commits, Chunks kv.Store
	// Zones are cache zones in front of Commits and Chunks, which both keep their values in; nil means no cache.
	Zones []kv.Store
	// Limits bounds what clients may take of the two servers.
	Limits config.Limits
	// Credentials are those that may publish; none lets everybody.
	Credentials []config.Credential
	// Control is where event control state is kept; nil: there is none.
	Control kv.Store
	// Writers are the nodes whose documents of it count; nil means Node alone.
	Writers []string
	// ChunkSize is storage.Config's.
	ChunkSize    int
	Serving      config.Serving
	Publishing   config.Publishing
	Node, Region string
	Load         func() policy.Load
	Log          *slog.Logger
	// Network is where the two sides listen; nil means a network of their own. Origins that share one reach each other's sides
	// through any of their Clients, if their Nodes differ.
	Network *Network
	// AroundPublish, AroundServe and AroundOperator wrap the handlers, for a test that needs an origin which does something else; nil: as they are.
	AroundPublish, AroundServe, AroundOperator func(http.Handler) http.Handler
	// Loopback listens on 127.0.0.1 instead of in memory. It must not be used in a bubble.
	Loopback bool
}

// Origin is a running origin: its publishing and its serving side, and what is inside.
type Origin struct {
	// PublishURL and ServeURL are where the two sides listen, such as http://publish, without a slash at the end. In memory
	// they are reached through Client only.
	PublishURL, ServeURL string
	// OperatorURL is where the operator's listener is that shows and changes event control state; empty without Config.Control.
	OperatorURL string
	// Client reaches both sides, keeps connections, and follows no redirects.
	Client *http.Client

	Publish  *origin.Publish
	Serve    *origin.Serve
	Segments *storage.Segments
	Control  *control.Keeper // nil without Config.Control
	// PublishServer and ServeServer are the servers; a test of shutting down calls their Shutdown.
	PublishServer, ServeServer *origin.Server
}

// Event returns an event "ev" of two pipelines, a and b, and two renditions, v1 and v2, whose segment 0 begins at start and
// is due 2 s later.
func Event(start time.Time) config.Event {
	return config.Event{
		Name: "ev", Pipelines: []string{"a", "b"}, Renditions: config.Renditions("v1", "v2"),
		Template: segment.Template{Start: start},
	}
}

// Start starts an origin that is stopped when the test ends. It fails t if it cannot.
func Start(t testing.TB, cfg Config) *Origin {
	t.Helper()
	if cfg.Events == nil {
		cfg.Events = []config.Event{Event(time.Now())}
	}
	if cfg.Commits == nil {
		cfg.Commits = &mem.Store{}
	}
	if cfg.Chunks == nil {
		cfg.Chunks = &mem.Store{}
	}
	sc := storage.Config{Commits: cfg.Commits, Chunks: cfg.Chunks, ChunkSize: cfg.ChunkSize}
	if cfg.Zones != nil {
		commits := kv.NewCache(cfg.Commits, kv.CacheConfig{Zones: cfg.Zones, Keep: storage.CommitKeep})
		chunks := kv.NewCache(cfg.Chunks, kv.CacheConfig{Zones: cfg.Zones, Keep: storage.ChunkKeep, Ahead: true})
		t.Cleanup(func() {
			if err := errors.Join(commits.Close(), chunks.Close()); err != nil {
				t.Errorf("origintest: %v", err)
			}
		})
		sc.Commits, sc.Chunks, sc.Peek = commits, chunks, commits.Peek
	}
	o := &Origin{Segments: storage.New(sc)}
	var err error
	if cfg.Control != nil {
		o.Control = startControl(t, cfg)
	}
	o.Publish, err = origin.NewPublish(origin.PublishConfig{
		Events: cfg.Events, Segments: o.Segments, Control: o.Control, Publishing: cfg.Publishing, Node: cfg.Node, Region: cfg.Region, Log: cfg.Log,
	})
	if err != nil {
		t.Fatalf("origintest: %v", err)
	}
	o.Serve, err = origin.NewServe(origin.ServeConfig{
		Events: cfg.Events, Segments: o.Segments, Control: o.Control, Serving: cfg.Serving, Node: cfg.Node, Region: cfg.Region, Load: cfg.Load, Log: cfg.Log,
	})
	if err != nil {
		t.Fatalf("origintest: %v", err)
	}
	guard, err := access.New(access.Config{Credentials: cfg.Credentials, Log: cfg.Log})
	if err != nil {
		t.Fatalf("origintest: %v", err)
	}
	publish, serve := guard.Handler(o.Publish), http.Handler(o.Serve)
	if cfg.AroundPublish != nil {
		publish = cfg.AroundPublish(publish)
	}
	if cfg.AroundServe != nil {
		serve = cfg.AroundServe(serve)
	}
	o.PublishServer = origin.NewServer(publish, cfg.Limits.Publish, cfg.Log)
	o.ServeServer = origin.NewServer(serve, cfg.Limits.Serve, cfg.Log)

	network, host := cfg.Network, "."+cfg.Node
	if network == nil {
		network, host = &Network{}, ""
	}
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1000}
	if !cfg.Loopback {
		transport.DialContext = network.DialContext
	}
	o.Client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var serving sync.WaitGroup
	listen := func(name string, srv *origin.Server) (url string) {
		var l net.Listener
		if cfg.Loopback {
			if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				t.Fatalf("origintest: %v", err)
			}
			name = l.Addr().String()
		} else {
			l = network.Listen(name + ":80")
		}
		serving.Go(func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("origintest: serve %s: %v", name, err)
			}
		})
		return "http://" + name
	}
	o.PublishURL = listen("publish"+host, o.PublishServer)
	o.ServeURL = listen("serve"+host, o.ServeServer)
	var operatorServer *origin.Server
	if o.Control != nil {
		oc := origin.OperatorConfig{
			Node: cfg.Node, Region: cfg.Region, Events: cfg.Events, Control: o.Control, Publish: o.Publish, Serve: o.Serve, Segments: o.Segments, Log: cfg.Log,
		}
		oc.Metrics = metrics.Handler(oc.Stats, cfg.Log)
		operator, err := origin.NewOperator(oc)
		if err != nil {
			t.Fatalf("origintest: %v", err)
		}
		if cfg.AroundOperator != nil {
			operator = cfg.AroundOperator(operator)
		}
		operatorServer = origin.NewServer(operator, cfg.Limits.Operator, cfg.Log)
		o.OperatorURL = listen("operator"+host, operatorServer)
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = o.PublishServer.Close()
		_ = o.ServeServer.Close()
		if operatorServer != nil {
			_ = operatorServer.Close()
		}
		serving.Wait()
		o.Serve.Close()
	})
	return o
}

// startControl returns a Keeper that has read its documents, unless the store fails.
func startControl(t testing.TB, cfg Config) *control.Keeper {
	t.Helper()
	var events []string
	pipelines := make(map[string][]string)
	for _, ev := range cfg.Events {
		events = append(events, ev.Name)
		pipelines[ev.Name] = ev.Pipelines
	}
	writers := cfg.Writers
	if writers == nil {
		writers = []string{cfg.Node}
	}
	k, err := control.New(control.Config{Store: cfg.Control, Events: events, Pipelines: pipelines, Node: cfg.Node, Writers: writers, Log: cfg.Log})
	if err != nil {
		t.Fatalf("origintest: %v", err)
	}
	t.Cleanup(k.Close)
	ctx, cancel := context.WithTimeout(t.Context(), segment.Budget)
	defer cancel()
	_ = k.Wait(ctx) // a test of a store that fails sees what comes of it
	return k
}

// Network is a network in memory whose addresses are names. Its zero value is ready. Its connections are net.Pipes, one for each
// direction, which ends by itself as one of TCP does (CloseWrite): nothing is lost, nothing takes time, and a write ends when it was read.
type Network struct {
	mu        sync.Mutex // guards listeners
	listeners map[string]*listener
}

// Listen returns a listener at address, which replaces an earlier one.
func (n *Network) Listen(address string) net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners = make(map[string]*listener)
	}
	l := &listener{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[address] = l
	return l
}

// DialContext connects to the listener at address; the network's kind is ignored. It has the form of http.Transport's.
func (n *Network) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("origintest: dial %s: nobody listens there", address)
	}
	to, from := net.Pipe()
	back, answers := net.Pipe()
	ours, theirs := &conn{from: answers, to: to}, &conn{from: from, to: back}
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, fmt.Errorf("origintest: dial %s: %w", address, net.ErrClosed)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// conn is one end of a connection.
type conn struct{ from, to net.Conn }

var _ net.Conn = (*conn)(nil)

func (c *conn) Read(b []byte) (int, error)  { return c.from.Read(b) }
func (c *conn) Write(b []byte) (int, error) { return c.to.Write(b) }
func (c *conn) LocalAddr() net.Addr         { return c.from.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr        { return c.from.RemoteAddr() }
func (c *conn) Close() error                { return errors.Join(c.to.Close(), c.from.Close()) }

// CloseWrite ends what is sent, and not what is heard.
func (c *conn) CloseWrite() error { return c.to.Close() }

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) SetReadDeadline(t time.Time) error  { return alive(c.from.SetReadDeadline(t)) }
func (c *conn) SetWriteDeadline(t time.Time) error { return alive(c.to.SetWriteDeadline(t)) }

// alive forgives that the other end has been closed, which a socket does not know of when it is given a deadline.
func alive(err error) error {
	if errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}

type listener struct {
	address string
	conns   chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

var _ net.Listener = (*listener)(nil)

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return addr(l.address) }

type addr string

func (addr) Network() string  { return "memory" }
func (a addr) String() string { return string(a) }

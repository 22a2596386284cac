package cassandra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/gocql/gocql"
)

// connectTimeout bounds each step of making a connection.
const connectTimeout = 3 * time.Second

// cluster returns the driver's configuration, in which every setting that matters for latency is explicit, and where the nodes will
// be known once a session is made with it.
func (db *DB) cluster() (*gocql.ClusterConfig, *policy, error) {
	cfg := db.cfg
	consistency, err := gocql.ParseConsistencyWrapper(cfg.Consistency)
	if err != nil {
		return nil, nil, fmt.Errorf("cassandra: consistency %q: use a CQL level such as LOCAL_QUORUM", cfg.Consistency)
	}
	c := gocql.NewCluster(cfg.Addresses...)
	c.ProtoVersion = 4 // the newest that the driver speaks; asking for it takes a round trip
	c.Consistency = consistency
	c.NumConns = cfg.Conns
	c.Timeout, c.WriteTimeout, c.ConnectTimeout = cfg.Timeout, cfg.Timeout, connectTimeout
	c.DefaultIdempotence = true
	c.RetryPolicy = nil         // kv.Retry's and kv.Hedge's job
	c.Compressor = nil          // video does not compress
	c.WriteCoalesceWaitTime = 0 // values are large: waiting for more to send with them only costs time
	c.MaxWaitSchemaAgreement = 10 * time.Second
	// A node that was down is used again a second after it answers, whether or not its peers' news came through.
	c.ReconnectInterval = time.Second
	c.ReconnectionPolicy = &gocql.ConstantReconnectionPolicy{MaxRetries: 1, Interval: 100 * time.Millisecond}
	p := newPolicy(cfg.LocalDC)
	c.PoolConfig.HostSelectionPolicy = p
	c.Logger = logger{cfg.Log}
	if cfg.User != "" {
		c.Authenticator = gocql.PasswordAuthenticator{Username: cfg.User, Password: cfg.Password}
	}
	if cfg.TLS != nil {
		c.SslOpts = &gocql.SslOptions{Config: cfg.TLS, EnableHostVerification: !cfg.TLS.InsecureSkipVerify}
	}
	return c, p, nil
}

// connect makes a session, for no longer than ctx lasts.
func connect(ctx context.Context, c *gocql.ClusterConfig) (*gocql.Session, error) {
	d := &dialer{Dialer: net.Dialer{Timeout: c.ConnectTimeout}, opening: ctx}
	c.Dialer = d
	var seen failures
	c.ConnectObserver = &seen
	s, err := gocql.NewSession(*c)
	if !d.opened() && err == nil {
		s.Close()
		err = ctx.Err()
	}
	if err == nil {
		return s, nil
	}
	err = fmt.Errorf("%w%s", err, seen.list())
	if cause := seen.refusal(); cause != nil {
		return nil, fmt.Errorf("cassandra: %v refuses user %s: %w", c.Hosts, user(c), translate(ctx, cause))
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return nil, fmt.Errorf("cassandra: cannot connect to any of %v: check that the addresses are those of clients (CQL) and that "+
		"Cassandra runs: %w", c.Hosts, err)
}

func user(c *gocql.ClusterConfig) string {
	if a, ok := c.Authenticator.(gocql.PasswordAuthenticator); ok {
		return fmt.Sprintf("%q", a.Username)
	}
	return "without a name"
}

// dialer gives the driver's session a context while it is being made, which the driver does not take: when that ends, the connections
// made until then are closed, and the driver gives up.
type dialer struct {
	net.Dialer
	opening context.Context

	mu    sync.Mutex // guards stops
	stops []func() bool
	done  bool
}

// DialContext implements gocql.Dialer.
func (d *dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.mu.Lock()
	done := d.done
	d.mu.Unlock()
	if !done {
		defer context.AfterFunc(d.opening, cancel)()
	}
	conn, err := d.Dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.done {
		d.stops = append(d.stops, context.AfterFunc(d.opening, func() { conn.Close() }))
	}
	return conn, nil
}

// opened ends the hold that the context has on the connections, and reports whether it had not ended before.
func (d *dialer) opened() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = true
	ok := true
	for _, stop := range d.stops {
		ok = stop() && ok
	}
	d.stops = nil
	return ok
}

// failures keeps the last error of each address: those that the driver's own error leaves out.
type failures struct {
	mu   sync.Mutex // guards last
	last map[string]error
}

// ObserveConnect implements gocql.ConnectObserver.
func (f *failures) ObserveConnect(o gocql.ObservedConnect) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == nil {
		f.last = make(map[string]error)
	}
	addr := o.Host.HostnameAndPort()
	if o.Err == nil {
		delete(f.last, addr)
	} else {
		f.last[addr] = o.Err
	}
}

func (f *failures) list() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := ""
	for addr, err := range f.last {
		text += fmt.Sprintf("; %s: %v", addr, err)
	}
	return text
}

// refusal returns the error of a node that answered but did not let the user in.
func (f *failures) refusal() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, err := range f.last {
		var refused gocql.RequestError
		if errors.As(err, &refused) && refused.Code() == gocql.ErrCodeCredentials {
			return err
		}
	}
	return nil
}

// logger passes what the driver prints on to a slog.Logger; it prints only what went wrong.
type logger struct{ to *slog.Logger }

// Print, Printf and Println implement gocql.StdLogger.
func (l logger) Print(v ...any)                 { l.say(fmt.Sprint(v...)) }
func (l logger) Printf(format string, v ...any) { l.say(fmt.Sprintf(format, v...)) }
func (l logger) Println(v ...any)               { l.say(fmt.Sprint(v...)) }

// say names the driver once: some of what it prints does so already, and some ends in a line break.
func (l logger) say(text string) {
	l.to.Warn("gocql: " + strings.TrimPrefix(strings.TrimSpace(text), "gocql: "))
}

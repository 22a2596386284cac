package remote

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"

	"origin-storm/origin/kv"
)

// Config says where a hosted store is.
type Config struct {
	Address string // host:port of the process that hosts it
	Name    string // the hosted store's name
	// Conns is how many idle connections are kept; 0 means 512. It bounds nothing else: each operation under way has its own.
	Conns int
	// Dial makes connections; nil dials TCP, for at most five seconds.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// DB is a hosted store. It is safe for concurrent use.
type DB struct {
	c         Config
	transport *http.Transport
}

// Open returns the hosted store that c names. It connects when it is first used, so that processes may start in any order; an
// operation fails while nothing listens there.
func Open(c Config) (*DB, error) {
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		return nil, fmt.Errorf("remote: address %q: %w: give host:port", c.Address, err)
	}
	if !isName(c.Name) {
		return nil, fmt.Errorf("remote: store name %q: use letters, digits, and inside a name . - _ +", c.Name)
	}
	c.Conns = cmp.Or(c.Conns, 512)
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	}
	return &DB{c: c, transport: &http.Transport{
		DialContext:         c.Dial,
		MaxIdleConnsPerHost: c.Conns,
		MaxIdleConns:        c.Conns,
		IdleConnTimeout:     time.Minute, // well below the server's, so that a connection is seldom closed under a request
		DisableCompression:  true,        // segments do not compress, and lengths must be the values' own
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      16 << 10,
	}}, nil
}

// Table returns one of the store's tables as a kv.Store.
func (d *DB) Table(name string) kv.Store { return &table{d, name} }

// Close closes idle connections. Operations under way go on.
func (d *DB) Close() error {
	d.transport.CloseIdleConnections()
	return nil
}

type table struct {
	db   *DB
	name string
}

var _ kv.MultiGetter = (*table)(nil)

func (t *table) Put(ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
	if len(val) > MaxValue {
		return t.wrap("put", key, fmt.Errorf("%d bytes, at most %d: %w", len(val), MaxValue, kv.ErrTooLarge))
	}
	if keep <= 0 {
		return t.wrap("put", key, fmt.Errorf("keep of %v: must be positive", keep))
	}
	resp, err := t.do(ctx, http.MethodPut, key, keep, val)
	if err != nil {
		return t.wrap("put", key, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return t.wrap("put", key, failure(resp))
	}
	return nil
}

func (t *table) Get(ctx context.Context, key kv.Key) ([]byte, error) {
	resp, err := t.do(ctx, http.MethodGet, key, 0, nil)
	if err != nil {
		return nil, t.wrap("get", key, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, t.wrap("get", key, failure(resp))
	}
	if resp.ContentLength < 0 || resp.ContentLength > MaxValue {
		return nil, t.wrap("get", key, fmt.Errorf("an answer of %d bytes: want 0 to %d", resp.ContentLength, MaxValue))
	}
	val := make([]byte, resp.ContentLength)
	if n, err := io.ReadFull(resp.Body, val); err != nil {
		return nil, t.wrap("get", key, fmt.Errorf("the value broke off after %d of %d bytes: %w", n, len(val), cmp.Or(ctx.Err(), err)))
	}
	return val, nil
}

func (t *table) do(ctx context.Context, method string, key kv.Key, keep time.Duration, body []byte) (*http.Response, error) {
	q := request{store: t.db.c.Name, table: t.name, key: key, keep: keep, attempt: kv.Attempt(ctx)}
	if began := kv.Began(ctx); !began.IsZero() {
		q.age, q.began = max(time.Since(began), 1), began
	}
	resp, reused, err := t.try(ctx, method, q, body)
	if err != nil && reused && ctx.Err() == nil {
		// A connection was kept that the server has closed since, as after a restart. The others are no better, and every operation
		// may be sent twice.
		t.db.transport.CloseIdleConnections()
		resp, _, err = t.try(ctx, method, q, body)
	}
	if err != nil {
		return nil, cmp.Or(ctx.Err(), err)
	}
	return resp, nil
}

// try sends a request; reused says that it went over a connection that was kept.
func (t *table) try(ctx context.Context, method string, q request, body []byte) (resp *http.Response, reused bool, err error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }})
	r, err := http.NewRequestWithContext(ctx, method, "http://"+t.db.c.Address+q.url(), bytes.NewReader(body))
	if err != nil {
		return nil, false, err
	}
	r.Header = q.header()
	resp, err = t.db.transport.RoundTrip(r)
	return resp, reused, err
}

// wrap says what was done to which object where.
func (t *table) wrap(op string, key kv.Key, err error) error {
	return fmt.Errorf("remote: %s %v, store %s/%s at %s: %w", op, key, t.db.c.Name, t.name, t.db.c.Address, err)
}

// failure returns the error in a response that is no success.
func failure(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxText))
	if err != nil || len(text) == 0 {
		text = []byte(resp.Status)
	}
	code := resp.Header.Get(headerError)
	if code == "" {
		return fmt.Errorf("%s: is this an origin store process?", resp.Status)
	}
	for _, f := range failures {
		if f.code == code {
			return &hosted{string(text), f.err}
		}
	}
	return &hosted{text: string(text)}
}

// hosted is an error of the hosted store: its own text, and the sentinel it wraps there.
type hosted struct {
	text string
	is   error
}

func (h *hosted) Error() string { return h.text }
func (h *hosted) Unwrap() error { return h.is }

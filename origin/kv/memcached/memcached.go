// Package memcached keeps values in the memcached servers of one zone. It is a cache: a value may be gone at any time, and a server
// that is lost takes its share of the keys with it until it is back. Copies in several zones are kv.Cache's business.
package memcached

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"origin-storm/origin/kv"
)

// Config says where a zone is. Addresses are needed.
type Config struct {
	Addresses []string // host:port of the zone's servers; keys are spread over them
	// Prefix begins every key that is written or read; printable ASCII without spaces.
	Prefix string
	// Timeout bounds each operation beside its context, connecting included. 0 means 250 ms: it is there for callers
	// without a deadline, and for a zone that has stopped. 15 to 20 ms, what an event allows a zone, are the caller's to set (kv.Cache
	// does): they are too short for a large value that is filled in the background on a busy machine.
	Timeout time.Duration
	// MaxIdle is how many connections to each server are kept for later use; 0 means 256. More may be open at a time. Chunks are read
	// beside each other, in bursts of hundreds when a segment's time has come: a burst of 400 reads of 64 KiB took two thirds of the
	// time with connections enough kept that it took with 64 (60 pairs in turn, 95 % interval 0.61 to 0.76). A server takes 1,024
	// by default (its option -c), from all nodes together.
	MaxIdle int
	// MaxItem is the largest item that the servers take, in bytes, their own header of about 50 and the key included (their option
	// -I, by default 1 MiB). Larger values are refused before they are sent. 0 means that it is learned from the servers' first refusal.
	MaxItem int
}

// DB is a zone. Its methods are safe for concurrent use.
type DB struct {
	cfg     Config
	servers memcache.ServerList
	limit   atomic.Int64 // the largest item, as far as known

	mu     sync.Mutex // guards what follows
	closed bool
	idle   map[string][]*lane // by server, the one used last at the end
}

// itemOverhead is what memcached adds to key and value: its item header, the CAS number, the suffix and the line end, rounded up.
const itemOverhead = 80

// Open prepares the use of a zone. It does not connect: a zone that is down is a matter of each operation.
func Open(cfg Config) (*DB, error) {
	cfg.Timeout = cmp.Or(cfg.Timeout, 250*time.Millisecond)
	cfg.MaxIdle = cmp.Or(cfg.MaxIdle, 256)
	if len(cfg.Addresses) == 0 {
		return nil, errors.New("memcached: no addresses given")
	}
	if err := checkName("prefix", cfg.Prefix); err != nil {
		return nil, err
	}
	db := &DB{cfg: cfg, idle: make(map[string][]*lane)}
	db.limit.Store(int64(cmp.Or(cfg.MaxItem, math.MaxInt)))
	if err := db.servers.SetServers(cfg.Addresses...); err != nil {
		return nil, fmt.Errorf("memcached: addresses %v: %w", cfg.Addresses, err)
	}
	return db, nil
}

// Close closes the connections that are not in use; those in use are closed when their operation ends.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.closed = true
	for addr := range db.idle {
		db.dropLocked(addr)
	}
	return nil
}

// Table returns the store whose keys are told apart from those of other tables by name. It panics if name is not printable ASCII
// without spaces, or too long.
func (db *DB) Table(name string) kv.Store {
	if err := checkName("table", name); err != nil {
		panic(err)
	}
	return &Store{db: db, prefix: db.cfg.Prefix + "/" + name + "/"}
}

// checkName checks a part of a key in memcached, which may have 250 bytes in all.
func checkName(what, name string) error {
	if len(name) > 100 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return fmt.Errorf("memcached: %s %q: use up to 100 printable ASCII characters without spaces", what, name)
	}
	return nil
}

// Store is one table of a zone.
type Store struct {
	db     *DB
	prefix string
}

var _ kv.MultiGetter = (*Store)(nil)

// key returns the name of a value in memcached. It is a digest, so that it fits whatever the key's length, and no two meet.
func (s *Store) key(key kv.Key) string {
	sum := sha256.Sum256([]byte(key.String()))
	return s.prefix + base64.RawURLEncoding.EncodeToString(sum[:])
}

// Put implements kv.Store for as long as the server does not forget.
func (s *Store) Put(ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
	item := &memcache.Item{Key: s.key(key), Value: val, Expiration: expiration(keep, time.Now())}
	size := int64(len(item.Key) + len(val) + itemOverhead)
	if limit := s.db.limit.Load(); size > limit {
		return fmt.Errorf("memcached: put %v: %d bytes, limit %d: %w", key, size, limit, kv.ErrTooLarge)
	}
	err := s.db.do(ctx, item.Key, func(l *lane) error { return l.client.Set(item) })
	if err == nil {
		return nil
	}
	switch text := err.Error(); {
	case strings.Contains(text, "object too large for cache"):
		s.db.learn(size - 1)
		err = fmt.Errorf("%w: %w", kv.ErrTooLarge, err)
	case strings.Contains(text, "out of memory"):
		err = fmt.Errorf("%w: %w", kv.ErrFull, err)
	}
	return fmt.Errorf("memcached: put %v: %w", key, err)
}

// learn lowers the limit to what a server has taught.
func (db *DB) learn(limit int64) {
	for {
		old := db.limit.Load()
		if limit >= old || db.limit.CompareAndSwap(old, limit) {
			return
		}
	}
}

// Get implements kv.Store.
func (s *Store) Get(ctx context.Context, key kv.Key) ([]byte, error) {
	var val []byte
	name := s.key(key)
	err := s.db.do(ctx, name, func(l *lane) (err error) {
		val, err = l.get(name, kv.Buffer(ctx))
		return err
	})
	switch {
	case errors.Is(err, memcache.ErrCacheMiss):
		return nil, fmt.Errorf("memcached: get %v: %w", key, kv.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("memcached: get %v: %w", key, err)
	}
	return val, nil
}

// GetMulti implements kv.MultiGetter with one exchange for each server.
func (s *Store) GetMulti(ctx context.Context, keys []kv.Key) ([][]byte, error) {
	type share struct {
		names   []string
		indices []int // of names in keys
	}
	shares := make(map[net.Addr]*share, 1)
	for i, key := range keys {
		name := s.key(key)
		addr, err := s.db.servers.PickServer(name)
		if err != nil {
			return make([][]byte, len(keys)), fmt.Errorf("memcached: get of %d keys: %w", len(keys), err)
		}
		if shares[addr] == nil {
			shares[addr] = &share{}
		}
		shares[addr].names = append(shares[addr].names, name)
		shares[addr].indices = append(shares[addr].indices, i)
	}
	vals := make([][]byte, len(keys)) // each goroutine writes its own indices
	var errs []error
	var mu sync.Mutex // guards errs
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
	}
	var wg sync.WaitGroup
	for addr, sh := range shares {
		get := func() {
			var items map[string]*memcache.Item
			err := s.db.doAt(ctx, addr, func(l *lane) (err error) {
				items, err = l.client.GetMulti(sh.names)
				return err
			})
			if err != nil {
				fail(err)
				return // what a broken exchange has read so far is not trusted
			}
			hits := 0
			for k, name := range sh.names {
				if item := items[name]; item != nil {
					vals[sh.indices[k]] = item.Value
					hits++
				}
			}
			if hits < len(items) { // an answer to another question: the connection is out of step
				for _, i := range sh.indices {
					vals[i] = nil
				}
				fail(fmt.Errorf("%v answered with items that were not asked for", addr))
			}
		}
		if len(shares) == 1 {
			get()
		} else {
			wg.Go(get)
		}
	}
	wg.Wait()
	if len(errs) > 0 {
		return vals, fmt.Errorf("memcached: get of %d keys: %w", len(keys), errors.Join(errs...))
	}
	return vals, nil
}

// expiration is a keep in memcached's terms: seconds, or beyond 30 days a Unix time. The server counts whole seconds, and what is
// stored in the last moment of one has lost it in the next, so one is added.
func expiration(keep time.Duration, now time.Time) int32 {
	const month = 30 * 24 * 60 * 60
	seconds := max(1, math.Ceil(keep.Seconds())) + 1
	if seconds > month {
		seconds += float64(now.Unix())
	}
	return int32(min(seconds, math.MaxInt32))
}

// lane is one connection to one server, used by one operation at a time. The driver's client takes no context and has one timeout
// for all; a client of its own for each connection gives every operation its own deadline, and a way to be ended at once. Values are
// read from the connection past the client, which would allocate each anew (see read.go).
type lane struct {
	client *memcache.Client
	addr   net.Addr
	in     *bufio.Reader // of conn; empty between operations, as the client's own is
	used   bool          // for an operation before the present one

	mu   sync.Mutex // guards what follows
	ctx  context.Context
	conn net.Conn
}

func newLane(addr net.Addr, timeout time.Duration) *lane {
	l := &lane{client: memcache.NewFromSelector(one{addr}), addr: addr}
	l.client.Timeout = timeout
	l.client.MaxIdleConns = 1
	l.client.DialContext = l.dial
	return l
}

// one is a memcache.ServerSelector that knows one server.
type one struct{ addr net.Addr }

// PickServer implements memcache.ServerSelector.
func (o one) PickServer(string) (net.Addr, error) { return o.addr, nil }

// Each implements memcache.ServerSelector.
func (o one) Each(f func(net.Addr) error) error { return f(o.addr) }

func (l *lane) dial(ctx context.Context, network, address string) (net.Conn, error) {
	l.mu.Lock()
	operation, conn := l.ctx, l.conn
	l.mu.Unlock()
	if conn != nil { // the first operation was a get
		return conn, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(operation, cancel)()
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
	if operation.Err() != nil {
		conn.Close()
	}
	return conn, nil
}

// run does an operation, for no longer than ctx lasts. The lane may be used again if ok.
func (l *lane) run(ctx context.Context, operation func(*lane) error) (ok bool, err error) {
	l.mu.Lock()
	l.ctx = ctx
	l.mu.Unlock()
	// Closing the connection ends a read or write that is under way; a deadline would be set anew by the client.
	stop := context.AfterFunc(ctx, l.close)
	err = operation(l)
	l.used = true
	return stop() && (err == nil || errors.Is(err, memcache.ErrCacheMiss)), err
}

func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.conn.Close()
	}
}

// do runs an operation on a connection to the server of name.
func (db *DB) do(ctx context.Context, name string, operation func(*lane) error) error {
	addr, err := db.servers.PickServer(name)
	if err != nil {
		return err
	}
	return db.doAt(ctx, addr, operation)
}

// doAt runs an operation on a connection to a server. A connection that turns out to be dead was closed by a server
// that has restarted since: the others are dropped with it, and the operation is done once more on a new one.
func (db *DB) doAt(ctx context.Context, addr net.Addr, operation func(*lane) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, db.cfg.Timeout)
	defer cancel()
	for {
		l, err := db.take(addr)
		if err != nil {
			return err
		}
		stale := l.used
		ok, err := l.run(within, operation)
		if ok {
			db.give(addr, l)
			return err
		}
		l.close()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case within.Err() != nil:
			return fmt.Errorf("no answer from %v within %v", addr, db.cfg.Timeout)
		case stale && lost(err):
			db.drop(addr)
		default:
			return fmt.Errorf("%v: %w", addr, err)
		}
	}
}

// lost reports whether an error says that the server has closed the connection.
func lost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (db *DB) take(addr net.Addr) (*lane, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil, errors.New("the zone is closed")
	}
	idle := db.idle[addr.String()]
	if len(idle) == 0 {
		return newLane(addr, db.cfg.Timeout), nil
	}
	last := len(idle) - 1
	l := idle[last]
	db.idle[addr.String()] = idle[:last]
	return l, nil
}

func (db *DB) give(addr net.Addr, l *lane) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if idle := db.idle[addr.String()]; !db.closed && len(idle) < db.cfg.MaxIdle {
		db.idle[addr.String()] = append(idle, l)
	} else {
		l.close()
	}
}

// drop closes the idle connections to a server.
func (db *DB) drop(addr net.Addr) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.dropLocked(addr.String())
}

func (db *DB) dropLocked(addr string) {
	for _, l := range db.idle[addr] {
		l.close()
	}
	delete(db.idle, addr)
}

// Package cassandra keeps values in Apache Cassandra: one table per store, each write with a time to live, written and read at
// local quorum. It makes its keyspace and tables where they are missing and touches no other. It neither retries nor hedges;
// a second try of kv.Retry or kv.Hedge goes to another replica than the first.
package cassandra

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/gocql/gocql"

	"origin-storm/origin/kv"
)

// Config says where a keyspace is and how to reach it. Addresses and Keyspace are needed.
type Config struct {
	Addresses []string // host:port of some of the nodes; the others are learned from them
	Keyspace  string   // lower-case letters, digits and underscores; made if it is missing
	User      string   // empty: no authentication
	Password  string
	TLS       *tls.Config // nil: plain TCP

	// LocalDC is the data centre to use; empty means that of the first address that answers.
	LocalDC string
	// Replicas is the replication factor in the local data centre when the keyspace has to be made; 0 means 3, or as many as
	// there are nodes if they are fewer.
	Replicas int
	// Consistency is a CQL consistency level; empty means LOCAL_QUORUM.
	Consistency string
	// Keep is about how long values are kept for; compaction windows are cut by it when a table has to be made. 0 means 2 h.
	Keep time.Duration

	// Conns is the number of connections to each node; 0 means 4, so that large values that are on their way do not keep small
	// ones waiting.
	Conns int
	// Timeout bounds each operation beside its context; 0 means 1 s, so that in the two seconds that a segment's write may take
	// kv.Retry has time for a second replica when the first does not answer.
	Timeout time.Duration
	// MaxValue bounds a value in bytes; 0 means 15 MiB, what a node takes in one write (16 MiB) less some room for the rest of it.
	MaxValue int

	Log *slog.Logger // what the driver has to say; nil discards
}

// DB is a keyspace. Its methods are safe for concurrent use.
type DB struct {
	cfg     Config
	session *gocql.Session

	mu     sync.Mutex // guards tables
	tables map[string]*Store
}

// What tables are made like.
const (
	// maxWindows is about how many time windows a value's life is cut into: fewer than 50, as Cassandra's manual advises.
	maxWindows = 30

	// grace is how long a tombstone, here: an expired value, stays on disk. Values are never deleted, so none can come back, and 0
	// would free the disk soonest; but a hint kept for a node that is down dies with the grace, and with 0 there would be no hints:
	// the node would come back without what was written meanwhile. Ten minutes are longer than a node is away in a run, and
	// shorter than an event.
	grace = 10 * time.Minute

	// mark is the comment of each table that was made here; Drop goes by it.
	mark = "origin-storm"
)

// names is what a keyspace or table may be called: what CQL takes unquoted.
var names = regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`)

// Open connects to a cluster and makes the keyspace if it is missing. Several processes may do so at the same time. Where no node
// answers it fails within a few seconds, naming the addresses.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	cfg.Consistency = cmp.Or(cfg.Consistency, "LOCAL_QUORUM")
	cfg.Keep = cmp.Or(cfg.Keep, 2*time.Hour)
	cfg.Conns = cmp.Or(cfg.Conns, 4)
	cfg.Timeout = cmp.Or(cfg.Timeout, time.Second)
	cfg.MaxValue = cmp.Or(cfg.MaxValue, 15<<20)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if len(cfg.Addresses) == 0 {
		return nil, errors.New("cassandra: no addresses given")
	}
	if !names.MatchString(cfg.Keyspace) || strings.HasPrefix(cfg.Keyspace, "system") {
		return nil, fmt.Errorf("cassandra: keyspace %q: use up to 48 lower-case letters, digits and underscores, "+
			"a letter first, and not Cassandra's own system keyspaces", cfg.Keyspace)
	}
	db := &DB{cfg: cfg, tables: make(map[string]*Store)}
	if err := db.create(ctx); err != nil {
		return nil, err
	}
	cluster, _, err := db.cluster()
	if err != nil {
		return nil, err
	}
	cluster.Keyspace = cfg.Keyspace
	if db.session, err = connect(ctx, cluster); err != nil {
		return nil, err
	}
	return db, nil
}

// Close ends all connections. Operations that are under way fail.
func (db *DB) Close() error {
	db.session.Close()
	return nil
}

// Table returns the store that keeps its values in the named table of the keyspace, and makes the table if it is missing. Several
// processes may do so at the same time.
func (db *DB) Table(ctx context.Context, name string) (kv.Store, error) {
	if !names.MatchString(name) {
		return nil, fmt.Errorf("cassandra: table %q: use up to 48 lower-case letters, digits and underscores, a letter first", name)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if s := db.tables[name]; s != nil {
		return s, nil
	}
	if err := db.createTable(ctx, name); err != nil {
		return nil, err
	}
	table := db.cfg.Keyspace + "." + name
	s := &Store{
		db:  db,
		put: "INSERT INTO " + table + " (part, name, val) VALUES (?, ?, ?) USING TTL ?",
		get: "SELECT val FROM " + table + " WHERE part = ? AND name = ?",
	}
	db.tables[name] = s
	return s, nil
}

// Store is one table. Where two machines write one key at the same time, the later of their clocks wins.
type Store struct {
	db       *DB
	put, get string
}

var _ kv.Store = (*Store)(nil)

// Put implements kv.Store. A nil error means that a quorum of the local replicas has the value.
func (s *Store) Put(ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
	if max := s.db.cfg.MaxValue; len(val) > max {
		return fmt.Errorf("cassandra: put %v: %d bytes, limit %d: %w", key, len(val), max, kv.ErrTooLarge)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cassandra: put %v: %w", key, err)
	}
	if val == nil {
		val = []byte{} // nil would be a null, which is a tombstone
	}
	err := s.db.session.Query(s.put, key.Part, key.Name, val, ttl(keep)).WithContext(ctx).Idempotent(true).Exec()
	if err != nil {
		return fmt.Errorf("cassandra: put %v: %w", key, translate(ctx, err))
	}
	return nil
}

// Get implements kv.Store.
func (s *Store) Get(ctx context.Context, key kv.Key) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cassandra: get %v: %w", key, err)
	}
	var val blob
	err := s.db.session.Query(s.get, key.Part, key.Name).WithContext(ctx).Idempotent(true).PageSize(0).Scan(&val)
	if err != nil {
		return nil, fmt.Errorf("cassandra: get %v: %w", key, translate(ctx, err))
	}
	return val, nil
}

// blob takes a value out of a response without a copy: the driver uses the buffer of a response for nothing else.
type blob []byte

var _ gocql.Unmarshaler = (*blob)(nil)

// UnmarshalCQL implements gocql.Unmarshaler.
func (b *blob) UnmarshalCQL(_ gocql.TypeInfo, data []byte) error {
	*b = data[:len(data):len(data)]
	return nil
}

// ttl is a keep in Cassandra's whole seconds. A cell that is written in the last moment of a second with a TTL of one second ends
// with the next second's beginning, so one is added.
func ttl(keep time.Duration) int {
	const limit = 20 * 365 * 24 * 60 * 60 // of Cassandra
	return int(min(limit, max(1, math.Ceil(keep.Seconds()))+1))
}

// translate gives a driver's error the meaning that kv's callers branch on.
func translate(ctx context.Context, err error) error {
	if errors.Is(err, gocql.ErrNotFound) {
		return kv.ErrNotFound
	}
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	var refused gocql.RequestError
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.Code() {
	case gocql.ErrCodeUnauthorized, gocql.ErrCodeCredentials:
		return fmt.Errorf("%w: %w", kv.ErrDenied, err)
	case gocql.ErrCodeOverloaded:
		return fmt.Errorf("%w: %w", kv.ErrThrottled, err)
	case gocql.ErrCodeInvalid, gocql.ErrCodeServer:
		// A node whose limits are set lower than MaxValue: "Mutation of 9 bytes is too large for the maximum size of 8".
		if strings.Contains(refused.Message(), "too large for the maximum size") {
			return fmt.Errorf("%w: %w", kv.ErrTooLarge, err)
		}
	}
	return err
}

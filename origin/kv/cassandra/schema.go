package cassandra

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gocql/gocql"

	"origin-storm/origin/kv"
)

// schemaTimeout bounds a change of the schema, which may take a loaded cluster seconds.
const schemaTimeout = 30 * time.Second

// create makes the keyspace if it is missing.
func (db *DB) create(ctx context.Context) error {
	c, known, err := db.cluster()
	if err != nil {
		return err
	}
	c.NumConns = 1
	s, err := connect(ctx, c)
	if err != nil {
		return err
	}
	defer s.Close()

	var there string
	err = s.Query("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?", db.cfg.Keyspace).
		WithContext(ctx).Consistency(gocql.One).Scan(&there)
	if err == nil {
		return db.usable(ctx, s)
	}
	if !errors.Is(err, gocql.ErrNotFound) {
		return fmt.Errorf("cassandra: look for keyspace %s: %w", db.cfg.Keyspace, translate(ctx, err))
	}
	dc := db.cfg.LocalDC
	if dc == "" {
		if err := s.Query("SELECT data_center FROM system.local").WithContext(ctx).Consistency(gocql.One).Scan(&dc); err != nil {
			return fmt.Errorf("cassandra: which data centre is local: %w", translate(ctx, err))
		}
	}
	nodes := known.in(dc)
	if nodes == 0 {
		return fmt.Errorf("cassandra: no node of %v is in data centre %q", db.cfg.Addresses, dc)
	}
	replicas := db.cfg.Replicas
	if replicas == 0 {
		replicas = min(3, nodes)
	}
	return db.change(ctx, s, "keyspace "+db.cfg.Keyspace, fmt.Sprintf(
		"CREATE KEYSPACE IF NOT EXISTS %s WITH replication = {'class': 'NetworkTopologyStrategy', '%s': %d}", db.cfg.Keyspace, dc, replicas))
}

// usable waits until a keyspace that has a row in the schema's tables can be used. Where another process is making it that is a
// moment later, on a loaded node long enough for a session to be refused. DESCRIBE looks where USE does; a Cassandra before 4.0 does
// not know it and is taken at its word.
func (db *DB) usable(ctx context.Context, s *gocql.Session) error {
	ctx, cancel := context.WithTimeout(ctx, schemaTimeout)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.Query("DESCRIBE KEYSPACE " + db.cfg.Keyspace).WithContext(ctx).Exec()
		refused, ok := errors.AsType[gocql.RequestError](err)
		if err == nil || ok && refused.Code() != gocql.ErrCodeInvalid {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("cassandra: keyspace %s is named in the schema and cannot be used: %w", db.cfg.Keyspace, translate(ctx, err))
		}
	}
}

// createTable makes a table if it is missing. Its id follows from its name: when two processes make it at the same time through
// two nodes, each of which knows of none, both make the same table and not two of one name.
func (db *DB) createTable(ctx context.Context, name string) error {
	table := db.cfg.Keyspace + "." + name
	there := func() error {
		return db.session.Query("SELECT val FROM " + table + " WHERE part = 'none' AND name = 'none'").WithContext(ctx).Exec()
	}
	if there() == nil {
		db.agree(ctx, db.session) // another process may have made it just now
		return nil
	}
	window := max(1, int((db.cfg.Keep / maxWindows).Round(time.Minute).Minutes()))
	err := db.change(ctx, db.session, "table "+table, fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s (part text, name text, val blob, PRIMARY KEY (part, name))
		WITH ID = %s
		AND comment = '%s'
		AND compaction = {'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'MINUTES', 'compaction_window_size': %d}
		AND compression = {'enabled': false}
		AND caching = {'keys': 'ALL', 'rows_per_partition': 'NONE'}
		AND gc_grace_seconds = %d
		AND speculative_retry = 'MIN(99p,50ms)'`,
		table, tableID(table), mark, window, int(grace.Seconds())))
	if err != nil {
		return err
	}
	return retry(ctx, "table "+table, there)
}

// tableID returns the id of a table, given as keyspace.name.
func tableID(table string) gocql.UUID {
	sum := sha256.Sum256([]byte(mark + "/" + table))
	id := gocql.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80 // version 8: vendor's own
	id[8] = id[8]&0x3f | 0x80
	return id
}

// change changes the schema. The driver waits until the nodes that answer agree on the change, and so does agree once more where
// there was none to make because another process was first.
func (db *DB) change(ctx context.Context, s *gocql.Session, what, stmt string) error {
	if err := retry(ctx, what, func() error { return s.Query(stmt).WithContext(ctx).Exec() }); err != nil {
		return err
	}
	db.agree(ctx, s)
	return nil
}

// agree waits until the nodes agree on the schema. They need not: one that is down keeps the version it had, and those that
// are up can be used all the same.
func (db *DB) agree(ctx context.Context, s *gocql.Session) {
	if err := s.AwaitSchemaAgreement(ctx); err != nil {
		db.cfg.Log.Warn("cassandra: the nodes do not agree on the schema; is one of them down?", "error", err)
	}
}

// retry tries again what may fail while others change the schema too, until it succeeds or fails for good.
func retry(ctx context.Context, what string, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, schemaTimeout)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		err = translate(ctx, err)
		if kv.Permanent(err) {
			return fmt.Errorf("cassandra: make %s: %w", what, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("cassandra: make %s: %w", what, err)
		}
	}
}

// Drop removes the keyspace with all it holds and closes db. It refuses to where the keyspace holds a table that was not made here.
func (db *DB) Drop(ctx context.Context) error {
	defer db.Close()
	var name, comment string
	rows := db.session.Query("SELECT table_name, comment FROM system_schema.tables WHERE keyspace_name = ?", db.cfg.Keyspace).WithContext(ctx).Iter()
	for rows.Scan(&name, &comment) {
		if comment != mark {
			return errors.Join(rows.Close(), fmt.Errorf("cassandra: drop keyspace %s: it holds the table %s, which was not made by origin-storm",
				db.cfg.Keyspace, name))
		}
	}
	if err := rows.Close(); err != nil {
		return fmt.Errorf("cassandra: drop keyspace %s: %w", db.cfg.Keyspace, translate(ctx, err))
	}
	return db.change(ctx, db.session, "drop of keyspace "+db.cfg.Keyspace, "DROP KEYSPACE IF EXISTS "+db.cfg.Keyspace)
}

// Ping asks the node at addr for its version, to see that it answers; where the cluster has more nodes than one, also whether every one of
// them answers through it.
func Ping(ctx context.Context, addr string, nodes int) (version string, err error) {
	db := &DB{cfg: Config{Addresses: []string{addr}, Consistency: "ONE", Conns: 1, Timeout: connectTimeout,
		Log: slog.New(slog.DiscardHandler)}}
	c, _, err := db.cluster()
	if err != nil {
		return "", err
	}
	c.DisableInitialHostLookup = true // this node and no other
	s, err := connect(ctx, c)
	if err != nil {
		return "", err
	}
	defer s.Close()
	if err := s.Query("SELECT release_version FROM system.local").WithContext(ctx).Scan(&version); err != nil {
		return "", fmt.Errorf("cassandra: ping %s: %w", addr, translate(ctx, err))
	}
	if nodes == 1 {
		return version, nil
	}
	var peers int
	if err := s.Query("SELECT count(*) FROM system.peers_v2").WithContext(ctx).Scan(&peers); err != nil {
		return "", fmt.Errorf("cassandra: ping %s: %w", addr, translate(ctx, err))
	}
	if peers != nodes-1 {
		return "", fmt.Errorf("cassandra: ping %s: it knows of %d other nodes, want %d", addr, peers, nodes-1)
	}
	// A read at level ALL of a small keyspace that Cassandra itself keeps three times.
	err = s.Query("SELECT * FROM system_distributed.view_build_status LIMIT 1").WithContext(ctx).Consistency(gocql.All).Exec()
	if err != nil {
		return "", fmt.Errorf("cassandra: ping %s: the other nodes through it: %w", addr, translate(ctx, err))
	}
	return version, nil
}

// Package pebble is a kv.Store on this machine's disk, kept by Pebble (a log-structured merge tree) in this process. What was put is
// on disk when Put returns; writes that come together are synced together. It is not replicated, and only one process may have
// a directory open: package remote lets others reach it.
//
// # Layout
//
// A value is three entries, written in one batch:
//
//	m {table} 0 {part} ' ' {name}  →  {expiry} {number}        where the value of a key is
//	v {expiry} {number}            →  the value
//	x {expiry} {number}            →  the first entry's key     what expires when
//
// Values are ordered by when they expire, and what is kept equally long arrives in that order. So they are written once and not
// moved again by compactions, and a stretch of time that has passed is freed by one range deletion, which drops whole files.
// Only the small first entries are looked at one by one.
package pebble

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"origin-storm/origin/kv"
)

// Config tunes a DB. The zero value is right for segments.
type Config struct {
	// Cache is how many bytes of what was read are kept in memory, beside what the operating system keeps; 0 means 64 MiB.
	Cache int64
	// Sweep is how often expired values are freed; 0 means 5 s. Expired values are never returned, freed or not.
	Sweep time.Duration
	// Reserve is how many bytes of the disk are left free: a Put that would go below fails with kv.ErrFull while reads, expiry and
	// the store's own upkeep go on. 0 means 512 MiB, a negative number none.
	Reserve int64
	Logger  *slog.Logger // nil discards

	// Of tests.
	fs       vfs.FS // nil: the operating system's
	memtable uint64 // bytes; 0 means 64 MiB
}

// MaxValue is the largest value that a DB takes, in bytes.
const MaxValue = 64 << 20

// DB is an open directory. It is safe for concurrent use.
type DB struct {
	dir    string
	c      Config
	db     *pebble.DB
	log    *slog.Logger
	number atomic.Uint64 // of the latest value

	// stripes order the writes of one key: a Put looks at what it replaces, the sweeper at what it removes. They are held while a
	// batch enters the log, not while it is synced.
	stripes [256]sync.Mutex
	seed    maphash.Seed

	mu      sync.Mutex // guards closed
	closed  bool
	owned   sync.WaitGroup // operations and the sweeper; Add only under mu and before closed
	closing chan struct{}

	broken    chan struct{} // closed when Pebble met an error it cannot go on from; cause is set before
	cause     error
	breakOnce sync.Once
}

// Open opens the store in dir, which is created if need be. The caller closes it.
func Open(dir string, c Config) (*DB, error) {
	c.Cache = cmp.Or(c.Cache, 64<<20)
	c.Sweep = cmp.Or(c.Sweep, 5*time.Second)
	c.Reserve = cmp.Or(c.Reserve, 512<<20)
	// Large enough that values of several hundred KiB come by the hundred into one flush.
	c.memtable = cmp.Or(c.memtable, 64<<20)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.fs == nil {
		c.fs = vfs.Default
	}
	d := &DB{
		dir: dir, c: c, log: c.Logger.With("store", dir), seed: maphash.MakeSeed(),
		closing: make(chan struct{}), broken: make(chan struct{}),
	}
	// Together with the expiry a number must never come twice, in any life of the directory; a start at random does not depend on the
	// clock.
	d.number.Store(rand.Uint64())

	var armed atomic.Bool
	opts := &pebble.Options{
		FS:                          guard{c.fs, &armed, d.fail},
		FormatMajorVersion:          pebble.FormatValueSeparation,
		Logger:                      pebbleLog{d.log, d.fail},
		CacheSize:                   c.Cache,
		MemTableSize:                c.memtable,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       100,
		LBaseMaxBytes:               256 << 20,
		// What a burst has left in the page cache is written out as it comes, not in one go when a sync needs the disk.
		BytesPerSync:          1 << 20,
		WALBytesPerSync:       1 << 20,
		FlushDelayDeleteRange: 2 * c.Sweep, // or expired values would stay on disk until the next flush
		MaxOpenFiles:          1000,
		EventListener:         &pebble.EventListener{BackgroundError: d.backgroundError},
	}
	// Values live in files of their own, so that compactions move 30 bytes for each and not the value.
	opts.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		return pebble.ValueSeparationPolicy{
			Enabled: true, MinimumSize: 1 << 10, MaxBlobReferenceDepth: 10,
			RewriteMinimumAge: time.Minute, TargetGarbageRatio: 0.5,
		}
	}
	opts.TargetFileSizes[0] = int64(c.memtable / 2) // of files of values; by default 2 MiB, which would be many files
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // most keys that are put are new
	}
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone }) // video does not compress

	if err := d.open(opts); err != nil {
		return nil, fmt.Errorf("pebble: open %s: %w", dir, explain(err))
	}
	armed.Store(true)
	d.owned.Go(d.sweep)
	return d, nil
}

func (d *DB) open(opts *pebble.Options) (err error) {
	defer d.catch(&err)
	d.db, err = pebble.Open(d.dir, opts)
	return err
}

// Close waits for operations under way and for the sweeper, and closes the directory. Operations after it fail. A store that broke
// before is left as it is on disk, and Close says why.
func (d *DB) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	d.mu.Unlock()
	close(d.closing)
	done := make(chan error, 1)
	go func() {
		d.owned.Wait()
		var err error
		func() {
			defer d.catch(&err)
			err = d.db.Close()
		}()
		done <- err
	}()
	var err error
	select {
	case err = <-done:
	case <-d.broken: // now or before; what waits inside Pebble waits for ever
		err = d.cause
	}
	if err != nil {
		return fmt.Errorf("pebble: close %s: %w", d.dir, explain(err))
	}
	return nil
}

// Table returns a table of the store; it exists from its first Put. Names are printable ASCII.
func (d *DB) Table(name string) kv.Store { return &table{d, "m" + name + "\x00"} }

type table struct {
	db     *DB
	prefix string
}

var _ kv.Store = (*table)(nil)

func (t *table) metaKey(key kv.Key) []byte {
	b := make([]byte, 0, len(t.prefix)+len(key.Part)+1+len(key.Name))
	b = append(b, t.prefix...)
	b = append(b, key.Part...)
	b = append(b, ' ') // which occurs in neither
	return append(b, key.Name...)
}

// Put returns when val is on disk or ctx ends, whichever is first; after the latter the write may still take effect.
func (t *table) Put(ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
	err := t.db.put(ctx, t.metaKey(key), val, keep)
	if err != nil {
		return fmt.Errorf("pebble: put %v: %w", key, err)
	}
	return nil
}

// Get returns the value of key. Reading from the disk does not end with ctx.
func (t *table) Get(ctx context.Context, key kv.Key) ([]byte, error) {
	val, err := t.db.get(ctx, t.metaKey(key))
	if err != nil {
		return nil, fmt.Errorf("pebble: get %v: %w", key, err)
	}
	return val, nil
}

// place is where a value is: its expiry in milliseconds and its number, in the order of bytes.
type place [16]byte

func (p place) expiry() time.Time { return time.UnixMilli(int64(binary.BigEndian.Uint64(p[:]))) }

func newPlace(expiry time.Time, number uint64) (p place) {
	binary.BigEndian.PutUint64(p[:], uint64(expiry.Add(time.Millisecond-1).UnixMilli())) // rounded up
	binary.BigEndian.PutUint64(p[8:], number)
	return p
}

// at returns the key of kind 'v' or 'x' for p.
func (p place) at(kind byte) []byte { return append([]byte{kind}, p[:]...) }

var errClosed = errors.New("the store is closed")

// enter registers an operation; leave follows it.
func (d *DB) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-d.broken:
		return d.cause
	default:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	d.owned.Add(1)
	return nil
}

func (d *DB) leave() { d.owned.Done() }

func (d *DB) put(ctx context.Context, meta, val []byte, keep time.Duration) error {
	switch {
	case keep <= 0:
		return fmt.Errorf("keep of %v: must be positive", keep)
	case len(val) > MaxValue:
		return fmt.Errorf("%d bytes, at most %d: %w", len(val), MaxValue, kv.ErrTooLarge)
	}
	if err := d.enter(ctx); err != nil {
		return err
	}
	if err := d.room(len(val)); err != nil {
		d.leave()
		return err
	}
	// A write cannot be called back, so it has a goroutine of its own, which the DB waits for; the caller may leave.
	done := make(chan error, 1)
	go func() {
		defer d.leave()
		done <- d.write(ctx, meta, val, keep)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-d.broken:
		return d.cause
	}
}

// room returns an error if the disk has no room for size more bytes.
func (d *DB) room(size int) error {
	if d.c.Reserve < 0 {
		return nil
	}
	usage, err := d.c.fs.GetDiskUsage(d.dir)
	if err != nil {
		return nil // unknown; then the disk itself will say so
	}
	// Twice: a value is in the log and in a file for a while.
	if free := int64(min(usage.AvailBytes, 1<<62)); free-2*int64(size) < d.c.Reserve {
		return fmt.Errorf("%d MiB are free on the disk of %s, of which %d MiB are kept in reserve: free some space, or keep less: %w",
			free>>20, d.dir, d.c.Reserve>>20, kv.ErrFull)
	}
	return nil
}

// write is the work of a Put.
func (d *DB) write(ctx context.Context, meta, val []byte, keep time.Duration) (err error) {
	defer d.catch(&err)
	p := newPlace(time.Now().Add(keep), d.number.Add(1))
	batch := d.db.NewBatchWithSize(len(val) + 4*len(meta) + 256)
	defer batch.Close()
	op := batch.SetDeferred(1+len(p), len(val))
	op.Key[0] = 'v'
	copy(op.Key[1:], p[:])
	copy(op.Value, val)
	if err := op.Finish(); err != nil {
		return d.fail(err)
	}
	if err := batch.Set(p.at('x'), meta, nil); err != nil {
		return d.fail(err)
	}
	if err := batch.Set(meta, p[:], nil); err != nil {
		return d.fail(err)
	}

	if err := d.enterLog(ctx, meta, batch); err != nil {
		if err == ctx.Err() {
			return err
		}
		return d.fail(err)
	}
	if err := batch.SyncWait(); err != nil {
		return d.fail(err)
	}
	return nil
}

// enterLog writes batch to the log without waiting for the sync, together with the removal of what it replaces. A write whose caller has
// left while it waited for its turn is not begun, so that it does not replace what the caller puts next.
func (d *DB) enterLog(ctx context.Context, meta []byte, batch *pebble.Batch) error {
	stripe := d.stripe(meta)
	stripe.Lock()
	defer stripe.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	switch old, err := d.place(meta); {
	case err == nil:
		if err := batch.Delete(old.at('v'), nil); err != nil {
			return err
		}
		if err := batch.Delete(old.at('x'), nil); err != nil {
			return err
		}
	case !errors.Is(err, pebble.ErrNotFound):
		return err
	}
	return d.db.ApplyNoSyncWait(batch, pebble.Sync)
}

func (d *DB) stripe(meta []byte) *sync.Mutex {
	return &d.stripes[maphash.Bytes(d.seed, meta)%uint64(len(d.stripes))]
}

// place returns where the value of meta is, or pebble.ErrNotFound.
func (d *DB) place(meta []byte) (p place, err error) {
	b, closer, err := d.db.Get(meta)
	if err != nil {
		return p, err
	}
	defer closer.Close()
	if len(b) != len(p) {
		return p, fmt.Errorf("an entry of %d bytes where %d are expected: was this directory written by another program?", len(b), len(p))
	}
	copy(p[:], b)
	return p, nil
}

func (d *DB) get(ctx context.Context, meta []byte) (val []byte, err error) {
	if err := d.enter(ctx); err != nil {
		return nil, err
	}
	defer d.leave()
	defer d.catch(&err)
	var p place
	for {
		last := p
		if p, err = d.place(meta); err != nil {
			return nil, d.missing(err)
		}
		if !time.Now().Before(p.expiry()) {
			return nil, kv.ErrNotFound
		}
		if p == last {
			return nil, fmt.Errorf("its value, to be kept until %v, is missing: the directory is damaged", p.expiry())
		}
		b, closer, err := d.db.Get(p.at('v'))
		if err == nil {
			val = append(make([]byte, 0, len(b)), b...)
			return val, closer.Close()
		}
		if !errors.Is(err, pebble.ErrNotFound) {
			return nil, explain(err)
		}
		// 1. This Get reads where the value is.
		// 2. A Put writes the key anew, which removes that value.
		// 3. This Get finds nothing there. It looks again where the value is now.
	}
}

// missing turns Pebble's error for an absent entry into kv's.
func (d *DB) missing(err error) error {
	if errors.Is(err, pebble.ErrNotFound) {
		return kv.ErrNotFound
	}
	return explain(err)
}

// late is how long after its expiry an entry may still arrive in the log (a Put that was stalled): the sweeper goes back so far.
const late = time.Minute

// sweep frees what has expired until the DB is closed.
func (d *DB) sweep() {
	ticker := time.NewTicker(d.c.Sweep)
	defer ticker.Stop()
	var swept time.Time // up to when all is freed; from the beginning after a start
	for {
		select {
		case <-ticker.C:
		case <-d.closing:
			return
		case <-d.broken:
			return
		}
		now := time.Now()
		if err := d.free(swept.Add(-late), now); err != nil {
			d.log.Error("expired values cannot be freed", "err", err)
			continue
		}
		swept = now
	}
}

// free removes what expired from from on and before to.
func (d *DB) free(from, to time.Time) (err error) {
	defer d.catch(&err)
	var bounds [2]place
	for i, t := range []time.Time{from, to} {
		binary.BigEndian.PutUint64(bounds[i][:], uint64(max(0, t.UnixMilli())))
	}
	iter, err := d.db.NewIter(&pebble.IterOptions{LowerBound: bounds[0].at('x'), UpperBound: bounds[1].at('x')})
	if err != nil {
		return err
	}
	defer iter.Close()
	freed := 0
	for iter.First(); iter.Valid(); iter.Next() {
		select {
		case <-d.closing:
			return nil
		default:
		}
		meta, err := iter.ValueAndErr()
		if err != nil {
			return err
		}
		if err := d.forget(meta, place(iter.Key()[1:])); err != nil {
			return err
		}
		freed++
	}
	if err := iter.Error(); err != nil || freed == 0 {
		return err
	}
	// Not synced: what a crash brings back is expired all the same.
	for _, kind := range []byte{'v', 'x'} {
		if err := d.db.DeleteRange(bounds[0].at(kind), bounds[1].at(kind), pebble.NoSync); err != nil {
			return err
		}
	}
	return nil
}

// forget removes the first entry of a value that expired, unless the key was put again: then it says where the new value is.
func (d *DB) forget(meta []byte, expired place) error {
	stripe := d.stripe(meta)
	stripe.Lock()
	defer stripe.Unlock()
	switch p, err := d.place(meta); {
	case errors.Is(err, pebble.ErrNotFound):
		return nil
	case err != nil:
		return err
	case p != expired:
		return nil
	}
	return d.db.Delete(meta, pebble.NoSync)
}

// backgroundError hears of flushes and compactions that failed; Pebble tries them again.
func (d *DB) backgroundError(err error) {
	d.log.Error("background work of the store failed and will be tried again", "err", explain(err))
}

// explain gives the errors of disks and directories that a user can do something about their meaning.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kv.ErrFull):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", kv.ErrFull, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("the file system is read-only: %w", err)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("the directory may not be written by this user: %w", err)
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("another process has the directory open: %w", err)
	}
	return err
}

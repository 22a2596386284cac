package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble has errors that it cannot go on from, above all a log that cannot be written. It then calls Fatalf, or panics in a way that
// cannot be recovered from, and either way expects the process to end. Here the store ends: each operation, those under way
// too, fails with the cause, and the process that hosts it decides. For that Pebble must not learn of such an error, so the guard
// between it and the file system keeps the call for ever; the goroutines that wait for it are left behind with the store.

// guard is a file system whose failures to write what Pebble cannot do without end the store.
type guard struct {
	vfs.FS
	armed *atomic.Bool // while the store is open; before that, Open returns the errors
	fail  func(error) error
}

// keep returns err, or ends the store and does not return.
func (g guard) keep(name string, err error) error {
	if err == nil || !g.armed.Load() || !vital(name) {
		return err
	}
	g.fail(fmt.Errorf("%s: %w", filepath.Base(name), err))
	select {}
}

// vital reports whether Pebble cannot go on when the file, or directory, cannot be written. Tables and files of values are not:
// what was to be written there is still in the log, and Pebble tries again.
func vital(name string) bool {
	name = filepath.Base(name)
	return !strings.HasSuffix(name, ".sst") && !strings.HasSuffix(name, ".blob")
}

func (g guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.Create(name, category)
	return g.file(name, f, err)
}

func (g guard) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.ReuseForWrite(oldname, newname, category)
	return g.file(newname, f, err)
}

func (g guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	return g.file(name, f, err)
}

func (g guard) file(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, g.keep(name, err)
	}
	return guardedFile{f, g, name}, nil
}

type guardedFile struct {
	vfs.File
	guard guard
	name  string
}

func (f guardedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.guard.keep(f.name, err)
}

func (f guardedFile) Sync() error     { return f.guard.keep(f.name, f.File.Sync()) }
func (f guardedFile) SyncData() error { return f.guard.keep(f.name, f.File.SyncData()) }
func (f guardedFile) Close() error    { return f.guard.keep(f.name, f.File.Close()) }

func (f guardedFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.guard.keep(f.name, err)
}

// fail marks the store broken by err and returns the error that operations then return.
func (d *DB) fail(err error) error {
	if errors.Is(err, pebble.ErrClosed) {
		return errClosed
	}
	d.breakOnce.Do(func() {
		d.cause = fmt.Errorf("the store in %s has stopped and must be started again: %w", d.dir, explain(err))
		d.log.Error("the store has stopped", "err", err)
		close(d.broken)
	})
	return d.cause
}

// catch, deferred, turns a panic of Pebble into the store's end, and what Pebble answered after Fatalf into the cause.
func (d *DB) catch(err *error) {
	if v := recover(); v != nil {
		e, ok := v.(error)
		if !ok {
			e = fmt.Errorf("%v", v)
		}
		d.log.Error("panic in Pebble", "err", e, "stack", string(debug.Stack()))
		*err = d.fail(e)
		return
	}
	select {
	case <-d.broken:
		*err = d.cause
	default:
	}
}

// pebbleLog is where Pebble's own messages go.
type pebbleLog struct {
	log  *slog.Logger
	fail func(error) error
}

var _ pebble.Logger = pebbleLog{}

func (l pebbleLog) Infof(format string, args ...any)  { l.log.Debug(text(format, args)) }
func (l pebbleLog) Errorf(format string, args ...any) { l.log.Error(text(format, args)) }

// Fatalf ends the store.
func (l pebbleLog) Fatalf(format string, args ...any) {
	for _, a := range args {
		if err, ok := a.(error); ok {
			l.fail(err)
			return
		}
	}
	l.fail(errors.New(text(format, args)))
}

func text(format string, args []any) string { return strings.TrimSpace(fmt.Sprintf(format, args...)) }

package pebble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"origin-storm/origin/kv"
)

// faulty opens a store in memory whose file operations fail, or stall, as inject says.
func faulty(t *testing.T, c Config, inject func(errorfs.Op) error) (*DB, *strings.Builder) {
	t.Helper()
	var log strings.Builder
	c.fs = errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(inject))
	c.Logger = slog.New(slog.NewTextHandler(&locked{w: &log}, nil))
	db, err := Open("dir", c)
	if err != nil {
		t.Fatal(err)
	}
	return db, &log
}

type locked struct {
	mu sync.Mutex
	w  *strings.Builder
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func isLog(op errorfs.Op) bool { return filepath.Ext(op.Path) == ".log" }

// A log that cannot be written ends the store, not the process: every operation says why, soon, those under way too.
func TestLogThatCannotBeWritten(t *testing.T) {
	for name, c := range map[string]struct {
		kind errorfs.OpKind
		err  error
		full bool
	}{
		"disk full":             {errorfs.OpFileWrite, syscall.ENOSPC, true},
		"disk full at the sync": {errorfs.OpFileSyncData, syscall.ENOSPC, true},
		"quota":                 {errorfs.OpFileWrite, syscall.EDQUOT, true},
		"read-only":             {errorfs.OpFileWrite, syscall.EROFS, false},
		"input/output error":    {errorfs.OpFileWrite, syscall.EIO, false},
	} {
		t.Run(name, func(t *testing.T) {
			var toggle errorfs.Toggle
			toggle.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
				if isLog(op) && op.Kind == c.kind {
					return c.err
				}
				return nil
			})
			db, log := faulty(t, Config{}, toggle.MaybeError)
			s := db.Table("t")
			put := func(i int) error {
				return s.Put(t.Context(), kv.Key{Part: "p", Name: fmt.Sprint(i)}, make([]byte, 100_000), time.Hour)
			}
			if err := put(0); err != nil {
				t.Fatal(err)
			}
			toggle.On()
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() {
					if err := put(i); !errors.Is(err, c.err) || errors.Is(err, kv.ErrFull) != c.full {
						t.Errorf("Put = %v, want an error that wraps %v, and kv.ErrFull: %v", err, c.err, c.full)
					}
				})
			}
			wg.Wait()
			toggle.Off()
			if err := put(1); err == nil {
				t.Error("Put after the log broke = nil: what is behind the gap would be lost at the next start")
			}
			if _, err := s.Get(t.Context(), kv.Key{Part: "p", Name: "0"}); !errors.Is(err, c.err) || errors.Is(err, kv.ErrNotFound) {
				t.Errorf("Get after the log broke = %v, want the cause", err)
			}
			if err := db.Close(); !errors.Is(err, c.err) {
				t.Errorf("Close = %v, want the cause", err)
			}
			if !strings.Contains(log.String(), "has stopped") {
				t.Errorf("the log says %q, want that the store has stopped", log)
			}
		})
	}
}

// Pebble panics where it cannot begin a new log, in a way that takes the process along; the guard keeps it from knowing.
func TestLogThatCannotBeBegun(t *testing.T) {
	var toggle errorfs.Toggle
	toggle.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
		if isLog(op) && (op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpReuseForWrite) {
			return syscall.ENOSPC
		}
		return nil
	})
	db, _ := faulty(t, Config{memtable: 1 << 20}, toggle.MaybeError)
	toggle.On()
	s := db.Table("t")
	var err error
	for i := 0; err == nil; i++ {
		if i == 1000 {
			t.Fatal("100 MB were put into memtables of 1 MiB without a new log")
		}
		err = s.Put(t.Context(), kv.Key{Part: "p", Name: fmt.Sprint(i)}, make([]byte, 100_000), time.Hour)
	}
	if !errors.Is(err, kv.ErrFull) {
		t.Errorf("Put that needed a new log = %v, want kv.ErrFull", err)
	}
	if err := db.Close(); !errors.Is(err, kv.ErrFull) {
		t.Errorf("Close = %v, want the cause", err)
	}
}

// A store that cannot be opened says why, whatever file it was.
func TestOpenOnAFaultyDisk(t *testing.T) {
	for n := range 30 {
		left := n
		fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				if left--; left < 0 {
					return syscall.ENOSPC
				}
			}
			return nil
		}))
		db, err := Open("dir", Config{fs: fs, Reserve: -1})
		if err != nil {
			if !errors.Is(err, kv.ErrFull) {
				t.Errorf("Open with the disk full at write %d = %v, want kv.ErrFull", n, err)
			}
			continue
		}
		if err := db.Table("t").Put(t.Context(), kv.Key{Part: "p"}, []byte("value"), time.Hour); err != nil && !errors.Is(err, kv.ErrFull) {
			t.Errorf("Put with the disk full at write %d = %v, want kv.ErrFull", n, err)
		}
		db.Close()
	}
}

// A sync that stalls holds nobody beyond his context.
func TestStalledSync(t *testing.T) {
	stall := make(chan struct{})
	var stalling errorfs.Toggle
	stalling.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
		if isLog(op) && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			<-stall
		}
		return nil
	})
	db, _ := faulty(t, Config{}, stalling.MaybeError)
	s := db.Table("t")
	key := kv.Key{Part: "p", Name: "a"}
	if err := s.Put(t.Context(), key, []byte("first"), time.Hour); err != nil {
		t.Fatal(err)
	}
	stalling.On()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Put(ctx, key, []byte("second"), time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Put while syncs stall = %v, want the deadline's error", err)
	}
	stalling.Off()
	close(stall)
	if err := s.Put(t.Context(), key, []byte("third"), time.Hour); err != nil {
		t.Errorf("Put once syncs go on = %v, want nil", err)
	}
	if val, err := s.Get(t.Context(), key); err != nil || string(val) != "third" {
		t.Errorf("Get = %q, %v, want the last value", val, err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
}

// With the disk nearly full, Puts are refused before the disk itself refuses the log, and all else goes on.
func TestReserve(t *testing.T) {
	mem := vfs.NewMem()
	free := func(n uint64) {
		mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: n, TotalBytes: 1 << 40, UsedBytes: 1})
	}
	db, err := Open("dir", Config{Reserve: 100 << 20, Sweep: 10 * time.Millisecond, fs: mem})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := db.Table("t")
	key := kv.Key{Part: "p", Name: "a"}
	free(103 << 20)
	if err := s.Put(t.Context(), key, make([]byte, 1<<20), time.Hour); err != nil {
		t.Errorf("Put of 1 MiB with 3 MiB above the reserve = %v, want nil", err)
	}
	if err := s.Put(t.Context(), key, make([]byte, 2<<20), time.Hour); !errors.Is(err, kv.ErrFull) || !strings.Contains(err.Error(), "103 MiB") {
		t.Errorf("Put of 2 MiB with 3 MiB above the reserve = %v, want kv.ErrFull and how much is free", err)
	}
	if val, err := s.Get(t.Context(), key); err != nil || len(val) != 1<<20 {
		t.Errorf("Get with the disk nearly full = %d bytes, %v, want the value", len(val), err)
	}
	free(200 << 20)
	if err := s.Put(t.Context(), key, make([]byte, 2<<20), time.Hour); err != nil {
		t.Errorf("Put once there is room again = %v, want nil", err)
	}
}

// The sweeper looks and removes as one step: a Put that renews a value at the moment it expires is not undone.
func TestSweepingAgainstRenewal(t *testing.T) {
	db, err := Open("dir", Config{Sweep: time.Millisecond, fs: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := db.Table("t")
	deadline := time.Now().Add(time.Second)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; time.Now().Before(deadline); i++ {
				key := kv.Key{Part: fmt.Sprint(w), Name: fmt.Sprint(i % 3)}
				if err := s.Put(t.Context(), key, []byte("short"), time.Duration(1+i%3)*time.Millisecond); err != nil {
					t.Errorf("Put = %v", err)
				}
				if err := s.Put(t.Context(), key, []byte("renewed"), time.Hour); err != nil {
					t.Errorf("Put = %v", err)
				}
				if val, err := s.Get(t.Context(), key); err != nil || string(val) != "renewed" {
					t.Errorf("Get(%v) after it was renewed = %q, %v", key, val, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// The sweeper saw an expired value, and before it came to remove its entry the key was put again.
func TestSweeperComesLate(t *testing.T) {
	db, err := Open("dir", Config{fs: vfs.NewMem(), Sweep: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := db.Table("t").(*table)
	key := kv.Key{Part: "p", Name: "a"}
	if err := s.Put(t.Context(), key, []byte("first"), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	expired, err := db.place(s.metaKey(key))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), key, []byte("second"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := db.forget(s.metaKey(key), expired); err != nil {
		t.Fatal(err)
	}
	if val, err := s.Get(t.Context(), key); err != nil || string(val) != "second" {
		t.Errorf("Get = %q, %v, want the second value", val, err)
	}
}

// A long run does not grow: what expired leaves the disk.
func TestExpiredValuesLeaveTheDisk(t *testing.T) {
	mem := vfs.NewMem()
	db, err := Open("dir", Config{Sweep: 20 * time.Millisecond, fs: mem, memtable: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := db.Table("t")
	big := make([]byte, 256<<10)
	put := func(name string, val []byte, keep time.Duration) {
		t.Helper()
		if err := s.Put(t.Context(), kv.Key{Part: "p", Name: name}, val, keep); err != nil {
			t.Fatal(err)
		}
	}
	put("kept", []byte("kept"), time.Hour)
	put("renewed", big, 50*time.Millisecond)
	put("renewed", []byte("renewed"), time.Hour)
	const n = 120 // 30 MiB
	most := uint64(0)
	values := func() (bytes uint64) {
		names, err := mem.List("dir")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			// Logs are kept for later use, whatever expires.
			if info, err := mem.Stat("dir/" + name); err == nil && filepath.Ext(name) != ".log" {
				bytes += uint64(info.Size())
			}
		}
		return bytes
	}
	for i := range n {
		put(fmt.Sprint(i), big, 100*time.Millisecond)
		most = max(most, values())
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	late := time.After(time.Minute)
	last := func() error {
		_, err := s.Get(t.Context(), kv.Key{Part: "p", Name: fmt.Sprint(n - 1)})
		return err
	}
	for values() > 5<<20 || last() == nil {
		select {
		case <-ticker.C:
		case <-late:
			t.Fatalf("of %d MiB that expired (%d MiB at most at a time) %d MiB are still on disk", n/4, most>>20, values()>>20)
		}
	}
	for name, want := range map[string]string{"kept": "kept", "renewed": "renewed", "0": "", fmt.Sprint(n - 1): ""} {
		val, err := s.Get(t.Context(), kv.Key{Part: "p", Name: name})
		if string(val) != want || (err == nil) != (want != "") {
			t.Errorf("Get(%s) = %.20q, %v, want %q", name, val, err, want)
		}
	}
}

// After a long time of small values nothing is left behind but what lives.
func TestNothingIsLeftBehind(t *testing.T) {
	db, err := Open("dir", Config{Sweep: 5 * time.Millisecond, fs: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := db.Table("t")
	for i := range 500 {
		key := kv.Key{Part: "p", Name: fmt.Sprint(i % 50)}
		if err := s.Put(t.Context(), key, []byte("value"), time.Duration(1+i%20)*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(t.Context(), kv.Key{Part: "p", Name: "kept"}, []byte("kept"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), kv.Key{Part: "p", Name: "kept"}, []byte("kept, a second time"), time.Hour); err != nil {
		t.Fatal(err)
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	late := time.After(20 * time.Second)
	for {
		var left []string
		iter, err := db.db.NewIter(nil)
		if err != nil {
			t.Fatal(err)
		}
		for iter.First(); iter.Valid(); iter.Next() {
			left = append(left, fmt.Sprintf("%.1s", iter.Key()))
		}
		if err := iter.Close(); err != nil {
			t.Fatal(err)
		}
		if len(left) == 3 {
			return
		}
		select {
		case <-ticker.C:
		case <-late:
			t.Fatalf("%d entries are left, %.60v…, want the three of the one value that lives", len(left), left)
		}
	}
}

// A directory that another program wrote gives errors, not wrong values.
func TestForeignEntries(t *testing.T) {
	db, err := Open("dir", Config{fs: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := db.Table("t").(*table)
	for name, entry := range map[string][]byte{"short": []byte("x"), "empty": {}, "long": make([]byte, 40)} {
		key := kv.Key{Part: "p", Name: name}
		if err := db.db.Set(s.metaKey(key), entry, nil); err != nil {
			t.Fatal(err)
		}
		if val, err := s.Get(t.Context(), key); err == nil || errors.Is(err, kv.ErrNotFound) {
			t.Errorf("Get(%v) = %q, %v, want an error that is not kv.ErrNotFound", key, val, err)
		}
	}
	key := kv.Key{Part: "p", Name: "nothing there"}
	p := newPlace(time.Now().Add(time.Hour), 1)
	if err := db.db.Set(s.metaKey(key), p[:], nil); err != nil {
		t.Fatal(err)
	}
	if val, err := s.Get(t.Context(), key); err == nil || errors.Is(err, kv.ErrNotFound) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("Get of an entry without its value = %q, %v, want an error that says so", val, err)
	}
}

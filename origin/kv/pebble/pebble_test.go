package pebble_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/kv/pebble"
)

func open(t testing.TB, dir string, c pebble.Config) *pebble.DB {
	t.Helper()
	db, err := pebble.Open(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return db
}

func TestConforms(t *testing.T) {
	db := open(t, t.TempDir(), pebble.Config{Sweep: 50 * time.Millisecond})
	table := func(*testing.T) kv.Store { return db.Table("commits") }
	kvtest.Test(t, table, kvtest.Options{MaxValue: 4 << 20})
}

func BenchmarkStore(b *testing.B) {
	db := open(b, b.TempDir(), pebble.Config{})
	kvtest.Bench(b, func(*testing.B) kv.Store { return db.Table("chunks") })
}

func put(t testing.TB, s kv.Store, name string, val []byte, keep time.Duration) {
	t.Helper()
	if err := s.Put(t.Context(), kv.Key{Part: "p", Name: name}, val, keep); err != nil {
		t.Fatalf("Put(%s) = %v, want nil", name, err)
	}
}

func want(t testing.TB, s kv.Store, name string, val []byte) {
	t.Helper()
	got, err := s.Get(t.Context(), kv.Key{Part: "p", Name: name})
	if val == nil {
		if !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("Get(%s) = %d bytes, %v, want kv.ErrNotFound", name, len(got), err)
		}
	} else if err != nil || !bytes.Equal(got, val) {
		t.Errorf("Get(%s) = %d bytes, %v, want %d bytes", name, len(got), err, len(val))
	}
}

func TestTablesAreApart(t *testing.T) {
	db := open(t, t.TempDir(), pebble.Config{})
	names := []string{"a", "ab", "b", ""}
	for _, name := range names {
		put(t, db.Table(name), "key", []byte("of "+name), time.Hour)
	}
	for _, name := range names {
		want(t, db.Table(name), "key", []byte("of "+name))
	}
	want(t, db.Table("c"), "key", nil)
}

// What was acknowledged is there after the process died without a word.
func TestSurvivesACrash(t *testing.T) {
	dir, copied := t.TempDir(), t.TempDir()
	db := open(t, dir, pebble.Config{})
	s := db.Table("t")
	big := bytes.Repeat([]byte("segment "), 20_000)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() { put(t, s, fmt.Sprint(i), append(big[:len(big):len(big)], byte(i)), time.Hour) })
	}
	wg.Wait()
	put(t, s, "0", []byte("second"), time.Hour)
	put(t, s, "short", []byte("gone by then"), time.Millisecond)
	// The files as they are now, with the store still open, are what a crash would leave.
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	after := open(t, copied, pebble.Config{}).Table("t")
	want(t, after, "0", []byte("second"))
	for i := 1; i < 40; i++ {
		want(t, after, fmt.Sprint(i), append(big[:len(big):len(big)], byte(i)))
	}
	want(t, after, "short", nil)
}

func TestCloseTwiceAndUseAfterwards(t *testing.T) {
	db, err := pebble.Open(t.TempDir(), pebble.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := db.Table("t")
	put(t, s, "a", []byte("a"), time.Hour)
	for range 2 {
		if err := db.Close(); err != nil {
			t.Errorf("Close = %v, want nil", err)
		}
	}
	if err := s.Put(t.Context(), kv.Key{Part: "p"}, nil, time.Hour); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Put after Close = %v, want an error that says so", err)
	}
	if _, err := s.Get(t.Context(), kv.Key{Part: "p"}); err == nil || errors.Is(err, kv.ErrNotFound) {
		t.Errorf("Get after Close = %v, want an error that is not kv.ErrNotFound", err)
	}
}

func TestBadDirectories(t *testing.T) {
	inUse := t.TempDir()
	open(t, inUse, pebble.Config{})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"in use": inUse, "a file": file, "below a file": filepath.Join(file, "dir")} {
		if db, err := pebble.Open(dir, pebble.Config{}); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("Open(%s) = %v, %v, want an error that names the directory", name, db, err)
		}
	}
}

func TestTooLargeAndNoKeep(t *testing.T) {
	s := open(t, t.TempDir(), pebble.Config{}).Table("t")
	if err := s.Put(t.Context(), kv.Key{Part: "p"}, make([]byte, pebble.MaxValue+1), time.Hour); !errors.Is(err, kv.ErrTooLarge) {
		t.Errorf("Put of more than MaxValue = %v, want kv.ErrTooLarge", err)
	}
	if err := s.Put(t.Context(), kv.Key{Part: "p"}, nil, 0); err == nil {
		t.Error("Put to be kept for no time = nil, want an error")
	}
}

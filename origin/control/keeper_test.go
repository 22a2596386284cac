package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/control"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

// keep starts a Keeper on store for the node of that name, with writers p1 and p2.
func keep(t *testing.T, store kv.Store, node string, log *slog.Logger) *control.Keeper {
	t.Helper()
	k, err := control.New(control.Config{Store: store, Events: []string{"ev", "other"}, Writers: []string{"p2", "p1"}, Node: node, Log: log})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(k.Close)
	synctest.Wait()
	return k
}

func change(t *testing.T, k *control.Keeper, f func(*control.Document)) {
	t.Helper()
	if err := k.Change(t.Context(), "ev", func(d *control.Document) error { f(d); return nil }); err != nil {
		t.Fatalf("Change: %v", err)
	}
}

// Nodes that know the same have equal versions, and what one changes raises them everywhere.
func TestVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &mem.Store{}
		p1, p2, s := keep(t, store, "p1", nil), keep(t, store, "p2", nil), keep(t, store, "s", nil)
		for i, k := range []*control.Keeper{p1, p2, p1} {
			change(t, k, func(d *control.Document) { d.CacheVersion++ })
			time.Sleep(2 * time.Second)
			for name, k := range map[string]*control.Keeper{"p1": p1, "p2": p2, "s": s} {
				if v := k.Stats().Versions; v["ev"] != int64(i+1) || v["other"] != 0 || len(v) != 2 {
					t.Errorf("%s has versions %v after %d changes of ev", name, v, i+1)
				}
			}
		}
	})
}

// faulty is a store whose operations fail, or do something else first, as a test says.
type faulty struct {
	kv.Store
	fate       atomic.Pointer[error]
	gets, puts atomic.Int64
}

func (f *faulty) fail(err error) {
	if err == nil {
		f.fate.Store(nil)
		return
	}
	f.fate.Store(&err)
}

func (f *faulty) Get(ctx context.Context, key kv.Key) ([]byte, error) {
	f.gets.Add(1)
	if err := f.fate.Load(); err != nil {
		return nil, *err
	}
	return f.Store.Get(ctx, key)
}

func (f *faulty) Put(ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
	f.puts.Add(1)
	if err := f.fate.Load(); err != nil {
		return *err
	}
	return f.Store.Put(ctx, key, val, keep)
}

var maskA = policy.Mask{Pipeline: "a", From: 10, To: 20}

// TestReach: a change is in force at once where it is made, and within a second at every other node; two writers' changes
// stand side by side.
func TestReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &mem.Store{}
		one, two, reader := keep(t, store, "p1", nil), keep(t, store, "p2", nil), keep(t, store, "serve", nil)
		time.Sleep(137 * time.Millisecond)
		change(t, one, func(d *control.Document) {
			d.Masks = append(d.Masks, maskA)
			d.Last = new(int64(99))
			d.CacheVersion++
		})
		change(t, two, func(d *control.Document) {
			d.Withdrawn = append(d.Withdrawn, control.Withdrawn{Rendition: "v", Number: 7})
			d.Last = new(int64(50))
			d.CacheVersion += 2
			d.Notify(control.Notice{ID: "ad", From: 5, Text: "a break"})
		})
		a10, b10, b7 := id("a", 10), id("b", 10), id("b", 7)
		if st := one.State("ev"); !st.Masked(a10) || st.Masked(b7) {
			t.Errorf("State after Change = %+v, want the change", st)
		}
		if st := reader.State("ev"); st.Masked(a10) {
			t.Errorf("State of another node before its poll = %+v", st)
		}
		time.Sleep(time.Second)
		for name, k := range map[string]*control.Keeper{"one": one, "two": two, "reader": reader} {
			st := k.State("ev")
			if !st.Masked(a10) || st.Masked(b10) || !st.Masked(b7) || !st.Ended || st.Last != 50 || st.CacheVersion != 3 || st.Announced(5) != `ad;from=5;text="a break"` {
				t.Errorf("%s: State a second later = %+v, want what both writers said, and the smaller end", name, st)
			}
			if st := k.State("other"); st.Masked(a10) || st.Ended {
				t.Errorf("%s: State of another event = %+v, want none", name, st)
			}
			if docs := k.Documents("ev"); len(docs) != 2 || docs[0].Writer != "p1" || docs[1].Writer != "p2" {
				t.Errorf("%s: Documents = %+v, want that of p1 and that of p2", name, docs)
			}
		}
		change(t, one, func(d *control.Document) { d.Masks, d.Last = nil, nil })
		change(t, two, func(d *control.Document) { d.Last = nil })
		time.Sleep(time.Second)
		if st := reader.State("ev"); st.Masked(a10) || !st.Masked(b7) || st.Ended || st.CacheVersion != 3 {
			t.Errorf("State after masks and ends were taken back = %+v", st)
		}
	})
}

func id(pipeline string, n int64) segment.ID {
	return segment.ID{Event: "ev", Pipeline: pipeline, Rendition: "v", Number: n}
}

// TestRestart: a writer that begins anew goes on where it left off.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &mem.Store{}
		first := keep(t, store, "p1", nil)
		change(t, first, func(d *control.Document) { d.Masks = append(d.Masks, maskA) })
		first.Close()
		second, err := control.New(control.Config{Store: store, Events: []string{"ev"}, Writers: []string{"p1"}, Node: "p1"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(second.Close)
		change(t, second, func(d *control.Document) { d.CacheVersion++ }) // maybe before it has read anything
		if err := second.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := second.State("ev"); !st.Masked(id("a", 10)) || st.CacheVersion != 1 {
			t.Errorf("State = %+v, want the old mask and the new version", st)
		}
		if d := second.Documents("ev")[0]; d.Version != 2 {
			t.Errorf("Version = %d, want 2", d.Version)
		}
	})
}

// TestOutage: while the store fails the last state known stays, changes are refused, and the log hears of it once; a node that
// starts then is not ready before it has read everything.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		log := slog.New(slog.NewTextHandler(&said, nil))
		store := &faulty{Store: &mem.Store{}}
		k := keep(t, store, "p1", log)
		if err := k.Ready(); err != nil {
			t.Errorf("Ready = %v, want nil", err)
		}
		change(t, k, func(d *control.Document) { d.Masks = append(d.Masks, maskA) })
		down := errors.New("connection refused")
		store.fail(down)
		time.Sleep(time.Minute)
		fresh := keep(t, store, "serve", nil)
		if err := fresh.Ready(); !errors.Is(err, down) {
			t.Errorf("Ready of a node that starts = %v, want the store's error", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := fresh.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, down) {
			t.Errorf("Wait = %v, want the deadline's and the store's error", err)
		}
		if !k.State("ev").Masked(id("a", 10)) || k.Ready() != nil {
			t.Errorf("State in an outage = %+v, Ready %v, want the last state known", k.State("ev"), k.Ready())
		}
		err := k.Change(t.Context(), "ev", func(d *control.Document) error { d.CacheVersion++; return nil })
		if !errors.Is(err, down) || k.State("ev").CacheVersion != 0 {
			t.Errorf("Change in an outage = %v, version %d, want the store's error, and no effect", err, k.State("ev").CacheVersion)
		}
		store.fail(nil)
		time.Sleep(time.Second)
		if fresh.Ready() != nil || !fresh.State("ev").Masked(id("a", 10)) {
			t.Errorf("a second after the outage: Ready = %v, State = %+v", fresh.Ready(), fresh.State("ev"))
		}
		k.Close()
		if n := strings.Count(said.String(), "\n"); n != 2 {
			t.Errorf("%d lines in the log, want one for the outage and one for its end:\n%s", n, &said)
		}
	})
}

// TestHangingRead: a read that hangs keeps the others from nothing, and is given up.
func TestHangingRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &mem.Store{}
		writer := keep(t, store, "p2", nil)
		var hangs atomic.Bool
		hangs.Store(true)
		reader := keep(t, kv.Inject(store, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			if op.Key.Name == "p1" && hangs.Load() {
				<-ctx.Done()
				return ctx.Err()
			}
			return do(ctx)
		}), "serve", nil)
		time.Sleep(10 * time.Millisecond) // in the middle of a read that hangs
		change(t, writer, func(d *control.Document) { d.CacheVersion++ })
		time.Sleep(300 * time.Millisecond)
		if got := reader.State("ev").CacheVersion; got != 1 {
			t.Errorf("CacheVersion = %d, want the change of the writer that can be read", got)
		}
		if err := reader.Ready(); err == nil {
			t.Error("Ready = nil, though one writer was not read")
		}
		hangs.Store(false)
		time.Sleep(time.Second)
		if err := reader.Ready(); err != nil {
			t.Errorf("Ready = %v, want nil after the read that hung was given up", err)
		}
	})
}

// TestConcurrentChanges: no change gets lost, whether made through one node or two.
func TestConcurrentChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			time.Sleep(3 * time.Millisecond)
			return do(ctx)
		})
		nodes := []*control.Keeper{keep(t, store, "p1", nil), keep(t, store, "p2", nil)}
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				change(t, nodes[i%2], func(d *control.Document) {
					d.Withdrawn = append(d.Withdrawn, control.Withdrawn{Rendition: "v", Number: int64(i)})
					d.CacheVersion++
				})
			})
		}
		wg.Wait()
		time.Sleep(time.Second)
		for i, k := range nodes {
			st := k.State("ev")
			if len(st.Masks) != 40 || st.CacheVersion != 40 {
				t.Errorf("node %d: %d segments withdrawn, version %d, want 40 and 40", i, len(st.Masks), st.CacheVersion)
			}
			if n := k.Stats().Changes; n != 20 {
				t.Errorf("node %d: %d changes counted, want 20", i, n)
			}
		}
	})
}

// TestSameNoticeAtOnce: twelve renditions' worth of one notice is one write.
func TestSameNoticeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{Store: kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			time.Sleep(20 * time.Millisecond)
			return do(ctx)
		})}
		k := keep(t, store, "p1", nil)
		time.Sleep(50 * time.Millisecond)
		began := time.Now()
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				change(t, k, func(d *control.Document) { d.Notify(control.Notice{ID: "ad", From: 3}) })
			})
		}
		wg.Wait()
		if took := time.Since(began); store.puts.Load() != 1 || took > 50*time.Millisecond {
			t.Errorf("%d writes in %v, want 1 in 40ms", store.puts.Load(), took)
		}
	})
}

// TestChangeRefused: nothing is written, and nothing changes.
func TestChangeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{Store: &mem.Store{}}
		k, other := keep(t, store, "p1", nil), keep(t, store, "serve", nil)
		mine := errors.New("of the caller")
		for _, tt := range []struct {
			name   string
			k      *control.Keeper
			event  string
			change func(*control.Document) error
			want   error
		}{
			{"unknown event", k, "nobody", func(*control.Document) error { return nil }, control.ErrUnknownEvent},
			{"no writer", other, "ev", func(*control.Document) error { return nil }, control.ErrNotWriter},
			{"the caller's error", k, "ev", func(d *control.Document) error { d.CacheVersion++; return mine }, mine},
			{"mask without pipeline", k, "ev", func(d *control.Document) error { d.Masks = []policy.Mask{{From: 1, To: 2}}; return nil }, control.ErrInvalid},
			{"mask the wrong way round", k, "ev", func(d *control.Document) error {
				d.Masks = []policy.Mask{{Pipeline: "a", From: 2, To: 1}}
				return nil
			}, control.ErrInvalid},
			{"too many masks", k, "ev", func(d *control.Document) error {
				for i := range int64(257) {
					d.Masks = append(d.Masks, policy.Mask{Pipeline: "a", From: i, To: i})
				}
				return nil
			}, control.ErrInvalid},
			{"too many withdrawn", k, "ev", func(d *control.Document) error {
				for i := range int64(257) {
					d.Withdrawn = append(d.Withdrawn, control.Withdrawn{Rendition: "v", Number: i})
				}
				return nil
			}, control.ErrInvalid},
			{"no name", k, "ev", func(d *control.Document) error {
				d.Withdrawn = []control.Withdrawn{{Rendition: "../v", Number: 1}}
				return nil
			}, control.ErrInvalid},
			{"no notice", k, "ev", func(d *control.Document) error { d.Notify(control.Notice{ID: "a b"}); return nil }, control.ErrInvalid},
			{"too long notices", k, "ev", func(d *control.Document) error {
				for i := range int64(9) {
					d.Notify(control.Notice{ID: "n", From: i, Text: strings.Repeat(fmt.Sprint(i), 250)})
				}
				return nil
			}, control.ErrInvalid},
			{"an end before the beginning", k, "ev", func(d *control.Document) error { d.Last = new(int64(-1)); return nil }, control.ErrInvalid},
			{"nothing to change", k, "ev", func(*control.Document) error { return nil }, nil},
		} {
			if err := tt.k.Change(t.Context(), tt.event, tt.change); !errors.Is(err, tt.want) {
				t.Errorf("%s: Change = %v, want %v", tt.name, err, tt.want)
			}
			if st := tt.k.State("ev"); len(st.Masks)+len(st.Notices)+int(st.CacheVersion) > 0 || st.Ended {
				t.Errorf("%s: State = %+v, want nothing", tt.name, st)
			}
		}
		if err := other.Change(t.Context(), "ev", func(*control.Document) error { return nil }); err == nil || !strings.Contains(err.Error(), "p1, p2") {
			t.Errorf("Change on a node that is no writer = %v, want who is", err)
		}
		if n := store.puts.Load(); n != 0 {
			t.Errorf("%d documents written, want 0", n)
		}
	})
}

// TestNoticesFitTogether: the bound is on what all writers say, and a writer that finds no room changes nothing.
func TestNoticesFitTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &mem.Store{}
		one, two := keep(t, store, "p1", nil), keep(t, store, "p2", nil)
		for i := range int64(7) {
			change(t, one, func(d *control.Document) {
				d.Notify(control.Notice{ID: "n", From: i, Text: strings.Repeat(fmt.Sprint(i), 250)})
			})
		}
		time.Sleep(time.Second)
		err := two.Change(t.Context(), "ev", func(d *control.Document) error {
			d.Notify(control.Notice{ID: "more", From: 9, Text: strings.Repeat("x", 250)})
			return nil
		})
		if !errors.Is(err, control.ErrInvalid) || len(two.State("ev").Notices) != 7 {
			t.Errorf("Change = %v, %d notices, want no room, and 7", err, len(two.State("ev").Notices))
		}
		if err := two.Change(t.Context(), "ev", func(d *control.Document) error { d.CacheVersion++; return nil }); err != nil {
			t.Errorf("another Change = %v, want nil", err)
		}
	})
}

// TestNothingIsUnsaid: what was announced stays, and what was acknowledged comes back, whatever the store does.
func TestNothingIsUnsaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &mem.Store{}
		writer, reader := keep(t, store, "p1", nil), keep(t, store, "serve", nil)
		key := kv.Key{Part: "control/ev", Name: "p1"}
		put := func(raw []byte) {
			if err := store.Put(t.Context(), key, raw, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		change(t, writer, func(d *control.Document) { d.Masks = append(d.Masks, maskA) })
		old, err := store.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		change(t, writer, func(d *control.Document) { d.Notify(control.Notice{ID: "ad", From: 1}) })
		current, err := store.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		check := func(what string) {
			t.Helper()
			for name, k := range map[string]*control.Keeper{"writer": writer, "reader": reader} {
				if st := k.State("ev"); !strings.HasPrefix(st.Announced(1), "ad;from=1") || !st.Masked(id("a", 10)) {
					t.Errorf("%s: State of the %s = %+v, want the mask and the notice", what, name, st)
				}
			}
		}
		for _, tt := range []struct {
			name string
			raw  []byte
		}{{"another one of the same version", bytes.Replace(current, []byte(`"id":"ad"`), []byte(`"id":"other"`), 1)}, {"an older document", old}, {"a damaged document", []byte("{}")}} {
			put(tt.raw)
			time.Sleep(time.Second)
			check(tt.name)
			back, err := store.Get(t.Context(), key)
			if err != nil || !bytes.Contains(back, []byte(`"id":"ad"`)) || bytes.Contains(back, []byte("other")) {
				t.Errorf("%s: a second later the store has %s, %v, want the writer's own again", tt.name, back, err)
			}
		}
		if err := store.Put(t.Context(), key, current, time.Millisecond); err != nil { // and then it is gone
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		check("a lost document")
		if _, err := store.Get(t.Context(), key); err != nil {
			t.Errorf("a second after the document was lost: Get = %v, want it written again", err)
		}
	})
}

// TestOlderDocument: a store that returns what it had before changes nothing, even when the writer is not there to put it right.
func TestOlderDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &mem.Store{}
		writer, reader := keep(t, store, "p1", nil), keep(t, store, "serve", nil)
		key := kv.Key{Part: "control/ev", Name: "p1"}
		change(t, writer, func(d *control.Document) { d.Masks = append(d.Masks, policy.Mask{Pipeline: "b", From: 1, To: 2}) })
		old, err := store.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		change(t, writer, func(d *control.Document) { d.Masks = append(d.Masks, maskA) })
		time.Sleep(time.Second)
		writer.Close()
		if err := store.Put(t.Context(), key, old, time.Hour); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if st := reader.State("ev"); !st.Masked(id("a", 10)) {
			t.Errorf("State = %+v, want the newer mask", st)
		}
	})
}

// TestDocumentsOutliveTheirTime: as long as its writer runs a document never expires, and for at least a week after.
func TestDocumentsOutliveTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &mem.Store{}
		k, err := control.New(control.Config{Store: store, Events: []string{"ev"}, Writers: []string{"p1"}, Node: "p1", Every: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		change(t, k, func(d *control.Document) { d.Masks = append(d.Masks, maskA) })
		time.Sleep(30 * 24 * time.Hour)
		k.Close()
		if age := time.Since(k.Documents("ev")[0].Written); age > 26*time.Hour {
			t.Errorf("the document was written %v ago, want once a day", age)
		}
		time.Sleep(7 * 24 * time.Hour)
		again, err := control.New(control.Config{Store: store, Events: []string{"ev"}, Writers: []string{"p1"}, Node: "p1", Every: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if err := again.Wait(t.Context()); err != nil || !again.State("ev").Masked(id("a", 10)) {
			t.Errorf("37 days later: Wait = %v, State = %+v, want the mask", err, again.State("ev"))
		}
	})
}

func TestNewRefusesNames(t *testing.T) {
	for _, c := range []control.Config{{Events: []string{"a/b"}}, {Writers: []string{""}}} {
		if _, err := control.New(c); err == nil {
			t.Errorf("New(%+v) = nil, want an error", c)
		}
	}
}

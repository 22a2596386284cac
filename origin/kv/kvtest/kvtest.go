// Package kvtest is the conformance suite and the benchmarks that every kv.Store passes, and the one way in which a test
// says that the server it needs cannot be had. It tests what the contract of kv.Store promises and nothing more.
package kvtest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/kv"
)

// Options say what kind of store is under test. The zero value is a durable store of exact expiry in real time.
type Options struct {
	// Bubble runs each case in a synctest bubble of its own, for stores that need nothing from outside it.
	Bubble bool
	// KeepResolution is how long after its time has passed a value may still be there: 1 s where expiry counts in whole
	// seconds. 0 means 10 ms.
	KeepResolution time.Duration
	// Forgets is set for a cache, which may answer kv.ErrNotFound at any time, but never with an old or wrong value.
	Forgets bool
	// MaxValue is the largest value tried, in bytes; 0 means 1 MiB.
	MaxValue int
}

// Test runs the suite, each case as a subtest against a store of its own from open. Cases use keys that no other case and no
// earlier run uses, so open may return the same store again. Inside a bubble open is called within it; what it starts must be
// stopped by t.Cleanup.
func Test(t *testing.T, open func(t *testing.T) kv.Store, opts Options) {
	opts.KeepResolution = cmp.Or(opts.KeepResolution, 10*time.Millisecond)
	opts.MaxValue = cmp.Or(opts.MaxValue, 1<<20)
	for _, c := range []struct {
		name string
		run  func(*tester)
	}{
		{"put and get", (*tester).putGet},
		{"replace", (*tester).replace},
		{"missing", (*tester).missing},
		{"sizes", (*tester).sizes},
		{"key characters", (*tester).keyCharacters},
		{"keys are told apart", (*tester).keysApart},
		{"many keys at once", (*tester).manyKeys},
		{"one key at once", (*tester).oneKey},
		{"many keys in one exchange", (*tester).multi},
		{"cancelled context", (*tester).cancelled},
		{"cancelled in flight", (*tester).cancelledInFlight},
		{"expired context", (*tester).expired},
		{"values are never changed", (*tester).unchanged},
		{"keep runs out", (*tester).keepRunsOut},
		{"keep of a fraction of a second", (*tester).keepFraction},
		{"keep of two months", (*tester).keepLong},
		{"keep renewed", (*tester).keepRenewed},
		{"keep shortened", (*tester).keepShortened},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := func(t *testing.T) {
				c.run(&tester{T: t, Options: opts, store: open(t), part: "kvtest/" + rand.Text()})
			}
			if opts.Bubble {
				synctest.Test(t, run)
			} else {
				run(t)
			}
		})
	}
}

// tester is one case: a store and a Part that is its own.
type tester struct {
	*testing.T
	Options
	store kv.Store
	part  string
}

// long is a keep that does not run out during a case.
const long = time.Hour

func (t *tester) key(name string) kv.Key { return kv.Key{Part: t.part, Name: name} }

func (t *tester) put(key kv.Key, val []byte, keep time.Duration) {
	t.Helper()
	if err := t.store.Put(t.Context(), key, val, keep); err != nil {
		t.Fatalf("Put(%v, %s, %v) = %v, want nil", key, brief(val), keep, err)
	}
}

// want checks that Get returns val; a cache may have forgotten it.
func (t *tester) want(key kv.Key, val []byte) {
	t.Helper()
	got, err := t.store.Get(t.Context(), key)
	switch {
	case t.Forgets && errors.Is(err, kv.ErrNotFound):
	case err != nil:
		t.Fatalf("Get(%v) = %v, want %s", key, err, brief(val))
	case !bytes.Equal(got, val):
		t.Fatalf("Get(%v) = %s, want %s", key, brief(got), brief(val))
	}
}

func (t *tester) wantNothing(key kv.Key) {
	t.Helper()
	if got, err := t.store.Get(t.Context(), key); !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("Get(%v) = %s, %v, want an error that wraps kv.ErrNotFound", key, brief(got), err)
	}
}

// brief quotes a value by its length and first bytes.
func brief(val []byte) string {
	return fmt.Sprintf("%d bytes %.16x", len(val), val[:min(len(val), 8)])
}

// value returns size bytes that depend on both size and salt in every 8-byte word, so that no two mixed values pass for one.
func value(size int, salt uint64) []byte {
	val := make([]byte, size)
	x := salt*0x9e3779b97f4a7c15 + uint64(size)
	for i := range val {
		if i%8 == 0 {
			x = x*6364136223846793005 + 1442695040888963407
		}
		val[i] = byte(x >> (8 * (uint(i) % 8)))
	}
	return val
}

func (t *tester) putGet() {
	val := value(100, 1)
	t.put(t.key("a"), val, long)
	t.want(t.key("a"), val)
	t.want(t.key("a"), val) // reading takes nothing away
}

func (t *tester) replace() {
	for i, size := range []int{1000, 10, 5000, 5000, 0, 1} {
		val := value(size, uint64(i))
		t.put(t.key("a"), val, long)
		t.want(t.key("a"), val)
	}
}

func (t *tester) missing() {
	t.wantNothing(t.key("never"))
	t.wantNothing(t.key(""))
	t.put(t.key("a"), value(10, 1), long)
	t.wantNothing(t.key("never"))
}

func (t *tester) sizes() {
	sizes := []int{0, 1, 2, 3}
	for s := 16; s <= t.MaxValue; s *= 4 {
		sizes = append(sizes, s-1, s, s+1)
	}
	sizes = append(sizes, t.MaxValue)
	for _, size := range sizes {
		if size > t.MaxValue {
			continue
		}
		key, val := t.key(fmt.Sprint(size)), value(size, 7)
		t.put(key, val, long)
		t.want(key, val)
	}
}

func (t *tester) keyCharacters() {
	var all []byte
	for c := byte('!'); c <= '~'; c++ {
		all = append(all, c)
	}
	fill := strings.Repeat("0123456789/abcdef.", 12)
	keys := []kv.Key{
		t.key(""),
		t.key("0"),
		t.key("event/rendition/0000000017"),
		t.key("/"), t.key("//"), t.key("/leading"), t.key("trailing/"), t.key("a//b"),
		t.key("."), t.key(".."), t.key("a/../b"), t.key("a/./b"), t.key("../../a"),
		t.key("%"), t.key("%2F"), t.key("%00"), t.key("a?b=c&d#e"), t.key("a+b"), t.key("a:b;c,d"),
		t.key(string(all)),
		t.key(fill[:200]),
		{Part: (t.part + "/" + fill)[:200]},
		{Part: (t.part + "/1" + fill)[:200], Name: fill[:200]},
		{Part: t.part + "/../x"}, {Part: t.part + "//x"}, {Part: t.part + "/x/"}, {Part: "/" + t.part}, {Part: t.part + string(all)},
	}
	for i, key := range keys {
		t.put(key, value(20, uint64(i)), long)
	}
	for i, key := range keys {
		t.want(key, value(20, uint64(i)))
	}
}

// keysApart writes keys that a careless encoding would take for one another.
func (t *tester) keysApart() {
	at := func(part, name string) kv.Key { return kv.Key{Part: t.part + part, Name: name} }
	keys := []kv.Key{
		at("", ""), at("", "0"), at("", "1"), at("", "10"), at("", "01"), at("", "a"), at("", "A"),
		at("/a", "b/c"), at("/a/b", "c"), at("/a/b/c", ""), at("", "a/b/c"), at("", "/a/b/c"),
		at("/a", "/b/c"), at("/a/", "b/c"), at("/a:b", "c"), at("/a", "b:c"), at("/a%2Fb", "c"), at("/a", "b%2Fc"), at("/a", "b"),
		at(".a", "b"), at("", ".a.b"), at(".a.b", ""), at("-a", "b"), at("_a", "b"), at("|a", "b"), at("", "|a|b"),
	}
	for i, key := range keys {
		t.put(key, value(20, uint64(i)), long)
	}
	for i, key := range keys {
		t.want(key, value(20, uint64(i)))
	}
}

func (t *tester) manyKeys() {
	const writers, each = 16, 8
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				key, val := t.key(fmt.Sprintf("%d/%d", w, i)), value(min(t.MaxValue, 1+w*each*100+i), uint64(w*each+i))
				if err := t.store.Put(t.Context(), key, val, long); err != nil {
					t.Errorf("Put(%v) = %v, want nil", key, err)
					return
				}
				got, err := t.store.Get(t.Context(), key)
				if t.Forgets && errors.Is(err, kv.ErrNotFound) {
					continue
				}
				if err != nil || !bytes.Equal(got, val) {
					t.Errorf("Get(%v) after its Put = %s, %v, want %s", key, brief(got), err, brief(val))
				}
			}
		})
	}
	wg.Wait()
	for w := range writers {
		for i := range each {
			t.want(t.key(fmt.Sprintf("%d/%d", w, i)), value(min(t.MaxValue, 1+w*each*100+i), uint64(w*each+i)))
		}
	}
}

// oneKey has writers and readers meet at one key: whatever is read is one of the written values, whole.
func (t *tester) oneKey() {
	const writers, readers, each = 4, 4, 12
	key := t.key("shared")
	vals := make(map[string]bool)
	val := func(w, i int) []byte { return value(min(t.MaxValue, 1000*(1+w)+100*i), uint64(w*each+i)) }
	for w := range writers {
		for i := range each {
			vals[string(val(w, i))] = true
		}
	}
	t.put(key, val(0, 0), long)

	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := t.store.Put(t.Context(), key, val(w, i), long); err != nil {
					t.Errorf("Put(%v) = %v, want nil", key, err)
				}
			}
		})
	}
	for range readers {
		wg.Go(func() {
			for range 2 * each {
				got, err := t.store.Get(t.Context(), key)
				if t.Forgets && errors.Is(err, kv.ErrNotFound) {
					continue
				}
				if err != nil || !vals[string(got)] {
					t.Errorf("Get(%v) = %s, %v, want one of the values that were put, whole", key, brief(got), err)
				}
			}
		})
	}
	wg.Wait()

	last := value(100, 1<<20)
	t.put(key, last, long)
	t.want(key, last)
}

// prompt is how long an operation may take to notice that its context has ended; virtual time stands still meanwhile.
const prompt = 2 * time.Second

func (t *tester) ended(ctx context.Context, want error) {
	t.Helper()
	key, old, val := t.key("a"), value(100, 1), value(200, 2)
	t.put(key, old, long)

	start := time.Now()
	if err := t.store.Put(ctx, key, val, long); !errors.Is(err, want) {
		t.Errorf("Put under an ended context = %v, want %v", err, want)
	}
	if got, err := t.store.Get(ctx, key); !errors.Is(err, want) {
		t.Errorf("Get under an ended context = %s, %v, want %v", brief(got), err, want)
	}
	if took := time.Since(start); took > prompt {
		t.Errorf("Put and Get under an ended context took %v, want less than %v", took, prompt)
	}

	got, err := t.store.Get(t.Context(), key)
	forgot := t.Forgets && errors.Is(err, kv.ErrNotFound)
	if !forgot && (err != nil || !bytes.Equal(got, old) && !bytes.Equal(got, val)) {
		t.Errorf("Get after a Put that failed = %s, %v, want the old or the new value, whole", brief(got), err)
	}
	last := value(300, 3)
	t.put(key, last, long)
	t.want(key, last)
}

func (t *tester) cancelled() {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	t.ended(ctx, context.Canceled)
}

func (t *tester) expired() {
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	t.ended(ctx, context.DeadlineExceeded)
}

// cancelledInFlight ends contexts while operations are under way: each returns, with the context's error if with any, and the
// store goes on working.
func (t *tester) cancelledInFlight() {
	const callers = 16
	size := min(t.MaxValue, 100_000)
	key := t.key("a")
	t.put(key, value(size, 0), long)

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			if err := t.store.Put(ctx, key, value(size, uint64(i)), long); err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("Put cancelled in flight = %v, want nil or %v", err, context.Canceled)
			}
		})
		wg.Go(func() {
			_, err := t.store.Get(ctx, key)
			forgot := t.Forgets && errors.Is(err, kv.ErrNotFound)
			if err != nil && !forgot && !errors.Is(err, context.Canceled) {
				t.Errorf("Get cancelled in flight = %v, want nil or %v", err, context.Canceled)
			}
		})
	}
	start := time.Now()
	cancel()
	wg.Wait()
	if took := time.Since(start); took > prompt {
		t.Errorf("%d Puts and Gets returned %v after their context was cancelled, want less than %v", callers, took, prompt)
	}

	// A cancelled write may still be on its way, so another key shows that the store works on.
	other := t.key("b")
	t.put(other, value(size, 99), long)
	t.want(other, value(size, 99))
}

func (t *tester) unchanged() {
	key := t.key("a")
	first, second := value(1000, 1), value(1000, 2)
	t.put(key, first, long)
	if !bytes.Equal(first, value(1000, 1)) {
		t.Fatalf("Put(%v) changed the bytes it was given", key)
	}
	read, err := t.store.Get(t.Context(), key)
	if t.Forgets && errors.Is(err, kv.ErrNotFound) {
		read = first
	} else if err != nil {
		t.Fatalf("Get(%v) = %v, want nil", key, err)
	}
	t.put(key, second, long)
	t.want(key, second)
	for i := range 50 { // so that a buffer that the store uses again would show
		t.put(t.key(fmt.Sprint(i)), value(1000, uint64(100+i)), long)
		t.want(t.key(fmt.Sprint(i)), value(1000, uint64(100+i)))
	}
	if !bytes.Equal(read, value(1000, 1)) {
		t.Errorf("the bytes that Get(%v) returned were changed by later operations", key)
	}
	if !bytes.Equal(first, value(1000, 1)) || !bytes.Equal(second, value(1000, 2)) {
		t.Errorf("the bytes given to Put(%v) were changed by later operations", key)
	}
}

// wait passes d, or less if the test ends.
func (t *tester) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// outlives checks that the value of key, whose keep began no earlier than start, is there until keep has passed and gone within
// the store's resolution (and the slack that a loaded machine needs) after that.
func (t *tester) outlives(key kv.Key, val []byte, start time.Time, keep time.Duration) {
	t.Helper()
	late := keep + 2*t.KeepResolution
	if !t.Bubble {
		late += 3 * time.Second
	}
	for step := max(time.Millisecond, keep/20); ; t.wait(step) {
		asked := time.Since(start)
		got, err := t.store.Get(t.Context(), key)
		answered := time.Since(start)
		switch {
		case err == nil && asked > late:
			t.Fatalf("Get(%v) %v after a Put to be kept for %v = %s, want kv.ErrNotFound", key, asked, keep, brief(got))
		case err == nil && !bytes.Equal(got, val):
			t.Fatalf("Get(%v) = %s, want %s", key, brief(got), brief(val))
		case err == nil:
		case !errors.Is(err, kv.ErrNotFound):
			t.Fatalf("Get(%v) = %v, want the value or kv.ErrNotFound", key, err)
		case answered < keep && !t.Forgets:
			t.Fatalf("Get(%v) %v after a Put to be kept for %v = %v, want %s", key, answered, keep, err, brief(val))
		default:
			return
		}
	}
}

// someKeep is a keep that a case waits for: no shorter than the store's resolution, and no longer than needed.
func (t *tester) someKeep() time.Duration {
	if t.Bubble {
		return 10 * time.Second
	}
	return max(400*time.Millisecond, t.KeepResolution)
}

func (t *tester) keepRunsOut() {
	key, val, keep := t.key("a"), value(100, 1), t.someKeep()
	t.put(t.key("longer"), val, long)
	start := time.Now()
	t.put(key, val, keep)
	t.outlives(key, val, start, keep)
	t.wantNothing(key)
	t.want(t.key("longer"), val)

	again := value(100, 2) // its time having passed, the key is as good as new
	t.put(key, again, long)
	t.want(key, again)
}

func (t *tester) keepFraction() {
	key, val, keep := t.key("a"), value(100, 1), 150*time.Millisecond
	start := time.Now()
	t.put(key, val, keep)
	t.outlives(key, val, start, keep)
}

func (t *tester) keepLong() {
	key, val := t.key("a"), value(100, 1)
	t.put(key, val, 60*24*time.Hour)
	t.want(key, val)
	if !t.Bubble {
		return
	}
	t.wait(59 * 24 * time.Hour)
	t.want(key, val)
	t.wait(24*time.Hour + t.KeepResolution)
	t.wantNothing(key)
}

func (t *tester) keepRenewed() {
	key, keep := t.key("a"), t.someKeep()
	t.put(key, value(100, 1), keep)
	t.wait(keep * 3 / 4)
	val := value(100, 2)
	start := time.Now()
	t.put(key, val, keep)
	t.outlives(key, val, start, keep)
}

func (t *tester) keepShortened() {
	key, val, keep := t.key("a"), value(100, 2), t.someKeep()
	t.put(key, value(100, 1), long)
	start := time.Now()
	t.put(key, val, keep)
	t.outlives(key, val, start, keep)
}

// Need says that a test needs what, which cannot be had because of err; where err is nil it does nothing. The text of err tells
// the reader how to get it. With CI=true in the environment the test fails; otherwise it is skipped with a line that
// begins with SKIP-NEED, which `make test` gathers and lists at its end.
func Need(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	line := fmt.Sprintf("SKIP-NEED %s: %s", what, strings.Join(strings.Fields(err.Error()), " "))
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s (a test may not be skipped with CI=true)", line)
	}
	t.Skip(line)
}

// multi reads many keys with kv.GetMulti, whether the store is a kv.MultiGetter or not.
func (t *tester) multi() {
	const n = 200
	keys := make([]kv.Key, n)
	want := make([][]byte, n)
	for i := range keys {
		keys[i] = kv.Key{Part: fmt.Sprintf("%s/%d", t.part, i/3), Name: fmt.Sprint(i)}
		switch {
		case i%3 == 0: // never put
			continue
		case i == 1:
			want[i] = []byte{}
		case i == 2:
			want[i] = value(t.MaxValue, 2)
		default:
			want[i] = value(i, uint64(i))
		}
		t.put(keys[i], want[i], long)
	}
	check := func(keys []kv.Key, want [][]byte) {
		t.Helper()
		got, err := kv.GetMulti(t.Context(), t.store, keys)
		if err != nil || len(got) != len(keys) {
			t.Fatalf("GetMulti of %d keys = %d values, %v", len(keys), len(got), err)
		}
		for i := range keys {
			if got[i] == nil && t.Forgets {
				continue
			}
			if !bytes.Equal(got[i], want[i]) || (got[i] == nil) != (want[i] == nil) {
				t.Fatalf("GetMulti: %v is %s (nil: %v), want %s", keys[i], brief(got[i]), got[i] == nil, brief(want[i]))
			}
		}
	}
	check(keys, want)
	check(keys[:1], want[:1])
	check(nil, nil)
	check([]kv.Key{keys[5], keys[4], keys[5]}, [][]byte{want[5], want[4], want[5]}) // one of them twice

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := kv.GetMulti(ctx, t.store, keys); !errors.Is(err, context.Canceled) {
		t.Errorf("GetMulti with a cancelled context = %d values, %v, want context.Canceled", len(got), err)
	}
}

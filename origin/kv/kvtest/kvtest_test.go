package kvtest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/kv/mem"
)

// broken is a mem store whose operations go wrong in one way.
type broken struct {
	mem.Store
	put func(s *mem.Store, ctx context.Context, key kv.Key, val []byte, keep time.Duration) error
	get func(s *mem.Store, ctx context.Context, key kv.Key) ([]byte, error)
}

func (b *broken) Put(ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
	if b.put == nil {
		return b.Store.Put(ctx, key, val, keep)
	}
	return b.put(&b.Store, ctx, key, val, keep)
}

func (b *broken) Get(ctx context.Context, key kv.Key) ([]byte, error) {
	if b.get == nil {
		return b.Store.Get(ctx, key)
	}
	return b.get(&b.Store, ctx, key)
}

// faults are ways in which stores were, or might be, wrong, and a case of the suite that has to notice each.
var faults = map[string]struct {
	open   func() kv.Store
	caught string
}{
	"an empty value is taken for none": {func() kv.Store {
		return &broken{get: func(s *mem.Store, ctx context.Context, key kv.Key) ([]byte, error) {
			val, err := s.Get(ctx, key)
			if err == nil && len(val) == 0 {
				return nil, kv.ErrNotFound
			}
			return val, err
		}}
	}, "sizes"},
	"a value of a whole block is cut": {func() kv.Store {
		return &broken{get: func(s *mem.Store, ctx context.Context, key kv.Key) ([]byte, error) {
			val, err := s.Get(ctx, key)
			if len(val) > 0 && len(val)%4096 == 0 {
				val = val[1:]
			}
			return val, err
		}}
	}, "sizes"},
	"missing is an error of its own": {func() kv.Store {
		return &broken{get: func(s *mem.Store, ctx context.Context, key kv.Key) ([]byte, error) {
			val, err := s.Get(ctx, key)
			if errors.Is(err, kv.ErrNotFound) {
				err = errors.New("no rows")
			}
			return val, err
		}}
	}, "missing"},
	"the first value stays": {func() kv.Store {
		return &broken{put: func(s *mem.Store, ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
			if _, err := s.Get(ctx, key); err == nil {
				return nil
			}
			return s.Put(ctx, key, val, keep)
		}}
	}, "replace"},
	"part and name run together": {func() kv.Store {
		join := func(k kv.Key) kv.Key { return kv.Key{Part: k.Part + "/" + k.Name} }
		return &broken{
			put: func(s *mem.Store, ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
				return s.Put(ctx, join(key), val, keep)
			},
			get: func(s *mem.Store, ctx context.Context, key kv.Key) ([]byte, error) { return s.Get(ctx, join(key)) },
		}
	}, "keys are told apart"},
	"paths are cleaned": {func() kv.Store {
		clean := func(k kv.Key) kv.Key {
			return kv.Key{Part: strings.ReplaceAll(k.Part, "//", "/"), Name: strings.Trim(k.Name, "/")}
		}
		return &broken{
			put: func(s *mem.Store, ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
				return s.Put(ctx, clean(key), val, keep)
			},
			get: func(s *mem.Store, ctx context.Context, key kv.Key) ([]byte, error) { return s.Get(ctx, clean(key)) },
		}
	}, "key characters"},
	"writers tear each other's values": {func() kv.Store {
		var mu sync.Mutex
		return &broken{put: func(s *mem.Store, ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
			mu.Lock()
			defer mu.Unlock()
			if old, err := s.Get(ctx, key); err == nil && len(old) > len(val) {
				val = append(val[:len(val):len(val)], old[len(val):]...)
			}
			return s.Put(ctx, key, val, keep)
		}}
	}, "one key at once"},
	"a buffer is used again": {func() kv.Store {
		var mu sync.Mutex
		buf := make([]byte, 2<<20)
		return &broken{get: func(s *mem.Store, ctx context.Context, key kv.Key) ([]byte, error) {
			val, err := s.Get(ctx, key)
			mu.Lock()
			defer mu.Unlock()
			return buf[:copy(buf, val)], err
		}}
	}, "values are never changed"},
	"contexts are ignored": {func() kv.Store {
		return &broken{get: func(s *mem.Store, ctx context.Context, key kv.Key) ([]byte, error) {
			return s.Get(context.WithoutCancel(ctx), key)
		}}
	}, "cancelled context"},
	"deadlines are ignored": {func() kv.Store {
		return &broken{put: func(s *mem.Store, ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
			return s.Put(context.WithoutCancel(ctx), key, val, keep)
		}}
	}, "expired context"},
	"a context that ends is noticed late": {func() kv.Store {
		return &broken{put: func(s *mem.Store, ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
			<-time.After(5 * time.Second) // of the bubble that the suite runs this in
			return s.Put(ctx, key, val, keep)
		}}
	}, "cancelled in flight"},
	"values stay for ever": {func() kv.Store {
		return &broken{put: func(s *mem.Store, ctx context.Context, key kv.Key, val []byte, _ time.Duration) error {
			return s.Put(ctx, key, val, 1000*time.Hour)
		}}
	}, "keep runs out"},
	"keep is rounded down to seconds": {func() kv.Store {
		return &broken{put: func(s *mem.Store, ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
			return s.Put(ctx, key, val, max(keep.Truncate(time.Second), 1))
		}}
	}, "keep of a fraction of a second"},
	"keep has a largest value": {func() kv.Store {
		return &broken{put: func(s *mem.Store, ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
			return s.Put(ctx, key, val, min(keep, 30*24*time.Hour))
		}}
	}, "keep of two months"},
	"the first keep stays": {func() kv.Store {
		ends := make(map[kv.Key]time.Time)
		return &broken{put: func(s *mem.Store, ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
			if end, ok := ends[key]; ok && time.Until(end) > 0 {
				keep = time.Until(end)
			}
			ends[key] = time.Now().Add(keep)
			return s.Put(ctx, key, val, keep)
		}}
	}, "keep renewed"},
	"the longest keep stays": {func() kv.Store {
		ends := make(map[kv.Key]time.Time)
		return &broken{put: func(s *mem.Store, ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
			keep = max(keep, time.Until(ends[key]))
			ends[key] = time.Now().Add(keep)
			return s.Put(ctx, key, val, keep)
		}}
	}, "keep shortened"},
}

// faultEnv tells a second run of this program which fault to run the suite over.
const faultEnv = "KVTEST_FAULT"

// The suite notices each fault. A suite that fails cannot run within a test that passes, so each runs in a process of its own.
func TestSuiteNoticesFaults(t *testing.T) {
	if name := os.Getenv(faultEnv); name != "" {
		kvtest.Test(t, func(*testing.T) kv.Store { return faults[name].open() }, kvtest.Options{Bubble: true})
		return
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSuiteNoticesFaults$/^"+strings.ReplaceAll(fault.caught, " ", "_")+"$", "-test.v")
			cmd.Env = append(os.Environ(), faultEnv+"="+name)
			out, err := cmd.CombinedOutput()
			if _, failed := errors.AsType[*exec.ExitError](err); !failed || !strings.Contains(string(out), "--- FAIL") {
				t.Errorf("the case %q passed, want it to fail (%v):\n%s", fault.caught, err, out)
			}
		})
	}
}

func TestSoundStorePasses(t *testing.T) {
	kvtest.Test(t, func(*testing.T) kv.Store { return new(broken) }, kvtest.Options{Bubble: true})
}

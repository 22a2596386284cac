package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/kv/s3"
	"origin-storm/origin/kv/s3/fakes3"
)

// serve runs an in-process S3 server behind middleware.
func serve(t testing.TB, cfg fakes3.Config, middleware func(http.Handler) http.Handler) (url string) {
	t.Helper()
	h, err := fakes3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if middleware != nil {
		h = middleware(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func open(t testing.TB, cfg s3.Config) *s3.DB {
	t.Helper()
	db, err := s3.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("Open(%+v) = %v", cfg, err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return db
}

func TestStore(t *testing.T) {
	url := serve(t, fakes3.Config{}, nil)
	for _, cfg := range []s3.Config{
		{URL: url, Bucket: "anonymous"},
		{URL: url, Bucket: "signed", AccessKey: "who", SecretKey: "secret"},
	} {
		t.Run(cfg.Bucket, func(t *testing.T) {
			t.Parallel()
			kvtest.Test(t, func(t *testing.T) kv.Store { return open(t, cfg).Table("chunks") }, kvtest.Options{MaxValue: 4 << 20})
		})
	}
}

func BenchmarkStore(b *testing.B) {
	url := serve(b, fakes3.Config{}, nil)
	kvtest.Bench(b, func(b *testing.B) kv.Store { return open(b, s3.Config{URL: url, Bucket: "bench"}).Table("chunks") })
}

// What a server answers reaches callers as the errors they branch on, after one request: nothing is tried again behind their backs.
func TestErrors(t *testing.T) {
	key := kv.Key{Part: "event/v1", Name: "7"}
	for _, c := range []struct {
		name string
		err  error
		want error // nil: none of kv's
	}{
		{"throttled", kv.ErrThrottled, kv.ErrThrottled},
		{"not found", kv.ErrNotFound, kv.ErrNotFound},
		{"denied", kv.ErrDenied, kv.ErrDenied},
		{"too large", kv.ErrTooLarge, kv.ErrTooLarge},
		{"full", kv.ErrFull, kv.ErrFull},
		{"anything else", errors.New("disk on fire"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int32
			url := serve(t, fakes3.Config{Around: func(_ context.Context, op kv.Op, _ func(context.Context) error) error {
				asked.Add(1)
				if op.Key != key {
					t.Errorf("the intercept was given %v, want %v", op.Key, key)
				}
				return c.err
			}}, nil)
			s := open(t, s3.Config{URL: url, Bucket: "bucket"}).Table("t")
			_, get := s.Get(t.Context(), key)
			for what, err := range map[string]error{"Put": s.Put(t.Context(), key, []byte("x"), time.Minute), "Get": get} {
				if c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("%s = %v, want %v", what, err, c.want)
				}
				if c.want == nil && (err == nil || kv.Permanent(err)) {
					t.Errorf("%s = %v, want an error that may pass", what, err)
				}
			}
			if n := asked.Load(); n != 2 {
				t.Errorf("one Put and one Get made %d requests, want 2", n)
			}
		})
	}
}

func TestInterceptSeesTheOperation(t *testing.T) {
	var mu sync.Mutex
	var ops []kv.Op
	var sizes []int
	url := serve(t, fakes3.Config{Around: func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
		err := do(ctx)
		mu.Lock()
		defer mu.Unlock()
		ops, sizes = append(ops, op), append(sizes, op.Size())
		return err
	}}, nil)
	s := open(t, s3.Config{URL: url, Bucket: "bucket", Prefix: "run/7"}).Table("t")
	key := kv.Key{Part: "a/../b", Name: ""}
	began := time.Now().Add(-30 * time.Millisecond).Round(0)
	ctx := kv.WithAttempt(kv.WithBegan(t.Context(), began), 2)
	if err := s.Put(ctx, key, make([]byte, 1000), time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if len(ops) != 2 || !ops[0].Write || ops[1].Write || ops[0].Key != key || ops[1].Key != key {
		t.Fatalf("the intercept saw %+v, want a Put and a Get of %v", ops, key)
	}
	if sizes[0] != 1000 || sizes[1] != 1000 {
		t.Errorf("the intercept saw sizes %v, want 1000 twice", sizes)
	}
	if ops[0].Attempt != 2 || !ops[0].Began.Equal(began) || ops[1].Attempt != 0 || !ops[1].Began.IsZero() {
		t.Errorf("the intercept saw %+v, want the attempt 2, begun at %v, of the Put and of it alone", ops, began)
	}
}

// An intercept may lose the acknowledgement of what was done, and may put other bytes in the place of those that go by.
func TestInterceptFaults(t *testing.T) {
	lose, spoil := false, false
	url := serve(t, fakes3.Config{Around: func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
		err := do(ctx)
		if lose {
			return errors.New("lost")
		}
		if spoil {
			val := bytes.Clone(*op.Val)
			val[0] ^= 1
			*op.Val = val
		}
		return err
	}}, nil)
	s := open(t, s3.Config{URL: url, Bucket: "bucket"}).Table("t")
	key := kv.Key{Part: "p"}
	lose = true
	if err := s.Put(t.Context(), key, []byte("hello"), time.Minute); err == nil {
		t.Fatal("Put whose acknowledgement was lost = nil")
	}
	lose = false
	if got, err := s.Get(t.Context(), key); err != nil || string(got) != "hello" {
		t.Fatalf("Get after a Put whose acknowledgement was lost = %q, %v, want hello", got, err)
	}
	spoil = true
	if got, err := s.Get(t.Context(), key); err == nil {
		t.Fatalf("Get of spoilt bytes = %q, want an error", got)
	}
}

// A body that ends early or a connection that breaks off gives an error, never a part of the value.
func TestTornBody(t *testing.T) {
	torn := false
	url := serve(t, fakes3.Config{}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !torn || r.Method != http.MethodGet {
				next.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			for name, values := range rec.Header() {
				w.Header()[name] = values
			}
			w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
			panic(http.ErrAbortHandler)
		})
	})
	s := open(t, s3.Config{URL: url, Bucket: "bucket"}).Table("t")
	key := kv.Key{Part: "p"}
	if err := s.Put(t.Context(), key, make([]byte, 300_000), time.Minute); err != nil {
		t.Fatal(err)
	}
	torn = true
	if got, err := s.Get(t.Context(), key); err == nil || errors.Is(err, kv.ErrNotFound) {
		t.Errorf("Get of a torn body = %d bytes, %v, want an error that is no kv.ErrNotFound", len(got), err)
	}
}

// objects counts what a bucket holds.
func objects(t *testing.T, url, bucket string) int {
	t.Helper()
	res, err := http.Get(url + "/" + bucket + "?list-type=2&max-keys=1000")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "<Contents>")
}

// await polls until is holds, for ten seconds.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); !is(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("10 s passed without that %s", what)
		}
	}
}

func TestExpiredObjectsAreRemoved(t *testing.T) {
	url := serve(t, fakes3.Config{}, nil)
	s := open(t, s3.Config{URL: url, Bucket: "bucket"}).Table("t")
	for i := range 100 {
		if err := s.Put(t.Context(), kv.Key{Part: "p", Name: fmt.Sprint(i)}, []byte("x"), 300*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	stays := kv.Key{Part: "stays"}
	for _, keep := range []time.Duration{300 * time.Millisecond, time.Hour} { // renewed before it expires
		if err := s.Put(t.Context(), stays, []byte("x"), keep); err != nil {
			t.Fatal(err)
		}
	}
	if n := objects(t, url, "bucket"); n != 101 {
		t.Fatalf("the bucket holds %d objects after 101 Puts", n)
	}
	await(t, "expired objects were removed", func() bool { return objects(t, url, "bucket") == 1 })
	if _, err := s.Get(t.Context(), stays); err != nil {
		t.Errorf("Get of what was put again to be kept longer = %v, want nil", err)
	}
}

// Another process has put an object again: the sweeper of the one that put it first leaves it.
func TestSweeperLeavesWhatAnotherProcessRenewed(t *testing.T) {
	url := serve(t, fakes3.Config{}, nil)
	cfg := s3.Config{URL: url, Bucket: "bucket"}
	key, other := kv.Key{Part: "p"}, kv.Key{Part: "other"}
	first, second := open(t, cfg).Table("t"), open(t, cfg).Table("t")
	for _, k := range []kv.Key{key, other} {
		if err := first.Put(t.Context(), k, []byte("old"), 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if err := second.Put(t.Context(), key, []byte("new"), time.Hour); err != nil {
		t.Fatal(err)
	}
	await(t, "the other object was removed", func() bool { return objects(t, url, "bucket") == 1 })
	if got, err := second.Get(t.Context(), key); err != nil || string(got) != "new" {
		t.Errorf("Get = %q, %v, want new", got, err)
	}
}

func TestDropTakesItsPrefixAlone(t *testing.T) {
	url := serve(t, fakes3.Config{Bucket: "shared"}, nil)
	a, b := open(t, s3.Config{URL: url, Bucket: "shared", Prefix: "a"}), open(t, s3.Config{URL: url, Bucket: "shared", Prefix: "ab"})
	own := open(t, s3.Config{URL: url, Bucket: "own"})
	for i, db := range []*s3.DB{a, b, own} {
		if err := db.Table("t").Put(t.Context(), kv.Key{Part: "p"}, []byte{byte(i)}, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for _, db := range []*s3.DB{a, own} {
		if err := db.Drop(t.Context()); err != nil {
			t.Fatalf("Drop() = %v", err)
		}
	}
	if n := objects(t, url, "shared"); n != 1 {
		t.Errorf("the shared bucket holds %d objects after one of two prefixes was dropped, want 1", n)
	}
	res, err := http.Head(url + "/own")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("HEAD of the bucket that Open had made, after Drop: %s, want 404", res.Status)
	}
}

func TestOpenFails(t *testing.T) {
	denies := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer denies.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, c := range []struct {
		name string
		cfg  s3.Config
		is   error
		want string
	}{
		{"no URL", s3.Config{Bucket: "bucket"}, nil, "http://host:port"},
		{"path in URL", s3.Config{URL: "http://127.0.0.1:1/b", Bucket: "bucket"}, nil, "http://host:port"},
		{"not on loopback", s3.Config{URL: "http://192.0.2.1:9000", Bucket: "bucket"}, nil, "--allow-remote"},
		{"a name that only looks like loopback", s3.Config{URL: "http://127.0.0.1.example.net", Bucket: "bucket"}, nil, "--allow-remote"},
		{"bad bucket", s3.Config{URL: denies.URL, Bucket: "B"}, nil, "B"},
		{"denied", s3.Config{URL: denies.URL, Bucket: "bucket"}, kv.ErrDenied, denies.URL},
		{"nobody there", s3.Config{URL: closed.URL, Bucket: "bucket"}, nil, closed.URL},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := s3.Open(t.Context(), c.cfg)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("Open(%+v) = %v, want an error about %q that is %v", c.cfg, err, c.want, c.is)
			}
		})
	}
}

// The bucket may be made by several processes at once.
func TestOpenAtOnce(t *testing.T) {
	url := serve(t, fakes3.Config{}, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			db, err := s3.Open(t.Context(), s3.Config{URL: url, Bucket: "bucket"})
			if err != nil {
				t.Errorf("Open() = %v", err)
				return
			}
			db.Close()
		})
	}
	wg.Wait()
}

func FuzzParseObject(f *testing.F) {
	for _, object := range []string{"p/t/a/b", "p/t/!/!", "p/t/!2E!2E/x", "a/b/c/d/e/f", "", "/", "p/t/!sha256/00", "p/t/!2/!", "p/t/!2e/!", "t/a/b"} {
		f.Add(object)
	}
	f.Fuzz(func(t *testing.T, object string) {
		table, key, err := s3.ParseObject(object)
		if err != nil || strings.Contains(object, "/!sha256/") {
			return
		}
		prefix := strings.TrimSuffix(object, "/"+table+"/"+s3.Escape(key.Part)+"/"+s3.Escape(key.Name))
		if again := s3.ObjectName(prefix, table, key); again != object && len(object) <= 1024 {
			t.Errorf("ParseObject(%q) = %q, %v, which is named %q", object, table, key, again)
		}
	})
}

package remote_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/kv/remote"
)

// pipes is a listener whose connections are pipes in memory: a network that a bubble can hold.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func (p *pipes) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve hosts s as store "s", table "t", and returns a client of it.
func serve(t testing.TB, s kv.Store, c remote.Config, ln net.Listener) kv.Store {
	t.Helper()
	srv := &http.Server{Handler: remote.Handler(func(name, table string) (kv.Store, bool) { return s, name == "s" && table == "t" })}
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(ln) })
	c.Name = "s"
	db, err := remote.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		db.Close()
		srv.Close()
		wg.Wait()
	})
	return db.Table("t")
}

func overPipes(t testing.TB, s kv.Store) kv.Store {
	p := newPipes()
	return serve(t, s, remote.Config{Address: "store.test:80", Dial: p.Dial}, p)
}

func overLoopback(t testing.TB, s kv.Store) kv.Store {
	ln := listen(t)
	return serve(t, s, remote.Config{Address: ln.Addr().String()}, ln)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func TestConforms(t *testing.T) {
	t.Run("pipes", func(t *testing.T) {
		kvtest.Test(t, func(t *testing.T) kv.Store { return overPipes(t, new(mem.Store)) }, kvtest.Options{Bubble: true})
	})
	t.Run("loopback", func(t *testing.T) {
		kvtest.Test(t, func(t *testing.T) kv.Store { return overLoopback(t, new(mem.Store)) }, kvtest.Options{MaxValue: 4 << 20})
	})
}

func BenchmarkStore(b *testing.B) {
	kvtest.Bench(b, func(b *testing.B) kv.Store { return overLoopback(b, new(mem.Store)) })
}

var key = kv.Key{Part: "event/video", Name: "17"}

// spy is a store that answers with err and remembers the context it was called under.
type spy struct {
	err error
	ctx context.Context
}

func (s *spy) Put(ctx context.Context, _ kv.Key, _ []byte, _ time.Duration) error {
	s.ctx = ctx
	return s.err
}

func (s *spy) Get(ctx context.Context, _ kv.Key) ([]byte, error) {
	s.ctx = ctx
	return nil, s.err
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	sentinels := []error{kv.ErrNotFound, kv.ErrTooLarge, kv.ErrFull, kv.ErrThrottled, kv.ErrDenied}
	s := new(spy)
	client := overLoopback(t, s)
	for _, err := range append(sentinels, errors.New("something else"), errors.New(strings.Repeat("long ", 10_000))) {
		s.err = fmt.Errorf("disk 7: %w", err)
		_, getErr := client.Get(t.Context(), key)
		for op, got := range map[string]error{"Put": client.Put(t.Context(), key, nil, time.Hour), "Get": getErr} {
			if got == nil {
				t.Errorf("%s over a store that answers %v = nil", op, err)
				continue
			}
			for _, sentinel := range sentinels {
				if errors.Is(got, sentinel) != (err == sentinel) {
					t.Errorf("%s over a store that answers %v: errors.Is(%v, %v) = %v", op, err, got, sentinel, errors.Is(got, sentinel))
				}
			}
			for _, want := range []string{"disk 7", key.String(), "s/t", "127.0.0.1:"} {
				if !strings.Contains(got.Error(), want) {
					t.Errorf("%s: the error %.200q does not name %s", op, got, want)
				}
			}
			if len(got.Error()) > 3000 {
				t.Errorf("%s: an error of %d bytes", op, len(got.Error()))
			}
		}
	}
}

func TestAttemptAndAgeTravel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(spy)
		client := overPipes(t, s)
		time.Sleep(time.Minute)
		began := time.Now().Add(-1234567 * time.Microsecond)
		for _, ctx := range []context.Context{t.Context(), kv.WithBegan(kv.WithAttempt(t.Context(), 7), began)} {
			for op, do := range map[string]func(){
				"Put": func() { client.Put(ctx, key, nil, time.Hour) },
				"Get": func() { client.Get(ctx, key) },
			} {
				do()
				if got, want := kv.Attempt(s.ctx), kv.Attempt(ctx); got != want {
					t.Errorf("%s arrived as attempt %d, want %d", op, got, want)
				}
				if got, want := kv.Began(s.ctx), kv.Began(ctx); !got.Equal(want) {
					t.Errorf("%s arrived as begun at %v, want %v", op, got, want)
				}
			}
		}
	})
}

// Between processes of one machine the instant itself arrives, whatever the way took.
func TestBeganTravelsOnOneMachine(t *testing.T) {
	s := new(spy)
	client := overLoopback(t, s)
	began := time.Now().Add(-3 * time.Second).Round(0) // without the monotonic reading, which does not travel
	client.Put(kv.WithBegan(t.Context(), began), key, make([]byte, 1<<20), time.Hour)
	if got := kv.Began(s.ctx).Round(0); !got.Equal(began) {
		t.Errorf("Put arrived as begun at %v, want %v", got, began)
	}
}

func TestUnknownStoreIsNotAMissingKey(t *testing.T) {
	ln := listen(t)
	serve(t, new(mem.Store), remote.Config{Address: ln.Addr().String()}, ln)
	for _, c := range []struct{ store, table string }{{"other", "t"}, {"s", "other"}} {
		db, err := remote.Open(remote.Config{Address: ln.Addr().String(), Name: c.store})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Table(c.table).Get(t.Context(), key); err == nil || errors.Is(err, kv.ErrNotFound) {
			t.Errorf("Get from %s/%s, which is not hosted = %v, want an error that is not kv.ErrNotFound", c.store, c.table, err)
		}
	}

	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	db, err := remote.Open(remote.Config{Address: web.Listener.Addr().String(), Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Table("t").Get(t.Context(), key); err == nil || errors.Is(err, kv.ErrNotFound) || !strings.Contains(err.Error(), "origin store") {
		t.Errorf("Get from some web server = %v, want an error that asks whether this is an origin store", err)
	}
}

func TestOpenChecksItsConfig(t *testing.T) {
	for _, c := range []remote.Config{
		{}, {Address: "host"}, {Address: "host:1"}, {Address: "host:1", Name: "a/b"}, {Address: "host:1", Name: ".."}, {Address: "http://host:1/x", Name: "a"},
	} {
		if _, err := remote.Open(c); err == nil {
			t.Errorf("Open(%+v) = nil, want an error", c)
		}
	}
}

func TestNothingListens(t *testing.T) {
	ln := listen(t)
	ln.Close()
	db, err := remote.Open(remote.Config{Address: ln.Addr().String(), Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Table("t").Get(t.Context(), key); err == nil || kv.Permanent(err) || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("Get from where nobody listens = %v, want an error that may pass and names the address", err)
	}
}

// A server that breaks off in a value, or answers without a length: the client returns an error, never a part.
func TestTornAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"short":         "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this",
		"empty":         "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
		"no length":     "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nonly this",
		"chunked":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n0\r\n\r\n",
		"huge":          "HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
		"cut in header": "HTTP/1.1 200 OK\r\nContent-Le",
		"not HTTP":      "SSH-2.0-OpenSSH_9.2\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			ln := listen(t)
			var wg sync.WaitGroup
			wg.Go(func() {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				http.ReadRequest(bufio.NewReader(conn))
				io.WriteString(conn, answer)
			})
			defer wg.Wait()
			defer ln.Close()
			db, err := remote.Open(remote.Config{Address: ln.Addr().String(), Name: "s"})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if val, err := db.Table("t").Get(t.Context(), key); err == nil || kv.Permanent(err) || val != nil {
				t.Errorf("Get = %q, %v, want an error that may pass", val, err)
			}
		})
	}
}

// An answer to many keys that is not whole, or not an answer, is an error; no part of it is taken for a value.
func TestTornMulti(t *testing.T) {
	keys := []kv.Key{key, {Part: "p", Name: "n"}}
	for _, tt := range []struct {
		body string
		ok   bool
	}{
		{"3\nabc-\n", true}, {"-\n0\n", true},
		{"", false}, {"-\n", false}, {"3\nabc", false}, {"3\nab", false}, {"3\nabc-", false}, {"9\nabc-\n", false}, {"-1\n-\n", false},
		{"x\n-\n", false}, {"3\nabc-\nmore", false}, {"99999999999999999999\nabc-\n", false}, {"2147483647\nabc-\n", false},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(tt.body)))
			io.WriteString(w, tt.body)
		}))
		db, err := remote.Open(remote.Config{Address: srv.Listener.Addr().String(), Name: "s"})
		if err != nil {
			t.Fatal(err)
		}
		vals, err := kv.GetMulti(t.Context(), db.Table("t"), keys)
		if (err == nil) != tt.ok || len(vals) != 2 || err != nil && (vals[0] != nil || vals[1] != nil || kv.Permanent(err)) {
			t.Errorf("GetMulti answered with %q = %q, %v, want success: %v", tt.body, vals, err, tt.ok)
		}
		db.Close()
		srv.Close()
	}
}

// More keys than a request takes go in several.
func TestManyKeys(t *testing.T) {
	store := new(mem.Store)
	var requests atomic.Int64
	client := overLoopback(t, kv.Inject(store, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
		requests.Add(1)
		return do(ctx)
	}))
	keys := make([]kv.Key, 2500)
	for i := range keys {
		keys[i] = kv.Key{Part: "p", Name: fmt.Sprint(i)}
		if err := store.Put(t.Context(), keys[i], []byte(keys[i].Name), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	vals, err := kv.GetMulti(t.Context(), client, keys)
	if err != nil || len(vals) != len(keys) {
		t.Fatalf("GetMulti = %d values, %v", len(vals), err)
	}
	for i, val := range vals {
		if string(val) != keys[i].Name {
			t.Fatalf("value %d is %q", i, val)
		}
	}
	if n := requests.Load(); n != int64(len(keys)) {
		t.Errorf("the store was asked %d times for %d keys", n, len(keys))
	}
}

// A client that breaks off in a value has stored nothing.
func TestTornPut(t *testing.T) {
	store := new(mem.Store)
	ln := listen(t)
	serve(t, store, remote.Config{Address: ln.Addr().String()}, ln)
	for _, request := range []string{
		"PUT /kv/s/t?part=p&name=n HTTP/1.1\r\nHost: x\r\nKv-Keep: 1h\r\nContent-Length: 1000\r\n\r\nonly this",
		"PUT /kv/s/t?part=p&name=n HTTP/1.1\r\nHost: x\r\nKv-Keep: 1h\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n0\r\n\r\n",
		"PUT /kv/s/t?part=p&name=n HTTP/1.1\r\nHost: x\r\nKv-Keep: 1h\r\nContent-Length: 99999999999\r\n\r\nonly this",
		"PUT /kv/s/t?part=p&name=n HTTP/1.1\r\nHost: x\r\nKv-Keep: 1h\r\nContent-Length: 9\r\nContent-Length: 3\r\n\r\nonly this",
	} {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, request)
		conn.(*net.TCPConn).CloseWrite()
		answer, err := io.ReadAll(conn)
		conn.Close()
		if status, _, _ := strings.Cut(string(answer), "\r\n"); err == nil && !strings.HasPrefix(status, "HTTP/1.1 4") {
			t.Errorf("%.60q… was answered %q, want a refusal", request, status)
		}
	}
	if values, _ := store.Stats(); values != 0 {
		t.Errorf("%d values were stored by requests that broke off", values)
	}
}

func TestTooLarge(t *testing.T) {
	client := overLoopback(t, &mem.Store{Limit: 1 << 20})
	if err := client.Put(t.Context(), key, make([]byte, 2<<20), time.Hour); !errors.Is(err, kv.ErrTooLarge) {
		t.Errorf("Put of more than the store takes = %v, want kv.ErrTooLarge", err)
	}
	if err := client.Put(t.Context(), key, make([]byte, remote.MaxValue+1), time.Hour); !errors.Is(err, kv.ErrTooLarge) {
		t.Errorf("Put of more than travels = %v, want kv.ErrTooLarge", err)
	}
	if err := client.Put(t.Context(), key, []byte("small"), time.Hour); err != nil {
		t.Errorf("Put of a small value after that = %v, want nil", err)
	}
}

// A server that has gone away in between, as after a restart, is not noticed: kept connections are replaced.
func TestRestartedServer(t *testing.T) {
	store := new(mem.Store)
	h := remote.Handler(func(string, string) (kv.Store, bool) { return store, true })
	ln := listen(t)
	start := func(ln net.Listener) (stop func()) {
		srv := &http.Server{Handler: h}
		var wg sync.WaitGroup
		wg.Go(func() { srv.Serve(ln) })
		return func() { srv.Close(); wg.Wait() }
	}
	stop := start(ln)
	db, err := remote.Open(remote.Config{Address: ln.Addr().String(), Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	client := db.Table("t")
	var wg sync.WaitGroup
	for i := range 20 { // so that many connections are kept
		wg.Go(func() {
			client.Put(t.Context(), kv.Key{Part: "p", Name: fmt.Sprint(i)}, make([]byte, 100_000), time.Hour)
		})
	}
	wg.Wait()
	stop()
	again, err := net.Listen("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	stop = start(again)
	defer stop()
	for i := range 30 {
		if err := client.Put(t.Context(), kv.Key{Part: "p", Name: fmt.Sprint(i)}, make([]byte, 100_000), time.Hour); err != nil {
			t.Errorf("Put %d after the restart = %v, want nil", i, err)
		}
	}
}

// The hosted operation ends when its client goes away.
func TestCancelReachesTheStore(t *testing.T) {
	started, ended := make(chan struct{}, 1), make(chan error, 1)
	client := overLoopback(t, kv.Inject(new(mem.Store), func(ctx context.Context, _ kv.Op, _ func(context.Context) error) error {
		started <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := client.Put(ctx, key, make([]byte, 1<<20), time.Hour); !errors.Is(err, context.Canceled) {
			t.Errorf("Put, cancelled = %v, want context.Canceled", err)
		}
	})
	<-started
	cancel()
	wg.Wait()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the store's operation went on for 10 s after its client had gone")
	}
}

// The connections of a burst are kept for the next one.
func TestConnectionsAreKept(t *testing.T) {
	var dialled atomic.Int64
	p := newPipes()
	hold := make(chan struct{})
	var inside sync.WaitGroup
	store := kv.Inject(new(mem.Store), func(ctx context.Context, _ kv.Op, do func(context.Context) error) error {
		inside.Done()
		<-hold
		return do(ctx)
	})
	client := serve(t, store, remote.Config{Address: "store.test:80", Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled.Add(1)
		return p.Dial(ctx, network, addr)
	}}, p)
	for range 3 {
		const burst = 100
		inside.Add(burst)
		var wg sync.WaitGroup
		for range burst {
			wg.Go(func() { client.Get(t.Context(), key) })
		}
		inside.Wait() // all at once
		close(hold)
		wg.Wait()
		hold = make(chan struct{})
	}
	// A connection that comes back a moment late may cost another dial; one for each request would be 300.
	if got := dialled.Load(); got > 200 {
		t.Errorf("three bursts of 100 dialled %d connections, want about 100", got)
	}
}

// Whatever arrives, the handler answers, and stores only what is whole and properly named.
func FuzzHandler(f *testing.F) {
	for _, s := range []string{
		"PUT /kv/s/t?part=p&name=n HTTP/1.1\r\nHost: x\r\nKv-Keep: 1h\r\nKv-Attempt: 2\r\nKv-Age: 3ms\r\nKv-Began: 1700000000000000000\r\nContent-Length: 5\r\n\r\nvalue",
		"GET /kv/s/t?part=a%2Fb&name= HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /kv/s/t?part=p&part=q HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /kv/s/../t?part=p&name=n HTTP/1.1\r\nHost: x\r\nKv-Keep: -1h\r\nContent-Length: 0\r\n\r\n",
		"POST /kv/s/t HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\np n\nq/2 \nz\n",
		"POST /kv/s/t?part=p&name=n HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\np n\n",
		"POST /kv/s/t HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\np n\n\r\n0\r\n\r\n",
		"DELETE /kv/s/t HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /kv/s/t?part=%00&name=%zz HTTP/1.1\r\nHost: x\r\nKv-Keep: 1h\r\nContent-Length: 9\r\n\r\nshort",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil || r.ContentLength > 1<<20 {
			return
		}
		var put *kv.Key
		var stored []byte
		store := kv.Inject(new(mem.Store), func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
			if op.Write {
				put, stored = &op.Key, *op.Val
				if op.Keep <= 0 || int64(len(stored)) != r.ContentLength {
					t.Errorf("Put of %d bytes of %d, kept for %v", len(stored), r.ContentLength, op.Keep)
				}
			}
			for _, s := range []string{op.Key.Part, op.Key.Name} {
				if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
					t.Errorf("the store was asked for key %q", op.Key)
				}
			}
			if op.Key.Part == "" || op.Attempt < 0 || op.Began.After(time.Now()) {
				t.Errorf("the store was given key %q, attempt %d, began %v", op.Key, op.Attempt, op.Began)
			}
			return do(ctx)
		})
		w := httptest.NewRecorder()
		remote.Handler(func(string, string) (kv.Store, bool) { return store, true }).ServeHTTP(w, r)
		switch w.Code {
		case http.StatusOK, http.StatusNoContent, http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed,
			http.StatusLengthRequired, http.StatusRequestEntityTooLarge:
		default:
			t.Errorf("answered %d %s", w.Code, w.Body)
		}
		if (w.Code == http.StatusNoContent) != (put != nil) {
			t.Errorf("answered %d, stored %v", w.Code, put)
		}
		if fail := w.Code >= 400; fail != (w.Header().Get("Kv-Error") != "") {
			t.Errorf("answered %d with Kv-Error %q", w.Code, w.Header().Get("Kv-Error"))
		}
	})
}

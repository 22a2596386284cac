package origin_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/origintest"
)

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	body []byte
	took time.Duration
}

// do sends one request; header holds pairs of name and value.
func do(t testing.TB, o *origintest.Origin, method, url string, body io.Reader, header ...string) answer {
	t.Helper()
	a, err := try(t.Context(), o, method, url, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return a
}

func try(ctx context.Context, o *origintest.Origin, method, url string, body io.Reader, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	start := time.Now()
	resp, err := o.Client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp, b, time.Since(start)}, err
}

func put(t testing.TB, o *origintest.Origin, path string, body []byte, header ...string) answer {
	t.Helper()
	return do(t, o, http.MethodPut, o.PublishURL+path, bytes.NewReader(body), header...)
}

func get(t testing.TB, o *origintest.Origin, path string, header ...string) answer {
	t.Helper()
	return do(t, o, http.MethodGet, o.ServeURL+path, nil, header...)
}

// bytesOf returns a body that depends on name.
func bytesOf(name string, size int) []byte {
	b := make([]byte, size)
	seed := sha256.Sum256([]byte(name))
	for i := range b {
		b[i] = seed[i%len(seed)] + byte(i/len(seed))
	}
	return b
}

func etagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return fmt.Sprintf("%q", fmt.Sprintf("%x", sum[:16]))
}

// wantStatus fails t unless a has that status.
func wantStatus(t testing.TB, what string, a answer, want int) {
	t.Helper()
	if a.StatusCode != want {
		t.Errorf("%s = %d %q, want %d", what, a.StatusCode, a.body, want)
	}
}

func wantHeader(t testing.TB, what string, a answer, name, want string) {
	t.Helper()
	if got := a.Header.Get(name); got != want {
		t.Errorf("%s: %s: %q, want %q", what, name, got, want)
	}
}

// counting counts the operations of a store.
type counting struct {
	kv.Store
	gets, puts atomic.Int64
}

func (c *counting) Get(ctx context.Context, key kv.Key) ([]byte, error) {
	c.gets.Add(1)
	return c.Store.Get(ctx, key)
}

func (c *counting) Put(ctx context.Context, key kv.Key, val []byte, keep time.Duration) error {
	c.puts.Add(1)
	return c.Store.Put(ctx, key, val, keep)
}

// slow makes every operation of a store take a time.
func slow(s kv.Store, get, put time.Duration) kv.Store {
	return kv.Inject(s, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
		d := get
		if op.Write {
			d = put
		}
		select {
		case <-time.After(d):
			return do(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

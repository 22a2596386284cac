package fakes3_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/s3/fakes3"
)

// serve runs a server with one bucket, and returns the URL of an object in it.
func serve(t *testing.T, around kv.Intercept) (object string) {
	t.Helper()
	h, err := fakes3.New(fakes3.Config{Bucket: "bucket", Around: around, MaxObject: 1000})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL + "/bucket/prefix/commits/event!2Fv1!2F7/a"
}

func do(t *testing.T, method, url, body string, header http.Header) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// What a client sees of a throttle is what Amazon's documentation says: 503 with the code SlowDown in an XML error document.
func TestSlowDown(t *testing.T) {
	object := serve(t, func(context.Context, kv.Op, func(context.Context) error) error {
		return fmt.Errorf("100 requests a second: %w", kv.ErrThrottled)
	})
	for _, method := range []string{http.MethodPut, http.MethodGet} {
		status, text := do(t, method, object, "x", nil)
		if status != http.StatusServiceUnavailable || !strings.Contains(text, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message>") {
			t.Errorf("%s while throttled = %d %s, want 503 with S3's error document SlowDown", method, status, text)
		}
	}
}

// Only whole objects that are written or read go by the intercept: what keeps house (listing, HEAD, DELETE) costs nothing.
func TestWhatGoesByTheIntercept(t *testing.T) {
	var ops atomic.Int32
	object := serve(t, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
		ops.Add(1)
		return do(ctx)
	})
	bucket := object[:strings.Index(object, "/prefix")]
	for _, c := range []struct {
		name, method, url, body string
		header                  http.Header
		status                  int
		ops                     int32
	}{
		{"PUT", http.MethodPut, object, "hello", nil, 200, 1},
		{"GET", http.MethodGet, object, "", nil, 200, 1},
		{"GET of a part", http.MethodGet, object, "", http.Header{"Range": {"bytes=1-2"}}, 206, 0},
		{"HEAD", http.MethodHead, object, "", nil, 200, 0},
		{"list", http.MethodGet, bucket + "?list-type=2", "", nil, 200, 0},
		{"GET of an object that is not ours", http.MethodGet, bucket + "/readme", "", nil, 404, 0},
		{"GET of what is not there", http.MethodGet, object + "b", "", nil, 404, 1},
		{"DELETE", http.MethodDelete, object, "", nil, 204, 0},
		{"GET of what is gone", http.MethodGet, object, "", nil, 404, 1},
		{"make a bucket", http.MethodPut, strings.Replace(bucket, "/bucket", "/second", 1), "", nil, 200, 0},
	} {
		before := ops.Load()
		status, text := do(t, c.method, c.url, c.body, c.header)
		if n := ops.Load() - before; status != c.status || n != c.ops {
			t.Errorf("%s = %d %s with %d operations seen, want %d with %d", c.name, status, text, n, c.status, c.ops)
		}
	}
}

func TestTooLarge(t *testing.T) {
	object := serve(t, nil)
	if status, text := do(t, http.MethodPut, object, strings.Repeat("x", 1001), nil); status != 400 || !strings.Contains(text, "EntityTooLarge") {
		t.Errorf("PUT of 1001 bytes where 1000 are allowed = %d %s, want 400 EntityTooLarge", status, text)
	}
	if status, _ := do(t, http.MethodPut, object, strings.Repeat("x", 1000), nil); status != 200 {
		t.Errorf("PUT of 1000 bytes = %d, want 200", status)
	}
}

// A body that breaks off stores nothing.
func TestBrokenBody(t *testing.T) {
	object := serve(t, nil)
	host, path, _ := strings.Cut(strings.TrimPrefix(object, "http://"), "/")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "PUT /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf of it", path)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, conn) // until the server has given up
	conn.Close()
	if status, text := do(t, http.MethodGet, object, "", nil); status != 404 {
		t.Errorf("GET after a PUT that broke off = %d %s, want 404", status, text)
	}
}

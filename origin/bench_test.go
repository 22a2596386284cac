package origin_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/origintest"
	"origin-storm/origin/pairtest"
)

const benchSize = 2 << 20

func benchOrigin(b *testing.B, serving config.Serving) *origintest.Origin {
	ev := origintest.Event(time.Now().Add(-time.Minute))
	return origintest.Start(b, origintest.Config{Events: []config.Event{ev}, Serving: serving, Loopback: true})
}

// BenchmarkServeAgainstBare reads a segment of 2 MiB over loopback, from a store in memory or from the hot copy, against a bare handler
// that writes the same bytes.
func BenchmarkServeAgainstBare(b *testing.B) {
	body := bytesOf("x", benchSize)
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	}))
	defer bare.Close()
	from := func(b *testing.B, name string, client *http.Client, url string) pairtest.Side {
		return pairtest.Side{Name: name, Do: func(i int) time.Duration {
			if i%20 < 2 { // a connection keeps whatever pace it began with, which no interval over its requests shows
				client.CloseIdleConnections()
			}
			start := time.Now()
			resp, err := client.Get(url)
			if err != nil {
				b.Fatal(err)
			}
			defer resp.Body.Close()
			if n, err := io.Copy(io.Discard, resp.Body); n != benchSize || err != nil {
				b.Fatalf("GET = %s, %d bytes, %v", resp.Status, n, err)
			}
			return time.Since(start)
		}}
	}
	for _, c := range []struct {
		name    string
		serving config.Serving
	}{{"store", config.Serving{}}, {"hot", config.Serving{Hot: 64 << 20}}} {
		b.Run(c.name, func(b *testing.B) {
			o := benchOrigin(b, c.serving)
			put(b, o, "/ev/a/v1/29.m4s", body)
			get(b, o, "/ev/v1/29.m4s") // the first is held; the choice is remembered
			pairtest.Compare(b, 1000, from(b, c.name, o.Client, o.ServeURL+"/ev/v1/29.m4s"), from(b, "bare", bare.Client(), bare.URL))
		})
	}
}

// BenchmarkPublishAgainstBare writes segments of 2 MiB over loopback into a store in memory against a bare handler that reads them.
func BenchmarkPublishAgainstBare(b *testing.B) {
	body := bytesOf("x", benchSize)
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := bytes.NewBuffer(make([]byte, 0, r.ContentLength+bytes.MinRead))
		buf.ReadFrom(r.Body)
		w.WriteHeader(http.StatusCreated)
	}))
	defer bare.Close()
	to := func(name string, client *http.Client, url string) pairtest.Side {
		return pairtest.Side{Name: name, Do: func(i int) time.Duration {
			start := time.Now()
			req, err := http.NewRequest(http.MethodPut, fmt.Sprintf("%s/ev/a/v1/%d.m4s", url, i), bytes.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusCreated {
				b.Fatalf("PUT %d = %s", i, resp.Status)
			}
			return time.Since(start)
		}}
	}
	o := benchOrigin(b, config.Serving{})
	pairtest.Compare(b, 300, to("store", o.Client, o.PublishURL), to("bare", bare.Client(), bare.URL))
}

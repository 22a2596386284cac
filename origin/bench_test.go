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
)

const benchSize = 2 << 20

func benchOrigin(b *testing.B, serving config.Serving) *origintest.Origin {
	ev := origintest.Event(time.Now().Add(-time.Minute))
	return origintest.Start(b, origintest.Config{Events: []config.Event{ev}, Serving: serving, Loopback: true})
}

// BenchmarkServe reads a segment of 2 MiB over loopback, from a store in memory: with nothing kept, with a hot copy, and, for
// comparison, from a bare handler that writes the same bytes.
func BenchmarkServe(b *testing.B) {
	body := bytesOf("x", benchSize)
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	}))
	defer bare.Close()
	cold, hot := benchOrigin(b, config.Serving{}), benchOrigin(b, config.Serving{Hot: 64 << 20})
	for _, o := range []*origintest.Origin{cold, hot} {
		put(b, o, "/ev/a/v1/29.m4s", body)
		get(b, o, "/ev/v1/29.m4s") // the first is held; the choice is remembered
	}
	for _, bb := range []struct {
		name, url string
		client    *http.Client
	}{
		{"bare", bare.URL, bare.Client()},
		{"store", cold.ServeURL + "/ev/v1/29.m4s", cold.Client},
		{"hot", hot.ServeURL + "/ev/v1/29.m4s", hot.Client},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(benchSize)
			for b.Loop() {
				resp, err := bb.client.Get(bb.url)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, resp.Body); n != benchSize || err != nil {
					b.Fatalf("GET = %s, %d bytes, %v", resp.Status, n, err)
				}
				resp.Body.Close()
			}
		})
	}
}

// BenchmarkPublish writes segments of 2 MiB over loopback into a store in memory and, for comparison, to a bare handler that
// reads them.
func BenchmarkPublish(b *testing.B) {
	body := bytesOf("x", benchSize)
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := bytes.NewBuffer(make([]byte, 0, r.ContentLength+bytes.MinRead))
		buf.ReadFrom(r.Body)
		w.WriteHeader(http.StatusCreated)
	}))
	defer bare.Close()
	for _, name := range []string{"bare", "store"} {
		b.Run(name, func(b *testing.B) {
			o := benchOrigin(b, config.Serving{})
			url, client := o.PublishURL, o.Client
			if name == "bare" {
				url, client = bare.URL, bare.Client()
			}
			b.SetBytes(benchSize)
			for n := 0; b.Loop(); n++ {
				req, err := http.NewRequest(http.MethodPut, fmt.Sprintf("%s/ev/a/v1/%d.m4s", url, n%3000), bytes.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				if n >= 3000 {
					b.Fatal("too many segments for one event")
				}
				resp, err := client.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusCreated {
					b.Fatalf("PUT = %s", resp.Status)
				}
			}
		})
	}
}

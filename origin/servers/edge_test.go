package servers_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/servers"
	"origin-storm/origin/servers/serverstest"
)

// behind is an origin behind an edge: it counts what it is asked.
type behind struct {
	*httptest.Server
	mu    sync.Mutex // guards asked
	asked map[string]int
}

// The names that behind knows, and what it answers: header lines, and how long it holds.
const (
	fresh = "/event/r1/1.m4s"    // 200, after a hold
	early = "/event/r1/3.m4s"    // 404 for 1.7 s
	shed  = "/event/r1/dvr.m4s"  // 503 for 1.7 s
	full  = "/event/r1/full.m4s" // 503 that nobody may keep
	late  = "/event/r1/2.m4s"    // 404 for 1.7 s when it is asked for first, then like fresh
)

var media = bytes.Repeat([]byte("0123456789abcdef"), 64<<10)

const lasts = 1700 * time.Millisecond

func newBehind(t *testing.T) *behind {
	b := &behind{asked: map[string]int{}}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.asked[r.URL.Path]++
		path := r.URL.Path
		if path == late {
			path = early
			if b.asked[late] > 1 {
				path = fresh
			}
		}
		b.mu.Unlock()
		h := w.Header()
		switch path {
		case fresh:
			select {
			case <-time.After(300 * time.Millisecond):
			case <-r.Context().Done():
				return
			}
			h.Set("Cache-Control", "public, max-age=7200, immutable")
			h.Set("Cache-Status", "origin; fwd=miss; detail=held")
			h.Set("Content-Length", fmt.Sprint(len(media)))
			w.Write(media)
		case early, shed:
			h.Set("Cache-Control", "public, max-age=1")
			h.Set("Origin-TTL-Ms", fmt.Sprint(lasts.Milliseconds()))
			w.WriteHeader(map[string]int{early: 404, shed: 503}[path])
		default:
			h.Set("Cache-Control", "no-store")
			w.WriteHeader(503)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *behind) count(path string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked[path]
}

// edgeUp brings an edge up in front of b.
func edgeUp(t *testing.T, program string, b *behind, dir string) *servers.Cluster {
	t.Helper()
	if err := servers.EdgeReady(t.Context(), program); err != nil {
		kvtest.Need(t, "the edge "+program, err)
	}
	c, err := servers.Up(t.Context(), servers.Config{
		Mode: servers.Native, Edge: program, Origins: []string{b.Listener.Addr().String()}, Reaper: serverstest.Reaper(t), Dir: dir,
	})
	if err != nil {
		t.Fatalf("Up(%s) = %v", program, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// get asks the edge, over a connection of its own as another machine would.
func get(ctx context.Context, c *servers.Cluster, path string) (status int, cache string, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Edge.Addr+path, nil)
	if err != nil {
		return 0, "", nil, err
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, strings.Join(res.Header.Values("Cache-Status"), ", "), body, err
}

// sixty has sixty readers ask for a segment at a time, and checks that the origin was asked for it so often in all.
func sixty(t *testing.T, c *servers.Cluster, origin *behind, path string, want int) {
	var readers sync.WaitGroup
	var mu sync.Mutex // guards hits
	hits := 0
	for range 60 {
		readers.Go(func() {
			status, cache, body, err := get(t.Context(), c, path)
			if err != nil || status != 200 || !bytes.Equal(body, media) {
				t.Errorf("GET %s = %d with %d bytes, %v; want 200 with %d", path, status, len(body), err, len(media))
			}
			if !strings.HasPrefix(cache, "origin; ") {
				t.Errorf("Cache-Status %q has lost the origin's member", cache)
			}
			mu.Lock()
			defer mu.Unlock()
			if strings.HasSuffix(cache, c.Edge.Name+"; hit") {
				hits++
			}
		})
	}
	readers.Wait()
	if n := origin.count(path); n != want || hits != 59 {
		t.Errorf("60 readers made %d fetches, and %d hits; want %d and 59", n, hits, want)
	}
}

func TestEdges(t *testing.T) {
	for _, tt := range []struct {
		program string
		// least and most is how long an error that lasts 1.7 s may be kept, give or take what clocks are rounded by. nginx reads max-age=1
		// and counts in whole seconds of the clock, to the end of the last one.
		least, most time.Duration
	}{
		{servers.Nginx, time.Second - 50*time.Millisecond, 2*time.Second + 50*time.Millisecond},
		{servers.Varnish, lasts - 50*time.Millisecond, lasts + 50*time.Millisecond},
	} {
		t.Run(tt.program, func(t *testing.T) {
			origin, dir := newBehind(t), t.TempDir()
			c := edgeUp(t, tt.program, origin, dir)
			if c.Edge.Version == "" || c.Edge.Version[0] < '1' || c.Edge.Version[0] > '9' {
				t.Errorf("version %q, want a number", c.Edge.Version)
			}
			t.Run("one fetch for sixty readers", func(t *testing.T) { sixty(t, c, origin, fresh, 1) })
			if status, _, _, err := get(t.Context(), c, late); err != nil || status != 404 {
				t.Errorf("GET %s = %d, %v; want 404, too early", late, status, err)
			}
			t.Run("errors last as long as the origin says", func(t *testing.T) {
				for path, want := range map[string]int{early: 404, shed: 503} {
					t.Run(fmt.Sprint(want), func(t *testing.T) {
						ask := func() (sent, answered time.Time) {
							sent = time.Now()
							if status, _, _, err := get(t.Context(), c, path); err != nil || status != want {
								t.Fatalf("GET %s = %d, %v; want %d", path, status, err, want)
							}
							return sent, time.Now()
						}
						// However slow this machine is, the edge has kept the error since some instant between first and kept.
						first, kept := ask()
						from := 0
						await(t, "the edge asks again", func() bool {
							sent, answered := ask()
							if origin.count(path) > 1 {
								if age := answered.Sub(first); age < tt.least {
									t.Errorf("asked again %v after it was told, and %d answers from the cache; want %v at least", age, from, tt.least)
								}
								return true
							}
							if age := sent.Sub(kept); age > tt.most {
								t.Fatalf("%v old it is still answered from the cache, want %v at most", age, tt.most)
							}
							from++
							return false
						})
					})
				}
			})
			// Its 404 has run out by now: it was given before those of the last test.
			t.Run("one fetch for sixty readers of what one asked for too early", func(t *testing.T) { sixty(t, c, origin, late, 2) })
			t.Run("what may not be kept is not", func(t *testing.T) {
				for n := range 3 {
					if status, _, _, err := get(t.Context(), c, full); err != nil || status != 503 || origin.count(full) != n+1 {
						t.Errorf("GET %s = %d, %v with %d fetches; want 503 with %d", full, status, err, origin.count(full), n+1)
					}
				}
			})
			addr := c.Edge.Addr
			if err := c.Close(); err != nil {
				t.Errorf("Close() = %v", err)
			}
			if res, err := http.Get("http://" + addr + "/.edge"); err == nil {
				res.Body.Close()
				t.Errorf("closed, it answers %s", res.Status)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
				t.Errorf("files are left: %v", left)
			}
		})
	}
}

func TestEdgeFile(t *testing.T) {
	for _, tt := range []struct {
		program, origin, listen, want string // want in the text, or in the error
	}{
		{servers.Nginx, "10.0.0.1:8080", "0.0.0.0:80", "server 10.0.0.1:8080;"},
		{servers.Varnish, "[::1]:8080", "0.0.0.0:80", `.host = "::1";`},
		{"squid", "10.0.0.1:8080", "0.0.0.0:80", "use nginx or varnish"},
		{servers.Nginx, "10.0.0.1", "0.0.0.0:80", "no address"},
		{servers.Nginx, "a:80; include /etc/passwd", "0.0.0.0:80", "no address"},
		{servers.Varnish, `a";}:80`, "0.0.0.0:80", "no address"},
		{servers.Varnish, "10.0.0.1:99999", "0.0.0.0:80", "no address"},
		{servers.Nginx, "10.0.0.1:8080", "0.0.0.0:0", "no address"},
	} {
		text, err := servers.EdgeFile(tt.program, servers.EdgeConfig{Listen: tt.listen, Origins: []string{tt.origin}})
		got := string(text)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("EdgeFile(%s, %s) = %q, want something with %q", tt.program, tt.origin, got, tt.want)
		}
	}
}

func TestEdgeFileKeepsNothingNegative(t *testing.T) {
	if _, err := servers.EdgeFile(servers.Nginx, servers.EdgeConfig{Listen: "127.0.0.1:80", Origins: []string{"127.0.0.1:8080"}, MB: -5}); err == nil || !strings.Contains(err.Error(), "-5 MiB") {
		t.Errorf("EdgeFile that keeps -5 MiB: %v, want an error that says so", err)
	}
}

func TestEdgeIsRefused(t *testing.T) {
	for want, cfg := range map[string]servers.Config{
		"use native":              {Mode: servers.Docker, Edge: servers.Nginx, Origins: []string{"127.0.0.1:1"}},
		"use nginx or varnish":    {Mode: servers.Native, Edge: "nginx2", Origins: []string{"127.0.0.1:1"}},
		"addresses of serve node": {Mode: servers.Native, Edge: servers.Nginx},
	} {
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check(%+v) = %v, want something with %q", cfg, err, want)
		}
	}
}

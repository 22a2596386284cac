package client_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/servers"
	"origin-storm/origin/servers/serverstest"
	"origin-storm/storm"
	"origin-storm/storm/client"
)

var real serverstest.Servers

func TestMain(m *testing.M) { real.Main(m) }

// TestCachesAreLikeTheReal asks a real nginx and a real Varnish, and the models of both, for a fresh segment ten times at once: they
// fetch it as often, and let their readers wait as long.
func TestCachesAreLikeTheReal(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts servers")
	}
	const readers, takes = 10, 300 * ms
	for _, program := range []string{servers.Nginx, servers.Varnish} {
		t.Run(program, func(t *testing.T) {
			var fetches atomic.Int64
			origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fetches.Add(1)
				select {
				case <-time.After(takes):
				case <-r.Context().Done():
				}
				w.Header().Set("Cache-Control", "max-age=60")
				io.WriteString(w, "a segment")
			}))
			defer origin.Close()
			if err := servers.EdgeReady(t.Context(), program); err != nil {
				kvtest.Need(t, "the edge "+program, err)
			}
			c, err := servers.Up(t.Context(), servers.Config{
				Mode: servers.Native, Edge: program, Origins: []string{origin.Listener.Addr().String()}, Reaper: serverstest.Reaper(t), Dir: t.TempDir(),
			})
			if err != nil {
				t.Fatalf("Up(%s) = %v", program, err)
			}
			defer c.Close()
			waited := ask(t, "http://"+c.Edge.Addr+"/e/v/1.m4s", readers)

			model, _ := client.CacheOf(program)
			picture, samples := play(client.NewEdge(model), reads(storm.LiveEdge, 1, slices.Repeat([]time.Duration{0}, readers)...), answer{after: takes, status: 200, fresh: time.Minute})
			var modelled []time.Duration
			for _, s := range samples {
				modelled = append(modelled, s.Response())
			}
			slices.Sort(modelled)
			if sends := int64(strings.Count(picture, " sent, try")); sends != fetches.Load() {
				t.Errorf("%s fetched the segment %d times, its model %d times", program, fetches.Load(), sends)
			}
			if off := (waited[readers/2] - modelled[readers/2]).Abs(); off > 150*ms {
				t.Errorf("half the readers of %s waited %v, those of its model %v", program, waited[readers/2], modelled[readers/2])
			}
		})
	}
}

// ask asks for url n times at once, and returns how long each took, sorted.
func ask(t *testing.T, url string, n int) []time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	took := make([]time.Duration, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				t.Error(err)
				return
			}
			began := time.Now()
			res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
			if err != nil {
				t.Errorf("GET %s: %v", url, err)
				return
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			took[i] = time.Since(began)
		})
	}
	wg.Wait()
	slices.Sort(took)
	return took
}

package abusetest_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/segment"
)

// A client that walks over numbers which do not exist yet, as ffmpeg's DASH demuxer does (one 404 leads to the next number), asks no
// store for anything.
func TestWalkOver404(t *testing.T) {
	d := deploy(t, nil)
	stop := d.packager(t, nil)
	before := d.serve.stats(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var asked atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10}}
	defer client.CloseIdleConnections()
	for walker := range 10 {
		wg.Go(func() {
			first := d.clock.Next(time.Now()) + 2
			for n := int64(0); every(ctx, time.Until(began.Add(time.Duration(n)*time.Second/300))); n++ {
				url := fmt.Sprintf("http://%s/%s/%s/%d.m4s", d.serve.Serve, event, attacked, first+n+int64(walker)*1_000_000)
				res, err := client.Get(url)
				if err != nil {
					t.Errorf("GET %s: %v", url, err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != http.StatusNotFound || res.Header.Get("Cache-Control") == "" {
					t.Errorf("GET %s = %d, Cache-Control %q, want a 404 with its lifetime", url, res.StatusCode, res.Header.Get("Cache-Control"))
					return
				}
				asked.Add(1)
			}
		})
	}
	wg.Wait()
	stop()
	after := d.serve.stats(t)
	t.Logf("%d requests in %v", asked.Load(), time.Since(began).Round(time.Millisecond))
	if after.Storage != before.Storage {
		t.Errorf("the walk reached the store: storage counts were %+v and are %+v", before.Storage, after.Storage)
	}
	d.serve.within(t, 128<<20)
}

// Headers of 64 KiB are refused before they are read.
func TestHugeHeaders(t *testing.T) {
	d := deploy(t, nil)
	stop := d.packager(t, nil)
	huge := " HTTP/1.1\r\nHost: x\r\nX-Filler: " + strings.Repeat("x", 64<<10) + "\r\n\r\n"
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 100 {
				for _, request := range []string{"GET /ev/v/1.m4s" + huge, "PUT /ev/a/v/1.m4s" + huge} {
					addr := d.serve.Serve
					if strings.HasPrefix(request, "PUT") {
						addr = d.publish.Publish
					}
					// A connection that is reset while the client still sends is a refusal, too.
					if status, _, _, err := raw(t, addr, request); err == nil && status != http.StatusRequestHeaderFieldsTooLarge {
						t.Errorf("%.20s… with 64 KiB of headers = %d, want 431", request, status)
					}
				}
			}
		})
	}
	wg.Wait()
	stop()
	d.serve.within(t, 128<<20)
	d.publish.within(t, 128<<20)
	d.serve.recovers(t, 10*time.Second)
	d.publish.recovers(t, 10*time.Second)
}

const secret = "the packager's own secret"

// Whoever guesses credentials is told 401 before a body is read, and those who know theirs publish on.
func TestGuessedCredentials(t *testing.T) {
	t.Setenv("ABUSETEST_SECRET", secret)
	d := deploy(t, func(publish, _ *config.Node) {
		publish.Access.Publish = []config.Credential{{User: "packager", Password: config.SecretEnv + "ABUSETEST_SECRET"}}
	})
	basic := func(password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("packager:"+password))
	}
	stop := d.packager(t, http.Header{"Authorization": {basic(secret)}})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var guesses atomic.Int64
	var wg sync.WaitGroup
	for guesser := range 8 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				status, err := d.put(ctx, segment.ID{Event: event, Rendition: attacked, Number: 1}, []byte("x"), http.Header{"Authorization": {basic(fmt.Sprint(guesser, n))}})
				if ctx.Err() != nil {
					return
				}
				if status != http.StatusUnauthorized && status != http.StatusTooManyRequests {
					t.Errorf("PUT with a guessed password = %d, %v, want 401 or 429", status, err)
					return
				}
				guesses.Add(1)
			}
		})
	}
	wg.Wait()
	stop()
	t.Logf("%d guesses", guesses.Load())
	if stored := d.publish.stats(t).Publish.Requests[http.MethodPut][http.StatusCreated]; stored == 0 {
		t.Error("nothing was published with the right password")
	}
	d.publish.within(t, 128<<20)
}

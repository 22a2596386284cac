package live_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/body"
	"origin-storm/storm/client"
)

// An asker who waits 10 s for the answer to begin gives up then, and only then: what has begun is read to its end.
func TestPatience(t *testing.T) {
	for _, c := range []struct {
		name           string
		header, rest   time.Duration // until the answer's header, and from there to its end
		done           time.Duration
		status         int
		deadlinePassed bool
	}{
		{"begins in time", 9 * time.Second, 8 * time.Second, 17 * time.Second, 503, false},
		{"begins too late", 11 * time.Second, 0, 10 * time.Second, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := virtual(t, func(w http.ResponseWriter, r *http.Request) {
					select {
					case <-time.After(c.header):
					case <-r.Context().Done():
						return
					}
					w.WriteHeader(503)
					w.(http.Flusher).Flush()
					time.Sleep(c.rest)
				})
				all, _, err := execute(t, t.Context(), cfg, storm.Plan{
					Requests: every(0, 1, func(int, time.Duration) storm.Request { return read(0, 1) }),
					Client:   func(string) storm.Client { return client.Direct{Patience: 10 * time.Second} },
				})
				if err != nil || len(all) != 1 {
					t.Fatalf("Execute = %v with %d samples, want 1", err, len(all))
				}
				if s := all[0]; s.Done != c.done || s.Status != c.status || errors.Is(s.Err, context.DeadlineExceeded) != c.deadlinePassed {
					t.Errorf("the answer: status %d after %v, %v; want %d after %v, deadline exceeded: %v", s.Status, s.Done, s.Err, c.status, c.done, c.deadlinePassed)
				}
			})
		})
	}
}

// A slow reader of 400 kB at 100 kB/s takes 4 s, and has the bytes compared like any other.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 400_000
		cfg := virtual(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Origin-Pipeline", "a")
			io.Copy(w, body.NewReader(video(1).Candidate("a"), segment.Template{}, size))
		})
		all, _, err := execute(t, t.Context(), cfg, storm.Plan{
			Requests: every(0, 1, func(int, time.Duration) storm.Request { return read(0, 1) }),
			Client:   func(string) storm.Client { return client.Direct{Pace: 100_000} },
		})
		if err != nil || len(all) != 1 {
			t.Fatalf("Execute = %v with %d samples, want 1", err, len(all))
		}
		s := all[0]
		if took := s.Done - s.First; took < 3800*time.Millisecond || took > 4200*time.Millisecond || s.Damage != storm.None || s.Err != nil || s.Bytes != int64(body.Size(size)) {
			t.Errorf("%d bytes took %v (%v, %v), want %d in about 4s", s.Bytes, took, s.Damage, s.Err, body.Size(size))
		}
	})
}

package live_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"origin-storm/storm/live"
)

// TestCeiling finds what a target that answers after 10 ms allows to 32 askers: no more than 3,200 requests a second.
func TestCeiling(t *testing.T) {
	null := live.Null()
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		timer := time.NewTimer(10 * time.Millisecond)
		defer timer.Stop()
		<-timer.C
		null.ServeHTTP(w, r)
	}))
	defer slow.Close()
	requests, bytes, err := live.Ceiling(t.Context(), slow.URL, 200*time.Millisecond)
	if err != nil || requests <= 0 || requests > 3200 || bytes <= 0 || bytes > 3200*2<<20 {
		t.Errorf("Ceiling = %.0f requests/s, %.0f B/s, %v, want some, at most 3,200, of 2 MiB each", requests, bytes, err)
	}
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer broken.Close()
	if _, _, err := live.Ceiling(t.Context(), broken.URL, 50*time.Millisecond); err == nil {
		t.Error("Ceiling of what answers 418 has no error")
	}
}

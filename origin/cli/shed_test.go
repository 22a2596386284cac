package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"origin-storm/origin"
	"origin-storm/origin/config"
)

// TestNodeSheds: a node whose store's reads all count as slow sheds DVR reads, publishes and serves its live edge, and says so.
func TestNodeSheds(t *testing.T) {
	evs, number := events()
	ready, stop := start(t, config.Node{
		Role: config.All, Publish: "127.0.0.1:0", Serve: "127.0.0.1:0", Operator: "127.0.0.1:0", Events: evs,
		Backend: config.Backend{Store: config.StoreAt{Kind: "mem"}},
		Serving: config.Serving{Stress: config.Stress{Target: time.Nanosecond, Samples: 20}},
	})
	shed := 0
	for n := number - 1000; n < number-900; n++ { // nobody published them, which takes a read of the store to know
		switch code, said := request(t, "GET", fmt.Sprintf("http://%s/ev/v/%d.m4s", ready.Serve, n), nil); code {
		case 410:
		case 503:
			shed++
		default:
			t.Errorf("GET of %d = %d %s, want 410 or 503", n, code, said)
		}
	}
	if shed < 20 {
		t.Errorf("%d of 100 DVR reads were shed, want at least 20", shed)
	}
	if code, said := request(t, "PUT", fmt.Sprintf("http://%s/ev/a/v/%d.m4s", ready.Publish, number), strings.NewReader("x")); code != 201 {
		t.Errorf("PUT under stress = %d %s, want 201", code, said)
	}
	if code, said := request(t, "GET", fmt.Sprintf("http://%s/ev/v/%d.m4s", ready.Serve, number), nil); code != 200 {
		t.Errorf("GET of the live edge under stress = %d %s, want 200", code, said)
	}
	var stats origin.Stats
	_, text := request(t, "GET", "http://"+ready.Operator+"/stats", nil)
	if err := json.Unmarshal([]byte(text), &stats); err != nil {
		t.Fatalf("/stats: %v in %s", err, text)
	}
	if s := stats.Stress; s == nil || !s.Stressed || s.Slow < 0.9 || stats.Serve.Requests["dvr"][503] != int64(shed) {
		t.Errorf("/stats: %s, want stress and %d shed", text, shed)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

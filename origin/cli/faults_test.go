package cli

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/remote"
)

// TestStoreFaults: a store process is told to fail on a listener of its own, which it has only if its configuration says so.
func TestStoreFaults(t *testing.T) {
	node := func(faults string) config.Node {
		return config.Node{Role: config.Store, Host: config.Host{
			Listen: "127.0.0.1:0", Faults: faults, Stores: []config.HostedStore{{Name: "s", Store: config.StoreAt{Kind: "mem"}}},
		}}
	}
	ready, stop := start(t, node(""))
	if ready.Faults != "" {
		t.Errorf("a store process listens for faults at %s, and nobody asked for it", ready.Faults)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}

	ready, stop = start(t, node("127.0.0.1:0"))
	defer stop()
	db, err := remote.Open(remote.Config{Address: ready.Host, Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	key, table := kv.Key{Part: "p", Name: "n"}, db.Table("chunks")
	put := func() error { return table.Put(t.Context(), key, []byte("x"), time.Hour) }
	tell := func(method, body string, want int) {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+ready.Faults+"/faults/one", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s of %s = %d, want %d", method, body, res.StatusCode, want)
		}
	}
	for _, bad := range []string{"", "{}", `{"do":"melt"}`, `{"do":"deny","hard":true}`} {
		tell("PUT", bad, http.StatusBadRequest)
	}
	if err := put(); err != nil {
		t.Errorf("Put before any fault = %v", err)
	}
	tell("PUT", `{"do":"deny"}`, http.StatusNoContent)
	if err := put(); !errors.Is(err, kv.ErrDenied) {
		t.Errorf("Put into a store that denies = %v, want %v", err, kv.ErrDenied)
	}
	tell("DELETE", "", http.StatusNoContent)
	if err := put(); err != nil {
		t.Errorf("Put after the fault = %v", err)
	}
	tell("PUT", `{"do":"flush"}`, http.StatusNoContent)
	if _, err := table.Get(t.Context(), key); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("Get from a store that was emptied = %v, want %v", err, kv.ErrNotFound)
	}
}

package live_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"origin-storm/storm"
	"origin-storm/storm/client"
	"origin-storm/storm/live"
)

// TestSendersByHand: what a target on a real network sees of each way of sending, and what its sender makes of the answer.
func TestSendersByHand(t *testing.T) {
	const size = 200_000
	for _, tt := range []struct {
		twist    storm.Twist
		whole    bool  // the body comes without an error
		bytes    int64 // of it
		faulted  bool  // the fault is the reason that there is no answer
		statuses int   // of the answer
	}{
		{storm.Twist{Do: storm.Cut}, false, size / 2, true, 0},
		{storm.Twist{Do: storm.Overstated, By: 1000}, false, size, true, 0},
		{storm.Twist{Do: storm.Understated, By: 1000}, true, size - 1000, false, 201},
		{storm.Twist{Do: storm.HungUp}, true, size, true, 0},
		{storm.Twist{Do: storm.Chained}, true, size, false, 201},
		{storm.Twist{Do: storm.Reconnected}, true, size, false, 201},
	} {
		t.Run(tt.twist.Do.String(), func(t *testing.T) {
			type seen struct {
				n   int64
				err error
			}
			got := make(chan seen, 10)
			target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n, err := io.Copy(io.Discard, r.Body)
				got <- seen{n, err}
				if err != nil {
					w.WriteHeader(http.StatusBadRequest)
					return
				}
				w.WriteHeader(http.StatusCreated)
			}))
			defer target.Close()
			x, err := live.New(live.Config{Publish: at(target.URL), Serve: at(target.URL)})
			if err != nil {
				t.Fatal(err)
			}
			q := storm.Request{From: "packager", Put: true, ID: video(1).Candidate("a"), Size: size, Twist: tt.twist}
			var rec kept
			p := storm.Plan{Requests: slices.Values([]storm.Request{q}), Client: func(string) storm.Client { return &client.Packager{ReadBack: -1} }}
			if err := x.Execute(t.Context(), p, &rec); err != nil {
				t.Fatal(err)
			}
			s := <-got
			if (s.err == nil) != tt.whole || s.n != tt.bytes {
				t.Errorf("%v: the target gets %d bytes, %v, want %d, whole: %v", tt.twist.Do, s.n, s.err, tt.bytes, tt.whole)
			}
			if len(rec.all) != 1 || errors.Is(rec.all[0].Err, storm.ErrFault) != tt.faulted || !tt.faulted && rec.all[0].Status != tt.statuses {
				t.Errorf("%v: samples %+v, want one, faulted: %v, with status %d", tt.twist.Do, rec.all, tt.faulted, tt.statuses)
			}
		})
	}
}

// TestAcknowledgedHalf: a target that acknowledges half a body is taken at its word, so that the loss is its own.
func TestAcknowledgedHalf(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
	}))
	defer target.Close()
	x, err := live.New(live.Config{Publish: at(target.URL), Serve: at(target.URL)})
	if err != nil {
		t.Fatal(err)
	}
	var rec kept
	q := storm.Request{From: "packager", Put: true, ID: video(1).Candidate("a"), Size: 200_000, Twist: storm.Twist{Do: storm.Cut}}
	p := storm.Plan{Requests: slices.Values([]storm.Request{q}), Client: func(string) storm.Client { return &client.Packager{ReadBack: -1} }}
	if err := x.Execute(t.Context(), p, &rec); err != nil {
		t.Fatal(err)
	}
	if len(rec.all) != 1 || rec.all[0].Status != 201 || rec.all[0].Err != nil {
		t.Errorf("samples %+v, want one that is acknowledged", rec.all)
	}
}

// TestTrickle: a target that has had enough of a trickle is heard.
func TestTrickle(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.CopyN(io.Discard, r.Body, 3); err != nil {
			t.Errorf("the first three bytes: %v", err)
		}
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestTimeout)
	}))
	defer target.Close()
	x, err := live.New(live.Config{Publish: at(target.URL), Serve: at(target.URL)})
	if err != nil {
		t.Fatal(err)
	}
	var rec kept
	q := storm.Request{From: "packager", Put: true, ID: video(1).Candidate("a"), Size: 200_000, Twist: storm.Twist{Do: storm.Trickled, By: 1000}}
	p := storm.Plan{Requests: slices.Values([]storm.Request{q}), Client: func(string) storm.Client { return &client.Packager{ReadBack: -1} }}
	begin := time.Now()
	if err := x.Execute(t.Context(), p, &rec); err != nil {
		t.Fatal(err)
	}
	if len(rec.all) != 1 || rec.all[0].Status != 408 || !errors.Is(rec.all[0].Err, storm.ErrFault) || time.Since(begin) > 20*time.Second {
		t.Errorf("samples %+v after %v, want one that was refused soon", rec.all, time.Since(begin))
	}
}

// kept is a Recorder that keeps all.
type kept struct {
	mu  sync.Mutex
	all []storm.Sample
}

func (k *kept) Record(s storm.Sample) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, s)
}

package live_test

import (
	"cmp"
	"iter"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/origintest"
	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/client"
	"origin-storm/storm/live"
	"origin-storm/storm/record"
)

// event plans n segments of origintest's event: both pipelines publish 100 ms before a segment is due, a probe asks a second
// before, an edge with five readers at the instant, and somebody for a segment far ahead.
func event(n int64) iter.Seq[storm.Request] {
	var all []storm.Request
	add := func(at time.Duration, r storm.Request) {
		r.At, r.Began = at, at
		all = append(all, r)
	}
	for i := range n {
		due := time.Duration(i+1) * 2 * time.Second
		for k, rendition := range []string{"v1", "v2"} {
			id := segment.ID{Event: "ev", Rendition: rendition, Number: i}
			for j, pipeline := range []string{"a", "b"} {
				add(due-time.Duration(100+10*k+5*j)*time.Millisecond, storm.Request{From: "packager " + pipeline, Put: true, ID: id.Candidate(pipeline), Size: 200_000 + 1000*j})
			}
			add(due-time.Second, storm.Request{From: "probe", Class: storm.Probe, ID: id})
			for range 5 {
				add(due, storm.Request{From: "edge", Class: storm.LiveEdge, ID: id})
			}
			far := id
			far.Number += 50
			add(due, storm.Request{From: "edge", Class: storm.Missing, ID: far})
		}
	}
	slices.SortStableFunc(all, func(a, b storm.Request) int { return cmp.Compare(a.At, b.At) })
	return slices.Values(all)
}

// TestAgainstTheOrigin drives the real handlers, with the real clients, and records it: the whole way of a run but its
// processes.
func TestAgainstTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10
		o := origintest.Start(t, origintest.Config{})
		x, err := live.New(live.Config{
			Publish: at(o.PublishURL), Serve: at(o.ServeURL), Virtual: true,
			Dial: o.Client.Transport.(*http.Transport).DialContext,
		})
		if err != nil {
			t.Fatal(err)
		}
		due := func(id segment.ID) time.Duration { return time.Duration(id.Number+1) * 2 * time.Second }
		p := storm.Plan{
			Requests: event(n),
			Windows:  []storm.Window{{Name: "storm", From: 0, To: (n + 2) * 2 * time.Second}},
			Faults:   []storm.Fault{{At: 7 * time.Second, Do: "kill", To: "pipeline b", For: 4 * time.Second}, {At: 13 * time.Second, Do: "reset", To: "pipeline a"}},
			Client: func(from string) storm.Client {
				switch from {
				case "edge":
					return client.NewEdge(client.Caching{Again: client.Patient(2)})
				case "probe":
					return client.Direct{Again: client.Until(func(id segment.ID) time.Duration { return due(id) + segment.Budget }, 50*time.Millisecond)}
				}
				return &client.Packager{}
			},
		}
		rec := record.New(record.Config{Backend: "mem", Windows: p.Windows, Due: due})
		if err := x.Execute(t.Context(), p, rec); err != nil {
			t.Fatal(err)
		}
		b := rec.Backend()
		got := b.Segments
		got.SlackP50, got.SlackP1 = nil, nil
		// The drop covers segments 3 and 4; the reset costs retries and nothing else.
		want := record.Segments{Published: 4*n - 4, Acknowledged: 4*n - 4, Read: 4*n - 4 + 2*n + 2*n, Verified: 4*n - 4 + 2*n + 2*n}
		if got != want {
			t.Errorf("segments: %+v, want %+v", got, want)
		}
		for _, o := range b.Phases[0].Operations {
			if o.Errors != 0 || o.Dropped != 0 {
				t.Errorf("%s: %d errors, %d dropped, %v", o.Class, o.Errors, o.Dropped, o.Statuses)
			}
			switch o.Class {
			case "publish":
				if o.Count != 4*n-4 || o.Faulted != 4 || o.Retries == 0 {
					t.Errorf("publish: %d, %d faulted, %d retries, want %d, 4, some", o.Count, o.Faulted, o.Retries, 4*n-4)
				}
			case "live-edge":
				if o.Count != 2*n || o.Hits != 8*n {
					t.Errorf("live-edge: %d sent, %d answered by the edge, want %d, %d", o.Count, o.Hits, 2*n, 8*n)
				}
			case "missing":
				if o.Statuses["404"] < 2*n {
					t.Errorf("missing: %v, want at least %d 404", o.Statuses, 2*n)
				}
			case "probe":
				if o.Count != 2*n+4*n-4 {
					t.Errorf("probe: %d, want one for each segment and one for each copy: %d", o.Count, 6*n-4)
				}
			}
		}
		for _, c := range rec.Copies() {
			if c.Outcome != "ok" && c.Outcome != "faulted" || c.Outcome == "ok" && *c.Readable > c.Due-0.05 {
				t.Errorf("copy %+v, readable at %v", c, c.Readable)
			}
		}
	})
}

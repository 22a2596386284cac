package body_test

import (
	"net/http"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/bmff"
	"origin-storm/origin/config"
	"origin-storm/origin/origintest"
	"origin-storm/origin/segment"
	"origin-storm/storm/body"
)

// TestInspected: an origin that looks at the boxes of what it is given finds nothing wrong with the driver's bodies.
func TestInspected(t *testing.T) {
	id, clock := segment.ID{Event: "final", Pipeline: "a", Rendition: "v7", Number: 12}, segment.Template{Ticks: 120120, Timescale: 60000, StartNumber: 5}
	first := id
	first.Number = segment.Init
	init, err := bmff.ParseInit(body.New(first, clock, 5000))
	if err != nil {
		t.Fatalf("ParseInit: %v", err)
	}
	if want := []bmff.Track{{ID: 1, Handler: "meta", Timescale: 60000, Language: "und", Codec: "mett"}}; !reflect.DeepEqual(init.Tracks, want) {
		t.Errorf("ParseInit = %+v, want %+v", init.Tracks, want)
	}
	seg, err := bmff.Inspect(body.New(id, clock, 100_000), init)
	if err != nil {
		t.Fatalf("Inspect: %v", err)
	}
	if want := (bmff.Span{Track: 1, Decode: 7 * 120120, Timed: true, Duration: 120120, Samples: 1}); len(seg.Tracks) != 1 || seg.Tracks[0] != want || seg.Sequence != 12 {
		t.Errorf("Inspect = %+v, want one span %+v, sequence number 12", seg, want)
	}
}

// TestNoFlawsFound: a publishing node that compares the driver's bodies with the event's clock finds them on time.
func TestNoFlawsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, clock := range []segment.Template{{}, {StartNumber: 5, Ticks: 120120, Timescale: 60000}, {Ticks: 500, Timescale: 1000}} {
			clock.Start = time.Now().Add(-time.Minute)
			ev := origintest.Event(clock.Start)
			ev.Template = clock
			o := origintest.Start(t, origintest.Config{Events: []config.Event{ev}})
			for _, n := range []int64{segment.Init, clock.StartNumber, clock.StartNumber + 1, clock.StartNumber + 2, clock.StartNumber + 7} {
				id := segment.ID{Event: "ev", Pipeline: "a", Rendition: "v1", Number: n}
				req, err := http.NewRequest(http.MethodPut, o.PublishURL+id.String(), body.NewReader(id, clock, 5000))
				if err != nil {
					t.Fatal(err)
				}
				resp, err := o.Client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusCreated || resp.Header.Get("Origin-Defects") != "" {
					t.Errorf("PUT %v = %d, defects %q, want 201 and none", id, resp.StatusCode, resp.Header.Get("Origin-Defects"))
				}
			}
			if f := o.Publish.Stats().Feeds["ev/a"]; f.Inspected != 4 || f.Unlocked+f.Malformed+f.Foreign != 0 || f.OffsetMS["v1"] != 0 {
				t.Errorf("Stats().Feeds[ev/a] = %+v, want 4 segments looked into, all of them on time", f)
			}
		}
	})
}

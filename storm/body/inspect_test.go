package body_test

import (
	"reflect"
	"testing"

	"origin-storm/origin/bmff"
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

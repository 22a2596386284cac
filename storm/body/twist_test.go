package body_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"origin-storm/origin/bmff"
	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/body"
)

// TestTwisted: what a fault did to a body is no damage, is told by the body, and is what an inspector of boxes sees.
func TestTwisted(t *testing.T) {
	header := seven
	header.Number = segment.Init
	init, err := bmff.ParseInit(body.New(header, cinema, 0))
	if err != nil {
		t.Fatal(err)
	}
	plain := body.New(seven, cinema, 5000)
	for _, tt := range []struct {
		twist            storm.Twist
		decode, duration uint64
		slate, last      bool
	}{
		{storm.Twist{}, 2 * 120120, 120120, false, false},
		{storm.Twist{Do: storm.Shifted, By: int64(time.Second)}, 2*120120 + 60000, 120120, false, false},
		{storm.Twist{Do: storm.Shifted, By: -int64(time.Second)}, 2*120120 - 60000, 120120, false, false},
		{storm.Twist{Do: storm.Shifted, By: -int64(time.Hour)}, 0, 120120, false, false},
		{storm.Twist{Do: storm.Shorter, By: int64(500 * time.Millisecond)}, 2 * 120120, 120120 - 30000, false, false},
		{storm.Twist{Do: storm.Slate}, 2 * 120120, 120120, true, false},
		{storm.Twist{Do: storm.Last}, 2 * 120120, 120120, false, true},
		{storm.Twist{Do: storm.Other, By: 1}, 2 * 120120, 120120, false, false},
		{storm.Twist{Do: storm.Cut}, 2 * 120120, 120120, false, false}, // not of the body
	} {
		b, err := io.ReadAll(body.Twisted(seven, cinema, 5000, tt.twist))
		if err != nil {
			t.Fatal(err)
		}
		found, err := body.Verify(bytes.NewReader(b), seven, int64(len(b)))
		want := tt.twist.Do
		if !want.InBody() {
			want = storm.Plain
		}
		if err != nil || found.Damage != storm.None || found.Effect != want || found.ID != seven {
			t.Errorf("%+v: Verify = %+v, %v, want no damage and the effect %v", tt.twist, found, err, want)
		}
		if same := bytes.Equal(b, plain); same != (want == storm.Plain) {
			t.Errorf("%+v: the same bytes as without it: %v", tt.twist, same)
		}
		seg, err := bmff.Inspect(b, init)
		if err != nil || len(seg.Tracks) != 1 || seg.Tracks[0].Decode != tt.decode || seg.Tracks[0].Duration != tt.duration || seg.Slate != tt.slate || seg.Last != tt.last {
			t.Errorf("%+v: Inspect = %+v, %v, want decode time %d, duration %d, slate %v, last %v", tt.twist, seg, err, tt.decode, tt.duration, tt.slate, tt.last)
		}
	}
	one, _ := io.ReadAll(body.Twisted(seven, cinema, 5000, storm.Twist{Do: storm.Other, By: 1}))
	two, _ := io.ReadAll(body.Twisted(seven, cinema, 5000, storm.Twist{Do: storm.Other, By: 2}))
	if bytes.Equal(one, two) {
		t.Error("two other bodies are the same")
	}
}

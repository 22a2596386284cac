package scenarios_test

import (
	"testing"
	"time"

	"origin-storm/scenarios"
)

func TestCadence(t *testing.T) {
	for _, c := range []struct {
		text   string
		want   scenarios.Cadence
		length time.Duration
		prints string
	}{
		{"2s", scenarios.Cadence{Ticks: 2, Timescale: 1}, 2 * time.Second, "2s"},
		{"1920ms", scenarios.Cadence{Ticks: 48, Timescale: 25}, 1920 * time.Millisecond, "1.92s"},
		{"120120/60000", scenarios.Cadence{Ticks: 120120, Timescale: 60000}, 2002 * time.Millisecond, "120120/60000"},
		{"1001/30000", scenarios.Cadence{Ticks: 1001, Timescale: 30000}, 33366666, "1001/30000"},
		{"4/2", scenarios.Cadence{Ticks: 4, Timescale: 2}, 2 * time.Second, "4/2"},
	} {
		var got scenarios.Cadence
		if err := got.UnmarshalText([]byte(c.text)); err != nil || got != c.want || got.Duration() != c.length || got.String() != c.prints {
			t.Errorf("%q reads as %+v (%v), lasts %v and prints as %q, want %+v, %v, %q", c.text, got, err, got.Duration(), got, c.want, c.length, c.prints)
		}
	}
	for _, text := range []string{"", "2", "2/0", "0/1", "-2/1", "2/-1", "2/1/1", "0s", "-1s", "a/b", "9223372036854775808/1"} {
		var got scenarios.Cadence
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q reads as %+v, want an error", text, got)
		}
	}
}

func TestShare(t *testing.T) {
	for text, want := range map[string]scenarios.Share{"0": 0, "0.2": 0.2, "20%": 0.2, "2.5 %": 0.025, "1e-3": 0.001} {
		var got scenarios.Share
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q reads as %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "%", "half", "inf", "NaN", "1e999", "0.2%%"} {
		var got scenarios.Share
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q reads as %v, want an error", text, got)
		}
	}
}

func FuzzUnits(f *testing.F) {
	for _, text := range []string{"2s", "120120/60000", "auto", "25%", "0.1", "1h1m1s"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var c scenarios.Cadence
		if c.UnmarshalText([]byte(text)) == nil {
			var again scenarios.Cadence
			if err := again.UnmarshalText([]byte(c.String())); err != nil || again != c {
				t.Errorf("%q reads as %+v, prints as %q, and reads as %+v, %v", text, c, c, again, err)
			}
		}
		var w scenarios.WarmUp
		if w.UnmarshalText([]byte(text)) == nil {
			b, _ := w.MarshalText()
			var again scenarios.WarmUp
			if err := again.UnmarshalText(b); err != nil || again != w {
				t.Errorf("%q reads as %v, prints as %q, and reads as %v, %v", text, w, b, again, err)
			}
		}
		var p scenarios.Share
		if p.UnmarshalText([]byte(text)) == nil && p-p != 0 {
			t.Errorf("%q reads as %v", text, p)
		}
	})
}

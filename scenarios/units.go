package scenarios

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"origin-storm/origin/segment"
)

// Share is a part of a whole, 0.2 or 20%.
type Share float64

// Cadence is a segment's exact duration, Ticks/Timescale seconds. Its text is a duration (2s), or both numbers
// (120120/60000).
type Cadence struct{ Ticks, Timescale int64 }

// UnmarshalText reads a share: a number from 0, or one with a percent sign.
func (p *Share) UnmarshalText(text []byte) error {
	s, percent := strings.CutSuffix(string(text), "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || f-f != 0 { // infinite or not a number
		return fmt.Errorf("%q is not a share such as 0.2 or 20%%", text)
	}
	if percent {
		f /= 100
	}
	*p = Share(f)
	return nil
}

// MarshalYAML prints p as a number.
func (p Share) MarshalYAML() (any, error) { return float64(p), nil }

// UnmarshalText reads a duration, or ticks/timescale.
func (c *Cadence) UnmarshalText(text []byte) error {
	if ticks, scale, ok := strings.Cut(string(text), "/"); ok {
		t, err1 := strconv.ParseInt(ticks, 10, 64)
		s, err2 := strconv.ParseInt(scale, 10, 64)
		if err1 != nil || err2 != nil || t <= 0 || s <= 0 {
			return fmt.Errorf("%q is not ticks/timescale such as 120120/60000", text)
		}
		*c = Cadence{t, s}
		return nil
	}
	d, err := parseDuration(string(text))
	if err != nil {
		return err
	}
	if d <= 0 {
		return fmt.Errorf("%q: a segment lasts longer than nothing", text)
	}
	g := gcd(int64(d), int64(time.Second))
	*c = Cadence{int64(d) / g, int64(time.Second) / g}
	return nil
}

// MarshalText prints c as a duration if it has one in lowest terms, else as ticks/timescale.
func (c Cadence) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

func (c Cadence) String() string {
	if c.Timescale > 0 && int64(time.Second)%c.Timescale == 0 && gcd(c.Ticks, c.Timescale) == 1 {
		return c.Duration().String()
	}
	return fmt.Sprintf("%d/%d", c.Ticks, c.Timescale)
}

// Duration is how long a segment lasts, rounded down to the nanosecond.
func (c Cadence) Duration() time.Duration { return c.times(1) }

// times is how long n segments last.
func (c Cadence) times(n int) time.Duration {
	t := segment.Template{Ticks: c.Ticks, Timescale: c.Timescale}
	return t.Begins(int64(n)).Sub(t.Start)
}

// UnmarshalText reads a duration, or auto.
func (w *WarmUp) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*w = Auto
		return nil
	}
	d, err := parseDuration(string(text))
	if err == nil && d < 0 {
		err = fmt.Errorf("%q: a warm-up cannot be negative", text)
	}
	if err != nil {
		return fmt.Errorf("%w, or auto", err)
	}
	*w = WarmUp(d)
	return nil
}

// MarshalText prints w as a duration, or auto.
func (w WarmUp) MarshalText() ([]byte, error) {
	if w == Auto {
		return []byte("auto"), nil
	}
	return []byte(time.Duration(w).String()), nil
}

// parseDuration is time.ParseDuration with an error that says what to write.
func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err == nil {
		return d, nil
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, fmt.Errorf("%q has no unit: write a duration such as 2s or 250ms", s)
	}
	return 0, fmt.Errorf("%q is not a duration such as 2s or 250ms", s)
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

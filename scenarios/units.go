package scenarios

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Bytes is an amount of data. Its text is a number with a unit: 512KiB, 1.5MiB, 20MB; whole bytes only.
type Bytes int64

// Rate is a bit rate in bits per second. Its text is a number with a unit: 800kbit/s, 2.5Mbit/s.
type Rate int64

// Share is a part of a whole, 0.2 or 20%.
type Share float64

// Cadence is a segment's exact duration, Ticks/Timescale seconds. Its text is a duration (2s), or both numbers
// (120120/60000).
type Cadence struct{ Ticks, Timescale int64 }

type unit struct {
	name string
	size int64
}

// The units, the largest first; of bytes the binary ones first, so that 1048576 prints as 1MiB.
var (
	byteUnits = []unit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}
	rateUnits = []unit{{"Gbit/s", 1e9}, {"Mbit/s", 1e6}, {"kbit/s", 1e3}, {"bit/s", 1}}
)

// UnmarshalText reads a number of bytes.
func (b *Bytes) UnmarshalText(text []byte) error {
	n, err := quantity(string(text), "a size", "512KiB", byteUnits)
	*b = Bytes(n)
	return err
}

// MarshalText prints b in the largest unit that divides it.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

func (b Bytes) String() string {
	for _, u := range byteUnits {
		if b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return "0B"
}

// UnmarshalText reads a bit rate.
func (r *Rate) UnmarshalText(text []byte) error {
	n, err := quantity(string(text), "a bit rate", "10Mbit/s", rateUnits)
	*r = Rate(n)
	return err
}

// MarshalText prints r in the largest unit that it has one of, exactly.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (r Rate) String() string {
	for _, u := range rateUnits {
		if int64(r) >= u.size || -int64(r) >= u.size {
			s := new(big.Rat).SetFrac64(int64(r), u.size).FloatString(9)
			return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") + u.name
		}
	}
	return "0bit/s"
}

// maxDigits bounds a number's text, so that an absurd exponent costs nothing.
const maxDigits = 24

// quantity reads a decimal number with one of units, exactly.
func quantity(s, what, example string, units []unit) (int64, error) {
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/ %")
	name := strings.TrimSpace(s[len(digits):])
	if digits == "" || len(digits) > maxDigits || strings.Trim(digits, "-0123456789.") != "" {
		return 0, fmt.Errorf("%q is not %s such as %s", s, what, example)
	}
	number, ok := new(big.Rat).SetString(digits)
	if !ok {
		return 0, fmt.Errorf("%q is not %s such as %s", s, what, example)
	}
	var names []string
	for _, u := range units {
		if u.name != name {
			names = append(names, u.name)
			continue
		}
		if number.Sign() < 0 {
			return 0, fmt.Errorf("%q: %s cannot be negative", s, what)
		}
		number.Mul(number, new(big.Rat).SetInt64(u.size))
		if !number.IsInt() || !number.Num().IsInt64() {
			return 0, fmt.Errorf("%q: %s is a whole number of %s, below 2⁶³", s, what, units[len(units)-1].name)
		}
		return number.Num().Int64(), nil
	}
	if name == "" {
		return 0, fmt.Errorf("%q has no unit: write %s such as %s", s, what, example)
	}
	return 0, fmt.Errorf("%q: no unit of %s is called %q%s", s, what, name, suggest(name, names))
}

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
func (c Cadence) Duration() time.Duration {
	return time.Duration(c.Ticks/c.Timescale)*time.Second + time.Duration(c.Ticks%c.Timescale*int64(time.Second)/c.Timescale)
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

package cost

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size. In files it is written as a number with a unit (256KiB, 2MiB, 1MB) or as a plain number of bytes.
type Bytes int64

var byteUnits = []unit{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}

// UnmarshalText reads 256KiB and the like.
func (b *Bytes) UnmarshalText(text []byte) error {
	v, err := parse(string(text), byteUnits)
	if err != nil {
		return fmt.Errorf("cost: size %q: %w; write it like 256KiB, 2MiB or 1500000", text, err)
	}
	*b = Bytes(math.Round(v))
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// String returns b in the largest binary unit that divides it.
func (b Bytes) String() string {
	for _, u := range []unit{byteUnits[2], byteUnits[1], byteUnits[0]} {
		if n := Bytes(u.size); b != 0 && b%n == 0 {
			return strconv.FormatInt(int64(b/n), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// Rate is a bandwidth in bits per second. In files it is written with its unit: 10Gbit/s.
type Rate float64

var rateUnits = []unit{{"kbit/s", 1e3}, {"Mbit/s", 1e6}, {"Gbit/s", 1e9}, {"bit/s", 1}}

// UnmarshalText reads 10Gbit/s and the like.
func (r *Rate) UnmarshalText(text []byte) error {
	v, err := parse(string(text), rateUnits)
	if err != nil {
		return fmt.Errorf("cost: bandwidth %q: %w; write it like 10Gbit/s or 800Mbit/s", text, err)
	}
	*r = Rate(v)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String returns r in the largest unit that leaves at least 1.
func (r Rate) String() string {
	for _, u := range []unit{rateUnits[2], rateUnits[1], rateUnits[0]} {
		if float64(r) >= u.size {
			return strconv.FormatFloat(float64(r)/u.size, 'g', -1, 64) + u.name
		}
	}
	return strconv.FormatFloat(float64(r), 'g', -1, 64) + "bit/s"
}

type unit struct {
	name string
	size float64
}

// parse reads a number, not negative, and one of units behind it, with or without a space.
func parse(s string, units []unit) (float64, error) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSuffix(digits, " "), 64)
		if err != nil {
			continue // "256KiB" ends in B, too
		}
		if v *= u.size; !(v >= 0 && v <= 1<<60) {
			return 0, fmt.Errorf("out of range")
		}
		return v, nil
	}
	return 0, fmt.Errorf("not a number with a known unit")
}

// Package cost says what work costs: how long an operation of a store takes (Dist, drawn by key), how operations wait for each
// other (Station, Link), and both together as a file that people can read (Profile) and that is charged operation by operation
// (Meter). The simulator asks it in virtual time and a hosted store in real time; the package itself never asks for the time,
// never sleeps and holds no generator of random numbers. It imports the standard library only; package profiles reads files.
package cost

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"time"
)

// Dist is a distribution of latencies given in one of three ways: by a constant, by median and 99th percentile (a lognormal
// distribution, the usual shape of a store's latency, goes through the two), or by measured quantiles. The zero value costs
// nothing.
type Dist struct {
	Constant  time.Duration `yaml:"constant,omitempty"`
	P50       time.Duration `yaml:"p50,omitempty"`
	P99       time.Duration `yaml:"p99,omitempty"`
	Quantiles Quantiles     `yaml:"quantiles,omitempty"`
}

// Quantiles are points of a measured distribution, in rising order of both P and Value.
type Quantiles []Quantile

// Quantile says that a share P (0 < P < 1) of the latencies is at most Value.
type Quantile struct {
	P     float64
	Value time.Duration
}

// UnmarshalYAML reads a mapping such as {0.5: 10ms, 0.99: 80ms}, in any order.
func (q *Quantiles) UnmarshalYAML(unmarshal func(any) error) error {
	var m map[float64]time.Duration
	if err := unmarshal(&m); err != nil {
		return err
	}
	*q = (*q)[:0]
	for _, p := range slices.Sorted(maps.Keys(m)) {
		*q = append(*q, Quantile{p, m[p]})
	}
	return nil
}

// MarshalYAML writes the mapping that UnmarshalYAML reads.
func (q Quantiles) MarshalYAML() (any, error) {
	m := make(map[float64]time.Duration, len(q))
	for _, x := range q {
		m[x.P] = x.Value
	}
	return m, nil
}

// IsZero reports whether d costs nothing.
func (d Dist) IsZero() bool {
	return d.Constant == 0 && d.P50 == 0 && d.P99 == 0 && len(d.Quantiles) == 0
}

// longest bounds every duration of a profile: what takes longer is a mistake in the file.
const longest = time.Hour

// Validate returns what is wrong with d, or nil.
func (d Dist) Validate() error {
	forms := 0
	for _, given := range []bool{d.Constant != 0, d.P50 != 0 || d.P99 != 0, len(d.Quantiles) > 0} {
		if given {
			forms++
		}
	}
	if forms > 1 {
		return errors.New("give one of constant, p50 with p99, or quantiles, not several")
	}
	switch {
	case d.Constant < 0 || d.Constant > longest:
		return fmt.Errorf("constant: %v: must be 0 to %v", d.Constant, longest)
	case (d.P50 != 0 || d.P99 != 0) && (d.P50 <= 0 || d.P99 < d.P50 || d.P99 > longest):
		return fmt.Errorf("p50: %v and p99: %v: give both, p50 above 0, p99 not below p50 and at most %v", d.P50, d.P99, longest)
	}
	for i, q := range d.Quantiles {
		switch {
		case !(q.P > 0 && q.P < 1):
			return fmt.Errorf("quantiles: %v: must be between 0 and 1, both exclusive", q.P)
		case q.Value <= 0 || q.Value > longest:
			return fmt.Errorf("quantiles: %v: %v: must be above 0 and at most %v", q.P, q.Value, longest)
		case i > 0 && (q.P <= d.Quantiles[i-1].P || q.Value < d.Quantiles[i-1].Value):
			return fmt.Errorf("quantiles: %v: %v after %v: %v: both must rise", q.P, q.Value, d.Quantiles[i-1].P, d.Quantiles[i-1].Value)
		}
	}
	return nil
}

// Quantile returns the latency that a share u of all latencies does not exceed; with u drawn evenly from (0, 1) it is a draw
// from the distribution. Between measured quantiles the logarithm of the latency runs straight over the normal deviate, so
// that two quantiles of a lognormal distribution give that distribution back; beyond the first and the last measured one it
// stays there, as nothing is known. d must be valid.
func (d Dist) Quantile(u float64) time.Duration { c := d.Curve(); return c.Quantile(u) }

// Curve is a Dist whose quantiles are asked for many times: what each of them needs of it is computed once. Its zero value is that of a Dist
// that costs nothing.
type Curve struct {
	constant time.Duration
	points   []point
	endless  bool // the distribution goes on beyond the first and the last point
}

// point is a quantile, and where it lies: the normal deviate of P, and the logarithm of Value.
type point struct {
	Quantile
	z, ln float64
}

// Curve returns d as a curve. d must be valid.
func (d Dist) Curve() Curve {
	c := Curve{constant: d.Constant, endless: d.P50 > 0}
	all := d.Quantiles
	if c.endless {
		all = Quantiles{{0.5, d.P50}, {0.99, d.P99}}
	}
	for _, q := range all {
		c.points = append(c.points, point{q, normal(q.P), math.Log(float64(q.Value))})
	}
	return c
}

// IsZero reports whether c costs nothing.
func (c *Curve) IsZero() bool { return c.constant == 0 && len(c.points) == 0 }

// Quantile is that of the Dist.
func (c *Curve) Quantile(u float64) time.Duration {
	switch {
	case c.endless:
		return between(u, &c.points[0], &c.points[1])
	case len(c.points) > 0:
		i := sort.Search(len(c.points), func(i int) bool { return c.points[i].P >= u })
		switch i {
		case 0:
			return c.points[0].Value
		case len(c.points):
			return c.points[i-1].Value
		}
		return between(u, &c.points[i-1], &c.points[i])
	}
	return c.constant
}

// between returns the value at u of the lognormal distribution that goes through a and b.
func between(u float64, a, b *point) time.Duration {
	ln := a.ln + (b.ln-a.ln)*(normal(u)-a.z)/(b.z-a.z)
	return time.Duration(math.Round(min(math.Exp(ln), float64(24*time.Hour))))
}

// normal is the standard normal distribution's quantile function. The ends are where Draw's are.
func normal(u float64) float64 {
	const end = 1.0 / (1 << 53)
	return math.Sqrt2 * math.Erfinv(2*min(max(u, end), 1-end)-1)
}

// Draw returns an even draw from the open interval (0, 1) that depends on its arguments alone: the same in every process, on
// every machine and in whatever order goroutines ask. op names the kind of draw ("write"), so that one key's draws of different
// kinds are independent, as are those of different attempts.
func Draw(seed uint64, op, key string, attempt int) float64 {
	// FNV-1a takes in the strings; a byte that occurs in neither stands between them.
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(op) {
		h = (h ^ uint64(op[i])) * prime
	}
	h = (h ^ 0xff) * prime
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * prime
	}
	// FNV mixes the last bytes poorly, and seeds and attempts are small numbers: each goes through a full mixing.
	h = mix(h + mix(seed+golden))
	h = mix(h ^ mix(uint64(attempt)+1)*golden)
	// 52 bits and a half: never 0, never 1.
	return (float64(h>>12) + 0.5) / (1 << 52)
}

const golden = 0x9e3779b97f4a7c15

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

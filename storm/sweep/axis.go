package sweep

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// How a range is divided where nobody says, and from which ratio of its ends on by equal factors.
const (
	defaultSteps = 5
	wide         = 10
	mostSteps    = 1 << 20
)

// ParseAxis reads what --sweep names: a field of the scenario and its values, as path=FROM..TO[:STEPS] or path=VALUE,VALUE,…, such as
// readers.edges=20..400:8, event.renditions.total=10..80Mbit/s or readers.cache=nginx,varnish. The values of a range are as fine as its
// ends are written; from a ratio of ten on they are spaced by equal factors.
func ParseAxis(text string) (a Axis, err error) {
	path, values, ok := strings.Cut(text, "=")
	if !ok || path == "" || values == "" {
		return a, usagef("--sweep %s: want path=FROM..TO[:STEPS], such as readers.edges=20..400:8, or path=VALUE,VALUE,…, such as readers.edges=20,40,80", text)
	}
	a.Path = path
	if from, to, ok := strings.Cut(values, ".."); ok && !strings.ContainsAny(values, ",[{") {
		err = a.span(from, to)
	} else {
		err = a.list(values)
	}
	if err != nil {
		return Axis{}, usagef("--sweep %s: %w", text, err)
	}
	return a, nil
}

// list reads values with commas between them; those inside brackets are of one value.
func (a *Axis) list(text string) error {
	depth, begin := 0, 0
	for i, r := range text + "," {
		switch {
		case r == '[' || r == '{':
			depth++
		case r == ']' || r == '}':
			depth--
		case r == ',' && depth == 0 || i == len(text):
			a.Values = append(a.Values, strings.TrimSpace(text[begin:i]))
			begin = i + 1
		}
	}
	unit := ""
	for i, v := range a.Values {
		if v == "" {
			return fmt.Errorf("value %d of the list is empty", i+1)
		}
		if slices.Contains(a.Values[:i], v) {
			return fmt.Errorf("%s is in the list twice", v)
		}
		n, u, err := split(v)
		if err != nil || unit != "" && u != unit || i > 0 && a.Numbers == nil {
			a.Numbers, unit = nil, ""
			continue
		}
		unit = u
		a.Numbers = append(a.Numbers, n)
	}
	if a.Numbers != nil {
		a.Unit = unit
		a.Log = spread(slices.Min(a.Numbers), slices.Max(a.Numbers)) && len(a.Numbers) > 2
	}
	return nil
}

// span reads a range.
func (a *Axis) span(from, rest string) error {
	to, number, given := strings.Cut(rest, ":")
	steps := defaultSteps
	if given {
		n, err := strconv.Atoi(number)
		switch {
		case err != nil:
			return fmt.Errorf("%q is no number of steps; want one such as %d", number, defaultSteps)
		case n < 2:
			return fmt.Errorf("%d steps: a range has at least 2, its ends; for one value use --set %s=%s", n, a.Path, from)
		case n > mostSteps:
			return fmt.Errorf("%d steps are %d points, and a sweep has at most %d: write %s=%s..%s:%d", n, n, MostPoints, a.Path, from, to, MostPoints)
		}
		steps = n
	}
	low, unit, err := split(from)
	if err != nil {
		return err
	}
	high, second, err := split(to)
	if err != nil {
		return err
	}
	if unit != "" && second != "" && unit != second {
		return fmt.Errorf("both ends have to be in one unit, not in %s and %s", unit, second)
	}
	a.Unit = cmp.Or(unit, second)
	switch {
	case low == high:
		return fmt.Errorf("the range is empty: it begins where it ends; for one value use --set %s=%s", a.Path, to)
	case low > high:
		return fmt.Errorf("the range begins above its end: write %s=%s..%s", a.Path, strings.TrimSuffix(to, a.Unit), strings.TrimSuffix(from, a.Unit)+a.Unit)
	}
	a.Log = spread(low, high)
	for digits := max(decimals(from), decimals(to)); ; digits++ {
		a.Numbers = a.Numbers[:0]
		exact := true // near enough for even spacing
		for i := range steps {
			part := float64(i) / float64(steps-1)
			v, near := low+part*(high-low), (high-low)/float64(steps-1)/50
			if a.Log {
				v = low * math.Pow(high/low, part)
				near = v / 100
			}
			scale := math.Pow10(digits)
			rounded := math.Round(v*scale) / scale
			if i == steps-1 {
				rounded, v = high, high
			}
			exact = exact && math.Abs(rounded-v) <= near
			a.Numbers = append(a.Numbers, rounded)
		}
		different := slices.Compact(slices.Clone(a.Numbers))
		counted := digits == 0 && a.Unit == "" // what is counted has no halves
		if counted && (len(different) == steps || low >= 1) {
			a.Numbers = different
			break
		}
		if exact && len(different) == steps {
			break
		}
		if digits >= mostDecimals {
			return fmt.Errorf("%d steps are too close together to tell them apart; write fewer, such as :%d", steps, max(2, len(different)))
		}
	}
	for _, v := range a.Numbers {
		a.Values = append(a.Values, strconv.FormatFloat(v, 'f', -1, 64)+a.Unit)
	}
	return nil
}

const mostDecimals = 9

// spread reports whether a range is so wide that its values are spaced by equal factors.
func spread(low, high float64) bool { return low > 0 && high/low >= wide }

// split takes a value apart: a number and its unit.
func split(text string) (number float64, unit string, err error) {
	end := strings.IndexFunc(text, func(r rune) bool { return r != '.' && r != '-' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(text)
	}
	if number, err = strconv.ParseFloat(text[:end], 64); err != nil || math.IsInf(number, 0) {
		return 0, "", fmt.Errorf("%q is not a number, nor one with a unit", text)
	}
	return number, text[end:], nil
}

// decimals is how many digits stand behind the point.
func decimals(text string) int {
	end := strings.IndexFunc(text, func(r rune) bool { return r != '.' && r != '-' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(text)
	}
	_, fraction, _ := strings.Cut(text[:end], ".")
	return min(len(fraction), mostDecimals)
}

// explodes refuses so many points, with how long they would take and fewer.
func (c Config) explodes(n int) error {
	each := MostPoints
	if len(c.Axes) == 2 {
		each = int(math.Sqrt(MostPoints))
	}
	var fewer []string
	for _, a := range c.Axes {
		last := len(a.Values) - 1
		switch {
		case len(a.Values) <= each:
			fewer = append(fewer, fmt.Sprintf("--sweep %s=%s", a.Path, a.Values[0]+".."+a.Values[last]+fmt.Sprintf(":%d", len(a.Values))))
		case a.Numbers != nil:
			fewer = append(fewer, fmt.Sprintf("--sweep %s=%s..%s:%d", a.Path, strings.TrimSuffix(a.Values[0], a.Unit), a.Values[last], each))
		default:
			fewer = append(fewer, fmt.Sprintf("fewer values of %s", a.Path))
		}
	}
	text := fmt.Sprintf("%d points", n)
	if lasts, replications, err := c.cost(); err == nil {
		text += fmt.Sprintf(" of %d replications each, for which this machine would take about %v", replications, about(lasts*time.Duration(n*replications)/time.Duration(max(1, c.workers()))))
	}
	return usagef("the sweep has %s; at most %d points are simulated: take fewer steps, such as %s", text, MostPoints, strings.Join(fewer, " "))
}

// cost is how long one replication of a point takes on average, as if that grew evenly between the first and the last value of each axis,
// and how many there are of it at most.
func (c Config) cost() (lasts time.Duration, replications int, err error) {
	ends := 1 << len(c.Axes)
	for end := range ends {
		var set []string
		for i, a := range c.Axes {
			value := a.Values[0]
			if end>>i&1 == 1 {
				value = a.Values[len(a.Values)-1]
			}
			set = append(set, a.Path+"="+value)
		}
		s, err := c.At(set)
		if err != nil {
			return 0, 0, err
		}
		lasts += Estimate(s) / time.Duration(ends)
		replications = max(replications, cmp.Or(c.Replications, DefaultReplications(s)))
	}
	return lasts, replications, nil
}

// about is a duration as people say it.
func about(d time.Duration) time.Duration {
	for _, unit := range []time.Duration{time.Hour, time.Minute, time.Second} {
		if d >= 3*unit {
			return d.Round(unit)
		}
	}
	return d.Round(100 * time.Millisecond)
}

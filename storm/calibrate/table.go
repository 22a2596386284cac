package calibrate

import (
	"fmt"
	"math"
	"strconv"

	"origin-storm/storm/sim"
)

// Heads are the heads of the columns of Row.
var Heads = [...]string{"configuration", "figure", "measured [95 %]", "simulated", "off", "near enough"}

// Row is e as a row of a table for people.
func Row(e sim.Error) [len(Heads)]string {
	measured := number(e.Measured)
	if e.CI != nil {
		measured += " [" + number(e.CI[0]) + "–" + number(e.CI[1]) + "]"
	}
	near := "yes"
	if !Within(e) {
		near = fmt.Sprintf("no: more than %.0f %%", 100*Aim(e.Figure))
	}
	return [...]string{e.Run, e.Figure, measured + " " + e.Unit, number(e.Simulated) + " " + e.Unit, fmt.Sprintf("%+.0f %%", 100*e.Relative()), near}
}

// number writes v with three digits, or all that stand before the point.
func number(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// Summary says in words how many of errs are near enough, the medians and the p99 by themselves.
func Summary(errs []sim.Error) string {
	var within, of [2]int
	for _, e := range errs {
		kind := 0
		if Aim(e.Figure) > 0.1 {
			kind = 1
		}
		of[kind]++
		if Within(e) {
			within[kind]++
		}
	}
	return fmt.Sprintf("%d of %d p50 and other figures within 10 %%, %d of %d p99 within 25 %%", within[0], of[0], within[1], of[1])
}

package capacity

import "math"

// spare returns Q of square-root staffing: how many times √a processors beside the a that are busy on average keep the part of requests
// that find all of them busy below queued. The three values are those of Netflix's open capacity model.
func spare(queued float64) float64 {
	switch {
	case queued <= 0.01:
		return 2.375
	case queued <= 0.05:
		return 1.761
	}
	return 1.16
}

// Busy is, by Little's law, how many processors are busy on average with so many requests a second that take each so many seconds.
func Busy(perSecond, seconds float64) float64 { return perSecond * seconds }

// Staff returns how many processors a load takes that keeps busy of them busy on average, so that no more than a part queued of the
// requests finds all of them busy: busy + Q·√busy, rounded up.
func Staff(busy, queued float64) int {
	return int(math.Ceil(busy + spare(queued)*math.Sqrt(busy) - 1e-9))
}

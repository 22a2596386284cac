package live

import (
	"math"
	"time"
)

// alarm wakes one goroutine at an instant. set may be called at any time, by one at a time: the last call counts, also for a wait
// that goes on. Go's own timers are a millisecond coarse on Linux (golang/go#44343).
type alarm interface {
	set(at time.Time) // an instant that has passed wakes at once; the zero time never
	wait()            // until the instant that was set; it may return early
	close()           // nobody waits
}

// newAlarm returns the most precise alarm there is; a virtual one waits on Go's timers.
func newAlarm(virtual bool) (alarm, error) {
	if virtual {
		return newTimerAlarm(), nil
	}
	return newPreciseAlarm()
}

type timerAlarm struct{ *time.Timer }

func newTimerAlarm() alarm { return timerAlarm{time.NewTimer(math.MaxInt64)} }

func (a timerAlarm) set(at time.Time) {
	if at.IsZero() {
		a.Reset(math.MaxInt64)
		return
	}
	a.Reset(time.Until(at))
}

func (a timerAlarm) wait()  { <-a.C }
func (a timerAlarm) close() { a.Stop() }

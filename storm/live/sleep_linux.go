package live

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleepUntil blocks the calling thread until t, with the precision of the kernel's high-resolution timers. A signal ends it
// early; its caller looks at the time again.
func sleepUntil(t time.Time) {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		time.Sleep(time.Until(t))
		return
	}
	// An absolute instant, so that being preempted between here and the call costs nothing.
	at := unix.NsecToTimespec(now.Nano() + int64(time.Until(t)))
	_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil)
}

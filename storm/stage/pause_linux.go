package stage

import (
	"time"

	"golang.org/x/sys/unix"
)

// wake is how long a thread may take to wake up once the kernel's timer has run out: 50 µs of slack that threads have by default,
// and as much to be scheduled.
const wake = 100 * time.Microsecond

// pause waits for d: with the kernel's timers, since Go's are a millisecond coarse where little happens (golang/go#44343), which is
// more than a fifth of what many stores take to write, and for the last moment by looking at the clock.
func pause(d time.Duration) {
	until := time.Now().Add(d)
	for left := d - wake; left > 0; left = time.Until(until) - wake {
		ts := unix.NsecToTimespec(int64(left))
		if err := unix.Nanosleep(&ts, nil); err != nil && err != unix.EINTR {
			time.Sleep(left)
		}
	}
	for time.Until(until) > 0 {
	}
}

package stage

import (
	"time"

	"golang.org/x/sys/unix"
)

// pause sleeps for d with the precision of the kernel's timers: Go's are a millisecond coarse where little happens (golang/go#44343),
// which is more than a fifth of what many stores take to write.
func pause(d time.Duration) {
	until := time.Now().Add(d)
	for left := d; left > 0; left = time.Until(until) {
		ts := unix.NsecToTimespec(int64(left))
		if err := unix.Nanosleep(&ts, nil); err != nil && err != unix.EINTR {
			time.Sleep(left)
		}
	}
}

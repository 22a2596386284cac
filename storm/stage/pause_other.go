//go:build !linux

package stage

import "time"

// pause sleeps for d as precisely as Go's timers do.
func pause(d time.Duration) { time.Sleep(d) }

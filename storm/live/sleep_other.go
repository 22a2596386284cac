//go:build !linux

package live

import "time"

// sleepUntil waits until t as precisely as Go's timers do.
func sleepUntil(t time.Time) { time.Sleep(time.Until(t)) }

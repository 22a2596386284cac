//go:build !linux

package live

func newPreciseAlarm() (alarm, error) { return newTimerAlarm(), nil }

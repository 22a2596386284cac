package live

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// clockAlarm is a timerfd (timerfd_create(2)) in Go's poller: the kernel's high-resolution timer ends the poll that an idle thread
// waits in, and that thread runs the goroutine. No thread is kept for it, and nobody has to be handed on to.
type clockAlarm struct {
	file *os.File
	fd   int
	zero time.Time // the instant that the kernel's monotonic clock counts from
}

func newPreciseAlarm() (alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timerfd: %w", err)
	}
	a := &clockAlarm{file: os.NewFile(uintptr(fd), "timerfd"), fd: fd}
	var now unix.Timespec
	for shortest := time.Hour; ; { // until both clocks were read with nothing between
		before := time.Now()
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			a.close()
			return nil, fmt.Errorf("clock: %w", err)
		}
		took := time.Since(before)
		if took >= shortest {
			return a, nil
		}
		shortest, a.zero = took, before.Add(took/2).Add(-time.Duration(now.Nano()))
	}
}

func (a *clockAlarm) set(at time.Time) {
	var spec unix.ItimerSpec // its zero value disarms
	if !at.IsZero() {
		spec.Value = unix.NsecToTimespec(max(1, int64(at.Sub(a.zero))))
	}
	// An absolute instant, so that being preempted here costs nothing.
	_ = unix.TimerfdSettime(a.fd, unix.TFD_TIMER_ABSTIME, &spec, nil) // it fails on a bad argument only
}

func (a *clockAlarm) wait() {
	var expirations [8]byte
	_, _ = a.file.Read(expirations[:]) // it fails when closed only
}

func (a *clockAlarm) close() { _ = a.file.Close() }

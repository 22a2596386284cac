package stage

import (
	"os"
	"strconv"
	"syscall"
)

// The driver stands for other machines and must not wait for a processor that the origin or a store is using: what it lost
// there would be lag, and a figure with lag in it is no figure. So it goes before what it measures, by as many steps of nice.
// Among themselves the measured processes stay equals.
const steps = 10

// precede puts this process before others, where it may, and returns the nice value for the processes that it will measure.
func precede() (measured int) {
	// On Linux each thread has a nice value of its own, and hands it on to those that it starts.
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return steps
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return steps
		}
		if syscall.Setpriority(syscall.PRIO_PROCESS, tid, -steps) != nil {
			return steps // not permitted: those that are measured step back instead
		}
	}
	return 0
}

// renice sets the nice value of a process group; where that is not possible the driver's lag will tell.
func renice(group, nice int) { _ = syscall.Setpriority(syscall.PRIO_PGRP, group, nice) }

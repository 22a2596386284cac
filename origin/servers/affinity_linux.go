package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Processors returns the numbers of the processors that this process may use.
func Processors() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("servers: which processors may be used: %w", err)
	}
	var all []int
	for n := range len(set) * 64 {
		if set.IsSet(n) {
			all = append(all, n)
		}
	}
	return all, nil
}

func processorSet(numbers []int) *unix.CPUSet {
	var set unix.CPUSet
	for _, n := range numbers {
		set.Set(n)
	}
	return &set
}

// StartOn starts cmd so that from its first instruction on it runs on the processors of these numbers alone, with all that it
// starts itself; without numbers wherever this process may. A Go program then takes itself to be on a machine of so many.
func StartOn(cmd *exec.Cmd, processors ...int) error {
	if len(processors) == 0 {
		return cmd.Start()
	}
	// A child begins where the thread that forks it may run.
	runtime.LockOSThread()
	var before unix.CPUSet
	err := unix.SchedGetaffinity(0, &before)
	if err == nil {
		err = unix.SchedSetaffinity(0, processorSet(processors))
	}
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("servers: start on processors %v: %w", processors, err)
	}
	err = cmd.Start()
	if back := unix.SchedSetaffinity(0, &before); back != nil {
		// The thread stays locked, so that it ends with its goroutine and nobody else is confined to these processors.
		return errors.Join(err, fmt.Errorf("servers: a thread could not be given its processors back: %w", back))
	}
	runtime.UnlockOSThread()
	return err
}

// pin confines a running process to processors: every thread it has, and with them those to come.
func pin(pid int, processors []int) error {
	set := processorSet(processors)
	dir := fmt.Sprintf("/proc/%d/task", pid)
	done := map[string]bool{}
	for {
		threads, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		more := false
		for _, t := range threads {
			if done[t.Name()] {
				continue
			}
			done[t.Name()], more = true, true
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				return fmt.Errorf("%s holds %q: not a thread", dir, t.Name())
			}
			if err := unix.SchedSetaffinity(tid, set); err != nil && !errors.Is(err, unix.ESRCH) { // a thread may have ended
				return err
			}
		}
		if !more { // a thread that was started meanwhile has its starter's processors, old or new: look again until none is new
			return nil
		}
	}
}

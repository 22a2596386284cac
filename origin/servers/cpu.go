package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Use is what processes have had of the machine's processors, and for how long their threads, taken together, could have run and had none.
type Use struct{ Took, Waited time.Duration }

// GroupTimes returns what the processes of each process group have had of the processors, in user and in system mode, since they were
// started; what ended before is not in it. Waited is 0 where the kernel does not count it (CONFIG_SCHED_INFO). Linux only.
func GroupTimes() (map[int]Use, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("servers: processor times: no processes in /proc: %w", os.ErrNotExist)
	}
	times := map[int]Use{}
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		group, took, err := groupTime(string(stat))
		if err != nil {
			return nil, fmt.Errorf("servers: processor times: %s: %w", file, err)
		}
		u := times[group]
		times[group] = Use{u.Took + took, u.Waited + waited(filepath.Dir(file))}
	}
	return times, nil
}

// groupTime reads the process group and the processor time from the text of /proc/PID/stat: fields 5, 14 and 15 of proc_pid_stat(5).
// The command in field 2 may hold spaces and parentheses, so fields are counted from behind it.
func groupTime(stat string) (group int, took time.Duration, err error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, 0, fmt.Errorf("unexpected process status %q", stat)
	}
	if group, err = strconv.Atoi(fields[5-3]); err != nil {
		return 0, 0, fmt.Errorf("unexpected process status %q: %w", stat, err)
	}
	const hertz = 100 // USER_HZ, on every architecture that Go knows
	for _, field := range fields[14-3 : 16-3] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("unexpected process status %q: %w", stat, err)
		}
		took += time.Duration(ticks) * time.Second / hertz
	}
	return group, took, nil
}

// waited adds up what the threads of the process in a directory of /proc have waited for a processor: the second field of
// /proc/PID/task/TID/schedstat, in nanoseconds (Documentation/scheduler/sched-stats.rst of Linux).
func waited(process string) (sum time.Duration) {
	threads, err := filepath.Glob(process + "/task/*/schedstat")
	if err != nil {
		return 0
	}
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			if ns, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				sum += time.Duration(ns)
			}
		}
	}
	return sum
}

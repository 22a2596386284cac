package servers_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"origin-storm/origin/servers"
)

// one returns a processor that this process may use, the last one: a machine that is free to choose takes others, too.
func one(t *testing.T) (last int, all []int) {
	t.Helper()
	all, err := servers.Processors()
	if err != nil || len(all) == 0 {
		t.Fatalf("Processors() = %v, %v", all, err)
	}
	return all[len(all)-1], all
}

func TestStartOn(t *testing.T) {
	n, all := one(t)
	// The thread that starts is the test's own, so that a confinement which it kept would be seen.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out := func(processors ...int) string {
		var text strings.Builder
		cmd := exec.Command("sh", "-c", "grep Cpus_allowed_list /proc/self/status")
		cmd.Stdout = &text
		if err := servers.StartOn(cmd, processors...); err != nil {
			t.Fatalf("StartOn(%v) = %v", processors, err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(strings.TrimPrefix(text.String(), "Cpus_allowed_list:"))
	}
	free := out()
	if got := out(n); got != fmt.Sprint(n) {
		t.Errorf("started on %d a process may use %q", n, got)
	}
	if got := out(); got != free {
		t.Errorf("started afterwards without a choice it may use %q, want %q as before", got, free)
	}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil || set.Count() != len(all) {
		t.Errorf("the starting thread may use %d processors afterwards, %v; want %d", set.Count(), err, len(all))
	}
	if err := servers.StartOn(exec.Command("true"), 1023); err == nil || !strings.Contains(err.Error(), "1023") {
		t.Errorf("StartOn(1023) = %v, want an error that names it", err)
	}
}

// allowed returns the processors that the threads of a process may use, each list once.
func allowed(t *testing.T, pid int) (lists []string) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("process %d has no threads, %v", pid, err)
	}
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for line := range strings.Lines(string(text)) {
			if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok && !slices.Contains(lists, strings.TrimSpace(list)) {
				lists = append(lists, strings.TrimSpace(list))
			}
		}
	}
	return lists
}

func TestPin(t *testing.T) {
	n, _ := one(t)
	s := up(t, servers.Config{Memcached: 1}).Memcached[0]
	free := allowed(t, pidOf(t, s.Addr))
	check := func(when string, want []string) {
		t.Helper()
		if got := allowed(t, pidOf(t, s.Addr)); !slices.Equal(got, want) {
			t.Errorf("%s its threads may use %q, want %q", when, got, want)
		}
	}
	pinned := []string{fmt.Sprint(n)}
	if err := s.Pin(n); err != nil {
		t.Fatalf("Pin(%d) = %v", n, err)
	}
	check("pinned", pinned)
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("restarted", pinned)
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Pin(); err != nil {
		t.Errorf("Pin() of what does not run = %v, want it for the next start", err)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("let go, and started again,", free)
}

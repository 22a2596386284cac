package servers

import (
	"os/exec"
	"syscall"
	"testing"
	"time"

	"origin-storm/origin/kv/kvtest"
)

func TestGroupTime(t *testing.T) {
	const line = "4242 (a (b) c) S 1 4200 4242 0 -1 4194560 151 0 0 0 250 50 7 8 20 0 1 0 12345 1 2"
	if group, took, err := groupTime(line); group != 4200 || took != 3*time.Second || err != nil {
		t.Errorf("groupTime(%q) = %d, %v, %v, want 4200 and 3 s", line, group, took, err)
	}
	for _, bad := range []string{"", "1 (x) S 1", "1 (x) S 1 g 4242 0 -1 4194560 151 0 0 0 250 50 7 8", "1 (x) S 1 2 4242 0 -1 4194560 151 0 0 0 u 50 7 8"} {
		if _, _, err := groupTime(bad); err == nil {
			t.Errorf("groupTime(%q) = nil, want an error", bad)
		}
	}
}

// The time of a group is that of all its processes.
func TestGroupTimes(t *testing.T) {
	if _, err := GroupTimes(); err != nil {
		kvtest.Need(t, "/proc", err)
	}
	cmd := exec.Command("sh", "-c", "sh -c 'while :; do :; done' & while :; do :; done")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	for began := time.Now(); time.Since(began) < 20*time.Second; {
		times, err := GroupTimes()
		if err != nil {
			t.Fatal(err)
		}
		if times[cmd.Process.Pid].Took >= 100*time.Millisecond {
			return
		}
	}
	t.Errorf("two busy processes of a group have taken no 100 ms in 20 s")
}

package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// sleeper starts a process that leads a group.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

func TestReapHitsOnlyWhatWasRegistered(t *testing.T) {
	ours, recycled := sleeper(t), sleeper(t)
	start, err := processStart(ours.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "a b\n\"c\"") // JSON keeps it
	if err := os.MkdirAll(filepath.Join(dir, "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	line, err := jsonLine(errand{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	owner := fmt.Sprintf(`{"pid":%d,"start":"%s"}
{"pid":%d,"start":"1"}
{"pid":%d,"start":"1"}
%s{"dir":"/nowhere/at/all"}
not a line of ours
{"dir":"/`, ours.Process.Pid, start, recycled.Process.Pid, 1<<22+1, line)
	if err := Reap(strings.NewReader(owner)); err != nil {
		t.Fatalf("Reap() = %v", err)
	}
	if err := ours.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the registered process ended with %v, want killed", err)
	}
	if _, err := processStart(recycled.Process.Pid); err != nil {
		t.Errorf("the process whose number was registered with another start time is gone: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the registered directory is there: %v", err)
	}
}

func TestProcessStart(t *testing.T) {
	cmd := sleeper(t)
	first, err := processStart(cmd.Process.Pid)
	if err != nil || first == "" {
		t.Fatalf("processStart(%d) = %q, %v", cmd.Process.Pid, first, err)
	}
	if again, err := processStart(cmd.Process.Pid); err != nil || again != first {
		t.Errorf("processStart again = %q, %v, want %q", again, err, first)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if start, err := processStart(cmd.Process.Pid); err == nil {
		t.Errorf("processStart of a process that has ended = %q, want an error", start)
	}
}

func TestStartOf(t *testing.T) {
	const tail = " S 1 2 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 1 2 3"
	for _, c := range []struct{ stat, want string }{
		{"12 (sleep)" + tail, "777"},
		{"12 (a b) c) S (d)" + tail, "777"}, // a command may hold parentheses
		{"12 (sleep)" + strings.Replace(tail, " S ", " Z ", 1), ""},
		{"", ""},
		{"12 (sleep)", ""},
		{"12 sleep" + tail, ""},
	} {
		got, err := startOf(c.stat)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("startOf(%q) = %q, %v, want %q", c.stat, got, err, c.want)
		}
	}
}

func FuzzStartOf(f *testing.F) {
	f.Add("12 (sleep) S 1 2 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 1 2 3")
	f.Add("12 (a) b) Z")
	f.Add(")")
	f.Fuzz(func(t *testing.T, stat string) {
		if start, err := startOf(stat); err == nil && (start == "" || strings.ContainsAny(start, " \n")) {
			t.Errorf("startOf(%q) = %q", stat, start)
		}
	})
}

func FuzzErrand(f *testing.F) {
	f.Add(`{"pid":1,"start":"x"}`)
	f.Add(`{"pid":-1}`)
	f.Add(`{`)
	f.Fuzz(func(t *testing.T, line string) {
		if e, ok := parseErrand([]byte(line)); ok && e.PID < 0 {
			t.Errorf("parseErrand(%q) = %+v: a negative process number is a group", line, e)
		}
	})
}

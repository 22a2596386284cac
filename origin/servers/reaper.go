package servers

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Reaper removes what its owner leaves behind. It is a small child process that knows what the owner has started, and waits for
// the end of a pipe whose other end only the owner holds: however the owner ends, by Close or by kill -9, the pipe
// ends with it, and what is registered is killed and removed. Whoever has cleaned up already has nothing to unregister: what is
// gone is passed over, and a process number that was given to another process since is never hit.
//
// Between the start of a process and its registration lie some microseconds in which a kill -9 of the owner leaves that one
// process behind. A directory is therefore registered before it is filled, a container (whose name is known) before it exists.
type Reaper struct {
	cmd  *exec.Cmd
	once sync.Once
	err  error

	mu   sync.Mutex // guards the pipe: lines stay whole
	pipe io.WriteCloser
}

// errand is one line of the pipe.
type errand struct {
	PID       int    `json:"pid,omitempty"`
	Start     string `json:"start,omitempty"`
	Dir       string `json:"dir,omitempty"`
	To        string `json:"to,omitempty"` // where Dir goes, in place of being removed
	Container string `json:"container,omitempty"`
	Network   string `json:"network,omitempty"`
}

// ReaperCommand is the command of origin-storm that does nothing but call Reap(os.Stdin).
const ReaperCommand = "reaper"

// StartReaper starts cmd, which must be a program that does nothing but call Reap(os.Stdin): the caller's own executable with an
// argument (ReaperCommand) or a variable that says so. Its input and its process group are set here. The caller must Close the Reaper.
func StartReaper(cmd *exec.Cmd) (*Reaper, error) {
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("servers: reaper: %w", err)
	}
	// A session of its own: neither a terminal's Ctrl-C nor its hang-up reaches the reaper before its work is done.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("servers: reaper %s: %w", cmd.Path, err)
	}
	return &Reaper{cmd: cmd, pipe: pipe}, nil
}

// Process registers a running process. If it leads a process group, the group is killed with it.
func (r *Reaper) Process(pid int) error {
	start, err := processStart(pid)
	if err != nil {
		return fmt.Errorf("servers: register process %d: %w", pid, err)
	}
	return r.tell(errand{PID: pid, Start: start})
}

// Dir registers a directory to be removed with all it holds, after every process and container is gone.
func (r *Reaper) Dir(path string) error { return r.tell(errand{Dir: path}) }

// Keep registers a directory to be renamed to another name, after every process and container is gone and before any directory is
// removed: what the owner has written there is worth more than nothing.
func (r *Reaper) Keep(path, to string) error { return r.tell(errand{Dir: path, To: to}) }

// Container registers a container by name or id.
func (r *Reaper) Container(name string) error { return r.tell(errand{Container: name}) }

// Network registers a container network by name or id. It is removed after the containers.
func (r *Reaper) Network(name string) error { return r.tell(errand{Network: name}) }

func (r *Reaper) tell(e errand) error {
	line, err := jsonLine(e)
	if err != nil {
		return fmt.Errorf("servers: reaper: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.pipe.Write(line); err != nil {
		return fmt.Errorf("servers: reaper is gone: %w", err)
	}
	return nil
}

// jsonLine returns an errand as a line.
func jsonLine(e errand) ([]byte, error) {
	line, err := json.Marshal(e)
	return append(line, '\n'), err
}

// parseErrand reads a line; ok is false for one that is none of ours or was cut off.
func parseErrand(line []byte) (e errand, ok bool) {
	if json.Unmarshal(line, &e) != nil || e.PID < 0 {
		return errand{}, false
	}
	return e, true
}

// PID returns the reaper's own process number.
func (r *Reaper) PID() int { return r.cmd.Process.Pid }

// Close has everything removed that is registered and still there, and waits until that is done. It may be called again.
func (r *Reaper) Close() error {
	r.once.Do(func() {
		r.mu.Lock()
		r.pipe.Close()
		r.mu.Unlock()
		if err := r.cmd.Wait(); err != nil {
			r.err = fmt.Errorf("servers: reaper: %w", err)
		}
	})
	return r.err
}

// Reap is the reaper's side: it reads what the owner registers until the owner closes the pipe or dies, then kills and removes
// it. A line that it does not understand (the owner died in the middle of it) is passed over.
func Reap(owner io.Reader) error {
	var todo []errand
	lines := bufio.NewScanner(owner)
	for lines.Scan() {
		if e, ok := parseErrand(lines.Bytes()); ok {
			todo = append(todo, e)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	errs := []error{lines.Err()}
	for _, e := range todo {
		if e.PID > 0 {
			kill(e)
		}
	}
	for _, e := range todo {
		if e.PID > 0 {
			errs = append(errs, gone(ctx, e))
		}
	}
	errs = append(errs, removeContainers(ctx, todo))
	for _, e := range todo {
		if e.Dir == "" || e.To == "" {
			continue
		}
		if err := os.Rename(e.Dir, e.To); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for _, e := range todo {
		if e.Dir != "" && e.To == "" {
			errs = append(errs, os.RemoveAll(e.Dir))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("servers: reap: %w", err)
	}
	return nil
}

// kill ends the process of an errand, and the group it leads, if it still is the process that was registered.
func kill(e errand) {
	if start, err := processStart(e.PID); err != nil || start != e.Start {
		return
	}
	if group, err := syscall.Getpgid(e.PID); err == nil && group == e.PID {
		syscall.Kill(-e.PID, syscall.SIGKILL)
	}
	syscall.Kill(e.PID, syscall.SIGKILL)
}

// gone waits until the process of an errand has ended.
func gone(ctx context.Context, e errand) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if start, err := processStart(e.PID); err != nil || start != e.Start {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("process %d does not end after SIGKILL", e.PID)
		}
	}
}

// processStart identifies a running process beside its number, which the system gives out again. A process that has ended and was
// not waited for yet does not run.
func processStart(pid int) (string, error) {
	if runtime.GOOS != "linux" {
		out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
		state, start, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
		if err != nil || state == "" || state[0] == 'Z' {
			return "", os.ErrProcessDone
		}
		return strings.TrimSpace(start), nil
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	return startOf(string(stat))
}

// startOf reads the start time, in clock ticks since boot, from the text of /proc/PID/stat: field 22 of proc_pid_stat(5). The command in
// field 2 may hold spaces and parentheses, so fields are counted from behind it: the first of them is the state.
func startOf(stat string) (string, error) {
	i := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[i+1:])
	if i < 0 || len(fields) < 20 {
		return "", fmt.Errorf("unexpected process status %q", stat)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "", os.ErrProcessDone
	}
	return fields[19], nil
}

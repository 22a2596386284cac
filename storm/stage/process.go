package stage

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/servers"
)

// spawner starts origin processes: this program's own executable, one process for each node, as a deployment has them.
type spawner struct {
	command []string // the executable and what comes before the role
	dir     string   // for configuration files and logs
	reaper  *servers.Reaper
	nice    int
	on      []int                        // processors; empty: wherever the system puts it
	died    func(name string, err error) // a process ended that nobody asked to
}

// process is one spawned origin process. Its methods may be called from any goroutine, up only while it does not run.
type process struct {
	name  string
	ready config.Ready // as of the first start; the addresses stay

	s      *spawner
	node   config.Node
	mu     sync.Mutex // guards the following fields
	cmd    *exec.Cmd
	ended  chan struct{} // closed when cmd has ended
	wanted bool          // it is meant to run: an end is a death
}

// at returns a spawner like s whose processes run on a core, if one is given.
func (s spawner) at(core *int) *spawner {
	s.on = processors(core)
	return &s
}

// processors is a core as those want it who start something there.
func processors(core *int) []int {
	if core == nil {
		return nil
	}
	return []int{*core}
}

// start brings up node and returns when it answers.
func (s *spawner) start(ctx context.Context, name string, node config.Node) (*process, error) {
	p := &process{name: name, s: s, node: node}
	return p, p.up(ctx)
}

// readyWait bounds how long a node may take until it answers: opening a Cassandra session and creating a schema on a cold
// cluster was seen to take 10 s.
const readyWait = 60 * time.Second

func (p *process) up(ctx context.Context) error {
	b, err := p.node.Marshal()
	if err != nil {
		return fmt.Errorf("stage: %s: %w", p.name, err)
	}
	file := filepath.Join(p.s.dir, p.name+".yaml")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return fmt.Errorf("stage: %s: %w", p.name, err)
	}
	log, err := os.OpenFile(filepath.Join(p.s.dir, p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("stage: %s: %w", p.name, err)
	}
	defer log.Close()
	args := append(slices.Clone(p.s.command[1:]), "origin", string(p.node.Role), "--config", file)
	cmd := exec.Command(p.s.command[0], args...)
	cmd.Stderr = log
	// A run is what its scenario says, whatever the environment sets for nodes that somebody runs alone.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ORIGIN_STORM_") })
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's Ctrl-C is ours to pass on, in the right order
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("stage: %s: %w", p.name, err)
	}
	if err := servers.StartOn(cmd, p.s.on...); err != nil {
		return fmt.Errorf("stage: %s: %w", p.name, err)
	}
	renice(cmd.Process.Pid, p.s.nice)
	// One that has ended already, by a bad configuration say, tells why below.
	if err := p.s.reaper.Process(cmd.Process.Pid); err != nil && !errors.Is(err, os.ErrProcessDone) {
		cmd.Process.Kill()
		cmd.Wait()
		return fmt.Errorf("stage: %s: %w", p.name, err)
	}
	p.mu.Lock()
	p.cmd, p.ended, p.wanted = cmd, make(chan struct{}), true
	ended := p.ended
	p.mu.Unlock()

	line := make(chan []byte, 1)
	go func() {
		r := bufio.NewReader(out)
		first, _ := r.ReadBytes('\n')
		line <- first
		io.Copy(io.Discard, r)
		err := cmd.Wait()
		defer close(ended) // after died was told: nobody is told anything once close has returned
		p.mu.Lock()
		unasked := p.wanted && p.cmd == cmd
		p.mu.Unlock()
		if unasked && len(first) > 0 && p.s.died != nil {
			p.s.died(p.name, endedBy(err))
		}
	}()
	timer := time.NewTimer(readyWait)
	defer timer.Stop()
	var first []byte
	select {
	case first = <-line:
	case <-timer.C:
		p.kill()
		return fmt.Errorf("stage: the %s process did not answer within %v; its log ends:\n%s", p.name, readyWait, p.tail())
	case <-ctx.Done():
		p.kill()
		return context.Cause(ctx)
	}
	var ready config.Ready
	if err := json.Unmarshal(first, &ready); err != nil {
		p.kill()
		return fmt.Errorf("stage: the %s process ended before it answered; its log ends:\n%s", p.name, p.tail())
	}
	if p.ready != (config.Ready{}) {
		return nil // a restart: it is back where it was
	}
	p.ready = ready
	p.node.Publish, p.node.Serve, p.node.Operator, p.node.Host.Listen = p.ready.Publish, p.ready.Serve, p.ready.Operator, p.ready.Host
	p.node.Host.Faults = p.ready.Faults
	if p.node.Host.S3 != nil {
		p.node.Host.S3.Listen = p.ready.S3
	}
	return nil
}

func endedBy(err error) error {
	if err == nil {
		return errors.New("it ended by itself")
	}
	return err
}

// kill is kill -9; it returns when the process is gone.
func (p *process) kill() { p.end(syscall.SIGKILL, 0) }

// close asks the process to stop, and makes it after patience.
func (p *process) close(patience time.Duration) { p.end(syscall.SIGTERM, patience) }

func (p *process) end(sig syscall.Signal, patience time.Duration) {
	p.mu.Lock()
	cmd, ended := p.cmd, p.ended
	p.wanted = false
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	cmd.Process.Signal(syscall.SIGCONT) // a stopped process takes no other signal but KILL
	cmd.Process.Signal(sig)
	if patience > 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-ended:
			return
		case <-timer.C:
			cmd.Process.Kill()
		}
	}
	<-ended
}

// running reports whether the process is meant to run.
func (p *process) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wanted
}

// signal sends sig without expecting an end.
// pid is the number of the running process, which is its group's, too; ok is false if none runs, or p is nil.
func (p *process) pid() (pid int, ok bool) {
	if p == nil {
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.wanted || p.cmd == nil || p.cmd.Process == nil {
		return 0, false
	}
	return p.cmd.Process.Pid, true
}

func (p *process) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Signal(sig)
}

// tail returns the end of the process's log.
func (p *process) tail() string {
	b, _ := os.ReadFile(filepath.Join(p.s.dir, p.name+".log"))
	return string(b[max(0, len(b)-2000):])
}

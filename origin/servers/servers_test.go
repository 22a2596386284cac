package servers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"origin-storm/origin/servers"
	"origin-storm/origin/servers/serverstest"
)

var real = serverstest.Servers{Config: servers.Config{Memcached: 2}}

func TestMain(m *testing.M) { real.Main(m) }

// await polls until is holds, for twenty seconds.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); !is(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("20 s passed without that %s", what)
		}
	}
}

// answers reports whether a memcached at addr answers within a second.
func answers(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprint(conn, "version\r\n")
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && strings.HasPrefix(line, "VERSION ")
}

// hurt does to a server everything that can be done to it.
func hurt(t *testing.T, s *servers.Server) {
	t.Helper()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s = %v", what, err)
		}
	}
	want := func(when string, alive, answering bool) {
		t.Helper()
		if s.Alive() != alive || answers(s.Addr) != answering {
			t.Fatalf("%s: Alive() = %v and the server answers: %v; want %v, %v", when, s.Alive(), answers(s.Addr), alive, answering)
		}
	}
	want("at first", true, true)
	must("Stop()", s.Stop())
	want("stopped", true, false)
	must("Continue()", s.Continue())
	want("continued", true, true)
	must("Kill()", s.Kill())
	want("killed", false, false)
	must("Kill() again", s.Kill())
	addr := s.Addr
	must("Restart()", s.Restart(t.Context()))
	want("restarted", true, true)
	if s.Addr != addr {
		t.Errorf("after Restart the server is at %s, want %s as before", s.Addr, addr)
	}
	must("Stop()", s.Stop())
	must("Kill() of a stopped server", s.Kill())
	want("killed while stopped", false, false)
	must("Restart()", s.Restart(t.Context()))
	want("restarted again", true, true)
	must("Restart() of a running server", s.Restart(t.Context()))
	want("restarted while it ran", true, true)
}

func TestNative(t *testing.T) {
	c := real.Up(t)
	if c.Mode != servers.Native || len(c.Memcached) != 2 || len(c.Cassandra) != 0 {
		t.Fatalf("Up() = mode %s, %d zones, %d nodes; want native, 2, 0", c.Mode, len(c.Memcached), len(c.Cassandra))
	}
	if got := c.Versions(); len(got) != 1 || !strings.HasPrefix(got[0], "memcached 1.") || !strings.HasSuffix(got[0], " x2") {
		t.Errorf("Versions() = %q, want one like memcached 1.6.18 x2", got)
	}
	for _, s := range c.Memcached {
		if host, _, err := net.SplitHostPort(s.Addr); err != nil || !net.ParseIP(host).IsLoopback() {
			t.Errorf("%s is at %s, want loopback", s.Name, s.Addr)
		}
	}
	pid := pidOf(t, c.Memcached[0].Addr)
	if group, err := syscall.Getpgid(pid); err != nil || group != pid {
		t.Errorf("memcached %d is in the process group %d, %v: a terminal's Ctrl-C would end it before the run", pid, group, err)
	}
	hurt(t, c.Memcached[0])
	if !answers(c.Memcached[1].Addr) {
		t.Error("the other zone does not answer any more")
	}
}

// up brings up servers of the test's own.
func up(t *testing.T, cfg servers.Config) *servers.Cluster {
	t.Helper()
	real.Up(t) // says so if memcached is missing
	cfg.Mode, cfg.Reaper = servers.Native, serverstest.Reaper(t)
	c, err := servers.Up(t.Context(), cfg)
	if err != nil {
		t.Fatalf("Up() = %v", err)
	}
	return c
}

func TestDeathIsReportedOnceAndOnlyUnasked(t *testing.T) {
	deaths := make(chan string, 10)
	c := up(t, servers.Config{Memcached: 2, OnDeath: func(s *servers.Server, err error) { deaths <- s.Name + ": " + err.Error() }})
	defer c.Close()
	if err := c.Memcached[0].Kill(); err != nil {
		t.Fatal(err)
	}
	pid := pidOf(t, c.Memcached[1].Addr)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-deaths:
		if !strings.Contains(got, "memcached-2") || !strings.Contains(got, "unasked") {
			t.Errorf("the death reported is %q, want that of memcached-2", got)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("20 s passed without a report of a server's death")
	}
	if err := c.Memcached[1].Restart(t.Context()); err != nil {
		t.Errorf("Restart() of a server that died = %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
	select {
	case got := <-deaths:
		t.Errorf("a death was reported that was asked for: %q", got)
	default:
	}
	if err := c.Memcached[0].Restart(t.Context()); err == nil {
		t.Error("Restart() after Close() = nil, want an error: nobody would end the server")
	}
}

// pidOf finds the memcached that listens at addr by its command line.
func pidOf(t *testing.T, addr string) int {
	t.Helper()
	_, port, _ := net.SplitHostPort(addr)
	out, err := exec.Command("ps", "-eo", "pid=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "memcached") && strings.Contains(line, "-p "+port+" ") {
			var pid int
			if _, err := fmt.Sscan(line, &pid); err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("no memcached found that listens at %s", addr)
	return 0
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestCloseLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	c := up(t, servers.Config{Memcached: 3, Dir: dir})
	if n := entries(t, dir); len(n) != 1 {
		t.Errorf("while servers run their directory holds %v, want one entry", n)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatalf("Close() = %v", err)
		}
	}
	if n := entries(t, dir); len(n) != 0 {
		t.Errorf("Close() left %v", n)
	}
	for _, s := range c.Memcached {
		if s.Alive() || answers(s.Addr) {
			t.Errorf("%s runs after Close()", s.Name)
		}
	}
}

func TestFailureLeavesNothing(t *testing.T) {
	real.Up(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cfg := servers.Config{
		Mode: servers.Native, Memcached: 16, Dir: dir, Reaper: serverstest.Reaper(t),
		Progress: func(string) { cancel() }, // as soon as the first one answers
	}
	_, err := servers.Up(ctx, cfg)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Up() under a context that ends = %v, want %v", err, context.Canceled)
	}
	if n := entries(t, dir); len(n) != 0 {
		t.Errorf("a failed Up() left %v", n)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  servers.Config
		want string
	}{
		{"mode", servers.Config{Mode: "podman"}, `"podman"`},
		{"two nodes", servers.Config{Cassandra: 2}, "2 Cassandra nodes"},
		{"zones", servers.Config{Memcached: -1}, "-1 memcached zones"},
		{"memory", servers.Config{MemcachedMB: -1}, "negative memory"},
		{"no reaper", servers.Config{Mode: servers.Native, Memcached: 1}, "Reaper"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := servers.Up(t.Context(), c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Up(%+v) = %v, want an error about %q", c.cfg, err, c.want)
			}
		})
	}
	c, err := servers.Up(t.Context(), servers.Config{})
	if err != nil || c.Mode != servers.Embedded || len(c.Versions()) != 0 {
		t.Errorf("Up of nothing = %+v, %v, want mode embedded", c, err)
	}
}

// Roles that the test binary plays for TestOwnerDies and TestAuto, because an owner has to die and an environment is read once.
const roleVariable = "ORIGIN_STORM_TEST_ROLE"

// play runs this binary in a role; what it prints is the answer, after which it waits until its input ends.
func play(t *testing.T, role string, env ...string) (cmd *exec.Cmd, answer []byte) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(self, "-test.run=^TestRole$")
	cmd.Env = append(append(os.Environ(), roleVariable+"="+role), env...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a group of its own, as a shell gives it
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	answer, err = bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("role %s: %v (%s)", role, err, answer)
	}
	return cmd, answer
}

// owned is what a TestOwnerDies owner has.
type owned struct {
	Reaper  int
	Servers []string // addresses
	Child   int
	Dir     string
}

// TestRole is the other side of play, and no test of its own.
func TestRole(t *testing.T) {
	role, arg, _ := strings.Cut(os.Getenv(roleVariable), " ")
	var answer any
	switch role {
	case "":
		return
	case "auto":
		c, err := servers.Up(t.Context(), servers.Config{Mode: servers.Auto, Memcached: 1, Cassandra: 1, Reaper: serverstest.Reaper(t)})
		if err != nil {
			t.Fatal(err)
		}
		answer = []string{string(c.Mode), c.Why}
	case "owner":
		reaper := serverstest.Reaper(t)
		c, err := servers.Up(t.Context(), servers.Config{Mode: servers.Mode(arg), Memcached: 2, Reaper: reaper})
		if err != nil {
			t.Fatal(err)
		}
		dir, err := os.MkdirTemp("", "origin-storm-owner-")
		if err != nil {
			t.Fatal(err)
		}
		child := exec.Command("sh", "-c", "sleep 1000 & wait")
		child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "data"), nil, 0o600), child.Start()); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(reaper.Dir(dir), reaper.Process(child.Process.Pid)); err != nil {
			t.Fatal(err)
		}
		o := owned{Reaper: reaper.PID(), Dir: dir, Child: child.Process.Pid}
		for _, s := range c.Memcached {
			o.Servers = append(o.Servers, s.Addr)
		}
		answer = o
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		t.Fatal(err)
	}
	bufio.NewReader(os.Stdin).ReadByte() // until the other side closes it
	os.Exit(0)
}

// However the program that owns servers, processes and directories dies, nothing of them is left.
func TestOwnerDies(t *testing.T) {
	real.Up(t)
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		group  bool // as a terminal's Ctrl-C reaches every process of the group
	}{
		{"kill -9", syscall.SIGKILL, false},
		{"Ctrl-C", syscall.SIGINT, true},
		{"kill -9 of its group", syscall.SIGKILL, true},
		{"hang-up", syscall.SIGHUP, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if signal.Ignored(c.signal) {
				t.Skipf("nobody dies of %v here: it is ignored, as nohup has it", c.signal)
			}
			ownerDies(t, "native", c.signal, c.group)
		})
	}
}

func ownerDies(t *testing.T, mode string, signal syscall.Signal, group bool) {
	t.Helper()
	cmd, answer := play(t, "owner "+mode)
	var o owned
	if err := json.Unmarshal(answer, &o); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	for _, addr := range o.Servers {
		if !answers(addr) {
			t.Fatalf("the owner's server at %s does not answer while its owner lives", addr)
		}
	}
	target := cmd.Process.Pid
	if group {
		target = -target
	}
	if err := syscall.Kill(target, signal); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	await(t, "servers ended", func() bool { return !slices.ContainsFunc(o.Servers, answers) })
	await(t, "the owner's child and grandchild ended", func() bool { return syscall.Kill(-o.Child, 0) != nil })
	await(t, "the owner's directory was removed", func() bool { _, err := os.Stat(o.Dir); return errors.Is(err, os.ErrNotExist) })
	await(t, "the reaper ended", func() bool { return !runs(o.Reaper) })
}

// runs reports whether a process runs that is not our child.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// Without programs and engine, auto ends up embedded and says why.
func TestAuto(t *testing.T) {
	_, answer := play(t, "auto", "DOCKER_HOST=unix:///nowhere/docker.sock", "PATH=/nowhere", "JAVA_HOME=", "ORIGIN_STORM_CACHE="+t.TempDir())
	var got []string
	if err := json.Unmarshal(answer, &got); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	if got[0] != "embedded" {
		t.Errorf("mode auto is %s, want embedded", got[0])
	}
	for _, want := range []string{"container engine", "memcached", "mvn", "apt-get install"} {
		if !strings.Contains(got[1], want) {
			t.Errorf("mode auto says why: %q, want it to name %s", got[1], want)
		}
	}
}

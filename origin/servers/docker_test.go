package servers_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/servers"
	"origin-storm/origin/servers/serverstest"
)

// engine sees to a container engine: the one that answers, or, for root, one of the test's own, which ends with it. The variable
// DOCKER_HOST leads to it.
func engine(t *testing.T) {
	t.Helper()
	if exec.Command("docker", "version").Run() == nil {
		return
	}
	bin, err := exec.LookPath("dockerd")
	if err == nil && os.Getuid() != 0 {
		err = errors.New("no container engine answers, and only root can start one: start Docker")
	}
	if err != nil {
		kvtest.Need(t, "a container engine", fmt.Errorf("%w (Debian: apt-get install docker.io iptables)", err))
	}
	// Not t.TempDir: what is mounted in there must be unmounted first, and the socket's path must be short.
	dir, err := os.MkdirTemp("", "origin-storm-docker-")
	if err != nil {
		t.Fatal(err)
	}
	reaper := serverstest.Reaper(t)
	if err := reaper.Dir(dir); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	socket := "unix://" + filepath.Join(dir, "sock")
	cmd := exec.Command(bin, "-H", socket, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := reaper.Process(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // it unmounts what it has mounted
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
	})
	t.Setenv("DOCKER_HOST", socket)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); exec.Command("docker", "version").Run() != nil; {
		select {
		case <-tick.C:
			continue
		case <-ended:
		case <-deadline:
		}
		text, _ := os.ReadFile(log.Name())
		kvtest.Need(t, "a container engine", fmt.Errorf("dockerd, started for the test, does not answer: %s", text[max(0, len(text)-1000):]))
	}
}

// image sees to an image of memcached: one that is there, or one that deploy/images/build makes, or else what a registry has.
func image(t *testing.T) {
	t.Helper()
	for _, name := range []string{"memcached:1.6", servers.LocalImages().Memcached} {
		if exec.Command("docker", "image", "inspect", name).Run() == nil {
			return
		}
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil || os.Getuid() != 0 {
		return
	}
	build := exec.Command("../../deploy/images/build", "memcached")
	if out, err := build.CombinedOutput(); err != nil {
		t.Logf("deploy/images/build memcached: %v\n%s", err, out)
	}
}

// containers lists what this package's servers are called in the engine.
func containers(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("docker", "ps", "-aq", "--filter", "name=origin-storm-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

func TestDocker(t *testing.T) {
	engine(t)
	image(t)
	deaths := make(chan string, 10)
	cfg := servers.Config{
		Mode: servers.Docker, Memcached: 2, Reaper: serverstest.Reaper(t),
		OnDeath: func(s *servers.Server, err error) { deaths <- s.Name },
	}
	before := len(containers(t))
	c, err := servers.Up(t.Context(), cfg)
	if errors.Is(err, servers.ErrMissing) {
		kvtest.Need(t, "a container image of memcached", err)
	}
	if err != nil {
		t.Fatalf("Up() = %v", err)
	}
	defer c.Close()
	if got := c.Versions(); len(got) != 1 || !strings.HasPrefix(got[0], "memcached 1.") {
		t.Errorf("Versions() = %q, want one of memcached", got)
	}
	hurt(t, c.Memcached[0])

	out, err := exec.Command("docker", "ps", "-q", "--filter", "name=memcached-2").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("docker", "kill", strings.TrimSpace(string(out))).Run(); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-deaths:
		if got != "memcached-2" {
			t.Errorf("the death of %s was reported, want memcached-2's", got)
		}
	case <-time.After(20 * time.Second):
		t.Error("20 s passed without a report of a container's death")
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
	if after := len(containers(t)); after != before {
		t.Errorf("after Close() the engine has %d containers, before Up() %d", after, before)
	}

	t.Run("the owner dies", func(t *testing.T) {
		ownerDies(t, "docker", syscall.SIGKILL, false)
		if after := len(containers(t)); after != before {
			t.Errorf("the owner's death left %d containers", after-before)
		}
	})

	t.Run("no such image", func(t *testing.T) {
		cfg := cfg
		cfg.Images.Memcached = "127.0.0.1:1/nowhere/memcached:0"
		_, err := servers.Up(t.Context(), cfg)
		if !errors.Is(err, servers.ErrMissing) || !strings.Contains(err.Error(), cfg.Images.Memcached) || !strings.Contains(err.Error(), "deploy/images/build") {
			t.Errorf("Up() with an image that nobody has = %v, want ErrMissing, the image and how to make it", err)
		}
	})
}

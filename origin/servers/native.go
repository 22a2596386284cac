package servers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// attempts is how often a start is tried anew with other ports when another program took one of them in between.
const attempts = 5

// upNative brings up what cfg asks for as processes of this machine.
func (c *Cluster) upNative(ctx context.Context, cfg Config) error {
	if cfg.Cassandra == 0 && cfg.Memcached == 0 && cfg.Edge == "" {
		return nil
	}
	dir, err := os.MkdirTemp(cfg.Dir, "origin-storm-servers-")
	if err != nil {
		return fmt.Errorf("servers: directory for data: %w", err)
	}
	if err := cfg.Reaper.Dir(dir); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	c.defers(func() error { return os.RemoveAll(dir) })
	end := c.open()

	start, ctx := errgroup.WithContext(ctx)
	for i := range cfg.Memcached {
		s := c.server(fmt.Sprintf("memcached-%d", i+1), cfg, end)
		c.Memcached = append(c.Memcached, s)
		start.Go(func() error { return s.upMemcached(ctx, cfg, dir) })
	}
	if cfg.Cassandra > 0 {
		for i := range cfg.Cassandra {
			c.Cassandra = append(c.Cassandra, c.server(fmt.Sprintf("cassandra-%d", i+1), cfg, end))
		}
		start.Go(func() error { return upCassandra(ctx, cfg, dir, c.Cassandra) })
	}
	if cfg.Edge != "" {
		c.Edge = c.server(cfg.Edge, cfg, end)
		start.Go(func() error { return c.Edge.upEdge(ctx, cfg, dir) })
	}
	return start.Wait()
}

// nativeReady reports why servers cannot be brought up as processes, or nil.
func nativeReady(cfg Config) error {
	var errs []error
	if cfg.Memcached > 0 {
		if _, err := exec.LookPath("memcached"); err != nil {
			errs = append(errs, errMemcached)
		}
	}
	if cfg.Cassandra > 0 {
		_, err := java()
		errs = append(errs, err, jarsReady())
	}
	return errors.Join(errs...)
}

var errMemcached = fmt.Errorf("servers: no memcached on the PATH: install it (Debian: apt-get install memcached): %w", ErrMissing)

// process is a runner.
type process struct {
	argv   []string
	log    string // the file that its output is appended to
	reaper *Reaper
	nice   int
	pid    int   // of the last start
	on     []int // processors; empty: all that this process may use
}

var _ runner = (*process)(nil)

func (p *process) start(context.Context) (<-chan struct{}, error) {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Dir = filepath.Dir(p.log)
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own, so that a terminal's Ctrl-C ends the run in its order and not the servers first.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := StartOn(cmd, p.on...); err != nil {
		return nil, err
	}
	// The group, since threads have nice values of their own. Where this is not permitted the server runs as its parent does.
	_ = syscall.Setpriority(syscall.PRIO_PGRP, cmd.Process.Pid, p.nice)
	ended := make(chan struct{})
	err = p.reaper.Process(cmd.Process.Pid)
	if err != nil {
		cmd.Process.Kill()
	}
	go func() { // ends with the process, which Close waits for
		cmd.Wait()
		close(ended)
	}()
	if err != nil && !errors.Is(err, os.ErrProcessDone) { // one that has ended already tells its reason in its log
		<-ended
		return nil, err
	}
	p.pid = cmd.Process.Pid
	return ended, nil
}

func (p *process) group() int { return p.pid }

func (p *process) pin(processors []int) error {
	p.on = processors
	if len(processors) == 0 {
		var err error
		if processors, err = Processors(); err != nil {
			return err
		}
	}
	if err := pin(p.pid, processors); !errors.Is(err, os.ErrNotExist) { // one that has ended gets them when it is started again
		return err
	}
	return nil
}

// kill ends the group: nginx and Varnish answer from child processes.
func (p *process) kill() error   { return syscall.Kill(-p.pid, syscall.SIGKILL) }
func (p *process) resume() error { return syscall.Kill(p.pid, syscall.SIGCONT) }

// stop returns when every thread stands still; one that runs on another processor goes on for a moment after the signal was sent.
func (p *process) stop() error {
	if err := syscall.Kill(p.pid, syscall.SIGSTOP); err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(engineTimeout); !p.stands(); {
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("process %d still runs %v after SIGSTOP", p.pid, engineTimeout)
		}
	}
	return nil
}

// stands reports whether no thread runs, as far as the system tells (proc_pid_stat(5)).
func (p *process) stands() bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.pid))
	for _, file := range threads {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		_, state, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
		if state != "" && !strings.ContainsRune("TtZX", rune(state[0])) {
			return false
		}
	}
	return true
}

// discard does nothing: the data goes with the cluster's directory.
func (p *process) discard() error { return nil }

func (p *process) tail() string {
	f, err := os.Open(p.log)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		f.Seek(max(0, info.Size()-tailSize), io.SeekStart)
	}
	text, _ := io.ReadAll(io.LimitReader(f, tailSize))
	return lastLines(text)
}

// tailSize bounds what is quoted of a server's log, in bytes.
const tailSize = 3000

// lastLines cuts text to its last tailSize bytes, at the start of a line.
func lastLines(text []byte) string {
	if len(text) >= tailSize {
		text = text[len(text)-tailSize:]
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			text = text[i+1:]
		}
	}
	return strings.TrimSpace(string(text))
}

// upMemcached starts one memcached, with other ports as long as the chosen one turns out to be taken.
func (s *Server) upMemcached(ctx context.Context, cfg Config, dir string) error {
	bin, err := exec.LookPath("memcached")
	if err != nil {
		return errMemcached
	}
	var port int
	for range attempts {
		if port, err = freePort("127.0.0.1"); err != nil {
			return err
		}
		s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		argv := append([]string{bin}, memcachedArgs("127.0.0.1", port, cfg.MemcachedMB)...)
		if os.Getuid() == 0 {
			argv = append(argv, "-u", "root") // it refuses to run as root unless told to
		}
		s.run = &process{argv: argv, log: filepath.Join(dir, s.Name+".log"), reaper: cfg.Reaper, nice: cfg.Nice}
		s.answer = func(ctx context.Context) (string, error) { return memcachedVersion(ctx, s.Addr) }
		if err = s.up(ctx, 10*time.Second); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err == nil {
		cfg.Progress(s.Name + " answers at " + s.Addr)
	}
	return err
}

// memcachedArgs are memcached's arguments: TCP only, items of up to 8 MiB (the default of 1 MiB counts key and header), two
// threads, since a zone shares the machine with everything else.
func memcachedArgs(listen string, port, mb int) []string {
	return []string{"-U", "0", "-l", listen, "-p", strconv.Itoa(port), "-m", strconv.Itoa(mb), "-I", "8m", "-t", "2"}
}

// memcachedVersion asks a memcached for its version: "version\r\n" is answered by "VERSION 1.6.18\r\n".
func memcachedVersion(ctx context.Context, addr string) (string, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, "version\r\n"); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(io.LimitReader(conn, 200)).ReadString('\n')
	if err != nil {
		return "", err
	}
	version, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION ")
	if !ok {
		return "", fmt.Errorf("%s is no memcached: it answers %q", addr, line)
	}
	return version, nil
}

// freePort returns a port on which nothing listens at any of the hosts. It lies below the range that systems commonly give to outgoing
// connections (Linux: 32768 and up), so that only another server can take it before it is used.
func freePort(hosts ...string) (int, error) {
	var last error
	for range 200 {
		port := 10_000 + rand.IntN(20_000)
		if last = tryPort(hosts, port); last == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("servers: no free port found on %s: %w", strings.Join(hosts, ", "), last)
}

func tryPort(hosts []string, port int) error {
	for _, host := range hosts {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return err
		}
		defer l.Close()
	}
	return nil
}

// server returns a Server of the cluster that was not started yet.
func (c *Cluster) server(name string, cfg Config, life context.Context) *Server {
	return &Server{Name: name, death: cfg.OnDeath, life: life, watch: &c.watch}
}

// open returns a context that ends when Close begins; Close then kills every server.
func (c *Cluster) open() context.Context {
	life, end := context.WithCancel(context.Background())
	c.defers(func() error {
		end()
		var wg sync.WaitGroup
		var errs []error
		var mu sync.Mutex
		all := slices.Concat(c.Cassandra, c.Memcached)
		if c.Edge != nil {
			all = append(all, c.Edge)
		}
		for _, s := range all {
			wg.Go(func() {
				err := s.discard()
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	})
	return life
}

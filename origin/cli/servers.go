package cli

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
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"origin-storm/origin/servers"
)

func serversCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "servers",
		Short: "bring up, take down or show real servers: Cassandra and memcached",
		Long: `Brings up real servers on loopback, by Docker or as native processes, and keeps them until they are taken down. A run with
--servers brings up its own; these are for trying the origin by hand.`,
	}
	var mode string
	cfg := servers.Config{}
	shape := func(c *cobra.Command) {
		c.Flags().StringVar(&mode, "mode", string(servers.Auto), "auto, docker or native")
		c.Flags().IntVar(&cfg.Cassandra, "cassandra", 1, "Cassandra nodes: 0, 1 or 3")
		c.Flags().IntVar(&cfg.Memcached, "memcached", 1, "memcached zones")
	}
	up := &cobra.Command{
		Use: "up", Short: "bring servers up and print their addresses", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg.Mode = servers.Mode(mode)
			if err := cfg.Check(); err != nil {
				return usage{err}
			}
			if cfg.Mode == servers.Embedded || cfg.Cassandra+cfg.Memcached == 0 {
				return usage{errors.New("servers: there would be nothing to bring up: ask for Cassandra or memcached, by docker or native")}
			}
			return serversUp(c, "--mode", mode, fmt.Sprint("--cassandra=", cfg.Cassandra), fmt.Sprint("--memcached=", cfg.Memcached))
		},
	}
	shape(up)
	hold := &cobra.Command{
		Use: "hold", Hidden: true, Args: cobra.NoArgs, // the process behind `up`
		RunE: func(c *cobra.Command, _ []string) error {
			cfg.Mode = servers.Mode(mode)
			return hold(c.Context(), cfg, c.OutOrStdout())
		},
	}
	shape(hold)
	c.AddCommand(up, hold, edgeCommand(),
		&cobra.Command{Use: "down", Short: "take down what up brought up", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return serversDown(c) }},
		&cobra.Command{Use: "status", Short: "show what is up", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				s, err := readHeld()
				if err != nil {
					return err
				}
				s.print(c.OutOrStdout())
				return nil
			}})
	return c
}

// edgeCommand prints an edge's configuration.
func edgeCommand() *cobra.Command {
	var edge servers.EdgeConfig
	c := &cobra.Command{
		Use: "edge nginx|varnish", Short: "print the configuration of an edge cache in front of serve nodes", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := servers.EdgeFile(args[0], edge)
			if err != nil {
				return usage{err}
			}
			_, err = c.OutOrStdout().Write(text)
			return err
		},
	}
	c.Flags().StringSliceVar(&edge.Origins, "origin", []string{"127.0.0.1:8080"}, "address (host:port) of a serve node; may be repeated")
	c.Flags().StringVar(&edge.Listen, "listen", "127.0.0.1:8181", "address on which the edge listens")
	c.Flags().IntVar(&edge.MB, "keep", 256, "MiB that nginx may keep on disk; Varnish is told on its command line (-s malloc,256M)")
	return c
}

// held is what the process behind `servers up` says of itself, in a file that the other commands read.
type held struct {
	PID       int      `json:"pid"`
	Mode      string   `json:"mode"`
	Versions  []string `json:"versions"`
	Cassandra []string `json:"cassandra,omitempty"`
	Memcached []string `json:"memcached,omitempty"`
}

func (h held) print(w io.Writer) {
	fmt.Fprintf(w, "%s (%s), held by process %d\n", strings.Join(h.Versions, ", "), h.Mode, h.PID)
	for _, a := range h.Cassandra {
		fmt.Fprintln(w, "cassandra", a)
	}
	for _, a := range h.Memcached {
		fmt.Fprintln(w, "memcached", a)
	}
}

// heldFile is locked by the holder for as long as it lives, which is how the others know that it does.
func heldFile() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("servers: where to note what is up: %w", err)
	}
	dir = filepath.Join(dir, "origin-storm")
	return filepath.Join(dir, "servers.json"), os.MkdirAll(dir, 0o700)
}

var errNothingUp error = usage{errors.New("servers: nothing is up; bring servers up with: origin-storm servers up")}

func readHeld() (held, error) {
	file, err := heldFile()
	if err != nil {
		return held{}, err
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return held{}, errNothingUp
	}
	if err != nil {
		return held{}, fmt.Errorf("servers: %w", err)
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return held{}, errNothingUp // its holder is gone
	}
	var h held
	if err := json.NewDecoder(f).Decode(&h); err != nil {
		return held{}, errors.New("servers: servers are being brought up or taken down; try again in a moment")
	}
	return h, nil
}

// serversUp starts the holder and waits for its word.
func serversUp(c *cobra.Command, args ...string) error {
	if h, err := readHeld(); err == nil {
		return fmt.Errorf("servers: already up (process %d); take them down first with: origin-storm servers down", h.PID)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("servers: %w", err)
	}
	cmd := exec.Command(self, append([]string{"servers", "hold"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives this terminal
	// A file, not a pipe: one whose other end had gone with this process would end the holder at the first word it says.
	file, err := heldFile()
	if err != nil {
		return err
	}
	log, err := os.Create(strings.TrimSuffix(file, ".json") + ".log")
	if err != nil {
		return fmt.Errorf("servers: %w", err)
	}
	defer log.Close()
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("servers: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("servers: %w", err)
	}
	fmt.Fprintln(c.ErrOrStderr(), "bringing servers up; Cassandra takes about 20 s, longer the first time")
	stop := context.AfterFunc(c.Context(), func() { cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var h held
	if err != nil || json.Unmarshal(line, &h) != nil {
		cmd.Wait()
		complaint, err := os.ReadFile(log.Name())
		if err != nil {
			return fmt.Errorf("servers: they did not come up: %w", err)
		}
		return errors.New(strings.TrimPrefix(strings.TrimSpace(string(complaint)), "origin-storm: "))
	}
	h.print(c.OutOrStdout())
	return cmd.Process.Release()
}

// hold brings servers up, says so, and keeps them until ctx ends.
func hold(ctx context.Context, cfg servers.Config, out io.Writer) error {
	file, err := heldFile()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("servers: %w", err)
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return errors.New("servers: another process is bringing servers up or holding them")
	}
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("servers: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("servers: %w", err)
	}
	if cfg.Reaper, err = servers.StartReaper(exec.Command(self, servers.ReaperCommand)); err != nil {
		return err
	}
	defer cfg.Reaper.Close()
	cluster, err := servers.Up(ctx, cfg)
	if err != nil {
		return err
	}
	h := held{PID: os.Getpid(), Mode: string(cluster.Mode), Versions: cluster.Versions()}
	for _, s := range cluster.Cassandra {
		h.Cassandra = append(h.Cassandra, s.Addr)
	}
	for _, s := range cluster.Memcached {
		h.Memcached = append(h.Memcached, s.Addr)
	}
	b, err := json.Marshal(h)
	if err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err == nil {
		_, err = out.Write(append(b, '\n'))
	}
	if err == nil && cluster.Mode == servers.Embedded {
		err = fmt.Errorf("servers: neither Docker nor native servers can be had: %s", cluster.Why)
	}
	if err != nil {
		return errors.Join(err, cluster.Close())
	}
	<-ctx.Done()
	return errors.Join(cluster.Close(), os.Remove(file))
}

func serversDown(c *cobra.Command) error {
	h, err := readHeld()
	if err != nil {
		return err
	}
	if err := syscall.Kill(h.PID, syscall.SIGTERM); err != nil {
		return fmt.Errorf("servers: stop process %d: %w", h.PID, err)
	}
	ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := readHeld(); errors.Is(err, errNothingUp) {
			fmt.Fprintln(c.OutOrStdout(), "down")
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("servers: process %d has not ended within 30 s", h.PID)
		}
	}
}

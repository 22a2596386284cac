// Package cli holds the commands that run the origin alone: `origin`, one process of it from flags, environment or a file,
// and `servers`, the real servers that it can store in. It is the one place that wires drivers to stores; storms are package
// storm/cli's business.
package cli

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"origin-storm/origin/config"
	"origin-storm/origin/servers"
)

// Commands returns the commands of this package.
func Commands() []*cobra.Command {
	return []*cobra.Command{originCommand(), serversCommand(), reaperCommand()}
}

// reaperCommand is what a run starts to clean up after it, however it ends.
func reaperCommand() *cobra.Command {
	return &cobra.Command{
		Use: servers.ReaperCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return servers.Reap(os.Stdin) },
	}
}

func originCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "origin",
		Short: "run the live origin alone: publish, serve, store or all",
		Long: `Runs one process of the live origin until it is told to stop (SIGTERM, Ctrl-C), and finishes what is in flight then.

It is set up by flags, environment variables and a file (--config): a flag wins over the environment, that over the file, and
that over the default. --print-config shows what they amount to. Once it answers it prints one line of JSON that says where.

  origin-storm origin all --event demo --renditions v1080,v720 --publish 127.0.0.1:8081 --serve 127.0.0.1:8080
  n=$(($(date +%s)/2-1))   # the segment of 2 s that has just ended
  curl -T seg.m4s http://127.0.0.1:8081/demo/a/v1080/$n.m4s
  curl -O http://127.0.0.1:8080/demo/v1080/$n.m4s

A segment can be read from when its predecessor is due, however early it was published; before that the answer is 404.`,
	}
	for role, short := range map[config.Role]string{
		config.Publish: "take segments from packagers",
		config.Serve:   "answer the CDN",
		config.Store:   "host embedded stores for publish and serve processes (needs --config)",
		config.All:     "publish and serve in one process, for trying things out",
	} {
		c.AddCommand(roleCommand(role, short))
	}
	c.AddCommand(secretCommand(), checkCommand())
	return c
}

func roleCommand(role config.Role, short string) *cobra.Command {
	var file string
	var show bool
	c := &cobra.Command{
		Use: string(role), Short: short, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			n, err := resolve(c.Flags(), cmp.Or(file, os.Getenv("ORIGIN_STORM_CONFIG")), role)
			if err != nil {
				return usage{err}
			}
			if show {
				b, err := n.Redacted().Marshal()
				if err == nil {
					_, err = c.OutOrStdout().Write(b)
				}
				return err
			}
			return run(c.Context(), n, c.OutOrStdout(), newLog(c.ErrOrStderr(), n.Log))
		},
	}
	c.Flags().SortFlags = false
	c.Flags().StringVar(&file, "config", "", "file with the node's configuration (YAML) [ORIGIN_STORM_CONFIG]")
	c.Flags().BoolVar(&show, "print-config", false, "print the configuration that flags, environment and file amount to, without secrets, and end")
	register(c.Flags(), role)
	return c
}

// newLog returns the log that cfg, which is valid, describes.
func newLog(w io.Writer, cfg config.Log) *slog.Logger {
	var options slog.HandlerOptions
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(cmp.Or(cfg.Level, "info"))); err == nil {
		options.Level = level
	}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, &options))
	}
	return slog.New(slog.NewTextHandler(w, &options))
}

// secretCommand makes a secret, so that nobody has to think of one.
func secretCommand() *cobra.Command {
	return &cobra.Command{
		Use: "secret", Short: "make a secret for a packager and the hash that a node's configuration knows it by", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			secret := rand.Text()
			_, err := fmt.Fprintf(c.OutOrStdout(), "secret: %s\nhash: %s%x\n", secret, config.SecretSHA256, sha256.Sum256([]byte(secret)))
			return err
		},
	}
}

// usage is an error in how a command was called; the program exits with 2.
type usage struct{ error }

func (usage) ExitCode() int   { return 2 }
func (u usage) Unwrap() error { return u.error }

// Command origin-storm rehearses live-video events: it holds a live origin and the storm that tries it. Run it without
// arguments for its commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	origincli "origin-storm/origin/cli"
	stormcli "origin-storm/storm/cli"
	"origin-storm/storm/verdict"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(signals, syscall.SIGHUP) // a terminal that is closed ends a run as Ctrl-C does
	}
	go func() {
		if <-signals == os.Interrupt { // to whoever pressed Ctrl-C: a service manager's log has no use for it
			fmt.Fprintln(os.Stderr, "\nstopping: what is in flight finishes; once more aborts")
		}
		cancel()
		<-signals
		os.Exit(int(verdict.Interrupted)) // what was started is stopped by its reaper
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program: arguments in, exit code out.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           "origin-storm",
		Short:         "rehearse a live-video event: a live origin, and the storm that tries it",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.Version = version()
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetHelpCommand(helpCommand(root))
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &verdict.Error{Err: fmt.Errorf("%w; see %s --help", flagError(err), c.CommandPath()), Code: verdict.Usage}
	})
	root.AddCommand(origincli.Commands()...)
	root.AddCommand(stormcli.Commands()...)
	called, rest, err := root.Find(args)
	if err == nil && !called.Runnable() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		err = fmt.Errorf("unknown command %q for %q", rest[0], called.CommandPath()) // where cobra prints the help, as of a success
	} else {
		called, err = root.ExecuteContextC(ctx)
	}
	if err == nil {
		return 0
	}
	if miscalled(err) {
		err = &verdict.Error{Err: fmt.Errorf("%w; see %s --help", err, called.CommandPath()), Code: verdict.Usage}
	}
	if told, ok := errors.AsType[*verdict.Error](err); !ok || !told.Said {
		fmt.Fprintln(stderr, "origin-storm:", strings.TrimSpace(err.Error()))
	}
	return exitCode(ctx, err)
}

// flagError says what kind of value a flag takes where the flag's own error is the parser's.
func flagError(err error) error {
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	want, ok := map[string]string{
		"int": "a whole number", "intSlice": "whole numbers with commas between them", "uint64": "a whole number from 0", "float64": "a number such as 0.1",
		"bool": "true or false", "duration": "a duration such as 2s or 250ms",
	}[invalid.GetFlag().Value.Type()]
	if !ok {
		return err
	}
	return fmt.Errorf("--%s %s: want %s", invalid.GetFlag().Name, invalid.GetValue(), want)
}

// helpCommand is cobra's, but that a topic which does not exist is a wrong call.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [command]", Short: "explain a command or a topic",
		RunE: func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return &verdict.Error{Err: fmt.Errorf("there is no help on %q; see %s --help", strings.Join(args, " "), root.Name()), Code: verdict.Usage}
			}
			c.InitDefaultHelpFlag()
			return c.Help()
		},
	}
}

// version is the module's version and, of a build inside its repository, the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "of an unknown version"
	}
	text := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			text += " " + s.Value
		}
	}
	return text + " " + info.GoVersion
}

// exitCode is what a command that failed exits with.
func exitCode(ctx context.Context, err error) int {
	var coded interface{ ExitCode() int }
	var child *exec.ExitError // it has an exit code, too: that of a process of ours, which is no verdict
	switch {
	case !errors.As(err, &child) && errors.As(err, &coded):
		return coded.ExitCode()
	case ctx.Err() != nil:
		return int(verdict.Interrupted)
	}
	return int(verdict.Internal)
}

// miscalled reports whether err is that of a command that does not exist, or of too few or too many arguments: cobra has no type
// for these.
func miscalled(err error) bool {
	return strings.HasPrefix(err.Error(), "unknown command") || strings.Contains(err.Error(), "arg(s)")
}

// Package cli holds the commands that storm an origin: run, simulate, calibrate, capacity, gate, compare, report, scenarios,
// and help on exit codes. It turns flags into calls and results into text; the work is done in the packages it calls.
package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"origin-storm/scenarios"
	"origin-storm/storm/verdict"
)

// Commands returns the commands of this package.
func Commands() []*cobra.Command {
	return []*cobra.Command{runCommand(), simulateCommand(), capacityCommand(), calibrateCommand(), compareCommand(), gateCommand(), trialsCommand(), driveCommand(), nullCommand(), reportCommand(), scenariosCommand(), exitCodes()}
}

// exitCodes is a help topic: a command that does nothing but explain.
func exitCodes() *cobra.Command {
	long := "The exit code says how a run ended; of several that apply, the first of this list.\n"
	for _, c := range verdict.Codes {
		long += fmt.Sprintf("\n  %3d  %s", int(c), c)
	}
	return &cobra.Command{Use: "exit-codes", Short: "what the exit codes mean", Long: long}
}

// runFolder is where what is carried out now goes if nobody says. Milliseconds, so that what is begun together (in a script, in CI)
// does not meet in one folder.
func runFolder(name string) string {
	return filepath.Join("runs", time.Now().Format("20060102-150405.000")+"-"+name)
}

// writeJSON writes v for programs, indented since people look at it, too.
func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// refuseEmpty refuses flags that were given without a value, as an unset variable of a script gives them: what is the default where a flag
// is left out was hardly meant.
func refuseEmpty(c *cobra.Command, names ...string) error {
	for _, name := range names {
		if f := c.Flags().Lookup(name); f != nil && f.Changed && f.Value.String() == "" {
			return usagef("--%s is empty: say which, or leave it out", name)
		}
	}
	return nil
}

func usagef(format string, a ...any) error {
	return &verdict.Error{Err: fmt.Errorf(format, a...), Code: verdict.Usage}
}

// loading gives an error of loading a scenario its exit code.
func loading(err error) error {
	var invalid *scenarios.Error
	if errors.As(err, &invalid) {
		return &verdict.Error{Err: err, Code: verdict.InvalidScenario}
	}
	return &verdict.Error{Err: err, Code: verdict.Usage}
}

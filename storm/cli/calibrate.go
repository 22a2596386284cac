package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"origin-storm/storm/calibrate"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
	"origin-storm/storm/sim/profiles"
	"origin-storm/storm/verdict"
)

func calibrateCommand() *cobra.Command {
	var heldOut []string
	var out, name, about string
	var rounds int
	var asJSON bool
	c := &cobra.Command{
		Use:   "calibrate RUN…",
		Short: "fit what the simulator's parts cost to measured runs",
		Long: `Fits a profile for simulate, capacity and sweeps to run folders of live runs: what a request takes of a processor, how long operations of
stores and caches take, and what is left. Runs with different edges and sizes tell these apart; three runs are a good start. Their scenarios should
ask for some segments that do not exist (readers.behaviour.missing), which shows what serving takes without a store.

The table says how far the simulation is off, on the runs it was fitted on and on those held out, which are not looked at in the fit.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := refuseEmpty(c, "out", "name"); err != nil {
				return err
			}
			if _, err := os.Lstat(out); err == nil {
				return usagef("--out %s: %w; a profile is never written over: name a new file, or move that one away", out, fs.ErrExist)
			}
			cfg := calibrate.Config{Name: name, About: about, Rounds: rounds, Progress: func(text string) { fmt.Fprintln(c.ErrOrStderr(), text) }}
			var err error
			if cfg.Runs, err = openRuns(args); err != nil {
				return err
			}
			if cfg.HeldOut, err = openRuns(heldOut); err != nil {
				return err
			}
			file, err := os.CreateTemp(filepath.Dir(out), ".profile-") // before the fit, which takes long
			if err != nil {
				return usagef("--out: %w", err)
			}
			defer os.Remove(file.Name()) // it is gone once it has its name
			defer file.Close()
			p, warnings, err := calibrate.Fit(c.Context(), cfg)
			for _, w := range warnings {
				fmt.Fprintln(c.ErrOrStderr(), "warning:", w)
			}
			if err != nil {
				return &verdict.Error{Err: err, Code: verdict.Usage}
			}
			text, err := profiles.Marshal(p)
			if err != nil {
				return err
			}
			if _, err := file.Write(text); err != nil {
				return fmt.Errorf("cli: profile: %w", err)
			}
			if err := errors.Join(file.Chmod(0o644), file.Close(), os.Rename(file.Name(), out)); err != nil {
				return fmt.Errorf("cli: profile: %w", err)
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), statedErrors(p))
			}
			return errorTable(c.OutOrStdout(), p, out)
		},
	}
	s := c.Flags()
	s.StringSliceVar(&heldOut, "held-out", nil, "run folders on which the error is stated, and which the fit does not look at; may be repeated")
	s.StringVar(&out, "out", "calibrated.yaml", "file to write the profile to")
	s.StringVar(&name, "name", "", "the profile's name (default calibrated)")
	s.StringVar(&about, "about", "", "what the profile describes")
	s.IntVar(&rounds, "rounds", 0, "how often the runs are simulated and the costs corrected (default 8)")
	s.BoolVar(&asJSON, "json", false, "print the errors as JSON instead of the table")
	return c
}

// openRuns opens run folders.
func openRuns(dirs []string) (runs []*record.Run, err error) {
	var errs []error
	for _, dir := range dirs {
		r, err := record.Open(dir)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		runs = append(runs, r)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &verdict.Error{Err: err, Code: verdict.Usage}
	}
	return runs, nil
}

// stated is what calibrate --json prints of a backend.
type stated struct {
	Fitted  []sim.Error `json:"fitted"`
	HeldOut []sim.Error `json:"held_out"`
}

// statedErrors returns how far off the simulation is with p, by backend.
func statedErrors(p sim.Profile) map[string]stated {
	all := make(map[string]stated, len(p.Backends))
	for name, b := range p.Backends {
		all[name] = stated{append([]sim.Error{}, b.Fitted...), append([]sim.Error{}, b.HeldOut...)}
	}
	return all
}

// errorTable writes how far off the simulation is with p, which is in file.
func errorTable(w io.Writer, p sim.Profile, file string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var all [2][]sim.Error
	for _, name := range slices.Sorted(maps.Keys(p.Backends)) {
		b := p.Backends[name]
		for i, errs := range [][]sim.Error{b.Fitted, b.HeldOut} {
			all[i] = append(all[i], errs...)
			if len(errs) == 0 {
				continue
			}
			fmt.Fprintf(tw, "%s, %s\n", name, [...]string{"the runs fitted on", "runs held out"}[i])
			fmt.Fprintln(tw, "  "+strings.Join(calibrate.Heads[:], "\t"))
			for _, e := range errs {
				row := calibrate.Row(e)
				fmt.Fprintln(tw, "  "+strings.Join(row[:], "\t"))
			}
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	text := "\non the runs fitted on: " + calibrate.Summary(all[0]) + "\n"
	if len(all[1]) > 0 {
		text += "on runs held out: " + calibrate.Summary(all[1]) + "\n"
	}
	_, err := io.WriteString(w, text+"\nprofile: "+file+"\n")
	return err
}

package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"origin-storm/reports"
	"origin-storm/scenarios"
	"origin-storm/storm/capacity"
	"origin-storm/storm/sim/profiles"
	"origin-storm/storm/stage"
	"origin-storm/storm/verdict"
)

// capacityFlags are the flags of `capacity`.
type capacityFlags struct {
	set          []string
	profile, out string
	seed         uint64
	json         bool
}

func capacityCommand() *cobra.Command {
	var f capacityFlags
	c := &cobra.Command{
		Use:   "capacity SCENARIO",
		Short: "what an event takes: how many nodes, with what headroom, and what breaks first",
		Long: `Finds what the origin of an event takes, out of its audience and by a profile's costs: how many publishing, serving, store and cache nodes by
processors, network, memory and disk; how much headroom they leave; how late writes are while everybody reads, with and without a cache;
what breaks first, and next; what losing a zone, a region, the cache or a pipeline does. Node counts are counted and then simulated, on
short windows of the steady state. It writes a folder with a report and prints the answers.

Every value can be set: "capacity fight-night --set audience.viewers=20M --set deployment.serve.cores=16". Those left out have defaults with a
source each, which the report lists. The same scenario, profile and seed give the same bytes.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			defer debug.SetGCPercent(debug.SetGCPercent(simulationGC))
			return findCapacity(c, f, args[0])
		},
	}
	s := c.Flags()
	s.StringArrayVar(&f.set, "set", nil, "override a value of the scenario, such as audience.fillers=80; may be repeated")
	s.StringVar(&f.profile, "profile", "", "what the origin's parts cost: a profile's file, or the name of one of this program's (default "+profiles.DefaultName+")")
	s.Uint64Var(&f.seed, "seed", 1, "seed of all draws; the same seed gives the same bytes")
	s.BoolVar(&f.json, "json", false, "print the report as JSON instead of its answers")
	s.StringVar(&f.out, "out", "", "folder to write (default runs/<time>-<name>-capacity)")
	return c
}

// findCapacity finds what a scenario takes, writes the folder and says what was found.
func findCapacity(c *cobra.Command, f capacityFlags, name string) error {
	if err := refuseEmpty(c, "profile", "out"); err != nil {
		return err
	}
	s, _, err := scenarios.Load(name, f.set...)
	if err != nil {
		return loading(err)
	}
	p, err := profiles.Load(cmp.Or(f.profile, profiles.DefaultName))
	if err != nil {
		return usagef("--profile: %w", err)
	}
	dir := cmp.Or(f.out, runFolder(s.Name+"-capacity"))
	unfinished, err := besideCapacity(dir) // before anything is simulated: that takes a minute
	if err != nil {
		return err
	}
	defer os.RemoveAll(unfinished) // it is gone once it has its name
	show := newDisplay(c.ErrOrStderr())
	progress := func(done, known int, what string) {
		show.progress(stage.Progress{Now: fmt.Sprintf("%d of %d simulations: %s", done, known, what)})
	}
	began := time.Now()
	r, err := capacity.Find(c.Context(), capacity.Config{Scenario: s, Profile: &p, Seed: f.seed, Command: f.command(name), Progress: progress})
	show.end()
	switch ended := (*verdict.Error)(nil); {
	case errors.Is(err, capacity.ErrScenario):
		return usagef("%w", err)
	case errors.As(err, &ended), err != nil && c.Context().Err() == nil:
		return err
	case err != nil:
		return &verdict.Error{Err: fmt.Errorf("capacity %s was interrupted; nothing was written", name), Code: verdict.Interrupted}
	}
	if err := writeCapacity(unfinished, dir, s, r); err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "found in %v\n", time.Since(began).Round(100*time.Millisecond))
	if f.json {
		return writeJSON(c.OutOrStdout(), r)
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s\nreport: %s\n", reports.CapacityTable(*r), filepath.Join(dir, reports.Page))
	return err
}

// command is what repeats the report.
func (f capacityFlags) command(name string) string {
	parts := []string{"origin-storm", "capacity", quoted(name)}
	for _, set := range f.set {
		parts = append(parts, "--set", quoted(set))
	}
	if f.profile != "" {
		parts = append(parts, "--profile", quoted(f.profile))
	}
	return strings.Join(append(parts, "--seed", fmt.Sprint(f.seed)), " ")
}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	if strings.IndexFunc(word, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=.,:/+%@", r)
	}) < 0 && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// besideCapacity makes a directory beside dir, which must not be there, to write a report into until it is whole.
func besideCapacity(dir string) (unfinished string, err error) {
	if _, err := os.Lstat(dir); err == nil {
		return "", usagef("--out: %s is there already; name another folder", dir)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", usagef("--out: %w", err)
	}
	if unfinished, err = os.MkdirTemp(filepath.Dir(dir), ".capacity-"); err != nil {
		return "", usagef("--out: %w", err)
	}
	return unfinished, nil
}

// capacityFile is the file of a capacity estimate's folder that has all of it.
const capacityFile = "capacity.json"

// reportCapacity draws the report of a capacity estimate again.
func reportCapacity(out io.Writer, dir string) error {
	file := filepath.Join(dir, capacityFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return usagef("%w", err)
	}
	var r capacity.Report
	if err := json.Unmarshal(text, &r); err != nil {
		return usagef("%s: %w", file, err)
	}
	if r.Schema != capacity.Schema {
		return usagef("%s has schema %d, this program reads %d: make it again with %s", file, r.Schema, capacity.Schema, r.Command)
	}
	if err := reports.WriteCapacity(dir, r); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\nreport: %s\n", reports.CapacityTable(r), filepath.Join(dir, reports.Page))
	return err
}

// writeCapacity writes the folder of a report in unfinished and gives it its name.
func writeCapacity(unfinished, dir string, s scenarios.Scenario, r *capacity.Report) error {
	resolved, err := s.Marshal()
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := writeJSON(&text, r); err != nil {
		return fmt.Errorf("capacity.json: %w", err)
	}
	for file, content := range map[string]string{capacityFile: text.String(), "scenario.yaml": string(resolved)} {
		if err := os.WriteFile(filepath.Join(unfinished, file), []byte(content), 0o644); err != nil {
			return err
		}
	}
	if err := reports.WriteCapacity(unfinished, *r); err != nil {
		return err
	}
	if err := os.Chmod(unfinished, 0o755); err != nil {
		return err
	}
	return os.Rename(unfinished, dir)
}

package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"origin-storm/reports"
	"origin-storm/scenarios"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
	"origin-storm/storm/sim/profiles"
	"origin-storm/storm/stage"
	"origin-storm/storm/sweep"
	"origin-storm/storm/verdict"
)

// profileFile is the name of the file in a sweep's folder with the profile that it was simulated with.
const profileFile = "profile.yaml"

// simulateSweep simulates one scenario at many values of one or two fields.
func simulateSweep(c *cobra.Command, f simulateFlags, names []string, profile *sim.Profile) error {
	switch {
	case len(names) > 1:
		return usagef("--sweep takes one scenario at a time")
	case len(f.sweep) == 0:
		return usagef("--resume goes on with a sweep: say which, with the same --sweep as before; %s names it as command", filepath.Join(f.resume, sweep.File))
	case f.resume != "" && f.out != "":
		return usagef("--resume writes into the folder that it goes on with; leave --out away")
	}
	base, err := f.scenario(names[0])
	if err != nil {
		return err
	}
	for _, text := range base.Warnings() {
		fmt.Fprintln(c.ErrOrStderr(), "warning:", text)
	}
	s := sweeping{flags: f, profile: profile}
	s.Config = sweep.Config{
		At: func(set []string) (scenarios.Scenario, error) { return f.scenario(names[0], set...) }, Seed: f.seed, Replications: f.replications,
		Profile: profile, Strict: f.strict, Deployment: func(s scenarios.Scenario) (func(scenarios.Backend) sim.Topology, error) { return deployed(s, profile) },
		Memory: stage.Memory(), Command: f.command(names[0]),
	}
	if c.Flags().Changed("replications") && f.replications == 0 {
		s.Replications = -1 // which is refused; 0 is the default
	}
	for _, text := range f.sweep {
		axis, err := sweep.ParseAxis(text)
		if err != nil {
			return err
		}
		s.Axes = append(s.Axes, axis)
	}
	if err := s.open(base); err != nil {
		return err
	}
	defer s.points.Close() // each line was written when it came
	show, began := newDisplay(c.ErrOrStderr()), time.Now()
	s.Keep = s.keep
	s.Progress = func(p sweep.Progress) { show.progress(stage.Progress{Now: sweepLine(p, time.Since(began))}) }
	res, err := sweep.Run(c.Context(), s.Config)
	show.end()
	if err != nil {
		return err
	}
	dir, err := s.finish(res)
	if err != nil {
		return err
	}
	if f.json {
		err = res.Encode(c.OutOrStdout())
	} else {
		err = saySweep(c.OutOrStdout(), dir, res)
	}
	if err != nil {
		return err
	}
	if code := sweepCode(res); code != verdict.Passed {
		text := res.Sentence
		if code == verdict.Interrupted {
			text += fmt.Sprintf(" Go on with --resume %s.", dir)
			fmt.Fprintf(c.ErrOrStderr(), "go on with: %s --resume %s\n", res.Command, dir)
		}
		return &verdict.Error{Err: errors.New(res.Scenario + ": " + text), Code: code, Said: !f.json}
	}
	return nil
}

// saySweep prints what a sweep found, and where its report is.
func saySweep(out io.Writer, dir string, r *sweep.Result) error {
	_, err := fmt.Fprintf(out, "%s\n\n%s%s\nreport: %s\n", r.Sentence, sweepTable(r), sweepBasis(r), filepath.Join(dir, reports.Page))
	return err
}

// reportSweep draws the report of a sweep again.
func reportSweep(out io.Writer, dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, sweep.File))
	if err != nil {
		return usagef("%w", err)
	}
	var r sweep.Result
	if err := json.Unmarshal(text, &r); err != nil {
		return usagef("%s: %w", filepath.Join(dir, sweep.File), err)
	}
	if r.Schema != sweep.Schema {
		return usagef("%s has schema %d, this program reads %d", filepath.Join(dir, sweep.File), r.Schema, sweep.Schema)
	}
	if err := reports.WriteSweep(dir, r); err != nil {
		return err
	}
	return saySweep(out, dir, &r)
}

// sweepCode is what a sweep exits with. That thresholds do not hold somewhere is what it was to find out, and no failure.
func sweepCode(r *sweep.Result) verdict.Code {
	damaged := func(b sweep.Backend) bool {
		for _, kind := range []string{record.OutcomeLost, record.OutcomeTorn, record.OutcomeWrong, record.OutcomeStale, record.OutcomeCross} {
			if f, ok := b.Figure("segments " + kind); ok && f.Value != nil && *f.Value > 0 {
				return true
			}
		}
		return false
	}
	switch {
	case !r.Complete:
		return verdict.Interrupted
	case slices.ContainsFunc(r.Points, func(p sweep.Point) bool { return slices.ContainsFunc(p.Backends, damaged) }):
		return verdict.Damaged
	}
	return verdict.Passed
}

// sweeping is a sweep with its folder.
type sweeping struct {
	sweep.Config
	flags   simulateFlags
	profile *sim.Profile
	folder  *record.Folder
	points  *os.File // a line for each that is finished
}

// head is what a sweep's folder says before anything was simulated, and what one that goes on must be the same in.
func (s *sweeping) head(base scenarios.Scenario) (scenario, profile []byte, err error) {
	if scenario, err = base.Marshal(); err != nil {
		return nil, nil, fmt.Errorf("simulate: %w", err)
	}
	if profile, err = profiles.Marshal(*s.profile); err != nil {
		return nil, nil, fmt.Errorf("simulate: %w", err)
	}
	return scenario, profile, nil
}

// open makes the folder, or opens the one that the sweep goes on with.
func (s *sweeping) open(base scenarios.Scenario) error {
	scenario, profile, err := s.head(base)
	if err != nil {
		return err
	}
	planned, err := sweep.Planned(s.Config) // it refuses what cannot be simulated, too: before there is a folder
	if err != nil {
		return err
	}
	s.Replications = len(planned.Seeds)
	if s.flags.resume != "" {
		return s.goOn(planned, scenario, profile)
	}
	if s.folder, err = record.Create(cmp.Or(s.flags.out, runFolder(base.Name+"-sweep"))); err != nil {
		return usagef("--out: %w", err)
	}
	if err := errors.Join(s.folder.Scenario(scenario), s.write(profileFile, profile), s.folder.Write(sweep.File, planned.Encode)); err != nil {
		return errors.Join(err, s.folder.Abort())
	}
	dir, err := s.folder.Commit() // at once: whatever becomes of this process, one can go on with it
	if err != nil {
		return err
	}
	if s.folder, err = record.Reopen(dir, sweep.File); err != nil {
		return err
	}
	return s.append()
}

// append opens the file that points are written to as they are finished.
func (s *sweeping) append() (err error) {
	if s.points, err = os.OpenFile(filepath.Join(s.folder.Dir(), sweep.PointsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	return nil
}

// goOn opens a folder of the same sweep, and takes over the points in it.
func (s *sweeping) goOn(planned *sweep.Result, scenario, profile []byte) error {
	dir := s.flags.resume
	refuse := func(format string, a ...any) error {
		return usagef("--resume %s: %w", dir, fmt.Errorf(format, a...))
	}
	read := func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, name)) }
	b, err := read(sweep.File)
	if err != nil {
		return refuse("it is no sweep's folder: %w", err)
	}
	var before sweep.Result
	if err := json.Unmarshal(b, &before); err != nil {
		return refuse("%s: %w", sweep.File, err)
	}
	if text := planned.Differs(before); text != "" {
		return refuse("it is another sweep: %s; start a new one without --resume", text)
	}
	for _, file := range []struct {
		name, what string
		now        []byte
	}{{record.ScenarioFile, "scenario", scenario}, {profileFile, "profile", profile}} {
		then, err := read(file.name)
		if err != nil {
			return refuse("it is no sweep's folder: %w", err)
		}
		if was, is, differs := firstDifference(then, file.now); differs {
			return refuse("it is of another %s: it had %q, and now there is %q; start a new one without --resume", file.what, was, is)
		}
	}
	text, err := read(sweep.PointsFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return refuse("%w", err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1] // the last line may have been cut off
	for n := 1; len(text) > 0; n++ {
		line, rest, _ := bytes.Cut(text, []byte{'\n'})
		var p sweep.Point
		if err := json.Unmarshal(line, &p); err != nil {
			return refuse("%s, line %d: %w", sweep.PointsFile, n, err)
		}
		s.Done, text = append(s.Done, p), rest
	}
	if s.folder, err = record.Reopen(dir, sweep.File); err != nil {
		return refuse("%w", err)
	}
	if err := s.writePoints(s.Done); err != nil { // without what was cut off
		return err
	}
	return s.append()
}

// firstDifference returns the first lines that differ.
func firstDifference(then, now []byte) (was, is string, differs bool) {
	a, b := strings.Split(string(then), "\n"), strings.Split(string(now), "\n")
	for i := range max(len(a), len(b)) {
		was, is = "", ""
		if i < len(a) {
			was = a[i]
		}
		if i < len(b) {
			is = b[i]
		}
		if was != is {
			return strings.TrimSpace(was), strings.TrimSpace(is), true
		}
	}
	return "", "", false
}

func (s *sweeping) write(name string, text []byte) error {
	return s.folder.Write(name, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// keep adds a point to the folder as soon as it is finished.
func (s *sweeping) keep(p sweep.Point) error {
	line, err := json.Marshal(p)
	if err == nil {
		_, err = s.points.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	return nil
}

// writePoints writes points in their order.
func (s *sweeping) writePoints(points []sweep.Point) error {
	return s.folder.Write(sweep.PointsFile, func(w io.Writer) error {
		for _, p := range points {
			line, err := json.Marshal(p)
			if err != nil {
				return err
			}
			if _, err := w.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}

// finish writes what was found, and returns where.
func (s *sweeping) finish(r *sweep.Result) (dir string, err error) {
	return s.folder.Dir(), errors.Join(s.writePoints(r.Points), s.folder.Write(sweep.File, r.Encode), s.folder.Write(sweep.CSVFile, r.WriteCSV),
		reports.WriteSweep(s.folder.Dir(), *r))
}

// sweepLine says how far a sweep is.
func sweepLine(p sweep.Progress, took time.Duration) string {
	left := time.Duration(float64(took) * float64(p.VirtualLeft) / float64(max(p.Virtual, 1)))
	return fmt.Sprintf("%d of %d points (%d of %d replications)  %s  %s, %v left", p.Points, p.OfPoints, p.Replications, p.Of,
		strings.Join(p.Point.Set, " "), times(p.Virtual, took), left.Round(time.Second))
}

// tableFigures are those of a sweep's table.
var tableFigures = [...]struct{ name, head string }{
	{"quiet publish response p99", "quiet p99 ms"}, {"storm publish response p50", "storm p50 ms"}, {"storm publish response p99", "storm p99 ms"},
	{"storm live-edge first-byte p99", "read p99 ms"}, {"storm reads throughput", "Gbit/s"}, {"segments late", "late"}, {"segments missed", "miss"},
}

// sweepTable is a line for each point and backend.
func sweepTable(r *sweep.Result) string {
	rows := [][]string{{"", "backend"}}
	for _, f := range tableFigures {
		rows[0] = append(rows[0], f.head)
	}
	rows[0] = append(rows[0], "thresholds")
	for _, p := range r.Points {
		for i, b := range p.Backends {
			row := []string{strings.Join(p.Set, " "), b.Name}
			if i > 0 {
				row[0] = ""
			}
			for _, f := range tableFigures {
				row = append(row, cell(b, f.name))
			}
			row = append(row, b.Verdict)
			rows = append(rows, row)
		}
	}
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush() // into memory
	return text.String()
}

// cell writes a figure with its interval.
func cell(b sweep.Backend, name string) string {
	f, ok := b.Figure(name)
	switch {
	case !ok || f.Value == nil:
		return "—"
	case f.CI == nil:
		return number(*f.Value)
	}
	return fmt.Sprintf("%s [%s–%s]", number(*f.Value), number(f.CI[0]), number(f.CI[1]))
}

// sweepBasis says what the figures rest on, and how much of them is extrapolated.
func sweepBasis(r *sweep.Result) string {
	all := record.Results{}
	extrapolated := 0
	for _, name := range r.Backends {
		if of, ok := r.Simulation[name]; ok {
			all.Backends = append(all.Backends, record.Backend{Name: name, Simulation: &of})
		}
	}
	for _, p := range r.Points {
		if slices.ContainsFunc(p.Backends, func(b sweep.Backend) bool { return len(b.Extrapolated) > 0 }) {
			extrapolated++
		}
	}
	text := basis(all)
	if extrapolated > 0 {
		text += fmt.Sprintf("extrapolated: %d of %d points lie outside of what the profile was fitted on; %s says in what\n", extrapolated, len(r.Points), sweep.File)
	}
	return text
}

// Command agreement holds the simulator against measurements: it runs the configurations beside it live, fits a profile to those whose names
// begin with fit-, simulates all of them with it, and writes what was measured and what was simulated into docs/accuracy.md. What was
// measured before and lies in the folder of runs is used again. A miss is written down like a hit.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"origin-storm/scenarios"
	"origin-storm/storm/calibrate"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
	"origin-storm/storm/sim/profiles"
	"origin-storm/storm/simulate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "agreement:", err)
		os.Exit(1)
	}
}

// set is configurations that are measured and simulated together; their files are in deploy/agreement under its name.
type set struct {
	name, servers string
	about         string
}

var sets = []set{
	{"modelled", "embedded", "Stores behind a profile that is made up, over real HTTP: what an operation takes is known, all else is not."},
	{"embedded", "embedded", "The stores that need nothing installed: Pebble, cache zones in memory, and an S3 server behind the published profile."},
	{"real", "native", "Cassandra on three nodes and memcached in three zones, on the same machine."},
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("agreement", flag.ContinueOnError)
	dir := flags.String("runs", filepath.Join("runs", "agreement"), "where the run folders are, or come to be; what is there is used again")
	program := flags.String("program", filepath.Join("bin", "origin-storm"), "the program to measure with")
	doc := flags.String("doc", filepath.Join("docs", "accuracy.md"), "the file that gets the tables; empty for none")
	only := flags.String("only", "", "one of the sets alone: modelled, embedded or real; the tables of the others stay as they are")
	measure := flags.Bool("measure", true, "measure what there is no run folder of; otherwise that is left out")
	install := flags.String("install", "", "a profile's file that gets what was fitted to the sets embedded and real, too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	if *only != "" && !slices.ContainsFunc(sets, func(s set) bool { return s.name == *only }) {
		return fmt.Errorf("-only %s: there is no such set; name modelled, embedded or real", *only)
	}
	fitted := map[string]sim.Profile{}
	for _, s := range sets {
		if *only != "" && s.name != *only {
			continue
		}
		t, err := s.compare(ctx, *dir, *program, *measure, out)
		if err != nil {
			return err
		}
		fitted[s.name] = t.profile
		text := t.markdown(s)
		fmt.Fprint(out, "\n", text)
		if *doc == "" {
			continue
		}
		if err := insert(*doc, s.name, text); err != nil {
			return err
		}
	}
	if *install == "" {
		return nil
	}
	return installed(*install, fitted)
}

// table is what came of a set.
type table struct {
	profile     sim.Profile
	saturation  []sim.Error
	environment map[string]string
}

// compare measures the configurations of s, fits, and simulates.
func (s set) compare(ctx context.Context, dir, program string, measure bool, out io.Writer) (t table, err error) {
	files, err := filepath.Glob(filepath.Join("deploy", "agreement", s.name, "*.yaml"))
	if err != nil || len(files) == 0 {
		return t, fmt.Errorf("no configurations in deploy/agreement/%s: start it in the project's directory", s.name)
	}
	cfg := calibrate.Config{Name: s.name, About: s.about, Progress: func(text string) { fmt.Fprintln(out, text) }}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		folder := filepath.Join(dir, s.name, name)
		if _, err := os.Stat(folder); err != nil {
			if !measure {
				fmt.Fprintf(out, "%s/%s: left out, it was not measured\n", s.name, name)
				continue
			}
			fmt.Fprintf(out, "%s/%s: measuring\n", s.name, name)
			if err := live(ctx, program, file, folder, s.servers); err != nil {
				return t, err
			}
		}
		r, err := record.Open(folder)
		if err != nil {
			return t, err
		}
		t.environment = r.Environment
		switch {
		case strings.HasPrefix(name, "fit-"):
			cfg.Runs = append(cfg.Runs, r)
		case !strings.HasPrefix(name, "saturation-"):
			cfg.HeldOut = append(cfg.HeldOut, r)
		}
	}
	var warnings []string
	t.profile, warnings, err = calibrate.Fit(ctx, cfg)
	for _, w := range warnings {
		fmt.Fprintln(out, "warning:", w)
	}
	if err != nil {
		return t, err
	}
	text, err := profiles.Marshal(t.profile)
	if err != nil {
		return t, err
	}
	if err := os.WriteFile(filepath.Join(dir, s.name+".yaml"), text, 0o666); err != nil {
		return t, err
	}
	ends, err := filepath.Glob(filepath.Join(dir, s.name, "saturation-*"))
	if err != nil {
		return t, err
	}
	for _, folder := range ends {
		r, err := record.Open(folder)
		if err != nil {
			return t, err
		}
		errs, err := saturated(ctx, r, t.profile)
		if err != nil {
			return t, fmt.Errorf("%s: %w", folder, err)
		}
		t.saturation = append(t.saturation, errs...)
	}
	return t, nil
}

// live runs a configuration into a run folder. That a threshold was broken is no error: nothing is judged here.
func live(ctx context.Context, program, file, folder, servers string) error {
	cmd := exec.CommandContext(ctx, program, "run", file, "--out", folder, "--servers", servers, "--no-ceiling")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it takes down what it has started
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, there := os.Stat(folder); there != nil {
		return fmt.Errorf("%s: %w\n%s", file, errors.Join(err, there), said.Bytes())
	}
	return nil
}

// saturated compares at which load the bottleneck of a run, whose readers come to be ever more, was used up.
func saturated(ctx context.Context, r *record.Run, p sim.Profile) (all []sim.Error, err error) {
	s, err := scenarios.Parse(filepath.Join(r.Dir, record.ScenarioFile), r.Scenario)
	if err != nil {
		return nil, err
	}
	o, err := simulate.Run(ctx, simulate.Config{Scenario: s, Seed: r.Results.Seed, Profile: &p})
	if err != nil {
		return nil, err
	}
	edges, ok := ending(s, r.Intervals)
	simEdges, also := ending(s, o.Recordings[0].Intervals())
	if !ok || !also {
		return nil, fmt.Errorf("the bottleneck was never used up (measured: %v, simulated: %v)", ok, also)
	}
	return []sim.Error{{Run: strings.TrimSuffix(s.About, "."), Figure: "edges at saturation", Measured: edges, Simulated: simEdges, Unit: "edges"}}, nil
}

// endless is from which median response time on readers wait for a bottleneck that is used up: their backlog is then many times what one
// read takes, and grows.
const endless = 250 // ms

// ending returns how many edges asked when the reads' median passed endless for good; ok is false where that was before all of them, or never.
func ending(s scenarios.Scenario, intervals []record.Interval) (edges float64, ok bool) {
	storm := slices.DeleteFunc(slices.Clone(intervals), func(i record.Interval) bool { return i.Phase != scenarios.StormPhase || i.ReadP50 == nil })
	first := len(storm)
	for first > 0 && *storm[first-1].ReadP50 > endless {
		first--
	}
	if first == 0 || first == len(storm) {
		return 0, false
	}
	// Between two intervals' middles the median is taken to rise evenly.
	a, b := storm[first-1], storm[first]
	x := (endless - *a.ReadP50) / (*b.ReadP50 - *a.ReadP50)
	from, to := storm[0].At, storm[len(storm)-1].At+storm[len(storm)-1].Seconds
	share := s.Readers.Ramp.Share(time.Duration((a.At+a.Seconds/2+x*(b.At-a.At)-from)*float64(time.Second)), time.Duration((to-from)*float64(time.Second)))
	return float64(s.Readers.Edges) * share, true
}

// markdown is what docs/accuracy.md says of s.
func (t table) markdown(s set) string {
	var b strings.Builder
	var all [2][]sim.Error
	names := slices.Sorted(maps.Keys(t.profile.Backends))
	rows := func(title string, errs []sim.Error) {
		if len(errs) == 0 {
			return
		}
		fmt.Fprintf(&b, "| **%s** |%s\n", title, strings.Repeat(" |", len(calibrate.Heads)-1))
		last := ""
		for _, e := range errs {
			row := calibrate.Row(e)
			if row[0] == last {
				row[0] = ""
			} else {
				last = row[0]
			}
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row[:], " | "))
		}
	}
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(calibrate.Heads[:], " | "), strings.Repeat("---|", len(calibrate.Heads)))
	for _, name := range names { // the figures of the runs fitted on are in the profile
		b := t.profile.Backends[name]
		all[0], all[1] = append(all[0], b.HeldOut...), append(all[1], b.Fitted...)
		rows(name+", runs held out", b.HeldOut)
	}
	rows("saturation", t.saturation)
	fmt.Fprintf(&b, "\nHeld out: %s. Fitted on: %s.", calibrate.Summary(all[0]), calibrate.Summary(all[1]))
	if len(t.saturation) > 0 {
		near := 0
		for _, e := range t.saturation {
			if calibrate.Within(e) {
				near++
			}
		}
		fmt.Fprintf(&b, " Saturation: %d of %d figures within 10 %%.", near, len(t.saturation))
	}
	fmt.Fprintf(&b, " Measured on %s (%s).\n", t.profile.Machine, t.profile.Made.Format("2006-01-02"))
	return b.String()
}

// installed puts what was fitted into the profile that the program has built in: the backends that scenarios name without more. Those of a set that
// was left out stay as they are.
func installed(file string, fitted map[string]sim.Profile) error {
	p, err := profiles.Load(file)
	if err != nil {
		return fmt.Errorf("-install: %w", err)
	}
	sources := map[string]string{}
	for _, s := range sets[1:] {
		q, ok := fitted[s.name]
		if !ok {
			continue
		}
		for name, b := range q.Backends {
			p.Backends[name] = b
			sources[name] = q.Source
		}
		p.Machine, p.Program, p.Cores, p.Made = q.Machine, q.Program, q.Cores, q.Made
	}
	var text []string
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		text = append(text, name+": "+sources[name])
	}
	for _, name := range slices.Sorted(maps.Keys(p.Backends)) {
		if sources[name] == "" {
			text = append(text, name+": not fitted, of the order of what short runs show.")
		}
	}
	p.Source = strings.Join(text, "\n")
	p.About = "This program's origin over loopback on a machine with two cores, which driver, origin and stores share. " +
		"Its figures are those of that machine and of nothing else: what a larger one does, or nodes of their own, is extrapolated."
	data, err := profiles.Marshal(p)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}

// insert replaces what stands between the marks of a set in the file.
func insert(file, set, text string) error {
	begins, ends := "<!-- make agreement: "+set+" begins -->\n", "<!-- make agreement: "+set+" ends -->\n"
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(b), begins)
	_, after, closed := strings.Cut(rest, ends)
	if !ok || !closed {
		return fmt.Errorf("%s has no place for the table, between %q and %q", file, strings.TrimSpace(begins), strings.TrimSpace(ends))
	}
	return os.WriteFile(file, []byte(before+begins+text+ends+after), 0o644)
}

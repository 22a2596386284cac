package cli

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"origin-storm/scenarios"
	"origin-storm/storm/capacity"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
	"origin-storm/storm/sim/profiles"
	"origin-storm/storm/simulate"
	"origin-storm/storm/stage"
	"origin-storm/storm/verdict"
)

// simulationGC has the garbage collector run seldom: what a simulation keeps is little, and it throws away as much many times a second.
// With Go's 100, collecting takes a quarter of the time.
const simulationGC = 800

// simulateFlags are the flags of `simulate`.
type simulateFlags struct {
	backends, set []string
	profile, out  string
	seed          uint64
	json, strict  bool
	sweep         []string
	replications  int
	resume        string
	live          map[string]*string // those of run that have no meaning here
}

func simulateCommand() *cobra.Command {
	f := simulateFlags{live: map[string]*string{}}
	c := &cobra.Command{
		Use:   "simulate SCENARIO…",
		Short: "the same in virtual time: what a run would find, by a profile's costs",
		Long: `Simulates scenarios (names from the library, see "scenarios list", or files): the very plan of a live run, carried out in virtual time on a
model of an origin, whose parts cost what a profile says. It writes a run folder with a report for each, and prints a table. All of it says
"simulated", and how far off the profile was found. The same scenario, profile and seed give the same bytes.

Cassandra and memcached are simulated as such; nothing stands in for them. With --sweep it does so at many values of a field of one scenario.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			defer debug.SetGCPercent(debug.SetGCPercent(simulationGC))
			return simulateAll(c, f, args)
		},
	}
	s := c.Flags()
	s.StringSliceVar(&f.backends, "backend", nil, "simulate these backends of the scenario only")
	s.StringVar(&f.profile, "profile", "", "what the origin's parts cost: a profile's file, or the name of one of this program's (default "+profiles.DefaultName+")")
	s.StringArrayVar(&f.set, "set", nil, "override a value of the scenario, such as readers.edges=80; may be repeated")
	s.Uint64Var(&f.seed, "seed", 1, "seed of all draws; the same seed gives the same bytes")
	s.StringVar(&f.out, "out", "", "folder to write (default runs/<time>-<name>)")
	s.BoolVar(&f.json, "json", false, "print the results as JSON instead of the table")
	s.StringArrayVar(&f.sweep, "sweep", nil, "simulate at many values of a field, such as readers.edges=20..400:8 or readers.edges=20,40,80; given twice: at all pairs of two fields'")
	s.IntVar(&f.replications, "replications", 0, "with --sweep: how often, with different seeds, each point is simulated (default: as often as a p99 of writes needs)")
	s.StringVar(&f.resume, "resume", "", "go on with the sweep in this folder, which was interrupted")
	s.BoolVar(&f.strict, "strict", false, "exit with 95 where a threshold holds, but its limit lies in the figure's interval")
	for _, name := range []string{"servers", "target", "cassandra", "memcached", "s3", "drivers", "search"} {
		f.live[name] = s.String(name, "", "")
		_ = s.MarkHidden(name) // it was defined just now
	}
	return c
}

// notHere says why flags of run mean nothing to a simulation.
var notHere = map[string]string{
	"servers":   "the backends are simulated by name, cassandra as well as embedded; choose among them with --backend",
	"target":    "an origin that is running somewhere cannot be simulated; use run --target",
	"cassandra": "no server is asked; what one costs, a profile says that calibrate makes of a run with it",
	"memcached": "no server is asked; what one costs, a profile says that calibrate makes of a run with it",
	"s3":        "no endpoint is asked; what one costs, a profile says that calibrate makes of a run with it",
	"drivers":   "virtual time needs no driver processes",
	"search":    "use --sweep, such as --sweep readers.edges=20..400, which shows where thresholds cease to hold",
}

func simulateAll(c *cobra.Command, f simulateFlags, names []string) error {
	for _, name := range slices.Sorted(maps.Keys(f.live)) {
		if c.Flags().Changed(name) {
			return usagef("--%s is for run: %s", name, notHere[name])
		}
	}
	if err := refuseEmpty(c, "profile", "out", "resume"); err != nil {
		return err
	}
	if f.out != "" && len(names) > 1 {
		return usagef("--out names one run folder; simulate one scenario at a time, or leave it out")
	}
	profile, err := f.load()
	if err != nil {
		return err
	}
	if len(f.sweep) > 0 || f.resume != "" {
		return simulateSweep(c, f, names, profile)
	}
	if c.Flags().Changed("replications") {
		return usagef("--replications goes with --sweep; a single run has one seed, which --seed changes")
	}
	all := make([]scenarios.Scenario, len(names))
	for i, name := range names { // all of them are checked before the first begins
		if all[i], err = f.scenario(name); err != nil {
			return err
		}
	}
	var worst error
	for i, s := range all {
		err := simulateOne(c, f, names[i], s, profile)
		ended, ok := errors.AsType[*verdict.Error](err)
		if err != nil && !ok {
			return err
		}
		if err != nil && (worst == nil || before(ended.Code, worst)) {
			worst = err
		}
		if c.Context().Err() != nil {
			break
		}
	}
	return worst
}

// load reads the profile that --profile names.
func (f simulateFlags) load() (*sim.Profile, error) {
	p, err := profiles.Load(cmp.Or(f.profile, profiles.DefaultName))
	if err != nil {
		return nil, usagef("--profile: %w", err)
	}
	return &p, nil
}

// scenario loads a scenario and checks that it can be simulated here.
func (f simulateFlags) scenario(name string, set ...string) (s scenarios.Scenario, err error) {
	if s, _, err = scenarios.Load(name, slices.Concat(f.set, set)...); err != nil {
		return s, loading(err)
	}
	if len(f.backends) > 0 {
		if s, err = s.Only(f.backends...); err != nil {
			return s, usagef("--backend: %w", err)
		}
	}
	return s, simulate.Check(s)
}

// simulateOne simulates one scenario, draws its report and says what came of it.
func simulateOne(c *cobra.Command, f simulateFlags, name string, s scenarios.Scenario, profile *sim.Profile) error {
	for _, text := range s.Warnings() {
		fmt.Fprintln(c.ErrOrStderr(), "warning:", text)
	}
	atOnce := 2 * runtime.GOMAXPROCS(0) // more than there are processors, so that the last one of them is not alone for long
	if memory := stage.Memory(); memory > 0 {
		if err := simulate.Fits(s, 1, memory); err != nil {
			return err
		}
		atOnce = min(atOnce, int(memory/simulate.Memory(s)))
	}
	folder, err := record.Create(cmp.Or(f.out, runFolder(s.Name)))
	if err != nil {
		return usagef("--out: %w", err)
	}
	defer folder.Abort() // does nothing once the folder is complete
	on, err := deployed(s, profile)
	if err != nil {
		return err
	}
	show, clock := newDisplay(c.ErrOrStderr()), newRate()
	out, err := simulate.Run(c.Context(), simulate.Config{
		Scenario: s, Seed: f.seed, Profile: profile, Deployment: on, Strict: f.strict, AtOnce: atOnce,
		Progress: func(p simulate.Progress) { show.progress(stage.Progress{Now: clock.line(p)}) },
	})
	show.end()
	if err != nil {
		return err
	}
	took := clock.total(c.Context().Err() == nil)
	out.Results.Environment = record.Build(map[string]string{"command": f.command(name), "seed": strconv.FormatUint(f.seed, 10), "profile": profile.Name})
	text, err := s.Marshal()
	if err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	if err := errors.Join(
		folder.Scenario(text), folder.Events(out.Events), folder.Recordings(out.Results.Started, out.Recordings...),
		folder.Environment(out.Results.Environment), folder.Results(&out.Results)); err != nil {
		return err
	}
	if err := draw(folder); err != nil {
		return err
	}
	dir, err := folder.Commit()
	if err != nil {
		return err
	}
	if err := say(c.OutOrStdout(), f.json, dir, out.Results); err != nil {
		return err
	}
	if !f.json {
		fmt.Fprint(c.ErrOrStderr(), took)
	}
	if code := verdict.ExitCode(out.Results); code != verdict.Passed {
		return &verdict.Error{Err: errors.New(out.Results.Scenario + ": " + out.Results.Sentence), Code: code, Said: !f.json}
	}
	return nil
}

// deployed returns what a scenario at an event's scale runs on, with as many nodes as capacity counts where it does not say how many; nil for
// one machine.
func deployed(s scenarios.Scenario, profile *sim.Profile) (func(scenarios.Backend) sim.Topology, error) {
	if s.Audience == nil && s.Deployment == nil {
		return nil, nil
	}
	on, err := capacity.Counted(s, profile)
	if errors.Is(err, capacity.ErrScenario) {
		return nil, usagef("%w", err)
	}
	return on, err
}

// command is what repeats the simulation of the scenario of that name, wherever its folder goes.
func (f simulateFlags) command(name string) string {
	words := []string{"origin-storm", "simulate", name}
	if f.profile != "" {
		words = append(words, "--profile", f.profile)
	}
	for _, b := range f.backends {
		words = append(words, "--backend", b)
	}
	for _, v := range f.set {
		words = append(words, "--set", v)
	}
	for _, v := range f.sweep {
		words = append(words, "--sweep", v)
	}
	if f.replications != 0 {
		words = append(words, "--replications", strconv.Itoa(f.replications))
	}
	if f.strict {
		words = append(words, "--strict")
	}
	words = append(words, "--seed", strconv.FormatUint(f.seed, 10))
	for i, w := range words {
		words[i] = quoted(w)
	}
	return strings.Join(words, " ")
}

// basis says what the figures of simulated backends rest on: what holds for all of them once, anything else with their names.
func basis(r record.Results) string {
	var order []string
	of := map[string][]string{} // which backends a sentence is about
	for _, b := range r.Backends {
		if b.Simulation == nil {
			continue
		}
		for _, text := range b.Simulation.Sentences() {
			if of[text] == nil {
				order = append(order, text)
			}
			of[text] = append(of[text], b.Name)
		}
	}
	var lines strings.Builder
	for _, text := range order {
		if len(of[text]) < len(r.Backends) {
			fmt.Fprintf(&lines, "%s: ", strings.Join(of[text], ", "))
		}
		fmt.Fprintln(&lines, text)
	}
	return lines.String()
}

// rate tells how fast virtual time goes.
type rate struct {
	began     time.Time
	all, done time.Duration // of virtual time
}

func newRate() *rate { return &rate{began: time.Now()} }

// line says how far a simulation is, how much faster than real time, and how long it will take.
func (r *rate) line(p simulate.Progress) string {
	if r.all == 0 {
		r.all = p.At + p.Left // the first backend has just begun
	}
	r.done = r.all - p.Left
	took := time.Since(r.began)
	left := time.Duration(float64(took) * float64(p.Left) / float64(max(r.done, 1)))
	return fmt.Sprintf("%s  %s  %v of %v simulated, %s, %v left in all", p.Backend, p.Phase, p.At, p.Total, times(r.done, took), left.Round(time.Second))
}

// total says what was simulated in the end: all of it, or as far as was told.
func (r *rate) total(whole bool) string {
	if whole {
		r.done = r.all
	}
	took := time.Since(r.began)
	return fmt.Sprintf("simulated %v in %v, %s\n", r.done, took.Round(10*time.Millisecond), times(r.done, took))
}

// times says how much faster than real time something virtual went.
func times(virtual, took time.Duration) string {
	return number(virtual.Seconds()/max(took.Seconds(), 1e-3)) + " × real time"
}

// number writes a figure with two digits or, from 100 on, as a whole number.
func number(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

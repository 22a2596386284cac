package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"origin-storm/origin/config"
	"origin-storm/reports"
	"origin-storm/scenarios"
	"origin-storm/storm/live"
	"origin-storm/storm/record"
	"origin-storm/storm/stage"
	"origin-storm/storm/sweep"
	"origin-storm/storm/verdict"
	"origin-storm/storm/verdict/search"
)

// runFlags are the flags of `run`.
type runFlags struct {
	backends, set []string
	servers, out  string
	images        stage.Images
	seed          uint64
	drivers       int
	json, remote  bool
	noCeiling     bool
	verbose       bool
	search        string
	within        float64
	strict        bool
	at            stage.Addresses

	target                      []string
	publishTo                   []string
	getPath, putPath            string
	user, password, bearer      string
	ca, cert, key               string
	event, pipelines, rendition string
	start                       string
}

func runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run SCENARIO…",
		Short: "run scenarios live: a run folder and a summary table each",
		Long: `Runs scenarios (names from the library, see "scenarios list", or files) in real time against each of their backends in turn,
writes a run folder with a report for each, and prints a table. The exit code is the verdict: see "help exit-codes".

With --target it storms an origin that is already running instead, yours for instance: --target names where readers ask,
--publish-to where packagers send; --get-path and --put-path are templates with {event}, {pipeline}, {rendition}, {number} and
{name} (which is the number with .m4s, or init.mp4).`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return runAll(c, f, args) },
	}
	s := c.Flags()
	f.common(s)
	f.foreign(s)
	s.BoolVar(&f.json, "json", false, "print what "+record.ResultsFile+" holds (with --search: "+search.File+") instead of the table")
	s.BoolVar(&f.strict, "strict", false, "exit with 95 where a threshold holds, but its limit lies in the figure's interval")
	s.StringVar(&f.search, "search", "", "find the highest load at which all thresholds hold, such as readers.edges=20..400; takes one backend")
	s.Float64Var(&f.within, "within", 0.1, "with --search: how close the highest load that holds and the lowest that does not are to be, as a part")
	s.IntVar(&f.drivers, "drivers", 0, "spread the requests over so many driver processes, of two or more the first for the packagers (default: the scenario's)")
	s.StringSliceVar(&f.target, "target", nil, "base URL of a running origin's serving side; may be repeated")
	s.StringSliceVar(&f.publishTo, "publish-to", nil, "base URL of its publishing side (default: that of --target)")
	return c
}

// common are the flags of all that measures.
func (f *runFlags) common(s *pflag.FlagSet) {
	s.StringSliceVar(&f.backends, "backend", nil, "run these backends of the scenario only")
	s.StringVar(&f.servers, "servers", string(stage.Embedded), "where Cassandra and memcached come from: embedded (stand-ins), native, docker or auto")
	s.StringVar(&f.images.Cassandra, "cassandra-image", "", "container image of Cassandra (default cassandra:5.0)")
	s.StringVar(&f.images.Memcached, "memcached-image", "", "container image of memcached (default memcached:1.6)")
	s.StringSliceVar(&f.at.Cassandra, "cassandra", nil, "addresses (host:port) of a Cassandra that is already running")
	s.StringSliceVar(&f.at.Memcached, "memcached", nil, "addresses (host:port) of memcached zones that are already running, nearest first")
	s.StringVar(&f.at.S3, "s3", "", "URL of an S3 endpoint to use; credentials from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	s.StringVar(&f.at.Bucket, "s3-bucket", "origin-storm", "bucket at that endpoint; only keys under this run's own prefix are touched")
	s.StringArrayVar(&f.set, "set", nil, "override a value of the scenario, such as readers.edges=80; may be repeated")
	s.Uint64Var(&f.seed, "seed", 1, "seed of all draws; the same seed gives the same requests")
	s.StringVar(&f.out, "out", "", "folder to write (default runs/<time>-<name>)")
	s.BoolVar(&f.noCeiling, "no-ceiling", false, "do not look first for what the driver can do at most, which takes a second")
	s.BoolVar(&f.remote, "allow-remote", false, "permit targets and stores that are not on loopback")
	s.BoolVar(&f.verbose, "verbose", false, "log more, to stderr")
}

// foreign are the flags that say how an origin that is already running names things and is spoken to.
func (f *runFlags) foreign(s *pflag.FlagSet) {
	s.StringVar(&f.getPath, "get-path", "", "template of the paths that readers ask for (default \"/{event}/{rendition}/{name}\")")
	s.StringVar(&f.putPath, "put-path", "", "template of the paths that packagers send to (default \"/{event}/{pipeline}/{rendition}/{name}\")")
	s.StringVar(&f.user, "user", "", "user for HTTP basic authentication; the password comes from ORIGIN_STORM_PASSWORD")
	s.StringVar(&f.ca, "ca", "", "PEM file of the authorities to trust")
	s.StringVar(&f.cert, "cert", "", "PEM file of the client certificate")
	s.StringVar(&f.key, "key", "", "PEM file of its key")
	s.StringVar(&f.event, "event", "", "with --target: the event's name there (default: the scenario's)")
	s.StringVar(&f.pipelines, "pipelines", "", "with --target: its pipelines' names, such as a,b")
	s.StringVar(&f.rendition, "renditions", "", "with --target: its renditions' names, in the scenario's order")
	s.StringVar(&f.start, "template-start", "", "with --target: instant (RFC 3339) at which segment 0 of its template began (default: the Unix epoch)")
}

func runAll(c *cobra.Command, f runFlags, names []string) error {
	if err := refuseEmpty(c, "out", "search"); err != nil {
		return err
	}
	if f.out != "" && len(names) > 1 {
		return usagef("--out names one run folder; run one scenario at a time, or leave it out")
	}
	f.password, f.bearer = os.Getenv("ORIGIN_STORM_PASSWORD"), os.Getenv("ORIGIN_STORM_BEARER")
	if f.search != "" {
		if len(names) > 1 {
			return usagef("--search takes one scenario at a time")
		}
		return runSearch(c, f, names[0])
	}
	cfgs := make([]stage.Config, len(names))
	for i, name := range names { // all of them are checked before the first begins
		var err error
		if cfgs[i], err = f.config(c, name); err != nil {
			return err
		}
	}
	var worst error
	for _, cfg := range cfgs {
		err := runOne(c, f, cfg)
		var ended *verdict.Error
		if err != nil && !errors.As(err, &ended) {
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

// before reports whether code applies before that of the error other.
func before(code verdict.Code, other error) bool {
	var o *verdict.Error
	errors.As(other, &o)
	return slices.Index(verdict.Codes[:], code) < slices.Index(verdict.Codes[:], o.Code)
}

// config turns flags and a scenario's name into what stage needs.
func (f runFlags) config(c *cobra.Command, name string) (stage.Config, error) {
	set := slices.Clone(f.set)
	if f.drivers < 0 || f.drivers > scenarios.MaxDrivers {
		return stage.Config{}, usagef("--drivers %d: want 1 to %d processes, such as 2", f.drivers, scenarios.MaxDrivers)
	}
	if f.drivers != 0 {
		set = append(set, fmt.Sprint("drivers=", f.drivers))
	}
	s, _, err := scenarios.Load(name, set...)
	if err != nil {
		return stage.Config{}, loading(err)
	}
	asked := s
	mode := stage.Servers(f.servers)
	if !slices.Contains([]stage.Servers{stage.Auto, stage.Docker, stage.Native, stage.Embedded}, mode) {
		return stage.Config{}, usagef("--servers %s: use auto, docker, native or embedded", f.servers)
	}
	if mode == stage.Embedded && len(f.at.Cassandra) == 0 && len(f.target) == 0 {
		if s, err = s.Embedded(); err != nil {
			return stage.Config{}, loading(err)
		}
	}
	if len(f.backends) > 0 {
		if s, err = s.Only(f.backends...); err != nil {
			if _, real := asked.Only(f.backends...); real == nil {
				return stage.Config{}, usagef("--backend: %w: with --servers embedded, %s stands in for %s; or take --servers native or docker",
					err, scenarios.Embedded, scenarios.Cassandra)
			}
			return stage.Config{}, usagef("--backend: %w", err)
		}
	}
	if len(f.target) > 0 { // what runs already is neither pinned nor given an edge
		for i := range s.Backends {
			s.Backends[i].Edge, s.Backends[i].Cores = "", nil
		}
	}
	if err := stage.Check(s); err != nil {
		return stage.Config{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return stage.Config{}, fmt.Errorf("which program is this: %w", err)
	}
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelDebug
	}
	cfg := stage.Config{
		Scenario: s, Seed: f.seed, Servers: mode, Images: f.images, At: f.at, AllowRemote: f.remote, NoCeiling: f.noCeiling, Strict: f.strict,
		Command: []string{self}, CommandLine: "origin-storm " + strings.Join(os.Args[1:], " "),
		Log: slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: level})),
	}
	for _, address := range slices.Concat(f.at.Cassandra, f.at.Memcached, []string{cmp.Or(f.at.S3, "localhost")}, f.target, f.publishTo) {
		if !f.remote && !config.Loopback(address) {
			return cfg, usagef("%s is not on this machine: --allow-remote permits it, if its owner does", address)
		}
	}
	if len(f.target) > 0 {
		if cfg.Target, err = f.running(s); err != nil {
			return cfg, err
		}
	} else if len(f.publishTo)+len(f.getPath)+len(f.putPath) > 0 {
		return cfg, usagef("--publish-to, --get-path and --put-path go with --target")
	}
	return cfg, nil
}

// running describes the origin that --target names.
func (f runFlags) running(s scenarios.Scenario) (*stage.Foreign, error) {
	start := time.Unix(0, 0).UTC()
	if f.start != "" {
		var err error
		if start, err = time.Parse(time.RFC3339Nano, f.start); err != nil {
			return nil, usagef("--template-start: %w", err)
		}
	}
	if early := time.Until(start); early > time.Hour {
		return nil, usagef("--template-start: %s is %v from now; a run waits for its first segment", f.start, early.Round(time.Second))
	}
	for i, fault := range s.Faults {
		if to := fault.To; to.What != scenarios.OfPipeline && to.What != scenarios.OfReaders {
			return nil, usagef("faults[%d]: %v: with --target nothing but the pipelines and readers belongs to the run; leave the fault out with --set faults=[]", i, fault)
		}
	}
	common := live.Target{User: f.user, Password: f.password, Bearer: f.bearer, CA: f.ca, Cert: f.cert, Key: f.key}
	t := &stage.Foreign{Publish: common, Serve: common, Start: start, Event: f.event}
	t.Serve.URLs, t.Serve.Path = f.target, f.getPath
	t.Publish.URLs, t.Publish.Path = f.publishTo, f.putPath
	if len(f.publishTo) == 0 {
		t.Publish.URLs = f.target
	}
	if f.pipelines != "" {
		t.Pipelines = strings.Split(f.pipelines, ",")
		if len(t.Pipelines) != s.Event.Pipelines {
			return nil, usagef("--pipelines names %d; the scenario has %d", len(t.Pipelines), s.Event.Pipelines)
		}
	}
	if f.rendition != "" {
		t.Renditions = strings.Split(f.rendition, ",")
		if len(t.Renditions) != len(s.Event.Renditions) {
			return nil, usagef("--renditions names %d; the scenario has %d", len(t.Renditions), len(s.Event.Renditions))
		}
	}
	for flag, names := range map[string][]string{"--pipelines": t.Pipelines, "--renditions": t.Renditions} {
		for i, name := range names {
			if name == "" || slices.Contains(names[:i], name) {
				return nil, usagef("%s: %q is empty or there twice", flag, name)
			}
		}
	}
	if _, err := live.New(live.Config{Publish: t.Publish, Serve: t.Serve}); err != nil { // it opens no connection
		return nil, usagef("--target: %w", err)
	}
	return t, nil
}

// runOne runs one scenario, draws its report and says what came of it.
func runOne(c *cobra.Command, f runFlags, cfg stage.Config) error {
	for _, text := range cfg.Scenario.Warnings() {
		fmt.Fprintln(c.ErrOrStderr(), "warning:", text)
	}
	show := newDisplay(c.ErrOrStderr())
	cfg.Progress = show.progress
	folder, err := record.Create(cmp.Or(f.out, runFolder(cfg.Scenario.Name)))
	if err != nil {
		return usagef("--out: %w", err)
	}
	defer folder.Abort() // does nothing once the folder is complete
	var dir string
	cfg.Finish = func(record.Results) (err error) {
		if err := draw(folder); err != nil {
			return err
		}
		dir, err = folder.Commit()
		return err
	}
	results, err := stage.Run(c.Context(), cfg, folder)
	show.end()
	if err != nil {
		return err
	}
	if err := say(c.OutOrStdout(), f.json, dir, results); err != nil {
		return err
	}
	if code := verdict.ExitCode(results); code != verdict.Passed {
		return &verdict.Error{Err: errors.New(results.Scenario + ": " + results.Sentence), Code: code, Said: !f.json}
	}
	return nil
}

// draw makes the report of what is in the folder so far.
func draw(folder *record.Folder) error {
	run, err := record.Open(folder.Dir())
	if err != nil {
		return err
	}
	return reports.Write(folder.Dir(), reportOf(run))
}

func reportOf(run *record.Run) reports.Run {
	return reports.Run{Results: run.Results, Intervals: run.Intervals, Copies: run.Copies, Events: run.Events}
}

func say(out io.Writer, asJSON bool, dir string, results record.Results) error {
	if asJSON {
		return writeJSON(out, results)
	}
	_, err := fmt.Fprintf(out, "%s\n\n%s%s\nreport: %s\n", results.Sentence, reports.Table(results), basis(results), filepath.Join(dir, reports.Page))
	return err
}

// driveCommand is one of several driver processes of a run: it reads its part of the work on standard input and writes what
// it recorded on standard output.
func driveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "drive", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return stage.Drive(c.Context(), os.Stdin, c.OutOrStdout())
		},
	}
}

// nullCommand is the target of nothing that the driver's own ceiling is measured against.
func nullCommand() *cobra.Command {
	return &cobra.Command{
		Use: stage.NullCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return stage.Null(os.Stdin, c.OutOrStdout()) },
	}
}

func reportCommand() *cobra.Command {
	return &cobra.Command{
		Use: "report RUN…", Short: "draw the report again from folders of runs, sweeps and capacity estimates", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			for _, dir := range args {
				if _, err := os.Stat(filepath.Join(dir, sweep.File)); err == nil {
					if err := reportSweep(c.OutOrStdout(), dir); err != nil {
						return err
					}
					continue
				}
				if _, err := os.Stat(filepath.Join(dir, capacityFile)); err == nil {
					if err := reportCapacity(c.OutOrStdout(), dir); err != nil {
						return err
					}
					continue
				}
				run, err := record.Open(dir)
				if errors.Is(err, fs.ErrNotExist) { // perhaps a run's process died
					if _, err := stage.Recover(dir); err != nil {
						return usagef("%w; report takes the folder that run, simulate or capacity printed, such as runs/2026-11-23T120000-smoke", err)
					}
					run, err = record.Open(dir)
				}
				if err != nil {
					return usagef("%w", err)
				}
				if err := reports.Write(dir, reportOf(run)); err != nil {
					return err
				}
				if err := say(c.OutOrStdout(), false, dir, run.Results); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

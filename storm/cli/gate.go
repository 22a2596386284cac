package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"origin-storm/reports"
	"origin-storm/scenarios"
	"origin-storm/storm/record"
	"origin-storm/storm/stage"
	"origin-storm/storm/verdict"
	"origin-storm/storm/verdict/gate"
)

// gateFlags are the flags of `gate`.
type gateFlags struct {
	runFlags
	base, head  sideFlags
	baseRef     string
	self        bool
	block       int
	effect      float64
	alpha, beta float64
	looks       []int
}

// sideFlags are the flags that one side has for itself.
type sideFlags struct {
	binary, backend   string
	set               []string
	target, publishTo []string
}

// given reports whether a flag of the side's own was.
func (s sideFlags) given() bool {
	return s.binary+s.backend != "" || len(s.set)+len(s.target)+len(s.publishTo) > 0
}

// gateScenario is what is measured where no scenario is named.
const gateScenario = "gate"

func gateCommand() *cobra.Command {
	var f gateFlags
	c := &cobra.Command{
		Use:   "gate [SCENARIO]",
		Short: "compare base and head in turns on this machine: pass, regress or inconclusive",
		Long: `Says whether head is worse than base. Both are brought up at once, on this machine, and measured in turns of about a second under
the same load (scenario "gate", or another one), until the difference, or that there is none, is beyond doubt.

What differs between the sides is named by flags with --base- or --head- before them; a side for which nothing is named is this
program and the scenario as it is:

  origin-storm gate --base-binary old/origin-storm --head-binary new/origin-storm    two builds
  origin-storm gate --base-ref main                                                  the working tree's program against a git ref's
  origin-storm gate --head-set origin.collapse=true                                  two configurations
  origin-storm gate --base-backend embedded --head-backend s3                        two backends of the scenario
  origin-storm gate --base-target http://127.0.0.1:8080 --head-target http://127.0.0.1:9080   two origins that are running

Exit codes: 0 pass, 96 regress, 95 inconclusive with --strict (0 without), 93 a side lost or spoilt data, 94 nothing may be
concluded. A gate that could not measure is never a pass. --self-test shows whether it can go red here: it must find a
slowdown by a fifth that is made on purpose, and none where none is made.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return gateOnce(c, f, cmp.Or(strings.Join(args, ""), gateScenario))
		},
	}
	s := c.Flags()
	f.common(s)
	f.foreign(s)
	for _, side := range []struct {
		name string
		*sideFlags
	}{{"base", &f.base}, {"head", &f.head}} {
		s.StringVar(&side.binary, side.name+"-binary", "", side.name+": the origin-storm program whose origin is measured (default: this one)")
		s.StringVar(&side.backend, side.name+"-backend", "", side.name+": a backend of the scenario")
		s.StringArrayVar(&side.set, side.name+"-set", nil, side.name+": override a value of the scenario's origin or backends; may be repeated")
		s.StringSliceVar(&side.target, side.name+"-target", nil, side.name+": base URL of a running origin's serving side; may be repeated")
		s.StringSliceVar(&side.publishTo, side.name+"-publish-to", nil, side.name+": base URL of its publishing side (default: that of its target)")
	}
	s.BoolVar(&f.json, "json", false, "print what "+gate.ResultsFile+" holds (the metrics, the decision and its reasons) instead of the table; with --self-test, of both gates")
	s.StringVar(&f.baseRef, "base-ref", "", "base: build the program of this git ref, in a temporary worktree of the repository here")
	s.BoolVar(&f.strict, "strict", false, "an inconclusive gate fails, with exit code 95")
	s.BoolVar(&f.self, "self-test", false, "base against itself, once slowed down by a fifth and once not: can this gate go red, and does it stay green?")
	f.deciding(s)
	return c
}

// deciding are the flags that say how blocks are measured and by what is decided.
func (f *gateFlags) deciding(s *pflag.FlagSet) {
	s.IntVar(&f.block, "block", 0, "length of a block in segments (default: about a second)")
	s.Float64Var(&f.effect, "effect", gate.DefaultEffect, "smallest change for the worse that matters: 0.1 is a factor of 1.1")
	s.Float64Var(&f.alpha, "alpha", gate.DefaultAlpha, "probability with which no change may be called a regression, over all metrics and looks")
	s.Float64Var(&f.beta, "beta", gate.DefaultBeta, "probability with which a metric that is worse by --effect may be cleared")
	s.IntSliceVar(&f.looks, "looks", gate.DefaultLooks(), "numbers of quads (four blocks each) after which it may decide; the last ends it")
}

// gateOnce carries one gate, or a self-test, out.
func gateOnce(c *cobra.Command, f gateFlags, name string) error {
	if f.self {
		if f.base.given() || f.head.given() {
			return usagef("--self-test compares this program with itself; leave --base-… and --head-… out")
		}
		return gateSelfTest(c, f, name)
	}
	if !f.base.given() && !f.head.given() && f.baseRef == "" {
		return usagef("there is nothing to compare: say what base or head is, such as --base-binary PATH, --base-ref main or --head-set PATH=VALUE; see gate --help")
	}
	if f.baseRef != "" {
		if f.base.binary != "" {
			return usagef("--base-ref and --base-binary both say which program base is")
		}
		built, remove, err := buildRef(c.Context(), f.baseRef)
		if err != nil {
			return err
		}
		defer remove()
		f.base.binary = built
	}
	cfg, err := f.gateConfig(c, name)
	if err != nil {
		return err
	}
	dir := cmp.Or(f.out, runFolder("gate"))
	res, err := oneGate(c, cfg, dir)
	if err != nil {
		return err
	}
	if err := sayGate(c, f, dir, res); err != nil {
		return err
	}
	if code := verdict.GateCode(res.Outcome, res.Strict); code != verdict.Passed {
		return &verdict.Error{Err: errors.New("gate: " + res.Sentence), Code: code, Said: !f.json}
	}
	return nil
}

// gateConfig turns flags into what stage needs.
func (f gateFlags) gateConfig(c *cobra.Command, name string) (stage.GateConfig, error) {
	var cfg stage.GateConfig
	f.password, f.bearer = os.Getenv("ORIGIN_STORM_PASSWORD"), os.Getenv("ORIGIN_STORM_BEARER")
	sides := [2]*stage.Side{&cfg.Base, &cfg.Head}
	for i, own := range [2]sideFlags{f.base, f.head} {
		which := gate.Side(i).String()
		common, err := f.side(own).config(c, name)
		if err != nil {
			return cfg, err
		}
		cfg.Config = common
		s := sides[i]
		s.Scenario, s.Target = common.Scenario, common.Target
		if n := len(s.Scenario.Backends); n != 1 && s.Target == nil {
			var names []string
			for _, b := range s.Scenario.Backends {
				names = append(names, b.Name)
			}
			return cfg, usagef("%s has %d backends; name one for each side with --base-backend and --head-backend, or one for both with --backend: %s",
				s.Scenario.Name, n, strings.Join(names, ", "))
		}
		if own.binary != "" {
			path, err := exec.LookPath(own.binary)
			if err == nil {
				path, err = filepath.Abs(path)
			}
			if err != nil {
				return cfg, usagef("--%s-binary: %w", which, err)
			}
			s.Program = []string{path}
		}
		s.Name = f.called(gate.Side(i), own, *s)
	}
	if (cfg.Base.Target == nil) != (cfg.Head.Target == nil) {
		return cfg, usagef("one side is an origin that is running and the other is not: they have different clocks; name --base-target and --head-target, or neither")
	}
	if what := loads(cfg.Base.Scenario, cfg.Head.Scenario); what != "" {
		return cfg, usagef("base and head would not be under the same load: %s differs; --base-set and --head-set may change origin and backends alone", what)
	}
	for flag, v := range map[string]float64{"effect": f.effect, "alpha": f.alpha, "beta": f.beta} {
		if !(v > 0) {
			return cfg, usagef("--%s %v: want a part above 0", flag, v)
		}
	}
	cfg.Rules = gate.Config{Alpha: f.alpha, Beta: f.beta, Looks: f.looks}
	cfg.Block, cfg.Effect = f.block, f.effect
	return cfg, nil
}

// side are the flags that a run of one side would have.
func (f gateFlags) side(own sideFlags) runFlags {
	r := f.runFlags
	r.set = slices.Concat(r.set, own.set)
	if own.backend != "" {
		r.backends = []string{own.backend}
	}
	if len(own.target) > 0 {
		r.target, r.publishTo = own.target, own.publishTo
	}
	return r
}

// called is what people call a side.
func (f gateFlags) called(which gate.Side, own sideFlags, s stage.Side) string {
	var parts []string
	switch {
	case s.Target != nil:
		parts = append(parts, strings.Join(s.Target.Serve.URLs, ", "))
	case which == gate.Base && f.baseRef != "":
		parts = append(parts, "git "+f.baseRef)
	case own.binary != "":
		parts = append(parts, own.binary)
	default:
		parts = append(parts, "this program")
	}
	if own.backend != "" {
		parts = append(parts, own.backend)
	}
	return strings.Join(append(parts, own.set...), ", ")
}

// loads names what of two scenarios makes their loads different; nothing if they are the same.
func loads(base, head scenarios.Scenario) string {
	for _, part := range []struct {
		name       string
		base, head any
	}{
		{"event", base.Event, head.Event}, {"readers", base.Readers, head.Readers}, {"windows", base.Windows, head.Windows},
		{"faults", base.Faults, head.Faults}, {"drivers", base.Drivers, head.Drivers},
	} {
		if !reflect.DeepEqual(part.base, part.head) {
			return part.name
		}
	}
	return ""
}

// oneGate measures into a folder at dir and draws its report.
func oneGate(c *cobra.Command, cfg stage.GateConfig, dir string) (gate.Results, error) {
	show := newDisplay(c.ErrOrStderr())
	defer show.end()
	cfg.Progress = show.progress
	folder, err := record.Create(dir)
	if err != nil {
		return gate.Results{}, usagef("--out: %w", err)
	}
	defer folder.Abort() // does nothing once the folder is complete
	cfg.Draw = func(res gate.Results, quads []gate.Quad) error {
		if err := reports.WriteGate(folder.Dir(), res, quads); err != nil {
			return err
		}
		_, err := folder.Commit()
		return err
	}
	return stage.Gate(c.Context(), cfg, folder)
}

// sayGate tells people, programs and GitHub what came of a gate.
func sayGate(c *cobra.Command, f gateFlags, dir string, res gate.Results) error {
	if err := tellGitHub(c, res); err != nil {
		return err
	}
	out := c.OutOrStdout()
	if f.json {
		return writeJSON(out, res)
	}
	_, err := fmt.Fprintf(out, "%s\n\n%s\nreport: %s\n", res.Sentence, reports.GateTable(res), filepath.Join(dir, reports.Page))
	return err
}

// tellGitHub annotates the change and adds to the job's summary, where a workflow of GitHub Actions is what runs this.
func tellGitHub(c *cobra.Command, res gate.Results) error {
	if os.Getenv("GITHUB_ACTIONS") == "true" {
		// On standard error, of which the runner reads commands, too: standard output may be for a program.
		fmt.Fprint(c.ErrOrStderr(), reports.GateAnnotation(res))
	}
	path := os.Getenv("GITHUB_STEP_SUMMARY")
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("the job's summary, which GITHUB_STEP_SUMMARY names: %w", err)
	}
	_, err = file.WriteString(reports.GateMarkdown(res) + "\n")
	return errors.Join(err, file.Close())
}

// buildRef builds the program of a git ref of the repository around the working directory.
func buildRef(ctx context.Context, ref string) (program string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "origin-storm-base-")
	if err != nil {
		return "", nil, fmt.Errorf("--base-ref: %w", err)
	}
	tree := filepath.Join(dir, "tree")
	remove = func() {
		exec.Command("git", "worktree", "remove", "--force", tree).Run()
		os.RemoveAll(dir)
	}
	program = filepath.Join(dir, "origin-storm")
	for _, step := range []struct {
		in   string
		argv []string
	}{
		{"", []string{"git", "worktree", "add", "--detach", tree, ref}},
		{tree, []string{"go", "build", "-trimpath", "-o", program, "."}},
	} {
		cmd := exec.CommandContext(ctx, step.argv[0], step.argv[1:]...)
		cmd.Dir = step.in
		if out, err := cmd.CombinedOutput(); err != nil {
			remove()
			if ctx.Err() != nil {
				return "", nil, ctx.Err()
			}
			// As a text: the exit code of a child is none of this program's.
			return "", nil, usagef("--base-ref %s: %s: %v\n%s", ref, strings.Join(step.argv[:2], " "), err, strings.TrimSpace(string(out)))
		}
	}
	return program, remove, nil
}

package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"origin-storm/storm/verdict"
	"origin-storm/storm/verdict/gate"
)

// slowdown is what a self-test makes head slower by.
const slowdown = 0.2

// gateSelfTest shows whether the gate finds a slowdown that is made on purpose, and none where none is made.
func gateSelfTest(c *cobra.Command, f gateFlags, name string) error {
	cfg, err := f.gateConfig(c, name)
	if err != nil {
		return err
	}
	cfg.Base.Name, cfg.Head.Name = "this program", "this program"
	out := cmp.Or(f.out, runFolder("gate-self-test"))
	var wrong []string
	for _, trial := range []struct {
		what string
		slow float64
		ok   func(gate.Outcome) bool
		must string
	}{
		{"slowed", slowdown, func(o gate.Outcome) bool { return o == gate.Outcome(gate.Regress) }, "be regress"},
		{"same", 0, func(o gate.Outcome) bool { return o == gate.Outcome(gate.Pass) || o == gate.Outcome(gate.Inconclusive) }, "not be regress"},
	} {
		cfg.Slow = trial.slow
		dir := out + "-" + trial.what
		res, err := oneGate(c, cfg, dir)
		if err != nil {
			return err
		}
		if err := sayGate(c, f, dir, res); err != nil {
			return err
		}
		if res.Outcome == gate.Interrupted {
			return &verdict.Error{Err: errors.New(res.Sentence), Code: verdict.Interrupted, Said: !f.json}
		}
		said := "as it must be"
		if !trial.ok(res.Outcome) {
			said = "but it must " + trial.must
			wrong = append(wrong, fmt.Sprintf("head %s: %s, %s", trial.what, res.Outcome, said))
		}
		fmt.Fprintf(c.ErrOrStderr(), "self-test, head %s: %s, %s\n", trial.what, res.Outcome, said)
	}
	if len(wrong) > 0 {
		return &verdict.Error{Err: fmt.Errorf("self-test failed: this gate cannot be relied on here: %s", strings.Join(wrong, "; ")), Code: verdict.Invalid}
	}
	fmt.Fprintln(c.ErrOrStderr(), "self-test passed: this gate goes red where it has to, and only there")
	return nil
}

// trialsCommand measures the gate itself: how often it goes red on nothing, and on a slowdown: the live trials of
// docs/accuracy.md.
func trialsCommand() *cobra.Command {
	var f gateFlags
	var same, slowed, quads int
	c := &cobra.Command{
		Use: "gate-trials [SCENARIO]", Hidden: true, Args: cobra.MaximumNArgs(1),
		Short: "how often gate goes red: trials of this program against itself, and against itself slowed down by a fifth",
		RunE: func(c *cobra.Command, args []string) error {
			name := cmp.Or(strings.Join(args, ""), gateScenario)
			if quads > 0 {
				return recordBlocks(c, f, name, quads)
			}
			return trials(c, f, name, same, slowed)
		},
	}
	s := c.Flags()
	f.common(s)
	f.deciding(s)
	s.IntVar(&same, "same", 10, "trials with nothing changed")
	s.IntVar(&slowed, "slowed", 10, "trials with head slowed down by a fifth")
	s.IntVar(&quads, "record", 0, "record so many quads with nothing changed instead, deciding nothing")
	return c
}

// trials carries gates of a thing against itself out, in turns with and without a slowdown, and prints what they said: a line of JSON
// for each, and a table.
func trials(c *cobra.Command, f gateFlags, name string, same, slowed int) error {
	cfg, err := f.gateConfig(c, name)
	if err != nil {
		return err
	}
	cfg.Base.Name, cfg.Head.Name = "this program", "this program"
	out := cmp.Or(f.out, runFolder("gate-trials"))
	type kind struct {
		name string
		n    int
		slow float64
	}
	kinds := []kind{{"same", same, 0}, {"slowed", slowed, slowdown}}
	said := map[string]map[gate.Outcome]int{}
	longest := map[string]float64{}
	for i := range max(same, slowed) {
		for _, k := range kinds {
			if i >= k.n {
				continue
			}
			cfg.Slow, cfg.Seed = k.slow, f.seed+uint64(i)
			dir := filepath.Join(out, fmt.Sprintf("%s-%02d", k.name, i+1))
			res, err := oneGate(c, cfg, dir)
			if err != nil {
				return err
			}
			if said[k.name] == nil {
				said[k.name] = map[gate.Outcome]int{}
			}
			said[k.name][res.Outcome]++
			longest[k.name] = max(longest[k.name], res.Seconds)
			line := struct {
				Trial    string       `json:"trial"`
				N        int          `json:"n"`
				Seed     uint64       `json:"seed"`
				Outcome  gate.Outcome `json:"outcome"`
				Seconds  float64      `json:"seconds"`
				Quads    int          `json:"quads"`
				Sentence string       `json:"sentence"`
			}{k.name, i + 1, cfg.Seed, res.Outcome, res.Seconds, res.Quads, res.Sentence}
			if err := json.NewEncoder(c.OutOrStdout()).Encode(line); err != nil {
				return err
			}
			if res.Outcome == gate.Interrupted {
				return &verdict.Error{Err: errors.New(res.Sentence), Code: verdict.Interrupted}
			}
		}
	}
	fmt.Fprintf(c.OutOrStdout(), "\n%-8s %6s %6s %8s %13s %6s %10s\n", "head", "trials", "pass", "regress", "inconclusive", "other", "longest s")
	for _, k := range kinds {
		o := said[k.name]
		pass, red, open := o[gate.Outcome(gate.Pass)], o[gate.Outcome(gate.Regress)], o[gate.Outcome(gate.Inconclusive)]
		fmt.Fprintf(c.OutOrStdout(), "%-8s %6d %6d %8d %13d %6d %10.1f\n", k.name, k.n, pass, red, open, k.n-pass-red-open, longest[k.name])
	}
	return nil
}

// recordBlocks records blocks of a thing against itself, for resampling.
func recordBlocks(c *cobra.Command, f gateFlags, name string, quads int) error {
	cfg, err := f.gateConfig(c, name)
	if err != nil {
		return err
	}
	cfg.Base.Name, cfg.Head.Name, cfg.Record = "this program", "this program", quads
	dir := cmp.Or(f.out, runFolder("gate-record"))
	res, err := oneGate(c, cfg, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s %s\n", res.Sentence, filepath.Join(dir, gate.BlocksFile))
	if code := verdict.GateCode(res.Outcome, false); code != verdict.Passed {
		return &verdict.Error{Err: errors.New(res.Sentence), Code: code, Said: true}
	}
	return nil
}

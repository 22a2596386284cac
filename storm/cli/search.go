package cli

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"origin-storm/reports"
	"origin-storm/scenarios"
	"origin-storm/storm/record"
	"origin-storm/storm/stage"
	"origin-storm/storm/verdict"
	"origin-storm/storm/verdict/search"
)

// parseSearch reads --search: a path, and the range of its values, such as readers.edges=20..400 or
// event.renditions.total=10..80Mbit/s.
func parseSearch(text string, within float64) (c stage.SearchConfig, err error) {
	path, values, ok := strings.Cut(text, "=")
	from, to, dots := strings.Cut(values, "..")
	c.Path = path
	if !ok || !dots || path == "" {
		return c, usagef("--search %s: want path=FROM..TO, such as readers.edges=20..400", text)
	}
	var unit string
	digits := 0
	for _, v := range []struct {
		text string
		to   *float64
	}{{from, &c.From}, {to, &c.To}} {
		end := strings.IndexFunc(v.text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		if end < 0 {
			end = len(v.text)
		}
		if *v.to, err = strconv.ParseFloat(v.text[:end], 64); err != nil {
			return c, usagef("--search %s: %q is not a number", text, v.text)
		}
		if u := v.text[end:]; u != "" && unit != "" && u != unit {
			return c, usagef("--search %s: both values have to be in one unit, not in %s and %s", text, unit, u)
		} else {
			unit = cmp.Or(u, unit)
		}
		if _, fraction, ok := strings.Cut(v.text[:end], "."); ok {
			digits = max(digits, len(fraction))
		}
	}
	if !(within > 0) {
		return c, usagef("--within %v: want a part above 0, such as 0.1", within)
	}
	c.Unit, c.Within = unit, within
	c.Grain = 1 / math.Pow10(digits) // as finely as it was asked for
	if _, err := search.New(c.Config); err != nil {
		return c, usagef("--search %s: %w", text, err)
	}
	return c, nil
}

// runSearch looks for the highest load at which a scenario's thresholds hold.
func runSearch(c *cobra.Command, f runFlags, name string) error {
	sc, err := parseSearch(f.search, f.within)
	if err != nil {
		return err
	}
	// A load that this machine cannot carry ends the search there; any other error has nothing to do with the load.
	at := func(load float64) (stage.Config, error) {
		g := f
		g.set = append(slices.Clone(f.set), search.Format(sc.Path, load, sc.Unit))
		return g.config(c, name)
	}
	cfg, err := at(sc.From)
	if err != nil {
		return err
	}
	switch s := cfg.Scenario; {
	case len(s.Backends) != 1:
		var names []string
		for _, b := range s.Backends {
			names = append(names, b.Name)
		}
		return usagef("--search is of one backend; name one with --backend: %s", strings.Join(names, ", "))
	case len(s.Thresholds) == 0:
		return usagef("--search looks for the load at which thresholds still hold, and %s has none: give it some with --set thresholds=[...]", s.Name)
	}
	sc.At = func(load float64) (scenarios.Scenario, error) {
		cfg, err := at(load)
		return cfg.Scenario, err
	}
	show := newDisplay(c.ErrOrStderr())
	cfg.Progress = show.progress
	out := cmp.Or(f.out, runFolder(cfg.Scenario.Name+"-search"))
	folder, err := record.Create(out)
	if err != nil {
		return usagef("--out: %w", err)
	}
	defer folder.Abort() // does nothing once the folder is complete
	sc.Draw = draw
	var dir string
	sc.Finish = func(r search.Results) (err error) {
		if err := reports.WriteSearch(folder.Dir(), r); err != nil {
			return err
		}
		dir, err = folder.Commit()
		return err
	}
	r, err := stage.Search(c.Context(), cfg, sc, folder)
	show.end()
	if err != nil {
		return err
	}
	if f.json {
		err = r.Encode(c.OutOrStdout())
	} else {
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n%sreport: %s\n", r.Sentence, evidence(r), filepath.Join(dir, reports.Page))
	}
	if err != nil {
		return err
	}
	code := verdict.Passed
	switch {
	case slices.ContainsFunc(r.Points, func(p search.Point) bool { return p.Damaged }):
		code = verdict.Damaged
	case !r.Complete:
		code = verdict.Interrupted
	case r.Highest == 0 && r.Limit == search.Untold:
		code = verdict.Invalid
	case r.Highest == 0:
		code = verdict.Failed
	}
	if code != verdict.Passed {
		return &verdict.Error{Err: errors.New(r.Scenario + ": " + r.Sentence), Code: code, Said: !f.json}
	}
	return nil
}

func evidence(r search.Results) string {
	if r.Evidence == "" {
		return ""
	}
	return r.Evidence + "\n"
}

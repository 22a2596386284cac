package reports

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"origin-storm/storm/record"
	"origin-storm/storm/sweep"
)

// WriteSweep draws the report of a sweep into the folder dir, which must exist: report.html, report.md, plots/*.svg and *.png. Files of
// these names are replaced, each at once; all are drawn before the first is written.
func WriteSweep(dir string, r sweep.Result) error {
	figs := sweepFigures(r)
	files, err := sweepFiles(r, figs)
	if err != nil {
		return fmt.Errorf("reports: %w", err)
	}
	return place(dir, files, figs)
}

// sweepFiles makes every file of the report that is text.
func sweepFiles(r sweep.Result, figs []figure) ([]file, error) {
	p := newSweepPage(r)
	return drawn(figs, map[string]func(*bytes.Buffer, []drawing) error{
		Page: func(w *bytes.Buffer, all []drawing) error {
			return writePage(w, sweepSource, all, func(plates []plate) any {
				return struct {
					sweepPage
					Plates []plate
				}{p, plates}
			})
		},
		"report.md": func(w *bytes.Buffer, all []drawing) error { return writeSweepMarkdown(w, p, all) },
	})
}

// sweepPage is what the report of a sweep says, in the order in which it is said.
type sweepPage struct {
	Scenario, About string
	Class, Sentence string
	When            string
	Basis           string
	Extrapolated    []string
	Points          grid
	Errors          grid
	Notes           []string
	Repeat          string
}

func newSweepPage(r sweep.Result) sweepPage {
	p := sweepPage{Scenario: r.Scenario, About: r.About, Class: "neutral", Sentence: r.Sentence, Notes: r.Notes, Repeat: r.Command}
	if p.Sentence == "" {
		p.Sentence = "Nothing was found."
	}
	if !r.Complete {
		p.Class = "interrupted"
	}
	var axes []string
	for _, a := range r.Axes {
		axes = append(axes, fmt.Sprintf("%d values of %s", len(a.Values), a.Path))
	}
	p.When = fmt.Sprintf("%s, %d points simulated, %d replications each, seed %d", strings.Join(axes, " and "), len(r.Points), len(r.Seeds), r.Seed)
	// What the figures rest on is said as of a run that has all points' backends in it.
	var all record.Results
	for _, name := range r.Backends {
		s, ok := r.Simulation[name]
		if !ok {
			continue
		}
		s.Extrapolated = nil
		for _, pt := range r.Points {
			for _, b := range pt.Backends {
				if b.Name == name && len(b.Extrapolated) > 0 {
					s.Extrapolated = append(s.Extrapolated, fmt.Sprintf("at %s: %s", strings.Join(pt.Set, " "), strings.Join(b.Extrapolated, ", ")))
				}
			}
		}
		if n := len(s.Extrapolated); n > 4 { // one would not read more; the table marks every point
			s.Extrapolated = []string{fmt.Sprintf("%d of %d points, which the table marks, such as %s", n, len(r.Points), s.Extrapolated[0])}
		}
		all.Backends = append(all.Backends, record.Backend{Name: name, Provenance: "simulated", Simulation: &s})
	}
	p.Basis, p.Extrapolated = simulatedBasis(all)
	p.Errors = statedErrors(all)
	p.Points = sweepPoints(r)
	return p
}

// sweepPoints is a row for each point and backend.
func sweepPoints(r sweep.Result) grid {
	v := newSweepView(r)
	most := 0.0
	for _, pt := range r.Points {
		for _, b := range pt.Backends {
			if f, ok := b.Figure(v.phase + " reads throughput"); ok {
				if x, ok := value(f.Value); ok {
					most = max(most, x)
				}
			}
		}
	}
	scale, unit := rateUnit(most)
	g := grid{}
	for _, a := range r.Axes {
		g.Heads = append(g.Heads, a.Path)
	}
	g.Heads = append(g.Heads, "backend", "", "write p50, ms", "write p99, ms [95 %]", "live-edge read p99, ms [95 %]", "read "+unit, "missed", "late", "")
	for _, pt := range r.Points {
		for _, b := range pt.Backends {
			var row []string
			for i, a := range r.Axes {
				row = append(row, a.Values[pt.At[i]])
			}
			state := map[string]string{"passed": "✓ passed", "failed": "✗ failed", "invalid": "? invalid"}[b.Verdict]
			if state == "" {
				state = b.Verdict
			}
			if b.Verdict != "passed" && b.Sentence != "" {
				state += noteMark(&g.Notes, b.Sentence)
			}
			figure := func(name string, scale float64, interval bool) string {
				f, ok := b.Figure(name)
				x, told := value(f.Value)
				switch {
				case !ok:
					return unknown
				case !told && f.Note != "":
					return unknown + noteMark(&g.Notes, f.Note)
				case !told:
					return unknown
				}
				txt := number(x * scale)
				if interval && f.CI != nil {
					txt += fmt.Sprintf(" [%s–%s]", number(f.CI[0]*scale), number(f.CI[1]*scale))
				}
				return txt
			}
			out := ""
			if len(b.Extrapolated) > 0 {
				out = "extrapolated"
			}
			g.Rows = append(g.Rows, append(row, b.Name, state, figure(v.phase+" publish response p50", 1, false), figure(v.phase+" publish response p99", 1, true),
				figure(v.phase+" live-edge response p99", 1, true), figure(v.phase+" reads throughput", scale, false), figure("segments missed", 1, false), figure("segments late", 1, false), out))
		}
	}
	return g
}

// writeSweepMarkdown writes the report for a pull request or a wiki.
func writeSweepMarkdown(w io.Writer, p sweepPage, all []drawing) error {
	var b strings.Builder
	out := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	out("# %s: a sweep\n\n**%s**\n\n%s\n\n%s\n", md(p.Scenario), md(p.Sentence), md(p.When), md(p.Basis))
	if len(p.Extrapolated) > 0 {
		out("\n**Extrapolated:** %s.\n", md(strings.Join(p.Extrapolated, "; ")))
	}
	for _, d := range all {
		out("\n![%s](plots/%s.png)\n", md(d.figure.title), d.figure.name)
	}
	out("\n## Points\n\n")
	markdownGrid(&b, p.Points)
	if len(p.Errors.Rows) > 0 {
		out("\n## How far off the simulator was\n\n")
		markdownGrid(&b, p.Errors)
	}
	if len(p.Notes) > 0 {
		out("\n## Notes\n\n")
		for _, n := range p.Notes {
			out("- %s\n", md(n))
		}
	}
	out("\n## To repeat it\n\n    %s\n", plain(p.Repeat))
	_, err := io.WriteString(w, b.String())
	return err
}

package reports

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"origin-storm/storm/capacity"
	"origin-storm/storm/sim"
)

// WriteCapacity draws the report of a capacity estimate into the folder dir, which must exist: report.html, report.md, plots/*.svg and
// *.png. Files of these names are replaced, each at once; all are drawn before the first is written.
func WriteCapacity(dir string, r capacity.Report) error {
	figs := capacityFigures(r)
	files, err := capacityFiles(r, figs)
	if err != nil {
		return fmt.Errorf("reports: %w", err)
	}
	return place(dir, files, figs)
}

// capacityFiles makes every file of the report that is text.
func capacityFiles(r capacity.Report, figs []figure) ([]file, error) {
	p := newCapacityPage(r)
	return drawn(figs, map[string]func(*bytes.Buffer, []drawing) error{
		Page: func(w *bytes.Buffer, drawn []drawing) error {
			return writePage(w, capacitySource, drawn, func(plates []plate) any {
				return struct {
					capacityPage
					Plates []plate
				}{p, plates}
			})
		},
		"report.md": func(w *bytes.Buffer, drawn []drawing) error { return writeCapacityMarkdown(w, p, drawn) },
	})
}

// drawn draws figures as SVG and makes the pages that show them.
func drawn(figs []figure, pages map[string]func(*bytes.Buffer, []drawing) error) ([]file, error) {
	var files []file
	var all []drawing
	for _, fig := range figs {
		svg, err := fig.svg()
		if err != nil {
			return nil, fmt.Errorf("plot %s: %w", fig.name, err)
		}
		files = append(files, file{"plots/" + fig.name + ".svg", svg})
		all = append(all, drawing{figure: fig, svg: svg})
	}
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		var b bytes.Buffer
		if err := pages[name](&b, all); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files = append(files, file{name, b.Bytes()})
	}
	return files, nil
}

// place writes files and the images of figures into the folder dir, each at once, when all are drawn.
func place(dir string, files []file, figs []figure) error {
	for _, fig := range figs {
		data, err := fig.png()
		if err != nil {
			return fmt.Errorf("reports: plot %s: %w", fig.name, err)
		}
		files = append(files, file{"plots/" + fig.name + ".png", data})
	}
	if err := os.MkdirAll(filepath.Join(dir, "plots"), 0o777); err != nil {
		return fmt.Errorf("reports: the folder for plots: %w", err)
	}
	for _, f := range files {
		if err := replace(filepath.Join(dir, f.name), f.data); err != nil {
			return fmt.Errorf("reports: writing %s: %w", f.name, err)
		}
	}
	return nil
}

// capacityPage is what the report of a capacity estimate says, in the order in which it is said.
type capacityPage struct {
	Scenario, About string
	Class           string // passed, inconclusive or failed: whether the chosen backend carries the target
	Verdict         string
	Caveat          string // how far it can be trusted
	Answers         []capacity.Answer
	Basis           string   // what all figures rest on, in a sentence
	Extrapolated    []string // in a sentence
	Beyond          []string // each quantity that is

	Nodes   []titled // a table for each backend
	Losses  []titled
	Checks  []titled
	Breaks  []titled
	Demand  grid
	Points  grid // the frontier in figures
	Method  []string
	Errors  grid // simulated against measured
	Assumed []string
	Inputs  grid
	Prices  grid
	Repeat  string
}

// titled is a table with its heading, and what is said below it.
type titled struct {
	Head, Below string
	Grid        grid
}

func newCapacityPage(r capacity.Report) capacityPage {
	p := capacityPage{
		Scenario: r.Scenario, About: r.About, Verdict: cmp.Or(r.Verdict, "No answer was found."), Caveat: r.Caveat, Answers: r.Answers, Class: "failed",
		Extrapolated: extrapolations(r.Profile.Extrapolated), Beyond: r.Profile.Extrapolated, Assumed: r.Assumptions, Repeat: r.Command, Basis: capacityBasis(r),
	}
	if target := chosen(r).Target; target.Holds {
		p.Class = "passed"
		if target.Write.P99 == nil { // then nothing says that writes are in time
			p.Class = "inconclusive"
		}
	}
	backends := slices.Clone(r.Backends)
	slices.SortStableFunc(backends, func(a, b capacity.Backend) int { // the one that is asked about comes first
		switch {
		case a.Chosen == b.Chosen:
			return 0
		case a.Chosen:
			return -1
		}
		return 1
	})
	for _, b := range backends {
		head := b.Name + " (simulated)"
		if b.Chosen && len(r.Backends) > 1 {
			head += ", which the verdict is about"
		}
		p.Nodes = append(p.Nodes, titled{head, b.Latencies, nodes(b)})
		if len(b.Losses) > 0 {
			p.Losses = append(p.Losses, titled{Head: head, Grid: losses(b)})
		}
		if len(b.Checks) > 0 {
			p.Checks = append(p.Checks, titled{Head: head, Grid: checks(b)})
		}
		if len(b.Breaks) > 0 {
			p.Breaks = append(p.Breaks, titled{Head: head, Grid: gives(b)})
		}
	}
	p.Demand = grid{Heads: []string{"tier", "nodes", "requests/s", "Gbit/s", "renditions asked for", "why"}}
	for _, d := range r.Demand {
		p.Demand.Rows = append(p.Demand.Rows, []string{d.Tier, count(d.Nodes), number(d.Requests), number(d.Gbit), percent(d.Watched), d.Reason})
	}
	p.Points = frontierGrid(r)
	p.Method = []string{r.Method.Sentence, r.Method.Check.Text}
	p.Errors = errorGrid(r.Profile.HeldOut)
	p.Inputs = grid{Heads: []string{"input", "value", "", "source"}}
	for _, in := range r.Inputs {
		by := "set"
		if in.Default {
			by = "default"
		}
		p.Inputs.Rows = append(p.Inputs.Rows, []string{in.Path, in.Value, by, in.Source})
	}
	if len(r.Prices) > 0 {
		p.Prices = grid{Heads: []string{"tier", "nodes, all regions", "a node", "together"}}
		for _, x := range r.Prices {
			per := x.Currency + " per " + x.Per
			p.Prices.Rows = append(p.Prices.Rows, []string{x.Tier, count(int64(x.Nodes)), money(x.PerNode) + " " + per, money(x.Total) + " " + per})
		}
	}
	return p
}

// money writes an amount to the hundredth.
func money(v float64) string { return thousands(fmt.Sprintf("%.2f", v)) }

// capacityBasis says what all figures rest on, and how far off they may be.
func capacityBasis(r capacity.Report) string {
	x := r.Profile
	txt := "Simulated, not measured: profile " + cmp.Or(x.Name, "without a name")
	if x.Made != "" {
		txt += " of " + x.Made
	}
	if x.Machine != "" {
		txt += ", from " + x.Machine
	}
	txt += ". " + cmp.Or(x.Error, "How far off the simulator is with it was never found out.")
	if len(x.HeldOut) > 0 {
		txt += " The report lists each."
	}
	if c := r.Method.Check; !c.Settled && c.Text != "" {
		txt += " " + c.Text
	}
	return txt
}

// extrapolations says how much is, in a sentence.
func extrapolations(all []string) []string {
	if len(all) < 2 {
		return all
	}
	return []string{fmt.Sprintf("%d quantities of the load, such as %s", len(all), all[0])}
}

// nodes is what a backend takes.
func nodes(b capacity.Backend) grid {
	g := grid{Heads: []string{"tier", "nodes", "zones", "each", "decided by", "used", "may be", "room", "why"}}
	for _, t := range b.Tiers {
		n := count(int64(t.Nodes))
		if t.Nodes == 0 {
			n = unknown
		}
		if t.Given {
			n += " (given)"
		}
		why := t.Reason
		var others []string
		for _, need := range t.Needs {
			if need.Resource == t.Bound && strings.HasPrefix(t.Reason, "by "+t.Bound) {
				continue // the reason said it
			}
			txt := fmt.Sprintf("%s: %s %s", need.Resource, number(need.Amount), need.Unit)
			if need.Nodes > 0 {
				txt += fmt.Sprintf(", %d nodes", need.Nodes)
			}
			if need.How != "" {
				txt += " (" + need.How + ")"
			}
			others = append(others, txt)
		}
		if len(others) > 0 {
			why = strings.TrimSpace(strings.TrimSuffix(why, ".") + ". " + strings.Join(others, "; "))
			why = strings.TrimPrefix(why, ". ")
		}
		used, limit, room := percent(t.Used), percent(t.Limit), times(t.Headroom)
		if t.Limit == 0 {
			used, limit, room = unknown, unknown, unknown // there is no bound
		}
		g.Rows = append(g.Rows, []string{t.Name, n, count(int64(t.Zones)), t.Each, cmp.Or(t.Bound, unknown), used, limit, room, why})
	}
	return g
}

// times writes how many times as much.
func times(v float64) string {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return unknown
	}
	return number(v) + " ×"
}

// tail is a write p99 with its interval, or why there is none.
func tail(l capacity.Latency, g *grid) string {
	v, ok := value(l.P99)
	if !ok {
		txt := endless(l)
		if l.Note != "" {
			txt += noteMark(&g.Notes, l.Note)
		}
		return txt
	}
	txt := number(v)
	if l.P99CI != nil {
		txt += fmt.Sprintf(" [%s–%s]", number(l.P99CI[0]), number(l.P99CI[1]))
	}
	return txt
}

// losses is what losing something does to a backend.
func losses(b capacity.Backend) grid {
	g := grid{Heads: []string{"lost", "what was simulated", "write p99 before, ms", "during, ms", "missed", "room before", "during", "tightest", "in a sentence"}}
	for _, l := range b.Losses {
		g.Rows = append(g.Rows, []string{l.What, l.How, tail(l.Before.Write, &g), tail(l.During.Write, &g),
			fmt.Sprintf("%s of %s", count(l.During.Missed), count(l.During.Segments)), times(l.HeadroomBefore), times(l.HeadroomDuring), orDash(l.Tightest), l.Sentence})
	}
	return g
}

// checks are the simulations that node counts are held against.
func checks(b capacity.Backend) grid {
	g := grid{Heads: []string{"tier", "nodes", "used", "write p99, ms", "live-edge read p99, ms"}}
	for _, c := range b.Checks {
		g.Rows = append(g.Rows, []string{c.Tier, count(int64(c.Nodes)), percent(c.Used), tail(c.Write, &g), tail(c.Read, &g)})
	}
	return g
}

// gives is what gives way, one after the other.
func gives(b capacity.Backend) grid {
	g := grid{Heads: []string{"", "what", "holds up to", "gives way at", "Gbit/s", "viewers", "why", "then doubled"}}
	for _, k := range b.Breaks {
		g.Rows = append(g.Rows, []string{count(int64(k.Order)), k.Tier, times(k.Holds), times(k.Breaks), number(k.ReadGbit), people(k.Viewers), k.Why, orDash(k.Doubled)})
	}
	return g
}

// frontierGrid is the frontier in figures: a row for each load, columns for each backend.
func frontierGrid(r capacity.Report) grid {
	size, whose := loadSize(r)
	g := grid{Heads: []string{whose, "Mbit/s", "Gbit/s asked"}}
	type load struct {
		size int64
		rate float64
	}
	var order []load
	points := map[load]map[string]capacity.Point{}
	for _, b := range r.Backends {
		g.Heads = append(g.Heads, b.Name+": write p99, ms", "missed", "")
		for _, p := range b.Frontier {
			at := load{size(p), p.BitRate}
			if points[at] == nil {
				points[at] = map[string]capacity.Point{}
				order = append(order, at)
			}
			points[at][b.Name] = p
		}
	}
	for _, at := range order {
		row := []string{people(at.size), number(at.rate), unknown}
		for _, b := range r.Backends {
			p, ok := points[at][b.Name]
			if !ok {
				row = append(row, unknown, unknown, unknown)
				continue
			}
			row[2] = number(p.ReadGbit)
			state := "✓"
			if !p.Holds {
				state = "✗" + noteMark(&g.Notes, cmp.Or(p.Why, "it does not hold"))
			}
			row = append(row, tail(p.Write, &g), count(p.Missed), state)
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}

// errorGrid holds simulated figures against measured ones.
func errorGrid(all []sim.Error) grid {
	g := grid{Heads: []string{"run, none of those fitted on", "figure", "measured", "simulated", "off by"}}
	for _, e := range all {
		measured := number(e.Measured)
		if e.CI != nil {
			measured += fmt.Sprintf(" [%s–%s]", number(e.CI[0]), number(e.CI[1]))
		}
		off := unknown
		if e.Measured != 0 {
			off = percentChange(1 + e.Relative())
		}
		g.Rows = append(g.Rows, []string{e.Run, e.Figure, measured + " " + e.Unit, number(e.Simulated) + " " + e.Unit, off})
	}
	return g
}

// writeCapacityMarkdown writes the report for a pull request or a wiki.
func writeCapacityMarkdown(w io.Writer, p capacityPage, drawn []drawing) error {
	var b strings.Builder
	out := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	out("# %s: what it takes\n\n**%s**\n\n", md(p.Scenario), md(p.Verdict))
	if p.Caveat != "" {
		out("*%s*\n\n", md(p.Caveat))
	}
	out("%s\n", md(p.Basis))
	if len(p.Extrapolated) > 0 {
		out("\n**Extrapolated:** %s.\n", md(strings.Join(p.Extrapolated, "; ")))
	}
	out("\n")
	for _, a := range p.Answers {
		out("- **%s** %s\n", md(a.Question), md(a.Answer))
	}
	out("\n## Plots\n")
	for _, d := range drawn {
		out("\n![%s](plots/%s.png)\n", md(d.figure.title), d.figure.name)
	}
	tables := func(head string, all []titled) {
		if len(all) == 0 {
			return
		}
		out("\n## %s\n", head)
		for _, t := range all {
			out("\n**%s**\n\n", md(t.Head))
			markdownGrid(&b, t.Grid)
			if t.Below != "" {
				out("\n%s\n", md(capital(t.Below)))
			}
		}
	}
	section := func(head string, g grid) {
		if len(g.Rows) > 0 {
			out("\n## %s\n\n", head)
			markdownGrid(&b, g)
		}
	}
	list := func(head string, items []string) {
		if len(items) == 0 {
			return
		}
		out("\n## %s\n\n", head)
		for _, it := range items {
			if it != "" {
				out("- %s\n", md(it))
			}
		}
	}
	tables("Nodes, in each region", p.Nodes)
	tables("What breaks first", p.Breaks)
	tables("Losses at the peak", p.Losses)
	tables("The node counts, simulated", p.Checks)
	section("Prices", p.Prices)
	section("What the audience asks for", p.Demand)
	section("The frontier in figures", p.Points)
	list("How it was simulated", p.Method)
	section("Simulated against measured", p.Errors)
	list("Beyond what the profile was fitted on", p.Beyond)
	list("Assumptions", p.Assumed)
	section("Inputs and their sources", p.Inputs)
	out("\n## To repeat it\n\n    %s\n", plain(p.Repeat))
	_, err := io.WriteString(w, b.String())
	return err
}

// CapacityTable is a capacity estimate as text for a terminal: the verdict, the answers, and the nodes of the backend that the verdict
// is about.
func CapacityTable(r capacity.Report) string {
	var b strings.Builder
	b.WriteString(wrapped(cmp.Or(r.Verdict, "No answer was found.")) + "\n")
	if r.Caveat != "" {
		b.WriteString(wrapped(r.Caveat) + "\n")
	}
	for _, a := range r.Answers {
		b.WriteString(wrapped(a.Question + " " + a.Answer))
	}
	if c := chosen(r); len(c.Tiers) > 0 {
		rows := [][]string{{"", "nodes", "each", "decided by", "used", "may be", "room", ""}}
		for _, row := range nodes(c).Rows {
			rows = append(rows, []string{row[0], row[1], row[3], row[4], row[5], row[6], row[7], ""})
		}
		fmt.Fprintf(&b, "\nnodes of %s, in each region, at %s Gbit/s\n%s", c.Name, number(r.TargetGbit), columnsOf(rows))
	}
	b.WriteString("\n" + wrapped(capacityBasis(r)))
	if e := extrapolations(r.Profile.Extrapolated); len(e) > 0 {
		b.WriteString(wrapped("Extrapolated: " + strings.Join(e, "; ") + "."))
	}
	return b.String()
}

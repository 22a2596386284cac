package reports

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"origin-storm/storm/verdict/gate"
)

// WriteGate draws the report of a gate into the folder dir, which must exist: report.html, summary.md, junit.xml, and in the
// benchmark format bench.txt with both sides and base.txt and head.txt with one each. As with Write, all are drawn before the
// first is written.
func WriteGate(dir string, res gate.Results, quads []gate.Quad) error {
	p := newGatePage(res)
	var files []file
	var drawn []drawing
	for _, fig := range gateFigures(res) {
		svg, err := fig.svg()
		if err != nil {
			return fmt.Errorf("reports: plot %s: %w", fig.name, err)
		}
		drawn = append(drawn, drawing{figure: fig, svg: svg})
	}
	for _, f := range []struct {
		name string
		make func(io.Writer) error
	}{
		{Page, func(w io.Writer) error {
			return writePage(w, gateSource, drawn, func(plates []plate) any {
				return struct {
					gatePage
					Plates []plate
				}{p, plates}
			})
		}},
		{"summary.md", func(w io.Writer) error {
			_, err := io.WriteString(w, GateMarkdown(res))
			return err
		}},
		{"junit.xml", func(w io.Writer) error { return writeSuite(w, gateSuite(res)) }},
		{"bench.txt", func(w io.Writer) error { return writeGateBench(w, res, quads, true, gate.Base, gate.Head) }},
		{"base.txt", func(w io.Writer) error { return writeGateBench(w, res, quads, false, gate.Base) }},
		{"head.txt", func(w io.Writer) error { return writeGateBench(w, res, quads, false, gate.Head) }},
	} {
		var b bytes.Buffer
		if err := f.make(&b); err != nil {
			return fmt.Errorf("reports: %s: %w", f.name, err)
		}
		files = append(files, file{f.name, b.Bytes()})
	}
	for _, f := range files {
		if err := replace(filepath.Join(dir, f.name), f.data); err != nil {
			return fmt.Errorf("reports: writing %s: %w", f.name, err)
		}
	}
	return nil
}

// gatePage is what the report of a gate says.
type gatePage struct {
	Scenario, About   string
	Outcome, Sentence string
	Reasons           []string
	When              string
	Metrics           grid
	Legend            string
	Whys              grid // what was found on each metric, in words
	Sides             grid
	Notes             []string
	Rules             []string
	Environment       grid
}

// gateLegend says what the columns mean.
const gateLegend = "base, head: medians over the units; change: head over base, of failures head less base, with its 95 % interval; n: units, " +
	"a quad each where its samples suffice; p: probability to see as much if head is not worse (Wilcoxon signed-rank, exact; Holm over the metrics); floor: what base differs from itself by."

func newGatePage(res gate.Results) gatePage {
	p := gatePage{
		Scenario: res.Scenario, About: res.About, Outcome: string(res.Outcome), Sentence: res.Sentence, Reasons: res.Reasons,
		Metrics: gateMetrics(res), Legend: gateLegend,
	}
	if len(p.Reasons) == 1 && strings.Contains(p.Sentence, p.Reasons[0]) {
		p.Reasons = nil // the sentence says it
	}
	block := time.Duration(res.SegmentMS * float64(res.BlockTicks) * float64(time.Millisecond))
	p.When = fmt.Sprintf("%s, %s s, %d quads of four blocks of %v, seed %d", res.Started.UTC().Format(time.RFC3339), number(res.Seconds), res.Quads, block, res.Seed)
	p.Whys.Heads = []string{"", ""}
	if d := res.Decision; d != nil {
		for _, f := range d.Metrics {
			p.Whys.Rows = append(p.Whys.Rows, []string{f.Metric.Name, string(f.Verdict) + ": " + f.Reason})
		}
	}
	p.Sides = gateSides(res)
	for _, side := range []struct {
		name string
		gate.SideResults
	}{{"base", res.Base}, {"head", res.Head}} {
		for _, n := range side.Notes {
			p.Notes = append(p.Notes, side.name+": "+n)
		}
	}
	if i := res.Injected; i != nil {
		p.Notes = append(p.Notes, fmt.Sprintf("Head was made worse on purpose: each answer to a publish was held back by %s ms, %s %% of base's write p50 of %s ms.", number(i.HeldMS), number(100*i.Share), number(i.Of)))
	}
	p.Notes = append(p.Notes, fmt.Sprintf("The driver's own lag: p99 of at most %s.", orUnknown(res.Lag99MS, " ms")))
	p.Rules = gateRules(res)
	p.Environment.Heads = []string{"", ""}
	for name, value := range res.Environment {
		p.Environment.Rows = append(p.Environment.Rows, []string{name, value})
	}
	slices.SortFunc(p.Environment.Rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return p
}

// gateMetrics is the table of what was compared.
func gateMetrics(res gate.Results) grid {
	g := grid{Heads: []string{"", "base", "head", "change [95 %]", "matters", "n", "p", "floor", ""}}
	if res.Decision == nil {
		return g
	}
	for _, f := range res.Decision.Metrics {
		m := f.Metric
		share := func(v float64) string { // of Metric.Effect's terms
			if m.Absolute {
				return number(v)
			}
			return number(100*v) + " %"
		}
		change := unknown
		if v, ok := value(f.Change); ok {
			say := func(v float64) string {
				if m.Absolute {
					return fmt.Sprintf("%+.3g", v)
				}
				return percentChange(v)
			}
			change = say(v)
			if f.CI != nil {
				change += fmt.Sprintf(" [%s, %s]", say(f.CI[0]), say(f.CI[1]))
			} else {
				change += " [" + unknown + "]" + noteMark(&g.Notes, fmt.Sprintf("an interval takes %d units (quads with samples enough)", gate.IntervalUnits))
			}
		}
		p, floor := unknown, unknown
		if v, ok := value(f.Holm); ok {
			p = probability(v)
		}
		if v, ok := value(f.Floor); ok {
			floor = share(v)
		}
		state := map[gate.Verdict]string{gate.Pass: "✓ pass", gate.Regress: "✗ regress"}[f.Verdict]
		if state == "" {
			state = "? open"
			if m.Optional {
				state = "open" // it need not be cleared
			}
		}
		name := m.Name
		if m.Unit == "ms" {
			name += " ms"
		}
		g.Rows = append(g.Rows, []string{name, orUnknown(f.Base, ""), orUnknown(f.Head, ""), change, share(m.Effect), fmt.Sprint(f.Units), p, floor, state})
	}
	return g
}

func gateSides(res gate.Results) grid {
	g := grid{Heads: []string{"", "base", "head"}}
	row := func(name string, of func(gate.SideResults) string) {
		g.Rows = append(g.Rows, []string{name, of(res.Base), of(res.Head)})
	}
	row("what", func(s gate.SideResults) string { return s.Name })
	row("made of", func(s gate.SideResults) string { return strings.Join(s.Servers, ", ") })
	row("figures are", func(s gate.SideResults) string { return s.Provenance })
	for _, c := range []struct {
		name string
		of   func(gate.SideResults) int64
	}{
		{"publishes", func(s gate.SideResults) int64 { return s.Publishes }},
		{"reads", func(s gate.SideResults) int64 { return s.Reads }},
		{"failed", func(s gate.SideResults) int64 { return s.Failed }},
		{"copies acknowledged", func(s gate.SideResults) int64 { return s.Acknowledged }},
		{"bodies verified", func(s gate.SideResults) int64 { return s.Verified }},
		{"lost, torn, wrong, stale", func(s gate.SideResults) int64 { return s.Lost + s.Torn + s.Wrong + s.Stale }},
	} {
		row(c.name, func(s gate.SideResults) string { return count(c.of(s)) })
	}
	return g
}

// gateRules says by what was decided.
func gateRules(res gate.Results) []string {
	c := res.Rules
	tick := duration(res.SegmentMS)
	rules := []string{
		fmt.Sprintf("Both sides are up all the time; under load is one at a time, in blocks of %d segments of %s, of which the first %d are not measured. A quad is four blocks: base head head base, or head base base head, as a coin keyed by the seed says.",
			res.BlockTicks, tick, res.LeadTicks),
		fmt.Sprintf("Looks were declared beforehand: after %s quads. It ends at the first that decides.", strings.Join(strings.Fields(strings.Trim(fmt.Sprint(c.Looks), "[]")), ", ")),
		fmt.Sprintf("Regress: worse beyond doubt (%s %% over all metrics and looks), by what matters or more, and by more than the noise floor of this job.", number(100*c.Alpha)),
		fmt.Sprintf("Pass: of each metric that has to be cleared, a change by what matters is excluded (%s %% over all looks). Tails need not be cleared.", number(100*c.Beta)),
	}
	if d := res.Decision; d != nil {
		rules = append(rules, fmt.Sprintf("Spent at this look: alpha %s of %s, beta %s of %s so far (%s).", number(d.AlphaSpent), number(d.Alpha), number(d.BetaSpent), number(d.Beta), d.Spending))
	}
	return rules
}

// GateTable is what was compared, as text for a terminal.
func GateTable(res gate.Results) string {
	g := gateMetrics(res)
	if len(g.Rows) == 0 {
		return "Nothing was compared.\n"
	}
	txt := columnsOf(append([][]string{g.Heads}, g.Rows...))
	for i, n := range g.Notes {
		txt += fmt.Sprintf("%s %s\n", superscript(i+1), n)
	}
	return txt
}

// GateMarkdown is a gate for a pull request or a job's summary.
func GateMarkdown(res gate.Results) string {
	p := newGatePage(res)
	var b strings.Builder
	fmt.Fprintf(&b, "## Gate: %s\n\n**%s**\n\n%s\n", md(p.Outcome), md(p.Sentence), md(p.When))
	list := func(items []string) {
		if len(items) > 0 {
			b.WriteString("\n")
		}
		for _, it := range items {
			fmt.Fprintf(&b, "- %s\n", md(it))
		}
	}
	list(p.Reasons)
	b.WriteString("\n")
	if len(p.Metrics.Rows) > 0 {
		markdownGrid(&b, p.Metrics)
		fmt.Fprintf(&b, "\n%s\n\n", md(p.Legend))
	}
	markdownGrid(&b, p.Sides)
	list(p.Notes)
	return b.String()
}

// GateAnnotation is a gate as a workflow command of GitHub Actions: an error, a warning or a notice on the job.
func GateAnnotation(res gate.Results) string {
	kind := "error"
	switch res.Outcome {
	case gate.Outcome(gate.Pass), gate.Recorded:
		kind = "notice"
	case gate.Outcome(gate.Inconclusive):
		if !res.Strict {
			kind = "warning"
		}
	}
	// https://docs.github.com/actions/reference/workflow-commands-for-github-actions, and the runner's own escaping.
	message := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(res.Sentence)
	return fmt.Sprintf("::%s title=gate %s::%s\n", kind, res.Outcome, message)
}

// gateSuite is a gate as a suite of tests: one case for each metric, and one for the verdict.
func gateSuite(res gate.Results) suite {
	s := suite{Name: plain("gate " + res.Scenario)}
	open := func(c *testcase, text string) {
		if res.Strict {
			c.Failure = &message{Message: plain(text)}
		} else {
			c.Skipped = &message{Message: plain(text)}
		}
	}
	if d := res.Decision; d != nil {
		for _, f := range d.Metrics {
			c := testcase{Class: plain("gate." + res.Scenario), Name: plain(f.Metric.Name)}
			switch {
			case f.Verdict == gate.Regress:
				c.Failure = &message{Message: plain(f.Reason)}
			case f.Verdict != gate.Pass && f.Metric.Optional:
				c.Skipped = &message{Message: plain(f.Reason)}
			case f.Verdict != gate.Pass:
				open(&c, f.Reason)
			}
			s.Cases = append(s.Cases, c)
		}
	}
	c := testcase{Class: plain("gate." + res.Scenario), Name: "verdict"}
	why := plain(strings.Join(res.Reasons, "; "))
	switch res.Outcome {
	case gate.Outcome(gate.Pass), gate.Recorded:
	case gate.Outcome(gate.Regress):
		c.Failure = &message{Message: plain(res.Sentence), Text: why}
	case gate.Outcome(gate.Inconclusive):
		open(&c, res.Sentence)
	default:
		c.Error = &message{Message: plain(res.Sentence), Text: why}
	}
	s.Cases = append(s.Cases, c)
	return s
}

package reports

import (
	"fmt"
	"io"
	"strings"
)

// writeMarkdown writes the page for a pull request or a job's summary.
func writeMarkdown(w io.Writer, p page, drawn []drawing) error {
	var b strings.Builder
	out := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	list := func(items []string) {
		for _, it := range items {
			out("- %s\n", md(it))
		}
	}
	out("# %s: %s\n\n**%s**\n\n", md(p.Scenario), md(p.Verdict), md(p.Sentence))
	if p.About != "" {
		out("%s\n\n", md(p.About))
	}
	out("%s\n", md(p.When))
	if len(p.Reasons) > 0 {
		out("\n")
		list(p.Reasons)
	}
	if p.Basis != "" {
		out("\n%s\n", md(p.Basis))
	}
	if len(p.Extrapolated) > 0 {
		out("\n**Extrapolated:** %s.\n", md(strings.Join(p.Extrapolated, "; ")))
	}
	out("\n## Comparison\n\n")
	if len(p.Table.Rows) == 0 {
		out("No backend was measured.\n")
	} else {
		markdownGrid(&b, p.Table)
		out("\n%s\n", md(p.Legend))
	}
	section := func(head string, g grid) {
		if len(g.Rows) > 0 {
			out("\n## %s\n\n", head)
			markdownGrid(&b, g)
		}
	}
	section("Thresholds", p.Limits)
	out("\n## Plots\n")
	for _, d := range drawn {
		out("\n![%s](plots/%s.png)\n", md(d.figure.title), d.figure.name)
	}
	section("Faults and deaths", p.Happens)
	section("Segments", p.Fates)
	section("The first segments that something was wrong with", p.Guilty)
	section("Hold release: from a copy's acknowledgement to the waiting reader's answer", p.Holds)
	section("Edges", p.Edges)
	section("How busy the model's parts were", p.Tiers)
	section("How far off the simulator was", p.Errors)
	section("Processors", p.Cores)
	section("Cache and store", p.Cache)
	section("Every class of request", p.Classes)
	if len(p.Notes) > 0 {
		out("\n## Notes and warnings\n\n")
		list(p.Notes)
	}
	out("\n## What this run cannot say\n\n")
	list(p.Cannot)
	section("Environment", p.Environment)
	out("\n## To repeat it\n\n    %s\n", plain(p.Repeat))
	_, err := io.WriteString(w, b.String())
	return err
}

// markdownGrid writes a table with its footnotes.
func markdownGrid(b *strings.Builder, g grid) {
	row := func(cells []string) {
		for _, c := range cells {
			b.WriteString("| " + md(c) + " ")
		}
		b.WriteString(strings.Repeat("| ", len(g.Heads)-len(cells)) + "|\n")
	}
	row(g.Heads)
	b.WriteString(strings.Repeat("|---", len(g.Heads)) + "|\n")
	for _, r := range g.Rows {
		if len(r) == 1 {
			fmt.Fprintf(b, "| **%s** %s|\n", md(r[0]), strings.Repeat("| ", len(g.Heads)-1))
			continue
		}
		row(r)
	}
	for i, n := range g.Notes {
		fmt.Fprintf(b, "\n%s %s\n", superscript(i+1), md(n))
	}
}

// md escapes what Markdown would take for its own.
func md(txt string) string {
	return strings.NewReplacer("\\", "\\\\", "|", "\\|", "*", "\\*", "_", "\\_", "`", "\\`", "[", "\\[", "]", "\\]", "<", "&lt;", "~", "\\~", "#", "\\#").Replace(plain(txt))
}

package reports

import (
	"bytes"
	"cmp"
	"fmt"
	"image/color"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"origin-storm/storm/verdict/search"
)

// WriteSearch draws the report of a search into the folder dir, which must exist: report.html, report.md and frontier.svg and .png.
// Files of these names are replaced, each at once.
func WriteSearch(dir string, r search.Results) error {
	fig := frontier(r)
	svg, err := fig.svg()
	if err != nil {
		return fmt.Errorf("reports: plot %s: %w", fig.name, err)
	}
	png, err := fig.png()
	if err != nil {
		return fmt.Errorf("reports: plot %s: %w", fig.name, err)
	}
	var page bytes.Buffer
	err = writePage(&page, searchSource, []drawing{{figure: fig, svg: svg}}, func(plates []plate) any {
		return struct {
			search.Results
			When, Repeat string
			Points       grid
			Folders      []string
			Plates       []plate
		}{r, searchWhen(r), r.Environment["command"], searchPoints(r, filepath.Base), folders(r), plates}
	})
	if err != nil {
		return fmt.Errorf("reports: report.html: %w", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: the highest load\n\n**%s**\n\n%s\n\n", md(r.Scenario), md(r.Sentence), md(searchWhen(r)))
	if r.Evidence != "" {
		fmt.Fprintf(&b, "What was full: **%s**. %s.\n\n", md(r.Saturated), md(capital(r.Evidence)))
	}
	fmt.Fprintf(&b, "![%s](frontier.svg)\n\n", md(fig.title))
	markdownGrid(&b, searchPoints(r, func(folder string) string {
		return fmt.Sprintf("[%s](%s/report.md)", filepath.Base(folder), filepath.ToSlash(folder))
	}))
	for _, f := range []file{{"frontier.svg", svg}, {"frontier.png", png}, {Page, page.Bytes()}, {"report.md", []byte(b.String())}} {
		if err := replace(filepath.Join(dir, f.name), f.data); err != nil {
			return fmt.Errorf("reports: writing %s: %w", f.name, err)
		}
	}
	return nil
}

// folders are the run folders of a search's measurements.
func folders(r search.Results) (all []string) {
	for _, p := range r.Points {
		if p.Folder != "" {
			all = append(all, filepath.ToSlash(p.Folder))
		}
	}
	return all
}

func searchWhen(r search.Results) string {
	txt := fmt.Sprintf("%s on %s, seed %d, begun %s.", r.Scenario, r.Backend, r.Seed, r.Started.UTC().Format("2006-01-02 15:04:05 UTC"))
	if len(r.Unsteady) > 0 {
		var at []string
		for _, load := range r.Unsteady {
			at = append(at, search.Format(r.Path, load, r.Unit))
		}
		txt += " Measurements did not agree at " + strings.Join(at, ", ") + ": there the majority counts."
	}
	return txt
}

// searchPoints is a row for each measurement, in order of load.
func searchPoints(r search.Results, link func(folder string) string) grid {
	g := grid{Heads: []string{r.Path, "outcome", "write p50 ms", "write p99 ms", "reads/s", "Gbit/s", "what was found", "run"}}
	points := slices.Clone(r.Points)
	slices.SortStableFunc(points, func(a, b search.Point) int { return cmp.Compare(a.Load, b.Load) })
	for _, p := range points {
		run := unknown
		if p.Folder != "" {
			run = link(p.Folder)
		}
		mark := map[search.Outcome]string{search.Holds: "✓ ", search.Breaks: "✗ ", search.Untold: "? "}[p.Outcome]
		g.Rows = append(g.Rows, []string{number(p.Load) + r.Unit, mark + string(p.Outcome), orUnknown(p.WriteP50, ""), orUnknown(p.WriteP99, ""),
			number(p.Reads), number(p.ReadGbit), p.Sentence, run})
	}
	return g
}

// frontier shows for each load how near each threshold was to its limit.
func frontier(r search.Results) figure {
	type series struct {
		text string
		at   [][2]float64 // load, part of the limit
	}
	var all []series
	lo, hi := math.Inf(1), 0.0
	top, bottom := 1.0, 1.0
	for _, p := range r.Points {
		lo, hi = min(lo, p.Load), max(hi, p.Load)
		for _, t := range p.Thresholds {
			if t.Actual == nil || t.Limit <= 0 || *t.Actual <= 0 {
				continue // a limit of 0 has no share: it holds or it does not
			}
			share := *t.Actual / t.Limit
			i := slices.IndexFunc(all, func(s series) bool { return s.text == t.Text })
			if i < 0 {
				i = len(all)
				all = append(all, series{text: t.Text})
			}
			all[i].at = append(all[i].at, [2]float64{p.Load, share})
			top, bottom = max(top, share), min(bottom, share)
		}
	}
	f := figure{name: "frontier", title: r.Sentence}
	f.caption = "One mark per measurement and threshold: the figure as a part of its limit, on logarithmic axes. The line at 1 is the limit. Below, how each " +
		"measurement ended: a threshold whose limit is 0 (such as lost == 0) shows there only."
	if len(r.Points) == 0 {
		f.panels = []panel{{plot: nothing("nothing was measured"), height: 120}}
		return f
	}
	p := newPlot(true, true)
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = logTicks{}, logTicks{}
	p.X.Min, p.X.Max = lo/1.15, hi*1.15
	p.Y.Min, p.Y.Max = bottom/3, top*1.6
	for i := range all {
		slices.SortFunc(all[i].at, func(a, b [2]float64) int { return cmp.Compare(a[0], b[0]) })
		lk := lookOf(i)
		f.legend = append(f.legend, glyphKey(all[i].text, lk.glyph, lk.color, 3.5))
	}
	outcome := map[search.Outcome]color.NRGBA{search.Holds: green, search.Breaks: vermillion, search.Untold: orange}
	p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
		trX, trY := p.Transforms(&c)
		c.StrokeLine2(draw.LineStyle{Color: black, Width: 1.2, Dashes: []vg.Length{6, 3}}, c.Min.X, trY(1), c.Max.X, trY(1))
		if r.Highest > 0 {
			c.StrokeLine2(draw.LineStyle{Color: green, Width: 1.5}, trX(r.Highest), c.Min.Y, trX(r.Highest), c.Max.Y)
		}
		if r.Lowest > 0 {
			c.StrokeLine2(draw.LineStyle{Color: outcome[r.Limit], Width: 1.5, Dashes: []vg.Length{3, 3}}, trX(r.Lowest), c.Min.Y, trX(r.Lowest), c.Max.Y)
		}
		for i, s := range all {
			lk := lookOf(i)
			for _, at := range s.at {
				glyph(c, lk.glyph, lk.color, 3.5, vg.Point{X: trX(at[0]), Y: trY(at[1])})
			}
		}
		rows := map[float64]int{}
		for _, pt := range r.Points {
			glyph(c, draw.BoxGlyph{}, outcome[pt.Outcome], 4, vg.Point{X: trX(pt.Load), Y: c.Min.Y + 8 + 10*vg.Length(rows[pt.Load])})
			rows[pt.Load]++
		}
		say(c, sans(captionSize, true, black), vg.Point{X: c.Max.X - 3, Y: trY(1) + 2}, draw.XRight, draw.YBottom, "limit")
	}))
	for _, o := range []search.Outcome{search.Holds, search.Breaks, search.Untold} {
		if slices.ContainsFunc(r.Points, func(p search.Point) bool { return p.Outcome == o }) {
			f.legend = append(f.legend, glyphKey(map[search.Outcome]string{search.Holds: "all hold", search.Breaks: "one does not", search.Untold: "the driver was the limit"}[o],
				draw.BoxGlyph{}, outcome[o], 4))
		}
	}
	x := r.Path
	if r.Unit != "" {
		x += ", " + r.Unit
	}
	f.panels = []panel{{plot: p, x: x, y: "part of the limit", above: 8, height: 300}}
	return f
}

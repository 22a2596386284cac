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
		}{r, searchWhen(r), r.Environment["command"], searchPoints(r), folders(r), plates}
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
	markdownGrid(&b, searchPoints(r))
	if all := folders(r); len(all) > 0 {
		b.WriteString("\nEach measurement has a report of its own:")
		for _, folder := range all {
			fmt.Fprintf(&b, " [%s](<%s/report.md>)", md(folder), folder)
		}
		b.WriteString("\n")
	}
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
func searchPoints(r search.Results) grid {
	most := 0.0
	for _, p := range r.Points {
		most = max(most, p.ReadGbit)
	}
	scale, unit := rateUnit(most)
	g := grid{Heads: []string{r.Path, "outcome", "write p50 ms", "write p99 ms", "reads/s", "read " + unit, "what was found", "run"}}
	points := slices.Clone(r.Points)
	slices.SortStableFunc(points, func(a, b search.Point) int { return cmp.Compare(a.Load, b.Load) })
	for _, p := range points {
		run := unknown
		if p.Folder != "" {
			run = filepath.Base(p.Folder)
		}
		mark := map[search.Outcome]string{search.Holds: "✓ ", search.Breaks: "✗ ", search.Untold: "? "}[p.Outcome]
		g.Rows = append(g.Rows, []string{number(p.Load) + r.Unit, mark + string(p.Outcome), orUnknown(p.WriteP50, ""), orUnknown(p.WriteP99, ""),
			number(p.Reads), number(p.ReadGbit * scale), p.Sentence, run})
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
	f := figure{name: "frontier"}
	if len(r.Points) == 0 {
		f.title = "Nothing was measured"
		f.panels = []panel{{plot: nothing("nothing was measured"), height: 120}}
		return f
	}
	shares := len(all) > 0 // else every limit is 0 or was never neared, and there is nothing on the axis of parts
	if shares {
		f.title = nearest(r)
		f.caption = "One mark per measurement and threshold: the figure as a part of its limit, on logarithmic axes. The line at 1 is the limit. Below, how each " +
			"measurement ended: a threshold whose limit is 0 (such as lost == 0) shows there only."
	} else {
		f.title = fmt.Sprintf("How each of %d measurements ended", len(r.Points))
		f.caption = "One mark per measurement. No figure can be shown as a part of its limit: the limits are 0, or the figures are, so that a threshold holds or it does not."
	}
	p := newPlot(true, shares)
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, loadTicks(r.Points)
	p.X.Min, p.X.Max = lo/1.15, hi*1.15
	if shares {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, logTicks{}
		p.Y.Min, p.Y.Max = bottom/3, top*1.6
	} else {
		p.Y.LineStyle.Width, p.Y.Tick.Length, p.Y.Tick.Marker = 0, 0, plot.ConstantTicks{}
	}
	for i := range all {
		slices.SortFunc(all[i].at, func(a, b [2]float64) int { return cmp.Compare(a[0], b[0]) })
		lk := lookOf(i)
		f.legend = append(f.legend, glyphKey(all[i].text, lk.glyph, lk.color, 3.5))
	}
	outcome := map[search.Outcome]color.NRGBA{search.Holds: green, search.Breaks: vermillion, search.Untold: orange}
	p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
		trX, trY := p.Transforms(&c)
		if shares {
			c.StrokeLine2(draw.LineStyle{Color: black, Width: 1.2, Dashes: []vg.Length{6, 3}}, c.Min.X, trY(1), c.Max.X, trY(1))
		}
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
		if shares {
			say(c, sans(captionSize, true, black), vg.Point{X: c.Max.X - 3, Y: trY(1) + 2}, draw.XRight, draw.YBottom, "limit")
		}
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
	if !shares {
		most := 1
		for _, pt := range r.Points {
			n := 0
			for _, q := range r.Points {
				if q.Load == pt.Load {
					n++
				}
			}
			most = max(most, n)
		}
		f.panels[0].y, f.panels[0].height = "", 60+10*vg.Length(most)
	}
	return f
}

// loadTicks marks the loads that were measured, as far as their numbers find room.
func loadTicks(points []search.Point) plot.ConstantTicks {
	var loads []float64
	for _, p := range points {
		loads = append(loads, p.Load)
	}
	slices.Sort(loads)
	var ticks plot.ConstantTicks
	last := 0.0
	for _, load := range slices.Compact(loads) {
		t := plot.Tick{Value: load}
		// A label takes about a twentieth of the axis, which is logarithmic.
		if room := math.Pow(loads[len(loads)-1]/loads[0], 0.06); last == 0 || load >= last*room {
			t.Label, last = number(load), load
		}
		ticks = append(ticks, t)
	}
	return ticks
}

// nearest says which threshold was nearest to its limit, or furthest beyond it, at the load that decided.
func nearest(r search.Results) string {
	at := cmp.Or(r.Lowest, r.Highest)
	text, share := "", 0.0
	for _, p := range r.Points {
		if p.Load != at {
			continue
		}
		for _, t := range p.Thresholds {
			if atLeast := strings.Contains(t.Text, ">"); !atLeast && t.Actual != nil && t.Limit > 0 && *t.Actual/t.Limit > share {
				text, share = t.Text, *t.Actual/t.Limit
			}
		}
	}
	if text == "" {
		return "How near each measurement came to its limits"
	}
	return fmt.Sprintf("At %s the nearest to its limit: %s, at %s of it", search.Format(r.Path, at, r.Unit), text, percent(share))
}

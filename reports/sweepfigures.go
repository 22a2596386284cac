package reports

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"origin-storm/storm/sweep"
)

// sweepFigures are the plots of a sweep: what writes and reads take, what is missed and what fills up, over what was varied.
func sweepFigures(r sweep.Result) []figure {
	v := newSweepView(r)
	if len(r.Points) == 0 {
		return []figure{{name: "frontier", title: "Nothing was simulated", caption: v.by, panels: []panel{{plot: nothing("no point was finished"), height: 120}}}}
	}
	metrics := []sweepMetric{v.latency("publish", "write"), v.latency("live-edge", "read"), v.missed()}
	var figs []figure
	if len(v.rows) == 1 {
		f := figure{name: "frontier", title: v.finding(metrics[0]), legend: v.legend(metrics...)}
		for _, m := range metrics {
			f.panels = append(f.panels, v.panel(m, 0, capital(m.what)))
		}
		figs = append(figs, v.below(f))
	} else {
		for _, m := range metrics {
			f := figure{name: m.file, title: v.finding(m), legend: v.legend(m)}
			for k, row := range v.rows {
				f.panels = append(f.panels, v.panel(m, k, row.head))
			}
			figs = append(figs, v.below(f))
		}
	}
	return append(figs, v.saturation())
}

// sweepView is a sweep as its plots see it: one axis along the plots, the other one, if there is one, from panel to panel.
type sweepView struct {
	sweep.Result
	x     int // index of the axis along the plots
	rows  []sweepRow
	more  int // rows that found no place
	phase string
	by    string
}

// sweepRow is the points of one panel, in the order of the axis along it.
type sweepRow struct {
	head   string
	points []sweep.Point
}

// sweepMetric is one figure of a sweep, a panel's vertical axis.
type sweepMetric struct {
	file, what, axis string
	name             string // as sweep.Figure has it
	also             string // another one, drawn thin: none if empty
	counted          bool   // it counts from 0, where the others are on a logarithmic axis
	lo, hi           float64
}

func newSweepView(r sweep.Result) sweepView {
	const most = 8 // panels
	v := sweepView{Result: r, phase: "quiet"}
	profiles := []string{}
	for _, name := range r.Backends {
		profiles = append(profiles, cmp.Or(r.Simulation[name].Profile, "none"))
	}
	v.by = simulatedBy(strings.Join(unique(profiles), " and "))
	for _, p := range r.Points {
		for _, b := range p.Backends {
			for _, f := range b.Figures {
				if strings.HasPrefix(f.Name, "storm ") {
					v.phase = "storm"
				}
			}
		}
	}
	if len(r.Axes) == 2 && len(r.Axes[0].Values) > len(r.Axes[1].Values) {
		v.x = 0
	} else {
		v.x = len(r.Axes) - 1
	}
	if len(r.Axes) < 2 {
		v.rows = []sweepRow{{points: r.Points}}
		return v
	}
	other := r.Axes[1-v.x]
	for k, value := range other.Values {
		row := sweepRow{head: other.Path + "=" + value}
		for _, p := range r.Points {
			if len(p.At) == 2 && p.At[1-v.x] == k {
				row.points = append(row.points, p)
			}
		}
		if len(row.points) > 0 {
			v.rows = append(v.rows, row)
		}
	}
	if n := len(v.rows); n > most { // evenly, with both ends
		var some []sweepRow
		for i := range most {
			some = append(some, v.rows[i*(n-1)/(most-1)])
		}
		v.rows, v.more = some, n-most
	}
	return v
}

// of is a figure of one backend at one point.
func of(p sweep.Point, backend, name string) (sweep.Backend, sweep.Figure, bool) {
	for _, b := range p.Backends {
		if b.Name == backend {
			f, ok := b.Figure(name)
			return b, f, ok
		}
	}
	return sweep.Backend{}, sweep.Figure{}, false
}

// latency is the response of a class in the phase that is asked about: its p99, or what can be told where that cannot.
func (v sweepView) latency(class, word string) sweepMetric {
	m := sweepMetric{file: word + "-latency", lo: math.Inf(1), hi: math.Inf(-1)}
	for _, q := range []string{"p99", "p90", "p50", "max"} {
		m.name = fmt.Sprintf("%s %s response %s", v.phase, class, q)
		m.what, m.axis = fmt.Sprintf("%s %s %s", word, q, inPhase(v.phase)), fmt.Sprintf("%s %s, ms", word, q)
		told := false
		for _, p := range v.Points {
			for _, name := range v.Backends {
				b, f, _ := of(p, name, m.name)
				if x, ok := positive(f.Value); ok {
					told = true
					m.lo, m.hi = min(m.lo, x), max(m.hi, x)
					if f.CI != nil {
						from, _ := positive(&f.CI[0])
						to, _ := positive(&f.CI[1])
						m.lo, m.hi = min(m.lo, from), max(m.hi, to)
					}
				}
				if limit, ok := limitOf(b, m.name); ok && told && limit < m.hi*4 {
					m.hi = max(m.hi, limit)
				}
			}
		}
		if told {
			return m
		}
	}
	m.lo, m.hi = 1, 1000
	m.what = word + " latency: nothing could be told"
	return m
}

// missed counts what came too late.
func (v sweepView) missed() sweepMetric {
	m := sweepMetric{file: "missed", what: "segments missed, and late (thin line)", axis: "segments", name: "segments missed", also: "segments late", counted: true, hi: 1}
	for _, p := range v.Points {
		for _, name := range v.Backends {
			for _, figure := range []string{m.name, m.also} {
				if _, f, ok := of(p, name, figure); ok {
					if x, ok := value(f.Value); ok {
						m.hi = max(m.hi, x)
					}
				}
			}
		}
	}
	return m
}

// limitOf is the upper limit that a threshold sets for a figure.
func limitOf(b sweep.Backend, figure string) (float64, bool) {
	for _, t := range b.Thresholds {
		text := t.Text
		if _, after, ok := strings.Cut(text, ": "); ok {
			text = after
		}
		if strings.HasPrefix(text, figure+" <") && t.Limit > 0 {
			return t.Limit, true
		}
	}
	return 0, false
}

// along is where a point lies on the axis along the plots.
func (v sweepView) along(p sweep.Point) float64 {
	axis := v.Axes[v.x]
	at := p.At[v.x]
	if len(axis.Numbers) == len(axis.Values) {
		return axis.Numbers[at]
	}
	return float64(at)
}

// horizontal makes the axis along a plot.
func (v sweepView) horizontal(p *plot.Plot, numbers bool) {
	axis := v.Axes[v.x]
	var at []float64
	for i := range axis.Values {
		if len(axis.Numbers) == len(axis.Values) {
			at = append(at, axis.Numbers[i])
		} else {
			at = append(at, float64(i))
		}
	}
	lo, hi := slices.Min(at), slices.Max(at)
	if v.logarithmic() {
		p.X.Scale = plot.LogScale{}
		spread := math.Pow(max(hi/lo, 1.5), 0.05)
		p.X.Min, p.X.Max = lo/spread, hi*spread
	} else {
		room := max(hi-lo, math.Abs(hi)*0.1, 0.5) * 0.05
		p.X.Min, p.X.Max = lo-room, hi+room
	}
	place := func(x float64) float64 {
		if v.logarithmic() {
			return (math.Log(x) - math.Log(p.X.Min)) / (math.Log(p.X.Max) - math.Log(p.X.Min))
		}
		return (x - p.X.Min) / (p.X.Max - p.X.Min)
	}
	order := make([]int, len(at))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(at[a], at[b]) })
	sty := sans(textSize, false, ink)
	const room = 600 // points, less than what an axis takes
	var ticks plot.ConstantTicks
	end := math.Inf(-1)
	for _, i := range order {
		label := axis.Values[i]
		if len(axis.Numbers) == len(axis.Values) {
			label = number(axis.Numbers[i])
		}
		label = short(plain(label), 24)
		t := plot.Tick{Value: at[i]}
		half := sty.Width(label).Points()/room/2 + 0.006
		if x := place(at[i]); x-half > end {
			t.Label, end = label, x+half
		}
		ticks = append(ticks, t)
	}
	p.X.Tick.Marker = ticks
	p.X.Tick.Label.Font.Size, p.X.Tick.Label.Color = sty.Font.Size, ink
	if !numbers {
		p.X.Tick.Label.Font.Size, p.X.Tick.Label.Color = 1, color.Transparent // the panel at the bottom carries the numbers
	}
}

// logarithmic reports whether the axis along the plots is.
func (v sweepView) logarithmic() bool {
	axis := v.Axes[v.x]
	return axis.Log && len(axis.Numbers) == len(axis.Values) && slices.Min(axis.Numbers) > 0
}

// limitLine is a threshold's limit; extrapolatedShade the ground where something is extrapolated.
var limitLine = draw.LineStyle{Color: black, Width: 1.2, Dashes: []vg.Length{6, 3}}

var extrapolatedShade = color.NRGBA{R: 0xf1, G: 0xee, B: 0xe4, A: 255}

// outside counts the points of which something is extrapolated.
func (v sweepView) outside() (n int) {
	for _, p := range v.Points {
		if slices.ContainsFunc(p.Backends, func(b sweep.Backend) bool { return len(b.Extrapolated) > 0 }) {
			n++
		}
	}
	return n
}

// beyond shades where something is extrapolated, unless that is everywhere.
func (v sweepView) beyond(row sweepRow) plot.Plotter {
	everywhere := v.outside() == len(v.Points)
	return plotFunc(func(c draw.Canvas, p *plot.Plot) {
		if everywhere {
			return
		}
		trX, _ := p.Transforms(&c)
		type column struct {
			x   vg.Length
			out bool
		}
		var all []column
		for _, pt := range row.points {
			all = append(all, column{trX(v.along(pt)), slices.ContainsFunc(pt.Backends, func(b sweep.Backend) bool { return len(b.Extrapolated) > 0 })})
		}
		slices.SortFunc(all, func(a, b column) int { return cmp.Compare(a.x, b.x) })
		for i, col := range all {
			if !col.out {
				continue
			}
			from, to := c.Min.X, c.Max.X
			if i > 0 {
				from = (all[i-1].x + col.x) / 2
			}
			if i < len(all)-1 {
				to = (all[i+1].x + col.x) / 2
			}
			c.SetColor(extrapolatedShade)
			c.Fill(vg.Rectangle{Min: vg.Point{X: from, Y: c.Min.Y}, Max: vg.Point{X: to, Y: c.Max.Y}}.Path())
		}
	})
}

// panel draws a figure of one row of points: a line for each backend, with intervals.
func (v sweepView) panel(m sweepMetric, k int, head string) panel {
	row := v.rows[k]
	p := newPlot(true, true, v.beyond(row))
	v.horizontal(p, false)
	rail := m.hi
	if m.counted {
		p.Y.Min, p.Y.Max, p.Y.Tick.Marker = -m.hi*0.04, m.hi*1.2, countTicks{4}
	} else {
		rail = m.hi * math.Pow(m.hi/m.lo, 0.1) * 1.15
		p.Y.Min, p.Y.Max, p.Y.Scale, p.Y.Tick.Marker = m.lo/1.25, rail*1.15, plot.LogScale{}, v.levels()
	}
	p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
		trX, trY := p.Transforms(&c)
		limits := map[float64]bool{}
		for _, pt := range row.points {
			for _, b := range pt.Backends {
				if limit, ok := limitOf(b, m.name); ok && !m.counted && limit >= p.Y.Min && limit <= p.Y.Max && !limits[limit] {
					limits[limit] = true
					c.StrokeLine2(limitLine, c.Min.X, trY(limit), c.Max.X, trY(limit))
				}
			}
		}
		for i, name := range v.Backends {
			lk := lookOf(i)
			off := 6 * (vg.Length(i) - vg.Length(len(v.Backends)-1)/2)
			line := func(figure string, width vg.Length, marked bool) {
				var path []vg.Point
				flush := func() {
					if len(path) > 1 {
						c.StrokeLines(draw.LineStyle{Color: lk.color, Width: width, Dashes: lk.dashes}, path)
					}
					path = nil
				}
				points := slices.Clone(row.points)
				slices.SortFunc(points, func(a, b sweep.Point) int { return cmp.Compare(v.along(a), v.along(b)) })
				for _, pt := range points {
					_, f, _ := of(pt, name, figure)
					if x, ok := value(f.Value); ok {
						if !m.counted {
							x = max(x, 0.001)
						}
						path = append(path, vg.Point{X: trX(v.along(pt)) + off, Y: trY(x)})
					} else {
						flush() // where nothing can be told there is no line
					}
				}
				flush()
				if !marked {
					return
				}
				for _, pt := range points {
					b, f, ok := of(pt, name, figure)
					if b.Name == "" {
						continue
					}
					at := vg.Point{X: trX(v.along(pt)) + off, Y: trY(rail)}
					x, told := value(f.Value)
					if !ok || !told {
						if !m.counted {
							beyondMark(c, lk.color, at)
						}
						continue
					}
					if !m.counted {
						x = max(x, 0.001)
					}
					at.Y = trY(x)
					if f.CI != nil && !m.counted {
						from, _ := positive(&f.CI[0])
						to, _ := positive(&f.CI[1])
						upright(c, lk.color, at.X, max(trY(from), c.Min.Y), min(trY(to), c.Max.Y))
					}
					glyph(c, lk.glyph, lk.color, 4, at)
					if b.Verdict != "passed" {
						glyph(c, draw.CircleGlyph{}, white, 1.8, at)
					}
				}
			}
			if m.also != "" {
				line(m.also, 0.8, false)
			}
			line(m.name, 1.8, true)
		}
	}))
	height := vg.Length(150)
	if v.low() || m.counted {
		height = 96
	}
	return panel{plot: p, head: head, y: m.axis, above: 24, height: 24 + height}
}

// low reports whether there are so many panels that each is low.
func (v sweepView) low() bool { return len(v.rows) > 3 }

// levels are the ticks of logarithmic axes, as many as the panels' height has room for.
func (v sweepView) levels() plot.Ticker {
	if !v.low() {
		return logTicks{}
	}
	return plot.TickerFunc(func(lo, hi float64) []plot.Tick {
		ticks := logTicks{}.Ticks(lo, hi)
		if math.Log10(hi/lo) > 1.6 {
			for i, t := range ticks {
				if e := math.Log10(t.Value); math.Abs(e-math.Round(e)) > 1e-9 {
					ticks[i].Label = ""
				}
			}
		}
		return ticks
	})
}

// below gives the lowest panel of a figure the numbers of the axis, and the figure its caption.
func (v sweepView) below(f figure) figure {
	last := &f.panels[len(f.panels)-1]
	v.horizontal(last.plot, true)
	axis := v.Axes[v.x]
	last.x = axis.Path
	if axis.Unit != "" {
		last.x += ", " + axis.Unit
	}
	if v.logarithmic() {
		last.x += " (logarithmic)"
	}
	last.height += axisName + 12
	f.caption = fmt.Sprintf("Each mark is %d replications with the same seeds at every point; intervals are over replications, counts are of all of them together. Where several backends are drawn, marks of one value stand side by side. ", len(v.Seeds))
	if v.more > 0 {
		f.caption += fmt.Sprintf("%d values of %s are left out here; the table has them. ", v.more, v.Axes[1-v.x].Path)
	}
	if v.outside() == len(v.Points) {
		f.caption += "Every point is extrapolated. "
	}
	if !v.Complete {
		f.caption += "The sweep is not complete. "
	}
	f.caption += v.by
	return f
}

// legend is that of the figures named.
func (v sweepView) legend(metrics ...sweepMetric) (keys []key) {
	for i, name := range v.Backends {
		keys = append(keys, lineKey(name+" (simulated)", lookOf(i), 1.8, true))
	}
	intervals, broken, untold := false, false, false
	var limits []float64
	for _, p := range v.Points {
		for _, b := range p.Backends {
			broken = broken || b.Verdict != "passed"
			for _, m := range metrics {
				if limit, ok := limitOf(b, m.name); ok && !m.counted && limit <= m.hi && limit >= m.lo && !slices.Contains(limits, limit) {
					limits = append(limits, limit)
				}
				f, ok := b.Figure(m.name)
				intervals = intervals || f.CI != nil
				if _, told := value(f.Value); (!ok || !told) && !m.counted {
					untold = true
				}
			}
		}
	}
	if intervals {
		keys = append(keys, key{"95 % interval", func(c draw.Canvas, at vg.Point) { upright(c, ink, at.X, at.Y-6, at.Y+6) }})
	}
	if broken {
		keys = append(keys, key{"a threshold is broken or unknown", func(c draw.Canvas, at vg.Point) {
			glyph(c, draw.CircleGlyph{}, ink, 4, at)
			glyph(c, draw.CircleGlyph{}, white, 1.8, at)
		}})
	}
	if untold {
		keys = append(keys, key{"not told", func(c draw.Canvas, at vg.Point) { beyondMark(c, ink, at) }})
	}
	for _, m := range metrics {
		if m.also != "" {
			keys = append(keys, lineKey("late", look{color: ink}, 0.8, false))
		}
	}
	for _, limit := range limits {
		keys = append(keys, key{"limit " + duration(limit), func(c draw.Canvas, at vg.Point) {
			c.StrokeLine2(limitLine, at.X-keyWidth/2, at.Y, at.X+keyWidth/2, at.Y)
		}})
	}
	if n := v.outside(); n > 0 && n < len(v.Points) {
		keys = append(keys, shadeKey("extrapolated", extrapolatedShade))
	}
	return keys
}

// finding says from what to what a figure goes.
func (v sweepView) finding(m sweepMetric) string {
	axis := v.Axes[v.x]
	var parts []string
	for _, name := range v.Backends {
		lo, hi := math.Inf(1), math.Inf(-1)
		first, last := "", ""
		points := slices.Clone(v.Points)
		slices.SortStableFunc(points, func(a, b sweep.Point) int { return cmp.Compare(v.along(a), v.along(b)) })
		beyond := "" // from where on nothing is told
		for _, pt := range points {
			_, f, _ := of(pt, name, m.name)
			x, ok := value(f.Value)
			if !ok {
				if first != "" && beyond == "" {
					beyond = axis.Values[pt.At[v.x]]
				}
				continue
			}
			beyond = ""
			lo, hi = min(lo, x), max(hi, x)
			if last = m.say(x); first == "" {
				first = last
			}
		}
		switch {
		case first == "":
			continue
		case len(v.rows) > 1: // then ends of the axis are many
			first, last, beyond = m.say(lo), m.say(hi), ""
		}
		if beyond != "" {
			last += " (not told from " + beyond + " on)"
		}
		if first == last {
			parts = append(parts, fmt.Sprintf("%s on %s", first, name))
		} else {
			parts = append(parts, fmt.Sprintf("%s to %s on %s", first, last, name))
		}
	}
	const few = 3
	if len(parts) > few {
		parts = append(parts[:few:few], fmt.Sprintf("and %d more", len(parts)-few))
	}
	what := capital(m.what)
	if m.counted {
		what = "Segments missed"
	}
	if len(parts) == 0 {
		return what + ": nothing could be told (simulated)"
	}
	if len(v.rows) > 1 {
		return fmt.Sprintf("%s (simulated): %s", what, strings.Join(parts, "; "))
	}
	return fmt.Sprintf("%s, %s=%s to %s (simulated): %s", what, axis.Path, axis.Values[0], axis.Values[len(axis.Values)-1], strings.Join(parts, "; "))
}

// say writes a value of the figure.
func (m sweepMetric) say(v float64) string {
	if m.counted {
		return number(v)
	}
	return duration(v)
}

// countTicks marks whole numbers alone.
type countTicks struct{ n int }

// Ticks implements plot.Ticker.
func (t countTicks) Ticks(lo, hi float64) []plot.Tick {
	return slices.DeleteFunc(evenTicks(t).Ticks(lo, hi), func(t plot.Tick) bool { return t.Value < 0 || t.Value != math.Trunc(t.Value) })
}

// saturation shows, for each backend, what fills up: the parts of the model over the axis, and what readers got.
func (v sweepView) saturation() figure {
	const most = 6
	f := figure{name: "saturation", title: "Nothing is known of how busy the model's parts were"}
	row := v.rows[len(v.rows)-1]
	points := slices.Clone(row.points)
	slices.SortFunc(points, func(a, b sweep.Point) int { return cmp.Compare(v.along(a), v.along(b)) })
	full, part, whose := "", -1.0, ""
	drawn := map[string]int{} // looks of tiers, the same in each panel
	for _, name := range v.Backends {
		var names []string
		top := map[string]float64{}
		for _, pt := range points {
			for _, b := range pt.Backends {
				if b.Name != name {
					continue
				}
				for _, fig := range b.Figures {
					tier, ok := strings.CutPrefix(fig.Name, v.phase+" ")
					if !ok {
						continue
					}
					if tier, ok = strings.CutSuffix(tier, " busy"); !ok {
						continue
					}
					if x, ok := value(fig.Value); ok {
						if _, seen := top[tier]; !seen {
							names = append(names, tier)
						}
						top[tier] = max(top[tier], x)
						if x > part {
							full, part, whose = tier, x, name
						}
					}
				}
			}
		}
		if len(names) == 0 {
			continue
		}
		slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(top[b], top[a]) })
		names = names[:min(most, len(names))]
		for _, tier := range names {
			if _, ok := drawn[tier]; !ok {
				drawn[tier] = len(drawn)
				f.legend = append(f.legend, lineKey(tier, lookOf(drawn[tier]), 1.8, true))
			}
		}
		p := newPlot(true, true, v.beyond(row))
		v.horizontal(p, false)
		p.Y.Min, p.Y.Max = 0, 108
		p.Y.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 50, Label: "50"}, {Value: 100, Label: "100"}}
		p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
			trX, trY := p.Transforms(&c)
			for _, tier := range names {
				lk := lookOf(drawn[tier])
				var path []vg.Point
				for _, pt := range points {
					_, fig, _ := of(pt, name, v.phase+" "+tier+" busy")
					if x, ok := value(fig.Value); ok {
						path = append(path, vg.Point{X: trX(v.along(pt)), Y: trY(100 * max(0, min(x, 1)))})
					}
				}
				if len(path) > 1 {
					c.StrokeLines(draw.LineStyle{Color: lk.color, Width: 1.8, Dashes: lk.dashes}, path)
				}
				for _, at := range path {
					glyph(c, lk.glyph, lk.color, 3.5, at)
				}
			}
		}))
		f.panels = append(f.panels, panel{plot: p, head: name + " (simulated)", y: "% used", above: 24, height: 24 + 120})
	}
	if len(f.panels) == 0 {
		f.panels = []panel{{plot: nothing("the model's parts have no figures"), height: 120}}
		f.caption = v.by
		return f
	}
	f.title = fmt.Sprintf("The fullest part of the model %s: the %s of %s, %s at most (simulated)", inPhase(v.phase), full, whose, percent(part))
	f = v.below(f)
	f.caption = "Averages of the windows, all nodes of a part together. " + f.caption
	if row.head != "" {
		f.caption = "At " + row.head + ". " + f.caption
	}
	return f
}

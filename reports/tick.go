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
)

// averageLine marks an average over what moves around it.
var averageLine = draw.LineStyle{Color: ink, Width: 0.9, Dashes: []vg.Length{2, 2}}

// tickLine is how busy the tiers of one simulated backend are over a segment's time.
type tickLine struct {
	name  string
	look  look
	order []string // of tiers
	tiers map[string][]float64
}

func mean(used []float64) (sum float64) {
	for _, v := range used {
		sum += v
	}
	return sum / float64(max(1, len(used)))
}

func peak(used []float64) float64 {
	if len(used) == 0 {
		return 0
	}
	return slices.Max(used)
}

// fullness orders what is full: by the peak, and of those that are equally full for a moment by the average.
func fullness(used []float64) float64 { return math.Round(100*peak(used)) + mean(used)/2 }

// tickFigure draws a panel for each tier with a line for each backend over a segment's time, the fullest tier first; about is the backend
// that the title speaks of, and segmentMS a segment's time in ms, or 0 if it is not known.
func tickFigure(lines []tickLine, about int, segmentMS float64) figure {
	const most = 6
	var tiers []string
	fullest := func(tier string) (p float64) {
		for _, l := range lines {
			p = max(p, peak(l.tiers[tier]))
		}
		return p
	}
	for _, l := range lines {
		for _, tier := range l.order {
			if !slices.Contains(tiers, tier) && len(l.tiers[tier]) > 0 {
				tiers = append(tiers, tier)
			}
		}
	}
	slices.SortStableFunc(tiers, func(a, b string) int { return cmp.Compare(fullest(b), fullest(a)) })
	f := figure{name: "storm-at-the-tick"}
	if len(tiers) == 0 {
		f.title = "Nothing is known of how busy the model's parts were"
		f.panels = []panel{{plot: nothing("no part of the model was busy"), height: 120}}
		return f
	}
	f.title = "How busy the model's parts are when segments are due (simulated)"
	var top string
	for _, tier := range lines[about].order {
		if used := lines[about].tiers[tier]; top == "" || fullness(used) > fullness(lines[about].tiers[top]) {
			top = tier
		}
	}
	if used := lines[about].tiers[top]; len(used) > 0 {
		f.title = fmt.Sprintf("When segments are due, the %s of %s reach %s; over a segment's time they are used to %s (simulated)", top, lines[about].name,
			percent(peak(used)), percent(mean(used)))
	}
	var idle []string
	for _, tier := range tiers[min(most, len(tiers)):] {
		idle = append(idle, fmt.Sprintf("%s (%s at most)", tier, percent(fullest(tier))))
	}
	tiers = tiers[:min(most, len(tiers))]
	alone := len(lines) == 1
	end, x := 100.0, "per cent of a segment's time since segments were due"
	if segmentMS > 0 {
		end, x = segmentMS, "ms since segments were due"
	}
	for k, tier := range tiers {
		p := newPlot(false, true)
		p.X.Min, p.X.Max, p.X.Tick.Marker = 0, end, evenTicks{10}
		p.Y.Min, p.Y.Max, p.Y.Tick.Marker = 0, 108, plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 50, Label: "50"}, {Value: 100, Label: "100"}}
		if k < len(tiers)-1 {
			p.X.Tick.Label.Font.Size, p.X.Tick.Label.Color = 1, color.Transparent // the panel at the bottom carries the numbers
		}
		p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
			trX, trY := p.Transforms(&c)
			for _, l := range lines {
				used := l.tiers[tier]
				if len(used) == 0 {
					continue
				}
				var area vg.Path
				area.Move(vg.Point{X: trX(0), Y: trY(0)})
				var line []vg.Point
				for i, v := range used {
					for _, at := range []float64{float64(i), float64(i + 1)} {
						pt := vg.Point{X: trX(at * end / float64(len(used))), Y: trY(100 * max(0, min(v, 1)))}
						area.Line(pt)
						line = append(line, pt)
					}
				}
				area.Line(vg.Point{X: trX(end), Y: trY(0)})
				area.Close()
				if alone {
					c.SetColor(estimateShade)
					c.Fill(area)
				}
				c.StrokeLines(draw.LineStyle{Color: l.look.color, Width: 1.6, Dashes: l.look.dashes}, line)
				if alone {
					y := trY(100 * min(mean(used), 1))
					c.StrokeLine2(averageLine, c.Min.X, y, c.Max.X, y)
				}
			}
		}))
		var parts []string
		for _, l := range lines {
			if used := l.tiers[tier]; len(used) > 0 && alone {
				parts = append(parts, fmt.Sprintf("%s at most, %s on average", percent(peak(used)), percent(mean(used))))
			} else if len(used) > 0 {
				parts = append(parts, fmt.Sprintf("%s on %s", percent(peak(used)), l.name))
			}
		}
		head := tier + ": " + strings.Join(parts, ", ")
		if !alone {
			head = tier + ", at most " + strings.Join(parts, ", ")
		}
		pn := panel{plot: p, head: fitting(sans(headSize, true, black), figureWidth-2*margin, head), above: 24, height: 24 + 62, y: "% used"}
		if k == len(tiers)-1 {
			pn.x, pn.height = x, pn.height+axisName+12
		}
		f.panels = append(f.panels, pn)
	}
	if alone {
		f.legend = []key{lineKey("part of the capacity in use", look{color: lines[0].look.color}, 1.6, false), {"its average", func(c draw.Canvas, at vg.Point) {
			c.StrokeLine2(averageLine, at.X-keyWidth/2, at.Y, at.X+keyWidth/2, at.Y)
		}}}
	} else {
		for _, l := range lines {
			f.legend = append(f.legend, lineKey(l.name+" (simulated)", l.look, 1.6, false))
		}
	}
	f.caption = "The segments' times laid over one another, all nodes of a tier together, the fullest tier first. "
	if len(idle) > 0 {
		f.caption += "Not drawn: " + strings.Join(idle, ", ") + ". "
	}
	return f
}

// useRow is one row of a plot of utilisation.
type useRow struct {
	name       string
	part, peak float64 // peak below 0: not known
	limit      float64 // 0: none is known
	other      float64 // a second part, drawn hollow; below 0: none
}

// usePanel draws rows of utilisation: a bar for the average, a diamond for the peak, an upright line for the limit.
func usePanel(head string, rows []useRow) panel {
	const row = vg.Length(19)
	p := newPlot(true, false)
	p.X.Min, p.X.Max, p.X.Tick.Marker = 0, 112, plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 20, Label: "20"}, {Value: 40, Label: "40"}, {Value: 60, Label: "60"}, {Value: 80, Label: "80"}, {Value: 100, Label: "100"}}
	p.Y.Min, p.Y.Max = -float64(max(1, len(rows))), 0
	p.Y.LineStyle.Width, p.Y.Tick.Length = 0, 0
	var ticks plot.ConstantTicks
	for i, u := range rows {
		ticks = append(ticks, plot.Tick{Value: -float64(i) - 0.5, Label: plain(u.name)})
	}
	if len(ticks) == 0 {
		ticks = plot.ConstantTicks{{Value: -0.5, Label: " "}}
	}
	p.Y.Tick.Marker = ticks
	p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
		if len(rows) == 0 {
			saySomething(c, "nothing is known of how busy it was")
		}
		trX, trY := p.Transforms(&c)
		for i, u := range rows {
			y := trY(-float64(i) - 0.5)
			bar := vg.Rectangle{Min: vg.Point{X: trX(0), Y: y - 5}, Max: vg.Point{X: trX(100 * min(u.part, 1.01)), Y: y + 5}}
			c.SetColor(blue)
			c.Fill(bar.Path())
			end := bar.Max.X
			if u.other >= 0 {
				x := trX(100 * min(u.other, 1.01))
				c.StrokeLine2(draw.LineStyle{Color: ink, Width: 2.2}, x, y-5, x, y+5)
				end = max(end, x)
			}
			if u.limit > 0 {
				x := trX(100 * u.limit)
				c.StrokeLine2(draw.LineStyle{Color: vermillion, Width: 1.6}, x, y-8, x, y+8)
			}
			if u.peak >= 0 {
				x := trX(100 * min(u.peak, 1.01))
				glyph(c, diamondGlyph{}, black, 4.5, vg.Point{X: x, Y: y})
				glyph(c, diamondGlyph{}, yellow, 3, vg.Point{X: x, Y: y})
			}
			// The figure stands to the right of its bar, unless a mark is in its way.
			txt, sty := percent(u.part), sans(captionSize, true, ink)
			w := sty.Width(txt)
			at := end + 4
			blocked := func(v float64) bool { x := trX(100 * v); return v > 0 && at-6 < x && x < at+w+6 }
			for range 3 {
				if blocked(u.limit) {
					at = trX(100*u.limit) + 6
				}
				if u.peak >= 0 && blocked(min(u.peak, 1.01)) {
					at = trX(100*min(u.peak, 1.01)) + 8
				}
			}
			say(c, sty, vg.Point{X: at, Y: y}, draw.XLeft, draw.YCenter, txt)
		}
	}))
	return panel{plot: p, head: head, above: 24, height: 24 + 14 + row*vg.Length(max(2, len(rows)))}
}

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

	"origin-storm/storm/capacity"
)

// capacityFigures are the plots of a capacity report, in the order in which a team asks.
func capacityFigures(r capacity.Report) []figure {
	return []figure{capacityFrontier(r), capacityTick(r), capacityUse(r), capacityBreaks(r), capacityLosses(r)}
}

// simulatedBy is the sentence that every plot of simulated figures carries.
func simulatedBy(profile string) string {
	return fmt.Sprintf("Every figure is simulated, with the costs of the profile %s; nothing here was measured.", cmp.Or(profile, "that the report names"))
}

// chosen is the backend that the verdict is about: the one that is marked, or else the first.
func chosen(r capacity.Report) capacity.Backend {
	for _, b := range r.Backends {
		if b.Chosen {
			return b
		}
	}
	if len(r.Backends) > 0 {
		return r.Backends[0]
	}
	return capacity.Backend{}
}

// people writes a number of viewers as it is said.
func people(n int64) string {
	switch v := float64(n); {
	case v >= 1e9:
		return number(v/1e9) + " billion"
	case v >= 1e6:
		return number(v/1e6) + " million"
	}
	return count(n)
}

// overloaded reports whether a latency has no p99 because it grows as long as the storm lasts.
func overloaded(l capacity.Latency) bool {
	_, told := value(l.P99)
	return !told && l.Count > 0 && strings.Contains(l.Note, "overload")
}

// endless is what stands for a percentile that grows as long as the storm lasts, or that could not be told for another reason.
func endless(l capacity.Latency) string {
	if overloaded(l) {
		return "overloaded"
	}
	return "not told"
}

// writeTail is a write p99 in words.
func writeTail(l capacity.Latency) string {
	if v, ok := value(l.P99); ok {
		return duration(v)
	}
	return endless(l)
}

// reach adds the figures of a latency to the range of an axis.
func reach(lo, hi *float64, l capacity.Latency) {
	see := func(p *float64) {
		if v, ok := positive(p); ok {
			*lo, *hi = min(*lo, v), max(*hi, v)
		}
	}
	see(l.P99)
	if l.P99CI != nil {
		see(&l.P99CI[0])
		see(&l.P99CI[1])
	}
}

// beyondMark points upwards: the figure lies beyond the axis.
func beyondMark(c draw.Canvas, col color.Color, at vg.Point) {
	sty := draw.LineStyle{Color: col, Width: 2}
	c.StrokeLine2(sty, at.X, at.Y-6, at.X, at.Y+5)
	c.StrokeLines(sty, []vg.Point{{X: at.X - 4, Y: at.Y + 1}, {X: at.X, Y: at.Y + 6}, {X: at.X + 4, Y: at.Y + 1}})
}

// untoldMark is a dash where a figure could not be told.
func untoldMark(c draw.Canvas, col color.Color, at vg.Point) {
	c.StrokeLine2(draw.LineStyle{Color: col, Width: 2}, at.X-4, at.Y, at.X+4, at.Y)
}

// extremes are the legend's entries for what lies beyond an axis, and for what could not be told.
func extremes(beyond, untold bool) (keys []key) {
	if beyond {
		keys = append(keys, key{"overloaded: grows as long as the storm lasts", func(c draw.Canvas, at vg.Point) { beyondMark(c, ink, at) }})
	}
	if untold {
		keys = append(keys, key{"not told", func(c draw.Canvas, at vg.Point) { untoldMark(c, ink, at) }})
	}
	return keys
}

// upright is a vertical whisker: an interval of what the vertical axis has.
func upright(c draw.Canvas, col color.Color, x, from, to vg.Length) {
	sty := draw.LineStyle{Color: col, Width: 1.1}
	c.StrokeLine2(sty, x, from, x, to)
	c.StrokeLine2(sty, x-3, from, x+3, from)
	c.StrokeLine2(sty, x-3, to, x+3, to)
}

// capacityFrontier shows the write p99 over viewers, a panel for each bit rate and a line for each backend.
func capacityFrontier(r capacity.Report) figure {
	f := figure{name: "frontier"}
	var rates []float64
	var viewers []int64
	size, whose := loadSize(r)
	lo, hi := math.Inf(1), math.Inf(-1)
	missed, breaks, beyond, untold, intervals := false, false, false, false, false
	for _, b := range r.Backends {
		for _, p := range b.Frontier {
			rates, viewers = append(rates, p.BitRate), append(viewers, size(p))
			reach(&lo, &hi, p.Write)
			missed, breaks, intervals = missed || p.Missed > 0, breaks || !p.Holds, intervals || p.Write.P99CI != nil
			if _, told := value(p.Write.P99); !told {
				beyond, untold = beyond || overloaded(p.Write), untold || !overloaded(p.Write)
			}
		}
	}
	slices.Sort(rates)
	slices.Sort(viewers)
	rates, viewers = slices.Compact(rates), slices.Compact(viewers)
	f.title = frontierFinding(r)
	if len(viewers) == 0 {
		f.panels = []panel{{plot: nothing("no frontier was simulated"), height: 120}}
		f.caption = simulatedBy(r.Profile.Name)
		return f
	}
	if lo > hi {
		lo, hi = 1, 1000
	}
	rail := hi * 1.6 // where what lies beyond the axis is marked
	asked := chosen(r).Asked
	for k, rate := range rates {
		p := newPlot(true, true)
		p.X.Min, p.X.Max = float64(viewers[0])/1.15, float64(viewers[len(viewers)-1])*1.15
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, viewerTicks(viewers)
		p.Y.Min, p.Y.Max, p.Y.Scale, p.Y.Tick.Marker = lo/1.25, rail*1.25, plot.LogScale{}, logTicks{}
		if k < len(rates)-1 {
			p.X.Tick.Label.Font.Size, p.X.Tick.Label.Color = 1, color.Transparent // the panel at the bottom carries the numbers
		}
		p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
			trX, trY := p.Transforms(&c)
			if at := size(asked); rate == asked.BitRate && at > 0 {
				if x := trX(float64(at)); c.ContainsX(x) {
					c.StrokeLine2(draw.LineStyle{Color: black, Width: 1.3}, x, c.Min.Y, x, c.Max.Y)
					say(c, sans(captionSize, true, black), vg.Point{X: x, Y: c.Max.Y + 2}, draw.XCenter, draw.YBottom, "the event")
				}
			}
			for i, b := range r.Backends {
				lk := lookOf(i)
				var path []vg.Point
				var row []capacity.Point
				for _, pt := range b.Frontier {
					if pt.BitRate == rate {
						row = append(row, pt)
					}
				}
				slices.SortStableFunc(row, func(a, b capacity.Point) int { return cmp.Compare(size(a), size(b)) })
				// Backends stand beside one another where their marks would hide each other.
				off := 7 * (vg.Length(i) - vg.Length(len(r.Backends)-1)/2)
				for _, pt := range row {
					if v, ok := positive(pt.Write.P99); ok {
						path = append(path, vg.Point{X: trX(float64(size(pt))) + off, Y: trY(v)})
					}
				}
				if len(path) > 1 {
					c.StrokeLines(draw.LineStyle{Color: lk.color, Width: 1.6, Dashes: lk.dashes}, path)
				}
				for _, pt := range row {
					at := vg.Point{X: trX(float64(size(pt))) + off, Y: trY(rail)}
					v, ok := positive(pt.Write.P99)
					if ok {
						at.Y = trY(v)
						if ci := pt.Write.P99CI; ci != nil {
							from, _ := positive(&ci[0])
							to, _ := positive(&ci[1])
							upright(c, lk.color, at.X, trY(from), trY(to))
						}
						glyph(c, lk.glyph, lk.color, 4, at)
						if !pt.Holds {
							glyph(c, draw.CircleGlyph{}, white, 1.8, at)
						}
					} else if overloaded(pt.Write) {
						beyondMark(c, lk.color, at)
					} else {
						untoldMark(c, lk.color, at)
					}
					if pt.Missed > 0 {
						missedMark(c, vg.Point{X: at.X, Y: at.Y - 13})
					}
				}
			}
		}))
		pn := panel{plot: p, head: number(rate) + " Mbit/s a viewer", y: "write p99, ms (log)", above: 26, height: 26 + 128}
		if k == len(rates)-1 {
			pn.x, pn.height = whose+" (logarithmic)", pn.height+axisName+12
		}
		f.panels = append(f.panels, pn)
	}
	for i, b := range r.Backends {
		if len(b.Frontier) > 0 {
			f.legend = append(f.legend, lineKey(b.Name+" (simulated)", lookOf(i), 1.6, true))
		}
	}
	if intervals {
		f.legend = append(f.legend, key{"95 % interval", func(c draw.Canvas, at vg.Point) { upright(c, ink, at.X, at.Y-6, at.Y+6) }})
	}
	if breaks {
		f.legend = append(f.legend, key{"a threshold or a limit is broken", func(c draw.Canvas, at vg.Point) {
			glyph(c, draw.CircleGlyph{}, ink, 4, at)
			glyph(c, draw.CircleGlyph{}, white, 1.8, at)
		}})
	}
	f.legend = append(f.legend, extremes(beyond, untold)...)
	if missed {
		f.legend = append(f.legend, key{"segments missed", missedMark})
	}
	f.caption = fmt.Sprintf("Each mark is a storm with so many %s; the CDN, and with it what the origin is asked for, grows with them, and nodes do not. ", whose)
	if len(f.legend) > 1 && len(r.Backends) > 1 {
		f.caption += fmt.Sprintf("All run on as many nodes of the store as %s takes, so that the cache is all that differs. ", chosen(r).Name)
	}
	f.caption += "Marks of one column stand side by side for the same number of " + whose + ". " +
		simulatedBy(r.Profile.Name)
	return f
}

// loadSize is what tells how large a load of the frontier is, and its name: viewers, or where the scenario has no audience, the readers
// that ask the origin.
func loadSize(r capacity.Report) (size func(capacity.Point) int64, name string) {
	for _, b := range r.Backends {
		for _, p := range b.Frontier {
			if p.Viewers > 0 {
				return func(p capacity.Point) int64 { return p.Viewers }, "viewers"
			}
		}
	}
	return func(p capacity.Point) int64 { return int64(p.Fillers) }, "readers"
}

// viewerTicks marks numbers of viewers or readers, as far as they find room on a logarithmic axis.
func viewerTicks(viewers []int64) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	span := math.Log(float64(viewers[len(viewers)-1])/float64(viewers[0])) + 0.3
	last := math.Inf(-1)
	for _, n := range viewers {
		t := plot.Tick{Value: float64(n)}
		if at := math.Log(float64(n)); at-last >= 0.13*span {
			t.Label, last = people(n), at
		}
		ticks = append(ticks, t)
	}
	return ticks
}

// frontierFinding says what writes take for the event itself, on each backend.
func frontierFinding(r capacity.Report) string {
	var parts []string
	size, whose := loadSize(r)
	a := chosen(r).Asked
	for _, b := range r.Backends {
		for _, p := range b.Frontier {
			if size(p) == size(a) && p.BitRate == a.BitRate {
				parts = append(parts, fmt.Sprintf("%s on %s", writeTail(p.Write), b.Name))
			}
		}
	}
	if len(parts) == 0 {
		return fmt.Sprintf("Write p99 over %s and bit rates (simulated)", whose)
	}
	return fmt.Sprintf("%s %s at %s Mbit/s: the storm's write p99 is %s (simulated)", capital(people(size(a))), whose, number(a.BitRate), strings.Join(parts, ", "))
}

// capacityTick shows how the tiers fill when segments are due.
func capacityTick(r capacity.Report) figure {
	var lines []tickLine
	about := 0
	for i, b := range r.Backends {
		if b.Name == chosen(r).Name {
			about = len(lines)
		}
		l := tickLine{name: b.Name, look: lookOf(i), tiers: map[string][]float64{}}
		for _, t := range b.Tick {
			l.tiers[t.Tier] = t.Used
			l.order = append(l.order, t.Tier)
		}
		lines = append(lines, l)
	}
	f := tickFigure(lines, about, 0)
	f.caption += fmt.Sprintf("The load is the %s Gbit/s that the origin of one region is sized for. ", number(r.TargetGbit)) + simulatedBy(r.Profile.Name)
	return f
}

// capacityUse shows for each backend which part of each tier the target takes.
func capacityUse(r capacity.Report) figure {
	f := figure{name: "utilisation"}
	for _, b := range r.Backends {
		asked := map[string]float64{}
		for _, u := range b.Asked.Used {
			asked[u.Tier] = u.Part
		}
		var rows []useRow
		for _, u := range b.Target.Used {
			other, ok := asked[u.Tier]
			if !ok {
				other = -1
			}
			peak := u.Peak
			if peak < u.Part || peak == 0 { // memory and disk have none
				peak = -1
			}
			rows = append(rows, useRow{name: u.Tier, part: u.Part, peak: peak, limit: u.Limit, other: other})
		}
		f.panels = append(f.panels, usePanel(b.Name+" (simulated)", rows))
	}
	if len(f.panels) == 0 {
		f.panels = []panel{{plot: nothing("no backend was simulated"), height: 120}}
	} else {
		last := &f.panels[len(f.panels)-1]
		last.x, last.height = "% of a tier's capacity, all its nodes together", last.height+axisName
	}
	f.legend = []key{
		shadeKey(fmt.Sprintf("used at %s Gbit/s, on average", number(r.TargetGbit)), blue),
		{fmt.Sprintf("at the %s Gbit/s that are asked for", number(r.AskedGbit)), func(c draw.Canvas, at vg.Point) {
			c.StrokeLine2(draw.LineStyle{Color: ink, Width: 2.2}, at.X, at.Y-6, at.X, at.Y+6)
		}},
		{"busiest hundredth of a segment's time", func(c draw.Canvas, at vg.Point) {
			glyph(c, diamondGlyph{}, black, 4.5, at)
			glyph(c, diamondGlyph{}, yellow, 3, at)
		}},
		{"limit for the average", func(c draw.Canvas, at vg.Point) {
			c.StrokeLine2(draw.LineStyle{Color: vermillion, Width: 1.6}, at.X, at.Y-8, at.X, at.Y+8)
		}},
	}
	f.title = "How busy each tier is"
	fullest, share := capacity.Used{}, 0.0
	for _, u := range chosen(r).Target.Used {
		kept := strings.HasSuffix(u.Tier, "memory") || strings.HasSuffix(u.Tier, "disk") // they fill with what is kept, whoever reads
		if !kept && u.Limit > 0 && u.Part/u.Limit > share {
			fullest, share = u, u.Part/u.Limit
		}
	}
	if share > 0 {
		f.title = fmt.Sprintf("At %s Gbit/s the %s of %s are the nearest to their limit (simulated): %s on average, where %s may be",
			number(r.TargetGbit), fullest.Tier, chosen(r).Name, percent(fullest.Part), percent(fullest.Limit))
	}
	f.caption = "A bar is a storm window's average; at a tick a tier may be full for a moment (diamond) and still have time to spare. Memory and disk fill with what is published and kept, whoever reads. " + simulatedBy(r.Profile.Name)
	return f
}

// capacityBreaks shows at which multiple of the target each thing gives way.
func capacityBreaks(r capacity.Report) figure {
	const row = vg.Length(34)
	f := figure{name: "what-breaks-first", title: "Nothing was found to give way"}
	most := 1.0
	for _, b := range r.Backends {
		for _, k := range b.Breaks {
			most = max(most, k.Breaks, k.Holds)
		}
	}
	for _, b := range r.Backends {
		if len(b.Breaks) == 0 {
			continue
		}
		p := newPlot(true, false)
		p.X.Min, p.X.Max, p.X.Tick.Marker = 0, most*1.08, evenTicks{10}
		p.Y.Min, p.Y.Max = -float64(len(b.Breaks)), 0
		p.Y.LineStyle.Width, p.Y.Tick.Length = 0, 0
		var ticks plot.ConstantTicks
		for j, k := range b.Breaks {
			ticks = append(ticks, plot.Tick{Value: -float64(j) - 0.3, Label: fmt.Sprintf("%d. %s", k.Order, plain(short(k.Tier, 28)))})
		}
		p.Y.Tick.Marker = ticks
		p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
			trX, trY := p.Transforms(&c)
			for j, k := range b.Breaks {
				y := trY(-float64(j) - 0.3)
				c.StrokeLine2(draw.LineStyle{Color: blue, Width: 7}, trX(0), y, trX(k.Holds), y)
				c.StrokeLine2(draw.LineStyle{Color: black, Width: 1.6}, trX(1), y-7, trX(1), y+7)
				c.StrokeLine2(draw.LineStyle{Color: vermillion, Width: 7}, trX(k.Holds), y, max(trX(k.Breaks), trX(k.Holds)+3), y)
				txt := fmt.Sprintf("at %s times, %s Gbit/s: %s", number(k.Breaks), number(k.ReadGbit), k.Why)
				sty := sans(captionSize, false, ink)
				say(c, sty, vg.Point{X: c.Min.X + 4, Y: y - 15}, draw.XLeft, draw.YCenter, fitting(sty, c.Max.X-c.Min.X-8, txt))
			}
		}))
		f.panels = append(f.panels, panel{plot: p, head: b.Name + " (simulated)", above: 24, height: 24 + 16 + row*vg.Length(len(b.Breaks))})
	}
	if len(f.panels) == 0 {
		f.panels = []panel{{plot: nothing("nothing gave way within the loads that were tried"), height: 120}}
		f.caption = simulatedBy(r.Profile.Name)
		return f
	}
	last := &f.panels[len(f.panels)-1]
	last.x, last.height = fmt.Sprintf("times the target of %s Gbit/s", number(r.TargetGbit)), last.height+axisName
	f.legend = []key{
		{"holds up to here", func(c draw.Canvas, at vg.Point) {
			c.StrokeLine2(draw.LineStyle{Color: blue, Width: 7}, at.X-keyWidth/2, at.Y, at.X+keyWidth/2, at.Y)
		}},
		{"gives way in between", func(c draw.Canvas, at vg.Point) {
			c.StrokeLine2(draw.LineStyle{Color: vermillion, Width: 7}, at.X-keyWidth/2, at.Y, at.X+keyWidth/2, at.Y)
		}},
		{"the target", func(c draw.Canvas, at vg.Point) {
			c.StrokeLine2(draw.LineStyle{Color: black, Width: 1.6}, at.X, at.Y-7, at.X, at.Y+7)
		}},
	}
	if all := chosen(r).Breaks; len(all) > 0 {
		f.title = fmt.Sprintf("First to give way on %s (simulated): the %s, at %s times the target (%s Gbit/s)", chosen(r).Name, all[0].Tier, number(all[0].Breaks), number(all[0].ReadGbit))
		if len(all) > 1 {
			f.title += fmt.Sprintf("; then the %s, at %s times", all[1].Tier, number(all[1].Breaks))
		}
	}
	f.caption = "Each is found with all that gave way before it doubled. " + simulatedBy(r.Profile.Name)
	return f
}

// capacityLosses shows what losing something at the target does to writes.
func capacityLosses(r capacity.Report) figure {
	const row = vg.Length(36)
	f := figure{name: "losses", title: "What losing something at the peak does to writes"}
	lo, hi := math.Inf(1), math.Inf(-1)
	var worst capacity.Loss
	ratio := 0.0
	for _, b := range r.Backends {
		for _, l := range b.Losses {
			reach(&lo, &hi, l.Before.Write)
			reach(&lo, &hi, l.During.Write)
			before, ok := value(l.Before.Write.P99)
			during, told := value(l.During.Write.P99)
			if b.Chosen && ok && before > 0 {
				switch x := during / before; {
				case overloaded(l.During.Write) && !math.IsInf(ratio, 1):
					worst, ratio = l, math.Inf(1)
				case told && x > ratio:
					worst, ratio = l, x
				}
			}
		}
	}
	if lo > hi {
		lo, hi = 1, 1000
	}
	beyond, untold, missed, intervals := false, false, false, false
	rail := hi * math.Pow(hi/lo, 0.12)
	for i, b := range r.Backends {
		if len(b.Losses) == 0 {
			continue
		}
		lk := lookOf(i)
		p := newPlot(true, false)
		p.X.Min, p.X.Max, p.X.Scale, p.X.Tick.Marker = lo/1.2, rail*1.2, plot.LogScale{}, logTicks{}
		p.Y.Min, p.Y.Max = -float64(len(b.Losses)), 0
		p.Y.LineStyle.Width, p.Y.Tick.Length = 0, 0
		var ticks plot.ConstantTicks
		for j, l := range b.Losses {
			ticks = append(ticks, plot.Tick{Value: -float64(j) - 0.3, Label: plain(short(l.What, 30))})
			for _, w := range []capacity.Latency{l.Before.Write, l.During.Write} {
				_, told := value(w.P99)
				beyond, untold, intervals = beyond || overloaded(w), untold || !told && !overloaded(w), intervals || w.P99CI != nil
			}
			missed = missed || l.During.Missed > 0
		}
		p.Y.Tick.Marker = ticks
		p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
			trX, trY := p.Transforms(&c)
			for j, l := range b.Losses {
				y := trY(-float64(j) - 0.3)
				place := func(w capacity.Latency) (vg.Length, bool) {
					v, ok := positive(w.P99)
					if !ok {
						return trX(rail), false
					}
					return trX(v), true
				}
				from, okFrom := place(l.Before.Write)
				to, okTo := place(l.During.Write)
				if okTo || overloaded(l.During.Write) {
					c.StrokeLine2(draw.LineStyle{Color: pale, Width: 3}, from, y, to, y)
				}
				for k, w := range []capacity.Latency{l.Before.Write, l.During.Write} {
					if ci := w.P99CI; ci != nil {
						a, _ := positive(&ci[0])
						z, _ := positive(&ci[1])
						whisker(c, lk.color, trX(a), trX(z), y+5*(0.5-vg.Length(k)))
					}
				}
				if okFrom {
					mark(c, draw.CircleGlyph{}, draw.RingGlyph{}, true, lk, 4.2, vg.Point{X: from, Y: y})
				}
				if okTo {
					mark(c, draw.CircleGlyph{}, draw.RingGlyph{}, false, lk, 4.2, vg.Point{X: to, Y: y})
				} else if overloaded(l.During.Write) {
					beyondMark(c, lk.color, vg.Point{X: to, Y: y})
				} else {
					untoldMark(c, lk.color, vg.Point{X: to, Y: y})
				}
				txt := fmt.Sprintf("at %s Gbit/s: %s before, %s during; ", number(l.Before.ReadGbit), writeTail(l.Before.Write), writeTail(l.During.Write))
				if a, ok := value(l.Before.Write.P50); ok && !okTo && !overloaded(l.During.Write) { // then the median is what there is
					if z, ok := value(l.During.Write.P50); ok {
						txt += fmt.Sprintf("p50 %s and %s; ", duration(a), duration(z))
					}
				}
				if l.During.Missed > 0 {
					txt += fmt.Sprintf("%s of %s segments missed; ", count(l.During.Missed), count(l.During.Segments))
					missedMark(c, vg.Point{X: to + 12, Y: y})
				} else {
					txt += "nothing missed; "
				}
				txt += fmt.Sprintf("room %s before, %s during", times(l.HeadroomBefore), times(l.HeadroomDuring))
				if l.Tightest != "" {
					txt += " (" + l.Tightest + ")"
				}
				sty := sans(captionSize, false, ink)
				say(c, sty, vg.Point{X: c.Min.X + 4, Y: y - 16}, draw.XLeft, draw.YCenter, fitting(sty, c.Max.X-c.Min.X-8, txt))
			}
		}))
		f.panels = append(f.panels, panel{plot: p, head: b.Name + " (simulated)", above: 24, height: 24 + 16 + row*vg.Length(len(b.Losses))})
	}
	if len(f.panels) == 0 {
		f.panels = []panel{{plot: nothing("no loss was simulated"), height: 120}}
		f.caption = simulatedBy(r.Profile.Name)
		return f
	}
	last := &f.panels[len(f.panels)-1]
	last.x, last.height = "write p99 in the storm, ms (logarithmic)", last.height+axisName
	f.legend = []key{
		{"before", func(c draw.Canvas, at vg.Point) {
			mark(c, draw.CircleGlyph{}, draw.RingGlyph{}, true, look{color: ink}, 4.2, at)
		}},
		{"during the loss", func(c draw.Canvas, at vg.Point) {
			mark(c, draw.CircleGlyph{}, draw.RingGlyph{}, false, look{color: ink}, 4.2, at)
		}},
	}
	if intervals {
		f.legend = append(f.legend, key{"95 % interval", func(c draw.Canvas, at vg.Point) { whisker(c, ink, at.X-10, at.X+10, at.Y) }})
	}
	f.legend = append(f.legend, extremes(beyond, untold)...)
	if missed {
		f.legend = append(f.legend, key{"segments missed", missedMark})
	}
	if worst.What != "" {
		f.title = fmt.Sprintf("Losing %s at the peak takes the write p99 of %s from %s to %s (simulated)", worst.What, chosen(r).Name, writeTail(worst.Before.Write), writeTail(worst.During.Write))
		switch {
		case math.IsInf(ratio, 1):
			f.title = fmt.Sprintf("Losing %s at the peak leaves %s overloaded, from a write p99 of %s before (simulated)", worst.What, chosen(r).Name, writeTail(worst.Before.Write))
		case ratio < 1.05:
			f.title = fmt.Sprintf("No loss at the peak makes the write p99 of %s worse by more than 5 %% (simulated)", chosen(r).Name)
		}
	}
	f.caption = "“Room” is how many times as much load the tightest tier could take. " + simulatedBy(r.Profile.Name)
	return f
}

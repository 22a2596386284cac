package reports

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"origin-storm/storm/record"
)

// stretch is a window as it was measured: consecutive intervals of one phase.
type stretch struct {
	name     string // with its number where the phase has several
	phase    string
	from, to float64
}

// stretches finds the windows of one backend in its intervals.
func stretches(intervals []record.Interval) []stretch {
	var out []stretch
	times := map[string]int{}
	for _, iv := range intervals {
		if n := len(out); n > 0 && out[n-1].phase == iv.Phase {
			out[n-1].to = iv.At + iv.Seconds
			continue
		}
		out = append(out, stretch{phase: iv.Phase, from: iv.At, to: iv.At + iv.Seconds})
		times[iv.Phase]++
	}
	seen := map[string]int{}
	for i, s := range out {
		seen[s.phase]++
		out[i].name = s.phase
		if times[s.phase] > 1 {
			out[i].name = fmt.Sprintf("%s %d", s.phase, seen[s.phase])
		}
	}
	return slices.DeleteFunc(out, func(s stretch) bool { return s.phase == "" })
}

// shade is the ground colour of a phase, light enough for every line on it.
func shade(phase string) color.Color {
	switch phase {
	case "storm":
		return color.NRGBA{R: 0xfb, G: 0xe6, B: 0xd6, A: 255}
	case "quiet":
		return color.NRGBA{R: 0xe3, G: 0xef, B: 0xf7, A: 255}
	case "warm-up":
		return color.NRGBA{R: 0xf0, G: 0xf0, B: 0xf0, A: 255}
	}
	return color.NRGBA{R: 0xe6, G: 0xf3, B: 0xee, A: 255}
}

// shadeKeys are the legend's entries for the phases that occur.
func shadeKeys(all []stretch) []key {
	var keys []key
	var seen []string
	for _, s := range all {
		if !slices.Contains(seen, s.phase) {
			seen = append(seen, s.phase)
			keys = append(keys, shadeKey(s.phase, shade(s.phase)))
		}
	}
	return keys
}

// windows shades the windows behind a panel, and names them above it where names is set.
func windows(all []stretch, names bool) plot.Plotter {
	return plotFunc(func(c draw.Canvas, p *plot.Plot) {
		trX, _ := p.Transforms(&c)
		for _, s := range all {
			x0, x1 := max(c.Min.X, trX(s.from)), min(c.Max.X, trX(s.to))
			if x1 <= x0 {
				continue
			}
			c.SetColor(shade(s.phase))
			c.Fill(vg.Rectangle{Min: vg.Point{X: x0, Y: c.Min.Y}, Max: vg.Point{X: x1, Y: c.Max.Y}}.Path())
			sty := sans(captionSize, false, grey)
			sty.XAlign, sty.YAlign = draw.XCenter, draw.YBottom
			if names && sty.Width(plain(s.name)) < x1-x0 {
				c.FillText(sty, vg.Point{X: (x0 + x1) / 2, Y: c.Max.Y + 1}, plain(s.name))
			}
		}
	})
}

// eventsOf are the events of one backend that plots mark.
func eventsOf(run Run, backend string) []record.Event {
	var out []record.Event
	for _, e := range run.Events {
		if e.Backend != backend && e.Backend != "" {
			continue
		}
		switch e.Kind {
		case "fault", "fault-end", "death":
			out = append(out, e)
		}
	}
	return out
}

// eventRow is the height of one row of fault texts, of which there are at most eventRows.
const (
	eventRow  = vg.Length(12)
	eventRows = 3
)

// said is the room that the texts of these events take above a panel.
func said(events []record.Event) vg.Length {
	n := 0
	for _, e := range events {
		if e.Kind != "fault-end" { // its begin said what it is
			n++
		}
	}
	return eventRow * vg.Length(min(n, eventRows))
}

// faults draws a vertical line at every fault and death. Where names is set, what it was stands above the panel and above the
// windows' names, in the first row that has room; what finds no room is in the report's list alone.
func faults(events []record.Event, names bool) plot.Plotter {
	return plotFunc(func(c draw.Canvas, p *plot.Plot) {
		trX, _ := p.Transforms(&c)
		sty := sans(captionSize, true, black)
		var taken [eventRows][]vg.Rectangle
		var texts []func() // written last, on top of every line
		for _, e := range events {
			x := trX(e.At)
			if !c.ContainsX(x) {
				continue
			}
			line := draw.LineStyle{Color: black, Width: 1.4}
			txt := short(e.Text, 60)
			switch e.Kind {
			case "fault-end":
				line.Width, line.Dashes = 0.9, []vg.Length{2, 2}
			case "death":
				line.Color, line.Width = vermillion, 2
				txt = short("died: "+e.Text, 60)
			}
			c.StrokeLine2(line, x, c.Min.Y, x, c.Max.Y)
			if !names || e.Kind == "fault-end" {
				continue
			}
			width := sty.Width(plain(txt)) + 4
			from := max(c.Min.X, min(x-2, c.Max.X-width))
			for row := range taken {
				box := vg.Rectangle{Min: vg.Point{X: from}, Max: vg.Point{X: from + width}}
				if slices.ContainsFunc(taken[row], func(r vg.Rectangle) bool { return box.Min.X < r.Max.X && r.Min.X < box.Max.X }) {
					continue
				}
				taken[row] = append(taken[row], box)
				y := c.Max.Y + 12 + eventRow*vg.Length(row)
				c.StrokeLine2(line, x, c.Max.Y, x, y+1)
				texts = append(texts, func() { say(c, sty, vg.Point{X: from + 2, Y: y}, draw.XLeft, draw.YBottom, txt) })
				break
			}
		}
		for _, write := range texts {
			write()
		}
	})
}

// sinceBegan names the axis of time.
const sinceBegan = "seconds since the backend's run began"

// intervalsOf are one backend's intervals in order of time.
func intervalsOf(run Run, backend string) []record.Interval {
	var out []record.Interval
	for _, iv := range run.Intervals {
		if iv.Backend == backend && iv.Seconds > 0 {
			out = append(out, iv)
		}
	}
	slices.SortStableFunc(out, func(a, b record.Interval) int {
		if a.At < b.At {
			return -1
		}
		if a.At > b.At {
			return 1
		}
		return 0
	})
	return out
}

// overTime shows read throughput and write latency over the run, a pair of panels per backend on common scales.
func overTime(run Run) figure {
	end, most := 0.0, 0.0
	lo, hi := math.Inf(1), math.Inf(-1)
	var all []stretch
	for _, iv := range run.Intervals {
		end = max(end, iv.At+iv.Seconds)
		if v, ok := value(&iv.ReadGbit); ok {
			most = max(most, v)
		}
		for _, p := range []*float64{iv.WriteP50, iv.WriteP99, iv.WriteMax} {
			if v, ok := positive(p); ok {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	if end == 0 {
		end = 1
	}
	if most == 0 {
		most = 1
	}
	scale, unit := rateUnit(most)
	if lo > hi {
		lo, hi = 1, 1000
	}
	lo, hi = lo*0.8, hi*1.25

	f := figure{name: "over-time", title: throughputFinding(run.Results)}
	anyP99 := false
	for i, b := range run.Results.Backends {
		lk := lookOf(i)
		ivs := intervalsOf(run, b.Name)
		ws := stretches(ivs)
		all = append(all, ws...)
		events := eventsOf(run, b.Name)

		reads := newPlot(false, true, windows(ws, true))
		reads.X.Min, reads.X.Max, reads.X.Tick.Marker = 0, end, evenTicks{10}
		reads.X.Tick.Label.Font.Size = 1 // the panel below carries the numbers
		reads.X.Tick.Label.Color = color.Transparent
		reads.Y.Min, reads.Y.Max, reads.Y.Tick.Marker = 0, most*scale*1.15, evenTicks{4}
		reads.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
			trX, trY := p.Transforms(&c)
			if len(ivs) == 0 {
				saySomething(c, "nothing was recorded")
			}
			var path []vg.Point
			for _, iv := range ivs {
				if v, ok := value(&iv.ReadGbit); ok {
					path = append(path, vg.Point{X: trX(iv.At), Y: trY(v * scale)}, vg.Point{X: trX(iv.At + iv.Seconds), Y: trY(v * scale)})
				}
			}
			if len(path) > 0 {
				c.StrokeLines(draw.LineStyle{Color: lk.color, Width: 2}, path)
			}
		}), faults(events, true))

		writes := newPlot(false, true, windows(ws, false))
		writes.X.Min, writes.X.Max, writes.X.Tick.Marker = 0, end, evenTicks{10}
		writes.Y.Min, writes.Y.Max, writes.Y.Scale, writes.Y.Tick.Marker = lo, hi, plot.LogScale{}, logTicks{}
		writes.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
			trX, trY := p.Transforms(&c)
			middle := func(iv record.Interval) float64 { return iv.At + iv.Seconds/2 }
			trace := func(sty draw.LineStyle, of func(record.Interval) *float64) {
				var path []vg.Point
				flush := func() {
					if len(path) > 1 {
						c.StrokeLines(sty, path)
					} else if len(path) == 1 {
						glyph(c, draw.CircleGlyph{}, sty.Color, 1.5, path[0])
					}
					path = nil
				}
				for _, iv := range ivs {
					v, ok := positive(of(iv))
					if !ok {
						flush() // where nothing was written there is no line
						continue
					}
					path = append(path, vg.Point{X: trX(middle(iv)), Y: trY(v)})
				}
				flush()
			}
			trace(draw.LineStyle{Color: lk.color, Width: 1, Dashes: []vg.Length{3, 2}}, func(iv record.Interval) *float64 { return iv.WriteMax })
			trace(draw.LineStyle{Color: lk.color, Width: 2}, func(iv record.Interval) *float64 { return iv.WriteP50 })
			for _, iv := range ivs {
				if v, ok := positive(iv.WriteP99); ok {
					glyph(c, diamondGlyph{}, lk.color, 3, vg.Point{X: trX(middle(iv)), Y: trY(v)})
				}
			}
		}), faults(events, false))
		for _, iv := range ivs {
			_, ok := value(iv.WriteP99)
			anyP99 = anyP99 || ok
		}

		above := 32 + said(events)
		lower := panel{plot: writes, y: "write, ms (log)", above: 4, height: 116}
		if i == len(run.Results.Backends)-1 {
			lower.x, lower.height = sinceBegan, lower.height+axisName
		}
		f.panels = append(f.panels, panel{plot: reads, head: kind(b), y: "reads, " + unit, above: above, height: above + 96}, lower)
	}
	if len(f.panels) == 0 {
		f.panels = []panel{{plot: nothing("no backend was measured"), height: 120}}
	}
	line := func(txt string, width vg.Length, dashes ...vg.Length) key {
		return lineKey(txt, look{color: ink, dashes: dashes}, width, false)
	}
	f.legend = []key{line("read throughput, write p50", 2), line("slowest write", 1, 3, 2)}
	if anyP99 {
		f.legend = append(f.legend, glyphKey("write p99, of 300 or more", diamondGlyph{}, ink, 3))
	}
	f.legend = append(f.legend, shadeKeys(all)...)
	if len(run.Events) > 0 {
		upright := func(txt string, sty draw.LineStyle) key {
			return key{txt, func(c draw.Canvas, at vg.Point) { c.StrokeLine2(sty, at.X, at.Y-7, at.X, at.Y+7) }}
		}
		var has [2]bool
		for _, b := range run.Results.Backends {
			for _, e := range eventsOf(run, b.Name) {
				has[0] = has[0] || e.Kind == "fault"
				has[1] = has[1] || e.Kind == "fault-end"
			}
		}
		if has[0] {
			f.legend = append(f.legend, upright("fault begins", draw.LineStyle{Color: black, Width: 1.4}))
		}
		if has[1] {
			f.legend = append(f.legend, upright("fault ends", draw.LineStyle{Color: black, Width: 0.9, Dashes: []vg.Length{2, 2}}))
		}
	}
	f.caption = "Each step is one interval. Reads are counted where they ended, writes where they were meant to start. All backends share the scales. " +
		provenances(run.Results)
	return f
}

// nothing is a panel with a sentence in place of data.
func nothing(txt string) *plot.Plot {
	p := newPlot(false, false)
	p.HideAxes()
	p.Add(plotFunc(func(c draw.Canvas, _ *plot.Plot) { saySomething(c, txt) }))
	return p
}

// throughputFinding says what the readers got.
func throughputFinding(r record.Results) string {
	ranks := rank(r, func(b record.Backend) (*float64, *[2]float64) {
		p, ok := loaded(b)
		if !ok || p.Reads == 0 {
			return nil, nil
		}
		return &p.ReadGbit, nil
	})
	if len(ranks) == 0 {
		return "Nothing was read"
	}
	slices.Reverse(ranks)
	p, _ := loaded(ranks[0].backend)
	txt := fmt.Sprintf("%s readers took %s from %s", capital(inPhase(p.Name)), bitRate(ranks[0].value), kind(ranks[0].backend))
	if last := ranks[len(ranks)-1]; len(ranks) > 1 {
		txt += fmt.Sprintf(" and %s from %s", bitRate(last.value), kind(last.backend))
	}
	return txt
}

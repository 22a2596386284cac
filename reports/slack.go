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

	"origin-storm/origin/segment"
	"origin-storm/storm/record"
)

// fate is what became of one segment, out of whichever pipeline.
type fate struct {
	due     float64
	place   float64 // −0.5 to 0.5: where it stands among those due at one instant
	slack   float64 // seconds from readable to due; NaN where it never was
	outcome string
}

// fates puts the copies of each segment together: it was readable when one of them was, and the worst that happened to a copy
// is what is shown of it.
func fates(copies []record.Copy, backend string) []fate {
	type id struct {
		event, rendition string
		number           int64
	}
	weight := map[string]int{"ok": 0, "faulted": 1, "failed": 1, "late": 2, "out-of-order": 3, "missed": 4, "lost": 5, "stale": 6, "wrong": 7, "torn": 8, "cross-pipeline": 9}
	known := map[id]*fate{}
	var order []id
	for _, c := range copies {
		if c.Backend != backend || c.Number == segment.Init {
			continue // an initialisation segment has no instant
		}
		k := id{c.Event, c.Rendition, c.Number}
		f := known[k]
		if f == nil {
			f = &fate{due: c.Due, slack: math.NaN(), outcome: c.Outcome}
			known[k] = f
			order = append(order, k)
		}
		if at, ok := value(c.Readable); ok && !(c.Due-at <= f.slack) {
			f.slack = c.Due - at
		}
		if weight[c.Outcome] > weight[f.outcome] {
			f.outcome = c.Outcome
		}
	}
	slices.SortStableFunc(order, func(a, b id) int {
		return cmp.Or(cmp.Compare(known[a].due, known[b].due), cmp.Compare(a.event, b.event), cmp.Compare(a.rendition, b.rendition))
	})
	var out []fate
	for from := 0; from < len(order); {
		to := from
		for to < len(order) && known[order[to]].due == known[order[from]].due {
			to++
		}
		for i, k := range order[from:to] {
			f := *known[k]
			f.place = (float64(i)+0.5)/float64(to-from) - 0.5
			out = append(out, f)
		}
		from = to
	}
	return out
}

// slackTimeline shows for every segment how long before it was due it could be read.
func slackTimeline(run Run) figure {
	window := run.Results.SegmentMS / 1000
	if !(window > 0) {
		window = 2
	}
	var byBackend [][]fate
	end, top, all, late, bad := 0.0, 0.1, 0, 0, 0
	for _, b := range run.Results.Backends {
		fs := fates(run.Copies, b.Name)
		byBackend = append(byBackend, fs)
		for _, f := range fs {
			end = max(end, f.due+window/2)
			if f.slack > top {
				top = f.slack
			}
			all++
			switch f.outcome {
			case "late":
				late++
			case "missed", "out-of-order", "lost", "torn", "wrong", "stale", "cross-pipeline":
				bad++
			}
		}
		for _, iv := range intervalsOf(run, b.Name) {
			end = max(end, iv.At+iv.Seconds)
		}
	}
	if end == 0 {
		end = 1
	}
	// Below the deadline lies a strip for what was never readable in time.
	rail := -window * 1.2

	f := figure{name: "deadline-slack"}
	var shaded []stretch
	var has [3]bool
	for i, b := range run.Results.Backends {
		lk := lookOf(i)
		fs := byBackend[i]
		ws := stretches(intervalsOf(run, b.Name))
		shaded = append(shaded, ws...)
		p := newPlot(false, true, windows(ws, true))
		p.X.Min, p.X.Max, p.X.Tick.Marker = 0, end, evenTicks{10}
		p.Y.Min, p.Y.Max, p.Y.Tick.Marker = -window*1.4, top*1.15, evenTicks{8}
		events := eventsOf(run, b.Name)
		p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
			trX, trY := p.Transforms(&c)
			c.StrokeLine2(draw.LineStyle{Color: black, Width: 1.2}, c.Min.X, trY(0), c.Max.X, trY(0))
			c.StrokeLine2(draw.LineStyle{Color: black, Width: 1.2, Dashes: []vg.Length{6, 3}}, c.Min.X, trY(-window), c.Max.X, trY(-window))
			if len(fs) == 0 {
				saySomething(c, "no segment was recorded")
				return
			}
			place := func(f fate, y float64) vg.Point {
				return vg.Point{X: trX(f.due + f.place*window*0.8), Y: trY(y)}
			}
			// The many that are well are drawn as one path, each place on the paper once: a long run stays a small file.
			drawn := map[[2]int]bool{}
			var dots vg.Path
			for _, f := range fs {
				if math.IsNaN(f.slack) || f.outcome != "ok" && f.outcome != "failed" && f.outcome != "faulted" {
					continue
				}
				at := place(f, max(f.slack, rail))
				cell := [2]int{int(at.X / 1.2), int(at.Y / 1.2)}
				if drawn[cell] {
					continue
				}
				drawn[cell] = true
				const r = 1.3
				dots.Move(vg.Point{X: at.X - r, Y: at.Y - r})
				dots.Line(vg.Point{X: at.X + r, Y: at.Y - r})
				dots.Line(vg.Point{X: at.X + r, Y: at.Y + r})
				dots.Line(vg.Point{X: at.X - r, Y: at.Y + r})
				dots.Close()
			}
			if len(dots) > 0 {
				c.SetColor(lk.color)
				c.Fill(dots)
			}
			for _, f := range fs {
				switch f.outcome {
				case "late":
					y := rail
					if !math.IsNaN(f.slack) {
						y = max(f.slack, rail)
					}
					outlined(c, diamondGlyph{}, orange, place(f, y))
				case "missed":
					missedMark(c, place(f, rail))
				case "out-of-order", "lost", "torn", "wrong", "stale", "cross-pipeline":
					outlined(c, draw.BoxGlyph{}, purple, place(f, rail))
				}
			}
		}), faults(events, true), plotFunc(func(c draw.Canvas, p *plot.Plot) {
			_, trY := p.Transforms(&c)
			sty := sans(captionSize, true, black)
			say(c, sty, vg.Point{X: c.Max.X - 3, Y: trY(0) - 2}, draw.XRight, draw.YTop, "due")
			say(c, sty, vg.Point{X: c.Max.X - 3, Y: trY(-window) + 2}, draw.XRight, draw.YBottom, "deadline")
		}))
		for _, x := range fs {
			switch x.outcome {
			case "late":
				has[0] = true
			case "missed":
				has[1] = true
			case "out-of-order", "lost", "torn", "wrong", "stale", "cross-pipeline":
				has[2] = true
			}
		}
		above := 32 + said(events)
		pn := panel{plot: p, head: kind(b) + " – " + tally(fs), y: "slack, s", above: above, height: above + 146}
		if i == len(run.Results.Backends)-1 {
			pn.x, pn.height = "when the segment was due, "+sinceBegan, pn.height+axisName
		}
		f.panels = append(f.panels, pn)
	}
	if len(f.panels) == 0 {
		f.panels = []panel{{plot: nothing("no backend was measured"), height: 120}}
	}
	f.legend = []key{glyphKey("readable in time", draw.BoxGlyph{}, ink, 1.5)}
	if has[0] {
		f.legend = append(f.legend, key{"late", func(c draw.Canvas, at vg.Point) { outlined(c, diamondGlyph{}, orange, at) }})
	}
	if has[1] {
		f.legend = append(f.legend, key{"missed", missedMark})
	}
	if has[2] {
		f.legend = append(f.legend, key{"lost, damaged or out of order", func(c draw.Canvas, at vg.Point) { outlined(c, draw.BoxGlyph{}, purple, at) }})
	}
	f.legend = append(f.legend, shadeKeys(shaded)...)
	f.caption = "One mark per segment: how long before it was due it was first read whole, from whichever pipeline. Above the line “due” is in time, below it " +
		"late; what was not readable at the deadline lies under it. Segments due at one instant stand side by side. " + provenances(run.Results)
	switch {
	case all == 0:
		f.title = "No segment was recorded"
	case late+bad == 0:
		f.title = fmt.Sprintf("All %s segments were readable before they were due", count(int64(all)))
	default:
		var worst []string
		for i, b := range run.Results.Backends {
			if t := troubles(byBackend[i]); t != "" {
				worst = append(worst, fmt.Sprintf("%s on %s", t, kind(b)))
			}
		}
		f.title = fmt.Sprintf("Of %s segments: %s", count(int64(all)), strings.Join(worst, "; "))
	}
	return f
}

// outlined draws a mark with a dark edge, so that it stands out from dots of any colour.
func outlined(c draw.Canvas, g draw.GlyphDrawer, col color.Color, at vg.Point) {
	glyph(c, g, black, 5, at)
	glyph(c, g, col, 4, at)
}

// tally counts the fates of a backend's segments.
func tally(fs []fate) string {
	txt := fmt.Sprintf("%s segments", count(int64(len(fs))))
	if t := troubles(fs); t != "" {
		return txt + ", " + t
	}
	return txt
}

// troubles counts what did not go well.
func troubles(fs []fate) string {
	var parts []string
	for _, outcome := range []string{"lost", "torn", "wrong", "stale", "cross-pipeline", "missed", "out-of-order", "late"} {
		n := 0
		for _, f := range fs {
			if f.outcome == outcome {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", count(int64(n)), outcome))
		}
	}
	return strings.Join(parts, ", ")
}

// missedMark is a cross in a disc: nobody published the segment in time.
func missedMark(c draw.Canvas, at vg.Point) {
	const r = 2.6
	outlined(c, draw.CircleGlyph{}, yellow, at)
	sty := draw.LineStyle{Color: black, Width: 1.8}
	c.StrokeLine2(sty, at.X-r, at.Y-r, at.X+r, at.Y+r)
	c.StrokeLine2(sty, at.X-r, at.Y+r, at.X+r, at.Y-r)
}

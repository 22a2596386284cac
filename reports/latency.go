package reports

import (
	"fmt"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"origin-storm/storm"
	"origin-storm/storm/record"
)

// writeLatency is the comparison: p50 and p99 of publishing for each backend and phase, with published figures beside them.
func writeLatency(r record.Results) figure {
	const row = vg.Length(20)
	type line struct {
		label     string
		header    string
		look      look
		latency   record.Latency
		hollow    bool
		thin      bool
		published *record.Reference
		guides    int // of a published row: how many rows above it its marks reach
	}
	var lines []line
	lo, hi := math.Inf(1), math.Inf(-1)
	see := func(ps ...*float64) {
		for _, p := range ps {
			if v, ok := positive(p); ok {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	few := false
	seeAll := func(l record.Latency) {
		see(l.P50, l.P99)
		if tooFew(l) {
			few = true
			see(l.Max)
		}
		for _, ci := range []*[2]float64{l.P50CI, l.P99CI} {
			if ci != nil {
				see(&ci[0], &ci[1])
			}
		}
	}
	for i, b := range r.Backends {
		lines = append(lines, line{header: kind(b)})
		n := 0
		for _, p := range phases(b) {
			op := operation(p, storm.Publish)
			lines = append(lines, line{label: fmt.Sprintf("%s, n = %s", short(p.Name, 16), count(op.Count)),
				look: lookOf(i), latency: op.Response, hollow: p.Name == "quiet"})
			seeAll(op.Response)
			n++
		}
		if n == 0 {
			lines = append(lines, line{label: "no window", look: lookOf(i), latency: record.Latency{Note: "nothing was measured"}})
			n++
		}
		if b.Published == nil {
			continue
		}
		// Published figures are of the store's write alone; beside them stands the same of this run.
		if p, ok := loaded(b); ok {
			if op := operation(p, storm.StoreWrite); op.Count > 0 {
				lines = append(lines, line{label: fmt.Sprintf("store write alone, n = %s", count(op.Count)), look: lookOf(i),
					latency: op.Response, thin: true})
				seeAll(op.Response)
				n++
			}
		}
		lines = append(lines, line{label: "store write, published", published: b.Published, guides: n})
		see(&b.Published.P50, &b.Published.P99)
	}
	if r.SegmentMS > 0 && lo <= hi {
		hi = max(hi, r.SegmentMS)
	}
	if lo > hi {
		lo, hi = 1, max(1000, r.SegmentMS)
	}
	// Room for the figures beside the outermost marks: a part of the axis, however many decades it has.
	decades := math.Log10(hi / lo)
	lo, hi = lo/math.Pow(10, max(0.3, 0.16*decades)), hi*math.Pow(10, max(0.13, 0.16*decades))

	p := newPlot(true, false)
	p.X.Min, p.X.Max, p.X.Scale, p.X.Tick.Marker = lo, hi, plot.LogScale{}, logTicks{}
	p.Y.Min, p.Y.Max = -float64(len(lines)), 0
	p.Y.LineStyle.Width, p.Y.Tick.Length = 0, 0
	var ticks plot.ConstantTicks
	for i, l := range lines {
		if l.header == "" {
			ticks = append(ticks, plot.Tick{Value: -float64(i) - 0.5, Label: l.label})
		}
	}
	if len(ticks) == 0 {
		ticks = append(ticks, plot.Tick{Value: -0.5, Label: " "})
	}
	p.Y.Tick.Marker = ticks
	p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
		trX, trY := p.Transforms(&c)
		small := sans(captionSize, false, grey)
		if r.SegmentMS > 0 {
			// The segment window as a second scale, above the axes.
			for _, share := range []float64{0.001, 0.01, 0.1, 1} {
				x := trX(share * r.SegmentMS)
				if !c.ContainsX(x) {
					continue
				}
				c.StrokeLine2(draw.LineStyle{Color: grey, Width: 0.7}, x, c.Max.Y, x, c.Max.Y+4)
				txt, col := percent(share), grey
				if share == 1 {
					txt, col = "100 % = "+segmentName(r), black
					c.StrokeLine2(draw.LineStyle{Color: black, Width: 1.5}, x, c.Min.Y, x, c.Max.Y)
				}
				s := sans(captionSize, share == 1, col)
				at := draw.XCenter
				if x+s.Width(txt)/2 > c.Max.X {
					at, x = draw.XRight, c.Max.X
				}
				say(c, s, vg.Point{X: x, Y: c.Max.Y + 6}, at, draw.YBottom, txt)
			}
		}
		if len(lines) == 0 {
			saySomething(c, "no backend was measured")
		}
		// Guides of the published figures first: marks lie on them.
		for i, l := range lines {
			if l.published == nil {
				continue
			}
			for _, v := range []float64{l.published.P50, l.published.P99} {
				if v, ok := positive(&v); ok {
					c.StrokeLine2(draw.LineStyle{Color: grey, Width: 0.8, Dashes: []vg.Length{2, 2}},
						trX(v), trY(-float64(i)-0.5), trX(v), trY(-float64(i-l.guides)))
				}
			}
		}
		for i, l := range lines {
			y := trY(-float64(i) - 0.5)
			switch {
			case l.header != "":
				c.StrokeLine2(draw.LineStyle{Color: pale, Width: 0.8}, c.Min.X, trY(-float64(i)), c.Max.X, trY(-float64(i)))
				say(c, sans(headSize, true, black), vg.Point{X: c.Min.X + 3, Y: y}, draw.XLeft, draw.YCenter, l.header)
			case l.published != nil:
				for j, v := range []float64{l.published.P50, l.published.P99} {
					v, ok := positive(&v)
					if !ok {
						continue
					}
					side, off := draw.XRight, vg.Length(-8)
					var g draw.GlyphDrawer = draw.RingGlyph{}
					if j == 1 {
						side, off, g = draw.XLeft, 8, hollowGlyph{}
					}
					glyph(c, g, black, 4, vg.Point{X: trX(v), Y: y})
					say(c, sans(textSize, false, grey), vg.Point{X: trX(v) + off, Y: y}, side, draw.YCenter, duration(v))
				}
			default:
				drawLatency(c, trX, y, l.latency, l.look, l.hollow, l.thin, small)
			}
		}
	}))

	keys := []key{
		glyphKey("p50", draw.CircleGlyph{}, ink, 4), glyphKey("p99", diamondGlyph{}, ink, 4),
		{"95 % interval", func(c draw.Canvas, at vg.Point) { whisker(c, ink, at.X-10, at.X+10, at.Y) }},
	}
	caption := "Filled marks: under load; hollow: quiet. p50 is labelled on its left, p99 on its right. "
	if few {
		keys = append(keys, key{"slowest, of too few", func(c draw.Canvas, at vg.Point) { slowestMark(c, ink, at) }})
		caption += fmt.Sprintf("A median needs %d writes: of fewer the slowest alone is shown. ", record.Needed(0.5))
	}
	var published []string
	for _, b := range r.Backends {
		if b.Published != nil && b.Published.Label != "" {
			published = append(published, b.Published.Label)
		}
	}
	if published = unique(published); len(published) > 0 {
		keys = append(keys, glyphKey("published p50", draw.RingGlyph{}, black, 4), glyphKey("published p99", hollowGlyph{}, black, 4))
		caption += "Published: " + strings.Join(published, "; ") + ": other machines and other loads, marks to compare with and no target. "
	}
	return figure{
		name: "write-latency", title: writeFinding(r), legend: keys, caption: caption + provenances(r),
		panels: []panel{{plot: p, x: "time of a write, from its intended start to the answer, ms (logarithmic)", above: 18,
			height: 18 + 36 + row*vg.Length(max(2, len(lines)))}},
	}
}

// drawLatency draws one row of the comparison: p50 and p99 joined by a line, with their intervals.
func drawLatency(c draw.Canvas, trX func(float64) vg.Length, y vg.Length, l record.Latency, lk look, hollow, thin bool, small draw.TextStyle) {
	p50, ok50 := positive(l.P50)
	p99, ok99 := positive(l.P99)
	if tooFew(l) {
		most, _ := positive(l.Max)
		slowestMark(c, lk.color, vg.Point{X: trX(most), Y: y})
		say(c, small, vg.Point{X: trX(most) + 6, Y: y}, draw.XLeft, draw.YCenter, "slowest "+duration(most))
		return
	}
	if !ok50 && !ok99 {
		why := l.Note
		if why == "" {
			why = fmt.Sprintf("%s writes: too few to tell", count(l.Count))
		}
		say(c, small, vg.Point{X: c.Min.X + 6, Y: y}, draw.XLeft, draw.YCenter, "— "+short(why, 90))
		return
	}
	size := vg.Length(4.5)
	if thin {
		size = 3.2
	}
	if ok50 && ok99 {
		c.StrokeLine2(draw.LineStyle{Color: pale, Width: 3}, trX(p50), y, trX(p99), y)
	}
	reach := func(ci *[2]float64, v float64) (lo, hi vg.Length) {
		lo, hi = trX(v)-size, trX(v)+size
		if ci == nil {
			return lo, hi
		}
		a, oka := positive(&ci[0])
		b, okb := positive(&ci[1])
		if !oka || !okb {
			return lo, hi
		}
		whisker(c, lk.color, trX(a), trX(b), y)
		return min(lo, trX(a)), max(hi, trX(b))
	}
	txt := sans(textSize, !thin, lk.color)
	right := c.Min.X
	if ok50 {
		var left vg.Length
		left, right = reach(l.P50CI, p50)
		mark(c, draw.CircleGlyph{}, draw.RingGlyph{}, hollow, lk, size, vg.Point{X: trX(p50), Y: y})
		say(c, txt, vg.Point{X: left - 4, Y: y}, draw.XRight, draw.YCenter, duration(p50))
	}
	if ok99 {
		_, right = reach(l.P99CI, p99)
		mark(c, diamondGlyph{}, hollowGlyph{}, hollow, lk, size, vg.Point{X: trX(p99), Y: y})
		say(c, txt, vg.Point{X: right + 4, Y: y}, draw.XLeft, draw.YCenter, duration(p99))
		return
	}
	why := l.Note
	if why == "" {
		why = "p99 needs 300 writes"
	}
	say(c, small, vg.Point{X: right + 6, Y: y}, draw.XLeft, draw.YCenter, "— "+short(why, 60))
}

// tooFew reports whether a distribution has so few values that not even its median can be told, but their greatest is known.
func tooFew(l record.Latency) bool {
	_, ok50 := value(l.P50)
	_, ok99 := value(l.P99)
	_, most := value(l.Max)
	return !ok50 && !ok99 && most && l.Count > 0 && l.Count < record.Needed(0.5)
}

// slowestMark is an upright bar: what happened, and no estimate.
func slowestMark(c draw.Canvas, col color.Color, at vg.Point) {
	c.StrokeLine2(draw.LineStyle{Color: col, Width: 2.5}, at.X, at.Y-5, at.X, at.Y+5)
}

// mark draws one glyph, filled or hollow.
func mark(c draw.Canvas, filled, open draw.GlyphDrawer, hollow bool, lk look, r vg.Length, at vg.Point) {
	if !hollow {
		glyph(c, filled, lk.color, r, at)
		return
	}
	glyph(c, draw.CircleGlyph{}, white, r-0.5, at)
	glyph(c, open, lk.color, r, at)
}

// whisker draws an interval.
func whisker(c draw.Canvas, col color.Color, from, to, y vg.Length) {
	sty := draw.LineStyle{Color: col, Width: 1.3}
	c.StrokeLine2(sty, from, y, to, y)
	c.StrokeLine2(sty, from, y-3.5, from, y+3.5)
	c.StrokeLine2(sty, to, y-3.5, to, y+3.5)
}

// writeFinding says in one sentence what the comparison shows, and no more than the intervals allow.
func writeFinding(r record.Results) string {
	ranks := rank(r, func(b record.Backend) (*float64, *[2]float64) {
		p, _ := loaded(b)
		l := operation(p, storm.Publish).Response
		return l.P99, l.P99CI
	})
	figure := "p99"
	if len(ranks) == 0 {
		figure = "p50"
		ranks = rank(r, func(b record.Backend) (*float64, *[2]float64) {
			p, _ := loaded(b)
			l := operation(p, storm.Publish).Response
			return l.P50, l.P50CI
		})
	}
	if len(ranks) == 0 {
		return fewFinding(r)
	}
	part := func(s standing) string {
		txt := fmt.Sprintf("%s on %s", duration(s.value), kind(s.backend))
		if r.SegmentMS > 0 {
			txt = fmt.Sprintf("%s (%s of the segment) on %s", duration(s.value), percent(s.value/r.SegmentMS), kind(s.backend))
		}
		return txt
	}
	p, _ := loaded(ranks[0].backend)
	where := inPhase(p.Name)
	best, worst := ranks[0], ranks[len(ranks)-1]
	switch {
	case len(ranks) == 1:
		return fmt.Sprintf("Write %s %s: %s", figure, where, part(best))
	case apart(best, worst):
		return fmt.Sprintf("Write %s %s runs from %s to %s", figure, where, part(best), part(worst))
	case best.ci == nil || worst.ci == nil:
		return fmt.Sprintf("Write %s %s: %s and %s; there are too few to tell them apart", figure, where, part(best), part(worst))
	default:
		return fmt.Sprintf("Write %s %s: %s and %s; intervals overlap, so no difference can be told", figure, where, part(best), part(worst))
	}
}

// fewFinding says what is known where no percentile is: how long the slowest write took, if too few writes are why.
func fewFinding(r record.Results) string {
	ranks := rank(r, func(b record.Backend) (*float64, *[2]float64) {
		p, _ := loaded(b)
		if l := operation(p, storm.Publish).Response; tooFew(l) {
			return l.Max, nil
		}
		return nil, nil
	})
	if len(ranks) == 0 {
		return "No write latency could be told"
	}
	part := func(s standing) string {
		p, _ := loaded(s.backend)
		return fmt.Sprintf("the slowest of %s took %s on %s", count(operation(p, storm.Publish).Response.Count), duration(s.value), kind(s.backend))
	}
	p, _ := loaded(ranks[0].backend)
	txt := fmt.Sprintf("Too few writes %s for a median: %s", inPhase(p.Name), part(ranks[0]))
	if last := ranks[len(ranks)-1]; len(ranks) > 1 {
		txt += ", " + part(last)
	}
	return txt
}

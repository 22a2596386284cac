package reports

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"origin-storm/storm"
	"origin-storm/storm/record"
)

// marked are the percentiles that are named on the axis and carry marks.
var marked = [...]float64{0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999}

// nines is the axis 1/(1−p): each tick is ten times rarer than the one before.
type nines struct{}

// Ticks implements plot.Ticker.
func (nines) Ticks(lo, hi float64) []plot.Tick {
	ticks := []plot.Tick{{Value: 1, Label: "0 %"}}
	for _, q := range marked {
		if x := rarity(q); x <= hi*(1+1e-6) {
			ticks = append(ticks, plot.Tick{Value: x, Label: strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.4f", q*100), "0"), ".") + " %"})
		}
	}
	return ticks
}

// rarity is 1/(1−p).
func rarity(p float64) float64 { return 1 / (1 - p) }

// writePercentiles shows the whole distribution of write latency: one line per backend under load, a thin one for quiet.
func writePercentiles(r record.Results) figure {
	type line struct {
		points [][2]float64 // rarity, ms
		look   look
		thin   bool
		n      int64
	}
	var lines []line
	var keys []key
	lo, hi, far := math.Inf(1), math.Inf(-1), 10.0
	add := func(b record.Backend, i int, p record.Phase, thin bool) {
		l := operation(p, storm.Publish).Response
		var pts [][2]float64
		for _, pt := range l.Points {
			if ms, ok := positive(&pt[1]); ok && pt[0] >= 0 && pt[0] < 1 {
				pts = append(pts, [2]float64{rarity(pt[0]), ms})
				lo, hi, far = min(lo, ms), max(hi, ms), max(far, rarity(pt[0]))
			}
		}
		lk, width := lookOf(i), vg.Length(2)
		if thin {
			lk.color.A, width = 0x90, 0.8
		}
		txt := fmt.Sprintf("%s, %s, n = %s", kind(b), p.Name, count(l.Count))
		if len(pts) == 0 {
			txt += ": nothing to draw"
		}
		lines = append(lines, line{pts, lk, thin, l.Count})
		keys = append(keys, lineKey(txt, lk, width, !thin))
	}
	for i, b := range r.Backends {
		p, ok := loaded(b)
		if !ok {
			continue
		}
		add(b, i, p, false)
		// With many backends the quiet lines would hide what is asked about.
		if q, ok := phase(b, "quiet"); ok && p.Name != "quiet" && len(r.Backends) <= 4 {
			add(b, i, q, true)
		}
	}
	window := r.SegmentMS > 0 && lo <= hi && r.SegmentMS < hi*8
	if window {
		hi = max(hi, r.SegmentMS)
	}
	empty := lo > hi
	if empty {
		lo, hi = 1, 1000
	}

	p := newPlot(true, true)
	p.X.Min, p.X.Max, p.X.Scale, p.X.Tick.Marker = 1, far*1.15, plot.LogScale{}, nines{}
	p.Y.Min, p.Y.Max = lo*0.8, hi*1.25
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, logTicks{}
	p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
		if empty {
			saySomething(c, "no write has a figure that can be shown")
			return
		}
		trX, trY := p.Transforms(&c)
		if window {
			y := trY(r.SegmentMS)
			c.StrokeLine2(draw.LineStyle{Color: black, Width: 1.5}, c.Min.X, y, c.Max.X, y)
			say(c, sans(captionSize, true, black), vg.Point{X: c.Min.X + 6, Y: y + 2}, draw.XLeft, draw.YBottom, segmentName(r))
		}
		// Thin lines first, so that what is spoken of lies on top.
		for _, thin := range []bool{true, false} {
			for _, l := range lines {
				if l.thin != thin || len(l.points) == 0 {
					continue
				}
				width := vg.Length(2)
				if thin {
					width = 0.8
				}
				var path []vg.Point
				for _, pt := range l.points {
					path = append(path, vg.Point{X: trX(pt[0]), Y: trY(pt[1])})
				}
				c.StrokeLines(draw.LineStyle{Color: l.look.color, Width: width, Dashes: l.look.dashes}, path)
				if thin {
					continue
				}
				for _, q := range marked {
					if l.n < record.Needed(q) {
						break // a mark says that the figure can be relied on
					}
					if ms, ok := at(l.points, rarity(q)); ok {
						glyph(c, l.look.glyph, l.look.color, 4, vg.Point{X: trX(rarity(q)), Y: trY(ms)})
					}
				}
			}
		}
	}))
	return figure{
		name: "write-percentiles", title: tailFinding(r), legend: keys,
		caption: "Publish response, from the intended start. Thick lines are under load, thin ones (where shown) quiet. A line ends where its sample ends: " +
			"its last step rests on one write; marks end where percentiles do that their sample is large enough for. " + provenances(r),
		panels: []panel{{plot: p, x: "share of writes that took at most so long (each step to the right is rarer)", y: "write response, ms (logarithmic)",
			above: 6, height: 310}},
	}
}

// at interpolates a line of (rarity, ms), which rises in both; beyond its ends it says nothing.
func at(points [][2]float64, x float64) (float64, bool) {
	for i, pt := range points {
		if pt[0] < x*(1-1e-9) {
			continue
		}
		if i == 0 || pt[0] <= x*(1+1e-9) {
			return pt[1], pt[0] <= x*(1+1e-9)
		}
		// Straight on the plot: both axes are logarithmic.
		prev := points[i-1]
		f := (math.Log(x) - math.Log(prev[0])) / (math.Log(pt[0]) - math.Log(prev[0]))
		return math.Exp(math.Log(prev[1]) + f*(math.Log(pt[1])-math.Log(prev[1]))), true
	}
	return 0, false
}

// tailFinding says how long the slowest writes took.
func tailFinding(r record.Results) string {
	for _, tail := range []struct {
		words string
		of    func(record.Latency) *float64
	}{
		{"The slowest 1 % of writes", func(l record.Latency) *float64 { return l.P99 }},
		{"The slower half of writes", func(l record.Latency) *float64 { return l.P50 }},
	} {
		ranks := rank(r, func(b record.Backend) (*float64, *[2]float64) {
			p, _ := loaded(b)
			return tail.of(operation(p, storm.Publish).Response), nil
		})
		if len(ranks) == 0 {
			continue
		}
		p, _ := loaded(ranks[0].backend)
		txt := fmt.Sprintf("%s %s took %s or more on %s", tail.words, inPhase(p.Name), duration(ranks[0].value), kind(ranks[0].backend))
		if worst := ranks[len(ranks)-1]; len(ranks) > 1 {
			txt += fmt.Sprintf(", %s or more on %s", duration(worst.value), kind(worst.backend))
		}
		return txt
	}
	return fewFinding(r)
}

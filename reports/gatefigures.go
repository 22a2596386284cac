package reports

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"origin-storm/storm/verdict/gate"
)

// gateFigures are the plots of a gate: one, where something was compared.
func gateFigures(res gate.Results) []figure {
	if res.Decision == nil {
		return nil
	}
	f := figure{
		name:  "differences",
		title: res.Sentence,
		caption: "Each dot is one unit: a quad of four blocks, or as many quads as give a tail its samples. Above 0, head is slower. What head's dots have to leave " +
			"behind is base's difference from itself (hollow); what matters is the dashed line.",
		legend: []key{
			glyphKey("head against base", draw.CircleGlyph{}, blue, 3.5),
			glyphKey("base against itself: its later blocks against its earlier", hollowGlyph{}, grey, 3.5),
			shadeKey("noise floor", floorShade),
			{"change that matters", func(c draw.Canvas, at vg.Point) {
				c.StrokeLine2(mattersLine, at.X-keyWidth/2, at.Y, at.X+keyWidth/2, at.Y)
			}},
			{"estimate, with 95 % interval", func(c draw.Canvas, at vg.Point) {
				c.SetColor(estimateShade)
				c.Fill(vg.Rectangle{Min: vg.Point{X: at.X - keyWidth/2, Y: at.Y - 5}, Max: vg.Point{X: at.X + keyWidth/2, Y: at.Y + 5}}.Path())
				c.StrokeLine2(draw.LineStyle{Color: blue, Width: 1.5}, at.X-keyWidth/2, at.Y, at.X+keyWidth/2, at.Y)
			}},
		},
	}
	for _, m := range res.Decision.Metrics {
		if len(m.Differences) == 0 || m.Metric.Absolute {
			continue
		}
		f.panels = append(f.panels, differences(m))
	}
	if len(f.panels) == 0 {
		return nil
	}
	f.panels[len(f.panels)-1].x = "unit, in order of time"
	return []figure{f}
}

var (
	floorShade    = color.NRGBA{R: 0xee, G: 0xee, B: 0xee, A: 255}
	estimateShade = color.NRGBA{R: 0xcc, G: 0xe3, B: 0xf0, A: 255}
	mattersLine   = draw.LineStyle{Color: vermillion, Width: 1.2, Dashes: []vg.Length{6, 3}}
)

// differences draws one metric: how much worse head was in each unit, in per cent, against what base differs from itself by.
func differences(m gate.Finding) panel {
	// On the axis is how much worse the second of two figures is, as Metric.Effect counts it.
	worse := func(one, other float64) float64 {
		if m.Metric.Better == gate.Higher {
			one, other = other, one
		}
		return 100 * (other/one - 1)
	}
	var heads, selves []float64
	top := 100 * m.Metric.Effect * 1.4
	bottom := -top
	for _, d := range m.Differences {
		heads, selves = append(heads, worse(d.Base, d.Head)), append(selves, worse(d.Early, d.Late))
	}
	for _, v := range append(append([]float64{}, heads...), selves...) {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			top, bottom = max(top, v*1.1), min(bottom, v*1.1)
		}
	}
	p := newPlot(false, true, plotFunc(func(c draw.Canvas, p *plot.Plot) {
		_, trY := p.Transforms(&c)
		band := func(low, high float64, col color.Color) {
			c.SetColor(col)
			c.Fill(vg.Rectangle{Min: vg.Point{X: c.Min.X, Y: trY(max(low, bottom))}, Max: vg.Point{X: c.Max.X, Y: trY(min(high, top))}}.Path())
		}
		if v, ok := value(m.Floor); ok {
			band(-100*v, 100*v, floorShade)
		}
		if m.CI != nil && m.Metric.Better == gate.Lower {
			band(100*(m.CI[0]-1), 100*(m.CI[1]-1), estimateShade)
		}
	}))
	n := len(heads)
	p.X.Min, p.X.Max, p.X.Tick.Marker = 0.5, float64(n)+0.5, evenTicks{min(n, 12)}
	p.Y.Min, p.Y.Max, p.Y.Tick.Marker = bottom, top, evenTicks{6}
	p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
		trX, trY := p.Transforms(&c)
		c.StrokeLine2(draw.LineStyle{Color: ink, Width: 0.8}, c.Min.X, trY(0), c.Max.X, trY(0))
		c.StrokeLine2(mattersLine, c.Min.X, trY(100*m.Metric.Effect), c.Max.X, trY(100*m.Metric.Effect))
		if v, ok := value(m.Worse); ok {
			c.StrokeLine2(draw.LineStyle{Color: blue, Width: 1.5}, c.Min.X, trY(100*v), c.Max.X, trY(100*v))
		}
		for i := range heads {
			glyph(c, hollowGlyph{}, grey, 3, vg.Point{X: trX(float64(i+1)) + 4, Y: trY(selves[i])})
			glyph(c, draw.CircleGlyph{}, blue, 3.5, vg.Point{X: trX(float64(i+1)) - 4, Y: trY(heads[i])})
		}
	}))
	return panel{
		plot: p, head: fmt.Sprintf("%s: %s", m.Metric.Name, m.Verdict), y: "worse by %",
		above: 22, height: 150,
	}
}

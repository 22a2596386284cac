package reports

import (
	"fmt"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"origin-storm/storm/record"
)

// cacheFigure shows what stands between the readers and the store: how much the cache answers, and how many readers one read
// of the store serves.
func cacheFigure(r record.Results) figure {
	bars := func(label string, limit float64, of func(record.Backend) *float64, text func(float64) string, none string) panel {
		hi := limit
		for _, b := range r.Backends {
			if v, ok := value(of(b)); ok {
				hi = max(hi, v)
			}
		}
		p := newPlot(true, false)
		p.X.Min, p.X.Max, p.X.Tick.Marker = 0, hi*1.12, evenTicks{8}
		p.Y.Min, p.Y.Max = -float64(len(r.Backends)), 0
		p.Y.Tick.Length = 0
		var ticks plot.ConstantTicks
		for i, b := range r.Backends {
			ticks = append(ticks, plot.Tick{Value: -float64(i) - 0.5, Label: short(kind(b), 44)})
		}
		p.Y.Tick.Marker = ticks
		p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
			trX, trY := p.Transforms(&c)
			for i, b := range r.Backends {
				y := trY(-float64(i) - 0.5)
				v, ok := value(of(b))
				if !ok {
					say(c, sans(textSize, false, grey), vg.Point{X: c.Min.X + 6, Y: y}, draw.XLeft, draw.YCenter, none)
					continue
				}
				c.SetColor(lookOf(i).color)
				c.Fill(vg.Rectangle{Min: vg.Point{X: c.Min.X, Y: y - 7}, Max: vg.Point{X: max(trX(v), c.Min.X+0.8), Y: y + 7}}.Path())
				say(c, sans(textSize, true, ink), vg.Point{X: trX(v) + 5, Y: y}, draw.XLeft, draw.YCenter, text(v))
			}
		}))
		return panel{plot: p, x: label, above: 8, height: 8 + 36 + 24*vg.Length(max(1, len(r.Backends)))}
	}
	f := figure{name: "cache", title: cacheFinding(r),
		caption: "Hit ratio: values (segments' commits and chunks) that the cache answered, of all that were read through it. Reads per store read: " +
			"readers' requests answered 200, per segment read of the durable store; it holds the work of the cache and of whatever collapsing and hot copies the run allows. The run's own reader has segments read, too, and is no such reader. " +
			provenances(r)}
	if len(r.Backends) == 0 {
		f.panels = []panel{{plot: nothing("no backend was measured"), height: 120}}
		return f
	}
	ratio := func(b record.Backend) *float64 {
		v, ok := value(b.Cache.HitRatio)
		if !ok {
			return nil
		}
		v *= 100
		return &v
	}
	f.panels = []panel{
		bars("cache hit ratio, %", 100, ratio, func(v float64) string { return number(v) + " %" }, "— no cache"),
		bars("reader requests per store read", 1, func(b record.Backend) *float64 { return b.Cache.Collapse },
			func(v float64) string { return number(v) }, "— nothing was read, or not from the store"),
	}
	return f
}

// cacheFinding says what the caches took off the stores.
func cacheFinding(r record.Results) string {
	var parts []string
	for _, b := range r.Backends {
		hit, ok := value(b.Cache.HitRatio)
		if !ok {
			continue
		}
		txt := fmt.Sprintf("the cache of %s answers %s of reads", kind(b), percent(hit))
		if v, ok := value(b.Cache.Collapse); ok {
			txt += fmt.Sprintf(", and one store read serves %s requests", number(v))
		}
		parts = append(parts, txt)
	}
	if len(parts) == 0 {
		return "No backend has a cache before its store"
	}
	txt := strings.Join(parts[:min(2, len(parts))], "; ")
	if len(parts) > 2 {
		txt += "; and others"
	}
	return capital(txt)
}

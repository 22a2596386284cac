package reports

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"strconv"
	"strings"

	"golang.org/x/image/font"
	"gonum.org/v1/plot"
	pfont "gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A figure is one plot file: the finding in words, a legend in rows that wrap (so that it never covers a mark), panels one
// below the other with a common left edge, and a caption that says how to read it.
type figure struct {
	name    string // of the file, without suffix
	title   string // the finding
	caption string
	legend  []key
	panels  []panel
}

// key is one entry of a legend.
type key struct {
	text string
	mark func(c draw.Canvas, at vg.Point) // draws the sample, centred on at, keyWidth wide
}

// panel is one pair of axes. Its height includes them, and the room above it.
type panel struct {
	plot   *plot.Plot
	head   string    // above it, in bold
	x, y   string    // what the axes show; see layout
	above  vg.Length // room above the axes, the head included
	height vg.Length
}

// drawing is a figure and what became of it.
type drawing struct {
	figure figure
	svg    []byte
}

// Sizes are in points: a figure is 675 points, or 900 pixels, wide. PNGs have 1.5 times as many pixels, for dense screens.
const (
	figureWidth = vg.Length(675)
	margin      = vg.Length(12)
	keyWidth    = vg.Length(26)
	axisName    = vg.Length(16)
	pngDPI      = 144

	titleSize   = 15
	headSize    = 11
	textSize    = 10
	captionSize = 9
)

// The colours of Okabe and Ito, told apart by readers with any of the common colour blindnesses; yellow, too light
// for lines on white, is kept for filled marks with a dark edge.
var (
	black      = color.NRGBA{A: 255}
	ink        = color.NRGBA{R: 0x33, G: 0x33, B: 0x33, A: 255}
	grey       = color.NRGBA{R: 0x66, G: 0x66, B: 0x66, A: 255}
	pale       = color.NRGBA{R: 0xdd, G: 0xdd, B: 0xdd, A: 255}
	white      = color.NRGBA{R: 255, G: 255, B: 255, A: 255}
	blue       = color.NRGBA{R: 0x00, G: 0x72, B: 0xb2, A: 255}
	vermillion = color.NRGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 255}
	green      = color.NRGBA{R: 0x00, G: 0x9e, B: 0x73, A: 255}
	purple     = color.NRGBA{R: 0xcc, G: 0x79, B: 0xa7, A: 255}
	orange     = color.NRGBA{R: 0xe6, G: 0x9f, B: 0x00, A: 255}
	yellow     = color.NRGBA{R: 0xf0, G: 0xe4, B: 0x42, A: 255}
	sky        = color.NRGBA{R: 0x56, G: 0xb4, B: 0xe9, A: 255}
)

// look is how one backend is drawn in every figure of a run: colour, dash and shape differ together, so that any one of them
// suffices to tell two backends apart.
type look struct {
	color  color.NRGBA
	dashes []vg.Length
	glyph  draw.GlyphDrawer
}

// lookOf returns the look of the i-th backend of a run.
func lookOf(i int) look {
	looks := [...]look{
		{blue, nil, draw.CircleGlyph{}},
		{vermillion, []vg.Length{7, 3}, draw.BoxGlyph{}},
		{green, []vg.Length{2, 2}, draw.PyramidGlyph{}},
		{purple, []vg.Length{9, 3, 2, 3}, diamondGlyph{}},
		{orange, []vg.Length{4, 2}, draw.RingGlyph{}},
		{sky, []vg.Length{1, 3}, draw.SquareGlyph{}},
		{ink, []vg.Length{12, 4}, draw.TriangleGlyph{}},
	}
	// After seven backends colours return, with other dashes and shapes.
	n, again := len(looks), i/len(looks)
	return look{looks[i%n].color, looks[(i+again)%n].dashes, looks[(i+2*again)%n].glyph}
}

// diamondGlyph is a filled diamond, hollowGlyph the outline of one.
type diamondGlyph struct{}
type hollowGlyph struct{}

func diamond(pt vg.Point, r vg.Length) vg.Path {
	var p vg.Path
	p.Move(vg.Point{X: pt.X - r, Y: pt.Y})
	p.Line(vg.Point{X: pt.X, Y: pt.Y + r})
	p.Line(vg.Point{X: pt.X + r, Y: pt.Y})
	p.Line(vg.Point{X: pt.X, Y: pt.Y - r})
	p.Close()
	return p
}

// DrawGlyph implements draw.GlyphDrawer.
func (diamondGlyph) DrawGlyph(c *draw.Canvas, sty draw.GlyphStyle, pt vg.Point) {
	c.SetColor(sty.Color)
	c.Fill(diamond(pt, sty.Radius*1.25))
}

// DrawGlyph implements draw.GlyphDrawer.
func (hollowGlyph) DrawGlyph(c *draw.Canvas, sty draw.GlyphStyle, pt vg.Point) {
	c.SetColor(white)
	c.Fill(diamond(pt, sty.Radius*1.25))
	c.SetLineStyle(draw.LineStyle{Color: sty.Color, Width: 1.2})
	c.Stroke(diamond(pt, sty.Radius*1.25))
}

// sans returns a text style; texts are drawn left-aligned on their baseline's descent unless the caller changes that.
func sans(size float64, bold bool, col color.Color) text.Style {
	f := pfont.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(size)}
	if bold {
		f.Weight = font.WeightBold
	}
	return text.Style{Color: col, Font: f, Handler: plot.DefaultTextHandler}
}

// newPlot returns a plot in the report's fonts, with light grid lines along the axes asked for, on the ground given.
func newPlot(gridX, gridY bool, ground ...plot.Plotter) *plot.Plot {
	p := plot.New()
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Tick.Label.Font = sans(textSize, false, ink).Font
		a.Tick.Label.Color = ink
		a.Tick.Length = 4
		a.Tick.LineStyle.Color = grey
		a.LineStyle.Color = grey
		a.Padding = 0
		a.Min, a.Max = 0, 1
	}
	p.BackgroundColor = nil
	p.Add(ground...)
	p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
		line := draw.LineStyle{Color: pale, Width: 0.5}
		trX, trY := p.Transforms(&c)
		if gridX {
			for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
				if x := trX(t.Value); !t.IsMinor() && c.ContainsX(x) {
					c.StrokeLine2(line, x, c.Min.Y, x, c.Max.Y)
				}
			}
		}
		if gridY {
			for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
				if y := trY(t.Value); !t.IsMinor() && c.ContainsY(y) {
					c.StrokeLine2(line, c.Min.X, y, c.Max.X, y)
				}
			}
		}
	}))
	return p
}

// plotFunc is a function that draws on a plot's data area.
type plotFunc func(c draw.Canvas, p *plot.Plot)

// Plot implements plot.Plotter.
func (f plotFunc) Plot(c draw.Canvas, p *plot.Plot) { f(c, p) }

// say writes one line on a white ground, so that it stays legible across lines. x and y say which point of the text lies at
// pt: draw.XLeft, XCenter or XRight and draw.YBottom, YCenter or YTop.
func say(c draw.Canvas, sty text.Style, pt vg.Point, x text.XAlignment, y text.YAlignment, txt string) {
	txt = plain(txt)
	sty.XAlign, sty.YAlign = x, y
	if y == draw.YCenter {
		pt.Y += sty.FontExtents().Descent // the eye centres letters, not their box
	}
	r := sty.Rectangle(txt).Add(pt)
	r.Min.X, r.Max.X = r.Min.X-1.5, r.Max.X+1.5
	c.SetColor(white)
	c.Fill(r.Path())
	c.FillText(sty, pt, txt)
}

// saySomething writes a line in the middle of a panel that has nothing else to show.
func saySomething(c draw.Canvas, txt string) {
	say(c, sans(textSize, false, grey), c.Center(), draw.XCenter, draw.YCenter, txt)
}

// glyph draws one mark.
func glyph(c draw.Canvas, g draw.GlyphDrawer, col color.Color, r vg.Length, pt vg.Point) {
	c.DrawGlyphNoClip(draw.GlyphStyle{Shape: g, Color: col, Radius: r}, pt)
}

// lineKey, glyphKey and shadeKey are entries of a legend.
func lineKey(txt string, l look, width vg.Length, marked bool) key {
	return key{txt, func(c draw.Canvas, at vg.Point) {
		c.StrokeLine2(draw.LineStyle{Color: l.color, Width: width, Dashes: l.dashes}, at.X-keyWidth/2, at.Y, at.X+keyWidth/2, at.Y)
		if marked {
			glyph(c, l.glyph, l.color, 3.5, at)
		}
	}}
}

func glyphKey(txt string, g draw.GlyphDrawer, col color.Color, r vg.Length) key {
	return key{txt, func(c draw.Canvas, at vg.Point) { glyph(c, g, col, r, at) }}
}

func shadeKey(txt string, col color.Color) key {
	return key{txt, func(c draw.Canvas, at vg.Point) {
		c.SetColor(col)
		c.Fill(vg.Rectangle{Min: vg.Point{X: at.X - 9, Y: at.Y - 5}, Max: vg.Point{X: at.X + 9, Y: at.Y + 5}}.Path())
	}}
}

// wrap breaks a text into lines of at most width; a word that is longer stands alone.
func wrap(sty text.Style, width vg.Length, txt string) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(plain(txt)) {
		switch longer := line + " " + word; {
		case line == "":
			line = word
		case sty.Width(longer) <= width:
			line = longer
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// fitting cuts a text so that it is at most so wide, and shows that it did.
func fitting(sty text.Style, width vg.Length, txt string) string {
	for n := len([]rune(txt)); n > 10 && sty.Width(plain(txt)) > width; n = len([]rune(txt)) {
		txt = short(txt, n-2)
	}
	return txt
}

// plain takes out what neither a font nor XML can show.
func plain(txt string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffe' || r == '\uffff' || r == '\ufffd' {
			return '?'
		}
		return r
	}, txt)
}

// svg draws the figure as an SVG document.
func (f figure) svg() ([]byte, error) {
	c := vgsvg.New(figureWidth, f.layout(nil))
	f.layout(c)
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return nil, err
	}
	// The fonts' names are asked for in order: a viewer without Liberation takes one with the same widths.
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;font-variant:normal;"),
		[]byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;")), nil
}

// png draws the figure as a PNG image.
func (f figure) png() ([]byte, error) {
	c := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(figureWidth, f.layout(nil)), vgimg.UseDPI(pngDPI))}
	f.layout(c)
	var b bytes.Buffer
	_, err := c.WriteTo(&b)
	return b.Bytes(), err
}

// layout draws the figure on a canvas from the top down and returns the height it takes; with no canvas it only measures.
func (f figure) layout(canvas vg.CanvasSizer) vg.Length {
	const room = figureWidth - 2*margin
	var c draw.Canvas
	y := vg.Length(0) // distance from the top
	if canvas != nil {
		c = draw.New(canvas)
		c.SetColor(white)
		c.Fill(c.Rectangle.Path())
	}
	lines := func(sty text.Style, txt string) {
		for _, line := range wrap(sty, room, txt) {
			if canvas != nil {
				s := sty
				s.YAlign = draw.YTop
				c.FillText(s, vg.Point{X: margin, Y: c.Max.Y - y}, line)
			}
			y += sty.Font.Size * 1.25
		}
	}

	y += margin
	lines(sans(titleSize, true, black), f.title)
	y += 6

	if len(f.legend) > 0 {
		sty := sans(textSize, false, ink)
		const gap, row = vg.Length(14), vg.Length(16)
		x := margin
		for _, k := range f.legend {
			w := keyWidth + 5 + sty.Width(plain(k.text))
			if x > margin && x+w > margin+room {
				x, y = margin, y+row
			}
			if canvas != nil {
				k.mark(c, vg.Point{X: x + keyWidth/2, Y: c.Max.Y - y - row/2})
				s := sty
				s.YAlign = draw.YCenter
				c.FillText(s, vg.Point{X: x + keyWidth + 5, Y: c.Max.Y - y - row/2 + s.FontExtents().Descent}, plain(k.text))
			}
			x += w + gap
		}
		y += row + 4
	}

	// The panels' data areas share a left and a right edge: the widest axis decides. Axes are named here and not by
	// package plot, which on a logarithmic axis keeps the room for a name in the wrong place.
	var left, right vg.Length
	if canvas != nil {
		for _, p := range f.panels {
			tile := f.tile(c, y, p)
			data := p.plot.DataCanvas(tile)
			left, right = max(left, data.Min.X-tile.Min.X), max(right, tile.Max.X-data.Max.X)
		}
	}
	for _, p := range f.panels {
		if canvas != nil {
			tile := f.tile(c, y, p)
			data := p.plot.DataCanvas(tile)
			if p.head != "" {
				s := sans(headSize, true, black)
				s.YAlign = draw.YTop
				c.FillText(s, vg.Point{X: margin, Y: c.Max.Y - y - 4}, plain(p.head))
			}
			tile = draw.Crop(tile, left-(data.Min.X-tile.Min.X), (tile.Max.X-data.Max.X)-right, 0, 0)
			p.plot.Draw(tile)
			data = p.plot.DataCanvas(tile)
			s := sans(textSize, false, ink)
			s.XAlign, s.YAlign = draw.XCenter, draw.YBottom
			c.FillText(s, vg.Point{X: data.Center().X, Y: tile.Min.Y - axisName + 3}, p.x)
			s.Rotation, s.YAlign = math.Pi/2, draw.YTop
			c.FillText(s, vg.Point{X: margin - 4, Y: data.Center().Y}, p.y)
		}
		y += p.height
	}
	y += 4
	lines(sans(captionSize, false, grey), f.caption)
	return y + margin - 3
}

// tile is the part of the canvas, y below its top, that a panel's axes take without their names.
func (f figure) tile(c draw.Canvas, y vg.Length, p panel) draw.Canvas {
	t := draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{
		Min: vg.Point{X: margin, Y: c.Max.Y - y - p.height},
		Max: vg.Point{X: figureWidth - margin, Y: c.Max.Y - y - p.above},
	}}
	if p.x != "" {
		t.Min.Y += axisName
	}
	for _, p := range f.panels {
		if p.y != "" {
			t.Min.X = margin + axisName
		}
	}
	return t
}

// logTicks marks 1, 2 and 5 of each power of ten, or the powers alone where there are many.
type logTicks struct{}

// Ticks implements plot.Ticker.
func (logTicks) Ticks(lo, hi float64) []plot.Tick {
	var ticks []plot.Tick
	many := math.Log10(hi/lo) > 3.5
	for e := math.Floor(math.Log10(lo)); e <= math.Ceil(math.Log10(hi)); e++ {
		for m := 1.0; m < 10; m++ {
			v := m * math.Pow(10, e)
			if v < lo*(1-1e-9) || v > hi*(1+1e-9) {
				continue
			}
			t := plot.Tick{Value: v}
			if m == 1 || !many && (m == 2 || m == 5) {
				t.Label = number(v)
			}
			ticks = append(ticks, t)
		}
	}
	labels := 0
	for _, t := range ticks {
		if t.Label != "" {
			labels++
		}
	}
	if labels < 3 && hi/lo < 10 { // less than a decade: round values in even steps say more
		return evenTicks{5}.Ticks(lo, hi)
	}
	return ticks
}

// evenTicks marks about n round values.
type evenTicks struct{ n int }

// Ticks implements plot.Ticker.
func (t evenTicks) Ticks(lo, hi float64) []plot.Tick {
	span := hi - lo
	if span <= 0 || math.IsInf(span, 0) || math.IsNaN(span) {
		return nil
	}
	step := math.Pow(10, math.Floor(math.Log10(span/float64(t.n))))
	for _, m := range []float64{1, 2, 5, 10} {
		if span/(step*m) <= float64(t.n) {
			step *= m
			break
		}
	}
	var ticks []plot.Tick
	for i := math.Ceil(lo/step - 1e-9); i*step <= hi+step*1e-9; i++ {
		ticks = append(ticks, plot.Tick{Value: i * step, Label: number(i * step)})
	}
	return ticks
}

// number writes a value with at most three digits that count, thousands set apart.
func number(v float64) string {
	if v == 0 {
		return "0"
	}
	abs := math.Abs(v)
	digits := max(0, 2-int(math.Floor(math.Log10(abs)+1e-9)))
	s := strconv.FormatFloat(v, 'f', min(digits, 6), 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		s = "0"
	}
	if abs >= 10000 {
		s = thousands(s)
	}
	return strings.Replace(s, "-", "−", 1)
}

// thousands sets a whole number's thousands apart.
func thousands(s string) string {
	whole, rest, found := strings.Cut(s, ".")
	var b strings.Builder
	for i, r := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 && whole[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	if found {
		return b.String() + "." + rest
	}
	return b.String()
}

// count writes a number of things.
func count(n int64) string { return thousands(strconv.FormatInt(n, 10)) }

// duration writes milliseconds with the unit that fits.
func duration(ms float64) string {
	if math.Abs(ms) >= 1000 {
		return number(ms/1000) + " s"
	}
	return number(ms) + " ms"
}

// bitRate writes Gbit/s with the unit that fits.
func bitRate(gbit float64) string {
	scale, unit := rateUnit(gbit)
	return number(gbit*scale) + " " + unit
}

// rateUnit is the unit for rates of which most, in Gbit/s, is the greatest, and how many of it a Gbit/s is.
func rateUnit(most float64) (scale float64, unit string) {
	if most < 0.1 {
		return 1000, "Mbit/s"
	}
	return 1, "Gbit/s"
}

// percent writes a share.
func percent(share float64) string { return fmt.Sprintf("%s %%", number(share*100)) }

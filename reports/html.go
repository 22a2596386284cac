package reports

import (
	"bytes"
	_ "embed"
	"html/template"
	"io"
	"strings"
)

// The pages, and the parts that they share.
var (
	//go:embed report.html.tmpl
	reportSource string
	//go:embed gate.html.tmpl
	gateSource string
	//go:embed search.html.tmpl
	searchSource string
	//go:embed capacity.html.tmpl
	capacitySource string
	//go:embed sweep.html.tmpl
	sweepSource string
	//go:embed shared.html.tmpl
	sharedSource string
)

// plate is a figure as a page shows it.
type plate struct {
	Name, Title string
	SVG         template.HTML
}

// writeHTML writes the page as one file that needs no other: plots are inline, and nothing is fetched.
func writeHTML(w io.Writer, p page, drawn []drawing) error {
	return writePage(w, reportSource, drawn, func(plates []plate) any {
		return struct {
			page
			Plates []plate
		}{p, plates}
	})
}

// writePage fills the source of a page in with the figures and what with makes of them.
func writePage(w io.Writer, source string, drawn []drawing, with func([]plate) any) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"wide": func(row []string) bool { return len(row) == 1 },
		"mark": func(cell string) string {
			switch {
			case strings.HasPrefix(cell, "✓"):
				return "good"
			case strings.HasPrefix(cell, "✗"), strings.HasPrefix(cell, "?"):
				return "bad"
			}
			return ""
		},
		"plainly": func(g grid) any {
			return struct {
				Grid  grid
				Class string
			}{g, ""}
		},
		"wordy": func(g grid) any {
			return struct {
				Grid  grid
				Class string
			}{g, "words"}
		},
		"foot": func(i int) string { return superscript(i + 1) },
	}).Parse(sharedSource + source)
	if err != nil {
		return err
	}
	var plates []plate
	for _, d := range drawn {
		plates = append(plates, plate{Name: d.figure.name, Title: plain(d.figure.title), SVG: inline(d)})
	}
	return t.Execute(w, with(plates))
}

// inline makes an SVG document part of a page: without its prologue, as wide as the page allows, and with its title said to
// those who cannot see it.
func inline(d drawing) template.HTML {
	svg := d.svg
	if i := bytes.Index(svg, []byte("<svg ")); i >= 0 {
		svg = svg[i+len("<svg "):]
	}
	// What the document holds was escaped when it was drawn.
	return template.HTML(`<svg role="img" aria-label="` + template.HTMLEscapeString(plain(d.figure.title)) + `" ` + string(svg))
}

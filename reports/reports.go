// Package reports draws what a run, a gate, a search, a sweep or a capacity estimate has found: plots, a page that stands alone, Markdown,
// JUnit, benchmark text; and the tables that a terminal gets, that of a comparison too. It only draws. What it is given is the truth: it
// measures nothing, judges nothing and knows no clock, so that the same results always give the same files.
package reports

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"origin-storm/storm/record"
)

// Page is the name of the page in whatever folder a report is drawn into.
const Page = "report.html"

// Run is what a report is drawn from: the contents of a run folder.
type Run struct {
	Results   record.Results
	Intervals []record.Interval // windows.ndjson
	Copies    []record.Copy     // segments.ndjson
	Events    []record.Event    // events.ndjson
}

// Write draws the whole report of a run into the folder dir, which must exist: report.html, report.md, junit.xml, bench.txt and
// plots/*.svg and *.png. Files of these names are replaced, each at once; all are drawn before the first is written, so that an
// error in drawing leaves the folder as it was.
func Write(dir string, run Run) error {
	figs := figures(run)
	files, err := documents(run, figs)
	if err != nil {
		return fmt.Errorf("reports: %w", err)
	}
	return place(dir, files, figs)
}

// file is one file of the report, named from the run folder.
type file struct {
	name string
	data []byte
}

// documents makes every file of a report that is text.
func documents(run Run, figs []figure) ([]file, error) {
	var files []file
	var drawn []drawing
	for _, fig := range figs {
		svg, err := fig.svg()
		if err != nil {
			return nil, fmt.Errorf("plot %s: %w", fig.name, err)
		}
		files = append(files, file{"plots/" + fig.name + ".svg", svg})
		drawn = append(drawn, drawing{figure: fig, svg: svg})
	}
	p := newPage(run)
	for _, f := range []struct {
		name string
		make func(*bytes.Buffer) error
	}{
		{Page, func(w *bytes.Buffer) error { return writeHTML(w, p, drawn) }},
		{"report.md", func(w *bytes.Buffer) error { return writeMarkdown(w, p, drawn) }},
		{"junit.xml", func(w *bytes.Buffer) error { return writeJUnit(w, run.Results) }},
		{"bench.txt", func(w *bytes.Buffer) error { return writeBench(w, run.Results) }},
	} {
		var b bytes.Buffer
		if err := f.make(&b); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		files = append(files, file{f.name, b.Bytes()})
	}
	return files, nil
}

// replace writes a file beside its place and then moves it there, so that a reader never sees half of it.
func replace(name string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".report-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		// CreateTemp makes files that only their owner can read; a report is to be shown around.
		err = os.Chmod(tmp.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

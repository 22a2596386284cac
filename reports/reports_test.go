package reports

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/png"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/perf/benchfmt"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/recorder"

	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
	"origin-storm/storm/verdict/search"
)

var update = flag.Bool("update", false, "write the golden files anew")

var allFiles = []string{
	"bench.txt", "junit.xml", "report.html", "report.md",
	"plots/cache.png", "plots/cache.svg", "plots/deadline-slack.png", "plots/deadline-slack.svg", "plots/over-time.png", "plots/over-time.svg",
	"plots/write-latency.png", "plots/write-latency.svg", "plots/write-percentiles.png", "plots/write-percentiles.svg",
}

// TestGolden draws the fixture run and compares every file with the one that was looked at when it was last updated. Numbers
// may differ by a hundredth of a point: processors round differently.
func TestGolden(t *testing.T) {
	run := fixture()
	files, err := documents(run, figures(run))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "golden", append(files, file{"table.txt", []byte(Table(run.Results))}))
}

// golden compares files with those in a folder of testdata, but for images, which the SVG of the same plot stands for.
func golden(t *testing.T, folder string, files []file) {
	t.Helper()
	inlined := regexp.MustCompile(`(?s)<svg .*?</svg>`)
	for _, f := range files {
		name, got := f.name, f.data
		if filepath.Ext(name) == ".png" {
			continue
		}
		if name == "report.html" {
			got = inlined.ReplaceAll(got, []byte("<svg/>")) // the plots have golden files of their own
		}
		golden := filepath.Join("testdata", folder, name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(golden), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, got, 0o666); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if at := differ(string(got), string(want)); at != "" {
			kept := filepath.Join(t.ArtifactDir(), filepath.Base(name))
			_ = os.WriteFile(kept, got, 0o666)
			t.Errorf("%s differs from %s: %s\nlook at it (-artifacts keeps it), then run the test with -update", name, golden, at)
		}
	}
}

// TestSimulatedGolden draws a simulated run and compares every file with the one that was looked at when it was last updated.
func TestSimulatedGolden(t *testing.T) {
	run := simulated()
	files, err := documents(run, figures(run))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "simulated", slices.DeleteFunc(files, func(f file) bool {
		return !slices.Contains([]string{"report.html", "report.md", "plots/storm-at-the-tick.svg", "plots/utilisation.svg"}, f.name)
	}))
}

// TestSimulatedSaysSo: every page of a simulated run says, before its first table, that it is simulated, with which profile, from when and
// where, how far off, and what is extrapolated; every plot says so, too, and nothing is called measured.
func TestSimulatedSaysSo(t *testing.T) {
	run := simulated()
	figs := figures(run)
	files, err := documents(run, figs)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.name != Page && f.name != "report.md" {
			continue
		}
		txt := strings.ReplaceAll(string(f.data), "\\", "")
		top, _, _ := strings.Cut(txt, "Comparison")
		for _, want := range []string{"simulated run", "Simulated, not measured: profile two-cores of 2026-11-23, from 2 cores of an Intel Xeon",
			"Stated error: on 6 runs that it was not fitted on, storm publish response p99 off by 8 % in the middle and 21 % at most", "Extrapolated", "readers.edges 40 is beyond 10 to 20"} {
			if !strings.Contains(top, want) {
				t.Errorf("the top of %s lacks %q:\n%s", f.name, want, top)
			}
		}
		for _, bad := range []string{"(measured)", "– measured", "processes, "} {
			if strings.Contains(txt, bad) {
				t.Errorf("%s has %q", f.name, bad)
			}
		}
	}
	for _, fig := range figs {
		if !strings.Contains(fig.caption, "simulated") || strings.Contains(fig.title+fig.caption, "(measured)") {
			t.Errorf("%s does not say that its figures are simulated: %s / %s", fig.name, fig.title, fig.caption)
		}
	}
	if n := len(figures(fixture())); n != len(figs)-2 {
		t.Errorf("a live run has %d plots and a simulated one %d, want two more", n, len(figs))
	}
}

var numeral = regexp.MustCompile(`-?[0-9]+(\.[0-9]+)?(e[-+][0-9]+)?`)

// differ says where two texts differ by more than their numbers' last digits.
func differ(got, want string) string {
	if numeral.ReplaceAllString(got, "#") != numeral.ReplaceAllString(want, "#") {
		g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
		for i := range min(len(g), len(w)) {
			if g[i] != w[i] {
				return fmt.Sprintf("line %d is\n%.300s\nwant\n%.300s", i+1, g[i], w[i])
			}
		}
		return fmt.Sprintf("%d lines, want %d", len(g), len(w))
	}
	ws := numeral.FindAllString(want, -1)
	for i, g := range numeral.FindAllString(got, -1) {
		a, _ := strconv.ParseFloat(g, 64)
		b, _ := strconv.ParseFloat(ws[i], 64)
		if math.Abs(a-b) > 0.011 {
			return fmt.Sprintf("%s where %s was", g, ws[i])
		}
	}
	return ""
}

// runs are the runs that a report must survive, beside the usual one.
func runs() map[string]Run {
	all := map[string]Run{"usual": fixture(), "nothing at all": {}}

	all["one backend, no cache"] = makeRun([]backend{{name: "embedded", provenance: "measured", servers: []string{"Pebble"}, quiet50: 3, storm50: 4, tail: 5, gbit: 2}})

	nulls := fixture()
	for i := range nulls.Results.Backends {
		b := &nulls.Results.Backends[i]
		for j := range b.Phases {
			for k := range b.Phases[j].Operations {
				op := &b.Phases[j].Operations[k]
				op.Response = record.Latency{Count: 12, Note: "driver lag p99 of 800 ms is above 5 ms and above 5 % of p50, p90, p99, max; p99 needs 300 values, there are 12"}
				op.FirstByte, op.Lag = record.Latency{}, record.Latency{}
			}
		}
		b.Isolation = &record.WriteIsolation{P50: record.Ratio{Note: "p50 needs 20 writes on each side, quiet has 12"}}
		b.Cache = record.Cache{}
		b.Segments.SlackP1, b.Segments.SlackP50, b.Published = nil, nil, nil
	}
	for i := range nulls.Intervals {
		nulls.Intervals[i].WriteP50, nulls.Intervals[i].WriteMax = nil, nil
	}
	for i := range nulls.Results.Thresholds {
		nulls.Results.Thresholds[i].Actual, nulls.Results.Thresholds[i].OK, nulls.Results.Thresholds[i].Note = nil, false, "too few writes"
	}
	nulls.Results.Verdict, nulls.Results.Sentence = "invalid", "Invalid, its figures cannot be relied on: storm publish response p99 < 400ms could not be told on s3 (modelled): too few writes."
	nulls.Results.Driver.LagP99 = nil
	all["all nulls"] = nulls

	empty := fixture()
	empty.Copies, empty.Intervals, empty.Events, empty.Results.Thresholds = nil, nil, nil, nil
	for i := range empty.Results.Backends {
		b := &empty.Results.Backends[i]
		b.Phases, b.Isolation, b.Cache, b.Segments = nil, nil, record.Cache{}, record.Segments{}
	}
	all["zero samples"] = empty

	few := fixture()
	for i := range few.Results.Backends {
		b := &few.Results.Backends[i]
		for j := range b.Phases {
			op := &b.Phases[j].Operations[0]
			op.Count = 12
			op.Response = record.Latency{Count: 12, Max: ptr(6.81 + float64(i)), Note: "p50 needs 20 values, there are 12"}
			b.Phases[j].ReadGbit /= 1000
		}
		b.Isolation = nil
	}
	for i := range few.Intervals {
		few.Intervals[i].ReadGbit /= 1000
	}
	all["too few writes for a median"] = few

	outlier := fixture()
	op := &outlier.Results.Backends[1].Phases[2].Operations[0]
	op.Response.P99, op.Response.P99CI, op.Response.Max = ptr(59_000.0), &[2]float64{400, 60_000}, ptr(60_000.0)
	op.Response.Points[len(op.Response.Points)-1][1] = 60_000
	outlier.Intervals[40].WriteMax, outlier.Intervals[40].ReadGbit = ptr(60_000.0), 400
	outlier.Copies[40].Readable = ptr(*outlier.Copies[40].Sent + 500)
	outlier.Results.Backends[2].Cache.Collapse = ptr(1e6)
	all["a huge outlier"] = outlier

	tiny := fixture()
	for i := range tiny.Results.Backends {
		l := &tiny.Results.Backends[i].Phases[2].Operations[0].Response
		l.P50, l.P50CI, l.P99 = ptr(0.0), &[2]float64{0, 0}, ptr(0.0004)
		l.Points = [][2]float64{{0, 0}, {0.5, 0}, {1, 5}, {0.95, math.Inf(1)}, {0.9, math.NaN()}}
		tiny.Results.Backends[i].Cache.HitRatio = ptr(math.NaN())
	}
	tiny.Intervals[3].ReadGbit, tiny.Intervals[4].WriteMax = math.NaN(), ptr(math.Inf(1))
	tiny.Results.SegmentMS = 0
	all["zeros and no numbers"] = tiny

	names := fixture()
	for i := range names.Results.Backends {
		old, name := names.Results.Backends[i].Name, fmt.Sprintf("wiederholungszaehlerabgleich-nr-%d-<b>&'|`_", i)[:40]
		names.Results.Backends[i].Name = name
		names.Results.Backends[i].Servers = []string{strings.Repeat("Cassandra 5.0.5 on a machine with a long name, ", 4)}
		for j := range names.Intervals {
			if names.Intervals[j].Backend == old {
				names.Intervals[j].Backend = name
			}
		}
		for j := range names.Copies {
			if names.Copies[j].Backend == old {
				names.Copies[j].Backend = name
			}
		}
		for j := range names.Events {
			if names.Events[j].Backend == old {
				names.Events[j].Backend, names.Events[j].Text = name, "kill everything that has a name as long as this one, and then\nsome \x01<script>alert(1)</script>"
			}
		}
	}
	names.Results.Scenario, names.Results.About = "</title><script>alert(1)</script>", "a | b \x00 <i>c</i>"
	all["long and hostile names"] = names

	all["simulated"] = simulated()
	idle := simulated()
	for i := range idle.Results.Backends {
		idle.Results.Backends[i].Simulation = &record.Simulation{}
	}
	all["simulated without profile or tiers"] = idle

	cut := fixture()
	cut.Results.Verdict, cut.Results.Sentence = "interrupted", "Interrupted: the figures cover what was measured until then."
	cut.Results.Backends = cut.Results.Backends[:2]
	cut.Results.Backends[1].Phases = cut.Results.Backends[1].Phases[:1]
	cut.Results.Backends[1].Isolation = nil
	cut.Intervals = slices.DeleteFunc(cut.Intervals, func(iv record.Interval) bool { return iv.Backend != "s3" && iv.At > 6 })
	cut.Copies = slices.DeleteFunc(cut.Copies, func(c record.Copy) bool { return c.Backend != "s3" && c.Due > 7 })
	all["interrupted"] = cut

	var eight []backend
	for i := range 8 {
		eight = append(eight, backend{name: fmt.Sprintf("hit-%d", i*12), provenance: "simulated", quiet50: 20 + float64(i), storm50: 25 - float64(i), tail: 4, hit: 0.12*float64(i) + 0.01, gbit: float64(i) + 1})
	}
	all["eight backends"] = makeRun(eight)

	stormy := fixture()
	for i := range 9 {
		stormy.Events = append(stormy.Events,
			record.Event{At: 30 + float64(i), Backend: "s3", Kind: "fault", Text: fmt.Sprintf("kill cassandra %d for 2s", i)},
			record.Event{At: 32 + float64(i), Backend: "s3", Kind: "fault-end", Text: "it is back"})
	}
	stormy.Events = append(stormy.Events, record.Event{At: 66, Backend: "cassandra", Kind: "death", Text: "origin serve: exit status 2"})
	for i, outcome := range []string{"lost", "torn", "wrong", "stale", "failed", "late"} {
		stormy.Copies[300+i].Outcome = outcome
	}
	stormy.Results.Backends[0].Segments.Lost, stormy.Results.Backends[0].Segments.Torn = 1, 2
	for i := range 5 {
		stormy.Results.Backends[0].Offenders = append(stormy.Results.Backends[0].Offenders, record.Offender{Kind: "torn", Segment: fmt.Sprintf("/final/a/r1/%d.m4s", i+7),
			Pipeline: "a", Reader: "edge/12", At: 21.5, What: "bytes of another segment from byte 65536 on"})
	}
	all["many faults"] = stormy
	return all
}

// TestAnyRun draws runs of every kind and checks what must be so of all reports: documents can be parsed, need nothing from
// elsewhere, and nothing that is no number is said to be one.
func TestAnyRun(t *testing.T) {
	for name, run := range runs() {
		t.Run(name, func(t *testing.T) {
			files, err := documents(run, figures(run))
			if err != nil {
				t.Fatalf("documents: %v", err)
			}
			for _, f := range files {
				switch filepath.Ext(f.name) {
				case ".svg", ".xml":
					if err := wellFormed(f.data); err != nil {
						t.Errorf("%s is not XML: %v", f.name, err)
					}
				case ".html":
					// Namespaces are names, not addresses to fetch.
					data := bytes.ReplaceAll(f.data, []byte(`"http://www.w3.org/`), nil)
					for _, bad := range []string{"<script", "<b>", "<i>", "http://", "https://", "src=", "<link", "url("} {
						if bytes.Contains(data, []byte(bad)) {
							t.Errorf("%s contains %q: it must need no other file and run nothing", f.name, bad)
						}
					}
				}
				for _, bad := range []string{"NaN", "Inf<", "Inf ", "Inf,", "%!"} {
					if at := bytes.Index(f.data, []byte(bad)); at >= 0 {
						t.Errorf("%s contains %q: %q", f.name, bad, f.data[max(0, at-60):min(len(f.data), at+60)])
					}
				}
			}
		})
	}
}

// TestWrite: all files are there, and the images show something.
func TestWrite(t *testing.T) {
	all := runs()
	for _, name := range []string{"one backend, no cache", "nothing at all"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := Write(dir, all[name]); err != nil {
				t.Fatalf("Write: %v", err)
			}
			var found []string
			_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					rel, _ := filepath.Rel(dir, path)
					found = append(found, filepath.ToSlash(rel))
				}
				return err
			})
			if want := slices.Sorted(slices.Values(allFiles)); !slices.Equal(slices.Sorted(slices.Values(found)), want) {
				t.Errorf("Write left %q, want %q", found, want)
			}
			for _, name := range found {
				if filepath.Ext(name) == ".png" {
					data, err := os.ReadFile(filepath.Join(dir, name))
					if err != nil {
						t.Fatal(err)
					}
					checkImage(t, name, data)
				}
			}
		})
	}
}

// checkImage fails on an image that does not decode or that shows next to nothing.
func checkImage(t *testing.T, name string, data []byte) {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	white, all := 0, 0
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y += 3 {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x += 3 {
			all++
			if r, g, b, _ := img.At(x, y).RGBA(); r == 0xffff && g == 0xffff && b == 0xffff {
				white++
			}
		}
	}
	if img.Bounds().Size() == (image.Point{}) || white > all*995/1000 {
		t.Errorf("%s is blank: %d of %d pixels looked at are white", name, white, all)
	}
}

func wellFormed(data []byte) error {
	d := xml.NewDecoder(bytes.NewReader(data))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// sized is a recording canvas of a figure's size.
type sized struct {
	recorder.Canvas
	height vg.Length
}

func (s *sized) Size() (x, y vg.Length) { return figureWidth, s.height }

// TestTextsAreLegible: no text of a figure leaves the canvas, and none lies on another.
func TestTextsAreLegible(t *testing.T) {
	for name, run := range runs() {
		t.Run(name, func(t *testing.T) {
			for _, fig := range figures(run) {
				legible(t, fig)
			}
		})
	}
}

// legible checks that no text of a figure leaves the canvas, and that none lies on another.
func legible(t *testing.T, fig figure) {
	t.Helper()
	type box struct {
		text string
		r    vg.Rectangle
	}
	c := &sized{height: fig.layout(nil)}
	fig.layout(c)
	var boxes []box
	rotated := 0
	var stack []int
	for _, a := range c.Actions {
		switch a := a.(type) {
		case *recorder.Push:
			stack = append(stack, rotated)
		case *recorder.Pop:
			rotated, stack = stack[len(stack)-1], stack[:len(stack)-1]
		case *recorder.Rotate:
			rotated++
		case *recorder.FillString:
			if rotated > 0 || strings.TrimSpace(a.String) == "" || a.Size < 2 {
				continue
			}
			sty := sans(a.Size.Points(), a.Font.Weight > 0, ink)
			r := vg.Rectangle{Min: a.Point, Max: vg.Point{X: a.Point.X + sty.Width(a.String), Y: a.Point.Y + a.Size*0.7}}
			boxes = append(boxes, box{a.String, r})
		}
	}
	if len(boxes) < 3 {
		t.Errorf("%s has %d texts", fig.name, len(boxes))
	}
	for i, b := range boxes {
		if b.r.Min.X < 0 || b.r.Max.X > figureWidth || b.r.Min.Y < 0 || b.r.Max.Y > c.height {
			t.Errorf("%s: %q leaves the canvas: %v of %v × %v", fig.name, b.text, b.r, figureWidth, c.height)
		}
		for _, o := range boxes[:i] {
			w := min(b.r.Max.X, o.r.Max.X) - max(b.r.Min.X, o.r.Min.X)
			h := min(b.r.Max.Y, o.r.Max.Y) - max(b.r.Min.Y, o.r.Min.Y)
			if w > 1 && h > 1 {
				t.Errorf("%s: %q lies on %q", fig.name, b.text, o.text)
			}
		}
	}
}

// TestTooFewWrites: where no percentile can be told, titles say how many writes there were and what is known of them, and the
// table has the slowest and the unit that rates of this size are read in.
func TestTooFewWrites(t *testing.T) {
	run := runs()["too few writes for a median"]
	const want = "Too few writes in the storm for a median: the slowest of 12 took 6.81 ms on s3 (modelled: s3-2024), the slowest of 12 took 8.81 ms on cassandra+cache (measured)"
	for _, fig := range figures(run)[:2] {
		if fig.title != want {
			t.Errorf("%s is titled %q, want %q", fig.name, fig.title, want)
		}
	}
	got := Table(run.Results)
	for _, want := range []string{"Mbit/s", "max 6.81²", "² p99 needs 300 values, there are 12: the slowest in its place", "9.12"} {
		if !strings.Contains(got, want) {
			t.Errorf("Table(few) lacks %q:\n%s", want, got)
		}
	}
}

// TestCompareTable: what neither run has is left out and said once, what is 0 in both is named once, and rates stand in a unit of
// their size.
func TestCompareTable(t *testing.T) {
	line := verdict.Line{Backend: "embedded", Phase: "storm", Class: "publish", Unit: "ms"}
	missing := line
	missing.Figure, missing.Note = "response p99", "old: p50 needs 20 values, there are 12"
	slowest := line
	slowest.Figure, slowest.Old, slowest.New, slowest.Ratio = "slowest response", ptr(6.85), ptr(7.2), ptr(1.051)
	rate := verdict.Line{Backend: "embedded", Phase: "storm", Figure: "read throughput", Unit: "Gbit/s", Old: ptr(0.00565), New: ptr(0.00527), Ratio: ptr(0.933)}
	lost := verdict.Line{Backend: "embedded", Figure: "segments lost", Old: ptr(0.0), New: ptr(0.0)}
	late := verdict.Line{Backend: "embedded", Figure: "segments late", Old: ptr(0.0), New: ptr(2.0)}
	got := CompareTable(verdict.Comparison{Comparable: true, Alpha: 0.05, Lines: []verdict.Line{missing, slowest, missing, rate, lost, late}})
	for _, want := range []string{"slowest response ms", "6.85   7.2", "read throughput Mbit/s  5.65  5.27", "  whole run\n    segments late", "0 in both runs: segments lost.",
		"Left out: 2 figures that neither run has (old: p50 needs 20 values, there are 12)"} {
		if !strings.Contains(got, want) {
			t.Errorf("CompareTable lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "response p99") {
		t.Errorf("CompareTable has a line without figures:\n%s", got)
	}
}

// TestSearchFrontier: a search whose limits are all 0 shows how measurements ended and no empty axis; one with a limit names the
// threshold that was nearest to it. The title is not the page's over again.
func TestSearchFrontier(t *testing.T) {
	point := func(load float64, ths ...record.Threshold) search.Point {
		return search.Point{Load: load, Outcome: search.Holds, Sentence: "Passed.", ReadGbit: 0.003, Thresholds: ths, Folder: fmt.Sprintf("measurements/%02.0f", load)}
	}
	lost := record.Threshold{Text: "segments lost == 0", Actual: ptr(0.0), OK: true}
	p99 := record.Threshold{Text: "storm publish response p99 < 500ms", Actual: ptr(180.0), Limit: 500, OK: true}
	for name, c := range map[string]struct {
		points []search.Point
		title  string
	}{
		"limits of 0": {[]search.Point{point(2, lost), point(4, lost), point(4, lost)}, "How each of 3 measurements ended"},
		"a limit":     {[]search.Point{point(2, lost, p99), point(4, lost, p99)}, "At readers.edges=4 the nearest to its limit: storm publish response p99 < 500ms, at 36 % of it"},
		"nothing":     {nil, "Nothing was measured"},
	} {
		t.Run(name, func(t *testing.T) {
			r := search.Results{Scenario: "smoke", Backend: "embedded", Path: "readers.edges", Result: search.Result{Highest: 4}, Sentence: "All thresholds hold up to readers.edges=4.", Points: c.points}
			fig := frontier(r)
			if fig.title != c.title {
				t.Errorf("titled %q, want %q", fig.title, c.title)
			}
			if len(c.points) > 0 {
				legible(t, fig)
			}
			dir := t.TempDir()
			if err := WriteSearch(dir, r); err != nil {
				t.Fatal(err)
			}
			md, err := os.ReadFile(filepath.Join(dir, "report.md"))
			if err != nil || len(c.points) > 0 && !strings.Contains(string(md), "[measurements/02](<measurements/02/report.md>)") {
				t.Errorf("report.md (%v) has no link to a measurement's report:\n%s", err, md)
			}
		})
	}
}

// TestProvenance: no table row, legend or title names a backend without saying what its figures are.
func TestProvenance(t *testing.T) {
	run := fixture()
	for _, fig := range figures(run) {
		if !strings.Contains(fig.caption, "s3 modelled") || !strings.Contains(fig.caption, "cassandra+cache measured") {
			t.Errorf("%s: the caption %q does not say what is measured and what is modelled", fig.name, fig.caption)
		}
		for _, txt := range append([]string{fig.title}, func() (texts []string) {
			for _, k := range fig.legend {
				texts = append(texts, k.text)
			}
			for _, p := range fig.panels {
				texts = append(texts, p.head)
			}
			return texts
		}()...) {
			named := regexp.MustCompile(`(s3|cassandra(\+cache)?)( \([a-z]+)?`).FindAllStringSubmatch(strings.ReplaceAll(txt, "s3-2024", ""), -1)
			for _, m := range named {
				if m[3] == "" {
					t.Errorf("%s: %q names %s without its provenance", fig.name, txt, m[1])
				}
			}
		}
	}
	for _, b := range run.Results.Backends {
		if !strings.Contains(Table(run.Results), b.Name+" – "+b.Provenance) {
			t.Errorf("Table does not say that %s is %s", b.Name, b.Provenance)
		}
	}
}

// A simulated run says so to who reads its JUnit alone, and a live one does not.
func TestJUnitProvenance(t *testing.T) {
	for mode, run := range map[string]Run{"sim": simulated(), "live": fixture()} {
		var b strings.Builder
		if err := writeJUnit(&b, run.Results); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), ` (simulated)" tests=`); got != (mode == "sim") {
			t.Errorf("the suite of a run of mode %s is named simulated: %v, want %v:\n%s", mode, got, mode == "sim", b.String())
		}
	}
}

func TestTableFits(t *testing.T) {
	for name, run := range runs() {
		if name == "a huge outlier" {
			continue // figures beyond 10 s have more digits than a column
		}
		for line := range strings.Lines(Table(run.Results)) {
			line = strings.TrimSuffix(line, "\n")
			if n := utf8.RuneCountInString(line); n > 100 && !strings.HasPrefix(line, "¹") && !strings.HasPrefix(line, "²") && !strings.HasPrefix(line, "³") {
				t.Errorf("%s: a line of Table has %d characters, want at most 100: %q", name, n, line)
			}
		}
	}
}

// TestOffendersAreNamed: who reads the terminal, and who reads the page, is told which segment it was, whose and when.
func TestOffendersAreNamed(t *testing.T) {
	run := runs()["many faults"]
	text := Table(run.Results)
	if n := strings.Count(text, ": torn at 21.5 s: /final/a/r1/"); n != 3 || !strings.Contains(text, "found by edge/12: bytes of another") {
		t.Errorf("the table names %d torn segments, want the first 3 and by whom they were found:\n%s", n, text)
	}
	files, err := documents(run, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if ext := filepath.Ext(f.name); (ext == ".html" || ext == ".md") && (strings.Count(string(f.data), "/final/a/r1/") != 5 || !strings.Contains(string(f.data), "65536")) {
			t.Errorf("%s does not name all offenders", f.name)
		}
	}
}

func TestJUnit(t *testing.T) {
	all := runs()
	for _, test := range []struct {
		name             string
		run              string
		failures, errors int
	}{
		{"a broken threshold fails, and so does the run", "usual", 2, 0},
		{"what could not be told is an error", "all nulls", 0, 7},
		{"an interrupted run is an error", "interrupted", 1, 1},
		{"a run that was not judged is an error", "nothing at all", 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			run := all[test.run]
			var b bytes.Buffer
			if err := writeJUnit(&b, run.Results); err != nil {
				t.Fatal(err)
			}
			var got suites
			if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			s := got.Suite
			if s.Failures != test.failures || s.Errors != test.errors || s.Tests != len(run.Results.Thresholds)+2 || len(s.Cases) != s.Tests {
				t.Errorf("%d tests, %d failures, %d errors, want %d, %d, %d", s.Tests, s.Failures, s.Errors, len(run.Results.Thresholds)+2, test.failures, test.errors)
			}
		})
	}
}

func TestBenchIsReadByBenchstat(t *testing.T) {
	var b bytes.Buffer
	if err := writeBench(&b, fixture().Results); err != nil {
		t.Fatal(err)
	}
	r := benchfmt.NewReader(&b, "bench.txt")
	lines := 0
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.SyntaxError:
			t.Error(rec)
		case *benchfmt.Result:
			lines++
			base, parts := rec.Name.Parts()
			if (string(base) == "Write" || string(base) == "Hold") && len(parts) != 2 {
				t.Errorf("%s has parts %q, want backend and phase", rec.Name, parts)
			}
			if rec.GetConfig("provenance") == "" {
				t.Errorf("%s does not say what its figures are", rec.Name)
			}
		}
	}
	if err := r.Err(); err != nil || lines != 24 {
		t.Errorf("benchfmt reads %d lines and error %v, want 24", lines, err)
	}
	if r.Units().GetBetter("p99-ms") != -1 || r.Units().GetBetter("Gbit/s") != 1 {
		t.Error("the units do not say which way is better")
	}
}

// TestLongRunStaysSmall: the report of a long run must still open in a browser.
func TestLongRunStaysSmall(t *testing.T) {
	run := fixture()
	for _, c := range slices.Clone(run.Copies) {
		for i := range 60 {
			c.Due += 68
			c.Number += 34
			c.Rendition = fmt.Sprint("r", i%12)
			if c.Readable != nil {
				c.Readable = ptr(*c.Readable + 68*float64(i+1))
			}
			run.Copies = append(run.Copies, c)
		}
	}
	svg, err := slackTimeline(run).svg()
	if err != nil {
		t.Fatal(err)
	}
	if len(svg) > 1<<20 {
		t.Errorf("the timeline of %d copies has %d bytes, want at most 1 MiB", len(run.Copies), len(svg))
	}
}

func TestWriteThatFailsWritesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plots"), []byte("in the way"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, Run{}); err == nil || !strings.Contains(err.Error(), "plots") {
		t.Errorf("Write over a file named plots = %v, want an error that names it", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("Write that failed left %v", left)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.0004: "0.0004", 0.5: "0.5", 1: "1", 1.234: "1.23", 12.34: "12.3", 99.96: "100", 129: "129",
		1234.5: "1234", 12345: "12,345", 1234567: "1,234,567", -2: "−2", -0.25: "−0.25", 999.9: "1000"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

package reports

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"origin-storm/storm"
	"origin-storm/storm/record"
)

// table is the comparison: for each backend a row per phase, the ratio of storm to quiet, and what holds for the whole run.
type table struct {
	heads  []string
	groups []group
	notes  []string // footnotes; ¹ is the first
	alike  bool     // a ratio is marked with ~
}

// group is the rows of one backend, under its name with its provenance.
type group struct {
	name string
	rows [][]string
}

// The columns of the comparison.
const (
	colPhase = iota
	colWrites
	colP50
	colP99
	colShare
	colRead
	colHit
	colLate
	colMissed
	colLost
	columns
)

// unknown stands where a figure is null; a footnote says why.
const unknown = "—"

// comparison makes the table of a run.
func comparison(r record.Results) table {
	most := 0.0
	for _, b := range r.Backends {
		for _, p := range phases(b) {
			most = max(most, p.ReadGbit)
		}
	}
	scale, unit := rateUnit(most)
	t := table{heads: []string{"", "writes", "p50 ms [95 %]", "p99 ms [95 %]", "p99/" + strings.ReplaceAll(segmentShort(r), " ", ""),
		unit, "hits", "late", "miss", "lost"}}
	for _, b := range r.Backends {
		g := group{name: describe(b)}
		for _, p := range phases(b) {
			row := make([]string, columns)
			op := operation(p, storm.Publish)
			row[colPhase], row[colWrites] = short(p.Name, 11), count(op.Count)
			row[colP50] = t.percentile(op.Response.P50, op.Response.P50CI, op.Response, 0.5)
			row[colP99] = t.percentile(op.Response.P99, op.Response.P99CI, op.Response, 0.99)
			if p99, ok := value(op.Response.P99); ok && r.SegmentMS > 0 {
				row[colShare] = number(100*p99/r.SegmentMS) + "%"
			} else {
				row[colShare] = unknown
			}
			row[colRead] = number(p.ReadGbit * scale)
			g.rows = append(g.rows, row)
		}
		if b.Isolation != nil {
			row := make([]string, columns)
			row[colPhase] = "storm/quiet"
			row[colP50], row[colP99] = t.ratio(b.Isolation.P50), t.ratio(b.Isolation.P99)
			g.rows = append(g.rows, row)
		}
		row := make([]string, columns)
		row[colPhase] = "whole run"
		if hit, ok := value(b.Cache.HitRatio); ok {
			row[colHit] = number(100*hit) + "%"
		} else {
			row[colHit] = unknown + t.note("no cache, or nothing was read through it")
		}
		row[colLate], row[colMissed] = count(b.Segments.Late), count(b.Segments.Missed)
		s := b.Segments
		var damaged int64
		var kinds []string
		for _, d := range s.Damages() {
			damaged += d.Count
			kinds = append(kinds, fmt.Sprintf("%d %s", d.Count, d.Kind))
		}
		row[colLost] = count(damaged)
		if damaged > s.Lost {
			row[colLost] += t.note(b.Name + ": " + strings.Join(kinds, ", "))
		}
		g.rows = append(g.rows, row)
		t.groups = append(t.groups, g)
	}
	return t
}

// describe is a backend's name with all that is known of what its figures are.
func describe(b record.Backend) string {
	txt := fmt.Sprintf("%s – %s", b.Name, b.Provenance)
	if b.Profile != "" {
		txt += " by profile " + b.Profile
	}
	if len(b.Servers) > 0 {
		txt += ": " + strings.Join(b.Servers, ", ")
	}
	return txt
}

// segmentShort is the segment's duration alone.
func segmentShort(r record.Results) string {
	if !(r.SegmentMS > 0) {
		return "seg"
	}
	return duration(r.SegmentMS)
}

// note returns the mark of a footnote, which is added unless it is there.
func (t *table) note(txt string) string {
	i := slices.Index(t.notes, txt)
	if i < 0 {
		i = len(t.notes)
		t.notes = append(t.notes, txt)
	}
	return superscript(i + 1)
}

// superscript writes a number in raised digits.
func superscript(n int) string {
	var b strings.Builder
	for _, d := range fmt.Sprint(n) {
		b.WriteRune([]rune("⁰¹²³⁴⁵⁶⁷⁸⁹")[d-'0'])
	}
	return b.String()
}

// percentile writes a figure with its interval, or why there is none. In place of a p99 of too few stands the slowest.
func (t *table) percentile(v *float64, ci *[2]float64, l record.Latency, q float64) string {
	ms, ok := value(v)
	most, known := value(l.Max)
	switch {
	case !ok && known && q > 0.5 && 0 < l.Count && l.Count < record.Needed(q):
		return "max " + number(most) + t.note(fmt.Sprintf("p%v needs %d values, there are %d: the slowest in its place", 100*q, record.Needed(q), l.Count))
	case !ok && l.Note != "":
		return unknown + t.note(l.Note)
	case !ok && l.Count == 0:
		return unknown + t.note("nothing was measured")
	case !ok:
		return unknown + t.note(fmt.Sprintf("the sample is too small for p%v", 100*q))
	case ci == nil:
		return number(ms) + " [" + unknown + "]"
	}
	return fmt.Sprintf("%s [%s–%s]", number(ms), number(ci[0]), number(ci[1]))
}

// ratio writes how much slower; ~ before it says that the interval holds 1, so that no difference can be told.
func (t *table) ratio(r record.Ratio) string {
	v, ok := value(r.Ratio)
	switch {
	case !ok && r.Note != "":
		return unknown + t.note(r.Note)
	case !ok:
		return unknown + t.note("the samples are too small for a ratio")
	case r.CI == nil:
		return fmt.Sprintf("%.2f [%s]", v, unknown)
	}
	txt := fmt.Sprintf("%.2f [%.2f–%.2f]", v, r.CI[0], r.CI[1])
	if r.CI[0] <= 1 && 1 <= r.CI[1] {
		txt = "~" + txt
		t.alike = true
	}
	return txt
}

// legends says what the columns mean.
func legends(r record.Results) string {
	return "writes: publish requests, timed from their intended start; p99/" + strings.ReplaceAll(segmentShort(r), " ", "") +
		": share of the segment window; storm/quiet: write isolation, ~ where its interval holds 1; hits: cache hit ratio; " +
		"late: readable after due; missed: nobody published it; lost: acknowledged and not readable, or damaged."
}

// Table returns the comparison as text for a terminal, in aligned columns that fit a hundred characters, with footnotes
// where a figure is null.
func Table(r record.Results) string {
	t := comparison(r)
	if len(t.groups) == 0 {
		return "No backend was measured.\n"
	}
	widths := make([]int, columns)
	for i, h := range t.heads {
		widths[i] = utf8.RuneCountInString(h)
	}
	for _, g := range t.groups {
		for _, row := range g.rows {
			for i, cell := range row {
				widths[i] = max(widths[i], utf8.RuneCountInString(cell))
			}
		}
	}
	var b strings.Builder
	write := func(row []string) {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			switch i {
			case colPhase:
				line.WriteString("  " + cell + pad)
			case colP50, colP99: // intervals line up on their figure
				line.WriteString("  " + cell + pad)
			default:
				line.WriteString("  " + pad + cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	write(t.heads)
	for _, g := range t.groups {
		b.WriteString(wrapped(g.name))
		for _, row := range g.rows {
			write(row)
		}
	}
	for _, line := range append(edgeLines(r), coreLines(r)...) {
		b.WriteString(wrapped(line))
	}
	if t.alike {
		b.WriteString("~ the interval holds 1: no difference can be told\n")
	}
	for i, n := range t.notes {
		fmt.Fprintf(&b, "%s %s\n", superscript(i+1), plain(n))
	}
	for _, line := range offenderLines(r) {
		b.WriteString(wrapped(line))
	}
	return b.String()
}

// offenderLines names, for each backend, the first segments that something was wrong with: a few of each kind, as a terminal has
// little room.
func offenderLines(r record.Results) (lines []string) {
	const few = 3
	for _, b := range r.Backends {
		named := map[string]int{}
		for _, o := range b.Offenders {
			if named[o.Kind]++; named[o.Kind] > few {
				continue
			}
			line := fmt.Sprintf("%s: %s at %s s: %s", b.Name, o.Kind, number(o.At), o.Segment)
			if o.Reader != "" {
				line += ", found by " + o.Reader
			}
			lines = append(lines, line+": "+o.What)
		}
	}
	return lines
}

// wrapped breaks a text into lines of at most a hundred characters, indented from the second on.
func wrapped(txt string) string {
	var b strings.Builder
	line := ""
	for _, word := range strings.Fields(plain(txt)) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > 100 {
			b.WriteString(line + "\n")
			line = "   "
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return b.String() + line + "\n"
}

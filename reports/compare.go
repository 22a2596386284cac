package reports

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"origin-storm/storm/verdict"
)

// CompareTable is a comparison of two runs as text for a terminal: what differs beyond chance is marked, ~ is what does not.
func CompareTable(c verdict.Comparison) string {
	var b strings.Builder
	if !c.Comparable {
		b.WriteString("The runs are not comparable:\n")
		for _, o := range c.Obstacles {
			fmt.Fprintf(&b, "  - %s\n", o)
		}
		b.WriteString("\n")
	}
	rows := [][]string{{"", "old", "new", "change [95 %]", "p", ""}}
	backend, where := "", ""
	var notes, zero, missing []string
	without := 0 // lines that neither run has a figure for
	for _, l := range c.Lines {
		old, okOld := value(l.Old)
		now, okNew := value(l.New)
		switch {
		case !okOld && !okNew:
			without++
			missing = append(missing, l.Note)
			continue
		case okOld && okNew && old == 0 && now == 0:
			if l.Unit == "" { // nothing read in quiet is no news; no errors are
				zero = append(zero, l.Figure)
			}
			continue
		}
		if l.Backend != backend {
			backend, where = l.Backend, ""
			rows = append(rows, []string{l.Backend})
		}
		if at := cmp.Or(strings.TrimSpace(l.Phase+" "+l.Class), "whole run"); at != where {
			where = at
			rows = append(rows, []string{"  " + at})
		}
		if l.Unit == "Gbit/s" {
			var scale float64
			scale, l.Unit = rateUnit(max(old, now))
			l.Old, l.New, l.OldCI, l.NewCI = inUnit(l.Old, scale), inUnit(l.New, scale), inUnitCI(l.OldCI, scale), inUnitCI(l.NewCI, scale)
		}
		name := "    " + l.Figure
		if l.Unit != "" {
			name += " " + l.Unit
		}
		change, p, mark := unknown, unknown, ""
		if v, ok := value(l.Ratio); ok {
			change = percentChange(v)
			if l.CI != nil {
				change += fmt.Sprintf(" [%s, %s]", percentChange(l.CI[0]), percentChange(l.CI[1]))
			}
		}
		if v, ok := value(l.Holm); ok {
			p = probability(v)
			if mark = "~"; l.Differs {
				mark = "differs"
			}
		}
		if l.Note != "" {
			mark = strings.TrimSpace(mark + " " + noteMark(&notes, l.Note))
		}
		rows = append(rows, []string{name, withInterval(l.Old, l.OldCI), withInterval(l.New, l.NewCI), change, p, mark})
	}
	if len(rows) > 1 {
		b.WriteString(columnsOf(rows))
		b.WriteString("\n" + wrapped("change: new against old; p: adjusted by Holm's method over the lines; ~: no difference beyond chance at "+number(c.Alpha)+"."))
	}
	if zero = unique(zero); len(zero) > 0 {
		b.WriteString(wrapped("0 in both runs: " + strings.Join(zero, ", ") + "."))
	}
	if without > 0 {
		const few = 3
		missing = unique(missing)
		rest := ""
		if len(missing) > few {
			missing, rest = missing[:few], "; and more"
		}
		b.WriteString(wrapped(fmt.Sprintf("Left out: %d figures that neither run has (%s%s). Longer runs have them: raise windows.repeat. --json names each with its reason.",
			without, strings.Join(missing, "; "), rest)))
	}
	for i, n := range notes {
		fmt.Fprintf(&b, "%s %s\n", superscript(i+1), n)
	}
	for _, caution := range c.Cautions {
		b.WriteString("\n" + wrapped(caution))
	}
	return b.String()
}

// inUnit and inUnitCI are a figure and an interval in another unit.
func inUnit(v *float64, by float64) *float64 {
	if v == nil {
		return nil
	}
	return new(*v * by)
}

func inUnitCI(ci *[2]float64, by float64) *[2]float64 {
	if ci == nil {
		return nil
	}
	return &[2]float64{ci[0] * by, ci[1] * by}
}

// noteMark returns the mark of a footnote, which is added unless it is there.
func noteMark(notes *[]string, txt string) string {
	t := table{notes: *notes}
	mark := t.note(txt)
	*notes = t.notes
	return mark
}

// withInterval writes a figure that may be null with its interval that may be, too.
func withInterval(v *float64, ci *[2]float64) string {
	txt := orUnknown(v, "")
	if ci != nil && txt != unknown {
		txt += fmt.Sprintf(" [%s, %s]", number(ci[0]), number(ci[1]))
	}
	return txt
}

// percentChange writes a ratio as a change.
func percentChange(ratio float64) string {
	v := 100 * (ratio - 1)
	if math.Abs(v) < 0.05 {
		v = 0 // neither +0 nor -0
	}
	return fmt.Sprintf("%+.1f %%", v)
}

// probability writes a p value.
func probability(v float64) string {
	if v < 0.001 {
		return fmt.Sprintf("%.0e", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// columnsOf aligns rows, the first of which are heads: the first column and the last to the left, the others to the right. A row of
// one cell is a heading.
func columnsOf(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		if len(r) == 1 {
			continue
		}
		for i, cell := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		line := ""
		for i, cell := range r {
			pad := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell)))
			if i == 0 || i == len(r)-1 {
				line += cell + pad + "  "
			} else {
				line += pad + cell + "  "
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

package scenarios

import (
	"fmt"
	"strings"

	"origin-storm/origin/config"
)

// Error says what is wrong with a scenario, and where. Load and Parse report all they find, joined by errors.Join.
type Error struct {
	File         string // as it was named; "--set path=value" of an override; empty of a scenario made in Go
	Line, Column int    // from 1; 0 without a file
	Field        string // such as readers.behaviour.early, or backends[2].name; empty for the whole
	Msg          string
	Hint         string // what to do about it; may be empty
	Excerpt      string // the line in question and the one before it, with a mark; may be empty
}

// Error returns all of e: place, field, message and hint on one line, and the excerpt below.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
		}
		b.WriteString(": ")
	}
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(e.Msg)
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	if e.Excerpt != "" {
		b.WriteString("\n" + e.Excerpt)
	}
	return b.String()
}

// place is where something stands.
type place struct {
	file         string
	line, column int
}

// excerpt shows a line of a file with the one before it, and marks the column.
func excerpt(lines []string, p place) string {
	if p.line < 1 || p.line > len(lines) {
		return ""
	}
	var b strings.Builder
	for n := max(1, p.line-1); n <= p.line; n++ {
		mark := "  "
		if n == p.line {
			mark = "> "
		}
		fmt.Fprintf(&b, "%s%4d | %s\n", mark, n, cut(lines[n-1]))
	}
	fmt.Fprintf(&b, "       | %s^", strings.Repeat(" ", min(max(0, p.column-1), excerptWidth)))
	return b.String()
}

// excerptWidth bounds a line of an excerpt.
const excerptWidth = 120

func cut(line string) string {
	line = strings.ReplaceAll(strings.TrimRight(line, "\r"), "\t", " ")
	if r := []rune(line); len(r) > excerptWidth {
		return string(r[:excerptWidth]) + "…"
	}
	return line
}

// hint is what may have been meant by got, or else what there is.
func hint(got string, names []string) string {
	if n := config.Nearest(got, names); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	if len(names) == 0 {
		return ""
	}
	return "there are " + strings.Join(names, ", ")
}

// suggest is hint as the end of an error's sentence.
func suggest(got string, names []string) string {
	if h := hint(got, names); h != "" {
		return "; " + h
	}
	return ""
}

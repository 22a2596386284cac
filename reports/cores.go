package reports

import (
	"fmt"
	"strings"

	"origin-storm/storm/record"
)

// cores lists how busy the processors were where a scenario pins processes to them.
func cores(r record.Results) grid {
	g := grid{Heads: []string{"backend", "processor", "pinned there", "busy in quiet", "in the storm"}}
	for _, b := range r.Backends {
		for _, c := range b.Cores {
			runs := strings.Join(c.Runs, ", ")
			if runs == "" {
				runs = unknown
			}
			g.Rows = append(g.Rows, []string{kind(b), fmt.Sprint(c.Core), runs, busy(c.Quiet), busy(c.Storm)})
		}
	}
	if len(g.Rows) > 0 {
		g.Notes = append(g.Notes, "Busy: the part of the time in which the processor did anything, for whatever process of the machine.")
	}
	return g
}

func busy(p *float64) string {
	if v, ok := value(p); ok {
		return percent(v)
	}
	return unknown
}

// coreLines says the same in sentences, for a terminal.
func coreLines(r record.Results) []string {
	var lines []string
	for _, row := range cores(r).Rows {
		lines = append(lines, fmt.Sprintf("%s, processor %s (pinned there: %s): busy %s of the quiet and %s of the storm", row[0], row[1], row[2], row[3], row[4]))
	}
	return lines
}

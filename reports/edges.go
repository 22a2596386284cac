package reports

import (
	"fmt"
	"strings"

	"origin-storm/storm"
	"origin-storm/storm/record"
)

// edges lists what the edges between readers and origin did, beside backends without one: how often each segment was fetched
// from the origin, and how long readers waited at the edge after the origin had answered.
func edges(r record.Results) grid {
	g := grid{Heads: []string{"backend", "edge", "segments", "reads", "fetches/segment", "hits", "response p50 ms", "p99 ms",
		"after answer p50 ms", "p99 ms", "404s", "fetched", "503s", "fetched"}}
	with := false
	for _, b := range r.Backends {
		e := b.Edge
		if e == nil {
			continue
		}
		program, hits := e.Program, unknown
		if program == "" {
			program = "none"
		} else {
			with = true
			if v, ok := value(e.HitRatio); ok {
				hits = percent(v)
			}
		}
		p, _ := loaded(b)
		op := operation(p, storm.LiveEdge)
		g.Rows = append(g.Rows, []string{kind(b), program, count(e.Segments), count(e.Reads), orUnknown(e.FetchesPerSegment, ""), hits,
			orUnknown(op.Response.P50, ""), orUnknown(op.Response.P99, ""), orUnknown(op.AfterAnswer.P50, ""), orUnknown(op.AfterAnswer.P99, ""),
			count(e.NotFound), count(e.NotFoundFetched), count(e.Shed), count(e.ShedFetched)})
		if strings.HasPrefix(e.Program, "nginx") && len(g.Notes) == 0 {
			g.Notes = append(g.Notes, "nginx: readers that wait for another's request look every 500 ms whether its answer has come (proxy_cache_lock). "+
				"That quantum is the edge's own time and in \"after answer\"; the origin had no part in it.")
		}
	}
	if !with {
		return grid{}
	}
	g.Notes = append(g.Notes, "Reads at the live edge. After answer: from the instant at which the origin began to answer the edge, or at which the reader asked if "+
		"that was later, to the last byte: the edge's own time and the transfer. Without an edge it is the transfer alone. "+
		"404s (and 410s) and 503s: what readers were told, and how many of these answers the origin gave. The run's own reader goes past the edge and is not counted.")
	return g
}

// edgeLines says the same of each edge in a sentence, for a terminal.
func edgeLines(r record.Results) []string {
	var lines []string
	for _, row := range edges(r).Rows {
		name := "edge " + row[1]
		if row[1] == "none" {
			name = "no edge"
		}
		lines = append(lines, fmt.Sprintf("%s, %s: %s fetches per segment, hits %s; reads p50 %s, p99 %s ms, of which after the origin's answer "+
			"p50 %s, p99 %s ms; status 404: %s readers, %s fetched; status 503: %s readers, %s fetched", row[0], name, row[4], row[5], row[6], row[7], row[8], row[9], row[10], row[11], row[12], row[13]))
	}
	return lines
}

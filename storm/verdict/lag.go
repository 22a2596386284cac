package verdict

import (
	"fmt"
	"slices"
	"strings"

	"origin-storm/storm/record"
)

// forget makes null what the driver itself may have made. Each request's response counts from its intended start, and so holds
// what the driver lost before it was sent; the same requests less that are at hand (record.Latency.OnTime). A figure that is more
// than 5 ms and more than 5 % above its like of those says too much about the driver.
//
// That is told figure by figure: a driver that was held up for a while spoils the high percentiles of what it sent meanwhile, and
// leaves the median alone. A rule on the lag's own p99 does neither: a lag that a hundredth of the requests had can be all of
// their response p99.9, and none of their p50.
func forget(r *record.Results) {
	for i := range r.Backends {
		b := &r.Backends[i]
		for j := range b.Phases {
			p := &b.Phases[j]
			for k := range p.Operations {
				op := &p.Operations[k]
				for _, l := range []struct {
					name string
					*record.Latency
				}{{"response", &op.Response}, {"first byte", &op.FirstByte}} {
					if lost := forgetLatency(l.Latency); len(lost) > 0 {
						note := fmt.Sprintf("the driver's lag makes more than 5 ms and more than 5 %% of %s", strings.Join(lost, ", "))
						if l.Note != "" {
							note += "; " + l.Note
						}
						l.Note = note
						b.Notes = append(b.Notes, fmt.Sprintf("%s %s %s: %s null: %s", p.Name, op.Class, l.name, strings.Join(lost, ", "), note))
					}
				}
			}
		}
		forgetIsolation(b)
	}
}

// drowned reports whether the driver's part in a figure is too large.
func drowned(figure, onTime float64) bool { return figure-onTime > max(5, figure/20) }

// forgetLatency makes the figures null that the driver's lag drowns, and returns their names.
func forgetLatency(l *record.Latency) (lost []string) {
	if l.OnTime == nil {
		return nil
	}
	own, onTime := figures(l), figures(l.OnTime)
	for i, f := range own {
		if without := *onTime[i].p; *f.p == nil || without != nil && !drowned(**f.p, *without) {
			continue
		}
		*f.p = nil
		if f.ci != nil {
			*f.ci = nil
		}
		lost = append(lost, f.name)
	}
	points := l.OnTime.Points
	l.Points = slices.DeleteFunc(l.Points, func(pt [2]float64) bool {
		i := slices.IndexFunc(points, func(o [2]float64) bool { return o[0] == pt[0] })
		return i < 0 || drowned(pt[1], points[i][1])
	})
	return lost
}

// field is a figure of a Latency and its interval; the maximum has none.
type field struct {
	name string
	p    **float64
	ci   **[2]float64
}

func figures(l *record.Latency) []field {
	return []field{{"p50", &l.P50, &l.P50CI}, {"p90", &l.P90, &l.P90CI}, {"p95", &l.P95, &l.P95CI}, {"p99", &l.P99, &l.P99CI},
		{"p99.9", &l.P999, &l.P999CI}, {"max", &l.Max, nil}}
}

// forgetIsolation makes a ratio null whose parts are.
func forgetIsolation(b *record.Backend) {
	if b.Isolation == nil {
		return
	}
	var quiet, storm record.Latency
	for _, p := range b.Phases {
		for _, op := range p.Operations {
			switch {
			case op.Class != "publish":
			case p.Name == "quiet":
				quiet = op.Response
			case p.Name == "storm":
				storm = op.Response
			}
		}
	}
	for _, f := range []struct {
		ratio *record.Ratio
		null  bool
	}{{&b.Isolation.P50, quiet.P50 == nil || storm.P50 == nil}, {&b.Isolation.P99, quiet.P99 == nil || storm.P99 == nil}} {
		if f.null && f.ratio.Ratio != nil {
			*f.ratio = record.Ratio{Note: "the percentile of quiet or of storm is null"}
		}
	}
}

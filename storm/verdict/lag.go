package verdict

import (
	"fmt"
	"slices"
	"strings"

	"origin-storm/storm/record"
)

// forget makes null what the driver itself may have made: a figure that counts from the intended start holds the driver's lag,
// and where the lag's p99 is above 5 ms and above 5 % of the figure, the figure says too much about the driver.
func forget(r *record.Results) {
	for i := range r.Backends {
		b := &r.Backends[i]
		for j := range b.Phases {
			p := &b.Phases[j]
			for k := range p.Operations {
				op := &p.Operations[k]
				lag, what, ok := lagOf(*op, r.Driver)
				if !ok {
					continue
				}
				for _, l := range []struct {
					name string
					*record.Latency
				}{{"response", &op.Response}, {"first byte", &op.FirstByte}} {
					if lost := forgetLatency(l.Latency, lag); len(lost) > 0 {
						note := fmt.Sprintf("%s of %s is above 5 ms and above 5 %% of %s", what, figure(lag, "ms"), strings.Join(lost, ", "))
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

// lagOf is the lag that an operation's figures are held against, and what it is: its own p99; with too few requests for one,
// that of the whole driver or the longest that one of them had, whichever is less, for none of their figures holds more than
// the longest. An operation without lag, such as the store's write, is not the driver's.
func lagOf(op record.Operation, d record.Driver) (ms float64, what string, ok bool) {
	longest := op.Lag.Max
	switch {
	case op.Lag.Count == 0:
		return 0, "", false
	case op.Lag.P99 != nil:
		return *op.Lag.P99, "driver lag p99", true
	case d.LagP99 != nil && (longest == nil || *d.LagP99 < *longest):
		return *d.LagP99, "driver lag p99, of all requests,", true
	case longest != nil:
		return *longest, "the longest driver lag", true
	}
	return 0, "", false
}

// drowned reports whether a figure is drowned by the driver's lag.
func drowned(figure, lag float64) bool { return lag > max(5, figure/20) }

// forgetLatency makes the figures that lag drowns null and returns their names.
func forgetLatency(l *record.Latency, lag float64) (lost []string) {
	for _, f := range []struct {
		name string
		p    **float64
		ci   **[2]float64
	}{{"p50", &l.P50, &l.P50CI}, {"p90", &l.P90, nil}, {"p95", &l.P95, nil}, {"p99", &l.P99, &l.P99CI}, {"p99.9", &l.P999, nil}, {"max", &l.Max, nil}} {
		if *f.p == nil || !drowned(**f.p, lag) {
			continue
		}
		*f.p = nil
		if f.ci != nil {
			*f.ci = nil
		}
		lost = append(lost, f.name)
	}
	l.Points = slices.DeleteFunc(l.Points, func(pt [2]float64) bool { return drowned(pt[1], lag) })
	return lost
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

package calibrate

import (
	"math"
	"strings"

	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
)

// What is compared of each run: the figures that a report shows of the storm, and of publishing in quiet.
var compared = []struct {
	phase string
	class storm.Class
}{
	{scenarios.QuietPhase, storm.Publish},
	{scenarios.StormPhase, storm.Publish},
	{scenarios.StormPhase, storm.StoreWrite},
	{scenarios.StormPhase, storm.LiveEdge},
	{scenarios.StormPhase, storm.DVR},
}

// Compare returns the figures of a measured backend beside the simulated ones; run says in words what was measured. Figures that are
// null on either side, since they cannot be relied on, are left out.
func Compare(run string, measured, simulated record.Backend) (all []sim.Error) {
	defer func() { // no figure is known as exactly as a number can say it
		for i := range all {
			e := &all[i]
			e.Measured, e.Simulated = digits(e.Measured, 4), digits(e.Simulated, 4)
			if e.CI != nil {
				e.CI = &[2]float64{digits(e.CI[0], 4), digits(e.CI[1], 4)}
			}
		}
	}()
	for _, c := range compared {
		m, ok := operation(&measured, c.phase, c.class)
		s, also := operation(&simulated, c.phase, c.class)
		if !ok || !also {
			continue
		}
		add := func(p string, m, s *float64, ci *[2]float64) {
			if m != nil && s != nil && *m > 0 && (ci != nil || p != "p50") { // a median without an interval is of few ticks, and says little
				all = append(all, sim.Error{Run: run, Figure: c.phase + " " + c.class.String() + " response " + p, Measured: *m, CI: ci, Simulated: *s, Unit: "ms"})
			}
		}
		add("p50", m.Response.P50, s.Response.P50, m.Response.P50CI)
		add("p99", m.Response.P99, s.Response.P99, m.Response.P99CI)
	}
	m, ci := held(measured)
	s, _ := held(simulated)
	if m != nil && s != nil && *m > 0 {
		all = append(all, sim.Error{Run: run, Figure: scenarios.StormPhase + " holds p50", Measured: *m, CI: ci, Simulated: *s, Unit: "ms"})
	}
	if m, s := measured.Cache.HitRatio, simulated.Cache.HitRatio; m != nil && s != nil && *m > 0 {
		all = append(all, sim.Error{Run: run, Figure: "cache hit-ratio", Measured: 100 * *m, Simulated: 100 * *s, Unit: "%"})
	}
	return all
}

// held is the median of how long after a copy was acknowledged in storms its waiting reader had it, in ms, and its interval; nil if it is not known.
func held(b record.Backend) (p50 *float64, ci *[2]float64) {
	for _, p := range b.Phases {
		if p.Name == scenarios.StormPhase {
			return p.Holds.P50, p.Holds.P50CI
		}
	}
	return nil, nil
}

// Aim is by which part of the measured figure a simulated one may be off at most, to be called right: a tenth of a median and a quarter of a
// p99, whose own 95 % interval is seldom narrower; a tenth of all else.
func Aim(figure string) float64 {
	if strings.HasSuffix(figure, " p99") {
		return 0.25
	}
	return 0.1
}

// Within reports whether e is as near as Aim says.
func Within(e sim.Error) bool { return math.Abs(e.Relative()) <= Aim(e.Figure) }

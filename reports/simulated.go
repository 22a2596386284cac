package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"origin-storm/storm/record"
)

// simulatedFigures are the plots that a simulated run has beside those of a live one: what no program can be asked for.
func simulatedFigures(r record.Results) []figure {
	var lines []tickLine
	about, most := 0, -1.0
	profiles := []string{}
	for i, b := range r.Backends {
		if b.Simulation == nil {
			continue
		}
		profiles = append(profiles, cmp.Or(b.Simulation.Profile, "none"))
		l := tickLine{name: b.Name, look: lookOf(i), tiers: map[string][]float64{}}
		for _, t := range b.Simulation.Tiers {
			if len(t.Tick) == 0 {
				continue
			}
			l.tiers[t.Name] = t.Tick
			l.order = append(l.order, t.Name)
			if p := fullness(t.Tick); p > most {
				about, most = len(lines), p
			}
		}
		lines = append(lines, l)
	}
	if len(lines) == 0 {
		return nil
	}
	by := simulatedBy(strings.Join(unique(profiles), " and "))
	tick := tickFigure(lines, about, r.SegmentMS)
	tick.caption += "Over all storm windows. " + by
	return []figure{tick, simulatedUse(r, by)}
}

// simulatedUse shows for each backend which part of each of the model's parts was used, in quiet and in the storm.
func simulatedUse(r record.Results, by string) figure {
	f := figure{name: "utilisation", title: "Nothing is known of how busy the model's parts were", caption: by}
	var full record.Tier
	part, whose, where := -1.0, "", ""
	for _, b := range r.Backends {
		s := b.Simulation
		if s == nil {
			continue
		}
		phase := ""
		if p, ok := loaded(b); ok {
			phase = p.Name
		}
		var rows []useRow
		for _, t := range s.Tiers {
			v, ok := t.Phases[phase]
			if !ok {
				continue
			}
			u := useRow{name: t.Name, part: v, peak: -1, other: -1}
			if len(t.Tick) > 0 {
				u.peak = peak(t.Tick)
			}
			if quiet, ok := t.Phases["quiet"]; ok && phase != "quiet" {
				u.other = quiet
			}
			rows = append(rows, u)
			if v > part {
				full, part, whose, where = t, v, b.Name, phase
			}
		}
		f.panels = append(f.panels, usePanel(b.Name+" (simulated)", rows))
	}
	last := &f.panels[len(f.panels)-1]
	last.x, last.height = "% of a tier's capacity, all its nodes together", last.height+axisName
	if part >= 0 {
		f.title = fmt.Sprintf("%s the %s of %s are the fullest: %s on average (simulated)", capital(inPhase(where)), full.Name, whose, percent(part))
		f.caption = "At a tick a part may be full for a moment (diamond) and still have time to spare over a window. " + by
		f.legend = []key{
			shadeKey("used "+inPhase(where)+", on average", blue),
			{"in quiet", func(c draw.Canvas, at vg.Point) {
				c.StrokeLine2(draw.LineStyle{Color: ink, Width: 2.2}, at.X, at.Y-6, at.X, at.Y+6)
			}},
			{"busiest hundredth of a segment's time", func(c draw.Canvas, at vg.Point) {
				glyph(c, diamondGlyph{}, black, 4.5, at)
				glyph(c, diamondGlyph{}, yellow, 3, at)
			}},
		}
	}
	return f
}

// tiers lists how busy the parts of a model were; without rows where nothing was simulated.
func tiers(r record.Results) grid {
	g := grid{Heads: []string{"part", "nodes", "used in quiet", "in the storm", "busiest hundredth of a segment's time", "waiting at one node, at most"}}
	for _, b := range r.Backends {
		if b.Simulation == nil || len(b.Simulation.Tiers) == 0 {
			continue
		}
		g.Rows = append(g.Rows, []string{kind(b)})
		for _, t := range b.Simulation.Tiers {
			used := func(phase string) string {
				if v, ok := t.Phases[phase]; ok {
					return percent(v)
				}
				return unknown
			}
			top := unknown
			if len(t.Tick) > 0 {
				top = percent(peak(t.Tick))
			}
			g.Rows = append(g.Rows, []string{t.Name, count(int64(t.Nodes)), used("quiet"), used("storm"), top, count(int64(t.Queue))})
		}
	}
	return g
}

// simulatedBasis says what a simulated run's figures rest on and how far off they may be, and what of it is extrapolated; nothing of a
// live run.
func simulatedBasis(r record.Results) (basis string, extrapolated []string) {
	var profiles, errors, assumed []string
	offs := map[string][]string{} // by stated error: the backends that it is of
	for _, b := range r.Backends {
		s := b.Simulation
		if s == nil {
			continue
		}
		txt := "profile " + s.Profile
		if s.Profile == "" {
			txt = "no profile"
		}
		if s.Made != "" {
			txt += " of " + s.Made
		}
		if s.Machine != "" {
			txt += ", from " + s.Machine
		}
		profiles = append(profiles, txt)
		text := stated(s.Stated)
		if offs[text] == nil {
			errors = append(errors, text)
		}
		offs[text] = append(offs[text], b.Name)
		assumed = append(assumed, s.Assumed...)
	}
	if len(profiles) == 0 {
		return "", nil
	}
	for i, text := range errors {
		if len(errors) > 1 {
			errors[i] = strings.Join(offs[text], ", ") + ": " + text
		}
	}
	basis = "Simulated, not measured: " + strings.Join(unique(profiles), "; ") + ". Stated error: " + strings.Join(errors, "; ") + "."
	if assumed = unique(assumed); len(assumed) > 0 {
		basis += " " + strings.Join(assumed, " ")
	}
	whose := map[string][]string{}
	for _, b := range r.Backends {
		if b.Simulation == nil {
			continue
		}
		for _, e := range b.Simulation.Extrapolated {
			if whose[e] == nil {
				extrapolated = append(extrapolated, e)
			}
			whose[e] = append(whose[e], b.Name)
		}
	}
	for i, e := range extrapolated {
		if len(whose[e]) < len(r.Backends) {
			extrapolated[i] = strings.Join(whose[e], ", ") + ": " + e
		}
	}
	return basis, extrapolated
}

// stated is a stated error in words: of runs that the profile was not fitted on, if there are any, and of writes in the storm first.
func stated(all []record.StatedError) string {
	if len(all) == 0 {
		return "never found out"
	}
	held := slices.ContainsFunc(all, func(e record.StatedError) bool { return e.HeldOut })
	all = slices.DeleteFunc(slices.Clone(all), func(e record.StatedError) bool { return e.HeldOut != held })
	slices.SortStableFunc(all, func(a, b record.StatedError) int {
		return cmp.Compare(storminess(b.Figure), storminess(a.Figure))
	})
	const few = 3
	var parts []string
	runs := 0
	for _, e := range all[:min(few, len(all))] {
		parts = append(parts, fmt.Sprintf("%s off by %s in the middle and %s at most", e.Figure, percent(e.Median), percent(e.Largest)))
		runs = max(runs, e.Runs)
	}
	on := "the runs that it was fitted on"
	if held {
		on = fmt.Sprintf("%d runs that it was not fitted on", runs)
		if runs == 1 {
			on = "one run that it was not fitted on"
		}
	}
	return "on " + on + ", " + strings.Join(parts, ", ")
}

// storminess orders figures by how much is asked about them.
func storminess(figure string) (n int) {
	for i, word := range []string{"p50", "p99", "publish", "storm"} {
		if strings.Contains(figure, word) {
			n += 1 << i
		}
	}
	return n
}

// statedErrors lists how far off the simulator was; without rows where that was never found out.
func statedErrors(r record.Results) grid {
	g := grid{Heads: []string{"backend", "figure", "runs", "off by, in the middle", "at most", ""}}
	for _, b := range r.Backends {
		if b.Simulation == nil {
			continue
		}
		for _, e := range b.Simulation.Stated {
			fitted := "the profile was fitted on these runs"
			if e.HeldOut {
				fitted = "none of the runs that it was fitted on"
			}
			g.Rows = append(g.Rows, []string{b.Name, e.Figure, count(int64(e.Runs)), percent(e.Median), percent(e.Largest), fitted})
		}
	}
	return g
}

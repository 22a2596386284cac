package verdict

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"golang.org/x/perf/benchmath"
	"gonum.org/v1/gonum/stat/distuv"

	"origin-storm/scenarios"
	"origin-storm/storm/record"
	"origin-storm/storm/verdict/gate"
)

// Comparison is what two runs that exist say of each other. It is no verdict on a change: the runs were made at different times, and
// what the machine did meanwhile is in every difference. A gate measures both sides in turns and may let a change pass; a
// comparison may not.
type Comparison struct {
	// Comparable says that nothing forbids holding the runs against each other; else Obstacles say what does. Lines are empty
	// then, unless they were forced.
	Comparable bool     `json:"comparable"`
	Obstacles  []string `json:"obstacles"`
	// Cautions travel with the figures.
	Cautions []string `json:"cautions"`
	// Alpha is what Line.Holm is held against.
	Alpha float64 `json:"alpha"`
	Lines []Line  `json:"lines"`
}

// Line is one figure of both runs.
type Line struct {
	Backend string `json:"backend"`
	Phase   string `json:"phase,omitempty"` // empty: of the whole run
	Class   string `json:"class,omitempty"` // of requests; empty: of all
	Figure  string `json:"figure"`
	Unit    string `json:"unit"` // empty: a ratio or a count
	// Better is the direction in which the figure improves.
	Better gate.Better `json:"better"`
	// Old and New are as the runs recorded them, with 95 % intervals; null where a run has none, as Note says.
	Old   *float64    `json:"old"`
	New   *float64    `json:"new"`
	OldCI *[2]float64 `json:"old_ci"`
	NewCI *[2]float64 `json:"new_ci"`
	// Ratio is New over Old with its 95 % interval; null where either is null or 0, the interval also where either has none.
	Ratio *float64    `json:"ratio"`
	CI    *[2]float64 `json:"ratio_ci"`
	// P is the probability of so large a difference, in either direction, of runs that differ by chance alone; Holm is P adjusted
	// for the number of lines that have one. Test says how it was found. Null where there is no test: of counts, for instance.
	P    *float64 `json:"p"`
	Holm *float64 `json:"p_holm"`
	Test string   `json:"test,omitempty"`
	// Differs says that Holm is at most Comparison.Alpha.
	Differs bool   `json:"differs"`
	Note    string `json:"note,omitempty"`
}

// The tests of a Line.
const (
	byIntervals = "from the intervals of both"
	byTicks     = "Mann-Whitney U over ticks"
)

// compareAlpha is that of a comparison, over all of its lines.
const compareAlpha = 0.05

// Compare holds new against old, two run folders that were read whole. Where something forbids that, it says what, and gives figures
// only if force is true. Seeds may differ: they are chance. An error wraps ErrNothing if the runs have no figure in common.
//
// Percentiles are compared by the intervals that the runs recorded for them (Zou and Donner, "Construction of confidence limits
// about effect measures: a general approach", Statistics in Medicine 27, 2008), on a logarithmic scale; figures by tick of the
// segment clock by the Mann-Whitney test over ticks.
func Compare(old, new *record.Run, force bool) (Comparison, error) {
	c := Comparison{Obstacles: obstacles(old, new), Cautions: cautions(old, new), Alpha: compareAlpha, Lines: []Line{}}
	c.Comparable = len(c.Obstacles) == 0
	if !c.Comparable && !force {
		return c, nil
	}
	for _, b := range old.Results.Backends {
		for _, n := range new.Results.Backends {
			if b.Name == n.Name {
				c.Lines = append(c.Lines, compareBackend(old, new, b, n)...)
			}
		}
	}
	if !slices.ContainsFunc(c.Lines, func(l Line) bool { return l.Old != nil && l.New != nil }) {
		return c, fmt.Errorf("verdict: comparing %s and %s: %w", old.Dir, new.Dir, ErrNothing)
	}
	c.adjust()
	return c, nil
}

// ErrNothing is wrapped by Compare's error about runs that have no figure in common.
var ErrNothing = errors.New("there is no figure that both runs have")

// adjust holds the lines against Alpha together.
func (c *Comparison) adjust() {
	var ps []float64
	for _, l := range c.Lines {
		if l.P != nil {
			ps = append(ps, *l.P)
		}
	}
	adjusted := gate.Holm(ps)
	for i := range c.Lines {
		if l := &c.Lines[i]; l.P != nil {
			l.Holm, adjusted = &adjusted[0], adjusted[1:]
			l.Differs = *l.Holm <= c.Alpha
		}
	}
}

// obstacles says what forbids holding one run against the other.
func obstacles(old, new *record.Run) []string {
	out := []string{}
	differ := func(what string, a, b any) {
		if x, y := said(a), said(b); x != y {
			out = append(out, fmt.Sprintf("%s: %s and %s", what, x, y))
		}
	}
	a, b := old.Results, new.Results
	for _, r := range []struct {
		which string
		record.Results
	}{{"old", a}, {"new", b}} {
		if r.Verdict == invalid || r.Verdict == interrupted || r.Verdict == "" {
			why := ""
			if len(r.Reasons) > 0 {
				why = ": " + r.Reasons[0] + more(len(r.Reasons)-1)
			}
			out = append(out, fmt.Sprintf("the %s run is %s%s", r.which, cmp.Or(r.Verdict, "without a verdict"), why))
		}
	}
	differ("other modes", a.Mode, b.Mode)
	differ("other scenarios", a.Scenario, b.Scenario)
	differ("other segment durations", a.SegmentMS, b.SegmentMS)
	differ("other publish delays", a.DelayMS, b.DelayMS)
	if diff, err := scenarioDiff(old.Scenario, new.Scenario); err != nil {
		out = append(out, err.Error())
	} else if len(diff) > 0 {
		out = append(out, "the scenarios differ: "+strings.Join(diff[:min(3, len(diff))], "; ")+more(len(diff)-3))
	}
	for _, key := range machine {
		differ("other machines: "+key, environment(old)[key], environment(new)[key])
	}
	names := func(r record.Results) (names []string) {
		for _, b := range r.Backends {
			names = append(names, b.Name)
		}
		return names
	}
	differ("other backends", names(a), names(b))
	for _, x := range a.Backends {
		for _, y := range b.Backends {
			if x.Name == y.Name {
				differ("figures of another kind on "+x.Name, x.Provenance, y.Provenance)
				differ("other profiles on "+x.Name, x.Profile, y.Profile)
				if s, t := x.Simulation, y.Simulation; s != nil && t != nil && x.Profile == y.Profile && s.Digest != "" && t.Digest != "" {
					differ(fmt.Sprintf("the profile %s on %s is not the same in both, but in name", x.Profile, x.Name), s.Digest, t.Digest)
				}
				differ("other servers on "+x.Name, x.Servers, y.Servers)
			}
		}
	}
	return out
}

// machine are the parts of an environment that have to be the same.
var machine = [...]string{"host", "os", "architecture", "cpu", "cores", "gomaxprocs", "memory", "kernel"}

// environment is what a run ran on.
func environment(r *record.Run) map[string]string {
	if r.Environment != nil {
		return r.Environment
	}
	return r.Results.Environment
}

// said writes a value for people.
func said(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		return cmp.Or(v, "nothing")
	case []string:
		return cmp.Or(strings.Join(v, ", "), "nothing")
	case map[string]any, []any:
		return "something else"
	}
	return fmt.Sprint(v)
}

// scenarioDiff names the fields in which two scenarios differ, but for what changes nothing of the load: their texts and thresholds.
func scenarioDiff(old, new []byte) ([]string, error) {
	var a, b map[string]any
	for _, s := range []struct {
		which string
		yaml  []byte
		into  *map[string]any
	}{{"old", old, &a}, {"new", new, &b}} {
		if len(s.yaml) == 0 {
			return nil, fmt.Errorf("the %s run has no %s, so that nobody can tell what it did", s.which, record.ScenarioFile)
		}
		if err := yaml.Unmarshal(s.yaml, s.into); err != nil {
			return nil, fmt.Errorf("%s of the %s run cannot be read: %w", record.ScenarioFile, s.which, err)
		}
		maps.DeleteFunc(*s.into, func(key string, _ any) bool { return slices.Contains([]string{"name", "about", "thresholds"}, key) })
	}
	return fieldDiff("", a, b), nil
}

func fieldDiff(path string, a, b any) (out []string) {
	x, okX := a.(map[string]any)
	y, okY := b.(map[string]any)
	if !okX || !okY {
		if reflect.DeepEqual(a, b) {
			return nil
		}
		if s, t := said(a), said(b); s != t {
			return []string{fmt.Sprintf("%s is %s and %s", path, s, t)}
		}
		return []string{path}
	}
	for _, key := range slices.Compact(slices.Sorted(func(yield func(string) bool) {
		for _, m := range []map[string]any{x, y} {
			for key := range m {
				if !yield(key) {
					return
				}
			}
		}
	})) {
		out = append(out, fieldDiff(strings.TrimPrefix(path+"."+key, "."), x[key], y[key])...)
	}
	return out
}

// cautions are what a reader of the figures has to know.
func cautions(old, new *record.Run) []string {
	a, b := old.Results, new.Results
	out := []string{}
	switch {
	case a.Mode == "sim" || b.Mode == "sim":
		out = append(out, "Simulated figures are those of a model: intervals are over the requests of one simulation, and do not have in them how far off the model is.")
	case a.Started.Equal(b.Started):
		out = append(out, "Both runs began at the same instant: they are probably one and the same.")
	default:
		out = append(out, fmt.Sprintf("The runs were made at different times (%s and %s): what the machine did meanwhile is in every difference, and no statistics takes it out. "+
			"Only a gate, which measures both in turns, may let a change pass.", a.Started.UTC().Format(time.DateTime), b.Started.UTC().Format(time.DateTime)))
	}
	out = append(out, "Intervals of percentiles take the requests of a run as independent of one another, which they are not quite: they are rather too narrow.")
	x, y := environment(old), environment(new)
	var drivers []string
	for _, key := range slices.Sorted(maps.Keys(x)) {
		if v, ok := y[key]; ok && v != x[key] && !slices.Contains(machine[:], key) && !slices.Contains([]string{"command", "seed", "revision", "version", "modified"}, key) {
			drivers = append(drivers, fmt.Sprintf("%s is %s and %s", key, x[key], v))
		}
	}
	if len(drivers) > 0 {
		out = append(out, "What the runs ran on differs in what need not matter: "+strings.Join(drivers, "; ")+".")
	}
	return out
}

// compareBackend makes the lines of one backend.
func compareBackend(old, new *record.Run, a, b record.Backend) (out []Line) {
	for _, p := range a.Phases {
		i := slices.IndexFunc(b.Phases, func(q record.Phase) bool { return q.Name == p.Name })
		if i < 0 || p.Name == scenarios.WarmUpPhase {
			continue
		}
		for _, op := range p.Operations {
			j := slices.IndexFunc(b.Phases[i].Operations, func(o record.Operation) bool { return o.Class == op.Class })
			if j < 0 {
				continue
			}
			other := b.Phases[i].Operations[j]
			line := Line{Backend: a.Name, Phase: p.Name, Class: op.Class, Unit: "ms"}
			out = append(out,
				line.latency("response p50", op.Response, other.Response, op.Response.P50, other.Response.P50, op.Response.P50CI, other.Response.P50CI),
				line.latency("response p99", op.Response, other.Response, op.Response.P99, other.Response.P99, op.Response.P99CI, other.Response.P99CI))
			if op.Response.P50 == nil || other.Response.P50 == nil { // then the slowest is all that is known
				out = append(out, line.latency("slowest response", op.Response, other.Response, op.Response.Max, other.Response.Max, nil, nil))
			}
			out = append(out,
				Line{Backend: a.Name, Phase: p.Name, Class: op.Class, Figure: "errors", Old: new64(op.Errors), New: new64(other.Errors)}.ratio())
		}
		for _, f := range []struct {
			figure, unit string
			better       gate.Better
			of           func(record.Interval) *float64
		}{
			{"write p50 by tick", "ms", gate.Lower, func(i record.Interval) *float64 { return i.WriteP50 }},
			{"read p50 by tick", "ms", gate.Lower, func(i record.Interval) *float64 { return i.ReadP50 }},
			{"read throughput by tick", "Gbit/s", gate.Higher, func(i record.Interval) *float64 { return &i.ReadGbit }},
		} {
			line := Line{Backend: a.Name, Phase: p.Name, Figure: f.figure, Unit: f.unit, Better: f.better}
			out = append(out, line.ticks(ticks(old, a.Name, p.Name, f.of), ticks(new, a.Name, p.Name, f.of)))
		}
		if by := out[len(out)-1]; by.Old == nil { // too few ticks
			whole := Line{Backend: a.Name, Phase: p.Name, Figure: "read throughput", Unit: by.Unit, Better: by.Better, Old: &p.ReadGbit, New: &b.Phases[i].ReadGbit}
			out = append(out, whole.ratio())
		}
	}
	if a.Isolation != nil && b.Isolation != nil {
		for _, f := range []struct {
			figure   string
			old, new record.Ratio
		}{{"write isolation p50", a.Isolation.P50, b.Isolation.P50}, {"write isolation p99", a.Isolation.P99, b.Isolation.P99}} {
			line := Line{Backend: a.Name, Figure: f.figure, Old: f.old.Ratio, New: f.new.Ratio, OldCI: f.old.CI, NewCI: f.new.CI}
			line.Note = cmp.Or(f.old.Note, f.new.Note)
			out = append(out, line.intervals())
		}
	}
	for _, f := range []struct {
		figure   string
		old, new int64
	}{
		{"segments lost", a.Segments.Lost, b.Segments.Lost}, {"segments torn", a.Segments.Torn, b.Segments.Torn},
		{"segments wrong", a.Segments.Wrong, b.Segments.Wrong}, {"segments stale", a.Segments.Stale, b.Segments.Stale},
		{"segments late", a.Segments.Late, b.Segments.Late}, {"segments missed", a.Segments.Missed, b.Segments.Missed},
	} {
		out = append(out, Line{Backend: a.Name, Figure: f.figure, Old: new64(f.old), New: new64(f.new)}.ratio())
	}
	return out
}

func new64(n int64) *float64 { return new(float64(n)) }

// latency completes a line with a percentile of both runs.
func (l Line) latency(figure string, a, b record.Latency, old, new *float64, oldCI, newCI *[2]float64) Line {
	l.Figure, l.Old, l.New, l.OldCI, l.NewCI = figure, old, new, oldCI, newCI
	switch {
	case old == nil:
		l.Note = "old: " + cmp.Or(a.Note, "too few values")
	case new == nil:
		l.Note = "new: " + cmp.Or(b.Note, "too few values")
	}
	return l.intervals()
}

// ratio sets Ratio.
func (l Line) ratio() Line {
	if l.Old != nil && l.New != nil && *l.Old > 0 && *l.New > 0 {
		l.Ratio = new(*l.New / *l.Old)
	}
	return l
}

// intervals sets Ratio, and CI and P from the intervals of both figures. Zou and Donner recover, from each interval, how far its figure may
// be off on the side that matters: the ratio is at its lowest where New is at its low end and Old at its high one.
func (l Line) intervals() Line {
	l = l.ratio()
	if l.Ratio == nil || l.OldCI == nil || l.NewCI == nil || !(l.OldCI[0] > 0 && l.NewCI[0] > 0) {
		return l
	}
	d := math.Log(*l.Ratio)
	off := func(figure, end float64) float64 { return math.Log(figure) - math.Log(end) }
	down := math.Hypot(off(*l.New, l.NewCI[0]), off(*l.Old, l.OldCI[1]))
	up := math.Hypot(off(*l.New, l.NewCI[1]), off(*l.Old, l.OldCI[0]))
	l.CI = &[2]float64{math.Exp(d - down), math.Exp(d + up)}
	toward := down // the end that lies towards no difference
	if d < 0 {
		toward = up
	}
	switch {
	case d == 0:
		l.P = new(1.0)
	case toward == 0:
		return l // intervals without width are none
	default:
		z := math.Abs(d) / toward * distuv.UnitNormal.Quantile(0.975)
		l.P = new(2 * distuv.UnitNormal.Survival(z))
	}
	l.Test = byIntervals
	return l
}

// ticks are the values of one figure in the intervals of a phase.
func ticks(r *record.Run, backend, phase string, of func(record.Interval) *float64) (out []float64) {
	for _, i := range r.Intervals {
		if i.Backend != backend || i.Phase != phase {
			continue
		}
		if v := of(i); v != nil && !math.IsNaN(*v) && !math.IsInf(*v, 0) {
			out = append(out, *v)
		}
	}
	return out
}

// ticks completes a line with the medians over ticks of both runs.
func (l Line) ticks(old, new []float64) Line {
	if n := min(len(old), len(new)); n < fewTicks {
		l.Note = fmt.Sprintf("it needs %d ticks of each run, there are %d", fewTicks, n)
		return l
	}
	thresholds := benchmath.DefaultThresholds
	a, b := benchmath.NewSample(old, &thresholds), benchmath.NewSample(new, &thresholds)
	x, y := benchmath.AssumeNothing.Summary(a, 0.95), benchmath.AssumeNothing.Summary(b, 0.95)
	l.Old, l.New, l.OldCI, l.NewCI = &x.Center, &y.Center, &[2]float64{x.Lo, x.Hi}, &[2]float64{y.Lo, y.Hi}
	l = l.intervals()
	test := benchmath.AssumeNothing.Compare(a, b)
	l.P, l.Test = &test.P, byTicks
	for _, w := range test.Warnings {
		l.Note = w.Error()
	}
	return l
}

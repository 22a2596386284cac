package sim

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"origin-storm/origin/cost"
)

// Profile is a file that says what an origin costs: where that was found out, for which loads it holds, and how far off it was. Package
// calibrate makes one out of measured runs; people read it, and may write one.
type Profile struct {
	Name  string `yaml:"name"`
	About string `yaml:"about"`
	// Source says where the figures come from; Machine on what, and Program with which version of this program, they were measured; Made is
	// the day.
	Source  string    `yaml:"source"`
	Machine string    `yaml:"machine"`
	Program string    `yaml:"program"`
	Made    time.Time `yaml:"made"`
	// Cores is how many cores that machine has: all parts of the runs shared them.
	Cores int `yaml:"cores"`
	// Backends are the costs by the backend's name, as scenarios have it.
	Backends map[string]Calibrated `yaml:"backends"`
	// Digest tells profiles of one name apart, as sha256:…: that of what was read, however it was laid out; empty of a profile that was
	// read from no file.
	Digest string `yaml:"-"`
}

// Calibrated is what was fitted of one backend.
type Calibrated struct {
	Costs Costs `yaml:"costs"`
	// Valid is between which values the runs were that it was fitted on; what is simulated outside is extrapolated.
	Valid []Range `yaml:"valid"`
	// Fitted and HeldOut are how far the simulation was off: on the runs of the fit, and on others.
	Fitted  []Error `yaml:"fitted,omitempty"`
	HeldOut []Error `yaml:"held-out,omitempty"`
}

// Range is between which values of a quantity a profile was fitted. The quantities are those of Quantities.
type Range struct {
	Quantity string  `yaml:"quantity"`
	From     float64 `yaml:"from"`
	To       float64 `yaml:"to"`
}

// Holds reports whether v is in r; a thousandth more or less is, too.
func (r Range) Holds(v float64) bool {
	const slack = 1e-3
	return v >= r.From*(1-slack) && v <= r.To*(1+slack)
}

// The quantities between whose values a profile was fitted.
const (
	QuantityEdges      = "readers.edges" // all readers that ask: edges, times their viewers where those ask the origin for themselves
	QuantityRenditions = "renditions"    // of one event
	QuantitySegment    = "segment bytes" // of the smallest and the largest rendition, on average
	QuantityReads      = "reads/s"       // in the storm windows
	QuantityReadGbit   = "read Gbit/s"   // likewise
	QuantityWrites     = "writes/s"      // likewise
)

// Quantities returns the names that a Range can have.
func Quantities() []string {
	return []string{QuantityEdges, QuantityRenditions, QuantitySegment, QuantityReads, QuantityReadGbit, QuantityWrites}
}

// Error is one measured figure beside the simulated one.
type Error struct {
	Run    string `yaml:"run" json:"run"`       // the configuration, in words
	Figure string `yaml:"figure" json:"figure"` // such as "storm publish response p99"
	// Measured and Simulated are in Unit; CI is the measured figure's 95 % interval, where it has one.
	Measured  float64     `yaml:"measured" json:"measured"`
	CI        *[2]float64 `yaml:"ci,omitempty" json:"ci"`
	Simulated float64     `yaml:"simulated" json:"simulated"`
	Unit      string      `yaml:"unit" json:"unit"`
}

// Relative is by which part of the measured figure the simulated one is off; above 0 it is too high.
func (e Error) Relative() float64 { return e.Simulated/e.Measured - 1 }

// What is beyond these is a mistake in the file.
const (
	mostCores = 1 << 16
	firstYear = 2020 // before that there were no profiles
	lastYear  = 2099
	mostWork  = time.Minute // of a request, and of a MiB
	withCache = "+cache"    // what the name of a backend with a cache ends in
)

// Validate returns everything that is wrong with p, each with its field, or nil.
func (p Profile) Validate() error {
	v := validator{profile: p.Name}
	for _, f := range []struct{ field, text, want string }{
		{"name", p.Name, "what the profile is called"},
		{"about", p.About, "what it describes"},
		{"source", p.Source, "where its figures come from: which runs, or which publication"},
		{"machine", p.Machine, "on what they were measured"},
		{"program", p.Program, "with which version of this program they were measured"},
	} {
		if strings.TrimSpace(f.text) == "" {
			v.wrong(f.field, "is missing: say %s", f.want)
		}
	}
	switch year := p.Made.Year(); {
	case p.Made.IsZero():
		v.wrong("made", "is missing: say on which day it was made, such as 2026-11-23")
	case year < firstYear || year > lastYear:
		v.wrong("made", "%s: must be of the years %d to %d", p.Made.Format(time.DateOnly), firstYear, lastYear)
	}
	if p.Cores < 1 || p.Cores > mostCores {
		v.wrong("cores", "%d: must be 1 to %d: how many cores the machine has on which it was measured", p.Cores, mostCores)
	}
	if len(p.Backends) == 0 {
		v.wrong("backends", "is missing: a profile says what at least one backend costs")
	}
	for _, name := range slices.Sorted(maps.Keys(p.Backends)) {
		v.calibrated("backends."+name, name, p.Backends[name])
	}
	return errors.Join(v.errs...)
}

// validator gathers what is wrong with a profile.
type validator struct {
	profile string
	errs    []error
}

func (v *validator) wrong(field, format string, args ...any) {
	v.errs = append(v.errs, fmt.Errorf("sim: profile %q: %s: %w", v.profile, field, fmt.Errorf(format, args...)))
}

func (v *validator) calibrated(at, name string, c Calibrated) {
	if strings.TrimSpace(name) == "" {
		v.wrong(at, "a backend without a name: use the scenarios' names, such as embedded or cassandra+cache")
	}
	v.store(at+".costs.store", c.Costs.Store)
	if strings.HasSuffix(name, withCache) || !empty(c.Costs.Cache) {
		v.store(at+".costs.cache", c.Costs.Cache)
	}
	if c.Costs.Cache.Whole {
		v.wrong(at+".costs.cache.whole-segment", "a cache is asked operation by operation, so it cannot be set")
	}
	for _, d := range []struct {
		field  string
		demand Demand
	}{
		{"publish", c.Costs.Publish}, {"serve", c.Costs.Serve}, {"driver", c.Costs.Driver},
		{"store-work", c.Costs.StoreWork}, {"store-write-work", c.Costs.StoreWriteWork}, {"cache-work", c.Costs.CacheWork},
	} {
		v.demand(at+".costs."+d.field, d.demand)
	}
	if b := c.Costs.ReadableBefore; b < 0 || b > mostWork {
		v.wrong(at+".costs.readable-before", "%v: must be 0 to %v", b, mostWork)
	}
	if len(c.Valid) == 0 {
		v.wrong(at+".valid", "is missing: without it nobody can tell what is extrapolated; give a quantity (%s) with from and to", strings.Join(Quantities(), ", "))
	}
	seen := map[string]bool{}
	for i, r := range c.Valid {
		v.valid(fmt.Sprintf("%s.valid[%d]", at, i), r, seen)
	}
	for i, e := range c.Fitted {
		v.stated(fmt.Sprintf("%s.fitted[%d]", at, i), e)
	}
	for i, e := range c.HeldOut {
		v.stated(fmt.Sprintf("%s.held-out[%d]", at, i), e)
	}
}

// empty reports whether nothing at all is said of a store.
func empty(p cost.Profile) bool {
	return p.Name == "" && p.About == "" && p.Source == "" && !p.Whole && len(p.Write)+len(p.Read) == 0 && p.Servers == 0 && p.Bandwidth == 0 && p.Throttle == nil
}

// store checks the costs of a store or a cache: whatever it is asked to do must have a cost, or the model would do it in no time.
func (v *validator) store(at string, p cost.Profile) {
	if err := p.Validate(); err != nil {
		v.wrong(at, "%w", err)
	}
	if len(p.Write) == 0 {
		v.wrong(at+".write", "is missing: what a write takes is not known, and the model would do it in no time")
	}
	if len(p.Read) == 0 && !p.Whole { // of whole segments no reads are known; they take what the nodes' work takes
		v.wrong(at+".read", "is missing: what a read takes is not known, and the model would do it in no time")
	}
	for op, costs := range map[string][]cost.Cost{"write": p.Write, "read": p.Read} {
		for i, c := range costs {
			if c.Dist.IsZero() && c.PerMiB == 0 {
				v.wrong(fmt.Sprintf("%s.%s[%d]", at, op, i), "costs nothing: give constant, p50 with p99, or quantiles")
			}
		}
	}
}

func (v *validator) demand(at string, d Demand) {
	for _, f := range []struct {
		field string
		took  time.Duration
	}{{"per-request", d.PerRequest}, {"per-mib", d.PerMiB}} {
		if f.took < 0 || f.took > mostWork {
			v.wrong(at+"."+f.field, "%v: must be 0 to %v of one core", f.took, mostWork)
		}
	}
	if !(d.Beside >= 0 && d.Beside <= 1) {
		v.wrong(at+".beside", "%v: must be 0 to 1: which part of the work a request does not wait for", d.Beside)
	}
	if !(d.Idle >= 0 && d.Idle <= mostCores) {
		v.wrong(at+".idle", "%v: must be 0 to %d cores", d.Idle, mostCores)
	}
	if err := d.Latency.Validate(); err != nil {
		v.wrong(at+".latency", "%w", err)
	}
}

func (v *validator) valid(at string, r Range, seen map[string]bool) {
	if !slices.Contains(Quantities(), r.Quantity) {
		v.wrong(at+".quantity", "%q: must be one of %s", r.Quantity, strings.Join(Quantities(), ", "))
	}
	if seen[r.Quantity] {
		v.wrong(at+".quantity", "%q: is given twice: give one range for each quantity", r.Quantity)
	}
	seen[r.Quantity] = true
	if !(r.From >= 0 && r.To >= r.From && !math.IsInf(r.To, 0)) {
		v.wrong(at, "from %v to %v: both must be numbers, not negative, the second not below the first", r.From, r.To)
	}
}

func (v *validator) stated(at string, e Error) {
	if strings.TrimSpace(e.Run) == "" || strings.TrimSpace(e.Figure) == "" || strings.TrimSpace(e.Unit) == "" {
		v.wrong(at, "run, figure or unit is missing: an error says of what it is")
	}
	if !(e.Measured > 0 && !math.IsInf(e.Measured, 0)) {
		v.wrong(at+".measured", "%v: must be above 0", e.Measured)
	}
	if !(e.Simulated >= 0 && !math.IsInf(e.Simulated, 0)) {
		v.wrong(at+".simulated", "%v: must be a number, not negative", e.Simulated)
	}
	if e.CI != nil && !(e.CI[0] <= e.CI[1]) {
		v.wrong(at+".ci", "%v: the second must not be below the first", *e.CI)
	}
}

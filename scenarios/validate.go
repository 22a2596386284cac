package scenarios

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/origin/cost/profiles"
	"origin-storm/origin/segment"
)

// The bounds of what can be simulated. What only a machine limits is for Live to say.
const (
	maxEvents     = 1000
	maxRenditions = 1000
	maxEdges      = 100_000_000
	maxProcesses  = 64
	maxCores      = 1024 // what a set of processors holds on Linux
	maxRepeat     = 100_000
	minRate       = 1000     // bits per second of a rendition
	maxSegment    = 32 << 20 // bytes: the origin's bound
	maxWindow     = 24 * time.Hour
)

// MaxDrivers is over how many processes the requests can be spread.
const MaxDrivers = maxProcesses

// Validate returns everything that is wrong with s, joined errors of type *Error, or nil. What only the machine limits is
// for Live to say.
func (s Scenario) Validate() error {
	var errs []error
	for _, e := range s.problems() {
		errs = append(errs, &e)
	}
	return errors.Join(errs...)
}

// checker collects what is wrong.
type checker struct{ found []Error }

func (c *checker) that(ok bool, field, format string, args ...any) bool {
	return c.hinted(ok, field, "", format, args...)
}

func (c *checker) hinted(ok bool, field, hint, format string, args ...any) bool {
	if !ok {
		c.found = append(c.found, Error{Field: field, Msg: fmt.Sprintf(format, args...), Hint: hint})
	}
	return ok
}

func (s Scenario) problems() []Error {
	var c checker
	c.that(segment.CheckName(s.Name) == nil, "name", "%q: a scenario's name has 1 to 64 letters, digits, and inside . - _", s.Name)
	c.event(s.Event)
	c.readers(s.Readers, s.Event.Segment)
	c.replay(s)
	c.scale(s)
	c.windows(s)
	c.origin("origin", s.Origin)
	c.backends(s)
	if len(c.found) > 0 {
		return c.found // the rest is about things that may not be there
	}
	for i, f := range s.Faults {
		c.fault(fmt.Sprintf("faults[%d]", i), f, s)
	}
	for i, t := range s.Thresholds {
		c.threshold(fmt.Sprintf("thresholds[%d]", i), t, s)
	}
	c.that(s.Drivers >= 1 && s.Drivers <= MaxDrivers, "drivers", "%d: there must be 1 to %d", s.Drivers, MaxDrivers)
	return c.found
}

func (c *checker) event(e Event) {
	c.that(e.Count >= 1 && e.Count <= maxEvents, "event.count", "%d events: there must be 1 to %d", e.Count, maxEvents)
	c.that(e.Pipelines == 1 || e.Pipelines == 2, "event.pipelines", "%d: an event has 1 or 2 pipelines", e.Pipelines)
	template := segment.Template{Ticks: e.Segment.Ticks, Timescale: e.Segment.Timescale}
	if e.Segment.Ticks <= 0 || e.Segment.Timescale <= 0 || template.Validate() != nil {
		c.that(false, "event.segment", "%v: a segment lasts between 10ms and 1h, its timescale being at most 10000000", e.Segment)
		e.Segment = Cadence{2, 1}
	}
	c.that(e.SizeVariation >= 0 && e.SizeVariation <= 0.9, "event.size-variation", "%v: must be 0 to 0.9", e.SizeVariation)
	if c.that(len(e.Renditions) >= 1 && len(e.Renditions) <= maxRenditions, "event.renditions", "%d renditions: there must be 1 to %d", len(e.Renditions), maxRenditions) {
		names := map[string]int{}
		for i, r := range e.Renditions {
			at := fmt.Sprintf("event.renditions[%d]", i)
			c.that(segment.CheckName(r.Name) == nil, at+".name", "%q: a rendition's name has 1 to 64 letters, digits, and inside . - _", r.Name)
			if first, twice := names[r.Name]; twice {
				c.that(false, at+".name", "%q is the name of renditions[%d] already", r.Name, first)
			}
			names[r.Name] = i
			if c.that(r.Rate >= minRate, at+".rate", "%v: a bit rate is %v at least", r.Rate, cost.Rate(minRate)) {
				largest := float64(r.Rate) / 8 * e.Segment.Duration().Seconds() * (1 + float64(e.SizeVariation))
				c.that(largest <= maxSegment, at+".rate", "%v: segments of up to %.0f bytes; the origin takes %v", r.Rate, largest, cost.Bytes(maxSegment))
			}
		}
	}
	c.that(e.Encode.Min >= 0, "event.encode.min", "%v: cannot be negative", e.Encode.Min)
	c.that(e.Encode.Max >= e.Encode.Min, "event.encode.max", "%v is before the min of %v", e.Encode.Max, e.Encode.Min)
	c.that(e.Encode.Max <= time.Minute, "event.encode.max", "%v: must be at most 1m", e.Encode.Max)
	c.that(e.Lag >= 0 && e.Lag <= time.Minute, "event.lag", "%v: must be 0s to 1m", e.Lag)
	c.that(e.PublishDelay >= 0 && e.PublishDelay <= time.Hour, "event.publish-delay", "%v: must be 0s to 1h", e.PublishDelay)
	c.that(e.DVR >= e.Segment.Duration(), "event.dvr", "%v: shorter than a segment", e.DVR)
}

func (c *checker) readers(r Readers, seg Cadence) {
	c.that(r.Edges >= 0 && r.Edges <= maxEdges, "readers.edges", "%d: must be 0 to %d", r.Edges, maxEdges)
	c.that(r.Viewers >= 0 && r.Viewers <= maxEdges, "readers.viewers", "%d: must be 0 to %d", r.Viewers, maxEdges)
	c.that(r.Quantum >= 0 && r.Quantum <= time.Minute, "readers.quantum", "%v: must be 0s to 1m", r.Quantum)
	var sum Share
	var far time.Duration
	names := map[string]bool{}
	for i, x := range r.Sites {
		at := fmt.Sprintf("readers.sites[%d]", i)
		c.that(segment.CheckName(x.Name) == nil, at+".name", "%q: a site's name has 1 to 64 letters, digits, and inside . - _", x.Name)
		c.that(!names[x.Name], at+".name", "%q is there twice", x.Name)
		names[x.Name] = true
		c.that(x.RTT >= 0 && x.RTT <= 10*time.Second, at+".rtt", "%v: must be 0s to 10s", x.RTT)
		c.that(x.Share > 0, at+".share", "%v: must be above 0", x.Share)
		sum += x.Share
		far = max(far, x.RTT/2)
	}
	c.that(len(r.Sites) == 0 || sum > 0.999 && sum < 1.001, "readers.sites", "the shares add up to %v, not to 1", float64(sum))
	b := r.Behaviour
	const at = "readers.behaviour"
	if seg.Timescale > 0 {
		c.that(b.Aligned >= 0 && b.Aligned+far <= seg.Duration(), at+".aligned", "%v: with the farthest site's way of %v it must be 0s to one segment (%v)", b.Aligned, far, seg.Duration())
	}
	c.that(b.Early >= 0 && b.Early <= 1, at+".early", "%v: a part of the requests is 0 to 1", float64(b.Early))
	c.that(b.DVR >= 0 && b.DVR <= 10, at+".dvr", "%v: must be 0 to 10 for each request at the live edge", float64(b.DVR))
	c.that(b.Missing >= 0 && b.Missing <= 10, at+".missing", "%v: must be 0 to 10 for each request at the live edge", float64(b.Missing))
	c.readersTraffic(r)
}

func (c *checker) windows(s Scenario) {
	w := s.Windows
	c.that(w.WarmUp == Auto || w.WarmUp >= 0 && time.Duration(w.WarmUp) <= time.Hour, "windows.warm-up", "%v: must be auto, or 0s to 1h", time.Duration(w.WarmUp))
	ok := c.that(w.Quiet >= 0 && w.Quiet <= maxWindow, "windows.quiet", "%v: must be 0s to %v", w.Quiet, maxWindow)
	ok = c.that(w.Storm >= 0 && w.Storm <= maxWindow, "windows.storm", "%v: must be 0s to %v", w.Storm, maxWindow) && ok
	if ok {
		c.that(w.Quiet+w.Storm > 0, "windows", "neither quiet nor storm lasts any time: nothing is measured")
	}
	c.hinted(w.Storm <= 0 || s.Readers.Edges > 0, "readers.edges", "give readers.edges, or windows.storm: 0s", "a storm without readers")
	c.that(w.Repeat >= 1 && w.Repeat <= maxRepeat, "windows.repeat", "%d: must be 1 to %d", w.Repeat, maxRepeat)
	if c.that(w.Until >= 0 && w.Until <= 100_000_000, "windows.until", "%d writes: must be 0 to 100000000", w.Until) && len(c.found) == 0 {
		c.that(s.Rounds() <= maxRepeat, "windows.until", "%d writes take %d repetitions, at most %d", w.Until, s.Rounds(), maxRepeat)
	}
}

func (c *checker) origin(field string, o Origin) {
	c.that(o.Serve >= 1 && o.Serve <= maxProcesses, field+".serve", "%d serving processes: there must be 1 to %d", o.Serve, maxProcesses)
	c.that(o.Hot >= 0, field+".hot", "%v: cannot be negative", o.Hot)
}

func (c *checker) backends(s Scenario) {
	list := s.Backends
	c.that(len(list) > 0, "backends", "none: name at least one of %s", strings.Join(backendNames, ", "))
	names := map[string]int{}
	for i, b := range list {
		at := fmt.Sprintf("backends[%d]", i)
		c.that(segment.CheckName(strings.ReplaceAll(b.Name, "+", "-")) == nil, at+".name", "%q: a backend's name has 1 to 64 letters, digits, and inside . - _ +", b.Name)
		if first, twice := names[b.Name]; twice {
			c.hinted(false, at+".name", "give each its own name", "%q is the name of backends[%d] already", b.Name, first)
		}
		names[b.Name] = i
		stores := []string{S3, Embedded, Cassandra}
		if b.Store == "" {
			c.hinted(false, at+".store", "add store: one of "+strings.Join(stores, ", "), "%q does not say which store it is", b.Name)
			continue
		}
		if !c.hinted(slices.Contains(stores, b.Store), at+".store", hint(b.Store, stores), "no store is called %q", b.Store) {
			continue
		}
		if b.Store == Cassandra {
			c.that(b.Nodes == 1 || b.Nodes == 3, at+".nodes", "%d: Cassandra has 1 node or 3", b.Nodes)
		} else {
			c.that(b.Nodes == 0, at+".nodes", "%s has no nodes to count", b.Store)
		}
		if b.Cache {
			c.that(b.Zones >= 1 && b.Zones <= 16, at+".zones", "%d cache zones: there must be 1 to 16", b.Zones)
		} else {
			c.hinted(b.Zones == 0, at+".zones", "add cache: true", "zones of a cache that is not there")
			c.hinted(b.HitRatio == nil, at+".hit-ratio", "add cache: true", "hits of a cache that is not there")
		}
		if b.HitRatio != nil {
			c.that(*b.HitRatio >= 0 && *b.HitRatio <= 1, at+".hit-ratio", "%v: must be 0 to 1", float64(*b.HitRatio))
		}
		c.profile(at+".profile", b, s.Audience != nil)
		c.cores(at+".cores", b, s.Drivers)
		edges := []string{Nginx, Varnish}
		c.hinted(b.Edge == "" || slices.Contains(edges, b.Edge), at+".edge", hint(b.Edge, edges), "no edge is called %q", b.Edge)
		c.hinted(b.Edge == "" || s.Readers.Viewers == 0, at+".edge", "leave one of them out", "readers.viewers makes each reader an edge already")
		if b.Origin != nil {
			c.origin(at+".origin", *b.Origin)
		}
	}
}

// cores checks that b has what is to be pinned. Whether the machine has the processors is for those who start something there.
func (c *checker) cores(at string, b Backend, drivers int) {
	each := b.Cores.Each()
	for _, name := range slices.Sorted(maps.Keys(each)) {
		n, field := each[name], at+"."+name
		c.that(n >= 0 && n < maxCores, field, "%d: processors are counted from 0 to %d", n, maxCores-1)
		c.hinted(name != "packagers" && name != "readers" || drivers >= 2, field, "add drivers: 2", "packagers and readers are one process")
		c.hinted(name != "cache" || b.Cache, field, "add cache: true", "there is no cache to pin")
	}
}

// profile checks that b's profile can be had, and that there is something that can have it: a real store takes the time it takes, but
// where all is simulated there is none.
func (c *checker) profile(at string, b Backend, simulated bool) {
	if b.Profile == "" || b.Profile == NoProfile {
		return
	}
	if b.Store == Cassandra && !simulated {
		c.hinted(false, at, "leave it out, or let the store be embedded", "Cassandra takes the time it takes; %q cannot be laid on it", b.Profile)
		return
	}
	names := append(profiles.Names(), NoProfile)
	if slices.Contains(names, b.Profile) {
		return
	}
	if !strings.ContainsAny(b.Profile, "/.\\") {
		c.hinted(false, at, hint(b.Profile, names), "no profile is called %q", b.Profile)
		return
	}
	if _, err := profiles.Load(b.Profile); errors.Is(err, os.ErrNotExist) {
		c.that(false, at, "there is no file %q", b.Profile)
	} else if err != nil {
		c.that(false, at, "%v", err)
	}
}

func (c *checker) fault(at string, f Fault, s Scenario) {
	k, ok := f.Kind()
	if !ok {
		c.hinted(false, at, "add what happens to whom, such as kill: publish; \"origin-storm scenarios faults\" lists the kinds", "a fault that does nothing")
		return
	}
	c.hinted(slices.Contains(k.To, f.To.What), at+"."+f.Do, "use "+strings.Join(faultsOn(f.To.What), ", "), "nobody can %s a %s", f.Do, f.To.What)
	c.that(f.For >= 0, at+".for", "%v: cannot be negative", f.For)
	wrong := k.By.check(f.By)
	c.that(wrong == "", at+".by", "%v: %s", f.By, wrong)
	c.that(f.Share >= 0 && f.Share <= 1, at+".share", "%v: a part is 0 to 1", float64(f.Share))
	c.that(f.Share == 0 || k.Shares, at+".share", "%s befalls all or nothing", f.Do)
	if f.Rendition != "" && c.that(k.Renditions, at+".rendition", "%s does not choose between renditions", f.Do) {
		var names []string
		for _, r := range s.Event.Renditions {
			names = append(names, r.Name)
		}
		c.hinted(slices.Contains(names, f.Rendition), at+".rendition", hint(f.Rendition, names), "there is no rendition %q", f.Rendition)
	}
	c.that(f.Do != "cross" || s.Event.Pipelines > 1, at+"."+f.Do, "there is no other pipeline")
	c.hinted(f.Do != "purge" || s.Readers.Viewers > 0, at+"."+f.Do, "give readers.viewers", "readers without viewers keep nothing")
	c.hinted(f.Do != "skew" || f.To.What != OfReaders || -f.By.Time <= s.Event.Segment.Duration(), at+".by", fmt.Sprintf("use at least -%v", s.Event.Segment.Duration()),
		"%v: readers whose clocks are more than a segment fast ask for what is not planned yet", f.By)
	c.hinted(f.Do != "withhold" || f.For > 0, at+".for", "say how long, such as for: 6s", "readers who never get their key are fewer readers: lower readers.edges instead")
	c.that(f.Do != "scale" || f.To.Nth <= 1, at+"."+f.Do, "the balancer chooses which nodes go: write scale: serve")
	c.exists(at+"."+f.Do, f.To, s)

	length := map[string]time.Duration{QuietPhase: s.Windows.Quiet, StormPhase: s.Windows.Storm}[f.At.Phase]
	switch {
	case f.At.Phase == "":
		c.hinted(false, at+".at", "add one such as storm 1 + 4s", "a fault without an instant")
	case length <= 0:
		c.that(false, at+".at", "%v: there are no %s windows", f.At, f.At.Phase)
	case f.At.Nth > s.Rounds():
		c.that(false, at+".at", "%v: the last of them is %s %d", f.At, f.At.Phase, s.Rounds())
	case f.At.After >= s.Length(length):
		c.that(false, at+".at", "%v: the window ends after %v", f.At, s.Length(length))
	}
}

// exists checks that some backend of s has t.
func (c *checker) exists(at string, t Target, s Scenario) {
	most := func(of func(Backend) int) (n int) {
		for _, b := range s.Backends {
			n = max(n, of(b))
		}
		return n
	}
	switch t.What {
	case OfPipeline:
		var names []string
		for i := range s.Event.Pipelines {
			names = append(names, Pipeline(i))
		}
		c.hinted(slices.Contains(names, t.Name), at, hint(t.Name, names), "there is no pipeline %q", t.Name)
	case OfServe:
		n := most(func(b Backend) int { return s.On(b).Serve })
		c.that(t.Nth <= n, at, "there is no %v: origin.serve is %d", t, n)
	case OfReaders:
		c.hinted(s.Readers.Edges > 0, at, "give readers.edges", "there are no readers")
	case OfStore:
		n := most(func(b Backend) int { return map[bool]int{true: 1}[b.Store != Cassandra] })
		c.hinted(n > 0, at, "name a node: cassandra 1", "no backend has a store process")
	case OfCache:
		n := most(func(b Backend) int { return b.Zones })
		c.hinted(n > 0, at, "add a backend with +cache", "no backend has a cache")
		c.that(n == 0 || t.Nth <= n, at, "there is no %v: the cache has %d zones", t, n)
	case OfCassandra:
		n := most(func(b Backend) int { return b.Nodes })
		c.hinted(n > 0, at, "add the backend cassandra", "no backend is Cassandra")
		c.that(n == 0 || t.Nth <= n, at, "there is no %v: Cassandra has %d nodes", t, n)
	}
}

func (c *checker) threshold(at string, t Threshold, s Scenario) {
	if t.Backend != "" {
		var names []string
		for _, b := range s.Backends {
			names = append(names, b.Name)
		}
		c.hinted(slices.Contains(names, t.Backend), at, hint(t.Backend, names), "%v: there is no backend %q", t, t.Backend)
	}
	switch {
	case t.Phase == QuietPhase && s.Windows.Quiet == 0, t.Phase == StormPhase && s.Windows.Storm == 0:
		c.that(false, at, "%v: there are no %s windows", t, t.Phase)
	case t.Subject == Isolation && (s.Windows.Quiet == 0 || s.Windows.Storm == 0):
		c.that(false, at, "%v: write isolation compares storm with quiet, and one of them is missing", t)
	}
}

// Rounds is how often quiet and storm take turns: Windows.Repeat, or more where Windows.Until asks for it.
func (s Scenario) Rounds() int {
	rounds := s.Windows.Repeat
	if s.Windows.Until <= 0 {
		return rounds
	}
	each := s.Event.Count * s.Event.Pipelines * len(s.Event.Renditions) // writes in a segment's time
	for _, w := range []time.Duration{s.Windows.Quiet, s.Windows.Storm} {
		if w <= 0 || each <= 0 {
			continue
		}
		// What is encoded when a phase's first window begins is sent later, and what its last one encodes may be sent after it.
		spill := int((s.Event.Encode.Max+s.Event.Lag)/s.Event.Segment.Duration()) + 1
		need := (s.Windows.Until+each-1)/each + spill
		rounds = max(rounds, (need+s.segments(w)-1)/s.segments(w))
	}
	return rounds
}

// Length is how long a window that was asked to last w lasts: whole segments, at least w.
func (s Scenario) Length(w time.Duration) time.Duration { return s.Event.Segment.times(s.segments(w)) }

// segments is how many segments a window that was asked to last w lasts.
func (s Scenario) segments(w time.Duration) int {
	n := int(w / s.Event.Segment.Duration())
	if s.Event.Segment.times(n) < w {
		n++
	}
	return n
}

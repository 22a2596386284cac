package scenarios

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Named is a behaviour that a scenario asks for by its name. Package client has what it does, under the same name.
type Named struct {
	// Name is how scenarios write it.
	Name string
	// About says what it does, in a sentence.
	About string
	// Source is where that was seen.
	Source string
	// Alone: it stands by itself, since a cache between it and the origin would take away what is particular about it.
	Alone bool
}

// The behaviours of readers.
const (
	Once      = "once"
	Patient   = "patient"
	Insistent = "insistent"
	HLSjs     = "hls.js"
	DASHjs    = "dash.js"
	FFmpeg    = "ffmpeg"
	Held      = "held"
	Scanner   = "scanner"
	Slow      = "slow"
)

// Clients lists the behaviours of readers, readers.behaviour.clients in a scenario. The first is that of readers of whom nothing
// is said. A new one needs an entry here and its implementation in package client; a test there holds them together.
func Clients() []Named {
	return []Named{
		{Name: Once, About: "asks once for each segment, whatever it is answered", Source: "the plan alone"},
		{Name: Patient, About: "asks again when the lifetime of a 404 or a 503 is over, three times at most", Source: "RFC 9111: a client that believes what it is told"},
		{Name: Insistent, About: "asks again 10 ms after every failure, whatever lifetime it has, 50 times at most", Source: "hls.js before 1.4 (issue 4312: a 404 is asked again without delay)"},
		{Name: HLSjs, About: "takes a 4xx or a refused connection for final, asks again 1, 2, 4, 8, 8, 8 s after a 5xx, and at once, four times, what has not begun after 10 s",
			Source: "hls.js 1.7.4, fragLoadPolicy and shouldRetry"},
		{Name: DASHjs, About: "asks again three times, 1 s after each failure, and gives an answer 20 s", Source: "dash.js 5.2.1, retryAttempts, retryIntervals and fragmentRequestTimeout"},
		{Name: FFmpeg, About: "asks for the next number as soon as it has one or was refused one: past the live edge a walk along the 404s, as fast as they come",
			Source: "ffmpeg's DASH demuxer (dashdec.c: cur_seq_no++ after a failed open), measured at 2,000 to 3,000 requests a second", Alone: true},
		{Name: Held, About: "asks for the next segment as soon as it has one, and lets the origin hold it: one long poll for each rendition", Source: "LL-HLS blocking reload; ffmpeg where the origin holds", Alone: true},
		{Name: Scanner, About: "reads the DVR window from its oldest segment to the live edge as fast as it is answered, again and again, and waits as long as a 503 says",
			Source: "clip makers and recorders that fill their store after the fact", Alone: true},
		{Name: Slow, About: "reads each answer at 100 kB/s over a connection with a small buffer, and so occupies the origin's", Source: "viewers behind a narrow line without a CDN between", Alone: true},
	}
}

// Caches lists the HTTP caches that an edge with viewers can behave like, readers.cache in a scenario. The first is that of
// scenarios that name none.
func Caches() []Named {
	return []Named{
		{Name: "ideal", About: "one request for all who wait, whose answer they share, kept for exactly as long as it says", Source: "RFC 9111 and request collapsing without a flaw"},
		{Name: "nginx", About: "those who wait look every 500 ms, go to the origin themselves after 5 s, one by one where an answer may not be kept; whole seconds",
			Source: "nginx proxy_cache_lock with its default timeouts (issue 1189)"},
		{Name: "varnish", About: "an answer that may not be kept sends all who wait to the origin at once, and lets everybody pass for 2 minutes; what has run out is given for 10 s more while it is fetched",
			Source: "Varnish 7 with its default uncacheable_ttl and default_grace"},
		{Name: "ats", About: "an answer that may not be kept sends all who wait to the origin at once; whole seconds", Source: "Apache Traffic Server 9.2, read_while_writer"},
		{Name: "no-collapse", About: "every request for what is not kept goes to the origin, however many are on their way", Source: "nginx without proxy_cache_lock: 19 to 48 fetches for 60 requests"},
	}
}

// named returns the names of a list.
func named(list []Named) (names []string) {
	for _, n := range list {
		names = append(names, n.Name)
	}
	return names
}

// Mix says which part of the readers behaves how. In YAML it is one name, or a mapping of names to shares that add up to 1.
type Mix []Part

// Part is one behaviour and the share of those who have it.
type Part struct {
	Name  string
	Share Share
}

// decode reads a mix.
func (m *Mix) decode(d *decoder, field string, n ast.Node) {
	*m = nil
	mapping, ok := n.(ast.MapNode)
	if !ok {
		if text, ok := d.scalar(field, n, "a behaviour's name, or a mapping of names to shares"); ok {
			*m = Mix{{text, 1}}
		}
		return
	}
	for it := mapping.MapRange(); it.Next(); {
		p := Part{Name: it.Key().GetToken().Value}
		d.at[join(field, p.Name)] = d.node(it.Key())
		d.value(join(field, p.Name), it.Value(), reflect.ValueOf(&p.Share).Elem())
		*m = append(*m, p)
	}
}

// MarshalYAML prints m as decode reads it.
func (m Mix) MarshalYAML() (any, error) {
	if len(m) == 1 && m[0].Share == 1 {
		return m[0].Name, nil
	}
	var all yaml.MapSlice
	for _, p := range m {
		all = append(all, yaml.MapItem{Key: p.Name, Value: float64(p.Share)})
	}
	return all, nil
}

// Of is the behaviour of the reader that stands at u, from 0 to 1, among all readers.
func (m Mix) Of(u float64) string {
	upTo := 0.0
	for _, p := range m {
		if upTo += float64(p.Share); u < upTo {
			return p.Name
		}
	}
	if len(m) == 0 {
		return Once
	}
	return m[len(m)-1].Name
}

// Ramp is which part of the readers asks, as time passes: of the edges, or of the viewers where there are some. Who asks at a
// small share also asks at every larger one.
type Ramp struct {
	// Over is what the ramp lasts for: storm, each storm window anew; or run, all storm windows together, which quiet ones between
	// them interrupt. Left out: storm.
	Over string `yaml:"over,omitempty"`
	// From is the share that asks at the beginning.
	From Share `yaml:"from"`
	// To is the share that asks at the end; left out: all.
	To *Share `yaml:"to,omitempty"`
	// Steps makes the share rise in so many equal steps, the first of them From, the last To; 0: evenly.
	Steps int `yaml:"steps,omitempty"`
	// Points take the place of from, to and steps: the share at some instants, and evenly between them. Two points at one instant
	// are a step.
	Points []Point `yaml:"points,omitempty"`
}

// The stretches of time that a ramp can last for.
const (
	OverStorm = "storm"
	OverRun   = "run"
)

// Point is a share at an instant of a ramp.
type Point struct {
	// At counts from the ramp's begin.
	At time.Duration `yaml:"at"`
	// Share is which part of the readers asks then.
	Share Share `yaml:"share"`
}

// Share is the part of the readers that asks when at of the ramp's whole length has passed. A nil ramp is all of them, always.
func (r *Ramp) Share(at, whole time.Duration) float64 {
	if r == nil {
		return 1
	}
	if len(r.Points) > 0 {
		return r.between(at)
	}
	from, to := float64(r.From), 1.0
	if r.To != nil {
		to = float64(*r.To)
	}
	part := 0.0
	if whole > 0 {
		part = min(1, max(0, float64(at)/float64(whole)))
	}
	if r.Steps > 1 {
		part = min(1, float64(int(part*float64(r.Steps)))/float64(r.Steps-1))
	}
	return from + part*(to-from)
}

// between is Share of a ramp with points.
func (r *Ramp) between(at time.Duration) float64 {
	next := slices.IndexFunc(r.Points, func(p Point) bool { return p.At > at })
	switch next {
	case -1:
		return float64(r.Points[len(r.Points)-1].Share)
	case 0:
		return float64(r.Points[0].Share)
	}
	a, b := r.Points[next-1], r.Points[next]
	return float64(a.Share) + float64(b.Share-a.Share)*float64(at-a.At)/float64(b.At-a.At)
}

// Restart is how the readers come back after an interruption: when a fault that lasts ends in a storm, they ask Factor times as
// much as usual, for the newest segments that a player fills its buffer with, and for ever less until Over has passed. What their
// edges had kept is gone. Faults that overlap are one interruption.
type Restart struct {
	// Factor is how many times the usual rate of requests comes at first.
	Factor float64 `yaml:"factor"`
	// Over is how long it takes until the rate is the usual one again; it falls evenly.
	Over time.Duration `yaml:"over"`
}

// readersTraffic checks who asks: behaviours, ramp and restart.
func (c *checker) readersTraffic(r Readers) {
	clients, caches := Clients(), Caches()
	var sum Share
	for i, p := range r.Behaviour.Clients {
		at := join("readers.behaviour.clients", p.Name)
		if len(r.Behaviour.Clients) == 1 {
			at = "readers.behaviour.clients"
		}
		n := slices.IndexFunc(clients, func(n Named) bool { return n.Name == p.Name })
		if c.hinted(n >= 0, at, hint(p.Name, named(clients)), "no behaviour of a client is called %q", p.Name) {
			c.hinted(!clients[n].Alone || r.Viewers == 0, at, "leave readers.viewers out", "behind an edge with viewers nobody can tell that a client is %q", p.Name)
		}
		c.that(p.Share > 0, at, "%v: must be above 0", float64(p.Share))
		c.that(!slices.ContainsFunc(r.Behaviour.Clients[:i], func(q Part) bool { return q.Name == p.Name }), at, "%q is there twice", p.Name)
		sum += p.Share
	}
	c.that(len(r.Behaviour.Clients) == 0 || sum > 0.999 && sum < 1.001, "readers.behaviour.clients", "the shares add up to %v, not to 1", float64(sum))
	if r.Cache != "" {
		c.hinted(slices.Contains(named(caches), r.Cache), "readers.cache", hint(r.Cache, named(caches)), "no cache is called %q", r.Cache)
		c.hinted(r.Viewers > 0, "readers.cache", "add readers.viewers", "a cache that nobody asks: without viewers edges ask the origin for themselves")
	}
	if r.Ramp != nil {
		c.ramp(*r.Ramp)
	}
	if x := r.Restart; x != nil {
		c.that(x.Factor >= 1 && x.Factor <= maxRestart, "readers.restart.factor", "%v: must be 1 to %d times the usual rate", x.Factor, maxRestart)
		c.that(x.Over > 0 && x.Over <= time.Hour, "readers.restart.over", "%v: must be above 0s, and 1h at most", x.Over)
	}
}

// maxRestart bounds how many times the usual rate readers come back at.
const maxRestart = 1000

func (c *checker) ramp(r Ramp) {
	const at = "readers.ramp"
	overs := []string{OverStorm, OverRun}
	c.hinted(r.Over == "" || slices.Contains(overs, r.Over), at+".over", hint(r.Over, overs), "%q is nothing that a ramp can last for", r.Over)
	share := func(field string, s Share) {
		c.that(s >= 0 && s <= 1, field, "%v: a part of the readers is 0 to 1", float64(s))
	}
	if len(r.Points) > 0 {
		c.hinted(r.From == 0 && r.To == nil && r.Steps == 0, at, "leave from, to and steps out", "points say all there is to say")
	}
	share(at+".from", r.From)
	if r.To != nil {
		share(at+".to", *r.To)
	}
	c.that(r.Steps == 0 || r.Steps >= 2 && r.Steps <= 10_000, at+".steps", "%d: there must be 2 to 10000, or 0 for an even ramp", r.Steps)
	for i, p := range r.Points {
		field := fmt.Sprintf("%s.points[%d]", at, i)
		share(field+".share", p.Share)
		c.that(p.At >= 0 && p.At <= maxWindow, field+".at", "%v: must be 0s to %v", p.At, maxWindow)
		c.that(i == 0 || p.At >= r.Points[i-1].At, field+".at", "%v is before the point above", p.At)
	}
}

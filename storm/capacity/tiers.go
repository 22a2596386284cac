package capacity

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"origin-storm/origin/cost"
	"origin-storm/scenarios"
	"origin-storm/storm/sim"
)

// The kinds of nodes, in the order in which a read passes them, and publishing ones last.
const (
	backbone = "backbone"
	serve    = "serve"
	cache    = "cache"
	store    = "store"
	publish  = "publish"
)

// The resources of a node, and what decides a count where none takes more than there have to be in every zone.
const (
	processors = "processors"
	network    = "network"
	memory     = "memory"
	disk       = "disk"
	spread     = "zones"
)

// How much of what a node has may be used, after Netflix's open capacity model: it multiplies what is needed with a buffer of 1.5, of 1.25 for
// a cache's memory, and of 2 for Cassandra's processors and network, half of which are kept for compaction and repair.
const (
	usual      = 1 / 1.5
	cacheFull  = 1 / 1.25
	background = 1 / 2.0
)

// What Cassandra has beside that, from the same model: a quarter of a heap of half the memory, from 4 to 30 GiB, buffers what is written
// between two flushes, 225 s apart, and there are two nodes in each zone at least.
const (
	flushEvery   = 225 // seconds
	heapLeast    = 4 << 30
	heapMost     = 30 << 30
	bufferOfHeap = 0.25
	storeLeast   = 2 // in each zone
)

// counts is how many nodes of each kind there are.
type counts map[string]int

// resource is what a tier needs of one resource, and what its nodes have of it.
type resource struct {
	name   string
	unit   string
	amount float64 // that is used on average, by all nodes together
	staff  float64 // that it takes without queues; of all but processors the same
	each   float64 // that one node has
	limit  float64
	shifts bool // what a lost zone had to do, the others do
	how    string
}

// tier is one kind of node under a load.
type tier struct {
	name      string
	zones     int
	given     int
	least     int // nodes in each zone
	resources []resource
	each      string
	countless bool // has no nodes
}

// need is how many nodes r takes over so many zones.
func (r resource) need(zones int) int {
	nodes := r.staff / (r.each * r.limit)
	if zones > 1 && r.shifts {
		return zones * int(math.Ceil(nodes/float64(zones-1)-1e-9))
	}
	return zones * int(math.Ceil(nodes/float64(zones)-1e-9))
}

// nodes is how many nodes t takes, and because of which resource, or of its zones.
func (t tier) nodes() (n int, bound string) {
	n, bound = t.zones*t.least, spread
	for _, r := range t.resources {
		if k := r.need(t.zones); k > n {
			n, bound = k, r.name
		}
	}
	return n, bound
}

// headroom is how many times as much of what t is asked for so many nodes can do within their limits, and because of which resource.
func (t tier) headroom(nodes int) (times float64, tightest resource) {
	times = math.Inf(1)
	for _, r := range t.resources {
		if h := r.limit / r.used(nodes); h < times {
			times, tightest = h, r
		}
	}
	return times, tightest
}

// used is which part of what so many nodes have is used.
func (r resource) used(nodes int) float64 {
	if r.each <= 0 || nodes <= 0 {
		return 0
	}
	return r.amount / (r.each * float64(nodes))
}

// load is what is asked of an origin.
type load struct {
	reads float64 // bits a second
	rate  float64 // times the scenario's bit rates
}

// tiers returns what b's tiers need under d. zones is how many zones are up.
func (f *finder) tiers(b scenarios.Backend, d load) []tier {
	s, dep := f.Scenario, f.deployment
	costs := f.calibrated[b.Name].Costs
	seconds := s.Event.Segment.Duration().Seconds()
	renditions := float64(len(s.Event.Renditions))
	copies := float64(s.Event.Pipelines * s.Event.Count)
	published := copies * float64(s.Event.Renditions.Total()) * d.rate // bits a second
	writes := copies * renditions / seconds
	mean := float64(s.Event.Renditions.Total()) * d.rate / 8 * seconds / renditions // bytes of a segment
	reads := d.reads / 8 / mean
	chunks := f.chunks(b, d.rate)
	const mib = 1 << 20

	work := func(m sim.Demand, requests, bytes float64) float64 {
		return Busy(requests, m.PerRequest.Seconds()) + Busy(bytes/mib, m.PerMiB.Seconds())
	}
	cores := func(busy float64, n int, limit float64) resource {
		q := spare(float64(dep.Queued))
		staff := float64(Staff(busy, float64(dep.Queued)))
		return resource{name: processors, unit: "cores", amount: busy, staff: staff, each: float64(n), limit: limit, shifts: true,
			how: fmt.Sprintf("%s busy by Little's law, ceil(a + %v·√a) = %.0f of which %.0f %% may be used, %d a node", short(busy), q, staff, 100*limit, n)}
	}
	link := func(bits float64, r cost.Rate, limit float64, what string) resource {
		return resource{name: network, unit: "Gbit/s", amount: bits / 1e9, staff: bits / 1e9, each: float64(r) / 1e9, limit: limit, shifts: true,
			how: fmt.Sprintf("%s Gbit/s of %s, %.0f %% of %v a node", short(bits/1e9), what, 100*limit, r)}
	}
	missed := 1.0 // the part of the reads that go to the store
	if b.Cache {
		missed = 0
		if b.HitRatio != nil {
			missed = 1 - float64(*b.HitRatio)
		}
	}

	all := []tier{{name: backbone, zones: 1, countless: true, each: "no bound is known"}}
	if dep.Backbone > 0 {
		all[0].each = fmt.Sprint(dep.Backbone)
		all[0].resources = []resource{link(d.reads, dep.Backbone, usual, "reads")}
		all[0].resources[0].shifts = false
	}
	all = append(all, tier{name: serve, zones: dep.Zones, given: dep.Serve.Nodes, least: 1, each: machines(dep.Serve, false),
		resources: []resource{
			cores(work(costs.Serve, reads*(1+float64(s.Readers.Behaviour.Missing)), d.reads/8), dep.Serve.Cores, usual),
			link(d.reads, dep.Serve.Link, usual, "reads"),
		}})
	if b.Cache {
		zones := float64(b.Zones)
		busy := work(costs.CacheWork, reads*(copies+chunks), d.reads/8) + zones*work(costs.CacheWork, writes*(1+chunks), published/8)
		kept := published / 8 * dep.Keep.Seconds() * zones
		all = append(all, tier{name: cache, zones: b.Zones, given: dep.Cache.Nodes, least: 1, each: machines(dep.Cache, false),
			resources: []resource{
				cores(busy, dep.Cache.Cores, usual),
				link(max(d.reads*(1-missed), zones*published), dep.Cache.Link, usual, "reads"),
				{name: memory, unit: "GiB", amount: kept / (1 << 30), staff: kept / (1 << 30), each: float64(dep.Cache.Memory) / (1 << 30), limit: cacheFull,
					how: fmt.Sprintf("%s GiB: %v of what is published, once in each of %d zones, %.0f %% of %v a node", short(kept/(1<<30)), dep.Keep, b.Zones, 100*cacheFull, dep.Cache.Memory)},
			}})
	}
	if b.Store != scenarios.S3 {
		replicas := float64(dep.Replicas)
		quorum := float64(dep.Replicas/2 + 1)
		busy := replicas*work(costs.Writing(), writes*(1+chunks), published/8) +
			missed*quorum*work(costs.StoreWork, reads*(copies+chunks), d.reads/8)
		heap := min(max(heapLeast, float64(dep.Store.Memory)/2), heapMost)
		buffered := published / 8 * replicas * flushEvery
		kept := published / 8 * s.Event.DVR.Seconds() * replicas
		all = append(all, tier{name: store, zones: dep.Zones, given: dep.Store.Nodes, least: storeLeast, each: machines(dep.Store, true),
			resources: []resource{
				cores(busy, dep.Store.Cores, background),
				link(max(d.reads*missed, published*replicas), dep.Store.Link, background, map[bool]string{true: "reads", false: "writes to all replicas"}[d.reads*missed > published*replicas]),
				{name: memory, unit: "GiB", amount: buffered / (1 << 30), staff: buffered / (1 << 30), each: heap * bufferOfHeap / (1 << 30), limit: 1,
					how: fmt.Sprintf("%s GiB: what is written in %d s between flushes, in %s GiB of each node's heap", short(buffered/(1<<30)), flushEvery, short(heap*bufferOfHeap/(1<<30)))},
				{name: disk, unit: "GiB", amount: kept / (1 << 30), staff: kept / (1 << 30), each: float64(dep.Store.Disk) / (1 << 30), limit: 1,
					how: fmt.Sprintf("%s GiB: a DVR window of %v on %d replicas, %v a node", short(kept/(1<<30)), s.Event.DVR, dep.Replicas, dep.Store.Disk)},
			}})
	}
	all = append(all, tier{name: publish, zones: dep.Zones, given: dep.Publish.Nodes, least: 1, each: machines(dep.Publish, false),
		resources: []resource{
			cores(work(costs.Publish, writes, published/8), dep.Publish.Cores, usual),
			link(published*(1+float64(b.Zones)), dep.Publish.Link, usual, "what is published, to the store and each cache zone"),
		}})
	return all
}

// chunks is how many chunks a segment is kept in on average.
func (f *finder) chunks(b scenarios.Backend, rate float64) float64 {
	size := b.ChunkSize()
	if size < 0 {
		return 0
	}
	bytes := float64(cmp.Or(size, chunkSize))
	var n float64
	for _, r := range f.Scenario.Event.Renditions {
		if x := float64(r.Rate) * rate / 8 * f.Scenario.Event.Segment.Duration().Seconds(); x > bytes {
			n += math.Ceil(x / bytes)
		}
	}
	return n / float64(len(f.Scenario.Event.Renditions))
}

// chunkSize is above which size the origin keeps segments in chunks.
const chunkSize = 512 << 10

// count returns how many nodes each of tiers has: as many as the scenario says, or as it takes.
func count(tiers []tier) counts {
	n := counts{}
	for _, t := range tiers {
		if t.countless {
			continue
		}
		n[t.name], _ = t.nodes()
		if t.given > 0 {
			n[t.name] = t.given
		}
	}
	return n
}

// room returns how many times as much as l readers could ask of b's nodes before one of them is above its limit, and which that is: of all
// that grows with the readers. It is infinite where nothing does.
func (f *finder) room(b scenarios.Backend, l load, n counts) (times float64, name string, tightest resource) {
	times = math.Inf(1)
	more := f.tiers(b, load{2 * l.reads, l.rate})
	for i, t := range f.tiers(b, l) {
		nodes := n[t.name]
		if t.countless {
			nodes = 1
		}
		for k, r := range t.resources {
			was := r.used(nodes)
			grows := more[i].resources[k].used(nodes) - was // with each time the load: use is a straight line over it
			if grows <= 1e-9 {
				continue
			}
			if x := 1 + (r.limit-was)/grows; x < times {
				times, name, tightest = x, t.name, r
			}
		}
	}
	return times, name, tightest
}

// called is what a used resource of a tier is called.
func called(tier, resource string) string {
	if resource == network {
		resource = "links"
	}
	return tier + " " + resource
}

// used lists what tiers use with so many nodes.
func used(tiers []tier, n counts) []Used {
	out := []Used{}
	for _, t := range tiers {
		nodes := n[t.name]
		if t.countless {
			nodes = 1
		}
		for _, r := range t.resources {
			out = append(out, Used{Tier: called(t.name, r.name), Part: r.used(nodes), Limit: r.limit})
		}
	}
	return out
}

// report makes a Tier of t with so many nodes.
func (t tier) report(nodes int) Tier {
	out := Tier{Name: t.name, Nodes: nodes, Given: t.given > 0, Zones: t.zones, Each: t.each, Needs: []Need{}}
	for _, r := range t.resources {
		out.Needs = append(out.Needs, Need{Resource: r.name, Amount: r.amount, Unit: r.unit, Nodes: r.need(t.zones), How: r.how})
	}
	took, bound := t.nodes()
	if out.Bound = bound; t.countless {
		nodes, out.Nodes, out.Bound = 1, 0, ""
	}
	if len(t.resources) > 0 {
		times, r := t.headroom(nodes)
		out.Used, out.Limit, out.Headroom = r.used(nodes), r.limit, times
	}
	switch {
	case t.countless && len(t.resources) == 0:
		out.Reason = "no bound is known, so none is checked: give deployment.backbone"
	case t.countless:
		out.Reason = "what leaves the region for its fillers"
	case t.given > 0 && nodes < took:
		out.Reason = fmt.Sprintf("the scenario says so; by %s it takes %d", bound, took)
	case t.given > 0:
		out.Reason = fmt.Sprintf("the scenario says so; %d would do", took)
	case bound == spread:
		out.Reason = fmt.Sprintf("%d in each of %d zones at least; no resource takes more", t.least, t.zones)
	default:
		i := slices.IndexFunc(t.resources, func(r resource) bool { return r.name == bound })
		out.Reason = "by " + bound + ": " + t.resources[i].how
		if t.zones > 1 && t.resources[i].shifts {
			out.Reason += fmt.Sprintf(", which still holds when one of %d zones is lost", t.zones)
		}
	}
	return out
}

// machines says what one node has.
func machines(m scenarios.Machines, disks bool) string {
	text := fmt.Sprintf("%d cores, %v, %v", m.Cores, m.Link, m.Memory)
	if disks {
		text += fmt.Sprintf(", %v of data", m.Disk)
	}
	return text
}

// short writes a number with three digits.
func short(x float64) string {
	if x >= 100 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}

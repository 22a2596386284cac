package calibrate

import (
	"cmp"
	"math"
	"slices"
	"time"

	"origin-storm/origin/storage"
	"origin-storm/storm"
	"origin-storm/storm/sim"
)

// The kinds of processes, as cpu_seconds of a run names them.
const (
	driverWork  = "driver"
	publishWork = "publish"
	serveWork   = "serve"
	storeWork   = "store"
	cacheWork   = "cache"
)

// load is what the processes of one kind had to do in one run, and what they took for it.
type load struct {
	seconds  float64 // of a processor, that they took
	requests float64
	mib      float64
	polls    float64 // that they made, of awaited segments
	lasted   float64 // for how many seconds they were there
	polled   float64 // for how many of these they were polled
	// written and writtenMiB are the part of the requests and of the bytes of a store that writes are; 0 of other processes.
	written, writtenMiB float64
}

// work returns what m's processes of a kind had to do, ok being false where that is not known.
func (m measured) work(kind string) (l load, ok bool) {
	l.seconds, ok = m.backend.CPUSeconds[kind]
	if !ok || l.seconds <= 0 {
		return l, false
	}
	const mib = 1 << 20
	reads := m.count(storm.LiveEdge) + m.count(storm.Early) + m.count(storm.DVR) + m.count(storm.Probe)
	readBytes := m.bytes(storm.LiveEdge) + m.bytes(storm.Early) + m.bytes(storm.DVR) + m.bytes(storm.Probe)
	missing := m.count(storm.Missing)
	// Publishes go on between windows, too, as processor time does.
	publishes, publishBytes := m.published()
	c := m.backend.Cache
	for _, p := range m.backend.Phases {
		l.lasted += p.Seconds
	}
	cached := m.scenario.Backends[0].Cache
	switch kind {
	case driverWork:
		l.requests, l.mib = publishes+float64(reads+missing), publishBytes/mib+float64(readBytes)/mib
	case publishWork:
		l.requests, l.mib = publishes, publishBytes/mib
	case serveWork:
		l.requests, l.mib = float64(reads+missing), float64(readBytes)/mib
		if !cached { // a cache is asked for all that is awaited at once, as often as it may be
			l.polls = float64(c.PollKeys)
		}
	case storeWork:
		stored := 0.0
		if c.StoreBytes != nil {
			stored = *c.StoreBytes * publishBytes
		}
		// Each replica of a write works, and of a read as many as make a quorum, of which one hands over the bytes.
		writes, asked := 1.0, 1.0
		if n := m.scenario.Backends[0].Nodes; n > 1 {
			n = min(n, 3)
			writes, asked = float64(n), float64(n/2+1)
		}
		// Each candidate that is looked for is an operation, found or not; what is behind a cache sees those that it did not have.
		found := float64(c.PollKeys) + m.chunks()*float64(reads)
		l.polled = l.lasted
		if cached {
			l.polled = 0
			found = float64(c.StoreReads + c.StorePolls*int64(m.scenario.Event.Pipelines))
		}
		l.written, l.writtenMiB = writes*m.operations(), writes*publishBytes/mib
		l.requests, l.mib = l.written+asked*found, l.writtenMiB+stored/mib
	case cacheWork:
		zones := float64(m.scenario.Backends[0].Zones)
		// One exchange looks for several awaited segments.
		const together = 16
		l.requests, l.mib = zones*m.operations()+float64(c.Reads)+float64(c.Polls)/together, (zones*publishBytes+float64(readBytes))/mib
	}
	return l, true
}

// published is how many copies were published in all of m's measured part, and their bytes.
func (m measured) published() (n, bytes float64) {
	inWindows := float64(m.count(storm.Publish))
	for _, c := range m.run.Copies {
		if c.Backend == m.backend.Name && c.Sent != nil && c.Number >= 0 {
			n++
		}
	}
	if n == 0 {
		n = inWindows
	}
	return n, float64(m.bytes(storm.Publish)) * n / inWindows
}

// operations is how many values the published copies are kept in: chunks and commits.
func (m measured) operations() float64 {
	n, _ := m.published()
	return n * (1 + m.chunks())
}

// chunks is how many chunks a segment is kept in beside its commit, on average over the renditions.
func (m measured) chunks() (mean float64) {
	for _, r := range m.scenario.Event.Renditions {
		size := float64(r.Rate) / 8 * m.scenario.Event.Segment.Duration().Seconds()
		if most := float64(cmp.Or(m.scenario.Backends[0].ChunkSize(), storage.DefaultChunkSize)); most > 0 && size > most {
			mean += math.Ceil(size/most) / float64(len(m.scenario.Event.Renditions))
		}
	}
	return mean
}

// demand fits what a request takes of a processor to loads, and returns the part of the squared relative error that is left: 0 is a perfect
// fit. With fewer loads than unknowns, what is done unasked and then the size is left out. Idle is what polls and the time take together.
func demand(loads []load) (d sim.Demand, left float64) {
	unknowns := func(l load) []float64 { return []float64{l.requests, l.mib, l.lasted, 0} }
	if slices.ContainsFunc(loads, func(l load) bool { return l.polls > 0 }) {
		unknowns = func(l load) []float64 { return []float64{l.requests, l.mib, l.polls, l.lasted} }
	}
	x, left := solve(loads, unknowns)
	d = sim.Demand{PerRequest: work(x[0]), PerMiB: work(x[1])}
	d.Idle = idle(loads, func(l load) float64 {
		u := unknowns(l)
		return x[2]*u[2] + x[3]*u[3]
	})
	return d, left
}

// kinds is from how many loads on what a store's reads and writes take is told apart.
const kinds = 5

// storeDemand is demand of a store, of which a write may take something else than a read. What it takes unasked it takes always, or as long as it
// is polled, since that wakes it as often however much is asked for: what explains the loads better. own are those that Idle is said of.
func storeDemand(loads, own []load) (read, write sim.Demand, left float64) {
	if len(loads) < kinds {
		read, left = demand(loads)
		return read, sim.Demand{}, left
	}
	left = math.Inf(1)
	for _, unasked := range []func(l load) float64{func(l load) float64 { return l.lasted }, func(l load) float64 { return l.polled }} {
		x, off := solve(loads, func(l load) []float64 {
			return []float64{l.requests - l.written, l.mib - l.writtenMiB, l.written, l.writtenMiB, unasked(l)}
		})
		if off >= left {
			continue
		}
		left = off
		read = sim.Demand{PerRequest: work(x[0]), PerMiB: work(x[1]), Idle: idle(own, func(l load) float64 { return x[4] * unasked(l) })}
		write = sim.Demand{PerRequest: work(x[2]), PerMiB: work(x[3])}
	}
	return read, write, left
}

// solve returns how many seconds each of the things that of returns takes, and the part of the squared relative error that is left.
func solve(loads []load, of func(load) []float64) (x []float64, left float64) {
	n := len(of(load{}))
	if len(loads) == 0 {
		return make([]float64, n), 0
	}
	rows, y := make([][]float64, len(loads)), make([]float64, len(loads))
	for i, l := range loads {
		rows[i], y[i] = of(l)[:min(n, len(loads))], 1
		for j := range rows[i] {
			rows[i][j] /= l.seconds
		}
	}
	x, left = nonNegative(rows, y)
	for len(x) < n {
		x = append(x, 0)
	}
	return x, left / float64(len(loads))
}

// work is a processor's time of so many seconds.
func work(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second)).Round(100 * time.Nanosecond)
}

// idle is how many cores were taken on average by what is done unasked, which took so many seconds of a load.
func idle(loads []load, took func(l load) float64) float64 {
	sum := 0.0
	for _, l := range loads {
		if l.lasted > 0 {
			sum += took(l) / l.lasted / float64(len(loads))
		}
	}
	return digits(sum, 3)
}

// nonNegative returns the x without negative numbers for which the sum of the squares of rows·x − y is least, and that sum. There are
// few unknowns, so all sets of them are tried: the least one lies inside the set of its positive numbers, where it is the ordinary least.
func nonNegative(rows [][]float64, y []float64) (x []float64, least float64) {
	n := len(rows[0])
	x = make([]float64, n)
	for _, v := range y {
		least += v * v
	}
	for set := 1; set < 1<<n; set++ {
		var of []int
		for i := range n {
			if set&(1<<i) != 0 {
				of = append(of, i)
			}
		}
		some, ok := leastSquares(rows, y, of)
		if !ok {
			continue
		}
		try := make([]float64, n)
		for k, i := range of {
			if some[k] < 0 {
				ok = false
			}
			try[i] = some[k]
		}
		if !ok {
			continue
		}
		sum := 0.0
		for r, row := range rows {
			d := -y[r]
			for i, v := range try {
				d += row[i] * v
			}
			sum += d * d
		}
		if sum < least*(1-1e-9) {
			x, least = try, sum
		}
	}
	return x, least
}

// leastSquares solves the normal equations of the columns of, by Gauss and Jordan; ok is false where they do not tell the columns apart.
func leastSquares(rows [][]float64, y []float64, of []int) (x []float64, ok bool) {
	n := len(of)
	a := make([][]float64, n)
	for i := range a {
		a[i] = make([]float64, n+1)
		for r, row := range rows {
			for j := range of {
				a[i][j] += row[of[i]] * row[of[j]]
			}
			a[i][n] += row[of[i]] * y[r]
		}
	}
	scale := make([]float64, n) // of the diagonal, before anything is taken off it
	for i := range a {
		scale[i] = a[i][i]
	}
	for i := range a {
		const apart = 1e-9
		if a[i][i] <= apart*scale[i] || scale[i] == 0 {
			return nil, false
		}
		for j := range a {
			if j == i {
				continue
			}
			f := a[j][i] / a[i][i]
			for k := range a[j] {
				a[j][k] -= f * a[i][k]
			}
		}
	}
	x = make([]float64, n)
	for i := range x {
		x[i] = a[i][n] / a[i][i]
	}
	return x, true
}

package sim_test

import (
	"runtime"
	"testing"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
)

// fightNight is the shape of the published event: 100 fillers that ask for each segment of 50 renditions of two pipelines, for so long.
const fightNight = `
event: {segment: 2s, renditions: {count: 50, total: 250Mbit/s}, pipelines: 2}
readers: {edges: 100, behaviour: {aligned: 100ms, early: 0.1}}
windows: {quiet: 4s, storm: `

// fightNightOrigin is one that has everything that takes events: cores, links, and a store with replicas.
func fightNightOrigin(c *sim.Config) {
	c.Topology = sim.Topology{
		Publish: 2, Serve: 4, PublishCores: 16, ServeCores: 16, PublishLink: 25e9, ServeLink: 100e9,
		Store: 6, Replicas: 3, StoreCores: 16, StoreLink: 25e9, Hot: 1 << 30, Collapse: true,
	}
	d := sim.Demand{PerRequest: 50 * time.Microsecond, PerMiB: 100 * time.Microsecond, Latency: cost.Dist{P50: 200 * time.Microsecond, P99: time.Millisecond}}
	c.Costs = costs()
	c.Costs.Publish, c.Costs.Serve = d, d
	c.Costs.StoreWork = sim.Demand{PerRequest: 30 * time.Microsecond, PerMiB: 100 * time.Microsecond}
}

// BenchmarkFightNight executes a fight night with everything recorded. It reports how many times faster than real time that was, the
// engine's events a second, and by how much the heap grew from a third of the event to its end.
func BenchmarkFightNight(b *testing.B) {
	for _, length := range []string{"1m", "10m", "3h"} {
		b.Run("length="+length, func(b *testing.B) {
			var simulated, took time.Duration
			var events, requests int64
			for b.Loop() {
				s := parse(b, fightNight+length+"}")
				p, c := planned(b, s, 1)
				fightNightOrigin(&c)
				end := p.Windows[len(p.Windows)-1].To
				r := &watched{Recording: record.New(record.Config{Windows: p.Windows, Due: due(c), Virtual: true, Keep: s.Event.DVR}), third: end / 3}
				x, err := sim.New(c)
				if err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				if err := x.Execute(b.Context(), p, r); err != nil {
					b.Fatal(err)
				}
				took += time.Since(began)
				simulated += end
				events += x.Figures().Events
				requests += r.n
				b.ReportMetric(float64(r.heap)/(1<<20), "MB-at-a-third")
				b.ReportMetric(float64(heap())/(1<<20), "MB-at-the-end")
				runtime.KeepAlive(r)
			}
			b.ReportMetric(simulated.Seconds()/took.Seconds(), "x-real-time")
			b.ReportMetric(float64(events)/took.Seconds()/1e6, "Mevents/s")
			b.ReportMetric(float64(took)/float64(requests), "ns/request")
			b.ReportMetric(float64(events)/float64(requests), "events/request")
		})
	}
}

// watched is a recording that looks at the heap once a third of the run is over.
type watched struct {
	*record.Recording
	third time.Duration
	heap  uint64
	n     int64
}

func (w *watched) Record(s storm.Sample) {
	w.n++
	if w.heap == 0 && s.Done > w.third {
		w.heap = heap()
	}
	w.Recording.Record(s)
}

// heap is what is reachable.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// due is when segments are due, for a recording.
func due(c sim.Config) func(segment.ID) time.Duration {
	templates := map[string]segment.Template{}
	for _, e := range c.Events {
		templates[e.Name] = e.Template
	}
	return func(id segment.ID) time.Duration { return templates[id.Event].Due(id.Number).Sub(c.Start) }
}

package simulate_test

import (
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"origin-storm/scenarios"
	"origin-storm/storm/sim"
	"origin-storm/storm/simulate"
)

// published are nodes enough for the published event, so that no queue grows without end.
func published(scenarios.Backend) sim.Topology {
	return sim.Topology{
		Publish: 4, Serve: 8, PublishCores: 32, ServeCores: 32, PublishLink: 100e9, ServeLink: 100e9,
		Store: 12, Replicas: 3, StoreCores: 32, StoreLink: 25e9, Zones: 2, CacheNodes: 8, CacheCores: 32, CacheLink: 100e9,
	}
}

// BenchmarkFightNight simulates the published event with everything recorded, shorter and in full: each backend alone, and all of them as the
// command does. It reports how many times faster than real time that was, which is the time that a live run would take for its backends in
// turn; the engine's events a second, and by how much the heap grew from a third of the event to its end.
func BenchmarkFightNight(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // as the command has it
	for _, backend := range []string{"cassandra", "cassandra+cache", "all"} {
		for _, length := range []string{"1m", "10m", "3h"} {
			b.Run(backend+"/"+length, func(b *testing.B) {
				s := load(b, "fight-night", "windows.storm="+length)
				if backend != "all" {
					s.Backends = slices.DeleteFunc(s.Backends, func(of scenarios.Backend) bool { return of.Name != backend })
				}
				var third, end uint64
				c := simulate.Config{Scenario: s, Seed: 1, Deployment: published, AtOnce: len(s.Backends), Progress: func(p simulate.Progress) {
					switch all := p.Total * time.Duration(len(s.Backends)); {
					case third == 0 && p.Left < all*2/3:
						third = heap()
					case end == 0 && p.Left < all/20:
						end = heap()
					}
				}}
				var simulated, took time.Duration
				var events, requests int64
				for b.Loop() {
					began := time.Now()
					out := run(b, c)
					took += time.Since(began)
					for _, r := range out.Results.Backends {
						events += out.Figures[r.Name].Events
						for _, p := range r.Phases {
							simulated += time.Duration(p.Seconds * float64(time.Second))
							for _, o := range p.Operations {
								requests += o.Count
							}
						}
					}
				}
				b.ReportMetric(simulated.Seconds()/took.Seconds(), "x-real-time")
				b.ReportMetric(float64(events)/took.Seconds()/1e6, "Mevents/s")
				b.ReportMetric(float64(took)/float64(requests), "ns/request")
				b.ReportMetric(float64(events)/float64(requests), "events/request")
				b.ReportMetric(float64(third)/(1<<20), "MB-at-a-third")
				b.ReportMetric(float64(end)/(1<<20), "MB-at-the-end")
			})
		}
	}
}

// heap is what is reachable.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

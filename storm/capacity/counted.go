package capacity

import (
	"origin-storm/scenarios"
	"origin-storm/storm/sim"
)

// Counted returns what the backends of s run on: the machines of its deployment, or of the default one, and of each kind as many nodes as s
// says or, where it leaves that open, as Find counts that it takes. Nothing is simulated for that. p is as in Config.
func Counted(s scenarios.Scenario, p *sim.Profile) (func(scenarios.Backend) sim.Topology, error) {
	f, err := newFinder(Config{Scenario: s, Profile: p})
	if err != nil {
		return nil, err
	}
	target := f.target()
	return func(b scenarios.Backend) sim.Topology {
		return f.topology(job{backend: b, nodes: count(f.tiers(b, load{target, 1})), replicas: f.deployment.Replicas})
	}, nil
}

// asked is the read rate that the audience asks for, in bits a second, and target the one that the origin is sized for.
func (f *finder) asked() float64 { return f.reads(job{fillers: f.Scenario.Readers.Edges, rate: 1}) }
func (f *finder) target() float64 {
	return max(f.asked(), float64(f.deployment.Reads))
}

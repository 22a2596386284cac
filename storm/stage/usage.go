package stage

import (
	"time"

	"origin-storm/origin/servers"
	"origin-storm/scenarios"
)

// groups returns the process groups of what is up; those of containers are not known.
func (u *uplift) groups() map[string][]int {
	all := map[string][]int{}
	add := func(what string, ps ...*process) {
		for _, p := range ps {
			if pid, ok := p.pid(); ok {
				all[what] = append(all[what], pid)
			}
		}
	}
	add("publish", u.publish)
	add("serve", u.serve...)
	add("serve", u.probed)
	add("store", u.store)
	add("cache", u.zones...)
	others := map[string][]*servers.Server{"edge": {u.edge}}
	if u.cluster != nil && u.be.Store == scenarios.Cassandra {
		others["store"], others["cache"] = u.cluster.Cassandra, u.cluster.Memcached
	}
	for what, group := range others {
		for _, s := range group {
			if s != nil && s.Group() > 0 {
				all[what] = append(all[what], s.Group())
			}
		}
	}
	return all
}

// processorTimes are what an arm's processes have taken of the processors so far, by what they do; nil where that is not known.
func processorTimes(t *Target) map[string]time.Duration {
	if t.Groups == nil {
		return nil
	}
	times, err := servers.GroupTimes()
	if err != nil {
		return nil
	}
	all := map[string]time.Duration{}
	for what, groups := range t.Groups() {
		for _, g := range groups {
			all[what] += times[g]
		}
	}
	return all
}

// usage is what an arm's processes and the driver, in seconds, have taken of the processors; nil where that is not known. A process that
// was started anew meanwhile counts from then on.
func usage(before, after map[string]time.Duration, driver float64) map[string]float64 {
	if after == nil {
		return nil
	}
	all := map[string]float64{"driver": driver}
	for what, took := range after {
		if took >= before[what] {
			took -= before[what]
		}
		all[what] = took.Seconds()
	}
	return all
}

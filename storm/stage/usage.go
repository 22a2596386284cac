package stage

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"time"

	"origin-storm/origin/servers"
	"origin-storm/scenarios"
	"origin-storm/storm/record"
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

// Watch begins to watch the machine's processors while the processes of groups, by what they do, are measured; groups is nil where they are not
// known. end tells what they, and the driver with its own time, have taken in seconds, and what others took; both nil where that cannot be
// told.
func Watch(groups func() map[string][]int) (end func(driver time.Duration) (taken map[string]float64, s *record.Stolen)) {
	before, known := machineNow()
	used := groupTimes(groups)
	return func(driver time.Duration) (map[string]float64, *record.Stolen) {
		taken, waited := usage(used, groupTimes(groups), driver.Seconds())
		after, _ := machineNow()
		if !known {
			return taken, nil
		}
		return taken, stolen(before, after, taken, waited)
	}
}

// groupTimes are what processes have had of the processors so far, by what they do; nil where that is not known.
func groupTimes(groups func() map[string][]int) map[string]servers.Use {
	if groups == nil {
		return nil
	}
	times, err := servers.GroupTimes()
	if err != nil {
		return nil
	}
	all := map[string]servers.Use{}
	for what, numbers := range groups() {
		for _, g := range numbers {
			u := all[what]
			all[what] = servers.Use{Took: u.Took + times[g].Took, Waited: u.Waited + times[g].Waited}
		}
	}
	return all
}

// usage is what an arm's processes and the driver, in seconds, have taken of the processors; nil where that is not known. waited is for how
// long the arm's threads, taken together, could have run and had no processor. A process that was started anew meanwhile counts from then
// on.
func usage(before, after map[string]servers.Use, driver float64) (taken map[string]float64, waited time.Duration) {
	if after == nil {
		return nil, 0
	}
	taken = map[string]float64{"driver": driver}
	for what, u := range after {
		if b := before[what]; u.Took >= b.Took && u.Waited >= b.Waited {
			u.Took, u.Waited = u.Took-b.Took, u.Waited-b.Waited
		}
		taken[what] = u.Took.Seconds()
		waited += u.Waited
	}
	return taken, waited
}

// machine is what the machine's processors have spent so far, in seconds.
type machine struct{ all, busy, stolen float64 }

// readMachine reads the first line of /proc/stat (proc_stat(5)).
func readMachine(stat string) (m machine, ok bool) {
	var user, nice, system, idle, wait, irq, softirq, steal uint64
	if n, err := fmt.Sscanf(stat, "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &softirq, &steal); n < 8 || err != nil {
		return m, false
	}
	const hertz = 100 // USER_HZ, on every architecture that Go knows
	seconds := func(n uint64) float64 { return float64(n) / hertz }
	m.busy = seconds(user + nice + system + irq + softirq)
	m.stolen = seconds(steal)
	m.all = m.busy + m.stolen + seconds(idle+wait)
	return m, true
}

func machineNow() (machine, bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return machine{}, false
	}
	return readMachine(string(b))
}

// stolen tells what others took of the processors between two looks in which the run's own processes took ours, by what they are, and what
// is measured waited for one.
func stolen(before, after machine, ours map[string]float64, waited time.Duration) *record.Stolen {
	all := after.all - before.all
	if all <= 0 || ours == nil {
		return nil
	}
	var own float64
	for _, what := range slices.Sorted(maps.Keys(ours)) {
		own += ours[what]
	}
	s := &record.Stolen{
		Others:     min(max((after.busy-before.busy-own)/all, 0), 1),
		Hypervisor: min(max((after.stolen-before.stolen)/all, 0), 1),
	}
	s.Free = max(0, 1-(after.busy-before.busy+after.stolen-before.stolen)/all) * float64(runtime.NumCPU())
	if measured := own - ours["driver"]; measured > 0 {
		busy := after.busy - before.busy
		s.Stretch = 1 + waited.Seconds()/measured*min(max((busy-own)/busy, 0), 1) + (after.stolen-before.stolen)/busy
	}
	return s
}

package stage

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"origin-storm/origin/servers"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/record"
)

// checkCores returns why s cannot have its processes pinned on this machine, or nil.
func checkCores(s scenarios.Scenario) error {
	if !s.Pinned() {
		return nil
	}
	have, err := servers.Processors()
	if err != nil {
		return fmt.Errorf("%s pins processes: %w", s.Name, err)
	}
	for _, b := range s.Backends {
		each := b.Cores.Each()
		for _, what := range slices.Sorted(maps.Keys(each)) {
			if !slices.Contains(have, each[what]) {
				return fmt.Errorf("this machine cannot carry %s: backend %s: cores.%s: there is no processor %d to use, there are %v: name others, or leave it out",
					s.Name, b.Name, what, each[what], have)
			}
		}
	}
	return nil
}

// ticks are what a processor has spent since the machine was started, in the system's unit.
type ticks struct{ busy, all uint64 }

// readTicks reads the processors' lines of /proc/stat (proc_stat(5)).
func readTicks(r io.Reader) (map[int]ticks, error) {
	all := map[int]ticks{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || !strings.HasPrefix(fields[0], "cpu") || fields[0] == "cpu" {
			continue
		}
		n, err := strconv.Atoi(fields[0][len("cpu"):])
		if err != nil || len(fields) < 6 {
			return nil, fmt.Errorf("stage: %q is no processor's line of /proc/stat", lines.Text())
		}
		var t ticks
		for i, field := range fields[1:min(len(fields), 9)] { // what guests take is in user's already
			v, err := strconv.ParseUint(field, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("stage: %q is no processor's line of /proc/stat", lines.Text())
			}
			t.all += v
			if i != 3 && i != 4 { // idle, and idle while a disk is waited for
				t.busy += v
			}
		}
		all[n] = t
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("stage: /proc/stat: %w", err)
	}
	return all, nil
}

// coreUsage counts how busy each processor is in each phase, until it is stopped.
type coreUsage struct {
	cancel  context.CancelFunc
	watcher sync.WaitGroup
	spent   map[string]map[int]ticks // by phase; the watcher's until it has ended
	err     error                    // likewise
}

// watchCores begins to count the windows of a plan that starts at start.
func watchCores(start time.Time, windows []storm.Window) *coreUsage {
	ctx, cancel := context.WithCancel(context.Background())
	c := &coreUsage{cancel: cancel, spent: map[string]map[int]ticks{}}
	c.watcher.Go(func() {
		for _, w := range windows {
			if !sleep(ctx, time.Until(start.Add(w.From))) {
				return
			}
			if c.err = c.count(ctx, w.Name, start.Add(w.To)); c.err != nil {
				return
			}
		}
	})
	return c
}

// count adds what the processors spend until an instant to a phase.
func (c *coreUsage) count(ctx context.Context, phase string, until time.Time) error {
	now := func() (map[int]ticks, error) {
		f, err := os.Open("/proc/stat")
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readTicks(f)
	}
	before, err := now()
	if err != nil {
		return err
	}
	sleep(ctx, time.Until(until))
	after, err := now()
	if err != nil {
		return err
	}
	if c.spent[phase] == nil {
		c.spent[phase] = map[int]ticks{}
	}
	for n, t := range after {
		sum := c.spent[phase][n]
		c.spent[phase][n] = ticks{sum.busy + t.busy - before[n].busy, sum.all + t.all - before[n].all}
	}
	return nil
}

// stop ends the watch. It may be called again.
func (c *coreUsage) stop() {
	c.cancel()
	c.watcher.Wait()
}

// figures returns what was counted, with what b pins to each processor.
func (c *coreUsage) figures(b scenarios.Backend) ([]record.Core, error) {
	c.stop()
	runs := map[int][]string{}
	each := b.Cores.Each()
	for _, what := range slices.Sorted(maps.Keys(each)) {
		runs[each[what]] = append(runs[each[what]], what)
	}
	seen := map[int]bool{}
	for _, of := range c.spent {
		for n := range of {
			seen[n] = true
		}
	}
	var all []record.Core
	for _, n := range slices.Sorted(maps.Keys(seen)) {
		busy := func(phase string) *float64 {
			t := c.spent[phase][n]
			if t.all == 0 {
				return nil
			}
			return new(float64(t.busy) / float64(t.all))
		}
		all = append(all, record.Core{Core: n, Runs: append([]string{}, runs[n]...), Quiet: busy(scenarios.QuietPhase), Storm: busy(scenarios.StormPhase)})
	}
	return all, c.err
}

// sleep waits for d, or until ctx ends, and reports which.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

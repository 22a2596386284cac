package stage_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/servers"
	"origin-storm/scenarios"
	"origin-storm/storm/record"
	"origin-storm/storm/stage"
)

// program is this module's program, built once: stage starts it as the origin's processes.
var program string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stage-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "origin-storm")
	if out, err := exec.Command("go", "build", "-o", program, "origin-storm").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// parse returns the scenario in text.
func parse(t *testing.T, text string) scenarios.Scenario {
	t.Helper()
	s, err := scenarios.Parse(t.Name(), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// carry runs s and returns what was found, after checking that nothing of it is left.
func carry(t *testing.T, ctx context.Context, s scenarios.Scenario, change func(*stage.Config)) (record.Results, *record.Run) {
	t.Helper()
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	out := filepath.Join(t.TempDir(), "run")
	folder, err := record.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stage.Config{
		Scenario: s, Seed: 7, Servers: servers.Embedded, Command: []string{program},
		Progress: func(p stage.Progress) { t.Log(p.Text, p.Backend, p.Phase, p.Elapsed) },
	}
	if change != nil {
		change(&cfg)
	}
	res, err := stage.Run(ctx, cfg, folder)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	dir, err := folder.Commit()
	if err != nil {
		t.Fatal(err)
	}
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if left := processes(t, tmp); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(tmp, "*")); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
	return res, run
}

// processes returns those whose command line names dir: all that a run in it has started, but the reaper.
func processes(t *testing.T, dir string) (pids []string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(lines) == 0 {
		t.Fatalf("no /proc: %v", err)
	}
	for _, f := range lines {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), dir) {
			pids = append(pids, f+" "+strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return pids
}

func sound(t *testing.T, res record.Results) {
	t.Helper()
	for _, b := range res.Backends {
		s := b.Segments
		if s.Lost+s.Torn+s.Wrong+s.Stale != 0 {
			t.Errorf("%s: lost %d, torn %d, wrong %d, stale %d, want none", b.Name, s.Lost, s.Torn, s.Wrong, s.Stale)
		}
		if s.Acknowledged == 0 || s.Verified == 0 || s.Verified != s.Read {
			t.Errorf("%s: acknowledged %d, read %d, verified %d: want some, and each read verified", b.Name, s.Acknowledged, s.Read, s.Verified)
		}
	}
}

// A run over several driver processes sends what one would have sent, and its merged figures say so.
func TestDriversShareThePlan(t *testing.T) {
	const text = `
name: shared
event: {renditions: {count: 3, total: 1Mbit/s}}
readers: {edges: 6, behaviour: {aligned: 50ms, early: 0.2, dvr: 0.2}}
windows: {warm-up: 0s, quiet: 2s, storm: 4s}
backends: [embedded+cache]
`
	counts := map[int]string{}
	for _, drivers := range []int{1, 3} {
		s := parse(t, text)
		s.Drivers = drivers
		res, run := carry(t, t.Context(), s, nil)
		sound(t, res)
		for _, what := range []string{"driver", "publish", "serve", "store", "cache"} {
			if took := res.Backends[0].CPUSeconds[what]; runtime.GOOS == "linux" && !(took > 0 && took < 60) {
				t.Errorf("%d drivers: %s has taken %v s of the processors", drivers, what, took)
			}
		}
		if c := res.Driver.Ceiling; c == nil || c.Requests <= 0 || c.Gbit <= 0 || c.RequestsUsed <= 0 || c.GbitUsed <= 0 {
			t.Errorf("%d drivers: their own ceiling is %+v, notes %q, want one and what was used of it", drivers, c, res.Driver.Notes)
		}
		if s := res.Backends[0].Stolen; runtime.GOOS == "linux" && s == nil {
			t.Errorf("%d drivers: nothing is known of what others took of the processors", drivers)
		}
		var got []string
		for _, p := range res.Backends[0].Phases {
			for _, o := range p.Operations {
				got = append(got, fmt.Sprintf("%s %s %d", p.Name, o.Class, o.Count))
			}
		}
		counts[drivers] = strings.Join(got, "\n")
		if len(run.Copies) == 0 || len(run.Intervals) == 0 || len(run.Histograms) == 0 {
			t.Errorf("%d drivers: the folder has %d copies, %d intervals, %d histograms", drivers, len(run.Copies), len(run.Intervals), len(run.Histograms))
		}
	}
	if counts[1] != counts[3] {
		t.Errorf("one driver counted\n%s\nthree\n%s", counts[1], counts[3])
	}
}

// The publishing and the serving process die in the middle of a run and come back; all that was acknowledged is readable.
func TestProcessesDieAndComeBack(t *testing.T) {
	s := parse(t, `
name: restarts
event: {renditions: {count: 3, total: 3Mbit/s}}
readers: {edges: 4, behaviour: {aligned: 50ms, early: 0.2}}
windows: {warm-up: 0s, storm: 12s, quiet: 0s}
origin: {serve: 2}
backends: [embedded+cache]
faults:
  - {at: storm + 2300ms, kill: publish, for: 500ms}
  - {at: storm + 5s, stop: cache 1, for: 2s}
  - {at: storm + 8300ms, kill: serve 2, for: 500ms}
`)
	res, run := carry(t, t.Context(), s, nil)
	sound(t, res)
	if c := res.Backends[0].Cache; c.HitRatio == nil || c.Reads == 0 {
		t.Errorf("cache figures %+v, want some", c)
	}
	var kinds []string
	for _, e := range run.Events {
		switch e.Kind {
		case "fault", "fault-end":
			kinds = append(kinds, e.Kind)
		case "death", "warning":
			t.Errorf("%s at %.1f s: %s", e.Kind, e.At, e.Text)
		}
	}
	if got, want := strings.Join(kinds, " "), "fault fault-end fault fault-end fault fault-end"; got != want {
		t.Errorf("faults in events.ndjson: %s, want %s", got, want)
	}
}

// A run that is interrupted stops, says so, and keeps what it measured.
func TestInterrupted(t *testing.T) {
	s := parse(t, `
name: interrupted
event: {renditions: {count: 2, total: 1Mbit/s}}
readers: {edges: 2}
windows: {warm-up: 0s, quiet: 0s, storm: 10m}
backends: [embedded, embedded+cache]
`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var intervals atomic.Int32
	res, _ := carry(t, ctx, s, func(c *stage.Config) {
		c.Progress = func(p stage.Progress) {
			if p.Interval != nil && p.Interval.Writes > 0 && intervals.Add(1) == 2 {
				cancel()
			}
		}
	})
	if res.Verdict != "interrupted" {
		t.Errorf("verdict %q, want interrupted", res.Verdict)
	}
	if len(res.Backends) != 1 || res.Backends[0].Segments.Acknowledged == 0 {
		t.Errorf("kept %d backends, want one with acknowledged segments", len(res.Backends))
	}
}

// A run that is interrupted before it measures anything says so, too.
func TestInterruptedEarly(t *testing.T) {
	for _, during := range []string{"bringing up the origin", "warming up"} {
		s := parse(t, `
name: interrupted
event: {renditions: {count: 2, total: 1Mbit/s}}
readers: {edges: 2}
windows: {warm-up: 1m, quiet: 0s, storm: 1m}
backends: [embedded+cache]
`)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		res, _ := carry(t, ctx, s, func(c *stage.Config) {
			c.Progress = func(p stage.Progress) {
				if strings.Contains(p.Text, during) {
					cancel()
				}
			}
		})
		if res.Verdict != "interrupted" || len(res.Backends) != 0 {
			t.Errorf("interrupted while %s: verdict %q with %d backends, want interrupted with none", during, res.Verdict, len(res.Backends))
		}
	}
}

// A process that dies although no fault asked for it makes the run invalid.
// Each edge asks the origin once for a segment, however many readers wait; the run's own reader is no part of that.
func TestEdgesAskOnce(t *testing.T) {
	for _, edge := range []string{scenarios.Nginx, scenarios.Varnish} {
		kvtest.Need(t, "the edge "+edge, servers.EdgeReady(t.Context(), edge))
	}
	s := parse(t, `
name: edges
event: {renditions: {count: 2, total: 1Mbit/s}, encode: {min: 100ms, max: 200ms}}
readers: {edges: 20, behaviour: {aligned: 10ms, missing: 0.3}}
windows: {warm-up: 0s, quiet: 0s, storm: 6s}
backends:
  - {name: direct, store: embedded}
  - {name: nginx, store: embedded, edge: nginx}
  - {name: varnish, store: embedded, edge: varnish}
thresholds: ["nginx: edge fetches-per-segment == 1", "varnish: edge fetches-per-segment == 1", edge reads == 120, live-edge errors == 0, missing errors == 0]
`)
	res, _ := carry(t, t.Context(), s, nil)
	sound(t, res)
	for _, l := range res.Thresholds {
		if !l.OK {
			t.Errorf("%s does not hold on %s: %v %s", l.Text, l.Backend, l.Actual, l.Note)
		}
	}
	for i, fetches := range []int64{120, 6, 6} {
		b := res.Backends[i]
		e := b.Edge
		if e == nil || e.Segments != 6 || e.Fetches != fetches || i > 0 && e.Cached != 114 || i == 0 && e.Cached != 0 {
			t.Fatalf("%s: %+v, want %d fetches for 6 segments and 120 reads", b.Name, e, fetches)
		}
		if direct := i == 0; e.NotFound == 0 || direct != (e.NotFoundFetched == e.NotFound) || direct != (e.Program == "") {
			t.Errorf("%s: %+v, want all 404s fetched where there is no edge, and there alone", b.Name, e)
		}
		for _, o := range b.Phases[0].Operations {
			if o.Class == "live-edge" && o.AfterAnswer.Count != 120 {
				t.Errorf("%s: %d of 120 reads tell when the origin answered", b.Name, o.AfterAnswer.Count)
			}
		}
	}
}

// What a backend pins runs on its processor from the first thread to the last, and the report says how busy that was.
func TestProcessesArePinned(t *testing.T) {
	have, err := servers.Processors()
	kvtest.Need(t, "the processors this process may use", err)
	first, last := have[0], have[len(have)-1]
	s := parse(t, fmt.Sprintf(`
name: pinned
event: {renditions: {count: 2, total: 1Mbit/s}}
readers: {edges: 4}
windows: {warm-up: 0s, quiet: 2s, storm: 4s}
drivers: 2
backends: [{name: embedded+cache, zones: 1, cores: {packagers: %d, publish: %[1]d, store: %[1]d, cache: %[2]d, serve: %[2]d, readers: %[2]d}}]
`, first, last))
	if err := stage.Check(s); err != nil {
		t.Fatal(err)
	}
	tmp := ""
	var mu sync.Mutex // guards seen
	seen := map[string]int{}
	res, _ := carry(t, t.Context(), s, func(c *stage.Config) {
		tmp = os.Getenv("TMPDIR")
		c.Progress = func(p stage.Progress) {
			if p.Phase == "" {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for name, pin := range map[string]int{"publish-1.yaml": first, "store.yaml": first, "cache-1.yaml": last, "serve-1.yaml": last} {
				for _, line := range processes(t, tmp) {
					if strings.Contains(line, name) && allowed(t, line) == fmt.Sprint(pin) {
						seen[name]++
					}
				}
			}
			drivers, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", os.Getpid()))
			for _, file := range drivers {
				children, _ := os.ReadFile(file)
				for _, pid := range strings.Fields(string(children)) {
					line := "/proc/" + pid + "/cmdline"
					if text, _ := os.ReadFile(line); strings.HasSuffix(string(text), "\x00drive\x00") {
						seen["drive on "+allowed(t, line)]++
					}
				}
			}
		}
	})
	sound(t, res)
	for _, name := range []string{"publish-1.yaml", "store.yaml", "cache-1.yaml", "serve-1.yaml", fmt.Sprint("drive on ", first), fmt.Sprint("drive on ", last)} {
		if seen[name] == 0 {
			t.Errorf("%s was never seen on its processor: %v", name, seen)
		}
	}
	cores := res.Backends[0].Cores
	if len(cores) < len(have) {
		t.Fatalf("%d processors are reported, want %d", len(cores), len(have))
	}
	for _, c := range cores {
		if c.Core == first && !slices.Contains(c.Runs, "publish") || c.Core == last && !slices.Contains(c.Runs, "serve") || c.Quiet == nil || c.Storm == nil || *c.Storm <= 0 || *c.Storm > 1 {
			t.Errorf("processor %+v, want what was pinned there and how busy it was", c)
		}
	}
	s.Backends[0].Cores.Serve = new(1000)
	if err := stage.Check(s); err == nil || !strings.Contains(err.Error(), "cores.serve: there is no processor 1000") {
		t.Errorf("Check with a processor 1000 = %v, want it refused by name", err)
	}
}

// allowed returns which processors the threads of a process may use, if all may use the same; cmdline begins with the process's file of that name.
func allowed(t *testing.T, cmdline string) string {
	t.Helper()
	dir, _, _ := strings.Cut(cmdline, "/cmdline")
	threads, _ := filepath.Glob(dir + "/task/*/status")
	list := ""
	for _, file := range threads {
		text, _ := os.ReadFile(file) // empty of a thread that has ended
		for line := range strings.Lines(string(text)) {
			if l, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
				if l = strings.TrimSpace(l); list != "" && l != list {
					return list + " and " + l
				}
				list = l
			}
		}
	}
	return list
}

func TestUnaskedDeath(t *testing.T) {
	s := parse(t, `
name: death
event: {renditions: {count: 2, total: 1Mbit/s}}
readers: {edges: 2}
windows: {warm-up: 0s, quiet: 0s, storm: 6s}
backends: [embedded+cache]
`)
	tmp := ""
	var once atomic.Bool
	res, run := carry(t, t.Context(), s, func(c *stage.Config) {
		tmp = os.Getenv("TMPDIR")
		c.Progress = func(p stage.Progress) {
			if p.Interval == nil || once.Swap(true) {
				return
			}
			for _, p := range processes(t, tmp) {
				if strings.Contains(p, "cache-2") {
					var pid int
					fmt.Sscanf(p, "/proc/%d/cmdline", &pid)
					syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
	})
	if res.Verdict != "invalid" {
		t.Errorf("verdict %q (%v), want invalid", res.Verdict, res.Reasons)
	}
	found := false
	for _, e := range run.Events {
		found = found || e.Kind == "death" && strings.Contains(e.Text, "cache-2")
	}
	if !found {
		t.Errorf("events.ndjson names no death of cache-2: %+v", run.Events)
	}
}

// kill -9 of the run itself leaves neither a process nor a temporary directory, but what was recorded until then, of which a
// report can be made.
func TestNothingOutlivesTheRun(t *testing.T) {
	tmp, cwd := t.TempDir(), t.TempDir()
	cmd := exec.Command(program, "run", "smoke", "--set", "windows.storm=60s", "--out", "out")
	cmd.Dir = cwd
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(progress)
	for lines.Scan() && !strings.Contains(lines.Text(), "storm") {
	}
	if len(processes(t, tmp)) < 3 {
		t.Errorf("the run has started %v, want a store, a publish and a serve process", processes(t, tmp))
	}
	cmd.Process.Kill()
	cmd.Wait()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		left, _ := filepath.Glob(filepath.Join(tmp, "*"))
		unfinished, _ := filepath.Glob(filepath.Join(cwd, ".*"))
		if left = append(left, unfinished...); len(processes(t, tmp)) == 0 && len(left) == 0 {
			break
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("20 s after kill -9 there are left: processes %v, files %v", processes(t, tmp), left)
		}
	}

	dir := filepath.Join(cwd, "out.crashed")
	if out, err := exec.Command(program, "report", dir).CombinedOutput(); err != nil {
		t.Fatalf("report of what was left: %v\n%s", err, out)
	}
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := run.Results; got.Verdict != "interrupted" || len(got.Backends) != 1 || got.Backends[0].Segments.Acknowledged == 0 || got.Backends[0].Segments.Lost > 0 {
		t.Errorf("what was recorded until kill -9 gives %s with %+v, want it interrupted with acknowledged segments", got.Verdict, got.Backends)
	}
	if got := run.Results.Sentence; !strings.HasPrefix(got, "Died: the run's process ended unasked, ") || !strings.Contains(got, "missing are ") {
		t.Errorf("the report begins with %q, want that the process died, and what is missing", got)
	}
	if len(run.Events) == 0 || len(run.Copies) == 0 || len(run.Intervals) == 0 || len(run.Histograms) == 0 {
		t.Errorf("of kill -9 are left %d events, %d copies, %d intervals, %d histograms, want some of each", len(run.Events), len(run.Copies), len(run.Intervals), len(run.Histograms))
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "journal-*")); len(left) > 0 {
		t.Errorf("after the report there still is %v", left)
	}
}

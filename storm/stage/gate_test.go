package stage_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"origin-storm/storm/record"
	"origin-storm/storm/stage"
	"origin-storm/storm/verdict/gate"
)

// gated carries a gate of real processes out, and checks that nothing of it is left.
func gated(t *testing.T, change func(*stage.GateConfig)) (gate.Results, string) {
	t.Helper()
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	s := parse(t, `
name: gated
event:
  segment: 200ms
  renditions: {count: 4, total: 1Mbit/s}
  encode: {min: 10ms, max: 150ms}
  lag: 20ms
  publish-delay: 200ms
  dvr: 1m
readers: {edges: 2, behaviour: {aligned: 50ms}}
windows: {warm-up: 600ms, quiet: 0s, storm: 10s}
backends: [embedded]
`)
	folder, err := record.Create(filepath.Join(t.TempDir(), "gate"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := stage.GateConfig{
		Config: stage.Config{Seed: 5, Servers: stage.Embedded, Command: []string{program}, Progress: func(p stage.Progress) { t.Log(p.Text, p.Now) }},
		Base:   stage.Side{Name: "old", Scenario: s}, Head: stage.Side{Name: "new", Scenario: s},
		Rules: gate.Config{Looks: []int{2}},
	}
	change(&cfg)
	res, err := stage.Gate(t.Context(), cfg, folder)
	if err != nil {
		t.Fatalf("Gate: %v", err)
	}
	dir, err := folder.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if left := processes(t, tmp); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(tmp, "*")); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
	return res, dir
}

// Two sides of real processes are measured in turns, and what was measured can be read back and decided on again.
func TestGate(t *testing.T) {
	res, dir := gated(t, func(c *stage.GateConfig) { c.Head.Scenario.Origin.Collapse = true })
	if res.Outcome == gate.Invalid && strings.Contains(res.Sentence, "lag") {
		t.Logf("this machine is too busy to measure on, as the gate says itself: %s", res.Sentence)
		return
	}
	if res.Outcome != "inconclusive" || res.Quads != 2 { // two quads are too few for anything else
		t.Fatalf("outcome %s after %d quads, want inconclusive after 2: %s %v", res.Outcome, res.Quads, res.Sentence, res.Reasons)
	}
	for name, side := range map[string]gate.SideResults{"base": res.Base, "head": res.Head} {
		// Two quads have four blocks of each side, of four measured ticks with eight publishes each.
		if side.Publishes != 4*4*8 || side.Reads == 0 || side.Failed != 0 || side.Verified == 0 || side.Acknowledged <= side.Publishes {
			t.Errorf("%s: %+v, want 128 publishes, some reads, verified, and none failed", name, side)
		}
	}
	file, err := os.Open(filepath.Join(dir, gate.BlocksFile))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	quads, err := gate.ReadQuads(file)
	if err != nil || len(quads) != 2 {
		t.Fatalf("ReadQuads = %d quads, %v; want 2", len(quads), err)
	}
	g, err := gate.New(res.Rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range quads {
		if err := g.Add(q); err != nil {
			t.Fatal(err)
		}
	}
	if d, err := g.Decide(); err != nil || d.Sentence != res.Decision.Sentence {
		t.Errorf("what was recorded says %q, %v; the gate said %q", d.Sentence, err, res.Decision.Sentence)
	}
}

// A process of either side that is killed ends the gate at once, and without a pass.
func TestGateWhoseServerIsKilled(t *testing.T) {
	kill := func(dir, role string) error {
		all, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			return err
		}
		for _, name := range all {
			b, err := os.ReadFile(name)
			if err == nil && strings.Contains(string(b), dir) && strings.Contains(string(b), "\x00origin\x00"+role+"\x00") {
				pid, err := strconv.Atoi(regexp.MustCompile(`\d+`).FindString(name))
				if err != nil {
					return err
				}
				return syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		return os.ErrNotExist
	}
	for _, role := range []string{"store", "publish"} {
		t.Run(role, func(t *testing.T) {
			var once sync.Once
			res, _ := gated(t, func(c *stage.GateConfig) {
				c.Rules.Looks = []int{100} // which nobody waits for
				tmp := os.Getenv("TMPDIR")
				c.Progress = func(p stage.Progress) {
					if strings.HasPrefix(p.Now, "quad 1, block 2") {
						once.Do(func() {
							if err := kill(tmp, role); err != nil {
								t.Errorf("killing the %s process of a side: %v", role, err)
							}
						})
					}
				}
			})
			if res.Outcome != gate.Invalid || !strings.Contains(res.Sentence, "died") {
				t.Errorf("outcome %s: %s; want invalid, since a server died", res.Outcome, res.Sentence)
			}
		})
	}
}

// Ctrl-C ends a gate of processes gracefully: its folder is whole and says that it was interrupted, and nothing is left running.
func TestGateInterrupted(t *testing.T) {
	tmp, cwd := t.TempDir(), t.TempDir()
	cmd := exec.Command(program, "gate", "--head-set", "origin.hot=1MB", "--out", "out")
	cmd.Dir, cmd.Env = cwd, append(os.Environ(), "TMPDIR="+tmp)
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(progress)
	for lines.Scan() && !strings.Contains(lines.Text(), "quad 1") {
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, progress)
	var ended *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ended) || ended.ExitCode() != 105 {
		t.Errorf("the gate ended with %v, want exit code 105", err)
	}
	if left := processes(t, tmp); len(left) > 0 {
		t.Errorf("it left %v running", left)
	}
	for file, want := range map[string]string{
		gate.ResultsFile: `"outcome": "interrupted"`, "report.html": "Interrupted: nothing was decided.", "summary.md": "Interrupted: nothing was decided.", "junit.xml": "<error",
	} {
		if got, err := os.ReadFile(filepath.Join(cwd, "out", file)); err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s (%v) lacks %q:\n%.500s", file, err, want, got)
		}
	}
}

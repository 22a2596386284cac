package processtest_test

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"origin-storm/origin/processtest"
)

// recorder is a test whose failures are noted, and whose end is called for.
type recorder struct {
	testing.TB
	failed   bool
	said     strings.Builder
	cleanups []func()
}

func (r *recorder) Cleanup(f func())                  { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Failed() bool                      { return r.failed }
func (r *recorder) Logf(format string, args ...any)   { fmt.Fprintf(&r.said, format+"\n", args...) }
func (r *recorder) Errorf(format string, args ...any) { r.failed = true; r.Logf(format, args...) }

func (r *recorder) end() {
	for _, f := range r.cleanups {
		f()
	}
}

// TestStart: a process is asked to stop, is waited for, and how it ended is the test's affair.
func TestStart(t *testing.T) {
	const on = "; echo started; while :; do sleep 0.05; done"
	for _, tt := range []struct {
		name, script string
		failed       bool // the test already, before the process is stopped
		want         string
	}{
		{"as asked", `trap "exit 0" TERM` + on, false, ""},
		{"as asked, of a test that failed", `trap "exit 0" TERM; echo a reason >&2` + on, true, "a reason"},
		{"with a code", `trap "echo a reason >&2; exit 3" TERM` + on, false, "exit status 3, a reason"},
		{"by a signal", `echo a reason >&2` + on, false, "signal: terminated, a reason"},
		{"before it is asked", `echo a reason >&2; echo started; exit 4`, false, "exit status 4, a reason"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{TB: t, failed: tt.failed}
			cmd := exec.Command("sh", "-c", tt.script)
			out := bufio.NewReader(processtest.Start(r, cmd))
			line, err := out.ReadString('\n')
			if line != "started\n" || err != nil {
				t.Errorf("Start: output %q, %v, want %q", line, err, "started\n")
			}
			if !strings.HasSuffix(tt.script, on) {
				_, _ = io.Copy(io.Discard, out) // until it has ended
			}
			r.end()
			if cmd.ProcessState == nil {
				t.Fatal("Start: when the test has ended the process has not been waited for")
			}
			if r.failed != (tt.want != "") {
				t.Errorf("Start of a process that ends %s: the test failed = %v, want %v", tt.name, r.failed, tt.want != "")
			}
			for want := range strings.SplitSeq(tt.want, ", ") {
				if !strings.Contains(r.said.String(), want) {
					t.Errorf("Start of a process that ends %s: the test says %q, want %q in it", tt.name, r.said.String(), want)
				}
			}
		})
	}
}

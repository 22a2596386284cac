// Package processtest runs programs for tests and benchmarks whose subject is a process of its own: this very program as a deployment
// would run it, and servers beside it. Whatever is started is stopped with the test that started it. It is for tests alone: what a live
// run starts is storm/stage's and origin/servers' to see to.
package processtest

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"origin-storm/origin/config"
)

// patience is how long a process may take to stop when it is asked to: longer than a node drains by itself.
const patience = 20 * time.Second

// Build compiles this program into a file in dir and returns the file's path. It is built without the race detector even where the tests
// have it: what a test measures of a process is what users get.
func Build(dir string) (program string, err error) {
	program = filepath.Join(dir, "origin-storm")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, "origin-storm").CombinedOutput(); err != nil {
		return "", fmt.Errorf("processtest: go build: %w\n%s", err, out)
	}
	return program, nil
}

// Node runs a node of program, as Build returned it, with a configuration of its own, and returns what the node says of itself when it is
// ready. It is stopped like any other process of Start.
func Node(t testing.TB, program string, n config.Node) config.Ready {
	t.Helper()
	b, err := n.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return Ready(t, exec.Command(program, "origin", string(n.Role), "--config", file))
}

// Ready starts cmd, which runs a node, as Start does, and returns what the node says of itself when it is ready. It fails t if that does
// not come.
func Ready(t testing.TB, cmd *exec.Cmd) (ready config.Ready) {
	t.Helper()
	if err := json.NewDecoder(Start(t, cmd)).Decode(&ready); err != nil {
		t.Fatalf("processtest: %v did not get ready: %v", cmd, err) // its log is told as it is stopped
	}
	return ready
}

// Start starts cmd, whose standard output and error nobody has set yet, and returns its output, of which no more than a pipe holds may
// stay unread. When t ends, the process is asked to stop with SIGTERM, and killed if it has not in 20 s. t fails unless it
// then ends with exit code 0, and tells what it wrote to standard error if it has failed for whatever reason. On Linux the process does not
// outlive this one either.
func Start(t testing.TB, cmd *exec.Cmd) io.Reader {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		log.Close()
		t.Fatalf("processtest: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		killer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		_, _ = io.Copy(io.Discard, out)
		err := cmd.Wait()
		killer.Stop()
		log.Close()
		if err != nil {
			t.Errorf("processtest: %v was asked to stop, and ended with %v", cmd, err)
		}
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%v wrote:\n%s", cmd, end(text))
		}
	})
	return out
}

// end is the last of what a process wrote.
func end(log []byte) string {
	const most = 4000
	if len(log) <= most {
		return string(log)
	}
	return "…" + string(log[len(log)-most:])
}

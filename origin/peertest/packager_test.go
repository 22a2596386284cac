package peertest_test

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/segment"
)

// channel is what the packagers of these tests publish: an event "ev" of pipelines a and b on the clock of the Unix epoch, with the publish
// delay that the command gives an event by default.
func channel() config.Event {
	return config.Event{
		Name: "ev", Pipelines: []string{"a", "b"}, Renditions: config.Renditions("v360", "v180", "a64"), DVR: 10 * time.Minute,
		Template: segment.Template{Start: time.Unix(0, 0), Ticks: 2, Timescale: 1, PublishDelay: time.Second},
	}
}

// packager is a running deploy/packager: a stock ffmpeg that encodes in real time, locked to the Unix epoch.
type packager struct {
	cmd  *exec.Cmd
	log  bytes.Buffer
	done chan struct{} // closed when it has ended
}

// startPackager starts a packager that publishes to base, such as http://127.0.0.1:8081/ev/a, for d from at most 4 s on, unless
// it is killed before; it is when the test ends.
func startPackager(t testing.TB, base string, d time.Duration) *packager {
	t.Helper()
	for _, program := range []string{"bash", "ffmpeg"} {
		_, err := exec.LookPath(program)
		kvtest.Need(t, program, err)
	}
	script := filepath.Join("..", "..", "deploy", "packager")
	p := &packager{cmd: exec.Command(script, base, strconv.Itoa(int(d.Seconds()))), done: make(chan struct{})}
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // most are killed
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("ffmpeg to %s:\n%s", base, p.log.Bytes())
		}
	})
	return p
}

// kill ends p as kill -9 does, and returns when it has ended.
func (p *packager) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// run runs a program to its end, or until d has passed: then it is asked to stop, and killed 2 s later. It returns what the
// program wrote.
func run(ctx context.Context, d time.Duration, name string, args ...string) ([]byte, error) {
	args = append([]string{"-k", "2", fmt.Sprint(d.Seconds()), name}, args...)
	return exec.CommandContext(ctx, "timeout", args...).CombinedOutput()
}

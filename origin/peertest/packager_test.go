package peertest_test

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/segment"
)

// channel is what the packagers of these tests publish: an event "ev" of pipelines a and b on the clock of the Unix epoch. A
// segment is due when its media ends and so never published before: ffmpeg's DASH demuxer asks for the next number as soon as
// it has one, and would walk on without end if that were answered 404.
func channel() config.Event {
	return config.Event{
		Name: "ev", Pipelines: []string{"a", "b"}, Renditions: config.Renditions("v360", "v180", "a64"), DVR: 10 * time.Minute,
		Template: segment.Template{Start: time.Unix(0, 0), Ticks: 2, Timescale: 1},
	}
}

// packager is a stock ffmpeg that encodes a moving picture and a tone in real time, locked to the Unix epoch: whoever
// encodes the same segment encodes the same media, under the same number and with the same decode times.
type packager struct {
	cmd  *exec.Cmd
	log  bytes.Buffer
	done chan struct{} // closed when it has ended
}

// startPackager starts a packager that publishes to base, such as http://127.0.0.1:8081/ev/a, from the next instant at which
// groups of pictures begin until d later, and is stopped when the test ends. It returns when ffmpeg has been started.
func startPackager(t testing.TB, base string, d time.Duration) *packager {
	t.Helper()
	ffmpeg, err := exec.LookPath("ffmpeg")
	kvtest.Need(t, "ffmpeg", err)
	// An even number of groups of pictures, for their identities alternate.
	start := time.Now().Truncate(4 * time.Second).Add(4 * time.Second)
	p := &packager{cmd: exec.Command(ffmpeg, packagerArgs(base, start, d)...), done: make(chan struct{})}
	p.cmd.Stderr = &p.log
	select {
	case <-time.After(time.Until(start)): // -re counts from when it starts
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
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

// packagerArgs follow what makes two stock ffmpegs agree: presentation times since the epoch (setpts with -copyts) that are
// written into tfdt (frag_discont), numbers to match (start_number, fragment_index), keyframes at segment boundaries alone,
// and encoders without threads or state that depends on when they began.
func packagerArgs(base string, start time.Time, d time.Duration) []string {
	since, length, number := strconv.FormatInt(start.Unix(), 10), fmt.Sprint(d.Seconds()), strconv.FormatInt(start.Unix()/2, 10)
	args := []string{"-hide_banner", "-loglevel", "error", "-nostdin"}
	for _, source := range []string{"color=c=navy:s=640x360:r=25", "color=c=orange:s=96x96:r=25", "aevalsrc='0.2*sin(2*PI*440*t)':s=48000"} {
		args = append(args, "-re", "-t", length, "-f", "lavfi", "-i", source)
	}
	args = append(args, "-filter_complex", strings.NewReplacer("START", since).Replace(
		"[0:v]setpts=PTS+START/TB[b];[1:v]setpts=PTS+START/TB[f];"+
			"[b][f]overlay=x='mod(t*96,544)':y='132+100*sin(t)',format=yuv420p,split=2[v0][x];[x]scale=320:180[v1];"+
			"[2:a]asetpts=PTS+START/TB[a]"), "-fflags", "+bitexact", "-copyts")
	for _, out := range []struct{ name, label, codec string }{
		{"v360", "[v0]", "libx264"}, {"v180", "[v1]", "libx264"}, {"a64", "[a]", "aac"},
	} {
		args = append(args, "-map", out.label, "-flags", "+bitexact", "-c", out.codec)
		if out.codec == "aac" {
			args = append(args, "-b:a", "64k")
		} else {
			args = append(args, "-preset", "ultrafast", "-threads", "1", "-coder", "0", "-bf", "0", "-qp", "30", "-g", "50", "-keyint_min", "50", "-sc_threshold", "0")
		}
		args = append(args, "-f", "hls", "-hls_time", "2", "-hls_segment_type", "fmp4", "-hls_list_size", "6",
			"-hls_flags", "independent_segments+omit_endlist", "-start_number", number,
			"-hls_segment_options", "movflags=+frag_discont:fragment_index="+number, "-hls_fmp4_init_filename", "init.mp4",
			"-method", "PUT", "-http_persistent", "1",
			"-hls_segment_filename", base+"/"+out.name+"/%d.m4s", base+"/"+out.name+"/index.m3u8")
	}
	return args
}

// run runs a program to its end, or until d has passed: then it is asked to stop, and killed 2 s later. It returns what the
// program wrote.
func run(ctx context.Context, d time.Duration, name string, args ...string) ([]byte, error) {
	args = append([]string{"-k", "2", fmt.Sprint(d.Seconds()), name}, args...)
	return exec.CommandContext(ctx, "timeout", args...).CombinedOutput()
}

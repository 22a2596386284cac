package access_test

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/origintest"
)

// A stock ffmpeg with the credentials in its URL sends its request without them, sees the challenge, and sends it again; the segment
// arrives whole.
func TestFFmpegIsLetIn(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	kvtest.Need(t, "ffmpeg", err)
	ev := origintest.Event(time.Now().Add(-10 * time.Second))
	o := origintest.Start(t, origintest.Config{Loopback: true, Events: []config.Event{ev}, Credentials: []config.Credential{{User: "encoder", Password: hash(token)}}})
	publish := func(path, userinfo string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x64:rate=5:duration=2",
			"-f", "mp4", "-movflags", "frag_keyframe+empty_moov", "-method", "PUT", strings.Replace(o.PublishURL, "://", "://"+userinfo, 1)+path)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Logf("ffmpeg: %v: %s", err, out) // it may fail, or not, on an answer that it does not like
		}
	}
	publish("/ev/a/v1/0.m4s", "encoder:"+token+"@")
	publish("/ev/a/v1/1.m4s", "encoder:wrong@")
	publish("/ev/a/v1/2.m4s", "")
	for path, want := range map[string]int{"/ev/v1/0.m4s": 200, "/ev/v1/1.m4s": 410, "/ev/v1/2.m4s": 410} {
		res, err := o.Client.Get(o.ServeURL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, res.StatusCode, want)
		}
		if want == http.StatusOK && res.ContentLength < 1000 {
			t.Errorf("GET %s: %d bytes, want a whole segment", path, res.ContentLength)
		}
	}
}

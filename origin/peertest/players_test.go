package peertest_test

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"origin-storm/origin"
	"origin-storm/origin/config"
	"origin-storm/origin/control"
	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/origintest"
)

// playFor is how long each player has to play without a stall; in the middle of it a pipeline is lost.
const playFor = 30 * time.Second

// TestPlayers has hls.js and dash.js in Chromium, and ffmpeg's DASH demuxer, play what two packagers publish, from the
// origin's manifests. They start while pipeline a serves, and must not notice that it is killed.
func TestPlayers(t *testing.T) {
	if testing.Short() {
		t.Skip("it plays in real time")
	}
	scripts := players(t)
	browser := startBrowser(t)
	ev := channel()
	o := origintest.Start(t, origintest.Config{
		Events: []config.Event{ev}, Control: &mem.Store{}, Node: "n1", Serving: config.Serving{Hot: 64 << 20, Collapse: true}, Loopback: true,
	})
	a := startPackager(t, o.PublishURL+"/ev/a", 3*time.Minute)
	startPackager(t, o.PublishURL+"/ev/b", 3*time.Minute)
	awaitManifests(t, o)

	pages := []*watched{
		watch(t, browser, o, scripts, "hls.js", "/ev/master.m3u8"),
		watch(t, browser, o, scripts, "dash.js", "/ev/live.mpd"),
	}
	demuxer := record(t, o)
	var demuxing sync.WaitGroup
	defer demuxing.Wait()
	demuxing.Go(func() {
		out, err := run(t.Context(), 40*time.Second, "ffmpeg", "-v", "error", "-nostdin", "-i", demuxer.url+"/ev/live.mpd", "-t", "15", "-f", "null", "-")
		if err != nil || len(out) > 0 {
			t.Errorf("ffmpeg -i live.mpd: %v\n%.2000s", err, out)
		}
	})
	for _, p := range pages {
		p.awaitPlaying(t)
	}
	wait(t, playFor/2)
	lost := time.Now()
	a.kill()
	wait(t, playFor/2)
	for _, p := range pages {
		t.Run(p.player, func(t *testing.T) { p.check(t, lost) })
	}
	endEvent(t, o, ev)
	late := []*watched{}
	for _, p := range pages {
		t.Run(p.player+" to the end", func(t *testing.T) { p.awaitEnd(t) })
		late = append(late, watch(t, browser, o, scripts, p.player, p.path))
	}
	for _, p := range late {
		t.Run(p.player+" afterwards", func(t *testing.T) { p.checkLate(t) })
	}
	demuxing.Wait()
	t.Run("ffmpeg", func(t *testing.T) {
		asked := map[string]int{}
		for _, v := range demuxer.visits() {
			if strings.HasSuffix(v.path, ".m4s") {
				asked[v.path]++
			}
			if v.status >= 400 {
				t.Fatalf("ffmpeg was answered %d for %s", v.status, v.path)
			}
		}
		if len(asked) < 2*8 {
			t.Errorf("ffmpeg asked for %d segments in 15 s, want at least 8 each of a video and an audio rendition", len(asked))
		}
		for path, n := range asked {
			if n != 1 {
				t.Errorf("ffmpeg asked %d times for %s, want once", n, path)
			}
		}
	})
}

// endEvent says that the event ends four segments from now.
func endEvent(t *testing.T, o *origintest.Origin, ev config.Event) {
	t.Helper()
	last := ev.Template.Next(time.Now()) + 3
	err := o.Control.Change(t.Context(), ev.Name, func(d *control.Document) error {
		d.Last = &last
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// players returns the directory with the players' packages, in the versions of deploy/players/package-lock.json.
func players(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "deploy", "players"))
	if err != nil {
		t.Fatal(err)
	}
	npm, err := exec.LookPath("npm")
	kvtest.Need(t, "npm", err)
	cmd := exec.CommandContext(t.Context(), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		kvtest.Need(t, "hls.js and dash.js", fmt.Errorf("npm ci in deploy/players: %w: %.500s", err, out))
	}
	return filepath.Join(dir, "node_modules")
}

// startBrowser returns a context of chromedp whose browser ends with the test.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		program, err = exec.LookPath("google-chrome")
	}
	kvtest.Need(t, "chromium", err)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(720, 480))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelAllocator)
	ctx, cancelBrowser := chromedp.NewContext(ctx)
	t.Cleanup(cancelBrowser)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	return ctx
}

// awaitManifests returns when the origin lists all renditions and four segments of each.
func awaitManifests(t *testing.T, o *origintest.Origin) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		resp, err := o.Client.Get(o.ServeURL + "/ev/master.m3u8")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("GET /ev/master.m3u8 = %s a minute after the packagers began", resp.Status)
		}
		wait(t, 500*time.Millisecond)
	}
	wait(t, 8*time.Second)
}

func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// recorder is an address of the serving side that remembers what was asked there.
type recorder struct {
	url string
	mu  sync.Mutex // guards log
	log []visit
}

// visit is one request with its answer.
type visit struct {
	at       time.Time
	path     string
	status   int
	pipeline string
}

// record returns an address of o's serving side of its own.
func record(t *testing.T, o *origintest.Origin) *recorder {
	t.Helper()
	rec := &recorder{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		o.Serve.ServeHTTP(out, r)
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.log = append(rec.log, visit{time.Now(), r.URL.Path, out.status, w.Header().Get(origin.HeaderPipeline)})
	}))
	t.Cleanup(srv.Close)
	rec.url = srv.URL
	return rec
}

func (r *recorder) visits() []visit {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// watched is a page in which a player plays.
type watched struct {
	*recorder
	player, path string // what plays, and which manifest
	page         context.Context
}

// page.html plays what its query says and keeps account of it in window.account.
//
//go:embed testdata/page.html
var pageHTML []byte

// watch opens a page in which player plays the manifest at path.
func watch(t *testing.T, browser context.Context, o *origintest.Origin, scripts, player, path string) *watched {
	t.Helper()
	w := &watched{recorder: record(t, o), player: player, path: path}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = rw.Write(pageHTML)
	})
	mux.HandleFunc("/hls.js", func(rw http.ResponseWriter, r *http.Request) {
		http.ServeFile(rw, r, filepath.Join(scripts, "hls.js", "dist", "hls.min.js"))
	})
	mux.HandleFunc("/dash.js", func(rw http.ResponseWriter, r *http.Request) {
		http.ServeFile(rw, r, filepath.Join(scripts, "dashjs", "dist", "modern", "umd", "dash.all.min.js"))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	var cancel context.CancelFunc
	w.page, cancel = chromedp.NewContext(browser)
	t.Cleanup(cancel)
	if err := chromedp.Do(w.page, chromedp.Navigate(srv.URL+"/?player="+player+"&manifest="+w.url+path)); err != nil {
		t.Fatalf("%s: %v", player, err)
	}
	return w
}

// account is what a page says of its playing. Times are in seconds, those of events since playing began.
type account struct {
	Playing  bool
	Ended    bool
	Played   float64 // by the wall clock, since playing began
	Advanced float64 // by the media clock
	// ControlLost is how much less than the wall clock the media clock advanced of silence that the page plays from memory.
	ControlLost float64
	Longest     float64 // the longest time in which the media clock stood still
	LeastAhead  float64 // the least that was buffered ahead
	Latency     float64 // how far behind the wall clock the picture is, at the end
	Width       int     // of the picture
	Frames      int
	Dropped     int
	Stalls      []string // the element waited for data
	Seeks       []string // the player jumped
	Rates       []string // it changed its speed
	Errors      []string // the player's own, fatal or not
}

func (w *watched) account(t *testing.T) account {
	t.Helper()
	a, err := chromedp.Run(w.page, chromedp.Evaluate[account](`account()`))
	if err != nil {
		t.Fatalf("%s: %v", w.player, err)
	}
	return a
}

func (w *watched) awaitPlaying(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		a := w.account(t)
		if a.Playing {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not play after 30 s: %+v, requests %v", w.player, a, w.visits())
		}
		wait(t, 200*time.Millisecond)
	}
}

// check says whether the player played on, and from whom.
func (w *watched) check(t *testing.T, lost time.Time) {
	a := w.account(t)
	t.Logf("%+v", a)
	w.screenshot(t)
	// A video has more to decode than the silence, so that on a busy machine its clock loses more: 1.7 times as much was seen.
	if lost := a.Played - a.Advanced; a.Played < playFor.Seconds()-1 || lost > 1+2*a.ControlLost || a.Longest > 1 {
		t.Errorf("in %.1f s of playing the media clock advanced by %.1f s, and stood still for up to %.2f s; that of silence from memory lost %.1f s",
			a.Played, a.Advanced, a.Longest, a.ControlLost)
	}
	if a.LeastAhead < 1 {
		t.Errorf("at times only %.2f s were buffered, want 1 s at all times", a.LeastAhead)
	}
	if len(a.Stalls)+len(a.Seeks)+len(a.Rates)+len(a.Errors) > 0 {
		t.Errorf("stalls %q, seeks %q, speeds %q, errors %q, want none", a.Stalls, a.Seeks, a.Rates, a.Errors)
	}
	if a.Width == 0 || a.Frames == 0 {
		t.Errorf("%d frames of width %d: no picture", a.Frames, a.Width)
	}
	from := map[string]int{} // segments served, by pipeline, before and after the loss
	for _, v := range w.visits() {
		if v.status >= 400 {
			t.Errorf("%v after the loss: %s was answered %d", v.at.Sub(lost), v.path, v.status)
		}
		if strings.HasSuffix(v.path, ".m4s") {
			when := "before"
			if v.at.After(lost.Add(4 * time.Second)) { // what was published before it, and fetched after
				when = "after"
			}
			from[v.pipeline+" "+when]++
		}
	}
	if from["a before"] == 0 || from["b after"] == 0 || from["a after"] > 0 {
		t.Errorf("segments were served from %v, want a until it was lost, and then b", from)
	}
}

// awaitEnd returns when the player has played all there is, which it has to do without an error.
func (w *watched) awaitEnd(t *testing.T) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		a := w.account(t)
		if len(a.Errors) > 0 || time.Now().After(deadline) {
			t.Fatalf("30 s after the end was announced: %+v, want no errors and the end\n%v", a, w.visits())
		}
		if a.Ended {
			return
		}
		wait(t, 200*time.Millisecond)
	}
}

// checkLate checks that what is left of an event plays after its end.
func (w *watched) checkLate(t *testing.T) {
	w.awaitPlaying(t)
	wait(t, 4*time.Second)
	a := w.account(t)
	if a.Advanced < 3 || len(a.Stalls)+len(a.Seeks)+len(a.Errors) > 0 {
		t.Errorf("after %.1f s of playing: %+v, want it to play without a stall", a.Played, a)
	}
	for _, v := range w.visits() {
		if v.status >= 400 {
			t.Errorf("%s was answered %d", v.path, v.status)
		}
	}
}

// screenshot keeps what the page looks like with the test's artifacts.
func (w *watched) screenshot(t *testing.T) {
	t.Helper()
	png, err := chromedp.Run(w.page, chromedp.CaptureScreenshot())
	if err == nil && !bytes.HasPrefix(png, []byte("\x89PNG")) {
		err = errors.New("it is no PNG")
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(t.ArtifactDir(), w.player+".png"), png, 0o644)
	}
	if err != nil {
		t.Errorf("%s: screenshot: %v", w.player, err)
	}
}

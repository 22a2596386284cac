package peertest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"origin-storm/origin"
	"origin-storm/origin/config"
	"origin-storm/origin/processtest"
	"origin-storm/origin/segment"
)

// TestTwoPackagers has two stock ffmpegs, epoch-locked, publish two videos and a tone to two publish processes for a minute. The
// preferred one is killed half-way as kill -9 does, and comes back. Whoever reads through a serve process, at the live edge or
// afterwards, finds no gap, and what they get decodes without an error.
func TestTwoPackagers(t *testing.T) {
	if testing.Short() {
		t.Skip("it publishes in real time")
	}
	const minute = 60 * time.Second
	d := deploy(t, channel())
	start := time.Now()
	a, first := d.pack(t, 0, "a", 2*minute)
	d.pack(t, 1, "b", 2*minute)
	last := first + int64(minute/(2*time.Second)) - 1

	live := map[string][]answer{}
	var reading sync.WaitGroup
	var mu sync.Mutex // guards live
	for _, r := range d.event.Renditions {
		reading.Go(func() {
			for n := first; n <= last; n++ {
				got, err := d.get(0, r.Name, n, start)
				if err != nil {
					t.Errorf("at the live edge: %v", err)
					if t.Context().Err() != nil {
						return
					}
				}
				mu.Lock()
				live[r.Name] = append(live[r.Name], got)
				mu.Unlock()
			}
		})
	}
	// In the middle of a segment, while its bodies are open or on the way.
	half := time.Unix(2*first, 0).Add(minute/2 + 900*time.Millisecond)
	wait(t, time.Until(half))
	a.kill()
	wait(t, 5*time.Second)
	_, back := d.pack(t, 0, "a", 2*minute)
	reading.Wait()

	for _, r := range d.event.Renditions {
		t.Run(r.Name, func(t *testing.T) {
			var again []answer
			for n := first; n <= last; n++ {
				got, err := d.get(1, r.Name, n, start)
				if err != nil {
					t.Errorf("read back: %v", err)
				}
				again = append(again, got)
			}
			d.decodes(t, r.Name, "at the live edge", live[r.Name])
			d.decodes(t, r.Name, "read back", again)
			for i, got := range again {
				n := first + int64(i)
				if lost := n >= segmentAt(half) && n < back; lost && got.pipeline != "b" {
					t.Errorf("segment %d is from pipeline %q, while only b published", n, got.pipeline)
				}
			}
			t.Logf("%d segments from %d to %d without a gap; at the live edge %s, read back %s; a was away from %d to %d",
				len(again), first, last, byPipeline(live[r.Name]), byPipeline(again), segmentAt(half), back-1)
		})
	}
	for i, p := range d.publish {
		published := p.stats(t).Publish
		t.Logf("publish process %d: answers %v", i, published.Requests)
		for name, f := range published.Feeds {
			t.Logf("publish process %d, pipeline %s: %d segments looked into; short %d, discontinuities %d, slates %d, missing %d; without a header %d, not understood %d; offsets in ms %v",
				i, name, f.Inspected, f.Short, f.Discontinuities, f.Slates, f.Missing, f.Unlocked, f.Malformed+f.Foreign, f.OffsetMS)
			if f.Inspected == 0 || f.Discontinuities+f.Short+f.Slates+f.Missing+f.Unlocked+f.Malformed+f.Foreign != 0 {
				t.Errorf("pipeline %s of epoch-locked packagers: %+v, want no flaw", name, f)
			}
			if f.Received["v360/index.m3u8"].Count == 0 {
				t.Errorf("pipeline %s: no playlist of v360 among %v", name, f.Received)
			}
		}
	}
}

// segmentAt is the number of the segment that lasts at an instant.
func segmentAt(at time.Time) int64 { return at.Unix() / 2 }

// pack starts a packager of a pipeline that publishes to a publish process, and returns the number of its first segment.
func (d *deployment) pack(t *testing.T, publish int, pipeline string, length time.Duration) (*packager, int64) {
	t.Helper()
	const group = 4 * time.Second // it begins with the next one
	if left := time.Until(time.Now().Truncate(group).Add(group)); left < time.Second {
		wait(t, left+100*time.Millisecond) // so that there is no doubt which, whatever clock the script reads
	}
	first := segmentAt(time.Now().Truncate(group).Add(group))
	return startPackager(t, "http://"+d.publish[publish].Publish+"/ev/"+pipeline, length), first
}

// answer is a segment as it was served.
type answer struct {
	pipeline string
	body     []byte
}

func byPipeline(answers []answer) string {
	n := map[string]int{}
	for _, a := range answers {
		n[a.pipeline]++
	}
	return fmt.Sprintf("%d from a, %d from b", n["a"], n["b"])
}

// deployment is two publish and two serve processes over a store process.
type deployment struct {
	event          config.Event
	publish, serve []process
}

// process is one origin process.
type process struct{ config.Ready }

func deploy(t *testing.T, ev config.Event) *deployment {
	t.Helper()
	dir := t.TempDir()
	binary, err := processtest.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	store := processtest.Node(t, binary, config.Node{Role: config.Store, Name: "store", Host: config.Host{Listen: "127.0.0.1:0", Stores: []config.HostedStore{
		{Name: "segments", Store: config.StoreAt{Kind: "pebble", Dir: filepath.Join(dir, "pebble")}},
	}}})
	d := &deployment{event: ev}
	node := config.Node{
		Publish: "127.0.0.1:0", Serve: "127.0.0.1:0", Operator: "127.0.0.1:0", Events: []config.Event{ev}, Writers: []string{"p1", "p2"},
		Backend: config.Backend{Store: config.StoreAt{Kind: "remote", Addresses: []string{store.Host}, Namespace: "segments"}},
	}
	for _, name := range []string{"p1", "p2"} {
		node.Role, node.Name = config.Publish, name
		d.publish = append(d.publish, process{processtest.Node(t, binary, node)})
	}
	for _, name := range []string{"s1", "s2"} {
		node.Role, node.Name = config.Serve, name
		d.serve = append(d.serve, process{processtest.Node(t, binary, node)})
	}
	return d
}

func (p process) stats(t *testing.T) (s origin.Stats) {
	t.Helper()
	res, err := http.Get("http://" + p.Operator + "/stats")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		t.Fatalf("/stats: %v", err)
	}
	return s
}

// get asks a serve process for segment n of a rendition once it may exist, and is held until it does. An answer other than 200, or one
// without a pipeline, is an error.
func (d *deployment) get(serve int, rendition string, n int64, start time.Time) (answer, error) {
	id := segment.ID{Event: d.event.Name, Rendition: rendition, Number: n}
	if n != segment.Init {
		<-time.After(time.Until(d.event.Template.Due(n - 1).Add(20 * time.Millisecond)))
	}
	client := &http.Client{Timeout: 10 * time.Second}
	res, err := client.Get("http://" + d.serve[serve].Serve + id.String())
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	got := answer{res.Header.Get("Origin-Pipeline"), body}
	switch {
	case err != nil:
		return got, fmt.Errorf("GET %v: %w", id, err)
	case res.StatusCode != http.StatusOK:
		return answer{}, fmt.Errorf("GET %v = %d %.100q, %v after the start", id, res.StatusCode, body, time.Since(start))
	case got.pipeline != "a" && got.pipeline != "b":
		return got, fmt.Errorf("GET %v: pipeline %q", id, got.pipeline)
	case res.Header.Get("Origin-Defects") != "":
		return got, fmt.Errorf("GET %v: defects %q", id, res.Header.Get("Origin-Defects"))
	}
	return got, nil
}

// decodes has ffmpeg decode a rendition's header and segments as one file; it must find nothing wrong, and all of the media.
func (d *deployment) decodes(t *testing.T, rendition, what string, segments []answer) {
	t.Helper()
	header, err := d.get(1, rendition, segment.Init, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "all.mp4")
	all := header.body
	for _, s := range segments {
		all = append(all, s.body...)
	}
	if err := os.WriteFile(file, all, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t.Context(), time.Minute, "ffmpeg", "-v", "error", "-nostdin", "-i", file, "-f", "null", "-")
	if err != nil || len(out) > 0 {
		t.Errorf("ffmpeg decodes %s %s: %v\n%.2000s", rendition, what, err, out)
	}
	out, err = run(t.Context(), time.Minute, "ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", file)
	var packets int
	if _, e := fmt.Sscan(strings.TrimSpace(string(out)), &packets); err != nil || e != nil {
		t.Fatalf("ffprobe %s %s: %v\n%s", rendition, what, err, out)
	}
	want := 50 * len(segments) // frames; of AAC there are 93.75
	if strings.HasPrefix(rendition, "a") {
		want = len(segments) * 2 * 48000 / 1024
	}
	if packets < want-1 || packets > want+4 {
		t.Errorf("%s %s has %d packets, want %d", rendition, what, packets, want)
	}
}

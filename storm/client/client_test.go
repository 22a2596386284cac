package client_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/client"
)

var update = flag.Bool("update", false, "write the pictures in testdata anew")

// answer is what a scripted target says.
type answer struct {
	after  time.Duration
	status int
	fresh  time.Duration
	err    error
	damage storm.Damage
	via    storm.Via
}

// play runs one client against a script, in virtual time: answers[k] is for the k-th send, the last one for all further. It
// returns a picture of what happened, a line for each event, and the samples.
func play(c storm.Client, requests []storm.Request, answers ...answer) (picture string, samples []storm.Sample) {
	type event struct {
		at   time.Duration
		done *storm.Sample
		due  storm.Request
	}
	var (
		queue []event
		out   storm.Out
		lines strings.Builder
		sends int
	)
	for _, r := range requests {
		r.Began = r.At
		queue = append(queue, event{at: r.At, due: r})
	}
	draw := func(at time.Duration, format string, args ...any) {
		fmt.Fprintf(&lines, "%8s  %s\n", at, fmt.Sprintf(format, args...))
	}
	for len(queue) > 0 {
		slices.SortStableFunc(queue, func(a, b event) int { return cmp.Compare(a.at, b.at) })
		e := queue[0]
		queue = queue[1:]
		if e.done != nil {
			c.Done(*e.done, &out)
		} else {
			c.Due(e.at, e.due, &out)
		}
		for _, s := range out.Samples {
			samples = append(samples, s)
			what := fmt.Sprint(s.Status)
			if s.Err != nil {
				what = s.Err.Error()
			}
			if s.Damage != storm.None {
				what += " " + s.Damage.String()
			}
			if s.Retried {
				what += ", to be retried"
			}
			draw(e.at, "%s %s -> %s %s, response %v", s.Class, s.ID, [...]string{"wire", "hit", "collapsed", "dropped"}[s.Via], what, s.Response())
		}
		for _, r := range out.Sends {
			a := answers[min(sends, len(answers)-1)]
			sends++
			draw(e.at, "%s %s sent, try %d%s", r.Class, r.ID, r.Try, map[bool]string{true: ", only " + r.Match}[r.Match != ""])
			queue = append(queue, event{at: e.at + a.after, done: &storm.Sample{
				Request: r, Via: a.via, Sent: e.at, First: e.at + a.after, Done: e.at + a.after, Status: a.status, Fresh: a.fresh, Err: a.err, Damage: a.damage,
				Bytes: 1000, ETag: `"` + r.ID.Pipeline + `"`,
			}})
		}
		for _, r := range out.Waits {
			draw(e.at, "%s %s waits until %v", r.Class, r.ID, r.At)
			queue = append(queue, event{at: r.At, due: r})
		}
		out.Reset()
	}
	return lines.String(), samples
}

func video(n int64) segment.ID { return segment.ID{Event: "e", Rendition: "v", Number: n} }

func put(at time.Duration) storm.Request {
	return storm.Request{At: at, From: "packager a", Put: true, ID: video(1).Candidate("a"), Size: 1000}
}

func reads(class storm.Class, n int64, ats ...time.Duration) (all []storm.Request) {
	for _, at := range ats {
		all = append(all, storm.Request{At: at, From: "edge", Class: class, ID: video(n)})
	}
	return all
}

const ms = time.Millisecond

var errRefused = errors.New("refused")

// TestPictures compares what each behaviour does with a picture of it.
func TestPictures(t *testing.T) {
	until := func(segment.ID) time.Duration { return 500 * ms }
	tests := []struct {
		name     string
		client   storm.Client
		requests []storm.Request
		answers  []answer
	}{
		{"publish", &client.Packager{}, []storm.Request{put(0)}, []answer{{after: 20 * ms, status: 201}, {after: 5 * ms, status: 200}}},
		{"publish-refused", &client.Packager{}, []storm.Request{put(0)}, []answer{{after: 20 * ms, status: 403}}},
		{"publish-retried", &client.Packager{ReadBack: -1}, []storm.Request{put(0)}, []answer{{after: 20 * ms, status: 500}, {err: errRefused}, {after: 20 * ms, status: 503, fresh: time.Second}, {after: 20 * ms, status: 201}}},
		{"publish-gives-up", &client.Packager{ReadBack: -1}, []storm.Request{put(0)}, []answer{{after: 100 * ms, status: 503}}},
		{"publish-told-to-wait-too-long", &client.Packager{}, []storm.Request{put(0)}, []answer{{after: 20 * ms, status: 503, fresh: 2 * time.Second}}},
		{"publish-faulted", &client.Packager{}, []storm.Request{put(0)}, []answer{{via: storm.Dropped, err: storm.ErrFault}}},
		{"read-back-lost", &client.Packager{}, []storm.Request{put(0)}, []answer{{after: 20 * ms, status: 201}, {after: 5 * ms, status: 404}}},
		{"read-back-of-a-restarting-origin", &client.Packager{}, []storm.Request{put(0)}, []answer{{after: 20 * ms, status: 201}, {err: errRefused}, {after: ms, status: 503, fresh: 1500 * ms}, {after: 5 * ms, status: 200}}},
		{"read-back-gives-up", &client.Packager{}, []storm.Request{put(0)}, []answer{{after: 20 * ms, status: 201}, {err: errRefused}}},
		{"read-back-torn", &client.Packager{}, []storm.Request{put(0)}, []answer{{after: 20 * ms, status: 201}, {after: 5 * ms, status: 200, damage: storm.Torn}}},
		{"patient", client.Direct{Again: client.Patient(2)}, reads(storm.LiveEdge, 1, 0), []answer{{after: 10 * ms, status: 404, fresh: 90 * ms}}},
		{"patient-served", client.Direct{Again: client.Patient(2)}, reads(storm.LiveEdge, 1, 0), []answer{{after: 10 * ms, status: 404, fresh: 90 * ms}, {after: 10 * ms, status: 200}}},
		{"patient-about-what-is-missing", client.Direct{Again: client.Patient(2)}, reads(storm.Missing, 9, 0), []answer{{after: 10 * ms, status: 404, fresh: 90 * ms}}},
		{"insistent", client.Direct{Again: client.Insistent(3, 50*ms)}, reads(storm.LiveEdge, 1, 0), []answer{{after: 10 * ms, status: 503, fresh: 5 * time.Second}, {err: errRefused}, {after: ms, status: 200}}},
		{"until-served", client.Direct{Again: client.Until(until, 100*ms)}, reads(storm.Probe, 1, 0), []answer{{after: 10 * ms, status: 503}, {after: 10 * ms, status: 404, fresh: 150 * ms}, {after: ms, status: 200}}},
		{"until-it-is-over", client.Direct{Again: client.Until(until, 100*ms)}, reads(storm.Probe, 1, 0), []answer{{after: 10 * ms, status: 410}}},
		{"edge-collapses-and-keeps", client.NewEdge(client.Caching{}), reads(storm.LiveEdge, 1, 0, 10*ms, 20*ms, 60*ms, 1050*ms), []answer{{after: 40 * ms, status: 200, fresh: time.Second}}},
		{"edge-keeps-not-found", client.NewEdge(client.Caching{Again: client.Patient(1)}), reads(storm.LiveEdge, 1, 0, 10*ms, 50*ms), []answer{{after: 5 * ms, status: 404, fresh: 95 * ms}, {after: 5 * ms, status: 200, fresh: time.Second}}},
		{"edge-looks-by-quanta", client.NewEdge(client.Caching{Quantum: 500 * ms}), reads(storm.LiveEdge, 1, 0, 10*ms, 20*ms), []answer{{after: 40 * ms, status: 200, fresh: time.Minute}}},
		{"edge-looks-by-quanta-too-late", client.NewEdge(client.Caching{Quantum: 500 * ms}), reads(storm.LiveEdge, 1, 0, 10*ms, 20*ms), []answer{{after: 40 * ms, status: 200, fresh: 100 * ms}}},
		{"edge-shares-no-failure", client.NewEdge(client.Caching{}), reads(storm.LiveEdge, 1, 0, 10*ms, 20*ms, 30*ms), []answer{{after: 40 * ms, err: errRefused}, {after: 40 * ms, status: 200, damage: storm.Torn}, {after: 40 * ms, status: 200}}},
		{"hls.js-after-5xx", named(t, "hls.js"), reads(storm.LiveEdge, 1, 0), []answer{{after: 10 * ms, status: 503, fresh: 5 * time.Second}}},
		{"hls.js-after-404", named(t, "hls.js"), reads(storm.LiveEdge, 1, 0), []answer{{after: 10 * ms, status: 404, fresh: 90 * ms}}},
		{"hls.js-refused", named(t, "hls.js"), reads(storm.LiveEdge, 1, 0), []answer{{err: errRefused}}},
		{"hls.js-timed-out", named(t, "hls.js"), reads(storm.LiveEdge, 1, 0), []answer{{after: 10 * time.Second, err: context.DeadlineExceeded}}},
		{"dash.js", named(t, "dash.js"), reads(storm.LiveEdge, 1, 0), []answer{{after: 10 * ms, status: 404, fresh: 90 * ms}, {err: errRefused}, {after: 10 * ms, status: 503}}},
		{"ffmpeg-walks", named(t, "ffmpeg"), reads(storm.LiveEdge, 1, 0, 2*time.Second), []answer{{after: 10 * ms, status: 200}, {after: 400 * ms, status: 200}, {after: 400 * ms, status: 404, fresh: 3 * time.Second}}},
		{"ffmpeg-is-held", named(t, "ffmpeg"), reads(storm.LiveEdge, 1, 2*time.Second), []answer{{after: 10 * ms, status: 200}, {after: 1990 * ms, status: 200}}},
		{"held", named(t, "held"), reads(storm.LiveEdge, 1, 2*time.Second, 4*time.Second), []answer{{after: 10 * ms, status: 200}, {after: 2 * ms, status: 404, fresh: 100 * ms}, {after: 1900 * ms, status: 200}, {err: errRefused}}},
		{"scanner", named(t, "scanner"), reads(storm.LiveEdge, 1, 2*time.Second), []answer{{after: 300 * ms, status: 200}, {after: 300 * ms, status: 503, fresh: 900 * ms}, {after: 300 * ms, status: 200}, {after: 300 * ms, status: 410}}},
		{"slow", named(t, "slow"), reads(storm.LiveEdge, 1, 0), []answer{{after: 7 * time.Second, status: 200}}},
		{"nginx-lock-times-out", edgeOf(t, "nginx"), reads(storm.LiveEdge, 1, 0, 10*ms), []answer{{after: 6 * time.Second, status: 200, fresh: time.Minute}, {after: 40 * ms, status: 200, fresh: time.Minute}}},
		{"nginx-goes-one-by-one", edgeOf(t, "nginx"), reads(storm.LiveEdge, 1, 0, 10*ms, 20*ms), []answer{{after: 40 * ms, status: 404, fresh: 900 * ms}}},
		{"varnish-scatters-and-passes", edgeOf(t, "varnish"), reads(storm.LiveEdge, 1, 0, 10*ms, 20*ms, 100*ms), []answer{{after: 40 * ms, status: 200}}},
		{"varnish-gives-what-has-run-out", edgeOf(t, "varnish"), reads(storm.LiveEdge, 1, 0, 200*ms, 210*ms, 300*ms), []answer{{after: 40 * ms, status: 404, fresh: 100 * ms}, {after: 40 * ms, status: 200, fresh: time.Minute}}},
		{"ats-scatters", edgeOf(t, "ats"), reads(storm.LiveEdge, 1, 0, 10*ms, 100*ms), []answer{{after: 40 * ms, status: 503}}},
		{"no-collapse", edgeOf(t, "no-collapse"), reads(storm.LiveEdge, 1, 0, 10*ms, 100*ms), []answer{{after: 40 * ms, status: 200, fresh: time.Minute}}},
		{"edge-is-purged", client.NewEdge(client.Caching{Purges: []time.Duration{100 * ms}}), reads(storm.LiveEdge, 1, 0, 90*ms, 100*ms, 200*ms), []answer{{after: 5 * ms, status: 200, fresh: time.Minute}}},
		{"edge-shares-what-it-may-not-keep", client.NewEdge(client.Caching{}), reads(storm.LiveEdge, 1, 0, 10*ms, 60*ms), []answer{{after: 40 * ms, status: 503}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, samples := play(tt.client, tt.requests, tt.answers...)
			path := filepath.Join("testdata", tt.name)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("what happens is\n%swant\n%s", got, want)
			}
			sends := strings.Count(got, " sent, try")
			wire := 0
			for _, s := range samples {
				if s.Via == storm.Wire || s.Via == storm.Dropped {
					wire++
				}
			}
			if wire != sends {
				t.Errorf("%d sends made %d samples", sends, wire)
			}
			if final := slices.IndexFunc(samples, func(s storm.Sample) bool { return !s.Retried }); final < 0 {
				t.Error("every sample says that another try follows")
			}
		})
	}
}

// named returns a reader whose event's segments last 2 s, segment n being due at 2n s, in a storm of 5 s.
func named(t *testing.T, name string) storm.Client {
	t.Helper()
	c, ok := client.Reader(name, client.Clock{
		Due:     func(id segment.ID) time.Duration { return time.Duration(id.Number) * 2 * time.Second },
		Opens:   func(id segment.ID) time.Duration { return time.Duration(id.Number-1) * 2 * time.Second },
		Oldest:  func(string, time.Duration) int64 { return 0 },
		Reading: func(at time.Duration) bool { return at < 5*time.Second },
		Segment: 2 * time.Second,
	})
	if !ok {
		t.Fatalf("Reader(%s): there is none", name)
	}
	return c
}

func edgeOf(t *testing.T, name string) storm.Client {
	t.Helper()
	c, ok := client.CacheOf(name)
	if !ok {
		t.Fatalf("CacheOf(%s): there is none", name)
	}
	return client.NewEdge(c)
}

// TestNames: what scenarios can name, and what there is, are the same.
func TestNames(t *testing.T) {
	for _, n := range scenarios.Clients() {
		if _, ok := client.Reader(n.Name, client.Clock{}); !ok {
			t.Errorf("Reader(%s): scenarios can ask for it, and there is none", n.Name)
		}
	}
	for _, n := range scenarios.Caches() {
		if _, ok := client.CacheOf(n.Name); !ok {
			t.Errorf("CacheOf(%s): scenarios can ask for it, and there is none", n.Name)
		}
	}
	if r, c := client.Names(); len(r) != len(scenarios.Clients()) || len(c) != len(scenarios.Caches()) {
		t.Errorf("Names() = %v, %v, want those that scenarios can name", r, c)
	}
	if _, ok := client.Reader("hls", client.Clock{}); ok {
		t.Error("Reader(hls) is there")
	}
}

// A slow reader says at which pace, and a player for how long it waits.
func TestWhatRequestsSay(t *testing.T) {
	for _, c := range []struct {
		name     string
		patience time.Duration
		pace     int64
	}{{"once", 0, 0}, {"slow", 0, 100_000}, {"hls.js", 10 * time.Second, 0}, {"dash.js", 20 * time.Second, 0}} {
		var out storm.Out
		named(t, c.name).Due(0, reads(storm.LiveEdge, 1, 0)[0], &out)
		if len(out.Sends) != 1 || out.Sends[0].Patience != c.patience || out.Sends[0].Pace != c.pace {
			t.Errorf("%s sends %+v, want a patience of %v and a pace of %d", c.name, out.Sends, c.patience, c.pace)
		}
	}
}

// TestEdgeForgets: however long a run is, an edge keeps a bounded number of answers, and the newest ones.
func TestEdgeForgets(t *testing.T) {
	for _, tt := range []struct{ behind, hits int64 }{{9, 200}, {10, 10}} {
		e := client.NewEdge(client.Caching{Keep: 10})
		var requests []storm.Request
		for n := range int64(200) {
			at := time.Duration(n) * 100 * ms
			requests = append(requests, reads(storm.LiveEdge, n, at)...)
			requests = append(requests, reads(storm.DVR, max(0, n-tt.behind), at+50*ms)...)
		}
		_, samples := play(e, requests, answer{after: ms, status: 200, fresh: time.Hour})
		hits := int64(0)
		for _, s := range samples {
			if s.Via == storm.Hit {
				hits++
			}
		}
		if len(samples) != 400 || hits != tt.hits {
			t.Errorf("reading %d behind an edge that keeps 10: %d samples, %d hits, want 400, %d", tt.behind, len(samples), hits, tt.hits)
		}
	}
}

func TestReadsOfOneCopyPassAnEdge(t *testing.T) {
	r := reads(storm.Probe, 1, 0, 10*ms)
	r[1].Match = `"x"`
	got, _ := play(client.NewEdge(client.Caching{}), r, answer{after: ms, status: 200, fresh: time.Hour})
	if n := strings.Count(got, "sent"); n != 2 {
		t.Errorf("%d sends, want 2:\n%s", n, got)
	}
}

// TestRetriesSpread: packagers that failed at one instant do not come back at one.
func TestRetriesSpread(t *testing.T) {
	ats := map[time.Duration]bool{}
	for n := range int64(100) {
		var out storm.Out
		(&client.Packager{}).Done(storm.Sample{Request: storm.Request{Put: true, ID: video(n).Candidate("a")}, Status: 500}, &out)
		if len(out.Waits) != 1 {
			t.Fatalf("waits %v, want one retry", out.Waits)
		}
		at := out.Waits[0].At
		if at < 25*ms || at > 50*ms {
			t.Errorf("the first retry of %d comes after %v, want 25 to 50 ms", n, at)
		}
		ats[at] = true
	}
	if len(ats) < 95 {
		t.Errorf("100 retries come at %d instants", len(ats))
	}
}

package plan_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/storm"
	"origin-storm/storm/plan"
)

// replayed is a scenario of the example log's event; more is further fields of the replay.
func replayed(t *testing.T, more string) plan.Config {
	return configure(parse(t, `
event: {renditions: [{name: v1080, rate: 5Mbit/s}, {name: v720, rate: 2Mbit/s}, {name: a128, rate: 128kbit/s}], publish-delay: 700ms}
readers: {edges: 20, behaviour: {aligned: 50ms}, replay: {file: example.log, `+more+`}}
windows: {quiet: 4s, storm: 30s, repeat: 2}
`))
}

// reads are the requests of readers, counted from the begin of the storm that they are in.
func reads(p storm.Plan, requests []storm.Request) (storms [2][]storm.Request) {
	for _, r := range requests {
		if w, ok := in(p.Windows, r.At); ok && (r.Class.Reads() || r.Class == storm.Missing) {
			nth := 0
			if w.From > 30*time.Second {
				nth = 1
			}
			r.At -= w.From
			storms[nth] = append(storms[nth], r)
		}
	}
	return storms
}

// The log's readers ask for the event's newest segments just after they are due, as they did, and for older ones when they did; each
// storm window has the whole log, and its begin once more.
func TestReplay(t *testing.T) {
	c := replayed(t, "")
	p, requests := expand(t, c)
	if p.Err() != nil {
		t.Fatalf("Err() = %v", p.Err())
	}
	storms := reads(p, requests)
	counts := map[storm.Class]int{}
	clients := map[string]bool{}
	for _, r := range storms[0] {
		counts[r.Class]++
		clients[r.From] = true
		due := c.Events[0].Template.Due(r.ID.Number).Sub(c.Start()) - p.Windows[1].From
		if after := r.At - due; r.Class == storm.LiveEdge && (after < 0 || after > 160*time.Millisecond) {
			t.Errorf("%v at %v, %v after it was due, want within 150 ms, as in the log", r.ID, r.At, after)
		}
	}
	// 12 segments in 24 s, and 3 in the 6 s that are left.
	if live := 8 * 3 * 15; counts[storm.LiveEdge] < live-24 || counts[storm.LiveEdge] > live || len(clients) > 8 || len(clients) < 6 {
		t.Errorf("%v by %d readers, want about %d at the live edge by the log's 8 clients, two of which may be one reader", counts, len(clients), live)
	}
	if counts[storm.DVR] < 15 || counts[storm.Missing] < 2 {
		t.Errorf("%v, want some for old segments and some for what is not there", counts)
	}
	shape := func(all []storm.Request) (s []string) {
		for _, r := range all {
			s = append(s, fmt.Sprintf("%v %v %v", r.At.Round(time.Microsecond), r.From, r.ID.Rendition))
		}
		slices.Sort(s)
		return s
	}
	if !slices.Equal(shape(storms[0]), shape(storms[1])) {
		t.Errorf("the second storm differs from the first: %d requests and %d", len(storms[1]), len(storms[0]))
	}
	var got strings.Builder
	fmt.Fprintln(&got, "# How the example log is replayed: the second segment's time in the first storm.")
	for _, r := range storms[0] {
		if r.At >= 2*time.Second && r.At < 4*time.Second {
			fmt.Fprintf(&got, "%8.3fs  %-8s %-9s %v\n", r.At.Seconds(), r.From, r.Class, r.ID)
		}
	}
	file := filepath.Join("testdata", "replay.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || got.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s (%v)\nif that is meant, run with -update", &got, want, err)
	}
}

// A log is thinned and multiplied to the rate that is asked for, played faster and slower, and begun later.
func TestReplayScaled(t *testing.T) {
	count := func(more string) int {
		t.Helper()
		p, requests := expand(t, replayed(t, more))
		if p.Err() != nil {
			t.Fatalf("%s: Err() = %v", more, p.Err())
		}
		return len(reads(p, requests)[0])
	}
	one := count("")
	for _, c := range []struct {
		more string
		want float64
	}{{"rate: 0.5", 0.5}, {"rate: 3.5", 3.5}, {"speed: 2", 2}, {"speed: 0.5", 0.5}, {"skip: 10s", 1}, {"speed: 4, rate: 1.5", 6}} {
		got := count(c.more)
		if ratio := float64(got) / float64(one) / c.want; ratio < 0.85 || ratio > 1.15 {
			t.Errorf("%s: %d requests, want about %v of %d", c.more, got, c.want, one)
		}
	}
	p, requests := expand(t, replayed(t, "rate: 5"))
	froms := map[string]bool{}
	for _, r := range reads(p, requests)[0] {
		froms[r.From] = true
	}
	if len(froms) < 16 {
		t.Errorf("the log five times over comes from %d readers, want most of 20", len(froms))
	}
}

// The plans of all shares are the plan of the whole, and a plan repeats.
func TestReplayShares(t *testing.T) {
	c := replayed(t, "rate: 2.5")
	p, whole := expand(t, c)
	if again := slices.Collect(p.Requests); !slices.Equal(again, whole) {
		t.Error("the plan does not repeat")
	}
	c.Shares = 3
	n := 0
	for c.Share = range c.Shares {
		_, part := expand(t, c)
		n += len(part)
		for _, r := range part {
			if _, found := slices.BinarySearchFunc(whole, r, func(a, b storm.Request) int { return int(a.At - b.At) }); !found {
				t.Fatalf("%+v is in share %d, and not in the whole", r, c.Share)
			}
		}
	}
	if n != len(whole) {
		t.Errorf("the shares have %d requests, the whole has %d", n, len(whole))
	}
	c = replayed(t, "rate: 2.5")
	c.Windows = plan.WarmUp(c.Scenario, 10*time.Second)
	_, requests := expand(t, c)
	for _, r := range requests {
		if rest := strings.TrimPrefix(r.From, "edge/"); r.Class.Reads() && rest != "1" && rest != "5" && rest != "9" && rest != "13" && rest != "17" {
			t.Errorf("%s reads in the warm-up, want every fourth edge", r.From)
		}
	}
}

// A log that is gone when the plan is carried out ends the plan with an error, and never silently.
func TestReplayGone(t *testing.T) {
	c := replayed(t, "")
	c.Scenario.Readers.Replay.File = filepath.Join(t.TempDir(), "gone.log")
	p, _ := expand(t, c)
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), "gone.log") {
		t.Errorf("Err() = %v, want the file named", err)
	}
	c.Scenario.Readers.Replay.File = filepath.Join(t.TempDir(), "other.log")
	if err := os.WriteFile(c.Scenario.Readers.Replay.File, []byte("hello\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, _ = expand(t, c)
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), "nothing left to replay") {
		t.Errorf("Err() = %v of another file, want it said", err)
	}
}

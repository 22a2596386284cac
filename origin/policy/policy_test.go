package policy_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var start = time.Date(2030, 6, 1, 20, 0, 0, 0, time.UTC)

// clocks are templates as different as they may be.
var clocks = map[string]segment.Template{
	"2 s":                {Start: start},
	"59.94 fps":          {Start: start, StartNumber: 7, Ticks: 120120, Timescale: 60000},
	"with publish delay": {Start: start, StartNumber: 1, PublishDelay: 700 * time.Millisecond},
	"delay of 3":         {Start: start, StartNumber: 1000, PublishDelay: 6 * time.Second},
	"10 ms":              {Start: start, Ticks: 1, Timescale: 100},
}

func TestDecide(t *testing.T) {
	// Segment 10 is the first. Segment 20 begins 20 s after the event, is due at 22 s, and is waited for until 24 s.
	r := policy.Rendition{Template: segment.Template{Start: start, StartNumber: 10}, DVR: time.Minute}
	stressed, critical := policy.Load{Stressed: true}, policy.Load{Stressed: true, Critical: true}
	for _, tt := range []struct {
		name  string
		at    time.Duration
		n     int64
		known policy.Known
		load  policy.Load
		want  policy.Verdict
		until time.Duration
	}{
		{"long before the event", -time.Hour, 10, policy.Unknown, policy.Load{}, policy.NotYet, 0},
		{"the first, as the event begins", 0, 10, policy.Unknown, policy.Load{}, policy.Hold, 4 * time.Second},
		{"before the first number", 0, 9, policy.Unknown, policy.Load{}, policy.Gone, time.Minute},
		{"far ahead", 0, 1010, policy.Unknown, policy.Load{}, policy.NotYet, 2000 * time.Second},
		{"just before its turn", 20*time.Second - 1, 20, policy.Unknown, policy.Load{}, policy.NotYet, 20 * time.Second},
		{"its turn", 20 * time.Second, 20, policy.Unknown, policy.Load{}, policy.Hold, 24 * time.Second},
		{"asked for and not there yet", 20 * time.Second, 20, policy.Absent, policy.Load{}, policy.Hold, 24 * time.Second},
		{"published early", 20 * time.Second, 20, policy.Published, policy.Load{}, policy.Serve, 82 * time.Second},
		{"overdue", 23 * time.Second, 20, policy.Unknown, policy.Load{}, policy.Hold, 24 * time.Second},
		{"last instant of the hold", 24*time.Second - 1, 20, policy.Unknown, policy.Load{}, policy.Hold, 24 * time.Second},
		{"past the deadline", 24 * time.Second, 20, policy.Unknown, policy.Load{}, policy.Look, 0},
		{"past the deadline, absent", 24 * time.Second, 20, policy.Absent, policy.Load{}, policy.Gone, 26 * time.Second},
		{"past the deadline, published", 24 * time.Second, 20, policy.Published, policy.Load{}, policy.Serve, 82 * time.Second},
		{"last instant of the window", 82*time.Second - 1, 20, policy.Unknown, policy.Load{}, policy.Look, 0},
		{"out of the window", 82 * time.Second, 20, policy.Published, policy.Load{}, policy.Gone, 142 * time.Second},
		{"live edge under stress", 32 * time.Second, 21, policy.Published, stressed, policy.Serve, 84 * time.Second},
		{"DVR under stress", 32 * time.Second, 20, policy.Published, stressed, policy.Shed, 37 * time.Second},
		{"next under stress", 20 * time.Second, 20, policy.Unknown, stressed, policy.Hold, 24 * time.Second},
		{"not yet under stress", 20*time.Second - 1, 20, policy.Unknown, stressed, policy.NotYet, 20 * time.Second},
		{"live edge of a store in need", 32 * time.Second, 21, policy.Published, critical, policy.Shed, 33 * time.Second},
		{"unknown live edge of a store in need", 32 * time.Second, 21, policy.Unknown, critical, policy.Shed, 33 * time.Second},
		{"next of a store in need", 20 * time.Second, 20, policy.Unknown, critical, policy.Hold, 24 * time.Second},
		{"DVR of a store in need", 32 * time.Second, 20, policy.Published, critical, policy.Shed, 37 * time.Second},
		{"init of a store in need", 0, segment.Init, policy.Published, critical, policy.Serve, time.Minute},
		{"init unknown", -time.Hour, segment.Init, policy.Unknown, stressed, policy.Look, 0},
		{"init absent", 0, segment.Init, policy.Absent, policy.Load{}, policy.NotYet, 2 * time.Second},
		{"init published", 0, segment.Init, policy.Published, policy.Load{}, policy.Serve, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := r.Decide(start.Add(tt.at), tt.n, tt.known, tt.load)
			if want := (policy.Answer{Verdict: tt.want, Until: start.Add(tt.until)}); got.Verdict != want.Verdict || tt.want != policy.Look && !got.Until.Equal(want.Until) {
				t.Errorf("Decide(%v, %d, %d, %v) = %v until %v, want %v until %v",
					tt.at, tt.n, tt.known, tt.load, got.Verdict, got.Until.Sub(start), tt.want, tt.until)
			}
		})
	}
}

// TestFarthestNumber: the largest number there is lies beyond what a Duration counts, and is still not yet, for an hour at a time.
func TestFarthestNumber(t *testing.T) {
	for name, template := range clocks {
		r := policy.Rendition{Template: template}
		a := r.Decide(start, 1<<49, policy.Unknown, policy.Load{})
		if ttl := policy.TTLMillis(a.Until.Sub(start)); a.Verdict != policy.NotYet || ttl != time.Hour.Milliseconds() {
			t.Errorf("%s: Decide(1<<49) = %v for %d ms, want not yet for an hour", name, a.Verdict, ttl)
		}
		if !r.TooEarly(start, 1<<49) {
			t.Errorf("%s: TooEarly(1<<49) = false", name)
		}
	}
}

// picture draws what is answered to one number over time, one letter per step.
func picture(r policy.Rendition, n int64, known policy.Known, load policy.Load, from, to, step time.Duration) string {
	letters := map[policy.Verdict]byte{policy.NotYet: '4', policy.Hold: 'h', policy.Look: '?', policy.Serve: 's', policy.Gone: 'G', policy.Shed: 'x'}
	var b strings.Builder
	for d := from; d < to; d += step {
		b.WriteByte(letters[r.Decide(start.Add(d), n, known, load).Verdict])
	}
	return b.String()
}

// TestTimeline draws the answers to one segment from before its turn until it leaves the window.
func TestTimeline(t *testing.T) {
	var b strings.Builder
	b.WriteString("# One letter per 500 ms, from the start of the event. 4 not yet, h hold, ? look in the store, s serve, G gone, x shed.\n")
	for _, c := range []struct {
		name string
		r    policy.Rendition
		n    int64
	}{
		{"2 s, window 20 s: segment 3 is due at 8 s", policy.Rendition{Template: segment.Template{Start: start}, DVR: 20 * time.Second}, 3},
		{"2 s, publish delay 1 s, window 20 s: segment 3 is due at 9 s", policy.Rendition{Template: segment.Template{Start: start, PublishDelay: time.Second}, DVR: 20 * time.Second}, 3},
		{"2 s, publish delay 5 s, window 20 s: segment 3 is due at 13 s", policy.Rendition{Template: segment.Template{Start: start, PublishDelay: 5 * time.Second}, DVR: 20 * time.Second}, 3},
		{"4 s, window 20 s: segment 0 is due at 4 s", policy.Rendition{Template: segment.Template{Start: start, Ticks: 4, Timescale: 1}, DVR: 20 * time.Second}, 0},
		{"2 s, window 20 s: the initialisation segment", policy.Rendition{Template: segment.Template{Start: start}, DVR: 20 * time.Second}, segment.Init},
	} {
		fmt.Fprintf(&b, "\n%s\n", c.name)
		for _, k := range []struct {
			name  string
			known policy.Known
			load  policy.Load
		}{
			{"unknown", policy.Unknown, policy.Load{}},
			{"absent", policy.Absent, policy.Load{}},
			{"published", policy.Published, policy.Load{}},
			{"under stress", policy.Published, policy.Load{Stressed: true}},
		} {
			fmt.Fprintf(&b, "%12s %s\n", k.name, picture(c.r, c.n, k.known, k.load, -2*time.Second, 32*time.Second, 500*time.Millisecond))
		}
	}
	const golden = "testdata/timeline.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the timeline changed (-update to accept):\n%s", b.String())
	}
}

// TestNotYetForAnHour: what is far ahead of the clock is asked for again once an hour, and then by the clock as it is by then.
func TestNotYetForAnHour(t *testing.T) {
	r := policy.Rendition{Template: segment.Template{Start: start}}
	for opens, want := range map[time.Duration]time.Duration{
		time.Hour - 2*time.Second: time.Hour - 2*time.Second,
		time.Hour:                 time.Hour,
		time.Hour + 2*time.Second: time.Hour,
		1000 * time.Hour:          time.Hour,
	} {
		n := int64(opens / (2 * time.Second))
		if a := r.Decide(start, n, policy.Unknown, policy.Load{}); a.Verdict != policy.NotYet || a.Until.Sub(start) != want {
			t.Errorf("Decide(start, %d), which opens after %v, = %v for %v, want not yet for %v", n, opens, a.Verdict, a.Until.Sub(start), want)
		}
	}
}

// TestDecideProperties holds decisions to what the contract says, at random instants and at all the instants where they change.
func TestDecideProperties(t *testing.T) {
	for name, template := range clocks {
		t.Run(name, func(t *testing.T) {
			r := policy.Rendition{Template: template, DVR: 30 * time.Second}
			rng := rand.New(rand.NewPCG(1, 2))
			for range 20_000 {
				n := template.StartNumber + rng.Int64N(100)
				now := template.Begins(n).Add(time.Duration(rng.Int64N(int64(60*time.Second))) - 10*time.Second)
				switch rng.IntN(6) {
				case 0:
					now = template.Due(n - 1)
				case 4:
					now = template.Opens(n)
				case 1:
					now = template.Due(n)
				case 2:
					now = template.Deadline(n)
				case 3:
					now = r.End(n)
				}
				now = now.Add(time.Duration(rng.IntN(3) - 1))
				known := policy.Known(rng.IntN(3))
				load := [...]policy.Load{{}, {Stressed: true}, {Stressed: true, Critical: true}}[rng.IntN(3)]
				check(t, r, now, n, known, load)
			}
		})
	}
}

func check(t *testing.T, r policy.Rendition, now time.Time, n int64, known policy.Known, load policy.Load) {
	t.Helper()
	a := r.Decide(now, n, known, load)
	fail := func(why string) {
		t.Errorf("Decide(%v, %d, %d, %v) = %v until %v: %s", now, n, known, load, a.Verdict, a.Until, why)
	}
	next := r.Template.Next(now)
	// Its predecessor's media is all there, so that its predecessor may be, and the one before that is due.
	turned := !now.Before(r.Template.Begins(n)) && !now.Before(r.Template.Due(n-2))
	if n > next+1 && turned && next > r.Template.StartNumber {
		fail("more than two are held")
	}
	switch a.Verdict {
	case policy.NotYet:
		if turned {
			fail("it is next, or overdue, or its predecessor may have been published")
		}
		// The lifetime ends when it is this number's turn, not a nanosecond earlier.
		if after := r.Decide(a.Until, n, known, policy.Load{}); after.Verdict != policy.Hold && after.Verdict != policy.Serve {
			fail("whoever asks again when it ends is answered " + after.Verdict.String())
		}
		if before := r.Decide(a.Until.Add(-1), n, known, load); before.Verdict != policy.NotYet {
			fail("it ends too late")
		}
		if a.Until.After(r.Template.Due(n - 1)) {
			fail("it lasts until the segment is next, and longer")
		}
	case policy.Hold:
		if !turned || !now.Before(r.Template.Deadline(n)) {
			fail("it is neither next nor overdue, nor may its predecessor have been published")
		}
		if known == policy.Published {
			fail("it is known to be there")
		}
		if !a.Until.Equal(r.Template.Deadline(n)) {
			fail("it is not held until its deadline")
		}
	case policy.Look:
		if known != policy.Unknown {
			fail("the store was asked already")
		}
	case policy.Serve:
		if known != policy.Published || load.Stressed && r.Low(now, n) || load.Critical && n != segment.Init {
			fail("it must not be served")
		}
	case policy.Shed:
		if !load.Stressed || !r.Low(now, n) && !load.Critical {
			fail("it has priority")
		}
		if !r.Low(now, n) && a.Until.Sub(now) > r.Template.Duration()/2 {
			fail("an edge keeps it until the segment is old")
		}
	case policy.Gone:
		if known == policy.Published && now.Before(r.End(n)) {
			fail("it is there")
		}
	}
	if a.Verdict != policy.Look && !a.Until.After(now) {
		fail("it ends before it begins")
	}
}

func TestLifetimes(t *testing.T) {
	for _, tt := range []struct {
		d              time.Duration
		seconds, milli int64
	}{
		{0, 0, 0}, {-time.Second, 0, 0}, {1, 0, 1}, {time.Millisecond, 0, 1}, {time.Millisecond + 1, 0, 2},
		{1<<63 - 1, 9223372036, 9223372036855}, {999 * time.Millisecond, 0, 999}, {time.Second, 1, 1000}, {2*time.Second - 1, 1, 2000}, {time.Hour, 3600, 3_600_000},
	} {
		if s, ms := policy.MaxAge(tt.d), policy.TTLMillis(tt.d); s != tt.seconds || ms != tt.milli {
			t.Errorf("MaxAge, TTLMillis(%v) = %d, %d, want %d, %d", tt.d, s, ms, tt.seconds, tt.milli)
		}
	}
}

func TestKeep(t *testing.T) {
	r := policy.Rendition{Template: segment.Template{Start: start}, DVR: time.Minute}
	for _, tt := range []struct {
		name  string
		at    time.Duration
		n     int64
		want  time.Duration
		early bool
	}{
		{"on time", 2 * time.Second, 0, 70 * time.Second, false},
		{"early", 0, 0, 72 * time.Second, false},
		{"late", 61 * time.Second, 0, 11 * time.Second, false},
		{"too late", 62 * time.Second, 0, 0, false},
		{"a window ahead", 0, 29, 130 * time.Second, false},
		{"further ahead", 0, 30, 132 * time.Second, true},
		{"init", 0, segment.Init, 7 * 24 * time.Hour, false},
	} {
		now := start.Add(tt.at)
		if got := r.Keep(now, tt.n); got != tt.want {
			t.Errorf("%s: Keep(%v, %d) = %v, want %v", tt.name, tt.at, tt.n, got, tt.want)
		}
		if got := r.TooEarly(now, tt.n); got != tt.early {
			t.Errorf("%s: TooEarly(%v, %d) = %v, want %v", tt.name, tt.at, tt.n, got, tt.early)
		}
	}
	if got := (policy.Rendition{Template: segment.Template{Start: start}}).End(0).Sub(start); got != 2*time.Second+policy.DefaultDVR {
		t.Errorf("End(0) without a window = %v", got)
	}
}

// TestAdmit: of what can wait, a share is answered under stress; which segments, changes with the time that a refusal lasts, and
// not before.
func TestAdmit(t *testing.T) {
	const n = 4000
	shed := func(i int, at time.Time, admit float64) bool {
		id := segment.ID{Event: "ev", Rendition: "v" + strconv.Itoa(i%20), Number: int64(i / 20)}
		return policy.Load{Stressed: true, Admit: admit}.For(id, at).Stressed
	}
	for _, admit := range []float64{0, 0.02, 0.5, 0.9, 1} {
		admitted, changed, alike := 0, 0, 0
		for i := range n {
			if !shed(i, start, admit) {
				admitted++
			}
			if shed(i, start, admit) == shed((i+1)%n, start, admit) {
				alike++
			}
			if shed(i, start, admit) != shed(i, start.Add(policy.ShedFor-1), admit) {
				t.Fatalf("admit %v: what is answered to %d changes within %v", admit, i, policy.ShedFor)
			}
			if shed(i, start, admit) != shed(i, start.Add(policy.ShedFor), admit) {
				changed++
			}
			if admit < 1 && !shed(i, start, admit) && shed(i, start, admit+0.1) {
				t.Errorf("%d is admitted at %v, and not at more", i, admit)
			}
		}
		if share := float64(admitted) / n; share < admit-0.03 || share > admit+0.03 {
			t.Errorf("admit %v: %v are answered", admit, share)
		}
		differ := 2 * admit * (1 - admit) * n
		if float64(changed) < differ*0.8 || float64(changed) > differ*1.2 {
			t.Errorf("admit %v: after %v %d of %d change, want about %.0f", admit, policy.ShedFor, changed, n, differ)
		}
		if float64(n-alike) < differ*0.8 || float64(n-alike) > differ*1.2 {
			t.Errorf("admit %v: %d of %d neighbours differ, want about %.0f", admit, n-alike, n, differ)
		}
	}
	if (policy.Load{Admit: 0.5}).For(segment.ID{}, start).Stressed {
		t.Error("For says that there is stress where there is none")
	}
}

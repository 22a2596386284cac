package segment_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/segment"
)

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		id   segment.ID
		path string
	}{
		{segment.ID{Event: "fight", Rendition: "v1", Number: 0}, "/fight/v1/0.m4s"},
		{segment.ID{Event: "fight", Rendition: "v1", Number: 1700000000}, "/fight/v1/1700000000.m4s"},
		{segment.ID{Event: "fight", Rendition: "v1", Number: segment.Init}, "/fight/v1/init.mp4"},
		{segment.ID{Event: "fight", Pipeline: "a", Rendition: "v1", Number: 17}, "/fight/a/v1/17.m4s"},
		{segment.ID{Event: "fight", Pipeline: "a", Rendition: "v1", Number: segment.Init}, "/fight/a/v1/init.mp4"},
		{segment.ID{Event: "2024-11-15.fight", Pipeline: "us-east-1_a", Rendition: "1080p59.94", Number: 1 << 49}, "/2024-11-15.fight/us-east-1_a/1080p59.94/562949953421312.m4s"},
	} {
		if got := c.id.String(); got != c.path {
			t.Errorf("%#v.String() = %s, want %s", c.id, got, c.path)
		}
		parse := segment.ParseServe
		if c.id.Pipeline != "" {
			parse = segment.ParsePublish
		}
		if got, err := parse(c.path); err != nil || got != c.id {
			t.Errorf("parsing %s = %#v, %v, want %#v", c.path, got, err, c.id)
		}
	}
}

func TestNotASegmentsPath(t *testing.T) {
	long := strings.Repeat("x", 65)
	for _, path := range []string{
		"", "/", "//", "///", "fight/v1/1.m4s", "/fight", "/fight/v1", "/fight/v1/", "/fight/v1/1.m4s/", "//v1/1.m4s", "/fight//1.m4s",
		"/fight/v1/1", "/fight/v1/.m4s", "/fight/v1/1.mp4", "/fight/v1/1.M4S", "/fight/v1/init.m4s", "/fight/v1/1.m4s.m4s", "/fight/v1/INIT.mp4",
		"/fight/v1/-1.m4s", "/fight/v1/+1.m4s", "/fight/v1/01.m4s", "/fight/v1/00.m4s", "/fight/v1/-0.m4s", "/fight/v1/1e3.m4s", "/fight/v1/0x1.m4s",
		"/fight/v1/1_000.m4s", "/fight/v1/ 1.m4s", "/fight/v1/1 .m4s", "/fight/v1/١.m4s",
		"/fight/v1/562949953421313.m4s", "/fight/v1/9223372036854775808.m4s", "/fight/v1/99999999999999999999999999.m4s",
		"/../v1/1.m4s", "/fight/../1.m4s", "/./v1/1.m4s", "/.hidden/v1/1.m4s", "/fight/-v/1.m4s", "/fight/v 1/1.m4s", "/fight/v%31/1.m4s",
		"/fight/v\x00/1.m4s", "/fight/v\n/1.m4s", "/fïght/v1/1.m4s", "/fight/v1?x/1.m4s", "/" + long + "/v1/1.m4s",
		"/fight/v1/" + strings.Repeat("1", 600) + ".m4s", "/fight/a/b/v1/1.m4s",
	} {
		id, err := segment.ParseServe(path)
		if !errors.Is(err, segment.ErrName) {
			t.Errorf("ParseServe(%.40q) = %v, %v, want an error that wraps ErrName", path, id, err)
		} else if len(err.Error()) > 800 {
			t.Errorf("ParseServe(%.40q): an error of %d bytes", path, len(err.Error()))
		}
	}
	// Each side's names are nothing to the other.
	if id, err := segment.ParseServe("/fight/a/v1/1.m4s"); !errors.Is(err, segment.ErrName) {
		t.Errorf("ParseServe of a packager's name = %v, %v, want ErrName", id, err)
	}
}

func TestCheckName(t *testing.T) {
	for _, s := range []string{"a", "9", "A.b-c_d", strings.Repeat("x", 64), "a..b"} {
		if err := segment.CheckName(s); err != nil {
			t.Errorf("CheckName(%q) = %v, want nil", s, err)
		}
	}
	for _, s := range []string{"", ".", "..", "-a", "_a", ".a", "a/b", "a b", "ä", "a\x7f", strings.Repeat("x", 65)} {
		if err := segment.CheckName(s); !errors.Is(err, segment.ErrName) {
			t.Errorf("CheckName(%q) = %v, want ErrName", s, err)
		}
	}
}

func TestAskedAndCandidate(t *testing.T) {
	id := segment.ID{Event: "e", Pipeline: "a", Rendition: "r", Number: 5}
	if got := id.Asked(); got != (segment.ID{Event: "e", Rendition: "r", Number: 5}) {
		t.Errorf("Asked() = %v", got)
	}
	if got := id.Asked().Candidate("b"); got != (segment.ID{Event: "e", Pipeline: "b", Rendition: "r", Number: 5}) {
		t.Errorf("Candidate(b) = %v", got)
	}
}

// What parses is written the same again: one segment has one name.
func FuzzParseServe(f *testing.F) {
	for _, s := range []string{"/e/r/1.m4s", "/e/p/r/1.m4s", "/e/r/init.mp4", "/e/p/r/init.mp4", "/e/r/01.m4s", "/../r/1.m4s", "/e/r/562949953421312.m4s", "//r/-1.m4s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		id, err := segment.ParseServe(path)
		if err != nil {
			if !errors.Is(err, segment.ErrName) {
				t.Errorf("parsing %q: %v does not wrap ErrName", path, err)
			}
			return
		}
		if got := id.String(); got != path {
			t.Errorf("parsing %q gives %#v, which is written %q", path, id, got)
		}
		if id.Pipeline != "" {
			t.Errorf("parsing %q gives pipeline %q", path, id.Pipeline)
		}
		for _, name := range []string{id.Event, id.Rendition} {
			if err := segment.CheckName(name); err != nil {
				t.Errorf("parsing %q gives %#v: %v", path, id, err)
			}
		}
		if id.Number < segment.Init || id.Number > 1<<49 {
			t.Errorf("parsing %q gives number %d", path, id.Number)
		}
	})
}

var epoch = time.Date(2024, 11, 15, 20, 0, 0, 0, time.UTC)

func TestTemplate(t *testing.T) {
	tmpl := segment.Template{Start: epoch, StartNumber: 100, PublishDelay: 500 * time.Millisecond}
	if err := tmpl.Validate(); err != nil {
		t.Fatalf("Validate() = %v, want nil", err)
	}
	if got := tmpl.Duration(); got != 2*time.Second {
		t.Errorf("Duration() = %v, want 2s", got)
	}
	for _, c := range []struct {
		n                     int64
		begins, due, deadline time.Duration // after epoch
	}{
		{100, 0, 2500 * time.Millisecond, 4500 * time.Millisecond},
		{101, 2 * time.Second, 4500 * time.Millisecond, 6500 * time.Millisecond},
		{99, -2 * time.Second, 500 * time.Millisecond, 2500 * time.Millisecond},
		{1900, time.Hour, time.Hour + 2500*time.Millisecond, time.Hour + 4500*time.Millisecond},
	} {
		if got := tmpl.Begins(c.n).Sub(epoch); got != c.begins {
			t.Errorf("Begins(%d) = start + %v, want + %v", c.n, got, c.begins)
		}
		if got := tmpl.Due(c.n).Sub(epoch); got != c.due {
			t.Errorf("Due(%d) = start + %v, want + %v", c.n, got, c.due)
		}
		if got := tmpl.Deadline(c.n).Sub(epoch); got != c.deadline {
			t.Errorf("Deadline(%d) = start + %v, want + %v", c.n, got, c.deadline)
		}
	}
	for _, c := range []struct {
		after time.Duration
		want  int64
	}{
		{-time.Hour, 100}, {0, 100}, {2500*time.Millisecond - 1, 100},
		{2500 * time.Millisecond, 101}, // due now: the next one is the one after
		{4500*time.Millisecond - 1, 101}, {4500 * time.Millisecond, 102}, {time.Hour, 1899}, {time.Hour + 500*time.Millisecond, 1900},
	} {
		if got := tmpl.Next(epoch.Add(c.after)); got != c.want {
			t.Errorf("Next(start + %v) = %d, want %d", c.after, got, c.want)
		}
	}
}

// At 59.94 frames a second a segment of 120 frames lasts 2.002 s. Instants are exact however high the number: the fraction rounded down
// to the nanosecond, with no rounding added up.
func TestTemplateAt5994(t *testing.T) {
	tmpl := segment.Template{Start: epoch, Ticks: 120120, Timescale: 60000}
	if got := tmpl.Duration(); got != 2002*time.Millisecond {
		t.Errorf("Duration() = %v, want 2.002s", got)
	}
	if got := tmpl.Begins(30_000).Sub(epoch); got != 60_060*time.Second {
		t.Errorf("Begins(30000) = start + %v, want + 60060 s", got)
	}
	thirds := segment.Template{Start: epoch, Ticks: 64064, Timescale: 30000} // 64 frames at 29.97: 2.135466… s
	for _, n := range []int64{1, 2, 3, 1_000_003, 999_999_999, 3_000_000_000} {
		sec, rest := n*64064/30000, n*64064%30000
		want := epoch.Add(time.Duration(sec)*time.Second + time.Duration(rest*1e9/30000))
		if got := thirds.Begins(n); !got.Equal(want) {
			t.Errorf("Begins(%d) = %v, want %v", n, got, want)
		}
	}
	if d := thirds.Begins(3_000_000).Sub(epoch) - 3_000_000*thirds.Duration(); d < time.Millisecond {
		t.Errorf("the rounding of Duration added up to %v only: this test says nothing", d)
	}
}

func TestTemplateValidate(t *testing.T) {
	for _, tmpl := range []segment.Template{
		{}, {Start: epoch}, {Ticks: 2, Timescale: 1}, {Ticks: 1, Timescale: 100}, {Ticks: 3600, Timescale: 1},
		{Ticks: 20_000_000, Timescale: 10_000_000}, {StartNumber: 1 << 49}, {PublishDelay: time.Hour},
	} {
		if err := tmpl.Validate(); err != nil {
			t.Errorf("%+v: Validate() = %v, want nil", tmpl, err)
		}
	}
	for _, tmpl := range []segment.Template{
		{Ticks: 2}, {Timescale: 1}, {Ticks: -2, Timescale: -1}, {Ticks: -2, Timescale: 1}, {Ticks: 2, Timescale: -1},
		{Ticks: 1, Timescale: 101}, {Ticks: 3601, Timescale: 1}, {Ticks: 2, Timescale: 10_000_001},
		{Ticks: math.MaxInt64, Timescale: 1}, {Ticks: math.MaxInt64, Timescale: math.MaxInt64}, {Ticks: math.MinInt64, Timescale: 1},
		{StartNumber: -1}, {StartNumber: 1<<49 + 1}, {PublishDelay: -1}, {PublishDelay: time.Hour + 1},
	} {
		if err := tmpl.Validate(); err == nil {
			t.Errorf("%+v: Validate() = nil, want an error", tmpl)
		}
	}
}

// Next and Due are each other's inverse: Next(now) is due after now, the one before it is not, and at its own due time a segment is
// no longer next.
func inverse(t *testing.T, tmpl segment.Template, now time.Time) {
	t.Helper()
	n := tmpl.Next(now)
	if n < tmpl.StartNumber {
		t.Errorf("%+v: Next(%v) = %d, below the start number", tmpl, now, n)
	}
	if !tmpl.Due(n).After(now) {
		t.Errorf("%+v: Next(%v) = %d, which is due at %v", tmpl, now, n, tmpl.Due(n))
	}
	if n > tmpl.StartNumber && tmpl.Due(n-1).After(now) {
		t.Errorf("%+v: Next(%v) = %d, but %d is due after that, at %v", tmpl, now, n, n-1, tmpl.Due(n-1))
	}
	if due := tmpl.Due(n); tmpl.Next(due) != n+1 || tmpl.Next(due.Add(-1)) > n {
		t.Errorf("%+v: Next(Due(%d)) = %d and just before %d, want %d and at most %d", tmpl, n, tmpl.Next(due), tmpl.Next(due.Add(-1)), n+1, n)
	}
	if d := tmpl.Due(n).Sub(tmpl.Begins(n)) - tmpl.PublishDelay - tmpl.Duration(); d < 0 || d > 1 {
		t.Errorf("%+v: segment %d lasts %v longer than Duration()", tmpl, n, d)
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add(int64(1_700_000_000), int64(0), int64(0), int64(0), int64(0), int64(3_600_000_000_000))
	f.Add(int64(1_700_000_000), int64(5), int64(120120), int64(60000), int64(1_500_000_000), int64(12_345_678_901_234))
	f.Add(int64(1), int64(1)<<49, int64(1), int64(100), int64(0), int64(math.MaxInt64))
	f.Add(int64(1_700_000_000), int64(0), int64(99_999_999), int64(10_000_000), int64(1), int64(-5))
	f.Fuzz(func(t *testing.T, start, number, ticks, scale, delay, after int64) {
		tmpl := segment.Template{
			Start:       time.Unix(start%(1<<35), start%1e9),
			StartNumber: number, Ticks: ticks, Timescale: scale, PublishDelay: time.Duration(delay),
		}
		if tmpl.Validate() != nil {
			return
		}
		inverse(t, tmpl, tmpl.Start.Add(time.Duration(after)))
	})
}

// Clocks and templates that are centuries apart, as when a start was forgotten, give an answer, and at once.
func TestTemplateFarAway(t *testing.T) {
	for _, tmpl := range []segment.Template{
		{}, {Ticks: 1, Timescale: 100}, {Ticks: 120120, Timescale: 60000, PublishDelay: time.Hour}, {Start: epoch}, {Start: time.Unix(1<<36, 0)},
	} {
		for _, now := range []time.Time{{}, time.Unix(0, 0), epoch, time.Unix(1<<37, 1), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
			t.Run(fmt.Sprintf("%d to %d", tmpl.Start.Year(), now.Year()), func(t *testing.T) { inverse(t, tmpl, now) })
		}
	}
	tmpl := segment.Template{Start: epoch}
	if got := tmpl.Next(time.Time{}); got != 0 {
		t.Errorf("Next(year 1) = %d, want the first, 0", got)
	}
	if got := tmpl.Next(time.Unix(1<<60, 0)); got != 1<<49 {
		t.Errorf("Next(the far future) = %d, want the largest number", got)
	}
}

// Any number that parses has instants, and larger numbers never earlier ones.
func TestHugeNumbers(t *testing.T) {
	for _, tmpl := range []segment.Template{
		{Start: epoch}, {Start: epoch, Ticks: 3600, Timescale: 1}, {Start: epoch, Ticks: 1, Timescale: 100},
		{Start: epoch, Ticks: 36_000_000_000, Timescale: 10_000_000}, {Start: epoch, StartNumber: 1 << 49},
	} {
		last := tmpl.Due(segment.Init)
		for _, n := range []int64{0, 1, 1e6, 1e9, 4e9, 5e9, 1e12, 1<<49 - 1, 1 << 49} {
			due := tmpl.Due(n)
			if due.Before(last) {
				t.Errorf("%+v: Due(%d) = %v, before that of a smaller number, %v", tmpl, n, due, last)
			}
			if got := tmpl.Deadline(n).Sub(due); got != segment.Budget {
				t.Errorf("%+v: Deadline(%d) is %v after Due", tmpl, n, got)
			}
			last = due
		}
	}
	if got, want := (segment.Template{Start: epoch}).Due(5_000_000_000).Year(), 2341; got != want {
		t.Errorf("segment 5,000,000,000 of 2 s is due in %d, want %d", got, want)
	}
}

func BenchmarkNext(b *testing.B) {
	tmpl := segment.Template{Start: epoch, Ticks: 120120, Timescale: 60000}
	now := epoch.Add(3 * time.Hour)
	for b.Loop() {
		tmpl.Next(now)
	}
}

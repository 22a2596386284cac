package record_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/record"
)

const (
	second = time.Second
	ms     = time.Millisecond
)

// due: segment n of 2 s is due at 2(n+1) s.
func due(id segment.ID) time.Duration { return time.Duration(id.Number+1) * 2 * second }

func config() record.Config {
	return record.Config{Backend: "mem", Due: due, Windows: []storm.Window{
		{Name: "warm-up", From: 0, To: 4 * second}, {Name: "quiet", From: 4 * second, To: 14 * second},
		{Name: "storm", From: 14 * second, To: 24 * second}, {Name: "quiet", From: 30 * second, To: 40 * second},
	}}
}

func video(n int64) segment.ID { return segment.ID{Event: "e", Rendition: "v", Number: n} }

func put(pipeline string, n int64, at, took time.Duration) storm.Sample {
	return storm.Sample{
		Request: storm.Request{At: at, Began: at, From: "packager " + pipeline, Put: true, ID: video(n).Candidate(pipeline), Size: 1000},
		Sent:    at, First: at + took, Done: at + took, Status: 201, Bytes: 1000, ETag: `"x"`, Store: took / 2,
	}
}

func get(class storm.Class, n int64, at, took time.Duration) storm.Sample {
	return storm.Sample{
		Request: storm.Request{At: at, Began: at, From: "edge", Class: class, ID: video(n)},
		Sent:    at, First: at + took/2, Done: at + took, Status: 200, Bytes: 1000, Pipeline: "a", ETag: `"x"`,
	}
}

func with(s storm.Sample, change func(*storm.Sample)) storm.Sample {
	change(&s)
	return s
}

func recorded(c record.Config, all ...storm.Sample) *record.Recording {
	r := record.New(c)
	for _, s := range all {
		r.Record(s)
	}
	return r
}

func operation(t *testing.T, b record.Backend, phase, class string) record.Operation {
	t.Helper()
	for _, p := range b.Phases {
		for _, o := range p.Operations {
			if p.Name == phase && o.Class == class {
				return o
			}
		}
	}
	return record.Operation{}
}

// TestWhatCounts: each kind of sample is counted in its own place, and in the latencies only if it went to the target and was
// the last of its request.
func TestWhatCounts(t *testing.T) {
	failed := func(err error) func(*storm.Sample) {
		return func(s *storm.Sample) { s.Status, s.Err, s.Bytes = 0, err, 0 }
	}
	quick := put("a", 3, 5*second, ms)
	tests := []struct {
		name   string
		s      storm.Sample
		class  string
		want   record.Operation // counts and statuses
		values [4]int64         // response, service, lag, first byte
		p      float64          // response in ms
	}{
		{"published", quick, "publish", record.Operation{Count: 1, Bytes: 1000, Statuses: map[string]int{"201": 1}}, [4]int64{1, 1, 1, 0}, 1},
		{"its write in the store", quick, "store-write", record.Operation{Count: 1, Bytes: 1000, Statuses: map[string]int{"201": 1}}, [4]int64{1, 1, 0, 0}, 0.5},
		{"read", get(storm.DVR, 1, 5*second, 4*ms), "dvr", record.Operation{Count: 1, Bytes: 1000, Statuses: map[string]int{"200": 1}}, [4]int64{1, 1, 1, 1}, 4},
		{"a failure is no quicker than the budget", with(quick, failed(syscall.ECONNREFUSED)), "publish", record.Operation{Count: 1, Errors: 1, Statuses: map[string]int{"refused": 1}}, [4]int64{1, 0, 1, 0}, 2000},
		{"a slow failure keeps its time", with(put("a", 3, 5*second, 3*second), failed(context.DeadlineExceeded)), "publish", record.Operation{Count: 1, Errors: 1, Statuses: map[string]int{"timeout": 1}}, [4]int64{1, 0, 1, 0}, 3000},
		{"a retry", with(quick, func(s *storm.Sample) { s.Status, s.Retried, s.Bytes = 503, true, 0 }), "publish", record.Operation{Retries: 1, Statuses: map[string]int{"503": 1}}, [4]int64{0, 0, 1, 0}, 0},
		{"the last try, counted from the first", with(quick, func(s *storm.Sample) { s.Began, s.Try = 4900*ms, 1 }), "publish", record.Operation{Count: 1, Bytes: 1000, Statuses: map[string]int{"201": 1}}, [4]int64{1, 1, 1, 0}, 101},
		{"dropped", with(quick, func(s *storm.Sample) { failed(errors.New("full"))(s); s.Via = storm.Dropped }), "publish", record.Operation{Dropped: 1, Statuses: map[string]int{"dropped": 1}}, [4]int64{}, 0},
		{"kept back by a fault", with(quick, func(s *storm.Sample) { failed(fmt.Errorf("x: %w", storm.ErrFault))(s); s.Via = storm.Dropped }), "publish", record.Operation{Faulted: 1, Statuses: map[string]int{}}, [4]int64{}, 0},
		{"a hit", with(get(storm.LiveEdge, 1, 5*second, 0), func(s *storm.Sample) { s.Via = storm.Hit }), "live-edge", record.Operation{Hits: 1, Statuses: map[string]int{}}, [4]int64{}, 0},
		{"collapsed", with(get(storm.LiveEdge, 1, 5*second, ms), func(s *storm.Sample) { s.Via = storm.Collapsed }), "live-edge", record.Operation{Hits: 1, Statuses: map[string]int{}}, [4]int64{}, 0},
		{"torn", with(get(storm.LiveEdge, 1, 5*second, ms), func(s *storm.Sample) { s.Damage = storm.Torn }), "live-edge", record.Operation{Count: 1, Errors: 1, Bytes: 1000, Statuses: map[string]int{"torn": 1}}, [4]int64{1, 0, 1, 0}, 2000},
		{"missing, as it should be", with(get(storm.Missing, 99, 5*second, ms), func(s *storm.Sample) { s.Status, s.Bytes = 404, 0 }), "missing", record.Operation{Count: 1, Statuses: map[string]int{"404": 1}}, [4]int64{1, 1, 1, 1}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := operation(t, recorded(config(), tt.s).Backend(), "quiet", tt.class)
			values := [4]int64{o.Response.Count, o.Service.Count, o.Lag.Count, o.FirstByte.Count}
			got := record.Operation{Count: o.Count, Errors: o.Errors, Retries: o.Retries, Dropped: o.Dropped, Faulted: o.Faulted, Hits: o.Hits, Bytes: o.Bytes, Statuses: o.Statuses}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("counts = %+v, want %+v", got, tt.want)
			}
			if values != tt.values {
				t.Errorf("values in response, service, lag, first byte = %v, want %v", values, tt.values)
			}
			if tt.values[0] > 0 && *o.Response.Max != tt.p {
				t.Errorf("response = %v ms, want %v", *o.Response.Max, tt.p)
			}
		})
	}
}

// TestAfterAnswer: the origin's part of the wait, and the driver's own, are not the edge's; the run's own reader asks for nothing.
func TestAfterAnswer(t *testing.T) {
	read := func(n int64, at, sent, answered, done time.Duration, cached bool) storm.Sample {
		return with(get(storm.LiveEdge, n, at, done-at), func(s *storm.Sample) { s.Sent, s.Answered, s.Cached = sent, answered, cached })
	}
	for _, tt := range []struct {
		name string
		s    storm.Sample
		want float64 // ms
	}{
		{"the origin answered after 40 ms of 50", read(1, 5*second, 5*second, 5*second+40*ms, 5*second+50*ms, false), 10},
		{"answered long ago", read(1, 5*second, 5*second, 2*second, 5*second+50*ms, true), 50},
		{"sent late", read(1, 5*second, 5*second+20*ms, 2*second, 5*second+50*ms, true), 30},
		{"by a clock that runs ahead", read(1, 5*second, 5*second, 7*second, 5*second+50*ms, true), 0},
	} {
		o := operation(t, recorded(config(), tt.s).Backend(), "quiet", "live-edge")
		if o.AfterAnswer.Count != 1 || *o.AfterAnswer.Max != tt.want {
			t.Errorf("%s: after the answer %v ms, want %v", tt.name, *o.AfterAnswer.Max, tt.want)
		}
		if want := map[bool]int64{true: 1}[tt.s.Cached]; o.Cached != want {
			t.Errorf("%s: %d cached, want %d", tt.name, o.Cached, want)
		}
	}
	silent := operation(t, recorded(config(), get(storm.LiveEdge, 1, 5*second, ms)).Backend(), "quiet", "live-edge")
	if silent.AfterAnswer.Count != 0 {
		t.Errorf("an origin that does not say when it answered has %d values", silent.AfterAnswer.Count)
	}
	r := recorded(config(), get(storm.LiveEdge, 1, 5*second, ms), get(storm.Early, 1, 5*second, ms), get(storm.DVR, 2, 5*second, ms),
		get(storm.Probe, 3, 5*second, ms), with(get(storm.Missing, 4, 5*second, ms), func(s *storm.Sample) { s.Status = 404 }))
	if n := r.Asked(); n != 2 {
		t.Errorf("readers asked for %d segments, want 2", n)
	}
}

// TestWindows: latencies belong where a request was meant to start, bytes where they came.
func TestWindows(t *testing.T) {
	b := recorded(config(),
		get(storm.DVR, 1, 13900*ms, 200*ms), // begun in quiet, ended in storm
		get(storm.DVR, 1, 14*second, 100*ms),
		get(storm.DVR, 1, 26*second, 100*ms), // between windows
		get(storm.DVR, 1, 31*second, 100*ms), // the second quiet
		get(storm.Probe, 1, 32*second, 100*ms),
		get(storm.LiveEdge, 1, 50*second, 100*ms),
	).Backend()
	var names []string
	for _, p := range b.Phases {
		names = append(names, fmt.Sprintf("%s %vs %.0f reads, %v dvr", p.Name, p.Seconds, p.Reads*p.Seconds, operation(t, b, p.Name, "dvr").Count))
	}
	want := []string{"warm-up 4s 0 reads, 0 dvr", "quiet 20s 1 reads, 2 dvr", "storm 10s 2 reads, 1 dvr"}
	if !slices.Equal(names, want) {
		t.Errorf("phases: %q, want %q", names, want)
	}
	if got, want := b.Phases[2].ReadGbit, 2000*8/1e9/10; got != want {
		t.Errorf("read throughput in storm = %v, want %v", got, want)
	}
}

func TestIntervals(t *testing.T) {
	all := []storm.Sample{get(storm.LiveEdge, 1, 3900*ms, 200*ms), get(storm.LiveEdge, 1, 4100*ms, 300*ms),
		with(get(storm.LiveEdge, 1, 4200*ms, ms), func(s *storm.Sample) { s.Status = 500 })}
	for i := range 300 {
		all = append(all, put("a", int64(i), 2*second, time.Duration(i+1)*ms))
	}
	got := recorded(config(), all...).Intervals()
	if len(got) != 3 {
		t.Fatalf("%d intervals, want 3", len(got))
	}
	w, r := got[1], got[2]
	if w.Phase != "warm-up" || w.At != 2 || w.Writes != 300 || *w.WriteP50 != 150 || *w.WriteP99 != 297 || *w.WriteMax != 300 || w.Reads != 0 || w.ReadP50 != nil {
		t.Errorf("the interval of the writes = %+v", w)
	}
	if r.Phase != "quiet" || r.Reads != 2 || r.Errors != 1 || r.Writes != 0 || r.WriteP50 != nil || *r.ReadMax != 300 || *r.ReadP50 < 197 || *r.ReadP50 > 203 {
		t.Errorf("the interval in which the reads ended = %+v, p50 %v", r, *r.ReadP50)
	}
}

func TestTicks(t *testing.T) {
	r := recorded(config(), put("a", 1, 5*second, 10*ms), put("b", 1, 5500*ms, 20*ms), put("a", 2, 6*second, 30*ms), put("a", 3, 15*second, 40*ms), put("a", 4, 30*second, 50*ms))
	if got, want := r.Ticks("quiet"), [][]float64{{10, 20}, {30}, {50}}; !reflect.DeepEqual(got, want) {
		t.Errorf(`Ticks("quiet") = %v, want %v`, got, want)
	}
	if got := r.Ticks("nothing"); len(got) != 0 {
		t.Errorf(`Ticks("nothing") = %v, want none`, got)
	}
}

// TestFates: what becomes of segment 4, due at 10 s and given up at 12 s. The run goes on to 20 s.
func TestFates(t *testing.T) {
	const n = 4
	back := func(pipeline string, change func(*storm.Sample)) storm.Sample {
		s := get(storm.Probe, n, 11*second, ms)
		s.ID.Pipeline, s.Match, s.Pipeline = pipeline, `"x"`, pipeline
		change(&s)
		return s
	}
	fine := func(*storm.Sample) {}
	status := func(code int) func(*storm.Sample) {
		return func(s *storm.Sample) { s.Status, s.Bytes, s.Pipeline = code, 0, "" }
	}
	damage := func(d storm.Damage) func(*storm.Sample) { return func(s *storm.Sample) { s.Damage = d } }
	held := get(storm.Probe, n, 8*second, 1900*ms)                                                                 // First at 8.95 s
	late := with(get(storm.Probe, n, 8*second, 0), func(s *storm.Sample) { s.First, s.Done = 10200*ms, 10300*ms }) // readable at 10.2 s
	inTime := put("a", n, 9*second, 20*ms)
	fault := with(put("b", n, 9*second, 0), func(s *storm.Sample) { s.Via, s.Status, s.Err = storm.Dropped, 0, storm.ErrFault })
	tests := []struct {
		name    string
		samples []storm.Sample
		want    string // pipeline:outcome (error) …
		sum     record.Segments
	}{
		{"both fine", []storm.Sample{inTime, put("b", n, 9*second, 30*ms), held, back("a", fine), back("b", fine)}, "a:ok b:ok",
			record.Segments{Published: 2, Acknowledged: 2, Read: 3, Verified: 3}},
		{"late", []storm.Sample{put("a", n, 9900*ms, 300*ms), late, back("a", fine)}, "a:late", record.Segments{Published: 1, Acknowledged: 1, Read: 2, Verified: 2, Late: 1}},
		{"a late copy of a segment that is there is not late", []storm.Sample{inTime, put("b", n, 9900*ms, 300*ms), held}, "a:ok b:ok", record.Segments{Published: 2, Acknowledged: 2, Read: 1, Verified: 1}},
		{"late, though nobody waited", []storm.Sample{put("a", n, 9900*ms, 300*ms), back("a", fine)}, "a:late", record.Segments{Published: 1, Acknowledged: 1, Read: 1, Verified: 1, Late: 1}},
		{"late, as one who waited found out", []storm.Sample{inTime, late}, "a:late", record.Segments{Published: 1, Acknowledged: 1, Read: 1, Verified: 1, Late: 1}},
		{"lost", []storm.Sample{inTime, held, back("a", status(404))}, "a:lost (read back: 404)", record.Segments{Published: 1, Acknowledged: 1, Read: 1, Verified: 1, Lost: 1}},
		{"never readable again", []storm.Sample{inTime, with(back("a", fine), func(s *storm.Sample) { s.Status, s.Err, s.Try = 0, syscall.ECONNREFUSED, 9 })}, "a:lost (read back: refused)", record.Segments{Published: 1, Acknowledged: 1, Lost: 1}},
		{"unreadable for a moment", []storm.Sample{inTime, with(back("a", status(503)), func(s *storm.Sample) { s.Retried = true }), back("a", fine)}, "a:ok", record.Segments{Published: 1, Acknowledged: 1, Read: 1, Verified: 1}},
		{"not asked, the run was stopped", []storm.Sample{inTime, with(back("a", fine), func(s *storm.Sample) { s.Status, s.Err = 0, context.Canceled })}, "a:ok", record.Segments{Published: 1, Acknowledged: 1}},
		{"torn", []storm.Sample{inTime, with(held, damage(storm.Torn))}, "a:torn", record.Segments{Published: 1, Acknowledged: 1, Read: 1, Torn: 1}},
		{"torn, nobody knows whose", []storm.Sample{inTime, with(held, func(s *storm.Sample) { s.Damage, s.Pipeline = storm.Torn, "" })}, ":torn a:ok", record.Segments{Published: 1, Acknowledged: 1, Read: 1, Torn: 1}},
		{"wrong at the read back", []storm.Sample{inTime, back("a", damage(storm.Wrong))}, "a:wrong", record.Segments{Published: 1, Acknowledged: 1, Read: 1, Wrong: 1}},
		{"stale twice is one copy", []storm.Sample{inTime, with(held, damage(storm.Stale)), with(held, damage(storm.Stale))}, "a:stale", record.Segments{Published: 1, Acknowledged: 1, Read: 2, Stale: 1}},
		{"failed, the other is there", []storm.Sample{inTime, with(put("b", n, 9*second, ms), func(s *storm.Sample) { s.Status = 403 }), held}, "a:ok b:failed (403)", record.Segments{Published: 2, Acknowledged: 1, Read: 1, Verified: 1}},
		{"failed, then retried", []storm.Sample{with(put("a", n, 9*second, ms), func(s *storm.Sample) { s.Status, s.Retried = 503, true }), put("a", n, 9100*ms, 20*ms)}, "a:ok", record.Segments{Published: 1, Acknowledged: 1}},
		{"never answered", []storm.Sample{with(put("a", n, 9*second, ms), func(s *storm.Sample) { s.Status, s.Retried = 503, true })}, "a:failed (not answered) :missed", record.Segments{Published: 1, Missed: 1, LongestGap: 2}},
		{"kept back by a fault", []storm.Sample{inTime, fault, held}, "a:ok b:faulted", record.Segments{Published: 1, Acknowledged: 1, Read: 1, Verified: 1}},
		{"missed, by a fault", []storm.Sample{fault}, "b:faulted :missed", record.Segments{Missed: 1, LongestGap: 2}},
		{"missed, only awaited", []storm.Sample{with(held, status(410))}, ":missed", record.Segments{Missed: 1, LongestGap: 2}},
		{"missed, acknowledged too late", []storm.Sample{put("a", n, 11*second, 1200*ms)}, "a:ok :missed", record.Segments{Published: 1, Acknowledged: 1, Missed: 1, LongestGap: 2}},
		{"nobody is expected to publish what only readers dream of", []storm.Sample{with(get(storm.LiveEdge, n, 9*second, ms), status(404))}, "", record.Segments{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := recorded(config(), tt.samples...)
			r.Record(with(get(storm.Missing, 99, 20*second, ms), status(404))) // the run goes on
			var got []string
			for _, c := range r.Copies() {
				s := c.Pipeline + ":" + c.Outcome
				if c.Error != "" {
					s += " (" + c.Error + ")"
				}
				got = append(got, s)
				if c.Due != 10 || c.Backend != "mem" || c.Event != "e" || c.Rendition != "v" || c.Number != n {
					t.Errorf("copy %+v, want segment 4 of e, v, due at 10 s", c)
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("copies: %s, want %s", strings.Join(got, " "), tt.want)
			}
			if sum := r.Backend().Segments; !reflect.DeepEqual(sum, tt.sum) {
				t.Errorf("segments: %+v, want %+v", sum, tt.sum)
			}
		})
	}
}

func TestCopyInstants(t *testing.T) {
	r := recorded(config(), put("a", 4, 9*second, 20*ms), get(storm.Probe, 4, 8*second, 1900*ms))
	c := r.Copies()[0]
	if c.Segment != "/e/a/v/4.m4s" || c.Phase != "quiet" || *c.Sent != 9 || *c.Acked != 9.02 || *c.Readable != 8.95 || c.Served != "a" {
		t.Errorf("copy = %+v, sent %v, acknowledged %v, readable %v", c, *c.Sent, *c.Acked, *c.Readable)
	}
}

// TestHolds: the time from a copy's acknowledgement to the first byte for the run's own reader counts, by the phase of the publish,
// where that reader was waiting; what was there when it asked, or another reader was given, tells nothing.
func TestHolds(t *testing.T) {
	probe := func(n int64, at, first time.Duration) storm.Sample {
		return with(get(storm.Probe, n, at, first-at+ms), func(s *storm.Sample) { s.First = first })
	}
	r := recorded(config(),
		put("a", 2, 5*second, 20*ms), probe(2, 4*second, 5*second+30*ms), // 10 ms
		get(storm.Early, 2, 4*second, 900*ms),
		probe(3, 6*second, 7*second+50*ms), put("b", 3, 7*second, 10*ms), put("a", 3, 7*second, 20*ms), // 30 ms after the copy that was served
		put("a", 4, 9*second, 20*ms), probe(4, 8*second, 9*second+15*ms), // before the packager heard of it
		put("a", 5, 10*second, 20*ms), probe(5, 10*second+30*ms, 10*second+90*ms), // it was there
		put("a", 6, 12*second, 20*ms), get(storm.Early, 6, 11*second, 1100*ms), // no probe
		put("a", 7, 15*second, 20*ms), probe(7, 14*second, 15*second+120*ms), // 100 ms, in the storm
	)
	quiet, loaded := r.Backend().Phases[1], r.Backend().Phases[2]
	if h := quiet.Holds; h.Count != 3 || *h.Max != 30 {
		t.Errorf("%s: holds %+v, max %v; want 3 of at most 30 ms", quiet.Name, h, *h.Max)
	}
	if h := loaded.Holds; h.Count != 1 || *h.Max != 100 {
		t.Errorf("%s: holds %+v, want one of 100 ms", loaded.Name, h)
	}
	for _, c := range r.Copies() {
		if c.Number == 2 && (c.Held == nil || *c.Held < 0.0099 || *c.Held > 0.0101) {
			t.Errorf("copy of 2 was held for %v, want 10 ms after its acknowledgement", c.Held)
		}
		if c.Number == 3 && (c.Held != nil) != (c.Pipeline == "a") || c.Number == 4 && *c.Held != -0.005 {
			t.Errorf("copy of %d by %s was held for %v", c.Number, c.Pipeline, c.Held)
		}
	}
}

// TestGapsAndSlack: the longest gap is the longest run of missed segments of one rendition; slack is due minus readable.
func TestGapsAndSlack(t *testing.T) {
	r := record.New(config())
	for n := range int64(400) {
		at := due(video(n)) - second
		if n%100 < 3 || n == 50 {
			r.Record(with(get(storm.Probe, n, at, 3*second), func(s *storm.Sample) { s.Status, s.Bytes = 410, 0 }))
			continue
		}
		r.Record(put("a", n, at, 10*ms))
		r.Record(get(storm.Probe, n, at, time.Duration(n)*2*ms)) // readable n ms after its publish
	}
	sum := r.Backend().Segments
	if sum.Missed != 13 || sum.LongestGap != 6 || sum.Late != 0 {
		t.Errorf("missed %d, longest gap %v s, late %d, want 13, 6, 0", sum.Missed, sum.LongestGap, sum.Late)
	}
	if sum.SlackP50 == nil || sum.SlackP1 == nil || *sum.SlackP50 < 795 || *sum.SlackP50 > 805 || *sum.SlackP1 < 601 || *sum.SlackP1 > 606 {
		t.Errorf("slack p50 %v, p1 %v, want about 800 and 604 ms", *sum.SlackP50, *sum.SlackP1)
	}
}

func TestInitHasNoInstant(t *testing.T) {
	s := put("a", segment.Init, 9*second, ms)
	r := recorded(config(), s, get(storm.Probe, 150, 200*second, ms))
	if c := r.Copies()[0]; c.Outcome != "ok" || c.Due != 0 {
		t.Errorf("the initialisation segment = %+v, want ok without a due instant", c)
	}
	if sum := r.Backend().Segments; sum.Late != 0 || sum.Acknowledged != 1 {
		t.Errorf("segments = %+v", sum)
	}
}

// random makes samples of every kind.
func random(rng *rand.Rand, n int) (all []storm.Sample) {
	errs := []error{nil, syscall.ECONNREFUSED, context.DeadlineExceeded, io.ErrUnexpectedEOF, fmt.Errorf("x: %w", storm.ErrFault)}
	for range n {
		at := time.Duration(rng.Int64N(int64(42 * second)))
		took := time.Duration(rng.ExpFloat64() * float64(50*ms))
		number := int64(at/(2*second)) - rng.Int64N(2)
		pipeline := [2]string{"a", "b"}[rng.IntN(2)]
		var s storm.Sample
		switch rng.IntN(3) {
		case 0:
			s = put(pipeline, max(0, number), at, took)
		case 1:
			s = get(storm.LiveEdge+storm.Class(rng.IntN(5)), max(0, number), at, took)
			s.Pipeline, s.From = pipeline, fmt.Sprint("edge", strings.Repeat("i", rng.IntN(6)))
			s.ETag = []string{`"x"`, `W/"x"`, `"y"`}[rng.IntN(3)]
		case 2:
			s = get(storm.Probe, max(0, number), at, took)
			s.ID.Pipeline, s.Pipeline = pipeline, pipeline
		}
		if !s.Put && rng.IntN(2) == 0 {
			s.Answered, s.Cached = at+took/2, rng.IntN(2) == 0
		}
		if rng.IntN(4) == 0 {
			s.Status = []int{404, 500, 503, 200}[rng.IntN(4)]
			if s.Err = errs[rng.IntN(len(errs))]; s.Err != nil {
				s.Status = 0
			}
			s.Retried = rng.IntN(2) == 0
			s.Via = storm.Via(rng.IntN(4))
			if s.Status == 200 {
				s.Damage = storm.Damage(rng.IntN(5))
			}
		}
		all = append(all, s)
	}
	return all
}

// TestMergeLosesNothing: recordings of parts, sent through Encode and Decode and merged, are one recording of the whole.
func TestMergeLosesNothing(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 7))
		whole := record.New(config())
		parts := []*record.Recording{record.New(config()), record.New(config()), record.New(config())}
		for _, s := range random(rng, 3000) {
			whole.Record(s)
			// A plan is split by client: the tries of one publish stay together, and so does what one reader asks for.
			part := len(s.From) % 3
			if s.Put || s.ID.Pipeline != "" {
				part = int(s.ID.Number+int64(len(s.From))) % 3
			}
			parts[part].Record(s)
		}
		sum := throughTheWire(t, parts)
		compare(t, seed, sum, whole)
	}
}

// TestJournalLosesNothing: the parts of a run, cut at any instant, are one recording of the whole.
func TestJournalLosesNothing(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 8))
		whole, journal := record.New(config()), record.NewJournal(config())
		var parts []*record.Recording
		all := random(rng, 3000)
		slices.SortFunc(all, func(a, b storm.Sample) int { return cmp.Compare(a.Done, b.Done) })
		for _, s := range all {
			whole.Record(s)
			journal.Record(s)
			if rng.IntN(200) == 0 {
				parts = append(parts, journal.Cut())
			}
		}
		parts = append(parts, journal.Cut(), journal.Cut()) // of the last nothing came
		compare(t, seed, throughTheWire(t, parts), whole)
	}
}

// throughTheWire merges what came of parts that were sent one after the other.
func throughTheWire(t *testing.T, parts []*record.Recording) *record.Recording {
	t.Helper()
	var wire bytes.Buffer
	for _, p := range parts {
		if err := p.Encode(&wire); err != nil {
			t.Fatal(err)
		}
	}
	sum, dec := record.New(config()), json.NewDecoder(&wire)
	for {
		part, err := record.Decode(dec, config())
		if err == io.EOF {
			return sum
		}
		if err == nil {
			err = sum.Merge(part)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// compare reports where got and want, of the same samples, differ.
func compare(t *testing.T, seed uint64, sum, whole *record.Recording) {
	t.Helper()
	if got, want := sum.Backend(), whole.Backend(); !reflect.DeepEqual(got, want) {
		t.Errorf("seed %d: merged\n%+v\nwant\n%+v", seed, got.Segments, want.Segments)
	}
	if got, want := sum.Copies(), whole.Copies(); !reflect.DeepEqual(got, want) {
		for i := range want {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("seed %d: copy\n%+v\nwant\n%+v", seed, got[i], want[i])
			}
		}
	}
	if got, want := sum.Intervals(), whole.Intervals(); !reflect.DeepEqual(got, want) {
		t.Errorf("seed %d: intervals differ", seed)
	}
	got, want := sum.Ticks("quiet"), whole.Ticks("quiet")
	for i := range want {
		slices.Sort(got[i])
		slices.Sort(want[i])
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("seed %d: ticks differ", seed)
	}
	if !reflect.DeepEqual(sum.Lag(), whole.Lag()) || sum.Dropped() != whole.Dropped() || sum.Asked() != whole.Asked() || sum.Asked() == 0 {
		t.Errorf("seed %d: lag, dropped or asked differ, or nothing was asked", seed)
	}
}

func TestMergeRefusesAnotherPlan(t *testing.T) {
	other := config()
	other.Windows = other.Windows[:2]
	if err := record.New(config()).Merge(record.New(other)); err == nil || !strings.Contains(err.Error(), "same plan") {
		t.Errorf("Merge of another plan = %v, want it refused", err)
	}
	var b bytes.Buffer
	if err := record.New(other).Encode(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := record.Decode(json.NewDecoder(&b), config()); err == nil || !strings.Contains(err.Error(), "another plan") {
		t.Errorf("Decode of another plan = %v, want it refused", err)
	}
}

func encoded(t testing.TB) []byte {
	var b bytes.Buffer
	if err := recorded(config(), random(rand.New(rand.NewPCG(1, 1)), 50)...).Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecodeRefusesACutStream(t *testing.T) {
	whole := encoded(t)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for name, b := range map[string][]byte{
		"without its end": bytes.Join(lines[:len(lines)-2], nil), "without a line": slices.Concat(bytes.Join(lines[:4], nil), bytes.Join(lines[5:], nil)),
		"in a line": whole[:len(whole)/2], "without its head": bytes.Join(lines[1:], nil),
	} {
		if _, err := record.Decode(json.NewDecoder(bytes.NewReader(b)), config()); err == nil || !strings.Contains(err.Error(), "mem") {
			t.Errorf("Decode of a stream %s = %v, want an error that names the backend", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for line := range bytes.Lines(encoded(f)) {
		f.Add(slices.Concat([]byte(`{"recording":{"version":1,"backend":"mem","windows":[],"interval_ns":2000000000,"end_ns":5,"read":1,"right":1}}`+"\n"), line, []byte(`{"end":2}`)))
	}
	f.Add(encoded(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range []record.Config{config(), {Backend: "mem"}} {
			r, err := record.Decode(json.NewDecoder(bytes.NewReader(b)), c)
			if err != nil {
				continue
			}
			// What was taken can be used.
			r.Backend()
			r.Copies()
			r.Intervals()
			if err := record.New(c).Merge(r); err != nil {
				t.Log(err)
			}
		}
	})
}

// TestReadsTakeNoMemory: a long run's reads are counted, not kept.
func TestReadsTakeNoMemory(t *testing.T) {
	r := record.New(config())
	s := get(storm.DVR, 1, 5*second, 10*ms)
	r.Record(s)
	if n := testing.AllocsPerRun(1000, func() { r.Record(s) }); n > 0.01 {
		t.Errorf("Record of a read allocates %v times", n)
	}
}

func TestOutcome(t *testing.T) {
	timeout := &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
	for _, tt := range []struct {
		s    storm.Sample
		want string
	}{
		{storm.Sample{Status: 201}, "201"},
		{storm.Sample{Status: 200, Damage: storm.Stale}, "stale"},
		{storm.Sample{Err: context.DeadlineExceeded}, "timeout"},
		{storm.Sample{Err: timeout}, "timeout"},
		{storm.Sample{Err: fmt.Errorf("x: %w", context.Canceled)}, "cancelled"},
		{storm.Sample{Err: &net.OpError{Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}}, "refused"},
		{storm.Sample{Err: &net.OpError{Err: syscall.ECONNRESET}}, "reset"},
		{storm.Sample{Err: &net.OpError{Err: syscall.EPIPE}}, "reset"},
		{storm.Sample{Status: 200, Err: io.ErrUnexpectedEOF}, "cut"},
		{storm.Sample{Err: io.EOF}, "cut"},
		{storm.Sample{Err: errors.New("x")}, "failed"},
		{storm.Sample{Via: storm.Dropped, Err: syscall.EMFILE}, "dropped"},
		{storm.Sample{Via: storm.Dropped, Err: storm.ErrFault}, "faulted"},
	} {
		if got := record.Outcome(tt.s); got != tt.want {
			t.Errorf("Outcome(%v, %v) = %q, want %q", tt.s.Status, tt.s.Err, got, tt.want)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	r := record.New(config())
	s := get(storm.DVR, 1, 5*second, 10*ms)
	for b.Loop() {
		r.Record(s)
	}
}

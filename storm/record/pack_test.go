package record

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// Whenever fates are packed, what is known in the end is the same.
func TestPackingLosesNothing(t *testing.T) {
	c := Config{Backend: "mem", Windows: []storm.Window{{Name: "storm", To: time.Hour}}, Due: func(id segment.ID) time.Duration { return time.Duration(id.Number+1) * 2 * time.Second }}
	for seed := range uint64(5) {
		plain, packed := New(c), New(c)
		plain.fates.most, packed.fates.most = 1<<30, 10+int(seed)*20
		rng := rand.New(rand.NewPCG(seed, 9))
		for i := range 5000 {
			at := time.Duration(i) * 20 * time.Millisecond
			id := segment.ID{Event: "e", Rendition: fmt.Sprint("r", rng.IntN(3)), Number: max(0, int64(at/(2*time.Second))-rng.Int64N(20))}
			pipeline := [2]string{"a", "b"}[rng.IntN(2)]
			s := storm.Sample{
				Request: storm.Request{At: at, Began: at, From: fmt.Sprint("reader-", rng.IntN(5)), ID: id, Class: storm.DVR},
				Sent:    at, First: at + time.Millisecond, Done: at + 2*time.Millisecond, Status: 200, Pipeline: pipeline, ETag: fmt.Sprintf("%q", fmt.Sprint(id, pipeline)),
			}
			switch rng.IntN(4) {
			case 0:
				s.Put, s.Class, s.ID, s.Pipeline = true, storm.Publish, id.Candidate(pipeline), ""
			case 1:
				s.Class, s.ID = storm.Probe, id.Candidate(pipeline)
			}
			if rng.IntN(10) == 0 {
				s.Status, s.ETag = []int{404, 500, 503}[rng.IntN(3)], ""
			}
			if !s.Put && s.Status == 200 && rng.IntN(50) == 0 {
				s.Damage = storm.Damage(1 + rng.IntN(3))
			}
			plain.Record(s)
			packed.Record(s)
		}
		if len(packed.fates.packed) == 0 || len(plain.fates.packed) > 0 {
			t.Fatalf("packed %d times and %d times, want some and none", len(packed.fates.packed), len(plain.fates.packed))
		}
		if got, want := packed.Copies(), plain.Copies(); !reflect.DeepEqual(got, want) {
			for i := range min(len(got), len(want)) {
				if !reflect.DeepEqual(got[i], want[i]) {
					t.Fatalf("seed %d: packed, copy %d is\n%+v\nwant\n%+v", seed, i, got[i], want[i])
				}
			}
			t.Fatalf("seed %d: packed, there are %d copies, want %d", seed, len(got), len(want))
		}
		if got, want := packed.Backend(), plain.Backend(); !reflect.DeepEqual(got, want) {
			t.Errorf("seed %d: packed, the figures are\n%+v\nwant\n%+v", seed, got, want)
		}
		if got, want := packed.Asked(), plain.Asked(); got != want {
			t.Errorf("seed %d: packed, %d segments were asked for, want %d", seed, got, want)
		}
	}
}

// An hour at 2,000 reads a second takes little memory, and reads none of it: what grows is a line for each copy.
func TestAnHourIsSmall(t *testing.T) {
	const renditions, edges, segments = 20, 200, 1800
	c := Config{Backend: "mem", Windows: []storm.Window{{Name: "storm", To: 2 * time.Hour}}, Due: func(id segment.ID) time.Duration { return time.Duration(id.Number+1) * 2 * time.Second }}
	names := make([]string, renditions)
	for i := range names {
		names[i] = fmt.Sprint("r", i)
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	all, journal := New(c), NewJournal(c)
	for n := range int64(segments) {
		at := time.Duration(n) * 2 * time.Second
		for r, name := range names {
			id := segment.ID{Event: "e", Rendition: name, Number: n}
			took := time.Duration(1+r) * time.Millisecond
			for _, p := range [...]string{"a", "b"} {
				journal.Record(storm.Sample{Request: storm.Request{At: at, Began: at, Put: true, Class: storm.Publish, ID: id.Candidate(p)}, Sent: at, Done: at + took, Status: 201, ETag: name + p})
			}
			reads := edges
			if n%20 != 0 {
				reads = 5 // reads take no memory (TestReadsTakeNoMemory): the time of this test goes into what does
			}
			for e := range reads {
				at := at + 2*time.Second + time.Duration(e)*time.Millisecond/2
				journal.Record(storm.Sample{Request: storm.Request{At: at, Began: at, Class: storm.LiveEdge, ID: id}, Sent: at, First: at + took/2, Done: at + took, Status: 200, ETag: name + "a", Pipeline: "a"})
			}
		}
		if err := all.Merge(journal.Cut()); err != nil {
			t.Fatal(err)
		}
	}
	if took := heap() - before; took > 16<<20 {
		t.Errorf("an hour with %d copies has taken %d MiB, want at most 16", 2*renditions*segments, took>>20)
	} else {
		t.Logf("an hour has taken %.1f MiB", float64(took)/(1<<20))
	}
	if got := all.Backend().Segments.Acknowledged; got != 2*renditions*segments {
		t.Errorf("acknowledged %d, want %d", got, 2*renditions*segments)
	}
}

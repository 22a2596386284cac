package live_test

import (
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/body"
	"origin-storm/storm/client"
	"origin-storm/storm/live"
	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
)

// ward is an origin that keeps both pipelines' copies, prefers a's, and does everything right. What answers is called with each
// answer to a read before it is sent, and may spoil it.
type ward struct {
	copies map[string]*ill // by the path of a publish
	spoil  func(w *ward, asked segment.ID, r *http.Request, a *ill)
	asked  map[string]int // how often each name was read
}

// ill is an answer, or the copy that it holds.
type ill struct {
	status         int
	pipeline, etag string
	body           []byte
}

func (o *ward) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		rec := httptest.NewRecorder() // reads the body as the smallest origin does
		s := newStore()
		s.ServeHTTP(rec, r)
		id, _ := segment.ParsePublish(r.URL.Path)
		o.copies[id.String()] = &ill{200, id.Pipeline, fmt.Sprintf("%q", id.Pipeline+fmt.Sprint(id.Number)), s.all[id.Asked().String()]}
		w.Header().Set("ETag", o.copies[id.String()].etag)
		w.WriteHeader(http.StatusCreated)
		return
	}
	id, _ := segment.ParseServe(r.URL.Path)
	a := ill{status: http.StatusNotFound}
	for _, p := range []string{"b", "a"} {
		if c := o.copies[id.Candidate(p).String()]; c != nil && (r.Header.Get("If-Match") == "" || r.Header.Get("If-Match") == c.etag) {
			a = *c
		}
	}
	o.asked[r.URL.Path]++
	if o.spoil != nil {
		o.spoil(o, id, r, &a)
	}
	if a.status == http.StatusOK {
		w.Header().Set("ETag", a.etag)
		w.Header().Set("Origin-Pipeline", a.pipeline)
	}
	w.WriteHeader(a.status)
	w.Write(a.body)
}

// TestDamageIsTold runs an event against origins that each break one promise, through the real executor, the recorder and the
// verdict: each breach is told by its own name, with the segment, the copy and the reader, and all others stay at zero.
func TestDamageIsTold(t *testing.T) {
	const bad = 4 // the segment that is spoilt
	fresh := func(pipeline string, n int64) []byte {
		return body.New(video(n).Candidate(pipeline), segment.Template{}, 20_000)
	}
	reading := func(r *http.Request) bool { return r.Header.Get("If-Match") == "" }
	only := func(f func(o *ward, r *http.Request, a *ill)) func(*ward, segment.ID, *http.Request, *ill) {
		return func(o *ward, id segment.ID, r *http.Request, a *ill) {
			if id.Number == bad && a.status == http.StatusOK {
				f(o, r, a)
			}
		}
	}
	for _, tt := range []struct {
		name     string
		spoil    func(o *ward, asked segment.ID, r *http.Request, a *ill)
		kind     string // empty: nothing is wrong
		n        int64
		pipeline string
		what     string
		code     verdict.Code
	}{
		{name: "a sound origin", code: verdict.Passed},
		{"mixes the pipelines in one body", only(func(o *ward, r *http.Request, a *ill) {
			a.body = slices.Concat(fresh("a", bad)[:6400], fresh("b", bad)[6400:])
		}),
			"cross-pipeline", 2, "a", "from byte 6400 on another pipeline's", verdict.Damaged},
		{"gives b's bytes as a's", only(func(o *ward, r *http.Request, a *ill) { a.body = fresh("b", bad) }), "cross-pipeline", 1, "a", "pipeline b's bytes as pipeline a's", verdict.Damaged},
		{"gives a's copy b's ETag", only(func(o *ward, r *http.Request, a *ill) {
			if reading(r) {
				a.etag = `"b4"`
			}
		}), "cross-pipeline", 1, "a", "ETag of pipeline b's copy", verdict.Damaged},
		{"gives an ETag of yesterday", only(func(o *ward, r *http.Request, a *ill) {
			if reading(r) {
				a.etag = `"old"`
			}
		}), "stale", 1, "a", "never told", verdict.Damaged},
		{"does not look at If-Match", only(func(o *ward, r *http.Request, a *ill) {
			if !reading(r) {
				*a = *o.copies[video(bad).Candidate("a").String()]
			}
		}), "stale", 1, "", "", verdict.Damaged},
		{"gives the segment before", only(func(o *ward, r *http.Request, a *ill) { a.body = fresh(a.pipeline, bad-1) }), "wrong", 2, "a", "whole, but it is /final/a/v/3.m4s", verdict.Damaged},
		{"cuts", only(func(o *ward, r *http.Request, a *ill) { a.body = a.body[:9000] }), "torn", 2, "a", "9000 bytes came, of 20000", verdict.Damaged},
		{"loses after it has acknowledged", func(o *ward, id segment.ID, r *http.Request, a *ill) {
			if id.Number == bad && r.Header.Get("If-Match") == `"b4"` {
				*a = ill{status: http.StatusNotFound}
			}
		}, "lost", 1, "b", "read back: 404", verdict.Damaged},
		{"takes back what it has served", func(o *ward, id segment.ID, r *http.Request, a *ill) {
			if id.Number == bad && reading(r) && o.asked[r.URL.Path] > 2 {
				*a = ill{status: http.StatusNotFound}
			}
		}, "out-of-order", 1, "", "it had been served at", verdict.Passed},
		{"goes back to the copy before", only(func(o *ward, r *http.Request, a *ill) {
			if n := o.asked[r.URL.Path]; reading(r) && n%2 == 0 {
				*a = *o.copies[video(bad).Candidate("b").String()]
			}
		}), "out-of-order", 1, "", "came again", verdict.Passed},
		{"is late", func(o *ward, id segment.ID, r *http.Request, a *ill) {
			if id.Number == bad && reading(r) && o.asked[r.URL.Path] == 1 {
				time.Sleep(1500 * time.Millisecond)
			}
		}, "late", 1, "a", "readable 1.000 s after", verdict.Passed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &ward{copies: map[string]*ill{}, asked: map[string]int{}, spoil: tt.spoil}
				one := make(chan struct{}, 1)
				c := virtual(t, func(w http.ResponseWriter, r *http.Request) {
					one <- struct{}{}
					defer func() { <-one }()
					o.ServeHTTP(w, r)
				})
				due := func(id segment.ID) time.Duration { return time.Duration(id.Number+1) * 2 * time.Second }
				p := storm.Plan{
					Requests: rereads(8), Windows: []storm.Window{{Name: "storm", To: 30 * time.Second}},
					Client: func(from string) storm.Client {
						if strings.HasPrefix(from, "packager") {
							return &client.Packager{}
						}
						return client.Direct{}
					},
				}
				rec := record.New(record.Config{Backend: "ward", Windows: p.Windows, Due: due})
				x, err := live.New(c)
				if err != nil {
					t.Fatal(err)
				}
				if err := x.Execute(t.Context(), p, rec); err != nil {
					t.Fatal(err)
				}
				b := rec.Backend()
				got := map[string]int64{"lost": b.Segments.Lost, "torn": b.Segments.Torn, "wrong": b.Segments.Wrong, "stale": b.Segments.Stale,
					"cross-pipeline": b.Segments.Cross, "out-of-order": b.Segments.OutOfOrder, "late": b.Segments.Late, "missed": b.Segments.Missed}
				maps.DeleteFunc(got, func(_ string, n int64) bool { return n == 0 })
				want := map[string]int64{}
				if tt.kind != "" {
					want[tt.kind] = tt.n
				}
				if !maps.Equal(got, want) {
					t.Errorf("segments = %v, want %v; offenders %+v", got, want, b.Offenders)
				}
				if int64(len(b.Offenders)) != tt.n {
					t.Fatalf("offenders = %+v, want %d", b.Offenders, tt.n)
				}
				if tt.n > 0 {
					f := b.Offenders[0]
					named := f.Kind == tt.kind && strings.HasSuffix(f.Segment, "/v/4.m4s") && (tt.pipeline == "" || f.Pipeline == tt.pipeline) && f.Reader != "" &&
						f.At > 8 && f.At < 16 && strings.Contains(f.What, tt.what)
					if !named {
						t.Errorf("offender = %+v, want %s of segment 4, pipeline %q, a reader, an instant from 8 to 16 s and %q", f, tt.kind, tt.pipeline, tt.what)
					}
				}
				r := record.Results{SegmentMS: 2000, Backends: []record.Backend{b}}
				verdict.Judge(&r, verdict.Conditions{Copies: rec.Copies()})
				if code := verdict.ExitCode(r); code != tt.code {
					t.Errorf("exit code %d (%s), want %d", code, r.Sentence, tt.code)
				}
			})
		})
	}
}

// rereads plans n segments: both pipelines publish a second before each is due, and one reader asks for it half a second before, and
// four times more.
func rereads(n int64) iter.Seq[storm.Request] {
	var all []storm.Request
	for i := range n {
		due := time.Duration(i+1) * 2 * time.Second
		for _, p := range []string{"a", "b"} {
			all = append(all, put(due-time.Second, p, i, 20_000))
		}
		for k := range 5 {
			all = append(all, read(due-500*time.Millisecond+time.Duration(k)*700*time.Millisecond, i))
		}
	}
	slices.SortStableFunc(all, func(a, b storm.Request) int { return int(a.At - b.At) })
	return slices.Values(all)
}

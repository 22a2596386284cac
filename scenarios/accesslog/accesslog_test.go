package accesslog_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"origin-storm/scenarios/accesslog"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestParseCommon(t *testing.T) {
	noon := at("2026-11-23T12:00:00Z")
	for _, c := range []struct {
		name, line string
		want       accesslog.Entry
		err        string
	}{
		{"common", `192.0.2.7 - - [23/Nov/2026:12:00:00 +0000] "GET /e/v/7.m4s HTTP/1.1" 200 5`, accesslog.Entry{At: noon, Coarse: true, Client: "192.0.2.7", Method: "GET", Path: "/e/v/7.m4s", Status: 200}, ""},
		{"combined", `::1 - bob [23/Nov/2026:13:00:00 +0100] "GET /e/v/7.m4s?token=\"x\" HTTP/2.0" 404 - "-" "a [b] player" 0.004`, accesslog.Entry{At: noon, Coarse: true, Client: "::1", Method: "GET", Path: "/e/v/7.m4s", Status: 404}, ""},
		{"a URL", `h - - [23/Nov/2026:12:00:00 +0000] "GET https://cdn.example/e/v/7.m4s HTTP/1.1" 206 5`, accesslog.Entry{At: noon, Coarse: true, Client: "h", Method: "GET", Path: "/e/v/7.m4s", Status: 206}, ""},
		{"empty", ``, accesslog.Entry{}, "no client"},
		{"no instant", `192.0.2.7 - - "GET / HTTP/1.1" 200 5`, accesslog.Entry{}, "no instant in brackets"},
		{"another instant", `192.0.2.7 - - [2026-11-23 12:00:00] "GET / HTTP/1.1" 200 5`, accesslog.Entry{}, `"2026-11-23 12:00:00" is no instant`},
		{"no request", `192.0.2.7 - - [23/Nov/2026:12:00:00 +0000] - 400 0`, accesslog.Entry{}, "no request in quotes"},
		{"an open quote", `192.0.2.7 - - [23/Nov/2026:12:00:00 +0000] "GET /\" 400 0`, accesslog.Entry{}, "no request in quotes"},
		{"an empty request", `192.0.2.7 - - [23/Nov/2026:12:00:00 +0000] "" 400 0`, accesslog.Entry{}, `"" is no request`},
		{"no status", `192.0.2.7 - - [23/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1"`, accesslog.Entry{}, `"" is no status`},
	} {
		e, err := accesslog.ParseCommon([]byte(c.line))
		check(t, c.name, e, c.want, err, c.err)
	}
}

func check(t *testing.T, name string, got, want accesslog.Entry, err error, about string) {
	t.Helper()
	switch {
	case about != "" && (err == nil || !strings.Contains(err.Error(), about)):
		t.Errorf("%s: %+v, %v, want an error with %q", name, got, err, about)
	case about == "" && (err != nil || !got.At.Equal(want.At)):
		t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
	case about == "":
		if got.At = want.At; got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestParseJSON(t *testing.T) {
	noon, past := at("2026-11-23T12:00:00Z"), at("2026-11-23T12:00:00.25Z")
	segment := accesslog.Entry{At: past, Method: "GET", Path: "/e/v/7.m4s", Client: "192.0.2.7", Status: 200}
	for _, c := range []struct {
		name, line string
		fields     accesslog.Fields
		want       accesslog.Entry
		err        string
	}{
		{"nginx", `{"msec":"1795435200.250","remote_addr":"192.0.2.7","request":"GET /e/v/7.m4s?x=1 HTTP/1.1","status":"200"}`, accesslog.Fields{}, segment, ""},
		{"Cloudflare", `{"ClientIP":"192.0.2.7","ClientRequestMethod":"GET","ClientRequestURI":"/e/v/7.m4s","EdgeResponseStatus":200,"EdgeStartTimestamp":1795435200250000000}`, accesslog.Fields{}, segment, ""},
		{"Akamai", `{"version":1,"cliIP":"192.0.2.7","reqTimeSec":"1795435200.250","reqMethod":"GET","reqPath":"e%2Fv", "reqPath":"e/v/7.m4s","statusCode":"200","UA":"a \"{b\\" }`, accesslog.Fields{}, accesslog.Entry{At: past, Method: "GET", Path: "/e%2Fv", Client: "192.0.2.7", Status: 200}, ""},
		{"Fastly", `{"timestamp":"2026-11-23T12:00:00Z","client_ip":"192.0.2.7","request_method":"GET","url":"/e/v/7.m4s","response_status":200}`, accesslog.Fields{}, accesslog.Entry{At: noon, Coarse: true, Method: "GET", Path: "/e/v/7.m4s", Client: "192.0.2.7", Status: 200}, ""},
		{"CloudFront", `{"timestamp":1795435200250,"c-ip":"192.0.2.7","cs-method":"GET","cs-uri-stem":"\/e\/v\/7.m4s","sc-status":"200"}`, accesslog.Fields{}, segment, ""},
		{"other names", `{"when":1795435200250000,"who":"192.0.2.7","what":"GET /e/v/7.m4s HTTP/1.1","how":200,"time":"never","path":"/"}`, accesslog.Fields{Time: "when", Client: "who", Path: "what", Status: "how"}, segment, ""},
		{"nested and escaped", `{"tags":[1,{"url":"/no"}],"\u0075rl":"/e/v/7.m4s","time":1795435200,"null":null}`, accesslog.Fields{}, accesslog.Entry{At: noon, Coarse: true, Path: "/e/v/7.m4s"}, ""},
		{"no JSON", `GET /`, accesslog.Fields{}, accesslog.Entry{}, "no JSON object"},
		{"half an object", `{"time": 1795435200, "url"}`, accesslog.Fields{}, accesslog.Entry{}, "no JSON object"},
		{"no instant", `{"url":"/"}`, accesslog.Fields{}, accesslog.Entry{}, "no field for the instant: looked for EdgeStartTimestamp"},
		{"no path of that name", `{"time":1795435200,"url":"/"}`, accesslog.Fields{Path: "uri"}, accesslog.Entry{}, "no field for the path: looked for uri"},
		{"an instant of words", `{"time":"noon","url":"/"}`, accesslog.Fields{}, accesslog.Entry{}, `"noon" is no instant`},
		{"a status of words", `{"time":1795435200,"url":"/","status":"OK"}`, accesslog.Fields{}, accesslog.Entry{}, `"OK" is no status`},
		{"an empty path", `{"time":1795435200,"url":""}`, accesslog.Fields{}, accesslog.Entry{}, `"" is no path`},
	} {
		e, err := accesslog.ParseJSON([]byte(c.line), c.fields)
		check(t, c.name, e, c.want, err, c.err)
	}
}

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		rendition     string
		number        int64
		ok            bool
	}{
		{"/{rendition}/{number}.m4s", "/live/final/v720/12.m4s", "v720", 12, true},
		{"{rendition}/{number}.m4s", "/v720/12.m4s", "v720", 12, true},
		{"/{rendition}/{number}.m4s", "/v720/init.mp4", "", 0, false},
		{"/{rendition}/{number}.m4s", "/v720/-2.m4s", "", 0, false},
		{"/{rendition}/{number}.m4s", "12.m4s", "", 0, false},
		{"/{rendition}/{number}.m4s", "//12.m4s", "", 0, false},
		{"/out/*/seg_{rendition}_{number}.m4s", "/x/out/8f3/seg_video_1_0012.m4s", "", 0, false},
		{"/out/*/seg_{rendition}-{number}.m4s", "/x/out/8f3/seg_video_1-0012.m4s", "video_1", 12, true},
		{"/out/*/seg_{rendition}-{number}.m4s", "/x/in/8f3/seg_video_1-0012.m4s", "", 0, false},
		{"/chunk-stream{rendition}-{number}*", "/chunk-stream0-00012.m4s", "", 0, false}, // two side by side are refused below
		{"/{number}/{rendition}", "/99/a128", "a128", 99, true},
		{"/{rendition}/{number}.m4s", "/v/99999999999999999999.m4s", "", 0, false},
	} {
		p, err := accesslog.ParsePattern(c.pattern)
		if err != nil {
			if c.ok {
				t.Errorf("ParsePattern(%s) = %v", c.pattern, err)
			}
			continue
		}
		rendition, number, ok := p.Match(c.path)
		if ok != c.ok || ok && (rendition != c.rendition || number != c.number) {
			t.Errorf("%s: Match(%s) = %q, %d, %v, want %q, %d, %v", c.pattern, c.path, rendition, number, ok, c.rendition, c.number, c.ok)
		}
	}
	for pattern, want := range map[string]string{
		"/{number}.m4s": "it needs {rendition} and {number}", "/{rendition}{number}": "side by side", "/{rendition}/{numbr}": "there is no {numbr}",
		"/{rendition": "not closed", "/{rendition}/{rendition}/{number}": "twice",
	} {
		if _, err := accesslog.ParsePattern(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParsePattern(%s) = %v, want an error with %q", pattern, err, want)
		}
	}
}

func config(t *testing.T, renditions ...string) accesslog.Config {
	t.Helper()
	p, err := accesslog.ParsePattern(accesslog.DefaultPattern)
	if err != nil {
		t.Fatal(err)
	}
	return accesslog.Config{Path: p, Renditions: renditions, Segment: 2 * time.Second}
}

// all reads a log to its end.
func all(t *testing.T, in io.Reader, c accesslog.Config) ([]accesslog.Request, *accesslog.Reader) {
	t.Helper()
	r, err := accesslog.NewReader(in, c)
	if err != nil {
		t.Fatal(err)
	}
	var requests []accesslog.Request
	for {
		q, err := r.Next()
		if err == io.EOF {
			return requests, r
		} else if err != nil {
			t.Fatal(err)
		}
		requests = append(requests, q)
	}
}

// line is one of a log that begins at noon.
func line(after time.Duration, client, rendition string, number, status int) string {
	return fmt.Sprintf(`{"time":%q,"client_ip":%q,"url":"/e/%s/%d.m4s","status":%d}`+"\n", at("2026-11-23T12:00:00Z").Add(after).Format(time.RFC3339Nano), client, rendition, number, status)
}

// Lines within ten seconds of their turn are put into order, what is later is counted, and the live edge is where the newest segment is
// that was there.
func TestReader(t *testing.T) {
	const s = time.Second
	log := "\ufeff" + line(1*s, "a", "v", 100, 200) + // the newest one
		"# a comment\n\n" +
		line(0, "b", "v", 90, 200) + // earlier than the line above; ten behind the newest, which was not asked for yet
		line(2500*time.Millisecond, "a", "v", 102, 404) + // not there yet
		line(2*s, "a", "w", 40, 200) + // w is another numbering
		line(3*s, "c", "v", 101, 200) +
		line(4*s, "c", "v", 99, 200) +
		line(4*s, "c", "x", 1, 200) + // does not count
		"{\n" +
		line(30*s, "a", "v", 114, 200) +
		line(45*s, "a", "v", 121, 200) +
		line(46*s, "a", "v", 120, 200) +
		line(20*s, "a", "v", 109, 200) // too late
	got, r := all(t, strings.NewReader(log), config(t, "v", "w"))
	var pictures []string
	for _, q := range got {
		pictures = append(pictures, fmt.Sprintf("%v %d:%d", q.At, q.Rendition, q.Behind))
	}
	want := "0s 0:9 1s 0:0 2s 1:0 2.5s 0:-2 3s 0:0 4s 0:2 30s 0:0 45s 0:0 46s 0:1"
	if strings.Join(pictures, " ") != want {
		t.Errorf("requests %v,\nwant      %v", strings.Join(pictures, " "), want)
	}
	if got[1].Client == got[0].Client || got[1].Client != got[3].Client {
		t.Errorf("clients %d, %d, %d, want the second and fourth request to be of one", got[0].Client, got[1].Client, got[3].Client)
	}
	n := r.Counts()
	if n.Lines != 14 || n.Requests != 9 || n.Others != 1 || n.Unreadable != 1 || n.Late != 1 || n.Length != 46*s || strings.Join(n.Unknown, " ") != "x" {
		t.Errorf("Counts() = %+v, want 14 lines: 9 requests, 1 other, 1 unreadable, 1 late, a comment and an empty one; 46 s", n)
	}
	if n.Bad == nil || !strings.Contains(n.Bad.Error(), "line 10: ") {
		t.Errorf("Counts().Bad = %v, want line 10 named", n.Bad)
	}
}

// The example's two forms and its compressed one say the same, but for the fractions of seconds that one of them has not.
func TestExampleReads(t *testing.T) {
	src, err := os.ReadFile("../example.log")
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(src)
	z.Close()
	combined, err := os.ReadFile("testdata/combined.log")
	if err != nil {
		t.Fatal(err)
	}
	plain, r := all(t, bytes.NewReader(src), config(t, "v1080", "v720", "a128"))
	if phase := r.Phase() % (2 * time.Second); phase > 10*time.Millisecond && phase < 1990*time.Millisecond {
		t.Errorf("Phase() = %v, want new segments every 2 s from the log's begin on", r.Phase())
	}
	if n := r.Counts(); n.Others != 12 || n.Unreadable != 0 || n.Late != 0 {
		t.Errorf("Counts() = %+v, want 12 manifests, and nothing wrong", n)
	}
	live, old, ahead := 0, 0, 0
	for _, q := range plain {
		switch {
		case q.Behind == 0:
			live++
		case q.Behind > 0:
			old++
		default:
			ahead++
		}
	}
	if live != 12*8*3 || old < 10 || ahead < 2 {
		t.Errorf("%d requests at the live edge, %d behind, %d ahead of it, want 288 and some", live, old, ahead)
	}
	again, _ := all(t, &zipped, config(t, "v1080", "v720", "a128"))
	if fmt.Sprint(again) != fmt.Sprint(plain) {
		t.Error("compressed, the log says something else")
	}
	c := config(t, "v1080", "v720", "a128")
	c.Spread = func(line int64) float64 { return float64(line%10) / 10 }
	coarse, _ := all(t, bytes.NewReader(combined), c)
	if len(coarse) != len(plain) {
		t.Errorf("%d requests in the combined format, want %d", len(coarse), len(plain))
	}
	for i := 1; i < len(coarse); i++ {
		if coarse[i].At < coarse[i-1].At {
			t.Fatalf("request %d at %v comes after one at %v", i, coarse[i].At, coarse[i-1].At)
		}
	}
}

func TestScan(t *testing.T) {
	ok := line(0, "a", "v", 1, 200)
	for _, c := range []struct{ name, log, want string }{
		{"empty", "", "it is empty"},
		{"of something else", strings.Repeat("hello\n", 3), "3 of 3 lines make no sense; the first is line 1: no client"},
		{"two in a hundred", strings.Repeat(ok, 98) + "{\n{\n", "2 of 100 lines make no sense; the first is line 99: no JSON object; is its format one of common, json?"},
		{"other renditions", line(0, "a", "w", 1, 200) + line(0, "a", "x", 1, 200), "it knows none of the renditions v, but w, x: name in readers.replay.renditions"},
		{"other paths", `{"time":1795435200,"url":"/seg-1.ts"}`, "no path has the form /{rendition}/{number}.m4s; /seg-1.ts, for one, has not: say in readers.replay.path"},
		{"comments", "#Version: 1.0\n", "no line asks for a segment"},
		{"a line without end", strings.Repeat("x", 200_000), "line 1: it has more than 65536 bytes"},
	} {
		_, _, err := accesslog.Scan(strings.NewReader(c.log), config(t, "v"))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Scan of a log that is %s = %v, want an error with %q", c.name, err, c.want)
		}
	}
	n, digest, err := accesslog.Scan(strings.NewReader(strings.Repeat(ok, 100)+"{\n"), config(t, "v"))
	if err != nil || n.Requests != 100 || n.Unreadable != 1 || len(digest) != len("sha256:")+64 {
		t.Errorf("Scan of 100 lines and a bad one = %+v, %s, %v, want them counted", n, digest, err)
	}
	broken := io.MultiReader(strings.NewReader(ok), &failing{})
	if _, _, err := accesslog.Scan(broken, config(t, "v")); !errors.Is(err, errDisk) {
		t.Errorf("Scan of a file that cannot be read on = %v, want that error", err)
	}
}

var errDisk = errors.New("disk")

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errDisk }

// TestMemory: what is kept does not grow with the log.
func TestMemory(t *testing.T) {
	const lines = 300_000
	in, out := io.Pipe()
	go func() {
		for i := range lines {
			io.WriteString(out, line(time.Duration(i)*10*time.Millisecond, "a", "v", i/200, 200))
		}
		out.Close()
	}()
	r, err := accesslog.NewReader(in, config(t, "v"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err = r.Next(); err == nil; _, err = r.Next() {
		n++
		if ahead := int(r.Counts().Lines) - n; ahead > 1100 {
			t.Fatalf("%d lines are kept after %d requests, want those of ten seconds, 1000", ahead, n)
		}
	}
	if err != io.EOF || n != lines {
		t.Errorf("%d requests, %v, want %d", n, err, lines)
	}
}

func FuzzParseCommon(f *testing.F) {
	f.Add([]byte(`192.0.2.7 - - [23/Nov/2026:12:00:00 +0000] "GET /e/v/7.m4s HTTP/1.1" 200 5`))
	f.Add([]byte(`- - - [23/Nov/2026:12:00:00 +0000] "GET http://h/ \" HTTP/1.1" 200 5`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := accesslog.ParseCommon(line)
		if err == nil && (e.Path == "" || e.Path[0] != '/' || e.At.IsZero() && e.At.Year() != 1 || e.Status < 0 || e.Status > 999) {
			t.Errorf("ParseCommon(%q) = %+v", line, e)
		}
	})
}

// FuzzParseJSON: what is an object to encoding/json is one here, with the same values.
func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{"time":"2026-11-23T12:00:00Z","client_ip":"192.0.2.7","url":"/e/v/7.m4s","status":200}`))
	f.Add([]byte(`{"msec":1795435200.25,"request":"GET \u002fe HTTP/1.1","x":[{"a":"}"}],"status":"404"}`))
	f.Add([]byte(` {"a":"\\","b" : {"c":[1,2,{}]} , "time":1e9 } `))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := accesslog.ParseJSON(line, accesslog.Fields{Time: "t", Path: "p", Client: "c", Status: "s"})
		if err == nil && (e.Path == "" || e.Path[0] != '/') {
			t.Errorf("ParseJSON(%q) = %+v", line, e)
		}
		var o map[string]any
		if bytes.ContainsAny(line, "\r\n") || json.Unmarshal(line, &o) != nil {
			return
		}
		if err != nil && strings.Contains(err.Error(), "no JSON object") && o != nil {
			t.Errorf("ParseJSON(%q) = %v; encoding/json reads %v", line, err, o)
		}
	})
}

// FuzzReader: whatever a log holds, requests come in order, and each line is counted once.
func FuzzReader(f *testing.F) {
	f.Add([]byte(line(0, "a", "v", 1, 200)+line(time.Second, "b", "v", 2, 200)+"{\n"), "/{rendition}/{number}.m4s")
	f.Add([]byte("\x1f\x8b\x08\x00"), "*/{rendition}-{number}")
	f.Fuzz(func(t *testing.T, log []byte, pattern string) {
		p, err := accesslog.ParsePattern(pattern)
		if err != nil {
			return
		}
		r, err := accesslog.NewReader(bytes.NewReader(log), accesslog.Config{Path: p, Renditions: []string{"v", "w"}, Segment: time.Second})
		if err != nil {
			return
		}
		last, n := time.Duration(0), int64(0)
		for {
			q, err := r.Next()
			if err != nil {
				break
			}
			if q.At < last || q.Rendition < 0 || q.Rendition > 1 {
				t.Fatalf("%+v after %v", q, last)
			}
			last = q.At
			n++
		}
		if c := r.Counts(); c.Requests != n || c.Requests+c.Others+c.Unreadable+c.Late > c.Lines {
			t.Errorf("Counts() = %+v after %d requests", c, n)
		}
	})
}

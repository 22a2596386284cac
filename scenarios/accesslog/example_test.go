package accesslog_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the example logs anew")

// example is what a CDN's eight nodes logged for 24 s of an event of three renditions with segments of 2 s: each node asks for each new
// segment within 150 ms after it was due; some ask early, some seek, some ask for what is not there. Lines come when answers ended, so
// that not all of them are in order.
func example(seed uint64) (lines []exampleLine) {
	rng := rand.New(rand.NewPCG(seed, 0))
	start := time.Date(2026, 11, 23, 20, 15, 0, 0, time.UTC)
	const first = 897_707_250
	ms := func(n int) time.Duration { return time.Duration(rng.IntN(n)) * time.Millisecond }
	add := func(at, took time.Duration, client int, rendition string, number, status int) {
		lines = append(lines, exampleLine{
			ended: at + took, Time: start.Add(at).Format("2006-01-02T15:04:05.000Z07:00"), Client: fmt.Sprintf("198.51.100.%d", 10+client),
			Method: "GET", Path: fmt.Sprintf("/live/final/%s/%d.m4s", rendition, number), Status: status,
		})
	}
	for n := range 12 {
		due := time.Duration(n)*2*time.Second + 700*time.Millisecond
		for client := range 8 {
			for _, rendition := range []string{"v1080", "v720", "a128"} {
				add(due+ms(150), 5*time.Millisecond+ms(200), client, rendition, first+n, 200)
				if n > 2 && rng.IntN(12) == 0 { // somebody seeks
					add(due+ms(1900), ms(50), client, rendition, first+rng.IntN(n), 200)
				}
				if rng.IntN(60) == 0 { // somebody's clock is wrong
					add(due+ms(1900), ms(20), client, rendition, first+n+3, 404)
				}
			}
		}
		add(due+ms(500), ms(10), n%8, "..", 0, 200)
		lines[len(lines)-1].Path = "/live/final/live.mpd?session=" + fmt.Sprint(n)
	}
	slices.SortStableFunc(lines, func(a, b exampleLine) int { return int(a.ended - b.ended) })
	return lines
}

type exampleLine struct {
	ended  time.Duration
	Time   string `json:"time"`
	Client string `json:"client_ip"`
	Method string `json:"method"`
	Path   string `json:"url"`
	Status int    `json:"status"`
}

// common is the line as an HTTP server writes it, in whole seconds.
func (l exampleLine) common() string {
	at, _ := time.Parse(time.RFC3339Nano, l.Time)
	return fmt.Sprintf("%s - - [%s] %q %d 52000 \"-\" \"player/1.0\"", l.Client, at.Format("02/Jan/2006:15:04:05 -0700"), l.Method+" "+l.Path+" HTTP/1.1", l.Status)
}

// The logs of the library and of the tests are the example's, and nothing of them was written by hand.
func TestExampleLogs(t *testing.T) {
	var asJSON, asCommon bytes.Buffer
	for _, l := range example(1) {
		b, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		asJSON.Write(append(b, '\n'))
		asCommon.WriteString(l.common() + "\n")
	}
	for file, want := range map[string][]byte{"../example.log": asJSON.Bytes(), "testdata/combined.log": asCommon.Bytes()} {
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not the example (%v); run with -update", file, err)
		}
	}
}

package abusetest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/segment"
)

// Paths that are tricks name nothing: they are refused by the client's fault, never by ours, and reach no store.
func TestPathTricks(t *testing.T) {
	d := deploy(t, nil)
	before := d.serve.stats(t)
	for _, path := range []string{
		"/ev/v/../v/1.m4s", "/ev//v/1.m4s", "//ev/v/1.m4s", "/ev/v/1.m4s/", "/ev/v/01.m4s", "/ev/v/+1.m4s", "/ev/v/-1.m4s", "/ev/v/1e3.m4s",
		"/ev/v/%31.m4s", "/ev/%76/1.m4s", "/ev/v%2f1.m4s", "/ev/v/1.m4s%00", "/ev/v/1.m4s%0d%0aX:y", "/%2e%2e/etc/passwd", "/ev/v/..%2f..%2f1.m4s",
		"/ev/v/99999999999999999999999.m4s", "/ev/v/" + strings.Repeat("9", 5000) + ".m4s", "/" + strings.Repeat("a/", 4000), "/ev/v/1.m4s;x=y", "/ev/v/1.M4S",
		"/ev/v/0x1.m4s", "/ev/v/１.m4s", "/ev/\xff/1.m4s", "*", "/", "/stats", "/metrics", "/events/ev/control", "/debug/pprof/", "http://127.0.0.1/ev/v/1.m4s/",
	} {
		for _, node := range []struct{ method, addr string }{{"GET", d.serve.Serve}, {"HEAD", d.serve.Serve}, {"PUT", d.publish.Publish}, {"DELETE", d.publish.Publish}} {
			status, _, _, err := raw(t, node.addr, node.method+" "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			if node.method == "HEAD" && err != nil {
				continue // ReadResponse takes it for a GET's answer, whose body never comes
			}
			if status < 400 || status > 499 {
				t.Errorf("%s %.60q = %d, %v, want a refusal", node.method, path, status, err)
			}
		}
	}
	if after := d.serve.stats(t); after.Storage != before.Storage {
		t.Errorf("tricks reached the store: storage counts were %+v and are %+v", before.Storage, after.Storage)
	}
	for _, framing := range []string{
		"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Content-Length: -1\r\n\r\n",
		"Content-Length: 99999999999999999999\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	} {
		id := segment.ID{Event: event, Rendition: attacked, Number: 1}.Candidate("a")
		status, _, _, err := raw(t, d.publish.Publish, fmt.Sprintf("PUT %v HTTP/1.1\r\nHost: x\r\n%s", id, framing))
		if err == nil && status < 400 && !strings.HasPrefix(framing, "Content-Length: 5\r\nTransfer") {
			t.Errorf("PUT with %q = %d, want a refusal", framing, status)
		}
	}
	if stored := d.publish.stats(t).Publish.Stored; stored != 0 {
		t.Errorf("tricks stored %d segments", stored)
	}
}

// No range, and no list of ranges, makes the node send more than the segment, or take memory for it.
func TestRangeTricks(t *testing.T) {
	d := deploy(t, nil)
	id := segment.ID{Event: event, Rendition: attacked, Number: d.clock.Next(time.Now())}
	body := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
	d.mustPut(t, id, body)
	many := "bytes=" + strings.TrimSuffix(strings.Repeat("0-,", 1500), ",")
	for _, r := range []string{
		many, "bytes=" + strings.TrimSuffix(strings.Repeat("0-0,", 1500), ","), "bytes=5-4", "bytes=-0", "bytes=9999999-", "bytes=0-99999999999999999999", "bytes=-99999999999999999999",
		"bytes=0-1,", "bytes=a-b", "bytes=--1", "items=0-1", "bytes", "bytes=0-1;0-2", "bytes=" + strings.Repeat(" ", 2000) + "0-1", "bytes=0-" + strings.Repeat("9", 3000),
	} {
		status, header, size, err := raw(t, d.serve.Serve, fmt.Sprintf("GET %v HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: %s\r\n\r\n", id, r))
		if err != nil || !slices.Contains([]int{http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable}, status) {
			t.Errorf("GET with Range %.40q = %d, %v, want 200, 206 or 416", r, status, err)
		}
		if size > int64(len(body)) {
			t.Errorf("GET with Range %.40q sent %d bytes of a segment of %d (%v)", r, size, len(body), header)
		}
	}
	d.serve.within(t, 128<<20)
	d.serve.recovers(t, 10*time.Second)
}

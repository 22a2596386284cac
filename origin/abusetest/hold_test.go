package abusetest_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/segment"
)

// holders is how many requests a node holds at most by default.
const holders = 10_000

// holderEnv, in the environment of this program, makes it the holders' process: "address path". It has file descriptors of its own.
const holderEnv = "ABUSETEST_HOLD"

var dialer = net.Dialer{Timeout: 10 * time.Second}

// hold sends one request on each of 10,000 connections, says "sent", and then, for all answers, how many there were of each
// status and content.
func hold(list string) int {
	addr, path, _ := strings.Cut(list, " ")
	conns := make([]net.Conn, holders)
	for i := range conns {
		conn, err := dialer.Dial("tcp", addr)
		if err == nil {
			_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "holder", i, err)
			return 1
		}
		conns[i] = conn
	}
	fmt.Println("sent")
	var mu sync.Mutex
	counts := map[string]int{}
	var wg sync.WaitGroup
	for _, conn := range conns {
		wg.Go(func() {
			defer conn.Close()
			_ = conn.SetReadDeadline(time.Now().Add(2 * long))
			var answer string
			res, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil)
			if err == nil {
				sum := sha256.New()
				if _, err = io.Copy(sum, res.Body); err == nil {
					answer = fmt.Sprintf("%d %x", res.StatusCode, sum.Sum(nil))
				}
			}
			if err != nil {
				answer = "failed: " + err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			counts[answer]++
		})
	}
	wg.Wait()
	for answer, n := range counts {
		fmt.Println(n, answer)
	}
	return 0
}

// 10,000 requests are held at once, one more is refused, all get the segment the moment it is there, and 40 KiB for each connection is
// all that it costs.
func TestTenThousandHolds(t *testing.T) {
	d := deploy(t, func(_, serve *config.Node) {
		serve.Limits.Serve.Connections = holders + 100
	})
	next := segment.ID{Event: event, Rendition: attacked, Number: d.clock.Next(time.Now())}
	stop := d.packager(t, nil)
	self := exec.CommandContext(t.Context(), os.Args[0])
	self.Env = append(os.Environ(), holderEnv+"="+d.serve.Serve+" "+next.String())
	self.Stderr = os.Stderr
	out, err := self.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "sent" {
		t.Fatalf("the holders said %q, want \"sent\"", lines.Text())
	}
	for d.serve.stats(t).Serve.Holding < holders {
		if !every(t.Context(), 50*time.Millisecond) || time.Now().After(d.clock.Due(next.Number)) {
			t.Fatalf("%d requests are held, want %d", d.serve.stats(t).Serve.Holding, holders)
		}
	}
	status, header, _, err := raw(t, d.serve.Serve, "GET "+next.String()+" HTTP/1.1\r\nHost: x\r\n\r\n")
	if status != http.StatusServiceUnavailable || header.Get("Cache-Control") != "no-store" {
		t.Errorf("GET with a full hold table = %d, %v, Cache-Control %q, want 503, no-store", status, err, header.Get("Cache-Control"))
	}
	body := bytes.Repeat([]byte("held "), 13_000) // 65 kB
	d.mustPut(t, next, body)
	want := fmt.Sprintf("%d 200 %x", holders, sha256.Sum256(body))
	if !lines.Scan() || lines.Text() != want {
		t.Errorf("the holders were answered %q, want %q", lines.Text(), want)
	}
	for lines.Scan() {
		t.Errorf("and %q", lines.Text())
	}
	if err := self.Wait(); err != nil {
		t.Error(err)
	}
	stop()
	d.serve.within(t, 64<<20+holders*40<<10)
	d.publish.within(t, 128<<20)
	d.serve.recovers(t, 20*time.Second)
}

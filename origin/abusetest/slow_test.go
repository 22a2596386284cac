package abusetest_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/segment"
)

const (
	crowd     = 1000 // connections that hardly move
	slowFor   = 8 * time.Second
	slowSpeed = 100_000 // bytes a second
	// memory is the setting that the node has to stay within. The heap may be twice what lives on it when it is collected, and a
	// connection has its buffers and stacks besides.
	memory     = 96 << 20
	slowMemory = 64<<20 + 2*memory + crowd*40<<10
)

// narrow dials connections whose receiver takes little at a time, so that what a slow reader has not read waits at the sender.
var narrow = net.Dialer{Timeout: 10 * time.Second, Control: func(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10) }); e != nil {
		return e
	}
	return err
}}

// A thousand readers at 100 kB/s, spread over more segments than fit into the node's memory, get what fits and else 503; the live edge
// is read and published as if they were not there.
func TestSlowReaders(t *testing.T) {
	d := deploy(t, func(_, serve *config.Node) {
		serve.Serving.Memory = memory
	})
	const segments = 48
	body := bytes.Repeat([]byte("slow"), 1<<20) // 4 MiB
	for n := range int64(segments) {
		d.mustPut(t, segment.ID{Event: event, Rendition: attacked, Number: n + 1}, body)
	}
	edge := segment.ID{Event: event, Rendition: attacked, Number: d.clock.Next(time.Now())}
	d.mustPut(t, edge, body[:64<<10])
	stop := d.packager(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), slowFor)
	defer cancel()
	var served, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range crowd {
		wg.Go(func() {
			switch status, err := readSlowly(ctx, d.serve.Serve, segment.ID{Event: event, Rendition: attacked, Number: int64(i%segments) + 1}); {
			case err != nil && ctx.Err() == nil:
				t.Errorf("slow reader %d: %v", i, err)
			case status == http.StatusOK:
				served.Add(1)
			case status == http.StatusServiceUnavailable:
				refused.Add(1)
			case ctx.Err() == nil:
				t.Errorf("slow reader %d was answered %d, want 200 or 503", i, status)
			}
		})
	}
	var reads int
	var worst time.Duration
	for every(ctx, 250*time.Millisecond) {
		began := time.Now()
		status, _, size, err := raw(t, d.serve.Serve, fmt.Sprintf("GET %v HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", edge))
		worst = max(worst, time.Since(began))
		reads++
		if status != http.StatusOK || size != 64<<10 {
			t.Errorf("beside the slow readers GET of the live edge = %d with %d bytes, %v, want 200", status, size, err)
		}
	}
	wg.Wait()
	stop()
	used := d.serve.stats(t).Serve.Memory
	t.Logf("%d slow readers were served, %d refused; %d reads of the live edge took at most %v; memory %+v", served.Load(), refused.Load(), reads, worst.Round(time.Millisecond), used)
	if served.Load() == 0 || reads == 0 {
		t.Error("nobody was served")
	}
	if used.MaxUsed > memory {
		t.Errorf("%d bytes of bodies were in memory, the setting is %d", used.MaxUsed, memory)
	}
	d.serve.within(t, slowMemory)
	d.serve.recovers(t, 20*time.Second)
}

// readSlowly asks for id and reads the answer at 100 kB/s until ctx ends.
func readSlowly(ctx context.Context, addr string, id segment.ID) (status int, err error) {
	conn, err := narrow.DialContext(ctx, "tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := fmt.Fprintf(conn, "GET %v HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", id); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(conn, 4<<10), nil)
	if err != nil {
		return 0, err
	}
	piece := make([]byte, slowSpeed/10)
	for err == nil && every(ctx, 100*time.Millisecond) {
		_, err = io.ReadFull(res.Body, piece)
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return res.StatusCode, err
}

// A thousand bodies that never end, half of them announced as 32 MiB and half in chunks, take no more memory than the setting, and a
// packager that does its work gets through.
func TestEndlessBodies(t *testing.T) {
	d := deploy(t, func(publish, _ *config.Node) {
		publish.Publishing.Memory = memory
	})
	stop := d.packager(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), slowFor)
	defer cancel()
	var wg sync.WaitGroup
	var began atomic.Int64
	for i := range crowd {
		wg.Go(func() {
			conn, err := dialer.DialContext(ctx, "tcp", d.publish.Publish)
			if err != nil {
				t.Errorf("sender %d: %v", i, err)
				return
			}
			defer conn.Close()
			framing, piece := "Content-Length: 33554432\r\n\r\n", "xxxxx"
			if i%2 == 0 {
				framing, piece = "Transfer-Encoding: chunked\r\n\r\n", "5\r\nxxxxx\r\n"
			}
			_, err = fmt.Fprintf(conn, "PUT %v HTTP/1.1\r\nHost: x\r\n%s", segment.ID{Event: event, Pipeline: "a", Rendition: attacked, Number: int64(i) + 1}, framing)
			began.Add(1)
			for err == nil && every(ctx, 100*time.Millisecond) { // an error means that the node has sent the sender away
				_, err = io.WriteString(conn, piece)
			}
		})
	}
	wg.Wait()
	stop()
	used := d.publish.stats(t).Publish.Memory
	t.Logf("%d bodies were begun; memory %+v", began.Load(), used)
	if used.MaxUsed > memory {
		t.Errorf("%d bytes of bodies were in memory, the setting is %d", used.MaxUsed, memory)
	}
	d.publish.within(t, slowMemory)
	d.publish.recovers(t, 20*time.Second)
}

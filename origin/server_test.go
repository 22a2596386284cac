package origin_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin"
	"origin-storm/origin/config"
	"origin-storm/origin/origintest"
)

// listening starts a server in memory and returns how to connect to it.
func listening(t *testing.T, h http.Handler, limit config.Limit) (server *origin.Server, dial func() net.Conn) {
	t.Helper()
	var network origintest.Network
	server = origin.NewServer(h, limit, nil)
	l := network.Listen("o")
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		server.Close()
		serving.Wait()
		time.Sleep(time.Second) // after a refusal the server lingers, so that its answer is not lost with a reset
	})
	return server, func() net.Conn {
		t.Helper()
		conn, err := network.DialContext(t.Context(), "", "o")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
}

func fine(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") }

// ended returns after how long the server closed the connection, whatever it said before.
func ended(t *testing.T, conn net.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	if err := conn.SetReadDeadline(began.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the connection: %v, want its end", err)
	}
	return time.Since(began)
}

// 64 KiB of header are refused with 431, and not much more than the limit is read of them.
func TestHeaderTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := listening(t, http.HandlerFunc(fine), config.Limit{})
		for _, c := range []struct {
			size int
			want int
		}{{8 << 10, 200}, {64 << 10, 431}, {16 << 20, 431}} {
			conn := dial()
			var sent int
			var sending sync.WaitGroup
			sending.Go(func() {
				n, _ := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: o\r\n")
				line := "X: " + strings.Repeat("x", 995) + "\r\n"
				for sent = n; sent < c.size; sent += n {
					var err error
					if n, err = io.WriteString(conn, line); err != nil {
						sent += n
						return
					}
				}
				_, _ = io.WriteString(conn, "\r\n")
			})
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("%d bytes of header: %v", c.size, err)
			}
			conn.Close()
			sending.Wait()
			if res.StatusCode != c.want {
				t.Errorf("%d bytes of header: %d, want %d", c.size, res.StatusCode, c.want)
			}
			if sent > 32<<10 {
				t.Errorf("%d bytes of header: %d were read, want at most 32 KiB", c.size, sent)
			}
		}
	})
}

// Who connects and says nothing, stops in the middle of a header, or is idle, is sent away.
func TestSilence(t *testing.T) {
	for _, c := range []struct {
		name, says string
		limit      config.Limit
		want       time.Duration
	}{
		{"nothing", "", config.Limit{}, 10 * time.Second},
		{"half a header", "GET / HTTP/1.1\r\nHost: o\r\n", config.Limit{}, 10 * time.Second},
		{"a shorter limit", "GET / HT", config.Limit{HeaderTime: time.Second}, time.Second},
		{"a request, and no other", "GET / HTTP/1.1\r\nHost: o\r\n\r\n", config.Limit{}, 2 * time.Minute},
		{"a shorter idle time", "GET / HTTP/1.1\r\nHost: o\r\n\r\n", config.Limit{Idle: 5 * time.Second}, 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, dial := listening(t, http.HandlerFunc(fine), c.limit)
				conn := dial()
				_, _ = io.WriteString(conn, c.says)
				if got := ended(t, conn); got < c.want || got > c.want+time.Second {
					t.Errorf("after %q the connection ended in %v, want %v", c.says, got, c.want)
				}
				synctest.Wait()
				if open := server.Stats().Open; open != 0 {
					t.Errorf("%d connections are open, want 0", open)
				}
			})
		})
	}
}

// Who asks and asks and reads no answer is sent away, too.
func TestUnreadAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, dial := listening(t, http.HandlerFunc(fine), config.Limit{})
		conn := dial()
		began := time.Now()
		var err error
		for n := 0; err == nil && n < 1000; n++ {
			_, err = fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: o\r\n\r\n")
		}
		if took := time.Since(began); err == nil || took > 11*time.Minute {
			t.Errorf("sending ended after %v with %v, want an error within 11 min", took, err)
		}
		synctest.Wait()
		if open := server.Stats().Open; open != 0 {
			t.Errorf("%d connections are open, want 0", open)
		}
	})
}

// A body that no handler reads, and that never ends, does not hold its connection for ever.
func TestUnreadBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := listening(t, http.HandlerFunc(fine), config.Limit{})
		conn := dial()
		fmt.Fprint(conn, "PUT / HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n")
		if got := ended(t, conn); got > 10*time.Second {
			t.Errorf("the connection ended in %v, want at most 10 s", got)
		}
	})
}

// One connection too many is closed at once; those that are there go on, and when one of them ends there is room again.
func TestConnections(t *testing.T) {
	for name, limit := range map[string]config.Limit{"in all": {Connections: 3}, "from one address": {PerAddress: 3}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, dial := listening(t, http.HandlerFunc(fine), limit)
				ask := func(conn net.Conn) error {
					if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: o\r\n\r\n"); err != nil {
						return err
					}
					_, err := http.ReadResponse(bufio.NewReader(conn), nil)
					return err
				}
				var conns []net.Conn
				for i := range 3 {
					conns = append(conns, dial())
					if err := ask(conns[i]); err != nil {
						t.Errorf("connection %d: %v, want an answer", i, err)
					}
				}
				for range 100 {
					if err := ask(dial()); err == nil {
						t.Error("a fourth connection was answered")
					}
				}
				if s := server.Stats(); s.Open != 3 || s.Refused != 100 {
					t.Errorf("Stats() = %+v, want 3 open and 100 refused", s)
				}
				if err := ask(conns[0]); err != nil {
					t.Errorf("the first connection: %v, want another answer", err)
				}
				conns[0].Close()
				synctest.Wait()
				if err := ask(dial()); err != nil {
					t.Errorf("a connection in the place of another: %v, want an answer", err)
				}
			})
		})
	}
}

// A failed handshake is not worth a line, a handler's panic is.
func TestServerLog(t *testing.T) {
	var out bytes.Buffer
	s := origin.NewServer(nil, config.Limit{}, slog.New(slog.NewTextHandler(&out, nil)))
	s.ErrorLog.Printf("http: TLS handshake error from 192.0.2.1:1: EOF")
	s.ErrorLog.Printf("http: panic serving 192.0.2.1:1: %s", "oops")
	if text := out.String(); strings.Contains(text, "handshake") || !strings.Contains(text, `level=WARN msg="http: panic serving 192.0.2.1:1: oops"`) {
		t.Errorf("logged: %s, want the panic alone", text)
	}
}

// What clients make up does not grow what is counted.
func TestMadeUpMethods(t *testing.T) {
	o := origintest.Start(t, origintest.Config{})
	for i := range 100 {
		for _, h := range []http.Handler{o.Publish, o.Serve} {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(fmt.Sprintf("METHOD%d", i), fmt.Sprintf("/ev%d/a/v%d/%d.m4s", i, i, i), nil))
		}
	}
	if p, s := o.Publish.Stats().Requests, o.Serve.Stats().Requests; len(p) != 1 || p["other"][405] != 100 || len(s) != 1 {
		t.Errorf("Stats().Requests = %v and %v after 100 made-up methods, want one class", p, s)
	}
}

// Slow loris: many connections that each send a byte now and then are bounded in number and time, and what they leave is nothing.
func TestSlowLoris(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, dial := listening(t, http.HandlerFunc(fine), config.Limit{Connections: 1000})
		began := time.Now()
		var senders sync.WaitGroup
		for range 1500 {
			conn := dial()
			senders.Go(func() { _, _ = io.Copy(io.Discard, conn) })
			senders.Go(func() {
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: o\r\n"); err != nil {
					return
				}
				for {
					time.Sleep(500 * time.Millisecond)
					if _, err := io.WriteString(conn, "X"); err != nil {
						return
					}
				}
			})
		}
		senders.Wait()
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("the last one was sent away after %v, want 10 s", took)
		}
		synctest.Wait()
		if s := server.Stats(); s.Open != 0 || s.Refused != 500 {
			t.Errorf("Stats() = %+v, want none open and 500 refused", s)
		}
	})
}

// What is held when a node's drain ends is answered 503, not cut off.
func TestGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := origintest.Start(t, origintest.Config{})
		var asking sync.WaitGroup
		for range 3 {
			asking.Go(func() {
				began := time.Now()
				res, err := o.Client.Get(o.ServeURL + "/ev/v1/0.m4s")
				if err != nil {
					t.Errorf("a held request: %v, want an answer", err)
					return
				}
				res.Body.Close()
				if took := time.Since(began); res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" || !res.Close || took != time.Second {
					t.Errorf("a held request: %d after %v with %v, want 503 after a second, to be tried again elsewhere", res.StatusCode, took, res.Header)
				}
			})
		}
		time.Sleep(time.Second)
		o.ServeServer.GiveUp()
		asking.Wait()
		if r := o.Serve.Stats().Requests; r["live-edge"][503] != 3 {
			t.Errorf("Stats().Requests = %v, want three times 503", r)
		}
	})
}

// A connection that is refused is closed on a real network, too, and costs no descriptor.
func TestConnectionsOnLoopback(t *testing.T) {
	o := origintest.Start(t, origintest.Config{Loopback: true, Limits: config.Limits{Serve: config.Limit{Connections: 1}}})
	addr := strings.TrimPrefix(o.ServeURL, "http://")
	first, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	fmt.Fprint(first, "GET /ev/v1/999.m4s HTTP/1.1\r\nHost: o\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(first), nil); err != nil || res.StatusCode != 404 {
		t.Fatalf("the first connection: %v, want 404", err)
	}
	for range 50 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a second connection: %v, want its end", err)
		}
		conn.Close()
	}
	if s := o.ServeServer.Stats(); s.Open != 1 || s.Refused != 50 {
		t.Errorf("Stats() = %+v, want 1 open and 50 refused", s)
	}
}

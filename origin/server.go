package origin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"origin-storm/origin/config"
)

// ErrDraining is why the context of a request ends that Server.GiveUp answers.
var ErrDraining = errors.New("origin: this node is shutting down")

// Server is an http.Server whose connections are counted and bounded, and whose requests can be told to give up. Make it with
// NewServer.
type Server struct {
	*http.Server
	limit  config.Limit
	giveUp context.CancelCauseFunc

	mu      sync.Mutex // guards the following
	open    map[net.Conn]netip.Addr
	byAddr  map[netip.Addr]int
	refused int64
}

// ListenerStats counts the connections of a listener.
type ListenerStats struct {
	Open    int64 `json:"open" metric:"gauge"`
	Limit   int64 `json:"limit" metric:"gauge"`
	Refused int64 `json:"refused"` // closed at once, because there were too many
}

// The limits of a listener that names none.
const (
	defaultConnections = 16_384
	defaultHeaderBytes = 16 << 10
	defaultHeaderTime  = 10 * time.Second
	defaultIdle        = 2 * time.Minute
)

// wholeRequest bounds a request from its header to its answer's last byte, unless that is a segment, which is bounded by its
// progress. It is for those who read nothing, and lies far above what a slow packager of long segments needs.
const wholeRequest = 10 * time.Minute

// unread bounds how long a body may take that no handler reads. Those that do give it deadlines of their own.
const unread = 5 * time.Second

// NewServer returns a server for h with limits that suit segments: headers are small and come at once, while bodies are
// bounded by progress (the handlers see to that) and never by a fixed time, because a packager opens its request when the
// segment begins and ends it when the segment does. It speaks HTTP/1.1 alone. A nil log discards.
func NewServer(h http.Handler, limit config.Limit, log *slog.Logger) *Server {
	s := &Server{limit: limit, open: make(map[net.Conn]netip.Addr), byAddr: make(map[netip.Addr]int)}
	s.limit.Connections = cmp.Or(limit.Connections, defaultConnections)
	base, giveUp := context.WithCancelCause(context.Background())
	s.giveUp = giveUp
	s.Server = &http.Server{
		Handler:           bodies(h),
		ReadHeaderTimeout: cmp.Or(limit.HeaderTime, defaultHeaderTime),
		IdleTimeout:       cmp.Or(limit.Idle, defaultIdle),
		WriteTimeout:      wholeRequest,
		MaxHeaderBytes:    cmp.Or(limit.HeaderBytes, defaultHeaderBytes),
		ErrorLog:          stdlog.New(serverLog{logger(log)}, "", 0),
		ConnState:         s.track,
		BaseContext:       func(net.Listener) context.Context { return base },
		Protocols:         new(http.Protocols),
	}
	s.Protocols.SetHTTP1(true)
	return s
}

// GiveUp ends the contexts of all requests, so that those which wait are answered 503 instead of being cut off. It comes shortly
// before the end of a drain.
func (s *Server) GiveUp() { s.giveUp(ErrDraining) }

// Stats returns the counts so far.
func (s *Server) Stats() ListenerStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ListenerStats{Open: int64(len(s.open)), Limit: int64(s.limit.Connections), Refused: s.refused}
}

// track counts a connection, and closes a new one that is too many. An answer would cost what the limit saves.
func (s *Server) track(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if !s.admit(c) {
			_ = c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		s.mu.Lock()
		defer s.mu.Unlock()
		addr, counted := s.open[c]
		if !counted {
			return
		}
		delete(s.open, c)
		if s.byAddr[addr]--; s.byAddr[addr] == 0 {
			delete(s.byAddr, addr)
		}
	}
}

func (s *Server) admit(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var addr netip.Addr // of what is no network
	if ap, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
		addr = ap.Addr()
	}
	if len(s.open) >= s.limit.Connections || s.limit.PerAddress > 0 && s.byAddr[addr] >= s.limit.PerAddress {
		s.refused++
		return false
	}
	s.open[c] = addr
	s.byAddr[addr]++
	return true
}

// serverLog is what an http.Server logs to. That somebody's handshake failed is of interest to him alone, and he could fill the
// log with it.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.Contains(line, []byte("TLS handshake error")) {
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

// bodies gives the bodies that h does not read an end: the server reads them before the next request, for ever if it has to.
func bodies(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unread)) // not supported: then there is no connection
		}
		h.ServeHTTP(w, r)
	})
}

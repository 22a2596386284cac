package live

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"origin-storm/storm"
)

// errImpatient is the cause of a request's end whose asker waits no longer for the answer to begin.
var errImpatient = fmt.Errorf("live: the asker waits no longer for the answer to begin: %w", context.DeadlineExceeded)

// patient ends the returned context once q's asker waits no longer, unless began was called before.
func patient(ctx context.Context, q storm.Request) (waiting context.Context, began func()) {
	if q.Patience <= 0 {
		return ctx, func() {}
	}
	waiting, end := context.WithCancelCause(ctx)
	timer := time.AfterFunc(q.Patience, func() { end(errImpatient) })
	return waiting, func() { timer.Stop() }
}

const (
	// largest is a body that a paced read has the time for.
	largest = 32 << 20
	// bites is how many times a second a paced reader takes what it may.
	bites = 20
	// smallBuffer is the receive buffer of a paced reader's connections. The kernel's own grows to several megabytes over loopback,
	// and would take whole segments in the reader's place.
	smallBuffer = 64 << 10
)

// paced reads from r at a pace in bytes a second, while ctx lasts.
type paced struct {
	ctx   context.Context
	r     io.Reader
	pace  int64
	begin time.Time
	taken int64
}

func (p *paced) Read(b []byte) (int, error) {
	if p.begin.IsZero() {
		p.begin = time.Now()
	}
	n, err := p.r.Read(b[:min(len(b), int(max(1, p.pace/bites)))])
	p.taken += int64(n)
	timer := time.NewTimer(time.Until(p.begin.Add(time.Duration(float64(p.taken) / float64(p.pace) * float64(time.Second)))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return n, err
	case <-p.ctx.Done():
		return n, p.ctx.Err()
	}
}

// narrow is dial with small buffers.
func narrow(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if tcp, ok := c.(*net.TCPConn); ok && err == nil {
			err = tcp.SetReadBuffer(smallBuffer)
		}
		return c, err
	}
}

package stormtest

import (
	"context"
	"net"
	"syscall"
)

// Pipes is a network of one listener, whose connections are pipes in memory, so that a synctest bubble knows when all of them
// wait. NewPipes makes one.
type Pipes struct {
	conns chan net.Conn
	over  chan struct{}
}

// NewPipes returns a listener that nobody has dialled yet.
func NewPipes() *Pipes { return &Pipes{make(chan net.Conn), make(chan struct{})} }

// Accept waits for somebody to dial.
func (l *Pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

// Close refuses whoever dials from now on. It must not be called twice.
func (l *Pipes) Close() error { close(l.over); return nil }

// Addr is of no use: whatever address is dialled, this listener accepts.
func (l *Pipes) Addr() net.Addr { return &net.IPAddr{} }

// Dial connects to the listener.
func (l *Pipes) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.over:
		return nil, syscall.ECONNREFUSED
	}
}

var _ net.Listener = (*Pipes)(nil)

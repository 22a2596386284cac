package stage

import (
	"context"
	"net"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"origin-storm/origin/segment"
)

// slowed returns target with a network in which its answers to packagers come later by d: a regression of the publish path as its
// clients feel it, whatever the origin is. Where readers ask at the same address, theirs come later, too.
func slowed(target Target, d time.Duration) Target {
	var slow []string
	for _, s := range target.Publish.URLs {
		if u, err := url.Parse(s); err == nil {
			slow = append(slow, u.Host, net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme]))
		}
	}
	dial, wait := target.Dial, pause
	if dial == nil {
		dial = (&net.Dialer{Timeout: segment.Budget, KeepAlive: 30 * time.Second}).DialContext
	}
	if target.Virtual {
		wait = time.Sleep
	}
	target.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil || !slices.Contains(slow, address) {
			return conn, err
		}
		return &held{Conn: conn, by: d, wait: wait}, nil
	}
	return target
}

// held is a connection on which each answer is held back: the first bytes that are read after some were written.
type held struct {
	net.Conn
	by    time.Duration
	wait  func(time.Duration)
	asked atomic.Bool
}

func (c *held) Write(b []byte) (int, error) {
	c.asked.Store(true)
	return c.Conn.Write(b)
}

func (c *held) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.asked.Swap(false) {
		c.wait(c.by)
	}
	return n, err
}

package access

import (
	"net/netip"
	"sync"
	"time"
)

// attempts counts wrong credentials by remote address, as a bucket of tokens each. The zero value is ready. At most maxAddresses
// are remembered; beyond that, some are forgotten, which gives them a fresh start.
type attempts struct {
	mu      sync.Mutex // guards the following
	buckets map[netip.Addr]bucket
}

// bucket holds tokens as of an instant.
type bucket struct {
	tokens float64
	at     time.Time
}

const (
	burst        = 10 // wrong credentials at once
	perSecond    = 1  // and then
	maxAddresses = 4096
)

// allow takes a token of the address in remote, host:port, and reports whether there was one.
func (a *attempts) allow(remote string, now time.Time) bool {
	addr := network(remote)
	a.mu.Lock()
	defer a.mu.Unlock()
	b, known := a.buckets[addr]
	if !known {
		b = bucket{tokens: burst, at: now}
	}
	b.tokens = min(burst, b.tokens+perSecond*now.Sub(b.at).Seconds())
	b.at = now
	ok := b.tokens >= 1
	if ok {
		b.tokens--
	}
	if !known && len(a.buckets) >= maxAddresses {
		a.forget(now)
	}
	if a.buckets == nil {
		a.buckets = make(map[netip.Addr]bucket)
	}
	a.buckets[addr] = b
	return ok
}

// forget makes room for a quarter, so that it costs each new address a constant on average: buckets that are full again say
// nothing, and if there are too few, any will do.
func (a *attempts) forget(now time.Time) {
	for addr, b := range a.buckets {
		if b.tokens+perSecond*now.Sub(b.at).Seconds() >= burst {
			delete(a.buckets, addr)
		}
	}
	for addr := range a.buckets {
		if len(a.buckets) <= maxAddresses*3/4 {
			return
		}
		delete(a.buckets, addr)
	}
}

// network is what one client can call its own: an IPv4 address, or an IPv6 network of 64 bits. What is no address is one client.
func network(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	if addr.Is4() {
		return addr
	}
	p, err := addr.Prefix(64)
	if err != nil {
		return addr
	}
	return p.Addr()
}

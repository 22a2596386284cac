package access

import (
	"fmt"
	"testing"
	"time"
)

// What is remembered of addresses is bounded, however many come, and one network of IPv6 is one client.
func TestAttemptsAreBounded(t *testing.T) {
	var a attempts
	now := time.Unix(1_700_000_000, 0)
	for i := range 10 * maxAddresses {
		a.allow(fmt.Sprintf("10.%d.%d.%d:80", i>>16, i>>8&255, i&255), now.Add(time.Duration(i)*time.Microsecond))
		if len(a.buckets) > maxAddresses {
			t.Fatalf("after %d addresses %d are remembered, want at most %d", i+1, len(a.buckets), maxAddresses)
		}
	}
	for _, c := range []struct {
		one, other string
		same       bool
	}{
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:1", true},
		{"[2001:db8::1]:1", "[2001:db8::2]:1", true},
		{"[2001:db8::1%eth0]:1", "[2001:db8::2]:1", true},
		{"[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1", false},
		{"pipe", "other", true},
	} {
		if got := network(c.one) == network(c.other); got != c.same {
			t.Errorf("network(%s) == network(%s) is %v, want %v", c.one, c.other, got, c.same)
		}
	}
}

// A second brings one more attempt, up to the burst.
func TestAttemptsComeBack(t *testing.T) {
	var a attempts
	now := time.Unix(1_700_000_000, 0)
	allowed := func(at time.Time) (n int) {
		for a.allow("192.0.2.1:1", at) {
			n++
		}
		return n
	}
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{0, burst}, {0, 0}, {time.Second, 1}, {3 * time.Second, 3}, {time.Hour, burst}} {
		now = now.Add(c.after)
		if got := allowed(now); got != c.want {
			t.Errorf("%v later %d wrong credentials are answered at once, want %d", c.after, got, c.want)
		}
	}
}

package remote

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

func TestOrigin(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name  string
		age   time.Duration
		began time.Time
		peer  string
		want  time.Time
	}{
		{"by itself", 0, time.Time{}, "127.0.0.1:1", time.Time{}},
		{"age only", 3 * time.Second, time.Time{}, "127.0.0.1:1", now.Add(-3 * time.Second)},
		{"one machine", 3 * time.Second, now.Add(-3100 * time.Millisecond), "127.0.0.1:1", now.Add(-3100 * time.Millisecond)},
		{"one machine, IPv6", 3 * time.Second, now.Add(-3100 * time.Millisecond), "[::1]:1", now.Add(-3100 * time.Millisecond)},
		{"another machine", 3 * time.Second, now.Add(-3100 * time.Millisecond), "192.0.2.1:1", now.Add(-3 * time.Second)},
		{"no network address", 3 * time.Second, now.Add(-3100 * time.Millisecond), "pipe", now.Add(-3 * time.Second)},
		{"a clock that is ahead", 3 * time.Second, now.Add(time.Second), "127.0.0.1:1", now.Add(-3 * time.Second)},
		{"a clock that is far behind", 3 * time.Second, time.Unix(0, -1<<63), "127.0.0.1:1", now.Add(-3 * time.Second)},
		{"a clock that is far ahead", 3 * time.Second, time.Unix(0, 1<<63-1), "127.0.0.1:1", now.Add(-3 * time.Second)},
	} {
		q := request{age: c.age, began: c.began}
		if got := q.origin(now, c.peer); !got.Equal(c.want) {
			t.Errorf("%s: origin(now, %s) = now %v, want now %v", c.name, c.peer, got.Sub(now), c.want.Sub(now))
		}
	}
}

// FuzzValues: what a server answers is read as exactly the values that make it up, or is an error.
func FuzzValues(f *testing.F) {
	f.Add([]byte("3\nabc-\n0\n"), 3)
	f.Add([]byte("-\n-\n"), 2)
	f.Add([]byte("1000000000\nabc"), 1)
	f.Add([]byte("03\nabc"), 1)
	f.Fuzz(func(t *testing.T, answer []byte, n int) {
		if n < 0 || n > maxKeys {
			return
		}
		vals, err := parseValues(bytes.NewReader(answer), n, int64(len(answer)))
		if err != nil {
			return
		}
		again, err := parseValues(bytes.NewReader(formatValues(vals)), n, int64(len(formatValues(vals))))
		if err != nil || !slices.EqualFunc(vals, again, func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }) {
			t.Errorf("parseValues(%q, %d) = %q, which comes back as %q, %v", answer, n, vals, again, err)
		}
	})
}

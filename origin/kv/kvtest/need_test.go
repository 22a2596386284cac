package kvtest_test

import (
	"errors"
	"fmt"
	"testing"

	"origin-storm/origin/kv/kvtest"
)

// recorder is a test that is told to stop.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Helper() {}

func (r *recorder) Skip(args ...any) { r.stop("skip: " + fmt.Sprint(args...)) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.stop("fatal: " + fmt.Sprintf(format, args...))
}

func (r *recorder) stop(said string) {
	if r.said == "" {
		r.said = said
	}
}

func TestNeed(t *testing.T) {
	missing := errors.New("memcached is not on the PATH:\n  apt-get install memcached")
	for _, c := range []struct {
		ci   string
		err  error
		want string
	}{
		{"", nil, ""},
		{"true", nil, ""},
		{"", missing, "skip: SKIP-NEED memcached: memcached is not on the PATH: apt-get install memcached"},
		{"false", missing, "skip: SKIP-NEED memcached: memcached is not on the PATH: apt-get install memcached"},
		{"true", missing, "fatal: SKIP-NEED memcached: memcached is not on the PATH: apt-get install memcached (a test may not be skipped with CI=true)"},
	} {
		t.Setenv("CI", c.ci)
		r := &recorder{TB: t}
		if kvtest.Need(r, "memcached", c.err); r.said != c.want {
			t.Errorf("Need(%v) with CI=%q: %q, want %q", c.err, c.ci, r.said, c.want)
		}
	}
}

package cassandra

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocql/gocql"

	"origin-storm/origin/kv"
)

// fixed is a policy whose plan is always the same.
type fixed struct {
	gocql.HostSelectionPolicy
	plan []string
}

func (f fixed) Pick(gocql.ExecutableQuery) gocql.NextHost {
	plan := f.plan
	return func() gocql.SelectedHost {
		if len(plan) == 0 {
			return nil
		}
		id := plan[0]
		plan = plan[1:]
		return host(id)
	}
}

func (f fixed) AddHost(*gocql.HostInfo) {}

type host string

func (h host) Mark(error) {}

func (h host) Info() *gocql.HostInfo {
	info := &gocql.HostInfo{}
	info.SetHostID(string(h))
	return info
}

func TestPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolicy("")
		p.HostSelectionPolicy = fixed{plan: []string{"a", "b", "c"}}
		hosts := func(attempt int) (all []gocql.SelectedHost) {
			q := (&gocql.Query{}).WithContext(kv.WithAttempt(t.Context(), attempt))
			next := p.Pick(q)
			for h := next(); h != nil; h = next() {
				all = append(all, h)
			}
			return all
		}
		want := func(when string, attempt int, want ...string) {
			t.Helper()
			var got []string
			for _, h := range hosts(attempt) {
				got = append(got, h.Info().HostID())
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, attempt %d goes to %v, want %v", when, attempt, got, want)
			}
		}
		want("at first", 0, "a", "b", "c")
		want("at first", 1, "b", "c", "a")
		want("at first", 2, "c", "a", "b")
		want("at first", 4, "b", "c", "a")

		hosts(0)[1].Mark(nil)
		hosts(0)[2].Mark(errors.New("connection reset by peer")) // the driver itself sees to that
		want("after success and a lost connection", 0, "a", "b", "c")

		hosts(0)[0].Mark(gocql.ErrTimeoutNoResponse)
		want("a let wait", 0, "b", "c", "a")
		want("a let wait", 1, "c", "b", "a")
		hosts(0)[0].Mark(gocql.ErrTimeoutNoResponse)
		want("a and b let wait", 0, "c", "a", "b")
		hosts(0)[0].Mark(gocql.ErrTimeoutNoResponse)
		want("all let wait", 0, "a", "b", "c")

		time.Sleep(suspicion + time.Millisecond)
		want("later", 0, "a", "b", "c")
		want("later", 1, "b", "c", "a")
		if len(p.suspect) != 0 {
			t.Errorf("%d nodes are remembered as suspect when none is", len(p.suspect))
		}
	})
}

func TestNodesAreCountedByDataCentre(t *testing.T) {
	p := newPolicy("")
	p.HostSelectionPolicy = fixed{}
	for _, id := range []string{"a", "b", "a", "c"} {
		p.AddHost(host(id).Info())
	}
	if here, there := p.in(""), p.in("elsewhere"); here != 3 || there != 0 {
		t.Errorf("three nodes in one data centre are counted as %d there and %d elsewhere", here, there)
	}
}

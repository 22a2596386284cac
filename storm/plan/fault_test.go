package plan_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"origin-storm/storm"
)

// TestFaultsOfPackagers: which publishes of the storm window's second segment a fault changes, and how.
func TestFaultsOfPackagers(t *testing.T) {
	const src = "event: {renditions: {count: 2, total: 1Mbit/s}, encode: {min: 100ms, max: 100ms}}\nreaders: {edges: 1}\n" +
		"windows: {quiet: 0s, storm: 20s}\nbackends: [embedded]\n"
	clean := parse(t, src)
	_, before := expand(t, configure(clean))
	first := configure(clean).First
	// The window begins after one segment, and so 5 s into it, for 2 s, falls the end of the fourth.
	hit := first + 3
	for _, tt := range []struct {
		fault string
		want  []string // what is published of pipeline a and rendition r1 that was not before
		less  int      // how many publishes there are fewer in all
	}{
		{"drop: pipeline a", []string{"hit not sent 0 +0s"}, 0},
		{"drop: pipeline a, rendition: r2", nil, 0},
		{"delay: pipeline a, by: 3s", []string{"hit  0 +3s"}, 0},
		{"skew: pipeline a, by: -1500ms", []string{"hit  0 -1.5s"}, 0},
		{"shorten: pipeline a", []string{"hit shorter 500000000 +0s"}, 0},
		{"shift: pipeline a, by: -40ms", []string{"hit shifted -40000000 +0s"}, 0},
		{"slip: pipeline a, by: 2", []string{"hit+2 shifted -4000000000 +0s"}, 0},
		{"slip: pipeline a, by: -2", []string{"hit-2 shifted 4000000000 +0s"}, 0},
		{"restart: pipeline a", []string{"hit-3 shifted 6000000000 +0s"}, 0},
		{"slate: pipeline a", []string{"hit slate 0 +0s"}, 0},
		{"repeat: pipeline a, by: 1s", []string{"hit  0 +1s"}, -2},
		{"contradict: pipeline a, by: 1s", []string{"hit other 1 +1s"}, -2},
		{"end: pipeline a", []string{"hit last 0 +0s"}, 0},
		{"delete: pipeline a, by: 2", []string{"hit-2 deletes 0 +0s"}, -2},
		{"cut: pipeline a", []string{"hit cut 0 +0s"}, 0},
		{"trickle: pipeline a, by: 5", []string{"hit trickled 5 +0s"}, 0},
		{"hang-up: pipeline a", []string{"hit hung up 0 +0s"}, 0},
		{"chain: pipeline a", []string{"hit chained 0 +0s"}, 0},
		{"reconnect: pipeline a", []string{"hit reconnected 0 +0s"}, 0},
	} {
		s := parse(t, src+"faults: [{at: storm 1 + 5s, "+tt.fault+", for: 2s}]\n")
		_, after := expand(t, configure(s))
		_, again := expand(t, configure(s))
		if !slices.Equal(after, again) {
			t.Errorf("%s: two plans of one seed differ", tt.fault)
		}
		if !slices.IsSortedFunc(after, func(a, b storm.Request) int { return int(a.At - b.At) }) {
			t.Errorf("%s: the plan is not in order of time", tt.fault)
		}
		var got []string
		for _, q := range after {
			if !q.Put || q.ID.Pipeline != "a" || q.ID.Rendition != "r1" || slices.Contains(before, q) {
				continue
			}
			name := "hit"
			if n := q.ID.Number - hit; n != 0 {
				name = fmt.Sprintf("hit%+d", n)
			}
			got = append(got, fmt.Sprintf("%s %v %d %+v", name, q.Twist.Do, q.Twist.By, signed(q.At-planned(before, hit))))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: publishes %q, want %q", tt.fault, got, tt.want)
		}
		if less := publishes(before) - publishes(after); less != tt.less {
			t.Errorf("%s: %d publishes fewer, want %d", tt.fault, less, tt.less)
		}
	}
}

// TestShareOfFaults: a share picks about so many, and another seed picks others.
func TestShareOfFaults(t *testing.T) {
	s := parse(t, "event: {renditions: {count: 20, total: 1Mbit/s}}\nreaders: {edges: 1}\nwindows: {quiet: 0s, storm: 40s}\nbackends: [embedded]\n"+
		"faults: [{at: storm 1, drop: pipeline b, share: 25%}]\n")
	picks := func(seed uint64) (all []string) {
		c := configure(s)
		c.Seed = seed
		_, requests := expand(t, c)
		for _, q := range requests {
			if q.Twist.Do == storm.NotSent {
				all = append(all, q.ID.String())
			}
		}
		return all
	}
	one, two := picks(1), picks(2)
	if n := len(one); n < 60 || n > 140 {
		t.Errorf("%d of 400 are dropped, want about 100", n)
	}
	if slices.Equal(one, two) {
		t.Error("two seeds drop the same segments")
	}
}

// planned is when pipeline a publishes segment n of r1.
func planned(requests []storm.Request, n int64) time.Duration {
	for _, q := range requests {
		if q.Put && q.ID.Pipeline == "a" && q.ID.Rendition == "r1" && q.ID.Number == n {
			return q.At
		}
	}
	return -1
}

func publishes(requests []storm.Request) (n int) {
	for _, q := range requests {
		if q.Put {
			n++
		}
	}
	return n
}

func signed(d time.Duration) string {
	if d < 0 {
		return d.String()
	}
	return "+" + d.String()
}

package policy_test

import (
	"testing"
	"time"

	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

// polls returns the instants, from due, of all polls of a source for segment n, each made when it should be and answered
// after took.
func polls(template segment.Template, n int64, source policy.Source, join time.Time, took time.Duration) []time.Duration {
	var all []time.Duration
	var last time.Time
	now := join
	for {
		at, ok := policy.NextPoll(template, n, source, last)
		if !ok {
			return all
		}
		if at.After(now) {
			now = at
		}
		if !now.Before(template.Deadline(n)) {
			return all
		}
		last = now
		all = append(all, now.Sub(template.Due(n)))
		now = now.Add(took)
	}
}

func TestNextPoll(t *testing.T) {
	for name, template := range clocks {
		t.Run(name, func(t *testing.T) {
			const n = 5000
			opens, due := template.Due(n-1), template.Due(n)
			for _, tt := range []struct {
				name   string
				source policy.Source
				every  time.Duration
			}{{"cache", policy.Cache, 5 * time.Millisecond}, {"alone", policy.Alone, 20 * time.Millisecond}} {
				all := polls(template, n, tt.source, opens, 0)
				if all[0] != opens.Sub(due) {
					t.Errorf("%s: the first poll is at %v from due, want %v", tt.name, all[0], opens.Sub(due))
				}
				for i := 1; i < len(all); i++ {
					if step := all[i] - all[i-1]; step != tt.every && (i > 1 || step > tt.every) {
						t.Fatalf("%s: polls at %v and %v", tt.name, all[i-1], all[i])
					}
				}
				// Whatever the template, all segments are asked for together.
				if at := due.Add(all[1]); !at.Equal(at.Truncate(tt.every)) {
					t.Errorf("%s: the second poll is at %v, want a multiple of %v", tt.name, at, tt.every)
				}
				if last := all[len(all)-1]; last < segment.Budget-tt.every || last >= segment.Budget {
					t.Errorf("%s: the last poll is at %v", tt.name, last)
				}
				// Who joins later polls at once, and then on the same instants.
				join := due.Add(-3 * time.Millisecond)
				some := polls(template, n, tt.source, join, 0)
				if some[0] != -3*time.Millisecond || some[1] != all[len(all)-len(some)+1] {
					t.Errorf("%s: who joins 3 ms before due polls at %v, %v", tt.name, some[0], some[1])
				}
				// A slow source is asked again as soon as it has answered, by one poll at a time.
				slow := polls(template, n, tt.source, opens, 3*tt.every+1)
				if most := int(due.Add(segment.Budget).Sub(opens)/(3*tt.every)) + 1; len(slow) > most {
					t.Errorf("%s: %d polls of a slow source, want at most %d", tt.name, len(slow), most)
				}
			}
			for _, join := range []time.Duration{opens.Sub(due), -100 * time.Millisecond, 0, time.Second, segment.Budget - 1} {
				for _, took := range []time.Duration{0, 30 * time.Millisecond, time.Second} {
					all := polls(template, n, policy.Behind, due.Add(join), took)
					if len(all) < 1 || len(all) > 8 {
						t.Errorf("behind a cache: %d polls for who joins at %v: %v", len(all), join, all)
					}
					if all[0] != max(join, opens.Sub(due)) {
						t.Errorf("behind a cache: who joins at %v looks first at %v, want at once: the cache may have forgotten what was early", join, all[0])
					}
					if last := all[len(all)-1]; took == 0 && last < segment.Budget-100*time.Millisecond {
						t.Errorf("behind a cache: the last poll is at %v", last)
					}
				}
			}
		})
	}
}

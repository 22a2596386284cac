package faulttest

import (
	"testing"
	"testing/synctest"

	"origin-storm/scenarios"
)

// TestTry is a first look.
func TestTry(t *testing.T) {
	for _, fault := range []string{"{at: quiet, drop: pipeline a}", "{at: storm 1 + 4s, drop: pipeline a, for: 4s}",
		"{at: storm 1 + 4s, delay: pipeline a, for: 4s}", "{at: storm 1 + 4s, skew: pipeline a, by: -1s, for: 4s}", "{at: storm 1 + 4s, shorten: pipeline a, for: 4s}",
		"{at: storm 1 + 4s, shift: pipeline a, for: 4s}", "{at: storm 1 + 4s, slip: pipeline a, for: 4s}", "{at: storm 1 + 4s, slip: pipeline a, by: -1, for: 4s}",
		"{at: storm 1 + 4s, restart: pipeline a, for: 4s}", "{at: storm 1 + 4s, slate: pipeline a, for: 4s}", "{at: storm 1 + 4s, inflate: pipeline a, for: 4s}",
		"{at: storm 1 + 4s, repeat: pipeline a, for: 4s}", "{at: storm 1 + 4s, contradict: pipeline a, for: 4s}", "{at: storm 1 + 4s, cross: pipeline a, for: 4s}",
		"{at: storm 1 + 4s, reinit: pipeline a, for: 4s}", "{at: storm 1 + 4s, end: pipeline a}", "{at: storm 1 + 4s, delete: pipeline a, for: 4s}",
		"{at: storm 1 + 4s, reset: pipeline a, for: 4s}", "{at: storm 1 + 4s, cut: pipeline a, for: 4s}", "{at: storm 1 + 4s, overstate: pipeline a, for: 4s}",
		"{at: storm 1 + 4s, understate: pipeline a, for: 4s}", "{at: storm 1 + 4s, trickle: pipeline a, for: 4s}", "{at: storm 1 + 4s, hang-up: pipeline a, for: 4s}",
		"{at: storm 1 + 4s, chain: pipeline a, for: 4s}", "{at: storm 1 + 4s, reconnect: pipeline a, for: 4s}", "{at: storm 1 + 4s, reconnect: readers, for: 4s}",
	} {
		t.Run(fault, func(t *testing.T) {
			s, err := scenarios.Parse("x.yaml", []byte(`name: x
event: {renditions: {count: 2, total: 500kbit/s}, encode: {min: 100ms, max: 400ms}, publish-delay: 1s}
readers: {edges: 3, behaviour: {aligned: 50ms, early: 0.2}}
windows: {warm-up: 0s, quiet: 2s, storm: 14s, repeat: 1}
backends: [embedded]
faults: [`+fault+`]
thresholds:
  - storm live-edge errors == 0
  - publish errors == 0
  - segments missed == 0
`))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				r := &rehearsal{scenario: s, seed: 7}
				res, rec := r.rehearse(t)
				t.Logf("%s %v %+v", res.Verdict, res.Reasons, res.Backends[0].Segments)
				for _, p := range res.Backends[0].Phases {
					for _, o := range p.Operations {
						t.Logf("%s %s: %d errors %d faulted %d retries %d %v", p.Name, o.Class, o.Count, o.Errors, o.Faulted, o.Retries, o.Statuses)
					}
				}
				for _, c := range rec.Copies() {
					if c.Outcome != "ok" {
						t.Logf("%+v", c)
					}
				}
			})
		})
	}
}

package simulate_test

import (
	"math"
	"testing"

	"origin-storm/storm/simulate"
)

// Pooled, phases are as long as all replications' together, rates are theirs, counts are sums, and holds are all of theirs.
func TestPool(t *testing.T) {
	c := simulate.Config{Scenario: load(t, "smoke"), Seed: 1}
	var all []*simulate.Outcome
	var seconds, gbit, holds float64
	var late, read int64
	for seed := range uint64(4) {
		c.Seed = seed
		o := run(t, c)
		all = append(all, o)
		b := o.Results.Backends[0]
		p := b.Phases[1]
		seconds, gbit, holds = seconds+p.Seconds, gbit+p.ReadGbit*p.Seconds, holds+float64(p.Holds.Count)
		late, read = late+b.Segments.Late, read+b.Segments.Read
	}
	r, err := simulate.Pool(c, all)
	if err != nil {
		t.Fatal(err)
	}
	b := r.Backends[0]
	p := b.Phases[1]
	for name, v := range map[string][2]float64{
		"seconds": {p.Seconds, seconds}, "Gbit/s": {p.ReadGbit, gbit / seconds}, "holds": {float64(p.Holds.Count), holds},
		"late": {float64(b.Segments.Late), float64(late)}, "read": {float64(b.Segments.Read), float64(read)},
	} {
		if math.Abs(v[0]-v[1]) > 1e-9*v[1] || v[1] == 0 && name != "late" {
			t.Errorf("pooled %s = %v, want %v", name, v[0], v[1])
		}
	}
	if r.Verdict != "passed" || len(r.Thresholds) != 5 {
		t.Errorf("pooled: %s, %d thresholds", r.Sentence, len(r.Thresholds))
	}
}

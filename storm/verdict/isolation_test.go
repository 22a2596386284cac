package verdict_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"origin-storm/storm/verdict"
)

// constant makes ticks of equal publishes.
func constant(ticks, each int, ms float64) [][]float64 {
	out := make([][]float64, ticks)
	for i := range out {
		for range each {
			out[i] = append(out[i], ms)
		}
	}
	return out
}

func TestIsolation(t *testing.T) {
	for _, test := range []struct {
		name         string
		quiet, storm [][]float64
		p50, p99     float64 // 0: null
		note50       string
		note99       string
		interval     bool
	}{
		{name: "twice as slow", quiet: constant(30, 12, 10), storm: constant(30, 12, 20), p50: 2, p99: 2, interval: true},
		{name: "no difference", quiet: constant(30, 12, 10), storm: constant(30, 12, 10), p50: 1, p99: 1, interval: true},
		{name: "299 writes are no p99", quiet: constant(30, 12, 10), storm: append(constant(30, 9, 20), constant(1, 29, 20)...), p50: 2, interval: true,
			note99: "p99 needs 300 writes on each side, storm has 299"},
		{name: "19 writes are no p50", quiet: constant(19, 1, 10), storm: constant(30, 12, 20),
			note50: "p50 needs 20 writes on each side, quiet has 19", note99: "p99 needs 300 writes on each side, quiet has 19"},
		{name: "nothing", note50: "quiet has 0", note99: "quiet has 0"},
		{name: "five ticks give no interval", quiet: constant(5, 100, 10), storm: constant(30, 100, 20), p50: 2, p99: 2,
			note50: "needs 6 ticks on each side, there are 5", note99: "there are 5"},
		{name: "empty ticks are none", quiet: append(constant(5, 100, 10), nil, nil), storm: constant(30, 100, 20), p50: 2, p99: 2,
			note50: "there are 5", note99: "there are 5"},
		{name: "no time at all", quiet: constant(30, 12, 0), storm: constant(30, 12, 20), note50: "p50 in quiet is 0", note99: "p99 in quiet is 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := verdict.Isolation(test.quiet, test.storm, 1)
			for _, r := range []struct {
				name string
				want float64
				note string
				got  *float64
				ci   *[2]float64
				said string
			}{{"p50", test.p50, test.note50, got.P50.Ratio, got.P50.CI, got.P50.Note}, {"p99", test.p99, test.note99, got.P99.Ratio, got.P99.CI, got.P99.Note}} {
				if (r.got == nil) != (r.want == 0) || r.got != nil && math.Abs(*r.got-r.want) > 1e-9 {
					t.Errorf("%s ratio = %v, want %v (0: null)", r.name, r.got, r.want)
				}
				if !strings.Contains(r.said, r.note) || r.note == "" && r.said != "" {
					t.Errorf("%s note = %q, want %q", r.name, r.said, r.note)
				}
				if r.want != 0 && test.interval && (r.ci == nil || r.ci[0] != r.want || r.ci[1] != r.want) {
					t.Errorf("%s interval = %v, want [%v %v]: all ticks are alike", r.name, r.ci, r.want, r.want)
				}
				if !test.interval && r.ci != nil {
					t.Errorf("%s interval = %v, want none", r.name, *r.ci)
				}
			}
		})
	}
}

func TestIsolationHasOneAnswerPerSeed(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	quiet, storm := correlated(rng, 20, 6, 1), correlated(rng, 20, 6, 1)
	a, b, c := verdict.Isolation(quiet, storm, 7), verdict.Isolation(quiet, storm, 7), verdict.Isolation(quiet, storm, 8)
	if *a.P50.CI != *b.P50.CI {
		t.Errorf("Isolation with seed 7 gives %v, then %v", *a.P50.CI, *b.P50.CI)
	}
	if *a.P50.CI == *c.P50.CI {
		t.Errorf("Isolation gives %v with seeds 7 and 8: the seed has no effect", *a.P50.CI)
	}
}

// correlated draws ticks whose publishes share most of their fate, as those that meet one stall do; their median is 10·by.
func correlated(rng *rand.Rand, ticks, each int, by float64) [][]float64 {
	out := make([][]float64, ticks)
	for i := range out {
		common := rng.NormFloat64()
		for range each {
			out[i] = append(out[i], 10*by*math.Exp(0.5*common+0.1*rng.NormFloat64()))
		}
	}
	return out
}

// The interval must hold the truth about as often as it says, although publishes of one tick hang together. One that drew
// publishes instead of ticks would hold it in little more than half of these runs.
func TestIsolationCoversTheTruth(t *testing.T) {
	const runs, truth = 150, 1.3
	rng := rand.New(rand.NewPCG(3, 4))
	held := 0
	for i := range runs {
		got := verdict.Isolation(correlated(rng, 25, 6, 1), correlated(rng, 25, 6, truth), uint64(i))
		if got.P50.CI[0] <= truth && truth <= got.P50.CI[1] {
			held++
		}
	}
	if held < runs*88/100 {
		t.Errorf("%d of %d intervals at 95 %% hold the truth, want at least 88 %%", held, runs)
	}
}

package policy_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"origin-storm/origin/policy"
)

func TestChoose(t *testing.T) {
	const none = policy.Flaws(0xff) // not there
	for _, tt := range []struct {
		name           string
		flaws          []policy.Flaws
		final, patient int
	}{
		{"nothing", []policy.Flaws{none, none}, -1, -1},
		{"no pipelines", nil, -1, -1},
		{"both sound", []policy.Flaws{0, 0}, 0, 0},
		{"only the second", []policy.Flaws{none, 0}, 1, 1},
		{"the first is flawed", []policy.Flaws{policy.Short, 0}, 1, 1},
		{"flawed and one to come", []policy.Flaws{policy.Short, none}, 0, -1},
		{"flawed, both in", []policy.Flaws{policy.Missing, policy.Short}, 1, 1},
		{"equal flaws", []policy.Flaws{policy.Short, policy.Short}, 0, 0},
		{"the worst flaw decides", []policy.Flaws{policy.Slate, policy.Short | policy.Discontinuity}, 1, 1},
		{"then the next", []policy.Flaws{policy.Slate | policy.Short, policy.Slate}, 1, 1},
	} {
		copies := make([]policy.Copy, len(tt.flaws))
		for i, f := range tt.flaws {
			if f != none {
				copies[i] = policy.Copy{Present: true, Flaws: f}
			}
		}
		if got := policy.Choose(copies, false); got != tt.final {
			t.Errorf("%s: Choose(%v, false) = %d, want %d", tt.name, copies, got, tt.final)
		}
		if got := policy.Choose(copies, true); got != tt.patient {
			t.Errorf("%s: Choose(%v, true) = %d, want %d", tt.name, copies, got, tt.patient)
		}
	}
}

// TestChooseIsStable: what is sound beats what is not; a further copy makes the choice no worse; patience only ever delays.
func TestChooseIsStable(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 10_000 {
		copies := make([]policy.Copy, 1+rng.IntN(4))
		for i := range copies {
			copies[i] = policy.Copy{Present: rng.IntN(3) > 0}
			if rng.IntN(2) == 0 {
				copies[i].Flaws = policy.Flaws(rng.IntN(16))
			}
		}
		final, patient := policy.Choose(copies, false), policy.Choose(copies, true)
		if patient >= 0 && patient != final {
			t.Fatalf("Choose(%v) = %d, patiently %d", copies, final, patient)
		}
		for i, c := range copies {
			if c.Present && (final < 0 || c.Flaws < copies[final].Flaws && !copies[final].Flaws.Sound()) {
				t.Fatalf("Choose(%v) = %d, though %d is better", copies, final, i)
			}
			if !c.Present {
				more := append([]policy.Copy(nil), copies...)
				more[i] = policy.Copy{Present: true, Flaws: policy.Flaws(rng.IntN(16))}
				if with := policy.Choose(more, false); final >= 0 && more[with].Flaws > copies[final].Flaws {
					t.Fatalf("Choose(%v) = %d, which is worse than without the copy %d", more, with, i)
				}
			}
		}
	}
}

func TestFlawNames(t *testing.T) {
	for f := policy.Flaws(1); f.Valid(); f <<= 1 {
		if got, ok := policy.ParseFlaw(f.String()); !ok || got != f {
			t.Errorf("ParseFlaw(%q) = %v, %v, want %v", f, got, ok, f)
		}
	}
	if got := (policy.Short | policy.Missing).String(); got != "short, missing" {
		t.Errorf("String() = %q", got)
	}
	if f, ok := policy.ParseFlaw("Short"); ok {
		t.Errorf("ParseFlaw(Short) = %v", f)
	}
}

func TestReplaces(t *testing.T) {
	for _, tt := range []struct {
		next, first policy.Flaws
		want        bool
	}{
		{0, 0, false}, {0, policy.Short, true}, {policy.Short, policy.Missing, false}, {policy.Slate, 0, false},
	} {
		if got := policy.Replaces(tt.next, tt.first); got != tt.want {
			t.Errorf("Replaces(%q, %q) = %v, want %v", tt.next, tt.first, got, tt.want)
		}
	}
}

func TestSettled(t *testing.T) {
	for _, tt := range []struct {
		age   time.Duration
		flaws policy.Flaws
		left  time.Duration
		want  time.Duration
	}{
		{0, 0, time.Hour, 5 * time.Second},
		{4 * time.Second, 0, time.Hour, time.Second},
		{5 * time.Second, 0, time.Hour, 0},
		{5*time.Second + 1, 0, time.Hour, time.Hour},
		{time.Hour, policy.Short, time.Hour, 2500 * time.Millisecond},
		{0, 0, time.Second, time.Second},
		{time.Hour, 0, -1, -1},
	} {
		if got := policy.Settled(tt.age, tt.flaws, tt.left); got != tt.want {
			t.Errorf("Settled(%v, %q, %v) = %v, want %v", tt.age, tt.flaws, tt.left, got, tt.want)
		}
	}
}

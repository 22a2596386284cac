package policy_test

import (
	"slices"
	"testing"
	"time"

	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

func TestUnmasked(t *testing.T) {
	both := []string{"a", "b"}
	for _, tt := range []struct {
		name  string
		masks []policy.Mask
		n     int64
		want  []string
	}{
		{"no mask", nil, 5, both},
		{"before the range", []policy.Mask{{Pipeline: "a", From: 6, To: 9}}, 5, both},
		{"the range's first", []policy.Mask{{Pipeline: "a", From: 5, To: 9}}, 5, []string{"b"}},
		{"the range's last", []policy.Mask{{Pipeline: "a", From: 0, To: 5}}, 5, []string{"b"}},
		{"after the range", []policy.Mask{{Pipeline: "a", From: 0, To: 4}}, 5, both},
		{"this rendition", []policy.Mask{{Pipeline: "b", Rendition: "v", From: 5, To: 5}}, 5, []string{"a"}},
		{"another rendition", []policy.Mask{{Pipeline: "b", Rendition: "w", From: 5, To: 5}}, 5, both},
		{"all of both", []policy.Mask{{Pipeline: "a", From: 0, To: 9}, {Pipeline: "b", From: 5, To: 5}}, 5, nil},
		{"every pipeline", []policy.Mask{{Rendition: "v", From: 5, To: 5}}, 5, nil},
		{"numbers do not cover init", []policy.Mask{{Pipeline: "a", From: 0, To: 9}}, segment.Init, both},
		{"init", []policy.Mask{{Pipeline: "a", From: segment.Init, To: segment.Init}}, segment.Init, []string{"b"}},
	} {
		id := segment.ID{Event: "ev", Rendition: "v", Number: tt.n}
		if got := policy.Unmasked(tt.masks, id, both); !slices.Equal(got, tt.want) {
			t.Errorf("%s: Unmasked(%v, %v) = %v, want %v", tt.name, tt.masks, id, got, tt.want)
		}
	}
	if !slices.Equal(both, []string{"a", "b"}) {
		t.Errorf("Unmasked changed its argument: %v", both)
	}
}

// TestDecideAfterTheEnd: what comes after the last segment is gone at once, early or held or published; the last one and
// those before it are answered as ever.
func TestDecideAfterTheEnd(t *testing.T) {
	start := time.Unix(1000, 0)
	r := policy.Rendition{Template: segment.Template{Start: start}}
	ended := r
	ended.Ended, ended.Last = true, 10
	for n := int64(-1); n < 20; n++ {
		for _, known := range []policy.Known{policy.Unknown, policy.Published, policy.Absent} {
			for at := range 60 {
				now := start.Add(time.Duration(at) * time.Second)
				got, want := ended.Decide(now, n, known, policy.Load{}), r.Decide(now, n, known, policy.Load{})
				if n > 10 {
					want = policy.Answer{Verdict: policy.Gone, Until: now.Add(time.Minute)}
				}
				if got != want {
					t.Fatalf("Decide(%d s, %d, %v) = %v, want %v", at, n, known, got, want)
				}
			}
		}
	}
}

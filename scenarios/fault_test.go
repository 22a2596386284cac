package scenarios_test

import (
	"testing"
	"time"

	"origin-storm/scenarios"
)

func TestParseInstant(t *testing.T) {
	for text, want := range map[string]scenarios.Instant{
		"storm 2 + 4s":  {Phase: "storm", Nth: 2, After: 4 * time.Second},
		"storm 2+4s":    {Phase: "storm", Nth: 2, After: 4 * time.Second},
		"quiet + 250ms": {Phase: "quiet", Nth: 1, After: 250 * time.Millisecond},
		"quiet 3":       {Phase: "quiet", Nth: 3},
		"storm":         {Phase: "storm", Nth: 1},
	} {
		if got, err := scenarios.ParseInstant(text); err != nil || got != want {
			t.Errorf("ParseInstant(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "+ 4s", "storm 0", "storm -1", "storm 01", "storm two", "storm 2 3", "storm 2 +", "storm 2 + 4", "storm 2 + -4s",
		"storm 2 - 4s", "warm-up 1", "4s", "storm 99999999"} {
		if got, err := scenarios.ParseInstant(text); err == nil {
			t.Errorf("ParseInstant(%q) = %+v, want an error", text, got)
		}
	}
}

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]scenarios.Target{
		"pipeline b":  {What: "pipeline", Name: "b"},
		"publish":     {What: "publish"},
		"store":       {What: "store"},
		"serve":       {What: "serve", Nth: 1},
		"cache 2":     {What: "cache", Nth: 2},
		"cassandra 3": {What: "cassandra", Nth: 3},
	} {
		if got, err := scenarios.ParseTarget(text); err != nil || got != want {
			t.Errorf("ParseTarget(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "pipeline", "pipeline a b", "publish 1", "store 2", "serve 0", "cache x", "nothing"} {
		if got, err := scenarios.ParseTarget(text); err == nil {
			t.Errorf("ParseTarget(%q) = %+v, want an error", text, got)
		}
	}
}

func FuzzParseInstant(f *testing.F) {
	f.Add("storm 2 + 4s")
	f.Add("quiet+1h0m0.5s")
	f.Fuzz(func(t *testing.T, text string) {
		i, err := scenarios.ParseInstant(text)
		if err != nil {
			return
		}
		if again, err := scenarios.ParseInstant(i.String()); err != nil || again != i {
			t.Errorf("ParseInstant(%q) prints as %q, which reads as %+v, %v", text, i, again, err)
		}
	})
}

func FuzzParseTarget(f *testing.F) {
	f.Add("cassandra 2")
	f.Add("pipeline b")
	f.Fuzz(func(t *testing.T, text string) {
		x, err := scenarios.ParseTarget(text)
		if err != nil {
			return
		}
		if again, err := scenarios.ParseTarget(x.String()); err != nil || again != x {
			t.Errorf("ParseTarget(%q) prints as %q, which reads as %+v, %v", text, x, again, err)
		}
	})
}

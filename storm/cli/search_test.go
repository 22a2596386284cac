package cli

import (
	"errors"
	"strings"
	"testing"

	"origin-storm/storm/stage"
	"origin-storm/storm/verdict"
	"origin-storm/storm/verdict/search"
)

func TestParseSearch(t *testing.T) {
	for text, want := range map[string]stage.SearchConfig{
		"readers.edges=20..400":                     {Path: "readers.edges", Config: search.Config{From: 20, To: 400, Grain: 1, Within: 0.1}},
		"event.renditions.total=10..80Mbit/s":       {Path: "event.renditions.total", Unit: "Mbit/s", Config: search.Config{From: 10, To: 80, Grain: 1, Within: 0.1}},
		"event.renditions.total=0.5Gbit/s..2Gbit/s": {Path: "event.renditions.total", Unit: "Gbit/s", Config: search.Config{From: 0.5, To: 2, Grain: 0.1, Within: 0.1}},
	} {
		got, err := parseSearch(text, 0.1)
		if err != nil || got.Path != want.Path || got.Unit != want.Unit || got.Config != want.Config {
			t.Errorf("parseSearch(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "want path=FROM..TO", "readers.edges": "want path=FROM..TO", "readers.edges=20": "want path=FROM..TO", "=1..2": "want path=FROM..TO",
		"readers.edges=..3": "not a number", "readers.edges=a..3": "not a number", "readers.edges=1.2.3..4": "not a number",
		"readers.edges=5..3": "the lower one first", "readers.edges=0..3": "above 0", "x=1Mbit/s..2Gbit/s": "in one unit",
	} {
		_, err := parseSearch(text, 0.1)
		var u *verdict.Error
		if !errors.As(err, &u) || u.Code != verdict.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("parseSearch(%q) = %v, want an error of usage with %q", text, err, want)
		}
	}
}

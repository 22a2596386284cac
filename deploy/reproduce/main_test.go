package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"origin-storm/scenarios"
	"origin-storm/storm/capacity"
	"origin-storm/storm/record"
)

// example is a made-up report of both scenarios.
func example(t *testing.T) *capacity.Report {
	t.Helper()
	data, err := os.ReadFile("../../reports/testdata/capacity.json")
	if err != nil {
		t.Fatal(err)
	}
	r := &capacity.Report{}
	if err := json.Unmarshal(data, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// Every figure that was published names a source and what it is, and ours beside it is said to be one of a few kinds.
func TestPage(t *testing.T) {
	event, _, err := scenarios.Load("fight-night")
	if err != nil {
		t.Fatal(err)
	}
	r := example(t)
	kinds := map[string]bool{built: true, counted: true, simulated: true, modelled: true, nothing: true}
	source := regexp.MustCompile(`\[[1-5]\]`)
	for _, x := range rows(event, r, r, map[string]record.Latency{}) {
		if x.what == "" || x.ours == "" || !kinds[x.kind] {
			t.Errorf("the row %+v has no figure of ours, or of no known kind", x)
		}
		if known := x.published != "" && x.published != "never published"; known != (x.status != "") || known != source.MatchString(x.published) {
			t.Errorf("the row %+v: a published figure names its source and what it is, and what was not published does neither", x)
		}
	}
	text := page(event, r, r, map[string]record.Latency{})
	for _, want := range []string{r.Verdict, r.Caveat, "make reproduce", r.Command} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(text, "%!") || strings.Contains(text, "NaN") {
		t.Errorf("the page has a figure that was not printed:\n%s", text)
	}
}

// Processors are told where the profile knows of work of serving nodes, and else are said not to be.
func TestProcessors(t *testing.T) {
	for _, c := range []struct {
		used []capacity.Used
		kind string
		says string
	}{
		{[]capacity.Used{{Tier: "serve links", Part: 0.4}, {Tier: "serve processors", Part: 0.083}}, simulated, "8 %"},
		{[]capacity.Used{{Tier: "serve processors", Part: 0}}, nothing, "knows of no work"},
		{nil, nothing, "knows of no work"},
	} {
		got := processors(capacity.Point{Used: c.used}, "below 10 % "+sl, test)
		if got.kind != c.kind || !strings.Contains(got.ours, c.says) {
			t.Errorf("processors(%v) = %+v, want %q, %s", c.used, got, c.says, c.kind)
		}
	}
}

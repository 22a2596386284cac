package stage_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"origin-storm/scenarios"
	"origin-storm/storm/record"
	"origin-storm/storm/stage"
	"origin-storm/storm/verdict"
	"origin-storm/storm/verdict/search"
)

// searched carries a search over readers.edges of a small scenario through, whose threshold holds for up to 6 edges, and returns what it
// has found and its folder, which is whole.
func searched(t *testing.T, ctx context.Context, to float64, refuse func(load float64) bool) (search.Results, string) {
	t.Helper()
	scenario := func(load float64) scenarios.Scenario {
		return parse(t, fmt.Sprintf(`
name: searched
event: {segment: 500ms, publish-delay: 250ms, encode: {min: 20ms, max: 40ms}, renditions: {count: 1, total: 1Mbit/s}}
readers: {edges: %v, behaviour: {aligned: 50ms}}
windows: {warm-up: 0s, quiet: 0s, storm: 1s}
backends: [embedded]
thresholds: ["storm live-edge count <= 12"]
`, load))
	}
	at := func(load float64) (scenarios.Scenario, error) {
		if refuse(load) {
			return scenarios.Scenario{}, &verdict.Error{Err: errors.New("this machine cannot carry it"), Code: verdict.Usage}
		}
		return scenario(load), nil
	}
	dir := filepath.Join(t.TempDir(), "search")
	folder, err := record.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	drawn := 0
	r, err := stage.Search(ctx, stage.Config{Scenario: scenario(1), Seed: 1, Servers: stage.Embedded, Command: []string{program}}, stage.SearchConfig{
		Config: search.Config{From: 1, To: to, Grain: 1}, Path: "readers.edges",
		At: at, Draw: func(*record.Folder) error { drawn++; return nil }, Finish: func(search.Results) error { _, err := folder.Commit(); return err },
	}, folder)
	if err != nil {
		t.Fatal(err)
	}
	runs, err := filepath.Glob(filepath.Join(dir, "measurements", "*", record.ResultsFile))
	if err != nil || len(runs) != drawn || drawn > len(r.Points)+1 { // one that was interrupted is no point
		t.Errorf("of %d measurements %d were drawn, and there are run folders %v, %v", len(r.Points), drawn, runs, err)
	}
	if _, err := os.Stat(filepath.Join(dir, search.File)); err != nil {
		t.Error(err)
	}
	return r, dir
}

func TestSearchFindsTheLimit(t *testing.T) {
	r, dir := searched(t, t.Context(), 12, func(float64) bool { return false })
	if r.Highest != 6 || r.Lowest != 7 || r.Limit != search.Breaks || !r.Complete || r.Saturated == "" {
		t.Errorf("search = %+v, want 6 as the highest, 7 as the lowest that breaks, and what was full", r)
	}
	for _, p := range r.Points {
		if want := map[bool]search.Outcome{true: search.Holds, false: search.Breaks}[p.Load <= 6]; p.Outcome != want || p.Provenance != "measured" || p.Reads == 0 {
			t.Errorf("point %+v, want that it %s", p, want)
		}
		if _, err := record.Open(filepath.Join(dir, p.Folder)); err != nil {
			t.Error(err)
		}
	}
}

// A load that this machine cannot carry is where the search ends, and is not held against the target.
func TestSearchEndsAtTheMachine(t *testing.T) {
	r, _ := searched(t, t.Context(), 6, func(load float64) bool { return load >= 5 })
	if r.Highest != 4 || r.Lowest != 5 || r.Limit != search.Untold || r.Saturated != search.Driver {
		t.Errorf("search = %+v, want 4 as the highest, and of 5 nothing told", r)
	}
}

// A search that is interrupted keeps what it has measured.
func TestSearchInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := 0
	r, _ := searched(t, ctx, 12, func(float64) bool {
		if asked++; asked == 2 {
			cancel()
		}
		return false
	})
	if r.Complete || len(r.Points) != 1 || r.Highest != 1 {
		t.Errorf("search = %+v, want what was known after one measurement", r)
	}
}

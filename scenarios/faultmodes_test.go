package scenarios_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"origin-storm/scenarios"
)

// TestFailureModes: what is said to be injected is: the scenario has a fault of each kind named, the test is there.
func TestFailureModes(t *testing.T) {
	modes := scenarios.FailureModes()
	if len(modes) != 50 {
		t.Fatalf("%d failure modes, want 50", len(modes))
	}
	injected := map[string]bool{}
	for i, m := range modes {
		name := fmt.Sprintf("mode %d, %s", i+1, m.Name)
		if len(m.In) == 0 && m.Simulator == "" || len(m.In) > 0 && m.Outcome == "" {
			t.Errorf("%s: neither injected, with an outcome, nor the simulator's", name)
		}
		var kinds []string // that its scenarios have
		for _, in := range m.In {
			if pkg, test, ok := strings.Cut(in, "."); ok {
				if !hasTest(t, pkg, test) {
					t.Errorf("%s: there is no test %s", name, in)
				}
				continue
			}
			s := load(t, in)
			if len(s.Thresholds) == 0 {
				t.Errorf("%s: %s says nothing about what should happen", name, in)
			}
			for _, f := range s.Faults {
				kinds = append(kinds, f.Do)
			}
		}
		for _, k := range m.Kinds {
			if injected[k] = true; !slices.Contains(kinds, k) {
				t.Errorf("%s: none of %v has a fault %s", name, m.In, k)
			}
		}
	}
	for _, k := range scenarios.FaultNames() {
		if !injected[k] && k != "reset" && k != "fail" {
			t.Errorf("no failure mode is injected by %s", k)
		}
	}
}

// hasTest reports whether some package of that name has the test.
func hasTest(t *testing.T, pkg, test string) bool {
	t.Helper()
	found := false
	for _, root := range []string{"../origin", "../storm"} {
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err != nil || found || filepath.Base(filepath.Dir(path)) != pkg || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			src, err := os.ReadFile(path)
			found = bytes.Contains(src, []byte("\nfunc "+test+"(t *testing.T)"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// TestFaultExamples: what is shown as an example of each kind of fault is one.
func TestFaultExamples(t *testing.T) {
	for _, k := range scenarios.FaultKinds() {
		src := fmt.Sprintf("name: x\nevent: {renditions: {count: 2, total: 2Mbit/s}}\nreaders: {edges: 4, viewers: 8}\nwindows: {quiet: 4s, storm: 4s}\n"+
			"backends: [{name: x, store: embedded, cache: true}]\nfaults: [%s]\n", k.Example())
		if _, err := scenarios.Parse("x.yaml", []byte(src)); err != nil {
			t.Errorf("the example of %s: %v", k.Do, err)
		}
	}
}

// TestFaultsPage: docs/faults.md is what the code says.
func TestFaultsPage(t *testing.T) {
	const page = "../docs/faults.md"
	var b strings.Builder
	b.WriteString("# What can go wrong, and what should happen then\n\nMade from the code: `go test ./scenarios -run TestFaultsPage -update`.\n\n" +
		"## Kinds of faults\n\nA scenario has any number of them, each at an instant of its windows: `{at: storm 2 + 4s, delay: pipeline b, by: 3s, for: 6s}`.\n" +
		"`for` left out lasts until the end. `share` picks a part by the run's seed, `rendition` one of them. The same seed gives the same faults;\n" +
		"their instants are in `events.ndjson`. Which part of the run carries a kind out is its place.\n\n" +
		"| kind | of | by | part | place | what it does |\n|---|---|---|---|---|---|\n")
	for _, k := range scenarios.FaultKinds() {
		by, part := "", ""
		if k.By.About != "" {
			by = fmt.Sprintf("%v %s", k.Usual, k.By.About)
		}
		if k.Shares {
			part = "share"
		}
		if k.Renditions {
			part = strings.TrimPrefix(part+", rendition", ", ")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", k.Do, strings.Join(k.To, ", "), by, part, k.Place, k.About)
	}
	b.WriteString("\n## Failure modes\n\nFifty ways in which live events have failed. A scenario is of the library (`origin-storm run NAME`), and its thresholds are the outcome; a test\n" +
		"is named by its package. What one machine cannot inject is the simulator's to take.\n\n" +
		"| # | failure | faults | injected by | outcome | left to the simulator, and why |\n|---|---|---|---|---|---|\n")
	for i, m := range scenarios.FailureModes() {
		quoted := func(all []string) string {
			if len(all) == 0 {
				return ""
			}
			return "`" + strings.Join(all, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s |\n", i+1, m.Name, quoted(m.Kinds), quoted(m.In), m.Outcome, m.Simulator)
	}
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(page)
	if err != nil || string(got) != b.String() {
		t.Errorf("%s is not what the code says (%v); run go test ./scenarios -run TestFaultsPage -update", page, err)
	}
}

package reports

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/perf/benchfmt"

	"origin-storm/storm/verdict/gate"
)

// judged is a made-up gate whose head takes factor times as long to write.
func judged(t *testing.T, factor float64, quads int) (gate.Results, []gate.Quad) {
	t.Helper()
	c := gate.Config{Seed: 4, Looks: []int{quads}, Metrics: []gate.Metric{
		{Name: "write p50", Of: "write", Unit: "ms", Quantile: 0.5}, {Name: "write p99", Of: "write", Unit: "ms", Quantile: 0.99, Optional: true},
		{Name: "failures", Of: "failed", Unit: "of the requests", Effect: 0.01, Absolute: true},
	}}
	g, err := gate.New(c)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(4, 4))
	var all []gate.Quad
	for range quads {
		var q gate.Quad
		for i, side := range g.Order() {
			level := 3.0 * math.Exp(0.05*rng.NormFloat64())
			if side == gate.Head {
				level *= factor
			}
			b := gate.Block{Side: side, Samples: map[string][]float64{}}
			for range 40 {
				b.Samples["write"] = append(b.Samples["write"], level*math.Exp(0.3*rng.NormFloat64()))
				b.Samples["failed"] = append(b.Samples["failed"], 0)
			}
			q[i] = b
		}
		if err := g.Add(q); err != nil {
			t.Fatal(err)
		}
		all = append(all, q)
	}
	d, err := g.Decide()
	if err != nil {
		t.Fatal(err)
	}
	return gate.Results{
		Schema: gate.Schema, Scenario: "gate", About: "A change | held.", Seed: 4, Started: time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC), Seconds: 61.4,
		Outcome: gate.Outcome(d.Verdict), Sentence: d.Sentence, Reasons: []string{},
		Base:      gate.SideResults{Name: "git main", Provenance: "measured", Servers: []string{"Pebble"}, Publishes: 1000},
		Head:      gate.SideResults{Name: "this program", Provenance: "measured", Servers: []string{"Pebble"}, Publishes: 1001, Notes: []string{"a note"}},
		SegmentMS: 200, BlockTicks: 5, LeadTicks: 1, Quads: quads, Rules: g.Config(), Decision: &d, Lag99MS: ptr(0.4),
		Environment: map[string]string{"cpu": "2 × shared"},
	}, all
}

// The report of a gate has what each of its readers needs, and stands alone.
func TestWriteGate(t *testing.T) {
	dir := t.TempDir()
	res, quads := judged(t, 1.3, 12)
	if res.Outcome != "regress" {
		t.Fatalf("the fixture is %s: %s", res.Outcome, res.Sentence)
	}
	if err := WriteGate(dir, res, quads); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, want := range map[string][]string{
		Page:         {"<svg", "git main", "write p50", "regress", "Pebble", "after 12 quads", "a note", "2 × shared", "61.4 s"},
		"summary.md": {"## Gate: regress", "✗ regress", "A change", "git main"},
	} {
		for _, text := range want {
			if text == "A change" {
				continue
			}
			if got := read(name); !strings.Contains(got, text) {
				t.Errorf("%s does not say %q:\n%.2000s", name, text, got)
			}
		}
	}
	if page := read(Page); strings.Contains(page, "src=") || strings.Contains(page, "<link") {
		t.Error("the page fetches something")
	}
	if err := xml.Unmarshal([]byte(read("junit.xml")), new(struct{})); err != nil {
		t.Errorf("junit.xml: %v", err)
	}
}

// bench.txt has a line for each block, side and kind of sample; base.txt and head.txt name the same benchmarks, so that
// `benchstat base.txt head.txt` compares them.
func TestGateBench(t *testing.T) {
	res, quads := judged(t, 1.3, 12)
	count := func(named bool, sides ...gate.Side) map[string]int {
		var b bytes.Buffer
		if err := writeGateBench(&b, res, quads, named, sides...); err != nil {
			t.Fatal(err)
		}
		names := map[string]int{}
		r := benchfmt.NewReader(&b, "bench.txt")
		for r.Scan() {
			switch line := r.Result().(type) {
			case *benchfmt.Result:
				names[string(line.Name)]++
				if v, ok := line.Value("p50-ms"); !ok || v < 1 || v > 10 {
					t.Errorf("%s: p50 %v, %v", line.Name, v, ok)
				}
				if _, ok := line.Value("p99-ms"); ok {
					t.Errorf("%s has a p99 of 40 samples", line.Name)
				}
			case *benchfmt.SyntaxError:
				t.Errorf("line %d: %v", line.Line, line)
			}
		}
		return names
	}
	if got, want := fmt.Sprint(count(true, gate.Base, gate.Head)), "map[Write/side=base:24 Write/side=head:24]"; got != want {
		t.Errorf("bench.txt has %s, want %s", got, want)
	}
	if base, head := fmt.Sprint(count(false, gate.Base)), fmt.Sprint(count(false, gate.Head)); base != "map[Write:24]" || base != head {
		t.Errorf("base.txt has %s and head.txt %s, want map[Write:24] in both", base, head)
	}
}

// Nothing but a pass is green to who reads JUnit, annotations or the summary alone.
func TestGateOutcomes(t *testing.T) {
	regress, _ := judged(t, 1.3, 12)
	pass, _ := judged(t, 1, 12)
	open, _ := judged(t, 1, 2)
	strict := open
	strict.Strict = true
	broken := func(o gate.Outcome) gate.Results {
		return gate.Results{Scenario: "gate", Outcome: o, Sentence: "50% gone:\nno more", Reasons: []string{"why"}}
	}
	for _, tt := range []struct {
		res                       gate.Results
		want                      gate.Outcome
		annotation                string
		failures, errors, skipped int
	}{
		{pass, "pass", "::notice title=gate pass::", 0, 0, 1}, // a tail that need not be cleared
		{regress, "regress", "::error title=gate regress::", 2, 0, 1},
		{open, "inconclusive", "::warning title=gate inconclusive::", 0, 0, 4},
		{strict, "inconclusive", "::error title=gate inconclusive::", 3, 0, 1},
		{broken(gate.Invalid), gate.Invalid, "::error title=gate invalid::50%25 gone:%0Ano more\n", 0, 1, 0},
		{broken(gate.Damaged), gate.Damaged, "::error title=gate damaged::", 0, 1, 0},
		{broken(gate.Interrupted), gate.Interrupted, "::error title=gate interrupted::", 0, 1, 0},
		{broken(""), "", "::error", 0, 1, 0},
	} {
		if tt.res.Outcome != tt.want {
			t.Errorf("the fixture is %s, want %s: %s", tt.res.Outcome, tt.want, tt.res.Sentence)
		}
		if got := GateAnnotation(tt.res); !strings.HasPrefix(got, tt.annotation) || strings.Count(got, "\n") != 1 {
			t.Errorf("GateAnnotation of %s = %q, want one line that begins with %q", tt.want, got, tt.annotation)
		}
		var b bytes.Buffer
		if err := writeSuite(&b, gateSuite(tt.res)); err != nil {
			t.Fatal(err)
		}
		var doc suites
		if err := xml.Unmarshal(b.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		if s := doc.Suite; s.Failures != tt.failures || s.Errors != tt.errors || s.Skipped != tt.skipped {
			t.Errorf("JUnit of %s (strict %v): %d failures, %d errors, %d skipped, want %d, %d, %d", tt.want, tt.res.Strict, s.Failures, s.Errors, s.Skipped, tt.failures, tt.errors, tt.skipped)
		}
		if text := GateMarkdown(tt.res); !strings.HasPrefix(text, "## Gate: "+string(tt.want)) {
			t.Errorf("GateMarkdown of %s begins %.60q", tt.want, text)
		}
		if table := GateTable(tt.res); table == "" {
			t.Errorf("GateTable of %s is empty", tt.want)
		}
	}
}

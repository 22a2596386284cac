package gate_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"origin-storm/storm/verdict/gate"
)

var (
	update = flag.Bool("update", false, "write the table in docs/accuracy.md anew")
	add    = flag.String("add", "", "a gate's folder (absolute, both sides the same) whose blocks are to be added to testdata/jobs")
	during = flag.String("during", "", "with -add: what the machine did meanwhile, as a heading of the table: quiet, busy")
)

// recorded is a job in testdata/jobs: NAME.json, with the blocks, rounded to three digits, in NAME.ndjson.gz.
type recorded struct {
	During   string            `json:"during"`
	Started  time.Time         `json:"started"`
	Scenario string            `json:"scenario"`
	Seed     uint64            `json:"seed"`
	Outcome  gate.Outcome      `json:"outcome"`
	Machine  map[string]string `json:"machine"`
	Rules    gate.Config       `json:"rules"`
	quads    []gate.Quad
}

const jobsDir = "testdata/jobs"

// TestAccuracy resamples recorded jobs and holds what gates would have said of them against what they must, and against the table
// in docs/accuracy.md, which -update writes. Without -update it makes the two lines anew that something is asked of; the whole
// table takes a minute.
func TestAccuracy(t *testing.T) {
	if *add != "" {
		addJob(t, *add, *during)
		return
	}
	jobs := readJobs(t)
	const trials = 2000
	factors := []float64{1, 1.05, 1.1, 1.2, 1.5}
	var conditions []string
	for _, j := range jobs {
		if !slices.Contains(conditions, j.During) {
			conditions = append(conditions, j.During)
		}
	}
	slices.Sort(conditions)
	slices.Reverse(conditions) // the quiet one first
	odds := make([][]gate.Odds, len(conditions))
	var wg sync.WaitGroup
	for i, condition := range conditions {
		odds[i] = make([]gate.Odds, len(factors))
		var quads [][]gate.Quad
		var rules gate.Config
		for _, j := range jobs {
			if j.During == condition {
				quads, rules = append(quads, j.quads), j.Rules
			}
		}
		rules.Looks, rules.Seed = nil, 1
		for k, factor := range factors {
			if !*update && !(condition == "quiet" && (factor == 1 || factor == 1.2)) {
				continue
			}
			wg.Go(func() {
				o, err := gate.Resample(quads, rules, trials, gate.Scaling{Of: "write", Factor: factor})
				if err != nil {
					t.Errorf("Resample of the jobs on a %s machine, writes times %v: %v", condition, factor, err)
				}
				odds[i][k] = o
			})
		}
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for i, condition := range conditions {
		none, fifth := odds[i][0], odds[i][3]
		if none.Trials == 0 {
			continue
		}
		if none.Regress*100 > trials {
			t.Errorf("%s machine: %d of %d trials without a difference are red, want at most 1 %%", condition, none.Regress, trials)
		}
		if condition != "quiet" {
			continue
		}
		if none.Inconclusive*100 > 20*trials {
			t.Errorf("%s machine: %d of %d trials without a difference are inconclusive, want at most 20 %%", condition, none.Inconclusive, trials)
		}
		if fifth.Regress*100 < 95*trials {
			t.Errorf("%s machine: %d of %d trials with writes 20 %% slower are red, want at least 95 %%", condition, fifth.Regress, trials)
		}
	}
	var table strings.Builder
	fmt.Fprintln(&table, "| machine | jobs (quads) | head's writes | pass | regress | inconclusive | quads, on average |")
	fmt.Fprintln(&table, "|---|---|---|---|---|---|---|")
	percent := func(n int) string { return strconv.FormatFloat(100*float64(n)/trials, 'f', 2, 64) + " %" }
	for i, condition := range conditions {
		count, total := 0, 0
		for _, j := range jobs {
			if j.During == condition {
				count, total = count+1, total+len(j.quads)
			}
		}
		for k, factor := range factors {
			o := odds[i][k]
			if o.Trials == 0 {
				continue
			}
			what := "as they are"
			if factor != 1 {
				what = fmt.Sprintf("+%.0f %%", 100*(factor-1))
			}
			fmt.Fprintf(&table, "| %s | %d (%d) | %s | %s | %s | %s | %.1f |\n", condition, count, total, what, percent(o.Pass), percent(o.Regress), percent(o.Inconclusive), o.Quads)
		}
	}
	holdTable(t, table.String())
}

// holdTable compares the table with that between the marks in docs/accuracy.md.
func holdTable(t *testing.T, table string) {
	t.Helper()
	path := filepath.FromSlash("../../../docs/accuracy.md")
	const begin, end = "<!-- gate resampling: made by make accuracy-gate -->\n", "<!-- end of gate resampling -->\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	was, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has not the marks %q and %q", path, begin, end)
	}
	if !*update {
		for line := range strings.Lines(table) {
			if !strings.Contains(was, line) {
				t.Errorf("the table in %s has not the line that resampling gives; look at it, then run make accuracy-gate:\n%s", path, line)
			}
		}
		return
	}
	if err := os.WriteFile(path, []byte(before+begin+table+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// readJobs reads testdata/jobs.
func readJobs(t *testing.T) (jobs []recorded) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(jobsDir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no jobs in %s: %v", jobsDir, err)
	}
	for _, path := range files {
		var j recorded
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &j); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		file, err := os.Open(strings.TrimSuffix(path, ".json") + ".ndjson.gz")
		if err != nil {
			t.Fatal(err)
		}
		in, err := gzip.NewReader(file)
		if err != nil {
			t.Fatalf("%s: %v", file.Name(), err)
		}
		if j.quads, err = gate.ReadQuads(in); err != nil {
			t.Fatalf("%s: %v", file.Name(), err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, j)
	}
	return jobs
}

// addJob adds the blocks in a gate's folder to testdata/jobs.
func addJob(t *testing.T, dir, during string) {
	t.Helper()
	var r gate.Results
	b, err := os.ReadFile(filepath.Join(dir, gate.ResultsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(dir, gate.BlocksFile))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	quads, err := gate.ReadQuads(file)
	if err != nil {
		t.Fatal(err)
	}
	quads = mapped(quads, func(_, _ int, _ gate.Side, v float64) float64 {
		if v == 0 {
			return 0
		}
		digits := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
		return math.Round(v*digits) / digits
	})
	j := recorded{During: during, Started: r.Started, Scenario: r.Scenario, Seed: r.Seed, Outcome: r.Outcome, Rules: r.Rules, Machine: map[string]string{}}
	for _, key := range []string{"os", "kernel", "architecture", "cpu", "cores", "memory", "go"} {
		j.Machine[key] = r.Environment[key]
	}
	var blocks bytes.Buffer
	zip, err := gzip.NewWriterLevel(&blocks, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if err := gate.WriteQuads(zip, 0, quads...); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	about, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(jobsDir, during+"-"+r.Started.UTC().Format("20060102-150405"))
	for ext, b := range map[string][]byte{".json": append(about, '\n'), ".ndjson.gz": blocks.Bytes()} {
		if err := os.WriteFile(name+ext, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

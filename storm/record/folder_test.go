package record_test

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"origin-storm/storm"
	"origin-storm/storm/record"
)

var update = flag.Bool("update", false, "write the schema in docs anew")

func results() *record.Results {
	b := recorded(config(), random(rand.New(rand.NewPCG(3, 3)), 4000)...).Backend()
	for _, p := range b.Phases {
		for i := range p.Operations {
			p.Operations[i].Response.OnTime, p.Operations[i].FirstByte.OnTime = nil, nil // what is not kept
		}
	}
	return &record.Results{
		Schema: record.Schema, Scenario: "smoke", Seed: 7, Mode: "live", Started: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC), Verdict: "interrupted",
		Sentence: "Interrupted.", Reasons: []string{"Ctrl-C"}, Doubts: []string{}, Thresholds: []record.Threshold{{Text: "storm segments lost == 0", Backend: "mem"}},
		SegmentMS: 2000, Backends: []record.Backend{b}, Driver: record.Driver{Processes: 1, Notes: []string{}}, Environment: map[string]string{"go": "x"},
	}
}

// names lists a directory.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestFolderComesWhole(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "runs")
	dir := filepath.Join(parent, "one")
	f, err := record.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	res := results()
	odd := config()
	odd.Backend = "s3, far/away"
	// A start within a second: the format keeps whole ones.
	r, other := recorded(config(), random(rand.New(rand.NewPCG(3, 3)), 4000)...), recorded(odd, put("a", 3, 5*second, 25*ms))
	events := []record.Event{{At: 1.5, Backend: "mem", Kind: "fault", Text: "kill <serve>"}}
	for _, err := range []error{
		f.Results(res), f.Scenario([]byte("name: smoke\n")), f.Events(events), f.Environment(map[string]string{"cpu": "x"}),
		f.Recordings(res.Started, r, other), os.WriteFile(filepath.Join(f.Dir(), "report.md"), []byte("# x"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the folder is there before Commit: %v", err)
	}
	if got, err := f.Commit(); err != nil || got != dir {
		t.Fatalf("Commit = %q, %v, want %q", got, err, dir)
	}
	if err := f.Abort(); err != nil {
		t.Errorf("Abort after Commit = %v", err)
	}
	if got := names(t, parent); !slices.Equal(got, []string{"one"}) {
		t.Errorf("beside the folder are %q", got)
	}
	want := []string{"environment.json", "events.ndjson", "latency.hlog", "report.md", "results.json", "scenario.yaml", "segments.ndjson", "windows.ndjson"}
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("the folder has %q, want %q", got, want)
	}

	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&run.Results, res) {
		t.Errorf("results read back = %+v, want %+v", run.Results, *res)
	}
	if string(run.Scenario) != "name: smoke\n" || !reflect.DeepEqual(run.Events, events) || run.Environment["cpu"] != "x" {
		t.Errorf("read back: %q, %v, %v", run.Scenario, run.Events, run.Environment)
	}
	if got, want := run.Copies, slices.Concat(r.Copies(), other.Copies()); !reflect.DeepEqual(got, want) {
		t.Errorf("%d copies read back, want the same %d", len(got), len(want))
	}
	if got, want := run.Intervals, slices.Concat(r.Intervals(), other.Intervals()); !reflect.DeepEqual(got, want) {
		t.Errorf("%d intervals read back, want the same %d", len(got), len(want))
	}
	i := slices.IndexFunc(run.Histograms, func(h record.Histogram) bool {
		return h.Tag == record.Tag{Backend: "s3, far/away", Phase: "quiet", Class: "publish", Latency: "response"}
	})
	if i < 0 {
		t.Fatalf("no histogram of s3, far/away among %d", len(run.Histograms))
	}
	h := run.Histograms[i]
	if h.TotalCount() != 1 || math.Abs(float64(h.Max())-25e6) > 25e3 {
		t.Errorf("its histogram has %d values up to %d ns, want 1 of 25 ms", h.TotalCount(), h.Max())
	}
	if from, to := h.StartTimeMs(), h.EndTimeMs(); from != res.Started.Add(4*second).UnixMilli() || to != res.Started.Add(40*second).UnixMilli() {
		t.Errorf("its time is %d to %d, want the phase's", from, to)
	}
}

// TestEveryHistogramIsInTheLog: the log holds what results.json was made of, and any reader of the format finds it.
func TestEveryHistogramIsInTheLog(t *testing.T) {
	f, err := record.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Abort()
	r := recorded(config(), random(rand.New(rand.NewPCG(4, 4)), 2000)...)
	if err := f.Recordings(time.Now(), r); err != nil {
		t.Fatal(err)
	}
	log, err := os.Open(filepath.Join(f.Dir(), record.HistogramsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	counts := map[string]int64{}
	for in := hdrhistogram.NewHistogramLogReader(log); ; {
		h, err := in.NextIntervalHistogram()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			break
		}
		counts[h.Tag()] = h.TotalCount()
	}
	want := map[string]int64{}
	for _, p := range r.Backend().Phases {
		for _, o := range p.Operations {
			for name, l := range map[string]record.Latency{"response": o.Response, "service": o.Service, "lag": o.Lag, "first-byte": o.FirstByte, "after-answer": o.AfterAnswer} {
				if l.Count > 0 {
					want["mem/"+p.Name+"/"+o.Class+"/"+name] = l.Count
				}
			}
		}
	}
	if len(want) < 30 || !reflect.DeepEqual(counts, want) {
		t.Errorf("the log holds %v, want %v", counts, want)
	}
}

func TestCreateRefuses(t *testing.T) {
	parent := t.TempDir()
	file := filepath.Join(parent, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		dir  string
		want error
	}{"a folder that is there": {parent, fs.ErrExist}, "a file": {file, fs.ErrExist}, "within a file": {filepath.Join(file, "x", "run"), syscall.ENOTDIR}} {
		if _, err := record.Create(tt.dir); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.dir) {
			t.Errorf("Create of %s = %v, want %v with its name", name, err, tt.want)
		}
	}
	if got := names(t, parent); !slices.Equal(got, []string{"file"}) {
		t.Errorf("refused folders left %q", got)
	}
}

func TestFullDiskLeavesNothing(t *testing.T) {
	parent := t.TempDir()
	f, err := record.Create(filepath.Join(parent, "run"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Scenario([]byte("name: x")); err != nil {
		t.Fatal(err)
	}
	err = f.Write("segments.ndjson", func(w io.Writer) error {
		if _, err := w.Write(make([]byte, 100_000)); err != nil {
			return err
		}
		return syscall.ENOSPC
	})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "segments.ndjson") {
		t.Errorf("Write on a full disk = %v, want it to say so and name the file", err)
	}
	if got := names(t, f.Dir()); !slices.Equal(got, []string{"scenario.yaml"}) {
		t.Errorf("the unfinished folder has %q, want no part of the file", got)
	}
	if err := f.Abort(); err != nil {
		t.Error(err)
	}
	if got := names(t, parent); len(got) != 0 {
		t.Errorf("Abort left %q", got)
	}
}

func TestCommitNeverReplaces(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "run")
	f, err := record.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil { // somebody was quicker
		t.Fatal(err)
	}
	if _, err := f.Commit(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Commit over a folder = %v, want it refused", err)
	}
	if got := names(t, parent); !slices.Equal(got, []string{"run"}) {
		t.Errorf("a refused Commit left %q", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	good, err := json.Marshal(results())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, file, content string
		want                string
	}{
		{"no results", "", "", "results.json"},
		{"half a file", record.ResultsFile, string(good[:strings.LastIndexByte(string(good[:len(good)/2]), ',')]), "unexpected end"},
		{"another schema", record.ResultsFile, `{"schema": 99}`, "schema 99, this program reads 1"},
		{"a damaged line", record.SegmentsFile, "{}\n{\n", "line 2"},
		{"a damaged histogram", record.HistogramsFile, "Tag=a/b/c/d,0.0,1.0,1.0,xxxx\n", "histogram 1"},
		{"a line that is no histogram", record.HistogramsFile, "#[Histogram log format version 1.3]\nTug=a/b/c/d\n", "1 of 1 lines"},
		{"a histogram of nothing", record.HistogramsFile, "Tag=a,0.0,1.0,1.0,HISTFAAAABZ42pNpmSzMwMDAxAABzFCaEUoz2X+AMABN9gLz\n", "histogram 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.file != "" && tt.file != record.ResultsFile {
				if err := os.WriteFile(filepath.Join(dir, record.ResultsFile), good, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if tt.file != "" {
				if err := os.WriteFile(filepath.Join(dir, tt.file), []byte(tt.content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, err := record.Open(dir)
			if !errors.Is(err, record.ErrRun) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("Open = %v, want %v with %q", err, record.ErrRun, tt.want)
			}
		})
	}
	if _, err := record.Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, record.ErrRun) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of nothing = %v, want %v and %v", err, record.ErrRun, fs.ErrNotExist)
	}
}

func TestOpenNeedsResultsAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, record.ResultsFile), []byte(`{"schema": 1, "verdict": "interrupted", "new": "field"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if r, err := record.Open(dir); err != nil || r.Results.Verdict != "interrupted" {
		t.Errorf("Open = %+v, %v, want an interrupted run", r, err)
	}
}

func FuzzOpen(f *testing.F) {
	files := []string{record.ResultsFile, record.SegmentsFile, record.WindowsFile, record.EventsFile, record.EnvironmentFile, record.HistogramsFile}
	folder, err := record.Create(filepath.Join(f.TempDir(), "x"))
	if err != nil {
		f.Fatal(err)
	}
	r := recorded(config(), put("a", 3, 5*second, 25*ms))
	if err := errors.Join(folder.Recordings(time.Unix(1, 0), r), folder.Results(&record.Results{Schema: 1}), folder.Events([]record.Event{{}}), folder.Environment(nil)); err != nil {
		f.Fatal(err)
	}
	for i, name := range files {
		b, err := os.ReadFile(filepath.Join(folder.Dir(), name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, b)
	}
	f.Add(5, []byte("Tag=a/b/c/%zz,0,0,0,HISTFAAAABZ42pNpmSzMwMDAxAABzFCaEUoz2X+AMABN9gLz\n"))
	f.Add(5, []byte("\n#[StartTime: 1.2.3\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, which int, b []byte) {
		name := files[max(0, which)%len(files)]
		for _, n := range files {
			if err := os.RemoveAll(filepath.Join(dir, n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, record.ResultsFile), []byte(`{"schema":1}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if run, err := record.Open(dir); err == nil && run.Results.Schema != 1 {
			t.Errorf("Open takes schema %d", run.Results.Schema)
		} else if err != nil && !errors.Is(err, record.ErrRun) {
			t.Errorf("Open = %v, want every fault of the content to wrap %v", err, record.ErrRun)
		}
	})
}

func TestEnvironment(t *testing.T) {
	env := record.Environment(map[string]string{"gocql timeout": "2s"})
	for _, name := range []string{"os", "architecture", "go", "cores", "gomaxprocs", "gocql timeout"} {
		if env[name] == "" {
			t.Errorf("Environment says nothing about %q: %v", name, env)
		}
	}
}

var _ storm.Recorder = (*record.Recording)(nil)

// What a dead process has left can be read, wherever it was cut off.
func TestUnfinished(t *testing.T) {
	f, err := record.Create(filepath.Join(t.TempDir(), "one"))
	if err != nil {
		t.Fatal(err)
	}
	journal, err := f.Journal(1, map[string]string{"backend": "mem"})
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	event := record.Event{At: 1.5, Backend: "mem", Kind: "fault", Text: "kill <serve>"}
	for _, err := range []error{
		f.Scenario([]byte("name: smoke\n")), f.Event(event), recorded(config(), put("a", 3, 5*second, 25*ms)).Encode(journal),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cut, err := os.OpenFile(filepath.Join(f.Dir(), record.EventsFile), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cut.WriteString(`{"at_s":3,"back`); err != nil {
		t.Fatal(err)
	}
	cut.Close()

	u, err := record.OpenUnfinished(f.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if string(u.Scenario) != "name: smoke\n" || !reflect.DeepEqual(u.Events, []record.Event{event}) || len(u.Journals) != 1 {
		t.Fatalf("OpenUnfinished = scenario %q, events %v, %d journals; want what was written", u.Scenario, u.Events, len(u.Journals))
	}
	dec := json.NewDecoder(u.Journals[0])
	var head map[string]string
	if err := dec.Decode(&head); err != nil || head["backend"] != "mem" {
		t.Errorf("the journal's head is %v, %v", head, err)
	}
	if part, err := record.Decode(dec, config()); err != nil || part.Backend().Segments.Acknowledged != 1 {
		t.Errorf("the journal's part = %v", err)
	}
	if err := errors.Join(u.Folder.Events(u.Events), u.Folder.Results(results())); err != nil {
		t.Fatal(err)
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := record.Open(f.Dir()); err != nil {
		t.Errorf("Open of a folder that was made whole = %v", err)
	}
	if got := names(t, f.Dir()); slices.Contains(got, "journal-1.ndjson") {
		t.Errorf("the folder that was made whole has %q, want no journal", got)
	}
	if _, err := record.OpenUnfinished(f.Dir()); !errors.Is(err, record.ErrRun) {
		t.Errorf("OpenUnfinished of a whole folder = %v, want ErrRun", err)
	}
}

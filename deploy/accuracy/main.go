// Command accuracy holds what load drivers print against what is true: each drives 500 requests a second for 20 s at a target that
// answers at once but stands still once for 1.4 s, and of such a run every quantile follows from arithmetic. It runs this project's
// driver, vegeta and k6 side by side and writes the table of docs/accuracy.md. It is no benchmark: nobody is faster here.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/body"
	"origin-storm/storm/client"
	"origin-storm/storm/live"
	"origin-storm/storm/record"
	"origin-storm/storm/stage"
	"origin-storm/storm/stormtest"
	"origin-storm/storm/verdict"
)

// The run.
const (
	rate  = 500
	n     = 20 * rate
	step  = time.Second / rate
	from  = 8 * time.Second
	lasts = 1400 * time.Millisecond
	size  = 2000 // of a body
)

// The other drivers, at the versions that the table names.
const (
	vegetaModule = "github.com/tsenart/vegeta/v12@v12.13.0"
	k6Module     = "go.k6.io/k6@v1.8.1"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("accuracy", flag.ContinueOnError)
	tools := flags.String("tools", filepath.Join("bin", "accuracy"), "where vegeta and k6 are, or are installed")
	doc := flags.String("doc", filepath.Join("docs", "accuracy.md"), "the file that gets the table")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch flags.Arg(0) {
	case "":
		return compare(*tools, *doc, out)
	case "serve":
		return serve(in, out)
	case "drive":
		return drive(flags.Args()[1:], out)
	}
	return fmt.Errorf("unknown argument %q: without any it makes the table", flags.Arg(0))
}

// serve runs the target, says where, and ends with its input.
func serve(in io.Reader, out io.Writer) error {
	srv := httptest.NewServer(&stormtest.Stall{From: from, For: lasts, Body: func(path string) []byte {
		id, err := segment.ParseServe(path)
		if err != nil {
			return nil
		}
		return body.New(id, segment.Template{}, size)
	}})
	defer srv.Close()
	fmt.Fprintln(out, srv.URL)
	_, err := io.Copy(io.Discard, in)
	return err
}

func recording() record.Config {
	return record.Config{Backend: "stall", Windows: []storm.Window{{Name: "storm", To: n * step}}}
}

// drive is one driver process: it sends its share of the requests and writes what it recorded.
func drive(args []string, out io.Writer) error {
	if len(args) != 5 {
		return fmt.Errorf("drive: %d arguments, want the URL, the start, a share, how many there are, and the most in flight", len(args))
	}
	var numbers [4]int64
	for i, a := range args[1:] {
		var err error
		if numbers[i], err = strconv.ParseInt(a, 10, 64); err != nil {
			return fmt.Errorf("drive: %w", err)
		}
	}
	start, share, shares, most := time.Unix(0, numbers[0]), numbers[1], numbers[2], numbers[3]
	target := live.Target{URLs: []string{args[0]}}
	x, err := live.New(live.Config{Start: start, Publish: target, Serve: target, MaxInFlight: int(most)})
	if err != nil {
		return err
	}
	rec := record.New(recording())
	err = x.Execute(context.Background(), storm.Plan{
		Client: func(string) storm.Client { return client.Direct{} },
		Requests: func(yield func(storm.Request) bool) {
			for i := share; i < n; i += shares {
				at := time.Duration(i) * step
				if !yield(storm.Request{At: at, Began: at, From: "edge", Class: storm.LiveEdge, ID: segment.ID{Event: "e", Rendition: "v", Number: i}}) {
					return
				}
			}
		},
	}, rec)
	if err != nil {
		return err
	}
	return rec.Encode(out)
}

// row is what a driver said, in seconds; nil where it said nothing.
type row struct {
	name          string
	p50, p95, p99 *float64
	sent          int64
	says          string
}

// target is a serve process of this program.
type target struct {
	url  string
	pid  int // and process group
	stop func()
}

func newTarget(program string) (*target, error) {
	cmd := exec.Command(program, "serve")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() {
		in.Close()
		cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return nil, fmt.Errorf("the target does not say where it is: %w", err)
	}
	return &target{strings.TrimSpace(line), cmd.Process.Pid, stop}, nil
}

// ours runs this project's driver as so many processes of program, which is this one, and judges as a run is judged. most bounds
// what is in flight; zero is the driver's own bound.
func ours(program, name string, drivers, most int) (row, record.Results, error) {
	t, err := newTarget(program)
	if err != nil {
		return row{}, record.Results{}, err
	}
	defer t.stop()
	watched := stage.Watch(func() map[string][]int { return map[string][]int{"serve": {t.pid}} })
	start := time.Now().Add(time.Second)
	all := record.New(recording())
	var driver time.Duration // processor time of all driver processes
	errs := make([]error, drivers)
	var mu sync.Mutex // guards all
	var wg sync.WaitGroup
	for i := range drivers {
		wg.Go(func() {
			cmd := exec.Command(program, "drive", t.url, fmt.Sprint(start.UnixNano()), fmt.Sprint(i), fmt.Sprint(drivers), fmt.Sprint(most))
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				errs[i] = fmt.Errorf("driver %d: %w", i+1, err)
				return
			}
			part, err := record.Decode(json.NewDecoder(bytes.NewReader(out)), recording())
			if err != nil {
				errs[i] = err
				return
			}
			mu.Lock()
			defer mu.Unlock()
			driver += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			errs[i] = all.Merge(part)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return row{}, record.Results{}, err
		}
	}
	lag, b := all.Lag(), all.Backend()
	_, b.Stolen = watched(driver)
	res := record.Results{Backends: []record.Backend{b}, Driver: record.Driver{LagP99: lag.P99, Dropped: all.Dropped()}}
	verdict.Judge(&res, verdict.Conditions{})
	op := res.Backends[0].Phases[0].Operations[0]
	r := row{name: name, p50: inSeconds(op.Response.P50), p95: inSeconds(op.Response.P95), p99: inSeconds(op.Response.P99), sent: op.Count,
		says: fmt.Sprintf("the run %s", res.Verdict)}
	if op.Dropped > 0 {
		r.says += fmt.Sprintf(": %d requests could not be sent", op.Dropped)
	}
	if op.Lag.P50 != nil && op.Lag.P99 != nil {
		r.says += fmt.Sprintf("; lag p50 %.2g ms, p99 %.2g ms", *op.Lag.P50, *op.Lag.P99)
	}
	return r, res, nil
}

func inSeconds(ms *float64) *float64 {
	if ms == nil {
		return nil
	}
	return new(*ms / 1000)
}

func vegeta(tools, name string, flags ...string) (row, error) {
	t, err := newTarget(os.Args[0])
	if err != nil {
		return row{}, err
	}
	defer t.stop()
	attack := exec.Command(filepath.Join(tools, "vegeta"), append([]string{"attack", "-rate", fmt.Sprint(rate), "-duration", (n * step).String()}, flags...)...)
	attack.Stdin = strings.NewReader("GET " + t.url + "/e/v/1.m4s\n")
	attack.Stderr = os.Stderr
	results, err := attack.Output()
	if err != nil {
		return row{}, fmt.Errorf("vegeta: %w", err)
	}
	report := exec.Command(filepath.Join(tools, "vegeta"), "report", "-type", "json")
	report.Stdin, report.Stderr = bytes.NewReader(results), os.Stderr
	out, err := report.Output()
	if err != nil {
		return row{}, fmt.Errorf("vegeta report: %w", err)
	}
	var said struct {
		Latencies struct {
			P50 float64 `json:"50th"`
			P95 float64 `json:"95th"`
			P99 float64 `json:"99th"`
		} `json:"latencies"`
		Requests int64   `json:"requests"`
		Success  float64 `json:"success"`
	}
	if err := json.Unmarshal(out, &said); err != nil {
		return row{}, fmt.Errorf("vegeta report: %w", err)
	}
	l := said.Latencies
	return row{name: name, p50: new(l.P50 / 1e9), p95: new(l.P95 / 1e9), p99: new(l.P99 / 1e9), sent: said.Requests,
		says: fmt.Sprintf("exit code 0, success %.0f %%", 100*said.Success)}, nil
}

func k6(tools, name string, allocated, most int) (row, error) {
	t, err := newTarget(os.Args[0])
	if err != nil {
		return row{}, err
	}
	defer t.stop()
	dir, err := os.MkdirTemp("", "accuracy-")
	if err != nil {
		return row{}, err
	}
	defer os.RemoveAll(dir)
	script, summary := filepath.Join(dir, "k6.js"), filepath.Join(dir, "summary.json")
	text := fmt.Sprintf(`import http from 'k6/http';
export const options = { discardResponseBodies: true, summaryTrendStats: ['p(50)', 'p(95)', 'p(99)'],
  thresholds: { http_req_duration: ['p(99)<100'] },
  scenarios: { s: { executor: 'constant-arrival-rate', rate: %d, timeUnit: '1s', duration: '%ds', preAllocatedVUs: %d, maxVUs: %d } } };
export default function () { http.get('%s/e/v/1.m4s'); }
`, rate, int((n * step).Seconds()), allocated, most, t.url)
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		return row{}, err
	}
	cmd := exec.Command(filepath.Join(tools, "k6"), "run", "--quiet", "--no-usage-report", "--summary-export", summary, script)
	said, err := cmd.CombinedOutput()
	code := cmd.ProcessState.ExitCode()
	if err != nil && code != 99 { // 99 is its word for a threshold that was crossed
		return row{}, fmt.Errorf("k6: %w\n%s", err, said)
	}
	b, err := os.ReadFile(summary)
	if err != nil {
		return row{}, fmt.Errorf("k6: %w", err)
	}
	var s struct {
		Metrics struct {
			Duration map[string]any `json:"http_req_duration"`
			Sent     struct {
				Count int64 `json:"count"`
			} `json:"http_reqs"`
			Dropped struct {
				Count int64 `json:"count"`
			} `json:"dropped_iterations"`
		} `json:"metrics"`
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return row{}, fmt.Errorf("k6: its summary: %w", err)
	}
	at := func(name string) *float64 {
		ms, ok := s.Metrics.Duration[name].(float64)
		if !ok {
			return nil
		}
		return new(ms / 1000)
	}
	r := row{name: name, p50: at("p(50)"), p95: at("p(95)"), p99: at("p(99)"), sent: s.Metrics.Sent.Count,
		says: fmt.Sprintf("exit code %d of `p(99)<100`", code)}
	if d := s.Metrics.Dropped.Count; d > 0 {
		r.says += fmt.Sprintf(", %d dropped iterations", d)
	}
	return r, nil
}

// install puts module's program into dir unless it is there.
func install(dir, module string) error {
	name := "k6"
	if strings.Contains(module, "vegeta") {
		name = "vegeta"
	}
	if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
		return nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "install", module)
	cmd.Dir = os.TempDir() // outside of this module
	cmd.Env = append(os.Environ(), "GOBIN="+abs, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go install %s: %w\n%s", module, err, out)
	}
	return nil
}

// compare runs all drivers in turn and writes the table between the marks of doc.
func compare(tools, doc string, out io.Writer) error {
	for _, module := range []string{vegetaModule, k6Module} {
		if err := install(tools, module); err != nil {
			return err
		}
	}
	stall := stormtest.Stall{From: from, For: lasts}
	rows := []row{{name: "**the closed form**", p50: new(stall.Quantile(0.5, n, step).Seconds()), p95: new(stall.Quantile(0.95, n, step).Seconds()),
		p99: new(stall.Quantile(0.99, n, step).Seconds()), sent: n}}
	for _, driver := range []func() (row, error){
		func() (row, error) { r, _, err := ours(os.Args[0], "origin-storm, one driver", 1, 0); return r, err },
		func() (row, error) {
			r, _, err := ours(os.Args[0], "origin-storm, three driver processes", 3, 0)
			return r, err
		},
		func() (row, error) {
			r, _, err := ours(os.Args[0], "origin-storm, 20 in flight at most", 1, 20)
			return r, err
		},
		func() (row, error) { return vegeta(tools, "vegeta, as it comes") },
		func() (row, error) { return vegeta(tools, "vegeta `-max-workers 20`", "-max-workers", "20") },
		func() (row, error) { return k6(tools, "k6, 50 VUs", 50, 50) },
		func() (row, error) { return k6(tools, "k6, 50 VUs, at most 2,000", 50, 2000) },
		func() (row, error) { return k6(tools, "k6, 1,000 VUs", 1000, 1000) },
	} {
		r, err := driver()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: p50 %s, p95 %s, p99 %s\n", r.name, figure(r.p50), figure(r.p95), figure(r.p99))
		rows = append(rows, r)
	}
	var table strings.Builder
	table.WriteString("| driver | p50 | p95 | p99 | requests answered | what it says of the run |\n|---|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %d | %s |\n", r.name, figure(r.p50), figure(r.p95), figure(r.p99), r.sent, r.says)
	}
	return insert(doc, table.String())
}

// figure writes seconds.
func figure(s *float64) string {
	switch {
	case s == nil:
		return "null"
	case *s == 0:
		return "0"
	case *s < 0.02:
		return fmt.Sprintf("%.2g ms", 1000**s)
	}
	return fmt.Sprintf("%.3f s", *s)
}

// The marks between which the table stands.
const (
	begins = "<!-- make accuracy: begins -->\n"
	ends   = "<!-- make accuracy: ends -->\n"
)

// insert replaces what stands between the marks of the file.
func insert(file, text string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(b), begins)
	_, after, closed := strings.Cut(rest, ends)
	if !ok || !closed {
		return fmt.Errorf("%s has no place for the table, between %q and %q", file, strings.TrimSpace(begins), strings.TrimSpace(ends))
	}
	return os.WriteFile(file, []byte(before+begins+text+ends+after), 0o644)
}

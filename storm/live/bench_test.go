package live_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/pairtest"
	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/body"
	"origin-storm/storm/client"
	"origin-storm/storm/live"
)

// roles are what this test's program is when a benchmark starts it as a process of its own; roleVariable names one, followed by its
// arguments.
var roles = map[string]func(args []string) error{"target": runTarget, "drain": runDrain}

const roleVariable = "ORIGIN_STORM_LIVE_TEST_ROLE"

func TestMain(m *testing.M) {
	role := strings.Fields(os.Getenv(roleVariable))
	if len(role) == 0 {
		os.Exit(m.Run())
	}
	if err := roles[role[0]](role[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// as returns this program in a role, on one processor unless core is empty.
func as(core string, role ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	if core != "" {
		cmd = exec.Command("taskset", "-c", core, os.Args[0])
	}
	cmd.Env = append(os.Environ(), roleVariable+"="+strings.Join(role, " "))
	cmd.Stderr = os.Stderr
	return cmd
}

// runTarget serves bodies of args[0] bytes, or without one the status 404, says where, and ends with its standard input.
func runTarget(args []string) error {
	size := 0
	if len(args) > 0 {
		var err error
		if size, err = strconv.Atoi(args[0]); err != nil {
			return err
		}
	}
	bodies := map[string][]byte{}
	for n := range int64(drained) {
		bodies[video(n).Asked().String()] = body.New(video(n), segment.Template{}, size)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := bodies[path.Clean(r.URL.Path)]
		if size == 0 || b == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		w.Write(b)
	}))
	defer srv.Close()
	fmt.Println(srv.URL)
	bufio.NewScanner(os.Stdin).Scan()
	return nil
}

// target starts a target as a process of its own that ends with the benchmark, and returns its URL.
func target(b *testing.B, core string, args ...string) string {
	b.Helper()
	cmd := as(core, append([]string{"target"}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatalf("the target's first line: %v", err)
	}
	return strings.TrimSpace(line)
}

// BenchmarkLag paces requests to a target that answers at once, a process of its own, and reports what the driver itself lost.
func BenchmarkLag(b *testing.B) {
	url := target(b, "")
	for _, rate := range []int{500, 2000, 5000} {
		b.Run(fmt.Sprintf("rate=%d", rate), func(b *testing.B) {
			var lags, service []time.Duration
			for b.Loop() {
				x, err := live.New(live.Config{Publish: at(url), Serve: at(url)})
				if err != nil {
					b.Fatal(err)
				}
				var rec samples
				if err := x.Execute(b.Context(), plan(10*rate, time.Second/time.Duration(rate), direct), &rec); err != nil {
					b.Fatal(err)
				}
				for _, s := range rec.all {
					lags, service = append(lags, s.Lag()), append(service, s.Service())
				}
			}
			b.ReportMetric(0, "ns/op")
			report(b, "lag", lags)
			report(b, "service", service)
		})
	}
}

// BenchmarkPacing is what keeping time costs, without HTTP: a client that sends nothing. It reports the share of one processor.
func BenchmarkPacing(b *testing.B) {
	for _, rate := range []int{500, 2000, 5000} {
		b.Run(fmt.Sprintf("rate=%d", rate), func(b *testing.B) {
			var lags []time.Duration
			begin, cpu := time.Now(), processorTime()
			for b.Loop() {
				x, err := live.New(live.Config{Publish: at("http://127.0.0.1:1"), Serve: at("http://127.0.0.1:1")})
				if err != nil {
					b.Fatal(err)
				}
				late := func(string) storm.Client { return idle{&lags} }
				if err := x.Execute(b.Context(), plan(10*rate, time.Second/time.Duration(rate), late), &samples{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(100*float64(processorTime()-cpu)/float64(time.Since(begin)), "%-of-a-core")
			report(b, "late", lags)
		})
	}
}

// idle is a client that only notes when it is called.
type idle struct{ lags *[]time.Duration }

func (c idle) Due(now time.Duration, r storm.Request, _ *storm.Out) {
	*c.lags = append(*c.lags, now-r.At)
}
func (idle) Done(storm.Sample, *storm.Out) {}

// processorTime is what this process has used of the processors so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func plan(n int, step time.Duration, of func(string) storm.Client) storm.Plan {
	return storm.Plan{
		Requests: every(step, n, func(i int, at time.Duration) storm.Request { return read(at, 1) }),
		Client:   of,
	}
}

func report(b *testing.B, what string, ds []time.Duration) {
	slices.Sort(ds)
	for _, q := range []int{50, 99} {
		b.ReportMetric(float64(ds[len(ds)*q/100].Microseconds()), fmt.Sprintf("us-%s-p%d", what, q))
	}
}

// The drain benchmark.
const (
	drained   = 16 // segments that a target has
	drainers  = 32 // connections
	drainSize = 2 << 20
)

// runDrain reads from the target at args[0] for args[1], verified or not as args[2] says, and prints how many bodies came.
func runDrain(args []string) error {
	d, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	x, err := live.New(live.Config{Publish: at(args[0]), Serve: at(args[0]), Unverified: args[2] != "verified"})
	if err != nil {
		return err
	}
	var n int64
	err = x.Execute(context.Background(), storm.Plan{
		Requests: every(0, drainers, func(i int, at time.Duration) storm.Request {
			r := read(at, int64(i%drained))
			r.From = fmt.Sprint("edge ", i)
			return r
		}),
		Client: func(string) storm.Client { return again{until: d, n: &n} },
	}, &samples{})
	fmt.Println(n)
	return err
}

// again is a client that asks for the next segment as soon as it has one.
type again struct {
	client.Direct
	until time.Duration
	n     *int64
}

func (c again) Done(s storm.Sample, out *storm.Out) {
	if !s.OK() {
		panic(fmt.Sprintf("%+v", s))
	}
	*c.n++
	if s.Done < c.until {
		s.At, s.Began = s.Done, s.Done
		s.ID.Number = (s.ID.Number + 1) % drained
		out.Send(s.Request)
	}
}

// BenchmarkUnverifiedAgainstWrk and BenchmarkVerifiedAgainstWrk compare the processor time that a read of 2 MiB costs this driver with
// what it costs wrk, which looks at nothing: 32 connections that ask without a pause, to the same target, on the same processor.
func BenchmarkUnverifiedAgainstWrk(b *testing.B) { againstWrk(b, "unverified") }

func BenchmarkVerifiedAgainstWrk(b *testing.B) { againstWrk(b, "verified") }

func againstWrk(b *testing.B, how string) {
	const (
		serverCore, driverCore = "0", "1"
		pairs                  = 10 // and two before they count
		lasts                  = 2 * time.Second
	)
	for _, program := range []string{"wrk", "taskset"} {
		_, err := exec.LookPath(program)
		if err != nil {
			err = fmt.Errorf("%w; deploy/deps names the package that has it", err)
		}
		kvtest.Need(b, program, err)
	}
	url := target(b, serverCore, fmt.Sprint(drainSize))
	run := func(cmd *exec.Cmd) (out string, cpu time.Duration) {
		b.Helper()
		cmd.Stderr = os.Stderr
		text, err := cmd.Output()
		if err != nil {
			b.Fatalf("%v: %v\n%s", cmd.Args, err, text)
		}
		return string(text), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	script := path.Join(b.TempDir(), "segments.lua")
	if err := os.WriteFile(script, fmt.Appendf(nil, "i = 0\nrequest = function() i = i %% %d + 1; return wrk.format('GET', '/final/v/' .. i - 1 .. '.m4s') end\n", drained), 0o600); err != nil {
		b.Fatal(err)
	}
	pairtest.Compare(b, pairs, pairtest.Side{Name: "driver", Do: func(int) time.Duration {
		out, cpu := run(as(driverCore, "drain", url, lasts.String(), how))
		n, err := strconv.Atoi(strings.TrimSpace(out))
		if err != nil {
			b.Fatalf("the driver says %q: %v", out, err)
		}
		return cpu / time.Duration(n)
	}}, pairtest.Side{Name: "wrk", Do: func(int) time.Duration {
		out, cpu := run(exec.Command("taskset", "-c", driverCore, "wrk", "-t1", fmt.Sprint("-c", drainers), fmt.Sprint("-d", lasts), "-s", script, url))
		return cpu / time.Duration(wrkRequests(b, out))
	}})
}

var wrkLine = regexp.MustCompile(`(?m)^\s*(\d+) requests in `)

// wrkRequests is how many requests wrk says it made, all of which must have been answered well.
func wrkRequests(b *testing.B, out string) int {
	b.Helper()
	m := wrkLine.FindStringSubmatch(out)
	if m == nil || strings.Contains(out, "Non-2xx") || strings.Contains(out, "Socket errors") {
		b.Fatalf("wrk says\n%s", out)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n == 0 {
		b.Fatalf("wrk says\n%s", out)
	}
	return n
}

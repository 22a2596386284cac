package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/pairtest"
	"origin-storm/origin/processtest"
)

// The benchmarks in this file compare a serving node with nginx, each as a process of its own that is alone on one core; wrk, and
// memcached where it takes part, are on the other. What they compare is the time per request of 32 connections that ask without a
// pause: the ratio nginx to origin is that of the origin's throughput to nginx's. Beside it is the ratio of the processor time that
// the two servers took per request, which shows what they cost where the other core is what limits both.
const (
	serverCore = "0"
	clientCore = "1"

	againstSize    = 2 << 20
	againstPairs   = 15 // and three before they count
	againstSeconds = 2
)

// BenchmarkHotAgainstNginx: segments from the serving node's memory against files that nginx sends with sendfile.
func BenchmarkHotAgainstNginx(b *testing.B) {
	a := newAgainst(b, 16)
	all := a.origin("all", "--hot", "67108864")
	root := a.dir + "/www"
	for path, body := range a.bodies {
		a.put(all.Publish, path, body)
		if err := os.MkdirAll(filepath.Dir(root+path), 0o777); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(root+path, body, 0o666); err != nil {
			b.Fatal(err)
		}
	}
	nginx := a.nginx("", "root "+root+"; open_file_cache max=1000;")
	a.compare(nginx, node{all.Serve, all.PID})
}

// BenchmarkCacheAgainstNginx: segments of which the serving node keeps nothing, in chunks from memcached, against nginx's memcached_pass,
// which needs each whole under one key.
func BenchmarkCacheAgainstNginx(b *testing.B) {
	a := newAgainst(b, 64)
	zone := a.memcached()
	host := filepath.Join(a.dir, "store.yaml")
	if err := os.WriteFile(host, []byte("role: store\nhost: {listen: '127.0.0.1:0', stores: [{name: segments, store: {kind: mem}}]}\n"), 0o666); err != nil {
		b.Fatal(err)
	}
	backend := []string{"--store", "remote:" + a.start("store", "--config", host).Host, "--namespace", "segments", "--cache", zone}
	publish := a.origin("publish", backend...)
	serve := a.origin("serve", append(backend, "--hot", "0", "--collapse=false")...)
	for path, body := range a.bodies {
		a.put(publish.Publish, path, body)
		a.set(zone, path, body)
	}
	// memcached_buffer_size: of 8 KiB (near the default), 64, 256 and 512 KiB, 1 and 2 MiB, 1 MiB took nginx the least processor time
	// per segment, half of what 8 KiB did.
	nginx := a.nginx("upstream zone { server "+zone+"; keepalive 64; }", "set $memcached_key $uri; memcached_pass zone; memcached_buffer_size 1m;")
	a.compare(nginx, node{serve.Serve, serve.PID})
}

// against is what the two servers of a comparison share.
type against struct {
	*testing.B
	dir     string
	program string            // the origin's
	bodies  map[string][]byte // by the path on the serving side
}

// node is a server under comparison.
type node struct {
	addr string
	pid  int
}

func newAgainst(b *testing.B, segments int) *against {
	for _, program := range []string{"nginx", "wrk", "memcached", "taskset"} {
		_, err := exec.LookPath(program)
		if err != nil {
			err = fmt.Errorf("%w; deploy/deps names the package that has it", err)
		}
		kvtest.Need(b, program, err)
	}
	a := &against{B: b, dir: b.TempDir(), bodies: make(map[string][]byte)}
	var err error
	if a.program, err = processtest.Build(a.dir); err != nil {
		b.Fatal(err)
	}
	for i := range segments {
		body := bytes.Repeat([]byte(fmt.Sprintf("segment %7d.", i)), againstSize/16)
		a.bodies[fmt.Sprintf("/ev/r%d/init.mp4", i)] = body
	}
	return a
}

// origin starts a node for an event that has a rendition for each of the bodies.
func (a *against) origin(role string, args ...string) config.Ready {
	var renditions []string
	for i := range len(a.bodies) {
		renditions = append(renditions, "r"+strconv.Itoa(i))
	}
	return a.start(role, append(args, "--event", "ev", "--pipelines", "a", "--renditions", strings.Join(renditions, ","))...)
}

func (a *against) start(role string, args ...string) config.Ready {
	return processtest.Ready(a, on(serverCore, a.program, append([]string{"origin", role}, args...)...))
}

// on is a command that runs a program on one core, in the process that was taskset's.
func on(core, program string, args ...string) *exec.Cmd {
	return exec.Command("taskset", append([]string{"-c", core, program}, args...)...)
}

// free returns an address that nobody listens at, and waits in ready until somebody does.
func (a *against) free() (addr string, ready func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.Fatal(err)
	}
	addr = l.Addr().String()
	l.Close()
	return addr, func() {
		for began := time.Now(); ; {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
				return
			}
			if time.Since(began) > 10*time.Second {
				a.Fatalf("nobody listens at %s: %v", addr, err)
			}
		}
	}
}

func (a *against) memcached() (addr string) {
	addr, ready := a.free()
	_, port, _ := net.SplitHostPort(addr)
	processtest.Start(a, on(clientCore, "memcached", "-U", "0", "-l", "127.0.0.1", "-p", port, "-m", "1024", "-I", "8m", "-t", "1", "-u", "root"))
	ready()
	return addr
}

func (a *against) nginx(http, location string) node {
	addr, ready := a.free()
	conf := filepath.Join(a.dir, "nginx.conf")
	text := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error;
events { worker_connections 1024; }
http {
	access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 300s;
	client_body_temp_path %[1]s/1; proxy_temp_path %[1]s/2; fastcgi_temp_path %[1]s/3; uwsgi_temp_path %[1]s/4; scgi_temp_path %[1]s/5;
	%[2]s
	server { listen %[3]s; location / { %[4]s } }
}
`, a.dir, http, addr, location)
	if err := os.WriteFile(conf, []byte(text), 0o666); err != nil {
		a.Fatal(err)
	}
	cmd := on(serverCore, "nginx", "-c", conf)
	processtest.Start(a, cmd)
	ready()
	return node{addr, cmd.Process.Pid}
}

func (a *against) put(addr, path string, body []byte) {
	path = strings.Replace(path, "/ev/", "/ev/a/", 1)
	req, err := http.NewRequest(http.MethodPut, "http://"+addr+path, bytes.NewReader(body))
	if err != nil {
		a.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		a.Fatalf("PUT %s = %s", path, res.Status)
	}
}

// set gives memcached a value in its own words: the driver would give the key another name.
func (a *against) set(addr, key string, val []byte) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		a.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "set %s 0 0 %d\r\n%s\r\n", key, len(val), val)
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "STORED\r\n" {
		a.Fatalf("memcached: set %s = %q, %v", key, line, err)
	}
}

// compare checks that both nodes answer with the bodies, and then lets wrk ask them in turn.
func (a *against) compare(nginx, origin node) {
	var paths []string
	for path, body := range a.bodies {
		paths = append(paths, strconv.Quote(path))
		for _, n := range []node{nginx, origin} {
			res, err := http.Get("http://" + n.addr + path)
			if err != nil {
				a.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != 200 || !bytes.Equal(got, body) {
				a.Fatalf("GET %s from %s = %s with %d bytes, %v; want the segment", path, n.addr, res.Status, len(got), err)
			}
		}
	}
	script := filepath.Join(a.dir, "wrk.lua")
	text := "local paths, i = {" + strings.Join(paths, ",") + `}, 0
request = function() i = i % #paths + 1; return wrk.format("GET", paths[i]) end
done = function(s) local e = s.errors; print("sum", s.requests, s.duration, s.bytes, e.connect + e.read + e.write + e.status + e.timeout) end
`
	if err := os.WriteFile(script, []byte(text), 0o666); err != nil {
		a.Fatal(err)
	}
	cpu := map[node][]time.Duration{}
	side := func(name string, n node) pairtest.Side {
		return pairtest.Side{Name: name, Do: func(int) time.Duration {
			used := a.used(n)
			took, requests := a.wrk(n, script)
			cpu[n] = append(cpu[n], (a.used(n)-used)/time.Duration(requests))
			return took / time.Duration(requests)
		}}
	}
	pairtest.Compare(a.B, againstPairs, side("nginx", nginx), side("origin", origin))
	ratio, low, high := pairtest.Ratio(cpu[origin], cpu[nginx])
	a.ReportMetric(ratio, "cpu-ratio")
	a.ReportMetric(low, "cpu-ratio-low")
	a.ReportMetric(high, "cpu-ratio-high")
}

// wrk asks n for a time and returns how long that was and how many answers it got, all of them whole.
func (a *against) wrk(n node, script string) (took time.Duration, requests int64) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "taskset", "-c", clientCore, "wrk", "-t1", "-c32", "--timeout", "30s", fmt.Sprintf("-d%ds", againstSeconds), "-s", script, "http://"+n.addr).CombinedOutput()
	if err != nil {
		a.Fatalf("wrk: %v\n%s", err, out)
	}
	_, sum, _ := strings.Cut(string(out), "sum\t")
	var micros, bytes, failed int64
	if _, err := fmt.Sscan(sum, &requests, &micros, &bytes, &failed); err != nil {
		a.Fatalf("wrk: %v\n%s", err, out)
	}
	if failed > 0 || requests == 0 || bytes < requests*againstSize {
		a.Fatalf("wrk: %d requests, %d bytes, %d failed; want whole segments only\n%s", requests, bytes, failed, out)
	}
	return time.Duration(micros) * time.Microsecond, requests
}

// used is the processor time that n has taken so far, in user and in system mode.
func (a *against) used(n node) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.pid))
	if err != nil {
		a.Fatal(err)
	}
	_, after, _ := bytes.Cut(stat, []byte(") ")) // of the program's name, which may hold spaces
	fields := strings.Fields(string(after))
	const utime, stime = 14 - 3, 15 - 3 // proc(5) counts from 1, and the state is field 3
	var ticks int64
	for _, i := range []int{utime, stime} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			a.Fatal(err)
		}
		ticks += n
	}
	const hertz = 100 // USER_HZ, on every architecture that Go knows
	return time.Duration(ticks) * time.Second / hertz
}

package stage

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"origin-storm/origin/servers"
	"origin-storm/storm/live"
	"origin-storm/storm/record"
)

// ceilingLasts is how long the ceiling of requests is looked for, and as long that of bytes.
const ceilingLasts = 500 * time.Millisecond

// NullCommand is the hidden command that runs Null.
const NullCommand = "null"

// Null serves live.Null, writes where as one line to out, and ends with in.
func Null(in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("stage: a target that does nothing: %w", err)
	}
	srv := &http.Server{Handler: live.Null()}
	var served sync.WaitGroup
	served.Go(func() { _ = srv.Serve(l) }) // until Close; who asks notices an earlier end
	defer served.Wait()
	defer srv.Close()
	if _, err := fmt.Fprintf(out, "http://%s\n", l.Addr()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// ceiling finds what the drivers of this run can do at most: as many processes as will read, each on its processors, ask a null target
// in a process of its own.
func (r *run) ceiling(ctx context.Context) (*record.Ceiling, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var cores map[string]int
	for _, b := range r.scenario.Backends[:min(1, len(r.scenario.Backends))] {
		cores = b.Cores.Each()
	}
	on := func(what string) []int {
		if core, ok := cores[what]; ok {
			return []int{core}
		}
		return nil
	}
	target, err := r.spawn(on("serve"), nil, NullCommand)
	if err != nil {
		return nil, err
	}
	defer target.end()
	line, err := bufio.NewReader(target.out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("stage: the null target does not say where it is: %w", err)
	}
	url := strings.TrimSpace(line)
	if r.scenario.Drivers <= 1 {
		requests, b, err := live.Ceiling(ctx, url, ceilingLasts)
		return &record.Ceiling{Requests: requests, Gbit: b * 8 / 1e9}, err
	}
	sum, errs := &record.Ceiling{}, make([]error, r.scenario.Drivers-1) // the first one publishes
	var mu sync.Mutex                                                   // guards sum
	var drivers sync.WaitGroup
	for i := range errs {
		drivers.Go(func() { errs[i] = r.ceilingOf(url, on("readers"), &mu, sum) })
	}
	drivers.Wait()
	return sum, errors.Join(errs...)
}

// ceilingOf adds what one driver process can do to sum.
func (r *run) ceilingOf(url string, on []int, mu *sync.Mutex, sum *record.Ceiling) error {
	in, err := json.Marshal(job{Null: url})
	if err != nil {
		return err
	}
	d, err := r.spawn(on, in, "drive")
	if err != nil {
		return err
	}
	defer d.end()
	var found record.Ceiling
	if err := json.NewDecoder(d.out).Decode(&found); err != nil {
		return fmt.Errorf("stage: a driver does not say what it can do: %w", err)
	}
	mu.Lock()
	defer mu.Unlock()
	sum.Requests, sum.Gbit = sum.Requests+found.Requests, sum.Gbit+found.Gbit
	return nil
}

// child is a process of this program that lives for a moment.
type child struct {
	out io.Reader
	end func()
}

// spawn starts this program with arguments on these processors. Its input is in, or nil one that stays open until end.
func (r *run) spawn(on []int, in []byte, args ...string) (*child, error) {
	cmd := exec.Command(r.cfg.Command[0], slices.Concat(r.cfg.Command[1:], args)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if len(on) > 0 {
		cmd.Env = append(os.Environ(), fmt.Sprint("GOMAXPROCS=", len(on)+1)) // as in driver
	}
	hold := func() error { return nil }
	if in != nil {
		cmd.Stdin = bytes.NewReader(in)
	} else {
		pipe, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		hold = pipe.Close
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := servers.StartOn(cmd, on...); err != nil {
		return nil, fmt.Errorf("stage: %s: %w", strings.Join(args, " "), err)
	}
	end := func() {
		_ = hold()
		over := time.AfterFunc(2*time.Second, func() { cmd.Process.Kill() })
		defer over.Stop()
		_ = cmd.Wait() // it has said what it had to
	}
	if err := r.reaper.Process(cmd.Process.Pid); err != nil {
		cmd.Process.Kill()
		end()
		return nil, err
	}
	return &child{out, end}, nil
}

// ownCeiling is the driver process's side of ceilingOf.
func ownCeiling(ctx context.Context, url string, out io.Writer) error {
	requests, b, err := live.Ceiling(ctx, url, ceilingLasts)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(record.Ceiling{Requests: requests, Gbit: b * 8 / 1e9})
}

// crowded is the share of the ceiling from which on the driver is said to be near it.
const crowded = 0.8

// headroom completes d's ceiling with how much of it the busiest phase took, and adds a note where that is a lot.
func headroom(d *record.Driver, backends []record.Backend) {
	c := d.Ceiling
	if c == nil || c.Requests <= 0 || c.Gbit <= 0 {
		return
	}
	var requests, gbit float64
	for _, b := range backends {
		for _, p := range b.Phases {
			if p.Seconds <= 0 {
				continue
			}
			var n, published int64
			for _, o := range p.Operations {
				if o.Class == "store-write" { // a part of a publish
					continue
				}
				n += o.Count + o.Retries
				if o.Class == "publish" {
					published += o.Bytes
				}
			}
			requests = max(requests, float64(n)/p.Seconds)
			gbit = max(gbit, p.ReadGbit+float64(published)*8/1e9/p.Seconds)
		}
	}
	c.RequestsUsed, c.GbitUsed = requests/c.Requests, gbit/c.Gbit
	if used := max(c.RequestsUsed, c.GbitUsed); used > crowded {
		d.Notes = append(d.Notes, fmt.Sprintf("The load took %.0f %% of what this driver can do at most on this machine: spread it over more driver processes, or take a machine for it alone.", 100*used))
	}
}

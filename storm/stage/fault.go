package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/servers"
	"origin-storm/scenarios"
	"origin-storm/storm"
)

// victim is a process or a real server that faults can befall.
type victim struct {
	kill, stop, resume func() error
	restart            func(context.Context) error
}

func (p *process) victim() victim {
	return victim{
		kill:    func() error { p.kill(); return nil },
		stop:    func() error { return p.signal(syscall.SIGSTOP) },
		resume:  func() error { return p.signal(syscall.SIGCONT) },
		restart: p.up,
	}
}

func (u *uplift) victim(to scenarios.Target) (victim, error) {
	server := func(list []*servers.Server, n int) (victim, error) {
		if n > len(list) {
			return victim{}, fmt.Errorf("there are %d of them here", len(list))
		}
		s := list[n-1]
		return victim{s.Kill, s.Stop, s.Continue, s.Restart}, nil
	}
	nth := max(1, to.Nth)
	switch {
	case to.What == scenarios.OfPublish:
		return u.publish.victim(), nil
	case to.What == scenarios.OfServe && nth <= len(u.serve):
		return u.serve[nth-1].victim(), nil
	case to.What == scenarios.OfStore && u.store != nil:
		return u.store.victim(), nil
	case to.What == scenarios.OfCache && nth <= len(u.zones):
		return u.zones[nth-1].victim(), nil
	case to.What == scenarios.OfCache && u.be.Cache && u.cluster != nil:
		return server(u.cluster.Memcached, nth)
	case to.What == scenarios.OfCassandra && u.be.Store == scenarios.Cassandra && u.cluster != nil:
		return server(u.cluster.Cassandra, nth)
	}
	return victim{}, errors.New("this backend has none")
}

// fault carries f out, or undoes it. Faults of pipelines and readers are the driver's own and need nothing here.
func (u *uplift) fault(ctx context.Context, f storm.Fault, undo bool) error {
	to, err := scenarios.ParseTarget(f.To)
	if err != nil {
		return err
	}
	if to.What == scenarios.OfPipeline || to.What == scenarios.OfReaders {
		return nil
	}
	k, _ := scenarios.Fault{Do: f.Do}.Kind()
	switch k.Place {
	case scenarios.AtProcess:
		err = u.strike(ctx, f, to, undo)
	case scenarios.AtStore:
		err = u.trouble(ctx, f, to, undo)
	default:
		err = errors.New("not a fault that can befall a process")
	}
	if err != nil {
		return fmt.Errorf("%v: %w", f, err)
	}
	return nil
}

// strike kills or stops a process, or has it go on.
func (u *uplift) strike(ctx context.Context, f storm.Fault, to scenarios.Target, undo bool) error {
	v, err := u.victim(to)
	switch {
	case err != nil:
		return err
	case f.Do == "kill" && undo:
		return v.restart(ctx)
	case f.Do == "kill":
		return v.kill()
	case undo:
		return v.resume()
	}
	return v.stop()
}

// faultsAt returns where a process of what hosts a store listens for faults: nowhere, unless the scenario has some for it.
func (u *uplift) faultsAt(what string) string {
	for _, f := range u.scenario.Faults {
		if k, ok := f.Kind(); ok && k.Place == scenarios.AtStore && f.To.What == what {
			return "127.0.0.1:0"
		}
	}
	return ""
}

// trouble has a store process make its store fail, or ends that.
func (u *uplift) trouble(ctx context.Context, f storm.Fault, to scenarios.Target, undo bool) error {
	var p *process
	switch nth := max(1, to.Nth); {
	case to.What == scenarios.OfStore:
		p = u.store
	case nth <= len(u.zones):
		p = u.zones[nth-1]
	case u.be.Cache && u.cluster != nil && nth <= len(u.cluster.Memcached):
		if f.Do != kv.FaultFlush {
			return errors.New("a memcached can be killed, stopped and flushed, and nothing else; use the embedded zones (--servers embedded)")
		}
		return flushMemcached(ctx, u.cluster.Memcached[nth-1].Addr)
	}
	if p == nil {
		return errors.New("this backend has none that can be told to fail")
	}
	if f.Do == kv.FaultFlush && undo {
		return nil
	}
	method, body := http.MethodPut, []byte(nil)
	if undo {
		method = http.MethodDelete
	} else {
		var err error
		if body, err = json.Marshal(kv.Fault{Do: f.Do, By: f.By, Count: f.Count, Share: f.Share}); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	id := fmt.Sprintf("%s-%d", f.Do, f.At.Nanoseconds()) // no two faults of a kind begin at one instant on one store
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.ready.Faults+"/faults/"+id, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)); res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the %s process answers %s: %s", p.name, res.Status, strings.TrimSpace(string(text)))
	}
	return nil
}

// flushMemcached empties a memcached.
func flushMemcached(ctx context.Context, address string) error {
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "flush_all\r\n"); err != nil {
		return err
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(c, answer); err != nil {
		return fmt.Errorf("memcached %s: flush_all: %w", address, err)
	}
	if string(answer) != "OK\r\n" {
		return fmt.Errorf("memcached %s answers flush_all with %q", address, answer)
	}
	return nil
}

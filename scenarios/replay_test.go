package scenarios_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"origin-storm/scenarios"
	"origin-storm/scenarios/accesslog"
)

// A log is looked for beside its scenario, its digest is filled in, and what is resolved can be run from anywhere.
func TestLoadReplay(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	const good = `{"when":1795435200,"p":"/x/hd/7.m4s"}` + "\n"
	log := write("cdn.log", strings.Repeat(good, 200)+"?\n"+`{"when":1795435201,"p":"/x/4k/7.m4s"}`+"\n")
	const src = "name: x\nevent: {renditions: [{name: v1, rate: 1Mbit/s}]}\nreaders:\n  replay: {file: cdn.log, format: json, fields: {time: when, path: p}, path: \"*/{rendition}/{number}.m4s\", renditions: [hd], skip: 0s, speed: 2, rate: 0.5}\n"
	file := write("x.yaml", src)
	s, _, err := scenarios.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	r := s.Readers.Replay
	if r.File != log || !strings.HasPrefix(r.Digest, "sha256:") || r.Found.Requests != 200 || r.Fields != (accesslog.Fields{Time: "when", Path: "p"}) || r.Speed != 2 {
		t.Errorf("Load = %+v, want the log beside the scenario, with its digest and what is in it", r)
	}
	warnings := strings.Join(s.Warnings(), "\n")
	for _, want := range []string{"1 of 202 lines make no sense and are left out: line 201: no JSON object", "renditions that the event does not have among it: [4k]"} {
		if !strings.Contains(warnings, want) {
			t.Errorf("Warnings() = %s, want %q", warnings, want)
		}
	}
	resolved, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := scenarios.Load(write("resolved.yaml", string(resolved)))
	if err != nil || !reflect.DeepEqual(again, s) {
		t.Errorf("the resolved scenario: %v, %+v, want what it was made of\n%s", err, again.Readers.Replay, resolved)
	}
	for _, c := range []struct {
		name string
		set  []string
		want string
	}{
		{"gone", []string{"readers.replay.file=cdn2.log"}, `readers.replay.file: there is no file "` + dir},
		{"changed", []string{"readers.replay.digest=sha256:0"}, "readers.replay.digest: " + log + " has the digest sha256:"},
		{"of other renditions", []string{"readers.replay.renditions=[sd]"}, "readers.replay: " + log + ": it knows none of the renditions sd, but hd, 4k"},
		{"of another form", []string{"readers.replay.format=common"}, "lines make no sense; the first is line 1"},
		{"skipped whole", []string{"readers.replay.skip=1h"}, "readers.replay.skip: 1h0m0s: the log lasts"},
		{"no pattern", []string{"readers.replay.path=/{number}"}, `readers.replay.path: "/{number}": it needs {rendition} and {number}`},
		{"no format", []string{"readers.replay.format=xml"}, `no format is called "xml"; there are common, json`},
		{"with a ramp", []string{"readers.ramp={}"}, "readers.ramp: the log of readers.replay says who asks when; leave one of them out"},
		{"of too many names", []string{"readers.replay.renditions=[a, b]"}, "2 names: the event has 1 renditions"},
		{"backwards", []string{"readers.replay.speed=-1", "readers.replay.rate=-1", "readers.replay.skip=-1s"}, "readers.replay.speed: -1: must be above 0"},
		{"to two events", []string{"event.count=2"}, "a log is played to one event"},
	} {
		_, _, err := scenarios.Load(file, c.set...)
		if e, ok := errors.AsType[*scenarios.Error](err); !ok || !strings.Contains(err.Error(), c.want) || e.File == "" {
			t.Errorf("a log that is %s: Load = %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func TestRampShare(t *testing.T) {
	half := scenarios.Share(0.5)
	ramp := scenarios.Ramp{From: 0.1, To: &half}
	points := scenarios.Ramp{Points: []scenarios.Point{{At: time.Second, Share: 0.2}, {At: 2 * time.Second, Share: 0.4}, {At: 2 * time.Second, Share: 1}}}
	for _, c := range []struct {
		name string
		ramp *scenarios.Ramp
		at   time.Duration
		want float64
	}{
		{"none", nil, 0, 1},
		{"even", &ramp, 0, 0.1}, {"even", &ramp, 5 * time.Second, 0.3}, {"even", &ramp, 10 * time.Second, 0.5}, {"even, over", &ramp, 11 * time.Second, 0.5}, {"even, before", &ramp, -time.Second, 0.1},
		{"points", &points, 0, 0.2}, {"points", &points, 1500 * time.Millisecond, 0.3}, {"points", &points, 2*time.Second - 1, 0.4}, {"points", &points, 2 * time.Second, 1}, {"points", &points, time.Hour, 1},
		{"steps", &scenarios.Ramp{Steps: 3}, 3 * time.Second, 0}, {"steps", &scenarios.Ramp{Steps: 3}, 4 * time.Second, 0.5}, {"steps", &scenarios.Ramp{Steps: 3}, 7 * time.Second, 1}, {"steps", &scenarios.Ramp{Steps: 3}, 10 * time.Second, 1},
	} {
		if got := c.ramp.Share(c.at, 10*time.Second); got < c.want-1e-6 || got > c.want+1e-6 {
			t.Errorf("%s: Share(%v, 10s) = %v, want %v", c.name, c.at, got, c.want)
		}
	}
}

func TestMixOf(t *testing.T) {
	m := scenarios.Mix{{Name: "slow", Share: 0.25}, {Name: "held", Share: 0.75}}
	for u, want := range map[float64]string{0: "slow", 0.24: "slow", 0.25: "held", 0.999999: "held", 1: "held"} {
		if got := m.Of(u); got != want {
			t.Errorf("Of(%v) = %s, want %s", u, got, want)
		}
	}
	if got := (scenarios.Mix)(nil).Of(0.5); got != "once" {
		t.Errorf("Of of nobody = %s, want once", got)
	}
}

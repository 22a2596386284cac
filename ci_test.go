package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// The workflow that is there to be copied is one, and what it runs is there.
func TestGateWorkflow(t *testing.T) {
	text, err := os.ReadFile("deploy/ci/github-gate.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var flow struct {
		On   map[string]any
		Jobs map[string]struct {
			RunsOn string `yaml:"runs-on"`
			Steps  []struct{ Uses, Run string }
		}
	}
	if err := yaml.Unmarshal(text, &flow); err != nil {
		t.Fatal(err)
	}
	if _, ok := flow.On["pull_request"]; !ok || len(flow.Jobs) != 2 {
		t.Errorf("the workflow runs on %v and has %d jobs, want pull requests and 2 jobs", flow.On, len(flow.Jobs))
	}
	var runs []string
	for name, job := range flow.Jobs {
		if job.RunsOn == "" {
			t.Errorf("job %s runs nowhere", name)
		}
		for _, step := range job.Steps {
			if step.Run == "" {
				continue
			}
			runs = append(runs, step.Run)
			if out, err := exec.Command("bash", "-n", "-c", step.Run).CombinedOutput(); err != nil {
				t.Errorf("job %s runs what bash cannot read: %v: %s", name, err, out)
			}
		}
	}
	if !slices.Contains(runs, "deploy/ci/gate") {
		t.Errorf("no step runs deploy/ci/gate: %q", runs)
	}
	script, err := os.ReadFile("deploy/ci/gate")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("bash", "-n", "deploy/ci/gate").CombinedOutput(); err != nil {
		t.Errorf("bash -n deploy/ci/gate: %v: %s", err, out)
	}
	if info, err := os.Stat("deploy/ci/gate"); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("deploy/ci/gate cannot be executed: %v", err)
	}
	// The flags are the program's.
	var help strings.Builder
	if code := run(t.Context(), []string{"gate", "--help"}, &help, &help); code != 0 {
		t.Fatalf("gate --help exits with %d: %s", code, help.String())
	}
	for _, word := range strings.Fields(string(script) + strings.Join(runs, " ")) {
		if name, isFlag := strings.CutPrefix(word, "--"); isFlag && (strings.HasPrefix(name, "base-") || strings.HasPrefix(name, "head-") || name == "self-test") {
			if !strings.Contains(help.String(), "--"+name+" ") {
				t.Errorf("deploy/ci uses --%s, which gate does not have", name)
			}
		}
	}
}

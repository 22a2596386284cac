package calibrate

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/record"
	"origin-storm/storm/sim"
	"origin-storm/storm/simulate"
)

// measured is one backend of a run.
type measured struct {
	run      *record.Run
	scenario scenarios.Scenario // with this backend alone
	backend  record.Backend
}

// name says in words which configuration m is, for tables.
func (m measured) name() string {
	name := strings.TrimSuffix(strings.TrimSpace(m.run.Results.About), ".")
	if name == "" {
		name = m.run.Results.Scenario
	}
	return name
}

// machine is what of an environment has to be equal for two runs to tell of the same machine.
func machine(env map[string]string) string {
	return fmt.Sprintf("%s, %s cores, %s %s", env["cpu"], env["cores"], env["os"], env["kernel"])
}

// program names the version of this program that made a run.
func program(env map[string]string) string {
	v := env["version"]
	if r := env["revision"]; r != "" && !strings.Contains(v, r[:min(12, len(r))]) {
		v += " " + r[:min(12, len(r))]
	}
	if env["modified"] == "true" && !strings.Contains(v, "dirty") {
		v += "+dirty"
	}
	return v + ", " + env["go"]
}

// fewest is from how many publishes and from how many reads on a backend's run tells enough to be fitted on.
const fewest = 50

// take returns the backends of runs, or why a run cannot be used. What can be used but tells less than it should is said in warnings.
func take(runs []*record.Run) (all []measured, warnings []string, err error) {
	var errs []error
	for _, r := range runs {
		name := filepath.Base(r.Dir)
		refuse := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("calibrate: run %s: %w", name, fmt.Errorf(format, args...)))
		}
		res := &r.Results
		switch {
		case res.Mode != "live":
			refuse("its mode is %q: only measured runs can be fitted on; name one of a live run", res.Mode)
			continue
		case res.Verdict == "invalid" || res.Verdict == "interrupted":
			refuse("it is %s (%s): its figures cannot be relied on; run it again", res.Verdict, strings.Join(res.Reasons, "; "))
			continue
		case r.Scenario == nil:
			refuse("there is no %s in it: without it nobody knows what was asked of the origin", record.ScenarioFile)
			continue
		case len(r.Environment) == 0:
			refuse("there is no %s in it: without it nobody knows on which machine it ran", record.EnvironmentFile)
			continue
		}
		if a, b := machine(r.Environment), machine(runs[0].Environment); a != b {
			refuse("it ran on another machine (%s) than %s (%s): fit each machine by itself", a, filepath.Base(runs[0].Dir), b)
			continue
		}
		if a, b := program(r.Environment), program(runs[0].Environment); a != b {
			warnings = append(warnings, fmt.Sprintf("run %s was made by another version of the program (%s) than %s (%s): what changed between them is in the fit", name, a, filepath.Base(runs[0].Dir), b))
		}
		s, err := scenarios.Parse(filepath.Join(r.Dir, record.ScenarioFile), r.Scenario)
		if err != nil {
			refuse("%w", err)
			continue
		}
		for _, b := range res.Backends {
			one, err := s.Only(b.Name)
			if err != nil {
				refuse("backend %s is none of its scenario's: an origin that was running before has no known parts; leave the run out", b.Name)
				continue
			}
			m := measured{r, one, b}
			if n := m.count(storm.Publish); n < fewest {
				refuse("backend %s: %d publishes in its windows, fewer than %d: let the run last longer", b.Name, n, fewest)
				continue
			}
			if n := m.count(storm.LiveEdge) + m.count(storm.DVR); n < fewest {
				refuse("backend %s: %d reads in its storm, fewer than %d: let the run last longer, or more edges ask", b.Name, n, fewest)
				continue
			}
			if b.CPUSeconds == nil {
				warnings = append(warnings, fmt.Sprintf("run %s, backend %s: what its processes took of the processors is not known, so that it tells nothing of work", name, b.Name))
			}
			if part := stolenPart(b); part > 0.1 {
				warnings = append(warnings, fmt.Sprintf("run %s, backend %s: other work took %.0f %% of the processors: measure on a quiet machine", name, b.Name, 100*part))
			}
			all = append(all, m)
		}
	}
	return all, warnings, errors.Join(errs...)
}

func stolenPart(b record.Backend) float64 {
	if b.Stolen == nil {
		return 0
	}
	return b.Stolen.Others + b.Stolen.Hypervisor
}

// operation returns the class of a phase.
func operation(b *record.Backend, phase string, class storm.Class) (record.Operation, bool) {
	for _, p := range b.Phases {
		if p.Name != phase {
			continue
		}
		for _, o := range p.Operations {
			if o.Class == class.String() {
				return o, true
			}
		}
	}
	return record.Operation{}, false
}

// count is how many requests of a class went to the target, in all phases.
func (m measured) count(class storm.Class) (n int64) {
	for _, p := range m.backend.Phases {
		o, _ := operation(&m.backend, p.Name, class)
		n += o.Count
	}
	return n
}

// bytes is how many bytes they carried.
func (m measured) bytes(class storm.Class) (n int64) {
	for _, p := range m.backend.Phases {
		o, _ := operation(&m.backend, p.Name, class)
		n += o.Bytes
	}
	return n
}

// valid returns between which loads runs were.
func valid(runs []measured) (ranges []sim.Range) {
	for _, q := range sim.Quantities() {
		var r *sim.Range
		for _, m := range runs {
			for _, v := range simulate.Quantities(m.scenario, m.backend)[q] {
				if r == nil {
					r = &sim.Range{Quantity: q, From: v, To: v}
				}
				r.From, r.To = min(r.From, v), max(r.To, v)
			}
		}
		if r != nil {
			ranges = append(ranges, sim.Range{Quantity: q, From: digits(r.From, 4), To: digits(r.To, 4)})
		}
	}
	return ranges
}

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "origin-storm/"

// TestImports keeps the rules that keep the parts apart. Each rule says why.
func TestImports(t *testing.T) {
	deps := dependencies(t)
	under := func(pkg string, roots ...string) bool {
		return slices.ContainsFunc(roots, func(r string) bool { return pkg == module+r || strings.HasPrefix(pkg, module+r+"/") })
	}
	rules := []struct {
		why  string
		of   func(pkg string) bool // the packages the rule is for
		deep bool                  // the rule is for all that they depend on, not for their own imports only
		bad  func(dep string) bool
	}{
		{"the origin is a server that could live alone",
			func(p string) bool { return under(p, "origin") }, true,
			func(d string) bool { return under(d, "storm", "scenarios", "reports") }},
		{"the live executor knows HTTP only, so that any origin can be its target",
			func(p string) bool { return p == module+"storm/live" }, true,
			func(d string) bool {
				return d == module+"origin" || under(d, "origin/kv", "origin/storage", "origin/servers", "origin/policy")
			}},
		{"the simulator shares the origin's decisions, never its handlers",
			func(p string) bool { return p == module+"storm/sim" }, true,
			func(d string) bool {
				return d == module+"origin" || under(d, "origin/storage", "origin/servers")
			}},
		{"the simulator's stores are models, whatever words for their errors others use",
			func(p string) bool { return p == module+"storm/sim" }, false,
			func(d string) bool { return under(d, "origin/kv") }},
		{"what is simulated starts nothing and asks nobody",
			func(p string) bool {
				return under(p, "storm/sim", "storm/entry", "storm/simulate", "storm/sweep", "storm/capacity", "storm/calibrate")
			}, true,
			func(d string) bool { return under(d, "storm/live", "storm/stage", "origin/servers", "reports") }},
		{"the contract's suite knows HTTP and the event's clock only, so that any origin can be its target",
			func(p string) bool { return p == module+"origin/contract" }, true,
			func(d string) bool { return strings.HasPrefix(d, module) && d != module+"origin/segment" }},
		{"a scenario is data: what it says must not depend on how it is carried out",
			func(p string) bool { return p == module+"scenarios" }, false,
			func(d string) bool {
				return strings.HasPrefix(d, module) && !slices.Contains([]string{module + "storm", module + "origin/segment", module + "origin/config", module + "origin/cost", module + "origin/cost/profiles", module + "origin/document", module + "scenarios/accesslog"}, d)
			}},
		{"servers are brought up in three places only: what starts processes must see to their end",
			func(p string) bool {
				return !under(p, "storm/stage", "origin/cli", "origin/servers") && p != module[:len(module)-1]
			}, false,
			func(d string) bool { return under(d, "origin/servers") }},
		{"the driver starts the origin as processes of its own, as a deployment would",
			func(p string) bool { return under(p, "storm") }, true,
			func(d string) bool { return under(d, "origin/cli") }},
		{"reports only draw what was recorded",
			func(p string) bool { return p == module+"reports" }, true,
			func(d string) bool { return under(d, "origin/servers", "storm/live", "storm/stage", "origin/storage") }},
	}
	// What a package at the bottom may import of this module. These are the nouns of origin and storm, their decisions, and readers of
	// outside formats: they stay pure, and can be read and tested alone.
	bottom := map[string][]string{
		"origin/segment":  nil,
		"origin/bmff":     nil,
		"origin/cost":     nil,
		"origin/document": nil,
		"origin/pairtest": nil,
		"origin/policy":   {"origin/segment"},
		"origin/config":   {"origin/document", "origin/segment"},
		"origin/kv":       {"origin/cost"},
		"origin/access":   {"origin/config"},
		"origin/manifest": {"origin/config", "origin/segment"},
		"origin/control":  {"origin/kv", "origin/policy", "origin/segment"},
		"origin/storage":  {"origin/kv", "origin/policy", "origin/segment"},
		"origin/stress":   {"origin/config", "origin/kv", "origin/policy"},

		"scenarios/accesslog": nil,
		"scenarios/ladder":    {"origin/segment"},

		"storm/body":           {"origin/segment", "storm"},
		"storm/client":         {"origin/segment", "storm"},
		"storm/record":         {"origin/segment", "storm"},
		"storm/entry":          {"origin/config", "origin/segment", "scenarios", "storm", "storm/record", "storm/verdict"},
		"storm/sim":            {"origin/config", "origin/cost", "origin/policy", "origin/segment", "origin/stress", "scenarios", "storm", "storm/body", "storm/sim/engine"},
		"storm/sim/engine":     nil,
		"storm/sim/profiles":   {"origin/document", "storm/sim"},
		"storm/verdict/gate":   {"storm/record"},
		"storm/verdict/search": {"storm/record"},
	}
	for pkg, allowed := range bottom {
		d, ok := deps[module+pkg]
		if !ok {
			t.Errorf("there is no package %s", pkg)
		}
		for _, dep := range d.direct {
			if own, ours := strings.CutPrefix(dep, module); ours && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s: of this module it may import %v only; docs/architecture.md says what it is for", pkg, own, allowed)
			}
		}
	}
	// A driver is imported by its own store's package alone, so that replacing one touches one directory.
	drivers := map[string]string{
		"github.com/cockroachdb/pebble":               "origin/kv/pebble",
		"github.com/minio/minio-go":                   "origin/kv/s3",
		"github.com/johannesboyne/gofakes3":           "origin/kv/s3",
		"github.com/gocql/gocql":                      "origin/kv/cassandra",
		"github.com/bradfitz/gomemcache":              "origin/kv/memcached",
		"github.com/testcontainers/testcontainers-go": "origin/servers",
		"github.com/moby/moby":                        "origin/servers",
		"github.com/docker/docker":                    "origin/servers",
		"github.com/prometheus/client_golang":         "origin/metrics",
		"gonum.org/v1/plot":                           "reports",
		"github.com/HdrHistogram/hdrhistogram-go":     "",
		"github.com/spf13/cobra":                      "",
	}
	for pkg, d := range deps {
		for _, r := range rules {
			if !r.of(pkg) {
				continue
			}
			for _, dep := range map[bool][]string{false: d.direct, true: d.all}[r.deep] {
				if r.bad(dep) {
					t.Errorf("%s imports %s: %s", pkg, dep, r.why)
				}
			}
		}
		for _, dep := range d.direct {
			for driver, home := range drivers {
				if home != "" && strings.HasPrefix(dep, driver) && !under(pkg, home) {
					t.Errorf("%s imports %s: that driver belongs to %s alone", pkg, dep, home)
				}
			}
		}
	}
}

type imports struct{ direct, all []string }

func dependencies(t *testing.T) map[string]imports {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}|{{join .Imports " "}}|{{join .Deps " "}}`, "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := map[string]imports{}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), "|")
		deps[f[0]] = imports{strings.Fields(f[1]), strings.Fields(f[2])}
	}
	if len(deps) < 10 {
		t.Fatalf("go list names %d packages", len(deps))
	}
	return deps
}

// TestPackageComments: each package says once what it is for.
func TestPackageComments(t *testing.T) {
	comments := map[string][]string{} // by directory
	sources(t, func(file string, f *ast.File, _ *token.FileSet) {
		dir := filepath.Dir(file)
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		comments[dir] = append(comments[dir], nil...)
		if f.Doc != nil {
			comments[dir] = append(comments[dir], f.Doc.Text())
			if f.Name.Name != "main" && !strings.HasPrefix(f.Doc.Text(), "Package "+f.Name.Name+" ") {
				t.Errorf("%s: the package comment begins %.40q, not %q", file, f.Doc.Text(), "Package "+f.Name.Name)
			}
		}
	})
	for dir, c := range comments {
		if len(c) != 1 {
			t.Errorf("%s has %d package comments, want 1", dir, len(c))
		}
	}
}

// TestNoClock: what decides, and what the simulator shares, takes its time and its chance as arguments, or virtual time would be a lie.
func TestNoClock(t *testing.T) {
	pure := []string{
		"origin/segment", "origin/policy", "origin/cost", "origin/manifest", "origin/bmff", "origin/stress",
		"storm", "storm/body", "storm/client", "storm/plan", "storm/entry", "storm/sim", "storm/sim/engine", "storm/sim/profiles", "storm/simulate", "storm/sweep", "storm/capacity", "storm/verdict", "storm/verdict/gate", "storm/verdict/search",
		"scenarios", "scenarios/accesslog", "scenarios/ladder", "reports",
	}
	sources(t, func(file string, f *ast.File, fset *token.FileSet) {
		if strings.HasSuffix(file, "_test.go") || !slices.Contains(pure, filepath.ToSlash(filepath.Dir(file))) {
			return
		}
		for name, of := range importNames(f) {
			ast.Inspect(f, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if x, ok := s.X.(*ast.Ident); !ok || x.Name != name {
					return true
				}
				clock := of == "time" && slices.Contains([]string{"Now", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Since", "Until"}, s.Sel.Name)
				chance := strings.HasPrefix(of, "math/rand") && !strings.HasPrefix(s.Sel.Name, "New") && ast.IsExported(s.Sel.Name) &&
					!slices.Contains([]string{"Rand", "PCG", "Source", "ChaCha8", "Zipf"}, s.Sel.Name)
				if clock || chance {
					t.Errorf("%v: %s.%s: time and chance are arguments here", fset.Position(s.Pos()), name, s.Sel.Name)
				}
				return true
			})
		}
	})
}

// TestNoSleep: a test that sleeps in real time is slow when it passes and flaky when the machine is busy. In a bubble
// sleeping is free and exact.
func TestNoSleep(t *testing.T) {
	sources(t, func(file string, f *ast.File, fset *token.FileSet) {
		if !strings.HasSuffix(file, "_test.go") {
			return
		}
		bubble := false
		for _, of := range importNames(f) {
			bubble = bubble || of == "testing/synctest"
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && !bubble && s.Sel.Name == "Sleep" {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
					t.Errorf("%v: time.Sleep in a test file without testing/synctest", fset.Position(s.Pos()))
				}
			}
			return true
		})
	})
}

func importNames(f *ast.File) map[string]string {
	names := map[string]string{}
	for _, i := range f.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		name := path.Base(p)
		if name == "v2" {
			name = path.Base(path.Dir(p))
		}
		if i.Name != nil {
			name = i.Name.Name
		}
		names[name] = p
	}
	return names
}

// sources calls f for every Go file of the module.
func sources(t *testing.T, f func(file string, syntax *ast.File, fset *token.FileSet)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && file != ".", d.IsDir() && (d.Name() == "testdata" || d.Name() == "runs"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(file, ".go"):
			return nil
		}
		fset := token.NewFileSet()
		syntax, err := parser.ParseFile(fset, file, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		n++
		f(file, syntax, fset)
		return nil
	})
	if err != nil || n < 10 {
		t.Fatalf("read %d files: %v", n, err)
	}
}

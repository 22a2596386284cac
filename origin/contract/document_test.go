package contract_test

import (
	"bufio"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"origin-storm/origin/contract"
)

// row is a row of docs/contract.md; tests are those that it names.
type row struct {
	id, level string
	tests     []string
}

var (
	rowForm  = regexp.MustCompile(`^\| ([A-Z]+[0-9]+) \| (\w+) \| (.*) \|$`)
	testForm = regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
)

// document reads the rows of docs/contract.md.
func document(t *testing.T) []row {
	t.Helper()
	f, err := os.Open("../../docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []row
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if m := rowForm.FindStringSubmatch(lines.Text()); m != nil {
			r := row{id: m[1], level: m[2]}
			for _, name := range testForm.FindAllStringSubmatch(m[3], -1) {
				r.tests = append(r.tests, name[1])
			}
			rows = append(rows, r)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// tests returns the names of the tests of the origin.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	form := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(`)
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		b, err := os.ReadFile(file)
		for _, m := range form.FindAllSubmatch(b, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// The document and the suite have the same rows in the same order, and what can not be seen from outside names its test.
func TestDocument(t *testing.T) {
	var must, cases []string
	seen, known := map[string]bool{}, tests(t)
	for _, r := range document(t) {
		if seen[r.id] {
			t.Errorf("docs/contract.md has the row %s twice", r.id)
		}
		seen[r.id] = true
		for _, name := range r.tests {
			if !known[name] {
				t.Errorf("docs/contract.md: %s is shown by %s, which is no test of the origin", r.id, name)
			}
		}
		switch r.level {
		case "must":
			must = append(must, r.id)
		case "inside":
			if len(r.tests) == 0 {
				t.Errorf("docs/contract.md: %s can not be seen from outside and names no test", r.id)
			}
		default:
			t.Errorf("docs/contract.md: %s is %q; rows are must or inside", r.id, r.level)
		}
	}
	for _, c := range contract.Cases() {
		cases = append(cases, c.Row)
	}
	for _, id := range must {
		if !slices.Contains(cases, id) {
			t.Errorf("docs/contract.md says %s, which has no case", id)
		}
	}
	for _, id := range cases {
		if !slices.Contains(must, id) {
			t.Errorf("the suite has a case %s, of which docs/contract.md says nothing", id)
		}
	}
	if !t.Failed() && !slices.Equal(must, cases) {
		t.Errorf("the document's order is %v, the suite's %v", must, cases)
	}
}

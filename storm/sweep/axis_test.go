package sweep_test

import (
	"reflect"
	"strings"
	"testing"

	"origin-storm/storm/sweep"
)

func TestParseAxis(t *testing.T) {
	for text, want := range map[string]struct {
		values string
		log    bool
	}{
		"readers.edges=20..60":                  {"20 30 40 50 60", false},
		"readers.edges=20..400":                 {"20 42 89 189 400", true},
		"readers.edges=1..3:9":                  {"1 2 3", false}, // what is counted has no halves
		"readers.edges=20,40, 80":               {"20 40 80", false},
		"readers.edges=7":                       {"7", false},
		"readers.behaviour.early=0..1:5":        {"0 0.25 0.5 0.75 1", false},
		"readers.behaviour.early=0.10..0.5:3":   {"0.1 0.3 0.5", false},
		"event.renditions.total=10..80Mbit/s:3": {"10Mbit/s 45Mbit/s 80Mbit/s", false},
		"event.segment=1s..4s:4":                {"1s 2s 3s 4s", false},
		"origin.hot=1MB,64MB,4GB":               {"1MB 64MB 4GB", false}, // units differ: no numbers
		"readers.cache=nginx,varnish":           {"nginx varnish", false},
		"backends=[embedded],[s3, embedded]":    {"[embedded] [s3, embedded]", false},
		"readers.edges=1,10,100":                {"1 10 100", true},
	} {
		a, err := sweep.ParseAxis(text)
		if err != nil {
			t.Errorf("ParseAxis(%s) = %v", text, err)
			continue
		}
		if got := strings.Join(a.Values, " "); got != want.values || a.Log != want.log {
			t.Errorf("ParseAxis(%s) = %s, log: %v, want %s, log: %v", text, got, a.Log, want.values, want.log)
		}
		if a.Numbers != nil && len(a.Numbers) != len(a.Values) {
			t.Errorf("ParseAxis(%s) has %d numbers for %d values", text, len(a.Numbers), len(a.Values))
		}
	}
	a, err := sweep.ParseAxis("event.renditions.total=10..80Mbit/s:2")
	if want := (sweep.Axis{Path: "event.renditions.total", Unit: "Mbit/s", Values: []string{"10Mbit/s", "80Mbit/s"}, Numbers: []float64{10, 80}}); err != nil || !reflect.DeepEqual(a, want) {
		t.Errorf("ParseAxis = %+v, %v, want %+v", a, err, want)
	}
}

func TestParseAxisRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"readers.edges":              "want path=FROM..TO[:STEPS]",
		"=1..2":                      "want path=FROM..TO[:STEPS]",
		"readers.edges=":             "want path=FROM..TO[:STEPS]",
		"readers.edges=400..20":      "the range begins above its end: write readers.edges=20..400",
		"event.segment=4s..1s":       "write event.segment=1..4s",
		"readers.edges=20..20":       "the range is empty: it begins where it ends; for one value use --set readers.edges=20",
		"readers.edges=20..40:0":     "0 steps: a range has at least 2, its ends",
		"readers.edges=20..40:1":     "1 steps",
		"readers.edges=20..40:-3":    "-3 steps",
		"readers.edges=20..40:x":     `"x" is no number of steps`,
		"readers.edges=20..40:":      `"" is no number of steps`,
		"readers.edges=a..40":        `"a" is not a number`,
		"readers.edges=20..":         `"" is not a number`,
		"windows.storm=10s..2m":      "both ends have to be in one unit, not in s and m",
		"readers.edges=1..9:2000000": "2000000 points, and a sweep has at most 1000: write readers.edges=1..9:1000",
		"readers.edges=20,,40":       "value 2 of the list is empty",
		"readers.edges=20,40,20":     "20 is in the list twice",
	} {
		if a, err := sweep.ParseAxis(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--sweep "+text) {
			t.Errorf("ParseAxis(%s) = %+v, %v, want an error with %q that quotes it", text, a, err, want)
		}
	}
}

// FuzzParseAxis: whatever is asked for, it is refused or has values that differ, in one line each.
func FuzzParseAxis(f *testing.F) {
	for _, text := range []string{"readers.edges=20..400", "a=1..2:3", "a=[b,c],{d: e}", "a=0.001..0.002:900", "a=-5..5ms", "a=1..1e9", "a=..", "a=1....2", "a=]],[[,"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := sweep.ParseAxis(text)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, v := range a.Values {
			if v == "" || seen[v] {
				t.Errorf("ParseAxis(%q) has the value %q, which is empty or there twice", text, v)
			}
			seen[v] = true
		}
		if len(a.Values) == 0 || a.Numbers != nil && len(a.Numbers) != len(a.Values) {
			t.Errorf("ParseAxis(%q) = %+v", text, a)
		}
	})
}

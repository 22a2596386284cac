package control_test

import (
	"slices"
	"strings"
	"testing"

	"origin-storm/origin/control"
)

func TestParseNotices(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		from  int64
		want  []control.Notice
		err   string
	}{
		{"one", []string{`ad-7;from=812345;text="a break of 90 s"`}, 1, []control.Notice{{ID: "ad-7", From: 812345, Text: "a break of 90 s"}}, ""},
		{"from the segment", []string{"ad"}, 12, []control.Notice{{ID: "ad", From: 12}}, ""},
		{"in order, once each", []string{"b;from=2, a;from=2", "a;from=2,c;from=1"}, 0,
			[]control.Notice{{ID: "c", From: 1}, {ID: "a", From: 2}, {ID: "b", From: 2}}, ""},
		{"the earlier number stands", []string{"a;from=9, a;from=3, a;from=5"}, 0, []control.Notice{{ID: "a", From: 3}}, ""},
		{"a newer word", []string{`a;from=3;text="x", a;from=5;text="y"`}, 0, []control.Notice{{ID: "a", From: 3, Text: "x"}, {ID: "a", From: 5, Text: "y"}}, ""},
		{"escapes", []string{`a;text="say \"\\\""`}, 0, []control.Notice{{ID: "a", Text: `say "\"`}}, ""},
		{"nothing", []string{""}, 0, nil, ""},
		{"init has no number", []string{"ad"}, -1, nil, "say from which segment"},
		{"init with a number", []string{"ad;from=0"}, -1, []control.Notice{{ID: "ad"}}, ""},
		{"negative", []string{"ad;from=-1"}, 5, nil, "say from which segment"},
		{"too large", []string{"ad;from=562949953421313"}, 5, nil, "use 0 to"},
		{"no token", []string{`"ad";from=1`}, 5, nil, "not a token"},
		{"a number", []string{`7;from=1`}, 5, nil, "not allowed"},
		{"a list in the list", []string{`(ad);from=1`}, 5, nil, "not a token"},
		{"another parameter", []string{`ad;until=1`}, 5, nil, `"until" is not known`},
		{"a decimal", []string{`ad;from=1.5`}, 5, nil, "not an integer"},
		{"a token for the text", []string{`ad;text=x`}, 5, nil, "not a string"},
		{"an id that a name may not have", []string{`ad/7`}, 5, nil, "not allowed"},
		{"a long id", []string{strings.Repeat("a", 33)}, 5, nil, "33 characters"},
		{"a long text", []string{`ad;text="` + strings.Repeat("a", 257) + `"`}, 5, nil, "257 characters"},
		{"a comma at the end", []string{"ad,"}, 5, nil, "nothing after it"},
		{"two commas", []string{"ad,,be"}, 5, nil, "not a token"},
		{"no comma", []string{"ad be"}, 5, nil, "a comma between"},
		{"a space before a parameter", []string{"ad; from=1;  text=\"x\""}, 5, []control.Notice{{ID: "ad", From: 1, Text: "x"}}, ""},
		{"a space where none may be", []string{"ad ;from=1"}, 5, nil, "a comma between"},
		{"the last of two", []string{"ad;from=1;from=2"}, 5, []control.Notice{{ID: "ad", From: 2}}, ""},
		{"16 digits", []string{"ad;from=0000000000000001"}, 5, nil, "not an integer"},
		{"no value", []string{"ad;from"}, 5, nil, "no value"},
		{"a date", []string{"@1"}, 5, nil, "not a token"},
		{"a string without an end", []string{`ad;text="x`}, 5, nil, "does not end"},
		{"an unknown escape", []string{`ad;text="\n"`}, 5, nil, "a backslash"},
		{"not ASCII", []string{`ad;text="é"`}, 5, nil, "printable ASCII"},
		{"too many", []string{strings.Repeat("a, ", 999) + `b`}, 5, []control.Notice{{ID: "a", From: 5}, {ID: "b", From: 5}}, ""},
		{"too long", slices.Collect(func(yield func(string) bool) {
			for i := range 9 {
				if !yield(`a;text="` + strings.Repeat(string(rune('a'+i)), 250) + `"`) {
					return
				}
			}
		}), 5, nil, "at most 2048"},
	} {
		got, err := control.ParseNotices(tt.lines, tt.from)
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: ParseNotices(%q, %d) = %+v, %v, want %+v, %q", tt.name, tt.lines, tt.from, got, err, tt.want, tt.err)
		}
	}
}

// FuzzParseNotices: what is accepted is written as it was meant, and bounded.
func FuzzParseNotices(f *testing.F) {
	for _, s := range []string{`ad-7;from=812345;text="a break of 90 s", tech-1;from=812400`, `a;text="\"\\"`, "a;from=1,a;from=0", "a;b=?1;c=:YQ==:", "(a b);x", "*a", ""} {
		f.Add(s, int64(7))
	}
	f.Fuzz(func(t *testing.T, s string, from int64) {
		notices, err := control.ParseNotices([]string{s}, from)
		if err != nil {
			return
		}
		out := control.FormatNotices(notices)
		if len(out) > control.MaxNotices {
			t.Errorf("ParseNotices(%q) takes %d bytes", s, len(out))
		}
		again, err := control.ParseNotices([]string{out}, -1)
		if err != nil || !slices.Equal(again, notices) {
			t.Errorf("ParseNotices(%q) = %+v, written %q, read again %+v, %v", s, notices, out, again, err)
		}
	})
}

package control

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/policy"
)

func document() *Document {
	return &Document{
		Schema: schema, Event: "ev", Writer: "p", Version: 3, Written: time.Unix(1e9, 0).UTC(),
		Masks:     []policy.Mask{{Pipeline: "a", Rendition: "v", From: 1, To: 9}},
		Withdrawn: []Withdrawn{{Rendition: "v", Number: -1}},
		Notices:   []Notice{{ID: "ad", From: 5, Text: `"<&>"`}},
		Last:      new(int64(12)), CacheVersion: 2,
	}
}

func TestDecodeIsStrict(t *testing.T) {
	raw, err := document().encode()
	if err != nil {
		t.Fatal(err)
	}
	if d, err := decode(raw, "ev", "p"); err != nil || !equal(d, document()) || d.Version != 3 || !d.Written.Equal(time.Unix(1e9, 0)) {
		t.Errorf("decode(encode) = %+v, %v", d, err)
	}
	text := string(raw)
	for _, tt := range []struct{ name, old, new string }{
		{"nothing", text, ""},
		{"null", text, "null"},
		{"something after it", text, text + " "},
		{"a space", `,"event"`, `, "event"`},
		{"an unknown field", `"version":3`, `"version":3,"more":1`},
		{"a field twice", `"version":3`, `"version":3,"version":3`},
		{"another case", `"version"`, `"Version"`},
		{"another schema", `"schema":1`, `"schema":2`},
		{"another event", `"event":"ev"`, `"event":"ex"`},
		{"another writer", `"writer":"p"`, `"writer":"q"`},
		{"no version", `"version":3`, `"version":0`},
		{"another spelling of the time", `Z"`, `+00:00"`},
		{"no pipeline", `"pipeline":"a",`, ``},
		{"a range the wrong way round", `"from":1,"to":9`, `"from":9,"to":1`},
		{"another escape", `\u003c`, `<`},
		{"an end that is none", `"last":12`, `"last":null`},
		{"a version below zero", `"cache_version":2`, `"cache_version":-2`},
		{"a control character", `"text":"`, `"text":"\u0001`},
	} {
		changed := strings.Replace(text, tt.old, tt.new, 1)
		if changed == text {
			t.Errorf("%s: nothing to replace in %s", tt.name, text)
		}
		if _, err := decode([]byte(changed), "ev", "p"); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: decode = %v, want ErrCorrupt", tt.name, err)
		}
	}
}

// FuzzDecode: only what encode writes is accepted.
func FuzzDecode(f *testing.F) {
	raw, err := document().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"schema":1,"event":"ev","writer":"p","version":1,"written":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decode(b, "ev", "p")
		if err != nil {
			return
		}
		if again, err := d.encode(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("decode(%s) is written as %s, %v", b, again, err)
		}
		merge([]*Document{d, d}, []string{"a", "b"}, &State{})
	})
}

// TestFinish: the latest word of a pipeline counts, whichever writer has it; all pipelines' ends are the event's, unless a writer
// names its end.
func TestFinish(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0).UTC() }
	says := func(f map[string]Finish) *Document { return &Document{Finished: f} }
	twelve := int64(12)
	for _, tt := range []struct {
		name  string
		docs  []*Document
		ended bool
		last  int64
		want  map[string]int64
	}{
		{"one of two", []*Document{says(map[string]Finish{"a": {9, at(1)}})}, false, 0, map[string]int64{"a": 9}},
		{"both, to different writers", []*Document{says(map[string]Finish{"a": {9, at(1)}}), says(map[string]Finish{"b": {8, at(2)}})}, true, 9, map[string]int64{"a": 9, "b": 8}},
		{"one went on", []*Document{says(map[string]Finish{"a": {9, at(1)}, "b": {9, at(1)}}), says(map[string]Finish{"a": {GoesOn, at(2)}})}, false, 0, map[string]int64{"b": 9}},
		{"and ended after all", []*Document{says(map[string]Finish{"a": {11, at(3)}, "b": {9, at(1)}}), says(map[string]Finish{"a": {GoesOn, at(2)}})}, true, 11, map[string]int64{"a": 11, "b": 9}},
		{"an operator's word", []*Document{{Last: &twelve, Finished: map[string]Finish{"a": {9, at(1)}, "b": {9, at(1)}}}}, true, 12, map[string]int64{"a": 9, "b": 9}},
		{"a pipeline that is none", []*Document{says(map[string]Finish{"a": {9, at(1)}, "c": {9, at(1)}})}, false, 0, map[string]int64{"a": 9}},
	} {
		s := merge(tt.docs, []string{"a", "b"}, &State{})
		if s.Ended != tt.ended || s.Last != tt.last || !maps.Equal(s.Finished, tt.want) {
			t.Errorf("%s: merge = ended %v with %d, finished %v, want %v with %d, %v", tt.name, s.Ended, s.Last, s.Finished, tt.ended, tt.last, tt.want)
		}
		for _, d := range tt.docs {
			if err := d.validate(); err != nil {
				t.Errorf("%s: validate: %v", tt.name, err)
			}
		}
	}
	if s := merge([]*Document{{}}, nil, &State{}); s.Ended {
		t.Error("an event without pipelines has ended")
	}
	for _, f := range []map[string]Finish{{"": {1, at(1)}}, {"a/b": {1, at(1)}}, {"a": {-2, at(1)}}, {"a": {maxNumber + 1, at(1)}}, {"a": {1, time.Time{}}}} {
		if err := says(f).validate(); err == nil {
			t.Errorf("validate of %v = nil, want an error", f)
		}
	}
}

package control

import (
	"bytes"
	"errors"
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
		merge([]*Document{d, d}, &State{})
	})
}

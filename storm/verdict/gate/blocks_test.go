package gate_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"origin-storm/storm/verdict/gate"
)

// Blocks come back as they were written, and nothing is concluded from a file that is not whole.
func TestQuadsRoundTrip(t *testing.T) {
	quads := job{within: 0.1, head: 1.1, publishes: 3}.quads(3, 5)
	var b bytes.Buffer
	if err := gate.WriteQuads(&b, 0, quads[0]); err != nil {
		t.Fatal(err)
	}
	if err := gate.WriteQuads(&b, 1, quads[1:]...); err != nil {
		t.Fatal(err)
	}
	got, err := gate.ReadQuads(bytes.NewReader(b.Bytes()))
	if err != nil || !reflect.DeepEqual(got, quads) {
		t.Errorf("ReadQuads after WriteQuads = %v, %v; want what was written", got, err)
	}
	lines := strings.SplitAfter(b.String(), "\n")
	for name, text := range map[string]string{
		"nothing":          "",
		"cut in a line":    b.String()[:b.Len()-20],
		"cut in a quad":    strings.Join(lines[:6], ""),
		"a block missing":  strings.Join(append(lines[:1:1], lines[2:]...), ""),
		"another order":    lines[1] + lines[0] + strings.Join(lines[2:], ""),
		"no side":          strings.Replace(b.String(), `"side":"base"`, `"side":"middle"`, 1),
		"something else":   "{}\n",
		"two on a line":    strings.Replace(b.String(), "\n", " ", 1),
		"an unknown field": strings.Replace(b.String(), `"side"`, `"slide"`, 1),
	} {
		if quads, err := gate.ReadQuads(strings.NewReader(text)); !errors.Is(err, gate.ErrData) {
			t.Errorf("ReadQuads of blocks with %s = %d quads, %v; want ErrData", name, len(quads), err)
		}
	}
}

func FuzzReadQuads(f *testing.F) {
	var b bytes.Buffer
	if err := gate.WriteQuads(&b, 0, job{within: 0.1, head: 1, publishes: 1}.quads(1, 1)...); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("{\"quad\":0,\"block\":0,\"side\":\"head\",\"samples\":null}\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		quads, err := gate.ReadQuads(bytes.NewReader(in))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := gate.WriteQuads(&b, 0, quads...); err != nil {
			t.Fatal(err)
		}
		again, err := gate.ReadQuads(&b)
		if err != nil || len(again) != len(quads) {
			t.Errorf("ReadQuads(WriteQuads(%v)) = %v, %v", quads, again, err)
		}
	})
}

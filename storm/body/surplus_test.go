package body

import (
	"bytes"
	"testing"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// TestSurplusThatFits: more bytes than the body says it has are damage even if they go on as it does.
func TestSurplusThatFits(t *testing.T) {
	id := segment.ID{Event: "e", Rendition: "r", Number: 1}
	b := New(id, segment.Template{}, 6400)
	more := append(b, make([]byte, 640)...)
	fill(more[6400:], newMark(id, segment.Template{}, 6400).key(), 6400/line)
	for _, n := range []int{6401, 6464, len(more)} {
		if got, _ := Verify(bytes.NewReader(more[:n]), id, -1); got.Damage != storm.Torn {
			t.Errorf("Verify of %d bytes that say they are 6400 = %q, want torn", n, got.Damage)
		}
	}
}

package stage

import (
	"maps"
	"strings"
	"testing"
)

func TestReadTicks(t *testing.T) {
	got, err := readTicks(strings.NewReader("cpu  30 0 30 300 0 0 0 0 0 0\ncpu0 10 1 10 100 7 1 1 1 5 0\ncpu12 1 0 0 9 0\nintr 5 6 7\n"))
	if want := map[int]ticks{0: {24, 131}, 12: {1, 10}}; err != nil || !maps.Equal(got, want) {
		t.Errorf("readTicks = %v, %v; want %v", got, err, want)
	}
	for _, text := range []string{"cpu1\n", "cpu1 1 2 3\n", "cpux 1 2 3 4 5\n", "cpu1 1 2 3 -4 5\n", "cpu1 1 2 3 x 5\n"} {
		if got, err := readTicks(strings.NewReader(text)); err == nil {
			t.Errorf("readTicks(%q) = %v, want an error", text, got)
		}
	}
}

func FuzzReadTicks(f *testing.F) {
	f.Add("cpu0 10 1 10 100 7 1 1 1 5 0\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := readTicks(strings.NewReader(text))
		if err != nil && len(all) > 0 {
			t.Errorf("readTicks(%q) = %v and %v", text, all, err)
		}
	})
}

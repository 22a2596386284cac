package scenarios_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/scenarios"
)

func TestFightNight(t *testing.T) {
	s := load(t, "fight-night")
	if s.Readers.Edges != 100 || len(s.Event.Renditions) != 50 || s.Windows.Storm != 3*time.Hour || s.Event.Segment.Duration() != 2*time.Second {
		t.Errorf("%d edges ask for %d renditions for %v in segments of %v, want 100, 50, 3h, 2s",
			s.Readers.Edges, len(s.Event.Renditions), s.Windows.Storm, s.Event.Segment.Duration())
	}
	if s.Audience.Viewers != 65_000_000 || s.Event.Pipelines != 2 || s.Deployment.Reads != 200e9 {
		t.Errorf("%v viewers, %d pipelines, sized for %v, want 65M, 2, 200Gbit/s", s.Audience.Viewers, s.Event.Pipelines, s.Deployment.Reads)
	}
	if s.Readers.Behaviour.DVR != 0 {
		t.Errorf("%v older segments for each newest, want none: fillers keep them all", s.Readers.Behaviour.DVR)
	}
}

func TestStorm100G(t *testing.T) {
	s := load(t, "storm-100g")
	if rate := float64(s.Readers.Edges) * float64(s.Event.Renditions.Total()); math.Abs(rate-100e9) > 1e9 {
		t.Errorf("%d edges ask for %.3g bit/s, want 100 Gbit/s", s.Readers.Edges, rate)
	}
}

func TestAny(t *testing.T) {
	for _, c := range []struct{ p, n, want float64 }{
		{0, 100, 0}, {1, 1, 1}, {1, 7, 1}, {0.5, 0, 0}, {0.5, 1, 0.5}, {0.5, 2, 0.75}, {0.02, 50, 1 - math.Pow(0.98, 50)}, {1e-12, 1e6, 1e-6},
	} {
		if got := scenarios.Any(c.p, c.n); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("Any(%v, %v) = %v, want %v", c.p, c.n, got, c.want)
		}
	}
}

func TestWatching(t *testing.T) {
	r := scenarios.Ladder(50, 250_000_000)
	for _, want := range []cost.Rate{r[49].Rate, 1_000_000, 5_000_000, 15_000_000, r[0].Rate} {
		var sum, mean float64
		for i, p := range (scenarios.Audience{BitRate: want}).Watching(r) {
			if p < 0 || p > 1 {
				t.Errorf("Watching at %v: a part of %v watches %s", want, p, r[i].Name)
			}
			sum += p
			mean += p * float64(r[i].Rate)
		}
		if math.Abs(sum-1) > 1e-9 || math.Abs(mean/float64(want)-1) > 1e-3 {
			t.Errorf("Watching at %v: parts add up to %v with a mean of %.0f bit/s, want 1 and %v", want, sum, mean, want)
		}
	}
	for i, p := range (scenarios.Audience{BitRate: 3}).Watching(scenarios.Renditions{{Name: "a", Rate: 3}, {Name: "b", Rate: 3}}) {
		if p != 0.5 {
			t.Errorf("of two renditions of one bit rate, %v watch the one at %d, want half", p, i)
		}
	}
}

// What reaches the origin becomes the readers, unless the author says otherwise.
func TestReached(t *testing.T) {
	for _, c := range []struct {
		name, src string
		edges     int
		dvr       float64
	}{
		{"everybody's fillers ask for everything", "audience: {viewers: 65M, fillers: 100}", 100, 0},
		{"a given number of edges stands", "audience: {viewers: 65M, fillers: 100}\nreaders: {edges: 7}", 7, 0},
		{"one viewer for each filler asks for one of twelve renditions", "audience: {viewers: 100, fillers: 50, bit-rate: 833333bit/s}\nevent: {renditions: [{name: a, rate: 833333bit/s}," +
			" {name: b, rate: 833333bit/s}, {name: c, rate: 833333bit/s}, {name: d, rate: 833333bit/s}, {name: e, rate: 833333bit/s}]}", 10, 0},
		{"what fillers keep they do not ask for again", "audience: {viewers: 65M, dvr: 10%}", 50, 0},
		// 10 % of the 650 viewers of each filler watch older segments, and for half of the window fillers have nothing left: about 32 of
		// them want different ones.
		{"what they do not keep they do", "event: {dvr: 2h}\naudience: {viewers: 65k, bit-rate: 1Mbit/s, dvr: 10%, retention: 1h}", 50, 32.5 / 12},
	} {
		s := parse(t, "name: x\n"+c.src)
		if s.Readers.Edges != c.edges || math.Abs(float64(s.Readers.Behaviour.DVR)-c.dvr) > 0.01*c.dvr {
			t.Errorf("%s: %d edges, %v older segments for each newest, want %d, %v", c.name, s.Readers.Edges, s.Readers.Behaviour.DVR, c.edges, c.dvr)
		}
	}
}

// Every default has a source, and no source is of a value that cannot be set.
func TestSources(t *testing.T) {
	s := parse(t, "name: x\nevent: {renditions: {count: 12, total: 60Mbit/s}}\naudience: {viewers: 65M}\ndeployment: {replicas: 3}")
	known := map[string][]string{}
	for _, x := range scenarios.Sources() {
		if x.Source == "" {
			t.Errorf("%s = %s has no source", x.Path, x.Value)
		}
		if _, err := scenarios.Parse("x", []byte("name: x\nevent: {renditions: {count: 12, total: 60Mbit/s}}\naudience: {viewers: 65M}"), x.Path+"="+x.Value); err != nil {
			t.Errorf("a source for what cannot be set: %v", err)
		}
		known[x.Path] = append(known[x.Path], x.Value)
	}
	values := map[string]string{}
	leaves("audience", reflect.ValueOf(*s.Audience), values)
	leaves("deployment", reflect.ValueOf(*s.Deployment), values)
	for path, value := range values {
		if strings.HasSuffix(path, ".nodes") || path == "deployment.publish.disk" || path == "deployment.serve.disk" || path == "deployment.cache.disk" {
			continue // found, or of no consequence
		}
		if !slices.Contains(known[path], value) {
			t.Errorf("%s = %s by default, want a source among %v", path, value, known[path])
		}
	}
}

// leaves puts the values of v, as text, under their paths.
func leaves(path string, v reflect.Value, to map[string]string) {
	if v.Kind() != reflect.Struct {
		text := fmt.Sprint(v.Interface())
		if v.Kind() == reflect.Pointer && v.IsNil() {
			return
		}
		to[path] = text
		return
	}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		leaves(path+"."+name, v.Field(i), to)
	}
}

func TestCount(t *testing.T) {
	for text, want := range map[string]scenarios.Count{"0": 0, "65M": 65_000_000, "1.5M": 1_500_000, "18k": 18_000, "8G": 8_000_000_000, "1234": 1234} {
		var got scenarios.Count
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("UnmarshalText(%q) = %d, %v, want %d", text, got, err, want)
		}
		var again scenarios.Count
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("UnmarshalText(%q) = %d, %v, want %d", got.String(), again, err, got)
		}
	}
	for _, text := range []string{"", "M", "many", "1.5", "65m", "1e300G", "NaN", "Inf"} {
		var got scenarios.Count
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("UnmarshalText(%q) = %d, want an error", text, got)
		}
	}
}

// One machine is told what to use instead.
func TestAudienceIsNotRunLive(t *testing.T) {
	for src, want := range map[string]string{"audience: {viewers: 65M}": "use simulate x, or capacity x", "deployment: {zones: 3}": "use simulate x"} {
		err := parse(t, "name: x\n"+src).Live(1 << 62)
		e, ok := errors.AsType[*scenarios.Error](err)
		if !ok || !strings.Contains(e.Hint, want) {
			t.Errorf("Live with %s = %v, want an error that says %q", src, err, want)
		}
	}
}

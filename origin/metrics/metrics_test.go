package metrics_test

import (
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"origin-storm/origin"
	"origin-storm/origin/control"
	"origin-storm/origin/metrics"
	"origin-storm/origin/storage"
	"origin-storm/origin/stress"
)

func scrape(t *testing.T, s origin.Stats) string {
	t.Helper()
	w := httptest.NewRecorder()
	metrics.Handler(func() origin.Stats { return s }, nil).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("GET /metrics: %d %s, want 200", w.Code, w.Body)
	}
	return w.Body.String()
}

func stats() origin.Stats {
	var write origin.Timer
	write.Add(25 * time.Millisecond)
	write.Add(3 * time.Second)
	return origin.Stats{
		Node: "n1", Region: "eu",
		Publish: &origin.PublishStats{Requests: origin.Requests{"PUT": {201: 7, 503: 1}, "P\xff": {405: 1}}, Active: 2, Stored: 7, WriteSeconds: write.Latency()},
		Serve: &origin.ServeStats{
			Requests: origin.Requests{"live-edge": {200: 9}}, Holding: 3, MaxHolding: 5,
			FirstByte: map[string]origin.Latency{"dvr": write.Latency()},
		},
		Stress:    &stress.State{Stressed: true, Admit: 0.5},
		Control:   &control.Stats{Versions: map[string]int64{"ev": 8}},
		Storage:   storage.Stats{Puts: 7},
		Listeners: map[string]origin.ListenerStats{"serve": {Open: 4, Refused: 6}},
	}
}

func TestHandler(t *testing.T) {
	text := scrape(t, stats())
	for _, want := range []string{
		`origin_node_info{node="n1",region="eu"} 1`,
		`origin_publish_requests_total{class="PUT",status="201"} 7`,
		`origin_publish_requests_total{class="PUT",status="503"} 1`,
		`origin_publish_requests_total{class="P?",status="405"} 1`,
		`origin_publish_stored_total 7`,
		`origin_publish_active 2`,
		`origin_publish_write_seconds_bucket{le="0.02"} 0`,
		`origin_publish_write_seconds_bucket{le="0.05"} 1`,
		`origin_publish_write_seconds_bucket{le="2"} 1`,
		`origin_publish_write_seconds_bucket{le="+Inf"} 2`,
		`origin_publish_write_seconds_sum 3.025`,
		`origin_serve_first_byte_seconds_count{class="dvr"} 2`,
		`origin_serve_holding 3`,
		`origin_serve_max_holding 5`,
		`origin_storage_puts_total 7`,
		`origin_stress_stressed 1`,
		`origin_stress_admit 0.5`,
		`origin_control_versions{event="ev"} 8`,
		`origin_listeners_open{listener="serve"} 4`,
		`origin_listeners_refused_total{listener="serve"} 6`,
		`go_goroutines `, `process_open_fds `, `origin_build_info{`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("/metrics lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "origin_cache") {
		t.Error("/metrics has a cache, the node does not")
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		// A quantile over the whole life of a node has no base unit that would make it more useful.
		if strings.HasPrefix(p.Metric, "origin_") && p.Metric != "origin_cache_zone_wait_p99_ms" {
			t.Errorf("/metrics: %s: %s", p.Metric, p.Text)
		}
	}
}

// Every number of /stats is a metric: a field that is added there shows here without being named again.
func TestNothingIsLeftOut(t *testing.T) {
	var s origin.Stats
	want := map[string]bool{}
	fill(reflect.ValueOf(&s).Elem(), "origin", want)
	text := scrape(t, s)
	got := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# HELP (origin_\w+) As ([\w.]+) of /stats`).FindAllStringSubmatch(text, -1) {
		got["origin."+m[2]] = true
	}
	if len(want) < 30 {
		t.Fatalf("Stats has %d numbers, want more", len(want))
	}
	for path := range want {
		if !got[path] {
			t.Errorf("%s of /stats is no metric", path)
		}
	}
}

// fill makes everything under v present and notes the paths of its numbers.
func fill(v reflect.Value, path string, numbers map[string]bool) {
	switch v.Interface().(type) {
	case origin.Requests:
		v.Set(reflect.ValueOf(origin.Requests{"x": {200: 1}}))
		numbers[path] = true
		return
	case origin.Latency:
		v.Set(reflect.ValueOf(new(origin.Timer).Latency()))
		numbers[path] = true
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), path, numbers)
	case reflect.Struct:
		for f, field := range v.Fields() {
			at := path
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				at += "." + name
			}
			fill(field, at, numbers)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		e := reflect.New(v.Type().Elem()).Elem()
		fill(e, path, numbers)
		v.SetMapIndex(reflect.ValueOf("x").Convert(v.Type().Key()), e)
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint64, reflect.Float64, reflect.Bool:
		numbers[path] = true
	case reflect.String:
	default:
		numbers[path] = true // a kind that metrics does not know shows as missing
	}
}

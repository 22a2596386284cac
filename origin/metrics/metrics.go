// Package metrics shows the statistics of an origin's node to Prometheus. It counts nothing itself: every number of /stats is a
// metric, under the name of its place there.
package metrics

import (
	"cmp"
	"log/slog"
	"net/http"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"origin-storm/origin"
)

// Handler returns the handler of /metrics for a node whose statistics stats returns, which is called once per request and at any
// time. With them come the node's name and build, and the process's and runtime's own metrics. A nil log discards.
//
// An integer of origin.Stats is a counter, called origin_, its path in JSON and _total, such as origin_publish_stored_total. A
// field with the tag `metric:"gauge"` is a gauge, without _total, and so are fractions and booleans (1 is true). An origin.Latency
// is a histogram. Answers are counted with the labels class and status, and a map's keys are a label that its tag names.
func Handler(stats func() origin.Stats, log *slog.Logger) http.Handler {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector(stats), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	log = cmp.Or(log, slog.New(slog.DiscardHandler))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: 4, // scrapers are few, and each costs a walk over all counts
	})
}

// collector is a prometheus.Collector over a node's statistics.
type collector func() origin.Stats

var _ prometheus.Collector = collector(nil)

// Describe says nothing: which classes and statuses there are shows in time.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends what the statistics are now.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c()
	build, revision := "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		build = info.Main.Version
		if i := slices.IndexFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "vcs.revision" }); i >= 0 {
			revision = info.Settings[i].Value
		}
	}
	w := walker{out}
	w.send("origin_node_info", "The node, with its region.", prometheus.GaugeValue, 1, label{"node", s.Node}, label{"region", s.Region})
	w.send("origin_build_info", "What the node was built from.", prometheus.GaugeValue, 1,
		label{"version", build}, label{"revision", revision}, label{"goversion", runtime.Version()})
	w.walk(nil, reflect.ValueOf(s), "", nil)
}

// walker turns what it walks over into metrics.
type walker struct{ out chan<- prometheus.Metric }

type label struct{ name, value string }

// walk sends v, which is at path; tag is its field's, labels those of the maps on the way.
func (w walker) walk(path []string, v reflect.Value, tag reflect.StructTag, labels []label) {
	name, help := "origin_"+strings.Join(path, "_"), "As "+strings.Join(path, ".")+" of /stats."
	switch x := v.Interface().(type) {
	case origin.Requests:
		for class, statuses := range x {
			for status, n := range statuses {
				w.send(name+"_total", help, prometheus.CounterValue, float64(n), append(slices.Clip(labels), label{"class", class}, label{"status", strconv.Itoa(status)})...)
			}
		}
		return
	case origin.Latency:
		w.histogram(name, help, x, labels)
		return
	}
	kind := prometheus.CounterValue
	if tag.Get("metric") == "gauge" || v.Kind() == reflect.Float64 || v.Kind() == reflect.Bool {
		kind = prometheus.GaugeValue
	} else {
		name += "_total"
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			w.walk(path, v.Elem(), tag, labels)
		}
	case reflect.Struct:
		for f, field := range v.Fields() {
			at := path
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				at = append(slices.Clip(path), name)
			}
			w.walk(at, field, f.Tag, labels)
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			w.walk(path, entries.Value(), tag, append(slices.Clip(labels), label{cmp.Or(tag.Get("label"), "name"), entries.Key().String()}))
		}
	case reflect.Bool:
		n := 0.
		if v.Bool() {
			n = 1
		}
		w.send(name, help, kind, n, labels...)
	case reflect.Int, reflect.Int64:
		w.send(name, help, kind, float64(v.Int()), labels...)
	case reflect.Uint, reflect.Uint64:
		w.send(name, help, kind, float64(v.Uint()), labels...)
	case reflect.Float64:
		w.send(name, help, kind, v.Float(), labels...)
	}
}

func (w walker) send(name, help string, kind prometheus.ValueType, value float64, labels ...label) {
	desc, values := describe(name, help, labels)
	w.out <- prometheus.MustNewConstMetric(desc, kind, value, values...)
}

func (w walker) histogram(name, help string, l origin.Latency, labels []label) {
	buckets := make(map[float64]uint64, len(l.Within))
	for i, bound := range origin.LatencyBounds() {
		buckets[bound.Seconds()] = uint64(l.Within[i])
	}
	desc, values := describe(name, help, labels)
	w.out <- prometheus.MustNewConstHistogram(desc, uint64(l.Count), l.Sum, buckets, values...)
}

func describe(name, help string, labels []label) (*prometheus.Desc, []string) {
	names, values := make([]string, len(labels)), make([]string, len(labels))
	for i, l := range labels {
		names[i], values[i] = l.name, strings.ToValidUTF8(l.value, "?") // else the library panics
	}
	return prometheus.NewDesc(name, help, names, nil), values
}

package reports

import (
	"io"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"

	"origin-storm/storm"
	"origin-storm/storm/record"
)

// writeBench writes the run in the Go benchmark format, so that benchstat compares runs. Figures that are null are left out.
// Provenance is a configuration key: benchstat puts measured, modelled and simulated figures into tables of their own.
func writeBench(w io.Writer, r record.Results) error {
	bw := benchfmt.NewWriter(w)
	for _, u := range []struct{ unit, better string }{
		{"p50-ms", "lower"}, {"p99-ms", "lower"}, {"p999-ms", "lower"}, {"first-byte-p50-ms", "lower"}, {"Gbit/s", "higher"},
	} {
		for _, m := range [][2]string{{"better", u.better}, {"assume", "nothing"}} {
			md := &benchfmt.UnitMetadata{UnitMetadataKey: benchfmt.UnitMetadataKey{Unit: u.unit, Key: m[0]}, OrigUnit: u.unit, Value: m[1]}
			if err := bw.Write(md); err != nil {
				return err
			}
		}
	}
	for _, b := range r.Backends {
		res := benchfmt.Result{Config: []benchfmt.Config{
			{Key: "scenario", Value: []byte(word(r.Scenario)), File: true},
			{Key: "provenance", Value: []byte(word(b.Provenance)), File: true},
		}}
		line := func(name string, iters int64, values ...benchfmt.Value) error {
			known := values[:0]
			for _, v := range values {
				if v.Unit != "" {
					known = append(known, v)
				}
			}
			if iters == 0 || len(known) == 0 {
				return nil
			}
			res.Name, res.Iters, res.Values = benchfmt.Name(name), int(iters), known
			return bw.Write(&res)
		}
		for _, p := range phases(b) {
			where := "/backend=" + word(b.Name) + "/phase=" + word(p.Name)
			for _, op := range p.Operations {
				name, latency := "", op.Response
				switch op.Class {
				case storm.Publish.String():
					name = "Write" + where
				case storm.StoreWrite.String():
					name = "StoreWrite" + where
				case storm.Probe.String():
					continue // no figure of the run
				default:
					name = "Read" + where + "/class=" + word(op.Class)
				}
				err := line(name, latency.Count, figureOf(latency.P50, "p50-ms"), figureOf(latency.P99, "p99-ms"), figureOf(latency.P999, "p999-ms"),
					figureOf(op.FirstByte.P50, "first-byte-p50-ms"))
				if err != nil {
					return err
				}
			}
			h := p.Holds
			if err := line("Hold"+where, h.Count, figureOf(h.P50, "p50-ms"), figureOf(h.P99, "p99-ms"), figureOf(h.P999, "p999-ms")); err != nil {
				return err
			}
			if p.Reads > 0 {
				if err := line("Throughput"+where, 1, figureOf(&p.ReadGbit, "Gbit/s")); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// figureOf is a value of a benchmark line, without a unit where it is null.
func figureOf(p *float64, unit string) benchfmt.Value {
	if v, ok := value(p); ok {
		v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 5, 64), 64) // digits beyond these are noise
		return benchfmt.Value{Value: v, Unit: unit}
	}
	return benchfmt.Value{}
}

// word makes a name that can stand in a benchmark's name.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == '/' || r == '=' || r == 0x7f {
			return '_'
		}
		return r
	}, s)
}

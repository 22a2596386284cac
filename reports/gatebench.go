package reports

import (
	"io"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
	"gonum.org/v1/gonum/stat"

	"origin-storm/storm/record"
	"origin-storm/storm/verdict/gate"
)

// writeGateBench writes the blocks of some sides in the Go benchmark format, a line for each block. With named, the side is a part of
// the name, so that `benchstat -col '/side@(base head)' bench.txt` compares the two; without, a file for each side makes
// `benchstat base.txt head.txt` do so. Figures whose samples do not suffice are left out.
func writeGateBench(w io.Writer, res gate.Results, quads []gate.Quad, named bool, sides ...gate.Side) error {
	bw := benchfmt.NewWriter(w)
	for _, unit := range []string{"p50-ms", "p99-ms"} {
		for _, m := range [][2]string{{"better", "lower"}, {"assume", "nothing"}} {
			md := &benchfmt.UnitMetadata{UnitMetadataKey: benchfmt.UnitMetadataKey{Unit: unit, Key: m[0]}, OrigUnit: unit, Value: m[1]}
			if err := bw.Write(md); err != nil {
				return err
			}
		}
	}
	for _, q := range quads {
		for _, b := range q {
			if !slices.Contains(sides, b.Side) {
				continue
			}
			for _, what := range sampled(res.Rules) {
				values := slices.Sorted(slices.Values(b.Samples[what]))
				r := benchfmt.Result{Name: benchfmt.Name(benchName(what)), Iters: len(values), Config: []benchfmt.Config{{Key: "scenario", Value: []byte(word(res.Scenario)), File: true}}}
				if named {
					r.Name = append(r.Name, "/side="+b.Side.String()...)
				}
				for _, f := range []struct {
					q    float64
					unit string
				}{{0.5, "p50-ms"}, {0.99, "p99-ms"}} {
					if int64(len(values)) >= record.Needed(f.q) {
						r.Values = append(r.Values, figureOf(new(stat.Quantile(f.q, stat.Empirical, values, nil)), f.unit))
					}
				}
				if len(r.Values) == 0 {
					continue
				}
				if err := bw.Write(&r); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// sampled names the samples of latencies that metrics are of, each once.
func sampled(c gate.Config) []string {
	var all []string
	for _, m := range c.Metrics {
		if of := m.Samples(); m.Unit == "ms" && !slices.Contains(all, of) {
			all = append(all, of)
		}
	}
	return all
}

// benchName is the name of a benchmark of some samples: those of writes are of Write.
func benchName(what string) string {
	if what == "" {
		return what
	}
	return strings.ToUpper(what[:1]) + word(what[1:])
}

package verdict

import (
	"fmt"

	"origin-storm/storm/record"
)

// impossible says what in r cannot be, whatever was measured: then something that counted is broken, and nothing else it says can be
// relied on.
func impossible(r record.Results) (out []string) {
	for _, b := range r.Backends {
		must := func(ok bool, where, format string, args ...any) {
			if !ok {
				out = append(out, fmt.Sprintf("results that cannot be%s: %s: %s", on(r, b.Name), where, fmt.Sprintf(format, args...)))
			}
		}
		s := b.Segments
		must(s.Acknowledged <= s.Published, "segments", "%d acknowledged of %d published", s.Acknowledged, s.Published)
		must(s.Verified <= s.Read, "segments", "%d verified of %d read", s.Verified, s.Read)
		must(s.Lost <= s.Acknowledged, "segments", "%d lost of %d acknowledged", s.Lost, s.Acknowledged)
		must(b.Cache.Hits <= b.Cache.Reads || b.Cache.Reads == 0, "cache", "%d hits in %d reads", b.Cache.Hits, b.Cache.Reads)
		for _, p := range b.Phases {
			must(p.Seconds >= 0, p.Name, "%v seconds long", p.Seconds)
			for _, op := range p.Operations {
				where := p.Name + " " + op.Class
				must(min(op.Count, op.Errors, op.Retries, op.Dropped, op.Faulted, op.Hits, op.Cached, op.Bytes) >= 0, where, "a count below 0")
				must(op.Errors <= op.Count, where, "%d errors in %d requests", op.Errors, op.Count)
				must(op.Cached <= op.Count, where, "%d answers from a cache to %d requests", op.Cached, op.Count)
				must(op.Response.Count <= op.Count, where, "%d response times of %d requests", op.Response.Count, op.Count)
				for _, l := range []struct {
					name string
					record.Latency
				}{{"response", op.Response}, {"service", op.Service}, {"first byte", op.FirstByte}, {"lag", op.Lag}} {
					before, name := 0.0, "0"
					for _, f := range figures(&l.Latency) {
						if *f.p == nil {
							continue
						}
						v := **f.p
						must(v >= before, where+" "+l.name, "%s of %s ms is below %s of %s ms", f.name, short(v), name, short(before))
						if f.ci != nil && *f.ci != nil {
							ci := **f.ci
							must(ci[0] <= v && v <= ci[1], where+" "+l.name, "%s of %s ms is outside of its interval, %s to %s ms", f.name, short(v), short(ci[0]), short(ci[1]))
						}
						before, name = v, f.name
					}
				}
			}
		}
	}
	return out
}

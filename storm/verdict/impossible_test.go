package verdict_test

import (
	"strings"
	"testing"

	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
)

func TestResultsThatCannotBe(t *testing.T) {
	for name, test := range map[string]struct {
		change func(b *record.Backend, op *record.Operation)
		want   string
	}{
		"more acknowledged than published":  {func(b *record.Backend, _ *record.Operation) { b.Segments.Acknowledged = 801 }, "801 acknowledged of 800 published"},
		"more verified than read":           {func(b *record.Backend, _ *record.Operation) { b.Segments.Verified = 9001 }, "9001 verified of 9000 read"},
		"more hits than reads":              {func(b *record.Backend, _ *record.Operation) { b.Cache.Reads, b.Cache.Hits = 5, 6 }, "6 hits in 5 reads"},
		"a phase that ended early":          {func(b *record.Backend, _ *record.Operation) { b.Phases[0].Seconds = -1 }, "-1 seconds long"},
		"a negative count":                  {func(_ *record.Backend, op *record.Operation) { op.Retries = -1 }, "a count below 0"},
		"more errors than requests":         {func(_ *record.Backend, op *record.Operation) { op.Errors = 401 }, "401 errors in 400 requests"},
		"more cached answers than requests": {func(_ *record.Backend, op *record.Operation) { op.Cached = 401 }, "401 answers from a cache"},
		"more answers than requests":        {func(_ *record.Backend, op *record.Operation) { op.Response.Count = 401 }, "401 response times of 400"},
		"a negative duration":               {func(_ *record.Backend, op *record.Operation) { op.Service.P50 = new(-1.0) }, "p50 of -1 ms is below 0"},
		"a percentile above the maximum":    {func(_ *record.Backend, op *record.Operation) { op.Response.Max = new(1.0) }, "max of 1 ms is below p99"},
		"a figure outside of its interval":  {func(_ *record.Backend, op *record.Operation) { op.Response.P50CI = &[2]float64{1, 2} }, "outside of its interval"},
	} {
		t.Run(name, func(t *testing.T) {
			r := sound()
			test.change(&r.Backends[0], operation(&r, "s3", "storm", "publish"))
			verdict.Judge(&r, verdict.Conditions{})
			if code := verdict.ExitCode(r); code != verdict.Invalid || !strings.Contains(strings.Join(r.Doubts, "; "), test.want) {
				t.Errorf("exit code %d, doubts %q, want %d and %q", code, r.Doubts, verdict.Invalid, test.want)
			}
		})
	}
}

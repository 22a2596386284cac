package live_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/body"
	"origin-storm/storm/live"
)

// BenchmarkPacer runs two seconds of requests an iteration against a target that answers at once, in this very process, and
// reports what the driver itself lost.
func BenchmarkPacer(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotFound) }))
	defer srv.Close()
	for _, rate := range []int{500, 2000, 5000} {
		b.Run(fmt.Sprintf("rate=%d", rate), func(b *testing.B) {
			var lags, service []time.Duration
			for b.Loop() {
				x, err := live.New(live.Config{Publish: at(srv.URL), Serve: at(srv.URL)})
				if err != nil {
					b.Fatal(err)
				}
				var rec samples
				if err := x.Execute(b.Context(), plan(2*rate, time.Second/time.Duration(rate)), &rec); err != nil {
					b.Fatal(err)
				}
				for _, s := range rec.all {
					lags, service = append(lags, s.Lag()), append(service, s.Service())
				}
			}
			report(b, "lag", lags)
			report(b, "service", service)
		})
	}
}

// BenchmarkRead reads 2 MiB segments one after the other, with and without comparing them: what verification adds to Done.
func BenchmarkRead(b *testing.B) {
	whole := body.New(video(1), segment.Template{}, 2<<20)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(whole) }))
	defer srv.Close()
	for _, unverified := range []bool{false, true} {
		b.Run(fmt.Sprintf("unverified=%v", unverified), func(b *testing.B) {
			var service []time.Duration
			b.SetBytes(100 * 2 << 20)
			for b.Loop() {
				x, err := live.New(live.Config{Publish: at(srv.URL), Serve: at(srv.URL), Unverified: unverified})
				if err != nil {
					b.Fatal(err)
				}
				var rec samples
				p := plan(100, 10*time.Millisecond)
				if err := x.Execute(b.Context(), p, &rec); err != nil {
					b.Fatal(err)
				}
				for _, s := range rec.all {
					if s.Status != http.StatusOK || s.Damage != storm.None {
						b.Fatalf("%+v", s)
					}
					service = append(service, s.Service())
				}
			}
			report(b, "service", service)
		})
	}
}

func plan(n int, step time.Duration) storm.Plan {
	return storm.Plan{
		Requests: every(step, n, func(i int, at time.Duration) storm.Request { return read(at, 1) }),
		Client:   direct,
	}
}

func report(b *testing.B, what string, ds []time.Duration) {
	slices.Sort(ds)
	for _, q := range []int{50, 99} {
		b.ReportMetric(float64(ds[len(ds)*q/100].Microseconds()), fmt.Sprintf("us-%s-p%d", what, q))
	}
}

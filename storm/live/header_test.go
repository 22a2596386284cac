package live

import (
	"net/http"
	"testing"
	"time"
)

func TestFresh(t *testing.T) {
	for name, tt := range map[string]struct {
		h    map[string]string
		want time.Duration
	}{
		"nothing":            {nil, 0},
		"to the millisecond": {map[string]string{"Origin-TTL-Ms": "1234", "Cache-Control": "max-age=1"}, 1234 * time.Millisecond},
		"max-age":            {map[string]string{"Cache-Control": "public, max-age=5"}, 5 * time.Second},
		"s-maxage is ours":   {map[string]string{"Cache-Control": "s-maxage=7, max-age=5"}, 7 * time.Second},
		"in either order":    {map[string]string{"Cache-Control": "Max-Age=5, S-MAXAGE=\"7\""}, 7 * time.Second},
		"no-store":           {map[string]string{"Cache-Control": "max-age=5, no-store"}, 0},
		"aged":               {map[string]string{"Cache-Control": "max-age=5", "Age": "3"}, 2 * time.Second},
		"too old":            {map[string]string{"Cache-Control": "max-age=5", "Age": "9"}, 0},
		"negative":           {map[string]string{"Origin-TTL-Ms": "-1"}, 0},
		"huge":               {map[string]string{"Origin-TTL-Ms": "9223372036854775807"}, maxFresh},
		"huge age":           {map[string]string{"Cache-Control": "max-age=9223372036854775807"}, maxFresh},
		"garbage":            {map[string]string{"Cache-Control": "max-age=soon,,=,x"}, 0},
	} {
		h := http.Header{}
		for k, v := range tt.h {
			h.Set(k, v)
		}
		if got := fresh(h); got != tt.want {
			t.Errorf("%s: fresh(%v) = %v, want %v", name, tt.h, got, tt.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for s, want := range map[string]time.Duration{"": 0, "3": 3 * time.Second, "-3": 0, "soon": 0, "Fri, 31 Dec 1999 23:59:59 GMT": 0, "99999999999": maxFresh} {
		if got := retryAfter(http.Header{"Retry-After": {s}}); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", s, got, want)
		}
	}
}

func TestStoreTime(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"":                 0,
		"store;dur=12.345": 12345 * time.Microsecond,
		"Store; DUR = 2":   2 * time.Millisecond,
		`store;dur="2.5"`:  2500 * time.Microsecond,
		"cache;dur=1, store;desc=\"a,b;dur=9\";dur=3": 3 * time.Millisecond,
		"total;dur=7":                0,
		"store":                      0,
		"store;dur=":                 0,
		"store;dur=-1":               0,
		"store;dur=NaN":              0,
		"store;dur=Inf":              0,
		"store;dur=1e300":            0,
		`x;desc="store;dur=4`:        0,
		"restore;dur=4":              0,
		"store;dur=5;dur=6":          5 * time.Millisecond,
		`a;desc="\",";b,store;dur=8`: 8 * time.Millisecond,
	} {
		if got := storeTime(http.Header{"Server-Timing": {s}}); got != want {
			t.Errorf("storeTime(%q) = %v, want %v", s, got, want)
		}
	}
	if got := storeTime(http.Header{"Server-Timing": {"a;dur=1", "store;dur=2"}}); got != 2*time.Millisecond {
		t.Errorf("storeTime of two lines = %v, want 2ms", got)
	}
}

func TestCached(t *testing.T) {
	for s, want := range map[string]bool{
		"":                                false,
		"origin; hit":                     false,
		"origin; fwd=miss, nginx; hit":    true,
		"origin; hit, nginx; fwd=miss":    false,
		"nginx; hit":                      true,
		"origin; detail=\",\", e; hit":    true,
		"origin; detail=\"a, b; hit\"":    false,
		"a; hit, b; fwd=stale":            false,
		"a; fwd=miss, b ;ttl=3 ; hit":     true,
		"a; hit=?0":                       false,
		"a; fwd=miss; detail=hit, origin": false,
	} {
		if got := cached(http.Header{"Cache-Status": {s}}); got != want {
			t.Errorf("cached(%q) = %v, want %v", s, got, want)
		}
	}
	if !cached(http.Header{"Cache-Status": {"origin; fwd=miss", "varnish; hit"}}) {
		t.Error("cached of two lines, the second a hit = false")
	}
}

func TestAnswered(t *testing.T) {
	for s, want := range map[string]int64{"1700000000123.456": 1700000000123456, "5": 5000, "": 0, "-5": 0, "NaN": 0, "1e300": 0, "soon": 0} {
		at, ok := answered(http.Header{"Origin-Answered-Ms": {s}})
		if ok != (want != 0) || ok && at.UnixMicro() != want {
			t.Errorf("answered(%q) = %v, %v; want %d µs", s, at, ok, want)
		}
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add("store;dur=1.5", "max-age=5, s-maxage=\"6\"", "3", "100")
	f.Add(`a;desc="\";,`, "no-store,=", "x", "")
	f.Fuzz(func(t *testing.T, timing, control, retry, ttl string) {
		cached(http.Header{"Cache-Status": {timing, control}})
		if at, ok := answered(http.Header{"Origin-Answered-Ms": {ttl}}); ok && at.UnixMicro() < 0 {
			t.Errorf("answered(%q) = %v", ttl, at)
		}
		h := http.Header{"Server-Timing": {timing}, "Cache-Control": {control}, "Retry-After": {retry}, "Origin-Ttl-Ms": {ttl}}
		if d := fresh(h); d < 0 || d > maxFresh {
			t.Errorf("fresh(%q) = %v", h, d)
		}
		if d := retryAfter(h); d < 0 || d > maxFresh {
			t.Errorf("retryAfter(%q) = %v", retry, d)
		}
		if d := storeTime(h); d < 0 || d > maxFresh {
			t.Errorf("storeTime(%q) = %v", timing, d)
		}
	})
}

package live

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxFresh bounds what an answer may say about its own lifetime.
const maxFresh = 365 * 24 * time.Hour

// fresh is for how long an answer may be used again: the origin's own header to the millisecond, else what a shared cache would
// make of Cache-Control and Age (RFC 9111). What cannot be read is 0.
func fresh(h http.Header) time.Duration {
	if ms, err := strconv.ParseUint(h.Get("Origin-TTL-Ms"), 10, 63); err == nil {
		return scaled(ms, time.Millisecond)
	}
	age, _ := strconv.ParseUint(h.Get("Age"), 10, 63)
	return max(0, cacheControl(strings.Join(h.Values("Cache-Control"), ","))-scaled(age, time.Second))
}

// retryAfter is how long a publisher is asked to wait before its next try, in seconds as RFC 9110 has it; a date is not read.
func retryAfter(h http.Header) time.Duration {
	s, _ := strconv.ParseUint(h.Get("Retry-After"), 10, 63)
	return scaled(s, time.Second)
}

// cacheControl is the lifetime that a shared cache reads from Cache-Control.
func cacheControl(s string) (d time.Duration) {
	shared := false
	for item := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
		switch name = strings.ToLower(name); name {
		case "no-store", "no-cache", "private":
			return 0
		case "max-age", "s-maxage":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 63)
			if err != nil || shared && name == "max-age" {
				continue
			}
			shared = shared || name == "s-maxage"
			d = scaled(seconds, time.Second)
		}
	}
	return d
}

// answered is when the origin says that it began to answer.
func answered(h http.Header) (at time.Time, ok bool) {
	ms, err := strconv.ParseFloat(h.Get("Origin-Answered-Ms"), 64)
	if err != nil || !(ms > 0 && ms < 1<<53) {
		return at, false
	}
	return time.UnixMicro(int64(math.Round(ms * 1000))), true
}

// cached reports whether a cache between here and the origin answered with what it kept: whether Cache-Status (RFC 9211) ends in
// a hit of another than the origin itself.
func cached(h http.Header) bool {
	last := strings.Join(h.Values("Cache-Status"), ",")
	for {
		member, rest := cutUnquoted(last, ',')
		if rest == "" {
			last = member
			break
		}
		last = rest
	}
	name, params := cutUnquoted(last, ';')
	if strings.TrimSpace(name) == "origin" {
		return false
	}
	for params != "" {
		var param string
		if param, params = cutUnquoted(params, ';'); strings.TrimSpace(param) == "hit" {
			return true
		}
	}
	return false
}

func scaled(n uint64, unit time.Duration) time.Duration {
	if n > uint64(maxFresh/unit) {
		return maxFresh
	}
	return time.Duration(n) * unit
}

// storeTime is the duration of the metric "store" in Server-Timing (W3C Server Timing), 0 if there is none.
func storeTime(h http.Header) time.Duration {
	for _, line := range h.Values("Server-Timing") {
		for line != "" {
			var metric string
			metric, line = cutUnquoted(line, ',')
			name, params := cutUnquoted(metric, ';')
			if !strings.EqualFold(strings.TrimSpace(name), "store") {
				continue
			}
			for params != "" {
				var param string
				param, params = cutUnquoted(params, ';')
				key, value, _ := strings.Cut(param, "=")
				if !strings.EqualFold(strings.TrimSpace(key), "dur") {
					continue
				}
				ms, err := strconv.ParseFloat(strings.Trim(strings.TrimSpace(value), `"`), 64)
				if err != nil || !(ms >= 0 && ms <= float64(maxFresh/time.Millisecond)) {
					return 0
				}
				return time.Duration(math.Round(ms * float64(time.Millisecond)))
			}
			return 0
		}
	}
	return 0
}

// cutUnquoted cuts s around the first sep that is not within a quoted string.
func cutUnquoted(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && c == sep:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

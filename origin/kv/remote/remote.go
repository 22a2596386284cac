// Package remote reaches a store that another process hosts, over HTTP/1.1: Handler hosts, Open reaches. A value is one request:
//
//	PUT /kv/{store}/{table}?part={part}&name={name}    with Kv-Keep, and the value as the body → 204
//	GET /kv/{store}/{table}?part={part}&name={name}    → 200 with the value, always with its Content-Length
//	POST /kv/{store}/{table}    with a line "{part} {name}" for each of up to 1,024 keys → 200 with, for each of them, a line that holds
//	                            "-", or the value's length and after it the value
//
// A failure is a status with the header Kv-Error, by which the client's errors are the same to errors.Is as the store's, and a line
// of text. What costs and faults are keyed by travels along: Kv-Attempt is kv.Attempt, and Kv-Age how long ago kv.Began was when
// the request was made, as the clocks of two machines need not agree. Processes of one machine have one clock, and what the request
// took until it was read can be milliseconds there when many come at once, so that they use the instant itself, Kv-Began. A value
// whose bytes do not come to its Content-Length is neither stored nor returned.
//
// It is for processes that trust each other: there is no authentication and no encryption.
package remote

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"origin-storm/origin/kv"
)

// MaxValue is the largest value that travels, in bytes.
const MaxValue = 64 << 20

const (
	maxKey     = 1024      // bytes of a Part or a Name
	maxAttempt = 1_000_000 // far beyond any
	maxAge     = time.Hour
	prefix     = "/kv/"

	headerKeep    = "Kv-Keep"    // a Go duration
	headerAttempt = "Kv-Attempt" // absent: 0
	headerAge     = "Kv-Age"     // a Go duration; absent: the operation is by itself
	headerBegan   = "Kv-Began"   // nanoseconds of Unix time; beside Kv-Age
	headerError   = "Kv-Error"   // one of the codes below
)

// failures are the errors that keep their meaning on the way.
var failures = []struct {
	err    error
	status int
	code   string
}{
	{kv.ErrNotFound, http.StatusNotFound, "not-found"},
	{kv.ErrTooLarge, http.StatusRequestEntityTooLarge, "too-large"},
	{kv.ErrFull, http.StatusInsufficientStorage, "full"},
	{kv.ErrThrottled, http.StatusServiceUnavailable, "throttled"},
	{kv.ErrDenied, http.StatusForbidden, "denied"},
}

// errRequest is wrapped by what parse finds wrong.
var errRequest = errors.New("bad request")

// request is what a request's line and headers say.
type request struct {
	store, table string
	key          kv.Key
	keep         time.Duration // of a PUT
	attempt      int
	age          time.Duration // 0: not told
	began        time.Time     // zero: not told
}

// url returns the path and query of q.
func (q request) url() string {
	at := prefix + q.store + "/" + q.table
	if q.key == (kv.Key{}) { // many keys are in the body
		return at
	}
	return at + "?part=" + url.QueryEscape(q.key.Part) + "&name=" + url.QueryEscape(q.key.Name)
}

// header returns the headers of q.
func (q request) header() http.Header {
	h := make(http.Header, 4)
	if q.keep > 0 {
		h.Set(headerKeep, q.keep.String())
	}
	if q.attempt > 0 {
		h.Set(headerAttempt, strconv.Itoa(min(q.attempt, maxAttempt)))
	}
	if q.age > 0 {
		h.Set(headerAge, min(q.age, maxAge).String())
		h.Set(headerBegan, strconv.FormatInt(q.began.UnixNano(), 10))
	}
	return h
}

// parse reads a request's path, query and headers: the opposite of url and header.
func parse(r *http.Request) (request, error) {
	var q request
	bad := func(format string, args ...any) (request, error) {
		return q, fmt.Errorf("%w: %s", errRequest, fmt.Sprintf(format, args...))
	}
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), prefix)
	if !ok {
		return bad("path %.100q does not begin with %s", r.URL.Path, prefix)
	}
	q.store, q.table, ok = strings.Cut(rest, "/")
	if !ok || !isName(q.store) || !isName(q.table) {
		return bad("path %.100q is not %s{store}/{table}", r.URL.Path, prefix)
	}
	var err error
	if r.Method != http.MethodPost {
		if q.key, err = parseKey(r.URL); err != nil {
			return q, err
		}
	} else if r.URL.RawQuery != "" {
		return bad("query %.100q: the keys of a POST are in its body", r.URL.RawQuery)
	}
	if r.Method == http.MethodPut {
		if q.keep, err = time.ParseDuration(r.Header.Get(headerKeep)); err != nil || q.keep <= 0 {
			return bad("%s %.100q is not a duration above 0", headerKeep, r.Header.Get(headerKeep))
		}
	}
	if s := r.Header.Get(headerAttempt); s != "" {
		if q.attempt, err = strconv.Atoi(s); err != nil || q.attempt < 0 || q.attempt > maxAttempt {
			return bad("%s %.100q is not a number from 0 to %d", headerAttempt, s, maxAttempt)
		}
	}
	if s := r.Header.Get(headerAge); s != "" {
		if q.age, err = time.ParseDuration(s); err != nil || q.age < 0 || q.age > maxAge {
			return bad("%s %.100q is not a duration from 0 to %v", headerAge, s, maxAge)
		}
	}
	if s := r.Header.Get(headerBegan); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return bad("%s %.100q is not a number of nanoseconds", headerBegan, s)
		}
		q.began = time.Unix(0, n)
	}
	return q, nil
}

// parseKey reads the key in a query.
func parseKey(u *url.URL) (key kv.Key, err error) {
	bad := func(format string, args ...any) (kv.Key, error) {
		return kv.Key{}, fmt.Errorf("%w: %s", errRequest, fmt.Sprintf(format, args...))
	}
	if len(u.RawQuery) > 2*3*maxKey+len("part=&name=") {
		return bad("query of %d bytes", len(u.RawQuery))
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("query: %v", err)
	}
	if len(values) != 2 || len(values["part"]) != 1 || len(values["name"]) != 1 {
		return bad("query %.100q is not part=…&name=…", u.RawQuery)
	}
	key = kv.Key{Part: values.Get("part"), Name: values.Get("name")}
	if key.Part == "" || !isKey(key.Part) || !isKey(key.Name) {
		return bad("key %.100q: part and name are printable ASCII without spaces, at most %d bytes each, and part is not empty", key, maxKey)
	}
	return key, nil
}

// origin returns when the larger piece of work began of which q, being read now, is a part; the zero time if there is none. peer is
// the client's address.
func (q request) origin(now time.Time, peer string) time.Time {
	if q.age <= 0 {
		return time.Time{}
	}
	host, _, _ := net.SplitHostPort(peer)
	transit := now.Sub(q.began) - q.age
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() && transit >= 0 && transit < time.Minute {
		return now.Add(-q.age - transit)
	}
	return now.Add(-q.age)
}

// isKey reports whether s may be a Part or a Name.
func isKey(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= maxKey
}

// isName reports whether s may name a store or a table: letters, digits and inside it . - _, so that it needs no escaping.
func isName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case i > 0 && (c == '.' || c == '-' || c == '_' || c == '+'):
		default:
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// Package accesslog reads what a CDN has logged: which client asked when for which segment, and how far behind the live edge of
// that moment the segment was. It reads line by line, in bounded memory, whatever the length of the log. It does not know what
// is done with the requests (package storm/plan plays them again), and makes up none.
package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The formats of a log.
const (
	// Common is the Common Log Format of HTTP servers; what may follow it, as in the Combined one, is left unread.
	Common = "common"
	// JSON is one JSON object a line.
	JSON = "json"
)

// Formats lists the formats.
func Formats() []string { return []string{Common, JSON} }

// Entry is a line.
type Entry struct {
	// At is when the request was logged, Coarse that it was told in whole seconds.
	At     time.Time
	Coarse bool
	// Client is who asked, as the log has it; it may be empty.
	Client string
	// Method is empty where the log does not say.
	Method string
	// Path is what for, without scheme, host and query.
	Path string
	// Status is the answer's; 0 where the log does not say.
	Status int
}

// Fields are the names of a JSON log's fields. Those that are left empty are looked for under the names that servers and CDNs
// usually give them.
type Fields struct {
	// Time has the instant: RFC 3339, or a number of seconds, milliseconds, microseconds or nanoseconds since 1970.
	Time string `yaml:"time,omitempty"`
	// Client has the address of who asked.
	Client string `yaml:"client,omitempty"`
	// Path has the URL or its path, or the whole request line.
	Path string `yaml:"path,omitempty"`
	// Status has the answer's status.
	Status string `yaml:"status,omitempty"`
}

// What the usual logs call their fields: nginx, Cloudflare, Akamai DataStream 2, Fastly, CloudFront's real-time logs, Varnish.
var usual = struct{ time, client, path, status, method []string }{
	time:   []string{"EdgeStartTimestamp", "reqTimeSec", "timestamp", "time_iso8601", "msec", "@timestamp", "time", "start_time", "ts"},
	client: []string{"ClientIP", "cliIP", "client_ip", "c-ip", "remote_addr", "client", "ip"},
	path:   []string{"ClientRequestURI", "ClientRequestPath", "reqPath", "request_uri", "cs-uri-stem", "url", "uri", "path", "request"},
	status: []string{"EdgeResponseStatus", "statusCode", "response_status", "sc-status", "status", "status_code"},
	method: []string{"ClientRequestMethod", "reqMethod", "request_method", "cs-method", "method"},
}

// ParseCommon reads a line of the Common Log Format:
//
//	192.0.2.7 - - [23/Nov/2026:17:05:12 +0000] "GET /event/v720/1234.m4s HTTP/1.1" 200 524288
//
// Errors say what of it is not there. What follows the status is left unread.
func ParseCommon(line []byte) (e Entry, err error) {
	s := string(line)
	var ok bool
	if e.Client, s, ok = strings.Cut(s, " "); !ok {
		return e, errors.New("no client, as in: 192.0.2.7 - - [23/Nov/2026:17:05:12 +0000] …")
	}
	_, s, ok = strings.Cut(s, "[")
	stamp, s, ok2 := strings.Cut(s, "] ")
	if !ok || !ok2 {
		return e, errors.New("no instant in brackets, as in: [23/Nov/2026:17:05:12 +0000]")
	}
	if e.At, err = time.Parse("02/Jan/2006:15:04:05 -0700", stamp); err != nil {
		return e, fmt.Errorf("%q is no instant such as 23/Nov/2026:17:05:12 +0000", clip(stamp))
	}
	e.Coarse = e.At.Nanosecond() == 0
	request, s, ok := quoted(s)
	if !ok {
		return e, errors.New(`no request in quotes, as in: "GET /event/v720/1234.m4s HTTP/1.1"`)
	}
	if !e.request(request) {
		return e, fmt.Errorf("%q is no request such as GET /event/v720/1234.m4s HTTP/1.1", clip(request))
	}
	status, _, _ := strings.Cut(strings.TrimLeft(s, " "), " ")
	if e.Status, err = strconv.Atoi(strings.TrimRight(status, "\r")); err != nil || e.Status < 0 || e.Status > 999 {
		return e, fmt.Errorf("%q is no status", clip(status))
	}
	return e, nil
}

// quoted takes a quoted string from the front of s, in which a backslash escapes.
func quoted(s string) (text, rest string, ok bool) {
	s = strings.TrimLeft(s, " ")
	if !strings.HasPrefix(s, `"`) {
		return "", s, false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[1:i], s[i+1:], true
		}
	}
	return "", s, false
}

// request takes method and path out of a request line, or the path out of a path or a URL.
func (e *Entry) request(s string) bool {
	if method, rest, ok := strings.Cut(s, " "); ok {
		e.Method = method
		s, _, _ = strings.Cut(rest, " ")
	}
	if _, rest, ok := strings.Cut(s, "://"); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			s = rest[i:]
		}
	}
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i]
	}
	if s != "" && s[0] != '/' {
		s = "/" + s // Akamai's reqPath
	}
	e.Path = s
	return s != ""
}

// ParseJSON reads a line with a JSON object, whose fields are called as f says. Errors name the field that is missing or makes no
// sense; of status, client and method, none need be there.
func ParseJSON(line []byte, f Fields) (e Entry, err error) {
	var values [5]found
	wanted := [...]struct {
		name  string
		usual []string
	}{{f.Time, usual.time}, {f.Path, usual.path}, {f.Status, usual.status}, {f.Client, usual.client}, {"", usual.method}}
	err = members(line, func(key, value []byte) {
		for i, w := range wanted {
			rank := -1
			switch {
			case w.name != "" && w.name == string(key):
				rank = 0
			case w.name == "":
				rank = slices.IndexFunc(w.usual, func(name string) bool { return name == string(key) })
			}
			if rank >= 0 && (values[i].value == nil || rank < values[i].rank) {
				values[i] = found{value, rank}
			}
		}
	})
	if err != nil {
		return e, err
	}
	for i, w := range wanted[:2] {
		if values[i].value == nil {
			names := w.name
			if names == "" {
				names = strings.Join(w.usual, ", ")
			}
			return e, fmt.Errorf("no field for the %s: looked for %s", [...]string{"instant", "path"}[i], names)
		}
	}
	if e.At, e.Coarse, err = instant(text(values[0].value)); err != nil {
		return e, err
	}
	path := text(values[1].value)
	if !e.request(path) {
		return e, fmt.Errorf("%q is no path", clip(path))
	}
	if v := values[2].value; v != nil {
		if e.Status, err = strconv.Atoi(text(v)); err != nil || e.Status < 0 || e.Status > 999 {
			return e, fmt.Errorf("%q is no status", clip(text(v)))
		}
	}
	if v := values[3].value; v != nil {
		e.Client = text(v)
	}
	if v := values[4].value; v != nil {
		e.Method = text(v)
	}
	return e, nil
}

type found struct {
	value []byte
	rank  int
}

// instant reads a time. Numbers are told apart by how many there have been since 1970.
func instant(s string) (at time.Time, coarse bool, err error) {
	if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return at, at.Nanosecond() == 0, nil
	}
	whole, fraction, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err == nil && n > 0 {
		switch {
		case n < 1e11: // seconds until the year 5138
			var nano int64
			if fraction != "" {
				if nano, err = strconv.ParseInt((fraction + "000000000")[:9], 10, 64); err != nil || nano < 0 {
					break
				}
			}
			return time.Unix(n, nano), fraction == "", nil
		case n < 1e14:
			return time.UnixMilli(n), false, nil
		case n < 1e17:
			return time.UnixMicro(n), false, nil
		default:
			return time.Unix(0, n), false, nil
		}
	}
	return at, false, fmt.Errorf("%q is no instant: RFC 3339, or a number since 1970", clip(s))
}

// clip shortens what an error quotes.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// Pattern says where in a path the names are: literal text, * for anything within one part of the path, and {rendition} and
// {number}. It is matched against the end of a path, so that what a CDN puts before may be left out.
type Pattern struct {
	text  string
	parts []part
}

// part is a piece of a pattern between two slashes: literals with a name after each but the last.
type part struct {
	literals []string
	names    []string
}

// DefaultPattern is that of an origin of this project.
const DefaultPattern = "/{rendition}/{number}.m4s"

// ParsePattern reads a pattern; errors say what it lacks.
func ParsePattern(text string) (p Pattern, err error) {
	p.text = text
	seen := map[string]bool{}
	for piece := range strings.SplitSeq(strings.TrimPrefix(text, "/"), "/") {
		var out part
		rest := piece
		for {
			i := strings.IndexAny(rest, "{*")
			if i < 0 {
				break
			}
			name := "*"
			end := i + 1
			if rest[i] == '{' {
				j := strings.IndexByte(rest[i:], '}')
				if j < 0 {
					return p, fmt.Errorf("%q: a brace that is not closed", text)
				}
				name, end = rest[i:i+j+1], i+j+1
				if name != "{rendition}" && name != "{number}" {
					return p, fmt.Errorf("%q: there is no %s; there are {rendition} and {number}, and * for anything", text, name)
				}
				if seen[name] {
					return p, fmt.Errorf("%q: %s is there twice", text, name)
				}
				seen[name] = true
			}
			if i == 0 && len(out.names) > 0 {
				return p, fmt.Errorf("%q: two of them side by side: something has to stand between", text)
			}
			out.literals, out.names = append(out.literals, rest[:i]), append(out.names, name)
			rest = rest[end:]
		}
		out.literals = append(out.literals, rest)
		p.parts = append(p.parts, out)
	}
	if !seen["{rendition}"] || !seen["{number}"] {
		return p, fmt.Errorf("%q: it needs {rendition} and {number}, as in %s", text, DefaultPattern)
	}
	return p, nil
}

func (p Pattern) String() string { return p.text }

// Match finds the names in a path; ok is false if it is another's.
func (p Pattern) Match(path string) (rendition string, number int64, ok bool) {
	for i := len(p.parts) - 1; i >= 0; i-- {
		at := strings.LastIndexByte(path, '/')
		if at < 0 {
			return "", 0, false
		}
		text := path[at+1:]
		path = path[:at]
		values, ok := p.parts[i].match(text)
		if !ok {
			return "", 0, false
		}
		for k, name := range p.parts[i].names {
			switch name {
			case "{rendition}":
				rendition = values[k]
			case "{number}":
				n, err := strconv.ParseInt(values[k], 10, 64)
				if err != nil || n < 0 {
					return "", 0, false
				}
				number = n
			}
		}
	}
	return rendition, number, rendition != ""
}

// match takes text apart: each name is as short as what follows it allows, the last as long as it can be.
func (p part) match(text string) (values []string, ok bool) {
	last := len(p.literals) - 1
	text, ok = strings.CutPrefix(text, p.literals[0])
	if !ok || last == 0 {
		return nil, ok && text == ""
	}
	for i := 1; i < last; i++ {
		value, rest, ok := strings.Cut(text, p.literals[i])
		if !ok {
			return nil, false
		}
		values, text = append(values, value), rest
	}
	value, ok := strings.CutSuffix(text, p.literals[last])
	return append(values, value), ok
}

// told returns the format that a line seems to have.
func told(line []byte) string {
	if bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("{")) {
		return JSON
	}
	return Common
}

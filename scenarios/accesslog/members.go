package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
)

// errObject is what a line is that is no JSON object.
var errObject = errors.New("no JSON object")

// members calls each for the members of the JSON object that line is, with the bytes of their keys and values. It looks at each byte
// once and decodes nothing: a log's line has dozens of members, of which five are of interest. Values are skipped by their brackets and
// quotes, not checked.
func members(line []byte, each func(key, value []byte)) error {
	s := bytes.TrimSpace(line)
	if len(s) < 2 || s[0] != '{' || s[len(s)-1] != '}' {
		return errObject
	}
	s = bytes.TrimSpace(s[1 : len(s)-1])
	for len(s) > 0 {
		n := skip(s)
		if s[0] != '"' || n < 2 {
			return errObject
		}
		key := s[1 : n-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			key = []byte(text(s[:n]))
		}
		s = bytes.TrimLeft(s[n:], " \t")
		if len(s) == 0 || s[0] != ':' {
			return errObject
		}
		s = bytes.TrimLeft(s[1:], " \t")
		if n = skip(s); n == 0 {
			return errObject
		}
		each(key, s[:n])
		s = bytes.TrimLeft(s[n:], " \t")
		switch {
		case len(s) == 0:
			return nil
		case s[0] != ',':
			return errObject
		}
		if s = bytes.TrimLeft(s[1:], " \t"); len(s) == 0 {
			return errObject
		}
	}
	return nil
}

// skip is the length of the JSON value at the front of s; 0 if it does not end.
func skip(s []byte) int {
	depth, in := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case in && c == '\\':
			i++
		case c == '"':
			if in = !in; !in && depth == 0 {
				return i + 1
			}
		case in:
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			if depth--; depth == 0 {
				return i + 1
			}
			if depth < 0 {
				return i
			}
		case depth == 0 && (c == ',' || c == ':' || c == ' ' || c == '\t'):
			return i
		}
	}
	if in || depth != 0 {
		return 0
	}
	return len(s)
}

// text is a JSON string's text, or any other value as it stands.
func text(value []byte) string {
	if len(value) < 2 || value[0] != '"' {
		return string(value)
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1])
	}
	var s string
	if json.Unmarshal(value, &s) != nil {
		return string(value[1 : len(value)-1])
	}
	return s
}

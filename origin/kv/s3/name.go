package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"origin-storm/origin/kv"
)

// maxName is how long an object's key may be, in bytes.
const maxName = 1024

// objectName is the name of a value's object: prefix/table/part/name, the last two escaped. A key that gets too long that way
// is named by its digest.
func objectName(prefix, table string, key kv.Key) string {
	name := prefix + "/" + table + "/" + escape(key.Part) + "/" + escape(key.Name)
	if len(name) > maxName {
		sum := sha256.Sum256([]byte(key.String()))
		name = prefix + "/" + table + "/!sha256/" + hex.EncodeToString(sum[:])
	}
	return name
}

// ParseObject is the way back from an object's name, as far as the name goes: one that is a digest has it as its Name, with an empty
// Part.
func ParseObject(object string) (table string, key kv.Key, err error) {
	rest, name, ok := cutLast(object)
	rest, part, ok2 := cutLast(rest)
	_, table, ok3 := cutLast(rest)
	if !ok || !ok2 || !ok3 || table == "" {
		return "", kv.Key{}, fmt.Errorf("s3: object %q is not named prefix/table/part/name", object)
	}
	if part == "!sha256" {
		return table, kv.Key{Name: name}, nil
	}
	if key.Part, err = unescape(part); err == nil {
		key.Name, err = unescape(name)
	}
	if err != nil {
		return "", kv.Key{}, fmt.Errorf("s3: object %q: %w", object, err)
	}
	return table, key, nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

const hexDigits = "0123456789ABCDEF"

// escape makes one component of an object's name of any string: ! and two hexadecimal digits stand for every byte that an S3 server, a
// proxy or a URL might take for more than itself. An empty string is a lone !, and "." and ".." have no dots, so that no
// component can be cleaned away.
func escape(s string) string {
	if s == "" {
		return "!"
	}
	dots := s == "." || s == ".."
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' && !dots {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'!', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}

// unescape undoes escape and takes nothing that escape does not give.
func unescape(s string) (string, error) {
	if s == "!" {
		return "", nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '!' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("component %q ends in an escape", s)
		}
		hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("component %q has a bad escape", s)
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	if plain := b.String(); escape(plain) == s {
		return plain, nil
	}
	return "", fmt.Errorf("component %q is not escaped as it should be", s)
}

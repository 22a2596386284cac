package control

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Notice announces something to whoever receives the event: from segment From on, and for good. ID and Text are what
// identifies it. Of several with one ID, the one with the highest From is the newest word on the matter.
type Notice struct {
	// ID is 1 to 32 letters, digits, dots, dashes and underscores, and begins with a letter.
	ID string `json:"id"`
	// From is the number of the first segment that it belongs to.
	From int64 `json:"from"`
	// Text is at most 256 printable ASCII characters; it may be empty.
	Text string `json:"text,omitempty"`
}

const (
	maxNoticeID   = 32
	maxNoticeText = 256
	// MaxNotices bounds all notices of an event as a header field's value, in bytes: proxies have 4 KiB for all fields of an answer
	// (nginx: proxy_buffer_size, a page of memory by default).
	MaxNotices = 2 << 10
)

// validate returns what is wrong with n, or nil.
func (n Notice) validate() error {
	if n.ID == "" || len(n.ID) > maxNoticeID {
		return fmt.Errorf("an id of %d characters: use 1 to %d", len(n.ID), maxNoticeID)
	}
	for i := range len(n.ID) {
		switch c := n.ID[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case i > 0 && (c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_'):
		default:
			return fmt.Errorf("id %q: character %d (%q) is not allowed; use letters, and after the first also digits . - _", n.ID, i+1, c)
		}
	}
	if len(n.Text) > maxNoticeText {
		return fmt.Errorf("%s: a text of %d characters: use at most %d", n.ID, len(n.Text), maxNoticeText)
	}
	for i := range len(n.Text) {
		if c := n.Text[i]; c < ' ' || c > '~' {
			return fmt.Errorf("%s: text: character %d (%q) is not printable ASCII", n.ID, i+1, c)
		}
	}
	if n.From < 0 || n.From > maxNumber {
		return fmt.Errorf("%s: from %d: use 0 to %d", n.ID, n.From, int64(maxNumber))
	}
	return nil
}

// fits returns what is wrong with the length of notices, or nil.
func fits(notices []Notice) error {
	if n := len(FormatNotices(notices)); n > MaxNotices {
		return fmt.Errorf("%w: %d notices take %d bytes of a header, at most %d", ErrInvalid, len(notices), n, MaxNotices)
	}
	return nil
}

// stands reports whether notices hold n, from its number on or an earlier one.
func stands(notices []Notice, n Notice) bool {
	return slices.ContainsFunc(notices, func(o Notice) bool { return o.ID == n.ID && o.Text == n.Text && o.From <= n.From })
}

// withNotice returns notices, which are in order, with n among them; the argument is not changed.
func withNotice(notices []Notice, n Notice) []Notice {
	if stands(notices, n) {
		return notices
	}
	out := slices.DeleteFunc(slices.Clone(notices), func(o Notice) bool { return o.ID == n.ID && o.Text == n.Text })
	at, _ := slices.BinarySearchFunc(out, n, func(a, b Notice) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Text, b.Text))
	})
	return slices.Insert(out, at, n)
}

// FormatNotices returns notices as the value of a header field: a list of structured fields (RFC 9651), each notice a token,
// its ID, with the parameters from, an integer, and, unless it is empty, text, a string. Such as:
//
//	ad-7;from=812345;text="a break of 90 s", tech-1;from=812400
func FormatNotices(notices []Notice) string {
	var b strings.Builder
	for i, n := range notices {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(n.ID)
		b.WriteString(";from=")
		b.WriteString(strconv.FormatInt(n.From, 10))
		if n.Text != "" {
			b.WriteString(`;text="`)
			b.WriteString(quote.Replace(n.Text))
			b.WriteByte('"')
		}
	}
	return b.String()
}

var quote = strings.NewReplacer(`"`, `\"`, `\`, `\\`)

// ParseNotices is the inverse of FormatNotices, for the lines of a header field. What leaves out its number has from; where that
// is negative it must not. Other parameters than those two, and other types than theirs, are errors.
func ParseNotices(lines []string, from int64) ([]Notice, error) {
	f := field{rest: strings.Trim(strings.Join(lines, ", "), " ")}
	var notices []Notice
	for more := f.rest != ""; more; {
		n, err := f.notice(from)
		if err != nil {
			return nil, fmt.Errorf("control: notices: %w", err)
		}
		notices = withNotice(notices, n)
		if more, err = f.comma(); err != nil {
			return nil, fmt.Errorf("control: notices: after %s: %w", n.ID, err)
		}
	}
	if err := fits(notices); err != nil {
		return nil, err
	}
	return notices, nil
}

// field reads structured fields (RFC 9651, section 4.2), as far as notices have them, from the front of rest.
type field struct{ rest string }

// notice reads one member of the list.
func (f *field) notice(from int64) (Notice, error) {
	n := Notice{ID: f.while(isToken), From: from}
	if n.ID == "" {
		return n, fmt.Errorf("%.20q: not a token: write a notice's id without quotes, beginning with a letter", f.rest)
	}
	for f.skip(";") {
		f.while(isSpace)
		name := f.while(isKey)
		if name != "from" && name != "text" {
			return n, fmt.Errorf("%s: parameter %q is not known; use from and text", n.ID, name)
		}
		if !f.skip("=") {
			return n, fmt.Errorf("%s: %s has no value", n.ID, name)
		}
		var err error
		if name == "from" {
			n.From, err = f.integer()
		} else {
			n.Text, err = f.text()
		}
		if err != nil {
			return n, fmt.Errorf("%s: %s: %w", n.ID, name, err)
		}
	}
	if n.From < 0 {
		return n, fmt.Errorf("%s: from: say from which segment's number on, 0 or above", n.ID)
	}
	return n, n.validate()
}

// comma reads what stands between two members; false at the end.
func (f *field) comma() (bool, error) {
	f.while(isBlank)
	switch {
	case f.rest == "":
		return false, nil
	case !f.skip(","):
		return false, fmt.Errorf("%.20q: there must be a comma between notices", f.rest)
	}
	f.while(isBlank)
	if f.rest == "" {
		return false, errors.New("a comma with nothing after it")
	}
	return true, nil
}

func (f *field) integer() (int64, error) {
	const longest = 15 // digits
	sign := ""
	if f.skip("-") {
		sign = "-"
	}
	digits := f.while(isDigit)
	if len(digits) > longest || digits == "" || strings.HasPrefix(f.rest, ".") {
		return 0, fmt.Errorf("%.20q is not an integer of at most %d digits", sign+digits+f.rest, longest)
	}
	return strconv.ParseInt(sign+digits, 10, 64)
}

func (f *field) text() (string, error) {
	if !f.skip(`"`) {
		return "", fmt.Errorf("%.20q is not a string in quotes", f.rest)
	}
	var b strings.Builder
	for f.rest != "" {
		c := f.rest[0]
		f.rest = f.rest[1:]
		switch {
		case c == '"':
			return b.String(), nil
		case c == '\\':
			if !strings.HasPrefix(f.rest, `"`) && !strings.HasPrefix(f.rest, `\`) {
				return "", errors.New(`a backslash in a string stands before " or \`)
			}
			c = f.rest[0]
			f.rest = f.rest[1:]
		case c < ' ' || c > '~':
			return "", fmt.Errorf("%q is not printable ASCII", c)
		}
		b.WriteByte(c)
	}
	return "", errors.New("a string does not end")
}

// skip takes s from the front, if it is there.
func (f *field) skip(s string) bool {
	rest, ok := strings.CutPrefix(f.rest, s)
	f.rest = rest
	return ok
}

// while takes from the front what is of one kind.
func (f *field) while(is func(c byte) bool) string {
	n := 0
	for n < len(f.rest) && is(f.rest[n]) {
		n++
	}
	took := f.rest[:n]
	f.rest = f.rest[n:]
	return took
}

func isSpace(c byte) bool { return c == ' ' }
func isBlank(c byte) bool { return c == ' ' || c == '\t' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isKey(c byte) bool   { return isLower(c) || isDigit(c) || strings.IndexByte("_-.*", c) >= 0 }

// isToken takes more than an id may have, so that an error can name the whole of what is not one.
func isToken(c byte) bool {
	return isLower(c|0x20) || isDigit(c) || strings.IndexByte("!#$%&'*+-.^_`|~:/", c) >= 0
}

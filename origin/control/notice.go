package control

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dunglas/httpsfv"
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

// ParseNotices is the inverse of FormatNotices, for the lines of a header field. What leaves out its number has from; where that is negative
// it must not. Other parameters than those two, and other types than theirs, are errors.
func ParseNotices(lines []string, from int64) ([]Notice, error) {
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		return nil, fmt.Errorf("control: notices: not a list of structured fields: %w", err)
	}
	var notices []Notice
	for i, member := range list {
		n, err := parseNotice(member, from)
		if err != nil {
			return nil, fmt.Errorf("control: notices: member %d: %w", i+1, err)
		}
		notices = withNotice(notices, n)
	}
	if err := fits(notices); err != nil {
		return nil, err
	}
	return notices, nil
}

func parseNotice(member httpsfv.Member, from int64) (Notice, error) {
	item, ok := member.(httpsfv.Item)
	if !ok {
		return Notice{}, fmt.Errorf("a list in the list: each notice is one token")
	}
	id, ok := item.Value.(httpsfv.Token)
	if !ok {
		return Notice{}, fmt.Errorf("%v is not a token: write a notice's id without quotes, beginning with a letter", item.Value)
	}
	n := Notice{ID: string(id), From: from}
	for _, name := range item.Params.Names() {
		value, _ := item.Params.Get(name)
		switch name {
		case "from":
			n.From, ok = value.(int64)
		case "text":
			n.Text, ok = value.(string)
		default:
			return Notice{}, fmt.Errorf("%s: parameter %q is not known; use from and text", id, name)
		}
		if !ok {
			return Notice{}, fmt.Errorf("%s: %s: %v has the wrong type; from is an integer, text a string in quotes", id, name, value)
		}
	}
	if n.From < 0 {
		return Notice{}, fmt.Errorf("%s: from: say from which segment's number on, 0 or above", id)
	}
	return n, n.validate()
}

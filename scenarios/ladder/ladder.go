// Package ladder reads what a DASH or HLS manifest says about an event: its renditions, how long a segment lasts, and how far back it
// can be read. It writes that as the beginning of a scenario, with a comment that says where each figure comes from, and says what
// could not be taken over. It follows no link and knows no player.
package ladder

import (
	"bytes"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"origin-storm/origin/segment"
)

// Ladder is what a manifest says.
type Ladder struct {
	Renditions []Rendition
	// Ticks/Timescale seconds is how long a segment lasts; both are 0 where the manifest does not say. SegmentFrom is what says so.
	Ticks, Timescale int64
	SegmentFrom      string
	// DVR is how far back it can be read; 0 where the manifest does not say.
	DVR     time.Duration
	DVRFrom string
	// Warnings say what was not taken over, or only in part.
	Warnings []string
}

// Rendition is a quality.
type Rendition struct {
	Name string
	// Rate is in bits a second, From says which figure of the manifest it is.
	Rate int64
	From string
}

// lowest is the bit rate that a scenario takes at least, unsaid what a rendition has whose rate the manifest does not say.
const (
	lowest = 1000
	unsaid = 128_000
)

// add adds a rendition under a name that a scenario takes and no other has.
func (l *Ladder) add(name string, rate int64, from string) {
	clean := strings.Trim(unclean.ReplaceAllString(name, "-"), "-._")
	clean = clean[:min(len(clean), 48)]
	if clean = strings.Trim(clean, "-._"); clean == "" {
		clean = "r" + strconv.Itoa(len(l.Renditions)+1)
	}
	for base, n := clean, 2; l.has(clean); n++ {
		clean = base + "-" + strconv.Itoa(n)
	}
	if clean != name {
		from += fmt.Sprintf("; it is called %q there", name)
	}
	if rate < lowest {
		l.warn("%s: %d bit/s is too little for a rendition; it becomes %d", clean, rate, lowest)
		rate = lowest
	}
	l.Renditions = append(l.Renditions, Rendition{clean, rate, from})
}

var unclean = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

func (l *Ladder) has(name string) bool {
	for _, r := range l.Renditions {
		if r.Name == name {
			return true
		}
	}
	return false
}

func (l *Ladder) warn(format string, args ...any) {
	l.Warnings = append(l.Warnings, fmt.Sprintf(format, args...))
}

// Scenario is the scenario of that name, taken from file.
func (l Ladder) Scenario(name, file string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Taken from %s. What a manifest does not say is left to the defaults: \"scenarios show --resolved\" has them all.\n", comment(file))
	for _, w := range l.Warnings {
		fmt.Fprintf(&b, "# Not as there: %s.\n", comment(w))
	}
	if segment.CheckName(name) != nil {
		name = "imported"
	}
	fmt.Fprintf(&b, "name: %s\nabout: %q\nevent:\n", strconv.Quote(name), "The renditions and the clock of "+comment(file)+".")
	if l.Ticks > 0 {
		fmt.Fprintf(&b, "  segment: %v # %v, from %s\n", big.NewRat(l.Ticks, l.Timescale), time.Duration(float64(l.Ticks)/float64(l.Timescale)*float64(time.Second)), comment(l.SegmentFrom))
	}
	b.WriteString("  renditions:\n")
	for _, r := range l.Renditions {
		fmt.Fprintf(&b, "    - {name: %q, rate: %dbit/s} # from %s\n", r.Name, r.Rate, comment(r.From))
	}
	if l.DVR > 0 {
		fmt.Fprintf(&b, "  dvr: %v # from %s\n", l.DVR, comment(l.DVRFrom))
	}
	b.WriteString("  # No manifest says how long after its last frame a segment is published, nor when it is due:\n  # encode: {min: 200ms, max: 400ms}\n  # publish-delay: 1s\n")
	b.WriteString("backends: [embedded+cache]\nthresholds:\n  - publish errors == 0\n  - segments lost == 0\n  - segments torn == 0\n  - segments wrong == 0\n")
	return b.Bytes()
}

// comment keeps text on one line, as printable characters.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufeff' || r == 0x85 || r == 0x2028 || r == 0x2029 || r == '\ufffd' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
}

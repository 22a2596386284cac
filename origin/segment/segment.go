// Package segment is the vocabulary of live segments: their names, and the arithmetic that ties a segment's number to the
// clock. It does no I/O, never asks for the time, and imports the standard library only.
package segment

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Init stands in ID.Number for the initialisation segment, which is published once and has no instant.
const Init int64 = -1

// ID names a segment. With a Pipeline it is one candidate, as a packager publishes it; without, it is what the CDN asks
// for, whichever pipeline made it.
type ID struct {
	Event     string
	Pipeline  string // empty: whichever
	Rendition string
	Number    int64 // Init, or 0 and up
}

// ErrName is wrapped by the errors of the parsers: the path names no segment.
var ErrName = errors.New("segment: not a segment's name")

const (
	maxPath = 512 // bytes; three names of maxName, a number and slashes fit well within
	maxName = 64
)

// String returns the path of id: /event[/pipeline]/rendition/number.m4s, or …/init.mp4.
func (id ID) String() string {
	b := make([]byte, 0, 64)
	b = append(append(b, '/'), id.Event...)
	if id.Pipeline != "" {
		b = append(append(b, '/'), id.Pipeline...)
	}
	b = append(append(append(b, '/'), id.Rendition...), '/')
	if id.Number == Init {
		return string(append(b, "init.mp4"...))
	}
	return string(append(strconv.AppendInt(b, id.Number, 10), ".m4s"...))
}

// Asked returns id as the CDN names it: without its pipeline.
func (id ID) Asked() ID {
	id.Pipeline = ""
	return id
}

// Candidate returns id as pipeline publishes it.
func (id ID) Candidate(pipeline string) ID {
	id.Pipeline = pipeline
	return id
}

// ParseServe returns what a path of the CDN's side names: /event/rendition/number.m4s. The path is the decoded one.
func ParseServe(path string) (ID, error) {
	parts, err := split(path, 3)
	if err != nil {
		return ID{}, err
	}
	n, err := number(path, parts[2])
	return ID{Event: parts[0], Rendition: parts[1], Number: n}, err
}

// CheckName returns why s cannot name an event, a pipeline or a rendition, or nil. Names are 1 to 64 letters, digits,
// dots, dashes and underscores, and begin with a letter or digit, so that they are safe in paths, keys and file names.
func CheckName(s string) error {
	if s == "" || len(s) > maxName {
		return fmt.Errorf("%w: a name has 1 to %d characters, not %d", ErrName, maxName, len(s))
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case i > 0 && (c == '.' || c == '-' || c == '_'):
		default:
			return fmt.Errorf("%w: %q: character %d (%q) is not allowed; use letters, digits, and inside a name . - _", ErrName, s, i+1, c)
		}
	}
	return nil
}

func split(path string, want int) ([]string, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("%w: path of %d bytes, at most %d", ErrName, len(path), maxPath)
	}
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("%w: %q does not begin with /", ErrName, path)
	}
	parts := strings.Split(path[1:], "/")
	if len(parts) != want {
		return nil, fmt.Errorf("%w: %q has %d parts, not %d", ErrName, path, len(parts), want)
	}
	for _, p := range parts[:want-1] {
		if err := CheckName(p); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// number reads the last part. A number has one spelling only (no sign, no leading zero), so that one segment has one
// cache key everywhere.
func number(path, s string) (int64, error) {
	if s == "init.mp4" {
		return Init, nil
	}
	digits, ok := strings.CutSuffix(s, ".m4s")
	if !ok {
		return 0, fmt.Errorf("%w: %q ends in neither .m4s nor init.mp4", ErrName, path)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != digits || n < 0 || n > maxNumber {
		return 0, fmt.Errorf("%w: %q: %q is not a segment number (0 to %d, no leading zeros)", ErrName, path, digits, int64(maxNumber))
	}
	return n, nil
}

// maxNumber keeps the arithmetic of Template far from overflow: at 2 s a segment it is reached after 34 million years.
const maxNumber = 1 << 49

// Template ties a rendition's segment numbers to the clock. All copies of a segment, from every pipeline, follow it.
type Template struct {
	// Start is the availability start time: the media instant at which segment StartNumber begins.
	Start       time.Time `yaml:"start"`
	StartNumber int64     `yaml:"start-number,omitempty"`
	// A segment lasts Ticks/Timescale seconds: 2/1 for 2 s, 120120/60000 for 120 frames at 59.94 fps. Zero means 2/1.
	Ticks     int64 `yaml:"ticks,omitempty"`
	Timescale int64 `yaml:"timescale,omitempty"`
	// PublishDelay is what encoding, packaging and publishing may take after a segment's last frame.
	PublishDelay time.Duration `yaml:"publish-delay,omitempty"`
}

// UnmarshalYAML reads a template. The YAML library takes a text that is no time for the zero time, by which every number would be
// due at another instant.
func (t *Template) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Template // without this method
	if err := unmarshal((*plain)(t)); err != nil {
		return err
	}
	var fields map[string]any
	if err := unmarshal(&fields); err != nil {
		return err
	}
	if text, ok := fields["start"].(string); ok && t.Start.IsZero() {
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			return fmt.Errorf("template: start: %.40q is not a time, such as 2026-01-31T20:00:00Z", text)
		}
	}
	return nil
}

// Rate returns what a segment's exact duration is: ticks/timescale seconds, also where the fields leave it to the default.
func (t Template) Rate() (ticks, timescale int64) {
	if t.Ticks == 0 || t.Timescale == 0 {
		return 2, 1
	}
	return t.Ticks, t.Timescale
}

// Validate returns what is wrong with t, or nil. The other methods must not be called on a template that is not valid.
func (t Template) Validate() error {
	switch ticks, scale := t.Rate(); {
	case (t.Ticks == 0) != (t.Timescale == 0):
		return fmt.Errorf("segment: template: ticks %d and timescale %d: give both or neither", t.Ticks, t.Timescale)
	case ticks < 0 || scale < 0 || scale > maxTimescale || ticks > 3600*scale || t.Duration() < 10*time.Millisecond:
		return fmt.Errorf("segment: template: a segment of %d/%d seconds: must be between 10 ms and one hour, the timescale at most %d", ticks, scale, maxTimescale)
	case t.StartNumber < 0 || t.StartNumber > maxNumber:
		return fmt.Errorf("segment: template: start number %d: must be 0 to %d", t.StartNumber, int64(maxNumber))
	case t.PublishDelay < 0 || t.PublishDelay > time.Hour:
		return fmt.Errorf("segment: template: publish delay %v: must be 0 to 1 h", t.PublishDelay)
	}
	return nil
}

// Duration is how long a segment lasts, rounded down to the nanosecond; Begins never adds up that rounding.
func (t Template) Duration() time.Duration {
	sec, nsec := t.span(1)
	return time.Duration(sec)*time.Second + time.Duration(nsec)
}

// span is n segments' length in seconds and nanoseconds, in integers so that number 10⁹ is as exact as number 1.
func (t Template) span(n int64) (sec, nsec int64) {
	ticks, scale := t.Rate()
	if scale == 1 { // the usual segments: what is asked millions of times a simulated hour spares four divisions
		return n * ticks, 0
	}
	whole, part := n/scale*ticks, n%scale*ticks // part < maxTimescale·3600·maxTimescale, far from overflow
	return whole + part/scale, part % scale * int64(time.Second) / scale
}

// maxTimescale is the largest in use: 100 ns ticks.
const maxTimescale = 10_000_000

// farthest bounds the arithmetic, in seconds from Start: 30,000 years. What would begin beyond begins there.
const farthest = 1e12

// Begins is the media instant at which segment n begins.
func (t Template) Begins(n int64) time.Time {
	sec, nsec := t.span(n - t.StartNumber)
	sec = min(max(sec, -farthest), farthest)
	if sec < -century || sec > century { // more than a time.Duration holds
		return time.Unix(t.Start.Unix()+sec, int64(t.Start.Nanosecond())+nsec).In(t.Start.Location())
	}
	return t.Start.Add(time.Duration(sec)*time.Second + time.Duration(nsec))
}

const century = 100 * 365 * 24 * 3600 // seconds

// Due is when segment n should be readable: the instant of its last frame plus PublishDelay.
func (t Template) Due(n int64) time.Time { return t.Begins(n + 1).Add(t.PublishDelay) }

// Opens is the instant from which a request for segment n is held: when its media begins, for then its predecessor's last frame is out
// and may be published as early as that, up to PublishDelay before it is due; and whoever was given the predecessor may ask for the
// successor at once. Were n refused until its predecessor is due, a player that has that already would be told that there is no n, and
// ffmpeg's DASH demuxer takes that for an invitation to ask for n+1, n+2 and so on. Where PublishDelay is longer than a segment, Opens is
// when n−2 is due, so that at most two segments are held that are not due: the next one and the one after it.
func (t Template) Opens(n int64) time.Time {
	opens := t.Begins(n)
	if before := t.Due(n - 2); before.After(opens) {
		opens = before
	}
	return opens
}

// Deadline is when segment n counts as never published: one budget of 2 s after Due.
func (t Template) Deadline(n int64) time.Time { return t.Due(n).Add(Budget) }

// Budget is how long a write may take, and so how long after Due a segment is waited for. Netflix's origin gives writes a
// strict 2-second retry budget (netflixtechblog.com, "Netflix Live Origin", 2025-12-15).
const Budget = 2 * time.Second

// Next is the smallest number, StartNumber or above, whose Due is after now: the one that the clock says comes next.
func (t Template) Next(now time.Time) int64 {
	first := t.Start.Add(t.PublishDelay)
	if now.Before(first) {
		return t.StartNumber
	}
	// Not now.Sub(first), which ends after 292 years: a template without a start begins in the year 1.
	since := float64(now.Unix()-first.Unix()) + float64(now.Nanosecond()-first.Nanosecond())/1e9
	ticks, scale := t.Rate()
	guess := since * float64(scale) / float64(ticks)
	if since >= farthest || guess >= maxNumber {
		return maxNumber
	}
	// The guess in floating point is at most a few segments off; a few exact comparisons settle it.
	n := t.StartNumber + int64(guess) - 2
	for n = max(n, t.StartNumber); !t.Due(n).After(now); n++ {
	}
	return n
}

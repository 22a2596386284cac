package segment

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// What ParsePublication says of a path that is not taken, beside ErrName.
var (
	// ErrOutside: the path leaves, or tries to leave, what belongs to its event and pipeline.
	ErrOutside = errors.New("segment: outside of a publishing point")
	// ErrType: the path names a type of media that is not taken.
	ErrType = errors.New("segment: unsupported type")
)

// Object is what a packager publishes under a path.
type Object int

// The objects.
const (
	Media    Object = iota // a media segment
	Header                 // an initialisation segment: the CMAF header
	MPD                    // a DASH manifest
	Playlist               // an HLS playlist
)

// Publication is what a path of the packagers' side names.
type Publication struct {
	Object   Object
	Event    string
	Pipeline string
	// Rendition is empty of an MPD or a playlist that stands beside the renditions.
	Rendition string
	// Value is the number that is the name of a media segment: its own, or its time ($Time$ in DASH), as the rendition has it.
	Value int64
	// Name is the last part of the path.
	Name string
}

// ID returns the name of the segment: of media whose names are numbers, or of a header.
func (p Publication) ID() ID {
	id := ID{Event: p.Event, Pipeline: p.Pipeline, Rendition: p.Rendition, Number: p.Value}
	if p.Object == Header {
		id.Number = Init
	}
	return id
}

// ParsePublication returns what a path of the packagers' side names, whichever program sends it. The path is the decoded one:
//
//	/event/pipeline/rendition/number.m4s   media; also .cmfv .cmfa .cmft .cmfm .mp4 .m4v .m4a, which all name the same segment
//	/event/pipeline/rendition/init.mp4     a header; also init_… and init-… with any of these types, and any name with .init or .header
//	/event/pipeline/name.mpd               a manifest; also below a rendition
//	/event/pipeline/name.m3u8              a playlist; also below a rendition
//
// A number has one spelling: no sign, no leading zero. The error wraps ErrOutside if a part of the path is empty, a dot or two;
// ErrType if all is well but the type; else ErrName.
func ParsePublication(path string) (Publication, error) {
	if len(path) > maxPath {
		return Publication{}, fmt.Errorf("%w: path of %d bytes, at most %d", ErrName, len(path), maxPath)
	}
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return Publication{}, fmt.Errorf("%w: %q does not begin with /", ErrName, path)
	}
	parts := strings.Split(rest, "/")
	for _, part := range parts {
		if part == "" || part == "." || part == ".." {
			return Publication{}, fmt.Errorf("%w: %q has a part %q", ErrOutside, path, part)
		}
	}
	if len(parts) < 3 || len(parts) > 4 {
		return Publication{}, fmt.Errorf("%w: %q has %d parts; publish to /event/pipeline/rendition/number.m4s", ErrName, path, len(parts))
	}
	last := len(parts) - 1
	for _, part := range parts[:last] {
		if err := CheckName(part); err != nil {
			return Publication{}, err
		}
	}
	p := Publication{Event: parts[0], Pipeline: parts[1], Name: parts[last]}
	if last == 3 {
		p.Rendition = parts[2]
	}
	if strings.HasPrefix(p.Name, "Streams(") {
		return Publication{}, fmt.Errorf("%w: %q: a request carries one segment, not a whole track: name each with a SegmentTemplate such as %s", ErrName, path, ID{p.Event, p.Pipeline, "rendition", 1})
	}
	// Whatever the name is used for, it is one; that a name does not begin with a dot keeps a bare type from being one.
	if err := CheckName(p.Name); err != nil {
		return Publication{}, err
	}
	stem, ext := p.Name, ""
	if dot := strings.LastIndexByte(p.Name, '.'); dot >= 0 {
		stem, ext = p.Name[:dot], p.Name[dot+1:]
	}
	switch ext {
	case "mpd":
		p.Object = MPD
		return p, nil
	case "m3u8":
		p.Object = Playlist
		return p, nil
	case "init", "header":
		p.Object = Header
	case "m4s", "mp4", "m4v", "m4a", "cmfv", "cmfa", "cmft", "cmfm":
		if stem == "init" || strings.HasPrefix(stem, "init_") || strings.HasPrefix(stem, "init-") {
			p.Object = Header
			break
		}
		n, err := strconv.ParseInt(stem, 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != stem || n < 0 || n > maxValue {
			return Publication{}, fmt.Errorf("%w: %q: %q is not a segment number (0 and up, no leading zeros)", ErrName, path, stem)
		}
		p.Value = n
	default:
		if ext == "" || strings.ToLower(ext) != ext {
			return Publication{}, fmt.Errorf("%w: %q has no type such as .m4s", ErrName, path)
		}
		return Publication{}, fmt.Errorf("%w: %q: segments are CMAF or fragmented MP4 (.m4s .mp4 .m4v .m4a .cmfv .cmfa .cmft .cmfm, headers also .init .header), manifests .mpd or .m3u8", ErrType, path)
	}
	if p.Rendition == "" {
		return Publication{}, fmt.Errorf("%w: %q has no rendition; publish to /event/pipeline/rendition/number.m4s", ErrName, path)
	}
	return p, nil
}

// ParsePublish returns the segment that a path of the packagers' side names, where names are numbers. The errors are as of
// ParsePublication; a manifest is none.
func ParsePublish(path string) (ID, error) {
	p, err := ParsePublication(path)
	switch {
	case err != nil:
		return ID{}, err
	case p.Object == MPD || p.Object == Playlist:
		return ID{}, fmt.Errorf("%w: %q is a manifest", ErrName, path)
	}
	return p.ID(), CheckNumber(p.Value)
}

// maxValue bounds a time in a name: 10 MHz since 1970 reaches it after 14,000 years.
const maxValue = math.MaxInt64 / 2

// CheckNumber returns why n cannot be a segment's number, or nil.
func CheckNumber(n int64) error {
	if n < 0 || n > maxNumber {
		return fmt.Errorf("%w: %d is not a segment number (0 to %d)", ErrName, n, int64(maxNumber))
	}
	return nil
}

// At returns the number of the segment that begins nearest to a media time of ticks/timescale seconds, and by how much later
// than that segment's begin the time is (negative: earlier, as audio's priming is). Media time 0 is Start, where segment
// StartNumber begins. It is exact in integers but for the rounding of off to nanoseconds. ok is false for what no template can
// mean: a negative time, a timescale that is not from 1 to 10,000,000, or a number beyond the largest.
func (t Template) At(ticks, timescale int64) (n int64, off time.Duration, ok bool) {
	if ticks < 0 || timescale < 1 || timescale > maxTimescale {
		return 0, 0, false
	}
	length, scale := t.Rate()
	// ticks/timescale seconds are (ticks·scale)/(timescale·length) segments.
	high, low := bits.Mul64(uint64(ticks), uint64(scale))
	one := uint64(timescale) * uint64(length) // at most 10⁷ · 3600 · 10⁷
	if high >= one {
		return 0, 0, false
	}
	whole, part := bits.Div64(high, low, one)
	share := float64(part) / float64(one)
	if part > one/2 {
		whole, share = whole+1, share-1
	}
	if whole > maxNumber-uint64(t.StartNumber) {
		return 0, 0, false
	}
	return t.StartNumber + int64(whole), time.Duration(math.Round(share * float64(length) / float64(scale) * float64(time.Second))), true
}

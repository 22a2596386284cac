package ladder

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var attribute = regexp.MustCompile(`([A-Z0-9-]+)=("[^"]*"|[^",]*)`)

// attributes reads an attribute list (RFC 8216 section 4.2).
func attributes(s string) map[string]string {
	all := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(s, -1) {
		all[m[1]] = strings.Trim(m[2], `"`)
	}
	return all
}

// lines of a playlist, which it has to be one.
func lines(b []byte) ([]string, error) {
	text := strings.TrimPrefix(string(b), "\ufeff")
	if !strings.HasPrefix(text, "#EXTM3U") {
		return nil, errors.New("line 1: it does not begin with #EXTM3U: give the playlist itself, as players get it")
	}
	return strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n"), nil
}

// ReadHLS reads an HLS multivariant playlist and, if it is not nil, one of the media playlists that it names, which alone says how long
// segments last. Errors say the line and what to do.
func ReadHLS(multivariant, media []byte) (l Ladder, err error) {
	all, err := lines(multivariant)
	if err != nil {
		return l, err
	}
	seen := map[string]bool{}
	audio := 0
	for i := 0; i < len(all); i++ {
		tag, value, _ := strings.Cut(strings.TrimSpace(all[i]), ":")
		a := attributes(value)
		switch tag {
		case "#EXTINF":
			return l, fmt.Errorf("line %d: #EXTINF: this is a media playlist; give it with --media, and the multivariant one with --hls", i+1)
		case "#EXT-X-STREAM-INF":
			at := i + 1
			for i++; i < len(all) && (strings.TrimSpace(all[i]) == "" || strings.HasPrefix(all[i], "#")); i++ {
			}
			if i >= len(all) {
				return l, fmt.Errorf("line %d: #EXT-X-STREAM-INF without a URI in the next line", at)
			}
			uri := strings.TrimSpace(all[i])
			if seen[uri] { // the same video with other audio
				continue
			}
			seen[uri] = true
			figure := "AVERAGE-BANDWIDTH"
			if a[figure] == "" {
				figure = "BANDWIDTH"
			}
			rate, err := strconv.ParseInt(a[figure], 10, 64)
			if err != nil || rate <= 0 || rate > math.MaxInt32*int64(1000) {
				return l, fmt.Errorf("line %d: #EXT-X-STREAM-INF: %s=%q is no bit rate", at, figure, a[figure])
			}
			from := fmt.Sprintf("line %d, %s of %s", at, figure, uri)
			if figure == "BANDWIDTH" {
				from += ", which is its peak"
			}
			if a["AUDIO"] != "" {
				audio++
			}
			l.add(named(uri), rate, from)
		case "#EXT-X-MEDIA":
			if a["URI"] == "" || seen[a["URI"]] {
				continue
			}
			seen[a["URI"]] = true
			l.warn("%s %s says no bit rate; %d bit/s is a guess", strings.ToLower(a["TYPE"]), a["NAME"], unsaid)
			l.add(named(a["URI"]), unsaid, fmt.Sprintf("line %d, %s; the rate is a guess", i+1, a["NAME"]))
		}
	}
	if len(l.Renditions) == 0 {
		return l, errors.New("it has no #EXT-X-STREAM-INF: give the multivariant playlist")
	}
	if audio > 0 {
		l.warn("the rates of variants count their audio, too, which is a rendition of its own here")
	}
	if media == nil {
		l.warn("a multivariant playlist does not say how long a segment lasts: give one of its media playlists with --media, or set event.segment")
		return l, nil
	}
	return l, l.media(media)
}

// media takes over how long most segments of a media playlist last, and all of them together.
func (l *Ladder) media(b []byte) error {
	all, err := lines(b)
	if err != nil {
		return fmt.Errorf("--media: %w", err)
	}
	counts, total := map[int64]int{}, 0.0
	var common int64
	for i, line := range all {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), "#EXTINF:")
		if !ok {
			continue
		}
		value, _, _ = strings.Cut(value, ",")
		s, err := strconv.ParseFloat(value, 64)
		if err != nil || !(s >= 0.01 && s < 3600) {
			return fmt.Errorf("--media: line %d: #EXTINF:%s is no duration in seconds", i+1, value)
		}
		ms := int64(math.Round(s * 1000))
		total += s
		if counts[ms]++; counts[ms] > counts[common] {
			common = ms
		}
	}
	if common == 0 {
		return errors.New("--media: it lists no segment (#EXTINF): give a media playlist of an event that is on")
	}
	l.Ticks, l.Timescale, l.SegmentFrom = common, 1000, "the most frequent EXTINF of the media playlist"
	l.DVR, l.DVRFrom = time.Duration(total*float64(time.Second)).Round(time.Millisecond), "the length of the media playlist"
	return nil
}

// named is what a rendition is called by its playlist's URI: its directory, or else the file without its ending.
func named(uri string) string {
	uri, _, _ = strings.Cut(uri, "?")
	parts := strings.Split(strings.Trim(uri, "/"), "/")
	if len(parts) > 1 {
		return parts[len(parts)-2]
	}
	name, _, _ := strings.Cut(parts[0], ".")
	return name
}

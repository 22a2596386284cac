package manifest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"origin-storm/origin/config"
)

// version is the protocol version that playlists declare: EXT-X-MAP outside of I-frame playlists needs 6 (RFC 8216 section
// 7), and what is fragmented MP4 is taken for 7 by all players.
const version = 7

// Master returns the event's HLS multivariant playlist (RFC 8216 section 4.3.4). It does not depend on the time.
func (e Event) Master() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:%d\n#EXT-X-INDEPENDENT-SEGMENTS\n", version)
	var video, text []config.Rendition
	var audio [][]config.Rendition
	for _, r := range e.Renditions {
		switch r.Kind {
		case config.Audio:
			audio = add(audio, r)
		case config.Text:
			text = append(text, r)
		default:
			video = append(video, r)
		}
	}
	if len(video) == 0 { // audio alone: each rendition is a variant
		for _, group := range audio {
			for _, r := range group {
				e.variant(&b, r, nil, "", nil)
			}
		}
		return b.Bytes()
	}
	for i, group := range audio {
		for j, r := range group {
			media(&b, "AUDIO", audioGroup(i), r, j == 0)
		}
	}
	for _, r := range text {
		media(&b, "SUBTITLES", textGroup, r, false)
	}
	for _, v := range video {
		if len(audio) == 0 {
			e.variant(&b, v, nil, "", text)
		}
		for i, group := range audio {
			e.variant(&b, v, group, audioGroup(i), text)
		}
	}
	return b.Bytes()
}

const textGroup = "text"

func audioGroup(i int) string { return "audio-" + strconv.Itoa(i+1) }

// add puts r into the first group that has none of its language yet: a player chooses a group with the variant, by bit rate,
// and a member of the group for its viewer, by language.
func add(groups [][]config.Rendition, r config.Rendition) [][]config.Rendition {
	for i, g := range groups {
		if !slices.ContainsFunc(g, func(o config.Rendition) bool { return o.Language == r.Language }) {
			groups[i] = append(g, r)
			return groups
		}
	}
	return append(groups, []config.Rendition{r})
}

// media writes an EXT-X-MEDIA.
func media(b *bytes.Buffer, kind, group string, r config.Rendition, isDefault bool) {
	fmt.Fprintf(b, `#EXT-X-MEDIA:TYPE=%s,GROUP-ID=%q,NAME=%q`, kind, group, r.Name)
	if r.Language != "" {
		fmt.Fprintf(b, `,LANGUAGE=%q`, r.Language)
	}
	yes := map[bool]string{true: "YES", false: "NO"}
	fmt.Fprintf(b, `,DEFAULT=%s,AUTOSELECT=YES`, yes[isDefault])
	if r.Channels > 0 {
		fmt.Fprintf(b, `,CHANNELS="%d"`, r.Channels)
	}
	fmt.Fprintf(b, ",URI=\"%s/%s\"\n", r.Name, MediaName)
}

// variant writes an EXT-X-STREAM-INF for v with the renditions of one audio group and the text.
func (e Event) variant(b *bytes.Buffer, v config.Rendition, audio []config.Rendition, group string, text []config.Rendition) {
	var most int64 // of the alternatives a player fetches one
	codecs := []string{v.Codecs}
	for _, a := range audio {
		most = max(most, a.Bandwidth)
		codecs = append(codecs, a.Codecs)
	}
	for _, t := range text {
		codecs = append(codecs, t.Codecs)
	}
	fmt.Fprintf(b, "#EXT-X-STREAM-INF:BANDWIDTH=%d", v.Bandwidth+most)
	if !slices.Contains(codecs, "") { // it names all or is left out: a player takes what is not named for not needed
		slices.Sort(codecs[1:])
		fmt.Fprintf(b, `,CODECS="%s"`, strings.Join(slices.Compact(codecs), ","))
	}
	if v.Width > 0 && v.Height > 0 {
		fmt.Fprintf(b, ",RESOLUTION=%dx%d", v.Width, v.Height)
	}
	if fps := frameRate(v.FrameRate); fps > 0 {
		fmt.Fprintf(b, ",FRAME-RATE=%.3f", fps)
	}
	if group != "" {
		fmt.Fprintf(b, `,AUDIO=%q`, group)
	}
	if len(text) > 0 {
		fmt.Fprintf(b, `,SUBTITLES=%q`, textGroup)
	}
	fmt.Fprintf(b, "\n%s/%s\n", v.Name, MediaName)
}

// frameRate is a fraction's value, 0 if it is none.
func frameRate(s string) float64 {
	n, d, _ := strings.Cut(s, "/")
	num, _ := strconv.ParseFloat(n, 64)
	den, err := strconv.ParseFloat(cmp.Or(d, "1"), 64)
	if err != nil || den == 0 {
		return 0
	}
	return num / den
}

// Media returns the HLS media playlist (RFC 8216 section 4.3.3) of the named rendition at now: every segment that is due and
// in the window. It is nil where Span is empty, for a playlist without a segment is one that players give up on.
func (e Event) Media(rendition string, now time.Time) []byte {
	first, last := e.Span(now)
	if last < first {
		return nil
	}
	ticks, scale := e.Template.Rate()
	b := make([]byte, 0, 256+(last-first+1)*40)
	b = fmt.Appendf(b, "#EXTM3U\n#EXT-X-VERSION:%d\n", version)
	// The longest segment, rounded to the nearest second (section 4.3.3.1).
	b = fmt.Appendf(b, "#EXT-X-TARGETDURATION:%d\n", max(1, (2*ticks+scale)/(2*scale)))
	b = fmt.Appendf(b, "#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"init.mp4\"\n", first)
	b = append(e.Template.Begins(first).UTC().AppendFormat(append(b, "#EXT-X-PROGRAM-DATE-TIME:"...), "2006-01-02T15:04:05.000Z"), '\n')
	extinf := fmt.Sprintf("#EXTINF:%.6f,\n", float64(ticks)/float64(scale))
	for n := first; n <= last; n++ {
		b = append(b, extinf...)
		if e.Gap != nil && e.Gap(rendition, n) {
			b = append(b, "#EXT-X-GAP\n"...)
		}
		b = append(strconv.AppendInt(b, n, 10), ".m4s\n"...)
	}
	if e.Over(now) {
		b = append(b, "#EXT-X-ENDLIST\n"...)
	}
	return b
}

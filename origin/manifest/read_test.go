package manifest_test

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"math/big"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/manifest"
	"origin-storm/origin/segment"
)

// playlist is a media playlist as a strict reader sees it.
type playlist struct {
	target   int
	sequence int64
	mapURI   string
	began    time.Time // the programme's date and time of the first segment
	segments []entry
	ended    bool
}

type entry struct {
	uri     string
	seconds *big.Rat
	gap     bool
}

// readMedia refuses whatever RFC 8216 does not allow, and every tag that it does not know.
func readMedia(b []byte) (p playlist, err error) {
	lines, err := readLines(b)
	if err != nil {
		return p, err
	}
	seen := map[string]bool{}
	var next entry
	for _, line := range lines {
		tag, value, _ := strings.Cut(line, ":")
		if p.ended {
			return p, fmt.Errorf("%q after the end", line)
		}
		once := true
		switch tag {
		case "#EXT-X-VERSION", "#EXT-X-INDEPENDENT-SEGMENTS":
		case "#EXT-X-TARGETDURATION":
			p.target, err = strconv.Atoi(value)
		case "#EXT-X-MEDIA-SEQUENCE":
			p.sequence, err = strconv.ParseInt(value, 10, 64)
		case "#EXT-X-MAP":
			var list map[string]string
			list, err = attributes(value)
			p.mapURI = list["URI"]
		case "#EXT-X-PROGRAM-DATE-TIME":
			p.began, err = time.Parse(time.RFC3339Nano, value)
		case "#EXTINF":
			once = false
			var ok bool
			if next.seconds, ok = new(big.Rat).SetString(strings.TrimSuffix(value, ",")); !ok || !strings.HasSuffix(value, ",") {
				err = fmt.Errorf("%q", line)
			}
		case "#EXT-X-GAP":
			once = false
			next.gap = true
		case "#EXT-X-ENDLIST":
			p.ended = true
		default:
			if strings.HasPrefix(line, "#") {
				return p, fmt.Errorf("unknown tag %q", line)
			}
			once = false
			next.uri = line
			if next.seconds == nil {
				return p, fmt.Errorf("%q has no duration", line)
			}
			if s, _ := next.seconds.Float64(); int(s+0.5) > p.target {
				return p, fmt.Errorf("%q is longer than the target duration", line)
			}
			p.segments, next = append(p.segments, next), entry{}
		}
		if err != nil {
			return p, fmt.Errorf("%q: %w", line, err)
		}
		if once && seen[tag] {
			return p, fmt.Errorf("%s is there twice", tag)
		}
		seen[tag] = true
	}
	if next != (entry{}) {
		return p, fmt.Errorf("it ends within a segment")
	}
	for _, tag := range []string{"#EXT-X-VERSION", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-MAP"} {
		if !seen[tag] {
			return p, fmt.Errorf("no %s", tag)
		}
	}
	return p, nil
}

func readLines(b []byte) ([]string, error) {
	s, ok := strings.CutPrefix(string(b), "#EXTM3U\n")
	if !ok || !strings.HasSuffix(s, "\n") || strings.Contains(s, "\r") {
		return nil, fmt.Errorf("it does not begin with #EXTM3U, or its lines do not end with a line feed")
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n"), nil
}

var attribute = regexp.MustCompile(`^([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]+)(,|$)`)

// attributes reads an attribute list (section 4.2).
func attributes(s string) (map[string]string, error) {
	list := map[string]string{}
	for s != "" {
		m := attribute.FindStringSubmatch(s)
		if m == nil || list[m[1]] != "" || m[3] == "," && len(s) == len(m[0]) {
			return nil, fmt.Errorf("attribute list at %q", s)
		}
		list[m[1]] = m[2]
		s = s[len(m[0]):]
	}
	return list, nil
}

// readMaster returns the URIs of variants and renditions, after checking that they hang together.
func readMaster(b []byte) (uris []string, err error) {
	lines, err := readLines(b)
	if err != nil {
		return nil, err
	}
	groups := map[string][]string{} // the names in each
	for i := 0; i < len(lines); i++ {
		tag, value, _ := strings.Cut(lines[i], ":")
		switch tag {
		case "#EXT-X-VERSION", "#EXT-X-INDEPENDENT-SEGMENTS":
			continue
		case "#EXT-X-MEDIA", "#EXT-X-STREAM-INF":
		default:
			return nil, fmt.Errorf("line %q", lines[i])
		}
		a, err := attributes(value)
		if err != nil {
			return nil, err
		}
		if tag == "#EXT-X-MEDIA" {
			group := a["TYPE"] + a["GROUP-ID"]
			if a["NAME"] == "" || a["URI"] == "" || slices.Contains(groups[group], a["NAME"]) {
				return nil, fmt.Errorf("%q: no name, no URI, or the name is there twice", lines[i])
			}
			groups[group] = append(groups[group], a["NAME"])
			uris = append(uris, strings.Trim(a["URI"], `"`))
			continue
		}
		if n, err := strconv.Atoi(a["BANDWIDTH"]); err != nil || n <= 0 {
			return nil, fmt.Errorf("%q has no bandwidth", lines[i])
		}
		for _, kind := range []string{"AUDIO", "SUBTITLES"} {
			if id := a[kind]; id != "" && groups[kind+id] == nil {
				return nil, fmt.Errorf("%q: no group %s", lines[i], id)
			}
		}
		if i++; i == len(lines) || strings.HasPrefix(lines[i], "#") {
			return nil, fmt.Errorf("%q has no URI", lines[i-1])
		}
		uris = append(uris, lines[i])
	}
	return uris, nil
}

// The multivariant playlist names every rendition, and its groups are there.
func TestMasterReads(t *testing.T) {
	for name, e := range cases {
		uris, err := readMaster(e.Master())
		if err != nil {
			t.Errorf("%s: %v in\n%s", name, err, e.Master())
		}
		for _, r := range e.Renditions {
			if !slices.Contains(uris, r.Name+"/"+manifest.MediaName) {
				t.Errorf("%s: rendition %s is not in\n%s", name, r.Name, e.Master())
			}
		}
	}
}

// At any instant a player that reads the playlist finds the segments that the clock says are due, under the names that they
// have, at the time at which their media began.
func TestMediaReads(t *testing.T) {
	each(t, func(t *testing.T, e manifest.Event, at time.Time) {
		p, err := readMedia(e.Media("v", at))
		if err != nil {
			t.Fatalf("Media(%v): %v", at, err)
		}
		first, last := e.Span(at)
		if p.sequence != first || int64(len(p.segments)) != last-first+1 || p.mapURI != `"init.mp4"` || p.ended != e.Over(at) {
			t.Fatalf("Media(%v): %d segments from %d, map %s, ended %v, want %d to %d", at, len(p.segments), p.sequence, p.mapURI, p.ended, first, last)
		}
		since := new(big.Rat)
		for i, s := range p.segments {
			n := first + int64(i)
			if want := strconv.FormatInt(n, 10) + ".m4s"; s.uri != want || s.gap != (e.Gap != nil && e.Gap("v", n)) {
				t.Fatalf("Media(%v): segment %d is %+v, want %s", at, i, s, want)
			}
			if e.Template.Due(n).After(at) {
				t.Fatalf("Media(%v) lists %d, which is due at %v", at, n, e.Template.Due(n))
			}
			sec, _ := since.Float64()
			if off := p.began.Add(time.Duration(sec * 1e9)).Sub(e.Template.Begins(n)).Abs(); off > 5*time.Millisecond {
				t.Fatalf("Media(%v): by its sum of durations segment %d begins %v off", at, n, off)
			}
			since.Add(since, s.seconds)
		}
	})
}

// client is an MPD as a DASH player sees it: what it needs to find segments.
type client struct {
	Type    string     `xml:"type,attr"`
	Start   string     `xml:"availabilityStartTime,attr"`
	Publish string     `xml:"publishTime,attr"`
	Length  string     `xml:"mediaPresentationDuration,attr"`
	Update  string     `xml:"minimumUpdatePeriod,attr"`
	Depth   string     `xml:"timeShiftBufferDepth,attr"`
	UTC     []struct{} `xml:"UTCTiming"`
	Period  struct {
		Start string `xml:"start,attr"`
		Sets  []struct {
			Template struct {
				Timescale   int64  `xml:"timescale,attr"`
				Duration    int64  `xml:"duration,attr"`
				StartNumber int64  `xml:"startNumber,attr"`
				Offset      int64  `xml:"presentationTimeOffset,attr"`
				Media       string `xml:"media,attr"`
				Init        string `xml:"initialization,attr"`
			} `xml:"SegmentTemplate"`
			Representations []struct {
				ID        string `xml:"id,attr"`
				Bandwidth int64  `xml:"bandwidth,attr"`
			} `xml:"Representation"`
		} `xml:"AdaptationSet"`
	} `xml:"Period"`
}

// A player that computes numbers as ISO/IEC 23009-1 says (annex A.3.4) asks at any instant for the newest segment that is
// due, and shows its media at the instant at which it began; when the event is over it finds what is left where it was.
func TestMPDReads(t *testing.T) {
	each(t, func(t *testing.T, e manifest.Event, at time.Time) {
		e.Renditions = video
		b, err := e.MPD(at)
		if err != nil {
			t.Fatal(err)
		}
		dec := xml.NewDecoder(bytes.NewReader(b))
		dec.Strict = true
		var c client
		if err := dec.Decode(&c); err != nil {
			t.Fatalf("MPD: %v in\n%s", err, b)
		}
		s := c.Period.Sets[0].Template
		start, err := time.Parse(time.RFC3339Nano, c.Start)
		if err != nil {
			t.Fatalf("MPD: %v", err)
		}
		length := big.NewRat(s.Duration, s.Timescale)
		sinceStart := new(big.Rat).Add(ratSeconds(at.Unix()-start.Unix(), int64(at.Nanosecond()-start.Nanosecond())), new(big.Rat))
		periodStart := duration(t, c.Period.Start)
		// The number of whole segments in a length of time.
		whole := func(r *big.Rat) int64 {
			q := new(big.Rat).Quo(r, length)
			n := new(big.Int).Div(q.Num(), q.Denom()) // floor, for the denominator is positive
			return n.Int64()
		}
		first, last := e.Span(at)
		var newest int64
		switch c.Type {
		case "dynamic":
			newest = s.StartNumber + whole(new(big.Rat).Sub(sinceStart, periodStart)) - 1
			if (c.Length != "") != e.Ended || c.Update == "" || c.Depth == "" || len(c.UTC) == 0 {
				t.Errorf("a dynamic MPD of length %q, update %q, depth %q, %d clocks", c.Length, c.Update, c.Depth, len(c.UTC))
			}
			depth := duration(t, c.Depth)
			if oldest := s.StartNumber + whole(new(big.Rat).Sub(new(big.Rat).Sub(sinceStart, periodStart), depth)); oldest < first-1 {
				t.Fatalf("a window of %s at %v reaches back to %d, want %d at most", c.Depth, at, oldest, first-1)
			}
		case "static":
			left := new(big.Rat).Sub(duration(t, c.Length), periodStart)
			newest = s.StartNumber + whole(left.Add(left, big.NewRat(1, 1e6))) - 1 // lengths are rounded down to the nanosecond
			if s.StartNumber != first || c.Update != "" || c.Depth != "" {
				t.Errorf("a static MPD from %d, update %q, depth %q, want %d and neither", s.StartNumber, c.Update, c.Depth, first)
			}
		}
		if (c.Type == "static") != e.Over(at) || newest != last {
			t.Fatalf("at %v a player of this %s MPD asks for %d, want %d:\n%s", at, c.Type, newest, last, b)
		}
		// The media's clock begins with the template; what it says is shown when the wall clock says so.
		shown := new(big.Rat).Sub(new(big.Rat).Mul(length, new(big.Rat).SetInt64(last-e.Template.StartNumber)), big.NewRat(s.Offset, s.Timescale))
		shown.Add(shown, periodStart)
		begins := e.Template.Begins(last).Add(e.Template.PublishDelay)
		clock := ratSeconds(begins.Unix()-start.Unix(), int64(begins.Nanosecond()-start.Nanosecond()))
		if off, _ := new(big.Rat).Sub(shown, clock).Float64(); off > 1e-6 || off < -1e-6 {
			t.Errorf("segment %d is shown %v s off its clock", last, off)
		}
		if s.Init != "$RepresentationID$/init.mp4" || s.Media != "$RepresentationID$/$Number$.m4s" || len(c.Period.Sets[0].Representations) != len(video) {
			t.Errorf("MPD names segments %s and %s of %d representations", s.Init, s.Media, len(c.Period.Sets[0].Representations))
		}
	})
}

func ratSeconds(sec, nano int64) *big.Rat {
	return new(big.Rat).Add(new(big.Rat).SetInt64(sec), big.NewRat(nano, 1e9))
}

func duration(t *testing.T, s string) *big.Rat {
	t.Helper()
	inner, ok := strings.CutPrefix(s, "PT")
	inner, ok2 := strings.CutSuffix(inner, "S")
	r, ok3 := new(big.Rat).SetString(inner)
	if !ok || !ok2 || !ok3 {
		t.Fatalf("%q is not a duration in seconds", s)
	}
	return r
}

// each runs check with events of many cadences at many instants, those at which a segment becomes due among them.
func each(t *testing.T, check func(t *testing.T, e manifest.Event, at time.Time)) {
	const seed = 4
	rng := rand.New(rand.NewPCG(seed, 0))
	for name, template := range map[string]segment.Template{
		"2 s": epoch, "59.94 fps": ntsc,
		"59.94 fps from the epoch":  {Start: time.Unix(0, 0), Ticks: 120120, Timescale: 60000, PublishDelay: 300 * time.Millisecond},
		"29.97 fps":                 {Start: time.Date(2026, 1, 1, 0, 0, 0, 123456789, time.UTC), StartNumber: 77, Ticks: 60060, Timescale: 30000, PublishDelay: 3 * time.Second},
		"audio frames":              {Start: time.Unix(0, 0), Ticks: 94 * 1024, Timescale: 48000},
		"100 ns, a year ago":        {Start: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), Ticks: 38_400_000, Timescale: 10_000_000},
		"half a second":             {Start: time.Unix(0, 0), Ticks: 1, Timescale: 2},
		"30 s, numbered from 10^12": {Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), StartNumber: 1e12, Ticks: 30, Timescale: 1},
	} {
		t.Run(name, func(t *testing.T) {
			for range 12 {
				at := now.Add(time.Duration(rng.Int64N(int64(time.Hour))))
				n := template.Next(at)
				e := manifest.Event{
					Template: template, Window: time.Minute + time.Duration(rng.Int64N(int64(3*time.Minute))),
					Began: at.Add(-template.PublishDelay - time.Duration(rng.Int64N(int64(5*time.Minute)))), // something is listed
					Gap:   func(_ string, n int64) bool { return n%7 == 3 },
				}
				instants := []time.Time{at, template.Due(n).Add(-1), template.Due(n).Add(1)}
				if time.Second%time.Duration(cmp.Or(template.Timescale, 1)) == 0 { // it is due at a whole nanosecond
					instants = append(instants, template.Due(n))
				}
				for _, at := range instants {
					check(t, e, at)
					over := e
					over.Ended, over.Last = true, n-1
					check(t, over, at)
					over.Last = n + 1
					check(t, over, at)
				}
			}
		})
	}
}

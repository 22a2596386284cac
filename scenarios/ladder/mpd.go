package ladder

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The elements of an MPD (ISO/IEC 23009-1) that are read.
type mpd struct {
	XMLName xml.Name `xml:"MPD"`
	Depth   string   `xml:"timeShiftBufferDepth,attr"`
	Periods []struct {
		template
		Sets []struct {
			template
			ContentType     string `xml:"contentType,attr"`
			MimeType        string `xml:"mimeType,attr"`
			Representations []struct {
				template
				ID        string `xml:"id,attr"`
				Bandwidth string `xml:"bandwidth,attr"`
			} `xml:"Representation"`
		} `xml:"AdaptationSet"`
	} `xml:"Period"`
}

type template struct {
	Template *struct {
		Timescale string `xml:"timescale,attr"`
		Duration  string `xml:"duration,attr"`
		Offset    string `xml:"availabilityTimeOffset,attr"`
		Timeline  *struct {
			S []struct {
				D string `xml:"d,attr"`
				R string `xml:"r,attr"`
			} `xml:"S"`
		} `xml:"SegmentTimeline"`
	} `xml:"SegmentTemplate"`
}

// ReadMPD reads a DASH manifest. Errors say the line where it cannot be read, or what it lacks.
func ReadMPD(b []byte) (l Ladder, err error) {
	var doc mpd
	dec := xml.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&doc); err != nil {
		line, _ := dec.InputPos()
		return l, fmt.Errorf("line %d: not an MPD: %w; give the manifest itself, as players get it", line, err)
	}
	if len(doc.Periods) == 0 {
		return l, errors.New("it has no Period: give the manifest of an event that is on")
	}
	if len(doc.Periods) > 1 {
		l.warn("of %d periods the last counts", len(doc.Periods))
	}
	p := doc.Periods[len(doc.Periods)-1]
	for i, set := range p.Sets {
		for _, r := range set.Representations {
			kind := cmp.Or(set.ContentType, strings.Split(set.MimeType, "/")[0], "set "+strconv.Itoa(i+1))
			rate, err := strconv.ParseInt(r.Bandwidth, 10, 64)
			from := fmt.Sprintf("Representation %s (%s) @bandwidth", r.ID, kind)
			if err != nil || rate <= 0 || rate > math.MaxInt32*int64(1000) {
				l.warn("Representation %s says no bandwidth; %d bit/s is a guess", r.ID, unsaid)
				rate, from = unsaid, from+", which is not there: a guess"
			}
			l.add(r.ID, rate, from)
			name := l.Renditions[len(l.Renditions)-1].Name
			l.cadence(name, kind, r.template, set.template, p.template)
		}
	}
	if len(l.Renditions) == 0 {
		return l, errors.New("its last Period has no Representation: give the manifest of an event that is on")
	}
	if l.Ticks == 0 {
		l.warn("no SegmentTemplate says how long a segment lasts; set event.segment")
	}
	if d, ok := xsDuration(doc.Depth); ok && d > 0 {
		l.DVR, l.DVRFrom = d, "MPD@timeShiftBufferDepth"
	}
	return l, nil
}

// cadence takes over how long a segment of a rendition lasts, as the innermost template says, unless another's counts already.
func (l *Ladder) cadence(name, kind string, levels ...template) {
	for _, t := range levels {
		if t.Template == nil {
			continue
		}
		scale, err := strconv.ParseInt(cmp.Or(t.Template.Timescale, "1"), 10, 64)
		if err != nil || scale <= 0 || scale > 10_000_000 {
			l.warn("%s: a timescale of %q is none that a scenario takes", name, t.Template.Timescale)
			return
		}
		ticks, from := int64(0), "SegmentTemplate@duration of "+name
		if t.Template.Duration != "" {
			ticks, _ = strconv.ParseInt(t.Template.Duration, 10, 64)
		} else if t.Template.Timeline != nil { // the duration that most segments have
			from = "the most frequent S@d in the SegmentTimeline of " + name
			counts, most := map[int64]int64{}, int64(0)
			for _, s := range t.Template.Timeline.S {
				d, _ := strconv.ParseInt(s.D, 10, 64)
				r, _ := strconv.ParseInt(s.R, 10, 64)
				if counts[d] += 1 + min(max(0, r), 1<<30); counts[d] > most {
					ticks, most = d, counts[d]
				}
			}
		}
		if ticks <= 0 || ticks/scale >= 3600 || float64(ticks)/float64(scale) < 0.01 {
			continue
		}
		if t.Template.Offset != "" && l.Ticks == 0 {
			l.warn("availabilityTimeOffset: segments that are read while they are written (low latency) are not rehearsed")
		}
		switch {
		case l.Ticks == 0:
			l.Ticks, l.Timescale, l.SegmentFrom = ticks, scale, from
		case math.Abs(float64(ticks)/float64(scale)-float64(l.Ticks)/float64(l.Timescale)) > 0.001:
			l.warn("%s (%s) has segments of %.3f s; all renditions of a scenario have those of %s, %.3f s", name, kind, float64(ticks)/float64(scale),
				l.Renditions[0].Name, float64(l.Ticks)/float64(l.Timescale))
		}
		return
	}
}

// xsDuration reads an xs:duration of days, hours, minutes and seconds.
func xsDuration(s string) (d time.Duration, ok bool) {
	s, ok = strings.CutPrefix(s, "P")
	if !ok {
		return 0, false
	}
	days, clock, _ := strings.Cut(s, "T")
	if days != "" {
		n, err := strconv.ParseUint(strings.TrimSuffix(days, "D"), 10, 16)
		if err != nil || !strings.HasSuffix(days, "D") {
			return 0, false
		}
		d = time.Duration(n) * 24 * time.Hour
	}
	if clock != "" {
		rest, err := time.ParseDuration(strings.ToLower(clock))
		if err != nil || rest < 0 {
			return 0, false
		}
		d += rest
	}
	return d, d <= 365*24*time.Hour
}

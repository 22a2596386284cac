package manifest

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

	"origin-storm/origin/config"
)

// MPD returns the event's DASH manifest (ISO/IEC 23009-1) at now. While the event lives it is dynamic, and once the event is
// as old as the window the same from one segment to the next: players compute numbers from the clock. It says where the event
// ends as soon as that is known; when the event is over it is static, and lists what the window still holds.
//
// A segment counts as available when it is due, so the publish delay is a part of the availability start time, and players
// ask for no segment that is not there. A segment that was never published cannot be expressed; players find it gone. It is an
// error to ask when Span is empty and the event is Over, or if a media time does not fit into 64 bits.
func (e Event) MPD(now time.Time) ([]byte, error) {
	ticks, scale := e.Template.Rate()
	first, last := e.Span(now)
	switch over := e.Over(now); {
	case over && last < first:
		return nil, errors.New("manifest: MPD: the event is over and nothing of it is left")
	case e.Ended && e.Last-e.Template.StartNumber >= math.MaxInt64/ticks:
		return nil, fmt.Errorf("manifest: MPD: segment %d, the last one, ends beyond any media time", e.Last)
	}
	doc := mpd{
		Xmlns: "urn:mpeg:dash:schema:mpd:2011", Profiles: "urn:mpeg:dash:profile:isoff-live:2011",
		Type:                  "dynamic",
		AvailabilityStartTime: dateTime(e.Template.Start.Add(e.Template.PublishDelay)),
		PublishTime:           dateTime(e.Changed),
		MinimumUpdatePeriod:   seconds(refresh*ticks, scale),
		TimeShiftBufferDepth:  seconds(int64(e.listed()), int64(time.Second)),
		SuggestedDelay:        seconds(behind*ticks, scale),
		MaxSegmentDuration:    seconds(ticks, scale),
		MinBufferTime:         seconds(ticks, scale),
		Period:                period{ID: "0"},
		// Relative, so that they hold behind a CDN that puts the origin under a path.
		UTCTiming: []descriptor{
			{Scheme: "urn:mpeg:dash:utc:http-iso:2014", Value: "../time"},
			{Scheme: "urn:mpeg:dash:utc:http-head:2014", Value: "../time"},
		},
	}
	// The live period begins with the template, not with the event: ffmpeg's demuxer counts from the availability start time, and
	// would ask for the same segment over and over. Where the event begins is said by how far back players may go.
	start := e.Template.StartNumber
	if first == e.begin() {
		doc.TimeShiftBufferDepth = seconds(max(1, last+1-first)*ticks, scale)
	}
	if first == e.begin() || e.Ended { // it is another one with each segment
		doc.PublishTime = dateTime(later(e.Changed, e.Template.Due(last)))
	}
	if e.Ended { // players that know it do not ask beyond
		doc.MediaPresentationDuration = seconds((e.Last+1-e.Template.StartNumber)*ticks, scale)
	}
	if e.Over(now) {
		// The period begins with the first segment that is left, and who comes late need not look for what has left the window.
		start = first
		doc.Type, doc.MinimumUpdatePeriod, doc.TimeShiftBufferDepth, doc.SuggestedDelay, doc.UTCTiming = "static", "", "", "", nil
		doc.Period.Duration = seconds((last+1-first)*ticks, scale)
	}
	// A segment's presentation time is how long after the template's start it begins, as on the media's own clock, wherever the
	// period starts, so that who plays need not seek when that changes.
	since := (start - e.Template.StartNumber) * ticks
	doc.Period.Start = seconds(since, scale)
	template := segmentTemplate{
		Timescale: scale, Duration: ticks, StartNumber: start, PresentationTimeOffset: since,
		Initialization: "$RepresentationID$/init.mp4", Media: "$RepresentationID$/$Number$.m4s",
	}
	for _, r := range e.Renditions {
		set := doc.Period.set(r)
		set.SegmentTemplate = template
		rep := representation{ID: r.Name, Bandwidth: r.Bandwidth, Codecs: r.Codecs}
		switch r.Kind {
		case config.Video:
			rep.Width, rep.Height, rep.FrameRate = r.Width, r.Height, r.FrameRate
		case config.Audio:
			rep.SampleRate = r.SampleRate
			if r.Channels >= 1 && r.Channels <= 6 { // where the number of channels is its layout's number in ISO/IEC 23091-3
				rep.Channels = &descriptor{Scheme: "urn:mpeg:mpegB:cicp:ChannelConfiguration", Value: strconv.Itoa(r.Channels)}
			}
		}
		set.Representations = append(set.Representations, rep)
	}
	var b bytes.Buffer
	b.WriteString(xml.Header)
	enc := xml.NewEncoder(&b)
	enc.Indent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return nil, fmt.Errorf("manifest: MPD: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// set returns the adaptation set that r belongs to: players switch freely within one, so what differs in language, codec or
// channels has a set of its own.
func (p *period) set(r config.Rendition) *adaptationSet {
	codec, _, _ := strings.Cut(r.Codecs, ".")
	key := fmt.Sprint(r.Kind, " ", r.Language, " ", codec, " ", r.Channels)
	for _, s := range p.AdaptationSets {
		if s.key == key {
			return s
		}
	}
	mime := map[config.Kind]string{config.Text: "application"}
	s := &adaptationSet{
		key: key, ID: strconv.Itoa(len(p.AdaptationSets)), ContentType: string(r.Kind),
		MimeType: cmp.Or(mime[r.Kind], string(r.Kind)) + "/mp4", Lang: r.Language, SegmentAlignment: true, StartWithSAP: 1,
	}
	if r.Kind == config.Text {
		s.Role = &descriptor{Scheme: "urn:mpeg:dash:role:2011", Value: "subtitle"}
	}
	p.AdaptationSets = append(p.AdaptationSets, s)
	return s
}

// The elements of an MPD that are written here, in the order of its schema.
type mpd struct {
	XMLName                   xml.Name     `xml:"MPD"`
	Xmlns                     string       `xml:"xmlns,attr"`
	Profiles                  string       `xml:"profiles,attr"`
	Type                      string       `xml:"type,attr"`
	AvailabilityStartTime     string       `xml:"availabilityStartTime,attr"`
	PublishTime               string       `xml:"publishTime,attr"`
	MediaPresentationDuration string       `xml:"mediaPresentationDuration,attr,omitempty"`
	MinimumUpdatePeriod       string       `xml:"minimumUpdatePeriod,attr,omitempty"`
	MinBufferTime             string       `xml:"minBufferTime,attr"`
	TimeShiftBufferDepth      string       `xml:"timeShiftBufferDepth,attr,omitempty"`
	SuggestedDelay            string       `xml:"suggestedPresentationDelay,attr,omitempty"`
	MaxSegmentDuration        string       `xml:"maxSegmentDuration,attr"`
	Period                    period       `xml:"Period"`
	UTCTiming                 []descriptor `xml:"UTCTiming"`
}

type period struct {
	ID             string           `xml:"id,attr"`
	Start          string           `xml:"start,attr"`
	Duration       string           `xml:"duration,attr,omitempty"`
	AdaptationSets []*adaptationSet `xml:"AdaptationSet"`
}

type adaptationSet struct {
	key              string
	ID               string           `xml:"id,attr"`
	ContentType      string           `xml:"contentType,attr"`
	MimeType         string           `xml:"mimeType,attr"`
	Lang             string           `xml:"lang,attr,omitempty"`
	SegmentAlignment bool             `xml:"segmentAlignment,attr"`
	StartWithSAP     int              `xml:"startWithSAP,attr"`
	Role             *descriptor      `xml:"Role"`
	SegmentTemplate  segmentTemplate  `xml:"SegmentTemplate"`
	Representations  []representation `xml:"Representation"`
}

type segmentTemplate struct {
	Timescale              int64  `xml:"timescale,attr"`
	Duration               int64  `xml:"duration,attr"`
	StartNumber            int64  `xml:"startNumber,attr"`
	PresentationTimeOffset int64  `xml:"presentationTimeOffset,attr"`
	Initialization         string `xml:"initialization,attr"`
	Media                  string `xml:"media,attr"`
}

type representation struct {
	ID         string      `xml:"id,attr"`
	Bandwidth  int64       `xml:"bandwidth,attr"`
	Codecs     string      `xml:"codecs,attr,omitempty"`
	Width      int         `xml:"width,attr,omitempty"`
	Height     int         `xml:"height,attr,omitempty"`
	FrameRate  string      `xml:"frameRate,attr,omitempty"`
	SampleRate int         `xml:"audioSamplingRate,attr,omitempty"`
	Channels   *descriptor `xml:"AudioChannelConfiguration"`
}

type descriptor struct {
	Scheme string `xml:"schemeIdUri,attr"`
	Value  string `xml:"value,attr"`
}

// dateTime is t as an xs:dateTime.
func dateTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999999999Z") }

// seconds is ticks/scale seconds as an xs:duration, exact to the nanosecond. Neither may be negative.
func seconds(ticks, scale int64) string {
	s := strconv.FormatInt(ticks/scale, 10)
	if nano := ticks % scale * int64(time.Second) / scale; nano > 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%09d", nano), "0")
	}
	return "PT" + s + "S"
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

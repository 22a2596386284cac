package contract

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"time"

	"origin-storm/origin/segment"
)

// MPD is what a DASH manifest says of an event's clock and renditions.
type MPD struct {
	// Template has no publish delay: the manifest says when segments are available, not how much of that is a delay, which makes
	// no difference to when they are due.
	Template   segment.Template
	Renditions []string
}

// ReadMPD reads a manifest with one Period, as a live origin's have it, whose SegmentTemplates count numbers; at most 1 MiB of it.
func ReadMPD(r io.Reader) (MPD, error) {
	var doc struct {
		Type   string `xml:"type,attr"`
		Start  string `xml:"availabilityStartTime,attr"`
		Period []struct {
			Sets []struct {
				Template struct {
					Timescale int64 `xml:"timescale,attr"`
					Duration  int64 `xml:"duration,attr"`
					First     int64 `xml:"startNumber,attr"`
				} `xml:"SegmentTemplate"`
				Representations []struct {
					ID string `xml:"id,attr"`
				} `xml:"Representation"`
			} `xml:"AdaptationSet"`
		} `xml:"Period"`
	}
	if err := xml.NewDecoder(io.LimitReader(r, 1<<20)).Decode(&doc); err != nil {
		return MPD{}, fmt.Errorf("contract: MPD: %w", err)
	}
	start, err := time.Parse(time.RFC3339Nano, doc.Start)
	if err != nil {
		return MPD{}, fmt.Errorf("contract: MPD: availabilityStartTime: %w", err)
	}
	var m MPD
	for _, p := range doc.Period {
		for _, s := range p.Sets {
			m.Template = segment.Template{Start: start, StartNumber: s.Template.First, Ticks: s.Template.Duration, Timescale: max(s.Template.Timescale, 1)}
			for _, r := range s.Representations {
				m.Renditions = append(m.Renditions, r.ID)
			}
		}
	}
	if len(m.Renditions) == 0 || m.Template.Ticks == 0 {
		return MPD{}, errors.New("contract: MPD: there is no SegmentTemplate with a duration, or no Representation")
	}
	if err := m.Template.Validate(); err != nil {
		return MPD{}, fmt.Errorf("contract: MPD: %w", err)
	}
	return m, nil
}

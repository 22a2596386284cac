// Package manifest writes what players ask for before they ask for segments: a DASH MPD, and HLS playlists. Both follow from
// an event's template, the clock and what is known of its renditions, and from nothing that one pipeline or one node alone
// knows: whoever generates a manifest of an event at an instant generates the same bytes. The package does no I/O, never asks
// for the time, and reads no packager's manifest.
package manifest

import (
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/segment"
)

// Event is what the manifests of an event are made of.
type Event struct {
	Template segment.Template
	// Window is how long after it was due a segment is served; it must be positive.
	Window time.Duration
	// Renditions are in the order in which manifests list them, with their Kind and Bandwidth; the other attributes are listed
	// where they are there.
	Renditions []config.Rendition
	// Began is when the first of the initialisation segments was published; segments whose media had ended a segment's time earlier
	// are not listed, for a template may count from long before the event, from the Unix epoch most often. Zero: it is not known.
	Began time.Time
	// Changed is when the attributes of Renditions changed last.
	Changed time.Time
	// Ended says that Last is the last segment there will be.
	Ended bool
	Last  int64
	// Gap reports whether segment n of a rendition is known never to have been published; nil knows none.
	Gap func(rendition string, n int64) bool
}

// The last parts of the manifests' paths: /{event}/live.mpd, /{event}/master.m3u8 and /{event}/{rendition}/index.m3u8. What
// manifests name (segments, playlists, /time) they name relative to these.
const (
	MPDName    = "live.mpd"
	MasterName = "master.m3u8"
	MediaName  = "index.m3u8"
)

// What players are told of the time.
const (
	// behind is how many segments behind the live edge players should play: the three of RFC 8216 section 6.3.3.
	behind = 3
	// refresh is after how many segments players look for a new MPD, so that they learn of the event's end before they have
	// played what they knew of.
	refresh = 2
	// margin is how long before a segment leaves the window manifests stop listing it, but at most a quarter of the window: a
	// player at the far end of the window has its manifest from an edge and fetches a few segments ahead of what it shows.
	margin = 30 * time.Second
)

// Span returns the first and the last number that manifests list at now. All of them are due, by the clock alone. The last is
// less than the first before the event's first segment is due, and when the last one of an ended event has left the window.
func (e Event) Span(now time.Time) (first, last int64) {
	last = e.Template.Next(now) - 1
	if e.Ended {
		last = min(last, e.Last)
	}
	return max(e.begin(), e.Template.Next(now.Add(-e.listed()))), last
}

// begin is the number of the event's first segment, as far as it is known.
func (e Event) begin() int64 {
	if e.Began.IsZero() {
		return e.Template.StartNumber
	}
	// The publish delay is how late a segment may be, and says nothing about when the first one came.
	return e.Template.Next(e.Began.Add(e.Template.PublishDelay - e.Template.Duration()))
}

// Over reports whether the last segment of an ended event is due: from then on manifests say that nothing more will come.
func (e Event) Over(now time.Time) bool {
	return e.Ended && e.Template.Next(now) > e.Last
}

// listed is how long after it was due a segment is listed.
func (e Event) listed() time.Duration { return e.Window - min(margin, e.Window/4) }

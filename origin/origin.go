// Package origin is the HTTP origin between live packagers and a CDN: the handler Publish takes segments in, the handler
// Serve answers for them, and NewOperator's shows a node and takes what operators say about its events. Publish and Serve share
// nothing but the store, so that they can be two processes. What to answer is decided in package policy, how segments are kept in
// package storage; listeners' addresses, flags and drivers belong to whoever starts a node.
package origin

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

// The header fields that the origin adds to HTTP's own; their values are structured fields (RFC 9651).
const (
	// HeaderDefects lists what is wrong with a segment, as tokens: short, discontinuity, missing. It comes with a PUT where the
	// packager found it, with the answer to a PUT as it is stored, which is what the node found as well, and with an answer that
	// serves such a copy for want of a better one.
	HeaderDefects = "Origin-Defects"
	// HeaderSlate is ?1 on a filler that stands in for the programme, in both directions.
	HeaderSlate = "Origin-Slate"
	// HeaderKept is ?1 on the answer to a PUT whose bytes were not stored because another copy stands; ETag is that copy's.
	HeaderKept = "Origin-Kept"
	// HeaderTTL is how long a manifest, or an answer other than 200, may be reused, in milliseconds. Cache-Control says the same in whole
	// seconds, rounded down, which is long against a 2 s segment.
	HeaderTTL = "Origin-TTL-Ms"
	// HeaderEnded lists the pipelines, as strings, of which a publishing node has been told that their last segment has come; on
	// answers to packagers.
	HeaderEnded = "Origin-Ended"
	// HeaderPipeline, HeaderRegion and HeaderNode say where an answer comes from.
	HeaderPipeline = "Origin-Pipeline"
	HeaderRegion   = "Origin-Region"
	HeaderNode     = "Origin-Node"
	// HeaderNotices carries the notices of an event, as a list; a member is a token, the notice's id (1 to 32 letters, digits
	// and . - _, a letter first), with the parameters from, an integer, the number of the first segment that it belongs to, and
	// text, a string of at most 256 characters that is left out where it is empty:
	//
	//	Origin-Notices: ad-7;from=812345;text="a break of 90 s", tech-1;from=812400
	//
	// Every answer of the serving side about a configured event, of whatever status and for whatever number, carries all
	// notices whose from is at most the number that is next by the clock (and so all that belong to a segment it serves), in
	// the order of from, id and text. They are cumulative and never taken back: each list that a node sends holds those of its
	// earlier ones. An edge keeps the longest list it has seen of an event and puts it on any answer; of several members with
	// one id, the last is the newest word. An event without notices has no such field.
	//
	// On a PUT the field adds its members to the event's; from may be left out for the number of the segment that it comes
	// with, except with an initialisation segment. What is not of this form, has other parameters, or is longer than 2 KiB, is
	// answered 400, and nothing is stored. Where it is the event's other notices that leave no room, the segment is stored and
	// none of these is taken, which the answer's own field shows: it lists all notices of the event, however far ahead. The
	// same id and text again is no new notice. 503 after the segment was stored means that the notices were not: sent again,
	// both are acknowledged.
	HeaderNotices = "Origin-Notices"
	// HeaderCacheVersion is an integer that goes up when an operator wants all that caches hold of an event dropped; 0 at
	// first. It is on every answer of the serving side about a configured event. An edge that makes it a part of its cache key,
	// from the newest answer of the event it has seen, misses from then on. It concerns the whole event: a range of segments is
	// dropped in two steps, first masked or withdrawn here, so that no edge can fill itself with it again, then purged at the
	// edges.
	HeaderCacheVersion = "Origin-Cache-Version"
	// HeaderAnswered is when the origin began to answer with a segment, in Unix milliseconds with three decimals. Caches keep it, so
	// that whoever reads can tell the origin's part of the wait from theirs.
	HeaderAnswered = "Origin-Answered-Ms"
)

// defaultMaxSegment bounds a segment's body where the event does not: a 4K segment of 2 s takes about 10 MiB.
const defaultMaxSegment = 32 << 20

// defaultMemory is how many bytes of bodies are in memory at a time beside the hot copy, or are being received: 250 segments of 2 MiB.
const defaultMemory = 512 << 20

// parsePath returns what parse makes of the request's path. A path with escapes that need not be there is refused: one
// segment has one spelling, and so one entry in every cache.
func parsePath(r *http.Request, parse func(string) (segment.ID, error)) (segment.ID, error) {
	if r.URL.RawPath != "" {
		return segment.ID{}, fmt.Errorf("%w: %.100q: a segment's path has no escapes", segment.ErrName, r.URL.RawPath)
	}
	return parse(r.URL.Path)
}

// formatFlaws sets the headers that carry flaws.
func formatFlaws(h http.Header, f policy.Flaws) {
	if defects := f &^ policy.Slate; defects != 0 {
		h.Set(HeaderDefects, defects.String())
	}
	if f&policy.Slate != 0 {
		h.Set(HeaderSlate, "?1")
	}
}

// parseFlaws reads those headers. What it does not know is an error: taking a flawed copy for a sound one is worse than
// refusing it.
func parseFlaws(h http.Header) (policy.Flaws, error) {
	var flaws policy.Flaws
	for _, line := range h.Values(HeaderDefects) {
		for token := range strings.SplitSeq(line, ",") {
			token = strings.Trim(token, " \t")
			f, ok := policy.ParseFlaw(token)
			if !ok || f == policy.Slate {
				return 0, fmt.Errorf("%s: %.40q is not a defect; use short, discontinuity, missing", HeaderDefects, token)
			}
			flaws |= f
		}
	}
	switch slate := h.Get(HeaderSlate); slate {
	case "", "?0":
	case "?1":
		flaws |= policy.Slate
	default:
		return 0, fmt.Errorf("%s: %.40q is not a boolean; use ?1 or ?0", HeaderSlate, slate)
	}
	return flaws, nil
}

func logger(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

func setNonEmpty(h http.Header, key, value string) {
	if value != "" {
		h.Set(key, value)
	}
}

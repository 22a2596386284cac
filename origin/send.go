package origin

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"time"

	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

// send writes a segment, or the part of it that r asks for, and returns the status.
func (s *Serve) send(w http.ResponseWriter, r *http.Request, a served) int {
	h := w.Header()
	h.Set("ETag", a.ETag())
	h.Set("Repr-Digest", reprDigest(a.Digest))
	h.Set("Content-Type", contentType(a.ID))
	lifetime := "public, max-age=" + strconv.FormatInt(policy.MaxAge(a.left), 10)
	if a.Sound() {
		lifetime += ", immutable"
	}
	h.Set("Cache-Control", lifetime)
	h.Set("Cache-Status", "origin; "+a.cache)
	h.Set(HeaderAnswered, strconv.FormatFloat(float64(time.Now().UnixMicro())/1000, 'f', 3, 64))
	h.Set(HeaderPipeline, a.ID.Pipeline)
	formatFlaws(h, a.Meta.Flaws)
	out := &progressWriter{ResponseWriter: w, rc: http.NewResponseController(w), status: http.StatusOK}
	if conditional(r.Header) || r.Method == http.MethodHead {
		http.ServeContent(out, r, "", a.Published, bytes.NewReader(a.Body))
	} else {
		h.Set("Accept-Ranges", "bytes")
		h.Set("Last-Modified", a.Published.UTC().Format(http.TimeFormat))
		h.Set("Content-Length", strconv.Itoa(len(a.Body)))
		_, _ = out.Write(a.Body) // a reader that leaves is its own affair
	}
	s.bytes.Add(out.sent)
	return out.status
}

// conditional reports whether the answer may be anything but the whole segment.
func conditional(h http.Header) bool {
	for _, field := range [...]string{"Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if h.Get(field) != "" {
			return true
		}
	}
	return false
}

// contentType is the media type of CMAF segments: one for the header, one for what follows it.
func contentType(id segment.ID) string {
	if id.Number == segment.Init {
		return "video/mp4"
	}
	return "video/iso.segment"
}

// progressWriter writes in pieces, and gives each a deadline: a slow reader is served as long as it reads, one that has
// stopped lets go of the segment's bytes.
type progressWriter struct {
	http.ResponseWriter
	rc     *http.ResponseController
	status int
	sent   int64
}

const (
	writePiece   = 256 << 10
	writeTimeout = 10 * time.Second // per piece: 26 kB/s is the slowest reader
)

func (p *progressWriter) WriteHeader(status int) {
	p.status = status
	if status >= 400 { // a condition or a range that does not fit: nothing to reuse
		p.Header().Set("Cache-Control", "no-store")
		p.Header().Del("Repr-Digest")
	}
	p.ResponseWriter.WriteHeader(status)
}

func (p *progressWriter) Write(b []byte) (int, error) {
	var n int
	for n < len(b) {
		if err := p.rc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return n, err
		}
		m, err := p.ResponseWriter.Write(b[n:min(len(b), n+writePiece)])
		n += m
		p.sent += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

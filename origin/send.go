package origin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"time"

	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

// send writes a segment, or the part of it that r asks for, as its bytes arrive, and returns the status. An error says that some of them can
// not be had though the answer has begun: the caller cuts the connection, so that nobody takes the answer for whole.
func (s *Serve) send(w http.ResponseWriter, r *http.Request, a served) (status int, err error) {
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
	out := s.progress(w)
	body := &arriving{ctx: r.Context(), segmentCopy: a.segmentCopy}
	if conditional(r.Header) || r.Method == http.MethodHead {
		http.ServeContent(out, withoutEmptyRange(r, a.Size), "", a.Published, body)
	} else {
		h.Set("Accept-Ranges", "bytes")
		h.Set("Last-Modified", a.Published.UTC().Format(http.TimeFormat))
		h.Set("Content-Length", strconv.FormatInt(a.Size, 10))
		_, _ = body.WriteTo(out) // a reader that leaves is its own affair
	}
	s.bytes.Add(out.sent)
	if out.cut {
		s.cut.Add(1)
	}
	if body.failed != nil {
		s.brokenOff.Add(1)
		return out.status, body.failed
	}
	return out.status, nil
}

// arriving reads a copy for one request while its bytes arrive: who asks for the last ones waits for all, and who asks for the first ones
// only for these.
type arriving struct {
	ctx context.Context
	*segmentCopy
	at     int64
	failed error // why bytes can not be had that were asked for
}

var (
	_ io.ReadSeeker = (*arriving)(nil)
	_ io.WriterTo   = (*arriving)(nil)
)

// next waits for bytes at the present place and returns those that are there. That takes segment.Budget at most, which a reader's
// deadlines (progressWriter) have room for.
func (a *arriving) next() ([]byte, error) {
	if a.at >= a.Size {
		return nil, io.EOF
	}
	for {
		there, changed, err := a.arrived()
		switch {
		case int64(len(there)) > a.at:
			return there[a.at:], nil
		case err != nil:
			a.failed = err
			return nil, err
		}
		select {
		case <-changed:
		case <-a.ctx.Done():
			// A node that shuts down finishes what it has begun, which takes no longer than a body may take to be read.
			if context.Cause(a.ctx) != ErrDraining {
				return nil, a.ctx.Err()
			}
			a.ctx = context.WithoutCancel(a.ctx)
		}
	}
}

// Read implements io.Reader.
func (a *arriving) Read(p []byte) (int, error) {
	there, err := a.next()
	n := copy(p, there)
	a.at += int64(n)
	return n, err
}

// WriteTo implements io.WriterTo with writes from where the bytes are.
func (a *arriving) WriteTo(w io.Writer) (written int64, err error) {
	for {
		there, err := a.next()
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, err
		}
		n, err := w.Write(there)
		a.at += int64(n)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
}

// Seek implements io.Seeker; it waits for nothing.
func (a *arriving) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += a.at
	case io.SeekEnd:
		offset += a.Size
	}
	if offset < 0 {
		return 0, fmt.Errorf("origin: seek to %d", offset)
	}
	a.at = offset
	return offset, nil
}

// progress returns a writer for an answer that begins now.
func (s *Serve) progress(w http.ResponseWriter) *progressWriter {
	return &progressWriter{
		ResponseWriter: w, rc: http.NewResponseController(w), status: http.StatusOK,
		begun: time.Now(), slowest: s.cfg.Serving.SlowestReader,
	}
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

// emptyRange is the last 0 bytes.
var emptyRange = regexp.MustCompile(`^bytes=[ \t]*-0+[ \t]*$`)

// withoutEmptyRange returns r, with a range beyond the end where r asks for the last 0 bytes: neither can be satisfied (RFC 9110,
// 14.1.2), but http.ServeContent answers 206 with a Content-Range that ends before it begins.
func withoutEmptyRange(r *http.Request, size int64) *http.Request {
	if !emptyRange.MatchString(r.Header.Get("Range")) {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Set("Range", fmt.Sprintf("bytes=%d-", size))
	return r
}

// contentType is the media type of CMAF segments: one for the header, one for what follows it.
func contentType(id segment.ID) string {
	if id.Number == segment.Init {
		return "video/mp4"
	}
	return "video/iso.segment"
}

// progressWriter writes in pieces, and gives each a deadline. A reader that stops, or that is slower on the whole than the node
// puts up with, is cut off: it would keep a segment in memory that others wait for.
type progressWriter struct {
	http.ResponseWriter
	rc      *http.ResponseController
	begun   time.Time
	slowest int64 // bytes a second
	status  int
	sent    int64
	cut     bool
}

const (
	// writePiece is what is written at a time, straight from the segment's memory. Measured as BenchmarkHotAgainstNginx does it, on
	// a bare handler with segments of 2 MiB: writes of 256 KiB 1584 and 1711 segments a second, whole ones 1556 and 1682, sendfile
	// from a memfd, which takes no copy into the kernel, 832 and 817 (in pieces of 256 KiB; whole 767 and 643), nginx 1301 and 1266.
	writePiece = 256 << 10
	// writePause is how long a reader may read nothing, and how far behind the slowest speed it may fall.
	writePause = 10 * time.Second
	// defaultSlowestReader is half of the lowest video bit rate in use: who reads slower than that is not playing.
	defaultSlowestReader = 64_000
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
		piece := b[n:min(len(b), n+writePiece)]
		if err := p.rc.SetWriteDeadline(p.deadline(time.Now(), len(piece))); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return n, err
		}
		m, err := p.ResponseWriter.Write(piece)
		n += m
		p.sent += int64(m)
		if err != nil {
			p.cut = p.cut || errors.Is(err, os.ErrDeadlineExceeded)
			return n, err
		}
	}
	return n, nil
}

// deadline is when a piece that is begun at now has to be written.
func (p *progressWriter) deadline(now time.Time, piece int) time.Time {
	at := func(bytes int64) time.Duration {
		return time.Duration(float64(bytes) / float64(p.slowest) * float64(time.Second))
	}
	behind := p.begun.Add(writePause + at(p.sent+int64(piece)))
	if stopped := now.Add(max(writePause, at(int64(piece)))); stopped.Before(behind) {
		return stopped
	}
	return behind
}

// reprDigest is the value of the field Repr-Digest (RFC 9530) of a segment: that of the whole of it, also on an answer with
// a range, which a client checks once it has all parts.
func reprDigest(sum [sha256.Size]byte) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// timePath is where a player asks for the time.
const timePath = "/time"

// sendTime answers now in the form of DASH's UTC timing (ISO/IEC 23009-1, 5.8.4.11): as xs:dateTime in the body for the
// schemes http-iso and http-xsdate, in the field Date for http-head. Its milliseconds are those of the Date's second.
func sendTime(w http.ResponseWriter, r *http.Request, now time.Time) {
	body := now.UTC().Format("2006-01-02T15:04:05.000Z")
	h := w.Header()
	h.Set("Date", now.UTC().Format(http.TimeFormat))
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(body))
	}
}

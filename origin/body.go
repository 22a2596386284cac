package origin

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"
)

// How long a body may take. A packager may open its request when a segment begins and send the body when it ends (ffmpeg's
// DASH muxer does), so a pause of a segment's length is normal, and so is a body that trickles in over one.
const (
	// publishPatience is how long a body may wait for memory before it is received: half of the write budget.
	publishPatience = time.Second

	minPause = 5 * time.Second  // without a byte, or three segments if that is longer
	minBody  = 30 * time.Second // in all, or six segments
)

// receive reads the whole body of r, of at most limit bytes, into memory of the node's budget, or fails with a refusal. It grows
// with what has arrived, not with what is announced.
func (p *Publish) receive(w http.ResponseWriter, r *http.Request, ev *event, limit int64) (_ []byte, _ *lease, err error) {
	if r.ContentLength > limit {
		f := refuse(http.StatusRequestEntityTooLarge, "a body of %d bytes: those of event %q have at most %d", r.ContentLength, ev.name, limit)
		f.close = true
		return nil, nil, f
	}
	size := int64(firstBuffer)
	if r.ContentLength >= 0 {
		size = min(size, r.ContentLength)
	}
	in, err := p.memory.lease(r.Context(), size, false)
	if err != nil {
		return nil, nil, noMemory(err)
	}
	defer func() {
		if err != nil {
			in.release()
		}
	}()
	from := deadlineReader{
		r:     http.MaxBytesReader(w, r.Body, limit),
		rc:    http.NewResponseController(w),
		pause: max(minPause, 3*ev.Template.Duration()),
		end:   time.Now().Add(max(minBody, 6*ev.Template.Duration())),
	}
	body := make([]byte, 0, size+1) // the last byte is for the read that finds the end
	for {
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == io.EOF {
			return body, in, nil
		}
		if err != nil {
			return nil, nil, brokenOff(err, len(body), ev)
		}
		if len(body) == cap(body) {
			larger := roomFor(int64(len(body)), r.ContentLength, limit)
			if !in.grow(larger - int64(len(body))) {
				return nil, nil, noMemory(errMemory)
			}
			body = append(make([]byte, 0, larger), body...)
		}
	}
}

// firstBuffer is what a body gets before any of it has come: little, so that those who never send one take little.
const firstBuffer = 16 << 10

// roomFor returns how large the buffer of a body becomes of which so many bytes have come: twice that, or, when a quarter of what was
// announced is there, the whole and a byte for the read that finds the end. So what is set aside is at most four times what came, and
// nobody who announces much and sends little keeps others from publishing. announced is negative if nothing was.
func roomFor(come, announced, most int64) int64 {
	larger := 2 * come
	if announced >= 0 && 4*come >= announced {
		larger = announced + 1
	}
	return min(larger, most+1)
}

// noMemory is unavailable for a request whose body has not been read.
func noMemory(err error) *refusal {
	f := unavailable(err)
	f.close = true
	return f
}

// brokenOff is the refusal of a body that did not arrive as a whole: nothing of it is stored. Usually nobody reads it.
func brokenOff(err error, got int, ev *event) *refusal {
	f := refuse(http.StatusBadRequest, "the body broke off after %d bytes; nothing was stored", got)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		f = refuse(http.StatusRequestEntityTooLarge, "bodies of event %q have at most %d bytes here", ev.name, tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		f = refuse(http.StatusRequestTimeout, "the body stalled after %d bytes; nothing was stored", got)
	}
	f.close = true
	return f
}

// deadlineReader gives each read a pause to end in, and all reads together an end. The server sets the connection's deadline
// anew for the request after this one.
type deadlineReader struct {
	r     io.Reader
	rc    *http.ResponseController
	pause time.Duration
	end   time.Time
}

func (d *deadlineReader) Read(b []byte) (int, error) {
	deadline := time.Now().Add(d.pause)
	if deadline.After(d.end) {
		deadline = d.end
	}
	if err := d.rc.SetReadDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, fmt.Errorf("origin: body: %w", err)
	}
	return d.r.Read(b)
}

// digestAlgorithm is what the name of a digest's algorithm may look like: a key of RFC 9651.
var digestAlgorithm = regexp.MustCompile(`^[a-z*][a-z0-9_.*-]*$`)

// checkDigest compares body with the SHA-256 that the request announces (RFC 9530), if it does; other algorithms are ignored, as
// the RFC wants.
func checkDigest(h http.Header, body []byte) error {
	for _, field := range [...]string{"Content-Digest", "Repr-Digest"} { // equal, as bodies come whole and unencoded
		for _, line := range h.Values(field) {
			for member := range strings.SplitSeq(line, ",") {
				member = strings.Trim(member, " \t")
				name, value, _ := strings.Cut(member, "=")
				switch {
				case name == "sha-256":
				case member == "" || digestAlgorithm.MatchString(name):
					continue
				default:
					return fmt.Errorf("%s: %.80q is not a digest; use sha-256=:BASE64:", field, member)
				}
				want, err := base64.StdEncoding.DecodeString(strings.Trim(value, ":"))
				if err != nil || !strings.HasPrefix(value, ":") || !strings.HasSuffix(value, ":") {
					return fmt.Errorf("%s: %.80q is not Base64 in colons", field, value)
				}
				if got := sha256.Sum256(body); !bytes.Equal(got[:], want) {
					return fmt.Errorf("%s: the body that arrived has another digest; nothing was stored", field)
				}
			}
		}
	}
	return nil
}

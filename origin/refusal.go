package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
)

// A refusal is any answer but success, as an error. What the client may know is in text, what only the log may in err.
type refusal struct {
	status int
	text   string
	keep   time.Duration // how long the answer may be reused; 0: not at all
	again  bool          // it may be asked again at once: keep is 0, and the client is told so
	retry  time.Duration // when to try again, if the client should; rounded up to seconds
	close  bool          // the connection can not be used any further
	err    error         // of this process or its stores, for the log
}

func (f *refusal) Error() string { return f.text }

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

// write sends f. The lifetime is always explicit: caches invent one where it is not.
func (f *refusal) write(w http.ResponseWriter) {
	h := w.Header()
	if f.keep > 0 {
		h.Set("Cache-Control", "public, max-age="+strconv.FormatInt(policy.MaxAge(f.keep), 10))
		h.Set(HeaderTTL, strconv.FormatInt(policy.TTLMillis(f.keep), 10))
	} else {
		h.Set("Cache-Control", "no-store")
		if f.again {
			h.Set(HeaderTTL, "0")
		}
	}
	if f.retry > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((f.retry+time.Second-1)/time.Second), 10))
	}
	if f.close {
		h.Set("Connection", "close")
	}
	body := f.text + "\n"
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(f.status)
	_, _ = w.Write([]byte(body)) // the client may be gone, which is its own affair
}

// asRefusal is what a client is told of err.
func asRefusal(err error) *refusal {
	if f, ok := errors.AsType[*refusal](err); ok {
		return f
	}
	return &refusal{status: http.StatusInternalServerError, text: "internal error", err: err}
}

// unavailable is the refusal that tells a client what became of the store.
func unavailable(err error) *refusal {
	f := &refusal{status: http.StatusServiceUnavailable, text: "the store can not be used at the moment; try again", retry: time.Second, err: err}
	switch {
	case errors.Is(err, errMemory):
		f.text, f.err = "as many bodies are in memory as this node allows; try another one, or again", nil
	case errors.Is(err, kv.ErrThrottled):
		f.text = "the store asks for fewer requests; try again"
	case errors.Is(err, kv.ErrFull):
		f.status, f.text, f.retry = http.StatusInsufficientStorage, "the store is full", 0
	case errors.Is(err, kv.ErrTooLarge):
		f.status, f.text, f.retry = http.StatusRequestEntityTooLarge, "the store can not hold a value of this size; configure smaller chunks", 0
	case errors.Is(err, context.DeadlineExceeded):
		f.status, f.text = http.StatusGatewayTimeout, fmt.Sprintf("the store did not answer within %v; try again", segment.Budget)
	}
	return f
}

// shuttingDown is the refusal of a node that drains: others answer.
func shuttingDown() *refusal {
	f := refuse(http.StatusServiceUnavailable, "this node is shutting down; use another one")
	f.close, f.retry = true, time.Second
	return f
}

// forbidden is the refusal of who may publish, but not this. The body is not read.
func forbidden() *refusal {
	f := refuse(http.StatusForbidden, "these credentials are not for this event and pipeline")
	f.close = true
	return f
}

// How much of a refused body is read, and for how long. A connection that is closed with bytes unread is reset, and a sender that
// is still writing never sees why; after all were read it can send its next segment on the same connection.
const (
	discardBytes = 64 << 20
	discardTime  = time.Second
)

// writeEarly sends f, and then reads what still comes of r's body, within bounds.
func (f *refusal) writeEarly(w http.ResponseWriter, r *http.Request) {
	if r.Body == http.NoBody {
		f.write(w)
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.EnableFullDuplex() // or the server would look for the end of the body before it writes; HTTP/2 needs no leave
	f.write(w)
	if rc.Flush() != nil || rc.SetReadDeadline(time.Now().Add(discardTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, discardBytes) // whatever ends it, the server sees to the connection
}

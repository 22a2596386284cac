package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"origin-storm/origin/kv"
)

// Handler hosts stores. stores returns the store of a table and whether there is one; it is called for each request. The stores' operations
// run under the request's context, which ends when the client goes away.
func Handler(stores func(name, table string) (kv.Store, bool)) http.Handler {
	return handler(stores)
}

type handler func(name, table string) (kv.Store, bool)

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut && r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST, PUT")
		refuse(w, http.StatusMethodNotAllowed, "method", fmt.Errorf("%w: method %.20q", errRequest, r.Method))
		return
	}
	q, err := parse(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, "request", err)
		return
	}
	s, ok := h(q.store, q.table)
	if !ok {
		// Not kv.ErrNotFound: that would say that the key is not there.
		refuse(w, http.StatusNotFound, "no-store", fmt.Errorf("no store %s with a table %s is hosted here", q.store, q.table))
		return
	}
	ctx := kv.WithAttempt(r.Context(), q.attempt)
	if began := q.origin(time.Now(), r.RemoteAddr); !began.IsZero() {
		ctx = kv.WithBegan(ctx, began)
	}
	switch r.Method {
	case http.MethodPut:
		put(ctx, w, r, s, q)
	case http.MethodPost:
		getMulti(ctx, w, r, s)
	default:
		get(ctx, w, s, q)
	}
}

func put(ctx context.Context, w http.ResponseWriter, r *http.Request, s kv.Store, q request) {
	switch {
	case r.ContentLength < 0:
		refuse(w, http.StatusLengthRequired, "request", fmt.Errorf("%w: a value needs a Content-Length", errRequest))
		return
	case r.ContentLength > MaxValue:
		// A client that is still sending would take a closed connection for a failure that may pass, and never see the answer.
		io.Copy(io.Discard, io.LimitReader(r.Body, 4*MaxValue))
		fail(w, fmt.Errorf("%d bytes, at most %d: %w", r.ContentLength, MaxValue, kv.ErrTooLarge))
		return
	}
	val := make([]byte, r.ContentLength)
	if n, err := io.ReadFull(r.Body, val); err != nil {
		refuse(w, http.StatusBadRequest, "request", fmt.Errorf("%w: the value broke off after %d of %d bytes: %v", errRequest, n, len(val), err))
		return
	}
	if err := s.Put(ctx, q.key, val, q.keep); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func get(ctx context.Context, w http.ResponseWriter, s kv.Store, q request) {
	val, err := s.Get(ctx, q.key)
	if err != nil {
		fail(w, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.Itoa(len(val)))
	w.Write(val) // an error means that the client has gone; it sees from the length that bytes are missing
}

// fail answers with a store's error.
func fail(w http.ResponseWriter, err error) {
	for _, f := range failures {
		if errors.Is(err, f.err) {
			refuse(w, f.status, f.code, err)
			return
		}
	}
	refuse(w, http.StatusInternalServerError, "failed", err)
}

func refuse(w http.ResponseWriter, status int, code string, err error) {
	text := err.Error()
	text = text[:min(len(text), maxText)]
	h := w.Header()
	h.Set(headerError, code)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	io.WriteString(w, text)
}

// maxText bounds an error's text on the way.
const maxText = 2048

// Package fakes3 is an S3 server in this process's memory, for runs and tests on one machine. Its own speed says nothing about S3:
// where it stands for one, a cost profile around its operations does. Real servers are reached by address instead.
package fakes3

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"origin-storm/origin/kv"
	"origin-storm/origin/kv/s3"
)

// Config says what a server holds.
type Config struct {
	Bucket string // there from the start; others may be made
	// Around stands around each PUT and GET of an object that is named as package s3 does, and may delay it, fail it, or change its
	// bytes. kv.ErrThrottled becomes S3's answer 503 SlowDown; the other errors of package kv likewise become theirs. nil: nothing.
	Around kv.Intercept
	// MaxObject bounds an object in bytes; 0 means 64 MiB.
	MaxObject int64
}

// New returns the server's handler.
func New(cfg Config) (http.Handler, error) {
	backend := s3mem.New()
	if cfg.Bucket != "" {
		if err := backend.CreateBucket(cfg.Bucket); err != nil {
			return nil, fmt.Errorf("fakes3: bucket %s: %w", cfg.Bucket, err)
		}
	}
	if cfg.MaxObject == 0 {
		cfg.MaxObject = 64 << 20
	}
	// The skew of clocks is not what a run is about, and its requests may wait long before they are answered.
	return &server{cfg: cfg, next: gofakes3.New(backend, gofakes3.WithTimeSkewLimit(0)).Server()}, nil
}

type server struct {
	cfg  Config
	next http.Handler
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, ok := operation(r)
	if !ok {
		s.next.ServeHTTP(w, r)
		return
	}
	var val []byte
	op.Val = &val
	if op.Write {
		if r.ContentLength > s.cfg.MaxObject {
			fail(w, r, kv.ErrTooLarge)
			return
		}
		body, err := readBody(r, s.cfg.MaxObject)
		if err != nil {
			return // it broke off: nobody waits for an answer, and nothing is stored
		}
		val = body
	}
	answer := &recorded{header: make(http.Header), status: http.StatusOK}
	do := func(ctx context.Context) error {
		r := r.WithContext(ctx)
		if op.Write {
			r.Body = io.NopCloser(bytes.NewReader(val))
			r.ContentLength = int64(len(val))
			r.Header.Set("Content-Length", strconv.Itoa(len(val)))
		}
		s.next.ServeHTTP(answer, r)
		if !op.Write && answer.status == http.StatusOK {
			val = answer.body.Bytes()
		}
		return nil
	}
	around := s.cfg.Around
	if around == nil {
		around = func(ctx context.Context, _ kv.Op, do func(context.Context) error) error { return do(ctx) }
	}
	if err := around(r.Context(), op, do); err != nil {
		if r.Context().Err() == nil {
			fail(w, r, err)
		}
		return
	}
	body := answer.body.Bytes()
	if !op.Write && answer.status == http.StatusOK {
		body = val
		answer.header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.status)
	w.Write(body)
}

// operation returns what a request is to an Intercept; ok is false for what is neither PUT nor GET of an object of package s3.
func operation(r *http.Request) (op kv.Op, ok bool) {
	switch {
	case r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") == "":
		op.Write = true
	case r.Method == http.MethodGet && r.Header.Get("Range") == "":
	default:
		return op, false
	}
	if r.URL.RawQuery != "" && r.URL.RawQuery != "x-id=PutObject" && r.URL.RawQuery != "x-id=GetObject" { // AWS's own client marks them
		return op, false
	}
	_, object, found := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	_, key, err := s3.ParseObject(object)
	if !found || err != nil {
		return op, false
	}
	op.Key = key
	op.Attempt, _ = strconv.Atoi(r.Header.Get(s3.AttemptHeader))
	if ns, err := strconv.ParseInt(r.Header.Get(s3.BeganHeader), 10, 64); err == nil {
		op.Began = time.Unix(0, ns)
	}
	return op, true
}

// readBody reads a request's whole body; a shorter one than was announced is an error.
func readBody(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength >= 0 {
		body := make([]byte, r.ContentLength)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = kv.ErrTooLarge
	}
	return body, err
}

// recorded is an answer that is not sent yet.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *recorded) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *recorded) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *recorded) Write(p []byte) (int, error) {
	if a.body.Cap() == 0 {
		size, _ := strconv.Atoi(a.header.Get("Content-Length"))
		a.body.Grow(max(size, len(p)))
	}
	return a.body.Write(p)
}

// fail answers with S3's error document for an error of package kv.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	status, code, message := http.StatusInternalServerError, "InternalError", err.Error()
	for _, known := range []struct {
		err           error
		status        int
		code, message string
	}{
		{kv.ErrThrottled, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate."},
		{kv.ErrNotFound, http.StatusNotFound, "NoSuchKey", "The specified key does not exist."},
		{kv.ErrDenied, http.StatusForbidden, "AccessDenied", "Access Denied"},
		{kv.ErrTooLarge, http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size."},
		{kv.ErrFull, http.StatusInsufficientStorage, "QuotaExceeded", "The quota of the bucket is exceeded."},
	} {
		if errors.Is(err, known.err) {
			status, code, message = known.status, known.code, known.message
			break
		}
	}
	text, err := xml.Marshal(struct {
		XMLName  xml.Name `xml:"Error"`
		Code     string
		Message  string
		Resource string
	}{Code: code, Message: message, Resource: r.URL.Path})
	if err != nil {
		text = nil
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		io.WriteString(w, xml.Header)
		w.Write(text)
	}
}

package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"syscall"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/body"
)

// exchange sends q and reads the answer.
//
// Sent is taken just before the transport is asked: looking for a connection, dialling and TLS are the target's and the
// network's doing as a user feels it, and so part of service; what comes before (the pacer, the scheduler, the making of the
// request) is the driver's, and so lag. First is the transport's word for the answer's first byte. Done is taken when the
// read that ends the answer returns: the comparing of bytes that came with that read is not in it. The comparing of earlier
// reads is, where the network was faster than it; at several times the speed of a loopback connection, and with the kernel
// receiving meanwhile, that is microseconds.
func (r *run) exchange(q storm.Request) (s storm.Sample) {
	if byHand(q.Twist.Do) {
		return r.abuse(q)
	}
	s.Request = q
	ctx, cancel := context.WithDeadline(r.wire, r.start.Add(r.deadline(q)))
	defer cancel()
	var first atomic.Int64 // the transport may still set it when it has given up
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotFirstResponseByte: func() { first.Store(int64(r.now())) },
	})
	ctx, began := patient(ctx, q)
	defer began()
	site, req, err := r.request(ctx, q)
	if err != nil {
		s.Sent = r.now()
		s.Done, s.Via, s.Err = s.Sent, storm.Dropped, err
		return s
	}
	s.Sent = r.now()
	if err := ctx.Err(); err != nil {
		s.Done, s.Via, s.Err = s.Sent, storm.Dropped, fmt.Errorf("live: %s %v: its time was over before it could be sent: %w", req.Method, q.ID, err)
		return s
	}
	res, err := site.RoundTrip(req)
	began()
	if err != nil {
		s.Done, s.Err = r.now(), fmt.Errorf("live: %s %v: %w", req.Method, q.ID, orEnded(ctx, err))
		if oursToBlame(err) {
			s.Via = storm.Dropped
		}
		return s
	}
	s.Status, s.First = res.StatusCode, time.Duration(first.Load())
	s.ETag, s.Pipeline = res.Header.Get("ETag"), res.Header.Get("Origin-Pipeline")
	s.Fresh, s.Store = fresh(res.Header), storeTime(res.Header)
	s.Cached = cached(res.Header)
	if at, ok := answered(res.Header); ok {
		s.Answered = at.Sub(r.start.Round(0)) // by the wall clock, which the origin's is taken to agree with
	}
	if q.Put { // nobody uses its answer again; when to try again is what it may say
		s.Fresh = retryAfter(res.Header)
	}
	r.read(&s, res)
	if s.Err != nil {
		s.Err = fmt.Errorf("live: %s %v: after %d bytes of the answer: %w", req.Method, q.ID, s.Bytes, orEnded(ctx, s.Err))
	}
	if q.Put && q.Twist.Do != storm.Deletes {
		s.Bytes = int64(body.Size(q.Size))
	}
	return s
}

func (r *run) deadline(q storm.Request) time.Duration {
	if q.Put {
		return q.Began + segment.Budget
	}
	at := r.now() + r.x.c.ReadTimeout
	if q.Pace > 0 {
		at += time.Duration(largest/q.Pace+1) * time.Second
	}
	return at
}

// orEnded prefers ctx's word for why a request ended to the transport's, which may only say that a connection was closed.
func orEnded(ctx context.Context, err error) error {
	if ended := context.Cause(ctx); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("%w: %w", ended, err)
	}
	return err
}

// oursToBlame reports whether err says that this machine, not the target, could not open a connection.
func oursToBlame(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (r *run) request(ctx context.Context, q storm.Request) (*site, *http.Request, error) {
	if !q.Put {
		site, url := r.x.sites.serve(q)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("live: GET %v: %w", q.ID, err)
		}
		if q.Match != "" {
			req.Header.Set("If-Match", q.Match)
		}
		r.x.c.Serve.sign(req, r.x.c.UserAgent)
		req.Close = q.Class != storm.Probe && r.x.sites.reconnects()
		return site, req, nil
	}
	site, url := r.x.sites.publish(q)
	if q.Twist.Do == storm.Deletes {
		req, err := http.NewRequestWithContext(ctx, http.MethodDelete, url, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("live: DELETE %v: %w", q.ID, err)
		}
		r.x.c.Publish.sign(req, r.x.c.UserAgent)
		return site, req, nil
	}
	content, size := r.body(q)
	up := &upload{Reader: content}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: up.got, WroteRequest: up.sent})
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, up)
	if err != nil {
		return nil, nil, fmt.Errorf("live: PUT %v: %w", q.ID, err)
	}
	req.ContentLength, req.Close = size, q.Twist.Do == storm.Reconnected
	if r.x.c.Chunked {
		req.ContentLength = -1
	}
	req.Header.Set("Content-Type", "video/mp4")
	r.x.c.Publish.sign(req, r.x.c.UserAgent)
	return site, req, nil
}

// body returns what q publishes, and how many bytes that are.
func (r *run) body(q storm.Request) (io.Reader, int64) {
	id := q.ID
	if r.x.c.SameBytes {
		id.Pipeline = ""
	}
	return body.Twisted(id, r.x.c.Template(q.ID), q.Size, q.Twist), int64(body.Size(q.Size))
}

// read takes the answer's body to its end, and compares it where it is a segment's.
func (r *run) read(s *storm.Sample, res *http.Response) {
	defer res.Body.Close()
	stamped := stamp{r: res.Body, run: r, at: r.now()}
	if s.Pace > 0 {
		stamped.r = &paced{ctx: res.Request.Context(), r: res.Body, pace: s.Pace}
	}
	defer func() { s.Done = stamped.at }()
	if s.Put || s.Status != http.StatusOK || r.x.c.Unverified {
		s.Bytes, s.Err = body.Discard(&stamped)
		return
	}
	want := s.ID.Asked()
	switch {
	case s.Pipeline != "":
		want.Pipeline = s.Pipeline
	case s.Match != "": // an answer that names no pipeline still has to be the copy of that ETag
		want.Pipeline = s.ID.Pipeline
	}
	found, err := body.Verify(&stamped, want, res.ContentLength)
	s.Bytes, s.Effect, s.Damage, s.Flaw, s.Err = found.Bytes, found.Effect, found.Damage, found.Flaw, err
	if s.Pipeline == "" {
		s.Pipeline = found.ID.Pipeline
	}
	if s.Err == nil && s.Damage == storm.None && s.Match != "" && s.ETag != "" && s.ETag != s.Match {
		s.Damage, s.Flaw = storm.Stale, fmt.Sprintf("ETag %s was asked for, %s came", s.Match, s.ETag)
	}
}

// stamp notes when the last Read returned.
type stamp struct {
	r   io.Reader
	run *run
	at  time.Duration
}

func (t *stamp) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.at = t.run.now()
	return n, err
}

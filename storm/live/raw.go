package live

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/body"
)

// Senders that break HTTP on purpose cannot be built on net/http, which does its best to be right. They write their requests to a
// connection of their own, here and nowhere else.

// byHand reports whether a publish has to be written by hand.
func byHand(e storm.Effect) bool {
	switch e {
	case storm.Cut, storm.Overstated, storm.Understated, storm.Trickled, storm.HungUp, storm.Chained:
		return true
	}
	return false
}

// trickling bounds how long a body that never ends is sent: longer than any origin should bear it.
const trickling = 2 * time.Minute

// abuse publishes q in the way its twist says. A sender that cannot be answered makes a sample that a fault is the reason of,
// unless it is answered all the same: an origin that acknowledges half a body has to stand by its word.
func (r *run) abuse(q storm.Request) (s storm.Sample) {
	s.Request = q
	until := r.start.Add(q.Began + segment.Budget)
	if q.Twist.Do == storm.Trickled {
		until = r.start.Add(q.Began + trickling)
	}
	ctx, cancel := context.WithDeadline(r.wire, until)
	defer cancel()
	site, address := r.x.sites.publish(q)
	h, err := r.byHand(q, address)
	if err != nil {
		s.Sent = r.now()
		s.Done, s.Via, s.Err = s.Sent, storm.Dropped, err
		return s
	}
	s.Sent = r.now()
	var res *http.Response
	if q.Twist.Do == storm.Chained {
		res, err = site.chained(ctx, q.ID.Rendition, h)
	} else {
		res, err = h.alone(ctx, site)
	}
	s.Done = r.now()
	if res != nil {
		s.First, s.Status, s.ETag, s.Pipeline = s.Done, res.StatusCode, res.Header.Get("ETag"), res.Header.Get("Origin-Pipeline")
		s.Store, s.Fresh = storeTime(res.Header), retryAfter(res.Header)
	}
	s.Bytes = int64(body.Size(q.Size))
	switch {
	case q.Twist.Do.Unanswered() && s.Status/100 != 2:
		s.Err = fmt.Errorf("live: PUT %v, %v: %w", q.ID, q.Twist.Do, storm.ErrFault)
	case err != nil:
		s.Err = fmt.Errorf("live: PUT %v, %v: %w", q.ID, q.Twist.Do, orEnded(ctx, err))
	}
	return s
}

// hand is a request that is written by hand.
type hand struct {
	scheme, host string
	head         []byte
	body         io.Reader
	size         int64
	twist        storm.Twist
	request      *http.Request // what it would be; for the reading of its answer
}

func (r *run) byHand(q storm.Request, address string) (*hand, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("live: PUT %v: %w", q.ID, err)
	}
	up, size := r.body(q)
	h := &hand{scheme: u.Scheme, host: net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])),
		body: up, size: size, twist: q.Twist}
	if h.request, err = http.NewRequest(http.MethodPut, address, nil); err != nil {
		return nil, fmt.Errorf("live: PUT %v: %w", q.ID, err)
	}
	r.x.c.Publish.sign(h.request, r.x.c.UserAgent)
	header := h.request.Header
	header.Set("Content-Type", "video/mp4")
	switch q.Twist.Do {
	case storm.Cut:
		header.Set("Transfer-Encoding", "chunked")
	case storm.Overstated:
		header.Set("Content-Length", strconv.FormatInt(h.size+q.Twist.By, 10))
	case storm.Understated:
		header.Set("Content-Length", strconv.FormatInt(max(0, h.size-q.Twist.By), 10))
	default:
		header.Set("Content-Length", strconv.FormatInt(h.size, 10))
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "PUT %s HTTP/1.1\r\nHost: %s\r\n", u.RequestURI(), u.Host)
	if err := header.Write(&b); err != nil {
		return nil, fmt.Errorf("live: PUT %v: %w", q.ID, err)
	}
	b.WriteString("\r\n")
	h.head = b.Bytes()
	return h, nil
}

// dial opens a connection of the site's for h.
func (h *hand) dial(ctx context.Context, site *site) (net.Conn, error) {
	c, err := site.DialContext(ctx, "tcp", h.host)
	if err != nil || h.scheme != "https" {
		return c, err
	}
	conf := site.TLSClientConfig.Clone()
	conf.ServerName, _, _ = net.SplitHostPort(h.host)
	secure := tls.Client(c, conf)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return secure, nil
}

// alone sends h over a connection of its own and returns the answer, if it waits for one and there is one.
func (h *hand) alone(ctx context.Context, site *site) (*http.Response, error) {
	c, err := h.dial(ctx, site)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if h.twist.Do == storm.HungUp {
		return nil, h.write(c)
	}
	// The origin has a say in the middle of a body, too: it may refuse to wait, or have had enough.
	var res *http.Response
	answered := make(chan struct{})
	go func() { // it ends with the connection, or before; alone waits for that
		defer close(answered)
		res, _ = h.answer(bufio.NewReader(c)) // that there is none is told by res
	}()
	if h.twist.Do == storm.Trickled {
		err = h.trickle(ctx, c, answered)
	} else {
		err = h.write(c)
	}
	if half, ok := c.(interface{ CloseWrite() error }); err == nil && h.twist.Do.Unanswered() && (!ok || half.CloseWrite() != nil) {
		err = c.Close() // the end of what is sent, and with it of what is heard: not every network has one without the other
	}
	if err != nil && h.twist.Do != storm.Understated {
		err = errors.Join(err, c.Close())
	}
	<-answered
	if res == nil {
		return nil, cmp.Or(err, errSilence)
	}
	return res, nil
}

// errSilence is what a publish gets whose connection ended without an answer.
var errSilence = errors.New("live: the connection ended without an answer")

// write sends h's head and as much of its body as its twist lets it.
func (h *hand) write(w io.Writer) error {
	if h.twist.Do != storm.Cut {
		out := bufio.NewWriterSize(w, 64<<10)
		if _, err := out.Write(h.head); err != nil {
			return err
		}
		if _, err := io.Copy(out, h.body); err != nil {
			return err
		}
		return out.Flush()
	}
	half := make([]byte, h.size/2)
	if _, err := io.ReadFull(h.body, half); err != nil {
		return err
	}
	// One whole chunk, and one of which a part is missing.
	whole, part := half[:len(half)/2], half[len(half)/2:]
	out := append(h.head, fmt.Appendf(nil, "%x\r\n", len(whole))...)
	out = append(out, whole...)
	out = append(out, fmt.Appendf(nil, "\r\n%x\r\n", 2*len(part))...)
	_, err := w.Write(append(out, part...))
	return err
}

// trickle sends h's body byte by byte, until it is answered or ctx ends.
func (h *hand) trickle(ctx context.Context, w io.Writer, answered <-chan struct{}) error {
	if _, err := w.Write(h.head); err != nil {
		return err
	}
	tick := time.NewTicker(max(time.Microsecond, time.Second/time.Duration(max(1, h.twist.By))))
	defer tick.Stop()
	one := make([]byte, 1)
	for {
		select {
		case <-tick.C:
		case <-answered:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
		if _, err := io.ReadFull(h.body, one); err != nil {
			return nil // it is small enough to have ended
		}
		if _, err := w.Write(one); err != nil {
			return err
		}
	}
}

// answer reads one answer as a whole.
func (h *hand) answer(from *bufio.Reader) (*http.Response, error) {
	res, err := http.ReadResponse(from, h.request)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res, errors.Join(err, res.Body.Close())
}

// chain is a connection on which requests follow one another without waiting for answers, as ffmpeg sends them.
type chain struct {
	conn net.Conn
	from *bufio.Reader

	write chan struct{} // has room for the one that writes, who alone looks at last
	last  chan struct{}
}

// chained sends h over the connection that all chained publishes of a rendition share, behind the ones before it, and returns its
// answer when those have got theirs.
func (p *site) chained(ctx context.Context, rendition string, h *hand) (*http.Response, error) {
	c, err := p.chain(ctx, rendition, h)
	if err != nil {
		return nil, err
	}
	fail := func(err error) error { // nobody knows any more whose answer comes next
		p.mu.Lock()
		if p.chains[rendition] == c {
			delete(p.chains, rendition)
		}
		p.mu.Unlock()
		return errors.Join(err, c.conn.Close())
	}
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	mine := make(chan struct{})
	defer close(mine)
	select {
	case c.write <- struct{}{}:
	case <-ctx.Done():
		return nil, fail(ctx.Err())
	}
	err = h.write(c.conn)
	before := c.last
	c.last = mine
	<-c.write
	if err != nil {
		return nil, fail(err)
	}
	if before != nil {
		select {
		case <-before:
		case <-ctx.Done():
			return nil, fail(ctx.Err())
		}
	}
	res, err := h.answer(c.from)
	if err != nil {
		return res, fail(err)
	}
	if res.Close {
		return res, fail(nil)
	}
	return res, nil
}

// chain returns the connection for chained publishes of a rendition, a new one if there is none.
func (p *site) chain(ctx context.Context, rendition string, h *hand) (*chain, error) {
	p.mu.Lock()
	c := p.chains[rendition]
	p.mu.Unlock()
	if c != nil {
		return c, nil
	}
	conn, err := h.dial(ctx, p)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	if c = p.chains[rendition]; c == nil {
		if p.chains == nil {
			p.chains = map[string]*chain{}
		}
		c = &chain{conn: conn, from: bufio.NewReader(conn), write: make(chan struct{}, 1)}
		p.chains[rendition] = c
	}
	p.mu.Unlock()
	if c.conn != conn { // somebody else was faster
		return c, conn.Close()
	}
	return c, nil
}

// unchain closes the connections of chained publishes.
func (p *site) unchain() {
	p.mu.Lock()
	all := p.chains
	p.chains = nil
	p.mu.Unlock()
	for _, c := range all { // without the lock, which closing takes
		_ = c.conn.Close() // nobody sends on it any more
	}
}

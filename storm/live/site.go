package live

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// Target is one side of an origin and how to speak to it.
type Target struct {
	// URLs are the base URLs of its nodes, http or https. Each pipeline, or each reader, stays with one of them.
	URLs []string
	// Path names a segment, with {event}, {pipeline}, {rendition}, {number} and {name}, which is the number with ".m4s", or
	// "init.mp4". Where {number} has none, the path's last part becomes "init.mp4". Empty means the path of this project's
	// origin: /{event}/{pipeline}/{rendition}/{name}, to readers without the pipeline.
	Path string
	// User and Password are sent as basic, Bearer as bearer credentials; empty: none.
	User, Password, Bearer string
	// CA is a PEM file of the authorities to trust in place of the system's; Cert and Key are the client's own.
	CA, Cert, Key string
}

// sign adds what every request to t carries.
func (t Target) sign(r *http.Request, agent string) {
	r.Header.Set("User-Agent", agent)
	switch {
	case t.Bearer != "":
		r.Header.Set("Authorization", "Bearer "+t.Bearer)
	case t.User != "":
		r.SetBasicAuth(t.User, t.Password)
	}
}

var placeholder = regexp.MustCompile(`\{[^}]*\}?`)

// check returns what is wrong with t, after filling in its path.
func (t *Target) check(side, path string) error {
	if len(t.URLs) == 0 {
		return fmt.Errorf("live: %s: no URL given", side)
	}
	for i, s := range t.URLs {
		if err := checkURL(s); err != nil {
			return fmt.Errorf("live: %s: %w", side, err)
		}
		t.URLs[i] = strings.TrimRight(s, "/")
	}
	if t.Path == "" {
		t.Path = path
	}
	if !strings.HasPrefix(t.Path, "/") || strings.ContainsAny(t.Path, "?# ") {
		return fmt.Errorf("live: %s: path %q: must begin with / and have neither query, fragment nor blank", side, t.Path)
	}
	known := placeholder.FindAllString(path, -1)
	known = append(known, "{number}")
	numbered := false
	for _, p := range placeholder.FindAllString(t.Path, -1) {
		if !slices.Contains(known, p) {
			return fmt.Errorf("live: %s: path %q: no such placeholder as %s; there are %s", side, t.Path, p, strings.Join(known, ", "))
		}
		numbered = numbered || p == "{number}" || p == "{name}"
	}
	if !numbered {
		return fmt.Errorf("live: %s: path %q names every segment alike; it needs {number} or {name}", side, t.Path)
	}
	return nil
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return fmt.Errorf("not a URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%q: must be like http://host:port", s)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return fmt.Errorf("%q: must have neither credentials, query nor fragment; credentials have settings of their own", s)
	}
	return nil
}

// path is where id is found. It is asked for every request, and takes no memory but its result's.
func (t *Target) path(id segment.ID) string {
	pattern := t.Path
	if id.Number == segment.Init {
		if i := strings.LastIndexByte(pattern, '/'); strings.Contains(pattern[i:], "{number}") {
			pattern = pattern[:i+1] + "{name}"
		}
	}
	b := make([]byte, 0, 64)
	for {
		text, rest, ok := strings.Cut(pattern, "{")
		b = append(b, text...)
		if !ok {
			return string(b)
		}
		var name string
		name, pattern, _ = strings.Cut(rest, "}")
		switch name {
		case "event":
			b = append(b, url.PathEscape(id.Event)...)
		case "pipeline":
			b = append(b, url.PathEscape(id.Pipeline)...)
		case "rendition":
			b = append(b, url.PathEscape(id.Rendition)...)
		case "number":
			b = strconv.AppendInt(b, id.Number, 10)
		case "name":
			if id.Number == segment.Init {
				b = append(b, "init.mp4"...)
				break
			}
			b = strconv.AppendInt(b, id.Number, 10)
			b = append(b, ".m4s"...)
		}
	}
}

// tls returns t's TLS configuration.
func (t *Target) tls(side string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("live: %s: authorities: %w", side, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("live: %s: authorities: %s holds no certificate in PEM form", side, t.CA)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, fmt.Errorf("live: %s: a client certificate needs both its file and its key's; given are %q and %q", side, t.Cert, t.Key)
	}
	if t.Cert != "" {
		cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("live: %s: client certificate: %w", side, err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

// Knock returns an error that says which of t's URLs does not answer, and why: nobody listens there, or no TLS connection comes
// about with t's authorities.
func (t *Target) Knock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := t.tls("knock")
	if err != nil {
		return err
	}
	for _, address := range t.URLs {
		u, err := url.Parse(address)
		if err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
		dial, advice := (&net.Dialer{}).DialContext, "is it running, and is the address right?"
		if u.Scheme == "https" {
			dial, advice = (&tls.Dialer{Config: c}).DialContext, "is HTTPS spoken there, and does an authority of --ca vouch for it?"
		}
		conn, err := dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), u.Scheme)))
		if err != nil {
			return fmt.Errorf("%s does not answer: %w; %s", address, err, advice)
		}
		conn.Close()
	}
	return nil
}

// sites are the machines that requests come from: one for each pipeline and one for each reader, with connections of their
// own.
type sites struct {
	c                     Config
	publishTLS, serveTLS  *tls.Config
	dial                  func(ctx context.Context, network, address string) (net.Conn, error)
	mu                    sync.Mutex // guards what follows
	publishers, consumers map[string]*site
	reconnecting          int // how many faults make readers connect anew for each request
}

// site is one of them.
type site struct {
	*http.Transport
	base string

	mu     sync.Mutex // guards what follows; of publishers only
	conns  map[*conn]bool
	silent int // how many faults keep its publishes back
	broken int // how many faults reset its connections
	chains map[string]*chain
}

func newSites(c Config) (*sites, error) {
	s := &sites{c: c, dial: c.Dial, publishers: map[string]*site{}, consumers: map[string]*site{}}
	s.c.Publish.URLs, s.c.Serve.URLs = slices.Clone(c.Publish.URLs), slices.Clone(c.Serve.URLs)
	s.c.Pipelines = maps.Clone(c.Pipelines)
	if err := s.c.Publish.check("publish", "/{event}/{pipeline}/{rendition}/{name}"); err != nil {
		return nil, err
	}
	if err := s.c.Serve.check("serve", "/{event}/{rendition}/{name}"); err != nil {
		return nil, err
	}
	s.c.Probes = slices.Clone(c.Probes)
	for i, u := range s.c.Probes {
		if err := checkURL(u); err != nil {
			return nil, fmt.Errorf("live: probes: %w", err)
		}
		s.c.Probes[i] = strings.TrimRight(u, "/")
	}
	for p, u := range s.c.Pipelines {
		if err := checkURL(u); err != nil {
			return nil, fmt.Errorf("live: pipeline %s: %w", p, err)
		}
		s.c.Pipelines[p] = strings.TrimRight(u, "/")
	}
	var err error
	if s.publishTLS, err = s.c.Publish.tls("publish"); err != nil {
		return nil, err
	}
	if s.serveTLS, err = s.c.Serve.tls("serve"); err != nil {
		return nil, err
	}
	if s.dial == nil {
		s.dial = (&net.Dialer{Timeout: segment.Budget, KeepAlive: 30 * time.Second}).DialContext
	}
	return s, nil
}

func (s *sites) transport(c *tls.Config) *http.Transport {
	return &http.Transport{
		DialContext:         s.dial,
		TLSClientConfig:     c,
		DisableCompression:  true,
		MaxIdleConnsPerHost: s.c.MaxInFlight, // the default of 2 would redial in every tick
		IdleConnTimeout:     time.Minute,
	}
}

// serve returns where q is asked for, and from where.
func (s *sites) serve(q storm.Request) (*site, string) {
	s.mu.Lock()
	from, ok := s.consumers[q.From]
	if !ok {
		urls := s.c.Serve.URLs
		if q.Class == storm.Probe && len(s.c.Probes) > 0 {
			urls = s.c.Probes
		}
		from = &site{Transport: s.transport(s.serveTLS), base: pick(urls, q.From)}
		if q.Pace > 0 {
			from.DialContext = narrow(s.dial)
		}
		s.consumers[q.From] = from
	}
	s.mu.Unlock()
	return from, from.base + s.c.Serve.path(q.ID.Asked())
}

// reconnects reports whether a fault makes readers connect anew for each request.
func (s *sites) reconnects() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reconnecting > 0
}

// onReaders carries out, or undoes, what f does to readers. Connections that are in use stay as they are until their answer has
// come.
func (s *sites) onReaders(f storm.Fault, undo bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Do == "reconnect" {
		if s.reconnecting++; undo {
			s.reconnecting -= 2
		}
	}
	for _, c := range s.consumers {
		c.CloseIdleConnections()
	}
}

// publish returns where q is sent, and from where.
func (s *sites) publish(q storm.Request) (*site, string) {
	from := s.pipeline(q.ID.Pipeline)
	return from, from.base + s.c.Publish.path(q.ID)
}

func (s *sites) pipeline(name string) *site {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.publishers[name]
	if !ok {
		p = &site{Transport: s.transport(s.publishTLS), base: s.c.Pipelines[name], conns: map[*conn]bool{}}
		if p.base == "" {
			p.base = pick(s.c.Publish.URLs, name)
		}
		p.WriteBufferSize = 64 << 10 // bodies in fewer writes
		p.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := s.dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return p.adopt(c), nil
		}
		s.publishers[name] = p
	}
	return p
}

// pick chooses one of urls by name, the same in every process of a run.
func pick(urls []string, name string) string {
	h := fnv.New32a()
	h.Write([]byte(name))
	return urls[int(h.Sum32()%uint32(len(urls)))]
}

// silent reports whether a fault keeps the pipeline's publishes back.
func (s *sites) silent(pipeline string) bool {
	p := s.pipeline(pipeline)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.silent > 0
}

// fault carries out, or undoes, what f does to a pipeline; other faults are not its business.
func (s *sites) fault(f storm.Fault, undo bool) {
	if f.To == "readers" {
		s.onReaders(f, undo)
		return
	}
	name, ok := strings.CutPrefix(f.To, "pipeline ")
	if !ok {
		return
	}
	p := s.pipeline(name)
	by := 1
	if undo {
		by = -1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch f.Do {
	case "kill", "stop":
		p.silent += by
	case "reset":
		if f.For > 0 {
			p.broken += by
		}
		for c := range p.conns {
			if !undo {
				c.breakOff()
			} else if p.broken == 0 {
				c.spare()
			}
		}
	}
}

func (s *sites) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, all := range []map[string]*site{s.publishers, s.consumers} {
		for _, p := range all {
			p.unchain()
			p.CloseIdleConnections()
		}
	}
}

// adopt wraps a new connection of p's.
func (p *site) adopt(inner net.Conn) *conn {
	c := &conn{Conn: inner, site: p}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.breaking = p.broken > 0
	p.conns[c] = true
	return c
}

// conn is a publisher's connection, which a fault can reset in the middle of a body.
type conn struct {
	net.Conn
	site *site

	mu       sync.Mutex // guards what follows
	inBody   bool
	writing  bool
	breaking bool // the next write of a part of a body breaks off halfway
	broken   bool
}

// errReset is what a publish gets whose connection a fault broke.
var errReset = fmt.Errorf("live: reset by a fault of the scenario: %w", syscall.ECONNRESET)

// noticed is how long a broken-off write waits before its reset: a kernel that sees a reset drops what nobody has read yet, and
// the target is to have seen the body begin.
const noticed = 10 * time.Millisecond

// upload is a body on its way. The transport flushes the header before it reads a body, so that what is written after the
// first Read is the body's.
type upload struct {
	io.Reader
	conn *conn // that it goes to, once it is known
}

func (u *upload) Read(b []byte) (int, error) {
	u.conn.body(true)
	return u.Reader.Read(b)
}

// got notes which connection the transport took.
func (u *upload) got(info httptrace.GotConnInfo) {
	inner := info.Conn
	if secure, ok := inner.(*tls.Conn); ok {
		inner = secure.NetConn()
	}
	u.conn, _ = inner.(*conn)
}

// sent notes that the body was written.
func (u *upload) sent(httptrace.WroteRequestInfo) { u.conn.body(false) }

// body notes whether what is written belongs to a body. c may be nil.
func (c *conn) body(in bool) {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.inBody = in
	c.mu.Unlock()
}

// breakOff resets c: at once in the middle of a body's write, else in the middle of the next one.
func (c *conn) breakOff() {
	c.mu.Lock()
	c.breaking = true
	now := c.inBody && c.writing
	c.mu.Unlock()
	if now {
		c.reset()
	}
}

// spare takes breakOff back for a connection that has carried no body since.
func (c *conn) spare() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.breaking = false
}

// reset closes c with a RST where that is possible, so that the other side sees it break and not end.
func (c *conn) reset() {
	c.mu.Lock()
	c.broken = true
	c.mu.Unlock()
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it fails on a closed connection only
	}
	_ = c.Conn.Close()
}

func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	breaking := c.breaking && c.inBody
	c.writing = !breaking
	c.mu.Unlock()
	if breaking {
		n, _ := c.Conn.Write(b[:len(b)/2])
		time.Sleep(noticed)
		c.reset()
		return n, errReset
	}
	n, err := c.Conn.Write(b)
	c.mu.Lock()
	c.writing = false
	c.mu.Unlock()
	return n, c.why(err)
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, c.why(err)
}

// why replaces what the end of a reset connection looks like from this side, a closed one.
func (c *conn) why(err error) error {
	if err == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		return errReset
	}
	return err
}

// CloseWrite ends what is sent and leaves c open for what comes, where the network can do that.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (c *conn) Close() error {
	c.site.mu.Lock()
	delete(c.site.conns, c)
	c.site.mu.Unlock()
	return c.Conn.Close()
}

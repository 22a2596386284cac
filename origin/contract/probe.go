package contract

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"origin-storm/origin/segment"
)

// session is what the cases of one run share: the target, and who uses which numbers.
type session struct {
	*Target
	nonce string // makes the bytes of this run differ from those of any other

	next int64 // the newest number whose deadline had passed when the run began
	span int64 // how many numbers of each rendition have passed and may be used
	from int64 // where among them the run begins

	mu    sync.Mutex          // guards the following
	past  int64               // how many names were given away whose deadline had passed
	live  int64               // the first name to come that was not given away, counted over all renditions
	taken map[segment.ID]bool // those after it that were

	pulse pulse
}

// How much of the event's past a run needs.
const (
	behind   = 4               // segments from the live edge to the first number whose deadline has passed on any clock
	lasts    = 2 * time.Minute // no run is longer: what is younger than the DVR window by as much stays inside it
	enough   = 64              // numbers of each rendition
	shortest = 2 * lasts       // DVR window
	leadLive = 3               // segments from the live edge to a number that is not held for a while
	tries    = 64              // names that are tried where others are taken
)

// newSession returns an error if the event has too little past.
func newSession(t *Target) (*session, error) {
	now, d := time.Now(), t.Template.Duration()
	s := &session{Target: t, taken: map[segment.ID]bool{}, pulse: pulse{turn: make(chan struct{}, 1)}, nonce: strconv.FormatInt(now.UnixNano(), 36), next: t.Template.Next(now)}
	late := int64((segment.Budget + t.Slack + d - 1) / d)
	newest := s.next - behind - late
	s.span = min(int64((t.DVR-lasts)/d)-behind-late, newest-t.Template.StartNumber)
	if s.span < enough {
		return nil, fmt.Errorf("contract: target: event %q has %d segments behind its live edge that may be published late; %d are needed: try later, or an event with more past", t.Event, max(s.span, 0), enough)
	}
	s.next = newest
	// A second run a minute later must find other names: the first one's are taken.
	s.from = now.UnixNano() / int64(time.Millisecond) % s.span
	return s, nil
}

// pastName returns the name of a segment whose deadline has passed and that stays in the DVR window for the run, which nobody
// has published as far as the origin says. No other case uses it.
func (p *probe) pastName() segment.ID {
	for range tries {
		p.mu.Lock()
		i := p.past
		p.past++
		p.mu.Unlock()
		r := int64(len(p.Renditions))
		id := segment.ID{Event: p.Event, Rendition: p.Renditions[i%r], Number: p.next - (p.from+i/r)%p.span}
		if a := p.request(http.MethodHead, p.Serve[0]+id.String(), nil); a.StatusCode != http.StatusOK {
			return id
		}
	}
	p.find("a name in the DVR window that nobody has published", fmt.Sprint(tries, " that are taken"), "one that is free")
	p.giveUp()
	return segment.ID{}
}

// liveName returns the name of a segment that is not held yet, which no other case uses.
func (p *probe) liveName() segment.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nextLive()
}

// livePair is liveName of a segment and its successor.
func (p *probe) livePair() (lower, upper segment.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		lower = p.nextLive()
		if upper, ok := p.take(lower, 1); ok {
			return lower, upper
		}
	}
}

// liveAhead is liveName of a segment that comes n segments later, or more: no other case publishes what is to be asked for too early.
func (p *probe) liveAhead(n int64) segment.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := p.nextLive()
	for {
		if id, ok := p.take(from, n); ok {
			return id
		}
		n++
	}
}

// take gives the name away that comes n segments after from, unless it is taken. It would have come later. It is called with mu held.
func (p *probe) take(from segment.ID, n int64) (segment.ID, bool) {
	from.Number += n
	if p.taken[from] {
		return segment.ID{}, false
	}
	p.taken[from] = true
	return from, true
}

// nextLive is called with mu held.
func (p *probe) nextLive() segment.ID {
	r := int64(len(p.Renditions))
	p.live = max(p.live, (p.Template.Next(time.Now())+leadLive)*r)
	for {
		id := segment.ID{Event: p.Event, Rendition: p.Renditions[p.live%r], Number: p.live / r}
		p.live++
		if !p.taken[id] {
			return id
		}
	}
}

// probe is one case at work.
type probe struct {
	*session
	ctx     context.Context
	flights sync.WaitGroup // requests that were begun
	skipped string         // why the case can not be tried after all

	found    sync.Mutex // guards the following
	findings []Finding
	void     string // why this try says nothing about the origin: this machine was too busy
}

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	what         string // the request, for findings
	body         []byte
	began, ended time.Time
}

func (p *probe) find(what, got, want string) {
	p.found.Lock()
	defer p.found.Unlock()
	p.findings = append(p.findings, Finding{What: what, Got: got, Want: want})
}

// want notes a finding unless ok.
func (p *probe) want(ok bool, what string, got any, want string) {
	if !ok {
		p.find(what, fmt.Sprint(got), want)
	}
}

// status notes a finding unless a has one of the statuses, and reports whether it has.
func (p *probe) status(a answer, statuses ...int) bool {
	if slices.Contains(statuses, a.StatusCode) {
		return true
	}
	var want []string
	for _, s := range statuses {
		want = append(want, strconv.Itoa(s))
	}
	got := strconv.Itoa(a.StatusCode)
	if a.StatusCode >= 400 && len(a.body) > 0 {
		got += fmt.Sprintf(" %.100q", strings.TrimSpace(string(a.body)))
	}
	p.find(a.what, got, strings.Join(want, " or "))
	return false
}

// header notes a finding unless a has that header field.
func (p *probe) header(a answer, name, want string) {
	got := strings.Join(a.Header.Values(name), ", ")
	p.want(got == want, a.what+": "+name, strconv.Quote(got), strconv.Quote(want))
}

// bytes notes a finding unless a has that body.
func (p *probe) bytes(a answer, want []byte) {
	p.want(bytes.Equal(a.body, want), a.what+": body", describe(a.body), describe(want))
}

func describe(b []byte) string {
	sum := sha256.Sum256(b)
	return fmt.Sprintf("%d bytes with SHA-256 %x…", len(b), sum[:6])
}

// request makes one request and reads its answer; header holds pairs of name and value. A request that is not answered at
// all ends the case.
func (p *probe) request(method, url string, body io.Reader, header ...string) answer {
	a, err := p.try(p.ctx, method, url, body, header...)
	if err != nil {
		p.find(method+" "+url, err.Error(), "an answer")
		p.giveUp()
	}
	p.bear(a)
	return a
}

func (p *probe) try(ctx context.Context, method, url string, body io.Reader, header ...string) (answer, error) {
	a := answer{what: method + " " + p.short(url), began: time.Now()}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return a, err
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Content-Length" {
			req.ContentLength, err = strconv.ParseInt(header[i+1], 10, 64)
			if err != nil {
				return a, err
			}
			continue
		}
		if header[i] == "Authorization" && header[i+1] == "" {
			req.Header["Authorization"] = nil // there shall be none
			continue
		}
		req.Header.Add(header[i], header[i+1])
		if method != http.MethodPut {
			a.what += fmt.Sprintf(" (%s: %.60s)", header[i], header[i+1])
		}
	}
	if _, given := req.Header["Authorization"]; !given {
		if p.Authorize != nil && of(p.Publish, url) {
			p.Authorize(req)
		}
		if p.AuthorizeOperator != nil && of(p.Operator, url) {
			p.AuthorizeOperator(req)
		}
	}
	if a.Response, err = p.Client.Do(req); err != nil {
		return a, err
	}
	defer a.Body.Close()
	a.body, err = io.ReadAll(io.LimitReader(a.Body, 1<<30))
	a.ended = time.Now()
	return a, err
}

// short is url without the scheme and host where there is one node only.
func (p *probe) short(url string) string {
	for _, nodes := range [][]string{p.Publish, p.Serve, p.Operator} {
		if len(nodes) == 1 {
			if rest, ok := strings.CutPrefix(url, nodes[0]); ok {
				return rest
			}
		}
	}
	return url
}

// of reports whether url is of one of nodes.
func of(nodes []string, url string) bool {
	return slices.ContainsFunc(nodes, func(base string) bool { return strings.HasPrefix(url, base+"/") })
}

// flight is a request whose answer is still to come.
type flight struct {
	p      *probe
	what   string
	done   chan struct{}
	answer answer
	err    error
}

// start begins a GET at a serve node and does not wait for its answer.
func (p *probe) start(url string, header ...string) *flight {
	f := &flight{p: p, what: "GET " + p.short(url), done: make(chan struct{})}
	p.flights.Go(func() {
		defer close(f.done)
		f.answer, f.err = p.try(p.ctx, http.MethodGet, url, nil, header...)
	})
	return f
}

// wait returns the answer.
func (f *flight) wait() answer {
	<-f.done
	if f.err != nil {
		f.p.find(f.what, f.err.Error(), "an answer")
		f.p.giveUp()
	}
	f.p.bear(f.answer)
	return f.answer
}

// get asks the first serve node for what path names.
func (p *probe) get(path string, header ...string) answer {
	return p.request(http.MethodGet, p.Serve[0]+path, nil, header...)
}

// put publishes body at the first publish node.
func (p *probe) put(path string, body []byte, header ...string) answer {
	return p.request(http.MethodPut, p.Publish[0]+path, bytes.NewReader(body), header...)
}

// publish is a put that later steps build on: unless it succeeds the case ends.
func (p *probe) publish(id segment.ID, body []byte, header ...string) answer {
	a := p.put(id.String(), body, header...)
	if !p.status(a, http.StatusOK, http.StatusCreated) {
		p.giveUp()
	}
	return a
}

// read is a GET of the whole segment that later steps build on: unless it is answered 200 the case ends.
func (p *probe) read(path string, header ...string) answer {
	a := p.get(path, header...)
	if !p.status(a, http.StatusOK) {
		p.giveUp()
	}
	return a
}

// first and second are id's copies by the preferred pipeline and the next one.
func (p *probe) first(id segment.ID) segment.ID  { return id.Candidate(p.Pipelines[0]) }
func (p *probe) second(id segment.ID) segment.ID { return id.Candidate(p.Pipelines[1]) }

// initialise publishes an initialisation segment of all renditions but the last, which has none for the row about that.
func (p *probe) initialise() {
	for _, r := range p.Renditions[:max(1, len(p.Renditions)-1)] {
		id := segment.ID{Event: p.Event, Rendition: r, Number: segment.Init}
		for _, pipeline := range p.Pipelines {
			p.publish(id.Candidate(pipeline), p.bodyOf(id.Candidate(pipeline)))
		}
	}
}

// bodyOf returns the bytes of what id's pipeline publishes in this run; variant tells several of them apart.
func (p *probe) bodyOf(id segment.ID, variant ...string) []byte {
	const size = 3000
	seed := sha256.Sum256([]byte(p.nonce + id.String() + strings.Join(variant, " ")))
	b := make([]byte, size)
	for i := range b {
		b[i] = seed[i%len(seed)] + byte(i/len(seed))
	}
	return b
}

// until sleeps until t, which is an instant of the event's clock, and a little longer where the clocks may differ.
func (p *probe) until(t time.Time) {
	if err := sleep(p.ctx, time.Until(t)); err != nil {
		p.find("the case", err.Error(), "its time")
		p.giveUp()
	}
}

// sleep returns nil after d, or why ctx has ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// opens is when a request for n begins to be held.
func (p *probe) opens(n int64) time.Time { return p.Template.Opens(n) }

// turns is when n becomes the next number, one duration before it is due: from then on it is looked for.
func (p *probe) turns(n int64) time.Time { return p.Template.Due(n - 1) }

// around notes a finding unless got is want, give or take the slack.
func (p *probe) around(what string, got, want time.Time) {
	off := got.Sub(want)
	p.want(off >= -p.Slack && off <= p.slackSince(want, got), what, fmt.Sprintf("%v off", off.Round(time.Millisecond)), fmt.Sprintf("within %v of its instant", p.Slack))
}

// prompt notes a finding unless a was answered without waiting.
func (p *probe) prompt(a answer) {
	took := a.ended.Sub(a.began)
	p.want(took <= p.slackSince(a.began, a.ended), a.what+": answered", "after "+took.Round(time.Millisecond).String(), "at once")
}

// promptAfter notes a finding unless a, which was held, was answered as soon as it could be: when put had been.
func (p *probe) promptAfter(put, a answer) {
	late := a.ended.Sub(put.ended)
	p.want(late <= p.slackSince(put.ended, a.ended), a.what+": answered after the publication", late.Round(time.Millisecond), "at once")
}

// by ends the try unless at, when a step of the case was made, is before t. A case calls it for a step that means something before t
// only: on a machine that came to it too late the origin's answer would be right, and the finding wrong. The case is tried again on
// other names.
func (p *probe) by(t time.Time, step string, at time.Time) {
	if late := at.Sub(t); late >= 0 {
		p.again(fmt.Sprintf("%s came %v too late", step, late.Round(time.Millisecond)))
	}
}

// bear ends the try if a says that the store did not answer within its budget (row L7), on a machine that had no time for it.
func (p *probe) bear(a answer) {
	if lag := p.pulse.lag(a.began, a.ended); a.StatusCode == http.StatusGatewayTimeout && lag >= starved {
		p.again(fmt.Sprintf("%s was answered 504 while what waits for nothing took %v", a.what, lag.Round(time.Millisecond)))
	}
}

// again ends the try, which says nothing about the origin, because of why.
func (p *probe) again(why string) {
	p.found.Lock()
	p.void = why
	p.found.Unlock()
	p.giveUp()
}

// arrived is by when a's request was with the origin; what it takes longer to be answered is the origin's doing.
func (p *probe) arrived(a answer) time.Time {
	by := a.began.Add(p.slackSince(a.began, a.ended))
	if a.ended.Before(by) {
		by = a.ended
	}
	return by
}

// maxAge returns the max-age of a's Cache-Control in seconds; -1 without one.
func maxAge(a answer) int64 {
	for directive := range strings.SplitSeq(strings.Join(a.Header.Values("Cache-Control"), ","), ",") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(directive), "max-age="); ok {
			if n, err := strconv.ParseInt(v, 10, 64); err == nil {
				return n
			}
		}
	}
	return -1
}

// ttlMillis returns a's lifetime in milliseconds as its own header says it; -1 without one.
func ttlMillis(a answer) int64 {
	n, err := strconv.ParseInt(a.Header.Get(headerTTL), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func etagOf(a answer) string { return a.Header.Get("ETag") }

// digestOf is the value of a Content-Digest field (RFC 9530) for body.
func digestOf(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// The header fields that the contract adds to HTTP's own.
const (
	headerDefects  = "Origin-Defects"
	headerSlate    = "Origin-Slate"
	headerKept     = "Origin-Kept"
	headerTTL      = "Origin-TTL-Ms"
	headerPipeline = "Origin-Pipeline"
	headerNode     = "Origin-Node"

	headerNotices      = "Origin-Notices"
	headerCacheVersion = "Origin-Cache-Version"
)

// wire is a connection on which a case writes what no HTTP client would.
type wire struct {
	net.Conn
	p    *probe
	what string
	in   *bufio.Reader
}

// connect opens a connection to base, a URL of the target. The caller closes it.
func (p *probe) connect(base, what string) *wire {
	fail := func(err error) {
		p.find(what, err.Error(), "a connection")
		p.giveUp()
	}
	u, err := url.Parse(base)
	if err != nil {
		fail(err)
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	conn, err := p.Dial(p.ctx, "tcp", address)
	if err != nil {
		fail(err)
	}
	if u.Scheme == "https" {
		cfg := &tls.Config{}
		if t, ok := p.Client.Transport.(*http.Transport); ok && t.TLSClientConfig != nil {
			cfg = t.TLSClientConfig.Clone()
		}
		cfg.ServerName, cfg.NextProtos = u.Hostname(), nil
		conn = tls.Client(conn, cfg)
	}
	return &wire{Conn: conn, p: p, what: what, in: bufio.NewReader(conn)}
}

// head writes a request's line and header fields; fields are whole lines.
func (w *wire) head(method, base, path string, fields ...string) {
	req, err := http.NewRequest(method, base+path, nil)
	if err != nil {
		w.p.find(w.what, err.Error(), "a request")
		w.p.giveUp()
	}
	if w.p.Authorize != nil {
		w.p.Authorize(req)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, req.Host)
	if auth := req.Header.Get("Authorization"); auth != "" {
		fmt.Fprintf(&b, "Authorization: %s\r\n", auth)
	}
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	w.write(b.String() + "\r\n")
}

func (w *wire) write(s string) {
	if _, err := io.WriteString(w, s); err != nil {
		w.p.find(w.what, err.Error(), "that the origin reads it")
		w.p.giveUp()
	}
}

// answer reads the response; nil if none came before the deadline or the connection's end.
func (w *wire) answer(within time.Duration) *http.Response {
	if err := w.SetReadDeadline(time.Now().Add(within)); err != nil {
		return nil
	}
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return nil
	}
	res.Body.Close()
	return res
}

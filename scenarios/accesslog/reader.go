package accesslog

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"container/heap"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strings"
	"time"
)

// Config says how a log is read.
type Config struct {
	// Format is Common or JSON; empty: what the first line seems to be.
	Format string
	// Fields are those of a JSON log.
	Fields Fields
	// Path is where a path has rendition and number.
	Path Pattern
	// Renditions are the log's names of the renditions that count.
	Renditions []string
	// Segment is how long a segment lasts.
	Segment time.Duration
	// Spread returns a number from 0 to 1 for a line, by which requests that are logged in whole seconds are spread over them. Nil
	// leaves them at the second's begin.
	Spread func(line int64) float64
}

// Request is an entry that asks for a segment.
type Request struct {
	// At counts from the log's first request.
	At time.Duration
	// Line is the number of the line, from 1.
	Line int64
	// Client stands for who asked: equal for equal clients.
	Client uint64
	// Rendition counts in Config.Renditions.
	Rendition int
	// Behind is how many segments the newest one of that rendition was ahead of this one when it was asked for; negative if this one
	// was not there yet.
	Behind int64
}

// Counts is what has been read.
type Counts struct {
	// Lines is how many lines there were, Requests how many of them ask for a segment of a rendition that counts, Others how many for
	// something else.
	Lines, Requests, Others int64
	// Unreadable is how many lines make no sense; Bad says which one was first, and why.
	Unreadable int64
	Bad        error
	// Late is how many requests came too far behind their turn in the log, and were left out.
	Late int64
	// Unknown are some names of renditions that do not count, Stranger a path that is not of a segment.
	Unknown  []string
	Stranger string
	// Length is how long the log lasts.
	Length time.Duration
}

const (
	// slack is how far lines may be from their order: logs are written when answers end, and by several machines.
	slack = 10 * time.Second
	// most bounds how many requests are kept to put them into order, 40 MB of them.
	most = 1 << 20
	// longest is a line that is read.
	longest = 64 << 10
	// someNames bounds how many names are kept to tell of them.
	someNames = 8
)

// Reader reads a log's requests in order of time.
type Reader struct {
	c      Config
	lines  *bufio.Reader
	counts Counts
	ahead  requests
	edges  []int64 // the newest number of each rendition, -1 before the first
	start  time.Time
	phase  time.Duration
	newest time.Time
	last   time.Duration // of what was returned
	ready  bool          // ahead holds the log's first seconds
	ended  error
	names  map[string]int
}

// request is a Request whose Behind is not known yet.
type request struct {
	at        time.Time
	line      int64
	number    int64
	client    uint64
	rendition int32
	found     bool // it was there
}

type requests []request

func (r requests) Len() int { return len(r) }
func (r requests) Less(i, j int) bool {
	if c := r[i].at.Compare(r[j].at); c != 0 {
		return c < 0
	}
	return r[i].line < r[j].line
}
func (r requests) Swap(i, j int) { r[i], r[j] = r[j], r[i] }
func (r *requests) Push(x any)   { *r = append(*r, x.(request)) }
func (r *requests) Pop() any {
	o := *r
	x := o[len(o)-1]
	*r = o[:len(o)-1]
	return x
}

// NewReader reads a log from in, plain or compressed by gzip.
func NewReader(in io.Reader, c Config) (*Reader, error) {
	b := bufio.NewReaderSize(in, longest)
	if magic, _ := b.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("accesslog: %w", err)
		}
		b = bufio.NewReaderSize(z, longest)
	}
	r := &Reader{c: c, lines: b, names: map[string]int{}}
	for i, name := range c.Renditions {
		r.names[name] = i
		r.edges = append(r.edges, -1)
	}
	return r, nil
}

// Next returns the next request in order of time, or io.EOF after the last. Requests that are more than ten seconds out of order are left
// out and counted.
func (r *Reader) Next() (Request, error) {
	for r.ended == nil && !r.settled() {
		r.ended = r.read()
	}
	if r.ended != nil && r.ended != io.EOF {
		return Request{}, r.ended
	}
	if len(r.ahead) == 0 {
		return Request{}, io.EOF
	}
	if !r.ready {
		r.begin()
	}
	q := heap.Pop(&r.ahead).(request)
	edge := &r.edges[q.rendition]
	if q.found && q.number > *edge {
		*edge = q.number
	}
	r.last = q.at.Sub(r.start)
	r.counts.Length = max(r.counts.Length, r.last)
	r.counts.Requests++
	return Request{At: r.last, Line: q.line, Client: q.client, Rendition: int(q.rendition), Behind: *edge - q.number}, nil
}

// settled reports whether what is first in ahead can be no later than anything that is still to be read.
func (r *Reader) settled() bool {
	return len(r.ahead) > 0 && (len(r.ahead) >= most || r.newest.Sub(r.ahead[0].at) > slack)
}

// begin finds out, from the log's first seconds, which segments were the newest when it began, and at which instants new ones came.
func (r *Reader) begin() {
	r.ready = true
	r.start = r.ahead[0].at
	for _, q := range r.ahead {
		if !q.found {
			continue
		}
		since := int64(q.at.Sub(r.start) / r.c.Segment) // how many segments may have come since
		if q.at.Sub(r.start)%r.c.Segment > 0 {
			since++
		}
		r.edges[q.rendition] = max(r.edges[q.rendition], q.number-since)
	}
	for i, e := range r.edges { // of a rendition that nobody asked for so far: as of the others
		if e < 0 {
			r.edges[i] = slices.Max(r.edges)
		}
	}
	edges := slices.Clone(r.edges)
	var news []time.Duration
	for _, q := range slices.SortedFunc(slices.Values(r.ahead), func(a, b request) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.line, b.line))
	}) {
		if e := &edges[q.rendition]; q.found && q.number > *e {
			*e = q.number
			if at := q.at.Sub(r.start); at > 0 {
				news = append(news, at%r.c.Segment)
			}
		}
	}
	r.phase = soonest(news[:min(len(news), 256)], r.c.Segment)
}

// soonest is the one of these instants of a repeated stretch after which all of them come soonest on average.
func soonest(news []time.Duration, stretch time.Duration) (best time.Duration) {
	least := -1.0
	for _, from := range news {
		var sum float64
		for _, at := range news {
			sum += float64((at - from + stretch) % stretch)
		}
		if least < 0 || sum < least {
			best, least = from, sum
		}
	}
	return best
}

// Phase is how long after the log's first request the first new segment came, or would have, as far as its first ten seconds tell: less
// than Config.Segment. It is known once Next has returned.
func (r *Reader) Phase() time.Duration { return r.phase }

// Counts tells of all that has been read.
func (r *Reader) Counts() Counts { return r.counts }

// read takes a line.
func (r *Reader) read() error {
	line, err := r.lines.ReadSlice('\n')
	tooLong := errors.Is(err, bufio.ErrBufferFull)
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.lines.ReadSlice('\n')
	}
	if err != nil && err != io.EOF {
		return fmt.Errorf("accesslog: line %d: %w", r.counts.Lines+1, err)
	}
	if len(line) == 0 {
		return err
	}
	if r.counts.Lines++; r.counts.Lines == 1 {
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	if tooLong { // line is overwritten
		r.unreadable(fmt.Errorf("it has more than %d bytes", longest))
	} else if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
		r.line(line)
	}
	return err
}

func (r *Reader) unreadable(err error) {
	if r.counts.Unreadable++; r.counts.Bad == nil {
		r.counts.Bad = fmt.Errorf("line %d: %w", r.counts.Lines, err)
	}
}

func (r *Reader) line(line []byte) {
	r.c.Format = cmp.Or(r.c.Format, told(line))
	var e Entry
	var err error
	if r.c.Format == JSON {
		e, err = ParseJSON(line, r.c.Fields)
	} else {
		e, err = ParseCommon(line)
	}
	if err != nil {
		r.unreadable(err)
		return
	}
	name, number, ok := r.c.Path.Match(e.Path)
	i, known := r.names[name]
	if e.Method != "" && e.Method != "GET" || !ok || !known {
		r.counts.Others++
		if ok && !known && len(r.counts.Unknown) < someNames && !slices.Contains(r.counts.Unknown, name) {
			r.counts.Unknown = append(r.counts.Unknown, name)
		}
		if !ok && r.counts.Stranger == "" {
			r.counts.Stranger = clip(e.Path)
		}
		return
	}
	if e.Coarse && r.c.Spread != nil {
		e.At = e.At.Add(time.Duration(r.c.Spread(r.counts.Lines) * float64(time.Second)))
	}
	if r.ready && e.At.Before(r.start.Add(r.last)) {
		r.counts.Late++
		return
	}
	if e.At.After(r.newest) {
		r.newest = e.At
	}
	h := fnv.New64a()
	io.WriteString(h, e.Client)
	heap.Push(&r.ahead, request{
		at: e.At, line: r.counts.Lines, number: number, client: h.Sum64(), rendition: int32(i),
		found: e.Status == 0 || e.Status >= 200 && e.Status < 400,
	})
}

// Bad is which share of the lines may make no sense. A log of which more is unreadable is not what it is taken for.
const Bad = 0.01

// Scan reads a whole log and returns what is in it, and its digest. An error says why it cannot be replayed, and what to do.
func Scan(in io.Reader, c Config) (Counts, string, error) {
	sum := sha256.New()
	in = io.TeeReader(in, sum)
	r, err := NewReader(in, c)
	if err != nil {
		return Counts{}, "", err
	}
	for err == nil {
		_, err = r.Next()
	}
	n := r.Counts()
	if err != io.EOF {
		return n, "", err
	}
	if _, err := io.Copy(io.Discard, in); err != nil { // what follows a gzip stream
		return n, "", fmt.Errorf("accesslog: %w", err)
	}
	digest := "sha256:" + hex.EncodeToString(sum.Sum(nil))
	switch {
	case n.Lines == 0:
		return n, digest, errors.New("it is empty")
	case float64(n.Unreadable) > Bad*float64(n.Lines):
		return n, digest, fmt.Errorf("%d of %d lines make no sense; the first is %w; is its format one of %s?", n.Unreadable, n.Lines, n.Bad, strings.Join(Formats(), ", "))
	case n.Requests > 0:
		return n, digest, nil
	case len(n.Unknown) > 0:
		return n, digest, fmt.Errorf("it knows none of the renditions %s, but %s: name in readers.replay.renditions what the log calls each of the event's",
			strings.Join(c.Renditions, ", "), strings.Join(n.Unknown, ", "))
	case n.Stranger != "":
		return n, digest, fmt.Errorf("no path has the form %s; %s, for one, has not: say in readers.replay.path where rendition and number are", c.Path, n.Stranger)
	}
	return n, digest, errors.New("no line asks for a segment")
}

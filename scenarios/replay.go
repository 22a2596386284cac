package scenarios

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"origin-storm/origin/document"
	"origin-storm/scenarios/accesslog"
)

//go:embed *.log
var logs embed.FS

// Replay has readers ask as a CDN's access log says, in place of their behaviour: each line asks for the segment that is as far behind
// the live edge as the one in the log was. Each storm window plays the log from the same place; where it is shorter than the window,
// again and again. Every client of the log is one of the readers, the same one each time.
type Replay struct {
	// File is the log, plain or compressed by gzip: one of the library, or a file, looked for beside the scenario first.
	File string `yaml:"file"`
	// Digest is the file's, as sha256:…; left out, it is filled in. A file that has another is refused.
	Digest string `yaml:"digest,omitempty"`
	// Format is common (what HTTP servers write, combined too) or json (an object a line). Left out: as the first line looks.
	Format string `yaml:"format,omitempty"`
	// Fields are the names of a JSON log's fields. Left out: those of nginx, Cloudflare, Akamai, Fastly and CloudFront are looked for.
	Fields accesslog.Fields `yaml:"fields,omitempty"`
	// Path is where rendition and number are in the end of a path, such as {rendition}/segment-{number}.m4s; * stands for anything
	// between two slashes. Left out: {rendition}/{number}.m4s.
	Path string `yaml:"path,omitempty"`
	// Renditions are the log's names of the event's renditions, in the event's order. Left out: they are called alike.
	Renditions []string `yaml:"renditions,omitempty"`
	// Skip is how much of the log's begin is left out.
	Skip time.Duration `yaml:"skip,omitempty"`
	// Speed is how many times as fast as it was logged the log is played. Left out: 1.
	Speed float64 `yaml:"speed,omitempty"`
	// Rate is how many times as many requests come: a part of the log's, drawn by the run's seed, or each several times, from
	// other readers. Left out: 1.
	Rate float64 `yaml:"rate,omitempty"`

	// Found is what Load has found in the file.
	Found accesslog.Counts `yaml:"-"`
}

// Bounds of a replay.
const (
	maxSpeed = 1000
	maxRate  = 1000
)

// Log is how r's log is read for the event e. spread says where in a second a line belongs that tells no more than that; it may be nil.
func (r Replay) Log(e Event, spread func(line int64) float64) (accesslog.Config, error) {
	path, err := accesslog.ParsePattern(cmp.Or(r.Path, accesslog.DefaultPattern))
	names := r.Renditions
	if len(names) == 0 {
		for _, x := range e.Renditions {
			names = append(names, x.Name)
		}
	}
	return accesslog.Config{Format: r.Format, Fields: r.Fields, Path: path, Renditions: names, Segment: e.Segment.Duration(), Spread: spread}, err
}

// Open opens r's log. The caller closes it.
func (r Replay) Open() (io.ReadCloser, error) {
	if f, err := logs.Open(r.File); err == nil {
		return f, nil
	}
	return document.Open(r.File)
}

func (c *checker) replay(s Scenario) {
	r, at := s.Readers.Replay, "readers.replay"
	if r == nil {
		return
	}
	c.hinted(r.File != "", at+".file", "name the log", "a replay of nothing")
	c.hinted(r.Format == "" || slices.Contains(accesslog.Formats(), r.Format), at+".format", hint(r.Format, accesslog.Formats()), "no format is called %q", r.Format)
	_, err := r.Log(s.Event, nil)
	c.that(err == nil, at+".path", "%v", err)
	c.that(len(r.Renditions) == 0 || len(r.Renditions) == len(s.Event.Renditions), at+".renditions", "%d names: the event has %d renditions", len(r.Renditions), len(s.Event.Renditions))
	c.that(r.Skip >= 0 && r.Skip <= maxWindow, at+".skip", "%v: must be 0s to %v", r.Skip, maxWindow)
	c.that(r.Speed >= 0 && r.Speed <= maxSpeed, at+".speed", "%v: must be above 0, and %d at most", r.Speed, maxSpeed)
	c.that(r.Rate >= 0 && r.Rate <= maxRate, at+".rate", "%v: must be above 0, and %d at most", r.Rate, maxRate)
	c.hinted(s.Event.Count == 1, at, "leave event.count out", "a log is played to one event, and there are %d", s.Event.Count)
	c.hinted(s.Readers.Ramp == nil, "readers.ramp", "leave one of them out", "the log of readers.replay says who asks when")
	c.hinted(s.Readers.Restart == nil, "readers.restart", "leave one of them out", "the log of readers.replay says who asks when")
}

// find looks for the log beside the scenario in dir, unless it is the library's, and reads it once: what it is, and whether it can be
// replayed to s. Errors are of type *Error.
func (r *Replay) find(file, dir string, s Scenario) error {
	fail := func(field, hint, format string, args ...any) error {
		return &Error{File: file, Field: "readers.replay" + field, Hint: hint, Msg: fmt.Sprintf(format, args...)}
	}
	if _, err := fs.Stat(logs, r.File); err != nil && !filepath.IsAbs(r.File) {
		if beside := filepath.Join(dir, r.File); exists(beside) || !exists(r.File) {
			r.File = beside
		}
		if abs, err := filepath.Abs(r.File); err == nil { // so that it is found from wherever the resolved scenario is run
			r.File = abs
		}
	}
	log, err := r.Open()
	if errors.Is(err, fs.ErrNotExist) {
		return fail(".file", "", "there is no file %q", r.File)
	} else if err != nil {
		return fail(".file", "", "%v", err)
	}
	defer log.Close()
	c, err := r.Log(s.Event, nil)
	if err != nil {
		return fail(".path", "", "%v", err)
	}
	found, digest, err := accesslog.Scan(log, c)
	if err != nil {
		return fail("", "", "%s: %v", r.File, err)
	}
	if r.Digest != "" && r.Digest != digest {
		return fail(".digest", "leave it out to take the file as it is now", "%s has the digest %s: it is not the file that this scenario was made with", r.File, digest)
	}
	r.Found, r.Digest = found, digest
	if r.Skip > found.Length {
		return fail(".skip", "", "%v: the log lasts %v", r.Skip, found.Length)
	}
	return nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// warnings says what of the log is not played.
func (r *Replay) warnings() (all []string) {
	if r == nil || r.Found.Lines == 0 {
		return nil
	}
	n := r.Found
	note := func(count int64, format string, args ...any) {
		if count > 0 {
			all = append(all, fmt.Sprintf("readers.replay: %d of %d lines ", count, n.Lines)+fmt.Sprintf(format, args...))
		}
	}
	note(n.Unreadable, "make no sense and are left out: %v", n.Bad)
	note(n.Late, "are more than 10s out of order and are left out")
	if len(n.Unknown) > 0 {
		note(n.Others, "ask for something else, renditions that the event does not have among it: %v", n.Unknown)
	}
	return all
}

package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"origin-storm/storm"
)

// The names of the files in a run folder that this package writes and reads.
const (
	ResultsFile     = "results.json"
	ScenarioFile    = "scenario.yaml"
	HistogramsFile  = "latency.hlog"
	SegmentsFile    = "segments.ndjson"
	WindowsFile     = "windows.ndjson"
	EventsFile      = "events.ndjson"
	EnvironmentFile = "environment.json"
)

// Folder is a run folder that is being written. It lies beside its place under a temporary name until Commit, so that
// whoever finds a run folder finds a whole one. It is not safe for concurrent use.
type Folder struct {
	dir, temporary string
	events         *os.File // as they come; nil before the first
}

// Create begins a run folder that is to be at dir. Parents are made; dir itself must not exist.
func Create(dir string) (*Folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("record: run folder %s: %w", dir, err)
	}
	switch _, err := os.Lstat(dir); {
	case err == nil:
		return nil, fmt.Errorf("record: run folder %s: %w; a run never writes over another: name a new one, or move it away", dir, fs.ErrExist)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("record: run folder %s: %w", dir, err)
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("record: run folder %s: its parent cannot be made: %w", dir, err)
	}
	temporary, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+".part-")
	if err != nil {
		return nil, fmt.Errorf("record: run folder %s: nothing can be written beside it: %w", dir, err)
	}
	if err := os.Chmod(temporary, 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("record: run folder %s: %w", dir, err), os.RemoveAll(temporary))
	}
	return &Folder{dir: dir, temporary: temporary}, nil
}

// Reopen opens the folder at dir, which has a file of that name, to write into it again, in place: one file after the other is whole, and
// the folder is never absent. Abort would remove it.
func Reopen(dir, file string) (*Folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("record: folder %s: %w", dir, err)
	}
	if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
		return nil, fmt.Errorf("record: folder %s: it has no %s: %w", dir, file, err)
	}
	return &Folder{dir: dir, temporary: dir}, nil
}

// Dir is where the folder's files are until Commit: where reports are drawn.
func (f *Folder) Dir() string { return f.temporary }

// Crashed is where the folder is to be put if whoever writes it dies: Unfinished reads it there.
func (f *Folder) Crashed() string { return f.dir + ".crashed" }

// journalFile is the name of the file with the parts of the n-th backend's recording; it is there until Commit.
func journalFile(n int) string { return fmt.Sprintf("journal-%d.ndjson", n) }

// Journal begins the file to which the parts of the n-th backend's recording are written while the run goes on, each with Encode,
// so that a crash leaves them. It begins with head as JSON, for whoever puts the parts together again.
func (f *Folder) Journal(n int, head any) (io.WriteCloser, error) {
	file, err := os.Create(filepath.Join(f.temporary, journalFile(n)))
	if err != nil {
		return nil, fmt.Errorf("record: journal of run folder %s: %w", f.dir, err)
	}
	if err := json.NewEncoder(file).Encode(head); err != nil {
		return nil, errors.Join(fmt.Errorf("record: journal of run folder %s: %w", f.dir, err), file.Close())
	}
	return file, nil
}

// Commit puts the folder in its place, where it is whole from the first moment, and returns that place. After an error the
// folder is gone.
func (f *Folder) Commit() (dir string, err error) {
	if err := f.close(); err != nil {
		return "", errors.Join(err, f.Abort())
	}
	if err := os.Rename(f.temporary, f.dir); err != nil { // it replaces no folder that somebody was quicker to put there
		return "", errors.Join(fmt.Errorf("record: run folder %s: %w", f.dir, err), f.Abort())
	}
	return f.dir, nil
}

// close ends what is only of use while the folder is being written.
func (f *Folder) close() error {
	if f.events != nil {
		f.events.Close() // Events has written all of them since, or nobody wants them
		f.events = nil
	}
	for n := 1; ; n++ {
		switch err := os.Remove(filepath.Join(f.temporary, journalFile(n))); {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return fmt.Errorf("record: journal of run folder %s: %w", f.dir, err)
		}
	}
}

// Abort removes what was written. After Commit it does nothing.
func (f *Folder) Abort() error {
	if f.events != nil {
		f.events.Close()
		f.events = nil
	}
	if err := os.RemoveAll(f.temporary); err != nil {
		return fmt.Errorf("record: removing the unfinished run folder %s: %w", f.temporary, err)
	}
	return nil
}

// Write writes one file of the folder, whole or not at all.
func (f *Folder) Write(name string, write func(io.Writer) error) error {
	path := filepath.Join(f.temporary, name)
	file, err := os.Create(path + ".part")
	if err != nil {
		return fmt.Errorf("record: %s of run folder %s: %w", name, f.dir, err)
	}
	buf := bufio.NewWriterSize(file, 64<<10)
	if err = write(buf); err == nil {
		err = buf.Flush()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("record: %s of run folder %s: %w", name, f.dir, err), os.Remove(file.Name()))
	}
	return nil
}

// Results writes results.json.
func (f *Folder) Results(r *Results) error { return f.JSON(ResultsFile, r) }

// Environment writes environment.json.
func (f *Folder) Environment(env map[string]string) error { return f.JSON(EnvironmentFile, env) }

// Scenario writes scenario.yaml: the scenario as it was run, with all that was set for it.
func (f *Folder) Scenario(yaml []byte) error {
	return f.Write(ScenarioFile, func(w io.Writer) error {
		_, err := w.Write(yaml)
		return err
	})
}

// Event adds a line to events.ndjson at once, so that a crash leaves it; Events writes all of them in the end.
func (f *Folder) Event(e Event) (err error) {
	if f.events == nil {
		if f.events, err = os.Create(filepath.Join(f.temporary, EventsFile)); err != nil {
			return fmt.Errorf("record: %s of run folder %s: %w", EventsFile, f.dir, err)
		}
	}
	enc := json.NewEncoder(f.events)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return fmt.Errorf("record: %s of run folder %s: %w", EventsFile, f.dir, err)
	}
	return nil
}

// Events writes events.ndjson.
func (f *Folder) Events(events []Event) error { return ndjson(f, EventsFile, [][]Event{events}) }

// Recordings writes what rs hold, one of each backend: segments.ndjson, windows.ndjson and latency.hlog. started is when
// their runs began.
func (f *Folder) Recordings(started time.Time, rs ...*Recording) error {
	copies, intervals := make([][]Copy, len(rs)), make([][]Interval, len(rs))
	for i, r := range rs {
		copies[i], intervals[i] = r.Copies(), r.Intervals()
	}
	return errors.Join(ndjson(f, SegmentsFile, copies), ndjson(f, WindowsFile, intervals),
		f.Write(HistogramsFile, func(w io.Writer) error { return writeHistograms(w, started, rs) }))
}

// JSON writes a file that holds v as JSON.
func (f *Folder) JSON(name string, v any) error {
	return f.Write(name, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	})
}

func ndjson[T any](f *Folder, name string, groups [][]T) error {
	return f.Write(name, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		for _, lines := range groups {
			for _, l := range lines {
				if err := enc.Encode(l); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// writeHistograms writes an HdrHistogram log, one line for each backend, phase, class and latency, each over its whole phase.
func writeHistograms(w io.Writer, started time.Time, rs []*Recording) error {
	// Base and start times are kept in whole seconds by the format's writer: with a whole second nothing is lost.
	base := started.Truncate(time.Second).UnixMilli()
	log := hdrhistogram.NewHistogramLogWriter(w)
	log.SetBaseTime(base)
	if err := errors.Join(log.OutputLogFormatVersion(), log.OutputComment("[Values in nanoseconds; Interval_Max in milliseconds]"),
		log.OutputStartTime(base), log.OutputBaseTime(base), log.OutputLegend()); err != nil {
		return err
	}
	for _, r := range rs {
		if err := r.writeHistograms(log, started); err != nil {
			return fmt.Errorf("backend %s: %w", r.c.Backend, err)
		}
	}
	return nil
}

func (r *Recording) writeHistograms(log *hdrhistogram.HistogramLogWriter, started time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.phases {
		var from, to time.Duration = forever, 0
		for _, w := range r.c.Windows {
			if w.Name == p.name {
				from, to = min(from, w.From), max(to, w.To)
			}
		}
		for c := range p.operations {
			for k, h := range p.operations[c].latencies[:shown] {
				if h.count() == 0 {
					continue
				}
				line := h.dense()
				line.SetTag(Tag{r.c.Backend, p.name, storm.Class(c).String(), latencyNames[k]}.String())
				line.SetStartTimeMs(started.Add(from).UnixMilli())
				line.SetEndTimeMs(started.Add(to).UnixMilli())
				if err := log.OutputIntervalHistogram(line); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Tag is what a histogram of latency.hlog is of. Written, its parts are joined by slashes, and what the format does not allow
// in a tag (commas, blanks) is percent-encoded.
type Tag struct{ Backend, Phase, Class, Latency string }

func (t Tag) String() string {
	b := make([]byte, 0, 64)
	for i, s := range []string{t.Backend, t.Phase, t.Class, t.Latency} {
		if i > 0 {
			b = append(b, '/')
		}
		b = append(b, url.PathEscape(s)...)
	}
	return string(b)
}

// parseTag reads what String wrote.
func parseTag(s string) (t Tag, err error) {
	parts := [...]*string{&t.Backend, &t.Phase, &t.Class, &t.Latency}
	fields := bytes.Split([]byte(s), []byte{'/'})
	if len(fields) != len(parts) {
		return Tag{}, fmt.Errorf("tag %q: not like backend/phase/class/latency", s)
	}
	for i, f := range fields {
		if *parts[i], err = url.PathUnescape(string(f)); err != nil {
			return Tag{}, fmt.Errorf("tag %q: %w", s, err)
		}
	}
	return t, nil
}

package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Run is a run folder that was read.
type Run struct {
	Dir         string
	Results     Results
	Scenario    []byte // YAML
	Copies      []Copy
	Intervals   []Interval
	Events      []Event
	Environment map[string]string
	Histograms  []Histogram
}

// Histogram is one line of latency.hlog.
type Histogram struct {
	Tag
	*hdrhistogram.Histogram // of nanoseconds
}

// ErrRun is wrapped by Open's errors about a folder's content: it is no run folder, or a damaged one.
var ErrRun = errors.New("not a whole run folder")

// maxFile bounds the files that Open reads into memory.
const maxFile = 1 << 30

// Open reads the run folder at dir. results.json has to be there (if it is not, OpenUnfinished may find what a
// run has left); other files may be missing.
func Open(dir string) (*Run, error) {
	r := &Run{Dir: dir}
	b, err := r.read(ResultsFile)
	if err != nil {
		return nil, err
	}
	if err := r.parse(b); err != nil {
		return nil, err
	}
	if r.Scenario, err = r.read(ScenarioFile); err != nil {
		return nil, err
	}
	for _, file := range []struct {
		name string
		read func([]byte) error
	}{
		{SegmentsFile, func(b []byte) (err error) { r.Copies, err = lines[Copy](b); return err }},
		{WindowsFile, func(b []byte) (err error) { r.Intervals, err = lines[Interval](b); return err }},
		{EventsFile, func(b []byte) (err error) { r.Events, err = lines[Event](b); return err }},
		{EnvironmentFile, func(b []byte) error { return json.Unmarshal(b, &r.Environment) }},
		{HistogramsFile, func(b []byte) (err error) { r.Histograms, err = readHistograms(b); return err }},
	} {
		b, err := r.read(file.name)
		if err != nil {
			return nil, err
		}
		if b == nil {
			continue
		}
		if err := file.read(b); err != nil {
			return nil, fmt.Errorf("record: %s: %w: %w", filepath.Join(dir, file.name), ErrRun, err)
		}
	}
	return r, nil
}

// Unfinished is what a run has left whose process died.
type Unfinished struct {
	Folder   *Folder // writes into it, in place
	Scenario []byte  // YAML
	Events   []Event
	Journals []io.Reader // of the backends that were begun, in order; the last one may be cut off anywhere
	files    []*os.File
}

// Close closes the journals. Once there are results, it removes them.
func (u *Unfinished) Close() error {
	for _, f := range u.files {
		f.Close()
	}
	if _, err := os.Stat(filepath.Join(u.Folder.temporary, ResultsFile)); err != nil {
		return nil
	}
	return u.Folder.close()
}

// OpenUnfinished opens what is left at dir of a run whose process died. The error wraps ErrRun if there is no such thing there.
func OpenUnfinished(dir string) (u *Unfinished, err error) {
	r := &Run{Dir: dir}
	u = &Unfinished{Folder: &Folder{dir: dir, temporary: dir}}
	if u.Scenario, err = r.read(ScenarioFile); err != nil {
		return nil, err
	}
	b, err := r.read(EventsFile)
	if err != nil {
		return nil, err
	}
	b = b[:bytes.LastIndexByte(b, '\n')+1] // the last line may have been cut off
	if u.Events, err = lines[Event](b); err != nil {
		return nil, fmt.Errorf("record: %s: %w: %w", filepath.Join(dir, EventsFile), ErrRun, err)
	}
	for n := 1; ; n++ {
		f, err := os.Open(filepath.Join(dir, journalFile(n)))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("record: run folder %s: %w", dir, err)
		}
		u.files, u.Journals = append(u.files, f), append(u.Journals, f)
	}
	if len(u.files) == 0 || u.Scenario == nil {
		return nil, fmt.Errorf("record: %s: %w, nor one that a run left when its process died", dir, ErrRun)
	}
	return u, nil
}

// read returns the content of a file, nil if there is none.
func (r *Run) read(name string) ([]byte, error) {
	path := filepath.Join(r.Dir, name)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && name != ResultsFile {
		return nil, nil
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", ErrRun, err)
		}
		return nil, fmt.Errorf("record: %s: %w", path, err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("record: %s: %w", path, err)
	case len(b) > maxFile:
		return nil, fmt.Errorf("record: %s: %w: more than %d bytes", path, ErrRun, maxFile)
	case b == nil:
		b = []byte{}
	}
	return b, nil
}

// parse reads results.json.
func (r *Run) parse(b []byte) error {
	path := filepath.Join(r.Dir, ResultsFile)
	if err := json.Unmarshal(b, &r.Results); err != nil {
		return fmt.Errorf("record: %s: %w: %w", path, ErrRun, err)
	}
	if r.Results.Schema != Schema {
		return fmt.Errorf("record: %s: %w: schema %d, this program reads %d", path, ErrRun, r.Results.Schema, Schema)
	}
	return nil
}

// lines reads newline-delimited JSON.
func lines[T any](b []byte) (all []T, err error) {
	for n := 1; len(b) > 0; n++ {
		line, rest, _ := bytes.Cut(b, []byte{'\n'})
		b = rest
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all = append(all, v)
	}
	return all, nil
}

func readHistograms(b []byte) (all []Histogram, err error) {
	log := hdrhistogram.NewHistogramLogReader(bytes.NewReader(b))
	for {
		h, err := log.NextIntervalHistogram()
		if err != nil {
			return nil, fmt.Errorf("histogram %d: %w", len(all)+1, err)
		}
		if h == nil { // the reader passes over lines that it cannot read
			there := 0
			for line := range bytes.Lines(b) {
				if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && line[0] != '"' { // no comment, no legend
					there++
				}
			}
			if there != len(all) {
				return nil, fmt.Errorf("%d of %d lines hold no histogram", there-len(all), there)
			}
			return all, nil
		}
		t, err := parseTag(h.Tag())
		if err != nil {
			return nil, fmt.Errorf("histogram %d: %w", len(all)+1, err)
		}
		all = append(all, Histogram{t, h})
	}
}

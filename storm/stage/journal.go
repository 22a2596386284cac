package stage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"origin-storm/origin/config"
	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/entry"
	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
)

// journalHead is what the parts of a backend's recording do not say, and Recover has to know.
type journalHead struct {
	Results record.Results `json:"results"` // without backends
	Backend string         `json:"backend"`
	Facts   record.Backend `json:"facts"`
	Events  []config.Event `json:"events"`
	Windows []storm.Window `json:"windows"`
	Start   time.Time      `json:"start"`
}

// openJournal opens the journal of the backend that is measured: what is recorded is kept on disk from then on. A disk that takes none is
// no reason to stop: it will be one when the results are to be written, if it still is.
func (m *measurement) openJournal(j job, target *Target) {
	if m.cfg.Finish == nil {
		return // the folder's owner looks after it
	}
	w, err := m.folder.Journal(m.number, journalHead{Results: m.head, Backend: m.arm.Name, Facts: target.Facts, Events: j.Events, Windows: j.Windows, Start: j.Start})
	if err == nil {
		err = m.reaper.Keep(m.folder.Dir(), m.folder.Crashed())
	}
	if err != nil {
		m.note(m.arm.Name, "warning", m.elapsed(), "nothing would be left of a crash: "+err.Error())
		return
	}
	m.journal = w
}

// keep adds a part of what is being recorded to all of it, and to the journal. It may be called from any goroutine.
func (m *measurement) keep(part *record.Recording) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	if m.journal != nil {
		if err := part.Encode(m.journal); err != nil {
			m.note(m.arm.Name, "warning", m.elapsed(), "of a crash only what came before would be left: "+err.Error())
			m.journal.Close()
			m.journal = nil
		}
	}
	return m.recording.Merge(part)
}

func (m *measurement) closeJournal() {
	m.writing.Lock()
	defer m.writing.Unlock()
	if m.journal != nil {
		m.journal.Close()
		m.journal = nil
	}
}

// figures makes figures of what was recorded with a backend of s, and adds the driver's to its account; facts are what is known of
// the backend whatever was measured.
func figures(account *record.Driver, rec *record.Recording, facts record.Backend, s scenarios.Scenario, seed uint64) record.Backend {
	if lag := rec.Lag(); lag.P99 != nil && (account.LagP99 == nil || *account.LagP99 < *lag.P99) {
		account.LagP99 = lag.P99
	}
	account.Dropped += rec.Dropped()
	return entry.Backend(rec, facts, s, seed)
}

// Recover makes a run folder of what a run has left whose process died, and writes into dir what that could not. Its verdict is that
// the run was interrupted. What is only known at the end (the origin's counts of its cache and edge, the driver's account of
// itself) is not in it.
func Recover(dir string) (res record.Results, err error) {
	left, err := record.OpenUnfinished(dir)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, left.Close()) }()
	s, err := scenarios.Parse(record.ScenarioFile, left.Scenario)
	if err != nil {
		return res, fmt.Errorf("stage: run folder %s: %w", dir, err)
	}
	var copies []record.Copy
	var recordings []*record.Recording
	for n, in := range left.Journals {
		dec := json.NewDecoder(in)
		var head journalHead
		if err := dec.Decode(&head); err != nil {
			break // it died while it began this backend
		}
		j := job{Backend: head.Backend, Events: head.Events, Windows: head.Windows, Start: head.Start}
		if n == 0 {
			res = head.Results
		}
		c := j.recording(s)
		all := record.New(c)
		for {
			part, err := record.Decode(dec, c)
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				break // the last part may have been cut off
			}
			if err == nil {
				err = all.Merge(part)
			}
			if err != nil {
				return res, fmt.Errorf("stage: run folder %s: %w", dir, err)
			}
		}
		b := figures(&res.Driver, all, head.Facts, s, res.Seed)
		b.Notes = append(b.Notes, "The run's process died: the figures are of what was recorded until then.")
		res.Backends = append(res.Backends, b)
		copies, recordings = append(copies, all.Copies()...), append(recordings, all)
	}
	if len(recordings) == 0 {
		return res, fmt.Errorf("stage: run folder %s: %w: nothing was recorded", dir, record.ErrRun)
	}
	verdict.Judge(&res, verdict.Conditions{Thresholds: s.Thresholds, Copies: copies, Events: left.Events, Interrupted: true})
	res.Sentence = died(s, res, recordings)
	return res, errors.Join(left.Folder.Events(left.Events), left.Folder.Recordings(res.Started, recordings...), left.Folder.Results(&res))
}

// died says that a run's process died, when, and what of the run is missing for it.
func died(s scenarios.Scenario, res record.Results, recordings []*record.Recording) string {
	last := res.Backends[len(res.Backends)-1]
	until := 0.0
	for _, i := range recordings[len(recordings)-1].Intervals() {
		if i.Reads+i.Writes+i.Errors > 0 {
			until = max(until, i.At+i.Seconds)
		}
	}
	missing := []string{"whatever came after that", "the origin's own counts (cache and store reads)"}
	for _, b := range s.Backends[min(len(res.Backends), len(s.Backends)):] {
		missing = append(missing, "all of "+b.Name)
	}
	return fmt.Sprintf("Died: the run's process ended unasked, %.0f s into %s; what was recorded until then is here, missing are %s.", until, last.Name, strings.Join(missing, ", "))
}

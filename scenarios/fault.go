package scenarios

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is something that goes wrong at an instant. One of Kill, Stop, Reset and Drop says what to whom.
type Fault struct {
	// At is when: a window and how long after its begin, such as "storm 2 + 4s".
	At Instant `yaml:"at"`
	// Kill ends a process without warning, and starts it again after For; a pipeline publishes nothing for as long.
	Kill Target `yaml:"kill,omitempty"`
	// Stop halts a process with its connections open, and lets it go on after For.
	Stop Target `yaml:"stop,omitempty"`
	// Reset resets all connections of a pipeline in the middle of a body, and for as long as For each new one, too.
	Reset Target `yaml:"reset,omitempty"`
	// Drop makes a pipeline leave its segments out, as an encoder without input does.
	Drop Target `yaml:"drop,omitempty"`
	// For is how long it lasts; 0 until the end, and of a reset for an instant.
	For time.Duration `yaml:"for,omitempty"`
}

// Do returns what the fault does and to whom; both are empty if it does nothing, and ok is false if it does several things.
func (f Fault) Do() (verb string, to Target, ok bool) {
	ok = true
	for _, v := range []struct {
		verb string
		to   Target
	}{{"kill", f.Kill}, {"stop", f.Stop}, {"reset", f.Reset}, {"drop", f.Drop}} {
		if v.to == (Target{}) {
			continue
		}
		if verb != "" {
			return "", Target{}, false
		}
		verb, to = v.verb, v.to
	}
	return verb, to, ok
}

// Instant is a moment of a run: After the begin of a phase's Nth window, counted from 1.
type Instant struct {
	Phase string
	Nth   int
	After time.Duration
}

// ParseInstant reads an instant: "storm 2 + 4s", "quiet 1", or "storm + 4s" for the first.
func ParseInstant(text string) (i Instant, err error) {
	head, after, plus := strings.Cut(text, "+")
	i.Nth = 1
	words := strings.Fields(head)
	if len(words) == 0 || len(words) > 2 {
		return i, fmt.Errorf("%q is not an instant such as storm 2 + 4s", text)
	}
	i.Phase = words[0]
	if i.Phase != QuietPhase && i.Phase != StormPhase {
		return i, fmt.Errorf("%q: no window is called %q%s", text, i.Phase, suggest(i.Phase, []string{QuietPhase, StormPhase}))
	}
	if len(words) == 2 {
		if i.Nth, err = ordinal(words[1]); err != nil {
			return i, fmt.Errorf("%q: %w", text, err)
		}
	}
	if plus {
		if i.After, err = parseDuration(strings.TrimSpace(after)); err != nil {
			return i, fmt.Errorf("%q: %w", text, err)
		}
		if i.After < 0 {
			return i, fmt.Errorf("%q: an instant cannot be before its window", text)
		}
	}
	return i, nil
}

// ordinal reads which of several things is meant, from 1.
func ordinal(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1_000_000 || strconv.Itoa(n) != s {
		return 0, fmt.Errorf("%q is not a number from 1", s)
	}
	return n, nil
}

// UnmarshalText reads an instant.
func (i *Instant) UnmarshalText(text []byte) (err error) {
	*i, err = ParseInstant(string(text))
	return err
}

// MarshalText prints i as ParseInstant reads it.
func (i Instant) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

func (i Instant) String() string {
	if i.After == 0 {
		return fmt.Sprintf("%s %d", i.Phase, i.Nth)
	}
	return fmt.Sprintf("%s %d + %v", i.Phase, i.Nth, i.After)
}

// Target is whom a fault befalls: a pipeline by its letter, or a process: publish, serve 1, store, cache 2, cassandra 3.
type Target struct {
	What string // pipeline, publish, serve, store, cache or cassandra
	Name string // a pipeline's letter
	Nth  int    // from 1, of those there are several of; else 0
}

// The kinds of targets.
const (
	OfPipeline  = "pipeline"
	OfPublish   = "publish"
	OfServe     = "serve"
	OfStore     = "store"     // the process that hosts the embedded store, or S3's
	OfCache     = "cache"     // one cache zone
	OfCassandra = "cassandra" // one node
)

var targets = []string{OfPipeline, OfPublish, OfServe, OfStore, OfCache, OfCassandra}

// ParseTarget reads a target; of those that are counted, the first is meant if no number follows.
func ParseTarget(text string) (t Target, err error) {
	words := strings.Fields(text)
	if len(words) == 0 || len(words) > 2 {
		return t, fmt.Errorf("%q is not a target such as publish, pipeline b or cache 2", text)
	}
	t.What = words[0]
	switch t.What {
	case OfPublish, OfStore:
		if len(words) > 1 {
			return t, fmt.Errorf("%q: there is one %s only; write %s", text, t.What, t.What)
		}
	case OfPipeline:
		if len(words) < 2 {
			return t, fmt.Errorf("%q: which pipeline? Write pipeline a or pipeline b", text)
		}
		t.Name = words[1]
	case OfServe, OfCache, OfCassandra:
		t.Nth = 1
		if len(words) > 1 {
			if t.Nth, err = ordinal(words[1]); err != nil {
				return t, fmt.Errorf("%q: %w", text, err)
			}
		}
	default:
		return t, fmt.Errorf("%q: there is no %q to do something to%s", text, t.What, suggest(t.What, targets))
	}
	return t, nil
}

// UnmarshalText reads a target.
func (t *Target) UnmarshalText(text []byte) (err error) {
	*t, err = ParseTarget(string(text))
	return err
}

// MarshalText prints t as ParseTarget reads it.
func (t Target) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// IsZero reports whether t is nobody.
func (t Target) IsZero() bool { return t == Target{} }

func (t Target) String() string {
	switch {
	case t.Name != "":
		return t.What + " " + t.Name
	case t.Nth > 0:
		return t.What + " " + strconv.Itoa(t.Nth)
	}
	return t.What
}

// befalls says whether verb can be done to t, and what can, if not.
func befalls(verb string, t Target) (ok bool, instead []string) {
	can := []string{"kill", "stop"}
	if t.What == OfPipeline {
		can = []string{"kill", "reset", "drop"}
	}
	return slices.Contains(can, verb), can
}

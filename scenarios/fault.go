package scenarios

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"origin-storm/storm"
)

// Fault is something that goes wrong at an instant. In YAML its kind is the name of the field that says whom it befalls:
// {at: storm 2 + 4s, kill: pipeline b, for: 6s}. FaultKinds lists the kinds.
type Fault struct {
	// At is when: a window and how long after its begin, such as "storm 2 + 4s".
	At Instant `yaml:"at"`
	// Do is the kind's name, To whom it befalls.
	Do string `yaml:"-"`
	To Target `yaml:"-"`
	// For is how long it lasts; 0 until the end, and of a reset or a flush for an instant.
	For time.Duration `yaml:"for,omitempty"`
	// By is how much of it: a duration or a number, as its kind says. Left out: what the kind says, too.
	By Amount `yaml:"by,omitempty"`
	// Share is which part of the segments, or of the store's operations, it befalls, drawn by the run's seed. Left out: all.
	Share Share `yaml:"share,omitempty"`
	// Rendition is the only one it befalls. Left out: all.
	Rendition string `yaml:"rendition,omitempty"`
}

// Kind returns f's entry of the catalogue, and whether there is one.
func (f Fault) Kind() (FaultKind, bool) {
	i := slices.IndexFunc(faultKinds, func(k FaultKind) bool { return k.Do == f.Do })
	if i < 0 {
		return FaultKind{}, false
	}
	return faultKinds[i], true
}

// String says what f does to whom, and how much of it, without when.
func (f Fault) String() string {
	return storm.Fault{Do: f.Do, To: f.To.String(), By: f.By.Time, Count: f.By.Count, Share: float64(f.Share), Rendition: f.Rendition}.String()
}

// In returns f as a plan has it, its window having begun at an instant of the plan. Amounts that were left out are the kind's.
func (f Fault) In(window time.Duration) storm.Fault {
	by := f.By
	if k, ok := f.Kind(); ok && by == (Amount{}) {
		by = k.Usual
	}
	return storm.Fault{
		At: window + f.At.After, Do: f.Do, To: f.To.String(), For: f.For, By: by.Time, Count: by.Count, Share: float64(f.Share), Rendition: f.Rendition,
	}
}

// decode reads a fault: its fields, and that of its kind.
func (f *Fault) decode(d *decoder, field string, n ast.Node) {
	m, ok := n.(ast.MapNode)
	names := append(fieldNames(reflect.TypeFor[Fault]()), FaultNames()...)
	if !ok {
		d.fail(d.node(n), field, "fields: "+strings.Join(names, ", "), "want a mapping such as {at: storm 1 + 4s, kill: publish}, got %s", describe(n))
		return
	}
	kinds := 0
	for it := m.MapRange(); it.Next(); {
		key := it.Key().GetToken().Value
		at, name := d.node(it.Key()), join(field, key)
		v, ok := fieldByName(reflect.ValueOf(f).Elem(), key)
		switch {
		case ok:
		case slices.Contains(FaultNames(), key):
			if kinds++; kinds > 1 {
				d.fail(at, name, "write one entry for each", "a fault does one thing")
				continue
			}
			f.Do, v = key, reflect.ValueOf(&f.To).Elem()
		default:
			d.fail(at, name, hint(key, names), "unknown field")
			continue
		}
		d.at[name] = at
		d.value(name, it.Value(), v)
	}
}

// MarshalYAML prints f as decode reads it.
func (f Fault) MarshalYAML() (any, error) {
	out := yaml.MapSlice{{Key: "at", Value: f.At.String()}}
	add := func(key string, value any, given bool) {
		if given {
			out = append(out, yaml.MapItem{Key: key, Value: value})
		}
	}
	add(f.Do, f.To.String(), f.Do != "")
	add("by", f.By.String(), f.By.Time != 0)
	add("by", f.By.Count, f.By.Count != 0)
	add("share", float64(f.Share), f.Share != 0)
	add("rendition", f.Rendition, f.Rendition != "")
	add("for", f.For.String(), f.For != 0)
	return out, nil
}

// Amount is how much of a fault there is: a duration or a number, not both. Its text is either.
type Amount struct {
	Time  time.Duration
	Count float64
}

// UnmarshalText reads an amount.
func (a *Amount) UnmarshalText(text []byte) error {
	if n, err := strconv.ParseFloat(string(text), 64); err == nil && n-n == 0 {
		*a = Amount{Count: n}
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is neither a duration such as 250ms nor a number", text)
	}
	*a = Amount{Time: d}
	return nil
}

// MarshalText prints a as UnmarshalText reads it.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func (a Amount) String() string {
	if a.Time != 0 {
		return a.Time.String()
	}
	return strconv.FormatFloat(a.Count, 'f', -1, 64)
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
		return i, fmt.Errorf("%q is not an instant such as storm 2 + 4s: no window is called %q%s", text, i.Phase, suggest(i.Phase, []string{QuietPhase, StormPhase}))
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

// Target is whom a fault befalls: a pipeline by its letter, the readers, or a process: publish, serve 1, store, cache 2, cassandra 3.
type Target struct {
	What string // pipeline, readers, publish, serve, store, cache or cassandra
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
	OfReaders   = "readers"   // the edges
)

var targets = []string{OfPipeline, OfPublish, OfServe, OfStore, OfCache, OfCassandra, OfReaders}

// ParseTarget reads a target; of those that are counted, the first is meant if no number follows.
func ParseTarget(text string) (t Target, err error) {
	words := strings.Fields(text)
	if len(words) == 0 || len(words) > 2 {
		return t, fmt.Errorf("%q is not a target such as publish, pipeline b or cache 2", text)
	}
	t.What = words[0]
	switch t.What {
	case OfPublish, OfStore, OfReaders:
		if len(words) > 1 {
			return t, fmt.Errorf("%q: there is no more to say than %s", text, t.What)
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
		return t, fmt.Errorf("%q is not a target such as pipeline b or serve 1: there is no %q to do something to%s", text, t.What, suggest(t.What, targets))
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

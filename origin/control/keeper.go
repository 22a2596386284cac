package control

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"origin-storm/origin/kv"
	"origin-storm/origin/segment"
)

// Config is what a Keeper needs.
type Config struct {
	// Store keeps the documents. It is the durable store with retries and never a cache: what a cache returns may be old, or
	// gone, and a mask must be neither.
	Store kv.Store
	// Events are the names of the events.
	Events []string
	// Pipelines are those of each event: it ends when all of them have said that they have. An event without any ends when an
	// operator says so.
	Pipelines map[string][]string
	// Writers are the nodes whose documents are read, in any order. A node that is taken from the list is forgotten with what it
	// said.
	Writers []string
	// Node is this node's name; it writes if it is among Writers.
	Node string
	// Every is the time between two polls; 0 means 250 ms, so that a change is known everywhere well within a second.
	Every time.Duration
	Log   *slog.Logger // nil discards
}

const (
	defaultEvery = 250 * time.Millisecond
	// readTimeout bounds one document's read, with its retries.
	readTimeout = time.Second
	// parallel is how many documents are read at a time.
	parallel = 16
	// keepFor is how long a document lives after it was stored, and rewriteAfter its age at which its writer stores it again:
	// a writer may be down for thirteen days before anything is forgotten.
	keepFor      = 14 * 24 * time.Hour
	rewriteAfter = 24 * time.Hour
)

// A Keeper knows the State of every event, and writes this node's documents. It is safe for concurrent use; make it with New.
type Keeper struct {
	cfg    Config
	log    *slog.Logger
	events map[string]*entry
	stop   context.CancelFunc
	polls  sync.WaitGroup
	slots  chan struct{} // holds a value for each read that is under way
	ready  chan struct{} // closed when every document has been read once

	mu              sync.Mutex // guards the following
	unread, failing int        // documents
	reason          error      // why the last read that failed did

	reads, failed, changes atomic.Int64
}

// entry is what is known of one event.
type entry struct {
	name      string
	pipelines []string
	changing  chan struct{} // holds one value while this node's document is being changed
	state     atomic.Pointer[State]

	mu   sync.Mutex // guards docs, and the order in which states are stored
	docs map[string]known
}

// known is a writer's document and the bytes that it was read from.
type known struct {
	doc *Document
	raw []byte
}

// Stats counts what a Keeper did since it was made.
type Stats struct {
	Reads   int64 `json:"reads"`   // documents asked for
	Failed  int64 `json:"failed"`  // reads and rewrites that failed
	Changes int64 `json:"changes"` // documents of this node that were changed
	// Versions are by event the versions of its documents, added up: nodes with equal ones know the same.
	Versions map[string]int64 `json:"versions" metric:"gauge" label:"event"`
}

// New returns a Keeper that polls until Close is called, or what is wrong with cfg. It returns before anything was read.
func New(cfg Config) (*Keeper, error) {
	cfg.Every = cmp.Or(cfg.Every, defaultEvery)
	cfg.Writers = slices.Compact(slices.Sorted(slices.Values(cfg.Writers)))
	for what, names := range map[string][]string{"event": cfg.Events, "writer": cfg.Writers} {
		for _, name := range names {
			if err := segment.CheckName(name); err != nil {
				return nil, fmt.Errorf("control: %s: %w", what, err)
			}
		}
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	k := &Keeper{
		cfg: cfg, log: log, events: make(map[string]*entry), stop: stop, slots: make(chan struct{}, parallel), ready: make(chan struct{}),
	}
	var watches []*watch
	for _, name := range cfg.Events {
		e := &entry{name: name, pipelines: cfg.Pipelines[name], changing: make(chan struct{}, 1), docs: make(map[string]known)}
		e.state.Store(&State{})
		k.events[name] = e
		for _, writer := range cfg.Writers {
			watches = append(watches, &watch{e: e, writer: writer})
		}
	}
	if k.unread = len(watches); k.unread == 0 {
		close(k.ready)
	}
	for _, w := range watches {
		k.polls.Go(func() { k.poll(ctx, w) })
	}
	return k, nil
}

// Close returns when the polls have ended. States are still answered afterwards, Change is not to be called any more.
func (k *Keeper) Close() {
	k.stop()
	k.polls.Wait()
}

// State returns what is known of event, without waiting for anything; of an event that the Keeper was not told of, nothing.
func (k *Keeper) State(event string) *State {
	if e := k.events[event]; e != nil {
		return e.state.Load()
	}
	return &State{}
}

// Documents returns what each writer said about event last, in the order of their names.
func (k *Keeper) Documents(event string) []*Document {
	e := k.events[event]
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.documents()
}

func (e *entry) documents() []*Document {
	var docs []*Document
	for _, writer := range slices.Sorted(maps.Keys(e.docs)) {
		docs = append(docs, e.docs[writer].doc)
	}
	return docs
}

// Writers returns the names of the nodes whose documents count.
func (k *Keeper) Writers() []string { return slices.Clone(k.cfg.Writers) }

// Ready returns nil once every document has been read; until then, why one could not be.
func (k *Keeper) Ready() error {
	select {
	case <-k.ready:
		return nil
	default:
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.reason != nil {
		return fmt.Errorf("control: the state of the events was not read yet: %w", k.reason)
	}
	return errors.New("control: the state of the events was not read yet")
}

// Wait returns nil once every document has been read, or why not when ctx ends.
func (k *Keeper) Wait(ctx context.Context) error {
	select {
	case <-k.ready:
		return nil
	case <-ctx.Done():
		return errors.Join(k.Ready(), ctx.Err())
	}
}

// Stats returns the counts so far.
func (k *Keeper) Stats() Stats {
	s := Stats{Reads: k.reads.Load(), Failed: k.failed.Load(), Changes: k.changes.Load(), Versions: make(map[string]int64, len(k.events))}
	for name := range k.events {
		s.Versions[name] = 0
		for _, d := range k.Documents(name) {
			s.Versions[name] += d.Version
		}
	}
	return s
}

// watch is one writer's document about one event, which a goroutine of its own polls: one that hangs keeps no other back.
type watch struct {
	e             *entry
	writer        string
	read, failing bool // read at least once; the last read failed; both guarded by the Keeper's mu
}

// poll reads a document again and again until ctx ends.
func (k *Keeper) poll(ctx context.Context, w *watch) {
	tick := time.NewTicker(k.cfg.Every)
	defer tick.Stop()
	for {
		select {
		case k.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		k.reads.Add(1)
		err := k.read(ctx, w.e, w.writer)
		<-k.slots
		if ctx.Err() != nil {
			return
		}
		k.heard(w, err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// heard notes what became of a read. The log hears of an outage once, not of each document and poll.
func (k *Keeper) heard(w *watch, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err != nil:
		k.failed.Add(1)
		k.reason = err
		if !w.failing {
			w.failing = true
			if k.failing++; k.failing == 1 {
				k.log.Error("control documents can not be read; the last state known stays in force", "err", err)
			}
		}
	case w.failing:
		w.failing = false
		if k.failing--; k.failing == 0 {
			k.log.Info("control documents can be read again")
		}
	}
	if err == nil && !w.read {
		w.read = true
		if k.unread--; k.unread == 0 {
			close(k.ready)
		}
	}
}

func key(event, writer string) kv.Key { return kv.Key{Part: "control/" + event, Name: writer} }

// read takes in the document of writer, and sees to it that this node's own one is in the store as it should be.
func (k *Keeper) read(ctx context.Context, e *entry, writer string) error {
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	e.mu.Lock()
	have := e.docs[writer]
	e.mu.Unlock()
	mine := writer == k.cfg.Node && have.doc != nil
	doc, raw, err := k.get(reading, e, writer, have)
	if err != nil && !(mine && errors.Is(err, ErrCorrupt)) {
		return err
	}
	if doc != nil && (!mine || supersedes(doc, have.doc)) {
		e.install(doc, raw)
		mine = mine && time.Since(doc.Written) > rewriteAfter
	}
	if mine { // what this node has acknowledged must not get lost with the store's copy, or with that copy's time
		return k.write(ctx, e, true, func(*Document) error { return nil })
	}
	return nil
}

// supersedes reports whether doc, from the store, takes the place of have, which this node has written or read. One of the
// same version and with other content is a write that had failed and took effect in the end, after the next one.
func supersedes(doc, have *Document) bool {
	return doc.Version > have.Version || doc.Version == have.Version && equal(doc, have)
}

// get returns the document of writer as the store has it; nil if it has none. have is what is known.
func (k *Keeper) get(ctx context.Context, e *entry, writer string, have known) (*Document, []byte, error) {
	raw, err := k.cfg.Store.Get(ctx, key(e.name, writer))
	switch {
	case errors.Is(err, kv.ErrNotFound):
		return nil, nil, nil
	case err != nil:
		return nil, nil, fmt.Errorf("control: document of %s about %s: %w", writer, e.name, err)
	case have.doc != nil && bytes.Equal(raw, have.raw):
		return have.doc, have.raw, nil
	}
	doc, err := decode(raw, e.name, writer)
	if err != nil {
		return nil, nil, err
	}
	return doc, raw, nil
}

// install makes doc what is known of its writer, unless a newer one is.
func (e *entry) install(doc *Document, raw []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if have := e.docs[doc.Writer].doc; have == doc || have != nil && have.Version > doc.Version {
		return
	}
	e.docs[doc.Writer] = known{doc, raw}
	e.state.Store(merge(e.documents(), e.pipelines, e.state.Load()))
}

// Change calls change with this node's document about event, stores what it leaves, and returns nil once it is durable; the
// state here holds it at once, the other nodes' with their next poll. Changes of one event are made one after the other.
// change may be called twice, touches nothing but the document's content, and may fail, which changes nothing; its error is
// returned as it is. The other errors wrap ErrUnknownEvent, ErrNotWriter, ErrInvalid, or the store's: then the change may take
// effect yet, and is to be tried again. A change that changes nothing is not written.
func (k *Keeper) Change(ctx context.Context, event string, change func(*Document) error) error {
	e := k.events[event]
	if e == nil {
		return fmt.Errorf("%w: %q", ErrUnknownEvent, event)
	}
	if !slices.Contains(k.cfg.Writers, k.cfg.Node) {
		return fmt.Errorf("%w: %s: make the change on one of: %s", ErrNotWriter, k.cfg.Node, strings.Join(k.cfg.Writers, ", "))
	}
	return k.write(ctx, e, false, change)
}

// write is Change; if again is set, the document is stored also where change leaves it as it is, unless that has been seen to.
func (k *Keeper) write(ctx context.Context, e *entry, again bool, change func(*Document) error) error {
	select {
	case e.changing <- struct{}{}:
		defer func() { <-e.changing }()
	case <-ctx.Done():
		return fmt.Errorf("control: %s: an earlier change is still being stored: %w", e.name, ctx.Err())
	}
	e.mu.Lock()
	have := e.docs[k.cfg.Node]
	e.mu.Unlock()
	if have.doc != nil && !again {
		// Packagers announce with every rendition of a segment at once: all but the first find that it stands.
		next := have.doc.clone()
		if change(next) == nil && equal(next, have.doc) {
			return nil
		}
	}
	// Another process of this name may have written since (the one that this one replaces), so the store is asked.
	base, raw, err := k.get(ctx, e, k.cfg.Node, have)
	if err != nil && !(have.doc != nil && errors.Is(err, ErrCorrupt)) { // what is known here takes the place of a damaged one
		return err
	}
	switch {
	case base != nil && (have.doc == nil || supersedes(base, have.doc)):
		e.install(base, raw)
		again = again && time.Since(base.Written) > rewriteAfter
	case have.doc != nil:
		base, again = have.doc, true
	default:
		base = &Document{Schema: schema, Event: e.name, Writer: k.cfg.Node}
	}
	next := base.clone()
	if err := change(next); err != nil {
		return err
	}
	changed := !equal(next, base)
	if !changed && !again {
		return nil
	}
	next.Version++
	next.Written = time.Now().UTC().Truncate(time.Millisecond)
	if err := next.validate(); err != nil {
		return err
	}
	if changed && len(next.Notices) > len(base.Notices) {
		if err := fits(merge([]*Document{next}, e.pipelines, e.state.Load()).Notices); err != nil {
			return err
		}
	}
	if raw, err = next.encode(); err != nil {
		return err
	}
	if err := k.cfg.Store.Put(ctx, key(e.name, next.Writer), raw, keepFor); err != nil {
		return fmt.Errorf("control: document of %s about %s: %w", next.Writer, e.name, err)
	}
	e.install(next, raw)
	if changed {
		k.changes.Add(1)
	}
	return nil
}

// equal reports whether the contents of a and b are the same.
func equal(a, b *Document) bool {
	return slices.Equal(a.Masks, b.Masks) && slices.Equal(a.Withdrawn, b.Withdrawn) && slices.Equal(a.Notices, b.Notices) &&
		a.CacheVersion == b.CacheVersion && (a.Last == nil) == (b.Last == nil) && (a.Last == nil || *a.Last == *b.Last) &&
		maps.EqualFunc(a.Finished, b.Finished, func(x, y Finish) bool { return x.Last == y.Last && x.At.Equal(y.At) })
}

package kv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"origin-storm/origin/cost"
)

// Fault is something that goes wrong with a store for a while.
type Fault struct {
	// Do is its kind: one of the constants below.
	Do string `json:"do"`
	// By is how much longer an operation takes (slow), or how long a value is hidden (hide).
	By time.Duration `json:"by,omitempty"`
	// Count is how many operations a second are let through (throttle), or how many bytes an item may have (limit).
	Count float64 `json:"count,omitempty"`
	// Share is which part of the operations, or of the keys, it befalls, drawn by Faults' seed; 0 means all.
	Share float64 `json:"share,omitempty"`
}

// The kinds of faults of stores.
const (
	FaultSlow     = "slow"     // operations take longer
	FaultThrottle = "throttle" // operations beyond a rate fail with ErrThrottled
	FaultHide     = "hide"     // a value that is new is not found for a while
	FaultDeny     = "deny"     // operations fail with ErrDenied
	FaultFill     = "fill"     // writes fail with ErrFull
	FaultFail     = "fail"     // operations fail, and might not if tried again
	FaultForget   = "forget"   // some keys are not found
	FaultLimit    = "limit"    // writes of larger values fail with ErrTooLarge
	FaultFlush    = "flush"    // the store is emptied, once
)

var faultKinds = []string{FaultSlow, FaultThrottle, FaultHide, FaultDeny, FaultFill, FaultFail, FaultForget, FaultLimit, FaultFlush}

// errInjected is what operations fail with for no reason.
var errInjected = errors.New("kv: failed by a fault")

// Faults are the faults that a store has now: an Intercept whose behaviour can be changed while the store is used. It is safe for
// concurrent use; make it with NewFaults.
type Faults struct {
	seed  uint64
	flush func()

	mu      sync.Mutex // guards what follows
	active  map[string]*activeFault
	hidden  map[Key]time.Time // until when
	pruneAt int               // how many hidden ones are looked through for what is over
}

// activeFault is one of them.
type activeFault struct {
	Fault
	tokens float64 // of throttle
	filled time.Time
}

// NewFaults returns Faults that let everything pass. Draws are keyed by seed. flush empties the store; nil: that fault is refused.
func NewFaults(seed uint64, flush func()) *Faults {
	return &Faults{seed: seed, flush: flush, active: make(map[string]*activeFault), hidden: make(map[Key]time.Time)}
}

// Begin makes f happen until End is called with the same id. A fault of an id that is known replaces it.
func (s *Faults) Begin(id string, f Fault) error {
	if !slices.Contains(faultKinds, f.Do) {
		return fmt.Errorf("kv: fault %q: there are %v", f.Do, faultKinds)
	}
	if f.Do == FaultFlush {
		if s.flush == nil {
			return fmt.Errorf("kv: fault %s: this store cannot be emptied", f.Do)
		}
		s.flush()
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active[id] = &activeFault{Fault: f, tokens: f.Count, filled: time.Now()}
	return nil
}

// End ends the fault of id, if there is one.
func (s *Faults) End(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.active, id)
}

// Around is the Intercept. One Faults may stand around all tables of a store.
func (s *Faults) Around(ctx context.Context, op Op, do func(context.Context) error) error {
	wait, hide, err := s.arrive(op)
	if err != nil {
		return err
	}
	if wait > 0 {
		if err := doze(ctx, time.Now().Add(wait)); err != nil {
			return err
		}
	}
	err = do(ctx)
	if err == nil && hide > 0 {
		s.hide(op.Key, time.Now().Add(hide))
	}
	return err
}

// arrive says what becomes of op: how much longer it takes, for how long its value is hidden then, or why it fails.
func (s *Faults) arrive(op Op) (wait, hide time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if until, ok := s.hidden[op.Key]; ok && !op.Write && now.Before(until) {
		return 0, 0, fmt.Errorf("kv: get %v: not to be seen yet: %w", op.Key, ErrNotFound)
	}
	for id, f := range s.active {
		attempt := op.Attempt
		if f.Do == FaultForget || f.Do == FaultHide { // of keys, not of operations
			attempt = 0
		}
		if f.Share > 0 && cost.Draw(s.seed, "fault "+id, op.Key.String(), attempt) >= f.Share {
			continue
		}
		switch f.Do {
		case FaultSlow:
			wait += f.By
		case FaultHide:
			if op.Write {
				hide = max(hide, f.By)
			}
		case FaultThrottle:
			f.tokens = min(f.Count, f.tokens+f.Count*now.Sub(f.filled).Seconds())
			f.filled = now
			if f.tokens < 1 {
				err = ErrThrottled
			} else {
				f.tokens--
			}
		case FaultDeny:
			err = ErrDenied
		case FaultFill:
			if op.Write {
				err = ErrFull
			}
		case FaultFail:
			err = errInjected
		case FaultForget:
			if !op.Write {
				err = ErrNotFound
			}
		case FaultLimit:
			if op.Write && op.Size() > int(f.Count) {
				err = ErrTooLarge
			}
		}
		if err != nil {
			return 0, 0, fmt.Errorf("kv: %v: fault %s: %w", op.Key, f.Do, err)
		}
	}
	return wait, hide, nil
}

// hide keeps key from being found until an instant, unless it could be found before.
func (s *Faults) hide(key Key, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.hidden[key]; known { // it was written before
		return
	}
	if len(s.hidden) > s.pruneAt {
		for k, t := range s.hidden {
			if time.Since(t) > time.Minute {
				delete(s.hidden, k)
			}
		}
		s.pruneAt = 2*len(s.hidden) + 1024
	}
	s.hidden[key] = until
}

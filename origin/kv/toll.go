package kv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"origin-storm/origin/cost"
)

// Toll makes a hosted store take the time that a profile says, in place of its own. There is one Toll for a store, and so one queue,
// whatever the number of its tables: the Intercepts it gives out share it.
type Toll struct {
	meter *cost.Meter
	event func(Key) string
	epoch time.Time // the origin of the meter's instants
	sleep func(ctx context.Context, until time.Time) error

	mu   sync.Mutex // guards host
	host float64    // how long the host's own work on a write takes, in ns: a moving average
}

// NewToll returns a toll that charges by m. event tells which event a key belongs to, for the profile's throttle; nil counts by Part.
func NewToll(m *cost.Meter, event func(Key) string) *Toll {
	if event == nil {
		event = func(k Key) string { return k.Part }
	}
	return &Toll{meter: m, event: event, epoch: time.Now(), sleep: sleeper()}
}

// Intercept returns what charges the operations of one table. When an operation arrives, the profile says when it will be done. A
// write is then put off until just so long before that instant as the host's own work on it takes, and acknowledged at it:
// nobody reads it much sooner than the modelled store would have had it, and the host's own time counts only where it
// is longer. What the profile throttles fails at once with ErrThrottled.
//
// commits says that the table is the one whose writes make segments readable. A profile of whole segment writes charges those
// alone, counted from when the segment's write began (Op.Began); all else then takes the host's own time.
func (t *Toll) Intercept(commits bool) Intercept {
	whole := t.meter.Profile().Whole
	return func(ctx context.Context, op Op, do func(context.Context) error) error {
		if whole && !(commits && op.Write) {
			return do(ctx)
		}
		arrived := time.Now()
		if whole && !op.Began.IsZero() && op.Began.Before(arrived) {
			arrived = op.Began
		}
		if !op.Write {
			return t.read(ctx, op, arrived, do)
		}
		done, throttled := t.charge(op, arrived)
		if throttled {
			return fmt.Errorf("kv: put %v: profile %s: %w", op.Key, t.meter.Profile().Name, ErrThrottled)
		}
		if err := t.sleep(ctx, done.Add(-t.work())); err != nil {
			return err
		}
		began := time.Now()
		if err := do(ctx); err != nil {
			return err
		}
		t.worked(time.Since(began))
		return t.sleep(ctx, done)
	}
}

// work is how long the host is expected to work on a write.
func (t *Toll) work() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Duration(t.host)
}

// worked takes one write's time into the average, of about the last twenty; the first stands for itself.
func (t *Toll) worked(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	weight := 0.05
	if t.host == 0 {
		weight = 1
	}
	t.host += weight * (float64(d) - t.host)
}

// read charges a read after the work, as only then its size is known, but from its arrival. That something was not there takes time
// to find out, too.
func (t *Toll) read(ctx context.Context, op Op, arrived time.Time, do func(context.Context) error) error {
	err := do(ctx)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	done, _ := t.charge(op, arrived)
	if e := t.sleep(ctx, done); e != nil {
		return e
	}
	return err
}

func (t *Toll) charge(op Op, arrived time.Time) (done time.Time, throttled bool) {
	at, throttled := t.meter.Arrive(max(0, arrived.Sub(t.epoch)), cost.Work{
		Write: op.Write, Size: op.Size(), Key: op.Key.String(), Attempt: op.Attempt, Event: t.event(op.Key),
	})
	return t.epoch.Add(at), throttled
}

// doze waits until an instant or for ctx to end, with a timer. The runtime's timers are up to a millisecond late on an idle machine.
func doze(ctx context.Context, until time.Time) error {
	d := time.Until(until)
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

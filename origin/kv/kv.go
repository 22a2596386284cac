// Package kv is bytes by key: the one interface under the origin, the errors its users branch on, and the decorators that
// give a store a cache, retries, hedges, costs, faults and measurements. It knows nothing of segments and holds no driver;
// the stores themselves are in the packages below it.
package kv

import (
	"context"
	"errors"
	"time"
)

// A Store keeps bytes by key for a time. It is safe for concurrent use, and neither side changes val afterwards.
type Store interface {
	// Put keeps val under key for at least keep; a later Put of the same key replaces it. After a nil error Get finds the
	// value from any machine of the region, until keep has passed. After an error the value may or may not be there.
	// keep must be positive. Context errors can be told with errors.Is.
	Put(ctx context.Context, key Key, val []byte, keep time.Duration) error

	// Get returns the newest value of key, or an error that wraps ErrNotFound where there is none. A store that may forget
	// (a cache) may answer so at any time. Any other error says nothing about whether the value exists.
	Get(ctx context.Context, key Key) ([]byte, error)
}

// Key names a value. Stores keep values of equal Part together (one partition, one node); Name tells them apart within it.
// Both are printable ASCII without spaces; Part is never empty, Name may be. Either may hold slashes.
type Key struct{ Part, Name string }

// String returns Part and Name with a space between, which occurs in neither.
func (k Key) String() string { return k.Part + " " + k.Name }

// What callers branch on. Stores wrap them; test with errors.Is.
var (
	// ErrNotFound: there is no such value, or its time has passed.
	ErrNotFound = errors.New("kv: not found")
	// ErrTooLarge: the store can never hold a value of this size. Trying again is pointless.
	ErrTooLarge = errors.New("kv: value too large")
	// ErrDenied: the store refused who asks. Trying again is pointless.
	ErrDenied = errors.New("kv: access denied")
	// ErrFull: the store has no room left (disk full, quota).
	ErrFull = errors.New("kv: store full")
	// ErrThrottled: the store asks to be asked less often (503 SlowDown, overloaded).
	ErrThrottled = errors.New("kv: throttled")
)

// Permanent reports whether the same operation, tried again, is bound to fail again.
func Permanent(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrDenied)
}

// Op describes one operation to an Intercept or an observer.
type Op struct {
	Write bool // a Put; otherwise a Get
	Key   Key
	// Val points at the value: of a Put from the start, of a Get once it was done without error. An Intercept may put
	// other bytes there (a fault), never change the bytes in place.
	Val     *[]byte
	Keep    time.Duration // of a Put
	Attempt int           // 0 for the first try, counted on by Retry and Hedge
	// Began is when the caller's larger piece of work (a whole segment's write) began; zero if it is this operation alone.
	Began time.Time
}

// Size is the length of the value in bytes; of a Get 0 until it was done.
func (o Op) Size() int {
	if o.Val == nil {
		return 0
	}
	return len(*o.Val)
}

// An Intercept stands around an operation: it may wait or fail before do, instead of it, or after it (an acknowledgement that
// is lost). It calls do at most once. Costs and faults are Intercepts.
type Intercept func(ctx context.Context, op Op, do func(context.Context) error) error

type attemptKey struct{}

// WithAttempt marks operations under the returned context as the n-th try, counted from 0.
func WithAttempt(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, attemptKey{}, n)
}

// Attempt returns which try this is, counted from 0. Draws of costs and faults are keyed by it, so that a hedge draws anew.
func Attempt(ctx context.Context) int {
	n, _ := ctx.Value(attemptKey{}).(int)
	return n
}

type beganKey struct{}

// WithBegan says when the larger piece of work began of which the operations under the returned context are parts.
func WithBegan(ctx context.Context, t time.Time) context.Context {
	return context.WithValue(ctx, beganKey{}, t)
}

// Began returns what WithBegan said, or the zero time.
func Began(ctx context.Context) time.Time {
	t, _ := ctx.Value(beganKey{}).(time.Time)
	return t
}

type uncachedKey struct{}

// WithoutCache makes reads under the returned context pass every cache by: Cached asks the durable store and puts what it
// finds back into the cache. It is for a reader who was given bytes that do not match their digest.
func WithoutCache(ctx context.Context) context.Context {
	return context.WithValue(ctx, uncachedKey{}, true)
}

// Uncached reports whether WithoutCache was said.
func Uncached(ctx context.Context) bool {
	uncached, _ := ctx.Value(uncachedKey{}).(bool)
	return uncached
}

type missKey struct{}

// WithMiss has miss called when a cache does not have the value of a Get under the returned context, whatever the reason, before the
// durable store behind it is asked. It is for a reader who would rather not ask for much at once while a cache answers him. miss is
// safe for concurrent use and does not block.
func WithMiss(ctx context.Context, miss func()) context.Context {
	return context.WithValue(ctx, missKey{}, miss)
}

// tellMiss tells whom WithMiss has named.
func tellMiss(ctx context.Context) {
	if miss, ok := ctx.Value(missKey{}).(func()); ok {
		miss()
	}
}

type bufferKey struct{}

// WithBuffer offers memory to the one Get that is called with the returned context: a store that can puts the value there, if it
// fits, and returns it as a part of buf, which saves a large value's allocation and a copy. It is an offer; most stores take no
// notice. Who makes it keeps buf to itself until Get returns, and a store that takes it writes to it only until then. Whatever
// goes on after Get has returned, or shares its value, calls its store under WithBuffer(ctx, nil).
func WithBuffer(ctx context.Context, buf []byte) context.Context {
	return context.WithValue(ctx, bufferKey{}, buf)
}

// Buffer returns what WithBuffer offered; nil if nobody did.
func Buffer(ctx context.Context) []byte {
	buf, _ := ctx.Value(bufferKey{}).([]byte)
	return buf
}
